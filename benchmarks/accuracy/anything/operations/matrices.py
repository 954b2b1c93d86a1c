"""Products of matrices, and what solves equations."""

import jax.numpy as jnp
import numpy as np

from benchmarks.accuracy.anything.operations.registry import Draw, operation


def layer(draw: Draw):
    n, i, o = draw.pick((3, 4, 2), (24, 32, 20), (250, 300, 200))
    return [draw.normal(n, i), draw.weights(o, i, fan_in=i), draw.normal(o)], []


def adapter(draw: Draw):
    n, i, o, r = draw.pick((3, 4, 3, 2), (24, 32, 20, 4), (200, 256, 200, 8))
    down, up = draw.weights(i, r, fan_in=i), draw.weights(r, o, fan_in=r)
    return [draw.normal(n, i), draw.weights(i, o, fan_in=i), down, up], []


def three_factors(draw: Draw):
    b, i, j, k = draw.pick((2, 3, 2, 4), (4, 8, 6, 10), (30, 40, 20, 60))
    return [draw.normal(b, i, j), draw.normal(b, j, k), draw.normal(b, i, k)], []


def square(draw: Draw):
    n = draw.pick(3, 10, 60)
    return [draw.normal(n, n) + 2 * np.sqrt(n) * np.eye(n)], []


def equations(draw: Draw):
    (a,), _ = square(draw)
    return [a, draw.normal(len(a), 3)], []


def definite(draw: Draw):
    n = draw.pick(3, 10, 60)
    a = draw.normal(n, n)
    return [a @ a.T / n + np.eye(n)], []


@operation(layer)
def linear(x, weight, bias):
    return x @ weight.T + bias


@operation(adapter)
def low_rank_adapter(x, weight, down, up):
    return x @ weight + 2.0 * ((x @ down) @ up)


@operation(
    lambda draw: (
        [
            draw.normal(*draw.pick((2, 3, 4), (3, 12, 16), (8, 100, 64))),
            draw.normal(*draw.pick((2, 4, 2), (3, 16, 10), (8, 64, 80))),
        ],
        [],
    )
)
def batched_product(x, y):
    return x @ y


@operation(three_factors)
def einsum(x, y, z):
    return jnp.einsum("bij,bjk,bik->bk", x, y, z)


@operation(
    lambda draw: (
        [
            draw.normal(*draw.pick((3, 4), (16, 12), (100, 64))),
            draw.normal(*draw.pick((3, 2), (16, 10), (100, 32))),
            draw.weights(*draw.pick((3, 4, 2), (6, 12, 10), (16, 64, 32)), fan_in=64),
        ],
        [],
    )
)
def bilinear(x, y, weight):
    return jnp.einsum("ni,oij,nj->no", x, weight, y)


@operation(square, offsets=False, narrow=False)
def inverse(a):
    return jnp.linalg.inv(a)


@operation(equations, offsets=False, narrow=False)
def solve(a, b):
    return jnp.linalg.solve(a, b)


@operation(definite, offsets=False, narrow=False)
def cholesky(a):
    return jnp.linalg.cholesky(a, symmetrize_input=True)


@operation(definite, offsets=False, narrow=False)
def log_determinant(a):
    return jnp.linalg.slogdet(a)[1]


@operation(
    lambda draw: (
        [draw.normal(*draw.pick((3, 4), (12, 8), (60, 32))), draw.normal(*draw.pick((2, 4), (10, 8), (50, 32)))],
        [],
    )
)
def distances(x, y):
    difference = x[:, None] - y[None]
    return jnp.sqrt((difference**2).sum(-1))
