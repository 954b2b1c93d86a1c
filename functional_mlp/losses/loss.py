"""The record `Loss`: kind, options, scale, reductions and penalties, with every factor in one place.

The value of a loss is  scale * over_samples(over_outputs(term)) + l2 * (1/2) sum(w^2) + l1 * sum |w|,  and its
cotangent is the derivative of the first part with respect to the outputs o (n, K). Each kind is ONE function that
returns the term of every element and the derivative together (`kinds.py`), and both are multiplied by the same
coefficients (scale, reductions, sample weights), so that value and gradient cannot drift apart.

Probability losses (binary_cross_entropy, categorical_cross_entropy, kl_divergence) are admissible only after sigmoid or
softmax (or an activation of your own that declares `probabilities`). Where they meet their own activation,
`Loss.on_logits` gives the equal loss of the pre-activations, which stays exact in saturation: `loss_and_grad` uses it.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import InitVar, dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array

from functional_mlp._checks import finite_float, floating_array, known_name
from functional_mlp._dtypes import EitherArray, namespace, working_dtype
from functional_mlp._jax_compat import sharded_as
from functional_mlp.activations import Activation, sigmoid, softmax
from functional_mlp.losses.arguments import as_array, checked_arguments, factors_of
from functional_mlp.losses.kinds import KINDS, OPTIONS
from functional_mlp.losses.labels import is_labels, targets_of_labels
from functional_mlp.losses.names import known_kind

REDUCTIONS = ("sum", "mean", "batch_mean")
_ON_LOGITS = {
    (sigmoid(), "binary_cross_entropy"): "sigmoid_cross_entropy",
    (softmax(), "categorical_cross_entropy"): "softmax_cross_entropy",
    (softmax(), "kl_divergence"): "softmax_kl_divergence",
}
_ALWAYS_SAID = ("kind", "over_samples", "over_outputs", "scale", "l2", "l2_on_bias")


@jax.tree_util.register_static
@dataclass(frozen=True)
class Loss:
    """A loss with its options, scale, reductions and penalties: a frozen value that passes through `jit` as static.

    The value is  scale * over_samples(over_outputs(term)) + l2 * (1/2) sum(w^2) + l1 * sum |w|.  With sample weights s
    (n,), the sum over samples is sum_i s_i term_i and the mean is that over sum_i s_i.

    Attributes:
        kind: a key of `KINDS`.
        over_samples: "sum"; or "mean": over the sum of the weights, which is n, or that of the samples' weights, or
            with `class_weights` that of the weights of the samples' classes (as PyTorch), or of the products of both;
            or "batch_mean": over the number of samples, whatever the weights are (as Keras). Samples of weight 0, and
            ignored ones, do not count in either.
        over_outputs: "sum" or "mean" over the K columns.
        scale: factor of the data term, not of the penalties.
        l2: weight decay coefficient; never divided by n.
        l2_on_bias: whether the penalties, l2 and l1, cover the biases too.
        l1: coefficient of sum |w|, whose derivative is sign(w), and 0 at 0; never divided by n.
        delta: of huber: where the parabola ends, above 0.
        gamma: of the focal losses: exponent of the modulating factor, at least 0.
        alpha: of sigmoid_focal: weight of the positive class, 1 - alpha that of the negative one; None: no weights.
        pos_weight: of the binary cross-entropies: factor of the part of the positive class, one number or one for each
            output, not negative.
        label_smoothing: s from 0 to 1: targets t become (1 - s) t + s / K, of single bits (1 - s) t + s / 2.
        class_weights: of losses over classes: factors (K,) of the outputs' terms, not negative, not all 0.
        ignore_index: of losses over classes: the label of samples that do not count. In targets (n, K) their rows are
            all 0.
        epsilon: of the losses of probabilities: what is added inside the logarithm, log(p + epsilon), at least 0. The
            gradient is exactly that of this function, so loss and activation are not fused.
        reduction: refused with what it is called here.

    Raises:
        TypeError: for parameters of the wrong type.
        ValueError: for an unknown kind or reduction, an option that the kind does not have, numbers out of range.

    Example:
        >>> Loss("squared_error", over_samples="mean", scale=0.5).kind
        'squared_error'
        >>> Loss("softmax_cross_entropy", class_weights=[1.0, 2.0, 0.5]).class_weights
        (1.0, 2.0, 0.5)
    """

    kind: str
    over_samples: str = "sum"
    over_outputs: str = "sum"
    scale: float = 1.0
    l2: float = 0.0
    l2_on_bias: bool = False
    l1: float = 0.0
    delta: float = 1.0
    gamma: float = 2.0
    alpha: float | None = None
    pos_weight: float | Sequence[float] = 1.0
    label_smoothing: float = 0.0
    class_weights: Sequence[float] | None = None
    ignore_index: int | None = None
    epsilon: float = 0.0
    reduction: InitVar[str | None] = field(default=None, kw_only=True, repr=False)

    def __post_init__(self, reduction: str | None) -> None:
        if reduction is not None:
            raise TypeError(
                f"expected over_samples and over_outputs, got reduction={reduction!r}: 'mean' of numbers is"
                " over_samples='mean', over_outputs='mean', that of classes over_samples='mean'; 'sum' is the default"
            )
        known_kind(self.kind)
        known_name("reduction over samples", self.over_samples, REDUCTIONS)
        known_name("reduction over outputs", self.over_outputs, REDUCTIONS[:2])
        for name in ("scale", "l2", "l1", "delta", "gamma", "label_smoothing", "epsilon"):
            object.__setattr__(self, name, finite_float(name, getattr(self, name)))
        if not isinstance(self.l2_on_bias, bool):
            raise TypeError(f"expected l2_on_bias to be True or False, got {self.l2_on_bias!r}")
        for name in ("l2", "l1", "gamma", "epsilon"):
            if getattr(self, name) < 0:
                raise ValueError(f"expected {name} to be at least 0, got {getattr(self, name)}")
        self._check_options()
        for option, value in self.as_fields().items():
            if option in OPTIONS and self.kind not in OPTIONS[option]:
                raise ValueError(
                    f"expected no {option} with {self.kind}, got {value!r}: it belongs to {', '.join(OPTIONS[option])}"
                )

    def _check_options(self) -> None:
        """Refuses values out of range, and makes tuples of sequences."""
        if self.delta <= 0:
            raise ValueError(f"expected delta to be above 0, got {self.delta}")
        if not 0 <= self.label_smoothing <= 1:
            raise ValueError(f"expected label_smoothing to be from 0 to 1, got {self.label_smoothing}")
        if self.alpha is not None:
            object.__setattr__(self, "alpha", finite_float("alpha", self.alpha))
            if not 0 <= self.alpha <= 1:
                raise ValueError(f"expected alpha to be from 0 to 1, or None for no weights, got {self.alpha}")
        if self.ignore_index is not None:
            if isinstance(self.ignore_index, bool) or not isinstance(self.ignore_index, int | np.integer):
                raise TypeError(f"expected ignore_index to be an integer or None, got {self.ignore_index!r}")
            object.__setattr__(self, "ignore_index", int(self.ignore_index))
        if self.class_weights is not None:
            object.__setattr__(self, "class_weights", factors_of("class_weights", self.class_weights))
        several = isinstance(self.pos_weight, Sequence | np.ndarray) and np.ndim(self.pos_weight) > 0
        one = factors_of("pos_weight", self.pos_weight if several else [self.pos_weight])
        object.__setattr__(self, "pos_weight", one if several else one[0])

    def as_fields(self) -> dict[str, Any]:
        """Its fields by name, those that not every loss has only where they differ from their defaults."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name in _ALWAYS_SAID or getattr(self, field.name) != field.default
        }

    def __repr__(self) -> str:
        return f"Loss({', '.join(f'{name}={value!r}' for name, value in self.as_fields().items())})"

    def of_kind(self, kind: str) -> "Loss":
        """The loss of another kind with the same scale, reductions, penalties, and those options that it has."""
        kept = {name: value for name, value in self.as_fields().items() if name not in OPTIONS or kind in OPTIONS[name]}
        return Loss(**(kept | {"kind": kind}))

    def value_and_cotangent(
        self, outputs: ArrayLike, targets: ArrayLike, sample_weights: ArrayLike | None = None
    ) -> tuple[Array, Array]:
        """The data term of the loss, and its derivative with respect to the outputs.

        Args:
            outputs: (n, K) floats: the network's outputs, or the logits for the losses of logits.
            targets: (n, K), the same dtype; or class labels, integers (n,), for losses over classes, and for those of
                single bits with one output.
            sample_weights: (n,), the same dtype, not negative and not all 0; None means 1 for every sample. A sample of
                weight 0 contributes nothing, not even NaN; while tracing, only such samples give value 0.

        Returns:
            The value, a scalar (float32 for 16-bit outputs), and ct_outputs (n, K) in the dtype of the outputs.

        Raises:
            TypeError: for arrays that hold no floats, or differing dtypes.
            ValueError: for shapes that do not match, labels out of range, an empty batch, or weights that are negative,
                not finite, all 0.
        """
        return reduced(self, *checked_arguments(self, outputs, targets, sample_weights))

    def value(self, outputs: ArrayLike, targets: ArrayLike, sample_weights: ArrayLike | None = None) -> Array:
        """The data term of the loss; arguments and errors as in `value_and_cotangent`."""
        return self.value_and_cotangent(outputs, targets, sample_weights)[0]

    def cotangent(self, outputs: ArrayLike, targets: ArrayLike, sample_weights: ArrayLike | None = None) -> Array:
        """ct_outputs (n, K); arguments and errors as in `value_and_cotangent`."""
        return self.value_and_cotangent(outputs, targets, sample_weights)[1]

    def cotangent_tangent(
        self,
        outputs: ArrayLike,
        targets: ArrayLike,
        tangent_outputs: ArrayLike,
        sample_weights: ArrayLike | None = None,
    ) -> Array:
        """How ct_outputs moves with the outputs: the product of the data term's Hessian and a tangent of the outputs.

        Args:
            outputs, targets, sample_weights: as in `value_and_cotangent`.
            tangent_outputs: (n, K), of the outputs' dtype.

        Returns:
            (n, K), in the dtype of the outputs. At a kink, where the derivative jumps, it is 0.

        Raises:
            TypeError, ValueError: as in `value_and_cotangent`.
        """
        outputs, targets, weights = checked_arguments(self, outputs, targets, sample_weights)
        tangent = floating_array("tangent_outputs", tangent_outputs)
        if tangent.shape != outputs.shape:
            raise ValueError(f"expected tangent_outputs of the outputs' shape {outputs.shape}, got {tangent.shape}")
        if tangent.dtype != outputs.dtype:
            raise TypeError(f"expected tangent_outputs of the outputs' dtype {outputs.dtype}, got {tangent.dtype}")
        return _moved(self, outputs, targets, weights, tangent)

    def targets_of(self, what: str, targets: ArrayLike, outputs: int, dtype: Any) -> Array:
        """Targets as an array of floats, integer class labels (n,) turned into rows; shapes of others are not checked.

        Raises:
            TypeError: for arrays that hold neither floats nor labels.
            ValueError: for labels that are out of range, or where the loss takes none.
        """
        given: Any = targets if isinstance(targets, jax.Array) else as_array(targets)
        if given is None or not is_labels(given):
            return floating_array(what, targets)
        return jnp.asarray(targets_of_labels(KINDS[self.kind].targets, given, outputs, self.ignore_index, dtype))

    def terms(self, outputs: EitherArray, targets: EitherArray) -> tuple[EitherArray, EitherArray]:
        """The term of every element, and the derivative of the row's sum by every output, both (n, K), without factors.

        Args:
            outputs: (n, K), in the dtype that is computed in.
            targets: (n, K), as given; of the same library and dtype.
        """
        return KINDS[self.kind].term(outputs, self.effective_targets(targets), **self._parameters)

    @property
    def _parameters(self) -> dict[str, Any]:
        """The fields that the functions of its kind take."""
        return {name: getattr(self, name) for name in KINDS[self.kind].parameters}

    def effective_targets(self, targets: EitherArray) -> EitherArray:
        """Targets (n, K) with label smoothing and class weights in them; rows of ignored samples stay 0."""
        self.require_outputs(targets.shape[1])
        xp = namespace(targets)
        if self.label_smoothing:
            share = 0.5 if KINDS[self.kind].targets == "bits" else 1 / targets.shape[1]
            smooth = (1 - self.label_smoothing) * targets + self.label_smoothing * share
            counted = self.counted(targets)
            targets = smooth if counted is None else xp.where(counted[:, None], smooth, xp.zeros_like(smooth))
        if self.class_weights is not None:
            targets = targets * xp.asarray(self.class_weights, targets.dtype)[None, :]
        return targets

    def counted(self, targets: Any) -> Any:
        """Which samples count, (n,) booleans: all but the ignored ones; None if none can be ignored."""
        return None if self.ignore_index is None else (targets != 0).any(axis=1)

    def coefficients(self, targets: Any, weights: Any, dtype: Any, xp: Any = jnp) -> Any:
        """What every term is multiplied by, as (n, 1): scale, divisors, sample weights; 0 for samples that are ignored.

        Args:
            targets: (n, K), as given; n may be symbolic.
            weights: of the samples (n,), or None.
            dtype: that is computed in.
            xp: the library of the arrays.
        """
        samples, outputs = targets.shape
        divisor = outputs if self.over_outputs == "mean" else 1
        counted = self.counted(targets)
        by_class = self.class_weights is not None and self.over_samples == "mean"
        if weights is None and counted is None and not by_class:
            divisor = divisor * (1 if self.over_samples == "sum" else samples)
            return xp.full((samples, 1), self.scale / divisor, dtype)
        weights = xp.ones((samples,), dtype) if weights is None else weights.astype(dtype)
        weights = weights if counted is None else xp.where(counted, weights, xp.zeros_like(weights))
        if self.over_samples == "batch_mean":
            total = xp.sum(weights != 0).astype(dtype)
        elif by_class:
            total = xp.sum(weights * (targets.astype(dtype) @ xp.asarray(self.class_weights, dtype)))
        else:
            total = xp.sum(weights) if self.over_samples == "mean" else xp.ones((), dtype)
        # a batch that holds only samples of weight 0 has value 0, not 0/0
        return (self.scale / divisor * (weights / xp.where(total == 0, 1, total)))[:, None]

    def penalty(self, params: Iterable[tuple[Any, Any]]) -> Any:
        """l2 * (1/2) sum(w^2) + l1 * sum |w| over the weights, and the biases if `l2_on_bias`; 0.0 without a penalty.

        Args:
            params: (weights, bias) per layer.
        """
        return penalty_value(self, jax.tree.map(jnp.asarray, tuple(map(tuple, params)))) if self.penalises else 0.0

    @property
    def penalises(self) -> bool:
        """Whether there is a penalty on the parameters."""
        return self.l2 != 0 or self.l1 != 0

    def penalty_gradient(self, leaf: Any) -> Any:
        """l2 * w + l1 * sign(w) of an array that the penalty covers; sign(0) is 0. In NumPy or JAX, in its dtype."""
        dtype = leaf.dtype.type
        decay = dtype(self.l2) * leaf
        return decay + dtype(self.l1) * namespace(leaf).sign(leaf) if self.l1 else decay

    def add_penalty_gradient(self, ct_weights: Array, ct_bias: Array | None, weights: Array, bias: Array | None) -> Any:
        """(ct_weights, ct_bias) of one layer with the gradient of the penalties added, in their own dtype."""
        if not self.penalises:
            return ct_weights, ct_bias
        penalised = self.penalised(weights, bias)
        return tuple(
            ct if ct is None or leaf is None else _add_penalty(self, ct, leaf)
            for ct, leaf in zip((ct_weights, ct_bias), penalised, strict=True)
        )

    def penalised(self, weights: Any, bias: Any) -> tuple[Any, Any]:
        """The parameters of a layer that the penalties cover; None for those that they do not."""
        return weights, bias if self.l2_on_bias else None

    def on_logits(self, activation: Activation) -> "Loss | None":
        """The equal loss of the pre-activations of an output layer with `activation`, or None if there is none.

        With an `epsilon` there is none: nothing cancels then.
        """
        kind = None if self.epsilon else _ON_LOGITS.get((activation, self.kind))
        return None if kind is None else replace(self, kind=kind)

    def require_admissible(self, activation: Activation) -> None:
        """Raises ValueError if this loss cannot follow an output layer with `activation`, with the reason."""
        if KINDS[self.kind].of_probabilities and not activation.probabilities:
            of_logits = (
                "softmax_kl_divergence"
                if self.kind == "kl_divergence"
                else ("sigmoid_cross_entropy or softmax_cross_entropy")
            )
            raise ValueError(
                f"{self.kind} takes the logarithm of the outputs, so it needs probabilities: expected an output layer"
                f" with sigmoid or softmax, got {activation.name}; change the activation, or use"
                f" {of_logits}, which take logits"
            )

    def require_targets(self, targets: np.ndarray) -> None:
        """Raises ValueError for targets (n, K) that are none for this loss, or of which it has not enough weights."""
        self.require_outputs(targets.shape[1])
        wanted = KINDS[self.kind].targets
        if wanted == "probabilities" and (targets < 0).any():
            raise ValueError(f"expected targets of {self.kind} to be probabilities, got {targets.min()}")
        if wanted in ("bits", "one_hot") and (targets == -1).any() and (np.abs(targets) == 1).all():
            raise ValueError(f"expected targets of {self.kind} from 0 to 1, got -1 and 1; make them (targets + 1) / 2")

    def require_outputs(self, outputs: int) -> None:
        """Raises ValueError unless there are as many weights of classes or of positive parts as outputs."""
        for name in ("class_weights", "pos_weight"):
            given = getattr(self, name)
            if isinstance(given, tuple) and len(given) != outputs:
                raise ValueError(f"expected {name} for {outputs} outputs, got {len(given)} numbers")


