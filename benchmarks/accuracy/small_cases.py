"""Random small cases in which mistakes are made: 1 to 4 layers, widths 1 to 7, 2 to 64 samples.

Narrow cases have one sample, one output, both, or two classes: any error at the output is little more than a factor.
"""

from typing import NamedTuple

import numpy as np

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.activations import FACTORIES
from functional_mlp.oracle.noise import Noise, estimate_noise, precision_named

WIDTHS, BATCHES = (3, 4, 5, 7), (2, 5, 16, 64)  # few, since JAX compiles every operation for every shape
HIDDEN = (
    *("tanh", "relu", "sigmoid", "leaky_relu", "tanh", "relu", "gelu", "elu", "silu", "leaky_relu", "softplus"),
    *("identity", "softmax"),
)
ENDS = (
    ("sigmoid", "binary_cross_entropy"),
    ("softmax", "categorical_cross_entropy"),
    ("identity", "squared_error"),
    ("softmax", "squared_error"),
    ("identity", "softmax_cross_entropy"),
    ("sigmoid", "squared_error"),
    (None, None),
    ("identity", "sigmoid_cross_entropy"),
    (None, "squared_error"),
    (None, None),
    ("softmax", "categorical_cross_entropy"),
)


class Narrow(NamedTuple):
    """What a narrow case has: so many samples and outputs, None for any; and one of these ends, () for any."""

    samples: int | None = None
    outputs: int | None = None
    ends: tuple[tuple[str | None, str | None], ...] = ()


ANY = Narrow()
NARROW = {
    "one sample": Narrow(samples=1),
    "one output": Narrow(outputs=1, ends=tuple(end for end in ENDS if end[0] in ("sigmoid", "identity", "tanh"))),
    "two classes": Narrow(outputs=2, ends=tuple(end for end in ENDS if "softmax" in f"{end[0]} {end[1]}")),
    "one sample, one output": Narrow(1, 1, (("identity", "squared_error"), ("sigmoid", "binary_cross_entropy"))),
}


def small_case(seed: int, dtype: str, narrow: Narrow = ANY) -> oracle.Case:
    """A random case of 1 to 4 layers, widths 1 to 7 and 2 to 64 samples; the same network and loss for every dtype.

    Args:
        seed: of all draws.
        dtype: of the case.
        narrow: what it has in any case.
    """
    rng = np.random.default_rng([seed, 0])
    depth = int(rng.integers(1, 5))
    square = rng.uniform() < 0.4
    width = int(rng.choice(WIDTHS))
    sizes = [width if square else int(rng.choice(WIDTHS)) for _ in range(depth + 1)]
    ends = narrow.ends or ENDS
    end = ends[seed % len(ends)]
    if rng.uniform() < 0.4 and end[0] != "softmax":
        sizes[-1] = 1
    sizes[-1] = narrow.outputs or sizes[-1]
    hidden = [
        str(rng.choice(list(FACTORIES))) if rng.uniform() < 0.3 else HIDDEN[seed % len(HIDDEN)] for _ in sizes[2:]
    ]
    network = fm.Network(sizes, [*hidden, end[0] or HIDDEN[(seed // 2) % len(HIDDEN)]])
    loss = None
    if end[1] is not None:
        over_samples, over_outputs = (str(rng.choice(["sum", "mean"])) for _ in range(2))
        scale, penalty = float(rng.choice([1.0, 0.5, 2.5])), float(rng.choice([0.0, 0.0, 0.03125]))
        loss = fm.Loss(end[1], over_samples, over_outputs, scale, penalty, bool(rng.integers(2)))
    samples = narrow.samples or int(rng.choice(BATCHES))
    case = oracle.draw_case(network, loss, samples=samples, seed=seed, dtype=dtype)
    return case if loss is None else _less_usual(case, rng)


def _less_usual(case: oracle.Case, rng: np.random.Generator) -> oracle.Case:
    """A case with a loss, at times with sample weights, soft targets, or large weights: mistakes hide without them."""
    assert case.loss is not None
    assert case.targets is not None
    params, targets, weights = list(case.params), case.targets, None
    if rng.uniform() < 0.2:
        weights = rng.integers(1, 9, len(case.inputs)) / 4.0
    if rng.uniform() < 0.4 and case.loss.kind != "squared_error":
        targets = rng.integers(0, 9, targets.shape) / 8.0
    if rng.uniform() < 0.3:
        params = [oracle.Layer(8 * layer.weights, layer.bias) for layer in params]
    network, inputs, dtype = case.network, case.inputs, case.dtype
    return oracle.Case(network, case.loss, params, inputs, targets, sample_weights=weights, dtype=dtype)


class Question(NamedTuple):
    """A small case in one precision, with its truth and its noise."""

    case: oracle.Case
    solution: oracle.Solution
    noise: Noise


def question_of(seed: int, dtype: str, narrow: Narrow = ANY) -> Question:
    """A random small case, solved."""
    case = small_case(seed, dtype, narrow)
    solution = oracle.solve(case)
    return Question(case, solution, estimate_noise(case, solution, precision_named(dtype)))
