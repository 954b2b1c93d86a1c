"""What a constant may mean: the number of samples, of outputs, a half, the other sign, and their products."""

import itertools
import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from functional_mlp.oracle.diagnosis.composition.alternatives import CONVENTIONS, applied
from functional_mlp.oracle.mistakes import (
    FREQUENCIES,
    MISTAKES,
    Prepared,
    Slip,
    decides_by_one_number,
    frequency_of,
    only_scales,
    places,
)

ROUNDING = 1e-13  # of a constant, relative, besides its own doubt
UNNAMED = 4.0  # what a constant costs that means nothing in particular
RELATION = 2.5  # what it costs to say how numbers are related and not what was done
BESIDE = 1.0  # what a convention costs beside another
ONE_OF_SEVERAL = 0.7  # what it costs that a mistake was made in one layer and not in every
FITTED = 1.0  # what a number costs that was fitted
MOST_CONVENTIONS = 3
ALL_TOGETHER = sum(FREQUENCIES.values())


class Part(NamedTuple):
    """One mistake of an explanation.

    Attributes:
        id: a key of `MISTAKES`.
        layers: where it was made; () for the whole pass.
        variant, value: of it, or None.
        meanings: what the value may stand for, such as "n"; () where nothing is known.
        cost: the higher, the less likely.
    """

    id: str
    layers: tuple[int, ...] = ()
    variant: str | None = None
    value: float | tuple[float, ...] | None = None
    meanings: tuple[str, ...] = ()
    cost: float = 0.0


def is_any_number(mistake_id: str, value: object, meanings: tuple[str, ...]) -> bool:
    """Whether a mistake says no more than that numbers are multiplied, by a constant that means nothing."""
    return MISTAKES[mistake_id].generic and value is not None and not meanings


def cost_of(mistake_id: str, variant: str | None = None) -> float:
    """How unlikely a mistake is, in one of its variants: the logarithm of how seldom people make it."""
    ways = 1 if variant is None else len(MISTAKES[mistake_id].variants)
    return math.log(ALL_TOGETHER * ways / frequency_of(mistake_id))


def part(
    mistake_id: str, layers: tuple[int, ...] = (), variant: str | None = None, more: float = 0.0, **fields: Any
) -> Part:
    """A mistake, with what it costs; `more` besides."""
    return Part(mistake_id, layers, variant, cost=cost_of(mistake_id, variant) + more, **fields)


def cost_of_layers(prepared: Prepared, layers: Sequence[int], value: object) -> float:
    """What it costs that a mistake was made in some layers only, and that it has a free number that was fitted."""
    some = 0 < len(layers) < len(prepared.case.params)
    return ONE_OF_SEVERAL * some + FITTED * (value is not None)


def close(one: float, other: float, doubt: float = 0.0) -> bool:
    """Whether two constants may be the same."""
    return abs(one - other) <= (4 * doubt + ROUNDING) * max(abs(one), abs(other))


class Constants:
    """The constants that may be met in a case.

    Args:
        prepared: the case.
        rate: of a step, or None.
        excluded: ids of mistakes that the program is known not to make.
    """

    def __init__(self, prepared: Prepared, rate: float | None, excluded: Collection[str] = ()) -> None:
        case, loss = prepared.case, prepared.case.loss
        self.case, self.rate = case, rate
        self.samples, self.outputs, self.depth = len(case.inputs), case.network.sizes[-1], len(case.params)
        weights = case.sample_weights
        self.divisor = float(self.samples if weights is None else weights.sum())
        self.any_multiple = only_scales(case)  # whatever was done at the outputs
        self.one_number_each = decides_by_one_number(case)
        classes = case.network.activations[-1].name == "softmax" or (loss and loss.kind == "softmax_cross_entropy")
        self.sums_to_zero = bool(classes)  # the delta of the output layer, over the units
        self.averages = loss is not None and loss.over_samples == "mean"
        self.l2 = 0.0 if loss is None else loss.l2
        self.meanings = _meanings(self)
        self.excluded = frozenset(excluded)
        every = _products(prepared, rate)
        self.products = [one for one in every if not any(part.id in self.excluded for part in one[1])]

    def meaning_of(self, constant: float, doubt: float) -> tuple[str, ...]:
        """What a constant may stand for."""
        return tuple(text for text, value in self.meanings if close(value, constant, doubt))

    def conventions_of(self, factor: float, doubt: float) -> list[tuple[Part, ...]]:
        """Conventions that together multiply everything with a factor, the likeliest first."""
        found = [parts for value, parts in self.products if close(value, factor, doubt)]
        return sorted(found, key=total)


