"""The command for courses: `functional-mlp grade`."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from functional_mlp.cli.console import ended_by_signals, progress_bar, show
from functional_mlp.cli.options import require_new_name

KINDS = (".py", ".ipynb")
TEMPLATES = ("otter", "nbgrader")


def grade_command(
    assignment: Annotated[Path, typer.Argument(metavar="ASSIGNMENT", help="What is graded, in TOML (see below).")],
    submissions: Annotated[
        list[Path] | None,
        typer.Argument(metavar="SUBMISSION", help="Python files, notebooks, or folders of them."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write the table of the staff here; default: standard output.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the class as a page, with the commonest mistakes as a figure.")
    ] = None,
    gradescope: Annotated[
        Path | None, typer.Option(help="Of one submission: write what Gradescope reads, results.json.")
    ] = None,
    feedback: Annotated[
        Path | None, typer.Option(help="A folder, in which each student's feedback is written as a text.")
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(help="Grade nothing: print a test file (otter), or a test cell (nbgrader)."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the cases, in place of the assignment's.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Submissions side by side.")] = 1,
    python: Annotated[
        str,
        typer.Option(
            help='What runs submissions, such as "runuser -u nobody -- /usr/bin/python3"; better one with NumPy alone.'
            " Default: this interpreter."
        ),
    ] = "",
) -> None:
    """Grade a course's submissions: points by array, and the mistake as feedback.

    Each submission runs in a process of its own, with limits of time and memory, and is known by what it prints alone.
    It can still read files and use the network: run untrusted ones in a container (docs/guide/course.md).
    """
    from functional_mlp import grading
    from functional_mlp.oracle.documents import write_text

    asked = grading.read_assignment(assignment)
    # loaded before any submission runs
    gradescope_of, page_of, table_of = grading.gradescope, grading.staff_page, grading.table
    if seed is not None:
        asked = dataclasses.replace(asked, seed=seed)
    if template is not None:
        show(_template(grading, template, asked, assignment, submissions))
        return
    given = submissions or []
    lost = gradescope is not None and len(given) == 1 and not given[0].exists()  # which the student is to be told
    paths = given if lost else _files(given)
    if gradescope is not None and len(paths) != 1:
        raise ValueError(f"expected one submission with --gradescope, got {len(paths)}")
    for option, written in (("--csv", csv), ("--html", html), ("--gradescope", gradescope)):
        if written is not None:
            require_new_name(option, written, [assignment, *paths])
    if feedback is not None:
        feedback.mkdir(parents=True, exist_ok=True)
    with ended_by_signals(), progress_bar(len(paths), "submission") as bar:
        how: dict[str, Any] = {"jobs": jobs} | ({"python": python} if python else {})
        grades = (
            [grading.ungraded(paths[0].stem, f"There is no file {paths[0].name}.", asked)]
            if lost
            else grading.grade_submissions(paths, asked, progress=lambda _: bar.update(1), **how)
        )
    for grade in grades if feedback is not None else ():
        assert feedback is not None
        write_text(feedback / f"{grade.name}.txt", grade.feedback.rstrip() + "\n")
    if html is not None:
        write_text(html, page_of(grades, asked))
    if gradescope is not None:
        write_text(gradescope, json.dumps(gradescope_of(grades[0], asked), indent=1) + "\n")
    if csv is not None:
        write_text(csv, table_of(grades))
    elif gradescope is None:
        show(table_of(grades))


def _template(grading: Any, name: str, asked: Any, assignment: Path, submissions: list[Path] | None) -> str:
    if name not in TEMPLATES:
        raise ValueError(f"expected --template to be {' or '.join(TEMPLATES)}, got {name!r}")
    if submissions:
        raise ValueError("expected no submissions with --template, which grades none")
    written: str = grading.otter_tests(asked, assignment.name) if name == "otter" else ""
    return written or str(grading.nbgrader_cell(asked, assignment.name))


def _files(submissions: list[Path]) -> list[Path]:
    """The files that are named, and those in folders that are."""
    found = []
    for path in submissions:
        found += _files_in(path) if path.is_dir() else [path]
    if not found:
        raise ValueError(f"expected submissions, files or folders with {' or '.join(KINDS)}, got none")
    for path in found:
        if not path.is_file():
            raise ValueError(f"expected submissions, got no file {path}")
    names = [path.stem for path in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"expected submissions of different names, got {', '.join(twice)} several times")
    return found


def _files_in(folder: Path) -> list[Path]:
    """The submissions in a folder: no links, of which nobody knows whose work they are, nor what a system hides."""
    files = [path for path in sorted(folder.iterdir()) if path.suffix in KINDS and not path.name.startswith(".")]
    links = [path.name for path in files if path.is_symlink()]
    if links:
        raise ValueError(f"expected submissions in {folder}, got links: {', '.join(links)}")
    return [path for path in files if path.is_file()]
