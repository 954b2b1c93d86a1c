"""The steps of a training, as cases: the batches of its epochs, with whatever parameters it has come to."""

from typing import Any, NamedTuple

from functional_mlp._checks import positive_int
from functional_mlp.oracle.case.case import Case
from functional_mlp.oracle.case.layouts import Layout


class Schedule(NamedTuple):
    """Which samples each step of a training is taken on.

    Attributes:
        epochs: how often all samples are gone through, at least 1.
        batch_size: samples per step, in their order; the last batch of an epoch holds what is left. None: all.
    """

    epochs: int = 1
    batch_size: int | None = None

    def rows(self, samples: int) -> tuple[slice, ...]:
        """The samples of each step, one after the other.

        Raises:
            TypeError, ValueError: for what is no number of at least 1.
        """
        epochs = positive_int("epochs", self.epochs)
        size = samples if self.batch_size is None else min(positive_int("batch_size", self.batch_size), samples)
        return tuple(slice(first, min(first + size, samples)) for first in range(0, samples, size)) * epochs


def batch_of(case: Case, rows: slice, params: Any) -> Case:
    """The case of some of the samples, in float64, at other parameters, per layer (weights, bias).

    A loss that is a mean over samples is the mean over these.
    """

    def some(array: Any) -> Any:
        return None if array is None else array[rows]

    data = (some(case.inputs), some(case.targets), some(case.ct_outputs), some(case.sample_weights))
    return Case(case.network, case.loss, list(params), *data, name=case.name, layout=Layout().settled())
