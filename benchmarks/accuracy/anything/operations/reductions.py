"""Sums, products and choices along an axis; gathers, whose backward passes are sums."""

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.accuracy.anything.operations.registry import Draw, operation


def matrix(draw: Draw):
    return [draw.normal(*draw.pick((4, 7), (32, 40), (250, 400)))], []


def near_one(draw: Draw):
    return [1 + 0.3 * draw.normal(*draw.pick((4, 6), (24, 12), (2000, 40)))], []


def table(draw: Draw):
    v, d, n = draw.pick((5, 3, 8), (20, 16, 100), (200, 64, 2000))
    return [draw.normal(v, d)], [draw.integers(v, n)]


def bags(draw: Draw):
    v, d, n, k = draw.pick((5, 3, 3, 4), (20, 16, 24, 5), (200, 64, 300, 8))
    return [draw.normal(v, d)], [draw.integers(v, n, k)]


def scattered(draw: Draw):
    n, d = draw.pick((8, 3), (60, 16), (1500, 64))
    return [draw.normal(n, d)], [draw.integers(12, n)]


@operation(matrix)
def logsumexp(x):
    largest = lax.stop_gradient(x.max(-1, keepdims=True))
    return jnp.log(jnp.exp(x - largest).sum(-1)) + largest[:, 0]


@operation(matrix)
def euclidean_norm(x):
    return jnp.sqrt((x * x).sum(-1))


@operation(matrix)
def standard_deviation(x):
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred**2).sum(-1) / (x.shape[1] - 1)
    return jnp.sqrt(variance)


@operation(matrix)
def cumulative_sum(x):
    return jnp.cumsum(x, -1)


@operation(near_one, offsets=False, scaled=())
def product(x):
    return jnp.prod(x, -1)


@operation(near_one, offsets=False, scaled=())
def cumulative_product(x):
    return jnp.cumprod(x, -1)


@operation(matrix)
def largest(x):
    return jnp.max(x, -1)


@operation(matrix)
def sort(x):
    return jnp.sort(x, -1)


@operation(matrix)
def top_three(x):
    return lax.top_k(x, 3)[0]


@operation(matrix)
def mean_absolute(x):
    return jnp.abs(x).mean(-1)


@operation(table)
def embedding(weight, indices):
    return weight[indices]


@operation(bags)
def embedding_bag(weight, indices):
    return weight[indices].mean(1)


@operation(bags)
def embedding_bag_max(weight, indices):
    return weight[indices].max(1)


@operation(scattered)
def segment_sum(x, segments):
    return jax.ops.segment_sum(x, segments, num_segments=12)


@operation(matrix)
def mean_pool(x):
    return x.mean(0)
