"""Networks, losses and data for programs: families that share a network and a loss, and random problems of each.

A family fixes what the oracle compiles for; its problems differ in their parameters and data.
"""

from typing import NamedTuple

import numpy as np

from benchmarks.accuracy.field.elementwise import ELEMENTWISE, KINKED, Array, softmax
from functional_mlp import Loss, Network

ENDS = (  # the output activation and the loss, and how often they are met
    (("identity", "squared_error"), 4),
    (("sigmoid", "squared_error"), 5),
    (("tanh", "squared_error"), 1),
    (("sigmoid", "binary_cross_entropy"), 4),
    (("softmax", "categorical_cross_entropy"), 5),
    (("softmax", "squared_error"), 2),
    (("identity", "softmax_cross_entropy"), 2),
    (("tanh", "softmax_cross_entropy"), 0.5),
    (("identity", "sigmoid_cross_entropy"), 1),
    (("relu", "squared_error"), 0.5),
    (("leaky_relu", "squared_error"), 0.5),
    (("identity", None), 1),
)
HIDDEN = {
    "sigmoid": 6, "tanh": 4, "relu": 7, "leaky_relu": 2.5, "elu": 0.7, "softplus": 0.5, "silu": 0.7, "gelu": 0.7,
    "identity": 0.3, "softmax": 0.3,
}  # fmt: skip
CLASSES = ("categorical_cross_entropy", "softmax_cross_entropy")


class Family(NamedTuple):
    """What some programs have in common.

    Attributes:
        sizes: of the layers, the inputs' first.
        activations: of each layer.
        slope: of leaky units.
        loss: its kind; None for a bare cotangent.
        over_samples, over_outputs, scale, l2, l2_on_bias: as of `Loss`.
        samples: how many.
        dtype: in which the program computes.
        biased: whether layers have biases.
        targets: "real", "unit", "bits", "one" of K, or "soft", which do not sum to 1.
    """

    sizes: tuple[int, ...]
    activations: tuple[str, ...]
    slope: float
    loss: str | None
    over_samples: str
    over_outputs: str
    scale: float
    l2: float
    l2_on_bias: bool
    samples: int
    dtype: str
    biased: bool
    targets: str

    @property
    def layers(self) -> range:
        """Their indices."""
        return range(len(self.activations))

    @property
    def last(self) -> int:
        """The index of the output layer."""
        return len(self.activations) - 1

    @property
    def outputs(self) -> int:
        """How many there are."""
        return self.sizes[-1]

    @property
    def averages(self) -> bool:
        """Whether the loss is a mean over samples."""
        return self.over_samples == "mean"

    @property
    def network(self) -> Network:
        """As the oracle is told."""
        specified = [{"name": name, "slope": self.slope} if name == "leaky_relu" else name for name in self.activations]
        return Network(self.sizes, specified)

    @property
    def declared_loss(self) -> Loss | None:
        """As the oracle is told."""
        if self.loss is None:
            return None
        return Loss(self.loss, self.over_samples, self.over_outputs, self.scale, self.l2, self.l2_on_bias)


class Problem(NamedTuple):
    """Parameters and data: weights (fan_in, fan_out), biases (fan_out,) or None, inputs (n, fan_in), targets (n, K)."""

    family: Family
    weights: tuple[Array, ...]
    biases: tuple[Array | None, ...]
    inputs: Array
    targets: Array


