"""Arrays of a report lie as they were handed over: shapes, indices and names are the person's."""

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle.case import declared_layer
from functional_mlp.oracle.report.notation import Notation, as_handed_over, index_of, lines_as_handed_over, name_of

LAYOUTS = [
    None,
    "torch",
    "columns",
    {"bias": "row"},
    {"bias": "last_row"},
    {"bias": "first_row"},
    {"bias": "first_column", "weights": "out_in", "samples": "columns"},
]
CASE = oracle.draw_case(fm.Network((3, 4, 2), "tanh"), fm.Loss("squared_error"), samples=5, seed=2)
TRUE = oracle.solve(CASE).grads


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("layer", "field", "at"), [(0, "weights", (2, 1)), (1, "bias", (1,))])
def test_the_worst_entry_is_where_it_is_in_the_array_that_was_handed_over(layout, layer, field, at):
    case = CASE.laid_out(layout)
    grads = [{name: np.array(getattr(dense, name)) for name in dense._fields} for dense in TRUE]
    grads[layer][field][at] += 1.0
    given = [declared_layer(tuple(dense.values()), case.layout) for dense in grads]
    report = oracle.check(case, [dense["weights"] if len(dense) == 1 else tuple(dense.values()) for dense in given])
    [leaf] = [leaf for leaf in report.leaves if leaf.path == f"params[{layer}].{field}"]
    own = as_handed_over(leaf, Notation(case, 2))
    array = "weights" if case.layout.in_weights else field
    off = given[layer][array] - declared_layer(TRUE[layer], case.layout)[array]
    assert off[own.index] == pytest.approx(1.0)
    assert f" at {list(own.index)}, " in own.sentence
    assert own.sentence in " ".join(report.text().split())
    if not case.layout.in_weights:
        assert own.entries.shape == own.ratios.shape == off.shape
        assert own.entries[own.index]


def test_outputs_and_deltas_lie_as_samples_do():
    rows, columns = (Notation(CASE.laid_out(layout), 2) for layout in (None, "columns"))
    assert (index_of("outputs", (4, 1), rows), index_of("outputs", (4, 1), columns)) == ((4, 1), (1, 4))
    assert index_of("loss", (), columns) == ()


def test_arrays_are_called_by_the_names_that_lines_have():
    assert [name_of(path) for path in ("params[0].weights", "params[1].bias", "outputs")] == ["dW1", "db2", "outputs"]
    assert name_of("params[2].weights", gradient=False) == "W3"


@pytest.mark.parametrize(
    ("layout", "sentence", "own"),
    [
        (None, "x is right but for row 1", "x is right but for row 1"),
        ("torch", "x is right but for rows 1, 2, which is 0", "x is right but for columns 1, 2, which is 0"),
        (
            "torch",
            "x is right but for 3 of 12 entries, such as [2, 0]",
            "x is right but for 3 of 12 entries, such as [0, 2]",
        ),
        ({"bias": "first_row"}, "x is right but for rows 0, 1", "x is right but for rows 1, 2"),
        ({"bias": "first_row"}, "x is right but for column 0", "x is right but for column 0"),
        (LAYOUTS[-1], "x is right but for row 0", "x is right but for column 1"),
    ],
)
def test_rows_columns_and_entries_in_sentences_are_those_of_the_array_that_was_handed_over(layout, sentence, own):
    assert lines_as_handed_over(sentence, "params[0].weights", Notation(CASE.laid_out(layout), 2)) == own
