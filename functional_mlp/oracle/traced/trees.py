"""Trees of arrays as people hand them over: every leaf by its path, and the trees that belong to each other matched.

Arguments, gradients, cotangents and outputs are trees of JAX: arrays in tuples, lists, dicts, dataclasses. A list of
plain numbers is one array, as NumPy takes it. `None` is a leaf of what was computed: it says that this part was not.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from functional_mlp.oracle.case import numbers, tree_path
from functional_mlp.oracle.probing import listed
from functional_mlp.oracle.verdict import Handed, coarsest

ByPath = dict[str, Any]


class TreeError(ValueError):
    """Trees that do not belong to each other."""


def leaves_of(root: str, tree: Any) -> ByPath:
    """The leaves of a tree by path; None is one."""
    found = jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda node: node is None or is_list_of_numbers(node))[0]
    return {tree_path(root, keys): leaf for keys, leaf in found}


def is_list_of_numbers(node: Any) -> bool:
    """Whether a list, or one of lists, holds Python's numbers alone: an array that is written out."""
    if not isinstance(node, list | tuple) or hasattr(node, "_fields") or not node:
        return False
    return all(is_list_of_numbers(item) if isinstance(item, list | tuple) else _is_number(item) for item in node)


def _is_number(item: Any) -> bool:
    return isinstance(item, int | float) and not isinstance(item, bool)


def argument_names(function: Callable[..., Any], count: int) -> tuple[str, ...]:
    """What a function calls its first arguments; `arguments[0]` where it does not say, or means something else.

    Raises:
        TypeError: if it takes another number of arguments.
    """
    plain = tuple(f"arguments[{i}]" for i in range(count))
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return plain
    try:
        bound = signature.bind(*plain)
    except TypeError as error:
        words = f"expected arguments as {name_of(function)}{signature} takes them, got {count}: {error}"
        raise TypeError(f"{words}; give a tuple with one entry per argument") from error
    names: list[str] = []
    for parameter, value in bound.arguments.items():
        several = signature.parameters[parameter].kind is inspect.Parameter.VAR_POSITIONAL
        names += [f"{parameter}[{i}]" for i in range(len(value))] if several else [parameter]
    return tuple(place if name in TAKEN else name for name, place in zip(names, plain, strict=True))


TAKEN = ("outputs", "ct", "arguments")  # what reports and files call something else


def name_of(function: Any) -> str:
    """What a function is called; "function" if it has no name."""
    inner = getattr(function, "func", function)  # of functools.partial
    name = str(getattr(inner, "__name__", type(inner).__name__))
    return name if name.isidentifier() else "function"


def matched(what: str, expected: Sequence[str], candidates: Iterable[Iterable[tuple[str, Any]]]) -> ByPath:
    """What was given for each of some leaves: None where it was not computed.

    Args:
        what: they are, for messages.
        expected: paths of the leaves.
        candidates: readings of what was given, each the trees by the path of their root; the first that fits is taken.

    Raises:
        TreeError: if none fits.
    """
    refused: TreeError | None = None
    for trees in candidates:
        try:
            return _fitted(what, expected, trees)
        except TreeError as error:
            refused = refused or error
    raise refused or TreeError(f"expected {what} of {listed(expected)}, got none")


def _fitted(what: str, expected: Sequence[str], trees: Iterable[tuple[str, Any]]) -> ByPath:
    found: ByPath = {}
    for root, tree in trees:
        for path, leaf in leaves_of(root, tree).items():
            if leaf is None:
                found |= dict.fromkeys(below(path, expected))
            elif path in expected:
                found[path] = leaf
            elif not _is_nothing(leaf):
                raise TreeError(f"expected {what} of {listed(expected)}, got one of {path}, which is none of them")
    missing = [path for path in expected if path not in found]
    if missing:
        raise TreeError(f"expected {what} of {listed(expected)}, got none of {missing[0]}; give None for what has none")
    return found


def below(root: str, paths: Iterable[str]) -> list[str]:
    """Those of some paths that are the root, or below it."""
    return [path for path in paths if path == root or path.startswith((f"{root}.", f"{root}["))]


def _is_nothing(leaf: Any) -> bool:
    """What JAX gives as the gradient of integers."""
    return getattr(leaf, "dtype", None) == jax.dtypes.float0


def top_level(gradients: Any, roots: Sequence[str], differentiable: Sequence[str]) -> list[list[tuple[str, Any]]]:
    """The readings of gradients as trees for some arguments, in the order in which they are tried.

    Args:
        gradients: one entry for each argument, or for each that is differentiable, or of the only one bare; or by name.
        roots: paths of the arguments.
        differentiable: those that hold numbers of floating point.
    """
    readings: list[list[tuple[str, Any]]] = []
    if isinstance(gradients, list | tuple) and not hasattr(gradients, "_fields"):
        for names in (roots, differentiable):
            if len(gradients) == len(names):
                readings.append(list(zip(names, gradients, strict=True)))
    if isinstance(gradients, Mapping) and gradients:
        by_root = {root_meant(name, roots): tree for name, tree in gradients.items()}
        if set(by_root) <= set(roots):
            missing = [name for name in differentiable if name not in by_root]
            readings.append([*by_root.items(), *((name, None) for name in missing)])
    if len(differentiable) == 1:
        readings.append([(differentiable[0], gradients)])
    return readings


def root_meant(name: Any, roots: Sequence[str]) -> str:
    """The argument that a gradient is of by its name: that of the argument, or dx, grad_x, ct_x or x_grad."""
    stems = [str(name).removeprefix(prefix) for prefix in ("d", "grad_", "ct_")]
    return str(next((own for own in (name, *stems, str(name).removesuffix("_grad")) if own in roots), name))


def handed(what: str, value: Any) -> Handed:
    """An array that was computed, as float64, with the dtype that it came in.

    Raises:
        TypeError: for what holds no real numbers, and for arrays of integers.
        ValueError: for ragged lists.
    """
    require_no_bits(what, value)
    dtype = str(getattr(value, "dtype", "")).removeprefix("torch.")
    if dtype.startswith(("int", "uint")):
        raise TypeError(f"expected {what} to hold floats, got {dtype}; the numbers that were computed are not integers")
    return Handed(numbers(what, value), coarsest([value]))


def require_no_bits(what: str, value: Any) -> None:
    """Raises TypeError for integers of 16 bits without a sign, as which files without bfloat16 hold such numbers."""
    if str(getattr(value, "dtype", "")).removeprefix("torch.") == "uint16":
        raise TypeError(
            f"expected {what} to hold numbers, got uint16: bits of bfloat16 are read with .view(ml_dtypes.bfloat16),"
            " of float16 with .view('float16'); numbers that count something may be int32"
        )


def is_floating(leaf: Any) -> bool:
    """Whether a leaf of the arguments is differentiated: Python's floats, and arrays of floating point."""
    if isinstance(leaf, float) or is_list_of_numbers(leaf):
        return True
    dtype = getattr(leaf, "dtype", None)
    if dtype is None:
        return False
    if isinstance(dtype, np.dtype) or isinstance(leaf, jax.Array):
        return bool(jax.dtypes.issubdtype(dtype, np.floating))
    return "float" in str(dtype)
