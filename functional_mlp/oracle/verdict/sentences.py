"""What is said of an array that is not consistent: why, and what would decide or mend it."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from functional_mlp.oracle.noise import FLOAT64, Noise, Precision, wider
from functional_mlp.oracle.verdict.leaf import Cause, Leaf

REMEDIES = {
    Cause.KINK: "decide it by a case whose pre-activations keep away from 0, and outputs from the kinks of the loss:"
    " change a bias or an input a little, or take another seed",
    Cause.SATURATION: "decide it by a case with smaller weights, whose outputs are not all but 0 or 1; or compute the"
    " loss from logits and declare sigmoid_cross_entropy or softmax_cross_entropy",
    Cause.ROUNDING: "decide it in {wider}, or by a case with fewer layers or fewer samples",
    Cause.UNDERFLOW: "decide it in {wider}, or scale the loss up, so that no number falls below {smallest:.1e}",
    Cause.OVERFLOW: "decide it in {wider}, or scale inputs and weights down, so that no number exceeds {largest:.1e}",
    Cause.DIGITS: 'decide it by printing more digits: "%.17g" in C, repr in Python; or declare the digits that were'
    " printed (digits=4, digits='%.4f')",
    Cause.MISSING: "give an array for every weight matrix and bias of the case",
    Cause.SHAPE: "give arrays of the shapes of the case's own parameters and data",
}


class Conditions(NamedTuple):
    """Under which an array was computed, as far as its verdict depends on them.

    Attributes:
        precision: as declared.
        kinks: in words, what the noise may bring to another side than it is on without; "" if there is nothing.
        saturated: whether outputs round to 0 or 1, so that losses of probabilities lose their gradient.
        kink: the cause that `kinks` are.
        causes: where else entries have another cause of being undecided, first things first; arrays of the entries.
        finest: roundoff of float64 over that of the precision.
        remedies: that differ from `REMEDIES`.
    """

    precision: Precision
    kinks: str = ""
    saturated: bool = False
    kink: Cause = Cause.KINK
    causes: Mapping[Cause, NDArray[np.bool_]] = {}
    finest: float = 1.0
    remedies: Mapping[Cause, str] = {}


def conditions_of(noise: Noise) -> Conditions:
    """Those of a network."""
    finest = FLOAT64.unit / noise.precision.storage.unit
    return Conditions(noise.precision, _kinks(noise), bool(noise.saturated), finest=finest)


def remedy_for(cause: Cause, conditions: Conditions) -> str:
    """What would decide or mend it, in the declared precision; "" if nothing is known."""
    storage = conditions.precision.storage
    fill = {"wider": wider(conditions.precision) or "more digits (the referee, reference.exact)"}
    remedy = conditions.remedies.get(cause, REMEDIES.get(cause, ""))
    return remedy.format(**fill, smallest=storage.smallest, largest=storage.largest)


def sentence_about(leaf: Leaf, conditions: Conditions, blind: bool) -> str:
    """Why a leaf has its verdict; `blind` if even zeros would pass."""
    place = "" if leaf.index == () else f" at {list(leaf.index or ())}"
    found = f"{leaf.got:.9g}{place}, expected {leaf.expected:.9g}"
    if leaf.cause is Cause.NOT_FINITE:
        return f"{leaf.got}{place}, expected {leaf.expected:.9g}; {leaf.wrong} of {leaf.size} entries are wrong"
    if leaf.cause is Cause.VALUE:
        times = f"{leaf.error / leaf.floor:.2g} times the noise floor" if leaf.floor > 0 else "where no error is due"
        proof = ", more than any rounding explains" if leaf.proved else ""
        return f"{found}: off by {leaf.error:.3g}, {times}{proof}; {leaf.wrong} of {leaf.size} entries are wrong"
    name = conditions.precision.name
    if blind:
        why = {
            Cause.ROUNDING: f"the rounding noise of {name} exceeds the signal",
            Cause.UNDERFLOW: f"its numbers underflow in {name}",
            Cause.OVERFLOW: f"its numbers overflow in {name}",
            Cause.KINK: "units at a kink may change it altogether",
            Cause.BRANCH: f"{conditions.kinks} may change it altogether",
            Cause.SATURATION: f"outputs round to 0 or 1 in {name}",
            Cause.DIGITS: "the printed digits do not tell it from 0",
        }[leaf.cause or Cause.ROUNDING]
        return f"even zeros would pass: {why}"
    why = {
        conditions.kink: f"as far as {conditions.kinks} may bring it",
        Cause.SATURATION: f"an output rounds to 0 or 1 in {name}, where a loss of probabilities loses its gradient",
        Cause.OVERFLOW: f"numbers on the way to it overflow in {name}",
        Cause.DIGITS: "so few digits stand there that they do not tell, unless they are all, and zeros were left out",
    }.get(leaf.cause or Cause.ROUNDING, f"the rounding noise of {name} has no bound here")
    return f"{found}: {why}; {leaf.undecided} of {leaf.size} entries are undecided"


def _kinks(noise: Noise) -> str:
    if not noise.kinks:
        return noise.other_kinks[0] if noise.other_kinks else ""
    layer, sample, unit = noise.kinks[0]
    more = f" and {len(noise.kinks) - 1} like it" if len(noise.kinks) > 1 else ""
    return f"unit {unit} of layer {layer} at its kink in sample {sample}{more}"
