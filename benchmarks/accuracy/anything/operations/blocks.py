"""What today's networks are made of: gated units, residuals, dropout, whole blocks."""

import math

import jax
import jax.numpy as jnp

from benchmarks.accuracy.anything.operations.normalisation import layer_norm
from benchmarks.accuracy.anything.operations.registry import Draw, operation


def gated(draw: Draw):
    n, d, h = draw.pick((2, 4, 5), (12, 16, 24), (100, 128, 256))
    return [
        draw.normal(n, d),
        draw.weights(d, h, fan_in=d),
        draw.weights(d, h, fan_in=d),
        draw.weights(h, d, fan_in=h),
    ], []


def two_layers(draw: Draw):
    n, d, h = draw.pick((3, 4, 5), (12, 16, 24), (100, 128, 256))
    return [
        draw.normal(n, d),
        draw.weights(d, h, fan_in=d),
        draw.normal(h),
        draw.weights(h, d, fan_in=h),
        draw.normal(d),
    ], []


def with_mask(draw: Draw):
    n, d = draw.pick((4, 6), (24, 32), (200, 250))
    return [draw.normal(n, d), draw.normal(n, d)], [draw.chance(0.7, n, d)]


def before_norm(draw: Draw):
    n, d = draw.pick((4, 6), (24, 32), (200, 250))
    return [draw.normal(n, d), draw.normal(n, d), draw.normal(d)], []


def experts(draw: Draw):
    n, d, e = draw.pick((3, 4, 2), (12, 16, 4), (60, 64, 8))
    return [draw.normal(n, d), draw.weights(d, e, fan_in=d), draw.weights(e, d, d, fan_in=d)], []


def transformer_weights(draw: Draw):
    b, t, d = draw.pick((1, 3, 4), (2, 8, 16), (4, 32, 64))
    shapes = [(d,), (d,), (d, 3 * d), (d, d), (d,), (d,), (d, 4 * d), (4 * d,), (4 * d, d), (d,)]
    drawn = [draw.weights(*s, fan_in=s[0]) if len(s) > 1 else draw.normal(*s) for s in shapes]
    return [draw.normal(b, t, d), *drawn], []


@operation(gated)
def swiglu(x, gate_weight, up_weight, down_weight):
    gate = x @ gate_weight
    up = x @ up_weight
    hidden = jax.nn.silu(gate) * up
    return hidden @ down_weight


@operation(gated)
def geglu(x, gate_weight, up_weight, down_weight):
    gate = x @ gate_weight
    up = x @ up_weight
    hidden = jax.nn.gelu(gate, approximate=True) * up
    return hidden @ down_weight


@operation(two_layers)
def feed_forward(x, up_weight, up_bias, down_weight, down_bias):
    hidden = jnp.maximum(x @ up_weight + up_bias, 0)
    return x + hidden @ down_weight + down_bias


@operation(with_mask, scaled=(0, 1))
def dropout_add(x, residual, kept):
    dropped = jnp.where(kept, x / 0.7, 0)
    return residual + dropped


@operation(before_norm, scaled=(0, 1))
def residual_rms_norm(x, residual, weight):
    total = residual + x
    mean_square = (total * total).mean(-1, keepdims=True)
    normalised = total / jnp.sqrt(mean_square + 1e-6)
    return jnp.concatenate([normalised * weight, total])


@operation(experts)
def mixture_of_experts(x, router, weights):
    chosen = jax.nn.softmax(x @ router)
    outputs = jnp.einsum("nd,edf->nef", x, weights)
    return (chosen[..., None] * outputs).sum(1)


@operation(transformer_weights)
def transformer_block(x, scale_1, shift_1, qkv, out, scale_2, shift_2, up, up_bias, down, down_bias):
    b, t, d = x.shape
    first = layer_norm(x, scale_1, shift_1)
    q, k, v = (z.reshape(b, t, 2, -1).transpose(0, 2, 1, 3) for z in jnp.split(first @ qkv, 3, -1))
    scores = q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1])
    visible = jnp.tril(jnp.ones((t, t), bool))
    mixed = jax.nn.softmax(jnp.where(visible, scores, -jnp.inf)) @ v
    x = x + mixed.transpose(0, 2, 1, 3).reshape(b, t, d) @ out
    second = layer_norm(x, scale_2, shift_2)
    hidden = jax.nn.gelu(second @ up + up_bias, approximate=False)
    return x + hidden @ down + down_bias
