"""Which answers are right for a program: readings of its numbers that are as good as what was made.

Two tables. `SYNONYMS`: a fault that has other names, for some networks. `FACTORS`: mistakes that multiply gradients;
any of them that multiply the arrays alike, alone or together, are one reading. A mistake whose factor is fitted fits
whatever it multiplies: it is accepted, but never counts as a simpler explanation.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.accuracy.field.elementwise import Array
from benchmarks.accuracy.field.faults import Planted
from benchmarks.accuracy.field.faults.registry import ALL, BIASES, DATA, PENALTY, WEIGHTS, factors, ones
from benchmarks.accuracy.field.problems import Family

Answer = frozenset[str]  # the ids that must be named together
When = Callable[[Family, Planted], bool]
FITTED = {"loss-scaled", "array-scaled", "scale-by-layer", "samples-weighted-unevenly", "l2-coefficient-different"}


def _always(family: Family, planted: Planted) -> bool:
    return True


def _in(*names: str) -> When:
    """Every layer where it was made has one of these activations."""
    return lambda family, planted: all(family.activations[layer] in names for layer in planted.layers)


def _at_output(family: Family, planted: Planted) -> bool:
    return planted.layers == (family.last,)


def _below_output(family: Family, planted: Planted) -> bool:
    return family.last not in planted.layers


def _on_both_sides(family: Family, planted: Planted) -> bool:
    return family.last in planted.layers and len(planted.layers) > 1


def _halved_classes(family: Family, planted: Planted) -> bool:
    """Two classes, of which the Jacobian's diagonal alone gives one half."""
    return planted.number == 0.5 and family.outputs == 2 and family.activations[-1] == "softmax"


class Synonym(NamedTuple):
    """Other names of a fault.

    Attributes:
        of: its id, or its name where that is meant alone.
        answers: each of which is right, mistakes that belong together joined by "+".
        when: where it holds.
    """

    of: str
    answers: tuple[str, ...]
    when: When = _always


HALVED = ("squared-error-factor", "loss-scaled", "loss-mismatch")
SYNONYMS = (
    Synonym("relu-mask-missing", ("hidden-derivative-missing",), _below_output),
    Synonym("relu-mask-missing", ("output-derivative-missing",), _at_output),
    Synonym("relu-mask-missing", ("hidden-derivative-missing+output-derivative-missing",), _on_both_sides),
    Synonym("hidden-derivative-missing", ("relu-mask-missing",), _in("relu")),
    Synonym("output-derivative-missing", ("relu-mask-missing",), _in("relu")),
    Synonym("output-derivative-missing", ("loss-mismatch",), lambda f, p: f.loss == "squared_error"),
    Synonym("output-derivative-missing", tuple(f"loss-mismatch+{one}" for one in HALVED)),
    Synonym("relu' for sigmoid' or tanh'", ("hidden-derivative-missing",), _below_output),
    Synonym("relu' for sigmoid' or tanh'", ("output-derivative-missing",), _at_output),
    Synonym("relu' for sigmoid' or tanh'", ("hidden-derivative-missing+output-derivative-missing",), _on_both_sides),
    Synonym("tanh for tanh'", ("value-for-derivative",)),
    Synonym("1 + tanh^2", ("tanh-derivative-wrong",)),
    Synonym("a for sigmoid'", ("derivative-of-other-activation",)),  # softplus' is the sigmoid
    Synonym("the sigmoid of a for sigmoid'", ("value-for-derivative+derivative-of-wrong-variable",)),
    Synonym("leaky-slope-missing", ("derivative-of-other-activation",)),
    Synonym("softmax-jacobian-diagonal", ("derivative-of-other-activation",)),
    Synonym("softmax-jacobian-twice", ("loss-mismatch",)),
    Synonym("sigmoid-derivative-twice", ("loss-mismatch",)),
    Synonym("2(o - t) at once after a cross-entropy and sigmoid", ("sigmoid-derivative-twice+loss-scaled",)),
    Synonym("o - t at once after a cross-entropy and sigmoid", ("sigmoid-derivative-twice",)),
    Synonym("o - t at once after a cross-entropy and softmax", ("softmax-jacobian-twice",)),
    Synonym("loss-mismatch", ("output-derivative-missing",), lambda f, p: f.loss == "squared_error"),
    Synonym("loss-mismatch", tuple(f"loss-mismatch+{one}" for one in HALVED)),
    Synonym("loss-mismatch", ("loss-mismatch+loss-scaled",)),
    Synonym("o - t after logits", ("logits-as-probabilities",)),
    Synonym("logits-as-probabilities", ("loss-mismatch",)),
    Synonym("cross-entropy-half", ("loss-mismatch",)),
    Synonym("probabilities-as-logits", ("loss-mismatch",)),
    Synonym("targets-assumed-normalised", ("loss-mismatch",)),
    Synonym("bias-summed-to-scalar", ("scalar-broadcast",)),
    Synonym("bias-never-computed", ("bias-never-updated",)),
    Synonym("bias-never-updated", ("bias-never-computed",)),
    Synonym("sample-count-off-by-one", ("samples-weighted-unevenly",)),
    Synonym("overwritten", ("samples-weighted-unevenly",)),
    Synonym("samples-weighted-unevenly", ("sample-count-off-by-one",), lambda f, p: f.samples == 2),
    Synonym("a sum that starts at the second sample", ("overwritten",), lambda f, p: f.samples == 2),
    Synonym("l2-on-gradient", ("l2-on-summed-gradient",)),
    Synonym("l2-on-summed-gradient", ("l2-on-gradient",)),
    Synonym("silu' without its second term", ("derivative-of-other-activation",)),  # softplus' is the sigmoid
    Synonym("short-constant", ("activation-approximated",)),
    Synonym("slope-different", ("activation-missing",), lambda f, p: p.number == 1),
    Synonym("X in a later dW", ("layer-index-shifted",)),
    Synonym("the inputs of the layer before", ("network-input-used-as-input",), lambda f, p: p.layers == (1,)),
    Synonym("the layer's own output as its input", ("layer-index-shifted",)),
    Synonym("layer-never-computed", ("array-scaled",)),
    Synonym("clipped by the norm of all", ("loss-scaled", "array-scaled")),
    Synonym("divided by the norm of all", ("loss-scaled", "array-scaled")),
    Synonym("each array divided by its norm", ("array-scaled",)),
    Synonym("dead-unit-columns", ("relu-threshold",), lambda f, p: f.samples == 1),
)


