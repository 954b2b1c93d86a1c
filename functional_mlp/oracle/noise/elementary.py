"""How much activations that act on every unit alone may round, how steep they are, and where they have kinks.

An *amplitude* is the standard deviation that the noise model gives to one operation, in units of the roundoff of the
format that it rounds to. The table covers every usual way to write a formula, so the amplitude of a derivative is that
of its worst textbook form: 1 - a^2 for tanh loses what a stable form keeps, and both are correct programs.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.activations import Activation, Kink, is_built_in
from functional_mlp.oracle.truth import float64_on_cpu

# activations: the value is rounded by value(z, a) units, the derivative f'(z) by derivative(z, a) units


class Elementary(NamedTuple):
    """What an activation f rounds, and how steep it is.

    Attributes:
        value: amplitude of the error of a = f(z), from (z, a, parameters).
        derivative: amplitude of the error of f'(z), likewise.
        slope: |f'(z)|, likewise, to a few digits.
        curvature: the largest |f''| anywhere, kinks apart, from the parameters.
        exact: whether neither value nor derivative rounds at all.
        times_z: whether what underflows in it is multiplied by z.
    """

    value: Callable[..., Any]
    derivative: Callable[..., Any]
    slope: Callable[..., Any]
    curvature: Callable[..., float]
    exact: bool = False
    times_z: bool = False


def _density(z: Array) -> Array:
    return np.exp(-0.5 * np.minimum(np.abs(z), 40.0) ** 2) / 2.5066282746310002


def _distribution(z: Array, a: Array) -> Array:
    return np.where(z == 0, 0.5, a / np.where(z == 0, 1.0, z))


def logistic(z: Array) -> Array:
    """1 / (1 + exp(-z))."""
    e = np.exp(-np.abs(z))
    return np.where(z > 0, 1.0, e) / (1 + e)


def _silu_slope(z: Array, a: Array) -> Array:
    s = logistic(z)
    return np.abs(s + z * s * logistic(-z))


_QUICK, _SELU_LEFT, _SELU_RIGHT = 1.702, 1.7580993408473769, 1.0507009873554805
_GELU_RATE, _GELU_CUBIC = 0.7978845608028654, 0.044715
_EXACT_ONE = 1e-17  # where 1 - tanh^2 is below, tanh is exactly 1 in every format


def _left(x: Array) -> Array:
    """exp(x) for x < 0, else 1."""
    return np.exp(np.minimum(x, 0))


def _of_multiple(rate: float, z: Array) -> Array:
    """What the rounding of rate * z is worth, in z; nothing where the rate is 1."""
    return np.abs(z) if rate != 1 else 0 * z


def _of_logistic(x: Array) -> Array:
    """What the rounding of its argument is worth in logistic(x)."""
    return np.abs(x) * logistic(x) * logistic(-x)


def _sech_squared(x: Array) -> Array:
    h = np.exp(-np.abs(x))
    return (2 * h / (1 + h * h)) ** 2


def _tanh_derivative(x: Array) -> Array:
    """Amplitude of 1 - tanh^2 of a rounded argument."""
    t = np.abs(np.tanh(x))
    return np.where(_sech_squared(x) < _EXACT_ONE, 0.0, 1 + 2 * t + 5 * t * t + 2 * np.abs(x) * t * _sech_squared(x))


def _cubic(z: Array) -> Array:
    return _GELU_RATE * (z + _GELU_CUBIC * z**3)


def _cubic_slope(z: Array) -> Array:
    return _GELU_RATE * (1 + 3 * _GELU_CUBIC * z * z)


def _gelu_tanh_slope(z: Array) -> Array:
    return logistic(2 * _cubic(z)) + 0.5 * z * _sech_squared(_cubic(z)) * _cubic_slope(z)


def _gelu_tanh_derivative(z: Array) -> Array:
    u, size = _cubic(z), 0.5 * np.abs(z) * _cubic_slope(z)
    return 3 + 3 * np.abs(u) * _sech_squared(u) + size * (3 * _tanh_derivative(u) + 6 * _sech_squared(u))


def _softplus(z: Array) -> Array:
    return np.logaddexp(0, z)


def _mish_gate(z: Array) -> Array:
    """Amplitude of tanh(softplus(z))."""
    p = _softplus(z)
    return 2 * np.tanh(p) + 1 + _sech_squared(p) * (2 * p + 1)


def _mish_slope(z: Array) -> Array:
    p = _softplus(z)
    return np.tanh(p) + z * _sech_squared(p) * logistic(z)


def _mish_derivative(z: Array) -> Array:
    p, s = _softplus(z), logistic(z)
    of_square = _tanh_derivative(p) + 2 * np.tanh(p) * _sech_squared(p) * (2 * p + 1)
    return 2 + _mish_gate(z) + np.abs(z) * (s * of_square + _sech_squared(p) * (2 * s + 2))


def _sided(z: Array, low: float, high: float, slopes: tuple[Any, Any, Any], at: tuple[float, float]) -> Array:
    """The derivative of a function of three pieces, and what is taken at the two kinks."""
    piece = np.where(z < low, slopes[0], np.where(z > high, slopes[2], slopes[1]))
    return np.where(z == low, at[0], np.where(z == high, at[1], piece))


def _inside(z: Array, low: float, high: float, amplitude: Array) -> Array:
    return np.where((z >= low) & (z <= high), amplitude, 0.0)


def _hard_size(z: Array, low: float, high: float) -> Array:
    return (np.abs(z) + abs(low)) / (high - low)


# the slope itself is rounded, and then the product
_LEAKY = Elementary(
    value=lambda z, a, slope, at_zero: np.where(z < 0, 2 * np.abs(a), 0.0),
    derivative=lambda z, a, slope, at_zero: np.where(z < 0, 2 * abs(slope), 0.0),
    slope=lambda z, a, slope, at_zero: np.where(z > 0, 1.0, np.where(z < 0, abs(slope), abs(at_zero))),
    curvature=lambda slope, at_zero: 0.0,
)


ELEMENTARY: Mapping[str, Elementary] = {
    "identity": Elementary(
        value=lambda z, a: 0 * z,
        derivative=lambda z, a: 0 * z,
        slope=lambda z, a: 0 * z + 1,
        curvature=lambda: 0.0,
        exact=True,
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
        exact=True,
    ),
    "leaky_relu": _LEAKY,
    "prelu": _LEAKY,
    # exp(z) - 1 rounds to 1 where expm1 rounds to itself; the derivative may be had as a + alpha
    "elu": Elementary(
        value=lambda z, a, alpha, at_zero: np.where(z < 0, 2 * np.abs(a) + abs(alpha), 0.0),
        derivative=lambda z, a, alpha, at_zero: np.where(z < 0, 3.0 * abs(alpha), 0.0),
        slope=lambda z, a, alpha, at_zero: np.where(
            z > 0, 1.0, np.where(z < 0, abs(alpha) * np.exp(np.minimum(z, 0)), abs(at_zero))
        ),
        curvature=lambda alpha, at_zero: abs(alpha),
    ),
    # log(1 + exp(x)), x = beta z, rounds to 1, and x; the derivative may be had as exp(x - a), whose argument rounds
    "softplus": Elementary(
        value=lambda z, a, beta: 2 * a + 1 / beta + _of_multiple(beta, z) * logistic(beta * z),
        derivative=lambda z, a, beta: 1 + logistic(beta * z) * (3 + np.abs(beta * z)) + 0.25 * _of_multiple(beta, z),
        slope=lambda z, a, beta: logistic(beta * z),
        curvature=lambda beta: 0.25 * beta,
    ),
    # z s and s + z s (1 - s): s and 1 - s round to 1
    "silu": Elementary(
        value=lambda z, a: 3 * np.abs(a) + np.abs(z),
        derivative=lambda z, a: 1 + np.abs(z) + logistic(z) * (3 + 4 * np.abs(z)),
        slope=_silu_slope,
        curvature=lambda: 0.5,
        times_z=True,
    ),
    # z (1 + erf(z / sqrt 2)) / 2: 1 + erf rounds to 1; the density's argument z^2 / 2 is rounded
    "gelu": Elementary(
        value=lambda z, a: 3 * np.abs(a) + 2 * np.abs(z),
        derivative=lambda z, a: 2 + np.abs(z) * _density(z) * (4 + z * z),
        slope=lambda z, a: np.abs(_distribution(z, a) + z * _density(z)),
        curvature=lambda: 0.798,
        times_z=True,
    ),
    # z (1 + tanh u) / 2, and its derivative by 1 - tanh^2: as gelu and tanh, and the argument u is rounded three times
    "gelu_tanh": Elementary(
        value=lambda z, a: 3 * np.abs(a) + np.abs(z) * (2 + 3 * np.abs(_cubic(z)) * _sech_squared(_cubic(z))),
        derivative=lambda z, a: _gelu_tanh_derivative(z),
        slope=lambda z, a: np.abs(_gelu_tanh_slope(z)),
        curvature=lambda: 0.8,
        times_z=True,
    ),
    # as silu, of a rounded argument
    "quick_gelu": Elementary(
        value=lambda z, a: 3 * np.abs(a) + np.abs(z) * (1 + _of_logistic(_QUICK * z)),
        derivative=lambda z, a: 1 + 1.5 * np.abs(_QUICK * z) + logistic(_QUICK * z) * (3 + 4 * np.abs(_QUICK * z)),
        slope=lambda z, a: _silu_slope(_QUICK * z, a),
        curvature=lambda: 0.5 * _QUICK,
        times_z=True,
    ),
    # z tanh p, p = log(1 + exp(z)), and tanh p + z s (1 - tanh^2 p): as tanh, softplus and sigmoid
    "mish": Elementary(
        value=lambda z, a: np.abs(a) + np.abs(z) * _mish_gate(z),
        derivative=lambda z, a: _mish_derivative(z),
        slope=lambda z, a: np.abs(_mish_slope(z)),
        curvature=lambda: 0.6,
        times_z=True,
    ),
    "selu": Elementary(
        value=lambda z, a, at_zero: 2 * np.abs(a) + np.where(z < 0, _SELU_LEFT, 0.0),
        derivative=lambda z, a, at_zero: np.where(z < 0, 3 * _SELU_LEFT, 2 * _SELU_RIGHT),
        slope=lambda z, a, at_zero: np.where(
            z > 0, _SELU_RIGHT, np.where(z < 0, _SELU_LEFT * np.exp(np.minimum(z, 0)), abs(at_zero))
        ),
        curvature=lambda at_zero: _SELU_LEFT,
    ),
    "celu": Elementary(
        value=lambda z, a, alpha: np.where(z < 0, 2 * np.abs(a) + alpha + np.abs(z) * _left(z / alpha), 0.0),
        derivative=lambda z, a, alpha: np.where(z < 0, 3 + np.abs(z / alpha) * _left(z / alpha), 0.0),
        slope=lambda z, a, alpha: _left(z / alpha),
        curvature=lambda alpha: 1 / alpha,
    ),
    "relu6": Elementary(
        value=lambda z, a, **at: 0 * z,
        derivative=lambda z, a, **at: 0 * z,
        slope=lambda z, a, **at: _sided(z, 0.0, 6.0, (0.0, 1.0, 0.0), tuple(at.values())),
        curvature=lambda **at: 0.0,
        exact=True,
    ),
    # the bounds are rounded
    "hardtanh": Elementary(
        value=lambda z, a, low, high, **at: np.where((z <= low) | (z >= high), np.abs(a), 0.0),
        derivative=lambda z, a, **others: 0 * z,
        slope=lambda z, a, low, high, **at: _sided(z, low, high, (0.0, 1.0, 0.0), tuple(at.values())),
        curvature=lambda **others: 0.0,
    ),
    # z / 6 + 1/2 rounds to 1/2 near -3
    "hard_sigmoid": Elementary(
        value=lambda z, a, low, high, **at: _inside(z, low, high, 2 * a + 1 + 2 * _hard_size(z, low, high)),
        derivative=lambda z, a, low, high, **at: _inside(z, low, high, 2 / (high - low) + 0 * z),
        slope=lambda z, a, low, high, **at: _sided(z, low, high, (0.0, 1 / (high - low), 0.0), tuple(at.values())),
        curvature=lambda **others: 0.0,
    ),
    "hard_swish": Elementary(
        value=lambda z, a, **at: 2 * np.abs(a) + _inside(z, -3.0, 3.0, np.abs(z) * (3 + np.abs(z) / 3)),
        derivative=lambda z, a, **at: np.where(z > -3, 2.0, 0.0) + _inside(z, -3.0, 3.0, 1 + np.abs(z)),
        slope=lambda z, a, **at: np.abs(_sided(z, -3.0, 3.0, (0.0, (2 * z + 3) / 6, 1.0), tuple(at.values()))),
        curvature=lambda **at: 1 / 3,
    ),
    # as tanh, of a rounded argument
    "scaled_tanh": Elementary(
        value=lambda z, a, scale, rate: (
            3 * np.abs(a) + abs(scale) * (1 + _of_multiple(rate, z) * rate * _sech_squared(rate * z))
        ),
        derivative=lambda z, a, scale, rate: abs(scale * rate) * (_tanh_derivative(rate * z) + 2),
        slope=lambda z, a, scale, rate: abs(scale * rate) * _sech_squared(rate * z),
        curvature=lambda scale, rate: 0.770 * abs(scale) * rate**2,
    ),
    # 1 / (1 + |z|)^2, or (1 - |a|)^2, or the quotient rule, whose numerator 1 + |z| - |z| rounds to 1 + |z|
    "softsign": Elementary(
        value=lambda z, a: 3 * np.abs(a),
        derivative=lambda z, a: (8 + 2 * np.abs(a)) / (1 + np.abs(z)),  # 1 - |a| itself rounds to 0 for large z
        slope=lambda z, a: 1 / (1 + np.abs(z)) ** 2,
        curvature=lambda: 2.0,
    ),
    "sin": Elementary(
        value=lambda z, a: 1 + np.abs(a),
        derivative=lambda z, a: 1 + np.abs(np.cos(z)),
        slope=lambda z, a: np.abs(np.cos(z)),
        curvature=lambda: 1.0,
    ),
    "cos": Elementary(
        value=lambda z, a: 1 + np.abs(a),
        derivative=lambda z, a: 1 + np.abs(np.sin(z)),
        slope=lambda z, a: np.abs(np.sin(z)),
        curvature=lambda: 1.0,
    ),
    # z^2 is rounded
    "gaussian": Elementary(
        value=lambda z, a: a * (2 + 2 * z * z),
        derivative=lambda z, a: 2 * np.abs(z) * a * (4 + 2 * z * z),
        slope=lambda z, a: 2 * np.abs(z) * a,
        curvature=lambda: 2.0,
        times_z=True,
    ),
}


def kind(activation: Activation) -> str:
    """The name of one of the package's own activations; "" for one of your own, whatever its name."""
    return activation.name if is_built_in(activation) else ""


