"""Which samples the steps of a training are taken on."""

from typing import NamedTuple

from functional_mlp._checks import positive_int


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
