"""Answers read from files, and how many digits of their numbers were printed: judged from whole texts."""

import json
import math
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functional_mlp.files import FileError
from functional_mlp.oracle.case import numbers
from functional_mlp.oracle.documents import codec as formats
from functional_mlp.oracle.documents.answers import (
    Gradients,
    UnsupportedError,
    Update,
    read_answer,
    read_gradients,
    read_update,
    write_gradients,
    write_update,
)
from functional_mlp.oracle.documents.digits import Printed, printed_style
from functional_mlp.oracle.documents.schema import write_document
from tests.helpers.documents import EXAMPLES, FORMATS, npz, tensors, text

GRADIENTS, UPDATE = EXAMPLES["gradients"], EXAMPLES["update"]


def draw(seed, count, low, high):
    """Random numbers of both signs, their magnitudes evenly spread over 10^low … 10^high."""
    rng = np.random.default_rng(seed)
    return rng.choice([-1.0, 1.0], count) * rng.uniform(1, 10, count) * 10.0 ** rng.integers(low, high, count)


def document(form, values):
    """A gradients file with one row of weights, each printed by `form`, with a few words and fields around them."""
    row = ", ".join(form(value) if callable(form) else form % value for value in values.tolist())
    head = '"format": "functional-mlp/gradients", "version": 1, "loss": 0.6931471805599453'
    return f'{{{head}, "params": [{{"weights": [[{row}]], "bias": null}}]}}'


def values_in(written):
    return np.array(json.loads(written)["params"][0]["weights"][0], np.float64)


# what a program says of itself


def test_a_program_may_say_that_it_does_not_support_a_case(tmp_path):
    path = tmp_path / "gradients.json"
    head = {"format": "functional-mlp/gradients", "version": 1}
    path.write_text(json.dumps(head | {"unsupported": True, "reason": "no softmax"}))
    with pytest.raises(UnsupportedError, match=r"says that its program does not support this case: no softmax$"):
        read_answer(path)
    path.write_text(json.dumps(head | {"unsupported": False}))
    with pytest.raises(FileError, match=r"expected the field 'params'$"):
        read_answer(path)
    path.write_text(json.dumps(GRADIENTS | {"case": "a name"}))
    assert read_answer(path).case == "a name"


# how numbers were printed


@pytest.mark.parametrize(
    ("form", "style", "digits"),
    [
        ("%g", "significant", 6),
        ("%e", "significant", 7),
        ("%.3g", "significant", 3),
        ("%.2e", "significant", 3),
        ("%.9g", "significant", 9),
        ("%.17g", "significant", 17),
        ("%.18e", "significant", 19),
        ("%#.4g", "significant", 4),
        ("%f", "fixed", 6),
        ("%.3f", "fixed", 3),
        ("%.2f", "fixed", 2),
        ("%.10f", "fixed", 10),
        (repr, "significant", 17),
        (lambda value: repr(round(value, 6)), "fixed", 6),
        (lambda value: repr(round(value, 4)), "fixed", 4),
        (lambda value: repr(float(f"{value:.8g}")), "significant", 8),
        (lambda value: f"{value:.6f}".rstrip("0").rstrip("."), "fixed", 6),
    ],
)
@pytest.mark.parametrize("count", [10, 100])
@pytest.mark.parametrize("seed", range(5))
def test_usual_formats_are_recognised(form, style, digits, count, seed):
    values = draw(seed, count, -3, 3)
    written = document(form, values)
    printed = printed_style(written)
    assert printed.style == style
    assert digits - (form is repr) <= printed.digits <= digits  # repr writes 17 only where it needs them
    assert (np.abs(values_in(written) - values) <= printed.half_unit(values_in(written))).all()


