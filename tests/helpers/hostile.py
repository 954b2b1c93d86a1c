"""Files that strangers might send, by name: how each is made, and words that the one sentence about it must hold."""

import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np

from tests.helpers.documents import example, npz, parts, tensors, tensors_of_header, text

MEBIBYTE = 2**20
SIZES = {"sizes": [10**9, 10**9], "activations": "tanh"}


class Hostile(NamedTuple):
    """One file.

    Attributes:
        file: its name.
        content: its bytes, or a function that makes it at a path.
        words: what the sentence must hold, besides the file's name.
        max_bytes: the limit it is read with.
    """

    file: str
    content: bytes | Callable[[Path], object]
    words: list[str]
    max_bytes: int = 64 * MEBIBYTE


# pieces


def replaced(old: str, new: str) -> bytes:
    plain = text().decode()
    assert plain.count(old) == 1, old
    return plain.replace(old, new).encode()


def changed(section: str, **changes) -> bytes:
    return text(**{section: example()[section] | changes})


def layer(**changes) -> bytes:
    first, second = example()["params"]
    return text(params=[{name: leaf for name, leaf in (first | changes).items() if leaf is not None}, second])


def npy(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    size = struct.pack("<H" if version == b"\x01\x00" else "<I", len(header))
    return b"\x93NUMPY" + version + size + header.encode() + data


def claim(shape: str, descr: str = "'<f8'") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n"


def archive(*members: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """The example as an NPZ archive with members put in place of its own, or added, twice if given twice."""
    names = {name for name, _ in members}
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(npz())) as old, zipfile.ZipFile(file, "w", compression) as new:
        for info in old.infolist():
            if info.filename not in names:
                new.writestr(info.filename, old.read(info))
        for name, content in members:
            new.writestr(name, content)
    return file.getvalue()


def twice(name: str) -> bytes:
    """An archive with two members of one name: the name of another one of the same length is written over."""
    file = archive((name[:-5] + "X.npy", npy(claim("(4, 2)"), bytes(64))))
    return file.replace((name[:-5] + "X.npy").encode(), name.encode())


def patched(content: bytes, **fields: int) -> bytes:
    """An archive with fields of its first member's central directory entry overwritten, and of its local header."""
    places = {"flags": (6, 8, "<H"), "method": (8, 10, "<H"), "crc": (14, 16, "<I"), "file_size": (22, 24, "<I")}
    result = bytearray(content)
    central = content.index(b"PK\x01\x02")
    for name, value in fields.items():
        local, offset, form = places[name]
        struct.pack_into(form, result, local, value)
        struct.pack_into(form, result, central + offset, value)
    return bytes(result)


def bomb(size: int) -> bytes:
    """An archive of one deflated array, as large as asked for."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped, zipped.open("inputs.npy", "w") as member:
        member.write(npy(claim(f"({size // 8},)")))
        for _ in range(size // MEBIBYTE):
            member.write(bytes(MEBIBYTE))
    return file.getvalue()


def lying_bomb(size: int) -> bytes:
    """An archive whose directory says 100 bytes, with the checksum of these."""
    start = npy(claim(f"({size // 8},)")) + bytes(100)
    return patched(bomb(size), file_size=100, crc=zlib.crc32(start[:100]))


class Payload:
    """Unpickling it would write a file `unpickled` into the current folder."""

    def __reduce__(self):
        return open, ("unpickled", "w")


def pickled() -> bytes:
    return npy(claim("(1,)", "'|O'"), pickle.dumps(np.array([Payload()], object)))


def loop(path: Path) -> None:
    path.symlink_to(path)


def dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


def deep(field: str) -> bytes:
    return replaced('"an example"', f'"", "{field}": ' + "[" * 100_000 + "]" * 100_000)


JSON = {
    "empty": (b"", ["empty"]),
    "spaces": (b"  \n", ["JSON", "line 2"]),
    "cut in the middle": (text()[:200], ["JSON", "line 1"]),
    "cut at the end": (text()[:-1], ["JSON", "line 1"]),
    "cut in a number": (text()[: text().index(b"1.25") + 2], ["JSON"]),
    "more behind": (text() + b"{}", ["JSON", "Extra data"]),
    "a list": (b"[1, 2]", ["object", "list"]),
    "a number": (b"17", ["object", "int"]),
    "null": (b"null", ["object", "NoneType"]),
    "not JSON": (b"weights = 1\n", ["JSON"]),
    "random bytes": (np.random.default_rng(0).bytes(1000), ["UTF-8"]),
    "Latin-1": (replaced("an example", "caf\\u00e9").replace(b"\\u00e9", b"\xe9"), ["UTF-8", "byte"]),
    "UTF-16": (text().decode().encode("utf-16"), ["UTF-8", "byte 0"]),
    "UTF-16 without mark": (text().decode().encode("utf-16-le"), ["JSON"]),
    "NUL bytes": (bytes(5000), ["JSON"]),
    "another format": (text(format="functional-mlp/gradients"), ["functional-mlp/case", "functional-mlp/gradients"]),
    "no format": (text(format=None), ["format", "None"]),
    "format is a list": (text(format=[1]), ["format", "an array"]),
    "version 2": (text(version=2), ["version 1", "2"]),
    "version true": (text(version=True), ["version 1", "True"]),
    "version text": (text(version="1"), ["version 1", "'1'"]),
    "no version": (text(version=None), ["version", "None"]),
    "unknown field": (text(input=[[1.0]]), ["'input'", "did you mean 'inputs'?"]),
    "unknown field of the network": (changed("network", size=[1]), ["network:", "'size'", "did you mean 'sizes'?"]),
    "unknown field of the loss": (changed("loss", reduction="sum"), ["loss:", "'reduction'", "known: alpha"]),
    "unknown field of a layer": (layer(biases=[1.0]), ["params.0:", "'biases'", "did you mean 'bias'?"]),
    "unknown field of an activation": (
        replaced('"slope"', '"steepness"'),
        ["parameter of leaky_relu", "'steepness'", "slope"],
    ),
    "a parameter for tanh": (
        text(network={"sizes": [2, 1], "activations": {"name": "tanh", "slope": 1}}),
        ["'tanh'", "'slope'"],
    ),
    "an escape sequence as a field": (text(**{"\x1b[31m\n": 1}), ["unknown field", "\\x1b"]),
    "a field of a million letters": (text(**{"x" * 10**6: 1}), ["unknown field 'xxx"]),
    "a parameter of a million letters": (
        text(network={"sizes": [2, 1], "activations": {"name": "relu", "x" * 10**6: 1}}),
        ["network.activations", "no longer than 100"],
    ),
    "a text of a million letters": (text(name="x" * 10**6), ["name:", "no longer than 1000"]),
    "a name that cannot be printed": (text(name="\ud800\x1b"), ["name", "printable"]),
    "no network": (text(network=None), ["'network'"]),
    "no sizes": (text(network={"activations": "tanh"}), ["network", "'sizes'"]),
    "no params": (text(params=None), ["'params'"]),
    "no weights": (layer(weights=None), ["params.0", "'weights'"]),
    "no inputs": (text(inputs=None), ["'inputs'"]),
    "no kind": (text(loss={"scale": 1}), ["loss", "'kind'"]),
    "unknown dtype": (text(dtype="float34"), ["dtype", "float34", "did you mean 'float64'?"]),
    "dtype in a list": (text(dtype=["float64"]), ["dtype", "an array"]),
    "unknown layout": (text(weights_layout="outin"), ["weights_layout", "did you mean 'out_in'?"]),
    "unknown loss": (changed("loss", kind="square_error"), ["loss.kind", "did you mean 'squared_error'?"]),
    "unknown activation": (
        text(network={"sizes": [2, 3, 1], "activations": ["tanh", "sigmiod"]}),
        ["'sigmiod'", "did you mean 'sigmoid'?"],
    ),
    "activations a number": (text(network={"sizes": [2, 1], "activations": 5}), ["network.activations", "5"]),
    "an activation null": (text(network={"sizes": [2, 1], "activations": [None]}), ["network.activations.0", "None"]),
    "an activation without name": (
        text(network={"sizes": [2, 1], "activations": {"slope": 1}}),
        ["network.activations", "'name'"],
    ),
    "sizes a text": (text(network={"sizes": "2,1", "activations": "tanh"}), ["network.sizes", "array", "'2,1'"]),
    "a size 0": (text(network={"sizes": [2, 0, 1], "activations": "tanh"}), ["network.sizes.1", "at least 1", "0"]),
    "a negative size": (text(network={"sizes": [2, -1], "activations": "tanh"}), ["network.sizes.1", "-1"]),
    "a broken size": (text(network={"sizes": [2, 1.5], "activations": "tanh"}), ["network.sizes.1", "integer", "1.5"]),
    "a size of 5000 digits": (
        replaced("[2, 3, 1]", "[2, 1" + "0" * 5000 + "]"),
        ["network.sizes.1", "integer", "inf"],
    ),
    "one size": (text(network={"sizes": [2], "activations": "tanh"}), ["network.sizes", "as 2"]),
    "a million sizes": (text(network={"sizes": [2] * 10**6, "activations": "tanh"}), ["network.sizes", "1000"]),
    "huge sizes": (text(network=SIZES), ["params of 1 layers", "1000000000"]),
    "huge sizes that fit the layers": (
        text(network={"sizes": [10**9] * 3, "activations": "tanh"}),
        ["params[0].weights", "(1000000000, 1000000000)", "(2, 3)"],
    ),
    "scale a text": (changed("loss", scale="1"), ["loss.scale", "number", "'1'"]),
    "scale infinite": (replaced('"scale": 0.5', '"scale": 1e999'), ["scale", "finite", "inf"]),
    "negative l2": (changed("loss", l2=-1), ["loss.l2", "at least 0", "-1"]),
    "l2_on_bias a number": (changed("loss", l2_on_bias=1), ["loss.l2_on_bias", "boolean", "1"]),
    "loss a text": (text(loss="squared_error"), ["loss", "object", "'squared_error'"]),
    "an inadmissible loss": (changed("loss", kind="binary_cross_entropy"), ["binary_cross_entropy", "leaky_relu"]),
    "params an object": (text(params={"weights": []}), ["params", "array", "an object"]),
    "params arrays": (text(params=[[[1.0]], [[2.0]]]), ["params.0", "object", "an array"]),
    "too few layers": (text(params=example()["params"][:1]), ["params", "2 layers", "got 1"]),
    "too many layers": (text(params=example()["params"] * 2), ["params", "2 layers", "got 4"]),
    "weights transposed": (
        layer(weights=[[0.5, 1], [2, 3], [4, 5]]),
        ["params[0].weights", "(2, 3)", "(3, 2)"],
    ),
    "weights flat": (layer(weights=[0.5, 1, 2, 3, 4, 5]), ["params[0].weights", "(2, 3)", "(6,)"]),
    "weights a number": (layer(weights=1.0), ["params.0.weights", "array", "1.0"]),
    "bias too long": (layer(bias=[1.0, 2, 3, 4]), ["params[0].bias", "(3,)", "(4,)"]),
    "bias a text": (layer(bias="zeros"), ["params.0.bias", "array", "'zeros'"]),
    "bias with last_row": (
        text(bias_layout="last_row", params=[{"weights": [[1.0] * 3] * 3, "bias": [1.0] * 3}, {"weights": [[1]] * 4}]),
        ["params[0].bias", "last_row"],
    ),
    "ragged inputs": (text(inputs=[[1, 2], [3]]), ["inputs[1]", "2 entries", "got 1"]),
    "ragged weights": (layer(weights=[[1, 2, 3], [4, 5]]), ["params[0].weights[1]", "3 entries", "got 2"]),
    "a number among rows": (text(inputs=[[1, 2], 3]), ["inputs[1]", "a row", "got 3"]),
    "a row among numbers": (text(inputs=[[1, [2]]]), ["inputs[0][1]", "a number", "a list"]),
    "inputs too wide": (text(inputs=[[1.0] * 3] * 4), ["inputs", "(n, 2)", "(4, 3)"]),
    "inputs of three axes": (text(inputs=[[[1.0, 2.0]]] * 4), ["inputs", "(n, 2)", "(4, 1, 2)"]),
    "no samples": (text(inputs=[], targets=[]), ["inputs", "(n, 2)", "(0,)"]),
    "targets of another length": (text(targets=[[1.0]] * 3), ["targets", "(4, 1)", "(3, 1)"]),
    "NaN": (text(targets=[[1.0], [float("nan")]]), ["JSON", "NaN"]),
    "Infinity": (text(targets=[[1.0], [float("inf")]]), ["JSON", "Infinity"]),
    "1e999": (replaced("-3.5", "-1e999"), ["inputs[1, 0]", "finite", "-inf"]),
    "an integer of 5000 digits": (replaced("-3.5", "1" + "0" * 5000), ["inputs[1, 0]", "finite", "inf"]),
    "a text among numbers": (replaced("-3.5", '"-3.5"'), ["inputs[1][0]", "a number", "'-3.5'"]),
    "true among numbers": (replaced("-3.5", "true"), ["inputs[1][0]", "a number", "True"]),
    "null among numbers": (replaced("-3.5", "null"), ["inputs[1][0]", "a number", "None"]),
    "an object among numbers": (replaced("-3.5", "{}"), ["inputs[1][0]", "a number", "dict"]),
    "true alone": (text(sample_weights=[True] * 4), ["sample_weights[0]", "True"]),
    "not a float32": (
        replaced('"float64"', '"float32"').replace(b"0.1,", b"0.1000000002,"),
        ["params[0].weights[1, 0]", "float32", "0.1000000002", "0.10000000149011612"],
    ),
    "not a bfloat16": (
        replaced('"float64"', '"bfloat16"').replace(b"0.1,", b"1,").replace(b"0.2,", b"1.001953125,"),
        ["params[0].weights[1, 1]", "bfloat16", "1.001953125"],
    ),
    "beyond float16": (
        text(dtype="float16", params=[{"weights": [[1.0] * 3] * 2}, {"weights": [[1.0]] * 3}], inputs=[[65520, 0]] * 4),
        ["inputs[0, 0]", "65520.0", "float16"],
    ),
    "a field twice": (text()[:-1] + b', "inputs": [[0, 0]]}', ["'inputs'", "twice"]),
    "a field of a layer twice": (replaced('"bias": [0.125]', '"bias": [0.125], "bias": [1]'), ["'bias'", "twice"]),
    "a field twice behind 200,000 others": (
        b"{" + b",".join(b'"%d":1' % i for i in range(200_000)) + b',"199999":1}',
        ["'199999'", "twice"],
    ),
    "deep in a known field": (deep("inputs"), ["nested too deeply"]),
    "deep objects": (b'{"a":' * 100_000, ["nested too deeply"]),
    "somewhat deep": (text(inputs=json.loads("[" * 400 + "]" * 400)), ["inputs", "nested too deeply"]),
    "somewhat deep objects": (text(network=json.loads('{"a":' * 400 + "1" + "}" * 400)), ["network", "deeply"]),
    "targets without loss": (text(loss=None), ["a loss with targets", "ct_outputs"]),
    "loss without targets": (text(targets=None), ["a loss with targets"]),
    "targets and ct_outputs": (text(ct_outputs=[[1.0]] * 4), ["a loss with targets", "ct_outputs"]),
    "sample weights without loss": (
        text(loss=None, targets=None, ct_outputs=[[1.0]] * 4),
        ["ct_outputs alone"],
    ),
    "neither loss nor ct_outputs": (text(loss=None, targets=None, sample_weights=None), ["a loss with targets"]),
    "negative sample weights": (text(sample_weights=[1, -1, 0, 0]), ["sample_weights", "negative"]),
    "sample weights all 0": (text(sample_weights=[0] * 4), ["sample_weights", "not all 0"]),
    "sample weights as a column": (text(sample_weights=[[1]] * 4), ["sample_weights", "(4,)", "(4, 1)"]),
}
OTHERS = {
    "a directory": Hostile("case.json", Path.mkdir, ["irectory"]),
    "no file": Hostile("case.json", lambda path: None, ["No such file"]),
    "a FIFO": Hostile("case.json", os.mkfifo, ["regular file"]),
    "a dangling link": Hostile("case.json", dangling, ["No such file"]),
    "a link to itself": Hostile("case.json", loop, ["symbolic links"]),
    "a link to /dev/zero": Hostile("case.json", lambda path: path.symlink_to("/dev/zero"), ["regular file"]),
    "a link to /dev/null": Hostile("case.json", lambda path: path.symlink_to("/dev/null"), ["regular file"]),
    "a terabyte": Hostile("case.json", sparse, ["--max-bytes", str(64 * MEBIBYTE)]),
    "one byte too many": Hostile("case.json", text(), ["--max-bytes"], max_bytes=len(text()) - 1),
    "100,000 layers": Hostile("case.json", text(params=[{"weights": []}] * 10**5), ["params", "999"]),
}
NPZ = {
    "cut": (npz()[:1000], ["NPZ"]),
    "cut at the end": (npz()[:-1], ["NPZ"]),
    "without its beginning": (b"PK\x03\x04" + npz()[100:], ["NPZ"]),
    "no members": (b"PK\x05\x06" + bytes(18), ["header"]),
    "no header": (npz(without=["header"]), ["array named header"]),
    "header of several texts": (archive(("header.npy", npy(claim("(2,)", "'<U1'"), bytes(8)))), ["header", "text"]),
    "header no text": (archive(("header.npy", npy(claim("()"), bytes(8)))), ["'header'", "float64"]),
    "header no Unicode": (archive(("header.npy", npy(claim("()", "'<U1'"), b"\xff" * 4))), ["NPZ"]),
    "header no JSON": (npz(header="kind: case"), ["header", "JSON"]),
    "header with a deep list": (npz(header='{"a":' + "[" * 100_000), ["header", "nested too deeply"]),
    "header with arrays too": (npz(header=example()), ["stands twice"]),
    "header of another version": (npz(header=parts(example(version=7))[0]), ["version 1", "7"]),
    "format as an array": (
        npz(header=parts(example(format=None))[0], format=np.zeros(3)),
        ["functional-mlp/case", "an array"],
    ),
    "version as an array": (npz(header=parts(example(version=None))[0], version=np.ones(2)), ["version 1"]),
    "name as an array": (npz(header=parts(example(name=None))[0], name=np.ones(2)), ["name", "string", "an array"]),
    "an unknown array": (npz(input=np.ones(2)), ["'input'", "did you mean 'inputs'?"]),
    "an unknown array of a layer": (npz(**{"params.0.biases": np.ones(3)}), ["params.0", "'biases'"]),
    "layers with a gap": (npz(**{"params.7.weights": np.ones((1, 1))}), ["'params'", "entry 2", "entry 7"]),
    "layers by another spelling": (npz(**{"params.00.weights": np.ones((2, 3))}), ["'params.00.weights'"]),
    "layers by Arabic digits": (npz(**{"params.\u0661.bias": np.ones(1)}), ["'params.\u0661.bias'"]),
    "layers numbered to a billion": (npz(**{"params.1000000000.bias": np.ones(1)}), ["'params.1000000000.bias'"]),
    "a layer as array too": (npz(**{"params.0": np.ones(1)}), ["'params.0'", "beside"]),
    "params as array too": (npz(params=np.ones(1)), ["'params'", "twice"]),
    "a name too long": (npz(**{"params.0.weights.1": np.ones(1)}), ["'params.0.weights.1'"]),
    "a path upwards": (archive(("../../etc/case.npy", npy(claim("(1,)"), bytes(8)))), ["'../../etc/case'"]),
    "an absolute path": (archive(("/etc/case.npy", npy(claim("(1,)"), bytes(8)))), ["'/etc/case'"]),
    "a folder": (archive(("folder/", b"")), ["'folder/'", ".npy"]),
    "a text among the members": (archive(("README", b"hello")), ["'README'", ".npy"]),
    "pickled objects": (archive(("inputs.npy", pickled())), ["'inputs'", "never unpickled"]),
    "pickled header": (archive(("header.npy", pickled())), ["'header'", "never unpickled"]),
    "a pickle": (archive(("inputs.npy", pickle.dumps(Payload()))), ["'inputs'", ".npy"]),
    "billions of entries": (archive(("inputs.npy", npy(claim("(4000000000, 2)")))), ["'inputs'", "4000000000"]),
    "more entries than fit an integer": (archive(("inputs.npy", npy(claim(f"({2**62}, 8)")))), ["'inputs'", "shape"]),
    "a negative shape": (archive(("inputs.npy", npy(claim("(-4, -2)"), bytes(64)))), ["'inputs'", "(-4, -2)"]),
    "an empty array, huge otherwise": (archive(("inputs.npy", npy(claim(f"(0, {2**63})")))), ["NPZ"]),
    "a shape that is none": (archive(("inputs.npy", npy(claim("'ab'")))), ["'inputs'", ".npy"]),
    "no samples": (archive(("inputs.npy", npy(claim("(0, 2)")))), ["inputs", "one sample", "(0, 2)"]),
    "a header of 9000 brackets": (
        archive(("inputs.npy", npy(claim("(" * 4500 + ")" * 4500)))),
        ["'inputs'", ".npy"],
    ),
    "a header of 100,000 brackets": (
        archive(("inputs.npy", npy("[" * 100_000, version=b"\x02\x00"))),
        ["'inputs'", ".npy"],
    ),
    "a header that is a call": (archive(("inputs.npy", npy("open('unpickled', 'w')"))), ["'inputs'", ".npy"]),
    "a header cut": (archive(("inputs.npy", npy(claim("(4, 2)"))[:20])), ["'inputs'", ".npy"]),
    ".npy version 3": (archive(("inputs.npy", npy(claim("(4, 2)"), bytes(64), b"\x03\x00"))), ["'inputs'", "3.0"]),
    ".npy version 9": (archive(("inputs.npy", npy(claim("(4, 2)"), bytes(64), b"\x09\x00"))), ["'inputs'", "9.0"]),
    "a structured dtype": (npz(inputs=np.zeros((4, 2), [("a", "<f8")])), ["'inputs'", "real numbers"]),
    "rows as dtype": (
        archive(("inputs.npy", npy(claim("(4,)", "('<f8', (2,))"), bytes(64)))),
        ["'inputs'", "real numbers"],
    ),
    "complex numbers": (npz(inputs=np.zeros((4, 2), complex)), ["'inputs'", "real numbers", "complex128"]),
    "booleans": (npz(inputs=np.zeros((4, 2), bool)), ["'inputs'", "real numbers", "bool"]),
    "texts": (npz(inputs=np.full((4, 2), "1")), ["'inputs'", "real numbers", "<U1"]),
    "durations": (npz(inputs=np.zeros((4, 2), "m8[s]")), ["'inputs'", "real numbers", "timedelta64"]),
    "quadruple precision": (npz(inputs=np.zeros((4, 2), np.longdouble)), ["inputs", "64 bits", "float128"]),
    "integers that are no float64": (npz(inputs=np.full((4, 2), 2**53 + 1)), ["inputs", "integers"]),
    "the largest integer": (npz(inputs=np.full((4, 2), 2**64 - 1, np.uint64)), ["inputs", "integers"]),
    "NaN": (npz(inputs=np.full((4, 2), np.nan)), ["inputs[0, 0]", "finite", "nan"]),
    "signalling NaN": (
        npz(inputs=np.full((4, 2), 0x7F800001, np.uint32).view(np.float32)),
        ["inputs[0, 0]", "finite", "nan"],
    ),
    "infinity": (npz(inputs=np.array([[0, 1], [0, -np.inf], [0, 0], [0, 0]])), ["inputs[1, 1]", "finite", "-inf"]),
    "not a float32": (npz(header=parts(example(dtype="float32"))[0]), ["params[0].weights[1, 0]", "0.1"]),
    "members twice": (twice("inputs.npy"), ["'inputs'", "twice"]),
    "a member with and without suffix": (archive(("inputs", npy(claim("(4, 2)"), bytes(64)))), ["'inputs'", "twice"]),
    "an encrypted member": (patched(npz(), flags=1), ["'header.npy'", "encrypted"]),
    "bzip2": (archive(compression=zipfile.ZIP_BZIP2), ["'header.npy'", "compression 12"]),
    "LZMA": (archive(compression=zipfile.ZIP_LZMA), ["'header.npy'", "compression 14"]),
    "an unknown compression": (patched(npz(), method=99), ["'header.npy'", "compression 99"]),
    "a wrong checksum": (patched(npz(), crc=1), ["NPZ", "CRC"]),
    "a wrong size": (patched(npz(), file_size=100), ["NPZ"]),
    "a bomb": (bomb(256 * MEBIBYTE), ["unpacks to", "67108864"]),
    "a bomb that lies": (lying_bomb(256 * MEBIBYTE), ["'inputs'"]),
}
SAFETENSORS = {
    "cut": (tensors()[:-10], ["safetensors"]),
    "cut in the header": (tensors()[:100], ["safetensors"]),
    "more behind": (tensors() + bytes(8), ["safetensors"]),
    "header of an exabyte": (tensors_of_header({}, length=2**55), ["safetensors"]),
    "header of 2^64 bytes": (tensors_of_header({}, length=2**64 - 1), ["UTF-8"]),
    "header no JSON": (tensors_of_header(b"{weights}"), ["safetensors"]),
    "header no UTF-8": (tensors_of_header(b'{"\xff": 1}'), ["safetensors"]),
    "header a list in an object": (tensors_of_header({"inputs": [1]}), ["safetensors"]),
    "header of 100,000 brackets": (tensors_of_header(b'{"a":' + b"[" * 100_000), ["safetensors"]),
    "no header of ours": (tensors_of_header({}), ["metadata named header"]),
    "header of ours no text": (tensors_of_header({"__metadata__": {"header": {}}}), ["safetensors"]),
    "header of ours no JSON": (tensors(header="case"), ["header", "JSON"]),
    "header of ours deep": (tensors(header="[" * 100_000), ["header", "nested too deeply"]),
    "header of ours with arrays": (tensors(header=example()), ["stands twice"]),
    "billions of entries": (
        tensors_of_header({"inputs": {"dtype": "F64", "shape": [4 * 10**9, 2], "data_offsets": [0, 64 * 10**9]}}),
        ["safetensors"],
    ),
    "more entries than fit an integer": (
        tensors_of_header({"inputs": {"dtype": "F64", "shape": [2**62, 2**62], "data_offsets": [0, 8]}}, bytes(8)),
        ["safetensors"],
    ),
    "an empty array, huge otherwise": (
        tensors_of_header({"inputs": {"dtype": "F64", "shape": [0, 2**63], "data_offsets": [0, 0]}}),
        ["'inputs'", "shape"],
    ),
    "arrays that overlap": (
        tensors_of_header(
            {name: {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]} for name in ("inputs", "targets")}, bytes(8)
        ),
        ["safetensors"],
    ),
    "a negative offset": (
        tensors_of_header({"inputs": {"dtype": "F64", "shape": [1], "data_offsets": [-8, 0]}}, bytes(8)),
        ["safetensors"],
    ),
    "integers": (tensors(inputs=np.zeros((4, 2), np.int32)), ["'inputs'", "F64", "I32"]),
    "booleans": (tensors(inputs=np.zeros((4, 2), bool)), ["'inputs'", "F64", "BOOL"]),
    "8-bit floats": (tensors(inputs=np.zeros((4, 2), ml_dtypes.float8_e4m3fn)), ["'inputs'", "F64", "F8_E4M3"]),
    "NaN": (tensors(inputs=np.full((4, 2), np.nan)), ["inputs[0, 0]", "finite"]),
    "an unknown array": (tensors(input=np.ones(2)), ["'input'", "did you mean 'inputs'?"]),
    "a gap": (tensors(**{"params.9.bias": np.ones(2)}), ["'params'", "entry 9"]),
    "not a float16": (tensors(header=parts(example(dtype="float16"))[0]), ["params[0].weights[1, 0]", "float16"]),
    "no weights": (tensors(without=["params.0.weights"]), ["params.0", "'weights'"]),
    "no arrays": (tensors(without=list(parts(example())[1])), ["'params'"]),
}
HOSTILE: dict[str, Hostile] = {
    **{f"JSON: {name}": Hostile("case.json", *rest) for name, rest in JSON.items()},
    **OTHERS,
    **{f"NPZ: {name}": Hostile("case.npz", *rest) for name, rest in NPZ.items()},
    **{f"safetensors: {name}": Hostile("case.safetensors", *rest) for name, rest in SAFETENSORS.items()},
}
