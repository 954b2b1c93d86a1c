"""A submission's grade: from the oracle's report, points for every array that is right, and what is said."""

import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from functional_mlp import oracle
from functional_mlp.grading.assignment import Assignment
from functional_mlp.oracle.programs import drive
from functional_mlp.oracle.report import Report
from functional_mlp.oracle.verdict import Verdict, worst_of

ANSWERING = Path(__file__).with_name("answering.py")
WORDS = {"weights": ("weights", "W"), "bias": ("biases", "b")}


class Test(NamedTuple):
    """One thing that is graded.

    Attributes:
        name: in words.
        short: such as W1; "" of answering every case.
        points: that it got.
        most: that it may get.
        verdict: CONSISTENT, WRONG or UNDECIDED, over all cases.
    """

    name: str
    short: str
    points: float | int
    most: float | int
    verdict: Verdict


class Grade(NamedTuple):
    """A submission's grade.

    Attributes:
        name: of the submission.
        tests: one for every gradient array, and one for answering every case.
        feedback: what the student is told, by the assignment.
        mistakes: ids of the diagnosis and of the findings, for the staff.
        decide: whether a person has to decide, since something is undecided.
        report: all that the oracle says.
    """

    name: str
    tests: tuple[Test, ...]
    feedback: str
    mistakes: tuple[str, ...]
    decide: bool
    report: Report

    @property
    def points(self) -> float:
        """Of all tests."""
        return sum(test.points for test in self.tests)

    @property
    def most(self) -> float:
        """Points that a submission may get."""
        return sum(test.most for test in self.tests)

    def require(self, name: str) -> None:
        """Raises AssertionError, with the feedback, if the test of this name is not passed: for otter-grader.

        Raises:
            KeyError: if there is no such test.
        """
        tests = {test.name: test for test in self.tests}
        assert tests[name].verdict is Verdict.CONSISTENT, self.feedback


def grade_submission(
    path: str | Path, assignment: Assignment, *, python: str = sys.executable, command: Sequence[str] = ()
) -> Grade:
    """The grade of a file, whose code runs in a process of its own, with limits.

    Args:
        path: of a Python file or a notebook that defines the function.
        assignment: what is graded.
        python: the interpreter that runs it; better one in which NumPy alone is installed.
        command: a program instead, which reads cases and prints gradients as `functional-mlp drive --stream` has it; it
            is given the path as its last argument.

    Raises:
        oracle.CommandError: if the interpreter, or the program, cannot be started.
        FileNotFoundError: if there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"expected a submission, got no file {path}")
    limits = [str(int(number)) for number in (assignment.cpu_seconds, assignment.memory)]
    own = [python, str(ANSWERING), str(path), assignment.function, assignment.parameters, *limits]
    report = drive(
        [*command, str(path)] if command else own,
        assignment.network,
        assignment.loss,
        precision=assignment.precision,
        seed=assignment.seed,
        cases=assignment.cases,
        timeout=assignment.timeout,
        stream=True,
        layout=assignment.layout,
    )
    return graded(path.stem, report, assignment)


def grade_submissions(
    paths: Iterable[str | Path],
    assignment: Assignment,
    *,
    jobs: int = 1,
    progress: Callable[[Grade], object] | None = None,
    **how: Any,
) -> list[Grade]:
    """The grades of many files, in the order of their paths, `jobs` of them side by side; `how` as above."""

    def one(path: str | Path) -> Grade:
        grade = grade_submission(path, assignment, **how)
        if progress is not None:
            progress(grade)
        return grade

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, sorted(map(Path, paths))))


def grade_function(function: Callable[..., Any], assignment: Assignment, name: str = "submission") -> Grade:
    """The grade of a function that is called in this process: where the autograder contains it, as otter-grader does.

    Args:
        function: of (params, inputs, targets).
        assignment: what is graded.
        name: of the submission.
    """
    report = oracle.check_function(
        function,
        assignment.network,
        assignment.loss,
        precision=assignment.precision,
        seed=assignment.seed,
        layout=assignment.layout,
    )
    return graded(name, report, assignment)


def graded(name: str, report: Report, assignment: Assignment) -> Grade:
    """The grade that a report is worth."""
    verdicts = [("answers every case", "", _answers(report)), *_verdicts(report, assignment)]
    share = assignment.points / len(verdicts)
    tests = tuple(
        Test(what, short, share * (verdict is Verdict.CONSISTENT), share, verdict) for what, short, verdict in verdicts
    )
    decide = any(test.verdict is Verdict.UNDECIDED for test in tests)
    return Grade(name, tests, _feedback(report, tests, assignment), _mistakes(report), decide, report)


def _answers(report: Report) -> Verdict:
    """Whether every case was answered with finite arrays of the right shapes, the same each time."""
    return worst_of([Verdict.CONSISTENT, *(finding.verdict for finding in report.findings)])


def _verdicts(report: Report, assignment: Assignment) -> Iterable[tuple[str, str, Verdict]]:
    """Of every gradient array, over all cases; WRONG where no case was answered."""
    for i in range(len(assignment.network.shapes)):
        for kind, (words, letter) in WORDS.items():
            path = f"params[{i}].{kind}"
            found = [leaf.verdict for leaf in report.leaves if leaf.path == path]
            short = f"{letter}{i + 1}"
            yield f"gradient of the {words} of layer {i + 1} ({short})", short, worst_of(found or [Verdict.WRONG])


def _mistakes(report: Report) -> tuple[str, ...]:
    found = [one.id for one in report.diagnosis.mistakes] if report.diagnosis else []
    return tuple(dict.fromkeys([*(finding.id for finding in report.findings), *found]))


SAYS = {Verdict.CONSISTENT: "right", Verdict.WRONG: "wrong", Verdict.UNDECIDED: "a person decides"}


def _feedback(report: Report, tests: Sequence[Test], assignment: Assignment) -> str:
    """What the student is told."""
    if report.verdict is Verdict.CONSISTENT:
        return "All gradients are right."
    if assignment.feedback == "report":
        return report.text()
    lines = ["Not everything is right." if report.verdict is Verdict.WRONG else "A person decides."]
    if assignment.feedback == "mistake" and report.verdict is Verdict.WRONG:
        lines = [report.headline]
    if assignment.feedback != "verdict":
        lines += [f"{test.name}: {SAYS[test.verdict]}" for test in tests]
    return "\n".join(lines)
