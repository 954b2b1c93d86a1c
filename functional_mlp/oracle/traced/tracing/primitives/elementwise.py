"""Functions of single entries, and how far other ways of computing them may be off.

Units relative to the result are what a good library errs by; the absolute ones are those of the textbook's formula:
exp(x) - 1 for expm1, exponentials for tanh, 2^(x log2 e) for exp.
"""

from typing import Any

import numpy as np

from functional_mlp.oracle.traced.tracing.primitives.operation import (
    Kind,
    Operation,
    Primitive,
    Value,
    by_jax,
    elementwise,
    exact,
)

MOST_EXPONENT = 1e4  # beyond it an exponential overflows in any format


def _rounded(function: Any, relative: Any, absolute: Any = None, linear: bool = False) -> Primitive:
    evaluate = elementwise(function) if function is not None else by_jax
    return Primitive(evaluate, Kind.ROUNDED, relative, absolute, linear=linear)


def _one(y: Value, *x: Value) -> Any:
    return 1.0


def _divide(x: Value, y: Value) -> Value:
    if x.dtype.kind == "f":
        return x / y
    quotient = np.floor_divide(np.abs(x), np.abs(y))
    return (np.sign(x) * np.sign(y) * quotient).astype(x.dtype)


def _logistic(x: Value) -> Value:
    e = np.exp(-np.abs(x))  # 1 / (1 + exp(-x)) = exp(x) / (1 + exp(x)), whichever does not overflow
    return np.where(x >= 0, 1.0, e) / (1.0 + e)


def _of_power(y: Value, x: Value, e: Value) -> Value:
    return np.abs(y * e * np.log(np.where(x > 0, x, 1.0)))  # as exp(e log x)


def _times_of_power(operation: Operation) -> float:
    power = operation.params["y"]
    return max(1.0, abs(power) - 1.0) + (power < 0)


def _integer_power(operation: Operation, x: Value) -> Value:
    power = operation.params["y"]
    return x ** float(power) if x.dtype.kind == "f" else x**power


def horner(x: Value, *coefficients: Value) -> Any:
    """c_0 + c_1 x + c_2 x² + …"""
    total: Any = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        total = coefficient + x * total
    return total


def _of_terms(y: Value, x: Value, *coefficients: Value) -> Any:
    return 2 * len(coefficients) * horner(np.abs(x), *map(np.abs, coefficients))  # two roundings for each


def _of_argument(y: Value, x: Value) -> Value:
    return 1 + np.abs(x)


ROUNDED: dict[str, Primitive] = {
    "add": _rounded(np.add, 1.0),
    "add_any": _rounded(np.add, 1.0),
    "sub": _rounded(np.subtract, 1.0),
    "mul": _rounded(np.multiply, 1.0, linear=True),
    "div": _rounded(_divide, 2.0)._replace(pole=1),
    "rem": _rounded(np.fmod, 2.0, lambda y, x, d: np.abs(x)),
    "square": _rounded(np.square, 1.0),
    "one_minus_square": _rounded(lambda x: (1 + x) * (1 - x), 3.0),
    "polynomial": _rounded(horner, 1.0, _of_terms),
    "sqrt": _rounded(np.sqrt, 2.0),
    "rsqrt": _rounded(lambda x: 1 / np.sqrt(x), 3.0)._replace(pole=0),
    "cbrt": _rounded(np.cbrt, 2.0),
    "integer_pow": Primitive(_integer_power, Kind.ROUNDED, _times_of_power, pole=0),  # of negative powers
    "pow": _rounded(np.power, 2.0, _of_power),
    "exp": _rounded(np.exp, 2.0, lambda y, x: np.minimum(np.abs(x), MOST_EXPONENT) * y),
    "exp2": _rounded(np.exp2, 2.0, lambda y, x: np.minimum(np.abs(x), MOST_EXPONENT) * y),
    "expm1": _rounded(np.expm1, 2.0, lambda y, x: 1 + y),
    "log": _rounded(np.log, 2.0)._replace(pole=0),
    "log1p": _rounded(np.log1p, 2.0, _one),
    "logistic": _rounded(_logistic, 2.0, _one),
    "sin": _rounded(np.sin, 2.0, _of_argument),
    "cos": _rounded(np.cos, 2.0, _of_argument),
    "tan": _rounded(np.tan, 4.0, lambda y, x: (1 + np.abs(x)) * (1 + y * y)),
    "asin": _rounded(np.arcsin, 4.0, _one),
    "acos": _rounded(np.arccos, 4.0, _one),
    "atan": _rounded(np.arctan, 2.0, _one),
    "atan2": _rounded(np.arctan2, 2.0, _one),
    "sinh": _rounded(np.sinh, 2.0, lambda y, x: 1 + np.abs(x * y)),
    "cosh": _rounded(np.cosh, 2.0, lambda y, x: np.abs(x * y)),
    "tanh": _rounded(np.tanh, 2.0, _one),
    "asinh": _rounded(np.arcsinh, 4.0, _one),
    "acosh": _rounded(np.arccosh, 4.0, _one),
    "atanh": _rounded(np.arctanh, 4.0, _one),
    "erf": _rounded(None, 2.0, lambda y, x: 3.0),  # by Abramowitz and Stegun, 7.1.26
    "erfc": _rounded(None, 2.0, lambda y, x: 3.0),
    **{
        name: _rounded(None, 8.0, _one)
        for name in (
            *("erf_inv", "lgamma", "digamma", "polygamma", "zeta", "igamma", "igammac", "igamma_grad_a"),
            *("random_gamma_grad", "regularized_incomplete_beta", "bessel_i0e", "bessel_i1e"),
        )
    },
}


def _clamp(low: Value, x: Value, high: Value) -> Value:
    return np.minimum(np.maximum(x, low), high)


def _select(operation: Operation, which: Value, *cases: Value) -> Value:
    if which.ndim > operation.ranks[0] and operation.ranks[0] < operation.ranks[1]:
        which = which.reshape(which.shape + (1,) * operation.ranks[1])
    if len(cases) == 1:
        return cases[0]
    if which.dtype == bool:
        return np.where(which, cases[1], cases[0])
    return np.choose(which, cases)


EXACT: dict[str, Primitive] = {
    "neg": exact(np.negative)._replace(linear=True),
    "abs": exact(np.abs),
    "max": exact(np.maximum),
    "min": exact(np.minimum),
    "clamp": exact(_clamp),
    "select_n": Primitive(_select),
    "not": exact(np.bitwise_not),
    "and": exact(np.bitwise_and),
    "or": exact(np.bitwise_or),
    "xor": exact(np.bitwise_xor),
    "shift_left": exact(np.left_shift),
}
