"""A case: what is taken, in which forms, and what is refused with which words."""

import dataclasses
import itertools
from typing import NamedTuple

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp._dtypes import DTYPES
from functional_mlp.oracle.case.case import Case, declared_data
from functional_mlp.oracle.case.layouts import Layer, Layout, canonical_layer, declared_layer
from functional_mlp.oracle.case.random_cases import draw_case

NETWORK = fm.Network((2, 3, 1), ("tanh", "sigmoid"))
LOSS = fm.Loss("binary_cross_entropy")
WEIGHTS = [[[0.5, -1.0, 2.0], [0.25, 0.0, -3.0]], [[1.0], [-2.0], [0.125]]]
BIASES = [[1.0, 0.0, -0.5], [0.75]]
PARAMS = list(zip(WEIGHTS, BIASES, strict=True))
INPUTS = [[1.0, 2.0], [-3.5, 0.0], [0.5, 4.0], [0.0, 0.0]]
TARGETS = [[1.0], [0.0], [0.5], [1.0]]


class Linear:
    def __init__(self, weights, bias):
        self.weights, self.bias = weights, bias


class NoArray:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("call .detach() first")


class Bare(NamedTuple):
    weights: list


def make(**changes):
    fields = {"network": NETWORK, "loss": LOSS, "params": PARAMS, "inputs": INPUTS, "targets": TARGETS}
    return Case(**(fields | changes))


def assert_plain(case):
    """Every array of the case is float64, in C order, and cannot be written to."""
    for array in (case.inputs, case.targets, *(leaf for layer in case.params for leaf in layer if leaf is not None)):
        assert isinstance(array, np.ndarray)
        assert array.dtype == np.float64
        assert array.flags.c_contiguous
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def pairs(convert):
    return [(convert(weights), convert(bias)) for weights, bias in PARAMS]


FORMS = {
    "lists": PARAMS,
    "tuples": tuple(tuple(layer) for layer in PARAMS),
    "lists of two": [list(layer) for layer in PARAMS],
    "NumPy": pairs(np.array),
    "NumPy, Fortran order": [(np.asfortranarray(w), np.array(b)) for w, b in PARAMS],
    "NumPy float32": pairs(np.float32),
    "NumPy, the other byte order": pairs(lambda leaf: np.array(leaf, ">f8")),
    "bfloat16": pairs(lambda leaf: np.array(leaf, ml_dtypes.bfloat16)),
    "JAX": pairs(jnp.asarray),
    "rows of NumPy": [([np.array(row) for row in w], b) for w, b in PARAMS],
    "Dense": [fm.Dense(jnp.asarray(w), jnp.asarray(b)) for w, b in PARAMS],
    "Layer": [Layer(np.array(w), np.array(b)) for w, b in PARAMS],
    "mappings": [{"weights": w, "bias": b} for w, b in PARAMS],
    "objects": [Linear(w, b) for w, b in PARAMS],
    "biases as rows": [(w, [b]) for w, b in PARAMS],
    "biases as NumPy rows": [(np.array(w), np.array([b])) for w, b in PARAMS],
    "biases as columns": [(w, np.array(b)[:, None]) for w, b in PARAMS],
    "the bias of one unit as a number": [PARAMS[0], (WEIGHTS[1], BIASES[1][0])],
    "one list": [np.array(leaf) for layer in PARAMS for leaf in layer],
    "two lists": (WEIGHTS, BIASES),
    "a dict": {"W1": WEIGHTS[0], "b1": BIASES[0], "W2": WEIGHTS[1], "b2": BIASES[1]},
    "names of modules": dict(zip(("0.weight", "0.bias", "2.weight", "2.bias"), itertools.chain(*PARAMS), strict=True)),
    "weights turned": [(np.array(w).T, b) for w, b in PARAMS],
}


@pytest.mark.parametrize("form", FORMS)
def test_parameters_are_taken_as_they_come(form):
    case = make(params=FORMS[form])
    assert_plain(case)
    assert [(layer.weights.tolist(), layer.bias.tolist()) for layer in case.params] == PARAMS


