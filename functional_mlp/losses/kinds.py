"""The kinds of losses: one registry of all that the mathematics knows of each."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from functional_mlp.losses.cross_entropies import (
    binary_cross_entropy,
    binary_cross_entropy_second,
    categorical_cross_entropy,
    categorical_cross_entropy_second,
    kl_divergence,
    sigmoid_cross_entropy,
    sigmoid_cross_entropy_second,
    softmax_cross_entropy,
    softmax_cross_entropy_second,
    softmax_kl_divergence,
)
from functional_mlp.losses.focal import sigmoid_focal, sigmoid_focal_second, softmax_focal, softmax_focal_second
from functional_mlp.losses.margins import hinge, multiclass_hinge
from functional_mlp.losses.regression import (
    absolute_error,
    huber,
    huber_second,
    log_cosh,
    log_cosh_second,
    squared_error,
    squared_error_second,
    straight_second,
)

# what targets are: any reals, 0 or 1 for every output, -1 or 1, one 1 per sample, or probabilities that sum to 1
TARGETS = ("real", "bits", "signs", "one_hot", "probabilities")


class Kind(NamedTuple):
    """What is known of one kind of loss.

    Attributes:
        term: maps outputs and targets (n, K), and the kind's `parameters` by name, to the term of each element and to
            the derivative of the row's sum of terms with respect to each output, both (n, K).
        second: maps outputs, targets, a tangent of the outputs (n, K), and the `parameters`, to how that derivative
            moves with the outputs (n, K): the product of the row's Hessian and the tangent, which is symmetric.
        targets: one of `TARGETS`: what the targets usually are.
        of_probabilities: whether the outputs must be probabilities, that is, come from sigmoid or softmax.
        threshold: the single output above which a sample is predicted to be of class 1.
        parameters: fields of `Loss` that `term` takes.
        of_targets: fields of `Loss` that change the targets before `term` sees them.
        piecewise_linear: whether the derivative depends on the outputs only by the side of a kink.
    """

    term: Callable[..., tuple[Any, Any]]
    second: Callable[..., Any]
    targets: str = "real"
    of_probabilities: bool = False
    threshold: float = 0.5
    parameters: tuple[str, ...] = ()
    of_targets: tuple[str, ...] = ()
    piecewise_linear: bool = False

    @property
    def options(self) -> tuple[str, ...]:
        """Fields of `Loss` that belong to this kind and not to every loss."""
        return (*self.parameters, *self.of_targets)


_CLASSES = ("label_smoothing", "class_weights", "ignore_index")
KINDS: Mapping[str, Kind] = {
    "squared_error": Kind(squared_error, squared_error_second),
    "binary_cross_entropy": Kind(
        binary_cross_entropy,
        binary_cross_entropy_second,
        targets="bits",
        of_probabilities=True,
        parameters=("pos_weight", "epsilon"),
        of_targets=("label_smoothing",),
    ),
    "categorical_cross_entropy": Kind(
        categorical_cross_entropy,
        categorical_cross_entropy_second,
        targets="one_hot",
        of_probabilities=True,
        parameters=("epsilon",),
        of_targets=_CLASSES,
    ),
    "sigmoid_cross_entropy": Kind(
        sigmoid_cross_entropy,
        sigmoid_cross_entropy_second,
        targets="bits",
        threshold=0.0,
        parameters=("pos_weight",),
        of_targets=("label_smoothing",),
    ),
    "softmax_cross_entropy": Kind(
        softmax_cross_entropy,
        softmax_cross_entropy_second,
        targets="one_hot",
        threshold=0.0,
        of_targets=_CLASSES,
    ),
    "absolute_error": Kind(absolute_error, straight_second, piecewise_linear=True),
    "huber": Kind(huber, huber_second, parameters=("delta",)),
    "log_cosh": Kind(log_cosh, log_cosh_second),
    "hinge": Kind(hinge, straight_second, targets="signs", threshold=0.0, piecewise_linear=True),
    "multiclass_hinge": Kind(
        multiclass_hinge,
        straight_second,
        targets="one_hot",
        threshold=0.0,
        of_targets=("ignore_index",),
        piecewise_linear=True,
    ),
    "kl_divergence": Kind(
        kl_divergence, categorical_cross_entropy_second, targets="probabilities", of_probabilities=True
    ),
    "softmax_kl_divergence": Kind(
        softmax_kl_divergence, softmax_cross_entropy_second, targets="probabilities", threshold=0.0
    ),
    "sigmoid_focal": Kind(
        sigmoid_focal, sigmoid_focal_second, targets="bits", threshold=0.0, parameters=("gamma", "alpha")
    ),
    "softmax_focal": Kind(
        softmax_focal,
        softmax_focal_second,
        targets="one_hot",
        threshold=0.0,
        parameters=("gamma",),
        of_targets=_CLASSES,
    ),
}
# fields of `Loss` that only some kinds have, and which
OPTIONS: Mapping[str, tuple[str, ...]] = {
    option: tuple(name for name, kind in KINDS.items() if option in kind.options)
    for option in dict.fromkeys(option for kind in KINDS.values() for option in kind.options)
}
