"""Reference functions of the tests, with the cotangents of what they return, and wrong backward passes made by JAX."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from functional_mlp.oracle.noise import precision_named
from functional_mlp.oracle.traced.diagnosis import diagnose
from functional_mlp.oracle.traced.noise import estimate
from functional_mlp.oracle.traced.tracing import trace_vjp
from functional_mlp.oracle.truth import float64_on_cpu

stopped = jax.lax.stop_gradient
PATHS = ("x", "w", "b", "c", "d")


@jax.custom_vjp
def weighted(x, factor):
    """The identity, through which `factor` times as much comes back."""
    return x


weighted.defvjp(lambda x, factor: (x, factor), lambda factor, ct: (ct * factor, 0.0 * factor))


def layer_norm(x, w, b, mean=lambda m: m, variance=lambda v: v, eps=1e-5, less=0):
    m = mean(x.mean(-1, keepdims=True))
    v = variance(((x - m) ** 2).sum(-1, keepdims=True) / (x.shape[-1] - less))
    return (x - m) / jnp.sqrt(v + eps) * w + b


def attention(x, w, b, scale=None, of_x=1.0, mask=True):
    s = weighted(x, of_x) @ w.T / jnp.sqrt(x.shape[-1] * 1.0) if scale is None else x @ w.T * scale
    lower = jnp.tril(jnp.ones(s.shape, bool))
    return jax.nn.softmax(jnp.where(lower, s, -jnp.inf) if mask else s) @ b


def recurrent(x, w, b, carried=lambda h, t: h, slope=jnp.tanh):
    def step(h, read):
        t, row = read
        h = slope(carried(h, t) @ w + row + b)
        return h, h

    return jax.lax.scan(step, jnp.zeros(x.shape[1:]), (jnp.arange(x.shape[0]), x))[1]


def convolution(x, w):
    return jax.lax.conv_general_dilated(x, w, (2,), [(1, 1)], dimension_numbers=("NCH", "OIH", "NCH"))


def look_up(x, index):
    return x[index]


def twice(x, w, b, inner=layer_norm):
    return inner(jax.nn.gelu(inner(x, w, b)) @ jnp.diag(w) + x, w, b)


@functools.cache
def asked(function, shapes, integers=(), precision="float32", seed=0):
    """The trace and floors of a function of arrays of these shapes."""
    rng = np.random.default_rng(seed)
    floats = [rng.normal(size=shape).astype(np.float32).astype(np.float64) for shape in shapes]
    leaves = [*floats, *map(np.asarray, integers)]
    with float64_on_cpu():
        shape = jax.eval_shape(function, *leaves).shape
    ct = rng.normal(size=shape).astype(np.float32).astype(np.float64)
    trace = trace_vjp(function, leaves, jax.tree.structure(tuple(leaves)), range(len(floats)), [ct])
    return trace, estimate(trace, precision_named(precision)), leaves, ct


def gradients(function, leaves, ct, count, dtype=np.float32):
    """Those that JAX computes of another function, rounded."""
    with float64_on_cpu():
        _, pull = jax.vjp(lambda *floats: function(*floats, *leaves[count:]), *map(jnp.asarray, leaves[:count]))
        return [np.asarray(g).astype(dtype).astype(np.float64) for g in pull(jnp.asarray(ct))]


def explained(function, wrong, *shapes, integers=(), precision="float32"):
    """What is said of the gradients of `wrong`, a function or the gradients themselves."""
    trace, floors, leaves, ct = asked(function, shapes, integers, precision)
    given = gradients(wrong, leaves, ct, len(shapes)) if callable(wrong) else wrong
    return diagnose(trace, floors, given, PATHS[: len(shapes)])
