"""The process of one competitor at one workload: does what it is asked, one line of JSON per request and answer.

    {"ask": "check", "to": FILE}         solves what is checked, writes its leaves as an NPZ file
                                         -> {"set_up": seconds}
    {"ask": "prepare", "seconds": S}     chooses how much to do at once, so that it takes S seconds or more
                                         -> {"set_up": seconds, "units": per run, "facts": {…}}
    {"ask": "time"}                      does that once -> {"seconds": …}

Setting up is everything but imports: models, compilation, and the first call. A failure is {"error": "one sentence"}.
The process ends with its standard input. What libraries print goes to standard error, so that nothing comes between the
answers.
"""

import json
import math
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.speed.competitors import COMPETITORS, Competitor, Runner
from benchmarks.speed.suite.problems import Problem, Training
from benchmarks.speed.suite.workloads import selected

LONGEST = 2.0  # seconds of one epoch, above which the problem is cut down
TRIES = 4
PROCESSES = ("process", "first call")  # these kinds are timed one by one


class Worker:
    """The competitor, the problem, and what has been prepared."""

    def __init__(self, competitor: Competitor, problem: Problem) -> None:
        self.competitor = competitor
        self.problem = problem
        self.per_update = 0.0  # seconds, as far as the check has shown; of all networks
        self.runner: Runner | None = None
        self.repetitions = 1

    def check(self, to: str) -> dict[str, Any]:
        """Solves what is checked; a training twice, as only the second call tells how long it takes."""
        checked = self.problem.checked()
        if checked is None or self.competitor.yardstick:
            return {"set_up": None}
        problem, repetitions = checked
        runner, result, set_up = set_up_by(self.competitor, problem, repetitions)
        np.savez(to, **dict(runner.leaves(result)))  # type: ignore[arg-type]
        if isinstance(problem, Training):
            self.per_update = timed(runner, repetitions) / (repetitions * problem.updates)
        return {"set_up": set_up}

    def prepare(self, seconds: float) -> dict[str, Any]:
        """Builds what is timed, and finds the number of repetitions that takes at least `seconds`."""
        self.runner, _, set_up = set_up_by(self.competitor, self.fitting(seconds), 1)
        for _ in range(0 if self.problem.kind in PROCESSES else TRIES):
            taken = timed(self.runner, self.repetitions)
            if taken >= seconds:
                break
            self.repetitions = math.ceil(self.repetitions * min(100, 1.2 * seconds / taken))
            timed(self.runner, self.repetitions)  # another number of epochs may be another program
        facts = {"repetitions": self.repetitions} | dict(self.runner.facts)
        return {"set_up": set_up, "units": self.repetitions * self.runner.units, "facts": facts}

    def fitting(self, seconds: float) -> Problem:
        """The problem, with a shorter epoch if a whole one would take more than `LONGEST`."""
        if not isinstance(self.problem, Training) or self.per_update * self.problem.updates <= LONGEST:
            return self.problem
        return self.problem.shortened(math.ceil(seconds / self.per_update))

    def time(self) -> dict[str, Any]:
        """Does it once."""
        if self.runner is None:
            raise ValueError("expected to be asked to prepare first, got 'time'")
        return {"seconds": timed(self.runner, self.repetitions)}


def set_up_by(competitor: Competitor, problem: Problem, repetitions: int) -> tuple[Runner, Any, float]:
    """A runner, what its first call gives, and the seconds of both, imports left out."""
    build = competitor.builder(problem.kind)
    start = time.perf_counter()
    runner = build(problem)
    result = runner.run(repetitions)
    return runner, result, time.perf_counter() - start


def timed(runner: Runner, repetitions: int) -> float:
    """Seconds of so many repetitions."""
    start = time.perf_counter()
    result = runner.run(repetitions)
    return time.perf_counter() - start if runner.seconds is None else runner.seconds(result)


def answer(worker: Worker, request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request; an exception becomes one sentence."""
    answers: dict[str, Callable[..., dict[str, Any]]] = {
        "check": worker.check,
        "prepare": worker.prepare,
        "time": worker.time,
    }
    try:
        return answers[request.pop("ask")](**request)
    except Exception as error:  # whatever a library raises: the others go on
        lines = str(error).strip().splitlines() or ["no message"]
        return {"error": f"{type(error).__name__}: {lines[0]}"}


def main(workload: str, competitor: str) -> None:
    """Answers until standard input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    (chosen,) = [known for known in COMPETITORS if known.name == competitor]
    worker = Worker(chosen, chosen.own(selected([workload])[0].problem()))
    for line in sys.stdin:
        print(json.dumps(answer(worker, json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
