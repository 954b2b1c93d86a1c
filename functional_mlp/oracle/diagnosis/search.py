"""Which mistakes of the catalogue explain wrong numbers: injecting them, comparing, fitting; alone, or composed.

Every mistake is injected at every place where it could have made just the wrong arrays wrong, and its numbers are
compared with the given ones, entry by entry, by the noise floor of the case. What a mistake cannot reach tells most of
them apart before anything is computed, and the first wrong array on the way back most of the others. Where none
explains everything, explanations are composed of several (`composition`), of as many of the arrays as can be.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.case import layer_of, parameter_of
from functional_mlp.oracle.diagnosis.candidates import (
    Arrays,
    Discrepancy,
    Slips,
    every_group,
    next_on_the_way_back,
    reaches,
    starts,
)
from functional_mlp.oracle.diagnosis.composition import (
    LARGEST,
    RELATION,
    SCALES,
    Composed,
    Observed,
    Part,
    compose,
    cost_of,
    cost_of_layers,
    observed_of,
    outweighs,
    telling_entries,
)
from functional_mlp.oracle.diagnosis.differences import differences_and_more
from functional_mlp.oracle.diagnosis.fitting import fitted
from functional_mlp.oracle.diagnosis.matching import agreeing_digits, explained_by, matched, off
from functional_mlp.oracle.diagnosis.relations import Relation
from functional_mlp.oracle.diagnosis.reversed_layers import reversed_and_more
from functional_mlp.oracle.mistakes import MISTAKES, Number, applies

LEAST = 3.0  # evidence beyond its cost, a natural logarithm, for a mistake without a fitted number
WHOLE = 1e-3  # of one: how near a whole number must be known to be told from any that is none
FEW_UNITS = 512.0  # of roundoff: relative noise of numbers that no cancellation has spoilt
MOSTLY = 16.0  # times more than that: right numbers that are mostly rounding
ROUNDING = 1e-6  # of the cosine of two arrays of which one is a multiple of the other


class Named(NamedTuple):
    """A mistake that the numbers show.

    Attributes:
        id: a key of `MISTAKES`.
        layer: index into the parameters, if it was made in one layer; else None.
        layers: all layers in which it was made; () for a mistake of the whole pass.
        variant: how it was made, or None.
        value: of its free number, or a tuple of its free numbers, as fitted; or None.
        sentence, formula, fix: of the catalogue.
        digits: to how many decimal digits its numbers agree with the given ones, in the worst array.
        meanings: what its free number may stand for, such as "n"; () where nothing is known.
    """

    id: str
    layer: int | None
    layers: tuple[int, ...]
    variant: str | None
    value: Number | None
    sentence: str
    formula: str
    fix: str
    digits: int
    meanings: tuple[str, ...] = ()


class Evidence(NamedTuple):
    """A wrong array, at the entry that is furthest off in noise floors.

    Attributes:
        path: of the array.
        digits: to how many decimal digits the whole array agrees with that of the mistake.
        at: index of the entry.
        given, mistaken, true: the entry as it was given, as the mistake makes it, and as it is right; after a step,
            the parameter.
    """

    path: str
    digits: int
    at: tuple[int, ...]
    given: float
    mistaken: float
    true: float


Explanation = tuple[Named, ...]  # mistakes that give the numbers together


class Account(NamedTuple):
    """An explanation, and what it explains.

    Attributes:
        mistakes: the explanation.
        made: the arrays of a program that makes these mistakes, by path.
        unexplained: paths of the wrong arrays that are not among them, or other.
        cost: the higher, the less likely.
    """

    mistakes: Explanation
    made: Arrays
    unexplained: tuple[str, ...] = ()
    cost: float = 0.0


class Found(NamedTuple):
    """What a search found: every account, the first wrong quantity, and whether the catalogue was tried.

    `question` was answered; if `turned`, in the other layout, which is then the first mistake of every account. `loss`
    is what can be said of a wrong value of the loss by itself; `samples` how many the case has.
    """

    accounts: tuple[Account, ...]
    first_wrong: str
    searched: bool = True
    question: Discrepancy | None = None
    turned: bool = False
    group: str = ""
    loss: tuple[Relation, ...] = ()
    samples: int = 0


def accounts(question: Discrepancy, *, composed: bool) -> tuple[Account, ...]:
    """Single mistakes that explain everything; or, if there are none and `composed` says so, several together.

    None where the right numbers are as near as those of a mistake may be: then nothing proves one. The likelier come
    first. Mistakes that say no more than how numbers are related are named where nothing else explains everything.
    Where the right numbers are mostly rounding, other ones need not be: they are looked for as exact numbers too.
    """
    found = _accounts(question, composed=composed)
    surer = question if any(not account.unexplained for account in found) else _as_exact_as_given(question)
    return found if surer is question else _accounts(surer, composed=composed) or found


def _as_exact_as_given(question: Discrepancy) -> Discrepancy:
    """The question with wrong arrays that rounding has not spoilt, where the right ones are mostly rounding.

    So it is where what a mistake leaves out is a large factor, or a difference of near numbers.
    """
    unit = FEW_UNITS * question.unit
    spoilt = [path for path in question.wrong & question.relative.keys() if question.relative[path] > MOSTLY * unit]
    if not spoilt:
        return question
    sizes = {path: float(np.max(np.abs(question.given[path]), initial=0.0)) for path in spoilt}
    allowed = {path: np.minimum(question.allowed[path], unit * size) for path, size in sizes.items()}
    relative = {**question.relative, **dict.fromkeys(spoilt, unit)}
    return question._replace(allowed={**question.allowed, **allowed}, relative=relative)


def _accounts(question: Discrepancy, *, composed: bool) -> tuple[Account, ...]:
    """The same, by one measure of noise."""
    if question.wrong <= matched(question, question.truth):
        return ()
    left: tuple[str, ...] = ()
    found = _alone(question, generic=False)
    if not found and "loss" in question.given:  # which has a reading of its own
        left = ("loss",) if "loss" in question.wrong else ()
        question = _without_loss(question)
        if not question.wrong:
            return ()
        found = _alone(question, generic=False)
    several = composed_accounts(question) if composed and (not found or _without_data(question)) else []
    found += [account for account in several if not account.unexplained and (not found or len(account.mistakes) == 1)]
    numbers = sum(np.count_nonzero(question.given[path]) for path in question.wrong)
    several_numbers = numbers > 1  # a factor fits any single one
    if several_numbers and not any(_says_what_was_done(account) for account in found):
        found += _alone(question, generic=True)
    doubt = 4 * max((question.relative[path] for path in question.wrong), default=0.0)
    found += of_batch_sizes(question, found, doubt, WHOLE)
    found = found or several
    found = [account._replace(unexplained=(*account.unexplained, *left)) for account in found]
    return tuple(_without_repetition(found))


def composed_accounts(question: Discrepancy) -> list[Account]:
    """Explanations of several mistakes, of all wrong arrays or of some."""
    found = compose(question)
    left = min((one.unexplained for one in found), key=len, default=tuple(question.wrong))
    if left:
        found = reversed_and_more(question, left) or differences_and_more(question) or found
    return [_account(question, one) for one in found]


def of_batch_sizes(question: Discrepancy, accounts: Sequence[Account], doubt: float, chance: float) -> list[Account]:
    """Those of a gradient that is n/N times the right one, N a whole number: as one that is divided by N, and not by n.

    Args:
        question: what they explain.
        accounts: among which it is looked for.
        doubt: how far N may be from a whole number, relative to it.
        chance: how far at most, not relative to it: any number is near a whole one that is large.
    """
    found = []
    for account in accounts:
        scaled, *more = account.mistakes
        if more or (scaled.id, scaled.variant) != ("loss-scaled", "gradient") or not isinstance(scaled.value, float):
            continue
        size = len(question.case.inputs) / scaled.value if scaled.value else 0.0
        if not (0.5 < size < np.inf and abs(size - round(size)) <= doubt * size <= chance):
            continue
        own = named("nominal-batch-size", (), scaled.digits, value=float(round(size)))
        if applies(question.prepared, own.id, value=own.value):
            found.append(account._replace(mistakes=(own,)))
    return found


def _says_what_was_done(account: Account) -> bool:
    """Whether relations of numbers say no more: it is one of them, or one mistake by no number that was fitted."""
    [own, *more] = account.mistakes
    if MISTAKES[own.id].generic:
        return not more
    parameter = MISTAKES[own.id].parameter
    fitted_number = own.value is not None and not own.meanings and not (parameter is not None and parameter.choices)
    return not more and not fitted_number


def _without_data(question: Discrepancy) -> bool:
    """Whether the wrong arrays are what the penalty alone gives, or 0: whatever came from the data may be missing."""
    loss = question.case.loss

    def is_left(path: str) -> bool:
        parameter = parameter_of(question.case, path)
        of_penalty = 0.0 * parameter if loss is None else loss.l2 * parameter + loss.l1 * np.sign(parameter)
        given = question.given[path]
        return any((np.abs(given - alone) <= question.allowed[path]).all() for alone in (0.0, of_penalty))

    return all(path.startswith("params") and is_left(path) for path in question.wrong)


def _without_loss(question: Discrepancy) -> Discrepancy:
    given = {path: array for path, array in question.given.items() if path != "loss"}
    wrong = question.wrong - {"loss"}
    return question._replace(given=given, wrong=wrong, first=next_on_the_way_back(wrong, given) if wrong else "")


def evidence(question: Discrepancy, account: Account) -> tuple[Evidence, ...]:
    """Every wrong array that an account explains beside that of it, from the last layer to the first."""
    shown = []
    explained = question.wrong & account.made.keys() - set(account.unexplained)
    for path in sorted(explained, key=lambda path: (-layer_of(path), path)):
        given, mistaken, true = question.given[path], account.made[path], question.truth[path]
        with np.errstate(all="ignore"):
            far = np.nan_to_num(np.abs(given - true) / question.allowed[path], nan=np.inf)
        index = tuple(map(int, np.unravel_index(np.argmax(far), given.shape)))
        entries = [float(array[index]) for array in (given, mistaken, true)]
        if question.rate is not None:
            before = float(parameter_of(question.case, path)[index])
            entries = [before - question.rate * entry for entry in entries]
        shown.append(Evidence(path, agreeing_digits(given, mistaken), index, *entries))
    return tuple(shown)


def _digits(question: Discrepancy, arrays: Arrays) -> int:
    """Decimal digits to which the wrong arrays agree, in the worst of those with finite numbers; 0 if none has any."""
    pairs = [(question.given[path], arrays[path]) for path in question.wrong & arrays.keys()]
    told = [pair for pair in pairs if (np.isfinite(pair[0]) & np.isfinite(pair[1])).any()]
    return min((agreeing_digits(*pair) for pair in told), default=0)


def named(
    id_: str,
    layers: tuple[int, ...],
    digits: int,
    variant: str | None = None,
    value: Number | None = None,
    meanings: tuple[str, ...] = (),
) -> Named:
    """A mistake of the catalogue, with what that says of it."""
    mistake = MISTAKES[id_]
    layer = layers[0] if len(layers) == 1 else None
    return Named(id_, layer, layers, variant, value, mistake.sentence, mistake.formula, mistake.fix, digits, meanings)


def _account(question: Discrepancy, composed: Composed) -> Account:
    digits = _digits(question, composed.made)

    def of_part(part: Part) -> Named:
        return named(part.id, part.layers, digits, part.variant, part.value, part.meanings)

    return Account(tuple(map(of_part, composed.parts)), composed.made, composed.unexplained, composed.cost)


# one mistake


def _alone(question: Discrepancy, *, generic: bool) -> list[Account]:
    """Single mistakes that explain everything: those that say no more than how numbers are related, or the others.

    Where something else than a convention multiplies everything, a loss that is scaled might be meant as well.
    """
    groups = [
        group
        for group in every_group(question.prepared, updates=question.rate is not None)
        if group[0].id not in question.excluded and reaches(group, question.wrong) and starts(group, question)
    ]
    asked = [group for group in groups if MISTAKES[group[0].id].generic is generic]
    with np.errstate(all="ignore"):
        observed = [observed_of(question, path) for path in question.wrong - {"loss"}]
        all_shown = sum(array.evidence(0) for array in observed)
        of_one_number = max((array.digits_of_one for array in observed), default=0.0) * math.log(10)

    def is_beyond_chance(one: Account) -> bool:
        own, parameter = one.mistakes[0], MISTAKES[one.mistakes[0].id].parameter
        fitted_numbers = int(own.value is not None and not (parameter is not None and parameter.choices))
        if _vanishing(own) or _is_any_whole_number(question, own) or _is_any_factor(question, one):
            return False
        shown = all_shown - fitted_numbers * of_one_number
        exact = not fitted_numbers and not MISTAKES[own.id].generic  # then the arrays that are right are evidence too
        if exact:
            return not observed or max(shown, _nearer(question, observed, one)) >= LEAST + one.cost
        return not observed or outweighs(shown, one.cost)

    found = [*_each(_exact, question, asked), *_each(fitted, question, asked)]
    found = [one for one in found if is_beyond_chance(one)]
    if found and not generic and not any(account.mistakes[0].id in SCALES for account in found):
        scaled = _each(fitted, question, [group for group in groups if group[0].id == "loss-scaled"])
        found += [one for one in scaled if is_beyond_chance(one)]
    return found


def _nearer(question: Discrepancy, observed: Sequence[Observed], account: Account) -> float:
    """How surprising it is that the given numbers are so much nearer to an account's than to the right ones.

    A natural logarithm: of how many times nearer, for each number. The noise that is allowed is seldom that of one run.
    """
    shown = 0.0
    for array in observed:
        rounding = question.unit / max(array.relative, question.unit)
        own, right = (off(question, arrays, array.path) for arrays in (account.made, question.truth))
        nearer = math.log(max(right, 1e-300) / max(own, rounding)) if math.isfinite(right) else math.inf
        shown += array.numbers * min(max(nearer, 0.0), array.digits_of_one * math.log(10))
    return shown


def _is_any_factor(question: Discrepancy, account: Account) -> bool:
    """Whether all that a fitted number shows is that one number of the cotangent is multiplied by another.

    So it is where the first wrong layer has one sample and one unit, or all others are 0, and all of it is wrong.
    """
    own, first = account.mistakes[0], question.first
    parameter = MISTAKES[own.id].parameter
    if parameter is None or parameter.choices is not None or not first.startswith(("params[", "deltas[")):
        return False
    layer = layer_of(first)
    relative = min(question.relative[path] for path in question.wrong)
    if telling_entries(question.prepared.program.found.ct_z[layer], relative) > 1:
        return False
    given = (path for path in question.given if path.startswith(("params[", "deltas[")))
    alike = [path for path in given if layer_of(path) == layer]
    if not question.wrong.issuperset(alike):
        return False

    def of_data(arrays: Arrays) -> Array:
        observed = ((observed_of(question, path), arrays[path]) for path in alike)
        return np.concatenate([(array - own.penalty).ravel() for own, array in observed])

    with np.errstate(all="ignore"):
        true, made = of_data(question.truth), of_data(account.made)
        return float(true @ made) ** 2 >= (1 - ROUNDING) * float(true @ true) * float(made @ made)


def _is_any_whole_number(question: Discrepancy, own: Named) -> bool:
    """Whether a number that should be a whole one is so large that any number would do to within noise."""
    parameter = MISTAKES[own.id].parameter
    if parameter is None or not parameter.whole or not isinstance(own.value, float):
        return False
    return abs(own.value) * max(question.relative[path] for path in question.wrong) > WHOLE


def _vanishing(one: Named) -> bool:
    """Whether a factor is so small that the numbers are 0 but for rounding."""
    parameter = MISTAKES[one.id].parameter
    of_a_step = parameter is None or parameter.magnified is not None
    return not of_a_step and isinstance(one.value, float) and abs(one.value) < 1 / LARGEST


def _each(
    explained: Callable[[Discrepancy, Slips], tuple[Slips, Arrays] | None],
    question: Discrepancy,
    groups: Sequence[Slips],
) -> list[Account]:
    found = [explained(question, group) for group in groups]
    return _without_repetition([_of_one(question, *one) for one in found if one is not None])


def _of_one(question: Discrepancy, group: Slips, arrays: Arrays) -> Account:
    slip, layers = group[0], tuple(slip.layer for slip in group if slip.layer is not None)
    own = named(slip.id, layers, _digits(question, arrays), slip.variant, slip.value)
    cost = cost_of(slip.id) + cost_of_layers(question.prepared, layers, slip.value)
    return Account((own,), arrays, (), cost + RELATION * MISTAKES[slip.id].generic)


def _exact(question: Discrepancy, group: Slips) -> tuple[Slips, Arrays] | None:
    """A mistake without a free number, if it explains everything."""
    if MISTAKES[group[0].id].parameter is not None:
        return None
    arrays = explained_by(question, group, question.first)
    return None if arrays is None else (group, arrays)


def _without_repetition(found: list[Account]) -> list[Account]:
    """The first of each set of mistakes: another layer or variant with the same numbers adds nothing."""
    first: dict[frozenset[str], Account] = {}
    for account in sorted(found, key=lambda account: account.cost):
        first.setdefault(frozenset(one.id for one in account.mistakes), account)
    return list(first.values())
