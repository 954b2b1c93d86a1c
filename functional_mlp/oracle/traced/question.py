"""What was asked of a function: its arguments, the cotangent, and what somebody computed, checked and flattened.

A question is sound once it exists: the function can be traced, has no side effects and draws no random numbers of its
own; every number that it is given is one that a program of the declared precision can have been given; and what was
computed belongs to the arguments and the outputs. Whatever does not fit is refused in one sentence, but for arrays of
another shape, which are wrong answers.
"""

import traceback
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from functional_mlp._checks import is_key
from functional_mlp._dtypes import Array
from functional_mlp.oracle.case import entry_path, numbers, on_host, require_representable, tree_path
from functional_mlp.oracle.noise import FLOAT64, Precision, precision_named
from functional_mlp.oracle.probing import listed, raised
from functional_mlp.oracle.traced.tracing import UnrepeatableError, forward_of
from functional_mlp.oracle.traced.trees import (
    ByPath,
    TreeError,
    argument_names,
    below,
    handed,
    is_floating,
    is_list_of_numbers,
    leaves_of,
    matched,
    name_of,
    require_no_bits,
    top_level,
)
from functional_mlp.oracle.truth import float64_on_cpu
from functional_mlp.oracle.verdict import Cause, Handed, Misfit, coarsest

Wrt = int | str | Sequence[int | str] | None


class Question(NamedTuple):
    """What was asked.

    Attributes:
        words: the function with its arguments, such as "layer_norm(x, scale, bias)".
        forward: closed jaxpr of the function, of the differentiated arrays alone; it returns its outputs of floating
            point, in order.
        operands: the differentiated arrays, float64.
        paths: of these, and of their gradients.
        given: their gradients, as they were computed; a `Misfit` of another shape.
        outputs: paths of the outputs of floating point.
        cts: of these, float64.
        given_outputs: by path, where they are judged too.
        precision: that the program computed in.
        asked: the function as it came, for its name and lines.
    """

    words: str
    forward: Any
    operands: tuple[Array, ...]
    paths: tuple[str, ...]
    given: tuple[Handed | Misfit, ...]
    outputs: tuple[str, ...]
    cts: tuple[Array, ...]
    given_outputs: Mapping[str, Handed | Misfit]
    precision: Precision
    asked: Callable[..., Any]


def question_of(
    function: Callable[..., Any],
    arguments: Any,
    gradients: Any,
    ct: Any = None,
    *,
    outputs: Any = None,
    precision: str | None = None,
    wrt: Wrt = None,
) -> Question:
    """The question that `check_vjp` is asked; arguments and errors as there."""
    if not callable(function):
        raise TypeError(f"expected function to be a function that JAX can trace, got {type(function).__name__}")
    called = arguments_of(function, arguments)
    asked = _asked_for(called, gradients, wrt)
    floating = called.floating
    results = {path: _given(f"the gradient of {path}", leaf, floating[path].shape) for path, leaf in asked.items()}
    declared = precision_named(precision or coarsest(asked.values()))
    for path in called.floating:
        _require_numbers(path, called, declared, moving=path in results)
    paths = tuple(path for path in called.floating if path in results)
    operands = tuple(called.floating[path] for path in paths)
    forward, shapes = _traced(partial(_outputs_of, function, called, paths), operands, called)
    cts = _cotangents(ct, shapes, declared)
    return Question(
        called.words,
        forward,
        operands,
        paths,
        tuple(results[path] for path in paths),
        tuple(shapes),
        tuple(cts.values()),
        _given_outputs(outputs, shapes),
        declared,
        function,
    )


# arguments


class Called(NamedTuple):
    """The arguments of a function.

    Attributes:
        words: the function with their names.
        roots: paths of the arguments.
        leaves: all leaves, in order, constants as the function gets them.
        structure: that puts them together.
        places: of the leaves of floating point, by path.
        floating: these, float64, by path.
        plain: paths of those that came as float64, or without a dtype.
        function: itself.
    """

    words: str
    roots: tuple[str, ...]
    leaves: tuple[Any, ...]
    structure: Any
    places: Mapping[str, int]
    floating: Mapping[str, Array]
    plain: frozenset[str]
    function: Callable[..., Any]


