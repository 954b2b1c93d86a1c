"""Mistakes of whole arrays, of the sums that they are made of, and of the penalties: what each formula says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp._dtypes import DTYPES
from functional_mlp.losses import penalty_value
from functional_mlp.oracle.mistakes import MISTAKES, Slip, plant, plant_together, site_of
from functional_mlp.oracle.mistakes.injection import places
from functional_mlp.oracle.mistakes.program import prepare
from tests.helpers.mistaken import case_of, changed, draw, truth_of

LEAVES = ("weights", "bias")


def mean_case(samples=4, **loss):
    return draw((3, 4, 2), "tanh", "squared_error", samples=samples, over_samples="mean", **loss)


def right(case):
    return plant_together(case, ()).grads


def leaves_of(grads):
    return [leaf for layer in grads for leaf in layer]


def close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)


# sums over samples


@pytest.mark.parametrize(("name", "other"), [("bias", "weights"), ("weights", "bias")])
@pytest.mark.parametrize("weighted", [False, True])
def test_one_kind_of_array_not_divided_under_a_mean(name, other, weighted):
    case = mean_case()
    if weighted:
        case = changed(case, sample_weights=np.array([1.0, 2.0, 0.5, 3.0]))
    undivided = right(changed(case, loss=fm.Loss("squared_error")))
    mistake_id = {"bias": "bias-gradient-summed", "weights": "weight-gradient-summed"}[name]
    everywhere, in_one = (plant(case, mistake_id, layer) for layer in (None, 0))
    for layer, (wrong, one, true, summed) in enumerate(
        zip(everywhere.grads, in_one.grads, right(case), undivided, strict=True)
    ):
        close(getattr(wrong, name), getattr(summed, name))
        np.testing.assert_array_equal(getattr(wrong, other), getattr(true, other))
        close(getattr(one, name), getattr(summed if layer == 0 else true, name))


def test_the_divisor_of_a_mean_over_weighted_classes():
    loss = fm.Loss("softmax_cross_entropy", "mean", class_weights=(0.5, 2.0, 1.0))
    case = changed(draw((3, 4, 3), ("tanh", "identity"), "softmax_cross_entropy"), loss=loss)
    summed = right(changed(case, loss=fm.Loss("softmax_cross_entropy", class_weights=(0.5, 2.0, 1.0))))
    for wrong, true in zip(plant(case, "bias-gradient-summed").grads, summed, strict=True):
        close(wrong.bias, true.bias)


def test_the_bias_summed_over_the_units():
    case, true = case_of("mean"), truth_of("mean")
    wrong = plant(case, "bias-summed-over-wrong-axis", 1)
    close(wrong.grads[1].bias, true.deltas[1].sum(axis=1) + 0.1 * case.params[1].bias)
    assert 2 not in {layer for layer, _ in places(case, "bias-summed-over-wrong-axis")}  # one unit


@given(st.lists(st.floats(-3, 3), min_size=5, max_size=5).filter(lambda weights: len(set(weights)) > 1))
def test_samples_with_weights_of_their_own(weights):
    case = case_of("squared")
    wrong = plant(case, "samples-weighted-unevenly", value=tuple(weights))
    solution = oracle.solve(case)
    inputs = (case.inputs, *solution.activations[:-1])
    for own, a_prev, ct in zip(wrong.grads, inputs, solution.deltas, strict=True):
        close(own.weights, (a_prev * np.array(weights)[:, None]).T @ ct)
        close(own.bias, weights @ ct)
    np.testing.assert_array_equal(wrong.deltas[0], truth_of("squared").deltas[0])


def test_an_accumulator_that_is_never_reset_counts_the_first_sample_most():
    case = case_of("squared")
    default, told = (
        plant(case, "samples-weighted-unevenly", value=value) for value in (None, (5.0, 4.0, 3.0, 2.0, 1.0))
    )
    np.testing.assert_array_equal(default.grads[0].weights, told.grads[0].weights)


def test_samples_with_the_same_weights_are_no_mistake(says):
    case = case_of("squared")
    says(ValueError, ["one weight for each sample"], lambda: plant(case, "samples-weighted-unevenly", value=(2.0,) * 5))
    says(ValueError, ["one weight for each sample"], lambda: plant(case, "samples-weighted-unevenly", value=(1.0, 2.0)))
    says(TypeError, ["tuple of numbers", "got 2.0"], lambda: plant(case, "samples-weighted-unevenly", value=2.0))
    says(ValueError, ["finite"], lambda: plant(case, "samples-weighted-unevenly", value=(1.0, 2.0, 3.0, 4.0, np.nan)))
    says(TypeError, ["real number"], lambda: plant(case, "loss-scaled", value=(1.0, 2.0)))


# whole arrays


@given(st.sampled_from(["weights", "bias", "both"]), st.integers(0, 2), st.floats(-4, 4).filter(lambda c: c != 1))
def test_an_array_times_a_constant(variant, layer, constant):
    if abs(constant) <= 1e-9:
        return
    case = case_of("softmax")  # its penalty included
    wrong = plant(case, "array-scaled", layer, variant=variant, value=constant)
    for index, (own, true) in enumerate(zip(wrong.grads, truth_of("softmax").grads, strict=True)):
        for name in LEAVES:
            scaled = index == layer and variant in (name, "both")
            close(getattr(own, name), (constant if scaled else 1.0) * getattr(true, name))


def test_the_norm_of_numbers_whose_squares_overflow():
    case = draw((2, 2), "identity", None)
    case = changed(case, ct_outputs=1e200 * case.ct_outputs)
    for variant in ("all", "each"):
        for leaf in leaves_of(plant(case, "gradient-normalised", variant=variant).grads):
            assert 0 < np.linalg.norm(leaf) <= 1 + 1e-12


def test_everything_times_a_constant_and_the_right_loss_value():
    case, true = case_of("softmax"), truth_of("softmax")
    wrong = plant(case, "loss-scaled", variant="penalty-too", value=5.0)
    assert wrong.loss == true.loss
    for own, leaf in zip(leaves_of(wrong.grads), leaves_of(true.grads), strict=True):
        close(own, 5 * leaf)


def test_one_number_for_every_entry():
    case, true = case_of("squared"), truth_of("squared")
    solution, weights, bias = oracle.solve(case), true.grads[1].weights, true.grads[1].bias
    inputs, outputs = solution.activations
    expected = {
        "weights": weights.sum(),
        "weights-mean": weights.mean(),
        "dot-with-outputs": np.vdot(true.deltas[1], outputs),
        "dot-with-inputs": np.vdot(true.deltas[1], inputs),
    }
    for variant, number in expected.items():
        wrong = plant(case, "scalar-broadcast", 1, variant=variant)
        close(wrong.grads[1].weights, np.full((3, 3), number))
        np.testing.assert_array_equal(wrong.grads[1].bias, bias)
    close(plant(case, "scalar-broadcast", 1, variant="bias-mean").grads[1].bias, np.full(3, bias.mean()))


def test_biases_made_of_the_gradient_of_the_weights():
    case, weights = case_of("squared"), truth_of("squared").grads[1].weights
    made = {
        "over-inputs": weights.sum(axis=0),
        "mean-over-inputs": weights.mean(axis=0),
        "first-row": weights[0],
        "last-row": weights[-1],
    }
    for variant, bias in made.items():
        wrong = plant(case, "bias-from-weight-gradient", 1, variant=variant)
        close(wrong.grads[1].bias, bias)
        np.testing.assert_array_equal(wrong.grads[1].weights, weights)


def test_gradients_in_the_order_of_the_way_back():
    case = draw((3, 3, 3, 3), "tanh", "squared_error")
    wrong, true = plant(case, "layers-in-reverse").grads, right(case)
    for own, other in zip(wrong, true[::-1], strict=True):
        np.testing.assert_array_equal(own.weights, other.weights)
        np.testing.assert_array_equal(own.bias, other.bias)
    assert places(draw((3, 3, 2), "tanh", "squared_error"), "layers-in-reverse") == ()


@pytest.mark.parametrize("bound", [0.05, 0.4])
@pytest.mark.parametrize("name", ["softmax", "bare"])
def test_clipped(name, bound):
    case, true = case_of(name), truth_of(name).grads
    together = np.sqrt(sum(np.sum(leaf**2) for leaf in leaves_of(true)))
    expected = {
        "by-value": lambda leaf: np.clip(leaf, -bound, bound),
        "by-norm": lambda leaf: leaf * min(1.0, bound / together),
        "each-by-norm": lambda leaf: leaf * min(1.0, bound / np.linalg.norm(leaf)),
    }
    parameter = MISTAKES["gradient-clipped"].parameter
    for variant, formula in expected.items():
        wrong = leaves_of(plant(case, "gradient-clipped", variant=variant, value=bound).grads)
        for own, leaf in zip(wrong, leaves_of(true), strict=True):
            close(own, formula(leaf))
        site = site_of(prepare(case), MISTAKES["gradient-clipped"], None, variant)
        if any((own != leaf).any() for own, leaf in zip(wrong, leaves_of(true), strict=True)):
            assert parameter.read(site, wrong) == pytest.approx(bound, rel=1e-12)


def test_divided_by_the_norm():
    case, true = case_of("softmax"), truth_of("softmax").grads
    together = np.sqrt(sum(np.sum(leaf**2) for leaf in leaves_of(true)))
    for variant, norm in (("all", lambda leaf: together), ("each", np.linalg.norm)):
        wrong = leaves_of(plant(case, "gradient-normalised", variant=variant).grads)
        for own, leaf in zip(wrong, leaves_of(true), strict=True):
            close(own, leaf / norm(leaf))


def test_a_gradient_of_zeros_is_not_divided():
    case = draw((2, 2), "identity", None)
    case = changed(case, ct_outputs=np.zeros_like(case.ct_outputs))
    for variant in ("all", "each"):
        for leaf in leaves_of(plant(case, "gradient-normalised", variant=variant).grads):
            np.testing.assert_array_equal(leaf, np.zeros_like(leaf))


# penalties


def test_other_coefficients():
    case = case_of("mean")
    data = right(changed(case, loss=fm.Loss("binary_cross_entropy", "mean")))
    wrong = plant(case, "l2-coefficient-different", value=0.37).grads
    for own, grad, layer in zip(wrong, data, case.params, strict=True):
        close(own.weights, grad.weights + 0.37 * layer.weights)
        close(own.bias, grad.bias + 0.37 * layer.bias)


def test_a_coefficient_that_another_mistake_explains_is_not_another_coefficient(says):
    case = case_of("mean")
    for value in (0.1, 0.2, 0.05, -0.1, 0.0, 0.4, 0.025):
        says(
            ValueError,
            ["another coefficient"],
            lambda value=value: plant(case, "l2-coefficient-different", value=value),
        )


@pytest.mark.parametrize(("reduction", "factor"), [("mean", 1.2), ("sum", 1.0125)])
def test_the_gradient_scaled_by_the_penalty_on_the_other_side_of_the_division(reduction, factor):
    case = draw((3, 4, 2), "tanh", "squared_error", samples=4, over_samples=reduction, l2=0.05)
    data = right(changed(case, loss=fm.Loss("squared_error", reduction)))
    for own, grad in zip(plant(case, "l2-on-summed-gradient").grads, data, strict=True):
        close(own.weights, factor * grad.weights)
        close(own.bias, grad.bias)


@pytest.mark.parametrize("name", ["softmax", "mean", "logits"])
def test_a_constant_in_the_cotangent(name):
    case, true, constant = case_of(name), truth_of(name), 0.3
    p, t = oracle.solve(case).outputs, case.targets
    slope = {
        "softmax": lambda ct: p * (ct - (p * ct).sum(axis=1, keepdims=True)),
        "mean": lambda ct: p * (1 - p) * ct,
        "logits": lambda ct: ct,
    }[name]
    expected = {
        "outputs": slope(np.full_like(p, constant)),
        "right-class": slope(constant * t),
        "delta": np.full_like(p, constant),
    }
    met = {variant for _, variant in places(case, "penalty-in-delta")}
    assert set(expected) - met == ({"outputs"} if name == "softmax" else {"delta"} if name == "logits" else set())
    for variant in met:
        wrong = plant(case, "penalty-in-delta", variant=variant, value=constant)
        close(wrong.deltas[-1], true.deltas[-1] + expected[variant])


def test_the_constant_is_the_value_of_the_penalty_unless_told_otherwise():
    case = case_of("mean")
    value = penalty_value(case.loss, case.params)
    default, told = (plant(case, "penalty-in-delta", variant="delta", value=own) for own in (None, float(value)))
    np.testing.assert_array_equal(default.deltas[0], told.deltas[0])


# together with others


def test_together_with_what_was_there_before():
    case = changed(case_of("mean"), loss=fm.Loss("binary_cross_entropy", "mean"))

    def both(*slips):
        return plant_together(case, slips).grads

    masked = both(Slip("relu-mask-on-cotangent", 0))
    made = both(Slip("relu-mask-on-cotangent", 0), Slip("bias-from-weight-gradient", 0, "over-inputs"))
    close(made[0].bias, masked[0].weights.sum(axis=0))
    close(made[0].weights, masked[0].weights)
    shrunk = both(Slip("bias-from-weight-gradient", 1, "last-row"), Slip("array-scaled", 1, "bias", 1e-3))
    close(shrunk[1].bias, 1e-3 * right(case)[1].weights[-1])
    scalar = both(Slip("bias-divided-twice", 1), Slip("bias-summed-to-scalar", 1))
    close(scalar[1].bias, np.full(4, right(case)[1].bias.sum() / 4))
    uneven = both(Slip("weights-divided-twice"), Slip("samples-weighted-unevenly", value=(1.0, 0.0, 2.0, 1.0)))
    alone = both(Slip("samples-weighted-unevenly", value=(1.0, 0.0, 2.0, 1.0)))
    for own, other in zip(uneven, alone, strict=True):
        close(own.weights, other.weights / 4)
        close(own.bias, other.bias)
    order = (Slip("array-scaled", 0, "both", 2.0), Slip("gradient-clipped", None, "by-norm", 0.1))
    for slips in (order, order[::-1]):  # clipped at the very end, whatever else is said first
        clipped = leaves_of(both(*slips))
        assert np.sqrt(sum(np.sum(leaf**2) for leaf in clipped)) == pytest.approx(0.1, rel=1e-12)


@pytest.mark.parametrize("name", ["softmax", "mean", "squared", "bare"])
def test_what_is_said_to_be_linear_is_affine_in_its_number(name):
    case = case_of(name)
    prepared = prepare(case)
    for mistake_id, mistake in MISTAKES.items():
        if mistake.parameter is None or not mistake.parameter.linear or mistake.shows_in_updates:
            continue
        for layer, variant in places(prepared, mistake_id):
            start = np.asarray(site_of(prepared, mistake, layer, variant).value)
            step = 0.13 * (1 + np.arange(start.size)).reshape(start.shape)

            def at(moves, start=start, step=step, mistake_id=mistake_id, layer=layer, variant=variant):
                value = (start + moves * step).tolist()
                slip = Slip(mistake_id, layer, variant, tuple(value) if isinstance(value, list) else value)
                return leaves_of(plant_together(case, (slip,)).grads)

            for before, between, after in zip(at(0), at(1), at(2), strict=True):
                np.testing.assert_allclose(
                    between - before, after - between, rtol=1e-9, atol=1e-12 * np.abs(after).max(), err_msg=mistake_id
                )


NEW = (
    *("bias-gradient-summed", "weight-gradient-summed", "bias-summed-over-wrong-axis", "samples-weighted-unevenly"),
    *("array-scaled", "scalar-broadcast", "bias-from-weight-gradient", "layers-in-reverse", "gradient-clipped"),
    *("gradient-normalised", "l2-coefficient-different", "l2-on-summed-gradient", "penalty-in-delta"),
)


@pytest.mark.parametrize("dtype", DTYPES)
def test_made_in_every_dtype_with_one_sample_and_one_unit(dtype):
    one = changed(draw((1, 1, 1), "tanh", "squared_error", samples=1), sample_weights=np.array([2.0]))
    one = changed(one, loss=fm.Loss("squared_error", "mean", l2=0.1))
    met = set()
    for case in (one, mean_case(l2=0.1)):
        for mistake_id in NEW:
            for layer, variant in places(case, mistake_id):
                met.add(mistake_id)
                for leaf in leaves_of(plant(case, mistake_id, layer, variant=variant, dtype=dtype).grads):
                    assert leaf.dtype == DTYPES[dtype], mistake_id
                    assert np.isfinite(leaf.astype(np.float64)).all(), mistake_id
    assert set(NEW) - met == {"layers-in-reverse"} - {id_ for id_ in NEW if places(one, id_)}
