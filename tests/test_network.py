"""The specification, initial parameters, and parameter files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp.network import BIAS_INITIALIZERS, INITIALIZERS


def test_lists_names_and_mappings_are_normalised():
    one = fm.Network([2, 4, 3, 1], "relu")
    assert one == fm.Network(sizes=(2, 4, 3, 1), activations=["relu", fm.activations.relu(), {"name": "relu"}])
    assert one.shapes == ((2, 4), (4, 3), (3, 1))
    assert fm.Network(np.array([2, 1]), "tanh") == fm.Network((2, 1), "tanh")
    assert fm.Network((2, 1), "tanh") != fm.Network((2, 1), "relu")
    assert hash(one) == hash(fm.Network((2, 4, 3, 1), "relu"))
    assert jax.tree.leaves(one) == []


@pytest.mark.parametrize("name", sorted(INITIALIZERS))
def test_initialisers_draw_the_shapes_and_dtype_asked_for(name):
    network = fm.Network((3, 5, 2), "tanh")
    bias = name if name in BIAS_INITIALIZERS else "zeros"
    params = fm.init_params(network, jax.random.key(1), weights=name, bias=bias, dtype=jnp.bfloat16)
    assert [leaf.shape for leaf in jax.tree.leaves(params)] == [(3, 5), (5,), (5, 2), (2,)]
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("bfloat16")}


@pytest.mark.parametrize(
    ("name", "mean", "deviation"),
    [
        ("lecun_normal", 0, 400**-0.5),
        ("he_uniform", 0, (2 / 400) ** 0.5),
        ("glorot_normal", 0, (2 / 900) ** 0.5),
        ("fan_out_normal", 0, 500**-0.5),
        ("normal_tenth", 0, 0.1),
        ("uniform_tenth", 0.05, 0.1 / 12**0.5),
    ],
)
def test_initialisers_have_their_published_spread(name, mean, deviation):
    weights = np.asarray(fm.init_params(fm.Network((400, 500), "tanh"), jax.random.key(0), weights=name)[0].weights)
    assert weights.mean() == pytest.approx(mean, abs=5 * deviation / weights.size**0.5)
    assert weights.std() == pytest.approx(deviation, rel=0.02)


def test_initial_values_depend_on_the_key_alone_and_layers_differ():
    network = fm.Network((4, 4, 4), "tanh")
    first, again, other = (fm.init_params(network, jax.random.key(seed)) for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert not np.array_equal(first[0].weights, other[0].weights)
    assert not np.array_equal(first[0].weights, first[1].weights)


def test_an_initialiser_of_ones_own():
    network = fm.Network((2, 3), "tanh")
    params = fm.init_params(network, jax.random.key(0), weights=lambda key, shape, dtype: jnp.full(shape, 7, dtype))
    np.testing.assert_array_equal(params[0].weights, np.full((2, 3), 7.0))


def test_bad_specifications(says):
    says(ValueError, ["at least an input and an output", "(3,)"], fm.Network, (3,))
    says(ValueError, ["sizes[1]", "at least 1", "0"], fm.Network, (3, 0, 1))
    says(TypeError, ["sizes[0]", "2.0"], fm.Network, (2.0, 1))
    says(TypeError, ["sizes[0]", "True"], fm.Network, (True, 1))
    says(TypeError, ["sequence", "'2,4'"], fm.Network, "2,4")
    says(TypeError, ["sequence", "7"], fm.Network, 7)
    says(ValueError, ["one per layer", "got 2"], fm.Network, (2, 4, 3, 1), ["relu", "tanh"])
    says(ValueError, ["did you mean 'sigmoid'"], fm.Network, (2, 1), "sigmiod")
    says(TypeError, ["activation", "None"], fm.Network, (2, 1), [None])
    says(TypeError, ["activations", "None"], fm.Network, (2, 1), None)


def test_bad_initial_values(says):
    network, key = fm.Network((2, 1), "tanh"), jax.random.key(0)
    says(ValueError, ["did you mean 'he_normal'"], fm.init_params, network, key, "he_norm")
    says(ValueError, ["bias", "'lecun_normal'"], fm.init_params, network, key, "zeros", "lecun_normal")
    says(TypeError, ["float32", "int32"], lambda: fm.init_params(network, key, dtype=jnp.int32))
    says(TypeError, ["float64", "jax.enable_x64"], lambda: fm.init_params(network, key, dtype=jnp.float64))
    says(TypeError, ["jax.random.key(seed)", "0"], fm.init_params, network, 0)
    says(ValueError, ["0 axes", "(3,)"], fm.init_params, network, jax.random.split(key, 3))
    says(TypeError, ["float8"], lambda: fm.init_params(network, key, dtype=jnp.float8_e4m3fn))
    wrong_shape = lambda key, shape, dtype: jnp.zeros((9, 9), dtype)  # noqa: E731
    says(ValueError, ["weights=[2, 1]", "[9, 9]"], lambda: fm.init_params(network, key, weights=wrong_shape))