def arguments_of(function: Callable[..., Any], arguments: Any) -> Called:
    """Arguments, taken apart; a single one may come bare, if it is an array.

    Raises:
        TypeError: for what is no tuple of them, for complex numbers and objects.
        ValueError: if none of them is of floating point.
    """
    if is_list_of_numbers(arguments) and isinstance(arguments, list):
        arguments = (arguments,)
    if isinstance(arguments, float | int | np.ndarray | np.generic | jax.Array) or hasattr(arguments, "detach"):
        arguments = (arguments,)
    if not isinstance(arguments, tuple | list):
        kind = type(arguments).__name__
        raise TypeError(f"expected arguments to be a tuple with one entry per argument, got {kind}; write (argument,)")
    roots = argument_names(function, len(arguments))
    leaves: list[Any] = []
    places: dict[str, int] = {}
    floating: ByPath = {}
    plain: set[str] = set()
    for root, argument in zip(roots, arguments, strict=True):
        for keys, leaf in jax.tree_util.tree_flatten_with_path(argument, is_leaf=is_list_of_numbers)[0]:
            path = tree_path(root, keys)
            if is_floating(leaf):
                places[path], floating[path] = len(leaves), handed(path, leaf).values
                if coarsest([leaf]) == "float64":
                    plain.add(path)
            leaves.append(_constant(path, leaf))
    if not floating:
        raise ValueError(
            f"expected an argument of floating point to be differentiated, got none among {listed(roots) or 'none'};"
            " integers, booleans and keys are constants"
        )
    words = f"{name_of(function)}({', '.join(roots)})"
    structure = jax.tree_util.treedef_tuple([jax.tree.structure(one, is_leaf=is_list_of_numbers) for one in arguments])
    return Called(words, roots, tuple(leaves), structure, places, floating, frozenset(plain), function)


def _constant(path: str, leaf: Any) -> Any:
    """A leaf as the function gets it where it is not differentiated: tensors as arrays, plain numbers as they are."""
    if isinstance(leaf, complex) or (hasattr(leaf, "dtype") and "complex" in str(leaf.dtype)):
        raise TypeError(f"expected {path} to hold real numbers, got complex ones; hand over their parts as two arrays")
    require_no_bits(path, leaf)
    value = np.asarray(leaf) if is_list_of_numbers(leaf) else on_host(leaf)
    value = np.asarray(value) if isinstance(value, jax.Array) and not is_key(value) else value
    if isinstance(value, np.ndarray) and value.dtype == object:
        raise TypeError(f"expected {path} to be an array of numbers, got one of objects")
    return value


def _require_numbers(path: str, called: Called, declared: Precision, *, moving: bool) -> None:
    """Raises ValueError for NaN, and of what is differentiated for infinities and arrays without entries."""
    array = called.floating[path]
    if np.isnan(array).any():
        index = tuple(map(int, np.argwhere(np.isnan(array))[0]))
        raise ValueError(f"expected {entry_path(path, index)} to be a number, got nan; judge arguments that are finite")
    if not moving:
        return
    if not array.size:
        raise ValueError(f"expected {path} to have entries, got shape {array.shape}; give None as its gradient")
    _require_storable(path, array, declared, plain=path in called.plain)


def _require_storable(path: str, array: Array, declared: Precision, *, plain: bool) -> None:
    """Raises ValueError for infinities, and for float64 numbers that a program of the declared precision cannot get."""
    stored = declared.storage.name if plain else FLOAT64.name
    try:
        require_representable(path, array, stored)
    except ValueError as error:
        if not np.isfinite(array).all():
            raise
        words = str(error).partition(":")[0]
        raise ValueError(
            f"{words}: hand over what your program was given, such as {path}.astype({stored!r}); narrower arrays are"
            " taken as they are"
        ) from error


# what was computed


