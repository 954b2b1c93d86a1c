"""How often the diagnosis names the mistake that was made, and how often one that was not.

    python -m benchmarks.diagnosis                  # every mistake at every place of random small cases
    python -m benchmarks.diagnosis --cases 4        # fewer cases

Mistakes are planted in float64 and float32, alone and in pairs of two that change different arrays; *unlisted* errors
are none of the catalogue's: noise on an array, a random array, the gradients of another network. Every number comes
from seeds: two runs print the same tables.
"""

import argparse
import multiprocessing
import os
import sys
import warnings
from collections import Counter
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from benchmarks._verdict_tables import table
from benchmarks._verdict_trials import small_case
from experiments._common import Parser, positive
from functional_mlp import oracle
from functional_mlp.oracle.answers import Gradients
from functional_mlp.oracle.diagnosis import Asked, Diagnosis, diagnose
from functional_mlp.oracle.mistakes import MISTAKES, Slip, places, plant_together
from functional_mlp.oracle.noise import Noise, estimate_noise
from functional_mlp.oracle.precision import precision_named
from functional_mlp.oracle.verdict import Verdict, judge, worst_of

DTYPES = ("float64", "float32")
PAIRS, UNLISTED = 6, 12  # trials per case and dtype


class Row(NamedTuple):
    """One trial.

    Attributes:
        dtype: that was computed in.
        what: the mistake, "pair" or "unlisted".
        tag: of the mistake; "" for the others.
        verdict: on the gradients.
        right: whether every mistake that was made is named, and no others but ties.
        names: how many are named, ties included.
    """

    dtype: str
    what: str
    tag: str
    verdict: str
    right: bool
    names: int


def asked(case: oracle.Case, solution: Any, noise: Noise, grads: Any) -> tuple[str, Diagnosis | None]:
    """The verdict and the diagnosis of gradients."""
    given = Gradients(list(grads))
    leaves = judge(case, solution, noise, given)
    return str(worst_of(leaf.verdict for leaf in leaves)), diagnose(Asked(case, solution, noise, given, leaves))


def trial(seed: int) -> list[Row]:
    """All trials of one random case."""
    warnings.simplefilter("ignore")
    rows = []
    for dtype in DTYPES:
        case = small_case(seed, dtype)
        solution = oracle.solve(case)
        noise = estimate_noise(case, solution, precision_named(dtype))
        every = [
            Slip(mistake.id, *place)
            for mistake in MISTAKES.values()
            if mistake.scope != "update"
            for place in places(case, mistake.id)
        ]
        rng = np.random.default_rng([seed, 2])
        for slip in every:
            verdict, found = asked(case, solution, noise, plant_together(case, (slip,), dtype).grads)
            rows.append(_row(dtype, slip.id, MISTAKES[slip.id].tag, verdict, found, {slip.id}))
        for _ in range(PAIRS if len(every) > 1 else 0):
            first, second = (every[i] for i in rng.choice(len(every), 2, replace=False))
            try:
                grads = plant_together(case, (first, second), dtype).grads
            except ValueError:
                continue
            verdict, found = asked(case, solution, noise, grads)
            rows.append(_row(dtype, "pair", "", verdict, found, {first.id, second.id}))
        for number in range(UNLISTED):
            verdict, found = asked(case, solution, noise, _unlisted(case, solution, rng, number, dtype))
            rows.append(_row(dtype, "unlisted", "", verdict, found, set()))
    return rows


def _row(dtype: str, what: str, tag: str, verdict: str, found: Diagnosis | None, made: set[str]) -> Row:
    if found is None:
        return Row(dtype, what, tag, verdict, not made, 0)
    mistakes, ties = ({one.id for one in named} for named in (found.mistakes, found.ties))
    right = mistakes == made or (len(found.mistakes) == 1 and made <= ties)
    return Row(dtype, what, tag, verdict, right, len(mistakes | ties))


def _unlisted(case: oracle.Case, solution: Any, rng: np.random.Generator, number: int, dtype: str) -> Any:
    grads = [[np.array(leaf) for leaf in layer if leaf is not None] for layer in solution.grads]
    leaf = grads[rng.integers(len(grads))]
    at = rng.integers(len(leaf))
    if number % 3 == 0:
        leaf[at] += 0.1 * np.linalg.norm(leaf[at]) * rng.normal(size=leaf[at].shape)
    elif number % 3 == 1:
        leaf[at] = rng.normal(size=leaf[at].shape)
    else:
        params = [(w + 0.1 * rng.normal(size=w.shape), b) for w, b in case.params]
        params = [(w.astype(dtype).astype(float), b) for w, b in params]
        other = oracle.Case(
            *(case.network, case.loss, params, case.inputs, case.targets, case.ct_outputs, case.sample_weights),
            dtype=case.dtype,
        )
        grads = [[leaf for leaf in layer if leaf is not None] for layer in oracle.solve(other).grads]
    return [tuple(leaf.astype(dtype) for leaf in layer) for layer in grads]


def page(rows: list[Row]) -> str:
    """The tables, as Markdown; of trials whose verdict is wrong."""
    wrong = [row for row in rows if row.verdict == str(Verdict.WRONG)]
    groups: dict[str, list[Row]] = {}
    for row in wrong:
        groups.setdefault(f"{row.dtype}, {row.tag or row.what}", []).append(row)
    body = []
    for name, group in sorted(groups.items()):
        count, right = len(group), sum(row.right for row in group)
        median = int(np.median([row.names for row in group]))
        named = sum(row.names > 0 for row in group)
        body.append([name, count, right, f"{100 * right / count:.2f} %", named, median])
    missed = Counter((row.dtype, row.what) for row in wrong if not row.right)
    worst = [[f"`{what}`", dtype, count] for (dtype, what), count in missed.most_common(30)]
    parts = [table(("", "wrong reports", "right", "share", "named", "names (median)"), body)]
    return "\n".join([*parts, table(("not named, or not alone", "dtype", "trials"), worst)])


def main() -> int:
    """Runs the trials and prints the tables."""
    parser = Parser(prog="python -m benchmarks.diagnosis", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=positive, default=150, help="random cases")
    parser.add_argument("--jobs", type=positive, default=2, help="processes")
    arguments: argparse.Namespace = parser.parse_args()
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    with multiprocessing.get_context("spawn").Pool(arguments.jobs, maxtasksperchild=10) as pool:
        work = [partial(trial, seed) for seed in range(arguments.cases)]
        results = tqdm(pool.imap(_called, work), total=len(work), file=sys.stderr, unit="case")
        rows = [row for some in results for row in some]
    print(page(rows), end="")
    return 0


def _called(task: Any) -> list[Row]:
    return task()


if __name__ == "__main__":
    sys.exit(main())
