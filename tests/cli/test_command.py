"""The command line: what it prints, its exit codes, and that help is quick."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from functional_mlp.cli import command as cli

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "functional_mlp", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        **options,
    )


@pytest.fixture
def invoke(as_a_person):
    """As `run`, in this process: nothing is compiled twice."""

    def invoked(*arguments, **options):
        return CliRunner().invoke(cli.app, [*map(str, arguments)], catch_exceptions=False, **options)

    return invoked


def new_case(run, path, *extra):
    return run(
        "case", "new", "--sizes", "2,4,3,1", "--activations", "relu,relu,sigmoid", "--loss", "binary_cross_entropy",
        "--samples", 5, "-o", path, *extra,
    )  # fmt: skip


@pytest.mark.parametrize(
    "arguments", [["--help"], ["case", "new", "--help"], ["solve", "-h"], ["check", "--help"], ["--version"]]
)
def test_help_is_quick_and_imports_no_jax(arguments):
    code = f"""
import sys, time
start = time.process_time()  # of this process: what else the machine does is not counted
sys.argv = ["functional-mlp", *{arguments!r}]
from functional_mlp.cli.command import main
try:
    main()
except SystemExit as end:
    print(end.code, time.process_time() - start, "jax" in sys.modules, "numpy" in sys.modules)
