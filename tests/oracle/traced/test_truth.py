import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from functional_mlp.oracle.noise import precision_named
from functional_mlp.oracle.traced.noise import estimate
from functional_mlp.oracle.traced.tracing import trace_vjp
from functional_mlp.oracle.traced.truth import confirm, opinions
from functional_mlp.oracle.truth import DisagreementError

random = np.random.default_rng(0)


def asked(function, *arguments):
    leaves, structure = jax.tree.flatten(arguments)
    trace = trace_vjp(function, leaves, structure, range(len(leaves)))
    return trace, estimate(trace, precision_named("float64"))


def sine_with(slope):
    @jax.custom_vjp
    def sine(x):
        return jnp.sin(x)

    sine.defvjp(lambda x: (jnp.sin(x), x), lambda x, ct: (ct * slope(x),))
    return lambda x: 2 * sine(x)


@pytest.mark.parametrize("error", [1e-3, 0.5, -2.0])
def test_a_custom_rule_that_is_no_derivative_is_refused_with_its_line(error):
    with pytest.raises(DisagreementError, match=r"custom_vjp, test_truth.py:\d+\) is not the derivative of its value"):
        confirm(*asked(sine_with(lambda x: (1 + error) * jnp.cos(x)), random.normal(size=(3, 4))))
    confirm(*asked(sine_with(jnp.cos), random.normal(size=(3, 4))))


def test_what_is_stopped_is_constant_and_what_is_decided_stays():
    def straight_through(x):
        return x + lax.stop_gradient(jnp.round(x) - x)

    confirm(*asked(straight_through, random.normal(size=20)))
    confirm(*asked(lambda x: jnp.sort(x)[::2] * jnp.sign(x[:10]), random.normal(size=20)))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: jnp.maximum(x, 0),
        jax.nn.relu,
        lambda x: jnp.abs(x).sum(),
        lambda x: jnp.max(x, axis=-1),
        lambda x: jnp.sqrt(jnp.sum(x * x, -1) + 1e-12),
        lambda x: jax.nn.softmax(30 * x),
    ],
)
def test_ties_kinks_and_steep_slopes_are_no_disagreement(function):
    confirm(*asked(function, np.round(random.normal(size=(6, 5)))))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: jnp.maximum(x, 0.3),
        lambda x: jnp.minimum(0.3, x) * x,
        lambda x: jnp.abs(x - 0.3),
        lambda x: jnp.clip(x, 0.3, 2.0) * x,
        lambda x: jnp.max(x, axis=-1),
        lambda x: jnp.min(x, axis=0),
        lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (3, 3), (2, 2), "SAME"),
    ],
)
def test_a_kink_nearby_is_not_crossed(function):
    x = random.normal(size=(40, 30))
    x[7, 5], x[7, 6], x[8, 5] = 0.3 + 1e-9, 9.0, -9.0
    x[7, 7], x[9, 5] = 9.0 + 1e-9, -9.0 - 1e-9
    for opinion in opinions(*asked(function, x)):
        assert abs(opinion.derivative - opinion.difference) < 1e-8 * abs(opinion.derivative)


def test_implicit_solutions_are_followed():
    a = random.normal(size=(4, 4)) + 4 * np.eye(4)
    confirm(*asked(jnp.linalg.solve, a, random.normal(size=(4, 2))))
    confirm(*asked(lambda a: jnp.linalg.cholesky(a + a.T + 20 * jnp.eye(4)), a))


def test_the_two_are_near_each_other():
    def layer_norm(x, scale):
        centred = x - x.mean(-1, keepdims=True)
        return centred * lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * scale

    for opinion in opinions(*asked(layer_norm, random.normal(size=(8, 16)), random.normal(size=16))):
        assert abs(opinion.derivative - opinion.difference) < 1e-7 * abs(opinion.derivative)
