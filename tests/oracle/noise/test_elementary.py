"""Amplitudes of activations: every usual way to write one is consistent in every precision; another function is not."""

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp._dtypes import DTYPES

# name: ways to write it, as (value, derivative) of z and of c, which makes constants of the dtype computed in


def sigmoid(z, c):
    return c(1) / (c(1) + np.exp(-z))


def half_tanh_sigmoid(z, c):
    return c(0.5) * (np.tanh(c(0.5) * z) + c(1))


def cubic(z, c):
    return c(0.7978845608028654) * (z + c(0.044715) * z * z * z)


def softplus(z, c):
    return np.log(c(1) + np.exp(z))


def gate(z, c):
    return np.tanh(softplus(z, c))


def gelu_tanh_slope(z, c):
    t = np.tanh(cubic(z, c))
    slope = c(0.7978845608028654) * (c(1) + c(3 * 0.044715) * z * z)
    return c(0.5) * (c(1) + t) + c(0.5) * z * (c(1) - t * t) * slope


def mish_slope(z, c):
    t = gate(z, c)
    return t + z * (c(1) - t * t) * sigmoid(z, c)


def mish_slope_of_exponentials(z, c):
    e = np.exp(z)
    omega = c(4) * (z + c(1)) + c(4) * e * e + e * e * e + e * (c(4) * z + c(6))
    delta = c(2) * e + e * e + c(2)
    return e * omega / (delta * delta)


def clipped(z, low, high, c):
    return np.minimum(np.maximum(z, c(low)), c(high))


def inside(z, low, high, c):
    return ((z > c(low)) & (z < c(high))).astype(z.dtype)


def quick_slope(z, c):
    s = sigmoid(c(1.702) * z, c)
    return s + c(1.702) * z * s * (c(1) - s)


SELU = (1.0507009873554805, 1.6732632423543772)
FORMS = {
    "gelu_tanh": [
        (lambda z, c: c(0.5) * z * (c(1) + np.tanh(cubic(z, c))), gelu_tanh_slope),
        (lambda z, c: z * sigmoid(c(2) * cubic(z, c), c), gelu_tanh_slope),
    ],
    "quick_gelu": [
        (lambda z, c: z * sigmoid(c(1.702) * z, c), quick_slope),
        (lambda z, c: z * half_tanh_sigmoid(c(1.702) * z, c), quick_slope),
    ],
    "mish": [
        (lambda z, c: z * gate(z, c), mish_slope),
        (lambda z, c: z * gate(z, c), mish_slope_of_exponentials),
    ],
    "selu": [
        (
            lambda z, c: c(SELU[0]) * np.where(z > 0, z, c(SELU[1]) * (np.exp(z) - c(1))),
            lambda z, c: np.where(
                z > 0, c(SELU[0]), c(SELU[0]) * c(SELU[1]) * (np.exp(z) - c(1)) + c(SELU[0] * SELU[1])
            ),
        ),
        (
            lambda z, c: c(SELU[0]) * np.where(z > 0, z, c(SELU[1]) * np.exp(z) - c(SELU[1])),
            lambda z, c: c(SELU[0]) * np.where(z > 0, c(1), c(SELU[1]) * np.exp(z)),
        ),
    ],
    "celu": [
        (lambda z, c: np.where(z > 0, z, np.exp(z) - c(1)), lambda z, c: np.where(z > 0, c(1), np.exp(z))),
    ],
    "prelu": [(lambda z, c: np.where(z > 0, z, c(0.25) * z), lambda z, c: np.where(z > 0, c(1), c(0.25)))],
    "relu6": [(lambda z, c: clipped(z, 0, 6, c), lambda z, c: inside(z, 0, 6, c))],
    "hardtanh": [(lambda z, c: clipped(z, -1, 1, c), lambda z, c: inside(z, -1, 1, c))],
    "hard_sigmoid": [
        (lambda z, c: clipped(z / c(6) + c(0.5), 0, 1, c), lambda z, c: inside(z, -3, 3, c) / c(6)),
        (lambda z, c: clipped(z + c(3), 0, 6, c) * c(1 / 6), lambda z, c: inside(z, -3, 3, c) * c(1 / 6)),
        (lambda z, c: clipped(c(1 / 6) * z + c(0.5), 0, 1, c), lambda z, c: inside(z, -3, 3, c) * c(1 / 6)),
    ],
    "hard_swish": [
        (
            lambda z, c: z * clipped(z + c(3), 0, 6, c) / c(6),
            lambda z, c: np.where(z >= 3, c(1), inside(z, -3, 3, c) * (z / c(3) + c(0.5))),
        ),
        (
            lambda z, c: z * clipped(c(1 / 6) * z + c(0.5), 0, 1, c),
            lambda z, c: clipped(z + c(3), 0, 6, c) * c(1 / 6) + z * inside(z, -3, 3, c) * c(1 / 6),
        ),
    ],
    "scaled_tanh": [
        (
            lambda z, c: c(1.7159) * np.tanh(c(2 / 3) * z),
            lambda z, c: c(1.7159 * 2 / 3) * (c(1) - np.tanh(c(2 / 3) * z) ** 2),
        ),
        (
            lambda z, c: c(1.7159) * np.tanh(c(2) * z / c(3)),
            lambda z, c: (
                c(2 / 3 / 1.7159)
                * (c(1.7159) - c(1.7159) * np.tanh(c(2 / 3) * z))
                * (c(1.7159) + c(1.7159) * np.tanh(c(2 / 3) * z))
            ),
        ),
    ],
    "softsign": [
        (lambda z, c: z / (c(1) + np.abs(z)), lambda z, c: c(1) / (c(1) + np.abs(z)) ** 2),
        (lambda z, c: z / (c(1) + np.abs(z)), lambda z, c: (c(1) - np.abs(z / (c(1) + np.abs(z)))) ** 2),
        (
            lambda z, c: z / (c(1) + np.abs(z)),
            lambda z, c: (c(1) + np.abs(z) - z * np.sign(z)) / (c(1) + np.abs(z)) ** 2,
        ),
    ],
    "sin": [(lambda z, c: np.sin(z), lambda z, c: np.cos(z))],
    "cos": [(lambda z, c: np.cos(z), lambda z, c: -np.sin(z))],
    "gaussian": [
        (lambda z, c: np.exp(-z * z), lambda z, c: c(-2) * z * np.exp(-z * z)),
        (lambda z, c: c(1) / np.exp(z**2), lambda z, c: c(-2) * z / np.exp(z**2)),
    ],
    "softplus": [
        (softplus, lambda z, c: c(1) / (c(1) + np.exp(-z))),
        (softplus, lambda z, c: np.exp(z) / (c(1) + np.exp(z))),
    ],
}
WITH_PARAMETERS = {
    "softplus(2.5)": (
        {"name": "softplus", "beta": 2.5},
        (lambda z, c: np.log(c(1) + np.exp(c(2.5) * z)) / c(2.5), lambda z, c: sigmoid(c(2.5) * z, c)),
    ),
    "celu(0.7)": (
        {"name": "celu", "alpha": 0.7},
        (
            lambda z, c: np.where(z > 0, z, c(0.7) * (np.exp(z / c(0.7)) - c(1))),
            lambda z, c: np.where(z > 0, c(1), c(0.7) * (np.exp(z / c(0.7)) - c(1)) / c(0.7) + c(1)),
        ),
    ),
    "hard_sigmoid of Keras": (
        {"name": "hard_sigmoid", "low": -2.5, "high": 2.5},
        (lambda z, c: clipped(c(0.2) * z + c(0.5), 0, 1, c), lambda z, c: c(0.2) * inside(z, -2.5, 2.5, c)),
    ),
    "hardtanh(-0.3, 0.7)": (
        {"name": "hardtanh", "low": -0.3, "high": 0.7},
        (lambda z, c: clipped(z, -0.3, 0.7, c), lambda z, c: inside(z, -0.3, 0.7, c)),
    ),
}
OVERFLOWING = (("mish", 1), ("softplus(2.5)", None))  # in float16, which is wrong
WAYS = [(name, {"name": name}, number) for name in FORMS for number in range(len(FORMS[name]))]
WAYS += [(name, spec, None) for name, (spec, _) in WITH_PARAMETERS.items()]


