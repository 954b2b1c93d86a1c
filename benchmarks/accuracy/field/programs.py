"""Hand-written backpropagation in several styles: the order of the work, and where factors go.

A program is a style and the faults that were made in it, each another formula in the place of the right one: `faults/`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.accuracy.field.elementwise import FUSED, LOSS_TERMS, Array
from benchmarks.accuracy.field.formulas import LAYOUTS, MEANS, ORDERS, Formulas, Gradients, Style, Tape
from benchmarks.accuracy.field.problems import Family, Problem


def _forward(tape: Tape) -> None:
    for layer in tape.family.layers:
        tape.Z.append(tape.at("affine", layer))
        tape.A.append(tape.at("activate", layer))


def _delta(tape: Tape, layer: int) -> None:
    tape.delta[layer] = tape.at("through", layer)
    if layer == tape.family.last and tape.style.mean == "at the delta":
        tape.ct[layer], tape.delta[layer] = tape.ct[layer] / tape.divisor, tape.delta[layer] / tape.divisor


def _products(tape: Tape, layer: int) -> None:
    divisor = tape.divisor if tape.style.mean == "at the end" else 1.0
    tape.dW[layer] = tape.at("weights", layer) / divisor
    tape.db[layer] = None if tape.b[layer] is None else tape.at("bias", layer) / divisor


def _penalties(tape: Tape, layer: int) -> None:
    tape.dW[layer] = tape.dW[layer] + tape.at("penalty on weights", layer)
    bias = tape.db[layer]
    tape.db[layer] = None if bias is None else bias + tape.at("penalty on bias", layer)


def _layer_by_layer(tape: Tape) -> None:
    _forward(tape)
    ct = tape.at("error", tape.family.last)
    for layer in reversed(tape.family.layers):
        tape.ct[layer] = ct
        _delta(tape, layer)
        _products(tape, layer)
        _penalties(tape, layer)
        if layer:
            ct = tape.at("send", layer)


def _deltas_first(tape: Tape) -> None:
    _forward(tape)
    tape.ct[tape.family.last] = tape.at("error", tape.family.last)
    _delta(tape, tape.family.last)
    for layer in reversed(tape.family.layers[1:]):
        tape.ct[layer - 1] = tape.at("send", layer)
        _delta(tape, layer - 1)
    for layer in tape.family.layers:
        _products(tape, layer)
        _penalties(tape, layer)


def _sample_by_sample(tape: Tape) -> None:
    """Each sample forward and back by itself, its gradients added up; the mean and the penalty at the end."""
    inputs, targets = tape.x, tape.t
    sums: dict[int, tuple[Array, Any]] = {}
    for sample in range(tape.n):
        tape.x, tape.t = inputs[sample : sample + 1], targets[sample : sample + 1]
        tape.Z, tape.A = [], [tape.x]
        _forward(tape)
        ct = tape.at("error", tape.family.last)
        for layer in reversed(tape.family.layers):
            tape.ct[layer] = ct
            _delta(tape, layer)
            _products(tape, layer)
            if layer:
                ct = tape.at("send", layer)
            own = (tape.dW[layer], 0.0 if tape.db[layer] is None else tape.db[layer])
            sums[layer] = own if sample == 0 else (sums[layer][0] + own[0], sums[layer][1] + own[1])
    tape.x, tape.t = inputs, targets
    for layer in tape.family.layers:
        tape.dW[layer], tape.db[layer] = sums[layer][0], None if tape.b[layer] is None else sums[layer][1]
        _penalties(tape, layer)


class _Dense:
    """A layer that keeps what it needs, and calls the next."""

    def __init__(self, tape: Tape, layer: int, following: "_Dense | None") -> None:
        self.tape, self.layer, self.following = tape, layer, following

    def forward(self) -> None:
        """Through this layer and those after it."""
        self.tape.Z.append(self.tape.at("affine", self.layer))
        self.tape.A.append(self.tape.at("activate", self.layer))
        if self.following is not None:
            self.following.forward()

    def backward(self) -> Array:
        """Those after it first; what this layer sends back."""
        tape, layer = self.tape, self.layer
        tape.ct[layer] = tape.at("error", layer) if self.following is None else self.following.backward()
        _delta(tape, layer)
        _products(tape, layer)
        _penalties(tape, layer)
        return tape.at("send", layer) if layer else None


def _objects(tape: Tape) -> None:
    layer: _Dense | None = None
    for index in reversed(tape.family.layers):
        layer = _Dense(tape, index, layer)
    assert layer is not None
    layer.forward()
    layer.backward()


_RUN: Mapping[str, Callable[[Tape], None]] = dict(
    zip(ORDERS, (_layer_by_layer, _deltas_first, _sample_by_sample, _objects), strict=True)
)


def loss_value(tape: Tape, weights: Sequence[Array], biases: Sequence[Any]) -> float:
    """The loss of a program with other parameters, by its own way forward."""
    family = tape.family
    own = Problem(family, tuple(weights), tuple(biases), tape.x, tape.t)
    forward = Tape(own, tape.style, tape.formulas)
    _forward(forward)
    terms = LOSS_TERMS[family.loss](forward.A[-1], tape.t) if family.loss is not None else forward.A[-1] * tape.t
    each = terms.mean(axis=1) if family.over_outputs == "mean" else terms.sum(axis=1)
    penalised = [*weights, *(biases if family.l2_on_bias and family.biased else ())]
    penalty = family.l2 / 2 * sum(float((array**2).sum()) for array in penalised)
    return float(family.scale * (each.mean() if family.averages else each.sum()) + penalty)


def gradients(problem: Problem, style: Style, formulas: Formulas) -> Gradients:
    """The gradients that a program hands over: (weights, bias) of each layer."""
    tape = Tape(problem, style, formulas)
    _RUN[style.order](tape)
    return tape.at("hand over", problem.family.last)


def step(problem: Problem, style: Style, formulas: Formulas, rate: float) -> Gradients:
    """The parameters after one step."""
    tape = Tape(problem, style, formulas, rate)
    _RUN[style.order](tape)
    for layer, (weights, bias) in enumerate(tape.at("hand over", problem.family.last)):
        tape.dW[layer], tape.db[layer] = weights, bias
    return [(tape.at("step of weights", layer), tape.at("step of bias", layer)) for layer in problem.family.layers]


def draw_style(rng: np.random.Generator) -> Style:
    """Any; that of rows, layer by layer, is the commonest."""
    return Style(
        order=str(rng.choice(ORDERS, p=(0.55, 0.2, 0.1, 0.15))),
        layout=str(rng.choice(LAYOUTS, p=(0.45, 0.25, 0.1, 0.1, 0.1))),
        mean=str(rng.choice(MEANS)),
        fused=bool(rng.uniform() < 0.75),
        derivative=str(rng.choice(("a", "z"))),
    )


def styles(family: Family) -> Sequence[Style]:
    """All that are possible for a family."""
    own = (family.activations[-1], family.loss) in FUSED
    return [
        Style(order, layout, mean, fused, derivative)
        for order in ORDERS
        for layout in LAYOUTS
        for mean in (MEANS if family.averages else MEANS[:1])
        for fused in ((True, False) if own else (True,))
        for derivative in ("a", "z")
    ]
