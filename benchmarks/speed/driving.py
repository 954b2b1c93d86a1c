"""How many small cases `drive` judges per second: as a stream, and with a process for each case, one or two at a time.

The program computes in plain Python without any library, so that its start and its arithmetic cost little. A first,
uncounted run compiles what judging needs. In a stream every case is put twice, and counted once.

    python -m benchmarks.speed.driving
"""

import argparse
import sys
import time
from typing import Any

from functional_mlp import oracle
from functional_mlp.experiments import Parser, positive, text_table
from tools.stress.fault_injection import LOSS, NETWORK, PROGRAM

COMMAND = [sys.executable, "-S", "-I", str(PROGRAM), "right", "0", ""]
WAYS: dict[str, dict[str, Any]] = {
    "--stream": {"stream": True},
    "one process per case": {},
    "one process per case, --jobs 2": {"jobs": 2},
}


def rate(cases: int, how: dict[str, Any]) -> float:
    """Cases per second, all of which must be consistent."""
    start = time.perf_counter()
    report = oracle.drive(COMMAND, NETWORK, LOSS, cases=cases, seed=1, **how)
    seconds = time.perf_counter() - start
    if report.verdict != "consistent":
        raise SystemExit(report.text())
    return cases / seconds


def main() -> None:
    """The command."""
    parser: argparse.ArgumentParser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=positive, default=300, help="in each run")
    options = parser.parse_args()
    oracle.drive(COMMAND, NETWORK, LOSS, cases=8)
    rows = [[way, f"{rate(options.cases, how):.0f}"] for way, how in WAYS.items()]
    print(text_table(["small cases, 2-3-2", "judged per second"], rows))


if __name__ == "__main__":
    main()
