"""The question put to the oracle, and its answer as plain data."""

import linecache
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.accuracy.anything.operations import Operation, Question
from functional_mlp import oracle


class Judged(NamedTuple):
    """What is said of one gradient; `ratio` is error over floor of its worst entry."""

    verdict: str
    cause: str
    ratio: float
    norm: float
    detectable: float
    size: int


class Named(NamedTuple):
    """The diagnosis: its sentence, its kind, the lines of the reference that it and its ties point at."""

    sentence: str
    kind: str
    lines: tuple[str, ...]


def ask(operation: Operation, question: Question, gradients: Sequence[Any], precision: str) -> Any:
    """The oracle's report on the gradients of an operation's floats."""
    arguments = (*question.floats, *question.constants)
    given = (*gradients, *(None for _ in question.constants))
    return oracle.check_vjp(operation.function, arguments, given, question.ct, precision=precision)


def judged(report: Any) -> list[Judged]:
    """Of each gradient, in the order of the arguments."""
    return [_judged(leaf) for leaf in report.leaves]


def _judged(leaf: Any) -> Judged:
    with np.errstate(all="ignore"):
        ratio = 0.0 if leaf.error == 0 else np.nan_to_num(np.divide(leaf.error, leaf.floor), nan=np.inf)
    cause = "" if leaf.cause is None else str(leaf.cause)
    numbers = (float(ratio), float(leaf.norm), float(leaf.smallest_detectable), int(leaf.size))
    return Judged(str(leaf.verdict), cause, *numbers)


def named(report: Any) -> Named:
    """Of a report with something wrong; this runs the search."""
    found = report.diagnosis
    if found is None or found.kind == "unsearched":
        return Named("", "", ())
    places = [place for each in (found, *found.ties) for place in each.places]
    lines = tuple(linecache.getline(place.file, place.line).strip() for place in places)
    return Named(found.sentence, str(found.kind), lines)
