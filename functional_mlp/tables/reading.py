"""A table as people have it: a text file with a line of column names. Cells stay text: nothing is guessed here."""

import csv
import math
from collections import Counter
from typing import NamedTuple

from functional_mlp._checks import known_name
from functional_mlp.files import MAX_BYTES_OF_A_TABLE, FileError, Path_, read_bytes, text_of

DELIMITERS = ",;\t"
MISSING = frozenset(
    {"", "na", "n/a", "nan", "null", "none", "?"}
)  # in small letters: what stands where nothing is known


class Table(NamedTuple):
    """Cells by column, without the blanks around them.

    Attributes:
        source: what messages call it.
        names: of the columns.
        columns: the texts of each column, (n,) each.
        lines: (n,) in which line of the file each row begins.
    """

    source: str
    names: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def column(self, name: str) -> tuple[str, ...]:
        """The texts of a column.

        Raises:
            ValueError: if there is none of that name; the nearest is suggested.
        """
        return self.columns[self.names.index(known_name(f"column of {self.source}", name, self.names))]

    def place(self, row: int, name: str) -> str:
        """Where a cell is, for messages."""
        return f"{self.source}: line {self.lines[row]}, column {name!r}"

    def rows(self, chosen: list[int]) -> "Table":
        """The table of some rows."""
        columns = tuple(tuple(column[i] for i in chosen) for column in self.columns)
        return self._replace(columns=columns, lines=tuple(self.lines[i] for i in chosen))


def read_table(path: Path_, max_bytes: int = MAX_BYTES_OF_A_TABLE) -> Table:
    """Reads a file of comma-, semicolon- or tab-separated cells with one line of column names.

    Args:
        path: of the file, UTF-8.
        max_bytes: that it may have.

    Raises:
        FileError: if it cannot be read, or is no such table; the sentence names the line.
    """
    text = text_of(read_bytes(path, max_bytes), str(path))
    first = text.partition("\n")[0]
    reader = csv.reader(text.splitlines(keepends=True), delimiter=max(DELIMITERS, key=first.count))
    rows, lines, before = [], [], 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append([cell.strip() for cell in row])
                lines.append(before)
            before = reader.line_num + 1
    except csv.Error as error:
        raise FileError(f"{path}: expected a table, got {error} in line {before}") from error
    names = tuple(rows[0]) if rows else ()
    repeated = [name for name, count in Counter(names).items() if count > 1 or not name]
    if repeated:
        what = f"{repeated[0]!r} twice" if repeated[0] else "an empty one, as to_csv() writes an index"
        raise FileError(f"{path}: expected a first line of different column names, got {what}")
    if len(rows) < 2:
        raise FileError(f"{path}: expected a line of column names, and rows below it, got {len(rows)} lines")
    for line, row in zip(lines[1:], rows[1:], strict=True):
        if len(row) != len(names):
            raise FileError(f"{path}: line {line}: expected {len(names)} cells as the first line has, got {len(row)}")
    return Table(str(path), names, tuple(zip(*rows[1:], strict=True)), tuple(lines[1:]))


def is_missing(cell: str) -> bool:
    """Whether a cell says that nothing is known."""
    return cell.lower() in MISSING


def number_of(cell: str) -> float:
    """A cell as a number; infinity if it is none."""
    try:
        number = float(cell)
    except ValueError:
        return math.inf
    return number if math.isfinite(number) else math.inf
