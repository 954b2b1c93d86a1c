"""The lines of NumPy that a report shows are right: they are executed, in every layout, and give the true gradient."""

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.activations import FACTORIES, numpy_value, numpy_vjp
from functional_mlp.oracle.case import declared_data, declared_layer, require_shape
from functional_mlp.oracle.report.notation import SPELLED, Notation
from tests.helpers.tolerances import relative_difference

LAYOUTS = {
    "rows": None,
    "torch": "torch",
    "columns": "columns",
    "rows of biases": {"bias": "row"},
    "columns, weights (in, out)": {"weights": "in_out", "bias": "row", "samples": "columns"},
    "a vector of biases, columns": {"weights": "out_in", "samples": "columns"},
    "biases in the last row": {"bias": "last_row"},
    "biases in the first column": {"bias": "first_column", "weights": "out_in", "samples": "columns"},
}
MEAN = {"over_samples": "mean", "over_outputs": "mean"}
QUESTIONS = {
    "squares": (("tanh", "identity"), "squared_error", {"scale": 0.5, "l2": 0.1, "l2_on_bias": True}),
    "mean squares after sigmoid": (("relu", "sigmoid"), "squared_error", MEAN),
    "binary": (("elu", "sigmoid"), "binary_cross_entropy", {"over_samples": "mean"}),
    "classes": (("leaky_relu", "softmax"), "categorical_cross_entropy", {"l1": 0.2, "scale": -2.0}),
    "logits": (("softplus", "identity"), "softmax_cross_entropy", {"over_samples": "mean"}),
    "logits after tanh": (("silu", "tanh"), "sigmoid_cross_entropy", {}),
    "softmax squares": (("softmax", "softmax"), "squared_error", {"over_outputs": "mean"}),
    "absolute": (("sin", "cos"), "absolute_error", {}),
    "huber": (("gelu", "identity"), "huber", {"delta": 0.3}),
    "divergence after sigmoid": (("mish", "sigmoid"), "categorical_cross_entropy", {}),
}


def drawn(name, layout=None, samples=4):
    activations, kind, options = QUESTIONS[name]
    network = fm.Network((3, 4, 2), activations)
    return oracle.draw_case(network, fm.Loss(kind, **options), samples=samples, seed=5).laid_out(
        LAYOUTS[layout or "rows"]
    )


def executed(notation):
    """The names of a program that runs the lines of a notation, on the numbers of its case."""
    case, layout, depth = notation.case, notation.layout, notation.depth
    data = declared_data(case)
    names = {"np": np, "X": data["inputs"], "T": data["targets"], "n": len(case.inputs), "K": case.network.sizes[-1]}
    names["sigmoid"] = lambda z: 1 / (1 + np.exp(-z))
    names["softmax"] = lambda z: np.exp(z) / np.exp(z).sum(axis=0 if notation.columns else 1, keepdims=True)
    for activation in case.network.activations:
        if activation.name not in SPELLED:
            names[activation.name] = lambda z, own=activation: numpy_value(own, z)
            names[f"{activation.name}_prime"] = lambda z, own=activation: numpy_vjp(
                own, z, numpy_value(own, z), np.ones_like(z)
            )
    for layer, params in enumerate(case.params):
        arrays = declared_layer(params, layout)
        names |= {f"W{layer + 1}": arrays["weights"], f"b{layer + 1}": arrays.get("bias")}
        names[f"dW{layer + 1}"] = np.zeros_like(arrays["weights"])
    for layer in range(depth):
        terms = notation.terms(layer)
        exec(f"{terms['Z']} = {terms['z']}; {terms['A']} = {terms['a']}", names)
    exec(notation.terms(depth - 1)["loss"], names)
    for layer in reversed(range(depth)):
        terms = notation.terms(layer)
        if terms["dZ"] not in names:
            exec(f"{terms['dZ']} = {terms['through']}", names)
        exec(f"{terms['dA_prev']} = {terms['back']}", names)
        penalty = terms["bias_penalty"] if case.loss.l2_on_bias else ""
        exec(f"{terms['dW']} = {terms['product']}{terms['penalty']}", names)
        exec(f"{terms['db']} = {terms['sums']}{penalty}", names)
    return names


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", QUESTIONS)
def test_the_lines_give_the_true_gradient_in_every_layout(name, layout):
    case = drawn(name, layout)
    names = executed(Notation(case, 2))
    for layer, grads in enumerate(oracle.solve(case).grads):
        for field, true in declared_layer(grads, case.layout).items():
            own = names[f"d{'W' if field == 'weights' else 'b'}{layer + 1}"]
            require_shape(field, own, true.shape)
            assert relative_difference(own, true) < 1e-12


