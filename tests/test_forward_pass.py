"""The hand-written tangents of the forward pass against JAX's, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

import functional_mlp as fm
from tests.helpers.strategies import ACTIVATIONS, make_problem, recipes
from tests.helpers.tolerances import RELATIVE, relative_difference

SQUARED = fm.Loss("squared_error")


def tangents_of(problem, seed=1):
    """Directions of the parameters and of the inputs."""
    rng = np.random.default_rng(seed)
    draw = lambda array: jnp.asarray(rng.normal(size=np.shape(array)), jnp.asarray(array).dtype)  # noqa: E731
    return jax.tree.map(draw, problem.params), draw(problem.inputs)


def cast(tree, dtype):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), tree)


def by_autodiff(network, params, inputs, t_params, t_inputs):
    def outputs(params, inputs):
        return fm.forward(network, params, inputs)[0]

    return jax.jvp(outputs, (params, jnp.asarray(inputs)), (t_params, t_inputs))


@jax.jit
def both(network, params, inputs, t_params, t_inputs):
    arguments = (network, params, inputs, t_params, t_inputs)
    return fm.jvp(*arguments), by_autodiff(*arguments)


def assert_is_autodiff(problem):
    hand, auto = both(problem.network, problem.params, problem.inputs, *tangents_of(problem))
    assert relative_difference(hand, auto) <= RELATIVE["float64"]


@given(recipes())
@settings(max_examples=6)
@pytest.mark.slow
def test_of_drawn_networks(recipe):
    with jax.enable_x64(True):
        assert_is_autodiff(recipe())


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_of_every_activation(activation):
    with jax.enable_x64(True):
        problem = make_problem(fm.Network((3, 4, 2), activation), SQUARED, samples=6, seed=2)
        assert_is_autodiff(problem)


def test_of_an_activation_of_ones_own_that_mixes_units():
    """Its Jacobian is not symmetric, so that its product with a tangent is not that with a cotangent."""
    with jax.enable_x64(True):
        cumulative = fm.Activation(
            "cumulative",
            lambda z: jnp.cumsum(jnp.tanh(z), axis=-1),
            lambda z, a, ct: (1 - jnp.tanh(z) ** 2) * jnp.cumsum(ct[..., ::-1], axis=-1)[..., ::-1],
        )
        assert_is_autodiff(make_problem(fm.Network((3, 4, 2), cumulative), SQUARED, samples=5, seed=3))


def test_kinks_count_as_on_the_way_back():
    """The derivative that was chosen at a kink is that of both modes."""
    network = fm.Network((1, 1), fm.activations.relu(at_zero=0.25))
    params, inputs = (fm.Dense(jnp.zeros((1, 1)), jnp.zeros(1)),), jnp.ones((1, 1))
    moved = (fm.Dense(jnp.ones((1, 1)), jnp.ones(1)),)
    _, tangent = fm.jvp(network, params, inputs, moved)
    _, pull = jax.vjp(lambda p: fm.apply(network, p, inputs), params)
    [[cotangent]] = pull(jnp.ones((1, 1)))
    assert tangent.item() == 0.5
    assert cotangent.weights.item() + cotangent.bias.item() == 0.5


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_in_other_precisions(dtype):
    problem = make_problem(fm.Network((3, 4, 2), "tanh"), SQUARED, samples=6, seed=4, dtype=jnp.dtype(dtype))
    t_params, t_inputs = tangents_of(problem)
    outputs, tangent = fm.jvp(problem.network, problem.params, problem.inputs, t_params, t_inputs)
    wide = cast((problem.params, problem.inputs, t_params, t_inputs), "float32")
    right = by_autodiff(problem.network, *wide)
    assert outputs.dtype == tangent.dtype == jnp.dtype(dtype)
    assert relative_difference((outputs, tangent), right) <= RELATIVE[dtype]


def test_tangent_and_cotangent_are_adjoint():
    """<ct, J t> = <J^T ct, t>, of parameters and inputs together."""
    with jax.enable_x64(True):
        problem = make_problem(fm.Network((4, 5, 3), ("gelu", "softmax")), SQUARED, samples=7, seed=5)
        t_params, t_inputs = tangents_of(problem)
        _, tangent = fm.jvp(problem.network, problem.params, problem.inputs, t_params, t_inputs)
        _, tape = fm.forward(problem.network, problem.params, problem.inputs)
        pulled = fm.backward(problem.network, problem.params, tape, problem.ct_outputs)
        pairs = zip(jax.tree.leaves(pulled), jax.tree.leaves((t_params, t_inputs)), strict=True)
        assert float(sum(jnp.vdot(*pair) for pair in pairs)) == pytest.approx(
            float(jnp.vdot(problem.ct_outputs, tangent)), rel=1e-12
        )


def test_without_a_tangent_of_the_inputs_they_stay():
    problem = make_problem(fm.Network((3, 4, 2), "silu"), SQUARED, samples=2, seed=6, with_bias=False, dtype="float32")
    t_params, t_inputs = tangents_of(problem)
    arguments = (problem.network, problem.params, problem.inputs, t_params)
    np.testing.assert_array_equal(fm.jvp(*arguments)[1], fm.jvp(*arguments, jnp.zeros_like(t_inputs))[1])


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        (lambda t, x: (t[:1], x), ValueError, "expected tangent_params"),
        (lambda t, x: ((t[0]._replace(bias=None), t[1]), x), ValueError, "tangent_params to have a bias in layer 1"),
        (lambda t, x: (cast(t, "bfloat16"), x), TypeError, "dtype float32, got bfloat16"),
        (lambda t, x: (t, x[:1]), ValueError, "tangent_inputs of the inputs' shape"),
        (lambda t, x: (t, x[:, :2]), ValueError, "expected tangent_inputs of shape"),
        (lambda t, x: (t, x.astype(int)), TypeError, "expected tangent_inputs to hold floats"),
    ],
)
def test_what_does_not_fit_is_refused(change, error, sentence):
    problem = make_problem(fm.Network((3, 4, 2), "tanh"), SQUARED, samples=2, seed=7, dtype="float32")
    with pytest.raises(error, match=sentence):
        fm.jvp(problem.network, problem.params, problem.inputs, *change(*tangents_of(problem)))
