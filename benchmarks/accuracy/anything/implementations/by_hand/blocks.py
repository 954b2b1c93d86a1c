"""Attention, products, blocks, convolutions and recurrences."""

import math

import numpy as np

from benchmarks.accuracy.anything.implementations.by_hand.registry import by_hand, sigmoid, softmax

# attention


@by_hand("softmax")
def softmax_fused(x, dy):
    y = softmax(x)
    return [y * (dy - (y * dy).sum(-1, keepdims=True))]


@by_hand("softmax")
def softmax_split(x, dy):
    y = softmax(x)
    return [y * dy - y * (y * dy).sum(-1, keepdims=True)]


@by_hand("log_softmax")
def log_softmax_fused(x, dy):
    return [dy - softmax(x) * dy.sum(-1, keepdims=True)]


def _attention_back(q, k, v, dy, hidden=None):
    """From the saved logarithm of the normaliser, as fused kernels do."""
    scale = q.dtype.type(1 / math.sqrt(q.shape[-1]))
    s = q @ k.swapaxes(-1, -2) * scale
    s = s if hidden is None else np.where(hidden, -np.inf, s)
    m = s.max(-1, keepdims=True)
    normaliser = m + np.log(np.exp(s - m).sum(-1, keepdims=True))
    p = np.exp(s - normaliser)
    delta = (dy * (p @ v)).sum(-1, keepdims=True)
    ds = p * (dy @ v.swapaxes(-1, -2) - delta)
    return ds @ k * scale, ds.swapaxes(-1, -2) @ q * scale, p.swapaxes(-1, -2) @ dy


@by_hand("causal_attention")
def causal_fused(q, k, v, dy):
    t = q.shape[2]
    return list(_attention_back(q, k, v, dy, np.triu(np.ones((t, t), bool), 1)))


@by_hand("padded_attention")
def padded_attention_fused(q, k, v, padding, dy):
    return list(_attention_back(q, k, v, dy, ~padding[:, None, None, :]))


@by_hand("grouped_query_attention")
def grouped_fused(q, k, v, dy):
    dq, dk, dv = _attention_back(q, k[:, :, None], v[:, :, None], dy)
    return [dq, dk.sum(2), dv.sum(2)]


@by_hand("rotary_embedding")
def rotary_turned_back(x, dy):
    half = x.shape[-1] // 2
    angle = np.arange(x.shape[2])[:, None] * 10000.0 ** (-np.arange(half) / half)
    c, s = np.cos(angle).astype(x.dtype), np.sin(angle).astype(x.dtype)
    a, b = dy[..., :half], dy[..., half:]
    return [np.concatenate([a * c + b * s, b * c - a * s], -1)]


# matrices, blocks


@by_hand("linear")
def linear_direct(x, w, b, dy):
    return [dy @ w, dy.T @ x, dy.sum(0)]


@by_hand("low_rank_adapter")
def adapter_direct(x, w, down, up, dy):
    d = 2 * (dy @ up.T)
    return [dy @ w.T + d @ down.T, x.T @ dy, x.T @ d, 2 * (x @ down).T @ dy]


@by_hand("inverse")
def inverse_direct(a, dy):
    y = np.linalg.inv(a)
    return [-(y.T @ dy @ y.T)]


@by_hand("solve")
def solve_by_inverse(a, b, dy):
    y = np.linalg.inv(a)
    g = y.T @ dy
    return [-g @ (y @ b).T, g]


@by_hand("log_determinant")
def log_determinant_by_inverse(a, dy):
    return [dy * np.linalg.inv(a).T]


@by_hand("distances")
def distances_direct(x, y, dy):
    c = dy / np.sqrt(((x[:, None] - y) ** 2).sum(-1))
    return [c.sum(1)[:, None] * x - c @ y, c.sum(0)[:, None] * y - c.T @ x]


@by_hand("swiglu")
def swiglu_recomputed(x, gate, up, down, dy):
    g, u = x @ gate, x @ up
    s = sigmoid(g)
    dh = dy @ down.T
    dg, du = dh * u * s * (1 + g * (1 - s)), dh * g * s
    return [dg @ gate.T + du @ up.T, x.T @ dg, x.T @ du, (g * s * u).T @ dy]


