"""How often is a right backward pass of any function called wrong, a wrong one overlooked, and what is wrong named?

    python -m benchmarks.accuracy.anything                         # everything, some hours on 2 cores
    python -m benchmarks.accuracy.anything --quick                 # tiny inputs in float32
    python -m benchmarks.accuracy.anything --operations layer_norm,softmax --precisions bfloat16 --sizes small
    python -m benchmarks.accuracy.anything --rows rows.jsonl --page docs/measured/anything.md

*Right*: every implementation of every operation at every scale. *Wrong*: every mistake. *Unstructured*: errors that
nobody's mistake makes, for false names. *Reports*: public ones. Every number comes from seeds. The rows of each trial
are kept in the file named by `--rows`; an interrupted run goes on from there, and a page is written from the rows.
PyTorch, where it is installed, and gcc take part; without them their rows are missing.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from benchmarks.accuracy.anything.operations import OPERATIONS, SIZES
from benchmarks.accuracy.anything.operations.registry import DTYPES
from benchmarks.accuracy.anything.reports import REPORTS
from benchmarks.accuracy.anything.tables import page
from benchmarks.accuracy.anything.trials import (
    KINDS_OF_ROWS,
    report_trial,
    right_trial,
    unstructured_trial,
    wrong_trial,
)
from benchmarks.accuracy.trials import Trial, Trials, measure, option_parser
from functional_mlp.experiments import positive

PARTS = ("reports", "right", "wrong", "unstructured")


def some_of(known: Sequence[str]) -> Callable[[str], list[str]]:
    """The reader of an option that takes some of these names, separated by commas."""

    def read(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"expected some of {', '.join(known)}, got {', '.join(unknown)}")
        return names

    return read


def trials_of(arguments: argparse.Namespace) -> Mapping[str, Trial]:
    """Every trial by name: the reports, then what is small first, one operation after another."""
    found: dict[str, Trial] = {}
    if "reports" in arguments.parts:
        found |= {f"report {name}": partial(report_trial, name) for name in REPORTS}
    for size in arguments.sizes:
        for dtype in arguments.precisions:
            for name in arguments.operations:
                if dtype not in OPERATIONS[name].dtypes:
                    continue
                if "right" in arguments.parts:
                    key = f"right {name} {size} {dtype} {arguments.seeds}"
                    found[key] = partial(right_trial, name, size, dtype, arguments.seeds)
                if "wrong" in arguments.parts and size != "large":
                    found[f"wrong {name} {size} {dtype}"] = partial(wrong_trial, name, size, dtype)
    if "unstructured" in arguments.parts:
        for dtype in (dtype for dtype in arguments.precisions if dtype in ("float64", "float32")):
            for name in arguments.operations:
                key = f"unstructured {name} {dtype} {arguments.draws}"
                found[key] = partial(unstructured_trial, name, dtype, arguments.draws)
    return found


def main() -> int:
    """Runs the trials and prints the page or writes it."""
    parser = option_parser("python -m benchmarks.accuracy.anything", (__doc__ or "").splitlines()[0])
    parser.add_argument("--operations", type=some_of(tuple(OPERATIONS)), default=list(OPERATIONS))
    parser.add_argument("--precisions", type=some_of(tuple(DTYPES)), default=list(DTYPES), help="dtypes of the arrays")
    parser.add_argument("--sizes", type=some_of(SIZES), default=list(SIZES))
    parser.add_argument("--parts", type=some_of(PARTS), default=list(PARTS))
    parser.add_argument("--seeds", type=positive, default=1, help="draws of each right backward pass at each scale")
    parser.add_argument("--draws", type=positive, default=11, help="unstructured errors of each operation")
    parser.add_argument("--known", action="store_true", help="run nothing: the page of the rows that there are")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.sizes, arguments.precisions, arguments.draws = ["tiny"], ["float32"], 2

    def made(trials: Trials) -> str:
        known = trials.known if arguments.known else trials.run(trials_of(arguments))
        return page([row for rows in known.values() for row in rows])

    return measure(parser, arguments, KINDS_OF_ROWS, made, trials_of_a_process=40)


if __name__ == "__main__":
    sys.exit(main())
