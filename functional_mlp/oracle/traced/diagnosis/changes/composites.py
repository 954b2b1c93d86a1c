"""Functions that have a well-known derivative of their own, in whatever operations they are written.

People do not differentiate a softmax or a normalisation operation by operation, but write its derivative as one
formula, and err in that. Such functions are recognised by their values: activations (`forms.py`), softmax and its
logarithm, division by a norm, standardisation. Each comes with the formulas that people mistake for its own.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.traced.diagnosis.changes.forms import FEW, FORMS, Form
from functional_mlp.oracle.traced.diagnosis.changes.slopes import WRONG_SLOPES
from functional_mlp.oracle.traced.diagnosis.replay import Tape
from functional_mlp.oracle.traced.tracing.primitives import is_float

REACH = 24  # operations that such a function may be written in

Pulled = Callable[[Any], Any]  # of a stack of cotangents


class Composite(NamedTuple):
    """Such a function on a tape.

    Attributes:
        step: number of the step that ends it.
        argument: number of the value that it is a function of.
        form: which activation it is; None for others.
        axes: along which it works; () for an activation.
        others: what people do instead: words, and by how much that changes the cotangent of the argument.
    """

    step: int
    argument: int
    form: Form | None
    axes: tuple[int, ...]
    others: tuple[tuple[str, Pulled], ...]


def composites(tape: Tape) -> Iterator[Composite]:
    """All of them; of a loop, those that are there in its first step."""
    made: dict[int, int] = {v: i for i, step in enumerate(tape.steps) for v in step.results}
    axes = _axes(tape)
    forms: dict[int, Array] = {}
    without: set[int] = set()
    for number, step in enumerate(tape.steps):
        v, y = step.results[0], tape.values[step.results[0]]
        if step.place in without or not is_float(y) or not tape.moving[v] or y.size < 2:
            continue
        before = _before(tape, number, made)
        found = _activation(tape, number, before, forms) or _along_axes(tape, number, before, axes.get(y.shape, ()))
        if found is None:
            without.add(step.place)
        else:
            yield found


def _before(tape: Tape, number: int, made: dict[int, int]) -> list[int]:
    """Values of the same shape that this one is made of, the first ones first."""
    shape, open_, found = tape.values[tape.steps[number].results[0]].shape, [number], set()
    seen = {number}
    while open_ and len(seen) < REACH:
        for v in tape.steps[open_.pop(0)].operands:
            if not tape.moving[v]:
                continue
            if tape.values[v].shape == shape:
                found.add(v)
            if v in made and made[v] not in seen:
                seen.add(made[v])
                open_.append(made[v])
    return sorted(found)


# activations


def _activation(tape: Tape, number: int, before: list[int], forms: dict[int, Array]) -> Composite | None:
    y = tape.values[tape.steps[number].results[0]]
    few = y.ravel()[:FEW]
    for v in before:
        x = tape.values[v]
        if v not in forms:
            forms[v] = np.stack([form.value(x.ravel()[:FEW]) for form in FORMS])
        near = np.all(np.abs(forms[v] - few) <= 1e-11 * np.abs(few) + 1e-13, axis=1)
        for which in np.flatnonzero(near):
            form = FORMS[which]
            if np.allclose(form.value(x), y, rtol=1e-9, atol=1e-12):
                return Composite(number, v, form, (), tuple(_other_slopes(form, x)))
    return None


def _other_slopes(form: Form, x: Any) -> Iterator[tuple[str, Pulled]]:
    true = form.slope(x)
    for other in FORMS:
        more = other.slope(x) - true
        if other is not form and np.all(np.isfinite(more)):
            yield f"the slope of {other.name} for that of {form.name}", partial(np.multiply, more)
    y = form.value(x)
    at_output = form.slope(y) - true
    if np.all(np.isfinite(at_output)):
        yield f"the slope of {form.name} is taken at its value instead of its argument", partial(np.multiply, at_output)
    for words, slope in WRONG_SLOPES.get({"the sigmoid": "logistic"}.get(form.name, form.name), ((),))[0]:
        yield words, partial(np.multiply, slope({}, y, x) - true)


# along axes: y is the function's value, x its argument, s a sum along the axes that keeps them


def _axes(tape: Tape) -> dict[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """By shape, the axes along which anything is reduced."""
    found: dict[tuple[int, ...], dict[tuple[int, ...], None]] = {}
    for step in tape.steps:
        if step.name in ("reduce_sum", "reduce_max"):
            found.setdefault(tape.values[step.operands[0]].shape, {})[tuple(step.params["axes"])] = None
    return {shape: tuple(axes) for shape, axes in found.items()}


def _along_axes(tape: Tape, number: int, before: list[int], choices: tuple[tuple[int, ...], ...]) -> Composite | None:
    y = tape.values[tape.steps[number].results[0]]
    for axes in choices:
        total = partial(np.sum, axis=axes, keepdims=True)
        n = int(np.prod([y.shape[a] for a in axes]))
        if n < 2:
            continue
        for is_one, belongs, formulas in _KINDS:
            if not is_one(y, total, n):
                continue
            for v in before:
                x = tape.values[v]
                if belongs(x, y, total, n):
                    others = tuple(_formulas(formulas, x, y, axes, n))
                    return Composite(number, v, None, axes, others)
    return None


def _formulas(formulas: Any, x: Any, y: Any, axes: tuple[int, ...], n: int) -> Iterator[tuple[str, Pulled]]:
    stacked = partial(np.sum, axis=tuple(a + 1 for a in axes), keepdims=True)
    (_, right), *others = formulas(x, y, stacked, n)
    for words, wrong in others:
        yield words, partial(_more, wrong, right)
    for axis in range(y.ndim):
        if axis not in axes and y.shape[axis] > 1:
            along = partial(np.sum, axis=axis + 1, keepdims=True)
            wrong = formulas(x, y, along, y.shape[axis])[0][1]
            yield f"its sums run along axis {axis} instead of {', '.join(map(str, axes))}", partial(_more, wrong, right)


def _more(wrong: Pulled, right: Pulled, ct: Any) -> Any:
    return wrong(ct) - right(ct)


def _is_constant(a: Any, total: Any, n: int) -> bool:
    """Whether an array is the same all along the axes."""
    mean = total(a) / n
    return bool(np.all(np.isfinite(a)) and np.all(np.abs(a - mean) <= 1e-9 * (np.abs(mean) + 1e-3)))


def _is_of_variance(x: Any, y: Any, total: Any, n: int) -> bool:
    """Whether a centred array was divided by the root of its variance and one small number, and not by anything."""
    centred = x - total(x) / n
    variance, divisor = total(centred**2) / n, total(centred**2) / total(y * y)
    more = divisor - variance
    return bool(np.all(more >= -1e-9 * divisor) and np.all(np.abs(more - np.max(more)) <= 1e-6 * divisor))


def _softmax(x: Any, y: Any, s: Any, n: int) -> list[tuple[str, Pulled]]:
    return [
        ("", lambda ct: y * (ct - s(y * ct))),
        ("the sum over the row is left out", lambda ct: y * ct),
        ("a mean over the row stands for the sum", lambda ct: y * (ct - s(y * ct) / n)),
        ("only the diagonal of the softmax's derivative is there, y (1 - y)", lambda ct: y * (1 - y) * ct),
        ("the sum is that of ct instead of y ct", lambda ct: y * (ct - s(ct))),
        ("the factor y in front is left out", lambda ct: ct - s(y * ct)),
        ("the derivative of the logarithm of the softmax for that of the softmax", lambda ct: ct - y * s(ct)),
        ("the sum is added instead of subtracted", lambda ct: y * (ct + s(y * ct))),
    ]


def _log_softmax(x: Any, y: Any, s: Any, n: int) -> list[tuple[str, Pulled]]:
    p = np.exp(y)
    return [
        ("", lambda ct: ct - p * s(ct)),
        ("the normaliser is taken for a constant", lambda ct: ct + 0 * p),
        ("ct is not summed: ct - p ct for ct - p sum(ct)", lambda ct: ct - p * ct),
        ("1 / n for the softmax in ct - p sum(ct)", lambda ct: ct - s(ct) / n + 0 * p),
        ("the softmax is left out of ct - p sum(ct)", lambda ct: ct - s(ct) + 0 * p),
        ("the derivative of the softmax for that of its logarithm", lambda ct: p * (ct - s(p * ct))),
        ("the sum is that of p ct instead of ct", lambda ct: ct - p * s(p * ct)),
    ]


def _by_norm(x: Any, y: Any, s: Any, n: int) -> list[tuple[str, Pulled]]:
    r = np.sqrt(s((x * x)[None]))[0]
    return [
        ("", lambda ct: (ct - y * s(y * ct)) / r),
        ("the norm is taken for a constant", lambda ct: ct / r),
        ("what comes back is not divided by the norm", lambda ct: ct - y * s(y * ct)),
        ("the argument stands for the normalised vector", lambda ct: (ct - x * s(x * ct)) / r),
        ("the vector is left out of y sum(y ct)", lambda ct: (ct - s(y * ct)) / r),
        ("divided by the square of the norm", lambda ct: (ct - y * s(y * ct)) / (r * r)),
    ]


def _standardised(x: Any, y: Any, s: Any, n: int) -> list[tuple[str, Pulled]]:
    centred = x - s(x[None])[0] / n
    r = np.sqrt(s((centred * centred)[None])[0] / np.maximum(s((y * y)[None])[0], 1e-300))  # sqrt(variance + eps)
    return [
        ("", lambda ct: (ct - s(ct) / n - y * s(y * ct) / n) / r),
        ("sums stand for both means", lambda ct: (ct - s(ct) - y * s(y * ct)) / r),
        ("what comes back is not divided by the standard deviation", lambda ct: ct - s(ct) / n - y * s(y * ct) / n),
        ("divided by the variance", lambda ct: (ct - s(ct) / n - y * s(y * ct) / n) / (r * r)),
        ("neither the mean nor the variance is differentiated", lambda ct: ct / r),
        ("x - mean stands for its standardised form", lambda ct: (ct - s(ct) / n - centred * s(centred * ct) / n) / r),
        ("the second mean is not multiplied by y", lambda ct: (ct - s(ct) / n - s(y * ct) / n) / r),
        ("the second mean is that of ct instead of y ct", lambda ct: (ct - s(ct) / n - y * s(ct) / n) / r),
        ("the second mean is that of x ct instead of y ct", lambda ct: (ct - s(ct) / n - y * s(x * ct) / n) / r),
        ("divided by n - 1 instead of n", lambda ct: (ct - s(ct) / (n - 1) - y * s(y * ct) / (n - 1)) / r),
    ]


# (whether an array may be one, whether it is that of an argument, the right formula and the wrong ones)
_KINDS: tuple[tuple[Any, Any, Any], ...] = (
    (
        lambda y, total, n: np.all(y >= 0) and np.allclose(total(y), 1.0, rtol=1e-9),
        lambda x, y, total, n: np.all(y > 1e-290) and _is_constant(np.log(y) - x, total, n),
        _softmax,
    ),
    (
        lambda y, total, n: np.allclose(total(np.exp(np.minimum(y, 1.0))), 1.0, rtol=1e-9),
        lambda x, y, total, n: _is_constant(y - x, total, n),
        _log_softmax,
    ),
    (
        lambda y, total, n: np.allclose(total(y * y), 1.0, rtol=1e-9),
        lambda x, y, total, n: _is_constant(np.where(y == 0, 1.0, x / y), total, n),
        _by_norm,
    ),
    (
        lambda y, total, n: np.all(np.abs(total(y)) <= 1e-9 * (total(np.abs(y)) + 1e-300)) and np.any(y),
        lambda x, y, total, n: _is_constant((x - total(x) / n) / y, total, n) and _is_of_variance(x, y, total, n),
        _standardised,
    ),
)
