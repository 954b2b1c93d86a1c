"""How often the diagnosis names the mistake that was made, and how often one that was not.

    python -m benchmarks.accuracy.diagnosis                            # prints the tables; an hour
    python -m benchmarks.accuracy.diagnosis -o docs/diagnosis.md       # writes the page
    python -m benchmarks.accuracy.diagnosis --quick                    # 2 cases

Mistakes are planted in float64 and float32, one at a time at every place of random small cases, in pairs that change
different arrays, and in functions that are asked about several cases; unlisted errors are none of the catalogue's:
noise on an array, a random array, the gradients of another network, the derivative of an activation that is none of
ours. Every number comes from seeds: two runs print the same tables. The rows of each case are kept in a file, if one
is named by `--rows`, and a run that was interrupted goes on from there.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from benchmarks.accuracy.diagnosis.tables import OFTEN, cases_of_each, page
from benchmarks.accuracy.diagnosis.trials import Row, function_trial, rare_trial, trial
from benchmarks.accuracy.trials import ForeignRowsError, Trials, trials_in
from experiments._common import Parser, positive

AT_ONCE = 16  # further cases, after which it is counted again which mistakes were made in too few


def rows_of(cases: int, more: int, trials: Trials) -> dict[str, list[Row]]:
    """The rows of all trials, by name.

    First those of `cases` cases, and of half as many functions; then those of at most `more` cases with the mistakes
    that were made in fewer than `OFTEN` until then.
    """
    first = {f"case {seed}": partial(trial, seed) for seed in range(cases)}
    rows = trials.run(first | {f"function {seed}": partial(function_trial, seed) for seed in range(cases // 2)})
    for start in range(cases, cases + more, AT_ONCE):
        rare = tuple(name for name, count in cases_of_each(rows).items() if count < OFTEN)
        seeds = range(start, min(start + AT_ONCE, cases + more)) if rare else ()
        rows |= trials.run({f"rare {seed} {' '.join(rare)}": partial(rare_trial, seed, rare) for seed in seeds})
    return rows


def main() -> int:
    """Runs the trials and prints the tables as Markdown."""
    parser = Parser(prog="python -m benchmarks.accuracy.diagnosis", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=positive, default=45, help="random cases")
    help_ = "further cases, for mistakes that apply to few (default: %(default)s)"
    parser.add_argument("--more", type=int, default=275, metavar="N", help=help_)
    parser.add_argument("--jobs", type=positive, default=2, help="processes")
    parser.add_argument("--quick", action="store_true", help="2 cases")
    parser.add_argument("--rows", type=Path, help="keep the rows here, and go on from those that are there")
    parser.add_argument("-o", "--output", type=Path, help="write the page here instead of printing it")
    arguments: argparse.Namespace = parser.parse_args()
    cases, more = (2, 0) if arguments.quick else (arguments.cases, arguments.more)
    try:
        with trials_in(arguments.jobs, (Row,), arguments.rows) as trials:
            command = f"python -m benchmarks.accuracy.diagnosis --cases {cases} --more {more} -o docs/diagnosis.md"
            text = page(rows_of(cases, more, trials), command)
    except ForeignRowsError as error:
        parser.error(str(error))
    if arguments.output is None:
        print(text, end="")
    else:
        arguments.output.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
