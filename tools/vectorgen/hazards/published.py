"""Systems and worked examples that others have published, with the numbers that they print.

`examples.json` has the facts of the worked examples: networks, numbers, what was printed where, and where that is
wrong, why. Data and initial values of the three systems are rounded to multiples of 2⁻³², since neither scikit-learn's
data nor NumPy's normal numbers are the same to the last digit on every machine.
"""

import json
from collections.abc import Iterator, Sequence
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import numpy as np

from functional_mlp.experiments.published import circles, moons, three_phase
from functional_mlp.losses import Loss
from functional_mlp.network import Network
from tools.vectorgen.hazards.recipes import Array, Change, Drawn, Numbers, Recipe

EXAMPLES = Path(__file__).with_name("examples.json")
BITS = 32  # after the point


def published() -> Iterator[Recipe]:
    """The systems, then the examples."""
    yield from _systems()
    for example in json.loads(EXAMPLES.read_text(encoding="utf-8")):
        yield _example(example)


def _coarse(values: Any) -> Array:
    return np.round(np.asarray(values, np.float64) * 2.0**BITS) / 2.0**BITS


def _given(params: Sequence[Any], inputs: Any, end: Any) -> Change:
    """These numbers, whatever was drawn."""
    layers = [(np.asarray(w, np.float64), None if b is None else np.asarray(b, np.float64)) for w, b in params]
    drawn = Drawn(layers, np.asarray(inputs, np.float64), np.asarray(end, np.float64))

    def change(numbers: Numbers, _: Drawn) -> Drawn:
        return drawn

    return change


def _systems() -> Iterator[Recipe]:
    def of(slug: str, comment: str, network: Network, loss: Loss, params: Any, data: Any, rate: float) -> Recipe:
        layers = [(_coarse(w), _coarse(b)) for w, b in params]
        rows, ends = (_coarse(array) for array in data)
        recipe = Recipe(
            "published", slug, comment, ("Published",), network, loss, len(rows), _given(layers, rows, ends)
        )
        return recipe._replace(precisions=("float64",), learning_rate=rate)

    inputs, targets = circles.data()
    comment = "The circles classifier at its initial values: the true gradient, of the sum over all 1000 samples."
    network, loss = Network(circles.SIZES, ("relu", "relu", "sigmoid")), Loss("binary_cross_entropy")
    recipe = of("circles", comment, network, loss, circles.initial_params(), (inputs, targets), circles.LEARNING_RATE)
    (_, printed, _), *_ = circles.PUBLISHED_TRAJECTORY
    remarks = "The published gradient is twice this one, and its biases' is averaged over the samples."
    first = {"what": "loss", "index": "", "text": printed}
    source = {"title": "Application of differentiations in neural networks", "printed": [first], "remarks": remarks}
    yield recipe._replace(source=source)
    train = moons.data()
    comment = (
        "The moons classifier: one sample, at initial values; biases move here, in the published code they do not."
    )
    network, loss = Network(moons.SIZES, "sigmoid"), Loss("squared_error", scale=0.5)
    data = (train.train_inputs[:1], train.train_targets[:1])
    yield of("moons", comment, network, loss, moons.initial_params(0), data, moons.LEARNING_RATE)
    comment = "The three-phase network at its initial values, 60 samples."
    network, loss = Network(three_phase.SIZES, "sigmoid"), Loss("squared_error", over_samples="mean", scale=0.5)
    inputs, targets = three_phase.data()
    data = (inputs[:60], targets[:60])
    yield of("three-phase", comment, network, loss, three_phase.initial_params(0), data, three_phase.LEARNING_RATE)


def _example(example: dict[str, Any]) -> Recipe:
    loss = None if example["loss"] is None else Loss(**example["loss"])
    end = example["ct_outputs"] if loss is None else example["targets"]
    params = [(layer["weights"], layer.get("bias")) for layer in example["params"]]
    return Recipe(
        *("published", example["id"], example["title"], ("Published",)),
        *(Network(example["sizes"], example["activations"]), loss, len(example["inputs"])),
        _given(params, example["inputs"], end),
        precisions=("float64",),
        learning_rate=example.get("learning_rate"),
        source={name: example[name] for name in ("title", "url", "printed", "other", "remarks") if name in example},
    )


def compared(source: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """A source whose printed numbers are each said to agree with the expected ones, or not."""
    printed = [
        number | {"agrees": agreement(number["text"], entry_of(number, expected))} for number in source["printed"]
    ]
    return source | {"printed": printed}


def entry_of(printed: dict[str, Any], expected: dict[str, Any]) -> float:
    """The expected number that a printed one is; its index is such as [1].weights[0][1], or empty."""
    value = expected[printed["what"]]
    for step in printed["index"].replace("[", ".").replace("]", "").split("."):
        if step:
            value = value[int(step)] if step.isdigit() else value[step]
    return float(value)


def agreement(text: str, true: float) -> str:
    """Whether digits are those of a number: "rounded", "truncated", or "no"."""
    digits = Decimal(text)
    unit = Decimal((0, (1,), int(digits.as_tuple().exponent)))
    ulp = Decimal(float(np.spacing(abs(true)))) / 2  # the number itself is rounded, too
    exact = Decimal(true)
    for how, rounding in (("rounded", ROUND_HALF_EVEN), ("truncated", ROUND_DOWN)):
        if digits in {near.quantize(unit, rounding=rounding) for near in (exact - ulp, exact, exact + ulp)}:
            return how
    return "no"
