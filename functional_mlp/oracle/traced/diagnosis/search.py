"""The search: candidates are compared along a few directions first, those that are left on every entry.

Changes of one operation come first; then those that are made at several, or in the function itself; then two of the
first at once. What explains the numbers ends the search.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.traced.diagnosis.changes import (
    PATH,
    VALUE,
    Candidate,
    Variant,
    candidates,
    in_loops,
    joint,
    scaled,
    variants,
)
from functional_mlp.oracle.traced.diagnosis.matching import (
    MARGIN,
    OF_FACTORS,
    SIMPLE,
    Factor,
    averaged,
    digits_of,
    evidence,
    factor_in,
    is_scaled,
    least_of,
    meant,
    reproduces,
    shares,
)
from functional_mlp.oracle.traced.diagnosis.replay import Stacked, Tape, differences, pull_back, rerun, sites_of
from functional_mlp.oracle.traced.diagnosis.target import Probe, Target, probes_of
from functional_mlp.oracle.traced.tracing import Place

FEWEST_RUN, MOST_RUN = 40, 600  # groups of candidates that are run on every entry
WORK = 60_000  # operations that passes of their own may take, all in all: about a second of small arrays
NUMBERS = 200_000_000  # and numbers that such passes move
SLOWEST = 2_000.0  # numbers that cost as much as an operation does by itself
MOST_PAIRED = 3_000


class Match(NamedTuple):
    """What reproduces the given numbers.

    Attributes:
        candidates: that do the same; of two at once, those of the first.
        factor: of a path.
        bits: of evidence.
        digits: decimal ones to which the worst array is reproduced.
        second: the other one of two at once.
        variant: another function, instead of candidates.
    """

    candidates: tuple[Candidate, ...]
    factor: Factor | None
    bits: float
    digits: int
    second: tuple[Candidate, ...] = ()
    variant: Variant | None = None


class Search(NamedTuple):
    """What all steps of a search read.

    Attributes:
        tape: the function.
        cts: of its outputs.
        right: the cotangent of every value.
        target: the numbers to be explained.
        probe: the directions.
        places: by place, where it is in the person's code.
        sites: by place, the same for what is the same expression.
        is_scaled: whether every wrong array is a multiple of the right one.
    """

    tape: Tape
    cts: list[Array]
    right: list[Stacked]
    target: Target
    probe: Probe
    places: list[Place | None]
    sites: list[int]
    is_scaled: bool


def matches_of(
    tape: Tape, cts: list[Array], target: Target, places: list[Place | None], *, pairs: bool = True
) -> list[Match]:
    """All that was found, in no order; [] if nothing explains the numbers by more than chance.

    Args:
        tape: the function.
        cts: the cotangents of its outputs.
        target: the numbers to be explained.
        places: by place, where it is in the person's code.
        pairs: whether two changes at once are tried, if nothing else explains the numbers.
    """
    right = pull_back(tape, cts)
    asked = Search(
        tape, cts, right, target, probes_of(target, _numbers(tape)), places, sites_of(tape, places), is_scaled(target)
    )
    found = [c for c in candidates(tape, right, asked.probe) if c.effect is not None and np.all(np.isfinite(c.effect))]
    once = [c for c in found if tape.turns[c.place] == 1]
    tried = max(len(found), 1) + 2 * sum(_sizes(tape))
    matches = list(_matching(asked, _screened(asked, once), tried))
    if any(_is_named(m) for m in matches):
        return matches
    loops = list(in_loops(tape, found))
    several = [*joint(tape, found, asked.sites, asked.probe, _sizes(tape)), *loops]
    tried += len(several)
    known = [c for c in several if c.effect is not None]
    unknown = [[c] for c in several if c.effect is None]
    matches += _matching(asked, [*_screened(asked, known), *_affordable(asked, unknown)], tried)
    if any(_is_named(m) for m in matches):
        return matches
    matches += _varied(asked, tried)
    if not pairs or any(_is_named(m) for m in matches):
        return matches
    return [*matches, *_pairs(asked, [*once, *known], tried)]


def _is_named(match: Match) -> bool:
    return match.factor is None or bool(match.factor.words)


def _sizes(tape: Tape) -> list[int]:
    """Lengths of axes, and how many numbers there are: of what moves."""
    shapes = {v.shape for v, moves in zip(tape.values, tape.moving, strict=True) if moves}
    return sorted({n for shape in shapes for n in (*shape, int(np.prod(shape)))} - {0, 1})


def _sizes_near(tape: Tape, group: Iterable[Candidate]) -> list[int]:
    """The same of the operations at hand alone."""
    sizes: set[int] = set()
    for c in group:
        for change in c.changes[:1]:
            step = tape.steps[change.step]
            for v in (*step.operands, *step.results):
                shape = np.shape(tape.values[v])
                sizes |= {*shape, int(np.prod(shape))}
                if v in tape.literals and np.size(tape.values[v]) == 1 and float(tape.values[v]).is_integer():
                    sizes.add(int(tape.values[v]))
    return sorted(n for n in sizes if n > 1)


# one candidate


def _screened(asked: Search, found: Iterable[Candidate]) -> list[list[Candidate]]:
    """Those that may reproduce the given numbers, by their effect along the probes; the same effects in one list."""
    probe = asked.probe
    left: list[Candidate] = []
    for c in found:
        assert c.effect is not None
        if c.kind == PATH:
            low, high = shares(probe.off, probe.allowed, c.effect)
            if low <= high:
                left.append(c)
        elif np.all(np.abs(probe.off - c.effect) <= probe.allowed):
            left.append(c)
    return _grouped(left)


def _grouped(found: Sequence[Candidate]) -> list[list[Candidate]]:
    groups: list[list[Candidate]] = []
    for c in found:
        assert c.effect is not None
        size = float(np.max(np.abs(c.effect), initial=0.0))
        for group in groups:
            effect = group[0].effect
            assert effect is not None
            if (c.kind == PATH) == (group[0].kind == PATH) and np.all(np.abs(c.effect - effect) <= 1e-9 * size):
                group.append(c)
                break
        else:
            groups.append([c])
    return groups


def _affordable(asked: Search, groups: list[list[Candidate]]) -> list[list[Candidate]]:
    """As many as there is work for, what is missing altogether first."""
    rows = int(np.clip(NUMBERS // max(_numbers(asked.tape), 1), FEWEST_RUN, MOST_RUN))
    return sorted(groups, key=lambda g: _order(g[0]))[:rows]


def _order(c: Candidate) -> int:
    if c.factor is None:
        return 1
    return 0 if c.factor.value == 0 else 2 if c.factor.value in SIMPLE else 3


def _numbers(tape: Tape) -> int:
    return sum(v.size for v, moves in zip(tape.values, tape.moving, strict=True) if moves)


def _matching(asked: Search, groups: Sequence[Sequence[Candidate]], tried: int) -> Iterator[Match]:
    """Those groups that reproduce every entry, by more than chance."""
    groups = groups if len(groups) <= MOST_RUN else sorted(groups, key=lambda g: g[0].kind == VALUE)[:MOST_RUN]
    if not groups:
        return
    made = differences(asked.tape, asked.right, [g[0].changes for g in groups])
    for row, group in enumerate(groups):
        match = _match(asked, group, [d[row] for d in made], tried)
        if match is not None:
            yield match


def _match(asked: Search, group: Sequence[Candidate], made: list[Array], tried: int) -> Match | None:
    first, target = group[0], asked.target
    least = float(np.log2(tried)) + (OF_FACTORS if asked.is_scaled else MARGIN)
    if first.kind != PATH or first.factor is not None:
        total, _ = evidence(target, made)
        if total < least or not reproduces(target, made):
            return None
        return Match(tuple(group), first.factor, total, digits_of(target, made))
    low, high = averaged(target.off, target.allowed, [-d for d in made])
    if low > high:
        return None
    factor = factor_in(low, high, _sizes_near(asked.tape, group))
    total, most = evidence(target, made)
    bits = total - most + (factor.bits if factor.words else 0.0)
    if asked.is_scaled:
        least = least_of(factor)
    scaled_path = [(1 - factor.value) * d for d in made]
    if bits < least or not reproduces(target, scaled_path):
        return None
    return Match(tuple(group), factor, bits, digits_of(target, scaled_path))


# another function


def _varied(asked: Search, tried: int) -> Iterator[Match]:
    tape = asked.tape
    cost = len(tape.steps) + _numbers(tape) / SLOWEST
    made = list(variants(tape, asked.sites))
    tried += len(made)
    ones = [np.ones_like(ct) for ct in asked.cts]
    yield from _reproduced(asked, Variant(None, "the cotangent is taken for ones", {}), tape, ones, tried)
    for variant in made[: max(20, int(WORK / (2 * cost)))]:
        yield from _reproduced(asked, variant, rerun(tape, variant.instead), asked.cts, tried)


def _reproduced(asked: Search, variant: Variant, tape: Tape, cts: list[Array], tried: int) -> Iterator[Match]:
    """Whether the gradients of another function, or at other cotangents, are the given ones."""
    target = asked.target
    flows = pull_back(tape, cts)
    own = [
        np.zeros(t.shape) - t if flows[v] is None else np.broadcast_to(flows[v][0], t.shape) - t
        for v, t in zip(tape.inputs, target.true, strict=True)
    ]
    least = float(np.log2(tried)) + (OF_FACTORS if asked.is_scaled else MARGIN)
    if all(np.all(np.isfinite(o)) for o in own) and reproduces(target, own):
        total, _ = evidence(target, own)
        if total >= least:
            yield Match((), None, total, digits_of(target, own), variant=variant)


# two at once


def _pairs(asked: Search, found: Sequence[Candidate], tried: int) -> Iterator[Match]:
    """Two changes, on different ways: their effects add up."""
    probe, tape = asked.probe, asked.tape
    rows: list[tuple[Candidate, float | None]] = []
    effects: list[Array] = []
    for c in found:
        assert c.effect is not None
        if c.kind == VALUE:
            continue
        factors = (*SIMPLE, *meant(_sizes_near(tape, [c]))) if c.kind == PATH else (None,)
        for factor in factors:
            rows.append((c, factor))
            effects.append(c.effect if factor is None else (factor - 1) * c.effect)
    if not rows:
        return
    table = np.array(effects)
    scale = np.maximum(probe.allowed, 1e-12 * np.max(np.abs(table), 0))
    moves = np.any(np.abs(table) > probe.allowed, 1)
    _, kept = np.unique(np.round(table[moves] / scale, 3), axis=0, return_index=True)
    kept = np.flatnonzero(moves)[np.sort(kept)][:MOST_PAIRED]
    table = table[kept]
    far = int(np.argmax(np.abs(probe.off) / probe.allowed))
    order = np.argsort(table[:, far], kind="stable")
    column = table[order, far]
    least = 2 * float(np.log2(max(tried, len(rows)))) + MARGIN
    tests: list[tuple[int, int]] = []
    for i in range(len(kept)):
        need = probe.off[far] - table[i, far]
        low, high = np.searchsorted(column, [need - probe.allowed[far], need + probe.allowed[far]], "left")
        others = order[low : high + 1]
        others = others[others > i]
        if others.size:
            near = np.all(np.abs(probe.off - table[i] - table[others]) <= probe.allowed, 1)
            tests += [(i, int(j)) for j in others[near]]
    for start in range(0, min(len(tests), MOST_RUN), 50):
        some = tests[start : start + 50]
        pairs = [[rows[kept[k]] for k in pair] for pair in some]
        made = differences(tape, asked.right, [[ch for c, f in pair for ch in _changes(tape, c, f)] for pair in pairs])
        for row, pair in enumerate(pairs):
            own = [d[row] for d in made]
            total, _ = evidence(asked.target, own)
            if total >= least and reproduces(asked.target, own):
                first, second = (c._replace(factor=_named(tape, c, f)) for c, f in pair)
                yield Match((first,), first.factor, total, digits_of(asked.target, own), (second,))


def _named(tape: Tape, c: Candidate, factor: float | None) -> Factor | None:
    if factor is None:
        return None
    words = (meant(_sizes_near(tape, [c])) | SIMPLE)[factor]
    return Factor(factor, words, 0.0)


def _changes(tape: Tape, c: Candidate, factor: float | None) -> tuple[Any, ...]:
    if factor is None:
        return c.changes
    return tuple(scaled(change.step, tape.steps[change.step], c.operand, factor) for change in c.changes)
