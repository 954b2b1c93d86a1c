"""Random programs with faults, drawn by how often people make each (`functional_mlp.oracle.mistakes.FREQUENCIES`).

A program is drawn again where a fault does not show in its numbers or where fewer mistakes would give the same, so that
every fault that is counted can be told from the numbers.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from benchmarks.accuracy.field.elementwise import Array
from benchmarks.accuracy.field.equivalences import simpler
from benchmarks.accuracy.field.faults import FAULTS, INVENTED, Fault, Planted, formulas_with
from benchmarks.accuracy.field.formulas import Gradients, Style
from benchmarks.accuracy.field.problems import Family, Problem, draw_family, draw_problem
from benchmarks.accuracy.field.programs import draw_style, gradients, step
from functional_mlp.oracle.mistakes import FREQUENCIES

WAYS = ("gradients", "update", "function")
SHOWS = {"float64": 1e-6, "float32": 1e-3}  # least change of an array, relative to it
RATES = ((0.1, 0.01), (0.5, 0.05), (0.1,))
STEP_ONLY = {"ascends", "bias-never-updated", "momentum-as-weights", "learning-rate-twice", "updated-weights-used"}
RATES_DIFFER = {"learning-rate-twice", "momentum-as-weights"}  # with one rate they are a factor, or a penalty
FAMILIES = 150  # that share what the oracle compiles
IDS = tuple(name for name in FREQUENCIES if any(fault.id == name for fault in FAULTS.values()))


class Program(NamedTuple):
    """A program and the question that is asked about it.

    Attributes:
        problem: its parameters and data.
        style: how it is written.
        faults: that were made in it.
        way: "gradients" if they are handed over, "update" the parameters after steps, "function" the program itself.
        rates: of the steps.
    """

    problem: Problem
    style: Style
    faults: tuple[Planted, ...]
    way: str
    rates: tuple[float, ...]

    def without(self, index: int) -> "Program":
        """The same without one of its faults."""
        return self._replace(faults=self.faults[:index] + self.faults[index + 1 :])

    def numbers(self) -> list[Gradients]:
        """What it hands over: gradients, or the parameters after each step."""
        formulas = formulas_with(self.style, self.faults)
        with np.errstate(all="ignore"):
            if self.way == "update":
                return [step(self.problem, self.style, formulas, rate) for rate in self.rates]
            return [gradients(self.problem, self.style, formulas)]


def draw_program(family: Family, rng: np.random.Generator, first: str, count: int, outside: bool) -> Program | None:
    """A program of a family with so many faults, one of them the mistake `first`; None if that cannot be.

    Args:
        family: of its network and data.
        rng: draws.
        first: id of a mistake.
        count: how many faults, 1 to 3.
        outside: whether one of them is in no catalogue; if it is the only one, `first` is not made.
    """
    style = draw_style(rng)
    way = _way(first, rng)
    ids = [first, *map(str, rng.choice(IDS, count, p=_weights(IDS)))][:count]
    if not family.samples > 1 and way == "function":
        return None
    if way != "update" and not STEP_ONLY.isdisjoint(ids):
        way = "update"
    drawn = [_drawn(FAULTS.values(), name, family, style, rng) for name in ids[: count - outside]]
    if outside:
        drawn.append(_drawn(INVENTED, "", family, style, rng))
    faults = tuple(one for one in drawn if one is not None)
    if len(faults) < count or len({one.fault.id for one in faults}) < count:
        return None
    rates = RATES[rng.integers(2 if not RATES_DIFFER.isdisjoint(ids) else len(RATES))]
    program = Program(draw_problem(family, rng), style, tuple(faults[i] for i in rng.permutation(count)), way, rates)
    return program if shows(program) and not simpler(family, faults) and not _untold(family, faults) else None


def _way(first: str, rng: np.random.Generator) -> str:
    return "update" if first in STEP_ONLY else str(rng.choice(WAYS, p=(0.7, 0.25, 0.05)))


def _weights(ids: Sequence[str]) -> Array:
    often = np.array([FREQUENCIES[name] for name in ids])
    return often / often.sum()


def _drawn(
    faults: Iterable[Fault], name: str, family: Family, style: Style, rng: np.random.Generator
) -> Planted | None:
    able: list[tuple[Fault, Sequence[int]]] = [
        (fault, layers)
        for fault in faults
        if fault.id == name and fault.where(family, style) and (layers := fault.layers(family, style))
    ]
    if not able:
        return None
    fault, layers = able[rng.integers(len(able))]
    number = fault.number(family, rng) if fault.number is not None else 0.0
    whole = fault.whole or rng.uniform() < 0.5
    return Planted(fault, tuple(layers) if whole else (int(rng.choice(layers)),), number)


def _untold(family: Family, faults: Sequence[Planted]) -> bool:
    """Whether one output of one sample, where every error at the output is a factor, has an error there."""
    one = family.samples == 1 and (family.outputs == 1 or (family.outputs == 2 and "softmax" in str(family.loss)))
    return one and any("error" in each.fault.edits or family.last in each.layers for each in faults)


def shows(program: Program) -> bool:
    """Whether the numbers are finite, differ from the right ones, and would differ without any of the faults."""
    least = SHOWS[program.problem.family.dtype]
    given, right = told(program), told(program._replace(faults=()))
    if not all(np.isfinite(array).all() for array in given) or not _differ(given, right, right, least):
        return False
    return all(_differ(given, told(program.without(i)), right, least) for i in range(len(program.faults)))


def told(program: Program) -> list[Array]:
    """The gradients that the numbers tell, of each step."""
    flat = [array for pairs in program.numbers() for pair in pairs for array in pair if array is not None]
    if program.way != "update":
        return flat
    problem = program.problem
    before = [p for pair in zip(problem.weights, problem.biases, strict=True) for p in pair if p is not None]
    rates = [rate for rate in program.rates for _ in before]
    return [(b - after) / rate for b, after, rate in zip(before * len(program.rates), flat, rates, strict=True)]


def _differ(some: Sequence[Array], others: Sequence[Array], right: Sequence[Array], least: float) -> bool:
    largest = max(float(np.linalg.norm(array)) for array in right)
    sizes = [float(np.linalg.norm(array)) or largest for array in right]
    return any(np.linalg.norm(a - b) > least * size for a, b, size in zip(some, others, sizes, strict=True))


@lru_cache(maxsize=2)
def family_pool(seed: int) -> tuple[Family, ...]:
    """The families that programs are drawn from."""
    return tuple(draw_family(np.random.default_rng([seed, 1, index])) for index in range(FAMILIES))


def draw_programs(seed: int, count: int) -> list[tuple[int, Program]]:
    """So many programs, each with the index of its family: a third each of one, two and three faults.

    Two runs draw the same; a fifth have one fault that is in no catalogue.
    """
    return [program_of(seed, index) for index in range(count)]


def program_of(seed: int, index: int) -> tuple[int, Program]:
    """One of the programs that a seed draws, and the index of its family."""
    families = family_pool(seed)
    rng = np.random.default_rng([seed, 2, index])
    count, outside = index % 3 + 1, index // 3 % 5 == 4
    first = str(rng.choice(IDS, p=_weights(IDS)))
    for _ in range(2000):
        of = int(rng.integers(len(families)))
        program = draw_program(families[of], rng, first, count, outside)
        if program is not None:
            return of, program
    raise AssertionError(f"no program with {first} and {count - 1} more in 2000 draws")
