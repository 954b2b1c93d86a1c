"""What somebody's code computed, read from files: gradients, or the parameters after one step.

Whether it is right is for the judge. Here a document is only read: it must be of its schema, but layers may be
missing, shapes wrong, rows ragged, numbers NaN or infinite. Arrays stay as they came; those from JSON are nested lists,
not even known to hold numbers (`case.numbers` raises a sentence where they do not).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np

from functional_mlp._checks import finite_float, known_name
from functional_mlp._dtypes import DTYPES
from functional_mlp.files import MAX_BYTES, FileError, Path_, read_bytes
from functional_mlp.oracle.case import (
    FIELDS,
    delta_path,
    entry_path,
    numbers,
    pairs_in,
    parameter_path,
    require_shape,
    rounded,
)
from functional_mlp.oracle.documents.codec import decode_text
from functional_mlp.oracle.documents.digits import Digits, Printed, PrintedText, printed_as
from functional_mlp.oracle.documents.evidence import printed_loss, printed_text
from functional_mlp.oracle.documents.schema import VERSION, check_schema, require_path, write_document

ANSWER_KINDS = ("gradients", "update")


class Gradients(NamedTuple):
    """Gradients as given: nothing is checked but that they are a document of the schema.

    Attributes:
        params: per layer a mapping with weights and perhaps bias (or a pair of them, if not from a file).
        loss, outputs, deltas, ct_inputs: what else is to be judged, or None.
        printed: how the numbers in the arrays were printed, if in a text with decimals; or as was declared of all.
        printed_loss: the same of the loss.
        case: the name of the case that they are of, if they say so.
        only: the fields ("weights", "bias") or paths ("params[0].bias") that were computed, and are judged; () for all.
    """

    params: Any
    loss: Any = None
    outputs: Any = None
    deltas: Any = None
    ct_inputs: Any = None
    printed: Printed | PrintedText | None = None
    printed_loss: Digits | None = None
    case: str | None = None
    only: tuple[str, ...] = ()


class UnsupportedError(FileError):
    """Instead of gradients, the sentence of a program that it does not support the case."""


class Update(NamedTuple):
    """Parameters after one step of plain gradient descent, as given.

    Attributes:
        params: as in `Gradients`.
        learning_rate: finite, above 0.
        printed: as in `Gradients`.
    """

    params: Any
    learning_rate: float
    printed: Printed | PrintedText | None = None


def digits_of(answer: Gradients | Update, path: str) -> Digits | None:
    """How an array of an answer was printed, by its path, such as "params[0].weights"; None if it was not."""
    if path == "loss" and isinstance(answer, Gradients):
        return answer.printed_loss
    return digits_at(answer.printed, path)


def digits_at(printed: Printed | PrintedText | None, path: str) -> Digits | None:
    """How an array was printed, of a text, or of all alike."""
    return printed.of(path) if isinstance(printed, PrintedText) else printed


Answer = TypeVar("Answer", bound=Gradients | Update)


def with_digits(answer: Answer, digits: Any) -> Answer:
    """An answer whose numbers are known to the digits that `printed_as` makes of `digits`; as it is for None."""
    if digits is None:
        return answer
    printed = printed_as(digits)
    more = {"printed_loss": printed} if isinstance(answer, Gradients) else {}
    return answer._replace(printed=printed, **more)  # type: ignore[return-value, arg-type]


def read_answer(path: Path_, max_bytes: int = MAX_BYTES, digits: int | str | None = None) -> Gradients | Update:
    """Reads gradients or an update, whichever the document says it is.

    Args:
        path: a .json, .npz or .safetensors file; "-" reads JSON from standard input.
        max_bytes: the largest file, and the largest unpacked content, that is accepted.
        digits: to how many all its numbers are known: significant ones, such as 6, or a format such as "%.4f". None:
            as they are printed, see `digits.py`.

    Raises:
        FileError: if the file cannot be read, or is neither.
        TypeError, ValueError: for digits that are no such declaration.
    """
    return _read(path, ANSWER_KINDS, max_bytes, digits)


def read_gradients(path: Path_, max_bytes: int = MAX_BYTES, digits: int | str | None = None) -> Gradients:
    """Reads gradients; see `read_answer`."""
    answer = _read(path, ("gradients",), max_bytes, digits)
    assert isinstance(answer, Gradients)
    return answer


def read_update(path: Path_, max_bytes: int = MAX_BYTES, digits: int | str | None = None) -> Update:
    """Reads an update; see `read_answer`."""
    answer = _read(path, ("update",), max_bytes, digits)
    assert isinstance(answer, Update)
    return answer


def _read(path: Path_, kinds: tuple[str, ...], max_bytes: int, digits: int | str | None) -> Gradients | Update:
    require_path(path)
    return with_digits(parse_answer(read_bytes(path, max_bytes), str(path), kinds, max_bytes), digits)


def parse_answer(
    content: bytes, source: str, kinds: tuple[str, ...] = ANSWER_KINDS, max_bytes: int = MAX_BYTES
) -> Gradients | Update:
    """Gradients or an update from the bytes of a document, in whichever format it begins like.

    Args:
        content: all of it.
        source: its name, for messages.
        kinds: what is wanted: "gradients", "update".
        max_bytes: the most that an archive may unpack to.

    Raises:
        UnsupportedError: if it says that its program does not support the case.
        FileError: if it is no sound document of these kinds.
    """
    document, text = decode_text(content, source, max_bytes, not_finite=True)
    if document.get("unsupported") is True:
        reason = document.get("reason")
        explained = f": {reason[:120]}" if isinstance(reason, str) and reason else ""
        raise UnsupportedError(f"{source}: says that its program does not support this case{explained}")
    form = document.get("format")
    kind = next((kind for kind in kinds if form == f"functional-mlp/{kind}"), None)
    if kind is None:
        wanted = " or ".join(f"'functional-mlp/{kind}'" for kind in kinds)
        got = repr(form[:60]) if isinstance(form, str) else "none" if form is None else type(form).__name__
        raise FileError(f"{source}: expected format {wanted}, got {got}")
    check_schema(document, kind, source)
    printed = printed_text(text, document)
    if kind == "update":
        rate = float(document["learning_rate"])
        if not math.isfinite(rate):
            raise FileError(f"{source}: learning_rate: expected a finite number, got {rate}")
        return Update(document["params"], rate, printed)
    fields: dict[str, Any] = {
        name: document.get(name) for name in ("params", "loss", "outputs", "deltas", "ct_inputs", "case")
    }
    return Gradients(**fields, printed=printed, printed_loss=printed_loss(text, document.get("loss"), printed))


# writing


def write_gradients(path: Path_, gradients: Gradients, dtype: str = "float64") -> None:
    """Writes gradients; the format follows the suffix: .json, .npz, .safetensors.

    Args:
        path: where to; "-" writes JSON to standard output.
        gradients: numbers of any array type, in a `Gradients` or as `check` takes them; `printed` is not used. JSON has
            no NaN and infinities.
        dtype: a key of `DTYPES`: of the arrays in the binary formats, in which they must be representable.

    Raises:
        FileError: as `write_document`, and for what is no array of numbers or not representable.
        TypeError: for what is no path, and no list of layers.
        ValueError: for an unknown dtype.
    """
    require_path(path)
    if not isinstance(gradients, Gradients):
        _require_layers("gradients", gradients, "oracle.Gradients")
        gradients = Gradients(gradients)
    _write(path, gradients, dtype)


def write_update(path: Path_, params_after: Any, learning_rate: float | None = None, dtype: str = "float64") -> None:
    """Writes the parameters after one step of plain gradient descent; format, errors and `dtype` as `write_gradients`.

    Args:
        path: where to.
        params_after: the parameters, per layer (weights, bias); or an `Update`, which has its rate.
        learning_rate: finite, above 0; None: that of the `Update`.
        dtype: of the arrays in the binary formats.

    Raises:
        TypeError, ValueError: also for a rate that is missing, no number, not finite, or not above 0.
    """
    if isinstance(params_after, Update):
        learning_rate = params_after.learning_rate if learning_rate is None else learning_rate
        params_after = params_after.params
    require_path(path)
    _require_layers("params_after", params_after, "oracle.Update")
    if learning_rate is None:
        raise TypeError("expected a learning_rate, got none; write_update(path, params_after, learning_rate=0.1)")
    rate = finite_float("learning_rate", learning_rate)
    if rate <= 0:
        raise ValueError(f"expected learning_rate to be above 0, got {rate}")
    _write(path, Update(params_after, rate), dtype)


def _require_layers(what: str, value: Any, record: str) -> None:
    """Raises TypeError for what is no list of layers, but another argument, or an answer of another kind."""
    if not isinstance(value, list | tuple) or isinstance(value, Gradients | Update) or hasattr(value, "grads"):
        raise TypeError(f"expected {what} to be an {record}, or a list of layers, got {type(value).__name__}")


def _write(path: Path_, answer: Gradients | Update, dtype: str) -> None:
    known_name("dtype", dtype, DTYPES)

    def loss(value: Any) -> Any:
        number = numbers("loss", value)
        require_shape("loss", number, ())
        # a header is JSON, which has no NaN; an array may hold it
        return float(number) if np.isfinite(number) else number

    try:
        document = answer_document(answer, lambda path, value: _representable(path, value, dtype), loss)
    except (TypeError, ValueError) as error:
        raise FileError(f"{path}: {error}") from error
    write_document(path, {field: document[field] for field in WRITTEN_ORDER if field in document}, dtype)


WRITTEN_ORDER = ("format", "version", "learning_rate", "params", "case", "loss", "outputs", "ct_inputs", "deltas")


def answer_document(
    answer: Gradients | Update, array: Callable[[str, Any], Any], loss: Callable[[Any], Any]
) -> dict[str, Any]:
    """The fields of the document of an answer, of whichever kind it is.

    Args:
        answer: gradients, or the parameters after a step.
        array: makes a field of an array; it is given its path too.
        loss: makes the field of the loss.
    """

    def layer(number: int, pair: tuple[Any, Any]) -> dict[str, Any]:
        leaves = zip(FIELDS, pair, strict=True)
        return {field: array(parameter_path(number, field), leaf) for field, leaf in leaves if leaf is not None}

    kind = "update" if isinstance(answer, Update) else "gradients"
    document: dict[str, Any] = {"format": f"functional-mlp/{kind}", "version": VERSION}
    if isinstance(answer, Update):
        document["learning_rate"] = answer.learning_rate
    elif answer.case is not None:
        document["case"] = answer.case
    if isinstance(answer, Gradients) and answer.loss is not None:
        document["loss"] = loss(answer.loss)
    document["params"] = [layer(i, pair) for i, pair in enumerate(pairs_in(answer.params))]
    if isinstance(answer, Update):
        return document
    if answer.deltas is not None:
        document["deltas"] = [array(delta_path(i), delta) for i, delta in enumerate(answer.deltas)]
    for name in ("outputs", "ct_inputs"):
        if getattr(answer, name) is not None:
            document[name] = array(name, getattr(answer, name))
    return document


def _representable(path: str, value: Any, dtype: str) -> np.ndarray:
    """`value` as float64, if `dtype` holds it; NaN and infinities are held by each."""
    array = numbers(path, value)
    wrong = (rounded(array, dtype) != array) & ~np.isnan(array)
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        place = entry_path(path, index)
        raise ValueError(f"expected {place} to be a {dtype} number, got {float(array[index])!r}: write it in float64")
    return array
