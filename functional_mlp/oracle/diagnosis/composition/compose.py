"""Explanations made of several mistakes, of all wrong arrays or of some."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.case import FIELDS, layer_of, parameter_of
from functional_mlp.oracle.diagnosis.candidates import Discrepancy
from functional_mlp.oracle.diagnosis.composition.alternatives import alternatives_of
from functional_mlp.oracle.diagnosis.composition.chain import (
    Chain,
    Search,
    Step,
    is_familiar,
    kind_of,
    summed,
    weighted,
)
from functional_mlp.oracle.diagnosis.composition.constants import (
    FITTED,
    ONE_OF_SEVERAL,
    Constants,
    Part,
    cost_of,
    is_any_number,
    joined,
    part,
    total,
)
from functional_mlp.oracle.diagnosis.composition.factors import readings
from functional_mlp.oracle.diagnosis.composition.fits import SURE, Explained, Observed, telling_entries
from functional_mlp.oracle.diagnosis.composition.peeling import programs, right_program
from functional_mlp.oracle.diagnosis.composition.samples import parts_of, uneven_samples
from functional_mlp.oracle.mistakes import MISTAKES, Slip, view_of
from functional_mlp.oracle.truth import computing

MOST = 12  # explanations
MOST_ALIKE = 3  # mistakes at one place, beside the likeliest, that make the same numbers
MOST_TOGETHER = 4  # mistakes: more fit by chance
BEYOND_CHANCE = 9.0  # by which evidence outweighs the cost of an explanation: as its cost, a natural logarithm
UNLIKELY = 12.0  # cost of an explanation beside which another one is looked for


class Composed(NamedTuple):
    """An explanation.

    Attributes:
        parts: the mistakes.
        made: the arrays of a program that makes them, by path, of those that it explains.
        unexplained: paths of the wrong arrays that it does not explain.
        cost: the higher, the less likely.
    """

    parts: tuple[Part, ...]
    made: Mapping[str, Array]
    unexplained: tuple[str, ...]
    cost: float


def outweighs(evidence: float, cost: float) -> bool:
    """Whether numbers that agree are beyond chance, for an explanation of this cost."""
    return evidence >= cost + BEYOND_CHANCE


def compose(question: Discrepancy, *, entirely: bool = False, backward: bool = True) -> list[Composed]:
    """What explains the most of the wrong arrays, the likeliest first; [] if nothing explains any.

    Args:
        question: what is to be explained.
        entirely: whether nothing is searched further that does not explain everything.
        backward: whether mistakes on the way back and in the sums are tried.
    """
    search = _search_of(question) if backward else _without_backward(_search_of(question))
    with computing(question.case.network), np.errstate(all="ignore"):
        followed = programs(search, entirely)
        found = [composed for chain in followed for composed in _composed(search, chain, question)]
        if entirely:
            found = [one for one in found if not one.unexplained]
        elif not any(not one.unexplained and one.cost < UNLIKELY for one in found):
            found += _uneven(search, question)
    if not found:
        return []
    fewest = min(len(one.unexplained) for one in found)
    found = sorted((one for one in found if len(one.unexplained) == fewest), key=lambda one: one.cost)
    first: dict[frozenset[str], Composed] = {}
    for one in found:
        first.setdefault(frozenset(part.id for part in one.parts), one)
    return list(first.values())[:MOST]


def _search_of(question: Discrepancy) -> Search:
    case, prepared = question.case, question.prepared
    observed: dict[int, list[Observed]] = {}
    outputs = None
    for path in question.given:
        if path == "loss":
            continue
        one = observed_of(question, path)
        if path == "outputs":
            outputs = one
        else:
            observed.setdefault(one.layer, []).append(one)
    after = None
    if question.rate is not None:
        after = [_stepped(question, layer) for layer in range(len(case.params))]
    return Search(
        prepared=prepared,
        observed={layer: tuple(arrays) for layer, arrays in observed.items()},
        alternatives=alternatives_of(prepared, question.excluded, question.given),
        constants=Constants(prepared, question.rate, question.excluded),
        after=after,
        outputs=outputs,
    )


def _without_backward(search: Search) -> Search:
    none: dict[int, tuple[Slip, ...]] = dict.fromkeys(range(search.top + 1), ())
    alternatives = search.alternatives._replace(through=none, previous=none, sums=none, gathered=())
    return search._replace(alternatives=alternatives, after=None)


def observed_of(question: Discrepancy, path: str) -> Observed:
    """An array that was given, and what is known of it."""
    loss, kind = question.case.loss, path.partition(".")[2] or path.partition("[")[0]
    kind = {"deltas": "delta"}.get(kind, kind)
    penalised = loss is not None and (kind == "weights" or (kind == "bias" and loss.l2_on_bias))
    return Observed(
        path=path,
        layer=-1 if path == "ct_inputs" else len(question.case.params) if path == "outputs" else layer_of(path),
        kind=kind,
        given=question.given[path],
        parameter=parameter_of(question.case, path) if kind in FIELDS else None,
        allowed=question.allowed[path],
        relative=question.relative[path],
        l2=loss.l2 if loss is not None and penalised else 0.0,
        l1=loss.l1 if loss is not None and penalised else 0.0,
        wrong=path in question.wrong,
        samples=len(question.case.inputs),
        off=_off(question, path),
    )


def _off(question: Discrepancy, path: str) -> Array:
    """How far each entry of an array is off the right one, in what is allowed."""
    given = question.given[path]
    beside = question.relative[path] * np.abs(given).max(initial=0.0)
    with np.errstate(all="ignore"):
        off: Array = np.abs(given - question.truth[path]) / np.maximum(question.allowed[path], beside)
    return off


def _stepped(question: Discrepancy, layer: int) -> tuple[Array, Array | None]:
    """The parameters of a layer after the step, as they were given; before it where they were not."""
    found = []
    for name in FIELDS:
        before, step = getattr(question.case.params[layer], name), question.given.get(f"params[{layer}].{name}")
        found.append(before if before is None or step is None else before - (question.rate or 0.0) * step)
    return found[0], found[1]


def _uneven(search: Search, question: Discrepancy) -> list[Composed]:
    """The right program, whose samples do not count alike."""
    uneven = uneven_samples(search, right_program(search))
    if uneven is None:
        return []
    left = tuple(sorted(question.wrong - {"loss", "outputs"} - uneven.made.keys()))
    return [Composed(uneven.parts, uneven.made, left, total(uneven.parts))]


# from a program to its mistakes


def _composed(search: Search, chain: Chain, question: Discrepancy) -> list[Composed]:
    """The explanations that a program and its factors amount to."""
    wrong = question.wrong - {"loss", "outputs"}
    chain = _supported(search, chain, wrong)
    chain = _zeros_believed(search, chain, [path for path in wrong if path not in chain.explained])
    explained = {path: one for path, one in chain.explained.items() if path in wrong}
    left = tuple(path for path in sorted(wrong) if path not in explained)
    if not explained or (left and _is_one_number([one.observed for one in explained.values()])):
        return []
    made = {path: one.made for path, one in chain.explained.items()}
    relative = min(one.observed.relative for one in explained.values())
    one_number = telling_entries(chain.deltas[search.top], relative) == 1  # by which everything is multiplied
    read = readings(list(chain.explained.values()), search.constants)
    if one_number:
        read = [parts for parts in read if not any(is_any_number(one.id, one.value, one.meanings) for one in parts)]
    choices = _choices(search, chain)
    together = [(*own, *parts) for parts in read for own in choices]
    evidence = sum(one.observed.evidence(one.fit.free) for one in explained.values())
    return [
        Composed(parts, made, left, total(parts))
        for parts in together
        if 0 < len(parts) <= MOST_TOGETHER and outweighs(evidence, total(parts))
    ]


def _is_one_number(observed: Sequence[Observed]) -> bool:
    """Whether all that is explained is a single number, which one of many mistakes may give by chance."""
    return sum(one.given.size if one.is_zero else one.numbers for one in observed) < 2


def _zeros_believed(search: Search, chain: Chain, left: Collection[str]) -> Chain:
    """A program without the arrays of zeros at or below a layer that is not explained: that may be why they are 0.

    Nor with those of which a mistake in the sums explains entries that are 0.
    """
    top = max((layer_of(path) for path in left), default=-1)
    explained = chain.explained.values() if left else ()
    unexplained = [np.abs(one.given[one.given != 0]) for one in search.arrays if one.path in left]
    least = min((float(sizes.min()) for sizes in unexplained if sizes.size), default=0.0)  # that is told from 0 at all
    zeros = [one for one in explained if _is_doubtful(search, one, top, least) or _is_zeroed(chain, one)]
    return chain.without([one.observed.path for one in zeros])


def _is_doubtful(search: Search, one: Explained, top: int, least: float) -> bool:
    """Whether an array is 0 as it may be because of what is not explained, in a layer `top` and below.

    That is not why where layers below are not 0, to which the cotangent came, or the weights beside a bias. Nor does an
    array of zeros show anything of which the right numbers are smaller than the `least` that is not explained.
    """
    observed = one.observed
    if observed.is_zero and observed.wrong and np.abs(one.gradient).max(initial=0.0) < least:
        return True
    if observed.layer > top or not (one.fit.factor == 0 or (observed.wrong and observed.is_zero)):
        return False
    has_data = {own.layer for own in search.arrays if own.kind == "weights" and own.has_data}
    if observed.layer < search.top:
        passed = any(layer < observed.layer for layer in has_data)
        return not (passed or (observed.kind == "bias" and observed.layer in has_data))
    biases = [own for own in search.arrays if own.kind == "bias"]
    return not (observed.kind == "bias" and observed.layer in has_data and all(own.is_zero for own in biases))


def _is_zeroed(chain: Chain, one: Explained) -> bool:
    """Whether all that a mistake in the sums of an array changes is 0 in it."""
    observed = one.observed
    if observed.path not in chain.sums:
        return False
    delta = weighted(chain, chain.deltas[observed.layer])
    unchanged = summed(chain.program, view_of(chain.program, observed.layer), observed, delta)
    return unchanged is not None and not one.gradient[one.gradient != unchanged].any()


def _supported(search: Search, chain: Chain, wrong: Collection[str]) -> Chain:
    """A program with those arrays left unexplained that only a number explains which means nothing.

    Such a number is believed if other arrays show it too, or if everything is explained and the array is no small one.
    """
    while True:
        partial = any(path not in chain.explained for path in wrong)
        odd = [path for path, one in chain.explained.items() if _is_unsupported(search, chain, one, partial)]
        if not odd:
            return chain
        chain = chain.without(odd)


def _is_unsupported(search: Search, chain: Chain, one: Explained, partial: bool) -> bool:
    fit, observed = one.fit, one.observed
    if not observed.wrong or fit.factor == 0:
        return False
    others = [other for path, other in chain.explained.items() if path != observed.path]
    shared = is_familiar(others, observed, fit)
    if fit.factor != 1:
        delta = chain.deltas.get(observed.layer)
        one_entry = delta is not None and telling_entries(delta, observed.relative) == 1
        meant = search.constants.meaning_of(fit.factor, fit.doubt)
        if not meant and partial:  # what is not explained may multiply the rest by any number
            top = (other for other in others if other.observed.layer == search.top and other.observed.wrong)
            return not is_familiar(top, observed, fit)
        elsewhere = [other for other in others if other.observed.layer != observed.layer]
        if not meant and one_entry and not is_familiar(elsewhere, observed, fit):
            return True
        if meant and observed.digits(0) >= SURE:  # one number that is just n times the right one is no chance
            return fit.free > 1 and not shared and (partial or observed.digits(fit.free) < SURE)
    if fit.free == 0:
        return False
    return not shared and (partial or observed.digits(fit.free) < SURE)


def _choices(search: Search, chain: Chain) -> list[tuple[Part, ...]]:
    """The mistakes of a program, each place as one of those that make the same numbers there."""
    steps = _commonest_first([*chain.steps, *chain.sums.values()])
    chosen = [[step[0] for step in steps]]
    kinds = dict.fromkeys(kind_of(group[0]) for step in steps for group in step[1 : 1 + MOST_ALIKE])
    for kind in kinds:  # wherever it would make the same numbers
        chosen.append([next((group for group in step if kind_of(group[0]) == kind), step[0]) for step in steps])
    more = _early(chain)
    if chain.samples is not None:
        relative = max(one.observed.relative for one in chain.explained.values())
        counted = parts_of(search, chain.samples, relative)
        if not counted:
            return []
        more = (*more, *counted)
    each = ([_part_of(slip) for group in groups for slip in group] for groups in chosen)
    return [(*more, *joined(parts, ONE_OF_SEVERAL / 3)) for parts in each]


def _commonest_first(steps: Sequence[Step]) -> list[Step]:
    """Each step with that first which also stands in most others, then the likeliest."""
    counts: dict[tuple[str, str | None], int] = {}
    for step in steps:
        for key in {kind_of(group[0]) for group in step}:
            counts[key] = counts.get(key, 0) + 1
    return [
        tuple(sorted(step, key=lambda group: (-counts[kind_of(group[0])], cost_of(*kind_of(group[0])))))
        for step in steps
    ]


def _early(chain: Chain) -> tuple[Part, ...]:
    if not chain.early:
        return ()
    return (part("updated-weights-used", tuple(sorted(chain.early))),)


def _part_of(slip: Slip) -> Part:
    mistake = MISTAKES[slip.id]
    layers = () if slip.layer is None or mistake.scope != "layer" else (slip.layer,)
    return part(slip.id, layers, slip.variant, FITTED * (mistake.parameter is not None), value=slip.value)
