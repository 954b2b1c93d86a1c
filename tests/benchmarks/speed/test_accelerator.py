"""The accelerator benchmark: what it counts, and that both ways that it times give the same gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import functional_mlp as fm
from benchmarks.speed import accelerator
from benchmarks.speed.suite.problems import product_operations

pytestmark = pytest.mark.slow


def test_operations_are_those_that_xla_counts_for_the_compiled_pass() -> None:
    with jax.default_device(jax.devices("cpu")[0]):  # of what a GPU's libraries do, XLA counts nothing
        measured = accelerator.gradient(accelerator.by_hand, jnp.float32, "highest", 64, repeats=1)
    assert measured.operations == pytest.approx(product_operations(accelerator.WIDE.sizes, 64), rel=0.01)
    assert measured.seconds > 0


def test_both_ways_give_one_gradient() -> None:
    network = accelerator.WIDE
    params = fm.init_params(network, jax.random.key(0))
    inputs, targets = jnp.ones((3, network.sizes[0])), jnp.eye(network.sizes[-1])[:3]
    compiled = [jax.jit(way, static_argnums=3) for way in (accelerator.by_hand, accelerator.by_autodiff)]
    ways = [way(params, inputs, targets, "highest") for way in compiled]
    for one, other in zip(*map(jax.tree.leaves, ways), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_every_training_counts_the_updates_that_it_runs() -> None:
    scale = accelerator.Scale(product=8, batches=(1,), runs=(2,), grid=2)
    parts = accelerator.trainings(scale)
    assert [part.updates for part in parts] == [4 * 1400, 40 * 44, 100]
    params = parts[-1].run()
    assert {leaf.shape[0] for leaf in jax.tree.leaves(params)} == {2}
