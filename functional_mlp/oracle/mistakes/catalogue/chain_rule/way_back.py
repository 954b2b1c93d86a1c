"""Mistakes on the way back through the weights: other weights, or another product."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake
from functional_mlp.oracle.mistakes.changes import (
    UPDATED_EARLY,
    Array,
    in_previous,
)
from functional_mlp.oracle.mistakes.conditions import (
    HAS_LAYER_BELOW,
    SEVERAL_UNITS,
    SQUARE,
    for_variant,
)
from functional_mlp.oracle.mistakes.program import (
    previous_cotangent,
    weights_cotangent,
)


def _with_weights(layer: Any, weights: Array, ct: Array) -> Array:
    return previous_cotangent(layer._replace(weights=weights.astype(ct.dtype)), ct)


NOT_A_PRODUCT: Mapping[str, Callable[[Array, Array], Array]] = {
    "every-entry": lambda weights, ct: ct * weights.T,
    "diagonal": lambda weights, ct: ct * np.diagonal(weights)[None, :],
}

UPDATED_WEIGHTS_USED = Mistake(
    "updated-weights-used",
    "The weights of a layer are updated before the cotangent of the layer below is computed from them.",
    "ct_a_prev = ct_z (W − η ct_W)ᵀ",
    "ct_a_prev = ct_z Wᵀ with the weights of the forward pass; update after the whole backward pass",
    UPDATED_EARLY,
    (HAS_LAYER_BELOW,),
    tag="second-case",
    second="another learning rate",
)

WAY_BACK_MISTAKES = (
    Mistake(
        "elementwise-for-matmul",
        "An elementwise product stands where the matrix product with the transposed weights is meant.",
        "ct_a_prev = ct_z ∘ Wᵀ, or ct_z ∘ diag(W)",
        "ct_a_prev = ct_z Wᵀ",
        in_previous(lambda context, layer, ct: NOT_A_PRODUCT[context.variant](layer.weights, ct)),
        (
            SQUARE,
            for_variant("as many samples as units", {"every-entry": lambda site: site.samples == site.fan_out}),
        ),
        variants=tuple(NOT_A_PRODUCT),
    ),
    Mistake(
        "sum-not-accumulated",
        "In the loop over the units that a cotangent comes from, each product overwrites the one before.",
        "ct_a_prev[i] = ct_z[j] W[i, j] with the last j only",
        "ct_a_prev[i] = sum over j of ct_z[j] W[i, j]: += instead of =",
        in_previous(lambda context, layer, ct: ct[:, -1:] * layer.weights[None, :, -1]),
        (SEVERAL_UNITS,),
    ),
    Mistake(
        "weights-not-transposed",
        "The weights are used where the transposed weights are meant.",
        "ct_a_prev = ct_z W",
        "ct_a_prev = ct_z Wᵀ",
        in_previous(lambda context, layer, ct: _with_weights(layer, layer.weights.T, ct)),
        (SQUARE,),
    ),
    Mistake(
        "gradient-used-as-weights",
        "The gradient of the weights is used where the weights are meant.",
        "ct_a_prev = ct_z ct_Wᵀ",
        "ct_a_prev = ct_z Wᵀ",
        in_previous(lambda context, layer, ct: _with_weights(layer, weights_cotangent(layer, ct), ct)),
    ),
)
