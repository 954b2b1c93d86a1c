"""The diagnosis: which mistake reproduces the numbers that were given, to within rounding noise.

Every mistake of the catalogue is planted at every place where it could have made just the wrong arrays wrong, and its
numbers are compared with the given ones, entry by entry, by the noise floor of the case. A mistake with a free number
is fitted first. If none explains everything, two are tried: one that explains the wrong arrays nearest to the outputs,
and another that explains the rest. Mistakes that the case cannot tell apart are all named.

Nothing is named that does not reproduce the numbers; then only the first wrong quantity on the way back is.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from functional_mlp.oracle.answers import Gradients
from functional_mlp.oracle.case import Case
from functional_mlp.oracle.catalogue.mistake import Mistake
from functional_mlp.oracle.leaves import Misfit, given_leaves, known_to
from functional_mlp.oracle.mistakes import MISTAKES, Planted, Slip, places, plant_together
from functional_mlp.oracle.noise import Noise
from functional_mlp.oracle.solution import Solution
from functional_mlp.oracle.verdict import Leaf, Verdict, truth_of

Array = NDArray[np.float64]
Arrays = Mapping[str, Array]
CONVENTION, MISTAKE = "convention", "mistake"
NEAR = 2.0  # noise floors of the mistaken numbers that the given ones may be away
PARTNERS = 24  # mistakes that explain a part, for which a second one is looked for
STEPS = 12  # of fitting a number
MOST_WORK, MOST_WORK_FOR_PAIRS = 2e7, 2e6  # weights times samples of a case in which they are looked for


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


class Diagnosis(NamedTuple):
    """What is wrong.

    Attributes:
        mistakes: that reproduce the given numbers together; () if none is known.
        ties: other mistakes that would give the same numbers in this case, each alone.
        kind: "convention" if the numbers are right for another reduction, scale or layout; else "mistake"; "" if no
            mistake is known.
        first_wrong: the first wrong quantity on the way back, such as "ct_z of layer 1".
        searched: whether the catalogue was tried: not where an array is missing, nor in cases of too many numbers.
    """

    mistakes: tuple[Named, ...]
    ties: tuple[Named, ...]
    kind: str
    first_wrong: str
    searched: bool = True


class _Question(NamedTuple):
    """What is to be explained.

    Attributes:
        case: the case.
        truth, given: arrays by path, those of `given` alone.
        allowed: how far each entry may be from a correct program's.
        relative: the same relative to the largest numbers of each array.
        wrong: paths of the wrong arrays.
    """

    case: Case
    truth: Arrays
    given: Arrays
    allowed: Arrays
    relative: Mapping[str, float]
    wrong: frozenset[str]


def diagnose(
    case: Case, solution: Solution, noise: Noise, leaves: Sequence[Leaf], given: Gradients
) -> Diagnosis | None:
    """The diagnosis of gradients that were judged.

    Args:
        case, solution, noise, given, leaves: as judged, and the verdicts.

    Returns:
        None if nothing is wrong.
    """
    wrong = frozenset(leaf.path for leaf in leaves if leaf.verdict is Verdict.WRONG)
    if not wrong:
        return None
    arrays, allowed = {}, {}
    for path, handed in given_leaves(case, given).items():
        if not isinstance(handed, Misfit) and path in noise.floors:
            printed = given.printed_loss if path == "loss" else given.printed
            arrays[path] = handed.values
            allowed[path] = NEAR * noise.floors[path].smooth + known_to(handed, printed)
    first = first_wrong(leaves)
    work = len(case.inputs) * sum(layer.weights.size for layer in case.params)
    if not wrong <= arrays.keys() or work > MOST_WORK:
        return Diagnosis((), (), "", first, searched=False)
    truth = {path: array for path, array in truth_of(solution).items() if path in arrays}
    question = _Question(case, truth, arrays, allowed, _relative(truth, allowed), wrong)
    found = _alone(question)
    if not found and work <= MOST_WORK_FOR_PAIRS:
        found = _in_pairs(question)
    if not found:
        return Diagnosis((), (), "", first)
    best, others = found[0], found[1:]
    kind = CONVENTION if all(MISTAKES[named.id].convention for named in best) else MISTAKE
    return Diagnosis(best, tuple(named for other in others for named in other), kind, first)


def first_wrong(leaves: Sequence[Leaf]) -> str:
    """The wrong quantity nearest to the outputs: the outputs themselves, then the layers from the last to the first."""
    wrong = {leaf.path for leaf in leaves if leaf.verdict is Verdict.WRONG}
    if "outputs" in wrong:
        return "the outputs"
    depth = 1 + max((_layer_of(leaf.path) for leaf in leaves), default=-1)
    for layer in reversed(range(depth)):
        if f"deltas[{layer}]" in wrong:
            return f"ct_z of layer {layer}"
        weights, bias = (f"params[{layer}].{name}" for name in ("weights", "bias"))
        if weights in wrong and (bias in wrong or all(leaf.path != bias for leaf in leaves)):
            return f"ct_z of layer {layer}"
        if weights in wrong:
            return f"ct_W of layer {layer}"
        if bias in wrong:
            return f"ct_b of layer {layer}"
    return "the loss" if "loss" in wrong else "ct_inputs"


# candidates


Group = tuple[Slip, ...]  # one mistake, in one layer or in several


def candidates(case: Case) -> tuple[Group, ...]:
    """Every mistake at every place of a case, and in all layers, and in all hidden ones; in the catalogue's order."""
    groups: list[Group] = []
    for mistake in MISTAKES.values():
        if mistake.scope == "update":
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
    place, layer, at = MISTAKES[slip.id].change.place, slip.layer, _layer_of(path)
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


