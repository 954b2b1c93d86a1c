"""functional-mlp check: verdicts as exit codes, what it prints, bad input, pipes; the circles as published."""

import json
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from typer.testing import CliRunner

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.cli.command import app
from functional_mlp.experiments.published import circles
from functional_mlp.oracle.checking import check
from functional_mlp.oracle.documents import Gradients, read_gradients, validator, write_gradients
from functional_mlp.oracle.updates import check_update

ROOT = Path(__file__).resolve().parents[2]
NETWORK = fm.Network((2, 3, 1), ("tanh", "sigmoid"))
LOSS = fm.Loss("binary_cross_entropy")


@pytest.fixture(autouse=True)
def _without_beartype(as_a_person):
    """As a program runs: typer calls the eager callback with None."""


def run(*arguments, **options):
    """In this process: nothing is compiled twice."""
    return CliRunner().invoke(app, ["check", *map(str, arguments)], catch_exceptions=False, **options)


def start(*arguments, **options):
    """As a program of its own."""
    command = [sys.executable, "-m", "functional_mlp", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, **options)


@pytest.fixture(scope="module")
def case():
    return oracle.draw_case(NETWORK, LOSS, samples=4, seed=3, dtype="bfloat16", name="four samples")


@pytest.fixture(scope="module")
def gradients(case):
    return [list(layer) for layer in oracle.solve(case).grads]


@pytest.fixture
def folder(tmp_path, case, gradients):
    """A case and answers to it: right, wrong, undecided."""
    oracle.write_case(tmp_path / "case.json", case)
    write(tmp_path / "right.json", gradients)
    write(tmp_path / "wrong.json", [gradients[0], [2 * gradients[1][0], gradients[1][1]]])
    for rate in (0.1, 0.01, 1e-18):
        after = [(w - rate * dw, b - rate * db) for (w, b), (dw, db) in zip(case.params, gradients, strict=True)]
        write(tmp_path / f"step-{rate:g}.json", after, "update", learning_rate=rate)
    return tmp_path


def printed(value, form):
    if np.ndim(value):
        return f"[{', '.join(printed(item, form) for item in value)}]"
    return form % value


def write(path, layers, kind="gradients", form="%.17g", **fields):
    """What a program in C would print."""
    params = ", ".join(f'{{"weights": {printed(w, form)}, "bias": {printed(b, form)}}}' for w, b in layers)
    head = json.dumps({"format": f"functional-mlp/{kind}", "version": 1, **fields})
    path.write_text(f'{head[:-1]}, "params": [{params}]}}')


# verdicts


def test_the_report_is_printed_and_the_verdict_is_the_exit_code(folder, case):
    for name, code in (("right.json", 0), ("wrong.json", 1)):
        done = run(folder / "case.json", folder / name)
        assert (done.exit_code, done.stderr) == (code, "")
        assert done.stdout == check(case, read_gradients(folder / name)).text()
    done = run(folder / "case.json", folder / "step-1e-18.json")
    assert done.exit_code == 3
    assert done.stdout.startswith("UNDECIDED: ")
    assert "even zeros would pass" in done.stdout


@pytest.mark.parametrize(("name", "code"), [("right.json", 0), ("wrong.json", 1), ("step-1e-18.json", 3)])
def test_the_report_as_json_is_of_its_schema(folder, name, code):
    done = run(folder / "case.json", folder / name, "--json")
    assert (done.exit_code, done.stderr) == (code, "")
    document = json.loads(done.stdout)
    validator("report").validate(document)
    assert document["verdict"] == {0: "consistent", 1: "wrong", 3: "undecided"}[code]


def test_the_precision_is_the_declared_one_or_that_of_the_arrays(folder, gradients):
    rounded = [[leaf.astype(np.float32) for leaf in layer] for layer in gradients]
    write(folder / "single.json", rounded, form="%.9g")
    done = run(folder / "case.json", folder / "single.json", "--precision", "float32")
    assert done.exit_code == 0
    assert "judged as float32" in " ".join(done.stdout.split())
    write_gradients(folder / "single.npz", Gradients(rounded), "float32")
    done = run(folder / "case.json", folder / "single.npz")
    assert done.exit_code == 0
    assert "judged as float32" in " ".join(done.stdout.split())
    half = [[leaf.astype(ml_dtypes.bfloat16) for leaf in layer] for layer in gradients]
    write_gradients(folder / "half.safetensors", Gradients(half), "bfloat16")
    assert "judged as bfloat16" in " ".join(run(folder / "case.json", folder / "half.safetensors").stdout.split())