@pytest.mark.parametrize("form", ["%g", "%f", "%e", "%.9g", "%.17g", "%.3f", repr])
def test_zeros_and_what_is_not_finite_do_not_hide_the_format(form):
    values = draw(1, 30, -3, 3)
    mixed = np.concatenate([np.zeros(40), values, [math.nan, math.inf, -math.inf]])
    written = document(form, mixed).replace("nan", "NaN").replace("inf", "Infinity")
    printed = printed_style(written)
    assert printed == printed_style(document(form, values))
    half = printed.half_unit(values_in(written))
    assert (half[:40] == (0.0 if printed.style == "significant" else 0.5 * 10.0**-printed.digits)).all()
    assert (half[-3:] == 0.0).all()


@given(
    seed=st.integers(0, 2**32),
    count=st.integers(20, 60),
    low=st.integers(-300, 295),
    span=st.integers(1, 600),
    digits=st.integers(3, 17),
    kind=st.sampled_from(["g", "e"]),
)
@settings(max_examples=100)
def test_significant_digits_of_all_magnitudes_are_within_half_a_unit(seed, count, low, span, digits, kind):
    values = draw(seed, count, low, min(low + span, 300))
    written = document(f"%.{digits}g" if kind == "g" else f"%.{digits - 1}e", values)
    printed = printed_style(written)
    read = values_in(written)
    if printed is None:
        assert kind == "g"
        assert low >= 0
        assert (read == np.round(read)).all()
        return
    if span > 2:
        assert printed == Printed("significant", digits)
    assert (np.abs(read - values) <= printed.half_unit(read)).all()


@given(seed=st.integers(0, 2**32), low=st.integers(-6, 3), span=st.integers(1, 6), decimals=st.integers(3, 17))
@settings(max_examples=60)
def test_decimals_are_within_half_a_unit(seed, low, span, decimals):
    values = draw(seed, 40, low, low + span)
    written = document(f"%.{decimals}f", values)
    printed = printed_style(written)
    assert printed == Printed("fixed", decimals)
    read = values_in(written)
    assert (np.abs(read - values) <= printed.half_unit(read)).all()
    assert (printed.half_unit(read) < 0.51 * 10.0**-decimals + 1.2e-16 * np.abs(read)).all()


@given(seed=st.integers(0, 2**32), count=st.integers(1, 7), digits=st.integers(6, 17), span=st.integers(1, 8))
@settings(max_examples=60)
def test_few_numbers_are_read_to_6_digits_and_within_half_a_unit(seed, count, digits, span):
    values = draw(seed, count, -4, -4 + span)
    for form in (f"%.{digits}g", f"%.{digits - 1}e"):
        read = values_in(document(form, values))
        printed = printed_style(document(form, values))
        assert (np.abs(read - values) <= printed.half_unit(read)).all() or printed.digits > 15
        assert printed.digits >= 6


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("[]", None),
        ("[1, -2, 30000000]", None),
        ("[NaN, Infinity, -Infinity, 3]", None),
        ('{"0.5": [1, "2.5", "a\\"3.5"], "x": 0.25, "e5": 1e5, "y" : -1.5e-7}', None),
        ('["\\\\", 0.123456789, "0.1234567890123"]', Printed("significant", 9)),
        ("[0.5, 0.25]", Printed("significant", 6)),
        ("[0.25]", Printed("significant", 6)),
        ("[0.123, 0.456, 1.789]", Printed("significant", 6)),
        ("[0.0, 0.0]", Printed("significant", 6)),
        ("[0, 1e3]", Printed("significant", 6)),
        ("[0.000000e+00]", Printed("significant", 6)),
        ("[1e-999999999999999999999, 1e99999, 0.5]", Printed("significant", 6)),
        # sums of halves, however many
        ("[0.5, 1.5, 2.5, -3.5, 4.0, 5.5, 6.5, 7.5, 8.5, 9.5, 10.5]", Printed("significant", 6)),
        ("[0.5, 0.25, 0.375, 1.125, 2.25, 0.625, 0.875, 3.125, 4.375, 7.5]", Printed("significant", 6)),
        # the same few numbers, however often
        ("[" + "0.1, 0.2, 0.3, " * 20 + "0]", Printed("significant", 6)),
        # %.8g of one large number among fractions of powers of two
        ("[123456.79, 0.015625, 0.046875]", Printed("significant", 8)),
        ("[123457, 0.123457, 0.25]", Printed("significant", 6)),
        ("[0.50]", Printed("fixed", 2)),
        ("[0.000, 0.000]", Printed("fixed", 3)),
        ("[0.123456, 12.345678]", Printed("fixed", 6)),
        ("[0.001234, 0.234567, 0]", Printed("fixed", 6)),
        ("[1.50e-03, 2.25e+00]", Printed("significant", 3)),
    ],
)
def test_what_is_told_from_few_numbers(written, printed):
    assert printed_style(written) == printed


