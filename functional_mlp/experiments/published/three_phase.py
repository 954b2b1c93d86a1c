"""A 2-4-4-1 sigmoid network trained in three phases, layer by layer from the output; NumPy float64.

The published text prints neither cost nor activation, data, hyper-parameters or script: half squared error,
averaged over the samples, sigmoid and moons data are this project's choice, and the settings below were
chosen so that the stopping rule, not the limit, ends the training. Nothing here claims to reproduce a printed
number: none is printed.

What the text does leave open is whether a phase sees the update of the phase before it; both readings are
offered: `gradients-first` takes all slopes before any update, which is gradient descent;
`updated-weights-used` sends each cotangent back through the later layer's weights as already updated (with
the activations of the same forward pass), which is the gradient of no function.

`published` writes every node out, z = x1·w1 + x2·w2 + b, one chain rule per weight; `corrected` is the same
in matrices. They agree to rounding: here the quirks are the readings, and that the text's phase headings swap
the two hidden layers' names (wh1, wh2) against the layers they update. Layers go by position here, 1 nearest
to the inputs.

Dimensions: n samples, l layer, fan_in, fan_out. `ct_v` is dLoss/dv.
"""

from __future__ import annotations

import enum
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import make_moons

Array = NDArray[np.float64]
Params = list[tuple[Array, Array]]
Variant = Literal["published", "corrected"]
Reading = Literal["gradients-first", "updated-weights-used"]

SIZES = (2, 4, 4, 1)
SAMPLES, NOISE, DATA_SEED = 300, 0.15, 0
INIT_SCALE = 2.0  # at 1 two of twenty seeds stop early, on the plateau of a linear boundary
LEARNING_RATE = 5.0  # at 10 the descent oscillates, and the number of steps hangs on the last rounding
TOLERANCE = 5e-4
MAX_STEPS = 20_000


class Stop(enum.Enum):
    """Why the training ended."""

    STEPS_SMALL = "every step was smaller than the tolerance"
    MAX_STEPS = "the maximum number of steps was reached"


class Result(NamedTuple):
    """The trained parameters; the steps made, and why no more; loss and accuracy of these parameters."""

    params: Params
    steps: int
    stop: Stop
    loss: float
    accuracy: float


def data(samples: int = SAMPLES, noise: float = NOISE, seed: int = DATA_SEED) -> tuple[Array, Array]:
    """Return inputs (samples, 2) and targets (samples, 1), float64; targets are 0 and 1."""
    inputs, labels = make_moons(samples, noise=noise, random_state=seed)
    return inputs, labels[:, None].astype(np.float64)


def initial_params(seed: int, scale: float = INIT_SCALE) -> Params:
    """Draw (weights (fan_in, fan_out), bias (fan_out,)) per layer: normal, standard deviation `scale`."""
    generator = np.random.default_rng(seed)
    params = []
    for fan_in, fan_out in pairwise(SIZES):
        weights = scale * generator.standard_normal((fan_in, fan_out))
        params.append((weights, scale * generator.standard_normal(fan_out)))
    return params


def _activations(params: Params, inputs: Array) -> list[Array]:
    """Return a_l (n, n_l), l = 0..L."""
    activations = [inputs]
    for weights, bias in params:
        activations.append(1 / (1 + np.exp(-(activations[-1] @ weights + bias))))
    return activations


def forward(params: Params, inputs: Array) -> Array:
    """Return the outputs (n, 1) of inputs (n, 2)."""
    return _activations(params, inputs)[-1]


def loss(outputs: Array, targets: Array) -> float:
    """Return the mean over the samples of ½(o−t)²."""
    return float(np.mean(0.5 * (outputs - targets) ** 2))


def accuracy(outputs: Array, targets: Array) -> float:
    """Return the fraction of samples on the right side of 0.5."""
    return float(np.mean((outputs > 0.5) == (targets == 1)))


def _layer_corrected(a_in: Array, ct_z: Array) -> tuple[Array, Array]:
    """Return ct_weights (fan_in, fan_out), ct_bias (fan_out,) of a_in (n, fan_in) and ct_z (n, fan_out)."""
    return a_in.T @ ct_z, ct_z.sum(axis=0)


def _back_corrected(weights: Array, ct_z: Array) -> Array:
    """Return ct_a_in (n, fan_in) from weights (fan_in, fan_out) and ct_z (n, fan_out)."""
    return ct_z @ weights.T


