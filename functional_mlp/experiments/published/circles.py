"""The circles classifier in NumPy float64: 2-4-3-1, relu, relu, sigmoid, cross-entropy, full-batch descent.

`published` repeats the gradient as it was published, quirks included, and reproduces every printed digit;
`corrected` is the true gradient of the same loss. Neither learns well at the published rate;
`cosine_schedule` is the remedy that was found for the published step. The trajectory is chaotic (a change of
6e-8 moves iteration 145 by 11), so this module refuses to compute in any other dtype than float64.

Dimensions: n samples (1000), l layer, fan_in, fan_out. `ct_v` is dLoss/dv.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import make_circles

Array = NDArray[np.float64]
Params = list[tuple[Array, Array]]
Variant = Literal["published", "corrected"]
LearningRate = float | Callable[[int], float]

SIZES = (2, 4, 3, 1)
LEARNING_RATE = 0.005
ITERATIONS = 150
EPS = float(np.finfo(np.float64).eps)

# (iteration, loss, accuracy), the numbers as strings: exactly the digits that were printed.
PUBLISHED_TRAJECTORY: tuple[tuple[int, str, str], ...] = (
    (0, "693.62972747", "0.5"),
    (1, "693.62166655", "0.5"),
    (2, "693.61534159", "0.5"),
    (3, "693.60994018", "0.5"),
    (145, "664.60120828", "0.818"),
    (146, "697.97739669", "0.58"),
    (147, "681.08653776", "0.642"),
    (148, "665.06165774", "0.71"),
    (149, "683.6170298", "0.614"),
)


class Step(NamedTuple):
    """One iteration; `loss`, `accuracy` and `gradients` are those of `params`, which are not yet updated."""

    iteration: int
    loss: float
    accuracy: float
    params: Params
    gradients: Params


class Result(NamedTuple):
    """The trained parameters; `loss` and `accuracy` (iterations,), float64, each before its update."""

    params: Params
    loss: Array
    accuracy: Array


def data() -> tuple[Array, Array]:
    """Return inputs (1000, 2) and targets (1000, 1), float64; targets are 0 and 1."""
    legacy = np.random.RandomState(0)
    inputs, labels = make_circles(n_samples=1000, factor=0.5, noise=0.1, random_state=legacy)
    return inputs, labels[:, None].astype(np.float64)


def initial_params(seed: int = 42) -> Params:
    """Draw (weights (fan_in, fan_out), bias (fan_out,)) per layer, weights first: the published order."""
    generator = np.random.RandomState(seed)
    params = []
    for fan_in, fan_out in pairwise(SIZES):
        weights = 0.1 * generator.randn(fan_in, fan_out)
        params.append((weights, 0.1 * generator.randn(fan_out)))
    return params


def _sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-np.clip(z, -500, 500)))  # beyond ±500 exp would overflow


def _tape(params: Params, inputs: Array) -> tuple[list[Array], list[Array]]:
    """Return every z_l (n, n_l), l = 1..L, and every a_l (n, n_l), l = 0..L."""
    for array in (inputs, *(leaf for pair in params for leaf in pair)):
        if array.dtype != np.float64:
            raise TypeError(f"expected float64 inputs and params, got {array.dtype}; convert with astype(float)")
    pre_activations, activations = [], [inputs]
    for layer, (weights, bias) in enumerate(params, start=1):
        z = activations[-1] @ weights + bias
        pre_activations.append(z)
        activations.append(_sigmoid(z) if layer == len(params) else np.maximum(z, 0))
    return pre_activations, activations


def forward(params: Params, inputs: Array) -> Array:
    """Return the probabilities (n, 1) of inputs (n, 2)."""
    return _tape(params, inputs)[1][-1]


def loss(outputs: Array, targets: Array) -> float:
    """Return −Σ (t·ln p + (1−t)·ln(1−p)) over samples and outputs, p and 1−p clipped below at float64 eps.

    Quirk: the text calls it an average; as coded it divides by the number of outputs, 1, so it is a sum over
    samples. Both variants use it: another loss would have another gradient, and nothing could be compared.
    """
    terms = targets * np.log(np.maximum(outputs, EPS)) + (1 - targets) * np.log(np.maximum(1 - outputs, EPS))
    return float(-np.sum(terms) / targets.shape[1])


def accuracy(outputs: Array, targets: Array) -> float:
    """Return the fraction of samples on the right side of 0.5."""
    return float(np.mean((outputs > 0.5) == (targets == 1)))


def gradients(params: Params, inputs: Array, targets: Array, variant: Variant = "published") -> Params:
    """Return (ct_weights, ct_bias) per layer, in the shapes of `params`.

    `corrected` is the gradient of the unclipped loss; it differs from that of `loss` only where p is within
    eps of 0 or 1. (The text's prose also loses the sign of the squared error's gradient, and gives the weight
    gradient with a_l for a_{l−1}; its code does neither, so there is nothing to reproduce.)
    """
    if variant not in ("published", "corrected"):
        raise ValueError(f"expected variant 'published' or 'corrected', got {variant!r}")
    pre_activations, activations = _tape(params, inputs)
    outputs = activations[-1]
    if variant == "published":
        # Quirk: 1/p is clipped at eps. A saturated wrong output has a huge ct_outputs, but its ct_z vanishes.
        ct_outputs = -(targets / np.maximum(outputs, EPS) - (1 - targets) / np.maximum(1 - outputs, EPS))
        # Quirk: sigmoid' is s(1−s); the factor 2 doubles every gradient of the network.
        ct_z = ct_outputs * (2 * outputs * (1 - outputs))
    else:
        # (−t/p + (1−t)/(1−p)) · p(1−p) = p − t: nothing is divided, so nothing has to be clipped.
        ct_z = outputs - targets
    reversed_gradients = []
    for layer in range(len(params), 0, -1):
        ct_weights = activations[layer - 1].T @ ct_z
        # Quirk: the weights' gradient is summed over the samples, the bias' gradient is averaged.
        ct_bias = ct_z.mean(axis=0) if variant == "published" else ct_z.sum(axis=0)
        reversed_gradients.append((ct_weights, ct_bias))
        if layer > 1:
            ct_activations = ct_z @ params[layer - 1][0].T
            ct_z = ct_activations * (pre_activations[layer - 2] > 0)  # relu' is 0 at the kink
    return reversed_gradients[::-1]


def updated(params: Params, slopes: Params, learning_rate: float) -> Params:
    """Return params − learning_rate · slopes."""
    return [
        (weights - learning_rate * ct_weights, bias - learning_rate * ct_bias)
        for (weights, bias), (ct_weights, ct_bias) in zip(params, slopes, strict=True)
    ]


def cosine_schedule(peak: float = 1e-3, iterations: int = 2000) -> Callable[[int], float]:
    """Return the rate of an iteration: from `peak` at 0 down to 0 at `iterations`, along half a cosine."""
    return lambda iteration: peak * 0.5 * (1 + float(np.cos(np.pi * min(iteration, iterations) / iterations)))


def _rate(learning_rate: LearningRate, iteration: int) -> float:
    return learning_rate(iteration) if callable(learning_rate) else learning_rate


def steps(
    params: Params,
    inputs: Array,
    targets: Array,
    *,
    variant: Variant = "published",
    learning_rate: LearningRate = LEARNING_RATE,
    iterations: int = ITERATIONS,
) -> Iterator[Step]:
    """Yield every iteration before its update; `learning_rate` is a number or a function of the iteration."""
    for iteration in range(iterations):
        outputs = forward(params, inputs)
        slopes = gradients(params, inputs, targets, variant)
        yield Step(iteration, loss(outputs, targets), accuracy(outputs, targets), params, slopes)
        params = updated(params, slopes, _rate(learning_rate, iteration))


def train(
    params: Params,
    inputs: Array,
    targets: Array,
    *,
    variant: Variant = "published",
    learning_rate: LearningRate = LEARNING_RATE,
    iterations: int = ITERATIONS,
) -> Result:
    """Descend for `iterations` full-batch steps; `params` are left as they are."""
    losses, accuracies = np.empty(iterations), np.empty(iterations)
    for step in steps(params, inputs, targets, variant=variant, learning_rate=learning_rate, iterations=iterations):
        losses[step.iteration], accuracies[step.iteration] = step.loss, step.accuracy
        params = updated(step.params, step.gradients, _rate(learning_rate, step.iteration))
    return Result(params, losses, accuracies)


def main() -> None:
    """Print the published trajectory beside the computed one."""
    result = train(initial_params(), *data())
    print("iteration  loss printed     loss computed    accuracy printed  accuracy computed")
    for iteration, printed_loss, printed_accuracy in PUBLISHED_TRAJECTORY:
        computed_loss, computed_accuracy = result.loss[iteration], result.accuracy[iteration]
        print(
            f"{iteration:9d}  {printed_loss:<15}  {computed_loss:<15.8f}  "
            f"{printed_accuracy:<16}  {computed_accuracy:.6g}"
        )


if __name__ == "__main__":
    main()
