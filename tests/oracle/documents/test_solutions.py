"""Solutions as files: what `solve` returned is read back bit for bit, from every format and in every layout."""

import json

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.files import FileError
from functional_mlp.oracle.case import Layout, as_rows, declared_layer
from tests.helpers.documents import EXAMPLES, FORMATS

NETWORK = fm.Network((3, 4, 4, 2), ("tanh", "relu", "identity"))
LAYOUTS = [
    Layout(),
    Layout("out_in"),
    Layout("in_out", "last_row"),
    Layout("out_in", "last_row"),
    Layout("in_out", "first_row"),
    Layout("out_in", "column", "columns"),
]


def case_in(layout=LAYOUTS[0], loss=fm.Loss("squared_error", l2=0.5)):  # noqa: B008
    drawn = oracle.draw_case(NETWORK, loss, samples=5, seed=3, name="a question")
    params = [declared_layer(layer, layout) for layer in drawn.params]
    data = (
        None if array is None else as_rows(array, layout) for array in (drawn.inputs, drawn.targets, drawn.ct_outputs)
    )
    return oracle.Case(NETWORK, loss, params, *data, name=drawn.name, layout=layout)


def arrays_of(solution):
    """Every array of a solution, in one order."""
    grads = [leaf for layer in solution.grads for leaf in layer if leaf is not None]
    lists = [*solution.pre_activations, *solution.activations, *solution.deltas]
    return [*grads, *lists, solution.outputs, solution.ct_inputs]


def require_same(read, solution):
    assert type(read) is oracle.Solution
    assert read.loss == solution.loss
    for got, expected in zip(arrays_of(read), arrays_of(solution), strict=True):
        assert got.dtype == np.float64
        assert got.shape == expected.shape
        assert got.tobytes() == expected.tobytes()
        assert not got.flags.writeable


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("layout", LAYOUTS, ids=Layout.words)
def test_a_solution_is_read_back_bit_for_bit_in_the_layout_of_its_case(form, layout, tmp_path):
    case = case_in(layout)
    path, solution = tmp_path / f"solution.{form}", oracle.solve(case)
    oracle.write_solution(path, case, solution)
    require_same(oracle.read_solution(path, case), solution)
    if layout == LAYOUTS[0]:
        require_same(oracle.read_solution(path), solution)


@pytest.mark.parametrize("form", FORMATS)
def test_a_solution_without_a_loss_and_biases_is_read_back(form, tmp_path):
    bare = case_in(loss=None)
    params = [weights for weights, _ in bare.params]
    case = oracle.Case(NETWORK, None, params, bare.inputs, ct_outputs=bare.ct_outputs)
    solution = oracle.solve(case)
    oracle.write_solution(tmp_path / f"s.{form}", case, solution)
    read = oracle.read_solution(tmp_path / f"s.{form}")
    assert [layer.bias for layer in read.grads] == [None] * 3
    require_same(read, solution)


def test_what_is_no_solution_of_the_case_is_refused(tmp_path, says):
    path = tmp_path / "solution.json"
    case = case_in(Layout("out_in"))
    oracle.write_solution(path, case, oracle.solve(case))
    says(FileError, ["solution.json", "params[0].weights", "(3, 4)", "(4, 3)"], oracle.read_solution, path)
    other = oracle.draw_case(fm.Network((3, 4, 2), "tanh"), fm.Loss("squared_error"))
    says(FileError, ["2 layers", "got 3"], oracle.read_solution, path, other)
    fewer = oracle.draw_case(NETWORK, fm.Loss("squared_error"), samples=4)
    says(FileError, ["pre_activations[0]", "(4, 4)", "(5, 4)"], oracle.read_solution, path, fewer)
    document = json.loads(path.read_text())
    for changes, words in (
        ({"outputs": [[1.0]]}, ["outputs", "(5, 2)"]),
        ({"deltas": document["deltas"][:1]}, ["deltas", "3 layers", "got 1"]),
        ({"activations": [*document["activations"][:2], [[1.0]]]}, ["activations[2]", "(5, 2)"]),
        ({"ct_inputs": [[1.0], [1.0, 2.0]]}, ["ct_inputs"]),
        ({"ct_inputs": [[1.0]]}, ["ct_inputs", "(5, 3)", "(1, 1)"]),
        ({"loss": 1e999}, ["finite"]),
        ({"format": "functional-mlp/gradients"}, ["functional-mlp/solution"]),
    ):
        path.write_text(json.dumps(document | changes).replace("Infinity", "1e999"))
        says(FileError, ["solution.json", *words], oracle.read_solution, path, case)
    path.write_text(json.dumps(EXAMPLES["solution"]))
    assert [layer.weights.shape for layer in oracle.read_solution(path).grads] == [(2, 3), (3, 1)]


def test_arguments_in_another_order_are_one_sentence(tmp_path, says):
    path, case = tmp_path / "solution.json", case_in()
    solution = oracle.solve(case)
    says(TypeError, ["path", "got Case"], oracle.write_solution, case, path, solution)
    says(
        TypeError, ["write_solution(path, case, solution)", "got Solution"], oracle.write_solution, path, solution, case
    )
    says(TypeError, ["oracle.solve", "got list"], oracle.write_solution, path, case, [])
    says(TypeError, ["path", "got Case"], oracle.read_solution, case)
    says(TypeError, ["read_solution(path, case)", "got str"], oracle.read_solution, path, "case")
