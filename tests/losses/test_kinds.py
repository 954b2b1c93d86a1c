"""Kinds of losses: accuracy of values and derivatives near their limits, kinks, and numbers worked out by hand."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp.losses import KINDS, OPTIONS, TARGETS
from tests.helpers.high_precision import DIGITS, sigmoid, softmax, ulp_error

MOST_ULP = 8
DTYPES = ["float32", "float64"]


def of_one(loss, output, target, dtype):
    """Value and derivative of one output."""
    with jax.enable_x64(True):
        value, ct = loss.value_and_cotangent(jnp.full((1, 1), output, dtype), jnp.full((1, 1), target, dtype))
        return float(value), float(ct[0, 0])


def test_the_registry_is_whole():
    assert {kind.targets for kind in KINDS.values()} <= set(TARGETS)
    fields = set(fm.Loss.__dataclass_fields__)
    for option, kinds in OPTIONS.items():
        assert option in fields
        assert set(kinds) <= set(KINDS)


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_cosh_keeps_its_digits_near_0_and_far_away(dtype, rng):
    loss = fm.Loss("log_cosh")
    differences = np.concatenate(
        [10.0 ** rng.uniform(-18, 0, 40), rng.uniform(0.5, 2, 40), 10.0 ** rng.uniform(0, 4, 20)]
    )
    with mp.workdps(2 * DIGITS):
        for d in np.float32(differences).tolist():
            for signed in (d, -d):
                value, ct = of_one(loss, signed, 0.0, dtype)
                assert ulp_error(value, mp.log(mp.cosh(mp.mpf(d))), dtype) <= MOST_ULP
                assert ulp_error(ct, mp.tanh(mp.mpf(signed)), dtype) <= MOST_ULP


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", [0.0, 1.0])
@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_a_saturated_sigmoid_focal_loss_keeps_its_digits(dtype, target, gamma, rng):
    loss = fm.Loss("sigmoid_focal", gamma=gamma, alpha=0.25)
    reach = 12 if dtype == "float32" else 100
    z = jnp.asarray(rng.uniform(-reach, reach, 30), "float32")
    with jax.enable_x64(True), mp.workdps(DIGITS):
        t = jnp.full((1, 1), target, dtype)
        values, cts = jax.vmap(lambda x: loss.value_and_cotangent(x[None, None], t))(z.astype(dtype))
        for x, value, ct in zip(np.asarray(z, np.float64), values, cts[:, 0, 0], strict=True):
            good, bad = sigmoid(mp.mpf(x)), sigmoid(-mp.mpf(x))
            sign, factor = (1, 0.25) if target else (-1, 0.75)
            good, bad = (good, bad) if target else (bad, good)
            entropy = -mp.log(good) if good < 0.5 else -mp.log1p(-bad)
            most = MOST_ULP * (1 + gamma)
            assert ulp_error(value, factor * bad**gamma * entropy, dtype) <= most
            slope = -sign * factor * bad**gamma * (gamma * good * entropy + bad)
            assert ulp_error(ct, slope, dtype) <= most


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_a_saturated_softmax_focal_loss_keeps_its_digits(dtype, gamma, rng):
    loss = fm.Loss("softmax_focal", gamma=gamma)
    reach = 10 if dtype == "float32" else 80
    rows = np.float32(rng.uniform(-reach, 0, (20, 3)) + reach * np.eye(3)[np.arange(20) % 3])
    with jax.enable_x64(True), mp.workdps(DIGITS):
        t = jnp.asarray([[1.0, 0.0, 0.0]], dtype)
        values, cts = jax.vmap(lambda row: loss.value_and_cotangent(row[None], t))(jnp.asarray(rows, dtype))
        for row, value, ct in zip(np.float64(rows), values, np.asarray(cts)[:, 0], strict=True):
            p = softmax([mp.mpf(x) for x in row])
            rest = p[1] + p[2]
            entropy = -mp.log(p[0]) if p[0] < 0.5 else -mp.log1p(-rest)
            most = MOST_ULP * (1 + gamma)
            assert ulp_error(value, rest**gamma * entropy, dtype) <= most
            growth = -(rest**gamma) * (1 + gamma * p[0] * entropy / rest)
            for k, slope in enumerate((growth * rest, -p[1] * growth, -p[2] * growth)):
                assert ulp_error(ct[k], slope, dtype) <= most


def test_a_focal_loss_without_modulation_is_the_cross_entropy(rng):
    o, bits = jnp.asarray(rng.normal(size=(4, 3)), "float32"), jnp.asarray(rng.integers(0, 2, (4, 3)), "float32")
    for focal, plain in (("sigmoid_focal", "sigmoid_cross_entropy"), ("softmax_focal", "softmax_cross_entropy")):
        both = (fm.Loss(focal, gamma=0.0).value_and_cotangent(o, bits), fm.Loss(plain).value_and_cotangent(o, bits))
        for one, other in zip(*both, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6)


def test_kinks_have_the_derivatives_that_are_documented():
    assert of_one(fm.Loss("absolute_error"), 2.0, 2.0, "float64") == (0, 0)
    assert of_one(fm.Loss("hinge"), 1.0, 1.0, "float64") == (0, 0)
    assert of_one(fm.Loss("hinge"), -1.0, -1.0, "float64") == (0, 0)
    assert of_one(fm.Loss("huber", delta=0.5), 2.5, 2.0, "float64") == (0.125, 0.5)
    with jax.enable_x64(True):
        o, t = jnp.asarray([[1.0, 2.0, 1.5]]), jnp.asarray([[0.0, 1.0, 0.0]])
        value, ct = fm.Loss("multiclass_hinge").value_and_cotangent(o, t)
        assert float(value) == 0.5  # 1 + 1 - 2 = 0 is at the kink
        np.testing.assert_array_equal(ct, [[0.0, -1.0, 1.0]])


def test_values_worked_out_by_hand():
    assert of_one(fm.Loss("huber", delta=2.0), 5.0, 0.0, "float64") == (2 * (5 - 1), 2.0)
    beta = 0.25  # smooth L1 of PyTorch: d^2 / (2 beta), then |d| - beta / 2
    smooth = fm.Loss("huber", delta=beta, scale=1 / beta)
    assert of_one(smooth, 0.125, 0.0, "float64") == (0.125**2 / 2 / beta, 0.125 / beta)
    assert of_one(smooth, -3.0, 0.0, "float64") == (3 - beta / 2, -1.0)
    assert of_one(fm.Loss("hinge"), 0.25, 1.0, "float64") == (0.75, -1.0)
    assert of_one(fm.Loss("hinge"), 0.25, -1.0, "float64") == (1.25, 1.0)
    value, ct = of_one(fm.Loss("sigmoid_focal"), 0.0, 1.0, "float64")
    assert value == pytest.approx(np.log(2) / 4)
    assert ct == pytest.approx(-(2 * 0.5 * np.log(2) + 0.5) / 4)


@pytest.mark.parametrize("kind", ["kl_divergence", "softmax_kl_divergence"])
def test_a_divergence_of_a_distribution_from_itself_is_0(kind):
    p = jnp.asarray([[0.125, 0.5, 0.375]])
    seen = p if kind == "kl_divergence" else jnp.log(p)
    value, ct = fm.Loss(kind).value_and_cotangent(seen, p)
    assert abs(float(value)) < 1e-7
    np.testing.assert_allclose(ct, -jnp.ones((1, 3)) if kind == "kl_divergence" else jnp.zeros((1, 3)), atol=1e-7)
    value, ct = fm.Loss(kind).value_and_cotangent(jnp.full((1, 2), 0.5), jnp.asarray([[0.0, 1.0]]))
    assert float(value) == pytest.approx(np.log(2))
    assert np.isfinite(ct).all()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_nan_stays_nan(kind):
    outputs = jnp.asarray([[0.25, jnp.nan, 0.5]])
    targets = jnp.asarray([[0.25, 0.5, 0.25]])
    value, ct = fm.Loss(kind).value_and_cotangent(outputs, targets)
    assert np.isnan(value)
    assert np.isnan(ct[0, 1])