def test_half_a_unit_is_exact_at_powers_of_ten_and_at_the_ends_of_the_range():
    values = np.array([1.0, -10.0, 1000.0, 999999.0, 1e22, 1e23, 0.1, 1e-5, 9.99999e-6, 1e300, 1.7e308])
    half = Printed("significant", 6).half_unit(values)
    expected = [5e-6, 5e-5, 5e-3, 0.5, 5e16, 5e17, 5e-7, 5e-11, 5e-12, 5e294, 5e302]
    np.testing.assert_allclose(half, expected, rtol=1e-9)
    ends = np.array([[5e-324, 1e-320, 2.2e-308], [0.0, math.nan, -math.inf]])
    for printed in (Printed("significant", 3), Printed("significant", 17), Printed("significant", 10**9)):
        half = printed.half_unit(ends)
        assert half.shape == ends.shape
        assert (half[1] == 0).all()
        assert (half >= 0).all()
        assert (half <= np.abs(np.nan_to_num(ends))).all()
    assert Printed("fixed", 2).half_unit(ends)[1].tolist() == [0.005, 0.0, 0.0]
    assert Printed("fixed", 6).half_unit(0.5).shape == ()
    assert Printed("fixed", 10**9).half_unit(0.0) == 0.0
    assert Printed("significant", 17).half_unit(1.0) < 2e-16


@pytest.mark.parametrize(
    ("arrays", "loss", "printed"),
    [
        ("%.17g", "0.693147", Printed("significant", 6)),
        ("%.17g", "0.69314718055994529", Printed("significant", 17)),
        ("%.17g", "0.5", Printed("significant", 6)),
        ("%.17g", "2", None),
        ("%.3f", "0.693", Printed("fixed", 3)),
        ("%.3f", "0.6931471805599453", Printed("significant", 16)),
        ("%.3g", "0.69", Printed("significant", 3)),
        ("%d", "0.693147", Printed("significant", 6)),
        ("%d", "6.931472e-01", Printed("significant", 7)),
    ],
)
def test_the_loss_is_read_by_itself(tmp_path, arrays, loss, printed):
    path = tmp_path / "gradients.json"
    path.write_text(document(arrays, draw(0, 30, -3, 3)).replace("0.6931471805599453", loss))
    answer = read_gradients(path)
    assert answer.printed_loss == printed
    assert (answer.printed is None) == (arrays == "%d")


# reading


def arrays_of(answer):
    """All numbers of an answer, flat."""
    leaves = [leaf for layer in answer.params for leaf in (layer["weights"], layer.get("bias")) if leaf is not None]
    if isinstance(answer, Gradients):
        leaves += [answer.loss, answer.outputs, *answer.deltas, answer.ct_inputs]
    return np.concatenate([np.ravel(numbers("leaf", leaf)) for leaf in leaves])


def test_every_format_gives_the_same(tmp_path):
    (tmp_path / "gradients.json").write_text(json.dumps(GRADIENTS))
    first = read_gradients(tmp_path / "gradients.json")
    assert first.printed is not None
    for form in FORMATS:
        path = tmp_path / f"again.{form}"
        write_gradients(path, first)
        again = read_answer(path)
        assert isinstance(again, Gradients)
        assert (again.printed is None) == (form != "json")
        assert (again.printed_loss is None) == (form != "json")
        np.testing.assert_array_equal(arrays_of(again), arrays_of(first), strict=True)
        update = {name: value for name, value in UPDATE.items() if name != "params"}
        layers = [{name: np.array(leaf) for name, leaf in layer.items()} for layer in UPDATE["params"]]
        write_document(path, update | {"params": layers})
        after = read_answer(path)
        assert isinstance(after, Update)
        assert after.learning_rate == 0.1
        assert type(after.learning_rate) is float
        np.testing.assert_array_equal(arrays_of(after), arrays_of(read_update(path)), strict=True)


