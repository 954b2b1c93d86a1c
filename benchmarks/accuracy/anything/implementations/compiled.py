"""The backward passes of kernels.c, compiled with gcc in a temporary folder, without and with -ffast-math."""

import ctypes
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.implementations.compiled import C_TYPES, FAST, STRICT
from benchmarks.compiler import shared_object

SOURCE = Path(__file__).with_name("kernels.c")


@functools.cache
def _loaded(flags: tuple[str, ...], dtype: str) -> ctypes.CDLL:
    return shared_object(SOURCE, ("-std=c11", f"-DREAL={C_TYPES[dtype]}", *flags))


def _dimensions(name: str, floats: list[Any], ct: Any) -> tuple[int, ...]:
    x = floats[0]
    return {
        "layer_norm": lambda: x.shape,
        "rms_norm": lambda: x.shape,
        "softmax": lambda: x.shape,
        "gelu_tanh": lambda: (x.size,),
        "linear": lambda: (*x.shape, floats[1].shape[0]),
        "causal_attention": lambda: (x.shape[0] * x.shape[1], *x.shape[2:]),
        "conv1d": lambda: (*x.shape[:2], floats[1].shape[0], floats[1].shape[2], x.shape[2], ct.shape[2]),
    }[name]()


READ = {"layer_norm": 2, "rms_norm": 2, "softmax": 1, "gelu_tanh": 1, "linear": 2, "causal_attention": 3, "conv1d": 2}


def by_c(name: str, flags: tuple[str, ...]) -> Callable[..., list[Any]]:
    """The function of that name: floats and the cotangent in one dtype, to gradients."""

    def run(*given: Any) -> list[Any]:
        *floats, ct = (np.ascontiguousarray(x) for x in given)
        found = [np.empty_like(x) for x in floats]
        scratch = [np.empty(floats[0].shape[2], ct.dtype)] if name == "causal_attention" else []
        arrays = [*floats[: READ[name]], ct, *found, *scratch]
        getattr(_loaded(flags, str(ct.dtype)), name)(
            *map(ctypes.c_long, _dimensions(name, floats, ct)), *(ctypes.c_void_p(x.ctypes.data) for x in arrays)
        )
        return found

    return run


FLAGS = {"C": STRICT, "C, -ffast-math": FAST}
