"""The hand-written backward pass against jax.grad, its transformations, and planted mistakes."""

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from jax.experimental.jet import jet

import functional_mlp as fm
from functional_mlp.activations import FACTORIES
from functional_mlp.backward_pass import Stages, already_through, output_cotangent, pull_back
from tests.helpers.strategies import ACTIVATIONS, ADMISSIBLE, make_problem, recipes
from tests.helpers.tolerances import RELATIVE, relative_difference

ALL = ("sigmoid", "softmax")  # with which some losses are fused


def _in_turn(number, name):
    """The losses that an activation is tried with: two in turn, so that each meets some; all where some are fused."""
    kinds = ADMISSIBLE[name]
    return kinds if name in ALL else [kinds[(2 * number + i) % len(kinds)] for i in range(2)]


PAIRS = [(name, kind) for number, name in enumerate(ACTIVATIONS) for kind in _in_turn(number, name)]


def by_hand(network, loss, params, inputs, targets, sample_weights, ct_outputs) -> Any:
    """Loss and gradient, and the bare VJP with a cotangent that is not one, all from functional_mlp."""
    _, tape = fm.forward(network, params, inputs)
    return {
        "gradient": fm.loss_and_grad(network, loss, params, inputs, targets, sample_weights),
        "vjp": fm.backward(network, params, tape, ct_outputs),
    }


def by_autodiff(network, loss, params, inputs, targets, sample_weights, ct_outputs) -> Any:
    """The same by jax.grad of the plain forward pass, where no loss is fused with its activation."""

    def value(params):
        return loss.value(fm.forward(network, params, inputs)[0], targets, sample_weights) + loss.penalty(params)

    _, pull = jax.vjp(lambda params, inputs: fm.forward(network, params, inputs)[0], params, jnp.asarray(inputs))
    return {"gradient": jax.value_and_grad(value)(params), "vjp": pull(jnp.asarray(ct_outputs))}


@jax.jit
def both(problem):
    return by_hand(*problem), by_autodiff(*problem)


def assert_hand_is_autodiff(problem):
    with jax.enable_x64(True):
        hand, auto = both(problem)
        for what in ("gradient", "vjp"):
            assert relative_difference(hand[what], auto[what]) <= RELATIVE["float64"], what


@given(recipes())
@settings(max_examples=6)
@pytest.mark.slow
def test_hand_written_gradient_is_that_of_autodiff(recipe):
    with jax.enable_x64(True):
        problem = recipe()
    assert_hand_is_autodiff(problem)


@pytest.mark.parametrize(("activation", "kind"), PAIRS)
def test_every_activation_and_every_loss(activation, kind):
    network = fm.Network((3, 4, 2), (activation, activation))
    loss = fm.Loss(kind, "mean", "sum", scale=0.7, l2=0.2, l2_on_bias=True)
    with jax.enable_x64(True):
        problem = make_problem(network, loss, samples=6, seed=len(activation), weighted=True)
    assert_hand_is_autodiff(problem)


@pytest.mark.parametrize("sizes", [(1, 1), (1, 1, 1), (64, 1, 64), (2, 3, 3, 3, 3, 3, 1)])
@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.slow
def test_single_units_samples_and_layers(sizes, samples):
    with jax.enable_x64(True):
        problem = make_problem(fm.Network(sizes, "silu"), fm.Loss("squared_error", over_samples="mean"), samples, 3)
    assert_hand_is_autodiff(problem)


def wrong(stage, function):
    return Stages()._replace(**{stage: function})


