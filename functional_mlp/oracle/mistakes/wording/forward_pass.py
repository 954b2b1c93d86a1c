"""Words for mistakes of the forward pass."""

from collections.abc import Mapping

from functional_mlp.oracle.mistakes.wording.wording import OTHERS, Wording

ACTIVATION, PRE_ACTIVATION = "{A} = {a}", "{Z} = {z}"

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
            "short-e": "{f} in {where} is computed with e = 2.718.",
            "rational": "{f} in {where} is a rational approximation.",
            "table": "{f} in {where} is read from a table.",
            "gelu-tanh": "{f} in {where} is its approximation by tanh.",
            "gelu-sigmoid": "{f} in {where} is its approximation by a sigmoid.",
        },
        ACTIVATION,
    ),
    "gelu-form-other": Wording("{f} in {where} is another form of gelu, that by {variant}.", ACTIVATION),
    "gelu-forms-mixed": Wording(
        "{f} in {where} goes forward by one form of gelu and back by another ({variant}).", "{dZ} = {through}"
    ),
    "leaky-forward-slip": Wording(
        {OTHERS: "{f} in {where} is computed wrongly in the forward pass ({variant})."}, ACTIVATION
    ),
    "softmax-over-samples": Wording(
        {
            "samples": "The softmax of {where} is normalised over the samples, not over the units of each.",
            "everything": "The softmax of {where} is divided by one sum over all samples and units.",
        },
        ACTIVATION,
    ),
    "short-constant": Wording("{f} in {where} is computed with a constant of few digits, {value}.", ACTIVATION),
}
