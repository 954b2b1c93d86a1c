"""Finite differences of another function than the one declared, as plain NumPy takes them."""

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle

NETWORK = fm.Network((4, 6, 3), ("tanh", "softmax"))
LOSS = fm.Loss("categorical_cross_entropy", over_samples="mean")
DIFFERENCES = {
    "forward": lambda at, h: (at(h) - at(0.0)) / h,
    "central": lambda at, h: (at(h) - at(-h)) / (2 * h),
}


def draw(seed=0):
    return oracle.draw_case(NETWORK, LOSS, samples=5, seed=seed)


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def loss_of(case, params, hidden=np.tanh):
    (w1, b1), (w2, b2) = params
    p = softmax(hidden(case.inputs @ w1 + b1) @ w2 + b2)
    return -np.mean(np.sum(case.targets * np.log(p), axis=1))


def differenced(case, function, variant, step):
    """Differences of a function of the parameters, one entry after the other."""
    params = [(np.array(weights), np.array(bias)) for weights, bias in case.params]
    grads = [tuple(np.empty_like(array) for array in layer) for layer in params]
    for own, of in zip(params, grads, strict=True):
        for array, gradient in zip(own, of, strict=True):
            for at in np.ndindex(array.shape):
                kept = array[at]

                def moved(by, array=array, at=at, kept=kept):
                    array[at] = kept + by
                    value = function(params)
                    array[at] = kept
                    return value

                gradient[at] = DIFFERENCES[variant](moved, step)
    return grads


def mistakes_of(case, grads):
    found = oracle.check(case, grads).diagnosis
    return {one.id: one for one in found.mistakes}, found.unexplained


@pytest.mark.parametrize(
    ("variant", "step"), [("forward", 1e-3), ("forward", 1e-5), ("central", 1e-2), ("central", 0.1)]
)
def test_differences_of_a_network_without_its_activation(variant, step):
    case = draw()
    grads = differenced(case, lambda params: loss_of(case, params, hidden=lambda z: z), variant, step)
    found, unexplained = mistakes_of(case, grads)
    assert (found.keys(), unexplained) == ({"finite-difference", "activation-missing"}, ())
    own = found["finite-difference"]
    assert (own.variant, own.value) == (variant, pytest.approx(step, rel=0.2))


def test_differences_of_a_sum_for_a_mean():
    case = draw(1)
    grads = differenced(case, lambda params: 5 * loss_of(case, params), "forward", 1e-3)
    found, unexplained = mistakes_of(case, grads)
    assert (found.keys(), unexplained) == ({"finite-difference", "mean-missing"}, ())


def test_biases_that_stay_at_zero_beside_differences():
    case = draw(2)
    grads = differenced(case, lambda params: loss_of(case, params, hidden=lambda z: z), "central", 1e-2)
    found, unexplained = mistakes_of(case, [(weights, 0 * bias) for weights, bias in grads])
    assert (found.keys(), unexplained) == ({"finite-difference", "activation-missing", "bias-never-computed"}, ())


@pytest.mark.parametrize("seed", range(4))
def test_noise_as_large_as_the_errors_of_differences_is_none(seed):
    case, rng = draw(seed), np.random.default_rng(seed)
    exact = differenced(case, lambda params: loss_of(case, params, hidden=lambda z: z), "central", 1e-4)
    noisy = [tuple(array * (1 + 1e-3 * rng.normal(size=array.shape)) for array in layer) for layer in exact]
    assert "finite-difference" not in mistakes_of(case, noisy)[0]


def test_a_backward_pass_is_none_whatever_it_lacks():
    """tanh' left out, and numbers cut after four decimals: errors of that size, and no function that they are of."""
    case = draw(3)
    (w1, b1), (w2, b2) = case.params
    h = np.tanh(case.inputs @ w1 + b1)
    delta = (softmax(h @ w2 + b2) - case.targets) / 5
    back = delta @ w2.T
    grads = [(case.inputs.T @ back, back.sum(axis=0)), (h.T @ delta, delta.sum(axis=0))]
    found, _ = mistakes_of(case, [tuple(np.round(array, 4) for array in layer) for layer in grads])
    assert "finite-difference" not in found
