import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from functional_mlp.oracle.traced.diagnosis.replay import pull_back, push_forward, record
from functional_mlp.oracle.traced.tracing import trace_vjp
from functional_mlp.oracle.truth import float64_on_cpu

RNG = np.random.default_rng(3)


def looped(x):
    def step(carry, row):
        carry = jnp.tanh(carry * row + x[0])
        return carry, carry * row

    return lax.scan(step, jnp.ones(x.shape[1]), x, reverse=True)[1]


FUNCTIONS = {
    "elementwise": lambda x: jnp.exp(x) / (1 + x * x) - jnp.sqrt(x * x + 1) * lax.rsqrt(2 + jnp.cos(x)),
    "layouts": lambda x: jnp.concatenate([x.T[::-1], x.T.reshape(x.T.shape)], 0)[1:, ::2] * 2,
    "cumulative": lambda x: jnp.cumsum(x, 0) * jnp.prod(x, 1, keepdims=True),
    "choices": lambda x: jnp.where(x > 0, x, jnp.sin(x)) + jnp.clip(x, -0.5, 0.5) + jnp.maximum(x, 0.3),
    "sorted": lambda x: jnp.sort(x, -1) * lax.top_k(x, 3)[0].sum(-1, keepdims=True),
    "indices": lambda x: x[np.array([0, 2, 2]), 1:] * lax.dynamic_slice(x, (1, 1), (1, x.shape[1] - 1)),
    "updated": lambda x: x.at[np.array([0, 0, 1])].add(jnp.sin(x[:3])) * lax.dynamic_update_slice(x, x[:1, :2], (2, 1)),
    "padded": lambda x: jnp.pad(x, ((1, 0), (0, 2)), mode="edge").sum(0) * jnp.max(x, 0)[0],
    "pooled": lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (2, 2), (1, 2), "SAME") + x[:, ::2],
    "averaged": lambda x: lax.reduce_window(x, 0.0, lax.add, (3, 2), (2, 1), ((1, 1), (0, 1))),
    "solved": lambda x: jnp.linalg.solve(x[:, :4] + 4 * jnp.eye(4), x[:, 4:]),
    "looped": looped,
    "called": lambda x: jax.jit(jnp.sin)(jax.checkpoint(jnp.tanh)(x)) * jax.nn.softplus(x),
    "products": lambda x: jnp.einsum("ij,kj,kl->il", x, x, jnp.cos(x)),
}


def agrees(function, x):
    """Whether what is pulled back is what JAX's VJP gives, and the tangents are its transpose."""
    with float64_on_cpu():
        value = np.asarray(function(jnp.asarray(x)))
        ct = RNG.normal(size=value.shape)
        right = np.asarray(jax.vjp(function, jnp.asarray(x))[1](jnp.asarray(ct))[0])
        trace = trace_vjp(function, [x], jax.tree.structure((x,)), [0], [ct])
        tape = record(trace.forward, [x])
        found = pull_back(tape, [ct])[tape.inputs[0]]
        seeds = RNG.normal(size=(5, *x.shape))
        end = tape.outputs[0]
        *_, (_, _, flows) = push_forward(tape, [seeds], {end: len(tape.steps)})
        pushed = np.sum(flows[end] * ct, axis=tuple(range(1, 1 + ct.ndim)))
    np.testing.assert_allclose(tape.values[end], value, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found[0], right, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(pushed, np.sum(seeds * right, axis=(1, 2)), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_cotangents_and_tangents_are_those_of_jax(name):
    agrees(FUNCTIONS[name], RNG.normal(size=(4, 6)))


@given(
    stride=st.integers(1, 3),
    low=st.integers(0, 2),
    high=st.integers(0, 2),
    base=st.integers(1, 2),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2]),
)
@settings(max_examples=3, deadline=None)
def test_convolutions_of_any_kind(stride, low, high, base, dilation, groups):
    kernel = RNG.normal(size=(4, 2 // groups, 3))

    def convolved(x):
        return lax.conv_general_dilated(
            x.reshape(2, 2, -1),
            jnp.asarray(kernel) * x.sum(),
            (stride,),
            [(low, high)],
            lhs_dilation=(base,),
            rhs_dilation=(dilation,),
            feature_group_count=groups,
            dimension_numbers=("NCH", "OIH", "NCH"),
        )

    agrees(convolved, RNG.normal(size=(4, 7)))
