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
    assert (other.exit_code, "asked for other things" in other.stderr) == (2, True)
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
    assert (result.exit_code, "got none called 'right'" in result.stderr) == (2, True)


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


def test_a_refused_fit_leaves_its_folder_to_the_next_one(data, tmp_path):
    out = tmp_path / "out"
    for wrong in (("--activation", "tahn"), ("--folds", "500"), ("--missing", "guess"), ("--target", "nothing")):
        assert run("fit", data, "--target", "way", "-o", out, *QUICK, *wrong).exit_code == 2
    assert run("fit", data, "--target", "way", "-o", out, *QUICK).exit_code == 0


def test_runs_that_all_diverge_are_said_and_nothing_is_kept(tmp_path):
    path, out = tmp_path / "data.csv", tmp_path / "out"
    path.write_text("x,y\n" + "".join(f"{x},{x * x}.5\n" for x in range(20)))
    asked = ("fit", path, "--target", "y", "-o", out, "--optimizer", "sgd", "--activation", "relu", *QUICK)
    result = run(*asked, "--learning-rates", "1000")
    assert (result.exit_code, "with which all diverge; try a smaller one" in result.stderr) == (2, True)
    assert run(*asked, "--learning-rates", "0.001").exit_code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--learning-rates", "-1"), "expected learning rates of at least 0, got -1"),
        (("--dtype", "float16"), "known: float32, float64"),
    ],
)
def test_settings_that_train_nothing_are_refused_at_once(options, said, data, tmp_path):
    result = run("fit", data, "--target", "way", "-o", tmp_path / "out", *QUICK, *options)
    assert (result.exit_code, said in result.stderr) == (2, True)
    assert not (tmp_path / "out").exists()


def test_decimal_commas_are_no_categories(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("dose;way\n" + "".join(f"{i % 3},5;{'up' if i % 2 else 'down'}\n" for i in range(20)))
    result = run("fit", path, "--target", "way", "-o", tmp_path / "out", *QUICK)
    assert (result.exit_code, "decimal points, got commas, as in '0,5'" in result.stderr) == (2, True)


def test_what_is_predicted_of_other_tables_is_said(tmp_path):
    path, out = tmp_path / "data.csv", tmp_path / "out"
    rows = [f"{i},{'red' if i % 2 else 'blue'},{'up' if i > 9 else 'down'}" for i in range(20)]
    path.write_text("\n".join(["size,colour,way", *rows, "3,red,"]) + "\n")
    fitted = run("fit", path, "--target", "way", "--missing", "drop", "-o", out, *QUICK)
    assert "1 of 21 rows are left out: cells are missing in them" in fitted.stderr
    assert "of the table that was learnt from" in run("predict", out, path).stderr
    other = tmp_path / "other.csv"
    other.write_text("size,colour,way\n1,red,down\n2,green,\n3,blue,up\n")
    said = run("predict", out, other)
    assert (said.exit_code, len(said.stdout.splitlines())) == (0, 4)
    assert "column 'colour': 1 row has a text that was not learnt, such as 'green'" in said.stderr
    assert "accuracy of 2 rows: " in said.stderr
    other.write_text("size\n1\n")
    assert "expected the columns that were learnt from, got none called 'colour'" in run("predict", out, other).stderr
