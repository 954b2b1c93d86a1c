"""The operations of the trial and their mistakes: registries, questions that stay the same, places that exist."""

import inspect
from collections import Counter

import jax
import numpy as np
import pytest

from benchmarks.accuracy.anything.implementations.by_hand import BY_HAND
from benchmarks.accuracy.anything.implementations.jax_functions import pulled_back
from benchmarks.accuracy.anything.implementations.registry import KERNELS, declared
from benchmarks.accuracy.anything.mistakes import MISTAKES, normalisation
from benchmarks.accuracy.anything.mistakes.registry import Mistake
from benchmarks.accuracy.anything.operations import OPERATIONS, Setting
from benchmarks.accuracy.anything.operations.convolution import stretched
from benchmarks.accuracy.anything.operations.normalisation import layer_norm
from benchmarks.accuracy.anything.operations.registry import operation, rounded


def lines_of(mistake: Mistake) -> list[str]:
    """The lines of the reference and of the functions of the registry that it calls."""
    called = [OPERATIONS[mistake.operation].function, stretched, layer_norm]
    return [line for function in called for line in inspect.getsource(function).splitlines()]


def test_there_are_as_many_as_promised() -> None:
    assert len(OPERATIONS) >= 60
    assert len(MISTAKES) >= 250
    counts = Counter(mistake.operation for mistake in MISTAKES.values())
    assert {name for name in OPERATIONS if counts[name] < 3} == set()
    assert sum(bool(mistake.source) for mistake in MISTAKES.values()) >= 20


def test_every_place_is_a_piece_of_a_line_of_the_reference() -> None:
    absent = [
        (mistake.id, place)
        for mistake in MISTAKES.values()
        for place in mistake.places
        if not any(place in line for line in lines_of(mistake))
    ]
    assert absent == []


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_question_is_the_same_each_time_and_its_numbers_are_of_the_dtype(dtype: str) -> None:
    setting = Setting("tiny", dtype, 30.0, 1.0, seed=3)
    for name in ("softmax", "embedding"):
        one, again = (OPERATIONS[name].question(setting) for _ in range(2))
        for x, y in zip(
            (*one.floats, *one.constants, one.ct), (*again.floats, *again.constants, again.ct), strict=True
        ):
            np.testing.assert_array_equal(x, y)
        for x in (*one.floats, one.ct):
            np.testing.assert_array_equal(x, rounded(x, dtype))


def test_scale_and_offset_are_those_of_the_first_argument() -> None:
    plain = OPERATIONS["layer_norm"].question(Setting("tiny", "float64"))
    moved = OPERATIONS["layer_norm"].question(Setting("tiny", "float64", 30.0, 100.0))
    np.testing.assert_allclose(moved.floats[0], 30 * plain.floats[0] + 100)
    np.testing.assert_array_equal(moved.floats[1], plain.floats[1])


def test_a_name_stands_once() -> None:
    with pytest.raises(ValueError, match="'tanh' twice"):
        operation(lambda draw: ([], []))(OPERATIONS["tanh"].function)


@pytest.mark.parametrize("name", ["layer_norm", "glu", "linear_recurrence"])
def test_what_is_written_by_hand_agrees_with_jax(name: str) -> None:
    question = OPERATIONS[name].question(Setting("tiny", "float64"))
    true = pulled_back(OPERATIONS[name].function, question, "float64", compiled=False)
    for function in BY_HAND[name].values():
        for got, expected in zip(function(*question.floats, *question.constants, question.ct), true, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["causal_attention", "layer_norm"])
def test_what_is_written_in_c_agrees_with_numpy(name: str) -> None:
    question = OPERATIONS[name].question(Setting("small", "float64"))
    expected = next(iter(BY_HAND[name].values()))(*question.floats, question.ct)
    for got, other in zip(KERNELS[name]["C"](*question.floats, question.ct), expected, strict=True):
        np.testing.assert_allclose(got, other, rtol=1e-9, atol=1e-12 * np.abs(other).max())


@pytest.mark.parametrize("name", ["tanh/not_squared", "linear/bias_averaged", "layer_norm/mean_path_missing"])
def test_a_mistake_changes_the_gradients(name: str) -> None:
    mistake = MISTAKES[name]
    question = OPERATIONS[mistake.operation].question(Setting("tiny", "float64"))
    true = pulled_back(OPERATIONS[mistake.operation].function, question, "float64", compiled=False)
    given = mistake.gradients(question, "float64")
    assert [x.shape for x in given] == [x.shape for x in true]
    assert max(np.abs(x - y).max() for x, y in zip(given, true, strict=True)) > 1e-3


def test_a_normalisation_of_pieces_is_the_normalisation() -> None:
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        (x, weight, bias), _, _ = OPERATIONS["layer_norm"].question(Setting("tiny", "float64"))
        whole = normalisation.affine(normalisation.normalised(x, (-1,)), weight, bias)
        np.testing.assert_allclose(whole, OPERATIONS["layer_norm"].function(x, weight, bias), rtol=1e-12)


def test_pytorch_adds_16_bits_in_float32_but_for_convolutions_and_jax_does_not() -> None:
    assert declared("PyTorch", "softmax", "bfloat16") == "bfloat16/float32"
    assert declared("PyTorch", "conv2d", "float16") == "float16"
    assert declared("JAX, compiled", "softmax", "bfloat16") == "bfloat16"
