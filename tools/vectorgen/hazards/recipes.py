"""How a conformance vector is made: a network, a loss, and numbers that are the same on every machine.

Nothing here depends on a mathematical library: numbers are 53 bits of PCG64's raw stream, which NumPy keeps for good,
times powers of two, rounded to the precision of the vector. Transcendental functions differ in their last digit from
machine to machine, and with them everything that NumPy draws from another distribution.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import DTYPES
from functional_mlp.losses import KINDS, Loss
from functional_mlp.network import Network
from functional_mlp.oracle import Case
from functional_mlp.update_rules import UpdateRule

Array = np.ndarray[Any, np.dtype[np.float64]]
WIDE = ("float64", "float32")
ALL = ("float64", "float32", "bfloat16", "float16")


class UnfitError(ValueError):
    """These numbers make no vector of their recipe."""


class Numbers:
    """A stream of numbers of one vector.

    Args:
        name: the vector's id, which chooses the stream.
        attempt: another stream for the same id.
        precision: a key of `DTYPES`, that every number is rounded to.
    """

    def __init__(self, name: str, attempt: int, precision: str) -> None:
        seed = hashlib.sha256(f"{name} {attempt}".encode()).digest()[:16]
        self._bits = np.random.PCG64(int.from_bytes(seed, "big"))
        self.precision = precision

    def rounded(self, values: Any) -> Array:
        """The nearest numbers that the precision has, as float64."""
        return np.asarray(values, np.float64).astype(DTYPES[self.precision]).astype(np.float64)

    def uniform(self, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0) -> Array:
        """Uniform in [low, high)."""
        count = int(np.prod(shape))
        raw = self._bits.random_raw(count) >> np.uint64(11)
        return self.rounded(low + (high - low) * (raw.astype(np.float64) * 2.0**-53).reshape(shape))

    def integers(self, shape: tuple[int, ...], low: int, high: int) -> Array:
        """Whole numbers from `low` to `high`, both included."""
        raw = self._bits.random_raw(int(np.prod(shape))) % np.uint64(high - low + 1)
        return raw.astype(np.float64).reshape(shape) + low


class Drawn(NamedTuple):
    """The numbers of a case.

    Attributes:
        params: (weights (fan_in, fan_out), bias (fan_out,) or None) per layer.
        inputs: (n, n_0).
        end: (n, n_L): the targets, or without a loss the cotangent of the outputs.
        sample_weights: (n,) or None.
    """

    params: list[tuple[Array, Array | None]]
    inputs: Array
    end: Array
    sample_weights: Array | None = None

    def with_layer(self, layer: int, weights: Any = None, bias: Any = None) -> "Drawn":
        """With other weights or another bias in one layer."""
        params = list(self.params)
        old_weights, old_bias = params[layer]
        params[layer] = (old_weights if weights is None else weights, old_bias if bias is None else bias)
        return self._replace(params=params)


Change = Callable[[Numbers, Drawn], Drawn]


class Recipe(NamedTuple):
    """One vector in one or several precisions.

    Attributes:
        group, slug: the id is group/slug/precision.
        comment: what is special, in a sentence.
        flags: names of hazards, see `tools/vectorgen/hazards/flags.py`.
        network, loss: of the case; no loss for a bare cotangent.
        samples: n.
        change: what is done to moderate random numbers.
        precisions: those in which there is such a vector.
        learning_rate: if the vector tells the parameters after a step, too.
        keeps_from_kinks: whether units must keep so far from 0 that rounding cannot move them across.
        source: of a published example: title, url, and what is printed there.
        rule, steps: if the vector tells the parameters after some steps of a rule.
    """

    group: str
    slug: str
    comment: str
    flags: tuple[str, ...]
    network: Network
    loss: Loss | None
    samples: int = 4
    change: Change | None = None
    precisions: tuple[str, ...] = WIDE
    learning_rate: float | None = None
    keeps_from_kinks: bool = True
    source: dict[str, Any] | None = None
    rule: UpdateRule | None = None
    steps: int = 1

    def id(self, precision: str) -> str:
        """The vector's name."""
        return f"{self.group}/{self.slug}/{precision}"

    def case(self, precision: str, attempt: int = 0) -> Case:
        """The case, of the numbers of one attempt."""
        name = self.id(precision)
        numbers = Numbers(name, attempt, precision)
        drawn = moderate(numbers, self.network, self.loss, self.samples)
        drawn = drawn if self.change is None else self.change(numbers, drawn)
        end: dict[str, Any] = {"ct_outputs" if self.loss is None else "targets": drawn.end}
        return Case(
            *(self.network, self.loss, drawn.params, drawn.inputs),
            sample_weights=drawn.sample_weights,
            name=name,
            dtype=precision,
            **end,
        )


