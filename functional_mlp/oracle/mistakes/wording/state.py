"""Words for mistakes of bookkeeping and precision."""

from collections.abc import Mapping

from functional_mlp.oracle.mistakes.wording.wording import Wording

THROUGH, PRODUCT, SUMS = "{dZ} = {through}", "{dW} = {product}{penalty}", "{db} = {sums}{bias_penalty}"
PAIRED = "The weight gradient of {where} pairs each sample's delta with the inputs of"
NEVER = "never computed and stay[s|] 0."

STATE_WORDING: Mapping[str, Wording] = {
    "bias-never-computed": Wording(
        f"The bias gradient[|s] of {{where}} [is|are] {NEVER}", SUMS, "{db} = np.zeros_like({b})"
    ),
    "layer-never-computed": Wording(
        "The gradients of {where} are never computed and stay 0.",
        f"{PRODUCT}; {SUMS}",
        "{dW} = np.zeros_like({W}); {db} = np.zeros_like({b})",
    ),
    "accumulated": Wording(
        "The gradients of two calls are added up: they are not set to 0 in between.",
        "{dW} = np.zeros_like({W})  # before each call",
    ),
    "overwritten": Wording(
        {
            "last-sample": "Each sample's part of the gradient overwrites the ones before: only the last is kept.",
            "last-chunk": "Each chunk of {value} samples overwrites the ones before: only the last is kept.",
        },
        f"{PRODUCT}; {SUMS}  # over all samples: in a loop +=, not =",
        {"last-sample": "{dW} = {product_of_last}{penalty}; {db} = {dZ_of_last}{bias_penalty}"},
    ),
    "cotangent-ignored": Wording("The cotangent of the outputs that is given is ignored: ones stand for it.", "{loss}"),
    "accumulator-too-narrow": Wording(
        "The sums of the backward pass are added up in {variant}, which stagnates.",
        f"{PRODUCT}  # added up in float32 at least",
    ),
    "float32-inside-float64": Wording(
        "The backward pass of {where} is computed in float32.", "{dA} = {dA}.astype(np.float64)"
    ),
    "tanh-cancellation": Wording(
        "The difference 1 - a**2 cancels in {where}, where tanh is all but 1 or -1.",
        "{dZ} = {dA} / np.cosh({Z})**2",
        "{dZ} = {dA} * (1 - {A}**2)",
    ),
    "sigmoid-cancellation": Wording(
        "The difference 1 - a cancels in {where}, where the sigmoid is all but 1.",
        "{dZ} = {dA} / (2 + np.exp({Z}) + np.exp(-{Z}))",
        "{dZ} = {dA} * {A} * (1 - {A})",
    ),
    "wrong-sample-index": Wording(
        {
            "next-sample": f"{PAIRED} the next sample.",
            "previous-sample": f"{PAIRED} the sample before.",
            "reversed": f"{PAIRED} the samples in reverse order.",
            "first-sample": f"{PAIRED} the first sample.",
            "last-sample": f"{PAIRED} the last sample.",
            "unit-index": "The weight gradient of {where} takes the index of a unit for that of a sample.",
        },
        PRODUCT,
    ),
    "dead-unit-columns": Wording(
        {
            "not-zero": "Units of {where} that are inactive in every sample let the error pass back.",
            "zeroed": "Units of {where} that are inactive in one sample let no error pass back in any.",
        },
        THROUGH,
    ),
    "stale-activations": Wording(
        "The weight gradient of {where} is made with the activations of another batch.", PRODUCT
    ),
    "off-by-one-loop": Wording(
        {
            "first-row": "The weight gradient of {where} stays 0 at the first input of the layer.",
            "last-row": "The weight gradient of {where} stays 0 at the last input of the layer.",
            "first-column": "The weight gradient of {where} stays 0 at the first unit.",
            "last-column": "The weight gradient of {where} stays 0 at the last unit.",
            "first-bias": "The bias gradient of {where} stays 0 at the first unit.",
            "last-bias": "The bias gradient of {where} stays 0 at the last unit.",
        },
        {
            **dict.fromkeys(("first-row", "last-row", "first-column", "last-column"), f"{PRODUCT}  # all of it"),
            **dict.fromkeys(("first-bias", "last-bias"), f"{SUMS}  # all of it"),
        },
    ),
    "finite-difference": Wording(
        "The gradient is a finite difference of the loss with a poor step, {value}.",
        PRODUCT,
    ),
}