def test_layers_are_written_as_they_come_and_missing_fields_stay_missing(tmp_path):
    pairs = [([[1.0, 2.0]], [3.0, 4.0]), {"weights": np.ones((2, 1), np.float32), "bias": None}, np.ones((1, 1))]
    for form in FORMATS:
        write_gradients(tmp_path / f"pairs.{form}", Gradients(pairs))
        read = read_gradients(tmp_path / f"pairs.{form}")
        assert [sorted(layer) for layer in read.params] == [["bias", "weights"], ["weights"], ["weights"]]
        assert read[1:5] == (None,) * 4


def test_what_is_not_finite_is_for_the_judge(tmp_path, says):
    (tmp_path / "gradients.json").write_text(
        json.dumps({**GRADIENTS, "params": [{"weights": [[math.nan, math.inf]]}], "loss": -math.inf})
    )
    read = read_gradients(tmp_path / "gradients.json")
    assert str(read.params) == "[{'weights': [[nan, inf]]}]"
    says(FileError, ["gradients.json", "finite"], write_gradients, tmp_path / "gradients.json", read)
    for form in ("npz", "safetensors"):
        some = Gradients(read.params, read.loss)
        write_gradients(tmp_path / f"again.{form}", some, "float16" if form == "npz" else "bfloat16")
        again = read_answer(tmp_path / f"again.{form}")
        assert np.isnan(again.params[0]["weights"][0, 0])
        assert again.loss == -math.inf
    header = {name: GRADIENTS[name] for name in ("format", "version")} | {"loss": math.nan}
    for name, write in (("own.npz", npz), ("own.safetensors", tensors)):
        without = [f"params.{i}.{leaf}" for i in (0, 1) for leaf in ("weights", "bias")]
        without += ["inputs", "targets", "sample_weights"]
        (tmp_path / name).write_bytes(write(header, without=without[1:], **{without[0]: np.ones((2, 3))}))
        assert math.isnan(read_answer(tmp_path / name).loss)


def test_shapes_and_contents_of_arrays_are_for_the_judge(tmp_path, says):
    path = tmp_path / "gradients.json"
    odd = [
        {"weights": [[1.0], [2.0, 3.0]]},
        {"weights": 3 * [[0.5]], "bias": [[0.5]]},
        {"weights": ["a"], "bias": None},
    ]
    path.write_text(json.dumps(GRADIENTS | {"params": odd, "outputs": []}))
    read = read_answer(path)
    assert read.params == odd
    assert read.outputs == []
    says(ValueError, ["weights[1]", "1 entries", "got 2"], numbers, "weights", read.params[0]["weights"])
    says(TypeError, ["weights[0]", "a number", "'a'"], numbers, "weights", read.params[2]["weights"])


