"""Slips of the forward pass: what each formula says, in a pass that is written out here."""

import numpy as np
import pytest

from functional_mlp.network import Network
from functional_mlp.oracle.case import draw_case
from functional_mlp.oracle.mistakes.catalogue.registry import MISTAKES
from functional_mlp.oracle.mistakes.injection import places, plant, site_of
from functional_mlp.oracle.mistakes.program import prepare
from tests.helpers.mistaken import draw


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def hidden(activation, last="identity", kind="squared_error", outputs=2):
    return draw((3, 4, outputs), (activation, last), kind, samples=6, seed=1, scale=0.5)


def differ_in(case, value, derivative):
    """Outputs and gradients of a program whose hidden layer has this value and this derivative, both of z."""
    (w, b), (v, c) = case.params
    z = case.inputs @ w + b
    a = value(z)
    outputs = a @ v + c
    ct = outputs - case.targets
    delta = (ct @ v.T) * derivative(z, a)
    return outputs, [(case.inputs.T @ delta, delta.sum(axis=0)), (a.T @ ct, ct.sum(axis=0))]


def agree(planted, expected, rtol=1e-12):
    outputs, grads = expected
    np.testing.assert_allclose(planted.outputs, outputs, rtol=rtol, atol=1e-14)
    for own, layer in zip(planted.grads, grads, strict=True):
        for a, b in zip(own, layer, strict=True):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-14)


LEAKY = {
    "slope-where-positive": (lambda z: np.where(z < 0, 0, 0.01 * z), lambda z: np.where(z > 0, 0.01, 0)),
    "sides-swapped": (lambda z: np.where(z > 0, 0.01 * z, z), lambda z: np.where(z > 0, 0.01, 1)),
    "constant": (lambda z: np.where(z > 0, z, 0.01), lambda z: z > 0),
    "maximum": (lambda z: np.maximum(0.01, z), lambda z: z > 0.01),
    "slope-negated": (lambda z: np.where(z > 0, z, -0.01 * z), None),
}


@pytest.mark.parametrize("variant", LEAKY)
def test_a_leaky_relu_mistyped(variant):
    case, (value, own) = hidden("leaky_relu"), LEAKY[variant]
    planted = plant(case, "leaky-forward-slip", 0, variant=variant)
    agree(planted, differ_in(case, value, lambda z, a: np.where(z > 0, 1, 0.01)))
    if own is not None:
        planted = plant(case, "leaky-forward-slip", 0, variant=f"{variant}-both-ways")
        agree(planted, differ_in(case, value, lambda z, a: own(z)))


@pytest.mark.parametrize(("activation", "slope"), [("leaky_relu", 0.01), ("relu", 0.0)])
def test_another_slope_in_the_forward_pass_alone(activation, slope):
    case = hidden(activation)
    expected = differ_in(case, lambda z: np.where(z > 0, z, 0.3 * z), lambda z, a: np.where(z > 0, 1, slope))
    agree(plant(case, "slope-different-forward", 0, value=0.3), expected)


def over(axis):
    return lambda z: np.exp(z) / np.exp(z).sum(axis=axis, keepdims=True)


@pytest.mark.parametrize(("variant", "axis"), [("samples", 0), ("everything", None)])
def test_a_softmax_over_the_wrong_axis(variant, axis):
    # at the output, with the p - t that people write: of the layer, or inside of the loss
    for last, kind in (("softmax", "categorical_cross_entropy"), ("identity", "softmax_cross_entropy")):
        case = hidden("tanh", last, kind, outputs=3)
        (w, b), (v, c) = case.params
        h = np.tanh(case.inputs @ w + b)
        logits = h @ v + c
        p = over(axis)(logits)
        planted = plant(case, "softmax-over-samples", 1, variant=variant)
        np.testing.assert_allclose(planted.outputs, p if last == "softmax" else logits, rtol=1e-12)
        np.testing.assert_allclose(planted.deltas[1], 0.5 * (p - case.targets), rtol=1e-12)
        np.testing.assert_allclose(planted.grads[1].weights, h.T @ (0.5 * (p - case.targets)), rtol=1e-11)
        assert planted.loss == pytest.approx(-0.5 * np.log((p * case.targets).sum(axis=1)).sum(), rel=1e-12)
    case = hidden("softmax")
    (w, b), (v, c) = case.params
    a = over(axis)(case.inputs @ w + b)
    ct = (a @ v + c - case.targets) @ v.T
    planted = plant(case, "softmax-over-samples", 0, variant=variant)
    np.testing.assert_allclose(
        planted.deltas[0], a * (ct - (a * ct).sum(axis=1, keepdims=True)), rtol=1e-11, atol=1e-15
    )


