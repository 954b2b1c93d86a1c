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
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.lax import PrecisionLike
from jax.typing import ArrayLike
from jaxtyping import Array

from functional_mlp._checks import finite_float, is_key, positive_int, random_key, require_optimizer_factory
from functional_mlp.losses import Loss
from functional_mlp.metrics import UserMetric
from functional_mlp.network import Initializer, Network, Params, check_params, init_params
from functional_mlp.parallel import Processes, agreed, checked_devices, devices_near, of_this_process, processes_of
from functional_mlp.saving import EVERY, KEEP, Checkpoints, only_one, opened
from functional_mlp.sweeps.part import LEARNING_RATE, OptimizerFactory, Part, Runs, runs_per_part, train_part
from functional_mlp.sweeps.store import INDEX, Store, in_directory, in_memory
from functional_mlp.training import (
    COMMON,
    Callback,
    Data,
    Plan,
    TrainResult,
    TrainState,
    check_data,
    described,
    digest,
    history_dtype,
    history_names,
    history_of,
    keeping,
    make_plan,
    named_history,
    named_leaves,
    program_digest,
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


def _each(what: str, values: float | Iterable[float] | ArrayLike) -> list[float]:
    if hasattr(values, "__array__"):
        values = np.atleast_1d(np.asarray(values)).tolist()
    given = list(values) if isinstance(values, Iterable) else [values]
    if not given:
        raise ValueError(f"expected at least one {what}, got none")
    return [finite_float(what, value) for value in given]


def _numbers(
    learning_rates: float | Iterable[float] | ArrayLike, others: Mapping[str, float | Iterable[float]], keys: int
) -> dict[str, np.ndarray]:
    """The numbers of every run: all combinations, each for every key."""
    if not isinstance(others, Mapping):
        raise TypeError(f"expected hyperparameters as a mapping from names to numbers, got {type(others).__name__}")
    if LEARNING_RATE in others:
        raise ValueError(f"expected {LEARNING_RATE} as learning_rates, got it among the hyperparameters")
    for name in others:
        if not isinstance(name, str):
            raise TypeError(f"expected the names of hyperparameters as strings, got {name!r}")
    axes = {LEARNING_RATE: _each("learning rate", learning_rates)}
    axes |= {name: _each(name, values) for name, values in others.items()}
    grid = np.repeat(np.array(list(product(*axes.values()))), keys, axis=0)
    return {name: grid[:, column] for column, name in enumerate(axes)}


def _stacked_params(network: Network, params: Params, runs: int) -> Params:
    """Initial parameters of `runs` runs, checked as one run's are."""
    lengths = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(params)}
    if lengths != {(runs,)}:
        raise ValueError(
            f"expected params with a leading axis of {runs} on every leaf, one entry per key, got {lengths}"
        )
    return jax.vmap(partial(check_params, network))(jax.tree.map(jnp.asarray, params))


