"""A function and its VJP, traced once, in float64; what cannot be asked of is refused in one sentence."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from functional_mlp import _jax_compat
from functional_mlp._dtypes import Array
from functional_mlp.oracle.traced.tracing.evaluation import planned, unknown
from functional_mlp.oracle.traced.tracing.places import where_of
from functional_mlp.oracle.traced.tracing.primitives import as_value
from functional_mlp.oracle.traced.tracing.repeats import UnrepeatableError, require_repeatable
from functional_mlp.oracle.truth import float64_on_cpu

STRUCTURED = frozenset({"scan", "while", "cond", "custom_linear_solve"})


class Trace(NamedTuple):
    """A function and its VJP, traced once, in float64.

    Attributes:
        jaxpr: closed jaxpr of (*floats, *cotangents) -> (*outputs, *gradients); everything else is closed over.
        operands: the float64 values for its inputs.
        outputs: how many of the results are outputs; the others are gradients, one per differentiated leaf.
        forward: closed jaxpr of (*floats) -> outputs: the function alone.
    """

    jaxpr: Any
    operands: tuple[Array, ...]
    outputs: int
    forward: Any


def trace_vjp(
    function: Callable[..., Any], leaves: Sequence[Any], treedef: Any, moving: Sequence[int], ct: Any = None
) -> Trace:
    """Traces a function and its VJP.

    Args:
        function: of trees of arrays, traceable by JAX.
        leaves: all leaves of its arguments; floats are taken as float64.
        treedef: the structure of the tuple of arguments.
        moving: the indices of the leaves that are differentiated; all of them floats.
        ct: cotangents, shaped as the outputs; None for ones. Outputs that are no floats take None.

    Raises:
        ValueError: if the function cannot be traced, or does what cannot be judged: complex numbers, side effects,
            primitives that are not known; in one sentence.
    """
    values = [as_value(leaf) for leaf in leaves]

    def of_floats(*floats: Any) -> list[Any]:
        given = dict(zip(moving, floats, strict=True))
        arguments = jax.tree.unflatten(treedef, [given.get(i, value) for i, value in enumerate(values)])
        return jax.tree.leaves(function(*arguments))

    floats = [values[i] for i in moving]
    with float64_on_cpu():
        forward, _ = _refused(forward_of, of_floats, floats)
        turning = _turning(forward)
        if ct is None:
            cts = [np.ones(forward.out_avals[i].shape) for i in turning]
        else:
            flat = jax.tree.leaves(ct, is_leaf=lambda leaf: leaf is None)
            cts = [as_value(flat[i]) for i in turning]
    return trace_of(forward, floats, cts)


def forward_of(function: Callable[..., Any], floats: Sequence[Array]) -> tuple[Any, Any]:
    """The closed jaxpr of a function of arrays, and the shapes of what it returns, as it does so.

    The function is traced twice, since what it draws or keeps by itself stands in a trace as if it were constant.

    Raises:
        UnrepeatableError: if it is not the same function each time.
        Exception: whatever JAX, or the function, raises.
    """
    # JAX remembers what it traced by the function: that is another one each time
    (forward, result), (again, _) = (
        jax.make_jaxpr(lambda *xs: function(*xs), return_shape=True)(*floats) for _ in range(2)
    )
    require_repeatable(forward, again)
    return forward, result


def trace_of(forward: Any, floats: Sequence[Array], cts: Sequence[Array]) -> Trace:
    """The trace of a function and its VJP.

    Args:
        forward: closed jaxpr of (*floats) -> outputs.
        floats: the values of its arguments.
        cts: the cotangents of its outputs of floating point.

    Raises:
        ValueError: as `trace_vjp`.
    """
    turning = _turning(forward)
    kinds = [forward.out_avals[i].dtype for i in turning]

    def pulled(*operands: Any) -> list[Any]:
        xs, given = operands[: len(floats)], operands[len(floats) :]

        def turned(*xs: Any) -> tuple[list[Any], list[Any]]:
            outputs = _jax_compat.as_function(forward)(*xs)
            return [outputs[i] for i in turning], outputs

        _, pull, outputs = jax.vjp(turned, *xs, has_aux=True)
        return [*outputs, *pull([jnp.asarray(c, kind) for c, kind in zip(given, kinds, strict=True)])]

    operands = (*floats, *cts)
    with float64_on_cpu():
        refuse(forward.jaxpr)
        program = _refused(jax.make_jaxpr(pulled), *operands)
        refuse(program.jaxpr)
    return Trace(program, operands, len(forward.out_avals), forward)


def _turning(forward: Any) -> list[int]:
    """The places of the outputs of floating point."""
    return [i for i, a in enumerate(forward.out_avals) if jax.dtypes.issubdtype(a.dtype, np.floating)]


def _refused(trace: Callable[..., Any], *operands: Any) -> Any:
    """What tracing gives; what it raises, in a sentence."""
    try:
        return trace(*operands)
    except UnrepeatableError:
        raise
    except jax.errors.ConcretizationTypeError as error:
        raise ValueError(
            "the function cannot be traced by JAX, since it looks at the values of its arguments: "
            f"{_first_line(error)}; use jax.numpy.where or jax.lax.cond in place of if"
        ) from error
    except jax.errors.TracerArrayConversionError as error:
        raise ValueError(
            "the function cannot be traced by JAX, since it hands its arguments to NumPy, or to another library: use "
            f"jax.numpy in its place ({_first_line(error)})"
        ) from error
    except Exception as error:
        raise ValueError(
            f"the function fails on these arguments: {type(error).__name__}: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")


def refuse(jaxpr: Any) -> None:
    """Refuses what cannot be judged.

    Raises:
        ValueError: with the primitive, and the line that it comes from.
    """
    for equation in _jax_compat.equations_of(jaxpr):
        if _jax_compat.has_effects(equation):
            raise ValueError(
                f"the function has a side effect, {equation.primitive.name!r}{where_of(equation)}: only what does "
                "nothing but compute has a gradient that can be judged"
            )
        if equation.primitive.name == "random_seed":
            raise ValueError(
                f"the function draws random numbers of its own{where_of(equation)}: hand over the key, or the mask, as "
                "an argument, so that both compute with the same"
            )
    for step in planned(jaxpr):
        equation = step.operation.equation
        for variable in (*equation.invars, *equation.outvars):
            if jax.dtypes.issubdtype(_jax_compat.dtype_of(variable), np.complexfloating):
                raise ValueError(
                    f"the function computes with complex numbers, in {equation.primitive.name!r}{where_of(equation)}, "
                    "which are not judged: write it with real and imaginary parts"
                )
        if step.primitive is not None:
            continue
        programs = _jax_compat.inner_programs(equation)
        if step.operation.name not in STRUCTURED and _jax_compat.called_program(equation) is None:
            raise ValueError(unknown(step.operation))
        for program in programs:
            refuse(program)