# bad input


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss": "0.5"}, ["loss", "number", "'0.5'"]),
        ({"loss": [0.5]}, ["loss", "number", "an array"]),
        ({"loss": True}, ["loss", "number", "True"]),
        ({"outputs": 1.0}, ["outputs", "array", "1.0"]),
        ({"params": []}, ["params"]),
        ({"params": {}}, ["params", "array", "an object"]),
        ({"params": [{"weights": "1"}]}, ["params.0.weights", "array", "'1'"]),
        ({"params": [{"bias": [1.0]}]}, ["params.0", "'weights'"]),
        ({"params": [{"weights": None}]}, ["params.0.weights", "array", "None"]),
        ({"params": [{"weights": [[1.0]], "bias": "one"}]}, ["params.0.bias", "array or number or null", "'one'"]),
        ({"params": [{"weights": [[1.0]], "biases": [1.0]}]}, ["params.0", "'biases'", "did you mean 'bias'?"]),
        ({"output": [[1.0]]}, ["'output'", "did you mean 'outputs'?"]),
        ({"version": 2}, ["version 1", "got 2"]),
        ({"format": None}, ["'functional-mlp/gradients' or 'functional-mlp/update'", "none"]),
        ({"format": 5}, ["'functional-mlp/gradients' or 'functional-mlp/update'", "got int"]),
        ({"format": "gradients"}, ["'functional-mlp/gradients' or 'functional-mlp/update'", "'gradients'"]),
        (UPDATE | {"learning_rate": 0}, ["unknown field 'loss'"]),
    ],
)
def test_a_document_that_is_none_is_refused_in_one_sentence(tmp_path, says, changes, words):
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(GRADIENTS | changes))
    says(FileError, [str(path), *words], read_answer, path)


@pytest.mark.parametrize("rate", ["0", "-0.1", "NaN", "1e999", '"0.1"', "[0.1]"])
def test_a_learning_rate_is_finite_and_above_0(tmp_path, says, rate):
    path = tmp_path / "update.json"
    path.write_text(json.dumps(UPDATE).replace('"learning_rate": 0.1', f'"learning_rate": {rate}'))
    says(FileError, [str(path), "learning_rate"], read_answer, path)
    says(FileError, [str(path), "learning_rate"], read_update, path)


def test_other_documents_are_refused_by_name(tmp_path, says):
    path = tmp_path / "case.json"
    path.write_bytes(text())
    either = "'functional-mlp/gradients' or 'functional-mlp/update', got 'functional-mlp/case'"
    says(FileError, [f"{path}: expected format {either}"], read_answer, path)
    says(FileError, ["expected format 'functional-mlp/gradients', got 'functional-mlp/case'"], read_gradients, path)
    for form, content in (("npz", npz()), ("safetensors", tensors())):
        (tmp_path / f"case.{form}").write_bytes(content)
        says(FileError, [f"case.{form}: expected format {either}"], read_answer, tmp_path / f"case.{form}")
    for kind, other in (("gradients", read_update), ("update", read_gradients), ("solution", read_answer)):
        path.write_text(json.dumps(EXAMPLES[kind]))
        says(FileError, ["expected format", f"got 'functional-mlp/{kind}'"], other, path)
    says(FileError, ["nowhere.json", "No such file"], read_answer, tmp_path / "nowhere.json")
    path.write_text(json.dumps(GRADIENTS))
    says(FileError, ["at most 100 bytes"], read_answer, path, 100)
    path.write_bytes(b"\xff")
    says(FileError, ["UTF-8"], read_answer, path)


def test_what_is_no_array_of_numbers_is_not_written(tmp_path, says):
    path = tmp_path / "gradients.npz"
    says(
        FileError, [str(path), "params[1].bias", "number"], write_gradients, path, Gradients([[[1.0]], ([[1.0]], "a")])
    )
    says(FileError, ["loss", "shape ()"], write_gradients, path, Gradients([[[1.0]]], loss=[1.0, 2.0]))
    says(
        FileError,
        ["deltas[1]", "1 entries"],
        write_gradients,
        path,
        Gradients([[[1.0]]], deltas=[[[1]], [[1], [2, 3]]]),
    )
    says(
        FileError,
        ["params[0].weights[0, 1]", "float32", "0.1"],
        write_gradients,
        path,
        Gradients([[[1, 0.1]]]),
        "float32",
    )
    says(FileError, ["outputs[0, 0]", "float16"], write_gradients, path, Gradients([[[1]]], outputs=[[1e6]]), "float16")
    says(ValueError, ["float23", "float32"], write_gradients, path, Gradients([[[1.0]]]), "float23")
    says(FileError, ["bfloat16", ".safetensors"], write_gradients, path, Gradients([[[1.0]]]), "bfloat16")
    says(FileError, [".json"], write_gradients, tmp_path / "gradients.txt", Gradients([[[1.0]]]))
    assert not list(tmp_path.iterdir())
    half = np.array([[0.1]], ml_dtypes.bfloat16)
    write_gradients(tmp_path / "half.safetensors", Gradients([half]), "bfloat16")
    assert read_gradients(tmp_path / "half.safetensors").params[0]["weights"].dtype == half.dtype


