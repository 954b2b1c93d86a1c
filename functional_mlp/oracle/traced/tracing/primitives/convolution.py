"""Convolution as a product of matrices: the windows of the left operand times the kernels."""

import math
from typing import Any

import numpy as np

from functional_mlp.oracle.traced.tracing.primitives.operation import Operation, Primitive, Value, passes_of, product
from functional_mlp.oracle.traced.tracing.primitives.sums import windows_of

# letters: p passes, n samples, c channels (of a group), g groups, o features (of a group), s places, k taps


def _convolve(operation: Operation, left: Value, right: Value) -> tuple[Value, Value, Any]:
    """The matrices (passes, groups, windows, inside of a window) and (passes, groups, inside, features)."""
    p, rank = operation.params, operation.ranks[0]
    numbers, groups, batches = p["dimension_numbers"], p["feature_group_count"], p["batch_group_count"]
    x, kernel = _ordered(left, rank, numbers.lhs_spec), _ordered(right, rank, numbers.rhs_spec)
    if batches > 1:  # groups of samples, each with kernels of its own: groups of channels, one after the other
        x, groups = _samples_to_channels(x, rank, batches), batches
    places = rank - 2
    taps, features = kernel.shape[kernel.ndim - places :], kernel.shape[kernel.ndim - rank]
    window = {"window_dimensions": (1, 1, *taps), "window_strides": (1, 1, *p["window_strides"])}
    window |= {"padding": ((0, 0), (0, 0), *p["padding"]), "base_dilation": (1, 1, *p["lhs_dilation"])}
    window |= {"window_dilation": (1, 1, *p["rhs_dilation"])}
    seen = windows_of(x, rank, 0.0, window)
    seen = seen.reshape((*seen.shape[: seen.ndim - rank], *seen.shape[seen.ndim - places :]))  # (p, n, gc, *s, *k)
    front = x.ndim - rank
    n, channels, out = seen.shape[front], seen.shape[front + 1] // groups, seen.shape[front + 2 : front + 2 + places]
    seen = seen.reshape((*seen.shape[:front], n, groups, channels, math.prod(out), math.prod(taps)))
    a = np.moveaxis(seen, (front + 1, front, front + 3), (front, front + 1, front + 2))  # (p, g, n, s, c, k)
    a = a.reshape((*seen.shape[:front], groups, n * math.prod(out), channels * math.prod(taps)))
    passes = passes_of(kernel, rank)
    b = kernel.reshape((*passes, groups, features // groups, channels * math.prod(taps)))
    b = np.swapaxes(b, -1, -2)

    def shaped(y: Value) -> Value:  # of (p, g, ns, o)
        passes = y.shape[: y.ndim - 3]
        y = y.reshape((*passes, groups, n, math.prod(out), features // groups))
        y = np.moveaxis(y, (-3, -4, -1, -2), (-4, -3, -2, -1)).reshape((*passes, n, features, *out))
        return _reordered(y, rank, numbers.out_spec)

    return a, b, shaped


def _ordered(x: Value, rank: int, spec: Any) -> Value:
    """(passes, samples, channels, *places) of any order of axes."""
    front = x.ndim - rank
    return np.transpose(x, (*range(front), *(front + axis for axis in spec)))


def _reordered(x: Value, rank: int, spec: Any) -> Value:
    front = x.ndim - rank
    return np.transpose(x, (*range(front), *(front + int(axis) for axis in np.argsort(spec))))


def _samples_to_channels(x: Value, rank: int, groups: int) -> Value:
    front = x.ndim - rank
    n, channels = x.shape[front : front + 2]
    x = x.reshape((*x.shape[:front], groups, n // groups, *x.shape[front + 1 :]))
    x = np.swapaxes(x, front, front + 1)
    return x.reshape((*x.shape[: front + 1], groups * channels, *x.shape[front + 3 :]))


CONVOLUTION: dict[str, Primitive] = {"conv_general_dilated": product(_convolve)}
