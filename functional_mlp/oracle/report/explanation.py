"""One entry of a gradient, step by step back from the loss: the right numbers, those of the mistake, and the given one.

Nothing is kept for it: the passes of the right and of the mistaken program are computed anew from the case.
"""

import re
import textwrap
from collections.abc import Sequence

import numpy as np

from functional_mlp.oracle.case import Case, layer_of, parameter_of, parameter_path, params_by_path
from functional_mlp.oracle.diagnosis import Diagnosis
from functional_mlp.oracle.documents import Update
from functional_mlp.oracle.mistakes import Trace, prepare, trace
from functional_mlp.oracle.report.attachments import Exhibit
from functional_mlp.oracle.report.headlines import headline_of
from functional_mlp.oracle.report.legend import legend_of
from functional_mlp.oracle.report.notation import Notation
from functional_mlp.oracle.report.reported import Reported, network_diagnosis
from functional_mlp.oracle.report.spread import slips_of
from functional_mlp.oracle.report.steps import CLOSE, Entry, Row, Steps
from functional_mlp.oracle.verdict import Cause, Leaf, Verdict
from functional_mlp.update_rules import Descent

WIDTH = 80
NEAR = 1e-6  # relative, of numbers that were computed in other precisions
PART = "   ^ here the two part"
NO_CASE = "This report kept no case, so that nothing can be explained step by step.\n"
OF_NETWORKS = "Only networks are explained step by step; of other functions the report names the line.\n"
SEVERAL_STEPS = (
    "These parameters are not those of one step of plain descent: no single gradient leads to them. What follows is the"
    " gradient of the first step."
)


def _path_of(name: str | None) -> str | None:
    """The path of a parameter that is called as reports do, W1 or dW1 for params[0].weights; others as they are."""
    found = re.fullmatch(r"d?([Wb])([1-9]\d{0,3})", name or "")
    return name if found is None else parameter_path(int(found[2]) - 1, "weights" if found[1] == "W" else "bias")


def explanation_of(report: Reported, path: str | None = None) -> str:
    """The text of `Report.explain`.

    Raises:
        ValueError: for a path that is none of a parameter.
    """
    if report.function:
        return OF_NETWORKS
    if not report.exhibits:
        return NO_CASE
    path = _path_of(path)
    exhibit = _exhibit(report, path)
    case = exhibit.case
    notation = Notation(case, len(case.params))
    if path is not None and path not in params_by_path(case.params):
        known = ", ".join(params_by_path(case.params))
        raise ValueError(f"expected the path of a parameter ({known}), got {path!r}")
    rate = exhibit.answer.learning_rate if isinstance(exhibit.answer, Update) else None
    found = network_diagnosis(report)
    diagnosis = found if found is None or found.group == exhibit.group else None
    leaves = [leaf for leaf in report.leaves if leaf.group == exhibit.group]
    prepared = prepare(case) if rate is None else prepare(case, rule=Descent(rate))
    right = trace(prepared)
    entry = _entry(case, leaves, diagnosis, right, path)
    mistaken = None
    if diagnosis is not None and diagnosis.mistakes:
        try:
            mistaken = trace(prepared, slips_of(diagnosis.mistakes, leaves))
        except (ValueError, TypeError, LookupError):  # of mistakes that show in several steps only
            mistaken = None
    if mistaken is not None and rate is None and not _leads_to(mistaken, entry):
        mistaken = None
    return _text(report, notation, entry, Steps(case, notation, entry, right, mistaken), rate)


def _exhibit(report: Reported, path: str | None) -> Exhibit:
    """The case that is explained: that of the evidence, or the first that is wrong, or undecided, or the first."""
    by_group = {exhibit.group: exhibit for exhibit in report.exhibits}
    diagnosis = network_diagnosis(report)
    if diagnosis is not None and diagnosis.mistakes and diagnosis.group in by_group:
        return by_group[diagnosis.group]
    for verdict in (Verdict.WRONG, Verdict.UNDECIDED):
        for leaf in report.leaves:
            if leaf.verdict is verdict and leaf.group in by_group and path in (None, leaf.path):
                return by_group[leaf.group]
    return report.exhibits[0]


