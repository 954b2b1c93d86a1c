"""Activations that are put together of pieces, for the referee: which piece a pre-activation lies in, and kinks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from flint import fmpq

from reference.balls import ONE, ZERO, Real, exp, expm1, hull, sign
from reference.problem import Unit

SELU_SCALE = fmpq(10507009873554804934193349852946, 10**31)
SELU_ALPHA = fmpq(16732632423543772848170429916717, 10**31)


class Piece(NamedTuple):
    """A part of an activation: its value and its derivative, each of z."""

    value: Callable[[Real], Real]
    slope: Callable[[Real], Real]


class Kink(NamedTuple):
    """Where two pieces meet: the place, and the name of the parameter that chooses a derivative there."""

    position: fmpq
    parameter: str


class Pieces(NamedTuple):
    """The pieces from left to right, and the kinks between them."""

    pieces: tuple[Piece, ...]
    kinks: tuple[Kink, ...]


def _constant(number: fmpq) -> Piece:
    return Piece(lambda z: number, lambda z: ZERO)


def _linear(slope: fmpq) -> Piece:
    return Piece(lambda z: slope * z, lambda z: slope)


def _exponential(factor: fmpq) -> Piece:
    return Piece(lambda z: factor * expm1(z), lambda z: factor * exp(z))


_FLAT, _IDENTITY, _AT_ZERO = _constant(ZERO), _linear(ONE), (Kink(ZERO, "at_zero"),)


def pieces_of(unit: Unit) -> Pieces:
    """Return the pieces of an activation; none if it is smooth."""
    given = unit.parameters
    if unit.name == "relu":
        return Pieces((_FLAT, _IDENTITY), _AT_ZERO)
    if unit.name in ("leaky_relu", "prelu"):
        return Pieces((_linear(given["slope"]), _IDENTITY), _AT_ZERO)
    if unit.name == "elu":
        return Pieces((_exponential(given["alpha"]), _IDENTITY), _AT_ZERO)
    if unit.name == "selu":
        return Pieces((_exponential(SELU_SCALE * SELU_ALPHA), _linear(SELU_SCALE)), _AT_ZERO)
    if unit.name == "relu6":
        six = fmpq(6)
        return Pieces((_FLAT, _IDENTITY, _constant(six)), (*_AT_ZERO, Kink(six, "at_six")))
    if unit.name == "hard_swish":
        curved = Piece(lambda z: z * (z + 3) / 6, lambda z: (2 * z + 3) / 6)
        return Pieces((_FLAT, curved, _IDENTITY), (Kink(fmpq(-3), "at_low"), Kink(fmpq(3), "at_high")))
    if unit.name in ("hardtanh", "hard_sigmoid"):
        low, high = given["low"], given["high"]
        ends = (Kink(low, "at_low"), Kink(high, "at_high"))
        if unit.name == "hardtanh":
            return Pieces((_constant(low), _IDENTITY, _constant(high)), ends)
        rising = Piece(lambda z: (z - low) / (high - low), lambda z: 1 / (high - low))
        return Pieces((_FLAT, rising, _constant(ONE)), ends)
    return Pieces((), ())


def _joined(z: Real, kinks: Sequence[Kink], of_pieces: Sequence[Callable[[Real], Real]], at: Sequence[Real]) -> Real:
    """Return what the piece in which z lies gives, or what holds `at` a kink; a ball around all that it may be."""
    possible: list[Real] = []
    for kink, piece, there in zip(kinks, of_pieces, at, strict=False):
        side = sign(z - kink.position)
        if side != 1:
            possible.append(there if side == 0 else piece(z))
        if side is None:
            possible.append(there)
        elif side != 1:
            break
    else:
        possible.append(of_pieces[-1](z))
    return possible[0] if len(possible) == 1 else hull(*possible)


def piecewise_value(z: Real, unit: Unit) -> Real:
    """Return a of z."""
    pieces, kinks = pieces_of(unit)
    at = [piece.value(kink.position) for piece, kink in zip(pieces, kinks, strict=False)]
    return _joined(z, kinks, [piece.value for piece in pieces], at)


def piecewise_slope(z: Real, unit: Unit) -> Real:
    """Return da/dz of z: at a kink what the case chooses, by default that of the outer side (the left one of 0)."""
    pieces, kinks = pieces_of(unit)
    outer = (pieces[0], pieces[-1])
    at = [
        unit.parameters[kink.parameter] if kink.parameter in unit.parameters else outer[number].slope(kink.position)
        for number, kink in enumerate(kinks)
    ]
    return _joined(z, kinks, [piece.slope for piece in pieces], at)


def magnitude(z: Real) -> Real:
    """Return |z|."""
    return _joined(z, _AT_ZERO, (lambda z: -z, lambda z: z), (ZERO,))


def celu(z: Real, unit: Unit) -> Real:
    """Return alpha (exp(z / alpha) - 1) for z < 0, else z."""
    alpha = unit.parameters["alpha"]
    return _joined(z, _AT_ZERO, (lambda z: alpha * expm1(z / alpha), lambda z: z), (ZERO,))


def celu_slope(z: Real, unit: Unit) -> Real:
    """Return its derivative, which is 1 on both sides of 0."""
    return _joined(z, _AT_ZERO, (lambda z: exp(z / unit.parameters["alpha"]), lambda z: ONE), (ONE,))
