"""The report: what the oracle found, as data, and as text for a terminal.

The JSON form is made by `document.py`, the page of HTML by `html/`, both with the sentences of `sentences.py`.
"""

import json
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from html import escape
from typing import Any

from functional_mlp.oracle.diagnosis import EITHER, Diagnosis
from functional_mlp.oracle.report import sentences
from functional_mlp.oracle.report.attachments import Exhibit
from functional_mlp.oracle.report.headlines import headline_of, notation_of
from functional_mlp.oracle.report.legend import legend_of
from functional_mlp.oracle.report.notation import Notation, as_handed_over
from functional_mlp.oracle.report.reported import AtNumber, Explanation, Finding, network_diagnosis
from functional_mlp.oracle.report.sentences import SIGNS, short
from functional_mlp.oracle.report.spread import spread_of
from functional_mlp.oracle.verdict import Leaf, Verdict, worst_of

WIDTH = 80


@dataclass(frozen=True, repr=False)
class Report:
    """What the oracle says.

    It is true where the verdict is CONSISTENT, and false where it is WRONG or UNDECIDED: `assert oracle.check(...)` can
    never pass on a wrong gradient, nor on one of which nobody knows.

    Attributes:
        name: of the case; "" if it has none.
        network: its sizes and activations, in words; "" of another function.
        samples: rows of data; 0 of another function.
        precision: what the noise floor was computed for.
        leaves: the verdict on every array.
        findings: what several runs show.
        notes: sentences that change no verdict.
        finder: finds the diagnosis, when it is asked for; or None.
        exhibits: the cases and the answers that were judged, one for each group of leaves; () if they were not kept.
        function: that is differentiated, where it is no network, in words.
        at_numbers: the derivative at some numbers, of a function of single ones; () of others.
    """

    name: str
    network: str
    samples: int
    precision: str
    leaves: tuple[Leaf, ...]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    finder: Callable[[], Diagnosis | Explanation | None] | None = field(default=None, repr=False, compare=False)
    exhibits: tuple[Exhibit, ...] = field(default=(), repr=False, compare=False)
    function: str = ""
    at_numbers: tuple[AtNumber, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """WRONG if any leaf or finding is, else UNDECIDED if any is, else CONSISTENT."""
        return worst_of([*(leaf.verdict for leaf in self.leaves), *(finding.verdict for finding in self.findings)])

    def __bool__(self) -> bool:
        return self.verdict is Verdict.CONSISTENT

    @property
    def headline(self) -> str:
        """The first sentence of the text, for which the mistake is looked for; several mistakes are numbered in it."""
        first, *numbered = sentences.first_sentences(self, notation_of(self))
        return " ".join([first, *(f"{number}. {sentence}" for number, sentence in enumerate(numbered, 1))])

    def __repr__(self) -> str:
        """The first line of the text, and of how many arrays it speaks."""
        first = sentences.first_sentences(self, notation_of(self))[0]
        return f"<Report {self.verdict.upper()}: {first} {sentences.subject(self)}>"

    @cached_property
    def diagnosis(self) -> Any:  # who asks about a network reads a Diagnosis, and need not say so
        """Which mistake it is: a `Diagnosis`, of other functions an `Explanation`; None if none is known.

        It is found by `diagnose` when it is first asked for, by this or by a text: that takes seconds.
        """
        return self.diagnose()

    def diagnose(self) -> Diagnosis | Explanation | None:
        """Looks for the mistake, once; then what only the search needed, such as the noise of the case, is let go.

        The cases and answers are kept, since a page holds them (`exhibits`).
        """
        finder = self.finder
        if finder is None:
            return None
        found = finder()
        object.__setattr__(self, "finder", partial(_already_found, found))
        return found

    def text(self) -> str:
        """For a terminal of 80 columns."""
        notation = notation_of(self)
        first, *numbered = sentences.first_sentences(self, notation)
        lines = _wrapped(f"{self.verdict.upper()}: {first}")
        for number, sentence in enumerate(numbered, 1):
            lines += _wrapped(f" {number}. {sentence}", hang=4)
        title = f"{self.name}: " if self.name else ""
        lines += _wrapped(f"{title}{sentences.subject(self)}")
        counted = sentences.counted_verdicts(self)
        lines += _wrapped(counted) if first != counted else []
        if isinstance(self.diagnosis, Explanation):
            lines += _explanation_lines(self.diagnosis)
        lines += _diagnosis_lines(self, notation)
        groups = sentences.groups(self)
        lines += [] if self else _numbers_lines(self.at_numbers)
        shown = [] if _is_of_a_function(self) else sentences.shown_groups(self)
        if len(shown) < len(groups) and not _is_of_a_function(self):
            lines += ["", *_overview(groups)]
        for group in shown:
            lines += ["", *([f"[{group}]"] if group else []), *_table(groups[group], notation)]
        lines += _wrapped(sentences.DETECTS) if shown else []
        lines.append("")
        said = sentences.first_finding(self)
        for finding in (finding for finding in self.findings if finding is not said):
            lines += _wrapped(f"{finding.verdict.upper()}: {finding.sentence}", hang=2)
        spoken = sentences.spoken_of(self)
        for leaf in (leaf for leaf in spoken if leaf.group in shown):
            where = f"[{leaf.group}] {leaf.path}" if leaf.group else leaf.path
            lines += _wrapped(f"{SIGNS[leaf.verdict]} {where}: {as_handed_over(leaf, notation).sentence}.", hang=2)
        elsewhere = sum(leaf.group not in shown for leaf in spoken)
        if elsewhere and not _is_of_a_function(self):
            lines += _wrapped(
                f"And {sentences.count(elsewhere, 'array')} of other cases, which --json and --html show."
            )
        for remedy in sentences.remedies(self):
            lines += _wrapped(f"To do: {remedy}.", hang=2)
        for note in self.notes:
            lines += _wrapped(f"Note: {note}", hang=2)
        if self.verdict is Verdict.WRONG and self.exhibits:
            lines += _wrapped(sentences.STEP_BY_STEP)
        if not spoken and not self.findings:
            lines += _wrapped(sentences.AGREES)
        return "\n".join(lines).rstrip() + "\n"

    def explain(self, path: str | None = None) -> str:
        """How one entry of a gradient comes about, step by step back from the loss, for a terminal of 80 columns.

        The program's number, the right one, and that of the mistake that was found, with every number on the way to
        them and the line of NumPy that makes it, in the layout that was handed over; and where the mistake departs.

        Args:
            path: of the array, such as "params[0].weights", whose worst entry is explained. None: the one that is wrong
                nearest to the outputs, or that errs most if none is.

        Raises:
            ValueError: for a path that is none of a parameter.
        """
        from functional_mlp.oracle.report.explanation import explanation_of  # few reports are explained

        return explanation_of(self, path)

    def html(self) -> str:
        """One page that needs nothing else: no network, no script; for a screen of any width, and for paper.

        The case and the answers are in it, to be saved and judged again, up to `attachments.MAX_PAGE_BYTES`.
        """
        from functional_mlp.oracle.report.html.page import page_of  # few reports are written as pages

        return page_of(self)

    def _repr_html_(self) -> str:
        """What a notebook shows: the page, in a frame of its own, so that neither changes how the other looks."""
        return (
            f'<iframe srcdoc="{escape(self.html())}" title="{escape(str(self.verdict))}" sandbox="allow-downloads"'
            ' style="width: 100%; height: 40em; border: 0"></iframe>'
        )

    def document(self) -> dict[str, Any]:
        """The fields of the JSON form."""
        from functional_mlp.oracle.report.document import report_document

        return report_document(self)

    def json(self) -> str:
        """The JSON form, as `schemas/report.schema.json` describes it."""
        return json.dumps(self.document(), indent=1, allow_nan=False) + "\n"


def _already_found(diagnosis: Diagnosis | Explanation | None) -> Diagnosis | Explanation | None:
    return diagnosis


def _explanation_lines(explanation: Explanation) -> list[str]:
    """Of a function that is no network: the places, how well it fits, and what else would."""
    lines = ["", *_wrapped(sentences.reproduced_by(explanation))]
    for place in explanation.places:
        lines += _wrapped(f"  {sentences.place_in_words(place)}", hang=4)
    if explanation.ties:
        lines += _wrapped(sentences.TIED)
        for other in explanation.ties[: sentences.MOST_TIES]:
            lines += _wrapped(f"  - {sentences.full_sentence(other.sentence)}", hang=4)
    return lines


def _is_of_a_function(report: Report) -> bool:
    """Whether something is wrong with a function that a network was built around, which says nothing to its author."""
    return bool(report.at_numbers and report.network) and not report


def _numbers_lines(numbers: Sequence[AtNumber]) -> list[str]:
    """The derivative at some numbers."""
    if not numbers:
        return []
    rows = [f"  {one.z:>8g}{one.yours:>16.8g}{one.right:>16.8g}" for one in numbers]
    return ["", "The derivative at single numbers:", f"  {'z':>8}{'yours':>16}{'right':>16}", *rows]


def _diagnosis_lines(report: Report, notation: Notation) -> list[str]:
    diagnosis = network_diagnosis(report)
    if diagnosis is None:
        return []
    lines = [""]
    if not diagnosis.mistakes:
        lines += _wrapped(sentences.not_explained(diagnosis, notation))
        for sentence in sentences.further_relations(diagnosis, notation):
            lines += _wrapped(f"  {sentence}", hang=2)
        return lines
    headlines = [headline_of(named, notation) for named in diagnosis.mistakes]
    legend = () if _is_of_a_function(report) else legend_of(notation, tuple(headline.fix for headline in headlines))
    for sentence in legend:
        lines += _wrapped(sentence, hang=2)
    lines += [""] if legend else []
    shown: set[str] = set()
    for number, (named, headline) in enumerate(zip(diagnosis.mistakes, headlines, strict=True), 1):
        counted = f" {number}:" if len(headlines) > 1 else ""
        what = f"{sentences.kind_of(named)}{counted} {sentences.place_of(named)}{sentences.fitted(named)}"
        lines += _wrapped(f"{what}{sentences.right_for(named)}", hang=2)
        fix = headline.fix
        lines += _wrapped(f"  yours: {headline.yours}", hang=9) if headline.yours else []
        lines += _wrapped(f"  fix:   {fix if fix not in shown else 'as above'}", hang=9) if fix else []
        shown.add(fix)
    for sentence in spread_of(report, notation):
        lines += _wrapped(f"  {sentence}", hang=2)
    lines += _wrapped(f"  {sentences.reproduced(diagnosis, update=sentences.is_of_update(report))}", hang=2)
    for sentence in sentences.further_relations(diagnosis, notation):
        lines += _wrapped(f"  {sentence}", hang=2)
    lines += [] if _is_of_a_function(report) else _evidence_lines(report, diagnosis, notation)
    return [*lines, *_tie_lines(diagnosis, notation, one_case=sentences.is_of_one_case(report))]


def _tie_lines(diagnosis: Diagnosis, notation: Notation, *, one_case: bool) -> list[str]:
    tied = sentences.tied(diagnosis, notation)
    if not tied:
        return []
    lines = _wrapped(f"  {sentences.TIED}", hang=2)
    for sentence in tied:
        lines += _wrapped(f"  - {sentence}", hang=4)
    if diagnosis.kind == EITHER:
        lines += _wrapped(f"  {sentences.MAY_BE_EITHER}", hang=2)
    return [*lines, *(_wrapped(f"  {sentences.SEPARATE}", hang=2) if one_case else [])]


def _evidence_lines(report: Report, diagnosis: Diagnosis, notation: Notation) -> list[str]:
    """Each wrong array at its worst entry: as given, as the mistake makes it, as it is right."""
    if not diagnosis.evidence:
        return []
    where = "" if sentences.is_of_one_case(report) else f" In {diagnosis.group!r}:"
    names = [sentences.entry_of(shown, report, notation) for shown in diagnosis.evidence]
    wide = max(11, *map(len, names)) + 1
    number = " {:>13.6g}".format
    entry = "after step" if sentences.is_of_update(report) else "worst entry"
    head = f"  {entry:<{wide}}{'yours':>14}{'mistake':>14}{'right':>14}{'digits':>8}"
    rows = [
        f"  {name:<{wide}}{number(shown.given)}{number(shown.mistaken)}{number(shown.true)}{shown.digits:>8}"
        for name, shown in zip(names, diagnosis.evidence, strict=True)
    ]
    return [*(_wrapped(f" {where}", hang=2) if where else []), head, *rows]


def _overview(groups: dict[str, list[Leaf]]) -> list[str]:
    """A line for each of many groups."""
    wide = max(map(len, groups)) + 1
    head = f"{'case':<{wide}}{'verdict':<10}{'arrays':<12}{'error / floor':>14}{'detects':>10}"
    lines = [head]
    for group, leaves in groups.items():
        verdict = worst_of(leaf.verdict for leaf in leaves)
        wrong = sum(leaf.verdict is verdict for leaf in leaves)
        arrays = f"{len(leaves)}" if verdict is Verdict.CONSISTENT else f"{wrong} of {len(leaves)}"
        numbers = f"{short(sentences.farthest(leaves)):>14}{short(sentences.detects_everywhere(leaves)):>10}"
        lines.append(f"{group:<{wide}}{SIGNS[verdict]:<10}{arrays:<12}{numbers}")
    return lines


def _table(leaves: list[Leaf], notation: Notation) -> list[str]:
    wide = max(19, *(len(leaf.path) + 1 for leaf in leaves))
    head = f"{'array':<{wide}}{'verdict':<10}{'shape':<12}{'worst error':>12}{'noise floor':>13}{'detects':>11}"
    return [head, *(f"{leaf.path:<{wide}}{_cells(as_handed_over(leaf, notation))}".rstrip() for leaf in leaves)]


def _cells(leaf: Leaf) -> str:
    numbers = f"{short(leaf.error):>12}{short(leaf.floor):>13}{short(sentences.detects(leaf)):>11}"
    return f"{SIGNS[leaf.verdict]:<10}{sentences.shape_of(leaf):<12}{numbers}"


def _wrapped(text: str, hang: int = 0) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=" " * hang, break_on_hyphens=False)
