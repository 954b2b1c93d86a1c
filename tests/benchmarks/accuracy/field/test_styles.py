"""Programs without fault: every style computes the right gradient, for every activation and loss."""

from itertools import zip_longest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.accuracy.field.faults import formulas_with
from benchmarks.accuracy.field.formulas import Gradients
from benchmarks.accuracy.field.generator import Program
from benchmarks.accuracy.field.problems import ENDS, HIDDEN, Family, draw_family, draw_problem
from benchmarks.accuracy.field.programs import gradients, styles
from benchmarks.accuracy.field.trials import ask

ROUNDING = {"float64": 1e-12, "float32": 2e-5}  # relative to an array, in networks of this size


def family_of(hidden: str, end: tuple[str, str | None], seed: int) -> Family:
    """A random family with this hidden activation, output activation and loss."""
    rng = np.random.default_rng(seed)
    while True:
        family = draw_family(rng)
        if (family.activations[-1], family.loss) == end and family.activations[0] == hidden:
            return family


ALL_KINDS = [
    family_of(hidden or "tanh", end or ENDS[seed % 5][0], seed)
    for seed, (hidden, end) in enumerate(zip_longest(HIDDEN, [pair for pair, _ in ENDS]))
]


def largest_error(some: Gradients, others: Gradients) -> float:
    """Of any array, relative to its norm."""
    pairs = [(a, b) for one, other in zip(some, others, strict=True) for a, b in zip(one, other, strict=True)]
    top = max(float(np.linalg.norm(b)) for _, b in pairs if b is not None)
    return max(float(np.linalg.norm(a - b)) / (np.linalg.norm(b) or top) for a, b in pairs if b is not None)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_every_style_computes_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    family = draw_family(rng)
    problem = draw_problem(family, rng)
    made = [gradients(problem, style, formulas_with(style, ())) for style in styles(family)]
    errors = [largest_error(one, made[0]) for one in made]
    assert max(errors) < ROUNDING[family.dtype] * 100
    dtypes = {array.dtype.name for grads in made for pair in grads for array in pair if array is not None}
    assert dtypes == {family.dtype}


@pytest.mark.slow
@pytest.mark.parametrize("family", ALL_KINDS, ids=lambda f: f"{f.activations[0]}-{f.activations[-1]}-{f.loss}")
def test_a_program_without_fault_is_consistent(family: Family) -> None:
    rng = np.random.default_rng(5)
    every = styles(family)
    for style in (every[index] for index in rng.choice(len(every), 6)):
        problem = draw_problem(family, rng)
        for way, rates in (("gradients", ()), ("update", (0.1, 0.01))):
            report = ask(Program(problem, style, (), way, rates))
            assert str(report.verdict) == "consistent", report.text()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_function_without_fault_is_consistent(seed: int) -> None:
    family = ALL_KINDS[seed]
    rng = np.random.default_rng(seed)
    style = styles(family)[seed]
    report = ask(Program(draw_problem(family, rng), style, (), "function", ()))
    assert str(report.verdict) == "consistent", report.text()


def test_there_is_a_family_of_every_kind() -> None:
    assert {name for family in ALL_KINDS for name in family.activations} >= set(HIDDEN)
    assert {(family.activations[-1], family.loss) for family in ALL_KINDS} == {pair for pair, _ in ENDS}
