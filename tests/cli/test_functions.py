"""functional-mlp check-vjp and check-elementwise: functions in modules, dumps, bad input; what is code."""

import json

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from typer.testing import CliRunner

from functional_mlp.cli.command import app

MODULE = """
import jax.numpy as jnp

def scaled(x, params, power=2):
    return x**power * params["scale"]

def twice(x):
    return 2 * x

def twice_slope(x):
    return 2 + 0 * x

def off(x, ct):
    return 2.1 * ct

def scalar(x):
    return x.sum()

class Grouped:
    @staticmethod
    def squared(x):
        return (x**2).sum()
"""
X, SCALE, CT = (np.random.default_rng(i).normal(size=shape).astype("f4") for i, shape in enumerate([(3, 4), 4, (3, 4)]))
GRADIENTS = {"x": 2 * X * SCALE * CT, "params.scale": (X**2 * CT).sum(axis=0)}


@pytest.fixture(autouse=True)
def _without_beartype(as_a_person):
    """As a program runs."""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "norms.py").write_text(MODULE)
    np.savez("arguments.npz", **{"x": X, "params.scale": SCALE})
    np.savez("gradients.npz", **GRADIENTS)
    np.savez("ct.npz", CT)

    def run(*arguments):
        return CliRunner().invoke(app, ["check-vjp", *map(str, arguments)], catch_exceptions=False)

    return run


def test_a_dump_is_judged_and_the_verdict_is_the_exit_code(run, tmp_path):
    asked = ("norms.py:scaled", "arguments.npz", "gradients.npz", "--ct", "ct.npz")
    result = run(*asked)
    assert result.exit_code == 0, result.output
    assert "scaled(x, params), judged as float32." in result.output
    result = run(*asked, "--json")
    assert [leaf["path"] for leaf in json.loads(result.output)["leaves"]] == ["x", "params.scale"]
    np.savez("wrong.npz", **{"0": GRADIENTS["x"], "1.scale": 2 * GRADIENTS["params.scale"]})
    np.savez("outputs.npz", y=X**2 * SCALE)
    result = run(
        "norms.py:scaled", "arguments.npz", "wrong.npz", *asked[3:], "--outputs", "outputs.npz", "--html", "r.html"
    )
    assert result.exit_code == 1
    assert "WRONG params.scale" in result.output
    assert "outputs " in result.output
    assert "params.scale" in (tmp_path / "r.html").read_text()


def test_safetensors_bring_bfloat16(run):
    every = {"x": X, "params.scale": SCALE, "ct": CT}
    narrow = {name: array.astype(ml_dtypes.bfloat16) for name, array in every.items()}
    safetensors.numpy.save_file({"x": narrow["x"], "params.scale": narrow["params.scale"]}, "a.safetensors")
    safetensors.numpy.save_file({"x": 2 * narrow["x"] * narrow["params.scale"] * narrow["ct"]}, "g.safetensors")
    safetensors.numpy.save_file({"ct": narrow["ct"]}, "c.safetensors")
    result = run("norms.py:scaled", "a.safetensors", "g.safetensors", "--ct", "c.safetensors")
    assert result.exit_code == 0, result.output
    assert "judged as bfloat16" in result.output


