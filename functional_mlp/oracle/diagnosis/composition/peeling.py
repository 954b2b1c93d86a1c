"""From the outputs back, layer by layer: which programs have the arrays that were given.

At each layer every mistake that might be made there is tried where a program as it is does not explain all; what the
arrays of the layer agree with is kept. So mistakes at different places are found one after the other, not in every
combination of them.
"""

import heapq
import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.diagnosis.composition.alternatives import Group, applied, is_fitted
from functional_mlp.oracle.diagnosis.composition.chain import (
    AGAIN,
    UNEXPLAINED,
    Chain,
    Search,
    arriving,
    attempted,
    cost_of_fit,
    is_plain,
    kind_of,
    reached,
    through,
    valued,
    view_at,
    weighted,
    with_step,
)
from functional_mlp.oracle.diagnosis.composition.constants import cost_of
from functional_mlp.oracle.diagnosis.composition.fits import Explained, Observed, agrees, fit_of
from functional_mlp.oracle.diagnosis.composition.samples import with_uneven_samples
from functional_mlp.oracle.diagnosis.composition.sums import SURE, is_odd, with_gathered, with_sums
from functional_mlp.oracle.mistakes import MISTAKES, LayerView, Slip

WIDTH = 10  # programs that are followed
EARLY = ("", "as given", "as computed")  # the parameters that are sent back through: not updated, or updated already
MOST_UNSEEN = 60  # mistakes in a layer whose arrays cannot tell, that are tried by those of the layer below
MOST_UNEVEN = 150  # programs whose samples may count unevenly besides
MOST_PAIRS = 500  # of mistakes in the forward pass and at the outputs
ARRIVALS = 16  # of them, those that are tried with every derivative
OF_GRADIENTS = ("gradient-used-as-weights",)  # tried with the gradient as it was given, penalty and factors included
SURE_OF_SUMS = 3  # programs in which the sums of single arrays are tried
MOST_WITH_SUMS = 24  # likewise, where nothing else explains an array of a layer


def programs(search: Search, entirely: bool = False) -> list[Chain]:
    """The programs that explain the most arrays, or all of them, the likeliest first."""
    found = _at_the_outputs(search)
    for layer in reversed(range(search.top)):
        if entirely:
            found = [chain for chain in found if not chain.unexplained]
        found = _best(below for chain in found for below in _one_layer_down(search, chain, layer))
    if search.observed.get(-1):
        found = _best(_with_inputs(search, chain) for chain in found)
    return _best(with_gathered(search, chain) if chain.unexplained else chain for chain in found)


def right_program(search: Search, samples: Array | None = None) -> Chain:
    """The program without a mistake, or with other weights of samples alone, followed to the first layer."""
    program = search.prepared.program
    chain = reached(search, Chain(program, samples=samples), search.top, program.ct_outputs)
    for layer in reversed(range(search.top)):
        assert chain is not None
        sent = _sent_back(search, chain, layer, None, early="")
        assert sent is not None
        chain = reached(search, chain, layer, sent[1])
    assert chain is not None
    return chain


def _best(found: Iterable[Chain]) -> list[Chain]:
    """The likeliest, each once."""
    different: dict[object, Chain] = {}
    for chain in sorted(found, key=lambda chain: chain.cost):
        different.setdefault(_identity(chain), chain)
    return list(different.values())[:WIDTH]


def _identity(chain: Chain) -> object:
    """What a program is told by: its mistakes, and how the arrays are explained."""
    fits = frozenset((path, float(f"{one.fit.factor:.6g}")) for path, one in chain.explained.items())
    return chain.early, chain.steps, frozenset(chain.sums.items()), fits, chain.samples is None


# the output layer


