"""What the runs of a sweep begin with, each: a key, initial parameters, and the numbers of its optimiser."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array

from functional_mlp._checks import finite_float, is_key, random_key
from functional_mlp.network import Initializer, Network, Params, check_params, init_params
from functional_mlp.saving import digest, program_digest

LEARNING_RATE = "learning_rate"
Values = float | Iterable[float] | ArrayLike


@dataclass(frozen=True)
class Starts:
    """Initial parameters, by key.

    Attributes:
        network: that they are of.
        keys: (S,).
        weights, bias, dtype: how they are drawn, as in `init_params`.
        given: those to use instead, each leaf with a leading axis S, or None.
    """

    network: Network
    keys: Array
    weights: str | Initializer
    bias: str | Initializer | None
    dtype: Any
    given: Params | None

    def draw(self, key: Array) -> Params:
        """Those of one key."""
        return init_params(self.network, key, weights=self.weights, bias=self.bias, dtype=self.dtype)

    def one(self) -> Params:
        """Those of the first key, or their shapes."""
        if self.given is None:
            return jax.eval_shape(self.draw, self.keys[0])  # errors outside of vmap read better
        return jax.tree.map(lambda leaf: leaf[0], self.given)

    def of(self, which: np.ndarray) -> Params:
        """Those of the keys `which` (n,), each leaf with a leading axis n."""
        if self.given is None:
            return jax.vmap(self.draw)(self.keys[which])
        return jax.tree.map(lambda leaf: leaf[which], self.given)

    def described(self) -> str:
        """What they are known by: a digest of those that were given, or how they are drawn."""
        if self.given is not None:
            return digest(self.given)
        drawn = ["a function" if callable(each) else str(each) for each in (self.weights, self.bias)]
        return f"weights {drawn[0]}, bias {drawn[1]}, {jnp.dtype(self.dtype)}"

    def program(self) -> str:
        """A digest of the program that draws them; see `program_digest`."""
        return "" if self.given is not None else program_digest(self.draw, self.keys[0])


def checked_starts(starts: Starts) -> Starts:
    """`starts`, checked.

    Raises:
        TypeError: for keys that are none.
        ValueError: for keys whose draws depend on those beside them, or parameters that do not fit.
    """
    random_key("keys", starts.keys, ndim=1)
    _require_independent_draws(starts.keys)
    if starts.given is None:
        return starts
    runs = len(starts.keys)
    lengths = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(starts.given)}
    if lengths != {(runs,)}:
        raise ValueError(
            f"expected params with a leading axis of {runs} on every leaf, one entry per key, got {lengths}"
        )
    stacked = jax.vmap(partial(check_params, starts.network))(jax.tree.map(jnp.asarray, starts.given))
    return replace(starts, given=stacked)


def _require_independent_draws(keys: Array) -> None:
    """Raises unless what is drawn from a key does not depend on the keys beside it."""
    if is_key(keys) and str(jax.random.key_impl(keys)) != "threefry2x32":
        kind = jax.random.key_impl(keys)
        raise ValueError(
            f"expected keys of the kind threefry2x32, whose draws do not depend on those beside them, got {kind}; make"
            ' them with jax.random.key(seed, impl="threefry2x32")'
        )


def numbers_of_runs(
    learning_rates: Values, others: Mapping[str, float | Iterable[float]] | None, keys: int
) -> dict[str, np.ndarray]:
    """The numbers of every run: all combinations, each for every key."""
    others = {} if others is None else others
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


def _each(what: str, values: Values) -> list[float]:
    if hasattr(values, "__array__"):
        values = np.atleast_1d(np.asarray(values)).tolist()
    given = list(values) if isinstance(values, Iterable) else [values]
    if not given:
        raise ValueError(f"expected at least one {what}, got none")
    return [finite_float(what, value) for value in given]
