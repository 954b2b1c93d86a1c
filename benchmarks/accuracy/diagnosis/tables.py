"""The tables of docs/measured/diagnosis.md, from the rows of the trials."""

import textwrap
from collections import Counter
from collections.abc import Sequence

import numpy as np

from benchmarks.accuracy.diagnosis.trials import SHOWN, Row
from benchmarks.accuracy.field.items.scoring import Figures
from benchmarks.accuracy.field.tables import sections
from benchmarks.accuracy.field.trials import ProgramRow
from benchmarks.accuracy.verdicts.tables import grouped, share
from benchmarks.markdown import table
from functional_mlp.oracle.diagnosis import CONVENTION, EITHER, MISTAKE
from functional_mlp.oracle.verdict import Verdict

OFTEN = 20  # cases in which each mistake is to be made


def page(trials: dict[str, list[Row]], command: str, programs: Sequence[ProgramRow], figures: Figures) -> str:
    """The tables, as Markdown: of programs as people write them, and then from the rows of every trial.

    Args:
        trials: the rows of planted mistakes and unlisted errors, of which those are counted whose verdict is wrong.
        command: that made them.
        programs, figures: of drawn programs and of real ones.
    """
    rows = [row for of_trial in trials.values() for row in of_trial]
    wrong = [row for row in rows if row.verdict == str(Verdict.WRONG)]
    listed = [row for row in wrong if not row.group.startswith("unlisted")]
    unlisted = [row for row in wrong if row.group.startswith("unlisted")]
    diagnosed = [row for row in listed if row.expected and row.kind]
    parts = [
        INTRODUCTION.format(command=command),
        sections(programs, figures),
        PLANTED,
        _named_table(listed),
        MISSED,
        _missed_table(listed),
    ]
    parts += [_coverage(trials)]
    parts += [
        "## Convention or mistake\n",
        KINDS,
        _kind_table(diagnosed),
        "## Other errors\n",
        UNLISTED_ERRORS,
        _unlisted_table(unlisted),
    ]
    return "\n".join(parts)


INTRODUCTION = """# Diagnosis: measured rates

Written by `{command}`; change nothing by hand.
[oracle.md](../reference/oracle.md) says what a diagnosis is,
[mistakes.md](../reference/mistakes.md) which mistakes are known.
"""
PLANTED = """## Mistakes of the catalogue

Random cases of 1–4 layers, widths 1–7 and 2–64 samples; every mistake in each of its variants at every place where it
applies, from one case and its gradients alone, a free number being random within a factor of three of its usual value
(of finite differences, a round step from 1e-7 to 0.05). *Pairs* are of two mistakes each of which changes an array that
the other does not. *Functions* are asked about the cases that `check_function` chooses. Only wrong reports are counted.
*And its layer*: named in the layer where it was made; of several layers with the same numbers, one is named. *Alone*:
no other mistake of the catalogue gives the same numbers in that case.
"""
MISSED = "Which were not named:\n"
KINDS = """What was planted, and what the diagnosis says it is; *either*: mistakes and conventions give these numbers.
"""
UNLISTED_ERRORS = """None of the catalogue's, so that any name is false; half of them in cases of one sample, one
output or two classes, in which any error at the output is little more than a factor. Each is counted in two lines: by
what it is, and by the case.
"""


def _named_table(rows: list[Row]) -> str:
    body = []
    for name, group in sorted(grouped(rows, lambda row: f"{row.group}, {row.dtype}").items()):
        named, alone = sum(row.named for row in group), sum(row.named and row.ties == 1 for row in group)
        placed = share(sum(row.placed for row in group), len(group))
        median = int(np.median([row.ties for row in group]))
        body.append([name, len(group), named, share(named, len(group)), placed, share(alone, len(group)), median])
    return table(("", "wrong reports", "named", "share", "and its layer", "alone", "explanations (median)"), body)


def _missed_table(rows: list[Row]) -> str:
    missed = Counter((row.what, row.dtype) for row in rows if not row.named)
    every = Counter((row.what, row.dtype) for row in rows)
    body = [[f"`{what}`", dtype, count, every[what, dtype]] for (what, dtype), count in missed.most_common(40)]
    return table(("mistake", "computed in", "not named", "of"), body)


def cases_of_each(trials: dict[str, list[Row]]) -> dict[str, int]:
    """In how many cases each mistake was made, alone and from one case."""
    groups = ("exact", "fitted", "second-case")
    met = Counter(what for rows in trials.values() for what in {row.what for row in rows if row.group in groups})
    return {name: met[name] for name in SHOWN}


def _coverage(trials: dict[str, list[Row]]) -> str:
    counts = cases_of_each(trials)
    rare = {name: count for name, count in counts.items() if count < OFTEN}
    sentence = f"{len(counts)} mistakes were made, {len(counts) - len(rare)} of them in at least {OFTEN} of the cases"
    others = ", ".join(f"`{name}` ({count})" for name, count in sorted(rare.items(), key=lambda item: item[1]))
    return textwrap.fill(f"{sentence}{f'; in fewer: {others}' if rare else ''}.", 120, break_on_hyphens=False) + "\n"


def _kind_table(rows: list[Row]) -> str:
    body = []
    for name, group in sorted(grouped(rows, lambda row: f"{row.expected}, {row.dtype}").items()):
        kinds = Counter(row.kind for row in group)
        body.append([name, len(group), *(share(kinds[kind], len(group)) for kind in (CONVENTION, MISTAKE, EITHER))])
    return table(("planted", "diagnosed", "called a convention", "called a mistake", "either"), body)


def _case_of(row: Row) -> str:
    """The kind of a case with an unlisted error."""
    kind = row.group.removeprefix("unlisted").removeprefix(", ")
    return f"in cases of {kind}" if kind else "in other cases"


def _unlisted_table(rows: list[Row]) -> str:
    body = []
    by_error, by_case = grouped(rows, lambda row: f"{row.what}, {row.dtype}"), grouped(rows, _case_of)
    for name, group in (*sorted(by_error.items()), *sorted(by_case.items())):
        false, placed = sum(row.false for row in group), [row.located for row in group if row.located is not None]
        body.append([name, len(group), false, share(false, len(group)), share(sum(placed), len(placed))])
    false = sum(row.false for row in rows)
    body.append(["all", len(rows), false, share(false, len(rows)), ""])
    return table(("error", "wrong reports", "falsely named", "share", "first wrong quantity found"), body)
