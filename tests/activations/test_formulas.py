"""Activations: value and VJP against 60-digit arithmetic, at the extremes, at the kinks, and against jax.grad."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functional_mlp as fm
from functional_mlp import activations
from tests.helpers import high_precision
from tests.helpers.strategies import ACTIVATIONS
from tests.helpers.tolerances import RELATIVE, relative_difference

DTYPES = ["float16", "bfloat16", "float32", "float64"]
MOST_ULP = 8
# where the derivative passes through 0 its ulp shrinks without limit: there ulp of 1/16 are counted
CROSSES_ZERO = dict.fromkeys(("silu", "gelu", "gelu_tanh", "quick_gelu", "mish"), 1 / 16)


def points(dtype, rng):
    """Samples from the middle to far beyond saturation, as (values in dtype, the same in float64)."""
    reach = {"float16": 20, "bfloat16": 100, "float32": 110, "float64": 760}[dtype]
    z = np.concatenate(
        [rng.uniform(-reach, reach, 150), rng.uniform(-12, 12, 150), rng.normal(size=60), rng.normal(size=40) * 1e-3]
    )
    rounded = jnp.asarray(z).astype(dtype)
    return rounded, np.asarray(rounded.astype("float64"))


def vjp_of_ones(activation, z):
    return activation.vjp(z, activation.value(z), jnp.ones_like(z))


def largest_ulp_errors(name, dtype, rng, vjp=vjp_of_ones):
    """Largest error in ulp of value and derivative over the sample points."""
    activation = fm.activations.resolve(name)
    value, derivative = high_precision.EXACT[name]
    with jax.enable_x64(True), mp.workdps(high_precision.DIGITS):
        z, z64 = points(dtype, rng)
        got_values = np.asarray(jax.jit(activation.value)(z).astype("float64"))
        got_derivatives = np.asarray(jax.jit(lambda z: vjp(activation, z))(z).astype("float64"))
        value_error = max(
            high_precision.ulp_error(g, value(mp.mpf(x)), dtype) for x, g in zip(z64, got_values, strict=True)
        )
        derivative_error = max(
            high_precision.ulp_error(
                g, derivative(mp.mpf(x)), dtype, at_least=CROSSES_ZERO.get(name, 0) if abs(x) < 3 else 0
            )
            for x, g in zip(z64, got_derivatives, strict=True)
        )
    return value_error, derivative_error


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(high_precision.EXACT))
def test_value_and_derivative_are_within_8_ulp_of_60_digit_arithmetic(name, dtype, rng):
    value_error, derivative_error = largest_ulp_errors(name, dtype, rng)
    assert value_error <= MOST_ULP
    assert derivative_error <= MOST_ULP


def largest_error_of_second(name, dtype, rng, second=None):
    """Largest error in ulp of the second derivative over the sample points."""
    activation = fm.activations.resolve(name)
    second = second or (lambda act, z: act.second(z, act.value(z), jnp.ones_like(z), jnp.ones_like(z)))
    with jax.enable_x64(True), mp.workdps(high_precision.DIGITS):
        z, z64 = (array[::4] for array in points(dtype, rng))  # so many digits take their time
        got = np.asarray(jax.jit(lambda z: second(activation, z))(z).astype("float64"))
        with mp.workdps(SECOND_DIGITS):
            exact = [mp.diff(high_precision.EXACT[name][1], mp.mpf(x)) for x in z64]
        return max(
            high_precision.ulp_error(g, right, dtype, at_least=1 / 16 if name in CURVES_BOTH_WAYS and abs(x) < 5 else 0)
            for x, g, right in zip(z64, got, exact, strict=True)
        )


SECOND_DIGITS = 720  # by which 1 minus the smallest number of float64 can be told from 1
# where the second derivative passes through 0, and not because of a factor that does
CURVES_BOTH_WAYS = {*CROSSES_ZERO, "gaussian", "sin", "cos"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(high_precision.EXACT))
def test_second_derivatives_are_within_16_ulp_of_60_digit_arithmetic(name, dtype, rng):
    assert largest_error_of_second(name, dtype, rng) <= 2 * MOST_ULP


@pytest.mark.parametrize(
    ("name", "planted"),
    [
        ("sigmoid", lambda a: a * (1 - a) * (1 - 2 * a)),  # right, but cancels in saturation
        ("tanh", lambda a: 2 * a * (1 - a * a)),  # of the other sign
    ],
)
def test_a_planted_wrong_or_cancelling_second_derivative_is_caught(name, planted, rng):
    error = largest_error_of_second(name, "float64", rng, second=lambda act, z: planted(act.value(z)))
    assert not error <= 2 * MOST_ULP


@pytest.mark.parametrize(
    ("name", "planted"),
    [
        ("sigmoid", lambda act, z: 2 * vjp_of_ones(act, z)),  # a stray factor
        ("sigmoid", lambda act, z: act.value(z) * (1 - act.value(z))),  # right, but cancels in saturation
        ("tanh", lambda act, z: 1 - act.value(z)),
        ("tanh", lambda act, z: 1 - act.value(z) ** 2),
        ("elu", lambda act, z: jnp.where(z > 0, 1.0, act.value(z) + 1)),
        ("gelu", lambda act, z: jax.vmap(jax.grad(lambda t: t * jax.lax.erfc(-t / np.sqrt(2)) / 2))(z)),
        ("relu", lambda act, z: jnp.where(z < 0, 1.0, 0.0)),
        ("softplus", lambda act, z: jnp.full_like(z, jnp.nan)),
    ],
)
def test_a_planted_wrong_or_cancelling_derivative_is_caught(name, planted, rng):
    _, derivative_error = largest_ulp_errors(name, "float64", rng, vjp=planted)
    assert not derivative_error <= MOST_ULP


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_is_within_8_ulp_in_saturation(dtype, rng):
    softmax = activations.softmax()
    reach = {"float16": 4, "bfloat16": 40, "float32": 40, "float64": 340}[dtype]  # nothing underflows
    with jax.enable_x64(True), mp.workdps(high_precision.DIGITS):
        # one unit far above the others, in turn; the cotangents of the others all on one side of its own, so that the
        # sum over units does not cancel by the caller's choice of numbers
        z = jnp.asarray(rng.uniform(-reach, 0, (60, 4)) + reach * np.eye(4)[np.arange(60) % 4]).astype(dtype)
        ct = jnp.asarray(rng.uniform(1, 2, (60, 4)) - 3 * np.eye(4)[np.arange(60) % 4]).astype(dtype)
        a = jax.jit(softmax.value)(z)
        ct_z = jax.jit(softmax.vjp)(z, a, ct)
        wide = [np.asarray(x.astype("float64")) for x in (z, ct, a, ct_z)]
        for row, cotangents, values, products in zip(*wide, strict=True):
            row, cotangents = [mp.mpf(x) for x in row], [mp.mpf(x) for x in cotangents]
            for got, exact in zip(values, high_precision.softmax(row), strict=True):
                assert high_precision.ulp_error(got, exact, dtype) <= MOST_ULP
            # in 16 bits the activations on the tape are rounded or have underflowed, and the product inherits that
            if dtype in ("float32", "float64"):
                for got, exact in zip(products, high_precision.softmax_vjp(row, cotangents), strict=True):
                    assert high_precision.ulp_error(got, exact, dtype) <= MOST_ULP


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_extremes_give_finite_values_and_derivatives_in_the_same_dtype(name, dtype):
    activation = fm.activations.resolve(name)
    with jax.enable_x64(True):
        largest, tiny = 0.9 * float(jnp.finfo(dtype).max), float(jnp.finfo(dtype).tiny)  # selu is 1.05 z
        z = jnp.asarray([[1e4, -1e4, largest], [-largest, largest, -largest], [0.0, -0.0, tiny]]).astype(dtype)
        a = activation.value(z)
        ct_z = activation.vjp(z, a, jnp.ones_like(z))
        assert a.dtype == ct_z.dtype == z.dtype
        assert np.isfinite(np.asarray(a.astype("float64"))).all()
        assert np.isfinite(np.asarray(ct_z.astype("float64"))).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_stays_nan(name):
    activation = fm.activations.resolve(name)
    z = jnp.full((1, 2), jnp.nan)
    assert np.isnan(np.asarray(activation.value(z))).all()
    if name != "identity":  # whose derivative is 1 whatever z is
        assert np.isnan(np.asarray(vjp_of_ones(activation, z))).all()


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"softmax", "sin", "cos"}))  # which have no limits
def test_infinity_takes_the_limits(name):
    """What a 16-bit pre-activation overflows to."""
    activation = fm.activations.resolve(name)
    far = jnp.asarray([-3e38, 3e38])
    limits, infinite = activation.value(far), activation.value(far * 10)
    for limit, got in zip(limits.tolist(), infinite.tolist(), strict=True):
        assert got == (limit if abs(limit) < 1e30 else np.copysign(np.inf, limit))
    np.testing.assert_array_equal(vjp_of_ones(activation, far * 10), vjp_of_ones(activation, far))


@pytest.mark.parametrize("name", ACTIVATIONS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20)
@pytest.mark.slow
def test_vjp_agrees_with_autodiff_away_from_saturation(name, seed):
    rng = np.random.default_rng(seed)
    activation = fm.activations.resolve(name)
    with jax.enable_x64(True):
        z, ct_a = jnp.asarray(rng.normal(size=(7, 3)) * 2), jnp.asarray(rng.normal(size=(7, 3)))
        a, pull_back = jax.vjp(activation.value, z)
        assert relative_difference(activation.vjp(z, a, ct_a), pull_back(ct_a)[0]) <= RELATIVE["float64"]


@pytest.mark.parametrize(
    ("activation", "at_kink"),
    [
        (activations.relu(), 0.0),
        (activations.relu(at_zero=1.0), 1.0),
        (activations.relu(0.5), 0.5),
        (activations.leaky_relu(), 0.01),
        (activations.leaky_relu(0.25), 0.25),
        (activations.leaky_relu(0.25, at_zero=1.0), 1.0),
        (activations.elu(alpha=2.0), 2.0),
        (activations.elu(alpha=2.0, at_zero=1.0), 1.0),
        (activations.elu(), 1.0),
        (activations.prelu(), 0.25),
        (activations.prelu(0.5, at_zero=1.0), 1.0),
        (activations.selu(), 1.7580993408473768),
        (activations.selu(at_zero=1.0), 1.0),
        (activations.relu6(), 0.0),
        (activations.relu6(at_zero=1.0), 1.0),
        (activations.hardtanh(0.0, 2.0), 0.0),
    ],
    ids=str,
)
@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_derivative_at_the_kink_is_that_of_the_left_side_unless_chosen(activation, at_kink, zero):
    z = jnp.asarray([zero])
    assert vjp_of_ones(activation, z) == np.float32(at_kink)
    assert activation.value(z) == 0
    assert activation.derivative_at(activation.kinks[0]) == at_kink


@pytest.mark.parametrize(
    "activation",
    [
        activations.relu(),
        activations.leaky_relu(0.25),
        activations.elu(2.0),
        activations.prelu(),
        activations.selu(),
        activations.relu6(at_six=0.5),
        activations.hardtanh(-0.5, 2.0, at_high=1.0),
        activations.hard_sigmoid(),
        activations.hard_sigmoid(-2.5, 2.5, at_low=0.2),
        activations.hard_swish(),
        activations.hard_swish(at_low=-0.5, at_high=1.5),
    ],
    ids=lambda activation: f"{activation.name}{dict(activation.parameters)}",
)
def test_kinks_are_where_the_derivative_jumps_and_by_as_much(activation):
    def slope(z):
        z = np.asarray([[z]])
        return float(
            activations.numpy_vjp(activation, z, activations.numpy_value(activation, z), np.ones((1, 1)))[0, 0]
        )

    assert activation.kinks
    for kink in activation.kinks:
        assert slope(np.nextafter(kink.position, -9)) == pytest.approx(kink.left, rel=1e-12)
        assert slope(np.nextafter(kink.position, 9)) == pytest.approx(kink.right, rel=1e-12)
        assert slope(kink.position) == activation.derivative_at(kink)
    grid = np.linspace(-8, 8, 1601)[:, None]
    slopes = activations.numpy_vjp(activation, grid, grid, np.ones_like(grid))[:, 0]
    jumps = {float(np.rint(2 * grid[i, 0]) / 2) for i in np.flatnonzero(np.abs(np.diff(slopes)) > 0.05)}
    assert jumps == {kink.position for kink in activation.kinks}


def test_at_the_flat_sides_of_two_kinks_unless_chosen():
    ends = jnp.asarray([[-3.0, 3.0]])
    assert vjp_of_ones(activations.hard_sigmoid(), ends).tolist() == [[0, 0]]
    assert vjp_of_ones(activations.hard_swish(), ends).tolist() == [[0, 1]]
    assert vjp_of_ones(activations.hardtanh(-3.0, 3.0), ends).tolist() == [[0, 0]]
    assert vjp_of_ones(activations.hardtanh(-3.0, 3.0, 1.0, 1.0), ends).tolist() == [[1, 1]]
    assert vjp_of_ones(activations.relu6(), 2 * ends).tolist() == [[0, 0]]
    assert vjp_of_ones(activations.relu6(at_six=1.0), 2 * ends).tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("activation", "value", "derivative"),
    [
        (
            activations.softplus(2.5),
            lambda z: mp.log1p(mp.exp(2.5 * z)) / 2.5,
            lambda z: high_precision.sigmoid(2.5 * z),
        ),
        (
            activations.softplus(0.1),
            lambda z: mp.log1p(mp.exp(mp.mpf(0.1) * z)) / mp.mpf(0.1),
            lambda z: high_precision.sigmoid(mp.mpf(0.1) * z),
        ),
        (
            activations.celu(0.3),
            lambda z: z if z > 0 else mp.mpf(0.3) * mp.expm1(z / mp.mpf(0.3)),
            lambda z: mp.mpf(1) if z > 0 else mp.exp(z / mp.mpf(0.3)),
        ),
        (
            activations.scaled_tanh(0.9, 1.3),
            lambda z: mp.mpf(0.9) * mp.tanh(mp.mpf(1.3) * z),
            lambda z: mp.mpf(0.9) * mp.mpf(1.3) * mp.sech(mp.mpf(1.3) * z) ** 2,
        ),
        (
            activations.hard_sigmoid(-2.5, 2.5),
            lambda z: min(max((z + 2.5) / 5, mp.mpf(0)), mp.mpf(1)),
            lambda z: mp.mpf(abs(z) < 2.5) / 5,
        ),
    ],
    ids=lambda case: str(case) if isinstance(case, activations.Activation) else "",
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parameters_keep_all_digits_too(activation, value, derivative, dtype, rng):
    with jax.enable_x64(True), mp.workdps(high_precision.DIGITS):
        z, z64 = points(dtype, rng)
        a, slope = activation.value(z), vjp_of_ones(activation, z)
        for x, got, got_slope in zip(z64, np.asarray(a, float), np.asarray(slope, float), strict=True):
            assert high_precision.ulp_error(got, value(mp.mpf(x)), dtype) <= MOST_ULP
            assert high_precision.ulp_error(got_slope, derivative(mp.mpf(x)), dtype) <= MOST_ULP


def test_the_slope_of_a_prelu_has_a_cotangent(rng):
    with jax.enable_x64(True):
        z, ct_a = rng.normal(size=(6, 4)), rng.normal(size=(6, 4))

        def loss(slope):
            return jnp.sum(jnp.where(z > 0, z, slope * z) * ct_a)

        shared, per_unit = (jax.grad(loss)(slope) for slope in (jnp.asarray(0.25), jnp.full((1, 4), 0.25)))
        np.testing.assert_allclose(activations.prelu_ct_slope(z, ct_a), shared, rtol=1e-12)
        np.testing.assert_allclose(activations.prelu_ct_slope(z, ct_a, per_unit=True), per_unit[0], rtol=1e-12)
        np.testing.assert_allclose(activations.prelu_ct_slope(jnp.asarray(z), jnp.asarray(ct_a)), shared, rtol=1e-12)
    assert activations.prelu_ct_slope(np.ones((1, 1)), np.full((1, 1), np.inf)) == 0


@pytest.mark.parametrize(
    "name", ["relu", "leaky_relu", "elu", "silu", "gelu", "softplus", "relu6", "selu", "celu", "mish"]
)
def test_autodiff_of_the_value_takes_the_same_side_at_zero(name):
    activation = fm.activations.resolve(name)
    assert (
        jax.grad(lambda z: activation.value(z[None])[0])(jnp.asarray(0.0)) == vjp_of_ones(activation, jnp.zeros(1))[0]
    )


def test_an_infinite_cotangent_of_an_inactive_unit_does_not_become_nan():
    z = jnp.asarray([-1.0, 1.0])
    ct_a = jnp.asarray([jnp.inf, jnp.inf])
    np.testing.assert_array_equal(activations.relu().vjp(z, z, ct_a), [0.0, np.inf])
    assert activations.relu().vjp(jnp.zeros(1), jnp.zeros(1), ct_a[:1]) == 0


def test_activations_are_values():
    assert activations.leaky_relu(0.02) == activations.resolve({"name": "leaky_relu", "slope": 0.02})
    assert activations.leaky_relu(0.02) != activations.leaky_relu(0.03)
    assert hash(activations.tanh()) == hash(activations.resolve("tanh"))
    assert jax.tree.leaves(activations.tanh()) == []
    assert "value_fn" not in repr(activations.relu())


def test_an_activation_of_ones_own(as_a_person):
    cube = fm.Activation("cube", lambda z: z**3, lambda z, a, ct_a: 3 * z**2 * ct_a)
    np.testing.assert_allclose(vjp_of_ones(cube, jnp.asarray([2.0])), [12.0])
    scaled = fm.Activation("scaled", lambda z, k: k * z, lambda z, a, ct_a, k: k * ct_a, {"k": 2.0})
    assert jax.jit(lambda activation, z: activation.value(z))(scaled, jnp.ones(1)) == 2


def test_gelu_has_the_form_that_its_argument_says():
    for approximate in ("tanh", True):
        assert activations.gelu(approximate) == activations.gelu_tanh()
        assert activations.resolve({"name": "gelu", "approximate": approximate}) == activations.gelu_tanh()
    for approximate in ("none", False):
        assert activations.gelu(approximate=approximate) == activations.resolve("gelu")


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        *[("linear", "identity"), ("none", "identity"), ("logistic", "sigmoid"), ("swish", "silu"), ("SiLU", "silu")],
        *[("LeakyReLU", "leaky_relu"), ("ReLU6", "relu6"), ("lecun_tanh", "scaled_tanh"), ("hard-swish", "hard_swish")],
        *[("Hardsigmoid", "hard_sigmoid"), ("gelu_new", "gelu_tanh"), ("QuickGELU", "quick_gelu")],
    ],
)
def test_names_that_others_give_are_understood(name, canonical):
    assert activations.resolve(name) == activations.resolve(canonical)
    assert activations.resolve({"name": name}).name == canonical


def test_bad_input(says):
    says(ValueError, ["'cubic'", "Activation.of", "z**3"], activations.resolve, "cubic")
    says(ValueError, ["elliot", "softsign", "0.5 * z"], activations.resolve, "elliot")
    says(ValueError, ["approximate", "'tanh'", "'erf'"], activations.gelu, "erf")
    says(ValueError, ["low below high"], activations.hardtanh, 1.0, 1.0)
    says(ValueError, ["beta", "above 0"], activations.softplus, 0.0)
    says(ValueError, ["alpha", "above 0"], activations.celu, -1.0)
    says(ValueError, ["rate", "above 0"], activations.scaled_tanh, 1.0, 0.0)
    says(ValueError, ["one shape"], activations.prelu_ct_slope, np.ones((2, 1)), np.ones(2))
    says(ValueError, ["'rleu'", "did you mean 'relu'"], activations.resolve, "rleu")
    says(ValueError, ["'slpe'", "did you mean 'slope'"], activations.resolve, {"name": "leaky_relu", "slpe": 1})
    says(ValueError, ["takes no parameters", "'slope'"], activations.resolve, {"name": "tanh", "slope": 1.0})
    says(TypeError, ["name", "None"], activations.resolve, {"slope": 1.0})
    says(TypeError, ["slope", "real number", "'a'"], activations.leaky_relu, "a")
    says(ValueError, ["alpha", "finite"], activations.elu, float("nan"))
    says(TypeError, ["at_zero", "True"], activations.relu, True)
    says(TypeError, ["floats", "int32"], activations.relu().value, np.zeros(3, np.int32))
    says(TypeError, ["two functions", "'x'"], fm.Activation, "x", None, None)
    column = np.zeros((3, 1), np.float32)
    says(ValueError, ["one shape", "(3, 1)", "(3,)"], activations.relu().vjp, column, column, column[:, 0])
