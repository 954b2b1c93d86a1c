"""Experiments that are interrupted, by a signal to one of their processes, go on with --resume to the same results."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from functional_mlp.experiments import moons as experiment
from functional_mlp.experiments import three_phase
from functional_mlp.experiments.runs import jax_array, jax_params
from functional_mlp.parallel import free_port
from functional_mlp.saving import Place

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ["--no-plots", "--save-every", "0", "--epochs", "400", "--batch-size", "1400", "--seeds", "2"]


def moons(folder, *options):
    """The experiment in a process of its own."""
    command = [sys.executable, "-m", "experiments.moons", "--out", str(folder), *OPTIONS, *options]
    pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"JAX_PLATFORMS": "cpu"}, **pipes)


def here(folder, *options):
    """The experiment in this process."""
    return experiment.run(experiment.parser().parse_args(["--out", str(folder), *OPTIONS, *options]))


def results(folder):
    return {name: (folder / name).read_bytes() for name in ("history.csv", "summary.json", "runs.csv")}


def saved(folder):
    """Whether a checkpoint is there."""
    place = folder / "part"
    return place.exists() and any(entry.name.isdigit() for entry in place.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.usefixtures("on_cpu")
def test_two_processes_are_interrupted_together_and_one_goes_on_to_the_same_results(tmp_path):
    out, unfinished = tmp_path / "moons", tmp_path / "moons.unfinished"
    meeting = ["--coordinator", f"127.0.0.1:{free_port()}", "--process-count", "2"]
    common = ["--distributed", "--device", "cpu", "--cores", "1", *meeting]
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(moons(out, *common, "--process-id", number)) for number in "01"]
        for process in running:
            stack.callback(process.kill)
        deadline = time.monotonic() + 120
        while not saved(unfinished) and running[0].poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        running[1].send_signal(signal.SIGINT)
        said = [process.communicate(timeout=120)[1] for process in running]
    for process, code, errors in zip(running, (128 + signal.SIGTERM, 128 + signal.SIGINT), said, strict=True):
        assert process.returncode == code, errors
        assert errors.splitlines()[-1].endswith(f"saved in {unfinished}; add --resume to go on")
    assert not out.exists()

    with pytest.raises(FileExistsError, match="add --resume to go on with it"):
        here(out)
    index = unfinished / "sweep.json"
    index.write_text(index.read_text().replace(f'"jax": "{jax.__version__}"', '"jax": "0.1"'))
    with pytest.raises(ValueError, match=r"another jax: .* instead of 0\.1; .*--accept-other-bits"):
        here(out, "--resume")
    here(out, "--resume", "--accept-other-bits")
    assert not unfinished.exists()
    here(tmp_path / "whole")
    assert results(out) == results(tmp_path / "whole")


def test_three_phase_goes_on_where_it_was(tmp_path):
    starts = [jax_params(three_phase.reference.initial_params(seed), "float32") for seed in range(3)]
    stacked = three_phase.jax.tree.map(lambda *leaves: np.stack(leaves), *starts)
    inputs, targets = (jax_array(x, "float32") for x in three_phase.reference.data())
    settings = three_phase.Settings("gradients-first", 5.0, 1e-2, 60)
    saving = Place(tmp_path / "run", every=0.0)
    steps = []

    def train(*more):
        return three_phase.train(settings, stacked, inputs, targets, *more)

    def until_ten(done):
        steps.append(done)
        return done >= 10

    assert train(until_ten, saving)[0].steps.max() <= steps[-1] < 60
    begun = []
    resumed = train(begun.append, saving)
    assert begun[0] > steps[-1]
    for one, other in zip(three_phase.jax.tree.leaves(resumed), three_phase.jax.tree.leaves(train()), strict=True):
        assert one.tobytes() == other.tobytes()
    with pytest.raises(ValueError, match="got another tolerance"):
        three_phase.train(settings._replace(tolerance=1e-3), stacked, inputs, targets, begun.append, saving)
