"""Where processes meet, and what is said when they cannot; where compiled programs are kept."""

import os
import socket

import jax
import pytest

from functional_mlp.parallel import startup
from functional_mlp.parallel.startup import Meeting, free_port, meet


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


# compiled programs


@pytest.mark.parametrize("undecided", [True, False])
def test_compiled_programs_go_to_the_cache_of_the_user_unless_it_was_decided_otherwise(
    undecided, tmp_path, monkeypatch
):
    kept = []
    monkeypatch.setattr(startup, "is_cache_undecided", lambda: undecided)
    monkeypatch.setattr(startup, "keep_compiled_in", kept.append)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    startup.keep_compiled()
    assert kept == [tmp_path / "functional-mlp" / "compiled"][: int(undecided)]
    startup.keep_compiled(tmp_path)
    assert kept[-1] == tmp_path


def test_nothing_is_kept_where_others_can_write(tmp_path, monkeypatch):
    """What is kept there is run."""
    kept = []
    monkeypatch.setattr(startup, "is_cache_undecided", lambda: True)
    monkeypatch.setattr(startup, "keep_compiled_in", kept.append)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "functional-mlp" / "compiled"
    startup.keep_compiled()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    startup.keep_compiled()
    assert kept == [folder]


def test_a_user_without_a_home_goes_without(monkeypatch):
    monkeypatch.setattr(startup, "is_cache_undecided", lambda: True)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(startup.Path, "home", no_home)
    startup.keep_compiled()


def test_what_is_kept_is_bounded_and_the_oldest_goes_first(tmp_path):
    for age in range(10):
        path = tmp_path / f"program-{age}"
        path.write_bytes(bytes(100))
        os.utime(path, (1e9 - age, 1e9 - age))
    startup._make_room(tmp_path, 1000)
    assert len(list(tmp_path.iterdir())) == 10
    startup._make_room(tmp_path, 999)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"program-{age}" for age in range(4)]
