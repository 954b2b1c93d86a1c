"""Training one network: state goes in and comes out, on one device or several, saved as it goes on if asked for.

`train_step` is one update; `train` runs epochs of them, with any optax optimiser (`epochs.py`).
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.lax import PrecisionLike
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import ArrayLike
from jaxtyping import Array

from functional_mlp._checks import is_concrete, random_key, require_kind, require_optimizer
from functional_mlp.losses import Loss
from functional_mlp.metrics import UserMetric
from functional_mlp.network import Network, Params, check_params
from functional_mlp.parallel import (
    ALONE,
    Processes,
    agreed,
    checked_devices,
    of_this_process,
    on_devices,
    processes_of,
)
from functional_mlp.saving import (
    EVERY,
    KEEP,
    Fingerprint,
    Place,
    checkpoints_in,
    digest,
    fingerprint_of,
    program_digest,
)
from functional_mlp.training.epochs import compiled_chunk, program_of, run_chunks
from functional_mlp.training.plan import SAMPLES, Data, Plan, Settings, check_data, described, device_of, make_plan
from functional_mlp.training.snapshots import keeping, result_of
from functional_mlp.training.state import (
    Callback,
    TrainResult,
    TrainState,
    init_train_state,
)


def train(
    network: Network,
    loss: Loss,
    params: Params | TrainState,
    inputs: ArrayLike,
    targets: ArrayLike,
    *,
    optimizer: optax.GradientTransformation,
    epochs: int,
    batch_size: int | None = None,
    shuffle: bool = False,
    key: Array | None = None,
    sample_weights: ArrayLike | None = None,
    eval_inputs: ArrayLike | None = None,
    eval_targets: ArrayLike | None = None,
    eval_every: int = 1,
    evaluate: str = "after",
    metrics: Iterable[str | UserMetric] = ("loss",),
    chunk_epochs: int | None = None,
    callback: Callback | None = None,
    precision: PrecisionLike = "highest",
    devices: Sequence[Any] | None = None,
    directory: str | os.PathLike[str] | None = None,
    save_every: float = EVERY,
    save_last: bool = True,
    keep: int = KEEP,
    accept_other_bits: bool = False,
) -> TrainResult:
    """Trains a network with the hand-written gradient.

    Args:
        network, loss: the specification.
        params: initial parameters; or the `TrainState` of an earlier result, which goes on to `epochs` in all.
        inputs: (n, n_0), finite, of the parameters' dtype.
        targets: (n, n_L), finite, of that dtype; or class labels, integers (n,), for losses over classes.
        optimizer: any optax transformation, learning-rate schedules included. Pass the same object again to reuse the
            compiled program: optax.sgd(0.1) != optax.sgd(0.1).
        epochs: passes over the data, at least 1.
        batch_size: samples per update, 1..n; None means all. A partial last batch is exact.
        shuffle: take the samples in a new order each epoch (needs `key`); False means in the given order.
        key: a JAX random key; a state brings its own.
        sample_weights: (n,) or None. A batch of samples of weight 0 alone moves by the penalty alone.
        eval_inputs, eval_targets: a second data set that is only evaluated.
        eval_every: evaluate at epochs 0, eval_every, 2 eval_every, ….
        evaluate: "before" or "after" that epoch's updates.
        metrics: names in `functional_mlp.metrics.METRICS`, or functions (outputs, targets) -> scalar.
        chunk_epochs: epochs per compiled call, after each of which `callback` runs; None means about a twentieth of
            `epochs`.
        callback: called with the `TrainResult` so far; return True to stop there.
        precision: of the matrix products, as in `forward`.
        devices: over which the samples of every batch are spread; None means the device that the data are on. With
            those of several processes (`jax.devices()` under `jax.distributed`), all call this with the same
            arguments, and get the same result. Sums over samples are rounded otherwise on another number of devices.
        directory: where to save the run as it goes on; needs orbax-checkpoint. The same call goes on with what is
            there, to the same bits; one with more epochs goes on to these. Process 0 alone reads and writes it.
        save_every: seconds between two checkpoints, written after a chunk of epochs.
        save_last: whether the last epoch is saved in any case; not needed by a caller who keeps the result.
        keep: how many checkpoints are kept.
        accept_other_bits: whether to go on with a run that another JAX has begun, or another kind of machine: the
            result may then differ in its last bits from that of a run that was not interrupted.

    Returns:
        Parameters, history and state after the last epoch.

    Raises:
        ImportError: for a directory, without orbax-checkpoint.
        OSError: if the directory cannot be read or written.
        TypeError: for a network or a loss that is none, data that are not floats of the parameters' dtype, or counts
            that are not integers.
        ValueError: for shapes that do not fit, an empty batch, a batch larger than the data, counts below 1, values
            that are not finite, an unknown metric, an inadmissible loss, shuffling without a key, a state of another
            optimiser, the directory of another run (and what differs), one that was begun where bits may differ, or
            processes that were asked for different runs.
        ConnectionError: if another process of the run has ended.
    """
    require_kind("network", network, Network, "fm.Network(sizes, activations)")
    require_kind("loss", loss, Loss, "fm.Loss(kind)")
    require_optimizer(optimizer)
    if not all(is_concrete(leaf) for leaf in jax.tree.leaves((params, inputs, targets, key))):
        raise TypeError(
            "expected arrays, got values that jit, vmap or grad traces: fm.train is a compiled program of its own; for"
            " several trainings at once use fm.sweep, within a function of your own fm.train_step"
        )
    given = params if isinstance(params, TrainState) else None
    start = check_params(network, params.params if isinstance(params, TrainState) else params)
    data = check_data(network, loss, start, inputs, targets, sample_weights, eval_inputs, eval_targets)
    where = () if devices is None else checked_devices(devices)
    processes = processes_of(where) if where else ALONE
    if key is not None:
        random_key("key", key)
    if where:
        given, key, start, data = jax.device_put((given, key, start, data), of_this_process(where)[0])
    asked = Settings(epochs, batch_size, shuffle, eval_every, evaluate, metrics, chunk_epochs, precision)
    plan = make_plan(network, loss, data, asked, where)
    state = _resumed(given, optimizer, key) if given else init_train_state(start, optimizer, key)
    if shuffle and state.key is None:
        raise ValueError("expected a key to shuffle with, got none; pass key=jax.random.key(seed)")
    go_on = partial(_trained, plan, optimizer, data, epochs, processes)
    callback = agreed(processes, callback)
    if directory is None and processes.count == 1:
        return go_on(state, callback)
    known_by = _fingerprint_of_run(plan, optimizer, data, state)
    same = {"epochs": epochs, "chunk_epochs": plan.chunk_epochs, "saved": directory is not None}
    processes.require_same(known_by.in_every_process | same)
    if directory is None:
        return go_on(state, callback)
    place = Place(Path(directory), save_every, keep, accept_other_bits)
    with checkpoints_in(place, known_by, processes) as kept:
        saving = keeping(kept, callback, at=epochs if save_last else None)
        saved = kept.latest()
        if saved is None:
            return go_on(state, saving)
        so_far = result_of(saved.arrays, state)
        return so_far if saved.step == epochs else go_on(so_far.state, saving, so_far.history)


def _fingerprint_of_run(
    plan: Plan, optimizer: optax.GradientTransformation, data: Data, state: TrainState
) -> Fingerprint:
    """What a run that begins with `state` is known by."""
    start = {
        "initial parameters": digest(state[:2], state.epoch),
        "key": None if state.key is None else digest(state.key),
    }
    program = program_digest(program_of(plan, optimizer), state, np.int32(1), data)
    return fingerprint_of(described(plan, data) | start, program, device_of(data))


def _trained(
    plan: Plan,
    optimizer: optax.GradientTransformation,
    data: Data,
    epochs: int,
    processes: Processes,
    state: TrainState,
    callback: Callback | None,
    before: Mapping[str, np.ndarray] | None = None,
) -> TrainResult:
    """`run_chunks` on the devices of the plan; the result, as the callback sees it, is on the first one here."""
    compiled = partial(compiled_chunk(plan.compiling.options, plan.mesh), plan, optimizer)
    if plan.mesh is None:
        return run_chunks(plan, compiled, state, data, epochs, callback, before)

    def first(so_far: TrainResult) -> TrainResult:
        on_one = jax.tree.map(lambda leaf: leaf.addressable_data(0), so_far.state)
        return TrainResult(on_one.params, so_far.history, on_one)

    told = None if callback is None else lambda so_far: callback(first(so_far))
    with processes.together():
        return first(run_chunks(plan, compiled, *_placed(plan, state, data), epochs, told, before))


def _placed(plan: Plan, state: TrainState, data: Data) -> tuple[TrainState, Data]:
    """State and data on the devices of the plan: samples that are always used alike in shares, all else whole on each.

    Samples whose number the devices do not divide are whole on each too: shares of an array must be equal.
    """
    assert plan.mesh is not None
    devices = plan.mesh.size
    whole, shares = (NamedSharding(plan.mesh, spec) for spec in (PartitionSpec(), PartitionSpec(SAMPLES)))
    same_batch = plan.batch_size == data.inputs.shape[0] and not plan.shuffle

    def samples(used_alike: bool, x: Array) -> Array:
        return on_devices(x, shares if used_alike and x.shape[0] % devices == 0 else whole)

    trained_on = jax.tree.map(partial(samples, same_batch), data[:3])
    evaluated = jax.tree.map(partial(samples, True), data[3:])
    return jax.tree.map(lambda leaf: on_devices(jnp.asarray(leaf), whole), state), Data(*trained_on, *evaluated)


def _resumed(state: TrainState, optimizer: optax.GradientTransformation, key: Array | None) -> TrainState:
    """`state` if it is one of `optimizer`, with `key` if it has none yet."""
    expected = jax.tree.structure(jax.eval_shape(optimizer.init, state.params))
    got = jax.tree.structure(state.opt_state)
    if expected != got:  # type: ignore[operator]
        raise ValueError(f"expected a state of this optimiser, {expected}, got {got}; go on with the one it began with")
    if key is None:
        return state
    if state.key is not None:
        raise ValueError("expected no key with a state that has one already; leave key out")
    return state._replace(key=key)
