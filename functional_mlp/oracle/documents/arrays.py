"""Arrays by their names, as other programs dump them: NPZ and safetensors without a header of this project.

Files come from strangers: nothing is unpickled, sizes are bounded before memory is taken, and whatever is wrong becomes
one `FileError`.
"""

import numpy as np

from functional_mlp._dtypes import DTYPES, SAFETENSORS_NAMES
from functional_mlp.files import MAX_BYTES, FileError, Path_, npz_arrays, read_bytes
from functional_mlp.oracle.documents.codec import format_of, tensors_of

MAX_ARRAYS = 10_000
INTEGERS = {f"I{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)}
INTEGERS |= {f"U{bits}": np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64)}
READABLE = {name: DTYPES[dtype] for dtype, name in SAFETENSORS_NAMES.items()} | INTEGERS | {"BOOL": np.dtype(bool)}


def read_arrays(path: Path_, max_bytes: int = MAX_BYTES) -> dict[str, np.ndarray]:
    """The arrays of a file by name: floats, integers and booleans, in the dtypes that they have there.

    Args:
        path: of an NPZ archive or a safetensors file; which it is, its content tells.
        max_bytes: that the file may have, and unpack to.

    Raises:
        FileError: if it is none, holds no arrays or too many, or arrays of other dtypes; NPZ has no bfloat16.
    """
    source = str(path)
    content = read_bytes(path, max_bytes)
    match format_of(content):
        case "npz":
            arrays = npz_arrays(content, source, max_bytes, booleans=True)
        case "safetensors":
            arrays = tensors_of(content, source, READABLE)[0]
        case _:
            raise FileError(f"{source}: expected arrays as NPZ or safetensors, got another format")
    if not 0 < len(arrays) <= MAX_ARRAYS:
        raise FileError(f"{source}: expected between 1 and {MAX_ARRAYS} arrays, got {len(arrays)}")
    return arrays
