"""Training with parameters that stay on the chip, as Pallas interprets it on a CPU."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import functional_mlp as fm
from benchmarks.speed import resident
from functional_mlp import oracle


def problem(sizes, samples, networks):
    network = fm.Network(sizes, "sigmoid")
    params = jax.vmap(lambda key: fm.init_params(network, key, bias="normal_tenth"))(
        jax.random.split(jax.random.key(0), networks)
    )
    rng = np.random.default_rng(0)
    data = rng.normal(size=(samples, sizes[0])), rng.uniform(size=(samples, sizes[-1]))
    return network, params, *(jnp.asarray(array, jnp.float32) for array in data)


@pytest.mark.parametrize("sizes", [(2, 5, 3, 2), (1, 1)])
def test_the_kernel_trains_as_the_library_does(sizes):
    network, params, inputs, targets = problem(sizes, samples=6, networks=2)
    found = resident.train_resident(params, inputs, targets, sizes=sizes, rate=0.5, passes=2, interpret=True)
    loss = fm.Loss("squared_error", over_outputs="sum", scale=0.5)
    for number in range(2):
        own = jax.tree.map(lambda leaf, at=number: leaf[at], params)
        options = {"optimizer": optax.sgd(0.5), "epochs": 2, "batch_size": 1}
        right = fm.train(network, loss, own, inputs, targets, **options).params
        for made, leaf in zip(jax.tree.leaves(found), jax.tree.leaves(right), strict=True):
            np.testing.assert_allclose(made[number], leaf, rtol=1e-5, atol=1e-6)


def test_the_oracle_finds_nothing_wrong_with_a_step_of_it():
    sizes = (3, 5, 4, 2)
    network, params, inputs, targets = problem(sizes, samples=1, networks=1)
    [stepped] = [resident.train_resident(params, inputs, targets, sizes=sizes, rate=0.25, interpret=True)]
    before, after = ([tuple(np.asarray(leaf)[0] for leaf in layer) for layer in own] for own in (params, stepped))
    loss = fm.Loss("squared_error", over_outputs="sum", scale=0.5)
    case = oracle.Case(network, loss, before, np.asarray(inputs), np.asarray(targets), dtype="float32")
    assert oracle.check_update(case, after, 0.25).verdict is oracle.Verdict.CONSISTENT


def test_padding_stays_zero():
    sizes = (3, 5, 2)
    _, params, inputs, targets = problem(sizes, samples=4, networks=2)
    layers = resident.padded(params)
    assert [weights.shape for weights, _ in layers] == [(2, 4, 8), (2, 8, 2)]
    units = [(jnp.arange(resident.padded_size(size)) < size).astype(jnp.float32) for size in sizes[1:]]
    one = tuple((weights[0], bias[0]) for weights, bias in layers)
    after = resident._update(one, units, 0.5, jnp.pad(inputs[0], (0, 1)), targets[0])
    assert not after[0][0][:, 5:].any()
    assert not after[0][0][3:].any()
    assert not after[1][0][5:].any()
    assert not after[0][1][5:].any()


def test_the_kernel_is_one_that_a_gpu_would_be_given():
    """Lowered for CUDA without a GPU: Triton's language takes all that the kernel does."""
    _, params, inputs, targets = problem((2, 25, 50, 25, 2), samples=4, networks=2)
    traced = resident.train_resident.trace(params, inputs, targets, sizes=(2, 25, 50, 25, 2))
    assert "triton" in traced.lower(lowering_platforms=("cuda",)).as_text().lower()
