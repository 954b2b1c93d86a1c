"""Which mistakes of the catalogue explain wrong numbers: planting them, comparing, fitting, alone and in pairs.

Every mistake is planted at every place where it could have made just the wrong arrays wrong, and its numbers are
compared with the given ones, entry by entry, by the noise floor of the case. What a mistake cannot reach tells most of
them apart before anything is computed, and the first wrong array on the way back most of the others.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from functional_mlp.oracle.case import Case
from functional_mlp.oracle.mistakes import MISTAKES, Slip, places, plant_update, planted_arrays
from functional_mlp.oracle.solution import layer_of
from functional_mlp.oracle.verdict import parameter_of

Array = NDArray[np.float64]
Arrays = Mapping[str, Array]
PARTNERS = 24  # mistakes that explain a part, for which a second one is looked for
STEPS = 12  # of fitting a number
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
        value: of its free number, as fitted, or None.
        sentence, formula, fix: of the catalogue.
        digits: to how many decimal digits its numbers agree with the given ones, in the worst array.
    """

    id: str
    layer: int | None
    layers: tuple[int, ...]
    variant: str | None
    value: float | None
    sentence: str
    formula: str
    fix: str
    digits: int


Explanation = tuple[Named, ...]  # mistakes that give the numbers together


class Question(NamedTuple):
    """What is to be explained.

    Attributes:
        case: the case.
        truth, given: arrays by path, those of `given` alone.
        allowed: how far each entry may be from a correct program's.
        relative: the same relative to the largest numbers of each array.
        wrong: paths of the wrong arrays.
        first: the first of them on the way back; of several the smallest.
        dtype: what mistakes are planted in: float64, or the given one where numbers are infinite or NaN.
        exact: whether the given numbers are float64, so that every change of an array shows.
        rate: of a step, by which what it subtracted was divided; None for gradients.
        excluded: ids of mistakes that the program is known not to make.
    """

    case: Case
    truth: Arrays
    given: Arrays
    allowed: Arrays
    relative: Mapping[str, float]
    wrong: frozenset[str]
    first: str
    dtype: str
    exact: bool
    rate: float | None
    excluded: frozenset[str] = frozenset()


def explanations(question: Question, *, pairs: bool) -> tuple[Explanation, ...]:
    """Single mistakes that explain everything, or, if there are none and `pairs` says so, two that do together."""
    return tuple(_alone(question) or (_in_pairs(question) if pairs else ()))


# candidates


Group = tuple[Slip, ...]  # one mistake, in one layer or in several


def candidates(case: Case, updates: bool = False) -> tuple[Group, ...]:
    """Every mistake at every place of a case, and in all layers, and in all hidden ones; in the catalogue's order.

    Args:
        case: the case.
        updates: whether to include the mistakes that show in updated parameters only; they come first.
    """
    groups: list[Group] = []
    for mistake in sorted(MISTAKES.values(), key=lambda mistake: mistake.scope != "update"):
        if mistake.scope == "update" and not updates:
            continue
        spots = places(case, mistake.id)
        groups += [(Slip(mistake.id, layer, variant),) for layer, variant in spots]
        if mistake.scope != "layer":
            continue
        for variant in dict.fromkeys(variant for _, variant in spots):
            everywhere = tuple(Slip(mistake.id, layer, variant) for layer, other in spots if other == variant)
            hidden = tuple(slip for slip in everywhere if slip.layer != len(case.params) - 1)
            groups += [group for group in dict.fromkeys((everywhere, hidden)) if len(group) > 1]
    return tuple(groups)


def _reaches(group: Group, paths: Iterable[str]) -> bool:
    """Whether a mistake at these places can change all of these arrays."""
    return all(any(_reaches_one(slip, path) for slip in group) for path in paths)


def _reaches_one(slip: Slip, path: str) -> bool:
    place, layer, at = MISTAKES[slip.id].change.place, slip.layer, layer_of(path)
    if layer is None or place in ("forward", "gathered", "output_cotangent"):
        return True
    own = {
        "weights_cotangent": path == f"params[{layer}].weights",
        "bias_cotangent": path == f"params[{layer}].bias",
        "returned": at == layer and path.startswith("params"),
        "through_activation": at <= layer,
        "previous_cotangent": at < layer,
    }
    return own[place] and path not in ("loss", "outputs")


def _starts(group: Group, question: Question) -> bool:
    """Whether the first wrong arrays on the way back are where a mistake at these places would make the first ones."""
    top, last = layer_of(question.first), len(question.case.params) - 1
    if question.first in ("loss", "outputs"):
        return True
    starts = []
    for slip in group:
        place = MISTAKES[slip.id].change.place
        if place in ("forward", "output_cotangent"):
            starts.append(not question.exact or question.case.loss is None or top == last)
        elif slip.layer is not None and place in ("through_activation", "previous_cotangent"):
            starts.append(top == slip.layer - (place == "previous_cotangent"))
        else:
            starts.append(True)
    return any(starts)


