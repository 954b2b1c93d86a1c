"""The record of one mistake's words, and how they are filled in.

A template has `{terms}`, which the report spells for the layer and for the layout that a person handed over, and
`[one|several]`, of which the first is said of one layer and the second of several. Terms in words:

    where               the layer or layers, such as "the last layer", "layers 1 and 3"
    f                   the activation there
    value, variant      of the mistake; value is its free number
    samples, K          the numbers of samples and of outputs

and as in a program:

    W b Z A             of the layer; X, T and n are the inputs, the targets and the number of samples
    dW db dZ dA         dLoss/dW and so on
    A_prev dA_prev      of the layer below, which are the inputs and what would be sent back to them in the first layer
    z, a                what Z and A are, forward
    through             what dZ is, from dA; softmax included
    product, sums       what dW and db are, from dZ
    back                what dA_prev is, from dZ
    penalty             what the declared penalty adds to dW, such as " + 0.1 * W2"; "" without one
    bias_penalty        the same of db; "" where it is on the weights alone
    whole_product       dW with its penalty, in brackets where it needs them
    whole_sums          the same of db
    l2                  the coefficient of the L2 penalty
    biases_too          a comment that says so, where it is on both
    loss                the whole line at the outputs, such as "dZ2 = (A2 - T) / n"
    divisor             what a mean over the samples divides by: n, or the sum of their weights
    outputs             A of the last layer

Mistaken lines are made of more terms, which `report.notation.mistaken_terms` spells.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

OTHERS = "*"  # in a mapping by variants: all that it does not name
CHOICE = re.compile(r"\[([^\[\]|]*)\|([^\[\]|]*)\]")


class Wording(NamedTuple):
    """How a mistake is said.

    Attributes:
        headline: a template: one sentence, what was done and where; or one for each variant.
        fix: a template: the right line in NumPy; or one for each variant.
        yours: a template: the mistaken line in its place; or one for each variant; "" where it is not known.
    """

    headline: str | Mapping[str, str]
    fix: str | Mapping[str, str]
    yours: str | Mapping[str, str] = ""

    def of(self, variant: str | None) -> tuple[str, str, str] | None:
        """The templates of headline, fix and mistaken line of a variant; None if it has none."""
        headline, fix, yours = (_chosen(templates, variant) for templates in self)
        return None if headline is None or fix is None else (headline, fix, yours or "")


def _chosen(templates: str | Mapping[str, str], variant: str | None) -> str | None:
    if isinstance(templates, str):
        return templates
    return templates.get(variant or OTHERS, templates.get(OTHERS))


def filled(template: str, terms: Mapping[str, str], *, several: bool) -> str:
    """A template with its terms, for one layer or several.

    Example:
        >>> filled("the bias[|es] of {where} [is|are] 0", {"where": "both layers"}, several=True)
        'the biases of both layers are 0'
    """
    return CHOICE.sub(lambda found: found[2 if several else 1], template).format_map(terms)
