"""Run in a process of its own with eight CPU devices: sweeps and trainings on 1, 2, 4 and 8 of them, as JSON."""

import json
from functools import partial

import jax
import numpy as np
import optax

import functional_mlp as fm
from tests.helpers.small_run import LOSS, NETWORK, draw_data
from tests.helpers.tolerances import relative_difference


def bits(result):
    return b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves((result.params, result.history)))


def kinds_of_sweeps(tile, batch_size, chosen):
    """How many different results sweeps on these devices have."""
    inputs, targets = (x.astype(np.float32) for x in draw_data(7))
    keys = jax.random.split(jax.random.key(0), 5)
    params = jax.vmap(partial(fm.init_params, NETWORK))(keys)
    options = {"keys": keys, "params": params, "epochs": 3, "learning_rates": [0.1, 0.2]}
    options |= {"batch_size": batch_size, "tile": tile}
    return len({bits(fm.sweep(NETWORK, LOSS, inputs, targets, devices=devices, **options)) for devices in chosen})


def trainings_apart(samples, batch_size, counts):
    """How far trainings over so many devices are from the one without; smaller batches are shuffled."""
    inputs, targets = (x.astype(np.float32) for x in draw_data(samples))
    others = (x.astype(np.float32) for x in draw_data(6, seed=1))
    options = dict(zip(("eval_inputs", "eval_targets"), others, strict=True))
    options |= {"sample_weights": np.linspace(0, 2, samples, dtype=np.float32), "metrics": ("loss", "accuracy")}
    options |= {"batch_size": batch_size, "shuffle": batch_size is not None, "epochs": 4, "key": jax.random.key(1)}
    train = partial(fm.train, NETWORK, LOSS, fm.init_params(NETWORK, jax.random.key(0)), inputs, targets)
    alone = train(optimizer=optax.adam(0.1), **options)
    seen = []
    for count in counts:
        several = train(optimizer=optax.adam(0.1), devices=jax.devices()[:count], callback=seen.append, **options)
        assert {leaf.devices().pop() for leaf in jax.tree.leaves(several.state)} == set(jax.devices()[:1])
        assert bits(seen[-1]) == bits(several)
        yield relative_difference((several.params, several.history), (alone.params, alone.history))


def main():
    everything = jax.devices()
    assert len(everything) == 8
    trainings = [(7, None, (2, 8)), (7, 3, (4,))]
    told = {
        "one by one": kinds_of_sweeps(1, 1, (None, everything[:1], everything[3:5])),
        "tiles of four": kinds_of_sweeps(4, 3, (None, everything[:1])),
        "trainings": [apart for training in trainings for apart in trainings_apart(*training)],
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
