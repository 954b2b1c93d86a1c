"""The tables of the verdicts, as one page of Markdown."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from benchmarks.accuracy.peers import MOST_PARAMETERS, RTOLS
from benchmarks.accuracy.verdicts.trials import Asked, Correct, Detectable, KinkRow, PlantedRow, loss_of_detection
from benchmarks.markdown import table

Row = TypeVar("Row")
Key = TypeVar("Key")
WRONG, UNDECIDED, CONSISTENT = "wrong", "undecided", "consistent"


def page(rows: list[Any]) -> str:
    """Every table of the rows of all trials."""
    of: dict[type, list[Any]] = {kind: [row for row in rows if isinstance(row, kind)] for kind in KINDS_OF_ROWS}
    parts = [
        INTRODUCTION,
        "## False alarms\n",
        FALSE_ALARMS,
        _family_wise(of[Correct]),
        _correct_table("storage", of[Correct], lambda row: row.dtype),
        CAUSES,
        _cause_table(of[Correct]),
        _correct_table("implementation", of[Correct], lambda row: row.implementation),
        *(_correct_table(cut, of[Correct], lambda row, cut=cut: row.families[cut]) for cut in CUTS),  # type: ignore[misc]
        "## Detection\n",
        DETECTION,
        _detection_table(of[PlantedRow]),
        _detectable_table(of[Detectable]),
        _mistake_table(of[PlantedRow]),
        "## The peers\n",
        PEERS,
        _peer_table(of[Correct], of[Asked], of[PlantedRow]),
        "## Kinks\n",
        KINKS,
        _kink_table(of[KinkRow]),
    ]
    return "\n".join(parts)


KINDS_OF_ROWS = (Correct, Asked, PlantedRow, Detectable, KinkRow)
CUTS = ("hidden activation", "end", "depth", "width", "batch", "order", "special")
INTRODUCTION = """# Verdicts: measured error rates

