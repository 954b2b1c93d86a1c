"""Activations made of straight (hard_swish: and one curved) pieces: identity, relu and its relatives, the hard ones.

At a kink the derivative is that of the flat side (leaky_relu, prelu: the left side; hard_swish: the outer side) unless
chosen.
"""

from typing import Any, NamedTuple

from functional_mlp._checks import finite_float
from functional_mlp._dtypes import EitherArray, namespace
from functional_mlp.activations.activation import Activation, Kink
from functional_mlp.activations.primitives import negative_part, scaled, within

# of straight pieces the second derivative is 0, kinks included


def straight_second(
    z: EitherArray, a: EitherArray, ct_a: EitherArray, t_z: EitherArray, **parameters: float
) -> EitherArray:
    return namespace(z).where(z == z, namespace(z).zeros_like(z), z)


# identity: a = z


def identity_value(z: EitherArray) -> EitherArray:
    return z


def identity_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray) -> EitherArray:
    return ct_a


def identity() -> Activation:
    """a = z."""
    return Activation("identity", identity_value, identity_vjp, second_fn=straight_second)


# relu: a = max(z, 0)


def where_positive(z: EitherArray, right: EitherArray, left: EitherArray, at_zero: EitherArray) -> EitherArray:
    """What belongs to the sign of z; NaN where z is NaN."""
    where = namespace(z, right, at_zero).where
    return where(z > 0, right, where(z < 0, left, where(z == 0, at_zero, z)))


def relu_value(z: EitherArray, at_zero: float) -> EitherArray:
    # not maximum(z, 0): jax.grad of that is 1/2 at z = 0
    xp = namespace(z)
    return xp.where(z <= 0, xp.zeros_like(z), z)


def relu_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray, at_zero: float) -> EitherArray:
    return where_positive(z, ct_a, namespace(z).zeros_like(z), scaled(at_zero, ct_a))


def relu(at_zero: float = 0.0) -> Activation:
    """a = max(z, 0); `at_zero` is the derivative taken at z = 0 (0: left side, 1: right side)."""
    parameters = (("at_zero", finite_float("at_zero", at_zero)),)
    kinks = (Kink(0.0, 0.0, 1.0, "at_zero"),)
    return Activation("relu", relu_value, relu_vjp, parameters, kinks=kinks, second_fn=straight_second)


# leaky relu, and prelu, whose slope is meant to be trained: a = z for z > 0, slope z for z < 0


def leaky_relu_value(z: EitherArray, slope: float, at_zero: float) -> EitherArray:
    return namespace(z).where(z <= 0, slope * z, z)


def leaky_relu_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray, slope: float, at_zero: float) -> EitherArray:
    return where_positive(z, ct_a, scaled(slope, ct_a), scaled(at_zero, ct_a))


def _leaky(name: str, slope: float, at_zero: float | None) -> Activation:
    slope = finite_float("slope", slope)
    kink = slope if at_zero is None else finite_float("at_zero", at_zero)
    parameters = (("slope", slope), ("at_zero", kink))
    kinks = (Kink(0.0, slope, 1.0, "at_zero"),)
    return Activation(name, leaky_relu_value, leaky_relu_vjp, parameters, kinks=kinks, second_fn=straight_second)


def leaky_relu(slope: float = 0.01, at_zero: float | None = None) -> Activation:
    """a = z for z > 0, slope z for z <= 0; `at_zero` is the derivative taken at z = 0 (None: `slope`)."""
    return _leaky("leaky_relu", slope, at_zero)


def prelu(slope: float = 0.25, at_zero: float | None = None) -> Activation:
    """A leaky relu of this slope, which somebody trains; `prelu_ct_slope` is the gradient of the slope."""
    return _leaky("prelu", slope, at_zero)


