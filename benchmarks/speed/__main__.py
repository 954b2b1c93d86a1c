"""The command line of the speed benchmark: one table per workload, every competitor side by side.

python -m benchmarks.speed                                              # everything
python -m benchmarks.speed --workloads one-sample sweep --competitors functional_mlp numpy c
python -m benchmarks.speed --json FILE --output FILE                    # every time; the tables as Markdown
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed.competitors import COMPETITORS, Competitor
from benchmarks.speed.machine import describe
from benchmarks.speed.suite.measuring import Settings, measure
from benchmarks.speed.suite.tables import as_json, page, rows_of, table
from benchmarks.speed.suite.workloads import Workload, selected
from functional_mlp.experiments import Parser, number_between, one_of, positive

COMPETITOR = one_of("competitor", [competitor.name for competitor in COMPETITORS])


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = Parser(prog="python -m benchmarks.speed", description=(__doc__ or "").partition("\n")[0])
    made.add_argument("--workloads", nargs="+", default=[], metavar="NAME", help="default: all; sweep means all sweeps")
    made.add_argument("--competitors", nargs="+", default=[], help="default: all that are installed", **COMPETITOR)
    made.add_argument("--repeats", type=positive, default=5, help="rounds (default: %(default)s)")
    seconds = number_between(0, 60, "a number of seconds below 60")
    made.add_argument("--seconds", type=seconds, default=0.2, help="of every timing, at least (default: %(default)s)")
    made.add_argument("--json", type=Path, metavar="FILE", help="every time, the machine and the versions")
    made.add_argument("--output", type=Path, metavar="FILE", help="the tables as a page of Markdown")
    return made


def chosen(workload: Workload, names: Sequence[str]) -> list[Competitor]:
    """The competitors of a workload that were asked for; all, if none was."""
    return [competitor for competitor in workload.competitors() if not names or competitor.name in names]


def run(arguments: argparse.Namespace, workloads: Sequence[Workload]) -> None:
    """Measures, prints every table as soon as it is there, and writes the files anew after each."""
    settings = Settings(repeats=arguments.repeats, seconds=arguments.seconds)
    machine = describe()
    tables, figures = [], []
    for workload in workloads:
        competitors = chosen(workload, arguments.competitors)
        if not competitors:
            continue
        outcomes = measure(workload, competitors, settings, say)
        rows = rows_of(outcomes, getattr(workload.problem(), "operations", None))
        tables.append(table(workload, rows))
        figures.append(as_json(workload, rows))
        print(f"\n{tables[-1]}", flush=True)
        write(arguments.json, json.dumps({"machine": machine, "workloads": figures}, indent=1, allow_nan=False) + "\n")
        write(arguments.output, page(tables, machine))


def say(line: str) -> None:
    """A line of progress."""
    print(line, file=sys.stderr, flush=True)


def write(file: Path | None, text: str) -> None:
    """Writes a file, if one was asked for."""
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, 2 for bad usage, 130 after an interruption (what was measured until then is written)."""
    options = parser()
    parsed: Any = options.parse_args(arguments)
    try:
        run(parsed, selected(parsed.workloads))
    except (ValueError, OSError) as error:
        print(f"{options.prog}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{options.prog}: interrupted; nothing of it is left running", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
