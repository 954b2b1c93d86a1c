"""From the cells of a table to arrays: numbers scaled by what the training rows say, categories one-hot.

An encoding is data, which a file can hold: what is predicted later is encoded as what was learnt from.
"""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from functional_mlp._checks import known_name
from functional_mlp._dtypes import Array
from functional_mlp.tables.reading import Table, is_missing, number_of

MOST_CLASSES = 20  # a target of more different whole numbers is a quantity
MOST_LEVELS = 50  # different texts of a category: more are names, or free text
TASKS = ("classification", "regression")
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
POLICIES = ("refuse", "drop", "mean")  # for missing cells


class Quantity(NamedTuple):
    """A column of numbers: (x − minus) / divided_by; what is missing is the mean, 0.

    Attributes:
        name: of the column.
        minus, divided_by: the mean and the standard deviation of the training rows; 1 of a constant column.
    """

    name: str
    minus: float
    divided_by: float


class Category(NamedTuple):
    """A column of texts, one-hot: a text that is none of the levels, as one that is missing may be, is all 0.

    Attributes:
        name: of the column.
        levels: the texts, sorted.
    """

    name: str
    levels: tuple[str, ...]


class Target(NamedTuple):
    """What is to be learnt.

    Attributes:
        name: of the column.
        classes: the classes as they are written; () for a quantity.
        minus, divided_by: of a quantity.
    """

    name: str
    classes: tuple[str, ...]
    minus: float = 0.0
    divided_by: float = 1.0

    @property
    def task(self) -> str:
        """One of `TASKS`."""
        return "classification" if self.classes else "regression"


class Encoding(NamedTuple):
    """How the cells of a table become arrays.

    Attributes:
        columns: of the inputs, in the order of the arrays.
        target: what is to be learnt.
    """

    columns: tuple[Quantity | Category, ...]
    target: Target

    @property
    def width(self) -> int:
        """Numbers for a row."""
        return sum(len(column.levels) if isinstance(column, Category) else 1 for column in self.columns)

    @property
    def outputs(self) -> int:
        """Numbers for a target."""
        return len(self.target.classes) or 1


def usable(table: Table, target: str, drop: Sequence[str] = (), missing: str = "refuse") -> Table:
    """The columns of a table that are used, the target last, and the rows that are.

    Args:
        table: as it was read.
        target: the column to be learnt.
        drop: columns that are left out.
        missing: what becomes of rows with missing cells: "refuse" them, "drop" them, or "mean", which keeps them. A
            missing target is never filled.

    Raises:
        ValueError: for a column that there is not, no column that is left, or a missing cell that is refused.
    """
    known_name("way with missing cells", missing, POLICIES)
    if isinstance(drop, str):
        raise TypeError(f"expected drop to be a list of columns, such as [{drop!r}], got a single text")
    for name in (target, *drop):
        table.column(name)
    if target in drop:
        raise ValueError(f"expected to learn another column than those that are dropped, got {target!r}")
    names = (*(name for name in table.names if name != target and name not in drop), target)
    if len(names) < 2:
        raise ValueError(f"{table.source}: expected a column beside the target {target!r}, got none that is left")
    used = table._replace(names=names, columns=tuple(table.column(name) for name in names))
    without = []
    for row in range(len(table.lines)):
        gap = next((name for name, column in zip(names, used.columns, strict=True) if is_missing(column[row])), None)
        if gap is None or (missing == "mean" and not is_missing(used.columns[-1][row])):
            without.append(row)
        elif missing == "refuse":
            raise ValueError(
                f"{table.place(row, gap)}: expected a value, got an empty cell; fill it, leave such rows out with"
                " --missing drop, or take the mean with --missing mean"
            )
    if len(without) < 2:
        raise ValueError(f"{table.source}: expected two rows at least without missing cells, got {len(without)}")
    return used if len(without) == len(table.lines) else used.rows(without)


def encoding_of(table: Table, task: str | None = None, training: Sequence[int] | None = None) -> Encoding:
    """How a table whose last column is the target is encoded.

    Args:
        table: of `usable`.
        task: one of `TASKS`; None: text and a few whole numbers are classes, and other numbers a quantity.
        training: the rows by which numbers are scaled; None: all.

    Raises:
        ValueError: for a column that is neither, naming the cell.
    """
    rows = range(len(table.lines)) if training is None else training
    columns = tuple(_column_of(table, name, rows) for name in table.names[:-1])
    return Encoding(columns, _target_of(table, task, rows))


def _column_of(table: Table, name: str, rows: Sequence[int]) -> Quantity | Category:
    cells = table.column(name)
    known = [i for i, cell in enumerate(cells) if not is_missing(cell)]
    texts = [i for i in known if number_of(cells[i]) == math.inf]
    if not texts:
        return Quantity(name, *_scale(np.array([number_of(cells[i]) for i in rows if not is_missing(cells[i])])))
    if len(texts) < len(known) / 2:
        remedy = f"; mend it, or leave the column out with --drop {name}"
        raise _no_number(table, name, texts[0], "a number, as most of the column are", remedy)
    _require_points(table, name, [cells[i] for i in texts])
    levels = sorted({cells[i] for i in known})
    if len(levels) > MOST_LEVELS:
        raise ValueError(
            f"{table.source}: expected column {name!r} to be numbers, or at most {MOST_LEVELS} different texts, got"
            f" {len(levels)} such as {levels[0][:40]!r}; leave it out with --drop {name}"
        )
    return Category(name, tuple(levels))