def prelu_ct_slope(z: EitherArray, ct_a: EitherArray, per_unit: bool = False) -> EitherArray:
    """The cotangent of the slope of a prelu: da/dslope = min(z, 0), summed over everything that shares the slope.

    Args:
        z: pre-activations (..., fan_out).
        ct_a: cotangent of the activations, shape of z.
        per_unit: whether each unit has a slope of its own.

    Returns:
        ct_slope of shape (), or (fan_out,) if `per_unit`; dtype of z.

    Raises:
        ValueError: if the shapes differ.

    Source: He, Zhang, Ren and Sun, Delving deep into rectifiers, 2015, equation 10.

    Example:
        >>> import numpy as np
        >>> float(prelu_ct_slope(np.array([[-2.0, 3.0], [-1.0, -4.0]]), np.array([[1.0, 1.0], [0.5, 0.25]])))
        -3.5
    """
    if z.shape != ct_a.shape:
        raise ValueError(f"expected z and ct_a of one shape, got {z.shape} and {ct_a.shape}")
    # 0 where z > 0, also for an infinite cotangent of a unit on which the slope has no influence
    xp = namespace(z, ct_a)
    terms = xp.where(z > 0, xp.zeros_like(ct_a), ct_a) * negative_part(z)
    return xp.asarray(terms.sum(axis=tuple(range(z.ndim - 1)) if per_unit else None))


# between two kinks: relu6, hardtanh, hard sigmoid, hard swish


class Pieces(NamedTuple):
    """What belongs to z < low, low < z < high and z > high."""

    below: Any
    inside: Any
    above: Any


def _joined(z: EitherArray, low: float, high: float, pieces: Pieces) -> EitherArray:
    """The pieces, at a kink that of the outer side; NaN where z is NaN."""
    where = namespace(z).where
    inside = where(z == z, pieces.inside, z)
    return where(z <= low, pieces.below, where(z >= high, pieces.above, inside))


def _pulled(
    z: EitherArray, ct_a: EitherArray, low: float, high: float, at: tuple[float, float], pieces: Pieces
) -> EitherArray:
    """The cotangent of z by that of the pieces, and by the derivatives chosen `at` the two kinks."""
    where = namespace(z, ct_a).where
    pulled = _joined(z, low, high, pieces)
    return where(z == low, scaled(at[0], ct_a), where(z == high, scaled(at[1], ct_a), pulled))


def relu6_value(z: EitherArray, at_zero: float, at_six: float) -> EitherArray:
    zeros = namespace(z).zeros_like(z)
    return _joined(z, 0.0, 6.0, Pieces(zeros, z, zeros + 6))


def relu6_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray, at_zero: float, at_six: float) -> EitherArray:
    zeros = namespace(z).zeros_like(z)
    return _pulled(z, ct_a, 0.0, 6.0, (at_zero, at_six), Pieces(zeros, ct_a, zeros))


def relu6(at_zero: float = 0.0, at_six: float = 0.0) -> Activation:
    """a = min(max(z, 0), 6); `at_zero` and `at_six` are the derivatives taken at the two kinks."""
    parameters = (("at_zero", finite_float("at_zero", at_zero)), ("at_six", finite_float("at_six", at_six)))
    kinks = (Kink(0.0, 0.0, 1.0, "at_zero"), Kink(6.0, 1.0, 0.0, "at_six"))
    return Activation("relu6", relu6_value, relu6_vjp, parameters, kinks=kinks, second_fn=straight_second)


def _bounds(low: float, high: float) -> tuple[float, float]:
    low, high = finite_float("low", low), finite_float("high", high)
    if not low < high:
        raise ValueError(f"expected low below high, got low={low} and high={high}")
    return low, high


# hardtanh: a = z between low and high, and low or high outside


def hardtanh_value(z: EitherArray, low: float, high: float, at_low: float, at_high: float) -> EitherArray:
    zeros = namespace(z).zeros_like(z)
    return _joined(z, low, high, Pieces(zeros + low, z, zeros + high))


def hardtanh_vjp(
    z: EitherArray, a: EitherArray, ct_a: EitherArray, low: float, high: float, at_low: float, at_high: float
) -> EitherArray:
    zeros = namespace(z).zeros_like(z)
    return _pulled(z, ct_a, low, high, (at_low, at_high), Pieces(zeros, ct_a, zeros))


