"""What multiplies which arrays: the factors of several fits, with their penalties, read as few mistakes.

Each array that a program explains comes with a factor and with coefficients of its penalties. Factors that all arrays
share, or all biases, or a layer and those below, are one mistake and not many; the shape that needs the fewest and the
likeliest mistakes is taken.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from functional_mlp.oracle.case import FIELDS
from functional_mlp.oracle.diagnosis.composition.constants import (
    ONE_OF_SEVERAL,
    RELATION,
    UNNAMED,
    Constants,
    Part,
    close,
    joined,
    part,
    total,
)
from functional_mlp.oracle.diagnosis.composition.fits import Explained, Fit
from functional_mlp.oracle.diagnosis.composition.penalties import penalties_of, penalty_times, with_its_penalty

MOST_SHAPES = 3  # of several arrays
MOST_ODD = 2  # arrays by themselves with a factor that means nothing
MOST_READINGS = 12
NEAR_BEST = 8.0  # in cost: readings that are kept beside the best one


class Shape(NamedTuple):
    """Some arrays that one constant multiplies.

    Attributes:
        kind: "all", "weights", "biases", "layer", "down" (a layer and those below), "one" array, "growing" by layer.
        layer: of the last four kinds; None for others.
        exponents: of the constant, by path.
    """

    kind: str
    layer: int | None
    exponents: Mapping[str, int]


def readings(explained: Sequence[Explained], constants: Constants) -> list[tuple[Part, ...]]:
    """The mistakes that the factors and penalties of some arrays show, the likeliest reading first.

    Returns:
        () as the only reading if all arrays are those of the program; no reading if none was found.
    """
    found = _readings(explained, explained, constants)
    declared = [one for one in explained if one.observed.l2]
    penalised = [one for one in declared if (one.fit.l2, one.fit.l1) == (0.0, one.observed.l1)]
    if penalised and all(one in penalised for one in declared if one.observed.kind == "weights"):
        grown = 1 + constants.l2  # λ times the gradient was added, and not λ times the parameter
        others = [one for one in explained if one not in penalised]
        smaller = [one._replace(fit=one.fit._replace(factor=one.fit.factor / grown)) for one in penalised]
        read = _readings([*smaller, *others], others, constants)
        found += [(*parts, part("l2-on-gradient")) for parts in read]
    if declared and all(_is_negated(one) for one in declared):
        negated = [one._replace(fit=_negated(one.fit)) for one in explained]  # the penalty's gradient as well
        flipped = part("sign-flipped" if constants.rate is None else "ascends")
        found += [(flipped, *parts) for parts in _readings(negated, negated, constants)]
    found.sort(key=total)
    return [parts for parts in found if total(parts) <= total(found[0]) + NEAR_BEST]


def _is_negated(one: Explained) -> bool:
    return close(one.fit.l2, -one.observed.l2, max(1e-9, 8 * one.observed.relative / one.observed.l2))


def _negated(fit: Fit) -> Fit:
    return fit._replace(factor=-fit.factor, l2=-fit.l2, l1=-fit.l1)


def _readings(
    explained: Sequence[Explained], penalised: Sequence[Explained], constants: Constants
) -> list[tuple[Part, ...]]:
    """The readings of the factors of some arrays, and of the penalties of some of them."""
    penalties = penalties_of(penalised, constants)
    if penalties is None:
        return []
    zero = [one for one in explained if one.fit.factor == 0]
    shared = [one for one in explained if one.fit.factor != 0 and not one.is_of_zero]  # 0 is any multiple of itself
    zeros = _zeros(zero, [one for one in explained if one.fit.factor != 0], constants)
    return [(*parts, *zero, *penalties) for parts in _factors(shared, constants) for zero in zeros]


# factors


def _factors(explained: Sequence[Explained], constants: Constants) -> list[tuple[Part, ...]]:
    """The readings of the factors; each () if they are all 1."""
    factors = {one.observed.path: one.fit.factor for one in explained}
    doubts = {one.observed.path: one.fit.doubt for one in explained}
    shapes = _shapes(explained, constants)
    single = {path: shape for shape in shapes for path in _only(shape)}
    wide = [shape for shape in shapes if not _only(shape)]
    solutions: list[list[tuple[Shape, float, float]]] = []
    _cover(factors, doubts, wide, single, [], solutions)
    found: list[tuple[Part, ...]] = []
    for solution in solutions:
        alone = ((constant, max(doubt, 1e-9)) for shape, constant, doubt in solution if _only(shape))
        if sum(not constants.meaning_of(*one) for one in alone) > MOST_ODD:
            continue  # as many numbers as arrays say nothing
        choices: list[tuple[Part, ...]] = [()]
        for shape, constant, doubt in solution:
            named = _named(shape, constant, doubt, explained, constants)
            choices = [(*before, *parts) for before in choices for parts in named]
            choices = sorted(choices, key=total)[:MOST_READINGS]
        found += [joined(parts, ONE_OF_SEVERAL) for parts in choices]
    # every array by itself, and all alike: that is the loss
    found = [parts for parts in found if not any(_is_of_everything(one, constants) for one in parts)]
    found.sort(key=total)
    return found[:MOST_READINGS]


def _is_of_everything(one: Part, constants: Constants) -> bool:
    return (one.id, one.variant) == ("array-scaled", "both") and len(one.layers) == constants.depth > 1


def _only(shape: Shape) -> list[str]:
    """The array that a shape consists of, if that is one."""
    paths = [path for path, exponent in shape.exponents.items() if exponent]
    return paths if len(paths) == 1 else []


def _cover(
    left: Mapping[str, float],
    doubts: Mapping[str, float],
    wide: Sequence[Shape],
    single: Mapping[str, Shape],
    taken: list[tuple[Shape, float, float]],
    solutions: list[list[tuple[Shape, float, float]]],
) -> None:
    """Every choice of a few wide shapes, each of which brings two arrays at least to 1, and the rest by themselves."""
    off = [path for path, factor in left.items() if not close(factor, 1.0, doubts[path])]
    if all(path in single for path in off):
        rest = [
            (single[path], _root(left[path], single[path].exponents[path]), doubts[path])
            for path in off
            if single[path].exponents[path] % 2 or left[path] > 0
        ]
        if len(rest) == len(off):
            solutions.append([*taken, *rest])
    if len(taken) == MOST_SHAPES:
        return
    for number, shape in enumerate(wide):
        tried: list[float] = []
        for path in (path for path in off if shape.exponents.get(path)):
            exponent = shape.exponents[path]
            if left[path] < 0 and exponent % 2 == 0:
                continue
            constant = _root(left[path], exponent)
            if any(close(constant, other, doubts[path]) for other in tried):
                continue
            tried.append(constant)
            after = {path: factor / constant ** shape.exponents.get(path, 0) for path, factor in left.items()}
            still = sum(not close(factor, 1.0, doubts[path]) for path, factor in after.items())
            if still <= len(off) - 2:
                taken.append((shape, constant, doubts[path]))
                _cover(after, doubts, wide[number + 1 :], single, taken, solutions)
                taken.pop()


def _root(factor: float, exponent: int) -> float:
    return float(np.sign(factor) * abs(factor) ** (1 / exponent))


def _shapes(explained: Sequence[Explained], constants: Constants) -> list[Shape]:
    """Every shape of these arrays that differs on the arrays of the case."""
    depth, params = constants.depth, constants.case.params
    kinds = {one.observed.path: (one.observed.layer, one.observed.kind) for one in explained}
    every = [(layer, kind) for layer in range(depth) for kind in FIELDS if getattr(params[layer], kind) is not None]
    seen: dict[tuple[int, ...], Shape] = {}

    def add(kind: str, layer: int | None, exponent: Callable[[int, str], int]) -> None:
        exponents = {path: exponent(*own) for path, own in kinds.items()}
        if any(exponents.values()):
            key = *(exponents.values()), *(exponent(*own) for own in every)
            seen.setdefault(key, Shape(kind, layer, {path: own for path, own in exponents.items() if own}))

    add("all", None, lambda layer, kind: 1)
    add("biases", None, lambda layer, kind: int(kind == "bias"))
    add("weights", None, lambda layer, kind: int(kind == "weights"))
    if depth > 2:
        add("growing", None, lambda layer, kind: depth - 1 - layer)
    for at in range(depth - 1):
        add("down", at, partial(_from_layer_down, at))
    for at in range(depth):
        add("layer", at, partial(_in_layer, at))
    for at, kind in kinds.values():
        add("one", at, partial(_in_array, at, kind))
    return list(seen.values())


def _from_layer_down(at: int, layer: int, kind: str) -> int:
    return int(layer <= at)


def _in_layer(at: int, layer: int, kind: str) -> int:
    return int(layer == at and kind in FIELDS)


def _in_array(at: int, of: str, layer: int, kind: str) -> int:
    return int((layer, kind) == (at, of))


def _named(
    shape: Shape, constant: float, doubt: float, explained: Sequence[Explained], constants: Constants
) -> list[tuple[Part, ...]]:
    """The mistakes that multiply a shape with a constant, the likeliest first."""
    kinds = {one.observed.path: one.observed.kind for one in explained}
    layers = tuple(sorted({one.observed.layer for one in explained if shape.exponents.get(one.observed.path)}))
    meanings = constants.meaning_of(constant, doubt)
    cost = RELATION if meanings else UNNAMED

    def scaled(mistake_id: str, variant: str | None, layers: tuple[int, ...], more: float = 0.0) -> tuple[Part, ...]:
        return (part(mistake_id, layers, variant, cost + more, value=constant, meanings=meanings),)

    def plain(mistake_id: str, layers: tuple[int, ...] = (), more: float = 0.0) -> tuple[Part, ...]:
        return (part(mistake_id, layers, more=more),)

    if shape.kind == "all" and constants.any_multiple:
        return [()]
    if shape.kind == "all":
        whole = any(with_its_penalty(one) for one in explained)
        found = [
            *_of_all(constant, doubt, whole, constants, scaled, plain),
            *_shortened(constant, explained, constants),
        ]
        declared = [one for one in explained if one.observed.l2 or one.observed.l1]
        if declared and all(one.fit.l2 == one.fit.l1 == 0 for one in declared):  # of no penalty nobody knows
            found += [plain("everything-divided-twice")] if _divides_again(constant, doubt, constants) else []
        return found
    if shape.kind in ("biases", "weights", "one"):
        kind = {"biases": "bias", "weights": "weights"}.get(shape.kind) or kinds[next(iter(shape.exponents))]
        if kind not in ("weights", "bias"):
            return []
        more = ONE_OF_SEVERAL if shape.kind == "one" else 0.0
        exact = _of_reduction(kind, constant, doubt, constants)
        return [*([plain(exact, layers, more)] if exact else []), scaled("array-scaled", kind, layers, more)]
    if shape.kind == "layer":
        flipped = [plain("layer-sign-flipped", layers)] if close(constant, -1.0, doubt) else []
        return [*flipped, scaled("array-scaled", "both", layers, ONE_OF_SEVERAL)]
    if shape.kind == "growing":
        averaged = close(constant, 1 / constants.samples, doubt) and constants.samples > 1
        return [*([plain("mean-per-layer")] if averaged else []), scaled("scale-by-layer", None, ())]
    at = shape.layer or 0
    found = []
    if close(constant, -1.0, doubt):
        found.append((part("layer-sign-flipped", (at,), "cotangent"),))
    if close(constant, 2.0, doubt) and constants.case.network.activations[at].name == "sigmoid":
        found.append(plain("sigmoid-derivative-doubled", (at,)))
    return [*found, scaled("array-scaled", "both", tuple(range(at + 1)), 2 * ONE_OF_SEVERAL)]


def _of_all(
    constant: float, doubt: float, whole: bool, constants: Constants, scaled: Callable, plain: Callable
) -> list[tuple[Part, ...]]:
    """The mistakes that multiply every gradient, with its penalty or without."""
    if whole:
        twice = [plain("everything-divided-twice")] if _divides_again(constant, doubt, constants) else []
        known = close(constant, 2.0, doubt) and "accumulated" not in constants.excluded
        accumulated = [plain("accumulated")] if known else []
        flipped = [plain("sign-flipped")] if close(constant, -1.0, doubt) else []
        again = constants.rate is not None and close(constant, constants.rate, doubt)
        flipped += [plain("learning-rate-twice")] if again else []
        penalty = penalty_times(constant, constants)
        both = [(*parts, penalty) for parts in constants.conventions_of(constant, doubt)[:6] if penalty is not None]
        return [*twice, *accumulated, *flipped, *both, scaled("loss-scaled", "loss-too", ())]
    return [*constants.conventions_of(constant, doubt)[:6], scaled("loss-scaled", "gradient", ())]


def _shortened(constant: float, explained: Sequence[Explained], constants: Constants) -> list[tuple[Part, ...]]:
    """The clipping of the whole gradient to a norm that people choose, which makes all of it smaller."""
    grads = {one.observed.path: one.observed.given for one in explained if one.observed.kind in FIELDS}
    every = sum(leaf is not None for layer in constants.case.params for leaf in layer)
    if not 0 < constant < 1 or len(grads) < every or "gradient-clipped" in constants.excluded:
        return []
    bound = math.sqrt(sum(float(np.vdot(given, given)) for given in grads.values()))
    round_ = float(f"{bound:.2g}")
    if not close(bound, round_, max(max(one.fit.doubt, one.observed.relative) for one in explained)):
        return []
    divided = [(part("gradient-normalised", (), "all"),)] if round_ == 1 else []
    return [*divided, (part("gradient-clipped", (), "by-norm", value=round_),)]


def _divides_again(constant: float, doubt: float, constants: Constants) -> bool:
    """Whether a constant is the 1/n of a loss that is a mean already."""
    return constants.averages and constants.samples > 1 and close(constant, 1 / constants.samples, doubt)


def _of_reduction(kind: str, constant: float, doubt: float, constants: Constants) -> str:
    """The mistake that divides an array by the number of samples too often or too seldom; "" if it is none."""
    if constants.samples == 1:
        return ""
    if constants.averages and close(constant, constants.divisor, doubt):
        return "bias-gradient-summed" if kind == "bias" else "weight-gradient-summed"
    if close(constant, 1 / constants.samples, doubt):
        twice = {"bias": "bias-divided-twice", "weights": "weights-divided-twice"}
        once = {"bias": "bias-gradient-averaged", "weights": "weight-gradient-averaged"}
        return (twice if constants.averages else once)[kind]
    return ""


# zeros


def _zeros(zeros: Sequence[Explained], others: Sequence[Explained], constants: Constants) -> list[tuple[Part, ...]]:
    """The mistakes by which arrays are 0 that should not be."""
    wrong = [one for one in zeros if one.observed.wrong and one.observed.kind in ("weights", "bias")]
    if not wrong:
        return [()]
    by_layer: dict[int, set[str]] = {}
    for one in wrong:
        by_layer.setdefault(one.observed.layer, set()).add(one.observed.kind)
    whole = tuple(
        layer
        for layer, kinds in sorted(by_layer.items())
        if "weights" in kinds and not any(one.observed.layer == layer and one.observed.kind == "bias" for one in others)
    )
    if constants.sums_to_zero and whole == tuple(range(constants.depth - 1)):
        last = (constants.depth - 1,)
        never = [part("layer-never-computed", whole), part("sum-product-swapped", last, "way-back")]
        return [(one,) for one in never if one.id not in constants.excluded]
    parts = [part("layer-never-computed", whole, more=ONE_OF_SEVERAL * (len(whole) - 1))] if whole else []
    weights = tuple(layer for layer, kinds in sorted(by_layer.items()) if "weights" in kinds and layer not in whole)
    if weights:
        parts.append(part("array-scaled", weights, "weights", value=0.0, meanings=("0",)))
    biases = tuple(layer for layer, kinds in sorted(by_layer.items()) if "bias" in kinds and layer not in whole)
    if not biases:
        return [tuple(parts)]
    computed = part("bias-never-computed", biases)
    every = not any(one.observed.kind == "bias" for one in others)
    found = [(*parts, computed)]
    if constants.rate is not None and every:
        found.insert(0, (*parts, part("bias-never-updated")))
    return found