def _entry(case: Case, leaves: Sequence[Leaf], diagnosis: Diagnosis | None, right: Trace, path: str | None) -> Entry:
    """The entry of a path, or the one that is wrong nearest to the outputs; of the evidence, if there is some."""
    parameters = params_by_path(case.params)
    turned = any(leaf.cause is Cause.SHAPE for leaf in leaves)
    for shown in () if diagnosis is None else diagnosis.evidence:
        if path in (None, shown.path) and shown.path in parameters:
            at = shown.at[::-1] if turned and shown.path.endswith("weights") else shown.at
            return Entry(shown.path, at, shown.given, shown.mistaken, shown.true)
    compared = [
        leaf for leaf in leaves if leaf.path in parameters and leaf.index is not None and path in (None, leaf.path)
    ]
    wrong = sorted((leaf for leaf in compared if leaf.verdict is not Verdict.CONSISTENT), key=_from_the_outputs)
    for leaf in wrong or sorted(compared, key=_farthest, reverse=True):
        return Entry(leaf.path, leaf.index or (), leaf.got, None, leaf.expected)
    chosen = path or max(parameters, key=lambda own: (layer_of(own), own))
    at = (0,) * parameters[chosen].ndim
    return Entry(chosen, at, np.nan, None, float(params_by_path(right.grads)[chosen][at]))


def _leads_to(mistaken: Trace, entry: Entry) -> bool:
    """Whether a program computes the entry that the diagnosis shows; another one explains nothing."""
    own = float(params_by_path(mistaken.grads)[entry.path][entry.at])
    shown = entry.mistaken
    return shown is None or not np.isfinite(shown) or abs(own - shown) <= NEAR * max(abs(own), abs(shown))


def _from_the_outputs(leaf: Leaf) -> tuple[bool, int, str]:
    return leaf.verdict is not Verdict.WRONG, -layer_of(leaf.path), leaf.path


def _farthest(leaf: Leaf) -> float:
    return leaf.error / leaf.floor if leaf.floor > 0 else 0.0


# text


def _text(report: Reported, notation: Notation, entry: Entry, steps: Steps, rate: float | None) -> str:
    compared = steps.mistaken is not None
    layer = layer_of(entry.path)
    name = notation.entry(entry.path, entry.at)
    where = ", ".join(map(str, entry.at))
    what = f"{name}, {entry.path}[{where}]" if name.removeprefix("d") != entry.path else name
    lines = _wrapped(f"{what}, in {notation.place((layer,))}, step by step back from the loss.")
    diagnosis = network_diagnosis(report)
    if compared and diagnosis is not None:
        for named in diagnosis.mistakes:
            lines += _wrapped(f"The mistake: {headline_of(named, notation).sentence}", 2)
    for sentence in legend_of(notation):
        lines += _wrapped(sentence, 2)
    samples = f"{steps.sample} of {len(steps.case.inputs)}"
    lines += _wrapped(f"Indices count from 0. Numbers of single samples are those of sample {samples}.")
    plain = rate is None or _is_plain(entry, steps, rate)
    if not plain:
        lines += _wrapped(SEVERAL_STEPS)
    lines += ["", _numbers("", "mistake" if compared else "", "right")]
    for number, step in enumerate(steps.all(), 1):
        lines += _wrapped(f"{number}. {step.line}", 3)
        for row in step.rows:
            lines.append(_row(row, compared=compared))
        if step.parts:
            lines.append(PART)
    if rate is not None and plain:
        terms = notation.terms(layer)
        kind = "b" if entry.path.endswith("bias") else "W"
        lines += _wrapped(f"{number + 1}. {terms[kind]} = {terms[kind]} - {rate:g} * {terms[f'd{kind}']}", 3)
        lines.append(_row(Row(name.removeprefix("d"), entry.true, entry.mistaken), compared=compared))
        if compared and not steps.apart:
            lines.append(PART)
    given = "nothing that could be compared" if np.isnan(entry.given) else f"{entry.given:.9g}"
    lines += ["", f"yours: {given}; right: {entry.true:.9g}"]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _is_plain(entry: Entry, steps: Steps, rate: float) -> bool:
    """Whether the true parameter is that after one step of plain descent."""
    before = float(parameter_of(steps.case, entry.path)[entry.at])
    step = rate * float(params_by_path(steps.right.grads)[entry.path][entry.at])
    return abs(before - step - entry.true) <= CLOSE * (abs(before) + abs(step))


def _row(row: Row, *, compared: bool) -> str:
    mistaken, right = ("" if number is None else f"{number:.9g}" for number in (row.mistaken, row.right))
    return _numbers(f"   {row.name}", mistaken if compared else "", right)


def _numbers(name: str, mistaken: str, right: str) -> str:
    return f"{name:<47} {mistaken:>15} {right:>15}"


def _wrapped(text: str, hang: int = 0) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=" " * hang, break_on_hyphens=False)
