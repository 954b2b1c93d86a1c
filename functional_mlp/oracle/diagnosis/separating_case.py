"""The case that tells mistakes apart which gave the same numbers in another one.

Candidates are drawn, from the nearest to the case to the farthest: other data, other numbers of samples, one output
more, one layer more before the last. Each explanation is injected into each; the first candidate in which no two give
the same gradients is chosen, or the one that leaves the fewest together.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from functional_mlp.network import Network
from functional_mlp.oracle.case import Case, draw_case
from functional_mlp.oracle.diagnosis.search import Explanation, Named
from functional_mlp.oracle.mistakes import Injected, Slip, inject, places, prepare

APART = 1e-3  # relative distance of two gradients that every precision can tell apart
CASE_SAMPLES = (5, 1, 7)
SEEDS = (0, 1)


class Separated(NamedTuple):
    """A case, and what it tells apart.

    Attributes:
        case: drawn; nothing of the original but its kind.
        classes: the explanations, those together that give the same numbers in it too.
    """

    case: Case
    classes: tuple[tuple[Explanation, ...], ...]


def separate(case: Case, explanations: Sequence[Explanation]) -> Separated:
    """The case that tells most of these explanations apart.

    Args:
        case: in which they give the same numbers.
        explanations: `Diagnosis.explanations`, two at least.

    Raises:
        ValueError: if there is nothing to tell apart, or no candidate does.
    """
    if len(explanations) < 2:
        raise ValueError("expected several mistakes that give the same numbers; here is nothing to tell apart")
    best: Separated | None = None
    for candidate in _candidates(case):
        try:
            injected = [_injected(case, candidate, explanation) for explanation in explanations]
        except (ValueError, ArithmeticError):  # a mistake that cannot be made there
            continue
        separated = Separated(candidate, _classes(explanations, injected))
        if best is None or len(separated.classes) > len(best.classes):
            best = separated
        if len(best.classes) == len(explanations):
            break
    if best is None or len(best.classes) == 1:
        names = ", ".join(dict.fromkeys(named.id for explanation in explanations for named in explanation))
        raise ValueError(f"no case of this kind tells these apart: {names}")
    return best


def _candidates(case: Case) -> Iterator[Case]:
    for network in _networks(case.network):
        for samples, seed in product(CASE_SAMPLES, SEEDS):
            try:
                name = f"tells mistakes in {case.name or 'a case'} apart"
                drawn = draw_case(network, case.loss, samples=samples, seed=seed, dtype=case.dtype, name=name)
            except ValueError:  # a loss that more outputs do not suit
                break
            yield drawn


def _networks(network: Network) -> Iterator[Network]:
    """The network itself; one output more; one layer more, like the last one, and like the last hidden one."""
    sizes, activations = network.sizes, network.activations
    yield network
    yield Network((*sizes[:-1], sizes[-1] + 1), activations)
    deeper = (*sizes[:-1], max(3, sizes[-2]), sizes[-1])
    for between in dict.fromkeys(reversed(activations[-2:])):
        yield Network(deeper, (*activations[:-1], between, activations[-1]))


def _injected(case: Case, candidate: Case, explanation: Explanation) -> Injected:
    """What a program that is so explained computes in another case."""
    slips = [slip for named in explanation for slip in _slips(case, candidate, named)]
    return inject(prepare(candidate), slips)


def _slips(case: Case, candidate: Case, named: Named) -> list[Slip]:
    """The mistake in another network: everywhere, if it was made wherever it could be; the last layer stays last."""
    able = {layer for layer, variant in places(case, named.id) if variant == named.variant}
    if not named.layers or able == set(named.layers):
        return [Slip(named.id, None, named.variant, named.value)]
    added = len(candidate.params) - len(case.params)
    last = len(case.params) - 1
    return [Slip(named.id, layer + added * (layer == last), named.variant, named.value) for layer in named.layers]


def _classes(explanations: Sequence[Explanation], injected: Sequence[Injected]) -> tuple[tuple[Explanation, ...], ...]:
    classes: list[tuple[Injected, list[Explanation]]] = []
    for explanation, one in zip(explanations, injected, strict=True):
        same = next((own for other, own in classes if not _apart(other, one)), None)
        if same is None:
            classes.append((one, [explanation]))
        else:
            same.append(explanation)
    return tuple(tuple(own) for _, own in classes)


def _apart(one: Injected, other: Injected) -> bool:
    """Whether some gradient differs enough."""
    for mine, own in zip(one.grads, other.grads, strict=True):
        for a, b in zip(mine, own, strict=True):
            if a is not None and b is not None:
                with np.errstate(all="ignore"):
                    far, size = np.linalg.norm(a - b), max(np.linalg.norm(a), np.linalg.norm(b))
                if not far <= APART * size:
                    return True
    return False
