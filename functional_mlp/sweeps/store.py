"""Where the results of a sweep's parts are gathered: arrays over all runs, in memory or as .npy files of a directory.

The files are memory-mapped, so that a sweep may be larger than the memory. `sweep.json` says which runs are done; it is
replaced after their numbers are on the disk, and never before. A directory belongs to one sweep: what would change its
results is recorded there, and another one is refused.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from functional_mlp.saving import Fingerprint, Index, Place, claimed, gone_on, read_index

SWEEP_KIND = ("functional-mlp/sweep", 2)
SWEEP_INDEX = "sweep.json"
_DONE = "runs_done"  # its field


class Store:
    """Arrays by name, each with a leading axis of runs, and which of the runs are done."""

    def __init__(self, arrays: dict[str, np.ndarray], done: int, index: Index | None):
        self.arrays, self.done, self._index = arrays, done, index

    def put(self, first: int, parts: Mapping[str, np.ndarray]) -> None:
        """Keeps the results of the runs from `first` on, one array per name."""
        last = first
        for name, values in parts.items():
            array, last = self.arrays[name], first + len(values)
            array[first:last] = values
            if isinstance(array, np.memmap):
                array.flush()
        if self._index is not None:
            self._index = self._index.write(**{_DONE: last})
        self.done = last


def runs_done(directory: Path) -> int:
    """How many runs of the sweep in a directory are done; 0 where there is none."""
    try:
        done = json.loads((directory / SWEEP_INDEX).read_text(encoding="utf-8"))[_DONE]
    except (OSError, ValueError, LookupError, TypeError):
        return 0
    return done if isinstance(done, int) else 0


def in_memory(specifications: Mapping[str, tuple[tuple[int, ...], Any]]) -> Store:
    """A store of arrays of these shapes and dtypes."""
    return Store({name: np.empty(shape, dtype) for name, (shape, dtype) in specifications.items()}, 0, None)


def store_in(
    place: Place,
    specifications: Mapping[str, tuple[tuple[int, ...], Any]],
    fingerprint: Fingerprint,
    reading: bool = False,
) -> Store:
    """A store in files, a new one or the one that is there.

    Args:
        place: of the directory, made if it does not exist.
        specifications: shape and dtype of each array by name; NAME.npy holds it.
        fingerprint: of the sweep; must be that of the sweep that the directory holds.
        reading: whether nothing will be put into it; it must be there then.

    Raises:
        OSError: if the directory cannot be written.
        ValueError: if it holds another sweep, and what differs; or something else; or if there is more to compute, and
            other bits may come out than where it was begun.
    """
    directory, runs = place.path, min(shape[0] for shape, _ in specifications.values())
    if reading:
        index = read_index(directory / SWEEP_INDEX, SWEEP_KIND, fingerprint)
    else:
        directory.mkdir(parents=True, exist_ok=True)
        index = claimed(directory / SWEEP_INDEX, SWEEP_KIND, fingerprint, **{_DONE: 0})
    done = index.content.get(_DONE)
    if not isinstance(done, int) or not 0 <= done <= runs:
        raise ValueError(f"expected {index.path} to say how many of {runs} runs are done, got {done!r}")
    if done < runs and not reading:
        index = gone_on(index, fingerprint, place.accept_other_bits)
    arrays = {}
    for name, (shape, dtype) in specifications.items():
        # while nothing is done, there may be none, or an unfinished one
        if Path(name).name != name:
            raise ValueError(f"expected names that files can have, got a metric named {name.partition('_')[2]!r}")
        mode = "r" if reading or done == shape[0] else "w+" if done == 0 else "r+"
        arrays[name] = _mapped(directory / f"{name}.npy", shape, np.dtype(dtype), mode)
    return Store(arrays, done, index)


def _mapped(file: Path, shape: tuple[int, ...], dtype: np.dtype, mode: str) -> np.ndarray:
    """An array in a file: a new one ("w+"), or one to be read ("r"), or filled ("r+")."""
    kind = dtype if dtype.kind != "V" else np.dtype(f"V{dtype.itemsize}")  # bfloat16 is no dtype that files know
    if mode == "w+":
        array = np.lib.format.open_memmap(file, mode, dtype=kind, shape=shape)
        _reserve(file)
        return array.view(dtype)
    try:
        np.lib.format.open_memmap(file, "r")  # "r+" would make a file that is too short longer
        array = np.lib.format.open_memmap(file, mode)  # type: ignore[arg-type]
    except PermissionError:
        raise
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"expected {file} to hold an array of this sweep, got {error}; remove the folder") from error
    if array.shape != shape or array.dtype != kind:
        raise ValueError(f"expected {file} to hold {kind} of shape {shape}, got {array.dtype} of shape {array.shape}")
    return array.view(dtype)


def _reserve(file: Path) -> None:
    """Takes the whole file's room on the disk now: a full disk would otherwise kill the process at some write to it."""
    if hasattr(os, "posix_fallocate"):
        size = file.stat().st_size
        try:
            with file.open("r+b") as opened:
                os.posix_fallocate(opened.fileno(), 0, size)
        except OSError as error:
            raise OSError(
                f"expected room for the {size:,} bytes of {file}, got {error.strerror}; make room, or name another"
                " directory"
            ) from error
