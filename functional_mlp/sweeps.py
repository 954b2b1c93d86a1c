"""Many training runs in one compiled program: initial values and learning rates as a batch axis over `training`.

Every run sees the same data; run r is the one that `train` would do with its key and learning rate.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.lax import PrecisionLike
from jax.typing import ArrayLike
from jaxtyping import Array

from functional_mlp._checks import finite_float, random_key, require_optimizer_factory
from functional_mlp._plan import Data, Plan, check_data, make_plan
from functional_mlp.losses import Loss
from functional_mlp.metrics import UserMetric
from functional_mlp.network import Initializer, Network, Params, check_params, init_params
from functional_mlp.training import Callback, TrainState, init_train_state, run_chunk, run_chunks

OptimizerFactory = Callable[[Any], optax.GradientTransformation]
_RUNS = TrainState(params=0, opt_state=0, key=0, epoch=None)  # type: ignore[arg-type]  # the epoch is common to all


class SweepResult(NamedTuple):
    """What `sweep` returns: R = len(learning_rates) * len(keys) runs, the keys varying fastest.

    Attributes:
        params: parameters after the last epoch, each leaf with a leading axis R.
        history: NumPy arrays by name: `epoch` (evaluations,), and every metric (R, evaluations).
        state: the runs' states, leading axis R but for the epoch.
        keys: (R,) the key of each run.
        learning_rates: (R,) the learning rate of each run.
    """

    params: Params
    history: dict[str, np.ndarray]
    state: TrainState
    keys: Array
    learning_rates: np.ndarray


@partial(jax.jit, static_argnums=(0, 1))
def _run_sweep_chunk(
    plan: Plan, optimizer: OptimizerFactory, states: TrainState, learning_rates: Array, count: Array, data: Data
) -> tuple[TrainState, Array]:
    def one_run(state: TrainState, learning_rate: Array) -> tuple[TrainState, Array]:
        return run_chunk(plan, optimizer(learning_rate), state, count, data)

    return jax.vmap(one_run, in_axes=(_RUNS, 0), out_axes=(_RUNS, 0))(states, learning_rates)


@partial(jax.jit, static_argnums=(0,))
def _init_states(optimizer: OptimizerFactory, params: Params, keys: Array, learning_rates: Array) -> TrainState:
    def one_run(params: Params, key: Array, learning_rate: Array) -> TrainState:
        return init_train_state(params, optimizer(learning_rate), key)

    return jax.vmap(one_run, out_axes=_RUNS)(params, keys, learning_rates)


def _learning_rates(learning_rates: float | Iterable[float]) -> np.ndarray:
    rates = list(learning_rates) if isinstance(learning_rates, Iterable) else [learning_rates]
    if not rates:
        raise ValueError("expected at least one learning rate, got none")
    return np.array([finite_float("learning rate", rate) for rate in rates])


def _stacked_params(network: Network, params: Params, runs: int) -> Params:
    """Initial parameters of `runs` runs, checked as one run's are."""
    lengths = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(params)}
    if lengths != {(runs,)}:
        raise ValueError(
            f"expected params with a leading axis of {runs} on every leaf, one entry per key, got {lengths}"
        )
    return jax.vmap(partial(check_params, network))(jax.tree.map(jnp.asarray, params))


def sweep(
    network: Network,
    loss: Loss,
    inputs: ArrayLike,
    targets: ArrayLike,
    *,
    keys: Array,
    epochs: int,
    optimizer: OptimizerFactory = optax.sgd,
    learning_rates: float | Iterable[float] = 0.01,
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
) -> SweepResult:
    """Trains a network from many initial values, and at several learning rates, in one compiled program.

    Args:
        network, loss, inputs, targets: as in `train`.
        keys: (S,) JAX random keys, `jax.random.split(key, S)`; each gives the initial parameters and the shuffling of a
            run per learning rate.
        epochs: passes over the data, at least 1.
        optimizer: a FACTORY that maps a learning rate to an optax transformation, such as `optax.sgd`. Pass the same
            function again to reuse the compiled program.
        learning_rates: one, or several, each tried with every key.
        weights, bias, dtype: of the initial parameters, as in `init_params`.
        params: initial parameters to use instead (`weights`, `bias`, `dtype` are then not used), each leaf with a
            leading axis S.
        batch_size … precision: as in `train`; `callback` sees results with a leading axis of runs.

    Returns:
        Parameters, history and state of every run.

    Raises:
        TypeError, ValueError: as in `train` and `init_params`; also for keys that are no axis of keys.
    """
    require_optimizer_factory(optimizer)
    random_key("keys", keys, ndim=1)
    rates = _learning_rates(learning_rates)
    if params is None:
        draw = partial(init_params, network, weights=weights, bias=bias, dtype=dtype)
        draw(keys[0])  # errors outside of vmap read better
        params = jax.vmap(lambda key: draw(key))(keys)
    else:
        params = _stacked_params(network, params, len(keys))
    one = jax.tree.map(lambda leaf: leaf[0], params)
    data = check_data(network, one, inputs, targets, sample_weights, eval_inputs, eval_targets)
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
    runs = len(rates) * len(keys)
    all_keys = keys[jnp.arange(runs) % len(keys)]
    all_params = jax.tree.map(lambda leaf: leaf[jnp.arange(runs) % len(keys)], params)
    all_rates = np.repeat(rates, len(keys))
    device_rates = jnp.asarray(all_rates, one[0].weights.dtype)
    states = _init_states(optimizer, all_params, all_keys, device_rates)

    def compiled(states: TrainState, count: Array, data: Data) -> tuple[TrainState, Array]:
        return _run_sweep_chunk(plan, optimizer, states, device_rates, count, data)

    result = run_chunks(plan, compiled, states, data, epochs, callback)
    return SweepResult(result.params, result.history, result.state, all_keys, all_rates)
