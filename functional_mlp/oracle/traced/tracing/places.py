"""Where in somebody's own code an operation comes from."""

import linecache
from pathlib import Path
from typing import Any, NamedTuple

from functional_mlp import _jax_compat

OWN = Path(__file__).resolve().parents[1]  # frames of this folder are nobody's function


class Place(NamedTuple):
    """A place in somebody's code.

    Attributes:
        file: its path, as Python knows it.
        line: counted from 1.
        function: the name of the function around it.
        expression: the source of the expression, in one line; "" where the file cannot be read.
    """

    file: str
    line: int
    function: str
    expression: str

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.line}"


def place_of(equation: Any) -> Place | None:
    """Where an equation of a trace comes from: the innermost line that is neither JAX's nor this package's oracle."""
    for frame in _jax_compat.source_frames(equation):
        if not Path(frame.file).is_relative_to(OWN):
            return Place(frame.file, frame.line, frame.function, _expression(frame))
    return None


def _expression(frame: _jax_compat.SourceFrame) -> str:
    lines = [linecache.getline(frame.file, n).rstrip("\n") for n in range(frame.line, frame.last_line + 1)]
    if not lines or not lines[0]:
        return ""
    if frame.last_column > 0:
        lines[-1] = lines[-1].encode()[: frame.last_column].decode(errors="replace")
    lines[0] = lines[0].encode()[frame.column :].decode(errors="replace")
    return " ".join(" ".join(lines).split())


def where_of(equation: Any) -> str:
    """' (layer_norm.py:12)', or ''."""
    place = place_of(equation)
    return "" if place is None else f" ({place})"
