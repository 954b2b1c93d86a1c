"""Floating-point formats, and what a program declares about the one it computes in.

A precision is a storage format (what results are rounded to), an accumulation format (what sums run in), a product
format (what factors are rounded to before they are multiplied, which is what tf32 is about) and an inner format (what
elementary operations run in between reading and writing, which is what a fused kernel is about). This module computes
nothing.
"""

from typing import NamedTuple

import ml_dtypes

from functional_mlp._checks import known_name
from functional_mlp._dtypes import DTYPES


class Format(NamedTuple):
    """A binary floating-point format.

    Attributes:
        name: as in `PRECISIONS`.
        unit: unit roundoff u: a result is off by at most u times its magnitude.
        smallest: below this in magnitude, results may be off by this much: underflow.
        largest: the largest finite number.
        bits: of the significand, the leading one included.
    """

    name: str
    unit: float
    smallest: float
    largest: float
    bits: int


def _format(name: str, flushes: bool) -> Format:
    info = ml_dtypes.finfo(DTYPES[name])
    smallest = info.smallest_normal if flushes else info.smallest_subnormal
    return Format(name, float(info.eps) / 2, float(smallest), float(info.max), int(info.nmant) + 1)


# Subnormal numbers of the wide formats are often flushed to 0 (XLA on the CPU, -ffast-math); float16 keeps them.
FLOAT64 = _format("float64", flushes=True)
FLOAT32 = _format("float32", flushes=True)
BFLOAT16 = _format("bfloat16", flushes=True)
FLOAT16 = _format("float16", flushes=False)
# 11 bits, and hardware cuts the others off instead of rounding: twice the unit roundoff
TF32 = Format("tf32", 2.0**-10, FLOAT32.smallest, FLOAT32.largest, 11)
FORMATS = {form.name: form for form in (FLOAT64, FLOAT32, BFLOAT16, FLOAT16)}


class Precision(NamedTuple):
    """What the checked program computed in.

    Attributes:
        name: as declared, such as "float32", "tf32" or "float16/float32".
        storage: format of every stored result.
        accumulation: format in which sums run, before they are stored.
        products: format of the factors of matrix products.
        inner: format of what is computed in one kernel before it is written. Networks are judged as programs that write
            the result of every operation.
    """

    name: str
    storage: Format
    accumulation: Format
    products: Format
    inner: Format


_WIDER = [
    (low, high)
    for low in FORMATS.values()
    for high in FORMATS.values()
    if high.unit < low.unit and high.largest >= low.largest
]
PRECISIONS = {name: Precision(name, form, form, form, form) for name, form in FORMATS.items()}
PRECISIONS["tf32"] = Precision("tf32", FLOAT32, FLOAT32, TF32, FLOAT32)
PRECISIONS |= {f"{a.name}/{b.name}": Precision(f"{a.name}/{b.name}", a, b, a, a) for a, b in _WIDER}
PRECISIONS |= {f"{a.name} in {b.name}": Precision(f"{a.name} in {b.name}", a, b, a, b) for a, b in _WIDER}


OTHER_NAMES = {"fp64": "float64", "double": "float64", "fp32": "float32", "float": "float32", "single": "float32"}
OTHER_NAMES |= {"fp16": "float16", "half": "float16", "bf16": "bfloat16"}


def precision_named(name: str) -> Precision:
    """The precision that a name declares.

    Args:
        name: "float64", "float32", "tf32", "bfloat16", "float16", or "stored/accumulated" such as "float16/float32", or
            "stored in computed" such as "bfloat16 in float32": a fused kernel that reads and writes the first, and
            computes in the second.

    Raises:
        TypeError: if `name` is not a string.
        ValueError: if it is unknown; the nearest known name is suggested.
    """
    if name in OTHER_NAMES:
        raise ValueError(f"unknown precision {name!r}: did you mean {OTHER_NAMES[name]!r}?")
    return PRECISIONS[known_name("precision", name, PRECISIONS)]


def wider(precision: Precision) -> str | None:
    """The name of the next precision in which a question that this one leaves open may be decided, or None."""
    return {"float64": None, "float32": "float64"}.get(precision.name, "float32")
