"""Cross-entropies and the Kullback-Leibler divergence, of probabilities and of logits.

Each function takes outputs and targets (n, K), arrays of one library, and returns the term of every element and the
derivative of the row's sum of terms with respect to every output, both (n, K); its `_second` takes a tangent t of the
outputs too, and returns how the derivative moves with it. Targets are arbitrary reals: soft labels
are right, and so are targets that do not sum to 1. Every product t x is 0 where t is 0, also for infinite x: the limit
of t log p and t / p as p falls to 0 with t = 0.
"""

from typing import Any, NamedTuple

import numpy as np
from jax.scipy.special import xlog1py, xlogy

from functional_mlp._dtypes import EitherArray, namespace
from functional_mlp._jax_compat import sharded_as
from functional_mlp.activations import are_largest, shifted_exponentials, sigmoid_value, softmax_vjp, softplus_value

Factor = float | tuple[float, ...]


def ratio(numerator: EitherArray, denominator: EitherArray) -> EitherArray:
    """numerator / denominator, and 0 where the numerator is 0."""
    xp, absent = namespace(numerator, denominator), numerator == 0
    return xp.where(absent, xp.zeros_like(numerator), numerator / xp.where(absent, 1, denominator))


def product(target: EitherArray, factor: EitherArray) -> EitherArray:
    """target * factor, and 0 where the target is 0."""
    xp = namespace(target, factor)
    return xp.where(target == 0, xp.zeros_like(target), target * factor)


def _times_log(target: Any, p: Any) -> Any:
    """target log p, and 0 where the target is 0."""
    return product(target, np.log(p)) if namespace(target, p) is np else xlogy(target, p)


def _times_log1p(target: Any, x: Any) -> Any:
    """target log(1 + x), and 0 where the target is 0."""
    return product(target, np.log1p(x)) if namespace(target, x) is np else xlog1py(target, x)


def _positive(targets: Any, pos_weight: Factor) -> Any:
    """The targets times the weight of the positive class, one number or one per output."""
    if pos_weight == 1.0:
        return targets
    factor = namespace(targets).asarray(pos_weight, targets.dtype)
    return targets * factor.reshape(1, -1)


def binary_cross_entropy(
    outputs: EitherArray, targets: EitherArray, pos_weight: Factor = 1.0, epsilon: float = 0.0
) -> tuple[EitherArray, EitherArray]:
    """-(w t log(p + eps) + (1 - t) log(1 - p + eps)), p the outputs; derivative (1 - t)/(1 - p + eps) - w t/(p + eps).

    w is `pos_weight`, and eps `epsilon`; 1 and 0 are the plain cross-entropy.
    """
    yes = _positive(targets, pos_weight)
    if epsilon == 0:
        logarithms = _times_log(yes, outputs) + _times_log1p(1 - targets, -outputs)
    else:
        logarithms = _times_log(yes, outputs + epsilon) + _times_log(1 - targets, (1 - outputs) + epsilon)
    return -logarithms, ratio(1 - targets, (1 - outputs) + epsilon) - ratio(yes, outputs + epsilon)


def binary_cross_entropy_second(
    outputs: EitherArray,
    targets: EitherArray,
    tangent: EitherArray,
    pos_weight: Factor = 1.0,
    epsilon: float = 0.0,
) -> EitherArray:
    """t times (1 - y)/(1 - p + eps)^2 + w y/(p + eps)^2, y the targets."""
    yes, no = outputs + epsilon, (1 - outputs) + epsilon
    of_yes, of_no = ratio(ratio(_positive(targets, pos_weight), yes), yes), ratio(ratio(1 - targets, no), no)
    return tangent * (of_yes + of_no)


def categorical_cross_entropy(
    outputs: EitherArray, targets: EitherArray, epsilon: float = 0.0
) -> tuple[EitherArray, EitherArray]:
    """-t log(p + eps), p the outputs; derivative -t/(p + eps)."""
    return -_times_log(targets, outputs + epsilon), -ratio(targets, outputs + epsilon)


def categorical_cross_entropy_second(
    outputs: EitherArray, targets: EitherArray, tangent: EitherArray, epsilon: float = 0.0
) -> EitherArray:
    """t y/(p + eps)^2, y the targets; of the Kullback-Leibler divergence too, without eps."""
    return tangent * ratio(ratio(targets, outputs + epsilon), outputs + epsilon)


