"""Focal losses (Lin et al., "Focal Loss for Dense Object Detection", 2017) of logits: easy samples count less.

Each function takes logits and targets (n, K), arrays of one library, and returns the term of every element and the
derivative of the row's sum of terms with respect to every logit, both (n, K).
"""

from typing import Any

from functional_mlp._dtypes import EitherArray, namespace
from functional_mlp.activations import sigmoid_value, softplus_value
from functional_mlp.losses.cross_entropies import product, ratio, softmax_probabilities


def _power(base: Any, exponent: float) -> Any:
    """base^exponent of numbers that are not negative; 1 for exponent 0, also where jax.grad would make 0 times inf."""
    xp = namespace(base)
    if exponent in (0.0, 1.0, 2.0):
        return (xp.ones_like(base), base, base * base)[int(exponent)]
    positive = base > 0
    return xp.where(positive, xp.where(positive, base, 1) ** exponent, xp.zeros_like(base))


def sigmoid_focal(
    outputs: EitherArray, targets: EitherArray, gamma: float = 2.0, alpha: float | None = None
) -> tuple[EitherArray, EitherArray]:
    """a m^gamma CE of p = sigmoid(o), CE the binary cross-entropy, m = t (1 - p) + (1 - t) p = 1 - p_t.

    The factor a is alpha t + (1 - alpha)(1 - t), and 1 without alpha. m^gamma is the modulating factor: 1 - p_t is
    written without a difference. With dCE/do = (1 - t) p - t (1 - p) and dm/do = (1 - 2 t) p (1 - p) the derivative is
    a m^gamma (gamma (dm/do / m) CE + dCE/do). For targets 0 and 1 this is -a (1 - p_t)^gamma log p_t, and for others
    what torchvision and Keras make of it.
    """
    p, q = sigmoid_value(outputs), sigmoid_value(-outputs)
    entropy = product(targets, softplus_value(-outputs)) + product(1 - targets, softplus_value(outputs))
    slope = (1 - targets) * p - targets * q
    missing = targets * q + (1 - targets) * p
    factor = _power(missing, gamma)
    if alpha is not None:
        factor = factor * (alpha * targets + (1 - alpha) * (1 - targets))
    # p q / m is p or q for targets 0 and 1, and 0 where m underflows
    steep = ratio((1 - 2 * targets) * p * q, missing)
    return factor * entropy, factor * (gamma * product(steep, entropy) + slope)


def softmax_focal(outputs: EitherArray, targets: EitherArray, gamma: float = 2.0) -> tuple[EitherArray, EitherArray]:
    """-t (1 - p)^gamma log p of p = softmax(o), per output.

    By p_k the term changes by g_k / p_k, g = t (1 - p)^gamma (gamma p log p / (1 - p) - 1), and the sum by logit o_i
    by g_i (1 - p_i) - p_i sum_{k != i} g_k. The balanced form with a factor for each class has `class_weights`, that
    with one factor alpha for all `scale`.
    """
    p, complement, minus_log = softmax_probabilities(outputs)
    factor = _power(complement, gamma)
    growth = -targets * factor * (1 + gamma * ratio(p * minus_log, complement))
    others = namespace(growth).sum(growth, axis=-1, keepdims=True) - growth
    return product(targets, factor * minus_log), growth * complement - p * others
