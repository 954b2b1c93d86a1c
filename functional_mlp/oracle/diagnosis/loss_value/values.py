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
    """How a loss value may have been computed.

    Attributes:
        loss: the loss.
        weighted: whether the weights of the samples count.
        rows: the samples that are counted; None for all.
        clip: how near to 0 and 1 probabilities may come.
        root: whether the square root is taken of it.
        whole: what it is multiplied with, the penalty too.
        subtracted: whether the penalty is.
    """

    loss: Loss
    weighted: bool = True
    rows: tuple[int, ...] | None = None
    clip: float = 0.0
    root: bool = False
    whole: float = 1.0
    subtracted: bool = False


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
        self.data: dict[Any, float | None] = {}

    def made(self, changes: Sequence[Change]) -> Computed:
        """The declared loss with these changes."""
        computed = Computed(self.case.loss)  # type: ignore[arg-type]
        for change in changes:
            computed = change.made(computed)
        return computed

    def value(self, computed: Computed) -> float | None:
        """The value of a loss so computed; None where it has none, or none that is finite."""
        with np.errstate(all="ignore"):
            data = self._data(computed)
            if data is None:
                return None
            penalty = float(penalty_value(computed.loss, self.case.params))
            value = computed.whole * (data - penalty if computed.subtracted else data + penalty)
        return value if math.isfinite(value) else None

    def _data(self, computed: Computed) -> float | None:
        """The data term. It is the same with another penalty, so it is computed once."""
        key = computed._replace(
            loss=replace(computed.loss, l2=0.0, l1=0.0, l2_on_bias=False), whole=1, subtracted=False
        )
        if key not in self.data:
            self.data[key] = self._computed(key)
        return self.data[key]

    def _computed(self, computed: Computed) -> float | None:
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
        outputs, own = self.solution.outputs, self.case.loss
        if not KINDS[loss.kind].of_probabilities:
            return loss, outputs
        if not self.last.probabilities:
            if own is None or own.kind not in OF_PROBABILITIES:
                return None
            outputs = numpy_value(OF_PROBABILITIES[own.kind][1], outputs)
        elif not clip:
            of_logits = loss.on_logits(self.last)
            if of_logits is not None:
                return of_logits, self.solution.pre_activations[-1]
        return loss, np.clip(outputs, clip, 1 - clip) if clip else outputs

    def declared(self, computed: Computed) -> Loss | None:
        """The loss that has to be declared for this value; None if there is none for this network."""
        plain = Computed(computed.loss, whole=computed.whole)
        loss, whole = computed.loss, computed.whole
        if computed != plain or (whole < 0 and loss.penalises):
            return None
        try:
            loss.require_admissible(self.last)
            loss.require_targets(self.case.targets)  # type: ignore[arg-type]
        except ValueError:
            return None
        return replace(loss, scale=whole * loss.scale, l2=abs(whole) * loss.l2, l1=abs(whole) * loss.l1)
