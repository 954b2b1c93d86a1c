"""What the catalogue says of each mistake."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from functional_mlp.oracle.mistakes.changes import Change
from functional_mlp.oracle.mistakes.conditions import Condition, Site

Number = float | tuple[float, ...]  # a free number, or as many as a mistake has


class Parameter(NamedTuple):
    """The free number of a mistake, or its free numbers.

    Attributes:
        name: what it is, in words.
        default: what is injected if nobody says otherwise; a tuple of numbers where there are several.
        choices: every value that it may have, where these are few; or None.
        whole: whether it is a whole number.
        linear: whether every array is an affine function of it, as long as nothing else is fitted.
        vector: how many numbers it is, where it is a tuple of several; None for one number.
        read: where to begin a search for it, read off the weights' and biases' gradients that were handed over, in any
            order; None where they do not say. Such a search may end there: the number is one of theirs.
        typical: values that people often write, by which it is tried beside other mistakes where it is not linear.
        magnified: how far off the numbers may be because rounding is magnified by it; arguments of
            `state.magnified`. None if it is not.
    """

    name: str
    default: Callable[[Site], Number]
    choices: Callable[[Site], tuple[float, ...]] | None = None
    whole: bool = False
    linear: bool = False
    vector: Callable[[Site], int] | None = None
    read: Callable[[Site, Sequence[np.ndarray]], float] | None = None
    typical: tuple[float, ...] = ()
    magnified: Callable[..., np.ndarray] | None = None

    def starts(self, site: Site) -> tuple[Number, ...]:
        """Where to begin a search for it: all choices, or the default."""
        return (self.default(site),) if self.choices is None else self.choices(site)


@dataclass(frozen=True)
class Mistake:
    """A mistake that people make, and how to inject it.

    Attributes:
        id: its fixed name.
        sentence: what was done, in plain words.
        formula: the wrong formula.
        fix: the right one, or what to do.
        change: what it changes, and at which place of the pass.
        where: the conditions under which it may occur and shows.
        scope: "layer", in one layer or in each where it fits; "network", in the whole pass; "update", in the step;
            "rule", in the state that an update rule keeps, so that it may take several steps to show.
        tag: "exact", one case reproduces its numbers; "fitted", `parameter` is fitted first; "second-case", only
            `second` tells it from other mistakes.
        second: for that tag: "another case", "another learning rate", "the left-over batch", "a second step".
        parameter: its free number, or None.
        variants: ways to make it, or ().
        unsearched: those of them that another mistake explains better: they are made, and not searched for.
        convention: whether it is another convention, right for another loss of the family, a factor, the other sign or
            another layout, rather than plainly wrong.
        generic: whether it says how the numbers are related and not what was done, so that its free numbers fit what
            many mistakes make: named where no other explains them, and never by as many numbers as it has itself.
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
    unsearched: tuple[str, ...] = ()
    convention: bool = False
    generic: bool = False

    @property
    def shows_in_updates(self) -> bool:
        """Whether it shows in updated parameters only."""
        return self.change.place in ("early", "rule")


def constant(name: str, default: float, choices: tuple[float, ...] | None = None, linear: bool = False) -> Parameter:
    """A free number with a default, and perhaps choices, that are the same everywhere."""
    return Parameter(name, lambda site: default, None if choices is None else lambda site: choices, linear=linear)
