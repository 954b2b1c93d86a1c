"""Cases as files, and what the fields of their documents mean."""

from typing import Any

import numpy as np

from functional_mlp.activations import Activation, expression_of, is_built_in, resolve
from functional_mlp.files import MAX_BYTES, FileError, Path_, read_bytes
from functional_mlp.losses import Loss, known_kind
from functional_mlp.network import Network
from functional_mlp.oracle.case import Case, declared_data, declared_layer, not_a_case, rounded
from functional_mlp.oracle.documents.codec import decode_text
from functional_mlp.oracle.documents.evidence import half_units, with_numbers
from functional_mlp.oracle.documents.schema import VERSION, check_schema, require_path, write_document


def read_case(path: Path_, max_bytes: int = MAX_BYTES) -> Case:
    """Reads a case.

    In JSON a number of a narrow dtype may be written with as few digits as tell it: 0.1 is the float32 nearest to it. A
    number that has more digits, and other ones, is refused.

    Args:
        path: a .json, .npz or .safetensors file; "-" reads JSON from standard input.
        max_bytes: the largest file, and the largest unpacked content, that is accepted.

    Raises:
        FileError: if the file cannot be read, or is no sound case.
    """
    require_path(path)
    source = str(path)
    document, text = decode_text(read_bytes(path, max_bytes), source, max_bytes, not_finite=False)
    _require_known_loss(document, source)
    check_schema(document, "case", source)
    dtype = document.get("dtype", "float64")
    return case_of(_as_meant(document, text, dtype) if text and dtype != "float64" else document, source)


def _require_known_loss(document: dict[str, Any], source: str) -> None:
    """Raises FileError for a loss by a name that others give it, with the name and the arguments that it has here."""
    loss = document.get("loss")
    kind = loss.get("kind") if isinstance(loss, dict) else None
    if isinstance(kind, str):
        try:
            known_kind(kind[:100])
        except ValueError as error:
            raise FileError(f"{source}: loss.kind: {error}") from error


def _as_meant(document: dict[str, Any], text: str, dtype: str) -> dict[str, Any]:
    """A document whose numbers are those of `dtype` that they were rounded from, as far as their digits say so."""
    written = half_units(text, document)
    if written is None:
        return document
    values, halves = written
    nearest = rounded(values, dtype)
    with np.errstate(all="ignore"):
        meant = np.abs(nearest - values) <= 1.001 * halves  # a half that was rounded to even
    return with_numbers(document, np.where(meant, nearest, values))


def case_of(document: dict[str, Any], source: str) -> Case:
    """The case that a checked document describes; errors as `read_case`."""
    try:
        sizes, activations = document["network"]["sizes"], document["network"]["activations"]
        loss = document.get("loss")
        arrays = {name: document.get(name) for name in ("targets", "ct_outputs", "sample_weights")}
        return Case(
            network=Network(sizes, activations),
            loss=None if loss is None else Loss(**loss),
            params=document["params"],
            inputs=document["inputs"],
            name=document.get("name", ""),
            dtype=document.get("dtype", "float64"),
            weights_layout=document.get("weights_layout"),
            bias_layout=document.get("bias_layout"),
            layout={"samples": document["samples"]} if "samples" in document else None,
            **arrays,
        )
    except (TypeError, ValueError) as error:
        raise FileError(f"{source}: {error}") from error


def document_of(case: Case) -> dict[str, Any]:
    """A case as the document that `write_document` writes; parameters in the declared layouts."""
    fields: dict[str, Any] = {"format": "functional-mlp/case", "version": VERSION}
    if case.name:
        fields["name"] = case.name
    fields |= {"dtype": case.dtype, "network": network_fields(case.network)}
    if case.loss is not None:
        options = case.loss.as_fields().items()
        fields["loss"] = {name: list(value) if isinstance(value, tuple) else value for name, value in options}
    layout = case.layout
    declared = {"weights_layout": case.weights_layout, "bias_layout": case.bias_layout, "samples": layout.samples}
    fields |= {name: value for name, value in declared.items() if value not in ("in_out", "separate", "rows")}
    fields["params"] = [declared_layer(layer, layout) for layer in case.params]
    fields |= declared_data(case)
    if case.sample_weights is not None:
        fields["sample_weights"] = case.sample_weights
    return fields


def network_fields(network: Network) -> dict[str, Any]:
    """A network as the field `network` of a document: an activation by its name, with the parameters it was given."""
    return {"sizes": list(network.sizes), "activations": [_activation_field(one) for one in network.activations]}


def _activation_field(activation: Activation) -> str | dict[str, Any]:
    name, given = activation.name, dict(activation.parameters)
    expression = expression_of(activation)
    if expression is not None:
        return {"name": name, "expression": expression}
    if not is_built_in(activation) or resolve({"name": name, **given}) != activation:
        raise ValueError(
            f"expected built-in activations or expressions, which files can name, got your own {name!r}; write it as"
            " {'name': 'cube', 'expression': 'z**3'}"
        )
    usual = dict(resolve(name).parameters)
    return name if usual == given else {"name": name, **given}


def write_case(path: Path_, case: Case) -> None:
    """Writes a case; errors as `write_document`, and for activations of your own, which files cannot name."""
    require_path(path)
    if not isinstance(case, Case):
        raise not_a_case(case, "it is write_case(path, case)")
    try:
        document = document_of(case)
    except ValueError as error:
        raise FileError(f"{path}: {error}") from error
    write_document(path, document, case.dtype)
