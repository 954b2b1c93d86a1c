"""What is said of a mistake first: one sentence in the person's words, and lines of NumPy in their layout."""

import re
from typing import NamedTuple

from functional_mlp.oracle.case import layer_of
from functional_mlp.oracle.diagnosis import Named
from functional_mlp.oracle.mistakes import WORDING, filled
from functional_mlp.oracle.report.notation import UNKNOWN, Notation, mistaken_terms, name_of
from functional_mlp.oracle.report.reported import Reported, network_diagnosis

OF_ONE_LAYER = re.compile(r"\{(?:d?[AZWb]|dA_prev)\}")  # terms that are not the same in every layer
PLAIN_NUMBER = re.compile(r"-?[\d./]+(?:e-?\d+)?")  # a meaning that says no more than the number
OF_A_LAYER = re.compile(r"(ct_\w) of layer (\d+)")
PARAMETER = re.compile(r"params\[\d+\]\.(?:weights|bias)")


class Headline(NamedTuple):
    """A mistake as it is said first.

    Attributes:
        sentence: what was done, and where.
        fix: the right line of NumPy; "" where nothing is known.
        yours: the mistaken line in its place; "" where it is not known.
    """

    sentence: str
    fix: str
    yours: str = ""


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
    layer = max(layers)
    number = named.value if isinstance(named.value, float | int) else None
    headline, fix, yours = templates
    terms = {
        **notation.terms(layer),
        **mistaken_terms(notation, layers, named.variant, number, yours),
        "where": notation.place(named.layers),
        "f": notation.activations_in(named.layers),
        "value": value_of(named),
        "variant": named.variant or "",
        "samples": str(notation.samples),
        "K": str(notation.outputs),
    }
    sentence = filled(headline, terms, several=len(layers) > 1)
    line, mistaken = (_of_arrays_there(filled(text, terms, several=False), notation, layer) for text in (fix, yours))
    others = layers if named.layers else tuple(range(notation.depth))
    beginning = terms["loss"].partition(" = ")
    if layer == notation.depth - 1 and beginning[0] == terms["dZ"] and line == f"{terms['dZ']} = {terms['through']}":
        line = f"{line}  # which is {beginning[2]}"  # where loss and activation are one
    return Headline(
        sentence[:1].upper() + sentence[1:],
        _with_others(fix, line, others),
        "" if UNKNOWN in mistaken or mistaken == line.partition("  #")[0] else mistaken,
    )


def _of_arrays_there(line: str, notation: Notation, layer: int) -> str:
    """A line without what it says of a bias that the layer does not have."""
    code, mark, comment = line.partition("  #")
    if notation.has_bias(layer) or "; " not in code:
        return line
    kept = [one for one in code.split("; ") if not one.startswith(notation.names(layer)["db"])]
    return "; ".join(kept) + mark + comment


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


def quantity_in_words(quantity: str, notation: Notation) -> str:
    """A quantity such as "ct_z of layer 1", whose layer counts from 0, as people call it."""
    found = OF_A_LAYER.fullmatch(quantity)
    if found is None:
        return "dX (dLoss/dX of the inputs X)" if quantity == "ct_inputs" else quantity
    name, layer = found[1], int(found[2])
    number, where = layer + 1, f"{notation.role(layer)}, params[{layer}]"
    words = {
        "ct_z": f"dZ{number} (dLoss/dZ of {where}; often called delta)",
        "ct_W": f"dW{number} (the weight gradient of {where})",
        "ct_b": f"db{number} (the bias gradient of {where})",
    }
    return words.get(name, quantity)


def with_names(sentence: str) -> str:
    """A sentence with each parameter's path after the name that people have for its gradient."""
    return PARAMETER.sub(lambda found: f"{name_of(found[0])} ({found[0]})", sentence)
