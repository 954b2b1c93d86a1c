"""How long somebody waits for the first answer: each question in a fresh process, start of Python and imports included.

*Empty*: with a place for compiled programs that holds none; *filled*: with that which the run before left. Peers that
can answer a question are asked it too, where they are installed. In every round all programs run in turn.

    python -m benchmarks.speed.first_answer             # medians of 5 rounds
    python -m benchmarks.speed.first_answer --rounds 1

The sizes are those of a student's homework: 2-4-3-1 and 5 samples.
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.speed.timing import seconds_of
from functional_mlp.experiments import Parser, positive, text_table

ROOT = Path(__file__).parents[2]
NUMPY = """
import numpy as np
rng = np.random.default_rng(0)
sizes = (2, 4, 3, 1)
params = [(rng.normal(size=shape), rng.normal(size=shape[1])) for shape in zip(sizes, sizes[1:])]
X, T = rng.normal(size=(5, 2)), rng.normal(size=(5, 1))

def gradients(params, X, T, divided=True):
    a = [X]
    for W, b in params:
        a.append(np.tanh(a[-1] @ W + b))
    delta, found = 2 * (a[-1] - T) / (len(X) if divided else 1), []
    for (W, b), before, after in zip(params[::-1], a[-2::-1], a[:0:-1]):
        delta = delta * (1 - after**2)
        found.append((before.T @ delta, delta.sum(axis=0)))
        delta = delta @ W.T
    return found[::-1]
"""
ORACLE = """
import functional_mlp as fm
from functional_mlp import oracle
network, loss = fm.Network(sizes, "tanh"), fm.Loss("squared_error", over_samples="mean")
"""
CHECK = "case = oracle.Case(network, loss, params, X, T)\nprint(oracle.check(case, gradients(params, X, T{})).text())"
JAX = """
import jax, jax.numpy as jnp
from jax.test_util import check_grads
jax.config.update("jax_enable_x64", True)
def value(params):
    a = X
    for W, b in params:
        a = jnp.tanh(a @ W + b)
    return jnp.mean(jnp.sum((a - T) ** 2, axis=1))
check_grads(value, (params,), order=1, modes=["rev"])
"""
TORCH = """
import torch
tensors = [torch.tensor(array, requires_grad=True) for layer in params for array in layer]
def value(*tensors):
    a = torch.tensor(X)
    for W, b in zip(tensors[::2], tensors[1::2]):
        a = torch.tanh(a @ W + b)
    return ((a - torch.tensor(T)) ** 2).sum(dim=1).mean()
assert torch.autograd.gradcheck(value, tensors)
"""
AUTOGRAD = """
import torch
from functional_mlp import oracle
class Softplus(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z):
        ctx.save_for_backward(z)
        return torch.nn.functional.softplus(z)
    @staticmethod
    def backward(ctx, ct):
        [z] = ctx.saved_tensors
        return ct * torch.sigmoid(z)
print(oracle.check_autograd_function(Softplus, "softplus").text())
"""


def programs(folder: Path) -> dict[str, list[str]]:
    """The command of every question, by its name."""

    def python(text: str) -> list[str]:
        return [sys.executable, "-c", text]

    found = {
        "import functional_mlp": python("import functional_mlp"),
        "check, right": python(NUMPY + ORACLE + CHECK.format("")),
        "check, wrong and named": python(NUMPY + ORACLE + CHECK.format(", False")),
        "check_function": python(NUMPY + ORACLE + "print(oracle.check_function(gradients, network, loss).text())"),
        "jax.test_util.check_grads": python(NUMPY + JAX),
    }
    compiler, command = shutil.which("cc"), str(Path(sys.executable).with_name("functional-mlp"))
    if compiler is not None:
        program = str(folder / "mlp")
        subprocess.run([compiler, "-O2", str(ROOT / "examples/c/main.c"), "-o", program, "-lm"], check=True)
        declared = ["--sizes", "2,4,3,1", "--activations", "tanh", "--loss", "squared_error"]
        found["drive, a C program, 5 cases"] = [command, "drive", *declared, "--cases", "5", "--", program]
        found["drive, no network declared"] = [command, "drive", "--", program]
    if importlib.util.find_spec("torch") is not None:
        found["check_autograd_function"] = python(AUTOGRAD)
        found["torch.autograd.gradcheck"] = python(NUMPY + TORCH)
    return found


def measured(commands: dict[str, list[str]], rounds: int, folder: Path) -> dict[str, tuple[float, float]]:
    """Seconds of every command with an empty place for compiled programs, and with a filled one: medians."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for number in range(rounds):
        for name, command in list(commands.items())[:: -1 if number % 2 else 1]:
            place = folder / f"{number} {name}".replace(" ", "-")
            environment = os.environ | {"XDG_CACHE_HOME": str(place)}
            environment.pop("JAX_COMPILATION_CACHE_DIR", None)
            empty, filled = (seconds_of(partial(_run, command, environment)) for _ in range(2))
            seconds[name].append((empty, filled))
            shutil.rmtree(place, ignore_errors=True)
    return {name: tuple(np.median(pairs, axis=0)) for name, pairs in seconds.items()}


def _run(command: Sequence[str], environment: dict[str, str]) -> None:
    """Runs it; a verdict of wrong is an answer too."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or (done.returncode == 1 and "Traceback" in done.stderr):
        raise SystemExit(f"{' '.join(command[:3])[:200]} ended with {done.returncode}: {done.stderr[-1000:]}")


def main() -> None:
    """The command."""
    parser: argparse.ArgumentParser = Parser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=positive, default=5, help="of which the medians are taken")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        found = measured(programs(folder), options.rounds, folder)
    rows = [[name, f"{empty:.2f}", f"{filled:.2f}"] for name, (empty, filled) in found.items()]
    print(text_table(["question, in a fresh process", "empty, s", "filled, s"], rows))


if __name__ == "__main__":
    main()
