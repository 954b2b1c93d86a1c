"""Saving a run while it goes on, and finding it again after an interruption.

Orbax writes the checkpoints in the background; one appears whole or not at all. Each holds the digests of its arrays:
one that was damaged afterwards is found, and the one before it is used.
"""

import contextlib
import hashlib
import importlib.util
import json
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from functional_mlp._checks import positive_int
from functional_mlp.parallel import ALONE, Processes
from functional_mlp.saving.fingerprint import Fingerprint
from functional_mlp.saving.run_folder import Place, claimed, gone_on, only_one

RUN_KIND = ("functional-mlp/run", 2)
RUN_INDEX = "run.json"


class Saved(NamedTuple):
    """A checkpoint.

    Attributes:
        step: its number.
        arrays: NumPy arrays by name.
        about: what was said about it.
    """

    step: int
    arrays: dict[str, np.ndarray]
    about: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run, in a folder that no other run writes to: see `checkpoints_in`.

    Of several processes the first one reads and writes; all of them call the same methods.
    """

    def __init__(self, place: Place, processes: Processes) -> None:
        self._place, self._folder, self._processes = place, place.path, processes
        self._saved_at = time.monotonic()
        self._made: Any = None

    @property
    def _manager(self) -> Any:
        """Orbax's, made when it is first needed: importing it takes a second."""
        import orbax.checkpoint as ocp

        if self._made is None:
            process = jax.process_index()
            options = ocp.CheckpointManagerOptions(
                max_to_keep=self._place.keep,
                cleanup_tmp_directories=True,
                create=False,
                # orbax would wait for processes that do something else
                multiprocessing_options=ocp.options.MultiprocessingOptions(
                    primary_host=process, active_processes={process}, barrier_sync_key_prefix=str(process)
                ),
            )
            with _as_os_error(self._folder):
                self._folder.mkdir(exist_ok=True)
                self._made = ocp.CheckpointManager(self._folder.absolute(), options=options)
        return self._made

    def due(self) -> bool:
        """Whether the last one is long enough ago."""
        return self._processes.any(self._processes.first and time.monotonic() - self._saved_at >= self._place.every)

    def save(self, step: int, arrays: Mapping[str, Any], about: Mapping[str, Any] | None = None) -> None:
        """Begins to save, and returns as soon as the arrays may change again.

        Args:
            step: larger than that of any other.
            arrays: by name.
            about: what JSON knows.

        Raises:
            OSError: if this one, or the one before, cannot be written.
        """
        if not self._processes.first:
            return
        import orbax.checkpoint as ocp

        kept = {name: np.asarray(array) for name, array in arrays.items()}
        of_arrays, said = {name: _described(array) for name, array in kept.items()}, dict(about or {})
        header = {"arrays": of_arrays, "about": said, "digest": _digest_of(said)}
        items = ocp.args.Composite(arrays=ocp.args.PyTreeSave(kept), header=ocp.args.JsonSave(header))
        with _as_os_error(self._folder):
            self._manager.save(step, args=items)
        self._saved_at = time.monotonic()

    def latest(self) -> Saved | None:
        """The last one that is whole; None if there is none. Damaged ones after it are renamed, with a warning.

        Damaged is what has another digest, or cannot be understood. Whatever else goes wrong is raised, and nothing is
        removed.

        Raises:
            ValueError: if there are some, and all are damaged.
            OSError: if one cannot be read.
        """
        saved = self._processes.by_first(self._latest)
        found, arrays = self._processes.told(saved and (saved.step, saved.about), saved and saved.arrays)
        return found and Saved(found[0], arrays, found[1])

    def _latest(self) -> Saved | None:
        damaged: dict[int, Exception] = {}
        for step in sorted(self._manager.all_steps(), reverse=True) if self._folder.exists() else []:
            try:
                saved = self._read(step)
            except (ValueError, LookupError, FileNotFoundError) as error:  # orbax, tensorstore and JSON have their own
                _require_readable(self._folder / str(step), error)
                damaged[step] = error
                continue
            self._set_aside(damaged)
            return saved
        if damaged:
            raise ValueError(
                f"expected a checkpoint in {self._folder} that is whole, got only damaged ones"
                f" ({_first_line(damaged[min(damaged)])}); remove the folder to begin anew"
            ) from damaged[min(damaged)]
        return None

    def _set_aside(self, damaged: Mapping[int, Exception]) -> None:
        """Renames checkpoints to what orbax takes for none."""
        for step, error in damaged.items():
            place = self._folder / str(step)
            aside = next(name for name in _names_aside(place) if not name.exists())
            place.rename(aside)
            warnings.warn(
                f"{place} is damaged ({_first_line(error)}); the checkpoint before it is used, and this one kept as"
                f" {aside.name}",
                stacklevel=2,
            )
        if damaged:
            self._manager.reload()

    def _read(self, step: int) -> Saved:
        import orbax.checkpoint as ocp

        items = ocp.args.Composite(arrays=ocp.args.PyTreeRestore(), header=ocp.args.JsonRestore())
        found = self._manager.restore(step, args=items)
        header = found["header"]
        if not isinstance(header, dict) or any(not isinstance(header.get(name), dict) for name in ("arrays", "about")):
            raise ValueError("another header than was saved")
        if header.get("digest") != _digest_of(header["about"]):
            raise ValueError("another description than was saved")
        arrays = {name: np.asarray(array) for name, array in found["arrays"].items()}
        recorded = header["arrays"]
        damaged = [name for name in {**recorded, **arrays} if name not in arrays or _differs(arrays, recorded, name)]
        if damaged:
            raise ValueError(f"another {damaged[0]} than was saved")
        return Saved(step, arrays, dict(header["about"]))

    def close(self) -> None:
        """Waits until everything is written.

        Raises:
            OSError: if something cannot be.
        """
        if self._made is None:
            return
        with _as_os_error(self._folder):
            self._made.wait_until_finished()
        self._made.close()  # not after a failure: orbax would wait for what will never come


