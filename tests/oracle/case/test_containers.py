"""Forms in which NumPy programs keep parameters; docs/guide/frameworks.md has a class that is checked through them."""

import types

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle

W = [np.full((2, 3), 1.0), np.full((3, 1), 2.0)]
B = [np.full(3, 3.0), np.full((1, 1), 4.0)]
NUMBERED = {"W1": W[0], "b1": B[0], "W2": W[1], "b2": B[1]}
FORMS = {
    "pairs": list(zip(W, B, strict=True)),
    "in turn": [W[0], B[0], W[1], B[1]],
    "two lists": (W, B),
    "names": NUMBERED,
    "names from 0": {"w0": W[0], "b0": B[0], "w1": W[1], "b1": B[1]},
    "long names": {"weights_1": W[0], "bias_1": B[0], "weights_2": W[1], "bias_2": B[1]},
    "gradients beside parameters": dict.fromkeys(NUMBERED, 0) | {f"d{name}": leaf for name, leaf in NUMBERED.items()},
    "grad_": {f"grad_{name}": leaf for name, leaf in NUMBERED.items()},
    "_grad": {f"{name}_grad": leaf for name, leaf in NUMBERED.items()},
    "attributes": types.SimpleNamespace(lr=0.1, dW_1=W[0], db_1=B[0], dW_2=W[1], db_2=B[1]),
    "attributes with lists": types.SimpleNamespace(weights=[0, 0], biases=[0, 0], dW=W, db=B, sizes=[2, 3, 1]),
    "lists by name": {"weights": W, "biases": B},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_becomes_pairs_of_the_same_arrays(form, as_a_person):
    pairs = oracle.pairs_of(FORMS[form])
    assert len(pairs) == 2
    for (weights, bias), own_weights, own_bias in zip(pairs, W, B, strict=True):
        assert weights is own_weights
        assert bias is own_bias


def test_ten_layers_come_in_order_of_their_numbers():
    named = oracle.names_of([(np.full((1, 1), i), None) for i in range(10)])
    assert list(named) == [f"W{i}" for i in range(1, 11)]
    assert [int(weights[0, 0]) for weights, _ in oracle.pairs_of(named)] == list(range(10))
    assert all(bias is None for _, bias in oracle.pairs_of(named))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ([], ["got a list of nothing"]),
        ([W[0], W[1]], ["(2, 3), (3, 1)"]),
        ((W, B[:1]), ["as many biases", "1 for 2"]),
        ({"kernel": 3, "rate": 2}, ["kernel, rate"]),
        (3, ["int"]),
        ("W1", ["str"]),
    ],
)
def test_other_forms_are_refused(source, words, says):
    says(ValueError, words, oracle.pairs_of, source)


def test_one_layer_may_be_a_dict_of_two_arrays():
    case = oracle.draw_case(fm.Network((2, 3), "tanh"), fm.Loss("squared_error"))
    [(weights, bias)] = oracle.solve(case).grads
    for given in (
        {"dW": weights, "db": bias},
        {"weights": weights.tolist(), "bias": bias.tolist()},
        {"W": weights, "b": bias},
    ):
        assert oracle.check(case, given).verdict == "consistent"
