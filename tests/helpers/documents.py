"""Small sound documents and their bytes in every format, for the tests of files to read, to spoil and to mutate."""

import io
import json

import ml_dtypes
import numpy as np
import safetensors.numpy

FORMATS = ("json", "npz", "safetensors")


def example(**changes):
    """A sound case of a 2-3-1 network as the fields of a JSON document; None removes a field."""
    fields = {
        "format": "functional-mlp/case",
        "version": 1,
        "name": "an example",
        "dtype": "float64",
        "network": {"sizes": [2, 3, 1], "activations": ["tanh", {"name": "leaky_relu", "slope": 0.02}]},
        "loss": {"kind": "squared_error", "over_samples": "mean", "scale": 0.5},
        "params": [
            {"weights": [[0.5, -1.25, 2.0], [0.1, 0.2, -0.3]], "bias": [0.0, -0.5, 0.75]},
            {"weights": [[1.0], [-2.0], [0.25]], "bias": [0.125]},
        ],
        "inputs": [[1.0, 2.0], [-3.5, 0.0], [0.1, 1e-3], [4.0, 5.0]],
        "targets": [[0.5], [1.0], [0.0], [-1.0]],
        "sample_weights": [1.0, 2.0, 0.0, 0.5],
    }
    return {name: value for name, value in (fields | changes).items() if value is not None}


EXAMPLES = {
    "case": example(),
    "gradients": {
        "format": "functional-mlp/gradients",
        "version": 1,
        "params": example()["params"],
        "loss": 0.69,
        "outputs": [[0.1], [0.2], [0.3], [0.4]],
        "deltas": [[[0.1, 0.2, 0.3]] * 4, [[0.5]] * 4],
        "ct_inputs": [[0.0, 1.0]] * 4,
    },
    "update": {
        "format": "functional-mlp/update",
        "version": 1,
        "learning_rate": 0.1,
        "params": example()["params"],
    },
    "solution": {
        "format": "functional-mlp/solution",
        "version": 1,
        "case": "an example",
        "params": example()["params"],
        "loss": 0.69,
        "outputs": [[0.1], [0.2], [0.3], [0.4]],
        "pre_activations": [[[0.1, 0.2, 0.3]] * 4, [[0.5]] * 4],
        "activations": [[[0.1, 0.2, 0.3]] * 4, [[0.5]] * 4],
        "deltas": [[[0.1, 0.2, 0.3]] * 4, [[0.5]] * 4],
        "ct_inputs": [[0.0, 1.0]] * 4,
    },
}


def parts(document):
    """The header and the flat arrays that a case document becomes in the binary formats."""
    header, arrays = {}, {}
    for field, value in document.items():
        if field == "params":
            for i, layer in enumerate(value):
                arrays |= {f"params.{i}.{name}": np.array(leaf) for name, leaf in layer.items()}
        elif isinstance(value, list):
            arrays[field] = np.array(value)
        else:
            header[field] = value
    return header, arrays


def npz(header=None, write=np.savez, without=(), **changes):
    """The bytes of an NPZ file: the example's header and arrays, with arrays changed, added or left out."""
    known, arrays = parts(example())
    file = io.BytesIO()
    text = header if isinstance(header, str) else json.dumps(known if header is None else header)
    arrays = {"header": np.array(text)} | arrays | changes
    write(file, **{name: array for name, array in arrays.items() if name not in without})
    return file.getvalue()


def tensors(header=None, without=(), **changes):
    """The bytes of a safetensors file, likewise."""
    known, arrays = parts(example())
    arrays = {name: array for name, array in (arrays | changes).items() if name not in without}
    text = header if isinstance(header, str) else json.dumps(known if header is None else header)
    return safetensors.numpy.save(arrays, metadata={"header": text})


def tensors_of_header(header, data=b"", length=None):
    """A safetensors file with a header of one's own."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def text(**changes):
    """The bytes of a JSON file: the example, changed."""
    return json.dumps(example(**changes)).encode()


def valid_files():
    """Sound files in every format, small, to be mutated."""
    half = {name: array.astype(ml_dtypes.bfloat16) for name, array in parts(example())[1].items()}
    bare = example(loss=None, targets=None, sample_weights=None, ct_outputs=[[1.0]] * 4)
    return {
        "full.json": text(),
        "bare.json": json.dumps(bare).encode(),
        "stored.npz": npz(),
        "deflated.npz": npz(write=np.savez_compressed),
        "full.safetensors": tensors(),
        "half.safetensors": tensors(header=parts(example(dtype="bfloat16"))[0], **half),
    }
