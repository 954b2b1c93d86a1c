"""One program that was judged in several cases: in which order they are looked at, and what explains all of them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from functional_mlp.oracle.case import Case
from functional_mlp.oracle.diagnosis.candidates import Discrepancy
from functional_mlp.oracle.diagnosis.composition import is_any_number
from functional_mlp.oracle.diagnosis.matching import injected_by, loosened, matched
from functional_mlp.oracle.diagnosis.search import Account, Explanation, Found, Named, of_batch_sizes
from functional_mlp.oracle.mistakes import MISTAKES, Slip, applies

# how near a batch size must be to a whole number, relative to it and by itself, where several cases have the same
NEARLY_WHOLE = 1e-3, 0.5


def work_of(case: Case) -> int:
    """What looking for a mistake in a case takes: weights times samples."""
    return len(case.inputs) * sum(layer.weights.size for layer in case.params)


def in_turn(asked: Sequence[Any]) -> list[Any]:
    """The smallest case of each number of samples, then the next ones, and so on; the smaller first.

    Args:
        asked: whatever has a `case`.
    """
    before: Counter[int] = Counter()
    ranked = []
    for one in sorted(asked, key=lambda one: work_of(one.case)):
        samples = len(one.case.inputs)
        ranked.append((before[samples], one))
        before[samples] += 1
    return [one for _, one in sorted(ranked, key=lambda pair: pair[0])]


def most_often(seen: Sequence[Found]) -> tuple[Account, ...]:
    """The accounts that explain the most cases, and of these the most arrays; the likeliest first.

    One case may show but some of the mistakes: an account explains it too if it has these. What explains the cases of
    one number of samples, and none of the others that it applies to, is chance, or what another mistake looks like
    there; so is any number that explains one case, and what gives other numbers in another case than were given there.
    """
    counts = {found.samples for found in seen}
    counted: list[tuple[Account, int]] = []
    for account in (one for found in seen for one in found.accounts):
        same = next((at for at, (other, _) in enumerate(counted) if _same(account.mistakes, other.mistakes)), None)
        if same is not None:
            other, times = counted[same]
            if len(account.unexplained) < len(other.unexplained):
                counted[same] = (account, times)
            continue
        explained = [explains(account, found) for found in seen]
        made = explained if all(explained) else [_makes(account, found) for found in seen]
        held = [found.samples for found, *known in zip(seen, explained, made, strict=True) if True in known]
        others = [found for found, has in zip(seen, explained, strict=True) if not has]
        by_chance = len(held) == 1 < len(seen) and _has_any_number(account)
        enough = len(set(held)) >= min(2, len(counts)) or not any(_would_show(account, found) for found in others)
        if enough and not by_chance and not _is_refuted(account, explained, made):
            counted.append((account, len(held)))
    if not counted:
        return ()
    most = max(times for _, times in counted)
    fewest = min(len(account.unexplained) for account, times in counted if times == most)
    best = [account for account, times in counted if times == most and len(account.unexplained) == fewest]
    return tuple(sorted(best, key=lambda account: account.cost))


def _is_refuted(account: Account, explained: Sequence[bool], made: Sequence[bool | None]) -> bool:
    """Whether a program with just these mistakes has the numbers of one case, and other ones than those of another."""
    if account.unexplained or all(explained):
        return False
    own = [held for held, has in zip(made, explained, strict=True) if has]
    return True in own and False in made and False not in own


def _makes(account: Account, found: Found) -> bool | None:
    """Whether a program with these mistakes has the numbers of a case, of the arrays that they explain in theirs.

    None if nobody can say.
    """
    question = found.question
    if question is None or found.turned:
        return None
    slips, paths = _slips_of(account), question.given.keys() - set(account.unexplained)
    if not paths & question.wrong:
        return None
    with np.errstate(all="ignore"):
        made = injected_by(question, slips, paths)
        return None if made is None else len(matched(loosened(question, slips), made)) == len(paths)


def _would_show(account: Account, found: Found) -> bool:
    """Whether these mistakes, which do not explain a case, would have shown in it: whether all of them apply there."""
    if found.question is None:
        return False
    prepared = found.question.prepared
    return all(
        applies(prepared, id_, layer, variant=variant, value=value) for id_, layer, variant, value in _slips_of(account)
    )


def _slips_of(account: Account) -> tuple[Slip, ...]:
    """The mistakes of an account, each once for every layer in which it was made."""
    return tuple(
        Slip(one.id, layer, one.variant, one.value)
        for one in account.mistakes
        for layer in (one.layers if MISTAKES[one.id].scope == "layer" and one.layers else (None,))
    )


def _has_any_number(account: Account) -> bool:
    return any(is_any_number(one.id, one.value, one.meanings) for one in account.mistakes)


def explains(account: Account, found: Found) -> bool:
    """Whether an account has all mistakes of one that explains a case."""
    return any(_holds(account.mistakes, own.mistakes) for own in found.accounts)


def with_batch_sizes(seen: Sequence[Found]) -> list[Found]:
    """Cases of several numbers n of samples, where a gradient of n/N times the right one is divided by N instead of n.

    In one case any fraction is nearly that of some N; in several it is the same N.
    """
    if len({found.samples for found in seen}) == 1:
        return list(seen)
    return [found if found.question is None else _with_batch_sizes(found, found.question) for found in seen]


def _with_batch_sizes(found: Found, question: Discrepancy) -> Found:
    return found._replace(accounts=(*found.accounts, *of_batch_sizes(question, found.accounts, *NEARLY_WHOLE)))


def _same(one: Explanation, other: Explanation) -> bool:
    """Whether two explanations are the same mistakes, with the same free numbers."""
    return len(one) == len(other) and _holds(one, other)


def _holds(explanation: Explanation, part: Explanation) -> bool:
    """Whether an explanation has all mistakes of another one, with the same free numbers."""
    return all(any(_alike(own, other) for own in explanation) for other in part)


def _alike(one: Named, other: Named) -> bool:
    """Whether two mistakes are one, with the same free number, or with one that means the same."""
    if one.id != other.id or (one.value is None) is not (other.value is None):
        return False
    if one.value is None or set(one.meanings) & set(other.meanings):
        return True
    return _near(np.asarray(one.value), np.asarray(other.value))


def _near(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and bool((np.abs(one - other) <= 1e-3 * np.abs(one)).all())
