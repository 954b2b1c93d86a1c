"""The referee where fractions decide: zeros, kinks and ties, saturation, overflow and underflow."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from reference import exact
from reference.exact import Case, solve
from tests.reference.brute_force import nearest

# ----------------------------------------------------------------------------- rational networks: zeros, kinks, ties


def rational_leaves(case: Case) -> dict[str, list[list[Fraction]]]:
    """Relu and leaky relu with the mean of squared errors over samples, by fractions, one number at a time."""
    fractions = np.vectorize(Fraction, otypes=[object])
    a, zs, slopes, leaves = [fractions(np.asarray(case.inputs))], [], [], {}
    for spec, (w, b) in zip(case.activations, case.params, strict=True):
        slope = Fraction(spec.get("slope", 0.0))
        at_zero = Fraction(spec.get("at_zero", spec.get("slope", 0.0)))
        if spec["name"] == "identity":
            slope = at_zero = Fraction(1)
        z = a[-1] @ fractions(w) + (0 if b is None else fractions(b))
        slopes.append(np.vectorize(lambda x, s=slope, k=at_zero: s if x < 0 else Fraction(1) if x > 0 else k)(z))
        zs.append(z)
        a.append(np.where(z < 0, slope * z, z))
    error = a[-1] - fractions(case.targets)
    share = Fraction(case.loss["scale"]) / len(error)
    ct = 2 * share * error
    leaves["loss"] = share * (error * error).sum()
    for layer in reversed(range(len(zs))):
        ct = ct * slopes[layer]
        leaves |= {f"deltas.{layer}": ct, f"pre_activations.{layer}": zs[layer], f"activations.{layer}": a[layer + 1]}
        leaves |= {f"grads.{layer}.weights": a[layer].T @ ct, f"grads.{layer}.bias": ct.sum(axis=0)}
        ct = ct @ fractions(case.params[layer][0]).T
    return leaves | {"ct_inputs": ct, "outputs": a[-1]}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("unit", [0.5, 1e-155, 1e100, 2.0**-53])
def test_rational_networks(seed: int, unit: float) -> None:
    """Small whole numbers: many pre-activations, errors and sums are exactly 0, and many results fit in few bits."""
    rng = np.random.default_rng(seed)

    def whole(*shape: int) -> np.ndarray:
        return rng.integers(-2, 3, shape).astype(float)

    sizes = (2, 3, 3, 2)
    activations = [
        {"name": "relu", "at_zero": 0.25},
        {"name": "leaky_relu", "slope": -0.1, "at_zero": 0.5},
        {"name": str(rng.choice(["identity", "relu"]))},
    ]
    params = [(whole(i, j), whole(j)) for i, j in pairwise(sizes)]
    params[0] = (params[0][0] * unit, params[0][1] * unit)
    loss = {"kind": "squared_error", "over_samples": "mean", "scale": 0.3}
    case = Case(sizes, activations, params, whole(3, 2) + unit, loss, whole(3, 2))
    solution, expected = solve(case), rational_leaves(case)
    assert set(solution.leaves) == set(expected)
    for name, leaf in solution.leaves.items():
        assert leaf.tolist() == np.vectorize(nearest, otypes=[float])(expected[name]).tolist(), name


def test_a_tie_is_rounded_to_even() -> None:
    x = 1 + 2.0**-52
    case = Case((1, 1), "identity", [([[1.5]], None)], [[x]], None, ct_outputs=[[1.0]])
    assert solve(case).outputs.item() == 1.5 + 2.0**-51  # 1.5 + 1.5·2**-52, to even
    # (x + x + x)/3 is found to be x·1, and half-way between two float64 after the factor 1.5, by fractions alone
    loss = {"kind": "squared_error", "over_samples": "mean", "scale": 0.5}
    case = Case((1, 1), "identity", [([[0.0]], None)], [[x]] * 3, loss, [[-1.5]] * 3)
    solution = solve(case)
    assert solution.grads[0][0].item() == 1.5 + 2.0**-51
    assert solution.bits > exact.START_BITS  # fractions are kept from the second round on
    assert solution.balls["grads.0.weights"].item().offset.is_zero()


# ---------------------------------------------------------------------------------------------- corners of the domain


@pytest.mark.parametrize("z", [700.0, 40.0, 0.0, -0.0, -40.0, -700.0])
@pytest.mark.parametrize("t", [0.0, 1.0, 0.25])
def test_saturation(z: float, t: float) -> None:
    with mp.workdps(700):
        p, q = 1 / (1 + mp.exp(-z)), 1 / (1 + mp.exp(z))
        loss, delta = float(-t * mp.log(p) - (1 - t) * mp.log(q)), float((1 - t) * p - t * q)
    data: dict[str, Any] = {"inputs": [[1.0]], "targets": [[t]]}
    for activation, kind in [("sigmoid", "binary_cross_entropy"), ("identity", "sigmoid_cross_entropy")]:
        solution = solve(Case((1, 1), activation, [([[z]], [0.0])], loss={"kind": kind}, **data))
        assert (solution.loss, solution.deltas[0].item()) == (loss, delta)
        assert solution.bits == exact.START_BITS  # nothing cancels
    data["targets"] = [[t, 1 - t]]
    for activation, kind in [("softmax", "categorical_cross_entropy"), ("identity", "softmax_cross_entropy")]:
        solution = solve(Case((1, 2), activation, [([[z, 0.0]], None)], loss={"kind": kind}, **data))
        assert solution.loss == loss
        assert solution.deltas[0].tolist() == [[delta, -delta]]


def test_extreme_pre_activations() -> None:
    for kind, t in [("sigmoid_cross_entropy", [[1.0]]), ("softmax_cross_entropy", [[1.0]])]:
        solution = solve(Case((1, 1), "identity", [([[-1e300]], None)], [[1.0]], {"kind": kind}, t))
        assert solution.loss == (1e300 if kind == "sigmoid_cross_entropy" else 0.0)
    for name in ("sigmoid", "tanh", "gelu", "silu", "softplus", "elu", "gelu_tanh", "mish", "hardtanh", "hard_swish"):
        solution = solve(Case((1, 2), name, [([[1e300, -1e300]], None)], [[1.0]], None, ct_outputs=[[1.0, 1.0]]))
        high = 1.0 if name in ("sigmoid", "tanh", "hardtanh") else 1e300
        assert solution.outputs.tolist() == [[high, -1.0 if name in ("tanh", "elu", "hardtanh") else 0.0]]


def test_overflow_and_underflow() -> None:
    case = Case((1, 1), "identity", [([[1e200]], [0.0])], [[-1e200]], {"kind": "squared_error"}, [[0.0]])
    solution = solve(case)
    assert (solution.outputs.item(), solution.loss, solution.deltas[0].item()) == (-math.inf, math.inf, -math.inf)
    tiny = 5e-324
    case = Case((1, 1), "identity", [([[1.5]], None)], [[tiny]], {"kind": "squared_error", "scale": 0.5}, [[1.0]])
    solution = solve(case)
    assert solution.outputs.item() == 2 * tiny  # 1.5 units: a tie, to even
    assert solution.grads[0][0].item() == -tiny
    assert solution.deltas[0].item() == -1.0


@pytest.mark.parametrize("zero", [0.0, -0.0])
@pytest.mark.parametrize(
    ("activation", "at_zero"),
    [
        ("relu", 0.0),
        ({"name": "relu", "at_zero": 1.0}, 1.0),
        ("leaky_relu", 0.01),
        ({"name": "leaky_relu", "slope": 0.02}, 0.02),
        ({"name": "leaky_relu", "slope": 0.02, "at_zero": 0.5}, 0.5),
        ("prelu", 0.25),
        ("selu", 1.7580993408473768),
        ({"name": "selu", "at_zero": 1.0}, 1.0),
        ("relu6", 0.0),
        ({"name": "relu6", "at_zero": 1.0}, 1.0),
        ({"name": "hardtanh", "low": 0.0}, 0.0),
        ({"name": "hardtanh", "low": 0.0, "at_low": 0.5}, 0.5),
        ("celu", 1.0),
        ("elu", 1.0),
        ({"name": "elu", "alpha": 0.3}, 0.3),
        ({"name": "elu", "alpha": 0.3, "at_zero": None}, 0.3),
        ({"name": "elu", "alpha": 0.3, "at_zero": 0.0}, 0.0),
        ("tanh", 1.0),
        ("gelu", 0.5),
        ("silu", 0.5),
    ],
)
def test_at_zero(zero: float, activation: Any, at_zero: float) -> None:
    bare: dict[str, Any] = {"loss": None, "ct_outputs": [[1.0]]}
    assert solve(Case((1, 1), activation, [([[zero]], None)], [[1.0]], **bare)).deltas[0].item() == at_zero
    # known to be zero: tanh 0, σ(0) − ½, softplus · 0, 1.5·2 − 3
    for first, w, weights, bias in [
        ("tanh", zero, 1.0, zero),
        ("sigmoid", zero, 1.0, -0.5),
        ("softplus", 1.0, zero, zero),
    ]:
        params = [([[w]], [zero]), ([[weights]], [bias])]
        assert solve(Case((1, 1, 1), [first, activation], params, [[2.0]], **bare)).deltas[1].item() == at_zero
    assert solve(Case((1, 1), activation, [([[1.5]], [-3.0])], [[2.0]], **bare)).deltas[0].item() == at_zero


@pytest.mark.parametrize(
    ("activation", "z", "derivative"),
    [
        *[("relu6", 6.0, 0.0), ({"name": "relu6", "at_six": 1.0}, 6.0, 1.0), ("relu6", 5.999, 1.0)],
        *[("hardtanh", -1.0, 0.0), ("hardtanh", 1.0, 0.0), ({"name": "hardtanh", "at_high": 0.5}, 1.0, 0.5)],
        *[("hard_sigmoid", 3.0, 0.0), ({"name": "hard_sigmoid", "low": -2.5, "high": 2.5}, 2.0, 0.2)],
        *[("hard_swish", -3.0, 0.0), ("hard_swish", 3.0, 1.0), ({"name": "hard_swish", "at_high": 1.5}, 3.0, 1.5)],
    ],
)
def test_two_kinks(activation: Any, z: float, derivative: float) -> None:
    bare: dict[str, Any] = {"loss": None, "ct_outputs": [[1.0]]}
    assert solve(Case((1, 1), activation, [([[z]], None)], [[1.0]], **bare)).deltas[0].item() == derivative
    assert solve(Case((1, 1), activation, [([[0.0]], [z])], [[1.0]], **bare)).deltas[0].item() == derivative


def test_a_kink_that_only_fractions_decide() -> None:
    """Three equal thirds of a softmax, 1/3 + 1/3 − 2/3 = 0: no ball shows that."""
    params = [([[0.0, 0.0, 0.0]], None), ([[1.0], [1.0], [-2.0]], None)]
    units = ["softmax", {"name": "relu", "at_zero": 0.75}]
    solution = solve(Case((1, 3, 1), units, params, [[1.0]], None, ct_outputs=[[1.0]]))
    assert solution.deltas[1].item() == 0.75
    assert solution.bits > exact.START_BITS  # fractions are kept from the second round on


def test_a_kink_far_below_the_working_precision() -> None:
    """The sign of z is that of its 5e-324 beside products of 1e300."""
    params = [([[1e300], [-1e300], [5e-324]], None)]
    for x, delta in [(1.0, 1.0), (-1.0, 0.0)]:
        solution = solve(Case((3, 1), "relu", params, [[1e8, 1e8, x]], None, ct_outputs=[[1.0]]))
        assert solution.deltas[0].item() == delta


@pytest.mark.parametrize(
    ("activation", "z", "first"), [("sigmoid", 1e6, 1.0), ("tanh", 1e6, 1.0), ("tanh", -1e6, -1.0), ("elu", -1e6, -1.0)]
)
def test_saturated_units_beside_a_tie(activation: str, z: float, first: float) -> None:
    """first·(1 − ε) ± 2**-53: half-way but for an ε of a million bits."""
    for bias, expected in [(2.0**-53, 1.0), (-(2.0**-53) - 2.0**-52, 1 - 2.0**-52 - 2.0**-53)]:
        params = [([[z]], None), ([[first]], [1 + bias - 1.0 if bias > 0 else bias])]
        case = Case((1, 1, 1), [activation, "identity"], params, [[1.0]], None, ct_outputs=[[1.0]])
        solution = solve(case)
        assert solution.outputs.item() == expected
        assert solution.bits <= 512
