"""What people do wrong with how arrays are laid out: transposed, off by one, not summed, written instead of added.

An alternative is words, and the cotangent that it gives an operand. Factors on an edge (left out, doubled, of the wrong
sign, n, 1/n) are not here: they are fitted.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from functional_mlp.oracle.traced.diagnosis.replay import (
    Stacked,
    Step,
    broadcast_axes,
    dot_pulled,
    pooled_back,
    pull,
    written_back,
)

Pulled = Callable[[Step, list[Any], list[Any], list[Stacked]], Any]


class Alternative(NamedTuple):
    """Another rule for one operand of an operation.

    Attributes:
        operand: which.
        words: what is done instead, to be read after "at that place".
        pulled: (step, operands, results, cotangents of the results) -> the cotangent of that operand.
    """

    operand: int
    words: str
    pulled: Pulled


def _right(step: Step, x: list[Any], y: list[Any], cts: list[Stacked], j: int) -> Any:
    return pull(step, x, y, cts)[j]


def _of_dot(step: Step, x: list[Any], y: list[Any], j: int) -> Iterator[Alternative]:
    (inner, batch), other = step.params["dimension_numbers"], x[1 - j]
    free = [a for a in range(other.ndim) if a not in batch[1 - j] and a not in inner[1 - j]]
    if len(free) == len(inner[1 - j]) == 1 and other.shape[free[0]] == other.shape[inner[1 - j][0]] > 1:
        a, b = free[0], inner[1 - j][0]

        def turned(step: Step, x: list[Any], y: list[Any], cts: list[Stacked]) -> Any:
            given = [np.swapaxes(v, a, b) if i == 1 - j else v for i, v in enumerate(x)]
            return dot_pulled(step.params, cts[0], given, j)

        yield Alternative(j, "the other factor of the product is not transposed", turned)
    own = [a for a in range(x[j].ndim) if a not in batch[j]]
    if len(own) == 2 and x[j].shape[own[0]] == x[j].shape[own[1]] > 1:

        def result_turned(step: Step, x: list[Any], y: list[Any], cts: list[Stacked]) -> Any:
            return np.swapaxes(_right(step, x, y, cts, j), own[0] + 1, own[1] + 1)

        yield Alternative(j, "the product is transposed", result_turned)
    for axis in range(other.ndim):
        for shift in (1, -1) if other.shape[axis] > 2 else ():
            rolled = np.roll(other, shift, axis)
            words = "the other factor of the product is shifted by one"
            yield Alternative(j, words, partial(_with_other, j, rolled))


def _with_other(j: int, other: Any, step: Step, x: list[Any], y: list[Any], cts: list[Stacked]) -> Any:
    return dot_pulled(step.params, cts[0], [other if i == 1 - j else v for i, v in enumerate(x)], j)


def _of_broadcast(step: Step, x: list[Any], y: list[Any], j: int) -> Iterator[Alternative]:
    yield from of_spread(x[0], y[0], broadcast_axes(step.params, x[0], y[0]), j)


def of_spread(x: Any, y: Any, axes: tuple[int, ...], j: int) -> Iterator[Alternative]:
    """Of an operand that is read again and again along axes of the result: what comes back is to be summed."""
    sizes = [y.shape[a] for a in axes]
    n = int(np.prod(sizes))
    if n <= 1:
        return
    for index, which in ((-1, "last"), (0, "first")):
        yield _cut_first(f"the {which} of {n} terms is kept instead of their sum", j, only(axes, index))
        for axis, size in zip(axes, sizes, strict=True):
            if size > 1 and len(axes) > 1:
                words = f"of axis {axis} the {which} is kept instead of the sum"
                yield _cut_first(words, j, only((axis,), index))


def only(axes: Iterable[int], index: int) -> Callable[[Any], Any]:
    """A stack of cotangents that is 0 but at one place of some axes."""

    def change(ct: Any) -> Any:
        kept = np.zeros_like(ct)
        place: list[Any] = [slice(None)] * ct.ndim
        for axis in axes:
            place[axis + 1] = index
        kept[tuple(place)] = ct[tuple(place)]
        return kept

    return change


def without(axis: int, index: int | slice) -> Callable[[Any], Any]:
    """A stack of cotangents that is 0 at some places of an axis."""

    def change(ct: Any) -> Any:
        cut = np.array(ct)
        cut[(slice(None),) * (axis + 1) + (index,)] = 0.0
        return cut

    return change


def _changed_result(words: str, j: int, change: Callable[[Any], Any]) -> Alternative:
    return Alternative(j, words, lambda step, x, y, cts: change(_right(step, x, y, cts, j)))


def _cut_first(words: str, j: int, change: Callable[[Any], Any]) -> Alternative:
    return Alternative(j, words, lambda step, x, y, cts: _right(step, x, y, [change(ct) for ct in cts], j))


def _of_transpose(step: Step, x: list[Any], y: list[Any], j: int) -> Iterator[Alternative]:
    if x[0].shape == y[0].shape and x[0].size > 1:
        yield Alternative(j, "what comes back is not transposed", lambda step, x, y, cts: cts[0])
    yield Alternative(
        j, "what comes back is reshaped instead of transposed", lambda step, x, y, cts: cts[0].reshape(-1, *x[0].shape)
    )


def _of_reshape(step: Step, x: list[Any], y: list[Any], j: int) -> Iterator[Alternative]:
    if x[0].ndim > 1 or y[0].ndim > 1:
        yield Alternative(
            j,
            "what comes back is reshaped in the order of columns",
            lambda step, x, y, cts: np.stack([ct.reshape(x[0].shape, order="F") for ct in cts[0]]),
        )


def _of_rev(step: Step, x: list[Any], y: list[Any], j: int) -> Iterator[Alternative]:
    yield Alternative(j, "what comes back is not flipped", lambda step, x, y, cts: cts[0])


def _of_cumsum(step: Step, x: list[Any], y: list[Any], j: int) -> Iterator[Alternative]:
    axis = step.params["axis"] + 1
    flip = lambda a: np.flip(a, axis)  # noqa: E731
    yield Alternative(
        j, "summed from the other end", lambda step, x, y, cts: flip(_right(step, x, y, [flip(cts[0])], j))
    )
    yield Alternative(j, "the entry itself is not in its sum", lambda s, x, y, cts: _right(s, x, y, cts, j) - cts[0])
    yield Alternative(j, "what comes back is not summed", lambda step, x, y, cts: cts[0])


def _of_select(step: Step, x: list[Any], y: list[Any], j: int) -> Iterator[Alternative]:
    if j == 0:
        return
    yield Alternative(j, "the condition is ignored", lambda step, x, y, cts: cts[0])
    if len(x) == 3:
        yield Alternative(j, "the condition is negated", lambda s, x, y, cts: np.where(x[0] == j - 1, 0.0, cts[0]))


def _of_max(step: Step, x: list[Any], y: list[Any], j: int) -> Iterator[Alternative]:
    axes = tuple(a + 1 for a in step.params["axes"])

    def to_all(step: Step, x: list[Any], y: list[Any], cts: list[Stacked]) -> Any:
        return np.broadcast_to(np.expand_dims(cts[0], axes), (len(cts[0]), *x[0].shape))

    yield Alternative(j, "it goes to all entries instead of the largest", to_all)
    n = int(np.prod([x[0].shape[a - 1] for a in axes]))
    yield Alternative(j, "it goes to all entries evenly instead of the largest", lambda *a: to_all(*a) / n)
    if len(axes) > 1:
        return
    axis = axes[0] - 1
    for words, where in (
        ("the smallest" if step.name == "reduce_max" else "the largest", _opposite(step, x[0], axis)),
        ("the first", np.zeros(y[0].shape, int)),
        ("the last", np.full(y[0].shape, x[0].shape[axis] - 1)),
    ):
        hit = np.arange(x[0].shape[axis]).reshape([-1 if a == axis else 1 for a in range(x[0].ndim)])
        chosen = hit == np.expand_dims(where, axis)
        yield Alternative(
            j, f"it goes to {words} entry instead of that which was chosen", partial(_chosen, to_all, chosen)
        )


def _opposite(step: Step, x: Any, axis: int) -> Any:
    return x.argmin(axis) if step.name == "reduce_max" else x.argmax(axis)


def _chosen(to_all: Pulled, chosen: Any, *arguments: Any) -> Any:
    return to_all(*arguments) * chosen


def _of_pieces(step: Step, x: list[Any], y: list[Any], j: int) -> Iterator[Alternative]:
    """Off by one, where pieces are cut out or joined."""
    for axis in range(x[j].ndim):
        if x[j].shape[axis] > 1:
            for shift in (1, -1):
                words = f"what comes back is off by one ({'after' if shift > 0 else 'before'}) along axis {axis}"
                yield _changed_result(words, j, partial(np.roll, shift=shift, axis=axis + 1))


def _of_sort(step: Step, x: list[Any], y: list[Any], j: int) -> Iterator[Alternative]:
    if len(x) > 1 or j:
        return
    axis = step.params["dimension"]
    order = np.argsort(x[0], axis, kind="stable")

    def taken(step: Step, x: list[Any], y: list[Any], cts: list[Stacked]) -> Any:
        return np.take_along_axis(cts[0], np.broadcast_to(order, cts[0].shape), axis + 1)

    opposite = lambda s, x, y, cts: _right(s, x, y, [np.flip(cts[0], axis + 1)], j)  # noqa: E731
    yield Alternative(j, "what comes back is put back as if the order were descending", opposite)
    yield Alternative(j, "what comes back is not put back into the order of the argument", lambda s, x, y, cts: cts[0])
    yield Alternative(j, "what comes back is put into the order of the result once more", taken)


def _of_top_k(step: Step, x: list[Any], y: list[Any], j: int) -> Iterator[Alternative]:
    def first(step: Step, x: list[Any], y: list[Any], cts: list[Stacked]) -> Any:
        out = np.zeros((len(cts[0]), *x[0].shape))
        out[..., : y[0].shape[-1]] = cts[0]
        return out

    yield Alternative(j, "what comes back goes to the first places instead of those that were chosen", first)


def _of_product(step: Step, x: list[Any], y: list[Any], j: int) -> Iterator[Alternative]:
    """Of a product over axes."""
    axes = tuple(step.params["axes"])
    last = axes[-1]

    def with_factor(factor: Callable[[Any, Any], Any]) -> Pulled:
        def pulled(step: Step, x: list[Any], y: list[Any], cts: list[Stacked]) -> Any:
            return np.expand_dims(cts[0], tuple(a + 1 for a in axes)) * factor(x[0], np.expand_dims(y[0], axes))

        return pulled

    yield Alternative(j, "the product itself stands for that of the other factors", with_factor(lambda x, y: 0 * x + y))
    if len(axes) == 1:
        before = lambda x, y: np.cumprod(x, last) / x  # noqa: E731
        after = lambda x, y: np.flip(np.cumprod(np.flip(x, last), last), last) / x  # noqa: E731
        yield Alternative(j, "only the factors before each one are multiplied", with_factor(before))
        yield Alternative(j, "only the factors after each one are multiplied", with_factor(after))


def _of_pooling(step: Step, x: list[Any], y: list[Any], j: int) -> Iterator[Alternative]:
    if j == 0:
        words = "where windows overlap, what comes back is written instead of added"
        yield Alternative(j, words, lambda s, x, y, cts: pooled_back(s, x, cts[0], written=True))


def _of_gather(step: Step, x: list[Any], y: list[Any], j: int) -> Iterator[Alternative]:
    if j:
        return
    yield from _of_pieces(step, x, y, j)

    counts = _right(step, x, y, [np.ones((1, *y[0].shape))], 0)[0]
    averaged = lambda s, x, y, cts: _right(s, x, y, cts, 0) / np.maximum(counts, 1.0)  # noqa: E731
    yield Alternative(j, "what comes back twice to one entry is averaged instead of added", averaged)
    for index, which in ((0, "first"), (-1, "last")):
        yield _changed_result(f"nothing comes back to the {which} row", j, without(0, index))
    yield Alternative(j, "what comes back twice to one entry is written instead of added", written_back)


def _of_conv(step: Step, x: list[Any], y: list[Any], j: int) -> Iterator[Alternative]:
    numbers = step.params["dimension_numbers"]
    spatial = tuple(numbers.rhs_spec[2:])

    def with_kernel(words: str, change: Callable[[Any], Any]) -> Alternative:
        return Alternative(j, words, lambda s, x, y, cts: pull(s, [x[0], change(x[1])], y, cts)[0])

    if j == 0 and any(x[1].shape[a] > 1 for a in spatial):
        yield with_kernel("the kernel is not flipped", lambda w: np.flip(w, spatial))
        if len(spatial) == 2 and x[1].shape[spatial[0]] == x[1].shape[spatial[1]]:
            yield with_kernel("the kernel is transposed", lambda w: np.swapaxes(w, *spatial))
        groups, out = step.params["feature_group_count"], numbers.rhs_spec[0]
        if groups > 1:
            yield with_kernel("the groups are exchanged", lambda w: np.roll(w, w.shape[out] // groups, out))
    if j == 1 and any(x[1].shape[a] > 1 for a in spatial):
        yield _changed_result("the kernel is flipped", j, lambda g: np.flip(g, tuple(a + 1 for a in spatial)))
        if len(spatial) == 2 and x[1].shape[spatial[0]] == x[1].shape[spatial[1]]:
            yield _changed_result("the kernel is transposed", j, lambda g: np.swapaxes(g, *(a + 1 for a in spatial)))
    for k in range(len(spatial)):
        for shift in (1, -1):
            words = f"the padding of axis {k} is off by one"

            def shifted(s: Step, x: list[Any], y: list[Any], cts: list[Stacked], k: int = k, by: int = shift) -> Any:
                window = [list(pair) for pair in s.params["padding"]]
                window[k][0] += by
                window[k][1] -= by
                params = s.params | {"padding": tuple(map(tuple, window))}
                return pull(s._replace(params=params), x, y, cts)[j]

            yield Alternative(j, words, shifted)
    for axis in numbers.out_spec[2:]:
        for index in (0, -1):

            def bordered(s: Step, x: list[Any], y: list[Any], cts: list[Stacked], at: Any = (axis, index)) -> Any:
                cut = np.array(cts[0])
                cut[(slice(None),) * (at[0] + 1) + (at[1],)] = 0.0
                return pull(s, x, y, [cut])[j]

            yield Alternative(j, f"the {'first' if index == 0 else 'last'} place of axis {axis} is left out", bordered)


LAYOUTS: dict[str, Callable[[Step, list[Any], list[Any], int], Iterator[Alternative]]] = {
    "dot_general": _of_dot,
    "broadcast_in_dim": _of_broadcast,
    "transpose": _of_transpose,
    "reshape": _of_reshape,
    "rev": _of_rev,
    "cumsum": _of_cumsum,
    "select_n": _of_select,
    "reduce_max": _of_max,
    "reduce_min": _of_max,
    "slice": _of_pieces,
    "pad": _of_pieces,
    "concatenate": _of_pieces,
    "dynamic_slice": _of_pieces,
    "gather": _of_gather,
    "sort": _of_sort,
    "top_k": _of_top_k,
    "reduce_prod": _of_product,
    "reduce_window_sum": _of_pooling,
    "reduce_window_max": _of_pooling,
    "conv_general_dilated": _of_conv,
}