def _layer_published(a_in: Array, ct_z: Array) -> tuple[Array, Array]:
    """Do `_layer_corrected` node by node: z_k = Σ_j a_j·w_jk + b_k, so dz_k/dw_jk = a_j and dz_k/db_k = 1."""
    fan_in, fan_out = a_in.shape[1], ct_z.shape[1]
    ct_weights, ct_bias = np.zeros((fan_in, fan_out)), np.zeros(fan_out)
    for k in range(fan_out):
        for j in range(fan_in):
            ct_weights[j, k] = np.sum(ct_z[:, k] * a_in[:, j])
        ct_bias[k] = np.sum(ct_z[:, k])
    return ct_weights, ct_bias


def _back_published(weights: Array, ct_z: Array) -> Array:
    """Do `_back_corrected` node by node: a_j acts on the loss through every z_k, with dz_k/da_j = w_jk."""
    return np.stack([sum(ct_z[:, k] * w for k, w in enumerate(row)) for row in weights], axis=1)


def gradients(
    params: Params,
    inputs: Array,
    targets: Array,
    *,
    variant: Variant = "corrected",
    reading: Reading = "gradients-first",
    learning_rate: float = LEARNING_RATE,
) -> Params:
    """Return the slopes (ct_weights, ct_bias) per layer, in the shapes of `params`.

    `learning_rate` matters to `updated-weights-used` alone, whose slopes depend on the updates of the later
    layers.
    """
    if variant not in ("published", "corrected"):
        raise ValueError(f"expected variant 'published' or 'corrected', got {variant!r}")
    if reading not in ("gradients-first", "updated-weights-used"):
        raise ValueError(f"expected reading 'gradients-first' or 'updated-weights-used', got {reading!r}")
    layer_slopes = _layer_published if variant == "published" else _layer_corrected
    back = _back_published if variant == "published" else _back_corrected
    activations = _activations(params, inputs)
    ct_activations = (activations[-1] - targets) / len(inputs)  # of the mean over the samples of ½(o−t)²
    reversed_slopes = []
    for layer in range(len(params), 0, -1):  # one phase per layer, from the output
        weights, _ = params[layer - 1]
        a = activations[layer]
        ct_z = ct_activations * a * (1 - a)
        ct_weights, ct_bias = layer_slopes(activations[layer - 1], ct_z)
        reversed_slopes.append((ct_weights, ct_bias))
        # Quirk: read literally, the text has updated these weights before the next phase uses them.
        used = weights - learning_rate * ct_weights if reading == "updated-weights-used" else weights
        ct_activations = back(used, ct_z)
    return reversed_slopes[::-1]


def train(
    params: Params,
    inputs: Array,
    targets: Array,
    *,
    variant: Variant = "corrected",
    reading: Reading = "gradients-first",
    learning_rate: float = LEARNING_RATE,
    tolerance: float = TOLERANCE,
    max_steps: int = MAX_STEPS,
) -> Result:
    """Descend until every |learning_rate · slope| < tolerance, intercepts included, or for `max_steps` steps.

    The last, small step is still made, and counted. A NaN is not small: it runs to `max_steps`.
    """
    stop, made = Stop.MAX_STEPS, 0
    while made < max_steps:
        slopes = gradients(params, inputs, targets, variant=variant, reading=reading, learning_rate=learning_rate)
        changes = [(learning_rate * w, learning_rate * b) for w, b in slopes]
        params = [(w - dw, b - db) for (w, b), (dw, db) in zip(params, changes, strict=True)]
        made += 1
        if all(np.abs(change).max() < tolerance for pair in changes for change in pair):
            stop = Stop.STEPS_SMALL
            break
    outputs = forward(params, inputs)
    return Result(params, made, stop, loss(outputs, targets), accuracy(outputs, targets))


def main() -> None:
    """Print steps, reason and accuracy of twenty initial seeds in both readings (about half a minute)."""
    inputs, targets = data()
    for reading in ("gradients-first", "updated-weights-used"):
        results = [train(initial_params(seed), inputs, targets, reading=reading) for seed in range(20)]
        made, accuracies = [r.steps for r in results], [r.accuracy for r in results]
        small = sum(r.stop is Stop.STEPS_SMALL for r in results)
        print(
            f"{reading}: {small} of 20 ended by the stopping rule; steps {min(made)} to {max(made)}, "
            f"median {np.median(made):.0f}; accuracy {min(accuracies):.4f} to {max(accuracies):.4f}, "
            f"median {np.median(accuracies):.4f}"
        )


if __name__ == "__main__":
    main()
