"""Perturbed passes: what the rounding of every operation does to everything that a program computes.

Every result is perturbed by amplitude * (e1 + e2 + e3 / 4), as the model in `floors.py` says, in `RUNS` passes side by
side. The passes keep the derivatives of the side of a kink on which the true pass is.

Dimension letters: r runs side by side, n samples, K outputs. Everything is NumPy float64.
"""

from typing import Any

import jax
import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.losses import KINDS
from functional_mlp.oracle.case import Case, parameter_of, parse_path
from functional_mlp.oracle.noise.elementary import kink_positions
from functional_mlp.oracle.noise.precision import Precision
from functional_mlp.oracle.noise.sites import OF_ALL, RoundingSite, Survey, penalty_of
from functional_mlp.oracle.truth import Passes, Sides, Solution, computing, is_fused, passes

RUNS = 32
DIVISORS = (32, 16, 8, 4, 2, 1)
TOGETHER = 2**19  # numbers in the runs that are computed side by side
SEED = 20261125
# float64 cannot be perturbed in float64: its noise is computed this much larger, where everything is linear, and
# divided again
FINEST = 2.0**-33
LINEAR = 1e-4  # so large may the noise of a pre-activation, or of a probability relative to it, become by that
# of an amplitude below this the last bits of a draw underflow: only what a whole array shares is drawn there
FAINT = 2.0**31 * float(np.finfo(np.float64).tiny)


def strayed(case: Case, solution: Solution, precision: Precision, surveyed: Survey) -> Passes:
    """The standard deviation that rounding gives to everything measured, from `RUNS` perturbed passes."""
    magnify = _magnification(case, solution, precision, surveyed)
    sites = surveyed.sites
    entries = sum(site.amplitude.size for site in sites.values()) + sum(
        leaf.size for layer in case.params for leaf in layer if leaf is not None
    )
    together = next(size for size in DIVISORS if size * entries <= TOGETHER or size == 1)
    salts = np.random.default_rng(SEED).integers(2**32, size=(RUNS // together, together, 3), dtype=np.uint32)
    truth, sides = _truth(case, solution, surveyed), _sides(case, solution)
    total: Any = None
    with computing(case.network):
        for salt in salts:
            errors = {name: _error(site, magnify * site.amplitude, salt) for name, site in sites.items()}
            far = _distances(passes(case, errors, sides)._replace(activations=()), truth)
            total = far if total is None else jax.tree.map(np.add, total, far)
    # of a normal distribution, sigma is sqrt(pi / 2) times the mean distance (and does not overflow as squares do)
    factor = 1.2533141373155 / magnify
    return jax.tree.map(lambda distance: np.nan_to_num(distance / RUNS, nan=np.inf) * factor, total)


def _magnification(case: Case, solution: Solution, precision: Precision, surveyed: Survey) -> float:
    """By how much the noise is computed too large, to be seen in float64."""
    largest = max(float(surveyed.amplitude(f"z[{layer}]").max()) for layer in range(len(case.params)))
    if case.loss is not None and KINDS[case.loss.kind].of_probabilities and not is_fused(case):
        o = np.maximum(np.minimum(solution.outputs, np.abs(1 - solution.outputs)), np.finfo(np.float64).tiny)
        largest = max(largest, float((surveyed.amplitude(f"a[{len(case.params) - 1}]") / o).max()))
    return max(1.0, min(FINEST / precision.storage.unit, LINEAR / largest if largest > 0 else np.inf))


def _truth(case: Case, solution: Solution, surveyed: Survey) -> Passes:
    grads = tuple(
        (weights.total, None if layer.bias is None else bias.total[0])
        for layer, weights, bias in zip(case.params, surveyed.weights, surveyed.bias, strict=True)
    )
    value = np.zeros(()) if solution.loss is None else np.asarray(solution.loss - penalty_of(case))
    layers = (solution.pre_activations, (), solution.deltas)  # of activations no noise is looked at
    return Passes(value, solution.outputs, *layers, grads, solution.ct_inputs)


def _sides(case: Case, solution: Solution) -> Sides:
    return Sides(solution.pre_activations, tuple(map(kink_positions, case.network.activations)))


def _distances(perturbed: Passes, truth: Passes) -> Passes:
    """|perturbed - true| summed over the runs."""

    def distance(there: Array, true: Array) -> Array:
        apart = np.subtract(there, true)
        total: Array = np.abs(apart, out=apart).sum(axis=0)
        return total

    measured: Passes = jax.tree.map(distance, perturbed, truth)
    return measured


def _uniform(keys: Any) -> Array:
    """A hash of uint32 keys, which it overwrites, as numbers uniform in (-1, 1): the same key, the same number."""
    keys *= np.uint32(0x85EBCA6B)
    keys ^= keys >> np.uint32(16)
    keys *= np.uint32(0xC2B2AE35)
    uniform: Array = keys.view(np.int32) * 2.0**-31
    return uniform


def _error(site: RoundingSite, amplitude: Array, salts: Any) -> Array:
    """The errors (r, …) of the results of a site in several runs, of salts (r, 3)."""
    own, alike = (_uniform(keys[None, :] ^ salts[:, i, None]) for i, keys in enumerate(site.keys))
    own += alike
    own[:, amplitude.ravel() < FAINT] = 0.0
    own += OF_ALL * _uniform(np.uint32(site.salt) ^ salts[:, 2, None])
    own *= amplitude.ravel()
    return own.reshape(len(salts), *amplitude.shape)


def perturbed_gradients(
    case: Case, solution: Solution, moved: dict[str, Array], *, flips: bool = False
) -> dict[str, Array]:
    """The gradients (r, …) at other parameters, by path, the penalty's included.

    Args:
        case, solution: the truth.
        moved: how far the parameters are off, (r, …) by path.
        flips: whether units may come to the other side of their kink; if not, they keep the derivatives of their own.
    """
    places = {path: parse_path(path)[1:] for path in moved}
    errors = {f"{field}[{layer}]": moved[path] for path, (layer, field) in places.items()}
    with computing(case.network):
        perturbed = passes(case, errors, None if flips else _sides(case, solution))
    gradients: dict[str, Array] = {}
    for path, (layer, field) in places.items():
        pair, is_bias = perturbed.grads[layer], field == "bias"
        gradients[path] = pair[is_bias]
        if case.loss is not None and case.loss.l2 and (not is_bias or case.loss.l2_on_bias):
            gradients[path] = gradients[path] + case.loss.l2 * (parameter_of(case, path) + moved[path])
    return gradients
