"""Mistakes of the chain rule: what each formula says, in a backward pass that is written out here."""

import math

import jax
import numpy as np
import pytest

from functional_mlp import oracle
from functional_mlp._dtypes import DTYPES
from functional_mlp.network import Network
from functional_mlp.oracle.mistakes.catalogue.chain_rule.formulas import FORMULA_MISTAKES
from functional_mlp.oracle.mistakes.catalogue.chain_rule.masks import MASK_MISTAKES
from functional_mlp.oracle.mistakes.catalogue.forward_pass.slips import SLIP_MISTAKES
from functional_mlp.oracle.mistakes.injection import Slip, inject, inject_update, places, plant, plant_together
from functional_mlp.oracle.mistakes.program import prepare
from tests.helpers.mistaken import case_of, changed, draw, truth_of

NEW = (
    *(mistake.id for mistake in (*FORMULA_MISTAKES, *MASK_MISTAKES, *SLIP_MISTAKES)),
    *("raw-error-sent-back", "weights-times-activations", "sum-product-swapped", "wrong-unit-dropped"),
    *("pre-activation-used-as-input", "network-input-used-as-input", "last-sample-activations", "short-constant"),
)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def forward(case, *functions):
    """Pre-activations and activations, the inputs first."""
    zs, activations = [], [case.inputs]
    for (weights, bias), function in zip(case.params, functions, strict=True):
        zs.append(activations[-1] @ weights + bias)
        activations.append(function(zs[-1]))
    return zs, activations


def backward(case, activations, ct, derivatives, send=None, weights_of=None):
    """Gradients of every layer, from ct_z of the last; `send(ct_z, layer)` and `weights_of(a_prev, ct_z, layer)`."""
    send = send or (lambda ct, layer: ct @ case.params[layer].weights.T)
    weights_of = weights_of or (lambda a, ct, layer: a.T @ ct)
    grads = []
    for layer in reversed(range(len(case.params))):
        grads.insert(0, (weights_of(activations[layer], ct, layer), ct.sum(axis=0)))
        if layer:
            ct = send(ct, layer) * derivatives[layer - 1]
    return grads


def hidden(activation, **options):
    """A case (3, 4, 2) whose hidden layer has this activation, and outputs and squared error without a factor."""
    return draw((3, 4, 2), (activation, "identity"), "squared_error", samples=6, seed=1, scale=0.5, **options)


def agree(got, expected, rtol=1e-11):
    for own, layer in zip(got, expected, strict=True):
        for a, b in zip(own, layer, strict=True):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-14)


FORWARD = {
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "prelu": lambda z: np.where(z > 0, z, 0.25 * z),
    "elu": lambda z: np.where(z > 0, z, np.exp(np.minimum(z, 0)) - 1),
    "silu": lambda z: z * sigmoid(z),
    "gelu": lambda z: z * (1 + np.vectorize(math.erf)(z / np.sqrt(2))) / 2,
    "gelu_tanh": lambda z: z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))) / 2,
    "quick_gelu": lambda z: z * sigmoid(1.702 * z),
    "mish": lambda z: z * np.tanh(np.log1p(np.exp(z))),
    "hard_swish": lambda z: z * np.clip(z / 6 + 0.5, 0, 1),
}


def slope_of(function, z, h=1e-5):
    """The derivative by central differences of the fourth order."""
    return (8 * (function(z + h) - function(z - h)) - function(z + 2 * h) + function(z - 2 * h)) / (12 * h)


def gate(name):
    return lambda z: FORWARD[name](z) / z


