"""Random cases, drawn with NumPy's generator, so that a seed gives the same case whatever JAX's settings are."""

import numpy as np

from functional_mlp._checks import known_name, positive_int
from functional_mlp._dtypes import DTYPES, Array
from functional_mlp.losses import KINDS, Loss
from functional_mlp.network import Network
from functional_mlp.oracle.case.arrays import rounded
from functional_mlp.oracle.case.case import Case, require_loss, require_network

TARGETS = {name: kind.targets for name, kind in KINDS.items()}  # how targets are drawn, by the kind of loss
SMALLEST_PROBABILITY = 0.05  # of a drawn target, times their number: no format rounds it to 0


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
        TypeError: for what is no network or no loss.
        ValueError: for a loss that is inadmissible, an unknown dtype, or counts below 1.
    """
    require_network(network)
    require_loss(loss)
    known_name("dtype", dtype, DTYPES)
    samples = positive_int("samples", samples)
    rng = np.random.default_rng(seed)
    params = [
        (rounded(rng.normal(size=(fan_in, fan_out)) / np.sqrt(fan_in), dtype), rounded(rng.normal(size=fan_out), dtype))
        for fan_in, fan_out in network.shapes
    ]
    inputs = rounded(rng.normal(size=(samples, network.sizes[0])), dtype)
    shape = (samples, network.sizes[-1])
    kind = "real" if loss is None else TARGETS[loss.kind]
    end = rounded(draw_targets(kind, shape, rng), dtype)
    targets, ct_outputs = (None, end) if loss is None else (end, None)
    return Case(network, loss, params, inputs, targets, ct_outputs, name=name, dtype=dtype)


def draw_targets(kind: str, shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Targets (n, K) of one of the kinds in `TARGETS`."""
    match kind:
        case "real":
            return rng.normal(size=shape)
        case "bits":
            return rng.integers(0, 2, shape).astype(np.float64)
        case "signs":
            return np.where(rng.integers(0, 2, shape) == 1, 1.0, -1.0)
        case "probabilities":
            between = rng.uniform(SMALLEST_PROBABILITY, 1.0, shape)
            probabilities: Array = between / between.sum(axis=1, keepdims=True)
            return probabilities
        case _:
            return np.eye(shape[1])[rng.integers(0, shape[1], shape[0])]
