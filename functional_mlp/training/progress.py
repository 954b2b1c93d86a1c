"""How far a training or a sweep is: a bar on a terminal and in a notebook."""

import sys
from typing import Any

from tqdm.auto import tqdm

from functional_mlp._checks import positive_int
from functional_mlp.parallel import everyone
from functional_mlp.training.state import TrainResult


class ProgressBar:
    """A callback of `train` and `sweep` that shows how much is done, and how long the rest will take.

    It is a bar of tqdm: drawn in a notebook (as a widget where ipywidgets is installed), on standard error where that
    is a terminal, and not at all in a pipe or by a process other than the first. A sweep that does not fit into the
    memory at once trains part by part; the bar then begins anew with each.

        fm.train(..., epochs=100, callback=fm.ProgressBar(100))

    Args:
        epochs: how many there are in all.
        description: what stands before the bar.
        unit: what is counted.
        leave: whether the full bar stays when it is closed.

    Raises:
        TypeError, ValueError: for epochs that are no positive integer.
    """

    def __init__(self, epochs: int, description: str = "", *, unit: str = "epoch", leave: bool = True) -> None:
        self._description, self._part, self._done = description, 1, 0
        # None: tqdm looks whether standard error is a terminal, which that of a notebook does not say that it is
        hidden = True if not everyone().first else False if "ipykernel" in sys.modules else None
        total = positive_int("epochs", epochs)
        self._bar = tqdm(total=total, desc=description or None, unit=unit, disable=hidden, leave=leave)

    def __call__(self, so_far: TrainResult) -> None:
        """Shows the epochs of a result."""
        self.show(int(so_far.state.epoch))

    def show(self, done: int) -> None:
        """Moves the bar to what is done: where that is no more than before, a further part has begun."""
        if done <= self._done:
            self._part, self._done = self._part + 1, 0
            self._bar.reset()
            self._bar.set_description(f"{self._description}, part {self._part}".removeprefix(", "))
        self._bar.update(done - self._done)
        self._done = done
        if done == self._bar.total:
            self._bar.refresh()

    def close(self) -> None:
        """Ends the bar; of one that nobody closes, its last reference does."""
        self._bar.close()

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
