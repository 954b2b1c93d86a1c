"""Cases as files, and what the fields of their documents mean."""

from typing import Any

from functional_mlp.activations import FACTORIES, resolve
from functional_mlp.files import MAX_BYTES, FileError, Path_
from functional_mlp.losses import Loss
from functional_mlp.network import Network
from functional_mlp.oracle.case import Case, declared_layer, not_a_case
from functional_mlp.oracle.documents.schema import VERSION, read_document, require_path, write_document


def read_case(path: Path_, max_bytes: int = MAX_BYTES) -> Case:
    """Reads a case.

    Args:
        path: a .json, .npz or .safetensors file; "-" reads JSON from standard input.
        max_bytes: the largest file, and the largest unpacked content, that is accepted.

    Raises:
        FileError: if the file cannot be read, or is no sound case.
    """
    return case_of(read_document(path, "case", max_bytes), str(path))


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
            dtype=document["dtype"],
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
        options = case.loss.as_fields().items()
        fields["loss"] = {name: list(value) if isinstance(value, tuple) else value for name, value in options}
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
