"""Conventions that change the function a little: an epsilon in log, division or softmax, and clipped probabilities."""

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle import Gradients, check
from functional_mlp.oracle.documents import parse_answer
from tests.helpers.mistaken import changed
from tests.helpers.printers import PRINTERS, document

BINARY = (fm.Network((3, 4, 2), ("tanh", "sigmoid")), fm.Loss("binary_cross_entropy", over_samples="mean"))
CLASSES = (
    fm.Network((3, 4, 3), ("relu", "softmax")),
    fm.Loss("categorical_cross_entropy", over_samples="mean", l2=0.1),
)
LOGITS = (fm.Network((3, 4, 3), ("tanh", "identity")), fm.Loss("softmax_cross_entropy"))
KINDS = {"binary": BINARY, "classes": CLASSES, "logits": LOGITS}


def question(kind, saturated=False, seed=0):
    """A case; where it is saturated, an output is within 1e-9 of 0 or 1, on the wrong side in some samples."""
    case = oracle.draw_case(*KINDS[kind], samples=6, seed=seed)
    if not saturated:
        return case
    *first, (weights, bias) = case.params
    moved = bias + np.where(np.arange(len(bias)) == 0, 22.0, 0.0)
    return changed(case, params=[*first, (weights, moved)], targets=np.roll(np.eye(len(bias))[np.arange(6) % 2], 1, 1))


def by_hand(case, log=np.log, extra=0.0, epsilon=0.0, divided=False):
    """A program in plain NumPy: its loss by `log`, and its gradient with a small number in a division, or in softmax.

    Returns:
        loss, gradients.
    """
    (w1, b1), (w2, b2) = case.params
    hidden = case.network.activations[0].name
    z1 = case.inputs @ w1 + b1
    h = np.tanh(z1) if hidden == "tanh" else np.maximum(z1, 0)
    z2, t = h @ w2 + b2, case.targets
    n = len(t) if case.loss.over_samples == "mean" else 1
    if case.loss.kind == "binary_cross_entropy":
        p = 1 / (1 + np.exp(-z2))
        loss = -np.sum(t * log(p) + (1 - t) * log(1 - p)) / n
        d2 = (p - t) / n
        if epsilon:
            d2 = (-t / (p + epsilon) + (1 - t) / (1 - p + epsilon)) * p * (1 - p) / n
        if divided:
            d2 = (p - t) / (p * (1 - p) + divided) * p * (1 - p) / n
    else:
        e = np.exp(z2 - z2.max(axis=1, keepdims=True))
        p = e / (e.sum(axis=1, keepdims=True) + extra)
        loss = -np.sum(t * log(p)) / n
        d2 = (p * t.sum(axis=1, keepdims=True) - t) / n
        if epsilon:
            ct = -t / (p + epsilon) / n
            d2 = p * (ct - (p * ct).sum(axis=1, keepdims=True))
    d1 = (d2 @ w2.T) * (1 - h * h if hidden == "tanh" else h > 0)
    l2 = case.loss.l2
    loss += l2 / 2 * (np.sum(w1**2) + np.sum(w2**2))
    return loss, [(case.inputs.T @ d1 + l2 * w1, d1.sum(0)), (h.T @ d2 + l2 * w2, d2.sum(0))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("saturated", [False, True])
def test_by_hand_is_right_without_an_epsilon(kind, saturated):
    report = check(question(kind, saturated), by_hand(question(kind, saturated)))
    assert (report.verdict, report.notes) == ("consistent", ()) or saturated


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("epsilon", [1e-6, 1e-7, 1e-8, 1e-10, 1e-12, np.finfo(np.float32).eps])
@pytest.mark.parametrize("saturated", [False, True])
def test_the_loss_that_is_reported_may_have_an_epsilon(kind, epsilon, saturated):
    case = question(kind, saturated)
    loss, gradients = by_hand(case, lambda p: np.log(p + epsilon))
    report = check(case, (loss, oracle.solve(case).grads if saturated else gradients))
    assert report.verdict == "consistent"
    assert report.notes == (f"the loss is that of log(p + {epsilon:.3g}): a convention, no error",)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: np.log(np.maximum(p, 1e-7)), "log(max(p, 1e-07))"),
        (lambda p: np.log(np.clip(p, 1e-8, 1 - 1e-8)), "probabilities clipped to [1e-08, 1 - 1e-08]"),
    ],
)
def test_the_loss_that_is_reported_may_be_of_clipped_probabilities(kind, change, words):
    case = question(kind, saturated=True)
    report = check(case, (by_hand(case, change)[0], oracle.solve(case).grads))
    assert report.verdict == "consistent"
    # of one class alone nothing is clipped at 1
    assert words.partition("1e-0")[0] in report.notes[0] or "log(max(p" in report.notes[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("epsilon", [1e-7, 1e-8, 1e-10])
def test_gradients_of_such_a_loss_are_a_convention_while_that_changes_little(kind, epsilon):
    case = question(kind)
    report = check(case, by_hand(case, lambda p: np.log(p + epsilon), epsilon=epsilon))
    assert report.verdict == "consistent"
    assert f"the gradients are those of log(p + {epsilon:.3g})" in report.notes[1]
    assert report.notes[1].endswith("of their norm: a convention, no error")


def test_an_epsilon_in_a_division_or_in_softmax_is_said_likewise():
    case = question("binary")
    report = check(case, by_hand(case, divided=1e-8)[1])
    assert report.verdict == "consistent"
    assert "a division by p(1 - p) + 1e-08" in report.notes[0]
    for kind in ("classes", "logits"):
        case = question(kind)
        report = check(case, by_hand(case, extra=1e-8))
        assert report.verdict == "consistent"
        assert all("a softmax with 1e-08 added to its denominator" in note for note in report.notes)
        assert len(report.notes) == 2


@pytest.mark.parametrize("kind", ["binary", "classes"])
def test_a_gradient_that_is_lost_in_saturation_is_a_mistake_with_a_name(kind):
    case = question(kind, saturated=True)
    loss, gradients = by_hand(case, lambda p: np.log(p + 1e-7), epsilon=1e-7)
    report = check(case, (loss, gradients))
    assert report.verdict == "wrong"
    found = {mistake.id: mistake.value for mistake in (*report.diagnosis.mistakes, *report.diagnosis.ties)}
    assert found["epsilon-in-log"] == pytest.approx(1e-7)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("saturated", "seed"), [(False, 0), (True, 1)])