def _at_the_outputs(search: Search) -> list[Chain]:
    program, top = search.prepared.program, search.top
    start = Chain(program)
    right = reached(search, start, top, program.ct_outputs)
    assert right is not None
    if is_plain(search, right, top) and not _is_wrong(search.outputs):
        return [right]
    groups = () if search.constants.any_multiple else search.alternatives.outputs
    derivatives = () if search.constants.any_multiple else search.alternatives.through[top]
    heads = [head for group in groups for head in _headed(search, start, group)]
    tried = [right, *_of_heads(search, heads)]
    tried += through(search, start, derivatives, top, None)
    if not _settled(search, tried, top):
        for head in heads:
            tried += through(search, head, derivatives, top, None)
        tried += _of_heads(search, _two_at_the_outputs(search, heads, groups))
        tried += _fitted_beside(search, groups, derivatives)
    return _kept(search, right, tried, top)


def _headed(search: Search, chain: Chain, group: Group) -> Iterator[Chain]:
    """A program with these mistakes in the forward pass or at the outputs, if it can have them."""
    made: list[Slip] = []
    for slip in group:
        own = valued(search, chain, slip, search.top, None) if is_fitted(slip) else slip
        changed = None if own is None else applied(chain.program, own)
        if own is None or changed is None:
            return
        chain, made = chain._replace(program=changed), [*made, own]
    if _has_outputs(search, chain.program.tape.activations[-1]):
        yield with_step(chain, tuple(made))


def _of_heads(search: Search, heads: Iterable[Chain]) -> list[Chain]:
    followed = (reached(search, head, search.top, head.program.ct_outputs) for head in heads)
    return [
        chain for chain in followed if chain is not None and (chain.ct_z.any() or not chain.steps)
    ]  # 0 shows nothing


def _two_at_the_outputs(search: Search, heads: Sequence[Chain], groups: Sequence[Group]) -> Iterator[Chain]:
    """Another function, and either another one in another layer or another loss of its outputs, the likeliest first."""
    forward = [(head, _layers_of(head.steps[0][0])) for head in heads if _is_forward(head.steps[0][0])]
    exact = [(group, _layers_of(group), cost_of(*kind_of(group[0]))) for group in groups if not is_fitted(group[0])]
    pairs = [
        (head.cost + cost, number, head, group)
        for number, ((head, changed), (group, layers, cost)) in enumerate(itertools.product(forward, exact))
        if layers.isdisjoint(changed)
        if not layers or head.steps[0][0] < group  # of two functions either may be the first
    ]
    for _, _, head, group in heapq.nsmallest(MOST_PAIRS, pairs):
        yield from _headed(search, head, group)


def _layers_of(group: Group) -> frozenset[int | None]:
    return frozenset(slip.layer for slip in group) if _is_forward(group) else frozenset()


def _fitted_beside(search: Search, groups: Sequence[Group], derivatives: Sequence[Slip]) -> Iterator[Chain]:
    """A mistake at the outputs with a number that is fitted, beside one in the derivative of the output layer."""
    program, fitted = search.prepared.program, [group for group in groups if is_fitted(group[0])]
    for slip in derivatives if fitted else ():
        changed = None if is_fitted(slip) else applied(program, slip)
        if changed is not None:
            beside = with_step(Chain(changed), (slip,))
            yield from _of_heads(search, (head for group in fitted for head in _headed(search, beside, group)))


def _is_forward(group: Group) -> bool:
    return MISTAKES[group[0].id].change.place_of(group[0].variant) == "forward"


def _is_wrong(outputs: Observed | None) -> bool:
    return outputs is not None and outputs.wrong


def _has_outputs(search: Search, outputs: Array) -> bool:
    """Whether a program has the outputs that were given, if they were."""
    return search.outputs is None or agrees(search.outputs, np.asarray(outputs, np.float64))


# one layer further down


