"""Activations and reductions, many from the output or by another formula."""

import math

import numpy as np

from benchmarks.accuracy.anything.implementations.by_hand.registry import by_hand, sigmoid, softmax

# activations


@by_hand("silu")
def silu_factored(x, dy):
    s = sigmoid(x)
    return [dy * s * (1 + x * (1 - s))]


@by_hand("gelu_tanh")
def gelu_by_exponentials(x, dy):
    k = x.dtype.type(math.sqrt(2 / math.pi))
    c = x.dtype.type(0.044715)
    e = np.exp(-2 * np.clip(k * (x + c * x**3), -30, 30))
    t = (1 - e) / (1 + e)
    return [dy * (0.5 * (1 + t) + 0.5 * x * (1 - t) * (1 + t) * k * (1 + 3 * c * x * x))]


@by_hand("mish")
def mish_by_exponentials(x, dy):
    e = np.exp(np.minimum(x, 20))
    t = e * (e + 2) / (e * (e + 2) + 2)  # tanh(log(1 + e))
    return [dy * (t + x * (1 - t * t) * sigmoid(x))]


@by_hand("softplus")
def softplus_by_sigmoid(x, dy):
    return [dy * sigmoid(x)]


@by_hand("sigmoid")
def sigmoid_from_output(x, dy):
    y = 1 / (1 + np.exp(-x))
    return [dy * y * (1 - y)]


@by_hand("tanh")
def tanh_from_output(x, dy):
    y = np.tanh(x)
    return [dy * (1 - y * y)]


@by_hand("tanh")
def tanh_by_squares(x, dy):
    e = np.exp(-2 * np.abs(x))
    return [dy * 4 * e / (1 + e) ** 2]


@by_hand("elu")
def elu_from_output(x, dy):
    y = np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1)
    return [dy * np.where(x > 0, 1, y + 1)]


@by_hand("relu")
def relu_masked(x, dy):
    return [dy * (x > 0)]


@by_hand("hardswish")
def hardswish_by_pieces(x, dy):
    return [dy * np.where(x <= -3, 0, np.where(x < 3, (2 * x + 3) / 6, 1))]


@by_hand("glu")
def glu_halves(x, dy):
    value, gate = np.split(x, 2, -1)
    s = sigmoid(gate)
    return [np.concatenate([dy * s, dy * value * s * (1 - s)], -1)]


# reductions


@by_hand("logsumexp")
def logsumexp_direct(x, dy):
    return [softmax(x) * dy[:, None]]


@by_hand("standard_deviation")
def deviation_one_pass(x, dy):
    n = x.dtype.type(x.shape[1])
    m = x.mean(-1, keepdims=True)
    variance = np.maximum((x * x).sum(-1, keepdims=True) - n * m * m, 0) / (n - 1)
    return [dy[:, None] * (x - m) / ((n - 1) * np.sqrt(variance))]


@by_hand("cumulative_sum")
def cumulative_sum_reversed(x, dy):
    return [np.cumsum(dy[:, ::-1], -1)[:, ::-1]]


@by_hand("product")
def product_by_division(x, dy):
    return [dy[:, None] * x.prod(-1, keepdims=True) / x]


@by_hand("largest")
def largest_to_the_first(x, dy):
    dx = np.zeros_like(x)
    dx[np.arange(len(x)), x.argmax(-1)] = dy
    return [dx]


@by_hand("sort")
def sort_by_places(x, dy):
    dx = np.zeros_like(x)
    np.put_along_axis(dx, x.argsort(-1, kind="stable"), dy, -1)
    return [dx]


@by_hand("embedding")
def embedding_added_up(w, indices, dy):
    dw = np.zeros_like(w)
    np.add.at(dw, indices, dy)
    return [dw]


@by_hand("segment_sum")
def segment_gathered(x, segments, dy):
    return [dy[segments]]
