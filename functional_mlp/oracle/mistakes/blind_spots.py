"""What a case cannot show: mistakes that would change nothing in it, by its data and not by its network.

A mistake of the catalogue says under which conditions it shows. Some of these are conditions on the data of a case,
listed in `OF_DATA`: where one of them alone keeps a mistake from showing, another case of the same network would show
it. Nothing is injected, so that this takes no time.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from functional_mlp.oracle.case import Case
from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake
from functional_mlp.oracle.mistakes.catalogue.registry import MISTAKES
from functional_mlp.oracle.mistakes.conditions import (
    A_BIAS_NOT_ZERO,
    BIAS_NOT_ZERO,
    DIFFERS_FROM_IDENTITY,
    DIVISOR_NOT_ONE,
    HAS_BIAS,
    INACTIVE_UNIT,
    SEVERAL_OUTPUTS,
    SEVERAL_SAMPLES,
    SOME_BIAS,
    Condition,
    Site,
)


class BlindSpot(NamedTuple):
    """What a case has that hides mistakes, and which: ids of the catalogue, () where it hides more than these."""

    why: str
    ids: tuple[str, ...] = ()


ANYWHERE = Condition("nothing", lambda site: True)
# conditions on data: what a case is that does not meet them, and where that might be otherwise
OF_DATA: Mapping[Condition, tuple[str, Condition]] = {
    SEVERAL_SAMPLES: ("it has one sample", ANYWHERE),
    DIVISOR_NOT_ONE: ("a mean over its samples divides by 1", ANYWHERE),
    SEVERAL_OUTPUTS: ("it has one output", ANYWHERE),
    INACTIVE_UNIT: ("no pre-activation is negative", ANYWHERE),
    DIFFERS_FROM_IDENTITY: ("no pre-activation is negative", ANYWHERE),
    BIAS_NOT_ZERO: ("its biases are 0", HAS_BIAS),
    A_BIAS_NOT_ZERO: ("its biases are 0", SOME_BIAS),
}


def blind_spots(case: Case, solution: Any) -> tuple[BlindSpot, ...]:
    """What a case cannot show.

    Args:
        case: the case.
        solution: its `Solution`.

    Example:
        >>> import functional_mlp as fm
        >>> from functional_mlp.oracle.truth import solve
        >>> params = [([[1.0, 2.0]], [0.5, 0.5])]
        >>> case = Case(fm.Network((1, 2), "relu"), None, params, [[1.0], [2.0]], ct_outputs=[[1.0, 2.0], [3.0, 4.0]])
        >>> [spot.why for spot in blind_spots(case, solve(case))]
        ['no pre-activation is negative']
    """
    grads = [leaf for layer in solution.grads for leaf in layer if leaf is not None]
    if not any(leaf.any() for leaf in grads):
        return (BlindSpot("every true gradient is 0 here, so that a program which computes nothing would pass"),)
    hidden: dict[str, list[str]] = {}
    for mistake in MISTAKES.values():
        for why in _hidden_by(mistake, case, solution):
            hidden.setdefault(why, []).append(mistake.id)
    spots = [BlindSpot(why, tuple(ids)) for why, ids in hidden.items()]
    zero = [i for i, layer in enumerate(solution.grads) if not any(leaf.any() for leaf in layer if leaf is not None)]
    spots += [BlindSpot(f"every true gradient of layer {', '.join(map(str, zero))} is 0")] if zero else []
    symmetric = [
        layer.weights
        for layer in case.params
        if layer.weights.shape[0] == layer.weights.shape[1] > 1 and np.array_equal(layer.weights, layer.weights.T)
    ]
    spots += [BlindSpot("its weights are symmetric", ("weights-not-transposed",))] if symmetric else []
    if case.loss is not None and case.loss.kind == "squared_error" and case.network.sizes[-1] == 2:
        spots.append(BlindSpot("with two outputs a mean over outputs undoes the factor 2 of the square"))
    return tuple(spots)


def _hidden_by(mistake: Mistake, case: Case, solution: Any) -> set[str]:
    """What of a case's data alone keeps a mistake from showing; nothing if it shows somewhere, or could nowhere."""
    of_data = [condition for condition in mistake.where if condition in OF_DATA]
    if not of_data or mistake.shows_in_updates:
        return set()
    others = [condition for condition in mistake.where if condition not in OF_DATA]
    found: set[str] = set()
    for layer in range(len(case.params)) if mistake.scope == "layer" else (None,):
        for variant in mistake.variants or (None,):
            site = Site(case, solution, layer, variant)
            if mistake.parameter is not None:
                site = site._replace(value=mistake.parameter.default(site))
            elsewhere = [OF_DATA[condition][1] for condition in of_data]
            if all(_holds(condition, site) for condition in (*others, *elsewhere)):
                failing = [condition for condition in of_data if not _holds(condition, site)]
                if not failing:
                    return set()
                found.update(OF_DATA[condition][0] for condition in failing)
    return found


def _holds(condition: Condition, site: Site) -> bool:
    with np.errstate(all="ignore"):
        return condition.test(site)


def only_scales(case: Case) -> bool:
    """Whether every error at the output is a multiple of the truth: one sample, and one output or two classes."""
    if len(case.inputs) != 1 or case.loss is None or case.loss.l2 or case.loss.l1:
        return False
    return decides_by_one_number(case)


def decides_by_one_number(case: Case) -> bool:
    """Whether the delta of the output layer is one number for each sample: with one output, or two classes."""
    outputs = case.network.sizes[-1]
    of_classes = case.network.activations[-1].name == "softmax" or (
        case.loss is not None and case.loss.kind == "softmax_cross_entropy"
    )
    return outputs == 1 or (outputs == 2 and of_classes)
