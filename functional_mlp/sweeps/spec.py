"""A sweep as a text: a TOML file with the network, the loss, the data, and the settings of `sweep`.

[network]
sizes = [2, 8, 1]
activations = ["tanh", "sigmoid"]

[loss]
kind = "binary_cross_entropy"
over_samples = "mean"

[data]
file = "xor.npz"             # beside this file: inputs (n, 2), targets (n, 1)
                             # or a table, with a column: file = "iris.csv", target = "species"

[sweep]
seeds = 256                  # the keys of seed, seed + 1, ...
epochs = 1000
batch_size = 16
optimizer = "sgd"
learning_rates = [0.01, 0.1]
hyperparameters = { momentum = [0.0, 0.9] }
"""

import csv
import dataclasses
import inspect
import io
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from functional_mlp._checks import floating_dtype, known_name, positive_int
from functional_mlp.files import read_toml
from functional_mlp.losses import Loss
from functional_mlp.network import Network
from functional_mlp.sweeps.data_file import ARRAYS, FIELDS, arrays_of
from functional_mlp.sweeps.grid import LEARNING_RATE, numbers_of_runs
from functional_mlp.sweeps.run import SweepResult, sweep

MAX_BYTES_OF_A_SPEC = 2**20
MOST_SEEDS = 2**32
OPTIMIZERS: Mapping[str, Callable[..., optax.GradientTransformation]] = {
    name: getattr(optax, name)
    for name in ("adadelta", "adagrad", "adam", "adamax", "adamw", "lamb", "lion", "nadam", "radam", "rmsprop", "sgd")
}
_OTHERS = (
    "directory",
    "save_every",
    "keep",
    "accept_other_bits",
    "devices",
    "callback",
    "keys",
    "params",
    "optimizer",
    *ARRAYS,
)


class SweepSpec(NamedTuple):
    """A sweep that is to be done.

    Attributes:
        network, loss: as in `sweep`.
        arrays: the data by the names of the arguments of `sweep`, not yet of its dtype.
        seeds: how many keys.
        seed: of the first key.
        dtype: of parameters and data.
        settings: the rest of the arguments of `sweep`, by name.
    """

    network: Network
    loss: Loss
    arrays: dict[str, np.ndarray]
    seeds: int
    seed: int
    dtype: jnp.dtype
    settings: dict[str, Any]


def read_sweep_spec(path: Path, max_bytes: int) -> SweepSpec:
    """The sweep that a TOML file describes.

    Args:
        path: of the file.
        max_bytes: that the file of the data may have.

    Raises:
        FileError: if one of the files cannot be read, or is none.
        TypeError, ValueError: for what it says, as `Network`, `Loss` and `sweep`.
    """
    document = read_toml(path, MAX_BYTES_OF_A_SPEC)
    for name in document:
        known_name("table", name, ("network", "loss", "data", "sweep"))
    tables = {
        "network": _table(document, "network", ("sizes", "activations"), required=("sizes", "activations")),
        "loss": _table(document, "loss", [field.name for field in dataclasses.fields(Loss)], required=("kind",)),
        "data": _table(document, "data", FIELDS, required=("file",)),
        "sweep": _table(document, "sweep", _settings(), required=("epochs",)),
    }
    arrays = arrays_of(tables["data"], path.parent, max_bytes)
    settings = tables["sweep"]
    seed, seeds = settings.pop("seed", 0), positive_int("sweep.seeds", settings.pop("seeds", 1))
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"expected sweep.seed to be an integer, got {seed!r}")
    if not 0 <= seed <= MOST_SEEDS - seeds:  # beyond, keys would repeat
        raise ValueError(f"expected seeds from 0 to {MOST_SEEDS - 1}, got {seeds} from {seed} on")
    settings["optimizer"] = OPTIMIZERS[known_name("optimiser", settings.get("optimizer", "sgd"), OPTIMIZERS)]
    return SweepSpec(
        network=Network(**tables["network"]),
        loss=Loss(**tables["loss"]),
        arrays=arrays,
        seeds=seeds,
        seed=seed,
        dtype=floating_dtype("sweep.dtype", settings.pop("dtype", "float32")),
        settings=settings,
    )


def _settings() -> list[str]:
    """The names in the table `sweep`: the arguments of `sweep` that a text can have, and those of the keys."""
    arguments = [name for name, it in inspect.signature(sweep).parameters.items() if it.kind is it.KEYWORD_ONLY]
    return ["seeds", "seed", "optimizer", *(name for name in arguments if name not in _OTHERS)]


def _table(
    document: Mapping[str, Any], name: str, known: Collection[str], required: Collection[str] = ()
) -> dict[str, Any]:
    table = document.get(name)
    if not isinstance(table, dict):
        raise ValueError(f"expected a table [{name}] in the sweep's file, got {'none' if table is None else table!r}")
    for field in table:
        known_name(f"field of [{name}]", field, known)
    for field in required:
        if field not in table:
            raise ValueError(f"expected {field} in [{name}], got {', '.join(table) or 'nothing'}")
    return dict(table)


def run_sweep(spec: SweepSpec, **others: Any) -> SweepResult:
    """Does it; `others` are further arguments of `sweep`. For float64, JAX must have it enabled."""
    keys = keys_of(spec.seed, spec.seeds)
    arrays: dict[str, Any] = {name: np.asarray(array, spec.dtype) for name, array in spec.arrays.items()}
    inputs, targets = arrays.pop("inputs"), arrays.pop("targets")
    settings = spec.settings | others
    return sweep(spec.network, spec.loss, inputs, targets, keys=keys, dtype=spec.dtype, **arrays, **settings)


def keys_of(seed: int, count: int) -> jax.Array:
    """The keys (count,) of seed, seed + 1, …, whichever kind of key is JAX's default."""
    return jax.vmap(partial(jax.random.key, impl="threefry2x32"))(np.arange(seed, seed + count, dtype=np.uint32))


def runs_of(spec: SweepSpec) -> int:
    """How many runs it is: one per combination of learning rate, other numbers and seed."""
    numbers = numbers_of_runs(
        spec.settings.get("learning_rates", 0.01), spec.settings.get("hyperparameters"), spec.seeds
    )
    return len(numbers[LEARNING_RATE])


def table_of_runs(spec: SweepSpec, result: SweepResult) -> str:
    """CSV: of every run its seed, its numbers, and its metrics at the last evaluation."""
    runs = len(result.learning_rates)
    seeds = np.resize(np.arange(spec.seed, spec.seed + spec.seeds), runs)
    last = {name: values[:, -1] for name, values in result.history.items() if name != "epoch"}
    columns = {"seed": seeds, "learning_rate": result.learning_rates, **result.hyperparameters, **last}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*([str(value) for value in column] for column in columns.values()), strict=True))
    return text.getvalue()


def medians_of(result: SweepResult) -> list[str]:
    """For a person: a line per combination of numbers, with the median of every metric at the last evaluation."""
    numbers = {"learning_rate": result.learning_rates, **result.hyperparameters}
    combinations = dict.fromkeys(zip(*(values.tolist() for values in numbers.values()), strict=True))
    lines = []
    for combination in combinations:
        chosen = np.all([values == one for values, one in zip(numbers.values(), combination, strict=True)], axis=0)
        parts = [f"{name} {value:g}" for name, value in zip(numbers, combination, strict=True)]
        for name, values in result.history.items():
            if name != "epoch":
                parts.append(f"{name} {np.median(np.asarray(values[chosen, -1], np.float64)):.6g}")
        lines.append(", ".join(parts) + f" (median of {int(chosen.sum())} runs)")
    return lines
