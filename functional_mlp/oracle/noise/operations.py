"""How much the operations of softmax may round, whose units act together: amplitudes as those of `elementary.py`.

Dimension letters: n samples, K outputs. Everything is NumPy float64.
"""

import numpy as np

from functional_mlp._dtypes import Array


def exponential(z: Array) -> Array:
    """Relative amplitude (n, K) of exp(z_i) / sum_j exp(z_j): the argument z - max z is rounded, and the sum."""
    return 3 + np.sqrt(z.shape[-1]) + z.max(axis=-1, keepdims=True) - z


def softmax_of(z: Array) -> Array:
    """softmax over the last axis, to a few digits."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_pulled(a: Array, relative: Array, ct_a: Array) -> Array:
    """Amplitude (n, K) of the error of a_i (ct_i - sum_j a_j ct_j), where a has the `relative` amplitude."""
    size = (1 + relative) * a * np.abs(ct_a)
    return size + a * (size.sum(axis=-1, keepdims=True) + relative * np.abs((a * ct_a).sum(axis=-1, keepdims=True)))
