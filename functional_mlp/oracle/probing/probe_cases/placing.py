"""Parameters and inputs whose pre-activations lie where they tell most.

Weights and biases are not left to chance: in a batch of several samples every unit of every layer sees both signs, and
no pre-activation comes near 0 but where a case is about that.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.forward_pass import forward
from functional_mlp.network import Dense, Network
from functional_mlp.oracle.case import rounded
from functional_mlp.oracle.truth import float64_on_cpu

STEEPEST = 8.0  # weights are not scaled up by more than so much per unit of that


@jax.jit
def _pre_activations(network: Network, params: Any, inputs: Any) -> Any:
    return forward(network, params, inputs)[1].pre_activations


@jax.jit
def _activations(network: Network, params: Any, inputs: Any) -> Any:
    return forward(network, params, inputs)[1].activations


def _of_mean_zero(weights: Array, before: Array) -> Array:
    """Weights (fan_in, fan_out) whose pre-activations have mean 0 over the samples, if there are inputs enough."""
    mean = before.mean(axis=0)
    if len(mean) < 2 or not mean.any():
        return weights
    return weights - np.outer(mean, mean @ weights) / (mean @ mean)


class Placing(NamedTuple):
    """Where pre-activations are to lie.

    Attributes:
        reach: largest minus smallest pre-activation of a unit, in hidden layers and in the last one.
        kinks: layer -> positions of kinks, at which its first units are: they get no weights, and the position as the
            bias, so that they are exactly there, in whatever order summed.
        offsets: (n_l,) per layer, by which the biases of its units are moved; what those send on is scaled down.
        biased: whether there are biases; without them, the weights are made so that pre-activations have mean 0, no
            kink but that at 0 is met, and offsets are how large the largest of a unit becomes.
    """

    reach: tuple[float, float]
    kinks: Mapping[int, tuple[float, ...]] = {}
    offsets: Sequence[Array] = ()
    biased: bool = True


def placed(
    network: Network, samples: int, placing: Placing, dtype: str, rng: np.random.Generator
) -> tuple[list[Dense], Array]:
    """Parameters and inputs (n, n_0) for which the pre-activations of every unit have both signs and are `reach` apart.

    The samples come in the order of how many units they activate.

    Args:
        network, samples: the shapes.
        placing: where they are to lie.
        dtype: to which all numbers are rounded.
        rng: of the draws.
    """
    inputs = rounded(rng.normal(size=(samples, network.sizes[0])), dtype)
    params: list[Any] = [
        Dense(rng.normal(size=shape) / np.sqrt(shape[0]), np.zeros(shape[1]) if placing.biased else None)  # type: ignore[arg-type]
        for shape in network.shapes
    ]
    last = len(params) - 1
    with float64_on_cpu():
        for layer in range(len(params)):
            if placing.offsets and layer > 0:
                sent_on = 1 / np.maximum(1.0, np.abs(placing.offsets[layer - 1]))
                params[layer] = params[layer]._replace(weights=params[layer].weights * sent_on[:, None])
            if not placing.biased:
                before = inputs if layer == 0 else np.asarray(_activations(network, tuple(params), inputs)[layer - 1])
                params[layer] = Dense(_of_mean_zero(params[layer].weights, before), None)  # type: ignore[arg-type]
            z = np.asarray(_pre_activations(network, tuple(params), inputs)[layer])
            distance = placing.reach[layer == last]
            spread = np.ptp(z, axis=0)
            factor = np.where(
                spread > 0, np.minimum(distance / np.where(spread > 0, spread, 1), STEEPEST * distance), 1
            )
            weights = params[layer].weights * factor
            bias = None
            if placing.biased:
                bias = -_widest_gap(z * factor) + (placing.offsets[layer] if placing.offsets else 0.0)
            elif placing.offsets:  # the largest of a unit's pre-activations, in place of all
                weights *= np.maximum(1.0, 2 * np.abs(placing.offsets[layer]) / distance)
            for unit, position in enumerate(placing.kinks.get(layer, ())):
                if bias is not None:
                    weights[:, unit], bias[unit] = 0.0, position
                elif position == 0:
                    weights[:, unit] = 0.0
            bias = None if bias is None else rounded(bias, dtype)
            params[layer] = Dense(rounded(weights, dtype), bias)  # type: ignore[arg-type]
        pre_activations = _pre_activations(network, tuple(params), inputs)
        active = np.min([np.mean(np.asarray(z) > 0, axis=1) for z in pre_activations], axis=0)
    return params, inputs[np.argsort(-active, kind="stable")]


def _widest_gap(z: Array) -> Array:
    """The middle (fan_out,) of the widest gap between the pre-activations (n, fan_out) of each unit.

    With more than 3 samples at least two lie on either side.
    """
    if len(z) < 2:
        return np.zeros(z.shape[1])
    ordered = np.sort(z, axis=0)
    rim = 1 if len(z) > 3 else 0
    gaps = np.diff(ordered, axis=0)[rim : len(z) - 1 - rim]
    below = np.argmax(gaps, axis=0)[None, :] + rim
    middle = np.take_along_axis(ordered, below, axis=0) + np.take_along_axis(ordered, below + 1, axis=0)
    return middle[0] / 2
