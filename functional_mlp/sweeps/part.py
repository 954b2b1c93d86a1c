"""The runs of a sweep, and the program that trains a part of them at once, spread over devices and processes.

Runs need nothing of each other: each process computes its share of a part by a program of its own, over its own
devices, and they meet when the program of a chunk has ended.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import psutil
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from functional_mlp._checks import positive_int
from functional_mlp.network import Network, Params
from functional_mlp.parallel import Processes, of_this_process
from functional_mlp.saving import program_digest
from functional_mlp.sweeps.grid import LEARNING_RATE, Starts
from functional_mlp.training import (
    COMMON,
    Callback,
    Data,
    Options,
    Plan,
    TrainResult,
    TrainState,
    history_names,
    init_train_state,
    program_of,
    result_of,
    run_chunk,
    run_chunks,
)

OptimizerFactory = Callable[..., optax.GradientTransformation]
Numbers = dict[str, Any]  # (R,) each, by the name that the factory knows them by
_RUNS = "runs"  # the mesh axis
_SHARE_OF_MEMORY = 0.25
RUNS_TO_DISK = 256  # a part that is streamed to disk has about as many, so that little is lost with one


@dataclass(frozen=True)
class Runs:
    """The runs of a sweep, checked, before anything is compiled.

    Attributes:
        plan, data: as of one run.
        optimizer: the factory.
        epochs: to do.
        starts: keys (S,) and initial parameters; run r has number r modulo S.
        numbers: those of each run, (R,), by name, the learning rate among them.
        devices: where to compute.
        processes: those that own the devices.
        tile: runs per batch.
    """

    plan: Plan
    data: Data
    optimizer: OptimizerFactory
    epochs: int
    starts: Starts
    numbers: dict[str, np.ndarray]
    devices: tuple[jax.Device, ...]
    processes: Processes
    tile: int

    @property
    def keys(self) -> Array:
        """(S,)."""
        return self.starts.keys

    @property
    def count(self) -> int:
        """R."""
        return len(self.numbers[LEARNING_RATE])

    @property
    def unit(self) -> int:
        """As many runs as keep every device busy; a part that is no multiple of it is filled up."""
        return self.tile * len(self.devices)

    @property
    def evaluations(self) -> int:
        """Rows of a run's history."""
        return -(-self.epochs // self.plan.eval_every)

    def states(self, which: np.ndarray) -> tuple[TrainState, Numbers]:
        """The states before the first update of the runs `which` (n,), and their numbers."""
        params = self.starts.of(which % len(self.keys))
        numbers = {name: _weakly_typed(values[which]) for name, values in self.numbers.items()}
        return _init_states(self.optimizer, params, self.keys[which % len(self.keys)], numbers), numbers

    def program(self) -> str:
        """A digest of the program of one run, and of the one that draws its initial parameters."""
        state, numbers = jax.eval_shape(lambda: self.states(np.zeros(1, int)))
        shapes, numbers = jax.tree.map(lambda leaf: _first(leaf), (state[:3], numbers))

        def one_run(shapes: Any, numbers: Numbers, epoch: Any, count: Any, data: Data) -> Any:
            return program_of(self.plan, _made(self.optimizer, numbers))(_state(shapes, epoch), count, data)

        return program_digest(one_run, shapes, numbers, state.epoch, np.int32(1), self.data) + self.starts.program()


def _first(leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype, weak_type=leaf.weak_type)


def _weakly_typed(values: np.ndarray) -> Array:
    """`values` with JAX's type of Python's numbers: an optimiser's arithmetic then has the dtype of its parameters."""
    return jnp.full(values.shape, 0.0).at[:].set(values)


def _made(factory: OptimizerFactory, numbers: Numbers) -> optax.GradientTransformation:
    others = {name: value for name, value in numbers.items() if name != LEARNING_RATE}
    return factory(numbers[LEARNING_RATE], **others)


@partial(jax.jit, static_argnums=(0,))
def _init_states(optimizer: OptimizerFactory, params: Params, keys: Array, numbers: Numbers) -> TrainState:
    def one_run(params: Params, key: Array, numbers: Numbers) -> TrainState:
        return init_train_state(params, _made(optimizer, numbers), key)

    axes = TrainState(params=0, opt_state=0, key=0, epoch=None)  # type: ignore[arg-type]  # the epoch is common to all
    return jax.vmap(one_run, out_axes=axes)(params, keys, numbers)


def _state(own: Any, epoch: Array) -> TrainState:
    """The state of what each run has of its own, and the epoch, which is common to all."""
    params, opt_state, key = own
    return TrainState(params, opt_state, key, epoch)


@cache
def _chunk_program(options: Options, mesh: Mesh, tile: int) -> Any:
    """The compiled (plan, optimizer, states, numbers, count, data) -> (states, rows), the runs spread over `mesh`."""

    def chunk(
        plan: Plan, optimizer: OptimizerFactory, states: TrainState, numbers: Numbers, count: Array, data: Data
    ) -> tuple[TrainState, Array]:
        def share(states: Any, numbers: Numbers, epoch: Array, count: Array, data: Data) -> tuple[Any, Array]:
            def one_run(run: tuple[Any, Numbers]) -> tuple[Any, Array]:
                # the epoch is common to all, so that evaluations are really skipped at the epochs that have none
                state, rows = run_chunk(plan, _made(optimizer, run[1]), _state(run[0], epoch), count, data)
                return state[:3], rows

            return jax.lax.map(one_run, (states, numbers), batch_size=None if tile == 1 else tile)

        each, common = PartitionSpec(_RUNS), PartitionSpec()
        # unchecked: the branches of an optimiser's own conditionals need not vary over the devices alike
        specs = (each, each, common, common, common)
        spread = jax.shard_map(share, mesh=mesh, in_specs=specs, out_specs=each, check_vma=False)
        after, rows = spread(states[:3], numbers, states.epoch, count, data)
        return _state(after, states.epoch + count), rows

    return jax.jit(chunk, static_argnums=(0, 1), compiler_options=dict(options))


class Part(NamedTuple):
    """The runs `first` to `last` - 1, computed by the program of a part of `size` runs."""

    first: int
    last: int
    size: int


def train_part(
    runs: Runs, part: Part, callback: Callback | None, saved: Mapping[str, np.ndarray] | None = None
) -> TrainResult:
    """Trains some of the runs in one program; every leaf of what it returns has a leading axis but for the epoch.

    Args:
        runs: all of them.
        part: which.
        callback: as in `sweep`.
        saved: what `arrays_of` gave of these runs at an earlier epoch, to go on from.

    Returns:
        The runs of the part; of several processes, each gets its share (`gathered` puts them together).
    """
    filled = -(-part.size // runs.unit) * runs.unit
    everything = np.arange(part.first, part.first + filled)[runs.processes.share(filled)]
    wanted = int((everything < part.last).sum())
    which = np.minimum(everything, part.last - 1)  # what fills up is the last
    states, numbers = runs.states(which)
    before = None
    if saved is not None:
        arrays = {name: x if name in COMMON else x[which - part.first] for name, x in saved.items()}
        _, before, states = result_of(arrays, states)
    mesh = Mesh(np.array(of_this_process(runs.devices)), (_RUNS,))
    everywhere, spread = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec(_RUNS))
    states = _state(jax.device_put(states[:3], spread), jax.device_put(states.epoch, everywhere))
    numbers, data = jax.device_put(numbers, spread), jax.device_put(runs.data, everywhere)
    program = _chunk_program(runs.plan.compiling.options, mesh, runs.tile)

    def compiled(states: TrainState, count: Any, data: Data) -> tuple[TrainState, Array]:
        return program(runs.plan, runs.optimizer, states, numbers, count, data)

    def trimmed(result: TrainResult) -> TrainResult:
        if wanted == len(which):
            return result
        history = {name: x if name == "epoch" else x[:wanted] for name, x in result.history.items()}
        each = jax.tree.map(lambda leaf: leaf[:wanted], result.state[:3])
        return TrainResult(each[0], history, _state(each, result.state.epoch))

    told = None if callback is None else lambda so_far: callback(trimmed(so_far))
    return trimmed(run_chunks(runs.plan, compiled, states, data, runs.epochs, told, before))


def bytes_in_a_tile(network: Network, params: Params, plan: Plan, data: Data) -> int:
    """About what a run needs while its tile is computed: parameters and what an optimiser keeps, activations twice."""
    width = sum(network.sizes)
    evaluated = [x.shape[0] for x in (data.inputs, data.eval_inputs) if x is not None] if plan.metrics else [0]
    weights = sum(leaf.size for leaf in jax.tree.leaves(params))
    return params[0].weights.dtype.itemsize * (6 * weights + 2 * width * max(plan.batch_size, *evaluated))


def bytes_in_a_part(runs: Runs) -> int:
    """What a run holds all the time that its part is computed: a state that goes in, and one that comes out."""
    state = jax.eval_shape(lambda: runs.states(np.zeros(1, int))[0])
    history = runs.evaluations * len(history_names(runs.plan, runs.data))
    # beside what is being computed
    return 3 * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state[:2])) + 8 * history