def _meanings(own: Constants) -> list[tuple[str, float]]:
    n, k, named = own.samples, own.outputs, [("2", 2.0), ("1/2", 0.5), ("-1", -1.0), ("-2", -2.0), ("-1/2", -0.5)]
    if n > 1:
        named += [("n", n), ("1/n", 1 / n), ("n/2", n / 2), ("2/n", 2 / n), ("1/(2n)", 1 / (2 * n)), ("2n", 2 * n)]
        named += [("-n", -n), ("-1/n", -1 / n), ("n²", n * n), ("1/n²", 1 / n**2), ("n/(n-1)", n / (n - 1))]
        named += [("(n-1)/n", (n - 1) / n), ("n-1", n - 1), ("1/(n-1)", 1 / (n - 1)), ("n/(n+1)", n / (n + 1))]
    if k > 1:
        named += [("K", k), ("1/K", 1 / k), ("K/2", k / 2), ("2/K", 2 / k), ("2K", 2 * k), ("1/(2K)", 1 / (2 * k))]
    if n > 1 and k > 1:
        named += [("nK", n * k), ("1/(nK)", 1 / (n * k)), ("nK/2", n * k / 2), ("2/(nK)", 2 / (n * k))]
        named += [("n/K", n / k), ("K/n", k / n)]
    if own.rate is not None:
        named += [("the rate", own.rate), ("1/rate", 1 / own.rate)]
    if own.l2:
        named += [("1 + λ", 1 + own.l2), ("1 - λ", 1 - own.l2), ("λ", own.l2)]
        named += [] if own.rate is None else [("1 - rate λ", 1 - own.rate * own.l2)]
    named += [(f"{number}", float(number)) for number in (3, 4, 8, 10)]
    named += [("1/3", 1 / 3), ("1/4", 0.25), ("0.1", 0.1), ("0.01", 0.01), ("1e-3", 1e-3), ("100", 100.0)]
    return [(text, float(value)) for text, value in named if value != 1]


def _products(prepared: Prepared, rate: float | None) -> list[tuple[float, tuple[Part, ...]]]:
    """Every choice of at most so many conventions, and by what it multiplies everything."""
    program = prepared.program
    kinds: list[list[tuple[float, Part]]] = []
    for ids in CONVENTIONS:
        kind = []
        for mistake_id in ids:
            for layer, variant in places(prepared, mistake_id):
                if variant in ("at-the-end", "first-skipped", "last-skipped"):
                    continue
                changed = applied(program, Slip(mistake_id, layer, variant))
                size = float((program.ct_outputs**2).sum())
                if changed is not None and size > 0:
                    ct = changed.ct_outputs
                    factor = float((ct * program.ct_outputs).sum()) / size
                    kind.append((factor, part(mistake_id, (), variant)))
        kinds.append(kind)
    kinds.append([(2.0, part("accumulated"))])
    if rate is not None:
        kinds.append([(-1.0, part("ascends"))])
        kinds.append([(rate, part("learning-rate-twice"))])
    found = []
    for chosen in itertools.product(*([None, *kind] for kind in kinds)):
        taken = [one for one in chosen if one is not None]
        if 1 <= len(taken) <= MOST_CONVENTIONS:
            factor = math.prod(value for value, _ in taken)
            if not close(factor, 1.0):
                first, *others = sorted((part for _, part in taken), key=lambda part: -part.cost)
                found.append((factor, (first, *(part._replace(cost=BESIDE) for part in others))))
    return found


def joined(parts: Iterable[Part], more: float) -> tuple[Part, ...]:
    """Parts with those of one mistake, by one constant, in several layers made one.

    Args:
        parts: to be joined.
        more: what each further layer costs.
    """
    found: dict[tuple[str, str | None, object], Part] = {}
    for one in parts:
        rounded = float(f"{one.value:.9g}") if isinstance(one.value, float) else one.value
        key = one.id, one.variant, rounded
        if key in found:
            layers = tuple(sorted({*found[key].layers, *one.layers}))
            found[key] = found[key]._replace(layers=layers, cost=found[key].cost + more)
        else:
            found[key] = one
    return tuple(found.values())


def total(parts: Sequence[Part]) -> float:
    """The cost of several."""
    return sum(part.cost for part in parts)
