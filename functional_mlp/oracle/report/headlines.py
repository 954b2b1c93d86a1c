"""What is said of a mistake first: one sentence in the person's words, and the right line of NumPy in their layout."""

import re
from typing import NamedTuple

from functional_mlp.oracle.case import layer_of
from functional_mlp.oracle.diagnosis import Named
from functional_mlp.oracle.mistakes import WORDING, filled
from functional_mlp.oracle.report.notation import Notation
from functional_mlp.oracle.report.reported import Reported, network_diagnosis

OF_ONE_LAYER = re.compile(r"\{(?:d?[AZWb]|dA_prev)\}")  # terms that are not the same in every layer
PLAIN_NUMBER = re.compile(r"-?[\d./]+(?:e-?\d+)?")  # a meaning that says no more than the number
OF_A_LAYER = re.compile(r"(ct_\w) of layer (\d+)")
LEGEND = (
    "Layers count from 1 here: W1 and b1 are params[0], Z1 and A1 the layer before and after its activation; dZ1"
    " (delta) is dLoss/dZ1. In formulas ct_x is dLoss/dx, and a_prev what the layer is given. X are the inputs, T the"
    " targets, n is the number of samples{more}."
)
COUNTED = "Layers count from 1 here: layer 1 is that of params[0]."


class Headline(NamedTuple):
    """A mistake as it is said first.

    Attributes:
        sentence: what was done, and where.
        fix: the right line of NumPy; "" where nothing is known.
    """

    sentence: str
    fix: str


def notation_of(report: Reported) -> Notation:
    """The notation of the case that the diagnosis is of, or else of the first; of none, if the report kept none."""
    diagnosis = network_diagnosis(report)
    group = "" if diagnosis is None else diagnosis.group
    cases = {exhibit.group: exhibit.case for exhibit in reversed(report.exhibits)}
    first = next(iter(reversed(cases.values())), None)
    case = cases.get(group, first)
    depth = 1 + max((layer_of(leaf.path) for leaf in report.leaves if diagnosis is not None), default=0)
    return Notation(case, depth if case is None else len(case.params))


def headline_of(named: Named, notation: Notation) -> Headline:
    """What is said of a mistake: the sentence of the catalogue where it has no words of its own."""
    wording = WORDING.get(named.id)
    templates = None if wording is None else wording.of(named.variant)
    if templates is None:
        return Headline(named.sentence, "")
    layers = named.layers or (notation.depth - 1,)
    terms = notation.terms(max(layers)) | {
        "where": notation.place(named.layers),
        "f": notation.activations_in(named.layers),
        "value": value_of(named),
        "variant": named.variant or "",
        "samples": str(notation.samples),
        "K": str(notation.outputs),
    }
    headline, fix = templates
    sentence = filled(headline, terms, several=len(layers) > 1)
    others = layers if named.layers else tuple(range(notation.depth))
    return Headline(sentence[:1].upper() + sentence[1:], _with_others(fix, filled(fix, terms, several=False), others))


def _with_others(template: str, fix: str, layers: tuple[int, ...]) -> str:
    """A line for the last of some layers, with those where the same is to be written."""
    others = [str(layer + 1) for layer in sorted(layers)[:-1]]
    if not others or not OF_ONE_LAYER.search(template):
        return fix
    where = f"layer{'s' if len(others) > 1 else ''} {', '.join(others)}"
    return f"{fix}{', ' if '#' in fix else '  # '}likewise in {where}"


def value_of(named: Named) -> str:
    """The free number of a mistake, or the numbers, and what it may stand for: "9 (n)"; "" if it has none."""
    if named.value is None:
        return ""
    numbers = named.value if isinstance(named.value, tuple) else (named.value,)
    meanings = [meaning for meaning in named.meanings if not PLAIN_NUMBER.fullmatch(meaning)]
    return ", ".join(f"{number:.6g}" for number in numbers) + (f" ({' or '.join(meanings)})" if meanings else "")


def legend_of(notation: Notation) -> str:
    """What the names in the lines of NumPy mean."""
    case = notation.case
    loss = None if case is None else case.loss
    outputs = ", K that of outputs" if loss is not None and loss.over_outputs == "mean" else ""
    weights = ", s are the samples' weights" if case is not None and case.sample_weights is not None else ""
    return LEGEND.format(more=outputs + weights)


def quantity_in_words(quantity: str, notation: Notation) -> str:
    """A quantity such as "ct_z of layer 1", whose layer counts from 0, with what others call it."""
    found = OF_A_LAYER.fullmatch(quantity)
    if found is None:
        return "ct_inputs (dLoss/dX of the inputs X)" if quantity == "ct_inputs" else quantity
    name, layer = found[1], int(found[2])
    number, where = layer + 1, notation.role(layer)
    words = {
        "ct_z": f"dLoss/dz of {where}, often called dZ{number} or delta",
        "ct_W": f"dLoss/dW of {where}, its weight gradient dW{number}",
        "ct_b": f"dLoss/db of {where}, its bias gradient db{number}",
    }
    return f"{name} of layer {number} ({words[name]})"
