"""How functions are asked: layouts and forms that are found out or declared, and what is judged of an answer."""

import jax
import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle.probing.functions import check_function
from functional_mlp.oracle.verdict import Verdict


def found_ids(report):
    return {finding.id for finding in report.findings}


TWO_LAYERS = fm.Network((4, 6, 3), ("tanh", "softmax")), fm.Loss("categorical_cross_entropy", over_samples="mean")


def of_layers(layers, x, t):
    """The gradients of TWO_LAYERS in the oracle's own layout."""
    (w1, b1), (w2, b2) = layers
    h = np.tanh(x @ w1 + b1)
    e = np.exp(h @ w2 + b2)
    d2 = (e / e.sum(axis=1, keepdims=True) - t) / len(x)
    d1 = (d2 @ w2.T) * (1 - h * h)
    return [(x.T @ d1, d1.sum(axis=0)), (h.T @ d2, d2.sum(axis=0))]


def course(p, x, t):
    assert p["b1"].shape == (6, 1)
    (w1, b1), (w2, b2) = of_layers([(p[f"W{i}"].T, p[f"b{i}"].T) for i in (1, 2)], x.T, t.T)
    return {"dW1": w1.T, "db1": b1[:, None], "dW2": w2.T, "db2": b2[:, None]}


def torch_like(p, x, t):
    w1, b1, w2, b2 = p
    grads = of_layers([(w1.T, b1), (w2.T, b2)], x, t)
    return [leaf for weights, bias in grads for leaf in (weights.T, bias)]


def of_labels(p, x, t):
    assert t.dtype.kind == "i"
    return of_layers(p, x, np.eye(3)[t])


def two_lists(p, x, t):
    weights, biases = p
    assert biases[0].shape == (6,)
    return tuple(zip(*of_layers(zip(weights, biases, strict=True), x, t), strict=True))


def without_biases(p, x, t):
    w1, w2 = p
    return [weights for weights, _ in of_layers([(w1, 0.0), (w2, 0.0)], x, t)]


def with_the_loss_last(p, x, t):
    return of_layers(p, x, t), 0.5


WAYS = {
    course: "layout=oracle.Layout(weights='out_in', bias='column', samples='columns', params='dict')",
    torch_like: "layout=oracle.Layout(weights='out_in', params='flat')",
    of_labels: "targets='labels'",
    two_lists: "layout=oracle.Layout(params='lists')",
    without_biases: "layout=oracle.Layout(params='weights'), bias=False",
}


@pytest.mark.parametrize("fn", WAYS)
def test_how_a_function_takes_its_arguments_is_found_out_and_may_be_declared(fn):
    report = check_function(fn, *TWO_LAYERS)
    assert report.verdict is Verdict.CONSISTENT, report.text()
    assert WAYS[fn] in report.notes[0]
    keywords = eval(f"dict({WAYS[fn]})", {"oracle": oracle, "dict": dict})  # what the note says works
    declared = check_function(fn, *TWO_LAYERS, **keywords)
    assert declared.verdict is Verdict.CONSISTENT
    assert not any("as it takes nothing else" in note for note in declared.notes)


@pytest.mark.parametrize("fn", WAYS)
def test_a_mistake_is_found_in_whatever_layout(fn):
    def doubled(p, x, t):
        return jax.tree.map(lambda leaf: 2 * leaf, fn(p, x, t))

    report = check_function(doubled, *TWO_LAYERS)
    assert report.verdict is Verdict.WRONG
    assert not report.findings
    assert report.diagnosis.mistakes[0].id == "loss-scaled"


def test_a_function_that_always_raises_is_reported_as_it_was_asked():
    def fn(params, inputs, targets):
        raise RuntimeError(f"got {type(params[0]).__name__}")

    report = check_function(fn, *TWO_LAYERS)
    assert found_ids(report) == {"raises"}
    assert "got tuple" in report.findings[0].sentence


def test_what_is_declared_is_not_tried_otherwise():
    report = check_function(course, *TWO_LAYERS, layout={"samples": "rows"})
    assert found_ids(report) == {"raises"}
    assert found_ids(check_function(without_biases, *TWO_LAYERS, bias=True)) == {"raises"}


def test_only_what_was_computed_is_judged():
    def frozen(p, x, t):
        (first, _), second = of_layers(p, x, t)
        return [(first, None), second]

    assert check_function(frozen, *TWO_LAYERS).verdict is Verdict.WRONG
    report = check_function(frozen, *TWO_LAYERS, only=("weights", "params[1].bias"))
    assert report.verdict is Verdict.CONSISTENT
    assert {leaf.path for leaf in report.leaves} == {"params[0].weights", "params[1].weights", "params[1].bias"}

    def averaged(p, x, t):
        return [(weights / len(x), None) for weights, _ in of_layers(p, x, t)]

    found = check_function(averaged, *TWO_LAYERS, only=("weights",))
    assert found.verdict is Verdict.WRONG
    assert found.diagnosis.mistakes


def test_what_alone_is_judged_must_be_there(says):
    case = oracle.draw_case(*TWO_LAYERS)
    words = ["only", "params[0].weights", "params[9].bias"]
    says(ValueError, words, oracle.check, case, list(oracle.solve(case).grads), only=("params[9].bias",))


def test_the_loss_may_stand_after_the_gradients():
    report = check_function(with_the_loss_last, *TWO_LAYERS)
    assert {leaf.path for leaf in report.leaves if leaf.verdict is Verdict.WRONG} == {"loss"}


@pytest.mark.parametrize(
    ("keywords", "error", "words"),
    [
        ({"targets": "onehot"}, ValueError, ["'onehot'", "'one_hot'"]),
        ({"layout": "colums"}, ValueError, ["'colums'", "'columns'"]),
        ({"bias": 0}, TypeError, ["bias", "True or False"]),
        ({"only": "weights"}, TypeError, ["only", '("weights",)']),
        ({"only": ("weigths",)}, ValueError, ["'weigths'", "'weights'"]),
    ],
)
def test_a_bad_declaration_is_one_sentence(keywords, error, words, says):
    says(error, words, check_function, without_biases, *TWO_LAYERS, **keywords)


def test_of_a_square_network_the_other_reading_is_said():
    def turned(params, x, t):
        [(w, b)] = params
        ct_z = 2 * (x @ w.T + b - t)
        return [(ct_z.T @ x, ct_z.sum(axis=0))]

    square, loss = fm.Network((4, 4), "identity"), fm.Loss("squared_error")
    report = check_function(turned, square, loss)
    assert report.verdict is Verdict.WRONG
    assert any("with layout=oracle.Layout(weights='out_in') it would be right" in note for note in report.notes)
    assert check_function(turned, square, loss, layout={"weights": "out_in"}).verdict is Verdict.CONSISTENT
    doubled = check_function(lambda *given: [(2 * w, b) for w, b in turned(*given)], square, loss)
    assert not any("square" in note for note in doubled.notes)
