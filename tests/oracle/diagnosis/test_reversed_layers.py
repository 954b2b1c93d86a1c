"""Gradients handed back from the last layer to the first, beside other mistakes."""

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle

SQUARE = fm.Network((4, 4, 4), ("tanh", "identity"))


def backward(case, slope):
    (w1, b1), (w2, b2) = case.params
    h = np.tanh(case.inputs @ w1 + b1)
    delta = 2 * (h @ w2 + b2 - case.targets) / len(case.inputs)
    back = delta @ w2.T * slope(h)
    return [(case.inputs.T @ back, back.sum(axis=0)), (h.T @ delta, delta.sum(axis=0))]


@pytest.mark.parametrize(
    ("slope", "times", "also"),
    [
        (lambda h: 1.0, 1.0, {"hidden-derivative-missing"}),
        (lambda h: 1 - np.tanh(h) ** 2, 1.0, {"derivative-of-wrong-variable"}),
        (lambda h: 1.0, 6.0, {"hidden-derivative-missing", "mean-missing"}),
    ],
)
def test_the_reverse_order_is_named_with_what_else_is_wrong(slope, times, also):
    case = oracle.draw_case(SQUARE, fm.Loss("squared_error", over_samples="mean"), samples=6, seed=1)
    grads = [(times * weights, times * bias) for weights, bias in backward(case, slope)[::-1]]
    found = oracle.check(case, grads).diagnosis
    assert {one.id for one in found.mistakes} == {"layers-in-reverse"} | also
    assert found.unexplained == ()


def test_in_order_nothing_is_reversed():
    case = oracle.draw_case(SQUARE, fm.Loss("squared_error", over_samples="mean"), samples=6, seed=1)
    grads = backward(case, lambda h: 1.0)
    rng = np.random.default_rng(0)
    grads[0] = (grads[0][0] + rng.normal(size=(4, 4)), grads[0][1])
    found = oracle.check(case, grads).diagnosis
    assert "layers-in-reverse" not in {one.id for one in found.mistakes}
