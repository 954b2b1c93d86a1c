"""Right gradients as eight languages print them by default are never WRONG; an error that their digits show is."""

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle.documents import parse_answer
from tests.helpers.mistaken import changed
from tests.helpers.printers import PRINTERS, document

KINDS = (
    ((2, 4, 1), ("tanh", "sigmoid"), "binary_cross_entropy"),
    ((3, 5, 3), ("relu", "softmax"), "categorical_cross_entropy"),
    ((2, 1), "identity", "squared_error"),
    ((4, 8, 2), ("sigmoid", "identity"), "squared_error"),
)


def questions(rng):
    """Cases whose gradients are of many magnitudes: losses are scaled, and weights may be small."""
    for sizes, activations, kind in KINDS:
        loss = fm.Loss(kind, over_samples="mean", scale=10.0 ** rng.integers(-5, 4))
        case = oracle.draw_case(fm.Network(sizes, activations), loss, seed=int(rng.integers(2**30)))
        small = rng.random() < 0.3
        yield changed(case, params=[(0.01 * weights, 0 * bias) for weights, bias in case.params]) if small else case


def judged(case, gradients, name):
    answer = parse_answer(document(gradients, PRINTERS[name]).encode(), name)
    return oracle.check(case, answer, precision="float32" if name == "JAX" else None)


@pytest.mark.parametrize("name", PRINTERS)
def test_what_languages_print_is_never_wrong_and_a_visible_error_always(name):
    rng = np.random.default_rng(list(PRINTERS).index(name))
    for case in questions(rng):
        right = [tuple(map(np.array, layer)) for layer in oracle.solve(case).grads]
        report = judged(case, right, name)
        assert report.verdict != "wrong", report.text()
        if report.verdict == "undecided":
            assert {leaf.cause for leaf in report.leaves if leaf.verdict == "undecided"} == {"digits"}
        leaf = right[int(rng.integers(len(right)))][int(rng.integers(2))]
        before = PRINTERS[name](leaf)
        leaf[np.unravel_index(np.abs(leaf).argmax(), leaf.shape)] *= 1.02
        if PRINTERS[name](leaf) != before:
            assert judged(case, right, name).verdict == "wrong"


def test_four_decimals_that_hide_everything_are_undecided_and_the_remedy_is_said():
    network, loss = fm.Network((2, 3, 1), "tanh"), fm.Loss("squared_error", scale=1e-6)
    case = oracle.draw_case(network, loss)
    report = judged(case, oracle.solve(case).grads, "C %f")
    assert report.verdict == "undecided"
    leaf = next(leaf for leaf in report.leaves if leaf.verdict == "undecided")
    assert leaf.cause == "digits"
    assert "printing more digits" in leaf.remedy


def test_few_digits_of_few_numbers_are_in_doubt_and_may_be_declared():
    case = oracle.draw_case(fm.Network((2, 1), "identity"), fm.Loss("squared_error"), seed=3)
    [(weights, bias)] = oracle.solve(case).grads
    answer = parse_answer(document([(weights, bias)], lambda array: [f"{x:.3e}" for x in array.ravel()]).encode(), "x")
    answer = answer._replace(params=[(np.reshape(answer.params[0]["weights"], (2, 1)), answer.params[0]["bias"])])
    report = oracle.check(case, answer)
    assert report.verdict == "undecided"
    assert {leaf.cause for leaf in report.leaves} == {"digits"}
    assert "digits=4" in report.leaves[0].remedy
    assert oracle.check(case, answer, digits=4).verdict == "consistent"
    wrong = answer._replace(params=[(1.1 * answer.params[0][0], answer.params[0][1])])
    assert oracle.check(case, wrong, digits=4).verdict == "wrong"
