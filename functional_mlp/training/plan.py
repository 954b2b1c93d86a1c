"""What a training run works on and by: its data and its plan, checked once, before anything is compiled."""

import hashlib
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.lax import PrecisionLike
from jax.sharding import Mesh
from jax.typing import ArrayLike
from jaxtyping import Array

from functional_mlp import __version__
from functional_mlp._checks import finite_values, floating_array, is_key, known_name, positive_int
from functional_mlp.losses import Loss, check_sample_weights
from functional_mlp.metrics import Metric, UserMetric, resolve_metrics
from functional_mlp.network import Network, Params, check_inputs
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


def make_plan(
    network: Network,
    loss: Loss,
    data: Data,
    *,
    epochs: int,
    batch_size: int | None,
    shuffle: bool,
    eval_every: int,
    evaluate: str,
    metrics: Iterable[str | UserMetric],
    chunk_epochs: int | None,
    precision: PrecisionLike,
    devices: tuple[jax.Device, ...] = (),
) -> Plan:
    """Checks the settings of a run against its data; see `train` for their meaning and the errors."""
    loss.require_admissible(network.activations[-1])
    samples = data.inputs.shape[0]
    platform = next(iter(data.inputs.devices())).platform
    batch_size = samples if batch_size is None else positive_int("batch_size", batch_size)
    if batch_size > samples:
        raise ValueError(f"expected batch_size to be at most the {samples} samples of the data, got {batch_size}")
    if not isinstance(shuffle, bool | np.bool_):
        raise TypeError(f"expected shuffle to be True or False, got {shuffle!r}")
    known_name("time to evaluate", evaluate, EVALUATE)
    epochs = positive_int("epochs", epochs)
    if chunk_epochs is None:  # about twenty chunks; a power of two, so that runs of other lengths find it compiled
        chunk_epochs = 2 ** max(0, math.ceil(math.log2(epochs / 20)))
    chunk_epochs = positive_int("chunk_epochs", chunk_epochs)
    mesh = Mesh(np.array(devices), (SAMPLES,)) if len(devices) > 1 else None
    on_each = -(-batch_size // max(1, len(devices)))
    chosen = compiling(platform, on_each, sum(fan_in * fan_out for fan_in, fan_out in network.shapes))
    return Plan(
        network=network,
        loss=loss,
        batch_size=batch_size,
        shuffle=bool(shuffle),
        eval_every=positive_int("eval_every", eval_every),
        evaluate=evaluate,
        metrics=resolve_metrics(metrics),
        chunk_epochs=chunk_epochs,
        precision=precision,
        compiling=chosen if mesh is None else chosen._replace(one_kernel=False),  # which cannot wait for others
        mesh=mesh,
    )


def check_data(
    network: Network,
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
    x, t = _checked_set(network, params, inputs, targets, "")
    weights = None if sample_weights is None else check_sample_weights(sample_weights, x)
    if eval_inputs is None or eval_targets is None:
        return Data(x, t, weights, None, None)
    return Data(x, t, weights, *_checked_set(network, params, eval_inputs, eval_targets, "eval_"))


def _checked_set(
    network: Network, params: Params, inputs: ArrayLike, targets: ArrayLike, prefix: str
) -> tuple[Array, Array]:
    x = check_inputs(network, params, inputs, f"{prefix}inputs")
    t = floating_array(f"{prefix}targets", targets)
    expected = (x.shape[0], network.sizes[-1])
    if t.shape != expected:
        raise ValueError(f"expected {prefix}targets of shape {expected}, got {t.shape}")
    if t.dtype != x.dtype:
        raise TypeError(f"expected {prefix}targets of dtype {x.dtype}, got {t.dtype}; use .astype('{x.dtype}')")
    finite_values(f"{prefix}inputs", x)
    finite_values(f"{prefix}targets", t)
    return x, t


# what a run is known by, when it is saved


def digest(*trees: Any) -> str:
    """SHA-256 of all arrays in `trees`, with their dtypes and shapes."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(trees):
        array = np.asarray(key_data(leaf) if isinstance(leaf, jax.Array) else leaf)
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def program_digest(function: Callable[..., Any], *arguments: Any) -> str:
    """SHA-256 of what `function` does with `arguments` (or their shapes), whatever it and those it calls are named."""
    program = jax.make_jaxpr(function)(*arguments)
    text = re.sub(r" at 0x[0-9a-f]+", "", str(program))  # where objects of this process are
    return hashlib.sha256((text + digest(program.consts)).encode()).hexdigest()


def key_data(keys: Array) -> Array:
    """The numbers that random keys consist of; old-style keys are numbers."""
    return jax.random.key_data(keys) if is_key(keys) else keys


def described(plan: Plan, data: Data) -> dict[str, Any]:
    """What the results depend on, in words; the functions of an optimiser and of metrics are not among it."""
    return {
        "functional_mlp": __version__,
        "jax": jax.__version__,
        "network": repr(plan.network),
        "loss": repr(plan.loss),
        "batch_size": plan.batch_size,
        "shuffle": plan.shuffle,
        "eval_every": plan.eval_every,
        "evaluate": plan.evaluate,
        "metrics": [name for name, _ in plan.metrics],
        "precision": str(plan.precision),
        "data": digest(data),
        "platform": next(iter(data.inputs.devices())).platform,
    }
