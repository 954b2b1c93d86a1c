"""What the formulas of several activations share: parts of z, and exponentials that keep their digits.

The exponential of a product loses digits: of x = 700 the rounding of x alone is worth 350 units in the last place of
exp(x). So x is split here into a part that is exact, since its factors have half of the digits, and a small rest.
"""

from fractions import Fraction
from functools import lru_cache

import numpy as np
from jax import lax

from functional_mlp._checks import finite_float
from functional_mlp._dtypes import EitherArray, namespace

UNDERFLOWS = 800.0  # exp(-800) is 0 in every floating format


def positive_float(what: str, value: object) -> float:
    """`value` as a finite float above 0; errors as `finite_float`, and ValueError for others."""
    number = finite_float(what, value)
    if number <= 0:
        raise ValueError(f"expected {what} to be above 0, got {number}")
    return number


def magnitude(z: EitherArray) -> EitherArray:
    """|z|; by where, not abs, whose derivative at 0 is 0 to jax.grad: neither side's."""
    return namespace(z).where(z <= 0, -z, z)


def negative_part(z: EitherArray) -> EitherArray:
    """min(z, 0): keeps the exponential of a branch not taken finite; by where, so that jax.grad is one-sided at 0."""
    xp = namespace(z)
    return xp.where(z <= 0, z, xp.zeros_like(z))


def within(z: EitherArray, low: float, high: float) -> EitherArray:
    """z, no less than `low` and no more than `high`; NaN stays. By where: clip has no rule for Taylor series (jet)."""
    xp = namespace(z)
    bounded: EitherArray = xp.where(z < low, xp.full_like(z, low), xp.where(z > high, xp.full_like(z, high), z))
    return bounded


def finite(z: EitherArray) -> EitherArray:
    """z, its infinities replaced by the largest numbers: times exp(-inf) = 0 these are 0, the limit, and not NaN."""
    return within(z, float(np.finfo(z.dtype).min), float(np.finfo(z.dtype).max))


def scaled(factor: float, ct_a: EitherArray) -> EitherArray:
    """factor ct_a, where 0 ct_a is 0, also for the infinite cotangent of a unit that has no part in the result."""
    return namespace(ct_a).zeros_like(ct_a) if factor == 0 else factor * ct_a


def leading_half(x: EitherArray) -> EitherArray:
    """x rounded to the leading half of its significand, so that products of two are exact; ties to even."""
    info = np.finfo(x.dtype)
    kept = (info.nmant - 1) // 2
    if not isinstance(x, np.ndarray):  # the rest moves with x instead: of this there are no Taylor series (jet)
        return lax.reduce_precision(lax.stop_gradient(x), exponent_bits=info.nexp, mantissa_bits=kept)
    bits, dropped = x.view(f"u{x.itemsize}"), info.nmant - kept
    rounded = bits + ((1 << (dropped - 1)) - 1) + ((bits >> dropped) & 1)
    return (rounded >> dropped << dropped).view(x.dtype)


@lru_cache(maxsize=256)
def halves(number: Fraction, nmant: int) -> tuple[float, float]:
    """A constant as hi + lo, hi of half of the digits that a format of `nmant` stored ones has."""
    size = np.frexp(float(number))[1]
    step = Fraction(2) ** int(size - (nmant - 1) // 2 - 1)
    hi = round(number / step) * step
    return float(hi), float(number - hi)


def exponential(z: EitherArray, rate: Fraction) -> EitherArray:
    """exp(rate z), of the shape and dtype of z, for rate z <= 0."""
    xp = namespace(z)
    if rate == 1:
        return xp.exp(z)
    hi, lo = halves(rate, np.finfo(z.dtype).nmant)
    z = within(z, -abs(UNDERFLOWS / hi), abs(UNDERFLOWS / hi)) if hi else z
    leading = leading_half(z)
    half = xp.exp(0.5 * hi * leading)  # so that the correction does not underflow before the result does
    return (half + half * xp.expm1(hi * (z - leading) + lo * z)) * half


def exponential_of_square(x: EitherArray, rate: float, factor: EitherArray) -> EitherArray:
    """exp(-rate x^2) factor for 0 <= x <= 40 and a power of 2 as the rate, of the shape and dtype of x.

    x = hi + lo with so few digits in hi that hi^2 is exact, and exp(-x^2) = exp(-hi^2) (1 + expm1(-lo (x + hi))).
    (Written as a product of two exponentials, XLA would merge them and lose this.) One half of exp(-hi^2) is
    multiplied in after the factor, so that nothing underflows before the result does.
    """
    xp = namespace(x)
    hi = leading_half(x)
    lo = x - hi
    half = xp.exp(-rate / 2 * (hi * hi))
    corrected = half + half * xp.expm1(-rate * (lo * (x + hi)))
    return (corrected * factor) * half


# sigmoid: with e = exp(-|z|) and r = 1 / (1 + e): a = r and 1 - a = e r for z > 0, and the other way round for z < 0


def sigmoid_parts(z: EitherArray, rate: Fraction = Fraction(1)) -> tuple[EitherArray, EitherArray]:
    """e = exp(-|rate z|) and 1 / (1 + e), for a rate that is positive."""
    e = exponential(-magnitude(z), rate)
    return e, 1 / (1 + e)


def logistic(z: EitherArray, rate: Fraction = Fraction(1)) -> EitherArray:
    """1 / (1 + exp(-rate z)), for a rate that is positive."""
    e, r = sigmoid_parts(z, rate)
    return namespace(z).where(z <= 0, e * r, r)


def logistic_times(z: EitherArray, factor: EitherArray, rate: Fraction = Fraction(1)) -> EitherArray:
    """logistic(rate z) factor; for z <= 0 as (h factor) h / (1 + h^2), h = exp(rate z/2), which does not underflow."""
    xp = namespace(z)
    h = xp.exp(0.5 * negative_part(z)) if rate == 1 else exponential(negative_part(z), rate / 2)
    return xp.where(z <= 0, (h * factor) * h / (1 + h * h), factor * logistic(z, rate))
