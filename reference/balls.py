"""The numbers of reference/exact.py, known exactly or within a ball, and their correct rounding to float64.

A `Real` is an arb, an interval that certainly holds the number and that Arb computes with as many bits as
`flint.ctx.prec` says; or an fmpq, a rational known exactly; or a `Near`, a rational plus a small arb. A saturated unit
is 1 − e⁻ᶻ: as one ball it is 1 until z/ln 2 bits are in use, and the half-way cases that sums of such units often come
to stay open; as a `Near` it is 1 and a tiny negative ball. Nothing is decided by a ball that leaves it open: `sign` and
`round_to_float64` then return None.

Zero has no sign here: what rounds to −0.0 is returned as 0.0. Refused: any rounding mode but nearest-even.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from flint import arb, arb_mat, ctx, fmpq, fmpq_mat

ZERO, ONE = fmpq(0), fmpq(1)
_SMALLEST_NORMAL, _LARGEST_BINADE = -1022, 1023  # exponents of float64


class Near:
    """The number rational + offset. Sums and products of rationals stay exact, those of offsets keep their digits."""

    __slots__ = ("offset", "rational")

    def __init__(self, rational: fmpq, offset: arb) -> None:
        self.rational, self.offset = rational, offset

    def __repr__(self) -> str:
        return f"Near({self.rational}, {self.offset})"

    def __neg__(self) -> Near:
        return Near(-self.rational, -self.offset)

    def __add__(self, other: Real | int) -> Near:
        y = near(other)
        return Near(self.rational + y.rational, self.offset + y.offset)

    def __sub__(self, other: Real | int) -> Near:
        return self + -near(other)

    def __mul__(self, other: Real | int) -> Near:
        # (r + d)(s + e) = rs + re + d(s + e)
        y = near(other)
        return Near(self.rational * y.rational, self.rational * y.offset + self.offset * ball(y))

    def __truediv__(self, other: Real | int) -> Near:
        # (r + d)/(s + e) = r/s + (d − e r/s)/(s + e)
        y = near(other)
        rational = ZERO if y.rational == 0 else self.rational / y.rational
        remainder = self.offset - rational * y.offset if y.rational != 0 else ball(self)
        return Near(rational, ZERO_BALL if remainder.is_zero() else remainder / ball(y))

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: Real | int) -> Near:
        return near(other) - self

    def __rtruediv__(self, other: Real | int) -> Near:
        return near(other) / self


Real = arb | fmpq | Near
Matrix = list[list[Real]]
ZERO_BALL = arb(0)


def near(x: Real | int) -> Near:
    """Return x as a rational and an offset."""
    if isinstance(x, Near):
        return x
    return Near(ZERO, x) if isinstance(x, arb) else Near(fmpq(x), ZERO_BALL)


def ball(x: Real) -> arb:
    """Return x as one ball, at the precision of `flint.ctx`."""
    if isinstance(x, Near):
        return x.rational + x.offset
    return arb(x)


def is_zero(x: Real) -> bool:
    """Return whether x is known to be exactly 0."""
    return x.rational == 0 and x.offset.is_zero() if isinstance(x, Near) else x == 0  # of a ball: of the exact 0 alone


def round_to_float64(x: Real) -> float | None:
    """Round to the nearest float64, ties to even, past the largest to ±inf and below half the smallest to 0.0.

    Returns:
        The one float64 that every number in `x` rounds to, or None if they do not round alike, or are no numbers.

    Example:
        >>> round_to_float64(fmpq(1, 10)), round_to_float64(arb(1, 1e-17)), round_to_float64(arb(1, 1e-15))
        (0.1, 1.0, None)
    """
    if isinstance(x, Near):
        return round_to_float64(x.rational) if x.offset.is_zero() else _rounded_near(x)
    if isinstance(x, fmpq):
        try:
            return int(x.p) / int(x.q) + 0.0  # Python rounds the quotient of two integers correctly
        except OverflowError:
            return math.inf if x > 0 else -math.inf
    if x.is_exact():
        rounded = float(x)  # by MPFR, correctly too
        return None if math.isnan(rounded) else rounded + 0.0
    low, high = float(x.lower()), float(x.upper())
    if low != high:  # lower() and upper() were rounded outwards, to ctx.prec bits: see whether that was the reason
        with ctx.workprec(x.bits() + 128):
            low, high = float(x.lower()), float(x.upper())
    return low + 0.0 if low == high else None  # monotone: all between round alike


def _rounded_near(x: Near) -> float | None:
    """Round by the ball, or, where that leaves it open, by the neighbourhood of the rational part."""
    rounded = round_to_float64(ball(x))
    side = sign(x.offset)
    if rounded is not None or x.rational == 0 or side is None:
        return rounded
    binade = int(abs(x.rational).p).bit_length() - int(x.rational.q).bit_length() - 1  # or one more
    spacing = fmpq(2) ** (max(binade, _SMALLEST_NORMAL) - 52)  # of float64 around x, or half of that
    # Half-way cases, and the places where the spacing changes, are multiples of spacing/4. x lies beside its rational
    # part, on the side of the offset; up to the next such place there all numbers round alike.
    steps = 4 * x.rational / spacing
    bound = (steps.floor() + 1 if side > 0 else steps.ceil() - 1) * spacing / 4
    return round_to_float64((x.rational + bound) / 2) if abs(x.offset) < abs(bound - x.rational) else None


def ulp_distance(got: float, x: Real) -> float:
    """Return how far the float64 `got` is from the number in `x`, in units in the last place (ulp).

    One ulp is the spacing of float64 in the binade of the exact number: 2**-1074 for zero and subnormals, 2**971 past
    the largest. Correct rounding errs by at most 0.5. The result is an upper bound, above the error by no more than the
    radius of the ball. NaN, and an infinity that is not the correct rounding, are at distance inf.
    """
    if math.isnan(got):
        return math.inf
    if math.isinf(got):
        return 0.0 if round_to_float64(x) == got else math.inf
    with ctx.workprec(128):  # the bits of the difference, not of what it is taken of
        exact = ball(x)
        mantissa, exponent = exact.mid().man_exp() if exact.is_finite() else (0, 0)
        binade = int(exponent) + int(mantissa).bit_length() - 1 if mantissa else _SMALLEST_NORMAL
        ulp = min(max(binade, _SMALLEST_NORMAL), _LARGEST_BINADE) - 52
        distance = float((abs(arb(got) - exact) * arb((1, -ulp))).upper())
    return math.inf if math.isnan(distance) else distance


def decimal(x: Real, digits: int = 30) -> str:
    """Return `x` in decimal, off by at most one unit in the last digit; fewer digits where fewer are known."""
    with ctx.workprec(math.ceil(digits * math.log2(10)) + 64):
        return str(ball(x).str(digits, radius=False))


def sign(x: Real) -> int | None:
    """Return 1, 0 or −1, or None where the ball leaves it open."""
    if isinstance(x, Near):
        if is_zero(x):
            return 0
        x = ball(x)
    if x > 0:
        return 1
    if x < 0:
        return -1
    return 0 if x == 0 else None  # a ball is equal to 0 only if it is the exact 0


def hull(*numbers: Real) -> arb:
    """Return a ball that holds all of the numbers."""
    first, *others = numbers
    union = ball(first)
    for other in others:
        union = union.union(ball(other))
    return union


def _of_kind(x: Real, result: arb) -> Real:
    """Return a result for the argument x: as a ball if x is one, otherwise ready to meet rationals exactly."""
    return result if isinstance(x, arb) else Near(ZERO, result)


def _small(x: Real) -> bool:
    return bool(abs(ball(x)) < 0.5)


def exp(x: Real) -> Real:
    """Return eˣ."""
    if is_zero(x):
        return ONE
    if _small(x):
        return 1 + _of_kind(x, ball(x).expm1())
    return _of_kind(x, ball(x).exp())


def expm1(x: Real) -> Real:
    """Return eˣ − 1."""
    if is_zero(x):
        return ZERO
    return _of_kind(x, ball(x).expm1()) if sign(x) != -1 or _small(x) else exp(x) - 1


def log1p(x: Real) -> Real:
    """Return ln(1 + x)."""
    return ZERO if is_zero(x) else _of_kind(x, ball(x).log1p())


def log(x: Real) -> Real:
    """Return ln x."""
    return _of_kind(x, ball(x).log())


def tanh(x: Real) -> Real:
    """Return tanh x."""
    if is_zero(x):
        return ZERO
    if _small(x) or sign(x) is None:
        return _of_kind(x, ball(x).tanh())
    # tanh x = 1 − 2e/(1 + e) with e = e⁻²ˣ
    power = exp(-2 * x) if sign(x) == 1 else exp(2 * x)
    below_one = 2 * power / (1 + power)
    return 1 - below_one if sign(x) == 1 else below_one - 1


def sin(x: Real) -> Real:
    """Return sin x, x in radians."""
    return ZERO if is_zero(x) else _of_kind(x, ball(x).sin())


def cos(x: Real) -> Real:
    """Return cos x."""
    if is_zero(x):
        return ONE
    if _small(x):  # 1 - 2 sin^2(x/2)
        half = _of_kind(x, (ball(x) / 2).sin())
        return 1 - 2 * half * half
    return _of_kind(x, ball(x).cos())


def sech_squared(x: Real) -> Real:
    """Return 1/cosh² x."""
    if _small(x):
        return 1 - tanh(x) * tanh(x)
    return _of_kind(x, ball(x).sech()) * _of_kind(x, ball(x).sech())


def normal_distribution(x: Real) -> Real:
    """Return Φ(x) = erfc(−x/√2)/2, the distribution function of the normal distribution."""
    if is_zero(x):
        return ONE / 2
    scaled = ball(x) / arb(2).sqrt()
    if _small(x):
        return ONE / 2 + _of_kind(x, scaled.erf()) / 2
    if sign(x) == 1:
        return 1 - _of_kind(x, scaled.erfc()) / 2
    return _of_kind(x, (-scaled).erfc()) / 2


def normal_density(x: Real) -> Real:
    """Return φ(x) = exp(−x²/2)/√(2π)."""
    return exp(-x * x / 2) / (2 * arb.pi()).sqrt()


def power(x: Real, exponent: fmpq) -> Real:
    """Return x to the exponent, for x ≥ 0 and an exponent ≥ 0; 0⁰ is 1."""
    if exponent == 0 or is_zero(x):
        return ONE if exponent == 0 else ZERO
    if exponent.q == 1 and exponent <= 8:
        result: Real = x
        for _ in range(int(exponent.p) - 1):
            result = result * x
        return result
    return exp(exponent * log(x))


def times(factor: Real, x: Real) -> Real:
    """Return factor · x, and the exact 0 where the factor is 0, whatever x is."""
    return ZERO if is_zero(factor) else factor * x


def over(numerator: Real, denominator: Real) -> Real:
    """Return numerator / denominator, and the exact 0 where the numerator is 0, whatever the denominator is."""
    return ZERO if is_zero(numerator) else numerator / denominator


def total(terms: Iterable[Real]) -> Real:
    """Return the sum."""
    return sum(terms, start=ZERO)


def transpose(matrix: Matrix) -> Matrix:
    """Return the columns as rows."""
    return [list(column) for column in zip(*matrix, strict=True)]


def _rows(matrix: arb_mat | fmpq_mat) -> list[list[Any]]:
    entries, columns = matrix.entries(), matrix.ncols()
    return [entries[start : start + columns] for start in range(0, len(entries), columns)]


def product(left: Matrix, right: Matrix, *, exact: bool) -> Matrix:
    """Return left (i, k) @ right (k, j) as (i, j): of `Near` numbers if `exact`, else, faster, of balls."""
    left_balls, right_balls = (arb_mat([[ball(x) for x in row] for row in factor]) for factor in (left, right))
    if not exact:
        return _rows(left_balls * right_balls)
    parts = [[[near(x) for x in row] for row in factor] for factor in (left, right)]
    left_rationals, right_rationals = (fmpq_mat([[x.rational for x in row] for row in factor]) for factor in parts)
    left_offsets, right_offsets = (arb_mat([[x.offset for x in row] for row in factor]) for factor in parts)
    offsets = arb_mat(left_rationals) * right_offsets + left_offsets * right_balls
    return [
        [Near(rational, offset) for rational, offset in zip(*rows, strict=True)]
        for rows in zip(_rows(left_rationals * right_rationals), _rows(offsets), strict=True)
    ]