def runs_per_part(runs: Runs, wanted: int | None, to_disk: bool) -> int:
    """`wanted`, or as many runs as fit into a share of the memory that is free now, whole units if possible.

    How the runs are cut into parts changes no result.
    """
    if wanted is not None:
        fitting = positive_int("runs_per_part", wanted)
    else:
        free = runs.processes.count * _free_memory(of_this_process(runs.devices))
        fitting = int(_SHARE_OF_MEMORY * free) // bytes_in_a_part(runs)
        if to_disk:
            fitting = min(fitting, max(RUNS_TO_DISK, runs.unit))
        fitting = max(fitting - fitting % runs.unit, runs.unit)
    parts = -(-runs.count // runs.processes.told(fitting)[0])
    return -(-runs.count // parts)  # of one size, so that one program does for all


def _free_memory(devices: tuple[Any, ...]) -> int:
    stats = [device.memory_stats() for device in devices]
    if all(stats):
        return sum(each["bytes_limit"] - each["bytes_in_use"] for each in stats)
    return min(psutil.virtual_memory().available, _left_to_the_container())


def _left_to_the_container() -> int:
    """Bytes that the control group of this process may still take, on Linux; all there could be without a bound."""
    try:
        limit, used = (Path("/sys/fs/cgroup", name).read_text().strip() for name in ("memory.max", "memory.current"))
        return int(limit) - int(used)
    except (OSError, ValueError):  # there is none, or "max"
        return sys.maxsize
