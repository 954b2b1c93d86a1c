"""The backward pass of a tape, right and changed: many changed ones at once, each as its difference to the right one.

The gradient is linear in what flows back, so that a changed pass is the right one and a difference, which begins where
the change is and is nothing before. A change that is made in every step of a loop acts on what its own difference has
become there.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.traced.diagnosis.replay.derivatives import Stacked, pull, push
from functional_mlp.oracle.traced.diagnosis.replay.tape import Step, Tape

BLOCK = 2_000_000  # numbers that a stacked pass may hold of the widest value


class Change(NamedTuple):
    """What is done instead at one operation on the way back.

    Attributes:
        step: number of the step.
        target: number of the value whose cotangent becomes another one.
        difference: (tape, step, cotangents of its results) -> by how much, stacked.
    """

    step: int
    target: int
    difference: Callable[[Tape, Step, list[Stacked]], Any]


def operands_of(tape: Tape, step: Step) -> tuple[list[Any], list[Any]]:
    """The values that a step reads, and those that it makes."""
    return [tape.values[v] for v in step.operands], [tape.values[v] for v in step.results]


def pull_back(tape: Tape, cts: Sequence[Array]) -> list[Stacked]:
    """The cotangent of every value, stacks of one; None where nothing comes."""
    return _walk(tape, _seeds(tape, cts), None, {}, 1, keep=True)


def _seeds(tape: Tape, cts: Sequence[Array]) -> list[Stacked]:
    flows: list[Stacked] = [None] * len(tape.values)
    for v, ct in zip(tape.outputs, cts, strict=True):
        if tape.moving[v]:
            flows[v] = np.asarray(ct)[None] if flows[v] is None else flows[v] + np.asarray(ct)[None]
    return flows


def differences(tape: Tape, right: list[Stacked], rows: Sequence[Sequence[Change]]) -> list[Array]:
    """By how much the gradients change: for each input (rows, *shape), of as many changed passes."""
    size = max((v.size for v, moves in zip(tape.values, tape.moving, strict=True) if moves), default=1)
    block = max(1, BLOCK // max(size, 1))
    parts = [_differences(tape, right, rows[i : i + block]) for i in range(0, len(rows), block)]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _differences(tape: Tape, right: list[Stacked], rows: Sequence[Sequence[Change]]) -> list[Array]:
    changed: dict[int, list[tuple[int, Change]]] = {}
    for r, row in enumerate(rows):
        for change in row:
            changed.setdefault(change.step, []).append((r, change))
    flows = _walk(tape, [None] * len(tape.values), right, changed, len(rows), keep=False)
    shapes = [tape.values[v].shape for v in tape.inputs]
    return [
        np.zeros((len(rows), *shape)) if flows[v] is None else np.broadcast_to(flows[v], (len(rows), *shape))
        for v, shape in zip(tape.inputs, shapes, strict=True)
    ]


def _walk(
    tape: Tape,
    flows: list[Stacked],
    right: list[Stacked] | None,
    changed: dict[int, list[tuple[int, Change]]],
    rows: int,
    *,
    keep: bool,
) -> list[Stacked]:
    inputs = set(tape.inputs)
    owned: set[int] = set()

    def add(v: int, ct: Any) -> None:
        if flows[v] is None:
            flows[v] = ct
        elif v in owned:
            flows[v] += ct
        else:
            flows[v] = flows[v] + ct
            owned.add(v)

    for number in reversed(range(len(tape.steps))):
        step = tape.steps[number]
        here = [flows[v] for v in step.results]
        if any(ct is not None for ct in here):
            x, y = operands_of(tape, step)
            for v, ct in zip(step.operands, pull(step, x, y, here), strict=True):
                if ct is not None and tape.moving[v]:
                    add(v, ct)
        for r, change in changed.get(number, ()):
            assert right is not None
            total = [
                b if ct is None else ct[r : r + 1] if b is None else b + ct[r : r + 1]
                for b, ct in zip((right[v] for v in step.results), here, strict=True)
            ]
            if any(ct is not None for ct in total):
                v = change.target
                if flows[v] is None or v not in owned:
                    shape = (rows, *tape.values[v].shape)
                    flows[v] = np.zeros(shape) if flows[v] is None else np.array(np.broadcast_to(flows[v], shape))
                    owned.add(v)
                flows[v][r] += change.difference(tape, step, total)[0]
        if not keep:
            for v in step.results:
                if v not in inputs:
                    flows[v] = None
    return flows


def push_forward(
    tape: Tape, seeds: list[Array], until: dict[int, int]
) -> Iterable[tuple[int, list[Stacked], list[Stacked]]]:
    """The numbers of the steps, with the tangents of their operands, and those of all values that are known there.

    Args:
        tape: the function.
        seeds: stacked tangents of its inputs.
        until: the number of the step until which a value's tangents are kept; others are let go when they are read no
            more.
    """
    flows: list[Stacked] = [None] * len(tape.values)
    last = dict(until)
    for number, step in enumerate(tape.steps):
        last |= {v: max(number, last.get(v, 0)) for v in step.operands}
    ends: dict[int, list[int]] = {}
    for v, number in last.items():
        ends.setdefault(number, []).append(v)
    for v, t in zip(tape.inputs, seeds, strict=True):
        flows[v] = t
    for number, step in enumerate(tape.steps):
        tangents = [flows[v] if tape.moving[v] else None for v in step.operands]
        if any(t is not None for t in tangents) and any(tape.moving[v] for v in step.results):
            yield number, tangents, flows
            x, y = operands_of(tape, step)
            for v, t in zip(step.results, push(step, x, y, tangents), strict=True):
                flows[v] = t if tape.moving[v] else None
        for v in ends.get(number, ()):
            flows[v] = None
