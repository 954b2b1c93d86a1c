"""Where a mistake may occur: conditions on a case, a layer, a variant, each with the words that a refusal needs."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from functional_mlp._dtypes import DTYPES
from functional_mlp.activations import FACTORIES, Activation
from functional_mlp.losses import KINDS, Loss
from functional_mlp.oracle.case import Case
from functional_mlp.oracle.mistakes.program import OF_PROBABILITIES
from functional_mlp.update_rules import Adam, Descent, Momentum, RMSprop, UpdateRule


class Site(NamedTuple):
    """A place where a mistake may be made.

    Attributes:
        case: the case.
        tape: what its right forward pass computes in float64.
        layer: index into the parameters; None for the whole network.
        variant: of the mistake, or None.
        value: of its free number, or None.
        rule: by which the program updates its parameters.
    """

    case: Case
    tape: Any
    layer: Any
    variant: Any = None
    value: Any = None
    rule: UpdateRule = Descent()

    @property
    def loss(self) -> Any:
        """The loss, or None."""
        return self.case.loss

    @property
    def samples(self) -> int:
        """The number n of samples."""
        return len(self.case.inputs)

    @property
    def outputs(self) -> int:
        """The number K of outputs."""
        return self.case.network.sizes[-1]

    @property
    def depth(self) -> int:
        """The number L of layers."""
        return len(self.case.params)

    @property
    def fan_in(self) -> int:
        """Of this layer."""
        return self.case.network.sizes[self.layer]

    @property
    def fan_out(self) -> int:
        """Of this layer."""
        return self.case.network.sizes[self.layer + 1]

    @property
    def activation(self) -> Activation:
        """Of this layer."""
        return self.case.network.activations[self.layer]

    @property
    def is_last(self) -> bool:
        """Whether this is the output layer."""
        return self.layer == self.depth - 1

    @property
    def bias(self) -> Any:
        """Of this layer, or None."""
        return self.case.params[self.layer].bias

    @property
    def pre_activations(self) -> np.ndarray:
        """z (n, fan_out) of this layer, in float64."""
        pre_activations: np.ndarray = self.tape.pre_activations[self.layer]
        return pre_activations

    @property
    def activations(self) -> np.ndarray:
        """a (n, fan_out) of this layer, in float64."""
        activations: np.ndarray = self.tape.activations[self.layer]
        return activations

    @property
    def divisor(self) -> float:
        """What a mean over samples divides by."""
        weights = self.case.sample_weights
        return float(self.samples if weights is None else weights.sum())

    @property
    def maker_of_probabilities(self) -> str:
        """The name of the activation that makes what the loss sees; inside the loss for losses of logits."""
        if self.loss is None:
            return ""
        inside = OF_PROBABILITIES.get(self.loss.kind)
        return (self.case.network.activations[-1] if inside is None else inside[1]).name

    def width(self, offset: int) -> int | None:
        """Units of the layer `offset` after this one, the inputs coming before the first; None if there is none."""
        index = self.layer + 1 + offset
        return self.case.network.sizes[index] if 0 <= index <= self.depth else None

    def has_layer(self, offset: int) -> bool:
        """Whether there is a layer `offset` after this one."""
        return 0 <= self.layer + offset < self.depth


class Condition(NamedTuple):
    """What a mistake needs: words that follow "it needs", and the test."""

    words: str
    test: Callable[[Site], bool]


def for_variant(words: str, tests: Mapping[str, Callable[[Site], bool]]) -> Condition:
    """A condition that differs between variants; those without a test fit everywhere."""
    return Condition(words, lambda site: site.variant not in tests or tests[site.variant](site))


def activation_in(*names: str) -> Condition:
    """This layer has one of these activations."""
    return Condition(f"a layer with {' or '.join(names)}", lambda site: site.activation.name in names)


def loss_in(*kinds: str) -> Condition:
    """The loss is of one of these kinds."""
    return Condition(f"the loss {' or '.join(kinds)}", lambda site: site.loss is not None and site.loss.kind in kinds)


def _of(test: Callable[[Loss], bool]) -> Callable[[Site], bool]:
    return lambda site: site.loss is not None and test(site.loss)


LAST = Condition("the output layer", lambda site: site.is_last)
HIDDEN = Condition("a hidden layer", lambda site: not site.is_last)
SEVERAL_LAYERS = Condition("a network of several layers", lambda site: site.depth > 1)
HAS_LAYER_BELOW = Condition("a layer below", lambda site: site.layer > 0)
NOT_IDENTITY = Condition("a layer with an activation", lambda site: site.activation.name != "identity")
SQUARE = Condition("a square layer of several units", lambda site: site.fan_in == site.fan_out > 1)
A_MATRIX = Condition("a layer of several inputs and units", lambda site: min(site.fan_in, site.fan_out) > 1)
SEVERAL_UNITS = Condition("a layer of several units", lambda site: site.fan_out > 1)
HAS_BIAS = Condition("a layer with a bias", lambda site: site.bias is not None)
BIAS_NOT_ZERO = Condition(
    "a layer whose bias is not zero", lambda site: site.bias is not None and bool(site.bias.any())
)
A_BIAS_NOT_ZERO = Condition(
    "a bias that is not zero",
    lambda site: any(layer.bias is not None and layer.bias.any() for layer in site.case.params),
)
SOME_BIAS = Condition("a layer with a bias", lambda site: any(layer.bias is not None for layer in site.case.params))
SEVERAL_SAMPLES = Condition("several samples", lambda site: site.samples > 1)
SEVERAL_OUTPUTS = Condition("several outputs", lambda site: site.outputs > 1)
ONE_OUTPUT = Condition("one output", lambda site: site.outputs == 1)
A_LOSS = Condition("a loss", lambda site: site.loss is not None)
NO_LOSS = Condition("a bare cotangent instead of a loss", lambda site: site.loss is None)
SUM_OVER_SAMPLES = Condition(
    "a loss that sums over samples, or a bare cotangent",
    lambda site: site.loss is None or site.loss.over_samples == "sum",
)
MEAN_OVER_SAMPLES = Condition("a loss that averages over samples", _of(lambda loss: loss.over_samples == "mean"))
DIVISOR_NOT_ONE = Condition("a mean that divides by something else than 1", lambda site: site.divisor != 1)
SUM_OVER_OUTPUTS = Condition("a loss that sums over outputs", _of(lambda loss: loss.over_outputs == "sum"))
MEAN_OVER_OUTPUTS = Condition("a loss that averages over outputs", _of(lambda loss: loss.over_outputs == "mean"))
SCALED = Condition("a loss with another scale than 1", _of(lambda loss: loss.scale != 1))
OF_PROBABILITIES_GIVEN = Condition("a loss of probabilities", _of(lambda loss: KINDS[loss.kind].of_probabilities))
CROSS_ENTROPIES = (*OF_PROBABILITIES, *(kind for kind, _ in OF_PROBABILITIES.values()))
CROSS_ENTROPY = Condition("a cross-entropy", _of(lambda loss: loss.kind in CROSS_ENTROPIES))
UNWEIGHTED = Condition("samples without weights", lambda site: site.case.sample_weights is None)
PENALTY = Condition("an L2 penalty", _of(lambda loss: loss.l2 != 0))
L1_PENALTY = Condition("an L1 penalty", _of(lambda loss: loss.l1 != 0))
NO_L1_PENALTY = Condition("a case without L1 penalty", lambda site: site.loss is None or site.loss.l1 == 0)
NO_PENALTY = Condition("a case without L2 penalty", lambda site: site.loss is None or site.loss.l2 == 0)
PENALTY_ON_BIAS = Condition("an L2 penalty on the biases", _of(lambda loss: loss.l2 != 0 and loss.l2_on_bias))
NO_PENALTY_ON_BIAS = Condition("an L2 penalty that spares the biases", _of(lambda loss: not loss.l2_on_bias))


def probabilities_by(name: str) -> Condition:
    """The loss sees what this activation makes."""
    return Condition(f"a loss of what {name} makes", lambda site: site.maker_of_probabilities == name)


def _half_the_digits(site: Site) -> float:
    return float(ml_dtypes.finfo(DTYPES[site.case.dtype]).eps) ** 0.5


UNFUSED = Condition(
    "a layer that goes back by its own derivative, not together with the loss",
    lambda site: not (site.is_last and site.loss is not None and site.loss.on_logits(site.activation) is not None),
)
SATURATED_TANH = Condition(
    "a unit so near +-1 that 1 - a^2 loses half of its digits",
    lambda site: bool((4 * np.exp(-2 * np.abs(site.pre_activations)) < _half_the_digits(site)).any()),
)
SATURATED_SIGMOID = Condition(
    "a unit so near 1 that 1 - a loses half of its digits",
    lambda site: bool((np.exp(-site.pre_activations) < _half_the_digits(site)).any()),
)
DEAD_UNIT = Condition(
    "a unit that is inactive in every sample", lambda site: bool((site.pre_activations <= 0).all(axis=0).any())
)
HALF_DEAD_UNIT = Condition(
    "a unit that is active in some samples only",
    lambda site: bool(((site.pre_activations > 0).any(axis=0) & (site.pre_activations <= 0).any(axis=0)).any()),
)
INACTIVE_UNIT = Condition("a negative pre-activation", lambda site: bool((site.pre_activations < 0).any()))
PIECEWISE = ("identity", "relu", "leaky_relu", "elu")  # alike where z > 0
# whose shapes are alike: what is taken for what, beside the most usual activations, which are taken for any
ALIKE = (
    ("gelu", "gelu_tanh", "quick_gelu", "silu", "mish", "hard_swish"),
    ("elu", "selu", "celu"),
    ("relu", "relu6", "leaky_relu", "prelu"),
    ("sigmoid", "hard_sigmoid"),
    ("tanh", "hardtanh", "scaled_tanh", "softsign"),
    ("sin", "cos"),
)
USUAL = ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus", "silu", "gelu", "softmax")
LOOKALIKES = tuple(name for names in ALIKE for name in names if name not in USUAL)
GELU_FORMS = {"gelu": "erf", "gelu_tanh": "tanh", "quick_gelu": "sigmoid"}


def taken_for(site: Site) -> bool:
    """Whether people take the activation that the variant names for that of the layer; forms of gelu stand apart."""
    own, other = site.activation.name, site.variant
    if own in GELU_FORMS and other in GELU_FORMS:
        return False
    return other not in FACTORIES or other in USUAL or any(own in names and other in names for names in ALIKE)


DIFFERS_FROM_IDENTITY = Condition(
    "a pre-activation that the activation changes",
    lambda site: site.activation.name not in PIECEWISE or INACTIVE_UNIT.test(site),
)
AT_A_KINK = Condition(
    "a pre-activation exactly at a kink, where one side is chosen",
    lambda site: any(
        bool((site.pre_activations == kink.position).any())
        for kink in site.activation.kinks
        if kink.left + kink.right != 2 * site.activation.derivative_at(kink)
    ),
)


# the update rule


def rule_in(words: str, *rules: type[UpdateRule], **settings: bool) -> Condition:
    """The rule is one of these, and has these settings; that of a number is whether it is other than 0."""

    def test(site: Site) -> bool:
        return isinstance(site.rule, rules) and all(
            bool(getattr(site.rule, name)) is wanted for name, wanted in settings.items()
        )

    return Condition(words, test)


KEEPS_A_STATE = rule_in("an update rule that keeps a state", Momentum, Adam, RMSprop)
DECAYS = rule_in("a weight decay", UpdateRule, weight_decay=True)
