"""The error rates of the oracle and of its peers: how often is right called wrong, and how often is wrong noticed?

    python -m benchmarks.verdicts                  # everything, about an hour on 2 cores
    python -m benchmarks.verdicts --quick          # a few cases of each kind
    python -m benchmarks.verdicts -o docs/verdicts.md

*False alarms*: correct implementations (`_implementations.py`) on random cases (`_cases.py`). *Detection*: every
mistake of the catalogue planted at every place where it applies, in random small cases. The peers (`_peers.py`) are
asked the same questions. Every number comes from seeds: two runs on one machine print the same tables.
"""

import argparse
import multiprocessing
import os
import sys
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks._verdict_tables import page
from benchmarks._verdict_trials import correct_trial, kink_trial, planted_trial
from experiments._common import Parser, positive


def tasks(arguments: argparse.Namespace) -> list[Any]:
    """Every trial, as a function of nothing that returns a list of rows; the long ones first."""
    planted = [partial(planted_trial, seed) for seed in range(arguments.planted)]
    correct = [partial(correct_trial, seed) for seed in range(arguments.cases)]
    kinks = [partial(kink_trial, seed) for seed in range(arguments.kinks)]
    return [*planted, *correct, *kinks]


def rows_of(work: list[Any], jobs: int) -> Iterator[list[Any]]:
    """The rows of every trial, in the order of the trials, computed by so many processes."""
    # a process ends after some trials, and with it what JAX keeps of every program that it compiled
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=20) as pool:
        results = pool.imap(_called, work)
        yield from tqdm(results, total=len(work), file=sys.stderr, unit="trial")


def _called(task: Any) -> list[Any]:
    return task()


def main() -> int:
    """Runs the trials and prints the tables as Markdown."""
    parser = Parser(prog="python -m benchmarks.verdicts", description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=positive, default=44, help="random networks for the false alarms")
    parser.add_argument("--planted", type=positive, default=150, help="random cases for planted mistakes")
    parser.add_argument("--kinks", type=positive, default=12, help="random cases with units at a kink")
    parser.add_argument("--jobs", type=positive, default=2, help="processes")
    parser.add_argument("--quick", action="store_true", help="2 cases of each kind")
    parser.add_argument("-o", "--output", type=Path, help="write the page here instead of printing it")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.cases = arguments.planted = arguments.kinks = 2
    warnings.simplefilter("ignore")
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):  # as many processes as cores: one thread each
        os.environ.setdefault(name, "1")
    text = page([row for rows in rows_of(tasks(arguments), arguments.jobs) for row in rows])
    if arguments.output is None:
        print(text, end="")
    else:
        arguments.output.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
