"""The rounds: every competitor of a workload in turn, again and again, after its numbers have been checked."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from benchmarks.speed.competitors import Competitor
from benchmarks.speed.suite.agreement import Truth, find_truth, worst
from benchmarks.speed.suite.problems import Problem
from benchmarks.speed.suite.workers import CompetitorError, Process
from benchmarks.speed.suite.workloads import Workload

Say = Callable[[str], None]


class Settings(NamedTuple):
    """How to measure.

    Attributes:
        repeats: rounds.
        seconds: that each competitor is busy for when it is asked, at least.
        pause: seconds before each timing: the threads of some libraries wait busily for a tenth of a second for more.
        timeout: seconds after which it is given up.
    """

    repeats: int = 5
    seconds: float = 0.2
    pause: float = 0.15
    timeout: float = 900.0


class Outcome(NamedTuple):
    """What became of a competitor.

    Attributes:
        competitor: which.
        status: "measured", "not installed", "failed" or "disagrees".
        reason: one sentence, empty where it was measured.
        floors: its largest deviation from the reference, in noise floors; None where nothing is compared.
        set_up_checked: seconds of setting up and the first call of what is checked: compilation and about 100 updates.
        set_up_timed: the same of what is timed, later in the same process.
        units: updates, or what else is counted, of one timing.
        seconds: of every round; empty where it was not measured.
        facts: what it says about how it was run.
    """

    competitor: Competitor
    status: str = "measured"
    reason: str = ""
    floors: float | None = None
    set_up_checked: float | None = None
    set_up_timed: float | None = None
    units: int = 1
    seconds: tuple[float, ...] = ()
    facts: Mapping[str, Any] = MappingProxyType({})


def measure(workload: Workload, competitors: Sequence[Competitor], settings: Settings, say: Say) -> list[Outcome]:
    """Checks and times the competitors of one workload, each in a process of its own.

    Args:
        workload: what is computed.
        competitors: those that take part, in the order of the table.
        settings: how often and how long.
        say: is told what happens, in short lines.

    Returns:
        One outcome each, in that order.
    """
    truths = Truths(workload.problem(), lambda: say(f"{workload.name}: the float64 reference and its noise floor"))
    outcomes = {competitor.name: Outcome(competitor) for competitor in competitors}
    with contextlib.ExitStack() as stack:
        running: dict[str, Process] = {}
        for competitor in competitors:
            outcome, process = _begin(workload, competitor, truths, settings, stack)
            outcomes[competitor.name] = outcome
            if process is not None:
                running[competitor.name] = process
            say(f"{workload.name}: {competitor.title}: {_in_words(outcome)}")
        for number in range(settings.repeats):
            say(f"{workload.name}: round {number + 1} of {settings.repeats}")
            # back and forth: a slow change of the clock then favours nobody
            for name in list(running)[:: 1 if number % 2 == 0 else -1]:
                time.sleep(settings.pause)
                try:
                    taken = running[name].ask("time")["seconds"]
                    outcomes[name] = outcomes[name]._replace(seconds=(*outcomes[name].seconds, taken))
                except CompetitorError as error:
                    outcomes[name] = _failed(outcomes[name], error)
                    del running[name]
    return list(outcomes.values())


class Truths:
    """What the competitors of a problem are compared with: one truth per loss that one of them has.

    Args:
        problem: which.
        say: called before each of them is computed.
    """

    def __init__(self, problem: Problem, say: Callable[[], None]) -> None:
        self.problem = problem
        self.say = say
        self.known: dict[str, Truth] = {}

    def instead(self, competitor: Competitor) -> dict[str, str]:
        """A note about a competitor that solves another problem instead; empty for the others."""
        solved = competitor.own(self.problem)
        return {} if solved is self.problem else {"note": f"{solved.loss} instead"}  # type: ignore[union-attr]

    def of(self, competitor: Competitor) -> Truth | None:
        """The truth for a competitor, or None where nothing is compared."""
        problem = competitor.own(self.problem)
        checked = problem.checked()
        if checked is None or competitor.yardstick:
            return None
        key = getattr(problem, "loss", "")
        if key not in self.known:
            self.say()
            self.known[key] = find_truth(*checked)
        return self.known[key]


def _begin(
    workload: Workload, competitor: Competitor, truths: "Truths", settings: Settings, stack: contextlib.ExitStack
) -> tuple[Outcome, Process | None]:
    """Starts, checks and prepares one competitor; no process where it does not go on."""
    outcome = Outcome(competitor)
    missing = competitor.missing()
    if missing:
        return outcome._replace(status="not installed", reason=f"{' and '.join(missing)} not found"), None
    with contextlib.ExitStack() as until_ready:
        process = until_ready.enter_context(Process(worker_of(workload, competitor), settings.timeout))
        try:
            outcome = checked_by(process, outcome, truths.of(competitor))
            if outcome.status != "measured":
                return outcome, None
            prepared = process.ask("prepare", seconds=settings.seconds)
        except CompetitorError as error:
            return _failed(outcome, error), None
        stack.push(until_ready.pop_all())
        facts = truths.instead(competitor) | prepared["facts"]
        known = {"units": prepared["units"], "set_up_timed": prepared["set_up"], "facts": facts}
        return outcome._replace(**known), process


def worker_of(workload: Workload, competitor: Competitor) -> list[str]:
    """The command, without the interpreter, of a competitor's process."""
    return ["-m", "benchmarks.speed.suite.worker", workload.name, competitor.name]


def checked_by(process: Process, outcome: Outcome, truth: Truth | None) -> Outcome:
    """The outcome after its numbers have been compared with the truth, if there is one.

    Raises:
        CompetitorError: if the competitor fails.
    """
    with tempfile.TemporaryDirectory(prefix="functional-mlp-") as folder:
        file = Path(folder, "leaves.npz")
        outcome = outcome._replace(set_up_checked=process.ask("check", to=str(file))["set_up"])
        if truth is None:
            return outcome
        with np.load(file) as leaves:
            floors = worst(dict(leaves), truth)
    outcome = outcome._replace(floors=floors)
    if floors <= 1:
        return outcome
    return outcome._replace(status="disagrees", reason=f"{floors:.3g} times the floor")


def _failed(outcome: Outcome, error: CompetitorError) -> Outcome:
    return outcome._replace(status="failed", reason=str(error), seconds=())


def _in_words(outcome: Outcome) -> str:
    if outcome.status != "measured":
        return f"{outcome.status} ({outcome.reason})"
    return "nothing to compare" if outcome.floors is None else f"agrees, {outcome.floors:.2g} of the floor"
