"""What training computes: an update, epochs of them in one compiled program, and the host's side of that program.

Inside a chunk of epochs everything (batches, epochs, evaluation) is one XLA program; between chunks a callback sees the
state and the history so far, and may keep them or stop. A partial last batch is filled up with samples of weight 0, so
that it is neither dropped nor mis-scaled.

Over several devices, the samples of every batch are spread, and the parameters are on each: the compiler finds from
that where the gradient is to be summed over the devices.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.lax import PrecisionLike
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import ArrayLike
from jaxtyping import Array

from functional_mlp._checks import require_optimizer
from functional_mlp._dtypes import working_dtype
from functional_mlp.backward_pass import loss_and_grad
from functional_mlp.forward_pass import forward
from functional_mlp.losses import Loss
from functional_mlp.metrics import Evaluation
from functional_mlp.network import Network, Params
from functional_mlp.parallel import vary_over, varying_axes
from functional_mlp.training.compilation import Compiling, Options, in_one_kernel
from functional_mlp.training.plan import SAMPLES, Data, Plan
from functional_mlp.training.state import (
    Callback,
    StepMetrics,
    TrainResult,
    TrainState,
)


def train_step(
    network: Network,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    state: TrainState,
    inputs: ArrayLike,
    targets: ArrayLike,
    sample_weights: ArrayLike | None = None,
    *,
    precision: PrecisionLike = "highest",
) -> tuple[TrainState, StepMetrics]:
    """One update from one batch with the hand-written gradient; pure, to be jitted by the caller.

    Args:
        network, loss: the specification.
        optimizer: any optax transformation.
        state: the state before.
        inputs: (n, n_0).
        targets: (n, n_L).
        sample_weights: (n,) or None.
        precision: of the matrix products, as in `forward`.

    Returns:
        The state after (its epoch count is left alone), and the metrics of the update.

    Raises:
        TypeError, ValueError: as `loss_and_grad`.
    """
    require_optimizer(optimizer)

    def value_and_grad(params: Params) -> tuple[Array, Params]:
        return loss_and_grad(network, loss, params, inputs, targets, sample_weights, precision=precision)

    value, grads = value_and_grad(state.params)
    # optimisers that search along a line, or watch the loss, take these too; the others are spared them
    extra = {"value": value, "grad": grads, "value_fn": _differentiable(value_and_grad)}
    update = optax.with_extra_args_support(optimizer).update
    updates, opt_state = update(grads, state.opt_state, state.params, **extra)
    params = optax.apply_updates(state.params, updates)
    return state._replace(params=params, opt_state=opt_state), StepMetrics(value, _norm(grads))


def _differentiable(value_and_grad: Callable[[Params], tuple[Array, Params]]) -> Callable[[Params], Array]:
    """The loss as a function of the parameters whose derivative, for whoever takes it, is the hand-written one."""

    @jax.custom_vjp
    def value_fn(params: Params) -> Array:
        return value_and_grad(params)[0]

    def pull_back(grads: Params, ct: Array) -> tuple[Params]:
        return (jax.tree.map(lambda grad: ct.astype(grad.dtype) * grad, grads),)

    value_fn.defvjp(value_and_grad, pull_back)
    return value_fn


def _norm(grads: Params) -> Array:
    """Euclidean norm over all leaves, in their working dtype."""
    return optax.tree.norm(jax.tree.map(lambda grad: grad.astype(working_dtype(grad.dtype)), grads))


# the compiled part


def _evaluate(plan: Plan, params: Params, data: Data) -> Array:
    """One row of the history: every metric on the training set, then on the evaluation set."""
    sets = [(data.inputs, data.targets, data.sample_weights)]
    if data.eval_inputs is not None and data.eval_targets is not None:
        sets.append((data.eval_inputs, data.eval_targets, None))
    row: list[Array] = []
    for inputs, targets, weights in (_spread(plan, each, axis=0) for each in sets):
        _, tape = forward(plan.network, params, inputs, precision=plan.precision)
        evaluation = Evaluation(plan.network, plan.loss, params, tape, targets, weights)
        row.extend(metric(evaluation).astype(history_dtype(data)) for _, metric in plan.metrics)
    return jnp.stack(row)


def _spread(plan: Plan, arrays: Any, axis: int) -> Any:
    """`arrays`, computed in shares of that axis, of samples, on the devices of the plan, if it has several."""
    if plan.mesh is None:
        return arrays
    # shares need not be equal: the compiler fills the last one up, and leaves what it filled up out of every sum
    return jax.lax.with_sharding_constraint(arrays, NamedSharding(plan.mesh, PartitionSpec(*(None,) * axis, SAMPLES)))


def history_dtype(data: Data) -> Any:
    """The dtype of a history: that of the data, or float32 for 16-bit data."""
    return working_dtype(data.inputs.dtype)


def history_names(plan: Plan, data: Data) -> list[str]:
    """The names of a history's columns: every metric on the training set, then on the evaluation set."""
    prefixes = ["train"] if data.eval_inputs is None else ["train", "eval"]
    return [f"{prefix}_{name}" for prefix in prefixes for name, _ in plan.metrics]


