"""A backward pass that is asked with telling arguments: what it computes, and what it does as a program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from functional_mlp.oracle.traced.drawing import PURPOSES
from functional_mlp.oracle.traced.operation import check_backward
from functional_mlp.oracle.verdict import Verdict

X, W = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32), np.ones((5, 3), np.float32)


def affine(x, w):
    return jnp.tanh(x @ w)


def affine_backward(x, w, ct):
    ct_z = ct * (1 - np.tanh(x @ w) ** 2)
    return ct_z @ w.T, x.T @ ct_z


def findings(report):
    return {finding.id for finding in report.findings}


def wrong_cases(report):
    return {leaf.group for leaf in report.leaves if leaf.verdict is Verdict.WRONG}


def test_a_right_one_is_consistent_in_every_case():
    report = check_backward(affine_backward, affine, (X, W))
    assert report.verdict is Verdict.CONSISTENT
    assert {leaf.group for leaf in report.leaves} >= {"as given", "drawn", "not contiguous", "one sample", "far tail"}
    assert {leaf.group for leaf in report.leaves} <= set(PURPOSES)
    assert report.function == "affine(x, w)"
    assert report.precision == "float32"


def test_outputs_may_come_with_the_gradients_and_are_judged():
    def both(x, w, ct):
        return 2 * np.tanh(x @ w), affine_backward(x, w, ct)

    report = check_backward(both, affine, (X, W))
    assert {leaf.path for leaf in report.leaves if leaf.verdict is Verdict.WRONG} == {"outputs"}


def test_gradients_of_a_narrower_dtype_are_judged_as_that_unless_declared():
    def narrow(x, ct):
        return (2 * x * ct).astype(np.float32)

    report = check_backward(narrow, lambda x: x**2, X.astype(np.float64))
    assert report.verdict is Verdict.CONSISTENT
    assert report.precision == "float32"
    assert "its gradients come as float32" in report.notes[0]
    declared = check_backward(narrow, lambda x: x**2, X.astype(np.float64), precision="float64")
    assert (declared.precision, declared.notes) == ("float64", ())


def test_plain_numbers_are_kept_as_they_are():
    def backward(x, rate, ct):
        assert rate == 0.9
        return ct * rate, None

    assert check_backward(backward, lambda x, rate: x * rate, (X.astype(np.float64), 0.9)).verdict is Verdict.CONSISTENT


def test_a_loss_may_take_no_cotangent_and_labels_are_repeated():
    def loss(logits, labels):
        return -jax.nn.log_softmax(logits)[jnp.arange(len(labels)), labels].mean()

    def backward(logits, labels):
        p = np.exp(logits - logits.max(axis=-1, keepdims=True))
        p /= p.sum(axis=-1, keepdims=True)
        p[np.arange(len(labels)), labels] -= 1
        return p / len(labels)

    report = check_backward(backward, loss, (X, np.array([0, 1, 2, 3])))
    assert report.verdict is Verdict.CONSISTENT
    assert "repeated indices" in {leaf.group for leaf in report.leaves}


def test_an_embedding_that_writes_in_place_of_adding_is_found_by_repeated_indices():
    def embedded(table, rows):
        return table[rows]

    def backward(table, rows, ct):
        gradient = np.zeros_like(table)
        gradient[rows] = ct
        return gradient

    report = check_backward(backward, embedded, (X, np.array([3, 0, 2])))
    assert wrong_cases(report) == {"repeated indices"}
    assert any("only the case 'repeated indices' is wrong" in note for note in report.notes)


def test_exponentials_that_overflow_are_found_in_the_far_tail():
    def backward(x, ct):
        return ct * np.exp(x) / (1 + np.exp(x))

    assert wrong_cases(check_backward(backward, lambda x: jnp.logaddexp(x, 0.0), X)) >= {"far tail"}


def test_a_cotangent_that_is_taken_for_one_is_found():
    assert wrong_cases(check_backward(lambda x, ct: 2 * x, lambda x: x**2, X)) >= {"as given", "drawn"}


def test_strides_that_are_not_respected_are_found():
    def backward(x, ct):
        first = x if x.flags.c_contiguous else x.base.ravel()[: x.size].reshape(x.shape)
        return 2 * first * ct

    assert wrong_cases(check_backward(backward, lambda x: x**2, X)) == {"not contiguous"}


@pytest.mark.parametrize("at_zero", [0.0, 1.0])
def test_ties_may_be_taken_either_way(at_zero):
    def backward(x, ct):
        return ct * np.where(x == 0, np.float32(at_zero), x > 0)

    assert check_backward(backward, lambda x: jnp.maximum(x, 0.0), X).verdict is Verdict.CONSISTENT


def test_what_a_program_keeps_changes_or_draws_is_found():
    kept = {}

    def adding(x, w, ct):
        gradients = affine_backward(x, w, ct)
        before = kept.get(x.shape, (0, 0))
        kept[x.shape] = tuple(a + b for a, b in zip(before, gradients, strict=True))
        return kept[x.shape]

    def changing(x, w, ct):
        gradients = affine_backward(x, w, ct)
        ct *= 2
        return gradients

    rng = np.random.default_rng(0)

    def drawing(x, w, ct):
        return tuple(gradient * np.float32(rng.normal()) for gradient in affine_backward(x, w, ct))

    def failing(x, w, ct):
        raise RuntimeError("no kernel")

    assert findings(check_backward(adding, affine, (X, W))) == {"accumulates"}
    changed = check_backward(changing, affine, (X, W))
    assert findings(changed) == {"mutates"}
    assert changed.text().startswith("WRONG: In every case your function changes its arguments (ct)")
    assert findings(check_backward(drawing, affine, (X, W))) == {"nondeterministic"}
    assert findings(check_backward(failing, affine, (X, W))) == {"raises"}
    assert findings(check_backward(lambda x, w, ct: None, affine, (X, W))) == {"returns"}


def test_a_buffer_of_an_earlier_call_is_found():
    kept = {}

    def stale(x, w, ct):
        if len(x) == 1:
            kept["w"] = w.copy()
        return affine_backward(x, kept.get("w", w) if np.array_equal(x, X) else w, ct)

    assert findings(check_backward(stale, affine, (X, W))) == {"stale-state"}


def test_a_reference_that_fails_is_bad_input():
    with pytest.raises(ValueError, match="fails on arguments like the given ones"):
        check_backward(affine_backward, lambda x, w: x @ w.T, (X, W))
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="the function is another one each time that it is called"):
        check_backward(affine_backward, lambda x, w: affine(x, w) * rng.random(), (X, W))
    with pytest.raises(ValueError, match="expected seed to be an integer of at least 0, got -1"):
        check_backward(affine_backward, affine, (X, W), seed=-1)
    with pytest.raises(TypeError, match="expected a function that returns gradients"):
        check_backward(None, affine, (X, W))


def test_a_launcher_of_tensors_is_told_that_it_gets_arrays():
    report = check_backward(lambda x, ct: x.float() * ct, lambda x: x, (np.ones((2, 3)),))
    assert "it gets NumPy arrays" in report.headline
