"""Training: state goes in and comes out, one compiled program per chunk of epochs, any optax optimiser.

`train_step` is one update. `train` runs epochs: inside a chunk everything (batches, epochs, evaluation) is one XLA
program; between chunks the callback sees the state and the history so far, and may keep them or stop. A partial
last batch is filled up with samples of weight 0, so that it is neither dropped nor mis-scaled.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.lax import PrecisionLike
from jax.typing import ArrayLike
from jaxtyping import Array

from functional_mlp._checks import finite_values, floating_array, known_name, positive_int, working_dtype
from functional_mlp.backward import loss_and_grad
from functional_mlp.forward import forward
from functional_mlp.losses import Loss, check_sample_weights
from functional_mlp.metrics import Evaluation, Metric, UserMetric, resolve_metric
from functional_mlp.network import Network, Params, check_inputs, check_params


class TrainState(NamedTuple):
    """Everything that a run needs to go on.

    Attributes:
        params: the parameters.
        opt_state: the optimiser's state.
        key: JAX random key; the order of epoch e is drawn from `jax.random.fold_in(key, e)`.
        epoch: number of epochs done, an int32 scalar.
    """

    params: Params
    opt_state: optax.OptState
    key: Array
    epoch: Array


class StepMetrics(NamedTuple):
    """What one update saw: the loss before it, and the Euclidean norm of the gradient, both scalars."""

    loss: Array
    gradient_norm: Array


class TrainResult(NamedTuple):
    """What `train` returns.

    Attributes:
        params: the parameters after the last epoch.
        history: NumPy arrays by name: `epoch`, and one per metric and data set (`train_loss`, `eval_accuracy`, …), each
            with one entry per evaluation on its last axis.
        state: pass it to `train` in place of the parameters to go on.
    """

    params: Params
    history: dict[str, np.ndarray]
    state: TrainState


def init_train_state(params: Params, optimizer: optax.GradientTransformation, key: Array) -> TrainState:
    """The state before the first update.

    Args:
        params: initial parameters.
        optimizer: any optax transformation.
        key: a JAX random key, used for shuffling.
    """
    return TrainState(params, optimizer.init(params), key, jnp.zeros((), jnp.int32))


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
    value, grads = loss_and_grad(network, loss, state.params, inputs, targets, sample_weights, precision=precision)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return state._replace(params=params, opt_state=opt_state), StepMetrics(value, optax.tree.norm(grads))


EVALUATE = ("before", "after")


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
) -> Plan:
    """Checks the settings of a run against its data; see `train` for their meaning and the errors."""
    loss.require_admissible(network.activations[-1])
    samples = data.inputs.shape[0]
    batch_size = samples if batch_size is None else positive_int("batch_size", batch_size)
    if batch_size > samples:
        raise ValueError(f"expected batch_size to be at most the {samples} samples of the data, got {batch_size}")
    known_name("time to evaluate", evaluate, EVALUATE)
    epochs = positive_int("epochs", epochs)
    chunk_epochs = math.ceil(epochs / 20) if chunk_epochs is None else positive_int("chunk_epochs", chunk_epochs)
    return Plan(
        network=network,
        loss=loss,
        batch_size=batch_size,
        shuffle=bool(shuffle),
        eval_every=positive_int("eval_every", eval_every),
        evaluate=evaluate,
        metrics=tuple(resolve_metric(metric) for metric in metrics),
        chunk_epochs=chunk_epochs,
        precision=precision,
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


# the compiled part


def _evaluate(plan: Plan, params: Params, data: Data) -> Array:
    """One row of the history: every metric on the training set, then on the evaluation set."""
    sets = [(data.inputs, data.targets, data.sample_weights)]
    if data.eval_inputs is not None and data.eval_targets is not None:
        sets.append((data.eval_inputs, data.eval_targets, None))
    row: list[Array] = []
    for inputs, targets, weights in sets:
        _, tape = forward(plan.network, params, inputs, precision=plan.precision)
        seen = Evaluation(plan.network, plan.loss, params, tape, targets, weights)
        row.extend(metric(seen).astype(_history_dtype(data)) for _, metric in plan.metrics)
    return jnp.stack(row)


def _history_dtype(data: Data) -> Any:
    return working_dtype(data.inputs.dtype)


def _columns(plan: Plan, data: Data) -> list[str]:
    prefixes = ["train"] if data.eval_inputs is None else ["train", "eval"]
    return [f"{prefix}_{name}" for prefix in prefixes for name, _ in plan.metrics]


def _batches(plan: Plan, data: Data, order: Array | None) -> tuple[Array, Array, Array | None]:
    """inputs, targets and sample weights of an epoch with a leading axis of batches, the last filled up by weight 0."""
    arrays = (data.inputs, data.targets, data.sample_weights)
    inputs, targets, weights = jax.tree.map(lambda x: x if order is None else x[order], arrays)
    samples = inputs.shape[0]
    missing = -samples % plan.batch_size
    if missing:
        weights = jnp.ones((samples,), inputs.dtype) if weights is None else weights
        inputs, targets, weights = (
            jnp.concatenate([x, jnp.zeros((missing, *x.shape[1:]), x.dtype)]) for x in (inputs, targets, weights)
        )
    return jax.tree.map(lambda x: x.reshape(-1, plan.batch_size, *x.shape[1:]), (inputs, targets, weights))


def _run_epoch(plan: Plan, optimizer: optax.GradientTransformation, state: TrainState, data: Data) -> TrainState:
    order = None
    if plan.shuffle:
        order = jax.random.permutation(jax.random.fold_in(state.key, state.epoch), data.inputs.shape[0])
    step = partial(train_step, plan.network, plan.loss, optimizer, precision=plan.precision)

    def update(
        carry: tuple[Params, optax.OptState], batch: tuple[Array, Array, Array | None]
    ) -> tuple[tuple[Params, optax.OptState], None]:
        params, opt_state = carry
        after, _ = step(state._replace(params=params, opt_state=opt_state), *batch)
        return (after.params, after.opt_state), None

    batches = _batches(plan, data, order)
    (params, opt_state), _ = jax.lax.scan(update, (state.params, state.opt_state), batches, unroll=_unroll(plan))
    return state._replace(params=params, opt_state=opt_state)


def _unroll(plan: Plan) -> int:
    """Updates per loop iteration: several for tiny ones, whose cost is mostly the loop's own; benchmarks/moons.py."""
    multiplications = plan.batch_size * sum(fan_in * fan_out for fan_in, fan_out in plan.network.shapes)
    return 4 if multiplications <= 2**14 else 1


