"""Where the way back begins: the derivative of the loss, as a line of NumPy."""

import re
from collections.abc import Mapping

import numpy as np

from functional_mlp.losses import Loss
from functional_mlp.oracle.case import Case
from functional_mlp.oracle.mistakes import OF_PROBABILITIES
from functional_mlp.oracle.report.notation.spelling import COTANGENTS

SUM_TO_ONE = 1e-9  # how far targets may be from it
CHANGING = {"pos_weight", "label_smoothing", "class_weights", "ignore_index", "epsilon"}  # what these lines leave out
DIFFERENCE = re.compile(r"\([^/]*\)")
PROBABILITIES_OF = {kind: activation.name for kind, (_, activation) in OF_PROBABILITIES.items()}


def beginning(case: Case, loss: Loss, names: Mapping[str, str], n: str = "n") -> tuple[str, str]:
    """What the way back begins with, and what it is: ("dZ2", "(A2 - T) / n") where loss and activation are one.

    Args:
        case: the case.
        loss: its loss, or another one.
        names: of the arrays of the last layer.
        n: what a mean over the samples divides by.
    """
    if loss.as_fields().keys() & CHANGING:
        return names["dA"], f"dLoss({names['A']}, T)"
    activation = case.network.activations[-1]
    within = loss.on_logits(activation) is not None
    inside = PROBABILITIES_OF.get(loss.kind)
    if within or inside:
        probabilities = names["A"] if within else f"{inside}({names['A']})"
        difference = _difference(case, probabilities, softmax="softmax" in (inside, activation.name))
        return (names["dZ"] if within else names["dA"]), _reduced(case, loss, difference, loss.scale, n)
    template = COTANGENTS.get(loss.kind)
    if template is None:
        return names["dA"], f"dLoss({names['A']}, T)"
    factor, doubled = loss.scale, template.startswith("2 * ")
    if doubled:
        factor, template = 2 * factor, template.removeprefix("2 * ")
    return names["dA"], _reduced(case, loss, template.format(A=names["A"], delta=loss.delta), factor, n)


def _columns(case: Case) -> bool:
    return case.layout.samples == "columns"


def _difference(case: Case, probabilities: str, *, softmax: bool) -> str:
    """p - t, or what it is where the targets of a sample do not sum to 1."""
    targets = case.targets
    if softmax and targets is not None and bool((np.abs(targets.sum(axis=1) - 1) > SUM_TO_ONE).any()):
        return f"({probabilities} * T.sum(axis={0 if _columns(case) else 1}, keepdims=True) - T)"
    return f"({probabilities} - T)"


def _reduced(case: Case, loss: Loss, terms: str, factor: float, n: str) -> str:
    """The terms times the factor of the loss, over what it divides by, times the weights of the samples."""
    weighted = case.sample_weights is not None
    divisors = [] if loss.over_samples == "sum" else ["s.sum()" if weighted else n]
    divisors += ["K"] if loss.over_outputs == "mean" else []
    weights = "" if not weighted else " * s" if _columns(case) else " * s[:, None]"
    times = "" if factor == 1 else "-" if factor == -1 else f"{factor:.12g} * "
    over = "" if not divisors else f" / {divisors[0]}" if len(divisors) == 1 else f" / ({' * '.join(divisors)})"
    text = f"{times}{terms}{weights}{over}"
    return text[1:-1] if text == terms and DIFFERENCE.fullmatch(terms) else text
