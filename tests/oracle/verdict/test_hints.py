"""Hints name a precision for errors that look like its rounding alone, with what it hides; blind cases say so."""

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle import Verdict, check

MEAN = fm.Loss("softmax_cross_entropy", over_samples="mean")
SQUARED = fm.Loss("squared_error")


def tf32(array):
    """Rounded to 11 bits, as the factors of TF32 products are."""
    bits = np.asarray(array, np.float32).view(np.uint32)
    return ((bits + 0xFFF + ((bits >> 13) & 1)) & np.uint32(0xFFFFE000)).view(np.float32)


def bfloat16(array):
    import ml_dtypes

    return np.asarray(array).astype(ml_dtypes.bfloat16).astype(np.float32)


def of_classes(dtype="float32"):
    """A case of one softmax layer, without biases."""
    rng = np.random.default_rng(5)
    inputs = rng.normal(size=(24, 12)).astype(dtype)
    weights = (rng.normal(size=(12, 10)) / 3).astype(dtype)
    targets = np.eye(10, dtype=dtype)[rng.integers(0, 10, 24)]
    return oracle.Case(fm.Network((12, 10), "identity"), MEAN, [weights], inputs, targets, dtype=dtype)


def gradients(case, factor=lambda array: array):
    """Textbook float32 gradients whose matrix products have their factors rounded."""
    inputs, targets, weights = (
        np.asarray(array, np.float32) for array in (case.inputs, case.targets, case.params[0].weights)
    )
    z = factor(inputs) @ factor(weights)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p = p / p.sum(axis=1, keepdims=True)
    ct_z = (p - targets) / np.float32(len(inputs))
    return [factor(inputs).T @ factor(ct_z)]


def hints(report):
    return [note for note in report.notes if "these numbers would" in note]


@pytest.mark.parametrize(("factor", "name"), [(tf32, "tf32"), (bfloat16, "bfloat16/float32")])
def test_products_of_narrow_factors_are_recognised(factor, name):
    case = of_classes()
    given = gradients(case, factor)
    report = check(case, given)
    assert (report.verdict, report.precision) == (Verdict.WRONG, "float32")
    [hint] = hints(report)
    assert f"as {name} these numbers would be consistent" in hint
    assert "would then go unseen" in hint
    assert f"precision {name!r}" in hint
    assert check(case, given, precision=name).verdict is Verdict.CONSISTENT
    [asked] = hints(check(case, given, precision="float32"))
    assert "Is the declared precision right?" in asked


def test_what_a_declaration_would_hide_is_what_the_verdict_then_cannot_detect():
    case = of_classes()
    given = gradients(case, tf32)
    [hint] = hints(check(case, given))
    said = float(hint.partition("changes below ")[2].split()[0])
    [leaf] = check(case, given, precision="tf32").leaves
    assert leaf.smallest_detectable / leaf.norm == pytest.approx(said, rel=0.5)
    assert 1e-4 < said < 1e-1


def test_float16_and_bfloat16_numbers_in_wider_arrays_are_recognised():
    case = of_classes("float16")
    narrow = np.float16(gradients(case)[0])
    report = check(case, [narrow.astype(np.float32)])
    assert report.verdict is Verdict.WRONG
    [hint] = hints(report)
    assert "as float16" in hint


@pytest.mark.parametrize("relative", [1e-4, 1e-6, 3e-8, -2e-3])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_constant_factor_is_not_told_to_be_rounding(relative, dtype):
    case = of_classes(dtype)
    right = oracle.solve(case).grads[0].weights
    report = check(case, [(right * (1 + relative)).astype(dtype)])
    if report.verdict is Verdict.WRONG:
        assert hints(report) == []
    else:
        assert (abs(relative), dtype) in ((1e-6, "float32"), (3e-8, "float32"))


@pytest.mark.parametrize("sizes", [(2, 1), (2, 3), (4, 3)])
@pytest.mark.parametrize("field", [0, 1])
def test_a_constant_factor_of_one_small_array_is_not_told_to_be_rounding(sizes, field):
    case = oracle.draw_case(fm.Network(sizes, "identity"), SQUARED, samples=5, seed=2)
    given = [list(layer) for layer in oracle.solve(case).grads]
    given[0][field] = given[0][field] * (1 + 1e-4)
    report = check(case, given)
    assert (report.verdict, hints(report)) == (Verdict.WRONG, [])


def test_errors_all_to_one_side_are_not_told_to_be_rounding():
    case = of_classes("float64")
    right = oracle.solve(case).grads[0].weights
    rng = np.random.default_rng(2)
    given = [right * (1 + 1e-7 * rng.uniform(0.5, 1.5, right.shape))]
    assert check(case, given).verdict is Verdict.WRONG
    assert hints(check(case, given)) == []
    rounded = [right * (1 + 1e-7 * rng.uniform(-1, 1, right.shape))]
    assert len(hints(check(case, rounded))) == 1


def test_a_mistake_gets_no_hint_and_no_noise_of_another_precision_is_estimated(monkeypatch):
    from functional_mlp.oracle.verdict import hints as module

    case = oracle.draw_case(fm.Network((3, 4, 3), "tanh"), SQUARED, samples=5, seed=1)
    given = [list(layer) for layer in oracle.solve(case).grads]
    given[0][1] = given[0][1] * 2
    monkeypatch.setattr(module, "estimate_noise", None)
    report = check(case, given)
    assert (report.verdict, hints(report)) == (Verdict.WRONG, [])


