"""The report: what the oracle says of somebody's numbers, as text for a terminal, as JSON, and as a page of HTML.

The JSON form is described by `schemas/report.schema.json`. Numbers that JSON has not (NaN, infinities) are strings.
"""

import json
import math
import textwrap
from dataclasses import dataclass
from typing import Any

from functional_mlp.oracle.diagnosis import Diagnosis
from functional_mlp.oracle.report import sentences as wording
from functional_mlp.oracle.report.outcome import Finding as Finding
from functional_mlp.oracle.report.outcome import Outcome
from functional_mlp.oracle.report.sentences import SIGNS, short
from functional_mlp.oracle.verdict import Leaf, Verdict, worst_of

WIDTH = 80
VERSION = 1


@dataclass(frozen=True)
class Report(Outcome):
    """What the oracle says; the attributes are those of `Outcome`."""

    def text(self) -> str:
        """For a terminal of 80 columns."""
        lines = _wrapped(f"{self.verdict.upper()}: {wording.summary(self)}")
        title = f"{self.name}: " if self.name else ""
        lines += _wrapped(f"{title}{wording.subject(self)}")
        lines += _diagnosis_lines(self.diagnosis, one_case=wording.is_of_one_case(self))
        groups = wording.groups(self)
        shown = wording.shown_groups(self)
        if len(shown) < len(groups):
            lines += ["", *_overview(groups)]
        for group in shown:
            lines += ["", *([f"[{group}]"] if group else []), *_table(groups[group])]
        lines.append("")
        for finding in self.findings:
            lines += _wrapped(f"{finding.verdict.upper()}: {finding.sentence}", hang=2)
        spoken = wording.spoken_of(self)
        for leaf in (leaf for leaf in spoken if leaf.group in shown):
            where = f"[{leaf.group}] {leaf.path}" if leaf.group else leaf.path
            lines += _wrapped(f"{SIGNS[leaf.verdict]} {where}: {leaf.sentence}.", hang=2)
        elsewhere = sum(leaf.group not in shown for leaf in spoken)
        if elsewhere:
            lines += _wrapped(f"And {wording.count(elsewhere, 'array')} of other cases, which --json and --html show.")
        for remedy in wording.remedies(self):
            lines += _wrapped(f"To do: {remedy}.", hang=2)
        for note in self.notes:
            lines += _wrapped(f"Note: {note}", hang=2)
        if not spoken and not self.findings:
            lines += _wrapped(wording.AGREES)
        return "\n".join(lines).rstrip() + "\n"

    def html(self) -> str:
        """One page that needs nothing else: no network, no script; for a screen of any width, and for paper.

        The case and the answers are in it, to be saved and judged again, up to `exhibits.MAX_BYTES`.
        """
        from functional_mlp.oracle.report.html.page import page_of  # few reports are written as pages

        return page_of(self)

    def document(self) -> dict[str, Any]:
        """The fields of the JSON form."""
        return {
            "format": "functional-mlp/report",
            "version": VERSION,
            "verdict": str(self.verdict),
            "case": self.name,
            "network": self.network,
            "samples": self.samples,
            "precision": self.precision,
            "leaves": [_leaf_document(leaf) for leaf in self.leaves],
            "findings": [
                {"id": finding.id, "verdict": str(finding.verdict), "sentence": finding.sentence}
                for finding in self.findings
            ],
            "notes": list(self.notes),
            "diagnosis": None if self.diagnosis is None else _diagnosis_document(self.diagnosis),
        }

    def json(self) -> str:
        """The JSON form, as `schemas/report.schema.json` describes it."""
        return json.dumps(self.document(), indent=1, allow_nan=False) + "\n"


def _diagnosis_lines(diagnosis: Diagnosis | None, *, one_case: bool) -> list[str]:
    if diagnosis is None:
        return []
    if not diagnosis.mistakes:
        return ["", *_wrapped(wording.not_explained(diagnosis))]
    lines = [""]
    for named in diagnosis.mistakes:
        what = f"{wording.kind_of(named)} {wording.place_of(named)}"
        lines += _wrapped(f"{what}: {named.sentence}{wording.fitted(named)}", hang=2)
        lines += _wrapped(f"  yours: {named.formula}", hang=9)
        lines += _wrapped(f"  right: {named.fix}", hang=9)
    lines += _wrapped(f"  {wording.reproduced(diagnosis)}", hang=2)
    lines += _evidence_lines(diagnosis, one_case=one_case)
    said, *more = wording.tied(diagnosis) or ("",)
    lines += _wrapped(f"  {said}{f' {wording.SEPARATE}' if said and one_case else ''}", hang=2)
    for sentence in more:
        lines += _wrapped(f"  {sentence}", hang=2)
    return lines