@pytest.mark.parametrize(
    ("planted", "layer"),
    [
        (wrong("through_activation", already_through), 1),
        (wrong("through_activation", lambda r, ct: 2 * r.activation.vjp(r.z, r.a, ct)), 0),
        (wrong("through_activation", lambda r, ct: r.activation.vjp(r.a, r.a, ct)), 1),
        (wrong("weights_cotangent", lambda r, ct: ct.T @ r.a_prev), 1),
        (wrong("weights_cotangent", lambda r, ct: r.a_prev.T @ ct / ct.shape[0]), 0),
        (wrong("bias_cotangent", lambda r, ct: ct.mean(0)), 2),
        (wrong("bias_cotangent", lambda r, ct: ct[0]), 0),
        (wrong("previous_cotangent", lambda r, ct: ct @ r.weights), 1),
        (wrong("previous_cotangent", lambda r, ct: jnp.full(r.a_prev.shape, jnp.nan)), 2),
    ],
)
def test_one_planted_mistake_at_one_stage_makes_the_comparison_fail(planted, layer):
    with jax.enable_x64(True):
        network = fm.Network((4, 4, 4, 4), "tanh")
        problem = make_problem(network, fm.Loss("squared_error"), samples=5, seed=1)
        _, tape = fm.forward(network, problem.params, problem.inputs)
        stages = [Stages(), Stages(), Stages()]
        right = pull_back(network, problem.params, tape, jnp.asarray(problem.ct_outputs), stages)
        auto = by_autodiff(*problem)["vjp"]
        assert relative_difference((right.params, right.inputs), auto) <= RELATIVE["float64"]
        stages[layer] = planted
        mutant = pull_back(network, problem.params, tape, jnp.asarray(problem.ct_outputs), stages)
        assert relative_difference((mutant.params, mutant.inputs), auto) > 1e-3


@pytest.mark.parametrize(
    ("activation", "kind"), [("sigmoid", "binary_cross_entropy"), ("softmax", "categorical_cross_entropy")]
)
def test_saturated_outputs_take_the_exact_fused_path(activation, kind):
    """One sample whose output rounds to 1 although its target is 0: the unfused gradient is 0 * inf there."""
    with jax.enable_x64(True):
        network = fm.Network((1, 2), activation)
        params = (fm.Dense(jnp.asarray([[800.0, -800.0]]), jnp.zeros(2)),)
        targets = np.asarray([[0.0, 1.0]])
        loss = fm.Loss(kind)
        value, grads = fm.loss_and_grad(network, loss, params, np.ones((1, 1)), targets)
        per_unit = 800.0 if activation == "sigmoid" else 1600.0
        assert float(value) == (2 * per_unit if activation == "sigmoid" else per_unit)
        np.testing.assert_array_equal(grads[0].weights, [[1.0, -1.0]])
        outputs, tape = fm.forward(network, params, np.ones((1, 1)))
        assert not np.isfinite(loss.value(outputs, targets))
        unfused, _ = fm.backward(network, params, tape, loss.cotangent(outputs, targets))
        assert not np.array_equal(unfused[0].weights, [[1.0, -1.0]])
        assert output_cotangent(network, loss, tape, targets).stages[-1].through_activation is already_through


# transformations


@pytest.fixture
def problem(x64):
    network = fm.Network((3, 4, 2), ("gelu", "sigmoid"))
    return make_problem(network, fm.Loss("binary_cross_entropy", "mean"), samples=5, seed=7)


def loss_through(run, problem):
    return lambda params: problem.loss.value(run(problem.network, params, problem.inputs), problem.targets)


def test_grad_of_apply_runs_the_hand_written_backward(problem, monkeypatch):
    through_forward = jax.jit(jax.grad(loss_through(lambda *args: fm.forward(*args)[0], problem)))(problem.params)
    through_apply = jax.jit(jax.grad(loss_through(fm.apply, problem)))(problem.params)
    assert relative_difference(through_apply, through_forward) <= RELATIVE["float64"]

    module = sys.modules["functional_mlp.backward_pass"]
    monkeypatch.setattr(
        module, "backward", lambda *args, **kwargs: jax.tree.map(jnp.zeros_like, (args[1], args[2].inputs))
    )
    zeroed = jax.jit(jax.grad(loss_through(fm.apply, problem)))(problem.params)
    assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(zeroed))


def test_grad_of_apply_with_respect_to_the_inputs(problem):
    ct = jnp.asarray(problem.ct_outputs)
    got = jax.grad(lambda x: jnp.vdot(ct, fm.apply(problem.network, problem.params, x)))(jnp.asarray(problem.inputs))
    _, tape = fm.forward(problem.network, problem.params, problem.inputs)
    expected = fm.backward(problem.network, problem.params, tape, ct)[1]
    assert relative_difference(got, expected) <= RELATIVE["float64"]