# activation, mistake, variant, value -> what stands in the place of f'(z)
DERIVATIVES = {
    ("sigmoid", "value-for-derivative", "value", None): lambda z, a: a,
    ("relu", "value-for-derivative", "value", None): lambda z, a: np.maximum(z, 0),
    ("sigmoid", "value-for-derivative", "value-of-output", None): lambda z, a: sigmoid(a),
    ("tanh", "value-for-derivative", "value-of-output", None): lambda z, a: np.tanh(a),
    ("leaky_relu", "value-for-derivative", "z-where-positive", None): lambda z, a: np.where(z > 0, z, 0.01),
    ("elu", "value-for-derivative", "value-where-negative", None): lambda z, a: np.where(z > 0, 1, a),
    ("tanh", "value-for-derivative", "one-plus-square", None): lambda z, a: 1 + a**2,
    ("sigmoid", "value-for-derivative", "a-one-plus-a", None): lambda z, a: a * (1 + a),
    ("sigmoid", "sigmoid-derivative-slip", "one-minus-z", None): lambda z, a: sigmoid(z) * sigmoid(1 - z),
    ("sigmoid", "sigmoid-derivative-slip", "squared", None): lambda z, a: a**2,
    ("sigmoid", "sigmoid-derivative-slip", "one-minus-a", None): lambda z, a: np.exp(-z) / (1 + np.exp(-z)),
    ("sigmoid", "sigmoid-derivative-slip", "one-minus-a-squared", None): lambda z, a: (1 - a) ** 2,
    ("sigmoid", "sigmoid-derivative-slip", "a-one-minus-z", None): lambda z, a: a * (1 - z),
    ("sigmoid", "sigmoid-derivative-slip", "z-one-minus-a", None): lambda z, a: z * (1 - a),
    ("sigmoid", "sigmoid-derivative-slip", "square-inside", None): lambda z, a: np.exp(-z) / (1 + np.exp(-z) ** 2),
    ("sigmoid", "sigmoid-derivative-slip", "sign-of-exponent", None): lambda z, a: np.exp(z) / (1 + np.exp(-z)) ** 2,
    ("prelu", "slope-different-backward", None, -0.25): lambda z, a: np.where(z > 0, 1, -0.25),
    ("relu", "slope-different-backward", None, 0.3): lambda z, a: np.where(z > 0, 1, 0.3),
    ("elu", "slope-different-backward", None, 0.3): lambda z, a: np.where(z > 0, 1, 0.3 * np.exp(z)),
    ("relu", "relu-threshold", None, 0.5): lambda z, a: z > 0.5,
    ("relu", "relu-threshold", None, -0.5): lambda z, a: z > -0.5,
    ("leaky_relu", "relu-threshold", None, 0.5): lambda z, a: np.where(z > 0.5, 1, 0.01),
    ("elu", "derivative-of-wrong-variable", "a-for-z", None): lambda z, a: np.where(a > 0, 1, np.exp(a)),
}


@pytest.mark.parametrize(("activation", "mistake", "variant", "value"), DERIVATIVES)
def test_what_stands_for_the_derivative(activation, mistake, variant, value):
    case = hidden(activation)
    (z, _), activations = forward(case, FORWARD[activation], lambda z: z)
    wrong = DERIVATIVES[activation, mistake, variant, value](z, activations[1])
    planted = plant(case, mistake, 0, variant=variant, value=value)
    agree(planted.grads, backward(case, activations, activations[2] - case.targets, [wrong]))


@pytest.mark.parametrize("activation", ["silu", "gelu", "gelu_tanh", "quick_gelu", "mish", "hard_swish"])
def test_a_product_without_one_of_its_terms(activation):
    case = hidden(activation)
    (z, _), activations = forward(case, FORWARD[activation], lambda z: z)
    ct, g = activations[2] - case.targets, gate(activation)
    whole = slope_of(FORWARD[activation], z)
    wrong = {
        "second-term-missing": g(z),
        "first-term-missing": whole - g(z),
        "factor-z-missing": g(z) + (whole - g(z)) / z,
    }
    for variant, derivative in wrong.items():
        planted = plant(case, "product-term-missing", 0, variant=variant)
        agree(planted.grads, backward(case, activations, ct, [derivative]), rtol=1e-7)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_a_number_that_overwrites_the_cotangent(activation):
    case = hidden(activation)
    (z, _), activations = forward(case, FORWARD[activation], lambda z: z)
    ct = activations[2] - case.targets
    sent = np.where(z > 0, ct @ case.params[1].weights.T, 0.3)
    own = [(case.inputs.T @ sent, sent.sum(axis=0)), (activations[1].T @ ct, ct.sum(axis=0))]
    agree(plant(case, "mask-overwrites", 0, value=0.3).grads, own)


def test_the_derivative_at_the_error():
    for activation, by_error in (("tanh", lambda e: 1 - e**2), ("sigmoid", lambda e: e * (1 - e))):
        case = hidden(activation)
        _, activations = forward(case, FORWARD[activation], lambda z: z)
        ct = activations[2] - case.targets
        error = ct @ case.params[1].weights.T
        planted = plant(case, "derivative-of-error", 0, variant="in-terms-of-a")
        agree(planted.grads, backward(case, activations, ct, [by_error(error)]))
        planted = plant(case, "derivative-of-error", 0, variant="in-terms-of-z")
        at_z = {"tanh": 1 / np.cosh(error) ** 2, "sigmoid": sigmoid(error) * (1 - sigmoid(error))}[activation]
        agree(planted.grads, backward(case, activations, ct, [at_z]))


