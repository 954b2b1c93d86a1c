"""Gradients of any function: right ones pass in every precision, wrong ones do not, and the report says it."""

import json
import re
from html import unescape

import jax
import jax.numpy as jnp
import jsonschema
import ml_dtypes
import numpy as np
import pytest

from functional_mlp import oracle
from functional_mlp.oracle.documents import validator
from functional_mlp.oracle.report import Explanation
from functional_mlp.oracle.traced.checking import assert_vjp, check_vjp
from functional_mlp.oracle.verdict import Cause, Verdict

EPS = 1e-5


def layer_norm(x, scale, bias):
    centred = x - x.mean(axis=-1, keepdims=True)
    spread = jnp.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPS)
    return centred / spread * scale + bias


def layer_norm_backward(x, scale, bias, ct, *, mean_path=True):
    centred = x - x.mean(axis=-1, keepdims=True)
    inverse = 1 / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + x.dtype.type(EPS))
    hat, g = centred * inverse, ct * scale
    ct_x = g - (g * hat).mean(axis=-1, keepdims=True) * hat
    if mean_path:
        ct_x = ct_x - g.mean(axis=-1, keepdims=True)
    return ct_x * inverse, (ct * hat).sum(axis=0), ct.sum(axis=0)


def drawn(dtype, shapes=((6, 8), (8,), (8,), (6, 8))):
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
def test_right_gradients_are_consistent_and_a_missing_path_is_wrong(dtype):
    *arguments, ct = drawn(dtype)
    report = check_vjp(layer_norm, arguments, layer_norm_backward(*arguments, ct), ct)
    assert report.verdict is Verdict.CONSISTENT
    assert report.precision == np.dtype(dtype).name
    assert [leaf.path for leaf in report.leaves] == ["x", "scale", "bias"]
    wrong = check_vjp(layer_norm, arguments, layer_norm_backward(*arguments, ct, mean_path=False), ct)
    assert [leaf.verdict for leaf in wrong.leaves] == ["wrong", "consistent", "consistent"]


def test_a_change_of_the_stated_size_is_seen():
    *arguments, ct = drawn(np.float32)
    right = layer_norm_backward(*arguments, ct)
    leaf = check_vjp(layer_norm, arguments, right, ct).leaves[0]
    assert leaf.smallest_detectable < 1e-4 * leaf.norm
    rng = np.random.default_rng(1)
    for _ in range(5):
        change = rng.normal(size=right[0].shape)
        change *= 1.05 * leaf.smallest_detectable / np.linalg.norm(change)
        changed = (right[0] + change.astype(np.float32), None, None)
        assert check_vjp(layer_norm, arguments, changed, ct).verdict is Verdict.WRONG


def test_outputs_are_judged_and_a_single_number_needs_no_cotangent():
    x = drawn(np.float32)[0]
    report = check_vjp(lambda x: (x**2).sum(), x, 2 * x, outputs=np.float32((x**2).sum()))
    assert {leaf.path: str(leaf.verdict) for leaf in report.leaves} == {"x": "consistent", "outputs": "consistent"}
    report = check_vjp(lambda x: (x**2).sum(), x, 2 * x, outputs=np.float32(0.0))
    assert report.leaves[1].verdict is Verdict.WRONG


@pytest.mark.parametrize("at_zero", [0.0, 0.5, 1.0])
def test_at_a_kink_every_usual_side_is_right_and_another_is_left_open(at_zero):
    x = np.array([-1.0, 0.0, 2.0, 0.0])
    gradient = np.where(x > 0, 3.0, np.where(x == 0, 3.0 * at_zero, 0.0))
    report = check_vjp(lambda x: jnp.maximum(x, 0.0), x, gradient, np.full(4, 3.0))
    assert report.verdict is not Verdict.WRONG
    assert (report.verdict is Verdict.CONSISTENT) or report.leaves[0].cause is Cause.BRANCH
    assert (report.verdict is Verdict.CONSISTENT) >= (at_zero != 0.5)
    gradient[2] = 3.1
    assert check_vjp(lambda x: jnp.maximum(x, 0.0), x, gradient, np.full(4, 3.0)).verdict is Verdict.WRONG


def norm(x):
    return jnp.sqrt((x**2).sum())


