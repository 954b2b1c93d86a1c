"""How much every elementary operation of a correct program may round: the tables that `perturbed.py` draws from.

An *amplitude* is the standard deviation that the noise model gives to one operation, in units of the roundoff of the
format that it rounds to. The tables cover every usual way to write a formula, so the amplitude of a derivative is that
of its worst textbook form: 1 - a^2 for tanh loses what a stable form keeps, and both are correct programs.

Dimension letters: n samples, K outputs, k terms of a sum. Everything is NumPy float64.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.activations import FACTORIES, Activation
from functional_mlp.oracle.truth import float64_on_cpu

# activations: the value is rounded by value(z, a) units, the derivative f'(z) by derivative(z, a) units


class Elementary(NamedTuple):
    """What an activation f rounds, and how steep it is.

    Attributes:
        value: amplitude of the error of a = f(z), from (z, a, parameters).
        derivative: amplitude of the error of f'(z), likewise.
        slope: |f'(z)|, likewise, to a few digits.
        curvature: the largest |f''| anywhere, kinks apart, from the parameters.
    """

    value: Callable[..., Any]
    derivative: Callable[..., Any]
    slope: Callable[..., Any]
    curvature: Callable[..., float]


def _density(z: Array) -> Array:
    return np.exp(-0.5 * np.minimum(np.abs(z), 40.0) ** 2) / 2.5066282746310002


def _distribution(z: Array, a: Array) -> Array:
    return np.where(z == 0, 0.5, a / np.where(z == 0, 1.0, z))


def logistic(z: Array) -> Array:
    """sigmoid(z), to a few digits."""
    e = np.exp(-np.abs(z))
    return np.where(z > 0, 1.0, e) / (1 + e)


def _silu_slope(z: Array, a: Array) -> Array:
    s = logistic(z)
    return np.abs(s + z * s * logistic(-z))


ELEMENTARY: Mapping[str, Elementary] = {
    "identity": Elementary(
        value=lambda z, a: 0 * z, derivative=lambda z, a: 0 * z, slope=lambda z, a: 0 * z + 1, curvature=lambda: 0.0
    ),
    # (1 + tanh(z / 2)) / 2 rounds to 1; a (1 - a) inherits the error of a
    "sigmoid": Elementary(
        value=lambda z, a: 2 * a + 1,
        derivative=lambda z, a: 4 * a + 1,
        slope=lambda z, a: a * logistic(-z),
        curvature=lambda: 0.0963,
    ),
    # (exp(z) - exp(-z)) / (exp(z) + exp(-z)) rounds to 1; 1 - a^2: the error of a counts twice, and the square and the
    # subtraction round to a^2 and 1
    "tanh": Elementary(
        value=lambda z, a: 2 * np.abs(a) + 1,
        derivative=lambda z, a: 1 + 2 * np.abs(a) + 5 * a * a,
        slope=lambda z, a: np.abs(1 - a * a),
        curvature=lambda: 0.770,
    ),
    "relu": Elementary(
        value=lambda z, a, at_zero: 0 * z,
        derivative=lambda z, a, at_zero: 0 * z,
        slope=lambda z, a, at_zero: np.where(z > 0, 1.0, np.where(z < 0, 0.0, abs(at_zero))),
        curvature=lambda at_zero: 0.0,
    ),
    # the slope itself is rounded, and then the product
    "leaky_relu": Elementary(
        value=lambda z, a, slope, at_zero: np.where(z < 0, 2 * np.abs(a), 0.0),
        derivative=lambda z, a, slope, at_zero: np.where(z < 0, 2 * abs(slope), 0.0),
        slope=lambda z, a, slope, at_zero: np.where(z > 0, 1.0, np.where(z < 0, abs(slope), abs(at_zero))),
        curvature=lambda slope, at_zero: 0.0,
    ),
    # exp(z) - 1 rounds to 1 where expm1 rounds to itself; the derivative may be had as a + alpha
    "elu": Elementary(
        value=lambda z, a, alpha, at_zero: np.where(z < 0, 2 * np.abs(a) + abs(alpha), 0.0),
        derivative=lambda z, a, alpha, at_zero: np.where(z < 0, 3.0 * abs(alpha), 0.0),
        slope=lambda z, a, alpha, at_zero: np.where(
            z > 0, 1.0, np.where(z < 0, abs(alpha) * np.exp(np.minimum(z, 0)), abs(at_zero))
        ),
        curvature=lambda alpha, at_zero: abs(alpha),
    ),
    # log(1 + exp(z)) rounds to 1; the derivative may be had as exp(z - a), whose argument is rounded
    "softplus": Elementary(
        value=lambda z, a: 2 * a + 1,
        derivative=lambda z, a: 1 + logistic(z) * (3 + np.abs(z)),
        slope=lambda z, a: logistic(z),
        curvature=lambda: 0.25,
    ),
    # z s and s + z s (1 - s): s and 1 - s round to 1
    "silu": Elementary(
        value=lambda z, a: 3 * np.abs(a) + np.abs(z),
        derivative=lambda z, a: 1 + np.abs(z) + logistic(z) * (3 + 4 * np.abs(z)),
        slope=_silu_slope,
        curvature=lambda: 0.5,
    ),
    # z (1 + erf(z / sqrt 2)) / 2: 1 + erf rounds to 1; the density's argument z^2 / 2 is rounded
    "gelu": Elementary(
        value=lambda z, a: 3 * np.abs(a) + 2 * np.abs(z),
        derivative=lambda z, a: 2 + np.abs(z) * _density(z) * (4 + z * z),
        slope=lambda z, a: np.abs(_distribution(z, a) + z * _density(z)),
        curvature=lambda: 0.798,
    ),
}


def kind(activation: Activation) -> str:
    """The name of one of the package's own activations; "" for one of your own, whatever its name."""
    factory = FACTORIES.get(activation.name)
    return activation.name if factory is not None and factory().value_fn is activation.value_fn else ""