def moderate(numbers: Numbers, network: Network, loss: Loss | None, samples: int) -> Drawn:
    """Numbers of order 1: weights of variance 1/fan_in, and targets as the loss wants them."""
    params: list[tuple[Array, Array | None]] = []
    for fan_in, fan_out in network.shapes:
        weights = numbers.rounded(numbers.uniform((fan_in, fan_out)) * np.sqrt(3 / fan_in))
        params.append((weights, numbers.uniform((fan_out,), -0.5, 0.5)))
    inputs = numbers.uniform((samples, network.sizes[0]), -1.75, 1.75)
    return Drawn(params, inputs, _end(numbers, loss, (samples, network.sizes[-1])))


def _end(numbers: Numbers, loss: Loss | None, shape: tuple[int, int]) -> Array:
    kind = "real" if loss is None else KINDS[loss.kind].targets
    if kind == "real":
        return numbers.uniform(shape, -1.5, 1.5)
    if kind == "bits":
        return numbers.integers(shape, 0, 1)
    if kind == "signs":
        return 2 * numbers.integers(shape, 0, 1) - 1
    if kind == "probabilities":  # 1/2, 1/4, …, and the last one twice, beginning anywhere
        halves = 0.5 ** np.minimum(np.arange(1, shape[1] + 1), shape[1] - 1)
        return np.array([np.roll(halves, int(by)) for by in numbers.integers(shape[:1], 0, shape[1] - 1)])
    return np.eye(shape[1])[numbers.integers(shape[:1], 0, shape[1] - 1).astype(int)]


def without_bias(*layers: int) -> Change:
    """Takes the bias away from these layers, or from all."""

    def change(numbers: Numbers, drawn: Drawn) -> Drawn:
        bare = layers or range(len(drawn.params))
        return drawn._replace(params=[(w, None if i in bare else b) for i, (w, b) in enumerate(drawn.params)])

    return change


def biased(layer: int, biases: Sequence[float]) -> Change:
    """Moves the pre-activations of one layer, unit by unit (the list is repeated as often as needed)."""

    def change(numbers: Numbers, drawn: Drawn) -> Drawn:
        bias = np.resize(np.asarray(biases, np.float64), drawn.params[layer][0].shape[1])
        return drawn.with_layer(layer, bias=numbers.rounded(bias))

    return change


def followed(*changes: Change) -> Change:
    """One change after the other."""

    def change(numbers: Numbers, drawn: Drawn) -> Drawn:
        for each in changes:
            drawn = each(numbers, drawn)
        return drawn

    return change


def _other(field: str, make: Callable[[Numbers, tuple[int, int]], Any]) -> Change:
    def change(numbers: Numbers, drawn: Drawn) -> Drawn:
        rows, columns = getattr(drawn, field).shape
        made: Any = {field: numbers.rounded(make(numbers, (rows, columns)))}
        return drawn._replace(**made)

    return change


def targets(make: Callable[[Numbers, tuple[int, int]], Any]) -> Change:
    """Other targets, made from the stream and the shape (n, n_L)."""
    return _other("end", make)


def inputs(make: Callable[[Numbers, tuple[int, int]], Any]) -> Change:
    """Other inputs, made from the stream and the shape (n, n_0)."""
    return _other("inputs", make)


def weighted(make: Callable[[Numbers, int], Any]) -> Change:
    """Sample weights, made from the stream and n."""

    def change(numbers: Numbers, drawn: Drawn) -> Drawn:
        return drawn._replace(sample_weights=numbers.rounded(make(numbers, len(drawn.inputs))))

    return change


def logits(rows: Sequence[Sequence[float]]) -> Change:
    """A single layer that hands its inputs on: these rows are the pre-activations."""

    def change(numbers: Numbers, drawn: Drawn) -> Drawn:
        size = drawn.inputs.shape[1]
        params: list[tuple[Array, Array | None]] = [(np.eye(size), np.zeros(size))]
        return drawn._replace(params=params, inputs=numbers.rounded(rows))

    return change
