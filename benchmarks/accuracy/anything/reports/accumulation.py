"""Reports of sums that ran in 16 bits though the kernel was meant to add in float32."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from benchmarks.accuracy.anything.operations import OPERATIONS, Question
from benchmarks.accuracy.anything.operations.registry import rounded
from benchmarks.accuracy.anything.reports.registry import Gradients, Report


def added_up(terms: Iterable[Any], dtype: str) -> Any:
    """Their sum, one after the other, rounded to the dtype after each addition."""
    total: Any = np.float64(0.0)
    for term in terms:
        total = rounded(total + rounded(term, dtype), dtype)
    return total


def _normalised_rows(asked: Question) -> tuple[Any, Any]:
    x = asked.floats[0]
    centred = x - x.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return centred * rstd, rstd


def _layer_norm(asked: Question, dtype: str, sums: str) -> Gradients:
    h, rstd = _normalised_rows(asked)
    g = asked.ct * asked.floats[1]
    dx = rstd * (g - g.mean(-1, keepdims=True) - h * (g * h).mean(-1, keepdims=True))
    dw, db = added_up(asked.ct * h, sums), added_up(asked.ct, sums)
    return [rounded(x, dtype) for x in (dx, dw, db)]


def _rows(dtype: str, n: int, d: int) -> Question:
    rng = np.random.default_rng(428)
    floats = (rng.normal(size=(n, d)), rng.normal(size=d), rng.normal(size=d))
    return Question(tuple(rounded(x, dtype) for x in floats), (), rounded(rng.normal(size=(n, d)), dtype))


def _tokens(dtype: str, n: int, like: float) -> Question:
    """Many tokens of few words, whose cotangents are alike."""
    rng = np.random.default_rng(53386)
    weight, tokens = rounded(rng.normal(size=(5, 4)), dtype), rng.integers(5, size=n).astype(np.int32)
    return Question((weight,), (tokens,), rounded(like + 0.1 * rng.normal(size=(n, 4)), dtype))


def _embedding(asked: Question, dtype: str, sums: str) -> Gradients:
    tokens, words = asked.constants[0], range(len(asked.floats[0]))
    return [rounded(np.stack([added_up(asked.ct[tokens == word], sums) for word in words]), dtype)]


def _group_norm(asked: Question, dtype: str, sums: str) -> Gradients:
    x, weight, _ = asked.floats
    grouped, g = x.reshape(len(x), 2, -1), (asked.ct * weight[:, None]).reshape(len(x), 2, -1)
    centred = grouped - grouped.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    h = centred * rstd
    dx = rstd * (g - g.mean(-1, keepdims=True) - h * (g * h).mean(-1, keepdims=True))
    by_sample = (asked.ct * h.reshape(x.shape)).sum(2), asked.ct.sum(2)
    return [rounded(g, dtype) for g in (dx.reshape(x.shape), *(added_up(s, sums) for s in by_sample))]


def _images(dtype: str) -> Question:
    rng = np.random.default_rng(1253)
    floats = (rng.normal(size=(24, 4, 12)), rng.normal(size=4), rng.normal(size=4))
    return Question(tuple(rounded(x, dtype) for x in floats), (), rounded(rng.normal(size=(24, 4, 12)), dtype))


ACCUMULATED = [
    Report(
        "layer norm's atomics",
        "sums in 16 bits",
        "https://github.com/karpathy/llm.c/pull/476",
        "the weight's gradient is added up in bfloat16 by atomic additions",
        "bfloat16",
        "bfloat16 in float32",
        OPERATIONS["layer_norm"],
        lambda: _rows("bfloat16", 2000, 8),
        lambda q: _layer_norm(q, "bfloat16", "bfloat16"),
        lambda q: _layer_norm(q, "bfloat16", "float32"),
    ),
    Report(
        "tokens that come often, bfloat16",
        "sums in 16 bits",
        "https://github.com/tenstorrent/tt-metal/pull/53386",
        "the gradient of an embedding drops what it adds to a large sum",
        "bfloat16",
        "bfloat16 in float32",
        OPERATIONS["embedding"],
        lambda: _tokens("bfloat16", 3000, 1.0),
        lambda q: _embedding(q, "bfloat16", "bfloat16"),
        lambda q: _embedding(q, "bfloat16", "float32"),
    ),
    Report(
        "tokens that come often, float16",
        "sums in 16 bits",
        "https://github.com/apache/mxnet/issues/17703",
        "the gradient of an embedding stops growing",
        "float16",
        "float16 in float32",
        OPERATIONS["embedding"],
        lambda: _tokens("float16", 3000, 0.01),
        lambda q: _embedding(q, "float16", "float16"),
        lambda q: _embedding(q, "float16", "float32"),
    ),
    Report(
        "group norm's atomics",
        "sums in 16 bits",
        "https://github.com/linkedin/Liger-Kernel/pull/1253",
        "float16 gradients are rounded to bfloat16 before they are added up",
        "float16",
        "float16 in float32",
        OPERATIONS["group_norm"],
        lambda: _images("float16"),
        lambda q: _group_norm(q, "float16", "bfloat16"),
        lambda q: _group_norm(q, "float16", "float32"),
    ),
]
