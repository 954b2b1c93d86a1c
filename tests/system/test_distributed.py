"""Several processes that compute one run: the results of one process, and what is said when one is lost."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from functional_mlp.parallel import free_port
from tests.helpers import several_processes
from tests.helpers.tolerances import RELATIVE, relative_difference

pytestmark = pytest.mark.slow

HELPERS = Path(__file__).parents[1] / "helpers"


@contextlib.contextmanager
def started(count, what, folder):
    """`count` processes of several_processes.py that meet; none is left running."""
    path = os.pathsep.join([str(HELPERS.parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu"}
    port = free_port()

    def one(process):
        command = [sys.executable, str(HELPERS / "several_processes.py"), str(port), str(count), str(process)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
        return subprocess.Popen([*command, what, str(folder)], **pipes)

    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(one(process)) for process in range(count)]
        for process in running:
            stack.callback(process.kill)
        yield running


def load(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def same_bits(one, other):
    return one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)


@pytest.fixture(scope="module")
def alone():
    """A sweep and a training in this process."""
    with jax.default_device(jax.devices("cpu")[0]):
        results = several_processes.swept(), several_processes.trained()
    return [several_processes.arrays(result) for result in results]


@pytest.mark.parametrize(("count", "what"), [(2, "all"), (3, "results")])
def test_processes_together_give_what_one_gives(count, what, alone, tmp_path, on_cpu):
    sweep, training = alone
    with started(count, what, tmp_path) as running:
        said = [process.communicate(timeout=300)[1] for process in running]
        assert [process.returncode for process in running] == [0] * count, said
    for process in range(count):
        assert same_bits(load(tmp_path / f"sweep-{process}.npz"), sweep)
        together = load(tmp_path / f"training-{process}.npz")
        assert relative_difference(together, training) <= RELATIVE["float32"]
        if what == "all":
            assert same_bits(load(tmp_path / f"resumed-sweep-{process}.npz"), sweep)
            assert same_bits(load(tmp_path / f"resumed-training-{process}.npz"), together)
            epochs, version, directory = load(tmp_path / f"refusals-{process}.npz")["said"]
            assert epochs.startswith("expected the same run in all processes, got another epochs in process 1 than in")
            assert "got another epochs: 41 instead of 40; name another directory" in directory
            assert "got another functional_mlp in process 1 than in process 0: 0.1 instead of 0.0" in version


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_process_ends_the_others_and_one_process_goes_on_to_the_same_bits(lost, alone, tmp_path, on_cpu):
    place = tmp_path / "part"
    with started(2, "slow", tmp_path) as running:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and all(process.poll() is None for process in running):
            if place.exists() and any(entry.name.isdigit() for entry in place.iterdir()):
                break
            time.sleep(0.05)
        running[lost].kill()
        begun = time.monotonic()
        _, errors = running[1 - lost].communicate(timeout=120)
        assert time.monotonic() - begun < 60
    assert running[1 - lost].returncode == 2
    assert "expected all 2 processes of this run to go on, got one that has ended" in errors
    assert same_bits(several_processes.arrays(several_processes.swept(directory=tmp_path)), alone[0])