Written by `python -m benchmarks.accuracy.verdicts`; change nothing by hand.
[oracle.md](../reference/oracle.md) says what the verdicts mean and what the noise floor assumes.
"""
FALSE_ALARMS = """Correct implementations: depth 1–10, width 1–1024, batch 1–4096, samples in order of class
or shuffled, repeated samples, equal weights, scales from 1e-6 to 1e3, all activations and admissible losses. Every
array that an implementation returns (gradients, and where it has them loss, outputs, deltas, ct_inputs) is one check.
*Error / floor* is the largest among consistent entries: how near a false alarm was.
"""
CAUSES = """Undecided. *Special* cases have kinks, overflow, underflow or saturated probabilities.
"""
DETECTION = """Every mistake of the catalogue, in each of its variants, planted at every place where it applies, in
random cases of 1–4 layers and 2–64 samples. *Effective*: it changes the float64 gradient by more than 1e-14 of some
array's norm. *Above*: by more than the smallest detectable change that the report states for some array. Cases in which
a probability that the loss needs rounds to 0 or 1, or a unit lies at its kink, are counted apart, in the last rows.
"""
PEERS = f"""The same gradients, asked of others. `rtol` compares with the true gradient (`np.allclose`, whose atol is
1e-8); `check_grads` and `gradcheck` know no true gradient and were asked about cases with a loss and at most
{MOST_PARAMETERS} parameters in float64 and float32. For the oracle, a report is a false alarm if some array is wrong,
and a miss if an effective mistake is called consistent. Cases are counted here, not arrays.
"""
KINKS = """Networks with a relu unit at the kink, under either convention, without and with a real mistake beside it
(bias gradients 1.5 times too large).
"""


def _family_wise(rows: list[Correct]) -> str:
    """How many reports were asked for, and what no false alarm in so many means."""
    reports = _reports(rows)
    alarms = sum(any(row.verdict == WRONG for row in group) for group in reports.values())
    entries = sum(row.size for row in rows)
    sentence = (
        f"{len(reports):,} reports on {len(rows):,} arrays with {entries:,} entries; false alarms: {alarms} reports"
    )
    if alarms == 0:  # the rule of three
        sentence += f": with 95 % confidence, fewer than one report in {len(reports) // 3:,} of cases drawn like these"
    return f"{sentence}.\n"


def _reports(rows: Iterable[Correct]) -> dict[str, list[Correct]]:
    return grouped(rows, lambda row: f"{row.case} {row.implementation} {row.dtype}")


def grouped(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    """The rows by key, in the order in which the keys come."""
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def share(part: int, whole: int) -> str:
    """A percentage; a dash where there is nothing."""
    return "–" if whole == 0 else f"{100 * part / whole:.2f} %"


def _median(values: Sequence[float]) -> str:
    finite = [value for value in values if np.isfinite(value)]
    return f"{np.median(finite):.1e}" if finite else "–"


def _correct_row(name: str, rows: list[Correct]) -> list[Any]:
    plain = [row for row in rows if not row.special]
    verdicts = Counter(row.verdict for row in rows)
    open_plain = sum(row.verdict == UNDECIDED for row in plain)
    ratio = max((row.ratio for row in rows if row.verdict == CONSISTENT), default=0.0)
    open_all = share(verdicts[UNDECIDED], len(rows))
    shares = (f"**{verdicts[WRONG]}**", open_all, share(open_plain, len(plain)), f"{ratio:.2f}")
    return [name, len(rows), *shares, _median([row.detectable for row in plain])]


def _correct_table(what: str, rows: list[Correct], key: Callable[[Correct], str]) -> str:
    head = (what, "checks", "wrong", "undecided", "undecided, not special", "error / floor", "detects (median)")
    body = [_correct_row(name, group) for name, group in sorted(grouped(rows, key).items())]
    return table(head, [*body, _correct_row("all", rows)] if len(body) > 1 else body)


def _cause_table(rows: list[Correct]) -> str:
    body = []
    groups = grouped([row for row in rows if row.verdict == UNDECIDED], lambda row: row.cause)
    for cause, group in sorted(groups.items()):
        plain = sum(not row.special for row in group)
        total = sum(not row.special for row in rows)
        by_dtype = ", ".join(f"{name} {count}" for name, count in sorted(Counter(row.dtype for row in group).items()))
        body.append([cause, len(group), plain, share(plain, total), by_dtype])
    return table(("cause", "checks", "not special", "of all not special", "by storage"), body)


def _detection_row(name: str, rows: list[PlantedRow]) -> list[Any]:
    effective = [row for row in rows if row.effective]
    above = [row for row in effective if row.above]
    missed = loss_of_detection(above)
    below = [row for row in effective if not row.above]
    verdicts = Counter(row.verdict for row in effective)
    return [
        *(name, len(rows), len(effective), len(above), f"{len(above) - len(missed)}"),
        *(share(len(below), len(effective)), verdicts[WRONG], verdicts[UNDECIDED], verdicts[CONSISTENT]),
    ]


def _detection_table(rows: list[PlantedRow]) -> str:
    head = ("", "planted", "effective", "above", "of these wrong", "below", "wrong", "undecided", "consistent")
    plain, other = ([row for row in rows if row.diluted == diluted] for diluted in (False, True))
    groups = grouped(plain, lambda row: f"{row.dtype}, {row.tag}") | grouped(plain, lambda row: f"{row.dtype}, all")
    groups |= grouped(other, lambda row: f"{row.dtype}, lost probabilities or kinks")
    return table(head, [_detection_row(name, group) for name, group in sorted(groups.items())])


def _detectable_table(rows: list[Detectable]) -> str:
    body = []
    for dtype, group in sorted(grouped(rows, lambda row: row.dtype).items()):
        values = [row.relative for row in group]
        body.append([dtype, len(values), _median(values), f"{np.quantile(values, 0.9):.1e}", f"{max(values):.1e}"])
    title = "smallest detectable change, relative to the array's norm"
    return table((title, "arrays", "median", "90 %", "largest"), body)


def _mistake_table(rows: list[PlantedRow]) -> str:
    head = ("mistake", "cases", "planted", "effective", "wrong f64", "open f64", "missed f64", "wrong f32", "open f32")
    body = []
    for mistake, group in grouped(rows, lambda row: row.mistake).items():
        effective = [row for row in group if row.effective]
        cells: list[Any] = [f"`{mistake}`", len({row.seed for row in group}), len(group), len(effective)]
        for dtype in ("float64", "float32"):
            verdicts = Counter(row.verdict for row in effective if row.dtype == dtype)
            cells += [verdicts[WRONG], verdicts[UNDECIDED], verdicts[CONSISTENT]]
        body.append(cells)
    return table((*head, "missed f32"), body)


def _peer_table(correct: list[Correct], asked: list[Asked], planted: list[PlantedRow]) -> str:
    head = ("checker", "storage", "correct", "false alarms", "not special", "mistakes", "noticed", "missed")
    body: list[list[Any]] = []
    peers = ["oracle", *(f"rtol {rtol:.0e}" for rtol in RTOLS), "check_grads", "gradcheck"]
    for peer in peers:
        for dtype in ("float64", "float32", "float16", "bfloat16"):
            if peer == "oracle":
                reports = _reports(row for row in correct if row.dtype == dtype)
                alarms = [(any(row.verdict == WRONG for row in rows), rows[0].special) for rows in reports.values()]
                hits = [
                    row.verdict != CONSISTENT for row in planted if row.dtype == dtype and row.effective and row.peers
                ]
            else:
                alarms = [(not row.passes, row.special) for row in asked if row.peer == peer and row.dtype == dtype]
                hits = [not row.peers[peer] for row in planted if row.dtype == dtype and peer in row.peers]
            if not alarms and not hits:
                continue
            plain = [alarm for alarm, special in alarms if not special]
            body.append(
                [
                    *(peer, dtype, len(alarms), share(sum(alarm for alarm, _ in alarms), len(alarms))),
                    *(share(sum(plain), len(plain)), len(hits), share(sum(hits), len(hits)), len(hits) - sum(hits)),
                ]
            )
    return table(head, body)


def _kink_table(rows: list[KinkRow]) -> str:
    head = ("unit at", "program finds it on", "mistake beside it", "cases", WRONG, UNDECIDED, CONSISTENT)
    body = []
    in_order = sorted(rows, key=lambda row: (row.mistaken, row.where, row.convention))
    for (where, convention, mistaken), group in grouped(
        in_order, lambda row: (row.where, row.convention, row.mistaken)
    ).items():
        verdicts = Counter(row.verdict for row in group)
        counts = (verdicts[WRONG], verdicts[UNDECIDED], verdicts[CONSISTENT])
        body.append([where, convention, "yes" if mistaken else "no", len(group), *counts])
    return table(head, body)
