"""Training from one initial value or many alike, with the optimisers, conversions and statistics that this needs."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import functional_mlp as fm
from functional_mlp.parallel import devices_of_all, everyone


def per_leaf(weights: optax.GradientTransformation, bias: optax.GradientTransformation) -> optax.GradientTransformation:
    """An optimiser that treats all weights in one way and all biases in another.

    Example:
        >>> frozen_biases = optax.chain(optax.sgd(0.01), per_leaf(weights=optax.identity(), bias=optax.set_to_zero()))
    """

    def labels(params: fm.Params) -> Any:
        return tuple(fm.Dense("weights", None if layer.bias is None else "bias") for layer in params)  # type: ignore

    return optax.multi_transform({"weights": weights, "bias": bias}, labels)


def run_of(params: fm.Params, number: int) -> fm.Params:
    """The parameters of one run, from those of several with a leading axis R."""
    return jax.tree.map(lambda leaf: jax.device_put(np.asarray(leaf)[number]), params)  # NumPy compiles no program


def diverged(params: fm.Params, *last: Any) -> int:
    """How many runs have a number that is not finite among their parameters, or in `last`, such as losses (R,)."""
    leaves = [np.asarray(leaf, np.float64) for leaf in (*jax.tree.leaves(params), *last)]
    finite = [np.isfinite(leaf).reshape(len(leaf), -1).all(axis=1) for leaf in leaves]
    return int((~np.all(finite, axis=0)).sum())


def diverged_of(result: fm.TrainResult) -> int:
    """How many of the runs of `train_runs` have parameters, or a last metric, that are not finite."""
    return diverged(result.params, *(values[:, -1] for name, values in result.history.items() if name != "epoch"))


def said_of_diverged(count: int, runs: int, of: str = "") -> str:
    """What the printed report says of diverged runs, on a line of its own; "" for none."""
    said = f"\n{of}{count} of {runs} runs diverged; medians and figures leave out what is not finite"
    return said if count else ""


def over_runs(statistic: Callable[..., Any], values: Any, *arguments: Any) -> Any:
    """`np.nanmedian` or the like over the runs, the first axis of `values`, of what is finite; NaN where nothing is."""
    values = np.asarray(values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nothing is finite: the NaN says so
        return statistic(np.where(np.isfinite(values), values, np.nan), *arguments, axis=0)


def random_keys(seed: int, count: int) -> jax.Array:
    """The JAX keys of seed, seed + 1, …, as one array (count,)."""
    return jnp.stack([jax.random.key(number) for number in range(seed, seed + count)])


def train_runs(
    network: fm.Network,
    loss: fm.Loss,
    starts: Sequence[fm.Params],
    inputs: Any,
    targets: Any,
    *,
    seed: int,
    optimizer: Callable[[Any], optax.GradientTransformation],
    learning_rate: float,
    **settings: Any,
) -> fm.TrainResult:
    """Trains from every one of `starts`: one through `fm.train`, several in one program through `fm.sweep`.

    Args:
        network, loss, inputs, targets: as in `fm.train`.
        starts: R initial parameters.
        seed: of the first run's shuffling; the next run has the next seed.
        optimizer: a factory that maps the learning rate to an optax transformation.
        learning_rate: of every run.
        settings: the rest, as in `fm.train`.

    Returns:
        Parameters and metrics with a leading axis R, whether R is 1 or more.
    """
    several = everyone().count > 1
    if several:
        settings |= {"devices": devices_of_all()}
    if len(starts) > 1:
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)
        runs = fm.sweep(
            network,
            loss,
            inputs,
            targets,
            keys=random_keys(seed, len(starts)),
            params=stacked,
            optimizer=optimizer,
            learning_rates=learning_rate,
            **settings,
        )
        params, history = runs.params, runs.history
        if several:  # the first process removes the files, that these may be maps of, when it has written its results
            params = jax.tree.map(np.array, params)
            history = {name: np.array(values) for name, values in history.items()}
            everyone().any(False)  # all have read them
        return fm.TrainResult(params, _with_exact_shares(history, inputs, settings), runs.state)
    if several and settings.get("batch_size") == 1:
        raise ValueError("expected several --seeds, or batches of several samples, to be done by several processes")
    key = jax.random.key(seed)
    settings |= {"save_last": False}  # the experiment writes its results then
    run = fm.train(network, loss, starts[0], inputs, targets, key=key, optimizer=optimizer(learning_rate), **settings)
    history = {name: values if name == "epoch" else values[None] for name, values in run.history.items()}
    params = jax.tree.map(lambda leaf: np.asarray(leaf)[None], run.params)  # NumPy compiles no program per shape
    return fm.TrainResult(params, _with_exact_shares(history, inputs, settings), run.state)


def _with_exact_shares(
    history: dict[str, np.ndarray], inputs: Any, settings: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """`history` with accuracies as the shares of samples that they are: 0.995, not float32's 0.99500006."""
    counts = {"train_accuracy": len(inputs), "eval_accuracy": len(settings.get("eval_inputs", ()))}
    return {
        name: np.rint(values.astype(np.float64) * counts[name]) / counts[name] if name in counts else values
        for name, values in history.items()
    }


def jax_params(pairs: Any, dtype: Any) -> fm.Params:
    """(weights, bias) pairs of NumPy arrays as parameters of functional_mlp."""
    return tuple(fm.Dense(jax_array(w, dtype), jax_array(b, dtype)) for w, b in pairs)


def jax_array(array: np.ndarray, dtype: Any) -> jax.Array:
    """`array` in `dtype`, converted by NumPy: JAX would compile a program for every shape."""
    return jax.device_put(np.asarray(array, jnp.dtype(dtype)))
