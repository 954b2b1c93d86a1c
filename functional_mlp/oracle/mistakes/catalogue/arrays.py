"""Mistakes with whole gradient arrays: scaled, made of one number, of each other, in another order, clipped."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from functional_mlp.network import Dense
from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake, Parameter, constant
from functional_mlp.oracle.mistakes.changes import (
    Array,
    Context,
    by_variant,
    in_bias,
    in_finished,
    in_gathered,
    in_returned,
    in_weights,
)
from functional_mlp.oracle.mistakes.conditions import HAS_BIAS, SEVERAL_LAYERS, Condition, Site, for_variant
from functional_mlp.oracle.mistakes.program import summed, times

BOTH = ("weights", "bias")


def _scaled(names: Sequence[str]) -> Callable[[Context, str, Array], Array]:
    return lambda context, name, ct: times(context.value, ct) if name in names else ct


def _one_number(number: Callable[[Any, Array, Array], Any]) -> Callable[[Context, Any, Array], Array]:
    """Every entry of ct_W the same: `number` of the layer, of ct_z and of ct_W."""

    def filled(context: Context, layer: Any, ct: Array) -> Array:
        own: Array = context.before("weights_cotangent")(layer, ct)
        return np.full_like(own, number(layer, ct, own))

    return filled


def _mean_of_bias(context: Context, layer: Any, ct: Array) -> Array:
    own: Array = context.before("bias_cotangent")(layer, ct)
    return np.full_like(own, mean(own))


def mean(array: Array) -> Array:
    """The mean of all entries, in the dtype of the array."""
    return times(1 / array.size, summed(array))


def _from_weights(bias: Callable[[Array], Array]) -> Callable[[Context, Any, Array], Array]:
    return lambda context, layer, ct: bias(context.before("weights_cotangent")(layer, ct))


FROM_WEIGHTS: Mapping[str, Callable[[Array], Array]] = {
    "over-inputs": lambda own: summed(own, axis=0),
    "mean-over-inputs": lambda own: times(1 / len(own), summed(own, axis=0)),
    "first-row": lambda own: own[0],
    "last-row": lambda own: own[-1],
}


def _inputs_sum_to_one(site: Site) -> bool:
    """Whether what the layer was given sums to 1, so that the sum of ct_W over the inputs is right."""
    inputs = site.tape.activations[site.layer - 1] if site.layer else site.case.inputs
    return bool(np.allclose(inputs.sum(axis=1), 1.0, rtol=1e-9))


def _reads_both_ways(site: Site) -> bool:
    shapes = [[None if leaf is None else leaf.shape for leaf in layer] for layer in site.case.params]
    return shapes == shapes[::-1]


def norm(arrays: Sequence[Array]) -> float:
    """The Euclidean norm of all entries of several arrays."""
    size = largest(arrays)
    if not 0 < size < np.inf:
        return size
    # ‖x‖ = s ‖x/s‖, whose squares do not overflow
    return size * float(np.sqrt(sum(np.sum(np.square(array.astype(np.float64) / size)) for array in arrays)))


def largest(arrays: Sequence[Array]) -> float:
    """The largest magnitude of an entry of several arrays."""
    return max((float(np.max(np.abs(array))) for array in arrays), default=0.0)


def _leaves(gradients: Any) -> list[Array]:
    return [leaf for layer in gradients for leaf in layer if leaf is not None]


def _each_times(number: float, layer: Any) -> Any:
    return (None if leaf is None else times(number, leaf) for leaf in layer)


def _all_times(factor: Callable[[Context, float], float]) -> Callable[[Context, Any], Any]:
    """Every array times a number that depends on the norm of all of them."""

    def scaled(context: Context, gradients: Any) -> Any:
        number = factor(context, norm(_leaves(gradients)))
        return tuple(Dense(*_each_times(number, layer)) for layer in gradients)

    return scaled


def _shortened(context: Context, length: float) -> float:
    """What brings a norm down to the bound, if it is above."""
    return context.value / length if length > context.value else 1.0


def _to_one(context: Context, length: float) -> float:
    return 1 / length if length else 1.0


READ: Mapping[str, Callable[[Sequence[Array]], float]] = {
    "by-value": largest,
    "by-norm": norm,
    "each-by-norm": lambda arrays: max((norm([array]) for array in arrays), default=0.0),
}

ARRAY_MISTAKES = (
    Mistake(
        "array-scaled",
        "The gradient of the weights, of the bias, or of both of a layer has a constant factor.",
        "c ct_W, c ct_b, or both",
        "ct_W = a_prevᵀ ct_z, ct_b = sum of ct_z over samples: leave the constant out",
        by_variant(
            {
                "weights": in_returned(_scaled(("weights",))),
                "bias": in_returned(_scaled(("bias",))),
                "both": in_returned(_scaled(BOTH)),
            }
        ),
        (
            Condition("another constant than 1, and than 0", lambda site: site.value != 1 and abs(site.value) > 1e-9),
            for_variant("a layer with a bias", dict.fromkeys(("bias", "both"), HAS_BIAS.test)),
        ),
        tag="fitted",
        parameter=constant("the constant c", 3.0, linear=True),
        variants=("weights", "bias", "both"),
        generic=True,
    ),
    Mistake(
        "scalar-broadcast",
        "One number stands for every entry of a gradient: a sum or mean of all, or a dot product where the outer one "
        "is meant.",
        "every entry of ct_W is the sum or the mean of all, or the sum of ct_z a or of ct_z a_prev over samples and "
        "units; or every entry of ct_b is the mean of all",
        "ct_W[i, j] = sum over samples of a_prev[i] ct_z[j], ct_b[j] = sum over samples of ct_z[j]",
        by_variant(
            {
                "weights": in_weights(_one_number(lambda layer, ct, own: summed(own))),
                "weights-mean": in_weights(_one_number(lambda layer, ct, own: mean(own))),
                "dot-with-outputs": in_weights(_one_number(lambda layer, ct, own: summed(ct * layer.a))),
                "dot-with-inputs": in_weights(_one_number(lambda layer, ct, own: summed(ct * layer.a_prev))),
                "bias-mean": in_bias(_mean_of_bias),
            }
        ),
        (
            for_variant(
                "an array of several entries, and for a dot product with the inputs as many of these as units",
                {
                    **dict.fromkeys(("weights", "weights-mean"), lambda site: site.fan_in * site.fan_out > 1),
                    "dot-with-inputs": lambda site: site.fan_in == site.fan_out > 1,
                    "bias-mean": lambda site: site.bias is not None and site.fan_out > 1,
                },
            ),
        ),
        variants=("weights", "weights-mean", "dot-with-outputs", "dot-with-inputs", "bias-mean"),
    ),
    Mistake(
        "bias-from-weight-gradient",
        "The gradient of the bias is made of that of the weights: its sum or mean over the inputs, or one row of it.",
        "ct_b = sum of ct_W over the inputs, its mean, or ct_W[0] or ct_W[fan_in − 1]",
        "ct_b = sum of ct_z over samples",
        by_variant({variant: in_bias(_from_weights(made)) for variant, made in FROM_WEIGHTS.items()}),
        (
            HAS_BIAS,
            for_variant(
                "inputs that do not sum to 1 for their sum, several for a mean or one row",
                {
                    "over-inputs": lambda site: not _inputs_sum_to_one(site),
                    **dict.fromkeys(("mean-over-inputs", "first-row", "last-row"), lambda site: site.fan_in > 1),
                },
            ),
        ),
        variants=tuple(FROM_WEIGHTS),
    ),
    Mistake(
        "layers-in-reverse",
        "The gradients are handed back in the order of the backward pass, the last layer first.",
        "gradients of layers L, …, 1",
        "gradients of layers 1, …, L: reverse the list at the end",
        in_gathered(lambda context, pulled: pulled._replace(params=pulled.params[::-1])),
        (SEVERAL_LAYERS, Condition("layers whose shapes are the same from both ends", _reads_both_ways)),
        scope="network",
    ),
    Mistake(
        "gradient-clipped",
        "The gradient is clipped: its entries, its norm, or the norm of each array.",
        "min(max(ct_W, −v), v); ct_W min(1, v/‖all gradients‖), or ct_W min(1, v/‖ct_W‖)",
        "hand over the gradient as it is before it is clipped",
        by_variant(
            {
                "by-value": in_returned(
                    lambda context, name, ct: np.clip(ct, -context.value, context.value).astype(ct.dtype)
                ),
                "by-norm": in_finished(_all_times(_shortened)),
                "each-by-norm": in_returned(lambda context, name, ct: times(_shortened(context, norm([ct])), ct)),
            }
        ),
        (Condition("a bound above 0", lambda site: site.value > 0),),
        scope="network",
        tag="fitted",
        parameter=Parameter(
            "the bound v", lambda site: 0.01, read=lambda site, arrays: READ[site.variant or "by-value"](arrays)
        ),
        variants=tuple(READ),
        generic=True,
    ),
    Mistake(
        "gradient-normalised",
        "The gradient is divided by its norm: by that of all arrays, or each array by its own.",
        "ct_W/‖all gradients‖, or ct_W/‖ct_W‖",
        "hand over the gradient as it is before it is divided",
        by_variant(
            {
                "all": in_finished(_all_times(_to_one)),
                "each": in_returned(lambda context, name, ct: times(_to_one(context, norm([ct])), ct)),
            }
        ),
        scope="network",
        variants=("all", "each"),
    ),
)
