"""Normalisations and losses, fused as kernels have them."""

import numpy as np

from benchmarks.accuracy.anything.implementations.by_hand.registry import by_hand, sigmoid, softmax

# normalisations


def _norm_back(normalised, rstd, g, axis):
    mean, along = g.mean(axis, keepdims=True), (g * normalised).mean(axis, keepdims=True)
    return rstd * (g - mean - normalised * along)


@by_hand("layer_norm")
def layer_norm_two_passes(x, w, b, dy):
    m = x.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt(((x - m) ** 2).mean(-1, keepdims=True) + x.dtype.type(1e-5))
    h = (x - m) * rstd
    return [_norm_back(h, rstd, dy * w, -1), (dy * h).sum(0), dy.sum(0)]


@by_hand("layer_norm")
def layer_norm_one_pass(x, w, b, dy):
    m = x.mean(-1, keepdims=True)
    variance = np.maximum((x * x).mean(-1, keepdims=True) - m * m, 0)
    rstd = 1 / np.sqrt(variance + x.dtype.type(1e-5))
    h = (x - m) * rstd
    return [_norm_back(h, rstd, dy * w, -1), (dy * h).sum(0), dy.sum(0)]


@by_hand("rms_norm")
def rms_norm_by_projection(x, w, dy):
    rstd = 1 / np.sqrt((x * x).mean(-1, keepdims=True) + x.dtype.type(1e-6))
    g = dy * w
    return [rstd * g - rstd**3 * x * (g * x).mean(-1, keepdims=True), (dy * x * rstd).sum(0)]


@by_hand("batch_norm")
def batch_norm_by_sums(x, w, b, dy):
    axes, n = (0, 2), x.dtype.type(x.shape[0] * x.shape[2])
    m = x.mean(axes, keepdims=True)
    rstd = 1 / np.sqrt(((x - m) ** 2).mean(axes, keepdims=True) + x.dtype.type(1e-5))
    h = (x - m) * rstd
    dw, db = (dy * h).sum(axes), dy.sum(axes)
    return [w[:, None] * rstd / n * (n * dy - db[:, None] - h * dw[:, None]), dw, db]


@by_hand("batch_norm")
def batch_norm_folded(x, w, b, dy):
    axes, n = (0, 2), x.dtype.type(x.shape[0] * x.shape[2])
    m, variance = x.mean(axes), x.var(axes)
    rstd = 1 / np.sqrt(variance + x.dtype.type(1e-5))
    db = dy.sum(axes)
    dw = ((dy * x).sum(axes) - m * db) * rstd
    slope = -w * rstd * rstd * dw / n
    shift = -slope * m - w * rstd * db / n
    return [(w * rstd)[:, None] * dy + slope[:, None] * x + shift[:, None], dw, db]


@by_hand("group_norm")
def group_norm_grouped(x, w, b, dy):
    n = len(x)
    grouped, g = x.reshape(n, 2, -1), (dy * w[:, None]).reshape(n, 2, -1)
    m = grouped.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt(grouped.var(-1, keepdims=True) + x.dtype.type(1e-5))
    h = (grouped - m) * rstd
    dx = _norm_back(h, rstd, g, -1).reshape(x.shape)
    return [dx, (dy * h.reshape(x.shape)).sum((0, 2)), dy.sum((0, 2))]


@by_hand("l2_normalise")
def l2_by_projection(x, dy):
    length = np.sqrt((x * x).sum(-1, keepdims=True))
    y = x / length
    return [(dy - y * (y * dy).sum(-1, keepdims=True)) / length]


@by_hand("weight_norm")
def weight_norm_by_projection(v, g, dy):
    length = np.sqrt((v * v).sum(-1, keepdims=True))
    unit = v / length
    along = (dy * unit).sum(-1)
    return [g[:, None] / length * (dy - unit * along[:, None]), along]


# losses


def _picked_minus_one(x, labels):
    p = softmax(x)
    p[np.arange(len(x)), labels] -= 1
    return p


@by_hand("cross_entropy")
def cross_entropy_fused(x, labels, dy):
    return [dy * _picked_minus_one(x, labels) / x.dtype.type(len(x))]


@by_hand("smoothed_cross_entropy")
def smoothed_fused(x, labels, dy):
    soft = np.full_like(x, 0.1 / x.shape[1])
    soft[np.arange(len(x)), labels] += x.dtype.type(0.9)
    return [dy * (softmax(x) - soft) / x.dtype.type(len(x))]


@by_hand("cross_entropy_with_padding")
def padded_fused(x, labels, dy):
    known = labels >= 0
    g = _picked_minus_one(x, np.maximum(labels, 0)) * known[:, None]
    return [dy * g / x.dtype.type(known.sum())]


@by_hand("cross_entropy_with_z_loss")
def z_loss_fused(x, labels, dy):
    m = x.max(-1, keepdims=True)
    z = m + np.log(np.exp(x - m).sum(-1, keepdims=True))
    p = np.exp(x - z)
    g = p * (1 + x.dtype.type(2e-2) * z)
    g[np.arange(len(x)), labels] -= 1
    return [dy * g / x.dtype.type(len(x))]


@by_hand("binary_cross_entropy")
def bce_fused(x, t, dy):
    c = dy / x.dtype.type(x.size)
    return [(sigmoid(x) - t) * c, -x * c]


@by_hand("mean_squared_error")
def mse_direct(x, t, dy):
    g = 2 * (x - t) * (dy / x.dtype.type(x.size))
    return [g, -g]


@by_hand("huber")
def huber_clipped(x, t, dy):
    g = np.clip(x - t, -1, 1) * (dy / x.dtype.type(x.size))
    return [g, -g]


@by_hand("kullback_leibler")
def kl_direct(x, y, dy):
    p, t = softmax(x), softmax(y)
    n = x.dtype.type(len(x))
    w = (y - x) - (np.log(np.exp(y - y.max(-1, keepdims=True)).sum(-1, keepdims=True)) + y.max(-1, keepdims=True))
    w = w + np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True)) + x.max(-1, keepdims=True)
    return [dy * (p - t) / n, dy * t * (w - (t * w).sum(-1, keepdims=True)) / n]


@by_hand("cosine_similarity")
def cosine_by_projection(x, y, dy):
    a, b = np.sqrt((x * x).sum(-1, keepdims=True)), np.sqrt((y * y).sum(-1, keepdims=True))
    u, v, d = x / a, y / b, dy[:, None]
    c = (u * v).sum(-1, keepdims=True)
    return [d * (v - c * u) / a, d * (u - c * v) / b]


@by_hand("contrastive")
def contrastive_by_projection(x, y, dy):
    n, c = len(x), x.dtype.type(0.07)
    a, b = np.sqrt((x * x).sum(-1, keepdims=True)), np.sqrt((y * y).sum(-1, keepdims=True))
    u, v = x / a, y / b
    g = (softmax(u @ v.T / c) - np.eye(n, dtype=x.dtype)) * (dy / (n * c))
    du, dv = g @ v, g.T @ u
    return [(du - u * (u * du).sum(-1, keepdims=True)) / a, (dv - v * (v * dv).sum(-1, keepdims=True)) / b]
