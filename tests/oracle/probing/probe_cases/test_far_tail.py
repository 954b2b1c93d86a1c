"""The far tail: textbook forms whose exponentials overflow are wrong there, stable ones and their warnings are not."""

import math
import warnings

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp.oracle.noise import precision_named
from functional_mlp.oracle.probing import check_function, draw_probe_cases
from functional_mlp.oracle.probing.probe_cases.far_tail import FAR_TAIL, far, far_offsets
from functional_mlp.oracle.verdict import Verdict

SQUARED = fm.Loss("squared_error")


def quotient(z):
    return (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def shifted(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def unshifted(z):
    e = np.exp(z)
    return e / e.sum(axis=1, keepdims=True)


def in_two_layers(value, derivative):
    """Gradients of a network with one activation in both layers and the squared error."""

    def fn(params, inputs, targets):
        (w1, b1), (w2, b2) = params
        z1 = inputs @ w1 + b1
        a1 = value(z1)
        z2 = a1 @ w2 + b2
        a2 = value(z2)
        ct_z2 = 2 * (a2 - targets) * derivative(z2, a2)
        ct_z1 = ct_z2 @ w2.T * derivative(z1, a1)
        return [(inputs.T @ ct_z1, ct_z1.sum(axis=0)), (a1.T @ ct_z2, ct_z2.sum(axis=0))]

    return fn


def at_logits(ct_logits):
    """Gradients of one layer, with the cotangent of its logits."""

    def fn(params, inputs, targets):
        [(w, b)] = params
        ct_z = ct_logits(inputs @ w + b, targets)
        return [(inputs.T @ ct_z, ct_z.sum(axis=0))]

    return fn


def through_log_of_one_minus_p(z, t):
    p = sigmoid(z)
    return ((1 - t) / (1 - p) - t / p) * p * (1 - p)


OF_CLASSES = (fm.Network((3, 4), "identity"), fm.Loss("softmax_cross_entropy"))
OF_BITS = (fm.Network((3, 2), "identity"), fm.Loss("sigmoid_cross_entropy"))


def both(name):
    return fm.Network((3, 5, 4), name), SQUARED


STABLE = {
    "tanh": (in_two_layers(np.tanh, lambda z, a: 1 - a * a), both("tanh")),
    "sigmoid": (in_two_layers(sigmoid, lambda z, a: a * (1 - a)), both("sigmoid")),
    "softplus": (in_two_layers(lambda z: np.logaddexp(0 * z, z), lambda z, a: sigmoid(z)), both("softplus")),
    "silu": (
        in_two_layers(lambda z: z * sigmoid(z), lambda z, a: sigmoid(z) * (1 + z * (1 - sigmoid(z)))),
        both("silu"),
    ),
    "elu": (
        in_two_layers(
            lambda z: np.where(z > 0, z, np.exp(z) - 1), lambda z, a: np.where(z > 0, 1, np.exp(z)).astype(z.dtype)
        ),
        both("elu"),
    ),
    "softmax": (at_logits(lambda z, t: shifted(z) * t.sum(axis=1, keepdims=True) - t), OF_CLASSES),
    "sigmoid cross-entropy": (at_logits(lambda z, t: sigmoid(z) - t), OF_BITS),
}
OVERFLOWING = {
    "tanh": (in_two_layers(quotient, lambda z, a: 1 - a * a), both("tanh"), "tanh(z)"),
    "softplus": (
        in_two_layers(lambda z: np.logaddexp(0 * z, z), lambda z, a: np.exp(z) / (1 + np.exp(z))),
        both("softplus"),
        "softplus",
    ),
    "log(1 + e^z)": (
        in_two_layers(lambda z: np.log(1 + np.exp(z)), lambda z, a: sigmoid(z)),
        both("softplus"),
        "log1p",
    ),
    "sigmoid": (
        in_two_layers(lambda z: np.exp(z) / (1 + np.exp(z)), lambda z, a: a * (1 - a)),
        both("sigmoid"),
        "exp(-z)",
    ),
    "softmax": (
        at_logits(lambda z, t: unshifted(z) * t.sum(axis=1, keepdims=True) - t),
        OF_CLASSES,
        "subtract the row's maximum before exp",
    ),
    "sigmoid cross-entropy": (at_logits(through_log_of_one_minus_p), OF_BITS, "no quotient by p (1 - p)"),
}


@pytest.mark.parametrize("precision", ["float64", "float32", "float16"])
@pytest.mark.parametrize("name", STABLE)
def test_stable_textbook_forms_are_consistent(name, precision):
    fn, (network, loss) = STABLE[name]
    with warnings.catch_warnings(), np.errstate(all="raise"):  # overflow on the way to a right number is no fault
        warnings.simplefilter("error")
        report = check_function(fn, network, loss, precision=precision)
    far_leaves = [leaf for leaf in report.leaves if leaf.group == FAR_TAIL]
    assert len(far_leaves) == 2 * len(network.shapes)
    assert not any(leaf.verdict is Verdict.WRONG for leaf in report.leaves), report.text()
    if precision != "float16":
        assert report.verdict is Verdict.CONSISTENT, report.text()


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("name", OVERFLOWING)
def test_forms_that_overflow_are_wrong_and_the_fix_is_said(name, precision):
    fn, (network, loss), fix = OVERFLOWING[name]
    report = check_function(fn, network, loss, precision=precision)
    wrong = {leaf.group for leaf in report.leaves if leaf.verdict is Verdict.WRONG}
    assert wrong == {FAR_TAIL}
    [remedy] = {leaf.remedy for leaf in report.leaves if leaf.verdict is Verdict.WRONG}
    assert fix in remedy
    assert f"|z| = {far(precision_named(precision)):.0f}" in remedy
    assert report.diagnosis is None  # it is known what is wrong: no mistake of the derivative is looked for


@pytest.mark.parametrize("name", OVERFLOWING)
def test_in_float64_whose_exponentials_nobody_has_overflow_that_is_noted(name):
    fn, (network, loss), fix = OVERFLOWING[name]
    report = check_function(fn, network, loss)
    assert report.verdict is Verdict.CONSISTENT, report.text()
    assert fix in report.notes[0]
    assert "|z| = 759" in report.notes[0]
    assert FAR_TAIL not in {leaf.group for leaf in report.leaves}


def test_of_two_layers_the_one_whose_derivative_is_not_finite_is_named():
    network = fm.Network((3, 5, 4), ("softplus", "tanh"))

    def fn(params, inputs, targets):
        (w1, b1), (w2, b2) = params
        z1 = inputs @ w1 + b1
        a1 = np.logaddexp(0 * z1, z1)
        a2 = np.tanh(a1 @ w2 + b2)
        ct_z2 = 2 * (a2 - targets) * (1 - a2 * a2)
        ct_z1 = ct_z2 @ w2.T * (np.exp(z1) / (1 + np.exp(z1)))
        return [(inputs.T @ ct_z1, ct_z1.sum(axis=0)), (a1.T @ ct_z2, ct_z2.sum(axis=0))]

    report = check_function(fn, network, SQUARED, precision="float32")
    [remedy] = {leaf.remedy for leaf in report.leaves if leaf.remedy}
    assert "softplus:" in remedy
    assert "tanh:" not in remedy


def test_a_mistake_in_every_case_is_still_named():
    fn, (network, loss), _ = OVERFLOWING["softmax"]
    report = check_function(lambda *given: [(w, b / len(given[1])) for w, b in fn(*given)], network, loss)
    assert [one.id for one in report.diagnosis.mistakes] == ["bias-gradient-averaged"]


def test_a_function_that_has_overflow_raised_is_not_judged_there():
    stable, (network, loss) = STABLE["sigmoid cross-entropy"]

    def fn(*given):
        with np.errstate(over="raise"):
            return stable(*given)

    report = check_function(fn, network, loss)
    assert report.verdict is Verdict.CONSISTENT
    assert FAR_TAIL not in {leaf.group for leaf in report.leaves}
    [note] = report.notes
    assert "FloatingPointError" in note
    assert FAR_TAIL in note


@pytest.mark.parametrize("precision", ["float64", "float32", "bfloat16", "float16"])
def test_pre_activations_are_as_far_as_the_exponential_overflows(precision):
    network = fm.Network((3, 5, 4), ("tanh", "softmax"))
    declared = precision_named(precision)
    hidden, logits = far_offsets(network, fm.Loss("categorical_cross_entropy"), declared)
    assert np.abs(hidden).max() > np.log(declared.storage.largest)
    assert sorted(np.sign(hidden)) == [-1, 0, 0, 0, 1]
    assert logits.all() == (precision != "bfloat16")
    cases = {case.name: case for case in draw_probe_cases(network, fm.Loss("categorical_cross_entropy"), precision)}
    z = cases[FAR_TAIL].inputs @ cases[FAR_TAIL].params[0].weights + cases[FAR_TAIL].params[0].bias
    assert (np.abs(z).max(axis=0) > np.log(declared.storage.largest)).sum() == 2


@pytest.mark.parametrize(
    ("network", "loss"),
    [
        (fm.Network((3, 4, 2), "relu"), SQUARED),
        (fm.Network((3, 1), "sigmoid"), fm.Loss("binary_cross_entropy")),
        (fm.Network((3, 4), "sigmoid"), fm.Loss("binary_cross_entropy")),
        (fm.Network((3, 2), "identity"), None),
    ],
)
def test_there_is_no_far_case_where_nothing_overflows_or_right_programs_give_no_number(network, loss):
    assert FAR_TAIL not in {case.name for case in draw_probe_cases(network, loss)}


def test_pythons_numbers_that_raise_where_float64_overflows_are_right_elsewhere():
    def fn(params, inputs, targets):
        [(w, b)] = params
        z = inputs @ w + b
        a = np.array([[1 / (1 + math.exp(-x)) for x in row] for row in z.tolist()])
        ct_z = 2 * (a - targets) * a * (1 - a)
        return [(inputs.T @ ct_z, ct_z.sum(axis=0))]

    report = check_function(fn, fm.Network((3, 4), "sigmoid"), SQUARED)
    assert report.verdict is Verdict.CONSISTENT, report.text()
    assert "OverflowError" in report.notes[0]