def _batches(plan: Plan, data: Data, order: Array | None) -> tuple[Array, Array, Array | None]:
    """inputs, targets and sample weights of an epoch with a leading axis of batches, the last filled up by weight 0."""
    arrays = (data.inputs, data.targets, data.sample_weights)
    inputs, targets, weights = jax.tree.map(lambda x: x if order is None else x[order], arrays)
    samples = inputs.shape[0]
    missing = -samples % plan.batch_size
    if missing:  # what fills the last batch has weight 0, and is never looked at
        weights = jnp.ones((samples,), inputs.dtype) if weights is None else weights
        inputs, targets, weights = (
            jnp.concatenate([x, jnp.zeros((missing, *x.shape[1:]), x.dtype)]) for x in (inputs, targets, weights)
        )
    batches = jax.tree.map(lambda x: x.reshape(-1, plan.batch_size, *x.shape[1:]), (inputs, targets, weights))
    return _spread(plan, batches, axis=1)


_SHUFFLING = 0x53485546  # keeps these draws apart from those of `init_params` with the same key


def epoch_order(key: Any, epoch: Array | int, samples: int) -> Array:
    """The order in which epoch `epoch` takes its samples: a permutation (samples,) of their indices."""
    return jax.random.permutation(jax.random.fold_in(jax.random.fold_in(key, _SHUFFLING), epoch), samples)


def _run_epoch(plan: Plan, optimizer: optax.GradientTransformation, state: TrainState, data: Data) -> TrainState:
    order = None
    if plan.shuffle:
        order = epoch_order(state.key, state.epoch, data.inputs.shape[0])
    step = partial(train_step, plan.network, plan.loss, optimizer, precision=plan.precision)

    def update(
        carry: tuple[Params, optax.OptState], batch: tuple[Array, Array, Array | None]
    ) -> tuple[tuple[Params, optax.OptState], None]:
        params, opt_state = carry
        after, _ = step(state._replace(params=params, opt_state=opt_state), *batch)
        return (after.params, after.opt_state), None

    def updates(
        carry: tuple[Params, optax.OptState], batches: tuple[Array, Array, Array | None]
    ) -> tuple[Params, optax.OptState]:
        return jax.lax.scan(update, carry, batches, unroll=plan.compiling.unroll)[0]

    updates = in_one_kernel(updates) if plan.compiling.one_kernel else updates
    params, opt_state = updates((state.params, state.opt_state), _batches(plan, data, order))
    return state._replace(params=params, opt_state=opt_state)


