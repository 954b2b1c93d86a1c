"""What was found, as Markdown, and the verdict: is the hand-written pass worse than autodiff anywhere?"""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.markdown import table

Array = NDArray[np.float64]
HAND, RIVALS = "hand-written", ("autodiff", "autodiff of ours")
# Where errors are rounding, which of two sound computations comes closer is luck. Over a group, the median may be this
# much larger than the rival's, the largest error this many times, and farther entries outnumber nearer ones this much.
MEDIAN_LUCK, LARGEST_LUCK, COUNT_LUCK = 1.1, 2.0, 1.1


class Errors(NamedTuple):
    """Of the entries of one group and quantity by one method: each (entries,), inf where the answer is not finite."""

    ulp: Array
    noise: Array


class Certification(NamedTuple):
    """What was measured.

    Attributes:
        errors: by (group, quantity), then by method.
        entries: how many entries were compared, by every method.
        cases: how many cases.
        refused: cases that a method refused, by (group, method); undecided ones, by (group, "referee").
        flushed: entries excepted because the error is below the smallest normal number, by (group, method).
        seconds: how long it took.
    """

    errors: dict[tuple[str, str], dict[str, Errors]]
    entries: int
    cases: int
    refused: Counter[tuple[str, str]]
    flushed: Counter[tuple[str, str]]
    seconds: float

    @property
    def groups(self) -> list[str]:
        """The groups in order of appearance."""
        return list(dict.fromkeys(group for group, _ in self.errors))

    def pooled(self, group: str) -> dict[str, Errors]:
        """The errors of a group by method, all quantities together."""
        parts = [by_method for (name, _), by_method in self.errors.items() if name == group]
        return {
            method: Errors(*map(np.concatenate, zip(*(part[method] for part in parts), strict=True)))
            for method in parts[0]
        }


def nearer_and_farther(hand: Errors, rival: Errors) -> tuple[int, int]:
    """How many entries of the hand-written pass are nearer to the truth than the rival's, and how many farther.

    Ties are errors within a hundredth of a noise unit: the same roundings.
    """
    with np.errstate(invalid="ignore"):
        return int((hand.noise < rival.noise - 0.01).sum()), int((hand.noise > rival.noise + 0.01).sum())


def worse(found: Certification) -> list[str]:
    """Where the hand-written pass is worse than autodiff beyond luck: one sentence each; none is the claim."""
    complaints: list[str] = []
    for group in found.groups:
        pooled = found.pooled(group)
        hand = pooled[HAND]
        for name in RIVALS:
            rival = pooled[name]
            for unit, ours, theirs in (("ulp", hand.ulp, rival.ulp), ("noise units", hand.noise, rival.noise)):
                a, b = float(np.median(ours)), float(np.median(theirs))
                if not a <= MEDIAN_LUCK * b:
                    complaints.append(f"{group}: the median error is {a:.3g} {unit}, that of {name} {b:.3g}")
            a, b = float(hand.noise.max()), float(rival.noise.max())
            if not (a <= LARGEST_LUCK * b and (np.isfinite(a) or not np.isfinite(b))):
                complaints.append(f"{group}: the largest error is {a:.3g} noise units, that of {name} {b:.3g}")
            lost, theirs_lost = (int((~np.isfinite(errors.ulp)).sum()) for errors in (hand, rival))
            if lost > theirs_lost:
                complaints.append(f"{group}: {lost} entries are not finite or refused, of {name} {theirs_lost}")
            nearer, farther = nearer_and_farther(hand, rival)
            if not farther <= COUNT_LUCK * nearer + 3 * np.sqrt(nearer + farther):
                complaints.append(f"{group}: farther than {name} in {farther} entries, nearer in {nearer}")
    return complaints


def _number(x: float) -> str:
    return "0" if x == 0 else f"{x:.2f}" if 0.01 <= x < 100 else f"{x:.0f}" if 100 <= x < 1e4 else f"{x:.0e}"


def _pair(errors: Array) -> str:
    """Median and largest over the finite ones, and how many are not finite."""
    finite = errors[np.isfinite(errors)]
    lost = errors.size - finite.size
    text = f"{_number(np.median(finite))} / {_number(finite.max())}" if finite.size else "–"
    return f"{text} ({lost})" if lost else text


def _table(found: Certification, unit: str) -> str:
    methods = list(next(iter(found.errors.values())))
    rows = []
    for (group, quantity), by_method in found.errors.items():
        columns = [getattr(by_method[method], unit) for method in methods]
        rows.append((group, f"`{quantity}`", columns[0].size, *map(_pair, columns)))
    return table(("group", "quantity", "entries", *methods), rows, texts=2)


