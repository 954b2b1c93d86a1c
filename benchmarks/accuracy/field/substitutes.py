"""Faults that give the same numbers in one program as those that were made in it, found by making them.

Few numbers, one sample or two, a unit that is never active: there a fault may look like another that it is not. Any
explanation of the numbers that is no longer than what was made is as right.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.accuracy.field.elementwise import Array
from benchmarks.accuracy.field.equivalences import Answer, answers
from benchmarks.accuracy.field.faults import FAULTS, Fault, Planted
from benchmarks.accuracy.field.generator import STEP_ONLY, Program, told

SAME = {"float64": 1e-9, "float32": 1e-5}  # largest difference of an array, relative to it


def every_answer(program: Program) -> frozenset[Answer]:
    """All answers that are right for a program: those of its faults, and of what gives the same numbers."""
    family = program.problem.family
    found = set(answers(family, program.faults))
    for faults in _alike(program):
        found |= answers(family, faults)
    return frozenset(found)


def _alike(program: Program) -> Iterator[Sequence[Planted]]:
    """The faults of a program, some of them replaced by one other without a change of its numbers."""
    given = told(program)
    listed = [index for index, one in enumerate(program.faults) if one.fault.id]
    for count in range(1, len(listed) + 1):
        for replaced in itertools.combinations(listed, count):
            for other in _others(program, [program.faults[index] for index in replaced]):
                faults = [
                    other if index == replaced[0] else one
                    for index, one in enumerate(program.faults)
                    if index == replaced[0] or index not in replaced
                ]
                if _same(given, told(program._replace(faults=tuple(faults))), SAME[program.problem.family.dtype]):
                    yield faults


def _others(program: Program, replaced: Sequence[Planted]) -> Iterator[Planted]:
    """Every other fault without a number of its own, in the same layers and in all where it can be made."""
    family, style = program.problem.family, program.style
    for fault in FAULTS.values():
        if _is_tried(fault, replaced, program.way) and fault.where(family, style):
            able = tuple(fault.layers(family, style))
            places = {able} | {one.layers for one in replaced if not fault.whole and set(one.layers) <= set(able)}
            yield from (Planted(fault, layers, 0.0) for layers in places if layers)


def _is_tried(fault: Fault, replaced: Sequence[Planted], way: str) -> bool:
    possible = way == "update" or fault.id not in STEP_ONLY
    return possible and fault.number is None and all(fault.id != one.fault.id for one in replaced)


def _same(some: Sequence[Array], others: Sequence[Array], most: float) -> bool:
    return all(np.linalg.norm(a - b) <= most * np.linalg.norm(b) for a, b in zip(some, others, strict=True))
