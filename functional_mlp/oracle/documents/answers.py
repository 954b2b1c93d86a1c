"""What somebody's code computed, read from files: gradients, or the parameters after one step.

Whether it is right is for the judge. Here a document is only read: it must be of its schema, but layers may be
missing, shapes wrong, rows ragged, numbers NaN or infinite. Arrays stay as they came; those from JSON are nested lists,
not even known to hold numbers (`case.numbers` raises a sentence where they do not).
"""

import math
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._checks import known_name
from functional_mlp.files import MAX_BYTES, FileError, Path_, read_bytes, text_of
from functional_mlp.oracle.case import DTYPES, numbers, require_shape, weights_and_bias
from functional_mlp.oracle.documents.cases import VERSION, check_schema, write_document
from functional_mlp.oracle.documents.codec import decode, kind_of
from functional_mlp.oracle.documents.digits import Printed, loss_style, printed_style

KINDS = ("gradients", "update")


class Gradients(NamedTuple):
    """Gradients as given: nothing is checked but that they are a document of the schema.

    Attributes:
        params: per layer a mapping with weights and perhaps bias (or a pair of them, if not from a file).
        loss, outputs, deltas, ct_inputs: what else is to be judged, or None.
        printed: how the numbers in the arrays were printed, if in a text with decimals.
        printed_loss: the same of the loss.
        case: the name of the case that they are of, if they say so.
    """

    params: Any
    loss: Any = None
    outputs: Any = None
    deltas: Any = None
    ct_inputs: Any = None
    printed: Printed | None = None
    printed_loss: Printed | None = None
    case: str | None = None


class UnsupportedError(FileError):
    """Instead of gradients, the sentence of a program that it does not support the case."""


def handed_over(result: Any) -> Gradients:
    """What somebody's code handed over: `Gradients`, the bare gradients, or a pair of the loss and the gradients."""
    if isinstance(result, Gradients):
        return result
    if isinstance(result, tuple | list) and len(result) == 2:
        loss, params = result
        if isinstance(loss, int | float) or getattr(loss, "shape", None) == ():
            return Gradients(params, loss)
    return Gradients(result)


class Update(NamedTuple):
    """Parameters after one step of plain gradient descent, as given.

    Attributes:
        params: as in `Gradients`.
        learning_rate: finite, above 0.
        printed: how the numbers in the arrays were printed, if in a text with decimals.
    """

    params: Any
    learning_rate: float
    printed: Printed | None = None


def read_answer(path: Path_, max_bytes: int = MAX_BYTES) -> Gradients | Update:
    """Reads gradients or an update, whichever the document says it is.

    Args:
        path: a .json, .npz or .safetensors file; "-" reads JSON from standard input.
        max_bytes: the largest file, and the largest unpacked content, that is accepted.

    Raises:
        FileError: if the file cannot be read, or is neither.
    """
    return _read(path, KINDS, max_bytes)


def read_gradients(path: Path_, max_bytes: int = MAX_BYTES) -> Gradients:
    """Reads gradients; see `read_answer`."""
    answer = _read(path, ("gradients",), max_bytes)
    assert isinstance(answer, Gradients)
    return answer


def read_update(path: Path_, max_bytes: int = MAX_BYTES) -> Update:
    """Reads an update; see `read_answer`."""
    answer = _read(path, ("update",), max_bytes)
    assert isinstance(answer, Update)
    return answer


def _read(path: Path_, kinds: tuple[str, ...], max_bytes: int) -> Gradients | Update:
    return parse_answer(read_bytes(path, max_bytes), str(path), kinds, max_bytes)


def parse_answer(
    content: bytes, source: str, kinds: tuple[str, ...] = KINDS, max_bytes: int = MAX_BYTES
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
    document = decode(content, source, max_bytes, not_finite=True)
    if document.get("unsupported") is True:
        reason = document.get("reason")
        said = f": {reason[:120]}" if isinstance(reason, str) and reason else ""
        raise UnsupportedError(f"{source}: says that its program does not support this case{said}")
    form = document.get("format")
    kind = next((kind for kind in kinds if form == f"functional-mlp/{kind}"), None)
    if kind is None:
        wanted = " or ".join(f"'functional-mlp/{kind}'" for kind in kinds)
        got = repr(form[:60]) if isinstance(form, str) else "none" if form is None else type(form).__name__
        raise FileError(f"{source}: expected format {wanted}, got {got}")
    check_schema(document, kind, source)
    text = text_of(content, source) if kind_of(content) == "json" else ""
    printed = printed_style(text)
    if kind == "update":
        rate = float(document["learning_rate"])
        if not math.isfinite(rate):
            raise FileError(f"{source}: learning_rate: expected a finite number, got {rate}")
        return Update(document["params"], rate, printed)
    fields = {name: document.get(name) for name in ("params", "loss", "outputs", "deltas", "ct_inputs", "case")}
    return Gradients(**fields, printed=printed, printed_loss=loss_style(text, printed))


# writing


def write_gradients(path: Path_, gradients: Gradients, dtype: str = "float64") -> None:
    """Writes gradients; the format follows the suffix: .json, .npz, .safetensors.

    Args:
        path: where to; "-" writes JSON to standard output.
        gradients: numbers of any array type; `printed` is not used. JSON has no NaN and infinities.
        dtype: a key of `DTYPES`: of the arrays in the binary formats, in which they must be representable.

    Raises:
        FileError: as `write_document`, and for what is no array of numbers or not representable.
        ValueError: for an unknown dtype.
    """
    known_name("dtype", dtype, DTYPES)
    try:
        document = _document_of(gradients, dtype)
    except (TypeError, ValueError) as error:
        raise FileError(f"{path}: {error}") from error
    write_document(path, document, dtype)


def _document_of(gradients: Gradients, dtype: str) -> dict[str, Any]:
    document: dict[str, Any] = {"format": "functional-mlp/gradients", "version": VERSION, "params": []}
    for i, layer in enumerate(gradients.params):
        pair = zip(("weights", "bias"), weights_and_bias(f"params[{i}]", layer), strict=True)
        fields = {name: _array(f"params[{i}].{name}", leaf, dtype) for name, leaf in pair if leaf is not None}
        document["params"].append(fields)
    if gradients.case is not None:
        document["case"] = gradients.case
    if gradients.loss is not None:
        loss = numbers("loss", gradients.loss)
        require_shape("loss", loss, ())
        # a header is JSON, which has no NaN; an array may hold it
        document["loss"] = float(loss) if np.isfinite(loss) else loss
    for name in ("outputs", "ct_inputs"):
        if getattr(gradients, name) is not None:
            document[name] = _array(name, getattr(gradients, name), dtype)
    if gradients.deltas is not None:
        document["deltas"] = [_array(f"deltas[{i}]", delta, dtype) for i, delta in enumerate(gradients.deltas)]
    return document


def _array(what: str, value: Any, dtype: str) -> np.ndarray:
    """`value` as float64, if `dtype` holds it; NaN and infinities are held by each."""
    array = numbers(what, value)
    with np.errstate(all="ignore"):
        rounded = array.astype(DTYPES[dtype]).astype(np.float64)
    wrong = (rounded != array) & ~np.isnan(array)
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        place = f"{what}[{', '.join(map(str, index))}]"
        raise ValueError(f"expected {place} to be a {dtype} number, got {float(array[index])!r}: write it in float64")
    return array
