"""Forward and backward passes as people write them in NumPy, with a hook wherever the items do something else.

Parameters are a list of (weights, bias) from the inputs on, weights of shape (fan_in, fan_out), the bias (fan_out,) or
None; n is the number of samples, l a layer counted from 0. Nothing here comes from functional_mlp: an item is a
program of its own, and so is what it is made of.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray
Layer = tuple[Any, Any]  # weights and bias, or None
Layers = list[Layer]  # of parameters, or of their gradients


class Activation(NamedTuple):
    """An activation function.

    Attributes:
        declared: what a network is declared with: a name, or a dict with its parameters.
        value: of the pre-activations.
        slope: the derivative, of the pre-activations z and the activations a.
    """

    declared: Any
    value: Callable[[Array], Array]
    slope: Callable[[Array, Array], Array]


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z))."""
    return 1 / (1 + np.exp(-z))


def relu(z: Array) -> Array:
    """The positive part."""
    return np.maximum(z, 0)


def same(z: Array) -> Array:
    """The identity."""
    return z


def softmax(z: Array) -> Array:
    """Of each row."""
    exponentials = np.exp(z - z.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


def no_slope(z: Array, a: Array) -> Array:
    """In place of the derivative of softmax, which is no function of one entry."""
    raise TypeError("expected an elementwise activation, got softmax; give the delta instead")


def leaky_relu(slope: float) -> Activation:
    """The leaky relu with that slope for negative pre-activations."""
    declared = {"name": "leaky_relu", "slope": slope}
    return Activation(declared, lambda z: np.where(z > 0, z, slope * z), lambda z, a: np.where(z > 0, 1, slope))


def elu(alpha: float) -> Activation:
    """The exponential linear unit."""
    return Activation(
        {"name": "elu", "alpha": alpha},
        lambda z: np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0))),
        lambda z, a: np.where(z > 0, 1, alpha * np.exp(np.minimum(z, 0))),
    )


SIGMOID = Activation("sigmoid", sigmoid, lambda z, a: a * (1 - a))
TANH = Activation("tanh", np.tanh, lambda z, a: 1 - a**2)
RELU = Activation("relu", relu, lambda z, a: z > 0)
SOFTPLUS = Activation("softplus", lambda z: np.log1p(np.exp(z)), lambda z, a: sigmoid(z))
IDENTITY = Activation("identity", same, lambda z, a: np.ones_like(z))
SOFTMAX = Activation("softmax", softmax, no_slope)


def forward(params: Layers, inputs: Array, *functions: Callable[[Array], Array]) -> tuple[list[Array], list[Array]]:
    """The pre-activations, one per function, and the activations, of which the inputs are the first."""
    pre_activations: list[Array] = []
    activations = [inputs]
    for (weights, bias), function in zip(params, functions, strict=False):
        pre_activations.append(activations[-1] @ weights + (0 if bias is None else bias))
        activations.append(function(pre_activations[-1]))
    return pre_activations, activations


def by_samples(delta: Array, layer: int = 0) -> Array:
    """The bias gradient: the sum over the samples."""
    return delta.sum(0)


def backward(
    params: Layers,
    activations: Sequence[Array],
    delta: Array,
    slopes: Sequence[Any],
    *,
    bias_gradient: Callable[[Array, int], Any] = by_samples,
    send_back: Callable[[Array, int], Array] | None = None,
) -> Layers:
    """The gradients.

    Args:
        params: of the network.
        activations: those of `forward`, the inputs first.
        delta: dLoss/dz of the last layer, (n, fan_out).
        slopes: the derivatives of the layers below the last.
        bias_gradient: of a delta and the layer.
        send_back: what goes from a delta and its layer to the activations below; delta @ weights.T by default.
    """
    gradients: Layers = []
    for layer in reversed(range(len(params))):
        weights, bias = params[layer]
        gradient = activations[layer].T @ delta
        gradients.insert(0, (gradient, None if bias is None else bias_gradient(delta, layer)))
        if layer:
            sent = delta @ weights.T if send_back is None else send_back(delta, layer)
            delta = sent * slopes[layer - 1]
    return gradients


def moved(params: Layers, gradients: Layers, rate: float) -> Layers:
    """The parameters after a step of gradient descent."""
    return [
        (weights - rate * gradient, None if bias is None else bias - rate * bias_gradient)
        for (weights, bias), (gradient, bias_gradient) in zip(params, gradients, strict=True)
    ]


def eager_step(
    params: Layers,
    activations: Sequence[Array],
    delta: Array,
    slopes: Sequence[Any],
    rate: float,
    *,
    layers: Collection[int] | None = None,
    bias_gradient: Callable[[Array], Array] = by_samples,
    penalty: float = 0.0,
    bias_factor: float = 1.0,
) -> Layers:
    """The parameters after a step in which each layer changes before its delta is sent back through its weights.

    Args:
        params: before the step.
        activations: those of `forward`.
        delta: dLoss/dz of the last layer.
        slopes: the derivatives of the layers below the last.
        rate: the learning rate.
        layers: which layers change too early; all by default.
        bias_gradient: of a delta.
        penalty: times the weights is added to their gradient.
        bias_factor: of the step of the biases; 0 for biases that never change.
    """
    after: Layers = []
    for layer in reversed(range(len(params))):
        weights, bias = params[layer]
        changed = weights - rate * (activations[layer].T @ delta + penalty * weights)
        after.insert(0, (changed, None if bias is None else bias - bias_factor * rate * bias_gradient(delta)))
        if layer:
            through = changed if layers is None or layer in layers else weights
            delta = delta @ through.T * slopes[layer - 1]
    return after
