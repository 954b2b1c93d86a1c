"""The report: what the oracle says of somebody's numbers, as text for a terminal and as JSON.

The JSON form is described by `schemas/report.schema.json`. Numbers that JSON has not (NaN, infinities) are strings.
"""

import json
import math
import textwrap
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from functional_mlp.oracle.diagnosis import EITHER, Diagnosis
from functional_mlp.oracle.explaining import Named
from functional_mlp.oracle.mistakes import MISTAKES
from functional_mlp.oracle.verdict import Leaf, Verdict, worst_of

WIDTH = 80
VERSION = 1
SIGNS = {Verdict.CONSISTENT: "ok", Verdict.UNDECIDED: "UNDECIDED", Verdict.WRONG: "WRONG"}


@dataclass(frozen=True)
class Finding:
    """Something that several runs show and no single array does, such as results that differ from run to run.

    Attributes:
        id: "raises", "returns", "mutates", "accumulates", "nondeterministic" or "stale-state" (`functions.py`).
        verdict: WRONG, or UNDECIDED.
        sentence: what was seen, and how to mend it.
    """

    id: str
    verdict: Verdict
    sentence: str


@dataclass(frozen=True)
class Report:
    """What the oracle says.

    Attributes:
        name: of the case; "" if it has none.
        network: its sizes and activations, in words.
        samples: rows of data.
        precision: what the noise floor was computed for.
        leaves: the verdict on every array.
        findings: what several runs show.
        notes: sentences that change no verdict.
        finder: finds the diagnosis, when it is asked for; or None.
    """

    name: str
    network: str
    samples: int
    precision: str
    leaves: tuple[Leaf, ...]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    finder: Callable[[], Diagnosis | None] | None = field(default=None, repr=False, compare=False)

    @cached_property
    def diagnosis(self) -> Diagnosis | None:
        """Which mistake it is; None if nothing is wrong, or the report is not on one set of gradients.

        It is looked for when it is first asked for, by this or by a text: that takes seconds.
        """
        return None if self.finder is None else self.finder()

    @property
    def verdict(self) -> Verdict:
        """WRONG if any leaf or finding is, else UNDECIDED if any is, else CONSISTENT."""
        return worst_of([*(leaf.verdict for leaf in self.leaves), *(finding.verdict for finding in self.findings)])

    def text(self) -> str:
        """For a terminal of 80 columns."""
        counts = Counter(leaf.verdict for leaf in self.leaves)
        total = len(self.leaves)
        said = [f"{counts[verdict]} of {total} arrays {verdict}" for verdict in Verdict if counts[verdict]]
        lines = _wrapped(f"{self.verdict.upper()}: {', '.join(said) or 'nothing could be compared'}.")
        title = f"{self.name}: " if self.name else ""
        lines += _wrapped(f"{title}{self.network}, {_count(self.samples, 'sample')}, judged as {self.precision}.")
        lines += _diagnosis_lines(self.diagnosis, one_case=not any(leaf.group for leaf in self.leaves))
        for group in dict.fromkeys(leaf.group for leaf in self.leaves):
            lines += [
                "",
                *([f"[{group}]"] if group else []),
                *_table([leaf for leaf in self.leaves if leaf.group == group]),
            ]
        lines.append("")
        for finding in self.findings:
            lines += _wrapped(f"{finding.verdict.upper()}: {finding.sentence}", hang=2)
        spoken = [leaf for leaf in self.leaves if leaf.sentence]
        for leaf in sorted(spoken, key=lambda leaf: leaf.verdict is not Verdict.WRONG):
            where = f"[{leaf.group}] {leaf.path}" if leaf.group else leaf.path
            lines += _wrapped(f"{SIGNS[leaf.verdict]} {where}: {leaf.sentence}.", hang=2)
        remedies = dict.fromkeys(leaf.remedy for leaf in spoken if leaf.remedy)
        for remedy in remedies:
            lines += _wrapped(f"To do: {remedy}.", hang=2)
        for note in self.notes:
            lines += _wrapped(f"Note: {note}", hang=2)
        if not spoken and not self.findings:
            lines += _wrapped(
                "Every entry agrees with the true gradient to within the rounding noise of this precision. An error in"
                " an array of the size in the last column, relative to the array, would not have passed."
            )
        return "\n".join(lines).rstrip() + "\n"

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
        found = f"The first wrong quantity on the way back is {diagnosis.first_wrong}."
        if diagnosis.searched:
            return ["", *_wrapped(f"No known mistake reproduces these numbers. {found}")]
        return ["", *_wrapped(f"{found} The mistake was not looked for: it takes every array, of a small case.")]
    lines = [""]
    for named in diagnosis.mistakes:
        value = "" if named.value is None else f" ({MISTAKES[named.id].parameter.name} = {named.value:.6g})"  # type: ignore[union-attr]
        kind = "CONVENTION" if MISTAKES[named.id].convention else "MISTAKE"
        lines += _wrapped(f"{kind} {_place(named)}: {named.sentence}{value}", hang=2)
        lines += _wrapped(f"  yours: {named.formula}", hang=9)
        lines += _wrapped(f"  right: {named.fix}", hang=9)
    digits, does = min(named.digits for named in diagnosis.mistakes), "this" if len(diagnosis.mistakes) == 1 else "both"
    spoilt = any((own := MISTAKES[one.id].parameter) is not None and own.magnified for one in diagnosis.mistakes)
    but = ", but for the rounding that it magnifies" if spoilt else ""
    lines += _wrapped(f"  Your numbers are those of a program that does {does}, to {digits} digits{but}.", hang=2)
    lines += _evidence_lines(diagnosis, one_case=one_case)
    if diagnosis.ties:
        others = [" with ".join(map(_place, explanation)) for explanation in diagnosis.explanations[1:]]
        said = f"The same numbers come from: {'; or '.join(dict.fromkeys(others))}."
        lines += _wrapped(f"  {said}{SEPARATE if one_case else ''}", hang=2)
        if diagnosis.kind == EITHER:
            lines += _wrapped(f"  {MAY_BE_EITHER}", hang=2)
    return lines


