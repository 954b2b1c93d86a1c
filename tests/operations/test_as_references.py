"""An operation as the reference of `oracle.check_vjp`: the VJP by hand is consistent, and what is missing is named."""

import numpy as np
import pytest

from functional_mlp import operations as ops
from functional_mlp import oracle


@pytest.mark.slow
def test_a_layer_norm_by_hand_is_consistent_and_a_missing_path_is_named_by_line():
    rng = np.random.default_rng(0)
    x, weight, bias, ct = (rng.normal(size=shape).astype(np.float32) for shape in ((4, 6), (6,), (6,), (4, 6)))
    _, residuals = ops.layer_norm_forward(x, weight, bias)
    by_hand = ops.layer_norm_backward(residuals, ct)
    assert oracle.check_vjp(ops.layer_norm, (x, weight, bias), tuple(by_hand), ct).verdict == "consistent"
    root, g = np.asarray(residuals.root), ct * weight
    without_mean = by_hand._replace(ct_x=np.asarray(by_hand.ct_x) + g.mean(axis=1, keepdims=True) / root)
    report = oracle.check_vjp(ops.layer_norm, (x, weight, bias), tuple(without_mean), ct)
    assert {leaf.path: leaf.verdict.value for leaf in report.leaves}["x"] == "wrong"
    assert "jnp.mean(x" in report.text()
    assert "row_norms.py" in report.text()
