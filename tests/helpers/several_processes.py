"""Run in processes of its own that meet: what a sweep and a training give there, as an .npz file per process.

python several_processes.py PORT COUNT PROCESS WHAT FOLDER
"""

import sys
import time
from pathlib import Path

import jax
import numpy as np
import optax

import functional_mlp as fm
from functional_mlp.parallel import Meeting, device_per_core, leave, meet
from functional_mlp.saving import fingerprint
from tests.helpers.small_run import LOSS, NETWORK, draw_data

EPOCHS = 40


def data():
    return [x.astype(np.float32) for x in draw_data(7)]


def swept(**options):
    """A sweep of ten runs, with shuffled batches of three samples."""
    options = {"epochs": EPOCHS, "chunk_epochs": 4, "batch_size": 3, "shuffle": True, "runs_per_part": 6} | options
    keys = jax.random.split(jax.random.key(0), 5)
    options |= {"hyperparameters": {"momentum": 0.9}}
    return fm.sweep(NETWORK, LOSS, *data(), keys=keys, learning_rates=[0.1, 0.2], **options)


def trained(devices=None, **options):
    """A training, with shuffled batches of five samples."""
    options |= {"key": jax.random.key(1), "shuffle": True, "batch_size": 5, "epochs": EPOCHS, "chunk_epochs": 4}
    params = fm.init_params(NETWORK, jax.random.key(0))
    return fm.train(NETWORK, LOSS, params, *data(), optimizer=optax.sgd(0.1, momentum=0.9), devices=devices, **options)


def arrays(result):
    leaves = jax.tree.leaves((result.params, result.state.opt_state, result.history))
    return {str(number): np.asarray(leaf) for number, leaf in enumerate(leaves)}


def refusals(everywhere, directory):
    """What is said of calls that differ between the processes, and of the directory of another call."""
    own = jax.process_index()
    try:
        swept(devices=everywhere, epochs=EPOCHS + own)
    except ValueError as error:
        yield str(error)
    fingerprint.__version__ = f"0.{own}"
    try:
        trained(devices=everywhere)
    except ValueError as error:
        yield str(error)
    fingerprint.__version__ = fm.__version__
    try:  # that of another sweep, as the first process sees
        swept(devices=everywhere, directory=directory, epochs=EPOCHS + 1)
    except ValueError as error:
        yield str(error)


def main(what, folder):
    everywhere, own = jax.devices(), jax.process_index()
    if what == "slow":
        swept(directory=folder, devices=everywhere, save_every=0.0, callback=lambda so_far: time.sleep(0.2))
        return
    np.savez(folder / f"sweep-{own}.npz", **arrays(swept(devices=everywhere)))
    np.savez(folder / f"training-{own}.npz", **arrays(trained(devices=everywhere)))
    if what == "all":
        saved = {"devices": everywhere, "save_every": 0.0}
        ending = {"callback": lambda so_far: own == 1 and int(so_far.state.epoch) == 8}  # one of them ends it for all
        assert len(swept(directory=folder / "sweep", **ending, **saved).learning_rates) == 0
        assert int(trained(directory=folder / "training", **ending, **saved).state.epoch) == 8
        np.savez(folder / f"resumed-sweep-{own}.npz", **arrays(swept(directory=folder / "sweep", **saved)))
        np.savez(folder / f"resumed-training-{own}.npz", **arrays(trained(directory=folder / "training", **saved)))
        np.savez(folder / f"refusals-{own}.npz", said=np.array(list(refusals(everywhere, folder / "sweep"))))


if __name__ == "__main__":
    port, count, process, wanted, place = sys.argv[1:]
    device_per_core(2 if wanted == "all" else 1)
    try:
        meet(Meeting(f"127.0.0.1:{port}", int(count), int(process), timeout=60))
        main(wanted, Path(place))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        leave(2)
