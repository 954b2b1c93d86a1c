"""Activations written as expressions in z, such as "z**3" or "max(0, z)**2": parsed, never run as Python.

The grammar: numbers, z, pi, + - * / and parentheses, ** with an exponent that does not depend on z, the functions of
`FUNCTIONS`, max(a, b), min(a, b) and where(condition, a, b) with one of < <= > >=. The derivative is by forward rules;
where it jumps it is what JAX takes: 1 for abs at 0, the mean of both sides for max and min, the branch taken for where.
Refused: everything else, and texts longer than `MAX_CHARACTERS`.
"""

import ast
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jax.scipy.special import erf as erf_of_jax

from functional_mlp._dtypes import EitherArray, namespace
from functional_mlp.activations.activation import Activation
from functional_mlp.activations.primitives import logistic, sigmoid_parts

MAX_CHARACTERS, MAX_NODES, MAX_DEPTH = 400, 200, 40


def _erf(x: Any) -> Any:
    if not isinstance(x, np.ndarray):
        return erf_of_jax(x)
    from scipy.special import erf  # type: ignore[import-untyped]  # a tenth of a second, which few need

    return erf(x)


def _reciprocal_cosh_squared(x: Any) -> Any:
    h = namespace(x).exp(-namespace(x).abs(x))
    r = 2 * h / (1 + h * h)
    return r * r


def _logistic_slope(x: Any) -> Any:
    e, r = sigmoid_parts(x)
    return e * r * r


def _of_namespace(name: str) -> Callable[[Any], Any]:
    return lambda x: getattr(namespace(x), name)(x)