def hardtanh(low: float = -1.0, high: float = 1.0, at_low: float = 0.0, at_high: float = 0.0) -> Activation:
    """a = min(max(z, low), high); `at_low` and `at_high` are the derivatives taken at the two kinks."""
    return _clipped("hardtanh", hardtanh_value, hardtanh_vjp, _bounds(low, high), 1.0, at_low, at_high)


def _clipped(
    name: str, value: Any, vjp: Any, ends: tuple[float, float], slope: float, at_low: float, at_high: float
) -> Activation:
    """An activation that is flat outside of `ends`, and of this slope inside."""
    low, high = ends
    parameters = {
        "low": low,
        "high": high,
        "at_low": finite_float("at_low", at_low),
        "at_high": finite_float("at_high", at_high),
    }
    kinks = (Kink(low, 0.0, slope, "at_low"), Kink(high, slope, 0.0, "at_high"))
    return Activation(name, value, vjp, tuple(parameters.items()), kinks=kinks, second_fn=straight_second)


# hard sigmoid: a = (z - low) / (high - low) between low and high, 0 below and 1 above; between, z - low does not cancel
# near low, as z / 6 + 1/2 does near -3


def hard_sigmoid_value(z: EitherArray, low: float, high: float, at_low: float, at_high: float) -> EitherArray:
    zeros = namespace(z).zeros_like(z)
    return _joined(z, low, high, Pieces(zeros, (z - low) / (high - low), zeros + 1))


def hard_sigmoid_vjp(
    z: EitherArray, a: EitherArray, ct_a: EitherArray, low: float, high: float, at_low: float, at_high: float
) -> EitherArray:
    zeros = namespace(z).zeros_like(z)
    return _pulled(z, ct_a, low, high, (at_low, at_high), Pieces(zeros, ct_a / (high - low), zeros))


def hard_sigmoid(low: float = -3.0, high: float = 3.0, at_low: float = 0.0, at_high: float = 0.0) -> Activation:
    """a = (z - low) / (high - low), clipped to 0 and 1: z / 6 + 1/2 as in PyTorch and JAX, unless told otherwise.

    Keras's of before its release 3, 0.2 z + 1/2, is `hard_sigmoid(-2.5, 2.5)`. `at_low` and `at_high` are the
    derivatives taken at the two kinks.
    """
    ends = _bounds(low, high)
    slope = 1 / (ends[1] - ends[0])
    return _clipped("hard_sigmoid", hard_sigmoid_value, hard_sigmoid_vjp, ends, slope, at_low, at_high)


# hard swish: a = z (z + 3) / 6 between -3 and 3, 0 below, z above; da/dz = (2 z + 3) / 6 between


def hard_swish_value(z: EitherArray, at_low: float, at_high: float) -> EitherArray:
    zeros, inside = namespace(z).zeros_like(z), within(z, -3.0, 3.0)  # no infinity in a branch not taken
    return _joined(z, -3.0, 3.0, Pieces(zeros, inside * (inside + 3) / 6, z))


def hard_swish_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray, at_low: float, at_high: float) -> EitherArray:
    zeros, inside = namespace(z).zeros_like(z), within(z, -3.0, 3.0)
    return _pulled(z, ct_a, -3.0, 3.0, (at_low, at_high), Pieces(zeros, ct_a * ((2 * inside + 3) / 6), ct_a))


def hard_swish_second(
    z: EitherArray, a: EitherArray, ct_a: EitherArray, t_z: EitherArray, at_low: float, at_high: float
) -> EitherArray:
    zeros = namespace(z).zeros_like(z)
    return _joined(z, -3.0, 3.0, Pieces(zeros, ct_a * t_z / 3, zeros))


def hard_swish(at_low: float = 0.0, at_high: float = 1.0) -> Activation:
    """a = z hard_sigmoid(z); `at_low` and `at_high` are the derivatives taken at z = -3 and z = 3."""
    parameters = (("at_low", finite_float("at_low", at_low)), ("at_high", finite_float("at_high", at_high)))
    kinks = (Kink(-3.0, 0.0, -0.5, "at_low"), Kink(3.0, 1.5, 1.0, "at_high"))
    return Activation(
        "hard_swish", hard_swish_value, hard_swish_vjp, parameters, kinks=kinks, second_fn=hard_swish_second
    )