def elementary(activation: Activation) -> Elementary:
    """The entry of `ELEMENTARY` for an activation, its parameters filled in; for one of your own, what it shows."""
    if not kind(activation):
        return _own(activation)
    entry, given = ELEMENTARY[kind(activation)], dict(activation.parameters)
    value, derivative, slope = (partial(part, **given) for part in (entry.value, entry.derivative, entry.slope))
    return Elementary(value, derivative, slope, partial(entry.curvature, **given), entry.exact, entry.times_z)


# activations of one's own: only the values and the VJP are known, in the cases at hand

SINGLE = float(np.finfo(np.float32).eps) / 2
NEIGHBOURS = (0.0, 2.0**-18, -(2.0**-19))  # relative distances at which the rounding is looked at as well


def _own(activation: Activation) -> Elementary:
    """A cautious guess, or what its own formulas lose in float32, where that is more."""

    def value(z: Array, a: Array) -> Array:
        guess = 4 * np.abs(a) + np.abs(z) + np.abs(z) * slope(z, a)
        return np.maximum(guess, 2 * _seen_in_float32(activation.value, z))

    def derivative(z: Array, a: Array) -> Array:
        guess = 4 * max(1.0, slope(z, a).max(), np.abs(a).max()) + 0 * z
        return np.maximum(guess, 2 * _seen_in_float32(partial(_signed_slope, activation), z))

    def slope(z: Array, a: Array) -> Array:
        with float64_on_cpu():
            return np.abs(np.asarray(_signed_slope(activation, jnp.asarray(z))))

    return Elementary(value, derivative, slope, curvature=lambda: np.inf, times_z=True)


