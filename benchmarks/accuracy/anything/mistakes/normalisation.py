"""Wrong backward passes of normalisations: paths through the statistics, reductions over wrong axes, lost blocks."""

import jax.numpy as jnp
import numpy as np

from benchmarks.accuracy.anything.mistakes.registry import (
    cut,
    differently,
    factor,
    mistake,
    of_array,
    spoilt,
    times,
    with_ct,
    zeroed,
)


def same(x):
    return x


def normalised(x, axes, mean=same, variance=same, rstd=None, eps=1e-5, lost=0):
    """A normalisation with each piece replaceable."""
    n = np.prod([x.shape[a] for a in axes])
    centred = x - mean(x.mean(axes, keepdims=True))
    v = variance((centred**2).sum(axes, keepdims=True) / (n - lost))
    return centred * (1 / jnp.sqrt(v + eps) if rstd is None else rstd(v))


def affine(h, weight, bias):
    shape = (
        (slice(None), None) if h.ndim == 3 and len(weight) == h.shape[1] and h.shape[2] != len(weight) else slice(None)
    )
    return h * weight[shape] + bias[shape]


AXES = {"layer_norm": (-1,), "layer_norm_of_sequence": (-1,), "batch_norm": (0, 2), "instance_norm": (-1,)}
MEAN, VARIANCE, RSTD = ("mean = ", "centred = "), ("variance = ", "rstd = "), ("rstd = ", "jnp.sqrt(variance + 1e-5)")
VARIANTS = {
    "mean_path_missing": ("the path through the mean is missing", MEAN, {"mean": cut}),
    "variance_path_missing": ("the path through the variance is missing", VARIANCE, {"variance": cut}),
    "statistics_are_constants": (
        "mean and variance are taken for constants",
        (*MEAN, *VARIANCE, "centred * rstd"),
        {"mean": cut, "variance": cut},
    ),
    "variance_path_doubled": (
        "the path through the variance counts twice",
        VARIANCE,
        {"variance": lambda v: times(v, 2.0)},
    ),
    "variance_path_sign": (
        "the path through the variance has the wrong sign",
        VARIANCE,
        {"variance": lambda v: times(v, -1.0)},
    ),
    "unbiased_variance": ("the variance is divided by n - 1 in the backward pass", VARIANCE, {"lost": 1}),
    "other_epsilon": ("the backward pass uses an epsilon of 1e-3", ("1e-5",), {"eps": 1e-3}),
    "epsilon_outside": ("epsilon is added to the root", RSTD, {"rstd": lambda v: 1 / (jnp.sqrt(v) + 1e-3)}),
    "half_missing": (
        "the 1/2 of the root's derivative is missing",
        RSTD,
        {"rstd": lambda v: 1 / jnp.sqrt(times(v, 2.0) + 1e-5)},
    ),
}
CHOSEN = {
    "layer_norm": list(VARIANTS)[:8],
    "layer_norm_of_sequence": ["mean_path_missing", "variance_path_missing"],
    "batch_norm": list(VARIANTS)[:7],
    "instance_norm": ["mean_path_missing", "variance_path_missing", "unbiased_variance"],
}
for operation, names in CHOSEN.items():
    for variant in names:
        sentence, places, pieces = VARIANTS[variant]

        def wrong(x, weight, bias, operation=operation, pieces=pieces):
            return affine(normalised(x, AXES[operation], **pieces), weight, bias)

        wrong.__name__ = variant
        mistake(operation, sentence, *places)(wrong)


@mistake("layer_norm", "the weight's gradient uses x instead of the normalised x", "return normalised * weight + bias")
def weight_from_inputs(x, weight, bias):
    h = normalised(x, (-1,))
    return h * cut(weight) + cut(x) * (weight - cut(weight)) + bias


spoilt(
    "layer_norm",
    "weights_lost_in_dx",
    "the weight is not multiplied into the gradient of x",
    lambda right, q: [_layer_norm_dx(q.floats[0], q.ct), *right[1:]],
    "return normalised * weight + bias",
    source="https://github.com/karpathy/llm.c/pull/763",
)


def _layer_norm_dx(x, g):
    centred = x - x.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    h = centred * rstd
    return rstd * (g - g.mean(-1, keepdims=True) - h * (g * h).mean(-1, keepdims=True))


def _last_rows_lost(right, question):
    x, _, _ = question.floats
    rows = max(1, len(x) % 3)  # a grid of blocks of 3 rows, rounded down
    g = question.ct[:-rows]
    h = x[:-rows] - x[:-rows].mean(-1, keepdims=True)
    h = h / np.sqrt((h**2).mean(-1, keepdims=True) + 1e-5)
    return [right[0], (g * h).sum(0), g.sum(0)]


