"""One call of somebody's function: what it returned or raised, and whether it changed what it was given.

Of whatever is asked (`probe.py`), what comes of one case is a `Call`, a `Fault` or `Skipped`.
"""

import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import DTYPES
from functional_mlp.oracle.case import Case, declared_data, declared_layer, in_form, parameter_path
from functional_mlp.oracle.checking import dtype_of, handed_over
from functional_mlp.oracle.documents import Gradients
from functional_mlp.oracle.noise import Noise
from functional_mlp.oracle.probing.probe_cases import FAR_TAIL
from functional_mlp.oracle.truth import Solution
from functional_mlp.oracle.verdict import Misfit, given_leaves, is_asked_for

GradientFunction = Callable[..., Any]
MAX_MESSAGE = 200


class Fault(NamedTuple):
    """What a function does wrong as a program.

    Attributes:
        id: of the finding.
        sentence: about "your function", "your program" or "your model".
        details: what may differ from case to case: the first ones are shown.
        reached: how far the function came: the line that it was at, and in it that of the function that it had called,
            and so on; () if that is not known, or if it came to its end.
    """

    id: str
    sentence: str
    details: str = ""
    reached: tuple[int, ...] = ()


class Skipped(NamedTuple):
    """Why a program does not support a case, in its own words."""

    reason: str


class Call(NamedTuple):
    """What came of one call.

    Attributes:
        case: its arguments.
        answer: what was returned, in arrays that a later call may overwrite.
        leaves: copies of them, by path.
        dtype: of the gradients.
        changed: names of the arguments that are no longer what they were.
        faults: of the program, although it gave an answer.
        notes: what changes no verdict.
        rate: the learning rate, where the answer holds the parameters after a step.
    """

    case: Case
    answer: Gradients
    leaves: dict[str, np.ndarray | Misfit]
    dtype: str
    changed: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    rate: float | None = None


Answer = Call | Fault | Skipped
Ask = Callable[[Case], Answer]  # puts a case to somebody's code


class Reference(NamedTuple):
    """A case, the truth about it, and how far a correct function may stray."""

    case: Case
    solution: Solution
    noise: Noise


def call_function(fn: GradientFunction, case: Case) -> Call | Fault | Skipped:
    """What comes of calling `fn` with fresh copies of a case's numbers, in its dtype and its layout.

    A function that has floating-point errors raised does not answer the case of the far tail.
    """
    layers, data = fresh_arguments(case)
    params = in_form(layers, case.layout)
    arguments = {parameter_path(i, field): leaf for i, layer in enumerate(layers) for field, leaf in layer.items()}
    arguments |= data
    before = {name: (array.shape, array.tobytes()) for name, array in arguments.items()}
    members = _members(params)
    try:
        # overflow on the way to a right number is no fault, and whether it warns is the caller's setting
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            result = fn(params, *data.values())
    except (Exception, SystemExit) as error:
        if isinstance(error, FloatingPointError | RuntimeWarning) and case.name == FAR_TAIL:
            return Skipped(f"your function has overflow raised as an error there ({raised(error, fn)})")
        return Fault("raises", f"raises {raised(error, fn)}", reached=_reached(error, fn))
    changed = tuple(name for name, kept in before.items() if (arguments[name].shape, arguments[name].tobytes()) != kept)
    if _members(params) != members:
        changed = ("params", *changed)
    try:
        answer = _answer(result, case)
        return Call(case, answer, values_of(case, answer), dtype_of(answer.params), changed)
    except (TypeError, ValueError) as error:
        return Fault("returns", f"returns no gradients: {error}")


def values_of(case: Case, answer: Gradients) -> dict[str, np.ndarray | Misfit]:
    """The arrays of an answer, by path, in the oracle's layout."""
    given = given_leaves(case, answer)
    return {path: leaf if isinstance(leaf, Misfit) else leaf.values for path, leaf in given.items()}


def fresh_arguments(case: Case) -> tuple[list[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """Writable copies of a case's numbers in its dtype and layout: the arrays of each layer, and inputs and targets."""

    def fresh(array: np.ndarray) -> np.ndarray:
        return np.array(array, None if array.dtype.kind in "iu" else DTYPES[case.dtype], order="C")

    layers = [declared_layer(layer, case.layout) for layer in case.params]
    data = declared_data(case)
    return [{field: fresh(leaf) for field, leaf in layer.items()} for layer in layers], {
        name: fresh(array) for name, array in data.items()
    }


def beginning_with(answer: Answer, ask: Ask) -> Ask:
    """`ask`, whose first call was made already: this came of it."""
    made = [answer]
    return lambda case: made.pop() if made else ask(case)


def restricted(ask: Ask, only: tuple[str, ...]) -> Ask:
    """`ask`, whose answers are looked at for some of the parameters alone."""
    if not only:
        return ask

    def asked(case: Case) -> Call | Fault | Skipped:
        call = ask(case)
        if not isinstance(call, Call):
            return call
        leaves = {path: leaf for path, leaf in call.leaves.items() if is_asked_for(path, only)}
        return call._replace(answer=call.answer._replace(only=only), leaves=leaves)

    return asked


def _members(params: Any) -> list[Any]:
    """What a container holds, and what the containers in it do, by identity."""
    if isinstance(params, dict):
        return [(name, id(value)) for name, value in params.items()]
    return [(id(item), *(_members(item) if isinstance(item, list) else ())) for item in params]


def _answer(result: Any, case: Case) -> Gradients:
    """What a function returned, (loss, gradients) taken apart.

    Raises:
        TypeError: for None.
    """
    answer = handed_over(result, len(case.params))
    if answer.params is None:
        raise TypeError(
            "expected a list with one (weights, bias) pair per layer, got None; return the gradients, and leave the"
            " parameters as they are"
        )
    return answer


def raised(error: BaseException, fn: GradientFunction) -> str:
    """An exception in one line, with its place in the function's own file, if it is there."""
    message = "".join(c if c.isprintable() else " " for c in " ".join(str(error).split()))
    message = f"{message[:MAX_MESSAGE]}..." if len(message) > MAX_MESSAGE else message
    places = _places(error, fn)
    place = f" (line {places[-1].lineno}, in {places[-1].name})" if places else ""
    return f"{type(error).__name__}{': ' if message else ''}{message}{place}"


def _places(error: BaseException, fn: GradientFunction) -> list[traceback.FrameSummary]:
    """Where an exception came through, in the function's own file if it is there."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    written_in = getattr(getattr(fn, "__code__", None), "co_filename", None)
    return [frame for frame in frames if frame.filename == written_in] or list(frames)


def _reached(error: BaseException, fn: GradientFunction) -> tuple[int, ...]:
    return tuple(frame.lineno or 0 for frame in _places(error, fn))


def listed(words: Sequence[str]) -> str:
    """Words in a row, the first three of more than four: a, b and c."""
    shown = [*words[:3], f"{len(words) - 3} more"] if len(words) > 4 else list(words)
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]
