"""What a fault is, where it can be made, and how it is made in a program."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from benchmarks.accuracy.field.elementwise import Array
from benchmarks.accuracy.field.formulas import FORMULAS, Formula, Formulas, Style, Tape
from benchmarks.accuracy.field.problems import Family

Before = Callable[[], Any]  # what the program had in this place
Edit = Callable[[Tape, int, Before, float], Any]  # the tape, the layer, what was there, the number of the fault
Layers = Callable[[Family, Style], Sequence[int]]
Where = Callable[[Family, Style], bool]
Draw = Callable[[Family, np.random.Generator], float]
Factors = Callable[[Family, Sequence[int], float], Array]  # (3, layers): of weights, of biases, of the penalty


def every(family: Family, style: Style) -> Sequence[int]:
    """All layers."""
    return list(family.layers)


def output(family: Family, style: Style) -> Sequence[int]:
    """The output layer, for what is made once in a program."""
    return [family.last]


def hidden(family: Family, style: Style) -> Sequence[int]:
    """All but the output layer."""
    return list(family.layers)[:-1]


def sending(family: Family, style: Style) -> Sequence[int]:
    """Those that send something back."""
    return list(family.layers)[1:]


def anywhere(family: Family, style: Style) -> bool:
    """In every program."""
    return True


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        id: of the catalogue; empty for what is in none.
        name: what is done, unique among the faults.
        edits: by place of the program, what is computed there instead.
        layers: in which it can be made: in one of them or in all.
        whole: whether it is made in all of them at once.
        where: in which programs.
        number: draws the number that it has.
        factors: for a fault that multiplies gradients: by what, of each array.
    """

    id: str
    name: str
    edits: Mapping[str, Edit]
    layers: Layers = output
    whole: bool = False
    where: Where = anywhere
    number: Draw | None = None
    factors: Factors | None = None


class Planted(NamedTuple):
    """A fault as it was made: in which layers, and with which number."""

    fault: Fault
    layers: tuple[int, ...]
    number: float


def formulas_with(style: Style, faults: Sequence[Planted]) -> Formulas:
    """The formulas of a program with some faults, each made in what those before it left."""
    formulas = dict(FORMULAS[style.layout])
    for planted in faults:
        for place, edit in planted.fault.edits.items():
            formulas[place] = _edited(formulas[place], edit, planted)
    return formulas


def _edited(before: Formula, edit: Edit, planted: Planted) -> Formula:
    def formula(tape: Tape, layer: int) -> Any:
        if layer not in planted.layers:
            return before(tape, layer)
        return edit(tape, layer, lambda: before(tape, layer), planted.number)

    return formula


# ---------------------------------------------------------------- where


def having(*names: str) -> Layers:
    """Layers of these activations which go back by their own derivative."""
    return lambda family, style: [i for i in separate(family, style) if family.activations[i] in names]


def separate(family: Family, style: Style) -> Sequence[int]:
    """Layers that go back by their own derivative, and have one."""
    from_loss = is_fused(family, style)
    able = list(family.layers)[:-1] if from_loss else list(family.layers)
    return [layer for layer in able if family.activations[layer] != "identity"]


def is_fused(family: Family, style: Style) -> bool:
    """Whether the output layer's delta is made at once: where that is usual, or the loss is of pre-activations."""
    pair = (family.activations[-1], family.loss)
    return style.fused and pair in (("sigmoid", "binary_cross_entropy"), ("softmax", "categorical_cross_entropy"))


def both(layers: Layers, others: Layers) -> Layers:
    """Those that are among both."""
    return lambda family, style: [i for i in layers(family, style) if i in others(family, style)]


def square(family: Family, style: Style) -> Sequence[int]:
    """Layers of as many units as inputs."""
    return [layer for layer in family.layers if family.sizes[layer] == family.sizes[layer + 1]]


def several_units(family: Family, style: Style) -> Sequence[int]:
    """Layers of several units."""
    return [layer for layer in family.layers if family.sizes[layer + 1] > 1]


def batch(family: Family, style: Style) -> bool:
    """Several samples, which are all there at once."""
    return family.samples > 1 and style.order != "sample by sample"


def at_once(family: Family, style: Style) -> bool:
    """All samples are there at once, be they one."""
    return family.samples == 1 or style.order != "sample by sample"


def finished(family: Family, style: Style) -> bool:
    """A layer's gradients are complete before it sends its cotangent back."""
    return style.order in ("layer by layer", "objects") and style.layout != "loops"


def several(family: Family, style: Style) -> bool:
    """Several samples."""
    return family.samples > 1


def mean(family: Family, style: Style) -> bool:
    """A mean over several samples."""
    return family.averages and family.samples > 1


def total(family: Family, style: Style) -> bool:
    """A sum over several samples, or a bare cotangent."""
    return not family.averages and family.samples > 1


def loss_in(*kinds: str | None) -> Where:
    """The loss is of one of these kinds."""
    return lambda family, style: family.loss in kinds


def either_of(*numbers: float) -> Draw:
    """One of these."""
    return lambda family, rng: float(rng.choice(numbers))


# ---------------------------------------------------------------- factors


def ones(family: Family) -> Array:
    """Nothing is multiplied."""
    return np.ones((3, len(family.layers)))


def factors(family: Family, layers: Sequence[int], rows: Sequence[int], factor: float) -> Array:
    """Some layers' arrays of some kinds are multiplied."""
    made = ones(family)
    made[np.ix_(list(rows), list(layers))] = factor
    return made


DATA, ALL, WEIGHTS, BIASES, PENALTY = (0, 1), (0, 1, 2), (0,), (1,), (2,)
