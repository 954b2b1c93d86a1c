"""The state of a run and its result so far as arrays by name, and when they are saved."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from functional_mlp._checks import is_key
from functional_mlp.network import Params, named_params
from functional_mlp.saving import Checkpoints, key_data
from functional_mlp.training.state import Callback, TrainResult, TrainState


def named_leaves(state: TrainState) -> dict[str, Any]:
    """Parameters and optimiser state (or their shapes) by name: params.0.weights, opt_state.0, …; keys as numbers."""
    leaves = named_params(state.params)
    leaves |= {f"opt_state.{number}": leaf for number, leaf in enumerate(jax.tree.leaves(state.opt_state))}
    return {name: _numbers_of(leaf) for name, leaf in leaves.items()}


def unnamed(arrays: Mapping[str, Any], like: TrainState) -> tuple[Params, optax.OptState]:
    """Parameters and optimiser state from what `named_leaves` gave; `like` is a state of that run, or its shapes."""
    known = jax.tree.leaves(like[:2])
    leaves = [_like(arrays[name], leaf) for name, leaf in zip(named_leaves(like), known, strict=True)]
    params, opt_state = jax.tree.unflatten(jax.tree.structure(like[:2]), leaves)
    return params, opt_state


def _numbers_of(leaf: Any) -> Any:
    if not is_key(leaf):
        return leaf
    return jax.eval_shape(jax.random.key_data, leaf) if isinstance(leaf, jax.ShapeDtypeStruct) else key_data(leaf)


def _like(array: Any, leaf: Any) -> Any:
    if not is_key(leaf):
        return array
    return jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(jnp.empty((), leaf.dtype)))


def named_history(history: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A history's metrics by the names that they are saved under: history.train_loss, …"""
    return {f"history.{name}": values for name, values in history.items() if name != "epoch"}


def history_of(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The metrics among named arrays."""
    return {name.removeprefix("history."): array for name, array in arrays.items() if name.startswith("history.")}


COMMON = ("epoch", "history_epoch")  # to all runs of a sweep: the arrays that have no leading axis of runs


def arrays_of(result: TrainResult) -> dict[str, np.ndarray]:
    """A result so far as NumPy arrays by name; all but the key, which a run does not change."""
    arrays = named_leaves(result.state) | named_history(result.history)
    arrays |= {"epoch": result.state.epoch, "history_epoch": result.history["epoch"]}
    return {name: np.asarray(array) for name, array in arrays.items()}


def result_of(arrays: Mapping[str, np.ndarray], like: TrainState) -> TrainResult:
    """The result so far whose arrays `arrays_of` gave.

    Args:
        arrays: by name.
        like: a state of that run; its key is kept.
    """
    params, opt_state = jax.tree.map(jax.device_put, unnamed(arrays, like))
    state = TrainState(params, opt_state, like.key, jnp.asarray(int(arrays["epoch"]), jnp.int32))
    return TrainResult(params, {"epoch": arrays["history_epoch"]} | history_of(arrays), state)


def keeping(
    checkpoints: Checkpoints,
    callback: Callback | None,
    at: int | None = None,
    offset: int = 0,
    about: Mapping[str, Any] | None = None,
    gathered: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] = dict,
) -> Callback:
    """A callback that saves the results when it is time, and when `callback` ends the run.

    Args:
        checkpoints: where to.
        callback: the caller's own. When it is told of epochs that are saved, those saved before them are safely
            written: of what it was told of, a run that is killed repeats no more than lies between two checkpoints.
        at: the epoch that is saved in any case.
        offset: of the checkpoints' numbers from the epochs.
        about: what to say about each.
        gathered: puts together what several processes have.
    """

    def save(so_far: TrainResult) -> None:
        checkpoints.save(offset + int(so_far.state.epoch), gathered(arrays_of(so_far)), about)

    def callback_and_save(so_far: TrainResult) -> bool | None:
        saved = int(so_far.state.epoch) == at or checkpoints.due()
        if saved:
            save(so_far)
        stop = callback(so_far) if callback is not None else None
        if stop and not saved:
            save(so_far)
        return stop

    return callback_and_save
