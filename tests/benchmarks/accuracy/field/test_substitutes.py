"""What else gives a program's numbers is found by making it."""

import numpy as np

from benchmarks.accuracy.field.equivalences import answers
from benchmarks.accuracy.field.faults import FAULTS, Planted
from benchmarks.accuracy.field.generator import Program
from benchmarks.accuracy.field.problems import Family, draw_problem
from benchmarks.accuracy.field.programs import Style
from benchmarks.accuracy.field.substitutes import every_answer

STYLE = Style("layer by layer", "rows", "at the loss", True, "a")


def program_with(*faults: tuple[str, tuple[int, ...]], samples: int = 5, sizes: tuple[int, ...] = (3, 4, 2)) -> Program:
    """A sigmoid network of a squared error with these faults, by their names and layers."""
    family = Family(
        sizes,
        ("sigmoid", "sigmoid"),
        0.1,
        "squared_error",
        "mean",
        "sum",
        1.0,
        0.0,
        False,
        samples,
        "float64",
        True,
        "unit",
    )
    made = tuple(Planted(FAULTS[name], layers, 0.0) for name, layers in faults)
    return Program(draw_problem(family, np.random.default_rng(2)), STYLE, made, "gradients", ())


def test_a_sum_over_two_samples_without_the_first_is_the_last_sample_only() -> None:
    of_two = program_with(("a sum that starts at the second sample", (0, 1)), samples=2)
    of_five = program_with(("a sum that starts at the second sample", (0, 1)))
    assert frozenset({"bias-from-one-sample"}) not in every_answer(of_five)
    only_biases = program_with(("the last sample's delta", (0, 1)), samples=2)
    assert frozenset({"bias-from-one-sample"}) in every_answer(only_biases)
    assert answers(of_two.problem.family, of_two.faults) <= every_answer(of_two)


def test_a_sigmoid_with_the_mask_of_relu_has_no_derivative() -> None:
    made = program_with(("hidden derivative missing", (0,)))
    assert frozenset({"derivative-of-other-activation"}) in every_answer(made)


def test_beside_another_fault_it_is_replaced_alone() -> None:
    made = program_with(("hidden derivative missing", (0,)), ("the bias's 1/n missing", (0, 1)))
    assert frozenset({"derivative-of-other-activation", "bias-gradient-summed"}) in every_answer(made)


def test_what_has_other_numbers_is_no_answer() -> None:
    made = program_with(("f'(a) for f'(z)", (0,)))
    assert {name for answer in every_answer(made) for name in answer} == {"derivative-of-wrong-variable"}