@pytest.mark.slow
def test_forward_mode_of_apply_raises_jax_s_type_error_and_of_forward_works(problem):
    with pytest.raises(TypeError, match="jvp"):
        jax.jvp(loss_through(fm.apply, problem), (problem.params,), (problem.params,))
    through_forward = loss_through(lambda *args: fm.forward(*args)[0], problem)
    _, directional = jax.jvp(through_forward, (problem.params,), (problem.params,))
    _, grads = fm.loss_and_grad(problem.network, problem.loss, problem.params, problem.inputs, problem.targets)
    expected = sum(jnp.vdot(g, p) for g, p in zip(jax.tree.leaves(grads), jax.tree.leaves(problem.params), strict=True))
    assert relative_difference(directional, expected) <= RELATIVE["float64"]


@pytest.mark.parametrize("name", FACTORIES)
def test_taylor_series_of_forward_are_its_derivatives(name, x64):
    network = fm.Network((3, 4, 3), ("tanh", name))
    params = fm.init_params(network, jax.random.key(0), dtype="float64")
    inputs, way = jax.random.normal(jax.random.key(1), (2, 2, 3), "float64")

    def along(t):
        return fm.forward(network, params, inputs + t * way)[0]

    value, series = jet(lambda x: fm.forward(network, params, x)[0], (inputs,), ([way, jnp.zeros_like(way)],))

    def first(t):
        return jax.jvp(along, (t,), (1.0,))[1]

    derivatives = along(0.0), first(0.0), jax.jvp(first, (0.0,), (1.0,))[1]
    for own, right in zip((value, *series), derivatives, strict=True):
        assert relative_difference(own, right) <= 1e-13


@pytest.mark.slow
def test_hessian_of_forward_is_the_jacobian_of_the_hand_written_gradient(problem):
    network, loss = problem.network, problem.loss
    hessian = jax.jit(jax.hessian(loss_through(lambda *args: fm.forward(*args)[0], problem)))(problem.params)
    jacobian = jax.jit(
        jax.jacfwd(lambda params: fm.loss_and_grad(network, loss, params, problem.inputs, problem.targets)[1])
    )(problem.params)
    assert relative_difference(jacobian, hessian) <= 1e-11


@pytest.mark.slow
def test_vmap_over_parameters_and_checkpoint(problem):
    @jax.jit
    def gradient(params):
        return fm.loss_and_grad(problem.network, problem.loss, params, problem.inputs, problem.targets)[1]

    several = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), problem.params)
    doubled = jax.tree.map(lambda leaf: 2 * leaf, problem.params)
    batched = jax.vmap(gradient)(several)
    for run, params in enumerate((problem.params, doubled)):
        one = jax.tree.map(lambda leaf, run=run: leaf[run], batched)
        assert relative_difference(one, gradient(params)) <= RELATIVE["float64"]
    value = loss_through(lambda *args: fm.forward(*args)[0], problem)
    assert relative_difference(jax.grad(jax.checkpoint(value))(problem.params), gradient(problem.params)) <= 1e-12


def test_network_loss_and_activation_are_static_under_jit(problem):
    compiled = jax.jit(fm.loss_and_grad)
    arguments = (problem.network, problem.loss, problem.params, problem.inputs, problem.targets)
    compiled(*arguments)
    equal = (fm.Network([3, 4, 2], ["gelu", "sigmoid"]), fm.Loss("binary_cross_entropy", "mean"))
    compiled(*equal, *arguments[2:])
    assert compiled._cache_size() == 1


def test_hessian_of_apply_is_that_of_forward(problem):
    """jax.hessian is forward over reverse: it needs no forward mode of apply itself."""
    through_apply = jax.jit(jax.hessian(loss_through(fm.apply, problem)))(problem.params)
    through_forward = jax.jit(jax.hessian(loss_through(lambda *args: fm.forward(*args)[0], problem)))(problem.params)
    assert relative_difference(through_apply, through_forward) <= 1e-11


