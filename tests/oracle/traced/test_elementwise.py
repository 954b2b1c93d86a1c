"""The elementwise instrument: right functions of every format, slips with their regions and names, what is shown."""

import json
import re

import jax
import jax.numpy as jnp
import matplotlib
import ml_dtypes
import numpy as np
import pytest

from functional_mlp import activations, oracle
from functional_mlp.oracle import Verdict, check_elementwise
from functional_mlp.oracle.noise import FORMATS
from functional_mlp.oracle.traced.elementwise.curves import ulp_of
from functional_mlp.oracle.traced.elementwise.samples import finite_numbers
from tests.helpers.markdown import ROOT

ALL = {"bfloat16": 65_279, "float16": 63_487}  # finite numbers, both zeros as one


def as_jax(function):
    """Of NumPy's arrays, in float32 inside, rounded once."""
    return lambda x: np.asarray(function(jnp.asarray(np.asarray(x, np.float32)))).astype(x.dtype)


def slope(function):
    return as_jax(jax.vmap(jax.grad(function)))


def sigmoid(x):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


def verdicts(report):
    return {curve.what: curve.verdict.value for curve in report.curves}


# right functions


@pytest.mark.parametrize("precision", ["bfloat16", "float16", "float32", "float64"])
def test_textbook_forms_are_consistent_in_every_format(precision):
    report = check_elementwise(sigmoid, "sigmoid", precision, derivative=lambda x: sigmoid(x) * (1 - sigmoid(x)))
    assert report.verdict is Verdict.CONSISTENT, report.text()
    assert len(report.curves[0].x) == ALL.get(precision, len(report.curves[0].x))
    report = check_elementwise(np.tanh, "tanh", precision, derivative=lambda x: 1 - np.tanh(x) ** 2)
    assert report.verdict is Verdict.CONSISTENT, report.text()


@pytest.mark.parametrize(
    "name", ["relu", "leaky_relu", "relu6", "hard_swish", "softsign", "gaussian", "selu", "identity"]
)
def test_activations_of_this_package_are_consistent_when_rounded_once(name):
    activation = activations.resolve(name)
    for precision in ("bfloat16 in float32", "float16"):
        report = check_elementwise(
            lambda x: activations.numpy_value(activation, x[:, None])[:, 0],
            name,
            precision,
            derivative=lambda x: (
                activations.numpy_vjp(activation, *[a[:, None] for a in (x, x, np.ones_like(x))])[:, 0]
                if name not in ("softsign",)
                else (1 / (1 + np.abs(x.astype(np.float64))) ** 2).astype(x.dtype)
            ),
        )
        assert report.verdict is Verdict.CONSISTENT, report.text()


def test_jax_differentiates_what_it_can_trace_and_a_kink_may_be_taken_from_either_side():
    report = check_elementwise(jax.nn.leaky_relu, "leaky_relu", "bfloat16")
    assert verdicts(report) == {"value": "consistent", "derivative": "consistent"}
    assert any("JAX's" in note for note in report.notes)
    assert any("kink at 0" in note and "another side" in note for note in report.notes)


def test_a_function_that_jax_cannot_trace_is_judged_by_its_values():
    report = check_elementwise(lambda x: np.sin(np.asarray(x)), "sin", "float16")
    assert verdicts(report) == {"value": "consistent"}
    assert any("derivative=" in note for note in report.notes)


def test_any_jax_function_is_a_reference_with_the_noise_of_its_trace():
    def reference(x):
        return x * jax.nn.sigmoid(x)

    report = check_elementwise(as_jax(jax.nn.silu), reference, "float16", derivative=slope(jax.nn.silu))
    assert (report.reference, report.verdict) == ("reference", Verdict.CONSISTENT), report.text()
    wrong = check_elementwise(as_jax(jax.nn.silu), reference, "float16", derivative=as_jax(jax.nn.sigmoid))
    assert verdicts(wrong) == {"value": "consistent", "derivative": "wrong"}


def test_a_vjp_is_given_a_cotangent_of_ones():
    report = check_elementwise(np.cos, "cos", "float64", derivative=lambda x, ct: -ct * np.sin(x))
    assert report.verdict is Verdict.CONSISTENT