def test_a_module_is_looked_for_in_the_current_folder_and_functions_in_classes(run, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "some_norms.py").write_text(MODULE)
    np.savez("x.npz", X)
    np.savez("g.npz", 2 * X)
    assert run("some_norms:Grouped.squared", "x.npz", "g.npz").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("norms", "arguments.npz", "gradients.npz"), "expected MODULE:FUNCTION"),
        (("norms.py:none", "arguments.npz", "gradients.npz"), "to have a function none"),
        (("nowhere.py:f", "arguments.npz", "gradients.npz"), "nowhere.py: cannot be imported"),
        (("no_such_module:f", "arguments.npz", "gradients.npz"), "no_such_module: cannot be imported"),
        (("broken.py:f", "arguments.npz", "gradients.npz"), "ZeroDivisionError"),
        (("norms.py:scaled", "arguments.npz", "gradients.npz"), "expected ct"),
        (("norms.py:scaled", "gone.npz", "gradients.npz"), "gone.npz"),
        (("norms.py:scaled", "ct.npz", "gradients.npz", "--ct", "ct.npz"), "an array for the argument params"),
        (("norms.py:scaled", "arguments.npz", "ct.npz", "--ct", "gradients.npz"), "expected ct of outputs"),
        (("norms.py:scaled", "arguments.npz", "gradients.npz", "--precision", "half"), "did you mean 'float16'"),
        (("norms.py:scaled", "arguments.npz", "gradients.npz", "--html", "arguments.npz"), "--html"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(run, tmp_path, arguments, words):
    (tmp_path / "broken.py").write_text("1 / 0")
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert result.output.count("\n") == 1


def test_files_are_read_before_code_is_run_and_help_says_what_is_code(run, tmp_path):
    (tmp_path / "loud.py").write_text("import pathlib; pathlib.Path('ran').touch()\ndef f(x): return x.sum()")
    (tmp_path / "bad.npz").write_bytes(b"PK no archive")
    assert run("loud.py:f", "bad.npz", "gradients.npz").exit_code == 2
    assert not (tmp_path / "ran").exists()
    assert "is Python code and is run with your rights" in " ".join(run("--help").output.split())


# every number of a format


@pytest.fixture
def ask(run):
    def ask(*arguments):
        return CliRunner().invoke(app, ["check-elementwise", *map(str, arguments)], catch_exceptions=False)

    return ask


def test_an_elementwise_function_is_judged_and_the_verdict_is_the_exit_code(ask):
    asked = ("norms.py:twice", "norms.py:twice", "--precision", "bfloat16")
    right = ask(*asked, "--derivative", "norms.py:twice_slope")
    assert right.exit_code == 0, right.output
    assert right.output.startswith("CONSISTENT: twice in bfloat16, 65279 numbers")
    wrong = ask("norms.py:twice", "identity", "--derivative", "norms.py:off", "--precision", "float16", "--json")
    assert wrong.exit_code == 1
    document = json.loads(wrong.output)
    assert (document["format"], document["verdict"], document["reference"]) == (
        "functional-mlp/elementwise",
        "wrong",
        "identity",
    )
    assert {curve["what"]: curve["verdict"] for curve in document["curves"]} == {
        "value": "wrong",
        "derivative": "wrong",
    }


def test_an_undecided_function_is_exit_code_3_and_a_module_is_run_once(ask, tmp_path):
    (tmp_path / "kernels.py").write_text(
        "import pathlib\nimport numpy\n"
        "with pathlib.Path('runs').open('a') as runs: runs.write('.')\n"
        "def f(x): return numpy.where(abs(x) > 100, numpy.nan, x**3)\n"
        "def df(x): return 3 * x**2\n"
        "def cube(x): return x * x * x\n"
    )
    asked = ask("kernels.py:f", "kernels.py:cube", "--derivative", "kernels.py:df", "--precision", "float16")
    assert (asked.exit_code, (tmp_path / "runs").read_text()) == (3, "."), asked.output


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_errors_are_drawn(ask, tmp_path, ending, start):
    asked = ask("norms.py:twice", "norms.py:twice", "--precision", "float16", "--figure", f"twice.{ending}")
    assert asked.exit_code == 0, asked.output
    assert (tmp_path / f"twice.{ending}").read_bytes().startswith(start)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("norms", "gelu"), "expected MODULE:FUNCTION"),
        (("norms.py:none", "gelu"), "to have a function none"),
        (("norms.py:twice", "gelo"), "did you mean 'gelu'"),
        (("norms.py:twice", "softmax"), "use check_vjp"),
        (("norms.py:twice", "norms.py:none"), "to have a function none"),
        (("norms.py:scalar", "gelu"), "an array of the shape of its argument"),
        (("norms.py:twice", "norms.py:scalar"), "number by number"),
        (("norms.py:X", "gelu"), "to have a function X"),
        (("norms.py:twice", "gelu", "--derivative", "norms.py:Grouped.none"), "none of that name"),
        (("norms.py:twice", "gelu", "--precision", "half"), "did you mean 'float16'"),
        (("norms.py:twice", "gelu", "--figure", "gelu.jpg"), "in .png, .svg, .pdf"),
        (("norms.py:twice", "gelu", "--figure", "-"), "--figure"),
        (("norms.py:twice", "gelu", "--figure", "nowhere/gelu.png"), "--figure"),
    ],
)
def test_what_cannot_be_asked_elementwise_is_one_sentence_and_exit_code_2(ask, arguments, words):
    result = ask(*arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert result.output.count("\n") == 1
    assert "is run with your rights" in " ".join(ask("--help").output.split())
