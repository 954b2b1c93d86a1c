"""Networks asked both ways: by the oracle of networks, and as any JAX function. Two noises, found independently."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.oracle.mistakes import plant, plant_together
from functional_mlp.oracle.noise import estimate_noise, precision_named
from functional_mlp.oracle.traced.checking import traced
from functional_mlp.oracle.traced.noise import estimate
from functional_mlp.oracle.traced.question import question_of
from functional_mlp.oracle.verdict import Verdict

PRECISIONS = ("float64", "float32", "bfloat16")
MISTAKES = ("hidden-derivative-missing", "gradient-used-as-weights", "array-scaled")
APART, APART_IN_ONE = 4.0, 5.0  # how far floors may be apart: in the middle of an array, and in one entry


class Asked(NamedTuple):
    """A network as one writes it in JAX, beside what it is declared as."""

    sizes: tuple[int, ...]
    activations: tuple[str, ...]
    loss: fm.Loss


NETWORKS = {
    "tanh": Asked((3, 4, 4, 2), ("tanh", "tanh", "identity"), fm.Loss("squared_error", over_samples="mean")),
    "relu": Asked((4, 6, 3), ("relu", "identity"), fm.Loss("squared_error")),
    "classes": Asked((3, 5, 3), ("sigmoid", "softmax"), fm.Loss("categorical_cross_entropy", over_samples="mean")),
    "logits": Asked((4, 6, 4), ("gelu", "identity"), fm.Loss("softmax_cross_entropy")),
    "binary": Asked((3, 4, 1), ("silu", "sigmoid"), fm.Loss("binary_cross_entropy", over_samples="mean")),
    "huber": Asked((3, 4, 2), ("leaky_relu", "identity"), fm.Loss("huber", over_samples="mean")),
    "absolute": Asked((3, 4, 2), ("gelu_tanh", "identity"), fm.Loss("absolute_error", over_samples="mean")),
    "deep": Asked((3, 4, 4, 4, 4, 2), ("mish", "silu", "tanh", "elu", "identity"), fm.Loss("log_cosh")),
}
ACTIVATIONS = {
    "identity": lambda z: z,
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "leaky_relu": lambda z: jax.nn.leaky_relu(z, 0.01),
    "sigmoid": jax.nn.sigmoid,
    "silu": jax.nn.silu,
    "gelu": lambda z: jax.nn.gelu(z, approximate=False),
    "gelu_tanh": jax.nn.gelu,
    "mish": lambda z: z * jnp.tanh(jax.nn.softplus(z)),
    "elu": jax.nn.elu,
    "softmax": jax.nn.softmax,
}
LOSSES = {
    "squared_error": lambda y, t: (y - t) ** 2,
    "absolute_error": lambda y, t: jnp.abs(y - t),
    "huber": lambda y, t: jnp.where(jnp.abs(y - t) <= 1, (y - t) ** 2 / 2, jnp.abs(y - t) - 0.5),
    "log_cosh": lambda y, t: jnp.logaddexp(y - t, t - y) - np.log(2),
    "binary_cross_entropy": lambda y, t: -(t * jnp.log(y) + (1 - t) * jnp.log(1 - y)),
    "categorical_cross_entropy": lambda y, t: -t * jnp.log(y),
    "softmax_cross_entropy": lambda z, t: -t * jax.nn.log_softmax(z),
}


@pytest.fixture(autouse=True)
def _without_beartype(as_a_person):
    """As a program runs."""


@pytest.fixture(params=NETWORKS)
def name(request):
    return request.param


@pytest.fixture(params=PRECISIONS)
def precision(request):
    return request.param


@pytest.fixture
def case(name):
    """Of numbers that every format holds."""
    network = fm.Network(NETWORKS[name].sizes, NETWORKS[name].activations)
    return oracle.draw_case(network, NETWORKS[name].loss, samples=6, seed=3, dtype="bfloat16")


def in_jax(case):
    """The loss as a plain function of the parameters."""

    def loss_of_network(params):
        a = case.inputs
        for (weights, bias), activation in zip(params, case.network.activations, strict=True):
            a = ACTIVATIONS[activation.name](a @ weights + bias)
        of_samples = LOSSES[case.loss.kind](a, case.targets).sum(axis=-1)
        return of_samples.mean() if case.loss.over_samples == "mean" else of_samples.sum()

    return loss_of_network


def both(case, grads, precision):
    """Verdicts of either oracle, by the layer and the number of entries."""
    of_network = oracle.check(case, grads, precision=precision)
    params, gradients = ([tuple(layer) for layer in layers] for layers in (case.params, grads))
    of_function = oracle.check_vjp(in_jax(case), (params,), (gradients,), precision=precision)
    judged = (of_network.leaves, of_function.leaves)
    return [{(leaf.path[:9], leaf.size): leaf.verdict for leaf in leaves} for leaves in judged]


def test_right_gradients_are_consistent_for_both(case, precision):
    of_network, of_function = both(case, plant_together(case, (), precision).grads, precision)
    assert of_network == of_function
    assert set(of_network.values()) == {Verdict.CONSISTENT}
    assert len(of_network) == 2 * len(case.params)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_wrong_gradients_get_the_same_verdict_from_both_array_by_array(case, precision, mistake):
    of_network, of_function = both(case, plant(case, mistake, dtype=precision).grads, precision)
    assert of_network == of_function
    assert Verdict.WRONG in of_network.values()


def test_the_floors_of_both_are_nearly_the_same(name, case, precision):
    declared = precision_named(precision)
    floors = estimate_noise(case, oracle.solve(case), declared).floors
    params, grads = ([tuple(layer) for layer in layers] for layers in (case.params, oracle.solve(case).grads))
    question = question_of(in_jax(case), (params,), (grads,), precision="float64")
    _, *of_function = estimate(traced(question), declared)
    of_network = [floors[f"params[{i}].{part}"] for i in range(len(params)) for part in ("weights", "bias")]
    for path, floor, other in zip(question.paths, of_network, of_function, strict=True):
        apart = other.smooth / floor.smooth
        said = f"{name} in {precision}, {path}: {np.median(apart):.2f} ({apart.min():.2f} to {apart.max():.2f})"
        assert 1 / APART < np.median(apart) < APART, said
        assert 1 / APART_IN_ONE < apart.min() <= apart.max() < APART_IN_ONE, said