# slips


def test_the_other_gelu_is_found_and_named_where_it_is_computed_in_float32():
    gelu, other = (lambda x, tanh=tanh: jax.nn.gelu(x, approximate=tanh) for tanh in (False, True))
    report = check_elementwise(as_jax(gelu), "gelu", "bfloat16 in float32", derivative=slope(other))
    assert verdicts(report) == {"value": "consistent", "derivative": "wrong"}
    assert report.likenesses == ("the derivative is that of gelu_tanh, everywhere",)
    region = report.regions()["derivative"][0]
    assert region.verdict is Verdict.WRONG
    assert -8 < region.first < region.worst < region.last < 0
    assert region.ulp > 10 * region.allowed


@pytest.mark.parametrize(
    ("derivative", "words"),
    [
        (lambda x: 2 * (1 - np.tanh(x) ** 2), "2 times what is right"),
        (np.tanh, "the derivative is the value"),
        (np.ones_like, "left out"),
        (lambda x: 1 - np.tanh(x), ""),
    ],
)
def test_wrong_derivatives_are_named_or_not(derivative, words):
    report = check_elementwise(np.tanh, "tanh", "float32", derivative=derivative)
    assert verdicts(report) == {"value": "consistent", "derivative": "wrong"}
    assert words in " ".join(report.likenesses)
    assert bool(words) == bool(report.likenesses)


def test_a_single_wrong_number_of_65279_is_found():
    at = np.float64(ml_dtypes.bfloat16(1.5))
    report = check_elementwise(
        lambda x: np.where(x == at, 1.25, np.maximum(x, 0)).astype(x.dtype),
        "relu",
        "bfloat16",
        derivative=lambda x: x > 0,
    )
    [region] = report.regions()["value"]
    assert (region.first, region.last, region.count, region.size) == (1.5, 1.5, 1, 1)
    assert sum(row.wrong for row in report.table()["value"]) == 1
    assert "at 1.5: 32 ulp" in report.text()


def test_what_overflows_on_the_way_is_open_and_said_to_be():
    with np.errstate(over="ignore"):
        report = check_elementwise(lambda x: np.log(1 + np.exp(x)), "softplus", "float16", derivative=sigmoid)
    [region] = report.regions()["value"]
    assert (report.verdict, region.verdict, region.cause) == (Verdict.UNDECIDED, Verdict.UNDECIDED, "overflow")
    assert region.first == 11.09375
    assert "may overflow" in report.text()
    broken = check_elementwise(
        lambda x: np.where(np.abs(x) > 20, np.nan, np.maximum(x, 0)).astype(x.dtype), "relu", "float16"
    )
    assert broken.verdict is Verdict.WRONG


def test_subnormal_numbers_may_be_taken_for_zero():
    flushing = lambda x: np.where(np.abs(x) < np.finfo(x.dtype).tiny, 0, np.maximum(x, 0)).astype(x.dtype)  # noqa: E731
    report = check_elementwise(flushing, "relu", "float32", derivative=lambda x: (flushing(x) > 0).astype(x.dtype))
    assert report.verdict is Verdict.CONSISTENT, report.text()
    kept = check_elementwise(lambda x: np.where(np.abs(x) < 1e-5, 0, x).astype(x.dtype), "identity", "float16")
    assert kept.verdict is Verdict.WRONG  # float16 keeps them


# what is shown


@pytest.fixture(scope="module")
def report():
    return check_elementwise(np.tanh, "tanh", "float16", derivative=lambda x: 1 - np.tanh(x))


def test_text_and_document_hold_verdict_regions_and_table(report):
    lines = report.text().splitlines()
    assert lines[0].startswith("WRONG: tanh in float16, 63487 numbers")
    assert "  value: consistent; 100.0 % of the numbers within 1 ulp, the worst 0.5 ulp" in lines
    assert str(report) == report.text()
    document = json.loads(report.json())
    assert (document["format"], document["verdict"]) == ("functional-mlp/elementwise", "wrong")
    value, derivative = document["curves"]
    assert sum(row["size"] for row in value["table"]) == value["numbers"] == 63487
    assert sum(row["wrong"] for row in derivative["table"]) == sum(
        region["count"] for region in derivative["regions"] if region["verdict"] == "wrong"
    )
    assert {special["x"] for special in document["specials"]} == {"nan", "inf", "-inf", 0.0}


