"""What people write on the way back instead of an operation's own rule: by primitive, as data.

An alternative is words, and the cotangent that it gives an operand. Factors on an edge (left out, doubled, of the wrong
sign, n, 1/n) are not here: they are fitted.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from functional_mlp.oracle.traced.diagnosis.replay import (
    SLOPES,
    Stacked,
    Step,
    as_shaped,
    broadcast_axes,
    dot_pulled,
    pull,
    written_back,
)
from functional_mlp.oracle.traced.tracing.primitives import is_float

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


# slopes: name -> for each operand (words, function of (params, y, *x)); "left out" and the sign are made of all of them

_WRONG_SLOPES: dict[str, tuple[tuple[tuple[str, Callable[..., Any]], ...], ...]] = {
    "tanh": (
        (
            ("1 - y for the slope of tanh, 1 - y**2", lambda p, y, x: 1 - y),
            ("1 - x**2 for the slope of tanh, 1 - y**2", lambda p, y, x: 1 - x * x),
            ("y (1 - y), the slope of the sigmoid, for that of tanh", lambda p, y, x: y * (1 - y)),
            ("1 + y**2 for the slope of tanh, 1 - y**2", lambda p, y, x: 1 + y * y),
            ("y for the slope of tanh, 1 - y**2", lambda p, y, x: y),
        ),
    ),
    "logistic": (
        (
            ("y for the slope of the sigmoid, y (1 - y)", lambda p, y, x: y),
            ("1 - y for the slope of the sigmoid, y (1 - y)", lambda p, y, x: 1 - y),
            ("x (1 - x) for the slope of the sigmoid, y (1 - y)", lambda p, y, x: x * (1 - x)),
            ("1 - y**2, the slope of tanh, for that of the sigmoid", lambda p, y, x: 1 - y * y),
            ("y (1 + y) for the slope of the sigmoid, y (1 - y)", lambda p, y, x: y * (1 + y)),
            ("y**2 for the slope of the sigmoid, y (1 - y)", lambda p, y, x: y * y),
        ),
    ),
    "exp": ((("x for the slope of exp, y", lambda p, y, x: x),),),
    "expm1": ((("y for the slope of expm1, y + 1", lambda p, y, x: y),),),
    "log": ((("x for the slope of log, 1 / x", lambda p, y, x: x),),),
    "log1p": ((("1 / x for the slope of log1p, 1 / (1 + x)", lambda p, y, x: 1 / x),),),
    "sqrt": (
        (
            ("1/2 / x for the slope of sqrt, 1/2 / sqrt(x)", lambda p, y, x: 0.5 / x),
            ("1/2 for the slope of sqrt, 1/2 / sqrt(x)", lambda p, y, x: 0.5 + 0 * x),
            ("1/2 sqrt(x) for the slope of sqrt, 1/2 / sqrt(x)", lambda p, y, x: 0.5 * y),
        ),
    ),
    "rsqrt": (
        (
            ("-1/2 x**-1/2 for the slope of rsqrt, -1/2 x**-3/2", lambda p, y, x: -0.5 * y),
            ("-1/2 / x for the slope of rsqrt, -1/2 x**-3/2", lambda p, y, x: -0.5 / x),
            ("-1/2 x**-5/2 for the slope of rsqrt, -1/2 x**-3/2", lambda p, y, x: -0.5 * y / (x * x)),
        ),
    ),
    "erf": (
        (
            (
                "exp(-x**2 / 2) for exp(-x**2) in the slope of erf",
                lambda p, y, x: 1.1283791670955126 * np.exp(-x * x / 2),
            ),
        ),
    ),
    "sin": ((("sin for the slope of sin, cos", lambda p, y, x: y),),),
    "cos": ((("cos for the slope of cos, -sin", lambda p, y, x: y),),),
    "square": ((("x**2 for the slope of x**2, 2 x", lambda p, y, x: y),),),
    "integer_pow": (
        (
            ("the power that was to be differentiated, for its slope", lambda p, y, x: y),
            ("n x**n for the slope of x**n, n x**(n - 1)", lambda p, y, x: p["y"] * y),
        ),
    ),
    "abs": ((("x for the slope of abs, the sign", lambda p, y, x: x),),),
    "mul": (
        (("divided instead of multiplied by the other factor", lambda p, y, a, b: 1 / b),),
        (("divided instead of multiplied by the other factor", lambda p, y, a, b: 1 / a),),
    ),
    "div": (
        (("multiplied instead of divided by the divisor", lambda p, y, a, b: b),),
        (
            ("-a / b for the slope -a / b**2 to the divisor", lambda p, y, a, b: -a / b),
            ("-1 / b**2 for the slope -a / b**2 to the divisor", lambda p, y, a, b: -1 / (b * b)),
            ("-a for the slope -a / b**2 to the divisor", lambda p, y, a, b: -a + 0 * b),
            ("1 / b for the slope -a / b**2 to the divisor", lambda p, y, a, b: 1 / b + 0 * a),
            ("-a / b**3 for the slope -a / b**2 to the divisor", lambda p, y, a, b: -a / (b * b * b)),
        ),
    ),
    "max": (
        (("what the condition (the larger of two) chooses is ignored", lambda p, y, a, b: 1.0 + 0 * a * b),),
        (("what the condition (the larger of two) chooses is ignored", lambda p, y, a, b: 1.0 + 0 * a * b),),
    ),
    "clamp": ((), (("the bounds are ignored", lambda p, y, low, x, high: 1.0 + 0 * x),), ()),
}
_WRONG_SLOPES["min"] = _WRONG_SLOPES["max"]
_PLAIN = frozenset(
    {"neg", "add", "add_any", "sub", "copy", "copy_p", "carry", "convert_element_type", "max", "min", "clamp"}
)


def alternatives(step: Step, x: list[Any], y: list[Any]) -> Iterator[Alternative]:
    """All of one operation, to its floating operands."""
    for j, a in enumerate(x):
        if not is_float(a):
            continue
        if step.name in SLOPES:
            yield from _of_slope(step, j)
        yield from _LAYOUTS.get(step.name, _nothing)(step, x, y, j)


def _nothing(step: Step, x: list[Any], y: list[Any], j: int) -> Iterator[Alternative]:
    return iter(())


def _of_slope(step: Step, j: int) -> Iterator[Alternative]:
    true = SLOPES[step.name][j]
    if true is None:
        return
    if step.name not in _PLAIN:
        known = {"mul": "the other factor", "div": "the divisor" if j == 0 else "the slope to the divisor"}
        left_out = f"{known.get(step.name, f'the derivative of {_spelled(step)}')} is left out"
        yield Alternative(j, left_out, _sloped(j, lambda p, y, *x: 1.0))
        twice = f"{known.get(step.name, f'the derivative of {_spelled(step)}')} is taken twice"
        yield Alternative(j, twice, _sloped(j, lambda p, y, *x: true(p, y, *x) ** 2))
    for words, slope in _WRONG_SLOPES.get(step.name, ((),) * len(step.operands))[j]:
        yield Alternative(j, words, _sloped(j, slope))


def _spelled(step: Step) -> str:
    names = {"logistic": "the sigmoid", "integer_pow": f"the power {step.params.get('y')}"}
    return names.get(step.name, step.name)


def _sloped(j: int, slope: Callable[..., Any]) -> Pulled:
    def pulled(step: Step, x: list[Any], y: list[Any], cts: list[Stacked]) -> Any:
        return as_shaped(np.broadcast_to(cts[0] * slope(step.params, y[0], *x), (len(cts[0]), *y[0].shape)), x[j])

    return pulled


# how arrays are laid out


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
    for k, axis in enumerate(free):
        n = other.shape[axis]
        if n > 1:
            for index, which in ((n - 1, "last"), (0, "first")):

                def shorter(step: Step, x: list[Any], y: list[Any], cts: list[Stacked], at: Any = (axis, index)) -> Any:
                    cut = np.array(x[1 - j])
                    cut[(slice(None),) * at[0] + (at[1],)] = 0.0
                    return dot_pulled(step.params, cts[0], [cut if i == 1 - j else v for i, v in enumerate(x)], j)

                yield Alternative(j, f"the {which} of {n} terms of the sum is left out (axis {k} of it)", shorter)


def _of_broadcast(step: Step, x: list[Any], y: list[Any], j: int) -> Iterator[Alternative]:
    axes = tuple(a + 1 for a in broadcast_axes(step.params, x[0], y[0]))
    n = int(np.prod([y[0].shape[a - 1] for a in axes])) if axes else 1
    if n <= 1:
        return

    def kept(index: int) -> Pulled:
        def pulled(step: Step, x: list[Any], y: list[Any], cts: list[Stacked]) -> Any:
            some = cts[0][tuple(index if a in axes else slice(None) for a in range(cts[0].ndim))]
            return some.reshape(len(cts[0]), *x[0].shape)

        return pulled

    yield Alternative(j, f"the last of {n} terms is kept instead of their sum", kept(-1))
    yield Alternative(j, f"the first of {n} terms is kept instead of their sum", kept(0))
    for axis in axes if len(axes) > 1 else ():

        def partly(step: Step, x: list[Any], y: list[Any], cts: list[Stacked], axis: int = axis) -> Any:
            others = tuple(a for a in axes if a != axis)
            some = np.take(cts[0], [-1], axis).sum(others)
            return some.reshape(len(cts[0]), *x[0].shape)

        yield Alternative(j, f"the sum leaves out axis {axis - 1}, of which the last is kept", partly)
    for index, which in ((-1, "last"), (0, "first")):
        for axis in axes:
            size = y[0].shape[axis - 1]
            if size > 1:

                def shorter(step: Step, x: list[Any], y: list[Any], cts: list[Stacked], at: Any = (axis, index)) -> Any:
                    cut = np.array(cts[0])
                    cut[(slice(None),) * at[0] + (at[1],)] = 0.0
                    return _right(step, x, y, [cut], j)

                yield Alternative(j, f"the {which} of {size} terms of the sum is left out", shorter)


def _changed_result(words: str, j: int, change: Callable[[Any], Any]) -> Alternative:
    return Alternative(j, words, lambda step, x, y, cts: change(_right(step, x, y, cts, j)))


def _changed_cotangent(words: str, j: int, change: Callable[[Any], Any]) -> Alternative:
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


def _of_pieces(step: Step, x: list[Any], y: list[Any], j: int) -> Iterator[Alternative]:
    """Off by one, where pieces are cut out or joined."""
    for axis in range(x[j].ndim):
        if x[j].shape[axis] > 1:
            for shift in (1, -1):
                words = f"what comes back is off by one ({'after' if shift > 0 else 'before'}) along axis {axis}"
                yield _changed_result(words, j, lambda g, a=axis + 1, s=shift: np.roll(g, s, a))


def _of_gather(step: Step, x: list[Any], y: list[Any], j: int) -> Iterator[Alternative]:
    if j:
        return
    yield from _of_pieces(step, x, y, j)

    yield Alternative(j, "what comes back twice to one entry is written instead of added", written_back)


def _of_conv(step: Step, x: list[Any], y: list[Any], j: int) -> Iterator[Alternative]:
    numbers = step.params["dimension_numbers"]
    spatial = tuple(numbers.rhs_spec[2:])
    mine = tuple(numbers.lhs_spec[2:]) if j == 0 else spatial

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
    for k, (axis, at) in enumerate(zip(numbers.out_spec[2:], mine, strict=True)):
        for shift in (1, -1):
            words = f"the padding of axis {k} is off by one"

            def shifted(s: Step, x: list[Any], y: list[Any], cts: list[Stacked], k: int = k, by: int = shift) -> Any:
                window = [list(pair) for pair in s.params["padding"]]
                window[k][0] += by
                window[k][1] -= by
                params = s.params | {"padding": tuple(map(tuple, window))}
                return pull(s._replace(params=params, equation=_Renamed(s.equation, params)), x, y, cts)[j]

            yield Alternative(j, words, shifted)
    for axis in numbers.out_spec[2:]:
        for index in (0, -1):

            def bordered(s: Step, x: list[Any], y: list[Any], cts: list[Stacked], at: Any = (axis, index)) -> Any:
                cut = np.array(cts[0])
                cut[(slice(None),) * (at[0] + 1) + (at[1],)] = 0.0
                return pull(s, x, y, [cut])[j]

            yield Alternative(j, f"the {'first' if index == 0 else 'last'} place of axis {axis} is left out", bordered)


class _Renamed:
    """An operation of JAX with other parameters."""

    def __init__(self, equation: Any, params: Any):
        self.primitive, self.params = equation.primitive, params


_LAYOUTS: dict[str, Callable[[Step, list[Any], list[Any], int], Iterator[Alternative]]] = {
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
    "conv_general_dilated": _of_conv,
}