def test_a_softmax_without_the_sum_over_units():
    case = case_of("probabilities")
    right, a = truth_of("probabilities"), oracle.solve(case).activations[0]
    sent = right.deltas[1] @ case.params[1].weights.T
    expected = {"missing": 0, "over-samples": (a * sent).sum(axis=0), "over-everything": (a * sent).sum()}
    for variant, subtracted in expected.items():
        wrong = plant(case, "softmax-derivative-without-sum", 0, variant=variant)
        np.testing.assert_allclose(wrong.deltas[0], a * (sent - subtracted), rtol=1e-12, atol=1e-15)
    case = case_of("soft targets")  # fused with the loss: −t/p times p
    np.testing.assert_allclose(plant(case, "softmax-derivative-without-sum", 0).deltas[0], -case.targets, rtol=1e-12)


def two_sigmoids(kind="squared_error"):
    case = draw((3, 4, 2), ("sigmoid", "sigmoid"), kind, samples=6, seed=1, scale=0.5)
    _, activations = forward(case, sigmoid, sigmoid)
    p, t = activations[2], case.targets
    ct = p - t if kind == "squared_error" else 0.5 * (p - t) / (p * (1 - p))
    return case, activations, ct, p * (1 - p)


@pytest.mark.parametrize("kind", ["squared_error", "binary_cross_entropy"])
def test_the_raw_error_sent_back_also_where_the_loss_is_fused_with_the_activation(kind):
    case, activations, ct, slope = two_sigmoids(kind)
    sent = (ct @ case.params[1].weights.T) * activations[1] * (1 - activations[1])
    ct_z = ct * slope
    own = [(case.inputs.T @ sent, sent.sum(axis=0)), (activations[1].T @ ct_z, ct_z.sum(axis=0))]
    agree(plant(case, "raw-error-sent-back", 1).grads, own)


def test_raw_errors_sent_back_everywhere():
    case = draw((3, 4, 3, 2), ("tanh", "tanh", "tanh"), "squared_error", samples=6, scale=0.5)
    _, activations = forward(case, np.tanh, np.tanh, np.tanh)
    error, own = activations[3] - case.targets, []
    for layer in (2, 1, 0):
        delta = error * (1 - activations[layer + 1] ** 2)
        own.insert(0, (activations[layer].T @ delta, delta.sum(axis=0)))
        error = error @ case.params[layer].weights.T
    agree(plant(case, "raw-error-sent-back").grads, own)


@pytest.mark.parametrize("kind", ["squared_error", "binary_cross_entropy"])
def test_the_output_derivative_left_out_of_the_last_gradients_alone(kind):
    case, activations, ct, slope = two_sigmoids(kind)
    right = backward(case, activations, ct * slope, [activations[1] * (1 - activations[1])])
    weights, bias = activations[1].T @ ct, ct.sum(axis=0)
    for variant, last in {
        "weights": (weights, right[1][1]),
        "bias": (right[1][0], bias),
        "both": (weights, bias),
    }.items():
        planted = plant(case, "output-derivative-missing-in-weights", 1, variant=variant)
        agree(planted.grads, [right[0], last])


def test_weights_times_activations():
    case = hidden("tanh")
    _, activations = forward(case, np.tanh, lambda z: z)
    slope, weights = 1 - activations[1] ** 2, case.params[1].weights

    def entry_by_entry(ct, layer):
        return np.stack([(weights * a[:, None]) @ row for row, a in zip(ct, activations[1], strict=True)])

    own = backward(case, activations, activations[2] - case.targets, [slope], entry_by_entry)
    agree(plant(case, "weights-times-activations", 1, variant="own").grads, own)

    case = draw((3, 4, 1), ("tanh", "sigmoid"), "squared_error", samples=5, scale=0.5)
    _, activations = forward(case, np.tanh, sigmoid)
    ct, last, weights = activations[2] - case.targets, activations[2], case.params[1].weights
    every_pair = ct @ (last * (1 - last)).T  # (n, n)
    sent = (every_pair @ (weights.T * activations[1])) * (1 - activations[1] ** 2)
    own = [case.inputs.T @ sent, activations[1].T @ (ct * last * (1 - last))]
    wrong = plant(case, "weights-times-activations", 1, variant="samples-mixed").grads
    for got, expected in zip(wrong, own, strict=True):
        np.testing.assert_allclose(got.weights, expected, rtol=1e-12)