def draw_family(rng: np.random.Generator) -> Family:
    """A random family: 2 to 4 layers of 2 to 7 units, 1 to 9 samples; one in seven has layers all alike."""
    pairs, often = zip(*ENDS, strict=True)
    end, loss = pairs[rng.choice(len(pairs), p=np.array(often) / sum(often))]
    depth = int(rng.choice((2, 3, 4), p=(0.6, 0.3, 0.1)))
    samples = (
        1 if rng.uniform() < 0.12 else int(rng.choice((2, 3, 4, 5, 6, 7, 8, 9), p=_weights(1, 2, 5, 5, 5, 5, 5, 2)))
    )
    if rng.uniform() < 1 / 7:
        alike = samples if samples > 1 and rng.uniform() < 0.4 else rng.choice([k for k in range(2, 6) if k != samples])
        sizes = [int(alike)] * (depth + 1)
    else:
        sizes = [int(k) for k in rng.permutation([k for k in range(2, 8) if k != samples])[: depth + 1]]
    if "softmax" not in f"{end} {loss}" and rng.uniform() < 0.4 and samples > 1 and sizes[0] != sizes[1]:
        sizes[-1] = 1
    names = list(HIDDEN)
    hidden = str(rng.choice(names, p=_weights(*HIDDEN.values())))
    own = [hidden if rng.uniform() < 0.9 else str(rng.choice(names[:4])) for _ in range(depth - 1)]
    squares = loss == "squared_error"
    return Family(
        sizes=tuple(sizes),
        activations=(*own, end),
        slope=float(rng.choice((0.01, 0.1, 0.2))),
        loss=loss,
        over_samples="sum" if loss is None else str(rng.choice(("mean", "sum"), p=(0.6, 0.4))),
        over_outputs="mean" if loss is not None and rng.uniform() < (0.25 if squares else 0.1) else "sum",
        scale=0.5 if squares and rng.uniform() < 0.6 else 1.0,
        l2=float(rng.choice((0.01, 0.03, 0.1, 0.3))) if loss is not None and rng.uniform() < 0.25 else 0.0,
        l2_on_bias=bool(rng.uniform() < 0.2),
        samples=samples,
        dtype="float32" if rng.uniform() < 0.2 else "float64",
        biased=bool(rng.uniform() < 0.85),
        targets=_kind_of_targets(loss, end, rng),
    )


def _weights(*often: float) -> Array:
    return np.array(often) / sum(often)


def _kind_of_targets(loss: str | None, end: str, rng: np.random.Generator) -> str:
    if loss in CLASSES:
        return "soft" if rng.uniform() < 0.1 else "one"
    if loss is None or end in ("identity", "relu", "leaky_relu"):
        return "bits" if loss == "sigmoid_cross_entropy" else "real"
    return "one" if end == "softmax" else str(rng.choice(("bits", "unit")))


def draw_problem(family: Family, rng: np.random.Generator) -> Problem:
    """Random parameters and data: no unit's z is near a kink, and units that have one are on either side of it."""
    for _ in range(200):
        pairs = list(zip(family.sizes, family.sizes[1:], strict=False))
        weights = [_rounded(family, rng.normal(size=pair) * 1.5 / pair[0] ** 0.5) for pair in pairs]
        biases = [_rounded(family, rng.normal(size=pair[1]) * 0.6) if family.biased else None for pair in pairs]
        inputs = _rounded(family, rng.normal(size=(family.samples, family.sizes[0])))
        made = Problem(family, tuple(weights), tuple(biases), inputs, _rounded(family, _targets(family, rng)))
        if _varied(made):
            break
    return made


def _rounded(family: Family, array: Array) -> Array:
    return np.asarray(array, family.dtype)


def _targets(family: Family, rng: np.random.Generator) -> Array:
    samples, outputs = family.samples, family.outputs
    if family.targets == "one":
        return np.eye(outputs)[rng.permutation(np.arange(samples) % outputs)]
    if family.targets == "bits":
        return rng.integers(0, 2, (samples, outputs)) * 1.0
    return (
        rng.normal(size=(samples, outputs)) if family.targets == "real" else rng.uniform(0.1, 0.9, (samples, outputs))
    )


def _varied(problem: Problem) -> bool:
    """Whether every layer with a kink has units on either side, none within 0.01 of it."""
    a = problem.inputs
    for weights, bias, name in zip(problem.weights, problem.biases, problem.family.activations, strict=True):
        z = a @ weights + (0 if bias is None else bias)
        if name in KINKED and not (0.2 <= (z > 0).mean() <= 0.8 and np.abs(z).min() > 0.01):
            return False
        a = softmax(z) if name == "softmax" else ELEMENTWISE[name].value(z, problem.family.slope)
    return True