# name: the function, and its derivative from (x, value)
FUNCTIONS: Mapping[str, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
    "exp": (_of_namespace("exp"), lambda x, a: a),
    "expm1": (_of_namespace("expm1"), lambda x, a: namespace(x).exp(x)),
    "log": (_of_namespace("log"), lambda x, a: 1 / x),
    "log1p": (_of_namespace("log1p"), lambda x, a: 1 / (1 + x)),
    "sqrt": (_of_namespace("sqrt"), lambda x, a: 0.5 / a),
    "abs": (_of_namespace("abs"), lambda x, a: namespace(x).where(x >= 0, 1.0, -1.0)),
    "sin": (_of_namespace("sin"), lambda x, a: namespace(x).cos(x)),
    "cos": (_of_namespace("cos"), lambda x, a: -namespace(x).sin(x)),
    "sinh": (_of_namespace("sinh"), lambda x, a: namespace(x).cosh(x)),
    "cosh": (_of_namespace("cosh"), lambda x, a: namespace(x).sinh(x)),
    "tanh": (_of_namespace("tanh"), lambda x, a: _reciprocal_cosh_squared(x)),
    "atan": (_of_namespace("arctan"), lambda x, a: 1 / (1 + x * x)),
    "sigmoid": (logistic, lambda x, a: _logistic_slope(x)),
    "erf": (_erf, lambda x, a: 2 / math.sqrt(math.pi) * namespace(x).exp(-x * x)),
}
OPERATORS: Mapping[type, str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
COMPARISONS: Mapping[type, str] = {ast.Lt: "less", ast.LtE: "less_equal", ast.Gt: "greater", ast.GtE: "greater_equal"}
CONSTANTS = {"pi": math.pi}

Tree = Any  # a number; "z"; or (operation, argument, …), of these


@lru_cache(maxsize=64)
def parsed(text: str) -> Tree:
    """The tree of an expression: a number, "z", or a tuple of an operation and trees.

    Raises:
        ValueError: for what the grammar does not have; the sentence says what it has.
    """
    if len(text) > MAX_CHARACTERS:
        raise _refused(text, f"{len(text)} characters, of which {MAX_CHARACTERS} are the most")
    try:
        syntax = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise _refused(text, "something that cannot be parsed") from None
    if sum(1 for _ in ast.walk(syntax)) > MAX_NODES:
        raise _refused(text, f"more than {MAX_NODES} parts")
    return _tree(text, syntax.body, MAX_DEPTH)


def _refused(text: str, got: str) -> ValueError:
    return ValueError(
        f"expected an expression in z such as 'z**3', of numbers, z, pi, + - * / ** (), max, min,"
        f" where(z > 0, …, …) and {', '.join(FUNCTIONS)}; got {got}, in {text[:60]!r}"
    )


def _depends(tree: Tree) -> bool:
    return tree == "z" or (isinstance(tree, tuple) and any(map(_depends, tree[1:])))


def _tree(text: str, node: Any, depth: int) -> Tree:
    """The tree of a node of Python's syntax; parts without z become numbers."""
    if depth == 0:
        raise _refused(text, "more than 40 levels of parentheses")
    tree = _operation(text, node, lambda part: _tree(text, part, depth - 1))
    if isinstance(tree, tuple) and not _depends(tree):
        tree = _constant(tree)
        if not math.isfinite(tree):
            raise _refused(text, "a constant that is not finite")
    return tree


def _constant(tree: Tree) -> float:
    """The number that a tree without z is; NaN for what is none, or beyond float64."""
    try:
        with np.errstate(all="ignore"):
            [number] = _dual(tree, np.zeros(1))[0] + np.zeros(1)
    except ArithmeticError:
        return math.nan
    return float(number) if isinstance(number, np.floating) else math.nan


def _operation(text: str, node: Any, tree: Callable[[Any], Tree]) -> Tree:
    match node:
        case ast.Constant(value=bool()) | ast.Constant(value=complex()):
            raise _refused(text, repr(node.value))
        case ast.Constant(value=int() | float() as number):
            if abs(number) > 1e300:
                raise _refused(text, "a number beyond 1e300")
            return float(number)
        case ast.Name(id="z"):
            return "z"
        case ast.Name(id=name) if name in CONSTANTS:
            return CONSTANTS[name]
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return tree(operand)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return ("-", 0.0, tree(operand)) if not isinstance(operand, ast.Constant) else -tree(operand)
        case ast.BinOp(op=ast.Pow(), left=left, right=right):
            exponent = tree(right)
            if not isinstance(exponent, float):
                raise _refused(text, "an exponent that depends on z; write exp(… * log(…))")
            return ("**", tree(left), exponent)
        case ast.BinOp(op=ast.BitXor()):
            raise _refused(text, "^, where a power is **")
        case ast.BinOp(op=operator, left=left, right=right) if type(operator) in OPERATORS:
            return (OPERATORS[type(operator)], tree(left), tree(right))
        case ast.Call(
            func=ast.Name(id="where"), args=[ast.Compare(left=left, ops=[by], comparators=[right]), *rest]
        ) if type(by) in COMPARISONS and len(rest) == 2:
            return ("where", (COMPARISONS[type(by)], tree(left), tree(right)), *map(tree, rest))
        case ast.Call(func=ast.Name(id="max" | "min" as name), args=[left, right], keywords=[]):
            return (name, tree(left), tree(right))
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
            return (name, tree(argument))
    raise _refused(text, ast.unparse(node)[:40])


def _dual(tree: Tree, z: EitherArray) -> tuple[Any, Any]:
    """The value of a tree and its derivative by z; None for the derivative of what does not depend on z."""
    if tree == "z":
        return z, namespace(z).ones_like(z)
    if not isinstance(tree, tuple):
        return tree, None
    operation, *arguments = tree
    xp = namespace(z)
    if operation == "where":
        (by, *compared), left, right = arguments
        taken = getattr(xp, by)(*(_dual(part, z)[0] for part in compared))
        parts = [_dual(part, z) for part in (left, right)]
        values, slopes = (
            [xp.zeros_like(z) if x is None else x + xp.zeros_like(z) for x in pair] for pair in zip(*parts, strict=True)
        )
        return xp.where(taken, *values), xp.where(taken, *slopes)
    if operation in FUNCTIONS:
        (x, slope), (function, derivative) = _dual(arguments[0], z), FUNCTIONS[operation]
        x = x if slope is not None else x + xp.zeros_like(z)
        value = function(x)
        return value, None if slope is None else derivative(x, value) * slope
    (a, da), (b, db) = (_dual(part, z) for part in arguments)
    return _VALUES[operation](xp, a, b), _slope(operation, xp, (a, da), (b, db))


_VALUES: Mapping[str, Callable[..., Any]] = {
    "+": lambda xp, a, b: a + b,
    "-": lambda xp, a, b: a - b,
    "*": lambda xp, a, b: a * b,
    "/": lambda xp, a, b: a / b,
    "**": lambda xp, a, b: a ** (int(b) if b == int(b) and abs(b) < 1000 else b),
    "max": lambda xp, a, b: xp.maximum(a, b),
    "min": lambda xp, a, b: xp.minimum(a, b),
}


def _slope(operation: str, xp: Any, left: tuple[Any, Any], right: tuple[Any, Any]) -> Any:
    """The derivative of an operation of two parts, each with its own; None where neither depends on z."""
    (a, da), (b, db) = left, right
    if operation == "**":
        return None if da is None else (b * _VALUES["**"](xp, a, b - 1)) * da if b != 1 else da
    if operation in ("max", "min"):
        first, second = (a, b) if operation == "max" else (b, a)
        weight = xp.where(first > second, 1.0, xp.where(first < second, 0.0, 0.5))
        weights = (weight, 1 - weight)
    else:
        weights = {"+": (1, 1), "-": (1, -1), "*": (b, a)}.get(operation) or (1 / b, -(a / b) / b)
    terms = [weight * slope for weight, slope in zip(weights, (da, db), strict=True) if slope is not None]
    return sum(terms[1:], terms[0]) if terms else None


@dataclass(frozen=True)
class Expression:
    """The value of an expression; it serves JAX's arrays and NumPy's, and is equal to another one of the same text."""

    text: str
    serves_numpy = True

    def __call__(self, z: EitherArray) -> EitherArray:
        """The values, of the shape and dtype of z."""
        value = _dual(parsed(self.text), z)[0]
        return namespace(z).where(z == z, value, z).astype(z.dtype)


@dataclass(frozen=True)
class Slope:
    """The VJP of an expression."""

    text: str
    serves_numpy = True

    def __call__(self, z: EitherArray, a: EitherArray, ct_a: EitherArray) -> EitherArray:
        """The cotangent of z."""
        slope = _dual(parsed(self.text), z)[1]
        return (ct_a * namespace(z).where(z == z, slope, z)).astype(z.dtype)


def from_expression(
    name: Any, expression: Any, derivative: Any = None, taken: Collection[str] = (), **others: Any
) -> Activation:
    """The activation that an expression in z describes.

    Args:
        name: what messages and files call it.
        expression: a text of the grammar above.
        derivative: somebody's formula of its derivative, likewise, which is only compared with the true one.
        taken: names that mean other activations, in small letters and digits.
        others: refused.

    Raises:
        TypeError: for what is no text.
        ValueError: for what the grammar does not have, a name that is taken, a derivative that is not the expression's.

    Example:
        >>> from_expression("cube", "z**3").vjp_fn(np.array([2.0]), np.array([8.0]), np.array([1.0])).tolist()
        [12.0]
    """
    if others:
        raise ValueError(f"expected an activation of name, expression and derivative alone, got {next(iter(others))!r}")
    for what, text in (
        ("name", name),
        ("expression", expression),
        ("derivative", "z" if derivative is None else derivative),
    ):
        if not isinstance(text, str):
            raise TypeError(f"expected the {what} of an activation as a text, got {text!r}")
    if "".join(filter(str.isalnum, name.lower())) in taken:
        raise ValueError(f"expected another name than {name!r} beside an expression: that is a known activation")
    if not _depends(parsed(expression)):
        raise _refused(expression, "a constant, in which there is no z")
    if derivative is not None:
        _require_derivative(name, expression, derivative)
    return Activation(name, Expression(expression), Slope(expression))


def _require_derivative(name: str, expression: str, derivative: str) -> None:
    """Raises ValueError where somebody's formula of the derivative differs from the true one, away from jumps."""
    z = np.random.default_rng(0).normal(size=64) * 2
    with np.errstate(all="ignore"):
        true, given = _dual(parsed(expression), z)[1], _dual(parsed(derivative), z)[0]
        off = np.abs(given - true) > 1e-6 * (1 + np.abs(true))
    off &= np.isfinite(true)
    if off.any():
        at = int(np.argmax(off))
        raise ValueError(
            f"the derivative given for activation {name!r} is not that of {expression!r}: at z = {z[at]:.6g} it is"
            f" {(given + 0 * z)[at]:.6g}, and should be {true[at]:.6g}"
        )


def expression_of(activation: Activation) -> str | None:
    """The expression that an activation was made from; None for others."""
    return activation.value_fn.text if isinstance(activation.value_fn, Expression) else None
