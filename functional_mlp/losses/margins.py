"""Hinge losses: no cost from a margin of 1 on, and a constant slope below it.

Each function takes scores and targets (n, K), arrays of one library, and returns the term of every element and the
derivative of the row's sum of terms with respect to every score, both (n, K). At the kink, a margin of exactly 1, the
derivative is that of the flat side, 0 (so do relu of PyTorch and JAX; TensorFlow's maximum takes the other one).
"""

from functional_mlp._dtypes import EitherArray, namespace


def hinge(outputs: EitherArray, targets: EitherArray) -> tuple[EitherArray, EitherArray]:
    """max(0, 1 - t o) for targets t = ±1; derivative -t where t o < 1, else 0."""
    xp, short = namespace(outputs, targets), 1 - targets * outputs
    beyond = short <= 0  # false for NaN, which stays
    slope = xp.where(xp.isnan(short), short, -targets)
    return xp.where(beyond, xp.zeros_like(short), short), xp.where(beyond, xp.zeros_like(short), slope)


def multiclass_hinge(outputs: EitherArray, targets: EitherArray) -> tuple[EitherArray, EitherArray]:
    """(1 - t_k) max(0, 1 + o_k - s), s = sum_j t_j o_j: for one-hot targets the score of the right class.

    That is the loss of Weston and Watkins, PyTorch's MultiMarginLoss (which divides by K: `over_outputs="mean"`). With
    c_k = 1 - t_k where o_k comes too near, else 0, the derivative of the sum is c_i - t_i sum_k c_k.
    """
    xp, no = namespace(outputs, targets), 1 - targets
    short = 1 + outputs - xp.sum(targets * outputs, axis=-1, keepdims=True)
    beyond = (short <= 0) | (no == 0)  # false for NaN, which stays
    counted = xp.where(beyond, xp.zeros_like(no), xp.where(xp.isnan(short), short, no))
    term = xp.where(beyond, xp.zeros_like(short), no * short)
    return term, counted - targets * xp.sum(counted, axis=-1, keepdims=True)