def run_chunk(
    plan: Plan, optimizer: optax.GradientTransformation, state: TrainState, count: Array, data: Data
) -> tuple[TrainState, Array]:
    """`count` (at most plan.chunk_epochs) epochs from `state`, and the rows of the history in order, then zeros.

    `count` is traced, so that a shorter last chunk needs no program of its own. Under vmap keep `state.epoch`
    unbatched: the evaluations are then really skipped at the epochs that have none.
    """
    capacity = plan.chunk_epochs // plan.eval_every + 1
    # under shard_map, the history varies over the devices as the runs do
    axes = varying_axes(state, data)
    rows = vary_over(axes, jnp.zeros((capacity, len(history_names(plan, data))), history_dtype(data)))

    def record(when: str, state: TrainState, rows: Array, used: Array) -> tuple[Array, Array]:
        if when != plan.evaluate or not plan.metrics:
            return rows, used
        due = state.epoch % plan.eval_every == 0
        rows = jax.lax.cond(due, lambda: rows.at[used].set(_evaluate(plan, state.params, data)), lambda: rows)
        return rows, used + due.astype(used.dtype)

    def one_epoch(_: Array, carry: tuple[TrainState, Array, Array]) -> tuple[TrainState, Array, Array]:
        state, rows, used = carry
        rows, used = record("before", state, rows, used)
        state = _run_epoch(plan, optimizer, state, data)
        rows, used = record("after", state, rows, used)
        return state._replace(epoch=state.epoch + 1), rows, used

    state, rows, _ = jax.lax.fori_loop(0, count, one_epoch, (state, rows, jnp.zeros((), jnp.int32)))
    return state, rows


@cache
def compiled_chunk(options: Options, mesh: Mesh | None) -> Any:
    """`run_chunk`, compiled with these options of XLA: one function for all runs that share them."""
    results = None if mesh is None else NamedSharding(mesh, PartitionSpec())
    return jax.jit(run_chunk, static_argnums=(0, 1), compiler_options=dict(options), out_shardings=results)


def run_chunks(
    plan: Plan,
    compiled: Callable[[TrainState, Any, Data], tuple[TrainState, Array]],
    state: TrainState,
    data: Data,
    epochs: int,
    callback: Callback | None,
    before: Mapping[str, np.ndarray] | None = None,
) -> TrainResult:
    """Calls `compiled` chunk by chunk until `epochs` are done in all, gathering the history; the host's side of a run.

    Args:
        plan: as compiled.
        compiled: (state, count, data) -> (state, rows), `run_chunk` or a vmapped one with leading axes on the rows.
        state: where to start; its epoch count is respected.
        data: the arrays.
        epochs: the epoch count to reach.
        callback: see `train`.
        before: the history of the epochs before, if it is to be part of the result.
    """
    names = history_names(plan, data)
    recorded: list[np.ndarray] = []
    rows: list[np.ndarray] = []
    if before is not None and names:
        recorded, rows = [before["epoch"]], [np.stack([before[name] for name in names], axis=-1)]

    def result() -> TrainResult:
        values = np.concatenate(rows, axis=-2)
        history = {"epoch": np.concatenate(recorded)} | {name: values[..., i] for i, name in enumerate(names)}
        return TrainResult(state.params, history, state)

    done = int(state.epoch)
    if done >= epochs:
        raise ValueError(f"expected epochs to be more than the {done} that the state has done, got {epochs}")
    while done < epochs:
        count = min(plan.chunk_epochs, epochs - done)
        state, chunk_rows = compiled(state, np.int32(count), data)
        due = np.arange(-(-done // plan.eval_every) * plan.eval_every, done + count, plan.eval_every)
        recorded.append(due)
        rows.append(np.asarray(chunk_rows)[..., : len(due), :])
        done += count
        if callback is not None and callback(result()):
            break
    return result()


def program_of(plan: Plan, optimizer: Any) -> Callable[..., Any]:
    """An epoch of a run, compiled in no particular way: what it is known by when it is saved."""
    plain = Compiling(one_kernel=False, unroll=1, options=())
    return partial(run_chunk, replace(plan, chunk_epochs=1, compiling=plain, mesh=None), optimizer)
