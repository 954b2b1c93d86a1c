"""Wrong backward passes of losses: divisors, terms, labels that should not count, arguments taken for constants."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accuracy.anything.mistakes.registry import cut, factor, mistake, spoilt, times, with_ct, zeroed


def entropy(x, soft, divisor=None):
    return -(soft * jax.nn.log_softmax(x)).sum() / (len(x) if divisor is None else divisor)


def hard(x, labels):
    return jax.nn.one_hot(labels, x.shape[1], dtype=x.dtype)


def smoothed(x, labels, on=0.9, off=0.1, classes=0):
    return on * hard(x, labels) + off / (classes or x.shape[1])


@mistake("cross_entropy", "the mean's 1/n is missing", "picked.mean()")
def mean_missing(x, labels):
    return entropy(x, hard(x, labels), 1)


@mistake("cross_entropy", "the mean runs over all entries instead of the rows", "picked.mean()")
def mean_over_entries(x, labels):
    return entropy(x, hard(x, labels), x.size)


@mistake(
    "cross_entropy", "the softmax is missing: the gradient is that of the picked logits alone", "jax.nn.log_softmax(x)"
)
def softmax_missing(x, labels):
    return -(hard(x, labels) * x).sum() / len(x)


@mistake("cross_entropy", "the labels are off by one class", "picked = ")
def labels_off_by_one(x, labels):
    return entropy(x, hard(x, (labels + 1) % x.shape[1]))


with_ct("cross_entropy", "ct_ignored", "the cotangent of the loss is not multiplied in", lambda ct: 0 * ct + 1)


@mistake("smoothed_cross_entropy", "the labels are not smoothed in the backward pass", "soft = ", "(soft * ")
def not_smoothed(x, labels):
    return entropy(x, hard(x, labels))


@mistake("smoothed_cross_entropy", "the smoothing is spread over the other classes", "soft = ")
def over_the_others(x, labels):
    k = x.shape[1]
    return entropy(x, smoothed(x, labels, on=0.9 - 0.1 / (k - 1), classes=k - 1))


@mistake("smoothed_cross_entropy", "the uniform part is missing: (softmax - 0.9 hard)", "soft = ")
def uniform_part_missing(x, labels):
    return entropy(x, smoothed(x, labels, off=0.0)) + 0.1 * (jax.nn.logsumexp(x, -1)).mean()


@mistake("smoothed_cross_entropy", "the label keeps its whole weight", "soft = ")
def label_not_reduced(x, labels):
    return entropy(x, smoothed(x, labels, on=1.0))


def weighted(x, weights, labels, divisor=None):
    w = cut(weights)[labels]
    picked = jnp.take_along_axis(jax.nn.log_softmax(x), labels[:, None], 1)[:, 0]
    return -(w * picked).sum() / (w.sum() if divisor is None else divisor)


@mistake("weighted_cross_entropy", "divided by the number of rows instead of the sum of weights", "chosen.sum()")
def divided_by_rows(x, weights, labels):
    return weighted(x, weights, labels, len(x))


@mistake("weighted_cross_entropy", "the weights are missing", "chosen * picked", "chosen = ")
def weights_missing(x, weights, labels):
    return weighted(x, jnp.ones_like(weights), labels) + 0 * weights.sum()


@mistake("weighted_cross_entropy", "the weights are read by row instead of by label", "chosen = ")
def weights_by_row(x, weights, labels):
    w = cut(weights)
    picked = jnp.take_along_axis(jax.nn.log_softmax(x), labels[:, None], 1)[:, 0]
    return -(w[jnp.arange(len(x)) % len(w)] * picked).sum() / w[labels].sum() + 0 * weights.sum()


def padded(x, labels, on=None, divisor=None):
    known = labels >= 0 if on is None else on
    picked = jnp.take_along_axis(jax.nn.log_softmax(x), jnp.maximum(labels, 0)[:, None], 1)[:, 0]
    return -jnp.where(known, picked, 0).sum() / ((labels >= 0).sum() if divisor is None else divisor).astype(x.dtype)


@mistake("cross_entropy_with_padding", "divided by all rows, padded ones included", "known.sum()")
def divided_by_all(x, labels):
    return padded(x, labels, divisor=jnp.asarray(len(x)))


@mistake(
    "cross_entropy_with_padding",
    "padded rows count as class 0",
    "jnp.where(known, picked, 0)",
    "known = ",
    source="https://github.com/pytorch/pytorch/issues/73205",
)
def padding_counts(x, labels):
    return padded(x, labels, on=jnp.ones(len(labels), bool))


@mistake("cross_entropy_with_padding", "class 0 is ignored as well", "known = ")
def class_0_ignored(x, labels):
    return padded(x, labels, on=labels > 0)


def with_z(x, labels, penalty=lambda z: 1e-2 * z**2):
    z = jax.nn.logsumexp(x, -1)
    return (z - jnp.take_along_axis(x, labels[:, None], 1)[:, 0] + penalty(z)).mean()


@mistake("cross_entropy_with_z_loss", "the penalty is missing", "penalty = ")
def penalty_missing(x, labels):
    return with_z(x, labels, lambda z: 0 * z)


@mistake("cross_entropy_with_z_loss", "the 2 of the square is missing", "penalty = ")
def square_factor_missing(x, labels):
    return with_z(x, labels, lambda z: 1e-2 * times(z**2, 0.5))


@mistake("cross_entropy_with_z_loss", "the penalty is not multiplied with its normaliser", "penalty = ")
def normaliser_missing(x, labels):
    return with_z(x, labels, lambda z: 2e-2 * z)


def bce(x, t):
    return jnp.maximum(x, 0) - x * t + jnp.log1p(jnp.exp(-jnp.abs(x)))


@mistake("binary_cross_entropy", "the mean's divisor is missing", ".mean()")
def sum_for_mean(x, t):
    return bce(x, t).sum()


@mistake("binary_cross_entropy", "divided by the rows alone", ".mean()")
def mean_over_rows(x, t):
    return bce(x, t).sum() / len(x)


@mistake("binary_cross_entropy", "the derivative of the sigmoid is multiplied in: s (1 - s) (s - t)", "jnp.log1p")
def through_the_sigmoid(x, t):
    s = cut(jax.nn.sigmoid(x))
    return ((s - cut(t)) * s * (1 - s) * x - cut(x) * t).mean()


@mistake("binary_cross_entropy", "the targets' gradient lacks its sign", "x * targets")
def sign_of_the_targets(x, t):
    return (bce(x, cut(t)) + cut(x) * t).mean()


def focal(x, t, weight=lambda p: (1 - p) ** 2):
    p = jax.nn.sigmoid(x)
    return (cut(t) * weight(p) * -jax.nn.log_sigmoid(x)).sum(-1)


@mistake("focal_loss", "the weight is taken for a constant", "(1 - probability) ** 2", "probability = ")
def weight_is_constant(x, t):
    return focal(x, t, lambda p: cut((1 - p) ** 2))


@mistake("focal_loss", "the 2 of the square is missing", "(1 - probability) ** 2")
def focal_factor_missing(x, t):
    return focal(x, t, lambda p: times((1 - p) ** 2, 0.5))


@mistake("focal_loss", "the path through the weight has the wrong sign", "(1 - probability) ** 2")
def sign_of_the_weight(x, t):
    return focal(x, t, lambda p: times((1 - p) ** 2, -1.0))


@mistake("mean_squared_error", "the 2 of the square is missing", "** 2")
def mse_factor_missing(x, t):
    return 0.5 * ((x - t) ** 2).mean()


@mistake("mean_squared_error", "divided by the rows alone", ".mean()")
def mse_over_rows(x, t):
    return ((x - t) ** 2).sum() / len(x)


spoilt(
    "mean_squared_error", "sign_of_the_targets", "the targets' gradient lacks its sign", factor(1, -1.0), "x - targets"
)


def hubered(x, t, bound=1.0, inside=0.5):
    e = jnp.abs(x - t)
    return jnp.where(e < bound, inside * e**2, bound * e).mean()


@mistake("huber", "the bound is 1/2", "error < 1")
def other_bound(x, t):
    return hubered(x, t, 0.5)


@mistake("huber", "the 1/2 of the square is missing", "0.5 * error**2")
def half_missing(x, t):
    return hubered(x, t, inside=1.0)


@mistake("huber", "never clipped: the gradient of the square everywhere", "jnp.where(error < 1")
def never_clipped(x, t):
    return (0.5 * (x - t) ** 2).mean()


def divergence(x, y, constant=False, reverse=False, divisor=None):
    a, b = jax.nn.log_softmax(x), jax.nn.log_softmax(y)
    p, q = (b, a) if not reverse else (a, b)
    weights = cut(jnp.exp(p)) if constant else jnp.exp(p)
    return (weights * (p - q)).sum() / (len(x) if divisor is None else divisor)


@mistake("kullback_leibler", "the targets' probabilities are taken for constants", "jnp.exp(log_targets)")
def targets_are_constants(x, y):
    return divergence(x, y, constant=True)


@mistake("kullback_leibler", "the divergence is the other way round")
def reversed_divergence(x, y):
    return divergence(x, y, reverse=True)


@mistake("kullback_leibler", "divided by all entries", "x.shape[0]")
def divided_by_entries(x, y):
    return divergence(x, y, divisor=x.size)


def cosine(x, y, length_x=lambda v: v, length_y=lambda v: v):
    return (x * y).sum(-1) / (length_x(jnp.sqrt((x * x).sum(-1))) * length_y(jnp.sqrt((y * y).sum(-1))))


@mistake("cosine_similarity", "the length of x is taken for a constant", "length_x = ")
def length_of_x_is_constant(x, y):
    return cosine(x, y, length_x=cut)


@mistake("cosine_similarity", "both lengths are taken for constants", "length_x = ", "length_y = ", "/ (length_x")
def lengths_are_constants(x, y):
    return cosine(x, y, cut, cut)


@mistake("cosine_similarity", "the projection is subtracted twice in the gradient of y", "length_y = ")
def projection_twice(x, y):
    return cosine(x, y, length_y=lambda v: times(v, 2.0))


def nce(x, y, temperature=0.07, length=lambda v: v):
    u, v = (z / length(jnp.sqrt((z * z).sum(-1, keepdims=True))) for z in (x, y))
    return -jnp.diagonal(jax.nn.log_softmax(u @ v.T / temperature)).mean()


@mistake("contrastive", "the lengths are taken for constants", "unit_x = ", "unit_y = ")
def contrastive_lengths(x, y):
    return nce(x, y, length=cut)


@mistake("contrastive", "the keys are taken for constants", "unit_y = ", "unit_x @ unit_y.T")
def keys_are_constants(x, y):
    return nce(x, cut(y)) + 0 * y.sum()


@mistake("contrastive", "the temperature is missing in the backward pass", "/ 0.07")
def temperature_missing(x, y):
    return 0.07 * nce(x, y)


@mistake(
    "contrastive",
    "the diagonal's 1 is subtracted from a softmax along the other axis",
    "jax.nn.log_softmax(similarity)",
)
def other_axis(x, y):
    u, v = (z / jnp.sqrt((z * z).sum(-1, keepdims=True)) for z in (x, y))
    return -jnp.diagonal(jax.nn.log_softmax(u @ v.T / 0.07, 0)).mean()


@mistake("gaussian_likelihood", "the path through the variance is missing", "variance = ", "/ variance")
def variance_is_constant(mean, log_variance):
    return 0.5 * (log_variance + (mean - 0.3) ** 2 / cut(jnp.exp(log_variance))).sum(-1)


@mistake("gaussian_likelihood", "the gradient is that of the variance, not of its logarithm", "variance = ")
def of_the_variance(mean, log_variance):
    v = cut(jnp.exp(log_variance))
    linear = log_variance / v - (cut(mean) - 0.3) ** 2 / v**2 * log_variance
    return 0.5 * (linear + (mean - 0.3) ** 2 / v).sum(-1)


@mistake("gaussian_likelihood", "the logarithm's own term is missing", "0.5 * (log_variance")
def logarithm_missing(mean, log_variance):
    return 0.5 * ((mean - 0.3) ** 2 / jnp.exp(log_variance)).sum(-1)


@mistake("hinge", "the mask is missing", "jnp.maximum(margin, 0)")
def mask_missing(x, y):
    return (1 - x * y).sum(-1)


@mistake("hinge", "the mask is x y < 0 instead of x y < 1", "margin = ", "jnp.maximum(margin, 0)")
def mask_without_margin(x, y):
    return jnp.maximum(-x * y, 0).sum(-1)


@mistake("hinge", "the sign is wrong", "margin = ")
def sign(x, y):
    m = 1 - x * y
    return jnp.where(m > 0, -m, 0).sum(-1)


spoilt(
    "smoothed_cross_entropy",
    "last_classes_lost",
    "the last block of classes is never written",
    zeroed(0, (..., slice(-2, None))),
)
spoilt(
    "focal_loss",
    "transposed_block",
    "two rows are exchanged",
    lambda right, q: [right[0][np.r_[1, 0, 2 : len(right[0])]], *right[1:]],
)
