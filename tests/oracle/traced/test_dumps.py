"""Arrays that a program dumped, put back in the places that their names say."""

import numpy as np
import pytest
import safetensors.numpy

from functional_mlp.files import FileError
from functional_mlp.oracle.documents.arrays import read_arrays
from functional_mlp.oracle.traced.dumps import arguments_in, gradients_in, nested, outputs_in

A, B = np.arange(3.0), np.ones((2, 2), np.float32)


def scaled(x, params, groups=2, /):
    return x


@pytest.mark.parametrize(
    "names",
    [("x", "params.w", "params.b"), ("0", "1.w", "1.b"), ("arr_0", "params.w", "params.b")],
)
def test_arguments_are_found_by_name_or_number(names):
    x, params, groups = arguments_in(scaled, dict(zip(names, (A, B, A), strict=True)) | {"groups": np.array(3)}, "f")
    assert x is A
    assert [params["w"] is B, params["b"] is A] == [True, True]
    assert groups == 3
    assert isinstance(groups, int)
    gradients = gradients_in(scaled, (x, params), {names[1]: B}, "g")
    assert gradients[0] is None
    assert gradients[1]["w"] is B
    assert gradients[1]["b"] is None


def test_numbered_parts_are_lists_and_what_has_a_default_may_be_missing():
    _, params = arguments_in(scaled, {"x": A, "params.0.w": A, "params.1.w": B}, "f")
    assert [sorted(layer) for layer in params] == [["w"], ["w"]]
    assert arguments_in(lambda *xs: xs, {"0": A, "1": B}, "f")[1] is B
    assert arguments_in(lambda x, n=4, y=None: x, {"x": A, "y": B}, "f")[1] == 4


def test_outputs_are_named_by_their_place():
    assert outputs_in({"anything": A}, "f") is A
    assert outputs_in({"0": A, "1": B}, "f")[1] is B
    assert outputs_in({"loss": A, "aux.0": B}, "f")["aux"][0] is B


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"y": A}, "'y' belongs to no argument of scaled, whose arguments are x, params and groups"),
        ({"x": A}, "an array for the argument params of scaled, got none"),
        ({"x": A, "0": A, "1": A}, "argument 0 stands twice"),
        ({"params": A}, "an array for the argument x"),
        ({"x": A, "params": A, "params.w": A}, "stands within another array"),
        ({"x": A, "params.w": A, "params": A}, "stands where others stand within"),
        ({"x": A, "params.0": A, "params.2": A}, "numbered from 0 on, got 0 and 2"),
        ({"x" + ".y" * 9: A}, "at most 8 parts"),
    ],
)
def test_names_that_fit_nowhere_are_refused(arrays, words):
    with pytest.raises(FileError, match=words):
        arguments_in(scaled, arrays, "file.npz")


def test_a_gradient_of_nothing_is_refused():
    with pytest.raises(FileError, match=r"'params.v' is the gradient of no argument; expected some of x and params.w"):
        gradients_in(scaled, (A, {"w": B}), {"params.v": B}, "g")
    assert nested({"a": A}, "f") == {"a": A}


# files


def test_npz_and_safetensors_hold_floats_integers_and_booleans(tmp_path):
    arrays = {"x": B, "labels": np.array([1, 2]), "mask": np.array([True, False])}
    np.savez(tmp_path / "a.npz", **arrays)
    safetensors.numpy.save_file(arrays, tmp_path / "a.safetensors")
    for name in ("a.npz", "a.safetensors"):
        read = read_arrays(tmp_path / name)
        assert read.keys() == arrays.keys()
        for key, array in arrays.items():
            assert read[key].dtype == array.dtype
            np.testing.assert_array_equal(read[key], array)


def test_hostile_files_are_refused_in_one_sentence(tmp_path):
    np.savez(tmp_path / "objects.npz", x=np.array([{}], dtype=object))
    np.savez(tmp_path / "bfloat16.npz", x=np.zeros(2, np.dtype("V2")))
    np.savez(tmp_path / "large.npz", x=np.zeros(1000))
    np.savez(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text('{"x": 1}')
    (tmp_path / "cut.npz").write_bytes((tmp_path / "large.npz").read_bytes()[:500])
    words = {
        "objects": "never unpickled",
        "bfloat16": "NPZ has no bfloat16: use safetensors",
        "large": "more than the 5000 allowed|at most 5000 bytes",
        "none": "between 1 and 10000 arrays, got 0",
        "text": "NPZ or safetensors, got another format",
        "cut": "not a readable NPZ archive",
    }
    for name, said in words.items():
        with pytest.raises(FileError, match=said):
            read_arrays(tmp_path / f"{name}.npz", 5000)