def elementary(activation: Activation) -> Elementary:
    """The entry of `ELEMENTARY` for an activation, its parameters filled in; for one of your own, a cautious guess."""
    if not kind(activation):
        return _own(activation)
    return Elementary(*(partial(part, **dict(activation.parameters)) for part in ELEMENTARY[kind(activation)]))


def _own(activation: Activation) -> Elementary:
    """Of an activation of one's own only its values and its VJP are known, in the cases at hand."""

    def slope(z: Array, a: Array) -> Array:
        with float64_on_cpu():
            return np.abs(np.asarray(activation.vjp(*map(jnp.asarray, (z, a, np.ones_like(z))))))

    return Elementary(
        value=lambda z, a: 4 * np.abs(a) + np.abs(z) + np.abs(z) * slope(z, a),
        derivative=lambda z, a: 4 * max(1.0, slope(z, a).max(), np.abs(a).max()) + 0 * z,
        slope=slope,
        curvature=lambda: np.inf,
    )


def left_slope(activation: Activation) -> float:
    """f' on the left side of the kink at z = 0 of relu, leaky_relu and elu."""
    parameters = dict(activation.parameters)
    return parameters.get("slope", parameters.get("alpha", 0.0))


def jump(activation: Activation, steepest: float = 1.0) -> float:
    """By how much f' jumps at z = 0: |f'(0+) - f'(0-)|, or more if the derivative chosen there lies outside.

    An activation of one's own may have a kink there too, as from -`steepest` to `steepest`.
    """
    if not kind(activation):
        return 2 * steepest
    parameters = dict(activation.parameters)
    if "at_zero" not in parameters:
        return 0.0
    sides = (left_slope(activation), 1.0, parameters["at_zero"])
    return max(sides) - min(sides)


# softmax: the units of a row act together


def exponential(z: Array) -> Array:
    """Relative amplitude (n, K) of exp(z_i) / sum_j exp(z_j): the argument z - max z is rounded, and the sum."""
    return 3 + np.sqrt(z.shape[-1]) + z.max(axis=-1, keepdims=True) - z


def softmax_of(z: Array) -> Array:
    """softmax over the last axis, to a few digits."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_pulled(a: Array, relative: Array, ct_a: Array) -> Array:
    """Amplitude (n, K) of the error of a_i (ct_i - sum_j a_j ct_j), where a has the `relative` amplitude."""
    size = (1 + relative) * a * np.abs(ct_a)
    return size + a * (size.sum(axis=-1, keepdims=True) + relative * np.abs((a * ct_a).sum(axis=-1, keepdims=True)))