def test_what_becomes_of_nan_and_infinities_is_shown_and_not_judged():
    report = check_elementwise(
        lambda x: np.where(x > 0, x, 0).astype(x.dtype), "relu", "float32", derivative=lambda x: x > 0
    )
    assert report.verdict is Verdict.CONSISTENT
    assert "Not judged: 0 at nan (limit nan)." in report.text()


def test_a_figure_shows_each_curve(report, tmp_path, monkeypatch):
    figure = report.figure()
    assert [axes.get_ylabel() for axes in figure.axes] == ["value, ulp", "derivative, ulp"]
    figure.savefig(tmp_path / "tanh.png", dpi=30)
    assert (tmp_path / "tanh.png").stat().st_size > 1000
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match=r"matplotlib .* report\.table"):
        report.figure()
    assert matplotlib


def test_samples_of_wide_formats_meet_all_binades_and_the_neighbours_of_kinks():
    for dtype in ("float32", "float64"):
        x = finite_numbers(dtype, (3.0,))
        form = FORMATS[dtype]
        assert (np.diff(x) > 0).all()
        assert len(np.unique(np.frexp(x)[1])) > 0.99 * 2 * np.log2(form.largest)
        assert np.nextafter(np.float32(3) if dtype == "float32" else 3.0, 4) in x
        assert np.abs(x).max() > form.largest / 2
        assert 0 < np.abs(x[x != 0]).min() < form.smallest


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_an_ulp_is_the_spacing_of_the_format(dtype):
    form, info = FORMATS[dtype], ml_dtypes.finfo(dtype)
    x = np.array([1.0, 1.5, -3.0, float(info.smallest_normal), float(info.smallest_normal) / 4, 0.0])
    eps, least = float(info.eps), float(info.smallest_subnormal)
    assert ulp_of(x, form).tolist() == [eps, eps, 2 * eps, least, least, least]


# bad input


@pytest.mark.parametrize(
    ("error", "words", "arguments", "more"),
    [
        (TypeError, ["fn", "function", "str"], ("tanh", "tanh"), {}),
        (TypeError, ["derivative", "function"], (np.tanh, "tanh"), {"derivative": 1.0}),
        (ValueError, ["activation", "tanhh", "tanh"], (np.tanh, "tanhh"), {}),
        (ValueError, ["softmax", "check_vjp"], (np.tanh, "softmax"), {}),
        (ValueError, ["precision", "bf16", "bfloat16"], (np.tanh, "tanh", "bf16"), {}),
        (ValueError, ["fn", "shape", "(1,)"], (lambda x: x[:1], "tanh", "float16"), {}),
        (ValueError, ["fn", "raises", "KeyError", "nothing"], (lambda x: {}["nothing"], "tanh", "float16"), {}),
        (TypeError, ["result of fn", "numbers"], (lambda x: "x", "tanh", "float16"), {}),
        (ValueError, ["derivative", "raises", "TypeError"], (np.tanh, "tanh", "float16"), {"derivative": lambda: 1}),
        (ValueError, ["traced"], (np.tanh, lambda x: np.tanh(x), "float16"), {}),
    ],
)  # fmt: skip
def test_bad_input_is_answered_with_one_sentence(says, error, words, arguments, more):
    says(error, words, check_elementwise, *arguments, **more)


def test_it_is_named_beside_the_other_checks():
    assert oracle.check_elementwise is check_elementwise


def test_the_example_of_the_guide_is_told_what_the_guide_says(capsys):
    page = (ROOT / "docs" / "guide" / "elementwise.md").read_text(encoding="utf-8")
    [example], [printed] = (re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL) for kind in ("python", "text"))
    exec(example, {})
    said = capsys.readouterr().out
    for words in (
        "WRONG: gelu in bfloat16 in float32, 65279 numbers",
        "The derivative is that of gelu_tanh, everywhere.",
    ):
        assert words in said
        assert words in printed