def run_chunk(
    plan: Plan, optimizer: optax.GradientTransformation, state: TrainState, count: Array, data: Data
) -> tuple[TrainState, Array]:
    """`count` (at most plan.chunk_epochs) epochs from `state`, and the rows of the history in order, then zeros.

    `count` is traced, so that a shorter last chunk needs no program of its own. Under vmap keep `state.epoch`
    unbatched: the evaluations are then really skipped at the epochs that have none.
    """
    capacity = plan.chunk_epochs // plan.eval_every + 1
    rows = jnp.zeros((capacity, len(_columns(plan, data))), _history_dtype(data))

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


_run_chunk = jax.jit(run_chunk, static_argnums=(0, 1))

Callback = Callable[[TrainResult], bool | None]


def run_chunks(
    plan: Plan,
    compiled: Callable[[TrainState, Array, Data], tuple[TrainState, Array]],
    state: TrainState,
    data: Data,
    epochs: int,
    callback: Callback | None,
) -> TrainResult:
    """Calls `compiled` chunk by chunk until `epochs` are done in all, gathering the history; the host's side of a run.

    Args:
        plan: as compiled.
        compiled: (state, count, data) -> (state, rows), `run_chunk` or a vmapped one with leading axes on the rows.
        state: where to start; its epoch count is respected.
        data: the arrays.
        epochs: the epoch count to reach.
        callback: see `train`.
    """
    names = _columns(plan, data)
    recorded: list[np.ndarray] = []
    rows: list[np.ndarray] = []
    first = int(state.epoch)
    if first >= epochs:
        raise ValueError(f"expected epochs to be more than the {first} that the state has done, got {epochs}")
    while True:
        done = int(state.epoch)
        count = min(plan.chunk_epochs, epochs - done)
        state, chunk_rows = compiled(state, jnp.asarray(count, jnp.int32), data)
        due = np.arange(-(-done // plan.eval_every) * plan.eval_every, done + count, plan.eval_every)
        recorded.append(due)
        rows.append(np.asarray(chunk_rows)[..., : len(due), :])
        values = np.concatenate(rows, axis=-2)
        history = {"epoch": np.concatenate(recorded)} | {name: values[..., i] for i, name in enumerate(names)}
        result = TrainResult(state.params, history, state)
        stop = callback is not None and callback(result)
        if stop or done + count >= epochs:
            return result


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
) -> TrainResult:
    """Trains a network with the hand-written gradient.

    Args:
        network, loss: the specification.
        params: initial parameters; or the `TrainState` of an earlier result, which goes on to `epochs` in all.
        inputs: (n, n_0), finite, of the parameters' dtype.
        targets: (n, n_L), finite, of that dtype.
        optimizer: any optax transformation, learning-rate schedules included. Pass the same object again to reuse the
            compiled program: optax.sgd(0.1) != optax.sgd(0.1).
        epochs: passes over the data, at least 1.
        batch_size: samples per update, 1..n; None means all. A partial last batch is exact.
        shuffle: take the samples in a new order each epoch (needs `key`); False means in the given order.
        key: a JAX random key.
        sample_weights: (n,) or None.
        eval_inputs, eval_targets: a second data set that is only evaluated.
        eval_every: evaluate at epochs 0, eval_every, 2 eval_every, ….
        evaluate: "before" or "after" that epoch's updates.
        metrics: names in `METRICS`, or functions (outputs, targets) -> scalar.
        chunk_epochs: epochs per compiled call, after each of which `callback` runs; None means a twentieth of `epochs`.
        callback: called with the `TrainResult` so far; return True to stop there.
        precision: of the matrix products, as in `forward`.

    Returns:
        Parameters, history and state after the last epoch.

    Raises:
        TypeError: for data that are not floats of the parameters' dtype, or counts that are not integers.
        ValueError: for shapes that do not fit, an empty batch, a batch larger than the data, counts below 1, values
            that are not finite, an unknown metric, an inadmissible loss, or shuffling without a key.
    """
    given = params if isinstance(params, TrainState) else None
    start = check_params(network, params.params if isinstance(params, TrainState) else params)
    data = check_data(network, start, inputs, targets, sample_weights, eval_inputs, eval_targets)
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
    if shuffle and key is None and given is None:
        raise ValueError("expected a key to shuffle with, got none; pass key=jax.random.key(seed)")
    state = given or init_train_state(start, optimizer, jax.random.key(0) if key is None else key)
    return run_chunks(plan, partial(_run_chunk, plan, optimizer), state, data, epochs, callback)
