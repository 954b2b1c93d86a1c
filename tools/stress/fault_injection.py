"""Faults injected into a program under `drive`: each must end in a clear outcome, and leave no process behind.

    python -m tools.stress.fault_injection --count 500

Every injection is a run over three cases of a program that fails in one of the ways of `faulty_program.py`, in all of
the cases or in one, started once per case or as a stream. It is well if the report says what happened, if the other
cases were judged as right, if no descendant is alive afterwards, and if memory stays below a gigabyte. Exits with 1
if anything was not.
"""

import argparse
import os
import random
import resource
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

import functional_mlp as fm
from functional_mlp import oracle

NETWORK = fm.Network((2, 3, 2), ("relu", "sigmoid"))
LOSS = fm.Loss("binary_cross_entropy")
PROGRAM = Path(__file__).with_name("faulty_program.py")
RUN = "FUNCTIONAL_MLP_FAULT_INJECTION"
CASES = ("several samples", "partial batch", "one sample")
TIMEOUT = 0.5
MOST_SECONDS, MOST_MEMORY = 60, 10**9  # of one injection, compilation included; of the run


class Mode(NamedTuple):
    """A way of failing.

    Attributes:
        expected: ids of findings of which one must be there, or words of a note; none if nothing is to be said.
        verdict: of the whole.
        named: the mistake that the diagnosis must name.
        when: "once", "stream" or "both": how the program may be started.
        every: whether it fails in every case.
    """

    expected: tuple[str, ...] = ()
    verdict: str = "wrong"
    named: str = ""
    when: str = "both"
    every: bool = False


MODES = {
    "right": Mode(verdict="consistent"),
    "wrong": Mode(),
    "transposed": Mode(named="weight-gradient-transposed", every=True),
    "killed": Mode(("exits",)),
    "killed-half-way": Mode(("exits",)),
    "exits": Mode(("exits",)),
    "answers-and-exits": Mode(("exits",), when="once"),
    "raises": Mode(("exits",)),
    "hangs": Mode(("timeout",)),
    "hangs-deaf": Mode(("timeout",)),
    "hangs-half-way": Mode(("timeout",)),
    "truncated": Mode(("garbage",)),
    "flood": Mode(("flood", "garbage")),
    "flood-of-errors": Mode(verdict="consistent"),
    "flood-of-nesting": Mode(("garbage",)),
    "leaves-a-child": Mode(("leaves processes behind",), "consistent", when="once"),
    "leaves-a-daemon": Mode(("leaves processes behind",), "consistent", when="once"),
    "leaves-many": Mode(("timeout",)),
    "closes-output": Mode(("timeout",)),
    "closes-everything": Mode(("silent", "ends")),
    "not-utf-8": Mode(("garbage",)),
    "other-name": Mode(("wrong-case",)),
    "other-case": Mode(("another-case",), when="stream"),
    "nothing": Mode(("silent", "ends")),
    "empty-line": Mode(("silent", "ends")),
    "garbage": Mode(("garbage",)),
    "chatty": Mode(("garbage",)),
    "wrong-stream": Mode(("wrong-stream",)),
    "decimal-commas": Mode(("decimal-commas",)),
    "nan": Mode(("nan and inf", "params[0].weights")),
    "huge-numbers": Mode(),
    "update": Mode(("garbage",)),
    "unknown-field": Mode(("garbage",)),
    "texts": Mode(("garbage",)),
    "missing-layer": Mode(),
    "blank-lines": Mode(verdict="consistent"),
    "byte-order-mark": Mode(verdict="consistent"),
    "long-number": Mode(("garbage",)),
    "unclosed-text": Mode(("garbage",)),
    "answers-once": Mode(("ends",), when="stream"),
    "twice": Mode(("garbage", "early")),
    "deaf": Mode(("garbage",), every=True),
    "kept-back": Mode(("kept-back",), when="stream", every=True),
}


class Injection(NamedTuple):
    """A mode, the seed of its details, the beginning of the names of the cases that fail, and how it is started."""

    mode: str
    seed: int
    only: str
    stream: bool


def injections(count: int, seed: int) -> Iterator[Injection]:
    """Every mode in turn, at random in the rest."""
    rng = random.Random(seed)
    names = list(MODES)
    for i in range(count):
        name = names[i % len(names)]
        mode = MODES[name]
        only = "" if mode.every or rng.random() < 0.5 else rng.choice(CASES[1:] if name == "other-case" else CASES)
        stream = rng.random() < 0.5 if mode.when == "both" else mode.when == "stream"
        yield Injection(name, rng.randrange(2**31), only, stream)


def injected(injection: Injection) -> str:
    """What is not well about one injection; "" if all is."""
    mode = MODES[injection.mode]
    command = [sys.executable, "-S", "-I", str(PROGRAM), injection.mode, str(injection.seed), injection.only]
    jobs = 1 if injection.stream else 1 + injection.seed % 3
    start = time.monotonic()
    try:
        report = oracle.drive(
            command, NETWORK, LOSS, cases=len(CASES), timeout=TIMEOUT, stream=injection.stream, jobs=jobs
        )
        report.text()
    except Exception as error:
        return f"raises {type(error).__name__}: {error}"
    if time.monotonic() - start > MOST_SECONDS:
        return f"takes {time.monotonic() - start:.0f} s"
    alive = [process.pid for process in survivors()]
    if alive:
        return f"leaves the processes {alive}"
    if report.verdict != mode.verdict:
        return f"is {report.verdict}, not {mode.verdict}"
    named = {finding.id for finding in report.findings} | {leaf.path for leaf in report.leaves if leaf.sentence}
    if mode.expected and not any(
        words in named or any(words in note for note in report.notes) for words in mode.expected
    ):
        return f"says {sorted(named)} and {report.notes}, none of {mode.expected}"
    if mode.named and mode.named not in {mistake.id for mistake in getattr(report.diagnosis, "mistakes", ())}:
        return f"does not name {mode.named}"
    right = {leaf.group for leaf in report.leaves if leaf.verdict == "consistent"}
    others = {name for name in CASES if not name.startswith(injection.only)} if injection.only else set()
    if not others <= right:
        return f"does not judge {others - right}"
    return ""


def survivors() -> list[psutil.Process]:
    """Descendants of this run that are alive."""
    found = []
    for process in psutil.process_iter():
        try:
            marked = process.environ().get(RUN) == os.environ[RUN] and process.pid != os.getpid()
            found += [process] if marked and process.status() != psutil.STATUS_ZOMBIE else []
        except (psutil.Error, OSError):
            continue
    return found


def peak_memory() -> int:
    """The most bytes that this process has had in memory."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ[RUN] = uuid.uuid4().hex
    counts: Counter[str] = Counter()
    bad = 0
    start = time.monotonic()
    for i, injection in enumerate(injections(options.count, options.seed)):
        wrong = injected(injection)
        counts[injection.mode] += 1
        bad += bool(wrong)
        if wrong:
            print(f"{i} {injection}: {wrong}", flush=True)
    memory = peak_memory()
    print(
        f"{options.count} faults of {len(counts)} kinds in {time.monotonic() - start:.0f} s: {options.count - bad}"
        f" clear outcomes, {len(survivors())} processes left, {memory / 2**20:.0f} MiB at most"
    )
    raise SystemExit(int(bad > 0 or bool(survivors()) or memory > MOST_MEMORY))


if __name__ == "__main__":
    main()