@by_hand("feed_forward")
def feed_forward_direct(x, w, b, v, c, dy):
    h = np.maximum(x @ w + b, 0)
    dh = dy @ v.T * (h > 0)
    return [dy + dh @ w.T, x.T @ dh, dh.sum(0), h.T @ dy, dy.sum(0)]


@by_hand("dropout_add")
def dropout_multiplied(x, residual, kept, dy):
    return [dy * kept * x.dtype.type(1 / 0.7), dy]


# convolutions and recurrences


@by_hand("conv1d")
def conv1d_by_shifts(x, w, b, dy):
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1)))
    dpadded, dw = np.zeros_like(padded), np.zeros_like(w)
    for j in range(w.shape[2]):
        at = slice(j, j + 2 * dy.shape[2] - 1, 2)
        dpadded[:, :, at] += np.einsum("bot,oc->bct", dy, w[:, :, j])
        dw[:, :, j] = np.einsum("bot,bct->oc", dy, padded[:, :, at])
    return [dpadded[:, :, 1:-1], dw, dy.sum((0, 2))]


@by_hand("average_pool")
def average_pool_by_shifts(x, dy):
    dx = np.zeros_like(x)
    h, w = dy.shape[2:]
    for i in range(3):
        for j in range(3):
            dx[:, :, i : i + 2 * h - 1 : 2, j : j + 2 * w - 1 : 2] += dy / 9
    return [dx]


@by_hand("simple_rnn")
def rnn_by_steps(x, wi, wh, bi, bh, dy):
    hidden = [np.zeros((x.shape[1], wh.shape[1]), x.dtype)]
    for x_t in x:
        hidden.append(np.tanh(x_t @ wi.T + hidden[-1] @ wh.T + (bi + bh)))
    dh, dx = np.zeros_like(hidden[0]), np.zeros_like(x)
    dwi, dwh, db = np.zeros_like(wi), np.zeros_like(wh), np.zeros_like(bi)
    for t in reversed(range(len(x))):
        dz = (dy[t] + dh) * (1 - hidden[t + 1] ** 2)
        dwi, dwh, db = dwi + dz.T @ x[t], dwh + dz.T @ hidden[t], db + dz.sum(0)
        dx[t], dh = dz @ wi, dz @ wh
    return [dx, dwi, dwh, db, db]


@by_hand("lstm")
def lstm_by_steps(x, wi, wh, bi, bh, dy):
    n = wh.shape[1]
    h = c = np.zeros((x.shape[1], n), x.dtype)
    tape = []
    for x_t in x:
        z = x_t @ wi.T + h @ wh.T + (bi + bh)
        i, f, o, g = (
            sigmoid(z[:, :n]),
            sigmoid(z[:, n : 2 * n]),
            sigmoid(z[:, 3 * n :]),
            np.tanh(z[:, 2 * n : 3 * n]),
        )
        new = f * c + i * g
        tape.append((x_t, h, c, i, f, g, o, np.tanh(new)))
        h, c = o * np.tanh(new), new
    dh = dc = np.zeros_like(h)
    dx, dwi, dwh, db = np.zeros_like(x), np.zeros_like(wi), np.zeros_like(wh), np.zeros_like(bi)
    for t in reversed(range(len(x))):
        x_t, h, c, i, f, g, o, squashed = tape[t]
        dh = dh + dy[t]
        dc = dc + dh * o * (1 - squashed**2)
        dz = np.concatenate(
            [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g), dh * squashed * o * (1 - o)], 1
        )
        dwi, dwh, db = dwi + dz.T @ x_t, dwh + dz.T @ h, db + dz.sum(0)
        dx[t], dh, dc = dz @ wi, dz @ wh, dc * f
    return [dx, dwi, dwh, db, db]


@by_hand("linear_recurrence")
def recurrence_by_steps(x, decay, dy):
    states = [np.zeros_like(x[0])]
    for x_t, d in zip(x, decay, strict=True):
        states.append(d * states[-1] + x_t)
    dx, g = np.zeros_like(x), np.zeros_like(x[0])
    ddecay = np.zeros_like(x)
    for t in reversed(range(len(x))):
        g = g + dy[t]
        dx[t], ddecay[t] = g, g * states[t]
        g = g * decay[t]
    return [dx, ddecay]