REMARKS = (  # true of the numbers, though no answer
    Synonym("squared-error-factor", ("softmax-jacobian-diagonal", "derivative-of-other-activation"), _halved_classes),
    Synonym("scale-by-layer", ("sigmoid-derivative-doubled", "mean-per-layer")),
    Synonym("the inputs of the layer before", ("network-input-used-as-input",), lambda f, p: 1 in p.layers),
    Synonym("bias-from-weight-gradient", ("array-scaled",), lambda f, p: f.samples == 1),
    Synonym("X in a later dW", ("activated-output-used-as-input",)),
    Synonym("penalty-in-delta", ("l2-missing",)),
    Synonym("broadcast-column-row", ("sum-product-swapped",)),
    Synonym("weights-times-activations", ("sum-product-swapped",)),
    Synonym("scalar-broadcast", ("activated-output-used-as-input",)),
)


class Factor(NamedTuple):
    """A mistake of the catalogue that multiplies gradients, by numbers that are known.

    Attributes:
        id: of the mistake.
        values: the factors that it may have in a family.
        rows: which arrays it multiplies: weights', biases', the penalty's part; several such sets where either is met.
        single: whether it may be made in some layers alone.
    """

    id: str
    values: Callable[[Family], Sequence[float]]
    rows: tuple[tuple[int, ...], ...] = (DATA, ALL)
    single: bool = False


def _under_mean(factor: Callable[[Family], Sequence[float]]) -> Callable[[Family], Sequence[float]]:
    return lambda family: factor(family) if family.averages and family.samples > 1 else ()


def _under_sum(factor: Callable[[Family], Sequence[float]]) -> Callable[[Family], Sequence[float]]:
    return lambda family: factor(family) if not family.averages and family.samples > 1 else ()


def _n(family: Family) -> Sequence[float]:
    return (float(family.samples),)


def _per_n(family: Family) -> Sequence[float]:
    return (1 / family.samples,)


def _one_off(family: Family) -> Sequence[float]:
    return (family.samples / (family.samples - 1), family.samples / (family.samples + 1))