"""
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout
        for _ in range(3)
    ]
    endings = [text.splitlines()[-1].split() for text in runs]
    assert all((code, jax, numpy) == ("0", "False", "False") for code, _, jax, numpy in endings)
    assert min(float(seconds) for _, seconds, _, _ in endings) < 0.5


def test_help_teaches_the_commands_and_what_an_answer_looks_like():
    text, of_check = run("--help").stdout, run("check", "--help").stdout
    for word in ("case new --sizes", "./your_program case.json > gradients.json", "check case.json gradients.json"):
        assert word in text
    for word in ("solve case.json -o solution.json", "functional-mlp info"):
        assert word in text
    for word in (
        '{"format": "functional-mlp/gradients", "version": 1,',
        '"learning_rate": 0.1,',
        "functional-mlp/update",
    ):
        assert word in of_check
    assert "Exit codes: 0 consistent, 1 wrong, 2 bad input or usage, 3 undecided" in of_check
    assert "\n  ./your_program case.json | functional-mlp check case.json -\n" in of_check
    for line in (text + of_check).splitlines():
        assert len(line) <= 80
        assert "\x1b" not in line


def test_a_case_is_drawn_and_solved(tmp_path, invoke):
    assert new_case(invoke, tmp_path / "case.json", "--name", "first").exit_code == 0
    done = run("solve", tmp_path / "case.json", "-o", tmp_path / "solution.json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    solution = json.loads((tmp_path / "solution.json").read_text())
    assert solution["format"] == "functional-mlp/solution"
    assert solution["case"] == "first"
    assert np.shape(solution["params"][1]["weights"]) == (4, 3)
    shown = invoke("solve", tmp_path / "case.json").stdout
    assert "case first" in shown
    assert repr(solution["loss"]) in shown
    assert "grads[2].bias" in shown


def test_the_same_seed_gives_the_same_file_and_cases_go_through_pipes(tmp_path, invoke):
    for name in ("a", "b"):
        new_case(invoke, tmp_path / f"{name}.json", "--seed", 7, "--precision", "float32")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    printed = new_case(invoke, "-", "--seed", 7, "--precision", "float32").stdout
    assert printed == (tmp_path / "a.json").read_text()
    piped = invoke("solve", "-", "-o", "-", input=printed)
    assert piped.exit_code == 0
    assert json.loads(piped.stdout)["loss"] > 0


def test_info_names_versions_and_devices():
    text = run("info").stdout
    for word in ("functional-mlp", "Python", "jaxlib", "devices"):
        assert word in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["case", "new", "--sizes", "2,x", "--activations", "relu", "-o", "OUT"], ["--sizes", "'2,x'"]),
        (["case", "new", "--sizes", "2,1", "--activations", "rleu", "-o", "OUT"], ["did you mean 'relu'"]),
        (["case", "new", "--sizes", "2,1", "--activations", "relu", "--loss", "mse", "-o", "OUT"], ["unknown loss"]),
        (["case", "new", "--sizes", "2,1", "--activations", "relu", "--loss-option", "delta=x", "-o", "OUT"],
         ["--loss-option delta=NUMBER", "'delta=x'"]),
        (["case", "new", "--sizes", "2,1", "--activations", "relu", "--loss-option", "dleta=1", "-o", "OUT"],
         ["did you mean 'delta'"]),
        (["case", "new", "--sizes", "2,1", "--activations", "relu", "--loss-option", "delta=1", "--loss", "none",
          "-o", "OUT"], ["without a loss"]),
        (["case", "new", "--sizes", "2,1", "--activations", "relu", "--loss-option", "delta=2", "-o", "OUT"],
         ["no delta with squared_error", "huber"]),
        (["case", "new", "--sizes", "2,1", "--activations", "relu", "--loss", "binary_cross_entropy", "-o", "OUT"],
         ["logarithm"]),
        (["case", "new", "--sizes", "2,1", "--activations", "relu", "--samples", "0", "-o", "OUT"], ["samples"]),
        (["case", "new", "--sizes", "2,1", "--activations", "relu", "--precision", "float8", "-o", "OUT"], ["dtype"]),
        (["case", "new", "--sizes", "2,1", "--activations", "relu", "-o", "OUT.xml"], [".json"]),
        (["case", "new", "--sizes", "2,1", "--activations", "relu", "-o", "/nowhere/at/all.json"], ["No such file"]),
        (["solve"], ["Missing argument"]),
        (["solv"], ["No such command"]),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("as_a_person")
def test_bad_input_is_one_sentence_exit_code_2_and_no_file(arguments, words, tmp_path):
    out = str(tmp_path / "case.json")
    arguments = [argument.replace("OUT", out) for argument in arguments]
    done = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert done.exit_code == 2
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_bad_input_ends_the_program_without_a_traceback():
    done = run("solve", "/nowhere.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_size_limit_can_be_chosen(tmp_path, invoke):
    new_case(invoke, tmp_path / "case.json")
    done = invoke("solve", tmp_path / "case.json", "--max-bytes", 100)
    assert done.exit_code == 2
    assert "100" in done.stderr


def test_mistakes_are_listed_and_shown(invoke):
    listed = invoke("mistakes", "list")
    assert listed.exit_code == 0
    assert "bias-gradient-averaged " in listed.stdout
    shown = invoke("mistakes", "show", "bias-gradient-averaged")
    assert shown.exit_code == 0
    assert "wrong: ct_b = (1/n) sum of ct_z over samples" in shown.stdout
    assert "right: ct_b = sum of ct_z over samples" in shown.stdout
    unknown = invoke("mistakes", "show", "bias-gradient-averged")
    assert unknown.exit_code == 2
    assert "did you mean 'bias-gradient-averaged'?" in unknown.stderr


def test_options_of_a_loss_are_in_the_case_that_is_written(tmp_path, invoke):
    path = tmp_path / "case.json"
    options = ["--loss-option", "class_weights=1,2,0.5", "--loss-option", "ignore_index=-1", "--loss-option", "l1=0.25"]
    arguments = ["--sizes", "2,3", "--activations", "identity", "--loss", "softmax_cross_entropy", *options]
    assert invoke("case", "new", *arguments, "-o", path).exit_code == 0
    written = json.loads(path.read_text())["loss"]
    assert (written["class_weights"], written["ignore_index"], written["l1"]) == ([1.0, 2.0, 0.5], -1, 0.25)
    assert invoke("solve", path).exit_code == 0
