"""The operations in PyTorch on the CPU, whose own backward passes are asked; nothing here is imported without it."""

import functools
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.accuracy.anything.operations import Operation, Question


def has_torch() -> bool:
    """Whether PyTorch is installed."""
    return importlib.util.find_spec("torch") is not None


def gradients(operation: Operation, question: Question, dtype: str) -> list[Any] | None:
    """What autograd gives in a dtype; None if PyTorch has no such operation, or not in this dtype."""
    import torch

    function = functions().get(operation.name)
    if function is None:
        return None
    floats = [torch.tensor(x).to(getattr(torch, dtype)).requires_grad_() for x in question.floats]
    constants = [torch.tensor(x if x.dtype == bool else x.astype(np.int64)) for x in question.constants]
    try:
        y = function(*floats, *constants)
        ct = torch.tensor(question.ct).to(y.dtype).reshape(y.shape)
        found = torch.autograd.grad(y, floats, ct, allow_unused=True, materialize_grads=True)
    except (RuntimeError, NotImplementedError):  # "... not implemented for 'Half'"
        return None
    return [x.to(torch.float64).numpy() for x in found]


@functools.cache
def functions() -> Mapping[str, Callable[..., Any]]:
    """The operations by name."""
    import torch
    import torch.nn.functional as F  # noqa: N812

    def causal(t, s=None):
        return torch.ones(t, s or t, dtype=torch.bool).tril()

    def attention(q, k, v, mask=None, **options):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, **options)

    def windowed_attention(q, k, v):
        distance = torch.arange(q.shape[2])[:, None] - torch.arange(k.shape[2])
        return attention(q, k, v, (distance >= 0) & (distance < 3))

    def grouped_query_attention(q, k, v):
        b, h, g, t, d = q.shape
        return attention(q.reshape(b, h * g, t, d), k, v, enable_gqa=True).reshape(b, h, g, t, d)

    def capped_attention(q, k, v):
        scores = 2 * torch.tanh(q @ k.mT * q.shape[-1] ** -0.5 / 2)
        return F.softmax(scores, -1) @ v

    def attention_with_dropout(q, k, v, kept):
        return (F.softmax(q @ k.mT / q.shape[-1] ** 0.5, -1) * kept / 0.8) @ v

    def linear_attention(q, k, v):
        q, k = F.elu(q) + 1, F.elu(k) + 1
        return q @ (k.mT @ v) / (q @ k.sum(2)[..., None])

    def rotary_embedding(x):
        half = x.shape[-1] // 2
        angle = torch.arange(x.shape[2])[:, None] * 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
        turned = torch.cat([-x[..., half:], x[..., :half]], -1)
        return x * angle.cos().repeat(1, 2).to(x.dtype) + turned * angle.sin().repeat(1, 2).to(x.dtype)

    def cosine_loss(x, y):
        similarity = F.normalize(x, dim=-1) @ F.normalize(y, dim=-1).T / 0.07
        return F.cross_entropy(similarity, torch.arange(len(x)))

    def z_loss(x, labels):
        return F.cross_entropy(x, labels) + 1e-2 * (torch.logsumexp(x, -1) ** 2).mean()

    def focal(x, targets):
        return (targets.detach() * (1 - x.sigmoid()) ** 2 * -F.logsigmoid(x)).sum(-1)

    def weight_norm(direction, gain):
        return torch._weight_norm(direction, gain[:, None], 0)

    def gated(activation):
        return lambda x, gate, up, down: (activation(x @ gate) * (x @ up)) @ down

    def mixture_of_experts(x, router, weights):
        return torch.einsum("ne,nd,edf->nf", F.softmax(x @ router, -1), x, weights)

    def residual_rms_norm(x, residual, weight):
        total = x + residual
        return torch.cat([F.rms_norm(total, weight.shape, weight, 1e-6), total])

    def transformer_block(x, scale_1, shift_1, qkv, out, scale_2, shift_2, up, up_bias, down, down_bias):
        b, t, d = x.shape
        first = F.layer_norm(x, (d,), scale_1, shift_1)
        q, k, v = (z.reshape(b, t, 2, -1).transpose(1, 2) for z in (first @ qkv).split(d, -1))
        x = x + attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, d) @ out
        second = F.layer_norm(x, (d,), scale_2, shift_2)
        return x + F.gelu(second @ up + up_bias) @ down + down_bias

    def recurrent(function, states=1):
        def run(x, wi, wh, bi, bh):
            start = torch.zeros(1, x.shape[1], wh.shape[1], dtype=x.dtype)
            given = (start,) * states if states > 1 else start
            return function(x, given, [wi, wh, bi, bh], True, 1, 0.0, True, False, False)[0]

        return run

    def rnn_with_zoneout(x, wi, wh, bi, bh, held):
        hidden, found = torch.zeros(x.shape[1], wh.shape[1], dtype=x.dtype), []
        for x_t, held_t in zip(x, held, strict=True):
            hidden = torch.where(held_t, hidden, torch.tanh(F.linear(x_t, wi, bi) + F.linear(hidden, wh, bh)))
            found.append(hidden)
        return torch.stack(found)

    def linear_recurrence(x, decay):
        state, found = torch.zeros_like(x[0]), []
        for x_t, decay_t in zip(x, decay, strict=True):
            state = decay_t * state + x_t
            found.append(state)
        return torch.stack(found)

    def segment_sum(x, segments):
        return torch.zeros(12, x.shape[1], dtype=x.dtype).index_add(0, segments, x)

    def channel_norm(function):
        return lambda x, w, b: function(x) * w[:, None] + b[:, None]

    return {
        "gelu": F.gelu,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
        "silu": F.silu,
        "mish": F.mish,
        "softplus": lambda x: F.softplus(x, threshold=40),
        "log_sigmoid": F.logsigmoid,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "elu": F.elu,
        "selu": F.selu,
        "relu": F.relu,
        "leaky_relu": F.leaky_relu,
        "relu_squared": lambda x: F.relu(x).square(),
        "hardswish": F.hardswish,
        "hardtanh": F.hardtanh,
        "softsign": F.softsign,
        "glu": F.glu,
        "layer_norm": lambda x, w, b: F.layer_norm(x, w.shape, w, b),
        "layer_norm_of_sequence": lambda x, w, b: F.layer_norm(x, w.shape, w, b),
        "rms_norm": lambda x, w: F.rms_norm(x, w.shape, w, 1e-6),
        "gemma_rms_norm": lambda x, w: F.rms_norm(x, w.shape, None, 1e-6) * (1 + w),
        "batch_norm": lambda x, w, b: F.batch_norm(x, None, None, w, b, True),
        "batch_norm_inference": lambda x, w, b, m, v: (
            (x - m[:, None]) * torch.rsqrt(v + 1e-5)[:, None] * w[:, None] + b[:, None]
        ),
        "group_norm": lambda x, w, b: F.group_norm(x, 2, w, b),
        "instance_norm": channel_norm(F.instance_norm),
        "l2_normalise": lambda x: F.normalize(x, dim=-1),
        "weight_norm": weight_norm,
        "cross_entropy": F.cross_entropy,
        "smoothed_cross_entropy": lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1),
        "weighted_cross_entropy": lambda x, w, t: F.cross_entropy(x, t, w.detach()),
        "cross_entropy_with_padding": lambda x, t: F.cross_entropy(x, t, ignore_index=-100),
        "cross_entropy_with_z_loss": z_loss,
        "binary_cross_entropy": F.binary_cross_entropy_with_logits,
        "focal_loss": focal,
        "mean_squared_error": F.mse_loss,
        "huber": F.huber_loss,
        "kullback_leibler": lambda x, y: F.kl_div(
            F.log_softmax(x, -1), F.log_softmax(y, -1), reduction="batchmean", log_target=True
        ),
        "cosine_similarity": lambda x, y: F.cosine_similarity(x, y, -1),
        "contrastive": cosine_loss,
        "gaussian_likelihood": lambda m, s: 0.5 * (s + (m - 0.3) ** 2 * torch.exp(-s)).sum(-1),
        "hinge": lambda x, y: F.relu(1 - x * y).sum(-1),
        "softmax": lambda x: F.softmax(x, -1),
        "log_softmax": lambda x: F.log_softmax(x, -1),
        "causal_attention": lambda q, k, v: attention(q, k, v, is_causal=True),
        "padded_attention": lambda q, k, v, padding: attention(q, k, v, padding[:, None, None, :]),
        "grouped_query_attention": grouped_query_attention,
        "capped_attention": capped_attention,
        "windowed_attention": windowed_attention,
        "attention_with_dropout": attention_with_dropout,
        "linear_attention": linear_attention,
        "rotary_embedding": rotary_embedding,
        "linear": F.linear,
        "low_rank_adapter": lambda x, w, down, up: x @ w + 2 * (x @ down) @ up,
        "batched_product": torch.matmul,
        "einsum": lambda x, y, z: torch.einsum("bij,bjk,bik->bk", x, y, z),
        "bilinear": F.bilinear,
        "inverse": torch.linalg.inv,
        "solve": torch.linalg.solve,
        "cholesky": lambda a: torch.linalg.cholesky((a + a.mT) / 2),
        "log_determinant": torch.logdet,
        "distances": torch.cdist,
        "swiglu": gated(F.silu),
        "geglu": gated(lambda x: F.gelu(x, approximate="tanh")),
        "feed_forward": lambda x, w, b, v, c: x + F.relu(x @ w + b) @ v + c,
        "dropout_add": lambda x, residual, kept: residual + x * kept / 0.7,
        "residual_rms_norm": residual_rms_norm,
        "mixture_of_experts": mixture_of_experts,
        "transformer_block": transformer_block,
        "conv1d": lambda x, w, b: F.conv1d(x, w, b, 2, 1),
        "causal_conv1d": lambda x, w, b: F.conv1d(F.pad(x, (w.shape[2] - 1, 0)), w, b),
        "conv2d": lambda x, w, b: F.conv2d(x, w, b, 2, 1),
        "grouped_conv2d": lambda x, w, b: F.conv2d(x, w, b, 1, 2, 2, 2),
        "depthwise_conv2d": lambda x, w: F.conv2d(x, w, None, 1, 1, groups=len(w)),
        "conv_transpose2d": lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1),
        "average_pool": lambda x: F.avg_pool2d(x, 3, 2),
        "max_pool": lambda x: F.max_pool2d(x, 3, 2),
        "bilinear_resize": lambda x: F.interpolate(x, (2 * x.shape[2] - 1, 2 * x.shape[3] + 3), mode="bilinear"),
        "pixel_shuffle": lambda x: F.pixel_shuffle(x, 2),
        "simple_rnn": recurrent(torch.rnn_tanh),
        "rnn_with_zoneout": rnn_with_zoneout,
        "lstm": recurrent(torch.lstm, states=2),
        "gru": recurrent(torch.gru),
        "linear_recurrence": linear_recurrence,
        "logsumexp": lambda x: torch.logsumexp(x, -1),
        "euclidean_norm": lambda x: torch.linalg.vector_norm(x, dim=-1),
        "standard_deviation": lambda x: x.std(-1),
        "cumulative_sum": lambda x: torch.cumsum(x, -1),
        "product": lambda x: torch.prod(x, -1),
        "cumulative_product": lambda x: torch.cumprod(x, -1),
        "largest": lambda x: torch.amax(x, -1),
        "sort": lambda x: torch.sort(x, -1)[0],
        "top_three": lambda x: torch.topk(x, 3)[0],
        "mean_absolute": lambda x: x.abs().mean(-1),
        "embedding": lambda w, i: F.embedding(i, w),
        "embedding_bag": lambda w, i: F.embedding_bag(i, w, mode="mean"),
        "embedding_bag_max": lambda w, i: F.embedding_bag(i, w, mode="max"),
        "segment_sum": segment_sum,
        "mean_pool": lambda x: x.mean(0),
    }
