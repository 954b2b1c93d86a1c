"""Random cases, drawn with NumPy's generator, so that a seed gives the same case whatever JAX's settings are."""

from typing import Any

import numpy as np

from functional_mlp._checks import known_name, positive_int
from functional_mlp._dtypes import DTYPES
from functional_mlp.losses import Loss
from functional_mlp.network import Network
from functional_mlp.oracle.case.arrays import rounded
from functional_mlp.oracle.case.case import Case, require_loss, require_network
from functional_mlp.oracle.case.layouts import layout_of
from functional_mlp.oracle.case.targets import declared_targets, drawn_kind, targets_for


def draw_case(
    network: Network,
    loss: Loss | None,
    *,
    samples: int = 5,
    seed: int = 0,
    dtype: str = "float64",
    name: str = "",
    targets: str | None = None,
    bias: bool = True,
    layout: Any = None,
) -> Case:
    """A case of moderate numbers: weights N(0, 1/fan_in), biases and inputs N(0, 1), targets as the loss wants them.

    Args:
        network: the specification.
        loss: the loss; None for a bare cotangent, drawn N(0, 1).
        samples: rows, at least 1.
        seed: of the draws.
        dtype: every number is rounded to it.
        name: of the case.
        targets: of losses of classes, and after softmax: "one_hot", rows of one 1 (the default), or "labels", the same
            as integers (n,); "soft", rows that sum to 1; or "any". Of binary losses these are 0 or 1, and for the last
            two anything between.
        bias: whether layers have biases.
        layout: of the case, as `layout_of` takes it: in which it is written and its gradients are expected.

    Raises:
        TypeError: for what is no network or no loss.
        ValueError: for a loss that is inadmissible, an unknown dtype, kind of targets or layout, or counts below 1.
    """
    require_network(network)
    require_loss(loss)
    known_name("dtype", dtype, DTYPES)
    samples = positive_int("samples", samples)
    rng = np.random.default_rng(seed)
    drawn = [
        (rounded(rng.normal(size=(fan_in, fan_out)) / np.sqrt(fan_in), dtype), rounded(rng.normal(size=fan_out), dtype))
        for fan_in, fan_out in network.shapes
    ]
    params = [(weights, own if bias else None) for weights, own in drawn]
    inputs = rounded(rng.normal(size=(samples, network.sizes[0])), dtype)
    chosen, labels = declared_targets(targets)
    kind = drawn_kind(network, loss, chosen)
    end = rounded(targets_for(network, loss, kind, samples, rng), dtype)
    ends = {"ct_outputs" if loss is None else "targets": end}
    case = Case(network, loss, params, inputs, name=name, dtype=dtype, **ends)  # type: ignore[arg-type]
    return case.laid_out(layout_of(layout).completed(labels))
