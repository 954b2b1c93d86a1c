"""The far tail: pre-activations so large that their exponentials overflow, and what to do about a NaN there.

A right program is right wherever the truth is finite. Textbook forms that are not are known by it: softmax without the
maximum, tanh and sigmoid as quotients of exponentials, log(1 + exp(z)). So a few units get a bias beyond the logarithm
of the format's largest number, about 90 in float32; their weights stay moderate, and what they send on is scaled down,
so that the other units, and the way back, are as in any other case.

Units are left alone where right textbook programs give no number: probabilities that round to 0 or 1 under a loss of
probabilities, whose quotients are 0 / 0 there.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.losses import KINDS, Loss
from functional_mlp.network import Network
from functional_mlp.oracle.case import Case, layer_of
from functional_mlp.oracle.noise import Precision, kind
from functional_mlp.oracle.verdict import Cause, Leaf, Verdict

FAR_TAIL = "large pre-activations"  # the name of the case
BEYOND = 1.07  # times the logarithm of the largest number
WITHOUT_EXPONENTIALS = (
    *("identity", "relu", "leaky_relu", "prelu", "relu6", "hardtanh", "hard_sigmoid", "hard_swish", "softsign"),
    *("sin", "cos", "gaussian"),
)
BLURRED = 0.1  # a logit that is known no better than to this says little about probabilities
OF_LOGITS = {"sigmoid_cross_entropy", "softmax_cross_entropy"}

# what to do about numbers that are not finite, by the name of an activation or of a loss
REMEDIES = {
    "softmax": "softmax: subtract the row's maximum before exp",
    "tanh": "tanh: take tanh(z) of a library, or 2 / (1 + exp(-2 z)) - 1, no quotient of two infinities",
    "sigmoid": "sigmoid: 1 / (1 + exp(-z)), not exp(z) / (1 + exp(z)); its derivative is a (1 - a)",
    "softplus": "softplus: max(z, 0) + log1p(exp(-|z|)), and its derivative 1 / (1 + exp(-z))",
    "silu": "silu: z / (1 + exp(-z)), with the derivative s + z s (1 - s) of s = 1 / (1 + exp(-z))",
    "gelu": "gelu: z and exp(-z^2 / 2) in forms that do not overflow",
    "elu": "elu: take exp of min(z, 0), since the branch that is not chosen overflows too",
    "softmax_cross_entropy": "softmax_cross_entropy: subtract the row's maximum before exp, and log(sum(exp)) of that",
    "sigmoid_cross_entropy": "sigmoid_cross_entropy: max(z, 0) - z t + log1p(exp(-|z|)), and its derivative"
    " 1 / (1 + exp(-z)) - t, no quotient by p (1 - p)",
}
ANY = "{}: a form whose exponentials do not overflow"


def far(precision: Precision) -> float:
    """The pre-activation whose exponential overflows in the format that a precision stores: 95 in float32."""
    return BEYOND * math.log(precision.storage.largest)


def far_offsets(network: Network, loss: Loss | None, precision: Precision) -> tuple[Array, ...]:
    """By how much the pre-activations (n_l,) of each layer are to be moved; zeros for units that are left alone.

    All units of a softmax move together, since only their differences count, if those keep some digits (not in
    bfloat16); of other layers the first two, but never more than half of the units, so that others keep their
    gradients.
    """
    last, distance = len(network.activations) - 1, far(precision)
    sharp = distance * precision.storage.unit < BLURRED
    offsets = []
    for layer, activation in enumerate(network.activations):
        name, units = kind(activation), network.sizes[layer + 1]
        ends = loss.kind if loss is not None and layer == last else ""
        moved: list[float] = []
        if name == "softmax" or (ends == "softmax_cross_entropy" and name in WITHOUT_EXPONENTIALS):
            moved = [distance] * (units if sharp else 0)
        elif ends == "sigmoid_cross_entropy" and name in WITHOUT_EXPONENTIALS:
            moved = [distance, -distance][:units]
        elif name not in ("", *WITHOUT_EXPONENTIALS) and not (ends and KINDS[ends].of_probabilities):
            moved = [distance, -distance][: units // 2]
        offsets.append(np.array(moved + [0.0] * (units - len(moved))))
    return tuple(offsets)


def remedied(leaves: Sequence[Leaf], case: Case, precision: Precision) -> tuple[Leaf, ...]:
    """The verdicts on an answer to the far case, with what to do about numbers that are not finite.

    A derivative that is not finite spoils its layer and those before it; whatever spoils every entry of the last layer
    may have come from any layer of the forward pass.
    """
    spoilt = [leaf for leaf in leaves if leaf.cause is Cause.NOT_FINITE]
    depth = len(case.network.activations)
    top = max((layer_of(leaf.path) for leaf in spoilt), default=-1)
    everything = any(leaf.wrong == leaf.size and layer_of(leaf.path) == depth - 1 for leaf in spoilt)
    fixes = _fixes(case.network, case.loss, range(depth) if everything or top < 0 else [top])
    remedy = f"keep the numbers finite at |z| = {far(precision):.0f}, where the truth is finite. {fixes}"
    return tuple(replace(leaf, remedy=remedy) if leaf.cause is Cause.NOT_FINITE else leaf for leaf in leaves)


def is_explained(case: Case, leaves: Sequence[Leaf]) -> bool:
    """Whether all that is wrong are numbers that are not finite in the far tail, for which no mistake is looked for."""
    causes = {leaf.cause for leaf in leaves if leaf.verdict is Verdict.WRONG}
    return case.name.startswith(FAR_TAIL) and causes == {Cause.NOT_FINITE}


def _fixes(network: Network, loss: Loss | None, layers: Iterable[int]) -> str:
    """What to do about it in these layers, and in the loss for the last one."""
    names = []
    for layer in layers:
        name = network.activations[layer].name
        if name not in WITHOUT_EXPONENTIALS:
            names.append(name)
        if layer == len(network.activations) - 1 and loss is not None and loss.kind in OF_LOGITS:
            names.append(loss.kind)
    return "; ".join(REMEDIES.get(name, ANY.format(name)) for name in dict.fromkeys(names))
