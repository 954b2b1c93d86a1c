"""Kills runs at random moments, resumes them, and compares what comes out with undisturbed runs, bit by bit.

    python -m tools.stress.soak --kills 200 --seed 0

A run is a training or a sweep on two devices, in one process or two, saved after every chunk of epochs. One of its
processes is killed (SIGKILL) after a random time, which ends the other too; the run is begun again in the same
directory, by one process or two, and so on, until it has been left to end. Then the next begins. Told are the kills,
the epochs that were done again, how long the other process took to end, and whether any result differs; the exit code
is 1 if one does, or more epochs were done again than lie between two checkpoints.
"""

import argparse
import contextlib
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

import functional_mlp as fm
from functional_mlp.experiments import Parser, positive
from functional_mlp.parallel import Meeting, device_per_core, everyone, free_port, keep_compiled, leave, meet
from functional_mlp.saving import digest

KINDS = ("training", "sweep")
NETWORK = fm.Network((2, 8, 1), ("tanh", "sigmoid"))
LOSS = fm.Loss("binary_cross_entropy", over_samples="mean")
EPOCHS, CHUNK, BATCH = 100, 10, 16
DEVICES = 2  # in all, so that sums over samples are rounded alike
LONGEST = 120  # seconds; a run takes some
MOST = 8  # kills of one run
IMPORTED = (
    "functional_mlp.experiments.common",
    "functional_mlp.sweeps",
    "functional_mlp.training",
    "optax",
    "orbax.checkpoint",
)


class Undisturbed(NamedTuple):
    """A run that nobody killed.

    Attributes:
        results: their digest.
        seconds: from its start to its end.
        working: seconds of them after the first epochs, in which there is something to lose.
    """

    results: str
    seconds: float
    working: float


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
        log = stack.enter_context(_beside(folder, ".log").open("a")) if everyone().first else None

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


