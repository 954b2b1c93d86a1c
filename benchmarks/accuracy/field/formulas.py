"""The formulas of hand-written backpropagation, in the layouts in which people write them.

A program runs on a `Tape`, which holds all that it has computed so far, row by row of the samples; each place of it is
a formula of the tape and a layer. Those of a style are written for its own layout: rows, columns, a bias as the last
row of the weights, a gradient for each sample, or loops.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from benchmarks.accuracy.field.elementwise import (
    ELEMENTWISE,
    FUSED,
    LOSS_SLOPES,
    Array,
    softmax,
    softmax_back,
)
from benchmarks.accuracy.field.problems import Problem

Formula = Callable[["Tape", int], Any]  # of a tape and the index of a layer
Formulas = Mapping[str, Formula]  # by place
Gradients = list[tuple[Array, Array | None]]

ORDERS = ("layer by layer", "deltas first", "sample by sample", "objects")
LAYOUTS = ("rows", "columns", "bias row", "each sample", "loops")
MEANS = ("at the loss", "at the delta", "at the end")


class Style(NamedTuple):
    """How a program is written.

    Attributes:
        order: of `ORDERS`.
        layout: of `LAYOUTS`.
        mean: of `MEANS`: where 1/n is applied.
        fused: whether p - t is taken where a cross-entropy follows its own activation.
        derivative: "a" or "z": of what derivatives are written, where both are usual.
    """

    order: str
    layout: str
    mean: str
    fused: bool
    derivative: str


class Tape:
    """What one run of a program holds.

    Attributes:
        family, style: of the program.
        x, t, n: inputs, targets and the number of samples over which a mean is taken.
        W, b: the parameters.
        rate: the learning rate of a step, 0 for none.
        formulas: by place.
        Z, A: pre-activations of each layer; the inputs and the activations of each layer.
        ct, delta: dLoss/da and dLoss/dz of each layer, as far as it has come; in a fused output layer, both dLoss/dz.
        dW, db: likewise.
    """

    def __init__(self, problem: Problem, style: Style, formulas: Formulas, rate: float = 0.0) -> None:
        self.family, self.style, self.formulas, self.rate = problem.family, style, formulas, rate
        self.x, self.t, self.n = problem.inputs, problem.targets, len(problem.inputs)
        self.W, self.b = list(problem.weights), list[Any](problem.biases)
        self.Z: list[Array] = []
        self.A: list[Array] = [self.x]
        self.ct: dict[int, Array] = {}
        self.delta: dict[int, Array] = {}
        self.dW: dict[int, Array] = {}
        self.db: dict[int, Any] = {}  # None in a layer without bias

    def at(self, place: str, layer: int) -> Any:
        """What the formula of a place gives."""
        return self.formulas[place](self, layer)

    @property
    def fused(self) -> bool:
        """Whether the output layer's delta is made at once."""
        return self.style.fused and (self.family.activations[-1], self.family.loss) in FUSED

    @property
    def divisor(self) -> float:
        """Of the mean over samples."""
        return float(self.n) if self.family.averages else 1.0


# ---------------------------------------------------------------- formulas, right in every style


def _activate(tape: Tape, layer: int) -> Array:
    name = tape.family.activations[layer]
    return softmax(tape.Z[layer]) if name == "softmax" else ELEMENTWISE[name].value(tape.Z[layer], tape.family.slope)


def _error(tape: Tape, layer: int) -> Array:
    """dLoss/do, or dLoss/dz where the two are fused, with all factors but those that come later."""
    family, o, t = tape.family, tape.A[-1], tape.t
    if family.loss is None:
        return t
    slope = LOSS_SLOPES[family.loss]
    if not tape.fused:
        raw = slope(o, t)
    else:
        raw = o - t if family.activations[-1] == "sigmoid" or family.targets != "soft" else o * t.sum(1)[:, None] - t
    factor = family.scale / (family.outputs if family.over_outputs == "mean" else 1)
    return raw * (factor / (tape.divisor if tape.style.mean == "at the loss" else 1.0))


def _through(tape: Tape, layer: int) -> Array:
    name = tape.family.activations[layer]
    if layer == tape.family.last and tape.fused:
        return tape.ct[layer]
    if name == "softmax":
        return softmax_back(tape.ct[layer], tape.A[layer + 1])
    return tape.ct[layer] * slope_of(tape, layer)


def slope_of(tape: Tape, layer: int) -> Array:
    """f' of a layer, as the style writes it."""
    written = ELEMENTWISE[tape.family.activations[layer]]
    if tape.style.derivative == "a" and written.of_a is not None:
        return written.of_a(tape.A[layer + 1], tape.family.slope)
    return written.of_z(tape.Z[layer], tape.family.slope)


def _penalty_on_weights(tape: Tape, layer: int) -> Array | float:
    return tape.family.l2 * tape.W[layer] if tape.family.l2 else 0.0