def _names_aside(place: Path) -> Iterator[Path]:
    yield place.with_name(f"{place.name}.damaged")
    yield from (place.with_name(f"{place.name}.damaged-{number}") for number in count(2))


# of tensorstore, whose errors are all ValueErrors: what a disk or a full memory may be the cause of
_NOT_OF_THE_CONTENT = re.compile("OS error|RESOURCE_EXHAUSTED|PERMISSION_DENIED|UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED")


def _require_readable(place: Path, error: Exception) -> None:
    """Raises OSError if `error` says nothing about the content of a checkpoint: its files could not be read."""
    if _NOT_OF_THE_CONTENT.search(str(error)):
        raise OSError(f"expected to read {place}, got {_first_line(error)}") from error
    for file in place.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened_file:
                while opened_file.read(2**20):
                    pass


def _has_orbax() -> bool:
    try:
        return importlib.util.find_spec("orbax.checkpoint") is not None
    except ModuleNotFoundError:  # nothing of orbax is there
        return False


def _described(array: np.ndarray) -> list[Any]:
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return [str(array.dtype), list(array.shape), digest]


def _digest_of(about: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _differs(arrays: Mapping[str, np.ndarray], recorded: Mapping[str, Any], name: str) -> bool:
    return name not in recorded or _described(arrays[name]) != list(recorded[name])


@contextlib.contextmanager
def _as_os_error(folder: Path) -> Iterator[None]:
    """What orbax and its thread raise when they cannot write, as an OSError with one sentence."""
    try:
        yield
    except OSError as error:
        raise OSError(f"expected {folder} to be a place that can be written, got {error.strerror or error}") from error
    except ValueError as error:  # of tensorstore, with the reason in its text
        raise OSError(f"expected {folder} to be a place that can be written, got {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


@contextlib.contextmanager
def checkpoints_in(place: Place, fingerprint: Fingerprint, processes: Processes = ALONE) -> Iterator[Checkpoints]:
    """The checkpoints of the run with this fingerprint, in a folder of its own.

    Args:
        place: of the folder, made if it does not exist; otherwise empty, or of this run.
        fingerprint: of the run.
        processes: of the run; the first of them reads and writes.

    Raises:
        ImportError: without orbax.
        OSError: if it cannot be read or written.
        ValueError: if it holds another run (and what differs) or something else, is in use, or would be gone on with to
            other bits.
    """
    with contextlib.ExitStack() as stack:

        def claim() -> None:
            stack.enter_context(only_one(place.path))
            gone_on(claimed(place.path / RUN_INDEX, RUN_KIND, fingerprint), fingerprint, place.accept_other_bits)

        processes.by_first(claim)
        yield stack.enter_context(opened(replace(place, path=place.path / "checkpoints"), processes))


@contextlib.contextmanager
def opened(place: Place, processes: Processes = ALONE) -> Iterator[Checkpoints]:
    """The checkpoints in a folder that is this run's own; see `checkpoints_in`."""
    positive_int("the number of checkpoints to keep", place.keep)
    if not place.every >= 0:
        raise ValueError(f"expected seconds between checkpoints, got {place.every}")
    if not _has_orbax():
        raise ImportError(
            "expected the package orbax-checkpoint, to save runs with; install it, or functional-mlp[checkpoints]"
        )
    checkpoints = Checkpoints(place, processes)
    try:
        yield checkpoints
    finally:
        checkpoints.close()
