"""The trials and their page: small ones asked in earnest, and rows made up."""

import argparse

import numpy as np
import pytest

from benchmarks.accuracy.anything.__main__ import some_of, trials_of
from benchmarks.accuracy.anything.operations import OPERATIONS
from benchmarks.accuracy.anything.reports import REPORTS
from benchmarks.accuracy.anything.rivals import at_most_twice, check_grads, tolerances
from benchmarks.accuracy.anything.tables import page
from benchmarks.accuracy.anything.trials import (
    UNSTRUCTURED,
    Refused,
    Reported,
    Right,
    Unstructured,
    Wrong,
    report_trial,
    right_trial,
    settings,
    wrong_trial,
)


@pytest.mark.slow
def test_right_passes_are_not_wrong_and_mistakes_are() -> None:
    right = [row for row in right_trial("mean_pool", "tiny", "float32") if isinstance(row, Right)]
    assert {row.verdict for row in right} == {"consistent"}
    assert {row.scale for row in right} == {1.0, 1e-3, 30.0}
    wrong = [row for row in wrong_trial("mean_pool", "tiny", "float32") if isinstance(row, Wrong)]
    assert len(wrong) == 3
    assert {row.verdict for row in wrong} == {"wrong"}
    assert all(row.above and not row.passes["check_grads"] for row in wrong)


@pytest.mark.slow
def test_a_report_is_wrong_until_it_is_mended() -> None:
    (row,) = report_trial("tokens that come often, bfloat16")
    assert isinstance(row, Reported)
    assert (row.verdict, row.mended) == ("wrong", "consistent")


def test_reports_are_of_every_field_and_say_where() -> None:
    fields = {report.field for report in REPORTS.values()}
    assert fields >= {"normalisation", "attention", "convolution", "recurrence", "sums in 16 bits"}
    assert all(report.address.startswith("https://github.com/") for report in REPORTS.values())


def test_settings_leave_out_what_makes_no_sense() -> None:
    assert {(s.scale, s.offset) for s in settings(OPERATIONS["softmax"], "tiny", "float32", 1)} >= {(1.0, 100.0)}
    assert {(s.scale, s.offset) for s in settings(OPERATIONS["softmax"], "tiny", "float16", 1)} >= {(1.0, 4.0)}
    own = list(settings(OPERATIONS["product"], "tiny", "float32", 1))
    assert {(s.scale, s.offset) for s in own} == {(1.0, 0.0)}
    assert len(set(own)) == 4


@pytest.mark.parametrize("how", UNSTRUCTURED)
def test_unstructured_errors_change_something_and_not_what_they_are_given(how: str, rng: np.random.Generator) -> None:
    x = rng.normal(size=(5, 6))
    kept = x.copy()
    changed = UNSTRUCTURED[how](x, rng)
    np.testing.assert_array_equal(x, kept)
    assert changed.shape == x.shape
    assert np.any(changed != x)


def test_rivals_judge_as_they_say() -> None:
    true, framework = [np.array([1.0, 2.0])], [np.array([1.0, 2.01])]
    passed = tolerances([np.array([1.0, 2.019])], true, framework, "float32")
    assert passed == {"assert_close": False, "1e-2": True, "at most twice": True}
    assert at_most_twice([np.array([1.0, 2.03])], true, framework) is False
    assert at_most_twice([np.array([1.0, 2.0])], true, None) is None
    assert not tolerances([np.array([1.0, np.nan])], true, framework, "float32")["1e-2"]


@pytest.mark.slow
def test_check_grads_is_asked_about_the_given_gradients() -> None:
    operation = OPERATIONS["mean_pool"]
    question = operation.question(next(iter(settings(operation, "tiny", "float64", 1))))
    right = np.broadcast_to(question.ct / len(question.floats[0]), question.floats[0].shape)
    assert check_grads(operation, question, [right], "float64")
    assert not check_grads(operation, question, [1.1 * right], "float64")


def options(**changed: object) -> argparse.Namespace:
    chosen = {"operations": ["softmax", "inverse"], "precisions": ["float32", "float16"], "sizes": ["tiny", "large"]}
    return argparse.Namespace(
        **(chosen | {"parts": ["right", "wrong", "unstructured"], "seeds": 1, "draws": 3} | changed)
    )


def test_trials_are_of_what_was_chosen() -> None:
    names = set(trials_of(options()))
    assert "right softmax tiny float16 1" in names
    assert "right inverse tiny float16 1" not in names  # which frameworks do not have
    assert not any(name.startswith("wrong") and "large" in name for name in names)
    assert "unstructured softmax float32 3" in names
    assert {name.split()[0] for name in trials_of(options(parts=["reports"]))} == {"report"}


def test_unknown_names_are_refused() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected some of a, b, got c"):
        some_of(("a", "b"))("a,c")


def right_row(verdict: str, cause: str = "", dtype: str = "float32", passes: dict[str, bool] | None = None) -> Right:
    told = ("softmax", "attention", "PyTorch", "tiny", 1.0, 0.0, 0, dtype, dtype)
    return Right(*told, 0, verdict, cause, 0.5, 2.0, 1e-5, 12, passes or {})


def test_the_page_has_every_part_and_counts() -> None:
    rows = [
        right_row("consistent", passes={"assert_close": False, "1e-2": True}),
        right_row("undecided", "rounding"),
        right_row("undecided", "overflow", "float16"),
        right_row("wrong", "value"),
        Wrong(
            "tanh/not_squared",
            "elementwise",
            "tiny",
            "float64",
            0.3,
            True,
            1e-15,
            "wrong",
            "a term",
            "missing",
            True,
            {},
        ),
        Wrong("tanh/of_input", "elementwise", "tiny", "float64", 0.3, True, 1e-15, "consistent", "", "", False, {}),
        Unstructured("softmax", "float64", "signs", "wrong", "", ""),
        Reported("zoneout's mask", "wrong", "consistent", "", {"assert_close": False, "1e-2": True}),
        Refused("softmax by C", "float32", "expected something else"),
    ]
    text = page(rows)
    for heading in ("Right", "Wrong", "Errors without", "Others", "Public", "Refused"):
        assert f"## {heading}" in text
    assert "| float32 | 3 | **1** | 33.33 % | 33.33 % | 0.50 | 5.0e-06 |" in text
    assert "| float16 | 1 | **0** | 100.00 % | 0.00 % |" in text
    assert "| float64 | 2 | 50.00 % | 2 | 1 | 1.0e-15 | 50.00 % | 50.00 % |" in text
    assert "| tanh/of_input | float64 | tiny | consistent | 3.0e-01 |" in text
    assert "[lmnt-com/haste/issues/43](https://github.com/lmnt-com/haste/issues/43)" in text


def test_a_page_of_some_rows_has_their_parts_alone() -> None:
    assert "## Wrong" not in page([right_row("consistent")])