def _summary(found: Certification) -> str:
    methods = list(next(iter(found.errors.values())))
    rows = []
    for group in found.groups:
        pooled = found.pooled(group)
        compared = [" / ".join(map(str, nearer_and_farther(pooled[HAND], pooled[name]))) for name in RIVALS]
        noises = [pooled[method].noise for method in methods]
        rows.append((group, noises[0].size, *map(_pair, noises), *compared))
    return table(("group", "entries", *methods, *(f"nearer / farther than {name}" for name in RIVALS)), rows)


def _in_ulp(found: Certification) -> str:
    """In which rows the largest error in ulp alone is above autodiff's, luck or not."""
    above, below = [], 0
    for (group, quantity), by_method in found.errors.items():
        a, b = (float(by_method[method].ulp.max()) for method in (HAND, RIVALS[0]))
        above += [f"{group} `{quantity}` ({_number(a)}, {_number(b)})"] * (a > b)
        below += a < b
    return _filled(
        f"The largest error in ulp alone, without regard to noise, is below autodiff's in {below} of the"
        f" {len(found.errors)} rows of the second table and above it in {len(above)}; it belongs to single entries"
        f" whose terms cancel. Above: {'; '.join(above) or 'none'}."
    )


def _filled(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _listed(counts: Counter[tuple[str, str]]) -> str:
    return "; ".join(f"{group}, {method}: {count}" for (group, method), count in counts.items() if count) or "none"


PAGE = """# Certification

Generated by `{command}`; do not edit.
{entries} entries of {cases} cases, each computed in four ways and compared with the
correctly rounded truth of `reference/exact.py`.

- **hand-written**: `oracle.solve`, the backward pass of this package.
- **autodiff**: `jax.grad`, compiled, of textbook JAX: `jax.nn` activations, `jnp.tanh`, `jnp.log` of
  probabilities where the target is not 0, `log_sigmoid` and `log_softmax` for losses of logits.
- **autodiff of ours**: `jax.grad`, compiled, of this package's activations and of its loss as named,
  of the probabilities and unfused.
- **NumPy**: `reference/plain.py`, the textbook formulas.

{verdict}

“Not worse” means, over each group and against both autodiffs:

- the median error is at most {median_luck} times theirs, in ulp and in noise units;
- the largest error in noise units is at most {largest_luck:g} times theirs;
- no more entries are not finite;
- at most {count_luck} times as many entries are farther from the truth as are nearer, plus three
  standard deviations.

What is within these factors is luck: which of several roundings errs more.

{in_ulp}

## In noise units

One noise unit of an entry is what rounding the input alone may cost: what changing every number of the
case by one ulp, up or down, changes it by (the largest of four such changes, found by the referee; none
at kinks, whose zeros a change would destroy), plus 2⁻⁵² times the magnitudes of what is last summed up.
Each cell: median / largest error, and in brackets how many entries are not finite (left out of both).

{summary}
## In ulp, by quantity

Units in the last place of the entry itself; 0.5 is correct rounding. Median / largest (not finite).

{ulp_table}
## In noise units, by quantity

{noise_table}
## Excepted and refused

{flushed}

{left_out}

Cases refused, or left undecided by the referee: {refused}.
"""
FLUSHED = (
    "XLA's CPU code flushes numbers below the smallest normal one, 2.2e-308, to 0; so an entry that is wrong by no more"
    " than that counts as right. Entries so excepted: {listed}."
)
LEFT_OUT = (
    "Not among the cases: a cross-entropy of probabilities after the other activation (categorical after sigmoid,"
    " binary after softmax) in saturation. Where the loss or its cotangent is infinite in float64, the oracle refuses"
    " to answer, and autodiff gives NaN."
)


def written(found: Certification, command: str) -> str:
    """The report, as Markdown."""
    complaints = worse(found)
    verdict = "**The hand-written pass is not worse than autodiff in any group.**"
    if complaints:
        verdict = "\n".join(
            ["**The hand-written pass is worse than autodiff here:**", "", *(f"- {c}" for c in complaints)]
        )
    return PAGE.format(
        command=command,
        entries=found.entries,
        cases=found.cases,
        verdict=verdict,
        median_luck=MEDIAN_LUCK,
        largest_luck=LARGEST_LUCK,
        count_luck=COUNT_LUCK,
        in_ulp=_in_ulp(found),
        summary=_summary(found),
        ulp_table=_table(found, "ulp"),
        noise_table=_table(found, "noise"),
        flushed=_filled(FLUSHED.format(listed=_listed(found.flushed))),
        left_out=_filled(LEFT_OUT),
        refused=_listed(found.refused),
    )
