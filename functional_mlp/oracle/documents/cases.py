"""Cases as files, and what the fields of their documents mean."""

import dataclasses
from typing import Any

import numpy as np

from functional_mlp.activations import FACTORIES, resolve
from functional_mlp.files import MAX_BYTES, FileError, Path_, read_bytes
from functional_mlp.losses import Loss
from functional_mlp.network import Network
from functional_mlp.oracle.case import Case, declared_layer, not_a_case, rounded
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
    check_schema(document, "case", source)
    dtype = document.get("dtype", "float64")
    return case_of(_as_meant(document, text, dtype) if text and dtype != "float64" else document, source)


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
            weights_layout=document.get("weights_layout", "in_out"),
            bias_layout=document.get("bias_layout", "separate"),
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
        fields["loss"] = dataclasses.asdict(case.loss)
    for name, default in (("weights_layout", "in_out"), ("bias_layout", "separate")):
        if getattr(case, name) != default:
            fields[name] = getattr(case, name)
    fields["params"] = [declared_layer(layer, case.weights_layout, case.bias_layout) for layer in case.params]
    for name in ("inputs", "targets", "ct_outputs", "sample_weights"):
        if getattr(case, name) is not None:
            fields[name] = getattr(case, name)
    return fields


def network_fields(network: Network) -> dict[str, Any]:
    """A network as the field `network` of a document: an activation by its name, with the parameters it was given."""
    activations = []
    for activation in network.activations:
        name, given = activation.name, dict(activation.parameters)
        if name not in FACTORIES or resolve({"name": name, **given}) != activation:
            raise ValueError(f"expected built-in activations, which files can name, got {name!r}")
        activations.append(name if resolve(name) == activation else {"name": name, **given})
    return {"sizes": list(network.sizes), "activations": activations}


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
