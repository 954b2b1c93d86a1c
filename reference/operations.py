"""Norms, gated blocks, residual and dropout in ball arithmetic: outputs and cotangents, correctly rounded to float64.

Cotangents are sums over the whole Jacobian, entry by entry, where programs write a projection. What is rational stays
exact: of a norm everything but one root per row, so that zeros are known to be zeros. Rows are samples.

d is a row x less its mean (rms_norm: x itself), s = √(mean of d² + ε), n the number of units.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from flint import ctx, fmpq
from numpy.typing import NDArray

from reference.balls import ONE, ZERO, Matrix, Real, ball, is_zero, round_to_float64, times, total, transpose
from reference.formulas import DERIVATIVES, VALUES
from reference.problem import Unit

PRECISIONS = (128, 512, 2048)  # bits
Numbers = dict[str, Any]  # arguments and results by name: rows of numbers, or one row
Rounded = dict[str, NDArray[np.float64]]


def _over(numerator: Real, denominator: Real) -> Real:
    """A quotient by a root; exactly 0 where the numerator alone is."""
    return ZERO if is_zero(numerator) and not is_zero(denominator) else ball(numerator) / ball(denominator)


def _norm(given: Numbers, ct: Matrix, settings: Mapping[str, fmpq], *, centred: bool) -> Numbers:
    """y_i = w_i d_i / s + b_i, and ∂y_i/∂x_j = w_i ((δ_ij − c/n) s² − d_i d_j / n) / s³, c = 1 if centred, else 0."""
    rows, results = given["x"], Numbers(y=[], ct_x=[])
    units = len(rows[0])
    weight, bias = given.get("weight") or [ONE] * units, given.get("bias") or [ZERO] * units
    ct_weight: list[list[Real]] = []
    for x, ct_y in zip(rows, ct, strict=True):
        mean = total(x) / units if centred else ZERO
        d = [number - mean for number in x]
        square = total(number * number for number in d) / units + settings["epsilon"]
        root = ball(square).sqrt()
        results["y"].append([_over(w * number, root) + b for w, number, b in zip(weight, d, bias, strict=True)])
        results["ct_x"].append(
            [
                _over(
                    total(
                        ct_y[i] * weight[i] * (((i == j) - fmpq(int(centred), units)) * square - d[i] * d[j] / units)
                        for i in range(units)
                    ),
                    square * root,
                )
                for j in range(units)
            ]
        )
        ct_weight.append([_over(c * number, root) for c, number in zip(ct_y, d, strict=True)])
    if given.get("weight"):
        results["ct_weight"] = [total(column) for column in transpose(ct_weight)]
    if given.get("bias"):
        results["ct_bias"] = [total(column) for column in transpose(ct)]
    return results


def _product(left: Matrix, right: Matrix) -> Matrix:
    columns = transpose(right)
    return [[total(times(a, b) for a, b in zip(row, column, strict=True)) for column in columns] for row in left]


def _gated(given: Numbers, ct: Matrix, activation: str) -> Numbers:
    """y_k = Σ_h f(z_h) u_h down_hk with z = x gate and u = x up, and its derivative by every number."""
    unit = Unit(activation, {})
    x, gate, up, down = (given[name] for name in ("x", "gate", "up", "down"))
    z, u = _product(x, gate), _product(x, up)
    a = [[VALUES[activation](number, unit) for number in row] for row in z]
    slope = [[DERIVATIVES[activation](number, unit) for number in row] for row in z]
    ct_h = _product(ct, transpose(down))

    def each(*parts: Matrix) -> Matrix:
        return [
            [times(times(first, second), third) for first, second, third in zip(*rows, strict=True)]
            for rows in zip(*parts, strict=True)
        ]

    ones: Matrix = [[ONE] * len(row) for row in u]
    hidden, ct_z, ct_u = each(u, a, ones), each(ct_h, u, slope), each(ct_h, a, ones)
    by_gate, by_up = _product(ct_z, transpose(gate)), _product(ct_u, transpose(up))
    return {
        "y": _product(hidden, down),
        "ct_x": [[p + q for p, q in zip(*rows, strict=True)] for rows in zip(by_gate, by_up, strict=True)],
        "ct_gate": _product(transpose(x), ct_z),
        "ct_up": _product(transpose(x), ct_u),
        "ct_down": _product(transpose(hidden), ct),
    }


def _residual(given: Numbers, ct: Matrix, settings: Mapping[str, fmpq]) -> Numbers:
    scale = settings["scale"]
    rows = zip(given["x"], given["branch"], strict=True)
    y = [[x + scale * b for x, b in zip(*pair, strict=True)] for pair in rows]
    return {"y": y, "ct_x": ct, "ct_branch": [[scale * c for c in row] for row in ct]}


def _dropout(given: Numbers, ct: Matrix, settings: Mapping[str, fmpq]) -> Numbers:
    kept = 1 - settings["rate"]

    def dropped(matrix: Matrix) -> Matrix:
        rows = zip(matrix, given["mask"], strict=True)
        return [[x / kept if keep else ZERO for x, keep in zip(*pair, strict=True)] for pair in rows]

    return {"y": dropped(given["x"]), "ct_x": dropped(ct)}


OPERATIONS: dict[str, Callable[[Numbers, Matrix, Mapping[str, fmpq]], Numbers]] = {
    "layer_norm": lambda given, ct, settings: _norm(given, ct, settings, centred=True),
    "rms_norm": lambda given, ct, settings: _norm(given, ct, settings, centred=False),
    "swiglu": lambda given, ct, settings: _gated(given, ct, "silu"),
    "geglu": lambda given, ct, settings: _gated(given, ct, "gelu"),
    "residual": _residual,
    "dropout": _dropout,
}


def _rational(value: Any) -> Any:
    """Nested lists of floats as exact numbers; booleans stay."""
    if isinstance(value, list):
        return [_rational(item) for item in value]
    return value if isinstance(value, bool) else fmpq(*float(value).as_integer_ratio())


def certified_operation(
    operation: str, arguments: Mapping[str, Any], ct_y: Any, settings: Mapping[str, float]
) -> Rounded:
    """Outputs and cotangents of an operation, each number the float64 nearest to the true one.

    Args:
        operation: a key of `OPERATIONS`.
        arguments: arrays by name, x of shape (rows, units); weights and biases that are left out are 1 and 0.
        ct_y: dLoss/dy, of the shape of y.
        settings: its numbers by name, exact float64 each: "epsilon" of norms, "scale", "rate".

    Returns:
        Arrays by name: y, and ct_x, ct_weight, … of the arguments that are floats.

    Raises:
        KeyError: for an unknown operation, or an argument or setting that is missing.
        ArithmeticError: if a number does not round to one float64 with 2048 bits, or is none, as of a row of zeros
            without epsilon.

    Example:
        >>> certified_operation("rms_norm", {"x": [[3.0, -3.0]]}, [[1.0, 0.0]], {"epsilon": 0.0})["ct_x"].tolist()
        [[0.16666666666666666, 0.16666666666666666]]
    """
    given = {name: _rational(np.asarray(array).tolist()) for name, array in arguments.items()}
    ct, exact = _rational(np.asarray(ct_y).tolist()), {name: _rational(number) for name, number in settings.items()}
    for bits in PRECISIONS:
        with ctx.workprec(bits):
            results = OPERATIONS[operation](given, ct, exact)
            rounded = {name: _rounded(value) for name, value in results.items()}
        if not any(np.isnan(array).any() for array in rounded.values()):
            return rounded
    raise ArithmeticError(f"a number of {operation} does not round to one float64 with {PRECISIONS[-1]} bits")


def _rounded(value: Sequence[Any]) -> NDArray[np.float64]:
    def each(item: Any) -> Any:
        if isinstance(item, list):
            return [each(one) for one in item]
        nearest = round_to_float64(item)
        return math.nan if nearest is None else nearest

    return np.array([each(item) for item in value], np.float64)