WITHOUT_BIAS = {
    "lists": WEIGHTS,
    "arrays": [np.array(w) for w in WEIGHTS],
    "None": [(w, None) for w in WEIGHTS],
    "mappings": [{"weights": w} for w in WEIGHTS],
    "mappings to None": [{"weights": w, "bias": None} for w in WEIGHTS],
    "objects": [Bare(w) for w in WEIGHTS],
    "Dense": [fm.Dense(jnp.asarray(w), None) for w in WEIGHTS],
}


@pytest.mark.parametrize("form", WITHOUT_BIAS)
def test_layers_without_bias(form):
    case = make(params=WITHOUT_BIAS[form])
    assert [layer.weights.tolist() for layer in case.params] == WEIGHTS
    assert [layer.bias for layer in case.params] == [None, None]


def test_a_matrix_of_two_rows_is_no_pair():
    network = fm.Network((2, 2), "tanh")
    matrix = [[1.0, 2.0], [3.0, 4.0]]
    for params in ([matrix], [tuple(map(tuple, matrix))], [[np.array(row) for row in matrix]]):
        case = Case(network, None, params, [[0.0, 0.0]], ct_outputs=[[1.0, 1.0]])
        assert case.params[0].weights.tolist() == matrix
        assert case.params[0].bias is None


@pytest.mark.parametrize("weights_layout", ["in_out", "out_in"])
@pytest.mark.parametrize("bias_layout", ["separate", "first_row", "last_row"])
def test_declared_layouts_come_to_the_same_and_go_back(weights_layout, bias_layout):
    declared = [declared_layer((np.array(w), np.array(b)), Layout(weights_layout, bias_layout)) for w, b in PARAMS]
    case = make(params=declared, weights_layout=weights_layout, bias_layout=bias_layout)
    assert_plain(case)
    assert [(layer.weights.tolist(), layer.bias.tolist()) for layer in case.params] == PARAMS
    separate = {"in_out": (2, 3), "out_in": (3, 2)}[weights_layout]
    assert declared[0]["weights"].shape == (separate if bias_layout == "separate" else (3, 3))
    again = canonical_layer("layer", declared[1], (3, 1), Layout(weights_layout, bias_layout))
    assert again.weights.tolist() == WEIGHTS[1]


def test_samples_as_columns_are_found_where_the_shapes_leave_one_reading():
    case = make(inputs=np.array(INPUTS).T, targets=np.array(TARGETS).T)
    assert_plain(case)
    assert case.layout.samples == "columns"
    assert (case.inputs.tolist(), case.targets.tolist()) == (INPUTS, TARGETS)
    square = make(inputs=INPUTS[:2], targets=TARGETS[:2])
    assert square.layout.samples == "rows"
    turned = make(inputs=np.array(INPUTS[:2]).T, targets=np.array(TARGETS[:2]).T, layout={"samples": "columns"})
    np.testing.assert_array_equal(turned.inputs, square.inputs)


def test_class_labels_are_one_hot_rows():
    labels = [1, 0, 0, 1]
    for form in (labels, np.array(labels), np.array(labels, float), np.array(labels)[:, None]):
        case = make(**TWO_CLASSES, targets=form)
        assert case.targets.tolist() == [[0, 1], [1, 0], [1, 0], [0, 1]]
        assert case.layout.targets == "labels"


def test_targets_of_one_output_may_be_a_vector():
    assert make(targets=np.ravel(TARGETS)) == make()


def test_bits_of_one_output_may_be_written_as_class_labels():
    loss = fm.Loss("binary_cross_entropy")
    case = Case(fm.Network((2, 1), "sigmoid"), loss, [([[1], [2]], [0])], [[1, 2], [3, 4]], [[1], [0]])
    labels = declared_data(case.laid_out({"targets": "labels"}))["targets"]
    assert labels.tolist() == [1, 0]
    assert labels.dtype.kind == "i"


