"""How a wrong array is related to the right one as a whole: what needs no place in the function."""

import math
from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.traced.diagnosis.matching import (
    MARGIN,
    OF_FACTORS,
    Factor,
    averaged,
    digits_of,
    evidence,
    factor_in,
    least_of,
    reproduces,
)
from functional_mlp.oracle.traced.diagnosis.target import Target

FEWEST = 4  # entries that nobody has written


class Relation(NamedTuple):
    """Of one array.

    Attributes:
        array: its number.
        kind: in one word.
        words: to be read after its name.
        digits: decimal ones to which it holds.
        factor: where it is scaled.
    """

    array: int
    kind: str
    words: str
    digits: int
    factor: Factor | None = None


def relations_of(target: Target, paths: Sequence[str]) -> list[Relation]:
    """One for each wrong array that has one, the simplest; a factor that means nothing has no words."""
    return [r for i, wrong in enumerate(target.wrong) if wrong for r in _of_array(target, i, paths)[:1]]


def _alone(target: Target, i: int) -> Target:
    return Target([target.given[i]], [target.true[i]], [target.off[i]], [target.allowed[i]], [target.wrong[i]])


def _of_array(target: Target, i: int, paths: Sequence[str]) -> list[Relation]:
    found: list[Relation] = []
    one, true = _alone(target, i), target.true[i]
    scaled = _scaled(one, i, true)
    others = list(_rearranged(target, i, paths))
    if scaled is not None and scaled.factor is not None and scaled.factor.words:
        found.append(scaled)
    least = float(np.log2(len(others) + 1)) + MARGIN
    for kind, words, instead in others:
        made = [instead - true]
        orders = math.lgamma(true.size + 1) / math.log(2)  # bits: there are so many
        if np.all(np.isfinite(instead)) and reproduces(one, made) and min(evidence(one, made)[0], orders) >= least:
            found.append(Relation(i, kind, words, digits_of(one, made)))
    if scaled is not None and not found:
        found.append(scaled)
    return found


def _scaled(one: Target, i: int, true: Array) -> Relation | None:
    low, high = averaged(one.off, one.allowed, [true])
    total, _ = evidence(one, [true], of_multiples=True)
    if low > high:
        return None
    sizes = [n for n in (*true.shape, true.size) if n > 1]
    factor = factor_in(low, high, sizes)
    if factor.words and factor.bits < least_of(factor) and np.any(one.given[0]):
        factor = factor.unnamed()
    if not factor.words and total < MARGIN + OF_FACTORS:
        return None
    digits = digits_of(one, [(factor.value - 1) * true])
    return Relation(i, "missing" if factor.value == 0 else "scaled", factor.words, digits, factor)


def _rearranged(target: Target, i: int, paths: Sequence[str]) -> Iterator[tuple[str, str, Any]]:
    true = target.true[i]
    if true.ndim >= 2 and true.shape[-1] == true.shape[-2] > 1:
        yield "transposed", "is transposed", np.swapaxes(true, -1, -2)
        yield "transposed", "is transposed, with the wrong sign", -np.swapaxes(true, -1, -2)
    for axis, n in enumerate(true.shape):
        if n > 1:
            yield "rolled", f"is shifted by one along axis {axis}", np.roll(true, 1, axis)
            yield "rolled", f"is shifted by one along axis {axis}, to lower indices", np.roll(true, -1, axis)
            yield "flipped", f"is in the reverse order along axis {axis}", np.flip(true, axis)
        if n % 2 == 0:
            yield "rolled", f"has its two halves exchanged along axis {axis}", np.roll(true, n // 2, axis)
        for blocks in (3, 4):
            if n % blocks == 0:
                yield from _in_blocks(true, axis, blocks)
    yield from _unwritten(target.given[i], true)
    if true.ndim > 1:
        yield "reordered", "is in the order of columns instead of rows", true.ravel(order="F").reshape(true.shape)
        yield "reordered", "is in the order of columns instead of rows", true.reshape(true.shape[::-1], order="C").T
    for j, other in enumerate(target.true):
        if j != i and other.shape == true.shape:
            yield "exchanged", f"is the gradient of {paths[j]}", other
            yield "exchanged", f"is that of {paths[j]} added to its own", true + other


def _in_blocks(true: Array, axis: int, blocks: int) -> Iterator[tuple[str, str, Any]]:
    """Its parts, such as those of the gates of a recurrent cell, in another order."""
    parts = np.split(true, blocks, axis)
    for order in permutations(range(blocks)):
        if order != tuple(range(blocks)):
            words = f"has its {blocks} parts along axis {axis} in the order {', '.join(map(str, order))}"
            yield "reordered", words, np.concatenate([parts[k] for k in order], axis)


def _unwritten(given: Array, true: Array) -> Iterator[tuple[str, str, Any]]:
    """What is 0 along the first or the last indices of an axis."""
    lost = (given == 0) & (true != 0)
    for axis, n in enumerate(true.shape):
        others = tuple(a for a in range(true.ndim) if a != axis)
        zero = np.all(lost | (true == 0), axis=others) & np.any(lost, axis=others)
        some = np.flatnonzero(zero)
        if not some.size or some.size == n or np.sum(lost) < FEWEST:
            continue
        for where, is_it in (("first", some[-1] == some.size - 1), ("last", some[0] == n - some.size)):
            if is_it:
                instead = np.array(true)
                instead[(slice(None),) * axis + (some,)] = 0.0
                words = f"is 0 for the {where} {some.size} of {n} along axis {axis}: never written"
                yield "unwritten", words, instead
