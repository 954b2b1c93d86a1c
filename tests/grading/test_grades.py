"""Submissions in processes of their own: points by array, what students are told, what autograders read."""

import csv
import io
import json

import pytest

from functional_mlp import grading
from tests.helpers.homework import RIGHT, WRONG_BIAS, assignment

pytestmark = pytest.mark.slow


def graded(folder, text, name="submission.py", **fields):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return grading.grade_submission(path, assignment(**fields))


def notebook(*cells):
    return json.dumps({"cells": [{"cell_type": kind, "source": source.splitlines(True)} for kind, source in cells]})


def test_a_right_submission_has_all_points(tmp_path):
    grade = graded(tmp_path, RIGHT)
    assert (grade.points, grade.most, grade.mistakes, grade.decide) == (14, pytest.approx(14), (), False)
    assert grade.feedback == "All gradients are right."


def test_every_array_that_is_right_has_its_points_and_the_mistake_is_said_without_the_formula(tmp_path):
    grade = graded(tmp_path, WRONG_BIAS)
    assert [test.points for test in grade.tests] == [2, 2, 0, 2, 0, 2, 0]
    assert grade.mistakes == ("bias-gradient-summed",)
    assert "not divided by the number of samples" in grade.feedback.splitlines()[0]
    assert "dZ" not in grade.feedback
    assert "axis" not in grade.feedback


@pytest.mark.parametrize("feedback", ["verdict", "arrays", "report"])
def test_as_much_is_told_as_the_assignment_says(feedback, tmp_path):
    said = graded(tmp_path, WRONG_BIAS, feedback=feedback).feedback
    assert ("divided" in said) is (feedback == "report")
    assert ("(b1)" in said) is (feedback == "arrays")
    assert (said == "Not everything is right.") is (feedback == "verdict")


def test_what_fails_in_one_case_keeps_the_points_of_its_arrays(tmp_path):
    text = RIGHT.replace(
        "    A, Z = [X], []", "    if len(X) == 1:\n        raise ValueError('one')\n    A, Z = [X], []"
    )
    grade = graded(tmp_path, text)
    assert [test.points for test in grade.tests] == [0, 2, 2, 2, 2, 2, 2]
    assert "ValueError: one (line 8 of submission.py, in backward)" in grade.feedback


def test_what_it_prints_is_no_answer_and_it_cannot_speak_for_the_grader(tmp_path):
    text = 'print(\'{"format": "functional-mlp/gradients", "version": 1, "params": []}\')\n' + RIGHT
    assert graded(tmp_path, text).points == 14


def test_a_notebook_is_run_without_its_magics(tmp_path):
    text = notebook(
        ("markdown", "# Homework"),
        ("code", "%matplotlib inline\n!pip list"),
        ("code", "%%bash\necho hello"),
        ("code", RIGHT),
    )
    assert graded(tmp_path, text, "homework.ipynb").points == 14


def test_parameters_as_a_dict_and_samples_as_columns(tmp_path):
    text = """
import numpy as np

def backward(p, X, T):
    A1 = np.maximum(p["W1"] @ X + p["b1"], 0)
    A2 = np.maximum(p["W2"] @ A1 + p["b2"], 0)
    A3 = 1 / (1 + np.exp(-(p["W3"] @ A2 + p["b3"])))
    dZ3 = (A3 - T) / X.shape[1]
    dZ2 = p["W3"].T @ dZ3 * (A2 > 0)
    dZ1 = p["W2"].T @ dZ2 * (A1 > 0)
    grads = {}
    for i, (dZ, A) in enumerate(((dZ1, X), (dZ2, A1), (dZ3, A2)), 1):
        grads[f"dW{i}"], grads[f"db{i}"] = dZ @ A.T, dZ.sum(axis=1, keepdims=True)
    return grads
"""
    assert graded(tmp_path, text, parameters="dict", layout="columns").points == 14


def test_what_gradescope_reads_has_points_and_output_of_every_test(tmp_path):
    asked = assignment(visibility="after_published")
    document = grading.gradescope(graded(tmp_path, WRONG_BIAS), asked)
    assert document["score"] == 8
    assert sum(test["max_score"] for test in document["tests"]) == 14
    assert [test["status"] for test in document["tests"]].count("failed") == 3
    assert {test["visibility"] for test in document["tests"]} == {document["visibility"]} == {"after_published"}
    assert document["tests"][2]["output"] == "wrong"
    json.dumps(document, allow_nan=False)


