"""Grades a folder of submissions, as CSV:  python grade.py SUBMISSIONS > grades.csv

Each runs in a process of its own, with limits. Full points are for consistent gradients, some for every array that is
right; of what is undecided a person decides. The feedback names the mistake.
"""

import csv
import sys
from pathlib import Path

from functional_mlp import Loss, Network, oracle

NETWORK, LOSS = Network((2, 4, 3, 1), ("relu", "relu", "sigmoid")), Loss("binary_cross_entropy")
POINTS, POINTS_OF_ARRAYS = 10, 6
PYTHON = sys.executable  # better, one in which NumPy alone is installed
LIMITS = ["sh", "-c", 'ulimit -t 20; ulimit -v 8000000; exec "$@"', "sh"]  # seconds and KiB, of each process
ANSWER = str(Path(__file__).with_name("answer.py"))


def ask(submission, seed=0, cases=7):
    """The oracle's report on a file; another seed gives other cases."""
    command = [*LIMITS, PYTHON, ANSWER, str(submission)]
    return oracle.drive(command, NETWORK, LOSS, seed=seed, cases=cases, timeout=5, stream=True)


def points(report):
    """What a report is worth; "" where a person decides."""
    if report.verdict is oracle.Verdict.UNDECIDED:
        return ""
    if report.verdict is oracle.Verdict.CONSISTENT:
        return POINTS
    right = [leaf.verdict is oracle.Verdict.CONSISTENT for leaf in report.leaves]
    return POINTS_OF_ARRAYS * sum(right) // len(right) if right else 0


def feedback(report):
    """What the student is told: what the program did, and the mistake."""
    said = [finding.sentence for finding in report.findings]
    for mistake in report.diagnosis.mistakes if report.diagnosis else ():
        said.append(f"{mistake.id}: {mistake.sentence} Right is {mistake.fix}.")
    return " ".join(said)


def grade(folder, **how):
    """Rows of name, points and feedback."""
    for submission in sorted(Path(folder).glob("*.py")):
        report = ask(submission, **how)
        yield submission.stem, points(report), feedback(report) or report.verdict.value


if __name__ == "__main__":
    csv.writer(sys.stdout).writerows(grade(sys.argv[1]))
