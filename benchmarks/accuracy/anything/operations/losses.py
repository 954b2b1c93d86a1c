"""Losses, most of them scalars."""

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.accuracy.anything.operations.registry import Draw, operation


def logits(draw: Draw):
    n, d = draw.pick((4, 6), (32, 40), (250, 400))
    return [draw.normal(n, d)], [draw.integers(d, n)]


def weighted(draw: Draw):
    (x,), (labels,) = logits(draw)
    return [x, draw.uniform(0.5, 2.0, x.shape[1])], [labels]


def padded(draw: Draw):
    (x,), (labels,) = logits(draw)
    labels[:: draw.pick(3, 4, 4)] = -100
    return [x], [labels]


def pair(draw: Draw):
    shape = draw.pick((4, 6), (32, 40), (200, 250))
    return [draw.normal(*shape), draw.normal(*shape)], []


def two_views(draw: Draw):
    shape = draw.pick((3, 4), (24, 16), (250, 128))
    return [draw.normal(*shape), draw.normal(*shape)], []


def with_probabilities(draw: Draw):
    (x, _), _ = pair(draw)
    return [x, draw.uniform(0.0, 1.0, *x.shape)], []


@operation(logits)
def cross_entropy(x, labels):
    log_probabilities = jax.nn.log_softmax(x)
    picked = jnp.take_along_axis(log_probabilities, labels[:, None], 1)[:, 0]
    return -picked.mean()


@operation(logits)
def smoothed_cross_entropy(x, labels):
    log_probabilities = jax.nn.log_softmax(x)
    hard = jax.nn.one_hot(labels, x.shape[1], dtype=x.dtype)
    soft = 0.9 * hard + 0.1 / x.shape[1]
    return -(soft * log_probabilities).sum(-1).mean()


@operation(weighted)
def weighted_cross_entropy(x, weights, labels):
    log_probabilities = jax.nn.log_softmax(x)
    picked = jnp.take_along_axis(log_probabilities, labels[:, None], 1)[:, 0]
    chosen = lax.stop_gradient(weights)[labels]
    return -(chosen * picked).sum() / chosen.sum()


@operation(padded)
def cross_entropy_with_padding(x, labels):
    log_probabilities = jax.nn.log_softmax(x)
    known = labels >= 0
    picked = jnp.take_along_axis(log_probabilities, jnp.maximum(labels, 0)[:, None], 1)[:, 0]
    return -jnp.where(known, picked, 0).sum() / known.sum().astype(x.dtype)


@operation(logits)
def cross_entropy_with_z_loss(x, labels):
    normaliser = jax.nn.logsumexp(x, -1)
    picked = jnp.take_along_axis(x, labels[:, None], 1)[:, 0]
    penalty = 1e-2 * normaliser**2
    return (normaliser - picked + penalty).mean()


@operation(with_probabilities)
def binary_cross_entropy(x, targets):
    return (jnp.maximum(x, 0) - x * targets + jnp.log1p(jnp.exp(-jnp.abs(x)))).mean()


@operation(with_probabilities)
def focal_loss(x, targets):
    probability = jax.nn.sigmoid(x)
    error = lax.stop_gradient(targets) * (1 - probability) ** 2 * -jax.nn.log_sigmoid(x)
    return error.sum(-1)


@operation(pair)
def mean_squared_error(x, targets):
    return ((x - targets) ** 2).mean()


@operation(pair)
def huber(x, targets):
    error = jnp.abs(x - targets)
    return jnp.where(error < 1, 0.5 * error**2, error - 0.5).mean()


@operation(pair)
def kullback_leibler(x, targets):
    log_targets = jax.nn.log_softmax(targets)
    log_probabilities = jax.nn.log_softmax(x)
    return (jnp.exp(log_targets) * (log_targets - log_probabilities)).sum() / x.shape[0]


@operation(pair)
def cosine_similarity(x, y):
    length_x = jnp.sqrt((x * x).sum(-1))
    length_y = jnp.sqrt((y * y).sum(-1))
    return (x * y).sum(-1) / (length_x * length_y)


@operation(two_views)
def contrastive(x, y):
    unit_x = x / jnp.sqrt((x * x).sum(-1, keepdims=True))
    unit_y = y / jnp.sqrt((y * y).sum(-1, keepdims=True))
    similarity = unit_x @ unit_y.T / 0.07
    return -jnp.diagonal(jax.nn.log_softmax(similarity)).mean()


@operation(pair)
def gaussian_likelihood(mean, log_variance):
    variance = jnp.exp(log_variance)
    return 0.5 * (log_variance + (mean - 0.3) ** 2 / variance).sum(-1)


@operation(pair)
def hinge(x, y):
    margin = 1 - x * y
    return jnp.maximum(margin, 0).sum(-1)
