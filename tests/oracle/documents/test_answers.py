"""Answers read from files, and how many digits of their numbers were printed: judged from whole texts."""

import json
import math
import tracemalloc

import ml_dtypes
import numpy as np
import pytest

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
from functional_mlp.oracle.documents.schema import write_document
from tests.helpers.documents import EXAMPLES, FORMATS, npz, tensors, text
from tests.helpers.printers import draw, row

GRADIENTS, UPDATE = EXAMPLES["gradients"], EXAMPLES["update"]


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
    block = row(form, draw(0, 10_000, -3, 3))
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
