"""Losses: values against their definitions, cotangents against autodiff, and both exact in saturation."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functional_mlp as fm
from functional_mlp.losses import KINDS
from tests.helpers.high_precision import DIGITS, sigmoid, softmax, ulp_error
from tests.helpers.tolerances import RELATIVE, relative_difference

MOST_ULP = 8


def log_softmax(o):
    return o - o.max(1, keepdims=True) - np.log(np.exp(o - o.max(1, keepdims=True)).sum(1, keepdims=True))


# the term of each element as the textbook has it
DEFINITIONS = {
    "squared_error": lambda o, t: (o - t) ** 2,
    "binary_cross_entropy": lambda p, t: -(t * np.log(p) + (1 - t) * np.log(1 - p)),
    "categorical_cross_entropy": lambda p, t: -t * np.log(p),
    "sigmoid_cross_entropy": lambda o, t: -(t * np.log(1 / (1 + np.exp(-o))) + (1 - t) * np.log(1 / (1 + np.exp(o)))),
    "softmax_cross_entropy": lambda o, t: -t * log_softmax(o),
    "absolute_error": lambda o, t: np.abs(o - t),
    "huber": lambda o, t: np.where(np.abs(o - t) <= 1, (o - t) ** 2 / 2, np.abs(o - t) - 0.5),
    "log_cosh": lambda o, t: np.log(np.cosh(o - t)),
    "hinge": lambda o, t: np.maximum(0, 1 - t * o),
    "multiclass_hinge": lambda o, t: (1 - t) * np.maximum(0, 1 + o - (t * o).sum(axis=1, keepdims=True)),
    "kl_divergence": lambda p, t: t * np.log(t / p),
    "softmax_kl_divergence": lambda o, t: t * (np.log(t) - log_softmax(o)),
    "sigmoid_focal": lambda o, t: (
        (t + 1 / (1 + np.exp(-o)) * (1 - 2 * t)) ** 2 * DEFINITIONS["sigmoid_cross_entropy"](o, t)
    ),
    "softmax_focal": lambda o, t: -t * (1 - np.exp(log_softmax(o))) ** 2 * log_softmax(o),
}
REDUCE = {"sum": np.sum, "mean": np.mean, "batch_mean": np.mean}


def minus_log(p, complement):
    """-log p, p + complement = 1, from whichever of the two is small."""
    return -mp.log(p) if p < 0.5 else -mp.log1p(-complement)


def draw(kind, samples, outputs, seed):
    rng = np.random.default_rng(seed)
    o = (
        rng.uniform(0.05, 0.95, (samples, outputs))
        if KINDS[kind].of_probabilities
        else rng.normal(size=(samples, outputs))
    )
    positive = KINDS[kind].targets == "probabilities"
    t = rng.uniform(0.1, 1, (samples, outputs)) if positive else rng.normal(size=(samples, outputs))
    return o, t, rng.uniform(0, 2, samples)


@pytest.mark.parametrize("kind", sorted(KINDS))
@given(
    st.sampled_from([1, 2, 7]),
    st.sampled_from([1, 2, 5]),
    st.sampled_from(["sum", "mean", "batch_mean"]),
    st.sampled_from(["sum", "mean"]),
    st.integers(0),
)
@settings(max_examples=6)
def test_value_and_cotangent_follow_the_definition(kind, samples, outputs, over_samples, over_outputs, seed):
    o, t, _ = draw(kind, samples, outputs, seed % 2**32)
    loss = fm.Loss(kind, over_samples, over_outputs, scale=1.7)
    with jax.enable_x64(True):
        o, t = jnp.asarray(o), jnp.asarray(t)
        per_sample = REDUCE[over_outputs](DEFINITIONS[kind](np.asarray(o), np.asarray(t)), axis=1)
        # one program is compiled in less time than its operations one by one
        together = jax.jit(lambda o, t: (loss.value(o, t), loss.cotangent(o, t), jax.grad(loss.value)(o, t)))
        value, cotangent, gradient = together(o, t)
        np.testing.assert_allclose(value, 1.7 * REDUCE[over_samples](per_sample), rtol=RELATIVE["float64"])
        assert relative_difference(cotangent, gradient) <= RELATIVE["float64"]


@pytest.mark.parametrize("over_samples", ["sum", "mean"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_sample_weights_count_a_sample_so_many_times(kind, over_samples):
    o, t, _ = draw(kind, 4, 3, 1)
    loss = fm.Loss(kind, over_samples)
    repeated = np.repeat(np.arange(4), [2, 0, 1, 3])
    with jax.enable_x64(True):
        weighted = loss.value_and_cotangent(o, t, np.array([2.0, 0.0, 1.0, 3.0]))
        plain_value, plain_ct = loss.value_and_cotangent(o[repeated], t[repeated])
        np.testing.assert_allclose(weighted[0], plain_value, rtol=RELATIVE["float64"])
        summed = np.zeros_like(o)
        np.add.at(summed, repeated, np.asarray(plain_ct))
        np.testing.assert_allclose(weighted[1], summed, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_sample_of_weight_zero_contributes_nothing_not_even_nan(kind):
    o, t, _ = draw(kind, 3, 2, 2)
    spoilt = o.copy()
    spoilt[1] = np.nan
    weights = np.array([1.0, 0.0, 1.0])
    with jax.enable_x64(True):
        value, ct = fm.Loss(kind).value_and_cotangent(spoilt, t, weights)
        clean_value, clean_ct = fm.Loss(kind).value_and_cotangent(o, t, weights)
        np.testing.assert_array_equal(value, clean_value)
        np.testing.assert_array_equal(ct, clean_ct)
        assert not np.asarray(ct)[1].any()


def test_squared_error_has_no_half():
    assert fm.Loss("squared_error").value(jnp.asarray([[3.0]]), jnp.asarray([[1.0]])) == 4.0
    assert fm.Loss("squared_error", scale=0.5).cotangent(jnp.asarray([[3.0]]), jnp.asarray([[1.0]])) == 2.0


def test_softmax_cross_entropy_with_targets_that_do_not_sum_to_one():
    logits, targets = jnp.asarray([[0.2, -0.3, 1.0]]), jnp.asarray([[0.5, 2.0, -0.25]])
    p = jax.nn.softmax(logits)
    expected = p * targets.sum() - targets
    np.testing.assert_allclose(fm.Loss("softmax_cross_entropy").cotangent(logits, targets), expected, rtol=1e-5)
    assert not np.allclose(expected, p - targets)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", [0.0, 1.0])
def test_saturated_sigmoid_cross_entropy_is_exact(dtype, target, rng):
    loss = fm.Loss("sigmoid_cross_entropy")
    reach = 80 if dtype == "float32" else 700
    with jax.enable_x64(True), mp.workdps(DIGITS):
        z = jnp.asarray(rng.uniform(-reach, reach, 100), dtype)
        t = jnp.full((1, 1), target, dtype)
        values, cotangents = jax.vmap(lambda x: loss.value_and_cotangent(x[None, None], t))(z)
        for x, value, ct in zip(np.asarray(z, np.float64), values, cotangents[:, 0, 0], strict=True):
            p = sigmoid(mp.mpf(x))
            q = sigmoid(-mp.mpf(x))
            assert ulp_error(value, minus_log(p, q) if target else minus_log(q, p), dtype) <= MOST_ULP
            assert ulp_error(ct, -q if target else p, dtype) <= MOST_ULP


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", [0, 1, 2])
def test_saturated_softmax_cross_entropy_is_exact(dtype, target, rng):
    loss = fm.Loss("softmax_cross_entropy")
    reach = 40 if dtype == "float32" else 340  # nothing underflows
    with jax.enable_x64(True), mp.workdps(DIGITS):
        z = jnp.asarray(rng.uniform(-reach, 0, (60, 3)) + reach * np.eye(3)[np.arange(60) % 3], dtype)
        t = jnp.asarray(np.eye(3)[[target]], dtype)
        values, cotangents = jax.vmap(lambda row: loss.value_and_cotangent(row[None], t))(z)
        for row, value, ct in zip(np.asarray(z, np.float64), values, np.asarray(cotangents)[:, 0], strict=True):
            p = softmax([mp.mpf(x) for x in row])
            rest = mp.fsum(p[j] for j in range(3) if j != target)
            assert ulp_error(value, minus_log(p[target], rest), dtype) <= MOST_ULP
            for k in range(3):
                others = mp.fsum(p[j] for j in range(3) if j != k)
                assert ulp_error(ct[k], -others if k == target else p[k], dtype) <= MOST_ULP


@pytest.mark.parametrize("kind", ["sigmoid_cross_entropy", "softmax_cross_entropy"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_losses_of_logits_are_finite_at_the_extremes(kind, dtype):
    top = float(jnp.finfo(dtype).max)
    logits = jnp.asarray([[1e4, -1e4, 0.0], [top, -top, top], [-top, top, 0.0]], "float32").astype(dtype)
    targets = jnp.asarray([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.25, 0.5, 0.25]], dtype)
    for row in range(3):
        value, ct = fm.Loss(kind, scale=2.0**-8).value_and_cotangent(logits[row : row + 1], targets[row : row + 1])
        assert np.isfinite(np.asarray(ct, np.float32)).all()
        # a term such as t (z_max - z) is really beyond the largest float32 where z is
        assert np.isfinite(value) or (row > 0 and dtype != "float16")
        assert not np.isnan(value)


@pytest.mark.parametrize("kind", ["sigmoid_cross_entropy", "softmax_cross_entropy"])
def test_an_infinite_logit_with_a_target_of_zero_costs_nothing(kind):
    value, ct = fm.Loss(kind).value_and_cotangent(jnp.asarray([[-jnp.inf, 50.0]]), jnp.asarray([[0.0, 1.0]]))
    assert abs(value) < 1e-20
    assert np.isfinite(ct).all()


def test_probabilities_of_exactly_0_and_1():
    p, t = jnp.asarray([[0.0, 1.0, 0.0, 1.0]]), jnp.asarray([[0.0, 1.0, 1.0, 0.0]])
    value, ct = fm.Loss("binary_cross_entropy").value_and_cotangent(p[:, :2], t[:, :2])
    assert value == 0
    np.testing.assert_array_equal(ct, [[1.0, -1.0]])
    value, ct = fm.Loss("binary_cross_entropy").value_and_cotangent(p[:, 2:], t[:, 2:])
    assert value == np.inf
    np.testing.assert_array_equal(ct, [[-np.inf, np.inf]])
    value, ct = fm.Loss("categorical_cross_entropy").value_and_cotangent(p[:, :2], t[:, :2])
    assert value == 0
    np.testing.assert_array_equal(ct, [[0.0, -1.0]])


def test_penalty_covers_the_biases_only_on_request():
    params = (fm.Dense(jnp.asarray([[3.0]]), jnp.asarray([4.0])), fm.Dense(jnp.asarray([[1.0]]), None))
    assert fm.Loss("squared_error", l2=0.1).penalty(params) == pytest.approx(0.1 / 2 * 10)
    assert fm.Loss("squared_error", l2=0.1, l2_on_bias=True).penalty(params) == pytest.approx(0.1 / 2 * 26)
    assert fm.Loss("squared_error").penalty(params) == 0


@pytest.mark.parametrize("kind", ["binary_cross_entropy", "categorical_cross_entropy"])
@pytest.mark.parametrize("activation", ["relu", "identity", "tanh", "softplus"])
def test_probability_losses_are_refused_after_other_activations_with_the_reason(kind, activation):
    with pytest.raises(ValueError, match=f"{kind} takes the logarithm.*sigmoid or softmax, got {activation}"):
        fm.Loss(kind).require_admissible(fm.activations.resolve(activation))


def test_bad_input(says):
    says(ValueError, ["'mse'", "known", "squared_error"], fm.Loss, "mse")
    says(ValueError, ["reduction over outputs", "'batch_mean'"], fm.Loss, "squared_error", "sum", "batch_mean")
    says(ValueError, ["l1", "-1"], lambda: fm.Loss("squared_error", l1=-1.0))
    says(ValueError, ["did you mean 'binary_cross_entropy'"], fm.Loss, "binary_crossentropy")
    says(ValueError, ["reduction", "'average'"], fm.Loss, "squared_error", "average")
    says(ValueError, ["l2", "-1"], lambda: fm.Loss("squared_error", l2=-1))
    says(ValueError, ["scale", "finite"], lambda: fm.Loss("squared_error", scale=float("inf")))
    says(TypeError, ["l2_on_bias", "1"], lambda: fm.Loss("squared_error", l2_on_bias=1))
    value = fm.Loss("squared_error").value
    column = np.zeros((3, 1), np.float32)
    says(ValueError, ["(3, 1)", "(3,)", "broadcast", "targets[:, None]"], value, column, np.zeros(3, np.float32))
    says(ValueError, ["one-hot"], value, np.zeros((3, 4), np.float32), np.zeros(3, np.float32))
    says(TypeError, ["targets", "int64"], value, column, np.zeros((3, 1), int))
    says(TypeError, ["outputs", "object"], value, np.full((3, 1), None), column)
    says(TypeError, ["float32", "float16"], value, column, column.astype(np.float16))
    says(ValueError, ["at least one sample"], value, column[:0], column[:0])
    says(ValueError, ["sample_weights", "(3,)", "(2,)"], value, column, column, np.ones(2, np.float32))
    says(ValueError, ["not negative"], value, column, column, np.array([1, -1, 1], np.float32))
    says(ValueError, ["not all 0"], value, column, column, np.zeros(3, np.float32))
    says(ValueError, ["rectangular"], value, [[1.0], [1.0, 2.0]], column)


@pytest.mark.parametrize("name", ["binary_cross_entropy", "sigmoid_cross_entropy", "softmax_cross_entropy"])
def test_terms_of_arrays_of_both_libraries_under_jit(name):
    term, targets = getattr(fm.losses, name), np.float32([[0.0, 1.0], [0.25, 0.75]])
    outputs = jnp.float32([[0.25, 0.5], [0.125, 0.75]])
    mixed = jax.jit(lambda o: term(o, targets))(outputs)
    for computed, expected in zip(mixed, term(outputs, jnp.asarray(targets)), strict=True):
        np.testing.assert_allclose(computed, expected, rtol=1e-6)


def test_a_penalty_is_of_jax_whatever_the_parameters_are():
    assert isinstance(fm.Loss("squared_error", l2=0.5).penalty([(np.ones((2, 2)), np.ones(2))]), jax.Array)
