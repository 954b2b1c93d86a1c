"""Paths of leaves: what is spelled is parsed again, and every array of an answer has one."""

import jax
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle.case.case import parameter_of
from functional_mlp.oracle.case.paths import (
    FIELDS,
    LeafPath,
    by_path,
    delta_path,
    dotted_path,
    entry_path,
    layer_of,
    layer_path,
    parameter_path,
    parse_path,
    tree_path,
)


@pytest.mark.parametrize("layer", [0, 7, 123])
def test_what_is_spelled_is_parsed(layer):
    assert layer_path(layer) == f"params[{layer}]"
    assert parse_path(layer_path(layer)) == LeafPath("params", layer)
    for field in FIELDS:
        path = parameter_path(layer, field)
        assert path == f"params[{layer}].{field}"
        assert parse_path(path) == LeafPath("params", layer, field)
    assert parse_path(delta_path(layer)) == LeafPath("deltas", layer)
    assert layer_of(delta_path(layer)) == layer


@pytest.mark.parametrize("name", ["loss", "outputs", "ct_inputs"])
def test_arrays_of_no_layer_have_their_names_as_paths(name):
    assert parse_path(name) == LeafPath(name)
    assert layer_of(name) == -1


@pytest.mark.parametrize(
    ("tree", "paths", "dotted"),
    [
        (fm.Dense(1.0, 2.0), ["p.weights", "p.bias"], ["p.weights", "p.bias"]),
        ([{"weights": 1.0}, (2.0, 3.0)], ["p[0].weights", "p[1][0]", "p[1][1]"], ["p.0.weights", "p.1.0", "p.1.1"]),
        ({"of x": 1.0}, ["p['of x']"], ["p.of x"]),
        (1.0, ["p"], ["p"]),
    ],
)
def test_leaves_of_trees_are_spelled_as_parameters_are(tree, paths, dotted):
    found = [tree_path("p", keys) for keys, _ in jax.tree_util.tree_flatten_with_path(tree)[0]]
    assert found == paths
    assert list(map(dotted_path, paths)) == dotted


def test_an_entry_has_the_path_of_its_array_and_its_index():
    assert entry_path("params[0].weights", (1, 2)) == "params[0].weights[1, 2]"
    assert entry_path("loss", ()) == "loss[]"


def test_every_array_of_a_solution_has_a_path_and_parameters_are_found_by_theirs():
    network = fm.Network((2, 3, 1), "tanh")
    drawn = oracle.draw_case(network, fm.Loss("squared_error"))
    case = oracle.Case(
        network, drawn.loss, [drawn.params[0], (drawn.params[1].weights, None)], drawn.inputs, drawn.targets
    )
    arrays = by_path(oracle.solve(case))
    assert list(arrays) == [
        *("params[0].weights", "params[0].bias", "params[1].weights", "loss", "outputs"),
        *("deltas[0]", "deltas[1]", "ct_inputs"),
    ]
    assert parameter_of(case, "params[0].bias") is case.params[0].bias
    assert parameter_of(case, "params[1].weights") is case.params[1].weights
