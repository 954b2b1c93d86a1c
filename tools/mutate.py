"""Whether the conformance vectors alone catch every mistake of the catalogue: a mutation run.

    python -m tools.mutate                              prints the page
    python -m tools.mutate --output docs/measured/mutation.md    writes it

Each mistake is put into the NumPy reference (tools/mutations), and the program that makes it is asked about every
vector that is valid or acceptable, in the order of the files, in float64 whatever the vector's precision. It is caught
if a number is farther from the expected one than the vector allows. No oracle takes part, only the numbers in the
files. The reference itself must pass every vector first.

Exits with 1 if the reference fails a vector, or if less than 99 % of the mutations are caught.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from functional_mlp.vectors import Answer, Vector, read_vectors
from reference._problem import Array
from reference.plain import Case, Solution
from tools.conformance.certified import referee_case
from tools.mutations import chain_rule, forward_pass, loss, reductions, regulariser, state, update_step
from tools.mutations.mutation import Mutation, Program, Steps, program_of

ENOUGH = 0.99
MUTATIONS: tuple[Mutation, ...] = tuple(
    mutation
    for family in (chain_rule, reductions, loss, forward_pass, regulariser, update_step, state)
    for mutation in family.MUTATIONS
)
REFERENCE = Mutation("none", "", ())


class Numbers(NamedTuple):
    """The numbers of an answer, one after the other.

    Attributes:
        gradients: of the parameters.
        others: the loss, outputs, deltas, ct_inputs, and the parameters after a step, as far as the vector has them.
    """

    gradients: Array
    others: Array


class Right(NamedTuple):
    """A right answer, and how far from it an answer may be: infinitely where nothing is required."""

    expected: Numbers
    allowed: Numbers


class Question(NamedTuple):
    """A vector, ready to be asked many times.

    Attributes:
        id, flags, learning_rate: of the vector.
        case: for the reference.
        rights: the expected answer and its alternatives: an answer is right if it fits one of them as a whole.
    """

    id: str
    flags: tuple[str, ...]
    case: Case
    rights: tuple[Right, ...]
    learning_rate: float | None


class Row(NamedTuple):
    """What the vectors say of one program.

    Attributes:
        mutation: that made it.
        by_gradients, by_everything: the vectors that it fails.
    """

    mutation: Mutation
    by_gradients: tuple[Question, ...]
    by_everything: tuple[Question, ...]

    @property
    def caught(self) -> bool:
        """Whether it fails any."""
        return bool(self.by_everything)


def question_of(vector: Vector) -> Question:
    """A valid or acceptable vector as a question."""
    rights = tuple(_right(answer, len(vector.case.params)) for answer in vector.answers)
    return Question(vector.id, vector.flags, referee_case(vector.case), rights, vector.learning_rate)


def _right(answer: Answer, layers: int) -> Right:
    return Right(*(_arranged(arrays, layers) for arrays in (answer.expected, answer.allowed)))


def _arranged(arrays: dict[str, Array], layers: int) -> Numbers:
    pairs = lambda field: [  # noqa: E731
        tuple(arrays.get(f"{field}[{layer}].{part}") for part in ("weights", "bias")) for layer in range(layers)
    ]
    deltas = [arrays[f"deltas[{layer}]"] for layer in range(layers)]
    others = (arrays.get("loss"), arrays["outputs"], deltas, arrays["ct_inputs"])
    return _numbers(pairs("params"), *others, pairs("params_after"))


def _numbers(grads: Any, loss: Any, outputs: Any, deltas: Any, ct_inputs: Any, after: Any) -> Numbers:
    leaves = lambda layers: [leaf for layer in layers for leaf in layer]  # noqa: E731
    return Numbers(_joined(leaves(grads)), _joined([loss, outputs, *deltas, ct_inputs, *leaves(after)]))


def _joined(arrays: Iterable[Any]) -> Array:
    return np.concatenate([np.asarray(array, np.float64).ravel() for array in arrays if array is not None])


def _answer(solution: Solution, after: Steps) -> Numbers:
    return _numbers(solution.grads, solution.loss, solution.outputs, solution.deltas, solution.ct_inputs, after)


def failed(program: Program, question: Question) -> tuple[bool, bool]:
    """Whether a program fails a vector by its gradients alone, and by any number.

    An exception is no failure of the program, but of whoever wrote the mutation, and is not caught.
    """
    rate = question.learning_rate
    solution = program.solve(question.case)
    after = () if rate is None else program.step(question.case, solution, rate)
    got = _answer(solution, after)
    by_gradients = [
        _fits(got.gradients, right.expected.gradients, right.allowed.gradients) for right in question.rights
    ]
    others = [_fits(got.others, right.expected.others, right.allowed.others) for right in question.rights]
    return not any(by_gradients), not any(map(all, zip(by_gradients, others, strict=True)))


def _fits(got: Array, expected: Array, allowed: Array) -> bool:
    """Written so that NaN does not fit."""
    if got.shape != expected.shape:
        return False
    with np.errstate(all="ignore"):
        return bool(((np.abs(got - expected) <= allowed) | np.isinf(allowed)).all())


def asked(mutation: Mutation, vectors: Sequence[Question]) -> Row:
    """The program of a mutation, asked about all vectors in order."""
    program = program_of(mutation)
    verdicts = [failed(program, question) for question in vectors]
    by_gradients, by_everything = (
        tuple(question for question, fails in zip(vectors, fails_of, strict=True) if fails)
        for fails_of in zip(*verdicts, strict=True)
    )
    return Row(mutation, by_gradients, by_everything)


def run(vectors: Sequence[Question], mutations: Iterable[Mutation]) -> Iterator[Row]:
    """What the vectors say of every mutation.

    Raises:
        ValueError: if the reference itself fails one.
    """
    wrong = asked(REFERENCE, vectors).by_everything
    if wrong:
        names = ", ".join(question.id for question in wrong[:10])
        raise ValueError(f"expected the reference to pass every vector, got {len(wrong)} that it fails: {names}")
    for mutation in mutations:
        yield asked(mutation, vectors)


HEADER = """# Mutation run