def _layer_of(path: str) -> int:
    """The layer that an array belongs to; -1 for those of no layer."""
    return int(path[path.index("[") + 1 : path.index("]")]) if "[" in path else -1


def _planted(case: Case, *slips: Slip) -> dict[str, Array] | None:
    """What a program with these mistakes computes, by path; None if they cannot be made together."""
    try:
        planted = plant_together(case, slips)
    except (ValueError, ArithmeticError):
        return None
    return _arrays(planted)


def _arrays(planted: Planted) -> dict[str, Array]:
    arrays = {
        f"params[{i}].{name}": leaf
        for i, layer in enumerate(planted.grads)
        for name, leaf in layer._asdict().items()
        if leaf is not None
    }
    arrays |= {f"deltas[{i}]": delta for i, delta in enumerate(planted.deltas)}
    if planted.loss is not None:
        arrays["loss"] = np.asarray(planted.loss)
    return arrays | {"outputs": planted.outputs, "ct_inputs": planted.ct_inputs}


# matching


def _matches(question: _Question, arrays: Arrays, path: str) -> bool:
    """Whether an array that was given is this one, to within the noise of numbers of its size."""
    given, own = question.given[path], arrays[path]
    if own.shape != given.shape:
        return False
    with np.errstate(all="ignore"):
        # where the truth is 0, as behind inactive units, the noise is that of the array's other numbers
        allowed = np.maximum(question.allowed[path], question.relative[path] * np.max(np.abs(own), initial=0.0))
        same = (np.abs(given - own) <= allowed) | (given == own) | (np.isnan(given) & np.isnan(own))
    return bool(same.all())


def _relative(truth: Arrays, allowed: Arrays) -> dict[str, float]:
    """The largest allowance of each array relative to its largest number; of an array of zeros, that of the others."""
    sizes = {path: float(np.max(np.abs(array), initial=0.0)) for path, array in truth.items()}
    own = {path: float(np.max(allowed[path])) / size for path, size in sizes.items() if size > 0}
    most = max((ratio for ratio in own.values() if np.isfinite(ratio)), default=0.0)
    return {path: own.get(path, most) for path in truth}


def _matched(question: _Question, arrays: Arrays) -> frozenset[str]:
    return frozenset(path for path in question.given if _matches(question, arrays, path))


def _digits(question: _Question, arrays: Arrays) -> int:
    """Decimal digits to which the wrong arrays agree, in the worst of them."""
    worst = 17.0
    for path in question.wrong:
        given, own = question.given[path], arrays[path]
        with np.errstate(all="ignore"):
            far, size = float(np.linalg.norm(given - own)), float(np.linalg.norm(own))
            if far > 0:
                worst = min(worst, -np.log10(far / size) if size > 0 else 0.0)
    return int(max(0.0, np.nan_to_num(worst)))


