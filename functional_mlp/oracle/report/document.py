"""The JSON form of a report, described by `schemas/report.schema.json`.

Numbers that JSON has not (NaN, infinities) are strings.
"""

import math
from typing import Any

from functional_mlp.oracle.diagnosis import Diagnosis, Named
from functional_mlp.oracle.report.reported import Explanation, Reported
from functional_mlp.oracle.verdict import Leaf

REPORT_VERSION = 1


def report_document(report: Reported) -> dict[str, Any]:
    """The fields of the JSON form."""
    return {
        "format": "functional-mlp/report",
        "version": REPORT_VERSION,
        "verdict": str(report.verdict),
        "case": report.name,
        **_subject(report),
        "precision": report.precision,
        "leaves": [_leaf_document(leaf) for leaf in report.leaves],
        "findings": [
            {"id": finding.id, "verdict": str(finding.verdict), "sentence": finding.sentence}
            for finding in report.findings
        ],
        "notes": list(report.notes),
        "diagnosis": _found_document(report.diagnosis),
        **_at_numbers(report),
    }


def _at_numbers(report: Reported) -> dict[str, Any]:
    """The derivative at single numbers, where there is one."""
    rows = [{name: _number(value) for name, value in one._asdict().items()} for one in report.at_numbers]
    return {"at_numbers": rows} if rows else {}


def _subject(report: Reported) -> dict[str, Any]:
    """What was judged: a network with so many samples, or another function."""
    if report.function:
        return {"function": report.function}
    return {"network": report.network, "samples": report.samples}


def _found_document(found: Diagnosis | Explanation | None) -> dict[str, Any] | None:
    if isinstance(found, Explanation):
        return _explanation_document(found)
    return None if found is None else _diagnosis_document(found)


def _explanation_document(explanation: Explanation) -> dict[str, Any]:
    """The fields of the JSON form."""
    fields: dict[str, Any] = {
        "sentence": explanation.sentence,
        "kind": explanation.kind,
        "factor": explanation.factor,
        "places": [
            {name: getattr(place, name) for name in ("file", "line", "function", "expression")}
            for place in explanation.places
        ],
        "arrays": list(explanation.arrays),
        "digits": explanation.digits,
        "unexplained": list(explanation.unexplained),
        "group": explanation.group,
    }
    fields |= {} if explanation.searched else {"searched": False}
    return fields | {"ties": list(map(_explanation_document, explanation.ties))} if explanation.ties else fields


def _diagnosis_document(diagnosis: Diagnosis) -> dict[str, Any]:
    partly: dict[str, Any] = {"unexplained": list(diagnosis.unexplained)} if diagnosis.unexplained else {}
    if diagnosis.relations:
        partly["relations"] = [
            one._asdict() | {"paths": list(one.paths), "numbers": [_number(number) for number in one.numbers]}
            for one in diagnosis.relations
        ]
    return partly | {
        "kind": diagnosis.kind,
        "mistakes": list(map(_named_document, diagnosis.mistakes)),
        "ties": list(map(_named_document, diagnosis.ties)),
        "first_wrong": diagnosis.first_wrong,
        "searched": diagnosis.searched,
        "group": diagnosis.group,
        "evidence": [
            {"path": shown.path, "digits": shown.digits, "index": list(shown.at)}
            | {name: _number(getattr(shown, name)) for name in ("given", "mistaken", "true")}
            for shown in diagnosis.evidence
        ],
    }


def _named_document(named: Named) -> dict[str, Any]:
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in named._asdict().items()}
    return fields if fields["meanings"] else {name: value for name, value in fields.items() if name != "meanings"}


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