def _one_layer_down(search: Search, chain: Chain, layer: int) -> list[Chain]:
    """A program followed to the next layer; with every mistake on the way there, if it does not explain all."""
    unseen, chain = chain.unseen, chain._replace(unseen=())
    plain = _sent_back(search, chain, layer, None, early="")
    right = None if plain is None else reached(search, plain[0], layer, plain[1])
    if plain is None or right is None:
        return []
    if is_plain(search, right, layer):
        return [right]
    arrivals = [plain]
    earlies = EARLY if search.after is not None else EARLY[:1]
    for early in earlies:
        for slip in (None, *search.alternatives.previous[layer + 1]):
            if early or slip is not None:
                arrivals += filter(None, [_sent_back(search, chain, layer, slip, early)])
    arrivals += filter(None, (_sent_back_by_gradient(search, chain, layer, slip) for slip in OF_GRADIENTS))
    followed = (reached(search, own, layer, ct) for own, ct in arrivals[1:])
    tried = [right, *(own for own in followed if own is not None)]
    derivatives = search.alternatives.through[layer]
    first = [one for one in arrivals if len(one[0].steps) == len(chain.steps)]
    for own, ct in first:
        tried += through(search, own, derivatives, layer, ct)
    if not _settled(search, tried, layer):
        others = [one for one in arrivals if len(one[0].steps) > len(chain.steps)]
        for own, ct in _one_of_each(others)[:ARRIVALS]:
            tried += through(search, own, derivatives, layer, ct)
    if unseen:
        seen = (_sent_back(search, own, layer, None, early) for own in unseen for early in earlies)
        reaching = (reached(search, own, layer, ct) for own, ct in filter(None, seen))
        tried += [own for own in reaching if own is not None]
        for number, own in enumerate(unseen):  # the likeliest first: with any mistake here, the others with the same
            last = kind_of(own.steps[-1][0][0]) if own.steps else None
            here = [slip for slip in derivatives if number < ARRIVALS or kind_of(slip) == last]
            sent = _sent_back(search, own, layer, None, early="") if here else None
            tried += [] if sent is None else through(search, sent[0], here, layer, sent[1])
    return _kept(search, right, tried, layer, [(own, ct) for own, ct in first])


def _one_of_each(arrivals: Sequence[tuple[Chain, Array]]) -> list[tuple[Chain, Array]]:
    """The likeliest of those that differ in the variant of a mistake alone."""
    first: dict[tuple[str, int], tuple[Chain, Array]] = {}
    for own, ct in sorted(arrivals, key=lambda one: one[0].cost):
        first.setdefault((own.steps[-1][0][0].id, len(own.early)), (own, ct))
    return list(first.values())


def _sent_back(search: Search, chain: Chain, layer: int, slip: Slip | None, early: str) -> tuple[Chain, Array] | None:
    """What the layer above sends to a layer: the program, and the cotangent."""
    above = layer + 1
    if slip is not None:
        if is_fitted(slip):
            return None
        changed = applied(chain.program, slip)
        if changed is None:
            return None
        chain = with_step(chain._replace(program=changed, ct_a=arriving(changed, chain, above)), (slip,))
    view = view_at(chain, above)
    if early:
        weights, bias = _updated(search, chain, above, early)
        view = view._replace(weights=weights, bias=bias)
        cost = AGAIN if chain.early else cost_of("updated-weights-used")
        chain = chain._replace(early=(*chain.early, above), cost=chain.cost + cost)
    return _with_cotangent(chain, view, above)


def _with_cotangent(chain: Chain, view: LayerView, above: int) -> tuple[Chain, Array] | None:
    """A program, and what a layer of it sends back that sees this; None if it is no cotangent of its inputs."""
    ct_a = attempted(chain.program.stages[above].previous_cotangent, view, chain.ct_z)
    return None if ct_a is None or np.shape(ct_a) != view.a_prev.shape else (chain, ct_a)


def _sent_back_by_gradient(search: Search, chain: Chain, layer: int, mistake_id: str) -> tuple[Chain, Array] | None:
    """What the layer above sends to a layer where the gradient that it was given stands for its weights."""
    above = layer + 1
    slip = Slip(mistake_id, above)
    given = next((one.given for one in search.observed.get(above, ()) if one.kind == "weights"), None)
    if given is None or slip not in search.alternatives.previous[above]:
        return None
    return _with_cotangent(with_step(chain, (slip,)), view_at(chain, above)._replace(weights=given), above)