def test_products_of_sums():
    case = hidden("tanh")
    _, activations = forward(case, np.tanh, lambda z: z)
    slope, ct = 1 - activations[1] ** 2, activations[2] - case.targets
    own = backward(
        *(case, activations, ct, [slope]),
        lambda ct, layer: np.outer(ct.sum(axis=1), case.params[layer].weights.sum(axis=1)),
    )
    agree(plant(case, "sum-product-swapped", 1, variant="way-back").grads, own)
    own = backward(case, activations, ct, [slope])
    own[1] = (np.outer(activations[1].sum(axis=0), ct.sum(axis=0)), own[1][1])
    agree(plant(case, "sum-product-swapped", 1, variant="weights").grads, own)
    own = backward(case, activations, ct, [slope])
    own[0] = (own[0][0], ((ct @ case.params[1].weights.T).T @ slope).sum(axis=1))
    agree(plant(case, "sum-product-swapped", 0, variant="bias").grads, own)


@pytest.mark.parametrize("unit", range(4))
def test_the_row_of_a_unit_dropped_in_place_of_the_bias(unit):
    case = hidden("tanh")
    _, activations = forward(case, np.tanh, lambda z: z)
    (weights, bias), slope = case.params[1], 1 - activations[1] ** 2
    for variant, stacked, row in (
        ("bias-last", np.vstack([weights, bias]), unit),
        ("bias-first", np.vstack([bias, weights]), unit + 1),
    ):
        left = np.delete(stacked, row, axis=0)
        own = backward(case, activations, activations[2] - case.targets, [slope], lambda ct, layer, w=left: ct @ w.T)
        agree(plant(case, "wrong-unit-dropped", 1, variant=variant, value=unit).grads, own)
    with pytest.raises(ValueError, match="needs a unit of the layer below"):
        plant(case, "wrong-unit-dropped", 1, value=4.0)


def test_what_is_taken_for_the_inputs_of_a_layer():
    case = draw((3, 4, 3, 2), ("tanh", "sigmoid", "identity"), "squared_error", scale=0.5)
    zs, activations = forward(case, np.tanh, sigmoid, lambda z: z)
    derivatives = [1 - activations[1] ** 2, activations[2] * (1 - activations[2])]
    ct = activations[3] - case.targets

    def own(at, inputs):
        return backward(
            *(case, activations, ct, derivatives, None),
            lambda a, ct, layer: (inputs if layer == at else a).T @ ct,
        )

    for layer in (1, 2):
        agree(plant(case, "pre-activation-used-as-input", layer).grads, own(layer, zs[layer - 1]))
    agree(plant(case, "network-input-used-as-input", 2).grads, own(2, case.inputs))
    assert places(case, "network-input-used-as-input") == ((2, None),)


@pytest.mark.parametrize(("variant", "row"), [("last", -1), ("first", 0)])
def test_the_summed_cotangent_with_the_activations_of_one_sample(variant, row):
    case = draw((3, 4, 4, 2), ("tanh", "sigmoid", "sigmoid"), "binary_cross_entropy", samples=5)
    _, activations = forward(case, np.tanh, sigmoid, sigmoid)
    (_, second, last), delta = case.params, activations[3] - case.targets
    own = [(activations[2].T @ delta, delta.sum(axis=0))]
    delta = (delta.sum(axis=0) @ last.weights.T) * activations[2][row] * (1 - activations[2][row])
    own.insert(0, (np.outer(activations[1][row], delta), delta))
    delta = (delta @ second.weights.T) * (1 - activations[1][row] ** 2)
    own.insert(0, (np.outer(case.inputs[row], delta), delta))
    agree(plant(case, "last-sample-activations", 1, variant=variant).grads, own)
    # at the output layer, fused with its loss: the summed error
    summed = (activations[3] - case.targets).sum(axis=0)
    top = plant(case, "last-sample-activations", 2, variant=variant).grads[2]
    agree([top], [(np.outer(activations[2][row], summed), summed)])
    planted = plant(case, "last-sample-activations", 2, variant=f"inputs-of-{variant}")
    agree([planted.grads[2]], [(np.outer(activations[2][row], summed), summed)])
    agree(planted.grads[:2], plant_together(case, ()).grads[:2])


