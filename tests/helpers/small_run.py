"""A small network, loss and data set for the tests of training."""

import jax
import jax.numpy as jnp
import numpy as np

import functional_mlp as fm

NETWORK = fm.Network((2, 4, 1), ("tanh", "sigmoid"))
LOSS = fm.Loss("binary_cross_entropy", over_samples="mean", l2=1e-3)


def draw_data(samples, seed=0):
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(samples, 2))
    return inputs, (inputs[:, :1] * inputs[:, 1:] > 0).astype(float)


def initial(network=NETWORK, seed=0):
    return fm.init_params(network, jax.random.key(seed), bias="normal_tenth", dtype=jnp.float64)
