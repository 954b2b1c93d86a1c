"""Mistakes at the outputs: factors of the loss, its pairing with the output activation, probabilities and logits."""

from dataclasses import replace
from typing import Any

import numpy as np

from functional_mlp.activations import Activation, numpy_value, numpy_vjp, shifted_exponentials, softmax
from functional_mlp.losses import KINDS, Loss
from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake, constant
from functional_mlp.oracle.mistakes.changes import (
    Array,
    Context,
    by_variant,
    cotangent_of,
    cotangent_of_logits,
    in_activation,
    in_cotangent,
    in_loss,
    in_previous,
    in_probabilities,
    in_softmax,
    rescaled,
)
from functional_mlp.oracle.mistakes.conditions import (
    A_LOSS,
    CROSS_ENTROPY,
    OF_PROBABILITIES_GIVEN,
    SCALED,
    SEVERAL_LAYERS,
    SEVERAL_OUTPUTS,
    SEVERAL_UNITS,
    Condition,
    Site,
    activation_in,
    for_variant,
    loss_in,
    probabilities_by,
)
from functional_mlp.oracle.mistakes.program import OF_PROBABILITIES, times, vjp_at


def _jacobian_twice(context: Context, loss: Loss, activation: Activation, z: Array) -> Array:
    return vjp_at(activation, z, cotangent_of_logits(loss, activation, z, context))


def _clipped(context: Context, loss: Loss, activation: Activation, z: Array) -> Array:
    p = numpy_value(activation, z)
    inside = np.clip(p, p.dtype.type(context.value), p.dtype.type(1 - context.value))
    if context.variant == "subtracted":
        targets = context.loss.effective_targets(context.targets)
        whole = targets.sum(axis=1, keepdims=True) if activation == softmax() else 1
        return context.coefficients * (inside * whole - targets)
    ct = cotangent_of(loss, inside, context)
    if context.variant == "zero":
        ct = np.where(inside == p, ct, np.zeros_like(ct))
    return numpy_vjp(activation, z, p, ct)


def _saturated(site: Site) -> bool:
    last = site._replace(layer=site.depth - 1)
    p = last.activations
    if site.loss.kind in OF_PROBABILITIES:
        p = numpy_value(OF_PROBABILITIES[site.loss.kind][1], p)
    return bool(((p < site.value) | (p > 1 - site.value)).any())


def _is_own_pair(site: Site) -> bool:
    """Whether p - t is the cotangent of the logits."""
    last = site.case.network.activations[-1]
    return site.loss.kind in OF_PROBABILITIES or site.loss.on_logits(last) is not None


def _terms_with_epsilon(context: Context, loss: Loss, activation: Activation, z: Array) -> Array:
    """-t log(p + ε), and of a binary cross-entropy -(1 - t) log(1 - p + ε) beside it."""
    p, epsilon, targets = numpy_value(activation, z), z.dtype.type(context.value), context.targets
    terms = -targets * np.log(p + epsilon)
    if loss.kind == "binary_cross_entropy":
        terms = terms - (1 - targets) * np.log((1 - p) + epsilon)
    return terms


def _cotangent_with_epsilon(context: Context, loss: Loss, activation: Activation, z: Array) -> Array:
    """The derivative of the same."""
    p, epsilon, targets = numpy_value(activation, z), z.dtype.type(context.value), context.targets
    ct = -targets / (p + epsilon)
    if loss.kind == "binary_cross_entropy":
        ct = ct + (1 - targets) / ((1 - p) + epsilon)
    return numpy_vjp(activation, z, p, context.coefficients * ct)


def _divided_with_epsilon(context: Context, loss: Loss, activation: Activation, z: Array) -> Array:
    p, targets = numpy_value(activation, z), context.targets
    slope = p * (1 - p)
    return numpy_vjp(activation, z, p, context.coefficients * ((p - targets) / (slope + z.dtype.type(context.value))))


def _softmax_with_epsilon(context: Context, z: Array) -> Array:
    e, _ = shifted_exponentials(z)
    p: Array = e / (e.sum(axis=1, keepdims=True) + z.dtype.type(context.value))
    return p


