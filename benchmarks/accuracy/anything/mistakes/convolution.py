"""Wrong backward passes of convolutions and poolings: kernels not turned, paddings, strides, overlaps, divisors."""

import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.accuracy.anything.mistakes.registry import cut, mistake, of_array, spoilt, zeroed
from benchmarks.accuracy.anything.operations.convolution import IMAGES, SIGNALS, stretched

CONVOLUTION = "lax.conv_general_dilated"


def split(right, x, weight, to_x=None, to_weight=None):
    """The gradient of x from one convolution, that of the weight from another."""
    a = (to_x or right)(x, cut(weight))
    b = (to_weight or right)(cut(x), weight)
    return (a - cut(a)) + (b - cut(b)) + cut(right(x, weight))


def signal(x, weight, stride=2, padding=(1, 1)):
    return lax.conv_general_dilated(x, weight, (stride,), [padding], dimension_numbers=SIGNALS)


def image(x, weight, stride=(2, 2), padding=((1, 1), (1, 1))):
    return lax.conv_general_dilated(x, weight, stride, padding, dimension_numbers=IMAGES)


def in_groups(x, weight, dilation=2, padding=2):
    return lax.conv_general_dilated(
        x,
        weight,
        (1, 1),
        [(padding, padding)] * 2,
        rhs_dilation=(dilation, dilation),
        feature_group_count=2,
        dimension_numbers=IMAGES,
    )


def by_channel(x, weight):
    return lax.conv_general_dilated(
        x, weight, (1, 1), [(1, 1)] * 2, feature_group_count=x.shape[1], dimension_numbers=IMAGES
    )


def upwards(x, weight, stride=2):
    kernel = jnp.flip(weight, (2, 3)).transpose(1, 0, 2, 3)
    return lax.conv_general_dilated(
        x, kernel, (1, 1), [(1, 1)] * 2, lhs_dilation=(stride, stride), dimension_numbers=IMAGES
    )


@mistake("conv1d", "the kernel is not turned round in the gradient of x", CONVOLUTION)
def conv1d__kernel_not_turned(x, weight, bias):
    return split(signal, x, weight, to_x=lambda x, w: signal(x, jnp.flip(w, 2))) + bias[:, None]


@mistake("conv1d", "the padding is not taken off: the gradient of x is shifted", CONVOLUTION)
def conv1d__padding_not_taken_off(x, weight, bias):
    return split(signal, x, weight, to_x=lambda x, w: signal(x, w, padding=(0, 2))) + bias[:, None]


@mistake("conv1d", "the first tap's gradient misses the border", CONVOLUTION)
def conv1d__border_lost(x, weight, bias):
    inner = lambda x, w: signal(jnp.pad(x[..., 1:-1], ((0, 0), (0, 0), (1, 1))), w)  # noqa: E731
    return split(signal, x, weight, to_weight=inner) + bias[:, None]


spoilt(
    "conv1d",
    "bias_over_batch_alone",
    "the bias's gradient is summed over the batch, and read at the first position",
    lambda r, q: [*r[:2], q.ct.sum(0)[:, 0]],
    "+ bias",
)


def future(x, weight, reach=None):
    reach = weight.shape[2] - 1 if reach is None else reach
    return signal(x, weight, 1, (reach, weight.shape[2] - 1 - reach))


