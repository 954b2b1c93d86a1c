"""What can be said of wrong arrays that no mistake explains: how each is related to the right one.

A multiple of it, transposed, in another order, right but for some entries, or each unit, each feature, each sample with
a weight of its own. Nothing is said of arrays so small that it would say nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.case import layer_of, parameter_of
from functional_mlp.oracle.diagnosis.candidates import Discrepancy
from functional_mlp.oracle.diagnosis.composition import MOST_WORK, Constants, of_each_sample

WHOLE = 1e-3  # how far the weight of a sample may be from 0 or 1
FEW = 4  # numbers that are printed
MOST_ROWS = 64  # of an array whose rows are looked for in another order


class Relation(NamedTuple):
    """What can be said of wrong arrays that no mistake explains.

    Attributes:
        kind: such as "scaled" or "transposed".
        paths: of the arrays that it is said of.
        numbers: that belong to it, such as the factor, or one for each unit.
        sentence: what is said.
    """

    kind: str
    paths: tuple[str, ...]
    numbers: tuple[float, ...]
    sentence: str


class _Pair(NamedTuple):
    """An array that was given beside the right one.

    Attributes:
        given, right: the arrays.
        parameter: of which it is the gradient, or None.
        allowed: how far an entry of them may be off.
        constants: that may be met.
    """

    given: Array
    right: Array
    parameter: Array | None
    allowed: float
    constants: Constants

    def near(self, one: Array, other: Array, factor: float = 1.0) -> bool:
        """Whether two arrays agree."""
        return bool((np.abs(one - other) <= self.allowed * max(1.0, abs(factor))).all())


Said = tuple[str, tuple[float, ...]]  # of "it is …", and the numbers in it


def relations(question: Discrepancy, paths: Iterable[str]) -> tuple[Relation, ...]:
    """How some wrong arrays are related to the right ones; those that are related alike together."""
    constants, paths = Constants(question.prepared, question.rate), list(paths)
    found: dict[tuple[str, str], tuple[list[str], tuple[float, ...]]] = {}
    left = []
    for path in sorted(paths, key=lambda path: (-layer_of(path), path)):
        of_arrays = path.startswith(("params", "deltas", "ct_inputs"))
        said = _related(question, path, constants, alone=len(paths) == 1) if of_arrays else None
        if said is None:
            left.append(path)
            continue
        kind, (words, numbers) = said
        found.setdefault((kind, words), ([], numbers))[0].append(path)
    related = [
        Relation(kind, tuple(own), numbers, _sentence(own, words)) for (kind, words), (own, numbers) in found.items()
    ]
    return (*related, *_of_samples(question, [path for path in left if path.startswith("params")]))


def _sentence(paths: Sequence[str], words: str) -> str:
    if len(paths) == 1:
        return f"{paths[0]} is {words}"
    return f"{', '.join(paths[:-1])} and {paths[-1]} are each {words}"


def _related(question: Discrepancy, path: str, constants: Constants, *, alone: bool) -> tuple[str, Said] | None:
    """What one array is, or None; of a single number only where it `alone` is wrong: others it may be by chance."""
    given, right = question.given[path], question.truth[path]
    if given.shape != right.shape or given.size < (1 if alone else 2) or not np.isfinite(given).all():
        return None
    largest = max(float(np.abs(given).max()), float(np.abs(right).max()))
    allowed = float(question.allowed[path].max()) + 4 * question.relative[path] * largest
    parameter = parameter_of(question.case, path) if path.startswith("params") else None
    pair = _Pair(given, right, parameter, allowed, constants)
    for kind, relation in RELATIONS.items():
        said = relation(pair)
        if said is not None:
            return kind, said
    return None


def _listed(numbers: Sequence[float]) -> str:
    shown = ", ".join(f"{number:.4g}" for number in numbers[:FEW])
    return shown if len(numbers) <= FEW else f"{shown}, …"


def _zero(pair: _Pair) -> Said | None:
    return None if pair.given.any() else ("0 everywhere", ())


def _scaled(pair: _Pair) -> Said | None:
    factor = _factor(pair.given, pair.right)
    enough = np.count_nonzero(pair.right) >= min(2, pair.right.size)
    if not enough or factor == 0 or not pair.near(pair.given, factor * pair.right, factor):
        return None
    meaning = pair.constants.meaning_of(factor, 1e-9)
    words = f" ({meaning[0]})" if meaning and meaning[0] != f"{factor:.6g}" else ""
    shown = f"{factor:.6g}" if f"{factor:.6g}" != "1" else f"1 {'+' if factor > 1 else '-'} {abs(factor - 1):.2g}"
    return f"{shown}{words} times the right one", (factor,)


def _transposed(pair: _Pair) -> Said | None:
    square = pair.given.ndim == 2 and pair.given.shape[0] == pair.given.shape[1]
    return ("the transpose of the right one", ()) if square and pair.near(pair.given, pair.right.T) else None


def _with_parameters(pair: _Pair) -> Said | None:
    if pair.parameter is None or pair.given.size < 3:
        return None
    for words, column in (("the parameters", pair.parameter), ("their signs", np.sign(pair.parameter))):
        times = _factor(pair.given - pair.right, column)
        if times != 0 and pair.near(pair.given, pair.right + times * column):
            return f"the right one plus {times:.6g} times {words}", (times,)
    return None


def _one_number(pair: _Pair) -> Said | None:
    number = float(pair.given.flat[0])
    return (
        (f"{number:.6g} in every entry", (number,)) if pair.near(pair.given, np.full_like(pair.given, number)) else None
    )


def _signs(pair: _Pair) -> Said | None:
    return ("right but for signs", ()) if pair.near(np.abs(pair.given), np.abs(pair.right)) else None


def _mostly_right(pair: _Pair) -> Said | None:
    wrong = np.abs(pair.given - pair.right) > pair.allowed
    count = int(wrong.sum())
    if not 0 < count <= wrong.size // 2:
        return None
    for axis, name in ((1, "row"), (0, "column")) if wrong.ndim == 2 else ():
        lines = np.flatnonzero(wrong.any(axis=axis))
        if len(lines) * wrong.shape[axis] <= wrong.size // 2:
            zero = not np.any(np.take(pair.given, lines, axis=1 - axis))
            which = f"{name}{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines[:FEW]))}"
            return f"right but for {which}{', which is 0' if zero else ''}", tuple(map(float, lines))
    first = ", ".join(map(str, np.argwhere(wrong)[0]))
    return f"right but for {count} of {wrong.size} entries, such as [{first}]", (float(count),)


def _by_line(axis: int, words: str) -> Callable[[_Pair], Said | None]:
    """Each line along an axis with a factor of its own."""

    def relation(pair: _Pair) -> Said | None:
        if pair.given.ndim != 2 or pair.given.shape[axis] < 2 or pair.given.shape[1 - axis] < 2:
            return None
        under = np.sum(pair.right**2, axis=axis)
        if not (under > 0).all():
            return None
        factors = np.sum(pair.given * pair.right, axis=axis) / under
        made = pair.right * np.expand_dims(factors, axis)
        if not pair.near(pair.given, made, float(np.abs(factors).max())):
            return None
        return f"the right one with {words} ({_listed(list(factors))}) times", tuple(map(float, factors))

    return relation


def _in_another_order(pair: _Pair) -> Said | None:
    for axis, name in ((0, "rows"), (1, "columns")) if pair.given.ndim == 2 else ((0, "entries"),):
        given, right = (
            np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1) for array in (pair.given, pair.right)
        )
        if 1 < len(given) <= MOST_ROWS:
            apart = np.abs(given[:, None] - right[None]).max(axis=2) <= pair.allowed
            if (apart.sum(axis=1) == 1).all() and (apart.sum(axis=0) == 1).all():
                order = np.argmax(apart, axis=1)
                return f"the right one with its {name} in the order {_listed(list(order))}", tuple(map(float, order))
    return None


def _rank_one(pair: _Pair) -> Said | None:
    if pair.given.ndim != 2 or min(pair.given.shape) < 2 or pair.constants.samples < 2:
        return None
    sizes, right = (np.linalg.svd(array, compute_uv=False) for array in (pair.given, pair.right))
    if sizes[1] > pair.allowed * pair.given.size or right[1] <= pair.allowed * pair.given.size:
        return None
    return "of rank one, a product of one column and one row: a sum over the samples was lost", ()


# the first that holds is said
RELATIONS: dict[str, Callable[[_Pair], Said | None]] = {
    "zero": _zero,
    "scaled": _scaled,
    "transposed": _transposed,
    "with-parameters": _with_parameters,
    "one-number": _one_number,
    "signs": _signs,
    "mostly-right": _mostly_right,
    "per-unit": _by_line(0, "each unit"),
    "per-feature": _by_line(1, "each input"),
    "order": _in_another_order,
    "rank-one": _rank_one,
}


def _factor(given: Array, own: Array) -> float:
    size = float(np.sum(own * own))
    return float(np.sum(given * own)) / size if size > 0 else 0.0


def _of_samples(question: Discrepancy, paths: Sequence[str]) -> tuple[Relation, ...]:
    """That each sample counts with a weight of its own in some arrays, together or by themselves, if it does."""
    together = _per_sample(question, paths)
    alone = () if together or len(paths) < 2 else (_per_sample(question, [path]) for path in paths)
    return tuple(one for one in (together, *alone) if one is not None)


def _per_sample(question: Discrepancy, own: Sequence[str]) -> Relation | None:
    """The weights of samples by which some arrays are sums over them; None if there are none."""
    program, samples = question.prepared.program, len(question.case.inputs)
    entries = sum(question.given[path].size for path in own)
    if samples < 2 or entries < samples + 3 or entries * samples**2 > MOST_WORK:
        return None
    rows, given, loose = [], [], []
    for path in own:
        layer, name = layer_of(path), path.partition(".")[2]
        inputs, delta = (
            np.asarray(array, np.float64) for array in (program.inputs_of_layers[layer], program.found.ct_z[layer])
        )
        each = of_each_sample(inputs, delta, name)
        right = each.sum(axis=1)
        rows.append(each)
        given.append((question.given[path] - question.truth[path]).ravel() + right)  # without the penalty
        largest = np.abs(question.given[path]).max()
        loose.append(np.full(len(right), question.allowed[path].max() + 8 * question.relative[path] * largest))
    basis, target, allowed = np.concatenate(rows), np.concatenate(given), np.concatenate(loose)
    if not np.isfinite(basis).all() or not np.isfinite(target).all():
        return None
    seen = (np.abs(basis) > allowed[:, None]).any(axis=0)  # the others count as they should, as far as anybody can see
    if not seen.any():
        return None
    sizes = np.linalg.norm(basis[:, seen], axis=0)
    left = target - basis[:, ~seen].sum(axis=1)
    scaled, _, rank, _ = np.linalg.lstsq(basis[:, seen] / sizes, left, rcond=1e-10)
    weights = np.ones(samples)
    weights[seen] = scaled / sizes
    if rank < len(sizes) or (np.abs(basis @ weights - target) > allowed).any():
        return None
    return Relation("per-sample", tuple(own), tuple(map(float, weights)), _sentence(own, _in_words(weights)))


def _in_words(weights: np.ndarray) -> str:
    """A sum over samples by what each counts."""
    out, samples = np.flatnonzero(np.abs(weights) < WHOLE), len(weights)
    if not len(out) or (np.abs(np.delete(weights, out) - 1) > WHOLE).any():
        return f"the sum over samples with the weights {_listed(list(weights))} in place of 1"
    if out[0] == samples - len(out):
        return f"the sum over the first {samples - len(out)} of {samples} samples: the rest are left out"
    if out[-1] == len(out) - 1:
        return f"the sum over the last {samples - len(out)} of {samples} samples: the rest are left out"
    left = ", ".join(str(sample + 1) for sample in out[:FEW]) + (", …" if len(out) > FEW else "")
    return f"the sum over the {samples} samples without number {left}"
