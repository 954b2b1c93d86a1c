"""What is printed and written: times, ratios within a round, and what each competitor says about itself."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.speed.competitors import OURS
from benchmarks.speed.suite.measuring import Outcome
from benchmarks.speed.suite.workloads import Workload
from functional_mlp.experiments import text_table

SCALES = {"us": 1e6, "ms": 1e3, "s": 1.0}


class Row(NamedTuple):
    """The figures of one competitor; None where it was not measured, or where there is nothing to tell.

    Attributes:
        outcome: what they are made of.
        each: median seconds per update, or whatever is counted.
        ratio: how many times as long as the reference, the median of the ratios of every round.
        ratios: of every round.
        fraction: of the best matrix product rate, that its own matrix products reach: likewise a median.
    """

    outcome: Outcome
    each: float | None = None
    ratio: float | None = None
    ratios: tuple[float, ...] = ()
    fraction: float | None = None


def reference_of(outcomes: Sequence[Outcome]) -> str:
    """The competitor that ratios are taken to: functional_mlp, or the first that was measured."""
    measured = [outcome.competitor.name for outcome in outcomes if outcome.seconds and not outcome.competitor.yardstick]
    return OURS if OURS in measured or not measured else measured[0]


def rows_of(outcomes: Sequence[Outcome], operations: float | None = None) -> list[Row]:
    """The figures of a workload.

    Args:
        outcomes: of its competitors; those that were measured have as many rounds each.
        operations: of the matrix products of one update, where a fraction of their rate is to be told.
    """
    each = {o.competitor.name: np.array(o.seconds) / o.units for o in outcomes if o.seconds}
    base = each.get(reference_of(outcomes))
    rates = [o.facts["products"] / each[o.competitor.name] for o in outcomes if o.seconds and o.competitor.yardstick]
    rows = []
    for outcome in outcomes:
        if not outcome.seconds:
            rows.append(Row(outcome))
            continue
        seconds = each[outcome.competitor.name]
        row = Row(outcome, each=float(np.median(seconds)))
        done = outcome.facts.get("products", operations)
        if rates and done is not None:
            row = row._replace(fraction=float(np.median(done / seconds / np.max(rates, axis=0))))
        if base is not None and not outcome.competitor.yardstick:
            ratios = seconds / base
            row = row._replace(ratio=float(np.median(ratios)), ratios=tuple(map(float, ratios)))
        rows.append(row)
    return rows


# columns: a heading, and a cell of a row; a column without any cell is left out

Column = tuple[str, Callable[[Row], str]]


def _number(value: float | None) -> str:
    """Three digits, without an exponent where one can read it."""
    if value is None:
        return ""
    digits = f"{value:.3g}"
    return digits if "e" not in digits else f"{value:,.0f}" if value >= 1 else digits


def _fact(name: str) -> Callable[[Row], str]:
    return lambda row: _number(row.outcome.facts.get(name))


def _columns(workload: Workload, reference: str) -> list[Column]:
    scale = SCALES[workload.scale]
    return [
        ("competitor", lambda row: row.outcome.competitor.title),
        (f"{workload.scale} per {workload.unit}", lambda row: _time(row, scale)),
        (f"times {reference}", lambda row: _number(row.ratio)),
        ("from - to", _range),
        ("set-up, s", lambda row: _number(_set_up(workload, row))),
        ("of the noise floor", lambda row: _number(row.outcome.floors) if row.each is not None else ""),
        ("of the matrix product", lambda row: _number(row.fraction)),
        ("FLOPs", _fact("flops")),
        ("temporary bytes", _fact("temporary_bytes")),
        ("how", lambda row: row.outcome.facts.get("note", "")),
    ]


def _time(row: Row, scale: float) -> str:
    if row.each is not None:
        return _number(row.each * scale)
    return f"{row.outcome.status}: {row.outcome.reason}"


def _range(row: Row) -> str:
    """The smallest and the largest ratio; nothing for the reference itself, whose ratios are all 1."""
    low, high = min(row.ratios, default=1.0), max(row.ratios, default=1.0)
    return f"{_number(low)} - {_number(high)}" if low < high else ""


def _set_up(workload: Workload, row: Row) -> float | None:
    """Of what is checked; a whole process is checked by one epoch, so there that of what is timed."""
    if row.each is None or row.outcome.competitor.yardstick:
        return None
    return row.outcome.set_up_timed if workload.name == "process" else row.outcome.set_up_checked


def table(workload: Workload, rows: Sequence[Row]) -> str:
    """A title and a table for a terminal; with four spaces before each line it is Markdown."""
    reference = reference_of([row.outcome for row in rows])
    columns = [(head, [cell(row) for row in rows]) for head, cell in _columns(workload, reference)]
    columns = [(head, cells) for head, cells in columns if any(cells)]
    heads, cells = zip(*columns, strict=True)
    return f"{workload.name}: {workload.title}\n\n{text_table(heads, list(zip(*cells, strict=True)))}"


COLUMNS = """The columns: median time per update, or whatever is counted; how many times as long as
functional_mlp that is, the median of the ratios within the rounds; the smallest and the largest of these ratios;
seconds of setting up and the first call; the largest deviation from a float64 reference in units of float32's noise
floor, checked before any time is taken.
[performance.md](performance.md) says what the figures mean, and [benchmarks/](../../benchmarks/) how they are taken."""


def page(tables: Sequence[str], machine: Mapping[str, Any]) -> str:
    """The tables as a page of Markdown, after a sentence about the machine."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    compiler = f", {machine['gcc']}" if machine["gcc"] else ""
    where = f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}"
    load = f"; load average {machine['load']:.2f} at the start" if machine.get("load") is not None else ""
    lines = ["# Speed, side by side", "", f"Written by `make bench`; change nothing by hand.\n{COLUMNS}", ""]
    lines += [*textwrap.wrap(f"Measured on {where} ({versions}{compiler}){load}.", 120), ""]
    for text in tables:
        title, _, rest = text.partition("\n\n")
        lines += [f"{title[0].upper()}{title[1:]}", "", *(f"    {line}" for line in rest.splitlines()), ""]
    return "\n".join(lines)


def as_json(workload: Workload, rows: Sequence[Row]) -> dict[str, Any]:
    """Every figure of a workload, every single time included."""
    return {
        "workload": workload.name,
        "title": workload.title,
        "unit": workload.unit,
        "reference": reference_of([row.outcome for row in rows]),
        "competitors": [
            {
                "competitor": row.outcome.competitor.name,
                "title": row.outcome.competitor.title,
                "status": row.outcome.status,
                "reason": row.outcome.reason,
                "noise_floors": _finite(row.outcome.floors),
                "set_up_checked": row.outcome.set_up_checked,
                "set_up_timed": row.outcome.set_up_timed,
                "units": row.outcome.units,
                "seconds": list(row.outcome.seconds),
                "seconds_per_unit": row.each,
                "ratio": row.ratio,
                "ratios": list(row.ratios),
                "fraction_of_matrix_product": row.fraction,
                "facts": dict(row.outcome.facts),
            }
            for row in rows
        ],
    }


def _finite(value: float | None) -> float | None:
    """JSON knows no infinity."""
    return value if value is not None and np.isfinite(value) else None
