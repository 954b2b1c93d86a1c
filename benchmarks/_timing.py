"""Seconds of programs that run in turn, round after round, so that what else the machine does falls on all alike."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def in_turn(programs: Sequence[Callable[[], Any]], rounds: int) -> np.ndarray:
    """Runs each program once to warm up, then all of them in turn; seconds (rounds, programs)."""
    for run in programs:
        run()
    return np.array([[_seconds(run) for run in programs] for _ in range(rounds)])


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
