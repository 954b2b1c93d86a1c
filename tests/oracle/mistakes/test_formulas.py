"""The catalogue of mistakes: what each formula says, in NumPy."""

import jax
import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle.mistakes.injection import plant, plant_together, plant_update
from tests.helpers.mistaken import (
    CASES,
    case_of,
    changed,
    differs,
    draw,
    leaves,
    truth_of,
)
from tests.helpers.tolerances import relative_difference


def test_the_gradient_of_the_bias_averaged():
    case, right = case_of("softmax"), truth_of("softmax")
    wrong = plant(case, "bias-gradient-averaged", 1)
    np.testing.assert_allclose(wrong.grads[1].bias, right.deltas[1].mean(axis=0), rtol=1e-13)
    np.testing.assert_array_equal(wrong.grads[1].weights, right.grads[1].weights)
    np.testing.assert_array_equal(wrong.grads[0].bias, right.grads[0].bias)


def test_the_sign_flipped():
    case, right = case_of("bare"), truth_of("bare")
    wrong = plant(case, "sign-flipped")
    for a, b in zip(leaves(wrong)[1:], leaves(right)[1:], strict=True):
        np.testing.assert_array_equal(a, -b)
    with pytest.raises(ValueError, match="needs an L2 penalty"):
        plant(case, "sign-flipped", variant="at-the-end")
    penalised, true = plant(case_of("softmax"), "sign-flipped", variant="at-the-end"), truth_of("softmax")
    np.testing.assert_array_equal(penalised.grads[0].weights, -true.grads[0].weights)
    first = plant(case_of("softmax"), "sign-flipped")
    decay = 0.1 * case_of("softmax").params[0].weights
    np.testing.assert_allclose(first.grads[0].weights, 2 * decay - true.grads[0].weights, rtol=1e-12, atol=1e-15)


def test_the_gradient_of_the_weights_transposed():
    case, right = case_of("softmax"), truth_of("softmax")
    square, other = right.grads[1].weights, right.grads[0].weights
    np.testing.assert_array_equal(plant(case, "weight-gradient-transposed", 1).grads[1].weights, square.T)
    np.testing.assert_array_equal(
        plant(case, "weight-gradient-transposed", 0).grads[0].weights, other.ravel(order="F").reshape(other.shape)
    )


def test_the_diagonal_of_the_softmax_jacobian_is_half_with_two_classes_and_not_proportional_with_three():
    def ratio(classes):
        case = draw((3, 4, classes), ("tanh", "softmax"), "squared_error", seed=3)
        one_hot = np.eye(classes)[np.arange(5) % classes]
        case = changed(case, targets=one_hot)
        return plant(case, "softmax-jacobian-diagonal", 1).grads[0].weights / plant_together(case, ()).grads[0].weights

    np.testing.assert_allclose(ratio(2), 0.5, rtol=1e-12)
    assert np.ptp(ratio(3)) > 0.1


@pytest.mark.parametrize("value", [2.0, 3.0])
def test_a_factor_that_grows_backwards(value):
    case = draw((3, 4, 4, 2), "tanh", "squared_error")
    wrong, right = plant(case, "scale-by-layer", value=value), plant_together(case, ())
    for steps, (a, b) in enumerate(zip(reversed(wrong.grads), reversed(right.grads), strict=True)):
        np.testing.assert_allclose(a.weights, value**steps * b.weights, rtol=1e-12)
        np.testing.assert_allclose(a.bias, value**steps * b.bias, rtol=1e-12)
    np.testing.assert_array_equal(plant(case, "scale-by-layer").deltas[1], 2 * right.deltas[1])


