"""Metrics: what an evaluation reports besides the loss. Each is a function of one pass over one data set.

They are for people to read: nothing here is differentiated or minimised.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from functional_mlp._checks import known_name
from functional_mlp._dtypes import working_dtype
from functional_mlp.backward_pass import output_cotangent
from functional_mlp.forward_pass import Tape
from functional_mlp.losses import KINDS, Loss
from functional_mlp.network import Network, Params


class Evaluation(NamedTuple):
    """One pass over one data set, as the metrics see it."""

    network: Network
    loss: Loss
    params: Params
    tape: Tape
    targets: Float[Array, "n fan_out"]
    sample_weights: Float[Array, " n"] | None


Metric = Callable[[Evaluation], Array]
UserMetric = Callable[[Array, Array], Array]


def loss_metric(seen: Evaluation) -> Array:
    """The loss that is minimised, penalty included."""
    data_term = output_cotangent(seen.network, seen.loss, seen.tape, seen.targets, seen.sample_weights).value
    return data_term + seen.loss.penalty(seen.params)


def accuracy(seen: Evaluation) -> Array:
    """Share of samples of the right class, sample weights not counted; a sample with a NaN output is wrong.

    Of several outputs the largest names the class. A single output is compared with 1/2, or with 0 where it is a logit
    or a score (sigmoid_cross_entropy, sigmoid_focal, hinge); its target with 1/2. For other codings of the classes pass
    a function of your own.
    """
    outputs, targets = seen.tape.activations[-1], seen.targets
    if outputs.shape[1] > 1:
        right = jnp.argmax(outputs, axis=1) == jnp.argmax(targets, axis=1)
    else:
        right = ((outputs > KINDS[seen.loss.kind].threshold) == (targets > 0.5))[:, 0]
    right = right & jnp.isfinite(outputs).all(axis=1)
    return jnp.mean(right, dtype=working_dtype(outputs.dtype))


def mean_squared_error(seen: Evaluation) -> Array:
    """Mean over samples and outputs of (target - output)^2, sample weights not counted."""
    work = working_dtype(seen.targets.dtype)
    return jnp.mean(jnp.square(seen.targets.astype(work) - seen.tape.activations[-1].astype(work)))


METRICS: Mapping[str, Metric] = {
    "loss": loss_metric,
    "accuracy": accuracy,
    "mean_squared_error": mean_squared_error,
}


@dataclass(frozen=True)
class _OfOutputs:
    """A caller's metric (outputs, targets) -> scalar in the form of ours; equal for the same function."""

    function: UserMetric

    def __call__(self, seen: Evaluation) -> Array:
        value = jnp.asarray(self.function(seen.tape.activations[-1], seen.targets))
        if value.shape != ():
            raise ValueError(f"expected metric {_name(self.function)} to return a scalar, got shape {value.shape}")
        return value


def _name(function: UserMetric) -> str:
    return getattr(function, "__name__", type(function).__name__)


def resolve_metrics(specs: str | UserMetric | Iterable[str | UserMetric]) -> tuple[tuple[str, Metric], ...]:
    """Names and functions of the metrics meant by names in `METRICS` and functions (outputs, targets) -> scalar.

    Raises:
        TypeError: for anything else.
        ValueError: for an unknown name (the nearest is suggested), or two metrics of one name.
    """
    several = [specs] if isinstance(specs, str) or callable(specs) else list(specs)
    resolved: dict[str, Metric] = {}
    for spec in several:
        name = _name(spec) if callable(spec) else known_name("metric", spec, METRICS)
        if name in resolved:
            raise ValueError(f"expected metrics of different names, got two called {name!r}; define them with def")
        resolved[name] = _OfOutputs(spec) if callable(spec) else METRICS[name]
    return tuple(resolved.items())
