"""Kills runs at random moments, resumes them, and compares what comes out with undisturbed runs, bit by bit.

    python -m tools.soak --kills 200 --seed 0

A run is a training or a sweep on two devices, in one process or two, saved after every chunk of epochs. One of its
processes is killed (SIGKILL) after a random time, which ends the other too; the run is begun again in the same
directory, by one process or two, and so on, until it has been left to end. Then the next begins. Told are the kills,
the epochs that were done twice, how long the other process took to end, and whether any result differs; the exit code
is 1 if one does.
"""

import argparse
import contextlib
import os
import random
import signal
import socket
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
from functional_mlp._processes import everyone
from functional_mlp._starting import Meeting, device_per_core, leave, meet

KINDS = ("training", "sweep")
NETWORK = fm.Network((2, 8, 1), ("tanh", "sigmoid"))
LOSS = fm.Loss("binary_cross_entropy", over_samples="mean")
EPOCHS, CHUNK, BATCH = 100, 10, 16
DEVICES = 2  # in all, so that sums over samples are rounded alike
LONGEST = 120  # seconds; a run takes some
STARTING = 2.0  # seconds in which Python and JAX start, and there is nothing to lose


class Outcome(NamedTuple):
    """What became of one run.

    Attributes:
        kills: how often it was killed.
        repeated: the largest number of epochs that had to be done again after a kill.
        lingered: the most seconds that a process took to end after the other was killed.
        same: whether its results are those of an undisturbed run.
    """

    kills: int
    repeated: int
    lingered: float
    same: bool


def run(kind: str, folder: Path, meeting: Meeting) -> str:
    """One run, or what is left of it; the digest of its results. Every epoch that it reaches is noted beside it."""
    device_per_core(DEVICES // (meeting.process_count or 1))
    if meeting.process_count != 1:
        meet(meeting)
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(64, 2)).astype(np.float32)
    targets = (inputs[:, :1] * inputs[:, 1:] > 0).astype(np.float32)
    common: dict[str, Any] = {"epochs": EPOCHS, "chunk_epochs": CHUNK, "batch_size": BATCH, "shuffle": True}
    common |= {"directory": folder, "save_every": 0.0, "devices": jax.devices()}
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(folder.with_suffix(".log").open("a")) if everyone().first else None

        def note(so_far: fm.TrainResult) -> None:
            if log is not None:
                print(int(so_far.state.epoch), file=log, flush=True)

        if kind == "training":
            params = fm.init_params(NETWORK, jax.random.key(0))
            settings = common | {"optimizer": optax.adam(0.01), "key": jax.random.key(1), "callback": note}
            result: Any = fm.train(NETWORK, LOSS, params, inputs, targets, **settings)
        else:
            keys = jax.random.split(jax.random.key(0), 12)
            settings = common | {"optimizer": optax.adam, "keys": keys, "runs_per_part": 6, "callback": note}
            result = fm.sweep(NETWORK, LOSS, inputs, targets, **settings)
        return digest(result.params, result.state.opt_state, result.history)


def started(kind: str, folder: Path, processes: int) -> list[subprocess.Popen[str]]:
    """`run`, in that many processes of their own; what they compile is kept beside the folder."""
    cache = {"JAX_ENABLE_COMPILATION_CACHE": "true", "JAX_COMPILATION_CACHE_DIR": str(folder.parent / "compiled")}
    cache |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tools.soak", "--run", kind, str(folder)]
    return [
        subprocess.Popen(
            [*command, str(port), str(processes), str(process)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | cache,
        )
        for process in range(processes)
    ]


def ended(processes: Sequence[subprocess.Popen[str]]) -> str | None:
    """The digest that an undisturbed run printed, or None if one of its processes was killed.

    Raises:
        RuntimeError: if it failed by itself, or went on without the process that was killed.
    """
    try:
        said = [process.communicate(timeout=LONGEST) for process in processes]
    except subprocess.TimeoutExpired as error:
        for process in processes:
            process.kill()
        raise RuntimeError(f"a run went on for {LONGEST} s") from error
    codes = [process.returncode for process in processes]
    if -signal.SIGKILL in codes:
        return None
    if any(codes):
        raise RuntimeError(f"a run failed by itself: {[errors.strip().splitlines()[-1:] for _, errors in said]}")
    return said[0][0].split()[-1]  # after what the collectives of the CPU say of themselves


def soak(kind: str, expected: str, longest: float, folder: Path, most: int, rng: random.Random) -> Outcome:
    """One run, killed again and again, at most so often.

    Args:
        kind: of the run.
        expected: the digest of an undisturbed one.
        longest: seconds that it takes when nothing disturbs it.
        folder: of the run.
        most: kills.
        rng: chooses the moments, the processes, and how many there are.
    """
    kills, repeated, lingered = 0, 0, 0.0
    log = folder.with_suffix(".log")
    while True:
        before = log.read_text().split() if log.exists() else []
        processes = started(kind, folder, rng.choice([1, 2]))
        killed = time.monotonic()
        if kills < most:
            deadline = killed + rng.uniform(min(STARTING, longest / 2), longest)
            while all(process.poll() is None for process in processes) and time.monotonic() < deadline:
                time.sleep(0.005)
            rng.choice(processes).kill()
            killed = time.monotonic()
        found = ended(processes)
        if found is None:
            lingered = max(lingered, time.monotonic() - killed)
        after = (log.read_text().split() if log.exists() else [])[len(before) :]
        if before and after:
            repeated = max(repeated, _repeated(int(before[-1]), int(after[0])))
        if found is not None:
            return Outcome(kills, repeated, lingered, found == expected)
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
    made.add_argument("--run", nargs=5, help=argparse.SUPPRESS)
    return made


def main(options: Sequence[str] | None = None) -> int:
    """Exit code 0 if every run ended as an undisturbed one, 1 if one did not."""
    arguments = parser().parse_args(options)
    if arguments.run:
        kind, place, port, count, process = arguments.run
        try:
            print(run(kind, Path(place), Meeting(f"127.0.0.1:{port}", int(count), int(process), timeout=10)))
        except OSError as error:
            print(error, file=sys.stderr)
            return leave(2)
        return 0
    rng, left, failures = random.Random(arguments.seed), arguments.kills, 0
    with tempfile.TemporaryDirectory() as temporary:
        undisturbed = {}
        for kind in KINDS:
            start = time.monotonic()
            digest = ended(started(kind, Path(temporary, f"{kind}-undisturbed"), 1))
            undisturbed[kind] = (digest, time.monotonic() - start)
        number = 0
        while left > 0:
            kind = KINDS[number % len(KINDS)]
            folder = Path(temporary, f"{kind}-{number}")
            outcome = soak(kind, *undisturbed[kind], folder, min(left, 8), rng)  # type: ignore[arg-type]
            left, number = left - outcome.kills, number + 1
            failures += not outcome.same
            said = "the same bits" if outcome.same else "OTHER RESULTS"
            again = f"at most {outcome.repeated} epochs done again, {outcome.lingered:.1f} s to end"
            print(f"{kind}: {outcome.kills} kills, {again}, {said}", flush=True)
    print(f"{arguments.kills} kills in {number} runs, saved every {CHUNK} epochs: {failures} with other results")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
