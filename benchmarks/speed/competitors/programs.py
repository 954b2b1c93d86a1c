"""The moons experiment as whole processes, import, data, training, evaluation and files included.

Each writes into a fresh folder. What an experiment keeps for later processes (compiled programs) is in a folder that is
empty at first: so the first run compiles, and later ones need not.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compiler import new_folder
from benchmarks.speed.competitors import Runner
from benchmarks.speed.suite.problems import Program

CACHE = "JAX_COMPILATION_CACHE_DIR"
ENABLED = "JAX_ENABLE_COMPILATION_CACHE"


def ours(problem: Program) -> Runner:
    """`python -m experiments.moons --no-plots`."""
    return _runner(["experiments.moons", "--no-plots"], problem)


def numpy_reference(problem: Program) -> Runner:
    """`python -m functional_mlp.experiments.published.moons`."""
    return _runner(["functional_mlp.experiments.published.moons"], problem)


def _runner(program: list[str], problem: Program) -> Runner:
    environment = os.environ | {"XDG_CACHE_HOME": str(new_folder()), ENABLED: "true"}
    environment.pop(CACHE, None)  # where it is set, an experiment keeps nothing in its own place
    command = [sys.executable, "-m", *program, "--variant", "corrected", "--epochs", str(problem.epochs)]

    return Runner(
        lambda times: _finished(command, environment),
        lambda summary: {"train_mse": np.atleast_1d(summary["train_mse"])},
        1,
    )


def _finished(command: list[str], environment: dict[str, str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="functional-mlp-") as directory:
        out = Path(directory, "run")
        output_of([*command, "--out", str(out)], environment)
        summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
        return summary


def output_of(command: list[str], environment: dict[str, str]) -> str:
    """Runs a program once; returns what it printed.

    Raises:
        RuntimeError: if it fails, with the last line that it said.
    """
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(f"{' '.join(command[1:])}: {lines[-1]}")
    return done.stdout