# size


# beartype makes the reading of integers slow
@pytest.mark.parametrize(("form", "size"), [("%.17g", 2**22), ("%g", 2**21), ("%d", 2**17)])
def test_memory_for_many_numbers_is_bounded(tmp_path, form, size):
    path = tmp_path / "gradients.json"
    block = document(form, draw(0, 10_000, -3, 3))
    start, stop = block.index("[[") + 1, block.index("]]") + 1
    rows = [block[start:stop]] * (size // (stop - start))
    path.write_text(block[:start] + ",".join(rows) + block[stop:])
    tracemalloc.start()
    try:
        answer = read_answer(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(answer.params[0]["weights"]) == len(rows)
    assert peak < formats.JSON_MEMORY * path.stat().st_size


@pytest.mark.parametrize("form", FORMATS)
def test_an_update_is_written_and_read_back(form, tmp_path):
    path = tmp_path / f"update.{form}"
    layers = [(np.array([[0.1, 1e-300]]), np.array([-0.0, 2.0])), (np.array([[0.5], [1 / 3]]), None)]
    for arguments in ((layers, 0.1), (Update(layers, 0.1),)):
        write_update(path, *arguments)
        read = read_update(path)
        assert read.learning_rate == 0.1
        for layer, (weights, bias) in zip(read.params, layers, strict=True):
            assert np.asarray(layer["weights"]).tobytes() == weights.tobytes()
            assert ("bias" in layer) == (bias is not None)
    write_update(path, Update(layers, 0.1), 0.25)
    assert read_answer(path).learning_rate == 0.25
    again = tmp_path / f"again.{form}"
    write_update(again, read_update(path))
    assert again.read_bytes() == path.read_bytes()


def test_an_update_is_written_in_a_narrower_dtype(tmp_path, says):
    path = tmp_path / "update.safetensors"
    write_update(path, [np.ones((2, 1))], 0.5, "float16")
    assert read_update(path).params[0]["weights"].dtype == np.float16
    says(FileError, ["params[0].weights[0, 0]", "float16"], write_update, path, [[[0.1]]], 0.5, "float16")


def test_arguments_that_are_something_else_are_one_sentence(tmp_path, says):
    path, layers = tmp_path / "answer.json", [[[1.0]]]
    says(TypeError, ["path", "got Gradients"], write_gradients, Gradients(layers), path)
    says(TypeError, ["path", "got list"], write_gradients, layers, path)
    says(TypeError, ["oracle.Gradients", "got dict"], write_gradients, path, {"weights": [[1.0]]})
    says(TypeError, ["oracle.Gradients", "got Update"], write_gradients, path, Update(layers, 0.1))
    says(TypeError, ["path", "got list"], write_update, layers, path, 0.1)
    says(TypeError, ["params_after", "oracle.Update", "got float"], write_update, path, 0.1, layers)
    says(TypeError, ["params_after", "oracle.Update", "got Gradients"], write_update, path, Gradients(layers), 0.1)
    says(TypeError, ["learning_rate", "none"], write_update, path, layers)
    says(TypeError, ["learning_rate", "real number"], write_update, path, layers, "0.1")
    says(ValueError, ["learning_rate", "above 0"], write_update, path, layers, 0.0)
    says(ValueError, ["float23", "float32"], write_update, path, layers, 0.1, "float23")
    for read in (read_answer, read_gradients, read_update):
        says(TypeError, ["path", "got list"], read, [path])
    assert not path.exists()
    write_gradients(path, layers)
    assert read_gradients(path).params == [{"weights": [[1.0]]}]
