"""Grades as autograders and spreadsheets read them."""

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

from functional_mlp.grading.assignment import Assignment
from functional_mlp.grading.grades import SAYS, Grade, ungraded
from functional_mlp.oracle.verdict import Verdict

STATUS = {Verdict.CONSISTENT: "passed", Verdict.WRONG: "failed", Verdict.UNDECIDED: "failed"}


def gradescope(grade: Grade, assignment: Assignment) -> dict[str, Any]:
    """The document that Gradescope reads as /autograder/results/results.json: points and output of every test.

    What the staff alone may see stands in `extra_data`. Where the feedback is "verdict", a test shows its points to
    nobody but the staff, and the whole its sum.
    """
    told = assignment.feedback != "verdict"
    return {
        "score": round(grade.points, 6),
        "output": grade.feedback,
        "visibility": assignment.visibility,
        "stdout_visibility": "hidden",
        "extra_data": {"mistakes": list(grade.mistakes), "decide": grade.decide},
        "tests": [
            {
                "name": test.name,
                "score": round(test.points, 6),
                "max_score": round(test.most, 6),
                "status": STATUS[test.verdict],
                "output": SAYS[test.verdict] if told else "",
                "visibility": assignment.visibility if told else "hidden",
            }
            for test in grade.tests
        ],
    }


def table(grades: Iterable[Grade]) -> str:
    """A spreadsheet for the staff, as CSV: points, what a person decides, mistakes, every test, and what is wrong."""
    grades = list(grades)
    names = [test.name for test in grades[0].tests] if grades else []
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    rows.writerow(["name", "points", "of", "decide", "mistakes", *names, "what is wrong"])
    for grade in grades:
        points = [f"{number:g}" for number in (round(grade.points, 6), round(grade.most, 6))]
        tests = [f"{round(test.points, 6):g}" for test in grade.tests]
        decide = "yes" if grade.decide else ""
        rows.writerow(map(_cell, [grade.name, *points, decide, " ".join(grade.mistakes), *tests, grade.headline]))
    return written.getvalue()


def _cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in "=+-@\t\r" and text[:1] else text


HEAD = """# {title!r}, graded by functional-mlp: written by `functional-mlp grade`

from functional_mlp import grading

ASSIGNMENT = grading.read_assignment({path!r})
"""


GRADED_ONCE = """
def grade(function):
    if function not in GRADES:
        GRADES[function] = grading.grade_function(function, ASSIGNMENT)
    return GRADES[function]
"""


def otter_tests(assignment: Assignment, path: str, name: str = "backpropagation") -> str:
    """A test file of otter-grader (the format whose tests raise exceptions): a test for every array, with its points.

    Args:
        assignment: what is graded.
        path: where the assignment will stand, beside the notebook.
        name: of the question.
    """
    head = HEAD.format(title=assignment.title or name, path=path)
    parts = [
        head.replace("from functional_mlp", "from otter.test_files import test_case\n\nfrom functional_mlp"),
        f"OK_FORMAT = False\nname = {name!r}\npoints = None\nGRADES = {{}}\n",
        GRADED_ONCE,
    ]
    nothing = ungraded("", "", assignment)
    hidden = assignment.visibility != "visible" or assignment.feedback == "verdict"
    for number, test in enumerate(nothing.tests, 1):
        parts.append(
            f"\n@test_case(points={round(test.most, 6):g}, hidden={hidden})\n"
            f"def test_{number}({assignment.function}):\n"
            f"    grade({assignment.function}).require({json.dumps(test.name)})\n"
        )
    return "\n".join(parts)


def nbgrader_cell(assignment: Assignment, path: str) -> str:
    """An autograded test cell of nbgrader: prints the feedback, and its last line is the points, in part or in full.

    Args:
        assignment: what is graded; its points are the cell's.
        path: where the assignment will stand, beside the notebook.
    """
    return (
        HEAD.format(title=assignment.title or "backpropagation", path=path)
        + f"GRADE = grading.grade_function({assignment.function}, ASSIGNMENT)\n"
        "print(GRADE.feedback)\nround(GRADE.points, 6)\n"
    )
