"""What a program does before JAX starts: devices for the cores, a place for compiled programs, other processes to meet.

For programs alone: all of it changes JAX's configuration, which an import never does.
"""

import contextlib
import math
import os
import socket
import stat
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import jax

from functional_mlp._jax_compat import is_cache_undecided, keep_compiled_in, leave_signals_alone
from functional_mlp.parallel.processes import everyone

_HEARTBEAT = 20  # seconds after which a process that says nothing is taken for lost
MEETING = 120  # seconds in which all processes must have come
MOST_KEPT = 256 * 2**20  # bytes of compiled programs


def keep_compiled(folder: Path | None = None) -> None:
    """Gives compiled programs a place where later processes find them: a folder, or, unless the environment says where
    or not to, one in the user's cache, which nobody else can write to and which does not grow without bound."""
    if folder is not None:
        keep_compiled_in(folder)
    elif is_cache_undecided():
        with contextlib.suppress(OSError, RuntimeError):  # no home, no room: programs are compiled anew each time
            folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "functional-mlp", "compiled")
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.access(folder, os.W_OK | os.X_OK) and _is_private(folder):
                _make_room(folder, MOST_KEPT)
                keep_compiled_in(folder)


def _is_private(folder: Path) -> bool:
    """Whether nobody else can put programs there, which would be run."""
    if not hasattr(os, "getuid"):
        return True
    status = folder.stat()
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _make_room(folder: Path, most: int) -> None:
    """Removes the oldest files of a folder where there are more than so many bytes, until there are half as many."""
    files = [(entry.stat(follow_symlinks=False), entry.path) for entry in os.scandir(folder) if entry.is_file()]
    total = sum(status.st_size for status, _ in files)
    aim = total if total <= most else most // 2
    for status, path in sorted(files, key=lambda file: file[0].st_mtime):
        if total <= aim:
            break
        with contextlib.suppress(FileNotFoundError):  # another process has removed it
            os.remove(path)
        total -= status.st_size


def device_per_core(cores: int | None = None, at_most: int | None = None) -> None:
    """Makes JAX take every core of the CPU for a device, unless XLA_FLAGS say how many there are.

    Once JAX has started it does nothing.

    Args:
        cores: to use; None means all that this process may.
        at_most: devices; None means no bound.
    """
    if "device_count" not in os.environ.get("XLA_FLAGS", ""):
        cores = cores or _cores()
        with contextlib.suppress(RuntimeError):  # in a process where JAX has started
            jax.config.update("jax_num_cpu_devices", min(cores, at_most or cores))


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Meeting(NamedTuple):
    """Where the processes of one run meet; what is None is found in the environment, or by JAX.

    Attributes:
        coordinator: HOST:PORT of process 0.
        process_count: how many there are.
        process_id: of this one, from 0.
        timeout: seconds in which all must have come.
    """

    coordinator: str | None = None
    process_count: int | None = None
    process_id: int | None = None
    timeout: float = MEETING


def meet(meeting: Meeting) -> None:
    """Joins the other processes of a run, before anything is computed.

    What `meeting` leaves out is taken from JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, or from what
    JAX detects of the cluster: Slurm, Open MPI, Kubernetes, cloud TPU.

    If some do not come in time, those that have are ended, with one sentence and exit code 2.

    Raises:
        ValueError: if nothing tells where to meet, or what does makes no sense.
        ConnectionError: if process 0 cannot be reached, or cannot listen.
    """
    coordinator = meeting.coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    count = _number("JAX_NUM_PROCESSES") if meeting.process_count is None else meeting.process_count
    process_id = _number("JAX_PROCESS_ID") if meeting.process_id is None else meeting.process_id
    if count is not None and process_id is not None and not 0 <= process_id < count:
        raise ValueError(f"expected a process id from 0 to {count - 1}, for {count} processes, got {process_id}")
    if coordinator is not None:
        host, port = _address(coordinator)
        if process_id == 0:
            _require_free(port)
        elif process_id is not None:
            _wait_for(host, port, meeting.timeout)
    leave_signals_alone()
    alarm = threading.Timer(meeting.timeout, _give_up, [count, meeting.timeout])
    alarm.daemon = True
    alarm.start()
    try:
        jax.distributed.initialize(
            coordinator,
            count,
            process_id,
            initialization_timeout=math.ceil(meeting.timeout) + 30,  # after which JAX would abort, with a core dump
            heartbeat_timeout_seconds=_HEARTBEAT,
        )
    except ValueError as error:  # JAX says what is missing
        raise ValueError(
            "expected --coordinator, --process-count and --process-id, or the variables JAX_COORDINATOR_ADDRESS,"
            " JAX_NUM_PROCESSES and JAX_PROCESS_ID, or a cluster that JAX detects (Slurm, Open MPI, Kubernetes, cloud"
            f" TPU), got none of them in full ({error})"
        ) from error
    except RuntimeError as error:
        reason = str(error).partition("\n")[0][:200]
        raise ConnectionError(f"expected {count or 'all'} processes to meet, got {reason}") from error
    finally:
        alarm.cancel()
    everyone().any(False)  # the first time takes no delay of another process beyond half a minute
    _end_with_what_is_not_caught()


def meet_if(distributed: bool, meeting: Meeting) -> None:
    """`meet`, if a program was started with `--distributed`.

    Raises:
        ValueError: if it was not, but was told where to meet; and as `meet`.
    """
    if distributed:
        meet(meeting)
    elif any(part is not None for part in meeting[:3]):
        raise ValueError("expected --distributed with what says where processes meet, got none")


def _end_with_what_is_not_caught() -> None:
    """An error that nobody expects ends this process at once too; see `leave`."""
    usual_hook = sys.excepthook

    def tell(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        usual_hook(kind, error, traceback)
        leave(1)

    sys.excepthook = tell


def _give_up(count: int | None, timeout: float) -> None:
    print(
        f"expected {count or 'all'} processes to meet within {timeout:g} s, got some that have not come; see that all"
        " were started, with the same number of processes and different ids",
        file=sys.stderr,
        flush=True,
    )
    os._exit(2)  # JAX waits where no exception reaches it


def leave(code: int) -> int:
    """`code`, to end with after a failure; a process that has met others ends here, at once.

    JAX would wait for them otherwise, while they wait for what this process was to compute.
    """
    if jax.distributed.is_initialized():
        if everyone().first:
            time.sleep(2)  # without this process JAX ends the others: they may be about to say what they have to
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _number(name: str) -> int | None:
    value = os.environ.get(name)
    if value is None:
        return None
    if not value.isdigit():
        raise ValueError(f"expected {name} to be a number, got {value!r}")
    return int(value)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise ValueError(f"expected a coordinator such as 10.0.0.1:1234, got {text!r}")
    return host.strip("[]"), int(port)


def free_port() -> int:
    """A port of this machine that nothing listens at now."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


def _require_free(port: int) -> None:
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    with socket.socket(family) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("", port))
        except OSError as error:
            raise ConnectionError(
                f"expected port {port} of this machine to be free for process 0 to listen at, got"
                f" {error.strerror or error}; end what uses it, or name another port"
            ) from error


def _wait_for(host: str, port: int, timeout: float) -> None:
    end = time.monotonic() + timeout
    while True:
        try:
            socket.create_connection((host, port), timeout=max(0.1, min(5.0, end - time.monotonic()))).close()
            return
        except OSError as error:
            if time.monotonic() > end:
                raise ConnectionError(
                    f"expected process 0 to listen at {host}:{port} within {timeout:g} s, got {error}; start it, and"
                    " see that this machine can reach it"
                ) from error
        time.sleep(0.2)
