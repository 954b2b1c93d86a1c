"""Asking all items, in several processes."""

import multiprocessing
import os
import time
import warnings
from collections import defaultdict
from collections.abc import Collection, Sequence
from functools import partial

import numpy as np

from benchmarks.accuracy.field.items.item import FunctionAsk
from benchmarks.accuracy.field.items.registry import items
from benchmarks.accuracy.field.items.scoring import EXCEPTION, Answer, Figures, Mark
from benchmarks.accuracy.trials import Trial, Trials

FUNCTION_COST = 3  # a question about a function asks several cases


def answer(name: str, seed: int, variation: int = 0) -> Answer:
    """What the oracle says of an item; an exception is an answer too."""
    start = time.perf_counter()
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            report = items()[name].build(seed, variation).report()
            verdict, said = report.verdict.value, report.diagnosis
        except Exception as error:
            seconds = time.perf_counter() - start
            return Answer(name, EXCEPTION, (), (), "", "", seconds, f"{type(error).__name__}: {error}"[:200])
    seconds = time.perf_counter() - start
    if said is None:
        return Answer(name, verdict, (), (), "", "", seconds, "")
    headline, ties = (tuple(mistake.id for mistake in named) for named in (said.mistakes, said.ties))
    return Answer(name, verdict, headline, ties, said.kind, said.first_wrong, seconds, "")


def _answers(names: Sequence[str], seed: int, variation: int) -> list[Answer]:
    return [answer(name, seed, variation) for name in names]


def trials(seed: int = 0, variation: int = 0, only: Collection[str] = ()) -> dict[str, Trial]:
    """The questions in groups that can use each other's compiled code, by name, the longest first.

    Args:
        seed: of the numbers.
        variation: of sizes and activations; 0 for the items as they were met.
        only: ids, or beginnings of ids, of the items to ask; all by default.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    cost: dict[str, int] = defaultdict(int)
    for name, item in items().items():
        if not only or name.startswith(tuple(only)):
            ask = item.build(seed, variation)
            groups[ask.shapes()].append(name)
            cost[ask.shapes()] += FUNCTION_COST if isinstance(ask, FunctionAsk) else 1
    longest_first = sorted(groups, key=lambda shapes: cost[shapes], reverse=True)
    return {
        f"field {seed} {variation} {' '.join(groups[shapes])}": partial(_answers, groups[shapes], seed, variation)
        for shapes in longest_first
    }


def figures_of(answers: Collection[Answer]) -> Figures:
    """The figures of the answers that came, in the order of ids."""
    of = items()
    return Figures(tuple(Mark(of[each.id], each) for each in sorted(answers, key=lambda each: each.id)))


def figures_of_items(processes: Trials) -> Figures:
    """The figures of all items as they were met."""
    return figures_of([each for rows in processes.run(trials()).values() for each in rows])


def measure(seed: int = 0, variation: int = 0, only: Collection[str] = (), jobs: int = 2) -> Figures:
    """Asks the items, in processes of one thread each; with one job, in this process.

    Args:
        seed: of the numbers.
        variation: of sizes and activations; 0 for the items as they were met.
        only: ids, or beginnings of ids, of the items to ask; all by default.
        jobs: the number of processes.
    """
    asked = trials(seed, variation, only)
    if jobs == 1:
        return figures_of([each for trial in asked.values() for each in trial()])
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=20) as pool:
        answers = Trials(pool, (Answer,), None).run(asked)
    return figures_of([each for rows in answers.values() for each in rows])
