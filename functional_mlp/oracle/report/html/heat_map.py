"""Where in an array the errors are, for a report's page: a table of numbers, or SVG.

Colours are classes of `page.css`. Nothing is said by colour alone: what is wrong is crossed or bold, what is undecided
has a stroke or a question mark. Large arrays are drawn by the worst entry of each block.
"""

import math
from collections.abc import Sequence

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp._markup import Markup, element
from functional_mlp.oracle.report.sentences import shape_of
from functional_mlp.oracle.verdict import CONSISTENT, OF_ENTRIES, UNDECIDED, WRONG, Leaf, Verdict

MARKS = {Verdict.CONSISTENT: "✓", Verdict.UNDECIDED: "?", Verdict.WRONG: "✗"}
WORDS = {Verdict.CONSISTENT: "ok", Verdict.UNDECIDED: "undecided", Verdict.WRONG: "wrong"}


def badge(verdict: Verdict, words: str = "") -> Markup:
    """A verdict in a line of text."""
    mark = element("span", f"{MARKS[verdict]} ", aria_hidden="true")
    return element("span", mark, words or WORDS[verdict], class_=f"badge {verdict}")


def tally(leaf: Leaf) -> str:
    """Such as "3 of 12 wrong"."""
    counted = {Verdict.WRONG: leaf.wrong, Verdict.UNDECIDED: leaf.undecided}.get(leaf.verdict, 0)
    return f"{counted} of {leaf.size} {WORDS[leaf.verdict]}" if counted else WORDS[leaf.verdict]


# heat maps

MOST_BLOCKS = 32  # of an array's rows or columns are drawn, at most
READABLE = (16, 6)  # rows and columns of an array that is shown as a table of numbers
TONE_BOUNDS = (10.0, 1e3, 1e6, 1e12, np.inf)  # of the colours of wrong entries, in noise floors
LEGEND = (
    ("c0", CONSISTENT, "exact"),
    ("c1", CONSISTENT, "below a tenth of the floor"),
    ("c2", CONSISTENT, "within the floor"),
    ("u", UNDECIDED, "undecided"),
    ("w1", WRONG, "up to 10 floors"),
    ("w2", WRONG, "to 10³"),
    ("w3", WRONG, "to 10⁶"),
    ("w4", WRONG, "to 10¹²"),
    ("w5", WRONG, "more"),
    ("w6", WRONG, "NaN or infinite"),
)
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def tone(ratio: float, entry: int) -> str:
    """The class of an entry, by its error over its floor and its verdict."""
    if entry == UNDECIDED:
        return "u"
    if entry == CONSISTENT:
        return "c0" if ratio == 0 else "c1" if ratio < 0.1 else "c2"
    return f"w{1 + sum(ratio >= bound for bound in TONE_BOUNDS)}"


def times(ratio: float) -> str:
    """An error in noise floors, in at most five characters."""
    if not math.isfinite(ratio):
        return "∞"
    if ratio < 1000:
        return "0" if ratio == 0 else "<.01" if ratio < 0.01 else f"{ratio:.2g}" if ratio < 10 else f"{ratio:.0f}"
    digit, _, exponent = f"{ratio:.0e}".partition("e")
    power = f"10{str(int(exponent)).translate(SUPERSCRIPTS)}"
    return power if digit == "1" else f"{digit}·{power}"


def legend() -> Markup:
    """What the colours and strokes mean."""
    items = []
    for name, entry, words in LEGEND:
        cell = element("rect", class_=name, width=14, height=14)
        sample = element("svg", cell, _stroke(name, entry, 0, 0, 14), width=14, height=14, aria_hidden="true")
        items.append(element("li", sample, words))
    return element("ul", *items, class_="legend")


def error_map(leaf: Leaf, most: int = MOST_BLOCKS) -> Markup:
    """Error over noise floor of every entry: numbers for small arrays, the worst of each block for large ones.

    Args:
        leaf: with entries, of at most two axes; a vector is a row.
        most: rows, and columns, that are drawn.
    """
    assert leaf.entries is not None
    assert leaf.ratios is not None
    entries, ratios = np.atleast_2d(leaf.entries), np.atleast_2d(leaf.ratios)
    if entries.shape[0] <= READABLE[0] and entries.shape[1] <= READABLE[1]:
        return _table(leaf, entries, ratios)
    return _grid(leaf, entries, ratios, most)


def _table(leaf: Leaf, entries: np.ndarray, ratios: Array) -> Markup:
    is_matrix = leaf.entries is not None and leaf.entries.ndim == 2
    rows = []
    for i, (row, verdicts) in enumerate(zip(ratios.tolist(), entries.tolist(), strict=True)):
        cells = [
            element("td", f"{times(ratio)}{'?' if entry == UNDECIDED else ''}", class_=tone(ratio, entry))
            for ratio, entry in zip(row, verdicts, strict=True)
        ]
        number = [element("th", str(i), scope="row")] if is_matrix else []
        rows.append(element("tr", *number, *cells))
    corner = [element("td")] if is_matrix else []
    columns = [element("th", str(j), scope="col") for j in range(entries.shape[1])]
    head = element("thead", element("tr", *corner, *columns))
    label = f"Error over noise floor of {leaf.path}"
    return element("table", head, element("tbody", *rows), class_="map", aria_label=label)


