"""The referee: forward and backward pass of a multilayer perceptron in ball arithmetic, rounded correctly to float64.

Parameters and data are taken as the exact numbers that their float64 are. Everything is computed with balls (Arb, by
python-flint) that certainly hold the true value, with more and more bits until each ball rounds to one float64: those
are the results, so each is the float64 nearest to the truth. After the first round what is rational stays rational
(relu networks with squared error altogether), which decides zeros at kinks and ties that no ball can.

The derivative at a kink (z = 0 of relu, leaky_relu, elu; both ends of hardtanh, …) is that of the flat side (of relu's
relatives: the left side) or the one that the case chooses. While it is open on which side z lies, the derivative is a
ball around all three numbers, so nothing is decided early. What is still open with
`max_bits` bits raises `UndecidedError`, for instance z = tanh(u) − tanh(u) at a relu: no number of bits shows that as
zero. So may saturation too deep for the exponents of Arb: |z| past 1e76, in gelu 1e38, beside a half-way case.

It is written from the definitions: no fused output layer, nothing shared with functional_mlp or the rest of
`reference`. Refused: other precisions than float64, non-finite data, and speed.

Dimensions: n samples, l layer of n_l units, fan_in = n_{l−1}, fan_out = n_l, K outputs. `ct_v` is dLoss/dv.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from flint import arb, ctx, fmpq
from numpy.typing import NDArray

from reference.balls import (
    ONE,
    ZERO,
    Matrix,
    Real,
    ball,
    decimal,
    product,
    round_to_float64,
    sign,
    times,
    total,
    transpose,
    ulp_distance,
)
from reference.formulas import activated, loss_row, through_activation
from reference.pieces import pieces_of
from reference.problem import Case, LossSpec, Problem, checked, rational

__all__ = ["Case", "Solution", "UndecidedError", "decimal", "round_to_float64", "solve", "ulp_distance"]

START_BITS = 128
# Cancellation ends where float64 underflows: 2200 bits are enough unless numbers are huge as well.
MAX_BITS = 8192


class Solution(NamedTuple):
    """Every intermediate and gradient, NumPy float64, rounded correctly; zero carries no sign.

    Attributes:
        loss: (), penalty included; None without a loss.
        outputs: (n, K).
        pre_activations: z_l (n, n_l) per layer.
        activations: a_l (n, n_l) per layer, the inputs not among them.
        deltas: ct_z_l (n, n_l) per layer.
        grads: (ct_weights (fan_in, fan_out), ct_bias (fan_out,) or None) per layer, gradient of the penalty included.
        ct_inputs: (n, n_0).
        bits: the working precision at which every ball rounded.
        leaves: the same arrays by name: loss, outputs, pre_activations.0, activations.0, deltas.0, grads.0.weights,
            grads.0.bias, …, ct_inputs.
        balls: the same names; arrays (dtype object) of numbers that `ulp_distance` and `decimal` take.
    """

    loss: NDArray[np.float64] | None
    outputs: NDArray[np.float64]
    pre_activations: tuple[NDArray[np.float64], ...]
    activations: tuple[NDArray[np.float64], ...]
    deltas: tuple[NDArray[np.float64], ...]
    grads: tuple[tuple[NDArray[np.float64], NDArray[np.float64] | None], ...]
    ct_inputs: NDArray[np.float64]
    bits: int
    leaves: dict[str, NDArray[np.float64]]
    balls: dict[str, NDArray[np.object_]]


class UndecidedError(ArithmeticError):
    """The precision limit was reached before this entry rounded to one float64.

    Attributes:
        entry: leaf and index, such as "deltas.0[1, 2]".
        known: what is known of it.
        bits: the limit.
    """

    def __init__(self, entry: str, known: Real, bits: int, kink: tuple[str, Real] | None) -> None:
        reason = "" if kink is None else f"; {kink[0]} may be exactly {kink[1]}, at its activation's kink"
        number = ball(known).str(20)
        super().__init__(f"{entry} does not round to one float64 with {bits} bits: {number}{reason}; raise max_bits")
        self.entry, self.known, self.bits = entry, known, bits


def _coefficients(problem: Problem, loss: LossSpec) -> list[Real]:
    """Return what the terms of each sample are multiplied by: scale, both divisors, sample weights; exactly."""
    n, outputs = len(problem.inputs), problem.params[-1][0].shape[1]
    given = problem.sample_weights
    weights = [ONE] * n if given is None else [rational(s) for s in given.tolist()]
    targets = [[rational(x) for x in row] for row in problem.given.tolist()]
    if loss.ignore_index is not None:  # the rows of ignored samples are all 0
        weights = [s if any(x != 0 for x in row) else ZERO for s, row in zip(weights, targets, strict=True)]
    divisor: Real = ONE
    if loss.over_samples == "batch_mean":
        divisor = fmpq(sum(s != 0 for s in weights))
    elif loss.over_samples == "mean":
        by_class = loss.class_weights
        of_classes = [
            ONE if by_class is None else total(x * w for x, w in zip(row, by_class, strict=True)) for row in targets
        ]
        divisor = total(s * w for s, w in zip(weights, of_classes, strict=True))
    if loss.over_outputs == "mean":
        divisor = divisor * outputs
    return [loss.scale * s / divisor if s != 0 else ZERO for s in weights]


def _decay(factors: tuple[Real, Real], x: Real) -> Real:
    """Return l2 · x + l1 · sign(x), the gradient of the penalties; sign(0) is 0. A parameter is known exactly."""
    return times(factors[0], x) + factors[1] * fmpq(sign(x) or 0)


Params = list[tuple[Matrix, list[Real] | None]]


def given_params(problem: Problem, *, exact: bool) -> Params:
    """Return the parameters of a problem, per layer (weights, bias or None), as rationals or as balls."""
    lift: Callable[[float], Real] = rational if exact else arb  # a float64 is exact as an arb too
    return [
        ([[lift(x) for x in row] for row in w.tolist()], None if b is None else [lift(x) for x in b.tolist()])
        for w, b in problem.params
    ]


def evaluate(problem: Problem, params: Params, *, exact: bool) -> dict[str, Any]:
    """Run both passes at the precision of `flint.ctx`, and at these parameters; return leaves by name, as nested lists.

    Parameters that the penalty l1 covers must be of a known sign.
    """
    lift: Callable[[float], Real] = rational if exact else arb

    def matrix(array: NDArray[np.float64]) -> Matrix:
        return [[lift(x) for x in row] for row in array.tolist()]

    weights, biases = [w for w, _ in params], [b for _, b in params]
    leaves: dict[str, Any] = {}
    pre_activations: list[Matrix] = []
    activations = [matrix(problem.inputs)]
    for layer, (unit, w, b) in enumerate(zip(problem.units, weights, biases, strict=True)):
        z = product(activations[-1], w, exact=exact)
        if b is not None:
            z = [[x + shift for x, shift in zip(row, b, strict=True)] for row in z]
        pre_activations.append(z)
        activations.append([activated(unit, row) for row in z])
        leaves[f"pre_activations.{layer}"], leaves[f"activations.{layer}"] = z, activations[-1]
    leaves["outputs"] = activations[-1]

    loss, ct = problem.loss, matrix(problem.given)
    if loss is not None:
        coefficients = _coefficients(problem, loss)
        rows = [
            loss_row(loss, problem.units[-1], z, o, t)
            for z, o, t in zip(pre_activations[-1], activations[-1], ct, strict=True)
        ]
        value = total(times(c, total(terms)) for c, (terms, _) in zip(coefficients, rows, strict=True))
        ct = [[times(c, x) for x in row] for c, (_, row) in zip(coefficients, rows, strict=True)]
        penalised = [x for w in weights for row in w for x in row]
        if loss.l2_on_bias:
            penalised += [x for b in biases if b is not None for x in b]
        leaves["loss"] = value + times(loss.l2 / 2, total(x * x for x in penalised))
        leaves["loss"] = leaves["loss"] + times(loss.l1, total(fmpq(sign(x) or 0) * x for x in penalised))
    decays = (ZERO, ZERO) if loss is None else (loss.l2, loss.l1)
    bias_decays = decays if loss is not None and loss.l2_on_bias else (ZERO, ZERO)

    for layer in range(len(weights) - 1, -1, -1):
        unit, w, b = problem.units[layer], weights[layer], biases[layer]
        ct_z = [
            through_activation(unit, z_row, ct_row) for z_row, ct_row in zip(pre_activations[layer], ct, strict=True)
        ]
        ct_w = product(transpose(activations[layer]), ct_z, exact=exact)
        leaves[f"deltas.{layer}"] = ct_z
        leaves[f"grads.{layer}.weights"] = [
            [g + _decay(decays, x) for g, x in zip(g_row, w_row, strict=True)]
            for g_row, w_row in zip(ct_w, w, strict=True)
        ]
        if b is not None:
            sums = [total(column) for column in transpose(ct_z)]
            leaves[f"grads.{layer}.bias"] = [g + _decay(bias_decays, x) for g, x in zip(sums, b, strict=True)]
        ct = product(ct_z, transpose(w), exact=exact)
    leaves["ct_inputs"] = ct
    return leaves


def _open_kink(problem: Problem, balls: Mapping[str, NDArray[np.object_]]) -> tuple[str, Real] | None:
    """Return the first pre-activation of which it is open on which side of a kink it lies, if any."""
    for layer, unit in enumerate(problem.units):
        for kink in pieces_of(unit).kinks:
            for index, number in np.ndenumerate(balls[f"pre_activations.{layer}"]):
                if sign(number - kink.position) is None:
                    return f"pre_activations.{layer}[{', '.join(map(str, index))}]", kink.position
    return None


def _rounded(
    balls: Mapping[str, NDArray[np.object_]],
) -> tuple[dict[str, NDArray[np.float64]], tuple[str, Real] | None]:
    """Return every leaf as float64, and name and ball of the first entry that does not round to one (None: all do)."""
    leaves: dict[str, NDArray[np.float64]] = {}
    for name, array in balls.items():
        leaf = np.empty(array.shape)
        for index, number in np.ndenumerate(array):
            nearest = round_to_float64(number)
            if nearest is None:
                return leaves, (name + (f"[{', '.join(map(str, index))}]" if index else ""), number)
            leaf[index] = nearest
        leaves[name] = leaf
    return leaves, None


def ladder(start_bits: int, max_bits: int) -> Iterator[tuple[int, bool]]:
    """Yield each precision (four times the last; the limit) and whether rationals are kept: from the second on."""
    bits = start_bits
    while bits < max_bits:
        yield bits, bits > start_bits
        bits *= 4
    yield max_bits, True


def _solution(
    layers: int, bits: int, leaves: dict[str, NDArray[np.float64]], balls: dict[str, NDArray[np.object_]]
) -> Solution:
    def each(name: str) -> tuple[NDArray[np.float64], ...]:
        return tuple(leaves[f"{name}.{layer}"] for layer in range(layers))

    return Solution(
        loss=leaves.get("loss"),
        outputs=leaves["outputs"],
        pre_activations=each("pre_activations"),
        activations=each("activations"),
        deltas=each("deltas"),
        grads=tuple((leaves[f"grads.{layer}.weights"], leaves.get(f"grads.{layer}.bias")) for layer in range(layers)),
        ct_inputs=leaves["ct_inputs"],
        bits=bits,
        leaves=leaves,
        balls=balls,
    )


def solve(case: Case, *, start_bits: int = START_BITS, max_bits: int = MAX_BITS) -> Solution:
    """Return every intermediate and gradient of the case, each the float64 nearest to the true value.

    Args:
        case: network, loss or cotangent, parameters and data.
        start_bits: the first working precision; it changes the time taken, never the result.
        max_bits: the last one.

    Raises:
        TypeError: for something that is no array of numbers.
        ValueError: for shapes that do not fit, numbers that are not finite, unknown names.
        UndecidedError: if an entry does not round to one float64 with max_bits bits; it names the entry.

    Example:
        >>> case = Case((1, 1), "sigmoid", [([[3.0]], [0.0])], [[1.0]], {"kind": "squared_error"}, [[0.5]])
        >>> solve(case).loss
        array(0.20482334)
    """
    problem = checked(case)
    for bits, exact in ladder(start_bits, max_bits):
        with ctx.workprec(bits):
            evaluated = evaluate(problem, given_params(problem, exact=exact), exact=exact)
            balls = {name: np.array(leaf, dtype=object) for name, leaf in evaluated.items()}
            leaves, open_entry = _rounded(balls)
        if open_entry is None:
            return _solution(len(problem.units), bits, leaves, balls)
    assert open_entry is not None
    with ctx.workprec(max_bits):  # signs known with these bits may be open with fewer
        kink = _open_kink(problem, balls)
    raise UndecidedError(*open_entry, max_bits, kink)