def _without_second_part(context: Context, loss: Loss, activation: Activation, z: Array) -> Array:
    p = numpy_value(activation, z)
    half = loss.of_kind("categorical_cross_entropy")  # −t/p, all that is left
    return numpy_vjp(activation, z, p, cotangent_of(half, p, context))


def _diagonal(context: Context, layer: Any, ct: Array) -> Array:
    return ct * (layer.a * (1 - layer.a))


def _diagonal_inside(context: Context, loss: Loss, activation: Activation, z: Array) -> Array:
    p = numpy_value(activation, z)
    return cotangent_of(loss, p, context) * (p * (1 - p))


# the losses that people take for each other, besides the squared error for any
ALIKE = (
    ("binary_cross_entropy", "categorical_cross_entropy", "sigmoid_cross_entropy", "softmax_cross_entropy"),
    ("squared_error", "absolute_error", "huber", "log_cosh"),
    ("sigmoid_cross_entropy", "sigmoid_focal"),
    ("softmax_cross_entropy", "softmax_focal", "multiclass_hinge"),
    ("categorical_cross_entropy", "kl_divergence"),
)
# of these the gradients differ from those of the others only where targets do not sum to 1
SAME_GRADIENT = {"kl_divergence": "categorical_cross_entropy", "softmax_kl_divergence": "softmax_cross_entropy"}
MISMATCHES = (
    *("squared_error", "binary_cross_entropy", "categorical_cross_entropy"),
    *("sigmoid_cross_entropy", "softmax_cross_entropy", "half_squared_error"),
    *("absolute_error", "huber", "log_cosh", "multiclass_hinge", "sigmoid_focal", "softmax_focal"),
)


def _mismatched(context: Context) -> Loss:
    if context.variant == "half_squared_error":
        return replace(context.loss.of_kind("squared_error"), scale=context.loss.scale / 2)
    loss: Loss = context.loss.of_kind(context.variant)
    return loss


def _mismatch_fits(site: Site) -> bool:
    own, kind = site.loss.kind, site.variant.removeprefix("half_")
    own = SAME_GRADIENT.get(own, own)
    if kind == own or kind == "squared_error":
        return kind != own
    # of losses of probabilities and of logits, those that belong after this output layer
    fits = KINDS[kind].of_probabilities == site.case.network.activations[-1].probabilities
    return _taken_for(own, kind) and (fits or kind in ALIKE[1])


def _taken_for(own: str, kind: str) -> bool:
    """Whether a loss is among those that may be meant by another: all old ones for the squared error."""
    family = ALIKE[0] if own == "squared_error" else ()
    return kind in family or any(own in alike and kind in alike for alike in ALIKE)


def _of_probabilities_at_logits(context: Context, ct: Array) -> Array:
    loss = context.loss.of_kind(OF_PROBABILITIES[context.loss.kind][0])
    return cotangent_of(loss, context.program.tape.activations[-1], context)


def _difference(context: Context) -> Array:
    """Outputs minus targets, where the loss expects logits."""
    outputs, targets = context.program.tape.activations[-1], context.targets
    return (context.coefficients * (outputs - targets)).astype(outputs.dtype)


# what people write, and the distance of 1 to the next float64 and float32
EPSILONS = (*(10.0**-power for power in range(4, 17)), 2.0**-52, 2.0**-23)
PLAIN = Loss("squared_error")  # every option as it is where it is not set


def _has_option(site: Site) -> bool:
    return bool(site.variant in site.loss.as_fields())


TO_LOGITS = {kind: logits for logits, (kind, _) in OF_PROBABILITIES.items()}

