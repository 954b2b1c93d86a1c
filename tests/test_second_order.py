"""Hessian and Gauss-Newton products, written by hand, against jax.jvp of jax.grad, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

import functional_mlp as fm
from functional_mlp.losses import KINDS
from tests.helpers.strategies import ACTIVATIONS, ADMISSIBLE, make_problem, recipes
from tests.helpers.tolerances import RELATIVE, relative_difference

SQUARED = fm.Loss("squared_error")


def direction_of(params, seed=1):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), params)


def products(problem, direction):
    network, loss, params, inputs, targets, weights, _ = problem
    data = network, loss, params, inputs, targets, direction, weights
    return fm.hvp(*data), fm.gauss_newton_vp(*data)


def by_autodiff(problem, direction):
    """Forward over reverse of the plain pass; and J^T H J v of the same parts of it."""
    network, loss, params, inputs, targets, weights, _ = problem
    fused = loss.on_logits(network.activations[-1])

    def value(params):
        return loss.value(fm.forward(network, params, inputs)[0], targets, weights) + loss.penalty(params)

    def seen(params):
        outputs, tape = fm.forward(network, params, inputs)
        return outputs if fused is None else tape.pre_activations[-1]

    hessian = jax.jvp(jax.grad(value), (params,), (direction,))[1]
    outputs, tangent = jax.jvp(seen, (params,), (direction,))
    end = fused or loss
    curved = jax.jvp(jax.grad(lambda o: end.value(o, targets, weights)), (outputs,), (tangent,))[1]
    penalty = jax.jvp(jax.grad(lambda p: jnp.asarray(loss.penalty(p), outputs.dtype)), (params,), (direction,))[1]
    gauss_newton = jax.tree.map(jnp.add, jax.vjp(seen, params)[1](curved)[0], penalty)
    return hessian, gauss_newton


@jax.jit
def both(problem, direction):
    return products(problem, direction), by_autodiff(problem, direction)


def assert_hand_is_autodiff(problem):
    hand, auto = both(problem, direction_of(problem.params))
    for got, right in zip(hand, auto, strict=True):
        assert relative_difference(got, right) <= RELATIVE["float64"]


@given(recipes(max_samples=16))
@settings(max_examples=10)
@pytest.mark.slow
def test_of_drawn_networks(recipe):
    with jax.enable_x64(True):
        assert_hand_is_autodiff(recipe())


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_of_every_activation(activation):
    with jax.enable_x64(True):
        assert_hand_is_autodiff(make_problem(fm.Network((3, 4, 2), activation), SQUARED, samples=6, seed=2))


@pytest.mark.parametrize("kind", KINDS)
def test_of_every_loss(kind):
    with jax.enable_x64(True):
        last = "softmax" if kind in ADMISSIBLE["softmax"] else "identity"
        loss = fm.Loss(kind, "mean", "mean", scale=0.7, l2=0.3)
        assert_hand_is_autodiff(
            make_problem(fm.Network((3, 4, 3), ("tanh", last)), loss, samples=5, seed=2, weighted=True)
        )


@pytest.mark.parametrize(
    "loss",
    [
        fm.Loss("sigmoid_cross_entropy", pos_weight=3.0, label_smoothing=0.1),
        fm.Loss("sigmoid_focal", gamma=1.5, alpha=0.3),
        fm.Loss("sigmoid_focal", gamma=0.0),
        fm.Loss("softmax_focal", gamma=0.5),
        fm.Loss("softmax_cross_entropy", "mean", class_weights=(1.0, 2.0, 0.5), label_smoothing=0.2),
        fm.Loss("huber", delta=0.4, l1=0.2, l2=0.1, l2_on_bias=True),
    ],
    ids=lambda loss: loss.kind,
)
def test_of_their_options(loss):
    with jax.enable_x64(True):
        assert_hand_is_autodiff(make_problem(fm.Network((3, 4, 3), "silu"), loss, samples=5, seed=3))


@pytest.mark.parametrize("last", ["sigmoid", "softmax"])
@pytest.mark.parametrize("epsilon", [0.0, 1e-3])
def test_of_probabilities_fused_and_not(last, epsilon):
    with jax.enable_x64(True):
        kind = "binary_cross_entropy" if last == "sigmoid" else "categorical_cross_entropy"
        problem = make_problem(fm.Network((3, 4, 3), ("gelu", last)), fm.Loss(kind, epsilon=epsilon), samples=5, seed=4)
        assert_hand_is_autodiff(problem)


def test_of_activations_of_ones_own():
    """One by JAX's derivative, one that mixes units, and one of an expression."""
    cumulative = fm.Activation(
        "cumulative",
        lambda z: jnp.cumsum(jnp.tanh(z), axis=-1),
        lambda z, a, ct: (1 - jnp.tanh(z) ** 2) * jnp.cumsum(ct[..., ::-1], axis=-1)[..., ::-1],
    )
    cube = fm.Activation.of(lambda z: z**3, name="cube")
    written = {"name": "bent", "expression": "z * exp(-z**2)"}
    with jax.enable_x64(True):
        network = fm.Network((3, 4, 4, 4, 2), (cumulative, cube, written, "identity"))
        assert_hand_is_autodiff(make_problem(network, SQUARED, samples=5, seed=5))