def answer_of(case, value, slope):
    """Gradients of a network with one activation in two hidden layers, then none, and squared error, in its dtype."""
    dtype = DTYPES[case.dtype]
    c = dtype.type
    (w1, b1), (w2, b2), (w3, b3) = (tuple(leaf.astype(dtype) for leaf in layer) for layer in case.params)
    x, t = case.inputs.astype(dtype), case.targets.astype(dtype)
    with np.errstate(all="ignore"):
        z1 = x @ w1 + b1
        a1 = value(z1, c).astype(dtype)
        z2 = a1 @ w2 + b2
        a2 = value(z2, c).astype(dtype)
        ct3 = c(2) * (a2 @ w3 + b3 - t)
        ct2 = (ct3 @ w3.T) * slope(z2, c).astype(dtype)
        ct1 = (ct2 @ w2.T) * slope(z1, c).astype(dtype)
        pairs = ((x, ct1), (a1, ct2), (a2, ct3))
        return [(a.T @ ct, ct.sum(axis=0)) for a, ct in pairs]


def cases(spec, dtype):
    """A small network, one with pre-activations in the thousands of roundoffs, and many samples."""
    far = 2.0 if dtype == "float16" else 4.0  # exponentials overflow in float16 from 11 on
    for seed, (spread, samples) in enumerate([(1.0, 7), (far, 7), (1.0, 40)]):
        case = oracle.draw_case(
            fm.Network((3, 6, 5, 2), (spec, spec, "identity")),
            fm.Loss("squared_error"),
            samples=samples,
            seed=seed,
            dtype=dtype,
        )
        params = [(spread * layer.weights, layer.bias) for layer in case.params]
        yield oracle.Case(case.network, case.loss, params, case.inputs, case.targets, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
@pytest.mark.parametrize(
    ("name", "spec", "number"), WAYS, ids=lambda way: str(way) if not isinstance(way, dict) else ""
)
def test_every_usual_way_to_write_an_activation_is_never_wrong(name, spec, number, dtype):
    if dtype == "float16" and (name, number) in OVERFLOWING:
        return
    way = WITH_PARAMETERS[name][1] if number is None else FORMS[name][number]
    for case in cases(spec, dtype):
        report = oracle.check(case, answer_of(case, *way), precision=dtype)
        assert report.verdict is not oracle.Verdict.WRONG, report.text()
        if dtype in ("float64", "float32"):
            assert report.verdict is oracle.Verdict.CONSISTENT, report.text()


@pytest.mark.parametrize(
    ("name", "spec", "number"), WAYS, ids=lambda way: str(way) if not isinstance(way, dict) else ""
)
def test_a_derivative_that_is_off_by_a_thousandth_is_wrong(name, spec, number):
    value, slope = WITH_PARAMETERS[name][1] if number is None else FORMS[name][number]
    case = next(cases(spec, "float32"))
    given = answer_of(case, value, lambda z, c: c(1.001) * slope(z, c))
    assert oracle.check(case, given, precision="float32").verdict is oracle.Verdict.WRONG