def test_a_precision_in_which_the_numbers_overflow_explains_nothing():
    case = oracle.draw_case(fm.Network((2, 3), "identity"), fm.Loss("squared_error", scale=1e105), samples=4, seed=0)
    right = oracle.solve(case).grads[0]
    rng = np.random.default_rng(0)
    given = [[leaf * (1 + 1e-7 * rng.uniform(-1, 1, leaf.shape)) for leaf in right]]
    report = check(case, given)
    assert (report.verdict, hints(report)) == (Verdict.WRONG, [])


# what a case cannot show


def relu_case(bias, **data):
    rng = np.random.default_rng(0)
    params = [(np.abs(rng.normal(size=(2, 3))), np.full(3, bias)), (np.abs(rng.normal(size=(3, 3))), np.ones(3))]
    inputs = np.abs(rng.normal(size=data.get("size", (4, 2))))
    targets = rng.uniform(size=(len(inputs), 3))
    return oracle.Case(fm.Network((2, 3, 3), "relu"), SQUARED, params, inputs, targets)


def right(case):
    return check(case, oracle.solve(case).grads)


def test_a_case_without_an_inactive_unit_says_that_a_missing_mask_cannot_show():
    report = right(relu_case(5.0))
    [note] = report.notes
    assert report.verdict is Verdict.CONSISTENT
    assert "no pre-activation is negative" in note
    assert "relu-mask-missing" in note
    shown = right(oracle.draw_case(fm.Network((2, 3, 3), "relu"), SQUARED, samples=6, seed=1))
    assert not any("negative" in note for note in shown.notes)


def test_a_dead_network_says_that_every_gradient_is_zero():
    case = relu_case(-90.0)
    dead = oracle.Case(
        case.network, SQUARED, [case.params[0], (case.params[1][0], -np.ones(3))], case.inputs, case.targets
    )
    report = right(dead)
    assert report.verdict is Verdict.CONSISTENT
    [note] = report.notes
    assert "every true gradient is 0" in note
    assert "every true gradient of layer 0 is 0" in right(case).notes[0]


def test_one_sample_one_output_and_biases_of_zero_are_said():
    one = oracle.draw_case(fm.Network((2, 3, 1), "tanh"), SQUARED, samples=1, seed=0)
    [note] = right(one).notes
    assert "it has one sample (unseen: " in note
    assert "it has one output (unseen: outputs-averaged-not-summed" in note
    several = oracle.draw_case(fm.Network((2, 3, 3), "tanh"), SQUARED, samples=4, seed=0)
    assert right(several).notes == ()
    params = [(weights, np.zeros_like(bias)) for weights, bias in several.params]
    [note] = right(oracle.Case(several.network, SQUARED, params, several.inputs, several.targets)).notes
    assert "its biases are 0 (unseen: bias-missing, bias-subtracted" in note


def test_symmetric_weights_and_two_outputs_are_said():
    rng = np.random.default_rng(3)
    square = rng.normal(size=(3, 3))
    inputs, bias = rng.normal(size=(5, 3)), np.ones(3)
    case = oracle.Case(
        *(fm.Network((3, 3, 2), "tanh"), SQUARED, [(square + square.T, bias), (rng.normal(size=(3, 2)), np.ones(2))]),
        *(inputs, rng.normal(size=(5, 2))),
    )
    [note] = right(case).notes
    assert "its weights are symmetric (unseen: weights-not-transposed)" in note
    assert "two outputs" in note


def test_a_wrong_verdict_has_no_note_about_what_cannot_show():
    case = relu_case(5.0)
    given = [(2 * weights, bias) for weights, bias in oracle.solve(case).grads]
    assert not any("cannot show" in note for note in check(case, given).notes)


# one sample and one output


@pytest.mark.parametrize(
    ("network", "loss"),
    [
        (fm.Network((3, 4, 1), "tanh"), SQUARED),
        (fm.Network((3, 4, 1), ("tanh", "sigmoid")), fm.Loss("binary_cross_entropy")),
        (fm.Network((3, 4, 2), ("tanh", "softmax")), fm.Loss("categorical_cross_entropy")),
    ],
)
@pytest.mark.parametrize("factor", [2.0, 0.5, -1.0, 1.37])
def test_a_multiple_of_the_truth_is_no_convention_with_one_sample_and_one_output(network, loss, factor):
    case = oracle.draw_case(network, loss, samples=1, seed=3)
    report = check(case, [(factor * weights, factor * bias) for weights, bias in oracle.solve(case).grads])
    assert report.verdict is Verdict.WRONG
    assert report.diagnosis.kind in ("", "mistake")
    [note] = report.notes
    assert f"{factor:.4g} times the true ones" in note
    several = oracle.draw_case(network, loss, samples=4, seed=3)
    report = check(several, [(factor * weights, factor * bias) for weights, bias in oracle.solve(several).grads])
    assert report.diagnosis.kind in ("convention", "either")
    assert report.notes == ()
