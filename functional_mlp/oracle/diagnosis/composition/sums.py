"""Mistakes in the sums of single arrays, and with the gradients of several layers, beside those on the way back."""

from collections.abc import Sequence

import numpy as np

from functional_mlp.backward_pass import Cotangents
from functional_mlp.network import Dense
from functional_mlp.oracle.diagnosis.composition.alternatives import applied, is_fitted
from functional_mlp.oracle.diagnosis.composition.chain import (
    AGAIN,
    UNEXPLAINED,
    Chain,
    Search,
    arriving,
    attempted,
    cost_of_fit,
    fits_of,
    gradient_of,
    kind_of,
    summed,
    weighted,
)
from functional_mlp.oracle.diagnosis.composition.constants import cost_of
from functional_mlp.oracle.diagnosis.composition.fits import Explained, Fit, Observed, fit_of
from functional_mlp.oracle.mistakes import MISTAKES, Slip, view_of

SURE = 6.0  # decimal digits by which an array, or those of a layer, must agree for a mistake there to be found


def with_sums(search: Search, chain: Chain, layer: int, *, zeros: bool = True) -> Chain | None:
    """A program with those arrays of a layer explained that a mistake in their own sums explains; None if none does.

    Of arrays that are explained by a factor which means nothing, another explanation is looked for.

    Args:
        search: what is searched.
        chain: that has reached the layer.
        layer: the layer.
        zeros: whether also of biases that are 0, most of which were never computed.
    """
    found = chain
    for observed in search.observed.get(layer, ()):
        known = chain.explained.get(observed.path)
        if observed.kind == "delta" or (known is not None and not is_odd(search, known)):
            continue
        if known is not None and known.fit.factor == 0 and observed.kind == "bias" and not zeros:
            continue
        explained = _by_sums(search, found, layer, observed)
        if explained:
            found = _with_sum(search, found, observed, explained)
    return None if found is chain else found


def is_odd(search: Search, explained: Explained) -> bool:
    """Whether an array is explained by a fitted number that means nothing in particular, or is wrongly 0."""
    fit = explained.fit
    if fit.factor == 0:
        return explained.observed.wrong
    return fit.free > 0 and fit.factor != 1 and not search.constants.meaning_of(fit.factor, fit.doubt)


def _by_sums(search: Search, chain: Chain, layer: int, observed: Observed) -> list[tuple[Slip, Explained]]:
    """The mistakes in the sums of an array that explain it, the likeliest first."""
    found, faint = _by_each_sum(search, chain, layer, observed)
    if not found and _is_one_number_of_its_own(search, observed):
        fit = Fit(1.0, 0.0, 0.0, 0, 0.0)
        one_number = Slip("scalar-broadcast", layer, "weights" if observed.kind == "weights" else "bias-mean")
        found = faint or [(0.0, one_number, Explained(observed, observed.given, fit))]
    return [(slip, explained) for _, slip, explained in sorted(found, key=lambda one: one[0])]


Summed = tuple[float, Slip, Explained]  # what it costs, the mistake in a sum, and the array


def _by_each_sum(search: Search, chain: Chain, layer: int, observed: Observed) -> tuple[list[Summed], list[Summed]]:
    """The mistakes in the sums of an array that explain it, and those that do exactly, to digits that may be chance."""
    found: list[Summed] = []
    faint: list[Summed] = []
    fits = fits_of(chain.explained, observed.path)
    unchanged = gradient_of(chain, observed)
    least = 0 if observed.path in chain.explained else observed.given.size
    for slip in search.alternatives.sums[layer]:
        own = applied(chain.program, slip) if not is_fitted(slip) else None
        if own is None:
            continue
        view = view_of(own, layer)._replace(ct_a=arriving(own, chain, layer))
        returned = MISTAKES[slip.id].change.place_of(slip.variant) == "returned"
        for penalised in (True, False) if returned and (observed.l2 or observed.l1) else (False,):
            gradient = summed(own, view, observed, weighted(chain, chain.ct_z), penalised=penalised)
            if gradient is None or (unchanged is not None and np.array_equal(gradient, unchanged)):
                continue
            fit = fit_of(observed, gradient, fits)
            if fit is None or fit.factor == 0 or fit.free > least or not _says_more_than_a_bound(slip, observed):
                continue
            cost = cost_of(*kind_of(slip)) + cost_of_fit(search, chain.explained, observed, fit)
            if observed.digits(fit.free) >= SURE:
                found.append((cost, slip, Explained(observed, gradient, fit)))
            elif fit.free == 0 and fit.factor == 1:
                faint.append((cost, slip, Explained(observed, gradient, fit)))
            break
    return found, faint


