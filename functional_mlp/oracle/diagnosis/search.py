"""Which mistakes of the catalogue explain wrong numbers: injecting them, comparing, fitting, alone and in pairs.

Every mistake is injected at every place where it could have made just the wrong arrays wrong, and its numbers are
compared with the given ones, entry by entry, by the noise floor of the case. What a mistake cannot reach tells most of
them apart before anything is computed, and the first wrong array on the way back most of the others.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import NamedTuple

import numpy as np

from functional_mlp.oracle.case import layer_of, parameter_of
from functional_mlp.oracle.diagnosis.candidates import (
    Arrays,
    Discrepancy,
    Slips,
    every_group,
    reaches,
    starts,
    that_reach,
)
from functional_mlp.oracle.diagnosis.fitting import fitted
from functional_mlp.oracle.diagnosis.matching import (
    CLEAR_OF_FIT,
    agreeing_digits,
    explained_by,
    injected_by,
    matched,
    matches,
)
from functional_mlp.oracle.mistakes import MISTAKES, Number, Slip

PARTNERS = 24  # mistakes that explain a part, for which a second one is looked for
# conventions that multiply everything, and say more than that the loss is scaled
SCALES = {
    *("mean-missing", "mean-added", "outputs-summed-not-averaged", "outputs-averaged-not-summed", "sign-flipped"),
    *("squared-error-factor", "loss-scale-missing"),
}


class Named(NamedTuple):
    """A mistake that the numbers show.

    Attributes:
        id: a key of `MISTAKES`.
        layer: index into the parameters, if it was made in one layer; else None.
        layers: all layers in which it was made; () for a mistake of the whole pass.
        variant: how it was made, or None.
        value: of its free number, or a tuple of its free numbers, as fitted; or None.
        sentence, formula, fix: of the catalogue.
        digits: to how many decimal digits its numbers agree with the given ones, in the worst array.
    """

    id: str
    layer: int | None
    layers: tuple[int, ...]
    variant: str | None
    value: Number | None
    sentence: str
    formula: str
    fix: str
    digits: int


class Evidence(NamedTuple):
    """A wrong array, at the entry that is furthest off in noise floors.

    Attributes:
        path: of the array.
        digits: to how many decimal digits the whole array agrees with that of the mistake.
        at: index of the entry.
        given, mistaken, true: the entry as it was given, as the mistake makes it, and as it is right; after a step,
            the parameter.
    """

    path: str
    digits: int
    at: tuple[int, ...]
    given: float
    mistaken: float
    true: float


Explanation = tuple[Named, ...]  # mistakes that give the numbers together


def explanations(question: Discrepancy, *, pairs: bool) -> tuple[Explanation, ...]:
    """Single mistakes that explain everything, or, if there are none and `pairs` says so, two that do together.

    None where the right numbers are as near as those of a mistake may be: then nothing proves one.
    """
    if question.wrong <= matched(question, question.truth):
        return ()
    return tuple(_alone(question) or (_in_pairs(question) if pairs else ()))


def evidence(question: Discrepancy, explanation: Explanation) -> tuple[Evidence, ...]:
    """Every wrong array beside that of a program with these mistakes, from the last layer to the first."""
    group = tuple(
        Slip(one.id, layer, one.variant, one.value) for one in explanation for layer in (one.layers or (None,))
    )
    arrays = injected_by(question, group, question.wrong)
    if arrays is None:
        return ()
    shown = []
    for path in sorted(question.wrong, key=lambda path: (-layer_of(path), path)):
        given, mistaken, true = question.given[path], arrays[path], question.truth[path]
        with np.errstate(all="ignore"):
            off = np.nan_to_num(np.abs(given - true) / question.allowed[path], nan=np.inf)
        index = tuple(map(int, np.unravel_index(np.argmax(off), given.shape)))
        entries = [float(array[index]) for array in (given, mistaken, true)]
        if question.rate is not None:
            before = float(parameter_of(question.case, path)[index])
            entries = [before - question.rate * entry for entry in entries]
        shown.append(Evidence(path, agreeing_digits(given, mistaken), index, *entries))
    return tuple(shown)


def _digits(question: Discrepancy, arrays: Arrays) -> int:
    """Decimal digits to which the wrong arrays agree, in the worst of those with finite numbers; 0 if none has any."""
    pairs = [(question.given[path], arrays[path]) for path in question.wrong]
    told = [pair for pair in pairs if (np.isfinite(pair[0]) & np.isfinite(pair[1])).any()]
    return min((agreeing_digits(*pair) for pair in told), default=0)


def named(
    id_: str, layers: tuple[int, ...], digits: int, variant: str | None = None, value: Number | None = None
) -> Named:
    """A mistake of the catalogue, with what that says of it."""
    mistake = MISTAKES[id_]
    layer = layers[0] if len(layers) == 1 else None
    return Named(id_, layer, layers, variant, value, mistake.sentence, mistake.formula, mistake.fix, digits)


def _named(question: Discrepancy, group: Slips, arrays: Arrays) -> Named:
    slip, layers = group[0], tuple(slip.layer for slip in group if slip.layer is not None)
    return named(slip.id, layers, _digits(question, arrays), slip.variant, slip.value)


# one mistake


def _alone(question: Discrepancy) -> list[Explanation]:
    """Single mistakes that explain everything: exact ones and those with few choices; if there are none, fitted ones.

    Where mistakes multiply everything with a number, a loss that is scaled by it might be meant as well.
    """
    groups = [
        group
        for group in every_group(question.prepared, updates=question.rate is not None)
        if group[0].id not in question.excluded and reaches(group, question.wrong) and starts(group, question)
    ]
    exact = _each(_exact, question, groups)
    if not exact:
        found = _each(fitted, question, [group for group in groups if not MISTAKES[group[0].id].generic])
        return found or _each(fitted, question, [group for group in groups if MISTAKES[group[0].id].generic])
    said = any(one.id in SCALES for (one,) in exact)
    tied = [group for group in groups if _has_choices(group) or (group[0].id == "loss-scaled" and not said)]
    return [*exact, *_each(fitted, question, tied)]


def _has_choices(group: Slips) -> bool:
    parameter = MISTAKES[group[0].id].parameter
    return parameter is not None and parameter.choices is not None


def _each(
    explained: Callable[[Discrepancy, Slips], tuple[Slips, Arrays] | None],
    question: Discrepancy,
    groups: Sequence[Slips],
) -> list[Explanation]:
    found = [explained(question, group) for group in groups]
    return _without_repetition([(_named(question, *one),) for one in found if one is not None])


def _exact(question: Discrepancy, group: Slips) -> tuple[Slips, Arrays] | None:
    """A mistake without a free number, if it explains everything."""
    if MISTAKES[group[0].id].parameter is not None:
        return None
    arrays = explained_by(question, group, question.first)
    return None if arrays is None else (group, arrays)


def _without_repetition(found: list[Explanation]) -> list[Explanation]:
    """The first of each set of mistakes: another layer or variant with the same numbers adds nothing."""
    first: dict[frozenset[str], Explanation] = {}
    for explanation in found:
        first.setdefault(frozenset(one.id for one in explanation), explanation)
    return list(first.values())


# two mistakes


def _in_pairs(question: Discrepancy) -> list[Explanation]:
    """Two mistakes: one that explains wrong arrays of its own, and another that explains the rest with it."""
    groups = [
        group
        for group in every_group(question.prepared)
        if MISTAKES[group[0].id].parameter is None and group[0].id not in question.excluded
    ]
    true = question._replace(given=question.truth)
    explains, leaves = (cache(partial(_shows, asked)) for asked in (question, true))
    firsts = {}
    for group in groups:
        explained = _explains_of_its_own(question, group) if starts(group, question) else None
        if explained:
            firsts[group] = explained
    found: list[Explanation] = []
    for first in sorted(firsts, key=lambda group: -len(firsts[group]))[:PARTNERS]:
        rest = sorted(question.wrong - firsts[first], key=lambda path: question.given[path].size)
        if not rest:  # it changes a right array too, which no second mistake mends
            continue
        kept = min(firsts[first], key=lambda path: question.given[path].size)
        for second in groups:
            if second == first or not reaches(second, rest) or not leaves(that_reach(second, kept), kept):
                continue
            # what the first does not reach shows the second alone
            apart = [path for path in rest if not reaches(first, [path])]
            if not all(explains(that_reach(second, path), path) for path in apart):
                continue
            both = explained_by(question, (*first, *second), rest[0], CLEAR_OF_FIT)
            if both is not None:
                found.append(tuple(_named(question, group, both) for group in (first, second)))
    return _without_repetition(found)


def _shows(question: Discrepancy, group: Slips, path: str) -> bool:
    """Whether a program with these mistakes has one of the given arrays."""
    arrays = injected_by(question, group, [path])
    return arrays is not None and matches(question, arrays, path)


def _explains_of_its_own(question: Discrepancy, group: Slips) -> frozenset[str]:
    """The wrong arrays that a mistake explains, if it explains one of the first."""
    top = [path for path in question.wrong if layer_of(path) == layer_of(question.first) and reaches(group, [path])]
    arrays = injected_by(question, group, top) if top else None
    if arrays is None or not matched(question, arrays):
        return frozenset()
    arrays = injected_by(question, group, question.wrong)
    return frozenset() if arrays is None else matched(question, arrays)
