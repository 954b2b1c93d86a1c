"""What may be other than declared in a loss value, one by one and in pairs, with how likely it is."""

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any

from functional_mlp.losses import KINDS, OPTIONS, Loss
from functional_mlp.oracle.case import Case
from functional_mlp.oracle.diagnosis.loss_value.values import Change, Computed
from functional_mlp.oracle.mistakes import OF_PROBABILITIES

# kinds by how often they are taken for others
KINDS_TAKEN = (
    *("squared_error", "binary_cross_entropy", "categorical_cross_entropy", "sigmoid_cross_entropy"),
    *("softmax_cross_entropy", "absolute_error", "kl_divergence", "softmax_kl_divergence", "huber", "log_cosh"),
    *("hinge", "multiclass_hinge", "sigmoid_focal", "softmax_focal"),
)
EPSILONS = (*(10.0**-power for power in range(3, 17)), 2.0**-52, 2.0**-23)
# what is changed at once in one program
TOGETHER = (
    *(("reduction", other) for other in ("scale", "kind", "penalty", "biases", "option", "epsilon", "root")),
    *(("scale", "kind"), ("scale", "penalty"), ("kind", "penalty"), ("penalty", "biases")),
)


def singles(case: Case) -> list[tuple[Change, ...]]:
    """Every change alone, of a case with a loss."""
    return [(change,) for change in _changes(case, case.loss)]  # type: ignore[arg-type]


def pairs(case: Case) -> list[tuple[Change, ...]]:
    """Two changes that go together, of a case with a loss."""
    able = [change for (change,) in singles(case) if change.pairs]
    allowed = {frozenset(pair) for pair in TOGETHER}
    return [pair for pair in combinations(able, 2) if frozenset(change.what for change in pair) in allowed]


def _changes(case: Case, loss: Loss) -> Iterator[Change]:
    """All single changes of a loss, the kind's first: what comes later keeps what they made."""
    yield from _of_kind(loss)
    yield from _of_options(case, loss)
    yield from _of_reductions(case, loss)
    yield from _of_scale(case, loss)
    yield from _of_epsilon(loss)
    yield from _of_penalty(case, loss)
    yield from _of_rows(case, loss)


@functools.lru_cache(maxsize=4096)
def _altered(loss: Loss, kind: str | None, fields: tuple[tuple[str, Any], ...]) -> Loss:
    """A loss of another kind, if one is given, and with other fields. Cached: a loss checks all its fields."""
    return replace(loss if kind is None else loss.of_kind(kind), **dict(fields))


def _with(kind: str | None = None, **fields: Any) -> Callable[[Computed], Computed]:
    """The data term of another kind, and with other fields."""
    items = tuple(fields.items())
    return lambda computed: computed._replace(loss=_altered(computed.loss, kind, items))


def _scaled(factor: float) -> Callable[[Computed], Computed]:
    return lambda computed: computed._replace(scale=computed.scale * factor)


def _all_scaled(factor: float) -> Callable[[Computed], Computed]:
    return lambda c: c._replace(scale=c.scale * factor, l2=c.l2 * factor, l1=c.l1 * factor)


def _penalised(**fields: Any) -> Callable[[Computed], Computed]:
    """Other coefficients of the penalties."""
    return lambda computed: computed._replace(**fields)


def _of_kind(loss: Loss) -> Iterator[Change]:
    for rank, kind in enumerate(KINDS_TAKEN):
        if kind != loss.kind:
            words = f"{kind} where the case declares {loss.kind}"
            yield Change("kind", words, 3 + rank, _with(kind))
    if loss.kind == "squared_error":
        yield Change("root", "the square root of the loss", 4, lambda c: c._replace(root=True))


def _of_options(case: Case, loss: Loss) -> Iterator[Change]:
    plain = Loss(loss.kind)
    for option in (option for option in loss.as_fields() if option in OPTIONS):
        yield Change("option", f"the loss without its {option}", 3, _with(**{option: getattr(plain, option)}))
    if case.sample_weights is not None:
        words = "samples that count alike where the case gives them weights"
        yield Change("option", words, 3, lambda c: c._replace(weighted=False))


def _of_reductions(case: Case, loss: Loss) -> Iterator[Change]:
    named = {"sum": "a sum", "mean": "a mean", "batch_mean": "a mean that divides by the number of samples"}
    own, samples, outputs = (loss.over_samples, loss.over_outputs), len(case.inputs), case.network.sizes[-1]
    over_samples = ("sum", "mean", *(("batch_mean",) if case.sample_weights is not None else ()))
    for pair in [(first, second) for first in over_samples for second in ("sum", "mean")]:
        by_samples, by_outputs = (one != other for one, other in zip(pair, own, strict=True))
        if (by_samples and samples == 1) or (by_outputs and outputs == 1) or not (by_samples or by_outputs):
            continue
        if by_samples and by_outputs:
            words, declared = (
                f"{named[first]} over the samples and {named[second]} over the outputs" for first, second in (pair, own)
            )
            words = f"{words} where the case declares {declared}"
        else:
            over = "samples" if by_samples else "outputs"
            first, second = (one[not by_samples] for one in (pair, own))
            words = f"{named[first]} over the {over} where the case declares {named[second]}"
        fields = {"over_samples": pair[0], "over_outputs": pair[1]}
        yield Change("reduction", words, by_samples + by_outputs, _with(**fields))