def test_what_overflows_in_the_declared_format_is_undecided():
    x = np.array([1.0, 2.0, 300.0], np.float16)
    [leaf] = check_vjp(norm, x, np.zeros(3, np.float16)).leaves  # of a square that is infinite
    assert (leaf.verdict, leaf.cause) == (Verdict.UNDECIDED, Cause.OVERFLOW)
    assert "float32" in leaf.remedy
    spoilt = np.array([0.0, np.nan, 1.0], np.float32)
    assert check_vjp(norm, x, spoilt).leaves[0].cause is Cause.NOT_FINITE


def test_a_truth_that_is_not_finite_is_no_question():
    with pytest.raises(OverflowError, match=r"derivative is finite, got inf for x\[1\]"):
        check_vjp(lambda x: jnp.sqrt(x).sum(), np.array([1.0, 0.0]), np.array([0.5, 1.0]))


def test_gradients_of_another_shape_are_wrong():
    x = drawn(np.float64)[0]
    [leaf] = check_vjp(lambda x: x.sum(), x, np.ones(8)).leaves
    assert (leaf.verdict, leaf.cause) == (Verdict.WRONG, Cause.SHAPE)
    assert "expected shape (6, 8), got (8,)" in leaf.sentence
    assert "shapes of the arguments" in leaf.remedy


def test_numbers_of_another_precision_than_they_are_judged_by_are_said_to_be():
    *arguments, ct = drawn(np.float32)
    wide = [gradient.astype(np.float64) for gradient in layer_norm_backward(*arguments, ct)]
    report = check_vjp(layer_norm, arguments, wide, ct)
    assert report.verdict is Verdict.WRONG
    assert "as float32 these numbers would be consistent" in report.notes[0]


def test_text_json_and_page():
    *arguments, ct = drawn(np.float32)
    report = check_vjp(layer_norm, arguments, layer_norm_backward(*arguments, ct, mean_path=False), ct)
    text = report.text()
    assert text.startswith("WRONG: ")
    assert max(map(len, text.splitlines())) <= 80
    assert "layer_norm(x, scale, bias), judged as float32." in text
    document = json.loads(report.json())
    validator("report").validate(document)
    assert document["function"] == "layer_norm(x, scale, bias)"
    assert not {"network", "samples"} & document.keys()
    assert "layer_norm(x, scale, bias)" in report.html()
    framed = re.search(r'srcdoc="([^"]*)"', report._repr_html_())[1]
    assert unescape(framed) == report.html()
    assert "of other functions" in report.explain()


class Line:
    file, line, function, expression = "norms.py", 12, "layer_norm", "x.mean(axis=-1)"


FOUND = Explanation("the path through the mean (norms.py:12) is missing", "missing", 0.0, (Line(),), ("x",), 6)


def test_what_the_diagnosis_found_is_said_everywhere():
    *arguments, ct = drawn(np.float32)
    report = check_vjp(layer_norm, arguments, layer_norm_backward(*arguments, ct, mean_path=False), ct)
    related = FOUND._replace(kind="related", places=(), sentence="the gradient of x is 3 times the right one")
    object.__setattr__(report, "diagnosis", related)
    assert "No change of the backward pass that was tried" in " ".join(report.text().split())
    for found in (FOUND, FOUND._replace(ties=(FOUND._replace(sentence="x is scaled"),), unexplained=("bias",))):
        object.__setattr__(report, "diagnosis", found)
        text = report.text()
        assert text.startswith("WRONG: The path through the mean (norms.py:12) is missing.")
        assert "norms.py:12, in layer_norm: x.mean(axis=-1)" in text
        assert ("x is scaled" in text.lower()) == bool(found.ties)
        assert ("That is a part of it" in " ".join(text.split())) == bool(found.unexplained)
        assert "norms.py:12" in report.html()
        document = json.loads(report.json())
        validator("report").validate(document)
        assert document["diagnosis"]["places"][0]["line"] == 12


