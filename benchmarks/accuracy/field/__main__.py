"""How often the faults of programs are named, real ones and drawn ones, and how often one that was not made.

    python -m benchmarks.accuracy.field                              # and 2,000 drawn programs, half an hour on 2 cores
    python -m benchmarks.accuracy.field --quick                      # and 60 drawn ones
    python -m benchmarks.accuracy.field --drawn --programs 200 --misses 30   # drawn ones alone, and what was missed
    python -m benchmarks.accuracy.field --only 17,45 --misses 9      # some of the drawn ones

`benchmarks.accuracy.diagnosis` writes the same tables into docs/measured/diagnosis.md. The real programs are those of
`items/`. Every number comes from seeds: two runs draw the same programs. With `--rows`
the rows are kept in a file, and a run that was interrupted goes on from there.
"""

import sys
from functools import partial

from benchmarks.accuracy.field.items.measuring import figures_of_items
from benchmarks.accuracy.field.items.scoring import Answer
from benchmarks.accuracy.field.tables import misses, page
from benchmarks.accuracy.field.trials import ProgramRow, rows_of, trial, trials_of
from benchmarks.accuracy.trials import Trials, measure, option_parser
from functional_mlp.experiments import positive

COMMAND = "python -m benchmarks.accuracy.field"


def main() -> int:
    """Runs the trials and prints the page, and after it what was missed."""
    parser = option_parser(COMMAND, (__doc__ or "").splitlines()[0])
    parser.add_argument("--programs", type=positive, default=2000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the programs")
    parser.add_argument("--drawn", action="store_true", help="drawn programs alone")
    parser.add_argument("--only", default="", metavar="INDICES", help="these drawn programs alone, joined by commas")
    parser.add_argument("--misses", type=int, default=0, metavar="N", help="list the commonest N, on standard error")
    arguments = parser.parse_args()
    count = 60 if arguments.quick else arguments.programs
    only = [int(index) for index in filter(None, arguments.only.split(","))]

    def made(trials: Trials) -> str:
        todo = {f"one {index}": partial(trial, arguments.seed, [index]) for index in only}
        rows = rows_of(trials, todo or trials_of(arguments.seed, count))
        if arguments.misses:
            print(misses(rows, arguments.misses), file=sys.stderr)
        figures = None if only or arguments.drawn else figures_of_items(trials)
        command = f"{COMMAND} --programs {count} --seed {arguments.seed}{' --drawn' if arguments.drawn else ''}"
        return page(rows, command, figures)

    return measure(parser, arguments, (ProgramRow, Answer), made)


if __name__ == "__main__":
    sys.exit(main())
