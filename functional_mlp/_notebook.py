"""What a notebook shows of an object: a table in the notebook's own style, which changes nothing around it."""

from collections.abc import Iterable, Sequence

from functional_mlp._markup import element


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as HTML, its text escaped; numbers with six digits.

    Args:
        caption: what it is of.
        head: the name of each column.
        rows: its cells.
    """
    lines = [element("tr", *(element("td", _text(cell)) for cell in row)) for row in rows]
    return element(
        "table",
        element("caption", caption, style="text-align: left; white-space: nowrap"),
        element("thead", element("tr", *(element("th", name) for name in head))),
        element("tbody", *lines),
    )


def _text(cell: object) -> str:
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)
