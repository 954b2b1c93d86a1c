"""Many training runs at once: initial values, learning rates and other numbers, over all devices of all processes.

Every run sees the same data; run r is the one that `train` would do with its key and numbers. Runs are computed in
tiles, each one batch whose width depends on the number of runs and the kind of device, but not on how many devices
there are: so any number of them gives the same bits. On a CPU a tile is one run, and the bits are those of `train` if
the optimiser only multiplies by its numbers; what else it computes of them (Adam: 1 - b2) is rounded in a sweep.
"""

import contextlib
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.lax import PrecisionLike
from jax.typing import ArrayLike
from jaxtyping import Array

from functional_mlp._checks import positive_int, require_kind, require_optimizer_factory
from functional_mlp._notebook import table
from functional_mlp.losses import Loss
from functional_mlp.metrics import UserMetric
from functional_mlp.network import Initializer, Network, Params
from functional_mlp.parallel import Processes, agreed, checked_devices, devices_near, of_this_process, processes_of
from functional_mlp.saving import (
    EVERY,
    KEEP,
    Checkpoints,
    Fingerprint,
    Place,
    digest,
    fingerprint_of,
    only_one,
    opened,
)
from functional_mlp.sweeps.grid import LEARNING_RATE, Starts, checked_starts, numbers_of_runs
from functional_mlp.sweeps.part import OptimizerFactory, Part, Runs, bytes_in_a_tile, runs_per_part, train_part
from functional_mlp.sweeps.store import SWEEP_INDEX, Store, in_memory, store_in
from functional_mlp.training import (
    COMMON,
    Callback,
    Settings,
    TrainResult,
    TrainState,
    check_data,
    described,
    history_dtype,
    history_names,
    history_of,
    keeping,
    make_plan,
    named_history,
    named_leaves,
    runs_of_a_tile,
    unnamed,
)

PART = "part"  # the folder of the checkpoints of what is being trained


class SweepResult(NamedTuple):
    """What `sweep` returns: R runs, one per combination of learning rate, other numbers and key, the keys fastest.

    Parameters and states are JAX arrays if the sweep was one part in the memory of one process; NumPy arrays if it had
    several; and arrays mapped from the files of its directory, if it has one.

    Attributes:
        params: parameters after the last epoch, each leaf with a leading axis R.
        history: NumPy arrays by name: `epoch` (evaluations,), and every metric (R, evaluations).
        state: the runs' states, leading axis R but for the epoch.
        keys: (R,) the key of each run.
        learning_rates: (R,) the learning rate of each run.
        hyperparameters: the other numbers of each run, (R,) each, by name.
    """

    params: Params
    history: dict[str, np.ndarray]
    state: TrainState
    keys: Array
    learning_rates: np.ndarray
    hyperparameters: Mapping[str, np.ndarray]

    def __repr__(self) -> str:
        rows = (f"{name} {low:.6g} to {high:.6g}" for name, low, _, high in _at_the_end(self.history))
        rates = len(np.unique(np.asarray(self.learning_rates)))
        return f"<SweepResult: {len(self.learning_rates)} runs, learning rates: {rates}; at the end {', '.join(rows)}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: each metric at the last evaluation, over the runs."""
        caption = f"SweepResult of {len(self.learning_rates)} runs, at the last evaluation"
        return table(caption, ("", "least", "median", "largest"), _at_the_end(self.history))


def loss_so_far(so_far: TrainResult) -> float:
    """The median training loss of the runs of a part of a sweep, at the last evaluation; NaN before the first."""
    losses = np.asarray(so_far.history["train_loss"], np.float64)
    finite = losses[:, -1][np.isfinite(losses[:, -1])] if losses.size else losses.ravel()
    return float(np.median(finite)) if finite.size else np.nan


def _at_the_end(history: Mapping[str, np.ndarray]) -> list[tuple[str, float, float, float]]:
    """The least, median and largest value of each metric over the runs, at the last evaluation."""
    last = [(name, np.asarray(own)[:, -1]) for name, own in history.items() if np.ndim(own) == 2 and own.shape[1]]
    return [(name, float(own.min()), float(np.median(own)), float(own.max())) for name, own in last if len(own)]