def process(kind: str, folder: Path, meeting: Meeting) -> None:
    """`run` in a process of its own; its results' digest, and what it says, are written beside the folder."""
    output = os.open(_beside(folder, f".{meeting.process_id}.txt"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(output, stream.fileno())
    keep_compiled(folder.parent / "compiled")
    try:
        results = run(kind, folder, meeting)
    except OSError as error:
        print(error, file=sys.stderr)
        leave(2)
        raise SystemExit(2) from error
    if meeting.process_id == 0:
        _beside(folder, ".digest").write_text(results)
    if jax.distributed.is_initialized():
        jax.distributed.shutdown()  # a forked process ends without what JAX does at the end of others


def started(kind: str, folder: Path, count: int) -> list[BaseProcess]:
    """That many processes that compute one run, forked from one that has imported what takes long."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    coordinator = f"127.0.0.1:{free_port()}"
    meetings = [Meeting(coordinator, count, number, timeout=10) for number in range(count)]
    processes: list[BaseProcess] = [
        context.Process(target=process, args=(kind, folder, meeting)) for meeting in meetings
    ]
    for each in processes:
        each.start()
    return processes


def ended(processes: Sequence[BaseProcess], folder: Path) -> str | None:
    """The digest of the results of a run that was left to end, or None if one of its processes was killed.

    Raises:
        RuntimeError: if it failed by itself, or went on without the process that was killed.
    """
    end = time.monotonic() + LONGEST
    for each in processes:
        each.join(max(0.0, end - time.monotonic()))
    if any(each.is_alive() for each in processes):
        for each in processes:
            each.kill()
        raise RuntimeError(f"a run went on for {LONGEST} s")
    codes = [each.exitcode for each in processes]
    if -signal.SIGKILL in codes:
        return None
    if any(codes):
        last_lines = [
            _beside(folder, f".{number}.txt").read_text().splitlines()[-1:] for number in range(len(processes))
        ]
        raise RuntimeError(f"a run failed by itself: {last_lines}")
    return _beside(folder, ".digest").read_text()


def undisturbed(kind: str, folder: Path) -> Undisturbed:
    """A run of one process that nobody kills, when what it compiles has been compiled before.

    Raises:
        RuntimeError: if it fails, or its results are not those of the run that compiled.
    """
    first = ended(started(kind, folder, 1), folder)
    folder = _beside(folder, "-again")
    begun = time.monotonic()
    processes = started(kind, folder, 1)
    _wait(processes, time.monotonic() + LONGEST, folder, 0)
    working = time.monotonic()
    results = ended(processes, folder)
    end = time.monotonic()
    if results is None or results != first:
        raise RuntimeError(f"expected two undisturbed runs to give the same results, got {first} and {results}")
    return Undisturbed(results, end - begun, end - working)


def soak(kind: str, expected: Undisturbed, folder: Path, most: int, rng: random.Random) -> Outcome:
    """One run, killed again and again, at most so often.

    Half of the kills come at any moment of the run, the others after its first epochs.

    Args:
        kind: of the run.
        expected: what becomes of it when nothing disturbs it.
        folder: of the run.
        most: kills.
        rng: chooses the moments, the processes, and how many there are.
    """
    kills, repeated, lingered = 0, 0, 0.0
    while True:
        before = _epochs(folder)
        processes = started(kind, folder, rng.choice([1, 2]))
        killed = time.monotonic()
        if kills < most:
            if rng.random() < 0.5:
                deadline = killed + rng.uniform(0, expected.seconds)
            else:
                _wait(processes, killed + LONGEST, folder, len(before))
                deadline = time.monotonic() + rng.uniform(0, expected.working)
            _wait(processes, deadline)
            rng.choice(processes).kill()
            killed = time.monotonic()
        found = ended(processes, folder)
        if found is None:
            lingered = max(lingered, time.monotonic() - killed)
        after = _epochs(folder)[len(before) :]
        if before and after:
            repeated = max(repeated, _repeated(before[-1], after[0]))
        if found is not None:
            return Outcome(kills, repeated, lingered, found == expected.results)
        kills += 1


def _wait(processes: Sequence[BaseProcess], until: float, folder: Path | None = None, epochs: int = 0) -> None:
    """Until that moment, or one of the processes has ended, or more than that many notes of epochs are there."""
    while time.monotonic() < until and all(each.is_alive() for each in processes):
        if folder is not None and len(_epochs(folder)) > epochs:
            return
        time.sleep(0.005)


def _beside(folder: Path, suffix: str) -> Path:
    return folder.with_name(folder.name + suffix)


def _epochs(folder: Path) -> list[int]:
    """The epochs that a run has noted so far."""
    log = _beside(folder, ".log")
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def _repeated(reached: int, first: int) -> int:
    """Epochs done again: `reached` was noted last before a kill, and `first` first after it."""
    next_part = reached == EPOCHS and first == CHUNK  # of a sweep
    return 0 if next_part else reached - first + CHUNK


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = Parser(prog="python -m tools.stress.soak", description=(__doc__ or "").partition("\n")[0])
    made.add_argument("--kills", type=positive, default=200, help="in all (default: %(default)s)")
    made.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    return made


def main(options: Sequence[str] | None = None) -> int:
    """Exit code 0 if every run ended as an undisturbed one and repeated no more than it may, 1 if one did not."""
    arguments = parser().parse_args(options)
    rng, left, failures = random.Random(arguments.seed), arguments.kills, 0
    with tempfile.TemporaryDirectory() as temporary:
        expected: dict[str, Undisturbed] = {}
        number = 0
        while left > 0:
            kind = KINDS[number % len(KINDS)]
            if kind not in expected:
                expected[kind] = undisturbed(kind, Path(temporary, f"{kind}-undisturbed"))
            folder = Path(temporary, f"{kind}-{number}")
            outcome = soak(kind, expected[kind], folder, min(left, MOST), rng)
            left, number = left - outcome.kills, number + 1
            failures += not outcome.same or outcome.repeated > CHUNK
            result = "the same bits" if outcome.same else "OTHER RESULTS"
            again = f"at most {outcome.repeated} epochs done again, {outcome.lingered:.1f} s to end"
            print(f"{kind}: {outcome.kills} kills, {again}, {result}", flush=True)
    print(f"{arguments.kills} kills in {number} runs, saved every {CHUNK} epochs: {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