def test_no_epsilon_explains_another_loss(kind, saturated, seed):
    case = question(kind, saturated, seed)
    solution = oracle.solve(case)
    n = len(case.inputs)
    for factor in (2.0, 0.5, n, 1 / n, 3, 1 / 3, -1, 1 / np.log(2), (n - 1) / n, n / (n - 1), 1.001, 0.9999):
        for printer in ("Julia", "C %g", "MATLAB short"):
            loss = PRINTERS[printer](np.array([solution.loss * factor]))[0]
            if abs(float(loss) - solution.loss) < 1e-3 and printer == "MATLAB short":  # a unit of its last place
                continue
            answer = parse_answer(document(solution.grads, PRINTERS["Julia"], loss=loss).encode(), "text")
            leaf = next(leaf for leaf in check(case, answer).leaves if leaf.path == "loss")
            assert leaf.verdict != "consistent", (factor, printer)


@pytest.mark.parametrize("kind", KINDS)
def test_no_epsilon_explains_other_gradients(kind):
    case = question(kind)
    grads = [tuple(map(np.array, layer)) for layer in oracle.solve(case).grads]
    for factor in (2.0, 1 / 6, 1 + 1e-4, 1 + 1e-6, 1 + 1e-9):
        assert check(case, [(factor * w, factor * b) for w, b in grads]).verdict == "wrong"
    grads[1][0][0, 0] *= 1 + 1e-6
    assert check(case, grads).verdict == "wrong"


def test_a_mistake_beside_the_convention_is_still_found():
    case = question("classes")
    loss, [first, (w2, b2)] = by_hand(case, lambda p: np.log(p + 1e-7))
    report = check(case, (loss, [first, (w2, b2 / 6)]))
    assert report.verdict == "wrong"
    assert "log(p + 1e-07)" in report.notes[0]
    assert report.diagnosis.mistakes[0].id == "bias-divided-twice"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["binary", "classes"])
def test_functions_with_an_epsilon_are_consistent_and_their_report_says_so(kind):
    network, loss = KINDS[kind]

    def function(params, inputs, targets):
        case = oracle.Case(network, loss, params, inputs, targets)
        value, gradients = by_hand(case, lambda p: np.log(p + 1e-9))
        return Gradients(gradients, loss=value)

    report = oracle.check_function(function, network, loss)
    wrong = [leaf for leaf in report.leaves if leaf.path == "loss" and leaf.verdict == "wrong"]
    assert not wrong
    assert any("log(p + 1e-09)" in note for note in report.notes)
