"""Normalisations, with and without statistics of their own."""

import jax.numpy as jnp
from jax import lax

from benchmarks.accuracy.anything.operations.registry import Draw, operation


def rows(draw: Draw):
    n, d = draw.pick((4, 8), (32, 64), (250, 400))
    return [draw.normal(n, d), draw.normal(d), draw.normal(d)], []


def rows_without_bias(draw: Draw):
    (x, weight, _), constants = rows(draw)
    return [x, weight], constants


def sequence(draw: Draw):
    b, t, d = draw.pick((2, 3, 5), (4, 12, 32), (8, 50, 256))
    return [draw.normal(b, t, d), draw.normal(d), draw.normal(d)], []


def images(draw: Draw):
    b, c, t = draw.pick((3, 4, 3), (8, 8, 20), (16, 32, 200))
    return [draw.normal(b, c, t), draw.normal(c), draw.normal(c)], []


def images_with_statistics(draw: Draw):
    (x, weight, bias), _ = images(draw)
    c = len(weight)
    # the stored statistics are data: differentiated as a check of the whole function
    return [x, weight, bias, draw.normal(c), draw.uniform(0.5, 2.0, c)], []


@operation(rows)
def layer_norm(x, weight, bias):
    mean = x.mean(-1, keepdims=True)
    centred = x - mean
    variance = (centred**2).mean(-1, keepdims=True)
    rstd = 1 / jnp.sqrt(variance + 1e-5)
    normalised = centred * rstd
    return normalised * weight + bias


@operation(sequence)
def layer_norm_of_sequence(x, weight, bias):
    mean = x.mean(-1, keepdims=True)
    centred = x - mean
    variance = (centred**2).mean(-1, keepdims=True)
    rstd = lax.rsqrt(variance + 1e-5)
    normalised = centred * rstd
    return normalised * weight + bias


@operation(rows_without_bias)
def rms_norm(x, weight):
    mean_square = (x * x).mean(-1, keepdims=True)
    rstd = 1 / jnp.sqrt(mean_square + 1e-6)
    normalised = x * rstd
    return normalised * weight


@operation(rows_without_bias)
def gemma_rms_norm(x, weight):
    mean_square = (x * x).mean(-1, keepdims=True)
    rstd = lax.rsqrt(mean_square + 1e-6)
    normalised = x * rstd
    return normalised * (1 + weight)


@operation(images)
def batch_norm(x, weight, bias):
    mean = x.mean((0, 2), keepdims=True)
    centred = x - mean
    variance = (centred**2).mean((0, 2), keepdims=True)
    rstd = 1 / jnp.sqrt(variance + 1e-5)
    normalised = centred * rstd
    return normalised * weight[:, None] + bias[:, None]


@operation(images_with_statistics)
def batch_norm_inference(x, weight, bias, mean, variance):
    rstd = 1 / jnp.sqrt(variance + 1e-5)
    normalised = (x - mean[:, None]) * rstd[:, None]
    return normalised * weight[:, None] + bias[:, None]


@operation(images)
def group_norm(x, weight, bias):
    grouped = x.reshape(x.shape[0], 2, -1)
    mean = grouped.mean(-1, keepdims=True)
    centred = grouped - mean
    variance = (centred**2).mean(-1, keepdims=True)
    rstd = 1 / jnp.sqrt(variance + 1e-5)
    normalised = (centred * rstd).reshape(x.shape)
    return normalised * weight[:, None] + bias[:, None]


@operation(images)
def instance_norm(x, weight, bias):
    mean = x.mean(-1, keepdims=True)
    centred = x - mean
    variance = (centred**2).mean(-1, keepdims=True)
    normalised = centred / jnp.sqrt(variance + 1e-5)
    return normalised * weight[:, None] + bias[:, None]


@operation(lambda draw: ([draw.normal(*draw.pick((4, 7), (32, 48), (250, 400)))], []))
def l2_normalise(x):
    length = jnp.sqrt((x * x).sum(-1, keepdims=True))
    return x / jnp.maximum(length, 1e-12)


@operation(
    lambda draw: ([draw.normal(*draw.pick((4, 6), (24, 32), (200, 400))), draw.normal(draw.pick(4, 24, 200))], [])
)
def weight_norm(direction, gain):
    length = jnp.sqrt((direction * direction).sum(-1, keepdims=True))
    return gain[:, None] * direction / length