def test_whatever_else_a_file_holds_is_judged(folder, case, gradients):
    write(folder / "loss.json", gradients, loss=1 + oracle.solve(case).loss)
    done = run(folder / "case.json", folder / "loss.json")
    assert done.exit_code == 1
    assert "WRONG loss: " in done.stdout


def test_not_a_number_in_a_file_is_wrong_and_no_bad_input(folder, gradients):
    spoilt = np.array(gradients[0][0])
    spoilt[1, 2] = np.nan
    write(folder / "nan.json", [[spoilt, gradients[0][1]], gradients[1]])
    text = (folder / "nan.json").read_text()
    (folder / "nan.json").write_text(text.replace("nan", "NaN"))
    done = run(folder / "case.json", folder / "nan.json")
    assert (done.exit_code, done.stderr) == (1, "")
    assert "nan at [1, 2]" in done.stdout


def test_one_or_several_updates_are_judged(folder, case):
    one = run(folder / "case.json", folder / "step-0.1.json")
    assert one.exit_code == 0
    two = run(folder / "case.json", folder / "step-0.1.json", folder / "step-0.01.json")
    assert two.exit_code == 0
    assert "[learning rate 0.1]" in two.stdout
    assert "[learning rate 0.01]" in two.stdout
    write(folder / "none.json", case.params, "update", learning_rate=0.01)
    done = run(folder / "case.json", folder / "step-0.1.json", folder / "none.json")
    assert done.exit_code == 1
    assert "WRONG [learning rate 0.01] params[0].weights" in done.stdout
    assert "WRONG [learning rate 0.1]" not in done.stdout
    report = check_update(case, [oracle.Layer(*layer) for layer in case.params], 0.01)
    assert report.verdict == "wrong"


def test_standard_input_is_the_answer_or_the_case(folder):
    answer = run(folder / "case.json", "-", input=(folder / "right.json").read_text())
    question = run("-", folder / "right.json", input=(folder / "case.json").read_text())
    assert answer.exit_code == question.exit_code == 0
    assert answer.stdout == question.stdout == run(folder / "case.json", folder / "right.json").stdout


# bad input


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["case.json"], ["Missing argument"]),
        (["case.json", "nowhere.json"], ["nowhere.json", "No such file"]),
        (["nowhere.json", "right.json"], ["nowhere.json", "No such file"]),
        (["case.json", "case.json"], ["case.json", "functional-mlp/gradients", "functional-mlp/update"]),
        (["right.json", "case.json"], ["right.json", "expected format 'functional-mlp/case'"]),
        (["case.json", "right.json", "wrong.json"], ["several files of updates"]),
        (["case.json", "right.json", "step-0.1.json"], ["several files of updates"]),
        (["case.json", "-", "-"], ["standard input", "once"]),
        (["-", "-"], ["standard input", "once"]),
        (["case.json", "right.json", "--precision", "flaot32"], ["unknown precision", "did you mean 'float32'"]),
        (["case.json", "right.json", "--max-bytes", "10"], ["10 bytes"]),
        (["case.json", "right.json", "--rtol", "1e-3"], ["No such option"]),
        (["case.json", "texts.json"], ["texts.json", "params[0].weights[0][0]", "'x'"]),
        (["case.json", "rate.json"], ["rate.json", "learning_rate"]),
        (["huge.json", "right.json"], ["not finite"]),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, words, folder, monkeypatch):
    monkeypatch.chdir(folder)
    fields = {"format": "functional-mlp/gradients", "version": 1}
    layers = [{"weights": [["x"]], "bias": [1.0]}] * 2
    (folder / "texts.json").write_text(json.dumps(fields | {"params": layers}))
    write(folder / "rate.json", [(np.ones((2, 3)), np.ones(3))], "update", learning_rate=-1)
    document = json.loads((folder / "case.json").read_text())
    document["dtype"] = "float64"
    document["loss"] = {"kind": "squared_error", "scale": 1e308}
    document["targets"] = [[1e200]] * 4
    (folder / "huge.json").write_text(json.dumps(document))
    done = run(*arguments)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    if "Usage" not in done.stderr:
        assert done.stderr.startswith("functional-mlp: ")
        assert done.stderr.count("\n") == 1


