"""What the catalogue says of each mistake."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from functional_mlp.oracle.case import Case
from functional_mlp.oracle.mistakes.changes import Change
from functional_mlp.oracle.mistakes.conditions import Condition, Spot


class Parameter(NamedTuple):
    """The one free number of a mistake.

    Attributes:
        name: what it is, in words.
        default: what is planted if nobody says otherwise.
        choices: every value that it may have, where these are few; or None.
        traced: whether the change takes it as an array, so that one trace serves all values; not where it is part of a
            loss or an activation.
        whole: whether it is a whole number.
        magnified: how far off the numbers may be because rounding is magnified by it; arguments of
            `state.magnified`. None if it is not.
    """

    name: str
    default: Callable[[Spot], float]
    choices: Callable[[Spot], tuple[float, ...]] | None = None
    traced: bool = True
    whole: bool = False
    magnified: Callable[..., np.ndarray] | None = None

    def starts(self, case: Case, layer: int | None, variant: str | None) -> tuple[float, ...]:
        """Where to begin a search for it: all choices, or the default."""
        spot = Spot(case, layer, variant)
        return (self.default(spot),) if self.choices is None else self.choices(spot)


@dataclass(frozen=True)
class Mistake:
    """A mistake that people make, and how to make it on purpose.

    Attributes:
        id: its fixed name.
        sentence: what was done, in plain words.
        formula: the wrong formula.
        fix: the right one, or what to do.
        change: what it changes, and at which place of the pass.
        where: the conditions under which it may occur and shows.
        scope: "layer", in one layer or in each where it fits; "network", in the whole pass; "update", in the step.
        tag: "exact", one case reproduces its numbers; "fitted", `parameter` is fitted first; "second-case", only
            `second` tells it from other mistakes.
        second: for that tag: "another case", "another learning rate", "the left-over batch".
        parameter: its free number, or None.
        variants: ways to make it, or ().
        convention: whether it is another convention, right for another loss of the family, a factor, the other sign or
            another layout, rather than plainly wrong.
    """

    id: str
    sentence: str
    formula: str
    fix: str
    change: Change
    where: tuple[Condition, ...] = ()
    scope: str = "layer"
    tag: str = "exact"
    second: str | None = None
    parameter: Parameter | None = None
    variants: tuple[str, ...] = ()
    convention: bool = False


def constant(name: str, default: float, choices: tuple[float, ...] | None = None) -> Parameter:
    """A free number with a default, and perhaps choices, that are the same everywhere."""
    return Parameter(name, lambda spot: default, None if choices is None else lambda spot: choices)