def _evidence_lines(diagnosis: Diagnosis, *, one_case: bool) -> list[str]:
    """Each wrong array at its worst entry: as given, as the mistake makes it, as it is right."""
    if not diagnosis.evidence:
        return []
    where = "" if one_case else f" In {diagnosis.group!r}:"
    names = [one.path + (f"[{','.join(map(str, one.at))}]" if one.at else "") for one in diagnosis.evidence]
    wide = max(11, *map(len, names)) + 1
    number = " {:>13.6g}".format
    head = f"  {'worst entry':<{wide}}{'yours':>14}{'mistake':>14}{'right':>14}{'digits':>8}"
    rows = [
        f"  {name:<{wide}}{number(one.given)}{number(one.mistaken)}{number(one.true)}{one.digits:>8}"
        for name, one in zip(names, diagnosis.evidence, strict=True)
    ]
    return [*(_wrapped(f" {where}", hang=2) if where else []), head, *rows]


SEPARATE = " To tell them apart: functional-mlp case separate CASE GRADIENTS -o NEXT."
MAY_BE_EITHER = (
    "Some of these are mistakes, others only another convention: right for another scale or reduction of the loss."
)


def _place(named: Named) -> str:
    variant = "" if named.variant is None else f" ({named.variant})"
    where = f" in layer{'s' if len(named.layers) > 1 else ''} {', '.join(map(str, named.layers))}"
    return f"{named.id}{variant}{where if named.layers else ''}"


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


def _table(leaves: list[Leaf]) -> list[str]:
    wide = max(19, *(len(leaf.path) + 1 for leaf in leaves))
    head = f"{'array':<{wide}}{'verdict':<10}{'shape':<12}{'worst error':>12}{'noise floor':>13}{'detects':>11}"
    return [head, *(f"{leaf.path:<{wide}}{_cells(leaf)}".rstrip() for leaf in leaves)]


def _cells(leaf: Leaf) -> str:
    shape = "-" if leaf.entries is None else "x".join(map(str, leaf.entries.shape)) or "number"
    detects = leaf.smallest_detectable / leaf.norm if leaf.norm > 0 else math.nan
    numbers = f"{_short(leaf.error):>12}{_short(leaf.floor):>13}{_short(detects):>11}"
    return f"{SIGNS[leaf.verdict]:<10}{shape:<12}{numbers}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _short(value: float) -> str:
    if math.isnan(value):
        return "-"
    return "0" if value == 0 else f"{value:.1e}"


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
