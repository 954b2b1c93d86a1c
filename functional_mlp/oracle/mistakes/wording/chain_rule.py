"""Words for mistakes in the chain rule."""

from collections.abc import Mapping

from functional_mlp.oracle.mistakes.wording.wording import OTHERS, Wording

THROUGH, BACK = "{dZ} = {through}", "{dA_prev} = {back}"
PRODUCT, SUMS = "{dW} = {product}{penalty}", "{db} = {sums}{bias_penalty}"
DERIVATIVE = "The derivative of {f} in {where} is"
TIMES = "{dZ} = {dA} * "
SENT, GRADIENT, OF_BIAS = "{dA_prev} = ", "{dW} = ", "{db} = "

CHAIN_RULE_WORDING: Mapping[str, Wording] = {
    "updated-weights-used": Wording(
        "The weights of {where} are updated before the error is sent back through them.",
        "{dA_prev} = {back}  # before {W} is updated",
        "{W} = {W} - rate * {dW}; {dA_prev} = {back}",
    ),
    "output-derivative-missing": Wording("The derivative of {f} is left out at {where}.", THROUGH, "{dZ} = {dA}"),
    "hidden-derivative-missing": Wording(
        "The derivative of {f} is left out on the way back through {where}.", THROUGH, "{dZ} = {dA}"
    ),
    "derivative-of-wrong-variable": Wording(
        {
            "z-for-a": f"{DERIVATIVE} {{said_z_for_a}}.",
            "a-for-z": f"{DERIVATIVE} {{said_a_for_z}}.",
        },
        THROUGH,
        {"z-for-a": "{dZ} = {through_z_for_a}", "a-for-z": "{dZ} = {through_a_for_z}"},
    ),
    "derivative-of-neighbour-layer": Wording(
        {
            "next": f"{DERIVATIVE} taken at the Z of the next layer.",
            "previous": f"{DERIVATIVE} taken at the Z of the layer below.",
            "next-output": f"{DERIVATIVE} made of the A of the next layer.",
            "previous-output": f"{DERIVATIVE} made of what the layer is given, not of its own A.",
        },
        THROUGH,
        {
            "next": "{dZ} = {through_next}",
            "previous": "{dZ} = {through_previous}",
            "next-output": "{dZ} = {through_next_output}",
            "previous-output": "{dZ} = {through_previous_output}",
        },
    ),
    "derivative-of-other-activation": Wording(
        {
            "sigmoid-of-output": "The derivative used in {where} is a sigmoid's, A * (1 - A); the activation is {f}.",
            "tanh-of-output": "The derivative used in {where} is that of tanh, 1 - A**2; the activation is {f}.",
            OTHERS: "The derivative used in {where} is that of {variant}; the activation is {f}.",
        },
        THROUGH,
        TIMES + "{slope_of_other}",
    ),
    "tanh-derivative-wrong": Wording(
        {
            "tanh": f"{DERIVATIVE} taken to be tanh itself.",
            "one-minus-tanh": f"{DERIVATIVE} taken to be 1 - tanh, without the square.",
            "one-minus-tanh-squared": f"{DERIVATIVE} taken to be (1 - tanh)**2.",
        },
        THROUGH,
        {
            "tanh": TIMES + "{A}",
            "one-minus-tanh": TIMES + "(1 - {A})",
            "one-minus-tanh-squared": TIMES + "(1 - {A})**2",
        },
    ),
    "sigmoid-derivative-doubled": Wording(
        "The derivative of {f} in {where} has a stray factor 2.", THROUGH, TIMES + "2 * {A} * (1 - {A})"
    ),
    "relu-drops-cotangent": Wording(
        "Going back through {f} in {where} gives its derivative alone: the error that came is lost.",
        THROUGH,
        "{dZ} = {slope_alone}",
    ),
    "relu-mask-missing": Wording(
        "Going back through {f} in {where}, the error passes where the unit is inactive too.", THROUGH, "{dZ} = {dA}"
    ),
    "relu-mask-on-cotangent": Wording(
        {
            "instead": "The mask of {f} in {where} is made of the error that came back, where Z is meant.",
            "as-well": "The mask of {f} in {where} is made of the error that came back too, not of Z alone.",
        },
        THROUGH,
        {
            "instead": TIMES + "{gate_by_error}",
            "as-well": TIMES + "{gate_by_error} * {slope}",
        },
    ),
    "leaky-slope-wrong-side": Wording(
        "The slope of {f} in {where} is applied where Z > 0 on the way back, and 1 elsewhere.",
        THROUGH,
        TIMES + "np.where({Z} > 0, {parameter}, 1)",
    ),
    "leaky-slope-missing": Wording(
        "The slope of {f} in {where} is forgotten on the way back: inactive units pass nothing.",
        THROUGH,
        TIMES + "({Z} > 0)",
    ),
    "kink-other-side": Wording("Exactly at a kink, {f} in {where} has the derivative of the other side.", THROUGH),
    "elementwise-for-matmul": Wording(
        {
            "every-entry": "Going back from {where}, the error is multiplied with the weights entry by entry.",
            "diagonal": "Going back from {where}, the error meets the diagonal of the weights alone.",
        },
        BACK,
    ),
    "sum-not-accumulated": Wording(
        "Going back from {where}, the sum over [its|their] units is overwritten, not added up: only the last counts.",
        BACK,
        SENT + "{back_of_last_unit}",
    ),
    "weights-not-transposed": Wording(
        "Going back from {where}, the weights are turned the wrong way: one .T too many, or one too few.",
        BACK,
        SENT + "{back_unturned}",
    ),
    "gradient-used-as-weights": Wording(
        "Going back from {where}, the gradient of the weights is used where the weights are meant.",
        BACK,
        SENT + "{back_by_gradient}",
    ),
    "weight-gradient-transposed": Wording(
        "The weight gradient[|s] of {where} [is|are] handed back transposed.", PRODUCT
    ),
    "layer-index-shifted": Wording(
        {
            "inputs-of-previous": "The weight gradient of {where} is made with the inputs of the layer below it.",
            "delta-of-next": "The gradients of {where} are made with the dZ of the next layer.",
            "delta-of-previous": "The gradients of {where} are made with the dZ of the layer below.",
        },
        {"inputs-of-previous": PRODUCT, OTHERS: f"{PRODUCT}; {SUMS}"},
        {
            "inputs-of-previous": GRADIENT + "{product_of_below}{penalty}",
            "delta-of-next": GRADIENT + "{product_with_next}{penalty}; {db} = {sums_with_next}{bias_penalty}",
        },
    ),
    "sign-flipped": Wording(
        {
            "at-the-outputs": "Every gradient has the wrong sign: target - output stands for output - target.",
            "at-the-end": "Every gradient has the wrong sign, the penalty's part too.",
        },
        {"at-the-outputs": "{loss}", "at-the-end": f"{PRODUCT}; {SUMS}"},
        {
            "at-the-outputs": "{beginning} = -{loss_in_brackets}",
            "at-the-end": "{dW} = -{whole_product}; {db} = -{whole_sums}",
        },
    ),
    "layer-sign-flipped": Wording(
        {
            "gradient": "The gradients of {where} have the wrong sign.",
            "cotangent": "The dZ of {where} has the wrong sign, and with it all below.",
        },
        {"gradient": f"{PRODUCT}; {SUMS}", "cotangent": THROUGH},
        {
            "gradient": "{dW} = -{whole_product}; {db} = -{whole_sums}",
            "cotangent": "{dZ} = -{through}",
        },
    ),
    "activated-output-used-as-input": Wording(
        "The weight gradient of {where} is made with the layer's own output where its input is meant.",
        PRODUCT,
        GRADIENT + "{product_of_output}{penalty}",
    ),
    "raw-error-sent-back": Wording(
        "The raw error (dA) is sent back from {where}, without the derivative of {f}: dZ is meant.",
        "{dA_prev} = {back}  # {dZ}, not {dA}",
        SENT + "{back_of_error}",
    ),
    "output-derivative-missing-in-weights": Wording(
        {
            "weights": "The weight gradient of {where} lacks the derivative of {f}; what is sent back has it.",
            "bias": "The bias gradient of {where} lacks the derivative of {f}; what is sent back has it.",
            "both": "The gradients of {where} lack the derivative of {f}; what is sent back has it.",
        },
        {"bias": f"{THROUGH}; {SUMS}", "weights": f"{THROUGH}; {PRODUCT}", "both": f"{THROUGH}; {PRODUCT}; {SUMS}"},
        {
            "weights": GRADIENT + "{product_of_error}{penalty}",
            "bias": OF_BIAS + "{sums_of_error}{bias_penalty}",
            "both": GRADIENT + "{product_of_error}{penalty}; {db} = {sums_of_error}{bias_penalty}",
        },
    ),
    "value-for-derivative": Wording(
        {
            "value": f"{DERIVATIVE} taken to be {{f}} itself.",
            "value-of-output": f"{DERIVATIVE} taken to be {{f}} itself, and of A, not of Z.",
            "z-where-positive": f"{DERIVATIVE} taken to be Z, not 1, where Z > 0.",
            "value-where-negative": f"{DERIVATIVE} taken to be {{f}} itself where Z < 0.",
            "one-plus-square": f"{DERIVATIVE} taken to be 1 + A**2; the sign is wrong.",
            "a-one-plus-a": f"{DERIVATIVE} taken to be A * (1 + A); the sign is wrong.",
        },
        THROUGH,
        {
            "value": TIMES + "{A}",
            "value-of-output": TIMES + "{called_at_a}",
            "z-where-positive": TIMES + "np.where({Z} > 0, {Z}, {slope_below})",
            "value-where-negative": TIMES + "np.where({Z} < 0, {A}, {slope_above})",
            "one-plus-square": TIMES + "(1 + {A}**2)",
            "a-one-plus-a": TIMES + "{A} * (1 + {A})",
        },
    ),
    "sigmoid-derivative-slip": Wording(
        {
            "one-minus-z": f"{DERIVATIVE} taken to be sigmoid(Z) * sigmoid(1 - Z): 1 - sigmoid(Z) is meant.",
            "squared": f"{DERIVATIVE} taken to be A**2.",
            "one-minus-a": f"{DERIVATIVE} taken to be 1 - A: the factor A is missing.",
            "one-minus-a-squared": f"{DERIVATIVE} taken to be (1 - A)**2.",
            "a-one-minus-z": f"{DERIVATIVE} taken to be A * (1 - Z): the second factor takes Z for A.",
            "z-one-minus-a": f"{DERIVATIVE} taken to be Z * (1 - A): the first factor takes Z for A.",
            "square-inside": f"{DERIVATIVE} taken to be exp(-Z) / (1 + exp(-Z)**2): the square belongs outside.",
            "sign-of-exponent": f"{DERIVATIVE} taken with exp(Z) above the fraction line, where exp(-Z) is meant.",
        },
        THROUGH,
        {
            "one-minus-z": TIMES + "{A} * sigmoid(1 - {Z})",
            "squared": TIMES + "{A}**2",
            "one-minus-a": TIMES + "(1 - {A})",
            "one-minus-a-squared": TIMES + "(1 - {A})**2",
            "a-one-minus-z": TIMES + "{A} * (1 - {Z})",
            "z-one-minus-a": TIMES + "{Z} * (1 - {A})",
            "square-inside": TIMES + "np.exp(-{Z}) / (1 + np.exp(-{Z})**2)",
            "sign-of-exponent": TIMES + "np.exp({Z}) / (1 + np.exp(-{Z}))**2",
        },
    ),
    "product-term-missing": Wording(
        {
            "second-term-missing": f"{DERIVATIVE} its factor beside Z alone: the term Z g'(Z) is missing.",
            "first-term-missing": f"{DERIVATIVE} the term Z g'(Z) alone: the term g(Z) is missing.",
            "factor-z-missing": f"{DERIVATIVE} g(Z) + g'(Z): the factor Z of the second term is missing.",
        },
        THROUGH,
    ),
    "slope-different-backward": Wording(
        "The slope of {f} in {where} is {value} on the way back, which is not that of the forward pass.",
        THROUGH,
        TIMES + "{slope_with_number}",
    ),
    "mask-overwrites": Wording(
        "Where units of {where} are inactive, the error is overwritten with {value}: what came back is lost.",
        THROUGH,
        "{dZ} = np.where({Z} > 0, {dA}, {number})",
    ),
    "relu-threshold": Wording(
        "On the way back, {f} in {where} counts as active from Z = {value} on, not from 0.",
        THROUGH,
        TIMES + "{gate_by_number}",
    ),
    "softmax-derivative-without-sum": Wording(
        {
            "missing": f"{DERIVATIVE} taken to be the softmax itself, without a sum over units.",
            "over-samples": f"{DERIVATIVE} made with a sum over the samples where one over the units is meant.",
            "over-everything": f"{DERIVATIVE} made with a sum over everything where one over the units is meant.",
        },
        THROUGH,
        {
            "missing": TIMES + "{A}",
            "over-samples": "{dZ} = {A} * ({dA} - ({dA} * {A}).sum(axis={samples_axis}, keepdims=True))",
            "over-everything": "{dZ} = {A} * ({dA} - ({dA} * {A}).sum())",
        },
    ),
    "derivative-of-error": Wording(
        f"{DERIVATIVE} taken at the error that comes back, not at the layer's own values.",
        THROUGH,
        {"in-terms-of-a": "{dZ} = {through_error_for_a}", "in-terms-of-z": "{dZ} = {through_error_for_z}"},
    ),
    "weights-times-activations": Wording(
        {
            "own": "The error sent back from {where} is multiplied with the activations of the layer below, too.",
            "samples-mixed": "Weights times activations are sent back from {where}, and samples are mixed in it.",
        },
        BACK,
        {"own": "{dA_prev} = ({back}) * {A_prev}"},
    ),
    "sum-product-swapped": Wording(
        {
            "way-back": "Sent back from {where} is a product of two sums, where a sum of products is meant.",
            "weights": "The weight gradient of {where} is a product of two sums, where a sum of products is meant.",
            "bias": "The bias gradient of {where} is made of a sum of derivatives, where each unit has its own.",
        },
        {"way-back": BACK, "weights": PRODUCT, "bias": f"{THROUGH}; {SUMS}"},
        {"way-back": SENT + "{back_of_sums}", "weights": GRADIENT + "{product_of_sums}{penalty}"},
    ),
    "wrong-unit-dropped": Wording("Going back from {where}, unit {value} is dropped in place of the bias.", BACK),
    "pre-activation-used-as-input": Wording(
        "The weight gradient of {where} is made with Z of the layer below, where its A is meant.",
        PRODUCT,
        GRADIENT + "{product_of_z}{penalty}",
    ),
    "network-input-used-as-input": Wording(
        "The weight gradient of {where} is made with X, the network's inputs, where the layer's own are meant.",
        PRODUCT,
        GRADIENT + "{product_of_inputs}{penalty}",
    ),
    "last-sample-activations": Wording(
        {
            "last": "The error is summed over samples, and goes back through {where} with the last sample's values.",
            "first": "The error is summed over samples, and goes back through {where} with the first sample's values.",
            "inputs-of-last": "The weight gradient[|s] of {where} [is|are] made of the last sample's inputs alone.",
            "inputs-of-first": "The weight gradient[|s] of {where} [is|are] made of the first sample's inputs alone.",
        },
        {"inputs-of-last": PRODUCT, "inputs-of-first": PRODUCT, OTHERS: THROUGH},
        {
            "inputs-of-last": GRADIENT + "{product_of_last_inputs}{penalty}",
            "inputs-of-first": GRADIENT + "{product_of_first_inputs}{penalty}",
            "last": "{through_of_last}",
            "first": "{through_of_first}",
        },
    ),
}
