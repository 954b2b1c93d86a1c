"""Whatever goes wrong with a command: one sentence, and never exit code 1, which means wrong."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.cli import command as cli


class HostileError(Exception):
    """One that cannot be shown."""

    def __str__(self):
        raise ValueError("\x1b[31m")


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """A folder with a case and its right gradients."""
    folder = tmp_path_factory.mktemp("right")
    case = oracle.draw_case(fm.Network((2, 3, 1), ("tanh", "identity")), fm.Loss("squared_error"), samples=3)
    oracle.write_case(folder / "case.json", case)
    oracle.write_gradients(folder / "gradients.json", oracle.solve(case).grads)
    return folder


CHECK = "{} check case.json gradients.json"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"{CHECK} > /dev/full", "standard output: No space left on device"),
        (f"{CHECK} --json > /dev/full", "standard output: No space left on device"),
        (f"{CHECK} >&-", "expected a standard output to print to, got a closed one"),
        ("{} --version >&-", "expected a standard output to print to, got a closed one"),
        ("{} --help > /dev/full", "No space left on device"),
        ("{} info > /dev/full", "No space left on device"),
        ("{} solve - <&-", "-: expected a document on standard input, got a closed one"),
        (f"JAX_ENABLE_X64=junk {CHECK}", "invalid truth value 'junk' for environment 'JAX_ENABLE_X64'"),
        ("JAX_PLATFORMS=nonsense {} info", "nonsense"),
        ("JAX_PLATFORMS=cuda {} info", "JAX_PLATFORMS is cuda"),
        ("{} mistakes show nothing", "unknown mistake 'nothing'"),
        ("{} case new -o new.json --sizes 1000000,1000000 --activations tanh", "expected something that fits into"),
        ("{} case new -o /proc/new.json --sizes 2,1 --activations tanh", "/proc/new.json: "),
    ],
)
def test_a_command_that_cannot_go_on_says_so_in_one_sentence(line, said, right):
    command = line.format(f"{sys.executable} -m functional_mlp")
    done = subprocess.run(["bash", "-c", command], cwd=right, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("functional-mlp: ")


@pytest.mark.slow
@pytest.mark.parametrize("line", ["{} --help | head -1", "{} check --help | head -1", f"{CHECK} | head -1"])
def test_a_reader_who_has_gone_is_no_error(line, right):
    command = "set -o pipefail; " + line.format(f"{sys.executable} -m functional_mlp")
    done = subprocess.run(["bash", "-c", command], cwd=right, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "error", [KeyError("x"), AttributeError("y"), MemoryError(), RecursionError("z"), HostileError()]
)
def test_what_nobody_foresaw_is_no_verdict(error, monkeypatch):
    def fails(*_):
        raise error

    monkeypatch.setattr("functional_mlp.oracle.mistakes.described", fails)
    done = CliRunner().invoke(cli.app, ["mistakes", "show", "batch-not-averaged"])
    assert done.exit_code == 2
    assert done.stderr.startswith("functional-mlp: ")
    assert len(done.stderr.splitlines()) == 1
    assert "\x1b" not in done.stderr
