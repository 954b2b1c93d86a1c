"""Activations of one's own: expressions in z, and functions that JAX traces."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functional_mlp as fm
from functional_mlp import activations, oracle
from functional_mlp.oracle import Verdict

EXPRESSIONS = {
    "z**3": lambda z: z**3,
    "0.5 * z / (1 + abs(z)) + 0.5": lambda z: 0.5 * z / (1 + jnp.abs(z)) + 0.5,
    "max(0, z)**2": lambda z: jnp.maximum(0, z) ** 2,
    "min(z, 1) - max(z, -1)": lambda z: jnp.minimum(z, 1) - jnp.maximum(z, -1),
    "where(z > 0, z, 0.2 * (exp(z) - 1))": lambda z: jnp.where(z > 0, z, 0.2 * (jnp.exp(z) - 1)),
    "log(cosh(z))": lambda z: jnp.log(jnp.cosh(z)),
    "-z * sigmoid(-1.702 * z)": lambda z: -z * jax.nn.sigmoid(-1.702 * z),
    "z / 2 * (1 + erf(z / sqrt(2)))": lambda z: z / 2 * (1 + jax.scipy.special.erf(z / np.sqrt(2))),
    "tanh(z) + sin(2 * z) * cos(z)": lambda z: jnp.tanh(z) + jnp.sin(2 * z) * jnp.cos(z),
    "log1p(exp(z)) + expm1(-z**2)": lambda z: jnp.log1p(jnp.exp(z)) + jnp.expm1(-(z**2)),
    "sqrt(1 + z * z) - sinh(z) / 9": lambda z: jnp.sqrt(1 + z * z) - jnp.sinh(z) / 9,
    "atan(z) * 2 / pi": lambda z: jnp.arctan(z) * 2 / np.pi,
    "1 / (1 + z**-2)": lambda z: 1 / (1 + z**-2),
    "(2 + z) ** 0.5 ** 2": lambda z: (2 + z) ** 0.25,
}


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_values_and_derivatives_are_those_of_the_function(text, rng):
    activation = activations.from_expression("own", text)
    with jax.enable_x64(True):
        z = np.sort(rng.uniform(-1.9, 1.9, size=(4, 5)))
        ct = rng.normal(size=z.shape)
        value, pull = jax.vjp(EXPRESSIONS[text], jnp.asarray(z))
        for got in (activations.numpy_value(activation, z), activation.value(jnp.asarray(z))):
            np.testing.assert_allclose(got, value, rtol=1e-13, atol=1e-14)
        for got in (
            activations.numpy_vjp(activation, z, z, ct),
            activation.vjp(jnp.asarray(z), value, jnp.asarray(ct)),
        ):
            np.testing.assert_allclose(got, pull(jnp.asarray(ct))[0], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("text", ["abs(z)", "max(z, 0)", "min(0, 2 * z)", "max(z, -z)", "where(z >= 0, z, 0)"])
def test_at_a_jump_the_derivative_is_what_jax_takes(text):
    activation = activations.from_expression("own", text)
    zero = jnp.zeros((1, 1))
    by_jax = jax.grad(lambda z: activation.value(z)[0, 0])(zero)
    np.testing.assert_array_equal(activation.vjp(zero, zero, jnp.ones((1, 1))), by_jax)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_an_expression_keeps_the_dtype(dtype):
    activation = activations.from_expression("own", "where(z > 0, 1.5 * z, 0.25)")
    z = jnp.asarray([[-1.0, 2.0, jnp.nan]]).astype(dtype)
    a = activation.value(z)
    assert a.dtype == activation.vjp(z, a, z).dtype == z.dtype
    assert np.asarray(a.astype("float32"))[0, :2].tolist() == [0.25, 3.0]
    assert np.isnan(np.asarray(a.astype("float32"))[0, 2])
    assert activations.numpy_value(activation, np.asarray(z)).dtype == z.dtype


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("z +", ["cannot be parsed"]),
        ("__import__('os')", ["__import__('os')"]),
        ("z.real", ["z.real"]),
        ("(lambda: z)()", ["lambda"]),
        ("[z]", ["[z]"]),
        ("exp(z, z)", ["exp(z, z)"]),
        ("y * 2", ["got y"]),
        ("z^2", ["a power is **"]),
        ("2**z", ["depends on z"]),
        ("3", ["constant", "no z"]),
        ("z * 1e999", ["1e300"]),
        ("z * 9**9**9", ["not finite"]),
        ("z if z > 0 else 0", ["if z > 0"]),
        ("where(z, z, z)", ["where(z, z, z)"]),
        ("where(0 < z < 1, z, 0)", ["0 < z < 1"]),
        ("z" * 500, ["500 characters"]),
        ("z" + "+z" * 150, ["more than 200 parts"]),
        ("(" * 45 + "-z" + ")" * 45, None),
        ("abs(" * 45 + "z" + ")" * 45, ["40 levels"]),
        ("True * z", ["True"]),
        ("1j * z", ["1j"]),
    ],
)
def test_what_the_grammar_does_not_have_is_refused_in_a_sentence(text, words, says):
    if words is None:
        activations.from_expression("own", text)
    else:
        says(ValueError, ["expected an expression in z", *words], activations.from_expression, "own", text)


@given(st.text(alphabet="z0123456789.+-*/() exploginabsmx,<>=", max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_an_expression_or_refused(text):
    try:
        activation = activations.from_expression("own", text)
    except ValueError:
        return
    with np.errstate(all="ignore"):
        assert activations.numpy_value(activation, np.ones((1, 1))).shape == (1, 1)


def test_names_derivatives_and_fields_are_checked(says):
    spec = {"name": "cube", "expression": "z**3"}
    assert activations.resolve(spec) == activations.resolve(spec | {"derivative": "3 * z**2"})
    assert activations.resolve(spec) != activations.resolve(spec | {"expression": "z**2"})
    wrong = ["derivative", "'cube'", "should be"]
    says(ValueError, wrong, activations.resolve, spec | {"derivative": "2 * z**2"})
    says(ValueError, wrong, activations.resolve, spec | {"derivative": "0"})
    says(ValueError, ["another name", "'ReLU'"], activations.resolve, {"name": "ReLU", "expression": "max(z, 0)"})
    says(ValueError, ["alone", "'slope'"], activations.resolve, spec | {"slope": 1.0})
    says(TypeError, ["name", "None"], activations.resolve, {"expression": "z"})
    says(TypeError, ["expression", "3"], activations.resolve, {"name": "cube", "expression": 3})


# functions


def test_any_function_that_jax_traces_is_an_activation(as_a_person):
    def bump(z):
        return jax.lax.cond(z > 0, jnp.sin, lambda z: z * z, z)  # of one number: no array would do

    activation = fm.Activation.of(bump)
    assert (activation.name, fm.Activation.of(bump)) == ("bump", activation)
    z = jnp.asarray([[-2.0, 0.5]])
    np.testing.assert_allclose(activation.value(z), [[4, np.sin(0.5)]], rtol=1e-6)
    np.testing.assert_allclose(activation.vjp(z, z, jnp.ones_like(z)), [[-4, np.cos(0.5)]], rtol=1e-6)
    by_hand = fm.Activation.of(bump, lambda z, a, ct_a: jnp.where(z > 0, jnp.cos(z), 2 * z) * ct_a, name="mine")
    assert by_hand.name == "mine"
    params = fm.init_params(fm.Network((2, 3, 1), (activation, "identity")), jax.random.key(0))
    value, _ = jax.jit(
        lambda p: fm.loss_and_grad(
            fm.Network((2, 3, 1), (activation, "identity")), fm.Loss("squared_error"), p, z, jnp.ones((1, 1))
        )
    )(params)
    assert np.isfinite(value)


def test_what_jax_cannot_trace_is_refused(says):
    says(TypeError, ["function of one number", "'z**3'"], fm.Activation.of, "'z**3'")
    says(TypeError, ["JAX can trace", "step"], fm.Activation.of, lambda z: 1.0 if z > 0 else 0.0, None, "step")
    says(TypeError, ["one real number"], fm.Activation.of, lambda z: jnp.stack([z, z]))
    says(TypeError, ["one real number"], fm.Activation.of, lambda z: z > 0)


def network_answer(value, slope):
    def gradients(params, x, t):
        (w1, b1), (w2, b2) = params
        z = x @ w1 + b1
        a = value(z)
        e = 2 * (a @ w2 + b2 - t)
        ct = (e @ w2.T) * slope(z)
        return [(x.T @ ct, ct.sum(0)), (a.T @ e, e.sum(0))]

    return gradients


OWN = {
    "cube": (lambda: {"name": "cube", "expression": "z**3"}, lambda z: z * z * z, lambda z: 3 * z * z),
    "log cosh": (
        lambda: fm.Activation.of(lambda z: jnp.log(jnp.cosh(z)), name="lc"),
        lambda z: np.log(np.cosh(z)),
        np.tanh,
    ),
    "ramp": (
        lambda: {"name": "ramp", "expression": "max(0, min(1, z + 0.5))"},
        lambda z: np.clip(z + z.dtype.type(0.5), 0, 1),
        lambda z: (abs(z) < 0.5).astype(z.dtype),
    ),
    "abs": (lambda: {"name": "size", "expression": "abs(z)"}, abs, np.sign),
}


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("name", OWN)
def test_a_right_program_of_an_own_activation_is_not_wrong_and_a_mistaken_one_is(name, precision):
    spec, value, slope = OWN[name]
    asked = (fm.Network((3, 5, 2), (spec(), "identity")), fm.Loss("squared_error"))
    report = oracle.check_function(network_answer(value, slope), *asked, precision=precision)
    assert report.verdict is not Verdict.WRONG, report.text()
    off = network_answer(value, lambda z: z.dtype.type(1.001) * slope(z))
    assert oracle.check_function(off, *asked, precision=precision).verdict is Verdict.WRONG


def test_a_derivative_that_is_not_the_function_s_is_no_truth():
    wrong = fm.Activation.of(jnp.sin, lambda z, a, ct_a: ct_a * jnp.sin(z))
    case = oracle.draw_case(fm.Network((2, 3, 1), (wrong, "identity")), fm.Loss("squared_error"), samples=3)
    with pytest.raises(ArithmeticError, match="VJP is not the derivative of its value"):
        oracle.solve(case)


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "cube", "expression": "z**3"},
        {"name": "softplus", "beta": 2.0},
        {"name": "hard_sigmoid", "low": -2.5, "high": 2.5, "at_low": 0.0, "at_high": 0.0},
        "gelu_tanh",
        "mish",
    ],
)
@pytest.mark.parametrize("suffix", [".json", ".npz", ".safetensors"])
def test_files_hold_them(spec, suffix, tmp_path):
    case = oracle.draw_case(fm.Network((2, 3, 1), (spec, "identity")), fm.Loss("squared_error"), samples=3)
    oracle.write_case(tmp_path / f"case{suffix}", case)
    again = oracle.read_case(tmp_path / f"case{suffix}")
    assert again.network == case.network
    assert oracle.check(again, oracle.solve(case).grads).verdict is Verdict.CONSISTENT
