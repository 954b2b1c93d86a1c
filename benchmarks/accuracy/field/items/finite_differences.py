"""Whether the items are what they say, by finite differences; functional_mlp is not asked.

What a right program hands over must be the gradient of the declared loss, what a wrong one does must not be.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.accuracy.field.items.backprop import Activation, Array, Layers
from benchmarks.accuracy.field.items.drawing import one_hot
from benchmarks.accuracy.field.items.item import (
    Ask,
    FunctionAsk,
    GradientsAsk,
    Item,
    PrintedUpdateAsk,
    UpdateAsk,
)
from functional_mlp import Loss

LONG = np.longdouble
STEP = LONG("1e-5")
SAMPLES = 6  # of what a function is asked
STENCIL = ((-2, 1), (-1, -8), (1, 8), (2, -1))  # of the fourth order, over 12 steps
AT_MOST = {"float64": 1e-8, "float32": 1e-5}  # the error of a right program, relative to the norm of an array
AT_LEAST = 1e-7  # that of a wrong one


def _log_softmax(z: Array) -> Array:
    """Of each row."""
    z = z - z.max(1, keepdims=True)
    return z - np.log(np.exp(z).sum(1, keepdims=True))


TERMS: Mapping[str, Callable[[Array, Array], Array]] = {
    "squared_error": lambda a, t: (a - t) ** 2,
    "binary_cross_entropy": lambda a, t: -t * np.log(a) - (1 - t) * np.log1p(-a),
    "categorical_cross_entropy": lambda a, t: -t * np.log(a),
    "softmax_cross_entropy": lambda a, t: -t * _log_softmax(a),
}


def loss_value(
    activations: Sequence[Activation], loss: Loss | None, params: Layers, inputs: Array, targets: Array
) -> Any:
    """The declared loss, in the precision of the arrays; without one, the inner product of outputs and `targets`."""
    a = inputs
    for (weights, bias), activation in zip(params, activations, strict=True):
        a = activation.value(a @ weights + (0 if bias is None else bias))
    if loss is None:
        return (a * targets).sum()
    terms = TERMS[loss.kind](a, targets)
    rows = terms.mean(1) if loss.over_outputs == "mean" else terms.sum(1)
    total = rows.mean() if loss.over_samples == "mean" else rows.sum()
    squares = sum((w**2).sum() for w, _ in params)
    if loss.l2_on_bias:
        squares = squares + sum((b**2).sum() for _, b in params if b is not None)
    return LONG(loss.scale) * total + LONG(loss.l2) / 2 * squares


def gradient_by_differences(
    activations: Sequence[Activation], loss: Loss | None, params: Layers, inputs: Array, targets: Array
) -> Layers:
    """The gradient of the declared loss, by central differences of the fourth order in long double."""
    layers = [(np.array(weights, LONG), None if bias is None else np.array(bias, LONG)) for weights, bias in params]
    x, t = np.asarray(inputs, LONG), np.asarray(targets, LONG)

    def derivative(of: Any) -> Any:
        if of is None:
            return None
        gradient = np.empty_like(of)
        for index in np.ndindex(of.shape):
            kept, total = of[index], LONG(0)
            for steps, weight in STENCIL:
                of[index] = kept + steps * STEP
                total += weight * loss_value(activations, loss, layers, x, t)
            of[index] = kept
            gradient[index] = total / (12 * STEP)
        return gradient.astype(float)

    return [(derivative(weights), derivative(bias)) for weights, bias in layers]


def relative_error(gradients: Layers | None, truth: Layers) -> float:
    """The largest error of an array, relative to its norm, or to the largest norm if that is 0."""
    if gradients is None:
        return math.inf
    norms = [float(np.linalg.norm(part)) for layer in truth for part in layer if part is not None]
    errors = [
        float(np.linalg.norm(np.asarray(part) - right)) / (float(np.linalg.norm(right)) or max(norms))
        for layer, truth_of_layer in zip(gradients, truth, strict=True)
        for part, right in zip(layer, truth_of_layer, strict=True)
        if right is not None
    ]
    return max(errors)


def canonical(given: Any, params: Layers, layout: str = "in_out", bias: str = "separate") -> Layers | None:
    """What is handed over as pairs of shape (fan_in, fan_out) and (fan_out,); None where the shapes do not fit."""
    layers: Layers = []
    for part, (weights, biases) in zip(given, params, strict=True):
        pair: Any = part if isinstance(part, tuple | list) and len(part) == 2 else (part, None)
        gradient, bias_gradient = np.asarray(pair[0], float), pair[1]
        gradient = gradient.T if layout == "out_in" else gradient
        if bias == "last_row":
            gradient, bias_gradient = gradient[:-1], gradient[-1]
        if gradient.shape != weights.shape or np.size(bias_gradient) != np.size(biases):
            return None
        layers.append((gradient, None if biases is None else np.ravel(np.asarray(bias_gradient, float))))
    return layers


def _errors_of_function(ask: FunctionAsk, seed: int) -> list[float]:
    rng = np.random.default_rng(seed)
    params: Layers = []
    for fan_in, fan_out in pairwise(ask.sizes):
        weights = rng.normal(size=(fan_in, fan_out)) / np.sqrt(fan_in)
        params.append((weights, rng.normal(size=fan_out) if ask.biases else None))
    inputs, outputs = rng.normal(size=(SAMPLES, ask.sizes[0])), ask.sizes[-1]
    targets: Array
    if ask.loss is None or ask.loss.kind == "squared_error":
        targets = rng.normal(size=(SAMPLES, outputs))
    elif ask.loss.kind == "binary_cross_entropy":
        targets = rng.integers(0, 2, (SAMPLES, outputs)) * 1.0
    else:
        targets = one_hot(np.arange(SAMPLES) % outputs, outputs)
    copied = [(weights.copy(), None if bias is None else bias.copy()) for weights, bias in params]
    given = ask.function(copied, inputs.copy(), targets.copy())
    given = given[1] if isinstance(given, tuple) else given
    truth = gradient_by_differences(ask.activations, ask.loss, params, inputs, targets)
    return [relative_error(canonical(given, params), truth)]


def _read_from_step(before: Layers, after: Layers, rate: float) -> Layers:
    """(before - after) / rate."""
    return [
        ((weights - changed) / rate, None if bias is None else (bias - changed_bias) / rate)
        for (weights, bias), (changed, changed_bias) in zip(before, after, strict=True)
    ]


def _errors_of_case(ask: Ask) -> list[float]:
    if not isinstance(ask, GradientsAsk | UpdateAsk):
        raise TypeError(f"expected gradients or a step, got {type(ask).__name__}")
    truth = gradient_by_differences(ask.activations, ask.loss, ask.params, ask.inputs, ask.targets)
    layout = {"layout": ask.layout, "bias": ask.bias} if ask.as_is else {}
    if isinstance(ask, GradientsAsk):
        return [relative_error(canonical(ask.given, ask.params, **layout), truth)]
    errors = []
    for rate in ask.rates:
        after = canonical(ask.step(rate), ask.params, **layout)
        errors.append(relative_error(after and _read_from_step(ask.params, after, rate), truth))
    return errors


def complaint(item: Item, seed: int, variation: int = 0) -> str:
    """What is not as the item says; empty if it is. A printed document is not looked into."""
    ask = item.build(seed, variation)
    if isinstance(ask, PrintedUpdateAsk):
        return ""
    with np.errstate(all="ignore"):
        errors = _errors_of_function(ask, seed) if isinstance(ask, FunctionAsk) else _errors_of_case(ask)
    single = "float32" in (getattr(ask, "dtype", ""), getattr(ask, "precision", ""))
    if item.right and not max(errors) <= AT_MOST["float32" if single else "float64"]:
        return f"{item.id} is said to be right, but is off by {max(errors):.1e}"
    if not item.right and min(errors) < AT_LEAST:
        return f"{item.id} is said to be wrong, but is off by {min(errors):.1e} only"
    return ""
