"""The referee's numbers: correct rounding, arithmetic beside rationals, distances in ulp."""

from __future__ import annotations

import math
import operator
from fractions import Fraction
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from flint import arb, ctx, fmpq

from reference.balls import Near
from reference.exact import decimal, round_to_float64, ulp_distance
from tests.reference.brute_force import last_place, nearest

DIGITS = 120
H = mp.mpf(10) ** -30  # central differences: the error is about H², beyond the 16th digit of any result here


def fraction(x: arb) -> Fraction:
    mantissa, exponent = x.man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def corner(rng: np.random.Generator) -> Fraction:
    """A float64 of any size, or a tie between two, or a number a hair beside one of these."""
    kind = rng.integers(5)
    if kind == 0:
        base = Fraction(2) ** int(rng.integers(-1078, 1026))
    elif kind == 1:
        base = Fraction(int(rng.integers(1, 40)), 2) * Fraction(2) ** -1074
    elif kind == 2:
        base = Fraction(2) ** 1024 - Fraction(2) ** int(rng.integers(968, 973))
    else:
        half = Fraction(1, 2) * int(rng.integers(2))
        base = (int(rng.integers(2**52, 2**53)) + half) * Fraction(2) ** int(rng.integers(-1078, 972))
    if rng.integers(2):
        base *= 1 + int(rng.integers(-1, 2)) * Fraction(2) ** -int(rng.integers(50, 90))
    return base * int(rng.choice((-1, 1)))


def dyadic(x: Fraction) -> arb:
    return arb((x.numerator, 1 - x.denominator.bit_length()))


def test_rounding_exact_numbers(rng: np.random.Generator) -> None:
    for _ in range(3000):
        x = corner(rng)
        expected = nearest(x)
        assert round_to_float64(dyadic(x)) == expected
        assert round_to_float64(fmpq(x.numerator, x.denominator)) == expected
        third = x / 3
        assert round_to_float64(fmpq(third.numerator, third.denominator)) == nearest(third)


@pytest.mark.parametrize("precision", [53, 128, 1000])
def test_rounding_balls(rng: np.random.Generator, precision: int) -> None:
    decided = 0
    for _ in range(3000):
        middle = corner(rng)
        radius = abs(middle) * Fraction(2) ** -int(rng.integers(50, 100))
        if rng.integers(4) == 0:
            radius = Fraction(2) ** -int(rng.integers(1070, 1100))
        ball = arb(dyadic(middle), dyadic(radius))
        low, high = fraction(ball.mid()) - fraction(ball.rad()), fraction(ball.mid()) + fraction(ball.rad())
        expected = nearest(low) if nearest(low) == nearest(high) else None
        with ctx.workprec(precision):
            assert round_to_float64(ball) == expected
        decided += expected is not None
    assert 500 < decided < 2900  # both outcomes have been seen


@pytest.mark.parametrize(
    ("ball", "expected"),
    [
        (arb(1, 2.0**-55), 1.0),
        (arb((2**53 + 3, -53)), 1 + 2.0**-51),  # a tie, to even: up
        (arb((2**53 + 1, -53)), 1.0),  # to even: down
        (arb(arb((2**53 + 1, -53)), 1e-40), None),  # the same tie, not known exactly
        (arb((1, -1075)), 0.0),  # half the smallest: to even
        (arb((3, -1075)), 2.0**-1073),
        (arb(arb((1, -1075)), arb((1, -1200))), None),
        (arb(0, arb((1, -1076))), 0.0),  # straddles zero, and all of it rounds to zero
        (arb(0, arb((1, -1074))), None),
        (arb(-1e-300) * arb(1e-300), 0.0),
        (arb(10) ** 400, math.inf),
        (-(arb(10) ** 400), -math.inf),
        (arb(0, arb(10) ** 400), None),
        (arb((2**54 - 1, 970)), math.inf),  # the tie between the largest float64 and 2**1024
        (arb((2**60 - 65, 964)), 1.7976931348623157e308),
        (arb.nan(), None),
        (arb.pos_inf(), math.inf),
        (arb((1, 10**30)), math.inf),
        (arb((-1, -(10**30))), 0.0),
        (arb(1e10).exp(), math.inf),
        (fmpq(1, 3), 1 / 3),
        (fmpq(-(10**400)), -math.inf),
        (fmpq(0), 0.0),
    ],
)
def test_rounding_corners(ball: Any, expected: float | None) -> None:
    got = round_to_float64(ball)
    assert got == expected
    assert got is None or got != 0 or math.copysign(1, got) == 1


@pytest.mark.parametrize("precision", [64, 1000])
def test_rounding_beside_a_rational(rng: np.random.Generator, precision: int) -> None:
    undecided = 0
    for _ in range(3000):
        rational = corner(rng) / int(rng.choice((1, 1, 3)))
        middle = Fraction(int(rng.choice((-1, 1)))) * Fraction(2) ** (last_place(rational) - int(rng.integers(0, 400)))
        offset = arb(dyadic(middle), dyadic(abs(middle) * Fraction(2) ** -int(rng.integers(0, 40))))
        low, high = (rational + fraction(offset.mid()) + side * fraction(offset.rad()) for side in (-1, 1))
        with ctx.workprec(precision):
            got = round_to_float64(Near(fmpq(rational.numerator, rational.denominator), offset))
        if got is None:
            undecided += 1
        else:
            assert got == nearest(low) == nearest(high)
            continue
        # with bits enough it is left open only where it is open
        assert precision == 64 or nearest(low) != nearest(high)
    assert 10 < undecided < 1000


