"""Hazards of the losses and options that came with release 1.1.0."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from functional_mlp.losses import Loss
from functional_mlp.network import Network
from tools.vectorgen.hazards.networks import ENDS, short
from tools.vectorgen.hazards.recipes import (
    WIDE,
    Array,
    Change,
    Drawn,
    Numbers,
    Recipe,
    biased,
    followed,
    targets,
    weighted,
)

BRANCHES: tuple[str, ...] = ("EveryBranch",)
OPTION: tuple[str, ...] = ("LossOption",)
LAST = ENDS | {"kl_divergence": "softmax"}  # the activation before a loss; identity before the others


def _of(
    group: str,
    slug: str,
    comment: str,
    flags: tuple[str, ...],
    loss: Loss,
    change: Change | None = None,
    precisions: tuple[str, ...] = WIDE,
) -> Recipe:
    network = Network((2, 3, 3), ("tanh", LAST.get(loss.kind, "identity")))
    return Recipe(group, slug, comment, flags, network, loss, 4, change, precisions)


def _reduced(group: str, kind: str, flags: tuple[str, ...]) -> Iterator[Recipe]:
    """A loss as a sum, as a mean of everything, and as a mean of weighted samples."""
    own, slug = ("LossAndReduction", *flags), short(kind)
    yield _of(group, f"{slug}-sum", f"{kind}, summed.", own, Loss(kind), precisions=(*WIDE, "float16"))
    comment = f"{kind}, averaged over samples and outputs."
    yield _of(group, f"{slug}-mean", comment, own, Loss(kind, "mean", "mean"))
    comment, loss = f"{kind}, a mean of weighted samples, times 3.", Loss(kind, "mean", scale=3.0)
    yield _of(group, f"{slug}-weighted", comment, (*own, "SampleWeights"), loss, _weights, ("float64",))


def _weights(numbers: Numbers, drawn: Drawn) -> Drawn:
    return weighted(lambda stream, n: stream.uniform((n,), 0.25, 2))(numbers, drawn)


def _apart(size: float) -> Change:
    """Targets of about ±size."""
    return targets(lambda numbers, shape: numbers.uniform(shape) + np.resize([size, -size], shape))


def regression() -> Iterator[Recipe]:
    """Losses of differences: their pieces, and differences of any size."""
    group = "regression"
    for kind in ("absolute_error", "huber", "log_cosh"):
        yield from _reduced(group, kind, () if kind == "log_cosh" else BRANCHES)
        for word, size in (("far", 50.0), ("farthest", 1000.0)):
            slug, comment = f"{short(kind)}-{word}", f"{kind}: differences of about {size:g}."
            yield _of(group, slug, comment, ("Saturation",), Loss(kind), _apart(size))
    for delta in (0.25, 2.0):
        slug, comment = f"huber-delta-{delta:g}", f"huber with its bend at {delta:g}."
        spread = targets(lambda numbers, shape: numbers.uniform(shape, -4, 4))
        yield _of(group, slug, comment, (*BRANCHES, *OPTION), Loss("huber", delta=delta), spread)
    comment = "log_cosh: differences of 2⁻¹², half the square."
    yield _of(group, "log-cosh-near", comment, ("Cancellation",), Loss("log_cosh"), _near_targets)


def _near_targets(numbers: Numbers, drawn: Drawn) -> Drawn:
    """Outputs of 0, and targets 2⁻¹² from them."""
    apart = 2.0**-12 * (2 * numbers.integers(drawn.end.shape, 0, 1) - 1)
    weights, _ = drawn.params[1]
    return drawn.with_layer(1, np.zeros_like(weights), np.zeros(weights.shape[1]))._replace(end=apart)


def classification() -> Iterator[Recipe]:
    """Margins, divergences and focal losses: their pieces, sure outputs on either side, targets of all kinds."""
    group = "classification"
    for kind in ("hinge", "multiclass_hinge"):
        yield from _reduced(group, kind, BRANCHES)
        wide, comment = biased(1, (3.0, -3.0, 0.25)), f"{kind}: margins kept and missed."
        yield _of(group, f"{short(kind)}-wide", comment, BRANCHES, Loss(kind), wide)
    for kind in ("kl_divergence", "softmax_kl_divergence"):
        yield from _reduced(group, kind, ())
        comment = f"{kind}: 0 · ln 0 is 0."
        yield _of(group, f"{short(kind)}-one-hot", comment, ("Ordinary",), Loss(kind), targets(_one_hot))
    for kind in ("sigmoid_focal", "softmax_focal"):
        yield from _reduced(group, kind, OPTION)
        for gamma in (0.5, 1.0, 3.5):
            comment = f"{kind} with gamma {gamma:g}."
            yield _of(group, f"{short(kind)}-gamma-{gamma:g}", comment, OPTION, Loss(kind, gamma=gamma))
        plain, loss = f"{kind} with gamma 0: a cross-entropy.", Loss(kind, gamma=0.0)
        yield _of(group, f"{short(kind)}-gamma-0", plain, OPTION, loss, precisions=("float64",))
    for alpha in (0.25, 1.0):
        comment, loss = f"sigmoid_focal with alpha {alpha:g}.", Loss("sigmoid_focal", alpha=alpha)
        yield _of(group, f"sigmoid-focal-alpha-{alpha:g}", comment, OPTION, loss)
    soft = targets(lambda numbers, shape: numbers.uniform(shape, 0, 1))
    yield _of(group, "sigmoid-focal-soft", "Targets between 0 and 1.", ("SoftTargets",), Loss("sigmoid_focal"), soft)
    for kind in ("kl_divergence", "softmax_kl_divergence", "sigmoid_focal", "softmax_focal"):
        for side, flag in (("right", "Saturation"), ("wrong", "WrongSideSaturation")):
            surest = 40.0 if kind == "softmax_focal" else 200.0  # who divides by p must not divide by 0
            for word, size in (("sure", 12.0), ("surest", surest)):
                sure = followed(biased(1, (size, 0.0, -size)), targets(_on_unit(0 if side == "right" else 2)))
                slug, comment = f"{short(kind)}-{word}-{side}", f"An output that is sure, and {side}."
                yield _of(group, slug, comment, (flag,), Loss(kind), sure)


def _one_hot(numbers: Numbers, shape: tuple[int, int]) -> Array:
    return np.eye(shape[1])[np.arange(shape[0]) % shape[1]]


def _on_unit(unit: int) -> Any:
    return lambda numbers, shape: np.tile(np.eye(shape[1])[unit], (shape[0], 1))


def _ignoring(numbers: Numbers, drawn: Drawn) -> Drawn:
    """The second sample is ignored: its row of targets is all 0."""
    end = drawn.end.copy()
    end[1] = 0
    return drawn._replace(end=end)


def options() -> Iterator[Recipe]:
    """Label smoothing, weights of classes, of the positive class, ignored samples, an ε, batch means, l1."""
    yield from _of_classes()
    for kind in ("binary_cross_entropy", "sigmoid_cross_entropy"):
        for word, weight in (("one", 3.0), ("each", (0.5, 4.0, 1.0))):
            comment = f"{kind}: a weight of the positive class, {'for each output' if word == 'each' else 'the same'}."
            loss = Loss(kind, pos_weight=weight)
            yield _of("options", f"{short(kind)}-positive-{word}", comment, OPTION, loss)
    for kind in ("binary_cross_entropy", "categorical_cross_entropy"):
        for word, epsilon in (("small", 2.0**-20), ("large", 0.125)):
            comment = f"{kind} with ln(p + ε), ε {epsilon:g}: the gradient is that of this function."
            yield _of("options", f"{short(kind)}-epsilon-{word}", comment, OPTION, Loss(kind, epsilon=epsilon))
    yield from _batch_means()
    yield from _absolute_penalties()


def _of_classes() -> Iterator[Recipe]:
    group, classes = "options", (0.5, 2.0, 1.25)
    for kind in ("binary_cross_entropy", "categorical_cross_entropy", "sigmoid_cross_entropy", "softmax_cross_entropy"):
        comment, loss = f"{kind} with labels smoothed by 1/8.", Loss(kind, "mean", label_smoothing=0.125)
        precisions = (*WIDE, "float16") if kind == "softmax_cross_entropy" else WIDE
        yield _of(group, f"{short(kind)}-smoothing", comment, OPTION, loss, precisions=precisions)
    for kind in ("categorical_cross_entropy", "softmax_cross_entropy", "softmax_focal"):
        for over in ("sum", "mean", "batch_mean"):
            slug, comment = f"{short(kind)}-classes-{short(over)}", f"{kind} with weights of classes, {over}."
            flags = (*OPTION, *(("ClassWeightMean",) if over == "mean" else ()))
            yield _of(group, slug, comment, flags, Loss(kind, over, class_weights=classes))
        comment, loss = f"{kind}: a sample of an ignored label, and a mean.", Loss(kind, "mean", ignore_index=-100)
        yield _of(group, f"{short(kind)}-ignored", comment, ("IgnoredSamples",), loss, _ignoring)
    comment = "Smoothing, weights of classes and of samples, and an ignored sample at once."
    flags = (*OPTION, "ClassWeightMean", "IgnoredSamples", "SampleWeights")
    loss = Loss("softmax_cross_entropy", "mean", class_weights=classes, label_smoothing=0.25, ignore_index=-1)
    yield _of(group, "softmax-cross-entropy-everything", comment, flags, loss, followed(_ignoring, _weights))
    comment, loss = (
        "multiclass_hinge: a sample of an ignored label, and a sum.",
        Loss("multiclass_hinge", ignore_index=9),
    )
    yield _of(group, "multiclass-hinge-ignored", comment, ("IgnoredSamples",), loss, _ignoring)


def _batch_means() -> Iterator[Recipe]:
    some_zero = weighted(lambda numbers, n: np.resize([1.5, 0.0, 0.5, 2.0], n))
    weights: dict[str, tuple[str, Change | None]] = {
        "plain": ("No weights: the mean.", None),
        "weighted": ("Weights of samples: it divides by how many there are.", _weights),
        "some-zero": ("A sample of weight 0 does not count.", some_zero),
    }
    for word, (comment, change) in weights.items():
        for kind in ("squared_error", "softmax_cross_entropy"):
            slug = f"batch-mean-{short(kind)}-{word}"
            yield _of("options", slug, comment, ("BatchMean",), Loss(kind, "batch_mean"), change)


def _absolute_penalties() -> Iterator[Recipe]:
    settings: dict[str, dict[str, Any]] = {
        "plain": {},
        "on-bias": {"l2_on_bias": True},
        "mean-scaled": {"over_samples": "mean", "scale": 0.25},
        "both": {"l2": 0.25, "l2_on_bias": True},
    }
    for name, more in settings.items():
        comment = f"A penalty of 1/8 on |w|: {', '.join(f'{key} {value}' for key, value in more.items()) or 'plain'}."
        loss = Loss("squared_error", l1=0.125, **more)
        yield _of("options", f"l1-{name}", comment, ("L1", "Regulariser"), loss)
