"""What a program dumped into files, as arguments, gradients, cotangents and outputs of a function.

An array is named by where it belongs: `x` or `0` for the argument x, the first; `params.w`, `params.0.w` for parts of
one; `arr_0`, as NumPy names what has no name, for the first. Outputs and cotangents are named by their place in what
the function returns: `0`, `loss`; a single one as one likes.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from functional_mlp.files import FileError
from functional_mlp.oracle.case import dotted_path
from functional_mlp.oracle.probing import listed
from functional_mlp.oracle.traced.question import arguments_of
from functional_mlp.oracle.traced.trees import name_of, root_meant

Arrays = Mapping[str, np.ndarray]
MAX_DEPTH = 8  # of names
UNNAMED = re.compile(r"arr_(\d{1,6})")


def arguments_in(function: Callable[..., Any], arrays: Arrays, source: str) -> tuple[Any, ...]:
    """The arguments of a function, in order; those that have a default may be missing.

    Args:
        function: that takes them.
        arrays: by name; parts of one argument become dicts, or lists where they are numbered. Integers and booleans
            without axes become plain numbers, which a function may use as sizes.
        source: the file's name, for messages.

    Raises:
        FileError: for names that are no arguments, and missing ones.
    """
    parameters = _parameters(function)
    trees = nested(arrays, source)
    found: dict[int, Any] = {}
    for name, tree in trees.items():
        place = _place(name, list(parameters))
        if place is None:
            known = f", whose arguments are {listed(list(parameters))}" if parameters else "; number them: 0, 1, ..."
            raise FileError(f"{source}: array {name[:60]!r} belongs to no argument of {name_of(function)}{known}")
        if place in found:
            raise FileError(f"{source}: argument {place} stands twice, by its name and by its number")
        found[place] = tree
    names = list(parameters)
    required = [i for i, name in enumerate(names) if parameters[name].default is inspect.Parameter.empty]
    count = 1 + max([*found, *required])
    for place in range(count):
        if place in found:
            continue
        default = parameters[names[place]].default if place < len(names) else inspect.Parameter.empty
        if default is inspect.Parameter.empty:
            what = names[place] if place < len(names) else place
            raise FileError(f"{source}: expected an array for the argument {what} of {name_of(function)}, got none")
        found[place] = default
    return tuple(found[place] for place in range(count))


def gradients_in(function: Callable[..., Any], arguments: tuple[Any, ...], arrays: Arrays, source: str) -> Any:
    """Gradients shaped as the arguments; None where the file has none.

    Raises:
        FileError: for names that are no arguments of floating point.
    """
    called = arguments_of(function, arguments)
    names = list(_parameters(function))
    places = {dotted_path(path): place for path, place in called.places.items()}
    leaves: list[Any] = [None] * len(called.leaves)
    for name, array in arrays.items():
        first, dot, rest = name.partition(".")
        number = _place(root_meant(first, called.roots), names)
        root = dotted_path(called.roots[number]) if number is not None and number < len(called.roots) else first
        own = root + dot + rest
        if own not in places:
            known = listed(list(places))
            raise FileError(f"{source}: array {name[:60]!r} is the gradient of no argument; expected some of {known}")
        leaves[places[own]] = array
    return jax.tree.unflatten(called.structure, leaves)


def outputs_in(arrays: Arrays, source: str) -> Any:
    """Outputs of a function, or their cotangents: a single array as such, several in a list or a dict."""
    if len(arrays) == 1 and "." not in next(iter(arrays)):
        return next(iter(arrays.values()))
    return _contained(nested(arrays, source))


def nested(arrays: Arrays, source: str) -> dict[str, Any]:
    """Arrays put together by their names: "params.0.w" is w in the first entry of params.

    Raises:
        FileError: for an array that stands where others are to be within, and lists with gaps.
    """
    tree: dict[str, Any] = {}
    for name, array in arrays.items():
        *above, last = name.split(".")
        if len(above) >= MAX_DEPTH:
            raise FileError(f"{source}: array {name[:60]!r}: expected a name of at most {MAX_DEPTH} parts")
        inner = tree
        for part in above:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise FileError(f"{source}: array {name[:60]!r} stands within another array")
        if last in inner:
            raise FileError(f"{source}: array {name[:60]!r} stands where others stand within")
        inner[last] = array.item() if array.ndim == 0 and array.dtype.kind in "iub" else array
    return {name: _contained(part, f"{source}: {name[:60]}") for name, part in tree.items()}


def _contained(tree: Any, where: str = "") -> Any:
    """A dict whose keys are numbers as a list."""
    if not isinstance(tree, dict):
        return tree
    inside = {name: _contained(part, where) for name, part in tree.items()}
    numbered = {number: part for name, part in inside.items() if (number := _number(name)) is not None}
    if len(numbered) < len(inside):
        return inside
    if sorted(numbered) != list(range(len(numbered))):
        raise FileError(f"{where}: expected entries numbered from 0 on, got {listed(list(inside))}")
    return [numbered[i] for i in range(len(numbered))]


def _number(name: str) -> int | None:
    """The place that a name is; None if it is none."""
    unnamed = UNNAMED.fullmatch(name)
    digits = unnamed[1] if unnamed else name
    return int(digits) if digits.isdecimal() and len(digits) <= 6 else None


def _place(name: str, parameters: list[str]) -> int | None:
    """Which argument a name is."""
    return parameters.index(name) if name in parameters else _number(name)


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The positional parameters of a function, by name; none where it does not tell."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {name: parameter for name, parameter in parameters.items() if parameter.kind in positional}
