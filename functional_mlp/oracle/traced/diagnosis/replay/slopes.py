"""Derivatives of the operations that work entry by entry: name -> for each operand a function of (params, y, *x).

None stands for an operand that has no derivative. What is at a kink is as JAX has it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from functional_mlp.oracle.traced.diagnosis.replay.tape import Step
from functional_mlp.oracle.traced.tracing.primitives import horner

Slope = Callable[..., Any]


def _max_share(y: Any, a: Any, b: Any) -> Any:
    """Of `a`, the share in max(a, b) or min(a, b): half at a tie."""
    return np.where(a == b, 0.5, np.where(y == a, 1.0, 0.0))


def _power_slope(p: Any, y: Any, x: Any) -> Any:
    n = p["y"]
    return np.zeros_like(x) if n == 0 else n * np.power(x, float(n - 1))


SLOPES: dict[str, tuple[Slope | None, ...]] = {
    "neg": (lambda p, y, x: -1.0,),
    "add": (lambda p, y, a, b: 1.0, lambda p, y, a, b: 1.0),
    "add_any": (lambda p, y, a, b: 1.0, lambda p, y, a, b: 1.0),
    "sub": (lambda p, y, a, b: 1.0, lambda p, y, a, b: -1.0),
    "mul": (lambda p, y, a, b: b, lambda p, y, a, b: a),
    "div": (lambda p, y, a, b: 1 / b, lambda p, y, a, b: -a / (b * b)),
    "max": (lambda p, y, a, b: _max_share(y, a, b), lambda p, y, a, b: _max_share(y, b, a)),
    "min": (lambda p, y, a, b: _max_share(y, a, b), lambda p, y, a, b: _max_share(y, b, a)),
    "exp": (lambda p, y, x: y,),
    "exp2": (lambda p, y, x: y * np.log(2.0),),
    "log": (lambda p, y, x: 1 / x,),
    "log1p": (lambda p, y, x: 1 / (1 + x),),
    "expm1": (lambda p, y, x: y + 1,),
    "tanh": (lambda p, y, x: 1 - y * y,),
    "logistic": (lambda p, y, x: y * (1 - y),),
    "sqrt": (lambda p, y, x: 0.5 / y,),
    "rsqrt": (lambda p, y, x: -0.5 * y / x,),
    "cbrt": (lambda p, y, x: y / (3 * x),),
    "sin": (lambda p, y, x: np.cos(x),),
    "cos": (lambda p, y, x: -np.sin(x),),
    "tan": (lambda p, y, x: 1 + y * y,),
    "atan": (lambda p, y, x: 1 / (1 + x * x),),
    "sinh": (lambda p, y, x: np.cosh(x),),
    "cosh": (lambda p, y, x: np.sinh(x),),
    "erf": (lambda p, y, x: 2 / np.sqrt(np.pi) * np.exp(-x * x),),
    "erfc": (lambda p, y, x: -2 / np.sqrt(np.pi) * np.exp(-x * x),),
    "square": (lambda p, y, x: 2 * x,),
    "one_minus_square": (lambda p, y, x: -2 * x,),
    "integer_pow": (_power_slope,),
    "abs": (lambda p, y, x: np.sign(x),),
    "clamp": (None, lambda p, y, low, x, high: ((x > low) & (x < high)).astype(float), None),
    "copy": (lambda p, y, x: 1.0,),
    "copy_p": (lambda p, y, x: 1.0,),
    "carry": (lambda p, y, x: 1.0,),
    "convert_element_type": (lambda p, y, x: 1.0,),
    "reduce_precision": (lambda p, y, x: 1.0,),
}


def _polynomial_slope(params: Any, y: Any, x: Any, *coefficients: Any) -> Any:
    return horner(x, *(power * own for power, own in enumerate(coefficients[1:], 1)))


def _power_of_x(power: int, params: Any, y: Any, x: Any, *coefficients: Any) -> Any:
    return x**power


def slopes_of(step: Step) -> tuple[Slope | None, ...] | None:
    """The derivatives of an operation that works entry by entry; None for others."""
    if step.name == "polynomial":
        return (_polynomial_slope, *(partial(_power_of_x, power) for power in range(len(step.operands) - 1)))
    return step.params["slopes"] if step.name == "function" else SLOPES.get(step.name)
