"""The page for the staff: a table of the class, and the commonest mistakes as bars; one file, no script."""

from collections import Counter
from collections.abc import Sequence

from functional_mlp._markup import Markup, document, element
from functional_mlp.grading.assignment import Assignment
from functional_mlp.grading.grades import Grade
from functional_mlp.oracle.mistakes import MISTAKES
from functional_mlp.oracle.verdict import Verdict

MOST = 12  # mistakes that are drawn
AS_A_PROGRAM = {
    "exits": "It ends with an error, in some case or in all.",
    "timeout": "It gives no answer in time.",
    "ends": "It ends after an answer.",
    "flood": "It prints more than it may.",
    "silent": "It prints nothing.",
    "nondeterministic": "It gives other numbers each time.",
    "accumulates": "It adds the gradients of earlier calls.",
    "stale-state": "It keeps something of another batch.",
}
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #d0d7de; --bar: #4477aa; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --paper: #0d1117; --line: #30363d; --bar: #77aadd; --bad: #ff8a80; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid var(--line); }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.wrong { color: var(--bad); }
td.bar { width: 40%; }
td.bar span { display: block; height: 1rem; background: var(--bar); border-radius: 2px; min-width: 2px; }
code { font-size: .9em; }
"""


def staff_page(grades: Sequence[Grade], assignment: Assignment) -> str:
    """A page of HTML that needs nothing else.

    Args:
        grades: of the class.
        assignment: what was graded.
    """
    title = assignment.title or "Backpropagation by hand"
    return document(
        title,
        STYLE,
        element("h1", title),
        element("p", _summary(grades, assignment)),
        element("h2", "What went wrong most often"),
        _mistakes(grades),
        element("h2", "Submissions"),
        _submissions(grades),
    )


def _summary(grades: Sequence[Grade], assignment: Assignment) -> str:
    right = sum(grade.verdict is Verdict.CONSISTENT for grade in grades)
    decide = sum(grade.decide for grade in grades)
    mean = sum(grade.points for grade in grades) / len(grades) if grades else 0.0
    return (
        f"{assignment.network!r}, {assignment.loss!r}. {len(grades)} submissions: {right} right in everything,"
        f" {decide} of which a person decides; {mean:.3g} of {assignment.points:g} points on average."
    )


def _mistakes(grades: Sequence[Grade]) -> Markup:
    counts = Counter(mistake for grade in grades for mistake in grade.mistakes)
    unnamed = sum(grade.verdict is Verdict.WRONG and not grade.mistakes for grade in grades)
    rows = counts.most_common(MOST) + ([("", unnamed)] if unnamed else [])
    if not rows:
        return element("p", "Nothing.")
    largest = max(count for _, count in rows)
    return element("table", *(_bar(*row, largest) for row in rows))


def _bar(mistake: str, count: int, largest: int) -> Markup:
    known = MISTAKES.get(mistake)
    what = (
        "Wrong by no known mistake." if not mistake else known.sentence if known else AS_A_PROGRAM.get(mistake, mistake)
    )
    return element(
        "tr",
        element("td", what, *([" ", element("code", mistake)] if known else [])),
        element("td", str(count), class_="number"),
        element("td", element("span", style=f"width:{100 * count / largest:.1f}%"), class_="bar"),
    )


def _submissions(grades: Sequence[Grade]) -> Markup:
    head = element("tr", *(element("th", text) for text in ("submission", "points", "what is wrong", "where")))
    return element("table", head, *map(_row, grades))


def _row(grade: Grade) -> Markup:
    missed = [test.short for test in grade.tests if test.verdict is not Verdict.CONSISTENT and test.short]
    if len(missed) == len(grade.tests) - 1:
        missed = ["everything"]
    return element(
        "tr",
        element("td", grade.name),
        element("td", f"{grade.points:.3g} of {grade.most:.3g}", class_="number"),
        element("td", grade.headline),
        element("td", ", ".join(missed), class_="wrong" if missed else None),
    )
