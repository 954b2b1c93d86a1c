import jax
import jax.numpy as jnp
import numpy as np
import pytest

from functional_mlp.oracle.traced.diagnosis.changes.composites import composites
from functional_mlp.oracle.traced.diagnosis.replay import record
from functional_mlp.oracle.traced.tracing import trace_vjp
from functional_mlp.oracle.truth import float64_on_cpu

X = np.random.default_rng(2).normal(size=(4, 6))


def centred(x):
    return x - x.mean(-1, keepdims=True)


FUNCTIONS = {
    "softmax": lambda x: jnp.exp(x - x.max(-1, keepdims=True)) / jnp.exp(x - x.max(-1, keepdims=True)).sum(-1)[:, None],
    "its logarithm": jax.nn.log_softmax,
    "by norm": lambda x: x / jnp.sqrt((x * x).sum(-1, keepdims=True)),
    "standardised": lambda x: centred(x) * jax.lax.rsqrt((centred(x) ** 2).mean(-1, keepdims=True) + 1e-5),
    "silu": lambda x: x / (1 + jnp.exp(-x)),
}


def found_in(function):
    with float64_on_cpu():
        return list(composites(record(trace_vjp(function, [X], jax.tree.structure((X,)), [0]).forward, [X])))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_known_by_their_values(name):
    found = [whole for whole in found_in(FUNCTIONS[name]) if whole.argument == 0]
    assert found
    assert (found[-1].form is not None) == (name == "silu")
    assert found[-1].axes == (() if name == "silu" else (1,))
    ct = X[None, ::-1] + 1
    assert all(np.all(np.isfinite(more(ct))) and np.any(more(ct)) for _, more in found[-1].others)


def test_what_is_only_like_one_is_none():
    assert not found_in(centred)
    assert not [whole for whole in found_in(lambda x: jnp.exp(x) / jnp.exp(x).sum()) if whole.axes == (1,)]
