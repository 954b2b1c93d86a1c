"""Options of losses: what they do, by examples written out in NumPy, and what refuses them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp.losses import KINDS, OPTIONS, one_hot

LOGITS = np.array([[0.5, -1.0, 2.0], [0.1, 0.2, -0.3], [1.0, 1.5, -2.0], [0.0, 0.7, 0.4]])
LABELS = np.array([2, 0, 1, 1])
WEIGHTS = (0.5, 2.0, 1.25)


def log_softmax(o):
    return o - np.log(np.exp(o).sum(axis=1, keepdims=True))


def value_of(kind, targets=None, sample_weights=None, outputs=LOGITS, **settings):
    targets = one_hot(LABELS, 3) if targets is None else targets
    with jax.enable_x64(True):
        return float(fm.Loss(kind, **settings).value(outputs, targets, sample_weights))


def test_class_weights_and_the_two_means():
    losses = -log_softmax(LOGITS)[np.arange(4), LABELS]
    of_classes = np.array(WEIGHTS)[LABELS]
    expected = {
        "sum": (of_classes * losses).sum(),
        "mean": (of_classes * losses).sum() / of_classes.sum(),
        "batch_mean": (of_classes * losses).mean(),
    }
    for over_samples, value in expected.items():
        got = value_of("softmax_cross_entropy", over_samples=over_samples, class_weights=WEIGHTS)
        assert got == pytest.approx(value, rel=1e-13)
    s = np.array([1.0, 3.0, 0.0, 2.0])
    got = value_of("softmax_cross_entropy", None, s, over_samples="mean", class_weights=WEIGHTS)
    assert got == pytest.approx((s * of_classes * losses).sum() / (s * of_classes).sum(), rel=1e-13)
    got = value_of("softmax_cross_entropy", None, s, over_samples="batch_mean", class_weights=WEIGHTS)
    assert got == pytest.approx((s * of_classes * losses).sum() / 3, rel=1e-13)


def test_label_smoothing_of_classes_and_of_bits():
    smooth = 0.9 * one_hot(LABELS, 3) + 0.1 / 3
    expected = -(smooth * log_softmax(LOGITS)).sum()
    assert value_of("softmax_cross_entropy", label_smoothing=0.1) == pytest.approx(expected, rel=1e-13)
    weighted = -(np.array(WEIGHTS) * smooth * log_softmax(LOGITS)).sum() / np.array(WEIGHTS)[LABELS].sum()
    got = value_of("softmax_cross_entropy", over_samples="mean", label_smoothing=0.1, class_weights=WEIGHTS)
    assert got == pytest.approx(weighted, rel=1e-13)
    bits = one_hot(LABELS, 3)
    plain = value_of("sigmoid_cross_entropy", 0.9 * bits + 0.05)
    assert value_of("sigmoid_cross_entropy", bits, label_smoothing=0.1) == pytest.approx(plain, rel=1e-13)


def test_the_weight_of_the_positive_class():
    bits, p = one_hot(LABELS, 3), 1 / (1 + np.exp(-LOGITS))
    for weight in (3.0, (1.0, 2.0, 0.25)):
        expected = -(np.array(weight) * bits * np.log(p) + (1 - bits) * np.log(1 - p)).sum()
        assert value_of("sigmoid_cross_entropy", bits, pos_weight=weight) == pytest.approx(expected, rel=1e-13)
        got = value_of("binary_cross_entropy", bits, outputs=p, pos_weight=weight)
        assert got == pytest.approx(expected, rel=1e-13)


def test_an_epsilon_in_the_logarithm_is_another_function_with_its_own_gradient():
    p, t = np.array([[0.25, 0.75], [1.0, 0.0]]), np.array([[1.0, 0.0], [1.0, 0.0]])
    with jax.enable_x64(True):
        for kind, expected in (
            ("categorical_cross_entropy", -np.log(0.25 + 0.125) - np.log(1.125)),
            ("binary_cross_entropy", -2 * (np.log(0.375) + np.log(1.125))),
        ):
            loss = fm.Loss(kind, epsilon=0.125)
            value, ct = loss.value_and_cotangent(p, t)
            assert float(value) == pytest.approx(expected, rel=1e-13)
            np.testing.assert_allclose(ct, jax.grad(loss.value)(jnp.asarray(p), t), rtol=1e-13)
            assert loss.on_logits(fm.activations.softmax()) is None
            assert loss.on_logits(fm.activations.sigmoid()) is None


def test_ignored_samples_contribute_nothing_and_do_not_count_in_the_mean():
    labels = np.array([2, -100, 1, 1])
    kept = np.array([0, 2, 3])
    spoilt = LOGITS.copy()
    spoilt[1] = np.nan
    settings = {"over_samples": "mean", "class_weights": WEIGHTS, "label_smoothing": 0.1}
    for over_samples in ("mean", "batch_mean"):
        settings["over_samples"] = over_samples
        with jax.enable_x64(True):
            loss = fm.Loss("softmax_cross_entropy", ignore_index=-100, **settings)
            value, ct = loss.value_and_cotangent(spoilt, labels)
            alone = fm.Loss("softmax_cross_entropy", **settings).value_and_cotangent(LOGITS[kept], labels[kept])
            np.testing.assert_allclose(value, alone[0], rtol=1e-13)
            np.testing.assert_allclose(ct[kept], alone[1], rtol=1e-13)
            np.testing.assert_array_equal(ct[1], 0.0)
            all_ignored = loss.value_and_cotangent(LOGITS, np.full(4, -100))
            assert float(all_ignored[0]) == 0
            assert not np.asarray(all_ignored[1]).any()
    with jax.enable_x64(True):
        hinges = fm.Loss("multiclass_hinge", ignore_index=9).value(LOGITS, np.array([2, 9, 9, 9]))
        assert float(hinges) == pytest.approx(float(fm.Loss("multiclass_hinge").value(LOGITS[:1], np.array([2]))))


def test_penalties_together():
    params = (fm.Dense(jnp.asarray([[3.0, -2.0, 0.0]]), jnp.asarray([-4.0])),)
    loss = fm.Loss("squared_error", l1=0.5, l2=0.1)
    assert float(loss.penalty(params)) == pytest.approx(0.5 * 5 + 0.05 * 13)
    on_bias = fm.Loss("squared_error", l1=0.5, l2_on_bias=True)
    assert float(on_bias.penalty(params)) == pytest.approx(0.5 * 9)
    ct, ct_bias = loss.add_penalty_gradient(jnp.zeros((1, 3)), jnp.zeros(1), *params[0])
    np.testing.assert_allclose(ct, [[0.8, -0.7, 0.0]], rtol=1e-6)
    np.testing.assert_array_equal(ct_bias, 0.0)
    _, ct_bias = on_bias.add_penalty_gradient(jnp.zeros((1, 3)), jnp.zeros(1), *params[0])
    np.testing.assert_array_equal(ct_bias, [-0.5])


@pytest.mark.parametrize("option", sorted(OPTIONS))
def test_an_option_belongs_to_some_losses_and_the_others_name_them(option, says):
    value = {"class_weights": (1.0, 2.0), "ignore_index": -1, "label_smoothing": 0.25, "alpha": 0.25}.get(option, 0.5)
    for kind in KINDS:
        if kind in OPTIONS[option]:
            loss = fm.Loss(kind, **{option: value})
            assert loss.as_fields()[option] == value
            assert eval(repr(loss), {"Loss": fm.Loss}) == loss
        else:
            says(ValueError, [option, kind, OPTIONS[option][0]], lambda kind=kind: fm.Loss(kind, **{option: value}))


def test_a_loss_without_options_says_what_it_always_said():
    loss = fm.Loss("squared_error")
    fields = {"kind", "over_samples", "over_outputs", "scale", "l2", "l2_on_bias"}
    assert set(loss.as_fields()) == fields
    assert repr(loss) == (
        "Loss(kind='squared_error', over_samples='sum', over_outputs='sum', scale=1.0, l2=0.0, l2_on_bias=False)"
    )
    assert loss.of_kind("huber") == fm.Loss("huber")
    smooth = fm.Loss("softmax_cross_entropy", label_smoothing=0.1, class_weights=[1.0, 2.0], l1=0.5)
    assert smooth.of_kind("categorical_cross_entropy").class_weights == (1.0, 2.0)
    assert smooth.of_kind("sigmoid_cross_entropy").class_weights is None


def test_bad_options(says):
    says(ValueError, ["delta", "above 0"], lambda: fm.Loss("huber", delta=0.0))
    says(ValueError, ["gamma", "at least 0"], lambda: fm.Loss("sigmoid_focal", gamma=-1.0))
    says(ValueError, ["alpha", "from 0 to 1"], lambda: fm.Loss("sigmoid_focal", alpha=2.0))
    says(ValueError, ["label_smoothing", "from 0 to 1"], lambda: fm.Loss("softmax_cross_entropy", label_smoothing=2.0))
    says(
        ValueError,
        ["class_weights", "not negative"],
        lambda: fm.Loss("softmax_cross_entropy", class_weights=(1.0, -1.0)),
    )
    says(ValueError, ["class_weights", "finite"], lambda: fm.Loss("softmax_cross_entropy", class_weights=[np.nan, 1.0]))
    two = fm.Loss("softmax_cross_entropy", class_weights=(1.0, 2.0))
    says(ValueError, ["class_weights", "3 outputs", "2 numbers"], two.value, np.float32(LOGITS), np.float32(LOGITS))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mse", ["squared_error", 'over_samples="mean"', "scale=0.5"]),
        ("MAE", ["absolute_error"]),
        ("cross_entropy", ["categorical_cross_entropy", "softmax_cross_entropy"]),
        ("BCE", ["binary_cross_entropy", "sigmoid_cross_entropy"]),
        ("nll", ["softmax_cross_entropy"]),
        ("smooth_l1", ["huber", "1 / beta"]),
        ("l1", ["absolute_error"]),
        ("sse", ["squared_error"]),
        ("kl_div", ["kl_divergence", "softmax_kl_divergence"]),
        ("focal", ["sigmoid_focal", "softmax_focal"]),
    ],
)
def test_names_that_people_use_are_answered(name, words, says):
    says(ValueError, [repr(name), *words, "known"], fm.Loss, name)


def test_a_reduction_as_pytorch_calls_it_is_answered_with_the_right_name(says):
    says(TypeError, ["over_samples='mean'", "reduction='mean'"], fm.Loss, "squared_error", reduction="mean")
    assert fm.Loss("squared_error") == dataclasses.replace(fm.Loss("squared_error", scale=2.0), scale=1.0)


@pytest.mark.parametrize("kind", ["binary_cross_entropy", "sigmoid_cross_entropy"])
def test_minus_one_and_one_are_no_bits(says, kind):
    says(ValueError, [kind, "(targets + 1) / 2"], fm.Loss(kind).require_targets, np.array([[1.0], [-1.0]]))
    fm.Loss("hinge").require_targets(np.array([[1.0], [-1.0]]))
    fm.Loss(kind).require_targets(np.array([[1.0], [0.5]]))