def test_weights_updated_too_early_show_in_an_update_and_depend_on_the_learning_rate():
    case, right = case_of("squared"), truth_of("squared")
    activations = oracle.solve(case).activations
    (w1, b1), (w2, _) = case.params
    silu = case.network.activations[0]
    for rate in (0.1, 0.3):
        after = plant_update(case, "updated-weights-used", rate)
        early = w2 - rate * (activations[0].T @ right.deltas[1])
        with jax.enable_x64(True):
            z = jax.numpy.asarray(case.inputs @ w1 + b1)
            delta = np.asarray(silu.vjp(z, silu.value(z), jax.numpy.asarray(right.deltas[1] @ early.T)))
        np.testing.assert_allclose(after[0].weights, w1 - rate * case.inputs.T @ delta, rtol=1e-12)
        np.testing.assert_allclose(after[1].weights, early, rtol=1e-12)
        np.testing.assert_allclose(after[0].bias, b1 - rate * delta.sum(axis=0), rtol=1e-12)
    with pytest.raises(ValueError, match="plant_update"):
        plant(case, "updated-weights-used")


def test_wrong_steps():
    case, grads = case_of("squared"), truth_of("squared").grads
    steps = {
        None: lambda w, g: w - 0.1 * g,
        "ascends": lambda w, g: w + 0.1 * g,
        "learning-rate-twice": lambda w, g: w - 0.01 * g,
        "momentum-as-weights": lambda w, g: 1.9 * w - 0.1 * g,
    }
    for mistake_id, step in steps.items():
        for before, grad, after in zip(case.params, grads, plant_update(case, mistake_id, 0.1), strict=True):
            np.testing.assert_allclose(after.weights, step(before.weights, grad.weights), rtol=1e-13)
            np.testing.assert_allclose(after.bias, step(before.bias, grad.bias), rtol=1e-13)
    np.testing.assert_array_equal(plant_update(case, "layer-never-computed", 0.1, 0)[0].weights, case.params[0].weights)
    after = plant_update(case, "bias-never-updated", 0.1)
    np.testing.assert_array_equal(after[0].bias, case.params[0].bias)
    np.testing.assert_allclose(after[0].weights, case.params[0].weights - 0.1 * grads[0].weights, rtol=1e-13)


def test_the_penalty():
    case = case_of("softmax")
    data = plant_together(changed(case, loss=fm.Loss("categorical_cross_entropy")), ()).grads
    expected = {
        ("l2-sign", None): lambda w, g: g - 0.1 * w,
        ("l2-factor", "doubled"): lambda w, g: g + 0.2 * w,
        ("l2-factor", "halved"): lambda w, g: g + 0.05 * w,
        ("l2-missing", None): lambda w, g: g,
        ("l2-not-averaged", "times-n"): lambda w, g: g + 0.5 * w,
        ("l2-not-averaged", "divided-by-n"): lambda w, g: g + 0.02 * w,
        ("l2-on-gradient", None): lambda w, g: 1.1 * g,
        ("l2-on-bias", None): lambda w, g: g + 0.1 * w,
    }
    for (mistake_id, variant), formula in expected.items():
        planted = plant(case, mistake_id, variant=variant)
        for wrong, layer, grad in zip(planted.grads, case.params, data, strict=True):
            np.testing.assert_allclose(wrong.weights, formula(layer.weights, grad.weights), rtol=1e-12, atol=1e-15)
            bias = grad.bias + 0.1 * layer.bias if mistake_id == "l2-on-bias" else grad.bias
            np.testing.assert_allclose(wrong.bias, bias, rtol=1e-12, atol=1e-15)
    decayed = plant(case_of("bare"), "l2-unexpected", value=0.3).grads[0].weights
    added = 0.3 * case_of("bare").params[0].weights
    np.testing.assert_allclose(decayed, truth_of("bare").grads[0].weights + added, rtol=1e-12)


@pytest.mark.parametrize("name", ["bare", "softmax", "mean"])
def test_an_l1_penalty_comes_on_top_of_an_l2_penalty_and_spares_the_biases(name):
    case, right = case_of(name), truth_of(name)
    wrong = plant(case, "l1-penalty", value=0.3)
    for layer, own, true in zip(case.params, wrong.grads, right.grads, strict=True):
        np.testing.assert_allclose(own.weights, true.weights + 0.3 * np.sign(layer.weights), rtol=1e-12)
        if case.loss is None or not case.loss.l2_on_bias:
            np.testing.assert_array_equal(own.bias, true.bias)


