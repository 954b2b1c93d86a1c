"""The cases that are certified: groups of recipes, each one network shape and loss, drawn with many data.

A recipe is compiled once and drawn often: compiling costs seconds, the referee milliseconds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reference import plain
from reference.exact import Case

Array = NDArray[np.float64]
Draw = Callable[["Recipe", np.random.Generator], Case]
PAIRS = (
    ("identity", "squared_error"),
    ("sigmoid", "binary_cross_entropy"),
    ("softmax", "categorical_cross_entropy"),
    ("identity", "sigmoid_cross_entropy"),
    ("identity", "softmax_cross_entropy"),
)
OTHERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("identity", {"kind": "absolute_error"}),
    ("identity", {"kind": "huber", "delta": 0.5}),
    ("identity", {"kind": "log_cosh"}),
    ("identity", {"kind": "hinge"}),
    ("identity", {"kind": "multiclass_hinge"}),
    ("softmax", {"kind": "kl_divergence"}),
    ("identity", {"kind": "softmax_kl_divergence"}),
    ("identity", {"kind": "sigmoid_focal", "alpha": 0.25}),
    ("identity", {"kind": "softmax_focal", "gamma": 3.0}),
    ("identity", {"kind": "softmax_cross_entropy", "label_smoothing": 0.1, "over_samples": "batch_mean"}),
    ("identity", {"kind": "sigmoid_cross_entropy", "pos_weight": 3.0, "l1": 0.01}),
    ("sigmoid", {"kind": "binary_cross_entropy", "epsilon": 1e-7}),
    ("softmax", {"kind": "categorical_cross_entropy", "epsilon": 1e-7}),
)
ONE_HOT = ("categorical_cross_entropy", "softmax_cross_entropy", "multiclass_hinge", "softmax_focal")
HIDDEN = (
    *("tanh", "sigmoid", "relu", "leaky_relu", "elu", "softplus", "silu", "gelu", "softmax", "identity"),
    *("gelu_tanh", "quick_gelu", "mish", "selu", "celu", "prelu", "relu6", "hardtanh", "hard_sigmoid", "hard_swish"),
    *("scaled_tanh", "softsign", "sin", "cos", "gaussian"),
)
KINKED = (
    {"name": "relu", "at_zero": 0.5},
    {"name": "leaky_relu", "slope": 0.25, "at_zero": 1.0},
    {"name": "elu", "alpha": 2.0},
    "relu",
)


class Recipe(NamedTuple):
    """One network, loss and batch size, and how its numbers are drawn."""

    group: str
    activations: tuple[Any, ...]
    loss: dict[str, Any] | None
    draw: Draw
    width: int = 16
    samples: int = 16
    weighted: bool = False

    @property
    def sizes(self) -> tuple[int, ...]:
        """n_0..n_L: half the width at both ends."""
        return (self.width // 2, *(self.width,) * (len(self.activations) - 1), self.width // 2)


def _params(recipe: Recipe, rng: np.random.Generator, size: float = 1.0) -> list[tuple[Array, Any]]:
    shapes = itertools.pairwise(recipe.sizes)
    return [(rng.normal(size=(i, o)) * size / np.sqrt(i), rng.normal(size=o) * size / 2) for i, o in shapes]


def _case(recipe: Recipe, rng: np.random.Generator, params: Any, inputs: Array, targets: Array | None = None) -> Case:
    """The case with these numbers; targets that nobody gave are soft, in (0, 1), and sum to 1 for softmax."""
    shape = (len(inputs), recipe.sizes[-1])
    if recipe.loss is None:
        return Case(recipe.sizes, recipe.activations, params, inputs, ct_outputs=rng.normal(size=shape))
    if targets is None:
        targets = rng.uniform(size=shape)
        if recipe.loss["kind"] == "hinge":
            targets = np.sign(targets - 0.5)
        if "divergence" in recipe.loss["kind"]:
            targets = targets / targets.sum(axis=1, keepdims=True)
        if recipe.loss["kind"] in ONE_HOT:
            targets = np.eye(shape[1])[rng.integers(shape[1], size=shape[0])]
    weights = rng.uniform(0.1, 2, shape[0]) * (rng.uniform(size=shape[0]) > 0.3) if recipe.weighted else None
    if weights is not None:
        weights[0] = 0.7  # not all 0
    return Case(recipe.sizes, recipe.activations, params, inputs, recipe.loss, targets, weights)


def moderate(recipe: Recipe, rng: np.random.Generator) -> Case:
    """Numbers of order 1."""
    return _case(recipe, rng, _params(recipe, rng), rng.normal(size=(recipe.samples, recipe.sizes[0])))


def saturated(recipe: Recipe, rng: np.random.Generator) -> Case:
    """Pre-activations up to ±700 in the last layer and up to ±40 before, on both sides; one-hot or 0/1 targets."""
    params = _params(recipe, rng)
    inputs = rng.normal(size=(recipe.samples, recipe.sizes[0])) * 10 ** rng.uniform(0, 1.3, (recipe.samples, 1))
    w, _ = params[-1]
    params[-1] = (rng.uniform(-1, 1, w.shape) * 10 ** rng.uniform(0, 2), rng.uniform(-300, 300, w.shape[1]))
    assert recipe.loss is not None
    of_two = "sigmoid" in (recipe.activations[-1], recipe.loss["kind"].removesuffix("_cross_entropy"))
    targets = rng.integers(2, size=(recipe.samples, w.shape[1])).astype(float) if of_two else None
    case = _case(recipe, rng, params, inputs, targets)
    z = _pre_activations(case)
    w, b = params[-1]
    shrink = min(1.0, 700 / np.abs(z).max())
    return case._replace(params=[*params[:-1], (w * shrink, b * shrink)])


def _pre_activations(case: Case) -> Array:
    """z_L, by the NumPy reference."""
    zeros = np.zeros((len(np.asarray(case.inputs)), case.sizes[-1]))
    assert isinstance(case.activations, tuple)
    bare = Case(case.sizes, [*case.activations[:-1], "identity"], case.params, case.inputs, ct_outputs=zeros)
    return plain.solve(bare).outputs


def cancelling(recipe: Recipe, rng: np.random.Generator) -> Case:
    """1 − tanh² near 0 (|z| 3..18), targets a few ulp to 1e-6 from the outputs, samples whose terms nearly cancel."""
    params = _params(recipe, rng, 3.0)
    half = rng.normal(size=(recipe.samples // 2, recipe.sizes[0]))
    inputs = np.concatenate([half, half * (1 + 1e-9 * rng.normal(size=half.shape))])
    case = _case(recipe, rng, params, inputs)
    outputs = plain.solve(case).outputs
    apart = 10 ** rng.uniform(-15, -6, (len(half), recipe.sizes[-1]))
    return case._replace(targets=outputs * (1 + np.concatenate([apart, -apart])))


def kinks(recipe: Recipe, rng: np.random.Generator) -> Case:
    """Small whole numbers, so that many pre-activations are exactly 0, and inputs of −0.0."""
    whole = [
        (rng.integers(-1, 2, (i, o)) / 2.0, rng.integers(-1, 2, o) / 2.0) for i, o in itertools.pairwise(recipe.sizes)
    ]
    inputs = rng.integers(-1, 2, (recipe.samples, recipe.sizes[0])) / 2.0
    inputs[0] = -0.0
    if not rng.integers(2):
        whole = [(w, np.zeros_like(b)) for w, b in whole]
    return _case(recipe, rng, whole, inputs)


def tiny(recipe: Recipe, rng: np.random.Generator) -> Case:
    """Inputs from 1e-300 to 1e-100 of normal numbers; results fall below the smallest normal here and there."""
    exponents = rng.uniform(-300, -100, (recipe.samples, 1))
    inputs = rng.normal(size=(recipe.samples, recipe.sizes[0])) * 10**exponents
    params = [(w * 10.0 ** rng.integers(-3, 1), b * 0) for w, b in _params(recipe, rng)]
    return _case(recipe, rng, params, inputs)


def subnormal(recipe: Recipe, rng: np.random.Generator) -> Case:
    """Inputs below the smallest normal number."""
    inputs = rng.normal(size=(recipe.samples, recipe.sizes[0])) * 10 ** rng.uniform(-320, -309, (recipe.samples, 1))
    return _case(recipe, rng, _params(recipe, rng), inputs)


def huge(recipe: Recipe, rng: np.random.Generator) -> Case:
    """Numbers up to 1e140, whose squares are short of overflow."""
    inputs = rng.normal(size=(recipe.samples, recipe.sizes[0])) * 10 ** rng.uniform(50, 140, (recipe.samples, 1))
    return _case(recipe, rng, _params(recipe, rng), inputs)


def any_targets(recipe: Recipe, rng: np.random.Generator) -> Case:
    """Targets that are soft, zero, one, beyond, negative: whatever the formula allows; rows do not sum to 1."""
    case = moderate(recipe, rng)
    targets = rng.normal(size=(recipe.samples, recipe.sizes[-1]))
    return case._replace(targets=np.where(rng.uniform(size=targets.shape) < 0.3, np.round(targets), targets))


def recipes() -> list[Recipe]:
    """Every recipe of the full run."""
    every: list[Recipe] = []

    def add(group: str, activations: Any, loss: dict[str, Any] | None, draw: Draw, **others: Any) -> None:
        every.append(Recipe(group, tuple(activations), loss, draw, **others))

    for i, name in enumerate(HIDDEN):
        last, kind = PAIRS[i % 5]
        add("moderate", (name, name, last), {"kind": kind}, moderate)
        last, kind = PAIRS[(i + 1 + i // 5) % 5]
        add("saturated", (name, last), {"kind": kind}, saturated)
    add("moderate", ("tanh", "softmax"), {"kind": "binary_cross_entropy"}, moderate)
    add("moderate", ("tanh", "sigmoid"), {"kind": "categorical_cross_entropy"}, moderate)
    add("moderate", ("gelu", "sigmoid"), None, moderate)
    add("saturated", ("tanh", "sigmoid"), {"kind": "squared_error"}, saturated)
    add("saturated", ("tanh", "softmax"), {"kind": "squared_error"}, saturated)
    for last, kind in (*PAIRS[:3], ("sigmoid", "squared_error")):
        add("cancellation", ("tanh", "tanh", last), {"kind": kind}, cancelling)
    for unit, (last, kind) in zip(KINKED, PAIRS, strict=False):
        add("kinks", (unit, unit, last), {"kind": kind}, kinks)
    for name in ("identity", "tanh", "leaky_relu"):
        add("tiny", (name, name, "identity"), {"kind": "squared_error"}, tiny)
    for name in ("identity", "sigmoid"):
        add("subnormal", (name, "identity"), {"kind": "squared_error"}, subnormal)
    for name in ("identity", "relu", "softplus"):
        add("huge", (name, name, "identity"), {"kind": "squared_error"}, huge)
    for last, kind in PAIRS[1:]:
        add("targets", ("tanh", last), {"kind": kind}, any_targets)
    reductions = itertools.product(("sum", "mean"), ("sum", "mean"), (0.0, 0.1))
    for (last, kind), (samples, outputs, l2) in itertools.product(PAIRS, list(reductions)):
        loss = {
            "kind": kind,
            "over_samples": samples,
            "over_outputs": outputs,
            "l2": l2,
            "l2_on_bias": outputs == "mean",
        }
        weighted = (samples == "mean") == (outputs == "mean")
        group = "sample weights" if weighted else "losses"
        add(group, ("tanh", last), loss, moderate, width=32, weighted=weighted)
    for number, (last, loss) in enumerate(OTHERS):
        for l2, hidden in ((0.0, "tanh"), (0.1, "gelu")):
            add("other losses", (hidden, last), loss | {"l2": l2}, moderate, weighted=number % 2 == 1)
    for depth in range(1, 11):
        last, kind = PAIRS[depth % 5]
        add("depth", (*("tanh", "silu")[: depth - 1], *("tanh",) * (depth - 3), last), {"kind": kind}, moderate)
    return every