def _require_independent_draws(keys: Array) -> None:
    """Raises unless what is drawn from a key does not depend on the keys beside it."""
    if is_key(keys) and str(jax.random.key_impl(keys)) != "threefry2x32":
        kind = jax.random.key_impl(keys)
        raise ValueError(
            f"expected keys of the kind threefry2x32, whose draws do not depend on those beside them, got {kind}; make"
            ' them with jax.random.key(seed, impl="threefry2x32")'
        )


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

    Returns:
        Parameters, history and state of every run.

    Raises:
        ImportError: for a directory, without orbax-checkpoint.
        TypeError, ValueError: as in `train` and `init_params`; also for keys that are no axis of keys, and for a
            directory of another sweep, or processes that were asked for different ones.
        OSError: if the directory cannot be written.
        ConnectionError: if another process of the sweep has ended.
    """
    require_optimizer_factory(optimizer)
    random_key("keys", keys, ndim=1)
    _require_independent_draws(keys)
    numbers = _numbers(learning_rates, {} if hyperparameters is None else hyperparameters, len(keys))
    if params is None:
        draw = partial(init_params, network, weights=weights, bias=bias, dtype=dtype)
        one = jax.eval_shape(draw, keys[0])  # errors outside of vmap read better
    else:
        stacked = _stacked_params(network, params, len(keys))
        one = jax.tree.map(lambda leaf: leaf[0], stacked)

    def start(which: np.ndarray) -> Params:
        if params is None:
            return jax.vmap(draw)(keys[which])
        return jax.tree.map(lambda leaf: leaf[which], stacked)

    data = check_data(network, one, inputs, targets, sample_weights, eval_inputs, eval_targets)
    where = devices_near(data.inputs) if devices is None else checked_devices(devices)
    processes = processes_of(where)
    data = jax.device_put(data, of_this_process(where)[0])
    plan = make_plan(
        network,
        loss,
        data,
        epochs=epochs,
        batch_size=batch_size,
        shuffle=shuffle,
        eval_every=eval_every,
        evaluate=evaluate,
        metrics=metrics,
        chunk_epochs=chunk_epochs,
        precision=precision,
    )
    if tile is None:
        tile = runs_of_a_tile(where[0].platform, len(numbers[LEARNING_RATE]), _bytes_of_a_run(network, one, plan, data))
    known_by = program_digest(draw, keys[0]) if params is None else digest(stacked)
    tile = positive_int("tile", tile)
    epochs = positive_int("epochs", epochs)
    runs = Runs(plan, data, optimizer, epochs, keys, start, known_by, numbers, where, processes, tile)
    folder = None if directory is None else _Folder(Path(directory), save_every, keep)
    if processes.count > 1:
        same = {"parts": runs_per_part, "chunk_epochs": plan.chunk_epochs, "saved": folder is not None}
        processes.require_same(_description(runs) | same)
    return _in_parts(runs, runs_per_part, folder, agreed(processes, callback))


def _bytes_of_a_run(network: Network, params: Params, plan: Plan, data: Data) -> int:
    """About what a run holds while it is computed: parameters and what an optimiser keeps, and activations twice."""
    width = sum(network.sizes)
    evaluated = [x.shape[0] for x in (data.inputs, data.eval_inputs) if x is not None] if plan.metrics else [0]
    itemsize = params[0].weights.dtype.itemsize
    weights = sum(leaf.size for leaf in jax.tree.leaves(params))
    return itemsize * (6 * weights + 2 * width * max(plan.batch_size, *evaluated))


class _Folder(NamedTuple):
    """Where a sweep is saved, and how often."""

    path: Path
    save_every: float
    keep: int


def _in_parts(runs: Runs, wanted: int | None, folder: _Folder | None, callback: Callback | None) -> SweepResult:
    step = runs_per_part(runs, wanted, to_disk=folder is not None)
    stopped = False

    def watched(so_far: TrainResult) -> bool | None:
        nonlocal stopped
        stopped = bool(callback(so_far))  # type: ignore[misc]
        return stopped

    seen = None if callback is None else watched

    processes = runs.processes
    if folder is None and step >= runs.count and processes.count == 1:
        part = train_part(runs, Part(0, runs.count, step), seen)
        return _result(runs, part.state, part.history)
    state = jax.eval_shape(lambda: runs.states(np.zeros(1, int))[0])
    with contextlib.ExitStack() as stack:

        def claim() -> Store:
            if folder is not None:
                stack.enter_context(only_one(folder.path))
            return _store(runs, state, folder)

        checkpoints = None
        store = claim() if folder is None else processes.by_first(claim)
        done = processes.told(store and store.done)[0]
        if folder is not None:
            _require_shared(folder.path, processes)
        if folder is not None and done < runs.count:
            checkpoints = stack.enter_context(opened(folder.path / PART, folder.save_every, folder.keep, processes))
        while done < runs.count and not stopped:
            part = _train_next(runs, done, step, checkpoints, seen)
            if int(part.state.epoch) == runs.epochs:
                arrays = _of_all(runs, named_leaves(part.state) | named_history(part.history))
                if store is not None:
                    store.put(done, arrays)
                done += len(next(iter(arrays.values())))
    if store is not None and folder is not None and done == runs.count:
        shutil.rmtree(folder.path / PART, ignore_errors=True)
    processes.any(False)  # all is written
    result = _stored(runs, state, store or _store(runs, state, folder))
    processes.any(False)  # and read: whoever wants to may remove it now
    return result


def _require_shared(directory: Path, processes: Processes) -> None:
    """Raises in all processes if one of them does not see what the first has written."""
    if processes.any(not (directory / INDEX).exists()):
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
    seen = keeping(checkpoints, callback, offset=offset, about=about, gathered=partial(_of_all, runs))
    return train_part(runs, Part(first, last, max(step, last - first)), seen, arrays)


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


def _store(runs: Runs, state: TrainState, folder: _Folder | None) -> Store:
    shapes = {name: ((runs.count, *leaf.shape[1:]), leaf.dtype) for name, leaf in named_leaves(state).items()}
    dtype = history_dtype(runs.data)
    shapes |= {
        f"history.{name}": ((runs.count, runs.evaluations), dtype) for name in history_names(runs.plan, runs.data)
    }
    if folder is None:
        return in_memory(shapes)
    return in_directory(folder.path, shapes, _description(runs), reading=not runs.processes.first)


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


def _description(runs: Runs) -> dict[str, Any]:
    return described(runs.plan, runs.data) | {
        "epochs": runs.epochs,
        "runs": runs.count,
        "numbers": {name: digest(values) for name, values in runs.numbers.items()},
        "keys": digest(runs.keys),
        "initial parameters": runs.known_by,
        "program": runs.program(),
        "tile": runs.tile,
    }
