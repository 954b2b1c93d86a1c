"""How often the diagnosis names the mistake that was made, and how often one that was not.

Of real programs and of drawn ones (`benchmarks.accuracy.field`), and of mistakes planted one by one.

    python -m benchmarks.accuracy.diagnosis                            # prints the tables; four hours on two cores
    python -m benchmarks.accuracy.diagnosis -o docs/measured/diagnosis.md       # writes the page
    python -m benchmarks.accuracy.diagnosis --quick                    # 2 cases

Mistakes are planted in float64 and float32, one at a time at every place of random small cases, in pairs that change
different arrays, and in functions that are asked about several cases; unlisted errors are none of the catalogue's:
noise on an array, a random array, the gradients of another network, the derivative of an activation that is none of
ours; half of them in cases of one sample, one output or two classes. Every number comes from seeds: two runs print the
same tables. The rows of each case are kept in a file, if one is named by `--rows`, and a run that was interrupted goes
on from there.
"""

import sys
from functools import partial

from benchmarks.accuracy.diagnosis.tables import OFTEN, cases_of_each, page
from benchmarks.accuracy.diagnosis.trials import Row, function_trial, narrow_trial, rare_trial, trial
from benchmarks.accuracy.field import trials as field
from benchmarks.accuracy.field.items.measuring import figures_of_items
from benchmarks.accuracy.field.items.scoring import Answer
from benchmarks.accuracy.trials import Trials, measure, option_parser
from functional_mlp.experiments import positive

COMMAND = "python -m benchmarks.accuracy.diagnosis"
AT_ONCE = 16  # further cases, after which it is counted again which mistakes were made in too few


def rows_of(cases: int, more: int, trials: Trials) -> dict[str, list[Row]]:
    """The rows of all trials, by name.

    First those of `cases` cases, of as many narrow ones, and of half as many functions; then those of at most `more`
    cases with the mistakes that were made in fewer than `OFTEN` until then.
    """
    first = {f"case {seed}": partial(trial, seed) for seed in range(cases)}
    first |= {f"narrow {seed}": partial(narrow_trial, seed) for seed in range(cases)}
    rows = trials.run(first | {f"function {seed}": partial(function_trial, seed) for seed in range(cases // 2)})
    for start in range(cases, cases + more, AT_ONCE):
        rare = tuple(name for name, count in cases_of_each(rows).items() if count < OFTEN)
        seeds = range(start, min(start + AT_ONCE, cases + more)) if rare else ()
        rows |= trials.run({f"rare {seed} {' '.join(rare)}": partial(rare_trial, seed, rare) for seed in seeds})
    return rows


def main() -> int:
    """Runs the trials and prints the tables as Markdown."""
    parser = option_parser(COMMAND, (__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=positive, default=20, help="random cases")
    help_ = "further cases, for mistakes that apply to few (default: %(default)s)"
    parser.add_argument("--more", type=int, default=16, metavar="N", help=help_)
    parser.add_argument("--programs", type=positive, default=2000, help="drawn programs (default: %(default)s)")
    arguments = parser.parse_args()
    cases, more = (2, 0) if arguments.quick else (arguments.cases, arguments.more)
    programs = 60 if arguments.quick else arguments.programs
    command = f"{COMMAND} --cases {cases} --more {more} --programs {programs}"

    def made(trials: Trials) -> str:
        drawn, real = field.rows_of(trials, field.trials_of(0, programs)), figures_of_items(trials)
        return page(rows_of(cases, more, trials), command, drawn, real)

    return measure(parser, arguments, (Row, field.ProgramRow, Answer), made)


if __name__ == "__main__":
    sys.exit(main())