@pytest.mark.slow
def test_a_sample_of_weight_zero_leaves_no_trace_not_even_nan(problem):
    network, loss = problem.network, problem.loss
    spoilt = problem.inputs.copy()
    spoilt[1] = np.nan
    weights = np.array([1.0, 0.0, 2.0, 1.0, 0.5])
    kept = [0, 2, 3, 4]
    got = fm.loss_and_grad(network, loss, problem.params, spoilt, problem.targets, weights)
    expected = fm.loss_and_grad(network, loss, problem.params, spoilt[kept], problem.targets[kept], weights[kept])
    assert relative_difference(got, expected) <= RELATIVE["float64"]


def test_an_activation_of_ones_own_is_not_taken_for_a_built_in_one(x64):
    """It is called sigmoid, but is not: the fused output layer would be that of another function."""
    steep = fm.Activation(
        "sigmoid",
        lambda z: jax.nn.sigmoid(3 * z),
        lambda z, a, ct_a: 3 * a * (1 - a) * ct_a,
        probabilities=True,
    )
    problem = make_problem(fm.Network((2, 1), steep), fm.Loss("binary_cross_entropy"), samples=3, seed=0)
    assert_hand_is_autodiff(problem)


def test_everything_works_inside_shard_map(problem):
    from jax.sharding import PartitionSpec as P

    mesh = jax.make_mesh((1,), ("samples",), axis_types=(jax.sharding.AxisType.Auto,))
    inputs, targets = jnp.asarray(problem.inputs), jnp.asarray(problem.targets)

    def gradient(params, inputs, targets):
        return jax.grad(lambda p: problem.loss.value(fm.apply(problem.network, p, inputs), targets))(params)

    sharded = jax.shard_map(gradient, mesh=mesh, in_specs=(P(), P("samples"), P("samples")), out_specs=P())
    got = jax.jit(sharded)(problem.params, inputs, targets)
    assert relative_difference(got, gradient(problem.params, inputs, targets)) <= RELATIVE["float64"]


# dtypes


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.slow
def test_the_dtype_follows_the_parameters(dtype):
    network, loss = fm.Network((3, 8, 2), ("tanh", "softmax")), fm.Loss("categorical_cross_entropy", "mean")
    with jax.enable_x64(True):
        exact = make_problem(network, loss, samples=16, seed=5)
        narrow = jax.tree.map(lambda leaf: jnp.asarray(leaf).astype(dtype), exact[2:])
        value, grads = fm.loss_and_grad(network, loss, narrow[0], narrow[1], narrow[2])
        outputs, tape = fm.forward(network, narrow[0], narrow[1])
        _, ct_inputs = fm.backward(network, narrow[0], tape, narrow[4])
        assert {str(leaf.dtype) for leaf in jax.tree.leaves((grads, tape, outputs, ct_inputs))} == {dtype}
        assert str(value.dtype) == ("float64" if dtype == "float64" else "float32")
        expected = fm.loss_and_grad(network, loss, exact.params, exact.inputs, exact.targets)[1]
        assert relative_difference(jax.tree.map(lambda g: g.astype("float64"), grads), expected) <= RELATIVE[dtype]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sixteen_bit_sums_are_accumulated_in_float32(dtype):
    """4096 equal contributions: in 16-bit accumulation the sum stagnates at 2048 or 256 of them."""
    network, loss = fm.Network((1, 1), "identity"), fm.Loss("squared_error", scale=0.5)
    params = (fm.Dense(jnp.zeros((1, 1), dtype), jnp.zeros(1, dtype)),)
    ones = jnp.ones((4096, 1), dtype)
    value, grads = fm.loss_and_grad(network, loss, params, ones, ones)
    assert float(value) == 2048
    assert float(grads[0].weights[0, 0]) == float(grads[0].bias[0]) == -4096


@pytest.mark.slow
def test_a_network_without_bias():
    network = fm.Network((2, 3, 1), "tanh")
    params = fm.init_params(network, jax.random.key(0), bias=None)
    _, grads = fm.loss_and_grad(
        network, fm.Loss("squared_error", l2=0.1, l2_on_bias=True), params, jnp.ones((4, 2)), jnp.ones((4, 1))
    )
    assert [layer.bias for layer in grads] == [None, None]
    assert jax.tree.structure(grads) == jax.tree.structure(params)


