"""What is computed: networks, data and initial values, the same for every competitor. Nothing is computed here.

All values are float32 numbers, so that every competitor starts from the same ones, whatever it computes in. A problem
also says what of it is checked before it is timed; a training, how it is cut down for those who would take minutes.

Dimensions: n samples, N networks, fan_in, fan_out.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from functional_mlp.experiments.published import circles, himmelblau, moons

Array = NDArray[Any]
Pair = tuple[Array, Array]

CHECKED_UPDATES = 100  # at least so many are made before parameters are compared
CHECKED_NETWORKS = 8  # of a sweep


def product_operations(sizes: Sequence[int], batch_size: int) -> int:
    """Floating-point operations of the matrix products of a forward and backward pass, two per multiplication.

    The first layer has two products, the others three: nobody asks for the cotangent of the inputs.
    """
    first, *later = [fan_in * fan_out for fan_in, fan_out in pairwise(sizes)]
    return 2 * batch_size * (2 * first + 3 * sum(later))


@dataclass(frozen=True, eq=False)
class Training:
    """Plain gradient descent, batch after batch in the order of the data, of one network or of several at once.

    Attributes:
        sizes: of the layers, inputs first.
        activations: of the layers: "relu", "sigmoid" or "softmax".
        loss: "half_squared_error", "binary_cross_entropy" or "categorical_cross_entropy", of activated outputs, summed
            over the outputs.
        over_samples: of a batch, "sum" or "mean".
        learning_rate: of every update.
        batch_size: samples per update; what is left of an epoch is a smaller batch.
        inputs, targets: (n, fan_in of the first layer), (n, fan_out of the last), float32.
        params: initial weights (fan_in, fan_out) and bias (fan_out,) per layer, float32; with several networks
            (N, fan_in, fan_out) and (N, fan_out).
        networks: N, or None where there is one network without that axis.
    """

    sizes: tuple[int, ...]
    activations: tuple[str, ...]
    loss: str
    over_samples: str
    learning_rate: float
    batch_size: int
    inputs: Array
    targets: Array
    params: tuple[Pair, ...]
    networks: int | None = None

    @property
    def kind(self) -> str:
        """What a competitor's function for it is filed under."""
        return "training" if self.networks is None else "sweep"

    @property
    def updates(self) -> int:
        """Updates of one epoch."""
        return math.ceil(len(self.inputs) / self.batch_size)

    @property
    def operations(self) -> int:
        """Floating-point operations of the matrix products of one update of one network."""
        return product_operations(self.sizes, self.batch_size)

    def batches(self) -> Iterator[Pair]:
        """Inputs and targets of each update of an epoch."""
        for start in range(0, len(self.inputs), self.batch_size):
            yield self.inputs[start : start + self.batch_size], self.targets[start : start + self.batch_size]

    def network(self, number: int) -> "Training":
        """The same for one of several networks."""
        return replace(self, params=tuple((w[number], b[number]) for w, b in self.params), networks=None)

    def shortened(self, updates: int) -> Self:
        """The same with an epoch of so many updates, if it has more."""
        samples = updates * self.batch_size
        return replace(self, inputs=self.inputs[:samples], targets=self.targets[:samples])

    def checked(self) -> tuple["Training", int]:
        """What is trained before parameters are compared, and for how many epochs."""
        short = self.shortened(CHECKED_UPDATES)
        return short, math.ceil(CHECKED_UPDATES / short.updates)

    def compared(self) -> tuple[int, ...]:
        """The networks whose parameters are compared, of several."""
        count = self.networks or 1
        return tuple(sorted({round(i) for i in np.linspace(0, count - 1, CHECKED_NETWORKS)}))


@dataclass(frozen=True, eq=False)
class Gradient:
    """Loss and gradient of one batch: all samples of `training`."""

    kind: ClassVar[str] = "gradient"
    training: Training

    def checked(self) -> tuple[Self, int]:
        """The same, once."""
        return self, 1


@dataclass(frozen=True)
class Basins:
    """Gradient descent on Himmelblau's function from a grid of starts.

    Attributes:
        grid: starts per side, over (-6, 6) in x and in y, the upper end left out.
        steps: updates of every start.
        threshold: a start has arrived where f is at most this.
    """

    kind: ClassVar[str] = "basins"
    grid: int
    steps: int = himmelblau.STEPS
    learning_rate: float = himmelblau.LEARNING_RATE
    threshold: float = 1e-6

    def starts(self) -> tuple[Array, Array]:
        """x and y of every start, (grid, grid) float32, x along the last axis."""
        axis = np.linspace(-6, 6, self.grid, endpoint=False).astype(np.float32)
        x, y = np.meshgrid(axis, axis)
        return x, y

    def checked(self) -> tuple["Basins", int]:
        """The same on a smaller grid: the reference takes its time."""
        return replace(self, grid=min(self.grid, 256)), 1


