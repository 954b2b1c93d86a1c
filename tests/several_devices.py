"""Run in a process of its own with eight CPU devices: sweeps on 1, 2 and 8 of them, to be compared bit by bit."""

from functools import partial

import jax
import numpy as np
from small_run import LOSS, NETWORK, draw_data

import functional_mlp as fm


def bits(result):
    return b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves((result.params, result.history)))


def main():
    inputs, targets = (x.astype(np.float32) for x in draw_data(7))
    keys = jax.random.split(jax.random.key(0), 5)
    params = jax.vmap(partial(fm.init_params, NETWORK))(keys)
    options = {"keys": keys, "params": params, "epochs": 3, "learning_rates": [0.1, 0.2]}
    everything = jax.devices()
    assert len(everything) == 8
    for tile, batch_size, chosen in ((1, 1, (None, everything[:1], everything[3:5])), (4, 3, (None, everything[:1]))):
        kinds = {
            bits(fm.sweep(NETWORK, LOSS, inputs, targets, batch_size=batch_size, devices=devices, tile=tile, **options))
            for devices in chosen
        }
        print(f"tiles of {tile}, batches of {batch_size}: {len(kinds)} kind")


if __name__ == "__main__":
    main()
