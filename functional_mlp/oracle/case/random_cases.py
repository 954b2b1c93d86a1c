"""Random cases, drawn with NumPy's generator, so that a seed gives the same case whatever JAX's settings are."""

import numpy as np

from functional_mlp._checks import known_name, positive_int
from functional_mlp.losses import Loss
from functional_mlp.network import Network
from functional_mlp.oracle.case.case import DTYPES, Case

# how targets are drawn: any reals, 0 or 1 for every output, or one 1 per sample
TARGETS = {
    "squared_error": "real",
    "binary_cross_entropy": "bits",
    "sigmoid_cross_entropy": "bits",
    "categorical_cross_entropy": "one_hot",
    "softmax_cross_entropy": "one_hot",
}


def draw_case(
    network: Network, loss: Loss | None, *, samples: int = 5, seed: int = 0, dtype: str = "float64", name: str = ""
) -> Case:
    """A case of moderate numbers: weights N(0, 1/fan_in), biases and inputs N(0, 1), targets as the loss wants them.

    Args:
        network: the specification.
        loss: the loss; None for a bare cotangent, drawn N(0, 1).
        samples: rows, at least 1.
        seed: of the draws.
        dtype: every number is rounded to it.
        name: of the case.

    Raises:
        TypeError, ValueError: for a loss that is inadmissible, an unknown dtype, or counts below 1.
    """
    known_name("dtype", dtype, DTYPES)
    samples = positive_int("samples", samples)
    rng = np.random.default_rng(seed)

    def rounded(array: np.ndarray) -> np.ndarray:
        return array.astype(DTYPES[dtype]).astype(np.float64)

    params = [
        (rounded(rng.normal(size=(fan_in, fan_out)) / np.sqrt(fan_in)), rounded(rng.normal(size=fan_out)))
        for fan_in, fan_out in network.shapes
    ]
    inputs = rounded(rng.normal(size=(samples, network.sizes[0])))
    shape = (samples, network.sizes[-1])
    if loss is None:
        return Case(network, None, params, inputs, ct_outputs=rounded(rng.normal(size=shape)), name=name, dtype=dtype)
    drawn = {
        "real": lambda: rounded(rng.normal(size=shape)),
        "bits": lambda: rng.integers(0, 2, shape).astype(np.float64),
        "one_hot": lambda: np.eye(shape[1])[rng.integers(0, shape[1], samples)],
    }
    targets = drawn[TARGETS[loss.kind]]()
    return Case(network, loss, params, inputs, targets, name=name, dtype=dtype)