spoilt(
    "layer_norm",
    "last_block_lost",
    "the last block of rows is missing in the sums for weight and bias",
    _last_rows_lost,
    "return normalised * weight + bias",
    source="https://github.com/BobMcDear/attorch/issues/18",
)
spoilt(
    "layer_norm",
    "bias_averaged",
    "the bias's gradient is a mean instead of a sum",
    lambda right, q: [*right[:2], right[2] / len(q.ct)],
    "return normalised * weight + bias",
)


@mistake(
    "layer_norm_of_sequence",
    "the backward pass takes the input for two-dimensional: it normalises a whole sample",
    *MEAN,
    *VARIANCE,
    source="https://github.com/flagos-ai/FlagGems/issues/5392",
)
def two_dimensional(x, weight, bias):
    return affine(normalised(x, (-2, -1)), weight, bias)


spoilt(
    "layer_norm_of_sequence",
    "weights_of_the_first_sample",
    "weight and bias are summed over the first sample alone",
    lambda right, q: [right[0], *_first_sample(q)],
    "return normalised * weight + bias",
)


def _first_sample(question):
    x, g = question.floats[0][0], question.ct[0]
    h = x - x.mean(-1, keepdims=True)
    h = h / np.sqrt((h**2).mean(-1, keepdims=True) + 1e-5)
    return (g * h).sum(0), g.sum(0)


def rms(x, weight, square=same, rstd=None, eps=1e-6, gain=0.0):
    s = square((x * x).mean(-1, keepdims=True))
    return x * (1 / jnp.sqrt(s + eps) if rstd is None else rstd(s)) * (gain + weight)


ROOT_MEAN_SQUARE = ("mean_square = ", "rstd = ")


@mistake(
    "rms_norm",
    "the path through the root mean square is missing",
    *ROOT_MEAN_SQUARE,
    source="https://github.com/ooples/AiDotNet/pull/695",
)
def root_path_missing(x, weight):
    return rms(x, weight, square=cut)


@mistake("rms_norm", "the path through the root mean square counts twice", *ROOT_MEAN_SQUARE)
def root_path_doubled(x, weight):
    return rms(x, weight, square=lambda s: times(s, 2.0))


@mistake("rms_norm", "1/n of the mean is missing on the path through the root mean square", "mean_square = ")
def mean_missing(x, weight):
    return rms(x, weight, square=lambda s: times(s, float(x.shape[-1])))


@mistake("rms_norm", "epsilon is 1e-2 in the backward pass", "1e-6")
def other_epsilon(x, weight):
    return rms(x, weight, eps=1e-2)


@mistake("rms_norm", "rstd is squared instead of cubed on the path through it", *ROOT_MEAN_SQUARE)
def rstd_squared(x, weight):
    s = (x * x).mean(-1, keepdims=True)
    root = cut(jnp.sqrt(s + 1e-6))
    return rms(x, weight, square=lambda v: differently(v, cut(v) + (v - cut(v)) * root))


@mistake("rms_norm", "the weight's gradient uses x instead of the normalised x", "return normalised * weight")
def rms_weight_from_inputs(x, weight):
    return rms(x, cut(weight)) + cut(x) * (weight - cut(weight))


spoilt(
    "rms_norm",
    "weight_lost_in_dx",
    "the weight is not multiplied into the gradient of x",
    lambda right, q: [_rms_dx(q.floats[0], q.ct), right[1]],
    "return normalised * weight",
    source="https://github.com/karpathy/llm.c/pull/763",
)


def _rms_dx(x, g):
    rstd = 1 / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6)
    return rstd * (g - x * rstd * (g * x * rstd).mean(-1, keepdims=True))


@mistake("gemma_rms_norm", "the 1 that is added to the weight is missing in the gradient of x", "(1 + weight)")
def one_missing(x, weight):
    return rms(x, cut(weight)) + rms(cut(x), weight)


@mistake("gemma_rms_norm", "the path through the root mean square is missing", *ROOT_MEAN_SQUARE)
def gemma_root_path_missing(x, weight):
    return rms(x, weight, square=cut, gain=1.0)


with_ct("gemma_rms_norm", "ct_ignored", "the cotangent is not multiplied in", lambda ct: 0 * ct + 1)


@mistake(
    "batch_norm",
    "statistics are constants, as in inference",
    *MEAN,
    *VARIANCE,
    "centred * rstd",
    source="https://github.com/pytorch/xla/issues/913",
)
def as_in_inference(x, weight, bias):
    return affine(normalised(x, (0, 2), mean=cut, variance=cut), weight, bias) + 0 * bias[:, None]


@mistake("batch_norm", "the backward pass takes its means over the batch alone", *MEAN, *VARIANCE)
def over_batch_alone(x, weight, bias):
    h = normalised(x, (0, 2))
    return affine(differently(h, normalised(x, (0,))), weight, bias)