def _named(question: _Question, group: Group, arrays: Arrays) -> Named:
    slip, layers = group[0], tuple(slip.layer for slip in group if slip.layer is not None)
    mistake: Mistake = MISTAKES[slip.id]
    said = (mistake.sentence, mistake.formula, mistake.fix, _digits(question, arrays))
    return Named(slip.id, slip.layer if len(layers) == 1 else None, layers, slip.variant, slip.value, *said)


# one mistake


def _alone(question: _Question) -> list[tuple[Named, ...]]:
    """Single mistakes that explain everything; exact ones, or if there are none those with a fitted number."""
    exact: list[tuple[Named, ...]] = []
    fitted: list[tuple[Named, ...]] = []
    for group in candidates(question.case):
        if not _reaches(group, question.wrong):
            continue
        if MISTAKES[group[0].id].parameter is None:
            arrays = _planted(question.case, *group)
            if arrays is not None and len(_matched(question, arrays)) == len(question.given):
                exact.append((_named(question, group, arrays),))
        elif not exact:
            found = _fitted(question, group)
            if found is not None:
                fitted.append((_named(question, *found),))
    return _without_repetition(exact or fitted)


def _without_repetition(found: list[tuple[Named, ...]]) -> list[tuple[Named, ...]]:
    """The first of each set of mistakes: another layer or variant with the same numbers adds nothing."""
    first: dict[frozenset[str], tuple[Named, ...]] = {}
    for named in found:
        first.setdefault(frozenset(one.id for one in named), named)
    return list(first.values())


def _fitted(question: _Question, group: Group) -> tuple[Group, Arrays] | None:
    """The mistake with the number that explains everything, by Gauss-Newton steps; None if there is none."""
    slip, parameter = group[0], MISTAKES[group[0].id].parameter
    assert parameter is not None
    for start in parameter.starts(question.case, slip.layer, slip.variant):
        value = start
        for _ in range(STEPS):
            own = _planted(question.case, *_valued(group, value))
            if own is None:
                break
            if len(_matched(question, own)) == len(question.given):
                return _valued(group, value), own
            step = None if parameter.choices else _newton_step(question, group, value, own)
            if step is None:
                break
            value += step
    return None


def _valued(group: Group, value: float) -> Group:
    return tuple(slip._replace(value=value) for slip in group)


def _newton_step(question: _Question, group: Group, value: float, own: Arrays) -> float | None:
    """How far the number must move for the least squared distance of the wrong arrays, to first order."""
    nudge = 1e-6 * max(abs(value), 1e-6)
    there = _planted(question.case, *_valued(group, value + nudge))
    if there is None:
        return None
    with np.errstate(all="ignore"):
        slopes = {path: (there[path] - own[path]) / nudge for path in question.wrong}
        over = sum(float(np.sum(slope * (question.given[path] - own[path]))) for path, slope in slopes.items())
        under = sum(float(np.sum(slope**2)) for slope in slopes.values())
        step = over / under if under > 0 else np.nan
    return step if np.isfinite(step) else None


# two mistakes


def _in_pairs(question: _Question) -> list[tuple[Named, ...]]:
    """Two mistakes: one that explains wrong arrays of its own, and another that explains the rest with it."""
    known: dict[Group, Arrays] = {}
    for group in candidates(question.case):
        arrays = _planted(question.case, *group) if MISTAKES[group[0].id].parameter is None else None
        if arrays is not None:
            known[group] = arrays
    right = {group: _matched(question._replace(given=question.truth), arrays) for group, arrays in known.items()}
    explained = {group: _matched(question, arrays) & question.wrong - right[group] for group, arrays in known.items()}
    partial = sorted((group for group in known if explained[group]), key=lambda group: -len(explained[group]))
    found: list[tuple[Named, ...]] = []
    for first in partial[:PARTNERS]:
        rest = question.wrong - explained[first]
        for second, unchanged in right.items():
            if second == first or not explained[first] <= unchanged or not _reaches(second, rest):
                continue
            arrays = _planted(question.case, *first, *second)
            if arrays is not None and len(_matched(question, arrays)) == len(question.given):
                found.append(tuple(_named(question, group, arrays) for group in (first, second)))
    return _without_repetition(found)
