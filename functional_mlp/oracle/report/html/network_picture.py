"""A network as a picture, for a report's page: each layer's weights and bias in the colour and mark of its verdict.

Colours are classes of `page.css`. Nothing is said by colour alone: what is wrong is thick and crossed, what is
undecided is dashed. Of wide and of deep networks a part is drawn.
"""

from collections.abc import Sequence
from typing import NamedTuple

from functional_mlp._markup import Markup, element, joined
from functional_mlp.network import Network
from functional_mlp.oracle.case import FIELDS, delta_path, parameter_path
from functional_mlp.oracle.report.html.heat_map import MARKS, WORDS, tally
from functional_mlp.oracle.verdict import OF_ENTRIES, Leaf, Verdict, worst_of

Number = int | float
DRAWN_UNITS = 7  # of a layer
DRAWN_LAYERS = 6
LINE = 15  # of labels
PITCH = 156  # of columns, if the network is not upright


class _Line(NamedTuple):
    """A line of a label: its text and class."""

    text: str
    style: str = ""


def drawn_network(network: Network, leaves: Sequence[Leaf], mistaken: Sequence[int] = ()) -> Markup:
    """The network twice, along a line for wide screens and upright for phones; each array in its verdict.

    Args:
        network: what was judged.
        leaves: of one case or of several; an array is shown as it is in the worst of them.
        mistaken: layers in which a mistake was made.
    """
    worst = _worst_by_path(leaves)
    layers = _drawn_layers(network, worst, mistaken)
    says = "; ".join(f"{path} {WORDS[leaf.verdict]}" for path, leaf in worst.items())
    label = f"The network {'-'.join(map(str, network.sizes))}: {says}"
    return joined(*(_Drawing(network, worst, layers, tuple(mistaken), upright).svg(label) for upright in (False, True)))


def _worst_by_path(leaves: Sequence[Leaf]) -> dict[str, Leaf]:
    worst: dict[str, Leaf] = {}
    for leaf in leaves:
        known = worst.get(leaf.path)
        if known is None or (
            leaf.verdict is not known.verdict and worst_of((leaf.verdict, known.verdict)) is leaf.verdict
        ):
            worst[leaf.path] = leaf
    return worst


def _drawn_layers(network: Network, worst: dict[str, Leaf], mistaken: Sequence[int]) -> list[int]:
    """Which layers of parameters are drawn: all, or those that have something to show, and then the last."""
    depth = len(network.sizes) - 1
    if depth <= DRAWN_LAYERS:
        return list(range(depth))

    def rank(layer: int) -> tuple[bool, bool, int]:
        paths = (parameter_path(layer, field) for field in FIELDS)
        verdicts = [worst[path].verdict for path in paths if path in worst]
        return layer not in mistaken, worst_of(verdicts) is Verdict.CONSISTENT, -layer

    return sorted(sorted(range(depth), key=rank)[:DRAWN_LAYERS])


