"""Samples that do not count alike: one weight for each, fitted to all arrays at once."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.diagnosis.composition.chain import UNEXPLAINED, Chain, Search, judged, plain_number
from functional_mlp.oracle.diagnosis.composition.constants import FITTED, UNNAMED, Part, cost_of, part, total
from functional_mlp.oracle.diagnosis.composition.fits import Fit, Observed, agrees, made_by

SURE = 8.0  # decimal digits beyond those of the weights by which arrays must agree
NEAR = 0.01  # of a whole number
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
    observed = [one for one in search.observed.get(layer, ()) if one.parameter is not None]
    if chain.samples is not None or search.constants.samples < 2 or not observed:
        return None
    weights = _weights(chain, observed)
    if weights is None or not _beyond_chance(observed, len(weights), 0.0) or _are_even(observed, weights):
        return None
    paths = {one.path for one in observed}
    start = chain._replace(
        explained={path: one for path, one in chain.explained.items() if path not in paths},
        unexplained=tuple(path for path in chain.unexplained if path not in paths),
        samples=weights,
        cost=chain.cost - UNEXPLAINED * sum(path in chain.unexplained for path in paths),
    )
    found = judged(search, start._replace(cost=start.cost + cost_of("samples-weighted-unevenly") + FITTED), layer)
    exact = (one.fit.free == 0 and one.fit.factor == 1 for path, one in found.explained.items() if path in paths)
    return found if paths <= found.explained.keys() and all(exact) else None


def uneven_samples(search: Search, chain: Chain) -> Uneven | None:
    """The weights of samples by which a program has all its arrays, while its parameters moved a little; or None."""
    samples = search.constants.samples
    observed = [one for layer in search.observed.values() for one in layer if one.parameter is not None]
    if samples < 2 or any(one.layer not in chain.deltas for one in observed):
        return None
    fitted = _weights(chain, observed)
    if fitted is None:
        return None
    weights = np.round(fitted)
    if np.abs(fitted - weights).max() > NEAR or not _beyond_chance(observed, samples, DRIFT) or np.ptp(weights) == 0:
        return None
    made = {one.path: _made(chain, one, weights) for one in observed}
    if not all(agrees(one._replace(relative=max(one.relative, DRIFT)), made[one.path]) for one in observed):
        return None
    return Uneven(parts_of(search, weights, DRIFT), made)


def parts_of(search: Search, weights: Array, relative: float) -> tuple[Part, ...]:
    """The mistakes by which samples have these weights: conventions that multiply all of them, and which count how."""
    places, known = np.arange(len(weights)), {}
    known["sample-count-off-by-one", "first-skipped"] = places > 0
    known["sample-count-off-by-one", "last-skipped"] = places < len(weights) - 1
    known["overwritten", "last-sample"] = places == len(weights) - 1
    found: list[tuple[Part, ...]] = []
    for factor, conventions in ((1.0, ()), *search.constants.products):
        own = weights / factor
        near = np.round(own)
        if np.abs(own - near).max() > 64 * max(relative, 1e-12) * np.abs(own).max() or not near.any():
            continue
        pattern = next((key for key, counts in known.items() if np.array_equal(near, counts)), None)
        how = _unevenly(near) if pattern is None else part(pattern[0], (), pattern[1])
        multiple = UNNAMED * (np.gcd.reduce(np.abs(near).astype(int)) > 1)
        found.append((*conventions, how._replace(cost=how.cost + multiple)))
    others = _unevenly(np.array([plain_number(weight, 16 * relative) for weight in weights]))
    return min(found, key=total, default=(others,))


def _unevenly(weights: Array) -> Part:
    return part("samples-weighted-unevenly", value=tuple(map(float, weights)), more=FITTED)


def _made(chain: Chain, observed: Observed, weights: Array) -> Array:
    gradient = (_per_sample(chain, observed) @ weights).reshape(observed.given.shape)
    return made_by(observed, gradient, Fit(1.0, observed.l2, observed.l1, 0, 0.0))


def _beyond_chance(observed: Sequence[Observed], free: int, drift: float) -> bool:
    """Whether arrays that agree have digits enough besides those of the weights."""
    relative = max(drift, *(one.relative for one in observed))
    entries = sum(1 if one.is_one_number else one.given.size for one in observed)
    return (entries - free) * -np.log10(min(max(relative, 1e-16), 1.0)) >= SURE


def _are_even(observed: Sequence[Observed], weights: Array) -> bool:
    return bool(np.ptp(weights) <= 64 * max(one.relative for one in observed) * np.abs(weights).max())


def _per_sample(chain: Chain, observed: Observed) -> Array:
    """What each sample contributes to an array: (its entries, samples)."""
    delta = chain.deltas[observed.layer]
    if observed.kind == "bias":
        return delta.T
    inputs = chain.program.inputs_of_layers[observed.layer]
    return np.einsum("si,sj->ijs", inputs, delta).reshape(-1, len(delta))


def _weights(chain: Chain, observed: Sequence[Observed]) -> Array | None:
    """The weights that fit some arrays best; None if these do not determine them."""
    rows, given = [], []
    for one in observed:
        unit = max(float(one.allowed.max()), one.relative * float(np.abs(one.given).max()), 1e-300)
        penalty = made_by(one, np.zeros_like(one.given), Fit(1.0, one.l2, one.l1, 0, 0.0))
        rows.append(_per_sample(chain, one) / unit)
        given.append((one.given - penalty).ravel() / unit)
    basis = np.concatenate(rows)
    if not np.isfinite(basis).all() or len(basis) <= basis.shape[1]:
        return None
    solution, _, rank, _ = np.linalg.lstsq(basis, np.concatenate(given), rcond=1e-10)
    weights: Array = np.asarray(solution, np.float64)
    return weights if rank == basis.shape[1] and np.isfinite(weights).all() else None