def _grid(leaf: Leaf, entries: np.ndarray, ratios: Array, most: int) -> Markup:
    is_matrix = leaf.entries is not None and leaf.entries.ndim == 2
    starts = [_starts(length, most) for length in entries.shape]
    blocks, worst = _worst_of_blocks(entries, ratios, starts)
    size = 22 if max(blocks.shape) <= 12 else 18 if max(blocks.shape) <= 22 else 14
    places = [[_range(first, k, n) for k in range(len(first))] for first, n in zip(starts, entries.shape, strict=True)]
    quiet: dict[str, list[str]] = {}
    loud: list[str] = []
    for (i, j), verdict in np.ndenumerate(blocks):
        entry = int(verdict)
        name, x, y = tone(float(worst[i, j]), entry), MARGIN + size * j, MARGIN + size * i
        square = f"M{x} {y}h{size - 1}v{size - 1}h{1 - size}z"
        if entry == CONSISTENT:  # most entries: drawn together, those of one colour
            quiet.setdefault(name, []).append(square)
            continue
        place = f"{places[0][i]}, {places[1][j]}" if is_matrix else places[1][j]
        title = element("title", f"[{place}]: {times(float(worst[i, j]))} times the floor, {WORDS[OF_ENTRIES[entry]]}")
        loud += [element("path", title, class_=name, d=square), _stroke(name, entry, x, y, size - 1)]
    cells = [*(element("path", class_=name, d="".join(squares)) for name, squares in quiet.items()), *loud]
    width, height = (MARGIN + size * count + 2 for count in blocks.shape[::-1])
    axis = [
        element("text", "0", class_="axis", x=MARGIN + 1, y=MARGIN - 4),
        element("text", str(entries.shape[1] - 1), class_="axis", x=width - 2, y=MARGIN - 4, text_anchor="end"),
    ]
    if entries.shape[0] > 1:
        axis += [
            element("text", "0", class_="axis", x=MARGIN - 4, y=MARGIN + 9, text_anchor="end"),
            element("text", str(entries.shape[0] - 1), class_="axis", x=MARGIN - 4, y=height - 4, text_anchor="end"),
        ]
    by = (
        "" if blocks.shape == entries.shape else f", drawn as {'x'.join(map(str, blocks.shape))} blocks, by their worst"
    )
    label = f"{leaf.path}, {shape_of(leaf)}{by}: {tally(leaf)}; the worst entry, {list(leaf.index or ())}, errs by"
    label = f"{label} {times(float(np.max(ratios)))} noise floors"
    return element(
        "svg", *axis, *cells, role="img", aria_label=label, width=width, height=height, viewBox=f"0 0 {width} {height}"
    )


MARGIN = 24


def _starts(length: int, most: int) -> np.ndarray:
    """Where the blocks along an axis start: at most `most`, as long as each other to within one."""
    blocks = min(length, most)
    return np.arange(blocks) * length // blocks


def _range(starts: np.ndarray, i: int, length: int) -> str:
    first = int(starts[i])
    last = (int(starts[i + 1]) if i + 1 < len(starts) else length) - 1
    return str(first) if first == last else f"{first}–{last}"


def _worst_of_blocks(entries: np.ndarray, ratios: Array, starts: Sequence[np.ndarray]) -> tuple[np.ndarray, Array]:
    """The worst verdict of each block, and the largest error over floor of the entries that have it."""
    rows, columns = starts
    blocks = _reduced(entries, starts)
    counts = [np.diff([*first, length]) for first, length in zip((rows, columns), entries.shape, strict=True)]
    spread = np.repeat(np.repeat(blocks, counts[0], axis=0), counts[1], axis=1)
    return blocks, _reduced(np.where(entries == spread, ratios, -1.0), starts)


def _reduced(array: np.ndarray, starts: Sequence[np.ndarray]) -> np.ndarray:
    return np.asarray(np.maximum.reduceat(np.maximum.reduceat(array, starts[0], axis=0), starts[1], axis=1))


def _stroke(name: str, entry: int, x: int, y: int, size: int) -> Markup:
    """A cross over what is wrong, one stroke over what is undecided, in a colour that shows on that of the cell."""
    if entry == CONSISTENT:
        return Markup("")
    a, b = size * 0.3, size * 0.7
    cross = f"M{x + a:.1f} {y + b:.1f}L{x + b:.1f} {y + a:.1f}"
    if entry == WRONG:
        cross += f"M{x + a:.1f} {y + a:.1f}L{x + b:.1f} {y + b:.1f}"
    shade = {"u": "xu", "w4": "x4", "w5": "x4", "w6": "x6"}.get(name, "x")
    return element("path", class_=shade, d=cross)