def _penalty_on_bias(tape: Tape, layer: int) -> Array | float:
    return tape.family.l2 * tape.b[layer] if tape.family.l2 and tape.family.l2_on_bias else 0.0


def _step_of_weights(tape: Tape, layer: int) -> Array:
    return tape.W[layer] - tape.rate * tape.dW[layer]


def _step_of_bias(tape: Tape, layer: int) -> Array | None:
    bias, change = tape.b[layer], tape.db[layer]
    return None if bias is None or change is None else bias - tape.rate * change


def _hand_over(tape: Tape, layer: int) -> Gradients:
    """All gradients, the first layer's first; `layer` is that of the outputs."""
    return [(tape.dW[index], tape.db[index]) for index in tape.family.layers]


_COMMON: Formulas = {
    "activate": _activate,
    "error": _error,
    "through": _through,
    "penalty on weights": _penalty_on_weights,
    "penalty on bias": _penalty_on_bias,
    "step of weights": _step_of_weights,
    "step of bias": _step_of_bias,
    "hand over": _hand_over,
}


# ---------------------------------------------------------------- formulas of a layout


def _plus(z: Array, bias: Array | None) -> Array:
    return z if bias is None else z + bias


_ROWS: Formulas = {
    "affine": lambda tape, i: _plus(tape.A[i] @ tape.W[i], tape.b[i]),
    "weights": lambda tape, i: tape.A[i].T @ tape.delta[i],
    "bias": lambda tape, i: tape.delta[i].sum(axis=0),
    "send": lambda tape, i: tape.delta[i] @ tape.W[i].T,
}


def _columns_affine(tape: Tape, layer: int) -> Array:
    turned, bias = np.ascontiguousarray(tape.W[layer].T), tape.b[layer]
    z = turned @ np.ascontiguousarray(tape.A[layer].T)
    return (z if bias is None else z + bias.reshape(-1, 1)).T


_COLUMNS: Formulas = {
    "affine": _columns_affine,
    "weights": lambda tape, i: (tape.delta[i].T @ tape.A[i]).T,
    "bias": lambda tape, i: np.sum(tape.delta[i].T, axis=1, keepdims=True).ravel(),
    "send": lambda tape, i: (tape.W[i] @ tape.delta[i].T).T,
}


def _with_ones(a: Array) -> Array:
    return np.hstack([a, np.ones((len(a), 1), a.dtype)])


def _bias_row_affine(tape: Tape, layer: int) -> Array:
    bias = tape.b[layer]
    if bias is None:
        return np.dot(tape.A[layer], tape.W[layer])
    return _with_ones(tape.A[layer]) @ np.vstack([tape.W[layer], bias])


_BIAS_ROW: Formulas = {
    "affine": _bias_row_affine,
    "weights": lambda tape, i: (_with_ones(tape.A[i]).T @ tape.delta[i])[:-1],
    "bias": lambda tape, i: (_with_ones(tape.A[i]).T @ tape.delta[i])[-1],
    "send": lambda tape, i: np.dot(tape.delta[i], tape.W[i].T),
}
_EACH_SAMPLE: Formulas = {
    "affine": lambda tape, i: _plus(np.einsum("ni,ij->nj", tape.A[i], tape.W[i]), tape.b[i]),
    "weights": lambda tape, i: np.einsum("ni,nj->nij", tape.A[i], tape.delta[i]).sum(axis=0),
    "bias": lambda tape, i: np.einsum("nj->j", tape.delta[i]),
    "send": lambda tape, i: np.einsum("nj,ij->ni", tape.delta[i], tape.W[i]),
}


def _loops_affine(tape: Tape, layer: int) -> Array:
    a, weights, bias = tape.A[layer], tape.W[layer], tape.b[layer]
    z = np.zeros((len(a), weights.shape[1]), a.dtype)
    for j in range(weights.shape[1]):
        for i in range(weights.shape[0]):
            z[:, j] += weights[i, j] * a[:, i]
        if bias is not None:
            z[:, j] += bias[j]
    return z


def _loops_weights(tape: Tape, layer: int) -> Array:
    total = np.zeros_like(tape.W[layer])
    for a, delta in zip(tape.A[layer], tape.delta[layer], strict=True):
        total += np.outer(a, delta)
    return total


def _loops_bias(tape: Tape, layer: int) -> Array:
    total = np.zeros_like(tape.delta[layer][0])
    for delta in tape.delta[layer]:
        total = total + delta
    return total


def _loops_send(tape: Tape, layer: int) -> Array:
    return np.array([[(row * delta).sum() for row in tape.W[layer]] for delta in tape.delta[layer]])


_LOOPS: Formulas = {
    "affine": _loops_affine, "weights": _loops_weights, "bias": _loops_bias, "send": _loops_send,
}  # fmt: skip
FORMULAS: Mapping[str, Formulas] = {
    layout: {**_COMMON, **own}
    for layout, own in zip(LAYOUTS, (_ROWS, _COLUMNS, _BIAS_ROW, _EACH_SAMPLE, _LOOPS), strict=True)
}