def _signed_slope(activation: Activation, z: Any) -> Any:
    return activation.vjp(z, activation.value(z), jnp.ones_like(z))


def _seen_in_float32(function: Callable[[Any], Any], z: Array) -> Array:
    """How far the function in float32 is from the one in float64, in units; 0 where it overflows."""
    worst = np.zeros_like(z)
    with float64_on_cpu():
        for distance in NEIGHBOURS:
            single = np.asarray(z * (1 + distance), np.float32)
            narrow, wide = (np.asarray(function(jnp.asarray(single, dtype))) for dtype in (np.float32, np.float64))
            worst = np.fmax(worst, np.where(np.isfinite(narrow), np.abs(narrow - wide) / SINGLE, 0.0))
    return worst


# kinks


def kinks_of(activation: Activation) -> tuple[Kink, ...]:
    """The kinks of an activation at which its derivative jumps, or the one chosen lies outside of both sides."""
    return tuple(kink for kink in activation.kinks if _height(activation, kink) > 0)


def _height(activation: Activation, kink: Kink) -> float:
    """By how much f' jumps at a kink, or more if the derivative chosen there lies outside."""
    sides = (kink.left, kink.right, activation.derivative_at(kink))
    return max(sides) - min(sides)


def kink_positions(activation: Activation) -> tuple[float, ...]:
    """Where a unit has two sides; an activation of one's own of which nothing is known may have them at 0."""
    if kind(activation) or activation.kinks:
        return tuple(kink.position for kink in kinks_of(activation))
    return (0.0,)


