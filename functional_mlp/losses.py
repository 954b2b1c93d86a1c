"""Losses, each beside its hand-derived cotangent, with every factor in one place.

The value of a loss is  scale * over_samples(over_outputs(term)) + l2 * (1/2) sum(w^2),  and its cotangent is the
derivative of that with respect to the outputs o (n, K). Each kind is ONE function that returns the term of every
element and the derivative together, and both are multiplied by the same coefficients (scale, reductions, sample
weights), so that value and gradient cannot drift apart.

Targets are arbitrary reals where the formula allows it: soft labels are right, and so are targets that do not sum to 1.

Probability losses (binary_cross_entropy, categorical_cross_entropy) are admissible only after sigmoid or softmax (or an
activation of your own that declares `probabilities`). Where they meet their own activation, `Loss.on_logits` gives the
equal loss of the pre-activations, which stays exact in saturation; `loss_and_grad` uses that.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import xlog1py, xlogy
from jax.typing import ArrayLike
from jaxtyping import Array

from functional_mlp._checks import finite_float, floating_array, is_concrete, known_name
from functional_mlp._dtypes import EitherArray, namespace, working_dtype
from functional_mlp.activations import (
    Activation,
    shifted_exponentials,
    sigmoid,
    sigmoid_value,
    softmax,
    softplus_value,
)


def squared_error(outputs: EitherArray, targets: EitherArray) -> tuple[EitherArray, EitherArray]:
    """(o - t)^2, without 1/2 (`scale=0.5` gives it); derivative 2 (o - t)."""
    difference = outputs - targets
    return difference * difference, 2 * difference


def _ratio(numerator: EitherArray, denominator: EitherArray) -> EitherArray:
    """numerator / denominator, and 0 where the numerator is 0: the limit of t / p as p falls to 0 with t = 0."""
    xp, absent = namespace(numerator, denominator), numerator == 0
    return xp.where(absent, xp.zeros_like(numerator), numerator / xp.where(absent, 1, denominator))


def _product(target: EitherArray, minus_log: EitherArray) -> EitherArray:
    """target * minus_log, and 0 where the target is 0, also for an infinite logarithm."""
    xp = namespace(target, minus_log)
    return xp.where(target == 0, xp.zeros_like(target), target * minus_log)


def _times_log(target: Any, p: Any) -> Any:
    """target log p, and 0 where the target is 0."""
    return _product(target, np.log(p)) if namespace(target, p) is np else xlogy(target, p)


def _times_log1p(target: Any, x: Any) -> Any:
    """target log(1 + x), and 0 where the target is 0."""
    return _product(target, np.log1p(x)) if namespace(target, x) is np else xlog1py(target, x)


def binary_cross_entropy(outputs: EitherArray, targets: EitherArray) -> tuple[EitherArray, EitherArray]:
    """-(t log p + (1 - t) log(1 - p)), p the outputs; derivative (1 - t)/(1 - p) - t/p."""
    term = -(_times_log(targets, outputs) + _times_log1p(1 - targets, -outputs))
    return term, _ratio(1 - targets, 1 - outputs) - _ratio(targets, outputs)


def categorical_cross_entropy(outputs: EitherArray, targets: EitherArray) -> tuple[EitherArray, EitherArray]:
    """-t log p, p the outputs; derivative -t/p."""
    return -_times_log(targets, outputs), -_ratio(targets, outputs)


def sigmoid_cross_entropy(outputs: EitherArray, targets: EitherArray) -> tuple[EitherArray, EitherArray]:
    """Binary cross-entropy of p = sigmoid(o); derivative p - t.

    -log p = softplus(-o) and -log(1 - p) = softplus(o); p - t = (1 - t) sigmoid(o) - t sigmoid(-o) does not cancel
    where p is nearly t.
    """
    term = _product(targets, softplus_value(-outputs)) + _product(1 - targets, softplus_value(outputs))
    return term, (1 - targets) * sigmoid_value(outputs) - targets * sigmoid_value(-outputs)


def softmax_cross_entropy(outputs: EitherArray, targets: EitherArray) -> tuple[EitherArray, EitherArray]:
    """Categorical cross-entropy of p = softmax(o): -t log p per output; derivative of their sum p sum(t) - t.

    With R the sum of exp(o - max o) over all but the largest: -log p = log(1 + R) - (o - max o). The derivative is
    p_i sum_{k != i} t_k - t_i (1 - p_i), with 1 - p = R / (1 + R) for the largest, which keeps all digits in saturation
    (sum_{k != i} t_k is exact for one-hot targets, and for others as good as the subtraction sum(t) - t_i).
    """
    exponential, shifted = shifted_exponentials(outputs)
    xp = namespace(outputs, targets)
    units = xp.arange(outputs.shape[-1])[None, :]
    largest = units == xp.argmax(outputs, axis=-1, keepdims=True)
    rest = xp.sum(xp.where(largest, xp.zeros_like(exponential), exponential), axis=-1, keepdims=True)
    p = exponential / (1 + rest)
    complement = xp.where(largest, rest / (1 + rest), 1 - p)
    others = xp.sum(targets, axis=-1, keepdims=True) - targets
    term = _product(targets, xp.log1p(rest) - shifted)
    return term, p * others - targets * complement


class Kind(NamedTuple):
    """What the module knows of one kind of loss.

    Attributes:
        term: maps outputs and targets (n, K) to the term of each element and to the derivative of the row's sum of
            terms with respect to each output, both (n, K).
        of_probabilities: whether the outputs must be probabilities, that is, come from sigmoid or softmax.
        threshold: the single output above which a sample is predicted to be of class 1.
    """

    term: Callable[[Any, Any], tuple[Any, Any]]
    of_probabilities: bool
    threshold: float


KINDS: Mapping[str, Kind] = {
    "squared_error": Kind(squared_error, of_probabilities=False, threshold=0.5),
    "binary_cross_entropy": Kind(binary_cross_entropy, of_probabilities=True, threshold=0.5),
    "categorical_cross_entropy": Kind(categorical_cross_entropy, of_probabilities=True, threshold=0.5),
    "sigmoid_cross_entropy": Kind(sigmoid_cross_entropy, of_probabilities=False, threshold=0.0),
    "softmax_cross_entropy": Kind(softmax_cross_entropy, of_probabilities=False, threshold=0.0),
}
REDUCTIONS = ("sum", "mean")
_ON_LOGITS = {
    (sigmoid(), "binary_cross_entropy"): "sigmoid_cross_entropy",
    (softmax(), "categorical_cross_entropy"): "softmax_cross_entropy",
}


@jax.tree_util.register_static
@dataclass(frozen=True)
class Loss:
    """A loss with its scale, reductions and L2 penalty: a frozen value that passes through `jit` as static.

    The value is  scale * over_samples(over_outputs(term)) + l2 * (1/2) sum(w^2).  With sample weights s (n,), the sum
    over samples is sum_i s_i term_i and the mean is that over sum_i s_i.

    Attributes:
        kind: a key of `KINDS`.
        over_samples: "sum" or "mean" over the n rows.
        over_outputs: "sum" or "mean" over the K columns.
        scale: factor of the data term, not of the penalty.
        l2: weight decay coefficient; never divided by n.
        l2_on_bias: whether the penalty covers the biases too.

    Raises:
        TypeError: for parameters of the wrong type.
        ValueError: for an unknown kind or reduction, a negative or non-finite `l2`, a non-finite `scale`.

    Example:
        >>> Loss("squared_error", over_samples="mean", scale=0.5).kind
        'squared_error'
    """

    kind: str
    over_samples: str = "sum"
    over_outputs: str = "sum"
    scale: float = 1.0
    l2: float = 0.0
    l2_on_bias: bool = False

    def __post_init__(self) -> None:
        known_name("loss", self.kind, KINDS)
        known_name("reduction over samples", self.over_samples, REDUCTIONS)
        known_name("reduction over outputs", self.over_outputs, REDUCTIONS)
        object.__setattr__(self, "scale", finite_float("scale", self.scale))
        object.__setattr__(self, "l2", finite_float("l2", self.l2))
        if self.l2 < 0:
            raise ValueError(f"expected l2 to be at least 0, got {self.l2}")
        if not isinstance(self.l2_on_bias, bool):
            raise TypeError(f"expected l2_on_bias to be True or False, got {self.l2_on_bias!r}")

    def value_and_cotangent(
        self, outputs: ArrayLike, targets: ArrayLike, sample_weights: ArrayLike | None = None
    ) -> tuple[Array, Array]:
        """The data term of the loss, and its derivative with respect to the outputs.

        Args:
            outputs: (n, K) floats: the network's outputs, or the logits for the losses of logits.
            targets: (n, K), the same dtype.
            sample_weights: (n,), the same dtype, not negative and not all 0; None means 1 for every sample. A sample of
                weight 0 contributes nothing, not even NaN; while tracing, only such samples give value 0.

        Returns:
            The value, a scalar (float32 for 16-bit outputs), and ct_outputs (n, K) in the dtype of the outputs.

        Raises:
            TypeError: for arrays that hold no floats, or differing dtypes.
            ValueError: for shapes that do not match, an empty batch, or weights that are negative, not finite, all 0.
        """
        return reduced(self, *_checked(outputs, targets, sample_weights))

    def value(self, outputs: ArrayLike, targets: ArrayLike, sample_weights: ArrayLike | None = None) -> Array:
        """The data term of the loss; arguments and errors as in `value_and_cotangent`."""
        return self.value_and_cotangent(outputs, targets, sample_weights)[0]

    def cotangent(self, outputs: ArrayLike, targets: ArrayLike, sample_weights: ArrayLike | None = None) -> Array:
        """ct_outputs (n, K); arguments and errors as in `value_and_cotangent`."""
        return self.value_and_cotangent(outputs, targets, sample_weights)[1]

    def coefficients(self, shape: tuple[Any, ...], weights: Any, dtype: Any, xp: Any = jnp) -> Any:
        """What every term (n, K) is multiplied by, as (n, 1): scale, divisors, sample weights; n may be symbolic.

        The array is one of the library `xp`.
        """
        samples, outputs = shape
        divisor = outputs if self.over_outputs == "mean" else 1
        if weights is None:
            divisor = divisor * (samples if self.over_samples == "mean" else 1)
            return xp.full((samples, 1), self.scale / divisor, dtype)
        weights = weights.astype(dtype)
        total = xp.sum(weights) if self.over_samples == "mean" else xp.ones((), dtype)
        # a batch that holds only samples of weight 0 has value 0, not 0/0
        return (self.scale / divisor * (weights / xp.where(total == 0, 1, total)))[:, None]

    def penalty(self, params: Iterable[tuple[Any, Any]]) -> Any:
        """l2 * (1/2) sum(w^2) over the weights, and the biases if `l2_on_bias`; 0.0 if `l2` is 0.

        Args:
            params: (weights, bias) per layer.
        """
        return 0.0 if self.l2 == 0 else l2_penalty(self, jax.tree.map(jnp.asarray, tuple(map(tuple, params))))

    def add_penalty_gradient(self, ct_weights: Array, ct_bias: Array | None, weights: Array, bias: Array | None) -> Any:
        """(ct_weights, ct_bias) of one layer with the gradient l2 * w of the penalty added, in their own dtype."""
        if self.l2 == 0:
            return ct_weights, ct_bias
        penalised = self.penalised(weights, bias)
        return tuple(
            ct if ct is None or leaf is None else _add(ct, self.l2, leaf)
            for ct, leaf in zip((ct_weights, ct_bias), penalised, strict=True)
        )

    def penalised(self, weights: Any, bias: Any) -> tuple[Any, Any]:
        """The parameters of a layer that the penalty covers; None for those that it does not."""
        return weights, bias if self.l2_on_bias else None

    def on_logits(self, activation: Activation) -> "Loss | None":
        """The equal loss of the pre-activations of an output layer with `activation`, or None if there is none."""
        kind = _ON_LOGITS.get((activation, self.kind))
        return None if kind is None else replace(self, kind=kind)

    def require_admissible(self, activation: Activation) -> None:
        """Raises ValueError if this loss cannot follow an output layer with `activation`, with the reason."""
        if KINDS[self.kind].of_probabilities and not activation.probabilities:
            raise ValueError(
                f"{self.kind} takes the logarithm of the outputs, so it needs probabilities: expected an output layer"
                f" with sigmoid or softmax, got {activation.name}; change the activation, or use"
                " sigmoid_cross_entropy or softmax_cross_entropy, which take logits"
            )


def reduced(
    loss: Loss, outputs: EitherArray, targets: EitherArray, weights: EitherArray | None
) -> tuple[Any, EitherArray]:
    """`Loss.value_and_cotangent` of arrays (n, K), (n, K) and (n,) that fit, all of JAX or all of NumPy."""
    work, xp = working_dtype(outputs.dtype), namespace(outputs)
    terms, derivatives = KINDS[loss.kind].term(outputs.astype(work), targets.astype(work))
    coefficients = loss.coefficients(terms.shape, weights, work, xp)
    if weights is not None:
        counted = (weights != 0)[:, None]
        terms = xp.where(counted, terms, xp.zeros_like(terms))
        derivatives = xp.where(counted, derivatives, xp.zeros_like(derivatives))
    return xp.sum(coefficients * terms), (coefficients * derivatives).astype(outputs.dtype)


def l2_penalty(loss: Loss, params: Iterable[tuple[Any, Any]]) -> Any:
    """`Loss.penalty` of parameters that are all of JAX or all of NumPy."""
    if loss.l2 == 0:
        return 0.0
    leaves = [leaf for layer in params for leaf in loss.penalised(*layer) if leaf is not None]
    xp = namespace(leaves[0])
    squares = [xp.sum(xp.square(leaf.astype(working_dtype(leaf.dtype)))) for leaf in leaves]
    return 0.5 * loss.l2 * sum(squares[1:], squares[0])


def _add(ct: Array, factor: float, leaf: Array) -> Array:
    """ct + factor * leaf, rounded once to the dtype of ct."""
    work = working_dtype(ct.dtype)
    return (ct.astype(work) + factor * leaf.astype(work)).astype(ct.dtype)


def _checked(
    outputs: ArrayLike, targets: ArrayLike, sample_weights: ArrayLike | None
) -> tuple[Array, Array, Array | None]:
    outputs = floating_array("outputs", outputs, 2, "(n, K)")
    targets = floating_array("targets", targets)
    if targets.shape != outputs.shape:
        hint = ""
        if targets.ndim == 1 and targets.shape == outputs.shape[:1]:
            column = "; use targets[:, None]" if outputs.shape[1] == 1 else "; class labels must be one-hot rows"
            hint = f", which would broadcast to a wrong result{column}"
        raise ValueError(f"expected targets of the shape of the outputs {outputs.shape}, got {targets.shape}{hint}")
    if targets.dtype != outputs.dtype:
        raise TypeError(
            f"expected targets of the outputs' dtype {outputs.dtype}, got {targets.dtype}; cast one of them"
        )
    if outputs.size == 0:
        raise ValueError(f"expected at least one sample and one output, got outputs of shape {outputs.shape}")
    if sample_weights is None:
        return outputs, targets, None
    return outputs, targets, check_sample_weights(sample_weights, outputs)


def check_sample_weights(sample_weights: ArrayLike, samples: Array) -> Array:
    """`sample_weights` as an array (n,), fitting `samples` (n, ...) in length and dtype; values checked if concrete.

    Raises:
        TypeError: if it does not hold floats of the samples' dtype.
        ValueError: if its shape differs, or it holds negative or non-finite weights, or only zeros.
    """
    weights = floating_array("sample_weights", sample_weights)
    if weights.shape != samples.shape[:1]:
        raise ValueError(f"expected sample_weights of shape {samples.shape[:1]}, got {weights.shape}")
    if weights.dtype != samples.dtype:
        raise TypeError(f"expected sample_weights of dtype {samples.dtype}, got {weights.dtype}; cast them")
    if is_concrete(weights):
        values = np.asarray(weights, dtype=np.float64)
        if not np.isfinite(values).all() or (values < 0).any() or not values.any():
            raise ValueError("expected sample_weights to be finite, not negative, and not all 0")
    return weights