FACTORS = (
    Factor("mean-missing", _under_mean(_n)),
    Factor("mean-added", _under_sum(_per_n)),
    Factor("everything-divided-twice", _under_mean(_per_n)),
    Factor("outputs-summed-not-averaged", lambda f: (float(f.outputs),) if f.over_outputs == "mean" else ()),
    Factor("outputs-averaged-not-summed", lambda f: (1 / f.outputs,) if f.over_outputs == "sum" and f.loss else ()),
    Factor("squared-error-factor", lambda f: (2.0, 0.5) if f.loss == "squared_error" else ()),
    Factor("loss-mismatch", lambda f: (0.5,) if f.loss == "squared_error" else ()),
    Factor("loss-scale-missing", lambda f: (1 / f.scale,)),
    Factor("sample-count-off-by-one", _under_mean(_one_off)),
    Factor("sign-flipped", lambda f: (-1.0,)),
    Factor("ascends", lambda f: (-1.0,), (ALL,)),
    Factor("accumulated", lambda f: (2.0,)),
    Factor("sigmoid-derivative-doubled", lambda f: (2.0,) if f.activations[-1] == "sigmoid" else ()),
    Factor("bias-gradient-averaged", _under_sum(_per_n), (BIASES,), True),
    Factor("weight-gradient-averaged", _under_sum(_per_n), (WEIGHTS,), True),
    Factor("bias-divided-twice", _under_mean(_per_n), (BIASES,), True),
    Factor("weights-divided-twice", _under_mean(_per_n), (WEIGHTS,), True),
    Factor("bias-gradient-summed", _under_mean(_n), (BIASES,), True),
    Factor("weight-gradient-summed", _under_mean(_n), (WEIGHTS,), True),
    Factor("layer-sign-flipped", lambda f: (-1.0,), (ALL,), True),
    Factor("l2-sign", lambda f: (-1.0,), (PENALTY,)),
    Factor("l2-factor", lambda f: (2.0, 0.5), (PENALTY,)),
    Factor("l2-missing", lambda f: (0.0,), (PENALTY,)),
    Factor("l2-not-averaged", lambda f: (float(f.samples), 1 / f.samples), (PENALTY,)),
)


def answers(family: Family, planted: Sequence[Planted]) -> frozenset[Answer]:
    """All that is right for a program with these faults; those in no catalogue need no name."""
    listed = [one for one in planted if one.fault.id]
    others = [_names(family, one) for one in listed if one.fault.factors is None]
    scaling = [one for one in listed if one.fault.factors is not None]
    made = {frozenset().union(*picked) for picked in itertools.product(*others)}
    return frozenset(one | reading for one in made for reading in _readings(family, scaling))


def remarks(family: Family, planted: Sequence[Planted]) -> frozenset[str]:
    """Ids that are true of a program with these faults, though no answer: a factor may be another batch size's."""
    by_any = family.averages and any("loss-scaled" in answer for answer in answers(family, planted))
    said_besides = frozenset({"nominal-batch-size"} if by_any else ())
    return said_besides | frozenset(
        said
        for one in planted
        for synonym in REMARKS
        if synonym.of in (one.fault.id, one.fault.name) and synonym.when(family, one)
        for said in synonym.answers
    )


def simpler(family: Family, planted: Sequence[Planted]) -> bool:
    """Whether factors that were made together are fewer mistakes, none of them fitted, or cancel each other."""
    if sum(one.fault.factors is not None for one in planted) < 2:
        return False
    count = len({one.fault.id for one in planted if one.fault.id})
    return any(len(answer) < count and not answer & FITTED for answer in answers(family, planted))


def _names(family: Family, planted: Planted) -> list[Answer]:
    """What one fault may be called."""
    found = [frozenset({planted.fault.id})]
    for synonym in SYNONYMS:
        if synonym.of in (planted.fault.id, planted.fault.name) and synonym.when(family, planted):
            found += [frozenset(answer.split("+")) for answer in synonym.answers]
    return found


