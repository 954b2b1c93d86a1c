"""What is said of arrays that no mistake explains."""

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle

CASE = oracle.draw_case(
    fm.Network((5, 5, 4), ("tanh", "identity")), fm.Loss("squared_error", over_samples="mean"), samples=6, seed=2
)
RIGHT = [(np.array(weights), np.array(bias)) for weights, bias in oracle.solve(CASE).grads]
RNG = np.random.default_rng(0)
UNITS, FEATURES = RNG.uniform(0.5, 2, 5), RNG.uniform(0.5, 2, (5, 1))
ORDER = np.array([3, 0, 4, 1, 2])
SPOILT = RIGHT[1][0] * np.exp(RNG.normal(size=RIGHT[1][0].shape))  # so that no mistake explains everything


def entry(weights):
    weights = weights.copy()
    weights[1, 2] += 1
    return weights


def row(weights):
    weights = weights.copy()
    weights[3] = 0
    return weights


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("scaled", lambda w: 1.37 * w, "1.37 times the right one"),
        ("signs", lambda w: w * np.where(np.arange(25).reshape(5, 5) % 2, 1, -1), "right but for signs"),
        ("mostly-right", entry, "right but for row 1"),
        ("mostly-right", row, "right but for row 3, which is 0"),
        ("per-unit", lambda w: w * UNITS, "the right one with each unit"),
        ("per-feature", lambda w: w * FEATURES, "the right one with each input"),
        ("order", lambda w: w[ORDER], "the right one with its rows in the order 3, 0, 4, 1, …"),
        ("order", lambda w: w[:, ORDER], "the right one with its columns in the order 3, 0, 4, 1, …"),
        ("rank-one", lambda w: np.outer(w.sum(1), w.sum(0)), "of rank one"),
    ],
)
def test_each_relation_is_said(kind, change, words):
    found = oracle.check(CASE, [(change(RIGHT[0][0]), RIGHT[0][1]), (SPOILT, RIGHT[1][1])]).diagnosis
    said = {path: one for one in found.relations for path in one.paths}
    assert (said["params[0].weights"].kind, words in said["params[0].weights"].sentence) == (kind, True), said
    assert "params[1].weights" not in said


def test_samples_with_weights_of_their_own_are_said_with_them():
    weights = np.array([0.31, 1.7, 0.9, 2.2, 0.4, 1.1])
    delta = 2 * (np.asarray(oracle.solve(CASE).outputs) - CASE.targets) / 6
    hidden = np.tanh(CASE.inputs @ CASE.params[0].weights + CASE.params[0].bias)
    bias = np.sin(np.arange(4.0))
    found = oracle.check(CASE, [RIGHT[0], (hidden.T @ (weights[:, None] * delta), bias)]).diagnosis
    [one] = [one for one in found.relations if one.kind == "per-sample"]
    assert (one.paths, one.numbers) == (("params[1].weights",), pytest.approx(weights))


def test_alike_arrays_are_said_together():
    signs = np.where(np.arange(25) % 2, 1, -1)
    turned = (RIGHT[0][0] * signs.reshape(5, 5), RIGHT[0][1] * signs[:5])
    found = oracle.check(CASE, [turned, (SPOILT, RIGHT[1][1])]).diagnosis
    [one] = found.relations
    assert one.sentence == "params[0].bias and params[0].weights are each right but for signs"


def test_a_small_array_is_related_to_nothing():
    case = oracle.draw_case(fm.Network((2, 1), "identity"), fm.Loss("squared_error"), samples=3, seed=0)
    [(weights, bias)] = oracle.solve(case).grads
    found = oracle.check(case, [(np.asarray(weights) * [[1.3], [0.2]], 1.7 * np.asarray(bias))]).diagnosis
    assert not any("bias" in path for one in found.relations for path in one.paths)


def test_a_single_number_is_a_multiple_where_nothing_else_is_wrong():
    case = oracle.draw_case(fm.Network((3, 4, 1), "tanh"), fm.Loss("squared_error", "mean"), samples=5, seed=0)
    first, (weights, bias) = oracle.solve(case).grads
    found = oracle.check(case, [first, (weights, 1.37 * np.asarray(bias))]).diagnosis
    [one] = found.relations
    assert (one.paths, one.numbers) == (("params[1].bias",), pytest.approx((1.37,)))


def test_samples_that_contribute_nothing_keep_no_other_from_being_weighed():
    """Of a relu layer of one unit some samples send nothing back: of their weights nobody can say anything."""
    case = oracle.draw_case(fm.Network((12, 1, 2), ("relu", "identity")), fm.Loss("squared_error"), samples=8, seed=3)
    weights = np.linspace(0.4, 2.1, 8)
    delta = 2 * (np.asarray(oracle.solve(case).outputs) - case.targets)
    z = case.inputs @ case.params[0].weights + case.params[0].bias
    back = (delta @ case.params[1].weights.T) * (z > 0)
    seen = (z > 0).ravel()
    assert 1 < seen.sum() < 8
    right = [tuple(map(np.asarray, layer)) for layer in oracle.solve(case).grads]
    found = oracle.check(case, [(case.inputs.T @ (weights[:, None] * back), right[0][1]), right[1]]).diagnosis
    [one] = [one for one in found.relations if one.kind == "per-sample"]
    assert np.array(one.numbers)[seen] == pytest.approx(weights[seen])
