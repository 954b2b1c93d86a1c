"""Thousands of spoilt files: reading one gives a case or a FileError of one sentence, and never anything else.

FUZZ_MUTATIONS says how many (`make fuzz`: 10,000), FUZZ_SEED which ones.
"""

import copy
import json
import os
import struct
import zlib

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.files import FileError
from functional_mlp.oracle.case import Case
from functional_mlp.oracle.documents.cases import read_case
from tests.helpers.documents import FORMATS, example, npz, parts, tensors, valid_files
from tests.helpers.hostile import archive, claim, npy

MUTATIONS = int(os.environ.get("FUZZ_MUTATIONS", "300"))
SEED = int(os.environ.get("FUZZ_SEED", "0"))
MAX_BYTES = 2**22
VALID = valid_files()
WORDS = [
    *(b"NaN", b"-Infinity", b"1e999", b"null", b"true", b'""', b"[]", b"{}", b"[[", b"-0", b"1e-400", b"\xff\xfe"),
    *(b"\x00", b'"inputs":', b"9" * 400, b"PK\x03\x04", b"PK\x05\x06", b"(1L, )", b"'|O'", b"'<f4'", b"\\ud800"),
    *(b"\xff" * 8, b"\x00" * 8, b'"F32"', b'"shape":[0]', b"," * 3, b'{"a":' * 50),
]
ODD = [
    *(None, True, False, 0, -1, 1.5, 10**30, -0.0, 1e308, float("nan"), float("inf"), "", "tanh", "\ud800", "x" * 300),
    *([], {}, [[]], [1], [[1]], [[1.0, "a"]], [[True]], [None], {"name": "relu"}, {"weights": [[1.0]]}, [[[1.0]]]),
]
SHAPES = ["(4, 2)", "()", "(0,)", "(-1, 8)", f"({2**63}, 0)", "(8.0,)", "(True, 8)", "8", "(8,", "(4, 2L)", "('8',)"]
DESCRS = ["'<f8'", "'>f8'", "'<i8'", "'|O'", "'<U2'", "'V8'", "'m8'", "[('a', '<f8')]", "('<f8', (2,))", "8", "'f8f8'"]


def spoil_bytes(rng, content):
    """`content` with a few bytes changed, taken out, put in or moved."""
    spoilt = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        start, stop = sorted(rng.integers(0, len(spoilt) + 1, 2))
        match rng.integers(7):
            case 0:
                spoilt[start : start + 1] = rng.bytes(1)
            case 1 if start < len(spoilt):
                spoilt[start] ^= 1 << int(rng.integers(8))
            case 2:
                spoilt[start:start] = WORDS[rng.integers(len(WORDS))]
            case 3:
                word = WORDS[rng.integers(len(WORDS))]
                spoilt[start : start + len(word)] = word
            case 4:
                del spoilt[start : start + int(rng.integers(1, 20))]
            case 5:
                spoilt[start:start] = spoilt[start : start + min(stop - start, 200)]
            case _ if rng.integers(4) == 0:
                del spoilt[start:]
    return bytes(spoilt)


def places(value, path=()):
    """The paths of everything in a document."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def spoil_document(rng, document):
    """`document` with a few of its parts replaced, taken out, doubled or exchanged."""
    document = json.loads(json.dumps(document))
    for _ in range(rng.integers(1, 4)):
        found = [path for path in places(document) if path]
        if not found:
            break
        *above, key = found[rng.integers(len(found))]
        parent = document
        for step in above:
            parent = parent[step]
        match rng.integers(5):
            case 0:
                del parent[key]
            case 1 if isinstance(parent, list):
                parent.insert(key, parent[key])
            case 2 if isinstance(parent, dict):
                parent[f"{key}x"] = parent.pop(key)
            case 3:
                parent[key] = [parent[key]]
            case _:
                parent[key] = copy.deepcopy(ODD[rng.integers(len(ODD))])
    return document


def spoil_archive(rng, content):
    """A deflated or stored archive with fields of its directory changed, and its checksums sometimes put right."""
    spoilt = bytearray(content)
    headers = [i for i in range(len(spoilt)) if spoilt[i : i + 4] in (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06")]
    for _ in range(rng.integers(1, 4)):
        start = headers[rng.integers(len(headers))] + int(rng.integers(4, 46))
        form = ["<B", "<H", "<I"][rng.integers(3)]
        size = struct.calcsize(form)
        value = [0, 1, 8, 12, 99, 2 ** (8 * size) - 1, int(rng.integers(2 ** (8 * size)))][rng.integers(7)]
        if start + size <= len(spoilt):
            struct.pack_into(form, spoilt, start, min(value, 2 ** (8 * size) - 1))
    return bytes(spoilt)


def spoil_array(rng):
    """An archive, sound but for one array, spoilt below the archive's own checksums."""
    if rng.integers(2):
        member = npy(claim(SHAPES[rng.integers(len(SHAPES))], DESCRS[rng.integers(len(DESCRS))]), bytes(64))
    else:
        member = spoil_bytes(rng, npy(claim("(4, 2)"), bytes(64)))
    return archive((["inputs.npy", "header.npy", "params.0.npy", "x"][rng.integers(4)], member))