def _updated(search: Search, chain: Chain, layer: int, early: str) -> tuple[Array, Array | None]:
    """The parameters of a layer after the step: those that were given, or those of the program's own gradient."""
    assert search.after is not None
    if early == "as given":
        return search.after[layer]
    weights, bias = chain.program.params[layer]
    loss, rate = search.prepared.case.loss, search.constants.rate or 0.0
    view, delta = view_at(chain, layer), weighted(chain, chain.ct_z)
    step = chain.program.stages[layer].weights_cotangent(view, delta)
    if loss is not None:
        step = step + loss.l2 * weights + loss.l1 * np.sign(weights)
    moved = None if bias is None else bias - rate * chain.program.stages[layer].bias_cotangent(view, delta)
    return weights - rate * step, moved


def _with_inputs(search: Search, chain: Chain) -> Chain:
    """A program with the cotangent of the inputs explained, or not."""
    [observed] = search.observed[-1]
    choices = (None, *search.alternatives.previous[0])
    best: Chain | None = None
    for slip in choices:
        sent = _sent_back(search, chain, -1, slip, early="")
        if sent is None:
            continue
        own, ct = sent
        fit = fit_of(observed, np.asarray(ct, np.float64))
        if fit is None:
            continue
        cost = own.cost + cost_of_fit(search, own.explained, observed, fit)
        explained = {**own.explained, observed.path: Explained(observed, ct, fit)}
        if best is None or cost < best.cost:
            best = own._replace(explained=explained, cost=cost)
        if slip is None:
            break
    if best is None:
        more = UNEXPLAINED if observed.wrong else 0.0
        return chain._replace(unexplained=(*chain.unexplained, observed.path), cost=chain.cost + more)
    return best


# what is kept


def _settled(search: Search, tried: Sequence[Chain], layer: int) -> bool:
    """Whether one of these programs explains all arrays of a layer beyond chance."""
    observed = search.observed.get(layer, ())
    return any(chain.explains(observed) == len(observed) and _is_sure(chain, layer) for chain in tried)


def _explains_well(search: Search, chain: Chain, layer: int) -> bool:
    """Whether it explains all arrays of a layer, and none by a factor that means nothing."""
    own = _at(chain, layer)
    return len(own) == len(search.observed.get(layer, ())) and not any(is_odd(search, one) for one in own)


def _with_zeros(chain: Chain, layer: int) -> tuple[bool, ...]:
    """Whether sums are tried of biases that are 0: with and without, where there is one."""
    return (True, False) if any(one.fit.factor == 0 and one.observed.wrong for one in _at(chain, layer)) else (True,)


def _at(chain: Chain, layer: int) -> list[Explained]:
    """The arrays of a layer that it explains."""
    return [one for one in chain.explained.values() if one.observed.layer == layer]


def _digits(chain: Chain, layer: int) -> float:
    """Decimal digits by which it explains the arrays of a layer, besides those of numbers that were fitted there."""
    own, top = _at(chain, layer), len(chain.program.stages) - 1
    met = {slip for step in chain.steps for slip in step[0] if layer == (top if slip.layer is None else slip.layer)}
    fitted = any(slip.value is not None and MISTAKES[slip.id].parameter is not None for slip in met)
    of_a_number = max((one.observed.digits(0) / max(one.observed.numbers, 1) for one in own), default=0.0)
    return sum(one.observed.digits(one.fit.free) for one in own) - fitted * of_a_number


def _is_sure(chain: Chain, layer: int) -> bool:
    return _digits(chain, layer) >= SURE


