"""What is graded: the file that says it; functions in the grader's process; the forms of gradients."""

import dataclasses
import sys

import numpy as np
import pytest

from functional_mlp import grading
from functional_mlp.files import FileError
from functional_mlp.grading.answering import layers_of, parameters_of
from tests.helpers.homework import EXAMPLE, RIGHT, WRONG_BIAS, assignment


def arrays(*shapes):
    return [np.full(shape, i) for i, shape in enumerate(shapes)]


@pytest.mark.parametrize("form", ["pairs", "flat", "dict", "dicts", "loss first", "loss last", "gradient names"])
def test_gradients_in_the_forms_that_people_return(form):
    w1, b1, w2, b2 = leaves = arrays((2, 3), 3, (3, 1), 1)
    pairs = [(w1, b1), (w2, b2)]
    given = {
        "pairs": pairs,
        "flat": tuple(leaves),
        "dict": {"dW1": w1, "db1": b1, "dW2": w2, "db2": b2},
        "dicts": [{"weights": w1, "bias": b1}, {"weights": w2, "bias": b2}],
        "loss first": (0.5, pairs),
        "loss last": (pairs, np.float64(0.5)),
        "gradient names": {"grad_b2": b2, "grad_W2": w2, "grad_W1": w1, "grad_b1": b1, "loss": 0.1},
    }[form]
    assert [tuple(map(id, pair)) for pair in layers_of(given)] == [tuple(map(id, pair)) for pair in pairs]


@pytest.mark.parametrize("given", [{"a": 1}, {"dW1": 1}, 3, None, (1, 2, 3)])
def test_what_is_no_gradients_is_said(given):
    with pytest.raises(TypeError, match="expected"):
        layers_of(given)


def test_parameters_have_the_dtype_of_the_case():
    case = {"dtype": "float32", "params": [{"weights": [[1.0]], "bias": [2.0]}]}
    assert parameters_of(case, "dict")["W1"].dtype == np.float32
    assert parameters_of(case, "pairs")[0][1].tolist() == [2.0]


def test_what_otter_reads_has_a_test_for_every_array(tmp_path, monkeypatch):
    asked = grading.read_assignment(EXAMPLE / "homework.toml")
    text = grading.otter_tests(asked, str(EXAMPLE / "homework.toml"))
    cases = []

    def test_case(points, hidden):
        return lambda test: cases.append((points, hidden, test))

    monkeypatch.setitem(sys.modules, "otter", type(sys)("otter"))
    module = type(sys)("otter.test_files")
    module.test_case = test_case
    monkeypatch.setitem(sys.modules, "otter.test_files", module)
    exec(compile(text, "tests.py", "exec"), {})
    right, wrong = {}, {}
    exec(RIGHT, right)
    exec(WRONG_BIAS, wrong)
    passed = []
    for points, hidden, test in cases:
        assert (points, hidden) == (2, False)
        test(right["backward"])
        try:
            test(wrong["backward"])
        except AssertionError as error:
            passed.append(str(error).partition("\n")[0])
        else:
            passed.append("")
    assert [bool(said) for said in passed] == [False, False, True, False, True, False, True]
    assert "not divided by the number of samples" in passed[2]


def test_what_nbgrader_reads_prints_the_feedback_and_ends_with_the_points(capsys):
    asked = grading.read_assignment(EXAMPLE / "homework.toml")
    lines = grading.nbgrader_cell(asked, str(EXAMPLE / "homework.toml")).rstrip().splitlines()
    names = {}
    exec(WRONG_BIAS, names)
    exec("\n".join(lines[:-1]), names)
    assert eval(lines[-1], names) == 8
    assert "not divided by the number of samples" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sizes = [", "expected TOML"),
        ("sizes = [1, 1]\n", r"none of activations, loss"),
        ('sizes = [1, 1]\nactivations = "sigmoid"\nloss = 3', "a table"),
        ('sizes = [1, 1]\nactivations = "sigmoid"\n[loss]\nkind = "nonsense"', "nonsense"),
        ('sizes = [1, 1]\nactivations = "relu"\n[loss]\nkind = "binary_cross_entropy"', "sigmoid"),
        ('sizes = [1, 1]\nactivations = "sigmoid"\nfeedback = "all"\n[loss]\nkind = "squared_error"', "report"),
        ('sizes = [1, 1]\nactivations = "sigmoid"\npoints = 0\n[loss]\nkind = "squared_error"', "points"),
        ('sizes = [1, 1]\nactivations = "sigmoid"\nfunction = "a.b"\n[loss]\nkind = "squared_error"', "function"),
        ('sizes = [1, 1]\nactivations = "sigmoid"\nfunction = "lambda"\n[loss]\nkind = "squared_error"', "function"),
        ('sizes = [1, 1]\nactivations = "sigmoid"\ncases = 2.5\n[loss]\nkind = "squared_error"', "cases"),
        ('sizes = [1, 1]\nactivations = "sigmoid"\nseed = -1\n[loss]\nkind = "squared_error"', "seed"),
        ('sizes = [1, 1]\nactivations = "sigmoid"\nlayout = "no"\n[loss]\nkind = "squared_error"', "layout"),
        ('sizes = [1, 1]\nactivations = "sigmoid"\nprecision = "f9"\n[loss]\nkind = "squared_error"', "precision"),
        ('sizes = [1, 1]\nactivations = "sigmoid"\npoint = 3\n[loss]\nkind = "squared_error"', "points"),
    ],
)
def test_an_assignment_that_is_none_is_answered_with_a_sentence(text, words, tmp_path):
    path = tmp_path / "homework.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FileError, match=words):
        grading.read_assignment(path)


def test_a_file_that_is_not_there_is_no_submission(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a submission"):
        grading.grade_submission(tmp_path / "nobody.py", assignment())


def test_where_the_verdict_alone_is_told_otter_shows_no_test():
    asked = dataclasses.replace(assignment(), feedback="verdict")
    assert "hidden=False" not in grading.otter_tests(asked, "homework.toml")
