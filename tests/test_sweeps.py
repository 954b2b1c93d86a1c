"""sweep: many runs in one program, each the one that train does."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_run import LOSS, NETWORK, draw_data, initial
from tolerances import RELATIVE, relative_difference

import functional_mlp as fm

pytestmark = pytest.mark.usefixtures("standard_promotion")  # which optax.adam needs


def test_each_run_of_a_sweep_is_the_run_that_train_does(x64):
    inputs, targets = draw_data(7)
    keys = jax.random.split(jax.random.key(0), 3)
    common = {"epochs": 5, "batch_size": 3, "shuffle": True, "eval_every": 2, "metrics": ("loss", "accuracy")}
    held_out = {"eval_inputs": inputs[:4], "eval_targets": targets[:4]}
    options = common | held_out
    swept = fm.sweep(
        NETWORK,
        LOSS,
        inputs,
        targets,
        keys=keys,
        optimizer=optax.adam,
        learning_rates=[0.1, 0.01],
        bias="normal_tenth",
        dtype=jnp.float64,
        **options,
    )
    assert swept.learning_rates.tolist() == [0.1] * 3 + [0.01] * 3
    assert swept.history["train_loss"].shape == (6, 3)
    for run in range(6):
        key = swept.keys[run]
        params = fm.init_params(NETWORK, key, bias="normal_tenth", dtype=jnp.float64)
        rate = float(swept.learning_rates[run])
        alone = fm.train(NETWORK, LOSS, params, inputs, targets, optimizer=optax.adam(rate), key=key, **options)
        one = jax.tree.map(lambda leaf, run=run: leaf[run], swept.params)
        assert relative_difference(one, alone.params) <= 1e-11
        for name in ("train_loss", "train_accuracy", "eval_loss", "eval_accuracy"):
            np.testing.assert_allclose(swept.history[name][run], alone.history[name], rtol=1e-11)
    assert np.array_equal(swept.history["epoch"], [0, 2, 4])


def test_a_sweep_counts_the_sample_weights(x64):
    inputs, targets = draw_data(4)
    keys = jax.random.split(jax.random.key(0), 2)
    weights = np.array([1.0, 0.0, 3.0, 0.5])
    options = {"epochs": 2, "sample_weights": weights}
    swept = fm.sweep(NETWORK, LOSS, inputs, targets, keys=keys, learning_rates=0.2, dtype=jnp.float64, **options)
    params = fm.init_params(NETWORK, keys[1], dtype=jnp.float64)
    alone = fm.train(NETWORK, LOSS, params, inputs, targets, optimizer=optax.sgd(0.2), **options)
    one = jax.tree.map(lambda leaf: leaf[1], swept.params)
    assert relative_difference(one, alone.params) <= RELATIVE["float64"]


def test_a_sweep_from_given_initial_values(x64):
    inputs, targets = draw_data(4)
    keys = jax.random.split(jax.random.key(0), 2)
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), initial(seed=3), initial(seed=4))
    swept = fm.sweep(NETWORK, LOSS, inputs, targets, keys=keys, params=params, learning_rates=0.2, epochs=2)
    alone = fm.train(NETWORK, LOSS, initial(seed=4), inputs, targets, optimizer=optax.sgd(0.2), epochs=2)
    one = jax.tree.map(lambda leaf: leaf[1], swept.params)
    assert relative_difference(one, alone.params) <= RELATIVE["float64"]


def test_bad_input(says):
    inputs, targets = (x.astype(np.float32) for x in draw_data(6))
    params = fm.init_params(NETWORK, jax.random.key(0))

    def sweep(**options):
        defaults = {"keys": jax.random.split(jax.random.key(0), 2), "epochs": 1}
        return lambda: fm.sweep(NETWORK, LOSS, inputs, targets, **(defaults | options))

    says(ValueError, ["jax.random.split", "()"], sweep(keys=jax.random.key(0)))
    says(TypeError, ["keys", "3"], sweep(keys=3))
    says(ValueError, ["at least one key"], sweep(keys=jax.random.split(jax.random.key(0), 2)[:0]))
    says(ValueError, ["at least one learning rate"], sweep(learning_rates=[]))
    says(TypeError, ["optax.sgd", "itself"], sweep(optimizer=optax.sgd(0.1)))
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), params)
    says(ValueError, ["leading axis of 2", "(3,)"], sweep(params=stacked))
    says(ValueError, ["learning rate", "finite"], sweep(learning_rates=[0.1, float("nan")]))
    says(ValueError, ["epochs"], sweep(epochs=0))
