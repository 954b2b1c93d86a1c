"""What processes tell each other, as bytes: what JSON knows, and arrays by name.

It goes through JAX's own collectives, as bytes, so that nothing is rounded on the way, and in pieces whose sizes are
few, since each is a program of its own.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

_PIECE = 2**26  # bytes that are sent at once
_SMALLEST = 2**10


def packed(about: Any, arrays: Mapping[str, np.ndarray]) -> bytes:
    """What JSON knows, and arrays by name, as bytes."""
    listed = [[name, str(array.dtype), array.shape] for name, array in arrays.items()]
    header = json.dumps([about, listed]).encode()
    return b"".join([_size(header), header, *(np.ascontiguousarray(array).tobytes() for array in arrays.values())])


def unpacked(content: bytes) -> tuple[Any, dict[str, np.ndarray]]:
    """What was `packed`."""
    position = 8 + int.from_bytes(content[:8], "little")
    about, listed = json.loads(content[8:position])
    arrays = {}
    for name, dtype, shape in listed:
        empty = np.empty(shape, jnp.dtype(dtype))  # JAX knows bfloat16
        arrays[name] = np.frombuffer(content, empty.dtype, empty.size, position).reshape(shape)
        position += empty.nbytes
    return about, arrays


def _size(content: bytes) -> bytes:
    return len(content).to_bytes(8, "little")


def pieces_of(content: bytes, size: int) -> Iterator[np.ndarray]:
    """`size` bytes, of which `content` is the beginning, in arrays of powers of two and 64 MiB at most."""
    for start in range(0, size, _PIECE):
        piece = np.zeros(max(_SMALLEST, 1 << (min(_PIECE, size - start) - 1).bit_length()), np.uint8)
        given = np.frombuffer(content[start : start + _PIECE], np.uint8)
        piece[: len(given)] = given
        yield piece


def broadcast(content: bytes) -> bytes:
    """What process 0 passes; the others pass what they like."""
    size = int.from_bytes(multihost_utils.broadcast_one_to_all(np.frombuffer(_size(content), np.uint8)), "little")
    pieces = [multihost_utils.broadcast_one_to_all(piece).tobytes() for piece in pieces_of(content, size)]
    return b"".join(pieces)[:size]


def gather(content: bytes) -> list[bytes]:
    """What each process passes, in their order."""
    lengths = multihost_utils.process_allgather(np.frombuffer(_size(content), np.uint8))
    sizes = [int.from_bytes(each.tobytes(), "little") for each in lengths]
    pieces = [multihost_utils.process_allgather(piece) for piece in pieces_of(content, max(sizes))]
    return [b"".join(piece[index].tobytes() for piece in pieces)[:size] for index, size in enumerate(sizes)]