def sweep(
    network: Network,
    loss: Loss,
    inputs: ArrayLike,
    targets: ArrayLike,
    *,
    keys: Array,
    epochs: int,
    optimizer: OptimizerFactory = optax.sgd,
    learning_rates: float | Iterable[float] | ArrayLike = 0.01,
    hyperparameters: Mapping[str, float | Iterable[float]] | None = None,
    weights: str | Initializer = "lecun_normal",
    bias: str | Initializer | None = "zeros",
    dtype: Any = jnp.float32,
    params: Params | None = None,
    batch_size: int | None = None,
    shuffle: bool = False,
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
    tile: int | None = None,
    directory: str | os.PathLike[str] | None = None,
    runs_per_part: int | None = None,
    save_every: float = EVERY,
    keep: int = KEEP,
    accept_other_bits: bool = False,
) -> SweepResult:
    """Trains a network from many initial values, and with several learning rates and other numbers.

    Args:
        network, loss, inputs, targets: as in `train`.
        keys: (S,) JAX random keys, `jax.random.split(key, S)`; each gives the initial parameters and the shuffling of a
            run per learning rate and combination of the other numbers.
        epochs: passes over the data, at least 1.
        optimizer: a FACTORY that maps a learning rate, and the `hyperparameters` by name, to an optax transformation,
            such as `optax.sgd`. Pass the same function again to reuse the compiled program.
        learning_rates: one, or several, each tried with every key.
        hyperparameters: further numbers of the optimiser, each one or several: {"momentum": [0.0, 0.9]}. An L2 penalty
            can be one, as optax.add_decayed_weights in the factory.
        weights, bias, dtype: of the initial parameters, as in `init_params`.
        params: initial parameters to use instead (`weights`, `bias`, `dtype` are then not used), each leaf with a
            leading axis S.
        batch_size … precision: as in `train`; `callback` sees results with a leading axis of the runs in this part, and
            ends the sweep with it by returning True: of several parts, those before it are then returned. Of several
            processes, each sees its share of the runs, which may be none, and any of them can end the sweep.
        devices: where to compute; None means all devices of this process of the kind that the data are on, or JAX's
            default device where one was chosen (`jax.default_device`). With those of several processes
            (`jax.devices()` under `jax.distributed`), all call this with the same arguments, and get the same result.
        tile: runs that are computed as one batch; results depend on it, by rounding. None means 1 on a CPU, and on an
            accelerator as many as fit into a fixed amount of memory, at most 4096. Several accelerators need a tile
            each: for 1024 runs on 8 of them, ask for tiles of 128.
        directory: where to write the results of each part as soon as they are there, as .npy files, and the part that
            is being trained from time to time; needs orbax-checkpoint. The same call goes on with what is there, to the
            same bits, on any number of devices and processes. Process 0 writes it; all of them must see it.
        runs_per_part: runs in one program; None means as many as fit into the memory.
        save_every: seconds between two checkpoints of the part, written after a chunk of epochs.
        keep: how many of them are kept.
        accept_other_bits: whether to go on with a sweep that another JAX has begun, or another kind of machine; as in
            `train`.

    Returns:
        Parameters, history and state of every run.

    Raises:
        ImportError: for a directory, without orbax-checkpoint.
        TypeError, ValueError: as in `train` and `init_params`; also for keys that are no axis of keys, and for a
            directory of another sweep, or processes that were asked for different ones.
        OSError: if the directory cannot be written.
        ConnectionError: if another process of the sweep has ended.
    """
    require_kind("network", network, Network, "fm.Network(sizes, activations)")
    require_kind("loss", loss, Loss, "fm.Loss(kind)")
    require_optimizer_factory(optimizer)
    starts = checked_starts(Starts(network, keys, weights, bias, dtype, params))
    numbers = numbers_of_runs(learning_rates, hyperparameters, len(keys))
    params_of_one = starts.one()
    data = check_data(network, loss, params_of_one, inputs, targets, sample_weights, eval_inputs, eval_targets)
    where = devices_near(data.inputs) if devices is None else checked_devices(devices)
    processes = processes_of(where)
    data = jax.device_put(data, of_this_process(where)[0])
    asked = Settings(epochs, batch_size, shuffle, eval_every, evaluate, metrics, chunk_epochs, precision)
    plan = make_plan(network, loss, data, asked)
    if tile is None:
        needed = bytes_in_a_tile(network, params_of_one, plan, data)
        tile = runs_of_a_tile(where[0].platform, len(numbers[LEARNING_RATE]), needed)
    tile, epochs = positive_int("tile", tile), positive_int("epochs", epochs)
    runs = Runs(plan, data, optimizer, epochs, starts, numbers, where, processes, tile)
    place = None if directory is None else Place(Path(directory), save_every, keep, accept_other_bits)
    if place is None and processes.count == 1:
        return _in_parts(runs, runs_per_part, None, callback)
    known_by = _fingerprint_of_sweep(runs)
    same = {"parts": runs_per_part, "chunk_epochs": plan.chunk_epochs, "saved": place is not None, "tile": tile}
    processes.require_same(known_by.in_every_process | same)
    saved_as = None if place is None else _Saved(place, known_by)
    return _in_parts(runs, runs_per_part, saved_as, agreed(processes, callback))


def _fingerprint_of_sweep(runs: Runs) -> Fingerprint:
    """What a sweep is known by; how its runs are cut into tiles changes bits alone."""
    run = described(runs.plan, runs.data) | {
        "epochs": runs.epochs,
        "runs": runs.count,
        "numbers": {name: digest(values) for name, values in runs.numbers.items()},
        "keys": digest(runs.keys),
        "initial parameters": runs.starts.described(),
    }
    return fingerprint_of(run, runs.program(), runs.devices[0], tile=str(runs.tile))


class _Saved(NamedTuple):
    """Where a sweep is saved, and as which."""

    place: Place
    known_by: Fingerprint