def reduced(
    loss: Loss, outputs: EitherArray, targets: EitherArray, weights: EitherArray | None
) -> tuple[Any, EitherArray]:
    """`Loss.value_and_cotangent` of arrays (n, K), (n, K) and (n,) that fit, all of JAX or all of NumPy."""
    work, xp = working_dtype(outputs.dtype), namespace(outputs)
    targets = sharded_as(targets.astype(work, copy=False), outputs)
    terms, derivatives = loss.terms(outputs.astype(work, copy=False), targets)
    coefficients = loss.coefficients(targets, weights, work, xp)
    terms, derivatives = _of_counted(loss, targets, weights, terms, derivatives)
    return xp.sum(coefficients * terms), (coefficients * derivatives).astype(outputs.dtype)


def _of_counted(
    loss: Loss, targets: EitherArray, weights: EitherArray | None, *arrays: EitherArray
) -> list[EitherArray]:
    """Arrays (n, K) with 0 for the samples that do not count, whatever they hold."""
    counted = loss.counted(targets)
    if weights is not None:
        counted = weights != 0 if counted is None else counted & (weights != 0)
    if counted is None:
        return list(arrays)
    xp = namespace(targets)
    return [xp.where(counted[:, None], array, xp.zeros_like(array)) for array in arrays]