def spoil_tensors(rng, content):
    """A safetensors file whose header is spoilt as JSON, or as text with its length put right."""
    size = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + size], content[8 + size :]
    if rng.integers(2):
        header = json.dumps(spoil_document(rng, json.loads(header))).encode()
    else:
        header = spoil_bytes(rng, header)
    return len(header).to_bytes(8, "little") + header + data


def spoil_header(rng):
    """A binary file that is sound but for the fields that are no arrays."""
    header = json.dumps(spoil_document(rng, parts(example())[0]))
    return (npz if rng.integers(2) else tensors)(header=header)


def mutation(number):
    """The mutation of this number, always the same: a name, bytes."""
    rng = np.random.default_rng([SEED, number])
    name = sorted(VALID)[rng.integers(len(VALID))]
    content, binary = VALID[name], rng.integers(3)
    if binary == 0:
        return name, spoil_bytes(rng, content)
    if name.endswith(".json"):
        return name, json.dumps(spoil_document(rng, json.loads(content))).encode()
    if rng.integers(4) == 0:
        return name, spoil_header(rng)
    if name.endswith(".safetensors"):
        return name, spoil_tensors(rng, content)
    return name, spoil_archive(rng, content) if binary == 1 else spoil_array(rng)


@pytest.fixture
def counts():
    return {"case": 0, "refused": 0}


def test_spoilt_files_give_a_case_or_a_sentence(tmp_path, counts, as_a_person):
    for number in range(MUTATIONS):
        name, content = mutation(number)
        path = tmp_path / name
        path.write_bytes(content)
        try:
            case = read_case(path, MAX_BYTES)
        except FileError as error:
            counts["refused"] += 1
            sentence = str(error)
            assert sentence.startswith(str(path)), f"mutation {number}: {sentence!r}"
            assert sentence.isprintable(), f"mutation {number}: {sentence!r}"
            assert len(sentence) < 400, f"mutation {number}: {sentence!r}"
        except BaseException as error:
            raise AssertionError(f"mutation {number} of {name} (crc {zlib.crc32(content)}) raises {error!r}") from error
        else:
            counts["case"] += 1
            assert isinstance(case, Case)
            assert all(np.isfinite(layer.weights).all() for layer in case.params)
    if MUTATIONS >= 100:  # neither all harmless nor all broken at the first byte
        assert min(counts.values()) > MUTATIONS // 50, counts


def test_spoilt_solutions_give_a_solution_or_a_sentence(tmp_path, as_a_person):
    case = oracle.draw_case(fm.Network((2, 3, 1), "tanh"), fm.Loss("squared_error"))
    solution = oracle.solve(case)
    valid = {}
    for form in FORMATS:
        path = tmp_path / f"solution.{form}"
        oracle.write_solution(path, case, solution)
        valid[form] = path.read_bytes()
    for number in range(MUTATIONS):
        rng = np.random.default_rng([SEED, number])
        form = FORMATS[number % len(FORMATS)]
        if form == "json" and rng.integers(2):
            content = json.dumps(spoil_document(rng, json.loads(valid[form]))).encode()
        else:
            content = spoil_bytes(rng, valid[form])
        path = tmp_path / f"solution.{form}"
        path.write_bytes(content)
        for given in (None, case):
            try:
                read = oracle.read_solution(path, given, MAX_BYTES)
            except FileError as error:
                sentence = str(error)
                assert sentence.startswith(str(path)), f"mutation {number}: {sentence!r}"
            except BaseException as error:
                raise AssertionError(f"mutation {number} of {form} raises {error!r}") from error
            else:
                assert np.isfinite(read.outputs).all()
