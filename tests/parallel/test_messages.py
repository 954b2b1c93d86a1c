"""What processes tell each other, as bytes."""

import jax
import numpy as np

from functional_mlp.parallel.messages import packed, pieces_of, unpacked


def same_bits(one, other):
    return one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)


def test_arrays_of_every_dtype_are_packed_bit_by_bit():
    bfloat16 = np.asarray(jax.numpy.arange(3, dtype=jax.numpy.bfloat16))
    arrays = {"a": np.array([np.nan, -0.0]), "b": np.zeros((0, 2), np.float32), "c": np.uint32(7)[None], "d": bfloat16}
    about, back = unpacked(packed({"first": 3}, arrays))
    assert about == {"first": 3}
    assert same_bits(back, arrays)
    assert [array.dtype for array in back.values()] == [array.dtype for array in arrays.values()]


def test_pieces_are_of_few_sizes_and_hold_all():
    for size in (1, 1024, 1025, 5000):
        content = bytes(range(256)) * (size // 256 + 1)
        pieces = list(pieces_of(content[:size], size))
        assert {len(piece) for piece in pieces} <= {2**n for n in range(10, 27)}
        assert b"".join(piece.tobytes() for piece in pieces)[:size] == content[:size]
