"""The page of the corpus: what was said of each right program, and of each with a mistake."""

import statistics
from collections import Counter
from collections.abc import Sequence

from benchmarks.accuracy.programs.corpus import MODULES
from benchmarks.accuracy.programs.registry import Program
from benchmarks.accuracy.programs.trials import REFUSED, Row, missing, programs
from benchmarks.markdown import table

MOST_UNDECIDED = 0.03
VERDICTS = ("consistent", "undecided", "wrong", REFUSED)

HEADER = """# Programs of many styles

Written by `python -m benchmarks.accuracy.programs`; change nothing by hand.

Correct programs as people write them ({folder}),
each asked as its author would, in its own layout and with its own conventions: by the call that stands in the column
*asked by*, with at most one declaration. Each is asked for several networks with several seeds. Then a mistake is
planted at one place of its source, and the same question asked again. *Seconds* are the median of a question on the
machine that wrote this page.
"""
HEAD = ("program", "style", "asked by", "declared", "asked", *VERDICTS, "seconds")
PLANTED = """
## The same programs with a mistake

*Wrong* counts the questions that were answered so, of those *asked*.
"""


def page(rows: Sequence[Row]) -> str:
    """Both tables and their sums, as Markdown."""
    known = programs()
    by_name = {name: [row for row in rows if row.program == name] for name in known}
    folder = "[benchmarks/accuracy/programs/corpus](../../benchmarks/accuracy/programs/corpus)"
    parts = [HEADER.format(folder=folder), *_summary(rows), ""]
    for module in MODULES:
        of = [each for each in known.values() if each.make.__module__ == module.__name__]
        parts += [f"## {(module.__doc__ or '').splitlines()[0].rstrip('.')}", ""]
        parts += [table(HEAD, (_right(each, by_name[each.name]) for each in of), texts=4)]
    mistakes = [cells for each in known.values() for cells in _planted(each, by_name[each.name])]
    parts += [PLANTED.lstrip("\n"), table(("program", "planted", "asked", "wrong"), mistakes, texts=2)]
    parts += [f"Not asked here: `{name}`, which needs {tool}.\n" for name, tool in missing().items()]
    return "\n".join(parts)


def _declared(of: Program) -> str:
    """The declaration as it is written in the call."""
    return ", ".join(f"`{name}={value!r}`" for name, value in of.declared.items()) or "–"


def _right(of: Program, rows: Sequence[Row]) -> tuple[object, ...]:
    asked = [row for row in rows if not row.mistake]
    counts = Counter(row.verdict for row in asked)
    seconds = statistics.median(row.seconds for row in asked)
    numbers = (counts[verdict] for verdict in VERDICTS)
    return f"`{of.name}`", of.style, f"`{of.way}`", _declared(of), len(asked), *numbers, f"{seconds:.2f}"


def _planted(of: Program, rows: Sequence[Row]) -> list[tuple[object, ...]]:
    found = {planted.what: [row.verdict for row in rows if row.mistake == planted.what] for planted in of.planted}
    return [(f"`{of.name}`", what, len(said), said.count("wrong")) for what, said in found.items()]


def _summary(rows: Sequence[Row]) -> list[str]:
    right = [row for row in rows if not row.mistake]
    planted = [row for row in rows if row.mistake]
    counts = Counter(row.verdict for row in right)
    caught = sum(row.verdict == "wrong" for row in planted)
    styles, kinds = len({row.program for row in right}), len({(row.program, row.mistake) for row in planted})
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
    return [
        f"**{styles} correct programs, {len(right)} questions: {said}.**",
        f"**{kinds} programs with a mistake, {len(planted)} questions: {caught} wrong.**",
    ]


def failures(rows: Sequence[Row]) -> list[str]:
    """What a benchmark that is met does not have: right programs called wrong or refused, mistakes that pass."""
    wrong = [row for row in rows if (row.verdict != "wrong" if row.mistake else row.verdict in ("wrong", REFUSED))]
    found = [
        f"{row.program}, {row.mistake or 'right'}, {row.sizes}, seed {row.seed}: {row.verdict} {row.remark}".rstrip()
        for row in wrong
    ]
    right = [row for row in rows if not row.mistake]
    undecided = [row for row in right if row.verdict == "undecided"]
    if len(undecided) > MOST_UNDECIDED * len(right):
        names = ", ".join(sorted({row.program for row in undecided}))
        found.append(f"{len(undecided)} of {len(right)} right programs are undecided: {names}")
    return found
