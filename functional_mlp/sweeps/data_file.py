"""The data that a sweep's file names: arrays in an NPZ file, or a table of which one column is to be learnt."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from functional_mlp._checks import known_name
from functional_mlp.files import FileError, npz_arrays, read_bytes
from functional_mlp.tables import Table, encoding_of, inputs_of, read_table, targets_of, usable

ARRAYS = ("inputs", "targets", "sample_weights", "eval_inputs", "eval_targets")
TABLES = (".csv", ".tsv", ".txt")  # what the names of tables end in
OF_TABLES = ("target", "task", "drop", "missing", "test")  # fields that say what is made of a table
FIELDS = ("file", *OF_TABLES)


def arrays_of(data: Mapping[str, Any], folder: Path, max_bytes: int) -> dict[str, np.ndarray]:
    """The arrays by the names of `sweep`'s arguments, float64 where they come of a table.

    Args:
        data: the table [data]: `file`; and of a table of numbers `target`, a column, and perhaps `task`, `drop` and
            `missing`, as `functional-mlp fit` has them, and `test`, a file of further rows.
        folder: that the files are named from.
        max_bytes: that each may have.

    Raises:
        FileError: if a file cannot be read, or is none.
        TypeError, ValueError: for fields that make no sense, or a table.
    """
    for name in ("file", *OF_TABLES):
        if name != "drop" and not isinstance(data.get(name, ""), str):
            raise TypeError(f"expected data.{name} to be a text, got {data[name]!r}")
    file = folder / data["file"]
    if file.suffix.lower() not in TABLES:
        for name in OF_TABLES:
            if name in data:
                raise ValueError(f"expected data.{name} with a table of numbers ({' or '.join(TABLES)}), got {file}")
        return _of_npz(file, max_bytes)
    if "target" not in data:
        raise ValueError(f"expected data.target, the column of {file} to be learnt, got none")
    drop = data.get("drop", [])
    if not isinstance(drop, list) or not all(isinstance(name, str) for name in drop):
        raise TypeError(f"expected data.drop to be names of columns, got {drop!r}")

    def read(path: Path) -> Table:
        return usable(read_table(path, max_bytes), data["target"], drop, data.get("missing", "refuse"))

    table = read(file)
    encoding = encoding_of(table, data.get("task"))
    arrays = {"inputs": inputs_of(encoding, table), "targets": targets_of(encoding, table)}
    if "test" in data:
        test = read(folder / data["test"])
        arrays |= {"eval_inputs": inputs_of(encoding, test), "eval_targets": targets_of(encoding, test)}
    return arrays


def _of_npz(file: Path, max_bytes: int) -> dict[str, np.ndarray]:
    arrays = npz_arrays(read_bytes(file, max_bytes), str(file), max_bytes)
    for name in arrays:
        known_name(f"array of {file}", name, ARRAYS)
    for name in ("inputs", "targets"):
        if name not in arrays:
            raise FileError(f"{file}: expected an array {name}, got {', '.join(arrays) or 'none'}")
    return arrays