class _Drawing(NamedTuple):
    """A network to be drawn; arguments of `drawn_network`.

    Attributes:
        layers: of parameters, that are drawn; where one is left out before another, dots say so.
        upright: from top to bottom, with labels on the right.
    """

    network: Network
    worst: dict[str, Leaf]
    layers: list[int]
    mistaken: tuple[int, ...]
    upright: bool

    @property
    def spacing(self) -> int:
        return 24 if self.upright else 34

    @property
    def radius(self) -> int:
        return 9 if self.upright else 11

    def svg(self, label: str) -> Markup:
        columns = self._columns()
        above = max(len(self._gap_lines(layer)) for layer in self.layers) * LINE
        below = max(len(self._unit_lines(column)) for column in columns) * LINE
        across = self.spacing * (min(max(self.network.sizes), DRAWN_UNITS) - 1) + 2 * self.radius
        pitch = max(96, above + below + 8) if self.upright else PITCH
        top = 0 if self.upright else above + 12
        begin = below / 2 + 12 if self.upright else 62
        parts: list[str] = []
        for k, layer in enumerate(columns[:-1]):
            left, right = begin + k * pitch, begin + (k + 1) * pitch
            if layer in self.layers and columns[k + 1] == layer + 1:
                parts += self._gap(layer, left, right, top, across)
            else:
                x, y = self._at((left + right) / 2, across / 2, top)
                parts.append(element("text", "⋮" if self.upright else "⋯", x=x, y=y + 4, text_anchor="middle"))
        for k, column in enumerate(columns):
            parts += self._column(column, begin + k * pitch, top, across)
        length = 2 * begin + pitch * (len(columns) - 1)
        width, height = (across + 146, length) if self.upright else (length, top + across + below + 14)
        name = "upright" if self.upright else "along"
        return element(
            "svg",
            *parts,
            class_=name,
            role="img",
            aria_label=label,
            width=width,
            height=height,
            viewBox=f"0 0 {width} {height}",
        )

    def _columns(self) -> list[int]:
        """The columns of units that are drawn: those on both sides of each layer of parameters."""
        columns: list[int] = []
        for layer in self.layers:
            columns += [layer + 1] if columns and columns[-1] == layer else [layer, layer + 1]
        return columns

    def _at(self, along: Number, across: Number, top: Number) -> tuple[Number, Number]:
        return (across, along) if self.upright else (along, top + across)

    def _places(self, column: int, across: Number) -> list[tuple[int | None, Number]]:
        """Units that are drawn, and where; None for the dots that stand for the others."""
        size = self.network.sizes[column]
        half = DRAWN_UNITS // 2
        shown: list[int | None] = list(range(size))
        if size > DRAWN_UNITS:
            shown = [*range(half), None, *range(size - half, size)]
        middle = across / 2
        return [(unit, middle + self.spacing * (i - (len(shown) - 1) / 2)) for i, unit in enumerate(shown)]

    def _gap(self, layer: int, left: Number, right: Number, top: Number, across: Number) -> list[str]:
        """The weights of a layer: a line for each, those of one verdict together."""
        leaf = self.worst.get(parameter_path(layer, "weights"))
        lines: dict[Verdict, list[str]] = {}
        for i, y in self._places(layer, across):
            for j, y2 in self._places(layer + 1, across):
                if i is None or j is None:
                    continue
                verdict = _entry(leaf, (i, j))
                (x0, y0), (x1, y1) = self._at(left + self.radius, y, top), self._at(right - self.radius, y2, top)
                lines.setdefault(verdict, []).append(f"M{x0:.0f} {y0:.0f}L{x1:.0f} {y1:.0f}")
        edges = [element("path", class_=f"edge {verdict}", d="".join(parts)) for verdict, parts in lines.items()]
        labels = self._label(self._gap_lines(layer), (left + right) / 2, across, LINE)
        band = []
        if layer in self.mistaken:
            x, y = self._at(left + self.radius + 6, 0, top)
            long, wide = right - left, across
            sizes = {"width": wide, "height": long} if self.upright else {"width": long, "height": wide}
            band = [element("rect", class_="here", x=x, y=y, rx=8, **sizes)]
        return [*band, *edges, *labels]

    def _gap_lines(self, layer: int) -> list[_Line]:
        leaf = self.worst.get(parameter_path(layer, "weights"))
        return [
            *([_Line("the mistake is here", "wrong tone")] if layer in self.mistaken else []),
            *_leaf_lines(leaf),
        ]

    def _column(self, column: int, along: Number, top: Number, across: Number) -> list[str]:
        bias = self.worst.get(parameter_path(column - 1, "bias"))
        parts: list[str] = []
        for unit, y in self._places(column, across):
            x0, y0 = self._at(along, y, top)
            if unit is None:
                parts.append(element("text", "⋯" if self.upright else "⋮", x=x0, y=y0 + 4, text_anchor="middle"))
                continue
            verdict = "" if column == 0 else _entry(bias, (unit,))
            parts.append(element("circle", class_=f"unit {verdict}".strip(), cx=x0, cy=y0, r=self.radius))
            if verdict in (Verdict.WRONG, Verdict.UNDECIDED):
                mark = element(
                    "text", MARKS[Verdict(verdict)], x=x0, y=y0 + 4, text_anchor="middle", class_=f"{verdict} tone"
                )
                parts.append(mark)
        lines = self._unit_lines(column)
        return [*parts, *self._label(lines, along, across, top + across + 18)]

    def _unit_lines(self, column: int) -> list[_Line]:
        size, last = self.network.sizes[column], len(self.network.sizes) - 1
        kind = (
            f"{size} input{'s' if size > 1 else ''}"
            if column == 0
            else f"{size} {self.network.activations[column - 1].name}"
        )
        lines = [_Line(kind)]
        lines += _leaf_lines(self.worst.get(parameter_path(column - 1, "bias")))
        others = [
            delta_path(column - 1),
            *(["ct_inputs"] if column == 0 else []),
            *(["outputs", "loss"] if column == last else []),
        ]
        for leaf in (self.worst[path] for path in others if path in self.worst):
            lines.append(_Line(f"{leaf.path} {MARKS[leaf.verdict]} {WORDS[leaf.verdict]}", f"{leaf.verdict} tone"))
        return lines

    def _label(self, lines: Sequence[_Line], along: Number, across: Number, y: Number) -> list[str]:
        """Lines at a place along the network: from y on downwards, or, of an upright one, on its right."""
        x, anchor = along, "middle"
        if self.upright:
            x, y, anchor = across + 10, along - LINE * (len(lines) - 1) / 2 + 4, "start"
        return [
            element("text", line.text, class_=line.style or None, x=round(x), y=round(y + LINE * i), text_anchor=anchor)
            for i, line in enumerate(lines)
        ]


def _entry(leaf: Leaf | None, index: tuple[int, ...]) -> Verdict:
    """The verdict on one entry; that on its array where it is not due to any of them."""
    if leaf is None:
        return Verdict.CONSISTENT
    if leaf.entries is None or not (leaf.wrong or leaf.undecided):
        return leaf.verdict
    return OF_ENTRIES[int(leaf.entries[index])]


def _leaf_lines(leaf: Leaf | None) -> list[_Line]:
    if leaf is None:
        return []
    return [_Line(leaf.path, "path"), _Line(f"{MARKS[leaf.verdict]} {tally(leaf)}", f"{leaf.verdict} tone")]