def test_options_of_a_loss_left_out():
    case = case_of("options")
    settings = {"l1": 0.05, "label_smoothing": 0.1, "class_weights": (0.5, 2.0, 1.0)}
    for variant in ("label_smoothing", "class_weights"):
        kept = {name: value for name, value in settings.items() if name != variant}
        other = changed(case, loss=fm.Loss("softmax_cross_entropy", **kept))
        wrong = plant(case, "loss-option-missing", variant=variant)
        assert relative_difference(wrong.grads, plant_together(other, ()).grads) <= 1e-13
    other = changed(case, loss=fm.Loss("softmax_cross_entropy", **{**settings, "l1": 0.0}))
    assert relative_difference(plant(case, "l1-missing").grads, plant_together(other, ()).grads) <= 1e-13


def test_mistakes_of_one_penalty_leave_the_other_alone():
    loss = fm.Loss("squared_error", l2=0.1, l1=0.02)
    case = changed(draw((3, 4, 2), "tanh", "squared_error"), loss=loss)
    right, sign = plant_together(case, ()).grads, [np.sign(layer.weights) for layer in case.params]
    expected = {"l2-missing": -0.1, "l2-sign": -0.2, "l2-factor": 0.1}
    for mistake_id, factor in expected.items():
        for layer, wrong, true in zip(case.params, plant(case, mistake_id).grads, right, strict=True):
            np.testing.assert_allclose(wrong.weights, true.weights + factor * layer.weights, rtol=1e-12)
    plain = plant_together(changed(case, loss=fm.Loss("squared_error", l2=0.1)), ()).grads
    for own, true, signs in zip(right, plain, sign, strict=True):
        np.testing.assert_allclose(own.weights, true.weights + 0.02 * signs, rtol=1e-12)


def test_the_losses_that_are_taken_for_each_other():
    from functional_mlp.oracle.mistakes import places

    def variants(kind, last="identity"):
        return {variant for _, variant in places(draw((3, 4, 3), ("tanh", last), kind), "loss-mismatch")}

    assert variants("huber") == {"squared_error", "half_squared_error", "absolute_error", "log_cosh"}
    assert variants("sigmoid_focal") == {"squared_error", "half_squared_error", "sigmoid_cross_entropy"}
    assert "categorical_cross_entropy" not in variants("kl_divergence", "softmax")  # the same gradient
    case = draw((3, 4, 3), ("tanh", "identity"), "softmax_focal", gamma=3.0)
    plain = changed(case, loss=fm.Loss("softmax_cross_entropy"))
    wrong = plant(case, "loss-mismatch", variant="softmax_cross_entropy")
    assert relative_difference(wrong.grads, plant_together(plain, ()).grads) <= 1e-13


def test_reductions_are_those_of_other_losses():
    case = case_of("mean")
    kind = {"kind": "binary_cross_entropy", "l2": 0.1, "l2_on_bias": True}
    summed = plant_together(changed(case, loss=fm.Loss(**kind)), ())
    missing = plant(case, "mean-missing")
    assert relative_difference(missing.grads, summed.grads) <= 1e-13
    assert missing.loss == truth_of("mean").loss
    added = plant(changed(case, loss=fm.Loss(**kind)), "mean-added")
    assert relative_difference(added.grads, truth_of("mean").grads) <= 1e-13
    nominal = plant(case, "nominal-batch-size", value=16.0).deltas
    assert relative_difference(nominal, [delta / 4 for delta in truth_of("mean").deltas]) <= 1e-13
    twice = plant(case, "everything-divided-twice")
    np.testing.assert_allclose(twice.grads[2].weights, truth_of("mean").grads[2].weights / 4, rtol=1e-14)


