"""What might explain wrong numbers: every mistake at every place where it could have made just those arrays wrong.

What a mistake cannot reach tells most of them apart before anything is computed, and the first wrong array on the way
back most of the others.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.case import Case, layer_of
from functional_mlp.oracle.mistakes import MISTAKES, Prepared, Slip, places

Arrays = Mapping[str, Array]
Slips = tuple[Slip, ...]  # one mistake, in one layer or in several


class Discrepancy(NamedTuple):
    """What is to be explained: numbers that were given, beside the true ones.

    Attributes:
        prepared: the case, ready for mistakes to be injected: in float64, or in the given format where numbers are
            infinite or NaN.
        truth, given: arrays by path, those of `given` alone.
        allowed: how far each entry may be from a correct program's.
        relative: the same relative to the largest numbers of each array.
        wrong: paths of the wrong arrays.
        first: the first of them on the way back; of several the smallest.
        exact: whether the given numbers are float64, so that every change of an array shows.
        hides: whether kinks or lost probabilities may hide a change of an array.
        loss: the true one; of a bare cotangent, outputs times cotangents.
        loss_noise: how far that may be off.
        unit: unit roundoff of the declared format.
        rate: of a step, by which what it subtracted was divided; None for gradients.
        excluded: ids of mistakes that the program is known not to make.
    """

    prepared: Prepared
    truth: Arrays
    given: Arrays
    allowed: Arrays
    relative: Mapping[str, float]
    wrong: frozenset[str]
    first: str
    exact: bool
    hides: bool
    loss: float
    loss_noise: float
    unit: float
    rate: float | None
    excluded: frozenset[str] = frozenset()

    @property
    def case(self) -> Case:
        """The case."""
        return self.prepared.case


def judged_again(question: Discrepancy) -> Discrepancy:
    """The same, with those arrays of parameters wrong that are so by what is given and allowed now."""
    wrong = frozenset(path for path in question.given if _is_wrong(question, path))
    return question._replace(wrong=wrong, first=next_on_the_way_back(wrong, question.given) if wrong else "")


def _is_wrong(question: Discrepancy, path: str) -> bool:
    if not path.startswith("params["):
        return path in question.wrong
    return not bool((np.abs(question.given[path] - question.truth[path]) <= question.allowed[path]).all())


def next_on_the_way_back(wrong: Iterable[str], given: Arrays) -> str:
    """The first of some wrong arrays on the way back from the outputs; of several the smallest."""
    return min(wrong, key=lambda path: (path != "outputs", -layer_of(path), given[path].size, path))


def every_group(prepared: Prepared, updates: bool = False) -> tuple[Slips, ...]:
    """Every mistake at every place of a case, and in all layers, and in all hidden ones; in the catalogue's order.

    Args:
        prepared: the case.
        updates: whether to include the mistakes that show in updated parameters only; they come first.
    """
    groups: list[Slips] = []
    for mistake in sorted(MISTAKES.values(), key=lambda mistake: not mistake.shows_in_updates):
        if mistake.shows_in_updates and not updates:
            continue
        sites = [place for place in places(prepared, mistake.id) if place[1] not in mistake.unsearched]
        groups += [(Slip(mistake.id, layer, variant),) for layer, variant in sites]
        if mistake.scope != "layer":
            continue
        for variant in dict.fromkeys(variant for _, variant in sites):
            everywhere = tuple(Slip(mistake.id, layer, variant) for layer, other in sites if other == variant)
            hidden = tuple(slip for slip in everywhere if slip.layer != len(prepared.case.params) - 1)
            groups += [group for group in dict.fromkeys((everywhere, hidden)) if len(group) > 1]
    return tuple(groups)


def reaches(group: Slips, paths: Iterable[str]) -> bool:
    """Whether a mistake at these places can change all of these arrays."""
    return all(any(_reaches_one(slip, path) for slip in group) for path in paths)


def _reaches_one(slip: Slip, path: str) -> bool:
    place, layer, at = MISTAKES[slip.id].change.place_of(slip.variant), slip.layer, layer_of(path)
    if layer is None or place in ("forward", "gathered", "output_cotangent"):
        return True
    own = {
        "weights_cotangent": path == f"params[{layer}].weights",
        "bias_cotangent": path == f"params[{layer}].bias",
        "returned": at == layer and path.startswith("params"),
        "through_activation": at <= layer,
        "previous_cotangent": at < layer,
        "early": at < layer,
    }
    return own[place] and path not in ("loss", "outputs")


def starts(group: Slips, question: Discrepancy) -> bool:
    """Whether the first wrong arrays on the way back are where a mistake at these places would make the first ones."""
    top, last = layer_of(question.first), len(question.case.params) - 1
    if question.first in ("loss", "outputs"):
        return True
    begins = []
    for slip in group:
        place = MISTAKES[slip.id].change.place_of(slip.variant)
        if place in ("forward", "output_cotangent"):
            begins.append(top == slip.layer)  # a function that is computed as declared may go back as another
            begins.append(not question.exact or question.hides or question.case.loss is None or top == last)
        elif slip.layer is not None and place in ("through_activation", "previous_cotangent", "early"):
            begin = slip.layer - (place != "through_activation")
            begins.append(top <= begin if question.hides else top == begin)
        else:
            begins.append(True)
    return any(begins)


def that_reach(group: Slips, path: str) -> Slips:
    """Those mistakes that can change an array; without the others it is the same."""
    return tuple(slip for slip in group if _reaches_one(slip, path))
