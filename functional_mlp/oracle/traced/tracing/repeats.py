"""Whether a function is the same each time: what it draws by itself, or keeps from call to call, its trace shows."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import jax
import numpy as np

from functional_mlp import _jax_compat
from functional_mlp.oracle.traced.tracing.places import where_of


class UnrepeatableError(ValueError):
    """A function is another one each time that it is called."""


def require_repeatable(first: Any, second: Any) -> None:
    """Raises UnrepeatableError if two traces of a function, closed jaxprs, are not the same but for its arguments."""
    place = _departure(first.jaxpr, first.consts, second.jaxpr, second.consts)
    if place is not None:
        raise UnrepeatableError(
            f"the function is another one each time that it is called{place}: it draws random numbers of its own, or"
            " keeps something from call to call; hand them over as arguments, so that both compute with the same"
        )


def _departure(first: Any, consts: Sequence[Any], second: Any, others: Sequence[Any]) -> str | None:
    """Where two open jaxprs are not the same, such as " (norms.py:12)", or ""; None if they are."""
    pairs = zip_longest(first.constvars, consts, others)
    drawn = {variable for variable, a, b in pairs if variable is not None and not _is_same(a, b)}
    for a, b in zip_longest(_jax_compat.equations_of(first), _jax_compat.equations_of(second)):
        if a is None or b is None or a.primitive.name != b.primitive.name or not _is_same_call(a, b, drawn):
            return where_of(a or b)
        for (program, held), (other, theirs) in zip(
            _jax_compat.programs_within(a), _jax_compat.programs_within(b), strict=True
        ):
            place = None if program is other else _departure(program, held, other, theirs)
            if place is not None:
                return place or where_of(a)
    return None if _are_same(first.outvars, second.outvars, drawn) else ""


def _is_same_call(a: Any, b: Any, drawn: set[Any]) -> bool:
    settings = {key: value for key, value in a.params.items() if _is_plain(value)}
    return _are_same(a.invars, b.invars, drawn) and all(b.params.get(key) == value for key, value in settings.items())


def _are_same(variables: Sequence[Any], others: Sequence[Any], drawn: set[Any]) -> bool:
    """Whether operands are the same numbers, where they are numbers."""
    for a, b in zip_longest(variables, others):
        if a is None or b is None or _jax_compat.is_literal(a) != _jax_compat.is_literal(b):
            return False
        if not _is_same(a.val, b.val) if _jax_compat.is_literal(a) else a in drawn:
            return False
    return True


def _is_plain(value: Any) -> bool:
    """Whether a parameter of a primitive is of numbers alone, such as the start of a slice."""
    return isinstance(value, int | float | str) or (isinstance(value, tuple) and all(map(_is_plain, value)))


def _is_same(a: Any, b: Any) -> bool:
    """Whether two constants are the same numbers; keys are not looked into."""
    if a is b or (isinstance(a, jax.Array) and jax.dtypes.issubdtype(a.dtype, jax.dtypes.extended)):
        return True
    a, b = np.asarray(a), np.asarray(b)
    return a.shape == b.shape and a.dtype == b.dtype and bool(np.all((a == b) | ((a != a) & (b != b))))
