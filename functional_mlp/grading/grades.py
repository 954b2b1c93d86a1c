"""A submission's grade: from the oracle's report, points for every array that is right, and what is said."""

import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from functional_mlp import oracle
from functional_mlp._markup import shown
from functional_mlp.grading.assignment import Assignment
from functional_mlp.oracle.programs import CommandError, drive
from functional_mlp.oracle.report import Report
from functional_mlp.oracle.verdict import Verdict, worst_of

ANSWERING = Path(__file__).with_name("answering.py")
PYTHON = shlex.quote(sys.executable)
FEWEST = 6  # cases that `check_function` chooses at least
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
        headline: what is wrong, for the staff; "" where nothing is.
        feedback: what the student is told, by the assignment.
        mistakes: ids of the diagnosis and of the findings, for the staff.
        decide: whether a person has to decide, since something is undecided, or could not be graded.
        report: all that the oracle says; None where it could not be asked.
    """

    name: str
    tests: tuple[Test, ...]
    headline: str
    feedback: str
    mistakes: tuple[str, ...]
    decide: bool
    report: Report | None

    @property
    def points(self) -> float:
        """Of all tests."""
        return sum(test.points for test in self.tests)

    @property
    def most(self) -> float:
        """Points that a submission may get."""
        return sum(test.most for test in self.tests)

    @property
    def verdict(self) -> Verdict:
        """The worst of all tests."""
        return worst_of(test.verdict for test in self.tests)

    def require(self, name: str) -> None:
        """Raises AssertionError, with the feedback, if the test of this name is not passed: for otter-grader.

        Raises:
            KeyError: if there is no such test.
        """
        tests = {test.name: test for test in self.tests}
        assert tests[name].verdict is Verdict.CONSISTENT, self.feedback


def grade_submission(
    path: str | Path, assignment: Assignment, *, python: str = PYTHON, command: Sequence[str] = ()
) -> Grade:
    """The grade of a file, whose code runs in a process of its own, with limits.

    Args:
        path: of a Python file or a notebook that defines the function.
        assignment: what is graded.
        python: the interpreter that runs it, with what stands before it, as a shell would split it, such as
            "runuser -u nobody -- /usr/bin/python3"; better one in which NumPy alone is installed.
        command: a program instead, which reads cases and prints gradients as `functional-mlp drive --stream` has it; it
            is given the path as its last argument.

    Raises:
        oracle.CommandError: if the interpreter, or the program, cannot be started.
        FileNotFoundError: if there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"expected a submission, got no file {path}")
    limits = [str(number) for number in (assignment.cpu_seconds, assignment.memory)]
    with TemporaryDirectory() as folder:  # the path of the package is nothing that a submission need know
        answering = Path(folder, ANSWERING.name)
        shutil.copyfile(ANSWERING, answering)
        for place in (Path(folder), answering):
            place.chmod(0o755)  # the interpreter may run as somebody else
        own = [
            *shlex.split(python),
            "-I",
            str(answering),
            str(path),
            assignment.function,
            assignment.parameters,
            *limits,
        ]
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
    return graded(shown(path.stem), report, assignment)


def grade_submissions(
    paths: Iterable[str | Path],
    assignment: Assignment,
    *,
    jobs: int = 1,
    progress: Callable[[Grade], object] | None = None,
    **how: Any,
) -> list[Grade]:
    """The grades of many files, in the order of their paths, `jobs` of them side by side; `how` as above."""

    def one(path: Path) -> Grade:
        try:
            return grade_submission(path, assignment, **how)
        except CommandError:  # of the interpreter: nobody could be graded
            raise
        except (OSError, ValueError, ArithmeticError, RuntimeError) as error:
            return ungraded(shown(path.stem), f"It could not be graded: {error}", assignment)

    grades = []
    with ThreadPoolExecutor(jobs) as pool:
        for grade in pool.map(one, sorted(map(Path, paths))):
            grades.append(grade)
            if progress is not None:
                progress(grade)
    return grades


def ungraded(name: str, why: str, assignment: Assignment) -> Grade:
    """A grade without points, of which a person decides."""
    tests = _tests([(*words, Verdict.UNDECIDED) for words in _names(assignment)], assignment)
    return Grade(name, tests, why, why, (), True, None)


def grade_function(function: Callable[..., Any], assignment: Assignment, name: str = "submission") -> Grade:
    """The grade of a function that is called in this process: where the autograder contains it, as otter-grader does.

    How it takes its parameters is found out by calling it, and how many cases there are is `check_function`'s choice.

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
    verdicts = (_answers(report), *_verdicts(report, assignment))
    named = zip(_names(assignment), verdicts, strict=True)
    tests = _tests([(*words, verdict) for words, verdict in named], assignment)
    headline = "" if report.verdict is Verdict.CONSISTENT else report.headline
    decide = any(test.verdict is Verdict.UNDECIDED for test in tests)
    return Grade(name, tests, headline, _feedback(report, tests, assignment), _mistakes(report), decide, report)


def _tests(verdicts: Sequence[tuple[str, str, Verdict]], assignment: Assignment) -> tuple[Test, ...]:
    share = assignment.points / len(verdicts)
    return tuple(
        Test(name, short, share * (verdict is Verdict.CONSISTENT), share, verdict) for name, short, verdict in verdicts
    )


def _names(assignment: Assignment) -> Iterator[tuple[str, str]]:
    """What is graded, in words and in short."""
    yield "answers every case", ""
    for i, _ in enumerate(assignment.network.shapes, 1):
        for words, letter in WORDS.values():
            yield f"gradient of the {words} of layer {i} ({letter}{i})", f"{letter}{i}"


def _answers(report: Report) -> Verdict:
    """Whether every case was answered with finite arrays of the right shapes, the same each time."""
    return worst_of([Verdict.CONSISTENT, *(finding.verdict for finding in report.findings)])


def _verdicts(report: Report, assignment: Assignment) -> Iterator[Verdict]:
    """Of every gradient array, over all cases; WRONG where too few of them were answered to say that it is right."""
    for i, _ in enumerate(assignment.network.shapes):
        for kind in WORDS:
            found = [leaf.verdict for leaf in report.leaves if leaf.path == f"params[{i}].{kind}"]
            yield worst_of(found) if len(found) > min(assignment.cases, FEWEST) / 2 else Verdict.WRONG


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
    known = bool(report.findings) or bool(report.diagnosis and report.diagnosis.mistakes)
    if assignment.feedback == "mistake" and report.verdict is Verdict.WRONG and known:  # what else says right numbers
        lines = [report.headline]
    if assignment.feedback != "verdict":
        lines += [f"{test.name}: {SAYS[test.verdict]}" for test in tests]
    return "\n".join(lines)