def test_matrix_products_run_at_highest_precision_unless_asked_otherwise():
    network = fm.Network((2, 3, 1), "tanh")
    params = fm.init_params(network, jax.random.key(0))
    arguments = (network, fm.Loss("squared_error"), params, jnp.ones((4, 2)), jnp.ones((4, 1)))
    with jax.default_matmul_precision("bfloat16"):
        program = str(jax.make_jaxpr(fm.loss_and_grad)(*arguments))
        asked = str(jax.make_jaxpr(lambda *a: fm.loss_and_grad(*a, precision="default"))(*arguments))
    assert program.count("HIGHEST") >= 5
    assert "HIGHEST" not in asked
    through_apply = str(jax.make_jaxpr(jax.grad(lambda p: fm.apply(network, p, arguments[3]).sum()))(params))
    assert through_apply.count("HIGHEST") >= 4
    assert "DEFAULT" not in through_apply
    asked = jax.make_jaxpr(jax.grad(lambda p: fm.apply(network, p, arguments[3], precision="default").sum()))(params)
    assert "HIGHEST" not in str(asked)
    assert "DEFAULT" not in program


def test_bad_input(says):
    network = fm.Network((2, 3, 1), ("tanh", "relu"))
    params = fm.init_params(network, jax.random.key(0))
    x, t = np.ones((4, 2), np.float32), np.ones((4, 1), np.float32)
    loss = fm.Loss("squared_error")
    outputs, tape = fm.forward(network, params, x)
    says(ValueError, ["(n, 2)", "(4, 3)"], fm.forward, network, params, np.ones((4, 3), np.float32))
    says(ValueError, ["(2,)", "inputs[None, :]"], fm.forward, network, params, x[0])
    says(ValueError, ["empty batch", "(0, 2)"], fm.forward, network, params, x[:0])
    says(TypeError, ["inputs", "int64"], fm.forward, network, params, x.astype(int))
    says(TypeError, ["inputs", "object"], fm.forward, network, params, x.astype(object))
    says(TypeError, ["float32", "float16"], fm.forward, network, params, x.astype(np.float16))
    says(TypeError, ["inputs", "complex64"], fm.forward, network, params, x.astype(np.complex64))
    both_trees = ["Dense(weights=[2, 3], bias=[3])", "(Dense(weights=float32[2, 3], bias=float32[3]))"]
    says(ValueError, both_trees, fm.forward, network, params[:1], x)
    says(ValueError, ["got dict"], fm.forward, network, {"w": 1}, x)
    says(
        ValueError,
        ["weights=[2, 3]", "float32[3, 2]"],
        fm.forward,
        network,
        ((params[0].weights.T, None), params[1]),
        x,
    )
    mixed = (params[0], fm.Dense(params[1].weights.astype(jnp.bfloat16), params[1].bias))
    says(TypeError, ["one dtype", "bfloat16[3, 1]"], fm.forward, network, mixed, x)
    says(ValueError, ["(4, 1)", "(4,)", "targets[:, None]"], fm.loss_and_grad, network, loss, params, x, t[:, 0])
    says(ValueError, ["(4, 1)", "(5, 1)"], fm.backward, network, params, tape, np.ones((5, 1), np.float32))
    says(TypeError, ["ct_outputs", "int64"], fm.backward, network, params, tape, np.ones((4, 1), int))
    says(TypeError, ["float32", "float16"], fm.backward, network, params, tape, np.ones((4, 1), np.float16))
    other = fm.Network((2, 5, 1), "tanh")
    _, foreign = fm.forward(other, fm.init_params(other, jax.random.key(0)), x)
    says(ValueError, ["tape", "(2, 3, 1)", "(4, 5)"], fm.backward, network, params, foreign, t)
    refused = ["binary_cross_entropy", "logarithm", "relu"]
    says(ValueError, refused, fm.loss_and_grad, network, fm.Loss("binary_cross_entropy"), params, x, t)
    assert outputs.shape == (4, 1)
