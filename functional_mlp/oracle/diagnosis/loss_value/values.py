"""The value of a loss, computed as somebody may have computed it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from functional_mlp.activations import numpy_value
from functional_mlp.losses import KINDS, Loss, penalty_value
from functional_mlp.oracle.case import Case
from functional_mlp.oracle.mistakes import OF_PROBABILITIES
from functional_mlp.oracle.truth import Solution


class Computed(NamedTuple):
    """How a loss value may have been computed: scale · data term + l2 · ½Σw² + l1 · Σ|w|.

    Attributes:
        loss: of the data term: its kind, options, reductions and scale count.
        l2, l1: coefficients of the penalties, below 0 where they are subtracted.
        l2_on_bias: whether these cover the biases.
        scale: what the data term is multiplied with besides.
        weighted: whether the weights of the samples count.
        rows: the samples that are counted; None for all.
        clip: how near to 0 and 1 probabilities may come.
        root: whether the square root of the data term is taken.
    """

    loss: Loss
    l2: float
    l1: float
    l2_on_bias: bool
    scale: float = 1.0
    weighted: bool = True
    rows: tuple[int, ...] | None = None
    clip: float = 0.0
    root: bool = False


def as_declared(loss: Loss) -> Computed:
    """The value of a loss as it should be computed."""
    return Computed(loss, loss.l2, loss.l1, loss.l2_on_bias)


class Change(NamedTuple):
    """One thing that may be other than declared.

    Attributes:
        what: which: "reduction", "scale", …; two changes of one sort are not made together.
        words: that follow "The loss value is that of".
        rank: the smaller, the likelier.
        made: the change.
        pairs: whether it is made together with others.
    """

    what: str
    words: str
    rank: int
    made: Callable[[Computed], Computed]
    pairs: bool = True


class LossValues:
    """A case and its solution, of which losses are computed."""

    def __init__(self, case: Case, solution: Solution) -> None:
        self.case, self.solution = case, solution
        self.last = case.network.activations[-1]
        self.declared_loss: Any = case.loss
        self.data: dict[Any, float | None] = {}
        self.sizes = {on_bias: self._sizes(on_bias) for on_bias in (False, True)}

    def _sizes(self, on_bias: bool) -> tuple[float, float]:
        """½Σw² and Σ|w|."""
        plain = replace(self.declared_loss, l2_on_bias=on_bias)
        of_each = (replace(plain, l2=1.0, l1=0.0), replace(plain, l2=0.0, l1=1.0))
        squares, sizes = (float(penalty_value(loss, self.case.params)) for loss in of_each)
        return squares, sizes

    def made(self, changes: Sequence[Change]) -> Computed:
        """The declared loss with these changes."""
        computed = as_declared(self.declared_loss)
        for change in changes:
            computed = change.made(computed)
        return computed

    def value(self, computed: Computed) -> float | None:
        """The value of a loss so computed; None where it has none, or none that is finite."""
        key = (computed.loss, computed.weighted, computed.rows, computed.clip, computed.root)
        if key not in self.data:
            with np.errstate(all="ignore"):
                self.data[key] = self._data(computed)
        data = self.data[key]
        if data is None:
            return None
        squares, sizes = self.sizes[computed.l2_on_bias]
        value = computed.scale * data + computed.l2 * squares + computed.l1 * sizes
        return value if math.isfinite(value) else None

    def _data(self, computed: Computed) -> float | None:
        seen = self._seen(computed.loss, computed.clip)
        if seen is None:
            return None
        loss, outputs = seen
        targets: Any = self.case.targets
        weights = self.case.sample_weights if computed.weighted else None
        coefficients = loss.coefficients(targets, weights, np.dtype(np.float64), np)
        counted = coefficients != 0
        terms = np.where(counted, loss.terms(outputs, targets)[0], 0.0) * coefficients
        total = float(terms.sum() if computed.rows is None else terms[list(computed.rows)].sum())
        return total if not computed.root else math.sqrt(total) if total >= 0 else None

    def _seen(self, loss: Loss, clip: float) -> tuple[Loss, np.ndarray] | None:
        """A loss as it is computed, and from what: outputs, probabilities made of them, logits; or nothing."""
        outputs, own = self.solution.outputs, self.declared_loss
        if not KINDS[loss.kind].of_probabilities:
            return loss, outputs
        if not self.last.probabilities:
            if own.kind not in OF_PROBABILITIES:
                return None
            outputs = numpy_value(OF_PROBABILITIES[own.kind][1], outputs)
        elif not clip:
            of_logits = loss.on_logits(self.last)
            if of_logits is not None:
                return of_logits, self.solution.pre_activations[-1]
        return loss, np.clip(outputs, clip, 1 - clip) if clip else outputs

    def declared(self, computed: Computed) -> Loss | None:
        """The loss that has to be declared for this value; None if there is none for this network."""
        loss, l2, l1, l2_on_bias, scale, *rest = computed
        if tuple(rest) != as_declared(loss)[5:] or min(l2, l1) < 0:
            return None
        try:
            loss.require_admissible(self.last)
            loss.require_targets(self.case.targets)  # type: ignore[arg-type]
        except ValueError:
            return None
        return replace(loss, scale=scale * loss.scale, l2=l2, l1=l1, l2_on_bias=l2_on_bias)
