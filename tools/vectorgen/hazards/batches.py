"""Hazards of batches and of what surrounds a pass: sample weights, penalties, bare cotangents, update steps."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from functional_mlp.losses import Loss
from functional_mlp.network import Network
from tools.vectorgen.hazards.networks import ENDS, SQUARED, short
from tools.vectorgen.hazards.recipes import ALL, WIDE, Change, Drawn, Numbers, Recipe, inputs, targets, weighted

MEAN = Loss("squared_error", over_samples="mean")
SMALL = Network((2, 3, 2), ("tanh", "identity"))


def batches() -> Iterator[Recipe]:
    """Weights of samples, left-over batches, equal samples, many samples."""
    of_samples = {
        "random": ("Weights from 0.25 to 2.", lambda numbers, n: numbers.uniform((n,), 0.25, 2)),
        "some-zero": ("Every other sample weighs nothing.", lambda numbers, n: np.resize([1.5, 0.0], n)),
        "one": ("One sample weighs something.", lambda numbers, n: np.eye(n)[2] * 0.75),
        "far-apart": ("Weights from 1/1024 to 1024.", lambda numbers, n: np.resize([2.0**-10, 1.0, 2.0**10], n)),
        "equal": ("Every sample weighs 2.", lambda numbers, n: np.full(n, 2.0)),
    }
    for name, (comment, make) in of_samples.items():
        for loss in (SQUARED, MEAN):
            slug, flags = f"weights-{name}-{loss.over_samples}", ("SampleWeights",)
            comment_ = f"{comment} {loss.over_samples} over samples."
            yield Recipe("batches", slug, comment_, flags, SMALL, loss, 5, weighted(make))
    for kind, last in ENDS.items():
        network, loss = Network((2, 3, 3), ("tanh", last)), Loss(kind, "mean", "mean", l2=0.125)
        comment = f"{kind}, weights, means and a penalty."
        change = weighted(of_samples["random"][1])
        yield Recipe("batches", f"weights-{short(kind)}", comment, ("SampleWeights",), network, loss, 5, change)
    for count, word in ((8, "full"), (3, "left-over"), (1, "last-one")):
        for loss in (MEAN, Loss("squared_error", "mean", l2=0.125)):
            slug = f"batch-{word}{'-l2' if loss.l2 else ''}"
            comment = f"Of 12 samples in batches of 8: a batch of {count}."
            alone = ("SingleSample",) if count == 1 else ()
            yield Recipe("batches", slug, comment, ("PartialBatch", *alone), SMALL, loss, count)
    for loss in (SQUARED, MEAN):
        slug, comment = f"equal-samples-{loss.over_samples}", "Six times the same sample."
        yield Recipe("batches", slug, comment, ("RepeatedSamples",), SMALL, loss, 6, _repeated)
    network, loss = Network((2, 4, 3), ("relu", "softmax")), Loss("categorical_cross_entropy", over_samples="mean")
    sorted_ = targets(lambda numbers, shape: np.eye(shape[1])[np.arange(shape[0]) * shape[1] // shape[0]])
    comment = "Samples sorted by class."
    yield Recipe("batches", "sorted", comment, ("ManySamples",), network, loss, 36, sorted_)
    for count, precisions in ((65, (*WIDE, "float16")), (257, WIDE)):
        comment = f"{count} samples with equal targets: every sum grows steadily."
        flags = ("ManySamples",)
        slug = f"many-{count}"
        network, loss = Network((2, 2), "sigmoid"), Loss("squared_error")
        yield Recipe("batches", slug, comment, flags, network, loss, count, _steady, precisions=precisions)


def _repeated(numbers: Numbers, drawn: Drawn) -> Drawn:
    first = np.zeros(len(drawn.inputs), int)
    return drawn._replace(inputs=drawn.inputs[first], end=drawn.end[first])


def _steady(numbers: Numbers, drawn: Drawn) -> Drawn:
    """Positive inputs, targets beyond every output: all terms have one sign."""
    n = len(drawn.inputs)
    return drawn._replace(inputs=numbers.uniform((n, 2), 0.5, 1.5), end=np.full((n, 2), 1.25))


def regulariser() -> Iterator[Recipe]:
    """Penalties, beside every reduction."""
    settings: dict[str, dict[str, Any]] = {
        "plain": {},
        "on-bias": {"l2_on_bias": True},
        "mean": {"over_samples": "mean"},
        "mean-on-bias": {"over_samples": "mean", "over_outputs": "mean", "l2_on_bias": True},
        "scaled": {"scale": 0.25},
        "scaled-mean": {"scale": 0.25, "over_samples": "mean"},
    }
    for name, more in settings.items():
        comment = f"A penalty of 1/8: {', '.join(f'{key} {value}' for key, value in more.items()) or 'plain'}."
        loss = Loss("squared_error", l2=0.125, **more)
        yield Recipe("regulariser", name, comment, ("Regulariser",), SMALL, loss, 5)
    for kind in ("binary_cross_entropy", "softmax_cross_entropy"):
        network, loss = Network((2, 3, 3), ("relu", ENDS[kind])), Loss(kind, "mean", l2=0.25, l2_on_bias=True)
        yield Recipe("regulariser", short(kind), f"A penalty of 1/4 with {kind}.", ("Regulariser",), network, loss)
    loss = Loss("squared_error", l2=2.0)
    yield Recipe("regulariser", "strong", "A penalty of 2.", ("Regulariser",), SMALL, loss, precisions=ALL)
    loss = Loss("squared_error", l2=0.125, l2_on_bias=True)
    yield Recipe(
        *("regulariser", "no-bias", "A penalty on biases, where the first layer has none.", ("Regulariser", "NoBias")),
        *(SMALL, loss),
        change=lambda numbers, drawn: drawn._replace(params=[(drawn.params[0][0], None), drawn.params[1]]),
    )
    yield Recipe(
        *("regulariser", "alone", "Outputs fit: only the penalty is left.", ("Regulariser", "PerfectFit")),
        *(Network((2, 2), "identity"), Loss("squared_error", l2=0.125), 3, _fitted),
    )


def _fitted(numbers: Numbers, drawn: Drawn) -> Drawn:
    rows, weights = (numbers.integers(part.shape, -4, 4) / 4 for part in (drawn.inputs, drawn.params[0][0]))
    bias = numbers.integers((2,), -4, 4) / 4
    return drawn.with_layer(0, weights, bias)._replace(inputs=rows, end=rows @ weights + bias)  # exact


def bare() -> Iterator[Recipe]:
    """Vector-Jacobian products: a cotangent comes in, and no loss is there."""
    ends = {
        "random": ("A cotangent of either sign.", None),
        "ones": (
            "A cotangent of ones, as a sum of the outputs has (of a softmax: 1, so that the gradient is 0).",
            lambda numbers, shape: np.ones(shape),
        ),
        "one-entry": ("A single entry of the cotangent is not 0: one row of a Jacobian.", _one_entry),
        "large": ("A cotangent of about 1000.", lambda numbers, shape: numbers.uniform(shape, -1000, 1000)),
    }
    pairs = (("tanh", "identity"), ("relu", "softmax"), ("gelu", "sigmoid"))
    for (name, (comment, make)), units in ((end, units) for end in ends.items() for units in pairs):
        change = None if make is None else targets(make)
        slug = f"{name}-{'-'.join(units)}"
        precisions = (*WIDE, "float16") if name == "random" else WIDE
        network = Network((3, 4, 3), units)
        yield Recipe("vjp", slug, comment, ("BareCotangent",), network, None, 3, change, precisions)
    comment = "A cotangent of zeros: so is the gradient."
    zeros = targets(lambda numbers, shape: np.zeros(shape))
    yield Recipe("vjp", "zeros", comment, ("BareCotangent",), Network((3, 4, 2), ("tanh", "identity")), None, 3, zeros)


def _one_entry(numbers: Numbers, shape: tuple[int, int]) -> Any:
    entry = np.zeros(shape)
    entry[1, 2] = 1
    return entry


def updates() -> Iterator[Recipe]:
    """One step of gradient descent."""

    def of(slug: str, comment: str, network: Network, loss: Loss, rate: float, change: Change | None = None) -> Recipe:
        return Recipe("updates", slug, comment, ("Update",), network, loss, 4, change, learning_rate=rate)

    deep = Network((3, 4, 4, 2), ("tanh", "sigmoid", "identity"))
    for rate in (0.5, 0.125):
        yield of(f"deep-{rate:g}", f"A step of rate {rate:g} through two hidden layers.", deep, MEAN, rate)
    classifier = Network((3, 4, 3), ("relu", "softmax"))
    cross_entropy = Loss("categorical_cross_entropy", over_samples="mean")
    yield of("classifier", "A step of a classifier.", classifier, cross_entropy, 0.25)
    yield of("penalty", "A step with a penalty: weights shrink.", SMALL, Loss("squared_error", "mean", l2=0.25), 0.25)
    yield of("sum", "A step down a loss that sums.", SMALL, SQUARED, 2.0**-5)
    constant = inputs(lambda numbers, shape: np.zeros(shape))
    yield of("zero-inputs", "Inputs of 0: the first weights stay, biases move.", SMALL, MEAN, 0.5, constant)