def test_a_missing_path_is_named_by_its_line_and_random_errors_are_not():
    *arguments, ct = drawn(np.float32)
    report = check_vjp(layer_norm, arguments, layer_norm_backward(*arguments, ct, mean_path=False), ct)
    assert "x.mean(axis=-1, keepdims=True)" in report.diagnosis.sentence
    assert report.diagnosis.arrays == ("x",)
    assert report.diagnosis.places[0].function == "layer_norm"
    ct_x, *others = layer_norm_backward(*arguments, ct)
    noisy = ct_x + np.random.default_rng(0).normal(0, 0.01, ct_x.shape).astype(np.float32)
    assert check_vjp(layer_norm, arguments, (noisy, *others), ct).diagnosis is None


@pytest.mark.parametrize("factor", [None, 2.0, 1.2345])
def test_what_is_too_large_to_be_searched_says_so(monkeypatch, factor):
    monkeypatch.setattr("functional_mlp.oracle.traced.diagnosis.replay.tape.LARGEST", 100)
    *arguments, ct = drawn(np.float32)
    ct_x, *others = layer_norm_backward(*arguments, ct)
    wrong = ct_x + ct if factor is None else np.float32(factor) * ct_x
    report = check_vjp(layer_norm, arguments, (wrong, *others), ct)
    text = " ".join(report.text().split())
    assert text.count("not looked for in the function: it has too many numbers on its way; ask with smaller") == 1
    assert text.startswith("WRONG: 2 of 3 arrays" if factor is None else "WRONG: The gradient of x ")
    assert "not looked for" in report.html()
    assert report.diagnosis.searched is False
    document = json.loads(report.json())
    validator("report").validate(document)
    assert document["diagnosis"]["searched"] is False
    assert (document["diagnosis"]["kind"] == "unsearched") == (factor is None)


def test_a_report_has_a_network_or_a_function_and_never_both():
    document = json.loads(check_vjp(lambda x: x.sum(), np.ones(2), np.ones(2)).json())
    for more in ({"network": "2-1", "samples": 1}, {"samples": 1}):
        with pytest.raises(jsonschema.ValidationError):
            validator("report").validate(document | more)


def test_a_reference_whose_own_rule_is_wrong_is_refused():
    @jax.custom_vjp
    def cube(x):
        return x**3

    cube.defvjp(lambda x: (x**3, x), lambda x, ct: (2 * x**2 * ct,))
    x = np.arange(1.0, 4.0)
    with pytest.raises(oracle.DisagreementError, match="is not the derivative of its value"):
        check_vjp(lambda x: cube(x).sum(), x, 3 * x**2)


def test_assert_vjp_passes_or_raises_the_report():
    x = np.arange(3.0)
    assert assert_vjp(lambda x: (x**2).sum(), x, 2 * x).verdict is Verdict.CONSISTENT
    with pytest.raises(AssertionError, match="judged as float64"):
        assert_vjp(lambda x: (x**2).sum(), x, x)


def test_the_names_are_public_and_jit_grad_and_scan_are_functions_like_others():
    def summed(x):
        return jax.lax.scan(lambda carry, row: (carry * 0.5 + row.sum(), None), 0.0, x)[0]

    x = drawn(np.float64)[0]
    gradient = np.broadcast_to(0.5 ** np.arange(5, -1, -1.0)[:, None], x.shape)
    assert oracle.check_vjp(jax.jit(summed), x, gradient).verdict is Verdict.CONSISTENT
    assert oracle.check_vjp(jax.checkpoint(summed), x, gradient * 2).verdict is Verdict.WRONG


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: jnp.fft.fft(x).real, "complex|fft"),
        (lambda x: jax.debug.print("{}", x) or x, "side effect"),
        (lambda x: x * jax.random.normal(jax.random.key(0), x.shape), "random numbers of its own"),
    ],
)
def test_what_a_function_does_that_cannot_be_judged_is_said_with_its_line(function, words):
    with pytest.raises(ValueError, match=words) as caught:
        check_vjp(function, np.arange(3.0), np.ones(3), np.ones(3))
    assert "test_checking.py" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_gradients_of_16_bits_are_told_how_a_kernel_is_declared(dtype):
    x = np.linspace(-1, 1, 6).astype(dtype)
    report = oracle.check_vjp(lambda x: (x * x).sum(), x, 2 * x)
    assert any(f"precision='{dtype} in float32'" in note for note in report.notes)
    declared = oracle.check_vjp(lambda x: (x * x).sum(), x, 2 * x, precision=f"{dtype} in float32")
    assert not any("is declared as" in note for note in declared.notes)
