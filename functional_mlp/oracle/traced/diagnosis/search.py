"""The search: candidates are compared along a few directions first, those that are left on every entry."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.traced.diagnosis.changes import PATH, Candidate
from functional_mlp.oracle.traced.diagnosis.matching import (
    MARGIN,
    Factor,
    all_shares,
    evidence,
    factor_in,
    reproduces,
    shares,
)
from functional_mlp.oracle.traced.diagnosis.question import Probe, Question
from functional_mlp.oracle.traced.diagnosis.replay import Tape, differences

MOST = 400  # candidates that are run on every entry


class Match(NamedTuple):
    """What reproduces the given numbers.

    Attributes:
        candidates: those that do the same; the first is the one to be named.
        factor: of a path.
        bits: of evidence beyond chance.
        digits: to which the worst entry is reproduced.
    """

    candidates: tuple[Candidate, ...]
    factor: Factor | None
    bits: float


def screened(question: Question, probe: Probe, found: Sequence[Candidate]) -> list[list[Candidate]]:
    """Those that may reproduce the given numbers, by their effect along the probes; the same effects in one list."""
    left: list[Candidate] = []
    for c in found:
        assert c.effect is not None
        if c.kind == PATH:
            low, high = shares(probe.off, probe.allowed, c.effect)
            if low <= high:
                left.append(c)
        elif np.all(np.abs(probe.off - c.effect) <= probe.allowed):
            left.append(c)
    return grouped(left)


def grouped(found: Sequence[Candidate]) -> list[list[Candidate]]:
    groups: list[list[Candidate]] = []
    effects: list[Array] = []
    for c in found:
        assert c.effect is not None
        size = float(np.max(np.abs(c.effect), initial=0.0))
        for group, effect in zip(groups, effects, strict=True):
            if (c.kind == PATH) == (group[0].kind == PATH) and np.all(np.abs(c.effect - effect) <= 1e-9 * size):
                group.append(c)
                break
        else:
            groups.append([c])
            effects.append(c.effect)
    return groups


def matches(
    tape: Tape, right: list[Any], question: Question, groups: Sequence[Sequence[Candidate]], tried: int, sizes: Any
) -> Iterator[Match]:
    """Those groups that reproduce every entry, by more than chance."""
    groups = sorted(groups, key=lambda g: g[0].kind != PATH)[:MOST]
    if not groups:
        return
    made = differences(tape, right, [g[0].changes for g in groups])
    for row, group in enumerate(groups):
        own = [d[row] for d in made]
        if group[0].kind == PATH:
            low, high = all_shares(question, [-d for d in own])
            if low > high:
                continue
            factor = factor_in(low, high, sizes)
            total, most = evidence(question, own)
            bits = total - most + (factor.bits if factor.words else 0.0)
            if bits >= np.log2(tried) + MARGIN:
                yield Match(tuple(group), factor, bits)
        elif reproduces(question, own):
            total, _ = evidence(question, own)
            if total >= np.log2(tried) + MARGIN:
                yield Match(tuple(group), None, total)
