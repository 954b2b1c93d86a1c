"""check_function: correct functions pass, planted mistakes and faults of programs are found, and by their names."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp._dtypes import DTYPES
from functional_mlp.oracle.documents import Gradients
from functional_mlp.oracle.probing.functions import check_function
from functional_mlp.oracle.probing.probe_cases import plans as probe_cases
from functional_mlp.oracle.verdict import Verdict

NETWORK = fm.Network((4, 5, 6), ("relu", "tanh"))
MEAN = fm.Loss("squared_error", over_samples="mean", l2=0.125)
SOFTMAX = fm.Network((4, 6), "softmax")
ENTROPY = fm.Loss("categorical_cross_entropy")


def forward(params, inputs):
    (w1, b1), (w2, b2) = params
    z1 = inputs @ w1 + b1
    a1 = np.maximum(z1, 0)
    return z1, a1, np.tanh(a1 @ w2 + b2)


def backward(params, inputs, ct_outputs, at_zero=0.0):
    """Gradients of (relu, tanh) without the penalty."""
    z1, a1, a2 = forward(params, inputs)
    ct_z2 = ct_outputs * (1 - a2 * a2)
    ct_a1 = ct_z2 @ params[1][0].T
    ct_z1 = np.where(z1 > 0, ct_a1, np.where(z1 == 0, z1.dtype.type(at_zero) * ct_a1, 0))
    return [(inputs.T @ ct_z1, ct_z1.sum(axis=0)), (a1.T @ ct_z2, ct_z2.sum(axis=0))]


def textbook(params, inputs, targets, samples=None, **how):
    """Gradients of `MEAN` for `NETWORK`."""
    _, _, outputs = forward(params, inputs)
    grads = backward(params, inputs, 2 * (outputs - targets) / (samples or len(inputs)), **how)
    decay = params[0][0].dtype.type(0.125)
    return [(ct_w + decay * w, ct_b) for (w, _), (ct_w, ct_b) in zip(params, grads, strict=True)]


def ids(report):
    return {finding.id for finding in report.findings}


def wrong(report, what="group"):
    return {getattr(leaf, what) for leaf in report.leaves if leaf.verdict is Verdict.WRONG}


def checked(fn, precision="float64", seed=0):
    return check_function(fn, NETWORK, MEAN, precision=precision, seed=seed)


# correct functions


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_textbook_function_is_consistent(precision, seed):
    dtypes = set()

    def fn(params, inputs, targets):
        dtypes.update(str(array.dtype) for array in (inputs, targets, *params[0], *params[1]))
        assert all(array.flags.writeable for array in (inputs, targets, *params[0]))
        return textbook(params, inputs, targets)

    report = checked(fn, precision, seed)
    assert report.verdict is Verdict.CONSISTENT, report.text()
    assert dtypes == {precision}
    assert not report.notes
    assert report.precision == precision
    assert {leaf.group for leaf in report.leaves} == set(probe_cases.PURPOSES) - {
        "targets not summing to 1",
        "soft targets",
    }


def loss_of(params, inputs, targets):
    (w1, b1), (w2, b2) = params
    outputs = jnp.tanh(jax.nn.relu(inputs @ w1 + b1[None]) @ w2 + b2[None])
    data = jnp.sum((outputs - targets) ** 2) / np.asarray(len(inputs), outputs.dtype)
    return data + np.asarray(0.0625, data.dtype) * (jnp.sum(w1**2) + jnp.sum(w2**2))


def test_jax_grad_is_consistent_and_its_dtype_is_found_out():
    value_and_grad = jax.jit(jax.value_and_grad(loss_of))
    assert checked(value_and_grad, "float32").verdict is Verdict.CONSISTENT
    report = checked(value_and_grad, None)  # JAX makes float32 of float64, unless told otherwise
    assert report.verdict is Verdict.CONSISTENT, report.text()
    assert report.precision == "float32"
    assert "float32" in report.notes[0]
    assert any(leaf.path == "loss" for leaf in report.leaves)
    with jax.enable_x64(True):
        report = checked(value_and_grad, None)
    assert (report.verdict, report.precision, report.notes) == (Verdict.CONSISTENT, "float64", ())


def test_float32_inside_float64_is_wrong_and_named():
    def fn(params, inputs, targets):
        narrow = [tuple(leaf.astype(np.float32) for leaf in layer) for layer in params]
        grads = textbook(narrow, inputs.astype(np.float32), targets.astype(np.float32))
        return [tuple(leaf.astype(np.float64) for leaf in layer) for layer in grads]

    report = checked(fn)
    assert report.verdict is Verdict.WRONG
    assert len(report.notes) == 1
    assert "float32" in report.notes[0]


def test_16_bits_get_their_own_arrays():
    def fn(params, inputs, targets):
        assert inputs.dtype == DTYPES["bfloat16"]
        wide = [tuple(leaf.astype(np.float32) for leaf in layer) for layer in params]
        grads = textbook(wide, inputs.astype(np.float32), targets.astype(np.float32))
        return [tuple(leaf.astype(inputs.dtype) for leaf in layer) for layer in grads]

    assert checked(fn, "bfloat16").verdict is Verdict.CONSISTENT
    assert checked(fn, "bfloat16/float32").verdict is Verdict.CONSISTENT


def test_what_else_a_function_tells_is_judged():
    def fn(params, inputs, targets):
        return Gradients(textbook(params, inputs, targets), outputs=forward(params, inputs)[2] * 1.001)

    assert wrong(checked(fn), "path") == {"outputs"}


@pytest.mark.parametrize(("at_zero", "side"), [(0.0, None), (0.5, "middle"), (1.0, "right side")])
def test_at_the_kink_every_convention_is_right_and_named(at_zero, side):
    report = checked(lambda *given: textbook(*given, at_zero=at_zero))
    assert report.verdict is Verdict.CONSISTENT, report.text()
    assert [side in note and "relu" in note for note in report.notes] == ([] if side is None else [True])


def test_at_the_kink_a_mistake_is_not_excused():
    def fn(params, inputs, targets):
        grads = textbook(params, inputs, targets, at_zero=1.0)
        grads[0][0][1, 0] *= 1.5
        return grads

    report = checked(fn)
    assert report.verdict is Verdict.WRONG
    kink = {leaf.path: leaf.verdict for leaf in report.leaves if leaf.group == "at the kink"}
    assert kink["params[0].weights"] is not Verdict.CONSISTENT
    assert kink["params[1].weights"] is Verdict.CONSISTENT
    assert checked(lambda *given: textbook(*given, at_zero=3.0)).verdict is Verdict.WRONG


def tanh_vjp(params, inputs, ct_outputs):
    [(w, b)] = params
    ct_z = ct_outputs * (1 - np.tanh(inputs @ w + b) ** 2)
    return [(inputs.T @ ct_z, ct_z.sum(axis=0))]


def test_a_bare_vjp_gets_cotangents_that_are_not_one():
    seen = []

    def fn(params, inputs, ct_outputs):
        seen.append(ct_outputs)
        return tanh_vjp(params, inputs, ct_outputs)

    assert check_function(fn, ["tanh"], None).verdict is Verdict.CONSISTENT
    assert not any((ct == 1).any() for ct in seen)
    report = check_function(lambda params, inputs, ct: tanh_vjp(params, inputs, np.ones_like(ct)), ["tanh"], None)
    assert wrong(report) == {leaf.group for leaf in report.leaves}


def test_activations_alone_choose_distinct_sizes():
    shapes = set()

    def fn(params, inputs, targets):
        shapes.add((len(inputs), *(w.shape for w, _ in params)))
        return textbook(params, inputs, targets)

    assert check_function(fn, ("relu", "tanh"), MEAN).verdict is Verdict.CONSISTENT
    assert shapes == {(n, (4, 5), (5, 6)) for n in (7, 3, 1)}
    assert probe_cases.probe_network("relu").sizes == (4, 5, 6, 8)


# mistakes of the gradient


def averaged_bias(params, inputs, targets):
    return [(w, b / len(inputs)) for w, b in textbook(params, inputs, targets)]


def transposed(params, inputs, targets):
    return [(w.T, b) for w, b in textbook(params, inputs, targets)]


def of_wrong_variable(params, inputs, targets):
    """z (1 - z) in the manner of a (1 - a): 1 - z^2 for tanh."""
    _, a1, a2 = forward(params, inputs)
    z2 = a1 @ params[1][0] + params[1][1]
    grads = textbook(params, inputs, targets)
    ct_z2 = 2 * (a2 - targets) / len(inputs) * (1 - z2 * z2)
    return [grads[0], (a1.T @ ct_z2 + 0.125 * params[1][0], ct_z2.sum(axis=0))]


@pytest.mark.parametrize(
    ("fn", "groups"),
    [(averaged_bias, 6), (transposed, 7), (of_wrong_variable, 7)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_planted_mistake_is_wrong(fn, groups):
    report = checked(fn)
    assert report.verdict is Verdict.WRONG
    assert len(wrong(report)) == groups
    if fn is averaged_bias:
        assert wrong(report, "path") == {"params[0].bias", "params[1].bias"}
        assert "one sample is right" in report.notes[0]
        assert report.diagnosis.group in {leaf.group for leaf in report.leaves}
        assert f"In {report.diagnosis.group!r}:" in report.text()
    if fn is transposed:  # shapes that do not fit are no reason to say nothing
        assert [one.id for one in report.diagnosis.mistakes] == ["weight-gradient-transposed"]
        assert report.diagnosis.kind == "convention"


def test_a_nominal_batch_size_shows_in_other_batches():
    kept = []

    def fn(params, inputs, targets):
        kept.append(len(inputs))
        return textbook(params, inputs, targets, samples=kept[0])

    report = checked(fn)
    assert wrong(report) == {"partial batch", "one sample"}
    assert "smaller than the first" in report.notes[0]


def softmax_gradients(params, inputs, targets, normalised):
    [(w, b)] = params
    z = inputs @ w + b
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    ct_z = p - targets if normalised else p * targets.sum(axis=1, keepdims=True) - targets
    return [(inputs.T @ ct_z, ct_z.sum(axis=0))]


def test_targets_assumed_normalised_show_where_they_are_not():
    normalised, general = (functools.partial(softmax_gradients, normalised=flag) for flag in (True, False))
    for targets in (None, "one_hot", "soft"):
        report = check_function(normalised, SOFTMAX, ENTROPY, targets=targets)
        assert report.verdict is Verdict.CONSISTENT, report.text()
        assert "right for targets whose rows sum to 1" in report.notes[0]
        assert not any(leaf.group == "targets not summing to 1" for leaf in report.leaves)
    declared = check_function(normalised, SOFTMAX, ENTROPY, targets="any")
    assert wrong(declared) == {"targets not summing to 1"}
    assert "p sum(t) - t" in declared.notes[0]
    for targets in (None, "any"):
        correct = check_function(general, SOFTMAX, ENTROPY, targets=targets)
        assert (correct.verdict, correct.notes) == (Verdict.CONSISTENT, ())


def test_what_is_right_for_classes_alone_says_so():
    def by_label(params, inputs, targets):
        return softmax_gradients(params, inputs, np.eye(targets.shape[1])[targets.argmax(axis=1)], normalised=True)

    report = check_function(by_label, SOFTMAX, ENTROPY)
    assert report.verdict is Verdict.CONSISTENT
    assert "one-hot where they are classes" in report.notes[0]
    assert wrong(check_function(by_label, SOFTMAX, ENTROPY, targets="soft")) == {"soft targets"}


# faults of the program


def test_an_exception_is_named_and_the_other_cases_are_judged():
    def fn(params, inputs, targets):
        if len(inputs) == 1:
            raise IndexError("row 1\nof 1")
        return textbook(params, inputs, targets)

    report = checked(fn)
    assert report.verdict is Verdict.WRONG
    assert not wrong(report)
    [finding] = report.findings
    assert finding.id == "raises"
    assert "'one sample'" in finding.sentence
    assert "IndexError: row 1 of 1 (line " in finding.sentence
    assert len({leaf.group for leaf in report.leaves}) == 6


@pytest.mark.parametrize("error", [SystemExit(3), TypeError("")])
def test_whatever_is_raised_is_found(error):
    def fn(params, inputs, targets):
        raise error

    report = checked(fn)
    assert ids(report) == {"raises"}
    assert "in every case" in report.findings[0].sentence
    assert type(error).__name__ in report.text()


def test_an_interrupt_passes():
    def fn(params, inputs, targets):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checked(fn)


@pytest.mark.parametrize("result", [None, 3.0, "text", {"history": 1}, [{"u": 1}, {"u": 2}], [("a", "b"), ("c", "d")]])
def test_what_holds_no_gradients_is_found(result):
    report = checked(lambda *given: result)
    assert report.verdict is Verdict.WRONG
    assert ids(report) == {"returns"}


def test_a_missing_layer_is_wrong():
    report = checked(lambda *given: textbook(*given)[:1])
    assert wrong(report, "path") == {"params[1].weights", "params[1].bias"}


def test_random_results_are_found():
    rng = np.random.default_rng(0)

    def fn(params, inputs, targets):
        grads = textbook(params, inputs, targets)
        grads[0][1][0] += rng.normal()
        return grads

    report = checked(fn)
    assert ids(report) == {"nondeterministic"}
    assert "in every case" in report.findings[0].sentence
    assert "params[0].bias" in report.findings[0].sentence
    assert not report.notes


def test_results_that_differ_by_rounding_are_noted():
    calls = []

    def fn(params, inputs, targets):
        calls.append(1)
        order = np.random.default_rng(len(calls)).permutation(len(inputs))
        return textbook(params, inputs[order], targets[order])

    report = checked(fn)
    assert report.verdict is Verdict.CONSISTENT
    assert ["same bits" in note for note in report.notes] == [True]


@pytest.mark.parametrize("called_before", [False, True])
def test_added_gradients_are_found(called_before):
    total = [[0.0, 0.0], [0.0, 0.0]]

    def fn(params, inputs, targets):
        for own, layer in zip(total, textbook(params, inputs, targets), strict=True):
            own[0], own[1] = own[0] + layer[0], own[1] + layer[1]
        return [tuple(own) for own in total]

    if called_before:
        case = probe_cases.draw_probe_cases(NETWORK, MEAN, seed=5)[1]
        fn(case.params, case.inputs, case.targets)
    report = checked(fn)
    assert ids(report) == {"accumulates"}
    assert "zero" in report.findings[0].sentence
    assert {leaf.group for leaf in report.leaves} == {"several samples"}
    assert bool(wrong(report)) == called_before


def test_changed_arguments_are_found():
    def fn(params, inputs, targets):
        grads = textbook(params, inputs, targets)
        targets -= 1
        params[1][0][0, 0] = 0
        return grads

    report = checked(fn)
    assert not wrong(report)
    assert ids(report) == {"mutates"}
    assert "targets" in report.findings[0].sentence
    assert "params[1].weights" in report.findings[0].sentence


def test_an_update_in_the_list_of_parameters_is_found():
    def fn(params, inputs, targets):
        grads = textbook(params, inputs, targets)
        params[0] = tuple(leaf - 0.1 * grad for leaf, grad in zip(params[0], grads[0], strict=True))
        return grads

    assert ids(checked(fn)) == {"mutates"}


def test_reused_buffers_are_noted():
    buffers = [(np.zeros(shape), np.zeros(shape[1])) for shape in NETWORK.shapes]

    def fn(params, inputs, targets):
        for own, layer in zip(buffers, textbook(params, inputs, targets), strict=True):
            own[0][...], own[1][...] = layer
        return buffers

    report = checked(fn)
    assert report.verdict is Verdict.CONSISTENT
    assert ["overwritten" in note for note in report.notes] == [True]


def test_a_buffer_of_the_last_batch_is_found():
    buffer = np.zeros((7, 6))

    def fn(params, inputs, targets):
        grads = textbook(params, inputs, targets)
        _, _, outputs = forward(params, inputs)
        buffer[: len(inputs)] = 2 * (outputs - targets) / len(inputs) * (1 - outputs**2)
        return [grads[0], (grads[1][0], buffer.sum(axis=0))]

    report = checked(fn)
    assert ids(report) == {"stale-state"}
    assert "'partial batch'" in report.findings[0].sentence
    assert wrong(report) == {"partial batch", "one sample"}


# the arguments


def test_a_seed_gives_the_same_report():
    first, same, other = (checked(textbook, seed=seed).document() for seed in (3, 3, 4))
    assert first == same != other


def test_bad_arguments_are_refused(says):
    entropy = dataclasses.replace(ENTROPY)
    says(TypeError, ["fn", "function", "list"], check_function, [1], NETWORK, MEAN)
    says(TypeError, ["network", "int"], check_function, textbook, 3, MEAN)
    says(TypeError, ["loss", "str"], check_function, textbook, NETWORK, "squared_error")
    says(ValueError, ["softmax", "tanh"], check_function, textbook, NETWORK, entropy)
    says(ValueError, ["float32", "flaot32"], check_function, textbook, NETWORK, MEAN, precision="flaot32")
    says(ValueError, ["relu", "rleu"], check_function, textbook, "rleu", MEAN)
    says(ValueError, ["activation"], check_function, textbook, [], MEAN)
    says(TypeError, ["seed"], check_function, textbook, NETWORK, MEAN, seed=0.5)
    says(ValueError, ["seed"], check_function, textbook, NETWORK, MEAN, seed=-1)
