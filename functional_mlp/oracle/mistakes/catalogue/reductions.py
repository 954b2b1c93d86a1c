"""Mistakes in sums and means over samples and outputs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from functional_mlp.losses import penalty_value, reduced
from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake, Parameter, constant
from functional_mlp.oracle.mistakes.changes import (
    Array,
    Change,
    Context,
    by_variant,
    in_bias,
    in_cotangent,
    in_loss,
    in_penalty,
    in_previous,
    in_returned,
    in_sums,
    in_weights,
    one_after_the_other,
    rescaled,
    zeroed,
)
from functional_mlp.oracle.mistakes.conditions import (
    A_LOSS,
    DIVISOR_NOT_ONE,
    HAS_BIAS,
    MEAN_OVER_OUTPUTS,
    MEAN_OVER_SAMPLES,
    ONE_OUTPUT,
    PENALTY,
    SEVERAL_LAYERS,
    SEVERAL_OUTPUTS,
    SEVERAL_SAMPLES,
    SEVERAL_UNITS,
    SUM_OVER_OUTPUTS,
    SUM_OVER_SAMPLES,
    UNWEIGHTED,
    Condition,
    Site,
    for_variant,
)
from functional_mlp.oracle.mistakes.program import Program, seen_by_loss, summed, times


def _every_pair(context: Context) -> Program:
    """The loss of every output (n, 1) with every target (n,): what broadcasting makes of them."""
    program, n = context.program, context.samples
    loss, outputs = seen_by_loss(program.network, context.loss, program.tape)
    every_output = np.broadcast_to(outputs, (n, n)).reshape(-1, 1)
    every_target = np.broadcast_to(context.targets.T, (n, n)).reshape(-1, 1)
    value, pairs = reduced(loss, every_output, every_target, None)
    ct = summed(pairs.reshape(n, n), axis=1, keepdims=True)
    return program._replace(value=value + penalty_value(loss, program.params), ct_outputs=ct)


def _next_power_of_two(site: Site) -> float:
    return float(2 ** site.samples.bit_length())


def _row_counts(row: int) -> Callable[[Site], bool]:
    return lambda site: site.case.sample_weights is None or site.case.sample_weights[row] != 0


def _stage_times(factor: Callable[[Context], float], stage: str) -> Callable[[Context, Any, Array], Array]:
    """What a stage of a layer makes, times a number."""
    return lambda context, layer, ct: times(factor(context), context.before(stage)(layer, ct))


def _per_sample(context: Context) -> float:
    return 1 / context.samples


def _divisor(context: Context) -> float:
    return context.divisor


def _unevenly(context: Context, layer: Any, ct: Array) -> tuple[Any, Array]:
    return layer, np.asarray(context.value, ct.dtype)[:, None] * ct


DIVIDED_BIAS = in_bias(_stage_times(_per_sample, "bias_cotangent"))
DIVIDED_WEIGHTS = in_weights(_stage_times(_per_sample, "weights_cotangent"))
TIMES_CONSTANT = in_cotangent(lambda context, ct: times(context.value, ct))
PENALTY_TIMES_CONSTANT = in_penalty(lambda context, ct, leaf: times(context.value * context.loss.l2, leaf))
VALUE_AND_PENALTY_TIMES_CONSTANT = (
    Change("output_cotangent", lambda context: context.program._replace(value=context.program.value * context.value)),
    PENALTY_TIMES_CONSTANT,
)

REDUCTION_MISTAKES = (
    Mistake(
        "bias-gradient-averaged",
        "The gradient of the bias is averaged over samples where that of the weights is summed.",
        "ct_b = (1/n) sum of ct_z over samples",
        "ct_b = sum of ct_z over samples",
        DIVIDED_BIAS,
        (HAS_BIAS, SEVERAL_SAMPLES, SUM_OVER_SAMPLES),
    ),
    Mistake(
        "weight-gradient-averaged",
        "The gradient of the weights is averaged over samples where that of the bias is summed.",
        "ct_W = (1/n) a_prevᵀ ct_z",
        "ct_W = a_prevᵀ ct_z",
        DIVIDED_WEIGHTS,
        (SEVERAL_SAMPLES, SUM_OVER_SAMPLES),
    ),
    Mistake(
        "bias-divided-twice",
        "The gradient of the bias is divided by the number of samples once more than the mean in the loss does.",
        "ct_b = (1/n) sum of ct_z over samples, 1/n in ct_z already",
        "ct_b = sum of ct_z over samples",
        DIVIDED_BIAS,
        (HAS_BIAS, SEVERAL_SAMPLES, MEAN_OVER_SAMPLES),
    ),
    Mistake(
        "weights-divided-twice",
        "The gradient of the weights is divided by the number of samples once more than the mean in the loss does.",
        "ct_W = (1/n) a_prevᵀ ct_z, 1/n in ct_z already",
        "ct_W = a_prevᵀ ct_z",
        DIVIDED_WEIGHTS,
        (SEVERAL_SAMPLES, MEAN_OVER_SAMPLES),
    ),
    Mistake(
        "everything-divided-twice",
        "Every gradient, the penalty's part too, is divided by the number of samples once more than the mean does.",
        "ct_W/n, ct_b/n, 1/n in them already",
        "divide once: in the loss, or at the end",
        in_returned(lambda context, name, ct: times(1 / context.samples, ct)),
        (SEVERAL_SAMPLES, MEAN_OVER_SAMPLES),
        scope="network",
    ),
    Mistake(
        "mean-missing",
        "The division by the number of samples is left out.",
        "ct at the outputs without 1/n",
        "the loss averages over samples: ct at the outputs has 1/n (1/sum of the sample weights)",
        in_loss(lambda context: replace(context.loss, over_samples="sum")),
        (MEAN_OVER_SAMPLES, DIVISOR_NOT_ONE),
        scope="network",
        convention=True,
    ),
    Mistake(
        "mean-added",
        "The gradient is divided by the number of samples although the loss sums over them.",
        "ct at the outputs with 1/n",
        "the loss sums over samples: no 1/n",
        Change(
            "output_cotangent",
            lambda context: (
                in_cotangent(lambda context, ct: ct / context.samples)
                if context.loss is None
                else in_loss(lambda context: replace(context.loss, over_samples="mean"))
            ).apply(context),
        ),
        (SUM_OVER_SAMPLES, DIVISOR_NOT_ONE),
        scope="network",
        convention=True,
    ),
    Mistake(
        "mean-per-layer",
        "Each layer divides by the number of samples again, so that the factor compounds with depth.",
        "ct_a_prev = (1/n) ct_z Wᵀ",
        "ct_a_prev = ct_z Wᵀ: 1/n comes in once, at the outputs",
        in_previous(_stage_times(_per_sample, "previous_cotangent")),
        (SEVERAL_LAYERS, SEVERAL_SAMPLES),
        scope="network",
    ),
    Mistake(
        "bias-summed-to-scalar",
        "The gradient of the bias is summed over the units too, and one number is used for all of them.",
        "ct_b = sum of ct_z over samples and units",
        "ct_b = sum of ct_z over samples: axis 0",
        in_bias(lambda context, layer, ct: np.full_like(ct[0], summed(context.before("bias_cotangent")(layer, ct)))),
        (HAS_BIAS, SEVERAL_UNITS),
    ),
    Mistake(
        "bias-from-one-sample",
        "The gradient of the bias is the cotangent of the first or last sample instead of their sum.",
        "ct_b = ct_z[0] or ct_z[n − 1]",
        "ct_b = sum of ct_z over samples",
        in_bias(lambda context, layer, ct: ct[{"first": 0, "last": -1}[context.variant]]),
        (HAS_BIAS, SEVERAL_SAMPLES),
        variants=("first", "last"),
    ),
    Mistake(
        "outputs-summed-not-averaged",
        "The gradient is that of a sum over the outputs where the loss averages over them.",
        "ct at the outputs without 1/K",
        "the loss averages over outputs: ct at the outputs has 1/K",
        in_loss(lambda context: replace(context.loss, over_outputs="sum")),
        (SEVERAL_OUTPUTS, MEAN_OVER_OUTPUTS),
        scope="network",
        convention=True,
    ),
    Mistake(
        "outputs-averaged-not-summed",
        "The gradient is that of a mean over the outputs where the loss sums over them.",
        "ct at the outputs with 1/K",
        "the loss sums over outputs: no 1/K",
        in_loss(lambda context: replace(context.loss, over_outputs="mean")),
        (SEVERAL_OUTPUTS, SUM_OVER_OUTPUTS),
        scope="network",
        convention=True,
    ),
    Mistake(
        "nominal-batch-size",
        "A batch is divided by the nominal batch size N, though it holds fewer samples.",
        "ct at the outputs with 1/N",
        "divide by the number of samples in this batch",
        in_loss(lambda context: rescaled(context, context.samples / context.value)),
        (MEAN_OVER_SAMPLES, Condition("another batch size", lambda site: site.value != site.samples)),
        scope="network",
        tag="second-case",
        second="the left-over batch",
        parameter=Parameter("the nominal batch size N", _next_power_of_two, whole=True),
    ),
    Mistake(
        "loss-scaled",
        "The gradient is that of the loss times a constant.",
        "ct at the outputs times c",
        "declare the loss with that scale, or leave the constant out",
        by_variant(
            {
                "gradient": TIMES_CONSTANT,
                "loss-too": one_after_the_other("output_cotangent", TIMES_CONSTANT, *VALUE_AND_PENALTY_TIMES_CONSTANT),
                "penalty-too": one_after_the_other("output_cotangent", TIMES_CONSTANT, PENALTY_TIMES_CONSTANT),
            }
        ),
        (
            Condition("another constant than 1, and than 0", lambda site: site.value != 1 and abs(site.value) > 1e-9),
            for_variant("a loss, and one with a penalty", {"loss-too": A_LOSS.test, "penalty-too": PENALTY.test}),
        ),
        scope="network",
        tag="fitted",
        parameter=constant("the constant c", 3.0, linear=True),
        variants=("gradient", "loss-too", "penalty-too"),
        convention=True,
        generic=True,
    ),
    Mistake(
        "broadcast-column-row",
        "Outputs (n, 1) meet targets (n,) and broadcast to (n, n): every output is compared with every target.",
        "loss = sum (or mean) over i and j of term(o_i, t_j)",
        "bring the targets to the shape (n, 1) of the outputs",
        Change("output_cotangent", _every_pair),
        (A_LOSS, ONE_OUTPUT, SEVERAL_SAMPLES, UNWEIGHTED),
        scope="network",
    ),
    Mistake(
        "sample-count-off-by-one",
        "One sample too few or too many: a mean divides by n − 1 or n + 1, or a sum leaves out the first or last.",
        "1/(n − 1) or 1/(n + 1) for 1/n, or a sum over samples 2..n or 1..n − 1",
        "sum over all n samples, divide by n",
        by_variant(
            {
                "one-less": in_loss(lambda context: rescaled(context, context.samples / (context.samples - 1))),
                "one-more": in_loss(lambda context: rescaled(context, context.samples / (context.samples + 1))),
                "first-skipped": in_cotangent(lambda context, ct: zeroed(ct, 0)),
                "last-skipped": in_cotangent(lambda context, ct: zeroed(ct, -1)),
            }
        ),
        (
            SEVERAL_SAMPLES,
            for_variant(
                "a mean for another divisor, a sample that counts for a skipped one",
                {
                    "one-less": MEAN_OVER_SAMPLES.test,
                    "one-more": MEAN_OVER_SAMPLES.test,
                    "first-skipped": _row_counts(0),
                    "last-skipped": _row_counts(-1),
                },
            ),
        ),
        scope="network",
        variants=("one-less", "one-more", "first-skipped", "last-skipped"),
    ),
    Mistake(
        "sample-weights-ignored",
        "The weights of the samples are left out of the gradient.",
        "ct at the outputs with 1 for every sample weight",
        "multiply each sample's cotangent with its weight",
        Change(
            "output_cotangent",
            lambda context: (
                in_loss(lambda context: context.loss)
                .apply(context._replace(program=context.program._replace(sample_weights=None)))
                ._replace(sample_weights=context.sample_weights)
            ),
        ),
        (
            Condition(
                "sample weights that differ from 1",
                lambda site: site.case.sample_weights is not None and bool((site.case.sample_weights != 1).any()),
            ),
        ),
        scope="network",
    ),
    Mistake(
        "bias-gradient-summed",
        "The gradient of the bias is summed over samples where the loss, and the gradient of the weights, average.",
        "ct_b = n times the sum of ct_z over samples, 1/n in ct_z",
        "ct_b = sum of ct_z over samples, with the 1/n of the mean: divide it as ct_W is divided",
        in_bias(_stage_times(_divisor, "bias_cotangent")),
        (HAS_BIAS, MEAN_OVER_SAMPLES, DIVISOR_NOT_ONE),
    ),
    Mistake(
        "weight-gradient-summed",
        "The gradient of the weights is summed over samples where the loss, and the gradient of the bias, average.",
        "ct_W = n a_prevᵀ ct_z, 1/n in ct_z",
        "ct_W = a_prevᵀ ct_z, with the 1/n of the mean: divide it as ct_b is divided",
        in_weights(_stage_times(_divisor, "weights_cotangent")),
        (MEAN_OVER_SAMPLES, DIVISOR_NOT_ONE),
    ),
    Mistake(
        "bias-summed-over-wrong-axis",
        "The gradient of the bias is summed over the units, not over the samples, of which there are as many.",
        "ct_b[s] = sum of ct_z[s, j] over the units j: axis 1",
        "ct_b[j] = sum of ct_z[s, j] over the samples s: axis 0",
        in_bias(lambda context, layer, ct: np.broadcast_to(summed(ct, axis=1), ct.shape[1:])),
        (
            HAS_BIAS,
            Condition(
                "several units, and as many samples or one",
                lambda site: site.samples in (1, site.fan_out) and site.fan_out > 1,
            ),
        ),
    ),
    Mistake(
        "samples-weighted-unevenly",
        "The samples do not count alike: each is added with a weight of its own, 0 for one that is left out.",
        "ct_W = sum over s of w_s a_prev[s]ᵀ ct_z[s], ct_b = sum over s of w_s ct_z[s]",
        "every sample once: set the sums to 0 before the first, and add each one's part once",
        in_sums(_unevenly),
        (
            SEVERAL_SAMPLES,
            Condition(
                "one weight for each sample, not all the same",
                lambda site: len(site.value) == site.samples and np.ptp(site.value) > 1e-6 * np.max(np.abs(site.value)),
            ),
        ),
        scope="network",
        tag="fitted",
        parameter=Parameter(
            "the weights w_s of the samples",
            lambda site: tuple(float(site.samples - sample) for sample in range(site.samples)),
            linear=True,
            vector=lambda site: site.samples,
        ),
        generic=True,
    ),
)