def _of_scale(case: Case, loss: Loss) -> Iterator[Change]:
    samples, outputs = len(case.inputs), case.network.sizes[-1]
    factors = [(0.5, "half", 2, True), (2.0, "twice", 2, True), (-1.0, "the negative of", 2, True)]
    if loss.scale != 1 and loss.scale != 0:
        factors.append((1 / loss.scale, f"1/{loss.scale:g} times (without the declared scale)", 1, True))
    if "cross_entropy" in loss.kind or "kl_divergence" in loss.kind:
        factors += [(1 / math.log(base), f"logarithms to base {base}, in", 4, True) for base in (2, 10)]
    for number, name, reduction in ((samples, "samples", loss.over_samples), (outputs, "outputs", loss.over_outputs)):
        if number > 1:
            times = f"the number of {name}, {number}, times"
            over = f"1/{number}, one over the number of {name}, times"
            factors.append((number, times, 5, False) if reduction == "sum" else (1 / number, over, 5, False))
    if loss.over_samples == "mean" and samples > 1:
        factors += [
            (
                samples / (samples + sign),
                f"a division by {samples + sign} for the mean of {samples} samples, in",
                6,
                False,
            )
            for sign in (-1, 1)
        ]
    for factor, words, rank, pairs in factors:
        of_data = "its data term" if loss.penalises else "the loss"
        yield Change("scale", f"{words} {of_data}", rank, _scaled(factor), pairs)
        if loss.penalises:
            words = f"{words} the loss, the penalty too"
            yield Change("scale", words, rank, _all_scaled(factor), pairs)


def _of_epsilon(loss: Loss) -> Iterator[Change]:
    inside = OF_PROBABILITIES.get(loss.kind)
    kind = loss.kind if inside is None else inside[0]
    if not KINDS[kind].of_probabilities:
        return
    for epsilon in EPSILONS:
        if "epsilon" in KINDS[kind].parameters and epsilon != loss.epsilon:
            words = f"log(p + {epsilon:.4g}) where the case declares log(p)"
            yield Change("epsilon", words, 3, _with(kind, epsilon=epsilon))
        yield Change("epsilon", f"probabilities clipped to {epsilon:.4g} from 0 and 1", 4, _clipped(kind, epsilon))


def _clipped(kind: str, epsilon: float) -> Callable[[Computed], Computed]:
    return lambda computed: computed._replace(loss=_altered(computed.loss, kind, ()), clip=epsilon)


def _of_penalty(case: Case, loss: Loss) -> Iterator[Change]:
    if not loss.penalises:
        return
    n = len(case.inputs)
    yield Change("penalty", "the loss without its penalty", 1, _penalised(l2=0.0, l1=0.0))
    yield Change("penalty", "a penalty that is subtracted", 3, _penalised(l2=-loss.l2, l1=-loss.l1))
    if loss.l2:
        yield Change("penalty", "an L2 penalty without its factor ½", 2, _penalised(l2=2 * loss.l2))
        yield Change("penalty", "half of the declared L2 penalty", 2, _penalised(l2=loss.l2 / 2))
        yield Change("penalty", "an L1 penalty where the case declares L2", 6, _penalised(l1=loss.l1 + loss.l2, l2=0.0))
    for factor, words in (
        (1 / n, f"divided by the number of samples, {n}"),
        (n, f"taken once for each of {n} samples"),
    ):
        if n > 1:
            yield Change("penalty", f"a penalty {words}", 2, _penalised(l2=factor * loss.l2, l1=factor * loss.l1))
            if loss.l2:
                doubled = _penalised(l2=2 * factor * loss.l2, l1=factor * loss.l1)
                yield Change("penalty", f"a penalty {words}, and without its factor ½", 3, doubled)
    if any(layer.bias is not None and layer.bias.any() for layer in case.params):
        words = "that spares the biases" if loss.l2_on_bias else "on the biases too"
        yield Change("biases", f"a penalty {words}", 3, _penalised(l2_on_bias=not loss.l2_on_bias))


def _of_rows(case: Case, loss: Loss) -> Iterator[Change]:
    n = len(case.inputs)
    if n < 2:
        return
    every = tuple(range(n))
    kept = {"all samples but the last": every[:-1], "all samples but the first": every[1:]}
    kept |= {"the last sample alone": every[-1:], "the first sample alone": every[:1]}
    for words, rows in kept.items():
        yield Change("rows", words, 5, lambda c, rows=rows: c._replace(rows=rows), False)  # type: ignore[misc]
        if loss.over_samples != "sum":  # a mean over these samples alone

            def averaged(computed: Computed, rows: tuple[int, ...] = rows) -> Computed:
                return _scaled(n / len(rows))(computed._replace(rows=rows))

            yield Change("rows", f"the mean over {words}", 5, averaged, False)