@mistake("causal_conv1d", "padded on both sides on the way back", "[(reach, 0)]")
def padded_on_both_sides(x, weight, bias):
    return split(future, x, weight, to_x=lambda x, w: future(x, w, w.shape[2] // 2)) + bias[:, None]


@mistake("causal_conv1d", "the kernel is not turned round in the gradient of x", CONVOLUTION)
def causal__kernel_not_turned(x, weight, bias):
    return split(future, x, weight, to_x=lambda x, w: future(x, jnp.flip(w, 2))) + bias[:, None]


@mistake("causal_conv1d", "the gradient of the weight sees the input one step late", CONVOLUTION)
def one_step_late(x, weight, bias):
    late = lambda x, w: future(jnp.roll(x, 1, -1).at[..., 0].set(0), w)  # noqa: E731
    return split(future, x, weight, to_weight=late) + bias[:, None]


@mistake("conv2d", "the kernel is not turned round in the gradient of x", CONVOLUTION)
def conv2d__kernel_not_turned(x, weight, bias):
    return split(image, x, weight, to_x=lambda x, w: image(x, jnp.flip(w, (2, 3)))) + bias[:, None, None]


@mistake("conv2d", "the kernel's height and width are exchanged in the gradient of x", CONVOLUTION)
def kernel_transposed(x, weight, bias):
    return split(image, x, weight, to_x=lambda x, w: image(x, w.swapaxes(2, 3))) + bias[:, None, None]


spoilt(
    "conv2d",
    "weight_averaged",
    "the weight's gradient is divided by batch times positions",
    lambda r, q: [r[0], r[1] * q.ct.shape[1] / q.ct.size, r[2]],
    CONVOLUTION,
    source="https://github.com/sebgao/cTensor/issues/3",
)


@mistake(
    "conv2d",
    "output padding is forgotten: the gradient of x is shifted where the stride does not fit",
    source="https://github.com/flagos-ai/FlagGems/pull/1576",
)
def output_padding_forgotten(x, weight, bias):
    return split(image, x, weight, to_x=lambda x, w: image(jnp.roll(x, 1, -1), w)) + bias[:, None, None]


spoilt(
    "conv2d",
    "borders_of_dx_lost",
    "the first row and column of the input's gradient are never written",
    lambda r, q: [np.pad(r[0][:, :, 1:, 1:], ((0, 0), (0, 0), (1, 0), (1, 0))), *r[1:]],
)
spoilt(
    "conv2d",
    "bias_of_last_image",
    "the bias's gradient is overwritten by each image",
    lambda r, q: [*r[:2], q.ct[-1].sum((1, 2)) / 2],
)


@mistake("grouped_conv2d", "the groups are exchanged in the gradient of x", "feature_group_count=2", CONVOLUTION)
def groups_exchanged(x, weight, bias):
    other = lambda x, w: in_groups(x, jnp.roll(w, len(w) // 2, 0))  # noqa: E731
    return split(in_groups, x, weight, to_x=other) + bias[:, None, None]


@mistake("grouped_conv2d", "the dilation is ignored in the gradient of the weight", "rhs_dilation=(2, 2)", CONVOLUTION)
def dilation_ignored(x, weight, bias):
    return split(in_groups, x, weight, to_weight=lambda x, w: in_groups(x, w, 1, 1)) + bias[:, None, None]


@mistake("grouped_conv2d", "the kernel is not turned round in the gradient of x", CONVOLUTION)
def grouped__kernel_not_turned(x, weight, bias):
    return split(in_groups, x, weight, to_x=lambda x, w: in_groups(x, jnp.flip(w, (2, 3)))) + bias[:, None, None]


@mistake("depthwise_conv2d", "the kernel is not turned round in the gradient of x", CONVOLUTION)
def depthwise__kernel_not_turned(x, weight):
    return split(by_channel, x, weight, to_x=lambda x, w: by_channel(x, jnp.flip(w, (2, 3))))


@mistake("depthwise_conv2d", "the gradient of x uses the next channel's kernel", "feature_group_count", CONVOLUTION)
def next_channel(x, weight):
    return split(by_channel, x, weight, to_x=lambda x, w: by_channel(x, jnp.roll(w, 1, 0)))


spoilt("depthwise_conv2d", "last_tap_lost", "the last tap's gradient is never written", zeroed(1, (..., -1, -1)))


@mistake("conv_transpose2d", "the kernel is turned round in the gradient of x", CONVOLUTION, "jnp.flip(weight, (2, 3))")
def kernel_turned(x, weight, bias):
    return split(upwards, x, weight, to_x=lambda x, w: upwards(x, jnp.flip(w, (2, 3)))) + bias[:, None, None]


@mistake(
    "conv_transpose2d", "the channels of the kernel are read in reverse in the gradient of x", CONVOLUTION, "kernel = "
)
def channels_reversed(x, weight, bias):
    return split(upwards, x, weight, to_x=lambda x, w: upwards(x, w[:, ::-1])) + bias[:, None, None]


spoilt(
    "conv_transpose2d",
    "weight_transposed",
    "height and width are exchanged in the weight's gradient",
    of_array(1, lambda g: g.swapaxes(2, 3)),
)
spoilt(
    "conv_transpose2d",
    "weight_turned",
    "the weight's gradient is turned round",
    of_array(1, lambda g: np.flip(g, (2, 3))),
)

spoilt("average_pool", "not_divided", "the 9 is missing", lambda r, q: [9 * r[0]], "/ 9")


def _last_writer(question):
    x, ct = question.floats[0], question.ct
    dx = np.zeros_like(x)
    for i in range(ct.shape[2]):
        for j in range(ct.shape[3]):
            dx[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] = ct[:, :, i : i + 1, j : j + 1] / 9
    return dx


spoilt(
    "average_pool",
    "overwritten",
    "overlapping windows overwrite one another instead of adding up",
    lambda r, q: [_last_writer(q)],
    "lax.reduce_window",
)
spoilt(
    "average_pool",
    "last_window_lost",
    "the last window is never written",
    lambda r, q: [r[0] - _window(q)],
    "lax.reduce_window",
)


def _window(question):
    x, ct = question.floats[0], question.ct
    dx = np.zeros_like(x)
    i, j = 2 * (ct.shape[2] - 1), 2 * (ct.shape[3] - 1)
    dx[:, :, i : i + 3, j : j + 3] = ct[:, :, -1:, -1:] / 9
    return dx


def pooled(x, window=3, stride=2, reduce=lax.max, start=-jnp.inf):
    return lax.reduce_window(x, start, reduce, (1, 1, window, window), (1, 1, stride, stride), "VALID")


def _pool_overwritten(question):
    x, ct = question.floats[0], question.ct
    dx = np.zeros_like(x)
    for i in range(ct.shape[2]):
        for j in range(ct.shape[3]):
            tile = x[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            at = tile == tile.max((2, 3), keepdims=True)
            place = dx[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            place[at] = (at * ct[:, :, i : i + 1, j : j + 1])[at]
    return dx


spoilt(
    "max_pool",
    "overwritten",
    "an entry that wins twice keeps the last gradient alone",
    lambda r, q: [_pool_overwritten(q)],
    "lax.reduce_window",
)


@mistake("max_pool", "the windows of the backward pass are 2 by 2", "(1, 1, 3, 3)")
def smaller_windows(x):
    y = pooled(x)
    z = pooled(x, 2)[:, :, : y.shape[2], : y.shape[3]]
    return y + z - cut(z) - (y - cut(y))


@mistake(
    "max_pool", "the gradient goes to the whole window, as of a mean without its 9", "lax.max", "lax.reduce_window"
)
def to_the_whole_window(x):
    return pooled(x, reduce=lax.add, start=0.0)


@mistake("max_pool", "the gradient goes to the smallest entry", "lax.max", "lax.reduce_window")
def to_the_smallest(x):
    return pooled(x, reduce=lax.min, start=jnp.inf)


def nearest(x):
    _, _, h, w = x.shape
    rows = ((np.arange(2 * h - 1) + 0.5) * h / (2 * h - 1)).astype(int)
    columns = ((np.arange(2 * w + 3) + 0.5) * w / (2 * w + 3)).astype(int)
    return x[:, :, rows][:, :, :, columns]


@mistake("bilinear_resize", "the backward pass is that of the nearest pixel", "jnp.take")
def nearest_pixel(x):
    return nearest(x)


@mistake(
    "bilinear_resize",
    "the weights along the width are those of the height's neighbour: not interpolated",
    "stretched(wide",
)
def width_not_interpolated(x):
    wide = stretched(x, 2 * x.shape[2] - 1, 2)
    columns = np.minimum(
        ((np.arange(2 * x.shape[3] + 3) + 0.5) * x.shape[3] / (2 * x.shape[3] + 3)).astype(int), x.shape[3] - 1
    )
    return wide[:, :, :, columns]


spoilt("bilinear_resize", "last_column_lost", "the last column's gradient is never written", zeroed(0, (..., -1)))


@mistake("pixel_shuffle", "rows and columns of the tiles are exchanged", "tiles.transpose", "tiles = ")
def tiles_transposed(x):
    b, c, h, w = x.shape
    return x.reshape(b, c // 4, 2, 2, h, w).transpose(0, 1, 4, 3, 5, 2).reshape(b, c // 4, 2 * h, 2 * w)


@mistake("pixel_shuffle", "channels come after the tiles", "tiles = ")
def channels_last(x):
    b, c, h, w = x.shape
    return x.reshape(b, 2, 2, c // 4, h, w).transpose(0, 3, 4, 1, 5, 2).reshape(b, c // 4, 2 * h, 2 * w)


@mistake("pixel_shuffle", "the gradient is only reshaped", "tiles.transpose")
def only_reshaped(x):
    b, c, h, w = x.shape
    return x.reshape(b, c // 4, 2 * h, 2 * w)
