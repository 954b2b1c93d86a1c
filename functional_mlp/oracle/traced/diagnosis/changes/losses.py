"""Terms of sums that are left out on the way back: the first or the last ones, as by a loop with other bounds."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from functional_mlp.oracle.traced.diagnosis.changes.candidate import RULE, Candidate
from functional_mlp.oracle.traced.diagnosis.changes.layouts import without
from functional_mlp.oracle.traced.diagnosis.replay import (
    Change,
    Stacked,
    Step,
    Tape,
    broadcast_axes,
    operands_of,
    pull,
    push,
)
from functional_mlp.oracle.traced.diagnosis.target import Probe


def lost_terms(
    number: int, step: Step, x: list[Any], y: list[Any], cts: list[Stacked], tangents: list[Stacked], probe: Probe
) -> Iterator[Candidate]:
    """Those that agree with the probes that they reach: of a sum of n terms there are 2 n, and most do not.

    What one term contributes is what comes back from that part of the result alone.
    """
    for j, t in enumerate(tangents):
        axes = summed_axes(step, x, y, j) if t is not None and len(y) == 1 else ()
        if not axes:
            continue
        alone: list[Stacked] = [t if i == j else None for i in range(len(x))]
        through = push(step, x, y, alone)[0] * cts[0]
        for axis in axes:
            others = tuple(a + 1 for a in range(y[0].ndim) if a != axis)
            terms, n = through.sum(others), y[0].shape[axis]
            reached = np.any(terms != 0, axis=1)
            if not np.any((np.abs(probe.off) > probe.allowed)[reached]):
                continue
            for which, lost in (("first", np.cumsum(terms, 1)), ("last", np.cumsum(terms[:, ::-1], 1))):
                fits = np.all(np.abs(probe.off[:, None] + lost)[reached] <= probe.allowed[reached, None], axis=0)
                for k in np.flatnonzero(fits[: n - 1]) + 1:
                    where = slice(0, k) if which == "first" else slice(n - k, n)
                    words = f"the {which} {k} of {n} terms of the sum are left out"
                    change = Change(number, step.operands[j], partial(_left_out, j, axis, where))
                    yield Candidate(RULE, step.place, j, words, (change,), -lost[:, k - 1])


def summed_axes(step: Step, x: list[Any], y: list[Any], j: int) -> tuple[int, ...]:
    """The axes of the result along which what comes back to an operand is summed."""
    if step.name == "dot_general":
        inner, batch = step.params["dimension_numbers"]
        own, other = (x[i].ndim - len(inner[i]) - len(batch[i]) for i in (j, 1 - j))
        start = len(batch[0]) + (own if j == 0 else 0)
        return tuple(range(start, start + other))
    if step.name == "broadcast_in_dim":
        return broadcast_axes(step.params, x[0], y[0])
    shape = x[j].shape
    if step.name in ("add", "sub", "mul", "div") and shape != y[0].shape:
        return tuple(a for a, n in enumerate(y[0].shape) if n > 1 and (not shape or shape[a] == 1))
    return ()


def _left_out(j: int, axis: int, where: slice, tape: Tape, step: Step, cts: list[Stacked]) -> Any:
    x, y = operands_of(tape, step)
    return pull(step, x, y, [without(axis, where)(cts[0])])[j] - pull(step, x, y, cts)[j]
