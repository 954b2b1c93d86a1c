"""Cases that tell much about a function: what each is for stands in `PURPOSES`.

Numbers are drawn with NumPy's generators, so that a seed gives the same cases whatever JAX's settings are. Weights and
biases are not left to chance: in a batch of several samples every unit of every layer sees both signs, and no
pre-activation comes near 0 but where a case is about that. So no unit is dead in all samples, and no rounding flips a
unit at its kink. In 16 bits, where noise may hide a gradient, a few draws are compared. The batches have few sizes,
other ones than the layers, since each compiles anew.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from functional_mlp.activations import Activation
from functional_mlp.losses import KINDS, Loss
from functional_mlp.network import Network
from functional_mlp.oracle.case import (
    Case,
    Layout,
    drawn_kind,
    require_loss,
    require_network,
    rounded,
    targets_for,
)
from functional_mlp.oracle.documents import Gradients
from functional_mlp.oracle.noise import Precision, estimate_noise, kink_positions, precision_named
from functional_mlp.oracle.probing.asking import Asking
from functional_mlp.oracle.probing.probe_cases.far_tail import FAR_TAIL, far_offsets
from functional_mlp.oracle.probing.probe_cases.placing import Placing, placed
from functional_mlp.oracle.truth import solve
from functional_mlp.oracle.verdict import Verdict, judge

# by the name of a case, what it shows if it alone comes out wrong
PURPOSES = {
    "several samples": "several samples at once: look at the sums over samples",
    "partial batch": "a smaller batch after a larger one: is a batch size, or a buffer of the last batch, kept?",
    "one sample": "a single sample: is an axis of length 1 dropped or broadcast?",
    "near saturation": "large pre-activations: does a derivative cancel, or is something clipped?",
    "small pre-activations": "pre-activations between -1 and 1 of both signs: is a derivative taken at the wrong"
    " variable?",
    "soft targets": "targets between 0 and 1: are they rounded, or taken for classes?",
    "targets not summing to 1": "targets whose rows do not sum to 1: p - t is the gradient only where they do; in"
    " general it is p sum(t) - t",
    FAR_TAIL: "pre-activations whose exponentials overflow: is a quotient of two infinities, or a 0 times one, taken?",
    "at the kink": "units exactly at a kink of their activation, where z = 0 (relu6: or 6; hard_swish: -3 or 3)",
}
# by the name of a case, for which declared targets a right program must have it right
MEANT_FOR = {"soft targets": ("soft", "any"), "targets not summing to 1": ("any",)}
# by the kind of targets that a loss wants, what else people may have, and in which case
OTHER_TARGETS = {
    "bits": {"soft targets": "soft"},
    "one_hot": {"targets not summing to 1": "any_rows", "soft targets": "soft_rows"},
}
LAYERS_OF_A_NAME = 3
MODERATE = 3.0  # how far apart the pre-activations of a unit are
SMALL = 1.1
LARGE = 12.0
LARGE_LOGITS = 40.0  # probabilities down to 1e-9, which people clip at 1e-7
COARSE = 1e-4  # unit roundoff of 16 bits, in which a case may well be undecided: then others are tried
ATTEMPTS = 8


class Batches(NamedTuple):
    """Numbers of samples that differ from each other and from the sizes of layers."""

    several: int
    partial: int
    one: int = 1


Spec = str | Activation | Mapping[str, object]
Activations = Spec | Sequence[Spec]


def probe_network(activations: Activations) -> Network:
    """A network whose sizes are distinct, at least 4, and differ from the batch sizes of the probe cases.

    A transposed matrix and a layer taken for another then show in the shapes, and a sum that is averaged shows as
    another factor for each.

    Args:
        activations: one per layer, as `Network` takes them; or one alone, for three layers.

    Raises:
        TypeError, ValueError: as `Network`, and for an empty sequence.

    Example:
        >>> probe_network(("relu", "sigmoid")).sizes
        (4, 5, 6)
    """
    if isinstance(activations, str | Activation | Mapping):
        activations = [activations] * LAYERS_OF_A_NAME
    if not isinstance(activations, Sequence):
        raise TypeError(
            "expected network to be a functional_mlp.Network, the name of an activation, or a sequence of them, one"
            f" per layer, got {type(activations).__name__}"
        )
    if not activations:
        raise ValueError("expected at least one activation, got an empty sequence")
    sizes = (size for size in itertools.count(4) if size != 7)
    return Network(tuple(itertools.islice(sizes, len(activations) + 1)), activations)


def draw_probe_cases(
    network: Network, loss: Loss | None, precision: str = "float64", seed: int = 0, asking: Asking | None = None
) -> tuple[Case, ...]:
    """Cases that show the usual mistakes, in the order in which a function is to be called with them.

    The partial batch comes directly after a larger one. The numbers of every case are representable in the format that
    the precision stores.

    Args:
        network: the specification.
        loss: the loss, in every case the same; None for bare cotangents, drawn N(0, 1).
        precision: of the program to be checked, as in `check`: saturation begins earlier in a coarser one.
        seed: of the draws: the same seed, the same cases.
        asking: in which layout, with biases or without, and whether targets are class labels.

    Returns:
        Cases with the names of `PURPOSES`, where they apply: "large pre-activations" to networks and losses of
        exponentials (`far_tail.py`), "soft targets" to losses of classes and of bits, "targets not summing to 1" to
        those of classes, "at the kink" to networks with a kinked activation.

    Raises:
        TypeError: for what is no network, no loss, or no integer seed.
        ValueError: for an unknown precision, an inadmissible loss, or a negative seed.

    Example:
        >>> import functional_mlp as fm
        >>> [case.name for case in draw_probe_cases(fm.Network((4, 5, 6), "identity"), fm.Loss("squared_error"))]
        ['several samples', 'partial batch', 'one sample', 'near saturation', 'small pre-activations']
    """
    asking = Asking() if asking is None else asking
    declared = precision_named(precision)
    require_network(network)
    require_loss(loss)
    if loss is not None:
        loss.require_admissible(network.activations[-1])
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise TypeError(f"expected seed to be an integer, got {seed!r}")
    if seed < 0:
        raise ValueError(f"expected seed to be at least 0, got {seed}")
    plans = _plans(network, loss, declared, asking.targets)
    if asking.layout.targets == "labels":
        plans = {name: plan for name, plan in plans.items() if name not in MEANT_FOR}
    cases = (_drawn(name, plan, network, loss, declared, seed, asking) for name, plan in plans.items())
    return tuple(case.laid_out(asking.layout) for case in cases)


def is_meant(case: Case, asking: Asking) -> bool:
    """Whether a right program must have this case right, of all that is declared of its targets."""
    return purpose_of(case) not in MEANT_FOR or asking.targets in MEANT_FOR[purpose_of(case)]


class _Plan(NamedTuple):
    """What a case is drawn like: its number of samples, how far apart pre-activations are, and which targets."""

    samples: int
    reach: tuple[float, float]
    targets: str


def _plans(network: Network, loss: Loss | None, declared: Precision, choice: str | None) -> dict[str, _Plan]:
    """The plans of all cases, by their names.

    Where a loss wants probabilities, all targets are what is declared; of losses of classes other cases have those.
    """
    batches = batch_sizes(network)
    wanted = "" if loss is None else KINDS[loss.kind].targets
    targets = drawn_kind(network, loss, choice if wanted == "probabilities" else None)
    others = OTHER_TARGETS.get(wanted, {})
    moderate = (MODERATE, MODERATE)
    plans = {
        "several samples": _Plan(batches.several, moderate, targets),
        "partial batch": _Plan(batches.partial, moderate, targets),
        "one sample": _Plan(batches.one, moderate, targets),
        "near saturation": _Plan(batches.several, _saturation(network, loss, declared), targets),
        "small pre-activations": _Plan(batches.several, (SMALL, SMALL), targets),
    }
    plans |= {name: _Plan(batches.several, moderate, kind) for name, kind in others.items()}
    if any(offsets.any() for offsets in far_offsets(network, loss, declared)):
        plans[FAR_TAIL] = _Plan(batches.several, moderate, targets)
    if kinked_layers(network):
        plans["at the kink"] = _Plan(batches.several, moderate, targets)
    return plans


def _drawn(
    name: str, plan: _Plan, network: Network, loss: Loss | None, declared: Precision, seed: int, asking: Asking
) -> Case:
    """The least doubtful of a few draws, or the first one without doubts."""
    dtype, most = declared.storage.name, batch_sizes(network).several
    kinks = kinked_layers(network) if name == "at the kink" else {}
    offsets = far_offsets(network, loss, declared) if name == FAR_TAIL else ()
    placing = Placing(plan.reach, kinks, offsets, biased=asking.bias is not False)
    tried: list[tuple[int, Case]] = []
    while len(tried) < ATTEMPTS and all(doubts for doubts, _ in tried):
        rng = np.random.default_rng([seed, len(tried), *name.encode()])
        params, inputs = placed(network, most, placing, dtype, rng)
        end = rounded(targets_for(network, loss, plan.targets, plan.samples, rng), dtype)
        targets, ct_outputs = (None, end) if loss is None else (end, None)
        case = Case(network, loss, params, inputs[: plan.samples], targets, ct_outputs, name=name, dtype=dtype)
        tried.append((_doubts(case, declared), case))
    return min(tried, key=lambda pair: pair[0])[1]


def _doubts(case: Case, precision: Precision) -> int:
    """In how many places the true gradients would be hard to tell from others; 0 in precisions where that is rare."""
    biased = any(layer.bias is not None for layer in case.params)
    if precision.storage.unit < COARSE and purpose_of(case) != FAR_TAIL and biased:
        return 0
    solution = solve(case)
    if not biased and purpose_of(case) != "at the kink":  # a layer whose units are all 0 makes the next one 0 too
        dead = sum(int((z == 0).sum()) for z in solution.pre_activations)
        if dead or (precision.storage.unit < COARSE and purpose_of(case) != FAR_TAIL):
            return dead
    noise = estimate_noise(case, solution, precision)
    leaves = judge(case, solution, noise, Gradients(solution.grads))
    near_kinks = [
        (layer, *unit)
        for layer, *unit in noise.kinks
        if solution.pre_activations[layer][tuple(unit)] not in kink_positions(case.network.activations[layer])
    ]
    return sum(leaf.verdict is not Verdict.CONSISTENT for leaf in leaves) + len(near_kinks)


def purpose_of(case: Case) -> str:
    """Which of `PURPOSES` a probe case has; it stands at the beginning of its name, perhaps before a comma."""
    return case.name.partition(", ")[0]


def batch_sizes(network: Network) -> Batches:
    """The numbers of samples in the probe cases of a network."""
    several = next(n for n in itertools.count(7, 2) if n not in network.sizes)
    partial = next((n for n in (3, 4, 5, 6) if n not in network.sizes), 3)
    return Batches(several, partial)


def _saturation(network: Network, loss: Loss | None, precision: Precision) -> tuple[float, float]:
    """How far apart pre-activations may be without drowning the rest in noise: of hidden layers, of the last one.

    In hidden layers 1 - tanh^2 of half of it is still some 300 roundoffs. In the last one they are large only where
    correct programs keep their digits: in float64, with a cross-entropy of logits or over its own activation.
    """
    unit = max(precision.storage.unit, precision.products.unit)
    hidden = min(LARGE, max(MODERATE, math.log(4 / (300 * unit))))
    of_logits = loss is not None and loss.kind in ("sigmoid_cross_entropy", "softmax_cross_entropy")
    fused = loss is not None and loss.on_logits(network.activations[-1]) is not None
    exact = precision.name == "float64" and (fused or (of_logits and network.activations[-1].name == "identity"))
    last = LARGE_LOGITS if exact else MODERATE
    return max(hidden, _beyond_kinks(network.activations[:-1])), max(last, _beyond_kinks(network.activations[-1:]))


def _beyond_kinks(activations: Sequence[Activation]) -> float:
    """How far apart pre-activations are that lie on either side of every kink."""
    positions = [abs(position) for activation in activations for position in kink_positions(activation)]
    return 2.5 * max(positions, default=0.0)


# kinks


def kinked_layers(network: Network) -> dict[int, tuple[float, ...]]:
    """The positions of the kinks of each layer whose activation has some, as many as it has units to spare."""
    positions = {layer: kink_positions(activation) for layer, activation in enumerate(network.activations)}
    spare = {layer: found[: network.sizes[layer + 1] - 1] for layer, found in positions.items()}
    return {layer: found for layer, found in spare.items() if found}


# which side is taken at the first kink of an activation, and at the others: 0 is left, 1 right
SIDES: Mapping[str, tuple[float, float]] = {
    "left side": (0.0, 0.0),
    "right side": (1.0, 1.0),
    "middle": (0.5, 0.5),
    "outer side": (0.0, 1.0),
    "inner side": (1.0, 0.0),
}


def with_side(case: Case, side: str) -> Case:
    """The case with the derivative of one of `SIDES` taken at every kink; "middle" is the mean of left and right."""
    activations = []
    for activation in case.network.activations:
        parameters = dict(activation.parameters)
        for number, kink in enumerate(activation.kinks):
            share = SIDES[side][number > 0]
            parameters[kink.parameter] = (1 - share) * kink.left + share * kink.right
        activations.append(dataclasses.replace(activation, parameters=tuple(parameters.items())))
    return _with(case, Network(case.network.sizes, activations), case.name)


def renamed(case: Case, name: str) -> Case:
    """The case with another name."""
    return _with(case, case.network, name)


def _with(case: Case, network: Network, name: str) -> Case:
    data = (list(case.params), case.inputs, case.targets, case.ct_outputs, case.sample_weights)
    own = Layout().settled()  # as which the arrays of a case are held
    return Case(network, case.loss, *data, name, case.dtype, layout=own).laid_out(case.layout)


def at_kinks_of(activation: Activation) -> tuple[str, ...]:
    """What a kinked activation takes at each of its kinks, in words: "0 at z = 6"."""
    return tuple(f"{activation.derivative_at(kink):g} at z = {kink.position:g}" for kink in activation.kinks)
