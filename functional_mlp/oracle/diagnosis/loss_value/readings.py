"""The readings of a loss value: which changes of the declared loss give the number that was given."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from functional_mlp.losses import Loss
from functional_mlp.oracle.case import Case
from functional_mlp.oracle.diagnosis.loss_value.changes import pairs, singles
from functional_mlp.oracle.diagnosis.loss_value.values import Change, LossValues, as_declared
from functional_mlp.oracle.truth import Solution

MOST = 3  # readings that are told
BY_CHANCE = 0.02  # of how many changes a value that nothing made may be expected to fit, at most
DIGITS = 1e-6  # relative: where a value fits no reading to within the noise, as far it may be
ROUNDING = 1e-12  # relative: two sums in another order

Changes = tuple[Change, ...]


class LossReading(NamedTuple):
    """Another loss that has the value that was given.

    Attributes:
        sentence: what the value is, for people.
        loss: how to declare it; None where no `Loss` of this network has this value.
        value: of that loss.
        digits: to how many decimal digits the given value agrees with it.
    """

    sentence: str
    loss: Loss | None
    value: float
    digits: int


def loss_readings(case: Case, solution: Solution, given: float, floor: float) -> tuple[LossReading, ...]:
    """Which other loss than the declared one has the value that was given.

    Args:
        case: the question.
        solution: its `Solution`.
        given: the value that a program reports.
        floor: how far a right program's value may be off, above 0.

    Returns:
        At most three readings, the likelier first; those with two changes only where no single one fits. None for a
        bare cotangent, for the right value, and where so many values lie within the noise that some would fit anything.

    Example:
        >>> import functional_mlp as fm
        >>> from functional_mlp.oracle.truth import solve
        >>> loss = fm.Loss("squared_error", over_samples="mean")
        >>> case = Case(fm.Network((1, 1), "identity"), loss, [([[1.0]], [0.0])], [[1.0], [2.0], [4.0]], [[0.5]] * 3)
        >>> loss_readings(case, solve(case), given=14.75, floor=1e-14)[0].sentence
        'The loss value is that of a sum over the samples where the case declares a mean: 3 times.'
    """
    if case.loss is None or solution.loss is None or not math.isfinite(given):
        return ()
    asked = LossValues(case, solution)
    right = asked.value(as_declared(case.loss))
    if right is None:
        return ()
    noise = max(floor / abs(right) if right else floor, ROUNDING)
    levels: list[list[tuple[Changes, float | None]]] = []
    for within in (noise, DIGITS) if noise < DIGITS else (noise,):
        if abs(given - right) <= within * max(abs(right), abs(given)):
            return ()
        for level, changes in enumerate((singles, pairs)):
            if level == len(levels):
                levels.append([(one, asked.value(asked.made(one))) for one in changes(case)])
            found = _fitting(asked, levels[level], right, given, within)
            if found:
                return found
    return ()


def _fitting(
    asked: LossValues, every: Sequence[tuple[Changes, float | None]], right: float, given: float, within: float
) -> tuple[LossReading, ...]:
    """The readings among these values, by rank; none where values are so dense that some fit by chance."""
    others = [(changes, value) for changes, value in every if value is not None and _apart(value, right, within)]
    near = sum(0.5 * abs(given) < abs(value) < 2 * abs(given) for _, value in others)
    if near * 2 * within / math.log(4) > BY_CHANCE:
        return ()
    found = [(changes, value) for changes, value in others if not _apart(value, given, within)]
    found.sort(key=lambda one: sum(change.rank for change in one[0]))
    readings: dict[Any, LossReading] = {}
    for changes, value in found:
        loss = asked.declared(asked.made(changes))
        key = changes if loss is None else loss
        readings.setdefault(key, _reading(changes, loss, value, right, given))
    return tuple(readings.values())[:MOST]


def _apart(one: float, other: float, within: float) -> bool:
    return abs(one - other) > within * abs(one)


def _reading(changes: Changes, loss: Loss | None, value: float, right: float, given: float) -> LossReading:
    words = ", together with ".join(change.words for change in changes)
    sentence = f"The loss value is that of {words}{_times(given / right) if right else ''}."
    off = abs(given - value) / abs(value) if value else 0.0
    return LossReading(sentence, loss, value, 17 if off == 0 else min(17, int(-math.log10(off))))


def _times(ratio: float) -> str:
    """A ratio, where it is a whole number or one over a whole number."""
    for number, words in ((ratio, ": {} times"), (1 / ratio if ratio else 0.0, ": 1/{} of it")):
        if round(number) >= 2 and abs(number - round(number)) <= DIGITS * number:
            return words.format(round(number))
    return ""