# together


def test_what_a_mistake_modifies_is_what_the_program_has():
    case, activations, ct, slope = two_sigmoids("binary_cross_entropy")
    prepared = prepare(case)
    ct_z = 2 * ct * activations[2] ** 2  # a wrong derivative, and that doubled, at a fused output layer
    slips = (Slip("sigmoid-derivative-slip", 1, "squared"), Slip("sigmoid-derivative-doubled", 1))
    agree(inject(prepared, slips).grads, backward(case, activations, ct_z, [activations[1] * (1 - activations[1])]))
    swapped = inject(
        prepared, (Slip("sum-product-swapped", 1, "way-back"), Slip("weights-times-activations", 1, "own"))
    )
    right = ct * slope
    sent = np.outer(right.sum(axis=1), case.params[1].weights.sum(axis=1)) * activations[1]
    delta = sent * activations[1] * (1 - activations[1])
    np.testing.assert_allclose(swapped.grads[0].weights, case.inputs.T @ delta, rtol=1e-11)


def test_beside_weights_that_are_updated_too_early():
    case = draw((3, 4, 2), ("sigmoid", "sigmoid"), "squared_error", samples=1, scale=0.5)
    _, (x, h, o) = forward(case, sigmoid, sigmoid)
    (w, b), (v, c) = case.params
    error, rate = o - case.targets, 0.3
    delta = error * o * (1 - o)
    v_new, c_new = v - rate * h.T @ delta, c - rate * delta[0]
    early = Slip("updated-weights-used", 1)

    def stepped(sent):
        hidden_delta = sent * h * (1 - h)
        return [(w - rate * x.T @ hidden_delta, b - rate * hidden_delta[0]), (v_new, c_new)]

    prepared = prepare(case)
    for order in (1, -1):
        slips = (Slip("raw-error-sent-back", 1), early)[::order]
        agree(inject_update(prepared, slips, rate), stepped(error @ v_new.T))
        slips = (Slip("wrong-unit-dropped", 1, "bias-last", 2.0), early)[::order]
        agree(inject_update(prepared, slips, rate), stepped(delta @ np.delete(np.vstack([v_new, c_new]), 2, 0).T))


# everywhere


SMALL = {
    "one sample": ((3, 2, 2), 1),
    "one unit": ((1, 1, 1), 3),
    "one of each": ((1, 1, 1), 1),
    "one output": ((3, 3, 1), 4),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SMALL)
def test_they_are_made_in_the_smallest_cases_and_every_dtype(size, dtype):
    sizes, samples = SMALL[size]
    for activations, kind in (
        (("leaky_relu", "sigmoid"), "binary_cross_entropy"),
        (("silu", "softmax"), "categorical_cross_entropy"),
        (("relu", "identity"), "softmax_cross_entropy"),
        (("gelu_tanh", "tanh"), "squared_error"),
        (("elu", "gelu"), "squared_error"),
    ):
        if sizes[-1] == 1 and "softmax" in (activations[-1], kind.partition("_")[0]):
            continue
        case = draw(sizes, activations, kind, samples=samples, seed=3)
        for mistake_id in NEW:
            for layer, variant in places(case, mistake_id, inputs=True):
                planted = plant(case, mistake_id, layer, variant=variant, dtype=dtype)
                arrays = jax.tree.leaves(tuple(planted)[1:])
                assert {leaf.dtype for leaf in arrays} == {DTYPES[dtype]}, (mistake_id, variant)
                assert all(np.isfinite(leaf.astype(float)).all() for leaf in arrays), (mistake_id, variant)


def test_where_they_do_not_apply(says):
    case = case_of("bare")
    linear = changed(case, network=Network(case.network.sizes, "identity"))
    says(ValueError, ["raw-error-sent-back", "needs a layer with an activation"], plant, linear, "raw-error-sent-back")
    says(ValueError, ["needs several samples"], plant, draw((2, 2), "tanh", None, 1), "last-sample-activations")
    assert not [place for place in places(case_of("squared"), "value-for-derivative") if place[1] == "one-plus-square"]
    # σ for its own derivative is not the derivative of softplus
    of_other = places(case_of("softmax"), "derivative-of-other-activation")
    assert (1, "softplus") not in of_other
    assert (0, "softplus") in of_other
