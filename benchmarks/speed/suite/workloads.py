"""Which problems are timed, under which names, and how their times are told."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from benchmarks.speed.competitors import COMPETITORS, Competitor
from benchmarks.speed.suite.problems import (
    Basins,
    FirstCall,
    Gradient,
    Problem,
    Program,
    Training,
    circles_problem,
    moons_problem,
    small_problem,
    wide_problem,
)


class Workload(NamedTuple):
    """One table of the benchmark.

    Attributes:
        name: on the command line and in the JSON file; what stands before a hyphen selects all that begin with it.
        title: of the table.
        problem: makes it.
        unit: what a time is per.
        scale: of the times in the table: "us", "ms" or "s".
    """

    name: str
    title: str
    problem: Callable[[], Problem]
    unit: str = "update"
    scale: str = "us"

    def competitors(self) -> list[Competitor]:
        """All that take part, installed or not."""
        kind = self.problem().kind
        return [competitor for competitor in COMPETITORS if competitor.competes_in(self.name, kind)]


def _of_gradient(name: str, title: str, training: Callable[[], Training], scale: str = "us") -> Workload:
    problem = lambda: Gradient(training())  # noqa: E731
    return Workload(f"gradient-{name}", f"loss and gradient, {title}", problem, "gradient", scale)


NETWORKS = "network and update"
WORKLOADS = (
    Workload("one-sample", "moons, 2-25-50-25-2, one sample per update", moons_problem),
    Workload("mini-batch", "moons, 2-25-50-25-2, 32 samples per update", partial(moons_problem, 32)),
    Workload("full-batch", "circles, 2-4-3-1, all 1000 samples per update", circles_problem),
    Workload("wide", "784-1024-1024-10, 256 samples per update", wide_problem, scale="ms"),
    Workload("sweep-64", "moons, one sample per update, 64 networks", partial(moons_problem, networks=64), NETWORKS),
    Workload("sweep-1024", "the same, 1024 networks", partial(moons_problem, networks=1024), NETWORKS),
    _of_gradient("moons-1", "2-25-50-25-2, 1 sample", lambda: moons_problem().shortened(1)),
    _of_gradient("moons-1400", "2-25-50-25-2, 1400 samples", partial(moons_problem, 1400)),
    _of_gradient("circles", "2-4-3-1, 1000 samples", circles_problem),
    _of_gradient("wide", "784-1024-1024-10, 256 samples", partial(wide_problem, batches=1), "ms"),
    Workload(
        "himmelblau", "Himmelblau's function, 200 steps from 1024 x 1024 starts", partial(Basins, 1024), "run", "ms"
    ),
    Workload("process", "the moons experiment, 1000 epochs, the whole process", partial(Program, 1000), "run", "s"),
    Workload("compile", "first call of the moons program in a process", FirstCall, "first call", "s"),
)
SMOKE = Workload("smoke", "40 samples of the moons: whether everything runs", small_problem)  # only when asked for


def selected(names: Sequence[str]) -> list[Workload]:
    """The workloads of these names, or whose names begin with them and a hyphen; all but the smoke test for none.

    Raises:
        ValueError: for a name that no workload has; says which there are.
    """
    if not names:
        return list(WORKLOADS)
    chosen = []
    for name in names:
        found = [w for w in (*WORKLOADS, SMOKE) if w.name == name or w.name.startswith(f"{name}-")]
        if not found:
            known = ", ".join(workload.name for workload in WORKLOADS)
            raise ValueError(f"expected a workload ({known}), got {name!r}")
        chosen += [workload for workload in found if workload not in chosen]
    return chosen
