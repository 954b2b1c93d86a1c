"""One registry of wrong backward passes: what is wrong, where a good diagnosis would point, and the gradients."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.anything.implementations.jax_functions import pulled_back
from benchmarks.accuracy.anything.operations import OPERATIONS, Question
from benchmarks.accuracy.anything.operations.registry import rounded

Array = NDArray[Any]
cut = jax.lax.stop_gradient


class Mistake(NamedTuple):
    """A wrong backward pass of an operation.

    Attributes:
        operation: its name.
        name: short, unique within the operation.
        sentence: what is wrong.
        places: pieces of lines of the reference, any of which a good diagnosis names; empty if what is wrong is a
            relation of whole arrays (a factor, a sign, an order), which has no line.
        gradients: of a question in a dtype, by a kernel that computes in float32 where the dtype has 16 bits.
        source: the address of a public report of it, if there is one.
    """

    operation: str
    name: str
    sentence: str
    places: tuple[str, ...]
    gradients: Callable[[Question, str], list[Array]]
    source: str = ""

    @property
    def id(self) -> str:
        """Its name in the tables."""
        return f"{self.operation}/{self.name}"


MISTAKES: dict[str, Mistake] = {}


def by_kernel(function: Callable[..., Any], question: Question, dtype: str) -> list[Array]:
    """The gradients of a function in a dtype; 16 bits are read and written, and float32 is computed in between."""
    inner = dtype if dtype in ("float64", "float32") else "float32"
    return [rounded(x, dtype) for x in pulled_back(function, question, inner, compiled=False)]


def mistake(
    operation: str, sentence: str, *places: str, source: str = ""
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers a JAX function whose own VJP is the wrong one."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        def gradients(question: Question, dtype: str) -> list[Array]:
            return by_kernel(function, question, dtype)

        _add(Mistake(operation, function.__name__.rpartition("__")[2], sentence, places, gradients, source))
        return function

    return register


def spoilt(
    operation: str,
    name: str,
    sentence: str,
    change: Callable[[list[Array], Question], list[Array]],
    *places: str,
    source: str = "",
) -> None:
    """Registers what makes wrong gradients of the right ones; `change` may not write into its arguments."""

    def gradients(question: Question, dtype: str) -> list[Array]:
        right = by_kernel(OPERATIONS[operation].function, question, dtype)
        return [rounded(x, dtype) for x in change(right, question)]

    _add(Mistake(operation, name, sentence, places, gradients, source))


def with_ct(operation: str, name: str, sentence: str, change: Callable[[Array], Array], *places: str) -> None:
    """Registers a right backward pass that is given another cotangent."""

    def gradients(question: Question, dtype: str) -> list[Array]:
        changed = question._replace(ct=rounded(change(question.ct), dtype))
        return by_kernel(OPERATIONS[operation].function, changed, dtype)

    _add(Mistake(operation, name, sentence, places, gradients))


def slope(operation: str, name: str, sentence: str, derivative: Callable[[Any], Any], *places: str) -> None:
    """Registers an elementwise function with this derivative."""

    def function(x: Any) -> Any:
        return cut(derivative(x)) * x  # its value is another one, and no matter

    def gradients(question: Question, dtype: str) -> list[Array]:
        return by_kernel(function, question, dtype)

    _add(Mistake(operation, name, sentence, places, gradients))


def _add(made: Mistake) -> None:
    if made.operation not in OPERATIONS or made.id in MISTAKES:
        raise ValueError(f"expected a known operation and a name of its own, got {made.id!r}")
    MISTAKES[made.id] = made


# pieces that mistakes are made of


@jax.custom_vjp
def weighed(x: Any, factor: Any) -> Any:
    """x, and its cotangent times a factor."""
    return x


weighed.defvjp(lambda x, factor: (x, factor), lambda factor, ct: (ct * factor, jnp.zeros_like(factor)))


def times(x: Any, factor: Any) -> Any:
    """x, and its cotangent times a factor, in the dtype of x."""
    return weighed(x, jnp.asarray(factor, x.dtype))


def differently(value: Any, backward: Any) -> Any:
    """The value of the first, the derivatives of the second."""
    return backward + cut(value - backward)


# changes of right gradients that many programs share


def of_array(k: int, change: Callable[[Array], Array]) -> Callable[[list[Array], Question], list[Array]]:
    """A change of the k-th gradient alone."""
    return lambda right, question: [change(x) if i == k else x for i, x in enumerate(right)]


def factor(k: int, number: float) -> Callable[[list[Array], Question], list[Array]]:
    """The k-th gradient times a number."""
    return of_array(k, lambda x: number * x)


def zeroed(k: int, where: Any) -> Callable[[list[Array], Question], list[Array]]:
    """The k-th gradient never written there."""

    def change(x: Array) -> Array:
        x = np.array(x)
        x[where] = 0
        return x

    return of_array(k, change)