def _asked_for(called: Called, gradients: Any, wrt: Wrt) -> ByPath:
    """The gradients that are judged, by path of the argument."""
    floating = list(called.floating)
    if wrt is None:
        differentiable = [root for root in called.roots if below(root, floating)]
        readings = top_level(gradients, called.roots, differentiable)
        expected = floating
        if not readings:
            raise TreeError(
                f"expected gradients to be a tuple with one entry for each of {listed(differentiable)}, None where it"
                f" was not computed, got {_kind_of(gradients)}"
            )
    else:
        named = [wrt] if isinstance(wrt, int | str) else list(wrt)
        roots = [_root_of(name, called) for name in named]
        expected = [path for root in roots for path in below(root, floating)]
        readings = [[(roots[0], gradients)]] if isinstance(wrt, int | str) else top_level(gradients, roots, roots)
        every = isinstance(gradients, list | tuple) and len(gradients) == len(called.roots)
        if every and set(roots) <= set(called.roots):  # those of all arguments, of which some are asked for
            readings.append([(root, gradients[called.roots.index(root)]) for root in roots])
        if not readings:
            raise TreeError(f"expected gradients of {listed(roots)}, as wrt names them, got {_kind_of(gradients)}")
    found = matched("gradients", expected, readings)
    asked = {path: leaf for path, leaf in found.items() if leaf is not None}
    if not asked:
        raise ValueError(f"expected a gradient of at least one of {listed(expected)}, got None of each")
    return asked


def _kind_of(gradients: Any) -> str:
    if isinstance(gradients, list | tuple):
        return f"{len(gradients)} entries"
    return type(gradients).__name__


def _root_of(name: int | str, called: Called) -> str:
    """The path that wrt names: of an argument by its place or its name, or of a part of one.

    Raises:
        TypeError, ValueError: if there is no such argument, or nothing to differentiate in it.
    """
    if isinstance(name, bool) or not isinstance(name, int | str):
        raise TypeError(f"expected wrt to name arguments, such as 0 or {called.roots[0]!r}, got {name!r}")
    within = isinstance(name, int) and -len(called.roots) <= name < len(called.roots)
    root = called.roots[int(name)] if within else str(name)
    if not below(root, called.floating):
        raise ValueError(
            f"expected wrt to name arguments of floating point, {listed(list(called.floating))}, got {name!r}"
        )
    return root


def _given(what: str, leaf: Any, shape: tuple[int, ...]) -> Handed | Misfit:
    """What was computed for an array of a shape; a Misfit of another one."""
    got = handed(what, leaf)
    if got.values.shape != shape:
        turned = len(shape) == 2 and got.values.shape == shape[::-1]
        hint = ": the transpose" if turned else ""
        return Misfit(Cause.SHAPE, f"expected shape {shape}, got {got.values.shape}{hint}")
    return got


# the function


def _outputs_of(
    function: Callable[..., Any], called: Called, paths: tuple[str, ...], *moving: Any
) -> OrderedDict[str, Any]:
    """The outputs of floating point by path, from the differentiated arrays; all other arguments are constants."""
    leaves = [*called.leaves]
    for path, array in {**called.floating, **dict(zip(paths, moving, strict=True))}.items():
        leaves[called.places[path]] = array
    leaves = [jnp.asarray(leaf) if isinstance(leaf, np.ndarray) and leaf.ndim else leaf for leaf in leaves]
    outputs = leaves_of("outputs", function(*jax.tree.unflatten(called.structure, leaves)))
    return OrderedDict((path, leaf) for path, leaf in outputs.items() if leaf is not None and _is_float_output(leaf))


def _is_float_output(leaf: Any) -> bool:
    dtype = jax.dtypes.result_type(leaf)
    if jax.dtypes.issubdtype(dtype, np.complexfloating):
        raise ValueError("the function returns complex numbers, which are not judged: return their parts as two arrays")
    return bool(jax.dtypes.issubdtype(dtype, np.floating))