@pytest.mark.parametrize("over_samples", ["sum", "mean", "batch_mean"])
@pytest.mark.parametrize("last", ["softmax", "identity"])
def test_the_empirical_fisher_matrix_is_made_of_the_samples_gradients(last, over_samples):
    with jax.enable_x64(True):
        kind = "categorical_cross_entropy" if last == "softmax" else "huber"
        network = fm.Network((3, 4, 2), ("tanh", last))
        problem = make_problem(network, fm.Loss(kind, over_samples, scale=0.7, l2=0.3), samples=6, seed=10)
        direction = direction_of(problem.params)
        grads = fm.per_sample_grads(*problem[:5])
        along = sum(
            jnp.sum(g * v[None], axis=tuple(range(1, g.ndim)))
            for g, v in zip(jax.tree.leaves(grads), jax.tree.leaves(direction), strict=True)
        )
        right = jax.tree.map(lambda g: jnp.einsum("n...,n->...", g, along) / (1 if over_samples == "sum" else 6), grads)
        assert relative_difference(fm.empirical_fisher_vp(*problem[:5], direction), right) <= RELATIVE["float64"]


def test_the_samples_of_an_empirical_fisher_matrix_count_as_in_the_loss():
    """Twice as much of one of two samples is a batch with that one twice, and a sample of weight 0 none."""
    with jax.enable_x64(True):
        problem = make_problem(fm.Network((3, 4, 2), "gelu"), fm.Loss("log_cosh", "mean"), samples=3, seed=11)
        network, loss, params, inputs, targets = problem[:5]
        direction = direction_of(params)
        weighted = fm.empirical_fisher_vp(
            network, loss, params, inputs, targets, direction, jnp.asarray([2.0, 1.0, 0.0])
        )
        rows = jnp.asarray([0, 0, 1])
        twice = fm.empirical_fisher_vp(network, loss, params, inputs[rows], targets[rows], direction)
        assert relative_difference(weighted, twice) <= RELATIVE["float64"]


def test_the_hessian_is_symmetric():
    with jax.enable_x64(True):
        problem = make_problem(fm.Network((3, 4, 2), ("mish", "softmax")), SQUARED, samples=6, seed=6)
        first, second = direction_of(problem.params, 1), direction_of(problem.params, 2)

        def dot(one, other):
            pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
            return float(sum(jnp.vdot(*pair) for pair in pairs))

        for number in range(2):
            one = dot(products(problem, first)[number], second)
            assert one == pytest.approx(dot(products(problem, second)[number], first), rel=1e-12)


def test_the_gauss_newton_matrix_of_a_linear_network_of_one_layer_is_the_hessian():
    with jax.enable_x64(True):
        problem = make_problem(fm.Network((4, 3), "identity"), fm.Loss("squared_error", l2=0.5), samples=6, seed=7)
        hessian, gauss_newton = products(problem, direction_of(problem.params))
        assert relative_difference(hessian, gauss_newton) <= 1e-15


def test_a_sample_of_weight_0_does_not_count_whatever_it_holds():
    network = fm.Network((2, 3, 1), "tanh")
    params = fm.init_params(network, jax.random.key(0))
    inputs, targets = np.array([[1, 2], [np.nan, np.inf]], "float32"), np.ones((2, 1), "float32")
    loss, direction = fm.Loss("log_cosh"), direction_of(params)
    weighted = fm.hvp(network, loss, params, inputs, targets, direction, np.array([1, 0], "float32"))
    alone = fm.hvp(network, loss, params, inputs[:1], targets[:1], direction)
    assert relative_difference(weighted, alone) <= 1e-6


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_in_other_precisions(dtype):
    problem = make_problem(fm.Network((3, 4, 2), "tanh"), SQUARED, samples=6, seed=8, dtype=jnp.dtype(dtype))
    direction = direction_of(problem.params)
    hand = products(problem, direction)
    wide = jax.tree.map(lambda leaf: leaf.astype("float32"), (problem, direction))
    assert {leaf.dtype for leaf in jax.tree.leaves(hand)} == {jnp.dtype(dtype)}
    for got, right in zip(hand, by_autodiff(*wide), strict=True):
        assert relative_difference(got, right) <= 4 * RELATIVE[dtype]


@pytest.mark.parametrize("function", [fm.hvp, fm.gauss_newton_vp, fm.empirical_fisher_vp])
@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        (lambda v: v[:1], ValueError, "expected tangent_params"),
        (lambda v: jax.tree.map(lambda leaf: leaf.astype("bfloat16"), v), TypeError, "dtype float32, got bfloat16"),
        (lambda v: (v[0]._replace(bias=None), v[1]), ValueError, "tangent_params to have a bias in layer 1"),
    ],
)
def test_a_direction_that_does_not_fit_is_refused(function, change, error, sentence):
    problem = make_problem(fm.Network((3, 4, 2), "tanh"), SQUARED, samples=2, seed=9, dtype="float32")
    with pytest.raises(error, match=sentence):
        function(*problem[:5], change(direction_of(problem.params)))


def test_a_tangent_of_the_outputs_that_does_not_fit_is_refused():
    outputs = jnp.ones((2, 3))
    with pytest.raises(ValueError, match="tangent_outputs of the outputs' shape"):
        SQUARED.cotangent_tangent(outputs, outputs, outputs[:1])
    with pytest.raises(TypeError, match="tangent_outputs of the outputs' dtype"):
        SQUARED.cotangent_tangent(outputs, outputs, outputs.astype("bfloat16"))
