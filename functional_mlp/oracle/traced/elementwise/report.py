"""What is said of an elementwise function: a verdict, tables in ulp, the worst regions by name."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from functional_mlp.oracle.traced.elementwise.curves import Curve, Region, Row
from functional_mlp.oracle.traced.elementwise.figure import drawn
from functional_mlp.oracle.verdict import Verdict, worst_of

ROUGHLY = (1e-3, 1e6)  # ulp
SHOWN = 3  # regions of a curve that are written out


class Special(NamedTuple):
    """What becomes of NaN, an infinity or a zero, beside the limit that is right; not judged."""

    x: float
    got: float
    expected: float

    @property
    def agrees(self) -> bool:
        """Whether both are the same, or finite and near."""
        if math.isnan(self.expected) or math.isinf(self.expected):
            return self.got == self.expected or (math.isnan(self.got) and math.isnan(self.expected))
        return abs(self.got - self.expected) <= 1e-2 * (1 + abs(self.expected))


@dataclass(frozen=True, eq=False)
class ElementwiseReport:
    """Value and derivative of an elementwise function, over all numbers of a format.

    Attributes:
        reference: the name of what it should compute.
        precision: as declared.
        curves: of the values, and, where it was judged, of the derivative.
        specials: NaN, infinities and zeros.
        likenesses: what wrong numbers are instead, in sentences.
        notes: what else is to be known.
    """

    reference: str
    precision: str
    curves: tuple[Curve, ...]
    specials: tuple[Special, ...]
    likenesses: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """WRONG if a number is, else UNDECIDED if one is."""
        return worst_of(curve.verdict for curve in self.curves)

    def table(self) -> dict[str, tuple[Row, ...]]:
        """Lines by "value" and "derivative", from the lowest numbers to the highest."""
        return {curve.what: curve.rows() for curve in self.curves}

    def regions(self) -> dict[str, tuple[Region, ...]]:
        """Where it is wrong or undecided, by "value" and "derivative", the worst first."""
        return {curve.what: curve.regions() for curve in self.curves}

    def text(self) -> str:
        """For the terminal: the verdict, the worst regions, what the numbers are instead, and the tables."""
        stored = self.precision.partition(" ")[0].partition("/")[0]
        asked = f"{len(self.curves[0].x)} numbers, errors in ulp of {stored}"
        lines = [f"{str(self.verdict).upper()}: {self.reference} in {self.precision}, {asked}"]
        lines += [f"  {sentence}" for curve in self.curves for sentence in _summary(curve)]
        lines += [f"  {sentence[:1].upper()}{sentence[1:]}." for sentence in self.likenesses]
        odd = [special for special in self.specials if not special.agrees]
        if odd:
            shown = ", ".join(f"{special.got:g} at {special.x:g} (limit {special.expected:g})" for special in odd)
            lines.append(f"  Not judged: {shown}.")
        lines += [f"  Note: {note}." for note in self.notes]
        return "\n".join([*lines, "", *_table(self.curves)]) + "\n"

    def json(self) -> str:
        """Verdicts, tables and regions as a document of the format functional-mlp/elementwise."""
        document: dict[str, Any] = {"format": "functional-mlp/elementwise", "version": 1}
        document |= {"reference": self.reference, "precision": self.precision, "verdict": str(self.verdict)}
        document["curves"] = [
            {
                "what": curve.what,
                "verdict": str(curve.verdict),
                "numbers": len(curve.x),
                "largest_ulp": curve.largest_ulp,
                "within_one_ulp": curve.within_one,
                "table": [row.__dict__ for row in curve.rows()],
                "regions": [region.__dict__ | {"verdict": str(region.verdict)} for region in curve.regions()],
            }
            for curve in self.curves
        ]
        document |= {"likenesses": self.likenesses, "notes": self.notes}
        document["specials"] = [special._asdict() for special in self.specials]
        return json.dumps(_finite(document), indent=1) + "\n"

    def figure(self) -> Any:
        """A matplotlib figure: the errors in ulp over x, and what is allowed; `figure().savefig("gelu.png")`.

        Raises:
            ModuleNotFoundError: without matplotlib.
        """
        return drawn(self.curves, f"{self.reference} in {self.precision}: {self.verdict}")

    def __str__(self) -> str:
        return self.text()


CAUSES = {"overflow": "numbers on the way may overflow or vanish", "kink": "the derivative jumps"}


def _summary(curve: Curve) -> list[str]:
    """A curve in one sentence, and its worst regions."""
    within = f"{100 * curve.within_one:.1f} % of the numbers within 1 ulp"
    lines = [f"{curve.what}: {curve.verdict}; {within}, the worst {_ulp(curve.largest_ulp)}"]
    regions = curve.regions()
    lines += [f"  {_sentence(region)}" for region in regions[:SHOWN]]
    rest = len(regions) - SHOWN
    return lines + ([f"  and {rest} more regions: report.regions()"] if rest > 0 else [])


def _sentence(region: Region) -> str:
    place = f"at {region.first:.6g}" if region.first == region.last else f"from {region.first:.6g} to {region.last:.6g}"
    numbers = f" ({region.count} of {region.size} numbers)" if region.size > 1 else ""
    where = "" if region.size == 1 else f" at {region.worst:.6g}"
    why = f", where {CAUSES[region.cause]}" if region.cause else ""
    return (
        f"{region.verdict} {place}{numbers}{why}: {_ulp(region.ulp)}{where}, {region.allowed:.3g} allowed;"
        f" got {region.got:.6g}, expected {region.expected:.6g}"
    )


def _ulp(number: float) -> str:
    return f"{number:.3g} ulp" if math.isfinite(number) else "not finite"


def _table(curves: Sequence[Curve]) -> list[str]:
    """Value and derivative beside each other: the largest error in ulp, the median of what is allowed, and counts."""
    heads = "".join(f"   {curve.what:>11} {'allowed':>8} {'wrong':>6} {'open':>5}" for curve in curves)
    lines = [f"  {'x':<24} {'numbers':>7}{heads}"]
    for rows in zip(*(curve.rows() for curve in curves), strict=True):
        cells = [f"  {f'{rows[0].low:.4g} to {rows[0].high:.4g}':<24} {rows[0].size:7d}"]
        for row in rows:
            cells.append(f"{_short(row.ulp):>11} {_short(row.allowed):>8} {row.wrong:6d} {row.undecided:5d}")
        lines.append("   ".join(cells))
    return lines


def _short(number: float) -> str:
    """An error in few digits: what is far below or above an ulp, roughly."""
    if not math.isfinite(number):
        return "not finite"
    if number > ROUGHLY[1]:
        return f">{ROUGHLY[1]:.0e}"
    return f"{number:.3g}" if number == 0 or number >= ROUGHLY[0] else f"<{ROUGHLY[0]:g}"


def _finite(value: Any) -> Any:
    """JSON has no NaN: what is not finite is written as text."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