@pytest.mark.parametrize("samples", [1, 4])
@pytest.mark.parametrize("targets", [[0.2, 0.2], [1.0, 0.0]])
def test_targets_that_do_not_sum_to_1_and_weights_of_samples_are_in_the_lines(samples, targets):
    loss = fm.Loss("categorical_cross_entropy", over_samples="mean")
    drawn_case = oracle.draw_case(fm.Network((3, 4, 2), ("tanh", "softmax")), loss, samples=samples, seed=5)
    weights = np.arange(1.0, samples + 1)
    case = oracle.Case(
        drawn_case.network, loss, drawn_case.params, drawn_case.inputs, [targets] * samples, sample_weights=weights
    )
    notation = Notation(case, 2)
    line = notation.terms(1)["loss"]
    assert ("T.sum(" in line) == (sum(targets) != 1)
    names = {"np": np, "A2": oracle.solve(case).outputs, "T": case.targets, "s": weights, "n": samples}
    exec(line, names)
    assert relative_difference(names["dZ2"], oracle.solve(case).deltas[1]) < 1e-12


def test_places_are_said_as_people_say_them():
    case = drawn("squares")
    two, one = Notation(case, 2), Notation(None, 1)
    four = Notation(None, 4)
    assert [two.place(layers) for layers in ((), (0,), (1,), (0, 1))] == [
        "the last layer",
        "the hidden layer",
        "the last layer",
        "both layers",
    ]
    assert one.place((0,)) == "the only layer"
    assert [four.place(layers) for layers in ((0,), (3,), (0, 1, 2), (1, 3), (0, 1, 2, 3), (0, 1, 3))] == [
        "layer 1 (the first hidden layer)",
        "the last layer",
        "all 3 hidden layers",
        "layers 2 and 4",
        "all 4 layers",
        "layers 1, 2 and 4",
    ]
    assert Notation(None, 3).place((0, 1)) == "both hidden layers"
    assert Notation(None, 12).place((8,)) == "layer 9 (a hidden layer)"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_entries_have_the_index_that_they_have_in_the_array_that_was_handed_over(layout):
    case = drawn("squares", layout)
    notation = Notation(case, 2)
    for layer, params in enumerate(case.params):
        arrays = declared_layer(params, case.layout)
        names = {f"dW{layer + 1}": arrays["weights"], f"db{layer + 1}": arrays.get("bias")}
        for field, leaf in zip(("weights", "bias"), params, strict=True):
            for at in np.ndindex(leaf.shape):
                assert eval(notation.entry(f"params[{layer}].{field}", at), names) == leaf[at]


def test_a_report_that_kept_no_case_has_the_plain_layout_and_no_activation():
    terms = Notation(None, 2).terms(1)
    assert (terms["through"], terms["a"], terms["product"]) == ("dA2 * f_prime(Z2)", "f(Z2)", "A1.T @ dZ2")
    assert terms["loss"] == "dA2 = dLoss(A2, T)"
    assert Notation(None, 2).activations_in((0,)) == "activation"


def test_layers_without_bias_add_none_and_a_kink_that_is_chosen_is_in_the_line():
    network = fm.Network((2, 3), (fm.activations.relu(at_zero=1.0),))
    case = oracle.Case(network, fm.Loss("squared_error"), [np.ones((2, 3))], np.ones((4, 2)), np.ones((4, 3)))
    assert Notation(case, 1).terms(0)["z"] == "X @ W1"
    assert Notation(case, 1).terms(0)["through"] == "dA1 * (Z1 >= 0)"


@pytest.mark.parametrize("name", SPELLED)
def test_every_activation_that_is_spelled_is_one_of_the_registry(name):
    assert name in FACTORIES