Written by `python -m tools.mutate --output docs/measured/mutation.md`; change nothing by hand.

Each mistake of the [catalogue](../reference/mistakes.md) is put into the NumPy reference; wherever shapes
allow, the program that makes it is asked about the {count} conformance vectors that are valid or acceptable. A
vector fails it if one number is farther from the expected one than the vector allows; no oracle takes part.
*Gradients* counts the vectors that fail when only the gradients of the parameters are compared, *everything*
those that fail when loss, outputs, deltas, gradients of the inputs and the parameters after a step are compared
as well.

| mistake | variant | gradients | everything | first vector | its flags |
| --- | --- | ---: | ---: | --- | --- |
"""


def written(rows: Sequence[Row], count: int) -> str:
    """The table, and under it what was caught and what was not, as Markdown."""
    lines = [_line(row) for row in rows]
    return HEADER.format(count=count) + "\n".join([*lines, "", *_summary(rows), ""])


def _line(row: Row) -> str:
    first = row.by_everything[0] if row.caught else None
    cells = (
        f"`{row.mutation.mistake}`",
        row.mutation.variant,
        str(len(row.by_gradients)),
        str(len(row.by_everything)),
        "–" if first is None else f"`{first.id}`",
        "" if first is None else ", ".join(first.flags),
    )
    return f"| {' | '.join(cells)} |"


def _summary(rows: Sequence[Row]) -> list[str]:
    possible = [row for row in rows if not row.mutation.reason]
    caught = [row for row in possible if row.caught]
    alone = sum(bool(row.by_gradients) for row in possible)
    share = f"{len(caught)} of {len(possible)} mutations are caught ({len(caught) / max(1, len(possible)):.1%})"
    lines = [f"**{share}**, {alone} of them by the gradients of the parameters alone."]
    survivors = [row.mutation for row in possible if not row.caught]
    if survivors:
        lines += ["", "Not caught:", "", *(f"- `{mutation.name}`" for mutation in survivors)]
    reasons = [row.mutation for row in rows if row.mutation.reason]
    if reasons:
        lines += ["", "Not counted:", "", *(f"- `{mutation.name}`: {mutation.reason}." for mutation in reasons)]
    return lines


def enough(rows: Sequence[Row]) -> bool:
    """Whether at least 99 % of what can be caught is caught."""
    possible = [row for row in rows if not row.mutation.reason]
    return sum(row.caught for row in possible) >= ENOUGH * len(possible)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs, prints the page or writes it; 1 if the reference fails, or too little is caught."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutate", description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, help="write the page there, and print what is caught")
    options = parser.parse_args(arguments)
    vectors = [question_of(vector) for vector in read_vectors()]
    if not vectors:
        print("expected vectors in functional_mlp/vectors, got none: run python -m tools.make_vectors", file=sys.stderr)
        return 1
    try:
        rows = list(run(vectors, MUTATIONS))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    text = written(rows, len(vectors))
    if options.output is None:
        print(text)
    else:
        options.output.write_text(text, encoding="utf-8")
        print("\n".join(_summary(rows)))
    return 0 if enough(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
