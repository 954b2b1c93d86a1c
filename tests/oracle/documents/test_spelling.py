"""Numbers as other languages spell them, in documents of answers and of cases."""

import json
import math
import time

import numpy as np
import pytest

from functional_mlp.files import FileError
from functional_mlp.oracle.case import rounded
from functional_mlp.oracle.documents import digits_of, parse_answer, read_case
from functional_mlp.oracle.documents.spelling import as_json
from tests.helpers.documents import text

HEAD = '{"format": "functional-mlp/gradients", "version": 1, "params": [{"weights": '


def read(weights):
    """The weights of a document, as they are read."""
    return parse_answer(f"{HEAD}{weights}}}]}}".encode(), "text").params[0]["weights"]


@pytest.mark.parametrize(
    ("spelled", "value"),
    [
        *((name, math.nan) for name in ("nan", "NAN", "NaN", "-nan", "nan(0x8)", "-nan(ind)", "NaN32", "1.#QNAN")),
        *((name, math.nan) for name in ("-1.#IND", "1.#IND00")),
        *((name, math.inf) for name in ("inf", "INF", "Inf", "Infinity", "+Infinity", "+inf", "Inf32", "1.#INF")),
        *((name, -math.inf) for name in ("-inf", "-Infinity", "-1.#INF00")),
        *((name, 1.0) for name in ("1.", "+1.0", "1.e0", "1.0D+00", "1.0d0", "1.0f0", "+1", "1.E+00")),
        *((name, -0.5) for name in ("-.5", "-0.5", "-.5e0", "-5.D-1", "-50.f-2")),
    ],
)
def test_numbers_of_other_languages_are_read(spelled, value):
    np.testing.assert_array_equal(read(f"[[{spelled}, 2.5]]"), [[value, 2.5]])


def test_rows_as_numpy_prints_them_are_read():
    assert read("[[ 0.1  2. ]\n [-3.   0.25]]") == [[0.1, 2.0], [-3.0, 0.25]]
    assert read("[[-1.5e-05 nan]\n\n [ 1 -2]]")[1] == [1, -2]


@pytest.mark.parametrize("same", ['{"a": [1.0, -2e5, 1E-3, 0, -0.5e+1], "inf .5": "+1. nan 1 2"}', "[NaN, -Infinity]"])
def test_json_stays_as_it_is(same):
    assert as_json(same) == (same, None)


def test_what_was_spelled_otherwise_is_said_and_texts_stay():
    mended = as_json('{"nan": [+1.50, .5e-3, 1 2], "\\" 1. ": 1.D5}')
    assert mended.text == '{"nan": [1.50, 0.5e-3, 1, 2], "\\" 1. ": 1e5}'
    assert mended.first == ("+1.50", "1.50")


@pytest.mark.parametrize(
    "broken", ["[[0,5, 01]]", "[[1..5]]", "[[1.5.5]]", "[[nano]]", "[[0x10]]", "[[1e]]", "[[...]]"]
)
def test_what_is_no_number_is_no_number(broken):
    with pytest.raises(FileError, match="not valid JSON"):
        read(f"[[{broken}]]")


@pytest.mark.parametrize(
    "hostile", ["nan(", "1.", "+", ".", "1 ", "-", "1e", '"', "\\", "inf", "1.#", "d1", " ", "]\n"]
)
def test_whatever_a_text_holds_is_read_quickly(hostile):
    start = time.process_time()
    as_json(hostile * (2**18 // len(hostile)))
    assert time.process_time() - start < 5


def test_digits_are_neither_added_nor_lost():
    answer = parse_answer(f"{HEAD}[[+1.250, .3750D0]]}}]}}".encode(), "text")
    assert digits_of(answer, "params[0].weights").half_unit([1.25, 0.375]) == pytest.approx([5e-4, 5e-5])


# cases


def case_file(folder, **fields):
    path = folder / "case.json"
    path.write_bytes(text(**fields))
    return path


def test_a_case_is_of_float64_if_it_says_nothing_else(tmp_path):
    assert read_case(case_file(tmp_path, dtype=None)).dtype == "float64"


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("form", ["%.9g", "%.10g", "%.17g", "%.6g", "%.4f", repr])
def test_numbers_of_a_narrow_dtype_may_be_written_with_as_few_digits_as_tell_them(dtype, form, tmp_path):
    values = rounded(np.random.default_rng(0).normal(size=(4, 2)), dtype)
    written = [[float(form(x) if callable(form) else form % x) for x in row] for row in values.tolist()]
    layers = [{"weights": np.zeros((2, 3)).tolist()}, {"weights": np.zeros((3, 1)).tolist()}]
    read_back = read_case(case_file(tmp_path, dtype=dtype, inputs=written, params=layers)).inputs
    np.testing.assert_array_equal(read_back, rounded(np.array(written), dtype))
    if form in ("%.9g", "%.10g", "%.17g", repr):
        np.testing.assert_array_equal(read_back, values)


def test_more_digits_that_are_other_ones_are_refused(tmp_path):
    layers = [{"weights": np.zeros((2, 3)).tolist()}, {"weights": np.zeros((3, 1)).tolist()}]
    inputs = [[0.1000000002, 0.0]] * 4
    with pytest.raises(FileError, match=r"inputs\[0, 0\] to be a float32 number, got 0.1000000002"):
        read_case(case_file(tmp_path, dtype="float32", inputs=inputs, params=layers))


def test_the_numbers_of_networks_and_losses_are_no_arrays(tmp_path):
    network = {"sizes": [2, 3, 1], "activations": [{"name": "leaky_relu", "slope": 0.1}, "identity"]}
    layers = [{"weights": np.full((2, 3), 0.1).tolist()}, {"weights": np.zeros((3, 1)).tolist()}]
    fields = {"network": network, "loss": {"kind": "squared_error", "scale": 0.1}, "params": layers}
    case = read_case(case_file(tmp_path, dtype="float32", inputs=[[0.5, 1]] * 4, **fields))
    assert dict(case.network.activations[0].parameters)["slope"] == 0.1
    assert case.loss.scale == 0.1
    assert case.params[0].weights[0, 0] == np.float32(0.1)
    assert json.dumps(case.network.sizes) == "[2, 3, 1]"


def test_a_case_may_not_hold_nan(tmp_path):
    path = tmp_path / "case.json"
    path.write_bytes(text().replace(b"-3.5", b"nan"))
    with pytest.raises(FileError, match="NaN is no JSON number"):
        read_case(path)
