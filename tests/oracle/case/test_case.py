"""A case: what is taken, in which forms, and what is refused with which words."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp._dtypes import DTYPES
from functional_mlp.oracle.case.arrays import Layer, canonical_layer, declared_layer
from functional_mlp.oracle.case.case import Case
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
@pytest.mark.parametrize("bias_layout", ["separate", "last_row"])
def test_declared_layouts_come_to_the_same_and_go_back(weights_layout, bias_layout):
    declared = [declared_layer((np.array(w), np.array(b)), weights_layout, bias_layout) for w, b in PARAMS]
    case = make(params=declared, weights_layout=weights_layout, bias_layout=bias_layout)
    assert_plain(case)
    assert [(layer.weights.tolist(), layer.bias.tolist()) for layer in case.params] == PARAMS
    shape = {"in_outseparate": (2, 3), "out_inseparate": (3, 2), "in_outlast_row": (3, 3), "out_inlast_row": (3, 3)}
    assert declared[0]["weights"].shape == shape[weights_layout + bias_layout]
    again = canonical_layer("layer", declared[1], (3, 1), weights_layout, bias_layout)
    assert again.weights.tolist() == WEIGHTS[1]


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
    "an unknown bias layout": Refused(ValueError, ["last_row"], changed("bias_layout", "first_row")),
    "params an array": Refused(TypeError, ["params", "one layer", "ndarray"], changed("params", np.ones((2, 3)))),
    "params a mapping": Refused(TypeError, ["params", "dict"], changed("params", {"weights": 1})),
    "too few layers": Refused(ValueError, ["2 layers", "got 1"], changed("params", PARAMS[:1])),
    "weights transposed": Refused(
        ValueError, ["params[0].weights", "(2, 3)", "(3, 2)"], changed("params", [np.ones((3, 2)), np.ones((3, 1))])
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
    "bias as a column": Refused(
        ValueError, ["params[0].bias", "(3,)", "(3, 1)"], changed("params", [(WEIGHTS[0], np.ones((3, 1))), PARAMS[1]])
    ),
    "unknown field of a layer": Refused(
        ValueError, ["params[0]", "weights and bias", "kernel"], changed("params", [{"kernel": 1}, PARAMS[1]])
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
    "targets flat": Refused(ValueError, ["targets", "(4, 1)", "(4,)"], changed("targets", np.ones(4))),
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