def _readings(family: Family, planted: Sequence[Planted]) -> set[Answer]:
    """The sets of mistakes that multiply the arrays as these faults do together, themselves among them."""
    if not planted:
        return {frozenset()}
    aim = _seen(family, ones(family))
    for one in planted:
        assert one.fault.factors is not None
        aim = aim * one.fault.factors(family, one.layers, one.number)
    aim = _seen(family, aim)
    found: set[Answer] = set()
    known = [named for named in _whole(family) if _finite(named[1])]
    for count in range(min(len(planted), 3) + 1):
        for picked in itertools.combinations(known, count):
            ids = frozenset(mistake for mistake, _ in picked)
            if len(ids) == count:
                rest = aim / _seen(family, np.prod([factor for _, factor in picked], axis=0)) if picked else aim
                found.update(ids | more for more in _by_arrays(family, rest))
    own = frozenset(one.fault.id for one in planted)
    return {own, *(answer for answer in found if not any(other < answer for other in found))}


def _finite(factor: Array) -> bool:
    return bool((factor != 0).all())


def _whole(family: Family) -> Iterator[tuple[str, Array]]:
    """Every known factor that multiplies all layers, as an array like those of faults."""
    layers = list(family.layers)
    for known in FACTORS:
        if known.single:
            continue
        for value, rows in itertools.product(known.values(family), known.rows):
            if value != 1 and (PENALTY not in known.rows or family.l2):
                yield known.id, factors(family, layers, rows, value)
    if family.samples > 1:
        yield "mean-per-layer", _geometric(family, 1 / family.samples)
    sigmoids = [layer for layer in layers if family.activations[layer] == "sigmoid"]
    for count in range(1, len(sigmoids) + 1):
        for some in itertools.combinations(sigmoids, count):
            made = ones(family)
            for layer in some:
                made[:2, : layer + 1] *= 2
            yield "sigmoid-derivative-doubled", made


def _geometric(family: Family, ratio: float) -> Array:
    made = ones(family)
    for layer in family.layers:
        made[:2, layer] = ratio ** (family.last - layer)
    return made


def _seen(family: Family, array: Array) -> Array:
    """Without the arrays that a family does not have."""
    seen = np.array(array)
    if not family.biased:
        seen[1] = 1
    if not family.l2:
        seen[2] = 1
    return seen


def _by_arrays(family: Family, rest: Array) -> Iterator[Answer]:
    """The sets of mistakes that multiply single arrays so."""
    same: Array = np.isclose(rest, 1, rtol=1e-9)
    if same.all():
        yield frozenset()
        return
    if (rest == 0).any() and not (rest[2] == 0).all():
        return
    if same[2].all():
        yield from _in_kinds(family, rest)
        yield from _of_everything(family, rest)
    elif same[:2].all():
        yield frozenset({"l2-coefficient-different"})
        yield frozenset({"l2-unexpected"})
    elif np.isclose(rest, rest[0, 0], rtol=1e-9).all():
        yield frozenset({"loss-scaled"})


def _of_everything(family: Family, rest: Array) -> Iterator[Answer]:
    if _is(family, rest, factors(family, list(family.layers), DATA, rest[0, 0])):
        yield frozenset({"loss-scaled"})
    if len(family.layers) > 1 and _is(family, rest, _geometric(family, rest[0, -2])):
        yield frozenset({"scale-by-layer"})


def _is(family: Family, rest: Array, factor: Array) -> bool:
    return np.allclose(rest, _seen(family, factor), rtol=1e-9)


def _in_kinds(family: Family, rest: Array) -> Iterator[Answer]:
    """Weights' and biases' gradients multiplied by themselves, or a layer's two alike."""
    choices = [_of_kind(family, rest[row], rows) for row, rows in ((0, WEIGHTS), (1, BIASES))]
    for picked in itertools.product(*choices):
        yield frozenset().union(*picked)
    flipped = (rest[0] == -1) & ((rest[1] == -1) | (not family.biased))
    if ((rest[0] == 1) & (rest[1] == 1) | flipped).all():
        yield frozenset({"layer-sign-flipped"})


def _of_kind(family: Family, row: Array, rows: tuple[int, ...]) -> list[Answer]:
    changed = row[~np.isclose(row, 1, rtol=1e-9)]
    if not changed.size:
        return [frozenset()]
    found: list[Answer] = [frozenset({"array-scaled"})]
    for known in FACTORS:
        if known.single and known.rows == (rows,):
            found += [
                frozenset({known.id}) for value in known.values(family) if np.isclose(changed, value, rtol=1e-9).all()
            ]
    return found
