"""The diagnosis: which mistake reproduces the numbers that were given, to within rounding noise.

Every mistake of the catalogue is injected at every place where it could have made just the wrong arrays wrong, and its
numbers are compared with the given ones, entry by entry, by the noise floor of the case. A mistake with a free number
is fitted first. If none explains everything, several are composed, of as many of the wrong arrays as can be. Mistakes
that the case cannot tell apart are all named.

Nothing is named that does not reproduce the numbers; then only the first wrong quantity on the way back is. With one
sample and one output, or two classes, any error at the output multiplies the gradients by some number: no convention is
named there that does only that.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from functional_mlp.oracle.case import Case, layer_of, parameter_of, weights_and_bias
from functional_mlp.oracle.diagnosis.candidates import Discrepancy, next_on_the_way_back
from functional_mlp.oracle.diagnosis.composition import SCALES
from functional_mlp.oracle.diagnosis.loss_value import loss_readings
from functional_mlp.oracle.diagnosis.matching import agreeing_digits, relative_sizes
from functional_mlp.oracle.diagnosis.relations import Relation, relations
from functional_mlp.oracle.diagnosis.search import (
    Account,
    Evidence,
    Explanation,
    Found,
    Named,
    accounts,
    composed_accounts,
    evidence,
    named,
)
from functional_mlp.oracle.diagnosis.several_cases import explains, in_turn, most_often, with_batch_sizes, work_of
from functional_mlp.oracle.documents import Gradients, digits_of
from functional_mlp.oracle.mistakes import MISTAKES, only_scales, prepare
from functional_mlp.oracle.noise import Noise
from functional_mlp.oracle.truth import Solution
from functional_mlp.oracle.verdict import (
    Cause,
    Handed,
    Leaf,
    Misfit,
    Verdict,
    floor_of_step,
    given_leaves,
    judge,
    known_to,
    truth_of,
)

CONVENTION, MISTAKE, EITHER = "convention", "mistake", "either"
FITTING_ANY_MULTIPLE = {  # with their free number
    *("loss-scaled", "array-scaled", "penalty-in-delta", "epsilon-in-log", "saturated-gradient-clipped"),
    *("gradient-clipped", "gradient-normalised"),
}
NEAR = 2.0  # noise floors of the mistaken numbers that the given ones may be away
ENOUGH_CASES, MOST_CASES = 3, 6  # of one program in which its mistake is looked for
NEAR_BEST, MOST_TOLD = 3.0, 8  # in cost: explanations of several mistakes that are told beside the best one; of any
MOST_WORK, MOST_WORK_COMPOSED = 2e7, 2e6  # weights times samples of a case in which one is looked for, and several


class Diagnosis(NamedTuple):
    """What is wrong.

    Attributes:
        mistakes: that reproduce the given numbers together, of all wrong arrays or of some; () if none is known.
        ties: other mistakes that would give the same numbers in this case, each alone.
        kind: "convention" if the numbers are right for another reduction, scale or layout; "mistake" if not; "either"
            if this case cannot tell; "" if no mistake is known.
        first_wrong: the first wrong quantity on the way back, such as "ct_z of layer 1".
        searched: whether the catalogue was tried: not where an array is missing, nor in cases of too many numbers.
        explanations: `mistakes`, and each of the others that would give the same numbers.
        evidence: the wrong arrays beside those of the mistakes; () where they only fit another layout.
        group: the case or the learning rate that `evidence` is of, where there are several.
        unexplained: paths of the wrong arrays that `mistakes` do not explain, where they explain others.
        relations: what can be said of these, or of all wrong arrays where no mistake is known.
    """

    mistakes: tuple[Named, ...]
    ties: tuple[Named, ...]
    kind: str
    first_wrong: str
    searched: bool = True
    explanations: tuple[Explanation, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    group: str = ""
    unexplained: tuple[str, ...] = ()
    relations: tuple[Relation, ...] = ()


class Asked(NamedTuple):
    """Gradients that were judged: arguments and result of `judge`.

    Attributes:
        case, solution, noise, given, leaves: as there; after a step `given` holds the parameters.
        rate: of the step of gradient descent that they were judged after, or None.
        group: of the leaves, where there are several cases or rates.
        coarser: another noise, by which the mistake is looked for if it is not found, or None: that of gradients which
            may have been read from a step.
    """

    case: Case
    solution: Solution
    noise: Noise
    given: Gradients
    leaves: Sequence[Leaf]
    rate: float | None = None
    group: str = ""
    coarser: Noise | None = None


def diagnose(asked: Asked) -> Diagnosis | None:
    """The diagnosis of gradients that were judged; None if nothing is wrong."""
    return _diagnosis(_search(asked))


def diagnose_several(asked: Sequence[Asked], excluded: Collection[str] = ()) -> Diagnosis | None:
    """The diagnosis of one program that was judged in several cases: what explains all of them, if anything does.

    Small cases are searched first, of every number of samples, until several are explained by one explanation. If none
    explains all of them, as where two mistakes show in different cases, it is what explains the most. What explains the
    cases of one number of samples alone is chance, or what a mistake in others looks like there.

    Args:
        asked: the cases.
        excluded: ids of mistakes that the program is known not to make.

    Returns:
        None if nothing is wrong.
    """
    seen: list[Found] = []
    for one in in_turn(asked):
        found = _search(one, frozenset(excluded))
        seen += [] if found is None else [found._replace(samples=len(one.case.inputs))]
        if len(seen) == MOST_CASES or (len(seen) >= ENOUGH_CASES and len(most_often(with_batch_sizes(seen))) == 1):
            break
    if not seen:
        return None
    told = with_batch_sizes(seen)
    best = most_often(told)
    if not all(explains(best[0], found) for found in told if best):
        told = with_batch_sizes([found if found.question is None else _thorough(found) for found in seen])
        best = most_often(told)
    if not best:  # the case with the most samples shows the most of what cannot be named
        return _diagnosis(max(told, key=lambda found: found.samples)._replace(accounts=()))
    return _diagnosis(
        next(found for found in told if any(own is best[0] for own in found.accounts))._replace(accounts=best)
    )


def _diagnosis(found: Found | None) -> Diagnosis | None:
    if found is None:
        return None
    if not found.accounts:
        related = (*_related(found, found.question.wrong if found.question else ()), *found.loss)
        return Diagnosis((), (), "", found.first_wrong, found.searched, group=found.group, relations=related)
    likeliest = found.accounts[0]
    told = [one for one in found.accounts if len(one.mistakes) == 1 or one.cost <= likeliest.cost + NEAR_BEST]
    best, *others = told[:MOST_TOLD]
    kinds = {all(MISTAKES[one.id].convention for one in account.mistakes) for account in (best, *others)}
    kind = EITHER if len(kinds) > 1 else CONVENTION if kinds == {True} else MISTAKE
    shown = () if found.question is None else evidence(found.question, best)
    if found.turned:  # entries of weights are named as they were handed over
        shown = tuple(
            one._replace(at=one.at[::-1])
            if one.path.endswith("weights") and layer_of(one.path) in best.mistakes[0].layers
            else one
            for one in shown
        )
    return Diagnosis(
        best.mistakes,
        tuple(one for other in others for one in other.mistakes),
        kind,
        found.first_wrong,
        found.searched,
        tuple(account.mistakes for account in (best, *others)),
        shown,
        found.group,
        best.unexplained,
        (*_related(found, best.unexplained), *(found.loss if "loss" in best.unexplained else ())),
    )


def _related(found: Found, paths: Collection[str]) -> tuple[Relation, ...]:
    """How some wrong arrays are related to the right ones."""
    if found.question is None or not paths:
        return ()
    with np.errstate(all="ignore"):
        return relations(found.question, [path for path in paths if path in found.question.given])


def _search(asked: Asked, excluded: frozenset[str] = frozenset()) -> Found | None:
    """Every explanation of gradients that were judged; None if nothing is wrong."""
    found = _search_by(asked, excluded)
    if found is None or asked.coarser is None or (found.accounts and len(found.accounts[0].mistakes) == 1):
        return found
    leaves = judge(asked.case, asked.solution, asked.coarser, asked.given)
    again = _search_by(asked._replace(noise=asked.coarser, leaves=leaves), excluded)
    return found if again is None or _how_far(found) <= _how_far(again) else again


def _how_far(found: Found) -> tuple[float, float]:
    """How much is left unexplained, and how unlikely the explanation is."""
    if not found.accounts:
        return np.inf, np.inf
    return len(found.accounts[0].unexplained), found.accounts[0].cost


def _thorough(found: Found) -> Found:
    """A search that has found single mistakes, with several together as well."""
    assert found.question is not None
    if not found.accounts or len(found.accounts[0].mistakes) > 1 or found.turned:
        return found
    return found._replace(accounts=(*found.accounts, *composed_accounts(found.question)))


def _search_by(asked: Asked, excluded: frozenset[str]) -> Found | None:
    """Every explanation to within the noise that is asked for."""
    case, solution, noise, given, leaves, rate, group, _ = asked
    true = truth_of(solution)
    wrong = frozenset(leaf.path for leaf in leaves if leaf.verdict is Verdict.WRONG)
    if not wrong:
        return None
    arrays, allowed = {}, {}
    for path, handed in given_leaves(case, given).items():
        if not isinstance(handed, Misfit) and path in noise.floors:
            printed = digits_of(given, path)
            arrays[path], floor = handed.values, noise.floors[path]
            if rate is not None:
                before = parameter_of(case, path)
                arrays[path] = (before - handed.values) / rate
                floor = floor_of_step(noise, path, before, true[path], rate)
            allowed[path] = (NEAR * floor.smooth + known_to(handed, printed, widest=True)) / (rate or 1.0)
    unsearched = Found((), first_wrong(leaves), searched=False, group=group)
    if not wrong <= arrays.keys():
        turned = None if rate is not None else _in_the_other_layout(asked, excluded)
        wrong = wrong & arrays.keys()  # what cannot be compared does not keep the rest from being explained
        if turned is not None or not wrong:
            return turned or unsearched
    if work_of(case) > MOST_WORK:
        return unsearched
    truth = {path: array for path, array in true.items() if path in arrays}
    if only_scales(case):  # any number might be meant, so that none shows a convention
        excluded |= SCALES | FITTING_ANY_MULTIPLE | {"loss-mismatch"}
    storage = noise.precision.storage.name
    dtype = "float64" if all(np.isfinite(array).all() for array in arrays.values()) else storage
    loss, loss_noise = _loss_and_noise(asked)
    question = Discrepancy(
        prepared=prepare(case, dtype),
        truth=truth,
        given=arrays,
        allowed=allowed,
        relative=relative_sizes(truth, allowed),
        wrong=wrong,
        first=next_on_the_way_back(wrong, arrays),
        exact=storage == "float64",
        hides=any((floor.slack > 0).any() for floor in noise.floors.values()),
        loss=loss,
        loss_noise=loss_noise,
        unit=noise.precision.storage.unit,
        rate=rate,
        excluded=excluded,
    )
    found = accounts(question, composed=dtype == "float64" and work_of(case) <= MOST_WORK_COMPOSED)
    return Found(found, first_wrong(leaves), question=question, group=group, loss=_readings_of_loss(asked, wrong))


def _readings_of_loss(asked: Asked, wrong: Collection[str]) -> tuple[Relation, ...]:
    """Which other losses have the value that was given, if it is wrong."""
    if "loss" not in wrong:
        return ()
    handed = given_leaves(asked.case, asked.given)["loss"]
    assert isinstance(handed, Handed)
    floor = asked.noise.floors["loss"]
    allowed = float(floor.smooth) + float(known_to(handed, digits_of(asked.given, "loss"), widest=True))
    readings = loss_readings(asked.case, asked.solution, float(handed.values), allowed)
    return tuple(Relation("loss", ("loss",), (reading.value,), reading.sentence) for reading in readings)


def _loss_and_noise(asked: Asked) -> tuple[float, float]:
    """The number that a gradient is of, and how far it may be off: the loss, or outputs times their cotangents."""
    case, solution, noise, *_ = asked
    if solution.loss is not None:
        return solution.loss, float(noise.floors["loss"].smooth)
    ct, outputs = np.asarray(case.ct_outputs, np.float64), np.asarray(solution.outputs)
    sizes = noise.floors["outputs"].smooth + noise.precision.storage.unit * np.abs(outputs)
    return float(np.sum(ct * outputs)), float(np.sum(np.abs(ct) * sizes))


def _in_the_other_layout(asked: Asked, excluded: frozenset[str]) -> Found | None:
    """What is wrong with gradients whose weights fit once they are transposed: the layout, and perhaps more; or None.

    Weights of square layers are turned with the others, if that leaves less wrong.
    """
    case, solution, noise, given, leaves, *_ = asked
    layers = [weights_and_bias(f"params[{i}]", layer) for i, layer in enumerate(given.params)]
    if len(layers) != len(case.params):
        return None
    misfits = {layer_of(leaf.path) for leaf in leaves if leaf.cause is Cause.SHAPE and leaf.path.endswith("weights")}
    if not misfits:
        return None
    best: tuple[int, Gradients, tuple[Leaf, ...], tuple[int, ...]] | None = None
    for turned in dict.fromkeys((tuple(range(len(layers))), tuple(sorted(misfits)))):
        try:
            params = [(np.asarray(w).T if i in turned else w, bias) for i, (w, bias) in enumerate(layers)]
        except ValueError:  # rows of unequal length
            return None
        own = given._replace(params=params)
        judged = judge(case, solution, noise, own)
        wrong = sum(leaf.verdict is Verdict.WRONG for leaf in judged)
        fits = not any(leaf.cause in (Cause.SHAPE, Cause.MISSING) for leaf in judged)
        if fits and (best is None or wrong < best[0]):
            best = (wrong, own, judged, turned)
    if best is None:
        return None
    _, own, judged, turned = best
    layout = _transposed(case, solution, own, judged, turned)
    more = _search(asked._replace(given=own, leaves=judged), excluded)
    if more is None:
        return Found((Account((layout,), {}),), "the layout of the weights", group=asked.group)
    found = (account._replace(mistakes=(layout, *account.mistakes)) for account in more.accounts)
    return more._replace(accounts=tuple(found), turned=True)


def _transposed(
    case: Case, solution: Solution, own: Gradients, judged: Sequence[Leaf], layers: tuple[int, ...]
) -> Named:
    handed = {path: leaf.values for path, leaf in given_leaves(case, own).items() if isinstance(leaf, Handed)}
    truth, right = truth_of(solution), [leaf.path for leaf in judged if leaf.verdict is not Verdict.WRONG]
    digits = min((agreeing_digits(handed[path], truth[path]) for path in right if path.endswith("weights")), default=0)
    return named("weight-gradient-transposed", layers, digits)


def first_wrong(leaves: Sequence[Leaf]) -> str:
    """The wrong quantity nearest to the outputs: the outputs themselves, then the layers from the last to the first."""
    wrong = {leaf.path for leaf in leaves if leaf.verdict is Verdict.WRONG}
    if "outputs" in wrong:
        return "the outputs"
    depth = 1 + max((layer_of(leaf.path) for leaf in leaves), default=-1)
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
