"""A person's own table: what is read of it, and how it is encoded."""

import numpy as np
import pytest

from functional_mlp import tables
from functional_mlp.files import FileError
from tests.helpers.tables import table_of


@pytest.fixture(autouse=True)
def _without_beartype(as_a_person):
    """As a program runs."""


# reading and encoding


@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_numbers_categories_and_classes_become_arrays(written, between):
    lines = ["x,colour,y", "1,red,b", "", ' 3 ,"blue",a', "5,red,b", "7,blue,a"]
    table = table_of(written, "\ufeff" + "\r\n".join(lines).replace(",", between) + "\r\n")
    encoding = tables.encoding_of(table)
    assert (encoding.width, encoding.outputs, encoding.target.task) == (3, 2, "classification")
    np.testing.assert_allclose(tables.inputs_of(encoding, table)[:, 0], (np.array([1, 3, 5, 7]) - 4) / np.sqrt(5))
    np.testing.assert_array_equal(tables.inputs_of(encoding, table)[:, 1:], [[0, 1], [1, 0], [0, 1], [1, 0]])
    np.testing.assert_array_equal(tables.targets_of(encoding, table), [[0, 1], [1, 0], [0, 1], [1, 0]])


def test_numbers_are_scaled_by_the_training_rows_alone(written):
    table = table_of(written, "x,y\n0,0.5\n2,1.5\n100,9.25\n")
    encoding = tables.encoding_of(table, training=[0, 1])
    assert encoding.columns[0][1:] == (1.0, 1.0)
    assert encoding.target[2:] == (1.0, 0.5)
    np.testing.assert_array_equal(tables.inputs_of(encoding, table)[:, 0], [-1, 1, 99])


@pytest.mark.parametrize(
    ("values", "asked", "task", "classes"),
    [
        (["b", "a", "b", "a"], None, "classification", ("a", "b")),
        (["10", "9", "10", "9"], None, "classification", ("9", "10")),
        (["1.5", "2.5", "1.5", "2.5"], None, "regression", ()),
        ([str(i) for i in range(60)], None, "regression", ()),
        (["1", "2", "1", "2"], "regression", "regression", ()),
        (["a", "7", "a", "7", "b", "b"], None, "classification", ("7", "a", "b")),
    ],
)
def test_the_task_follows_from_the_target(written, values, asked, task, classes):
    rows = "\n".join(f"{i},{value}" for i, value in enumerate(values))
    target = tables.encoding_of(table_of(written, f"x,y\n{rows}\n"), asked).target
    assert (target.task, target.classes) == (task, classes)


def test_missing_cells_are_refused_dropped_or_the_mean(written):
    text = "x,c,y\n1,a,0\n,b,1\n3,NA,0\n5,b,1\n9,b,\n"
    with pytest.raises(ValueError, match=r"line 3, column 'x': expected a value, got an empty cell"):
        table_of(written, text)
    assert table_of(written, text, missing="drop").lines == (2, 5)
    table = table_of(written, text, missing="mean")
    assert table.lines == (2, 3, 4, 5)  # without a target nothing is learnt
    inputs = tables.inputs_of(tables.encoding_of(table), table)
    assert inputs[1, 0] == 0  # the mean
    np.testing.assert_array_equal(inputs[2, 1:], [0, 0])  # no level


def test_columns_can_be_left_out(written):
    table = table_of(written, "id,x,y\nq1,1,0\nq2,2,1\nq3,3,0\nq4,4,1\n", drop=("id",))
    assert table.names == ("x", "y")


BAD = {
    "no such column": ("x,y\n1,2\n3,4\n", "z", "unknown column of"),
    "one line": ("x,y\n", "y", "rows below it"),
    "ragged": ("x,y\n1,2\n3\n", "y", "line 3: expected 2 cells"),
    "text among numbers": ("x,y\n1,2\nred,4\n5,6\n", "y", "line 3, column 'x': expected a number, as most"),
    "free text": ("x,y\n" + "".join(f"text {i},{i % 2}\n" for i in range(80)), "y", "--drop x"),
    "columns of one name": ("x,x,y\n1,1,2\n3,3,4\n", "y", "'x' twice"),
    "one class": ("x,y\n1,a\n3,a\n", "y", "at least two classes"),
    "a class for each": ("x,y\n1,a\n3,b\n5,c\n", "y", "several samples each"),
    "only the target": ("y\n1\n2\n", "y", "beside the target"),
    "numbers and a word": ("x,y\n1,0.5\n3,1\n5,many\n1,0\n", "y", "line 4, column 'y': expected a number, as most"),
}


@pytest.mark.parametrize(("text", "target", "words"), BAD.values(), ids=BAD)
def test_bad_tables_are_one_sentence(written, text, target, words):
    with pytest.raises(ValueError, match=words) as caught:
        tables.encoding_of(table_of(written, text, target))
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_and_files_that_are_not_there(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"x,y\n\xff,2\n")
    with pytest.raises(FileError, match="expected UTF-8"):
        tables.read_table(path)
    with pytest.raises(FileError, match="No such file"):
        tables.read_table(tmp_path / "nothing.csv")
    path.write_text("x,y\n1,2\n")
    with pytest.raises(FileError, match="at most 4 bytes"):
        tables.read_table(path, 4)
