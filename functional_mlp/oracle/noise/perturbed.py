"""Perturbed passes: what the rounding of every operation does to everything that a program computes.

Every result is perturbed by amplitude * (e1 + e2 + e3 / 4), as the model in `floors.py` says, in `RUNS` passes side by
side. The passes keep the derivatives of the side of a kink on which the true pass is.

Dimension letters: r runs side by side, n samples, K outputs. Everything is NumPy float64.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.activations import Activation, numpy_value, numpy_vjp
from functional_mlp.losses import KINDS
from functional_mlp.oracle.case import Case, parameter_of, parse_path
from functional_mlp.oracle.noise.elementary import kink_positions
from functional_mlp.oracle.noise.precision import Precision
from functional_mlp.oracle.noise.sites import OF_ALL, RoundingSite, Survey, is_fused, penalty_of
from functional_mlp.oracle.truth import Solution, computing

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


class Measured(NamedTuple):
    """What is looked at in a perturbed pass, or the standard deviation that rounding gives to it."""

    loss: Any
    outputs: Any
    pre_activations: Any
    deltas: Any
    grads: Any
    ct_inputs: Any


def strayed(case: Case, solution: Solution, precision: Precision, surveyed: Survey) -> Measured:
    """The standard deviation that rounding gives to everything measured, from `RUNS` perturbed passes."""
    magnify = _magnification(case, solution, precision, surveyed)
    sites = surveyed.sites
    entries = sum(site.amplitude.size for site in sites.values()) + sum(
        leaf.size for layer in case.params for leaf in layer if leaf is not None
    )
    together = next(size for size in DIVISORS if size * entries <= TOGETHER or size == 1)
    salts = np.random.default_rng(SEED).integers(2**32, size=(RUNS // together, together, 3), dtype=np.uint32)
    truth = _truth(case, solution, surveyed)
    total: Any = None
    with computing(case.network):
        for salt in salts:
            errors = {name: _error(site, magnify * site.amplitude, salt) for name, site in sites.items()}
            far = _distances(_perturbed(case, solution.pre_activations, errors), truth)
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


def _truth(case: Case, solution: Solution, surveyed: Survey) -> Measured:
    grads = tuple(
        (weights.total, None if layer.bias is None else bias.total[0])
        for layer, weights, bias in zip(case.params, surveyed.weights, surveyed.bias, strict=True)
    )
    value = np.zeros(()) if solution.loss is None else np.asarray(solution.loss - penalty_of(case))
    return Measured(value, solution.outputs, solution.pre_activations, solution.deltas, grads, solution.ct_inputs)


def _distances(perturbed: Measured, truth: Measured) -> Measured:
    """|perturbed - true| summed over the runs."""

    def distance(there: Array, true: Array) -> Array:
        apart = np.subtract(there, true)
        total: Array = np.abs(apart, out=apart).sum(axis=0)
        return total

    measured: Measured = jax.tree.map(distance, perturbed, truth)
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
        passes = _perturbed(case, None if flips else solution.pre_activations, errors)
    gradients: dict[str, Array] = {}
    for path, (layer, field) in places.items():
        pair, is_bias = passes.grads[layer], field == "bias"
        gradients[path] = pair[is_bias]
        if case.loss is not None and case.loss.l2 and (not is_bias or case.loss.l2_on_bias):
            gradients[path] = gradients[path] + case.loss.l2 * (parameter_of(case, path) + moved[path])
    return gradients


def _perturbed(case: Case, true_z: tuple[Array, ...] | None, errors: dict[str, Array]) -> Measured:
    """Passes, side by side, in which the operations of these names err by so much.

    Units keep the derivatives of the side of a kink on which `true_z` has them, if that is given.
    """

    def noisy(value: Any, name: str) -> Any:
        return value + errors[name] if name in errors else value

    layers = range(len(case.params))
    weights = [noisy(layer.weights, f"weights[{i}]") for i, layer in enumerate(case.params)]
    a, activations, pre_activations = noisy(case.inputs, "inputs"), [], []
    a = np.broadcast_to(a, (next(iter(errors.values())).shape[0], *case.inputs.shape)) if errors else a[None]
    before = [a]
    for i, activation, layer in zip(layers, case.network.activations, case.params, strict=True):
        z = _product(a, weights[i])
        if layer.bias is not None:
            z = z + noisy(layer.bias, f"bias[{i}]")[..., None, :]
        z = noisy(z, f"z[{i}]")
        a = noisy(numpy_value(activation, z), f"a[{i}]")
        pre_activations.append(z)
        activations.append(a)
        before.append(a)
    value, ct = _end(case, pre_activations[-1], a, noisy, None if true_z is None else true_z[-1])
    deltas, grads = [], []
    for i in reversed(layers):
        activation, z = case.network.activations[i], pre_activations[i]
        if not (i == layers[-1] and is_fused(case)):
            if true_z is not None:
                z = _on_the_sides_of(true_z[i], z, activation)
            ct = numpy_vjp(activation, z, activations[i], ct)
        ct = noisy(ct, f"delta[{i}]")
        deltas.append(ct)
        bias = None if case.params[i].bias is None else ct.sum(axis=1)
        grads.append((np.matmul(before[i].transpose(0, 2, 1), ct), bias))
        ct = noisy(_product(ct, np.swapaxes(weights[i], -1, -2)), f"before[{i}]")
    return Measured(value, a, tuple(pre_activations), tuple(deltas[::-1]), tuple(grads[::-1]), ct)


def _on_the_sides_of(true_z: Array, z: Array, activation: Activation) -> Array:
    """Pre-activations (r, n, n_l), those that are on another side of a kink than the true ones replaced by these."""
    for position in kink_positions(activation):
        z = np.where(np.sign(z - position) == np.sign(true_z - position), z, true_z)
    return z


def _product(left: Array, right: Array) -> Array:
    """left (r, n, k) @ right (k, m), or (r, k, m)."""
    if right.ndim == 3:
        return np.matmul(left, right)
    product: Array = (np.ascontiguousarray(left).reshape(-1, left.shape[-1]) @ right).reshape(*left.shape[:-1], -1)
    return product


def _end(case: Case, z: Array, outputs: Array, noisy: Any, true_z: Array | None) -> tuple[Any, Array]:
    """The loss (r,) and what it hands over to the backward pass (r, n, K); `true_z` chooses the side of its kinks."""
    loss, runs = case.loss, len(z)
    if loss is None:
        return np.zeros(runs), np.broadcast_to(noisy(case.ct_outputs, "ct_outputs"), outputs.shape)
    of_logits = loss.on_logits(case.network.activations[-1])
    computed, seen = (loss, outputs) if of_logits is None else (of_logits, z)
    targets = np.broadcast_to(noisy(case.targets, "targets"), outputs.shape)
    flat = (runs * len(case.inputs), outputs.shape[-1])
    terms, derivatives = (
        part.reshape(outputs.shape) for part in computed.terms(seen.reshape(flat), targets.reshape(flat))
    )
    if KINDS[computed.kind].piecewise_linear and true_z is not None:
        side = computed.terms(numpy_value(case.network.activations[-1], true_z), np.asarray(case.targets))[1]
        derivatives = np.broadcast_to(side, outputs.shape)
    coefficients = loss.coefficients(np.asarray(case.targets), case.sample_weights, np.float64, np)
    counted = coefficients != 0
    value = np.where(counted, coefficients * terms, 0.0).sum(axis=(1, 2))
    return value, noisy(np.where(counted, coefficients * derivatives, 0.0), "end")
