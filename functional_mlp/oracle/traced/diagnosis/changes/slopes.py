"""Slopes that people take for those of an operation that works entry by entry, as data.

By primitive, for each operand: words, and a function of (params, y, *x). That a slope is left out, or taken twice, is
not here: it is made of all of them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

WRONG_SLOPES: dict[str, tuple[tuple[tuple[str, Callable[..., Any]], ...], ...]] = {
    "tanh": (
        (
            ("1 - y for the slope of tanh, 1 - y**2", lambda p, y, x: 1 - y),
            ("1 - x**2 for the slope of tanh, 1 - y**2", lambda p, y, x: 1 - x * x),
            ("y (1 - y), the slope of the sigmoid, for that of tanh", lambda p, y, x: y * (1 - y)),
            ("1 + y**2 for the slope of tanh, 1 - y**2", lambda p, y, x: 1 + y * y),
            ("y for the slope of tanh, 1 - y**2", lambda p, y, x: y),
        ),
    ),
    "logistic": (
        (
            ("y for the slope of the sigmoid, y (1 - y)", lambda p, y, x: y),
            ("1 - y for the slope of the sigmoid, y (1 - y)", lambda p, y, x: 1 - y),
            ("x (1 - x) for the slope of the sigmoid, y (1 - y)", lambda p, y, x: x * (1 - x)),
            ("1 - y**2, the slope of tanh, for that of the sigmoid", lambda p, y, x: 1 - y * y),
            ("y (1 + y) for the slope of the sigmoid, y (1 - y)", lambda p, y, x: y * (1 + y)),
            ("y**2 for the slope of the sigmoid, y (1 - y)", lambda p, y, x: y * y),
        ),
    ),
    "exp": ((("x for the slope of exp, y", lambda p, y, x: x),),),
    "expm1": ((("y for the slope of expm1, y + 1", lambda p, y, x: y),),),
    "log": ((("x for the slope of log, 1 / x", lambda p, y, x: x),),),
    "log1p": ((("1 / x for the slope of log1p, 1 / (1 + x)", lambda p, y, x: 1 / x),),),
    "sqrt": (
        (
            ("1/2 / x for the slope of sqrt, 1/2 / sqrt(x)", lambda p, y, x: 0.5 / x),
            ("1/2 for the slope of sqrt, 1/2 / sqrt(x)", lambda p, y, x: 0.5 + 0 * x),
            ("1/2 sqrt(x) for the slope of sqrt, 1/2 / sqrt(x)", lambda p, y, x: 0.5 * y),
        ),
    ),
    "rsqrt": (
        (
            ("-1/2 x**-1/2 for the slope of rsqrt, -1/2 x**-3/2", lambda p, y, x: -0.5 * y),
            ("-1/2 / x for the slope of rsqrt, -1/2 x**-3/2", lambda p, y, x: -0.5 / x),
            ("-1/2 x**-5/2 for the slope of rsqrt, -1/2 x**-3/2", lambda p, y, x: -0.5 * y / (x * x)),
        ),
    ),
    "erf": (
        (
            (
                "exp(-x**2 / 2) for exp(-x**2) in the slope of erf",
                lambda p, y, x: 1.1283791670955126 * np.exp(-x * x / 2),
            ),
        ),
    ),
    "sin": ((("sin for the slope of sin, cos", lambda p, y, x: y),),),
    "cos": ((("cos for the slope of cos, -sin", lambda p, y, x: y),),),
    "square": ((("x**2 for the slope of x**2, 2 x", lambda p, y, x: y),),),
    "integer_pow": (
        (
            ("the power that was to be differentiated, for its slope", lambda p, y, x: y),
            ("x**(n - 1) for the slope of x**n, n x**(n - 1)", lambda p, y, x: np.power(x, float(p["y"] - 1))),
            ("n x**n for the slope of x**n, n x**(n - 1)", lambda p, y, x: p["y"] * y),
        ),
    ),
    "abs": ((("x for the slope of abs, the sign", lambda p, y, x: x),),),
    "mul": (
        (("divided instead of multiplied by the other factor", lambda p, y, a, b: 1 / b),),
        (("divided instead of multiplied by the other factor", lambda p, y, a, b: 1 / a),),
    ),
    "div": (
        (("multiplied instead of divided by the divisor", lambda p, y, a, b: b),),
        (
            ("-a / b for the slope -a / b**2 to the divisor", lambda p, y, a, b: -a / b),
            ("-1 / b**2 for the slope -a / b**2 to the divisor", lambda p, y, a, b: -1 / (b * b)),
            ("-a for the slope -a / b**2 to the divisor", lambda p, y, a, b: -a + 0 * b),
            ("1 / b for the slope -a / b**2 to the divisor", lambda p, y, a, b: 1 / b + 0 * a),
            ("-a / b**3 for the slope -a / b**2 to the divisor", lambda p, y, a, b: -a / (b * b * b)),
        ),
    ),
    "max": (
        (("what the condition (the larger of two) chooses is ignored", lambda p, y, a, b: 1.0 + 0 * a * b),),
        (("what the condition (the larger of two) chooses is ignored", lambda p, y, a, b: 1.0 + 0 * a * b),),
    ),
    "clamp": ((), (("the bounds are ignored", lambda p, y, low, x, high: 1.0 + 0 * x),), ()),
}
WRONG_SLOPES["min"] = WRONG_SLOPES["max"]
PLAIN = frozenset(
    {"neg", "add", "add_any", "sub", "copy", "copy_p", "carry", "convert_element_type", "max", "min", "clamp"}
)
