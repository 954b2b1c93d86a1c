"""functional-mlp fit and predict: what is written where, going on, and bad input."""

import importlib.util
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from functional_mlp.cli.command import app

pytestmark = pytest.mark.slow
QUICK = ("--hidden", "4", "--seeds", "2", "--epochs", "4")


@pytest.fixture(autouse=True)
def _without_beartype(as_a_person, standard_promotion):
    """As a program runs."""


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "data.csv"
    rows = [f"{a:.3f},{b:.3f},{'up' if a + b > 0 else 'down'}" for a, b in rng.normal(size=(40, 2))]
    path.write_text("left,right,way\n" + "\n".join(rows) + "\n")
    return path


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_a_table_gives_a_page_tables_and_what_predicts(data, tmp_path):
    out = tmp_path / "out"
    asked = ("fit", data, "--target", "way", "-o", out, *QUICK, "--learning-rates", "0.01,0.1", "--tensorboard")
    result = run(*asked)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("hidden  rate  median accuracy")
    files = {file.name for file in out.iterdir()} - {".lock"}
    assert files == {"fit.json", "params.safetensors", "report.html", "runs.csv", "settings.csv", "tensorboard"}
    page = (out / "report.html").read_text()
    assert page.count("<img") == 3  # with the regions of two numbers
    assert not re.search(r"(src|href)=.https?:", page)
    assert len(list((out / "tensorboard").glob("*/events*"))) == 2
    again = run(*asked)
    assert (again.exit_code, again.stdout.startswith("finished already")) == (0, True)
    other = run("fit", data, "--target", "way", "-o", out, "--epochs", "5")
    assert (other.exit_code, "holds another" in other.stderr) == (2, True)
    predicted = run("predict", out, data)
    assert predicted.stdout.splitlines()[0] == "prediction,probability of down,probability of up"
    assert len(predicted.stdout.splitlines()) == 41
    assert predicted.stderr.startswith("accuracy: ")
    assert run("predict", out, data, "-o", tmp_path / "said.csv").stdout == ""
    assert (tmp_path / "said.csv").read_text() == predicted.stdout


def test_widths_and_depths_are_multiplied(data, tmp_path):
    out = tmp_path / "out"
    result = run("fit", data, "--target", "way", "-o", out, "--widths", "2,3", "--depths", "1,2", *QUICK[2:])
    assert result.exit_code == 0, result.output
    rows = (out / "settings.csv").read_text().splitlines()[1:]
    assert sorted(row.partition(",")[0] for row in rows) == ["2", "2-2", "3", "3-3"]


BAD = {
    "no such column": (["--target", "wya"], "did you mean 'way'"),
    "a rate that is none": (["--target", "way", "--learning-rates", "fast"], "--learning-rates"),
    "sizes that are none": (["--target", "way", "--hidden", "4,x"], "--hidden"),
    "widths alone": (["--target", "way", "--widths", "4"], "--depths together"),
    "an unknown activation": (["--target", "way", "--activation", "tahn"], "did you mean 'tanh'"),
    "too many folds": (["--target", "way", "--folds", "41"], "at most as many folds"),
}


@pytest.mark.parametrize(("options", "words"), BAD.values(), ids=BAD)
def test_bad_input_is_one_sentence_and_nothing_is_written(data, tmp_path, options, words):
    result = run("fit", data, "-o", tmp_path / "out", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert not any(file.suffix == ".json" for file in (tmp_path / "out").glob("**/*"))


def test_what_is_missing_is_said_before_anything_is_written(data, tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "orbax" else found(name))
    result = run("fit", data, "--target", "way", "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "pip install 'functional-mlp[experiments]'" in result.stderr
    assert not (tmp_path / "out").exists()


def test_predictions_of_what_is_no_fit_or_of_another_table(data, tmp_path):
    assert run("predict", tmp_path / "nothing", data).exit_code == 2
    run("fit", data, "--target", "way", "-o", tmp_path / "out", *QUICK)
    data.write_text("left,way\n1,up\n")
    result = run("predict", tmp_path / "out", data)
    assert (result.exit_code, "unknown column" in result.stderr) == (2, True)


def test_an_interrupted_fit_is_gone_on_with(data, tmp_path):
    out = tmp_path / "out"
    asked = [
        "fit",
        str(data),
        "--target",
        "way",
        "-o",
        str(out),
        "--seeds",
        "8",
        "--epochs",
        "600",
        "--save-every",
        "0",
    ]
    command = [sys.executable, "-m", "functional_mlp", *asked, "--folds", "2"]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(out.glob("work/*/part/*")) and time.monotonic() < deadline:
        time.sleep(0.2)
    first.send_signal(signal.SIGTERM)
    assert "the same command goes on" in first.communicate(timeout=120)[1]
    assert not (out / "fit.json").exists()
    second = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert second.returncode == 0, second.stderr
    assert (out / "fit.json").exists()
    assert not (out / "work").exists()
