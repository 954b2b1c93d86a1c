"""Passes of a program in NumPy, forward and back, several side by side, in which operations may err.

Without errors it is the hand-written pass itself. Dimension letters: r runs side by side, n samples, K outputs.
Everything is NumPy float64; nothing is compiled.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.activations import numpy_value, numpy_vjp
from functional_mlp.losses import KINDS
from functional_mlp.oracle.case import Case


class Passes(NamedTuple):
    """What passes compute, without penalties; each array with an axis of the runs in front.

    Attributes:
        loss: (r,); zeros for a bare cotangent.
        outputs: a_L (r, n, n_L).
        pre_activations, activations: of each layer (r, n, n_l).
        deltas: ct_z of each layer (r, n, n_l).
        grads: per layer (weights (r, fan_in, fan_out), bias (r, fan_out) or None).
        ct_inputs: (r, n, n_0).
    """

    loss: Any
    outputs: Any
    pre_activations: Any
    activations: Any
    deltas: Any
    grads: Any
    ct_inputs: Any


class Sides(NamedTuple):
    """On which side of its kinks each unit is to be differentiated.

    Attributes:
        pre_activations: per layer (n, n_l), that are on that side.
        kinks: per layer, where its activation has them.
    """

    pre_activations: Sequence[Array]
    kinks: Sequence[tuple[float, ...]]


def is_fused(case: Case) -> bool:
    """Whether the loss takes the pre-activations of the output layer, so that its cotangent is that layer's delta."""
    return case.loss is not None and case.loss.on_logits(case.network.activations[-1]) is not None


def passes(case: Case, errors: Mapping[str, Array], sides: Sides | None = None) -> Passes:
    """Passes, side by side, in which the operations of these names err by so much, (r, …); one pass without any.

    Args:
        case: the question.
        errors: by operation: "inputs", "targets" or "ct_outputs", "weights[i]", "bias[i]", "z[i]", "a[i]", "end" (what
            the loss hands over), "delta[i]", "before[i]" (the cotangent sent on to what is before layer i).
        sides: of kinks, that are kept; None for those on which the passes are themselves.
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
    value, ct = _end(case, pre_activations[-1], a, noisy, sides)
    deltas, grads = [], []
    for i in reversed(layers):
        activation, z = case.network.activations[i], pre_activations[i]
        if not (i == layers[-1] and is_fused(case)):
            if sides is not None:
                z = _on_side(sides.pre_activations[i], z, sides.kinks[i])
            ct = numpy_vjp(activation, z, activations[i], ct)
        ct = noisy(ct, f"delta[{i}]")
        deltas.append(ct)
        bias = None if case.params[i].bias is None else ct.sum(axis=1)
        grads.append((np.matmul(before[i].transpose(0, 2, 1), ct), bias))
        ct = noisy(_product(ct, np.swapaxes(weights[i], -1, -2)), f"before[{i}]")
    on_the_way_back = tuple(deltas[::-1]), tuple(grads[::-1])
    return Passes(value, a, tuple(pre_activations), tuple(activations), *on_the_way_back, ct)


def _on_side(true_z: Array, z: Array, kinks: tuple[float, ...]) -> Array:
    """Pre-activations (r, n, n_l), those that are on another side of a kink than the true ones replaced by these."""
    for position in kinks:
        z = np.where(np.sign(z - position) == np.sign(true_z - position), z, true_z)
    return z


def _product(left: Array, right: Array) -> Array:
    """left (r, n, k) @ right (k, m), or (r, k, m)."""
    if right.ndim == 3:
        return np.matmul(left, right)
    product: Array = (np.ascontiguousarray(left).reshape(-1, left.shape[-1]) @ right).reshape(*left.shape[:-1], -1)
    return product


def _end(case: Case, z: Array, outputs: Array, noisy: Any, sides: Sides | None) -> tuple[Any, Array]:
    """The loss (r,) and what it hands over to the backward pass (r, n, K); `sides` chooses that of its kinks."""
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
    if KINDS[computed.kind].piecewise_linear and sides is not None:
        true = numpy_value(case.network.activations[-1], sides.pre_activations[-1])
        side = computed.terms(true, np.asarray(case.targets))[1]
        derivatives = np.broadcast_to(side, outputs.shape)
    coefficients = loss.coefficients(np.asarray(case.targets), case.sample_weights, np.float64, np)
    counted = coefficients != 0
    value = np.where(counted, coefficients * terms, 0.0).sum(axis=(1, 2))
    return value, noisy(np.where(counted, coefficients * derivatives, 0.0), "end")
