"""Correct rounding to float64 by brute force, with fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath as mp

DIGITS = 120
H = mp.mpf(10) ** -30  # central differences: the error is about H², beyond the 16th digit of any result here


def last_place(x: Fraction) -> int:
    """The exponent of two of the spacing of float64 at x, which is not 0."""
    binade = abs(x.numerator).bit_length() - x.denominator.bit_length()
    binade -= Fraction(2) ** binade > abs(x)
    return max(binade, -1022) - 52


def nearest(x: Fraction) -> float:
    """Round to float64 by whole numbers: x in units of its last place, half to even."""
    if x == 0:
        return 0.0
    unit = last_place(x)
    whole = round(x / Fraction(2) ** unit)
    if abs(whole) * Fraction(2) ** unit >= 2**1024:
        return math.inf if x > 0 else -math.inf
    return math.ldexp(whole, unit) + 0.0
