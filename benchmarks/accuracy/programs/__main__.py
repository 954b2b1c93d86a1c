"""Are correct programs called correct, however they are written, and wrong ones wrong?

    python -m benchmarks.accuracy.programs                  # everything, some minutes on 2 cores
    python -m benchmarks.accuracy.programs --quick          # two seeds
    python -m benchmarks.accuracy.programs -o docs/measured/programs.md

Each program of the corpus (`corpus/`) is asked as its author would ask (`asking.py`), and again with mistakes planted
in its source (`registry.py`). Two runs on one machine print the same verdicts.

Exits with 1 if a right program is called wrong or its question refused, if more than 3 % of them are undecided, or if
a mistake passes.
"""

import sys
from functools import partial

from benchmarks.accuracy.programs.tables import failures, page
from benchmarks.accuracy.programs.trials import Row, questions, trial
from benchmarks.accuracy.trials import Trials, measure, option_parser
from functional_mlp.experiments import positive


def main() -> int:
    """Asks, and prints the page or writes it."""
    parser = option_parser("python -m benchmarks.accuracy.programs", (__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=positive, default=5, help="of each right program, for each network")
    arguments = parser.parse_args()
    seeds = 2 if arguments.quick else arguments.seeds
    failed: list[str] = []

    def made(trials: Trials) -> str:
        asked = trials.run({name: partial(trial, names, seeds) for name, names in questions().items()})
        rows: list[Row] = [row for rows in asked.values() for row in rows]
        failed.extend(failures(rows))
        return page(rows)

    status = measure(parser, arguments, (Row,), made)
    print(*failed, sep="\n", end="\n" if failed else "", file=sys.stderr)
    return status or bool(failed)


if __name__ == "__main__":
    sys.exit(main())
