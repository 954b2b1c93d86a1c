"""Activations that multiply z with a smooth gate: silu and its variant quick_gelu, and mish."""

from fractions import Fraction

import numpy as np

from functional_mlp._dtypes import EitherArray, namespace
from functional_mlp.activations.activation import Activation
from functional_mlp.activations.primitives import (
    exponential,
    finite,
    logistic,
    logistic_times,
    magnitude,
    negative_part,
    within,
)

# silu: a = z sigmoid(z), and quick gelu: a = z sigmoid(1.702 z)

QUICK_RATE = 1.702
_QUICK = Fraction(QUICK_RATE)
_SATURATED = 1e4  # beyond the derivatives are 0 or 1 in every format, and no multiple of z overflows


def silu_value(z: EitherArray) -> EitherArray:
    # the lowest number for -inf: times exp(-inf) = 0 that is 0, the limit, and not NaN
    return logistic_times(z, namespace(z).maximum(z, np.finfo(z.dtype).min))


def silu_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray) -> EitherArray:
    z = finite(z)  # as above, on both sides
    # d/dz z s(z) = s + z s (1 - s) = s(z) (1 + z s(-z))
    return ct_a * logistic_times(z, 1 + z * logistic(-z))


def _second_of_logistic(z: EitherArray, rate: Fraction) -> EitherArray:
    """The second derivative of z s(z), s(z) = sigmoid(r z): r s' (2 + r z (1 - 2 s)), s' = s (1 - s).

    1 - 2 s = -tanh(r z / 2) keeps its digits near 0 as (1 - e) / (1 + e), e = exp(-|r z|).
    """
    xp, z = namespace(z), within(z, -_SATURATED, _SATURATED)
    product = magnitude(z) * float(rate)
    h = exponential(-magnitude(z), rate / 2)  # e = h^2 alone underflows before the factor is in
    r = 1 / (1 + h * h)
    return float(rate) * ((h * (2 + product * (xp.expm1(-product) * r))) * h) * (r * r)


def silu_second(z: EitherArray, a: EitherArray, ct_a: EitherArray, t_z: EitherArray) -> EitherArray:
    return ct_a * t_z * _second_of_logistic(z, Fraction(1))


def silu() -> Activation:
    """a = z sigmoid(z), also called swish."""
    return Activation("silu", silu_value, silu_vjp, second_fn=silu_second)


def quick_gelu_value(z: EitherArray) -> EitherArray:
    return logistic_times(z, namespace(z).maximum(z, np.finfo(z.dtype).min), _QUICK)


def quick_gelu_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray) -> EitherArray:
    z = within(z, -_SATURATED, _SATURATED)
    # with s(z) = sigmoid(r z): d/dz z s(z) = s(z) (1 + r z s(-z))
    return ct_a * logistic_times(z, 1 + QUICK_RATE * (z * logistic(-z, _QUICK)), _QUICK)


def quick_gelu_second(z: EitherArray, a: EitherArray, ct_a: EitherArray, t_z: EitherArray) -> EitherArray:
    return ct_a * t_z * _second_of_logistic(z, _QUICK)


def quick_gelu() -> Activation:
    """a = z sigmoid(1.702 z), an approximation of gelu."""
    return Activation("quick_gelu", quick_gelu_value, quick_gelu_vjp, second_fn=quick_gelu_second)


# mish: a = z tanh(softplus(z)) = z w, w = n / (n + 2), n = e (e + 2), e = exp(z);
# da/dz = e (e^3 + 4 e^2 + 6 e + 4 + 4 z (e + 1)) / (n + 2)^2
#
# For z > 0 both are written in g = exp(-z), numerator and denominator divided by e^2 and e^4.


def mish_value(z: EitherArray) -> EitherArray:
    xp = namespace(z)
    h = xp.exp(0.5 * negative_part(z))  # e = h^2: exp(z) alone underflows too early
    e, g = h * h, xp.exp(-magnitude(z))
    left = (h * xp.maximum(z, np.finfo(z.dtype).min)) * h * ((e + 2) / (e * (e + 2) + 2))
    return xp.where(z <= 0, left, z * ((1 + 2 * g) / (1 + 2 * g * (1 + g))))


def mish_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray) -> EitherArray:
    xp, z = namespace(z), within(z, -_SATURATED, _SATURATED)
    h = xp.exp(0.5 * negative_part(z))
    e, g = h * h, xp.exp(-magnitude(z))
    low = negative_part(z)
    size = e * (e + 2) + 2
    factor = e * (6 + e * (4 + e)) + 4 * (1 + low * (1 + e))
    left = (h * (factor / (size * size))) * h
    whole = 1 + 2 * g * (1 + g)
    right = (1 + g * (4 + g * (6 + 4 * g)) + 4 * (g * z) * (g * (1 + g))) / (whole * whole)
    return ct_a * xp.where(z <= 0, left, right)


def mish_second(z: EitherArray, a: EitherArray, ct_a: EitherArray, t_z: EitherArray) -> EitherArray:
    # f'' = 2 w' + z w'' = 4 e (2 (e + 1) (n + 2) + z (2 + 2 e - 3 e^2 - 2 e^3)) / (n + 2)^3
    xp, z = namespace(z), within(z, -_SATURATED, _SATURATED)
    h = xp.exp(0.5 * negative_part(z))
    e, g = h * h, xp.exp(-magnitude(z))
    size, low = e * (e + 2) + 2, negative_part(z)
    factor = 2 * (e + 1) * size + low * (2 + e * (2 - e * (3 + 2 * e)))
    left = 4 * ((h * (factor / (size * size * size))) * h)
    whole = 1 + 2 * g * (1 + g)
    right = 4 * g * (g * (2 * (1 + g) * whole + z * (g * (g * (2 + 2 * g) - 3) - 2)) / (whole * whole * whole))
    return ct_a * t_z * xp.where(z <= 0, left, right)


def mish() -> Activation:
    """a = z tanh(log(1 + exp(z))), from Misra, 2019."""
    return Activation("mish", mish_value, mish_vjp, second_fn=mish_second)
