"""A loss value by itself: which other loss has it."""

import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle.diagnosis import loss_readings
from functional_mlp.oracle.mistakes import plant_together
from tests.helpers.mistaken import changed, draw

FLOOR = 1e-14


@functools.cache
def solved(case):
    return oracle.solve(case)


def loss_of(case, **fields):
    """The value of another loss."""
    return plant_together(changed(case, loss=fm.Loss(**(case.loss.as_fields() | fields))), ()).loss


def readings(case, value, relative=FLOOR):
    return loss_readings(case, solved(case), float(value), relative * abs(solved(case).loss))


@functools.cache
def case_of(kind, samples=5, outputs=3, seed=0, **loss):
    last = {"squared_error": "identity", "softmax_cross_entropy": "identity", "binary_cross_entropy": "sigmoid"}
    network = fm.Network((4, 6, outputs), ("tanh", last.get(kind, "softmax")))
    return oracle.draw_case(network, fm.Loss(kind, **loss), samples=samples, seed=seed)


CASES = {
    "squares": lambda: case_of("squared_error", over_samples="mean", l2=0.1),
    "mean of squares": lambda: case_of("squared_error", over_samples="mean", over_outputs="mean", scale=0.5),
    "bits": lambda: case_of("binary_cross_entropy", outputs=1, over_samples="mean"),
    "classes": lambda: case_of("categorical_cross_entropy", l2=0.02),
    "logits": lambda: case_of("softmax_cross_entropy", over_samples="mean"),
}
SUMS = ("sum", "mean")


def other_losses(loss):
    """One field of a loss, or two, as people have them otherwise."""
    reductions = [{"over_samples": first, "over_outputs": second} for first in SUMS for second in SUMS]
    scales = [{}, {"scale": loss.scale / 2}, {"scale": 2 * loss.scale}]
    penalties = [{}]
    if loss.l2:
        penalties += [{"l2": 0.0}, {"l2": 2 * loss.l2}, {"l2": loss.l2 / 5}, {"l2_on_bias": True}]
    fields = [first | second for first in reductions for second in scales]
    return fields + [first | second for first in reductions for second in penalties]


@pytest.mark.parametrize("name", CASES)
def test_every_loss_that_differs_in_two_things_at_most_is_found(name):
    case = CASES[name]()
    for fields in other_losses(case.loss):
        value = loss_of(case, **fields)
        if abs(value - solved(case).loss) <= 1e-9 * abs(value):
            continue
        found = readings(case, value)
        assert 1 <= len(found) <= 3, fields
        for reading in found:
            assert reading.value == pytest.approx(value, rel=1e-12)
            assert reading.digits >= 12
            if reading.loss is not None:  # which then has this value too
                again = loss_of(case, **reading.loss.as_fields())
                assert again == pytest.approx(value, rel=1e-12), reading.sentence


@pytest.mark.parametrize("name", CASES)
@given(factor=st.floats(0.01, 100.0))
@settings(max_examples=15)
def test_numbers_that_nothing_made_are_not_read(name, factor):
    case = CASES[name]()
    factor *= 1.000123  # off every ratio that means something
    assert readings(case, factor * solved(case).loss) == ()


@pytest.mark.parametrize("name", CASES)
def test_the_right_value_is_not_another_one(name):
    case = CASES[name]()
    value = solved(case).loss
    for near in (value, value * (1 + 1e-15)):
        assert readings(case, near) == ()
    assert readings(case, math.nan) == readings(case, math.inf) == ()


@pytest.mark.parametrize("name", CASES)
@given(factor=st.floats(0.2, 5.0))
@settings(max_examples=15)
def test_of_few_digits_nothing_is_read(name, factor):
    case = CASES[name]()
    assert readings(case, factor * solved(case).loss, relative=0.02) == ()


def sentences(case, value, **options):
    return [reading.sentence for reading in readings(case, value, **options)]


def test_what_is_said():
    case = case_of("squared_error", over_samples="mean")
    o, t = solved(case).outputs, case.targets
    squares = (o - t) ** 2
    [first] = sentences(case, squares.sum())
    assert first == "The loss value is that of a sum over the samples where the case declares a mean: 5 times."
    [first] = sentences(case, squares.mean())
    assert first == "The loss value is that of a mean over the outputs where the case declares a sum: 1/3 of it."
    [first] = sentences(case, squares.sum() / 10)
    assert first == "The loss value is that of half the loss: 1/2 of it."
    [first] = sentences(case, squares.mean() ** 0.5)
    assert "a mean over the outputs" in first
    assert "the square root" in first
    [first] = sentences(case, np.abs(o - t).sum() / 5)
    assert first == "The loss value is that of absolute_error where the case declares squared_error."
    [first] = sentences(case, squares.sum() / 4)
    assert "a division by 4" in first


