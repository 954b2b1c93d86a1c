"""check: by which precision arrays are judged, and where that is declared."""

import contextlib
import inspect
import re

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp._dtypes import DTYPES
from functional_mlp.oracle.checking import assert_gradients, check
from functional_mlp.oracle.documents import Gradients, Printed
from functional_mlp.oracle.updates import check_update
from functional_mlp.oracle.verdict import Cause, Verdict
from tests.helpers.questions import (
    answer,
    answer_as,
    leaf_of,
    question,
    textbook,
    verdicts,
)

PATHS = [f"params[{i}].{name}" for i in range(3) for name in ("weights", "bias")]
CONSISTENT, WRONG, UNDECIDED = "consistent", "wrong", "undecided"


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_are_judged_as_their_own_dtype(dtype):
    report = check(question(), answer_as(DTYPES[dtype]))
    assert report.precision == dtype
    assert report.verdict is Verdict.CONSISTENT
    twice = [[2 * leaf for leaf in layer] for layer in answer_as(DTYPES[dtype])]
    assert verdicts(check(question(), twice)) == dict.fromkeys(PATHS, WRONG)


def test_the_narrowest_dtype_counts_and_jax_arrays_are_taken():
    mixed = answer_as(np.float64)
    mixed[2][1] = mixed[2][1].astype(np.float32)
    assert check(question(), mixed).precision == "float32"
    of_jax = [fm.Dense(*map(jnp.asarray, layer)) for layer in answer_as(np.float32)]
    assert check(question(), of_jax).text() == check(question(), answer_as(np.float32)).text()
    assert check(question(), [[leaf.astype(ml_dtypes.bfloat16) for leaf in mixed[0]], *mixed[1:]]).precision == (
        "bfloat16"
    )


def test_lists_of_float32_and_arrays_of_the_other_byte_order_are_float32():
    swapped = [[leaf.astype(">f4") for leaf in layer] for layer in answer_as(np.float32)]
    rows = [[list(leaf) for leaf in layer] for layer in answer_as(np.float32)]
    for given in (swapped, rows):
        report = check(question(), given)
        assert (report.verdict, report.precision) == (Verdict.CONSISTENT, "float32")


def test_gradients_handed_over_in_a_narrow_dtype_may_underflow_there():
    """Computed in float32, stored as float16: 1e-8 is 0 there, and what the program computed is not known any more."""
    case = question(loss=fm.Loss("squared_error", scale=2e-8))
    stored = [[leaf.astype(np.float16) for leaf in layer] for layer in answer(case)]
    assert check(case, stored, precision="float32").verdict is Verdict.UNDECIDED


def test_a_declared_precision_counts_more():
    assert check(question(), answer_as(np.float32), precision="float16").precision == "float16"
    assert check(question(), answer(question()), precision="float32").precision == "float32"


def test_float32_numbers_in_lists_are_judged_as_float32_and_a_note_says_so():
    lists = [[leaf.tolist() for leaf in layer] for layer in answer_as(np.float32)]
    report = check(question(), lists)
    assert (report.verdict, report.precision) == (Verdict.CONSISTENT, "float32")
    assert "judged as float32" in report.notes[0]
    assert "Is the declared precision right?" in check(question(), lists, precision="float64").notes[0]
    declared = check(question(), lists, precision="float32")
    assert declared.verdict is Verdict.CONSISTENT
    assert not any("float32" in note for note in declared.notes)
    off = [(2 * np.array(weights), bias) for weights, bias in lists]
    assert (check(question(), off).verdict, check(question(), off).precision) == (Verdict.WRONG, "float64")


def test_float64_numbers_in_lists_with_an_error_of_the_size_of_float32s_are_wrong():
    lists = [[(leaf * (1 + 1e-7)).tolist() for leaf in layer] for layer in answer(question())]
    assert check(question(), lists).verdict is Verdict.WRONG


def test_no_note_where_float32_would_not_help():
    given = answer(question())
    given[0][0] = 2 * given[0][0]
    assert check(question(), given).notes == ()
    assert not any("would be" in note for note in check(question(), answer(question())).notes)


def test_numbers_printed_to_few_digits_are_judged_to_these():
    rounded = [[np.vectorize(lambda x: float(f"{x:.6g}"))(leaf) for leaf in layer] for layer in answer(question())]
    assert check(question(), rounded).verdict is Verdict.WRONG
    assert check(question(), Gradients(rounded, printed=Printed("significant", 6))).verdict is Verdict.CONSISTENT
    rounded[1][0][0, 0] *= 1 + 1e-4
    leaf = leaf_of(check(question(), Gradients(rounded, printed=Printed("significant", 6))), PATHS[2])
    assert (leaf.verdict, leaf.index) == (Verdict.WRONG, (0, 0))


