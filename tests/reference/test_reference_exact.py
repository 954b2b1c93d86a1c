"""The referee against other ways to the same numbers: fractions, 120-digit central differences, closed forms."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from flint import ctx, fmpq

from reference import exact, formulas
from reference.exact import Case, solve, ulp_distance
from reference.problem import ACTIVATIONS, BINARY_LOSSES, LOSSES, PROBABILITY_LOSSES

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


@pytest.mark.parametrize(
    "activation",
    [{"name": "softplus", "beta": 0.3}, {"name": "celu", "alpha": 0.3}, {"name": "scaled_tanh", "rate": 3.0}],
)
def test_parameters_of_smooth_activations(rng: np.random.Generator, activation: Any) -> None:
    assert_agrees(random_case(rng, (2, 3, 2), [activation, "identity"], "squared_error"))


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
