"""Random networks, losses and data for the property tests; numbers come from NumPy generators seeded by hypothesis."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st

import functional_mlp as fm
from functional_mlp.losses import KINDS

ACTIVATIONS = sorted(fm.activations.FACTORIES)


class Problem(NamedTuple):
    network: fm.Network
    loss: fm.Loss
    params: fm.Params
    inputs: np.ndarray
    targets: np.ndarray
    sample_weights: np.ndarray | None
    ct_outputs: np.ndarray


ADMISSIBLE = {
    name: [
        loss
        for loss, kind in sorted(KINDS.items())
        if fm.activations.resolve(name).probabilities or not kind.of_probabilities
    ]
    for name in ACTIVATIONS
}


def make_problem(network, loss, samples, seed, weighted=False, with_bias=True, dtype=np.float64) -> Problem:
    """Data away from saturation: weights N(0, 1/fan_in), so that pre-activations are of order 1."""
    rng = np.random.default_rng(seed)
    params = tuple(
        fm.Dense(
            jnp.asarray(rng.normal(size=(i, o)) / np.sqrt(i), dtype),
            jnp.asarray(rng.normal(size=o) / 2, dtype) if with_bias else None,
        )
        for i, o in network.shapes
    )
    shape = (samples, network.sizes[-1])
    kind = KINDS[loss.kind]
    positive = kind.of_probabilities or kind.targets == "probabilities"
    targets = rng.uniform(0, 1, shape) if positive else rng.normal(size=shape)
    weights = rng.uniform(0.1, 2, samples).astype(dtype) if weighted else None
    inputs = rng.normal(size=(samples, network.sizes[0])).astype(dtype)
    return Problem(network, loss, params, inputs, targets.astype(dtype), weights, rng.normal(size=shape).astype(dtype))


@st.composite
def recipes(draw, max_depth=6, max_width=64, max_samples=64) -> Callable[[], Problem]:
    """Functions that make a problem, for the test to call: beartype draws numbers too; a strategy must not."""
    depth = draw(st.integers(1, max_depth))
    sizes = draw(st.lists(st.integers(1, max_width), min_size=depth + 1, max_size=depth + 1))
    names = draw(st.lists(st.sampled_from(ACTIVATIONS), min_size=depth, max_size=depth))
    loss = {
        "kind": draw(st.sampled_from(ADMISSIBLE[names[-1]])),
        "over_samples": draw(st.sampled_from(["sum", "mean", "batch_mean"])),
        "over_outputs": draw(st.sampled_from(["sum", "mean"])),
        "scale": draw(st.sampled_from([1.0, 0.5, 2.5, -1.0])),
        "l2": draw(st.sampled_from([0.0, 0.1])),
        "l1": draw(st.sampled_from([0.0, 0.05])),
        "l2_on_bias": draw(st.booleans()),
    }
    data = {
        "samples": draw(st.integers(1, max_samples)),
        "seed": draw(st.integers(0, 2**32 - 1)),
        "weighted": draw(st.booleans()),
        "with_bias": draw(st.booleans()),
    }
    return lambda: make_problem(fm.Network(sizes, names), fm.Loss(**loss), **data)
