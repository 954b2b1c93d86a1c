"""The same change in every step of a loop, or wherever one function of the person is called; and what is cut in loops.

Such changes do not add up, since a path may pass several of them. But an entry of the gradients that only one of them
reaches, is changed by that one alone: this says which are worth a pass of their own.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.traced.diagnosis.changes.candidate import PATH, RULE, VALUE, Candidate
from functional_mlp.oracle.traced.diagnosis.changes.edges import scaled
from functional_mlp.oracle.traced.diagnosis.matching import SIMPLE, Factor, meant, shares
from functional_mlp.oracle.traced.diagnosis.replay import Tape
from functional_mlp.oracle.traced.diagnosis.target import Probe

MOST_FACTORS = 6


def joint(
    tape: Tape, found: Sequence[Candidate], sites: list[int], probe: Probe, sizes: Sequence[int]
) -> Iterator[Candidate]:
    """Those that may reproduce the given numbers; their effects are not known."""
    groups: dict[Any, list[Candidate]] = {}
    for c in found:
        if c.kind != VALUE:
            groups.setdefault((sites[c.place], c.kind, c.operand, c.words), []).append(c)
            if tape.turns[c.place] > 1:
                groups.setdefault(("place", c.place, c.kind, c.operand, c.words), []).append(c)
    seen: set[tuple[int, ...]] = set()
    for group in groups.values():
        steps = (*(c.changes[0].step for c in group), group[0].operand, hash((group[0].kind, group[0].words)))
        if len(group) > 1 and steps not in seen:
            seen.add(steps)
            yield from _of_group(tape, group, probe, sizes)


def _of_group(tape: Tape, group: list[Candidate], probe: Probe, sizes: Sequence[int]) -> Iterator[Candidate]:
    effects = np.stack([c.effect for c in group if c.effect is not None])
    with np.errstate(all="ignore"):
        moves = ~(np.abs(effects) <= 1e-3 * probe.allowed)
    if not moves.any() or not np.all(np.isfinite(effects)):
        return
    count = moves.sum(0)
    alone = np.where(moves, effects, 0.0).sum(0)
    still, single = count == 0, count == 1
    if np.any(np.abs(probe.off[still]) > probe.allowed[still]):
        return
    first = group[0]
    if first.kind == RULE:
        if np.all(np.abs(probe.off - alone)[single] <= probe.allowed[single]):
            yield first._replace(changes=tuple(change for c in group for change in c.changes), effect=None)
        return
    low, high = -np.inf, np.inf
    if single.any():
        low, high = shares(probe.off[single], probe.allowed[single], alone[single])
    near = [c for c in (*SIMPLE, *meant(sizes)) if low - 1e-9 <= c - 1 <= high + 1e-9]
    table = dict(meant(sizes)) | SIMPLE
    for c in near[:MOST_FACTORS] if single.any() else list(SIMPLE):
        changes = tuple(
            scaled(change.step, tape.steps[change.step], one.operand, c) for one in group for change in one.changes
        )
        yield first._replace(changes=changes, effect=None, factor=Factor(c, table[c], 0.0))


def in_loops(tape: Tape, found: Sequence[Candidate]) -> Iterator[Candidate]:
    """What is cut between two steps of a loop, or in its first or its last step alone."""
    between: dict[Any, dict[int, list[Candidate]]] = {}
    for c in found:
        step = tape.steps[c.changes[0].step]
        if c.kind != PATH or tape.turns[c.place] < 2:
            continue
        if step.name == "carry":
            between.setdefault(id(step.equation.equation), {}).setdefault(step.turn, []).append(c)
        elif step.turn in (0, tape.turns[c.place] - 1) and step.name != "row":
            which = "first" if step.turn == 0 else "last"
            yield c._replace(kind=RULE, words=f"nothing comes back in the {which} step of the loop", effect=_minus(c))
    for turns in between.values():
        length = max(turns) + 1
        for t, cuts in turns.items():
            if t:
                effect = np.sum([_minus(c) for c in cuts], 0)
                words = f"nothing comes back through step {t} of {length} (truncated)"
                changes = tuple(change for c in cuts for change in c.changes)
                yield cuts[0]._replace(kind=RULE, words=words, changes=changes, effect=effect)
        for window in range(2, length // 2 + 1):
            for start in {0, length % window}:
                cuts = [c for t, some in turns.items() if t and t % window == start for c in some]
                words = f"nothing comes back over more than {window} of {length} steps (truncated)"
                changes = tuple(change for c in cuts for change in c.changes)
                yield cuts[0]._replace(kind=RULE, words=words, changes=changes, effect=None)


def _minus(c: Candidate) -> Array:
    assert c.effect is not None
    return -c.effect
