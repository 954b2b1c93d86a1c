"""What was found, in sentences: with the file, the line and the expression of the person's function."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from functional_mlp.oracle.traced.diagnosis.changes import PATH, VALUE, Candidate
from functional_mlp.oracle.traced.diagnosis.matching import Factor
from functional_mlp.oracle.traced.diagnosis.replay import Step, Tape
from functional_mlp.oracle.traced.tracing import Place

NOUNS = {
    "add": "the sum",
    "add_any": "the sum",
    "sub": "the difference",
    "mul": "the product",
    "div": "the quotient",
    "dot_general": "the matrix product",
    "conv_general_dilated": "the convolution",
    "reduce_sum": "the sum over axes",
    "reduce_max": "the maximum",
    "reduce_min": "the minimum",
    "broadcast_in_dim": "the broadcasting",
    "transpose": "the transposition",
    "reshape": "the reshaping",
    "select_n": "the choice by a condition",
    "integer_pow": "the power",
    "logistic": "the sigmoid",
    "rsqrt": "1 / sqrt",
    "gather": "the look-up",
    "dynamic_slice": "the slice",
    "cumsum": "the running sum",
    "carry": "what the loop carries from step to step",
    "row": "what the loop reads",
    "stack": "what the loop returns",
    "concatenate": "the joining",
    "rev": "the flipping",
    "max": "the larger of two",
    "min": "the smaller of two",
    "clamp": "the clipping",
}
ORDINALS = ("first", "second", "third", "fourth")


class Wording:
    """Makes sentences of what was found on one tape."""

    def __init__(self, tape: Tape, places: Sequence[Place | None], paths: Sequence[str]):
        self.tape, self.places, self.paths = tape, places, paths
        self._made = {v: step for step in tape.steps for v in step.results}
        self._numbers = {v: number for number, step in enumerate(tape.steps) for v in step.results}

    def of_group(self, group: Sequence[Candidate], factor: Factor | None) -> str:
        """A sentence on candidates that do the same."""
        c = self.likeliest(group, factor)
        step = self.tape.steps[c.changes[0].step]
        every = self._every(c)
        if c.kind == PATH:
            assert factor is not None
            words = factor.words or f"is {factor.value:.6g} times what it should be"
            return f"{self._flow(step, c.operand)} {words}{every}"
        if c.kind == VALUE:
            assert c.other is not None
            right = step.operands[1 - c.operand] if len(step.operands) == 2 else step.operands[0]
            return (
                f"on the way back through {self.at(step)}, {self.value(c.other)} is read instead of {self.value(right)}"
            )
        return f"on the way back through {self.at(step)}: {c.words}{every}"

    def likeliest(self, group: Sequence[Candidate], factor: Factor | None) -> Candidate:
        """Of edges through which the same flows: for a count, that of the operation that counts; else the first one."""
        known = [c for c in group if self.places[c.place] is not None] or list(group)
        if factor is None or factor.value in (0.0, -1.0, 2.0, 0.5):
            return known[0]
        return min(known, key=lambda c: self._counts(self.tape.steps[c.changes[0].step], factor.value))

    def _counts(self, step: Step, factor: float) -> int:
        literals = [abs(float(self.tape.values[v])) for v in step.operands if self._is_number(v)]
        if any(np.isclose(n, [factor, 1 / factor], rtol=1e-6).any() for n in literals if factor):
            return 0
        return 1 if step.name in ("reduce_sum", "broadcast_in_dim", "dot_general") else 2

    def _is_number(self, v: int) -> bool:
        return v in self.tape.literals and np.size(self.tape.values[v]) == 1

    def _every(self, c: Candidate) -> str:
        places = {self.tape.steps[change.step].place for change in c.changes}
        if len(places) > 1 and self.tape.steps[c.changes[0].step].name != "carry":
            return f", all {len(places)} times that this line is called"
        return ", in every step of the loop" if len(c.changes) > 1 and "truncated" not in c.words else ""

    def _flow(self, step: Step, j: int) -> str:
        several = sum(self.tape.moving[v] for v in step.operands) > 1
        if not several or j >= len(ORDINALS):
            return f"the path through {self.at(step)}"
        return f"the path through the {ORDINALS[j]} operand of {self.at(step)}"

    def at(self, step: Step) -> str:
        """An operation and its place."""
        noun = NOUNS.get(step.name, step.name)
        place = self.places[step.place]
        if place is None:
            return noun
        where = f"{Path(place.file).name}:{place.line}"
        return f"{noun} in `{short(place.expression)}` ({where})" if place.expression else f"{noun} ({where})"

    def value(self, v: int) -> str:
        """A value of the function, by where it comes from."""
        if v in self.tape.inputs:
            return self.paths[self.tape.inputs.index(v)]
        if v in self._made:
            return self.at(self._made[v])
        return "a constant"

    def within(self, c: Candidate) -> list[Place | None]:
        """Where the operations are that a change stands for: one, or those of a whole function, the last first."""
        change = c.changes[0]
        if change.target in self.tape.steps[change.step].operands:
            return [self.places[c.place]]
        start = self._numbers.get(change.target, -1)
        open_, found = [change.step], {change.step}
        while open_:
            for v in self.tape.steps[open_.pop()].operands:
                number = self._numbers.get(v, -1)
                if number > start and self.tape.moving[v] and number not in found:
                    found.add(number)
                    open_.append(number)
        return [self.places[self.tape.steps[number].place] for number in sorted(found, reverse=True)]


def short(expression: str, width: int = 60) -> str:
    """An expression, not too long."""
    return expression if len(expression) <= width else expression[: width - 4].rstrip() + " ..."
