"""What a training run works on and by: its data and its plan, checked once, before anything is compiled."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.lax import PrecisionLike
from jax.sharding import Mesh
from jax.typing import ArrayLike
from jaxtyping import Array

from functional_mlp._checks import finite_values, known_name, positive_int
from functional_mlp.losses import Loss, check_sample_weights
from functional_mlp.metrics import Metric, UserMetric, resolve_metrics
from functional_mlp.network import Network, Params, check_inputs
from functional_mlp.saving import digest
from functional_mlp.training.compilation import Compiling, compiling

EVALUATE = ("before", "after")
SAMPLES = "samples"  # the mesh axis


class Data(NamedTuple):
    """The arrays of a run; the evaluation set and the sample weights may be None."""

    inputs: Array
    targets: Array
    sample_weights: Array | None
    eval_inputs: Array | None
    eval_targets: Array | None


@dataclass(frozen=True)
class Plan:
    """What the compiled program of a run depends on, besides the optimiser and the shapes of the data.

    Attributes:
        network, loss: the specification.
        batch_size: samples per update.
        shuffle: whether each epoch takes the samples in an order of its own.
        eval_every: evaluate at the epochs e = 0, eval_every, 2 eval_every, …
        evaluate: "before" or "after" the updates of such an epoch.
        metrics: (name, function) pairs.
        chunk_epochs: epochs per compiled call.
        precision: of the matrix products.
        compiling: how the program is compiled for the device of the data.
        mesh: the devices that the samples of every batch are spread over, axis SAMPLES; None if there is only one.
    """

    network: Network
    loss: Loss
    batch_size: int
    shuffle: bool
    eval_every: int
    evaluate: str
    metrics: tuple[tuple[str, Metric], ...]
    chunk_epochs: int
    precision: PrecisionLike
    compiling: Compiling
    mesh: Mesh | None


@dataclass(frozen=True)
class Settings:
    """How `train` and `sweep` are to train, as they were asked; see `train` for the meaning of each."""

    epochs: int
    batch_size: int | None = None
    shuffle: bool = False
    eval_every: int = 1
    evaluate: str = "after"
    metrics: Iterable[str | UserMetric] = ("loss",)
    chunk_epochs: int | None = None
    precision: PrecisionLike = "highest"


def make_plan(network: Network, loss: Loss, data: Data, asked: Settings, devices: tuple[jax.Device, ...] = ()) -> Plan:
    """Checks the settings of a run against its data; see `train` for the errors."""
    loss.require_admissible(network.activations[-1])
    loss.require_outputs(network.sizes[-1])
    samples = data.inputs.shape[0]
    batch_size = samples if asked.batch_size is None else positive_int("batch_size", asked.batch_size)
    if batch_size > samples:
        raise ValueError(f"expected batch_size to be at most the {samples} samples of the data, got {batch_size}")
    if not isinstance(asked.shuffle, bool | np.bool_):
        raise TypeError(f"expected shuffle to be True or False, got {asked.shuffle!r}")
    known_name("time to evaluate", asked.evaluate, EVALUATE)
    epochs, chunk_epochs = positive_int("epochs", asked.epochs), asked.chunk_epochs
    if chunk_epochs is None:  # about twenty chunks; a power of two, so that runs of other lengths find it compiled
        chunk_epochs = 2 ** max(0, math.ceil(math.log2(epochs / 20)))
    chunk_epochs = positive_int("chunk_epochs", chunk_epochs)
    mesh = Mesh(np.array(devices), (SAMPLES,)) if len(devices) > 1 else None
    on_each = -(-batch_size // max(1, len(devices)))
    weights = sum(fan_in * fan_out for fan_in, fan_out in network.shapes)
    chosen = compiling(device_of(data).platform, on_each, weights)
    return Plan(
        network=network,
        loss=loss,
        batch_size=batch_size,
        shuffle=bool(asked.shuffle),
        eval_every=positive_int("eval_every", asked.eval_every),
        evaluate=asked.evaluate,
        metrics=resolve_metrics(asked.metrics),
        chunk_epochs=chunk_epochs,
        precision=asked.precision,
        compiling=chosen if mesh is None else chosen._replace(one_kernel=False),  # which cannot wait for others
        mesh=mesh,
    )


def device_of(data: Data) -> jax.Device:
    """One of the devices that the data are on."""
    return next(iter(data.inputs.devices()))


def check_data(
    network: Network,
    loss: Loss,
    params: Params,
    inputs: ArrayLike,
    targets: ArrayLike,
    sample_weights: ArrayLike | None,
    eval_inputs: ArrayLike | None,
    eval_targets: ArrayLike | None,
) -> Data:
    """The arrays of a run, checked against network and parameters, and for values that are not finite; see `train`."""
    if (eval_inputs is None) != (eval_targets is None):
        raise ValueError("expected eval_inputs and eval_targets together, got only one of them")
    x, t = _checked_set(network, loss, params, inputs, targets, "")
    weights = None if sample_weights is None else check_sample_weights(sample_weights, x)
    if eval_inputs is None or eval_targets is None:
        return Data(x, t, weights, None, None)
    return Data(x, t, weights, *_checked_set(network, loss, params, eval_inputs, eval_targets, "eval_"))


def _checked_set(
    network: Network, loss: Loss, params: Params, inputs: ArrayLike, targets: ArrayLike, prefix: str
) -> tuple[Array, Array]:
    x = check_inputs(network, params, inputs, f"{prefix}inputs")
    t = loss.targets_of(f"{prefix}targets", targets, network.sizes[-1], x.dtype)
    expected = (x.shape[0], network.sizes[-1])
    if t.shape != expected:
        raise ValueError(f"expected {prefix}targets of shape {expected}, got {t.shape}")
    if t.dtype != x.dtype:
        raise TypeError(f"expected {prefix}targets of dtype {x.dtype}, got {t.dtype}; use .astype('{x.dtype}')")
    finite_values(f"{prefix}inputs", x)
    finite_values(f"{prefix}targets", t)
    return x, t


def whole_words(network: Network) -> str:
    """A network with all that its activations are, in the words by which runs are told since the first release."""
    return f"Network(sizes={network.sizes!r}, activations={network.activations!r})"


def described(plan: Plan, data: Data) -> dict[str, Any]:
    """What the results depend on, in words; the functions of an optimiser and of metrics are not among it."""
    return {
        "network": whole_words(plan.network),
        "loss": repr(plan.loss),
        "batch_size": plan.batch_size,
        "shuffle": plan.shuffle,
        "eval_every": plan.eval_every,
        "evaluate": plan.evaluate,
        "metrics": [name for name, _ in plan.metrics],
        "precision": str(plan.precision),
        "data": digest(data),
    }
