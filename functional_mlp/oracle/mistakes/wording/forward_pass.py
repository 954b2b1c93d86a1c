"""Words for mistakes of the forward pass."""

from collections.abc import Mapping

from functional_mlp.oracle.mistakes.wording.wording import OTHERS, Wording

ACTIVATION, PRE_ACTIVATION = "{A} = {a}", "{Z} = {z}"


def _slips(ending: str, more: str) -> dict[str, str]:
    """Forms of a leaky relu that people write, by variant."""
    said = {
        "slope-where-positive": "slope * z for z > 0 and 0 elsewhere",
        "sides-swapped": "slope * z for z > 0 and z elsewhere",
        "constant": "the slope itself, not slope * z, for z < 0",
        "maximum": "max(slope, z), where max(slope * z, z) is meant",
    }
    return {
        f"{variant}{ending}": f"The {{f}} of {{where}} is {words} in the forward pass{more}."
        for variant, words in said.items()
    }


FORWARD_PASS_WORDING: Mapping[str, Wording] = {
    "activation-missing": Wording("The activation {f} of {where} is left out of the forward pass.", ACTIVATION),
    "activation-swapped": Wording("The activation of {where} is {variant}, where the case has {f}.", ACTIVATION),
    "slope-different": Wording(
        "The slope of {f} in {where} is {value}, forward and backward: another than the case has.", ACTIVATION
    ),
    "softmax-missing": Wording("The softmax of {where} is left out of the forward pass.", ACTIVATION),
    "softmax-extra": Wording("A softmax is applied to the outputs, which the case does not have.", ACTIVATION),
    "bias-missing": Wording("The bias of {where} is not added in the forward pass.", PRE_ACTIVATION),
    "bias-subtracted": Wording(
        {
            "consistent": "The bias of {where} is subtracted, forward and in its gradient.",
            "forward-only": "The bias of {where} is subtracted in the forward pass.",
        },
        PRE_ACTIVATION,
    ),
    "activation-approximated": Wording(
        {
            "short-e": "The {f} of {where} is computed with e = 2.718.",
            "rational": "The {f} of {where} is a rational approximation.",
            "table": "The {f} of {where} is read from a table.",
            "gelu-tanh": "The {f} of {where} is its approximation by tanh.",
            "gelu-sigmoid": "The {f} of {where} is its approximation by a sigmoid.",
        },
        ACTIVATION,
    ),
    "gelu-form-other": Wording("The {f} of {where} is another form of gelu, that by {variant}.", ACTIVATION),
    "gelu-forms-mixed": Wording(
        "The {f} of {where} goes forward by one form of gelu and back by another ({variant}).", "{dZ} = {through}"
    ),
    "leaky-forward-slip": Wording(
        {
            **_slips("", ""),
            "slope-negated": "The {f} of {where} is -slope * z for z < 0 in the forward pass.",
            **_slips("-both-ways", ", and its derivative too"),
        },
        ACTIVATION,
    ),
    "slope-different-forward": Wording(
        "The slope of {f} in {where} is {value} in the forward pass, and the declared one on the way back.", ACTIVATION
    ),
    "softmax-over-samples": Wording(
        {
            "samples": "The softmax of {where} is normalised over the samples, not over the units of each.",
            "everything": "The softmax of {where} is divided by one sum over all samples and units.",
        },
        ACTIVATION,
    ),
    "short-constant": Wording(
        {
            "e": "The {f} of {where} is computed with e = {value}, which has too few digits.",
            "pi": "The {f} of {where} is computed with pi = {value}, which has too few digits.",
            "pi-in-derivative": "The derivative of {f} in {where} has pi = {value}, which has too few digits.",
        },
        {"pi-in-derivative": "{dZ} = {through}", OTHERS: ACTIVATION},
    ),
}
