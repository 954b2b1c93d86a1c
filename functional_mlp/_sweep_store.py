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

from functional_mlp._atomic import write_bytes

FORMAT, VERSION = "functional-mlp/sweep", 1
_INDEX = "sweep.json"


class Store:
    """Arrays by name, each with a leading axis of runs, and which of the runs are done."""

    def __init__(self, arrays: dict[str, np.ndarray], done: int, index: Path | None, description: Mapping[str, Any]):
        self.arrays, self.done = arrays, done
        self._index, self._description = index, description

    def put(self, first: int, parts: Mapping[str, np.ndarray]) -> None:
        """Keeps the results of the runs from `first` on, one array per name."""
        last = first
        for name, values in parts.items():
            array, last = self.arrays[name], first + len(values)
            array[first:last] = values
            if isinstance(array, np.memmap):
                array.flush()
        if self._index is not None:
            _write_index(self._index, self._description, last)
        self.done = last


def in_memory(specifications: Mapping[str, tuple[tuple[int, ...], Any]]) -> Store:
    """A store of arrays of these shapes and dtypes."""
    return Store({name: np.empty(shape, dtype) for name, (shape, dtype) in specifications.items()}, 0, None, {})


def in_directory(
    directory: str | os.PathLike[str],
    specifications: Mapping[str, tuple[tuple[int, ...], Any]],
    description: Mapping[str, Any],
) -> Store:
    """A store in files, a new one or the one that is there.

    Args:
        directory: made if it does not exist.
        specifications: shape and dtype of each array by name; NAME.npy holds it.
        description: of the sweep, what JSON knows; must be that of the sweep that the directory holds.

    Raises:
        OSError: if the directory cannot be written.
        ValueError: if it holds another sweep, and what differs; or something else.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    index = directory / _INDEX
    if index.exists():
        done = _done(index, description)
    elif any(directory.iterdir()):
        raise ValueError(
            f"expected a new directory, an empty one, or one of a sweep, got {directory}; name another one"
        )
    else:
        done = None
    arrays = {}
    for name, (shape, dtype) in specifications.items():
        file = directory / f"{name}.npy"
        arrays[name] = _mapped(file, shape, np.dtype(dtype), new=done is None)
    if done is None:
        _write_index(index, description, 0)
    return Store(arrays, done or 0, index, description)


def _mapped(file: Path, shape: tuple[int, ...], dtype: np.dtype, new: bool) -> np.ndarray:
    kind = dtype if dtype.kind != "V" else np.dtype(f"V{dtype.itemsize}")  # bfloat16 is no dtype that files know
    if new:
        return np.lib.format.open_memmap(file, "w+", dtype=kind, shape=shape).view(dtype)
    try:
        np.lib.format.open_memmap(file, "r")  # "r+" would make a file that is too short longer
        array = np.lib.format.open_memmap(file, "r+")
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"expected {file} to hold an array of this sweep, got {error}; remove the folder") from error
    if array.shape != shape or array.dtype != kind:
        raise ValueError(f"expected {file} to hold {kind} of shape {shape}, got {array.dtype} of shape {array.shape}")
    return array.view(dtype)


def _write_index(index: Path, description: Mapping[str, Any], done: int) -> None:
    content = {"format": FORMAT, "version": VERSION, "runs_done": done, "sweep": description}
    write_bytes(index, (json.dumps(content, indent=1) + "\n").encode())


def _done(index: Path, description: Mapping[str, Any]) -> int:
    """How many runs `index` records as done."""
    try:
        content = json.loads(index.read_text())
        found = (content["format"], content["version"])
        done, recorded = int(content["runs_done"]), dict(content["sweep"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"expected {index} to be the index of a sweep, got {error!r}") from error
    if found != (FORMAT, VERSION):
        raise ValueError(f"expected {index} of format {FORMAT!r}, version {VERSION}, got {found}")
    asked = json.loads(json.dumps(description))
    different = [name for name in {**asked, **recorded} if asked.get(name) != recorded.get(name)]
    if different:
        name = different[0]
        raise ValueError(
            f"expected the sweep that {index.parent} holds, got another {name}: {asked.get(name)} instead of"
            f" {recorded.get(name)}; name another directory"
        )
    return done
