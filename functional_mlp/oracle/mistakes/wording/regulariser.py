"""Words for mistakes in the penalties."""

from collections.abc import Mapping

from functional_mlp.oracle.mistakes.wording.wording import Wording

WEIGHTS, BIASES = "{dW} = {product}{penalty}{biases_too}", "{db} = {sums}{bias_penalty}"
ALONE, DECAYED = "{dW} = {product}", "{dW} = {product}{penalty}"

REGULARISER_WORDING: Mapping[str, Wording] = {
    "l2-sign": Wording("The gradient of the L2 penalty has the wrong sign.", WEIGHTS, ALONE + " - {l2} * {W}"),
    "l2-factor": Wording(
        {
            "doubled": "The gradient of the L2 penalty is twice what the case declares.",
            "halved": "The gradient of the L2 penalty is half of what the case declares.",
        },
        WEIGHTS,
        {"doubled": ALONE + " + 2 * {l2} * {W}", "halved": ALONE + " + {l2} / 2 * {W}"},
    ),
    "l2-missing": Wording("The L2 penalty is left out of the gradient.", WEIGHTS, ALONE),
    "l2-unexpected": Wording(
        "A weight decay, {value} times the weights, is added, which the case does not declare.",
        WEIGHTS,
        DECAYED + " + {number} * {W}",
    ),
    "l1-penalty": Wording(
        "An L1 penalty, {value} times the signs of the weights, is added, which the case does not declare.",
        WEIGHTS,
        DECAYED + " + {number} * np.sign({W})",
    ),
    "l1-missing": Wording("The L1 penalty is left out of the gradient.", WEIGHTS),
    "l2-on-bias": Wording(
        "The penalty is applied to the biases too, which the case spares.", BIASES, "{db} = {sums} + {l2} * {b}"
    ),
    "l2-not-on-bias": Wording(
        "The penalty is not applied to the biases, where the case has it too.", BIASES, "{db} = {sums}"
    ),
    "l2-not-averaged": Wording(
        {
            "times-n": "The L2 penalty is added once for each sample: n times.",
            "divided-by-n": "The L2 penalty is divided by the number of samples.",
        },
        WEIGHTS,
        {"times-n": ALONE + " + n * {l2} * {W}", "divided-by-n": ALONE + " + {l2} / n * {W}"},
    ),
    "l2-on-gradient": Wording(
        "The L2 penalty scales the gradient, where it should add to it.", WEIGHTS, "{dW} = (1 + {l2}) * ({product})"
    ),
    "l2-on-summed-gradient": Wording(
        "The penalty's coefficient multiplies the gradient, before or after its mean, where it belongs to the weights.",
        WEIGHTS,
    ),
    "l2-coefficient-different": Wording(
        "The coefficient of the L2 penalty is {value}, another than the case declares.",
        WEIGHTS,
        ALONE + " + {number} * {W}",
    ),
}
