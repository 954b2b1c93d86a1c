"""Seconds of programs that run in turn, round after round, so that what else the machine does falls on all alike."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def in_turn(programs: Sequence[Callable[[], Any]], rounds: int) -> np.ndarray:
    """Runs each program once to warm up, then all of them in turn, back and forth; seconds (rounds, programs)."""
    for run in programs:
        run()
    seconds = np.empty((rounds, len(programs)))
    for number in range(rounds):  # whatever one leaves to the next, it leaves in half of the rounds to the one before
        for index in range(len(programs))[:: -1 if number % 2 else 1]:
            seconds[number, index] = seconds_of(programs[index])
    return seconds


def seconds_of(run: Callable[[], Any]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
