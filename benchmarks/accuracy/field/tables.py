"""The page: how many faults of real and of drawn programs are named."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from benchmarks.accuracy.field.items.scoring import Figures
from benchmarks.accuracy.field.trials import ProgramRow
from benchmarks.accuracy.verdicts.tables import share
from benchmarks.markdown import table

HEAD = ("faults", "programs", "WRONG", "fully named", "in part", "false names", "share of false", "seconds")
REAL = """## Real programs

Hand-written backpropagation as it was met, its mathematics written anew (`python -m benchmarks.accuracy.field.items`).
"""
HEADING = """# Programs with the faults that people make

Written by `{command}`; change nothing by hand.
"""
DRAWN = """## Drawn programs

Random programs in plain NumPy: {programs} of them, in several styles, with one to three faults drawn by how often
people make each; in a fifth of them one fault is in no catalogue. *Fully named*: every mistake of a right answer stands
in the headline or the ties; *in part*: some of it. A *false name* is a mistake in the headline that is in no right
answer. *Seconds* are the median.
"""


def page(rows: Sequence[ProgramRow], command: str, figures: Figures | None = None) -> str:
    """The tables by themselves, as Markdown."""
    return HEADING.format(command=command) + "\n" + sections(rows, figures)


def sections(rows: Sequence[ProgramRow], figures: Figures | None = None) -> str:
    """The tables, as Markdown; those of the real programs first, where they were asked."""
    real = "" if figures is None else f"{REAL}\n{figures.sentence()}\n\n{figures.table()}\n"
    return real + DRAWN.format(programs=len(rows)) + "\n" + table(HEAD, _body(rows))


def _body(rows: Sequence[ProgramRow]) -> Iterable[Sequence[object]]:
    kinds = [(count, outside) for outside in (False, True) for count in (1, 2, 3)]
    for count, outside in kinds:
        own = [row for row in rows if (row.faults, row.outside) == (count, outside)]
        if own:
            yield _line(f"{count}{', one of them in no catalogue' if outside else ''}", own)
    yield _line("all", rows)
    for dtype in sorted({row.dtype for row in rows}):
        yield _line(dtype, [row for row in rows if row.dtype == dtype])


def _line(name: str, rows: Sequence[ProgramRow]) -> Sequence[object]:
    count = len(rows)
    wrong, named = sum(row.verdict == "wrong" for row in rows), sum(row.named for row in rows)
    partly, false = sum(row.partly for row in rows), sum(bool(row.false) for row in rows)
    seconds = statistics.median(row.seconds for row in rows)
    nameless = all(row.outside and row.faults == 1 for row in rows)
    return (
        name,
        count,
        share(wrong, count),
        "–" if nameless else share(named, count),
        share(partly, count),
        false,
        share(false, count),
        f"{seconds:.2f}",
    )


def misses(rows: Sequence[ProgramRow], most: int) -> str:
    """The commonest faults that were not named, and every false name, for whoever develops the search."""
    left = [row for row in rows if not row.named and (row.faults > 1 or not row.outside)]
    lines = [f"# {len(left)} not fully named"]
    lines += _by("mistake", rows, left, lambda row: {one.split(" ")[0] for one in row.made.split(" + ")}, most)
    lines += _by("fault", rows, left, lambda row: {one.split(" in (")[0] for one in row.made.split(" + ")}, most)
    lines.append(f"\n# {most} of them, those of few faults first")
    lines += [_told(row) for row in sorted(left, key=lambda row: (row.faults, row.number))[:most]]
    lines.append("\n# false names")
    lines += [f"FALSE {row.false}: {_told(row)}" for row in rows if row.false]
    lines.append("\n# not WRONG")
    lines += [_told(row) for row in rows if row.verdict != "wrong"]
    return "\n".join(lines) + "\n"


def _by(
    what: str,
    rows: Sequence[ProgramRow],
    left: Sequence[ProgramRow],
    keys: Callable[[ProgramRow], set[str]],
    most: int,
) -> list[str]:
    missed, made = (Counter(key for row in of for key in keys(row)) for of in (left, rows))
    return [
        f"\n# by {what}: missed of made",
        *(f"{count:4} of {made[key]:4}  {key}" for key, count in missed.most_common(most)),
    ]


def _told(row: ProgramRow) -> str:
    partly = " (in part)" if row.partly else ""
    return f"{row.number}: {row.made}\n    -> {row.said or '-'}{partly} [{row.verdict}]\n    {row.asked} {row.dtype}"
