"""What training passes around: the state of a run, and its result so far."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from functional_mlp._checks import require_optimizer
from functional_mlp._notebook import table
from functional_mlp.network import Params


class TrainState(NamedTuple):
    """Everything that a run needs to go on.

    Attributes:
        params: the parameters.
        opt_state: the optimiser's state.
        key: JAX random key that the order of each epoch is drawn from (`epoch_order`), or None if nothing is shuffled.
        epoch: number of epochs done, an int32 scalar.
    """

    params: Params
    opt_state: optax.OptState
    key: Array | None
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

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {values[-1]:.6g}" for name, values in self.history.items() if len(values))
        return f"<TrainResult: {last}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: each metric at the first and the last evaluation, and its least and largest value."""
        metrics = [(name, values) for name, values in self.history.items() if len(values)]
        rows = [[name, *map(float, (own[0], own[-1], own.min(), own.max()))] for name, own in metrics]
        return table("TrainResult", ("", "first", "last", "least", "largest"), rows)


def init_train_state(params: Params, optimizer: optax.GradientTransformation, key: Array | None = None) -> TrainState:
    """The state before the first update.

    Args:
        params: initial parameters.
        optimizer: any optax transformation.
        key: a JAX random key, used for shuffling alone.
    """
    require_optimizer(optimizer)
    return TrainState(params, optimizer.init(params), key, jnp.zeros((), jnp.int32))


Callback = Callable[[TrainResult], bool | None]
