"""Words for mistakes in sums and means."""

from collections.abc import Mapping

from functional_mlp.oracle.mistakes.wording.wording import OTHERS, Wording

PRODUCT, SUMS = "{dW} = {product}{penalty}", "{db} = {sums}{bias_penalty}"
BACK, LOSS, BEGINNING = "{dA_prev} = {back}", "{loss}", "{beginning} = "
TWICE = ("{dW} = {product} / n{penalty}", "{db} = {sums} / n{bias_penalty}")
WEIGHTS, BIASES = "The weight gradient[|s] of {where} [is|are]", "The bias gradient[|s] of {where} [is|are]"
ONE_NUMBER = "One number stands for every entry of the"
ONCE = "  # {dZ} is divided by {divisor} already"
AT_THE_END = "  # here {dZ} is not divided by {divisor} yet"
ANYWHERE = "  # by {divisor} once: here, or each dW and db at the end"

REDUCTION_WORDING: Mapping[str, Wording] = {
    "bias-gradient-averaged": Wording(
        f"{BIASES} averaged over the samples where a sum is meant: [it is|they are] divided by n.", SUMS, TWICE[1]
    ),
    "weight-gradient-averaged": Wording(
        f"{WEIGHTS} averaged over the samples where a sum is meant: [it is|they are] divided by n.", PRODUCT, TWICE[0]
    ),
    "bias-gradient-summed": Wording(
        f"{BIASES} not divided by the number of samples.", "{db} = {sums} / {divisor}{bias_penalty}" + AT_THE_END, SUMS
    ),
    "weight-gradient-summed": Wording(
        f"{WEIGHTS} not divided by the number of samples.",
        "{dW} = {product} / {divisor}{penalty}" + AT_THE_END,
        PRODUCT,
    ),
    "bias-divided-twice": Wording(f"{BIASES} divided by the number of samples twice.", SUMS + ONCE, TWICE[1]),
    "weights-divided-twice": Wording(f"{WEIGHTS} divided by the number of samples twice.", PRODUCT + ONCE, TWICE[0]),
    "everything-divided-twice": Wording(
        "Every gradient is divided by the number of samples twice.",
        f"{PRODUCT}; {SUMS}{ONCE}",
        "{dW} = {whole_product} / n; {db} = {whole_sums} / n",
    ),
    "mean-missing": Wording(
        "The gradients are not divided by the number of samples.", LOSS + ANYWHERE, BEGINNING + "{loss_summed}"
    ),
    "mean-added": Wording(
        "The gradients are divided by the number of samples, but the loss is a sum over them.",
        LOSS + "  # nothing is divided by n",
        BEGINNING + "{loss_averaged}",
    ),
    "mean-per-layer": Wording(
        "Each layer divides by the number of samples again on the way back.", BACK, "{dA_prev} = {back} / n"
    ),
    "bias-summed-to-scalar": Wording(
        f"{BIASES} summed over the units too: one number stands for all.", SUMS, "{db} = {dZ}.sum(){bias_penalty}"
    ),
    "bias-from-one-sample": Wording(
        {"first": f"{BIASES} that of the first sample alone.", "last": f"{BIASES} that of the last sample alone."},
        SUMS,
        {"first": "{db} = {dZ_of_first}{bias_penalty}", "last": "{db} = {dZ_of_last}{bias_penalty}"},
    ),
    "outputs-summed-not-averaged": Wording(
        "The gradient is not divided by the number of outputs ({K}), over which the loss averages.",
        LOSS,
        BEGINNING + "{loss_outputs_summed}",
    ),
    "outputs-averaged-not-summed": Wording(
        "The gradient is divided by the number of outputs ({K}), over which the loss sums.",
        LOSS,
        BEGINNING + "{loss_outputs_averaged}",
    ),
    "nominal-batch-size": Wording(
        "The gradient is divided by {value}, not by the number of samples in this batch ({samples}).",
        "{loss}  # n = len of this batch",
        BEGINNING + "{loss_nominal}",
    ),
    "loss-scaled": Wording(
        {
            "gradient": "The gradient is that of {value} times the loss.",
            "penalty-too": "The gradient, the penalty's part too, is {value} times the right one.",
            "loss-too": "The loss and its gradient are {value} times those that the case declares.",
        },
        LOSS,
        {"gradient": BEGINNING + "{number} * {loss_in_brackets}"},
    ),
    "broadcast-column-row": Wording(
        "Every output is compared with every target: outputs (n, 1) minus targets (n,) are (n, n).",
        "T = T.reshape({outputs}.shape)",
    ),
    "sample-count-off-by-one": Wording(
        {
            "one-less": "The mean over the samples divides by n - 1.",
            "one-more": "The mean over the samples divides by n + 1.",
            "first-skipped": "The first sample is left out of the gradient.",
            "last-skipped": "The last sample is left out of the gradient.",
        },
        LOSS,
        {"one-less": BEGINNING + "{loss_one_less}", "one-more": BEGINNING + "{loss_one_more}"},
    ),
    "sample-weights-ignored": Wording("The weights of the samples are left out of the gradient.", LOSS),
    "array-scaled": Wording(
        {
            "weights": f"{WEIGHTS} {{value}} times the right one[|s].",
            "bias": f"{BIASES} {{value}} times the right one[|s].",
            "both": "The gradients of {where} are {value} times the right ones.",
        },
        {"weights": PRODUCT, "bias": SUMS, "both": f"{PRODUCT}; {SUMS}"},
        {
            "weights": "{dW} = {number} * {whole_product}",
            "bias": "{db} = {number} * {whole_sums}",
            "both": "{dW} = {number} * {whole_product}; {db} = {number} * {whole_sums}",
        },
    ),
    "samples-weighted-unevenly": Wording(
        "The samples do not count alike in the gradients: their weights are {value}.",
        f"{PRODUCT}  # every sample once",
    ),
    "scalar-broadcast": Wording(
        {
            "weights": f"{ONE_NUMBER} weight gradient of {{where}}: the sum of all.",
            "weights-mean": f"{ONE_NUMBER} weight gradient of {{where}}: the mean of all.",
            "dot-with-outputs": f"{ONE_NUMBER} weight gradient of {{where}}: the dot product of its delta and output.",
            "dot-with-inputs": f"{ONE_NUMBER} weight gradient of {{where}}: the dot product of its delta and input.",
            "bias-mean": f"{ONE_NUMBER} bias gradient of {{where}}: the mean of all.",
        },
        {"bias-mean": SUMS, OTHERS: PRODUCT},
        {
            "weights": "{dW} = ({product}).sum(){penalty}",
            "weights-mean": "{dW} = ({product}).mean(){penalty}",
            "dot-with-outputs": "{dW} = ({dZ} * {A}).sum(){penalty}",
            "dot-with-inputs": "{dW} = ({dZ} * {A_prev}).sum(){penalty}",
            "bias-mean": "{db} = {sums}.mean(){bias_penalty}",
        },
    ),
    "bias-from-weight-gradient": Wording(
        {
            "over-inputs": f"{BIASES} the sum of the weight gradient over the inputs, not of dZ over the samples.",
            "mean-over-inputs": f"{BIASES} the mean of the weight gradient over the inputs, not the sum of dZ.",
            "first-row": f"{BIASES} the weight gradient of the first input.",
            "last-row": f"{BIASES} the weight gradient of the last input.",
        },
        SUMS,
        {
            "over-inputs": "{db} = {dW_over_inputs}{bias_penalty}",
            "mean-over-inputs": "{db} = {dW_mean_over_inputs}{bias_penalty}",
            "first-row": "{db} = {dW_of_first}{bias_penalty}",
            "last-row": "{db} = {dW_of_last}{bias_penalty}",
        },
    ),
    "bias-summed-over-wrong-axis": Wording(
        f"{BIASES} summed over the units, not over the samples.", SUMS, "{db} = {sums_over_units}{bias_penalty}"
    ),
    "layers-in-reverse": Wording(
        "The gradients are handed back in the order of the way back: the last layer's first.", "grads = grads[::-1]"
    ),
    "gradient-clipped": Wording(
        {
            "by-value": "Every entry of the gradient is clipped at {value}.",
            "by-norm": "The gradient is clipped to the norm {value}, that of all arrays together.",
            "each-by-norm": "Each array of the gradient is clipped to the norm {value}.",
        },
        f"{PRODUCT}  # hand it back as it is",
    ),
    "gradient-normalised": Wording(
        {
            "all": "The gradient is divided by its norm, that of all arrays together.",
            "each": "Each array of the gradient is divided by its norm.",
        },
        f"{PRODUCT}  # hand it back as it is",
    ),
}
