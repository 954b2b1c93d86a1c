"""Several processes that compute one run: the results of one process, and what is said when one is lost."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from functional_mlp.parallel import ALONE, Meeting, Processes, _packed, _pieces, _unpacked, checked_devices, meet
from tests.helpers import several_processes
from tests.helpers.ports import free_port
from tests.helpers.tolerances import RELATIVE, relative_difference

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


@pytest.mark.parametrize(("count", "what"), [(2, "all"), (4, "results")])
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


# meeting


def test_a_coordinator_that_is_not_there_is_said(says):
    port = free_port()
    words = ["process 0 to listen", f"127.0.0.1:{port}", "within 0.3 s"]
    says(ConnectionError, words, meet, Meeting(f"127.0.0.1:{port}", 2, 1, timeout=0.3))


def test_a_port_in_use_is_said(says):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        says(ConnectionError, [f"port {port}", "free"], meet, Meeting(f"127.0.0.1:{port}", 2, 0))


@pytest.mark.parametrize(
    ("meeting", "words"),
    [
        (Meeting("here", 2, 0), ["10.0.0.1:1234", "'here'"]),
        (Meeting("here:99999", 2, 0), ["10.0.0.1:1234"]),
        (Meeting("127.0.0.1:1234", 2, 2), ["from 0 to 1", "2"]),
    ],
)
def test_a_meeting_that_makes_no_sense_is_said(meeting, words, says):
    says(ValueError, words, meet, meeting)


def test_a_meeting_that_nothing_tells_of_is_said(says, monkeypatch):
    def initialize(*arguments, **options):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    says(ValueError, ["--coordinator", "JAX_NUM_PROCESSES", "Slurm", "coordinator_address"], meet, Meeting())


def test_a_variable_that_is_no_number_is_said(says, monkeypatch):
    monkeypatch.setenv("JAX_PROCESS_ID", "first")
    says(ValueError, ["JAX_PROCESS_ID", "'first'"], meet, Meeting("127.0.0.1:1234", 2))


# what processes tell each other


def test_arrays_of_every_dtype_are_packed_bit_by_bit():
    bfloat16 = np.asarray(jax.numpy.arange(3, dtype=jax.numpy.bfloat16))
    arrays = {"a": np.array([np.nan, -0.0]), "b": np.zeros((0, 2), np.float32), "c": np.uint32(7)[None], "d": bfloat16}
    about, back = _unpacked(_packed({"first": 3}, arrays))
    assert about == {"first": 3}
    assert same_bits(back, arrays)
    assert [array.dtype for array in back.values()] == [array.dtype for array in arrays.values()]


def test_pieces_are_of_few_sizes_and_hold_all():
    for size in (1, 1024, 1025, 5000):
        content = bytes(range(256)) * (size // 256 + 1)
        pieces = list(_pieces(content[:size], size))
        assert {len(piece) for piece in pieces} <= {2**n for n in range(10, 27)}
        assert b"".join(piece.tobytes() for piece in pieces)[:size] == content[:size]


def test_a_process_that_is_alone_asks_nobody():
    assert ALONE.any(1)
    assert not ALONE.any(None)
    assert ALONE.told("this", {"a": np.ones(1)}) == ("this", {"a": np.ones(1)})
    assert ALONE.share(6) == slice(0, 6)
    assert [Processes(3, index).share(6) for index in range(3)] == [slice(0, 2), slice(2, 4), slice(4, 6)]


def test_an_error_of_this_process_alone_is_not_taken_for_a_lost_one():
    for processes, text in ((ALONE, "Gloo"), (Processes(2, 0), "RESOURCE_EXHAUSTED: out of memory")):
        with pytest.raises(jax.errors.JaxRuntimeError), processes.together():
            raise jax.errors.JaxRuntimeError(text)
    with pytest.raises(ValueError, match="a number"), Processes(2, 0).together():
        raise ValueError("expected a number")


@pytest.mark.parametrize("error", [ValueError, jax.errors.JaxRuntimeError])
def test_a_lost_process_is_known_by_what_jax_says(error):
    with pytest.raises(ConnectionError, match="one that has ended"), Processes(2, 0).together():
        raise error("UNKNOWN: Gloo AllGather failed: Connection closed by peer")


def test_devices_are_checked(says):
    says(ValueError, ["at least one device"], checked_devices, [])
    says(TypeError, ["jax.devices()", "'cpu'"], checked_devices, ["cpu"])
    says(ValueError, ["differ"], checked_devices, jax.devices()[:1] * 2)
    says(TypeError, ["sequence of devices"], checked_devices, jax.devices()[0])
    assert checked_devices(np.array(jax.devices()[:1])) == tuple(jax.devices()[:1])