@pytest.mark.parametrize("e", [2.7, 2.71828])
def test_a_short_e(e):
    case = hidden("sigmoid")
    agree(
        plant(case, "short-constant", 0, value=e), differ_in(case, lambda z: 1 / (1 + e**-z), lambda z, a: a * (1 - a))
    )
    case = hidden("tanh")
    value = lambda z: (e**z - e**-z) / (e**z + e**-z)  # noqa: E731
    agree(plant(case, "short-constant", 0, value=e), differ_in(case, value, lambda z, a: 1 - a**2), rtol=1e-10)
    case = hidden("elu")
    value = lambda z: np.where(z > 0, z, e**z - 1)  # noqa: E731
    agree(plant(case, "short-constant", 0, value=e), differ_in(case, value, lambda z, a: np.where(z > 0, 1, a + 1)))
    for last, kind in (("softmax", "categorical_cross_entropy"), ("identity", "softmax_cross_entropy")):
        case = hidden("tanh", last, kind, outputs=3)
        (w, b), (v, c) = case.params
        powers = e ** (np.tanh(case.inputs @ w + b) @ v + c)
        p = powers / powers.sum(axis=1, keepdims=True)
        planted = plant(case, "short-constant", 1, value=e)
        np.testing.assert_allclose(planted.deltas[1], 0.5 * (p - case.targets), rtol=1e-11)


def test_a_short_pi():
    case, s = hidden("gelu_tanh"), np.sqrt(2 / 3.14)

    def slope(z, a):
        u = s * (z + 0.044715 * z**3)
        return (1 + np.tanh(u)) / 2 + z / 2 / np.cosh(u) ** 2 * s * (1 + 3 * 0.044715 * z**2)

    expected = differ_in(case, lambda z: z * (1 + np.tanh(s * (z + 0.044715 * z**3))) / 2, slope)
    agree(plant(case, "short-constant", 0, value=3.14), expected, rtol=1e-10)
    case = hidden("gelu")
    right = plant(case, "short-constant", 0, value=np.pi)
    wrong = plant(case, "short-constant", 0, value=3.14)
    z = case.inputs @ case.params[0].weights + case.params[0].bias
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    ct = (right.outputs - case.targets) @ case.params[1].weights.T
    np.testing.assert_allclose(
        wrong.deltas[0] - right.deltas[0], ct * z * density * (np.sqrt(np.pi / 3.14) - 1), rtol=1e-8, atol=1e-15
    )


def test_where_and_with_which_numbers():
    assert places(hidden("leaky_relu"), "leaky-forward-slip") == tuple(
        (0, variant) for variant in (*LEAKY, *(f"{name}-both-ways" for name in LEAKY if name != "slope-negated"))
    )
    one = draw((3, 3), "softmax", "categorical_cross_entropy", samples=1)
    assert places(one, "softmax-over-samples") == ()
    mistake = MISTAKES["short-constant"]
    for dtype, count in {"float64": 10, "float32": 5, "float16": 0}.items():
        narrow = draw_case(Network((2, 2), "sigmoid"), None, dtype=dtype)
        starts = mistake.parameter.starts(site_of(prepare(narrow), mistake, 0, "e"))
        assert len(starts) == count, dtype  # those that are further from e than rounding
