"""What other outcomes of comparisons may do, and what overflow does: exact evaluations that obey."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from functional_mlp._dtypes import Array
from functional_mlp.oracle.traced.noise.survey import Survey, different
from functional_mlp.oracle.traced.tracing import DivergenceError, Evaluation, Path, Trace
from functional_mlp.oracle.traced.tracing.primitives import Operation, Primitive, Value, is_float

AROUND = 4.0  # so many times the distance of what outcomes make of a result are its slack


class Branches:
    """Collects what the outcomes of decisions within the noise make of the results.

    At a tie the truth itself is but one of them; a smooth function that is written in pieces has the same gradient on
    either side, and perhaps not at the tie.
    """

    def __init__(self, trace: Trace, survey: Survey, true: list[Array]):
        self.trace, self.survey, self.true = trace, survey, true
        self.low, self.high = list(true), list(true)
        self.conventions: list[list[Array]] = [[t] for t in true]
        self.asked = 0

    def add(self, turned: dict[Path, Value]) -> None:
        """Takes the decisions that passes side by side would make otherwise, (passes, *shape) by path."""
        self.asked += 1
        if not turned:
            return
        for outcome in outcomes_of(self.trace, self.survey, turned):
            self.low = [np.fmin(a, b) for a, b in zip(self.low, outcome, strict=True)]
            self.high = [np.fmax(a, b) for a, b in zip(self.high, outcome, strict=True)]
            if self.asked <= 2:  # those at ties
                for kept, y in zip(self.conventions, outcome, strict=True):
                    kept.append(y)

    def summary(self) -> tuple[list[Array], list[Array], list[tuple[Array, ...]]]:
        """The middle of the outcomes, their slack, and what people do at ties."""
        with np.errstate(all="ignore"):
            slack = [
                np.nan_to_num(AROUND * (b - a), nan=np.inf) if is_float(t) else np.where(a == b, 0.0, np.inf)
                for a, b, t in zip(self.low, self.high, self.true, strict=True)
            ]
            centre = [
                np.where(a == b, t, (a + b) / 2) if is_float(t) else t
                for a, b, t in zip(self.low, self.high, self.true, strict=True)
            ]
        return centre, slack, [tuple(kept) for kept in self.conventions]


def outcomes_of(trace: Trace, survey: Survey, turned: dict[Path, Value]) -> list[list[Array]]:
    """The results by the decisions of each pass that turns any, exactly."""
    passes = max(len(t) for t in turned.values())
    changed = np.zeros(passes, bool)
    for path, t in turned.items():
        changed |= np.any(different(t, survey.decisions[path]).reshape(len(t), -1), axis=1)
    rows = np.flatnonzero(changed)
    try:
        together = Evaluation(survey.decisions | {path: t[rows] for path, t in turned.items()})
        results = together(trace.jaxpr, trace.operands)
    except DivergenceError:
        return [
            Evaluation(survey.decisions | {path: t[row] for path, t in turned.items()})(trace.jaxpr, trace.operands)
            for row in rows
        ]
    ranks = [len(v.aval.shape) for v in trace.jaxpr.jaxpr.outvars]
    return [[y[i] if np.ndim(y) > r else y for y, r in zip(results, ranks, strict=True)] for i in range(len(rows))]


class Bounded(Evaluation):
    """An evaluation in which what may exceed a limit is infinite, and divisors are 0 that may be rounded to it."""

    def __init__(self, survey: Survey, limit: float, singular: dict[Path, NDArray[np.bool_]]):
        super().__init__(survey.decisions)
        self.survey, self.limit, self.singular = survey, limit, singular

    def constant(self, value: Value) -> Value:
        """A number written into the function overflows too."""
        return self._bounded(value, np.abs(value)) if is_float(value) else value

    def operands(self, operation: Operation, primitive: Primitive, x: list[Value], path: Path) -> list[Value]:
        """Operands, of which some are 0."""
        if path not in self.singular:
            return x
        return [np.where(self.singular[path], 0.0, a) if i == primitive.pole else a for i, a in enumerate(x)]

    def results(
        self, operation: Operation, primitive: Primitive, x: list[Value], y: list[Value], path: Path
    ) -> list[Value]:
        """Results that overflow, or were made of numbers that do."""
        if operation.name == "integer_pow" and operation.params["y"] < 0 and is_float(y[0]):
            y = [1 / self.constant(x[0] ** -float(operation.params["y"]))]
        reach = self.survey.reach.get(path, 0.0)
        return [self._bounded(a, np.maximum(np.abs(a), reach)) if is_float(a) else a for a in y]

    def _bounded(self, x: Array, size: Any) -> Array:
        return np.where(size > self.limit, np.copysign(np.inf, x), x)
