"""Windows that go over an array: convolutions and pooling.

Letters: r rows of the stack, n samples, g groups, c channels and f features of a group, o places, k taps of a window.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from functional_mlp.oracle.traced.diagnosis.replay.linear import Stacked
from functional_mlp.oracle.traced.diagnosis.replay.tape import Step

BLOCK = 4_000_000  # numbers that windows of several rows are made of at once


class _Window(NamedTuple):
    """Which entry each tap sees at each place: (places, taps), and whether there is one."""

    index: Any
    inside: Any


def _window(
    lengths: Any, taps: Any, strides: Any, padding: Any, base: Any, dilation: Any
) -> tuple[_Window, tuple[int, ...]]:
    """Of axes of these lengths; the places of all axes, and of all taps, are flattened."""
    index, inside = np.zeros((1, 1), np.int64), np.ones((1, 1), bool)
    places = []
    for n, k, stride, (low, high), between, far in zip(lengths, taps, strides, padding, base, dilation, strict=True):
        span, reach = (n - 1) * between + 1 if n else 0, (k - 1) * far + 1
        count = max(0, (low + span + high - reach) // stride + 1)
        at = np.arange(count)[:, None] * stride + np.arange(k)[None] * far - low
        fits = (at >= 0) & (at < span) & (at % between == 0)
        at = np.where(fits, at // between, 0)
        index = (index[:, None, :, None] * n + at[None, :, None, :]).reshape(len(index) * count, -1)
        inside = (inside[:, None, :, None] & fits[None, :, None, :]).reshape(index.shape)
        places.append(count)
    return _Window(index, inside), tuple(places)


def _back_to_entries(parts: Any, window: _Window, size: int, *, written: bool = False) -> Any:
    """Of (..., places, taps) the sum of what each entry is seen in; or, `written`, what is not 0 and comes last."""
    out = np.zeros((*parts.shape[:-2], size))
    for k in range(window.index.shape[1]):
        fits = window.inside[:, k]
        where, part = window.index[fits, k], parts[..., fits, k]
        out[..., where] = np.where(part != 0, part, out[..., where]) if written else out[..., where] + part
    return out


# convolutions


class _Convolution(NamedTuple):
    """A convolution with its axes in the order (samples, groups, channels, places) and (groups, features, ...)."""

    window: _Window
    groups: int
    x: Any
    kernel: Any
    out: tuple[int, ...]


def _rows(step: Step, t: Any, j: int) -> Any:
    """A stack of operand j, its axes in order and grouped: (r, n, g, c, entries) or (r, g, f, c, taps)."""
    numbers, groups = step.params["dimension_numbers"], step.params["feature_group_count"]
    spec = numbers.lhs_spec if j == 0 else numbers.rhs_spec
    t = t.transpose(0, *(a + 1 for a in spec))
    if j == 0:
        return t.reshape(*t.shape[:2], groups, t.shape[2] // groups, -1)
    return t.reshape(len(t), groups, t.shape[1] // groups, t.shape[2], -1)


def _unordered(step: Step, t: Any, x: Any, j: int) -> Any:
    numbers = step.params["dimension_numbers"]
    spec = numbers.lhs_spec if j == 0 else numbers.rhs_spec
    t = t.reshape(len(t), *(x.shape[a] for a in spec))
    return t.transpose(0, *(1 + int(a) for a in np.argsort(spec)))


def _convolution(step: Step, x: list[Any]) -> _Convolution:
    p, numbers = step.params, step.params["dimension_numbers"]
    lengths = [x[0].shape[a] for a in numbers.lhs_spec[2:]]
    taps = [x[1].shape[a] for a in numbers.rhs_spec[2:]]
    window, out = _window(lengths, taps, p["window_strides"], p["padding"], p["lhs_dilation"], p["rhs_dilation"])
    return _Convolution(
        window, p["feature_group_count"], _rows(step, x[0][None], 0)[0], _rows(step, x[1][None], 1)[0], out
    )


def _seen(window: _Window, t: Any) -> Any:
    """(..., entries) -> (..., places, taps)."""
    return np.where(window.inside, t[..., window.index], 0.0)


def _result(step: Step, y: Any, made: _Convolution) -> Any:
    """(r, g, n, o, f) as the convolution's own result."""
    r, g, n, _, f = y.shape
    y = y.transpose(0, 2, 1, 4, 3).reshape(r, n, g * f, *made.out)
    return y.transpose(0, *(1 + int(a) for a in np.argsort(step.params["dimension_numbers"].out_spec)))