LOSS_MISTAKES = (
    Mistake(
        "squared-error-factor",
        "The squared error's gradient has a factor 2 too much or too little.",
        "ct at the outputs is 2 or ½ times 2·scale·(o − t)",
        "the derivative of scale·(o − t)² is 2·scale·(o − t)",
        in_loss(lambda context: rescaled(context, {"doubled": 2.0, "halved": 0.5}[context.variant])),
        (loss_in("squared_error"),),
        scope="network",
        variants=("doubled", "halved"),
        convention=True,
    ),
    Mistake(
        "loss-scale-missing",
        "The scale of the loss is left out of the gradient.",
        "ct at the outputs without the factor scale",
        "multiply the cotangent at the outputs with the scale of the loss",
        in_loss(lambda context: replace(context.loss, scale=1.0)),
        (SCALED,),
        scope="network",
        convention=True,
    ),
    Mistake(
        "softmax-jacobian-diagonal",
        "Only the diagonal of the softmax Jacobian is used, as if softmax worked unit by unit.",
        "ct_z = ct_a a(1 − a)",
        "ct_z = a (ct_a − sum over units of a ct_a)",
        by_variant(
            {
                "layer": in_activation(_diagonal),
                "in-the-loss": in_probabilities(_diagonal_inside),
            }
        ),
        (
            SEVERAL_UNITS,
            for_variant(
                "a softmax layer, or softmax_cross_entropy at the output layer",
                {
                    "layer": activation_in("softmax").test,
                    "in-the-loss": lambda site: site.is_last and loss_in("softmax_cross_entropy").test(site),
                },
            ),
        ),
        variants=("layer", "in-the-loss"),
    ),
    Mistake(
        "softmax-jacobian-twice",
        "The softmax Jacobian is applied once more to a cotangent that is that of the logits already.",
        "ct_z = J (p − t), J the Jacobian of softmax",
        "ct_z = p − t (for targets that sum to 1) is past the softmax already",
        in_probabilities(_jacobian_twice),
        (probabilities_by("softmax"), SEVERAL_OUTPUTS),
        scope="network",
    ),
    Mistake(
        "sigmoid-derivative-twice",
        "The sigmoid's derivative is applied once more to a cotangent that is that of the logits already.",
        "ct_z = (p − t) p(1 − p)",
        "ct_z = p − t is past the sigmoid already",
        in_probabilities(_jacobian_twice),
        (probabilities_by("sigmoid"),),
        scope="network",
    ),
    Mistake(
        "targets-assumed-normalised",
        "p − t is used although the targets of a sample do not sum to 1.",
        "ct_z = p − t",
        "ct_z = p · (sum of t over the outputs) − t",
        in_probabilities(
            lambda context, loss, activation, z: (
                context.coefficients * (numpy_value(activation, z) - loss.effective_targets(context.targets))
            )
        ),
        (
            loss_in(*("categorical_cross_entropy", "softmax_cross_entropy", "kl_divergence", "softmax_kl_divergence")),
            probabilities_by("softmax"),
            Condition(
                "targets that do not sum to 1",
                lambda site: bool(
                    (np.abs(site.loss.effective_targets(site.case.targets).sum(axis=1) - 1) > 1e-9).any()
                ),
            ),
        ),
        scope="network",
    ),
    Mistake(
        "saturated-gradient-clipped",
        "Probabilities near 0 and 1 are clipped, and with them the gradient: 0 there, or that at the clipped value.",
        "ct_p = 0 where p is outside [ε, 1 − ε], or dLoss/dp at clip(p, ε, 1 − ε), or ct_z = clip(p, ε, 1 − ε) − t",
        "use the loss of the logits: ct_z = p − t needs no clipping",
        in_probabilities(_clipped),
        (
            CROSS_ENTROPY,
            Condition("an output so near 0 or 1 that it is clipped", _saturated),
            for_variant("a cross-entropy after its own activation for clip(p) − t", {"subtracted": _is_own_pair}),
        ),
        scope="network",
        tag="fitted",
        parameter=constant("the clipping distance ε", 1e-7, choices=tuple(10.0**-power for power in range(3, 16))),
        variants=("zero", "clipped", "subtracted"),
    ),
    Mistake(
        "epsilon-in-log",
        "A small number is added in a logarithm, a division or the softmax, and changes the gradient where it shows.",
        "log(p + ε), (p − t)/(p(1 − p) + ε), or e/(sum of e + ε)",
        "use the loss of the logits, which needs no ε: ct_z = p − t",
        by_variant(
            {
                "log": in_probabilities(_cotangent_with_epsilon, _terms_with_epsilon),
                "division": in_probabilities(_divided_with_epsilon),
                "softmax": in_softmax(_softmax_with_epsilon),
            }
        ),
        (
            CROSS_ENTROPY,
            Condition("an ε above 0", lambda site: site.value > 0),
            for_variant(
                "a binary cross-entropy for a division, a categorical one after softmax for the softmax",
                {
                    "division": loss_in("binary_cross_entropy", "sigmoid_cross_entropy").test,
                    "softmax": lambda site: (
                        loss_in("categorical_cross_entropy", "softmax_cross_entropy").test(site)
                        and probabilities_by("softmax").test(site)
                    ),
                },
            ),
        ),
        scope="network",
        tag="fitted",
        parameter=constant("the small number ε", 1e-7, choices=EPSILONS),
        variants=("log", "division", "softmax"),
    ),
    Mistake(
        "cross-entropy-half",
        "The binary cross-entropy's gradient lacks its (1 − t)/(1 − p) part.",
        "ct_p = −t/p",
        "ct_p = (1 − t)/(1 − p) − t/p",
        in_probabilities(_without_second_part),
        (loss_in("binary_cross_entropy", "sigmoid_cross_entropy"),),
        scope="network",
    ),
    Mistake(
        "logits-as-probabilities",
        "Logits are used where probabilities are meant: no sigmoid or softmax between them and the gradient.",
        "ct_o = o − t, or the derivative of the cross-entropy of probabilities at o",
        "p = sigmoid(o) or softmax(o) first; ct_o = p − t",
        by_variant(
            {
                "difference": in_cotangent(lambda context, ct: _difference(context)),
                "quotient": in_cotangent(_of_probabilities_at_logits),
            }
        ),
        (loss_in(*OF_PROBABILITIES),),
        scope="network",
        variants=("difference", "quotient"),
    ),
    Mistake(
        "probabilities-as-logits",
        "Probabilities are given to a loss that expects logits: sigmoid or softmax is applied twice; another loss.",
        "loss(sigmoid(p), t) or loss(softmax(p), t)",
        "give the loss the logits, or use the loss of probabilities",
        in_loss(lambda context: context.loss.of_kind(TO_LOGITS[context.loss.kind]), reported=True),
        (OF_PROBABILITIES_GIVEN,),
        scope="network",
    ),
    Mistake(
        "loss-mismatch",
        "The gradient is that of another loss than the one that is reported.",
        "the cotangent of another loss at the outputs",
        "the cotangent of the loss that is meant",
        in_loss(_mismatched),
        (A_LOSS, Condition("another loss that fits the output layer", _mismatch_fits)),
        scope="network",
        variants=MISMATCHES,
        convention=True,
    ),
    Mistake(
        "loss-option-missing",
        "An option of the loss is left out of the gradient: label smoothing, or the weights of the classes.",
        "the cotangent of the loss without that option",
        "take targets, and weights of the classes, as the loss declares them",
        in_loss(lambda context: replace(context.loss, **{context.variant: getattr(PLAIN, context.variant)})),
        (A_LOSS, Condition("an option of the loss that changes it", _has_option)),
        scope="network",
        variants=("label_smoothing", "class_weights", "pos_weight", "alpha"),
    ),
    Mistake(
        "scale-by-layer",
        "A constant factor creeps in at each layer and grows backwards, such as 1, 2, 4.",
        "ct_a_prev = r ct_z Wᵀ",
        "ct_a_prev = ct_z Wᵀ",
        in_previous(lambda context, layer, ct: times(context.value, context.before("previous_cotangent")(layer, ct))),
        (SEVERAL_LAYERS, Condition("a factor other than 1", lambda site: site.value != 1)),
        scope="network",
        tag="fitted",
        parameter=constant("the factor r from layer to layer", 2.0),
    ),
)