def test_every_output_with_every_target():
    case = draw((2, 1), "identity", "squared_error", over_samples="mean")
    outputs, targets = oracle.solve(case).outputs, case.targets
    wrong = plant(case, "broadcast-column-row")
    assert wrong.loss == pytest.approx(np.mean((outputs - targets[:, 0]) ** 2), rel=1e-13)
    ct = 2 * (outputs - targets[:, 0]).sum(axis=1, keepdims=True) / 25
    np.testing.assert_allclose(wrong.grads[0].weights, case.inputs.T @ ct, rtol=1e-12)


def test_losses_and_outputs():
    case = case_of("softmax")
    p, t = oracle.solve(case).outputs, case.targets
    np.testing.assert_allclose(plant(case, "output-derivative-missing", 2).deltas[2], -t / p, rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(
        plant(case, "softmax-jacobian-twice").deltas[2],
        p * ((p - t) - (p * (p - t)).sum(axis=1, keepdims=True)),
        rtol=1e-11,
    )
    case = case_of("mean")
    p, t = oracle.solve(case).outputs, case.targets
    np.testing.assert_allclose(plant(case, "sigmoid-derivative-twice").deltas[2], (p - t) * p * (1 - p) / 4, rtol=1e-12)
    np.testing.assert_allclose(plant(case, "cross-entropy-half").deltas[2], -t * (1 - p) / 4, rtol=1e-12)
    case = case_of("soft targets")
    p, t = oracle.solve(case).outputs, case.targets
    np.testing.assert_allclose(plant(case, "targets-assumed-normalised").deltas[0], p - t, rtol=1e-12)
    case = case_of("weighted")
    o, t, s = oracle.solve(case).outputs, case.targets, case.sample_weights[:, None]
    logits = plant(case, "logits-as-probabilities", variant="difference")
    np.testing.assert_allclose(logits.deltas[1], s * (o - t), rtol=1e-12)
    ignored = plant(case, "sample-weights-ignored")
    np.testing.assert_allclose(ignored.deltas[1], truth_of("weighted").deltas[1] / s, rtol=1e-12)


def test_another_forward_pass_is_another_function():
    case = case_of("softmax")
    network = fm.Network(case.network.sizes, ("tanh", "relu", "softmax"))
    swapped = plant(case, "activation-swapped", 1, variant="relu")
    other = plant_together(changed(case, network=network), ())
    assert differs(swapped, other) is False
    assert swapped.loss == other.loss
    no_bias = plant(case, "bias-missing", 0)
    other = plant_together(changed(case, params=[(case.params[0].weights, np.zeros(4)), *case.params[1:]]), ())
    assert relative_difference(no_bias.outputs, other.outputs) <= 1e-14
    assert relative_difference(no_bias.grads, other.grads) <= 1e-13


def test_finite_differences_are_as_good_as_their_step():
    case, right = case_of("squared"), truth_of("squared")
    for variant, power in (("forward", 1), ("central", 2)):
        errors = [
            relative_difference(plant(case, "finite-difference", variant=variant, value=step).grads, right.grads)
            for step in (1e-2, 1e-3)
        ]
        assert 10 ** (power - 0.2) < errors[0] / errors[1] < 10 ** (power + 0.2)


def test_narrow_accumulators_stagnate():
    case = draw((1, 1), "identity", None, samples=3000)
    case = changed(case, inputs=np.ones((3000, 1)), ct_outputs=np.ones((3000, 1)))
    assert plant(case, "accumulator-too-narrow", variant="float16").grads[0].bias == 2048
    assert plant(case, "accumulator-too-narrow", variant="bfloat16").grads[0].weights == 256


def test_the_same_mistake_gives_the_same_bits_and_arrays_of_ones_own():
    case = case_of("bare")
    first = plant(case, "stale-activations", 1)
    first.grads[0].weights[:] = 7
    again, fresh = plant(case, "stale-activations", 1), plant(CASES["bare"](), "stale-activations", 1)
    for a, b in zip(leaves(again), leaves(fresh), strict=True):
        np.testing.assert_array_equal(a, b)
