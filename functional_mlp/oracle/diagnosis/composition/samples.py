"""Samples that do not count alike: one weight for each, fitted to all arrays at once."""

from typing import NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.diagnosis.composition.chain import Chain, Search, plain_number
from functional_mlp.oracle.diagnosis.composition.constants import FITTED, Part, cost_of
from functional_mlp.oracle.diagnosis.composition.fits import Fit, Observed, agrees, made_by

SURE = 8.0  # decimal digits beyond those of the weights by which arrays must agree
DRIFT = 1e-4  # relative: how far the parameters may have moved while samples were added, if the weights are whole


class Uneven(NamedTuple):
    """Weights of samples that explain some arrays.

    Attributes:
        part: the mistake.
        made: the arrays, by path.
    """

    part: Part
    made: dict[str, Array]


def uneven_samples(search: Search, chain: Chain) -> Uneven | None:
    """The weights of samples by which a program has all its arrays, or all of its weights' gradients; None if none."""
    samples = search.constants.samples
    observed = [one for layer in search.observed.values() for one in layer if one.parameter is not None]
    if samples < 2 or any(one.layer not in chain.deltas for one in observed):
        return None
    for some in (observed, [one for one in observed if one.kind == "weights"]):
        if not any(one.wrong for one in some):
            continue
        weights = _weights(search, chain, some)
        found = None if weights is None else _with(search, chain, some, weights)
        if found is not None:
            return found
    return None


def _per_sample(chain: Chain, observed: Observed) -> Array:
    """What each sample contributes to an array: (its entries, samples)."""
    delta = chain.deltas[observed.layer]
    if observed.kind == "bias":
        return delta.T
    inputs = chain.program.inputs_of_layers[observed.layer]
    return np.einsum("si,sj->ijs", inputs, delta).reshape(-1, len(delta))


def _weights(search: Search, chain: Chain, observed: list[Observed]) -> Array | None:
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


def _with(search: Search, chain: Chain, observed: list[Observed], fitted: Array) -> Uneven | None:
    """These weights, or the whole numbers that they are near, if the arrays are theirs."""
    relative = max(one.relative for one in observed)
    digits = sum(one.given.size for one in observed) - len(fitted)
    exact = np.array([plain_number(weight, 16 * relative) for weight in fitted])
    near = np.where(np.abs(fitted - np.round(fitted)) < 0.01, np.round(fitted), np.nan)
    for weights, drift in ((fitted, 0.0), (exact, 0.0), (near, DRIFT)):
        made = {
            one.path: made_by(
                one,
                (_per_sample(chain, one) @ weights).reshape(one.given.shape),
                Fit(1.0, one.l2, one.l1, 0, 0.0),
            )
            for one in observed
        }
        allowed = max(relative, drift)
        if not all(
            agrees(one._replace(relative=max(one.relative, drift)), made[one.path], float(np.abs(fitted).max()))
            for one in observed
        ):
            continue
        if digits * -np.log10(min(max(allowed, 1e-16), 1.0)) < SURE or np.ptp(weights) <= 8 * allowed:
            continue
        shown = exact if drift == 0 else weights
        return Uneven(_part(shown, allowed), made)
    return None


def _part(weights: Array, allowed: float) -> Part:
    """The mistake by which samples have these weights."""
    skipped, last = "sample-count-off-by-one", "overwritten"
    places = np.arange(len(weights))
    known = {
        (skipped, "first-skipped"): places > 0,
        (skipped, "last-skipped"): places < len(weights) - 1,
        (last, "last-sample"): places == len(weights) - 1,
    }
    for (mistake_id, variant), own in known.items():
        if np.allclose(weights, own, rtol=0, atol=64 * allowed):
            return Part(mistake_id, (), variant, cost=cost_of(mistake_id))
    mistake_id = "samples-weighted-unevenly"
    return Part(mistake_id, (), None, tuple(map(float, weights)), (), cost_of(mistake_id) + FITTED)
