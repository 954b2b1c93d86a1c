"""What of an explanation is believed: arrays whose agreement something else may explain as well are left out."""

import math
from collections.abc import Collection, Sequence

import numpy as np

from functional_mlp.oracle.case import layer_of
from functional_mlp.oracle.diagnosis.composition.chain import Chain, Search, is_familiar, summed, weighted
from functional_mlp.oracle.diagnosis.composition.fits import SURE, Explained, Observed, telling_entries
from functional_mlp.oracle.mistakes import MISTAKES, Slip, view_of

# by which evidence outweighs the cost of an explanation, as that a natural logarithm; of one beside which more is wrong
BEYOND_CHANCE, BEYOND_CHANCE_OF_SOME = 9.0, 18.0


def outweighs(evidence: float, cost: float, *, partly: bool = False) -> bool:
    """Whether numbers that agree are beyond chance, for an explanation of this cost; of some wrong arrays or of all."""
    return evidence >= cost + (BEYOND_CHANCE_OF_SOME if partly else BEYOND_CHANCE)


def evidence_of(chain: Chain, wrong: Collection[str]) -> float:
    """How surprising it would be by chance that a program has just these wrong arrays, a natural logarithm.

    What reaches the arrays of a layer and of those below it comes through the cotangent of that layer: together they
    show no more numbers than it has, but for what is done in the layers below, and in the sums of a single array. Where
    the outputs of a layer are other ones, the weights above it show that too.
    """
    explained = [one for path, one in chain.explained.items() if path in wrong]
    if not explained:
        return 0.0
    each = max(one.observed.digits_of_one for one in explained) * math.log(10)
    made = [slip for step in chain.steps for slip in step[0]]
    changed = {_changed_by(slip, len(chain.deltas) - 1) for slip in made} | {layer - 1 for layer in chain.early}
    forward = min((slip.layer or 0 for slip in made if _is_forward(slip)), default=len(chain.deltas))
    shared = by_itself = 0.0
    for layer in sorted({one.observed.layer for one in explained}):
        if any(below < layer for below in changed):
            by_itself, shared = by_itself + shared, 0.0
        for one in (one for one in explained if one.observed.layer == layer):
            shown = one.observed.evidence(one.fit.free)
            if one.observed.path in chain.sums or one.has_other_penalty:
                by_itself += shown
            else:
                shared += shown
        if layer <= forward and layer in chain.deltas:
            relative = max(one.observed.relative for one in explained)
            shared = min(shared, telling_entries(chain.deltas[layer], relative) * each)
    fitted = 0 if chain.samples is None else len(chain.samples)
    return shared + by_itself - fitted * each


def _is_forward(slip: Slip) -> bool:
    return MISTAKES[slip.id].change.place_of(slip.variant) == "forward"


def _changed_by(slip: Slip, top: int) -> int:
    """The layer whose ct_z a mistake changes, with those below."""
    if slip.layer is None:
        return top
    return slip.layer - (MISTAKES[slip.id].change.place_of(slip.variant) == "previous_cotangent")


def believed(search: Search, chain: Chain, wrong: Collection[str]) -> Chain:
    """A program with those of the wrong arrays left unexplained that something else may explain as well."""
    chain = _supported(search, chain, wrong)
    return _zeros_believed(search, chain, [path for path in wrong if path not in chain.explained])


def is_one_number(observed: Sequence[Observed]) -> bool:
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
        elsewhere = [other for other in others if other.observed.layer != observed.layer]
        if not meant and partial:  # what is not explained may multiply what is below it by any number
            top = [other for other in others if other.observed.layer == search.top and other.observed.wrong]
            top = [other for other in top if other.observed.digits(1) > 0]  # any single number is a multiple
            return not is_familiar(elsewhere if observed.layer == search.top else top, observed, fit)
        if not meant and one_entry and not is_familiar(elsewhere, observed, fit):
            return True
        if meant and observed.digits(0) >= SURE:  # one number that is just n times the right one is no chance
            return fit.free > 1 and not shared and (partial or observed.digits(fit.free) < SURE)
    if fit.free == 0:
        return False
    return not shared and (partial or observed.digits(fit.free) < SURE)
