"""Operations that are linear in all that moves: how stacks of tangents go forward through them, and cotangents back.

By name two functions of (params, operands, results, stacked tangents or cotangents).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Stacked = Any  # an array with a first axis more than the value that it belongs to, or None: all zeros
Rule = Callable[[Any, list[Any], list[Any], list[Stacked]], list[Stacked]]


def _one(forward: Callable[[Any, Any, Any, Any], Any], back: Callable[[Any, Any, Any, Any], Any]) -> tuple[Rule, Rule]:
    """The rules of an operation on its first operand: functions of (params, stacked, x, y)."""

    def pushed(p: Any, x: list[Any], y: list[Any], tangents: list[Stacked]) -> list[Stacked]:
        return [None if tangents[0] is None else forward(p, tangents[0], x[0], y[0])]

    def pulled(p: Any, x: list[Any], y: list[Any], cts: list[Stacked]) -> list[Stacked]:
        return [back(p, cts[0], x[0], y[0]), *[None] * (len(x) - 1)]

    return pushed, pulled


def _later(axes: Any) -> tuple[int, ...]:
    return tuple(a + 1 for a in axes)


def _reshaped(p: Any, t: Any, x: Any, y: Any) -> Any:
    return t.reshape(len(t), *y.shape)


def _shaped_back(p: Any, ct: Any, x: Any, y: Any) -> Any:
    return ct.reshape(len(ct), *x.shape)


def _broadcast(p: Any, t: Any, x: Any, y: Any) -> Any:
    sizes = [1] * y.ndim
    for axis, n in zip(p["broadcast_dimensions"], x.shape, strict=True):
        sizes[axis] = n
    return np.broadcast_to(t.reshape(len(t), *sizes), (len(t), *y.shape))


def broadcast_axes(p: Any, x: Any, y: Any) -> tuple[int, ...]:
    """The axes of the result along which one number of the operand stands again and again."""
    there = dict(zip(p["broadcast_dimensions"], x.shape, strict=True))
    return tuple(a for a in range(y.ndim) if (there.get(a, 1) == 1 and y.shape[a] != 1) or a not in there)


def _broadcast_back(p: Any, ct: Any, x: Any, y: Any) -> Any:
    return ct.sum(_later(broadcast_axes(p, x, y))).reshape(len(ct), *x.shape)


def _reduced(p: Any, t: Any, x: Any, y: Any) -> Any:
    return t.sum(_later(p["axes"]))


def spread(p: Any, ct: Any, x: Any, y: Any) -> Any:
    """A number for each sum, beside each of its terms."""
    return np.broadcast_to(np.expand_dims(ct, _later(p["axes"])), (len(ct), *x.shape))


def _extreme_share(p: Any, x: Any, y: Any) -> Any:
    chosen = x == np.expand_dims(y, tuple(p["axes"]))
    return chosen / chosen.sum(tuple(p["axes"]), keepdims=True)


def _slice_of(p: Any, x: Any) -> tuple[slice, ...]:
    return tuple(map(slice, p["start_indices"], p["limit_indices"], p["strides"] or (1,) * x.ndim))


def _placed(ct: Any, x: Any, where: Any) -> Any:
    out = np.zeros((len(ct), *x.shape))
    out[(slice(None), *where)] = ct
    return out


def _running(p: Any, t: Any, *, reverse: bool) -> Any:
    axis = p["axis"] + 1
    return np.flip(np.cumsum(np.flip(t, axis), axis), axis) if reverse else np.cumsum(t, axis)


def _rolled_back(p: Any, ct: Any, x: Any, y: Any) -> Any:
    return ct.transpose(0, *(1 + int(a) for a in np.argsort(p["permutation"])))


def _select(p: Any, x: list[Any], y: list[Any], tangents: list[Stacked]) -> list[Stacked]:
    parts = [np.where(x[0] == j, t, 0.0) for j, t in enumerate(tangents[1:]) if t is not None]
    return [sum(parts[1:], parts[0])]


def _select_back(p: Any, x: list[Any], y: list[Any], cts: list[Stacked]) -> list[Stacked]:
    return [None, *(np.where(x[0] == j, cts[0], 0.0) for j in range(len(x) - 1))]


def _joined(p: Any, x: list[Any], y: list[Any], tangents: list[Stacked]) -> list[Stacked]:
    k = next(len(t) for t in tangents if t is not None)
    parts = [np.zeros((k, *a.shape)) if t is None else t for a, t in zip(x, tangents, strict=True)]
    return [np.concatenate(parts, p["dimension"] + 1)]


def _split_back_of_join(p: Any, x: list[Any], y: list[Any], cts: list[Stacked]) -> list[Stacked]:
    ends = np.cumsum([a.shape[p["dimension"]] for a in x])[:-1]
    return list(np.split(cts[0], ends, p["dimension"] + 1))


def _split(p: Any, x: list[Any], y: list[Any], tangents: list[Stacked]) -> list[Stacked]:
    return list(np.split(tangents[0], np.cumsum(p["sizes"])[:-1], p["axis"] + 1))


def _join_back_of_split(p: Any, x: list[Any], y: list[Any], cts: list[Stacked]) -> list[Stacked]:
    k = next(len(ct) for ct in cts if ct is not None)
    parts = [np.zeros((k, *a.shape)) if ct is None else ct for a, ct in zip(y, cts, strict=True)]
    return [np.concatenate(parts, p["axis"] + 1)]


def _stacked(p: Any, x: list[Any], y: list[Any], tangents: list[Stacked]) -> list[Stacked]:
    k = next(len(t) for t in tangents if t is not None)
    parts = [np.zeros((k, *a.shape)) if t is None else t for a, t in zip(x, tangents, strict=True)]
    return [np.stack(parts, 1)]


def _rows_back(p: Any, x: list[Any], y: list[Any], cts: list[Stacked]) -> list[Stacked]:
    return [cts[0][:, t] for t in range(len(x))]


def _dynamic_slice(x: list[Any], sizes: Any) -> tuple[slice, ...]:
    starts = [int(np.clip(i, 0, n - m)) for i, n, m in zip(x[1:], x[0].shape, sizes, strict=True)]
    return tuple(slice(i, i + m) for i, m in zip(starts, sizes, strict=True))


def _dynamic(p: Any, x: list[Any], y: list[Any], tangents: list[Stacked]) -> list[Stacked]:
    t = tangents[0]
    return [None if t is None else t[(slice(None), *_dynamic_slice(x, p["slice_sizes"]))]]


def _dynamic_back(p: Any, x: list[Any], y: list[Any], cts: list[Stacked]) -> list[Stacked]:
    return [_placed(cts[0], x[0], _dynamic_slice(x, p["slice_sizes"])), *[None] * (len(x) - 1)]


LINEAR: dict[str, tuple[Rule, Rule]] = {
    "reshape": _one(_reshaped, _shaped_back),
    "squeeze": _one(_reshaped, _shaped_back),
    "expand_dims": _one(_reshaped, _shaped_back),
    "broadcast_in_dim": _one(_broadcast, _broadcast_back),
    "reduce_sum": _one(_reduced, spread),
    "reduce_max": _one(
        lambda p, t, x, y: (t * _extreme_share(p, x, y)).sum(_later(p["axes"])),
        lambda p, ct, x, y: spread(p, ct, x, y) * _extreme_share(p, x, y),
    ),
    "transpose": _one(lambda p, t, x, y: t.transpose(0, *_later(p["permutation"])), _rolled_back),
    "rev": _one(
        lambda p, t, x, y: np.flip(t, _later(p["dimensions"])), lambda p, ct, x, y: np.flip(ct, _later(p["dimensions"]))
    ),
    "slice": _one(
        lambda p, t, x, y: t[(slice(None), *_slice_of(p, x))], lambda p, ct, x, y: _placed(ct, x, _slice_of(p, x))
    ),
    "row": _one(lambda p, t, x, y: t[:, p["index"]], lambda p, ct, x, y: _placed(ct, x, (p["index"],))),
    "cumsum": _one(
        lambda p, t, x, y: _running(p, t, reverse=p["reverse"]),
        lambda p, ct, x, y: _running(p, ct, reverse=not p["reverse"]),
    ),
    "select_n": (_select, _select_back),
    "concatenate": (_joined, _split_back_of_join),
    "split": (_split, _join_back_of_split),
    "stack": (_stacked, _rows_back),
    "dynamic_slice": (_dynamic, _dynamic_back),
}
LINEAR["reduce_min"] = LINEAR["reduce_max"]