@dataclass(frozen=True)
class Program:
    """A whole process: the moons experiment from starting Python to written files."""

    kind: ClassVar[str] = "process"
    epochs: int

    def checked(self) -> tuple["Program", int]:
        """The same for one epoch, whose training error is compared."""
        return replace(self, epochs=1), 1


@dataclass(frozen=True)
class FirstCall:
    """The first call of the program that trains on the moons, one sample at a time, in a process of its own."""

    kind: ClassVar[str] = "first call"

    def checked(self) -> None:
        """Nothing: its numbers are those of the one-sample workload."""


Problem = Training | Gradient | Basins | Program | FirstCall


# the instances


def float32(*arrays: Array) -> tuple[Array, ...]:
    """The arrays in float32."""
    return tuple(np.asarray(array, np.float32) for array in arrays)


def _float32_params(params: Sequence[Pair]) -> tuple[Pair, ...]:
    return tuple((np.asarray(w, np.float32), np.asarray(b, np.float32)) for w, b in params)


def he_normal(sizes: Sequence[int], seed: int) -> tuple[Pair, ...]:
    """Weights of variance 2 / fan_in, zero biases, float32."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=shape) * np.sqrt(2 / shape[0]) for shape in pairwise(sizes)]
    return _float32_params([(w, np.zeros(w.shape[1])) for w in weights])


def moons_problem(batch_size: int = 1, networks: int | None = None) -> Training:
    """The moons classifier, from one initial value or from those of seeds 0, 1, ….

    A batch of several samples has the mean of their losses, and so many times the learning rate.
    """
    data = moons.data()
    if networks is None:
        params = _float32_params(moons.initial_params(0))
    else:
        each = [moons.initial_params(seed) for seed in range(networks)]
        stacked = [tuple(np.stack(leaves) for leaves in zip(*layer, strict=True)) for layer in zip(*each, strict=True)]
        params = _float32_params(stacked)  # type: ignore[arg-type]
    return Training(
        sizes=moons.SIZES,
        activations=("sigmoid",) * 4,
        loss="half_squared_error",
        over_samples="mean",
        learning_rate=moons.LEARNING_RATE * batch_size,
        batch_size=batch_size,
        inputs=np.asarray(data.train_inputs, np.float32),
        targets=np.asarray(data.train_targets, np.float32),
        params=params,
        networks=networks,
    )


def circles_problem() -> Training:
    """The circles classifier over all samples, the loss summed over them.

    At the published rate and initial values the true gradient switches off every relu within five updates, and there
    would be nothing to compare. So the initial values are those of He, and the rate is one at which it learns.
    """
    inputs, targets = float32(*circles.data())
    return Training(
        sizes=circles.SIZES,
        activations=("relu", "relu", "sigmoid"),
        loss="binary_cross_entropy",
        over_samples="sum",
        learning_rate=1e-4,
        batch_size=len(inputs),
        inputs=inputs,
        targets=targets,
        params=he_normal(circles.SIZES, seed=0),
    )


def wide_problem(batch_size: int = 256, batches: int = 4) -> Training:
    """A classifier of the size that people use for handwritten digits, on random data."""
    sizes = (784, 1024, 1024, 10)
    rng = np.random.default_rng(0)
    samples = batch_size * batches
    labels = rng.integers(sizes[-1], size=samples)
    return Training(
        sizes=sizes,
        activations=("relu", "relu", "softmax"),
        loss="categorical_cross_entropy",
        over_samples="mean",
        learning_rate=0.01,
        batch_size=batch_size,
        inputs=rng.normal(size=(samples, sizes[0])).astype(np.float32),
        targets=np.eye(sizes[-1], dtype=np.float32)[labels],
        params=he_normal(sizes, seed=1),
    )


def small_problem() -> Training:
    """A few updates of a few weights: whether everything runs, not how fast."""
    return replace(moons_problem(), inputs=moons_problem().inputs[:40], targets=moons_problem().targets[:40])