def _evidence_lines(diagnosis: Diagnosis, *, one_case: bool) -> list[str]:
    """Each wrong array at its worst entry: as given, as the mistake makes it, as it is right."""
    if not diagnosis.evidence:
        return []
    where = "" if one_case else f" In {diagnosis.group!r}:"
    names = list(map(wording.entry_of, diagnosis.evidence))
    wide = max(11, *map(len, names)) + 1
    number = " {:>13.6g}".format
    head = f"  {'worst entry':<{wide}}{'yours':>14}{'mistake':>14}{'right':>14}{'digits':>8}"
    rows = [
        f"  {name:<{wide}}{number(one.given)}{number(one.mistaken)}{number(one.true)}{one.digits:>8}"
        for name, one in zip(names, diagnosis.evidence, strict=True)
    ]
    return [*(_wrapped(f" {where}", hang=2) if where else []), head, *rows]


def _diagnosis_document(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "kind": diagnosis.kind,
        "mistakes": [named._asdict() for named in diagnosis.mistakes],
        "ties": [named._asdict() for named in diagnosis.ties],
        "first_wrong": diagnosis.first_wrong,
        "searched": diagnosis.searched,
        "group": diagnosis.group,
        "evidence": [
            {"path": one.path, "digits": one.digits, "index": list(one.at)}
            | {name: _number(getattr(one, name)) for name in ("given", "mistaken", "true")}
            for one in diagnosis.evidence
        ],
    }


def _overview(groups: dict[str, list[Leaf]]) -> list[str]:
    """A line for each of many groups."""
    wide = max(map(len, groups)) + 1
    head = f"{'case':<{wide}}{'verdict':<10}{'arrays':<12}{'error / floor':>14}{'detects':>10}"
    lines = [head]
    for group, leaves in groups.items():
        verdict = worst_of(leaf.verdict for leaf in leaves)
        wrong = sum(leaf.verdict is verdict for leaf in leaves)
        arrays = f"{len(leaves)}" if verdict is Verdict.CONSISTENT else f"{wrong} of {len(leaves)}"
        numbers = f"{short(wording.farthest(leaves)):>14}{short(wording.detects_everywhere(leaves)):>10}"
        lines.append(f"{group:<{wide}}{SIGNS[verdict]:<10}{arrays:<12}{numbers}")
    return lines


def _table(leaves: list[Leaf]) -> list[str]:
    wide = max(19, *(len(leaf.path) + 1 for leaf in leaves))
    head = f"{'array':<{wide}}{'verdict':<10}{'shape':<12}{'worst error':>12}{'noise floor':>13}{'detects':>11}"
    return [head, *(f"{leaf.path:<{wide}}{_cells(leaf)}".rstrip() for leaf in leaves)]


def _cells(leaf: Leaf) -> str:
    numbers = f"{short(leaf.error):>12}{short(leaf.floor):>13}{short(wording.detects(leaf)):>11}"
    return f"{SIGNS[leaf.verdict]:<10}{wording.shape_of(leaf):<12}{numbers}"


def _wrapped(text: str, hang: int = 0) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=" " * hang, break_on_hyphens=False)


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


NUMBERS = ("expected", "got", "error", "floor", "norm", "smallest_detectable")


def _leaf_document(leaf: Leaf) -> dict[str, Any]:
    return {
        "path": leaf.path,
        "group": leaf.group,
        "verdict": str(leaf.verdict),
        "cause": None if leaf.cause is None else str(leaf.cause),
        "sentence": leaf.sentence,
        "remedy": leaf.remedy,
        "shape": None if leaf.entries is None else list(leaf.entries.shape),
        "index": None if leaf.index is None else list(leaf.index),
        **{name: _number(getattr(leaf, name)) for name in NUMBERS},
        "proved": leaf.proved,
        "wrong": leaf.wrong,
        "undecided": leaf.undecided,
    }
