"""The diagnosis of parameters after several steps, or after steps of a rule that keeps a state.

A gradient cannot be read from them, so every mistake is made in a training of its own, step by step, and what that
leads to is compared with what was given, after each step that was given, until it differs.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.case import Case, Schedule, layer_of, parameter_of, params_by_path
from functional_mlp.oracle.diagnosis.candidates import Slips, every_group
from functional_mlp.oracle.diagnosis.diagnosis import (
    CONVENTION,
    EITHER,
    ENOUGH_CASES,
    MISTAKE,
    MOST_WORK_COMPOSED,
    NEAR,
    Diagnosis,
    first_wrong,
    work_of,
)
from functional_mlp.oracle.diagnosis.matching import CLEAR, agreeing_digits
from functional_mlp.oracle.diagnosis.search import Evidence, Named, named
from functional_mlp.oracle.documents import Printed, PrintedText, digits_at
from functional_mlp.oracle.mistakes import MISTAKES, Prepared, inject_steps, prepare
from functional_mlp.oracle.noise import Noise
from functional_mlp.oracle.truth import Trajectory
from functional_mlp.oracle.verdict import Handed, Leaf, Verdict, known_to


class Taken(NamedTuple):
    """Parameters that were given after one of the steps, beside the true ones.

    Attributes:
        step: which, from 0.
        given: by path.
        noise: after that step.
        leaves: the verdicts on them.
        known: how far each entry may be from what was computed, as it was handed over, by path.
    """

    step: int
    given: Mapping[str, Array]
    noise: Noise
    leaves: tuple[Leaf, ...]
    known: Mapping[str, Array]


class AskedSteps(NamedTuple):
    """A training that was judged.

    Attributes:
        case: with the parameters before it.
        trajectory, schedule: the true one.
        taken: what was given, in the order of the steps.
        group: of the leaves.
    """

    case: Case
    trajectory: Trajectory
    schedule: Schedule
    taken: tuple[Taken, ...]
    group: str = ""

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """The verdicts after all these steps."""
        return tuple(leaf for taken in self.taken for leaf in taken.leaves)


def taken_after(
    step: int,
    handed: Mapping[str, Handed],
    noise: Noise,
    leaves: tuple[Leaf, ...],
    printed: Printed | PrintedText | None,
) -> Taken:
    """What was given after a step, with how far it is known."""
    known = {path: known_to(leaf, digits_at(printed, path)) for path, leaf in handed.items()}
    return Taken(step, {path: leaf.values for path, leaf in handed.items()}, noise, leaves, known)


def diagnose_steps(asked: Sequence[AskedSteps]) -> Diagnosis | None:
    """The diagnosis of one program whose trainings were judged: what explains them all, or most of a few of them.

    Returns:
        None if nothing is wrong.
    """
    wrong = [own for own in asked if _first_wrong(own) is not None]
    if not wrong:
        return None
    smallest = sorted(wrong, key=lambda own: work_of(own.case) * len(own.trajectory.steps))[:ENOUGH_CASES]
    searched = [own for own in smallest if work_of(own.case) * len(own.trajectory.steps) <= MOST_WORK_COMPOSED]
    found = [_explained(own) for own in searched]
    counts: dict[tuple[str, str | None], int] = {}
    for groups in found:
        for key in dict.fromkeys((group[0].id, group[0].variant) for group in groups):
            counts[key] = counts.get(key, 0) + 1
    most = max(counts.values(), default=0)
    best = [key for key, times in counts.items() if times == most]
    own = next((own for own, groups in zip(searched, found, strict=True) if _of(groups, best)), wrong[0])
    first = _first_wrong(own)
    assert first is not None
    if not best:
        return Diagnosis((), (), "", first_wrong(first.leaves), bool(searched), group=own.group)
    groups = _of(found[searched.index(own)], best)
    mistakes = _without_repetition([_named(own, group) for group in groups])
    kinds = {MISTAKES[one.id].convention for one in mistakes}
    kind = EITHER if len(kinds) > 1 else CONVENTION if kinds == {True} else MISTAKE
    explanations = tuple((one,) for one in mistakes)
    shown = _evidence(own, groups[0])
    return Diagnosis(
        (mistakes[0],), tuple(mistakes[1:]), kind, first_wrong(first.leaves), True, explanations, shown, own.group
    )


def _of(groups: Sequence[Slips], keys: Sequence[tuple[str, str | None]]) -> list[Slips]:
    return [group for group in groups if (group[0].id, group[0].variant) in keys]


def _without_repetition(mistakes: Sequence[Named]) -> list[Named]:
    first: dict[str, Named] = {}
    for one in mistakes:
        first.setdefault(one.id, one)
    return list(first.values())


def _first_wrong(asked: AskedSteps) -> Taken | None:
    return next((taken for taken in asked.taken if any(leaf.verdict is Verdict.WRONG for leaf in taken.leaves)), None)


def _explained(asked: AskedSteps) -> list[Slips]:
    """The mistakes that lead to what was given after every step."""
    prepared = prepare(asked.trajectory.steps[0].case, rule=asked.trajectory.rule)
    groups = [group for group in every_group(prepared, updates=True) if MISTAKES[group[0].id].parameter is None]
    with np.errstate(all="ignore"):
        return [group for group in groups if _explains(asked, group, prepared)]


def _explains(asked: AskedSteps, group: Slips, first: Prepared) -> bool:
    """Whether a program with these mistakes leads to what was given; its first step is prepared."""
    given = {taken.step: taken for taken in asked.taken}
    own, true = 0.0, 0.0
    try:
        steps = inject_steps(asked.case, group, asked.trajectory.rule, asked.schedule, first=first)
        for number, params in enumerate(steps):
            if number in given:
                taken = given[number]
                own = max(own, _off(taken, params_by_path(params)))
                if not own <= 1:
                    return False
                true = max(true, _off(taken, params_by_path(asked.trajectory.steps[number].after)))
    except (ValueError, ArithmeticError):
        return False
    return true > CLEAR * own


def _off(taken: Taken, arrays: Mapping[str, Array]) -> float:
    """How far these parameters are from those that were given, in what is allowed."""
    far = 0.0
    for path, given in taken.given.items():
        allowed = NEAR * taken.noise.floors[path].smooth + taken.known[path]
        finite = np.isfinite(given) & np.isfinite(arrays[path])
        ratios = np.where(finite, np.abs(given - arrays[path]) / allowed, np.inf)
        ratios[(given == arrays[path]) | (np.isnan(given) & np.isnan(arrays[path]))] = 0.0
        far = max(far, float(np.max(ratios, initial=0.0)))
    return far


def _arrays(asked: AskedSteps, group: Slips, step: int) -> dict[str, Array]:
    steps = list(inject_steps(asked.case, group, asked.trajectory.rule, asked.schedule))
    return params_by_path(steps[step])


def _named(asked: AskedSteps, group: Slips) -> Named:
    first = _first_wrong(asked)
    assert first is not None
    arrays = _arrays(asked, group, first.step)
    wrong = [leaf.path for leaf in first.leaves if leaf.verdict is Verdict.WRONG and leaf.path in first.given]
    digits = [
        agreeing_digits(before - first.given[path], before - arrays[path])
        for path in wrong
        for before in (parameter_of(asked.case, path),)
    ]
    layers = tuple(slip.layer for slip in group if slip.layer is not None)
    return named(group[0].id, layers, min(digits, default=0), group[0].variant, group[0].value)


def _evidence(asked: AskedSteps, group: Slips) -> tuple[Evidence, ...]:
    """Every wrong array after the first wrong step, beside that of a program with these mistakes."""
    first = _first_wrong(asked)
    assert first is not None
    arrays, true = _arrays(asked, group, first.step), params_by_path(asked.trajectory.steps[first.step].after)
    leaves = [leaf for leaf in first.leaves if leaf.verdict is Verdict.WRONG and leaf.index is not None]
    shown = []
    for leaf in sorted(leaves, key=lambda leaf: (-layer_of(leaf.path), leaf.path)):
        before, given, own = parameter_of(asked.case, leaf.path), first.given[leaf.path], arrays[leaf.path]
        entries = (float(array[leaf.index]) for array in (given, own, true[leaf.path]))
        shown.append(Evidence(leaf.path, agreeing_digits(before - given, before - own), leaf.index or (), *entries))
    return tuple(shown)
