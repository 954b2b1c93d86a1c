"""Losses of the difference d = o - t: squared and absolute error, Huber's loss, log cosh.

Each function takes outputs and targets (n, K), arrays of one library, and returns the term of every element and its
derivative with respect to the output, both (n, K); its `_second` takes a tangent t of the outputs too, and returns how
the derivative moves with it.
"""

import math

from functional_mlp._dtypes import EitherArray, namespace
from functional_mlp.activations import tanh_vjp

CENTRE = 1.0  # |d| up to which log cosh d is computed from sinh, which keeps its digits near 0


def squared_error(outputs: EitherArray, targets: EitherArray) -> tuple[EitherArray, EitherArray]:
    """(o - t)^2, without 1/2 (`scale=0.5` gives it); derivative 2 (o - t)."""
    difference = outputs - targets
    return difference * difference, 2 * difference


def squared_error_second(outputs: EitherArray, targets: EitherArray, tangent: EitherArray) -> EitherArray:
    """2 t."""
    return 2 * tangent


def absolute_error(outputs: EitherArray, targets: EitherArray) -> tuple[EitherArray, EitherArray]:
    """|o - t|; derivative sign(o - t), and 0 at the kink o = t, the mean of both sides (as PyTorch; JAX's abs takes 1).

    |d| = d sign(d), whose automatic derivative at 0 is 0 too.
    """
    difference = outputs - targets
    side = namespace(difference).sign(difference)
    return difference * side, side


def straight_second(outputs: EitherArray, targets: EitherArray, tangent: EitherArray) -> EitherArray:
    """0: of losses of straight pieces, kinks included."""
    return namespace(tangent).zeros_like(tangent)


def huber(outputs: EitherArray, targets: EitherArray, delta: float = 1.0) -> tuple[EitherArray, EitherArray]:
    """d^2 / 2 up to |d| = delta, from there delta (|d| - delta / 2), d = o - t; derivative d, and ±delta beyond.

    With c = d clipped to [-delta, delta] both branches are c (d - c / 2), and the derivative is c: it has a kink at
    ±delta, no jump. PyTorch's SmoothL1Loss(beta) is that of delta = beta divided by beta: `scale=1 / beta`.
    """
    difference = outputs - targets
    clipped = namespace(difference).clip(difference, -delta, delta)
    return clipped * (difference - clipped / 2), clipped


def huber_second(outputs: EitherArray, targets: EitherArray, tangent: EitherArray, delta: float = 1.0) -> EitherArray:
    """t where |d| < delta, else 0."""
    xp = namespace(tangent)
    return xp.where(xp.abs(outputs - targets) < delta, tangent, xp.zeros_like(tangent))


def log_cosh(outputs: EitherArray, targets: EitherArray) -> tuple[EitherArray, EitherArray]:
    """log cosh(o - t); derivative tanh(o - t).

    cosh d = 1 + 2 sinh(d / 2)^2, whose logarithm keeps its digits near 0; and, for large |d|, log cosh d =
    |d| + log(1 + exp(-2 |d|)) - log 2, which does not overflow.
    """
    difference = outputs - targets
    xp = namespace(difference)
    size = xp.abs(difference)
    half_sinh = xp.sinh(xp.where(size <= CENTRE, difference, xp.zeros_like(difference)) / 2)
    far = xp.maximum(size, CENTRE)
    beyond = far + xp.log1p(xp.exp(-2 * far)) - math.log(2)
    return xp.where(size <= CENTRE, xp.log1p(2 * half_sinh * half_sinh), beyond), xp.tanh(difference)


def log_cosh_second(outputs: EitherArray, targets: EitherArray, tangent: EitherArray) -> EitherArray:
    """t (1 - tanh(d)^2)."""
    difference = outputs - targets
    return tanh_vjp(difference, namespace(difference).tanh(difference), tangent)
