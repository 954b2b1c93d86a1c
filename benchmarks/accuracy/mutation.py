"""Whether the conformance vectors alone catch every mistake of the catalogue: a mutation run.

    python -m benchmarks.accuracy.mutation                  prints the page
    python -m benchmarks.accuracy.mutation --output FILE    writes it

Each mistake of the catalogue is injected (`oracle.plant`) into the answers to all vectors that are valid or acceptable,
in each of its variants, wherever it applies, and computed in float64 whatever the vector's precision. Only the numbers
in the files decide (`vectors.judge`): no noise is estimated and nothing is diagnosed. The answers without a mistake
must pass every vector first.

Exits with 1 if they do not, or if less than 99 % of the mistakes are caught.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.markdown import table
from functional_mlp.oracle import MISTAKES, Gradients, Update
from functional_mlp.oracle.mistakes import (
    Prepared,
    applies,
    plant,
    plant_together,
    plant_update,
    prepare,
)
from functional_mlp.update_rules import Descent
from functional_mlp.vectors import Vector, judge, read_vectors

ENOUGH = 0.99
CANCELS = "the textbook formula is a right program, so what a vector allows includes what its subtraction loses"
NOT_COUNTED = {"tanh-cancellation": CANCELS, "sigmoid-cancellation": CANCELS}


class Row(NamedTuple):
    """What the vectors say of one mistake.

    Attributes:
        mistake, variant: what was injected; the variant is None for a mistake that has none.
        asked: in how many vectors it applies.
        by_gradients, by_everything: the vectors that fail it, by the gradients of the parameters alone, and by these,
            the loss, outputs, deltas, gradients of the inputs and the parameters after a step.
    """

    mistake: str
    variant: str | None
    asked: int
    by_gradients: tuple[Vector, ...]
    by_everything: tuple[Vector, ...]

    @property
    def name(self) -> str:
        """The id, and the variant if there is one."""
        return f"{self.mistake}, {self.variant}" if self.variant else self.mistake


def failures(vector: Vector, mistake: str | None, variant: str | None = None) -> tuple[bool, bool]:
    """Whether a vector fails answers with a mistake, or None: by the gradients alone, and by any number."""
    by_gradients = by_others = by_step = False
    if mistake is None or not MISTAKES[mistake].shows_in_updates:
        case = vector.case
        answer = plant_together(case, ()) if mistake is None else plant(case, mistake, variant=variant)
        others: Any = (answer.loss, answer.outputs, answer.deltas, answer.ct_inputs)
        by_gradients = judge(vector, Gradients(list(answer.grads))) is not None
        by_others = judge(vector, Gradients(list(answer.grads), *others)) is not None
    if vector.rule is not None:
        after = plant_update(vector.case, mistake, variant=variant, rule=vector.rule, epochs=vector.steps)
        by_step = judge(vector, Update(list(after), vector.rule.learning_rate)) is not None
    return by_gradients, by_gradients or by_others or by_step


def _prepared(vector: Vector) -> Prepared:
    return prepare(vector.case, "float64", vector.rule or Descent())


def asked(vectors: Sequence[Vector], mistake: str, variant: str | None) -> Row:
    """One mistake in all vectors where it applies, in order."""
    in_step = MISTAKES[mistake].shows_in_updates
    able = [vector for vector in vectors if vector.rule is not None or not in_step]
    able = [vector for vector in able if applies(_prepared(vector), mistake, variant=variant)]
    found = [(vector, failures(vector, mistake, variant)) for vector in able]
    fail_gradients, fail_anything = (tuple(vector for vector, fails in found if fails[part]) for part in (0, 1))
    return Row(mistake, variant, len(able), fail_gradients, fail_anything)


def run(vectors: Sequence[Vector], mistakes: Iterable[str]) -> Iterator[Row]:
    """What the vectors say of every mistake, in each of its variants.

    Raises:
        ValueError: if the answers without a mistake fail a vector.
    """
    wrong = [vector.id for vector in vectors if any(failures(vector, None))]
    if wrong:
        ids = ", ".join(wrong[:10])
        raise ValueError(f"expected answers without a mistake to pass every vector, got {len(wrong)} that fail: {ids}")
    for mistake in mistakes:
        for variant in MISTAKES[mistake].variants or (None,):
            print(f"{mistake} {variant or ''}", file=sys.stderr, flush=True)
            yield asked(vectors, mistake, variant)


HEADER = """# Mutation run

Written by `python -m benchmarks.accuracy.mutation`; change nothing by hand.

Each mistake of the [catalogue](../reference/mistakes.md) is injected into the answers to the {count} conformance
vectors that are valid or acceptable, at every layer where it applies. A vector fails it if one number is farther
from the expected one than the vector allows: the certified numbers in the files decide, while the answers come from
the catalogue itself, in float64. *Asked* counts the vectors in which the mistake can be made and would show,
*gradients* those that fail it when only the gradients of the parameters are compared, *everything* those that do
when loss, outputs, deltas, gradients of the inputs and the parameters after a step are compared as well.
"""
HEAD = ("mistake", "variant", "first vector", "its flags", "asked", "gradients", "everything")


def written(rows: Sequence[Row], count: int) -> str:
    """The table, and under it what was caught and what was not, as Markdown."""
    return "\n".join([HEADER.format(count=count), table(HEAD, map(_cells, rows), texts=4), *_summary(rows), ""])


def _cells(row: Row) -> tuple[Any, ...]:
    first = row.by_everything[0] if row.by_everything else None
    where = ("–", "") if first is None else (f"`{first.id}`", ", ".join(first.flags))
    return f"`{row.mistake}`", row.variant or "", *where, row.asked, len(row.by_gradients), len(row.by_everything)


def _counted(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.mistake not in NOT_COUNTED]


def _summary(rows: Sequence[Row]) -> list[str]:
    counted = _counted(rows)
    caught = sum(bool(row.by_everything) for row in counted)
    alone = sum(bool(row.by_gradients) for row in counted)
    share = f"{caught} of {len(counted)} mutations are caught ({caught / max(1, len(counted)):.1%})"
    lines = [f"**{share}**, {alone} of them by the gradients of the parameters alone."]
    survivors = [row.name for row in counted if not row.by_everything]
    if survivors:
        lines += ["", "Not caught:", "", *(f"- `{name}`" for name in survivors)]
    left_out = [row for row in rows if row.mistake in NOT_COUNTED]
    if left_out:
        lines += ["", "Not counted:", "", *(f"- `{row.name}`: {NOT_COUNTED[row.mistake]}." for row in left_out)]
    return lines


def enough(rows: Sequence[Row]) -> bool:
    """Whether at least 99 % of what is counted is caught."""
    counted = _counted(rows)
    return sum(bool(row.by_everything) for row in counted) >= ENOUGH * len(counted)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs, prints the page or writes it; 1 if right answers fail, or too little is caught."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.mutation", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--output", type=Path, help="write the page there, and print what is caught")
    options = parser.parse_args(arguments)
    vectors = list(read_vectors())
    try:
        with np.errstate(all="ignore"):
            rows = list(run(vectors, MISTAKES))
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
