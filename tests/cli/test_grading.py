"""functional-mlp grade: files, folders, what is written where; bad input."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from functional_mlp.cli.command import app

COURSE = Path(__file__).resolve().parents[2] / "examples" / "course"
HOMEWORK = str(COURSE / "homework.toml")
ADA = COURSE / "submissions" / "ada.py"


@pytest.fixture(autouse=True)
def _without_beartype(as_a_person):
    """As a program runs."""


def run(*arguments):
    return CliRunner().invoke(app, ["grade", *map(str, arguments)])


@pytest.mark.slow
def test_a_folder_of_submissions_gives_a_table_a_page_and_a_text_each(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("ada", "ben"):
        (folder / f"{name}.py").write_text((COURSE / "submissions" / f"{name}.py").read_text(encoding="utf-8"))
    (folder / "notes.txt").write_text("no submission")
    written = ("--csv", tmp_path / "class.csv", "--html", tmp_path / "class.html", "--feedback", tmp_path / "told")
    result = run(HOMEWORK, folder, *written, "--jobs", 2)
    assert (result.exit_code, result.output) == (0, "")
    rows = (tmp_path / "class.csv").read_text().splitlines()
    assert [row.partition(",")[0] for row in rows] == ["name", "ada", "ben"]
    assert "bias-gradient-summed" in (tmp_path / "class.html").read_text()
    assert (tmp_path / "told" / "ada.txt").read_text() == "All gradients are right.\n"


@pytest.mark.slow
def test_one_submission_for_gradescope(tmp_path):
    results = tmp_path / "results.json"
    result = run(HOMEWORK, COURSE / "submissions" / "cleo.py", "--gradescope", results, "--seed", 7)
    assert (result.exit_code, result.output) == (0, "")
    assert json.loads(results.read_text())["score"] == 10


def test_a_file_that_was_not_handed_in_is_told_to_the_student(tmp_path):
    result = run(HOMEWORK, tmp_path / "backward.py", "--gradescope", tmp_path / "results.json")
    assert (result.exit_code, result.output) == (0, "")
    document = json.loads((tmp_path / "results.json").read_text())
    assert (document["score"], document["output"]) == (0, "There is no file backward.py.")


def test_links_and_what_a_system_hides_are_no_submissions(tmp_path):
    (tmp_path / "._ada.py").write_text("")
    result = run(HOMEWORK, tmp_path)
    assert "expected submissions, files or folders" in result.output
    (tmp_path / "eve.py").symlink_to(ADA)
    result = run(HOMEWORK, tmp_path)
    assert (result.exit_code, "got links: eve.py" in result.output) == (2, True)


@pytest.mark.parametrize(
    ("name", "words"), [("otter", "@test_case(points=2, hidden=False)"), ("nbgrader", "GRADE.points")]
)
def test_tests_for_other_graders_are_printed(name, words):
    result = run(HOMEWORK, "--template", name)
    assert result.exit_code == 0
    assert words in result.output
    compile(result.output, name, "exec")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((HOMEWORK,), "expected submissions"),
        ((HOMEWORK, "nobody.py"), "no file nobody.py"),
        (("nothing.toml", "a.py"), "nothing.toml"),
        ((HOMEWORK, ADA, COURSE / "submissions"), "different names"),
        ((HOMEWORK, COURSE / "submissions", "--gradescope", "r.json"), "one submission"),
        ((HOMEWORK, "--template", "moodle"), "otter or nbgrader"),
        ((HOMEWORK, ADA, "--template", "otter"), "no submissions"),
        ((HOMEWORK, ADA, "--csv", HOMEWORK), "another file"),
        pytest.param(
            (HOMEWORK, ADA, "--python", "no-such-python"),
            "no-such-python",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_bad_input_is_answered_with_one_sentence_and_exit_code_2(arguments, words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert len(result.output.splitlines()) == 1