def steepest_side(activation: Activation) -> float:
    """The steepest |f'| on either side of a kink; 0 without one."""
    return max((abs(side) for kink in kinks_of(activation) for side in (kink.left, kink.right)), default=0.0)


def jumps(activation: Activation, z: Array, tail: Array) -> Array:
    """By how much f' jumps within `tail` of z, per unit and sample."""
    if not kind(activation) and not activation.kinks:
        return _jumps_of_own(activation, z, tail)
    height = np.zeros_like(z)
    for kink in kinks_of(activation):
        height = height + _height(activation, kink) * (np.abs(z - kink.position) <= tail)
    return height


def _jumps_of_own(activation: Activation, z: Array, tail: Array) -> Array:
    """The same where nothing is known of kinks: what a smooth derivative changes by is four times more at four times
    the distance, and a jump is not.
    """
    step = np.maximum(tail, 1e-9 * (1 + np.abs(z)))
    with float64_on_cpu():

        def slope(z: Array) -> Array:
            return np.asarray(_signed_slope(activation, jnp.asarray(z)))

        at = slope(z)
        near, far = (
            np.fmax(np.abs(slope(z + distance) - at), np.abs(slope(z - distance) - at)) for distance in (step, 4 * step)
        )
    visible = 1e-6 * np.max(np.abs(at), initial=0.0, where=np.isfinite(at))
    return np.where((near > 0.5 * far) & (near > visible), near, 0.0)