def _is_one_number_of_its_own(search: Search, observed: Observed) -> bool:
    """Whether all entries of an array are one number, which no other array has: it is not a bound."""
    if not observed.is_one_number or observed.given.size < 3 or not observed.given.any():
        return False
    number = abs(observed.given.flat[0])
    others = (one for one in search.arrays if one.path != observed.path)
    return not any((np.abs(other.given) == number).any() for other in others)


def _says_more_than_a_bound(slip: Slip, observed: Observed) -> bool:
    """Whether some entries of an array are not just at the bound that was read off all arrays."""
    parameter = MISTAKES[slip.id].parameter
    if parameter is None or parameter.read is None:
        return True
    return bool((np.abs(observed.given) < np.abs(slip.value)).any())  # type: ignore[arg-type]


def _with_sum(search: Search, chain: Chain, observed: Observed, found: Sequence[tuple[Slip, Explained]]) -> Chain:
    """A program with an array explained by the likeliest of these, and by those with the same numbers."""
    _, best = found[0]
    alike = tuple((slip,) for slip, one in found if one.fit == best.fit)
    met = {kind_of(slip) for step in chain.sums.values() for (slip,) in step}
    again = any(kind_of(slip) in met for (slip,) in alike)
    cost = AGAIN if again else cost_of(*kind_of(alike[0][0]))
    cost += cost_of_fit(search, chain.explained, observed, best.fit)
    known = chain.explained.get(observed.path)
    before = UNEXPLAINED if known is None else cost_of_fit(search, {}, observed, known.fit)
    return chain._replace(
        sums={**chain.sums, observed.path: alike},
        explained={**chain.explained, observed.path: best},
        unexplained=tuple(path for path in chain.unexplained if path != observed.path),
        cost=chain.cost - before + cost,
    )


# what mixes the gradients of several layers


def with_gathered(search: Search, chain: Chain) -> Chain:
    """A program with those arrays explained that come of the cotangents of other layers."""
    depth = len(search.prepared.case.params)
    if not search.alternatives.gathered or len(chain.deltas) < depth:
        return chain
    params = []
    for layer in range(depth):
        view, delta = view_of(chain.program, layer), weighted(chain, chain.deltas[layer])
        stages = chain.program.stages[layer]
        params.append(Dense(stages.weights_cotangent(view, delta), stages.bias_cotangent(view, delta)))
    deltas = tuple(chain.deltas[layer] for layer in range(depth))
    for slip in search.alternatives.gathered:
        own = applied(chain.program, slip)
        if own is None:
            continue
        pulled = attempted(own.gathered, Cotangents(tuple(params), None, deltas))  # type: ignore[arg-type]
        chain = chain if pulled is None else _with_arrays(search, chain, slip, pulled.params)
    return chain


def _with_arrays(search: Search, chain: Chain, slip: Slip, params: Sequence[Dense]) -> Chain:
    """A program with those arrays explained that are these; where others explain them already, as another reading."""
    for observed in search.arrays:
        if observed.parameter is None or not (observed.path in chain.unexplained or observed.path in chain.sums):
            continue
        gradient = getattr(params[observed.layer], observed.kind)
        fits = fits_of(chain.explained, observed.path)
        fit = None if gradient is None else fit_of(observed, np.asarray(gradient, np.float64), fits)
        if fit is None or observed.digits(fit.free) < SURE or fit.factor == 0:
            continue
        if observed.path in chain.sums:
            if fit == chain.explained[observed.path].fit:
                sums = {**chain.sums, observed.path: (*chain.sums[observed.path], (slip,))}
                chain = chain._replace(sums=sums)
            continue
        chain = _with_sum(search, chain, observed, [(slip, Explained(observed, np.asarray(gradient, np.float64), fit))])
    return chain