def _kept(
    search: Search,
    right: Chain,
    tried: Sequence[Chain],
    layer: int,
    arrivals: Sequence[tuple[Chain, Array]] = (),
) -> list[Chain]:
    """Those that explain more than the program without a mistake there, and that one; alike ones made one."""
    observed = search.observed.get(layer, ())
    odd = not _explains_well(search, right, layer)

    def is_better(chain: Chain) -> bool:
        more = chain.explains(observed) > right.explains(observed) or chain.cost < right.cost
        shown = any(one.fit.factor != 0 for one in _at(chain, layer))  # zeros show nothing
        return shown and _is_sure(chain, layer) and (more or (odd and _explains_well(search, chain, layer)))

    better = [chain for chain in tried if chain is not right and is_better(chain)]
    if not any(one.fit.factor != 0 and one.observed.digits(one.fit.free) >= SURE for one in _at(right, layer)):
        others = [chain for chain in tried if chain is not right]
        telling = any(one.path in right.unexplained and one.digits(0) >= SURE for one in observed)
        most = MOST_WITH_SUMS if telling else MOST_UNSEEN  # if they tell, more than one mistake is at work here
        right = right._replace(unseen=tuple(sorted(others, key=lambda chain: chain.cost)[:most]))
    found = _alike_joined([right, *better], layer)
    found.sort(key=lambda chain: chain.cost)
    found = found[:WIDTH]
    if not any(_explains_well(search, chain, layer) for chain in found):
        likeliest = sorted(tried, key=lambda chain: chain.cost)[:MOST_UNEVEN]
        uneven = (with_uneven_samples(search, chain, layer) for chain in likeliest)
        found = sorted([*filter(None, uneven), *found], key=lambda chain: chain.cost)[:WIDTH]
    oddly = [chain for chain in found if chain is not right and any(is_odd(search, one) for one in _at(chain, layer))]
    summed_wrongly = [
        with_sums(search, chain, layer, zeros=zeros) for chain in (right, *oddly) for zeros in _with_zeros(chain, layer)
    ]
    if not any(chain.explains(observed) == len(observed) for chain in found):
        summed_wrongly += [with_sums(search, chain, layer) for chain in found[: SURE_OF_SUMS + 1] if chain is not right]
        others = [own for own in (reached(search, one, layer, ct) for one, ct in arrivals[1:]) if own is not None]
        summed_wrongly += [with_sums(search, chain, layer) for chain in others]
    if not any(chain.explains(observed) for chain in (*found, *filter(None, summed_wrongly))):
        likeliest = sorted(tried, key=lambda chain: chain.cost)[:MOST_WITH_SUMS]
        summed_wrongly += [with_sums(search, chain, layer) for chain in likeliest]
    if any(own is not None for own in summed_wrongly):
        found = sorted([*filter(None, summed_wrongly), *found], key=lambda chain: chain.cost)[:WIDTH]
    return found


def _alike_joined(found: Sequence[Chain], layer: int) -> list[Chain]:
    """Programs with the same numbers, in the layer that was reached and below, as one: their last mistakes together."""
    joined: list[Chain] = []
    for chain in sorted(found, key=lambda chain: chain.cost):
        for number, other in enumerate(joined):
            if _are_alike(chain, other, layer):
                step = (*other.steps[-1], *chain.steps[-1])
                joined[number] = other._replace(steps=(*other.steps[:-1], tuple(dict.fromkeys(step))))
                break
        else:
            joined.append(chain)
    return joined


def _are_alike(one: Chain, other: Chain, layer: int) -> bool:
    """Whether two programs differ in their last mistakes alone, and go on with the same numbers."""
    if len(one.steps) != len(other.steps) or not one.steps or one.steps[:-1] != other.steps[:-1]:
        return False
    if one.early != other.early or one.explained.keys() != other.explained.keys() or one.sums != other.sums:
        return False
    if _is_forward(one.steps[-1][0]) or _is_forward(other.steps[-1][0]):
        return False
    return _are_near(one.ct_z, other.ct_z) and _send_the_same(one, other, layer)


def _send_the_same(one: Chain, other: Chain, layer: int) -> bool:
    """Whether they send the same back: a mistake may be made on both sides of the sums."""
    first, second = (_with_cotangent(chain, view_at(chain, layer), layer) for chain in (one, other))
    if first is None or second is None:
        return first is second
    return _are_near(first[1], second[1])


def _are_near(one: Array, other: Array) -> bool:
    """Whether two cotangents are one, but for the order of operations."""
    size = float(np.max(np.abs(one), initial=0.0))
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=1e-12, atol=1e-14 * size))
