"""Explanations made of several mistakes, of all wrong arrays or of some."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.case import FIELDS, layer_of, parameter_of
from functional_mlp.oracle.diagnosis.candidates import Discrepancy
from functional_mlp.oracle.diagnosis.composition.alternatives import alternatives_of
from functional_mlp.oracle.diagnosis.composition.belief import believed, evidence_of, is_one_number, outweighs
from functional_mlp.oracle.diagnosis.composition.chain import (
    Chain,
    Search,
    Step,
    kind_of,
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
from functional_mlp.oracle.diagnosis.composition.fits import Observed, telling_entries
from functional_mlp.oracle.diagnosis.composition.peeling import programs, right_program
from functional_mlp.oracle.diagnosis.composition.samples import parts_of, sample_weights, uneven_samples
from functional_mlp.oracle.mistakes import MISTAKES, Slip
from functional_mlp.oracle.truth import computing

MOST = 12  # explanations
MOST_ALIKE = 3  # mistakes at one place, beside the likeliest, that make the same numbers
MOST_TOGETHER = 4  # mistakes: more fit by chance
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


def compose(question: Discrepancy, *, entirely: bool = False, backward: bool = True) -> list[Composed]:
    """What explains the most of the wrong arrays, the likeliest first; [] if nothing explains any.

    Args:
        question: what is to be explained.
        entirely: whether nothing is searched further that does not explain everything.
        backward: whether mistakes on the way back and in the sums are tried.
    """
    with computing(question.case.network), np.errstate(all="ignore"):
        search = _search_of(question) if backward else _without_backward(_search_of(question))
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
    """The right program, whose samples do not count alike: with whatever its factors and penalties amount to."""
    right = right_program(search)
    uneven = uneven_samples(search, right)
    if uneven is not None:
        left = tuple(sorted(question.wrong - {"loss", "outputs"} - uneven.made.keys()))
        return [Composed(uneven.parts, uneven.made, left, total(uneven.parts))]
    weighed = (right_program(search, weights) for weights in sample_weights(search, right))
    return [composed for chain in weighed for composed in _composed(search, chain, question)]


# from a program to its mistakes


def _composed(search: Search, chain: Chain, question: Discrepancy) -> list[Composed]:
    """The explanations that a program and its factors amount to."""
    wrong = question.wrong - {"loss", "outputs"}
    chain = believed(search, chain, wrong)
    explained = {path: one for path, one in chain.explained.items() if path in wrong}
    left = tuple(path for path in sorted(wrong) if path not in explained)
    if not explained or (left and is_one_number([one.observed for one in explained.values()])):
        return []
    made = {path: one.made for path, one in chain.explained.items()}
    relative = min(one.observed.relative for one in explained.values())
    # by which everything is multiplied
    one_number = telling_entries(chain.deltas[search.top], relative) == 1 or _is_of_one_sample(search, chain, relative)
    read = readings(list(chain.explained.values()), search.constants)
    if one_number:
        read = [parts for parts in read if not any(is_any_number(one.id, one.value, one.meanings) for one in parts)]
    choices = _choices(search, chain, partial=bool(left))
    together = [(*own, *parts) for parts in read for own in choices]
    shown = evidence_of(chain, wrong)
    return [
        Composed(parts, made, left, total(parts))
        for parts in together
        if 0 < len(parts) <= MOST_TOGETHER and outweighs(shown, total(parts), partly=bool(left))
    ]


def _is_of_one_sample(search: Search, chain: Chain, relative: float) -> bool:
    """Whether the output layer's weights show but the inputs of one sample, times one number of it.

    One number decides of each sample, or the others are nothing beside it, as where one probability is nearly 0. Any
    error of that number multiplies everything.
    """
    weights = next((one for one in search.observed.get(search.top, ()) if one.kind == "weights"), None)
    if weights is None:
        return False
    units, sizes, deltas = np.linalg.svd(weights.given - weights.penalty, full_matrices=False)
    if (sizes[1:] > 8 * relative * sizes[0]).any():
        return False
    if not search.constants.one_number_each and telling_entries(deltas[0], 8 * relative) > 1:
        return False
    inputs = np.asarray(chain.program.inputs_of_layers[search.top], np.float64)
    along, lengths = np.abs(inputs @ units[:, 0]), np.linalg.norm(inputs, axis=1)
    return len(units) > 1 and bool((along[lengths > 0] >= (1 - 64 * relative**2) * lengths[lengths > 0] - 1e-15).any())


def _choices(search: Search, chain: Chain, *, partial: bool) -> list[tuple[Part, ...]]:
    """The mistakes of a program, each place as one of those that make the same numbers there."""
    steps = _commonest_first([*chain.steps, *chain.sums.values()])
    chosen = [[step[0] for step in steps]]
    kinds = dict.fromkeys(kind_of(group[0]) for step in steps for group in step[1 : 1 + MOST_ALIKE])
    for kind in kinds:  # wherever it would make the same numbers
        chosen.append([next((group for group in step if kind_of(group[0]) == kind), step[0]) for step in steps])
    more = _early(chain)
    if chain.samples is not None:
        relative = max(one.observed.relative for one in chain.explained.values())
        counted = parts_of(search, chain.samples, relative, fractions=not partial)
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