def test_last_row_by_hand():
    case = make(params=[[*w, b] for w, b in PARAMS], bias_layout="last_row")
    assert case.params[0].bias.tolist() == BIASES[0]
    columns = [np.array([*w, b]).T for w, b in PARAMS]
    assert make(params=columns, bias_layout="last_row", weights_layout="out_in").params[1].bias.tolist() == BIASES[1]


def test_the_arrays_of_the_caller_are_neither_shared_nor_frozen():
    params = [(np.array(w), np.array([b])) for w, b in PARAMS]
    inputs, targets, sample_weights = np.array(INPUTS), np.array(TARGETS), np.ones(4)
    given = [inputs, targets, sample_weights, *(leaf for layer in params for leaf in layer)]
    case = make(params=params, inputs=inputs, targets=targets, sample_weights=sample_weights)
    held = [case.inputs, case.targets, case.sample_weights, *(leaf for layer in case.params for leaf in layer)]
    before = [array.copy() for array in held]
    for array in given:
        array[...] = 99
    for array, copy in zip(held, before, strict=True):
        np.testing.assert_array_equal(array, copy)
        assert not any(np.shares_memory(array, one) for one in given)


def test_data_of_other_types():
    case = make(
        inputs=np.array(INPUTS, np.float16), targets=jnp.asarray(TARGETS, jnp.int32), sample_weights=(1, 0, 2, 3)
    )
    assert_plain(case)
    assert case.inputs.tolist() == INPUTS
    assert case.sample_weights.tolist() == [1, 0, 2, 3]
    exact = Case(NETWORK, None, PARAMS, np.full((1, 2), -(2**63)), ct_outputs=np.array([[2**64 - 2**11]], np.uint64))
    assert exact.inputs.tolist() == [[-(2.0**63)] * 2]
    assert exact.ct_outputs.tolist() == [[2.0**64 - 2.0**11]]


def test_every_dtype_takes_its_own_extremes():
    for name, dtype in DTYPES.items():
        limits = ml_dtypes.finfo(dtype)
        extremes = [[float(limits.max), float(limits.smallest_subnormal)], [-0.0, float(limits.min)]]
        case = make(inputs=extremes, targets=TARGETS[:2], dtype=name)
        assert case.inputs.tolist() == extremes
        assert np.signbit(case.inputs[1, 0])


def changed(name, value):
    return lambda: make(**{name: value})


class Refused(NamedTuple):
    error: type[Exception]
    words: list[str]
    make: object


