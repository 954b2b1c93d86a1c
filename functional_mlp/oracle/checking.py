"""Asking the oracle: gradients, or the parameters after a step, against the truth of a case."""

import dataclasses
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from functional_mlp._checks import known_name
from functional_mlp.oracle.case import FIELDS, Case, layers_in, not_a_case, pairs_in, rounded
from functional_mlp.oracle.diagnosis import Asked, diagnose
from functional_mlp.oracle.documents import Gradients, Update, digits_of, with_digits
from functional_mlp.oracle.noise import Precision, estimate_noise, precision_named
from functional_mlp.oracle.report import Exhibit, Report
from functional_mlp.oracle.truth import Solution, solve
from functional_mlp.oracle.verdict import (
    Handed,
    Leaf,
    Verdict,
    coarsest,
    given_leaves,
    has_dtype,
    is_wrong,
    judge,
    known_to,
    notes_on,
    notes_on_shapes,
    with_allowances,
)

Rates = float | int | Sequence[float | int] | np.ndarray


P = ParamSpec("P")
R = TypeVar("R")


def formerly_by_place(*names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Makes a function whose last arguments are keywords take them by their places too, with a warning, as it once did.

    Args:
        names: of these arguments, in the order of the places behind the others.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        places = function.__code__.co_argcount

        @wraps(function)
        def accepting(*arguments: P.args, **keywords: P.kwargs) -> R:
            late = dict(zip(names, arguments[places:], strict=False))
            if not late or len(arguments) > places + len(names):
                return function(*arguments, **keywords)
            if late.keys() & keywords.keys():
                twice = next(name for name in late if name in keywords)
                raise TypeError(f"{function.__name__}() got multiple values for argument {twice!r}")
            words = ", ".join(f"{name}={value!r}" for name, value in late.items())
            warnings.warn(
                f"{function.__name__} takes {' and '.join(late)} by name: write {words}. The next release refuses"
                " anything else.",
                DeprecationWarning,
                stacklevel=2,
            )
            by_name: dict[str, Any] = late | keywords
            return function(*arguments[:places], **by_name)  # type: ignore[arg-type]

        return accepting

    return decorate


@formerly_by_place("precision")
def check(
    case: Case,
    gradients: Any,
    *,
    precision: str | None = None,
    loss: Any = None,
    outputs: Any = None,
    deltas: Any = None,
    ct_inputs: Any = None,
    only: Sequence[str] = (),
    digits: int | str | None = None,
) -> Report:
    """Judges gradients, without a tolerance.

    Args:
        case: the question.
        gradients: per layer a pair (weights, bias), weights alone without a bias, or a mapping or object with these
            fields; or all of them in another form that `pairs_of` takes, such as a dict of dW1 and db1; in the layout
            of the case, and of any array type that NumPy understands. Or what `read_gradients` returns; or the loss
            and the gradients, in either order.
        precision: what the checked program computed in: "float64", "float32", "tf32", "bfloat16", "float16", or
            "stored/accumulated" such as "float16/float32". None: the dtype of the gradients, and float64 for lists.
        loss, outputs, deltas, ct_inputs: what else the program computed, to be judged too: the value of the loss, the
            outputs (n, n_L), dLoss/dz per layer (n, n_l), dLoss/d inputs (n, n_0).
        only: what was computed of the parameters, where that is not all: "weights" or "bias", or paths such as
            "params[1].bias". Nothing else of them is judged, or missed.
        digits: to how many all numbers are known, where they were rounded or printed: significant ones, such as 6, or a
            format such as "%.4f" for 4 decimals. None: as a text shows, see `read_gradients`; other numbers are exact.

    Returns:
        A report; `report.verdict` is CONSISTENT, WRONG or UNDECIDED.

    Raises:
        TypeError: if something given holds no numbers.
        ValueError: for an unknown precision.
        OverflowError: if the true answer is not finite in float64.

    Example:
        >>> import functional_mlp as fm
        >>> case = Case(fm.Network((2, 1), "identity"), fm.Loss("squared_error"), [([[1.0], [2.0]], [0.5])],
        ...             inputs=[[1.0, 1.0]], targets=[[3.0]])
        >>> check(case, [([[1.0], [1.0]], [1.0])]).verdict
        <Verdict.CONSISTENT: 'consistent'>
        >>> check(case, [([[1.0], [1.0]], [0.5])]).verdict
        <Verdict.WRONG: 'wrong'>
    """
    if not isinstance(case, Case):
        raise not_a_case(case, ORDER)
    given = handed_over(gradients, len(case.params))
    given = given._replace(only=only_of(only) or given.only)
    more = {"loss": loss, "outputs": outputs, "deltas": deltas, "ct_inputs": ct_inputs}
    given = with_digits(given._replace(**{name: value for name, value in more.items() if value is not None}), digits)
    if given.case is not None and case.name and given.case != case.name:
        raise ValueError(f"expected the gradients of the case {case.name!r}, got those of the case {given.case!r}")
    declared = precision_named(precision or dtype_of(given.params))
    solution = solve(case)
    noise = estimate_noise(case, solution, declared)
    allowed = with_allowances(case, solution, noise, given, judge(case, solution, noise, given))
    for assumed in _assumed([(case, given)]) if precision is None and is_wrong(allowed.leaves) else ():
        coarser = estimate_noise(case, solution, precision_named(assumed))
        again = with_allowances(case, solution, coarser, given, judge(case, solution, coarser, given))
        if not is_wrong(again.leaves):
            notes = (AS_STORED.format(assumed), *again.notes)
            notes += notes_on(case, solution, again.noise, again.given, again.leaves, assumed)
            notes += notes_on_shapes(case, given.params)
            report = report_on(case, coarser.precision, again.leaves, notes)
            return dataclasses.replace(report, exhibits=(Exhibit("", case, given),))
    leaves = allowed.leaves
    notes = (*allowed.notes, *notes_on(case, solution, allowed.noise, allowed.given, leaves, precision))
    notes += notes_on_shapes(case, given.params)
    report = report_on(case, declared, leaves, notes)
    asked = Asked(case, solution, allowed.noise, allowed.given, leaves, coarser=allowed.coarser)
    finder = partial(diagnose, asked) if is_wrong(leaves) else None
    return dataclasses.replace(report, finder=finder, exhibits=(Exhibit("", case, given),))


ORDER = "gradients come second"
AS_STORED = (
    "these numbers came without a dtype and are judged as {0}; to have them judged as float64, declare precision"
    " 'float64'"
)


def stored_as(answers: Iterable[tuple[Case, Gradients]]) -> str | None:
    """The narrower format that numbers without a dtype are of: float32, or that of the case; None if of none.

    Numbers that all are of a format, as exactly as they are known, and not all short, are that by no accident.
    """
    return next(iter(_assumed(answers)), None)


def _assumed(answers: Iterable[tuple[Case, Gradients]]) -> tuple[str, ...]:
    known, of_cases = [], dict[str, None]()
    for case, given in answers:
        leaves = [leaf for pair in pairs_in(given.params) for leaf in pair if leaf is not None]
        if not leaves or any(has_dtype(leaf) for leaf in leaves):
            return ()
        handed = given_leaves(case, given).items()
        known += [
            (leaf.values, known_to(leaf, digits_of(given, path))) for path, leaf in handed if isinstance(leaf, Handed)
        ]
        of_cases[case.dtype] = None

    def are(dtype: str) -> bool:
        """Whether all numbers are of a format, as exactly as they are known."""
        with np.errstate(invalid="ignore"):
            return not any((np.abs(rounded(values, dtype) - values) > half).any() for values, half in known)

    narrower = [name for name in dict.fromkeys(("float32", *of_cases)) if name != "float64" and are(name)]
    return tuple(name for name in narrower if name in of_cases or not are(SHORT))


SHORT = "bfloat16"  # what all numbers of 8 bits are


def handed_over(result: Any, layers: int) -> Gradients:
    """What somebody's code handed over: `Gradients`, the bare gradients, or those with the loss, in whichever form.

    Args:
        result: what it was.
        layers: of the network, which tell a loss before the arrays from a bias behind them.

    Returns:
        `Gradients` with one entry per layer, if they have a form that `layers_in` takes.

    Raises:
        TypeError: for the parameters after a step, and for a solution.
    """
    given = _taken_apart(result, layers)
    return given._replace(params=layers_in(given.params, layers))


def _taken_apart(result: Any, layers: int) -> Gradients:
    """Gradients and the loss, which may stand before or behind them, or beside them in a mapping."""
    if isinstance(result, Gradients):
        return result
    if isinstance(result, Update):
        raise TypeError("expected gradients, got an Update: the parameters after a step are for check_update")
    if isinstance(result, Solution):
        raise TypeError("expected gradients, got a Solution; its gradients are solution.grads")
    if isinstance(result, tuple | list) and len(result) == 2:
        first, second = result
        if _is_number(first):
            return Gradients(second, first)
        if _is_number(second) and isinstance(first, list | tuple | Mapping):
            return Gradients(first, second)
    if isinstance(result, tuple | list) and len(result) in (layers + 1, 2 * layers + 1) and layers > 1:
        for loss, params in ((result[0], result[1:]), (result[-1], result[:-1])):
            if _is_number(loss) and not any(map(_is_number, params[:: 1 + (len(params) > layers)])):
                return Gradients(list(params), loss)
    if isinstance(result, Mapping):
        loss = result["loss"] if _is_number(result.get("loss")) else None
        rest = {name: value for name, value in result.items() if name != "loss"}
        nested = [value for name, value in rest.items() if name in ("grads", "gradients", "params")]
        return Gradients(nested[0] if len(nested) == len(rest) == 1 else rest, loss)
    return Gradients(result)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or getattr(value, "shape", None) == ()


def only_of(only: Any) -> tuple[str, ...]:
    """What somebody declares to have computed, checked: fields of layers, or paths.

    Raises:
        TypeError, ValueError: for anything else.
    """
    if isinstance(only, str) or not isinstance(only, Sequence):
        raise TypeError(f'expected only to be a tuple such as ("weights",), got {only!r}')
    for name in only:
        field = name.rpartition(".")[2] if isinstance(name, str) else name
        known_name("field of a layer", field, FIELDS)
    return tuple(only)


def report_on(case: Case, declared: Precision, leaves: tuple[Leaf, ...], notes: tuple[str, ...] = ()) -> Report:
    """A report on one case."""
    return Report(case.name, describe_case(case), len(case.inputs), declared.name, leaves, notes=notes)


def describe_case(case: Case) -> str:
    """The network and the loss of a case, in words."""
    sizes = "-".join(map(str, case.network.sizes))
    names = [activation.name for activation in case.network.activations]
    ends = case.loss.kind if case.loss is not None else "a bare cotangent"
    shown = names[0] if len(set(names)) == 1 else ", ".join(names)
    return f"{sizes} ({shown}; {ends})"


def dtype_of(params: Any) -> str:
    """The dtype that parameters or gradients were handed over in."""
    pairs = pairs_in(params if hasattr(params, "__len__") else [])
    return coarsest(leaf for pair in pairs for leaf in pair if leaf is not None)


@formerly_by_place("precision")
def assert_gradients(case: Case, gradients: Any, *, precision: str | None = None, **more: Any) -> Report:
    """Passes if `check` finds the gradients consistent; arguments, returns and errors as there.

    Raises:
        AssertionError: if the verdict is WRONG or UNDECIDED; its message is the report's text.
    """
    report = check(case, gradients, precision=precision, **more)
    if report.verdict is not Verdict.CONSISTENT:
        raise AssertionError("\n" + report.text())
    return report