spoilt(
    "batch_norm",
    "weight_not_over_positions",
    "the gradients of weight and bias are averaged over positions",
    lambda right, q: [right[0], *(g / q.ct.shape[2] for g in right[1:])],
    "return normalised * weight",
)
MEAN_OF_BATCH = "normalised = (x - mean[:, None]) * rstd[:, None]"


@mistake(
    "batch_norm_inference",
    "the backward pass is that of training: it goes through the batch's own statistics",
    MEAN_OF_BATCH,
    "rstd = ",
    source="https://github.com/pytorch/xla/issues/913",
)
def as_in_training(x, weight, bias, mean, variance):
    right = affine((x - mean[:, None]) / jnp.sqrt(variance + 1e-5)[:, None], weight, bias)
    theirs = affine(normalised(x, (0, 2)), cut(weight), cut(bias))
    kept = affine((cut(x) - mean[:, None]) / jnp.sqrt(variance + 1e-5)[:, None], weight, bias)
    return differently(right, theirs + kept)


@mistake("batch_norm_inference", "the root is missing: 1 / (variance + epsilon)", "rstd = ")
def root_missing(x, weight, bias, mean, variance):
    return affine((x - mean[:, None]) / (variance + 1e-5)[:, None], weight, bias)


@mistake("batch_norm_inference", "epsilon is 1e-2 in the backward pass", "1e-5")
def inference_epsilon(x, weight, bias, mean, variance):
    return affine((x - mean[:, None]) / jnp.sqrt(variance + 1e-2)[:, None], weight, bias)


def grouped(x, weight, bias, groups=2, **pieces):
    h = normalised(x.reshape(len(x), groups, -1), (-1,), **pieces).reshape(x.shape)
    return h * weight[:, None] + bias[:, None]


@mistake("group_norm", "the path through the mean is missing", *MEAN)
def group_mean_missing(x, weight, bias):
    return grouped(x, weight, bias, mean=cut)


@mistake("group_norm", "the path through the variance is missing", *VARIANCE)
def group_variance_missing(x, weight, bias):
    return grouped(x, weight, bias, variance=cut)


@mistake("group_norm", "the backward pass takes its means over the whole sample", "grouped = ", *MEAN, *VARIANCE)
def one_group(x, weight, bias):
    return grouped(x, weight, bias, groups=1)


@mistake("group_norm", "the backward pass takes its means over each channel", "grouped = ", *MEAN, *VARIANCE)
def group_per_channel(x, weight, bias):
    return grouped(x, weight, bias, groups=x.shape[1])


spoilt(
    "group_norm",
    "first_group_alone",
    "weight and bias of the second group are never written",
    lambda right, q: [right[0], *(np.where(np.arange(len(g)) < len(g) // 2, g, 0) for g in right[1:])],
)


@mistake("l2_normalise", "the projection is missing: the length is taken for a constant", "length = ")
def length_is_constant(x):
    return x / cut(jnp.sqrt((x * x).sum(-1, keepdims=True)))


@mistake("l2_normalise", "the projection counts twice", "length = ")
def projection_doubled(x):
    return x / jnp.sqrt(times((x * x).sum(-1, keepdims=True), 2.0))


@mistake("l2_normalise", "the length is that of whole columns", "length = ")
def along_columns(x):
    return x / jnp.sqrt((x * x).sum(0, keepdims=True))


@mistake("weight_norm", "the projection is missing: the length is taken for a constant", "length = ")
def weight_length_is_constant(direction, gain):
    return gain[:, None] * direction / cut(jnp.sqrt((direction * direction).sum(-1, keepdims=True)))


@mistake("weight_norm", "the gain is missing in the gradient of the direction", "gain[:, None]")
def gain_missing(direction, gain):
    unit = direction / jnp.sqrt((direction * direction).sum(-1, keepdims=True))
    return unit + cut(unit) * (gain - cut(gain))[:, None]


@mistake("weight_norm", "the gain's gradient is not divided by the length", "length = ")
def gain_not_divided(direction, gain):
    unit = direction / jnp.sqrt((direction * direction).sum(-1, keepdims=True))
    return cut(gain)[:, None] * unit + cut(direction) * (gain - cut(gain))[:, None]


spoilt("instance_norm", "dx_zero_at_the_border", "the last position's gradient is never written", zeroed(0, (..., -1)))
spoilt("layer_norm", "accumulated_twice", "the weight's gradient is accumulated twice", factor(1, 2.0))
spoilt(
    "layer_norm",
    "bias_rolled",
    "the bias's gradient is written one place further",
    of_array(2, lambda g: np.roll(g, 1)),
)
