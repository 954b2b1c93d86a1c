"""Running many trials in several processes, kept in a file as they end, so that an interrupted run goes on."""

import argparse
import hashlib
import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from functional_mlp.experiments import Parser, positive
from functional_mlp.files import write_bytes

ROOT = Path(__file__).parents[2]
Trial = Callable[[], list[Any]]  # its rows, NamedTuples; to be sent to another process


class ForeignRowsError(ValueError):
    """A file holds rows of other code."""


class Trials:
    """Processes for trials, and what is known of them.

    Args:
        pool: the processes.
        kinds: the types of rows.
        kept: a file with a line per trial, which is read first and then added to; or None.

    Raises:
        ForeignRowsError: if the file is of other code.
    """

    def __init__(self, pool: Any, kinds: tuple[type, ...], kept: Path | None) -> None:
        self.pool, self.kept = pool, kept
        self.known: dict[str, list[Any]] = {}
        if kept is None:
            return
        head = json.dumps({"code": _digest()}) + "\n"
        lines = kept.read_text().splitlines(keepends=True) if kept.exists() else [head]
        if lines[:1] != [head]:
            raise ForeignRowsError(f"expected {kept} to hold rows of this very code; name another file, or remove it")
        lines = [line for line in lines if line.endswith("\n")]  # the last one may have been cut off
        write_bytes(kept, "".join(lines).encode())
        of = {kind.__name__: kind for kind in kinds}
        for name, rows in map(json.loads, lines[1:]):
            self.known[name] = [of[kind](*values) for kind, *values in rows]

    def run(self, trials: Mapping[str, Trial]) -> dict[str, list[Any]]:
        """The rows of every trial, by name, in the order of the trials; those that are known are not run again."""
        todo = [(name, trial) for name, trial in trials.items() if name not in self.known]
        done = self.pool.imap_unordered(_rows_of, todo)
        for name, rows in tqdm(done, total=len(todo), file=sys.stderr, unit="trial", disable=not todo):
            self.known[name] = rows
            if self.kept is not None:
                line = json.dumps([name, [[type(row).__name__, *row] for row in rows]], default=_plain)
                with self.kept.open("a") as file:
                    file.write(line + "\n")
        return {name: self.known[name] for name in trials}


def _digest() -> str:
    """Of all code that the rows depend on."""
    sources = sorted(path for folder in ("functional_mlp", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def _rows_of(named: tuple[str, Trial]) -> tuple[str, list[Any]]:
    name, trial = named
    return name, trial()


def _plain(value: Any) -> Any:
    """A NumPy number as Python's."""
    return value.item()


def option_parser(prog: str, description: str) -> argparse.ArgumentParser:
    """The options of every measurement by trials."""
    made = Parser(prog=prog, description=description)
    made.add_argument("--jobs", type=positive, default=2, help="processes")
    made.add_argument("--quick", action="store_true", help="2 cases of each kind")
    made.add_argument("--rows", type=Path, help="keep the rows here, and go on from those that are there")
    made.add_argument("-o", "--output", "--page", type=Path, help="write the page here instead of printing it")
    return made


def measure(
    parser: argparse.ArgumentParser,
    arguments: argparse.Namespace,
    kinds: tuple[type, ...],
    page: Callable[[Trials], str],
    trials_of_a_process: int = 8,
) -> int:
    """Writes or prints the page that comes of trials in processes of one thread each; refuses foreign rows as usage."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    try:
        # a process ends after some trials, and with it what JAX keeps of every program that it traced
        with multiprocessing.get_context("spawn").Pool(arguments.jobs, maxtasksperchild=trials_of_a_process) as pool:
            text = page(Trials(pool, kinds, arguments.rows))
    except ForeignRowsError as error:
        parser.error(str(error))
    if arguments.output is None:
        print(text, end="")
    else:
        arguments.output.write_text(text)
    return 0
