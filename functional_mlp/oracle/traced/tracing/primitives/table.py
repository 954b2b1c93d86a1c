"""The one table of primitives, and the refusal of those that are not in it."""

from typing import Any

import jax
import numpy as np

from functional_mlp import _jax_compat
from functional_mlp.oracle.traced.tracing.primitives.convolution import CONVOLUTION
from functional_mlp.oracle.traced.tracing.primitives.decisions import BITS, DECISIONS, TO_WHOLE_NUMBERS
from functional_mlp.oracle.traced.tracing.primitives.elementwise import EXACT, ROUNDED
from functional_mlp.oracle.traced.tracing.primitives.indexing import INDEXING
from functional_mlp.oracle.traced.tracing.primitives.movement import MOVEMENT
from functional_mlp.oracle.traced.tracing.primitives.operation import (
    Kind,
    Operation,
    Primitive,
    Value,
    by_jax,
)
from functional_mlp.oracle.traced.tracing.primitives.sums import REDUCTIONS, SUMS


def _cast(operation: Operation, x: Value) -> Value:
    """Floats stay what they are, whatever float the function asks for: the declared precision says how they round."""
    kind = operation.params["new_dtype"]
    return x.astype(np.float64 if jax.dtypes.issubdtype(kind, np.floating) else kind)


def _root_mean_square(a: Value) -> Value:
    return np.sqrt(np.mean(a * a, axis=(-2, -1), keepdims=True))


# of what a factorisation is given, the numbers may be off by units of themselves, and of their matrix as a whole; what
# solves triangular systems is stable number by number, and the two factors in one matrix are of different sizes
FACTORISATIONS: dict[str, Primitive] = {
    **{
        name: Primitive(by_jax, Kind.BACKWARD, 2.0, _root_mean_square)
        for name in (
            *("cholesky", "lu", "qr", "geqrf", "householder_product", "ormqr", "eigh", "svd"),
            *("tridiagonal", "hessenberg", "schur"),
        )
    },
    **{name: Primitive(by_jax, Kind.BACKWARD, 2.0) for name in ("triangular_solve", "tridiagonal_solve")},
}
CAST = Primitive(_cast, linear=True)
TABLE: dict[str, Primitive] = {
    **ROUNDED,
    **EXACT,
    **MOVEMENT,
    **INDEXING,
    **SUMS,
    **REDUCTIONS,
    **CONVOLUTION,
    **DECISIONS,
    **FACTORISATIONS,
    "convert_element_type": CAST,
}
BY_JAX = Primitive(by_jax)  # of whole numbers, truth values and keys: nothing rounds


def _is_float(v: Any) -> bool:
    return jax.dtypes.issubdtype(_jax_compat.dtype_of(v), np.floating)


def primitive_of(operation: Operation) -> Primitive | None:
    """What is known of an operation; None if nothing is.

    What works on whole numbers, truth values and keys alone is exact, whatever it is.
    """
    takes = any(map(_is_float, operation.equation.invars))
    gives = any(map(_is_float, operation.equation.outvars))
    if operation.name == "convert_element_type" and takes and not gives:
        return (
            _NOT_ZERO if np.dtype(_jax_compat.dtype_of(operation.equation.outvars[0])).kind == "b" else TO_WHOLE_NUMBERS
        )
    if operation.name == "bitcast_convert_type":
        return BITS if takes else BY_JAX
    return TABLE.get(operation.name, None if takes or gives else BY_JAX)


_NOT_ZERO = DECISIONS["ne"]._replace(decide=lambda operation, x: x != 0)