def kl_divergence(outputs: EitherArray, targets: EitherArray) -> tuple[EitherArray, EitherArray]:
    """t log(t / p), p the outputs: t log t more than the cross-entropy; derivative -t/p.

    Targets are probabilities; of a negative one the logarithm is NaN. (PyTorch's KLDivLoss takes log p; its reduction
    "batchmean" is `over_samples="mean"`.)
    """
    return _times_log(targets, targets) - _times_log(targets, outputs), -ratio(targets, outputs)


def sigmoid_cross_entropy(
    outputs: EitherArray, targets: EitherArray, pos_weight: Factor = 1.0
) -> tuple[EitherArray, EitherArray]:
    """Binary cross-entropy of p = sigmoid(o); derivative (1 - t) p - w t (1 - p), which is p - t for w = 1.

    -log p = softplus(-o) and -log(1 - p) = softplus(o); (1 - t) sigmoid(o) - t sigmoid(-o) does not cancel where p is
    nearly t. w is `pos_weight`.
    """
    yes = _positive(targets, pos_weight)
    term = product(yes, softplus_value(-outputs)) + product(1 - targets, softplus_value(outputs))
    return term, (1 - targets) * sigmoid_value(outputs) - yes * sigmoid_value(-outputs)


def sigmoid_cross_entropy_second(
    outputs: EitherArray, targets: EitherArray, tangent: EitherArray, pos_weight: Factor = 1.0
) -> EitherArray:
    """t p (1 - p) ((1 - y) + w y), y the targets."""
    slope = sigmoid_value(outputs) * sigmoid_value(-outputs)
    return tangent * slope * ((1 - targets) + _positive(targets, pos_weight))


class Probabilities(NamedTuple):
    """softmax of logits (n, K) without cancellation: p, 1 - p and -log p, each (n, K)."""

    p: Any
    complement: Any
    minus_log: Any


def softmax_probabilities(logits: Any) -> Probabilities:
    """p = softmax(o) with what keeps all digits in saturation.

    With R the sum of exp(o - max o) over all but the largest: -log p = log(1 + R) - (o - max o), and for the largest
    1 - p = R / (1 + R).
    """
    exponential, shifted = shifted_exponentials(logits)
    xp = namespace(logits)
    largest = are_largest(logits)
    rest = xp.sum(xp.where(largest, xp.zeros_like(exponential), exponential), axis=-1, keepdims=True)
    p = exponential / (1 + rest)
    of_largest = sharded_as(rest / (1 + rest) + xp.zeros_like(p), p)
    return Probabilities(p, xp.where(largest, of_largest, 1 - p), xp.log1p(rest) - shifted)


def softmax_cross_entropy(outputs: EitherArray, targets: EitherArray) -> tuple[EitherArray, EitherArray]:
    """Categorical cross-entropy of p = softmax(o): -t log p per output; derivative of their sum p sum(t) - t.

    The derivative is p_i sum_{k != i} t_k - t_i (1 - p_i), which keeps all digits in saturation (sum_{k != i} t_k is
    exact for one-hot targets, and for others as good as the subtraction sum(t) - t_i).
    """
    p, complement, minus_log = softmax_probabilities(outputs)
    others = namespace(targets).sum(targets, axis=-1, keepdims=True) - targets
    return product(targets, minus_log), p * others - targets * complement


def softmax_cross_entropy_second(outputs: EitherArray, targets: EitherArray, tangent: EitherArray) -> EitherArray:
    """sum(y) J t with the Jacobian J of softmax, y the targets: p_i (t_i - sum_j p_j t_j) sum(y).

    The same of the Kullback-Leibler divergence.
    """
    total = namespace(targets).sum(targets, axis=-1, keepdims=True)
    return total * softmax_vjp(outputs, softmax_probabilities(outputs).p, tangent)


def softmax_kl_divergence(outputs: EitherArray, targets: EitherArray) -> tuple[EitherArray, EitherArray]:
    """Kullback-Leibler divergence of p = softmax(o) from the targets: t log(t / p); derivative p sum(t) - t."""
    term, derivative = softmax_cross_entropy(outputs, targets)
    return term + _times_log(targets, targets), derivative
