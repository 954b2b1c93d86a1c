"""A small training that is saved as it goes on, and interrupted."""

import jax
import numpy as np
import optax

import functional_mlp as fm
from tests.helpers.small_run import LOSS, NETWORK, draw_data

ADAM = optax.adam(0.1)


class StoppedError(Exception):
    pass


def small_training(**options):
    inputs, targets = (x.astype(np.float32) for x in draw_data(7))
    defaults = {"optimizer": ADAM, "epochs": 6, "chunk_epochs": 1, "batch_size": 3, "save_every": 0.0}
    if options.get("shuffle", True):
        defaults |= {"shuffle": True, "key": jax.random.key(5)}
    params = options.pop("params", None) or fm.init_params(NETWORK, jax.random.key(1))
    return fm.train(NETWORK, LOSS, params, inputs, targets, **(defaults | options))


def stopped_after(epochs):
    def callback(so_far):
        if int(so_far.state.epoch) == epochs:
            raise StoppedError

    return callback


def assert_same_bits(one, other):
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert np.array_equal(left, right)


def assert_same_results(one, other):
    assert_same_bits(
        (one.params, one.state.opt_state, one.history), (other.params, other.state.opt_state, other.history)
    )
    assert int(one.state.epoch) == int(other.state.epoch)
