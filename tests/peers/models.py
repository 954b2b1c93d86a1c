"""What the models of all frameworks are here: one architecture, one loss, since each new one compiles for seconds."""

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp.oracle.verdict import Verdict

SIZES = (4, 5, 3)
NETWORK = fm.Network(SIZES, ("tanh", "sigmoid"))
LOSS = fm.Loss("binary_cross_entropy", over_samples="mean")
PRECISIONS = ("float64", "float32")


def framework(name):
    """The module, or a skip that says how to have it."""
    return pytest.importorskip(name, reason=f"{name} is not installed: make test-peers installs it")


def require_consistent(report, precision):
    assert report.verdict is Verdict.CONSISTENT, report.text()
    assert report.precision == precision


def require_named(report, mistake, layers):
    """The report names this mistake, in these layers, and nothing else."""
    assert report.verdict is Verdict.WRONG
    assert not report.findings, report.text()
    assert [(named.id, named.layers) for named in report.diagnosis.mistakes] == [(mistake, layers)], report.text()


def numbers(seed=1):
    """Other parameters for the network, that float32 holds."""
    rng = np.random.default_rng(seed)
    return [
        tuple(rng.normal(size=shape).astype(np.float32) for shape in ((fan_in, fan_out), (fan_out,)))
        for fan_in, fan_out in NETWORK.shapes
    ]


def require_same(params, others):
    for layer, other in zip(params, others, strict=True):
        for leaf, own in zip(layer, other, strict=True):
            np.testing.assert_array_equal(leaf, own)
