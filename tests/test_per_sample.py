"""Gradients of single samples, and their norms, against the gradient of batches that hold one sample alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

import functional_mlp as fm
from tests.helpers.strategies import ADMISSIBLE, make_problem, recipes
from tests.helpers.tolerances import RELATIVE, relative_difference

LAST = "softmax"  # after which every loss may follow


def by_hand(problem):
    data = problem[:6]
    return fm.per_sample_grads(*data), fm.per_sample_norms(*data)


def by_autodiff(network, loss, params, inputs, targets, sample_weights, _):
    """jax.grad of the plain forward pass, sample by sample, and the norms of what that gives."""

    def own(params, sample, target, weight):
        weights = None if weight is None else weight[None]
        return loss.value(fm.forward(network, params, sample[None])[0], target[None], weights)

    grads = jax.vmap(jax.grad(own), in_axes=(None, 0, 0, 0))(params, inputs, targets, sample_weights)
    norms = jax.tree.map(lambda g: jnp.sqrt(jnp.sum(jnp.square(g), axis=tuple(range(1, g.ndim)))), grads)
    return grads, norms


@jax.jit
def both(problem):
    return by_hand(problem), by_autodiff(*problem)


def assert_hand_is_autodiff(problem):
    hand, auto = both(problem)
    for got, right in zip(hand, auto, strict=True):
        assert relative_difference(got, right) <= RELATIVE["float64"]


@given(recipes(max_samples=16))
@settings(max_examples=6)
@pytest.mark.slow
def test_of_drawn_networks(recipe):
    with jax.enable_x64(True):
        assert_hand_is_autodiff(recipe())


@pytest.mark.parametrize("over_samples", ["sum", "mean", "batch_mean"])
@pytest.mark.parametrize("kind", ADMISSIBLE[LAST])
def test_of_every_loss(kind, over_samples):
    with jax.enable_x64(True):
        loss = fm.Loss(kind, over_samples, "mean", scale=0.7, l2=0.3)
        network = fm.Network((3, 4, 2), ("tanh", LAST))
        assert_hand_is_autodiff(make_problem(network, loss, samples=5, seed=2, weighted=True))


def test_they_add_up_to_the_gradient_of_the_sum_without_penalty():
    with jax.enable_x64(True):
        loss = fm.Loss("squared_error", l2=0.1)
        problem = make_problem(fm.Network((3, 4, 2), "gelu"), loss, samples=9, seed=3)
        summed = jax.tree.map(lambda g: g.sum(axis=0), fm.per_sample_grads(*problem[:6]))
        _, whole = fm.loss_and_grad(problem.network, fm.Loss("squared_error"), *problem[2:5])
        assert relative_difference(summed, whole) <= RELATIVE["float64"]


def test_a_mean_divides_by_one_sample_and_not_by_all():
    with jax.enable_x64(True):
        problem = make_problem(fm.Network((3, 2), "tanh"), fm.Loss("squared_error", "mean"), samples=4, seed=4)
        summed = fm.per_sample_grads(problem.network, fm.Loss("squared_error"), *problem[2:5])
        np.testing.assert_array_equal(fm.per_sample_grads(*problem[:5])[0].weights, summed[0].weights)


def test_samples_that_do_not_count_have_none():
    """One of weight 0, whatever it holds, and one that is ignored; the class weights of one sample alone cancel."""
    network = fm.Network((2, 3), "identity")
    params = fm.init_params(network, jax.random.key(0))
    loss = fm.Loss("softmax_cross_entropy", "mean", class_weights=(1.0, 2.0, 4.0), ignore_index=-1)
    inputs = np.array([[1, 2], [np.nan, np.inf], [3, 4], [5, 6]], "float32")
    labels, weights = np.array([0, 1, -1, 2]), np.array([1, 0, 1, 0.5], "float32")
    [grads] = fm.per_sample_grads(network, loss, params, inputs, labels, weights)
    [norms] = fm.per_sample_norms(network, loss, params, inputs, labels, weights)
    assert not grads.weights[1:3].any()
    assert not norms.bias[1:3].any()
    alone = fm.loss_and_grad(network, fm.Loss("softmax_cross_entropy"), params, inputs[3:], labels[3:])[1]
    np.testing.assert_allclose(grads.weights[3], alone[0].weights, rtol=1e-5)


def test_saturated_outputs_take_the_exact_fused_path():
    network, params = fm.Network((1, 2), "softmax"), (fm.Dense(jnp.asarray([[800.0, -800.0]]), None),)
    loss, inputs, targets = fm.Loss("categorical_cross_entropy"), np.ones((1, 1), "f4"), np.array([[0, 1]], "f4")
    [grads] = fm.per_sample_grads(network, loss, params, inputs, targets)
    np.testing.assert_array_equal(grads.weights, [[[1.0, -1.0]]])
    assert grads.bias is None


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_in_other_precisions(dtype):
    loss = fm.Loss("squared_error")
    problem = make_problem(fm.Network((3, 4, 2), "tanh"), loss, samples=6, seed=5, dtype=jnp.dtype(dtype))
    grads, norms = by_hand(problem)
    wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, "float32"), problem)
    assert {leaf.dtype for leaf in jax.tree.leaves(grads)} == {jnp.dtype(dtype)}
    assert {leaf.dtype for leaf in jax.tree.leaves(norms)} == {jnp.dtype("float32")}
    for got, right in zip((grads, norms), by_autodiff(*wide), strict=True):
        assert relative_difference(got, right) <= 2 * RELATIVE[dtype]


def test_the_norms_form_no_gradient_of_a_sample():
    """Nothing of n fan_in fan_out numbers is in the compiled program."""
    problem = make_problem(fm.Network((32, 48, 16), "tanh"), fm.Loss("squared_error"), 8, seed=6, dtype="float32")
    compiled = jax.jit(fm.per_sample_norms).lower(*problem[:5]).compile().as_text()
    assert "8,32,48" not in compiled
    assert "8,32,48" in jax.jit(fm.per_sample_grads).lower(*problem[:5]).compile().as_text()


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        (lambda x, t: (x[:0], t[:0]), ValueError, "at least one sample"),
        (lambda x, t: (x, t[:1]), ValueError, "targets of the shape"),
        (lambda x, t: (x, t[:, 0]), ValueError, "targets of the shape"),
        (lambda x, t: (x.astype(int), t), TypeError, "inputs to hold floats"),
    ],
)
def test_what_does_not_fit_is_refused(change, error, sentence):
    problem = make_problem(fm.Network((3, 2), "tanh"), fm.Loss("squared_error"), 4, seed=7, dtype="float32")
    for function in (fm.per_sample_grads, fm.per_sample_norms):
        with pytest.raises(error, match=sentence):
            function(*problem[:3], *change(problem.inputs, problem.targets))