def _moved(loss: Loss, outputs: Array, targets: Array, weights: Array | None, tangent: Array) -> Array:
    """`Loss.cotangent_tangent` of arrays that fit."""
    work = working_dtype(outputs.dtype)
    targets = sharded_as(targets.astype(work), outputs)
    seen = outputs.astype(work), loss.effective_targets(targets), tangent.astype(work)
    moved = KINDS[loss.kind].second(*seen, **loss._parameters)
    [moved] = _of_counted(loss, targets, weights, moved)
    return (loss.coefficients(targets, weights, work) * moved).astype(outputs.dtype)


def penalty_value(loss: Loss, params: Iterable[tuple[Any, Any]]) -> Any:
    """`Loss.penalty` of parameters that are all of JAX or all of NumPy."""
    if not loss.penalises:
        return 0.0
    leaves = [leaf for layer in params for leaf in loss.penalised(*layer) if leaf is not None]
    xp = namespace(leaves[0])
    wide = [leaf.astype(working_dtype(leaf.dtype)) for leaf in leaves]
    squares = [xp.sum(xp.square(leaf)) for leaf in wide] if loss.l2 else [0.0]
    value = 0.5 * loss.l2 * sum(squares[1:], squares[0])
    if loss.l1:
        sizes = [xp.sum(leaf * xp.sign(leaf)) for leaf in wide]  # |w|, whose automatic derivative at 0 is 0 too
        value = value + loss.l1 * sum(sizes[1:], sizes[0])
    return value


def _add_penalty(loss: Loss, ct: Array, leaf: Array) -> Array:
    """ct plus the gradient of the penalties, rounded once to the dtype of ct."""
    work = working_dtype(ct.dtype)
    wide = leaf.astype(work)
    total = ct.astype(work) + loss.l2 * wide if loss.l2 else ct.astype(work)
    return (total + loss.l1 * namespace(wide).sign(wide) if loss.l1 else total).astype(ct.dtype)
