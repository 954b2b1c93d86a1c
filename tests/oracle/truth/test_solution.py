"""solve: the truth, whatever the caller's settings; two derivations that must agree; refusals."""

import contextlib
import dataclasses
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functional_mlp as fm
from benchmarks.accuracy.small_cases import small_case
from functional_mlp import oracle
from functional_mlp.oracle.truth import agreement, computing
from functional_mlp.oracle.truth.differences import confirmed_by_differences
from functional_mlp.oracle.truth.solution import _compiled, _in_numpy
from reference import exact
from tests.helpers.tolerances import relative_difference

LOSSES = [
    ("squared_error", "identity"),
    ("binary_cross_entropy", "sigmoid"),
    ("categorical_cross_entropy", "softmax"),
    ("sigmoid_cross_entropy", "identity"),
    ("softmax_cross_entropy", "identity"),
]


def draw(kind="binary_cross_entropy", last="sigmoid", seed=0, **loss):
    network = fm.Network((3, 4, 5, 2), ("tanh", "gelu", last))
    return oracle.draw_case(network, None if kind is None else fm.Loss(kind, **loss), samples=6, seed=seed)


def truth(case):
    """The same case to the referee, in ball arithmetic."""
    return exact.solve(
        exact.Case(
            sizes=case.network.sizes,
            activations=[{"name": a.name, **dict(a.parameters)} for a in case.network.activations],
            params=case.params,
            inputs=case.inputs,
            loss=None if case.loss is None else case.loss.as_fields(),
            targets=case.targets,
            sample_weights=case.sample_weights,
            ct_outputs=case.ct_outputs,
        )
    )


def assert_same_bits(first, second):
    assert first.loss == second.loss
    leaves, others = jax.tree.leaves(tuple(first)), jax.tree.leaves(tuple(second))
    for leaf, other in zip(leaves, others, strict=True):
        np.testing.assert_array_equal(np.asarray(leaf).view(np.uint64), np.asarray(other).view(np.uint64))


@pytest.mark.parametrize(("kind", "last"), [*LOSSES, (None, "softplus")])
def test_every_quantity_is_that_of_the_referee(kind, last):
    case = draw(kind, last, **({} if kind is None else {"over_samples": "mean", "l2": 0.1, "l2_on_bias": True}))
    solution, expected = oracle.solve(case), truth(case)
    for field in ("outputs", "pre_activations", "activations", "deltas", "grads", "ct_inputs"):
        assert relative_difference(getattr(solution, field), getattr(expected, field)) <= 1e-13, field
    if kind is None:
        assert solution.loss is None
    else:
        assert solution.loss == pytest.approx(expected.loss, rel=1e-14)
    assert all(isinstance(leaf, np.ndarray) and leaf.dtype == np.float64 for leaf in jax.tree.leaves(solution.grads))
    with pytest.raises(ValueError, match="read-only"):
        solution.outputs[0, 0] = 1


