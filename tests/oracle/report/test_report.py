"""The report: readable at 80 columns, the same for the same input, and JSON of its schema."""

import copy
import dataclasses
import json
import re
from importlib import resources

import jsonschema
import numpy as np
import pytest

from functional_mlp import oracle
from functional_mlp.oracle.checking import check
from functional_mlp.oracle.documents import validator
from functional_mlp.oracle.report.report import Finding, Report
from functional_mlp.oracle.updates import check_update
from functional_mlp.oracle.verdict import Cause, Leaf, Verdict
from tests.helpers.questions import (
    answer,
    everything,
    hidden_by_noise,
    lost,
    overflowing,
    question,
    saturated,
    with_kinks,
)

LONG = "a name without any space " + "x" * 200


def planted(value):
    given = answer(question())
    given[1][0][2, 3] = value
    return given


def stepped(*rates):
    return [[(w - rate * dw, b - rate * db) for (w, b), (dw, db) in both()] for rate in rates]


def both():
    return list(zip(question().params, answer(question()), strict=True))


def halved(case):
    """Answers whose first array is half the true one: far from it, but not too far in noise."""
    first, *others = answer(case)
    return [[0.5 * leaf for leaf in first], *others]


REPORTS = {
    "consistent": lambda: check(question(), answer(question()), **everything(question())),
    "consistent in float16": lambda: check(question(), answer(question()), precision="float16/float32"),
    "wrong": lambda: check(question(name=LONG), planted(1e300), loss=-1e-300),
    "not a number": lambda: check(question(), planted(np.nan), loss=np.nan),
    "infinite": lambda: check(question(), planted(np.inf), loss=-np.inf),
    "shapes": lambda: check(question(), [*planted(0.0)[:1], (np.ones((4, 5)), None)], deltas=[], outputs=np.ones(3)),
    "as float32": lambda: check(question(), [(w.astype("f4").tolist(), b.tolist()) for w, b in answer(question())]),
    "kink": lambda: check(with_kinks(), answer(with_kinks(at_zero=1.0))),
    "overflow": lambda: check(overflowing(), [(np.full((2, 1), np.inf), [-np.inf])], precision="float16"),
    "saturation": lambda: check(
        saturated("binary_cross_entropy", "sigmoid"),
        lost(saturated("binary_cross_entropy", "sigmoid")),
        precision="float32",
    ),
    "noise": lambda: check(hidden_by_noise(), halved(hidden_by_noise()), precision="float16"),
    "updates": lambda: check_update(question(), stepped(1e-3, 0.125), [1e-3, 0.125]),
    "a tiny step": lambda: check_update(question(), list(question().params), 1e-300),
}
VERDICTS = {"consistent": "consistent", "consistent in float16": "consistent", "updates": "consistent"} | dict.fromkeys(
    ["kink", "overflow", "saturation", "noise", "a tiny step"], "undecided"
)


@pytest.fixture(scope="module", params=REPORTS)
def named(request):
    return request.param, REPORTS[request.param]()


def test_the_text_starts_with_the_verdict_and_fits_80_columns(named):
    name, report = named
    expected = VERDICTS.get(name, "wrong")
    text = report.text()
    assert report.verdict == expected
    assert text.startswith(f"{expected.upper()}: ")
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    for line in text.splitlines():
        assert len(line) <= 80, line
        assert line == line.rstrip()
        assert line.isascii()
        assert line.isprintable()
    for leaf in report.leaves:
        assert leaf.path in text


def test_the_text_says_every_sentence_and_what_to_do(named):
    _, report = named
    flat = " ".join(report.text().split())
    for leaf in report.leaves:
        assert leaf.sentence in flat
        assert leaf.remedy in flat
        assert bool(leaf.sentence) == (leaf.verdict is not Verdict.CONSISTENT) == (leaf.cause is not None)
    assert ("To do:" in flat) == any(leaf.remedy for leaf in report.leaves)
    assert ("Every entry agrees" in flat) == (report.verdict is Verdict.CONSISTENT)


def test_the_same_input_gives_the_same_text_and_json(named):
    name, report = named
    again = REPORTS[name]()
    assert again.text() == report.text()
    assert again.json() == report.json()


def test_the_json_is_of_its_schema_and_strict(named):
    def refuse(constant):
        raise AssertionError(constant)

    _, report = named
    document = json.loads(report.json(), parse_constant=refuse)
    assert document == report.document()
    validator("report").validate(document)
    assert document["verdict"] == str(report.verdict)
    for field, leaf in zip(document["leaves"], report.leaves, strict=True):
        for number in ("expected", "got", "error", "floor", "norm", "smallest_detectable"):
            # what JSON has not is a string that Python, C and JavaScript read
            np.testing.assert_equal(float(field[number]), getattr(leaf, number))


@pytest.mark.parametrize(
    ("name", "got"), [("not a number", "NaN"), ("infinite", "Infinity"), ("shapes", "NaN"), ("overflow", "-Infinity")]
)
def test_numbers_that_json_has_not_are_texts(name, got):
    assert got in {leaf["got"] for leaf in REPORTS[name]().document()["leaves"]}


def test_the_table_has_a_row_for_every_array_of_every_group():
    report = REPORTS["updates"]()
    text = report.text()
    assert text.count("[learning rate 0.001]") == text.count("[learning rate 0.125]") == 1
    rows = [line for line in text.splitlines() if re.match(r"params\[\d\]\.\w+ +ok ", line)]
    assert len(rows) == len(report.leaves) == 12
    assert all(len(row.split()) == 6 for row in rows)


