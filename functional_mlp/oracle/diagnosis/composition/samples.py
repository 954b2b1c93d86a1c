"""Samples that do not count alike: one weight for each, fitted to all arrays at once."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.diagnosis.composition.chain import UNEXPLAINED, Chain, Search, judged, summed, weighted
from functional_mlp.oracle.diagnosis.composition.constants import FITTED, UNNAMED, Part, cost_of, part, total
from functional_mlp.oracle.diagnosis.composition.fits import (
    MOST_WORK,
    SPAN,
    Explained,
    Fit,
    Observed,
    agrees,
    fit_of,
    made_by,
    of_each_sample,
)
from functional_mlp.oracle.mistakes import view_of

SURE = 8.0  # decimal digits beyond those of the weights by which arrays must agree
UNSEEN = 1e-10  # relative: the contribution of a sample whose weight cannot be told
NEAR = 0.01  # of a whole number
MOST_TIMES = 2  # times the number of samples: how often one sample may count
DRIFT = 1e-4  # relative: how far the parameters may have moved while samples were added, if the weights are whole


class Uneven(NamedTuple):
    """Weights of samples that explain some arrays.

    Attributes:
        parts: the mistakes.
        made: the arrays, by path.
    """

    parts: tuple[Part, ...]
    made: dict[str, Array]


def with_uneven_samples(search: Search, chain: Chain, layer: int) -> Chain | None:
    """A program whose samples count as explains all arrays of the layer that it has reached; None if none do."""
    at = [one for one in search.observed.get(layer, ()) if one.parameter is not None]
    if chain.samples is not None or search.constants.samples < 2:
        return None
    shown = [one for one in at if one.given.any()]
    for used in (shown, [one for one in shown if one.kind == "weights"]):  # biases may be scaled besides
        found = _with_weights_of(search, chain, layer, at, used) if used else None
        if found is not None:
            return _judged_again(search, found)
    return None


def _with_weights_of(
    search: Search, chain: Chain, layer: int, at: Sequence[Observed], used: Sequence[Observed]
) -> Chain | None:
    weights = _weights(chain, used, most_off=SPAN)
    if weights is None or not _beyond_chance(used, len(weights), 0.0) or _are_even(used, weights):
        return None
    fractions = not chain.steps  # another loss multiplies each sample by a number as well
    if not parts_of(search, weights, max(one.relative for one in used), fractions=fractions):
        return None
    paths = {one.path for one in at}
    start = chain._replace(
        explained={path: one for path, one in chain.explained.items() if path not in paths},
        unexplained=tuple(path for path in chain.unexplained if path not in paths),
        samples=weights,
        cost=chain.cost - UNEXPLAINED * sum(path in chain.unexplained for path in paths),
    )
    found = judged(search, start._replace(cost=start.cost + cost_of("samples-weighted-unevenly") + FITTED), layer)
    own = [found.explained.get(one.path) for one in used]
    exact = all(one is not None and one.fit.free == 0 and one.fit.factor == 1 for one in own)
    return found if exact and paths <= found.explained.keys() else None


def _judged_again(search: Search, chain: Chain) -> Chain:
    """A program whose samples were found to count unevenly, with the arrays explained that could not show it before."""
    for observed in search.arrays:
        if observed.path not in chain.unexplained or observed.parameter is None:
            continue
        view = view_of(chain.program, observed.layer)
        gradient = summed(chain.program, view, observed, weighted(chain, chain.deltas[observed.layer]))
        fit = None if gradient is None else fit_of(observed, gradient)
        if fit is not None and gradient is not None and fit.free == 0:
            chain = chain._replace(
                explained={**chain.explained, observed.path: Explained(observed, gradient, fit)},
                unexplained=tuple(path for path in chain.unexplained if path != observed.path),
                cost=chain.cost - UNEXPLAINED,
            )
    return chain


def sample_weights(search: Search, chain: Chain) -> Iterator[Array]:
    """Weights of samples by which a program has all its arrays, or those of weights, beside any penalty.

    Those that conventions give together with whole numbers of times alone.
    """
    every = [one for one in search.arrays if one.parameter is not None and one.layer in chain.deltas]
    if search.constants.samples < 2 or not every:
        return
    for used in (every, [one for one in every if one.kind == "weights"]):
        for any_penalty in (False, True):
            weights = _weights(chain, used, any_penalty=any_penalty)
            if weights is None or not _beyond_chance(used, len(weights), 0.0) or _are_even(used, weights):
                continue
            if parts_of(search, weights, max(one.relative for one in used)):
                yield weights


def uneven_samples(search: Search, chain: Chain) -> Uneven | None:
    """The weights of samples by which a program has all its arrays, while its parameters moved a little; or None."""
    samples = search.constants.samples
    observed = [one for one in search.arrays if one.parameter is not None]
    if samples < 2 or any(one.layer not in chain.deltas for one in observed):
        return None
    fitted = _weights(chain, observed)
    if fitted is None:
        return None
    weights = np.round(fitted)
    if np.abs(fitted - weights).max() > NEAR or not _beyond_chance(observed, samples, DRIFT) or np.ptp(weights) == 0:
        return None
    made = {one.path: _made(chain, one, weights) for one in observed}
    if not all(agrees(replace(one, relative=max(one.relative, DRIFT)), made[one.path]) for one in observed):
        return None
    return Uneven(parts_of(search, weights, DRIFT), made)


def parts_of(search: Search, weights: Array, relative: float, *, fractions: bool = False) -> tuple[Part, ...]:
    """The mistakes by which samples have these weights: conventions that multiply all of them, and which count how.

    () if they are no whole numbers of times, which are asked for, or one number decides of each sample: any error at
    the output is so.
    """
    places, known = np.arange(len(weights)), {}
    known["sample-count-off-by-one", "first-skipped"] = places > 0
    known["sample-count-off-by-one", "last-skipped"] = places < len(weights) - 1
    known["overwritten", "last-sample"] = places == len(weights) - 1
    if search.constants.outputs == 1 and np.count_nonzero(weights) == 1:
        weights = weights / weights.sum()  # one number of one sample: any error at the output multiplies everything
    found: list[tuple[Part, ...]] = []
    for factor, conventions in ((1.0, ()), *search.constants.products):
        own = weights / factor
        near = np.round(own)
        if np.abs(own - near).max() > 64 * max(relative, 1e-12) * np.abs(own).max() or not near.any() or near.min() < 0:
            continue
        if np.ptp(near) == 0 or near.max() > MOST_TIMES * len(near):
            continue
        pattern = next((key for key, counts in known.items() if np.array_equal(near, counts)), None)
        how = _unevenly(near) if pattern is None else part(pattern[0], (), pattern[1])
        multiple = UNNAMED * (np.gcd.reduce(np.abs(near).astype(int)) > 1)
        found.append((*conventions, how._replace(cost=how.cost + multiple)))
    if not found and fractions and not search.constants.one_number_each:
        found.append((_unevenly(weights, more=UNNAMED),))
    return min(found, key=total, default=())


def _unevenly(weights: Array, more: float = 0.0) -> Part:
    return part("samples-weighted-unevenly", value=tuple(map(float, weights)), more=FITTED + more)


def _made(chain: Chain, observed: Observed, weights: Array) -> Array:
    gradient = (_per_sample(chain, observed) @ weights).reshape(observed.given.shape)
    return made_by(observed, gradient, Fit(1.0, observed.l2, observed.l1, 0, 0.0))


def _beyond_chance(observed: Sequence[Observed], free: int, drift: float) -> bool:
    """Whether arrays that agree have digits enough besides those of the weights."""
    relative = max(drift, *(one.relative for one in observed))
    entries = sum(one.numbers for one in observed)
    return (entries - free) * -np.log10(min(max(relative, 1e-16), 1.0)) >= SURE


def _are_even(observed: Sequence[Observed], weights: Array) -> bool:
    return bool(np.ptp(weights) <= 64 * max(one.relative for one in observed) * np.abs(weights).max())


def _per_sample(chain: Chain, observed: Observed) -> Array:
    inputs = chain.program.inputs_of_layers[observed.layer]
    return of_each_sample(inputs, chain.deltas[observed.layer], observed.kind)


def _weights(
    chain: Chain, observed: Sequence[Observed], *, any_penalty: bool = False, most_off: float = np.inf
) -> Array | None:
    """The weights that fit some arrays best, beside the declared penalty or any; None if these do not determine them.

    Nor if an entry is further off than `most_off` of what its array is allowed. Samples that contribute nothing to any
    of them are taken to count as most others do.
    """
    entries, samples = sum(one.given.size for one in observed), max((one.samples for one in observed), default=0)
    if not samples < entries or entries * samples**2 > MOST_WORK:
        return None
    rows, given = [], []
    for one in observed:
        unit = max(float(one.allowed.max()), one.relative * float(np.abs(one.given).max()), 1e-300)
        each, own = _per_sample(chain, one) / unit, (one.given - one.penalty).ravel() / unit
        if any_penalty:
            each, own = np.stack([one.without_penalties(column) for column in each.T], 1), one.without_penalties(own)
        rows.append(each)
        given.append(own)
    basis = np.concatenate(rows)
    if not np.isfinite(basis).all() or len(basis) <= basis.shape[1]:
        return None
    sizes = np.linalg.norm(basis, axis=0)
    seen = sizes > UNSEEN * sizes.max(initial=0.0)
    wanted = np.concatenate(given)
    solution, _, rank, _ = np.linalg.lstsq(basis[:, seen], wanted, rcond=UNSEEN)
    if np.abs(wanted - basis[:, seen] @ solution).max() > most_off:
        return None
    if rank < np.count_nonzero(seen) or not rank or not np.isfinite(solution).all():
        return None
    weights: Array = np.full(len(seen), np.sort(solution)[len(solution) // 2])
    weights[seen] = solution
    return weights
