"""A mistake has the same name in whatever layout arrays are handed over and come back."""

from itertools import product

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle

NETWORK = fm.Network((4, 5, 5, 3), ("tanh", "tanh", "softmax"))  # a square layer among them: no shape tells its layout
LOSS = fm.Loss("categorical_cross_entropy", over_samples="mean")
LAYOUTS = [
    {"weights": weights, "bias": bias, "samples": samples, "params": params}
    for weights, bias, samples, params in product(
        ("in_out", "out_in"), ("vector", "row", "column", "first_row"), ("rows", "columns"), (None, "dict")
    )
    if not (bias == "first_row" and params == "dict")
]


def backward_in(layout, spoil):
    """A backward pass whose arrays are in a layout, and spoilt by `spoil(arrays, n)` as (fan_in, fan_out) and rows."""

    def backward(params, inputs, targets):
        pairs = oracle.case.pairs_of(params) if isinstance(params, dict) else [*params]
        turned, columns = layout["weights"] == "out_in", layout["samples"] == "columns"
        layers = []
        for pair in pairs:
            weights, bias = (pair, None) if layout["bias"] == "first_row" else pair
            weights = weights.T if turned else weights
            weights, bias = (weights[1:], weights[0]) if bias is None else (weights, bias.reshape(-1))
            layers.append((weights, bias))
        x, t = (inputs.T, targets.T) if columns else (inputs, targets)
        kept = [x]
        for weights, bias in layers[:-1]:
            kept.append(np.tanh(kept[-1] @ weights + bias))
        z = kept[-1] @ layers[-1][0] + layers[-1][1]
        p = np.exp(z - z.max(axis=1, keepdims=True))
        delta = (p / p.sum(axis=1, keepdims=True) - t) / len(x)
        grads = []
        for (weights, _), a in zip(layers[::-1], kept[::-1], strict=True):
            grads.insert(0, [a.T @ delta, delta.sum(axis=0)])
            delta = (delta @ weights.T) * (1 - a**2)
        spoil(grads, len(x))
        out = []
        for weights, bias in grads:
            if layout["bias"] == "first_row":
                weights, bias = np.vstack([bias, weights]), None
            weights = weights.T if turned else weights
            if bias is None:
                out.append(weights)
            else:
                out.append((weights, bias.reshape({"row": (1, -1), "column": (-1, 1)}.get(layout["bias"], -1))))
        if layout["params"] == "dict":
            return {
                f"d{name}": leaf
                for i, pair in enumerate(out, 1)
                for name, leaf in zip((f"W{i}", f"b{i}"), pair, strict=True)
            }
        return out

    return backward


def weights_times_n(grads, n):
    for pair in grads:
        pair[0] = pair[0] * n


def first_turned(grads, n):
    grads[0][0] = -grads[0][0]


SPOILT = [(weights_times_n, {0, 1, 2}), (first_turned, {0})]
ASKED = [(layout, *SPOILT[i % 2]) for i, layout in enumerate(LAYOUTS)]


@pytest.mark.parametrize(("layout", "spoil", "layers"), ASKED, ids=lambda one: getattr(one, "__name__", None))
def test_wrong_weight_gradients_are_named_in_every_layout(layout, spoil, layers, as_a_person):
    report = oracle.check_function(backward_in(layout, spoil), NETWORK, LOSS, layout=layout)
    diagnosis = report.diagnosis
    assert diagnosis.mistakes
    assert not diagnosis.unexplained
    named = {layer for mistake in diagnosis.mistakes for layer in mistake.layers}
    assert named == layers
    assert {shown.path for shown in diagnosis.evidence} <= {f"params[{layer}].weights" for layer in layers}
    assert "The weight gradient" in report.headline
