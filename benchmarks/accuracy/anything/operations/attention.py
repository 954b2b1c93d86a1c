"""Attention and its parts."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accuracy.anything.operations.registry import Draw, operation


def matrix(draw: Draw):
    return [draw.normal(*draw.pick((4, 7), (32, 48), (250, 400)))], []


def heads(draw: Draw):
    b, h, t, d = draw.pick((1, 2, 4, 3), (2, 2, 12, 8), (2, 4, 100, 32))
    return [draw.normal(b, h, t, d), draw.normal(b, h, t, d), draw.normal(b, h, t, d)], []


def heads_of_unlike_lengths(draw: Draw):
    b, h, t, s, d = draw.pick((1, 2, 3, 5, 3), (2, 2, 9, 14, 8), (2, 4, 80, 120, 32))
    padding = np.arange(s) < np.array(draw.rng.integers(s // 2, s + 1, size=b))[:, None]
    return [draw.normal(b, h, t, d), draw.normal(b, h, s, d), draw.normal(b, h, s, d)], [padding]


def grouped_heads(draw: Draw):
    b, h, g, t, d = draw.pick((1, 2, 2, 3, 3), (2, 2, 3, 8, 8), (2, 2, 4, 80, 32))
    return [draw.normal(b, h, g, t, d), draw.normal(b, h, t, d), draw.normal(b, h, t, d)], []


def heads_with_dropout(draw: Draw):
    (q, k, v), _ = heads(draw)
    b, h, t, _ = q.shape
    return [q, k, v], [draw.chance(0.8, b, h, t, t)]


@operation(matrix)
def softmax(x):
    exponentials = jnp.exp(x - x.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


@operation(matrix)
def log_softmax(x):
    shifted = x - x.max(-1, keepdims=True)
    return shifted - jnp.log(jnp.exp(shifted).sum(-1, keepdims=True))


@operation(heads)
def causal_attention(q, k, v):
    scores = jnp.einsum("bhqd,bhkd->bhqk", q, k) / math.sqrt(q.shape[-1])
    visible = jnp.tril(jnp.ones(scores.shape[-2:], bool))
    probabilities = jax.nn.softmax(jnp.where(visible, scores, -jnp.inf))
    return jnp.einsum("bhqk,bhkd->bhqd", probabilities, v)


@operation(heads_of_unlike_lengths)
def padded_attention(q, k, v, padding):
    scores = jnp.einsum("bhqd,bhkd->bhqk", q, k) / math.sqrt(q.shape[-1])
    probabilities = jax.nn.softmax(jnp.where(padding[:, None, None, :], scores, -jnp.inf))
    return jnp.einsum("bhqk,bhkd->bhqd", probabilities, v)


@operation(grouped_heads)
def grouped_query_attention(q, k, v):
    scores = jnp.einsum("bhgqd,bhkd->bhgqk", q, k) / math.sqrt(q.shape[-1])
    probabilities = jax.nn.softmax(scores)
    return jnp.einsum("bhgqk,bhkd->bhgqd", probabilities, v)


@operation(heads)
def capped_attention(q, k, v):
    scores = jnp.einsum("bhqd,bhkd->bhqk", q, k) / math.sqrt(q.shape[-1])
    capped = 2.0 * jnp.tanh(scores / 2.0)
    probabilities = jax.nn.softmax(capped)
    return jnp.einsum("bhqk,bhkd->bhqd", probabilities, v)


@operation(heads)
def windowed_attention(q, k, v):
    scores = jnp.einsum("bhqd,bhkd->bhqk", q, k) / math.sqrt(q.shape[-1])
    distance = jnp.arange(q.shape[2])[:, None] - jnp.arange(k.shape[2])
    probabilities = jax.nn.softmax(jnp.where((distance >= 0) & (distance < 3), scores, -jnp.inf))
    return jnp.einsum("bhqk,bhkd->bhqd", probabilities, v)


@operation(heads_with_dropout)
def attention_with_dropout(q, k, v, kept):
    scores = jnp.einsum("bhqd,bhkd->bhqk", q, k) / math.sqrt(q.shape[-1])
    probabilities = jax.nn.softmax(scores)
    dropped = jnp.where(kept, probabilities / 0.8, 0)
    return jnp.einsum("bhqk,bhkd->bhqd", dropped, v)


@operation(heads)
def linear_attention(q, k, v):
    positive_q, positive_k = jax.nn.elu(q) + 1, jax.nn.elu(k) + 1
    state = jnp.einsum("bhkd,bhke->bhde", positive_k, v)
    normaliser = jnp.einsum("bhqd,bhkd->bhq", positive_q, positive_k)
    return jnp.einsum("bhqd,bhde->bhqe", positive_q, state) / normaliser[..., None]


@operation(lambda draw: ([draw.normal(*draw.pick((1, 2, 4, 4), (2, 2, 16, 16), (2, 8, 100, 64)))], []))
def rotary_embedding(x):
    half = x.shape[-1] // 2
    wide = jnp.promote_types(x.dtype, jnp.float32)
    angle = jnp.arange(x.shape[2], dtype=wide)[:, None] * 10000.0 ** (-jnp.arange(half, dtype=wide) / half)
    cosine, sine = jnp.cos(angle).astype(x.dtype), jnp.sin(angle).astype(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return jnp.concatenate([first * cosine - second * sine, second * cosine + first * sine], -1)
