"""Words for mistakes in sums and means."""

from collections.abc import Mapping

from functional_mlp.oracle.mistakes.wording.wording import OTHERS, Wording

PRODUCT, SUMS, BACK, LOSS = "{dW} = {product}", "{db} = {sums}", "{dA_prev} = {back}", "{loss}"
WEIGHTS, BIASES = "The weight gradient[|s] of {where} [is|are]", "The bias gradient[|s] of {where} [is|are]"
ONE_NUMBER = "One number stands for every entry of the"
ONCE = "  # {dZ} is divided by n already"

REDUCTION_WORDING: Mapping[str, Wording] = {
    "bias-gradient-averaged": Wording(
        f"{BIASES} averaged over the samples where a sum is meant: [it is|they are] divided by n.", SUMS
    ),
    "weight-gradient-averaged": Wording(
        f"{WEIGHTS} averaged over the samples where a sum is meant: [it is|they are] divided by n.", PRODUCT
    ),
    "bias-gradient-summed": Wording(f"{BIASES} not divided by the number of samples.", f"{SUMS} / n"),
    "weight-gradient-summed": Wording(f"{WEIGHTS} not divided by the number of samples.", f"{PRODUCT} / n"),
    "bias-divided-twice": Wording(f"{BIASES} divided by the number of samples twice.", SUMS + ONCE),
    "weights-divided-twice": Wording(f"{WEIGHTS} divided by the number of samples twice.", PRODUCT + ONCE),
    "everything-divided-twice": Wording(
        "Every gradient is divided by the number of samples twice.", "{loss}  # divide here, or at the end"
    ),
    "mean-missing": Wording("The gradients are not divided by the number of samples.", LOSS),
    "mean-added": Wording("The gradients are divided by the number of samples, but the loss is a sum over them.", LOSS),
    "mean-per-layer": Wording("Each layer divides by the number of samples again on the way back.", BACK),
    "bias-summed-to-scalar": Wording(f"{BIASES} summed over the units too: one number stands for all.", SUMS),
    "bias-from-one-sample": Wording(
        {"first": f"{BIASES} that of the first sample alone.", "last": f"{BIASES} that of the last sample alone."}, SUMS
    ),
    "outputs-summed-not-averaged": Wording(
        "The gradient is not divided by the number of outputs ({K}), over which the loss averages.", LOSS
    ),
    "outputs-averaged-not-summed": Wording(
        "The gradient is divided by the number of outputs ({K}), over which the loss sums.", LOSS
    ),
    "nominal-batch-size": Wording(
        "The gradient is divided by {value}, not by the number of samples in this batch ({samples}).",
        "{loss}  # n = len of this batch",
    ),
    "loss-scaled": Wording(
        {
            "gradient": "The gradient is that of {value} times the loss.",
            "penalty-too": "The gradient, the penalty's part too, is {value} times the right one.",
            "loss-too": "The loss and its gradient are {value} times those that the case declares.",
        },
        LOSS,
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
    ),
    "sample-weights-ignored": Wording("The weights of the samples are left out of the gradient.", LOSS),
    "array-scaled": Wording(
        {
            "weights": f"{WEIGHTS} {{value}} times the right one[|s].",
            "bias": f"{BIASES} {{value}} times the right one[|s].",
            "both": "The gradients of {where} are {value} times the right ones.",
        },
        {"weights": PRODUCT, "bias": SUMS, "both": f"{PRODUCT}; {SUMS}"},
    ),
    "samples-weighted-unevenly": Wording(
        "The samples do not count alike in the gradients: their weights are {value}.",
        "{dW} = {product}  # every sample once",
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
    ),
    "bias-from-weight-gradient": Wording(
        {
            "over-inputs": f"{BIASES} the sum of the weight gradient over the inputs, not of dZ over the samples.",
            "mean-over-inputs": f"{BIASES} the mean of the weight gradient over the inputs, not the sum of dZ.",
            "first-row": f"{BIASES} the weight gradient of the first input.",
            "last-row": f"{BIASES} the weight gradient of the last input.",
        },
        SUMS,
    ),
    "bias-summed-over-wrong-axis": Wording(f"{BIASES} summed over the units, not over the samples.", SUMS),
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