def test_wrong_arrays_are_spoken_of_first_and_a_remedy_is_said_once():
    case = with_kinks()
    given = answer(with_kinks(at_zero=1.0))
    given[1][1] = given[1][1] * 2
    text = check(case, given).text()
    sentences = [line.split(":")[0] for line in text.splitlines() if re.match(r"(WRONG|UNDECIDED) params", line)]
    wrong = [line for line in sentences if line.startswith("WRONG")]
    undecided = [line for line in sentences if line.startswith("UNDECIDED")]
    tail = text[text.index("\n\nWRONG") :]
    assert tail.index("WRONG params[1].bias:") < tail.index("UNDECIDED params[0].weights:")
    assert len(wrong) >= 1
    assert len(undecided) >= 2
    assert text.count("To do: ") == 1


def test_what_is_said_of_a_consistent_answer_is_how_small_an_error_would_have_been_seen():
    text = " ".join(REPORTS["consistent"]().text().split())
    assert "An error in an array of the size in the last column, relative to the array, would not have passed." in text


# the schema


def schema():
    text = resources.files("functional_mlp.oracle.documents").joinpath("schemas/report.schema.json").read_text()
    return json.loads(text)


def test_the_schema_knows_every_verdict_and_cause_and_describes_itself():
    jsonschema.Draft202012Validator.check_schema(schema())
    leaf = schema()["$defs"]["leaf"]
    assert set(schema()["$defs"]["verdict"]["enum"]) == set(map(str, Verdict))
    assert set(leaf["properties"]["cause"]["enum"]) == {None, *map(str, Cause)}
    for part in (schema(), leaf, schema()["$defs"]["finding"]):
        assert part["description"]
        assert part["additionalProperties"] is False
        one_of = {name for some in part.get("oneOf", ()) for name in some["required"]}
        assert {*part["required"], *one_of} == set(part["properties"]) - {"at_numbers"}  # of some functions
    for fields in (schema()["properties"], leaf["properties"]):
        missing = {name for name, field in fields.items() if "const" not in field and not field.get("description")}
        assert not missing - {"version"}


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "right"},
        {"format": "functional-mlp/solution"},
        {"version": 2},
        {"more": 1},
        {"samples": 0},
        {"leaves": [{}]},
        {"diagnosis": "?"},
        {"notes": [1]},
        {"findings": [{"id": "raises", "verdict": "wrong"}]},
    ],
)
def test_the_schema_refuses_what_is_no_report(change):
    document = check(question(), answer(question())).document()
    assert validator("report").is_valid(document)
    assert not validator("report").is_valid(document | change)


def test_the_schema_refuses_a_leaf_that_is_none():
    right = check(question(), planted(2.0)).document()
    for change in ({"got": "nan"}, {"cause": "bad luck"}, {"index": [-1]}, {"shape": 4}, {"more": 0}, {"wrong": 0.5}):
        document = copy.deepcopy(right)
        document["leaves"][2] |= change
        assert not validator("report").is_valid(document), change


# what no check of one program makes


def test_findings_and_notes_are_shown_count_for_the_verdict_and_are_of_the_schema():
    plain = check(question(), answer(question()))
    finding = Finding("accumulates", Verdict.WRONG, "the second call returned twice the first: set gradients to 0")
    report = dataclasses.replace(plain, findings=(finding,), notes=("this changes no verdict.",))
    assert report.verdict is Verdict.WRONG
    text = report.text()
    assert " ".join(text.split()).startswith("WRONG: The second call returned twice the first: set gradients to 0. ")
    assert "\nNote: this changes no verdict." in text
    assert "Every entry agrees" not in text
    validator("report").validate(report.document())
    undecided = dataclasses.replace(finding, verdict=Verdict.UNDECIDED)
    assert dataclasses.replace(report, findings=(undecided,)).verdict is Verdict.UNDECIDED


def test_what_the_calls_showed_is_said_first_where_the_arrays_do_not_say_what_is_wrong():
    drawn = Finding("nondeterministic", Verdict.WRONG, "in every case your function gives other numbers each time.")
    lost = Finding("unsupported", Verdict.UNDECIDED, "nothing was judged: it took no case.")
    right = dataclasses.replace(check(question(), answer(question())), findings=(lost, drawn))
    text = right.text()
    assert text.startswith("WRONG: In every case your function gives other numbers each time.\na question")
    assert "\n6 of 6 arrays consistent.\n" in text
    assert text.count("each time") == right.html().count("each time") == 1
    assert "\nUNDECIDED: nothing was judged: it took no case.\n" in text
    assert right.html().index("each time") < right.html().index("6 of 6 arrays consistent")
    wrong = dataclasses.replace(check(question(), halved(question())), findings=(drawn,))
    assert wrong.text().startswith("WRONG: The gradients of layer 1 ")
    assert "\nWRONG: in every case your function gives other numbers each time." in wrong.text()


def test_the_widest_rows_still_have_spaces_between_their_cells():
    entries = np.zeros((1, 1), np.int8)
    numbers = {"error": -1e-300, "floor": 1e-300, "norm": 1.0, "smallest_detectable": 1e-300}
    leaf = Leaf("params[99].weights", Verdict.UNDECIDED, Cause.KINK, "at a kink", entries=entries, **numbers)
    text = Report("", "2-1", 1, "float64", (leaf,)).text()
    row = next(line for line in text.splitlines() if line.startswith("params"))
    assert len(row.split()) == 6
    assert len(row) <= 80


def test_a_report_of_an_unnamed_case_has_no_empty_title():
    case = oracle.draw_case(question().network, question().loss, samples=5, seed=1)
    lines = check(case, answer(case)).text().splitlines()
    assert lines[1].startswith("3-4-4-2 (tanh, tanh, identity; squared_error), 5 samples")
