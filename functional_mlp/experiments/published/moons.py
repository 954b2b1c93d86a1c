"""The moons classifier in NumPy float64: 2-25-50-25-2, all sigmoid, one-hot, one sample at a time in order.

`published` leaves the biases at their initial values, as the text's code does; `corrected` trains them too.
There is no batch here and no shuffling: the text has neither. The loop handles one sample as one vector, as a
NumPy user would write it; it is also the NumPy peer of a benchmark, so it writes parameters in place and
makes no needless copies.

    python -m functional_mlp.experiments.published.moons --variant published --epochs 1000 --seed 0 --out DIR

writes DIR/history.csv and DIR/summary.json, and refuses to overwrite either.

Dimensions: n samples, l layer, fan_in, fan_out. `ct_v` is dLoss/dv, of Loss = ½Σ(o−t)² over the outputs of
one sample.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import make_moons
from sklearn.model_selection import train_test_split

Array = NDArray[np.float64]
Params = list[tuple[Array, Array]]
Variant = Literal["published", "corrected"]

SIZES = (2, 25, 50, 25, 2)  # as the text's code has it; its prose says hidden 20, 50, 25
LEARNING_RATE = 0.01  # not printed; with it most seeds come within 0.002 of the printed error
EPOCHS = 1000
# Epoch, training error, test accuracy. The seed is not printed, so these digits cannot be asked for.
PUBLISHED_LAST_ROW = (990, "0.024335", "97.67%")


class Data(NamedTuple):
    """Inputs (1400, 2) and (600, 2), one-hot targets (1400, 2) and (600, 2), all float64."""

    train_inputs: Array
    train_targets: Array
    test_inputs: Array
    test_targets: Array


class History(NamedTuple):
    """One row per evaluation, all of shape (rows,): row `epoch` was evaluated after epoch + 1 passes."""

    epoch: NDArray[np.int64]
    train_mse: Array
    test_accuracy: Array


class Result(NamedTuple):
    """The trained parameters and what was measured on the way."""

    params: Params
    history: History


def data() -> Data:
    """Return the 1400 training and 600 test samples."""
    inputs, labels = make_moons(2000, noise=0.2, random_state=100)
    one_hot = np.eye(2)[labels]
    train_inputs, test_inputs, train_targets, test_targets = train_test_split(
        inputs, one_hot, test_size=0.3, random_state=42
    )
    return Data(train_inputs, train_targets, test_inputs, test_targets)


def initial_params(seed: int) -> Params:
    """Draw (weights (fan_in, fan_out), bias (fan_out,)) per layer, weights first; legacy generator."""
    generator = np.random.RandomState(seed)
    params = []
    for fan_in, fan_out in pairwise(SIZES):
        weights = generator.randn(fan_in, fan_out) * np.sqrt(1 / fan_out)
        params.append((weights, generator.rand(fan_out) * 0.1))
    return params


def forward(params: Params, inputs: Array) -> Array:
    """Return the outputs (n, 2) of inputs (n, 2), or (2,) of one sample (2,)."""
    activations = inputs
    for weights, bias in params:
        activations = 1 / (1 + np.exp(-(activations @ weights + bias)))
    return activations


def evaluate(params: Params, inputs: Array, targets: Array) -> tuple[float, float]:
    """Return the mean of (o−t)² over samples AND outputs, and the fraction with the right largest output."""
    outputs = forward(params, inputs)
    mse = np.mean((outputs - targets) ** 2)
    return float(mse), float(np.mean(outputs.argmax(axis=1) == targets.argmax(axis=1)))


def one_pass(params: Params, inputs: Array, targets: Array, *, learning_rate: float, train_biases: bool) -> None:
    """Update `params` IN PLACE by one step per sample, in the order of inputs (n, 2) and targets (n, 2)."""
    backwards = range(len(params) - 1, -1, -1)
    exp, dot, outer = np.exp, np.dot, np.outer
    for x, target in zip(inputs, targets, strict=True):
        activations = [x]
        for weights, bias in params:
            activations.append(1 / (1 + exp(-(dot(activations[-1], weights) + bias))))
        ct_activation = activations[-1] - target
        for layer in backwards:
            weights, bias = params[layer]
            r = activations[layer + 1]
            # sigmoid' taken at the ACTIVATED value, as published: r = sigmoid(z), so r(1−r) is right.
            ct_z = ct_activation * (r * (1 - r))
            if layer:
                ct_activation = dot(weights, ct_z)  # before the update below: the weights of the forward pass
            step = learning_rate * ct_z
            weights -= outer(activations[layer], step)
            if train_biases:
                bias -= step


def train(
    params: Params,
    data: Data,
    *,
    variant: Variant,
    learning_rate: float = LEARNING_RATE,
    epochs: int = EPOCHS,
    every: int = 10,
) -> Result:
    """Make `epochs` passes, evaluating after the first and every `every` further ones; `params` are kept.

    Row e of the history is measured after e + 1 passes, so 1000 epochs end with row 990, after 991 passes,
    while the parameters returned have made all 1000.
    """
    if variant not in ("published", "corrected"):
        raise ValueError(f"expected variant 'published' or 'corrected', got {variant!r}")
    params = [(weights.copy(), bias.copy()) for weights, bias in params]
    # Quirk: the published code stores the biases' gradients nowhere; its biases keep their initial values.
    train_biases = variant == "corrected"
    rows = []
    for epoch in range(epochs):
        one_pass(
            params,
            data.train_inputs,
            data.train_targets,
            learning_rate=learning_rate,
            train_biases=train_biases,
        )
        if epoch % every == 0:
            train_mse, _ = evaluate(params, data.train_inputs, data.train_targets)
            _, test_accuracy = evaluate(params, data.test_inputs, data.test_targets)
            rows.append((epoch, train_mse, test_accuracy))
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return Result(params, History(table[:, 0].astype(np.int64), table[:, 1], table[:, 2]))


def _write(path: Path, text: str) -> None:
    """Write under a temporary name, then rename: no reader ever sees half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    """Train and write history.csv and summary.json; return 0, or 2 where a file is in the way."""
    parser = argparse.ArgumentParser(
        prog="python -m functional_mlp.experiments.published.moons", description="The moons classifier."
    )
    parser.add_argument("--variant", choices=("published", "corrected"), default="published")
    parser.add_argument("--epochs", type=_count, default=EPOCHS)
    parser.add_argument("--every", type=_count, default=10, help="epochs between two rows of the history")
    parser.add_argument("--learning-rate", type=float, default=LEARNING_RATE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="directory of history.csv and summary.json")
    options = parser.parse_args(arguments)
    if not 0 <= options.seed < 2**32:
        parser.error(f"argument --seed: expected 0 to 2**32 - 1, got {options.seed}")

    history_path, summary_path = options.out / "history.csv", options.out / "summary.json"
    # Looked at before the minute of training, not after it.
    for path in (history_path, summary_path):
        if path.exists():
            print(f"{path} exists and is not overwritten; choose another --out.", file=sys.stderr)
            return 2
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"{options.out} cannot be made a directory: {error.strerror}.", file=sys.stderr)
        return 2

    settings = {"variant": options.variant, "learning_rate": options.learning_rate, "epochs": options.epochs}
    history = train(initial_params(options.seed), data(), every=options.every, **settings).history
    rows = list(zip(*(column.tolist() for column in history), strict=True))
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(History._fields)
    writer.writerows(rows)
    _write(history_path, table.getvalue())
    last_epoch, train_mse, test_accuracy = rows[-1]
    measured = {"last_epoch": last_epoch, "train_mse": train_mse, "test_accuracy": test_accuracy}
    _write(summary_path, json.dumps(settings | {"seed": options.seed} | measured, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