def _planted(question: Question, group: Group, paths: Collection[str]) -> dict[str, Array] | None:
    """What a program with these mistakes computes, by path; None if they cannot be made together."""
    try:
        if any(MISTAKES[slip.id].scope == "update" for slip in group):
            arrays = _stepped(question, group, paths)
        else:
            arrays = planted_arrays(question.case, group, paths, question.dtype)
    except (ValueError, ArithmeticError):
        return None
    return {path: np.asarray(array, np.float64) for path, array in arrays.items()}


def _stepped(question: Question, group: Group, paths: Collection[str]) -> dict[str, Array]:
    """What a program with a mistake in its step subtracts, divided by the rate."""
    if len(group) > 1 or question.rate is None:
        raise ValueError("expected one mistake of an update")
    [slip], case, rate = group, question.case, question.rate
    after = plant_update(case, slip.id, rate, slip.layer, variant=slip.variant, value=slip.value)
    steps = {path: (parameter_of(case, path), getattr(after[layer_of(path)], path.partition(".")[2])) for path in paths}
    return {path: (before - stepped) / rate for path, (before, stepped) in steps.items()}


# matching


def _matches(question: Question, arrays: Arrays, path: str) -> bool:
    """Whether an array that was given is this one, to within the noise of numbers of its size."""
    given, own = question.given[path], arrays[path]
    if own.shape != given.shape:
        return False
    with np.errstate(all="ignore"):
        # where the truth is 0, as behind inactive units, the noise is that of the array's other numbers
        allowed = np.maximum(question.allowed[path], question.relative[path] * np.max(np.abs(own), initial=0.0))
        same = (np.abs(given - own) <= allowed) | (given == own) | (np.isnan(given) & np.isnan(own))
    return bool(same.all())


def relative_sizes(truth: Arrays, allowed: Arrays) -> dict[str, float]:
    """The largest allowance of each array relative to its largest number; of an array of zeros, that of the others."""
    sizes = {path: float(np.max(np.abs(array), initial=0.0)) for path, array in truth.items()}
    own = {path: float(np.max(allowed[path])) / size for path, size in sizes.items() if size > 0}
    most = max((ratio for ratio in own.values() if np.isfinite(ratio)), default=0.0)
    return {path: own.get(path, most) for path in truth}


def _matched(question: Question, arrays: Arrays) -> frozenset[str]:
    return frozenset(path for path in arrays if _matches(question, arrays, path))


def _that_reach(group: Group, path: str) -> Group:
    """Those mistakes that can change an array; without the others it is the same."""
    return tuple(slip for slip in group if _reaches_one(slip, path))


def _explained(question: Question, group: Group, sign: str) -> Arrays | None:
    """All arrays of a program with these mistakes, if they are the given ones; else None.

    Args:
        question: what is to be explained.
        group: the mistakes.
        sign: path of the wrong array that is compared first: a few numbers rule out most mistakes.
    """
    for slips, paths in ((_that_reach(group, sign), [sign]), (group, question.given)):
        arrays = _planted(question, slips, paths)
        if arrays is None or len(_matched(question, arrays)) < len(paths):
            return None
    return arrays


def _digits(question: Question, arrays: Arrays) -> int:
    """Decimal digits to which the wrong arrays agree, in the worst of them."""
    return min(agreeing_digits(question.given[path], arrays[path]) for path in question.wrong)


def agreeing_digits(given: Array, own: Array) -> int:
    """Decimal digits to which the finite numbers of two arrays agree, at most 17."""
    finite = np.isfinite(given) & np.isfinite(own)
    with np.errstate(all="ignore"):
        far, size = float(np.linalg.norm((given - own)[finite])), float(np.linalg.norm(own[finite]))
        digits = 17.0 if far == 0 else -np.log10(far / size) if size > 0 else 0.0
    return int(np.clip(np.nan_to_num(digits), 0.0, 17.0))


def named(
    id_: str, layers: tuple[int, ...], digits: int, variant: str | None = None, value: float | None = None
) -> Named:
    """A mistake of the catalogue, with what that says of it."""
    mistake = MISTAKES[id_]
    layer = layers[0] if len(layers) == 1 else None
    return Named(id_, layer, layers, variant, value, mistake.sentence, mistake.formula, mistake.fix, digits)


def _named(question: Question, group: Group, arrays: Arrays) -> Named:
    slip, layers = group[0], tuple(slip.layer for slip in group if slip.layer is not None)
    return named(slip.id, layers, _digits(question, arrays), slip.variant, slip.value)


# one mistake


def _alone(question: Question) -> list[Explanation]:
    """Single mistakes that explain everything; exact ones, or if there are none those with a fitted number.

    Where mistakes multiply everything with a number, a loss that is scaled by it might be meant as well.
    """
    groups = [
        group
        for group in candidates(question.case, updates=question.rate is not None)
        if group[0].id not in question.excluded and _reaches(group, question.wrong) and _starts(group, question)
    ]
    exact = _each(_exact, question, groups)
    if any(one.id in SCALES for (one,) in exact):
        return exact
    scaled = [group for group in groups if group[0].id == "loss-scaled"]
    return [*exact, *_each(_fitted, question, scaled if exact else groups)]


