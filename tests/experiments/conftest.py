"""What the tests of the experiments share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from functional_mlp.experiments import activations, calculus, circles, himmelblau, moons, three_phase
from functional_mlp.experiments.common import run_program

PROGRAMS = {
    "activations": activations,
    "calculus": calculus,
    "circles": circles,
    "himmelblau": himmelblau,
    "moons": moons,
    "three_phase": three_phase,
}
Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs an experiment as its command line would: run("moons", "--epochs", "3", out=...)."""

    def run(name: str, *options: str, out: Path) -> int:
        monkeypatch.setattr(sys, "argv", [name, *options, "--out", str(out)])
        return run_program(PROGRAMS[name].parser(), PROGRAMS[name].run)

    return run