@pytest.mark.parametrize(
    ("form", "declared", "words"),
    [("%.4g", 4, "4 digits .* \\(digits=4\\)"), ("%.4f", "%.4f", "4 decimals .* \\(digits='%.4f'\\)")],
)
def test_rounded_numbers_of_python_are_wrong_until_they_are_declared_and_a_note_says_so(form, declared, words):
    case = question()
    given = [[np.vectorize(lambda x: float(form % x))(leaf) for leaf in layer] for layer in answer(case)]
    report = check(case, given)
    assert report.verdict is Verdict.WRONG
    assert re.search(words, report.notes[0])
    assert check(case, given, digits=declared).verdict is not Verdict.WRONG
    given[1][0][0, 0] *= 2
    assert check(case, given).notes == ()
    assert check(case, given, digits=declared).verdict is Verdict.WRONG


def test_the_digits_of_a_step_are_declared_likewise():
    case = question()
    after = [
        [np.round(before - 0.1 * leaf, 5) for before, leaf in zip(layer, grads, strict=True)]
        for layer, grads in zip(case.params, answer(case), strict=True)
    ]
    assert oracle.check_update(case, after, 0.1).verdict is Verdict.WRONG
    assert oracle.check_update(case, after, 0.1, digits="%.5f").verdict is not Verdict.WRONG
    after[1][0][0, 0] += 2e-5
    assert oracle.check_update(case, after, 0.1, digits="%.5f").verdict is Verdict.WRONG


def test_digits_too_few_to_tell_it_from_zero_are_undecided():
    given = [[np.round(leaf) for leaf in layer] for layer in answer(question())]
    report = check(question(), Gradients(given, printed=Printed("fixed", 0)))
    assert not given[0][0].any()
    leaf = leaf_of(report, PATHS[0])
    assert (leaf.verdict, leaf.cause) == (Verdict.UNDECIDED, Cause.DIGITS)
    assert "%.17g" in leaf.remedy
    assert WRONG not in verdicts(report).values()


# the place of the precision


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (check, (answer(question()),)),
        (check_update, (question().params, 0.1)),
        (assert_gradients, (answer(question()),)),
    ],
)
def test_the_precision_has_a_name_and_its_old_place_warns(function, arguments):
    named = function(question(), *arguments, precision="float16")
    with pytest.warns(
        DeprecationWarning, match=rf"^{function.__name__} takes precision by name: .*'float16'.*"
    ) as warned:
        by_place = function(question(), *arguments, "float16")
    assert len(warned) == 1
    assert warned[0].filename == __file__
    assert by_place.text() == named.text()
    with pytest.raises(TypeError, match="positional argument"):
        function(question(), *arguments, "float16", 0)
    with pytest.raises(TypeError, match="multiple values for argument 'precision'"):
        function(question(), *arguments, "float16", precision="float16")


@pytest.mark.parametrize(
    ("function", "places"),
    [
        (oracle.check, 2),
        (oracle.check_update, 3),
        (oracle.assert_gradients, 2),
        (oracle.check_function, 3),
        (oracle.check_model, 2),
        (oracle.check_autograd_function, 2),
        (oracle.drive, 3),
        (oracle.Adapted.check, 3),
    ],
)
def test_every_check_takes_the_precision_and_what_is_behind_it_by_name(function, places):
    parameters = list(inspect.signature(function).parameters.values())
    assert len([one for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]) == places
    assert inspect.signature(function).parameters["precision"].kind is inspect.Parameter.KEYWORD_ONLY
    with (
        pytest.warns(DeprecationWarning, match=rf"^{function.__name__} takes precision by name"),
        contextlib.suppress(TypeError, ValueError, AttributeError, ImportError),  # of the other arguments
    ):
        function(*[None] * places, "float32")


def test_the_seed_had_a_place_behind_the_precision():
    with pytest.warns(DeprecationWarning, match=r"takes precision and seed by name: write precision=None, seed=3\."):
        report = oracle.check_function(textbook, fm.Network((4, 5), "identity"), fm.Loss("squared_error"), None, 3)
    assert report.verdict is Verdict.CONSISTENT