def _traced(
    named: Callable[..., Any], operands: tuple[Array, ...], called: Called
) -> tuple[Any, dict[str, tuple[int, ...]]]:
    """The closed jaxpr of the function, and the shapes of its outputs of floating point by path.

    Raises:
        ValueError: if the function fails, cannot be traced, is another one each time, or has no such outputs.
    """
    with float64_on_cpu():
        try:
            forward, found = forward_of(named, operands)
        except UnrepeatableError:
            raise
        except jax.errors.ConcretizationTypeError as error:
            raise ValueError(
                f"expected a function that JAX can trace, but {called.words} looks at the values of its arguments"
                f"{_place(error)}; use jax.numpy.where or jax.lax.cond in place of if, or make that argument an integer"
            ) from error
        except jax.errors.TracerArrayConversionError as error:
            raise ValueError(
                f"expected a function that JAX can trace, but {called.words} hands its arguments to NumPy or another"
                f" library{_place(error)}; use jax.numpy in its place"
            ) from error
        except Exception as error:
            if "Tensor" in str(error) and "Tracer" in str(error):
                raise ValueError(
                    f"expected a reference that JAX can trace, but {called.words} hands its arguments to PyTorch"
                    f"{_place(error)}; write it with jax.numpy"
                ) from error
            words = f"{called.words} fails on these arguments"
            raise ValueError(f"{words}: {raised(error, called.function)}") from error
    if not found:
        raise ValueError(f"expected {called.words} to return an array of floating point, got none")
    empty = next((path for path, leaf in found.items() if 0 in leaf.shape), None)
    if empty is not None:
        raise ValueError(f"expected {empty} to have entries, got shape {found[empty].shape}; return it without")
    return forward, {path: tuple(leaf.shape) for path, leaf in found.items()}


def _place(error: BaseException) -> str:
    """Where in the person's code an exception of JAX comes from: " (norms.py:12)", or ""."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_of_library(frame.filename)]
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""


def _is_of_library(file: str) -> bool:
    return "site-packages" in Path(file).parts or Path(file).is_relative_to(Path(__file__).resolve().parents[1])


def _cotangents(ct: Any, shapes: Mapping[str, tuple[int, ...]], declared: Precision) -> ByPath:
    """The cotangent of each output, float64 by path; zeros where it was given as None.

    Raises:
        ValueError: for another tree or shape, and where there is none but the function is no scalar one.
    """
    if ct is None:
        if list(shapes.values()) != [()]:
            described = listed([f"{path} of shape {shape}" for path, shape in shapes.items()])
            raise ValueError(
                f"expected ct, the cotangent of the outputs, since the function is no scalar one, got None; give"
                f" an array like {described}"
            )
        return {path: np.ones(()) for path in shapes}
    found = _like_outputs("ct", ct, shapes)
    cts: ByPath = {}
    for path, leaf in found.items():
        own = path.replace("outputs", "ct", 1)
        require_no_bits(own, leaf)
        cts[path] = np.zeros(shapes[path]) if leaf is None else numbers(own, leaf)
        if cts[path].shape != shapes[path]:
            raise ValueError(f"expected {own} of shape {shapes[path]}, that of {path}, got {cts[path].shape}")
        _require_storable(own, cts[path], declared, plain=leaf is None or coarsest([leaf]) == "float64")
    if not any(value.any() for value in cts.values()):
        raise ValueError("expected ct to hold another number than 0, got zeros alone: every gradient is 0 then")
    return cts


def _like_outputs(what: str, tree: Any, shapes: Mapping[str, tuple[int, ...]]) -> ByPath:
    """The leaves of a tree like the outputs, by path of the output."""
    readings = [[("outputs", tree)]]
    if list(shapes) != ["outputs"] and len(shapes) == 1:
        readings.append([(next(iter(shapes)), tree)])
    return matched(what, list(shapes), readings)


def _given_outputs(outputs: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Handed | Misfit]:
    if outputs is None:
        return {}
    floating = jax.tree.map(lambda leaf: None if _is_whole(leaf) else leaf, outputs, is_leaf=is_list_of_numbers)
    found = _like_outputs("outputs", floating, shapes)
    return {path: _given(path, leaf, shapes[path]) for path, leaf in found.items() if leaf is not None}


def _is_whole(leaf: Any) -> bool:
    """Whether an output holds integers or booleans, which nothing is said of."""
    return str(getattr(leaf, "dtype", "")).removeprefix("torch.").startswith(("int", "uint", "bool"))
