"""Seconds of whole processes: `experiments.moons --no-plots` beside the NumPy reference doing the same work.

Both start Python, import, make the data, train on it one sample at a time from the same initial values, evaluate every
ten epochs and write their files. They run in turn, one at a time, so that what else the machine does falls on both. The
ratio is only as good as the machine is quiet; no absolute time is claimed.

    python -m benchmarks.moons --epochs 1000 --repeats 3
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from experiments._common import Parser, one_of, positive, text_table

VARIANTS = ("published", "corrected")
PROGRAMS = {"NumPy reference": ("reference.moons",), "functional_mlp": ("experiments.moons", "--no-plots")}


def measure(program: tuple[str, ...], options: list[str]) -> tuple[float, float]:
    """Runs a program once in a process of its own; returns its seconds and its training error at the end.

    Raises:
        RuntimeError: if it fails, with what it said.
    """
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory, "run")
        command = [sys.executable, "-m", *program, *options, "--out", str(out)]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        if done.returncode != 0:
            raise RuntimeError(f"python -m {program[0]} failed: {done.stderr.strip()}")
        return seconds, json.loads((out / "summary.json").read_text())["train_mse"]


def compare(options: list[str], repeats: int) -> str:
    """Runs the programs in turn, `repeats` times each, telling of each run; returns the table of medians."""
    seconds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    errors = {}
    for _ in range(repeats):
        for name, program in PROGRAMS.items():
            taken, errors[name] = measure(program, options)
            seconds[name].append(taken)
            print(f"{name}: {taken:.2f} s", file=sys.stderr, flush=True)
    medians = {name: float(np.median(taken)) for name, taken in seconds.items()}
    slowest = medians["NumPy reference"]
    rows = [
        (name, f"{median:.2f}", f"{min(seconds[name]):.2f}", f"{slowest / median:.1f}", f"{errors[name]:.6f}")
        for name, median in medians.items()
    ]
    return text_table(("whole process", "seconds (median)", "fastest", "times as fast", "training MSE"), rows)


def main() -> int:
    """The command line."""
    parser = Parser(prog="python -m benchmarks.moons", description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=positive, default=1000, help="default: %(default)s")
    parser.add_argument("--repeats", type=positive, default=2, help="runs of each program (default: %(default)s)")
    parser.add_argument("--variant", default="corrected", help="default: %(default)s", **one_of("variant", VARIANTS))
    arguments = parser.parse_args()
    print(f"moons, {arguments.variant}, {arguments.epochs} epochs, {arguments.repeats} runs each, in turn")
    print(compare(["--variant", arguments.variant, "--epochs", str(arguments.epochs)], arguments.repeats))
    return 0


if __name__ == "__main__":
    sys.exit(main())
