"""The experiment on a person's own table: what it makes of good tables, and what it says of bad ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import functional_mlp as fm
from experiments._table import Table, read_table, targets_of

pytestmark = pytest.mark.slow

Run = Callable[..., int]


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "table.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def blobs(classes: tuple[str, ...], samples: int = 60) -> str:
    rng = np.random.default_rng(0)
    rows = [
        f"{3 * i + 0.4 * rng.normal():.4f};{-2 * i + 0.4 * rng.normal():.4f};{name}"
        for i, name in enumerate(classes)
        for _ in range(samples // len(classes))
    ]
    return "width;height;kind\n" + "\n".join(rows) + "\n"


@pytest.mark.usefixtures("standard_promotion")
def test_classes_are_learnt_and_drawn(run: Run, table: Callable[[str], Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    path = table(blobs(("low", "middle", "high")))
    options = ["--data", str(path), "--target", "kind", "--sizes", "6", "--seeds", "5", "--epochs", "60"]
    assert run("own", *options, out=out) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["classes"] == ["high", "low", "middle"]
    assert summary["sizes"] == [2, 6, 3]
    assert summary["median"] == 1
    assert summary["train_samples"] + summary["test_samples"] == 60
    for name in ("loss", "final", "decision_regions"):
        assert (out / f"{name}.png").stat().st_size > 5000
    assert len((out / "runs.csv").read_text().splitlines()) == 6
    network = fm.Network(summary["sizes"], summary["activations"])
    params = fm.load_params(out / "params.safetensors", network)
    point = (np.array([0.0, 0.0]) - summary["inputs_minus"]) / summary["inputs_divided_by"]
    outputs = np.asarray(fm.forward(network, params, point[None].astype(np.float32))[0])
    assert summary["classes"][outputs[0].argmax()] == "low"


@pytest.mark.usefixtures("standard_promotion")
def test_a_quantity_is_learnt_in_its_own_unit(run: Run, table: Callable[[str], Path], tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, size=(120, 1))
    rows = "\n".join(f"{a:.5f},{100 + 50 * a:.5f}" for a in x[:, 0])
    path = table(f"x,y\n{rows}\n")
    options = ["--data", str(path), "--target", "y", "--sizes", "", "--seeds", "1", "--epochs", "150", "--no-plots"]
    assert run("own", *options, "--learning-rate", "0.05", out=tmp_path / "out") == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["task"] == "regression"
    assert summary["median"] < 0.5  # of 100 ± 50: a line is learnt


@pytest.mark.usefixtures("standard_promotion")
def test_a_regression_that_diverges_loses_nothing(
    run: Run, table: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    path = table("x,y\n" + "\n".join(f"{i},{2 * i}.5" for i in range(40)) + "\n")
    options = ["--optimizer", "sgd", "--learning-rate", "50", "--activation", "relu", "--sizes", "4", "--seeds", "3"]
    assert run("own", "--data", str(path), "--target", "y", *options, "--epochs", "20", out=out) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["diverged"] > 0
    assert f"{summary['diverged']} of 3 runs diverged" in capsys.readouterr().out
    assert {"loss.png", "final.png", "runs.csv", "params.safetensors"} <= {file.name for file in out.iterdir()}


def test_the_task_follows_from_the_target(table: Callable[[str], Path]) -> None:
    def task(values: list[str], asked: str | None = None) -> tuple[str, tuple[str, ...]]:
        targets = targets_of(Table(("x",), np.zeros((len(values), 1)), "y", tuple(values)), asked)
        return targets.task, targets.classes

    assert task(["b", "a", "b", "a"]) == ("classification", ("a", "b"))
    assert task(["10", "9", "10", "9"]) == ("classification", ("9", "10"))
    assert task(["1.5", "2.5", "1.5", "2.5"]) == ("regression", ())
    assert task([str(i) for i in range(60)]) == ("regression", ())
    assert task(["1", "2", "1", "2"], "regression") == ("regression", ())


BAD = {
    "no such column": ("x,y\n1,2\n3,4\n", "z", "column"),
    "empty": ("", "y", "column"),
    "one row": ("x,y\n1,2\n", "y", "at least two rows"),
    "ragged": ("x,y\n1,2\n3\n", "y", "row 3: expected 2 cells"),
    "text among numbers": ("x,y\n1,2\nred,4\n", "y", "row 3, column 'x': expected a number, got 'red'"),
    "missing": ("x,y\n1,2\n,4\n", "y", "got an empty cell"),
    "missing target": ("x,y\n1,2\n3,\n", "y", "row 3, column 'y'"),
    "missing among classes 0 and 1": ("x,y\n1,0\n3,1\n5,NaN\n1,0\n", "y", "row 4, column 'y': expected a number, as"),
    "text among classes 0 and 1": ("x,y\n1,?\n3,1\n5,0\n1,NA\n2,1\n", "y", "row 2, column 'y'"),
    "not finite": ("x,y\n1,2\ninf,4\n", "y", "expected a number, got 'inf'"),
    "columns of one name": ("x,x,y\n1,1,2\n3,3,4\n", "y", "'x' twice"),
    "one class": ("x,y\n1,a\n3,a\n", "y", "at least two classes"),
    "a class for each": ("x,y\n1,a\n3,b\n5,c\n", "y", "several samples each"),
}


@pytest.mark.parametrize(("text", "target", "words"), BAD.values(), ids=BAD)
def test_bad_tables_are_one_sentence(
    run: Run, table: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    text: str, target: str, words: str,
) -> None:  # fmt: skip
    out = tmp_path / "out"
    assert run("own", "--data", str(table(text)), "--target", target, out=out) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not out.exists()


def test_a_target_of_text_is_classes_though_some_look_like_numbers(table: Callable[[str], Path]) -> None:
    read = read_table(table("x,y\n1,a\n2,7\n3,a\n4,7\n5,b\n6,b\n"), "y")
    assert targets_of(read, None).classes == ("7", "a", "b")


def test_bytes_that_are_no_text_and_files_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"x,y\n\xff,2\n")
    with pytest.raises(ValueError, match="expected UTF-8 text, got byte 0xff"):
        read_table(path, "y")
    with pytest.raises(OSError, match="No such file"):
        read_table(tmp_path / "nothing.csv", "y")
