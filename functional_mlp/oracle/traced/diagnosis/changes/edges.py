"""Every change of one operation on the way back, with what it does to the gradients along a few directions.

Nothing is run again. What flows back through an edge reaches the gradients by a linear map; along a direction of the
gradients that map is the tangent that arrives at the edge when the inputs move in this direction. One pass of tangents
forward and one of cotangents back give, by an inner product at each edge, what cutting it, or putting anything else in
its place, does to the gradients along every direction.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.traced.diagnosis.changes.candidate import PATH, RULE, VALUE, Candidate
from functional_mlp.oracle.traced.diagnosis.changes.composites import Composite, composites
from functional_mlp.oracle.traced.diagnosis.changes.layouts import Alternative, only, without
from functional_mlp.oracle.traced.diagnosis.changes.losses import lost_terms
from functional_mlp.oracle.traced.diagnosis.changes.rules import alternatives
from functional_mlp.oracle.traced.diagnosis.replay import (
    SLOPES,
    Change,
    Stacked,
    Step,
    Tape,
    as_shaped,
    dot_pulled,
    full,
    operands_of,
    pull,
    push_forward,
)
from functional_mlp.oracle.traced.diagnosis.target import Probe
from functional_mlp.oracle.traced.tracing.primitives import is_float


def candidates(tape: Tape, right: list[Stacked], probe: Probe) -> Iterator[Candidate]:
    """All changes at one operation, and at one time in a loop."""
    shapes = _values_by_shape(tape)
    wholes = {found.step: found for found in composites(tape)}
    until = {found.argument: found.step for found in wholes.values()}
    for number, tangents, flows in push_forward(tape, probe.seeds, until):
        step = tape.steps[number]
        cts = [right[v] for v in step.results]
        if all(ct is None for ct in cts):
            continue
        x, y = operands_of(tape, step)
        own = pull(step, x, y, cts)
        for j, t in enumerate(tangents):
            if t is None or own[j] is None:
                continue
            flat = t.reshape(len(t), -1)
            cut = Change(number, step.operands[j], partial(_cut, j))
            yield Candidate(PATH, step.place, j, "", (cut,), flat @ own[j].ravel())
        for other in alternatives(step, x, y):
            j = other.operand
            t, mine = tangents[j], own[j]
            if t is not None and mine is not None:
                instead = other.pulled(step, x, y, cts)
                effect = t.reshape(len(t), -1) @ (instead - mine).ravel()
                yield Candidate(RULE, step.place, j, other.words, (_changed(number, step, other),), effect)
        if number in wholes and flows[wholes[number].argument] is not None:
            yield from _of_composite(step, wholes[number], cts[0], flows[wholes[number].argument])
        yield from lost_terms(number, step, x, y, cts, tangents, probe)
        if not set(step.results).isdisjoint(tape.outputs):
            yield from _parts_of_output(number, step, x, y, cts, own, tangents)
        if tape.turns[step.place] == 1:
            yield from _substitutions(tape, number, cts, tangents, shapes)


def _of_composite(step: Step, whole: Composite, ct: Stacked, t: Stacked) -> Iterator[Candidate]:
    """Another formula for the derivative of a whole function."""
    flat = t.reshape(len(t), -1)
    with np.errstate(all="ignore"):
        for words, difference in whole.others:
            change = Change(whole.step, whole.argument, partial(_by_formula, difference))
            yield Candidate(RULE, step.place, 0, words, (change,), flat @ difference(ct).ravel())


def _by_formula(difference: Callable[[Any], Any], tape: Tape, step: Step, cts: list[Stacked]) -> Any:
    return difference(cts[0])


def _parts_of_output(
    number: int,
    step: Step,
    x: list[Any],
    y: list[Any],
    cts: list[Stacked],
    own: list[Stacked],
    tangents: list[Stacked],
) -> Iterator[Candidate]:
    """An output of which the first or the last part is left out, or is all that is there."""
    if len(y) > 1:
        return
    for axis, n in enumerate(y[0].shape):
        if n < 2:
            continue
        for index, which in ((0, "first"), (-1, "last")):
            for change, words in ((without(axis, index), "is left out"), (only((axis,), index), "is all that counts")):
                instead = pull(step, x, y, [change(cts[0])])
                moved = [j for j, t in enumerate(tangents) if t is not None and own[j] is not None]
                effect = sum(tangents[j].reshape(len(tangents[j]), -1) @ (instead[j] - own[j]).ravel() for j in moved)
                changes = tuple(Change(number, step.operands[j], partial(_by_part, change, j)) for j in moved)
                words = f"of what comes back, the {which} of {n} along axis {axis} {words}"
                yield Candidate(RULE, step.place, 0, words, changes, effect)


def _by_part(change: Callable[[Any], Any], j: int, tape: Tape, step: Step, cts: list[Stacked]) -> Any:
    x, y = operands_of(tape, step)
    return pull(step, x, y, [change(cts[0])])[j] - pull(step, x, y, cts)[j]


def _changed(number: int, step: Step, other: Alternative) -> Change:
    return Change(number, step.operands[other.operand], partial(_by_rule, other))


def _cut(j: int, tape: Tape, step: Step, cts: list[Stacked]) -> Any:
    x, y = operands_of(tape, step)
    return -pull(step, x, y, cts)[j]


def scaled(number: int, step: Step, j: int, factor: float) -> Change:
    """All that flows to an operand, times a factor."""
    return Change(number, step.operands[j], partial(_scaled, j, factor))


def _scaled(j: int, factor: float, tape: Tape, step: Step, cts: list[Stacked]) -> Any:
    return (1 - factor) * _cut(j, tape, step, cts)


def _by_rule(other: Alternative, tape: Tape, step: Step, cts: list[Stacked]) -> Any:
    x, y = operands_of(tape, step)
    return other.pulled(step, x, y, cts) - pull(step, x, y, cts)[other.operand]


# other values in a rule


def _values_by_shape(tape: Tape) -> dict[tuple[int, ...], tuple[list[int], Array]]:
    """The floating arrays of the forward pass that differ, by their shape: their numbers, and all of them stacked."""
    found: dict[tuple[int, ...], dict[bytes, int]] = {}
    looped = {v for step in tape.steps if tape.turns[step.place] > 1 for v in step.results}
    for v, x in enumerate(tape.values):
        if v not in looped and is_float(x) and x.size > 1 and np.all(np.isfinite(x)):
            found.setdefault(x.shape, {}).setdefault(x.tobytes(), v)
    return {
        shape: (list(same.values()), np.stack([tape.values[v].ravel() for v in same.values()]))
        for shape, same in found.items()
    }


def _substitutions(
    tape: Tape, number: int, cts: list[Stacked], tangents: list[Stacked], shapes: dict[Any, Any]
) -> Iterator[Candidate]:
    """Another value of the same shape where the rule reads one."""
    step = tape.steps[number]
    x, y = operands_of(tape, step)
    for j, t in enumerate(tangents):
        if t is None:
            continue
        for k, weights in _reads(step, x, y, cts, t, j):
            numbers, stack = shapes.get(x[k].shape, ((), None))
            if not numbers:
                continue
            effects = weights @ (stack - x[k].ravel()).T
            for column, v in enumerate(numbers):
                if effects[:, column].any():
                    instead = Change(number, step.operands[j], partial(_by_value, j, k, v))
                    yield Candidate(VALUE, step.place, j, "", (instead,), effects[:, column], v)
        slope = SLOPES[step.name][j] if step.name in SLOPES and len(x) == 1 else None
        if slope is not None and y[0].shape == x[0].shape and step.name in _CURVED:
            numbers, stack = shapes.get(x[0].shape, ((), None))
            if not numbers:
                continue
            weights = (t * cts[0]).reshape(len(t), -1)
            with np.errstate(all="ignore"):
                slopes = _slope_at(step, slope, stack.reshape(-1, *x[0].shape)).reshape(len(numbers), -1)
                effects = weights @ (slopes - np.asarray(slope(step.params, y[0], x[0])).ravel()).T
            for column, v in enumerate(numbers):
                if np.all(np.isfinite(effects[:, column])) and effects[:, column].any():
                    instead = Change(number, step.operands[j], partial(_by_point, v))
                    yield Candidate(VALUE, step.place, j, "", (instead,), effects[:, column], v)


_CURVED = frozenset(
    {"tanh", "logistic", "exp", "log", "sqrt", "rsqrt", "square", "integer_pow", "sin", "cos", "erf", "abs"}
)
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "tanh": np.tanh,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
}


def _slope_at(step: Step, slope: Any, x: Any) -> Any:
    with np.errstate(all="ignore"):
        y = _FUNCTIONS[step.name](x) if step.name in _FUNCTIONS else x
        return slope(step.params, y, x)


def _reads(step: Step, x: list[Any], y: list[Any], cts: list[Stacked], t: Any, j: int) -> Iterator[tuple[int, Array]]:
    """Which operands the rule of operand j reads linearly, and by what each entry of them counts along the probes."""
    if step.name == "mul":
        yield 1 - j, as_shaped(full(t, y[0]) * cts[0], x[1 - j]).reshape(len(t), -1)
    elif step.name == "div" and j == 1:
        yield 0, as_shaped(full(-t, y[0]) * cts[0] / (x[1] * x[1]), x[0]).reshape(len(t), -1)
    elif step.name == "dot_general":
        rows = [
            dot_pulled(step.params, cts[0], [row if i == j else a for i, a in enumerate(x)], 1 - j).ravel() for row in t
        ]
        yield 1 - j, np.stack(rows)


def _by_value(j: int, k: int, v: int, tape: Tape, step: Step, cts: list[Stacked]) -> Any:
    x, y = operands_of(tape, step)
    instead = [tape.values[v] if i == k else a for i, a in enumerate(x)]
    return pull(step, instead, y, cts)[j] - pull(step, x, y, cts)[j]


def _by_point(v: int, tape: Tape, step: Step, cts: list[Stacked]) -> Any:
    x, y = operands_of(tape, step)
    slope = SLOPES[step.name][0]
    assert slope is not None
    return cts[0] * (_slope_at(step, slope, tape.values[v]) - slope(step.params, y[0], x[0]))
