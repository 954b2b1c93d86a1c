"""docs/oracle.md says what the programs print."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from functional_mlp import oracle
from functional_mlp.cli import app, summary_of

DOCS = Path(__file__).parents[2] / "docs"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (DOCS / "oracle.md").read_text(encoding="utf-8"), flags=re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def rounded(text: str) -> str:
    """With 13 digits of every number: another processor's exponential may end in another one."""
    return re.sub(r"-?\d+\.\d{13,}", lambda number: f"{float(number.group()):.13g}", text.strip())


def test_python_example_prints_what_is_shown(as_a_person: None) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(blocks("python")[0], {})
    assert printed.getvalue() == blocks("text")[0]


def test_case_file_is_solved_as_shown(tmp_path: Path) -> None:
    path = tmp_path / "case.json"
    path.write_text(blocks("json")[0], encoding="utf-8")
    case = oracle.read_case(path)
    solution = oracle.solve(case)
    assert rounded(summary_of(case, solution)) == rounded(blocks("text")[1])
    oracle.write_solution(tmp_path / "solution.json", case, solution)
    written = json.loads((tmp_path / "solution.json").read_text(encoding="utf-8"))
    assert set(written) == set(re.findall(r'"(\w+)":', blocks("json")[1])) - {"weights", "bias"}


def test_gradients_file_is_judged_as_shown(tmp_path: Path, as_a_person: None) -> None:
    files = [tmp_path / "case.json", tmp_path / "gradients.json"]
    for path, text in zip(files, [blocks("json")[0], blocks("json")[2]], strict=True):
        path.write_text(text, encoding="utf-8")
    done = CliRunner().invoke(app, ["check", *map(str, files)])
    assert done.exit_code == 1
    assert done.stdout.strip() == blocks("text")[2].strip()


@pytest.mark.parametrize("heading", ["| group | entries |"])
def test_table_is_that_of_the_certification(heading: str) -> None:
    def table(text: str) -> list[str]:
        lines = text[text.index(heading) :].splitlines()
        return lines[: lines.index("")]

    texts = [(DOCS / name).read_text(encoding="utf-8") for name in ("oracle.md", "certification.md")]
    assert table(texts[0]) == table(texts[1])


def test_every_row_in_ulp_is_one_of_the_certification() -> None:
    texts = [(DOCS / name).read_text(encoding="utf-8") for name in ("oracle.md", "certification.md")]
    rows = [line for line in texts[0].splitlines() if "| `grads` |" in line]
    assert len(rows) >= 11
    assert set(rows) <= set(texts[1].splitlines())


def test_every_row_of_the_error_rates_is_one_of_the_verdicts() -> None:
    texts = [(DOCS / name).read_text(encoding="utf-8") for name in ("oracle.md", "verdicts.md")]
    section = texts[0][texts[0].index("## Error rates") : texts[0].index("## How the truth is computed")]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert len(rows) >= 40
    assert set(rows) <= set(texts[1].splitlines())
    [reports] = [line for line in section.splitlines() if "entries; false alarms" in line]
    assert reports in texts[1].splitlines()


def test_the_rates_in_the_readme_are_those_of_the_diagnosis() -> None:
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    page = (DOCS / "diagnosis.md").read_text(encoding="utf-8")
    [exact] = [line.split("|") for line in page.splitlines() if line.startswith("| exact, float64 |")]
    [other] = [line.split("|") for line in page.splitlines() if line.startswith("| all |")]
    wrong, named, unlisted, falsely = (f"{int(cell):,}" for cell in (*exact[2:4], *other[2:4]))
    said = " ".join(readme.split())
    assert falsely == "0"
    assert f"Of {wrong} planted mistakes, {named} were named; of {unlisted} errors that are not in the" in said
