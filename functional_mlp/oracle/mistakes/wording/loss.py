"""Words for mistakes at the outputs."""

from collections.abc import Mapping

from functional_mlp.oracle.mistakes.wording.wording import OTHERS, Wording

LOSS, BEGINNING = "{loss}", "{beginning} = "
GRADIENT_OF = "The gradient is that of"

LOSS_WORDING: Mapping[str, Wording] = {
    "squared-error-factor": Wording(
        {
            "doubled": "The gradient of the squared error is twice what the declared loss has.",
            "halved": "The gradient of the squared error is half of what the declared loss has.",
        },
        LOSS,
        {"doubled": BEGINNING + "2 * {loss_in_brackets}", "halved": BEGINNING + "0.5 * {loss_in_brackets}"},
    ),
    "loss-scale-missing": Wording(
        "The scale of the loss is left out of the gradient.", LOSS, BEGINNING + "{loss_unscaled}"
    ),
    "softmax-jacobian-diagonal": Wording(
        "Only the diagonal of the softmax derivative is used at {where}: A * (1 - A), as of a sigmoid.",
        {"in-the-loss": LOSS, OTHERS: "{dZ} = {through}"},
        {"layer": "{dZ} = {dA} * {A} * (1 - {A})"},
    ),
    "softmax-jacobian-twice": Wording(
        "The derivative of the softmax is applied to output - target, which has it already.",
        LOSS,
        BEGINNING + "{loss_again}",
    ),
    "sigmoid-derivative-twice": Wording(
        "The derivative of the sigmoid is applied to output - target, which has it already.",
        LOSS,
        BEGINNING + "{loss_again}",
    ),
    "targets-assumed-normalised": Wording(
        "Output - target is used although the targets of a sample do not sum to 1.", LOSS
    ),
    "saturated-gradient-clipped": Wording(
        {
            "zero": "The gradient is set to 0 where an output is within {value} of 0 or 1.",
            "clipped": "Outputs within {value} of 0 or 1 are clipped before the gradient of the loss is taken.",
            "subtracted": "Outputs within {value} of 0 or 1 are clipped in output - target.",
        },
        LOSS,
    ),
    "epsilon-in-log": Wording(
        {
            "log": "{value} is added inside of the logarithm of the loss.",
            "division": "{value} is added to a divisor in the gradient of the loss.",
            "softmax": "{value} is added to the sum in the softmax.",
        },
        LOSS,
    ),
    "cross-entropy-half": Wording("The gradient of the cross-entropy lacks its part (1 - t)/(1 - p).", LOSS),
    "logits-as-probabilities": Wording(
        {
            "difference": "The outputs go into output - target without sigmoid or softmax, though they are logits.",
            "quotient": "The outputs go into the loss without sigmoid or softmax, though they are logits.",
        },
        LOSS,
    ),
    "probabilities-as-logits": Wording(
        "The loss applies sigmoid or softmax to outputs that are probabilities already.", LOSS
    ),
    "loss-mismatch": Wording(
        {
            "half_squared_error": f"{GRADIENT_OF} another loss than declared: half the squared error.",
            OTHERS: f"{GRADIENT_OF} another loss than declared: {{variant}}.",
        },
        LOSS,
        "{loss_of_other}",
    ),
    "loss-option-missing": Wording(
        {
            "label_smoothing": "The label smoothing of the loss is left out of the gradient.",
            "class_weights": "The weights of the classes are left out of the gradient.",
            "pos_weight": "The weight of the positive class is left out of the gradient.",
            "alpha": "The weights alpha and 1 - alpha of the two classes are left out of the gradient.",
        },
        {
            "label_smoothing": "T = (1 - s) * T + s / {K}  # s: the label smoothing; for single bits s / 2",
            "class_weights": "T = T * class_weights",
            "pos_weight": "{dZ} = p * (1 - T + w * T) - w * T  # p: the probabilities, w: pos_weight",
            "alpha": "{loss} * np.where(T == 1, alpha, 1 - alpha)",
        },
    ),
    "scale-by-layer": Wording(
        "A factor {value} comes in at every layer on the way back.",
        "{dA_prev} = {back}",
        "{dA_prev} = {number} * ({back})",
    ),
    "penalty-in-delta": Wording(
        {
            "outputs": "A constant, {value}, is added to the error of every output.",
            "right-class": "A constant, {value}, is added to the error of the right class.",
            "delta": "A constant, {value}, is added to the delta of the last layer.",
        },
        LOSS,
    ),
}
