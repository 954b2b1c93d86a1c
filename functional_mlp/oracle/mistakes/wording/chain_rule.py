"""Words for mistakes in the chain rule."""

from collections.abc import Mapping

from functional_mlp.oracle.mistakes.wording.wording import OTHERS, Wording

THROUGH, BACK, PRODUCT, SUMS = "{dZ} = {through}", "{dA_prev} = {back}", "{dW} = {product}", "{db} = {sums}"
DERIVATIVE = "The derivative of {f} in {where} is"

CHAIN_RULE_WORDING: Mapping[str, Wording] = {
    "updated-weights-used": Wording(
        "The weights of {where} are updated before the error is sent back through them.",
        "{dA_prev} = {back}  # before the update",
    ),
    "output-derivative-missing": Wording("The derivative of {f} is left out at {where}.", THROUGH),
    "hidden-derivative-missing": Wording("The derivative of {f} is left out on the way back through {where}.", THROUGH),
    "derivative-of-wrong-variable": Wording(
        {
            "z-for-a": f"{DERIVATIVE} taken of z where a is meant.",
            "a-for-z": f"{DERIVATIVE} taken of a, which is past {{f}} already, where z is meant.",
        },
        THROUGH,
    ),
    "derivative-of-neighbour-layer": Wording(
        {
            "next": f"{DERIVATIVE} taken at the z of the next layer.",
            "previous": f"{DERIVATIVE} taken at the z of the layer below.",
            "next-output": f"{DERIVATIVE} taken at the a of the next layer.",
            "previous-output": f"{DERIVATIVE} taken at the a of the layer below.",
        },
        THROUGH,
    ),
    "derivative-of-other-activation": Wording(
        {
            "sigmoid-of-output": "The derivative used in {where} is a(1 - a), a sigmoid's; the activation is {f}.",
            "tanh-of-output": "The derivative used in {where} is 1 - a**2, that of tanh; the activation is {f}.",
            OTHERS: "The derivative used in {where} is that of {variant}; the activation is {f}.",
        },
        THROUGH,
    ),
    "tanh-derivative-wrong": Wording(
        {
            "tanh": f"{DERIVATIVE} taken to be tanh itself.",
            "one-minus-tanh": f"{DERIVATIVE} taken to be 1 - tanh, without the square.",
            "one-minus-tanh-squared": f"{DERIVATIVE} taken to be (1 - tanh)**2.",
        },
        THROUGH,
    ),
    "sigmoid-derivative-doubled": Wording("The derivative of {f} in {where} has a stray factor 2.", THROUGH),
    "relu-drops-cotangent": Wording(
        "Going back through {f} in {where} gives its derivative alone: the error that came is lost.", THROUGH
    ),
    "relu-mask-missing": Wording(
        "Going back through {f} in {where}, the error passes where the unit is inactive too.", THROUGH
    ),
    "relu-mask-on-cotangent": Wording(
        {
            "instead": "The mask of {f} in {where} is made of the error that came back, where z is meant.",
            "as-well": "The mask of {f} in {where} is made of the error that came back too, not of z alone.",
        },
        THROUGH,
    ),
    "leaky-slope-wrong-side": Wording(
        "The slope of {f} in {where} is applied where z > 0 on the way back, and 1 elsewhere.", THROUGH
    ),
    "leaky-slope-missing": Wording(
        "The slope of {f} in {where} is forgotten on the way back: inactive units pass nothing.", THROUGH
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
    ),
    "weights-not-transposed": Wording(
        "Going back from {where}, the weights are turned the wrong way: W stands where its transpose is meant.", BACK
    ),
    "gradient-used-as-weights": Wording(
        "Going back from {where}, the gradient of the weights is used where the weights are meant.", BACK
    ),
    "weight-gradient-transposed": Wording(
        "The weight gradient[|s] of {where} [is|are] handed back transposed.", "{dW} = {product}"
    ),
    "layer-index-shifted": Wording(
        {
            "inputs-of-previous": "The weight gradient of {where} is made with the inputs of the layer below it.",
            "delta-of-next": "The gradients of {where} are made with the delta of the next layer.",
            "delta-of-previous": "The gradients of {where} are made with the delta of the layer below.",
        },
        PRODUCT,
    ),
    "sign-flipped": Wording(
        {
            "at-the-outputs": "Every gradient has the wrong sign: target - output stands for output - target.",
            "at-the-end": "Every gradient has the wrong sign, the penalty's part too.",
        },
        {"at-the-outputs": "{loss}", "at-the-end": "{dW} = {product}{penalty}"},
    ),
    "layer-sign-flipped": Wording(
        {
            "gradient": "The gradients of {where} have the wrong sign.",
            "cotangent": "The delta of {where} has the wrong sign, and with it all below.",
        },
        {"gradient": PRODUCT, "cotangent": THROUGH},
    ),
    "activated-output-used-as-input": Wording(
        "The weight gradient of {where} is made with the layer's own output where its input is meant.", PRODUCT
    ),
    "raw-error-sent-back": Wording(
        "The raw error (dA) is sent back from {where}, without the derivative of {f}: dZ is meant.",
        "{dA_prev} = {back}  # {dZ}, not {dA}",
    ),
    "output-derivative-missing-in-weights": Wording(
        {
            "weights": "The weight gradient of {where} lacks the derivative of {f}; what is sent back has it.",
            "bias": "The bias gradient of {where} lacks the derivative of {f}; what is sent back has it.",
            "both": "The gradients of {where} lack the derivative of {f}; what is sent back has it.",
        },
        {"bias": f"{THROUGH}; {SUMS}", OTHERS: f"{THROUGH}; {PRODUCT}"},
    ),
    "value-for-derivative": Wording(
        {
            "value": f"{DERIVATIVE} taken to be {{f}} itself.",
            "value-of-output": f"{DERIVATIVE} taken to be {{f}} itself, and of a, not of z.",
            "z-where-positive": f"{DERIVATIVE} taken to be z, not 1, where z > 0.",
            "value-where-negative": f"{DERIVATIVE} taken to be {{f}} itself where z < 0.",
            "one-plus-square": f"{DERIVATIVE} taken to be 1 + a**2; the sign is wrong.",
            "a-one-plus-a": f"{DERIVATIVE} taken to be a(1 + a); the sign is wrong.",
        },
        THROUGH,
    ),
    "sigmoid-derivative-slip": Wording(
        {
            "one-minus-z": f"{DERIVATIVE} taken to be sigmoid(z) sigmoid(1 - z): 1 - sigmoid(z) is meant.",
            "squared": f"{DERIVATIVE} taken to be a**2.",
            "one-minus-a": f"{DERIVATIVE} taken to be 1 - a: the factor a is missing.",
            "one-minus-a-squared": f"{DERIVATIVE} taken to be (1 - a)**2.",
            "a-one-minus-z": f"{DERIVATIVE} taken to be a(1 - z): the second factor takes z for a.",
            "z-one-minus-a": f"{DERIVATIVE} taken to be z(1 - a): the first factor takes z for a.",
            "square-inside": f"{DERIVATIVE} taken to be exp(-z) / (1 + exp(-z)**2): the square belongs outside.",
            "sign-of-exponent": f"{DERIVATIVE} taken with exp(z) above the fraction line, where exp(-z) is meant.",
        },
        THROUGH,
    ),
    "product-term-missing": Wording(
        {
            "second-term-missing": f"{DERIVATIVE} its factor beside z alone: the term z g'(z) is missing.",
            "first-term-missing": f"{DERIVATIVE} the term z g'(z) alone: the term g(z) is missing.",
            "factor-z-missing": f"{DERIVATIVE} g(z) + g'(z): the factor z of the second term is missing.",
        },
        THROUGH,
    ),
    "slope-different-backward": Wording(
        "The slope of {f} in {where} is {value} on the way back, which is not that of the forward pass.", THROUGH
    ),
    "mask-overwrites": Wording(
        "Where units of {where} are inactive, the error is overwritten with {value}: what came back is lost.", THROUGH
    ),
    "relu-threshold": Wording(
        "On the way back, {f} in {where} counts as active from z = {value} on, not from 0.", THROUGH
    ),
    "softmax-derivative-without-sum": Wording(
        {
            "missing": f"{DERIVATIVE} taken to be the softmax itself, without a sum over units.",
            "over-samples": f"{DERIVATIVE} made with a sum over the samples where one over the units is meant.",
            "over-everything": f"{DERIVATIVE} made with a sum over everything where one over the units is meant.",
        },
        THROUGH,
    ),
    "derivative-of-error": Wording(
        f"{DERIVATIVE} taken at the error that comes back, not at the layer's own values.", THROUGH
    ),
    "weights-times-activations": Wording(
        {
            "own": "The error sent back from {where} is multiplied with the activations of the layer below, too.",
            "samples-mixed": "Weights times activations are sent back from {where}, and samples are mixed in it.",
        },
        BACK,
    ),
    "sum-product-swapped": Wording(
        {
            "way-back": "Sent back from {where} is a product of two sums, where a sum of products is meant.",
            "weights": "The weight gradient of {where} is a product of two sums, where a sum of products is meant.",
            "bias": "The bias gradient of {where} is made of a sum of derivatives, where each unit has its own.",
        },
        {"way-back": BACK, "weights": PRODUCT, "bias": f"{THROUGH}; {SUMS}"},
    ),
    "wrong-unit-dropped": Wording("Going back from {where}, unit {value} is dropped in place of the bias.", BACK),
    "pre-activation-used-as-input": Wording(
        "The weight gradient of {where} is made with z of the layer below, where its a is meant.", PRODUCT
    ),
    "network-input-used-as-input": Wording(
        "The weight gradient of {where} is made with X, the network's inputs, where the layer's own are meant.", PRODUCT
    ),
    "last-sample-activations": Wording(
        {
            "last": "The error is summed over the samples before it goes through {where}, by the last sample alone.",
            "first": "The error is summed over the samples before it goes through {where}, by the first sample alone.",
            "inputs-of-last": "The weight gradient[|s] of {where} [is|are] made of the last sample's inputs alone.",
            "inputs-of-first": "The weight gradient[|s] of {where} [is|are] made of the first sample's inputs alone.",
        },
        {"inputs-of-last": PRODUCT, "inputs-of-first": PRODUCT, OTHERS: THROUGH},
    ),
}