VJP = {"loss": None, "targets": None}
TWO_CLASSES = {
    "network": fm.Network((2, 2), "softmax"),
    "loss": fm.Loss("categorical_cross_entropy"),
    "params": [np.ones((2, 2))],
}
BAD = {
    "network a list": Refused(TypeError, ["network", "list"], changed("network", [2, 1])),
    "loss a name": Refused(TypeError, ["loss", "functional_mlp.Loss", "str"], changed("loss", "squared_error")),
    "an inadmissible loss": Refused(
        ValueError, ["binary_cross_entropy"], changed("network", fm.Network((2, 3, 1), "tanh"))
    ),
    "name a number": Refused(TypeError, ["name", "int"], changed("name", 7)),
    "a name of two lines": Refused(ValueError, ["name", "printable", r"a\nb"], changed("name", "a\nb")),
    "a name too long": Refused(ValueError, ["name", "1000"], changed("name", "a" * 1001)),
    "an unknown dtype": Refused(ValueError, ["'float23'", "'float32'"], changed("dtype", "float23")),
    "a dtype that is none": Refused(TypeError, ["dtype", "float32"], changed("dtype", np.float32)),
    "an unknown layout": Refused(ValueError, ["'in_ou'", "'in_out'"], changed("weights_layout", "in_ou")),
    "an unknown bias layout": Refused(ValueError, ["last_row"], changed("bias_layout", "middle_row")),
    "params an array": Refused(TypeError, ["params", "one layer", "ndarray"], changed("params", np.ones((2, 3)))),
    "params a mapping": Refused(TypeError, ["params", "dict"], changed("params", {"weights": 1})),
    "too few layers": Refused(ValueError, ["2 layers", "got 1"], changed("params", PARAMS[:1])),
    "weights transposed in one layer": Refused(
        ValueError, ["params[0].weights", "(2, 3)", "(3, 2)"], changed("params", [np.ones((3, 2)), np.ones((3, 1))])
    ),
    "biases in the weights, undeclared": Refused(
        ValueError,
        ["params[0].weights", "(2, 3)", "(3, 3)", "'first_row' or 'last_row'"],
        changed("params", [np.ones((3, 3)), np.ones((4, 1))]),
    ),
    "weights flat": Refused(ValueError, ["params[1].weights", "(3, 1)"], changed("params", [WEIGHTS[0], np.ones(3)])),
    "weights ragged": Refused(
        ValueError,
        ["params[0].weights[1]", "3 entries", "got 1"],
        changed("params", [([[1, 2, 3], [4]], [1]), PARAMS[1]]),
    ),
    "weights of texts": Refused(
        TypeError, ["params[0].weights[0][0]", "'a'"], changed("params", [[["a"] * 3] * 2, PARAMS[1]])
    ),
    "bias too long": Refused(
        ValueError, ["params[0].bias", "(3,)", "(4,)"], changed("params", [(WEIGHTS[0], np.ones(4)), PARAMS[1]])
    ),
    "one bias for all units": Refused(
        ValueError, ["params[0].bias", "(3,)", "()"], changed("params", [(WEIGHTS[0], 0.5), PARAMS[1]])
    ),
    "unknown field of a layer": Refused(
        ValueError, ["params[0]", "weights and bias", "history"], changed("params", [{"history": 1}, PARAMS[1]])
    ),
    "layer a text": Refused(TypeError, ["params[0].weights", "U4"], changed("params", ["tanh", PARAMS[1]])),
    "layer None": Refused(TypeError, ["params[0].weights", "object"], changed("params", [None, PARAMS[1]])),
    "a bias beside last_row": Refused(
        ValueError,
        ["params[0].bias", "last_row"],
        lambda: make(params=[([*WEIGHTS[0], [0] * 3], [1] * 3), [*WEIGHTS[1], [0]]], bias_layout="last_row"),
    ),
    "inputs flat": Refused(ValueError, ["inputs", "(n, 2)", "(2,)"], changed("inputs", [1.0, 2.0])),
    "inputs too wide": Refused(ValueError, ["inputs", "(n, 2)", "(4, 3)"], changed("inputs", np.ones((4, 3)))),
    "no samples": Refused(ValueError, ["inputs", "one sample", "(0, 2)"], changed("inputs", np.ones((0, 2)))),
    "inputs ragged": Refused(
        ValueError, ["inputs[2]", "2 entries", "got 3"], changed("inputs", [[1, 2]] * 2 + [[1] * 3])
    ),
    "inputs complex": Refused(TypeError, ["inputs", "complex128"], changed("inputs", np.ones((4, 2), complex))),
    "inputs durations": Refused(TypeError, ["inputs", "timedelta64"], changed("inputs", np.ones((4, 2), "m8[s]"))),
    "inputs booleans": Refused(TypeError, ["inputs", "bool"], changed("inputs", np.ones((4, 2), bool))),
    "a boolean among numbers": Refused(
        TypeError, ["inputs[1][0]", "True"], changed("inputs", [[1, 2], [True, 0.5], [1, 1], [1, 1]])
    ),
    "a NumPy boolean among numbers": Refused(
        TypeError, ["inputs[0][1]", "boolean"], changed("inputs", [[1.5, np.True_]] * 4)
    ),
    "an integer too large": Refused(TypeError, ["inputs", "64 bits"], changed("inputs", [[10**5000, 1.5]] * 4)),
    "an integer that is no float64": Refused(
        ValueError, ["inputs", "integers"], changed("inputs", [[2**53 + 1, 0]] * 4)
    ),
    "the largest integer": Refused(ValueError, ["inputs", "integers"], changed("inputs", np.full((4, 2), 2**63 - 1))),
    "no array": Refused(TypeError, ["inputs", "NoArray"], changed("inputs", NoArray())),
    "a stranger": Refused(TypeError, ["inputs", "object"], changed("inputs", object())),
    "NaN": Refused(
        ValueError, ["inputs[2, 1]", "finite", "nan"], changed("inputs", [*INPUTS[:2], [0, np.nan], [0, 0]])
    ),
    "infinity": Refused(ValueError, ["targets[3, 0]", "finite", "inf"], changed("targets", [*TARGETS[:3], [np.inf]])),
    "not representable": Refused(
        ValueError,
        ["inputs[0, 0]", "float16", "0.1", "nearest", "0.0999755859375"],
        lambda: make(inputs=[[0.1, 0.0]] * 4, dtype="float16"),
    ),
    "underflow": Refused(
        ValueError, ["inputs[0, 1]", "float32", "1e-50"], lambda: make(inputs=[[0.5, 1e-50]] * 4, dtype="float32")
    ),
    "not representable, in the declared layout": Refused(
        ValueError,
        ["params[0].weights[2, 0]", "float32"],
        lambda: make(
            params=[(np.array([[1, 1], [1, 1], [0.1, 1]]), None), np.ones((1, 3))],
            weights_layout="out_in",
            dtype="float32",
        ),
    ),
    "no targets": Refused(ValueError, ["targets", "binary_cross_entropy", "none"], changed("targets", None)),
    "targets too wide": Refused(ValueError, ["targets", "(4, 1)", "(4, 2)"], changed("targets", np.ones((4, 2)))),
    "targets flat, of two outputs": Refused(
        ValueError,
        ["targets", "(4, 2)", "(4,)"],
        lambda: make(network=fm.Network((2, 2), "sigmoid"), params=[np.ones((2, 2))], targets=np.ones(4)),
    ),
    "class labels beyond the classes": Refused(
        ValueError,
        ["class labels", "from 0 to 1", "2 at sample 3"],
        lambda: make(**TWO_CLASSES, targets=[0, 1, 1, 2]),
    ),
    "class labels that are no integers": Refused(
        ValueError, ["class labels", "0.5 for sample 1"], lambda: make(**TWO_CLASSES, targets=[0, 0.5, 1, 1])
    ),
    "class labels of a layout without them": Refused(
        ValueError, ["one-hot"], lambda: make().laid_out({"targets": "labels"})
    ),
    "an unknown field of a layout": Refused(ValueError, ["'weihgts'", "'weights'"], changed("layout", {"weihgts": 1})),
    "an unknown layout by name": Refused(ValueError, ["'column'", "'columns'"], changed("layout", "column")),
    "a layout that is none": Refused(TypeError, ["layout", "oracle.Layout", "int"], changed("layout", 1)),
    "a column of weights whose columns are units": Refused(
        ValueError, ["out_in", "last_column", "last_row"], lambda: make(layout={"bias": "last_column"})
    ),
    "targets and ct_outputs": Refused(ValueError, ["ct_outputs", "both"], changed("ct_outputs", TARGETS)),
    "neither": Refused(ValueError, ["ct_outputs", "neither"], lambda: make(**VJP)),
    "targets without loss": Refused(ValueError, ["targets", "ct_outputs"], changed("loss", None)),
    "sample weights without loss": Refused(
        ValueError, ["sample_weights", "loss"], lambda: make(**VJP, ct_outputs=TARGETS, sample_weights=[1] * 4)
    ),
    "ct_outputs too long": Refused(
        ValueError, ["ct_outputs", "(4, 1)", "(5, 1)"], lambda: make(**VJP, ct_outputs=np.ones((5, 1)))
    ),
    "sample weights too few": Refused(
        ValueError, ["sample_weights", "(4,)", "(3,)"], changed("sample_weights", [1] * 3)
    ),
    "negative sample weights": Refused(
        ValueError, ["sample_weights", "negative"], changed("sample_weights", [1, 1, -1, 1])
    ),
    "sample weights all 0": Refused(
        ValueError, ["sample_weights", "not all 0"], changed("sample_weights", [0, -0.0, 0, 0])
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_case_is_refused_with_the_place(name, says):
    says(BAD[name].error, BAD[name].words, BAD[name].make)


def test_equal_cases_are_equal_and_have_one_hash():
    case, again = make(), make()
    assert case == again
    assert hash(case) == hash(again)
    assert {case: 1}[again] == 1
    assert case != "a case"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "another"},
        {"inputs": np.nextafter(make().inputs, 9)},
        {"inputs": -np.abs(make().inputs)},
        {"targets": 1.0 - make().targets},
        {"sample_weights": np.ones(len(make().inputs))},
        {"loss": fm.Loss("binary_cross_entropy", scale=0.5)},
        {"params": [(weights, None) for weights, _ in make().params]},
        {"network": fm.Network((2, 3, 1), ("relu", "sigmoid"))},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_cases_that_differ_in_one_field_are_not_equal(changes):
    assert make() != make(**changes)


def test_zeros_of_both_signs_and_layouts_tell_cases_apart():
    case = make()
    zeros, minus = (make(inputs=sign * np.zeros_like(case.inputs)) for sign in (1.0, -1.0))
    assert zeros != minus
    square = square_case()
    turned = dataclasses.replace(square, params=[(w.T, b) for w, b in square.params], weights_layout="out_in")
    np.testing.assert_array_equal(square.params[0].weights, turned.params[0].weights)
    assert square != turned  # its files differ


def square_case():
    params = [([[1.0, 2.0], [3.0, 4.0]], [1.0, 2.0])]
    return Case(fm.Network((2, 2), "tanh"), fm.Loss("squared_error"), params, [[1.0, 2.0]], [[0.0, 1.0]])


def test_what_is_drawn_needs_a_network_and_a_loss(says):
    says(TypeError, ["functional_mlp.Network", "got tuple"], draw_case, (2, 1), fm.Loss("squared_error"))
    says(TypeError, ["functional_mlp.Loss", "got str"], draw_case, fm.Network((2, 1)), "squared_error")


# at other parameters


@pytest.mark.parametrize("rows", [slice(0, 4), slice(1, 3), slice(3, 4)])
def test_some_samples_at_other_parameters_are_the_case_that_is_checked(rows):
    case = make(sample_weights=[1.0, 0.0, 2.0, 0.5], name="four", dtype="bfloat16", weights_layout="in_out")
    params = [(np.array(w) / 3, np.array(b) / 3) for w, b in PARAMS]
    weights, data = case.sample_weights[rows], (case.inputs[rows], case.targets[rows])
    batch = case.laid_out("torch").at(rows, params)
    assert batch == make(
        params=params, inputs=data[0], targets=data[1], sample_weights=weights, name="four", layout=batch.layout
    )
    assert (batch.dtype, batch.layout) == ("float64", Layout().settled())
    assert_plain(batch)
    params[0][0][0, 0] = 7.0
    assert batch.params[0].weights[0, 0] == WEIGHTS[0][0][0] / 3


def test_what_is_no_case_is_refused_at_other_parameters_too():
    case = make(sample_weights=[1.0, 0.0, 0.0, 0.0])
    endless = [(np.array(w), np.array(b)) for w, b in PARAMS]
    endless[1][1][0] = np.inf
    with pytest.raises(ValueError, match=r"expected params\[1\]\.bias\[0\] to be finite, got inf"):
        case.at(slice(0, 4), endless)
    with pytest.raises(ValueError, match=r"expected params\[0\]\.bias of shape \(3,\), got \(4, 3\)"):
        case.at(slice(0, 4), [(WEIGHTS[0], np.zeros((4, 3))), PARAMS[1]])
    with pytest.raises(ValueError, match="not all 0"):
        case.at(slice(1, 3), PARAMS)


def test_booleans_are_said_to_be_made_numbers(says):
    case = draw_case(fm.Network((2, 1), "sigmoid"), fm.Loss("binary_cross_entropy"), samples=2)
    data = (case.network, case.loss, case.params, case.inputs, np.array([[True], [False]]))
    says(TypeError, ["bool", "targets.astype(float)"], Case, *data)
