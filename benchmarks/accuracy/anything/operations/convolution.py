"""Convolutions, poolings, and what changes the size of images."""

import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.accuracy.anything.operations.registry import Draw, operation

IMAGES = ("NCHW", "OIHW", "NCHW")
SIGNALS = ("NCH", "OIH", "NCH")


def signals(draw: Draw):
    b, c, o, k, t = draw.pick((2, 2, 3, 3, 6), (3, 4, 6, 5, 24), (8, 16, 16, 5, 400))
    return [draw.normal(b, c, t), draw.weights(o, c, k, fan_in=c * k), draw.normal(o)], []


def images(draw: Draw):
    b, c, o, s = draw.pick((1, 2, 3, 4), (2, 3, 5, 10), (4, 8, 12, 48))
    return [draw.normal(b, c, s, s + 1), draw.weights(o, c, 3, 3, fan_in=9 * c), draw.normal(o)], []


def grouped_images(draw: Draw):
    b, c, o, s = draw.pick((1, 2, 4, 4), (2, 4, 6, 9), (4, 8, 12, 48))
    return [draw.normal(b, c, s, s), draw.weights(o, c // 2, 3, 3, fan_in=9 * c // 2), draw.normal(o)], []


def depthwise(draw: Draw):
    b, c, s = draw.pick((1, 3, 4), (2, 6, 10), (4, 12, 48))
    return [draw.normal(b, c, s, s), draw.weights(c, 1, 3, 3, fan_in=9)], []


def transposed(draw: Draw):
    b, c, o, s = draw.pick((1, 2, 3, 3), (2, 4, 5, 7), (4, 8, 8, 28))
    return [draw.normal(b, c, s, s), draw.weights(c, o, 3, 3, fan_in=9 * c), draw.normal(o)], []


def pictures(draw: Draw):
    return [draw.normal(*draw.pick((1, 1, 5, 5), (2, 3, 11, 12), (4, 8, 48, 50)))], []


@operation(signals)
def conv1d(x, weight, bias):
    y = lax.conv_general_dilated(x, weight, (2,), [(1, 1)], dimension_numbers=SIGNALS)
    return y + bias[:, None]


@operation(signals)
def causal_conv1d(x, weight, bias):
    reach = weight.shape[2] - 1
    y = lax.conv_general_dilated(x, weight, (1,), [(reach, 0)], dimension_numbers=SIGNALS)
    return y + bias[:, None]


@operation(images)
def conv2d(x, weight, bias):
    y = lax.conv_general_dilated(x, weight, (2, 2), [(1, 1), (1, 1)], dimension_numbers=IMAGES)
    return y + bias[:, None, None]


@operation(grouped_images)
def grouped_conv2d(x, weight, bias):
    y = lax.conv_general_dilated(
        x, weight, (1, 1), [(2, 2)] * 2, rhs_dilation=(2, 2), feature_group_count=2, dimension_numbers=IMAGES
    )
    return y + bias[:, None, None]


@operation(depthwise)
def depthwise_conv2d(x, weight):
    return lax.conv_general_dilated(
        x, weight, (1, 1), [(1, 1)] * 2, feature_group_count=x.shape[1], dimension_numbers=IMAGES
    )


@operation(transposed)
def conv_transpose2d(x, weight, bias):
    kernel = jnp.flip(weight, (2, 3)).transpose(1, 0, 2, 3)
    y = lax.conv_general_dilated(x, kernel, (1, 1), [(1, 1)] * 2, lhs_dilation=(2, 2), dimension_numbers=IMAGES)
    return y + bias[:, None, None]


@operation(pictures)
def average_pool(x):
    return lax.reduce_window(x, 0.0, lax.add, (1, 1, 3, 3), (1, 1, 2, 2), "VALID") / 9


@operation(pictures)
def max_pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 3, 3), (1, 1, 2, 2), "VALID")


def stretched(x, size, axis):
    """Linear interpolation to another size along one axis, pixels being areas."""
    old = x.shape[axis]
    wide = jnp.promote_types(x.dtype, jnp.float32)
    position = jnp.maximum((jnp.arange(size, dtype=wide) + 0.5) * (old / size) - 0.5, 0)
    low = np.minimum(np.maximum((np.arange(size) + 0.5) * (old / size) - 0.5, 0).astype(np.int32), old - 1)
    part = (position - low).reshape([-1 if i == axis else 1 for i in range(x.ndim)]).astype(x.dtype)
    high = np.minimum(low + 1, old - 1)
    return jnp.take(x, low, axis) * (1 - part) + jnp.take(x, high, axis) * part


@operation(pictures)
def bilinear_resize(x):
    wide = stretched(x, 2 * x.shape[2] - 1, 2)
    return stretched(wide, 2 * x.shape[3] + 3, 3)


@operation(lambda draw: ([draw.normal(*draw.pick((1, 4, 2, 3), (2, 8, 6, 5), (4, 16, 36, 36)))], []))
def pixel_shuffle(x):
    b, c, h, w = x.shape
    tiles = x.reshape(b, c // 4, 2, 2, h, w)
    return tiles.transpose(0, 1, 4, 2, 5, 3).reshape(b, c // 4, 2 * h, 2 * w)
