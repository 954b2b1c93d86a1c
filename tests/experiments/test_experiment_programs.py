"""What circles, moons and three_phase do alike as programs, and the demonstration of all."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from functional_mlp.experiments import demo
from functional_mlp.experiments.common import run_program, text_table

pytestmark = pytest.mark.slow

Run = Callable[..., int]
QUICK = {
    "circles": ["--epochs", "3"],
    "moons": ["--epochs", "12"],
    "three_phase": ["--steps", "5", "--seeds", "2"],
}


# what all share


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("circles", {"curves", "decision_boundary", "network"}),
        ("moons", {"data", "network", "mean_squared_error", "accuracy", "decision_boundary"}),
        ("three_phase", {"curves", "decision_boundary", "final_accuracy", "network"}),
    ],
)
def test_results_are_complete_and_never_overwritten_silently(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, figures: set[str]
) -> None:
    out = tmp_path / "deep" / "out"
    assert run(name, *QUICK[name], out=out) == 0
    files = {file.name for file in out.iterdir()} - {"runs.csv"}
    pictures = {f"{figure}.{suffix}" for figure in figures for suffix in ("png", "svg")}
    assert files == {"history.csv", "summary.json", "manifest.json"} | pictures
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    capsys.readouterr()
    assert run(name, *QUICK[name], "--no-plots", out=out) == 2
    error = capsys.readouterr().err
    assert "--overwrite" in error
    assert error.count("\n") == 1
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert run(name, *QUICK[name], "--resume", "--no-plots", out=out) == 0  # as a scheduler restarts it
    assert "finished already" in capsys.readouterr().out
    assert run(name, *QUICK[name], "--resume", "--learning-rate", "0.05", out=out) == 2
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert [entry.name for entry in out.parent.iterdir()] == ["out"]
    assert run(name, *QUICK[name], "--no-plots", "--overwrite", out=out) == 0


@pytest.mark.parametrize("name", QUICK)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert run(name, out=tmp_path / "file" / "out") == 2
    error = capsys.readouterr().err
    assert "--out" in error
    assert error.count("\n") == 1
    assert run(name, *QUICK[name], "--device", "abacus:3", out=tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "abacus:3" in error
    assert error.count("\n") == 1
    count = "--steps" if name == "three_phase" else "--epochs"
    for option in ([count, "0"], [count, "-1"], ["--seeds", "0"], ["--learning-rate", "nan"], ["--dtype", "int8"]):
        with pytest.raises(SystemExit) as caught:
            run(name, *option, out=tmp_path / "out")
        assert caught.value.code == 2
        error = capsys.readouterr().err
        assert option[0] in error
        assert error.count("\n") == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("name", "option", "near"),
    [
        ("circles", "--variant=corected", "corrected"),
        ("three_phase", "--reading=gradient-first", "gradients-first"),
        ("moons", "--optimizer=adm", "adam"),
        ("moons", "--dtype=float23", "float32"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_known_one(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, option: str, near: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(name, option, out=tmp_path / "out")
    assert caught.value.code == 2
    assert f"did you mean '{near}'?" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "options"), [("moons", []), ("circles", ["--variant", "corrected"])])
def test_a_batch_larger_than_the_data_is_refused(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, options: list[str]
) -> None:
    assert run(name, *options, "--batch-size", "2000", out=tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "2000" in error
    assert error.count("\n") == 1
    assert not any(tmp_path.iterdir())


# the demonstration


README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
IN_FULL = ("calculus, two affine maps", "circles, iteration")  # not cut short below; the same digits everywhere


@pytest.mark.usefixtures("standard_promotion")
def test_the_table_of_the_demonstration_has_every_system(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = {
        "himmelblau": ("--grid", "4"),
        "circles/scheduled": ("--epochs", "5"),
        "circles/tuned": ("--epochs", "5", "--seeds", "2"),
        "moons/published": ("--seeds", "2"),
        "moons/corrected": ("--seeds", "2"),
        "three_phase": ("--steps", "5", "--seeds", "2"),
    }
    parts = tuple(part._replace(options=(*part.options, *quick.get(part.name, ()))) for part in demo.PARTS)
    monkeypatch.setattr(demo, "PARTS", parts)
    monkeypatch.setattr(demo, "SEEDS", 1)
    out = tmp_path / "out"
    command = ["experiments", "--no-plots", "--epochs", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", command)
    assert run_program(demo.parser(), demo.run) == 0
    table = (out / "table.txt").read_text()
    assert table in capsys.readouterr().out
    cells = {line: re.split(" {2,}", line) for text in (table, README) for line in text.splitlines()}
    quickly = [cells[line] for line in table.splitlines() if line.startswith(IN_FULL)]
    assert quickly == [cells[line] for line in README.splitlines() if line.startswith(IN_FULL)]
    assert ["circles, iteration 149: loss, accuracy", *["683.6170298, 0.614"] * 3] in quickly
    line = next(line for line in table.splitlines() if line.startswith("moons published"))
    _, printed, theirs, ours = re.split(" {2,}", line)
    assert (printed, theirs[:5]) == ("0.024335, 97.67%", ours[:5])
    for system in ("calculus", "circles scheduled", "moons published", "himmelblau", "three_phase gradients-first"):
        assert f"\n{system}" in table
    assert len((out / "table.md").read_text().splitlines()) == len(table.splitlines())
    for part in parts:
        assert (out / part.name / "summary.json").is_file()
    assert run_program(demo.parser(), demo.run) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_text_table_aligns_its_columns() -> None:
    assert text_table(("a", "bb"), [("ccc", 1)]) == "a    bb\n---  --\nccc  1"
