"""What an item draws: sizes, parameters and data, of a seed; and other sizes and activations, of a variation.

Variation 0 is the item as it was met: small networks whose sizes all differ, the number of samples too, so that no
axis can be taken for another. Any other variation changes the sizes, three outputs to five, and the hidden activation
where the item asks for one with `Draw.hidden`; what is wrong with the program, and the right answer, stay the same.
"""

import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from benchmarks.accuracy.field.items.backprop import (
    RELU,
    SIGMOID,
    SOFTPLUS,
    TANH,
    Activation,
    Array,
    Layers,
    elu,
    forward,
    leaky_relu,
)

TargetKind = Literal["real", "unit", "bits", "one_hot"]
IN_PLACE_OF = {
    SIGMOID.declared: (TANH, SOFTPLUS),
    TANH.declared: (SIGMOID, SOFTPLUS),
    RELU.declared: (leaky_relu(0.2), elu(1.0)),
}


class Problem(NamedTuple):
    """Parameters, inputs (n, fan_in) and targets (n, fan_out), float64."""

    params: Layers
    inputs: Array
    targets: Array


def mixed(*pre_activations: Array) -> bool:
    """Whether every array has at least a fifth of its entries on either side of 0, none too near to it."""
    return all(0.2 <= (z > 0).mean() <= 0.8 and np.abs(z).min() > 1e-3 for z in pre_activations)


def one_hot(classes: Array, count: int) -> Array:
    """Rows with a one at the class."""
    return np.eye(count)[classes]


class Draw:
    """The draws of one item.

    Args:
        name: the id of the item, so that no two items draw the same numbers.
        seed: of the numbers.
        variation: of sizes and activations.
    """

    def __init__(self, name: str, seed: int, variation: int = 0) -> None:
        self.seed, self.variation = seed, variation
        self.rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        self._varied = np.random.default_rng([seed, zlib.crc32(name.encode()), variation])

    def hidden(self, activation: Activation) -> Activation:
        """The activation of the hidden layers: this one, and another of its kind in a variation."""
        if not self.variation:
            return activation
        others = IN_PLACE_OF[activation.declared]
        return others[self._varied.integers(len(others))]

    def shape(self, outputs: int = 2, hidden: int = 1, samples: int | None = None) -> tuple[tuple[int, ...], int]:
        """Sizes of a network and the number of samples, all different: one for each seed, to spare compilations."""
        if not self.variation:
            rng = np.random.default_rng([self.seed, outputs, hidden])
            widths, counts = range(3, 8), range(5, 10)
        else:
            rng = np.random.default_rng([self.seed, outputs, hidden, self.variation])
            widths, counts = range(3, 10), range(4, 12)
            outputs = int(rng.choice([3, 5])) if outputs > 2 else outputs
        pool = [int(width) for width in rng.permutation([width for width in widths if width != outputs])]
        sizes = (*pool[: hidden + 1], outputs)
        return sizes, samples or int(rng.choice([count for count in counts if count not in sizes]))

    def problem(
        self,
        outputs: int = 2,
        *,
        hidden: int = 1,
        samples: int | None = None,
        targets: TargetKind = "real",
        bias: Literal["drawn", "zero", "none"] = "drawn",
        functions: Sequence[Callable[[Array], Array]] = (),
        fit: Callable[..., bool] = mixed,
        sizes: tuple[int, ...] | None = None,
    ) -> Problem:
        """A network's parameters and data.

        Args:
            outputs: the number of outputs.
            hidden: the number of hidden layers.
            samples: the number of samples, 5 to 9 by default.
            targets: any real number, one inside (0, 1), 0 or 1 each, or one-hot rows.
            bias: the biases.
            functions: the activations of the first layers, whose pre-activations must fit.
            fit: of these pre-activations; it is drawn until this holds.
            sizes: of the layers, in place of `outputs` and `hidden`.
        """
        if sizes is None:
            sizes, samples = self.shape(outputs, hidden, samples)
        elif self.variation:
            pool = [width for width in range(3, 10) if width != sizes[-1]]
            sizes = (*map(int, self._varied.permutation(pool)[: len(sizes) - 1]), sizes[-1])
        samples = samples or int(self.rng.choice([count for count in range(5, 10) if count not in sizes]))
        while True:
            params = [self._layer(fan_in, fan_out, bias) for fan_in, fan_out in pairwise(sizes)]
            inputs = self.rng.normal(size=(samples, sizes[0]))
            drawn = Problem(params, inputs, self._targets(targets, samples, sizes[-1]))
            if not functions or fit(*forward(params, inputs, *functions)[0]):
                return drawn

    def _layer(self, fan_in: int, fan_out: int, bias: str) -> tuple[Array, Array | None]:
        weights = self.rng.normal(size=(fan_in, fan_out)) * 1.5 / np.sqrt(fan_in)
        if bias == "none":
            return weights, None
        return weights, (0.6 if bias == "drawn" else 0.0) * self.rng.normal(size=fan_out)

    def _targets(self, kind: TargetKind, samples: int, outputs: int) -> Array:
        if kind == "one_hot":
            return one_hot(self.rng.permutation(np.arange(samples) % outputs), outputs)
        shape = (samples, outputs)
        drawn = {  # all three, whichever is wanted: what is drawn after them does not depend on the kind
            "real": self.rng.normal(size=shape),
            "unit": self.rng.uniform(0.05, 0.95, shape),
            "bits": self.rng.integers(0, 2, shape) * 1.0,
        }
        return drawn[kind]