def _each(
    explained: Callable[[Question, Group], tuple[Group, Arrays] | None], question: Question, groups: Sequence[Group]
) -> list[Explanation]:
    found = [explained(question, group) for group in groups]
    return _without_repetition([(_named(question, *one),) for one in found if one is not None])


def _exact(question: Question, group: Group) -> tuple[Group, Arrays] | None:
    """A mistake without a free number, if it explains everything."""
    if MISTAKES[group[0].id].parameter is not None:
        return None
    arrays = _explained(question, group, question.first)
    return None if arrays is None else (group, arrays)


def _without_repetition(found: list[Explanation]) -> list[Explanation]:
    """The first of each set of mistakes: another layer or variant with the same numbers adds nothing."""
    first: dict[frozenset[str], Explanation] = {}
    for explanation in found:
        first.setdefault(frozenset(one.id for one in explanation), explanation)
    return list(first.values())


def _fitted(question: Question, group: Group) -> tuple[Group, Arrays] | None:
    """A mistake with the number that explains everything; None if there is none."""
    slip, parameter = group[0], MISTAKES[group[0].id].parameter
    if parameter is None:
        return None
    for value in parameter.starts(question.case, slip.layer, slip.variant):
        fitting: float | None = value
        if parameter.choices is None:
            fitting = _fit(question, group, value, [question.first])
            if fitting is not None and len(question.given) > 1:
                fitting = _fit(question, group, fitting, question.given)
        if fitting is not None and parameter.whole:
            fitting = float(round(fitting))
        arrays = None if fitting is None else _explained(question, _valued(group, fitting), question.first)
        if arrays is not None:
            return _valued(group, fitting), arrays
    return None


def _valued(group: Group, value: float | None) -> Group:
    return tuple(slip._replace(value=value) for slip in group)


def _fit(question: Question, group: Group, value: float, paths: Collection[str]) -> float | None:
    """The number that explains some arrays, by Gauss-Newton steps; None where they lead nowhere."""
    before = np.inf
    for step in range(STEPS):
        own = _planted(question, _valued(group, value), paths)
        if own is None:
            return None
        if len(_matched(question, own)) == len(paths):
            return value
        nudge = 1e-6 * max(abs(value), 1e-6)
        there = _planted(question, _valued(group, value + nudge), paths)
        if there is None:
            return None
        with np.errstate(all="ignore"):
            slopes = {path: (there[path] - own[path]) / nudge for path in paths}
            gaps = {path: question.given[path] - own[path] for path in paths}
            distance = sum(float(np.sum(gap**2)) for gap in gaps.values())
            over = sum(float(np.sum(slopes[path] * gap)) for path, gap in gaps.items())
            under = sum(float(np.sum(slope**2)) for slope in slopes.values())
        # near a solution the distance falls fast; while it is far, it may rise once or twice
        if not (under > 0 and np.isfinite(over)) or (step > 2 and not distance < before / 2):
            return None
        value, before = value + over / under, distance
    return None


# two mistakes


def _in_pairs(question: Question) -> list[Explanation]:
    """Two mistakes: one that explains wrong arrays of its own, and another that explains the rest with it."""
    groups = [
        group
        for group in candidates(question.case)
        if MISTAKES[group[0].id].parameter is None and group[0].id not in question.excluded
    ]
    true = question._replace(given=question.truth)
    explains, leaves = (cache(partial(_shows, asked)) for asked in (question, true))
    firsts = {}
    for group in groups:
        explained = _explains_of_its_own(question, group) if _starts(group, question) else None
        if explained:
            firsts[group] = explained
    found: list[Explanation] = []
    for first in sorted(firsts, key=lambda group: -len(firsts[group]))[:PARTNERS]:
        rest = sorted(question.wrong - firsts[first], key=lambda path: question.given[path].size)
        if not rest:  # it changes a right array too, which no second mistake mends
            continue
        kept = min(firsts[first], key=lambda path: question.given[path].size)
        for second in groups:
            if second == first or not _reaches(second, rest) or not leaves(_that_reach(second, kept), kept):
                continue
            # what the first does not reach shows the second alone
            apart = [path for path in rest if not _reaches(first, [path])]
            if not all(explains(_that_reach(second, path), path) for path in apart):
                continue
            both = _explained(question, (*first, *second), rest[0])
            if both is not None:
                found.append(tuple(_named(question, group, both) for group in (first, second)))
    return _without_repetition(found)


def _shows(question: Question, group: Group, path: str) -> bool:
    """Whether a program with these mistakes has one of the given arrays."""
    arrays = _planted(question, group, [path])
    return arrays is not None and _matches(question, arrays, path)


def _explains_of_its_own(question: Question, group: Group) -> frozenset[str]:
    """The wrong arrays that a mistake explains, if it explains one of the first."""
    top = [path for path in question.wrong if layer_of(path) == layer_of(question.first) and _reaches(group, [path])]
    arrays = _planted(question, group, top) if top else None
    if arrays is None or not _matched(question, arrays):
        return frozenset()
    arrays = _planted(question, group, question.wrong)
    return frozenset() if arrays is None else _matched(question, arrays)
