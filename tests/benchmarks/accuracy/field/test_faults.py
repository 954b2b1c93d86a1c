"""Faults: each shows, each is judged wrong, and what is right to say of them."""

import numpy as np
import pytest

from benchmarks.accuracy.field.equivalences import answers, simpler
from benchmarks.accuracy.field.faults import FAULTS, INVENTED, Fault, Planted
from benchmarks.accuracy.field.generator import STEP_ONLY, Program, program_of, shows
from benchmarks.accuracy.field.problems import Family, draw_family, draw_problem
from benchmarks.accuracy.field.programs import draw_style
from benchmarks.accuracy.field.trials import ask
from functional_mlp.oracle.mistakes import FREQUENCIES

EVERY = [*FAULTS.values(), *INVENTED]
POOL = [draw_family(np.random.default_rng([3, seed])) for seed in range(200)]  # mostly its first
MEAN = Family(
    (3, 5, 2), ("sigmoid", "sigmoid"), 0.1, "squared_error", "mean", "sum", 1.0, 0.0, False, 6, "float64", True, "unit"
)


def planted(name: str, layers: tuple[int, ...] = (1,), number: float = 0.0) -> Planted:
    """A fault by its name."""
    return Planted(FAULTS[name], layers, number)


def alone(fault: Fault) -> Program:
    """A program with this fault, in the first family where it can be made and shows."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        for family in POOL:
            style = draw_style(rng)
            if not fault.where(family, style) or not (layers := tuple(fault.layers(family, style))):
                continue
            number = fault.number(family, rng) if fault.number is not None else 0.0
            way = "update" if fault.id in STEP_ONLY else "gradients"
            made = Program(draw_problem(family, rng), style, (Planted(fault, layers, number),), way, (0.1,))
            if shows(made):
                return made
    raise AssertionError(f"{fault.name} shows nowhere")


@pytest.mark.parametrize("fault", EVERY, ids=lambda fault: fault.name)
def test_every_fault_shows_somewhere(fault: Fault) -> None:
    assert alone(fault).faults[0].fault is fault


@pytest.mark.slow
def test_a_fault_alone_is_wrong() -> None:  # every third; the benchmark asks them all
    verdicts = {fault.name: str(ask(alone(fault)).verdict) for fault in EVERY[::3]}
    assert {name for name, verdict in verdicts.items() if verdict != "wrong"} == set()


def test_faults_have_names_of_their_own_and_ids_that_people_make() -> None:
    assert len({fault.name for fault in EVERY}) == len(EVERY)
    assert {fault.id for fault in FAULTS.values()} <= set(FREQUENCIES)
    assert {fault.id for fault in INVENTED} == {""}


FACTORS = [fault for fault in FAULTS.values() if fault.factors is not None and fault.id not in STEP_ONLY]


@pytest.mark.parametrize("fault", FACTORS, ids=lambda fault: fault.name)
def test_a_factor_is_what_it_says(fault: Fault) -> None:
    made = alone(fault)
    family, (one,) = made.problem.family, made.faults
    assert fault.factors is not None
    factor = fault.factors(family, one.layers, one.number)
    data = made._replace(problem=made.problem._replace(family=family._replace(l2=0.0)))
    wrong, right = data.numbers()[0], data._replace(faults=()).numbers()[0]
    for layer, (got, true) in enumerate(zip(wrong, right, strict=True)):
        for row, (g, t) in enumerate(zip(got, true, strict=True)):
            if t is not None:
                np.testing.assert_allclose(g, factor[row, layer] * t, rtol=1e-4 if t.dtype == np.float32 else 1e-9)


def test_two_factors_that_are_one_are_found_out() -> None:
    both = (planted("the mean's 1/n missing"), planted("the bias's 1/n twice", (0, 1)))
    assert frozenset({"weight-gradient-summed"}) in answers(MEAN, both)
    assert simpler(MEAN, both)


def test_a_factor_of_everything_has_every_name_that_is_right() -> None:
    of_two = answers(MEAN, [planted("a factor 2 or 1/2 of the square", number=2.0)])
    names = {next(iter(answer)) for answer in of_two if len(answer) == 1}
    assert names >= {"squared-error-factor", "loss-scaled", "sigmoid-derivative-doubled", "accumulated"}
    assert "mean-missing" not in names


def test_a_fitted_factor_makes_nothing_simpler() -> None:
    both = (planted("the mean's 1/n missing"), planted("a factor 2 or 1/2 of the square", number=2.0))
    assert frozenset({"loss-scaled"}) in answers(MEAN, both)
    assert not simpler(MEAN, both)


def test_no_answer_holds_another_that_multiplies_alike() -> None:
    found = answers(MEAN, [planted("the bias's 1/n missing", (0,))])
    assert frozenset({"bias-gradient-summed"}) in found
    assert not any(a < b for a in found for b in found)


def test_a_fault_of_no_catalogue_needs_no_name() -> None:
    outside = Planted(INVENTED[0], (1,), 0.0)
    assert answers(MEAN, [outside]) == {frozenset()}
    beside = answers(MEAN, [outside, planted("the bias's 1/n missing", (0, 1))])
    assert frozenset({"bias-gradient-summed"}) in beside


def test_the_same_program_is_drawn_again() -> None:
    for index in (0, 7, 12):
        (of, one), (again, same) = program_of(4, index), program_of(4, index)
        assert of == again
        assert (one.style, one.faults, one.way, one.rates) == (same.style, same.faults, same.way, same.rates)
        for some, others in zip(one.numbers(), same.numbers(), strict=True):
            for pair, other in zip(some, others, strict=True):
                np.testing.assert_equal(pair, other)


def test_programs_have_the_faults_that_are_counted() -> None:
    programs = [program_of(1, index)[1] for index in range(45)]
    assert [len(one.faults) for one in programs] == [index % 3 + 1 for index in range(45)]
    assert sum(any(not made.fault.id for made in one.faults) for one in programs) == 9
    assert all(shows(one) for one in programs)


def test_factors_that_cancel_are_found_out() -> None:
    both = (planted("the mean's 1/n missing"), planted("1/n twice"))
    assert simpler(MEAN, both)
    assert simpler(MEAN, (*both, planted("hidden derivative missing", (0,))))