SETTINGS = {
    "x64 on": lambda: jax.enable_x64(True),
    "bfloat16 products": lambda: jax.default_matmul_precision("bfloat16"),
    "standard promotion": lambda: jax.numpy_dtype_promotion("standard"),
    "debug_nans": lambda: jax.debug_nans(True),
    "debug_infs": lambda: jax.debug_infs(True),
    "no jit": lambda: jax.disable_jit(True),
    "no transfers": lambda: jax.transfer_guard("disallow"),
    "another generator": lambda: jax.default_prng_impl("rbg"),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_same_bits_under_any_settings_which_are_left_as_they_were(setting):
    case = draw()
    plain = oracle.solve(case)
    with SETTINGS[setting]():
        before = dict(jax.config.values)
        inside = oracle.solve(case)
        assert dict(jax.config.values) == before
    assert_same_bits(inside, plain)


@pytest.mark.slow
def test_the_same_bits_on_another_default_device_and_from_inside_a_compiled_program():
    """In a process of its own, which has two CPU devices and uses the second."""
    code = """
import sys
sys.path.insert(0, ".")
import jax, numpy as np
jax.config.update("jax_num_cpu_devices", 2)
from tests.oracle.truth.test_solution import draw
from functional_mlp import oracle
from functional_mlp.oracle.truth import agreement
plain = oracle.solve(draw())
seen = []
def ask(x):
    seen.append(oracle.solve(draw()).ct_inputs)
    return x
with jax.default_device(jax.devices("cpu")[1]):
    seen.append(oracle.solve(draw()).ct_inputs)
    jax.block_until_ready(jax.jit(lambda x: jax.pure_callback(ask, x, x))(np.float32(1)))
assert len(seen) == 2
print(all(np.array_equal(other, plain.ct_inputs) for other in seen), plain.ct_inputs.tobytes().hex())
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([".", os.environ.get("PYTHONPATH", "")])}
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    ).stdout
    same, bits = out.split()
    assert same == "True"
    assert bits == oracle.solve(draw()).ct_inputs.tobytes().hex()


@pytest.mark.parametrize(
    "vjp",
    [
        lambda z, a, ct_a: ct_a * (1 - a),
        lambda z, a, ct_a: ct_a * (1 - a * a) * (1 + 1e-8),
        lambda z, a, ct_a: 2 * ct_a * (1 - a * a),
        lambda z, a, ct_a: ct_a * (1 - z * z),
    ],
)
def test_a_wrong_derivation_is_refused(vjp):
    wrong = fm.Activation("tanh", jnp.tanh, vjp)
    case = oracle.draw_case(fm.Network((3, 4, 2), wrong), fm.Loss("squared_error"), samples=5)
    with pytest.raises(oracle.DisagreementError, match=r"disagree at .*by hand .*by jax.grad"):
        oracle.solve(case)


@pytest.mark.parametrize("at_zero", [0.0, 1.0, 0.5])
@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu"])
def test_at_a_kink_both_derivations_take_the_chosen_side(name, at_zero):
    activation = {"name": name, "at_zero": at_zero}
    network = fm.Network((2, 3, 1), [activation, "identity"])
    params = [(np.zeros((2, 3)), np.array([0.0, -0.0, 1.0])), (np.ones((3, 1)), np.zeros(1))]
    case = oracle.Case(network, fm.Loss("squared_error"), params, np.ones((2, 2)), np.ones((2, 1)))
    solution = oracle.solve(case)
    assert solution.deltas[0][0, :2].tolist() == [at_zero * solution.deltas[1][0, 0]] * 2
    assert relative_difference(solution.grads, truth(case).grads) <= 1e-15


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [1e-8, 30.0, 1000.0])
@pytest.mark.parametrize(("kind", "last"), LOSSES)
def test_saturated_and_tiny_cases_are_answered(kind, last, size, seed):
    """No false disagreement where jax.grad of the usual formulas would have lost all digits."""
    drawn = draw(kind, last, seed=seed)
    scaled = [(size * weights, bias) for weights, bias in drawn.params]
    oracle.solve(oracle.Case(drawn.network, drawn.loss, scaled, drawn.inputs, drawn.targets))


def test_an_answer_that_float64_cannot_hold_is_refused_with_the_reason():
    network = fm.Network((1, 1), "identity")
    case = oracle.Case(network, fm.Loss("squared_error"), [([[1e200]], None)], [[1.0]], [[0.0]])
    with pytest.raises(OverflowError, match="loss that is not finite"):
        oracle.solve(case)


def own_activation(value=jnp.tanh, vjp=lambda z, a, ct_a: ct_a * (1 - a * a)):
    return fm.Activation("own", value, vjp)


def test_an_answer_that_jax_grad_cannot_confirm_is_refused_and_called_no_bug():
    size = own_activation(lambda z: jnp.sqrt(z * z), lambda z, a, ct_a: ct_a * jnp.sign(z))
    network = fm.Network((1, 1), size)
    case = oracle.Case(network, fm.Loss("squared_error"), [([[1.0]], [0.0])], [[0.0]], [[1.0]])
    with pytest.raises(OverflowError, match=r"jax\.grad can confirm"):
        oracle.solve(case)


def no_cpu(platform=None):
    raise RuntimeError("Unknown backend cpu")


def test_without_a_cpu_backend_what_only_jax_can_compute_says_what_to_set(monkeypatch):
    monkeypatch.setattr(jax, "devices", no_cpu)
    oracle.solve(draw())
    with pytest.raises(RuntimeError, match="JAX_PLATFORMS=cuda,cpu"):
        oracle.solve(oracle.draw_case(fm.Network((2, 1), own_activation()), fm.Loss("squared_error"), samples=3))


def compiled():
    return agreement.compiled_derivations.cache_info().misses


@pytest.mark.parametrize(("kind", "last"), LOSSES)
def test_nothing_is_compiled_where_differences_confirm(kind, last):
    before = compiled()
    for seed in range(3):
        oracle.solve(draw(kind, last, seed=seed))
    assert compiled() == before


def test_what_differences_do_not_confirm_is_compiled_once_for_arrays_of_the_same_shapes():
    network, loss = fm.Network((3, 4, 1), own_activation()), fm.Loss("squared_error")
    before = compiled()
    for seed in range(3):
        oracle.solve(oracle.draw_case(network, loss, samples=5, seed=seed))
    assert compiled() == before + 1


@pytest.mark.slow
def test_few_compiled_programs_are_kept():
    own = fm.Network((1, 1), own_activation())
    for samples in range(1, 2 * agreement.KEPT_PROGRAMS):
        oracle.solve(oracle.draw_case(own, fm.Loss("squared_error"), samples=samples))
    assert agreement.compiled_derivations.cache_info().currsize == agreement.KEPT_PROGRAMS


@given(seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_numpys_pass_is_the_compiled_one(seed):
    case = small_case(seed, "float64")
    with computing(case.network):
        ours = _in_numpy(case)
    compiled = _compiled(case)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(compiled), strict=True):
        size = np.abs(other).max(initial=1e-30)
        assert np.abs(one - other).max(initial=0.0) <= 1e-12 * size


@pytest.mark.parametrize("place", ["inputs", "weights", "bias"])
@pytest.mark.parametrize("factor", [1 + 1e-4, 0.0, -1.0, 2.0])
def test_differences_confirm_no_array_that_is_off(place, factor):
    case = draw(seed=4)
    solution = oracle.solve(case)
    grads, ct_inputs = [list(layer) for layer in solution.grads], solution.ct_inputs
    assert confirmed_by_differences(case, tuple(map(tuple, grads)), ct_inputs)
    if place == "inputs":
        ct_inputs = factor * ct_inputs
    else:
        grads[0][place == "bias"] = factor * grads[0][place == "bias"]
    assert not confirmed_by_differences(case, tuple(map(tuple, grads)), ct_inputs)


def scaled(grads, layer, bias, factor):
    return tuple(
        tuple(leaf * factor if (i, j) == (layer, bias) else leaf for j, leaf in enumerate(pair))
        for i, pair in enumerate(grads)
    )


def test_differences_see_every_row_every_sample_and_no_array_of_zeros():
    case = draw(seed=4)
    solution = oracle.solve(case)
    rows = np.ones((3, 1))
    rows[0] = 1 + 1e-3
    assert not confirmed_by_differences(case, scaled(solution.grads, 0, 0, rows), solution.ct_inputs)
    tiny = case.inputs.copy()
    tiny[:, 0] *= 1e-4
    own = dataclasses.replace(case, inputs=tiny)
    answer = oracle.solve(own)
    assert not confirmed_by_differences(own, scaled(answer.grads, 0, 0, rows), answer.ct_inputs)
    samples = np.ones((6, 1))
    samples[2] = -1
    assert not confirmed_by_differences(case, solution.grads, samples * solution.ct_inputs)
    vanishing = oracle.Case(
        fm.Network((2, 2), "softmax"),
        fm.Loss("squared_error"),
        [(1e-3 * np.ones((2, 2)), [45.0, 0.0])],
        np.ones((2, 2)),
        np.zeros((2, 2)),
    )
    answer = oracle.solve(vanishing)
    assert not confirmed_by_differences(vanishing, scaled(answer.grads, 0, 0, 0.0), 0 * answer.ct_inputs)


@pytest.mark.parametrize(("sizes", "samples"), [((1, 1), 100_000), ((2000, 1), 1), ((300, 200, 10), 50)])
def test_a_case_of_many_samples_or_weights_is_compiled_and_takes_no_memory(sizes, samples):
    case = oracle.draw_case(fm.Network(sizes, "identity"), fm.Loss("squared_error"), samples=samples)
    before, resident = compiled(), psutil.Process().memory_info().rss
    oracle.solve(case)
    assert compiled() == before + 1
    assert psutil.Process().memory_info().rss - resident < 400e6


def test_differences_confirm_nothing_that_overflows():
    case = draw("squared_error", "identity", scale=1e160)
    grads = oracle.solve(case).grads
    assert not confirmed_by_differences(case, scaled(grads, 0, 0, 2.0), oracle.solve(case).ct_inputs)


def test_differences_do_not_confirm_at_a_kink():
    network = fm.Network((1, 1), "relu")
    case = oracle.Case(network, fm.Loss("squared_error"), [([[1.0]], [0.0])], [[0.0]], [[1.0]])
    assert not confirmed_by_differences(case, (([[0.0]], [-2.0]),), np.array([[-2.0]]))


@pytest.mark.parametrize("suffix", [".json", ".npz", ".safetensors"])
@pytest.mark.parametrize(("weights_layout", "bias_layout"), [("in_out", "separate"), ("out_in", "last_row")])
def test_a_solution_file_holds_every_quantity_in_the_declared_layout(suffix, weights_layout, bias_layout, tmp_path):
    from functional_mlp.oracle.case import Layout, canonical_layer, declared_layer
    from functional_mlp.oracle.documents import read_document

    drawn = draw()
    layers = [declared_layer(layer, Layout(weights_layout, bias_layout)) for layer in drawn.params]
    case = dataclasses.replace(drawn, params=layers, weights_layout=weights_layout, bias_layout=bias_layout)
    solution = oracle.solve(case)
    oracle.write_solution(tmp_path / f"s{suffix}", case, solution)
    document = read_document(tmp_path / f"s{suffix}", "solution")
    assert document["loss"] == solution.loss
    for field in ("outputs", "ct_inputs"):
        np.testing.assert_array_equal(np.asarray(document[field]), getattr(solution, field))
    for field in ("pre_activations", "activations", "deltas"):
        for got, expected in zip(document[field], getattr(solution, field), strict=True):
            np.testing.assert_array_equal(np.asarray(got), expected)
    for i, (got, expected) in enumerate(zip(document["params"], solution.grads, strict=True)):
        read = canonical_layer("grads", got, drawn.network.shapes[i], Layout(weights_layout, bias_layout))
        np.testing.assert_array_equal(read.weights, expected.weights)
        np.testing.assert_array_equal(read.bias, expected.bias)


def test_drawn_cases_depend_on_the_seed_alone():
    with contextlib.ExitStack() as stack:
        first = draw(seed=3)
        stack.enter_context(jax.default_prng_impl("rbg"))
        again, other = draw(seed=3), draw(seed=4)
    np.testing.assert_array_equal(first.inputs, again.inputs)
    assert not np.array_equal(first.inputs, other.inputs)
