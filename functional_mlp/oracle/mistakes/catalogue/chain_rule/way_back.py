"""Mistakes on the way back through the weights: other weights, or another product."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake, Parameter
from functional_mlp.oracle.mistakes.changes import (
    UPDATED_EARLY,
    Array,
    Context,
    by_variant,
    in_bias,
    in_previous,
    in_weights,
    of_two_factors,
)
from functional_mlp.oracle.mistakes.conditions import (
    DIFFERS_FROM_IDENTITY,
    HAS_BIAS,
    HAS_LAYER_BELOW,
    NOT_IDENTITY,
    SEVERAL_SAMPLES,
    SEVERAL_UNITS,
    SQUARE,
    Condition,
    Site,
    for_variant,
)
from functional_mlp.oracle.mistakes.program import (
    product,
    summed,
)


def _with_weights(context: Context, layer: Any, weights: Array, ct: Array) -> Any:
    return context.before("previous_cotangent")(layer._replace(weights=weights.astype(ct.dtype)), ct)


NOT_A_PRODUCT: Mapping[str, Callable[[Array, Array], Array]] = {
    "every-entry": lambda weights, ct: ct * weights.T,
    "diagonal": lambda weights, ct: ct * np.diagonal(weights)[None, :],
}

HARD_CODED = 16  # units of which one may have been dropped by its number, beside the last


def _mixed_samples(context: Context, layer: Any) -> Array:
    """ct_a of a sample times the sum over all samples of f'(z) W ∘ a_prev, for one output."""
    derivative = context.before("through_activation")(layer, np.ones_like(layer.ct_a))
    summed_over_samples = product(derivative.T, layer.a_prev * layer.weights.T).astype(derivative.dtype)
    return product(layer.ct_a, summed_over_samples).astype(derivative.dtype)


def _product_of_sums(left: Array, right: Array) -> Array:
    """The sums over rows of two matrices (n, I) and (n, J), every one times every other: (I, J)."""
    return summed(left, axis=0)[:, None] * summed(right, axis=0)[None, :]


def _sums_to_zero(site: Site) -> bool:
    """Whether ct_z is that of a softmax, which sums to 0 over the units."""
    return site.activation.name == "softmax" or (site.is_last and site.maker_of_probabilities == "softmax")


def _sums_in_bias(context: Context, layer: Any, ct: Array) -> Any:
    """The sum of the matrix product ct_aᵀ f'(z), where that of an elementwise one is meant."""
    derivative = context.before("through_activation")(layer, np.ones_like(layer.ct_a))
    return context.before("bias_cotangent")(layer, layer.ct_a * summed(derivative, axis=1, keepdims=True))


def _with_wrong_row_dropped(context: Context, layer: Any, ct: Array) -> Array:
    rows = [layer.weights, layer.bias[None, :]]
    stacked = np.concatenate(rows if context.variant == "bias-last" else rows[::-1])
    row = int(context.value) + (context.variant == "bias-first")
    return _with_weights(context, layer, np.delete(stacked, row, axis=0), ct)


def _units(site: Site) -> tuple[float, ...]:
    return tuple(sorted({*map(float, range(min(site.fan_in, HARD_CODED))), site.fan_in - 1.0}))


def _first_or_last(site: Site) -> float:
    """The end at which the bias is not."""
    return 0.0 if site.variant == "bias-last" else site.fan_in - 1.0


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
        in_previous(lambda context, layer, ct: _with_weights(context, layer, layer.weights.T, ct)),
        (SQUARE,),
    ),
    Mistake(
        "gradient-used-as-weights",
        "The gradient of the weights is used where the weights are meant.",
        "ct_a_prev = ct_z ct_Wᵀ",
        "ct_a_prev = ct_z Wᵀ",
        in_previous(
            lambda context, layer, ct: _with_weights(context, layer, context.before("weights_cotangent")(layer, ct), ct)
        ),
    ),
    Mistake(
        "raw-error-sent-back",
        "The cotangent is sent back as it came: without the derivative of the layer that it goes back through.",
        "ct_a_prev = ct_a Wᵀ; ct_W and ct_b are made of ct_z",
        "ct_a_prev = ct_z Wᵀ with ct_z = ct_a f'(z)",
        of_two_factors(in_previous(lambda context, layer, ct: context.before("previous_cotangent")(layer, layer.ct_a))),
        (NOT_IDENTITY, DIFFERS_FROM_IDENTITY),
    ),
    Mistake(
        "weights-times-activations",
        "The weights are multiplied with the activations on the way back, each with that of its input.",
        "ct_a_prev = (ct_z Wᵀ) ∘ a_prev; or, samples mixed, ct_a times the sum over samples of f'(z) (W ∘ a_prev)",
        "ct_a_prev = ct_z Wᵀ",
        of_two_factors(
            in_previous(
                lambda context, layer, ct: (
                    _mixed_samples(context, layer)
                    if context.variant == "samples-mixed"
                    else context.before("previous_cotangent")(layer, ct) * layer.a_prev
                )
            )
        ),
        (
            for_variant(
                "several samples and one unit to mix them",
                {"samples-mixed": lambda site: site.samples > 1 and site.fan_out == 1},
            ),
        ),
        variants=("own", "samples-mixed"),
    ),
    Mistake(
        "sum-product-swapped",
        "A product of two sums stands where the sum of the products is meant.",
        "ct_a_prev[s, i] = (sum over j of ct_z[s, j]) (sum over j of W[i, j]), or ct_W likewise with sums over samples,"
        " or ct_b[j] = sum over s of ct_a[s, j] (sum over k of f'(z)[s, k])",
        "ct_a_prev[s, i] = sum over j of ct_z[s, j] W[i, j]; ct_W[i, j] = sum over s of a_prev[s, i] ct_z[s, j];"
        " ct_b[j] = sum over s of ct_a[s, j] f'(z)[s, j]",
        by_variant(
            {
                "way-back": in_previous(lambda context, layer, ct: _product_of_sums(ct.T, layer.weights.T)),
                "weights": in_weights(lambda context, layer, ct: _product_of_sums(layer.a_prev, ct)),
                "bias": of_two_factors(in_bias(_sums_in_bias)),
            }
        ),
        (
            for_variant(
                "a sum of several, not 0 as behind a softmax; for the bias an activation that works unit by unit",
                {
                    "way-back": lambda site: site.fan_out > 1 and not _sums_to_zero(site),
                    "weights": SEVERAL_SAMPLES.test,
                    "bias": lambda site: (
                        site.bias is not None and site.fan_out > 1 and site.activation.name != "softmax"
                    ),
                },
            ),
        ),
        variants=("way-back", "weights", "bias"),
    ),
    Mistake(
        "wrong-unit-dropped",
        "The bias is a row of the weights, and on the way back the row of another unit is dropped in its place.",
        "ct_a_prev = ct_z ([W; b] without row j)ᵀ, or ct_z ([b; W] without row j + 1)ᵀ",
        "ct_a_prev = ct_z Wᵀ: drop the row of the bias",
        in_previous(_with_wrong_row_dropped),
        (HAS_BIAS, Condition("a unit of the layer below", lambda site: site.value in range(site.fan_in))),
        tag="fitted",
        parameter=Parameter("the unit j", _first_or_last, choices=_units, whole=True),
        variants=("bias-last", "bias-first"),
    ),
)
