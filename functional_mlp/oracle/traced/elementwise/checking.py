"""Asking an elementwise function for its value and its derivative at every number of a format."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from functional_mlp._dtypes import DTYPES, Array, with_dtype
from functional_mlp.activations import Activation
from functional_mlp.oracle.case import numbers
from functional_mlp.oracle.noise import Precision, precision_named
from functional_mlp.oracle.traced.elementwise.curves import Curve, judged
from functional_mlp.oracle.traced.elementwise.likeness import likeness_of
from functional_mlp.oracle.traced.elementwise.references import Reference, reference_of
from functional_mlp.oracle.traced.elementwise.report import ElementwiseReport, Special
from functional_mlp.oracle.traced.elementwise.samples import SPECIALS, finite_numbers

Function = Callable[..., Any]
MOST_WORDS, MOST_NOTES = 200, 4


def check_elementwise(
    fn: Function,
    reference: str | Mapping[str, Any] | Activation | Function,
    precision: str = "float32",
    *,
    derivative: Function | None = None,
) -> ElementwiseReport:
    """Value and derivative of an elementwise function over all numbers of a format, in ulp, without a tolerance.

    Args:
        fn: maps an array (n,) of the format, NumPy's, to its values, an array (n,) of any kind that NumPy takes. Of
            bfloat16 the array has the dtype of `ml_dtypes`, which PyTorch takes as
            `torch.from_numpy(x.astype("float32")).bfloat16()`.
        reference: what it should compute: the name of an activation such as "gelu" or {"name": "leaky_relu", "slope":
            0.2}, an `Activation`, or any JAX function that acts on every number alone.
        precision: what it computes in: "bfloat16", "float16", "float32" or "float64"; "bfloat16 in float32" for a
            kernel that reads and writes the first and computes in the second, which is allowed far less.
        derivative: maps x (n,) to f'(x) (n,), or x and a cotangent of ones to the cotangent of x. None: JAX's of `fn`,
            where JAX can trace it; else only the values are judged.

    Returns:
        A report: `verdict`, `text()`, `table()`, `regions()`, `figure()`, `json()`. Asked about are all finite numbers
        of 16-bit formats; of float32 and float64 some 130,000: of all binades, in [-16, 16], and the neighbours of 0
        and of kinks. NaN and the infinities are shown and not judged.

    Raises:
        TypeError: for what is no function, or gives no numbers.
        ValueError: for an unknown name or precision, another shape, a function that raises, or a reference that JAX
            cannot trace.

    Example:
        >>> import numpy as np
        >>> report = check_elementwise(np.tanh, "tanh", "float16", derivative=lambda x: 1 - np.tanh(x) ** 2)
        >>> report.verdict
        <Verdict.CONSISTENT: 'consistent'>
    """
    for what, function in (("fn", fn), ("derivative", derivative)):
        if function is not None and not callable(function):
            raise TypeError(f"expected {what} to be a function of an array, got {type(function).__name__}")
    declared, meant = precision_named(precision), reference_of(reference)
    dtype = declared.storage.name
    x = finite_numbers(dtype, meant.places)
    value_right, slope_right = meant.right(x, declared)
    values, returned = _asked("fn", fn, x, dtype)
    value = judged("value", x, values, value_right, declared.storage)
    slopes, notes = _slopes(fn, derivative, x, dtype)
    curves = [value] if slopes is None else [value, judged("derivative", x, slopes, slope_right, declared.storage)]
    notes += [note for curve in curves for note in _of_conventions(curve, meant, declared.storage.smallest)]
    if returned != dtype:
        notes = [f"your function returns {returned} for {dtype}: its values were judged as {dtype}", *notes]
    return ElementwiseReport(
        meant.name,
        declared.name,
        tuple(curves),
        tuple(_specials(fn, meant, declared)),
        tuple(likeness_of(curves, meant, declared)),
        tuple(notes),
    )


def _asked(what: str, function: Function, x: Array, dtype: str, *more: Any) -> tuple[Array, str]:
    """What a function returns, as float64, and the dtype that it had."""
    given = x.astype(DTYPES[dtype])
    try:
        with with_dtype(dtype), np.errstate(all="ignore"):
            result = function(given, *more)
            mask = np.asarray(result)
            array = numbers(f"the result of {what}", mask.astype(given.dtype) if mask.dtype == bool else result)
            returned = dtype if mask.dtype == bool else mask.dtype.name
    except (TypeError, ValueError) as error:
        if str(error).startswith("expected the result"):
            raise
        raise ValueError(_failed(what, error)) from error
    except Exception as error:  # whatever a stranger's function raises
        raise ValueError(_failed(what, error)) from error
    if array.shape != x.shape:
        raise ValueError(
            f"expected {what} to return an array of the shape of its argument, {x.shape}, got {array.shape}"
        )
    return array, returned


def _failed(what: str, error: Exception) -> str:
    words = " ".join(str(error).split())[:MOST_WORDS]
    return f"expected {what} to take an array of numbers, but it raises {type(error).__name__}: {words}"


def _slopes(fn: Function, derivative: Function | None, x: Array, dtype: str) -> tuple[Array | None, list[str]]:
    """The derivative at every number, and what is to be said of where it comes from."""
    if derivative is not None:
        ones = (np.ones(x.shape, DTYPES[dtype]),) if _takes_cotangent(derivative) else ()
        return _asked("derivative", derivative, x, dtype, *ones)[0], []

    def pulled(given: Any) -> Any:
        return jax.vjp(fn, jnp.asarray(given))[1](jnp.ones(given.shape, given.dtype))[0]

    try:
        return _asked("derivative", pulled, x, dtype)[0], ["the derivative is JAX's of your function"]
    except ValueError:
        return None, ["the derivative was not judged: JAX cannot trace your function; hand it over as derivative="]


def _of_conventions(curve: Curve, meant: Reference, smallest: float) -> Iterator[str]:
    """What is taken at kinks, where it is not what this package takes."""
    found: dict[float, float] = {}
    for at in curve.by_convention:
        kink = min((*meant.places, 0.0 if abs(at) < smallest else at), key=lambda place: abs(place - at))
        found.setdefault(kink, float(curve.got[np.searchsorted(curve.x, at)]))
    for kink, got in list(found.items())[:MOST_NOTES]:
        yield f"at the kink at {kink:g} the {curve.what} is {got:g}, that of another side, which is as right"


def _takes_cotangent(derivative: Function) -> bool:
    """Whether it has two parameters that must be given."""
    try:
        parameters = inspect.signature(derivative).parameters.values()
    except (TypeError, ValueError):  # a function of C
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is inspect.Parameter.empty for p in parameters) >= 2


def _specials(fn: Function, reference: Reference, precision: Precision) -> list[Special]:
    """What becomes of NaN, the infinities and zeros: shown beside what is right, and not judged."""
    largest = precision.storage.largest
    x = np.array(SPECIALS)
    expected, _ = reference.right(np.clip(np.nan_to_num(x), -largest, largest), precision)
    try:
        got, _ = _asked("fn", fn, x, precision.storage.name)
    except (TypeError, ValueError):
        return []
    ends, halfway = (
        reference.right(share * largest * np.sign(np.nan_to_num(x)), precision)[0].true for share in (1.0, 0.5)
    )
    grows = np.isinf(x) & (np.abs(ends) > 1.5 * np.abs(halfway))
    limits = np.where(np.isnan(x), np.nan, np.where(grows, np.copysign(np.inf, ends), expected.true))
    return [Special(*map(float, row)) for row in zip(x, got, limits, strict=True)]