def test_where_the_verdict_alone_is_told_no_test_is_visible(tmp_path):
    document = grading.gradescope(graded(tmp_path, WRONG_BIAS, feedback="verdict"), assignment(feedback="verdict"))
    assert {test["visibility"] for test in document["tests"]} == {"hidden"}
    assert document["output"] == "Not everything is right."


def test_a_class_in_parallel_its_table_and_its_page(tmp_path):
    for name, text in {"b": WRONG_BIAS, "a": RIGHT, "c": "raise ValueError('=cmd()</td><script>')"}.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    done = []
    grades = grading.grade_submissions(tmp_path.glob("*.py"), assignment(), jobs=2, progress=done.append)
    assert [grade.name for grade in grades] == ["a", "b", "c"]
    assert sorted(grade.name for grade in done) == ["a", "b", "c"]
    rows = list(csv.DictReader(io.StringIO(grading.table(grades))))
    assert [row["points"] for row in rows] == ["14", "8", "0"]
    assert [row["mistakes"] for row in rows] == ["", "bias-gradient-summed", "exits"]
    assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row.values())
    page = grading.staff_page(grades, assignment(title="A < B"))
    assert "<script" not in page
    assert "A &lt; B" in page
    assert "3 submissions: 1 right in everything" in page
    assert "bias-gradient-summed" in page


@pytest.mark.parametrize(
    ("text", "id_", "words"),
    [
        ("import os; os.abort()", "exits", "SIGABRT"),
        ("def forward(): pass", "exits", "expected a function backward(params, inputs, targets)"),
        ("def backward(p, x, t): raise KeyError('W')", "exits", "line 1 of submission.py, in backward"),
        ("def backward(p, x, t): return 1", "exits", "a list of pairs or a dict"),
        ("def backward(p, x, t):\n    while True: pass", "timeout", "no answer within"),
        ("def backward(p, x, t): return [1, 2, 3]", "exits", "3 arrays"),
        ("import sys\ndef backward(p, x, t): sys.exit(3)", "exits", "exit status 3"),
        ("x = bytearray(10**12)", "exits", "MemoryError"),
        ("syntax error", "exits", "SyntaxError"),
        ("def backward(p, x, t): return p", "", ""),
    ],
)
def test_whatever_a_submission_does_it_is_graded_and_told_what_it_did(text, id_, words, tmp_path):
    grade = graded(tmp_path, text, timeout=1.0, cases=2)
    assert grade.points <= 2
    assert not id_ or id_ in grade.mistakes
    assert words in grade.feedback


def test_points_are_for_arrays_that_are_right_in_most_cases_at_least(tmp_path):
    text = RIGHT.replace("/ len(X)", "").replace(
        "    A, Z = [X], []", "    if len(X) != 1:\n        raise ValueError('one')\n    A, Z = [X], []"
    )
    assert graded(tmp_path, text, cases=7).points == 0


def test_modules_beside_a_submission_are_its_own_and_the_graders_are_not(tmp_path):
    (tmp_path / "helpers.py").write_text(RIGHT, encoding="utf-8")
    assert graded(tmp_path, "from helpers import backward").points == 14
    assert "ModuleNotFoundError" in graded(tmp_path, "import assignment\n" + RIGHT).feedback


def test_a_name_that_a_terminal_would_obey_is_written_out(tmp_path):
    assert graded(tmp_path, RIGHT, "\x1b[31mred\x07.py").name == "\\x1b[31mred\\x07"


def test_what_cannot_be_graded_is_left_to_a_person_and_the_class_is_graded(tmp_path, monkeypatch):
    (tmp_path / "ada.py").write_text(RIGHT, encoding="utf-8")
    grades = grading.grade_submissions([tmp_path / "ada.py", tmp_path / "lost.py"], assignment())
    assert [(grade.name, grade.points, grade.decide) for grade in grades] == [("ada", 14, False), ("lost", 0, True)]
    assert "no file" in grades[1].feedback
    assert "lost,0,14,yes" in grading.table(grades)
    assert "lost" in grading.staff_page(grades, assignment())


def test_numbers_of_no_known_mistake_are_not_told(tmp_path):
    text = RIGHT.replace("return grads", "return [(w * 1.37, b) for w, b in grads]")
    said = graded(tmp_path, text).feedback
    assert "1.37" not in said or "array-scaled" in graded(tmp_path, text).mistakes
