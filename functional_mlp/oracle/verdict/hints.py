"""Hints beside a verdict: what makes right numbers look wrong, and what a case cannot show.

Wrong numbers may be those of a right program that computes in another precision than it was judged by, or prints few
digits. That is said only where the errors look like rounding: neither all to one side nor of one relative size, as a
wrong constant makes them; and together with what such a declaration would hide. A hint changes no verdict.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from functional_mlp._dtypes import DTYPES, Array
from functional_mlp.oracle.case import Case
from functional_mlp.oracle.documents import Gradients, Printed, with_digits
from functional_mlp.oracle.mistakes import BlindSpot, blind_spots, only_scales
from functional_mlp.oracle.noise import FORMATS, Noise, Precision, estimate_noise, precision_named
from functional_mlp.oracle.truth import Solution
from functional_mlp.oracle.verdict.given import Handed, given_leaves, given_params
from functional_mlp.oracle.verdict.judging import judge, truth_of, worst_of
from functional_mlp.oracle.verdict.leaf import Cause, Leaf, Verdict

# tried in this order, the finest first
PRECISIONS_TRIED = ("float32", "tf32", "float16/float32", "float16", "bfloat16/float32", "bfloat16")
# of these the numbers themselves need not be narrow: "bfloat16/float32" stands for bfloat16 factors too, whose products
# are stored as float32
OF_WIDE_NUMBERS = ("float32", "tf32", "bfloat16/float32")
HOPELESS = 1e3  # times what the digits of a precision lose: errors beyond that it does not explain
ALIKE = 0.1  # spread of relative errors, relative to their mean, below which they are one constant
# entries of one array whose spread, or whose side, says something; and of all arrays
FEW, ENOUGH, FEW_IN_ALL = 2, 16, 4
ONE_SIDED = 1.0  # spread likewise, below which errors that are all to one side are no rounding
USUAL = 0.75  # of the floor: so far stray right programs; another that is not stretched so far explains more
USELESS = 0.5  # of the gradient: a precision in which so large changes go unseen is no explanation
IDS_SHOWN = 3
FEWEST_ROUNDED, MOST_ROUNDED = 3, 10  # digits of numbers that look rounded


class Hint(NamedTuple):
    """What would make wrong numbers right.

    Attributes:
        sentence: about the numbers.
        unit: roundoff of the precision that it is about; 0 if it is about digits.
        precision: its name; "" if it is about digits.
    """

    sentence: str
    unit: float = 0.0
    precision: str = ""


def notes_on(
    case: Case, solution: Solution, noise: Noise, given: Gradients, leaves: tuple[Leaf, ...], precision: str | None
) -> tuple[str, ...]:
    """Sentences that change no verdict: what a wrong one may be due to, and what another one could not show.

    Args:
        case, solution, noise, given, leaves: arguments and result of `judge`.
        precision: as it was declared; None if it was not.
    """
    if worst_of(leaf.verdict for leaf in leaves) is not Verdict.WRONG:
        return _unseen(case, solution)
    hint = hint_on(case, solution, noise, given, leaves, precision)
    scaled = _scaled(case, solution, given, leaves)
    return tuple(note for note in ("" if hint is None else hint.sentence, scaled) if note)


def hint_on(
    case: Case, solution: Solution, noise: Noise, given: Gradients, leaves: tuple[Leaf, ...], precision: str | None
) -> Hint | None:
    """What would make wrong numbers right: another precision, or fewer digits; arguments as `notes_on`."""
    wrong = [leaf for leaf in leaves if leaf.verdict is Verdict.WRONG]
    if not wrong or any(leaf.cause is not Cause.VALUE for leaf in wrong):
        return None
    return _as_rounded(case, solution, noise, given) or _other_precision(case, solution, noise, given, wrong, precision)


# another precision


def _other_precision(
    case: Case, solution: Solution, noise: Noise, given: Gradients, wrong: list[Leaf], precision: str | None
) -> Hint | None:
    """The finest precision in which the numbers would not be wrong, if they or their errors look like its rounding."""
    truth = truth_of(solution)
    leaves = given_leaves(case, given).items()
    handed = {path: leaf.values for path, leaf in leaves if isinstance(leaf, Handed) and path in truth}

    def rejudge(other: Precision) -> Rejudged:
        own = estimate_noise(case, solution, other)
        floors = {path: floor.smooth for path, floor in own.floors.items() if path.startswith("params")}
        return Rejudged(judge(case, solution, own, given), floors)

    return fitting_precision(noise.precision, precision, Compared(handed, truth, wrong), rejudge, PRECISIONS_TRIED)


class Compared(NamedTuple):
    """Numbers that are wrong, and the right ones, by path.

    Attributes:
        handed: what was given.
        truth: what is right.
        wrong: the verdicts on wrong arrays.
    """

    handed: Mapping[str, Array]
    truth: Mapping[str, Array]
    wrong: Sequence[Leaf]


class Rejudged(NamedTuple):
    """What the same numbers are in another precision.

    Attributes:
        leaves: the verdicts.
        floors: how far gradients may be off by rounding, by path; those of the gradients that are asked for.
    """

    leaves: Sequence[Leaf]
    floors: Mapping[str, Array]


def fitting_precision(
    declared: Precision,
    precision: str | None,
    compared: Compared,
    rejudge: Callable[[Precision], Rejudged],
    tried: Sequence[str],
) -> Hint | None:
    """The finest precision in which the numbers would not be wrong, if they or their errors look like its rounding.

    Its noise is estimated only where it could explain the worst error.

    Args:
        declared: by which they are wrong.
        precision: as it was declared; None if it was not.
        compared: the numbers.
        rejudge: judges them by another precision.
        tried: names of these, the finest first.
    """
    unit = _unit(declared)
    worst = max(leaf.error / leaf.floor if leaf.floor > 0 else np.inf for leaf in compared.wrong)
    coarser = [other for name in tried if (other := precision_named(name)) and _units(other) > _units(declared)]
    able = [other for other in coarser if worst <= HOPELESS * _unit(other) / unit]
    held = [other for other in able if _is_held(compared.handed.values(), other)]
    looks_rounded: bool | None = None
    barely: Hint | None = None
    for other in [*held, *(other for other in able if other not in held and other.name in OF_WIDE_NUMBERS)]:
        if other not in held:
            if looks_rounded is None:
                looks_rounded = sum(leaf.wrong for leaf in compared.wrong) >= FEW_IN_ALL and all(
                    _looks_rounded(compared.handed[leaf.path], compared.truth[leaf.path]) for leaf in compared.wrong
                )
            if not looks_rounded:
                break
        judged, floors = rejudge(other)
        if any(leaf.verdict is Verdict.WRONG for leaf in judged) or _drowned(floors, compared.truth) > USELESS:
            continue
        hidden = max((_hidden(leaf) for leaf in judged if leaf.path in floors), default=0.0)
        if not hidden < 1:  # as where numbers overflow in it
            continue
        hint = _hint(other, judged, hidden, precision)
        if all(leaf.ratios is None or np.max(leaf.ratios, initial=0.0) <= USUAL for leaf in judged):
            return hint
        barely = barely or hint
    return barely


def _hint(other: Precision, judged: Sequence[Leaf], hidden: float, precision: str | None) -> Hint:
    """What is said of numbers that were judged in another precision than the declared one."""
    name = other.name
    kind = "consistent" if all(leaf.verdict is Verdict.CONSISTENT for leaf in judged) else "undecided"
    hides = f"changes below {_short(hidden)} of a gradient would then go unseen."
    how = f"Declare it (precision {name!r})" if precision is None else "Is the declared precision right?"
    how = f"{how}; {hides}" if precision is None else f"{how} {hides.capitalize()}"
    return Hint(f"as {name} these numbers would be {kind}. {how}", _unit(other), name)


def _unit(precision: Precision) -> float:
    """The roundoff of the coarsest operation."""
    return max(precision.storage.unit, precision.products.unit)


def _units(precision: Precision) -> tuple[float, float, float]:
    """The same, and those of what is computed within a kernel, and of sums: the larger the coarser."""
    return _unit(precision), precision.inner.unit, precision.accumulation.unit


def _is_held(arrays: Iterable[Array], precision: Precision) -> bool:
    """Whether every number is one of the format in which the factors of products are held: no chance does that."""
    form = FORMATS.get(precision.products.name)
    if form is None:
        return False
    with np.errstate(all="ignore"):
        return all(np.array_equal(array.astype(DTYPES[form.name]).astype(np.float64), array) for array in arrays)


def _looks_rounded(given: Array, true: Array) -> bool:
    """Whether errors may be those of rounding: neither of one relative size, nor many and all to one side."""
    counted = (true != 0) & (given != true)
    relative = (given - true)[counted] / true[counted]
    if relative.size < FEW:
        return True
    mean, spread = abs(float(np.mean(relative))), float(np.std(relative))
    if spread <= ALIKE * mean:
        return False
    one_sided = bool((relative > 0).all() or (relative < 0).all())
    return not (one_sided and relative.size >= ENOUGH and spread <= ONE_SIDED * mean)


def _hidden(leaf: Leaf) -> float:
    """The largest change of an array, relative to it, that may go unseen."""
    return leaf.smallest_detectable / leaf.norm if leaf.norm > 0 else 0.0


def _drowned(floors: Mapping[str, Array], truth: Mapping[str, Array]) -> float:
    """How large rounding is at most, relative to a gradient."""
    norms = {path: float(np.linalg.norm(truth[path])) for path in floors}
    sizes = {path: float(np.linalg.norm(floor)) for path, floor in floors.items()}
    return max((sizes[path] / norm for path, norm in norms.items() if norm > 0), default=0.0)


def _short(value: float) -> str:
    """One digit, as 4e-6."""
    digit, _, exponent = f"{value:.0e}".partition("e")
    return f"{digit}e{int(exponent)}"


def _as_rounded(case: Case, solution: Solution, noise: Noise, given: Gradients) -> Hint | None:
    """What is said of numbers that were not read from a text, if they look rounded and would be right as such."""
    for digits in _rounded_to(case, given):
        fewer = judge(case, solution, noise, with_digits(given, digits))
        if any(leaf.verdict is Verdict.WRONG for leaf in fewer):
            continue
        is_fixed = digits.style == "fixed"
        words = f"{digits.digits} {'decimals' if is_fixed else 'digits'}"
        declared = repr(str(digits)) if is_fixed else str(digits)
        return Hint(
            f"as numbers rounded to {words} these would not be wrong. If they were rounded, declare it"
            f" (digits={declared}); errors that such digits hide are not seen then."
        )
    return None


def _rounded_to(case: Case, given: Gradients) -> tuple[Printed, ...]:
    """To how few decimals, or digits, numbers that came without a text may have been rounded; () if they look exact."""
    if given.printed is not None:
        return ()
    leaves = (leaf.values for leaf in given_params(case, given.params).values() if isinstance(leaf, Handed))
    most = {"%.*f": 0, "%.*e": 0}
    for value in (float(value) for leaf in leaves for value in leaf.flat if np.isfinite(value)):
        for form, digits in most.items():
            fewest = (n for n in range(digits, MOST_ROUNDED + 1) if float(form % (n, value)) == value)
            most[form] = next(fewest, MOST_ROUNDED + 1)
        if min(most.values()) > MOST_ROUNDED:
            return ()
    styles = (Printed("fixed", most["%.*f"]), Printed("significant", most["%.*e"] + 1))
    return tuple(style for style in styles if FEWEST_ROUNDED <= style.digits <= MOST_ROUNDED)


# what a case cannot show


def _unseen(case: Case, solution: Solution) -> tuple[str, ...]:
    """One sentence on the mistakes that this case cannot show, if there are such."""
    spots = blind_spots(case, solution)
    if not spots:
        return ()
    return (f"this case cannot show everything: {'; '.join(map(_said, spots))}.",)


def _said(spot: BlindSpot) -> str:
    if not spot.ids:
        return spot.why
    more = f" and {len(spot.ids) - IDS_SHOWN} more" if len(spot.ids) > IDS_SHOWN else ""
    return f"{spot.why} (unseen: {', '.join(spot.ids[:IDS_SHOWN])}{more})"


def _scaled(case: Case, solution: Solution, given: Gradients, leaves: tuple[Leaf, ...]) -> str:
    """What is said of gradients that are a multiple of the true ones, where any error at the output makes them so."""
    if not only_scales(case):
        return ""
    truth, factors = truth_of(solution), []
    for path, handed in given_leaves(case, given).items():
        if not path.startswith("params") or not isinstance(handed, Handed):
            continue
        counted = truth[path] != 0
        factors += (handed.values[counted] / truth[path][counted]).tolist()
    if not factors or not np.allclose(factors, factors[0], rtol=1e-3, atol=0.0):
        return ""
    return (
        f"these gradients are {factors[0]:.4g} times the true ones. With one sample and one output, or two classes,"
        " every error at the output only scales them: which it is, or whether it is another convention, takes a case of"
        " several samples to tell."
    )
