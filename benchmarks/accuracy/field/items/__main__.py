"""Puts the programs of the field set to the oracle, and says how many it judges and names rightly.

    python -m benchmarks.accuracy.field.items                     # one line of figures; some minutes
    python -m benchmarks.accuracy.field.items --list              # and a line per item
    python -m benchmarks.accuracy.field.items --only f001,c0      # those alone whose ids begin so
    python -m benchmarks.accuracy.field.items --seed 1            # other numbers
    python -m benchmarks.accuracy.field.items --variation 2       # other sizes and hidden activations besides
    python -m benchmarks.accuracy.field.items --json              # the answers and the figures as a document
    python -m benchmarks.accuracy.field.items --self-test         # whether they are what they say: finite differences

How answers count is said in `scoring.py`. The exit status is 1 if a verdict is not right, or with `--self-test` if an
item is not what it says; how many are named does not change it.
"""

import argparse
import json
import sys
import time

from benchmarks.accuracy.field.items.finite_differences import complaint
from benchmarks.accuracy.field.items.measuring import measure
from benchmarks.accuracy.field.items.registry import items
from functional_mlp.experiments import Parser, positive


def _parser() -> argparse.ArgumentParser:
    doc = __doc__ or ""
    parser = Parser(prog="python -m benchmarks.accuracy.field.items", description=doc.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="a line per item")
    parser.add_argument("--only", default="", metavar="IDS", help="ids, or beginnings of ids, between commas")
    parser.add_argument("--seed", type=int, default=0, help="of the numbers (default: %(default)s)")
    parser.add_argument("--variation", type=int, default=0, help="of sizes and activations (default: %(default)s)")
    parser.add_argument("--jobs", type=positive, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print a document")
    parser.add_argument("--self-test", action="store_true", help="ask finite differences instead")
    return parser


def main() -> int:
    """Asks, and prints what came."""
    parser = _parser()
    arguments = parser.parse_args()
    only = tuple(filter(None, arguments.only.split(",")))
    of = {name: item for name, item in items().items() if not only or name.startswith(only)}
    if not of:
        parser.error(f"expected ids of items in --only, got {arguments.only!r}; there are {', '.join(items())}")
    if arguments.self_test:
        complaints = list(filter(None, (complaint(each, arguments.seed, arguments.variation) for each in of.values())))
        print("\n".join([*complaints, f"{len(of)} items, {len(complaints)} not what they say"]))
        return int(bool(complaints))
    start = time.perf_counter()
    figures = measure(arguments.seed, arguments.variation, only, arguments.jobs)
    if arguments.json:
        answers = [
            mark.answer._asdict() | {"result": mark.result, "false_names": mark.false_names} for mark in figures.marks
        ]
        print(json.dumps({"figures": figures.counts, "answers": answers}, indent=1))
    else:
        for mark in figures.marks if arguments.list else ():
            print(mark.line())
        print(f"{figures.sentence()} ({time.perf_counter() - start:.0f} s)")
    return int(not all(mark.ok for mark in figures.marks))


if __name__ == "__main__":
    sys.exit(main())