def _product(seen: Any, kernel: Any) -> Any:
    """(r, n, g, c, o, k) and (r, g, f, c, k) -> (r, g, n, o, f)."""
    r, n, g, c, o, k = seen.shape
    left = seen.transpose(0, 2, 1, 4, 3, 5).reshape(r, g, n * o, c * k)
    right = kernel.reshape(*kernel.shape[:3], c * k).swapaxes(-1, -2)
    return np.matmul(left, right).reshape(max(r, len(kernel)), g, n, o, -1)


def _in_blocks(rows: Any, each: int, function: Any) -> Any:
    block = max(1, BLOCK // max(each, 1))
    return np.concatenate([function(rows[i : i + block]) for i in range(0, len(rows), block)])


def convolved(step: Step, x: list[Any], tangents: list[Stacked]) -> Stacked:
    """The tangents of a convolution."""
    made, total = _convolution(step, x), None
    if tangents[0] is not None:
        each = made.x.size * made.window.index.shape[1]
        y = _in_blocks(_rows(step, tangents[0], 0), each, lambda t: _product(_seen(made.window, t), made.kernel[None]))
        total = _result(step, y, made)
    if tangents[1] is not None:
        y = _product(_seen(made.window, made.x[None]), _rows(step, tangents[1], 1))
        total = _result(step, y, made) if total is None else total + _result(step, y, made)
    return total


def convolved_back(step: Step, x: list[Any], ct: Any) -> list[Stacked]:
    """The cotangents of the two operands of a convolution."""
    made = _convolution(step, x)
    n, g, c, entries = made.x.shape
    f, taps, places = made.kernel.shape[1], made.kernel.shape[-1], math.prod(made.out)
    ct = ct.transpose(0, *(1 + a for a in step.params["dimension_numbers"].out_spec))
    ct = ct.reshape(len(ct), n, g, f, places).transpose(0, 2, 1, 4, 3).reshape(len(ct), g, n * places, f)

    def to_entries(some: Any) -> Any:
        parts = np.matmul(some, made.kernel.reshape(g, f, c * taps))
        parts = parts.reshape(len(some), g, n, places, c, taps).transpose(0, 2, 1, 4, 3, 5)
        return _back_to_entries(parts, made.window, entries)

    own = _in_blocks(ct, n * g * c * places * taps, to_entries)
    seen = _seen(made.window, made.x).transpose(1, 0, 3, 2, 4).reshape(g, n * places, c * taps)
    kernel = np.matmul(ct.swapaxes(-1, -2), seen)
    return [_unordered(step, own, x[0], 0), _unordered(step, kernel, x[1], 1)]


# pooling


def _pooling(step: Step, x: Any) -> _Window:
    p, n = step.params, x.ndim
    base, dilation = p.get("base_dilation") or (1,) * n, p.get("window_dilation") or (1,) * n
    return _window(x.shape, p["window_dimensions"], p["window_strides"], p["padding"], base, dilation)[0]


def _shares(step: Step, x: Any, window: _Window) -> Any:
    """How much of each tap is in the result at each place: of the largest one the first."""
    if step.name == "reduce_window_sum":
        return window.inside.astype(np.float64)
    sign = 1.0 if step.name == "reduce_window_max" else -1.0
    seen = np.where(window.inside, sign * x.ravel()[window.index], -np.inf)
    return (np.arange(seen.shape[1]) == seen.argmax(1)[:, None]) & window.inside


def pooled(step: Step, x: list[Any], y: list[Any], t: Any) -> Any:
    """The tangents of a pooling."""
    window = _pooling(step, x[0])
    shares = _shares(step, x[0], window)
    rows = _in_blocks(t.reshape(len(t), -1), window.index.size, lambda some: (some[:, window.index] * shares).sum(-1))
    return rows.reshape(len(t), *y[0].shape)


def pooled_back(step: Step, x: list[Any], ct: Any, *, written: bool = False) -> Any:
    """The cotangents of what is pooled; `written`: where windows overlap, only what comes last."""
    window = _pooling(step, x[0])
    shares = _shares(step, x[0], window)
    rows = _in_blocks(
        ct.reshape(len(ct), -1, 1),
        window.index.size,
        lambda some: _back_to_entries(some * shares, window, x[0].size, written=written),
    )
    return rows.reshape(len(ct), *x[0].shape)


POOLINGS = frozenset({"reduce_window_sum", "reduce_window_max", "reduce_window_min"})
