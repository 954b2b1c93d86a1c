"""Focal losses (Lin et al., "Focal Loss for Dense Object Detection", 2017) of logits: easy samples count less.

Each function takes logits and targets (n, K), arrays of one library, and returns the term of every element and the
derivative of the row's sum of terms with respect to every logit, both (n, K); its `_second` takes a tangent t of the
logits too, and returns how the derivative moves with it.
"""

from typing import Any

from functional_mlp._dtypes import EitherArray, namespace
from functional_mlp.activations import sigmoid_value, softmax_vjp, softplus_value
from functional_mlp.losses.cross_entropies import product, ratio, softmax_probabilities


def _power(base: Any, exponent: float) -> Any:
    """base^exponent of numbers that are not negative; 1 for exponent 0, also where jax.grad would make 0 times inf."""
    xp = namespace(base)
    if exponent in (0.0, 1.0, 2.0):
        return (xp.ones_like(base), base, base * base)[int(exponent)]
    positive = base > 0
    return xp.where(positive, xp.where(positive, base, 1) ** exponent, xp.zeros_like(base))


def _sigmoid_parts(outputs: Any, targets: Any, gamma: float, alpha: float | None) -> tuple[Any, ...]:
    """p, 1 - p, CE, dCE/do, (dm/do) / m and a m^gamma of `sigmoid_focal`."""
    p, q = sigmoid_value(outputs), sigmoid_value(-outputs)
    entropy = product(targets, softplus_value(-outputs)) + product(1 - targets, softplus_value(outputs))
    slope = (1 - targets) * p - targets * q
    missing = targets * q + (1 - targets) * p
    factor = _power(missing, gamma)
    if alpha is not None:
        factor = factor * (alpha * targets + (1 - alpha) * (1 - targets))
    # p q / m is p or q for targets 0 and 1, and 0 where m underflows
    steep = ratio((1 - 2 * targets) * p * q, missing)
    return p, q, entropy, slope, steep, factor


def sigmoid_focal(
    outputs: EitherArray, targets: EitherArray, gamma: float = 2.0, alpha: float | None = None
) -> tuple[EitherArray, EitherArray]:
    """a m^gamma CE of p = sigmoid(o), CE the binary cross-entropy, m = t (1 - p) + (1 - t) p = 1 - p_t.

    The factor a is alpha t + (1 - alpha)(1 - t), and 1 without alpha. m^gamma is the modulating factor: 1 - p_t is
    written without a difference. With dCE/do = (1 - t) p - t (1 - p) and dm/do = (1 - 2 t) p (1 - p) the derivative is
    a m^gamma (gamma (dm/do / m) CE + dCE/do). For targets 0 and 1 this is -a (1 - p_t)^gamma log p_t, and for others
    what torchvision and Keras make of it.
    """
    _, _, entropy, slope, steep, factor = _sigmoid_parts(outputs, targets, gamma, alpha)
    return factor * entropy, factor * (gamma * product(steep, entropy) + slope)


def sigmoid_focal_second(
    outputs: EitherArray,
    targets: EitherArray,
    tangent: EitherArray,
    gamma: float = 2.0,
    alpha: float | None = None,
) -> EitherArray:
    """t times a m^gamma (gamma^2 S^2 CE + 2 gamma S dCE/do + gamma S (q - p - S) CE + p q).

    S = (dm/do) / m, p = sigmoid(o), q = 1 - p: d(m^gamma)/do = gamma S m^gamma, dS/do = S (q - p - S), and the second
    derivative of CE is p q for every target.
    """
    p, q, entropy, slope, steep, factor = _sigmoid_parts(outputs, targets, gamma, alpha)
    of_entropy = gamma * (gamma * steep + (q - p - steep)) * product(steep, entropy)
    return tangent * (factor * (of_entropy + 2 * gamma * steep * slope + p * q))


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


def softmax_focal_second(
    outputs: EitherArray, targets: EitherArray, tangent: EitherArray, gamma: float = 2.0
) -> EitherArray:
    """With t_p = J t, J the Jacobian of softmax: t_g_i - t_p_i sum_k g_k - p_i sum_k t_g_k, g of `softmax_focal`.

    g = -y ((1 - p)^gamma + gamma p (1 - p)^(gamma - 1) (-log p)) moves with p by
    y gamma (1 - p)^(gamma - 1) (2 + log p + (gamma - 1) p (-log p) / (1 - p)), y the targets.
    """
    xp = namespace(outputs)
    p, complement, minus_log = softmax_probabilities(outputs)
    factor = _power(complement, gamma)
    share = ratio(p * minus_log, complement)
    growth = -targets * factor * (1 + gamma * share)
    t_p = softmax_vjp(outputs, p, tangent)
    t_growth = product(targets, gamma * ratio(factor, complement) * ((2 - minus_log) + (gamma - 1) * share) * t_p)
    sums = [xp.sum(array, axis=-1, keepdims=True) for array in (growth, t_growth)]
    return t_growth - t_p * sums[0] - p * sums[1]