def _require_points(table: Table, name: str, cells: Sequence[str]) -> None:
    """Raises ValueError for a column whose texts are numbers with commas in place of points."""
    if cells and all(DECIMAL_COMMA.fullmatch(cell) for cell in cells):
        raise ValueError(
            f"{table.source}: expected numbers in column {name!r} to have decimal points, got commas, as in"
            f" {cells[0]!r}; write 0.5 for 0,5"
        )


def _no_number(table: Table, name: str, row: int, expected: str, remedy: str = "") -> ValueError:
    """What is raised for a cell."""
    cell = table.column(name)[row][:40]
    return ValueError(f"{table.place(row, name)}: expected {expected}, got {cell!r}{remedy}")


def _require_numbers(table: Table, name: str, numbers: Array, expected: str = "a number", remedy: str = "") -> None:
    """Raises ValueError for the first cell of a column that is none."""
    rows = np.flatnonzero(np.isinf(numbers))
    if rows.size:
        raise _no_number(table, name, int(rows[0]), expected, remedy)


def _scale(numbers: Array) -> tuple[float, float]:
    if not numbers.size:
        return 0.0, 1.0
    spread = float(numbers.std())
    return float(numbers.mean()), spread if spread > 0 else 1.0


def _target_of(table: Table, task: str | None, rows: Sequence[int]) -> Target:
    name, cells = table.names[-1], table.columns[-1]
    numbers = np.array([number_of(cell) for cell in cells])
    finite = np.isfinite(numbers)
    _require_points(table, name, [cell for cell, known in zip(cells, finite, strict=True) if not known])
    different = sorted(set(cells), key=lambda cell: (number_of(cell), cell))
    if task is None:
        if finite.sum() > len(cells) / 2:
            remedy = "; mend it, or say --task classification"
            _require_numbers(table, name, numbers, "a number, as most of the column are", remedy)
        few = len(different) <= MOST_CLASSES
        classes = not finite.all() or (few and bool((numbers == np.round(numbers)).all()))
        task = "classification" if classes else "regression"
    if known_name("task", task, TASKS) == "regression":
        _require_numbers(table, name, numbers, "a number to be learnt")
        return Target(name, (), *_scale(numbers[list(rows)]))
    if len(different) < 2:
        raise ValueError(f"expected at least two classes in {name!r}, got {different[0][:40]!r} alone")
    if len(different) > len(cells) // 2:
        raise ValueError(
            f"expected classes with several samples each in {name!r}, got {len(different)} of {len(cells)} samples; for"
            " a quantity say --task regression"
        )
    return Target(name, tuple(different))


def inputs_of(encoding: Encoding, table: Table) -> Array:
    """The inputs (n, width) of the rows of a table, float64.

    Raises:
        ValueError: for a column that is missing, or a cell that is no number; the sentence names it.
    """
    parts = []
    for column in encoding.columns:
        cells = table.column(column.name)
        if isinstance(column, Category):
            parts.append(np.array([[float(cell == level) for level in column.levels] for cell in cells]))
            continue
        numbers = np.array([math.nan if is_missing(cell) else number_of(cell) for cell in cells])
        _require_numbers(table, column.name, numbers)
        parts.append(np.nan_to_num((numbers - column.minus) / column.divided_by)[:, None])
    whole: Array = np.concatenate(parts, axis=1)
    return whole


def unseen_in(encoding: Encoding, table: Table) -> dict[str, tuple[str, int]]:
    """Of columns with texts that none of the training rows had: such a text, and in how many rows there are such."""
    found = {}
    for column in encoding.columns:
        if isinstance(column, Category):
            unseen = [cell for cell in table.column(column.name) if not is_missing(cell) and cell not in column.levels]
            if unseen:
                found[column.name] = unseen[0], len(unseen)
    return found


def targets_of(encoding: Encoding, table: Table) -> Array:
    """The targets (n, outputs) of the rows of a table, float64: one-hot, or the scaled quantity.

    Raises:
        ValueError: for a class that was not learnt, or a cell that is no number.
    """
    target = encoding.target
    cells = table.column(target.name)
    if target.classes:
        places = {name: i for i, name in enumerate(target.classes)}
        for row, cell in enumerate(cells):
            if cell not in places:
                raise ValueError(
                    f"{table.place(row, target.name)}: expected one of the classes {', '.join(target.classes)}, got"
                    f" {cell[:40]!r}"
                )
        return np.eye(len(places))[[places[cell] for cell in cells]]
    numbers = np.array([number_of(cell) for cell in cells])
    _require_numbers(table, target.name, numbers)
    return ((numbers - target.minus) / target.divided_by)[:, None]
