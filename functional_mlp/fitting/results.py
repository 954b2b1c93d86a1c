"""A fit on disk: what predicts, as plain data, and every setting's scores as tables; read with care."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jsonschema
import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.activations import FACTORIES
from functional_mlp.files import FileError, load_params, read_bytes, save_params, text_of, write_bytes
from functional_mlp.fitting.fit import SCORES, Fit, architecture
from functional_mlp.forward_pass import forward
from functional_mlp.network import Network, Params
from functional_mlp.tables import (
    TASKS,
    Category,
    Encoding,
    Quantity,
    Table,
    Target,
    inputs_of,
    is_missing,
    targets_of,
    unseen_in,
)

FORMAT, VERSION = "functional-mlp/fit", "1"
DOCUMENT, PARAMETERS = "fit.json", "params.safetensors"
MAX_BYTES_OF_A_FIT = 16 * 2**20
_NUMBER, _TEXT = {"type": "number"}, {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}


def _record(**fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(fields)}


SCHEMA = _record(
    format={"const": FORMAT},
    version={"const": VERSION},
    dtype={"enum": ["float64", "float32", "bfloat16", "float16"]},
    network=_record(
        sizes={"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 2},
        activations={"type": "array", "items": {"enum": list(FACTORIES)}},
    ),
    columns={
        "type": "array",
        "minItems": 1,
        "items": {
            "anyOf": [
                _record(name=_TEXT, levels=_TEXTS),
                _record(name=_TEXT, minus=_NUMBER, divided_by=_NUMBER | {"exclusiveMinimum": 0}),
            ]
        },
    },
    target=_record(
        name=_TEXT,
        task={"enum": list(TASKS)},
        classes=_TEXTS,
        minus=_NUMBER,
        divided_by=_NUMBER | {"exclusiveMinimum": 0},
    ),
    asked=_record(),
)


class Saved(NamedTuple):
    """A fit as it was written: what is needed to predict.

    Attributes:
        encoding, network, params: of the best setting.
        asked: what was asked for, and of which table.
        dtype: of the parameters.
    """

    encoding: Encoding
    network: Network
    params: Params
    asked: dict[str, Any]
    dtype: str


def save_fit(folder: Path, fit: Fit, asked: dict[str, Any], page: str) -> None:
    """Writes a fit into a folder that is there: `fit.json` last, so that it is whole where that is.

    Args:
        folder: where.
        fit: what came of the table.
        asked: what tells whether another fit is the same.
        page: that compares the settings.
    """
    write_bytes(folder / "report.html", page.encode())
    target, network = fit.encoding.target, fit.network
    write_bytes(folder / "settings.csv", _csv(_settings(fit)))
    write_bytes(folder / "runs.csv", _csv(_runs(fit)))
    save_params(folder / PARAMETERS, fit.params)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "dtype": fit.settings.dtype,
        "network": {"sizes": list(network.sizes), "activations": [one.name for one in network.activations]},
        "columns": [column._asdict() for column in fit.encoding.columns],
        "target": {**target._asdict(), "task": target.task},
        "asked": asked,
    }
    write_bytes(folder / DOCUMENT, (json.dumps(document, indent=1) + "\n").encode())


def _settings(fit: Fit) -> Iterable[Sequence[Any]]:
    yield ("hidden", "learning_rate", "parameters", "runs", "diverged", "quantile_10", "median", "quantile_90")
    for one in fit.tried:
        low, middle, high = one.quantiles()
        counts = one.parameters, one.scores.size, one.diverged
        yield (architecture(one.hidden), one.learning_rate, *counts, low, middle, high)


def _runs(fit: Fit) -> Iterable[Sequence[Any]]:
    yield ("hidden", "learning_rate", "fold", "seed", "score")
    for one in fit.tried:
        for fold, scores in enumerate(one.scores, 1):
            for seed, score in enumerate(scores, fit.settings.seed):
                yield architecture(one.hidden), one.learning_rate, fold, seed, score


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def asked_in(folder: Path) -> dict[str, Any] | None:
    """What the fit in a folder was asked for; None where there is none."""
    return dict(_document(folder)["asked"]) if (folder / DOCUMENT).exists() else None


def load_fit(folder: Path) -> Saved:
    """Reads what `save_fit` wrote.

    Raises:
        FileError: if it is no fit.
        TypeError: for parameters of a dtype that JAX has not enabled.
    """
    folder = Path(folder)
    document = _document(folder)
    target = document["target"]
    if (target["task"] == "classification") is not (len(target["classes"]) > 1):
        raise FileError(f"{folder / DOCUMENT}: expected classes of a classification alone, got {target['classes']}")
    encoding = Encoding(
        tuple(
            Category(column["name"], tuple(column["levels"]))
            if "levels" in column
            else Quantity(column["name"], float(column["minus"]), float(column["divided_by"]))
            for column in document["columns"]
        ),
        Target(target["name"], tuple(target["classes"]), float(target["minus"]), float(target["divided_by"])),
    )
    try:
        network = Network(document["network"]["sizes"], document["network"]["activations"])
        params = load_params(folder / PARAMETERS, network)
    except (ValueError, OSError) as error:
        raise FileError(f"{folder}: {error}") from error
    if (network.sizes[0], network.sizes[-1]) != (encoding.width, encoding.outputs):
        raise FileError(
            f"{folder / DOCUMENT}: expected a network from {encoding.width} inputs to {encoding.outputs} outputs, as"
            f" the columns say, got sizes {network.sizes}"
        )
    return Saved(encoding, network, params, document["asked"], document["dtype"])


def dtype_of(folder: Path) -> str:
    """Of the parameters of a fit, before they are read."""
    return str(_document(folder)["dtype"])


def _document(folder: Path) -> dict[str, Any]:
    path = folder / DOCUMENT
    if not path.exists():
        raise FileError(f"{folder}: expected a folder that `functional-mlp fit` has written, got none with {DOCUMENT}")
    try:
        document: dict[str, Any] = json.loads(text_of(read_bytes(path, MAX_BYTES_OF_A_FIT), str(path)))
        jsonschema.validate(document, SCHEMA)
    except jsonschema.ValidationError as error:
        raise FileError(f"{path}: expected what `functional-mlp fit` writes, got {error.message[:200]}") from error
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, FileError) else FileError(f"{path}: expected JSON, got {error}") from error
    return document


class Predicted(NamedTuple):
    """What a fit says of a table.

    Attributes:
        values: (n,) the quantity in its unit, or the class.
        probabilities: (n, K) of the classes; None for a quantity.
        score: how good that is in the rows that have the target; None where none has.
        scored: how many these are.
        unseen: by column, a text that no training row had, and in how many rows there are such.
    """

    values: tuple[Any, ...]
    probabilities: Array | None
    score: float | None
    scored: int = 0
    unseen: Mapping[str, tuple[str, int]] = MappingProxyType({})

    def csv(self, classes: Sequence[str]) -> bytes:
        """As a table, a line for each row."""
        header = ("prediction", *(f"probability of {name}" for name in classes))
        rows = self.probabilities if self.probabilities is not None else np.empty((len(self.values), 0))
        shown = ([f"{probability:.6g}" for probability in row] for row in rows)
        return _csv([header, *((value, *row) for value, row in zip(self.values, shown, strict=True))])


def predict(saved: Saved, table: Table) -> Predicted:
    """What a fit says of the rows of a table, which needs the columns that it learnt from.

    Raises:
        ValueError: for a column that is missing; as `inputs_of` and `targets_of`.
    """
    encoding, target = saved.encoding, saved.encoding.target
    lacking = [column.name for column in encoding.columns if column.name not in table.names]
    if lacking:
        names = ", ".join(map(repr, lacking))
        raise ValueError(f"{table.source}: expected the columns that were learnt from, got none called {names}")
    inputs = inputs_of(saved.encoding, table).astype(np.asarray(saved.params[0].weights).dtype)
    outputs = np.asarray(forward(saved.network, saved.params, inputs)[0], np.float64)
    cells = table.column(target.name) if target.name in table.names else ()
    at = [row for row, cell in enumerate(cells) if not is_missing(cell)]
    known = targets_of(encoding, table._replace(names=(target.name,), columns=(cells,)).rows(at)) if at else None
    more: dict[str, Any] = {"scored": len(at), "unseen": unseen_in(encoding, table)}
    if target.classes:
        chosen = outputs.argmax(axis=1)
        odds = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        right = None if known is None else float(np.mean(chosen[at] == known.argmax(axis=1)))
        values = tuple(target.classes[i] for i in chosen)
        return Predicted(values, odds / odds.sum(axis=1, keepdims=True), right, **more)
    off = None if known is None else float(np.sqrt(np.mean((outputs[at] - known) ** 2))) * target.divided_by
    return Predicted(tuple((outputs[:, 0] * target.divided_by + target.minus).tolist()), None, off, **more)


def lines_of(fit: Fit, most: int) -> list[str]:
    """For a terminal: the best settings, a line each."""
    rows = [("hidden", "rate", f"median {SCORES[fit.task]}", "10 %", "90 %", "diverged")]
    for one in fit.tried[:most]:
        low, middle, high = (f"{number:.4g}" for number in one.quantiles())
        rows.append((architecture(one.hidden), f"{one.learning_rate:g}", middle, low, high, str(one.diverged)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    left = len(fit.tried) - most
    return [*lines, *([f"and {left} other settings"] if left > 0 else [])]
