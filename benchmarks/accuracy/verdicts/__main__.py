"""The error rates of the oracle and of its peers: how often is right called wrong, and how often is wrong noticed?

    python -m benchmarks.accuracy.verdicts                  # everything, about an hour on 2 cores
    python -m benchmarks.accuracy.verdicts --quick          # a few cases of each kind
    python -m benchmarks.accuracy.verdicts -o docs/measured/verdicts.md

*False alarms*: correct implementations (`implementations/`) on random cases (`cases.py`). *Detection*: every mistake of
the catalogue planted at every place where it applies, in random small cases. The peers (`peers.py`) are asked the same
questions. Every number comes from seeds: two runs on one machine print the same tables. The rows of
each trial are kept in a file, if one is named by `--rows`, and a run that was interrupted goes on from there.
"""

import argparse
import sys
from collections.abc import Mapping
from functools import partial

from benchmarks.accuracy.trials import Trial, Trials, measure, option_parser
from benchmarks.accuracy.verdicts.tables import KINDS_OF_ROWS, page
from benchmarks.accuracy.verdicts.trials import correct_trial, kink_trial, planted_trial
from functional_mlp.experiments import positive


def trials_of(arguments: argparse.Namespace) -> Mapping[str, Trial]:
    """Every trial by name, the long ones first."""
    planted = {f"planted {seed}": partial(planted_trial, seed) for seed in range(arguments.planted)}
    correct = {f"correct {seed}": partial(correct_trial, seed) for seed in range(arguments.cases)}
    kinks = {f"kink {seed}": partial(kink_trial, seed) for seed in range(arguments.kinks)}
    return planted | correct | kinks


def main() -> int:
    """Runs the trials and prints the tables as Markdown."""
    parser = option_parser("python -m benchmarks.accuracy.verdicts", (__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=positive, default=44, help="random networks for the false alarms")
    parser.add_argument("--planted", type=positive, default=150, help="random cases for planted mistakes")
    parser.add_argument("--kinks", type=positive, default=12, help="random cases with units at a kink")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.cases = arguments.planted = arguments.kinks = 2

    def made(trials: Trials) -> str:
        return page([row for rows in trials.run(trials_of(arguments)).values() for row in rows])

    return measure(parser, arguments, KINDS_OF_ROWS, made)


if __name__ == "__main__":
    sys.exit(main())
