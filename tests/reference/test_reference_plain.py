"""The NumPy textbook against the referee, on cases of order 1, where its formulas lose nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from reference import exact, plain
from reference.problem import ACTIVATIONS, LOSSES, PROBABILITY_LOSSES

SIZES = (3, 4, 3)


def make_case(rng: np.random.Generator, activations: list, loss: dict | None, **others) -> exact.Case:
    params = [(rng.normal(size=(i, o)), rng.normal(size=o)) for i, o in itertools.pairwise(SIZES)]
    end = {"targets": rng.uniform(size=(5, 3))} if loss else {"ct_outputs": rng.normal(size=(5, 3))}
    return exact.Case(SIZES, activations, params, rng.normal(size=(5, 3)), loss, **(end | others))


def assert_agrees(case: exact.Case) -> None:
    got, expected = plain.solve(case), exact.solve(case)
    pairs = [("outputs", got.outputs), ("ct_inputs", got.ct_inputs)]
    pairs += [("loss", got.loss)] if case.loss else []
    for layer, (delta, (weights, bias)) in enumerate(zip(got.deltas, got.grads, strict=True)):
        pairs += [(f"deltas.{layer}", delta), (f"grads.{layer}.weights", weights)]
        pairs += [(f"grads.{layer}.bias", bias)] if bias is not None else []
    assert {name for name, _ in pairs} == {name for name in expected.leaves if "activations" not in name}
    for name, leaf in pairs:
        np.testing.assert_allclose(leaf, expected.leaves[name], rtol=1e-12, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation(rng: np.random.Generator, name: str) -> None:
    assert_agrees(make_case(rng, [name, name], None))


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("last", ["sigmoid", "softmax"])
@pytest.mark.parametrize("reductions", [("sum", "mean"), ("mean", "sum")])
def test_every_loss(rng: np.random.Generator, kind: str, last: str, reductions: tuple[str, str]) -> None:
    samples, outputs = reductions
    loss = {"kind": kind, "over_samples": samples, "over_outputs": outputs, "scale": 2.5, "l2": 0.1}
    assert_agrees(make_case(rng, ["tanh", last], loss | {"l2_on_bias": samples == "mean"}))
    weights = np.array([0.0, 0.5, 1.0, 2.0, 0.25])
    assert_agrees(make_case(rng, ["tanh", last], loss, sample_weights=weights))
    if kind not in PROBABILITY_LOSSES:
        assert_agrees(make_case(rng, ["tanh", "identity"], loss))


@pytest.mark.parametrize("unit", ["relu", "leaky_relu", "elu"])
@pytest.mark.parametrize("at_zero", [None, 0.0, 0.75])
def test_kinks(rng: np.random.Generator, unit: str, at_zero: float | None) -> None:
    case = make_case(rng, [{"name": unit, "at_zero": at_zero}, "identity"], {"kind": "squared_error"})
    assert_agrees(case._replace(inputs=np.zeros((5, 3)), params=[(w, b * 0) for w, b in case.params]))


def test_without_bias(rng: np.random.Generator) -> None:
    case = make_case(rng, ["tanh", "sigmoid"], {"kind": "binary_cross_entropy", "l2": 0.5, "l2_on_bias": True})
    assert_agrees(case._replace(params=[(w, None) for w, _ in case.params]))
