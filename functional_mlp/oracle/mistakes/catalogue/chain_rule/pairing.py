"""Mistakes in what is paired with what: whose inputs with whose cotangent, which way round, with which sign."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from functional_mlp.backward_pass import Cotangents
from functional_mlp.network import Dense
from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake
from functional_mlp.oracle.mistakes.changes import (
    Array,
    Change,
    Context,
    by_variant,
    in_activation,
    in_cotangent,
    in_gathered,
    in_returned,
    in_weights,
    with_stages,
)
from functional_mlp.oracle.mistakes.conditions import (
    A_MATRIX,
    DIFFERS_FROM_IDENTITY,
    HAS_LAYER_BELOW,
    HIDDEN,
    NOT_IDENTITY,
    PENALTY,
    SEVERAL_LAYERS,
    SEVERAL_SAMPLES,
    Condition,
    Site,
    for_variant,
)
from functional_mlp.oracle.mistakes.program import (
    Program,
    product,
    summed,
)

PAIRED: Mapping[str, tuple[int, int]] = {  # whose inputs with whose delta, as offsets from this layer
    "inputs-of-previous": (-1, 0),
    "delta-of-next": (0, 1),
    "delta-of-previous": (0, -1),
}


def _paired_wrongly(context: Context, pulled: Cotangents) -> Cotangents:
    inputs, delta = PAIRED[context.variant]
    ct_z, params = pulled.deltas[context.layer + delta], list(pulled.params)
    weights: Any = product(context.given(inputs).T, ct_z).astype(ct_z.dtype)
    bias: Any = None if params[context.layer].bias is None else summed(ct_z, axis=0)
    params[context.layer] = Dense(weights, bias)
    return pulled._replace(params=tuple(params))


SAMPLES = {"last": -1, "first": 0, "inputs-of-last": -1, "inputs-of-first": 0}


def _inputs_of_one_sample(context: Context, layer: Any, ct: Array) -> Any:
    row = layer.a_prev[SAMPLES[context.variant]]
    return _as_input(context, layer, ct, np.broadcast_to(row, layer.a_prev.shape))


def _of_one_sample(context: Context) -> Program:
    """Back through the layer, fused with the loss or not, goes the sum over samples, in the row of one of them."""
    row = SAMPLES[context.variant]
    through = context.before("through_activation")

    def gathered(layer: Any, ct: Array) -> Any:
        rows = np.zeros_like(ct)
        rows[row] = summed(ct, axis=0)
        return through(layer, rows)

    return with_stages(context.program, context.layer, {"through_activation": gathered})


def _as_input(context: Context, layer: Any, ct: Array, inputs: Array) -> Any:
    return context.before("weights_cotangent")(layer._replace(a_prev=inputs), ct)


def _changed_below(site: Site) -> bool:
    below = site._replace(layer=site.layer - 1)
    return site.layer > 0 and NOT_IDENTITY.test(below) and DIFFERS_FROM_IDENTITY.test(below)


PAIRING_MISTAKES = (
    Mistake(
        "weight-gradient-transposed",
        "The gradient of the weights is handed back transposed, or its numbers are in the other order.",
        "ct_Wᵀ in place of ct_W; where the layer is not square, the numbers of ct_Wᵀ in the shape of ct_W",
        "ct_W = a_prevᵀ ct_z, row by row; or declare the layout",
        in_returned(lambda context, name, ct: ct.T.reshape(ct.shape) if name == "weights" else ct),
        (A_MATRIX,),
        convention=True,
    ),
    Mistake(
        "layer-index-shifted",
        "The inputs of one layer are paired with the cotangent of another.",
        "ct_W = (a_prev of another layer)ᵀ ct_z, or a_prevᵀ (ct_z of another layer) and ct_b from that",
        "ct_W = a_prevᵀ ct_z, both of the same layer",
        in_gathered(_paired_wrongly),
        (
            for_variant(
                "a neighbour of the same shape",
                {
                    "inputs-of-previous": lambda site: site.has_layer(-1) and site.width(-2) == site.fan_in,
                    "delta-of-next": lambda site: site.has_layer(1) and site.width(1) == site.fan_out,
                    "delta-of-previous": lambda site: site.has_layer(-1) and site.fan_in == site.fan_out,
                },
            ),
        ),
        variants=tuple(PAIRED),
    ),
    Mistake(
        "sign-flipped",
        "Every gradient has the wrong sign.",
        "−ct_W, −ct_b: target − output at the outputs, or a negated result (the penalty's part with it)",
        "ct at the outputs is output − target, and gradient descent subtracts the gradient",
        by_variant(
            {
                "at-the-outputs": in_cotangent(lambda context, ct: -ct),
                "at-the-end": in_returned(lambda context, name, ct: -ct),
            }
        ),
        (for_variant("an L2 penalty (without one it is no other)", {"at-the-end": PENALTY.test}),),
        scope="network",
        convention=True,
        variants=("at-the-outputs", "at-the-end"),
    ),
    Mistake(
        "layer-sign-flipped",
        "The gradient of one layer has the wrong sign: its own alone, or its cotangent and so all below.",
        "−ct_W, −ct_b in one layer, or −ct_z",
        "no minus sign",
        by_variant(
            {
                "gradient": in_returned(lambda context, name, ct: -ct),
                "cotangent": in_activation(lambda context, layer, ct: -context.before("through_activation")(layer, ct)),
            }
        ),
        (SEVERAL_LAYERS, for_variant("a hidden layer", {"cotangent": HIDDEN.test})),
        variants=("gradient", "cotangent"),
    ),
    Mistake(
        "activated-output-used-as-input",
        "The layer's own activations stand where its inputs are meant.",
        "ct_W = aᵀ ct_z",
        "ct_W = a_prevᵀ ct_z",
        in_weights(lambda context, layer, ct: _as_input(context, layer, ct, layer.a)),
        (Condition("a square layer", lambda site: site.fan_in == site.fan_out),),
    ),
    Mistake(
        "pre-activation-used-as-input",
        "The pre-activations of the layer below stand where its activations are meant.",
        "ct_W = z_prevᵀ ct_z",
        "ct_W = a_prevᵀ ct_z with a_prev = f(z_prev)",
        in_weights(lambda context, layer, ct: _as_input(context, layer, ct, context.values(-1)[0])),
        (Condition("a layer below whose activation changes something", _changed_below),),
    ),
    Mistake(
        "network-input-used-as-input",
        "The inputs of the network stand where the layer's own inputs are meant.",
        "ct_W = xᵀ ct_z, x the inputs of the network",
        "ct_W = a_prevᵀ ct_z",
        in_weights(lambda context, layer, ct: _as_input(context, layer, ct, context.program.inputs)),
        (
            HAS_LAYER_BELOW,
            Condition("as many inputs as the network has", lambda site: site.fan_in == site.case.network.sizes[0]),
        ),
    ),
    Mistake(
        "last-sample-activations",
        "The cotangent is summed over samples first, and goes back with the activations of one sample alone.",
        "ct_z = (sum of ct_a over samples) f'(z of the last sample), ct_W = (a_prev of the last sample)ᵀ ct_z;"
        " or this ct_W alone, with the sum of the right ct_z",
        "ct_z = ct_a f'(z) for each sample; the sums over samples are those of ct_W and ct_b",
        by_variant(
            {
                **dict.fromkeys(("last", "first"), Change("through_activation", _of_one_sample)),
                **dict.fromkeys(("inputs-of-last", "inputs-of-first"), in_weights(_inputs_of_one_sample)),
            }
        ),
        (SEVERAL_SAMPLES,),
        variants=tuple(SAMPLES),
    ),
)