def test_of_classes():
    case = case_of("categorical_cross_entropy", over_samples="mean")
    p, t = solved(case).outputs, case.targets
    right = -(t * np.log(p)).sum(axis=1)
    assert solved(case).loss == pytest.approx(right.mean())
    assert "softmax_cross_entropy" in sentences(case, loss_of(case, kind="softmax_cross_entropy"))[0]
    assert "the negative of the loss" in sentences(case, -right.mean())[0]
    assert "logarithms to base 2" in sentences(case, right.mean() / np.log(2))[0]
    assert "logarithms to base 10" in sentences(case, right.mean() / np.log(10))[0]
    assert "the last sample alone" in sentences(case, right[-1])[0]
    assert "all samples but the last" in sentences(case, right[:-1].sum() / 5)[0]
    assert "the mean over all samples but the first" in sentences(case, right[1:].mean())[0]
    for epsilon in (1e-4, 1e-8, 1e-12):
        value = -(t * np.log(p + epsilon)).sum(axis=1)
        [reading] = readings(case, value.mean(), relative=1e-16)
        assert f"log(p + {epsilon:g})" in reading.sentence
        assert reading.loss.epsilon == epsilon
        found = sentences(case, value.sum(), relative=1e-16)
        assert any(f"log(p + {epsilon:g})" in one and "a sum over the samples" in one for one in found)


def test_of_logits_with_an_epsilon_no_declared_loss_has_the_value():
    case = case_of("softmax_cross_entropy", over_samples="mean")
    o, t = solved(case).outputs, case.targets
    p = np.exp(o) / np.exp(o).sum(axis=1, keepdims=True)
    [reading] = readings(case, -(t * np.log(p + 1e-6)).sum() / 5)
    assert "log(p + 1e-06)" in reading.sentence
    assert reading.loss is None


def test_of_probabilities_that_are_clipped():
    case = draw((2, 1), "sigmoid", "binary_cross_entropy")
    case = changed(case, params=[(case.params[0].weights, case.params[0].bias + 9.0)], targets=np.zeros((5, 1)))
    p = np.clip(solved(case).outputs, 1e-3, 1 - 1e-3)
    assert "probabilities clipped to 0.001" in sentences(case, -np.log(1 - p).sum())[0]


def test_of_the_penalty():
    case = case_of("squared_error", over_samples="mean", l2=0.1)
    data = loss_of(case, l2=0.0)
    squares = sum((weights**2).sum() for weights, _ in case.params)
    biases = sum((bias**2).sum() for _, bias in case.params)
    says = {
        data: "the loss without its penalty",
        data + 0.1 * squares: "an L2 penalty without its factor ½",
        data + 0.025 * squares: "half of the declared L2 penalty",
        data - 0.05 * squares: "a penalty that is subtracted",
        data + 0.01 * squares: "a penalty divided by the number of samples, 5",
        data + 0.25 * squares: "a penalty taken once for each of 5 samples",
        data + 0.02 * squares: "a penalty divided by the number of samples, 5, and without its factor ½",
        data + 0.05 * (squares + biases): "a penalty on the biases too",
        2 * data + 0.05 * squares: "twice its data term",
        2 * data + 0.1 * squares: "twice the loss, the penalty too",
    }
    for value, words in says.items():
        assert sentences(case, value) == [
            f"The loss value is that of {words}{': 2 times' if 'too' in words and 'twice' in words else ''}."
        ]
    both = sentences(case, 5 * data)
    assert any("a sum over the samples" in one and "without its penalty" in one for one in both)


def test_samples_with_weights_and_options():
    case = case_of("softmax_cross_entropy", over_samples="mean")
    weighted = changed(case, sample_weights=np.array([1.0, 2.0, 3.0, 0.5, 1.0]))
    assert "samples that count alike" in sentences(weighted, solved(case).loss)[0]
    smooth = changed(case, loss=fm.Loss("softmax_cross_entropy", "mean", label_smoothing=0.1))
    assert "without its label_smoothing" in sentences(smooth, solved(case).loss)[0]


def test_a_bare_cotangent_has_no_loss_value():
    case = draw((2, 1), "identity", None)
    assert loss_readings(case, solved(case), 1.0, 1e-15) == ()


@pytest.mark.parametrize("digits", [5, 6, 7])
def test_printed_digits_are_enough_for_the_likeliest(digits):
    case = case_of("squared_error", over_samples="mean", seed=3)
    value = float(f"{5 * solved(case).loss:.{digits - 1}e}")
    [reading] = readings(case, value, relative=0.5 * 10.0 ** (1 - digits))
    assert "a sum over the samples" in reading.sentence
