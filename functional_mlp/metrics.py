"""Metrics: what an evaluation reports besides the loss. Each is a function of one pass over one data set.

They are for people to read: nothing here is differentiated or minimised.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from functional_mlp._checks import known_name, working_dtype
from functional_mlp.backward import output_cotangent
from functional_mlp.forward import Tape
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
    """Share of samples of the right class: the largest of several outputs; one output is compared with the threshold.

    The threshold is 1/2, and 0 for sigmoid_cross_entropy, whose output is a logit. Targets are compared with 1/2.
    """
    outputs, targets = seen.tape.activations[-1], seen.targets
    if outputs.shape[1] > 1:
        right = jnp.argmax(outputs, axis=1) == jnp.argmax(targets, axis=1)
    else:
        right = ((outputs > KINDS[seen.loss.kind].threshold) == (targets > 0.5))[:, 0]
    return jnp.mean(right, dtype=working_dtype(outputs.dtype))


def mean_squared_error(seen: Evaluation) -> Array:
    """Mean over samples and outputs of (target - output)^2."""
    return jnp.mean(jnp.square(seen.targets - seen.tape.activations[-1]))


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
        return jnp.asarray(self.function(seen.tape.activations[-1], seen.targets))


def resolve_metric(spec: str | UserMetric) -> tuple[str, Metric]:
    """Name and function of the metric meant by a name in `METRICS` or by a function (outputs, targets) -> scalar.

    Raises:
        TypeError, ValueError: if it is neither; the nearest known name is suggested.
    """
    if callable(spec):
        return getattr(spec, "__name__", "metric"), _OfOutputs(spec)
    return spec, METRICS[known_name("metric", spec, METRICS)]
