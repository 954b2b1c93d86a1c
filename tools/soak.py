"""Kills runs at random moments, resumes them, and compares what comes out with undisturbed runs, bit by bit.

    python -m tools.soak --kills 200 --seed 0

A run is a training or a sweep in a process of its own, saved after every chunk of epochs. It is killed (SIGKILL) after
a random time, begun again in the same directory, killed again, until it has been left to end. Then the next begins.
Told are the kills, the epochs that were done twice, and whether any result differs; the exit code is 1 if one does.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

import functional_mlp as fm
from experiments._common import Parser, positive
from functional_mlp._plan import digest

KINDS = ("training", "sweep")
NETWORK = fm.Network((2, 8, 1), ("tanh", "sigmoid"))
LOSS = fm.Loss("binary_cross_entropy", over_samples="mean")
EPOCHS, CHUNK, BATCH = 400, 10, 16


class Outcome(NamedTuple):
    """What became of one run.

    Attributes:
        kills: how often it was killed.
        repeated: the largest number of epochs that had to be done again after a kill.
        same: whether its results are those of an undisturbed run.
    """

    kills: int
    repeated: int
    same: bool


def run(kind: str, folder: Path) -> str:
    """One run, or what is left of it; the digest of its results. Every epoch that it reaches is noted beside it."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(64, 2)).astype(np.float32)
    targets = (inputs[:, :1] * inputs[:, 1:] > 0).astype(np.float32)
    common: dict[str, Any] = {"epochs": EPOCHS, "chunk_epochs": CHUNK, "batch_size": BATCH, "shuffle": True}
    common |= {"directory": folder, "save_every": 0.0}
    with folder.with_suffix(".log").open("a") as log:

        def note(so_far: fm.TrainResult) -> None:
            print(int(so_far.state.epoch), file=log, flush=True)

        if kind == "training":
            params = fm.init_params(NETWORK, jax.random.key(0))
            settings = common | {"optimizer": optax.adam(0.01), "key": jax.random.key(1), "callback": note}
            result: Any = fm.train(NETWORK, LOSS, params, inputs, targets, **settings)
        else:
            keys = jax.random.split(jax.random.key(0), 12)
            settings = common | {"optimizer": optax.adam, "keys": keys, "runs_per_part": 4, "callback": note}
            result = fm.sweep(NETWORK, LOSS, inputs, targets, **settings)
    return digest(result.params, result.state.opt_state, result.history)


def started(kind: str, folder: Path) -> subprocess.Popen[str]:
    """`run` in a process of its own."""
    command = [sys.executable, "-m", "tools.soak", "--run", kind, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> str | None:
    """The digest that an undisturbed process printed, or None if it was killed.

    Raises:
        RuntimeError: if it failed by itself.
    """
    printed, errors = process.communicate()
    if process.returncode not in (0, -9):
        raise RuntimeError(f"a run failed by itself: {errors.strip().splitlines()[-1:]}")
    return printed.strip() or None


def soak(kind: str, expected: str, longest: float, folder: Path, most: int, rng: random.Random) -> Outcome:
    """One run, killed again and again, at most so often.

    Args:
        kind: of the run.
        expected: the digest of an undisturbed one.
        longest: seconds that it takes when nothing disturbs it.
        folder: of the run.
        most: kills.
        rng: chooses the moments.
    """
    kills, repeated = 0, 0
    log = folder.with_suffix(".log")
    while True:
        before = log.read_text().split() if log.exists() else []
        process = started(kind, folder)
        if kills < most:
            deadline = time.monotonic() + rng.uniform(0, longest)
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
            process.kill()
        found = ended(process)
        after = (log.read_text().split() if log.exists() else [])[len(before) :]
        if before and after:
            repeated = max(repeated, _repeated(int(before[-1]), int(after[0])))
        if found is not None:
            return Outcome(kills, repeated, found == expected)
        kills += 1


def _repeated(reached: int, first: int) -> int:
    """Epochs done again: `reached` was noted last before a kill, and `first` first after it."""
    next_part = reached == EPOCHS and first == CHUNK  # of a sweep
    return 0 if next_part else reached - first + CHUNK


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = Parser(prog="python -m tools.soak", description=(__doc__ or "").partition("\n")[0])
    made.add_argument("--kills", type=positive, default=200, help="in all (default: %(default)s)")
    made.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    made.add_argument("--run", nargs=2, metavar=("KIND", "FOLDER"), help=argparse.SUPPRESS)
    return made


def main(options: Sequence[str] | None = None) -> int:
    """Exit code 0 if every run ended as an undisturbed one, 1 if one did not."""
    arguments = parser().parse_args(options)
    if arguments.run:
        print(run(arguments.run[0], Path(arguments.run[1])))
        return 0
    rng, left, failures = random.Random(arguments.seed), arguments.kills, 0
    with tempfile.TemporaryDirectory() as temporary:
        undisturbed = {}
        for kind in KINDS:
            start = time.monotonic()
            digest = ended(started(kind, Path(temporary, f"{kind}-undisturbed")))
            undisturbed[kind] = (digest, time.monotonic() - start)
        number = 0
        while left > 0:
            kind = KINDS[number % len(KINDS)]
            folder = Path(temporary, f"{kind}-{number}")
            outcome = soak(kind, *undisturbed[kind], folder, min(left, 8), rng)  # type: ignore[arg-type]
            left, number = left - outcome.kills, number + 1
            failures += not outcome.same
            said = "the same bits" if outcome.same else "OTHER RESULTS"
            print(f"{kind}: {outcome.kills} kills, at most {outcome.repeated} epochs done again, {said}", flush=True)
    print(f"{arguments.kills} kills in {number} runs, saved every {CHUNK} epochs: {failures} with other results")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
