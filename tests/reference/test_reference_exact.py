"""The referee against other ways to the same numbers: fractions, 120-digit central differences, closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from flint import ctx, fmpq

from reference import exact, formulas
from reference.exact import Case, solve, ulp_distance
from reference.problem import ACTIVATIONS, BINARY_LOSSES, LOSSES, PROBABILITY_LOSSES
from tests.reference.brute_force import nearest

DIGITS = 120
H = mp.mpf(10) ** -30  # central differences: the error is about H², beyond the 16th digit of any result here

# ------------------------------------------------------------------------ every activation and loss, by other means


def mp_activation(spec: Any, z: list[Any]) -> list[Any]:
    name, given = (spec, {}) if isinstance(spec, str) else (spec["name"], spec)
    if name == "softmax":
        powers = [mp.exp(x) for x in z]
        return [e / mp.fsum(powers) for e in powers]
    slope, alpha, beta = (mp.mpf(given.get(key, usual)) for key, usual in (("slope", 0.01), ("alpha", 1), ("beta", 1)))
    reach = 3 if name == "hard_sigmoid" else 1
    low, high = mp.mpf(given.get("low", -reach)), mp.mpf(given.get("high", reach))
    function: Callable[[Any], Any] = {
        "identity": lambda x: x,
        "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
        "tanh": mp.tanh,
        "relu": lambda x: max(x, mp.mpf(0)),
        "leaky_relu": lambda x: x if x > 0 else slope * x,
        "elu": lambda x: x if x > 0 else alpha * (mp.exp(x) - 1),
        "softplus": lambda x: mp.log(1 + mp.exp(beta * x)) / beta,
        "silu": lambda x: x / (1 + mp.exp(-x)),
        "gelu": lambda x: x * mp.ncdf(x),
        "gelu_tanh": lambda x: x / 2 * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (x + mp.mpf(44715) / 10**6 * x**3))),
        "quick_gelu": lambda x: x / (1 + mp.exp(-mp.mpf(1.702) * x)),
        "mish": lambda x: x * mp.tanh(mp.log(1 + mp.exp(x))),
        "selu": lambda x: (
            mp.mpf("1.0507009873554804934193349852946")
            * (x if x > 0 else mp.mpf("1.6732632423543772848170429916717") * (mp.exp(x) - 1))
        ),
        "celu": lambda x: x if x > 0 else alpha * (mp.exp(x / alpha) - 1),
        "prelu": lambda x: x if x > 0 else mp.mpf(given.get("slope", 0.25)) * x,
        "relu6": lambda x: min(max(x, mp.mpf(0)), mp.mpf(6)),
        "hardtanh": lambda x: min(max(x, low), high),
        "hard_sigmoid": lambda x: min(max((x - low) / (high - low), mp.mpf(0)), mp.mpf(1)),
        "hard_swish": lambda x: x * min(max((x + 3) / 6, mp.mpf(0)), mp.mpf(1)),
        "scaled_tanh": lambda x: mp.mpf(given.get("scale", 1.7159)) * mp.tanh(mp.mpf(given.get("rate", 2 / 3)) * x),
        "softsign": lambda x: x / (1 + abs(x)),
        "sin": mp.sin,
        "cos": mp.cos,
        "gaussian": lambda x: mp.exp(-x * x),
    }[name]
    return [function(x) for x in z]


def mp_term(loss: dict[str, Any], o: list[Any], t: list[Any]) -> list[Any]:
    kind, zero = loss["kind"], mp.mpf(0)
    delta, gamma, epsilon = (mp.mpf(loss[name]) for name in ("delta", "gamma", "epsilon"))
    of_differences: dict[str, Callable[[Any], Any]] = {
        "squared_error": lambda d: d**2,
        "absolute_error": abs,
        "huber": lambda d: d**2 / 2 if abs(d) <= delta else delta * (abs(d) - delta / 2),
        "log_cosh": lambda d: mp.log(mp.cosh(d)),
    }
    if kind in of_differences:
        return [of_differences[kind](x - y) for x, y in zip(o, t, strict=True)]
    if kind == "hinge":
        return [max(zero, 1 - x * y) for x, y in zip(o, t, strict=True)]
    if kind == "multiclass_hinge":
        score = mp.fdot(o, t)
        return [(1 - y) * max(zero, 1 + x - score) for x, y in zip(o, t, strict=True)]
    if smoothing := mp.mpf(loss["label_smoothing"]):
        t = [(1 - smoothing) * y + smoothing / (2 if kind in BINARY_LOSSES else len(t)) for y in t]
    if loss["class_weights"] is not None:
        t = [mp.mpf(w) * y for w, y in zip(loss["class_weights"], t, strict=True)]
    p = mp_activation(kind.split("_")[0] if kind.startswith(("sigmoid", "softmax")) else "identity", o)
    if kind == "softmax_focal":
        return [-y * (1 - x) ** gamma * mp.log(x) for x, y in zip(p, t, strict=True)]
    if kind == "sigmoid_focal":
        a = mp.mpf(1 if loss["alpha"] is None else loss["alpha"])
        factors = [1 if loss["alpha"] is None else a * y + (1 - a) * (1 - y) for y in t]
        missing = [(1 - (x * y + (1 - x) * (1 - y))) ** gamma for x, y in zip(p, t, strict=True)]
        entropies = [-(y * mp.log(x) + (1 - y) * mp.log(1 - x)) for x, y in zip(p, t, strict=True)]
        return [f * m * e for f, m, e in zip(factors, missing, entropies, strict=True)]
    if kind in BINARY_LOSSES:
        heavy = mp.mpf(loss["pos_weight"])
        return [
            -(heavy * y * mp.log(x + epsilon) + (1 - y) * mp.log(1 - x + epsilon)) for x, y in zip(p, t, strict=True)
        ]
    terms = [-y * mp.log(x + epsilon) for x, y in zip(p, t, strict=True)]
    if "divergence" in kind:
        terms = [x + y * mp.log(y) if y else x for x, y in zip(terms, t, strict=True)]
    return terms


DEFAULTS = {
    "over_samples": "sum",
    "over_outputs": "sum",
    "scale": 1.0,
    "l2": 0.0,
    "l2_on_bias": False,
    "l1": 0.0,
    "delta": 1.0,
    "gamma": 2.0,
    "alpha": None,
    "pos_weight": 1.0,
    "label_smoothing": 0.0,
    "class_weights": None,
    "ignore_index": None,
    "epsilon": 0.0,
}


def lists(array: Any) -> Any:
    return [lists(row) for row in array] if np.ndim(array) else mp.mpf(float(array))


def mp_loss(case: Case, name: str = "", index: tuple[int, ...] = (), step: Any = 0) -> tuple[Any, dict[str, Any]]:
    """The loss (or Σ ct_o·o) with `step` added to one number: a parameter, an input, or a pre-activation."""
    data: dict[str, Any] = {"ct_inputs": lists(case.inputs)}
    for layer, (w, b) in enumerate(case.params):
        data[f"grads.{layer}.weights"] = lists(w)
        data[f"grads.{layer}.bias"] = None if b is None else lists(b)
        data[f"deltas.{layer}"] = [[mp.mpf(0)] * case.sizes[layer + 1] for _ in range(len(case.inputs))]
    if name:
        target = data[name]
        for i in index[:-1]:
            target = target[i]
        target[index[-1]] += step
    a, forward = data["ct_inputs"], {}
    for layer, spec in enumerate(case.activations):
        w, b, shift = (data[f"{key}"] for key in (f"grads.{layer}.weights", f"grads.{layer}.bias", f"deltas.{layer}"))
        z = [
            [mp.fdot(row, [r[j] for r in w]) + (0 if b is None else b[j]) + s[j] for j in range(len(w[0]))]
            for row, s in zip(a, shift, strict=True)
        ]
        a = [mp_activation(spec, row) for row in z]
        forward |= {f"pre_activations.{layer}": z, f"activations.{layer}": a}
    forward["outputs"] = a
    if case.loss is None:
        return mp.fsum(mp.fdot(c, o) for c, o in zip(lists(case.ct_outputs), a, strict=True)), forward
    loss = DEFAULTS | case.loss
    targets = lists(case.targets)
    rows = [mp.fsum(mp_term(loss, o, t)) for o, t in zip(a, targets, strict=True)]
    weights = [mp.mpf(1)] * len(rows) if case.sample_weights is None else lists(case.sample_weights)
    if loss["ignore_index"] is not None:
        weights = [w if any(row) else mp.mpf(0) for w, row in zip(weights, targets, strict=True)]
    value = mp.mpf(loss["scale"]) * mp.fdot(weights, rows)
    of_classes = [mp.fdot(loss["class_weights"] or [1] * len(row), row) for row in targets]
    divisor = mp.fdot(weights, of_classes) if loss["class_weights"] is not None else mp.fsum(weights)
    value /= {"sum": 1, "mean": divisor, "batch_mean": sum(w != 0 for w in weights)}[loss["over_samples"]]
    value /= case.sizes[-1] if loss["over_outputs"] == "mean" else 1
    penalised = [x for layer in range(len(case.params)) for row in data[f"grads.{layer}.weights"] for x in row]
    if loss["l2_on_bias"]:
        penalised += [x for layer in range(len(case.params)) for x in data[f"grads.{layer}.bias"] or ()]
    forward["loss"] = value + mp.mpf(loss["l2"]) * mp.fsum(x * x for x in penalised) / 2
    forward["loss"] += mp.mpf(loss["l1"]) * mp.fsum(map(abs, penalised))
    return forward["loss"], forward


def assert_agrees(case: Case) -> None:
    """Every number of the solution is the float64 nearest to what mpmath finds for it, without any backward pass."""
    solution, again = solve(case), solve(case, start_bits=256, max_bits=256)  # balls; rationals with offsets
    with mp.workdps(DIGITS):
        forward = mp_loss(case)[1]
        for name, leaf in solution.leaves.items():
            for index, got in np.ndenumerate(leaf):
                if name in forward:
                    true = forward[name]
                    for i in index:
                        true = true[i]
                else:
                    true = (mp_loss(case, name, index, H)[0] - mp_loss(case, name, index, -H)[0]) / (2 * H)
                    # a true zero comes out as the error of the difference; the smallest number here is far above it
                    true = true if abs(true) > mp.mpf(10) ** -25 else mp.mpf(0)
                assert got == again.leaves[name][index] == float(true), f"{name}{list(index)}: {got!r}, {float(true)!r}"


def random_case(
    rng: np.random.Generator, sizes: tuple[int, ...], activations: list[Any], kind: str, n: int = 2
) -> Case:
    """Targets are soft and do not sum to 1, one of them is 0 and one is 1; the second layer has no bias."""
    params = [
        (1.3 * rng.standard_normal((i, j)), None if layer == 1 else rng.standard_normal(j))
        for layer, (i, j) in enumerate(pairwise(sizes))
    ]
    targets = rng.random((n, sizes[-1]))
    targets[0, 0], targets[-1, -1] = 0.0, 1.0
    loss = {
        "kind": kind,
        "over_samples": str(rng.choice(["sum", "mean", "batch_mean"])),
        "over_outputs": str(rng.choice(["sum", "mean"])),
        "scale": float(rng.choice([1.0, 0.7])),
        "l2": float(rng.choice([0.0, 0.1])),
        "l1": float(rng.choice([0.0, 0.03])),
        "l2_on_bias": bool(rng.integers(2)),
    }
    weights = np.array([0.3, 1.7, 0.0][:n]) if rng.integers(2) else None
    return Case(sizes, activations, params, rng.standard_normal((n, sizes[0])), loss, targets, weights)


PAIRS = [
    (last, kind)
    for kind in LOSSES
    for last in ACTIVATIONS
    if kind not in PROBABILITY_LOSSES or last in ("sigmoid", "softmax")
]
HIDDEN = [
    *ACTIVATIONS,
    {"name": "leaky_relu", "slope": -0.3},
    {"name": "elu", "alpha": 0.4},
    {"name": "elu", "alpha": -2},
]


@pytest.mark.parametrize(("number", "last", "kind"), [(i, *pair) for i, pair in enumerate(PAIRS)])
def test_every_activation_before_every_loss(number: int, last: str, kind: str) -> None:
    rng = np.random.default_rng([20261122, number])
    case = random_case(rng, (1, 2, 2), [HIDDEN[number % len(HIDDEN)], last], kind)
    while not np.all(
        solve(case).leaves["pre_activations.1"]
    ):  # both hidden units are 0: the last ones are exactly at a kink
        case = random_case(rng, (1, 2, 2), [HIDDEN[number % len(HIDDEN)], last], kind)
    assert_agrees(case)


OPTIONS: dict[str, list[Any]] = {
    "delta": [0.3],
    "gamma": [0.0, 0.5, 3.0],
    "alpha": [0.25],
    "pos_weight": [2.5],
    "label_smoothing": [0.1],
    "class_weights": [(0.5, 2.0)],
    "ignore_index": [-1],
    "epsilon": [1e-3],
}


@pytest.mark.parametrize(("kind", "option"), [(kind, option) for kind in LOSSES for option in LOSSES[kind]])
def test_every_option_of_every_loss(kind: str, option: str) -> None:
    last = {"binary_cross_entropy": "sigmoid"}.get(kind, "softmax" if kind in PROBABILITY_LOSSES else "identity")
    for number, value in enumerate(OPTIONS[option]):
        rng = np.random.default_rng([20261130, number])
        case = random_case(rng, (1, 2, 2), ["tanh", last], kind, n=3)
        targets = np.array(case.targets)
        targets[1] = 0.0 if option == "ignore_index" else targets[1]
        assert_agrees(case._replace(loss={**(case.loss or {}), option: value}, targets=targets))


def test_depth_and_a_batch_with_a_sample_of_weight_zero(rng: np.random.Generator) -> None:
    case = random_case(rng, (2, 2, 1, 2, 2), ["gelu", "tanh", "softmax", "sigmoid"], "binary_cross_entropy", n=3)
    assert_agrees(case._replace(sample_weights=np.array([0.3, 1.7, 0.0])))


@pytest.mark.parametrize("last", ["softmax", "tanh"])
def test_a_bare_cotangent(rng: np.random.Generator, last: str) -> None:
    case = random_case(rng, (2, 3, 3), ["silu", last], "squared_error")
    case = case._replace(loss=None, targets=None, sample_weights=None, ct_outputs=rng.standard_normal((2, 3)))
    assert_agrees(case)
    assert solve(case).loss is None


@pytest.mark.parametrize(
    "plant",
    [
        lambda m: m.setitem(formulas.DERIVATIVES, "tanh", lambda z, unit: 1 - formulas.tanh(z)),
        lambda m: m.setitem(formulas.VALUES, "tanh", lambda z, unit: formulas.tanh(z) * (1 + fmpq(1, 2**52))),
        lambda m: m.setattr(
            exact, "loss_row", lambda *a: (formulas.loss_row(*a)[0], [x * 2 for x in formulas.loss_row(*a)[1]])
        ),
        lambda m: m.setattr(exact, "_coefficients", lambda problem, loss: [fmpq(1)] * len(problem.inputs)),
        lambda m: m.setattr(formulas, "over", lambda t, p: t),
    ],
    ids=["derivative", "value by one ulp", "factor 2", "reductions", "division"],
)
def test_planted_errors_are_caught(monkeypatch: pytest.MonkeyPatch, plant: Callable[[Any], None]) -> None:
    case = random_case(np.random.default_rng(5), (1, 2, 2), ["tanh", "sigmoid"], "binary_cross_entropy")
    case = case._replace(loss={"kind": "binary_cross_entropy", "over_samples": "mean"}, sample_weights=None)
    assert_agrees(case)
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        assert_agrees(case)


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


@pytest.mark.parametrize(
    "activation",
    [{"name": "softplus", "beta": 0.3}, {"name": "celu", "alpha": 0.3}, {"name": "scaled_tanh", "rate": 3.0}],
)
def test_parameters_of_smooth_activations(rng: np.random.Generator, activation: Any) -> None:
    assert_agrees(random_case(rng, (2, 3, 2), [activation, "identity"], "squared_error"))


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


@pytest.mark.parametrize("scale", [1.0, 8.0, 1e-160])
@pytest.mark.parametrize("number", range(6))
def test_balls_alone_and_rationals_with_offsets_agree(number: int, scale: float) -> None:
    """The first round and the later ones compute differently; neither they nor their precision change a result."""
    rng = np.random.default_rng([7, number])
    last, kind = PAIRS[int(rng.integers(len(PAIRS)))]
    hidden = [HIDDEN[int(rng.integers(len(HIDDEN)))] for _ in range(2)]
    case = random_case(rng, (2, 4, 4, 2), [*hidden, last], kind, n=3)
    case = case._replace(params=[(scale * w, b) for w, b in case.params])
    expected = solve(case)
    for start_bits, max_bits in [(64, 8192), (4096, 5000), (2500, 2500), (8192, 8192)]:
        got = solve(case, start_bits=start_bits, max_bits=max_bits)
        assert got.bits >= start_bits
        for name, leaf in expected.leaves.items():
            assert np.array_equal(leaf, got.leaves[name])
    assert ctx.prec == 53  # the caller's precision is left as it was


def test_the_solution_holds_the_same_numbers_by_name(rng: np.random.Generator) -> None:
    case = random_case(rng, (2, 3, 2), ["tanh", "identity"], "squared_error", n=3)
    s = solve(case)
    assert s.outputs.shape == (3, 2)
    assert [x.shape for x in s.deltas] == [x.shape for x in s.pre_activations] == [(3, 3), (3, 2)]
    assert s.activations[-1] is s.leaves["activations.1"]
    assert np.array_equal(s.outputs, s.activations[-1])
    assert s.grads[0][0] is s.leaves["grads.0.weights"]
    assert s.grads[1][1] is None
    assert "grads.1.bias" not in s.leaves
    assert s.ct_inputs.shape == (3, 2)
    assert s.loss is not None
    assert s.loss.shape == ()
    for name, leaf in s.leaves.items():
        assert leaf.dtype == np.float64
        for got, ball in zip(leaf.flat, s.balls[name].flat, strict=True):
            assert ulp_distance(got, ball) <= 0.5 + 1e-12
            assert ulp_distance(np.nextafter(got, np.inf), ball) >= 0.5 - 1e-12
