"""A person's own table: a text file of numbers with a header, read, checked, and made into inputs and targets.

Nothing is guessed about missing or odd cells: a cell that is no number is named, and refused. The target alone may be
text, each different text a class; where most of it are numbers, all must be.
"""

import csv
import math
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from functional_mlp._checks import known_name

MAX_BYTES = 256 * 2**20
DELIMITERS = ",;\t"
MAX_CLASSES = 20  # a target of more different whole numbers is a quantity
TASKS = ("classification", "regression")


class Table(NamedTuple):
    """Numbers by column.

    Attributes:
        names: of the input columns.
        inputs: (n, d) float64.
        target: name of the target column.
        values: (n,) the target as text.
    """

    names: tuple[str, ...]
    inputs: np.ndarray
    target: str
    values: tuple[str, ...]


class Targets(NamedTuple):
    """What is to be learnt.

    Attributes:
        task: "classification" or "regression".
        classes: names of the classes, sorted; () for a regression.
        values: (n,) labels, indices into `classes`, or the quantity; float64.
    """

    task: str
    classes: tuple[str, ...]
    values: np.ndarray


def read_table(path: Path, target: str) -> Table:
    """Reads a file of comma-, semicolon- or tab-separated numbers with one line of column names.

    Args:
        path: of the file, UTF-8, at most 256 MiB.
        target: the column to be learnt, which may be text; all others are inputs.

    Raises:
        OSError: if it cannot be read.
        ValueError: for what is no such table; the sentence names line and column.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path}: expected at most {MAX_BYTES} bytes, got {path.stat().st_size}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8 text, got byte {error.object[error.start]:#x}") from error
    first = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    try:
        lines = [line for line in csv.reader(text.splitlines(), delimiter=delimiter) if line]
    except csv.Error as error:
        raise ValueError(f"{path}: expected a table, got {error}") from error
    names = tuple(name.strip() for name in lines[0]) if lines else ()
    repeated = [name for name, count in Counter(names).items() if count > 1 or not name]
    if repeated:
        raise ValueError(f"{path}: expected a first line of different column names, got {repeated[0]!r} twice or empty")
    known_name(f"column of {path}", target, names)
    if len(names) < 2 or len(lines) < 3:
        raise ValueError(f"{path}: expected a header, at least two rows and two columns, got {len(lines)} lines")
    place = names.index(target)
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(names):
            raise ValueError(f"{path}: row {number}: expected {len(names)} cells as the header has, got {len(line)}")
    columns = [i for i in range(len(names)) if i != place]
    inputs = [[_number(path, number, names[i], line[i]) for i in columns] for number, line in enumerate(lines[1:], 2)]
    values = tuple(line[place].strip() for line in lines[1:])
    if "" in values:
        raise ValueError(f"{path}: row {values.index('') + 2}, column {target!r}: expected a value, got an empty cell")
    odd = [i for i, value in enumerate(values) if not math.isfinite(_as_number(value))]
    if odd and len(odd) < len(values) / 2:
        raise ValueError(
            f"{path}: row {odd[0] + 2}, column {target!r}: expected a number, as most of the column are, got"
            f" {values[odd[0]][:40]!r}; fill it, or drop the row"
        )
    return Table(tuple(names[i] for i in columns), np.array(inputs, np.float64), target, values)


def _number(path: Path, row: int, name: str, cell: str) -> float:
    number = _as_number(cell)
    if not math.isfinite(number):
        got = repr(cell[:40]) if cell.strip() else "an empty cell"
        raise ValueError(f"{path}: row {row}, column {name!r}: expected a number, got {got}; fill it, or drop the row")
    return number


def targets_of(table: Table, task: str | None) -> Targets:
    """What is to be learnt; without a task, text and a few whole numbers are classes, and other numbers a quantity.

    Raises:
        ValueError: for a quantity that is not one, or a single class.
    """
    numbers = [_as_number(value) for value in table.values]
    finite = all(map(math.isfinite, numbers))
    if task is None:
        few = len(set(table.values)) <= MAX_CLASSES
        task = "regression" if finite and not (few and all(x == round(x) for x in numbers)) else "classification"
    if task == "regression":
        if not finite:
            wrong = next(value for value, x in zip(table.values, numbers, strict=True) if not math.isfinite(x))
            raise ValueError(f"expected numbers in the target {table.target!r}, got {wrong[:40]!r}")
        return Targets(task, (), np.array(numbers))
    classes = tuple(sorted(set(table.values), key=lambda value: (_as_number(value), value)))
    if len(classes) < 2:
        raise ValueError(f"expected at least two classes in {table.target!r}, got {classes[0][:40]!r} alone")
    if len(classes) > len(table.values) // 2:
        raise ValueError(
            f"expected classes with several samples each in {table.target!r}, got {len(classes)} of"
            f" {len(table.values)} samples; for a quantity use --task regression"
        )
    indices = {name: i for i, name in enumerate(classes)}
    return Targets(task, classes, np.array([float(indices[value]) for value in table.values]))


def _as_number(value: str) -> float:
    """A text as a number; infinity if it is none."""
    try:
        return float(value)
    except ValueError:
        return math.inf