def test_rounding_beside_a_tie_takes_no_bits() -> None:
    tie = fmpq(2**53 + 1, 2**53)
    for offset, expected in [(arb(-1e20).exp(), 1 + 2.0**-52), (-arb(-1e20).exp(), 1.0), (arb(0), 1.0)]:
        assert round_to_float64(Near(tie, offset)) == expected
        assert round_to_float64(Near(-tie, -offset)) == -expected
    assert round_to_float64(Near(fmpq(1, 2**1075), arb(-1e20).exp())) == 5e-324
    assert round_to_float64(Near(fmpq(1, 2**1075), -arb(-1e20).exp())) == 0.0
    assert round_to_float64(Near(fmpq(2**1024 - 2**970), -arb(-1e20).exp())) == 1.7976931348623157e308
    assert round_to_float64(Near(tie, arb(0, 1e-30))) is None


def test_arithmetic_beside_rationals(rng: np.random.Generator) -> None:
    """Against fractions: every operation with every kind of operand encloses the result, and exact ones stay exact."""
    for _ in range(300):
        numbers = [Fraction(int(rng.integers(-9, 10)), int(rng.integers(1, 10))) for _ in range(4)]
        rationals = [fmpq(x.numerator, x.denominator) for x in numbers]
        x, dx, y, dy = numbers
        dx, dy = dx * Fraction(1, 10**30), dy * Fraction(1, 10**9)
        left = Near(rationals[0], arb(fmpq(dx.numerator, dx.denominator)))
        right = Near(rationals[2], arb(fmpq(dy.numerator, dy.denominator)))
        for operation in (operator.add, operator.sub, operator.mul, operator.truediv):
            for a, b, exact_a, exact_b in [
                (left, right, x + dx, y + dy),
                (left, rationals[2], x + dx, y),
                (rationals[0], right, x, y + dy),
                (left, arb(0.3), x + dx, Fraction(0.3)),
                (arb(0.3), right, Fraction(0.3), y + dy),
                (3, right, Fraction(3), y + dy),
                (left, 3, x + dx, Fraction(3)),
                (Near(rationals[0], arb(0)), Near(rationals[2], arb(0)), x, y),
            ]:
                if operation is operator.truediv and exact_b == 0:
                    continue
                got, true = operation(a, b), operation(exact_a, exact_b)
                error = fmpq(true.numerator, true.denominator) - got.rational
                with ctx.workprec(500):  # of the ball that `error` becomes
                    assert got.offset.contains(error)
                if (exact_a, exact_b) == (x, y):
                    assert got.offset.is_zero()


def test_rounding_an_astronomically_small_radius() -> None:
    with ctx.workprec(100):
        assert round_to_float64(arb(1) + arb(-1e20).exp()) == 1.0
        assert round_to_float64(arb(-1e70).exp()) == 0.0


def test_ulp_distance(rng: np.random.Generator) -> None:
    assert ulp_distance(1.0, fmpq(1)) == 0.0
    assert ulp_distance(1 + 2.0**-52, fmpq(1)) == 1.0
    assert ulp_distance(1 - 2.0**-53, fmpq(1)) == 0.5
    assert ulp_distance(5e-324, fmpq(0)) == 1.0
    assert ulp_distance(0.0, arb((3, -1074))) == 3.0
    assert ulp_distance(math.inf, arb(10) ** 400) == 0.0
    assert ulp_distance(-math.inf, arb(10) ** 400) == math.inf
    assert ulp_distance(math.inf, arb(1)) == math.inf
    assert ulp_distance(math.nan, arb(1)) == math.inf
    assert ulp_distance(1.0, arb.nan()) == math.inf
    assert ulp_distance(1.7976931348623157e308, arb((1, 1024))) == 1.0
    assert ulp_distance(1.0, arb(1, 2.0**-52)) == pytest.approx(1.0, rel=1e-6)  # never less than it may be
    for _ in range(500):
        x = corner(rng) / int(rng.integers(1, 9))
        got = math.nextafter(nearest(x), 0.0)
        if math.isinf(got) or abs(x) >= 2**1024:
            continue
        true = abs(Fraction(got) - x) / Fraction(2) ** last_place(x)
        distance = ulp_distance(got, fmpq(x.numerator, x.denominator))
        assert float(true) <= distance * (1 + 1e-15)
        assert distance <= float(true) * (1 + 1e-12) + 1e-20


def test_decimal() -> None:
    assert decimal(fmpq(1, 3), 10) == "0.3333333333"
    assert decimal(fmpq(0)) == "0"
    with ctx.workprec(128):
        assert decimal(arb(2).sqrt(), 30) == "1.41421356237309504880168872421"
        assert len(decimal(arb(1, 1e-9), 30)) < 12  # no more digits than are known