# as a program


@pytest.mark.slow
def test_a_reader_who_has_gone_is_no_error_and_the_verdict_is_still_the_exit_code(folder):
    """`functional-mlp check … | head -1`."""
    started = [
        (start("check", folder / "case.json", folder / "wrong.json"), {1}),
        (start("solve", folder / "case.json", "-o", "-"), {0}),
        (start("check", "--help"), {0, 1}),  # typer's own
    ]
    for process, _ in started:
        process.stdout.close()
    for process, codes in started:
        assert process.stderr.read() == ""
        process.stderr.close()
        assert process.wait() in codes


def test_a_name_that_the_terminal_cannot_show_is_no_error(folder, case):
    named = oracle.Case(NETWORK, LOSS, case.params, case.inputs, case.targets, name="Kreisflächen ∂L")
    oracle.write_case(folder / "named.json", named)
    arguments = ["check", str(folder / "named.json"), str(folder / "right.json")]
    done = CliRunner(charset="ascii").invoke(app, arguments, catch_exceptions=False)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "Kreisfl\\xe4chen \\u2202L" in done.stdout


# step by step


def test_an_entry_is_explained_after_the_report(folder, case):
    gradients = [(2 * weights, 2 * bias) for weights, bias in oracle.solve(case).grads]
    write(folder / "doubled.json", gradients)
    plain = run(folder / "case.json", folder / "doubled.json")
    done = run(folder / "case.json", folder / "doubled.json", "--explain")
    assert (done.exit_code, done.stderr) == (1, "")
    assert done.stdout.startswith(plain.stdout)
    assert "step by step back from the loss" in " ".join(done.stdout.removeprefix(plain.stdout).split())
    assert "yours: " in done.stdout


def test_an_explanation_is_no_json(folder, case):
    done = run(folder / "case.json", folder / "right.json", "--explain", "--json")
    assert done.exit_code == 2
    assert "expected --explain or --json, got both" in done.output


# the circles


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    """The published case as a file, and its gradients: published and corrected."""
    path = tmp_path_factory.mktemp("circles") / "case.json"
    (inputs, targets), params = circles.data(), circles.initial_params()
    network = fm.Network(circles.SIZES, ("relu", "relu", "sigmoid"))
    oracle.write_case(path, oracle.Case(network, LOSS, params, inputs, targets, name="circles"))
    return path, {
        variant: circles.gradients(params, inputs, targets, variant) for variant in ("published", "corrected")
    }


@pytest.mark.parametrize(
    ("variant", "code", "form"),
    [
        ("published", 1, "%g"),
        *(("corrected", 0, form) for form in ("%.17g", "%.9g", "%g", "%f", "%.4e")),
    ],
)
def test_the_published_gradients_of_the_circles_are_wrong_and_the_corrected_ones_consistent(
    variant, code, form, ring, tmp_path
):
    path, gradients = ring
    write(tmp_path / "gradients.json", gradients[variant], form=form)
    done = run(path, tmp_path / "gradients.json")
    assert (done.exit_code, done.stderr) == (code, "")
    if variant == "published":
        assert done.stdout.startswith("WRONG: ")
        assert "6 of 6 arrays wrong." in " ".join(done.stdout.split())


@pytest.mark.parametrize(("variant", "code"), [("published", 1), ("corrected", 0)])
def test_so_are_the_parameters_after_their_step(variant, code, ring, tmp_path):
    path, gradients = ring
    after = circles.updated(circles.initial_params(), gradients[variant], circles.LEARNING_RATE)
    write(tmp_path / "after.json", after, "update", learning_rate=circles.LEARNING_RATE)
    assert run(path, tmp_path / "after.json").exit_code == code


def test_digits_are_declared(folder, case):
    gradients = oracle.solve(case).grads
    write(folder / "short.json", [[np.round(leaf, 3) for leaf in layer] for layer in gradients])
    assert run(folder / "case.json", folder / "short.json").exit_code == 1
    assert run(folder / "case.json", folder / "short.json", "--digits", "%.3f").exit_code != 1
    done = run(folder / "case.json", folder / "short.json", "--digits", "none")
    assert done.exit_code == 2
    assert "expected digits to be a number of significant digits" in done.output