def _in_parts(runs: Runs, wanted: int | None, saved_as: _Saved | None, callback: Callback | None) -> SweepResult:
    step = runs_per_part(runs, wanted, to_disk=saved_as is not None)
    stopped = False

    def watched(so_far: TrainResult) -> bool | None:
        nonlocal stopped
        stopped = bool(callback(so_far))  # type: ignore[misc]
        return stopped

    watching = None if callback is None else watched
    processes = runs.processes
    if saved_as is None and step >= runs.count and processes.count == 1:
        part = train_part(runs, Part(0, runs.count, step), watching)
        return _result(runs, part.state, part.history)
    state = jax.eval_shape(lambda: runs.states(np.zeros(1, int))[0])
    with contextlib.ExitStack() as stack:

        def claim() -> Store:
            if saved_as is not None:
                stack.enter_context(only_one(saved_as.place.path))
            return _store(runs, state, saved_as)

        checkpoints = None
        store = claim() if saved_as is None else processes.by_first(claim)
        done = processes.told(store and store.done)[0]
        if saved_as is not None:
            _require_shared(saved_as.place.path, processes)
        if saved_as is not None and done < runs.count:
            place = replace(saved_as.place, path=saved_as.place.path / PART)
            checkpoints = stack.enter_context(opened(place, processes))
        while done < runs.count and not stopped:
            part = _train_next(runs, done, step, checkpoints, watching)
            if int(part.state.epoch) == runs.epochs:
                arrays = _of_all(runs, named_leaves(part.state) | named_history(part.history))
                if store is not None:
                    store.put(done, arrays)
                done += len(next(iter(arrays.values())))
    if store is not None and saved_as is not None and done == runs.count:
        shutil.rmtree(saved_as.place.path / PART, ignore_errors=True)  # all runs are in the store
    processes.any(False)  # all is written
    result = _stored(runs, state, store or _store(runs, state, saved_as))
    processes.any(False)  # and read: whoever wants to may remove it now
    return result


def _require_shared(directory: Path, processes: Processes) -> None:
    """Raises in all processes if one of them does not see what the first has written."""
    if processes.any(not (directory / SWEEP_INDEX).exists()):
        raise ValueError(f"expected a directory that all processes share, got {directory}, which some do not see")


def _train_next(
    runs: Runs, first: int, step: int, checkpoints: Checkpoints | None, callback: Callback | None
) -> TrainResult:
    """The part that begins with run `first`, from where it was saved, if it was."""
    last = min(first + step, runs.count)
    if checkpoints is None:
        return train_part(runs, Part(first, last, step), callback)
    saved = checkpoints.latest()
    if saved is None or saved.about.get("first") != first:
        arrays = None
    else:
        arrays, last = saved.arrays, int(saved.about["last"])  # as it was cut then
    about = {"first": first, "last": last}
    offset = first * (runs.epochs + 1)
    saving = keeping(checkpoints, callback, offset=offset, about=about, gathered=partial(_of_all, runs))
    return train_part(runs, Part(first, last, max(step, last - first)), saving, arrays)


def _of_all(runs: Runs, arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What this process has of some runs, and what the others have of theirs, in the order of the runs."""
    held = {name: np.asarray(array) for name, array in arrays.items()}
    rows = {name: array for name, array in held.items() if name not in COMMON}
    return held | runs.processes.gathered(rows)


def _result(runs: Runs, state: TrainState, history: dict[str, np.ndarray]) -> SweepResult:
    """The result of as many of the runs as `state` has keys."""
    assert state.key is not None
    numbers = {name: values[: len(state.key)] for name, values in runs.numbers.items()}
    return SweepResult(state.params, history, state, state.key, numbers.pop(LEARNING_RATE), numbers)


# results of several parts


def _store(runs: Runs, state: TrainState, saved_as: _Saved | None) -> Store:
    shapes = {name: ((runs.count, *leaf.shape[1:]), leaf.dtype) for name, leaf in named_leaves(state).items()}
    dtype = history_dtype(runs.data)
    shapes |= {
        f"history.{name}": ((runs.count, runs.evaluations), dtype) for name in history_names(runs.plan, runs.data)
    }
    if saved_as is None:
        return in_memory(shapes)
    return store_in(saved_as.place, shapes, saved_as.known_by, reading=not runs.processes.first)


def _stored(runs: Runs, state: TrainState, store: Store) -> SweepResult:
    """The result of the runs that are done, from the arrays of `store`."""
    done = {name: array[: store.done] for name, array in store.arrays.items()}
    for array in done.values():
        array.flags.writeable = False  # they may be the sweep's own files
    params, opt_state = unnamed(done, state)
    epochs = np.arange(0, runs.epochs, runs.plan.eval_every)
    keys = runs.keys[np.arange(store.done) % len(runs.keys)]
    after = TrainState(params, opt_state, keys, jnp.asarray(runs.epochs, jnp.int32))
    return _result(runs, after, {"epoch": epochs} | history_of(done))
