"""Asking the oracle: gradients, or the parameters after a step, against the truth of a case."""

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from functional_mlp._checks import finite_float
from functional_mlp.oracle.case import Case, not_a_case, pairs_in, parameter_of
from functional_mlp.oracle.diagnosis import Asked, diagnose, diagnose_several
from functional_mlp.oracle.documents import Gradients, Update
from functional_mlp.oracle.noise import Noise, Precision, estimate_noise, precision_named
from functional_mlp.oracle.report import Exhibit, Report
from functional_mlp.oracle.truth import Solution, solve
from functional_mlp.oracle.verdict import (
    Leaf,
    Misfit,
    Question,
    Verdict,
    coarsest,
    floor_of_step,
    given_params,
    judge,
    judge_leaf,
    misfit_leaf,
    notes_on,
    truth_of,
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
) -> Report:
    """Judges gradients, without a tolerance.

    Args:
        case: the question.
        gradients: per layer a pair (weights, bias), weights alone without a bias, or a mapping or object with these
            fields, in the layouts that the case declares and of any array type that NumPy understands; or what
            `read_gradients` returns; or (loss, gradients), as `jax.value_and_grad` orders them.
        precision: what the checked program computed in: "float64", "float32", "tf32", "bfloat16", "float16", or
            "stored/accumulated" such as "float16/float32". None: the dtype of the gradients, and float64 for lists.
        loss, outputs, deltas, ct_inputs: what else the program computed, to be judged too: the value of the loss, the
            outputs (n, n_L), dLoss/dz per layer (n, n_l), dLoss/d inputs (n, n_0).

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
    given = handed_over(gradients)
    more = {"loss": loss, "outputs": outputs, "deltas": deltas, "ct_inputs": ct_inputs}
    given = given._replace(**{name: value for name, value in more.items() if value is not None})
    if given.case is not None and case.name and given.case != case.name:
        raise ValueError(f"expected the gradients of the case {case.name!r}, got those of the case {given.case!r}")
    declared = precision_named(precision or dtype_of(given.params))
    solution = solve(case)
    noise = estimate_noise(case, solution, declared)
    leaves = judge(case, solution, noise, given)
    notes = notes_on(case, solution, noise, given, leaves, precision)
    report = report_on(case, declared, leaves, notes)
    is_wrong = report.verdict is Verdict.WRONG
    finder = partial(diagnose, Asked(case, solution, noise, given, leaves)) if is_wrong else None
    return dataclasses.replace(report, finder=finder, exhibits=(Exhibit("", case, given),))


ORDER = "gradients come second"


def handed_over(result: Any) -> Gradients:
    """What somebody's code handed over: `Gradients`, the bare gradients, or a pair of the loss and the gradients.

    Raises:
        TypeError: for the parameters after a step, and for a solution.
    """
    if isinstance(result, Gradients):
        return result
    if isinstance(result, Update):
        raise TypeError("expected gradients, got an Update: the parameters after a step are for check_update")
    if isinstance(result, Solution):
        raise TypeError("expected gradients, got a Solution; its gradients are solution.grads")
    if isinstance(result, tuple | list) and len(result) == 2:
        loss, params = result
        if isinstance(loss, int | float) or getattr(loss, "shape", None) == ():
            return Gradients(params, loss)
    return Gradients(result)


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
def check_update(
    case: Case, params_after: Any, learning_rate: Rates | None = None, *, precision: str | None = None
) -> Report:
    """Judges the parameters after one step of plain gradient descent, params - learning_rate * gradient.

    The rounding of the subtraction is part of the floor: a small step is hidden by it, and the verdict is then
    UNDECIDED. A program that updates weights before it has used them errs in proportion to the learning rate: give
    steps with several rates.

    Args:
        case: the question, with the parameters before the step.
        params_after: the parameters after it, as `check` takes gradients; or what `read_update` returns; for several
            rates a list with one of these per rate, each a step from the parameters of the case.
        learning_rate: the rate, or a sequence of them; may be left out for what `read_update` returns.
        precision: as in `check`.

    Returns:
        A report on the parameters; expected and got are parameters after the step.

    Raises:
        TypeError, ValueError: as `check`, and for rates that are not finite and above 0, or not one per step.
    """
    if not isinstance(case, Case):
        raise not_a_case(case, ORDER)
    updates = _updates(params_after, learning_rate)
    declared = precision_named(precision or dtype_of([layer for update in updates for layer in update.params]))
    solution = solve(case)
    noise = estimate_noise(case, solution, declared)
    leaves: list[Leaf] = []
    asked: list[Asked] = []
    groups = _groups(updates)
    for group, update in zip(groups, updates, strict=True):
        judged = judge_update(case, solution, noise, update)
        leaves += [dataclasses.replace(leaf, group=group) for leaf in judged]
        given = Gradients(update.params, printed=update.printed)
        asked.append(Asked(case, solution, noise, given, judged, update.learning_rate, group))
    report = report_on(case, declared, tuple(leaves))
    exhibits = tuple(Exhibit(group, case, update) for group, update in zip(groups, updates, strict=True))
    finder = partial(diagnose_several, asked) if report.verdict is Verdict.WRONG else None
    return dataclasses.replace(report, finder=finder, exhibits=exhibits)


def _groups(updates: list[Update]) -> list[str]:
    """A name for each of several steps; steps of one rate are counted."""
    names = [f"learning rate {update.learning_rate:g}" for update in updates]
    if len(names) == 1:
        return [""]
    return [f"{name}, step {i}" if names.count(name) > 1 else name for i, name in enumerate(names)]


def _updates(params_after: Any, learning_rate: Any) -> list[Update]:
    if isinstance(params_after, Update):
        params_after = [params_after]
    are_updates = isinstance(params_after, list | tuple) and bool(params_after) and isinstance(params_after[0], Update)
    several = isinstance(learning_rate, list | tuple) or getattr(learning_rate, "ndim", 0) == 1
    if several and not isinstance(params_after, list | tuple):
        kind = type(params_after).__name__
        raise TypeError(f"expected a list with one set of parameters per learning rate, got {kind}")
    steps: list[Any] = list(params_after) if several or are_updates else [params_after]
    rates: list[Any] = list(learning_rate) if several else [learning_rate]  # type: ignore[arg-type]
    if are_updates and learning_rate is None:
        rates = [getattr(update, "learning_rate", None) for update in steps]
    if len(steps) != len(rates) or not rates:
        raise ValueError(f"expected one set of parameters per learning rate, got {len(steps)} for {len(rates)} rates")
    updates = []
    for step, rate in zip(steps, rates, strict=True):
        if isinstance(step, Gradients | Solution):
            raise TypeError(f"expected the parameters after a step, got {type(step).__name__}; gradients are for check")
        if not isinstance(getattr(step, "params", step), list | tuple):
            kind = type(step).__name__
            raise TypeError(f"expected parameters to be a list with one (weights, bias) pair per layer, got {kind}")
        number = finite_float("learning_rate", rate)
        if number <= 0:
            raise ValueError(f"expected learning_rate to be above 0, got {number}")
        updates.append(step._replace(learning_rate=number) if isinstance(step, Update) else Update(step, number))
    return updates


def judge_update(case: Case, solution: Solution, noise: Noise, update: Update) -> tuple[Leaf, ...]:
    """The verdict on the parameters after one step; arguments as `verdict.judge`."""
    truth, rate = truth_of(solution), update.learning_rate
    leaves = []
    with np.errstate(all="ignore"):
        for path, got in given_params(case, update.params).items():
            if isinstance(got, Misfit):
                leaves.append(misfit_leaf(path, got))
                continue
            before, step = parameter_of(case, path), rate * truth[path]
            floor = floor_of_step(noise, path, before, truth[path], rate)
            limits = noise.limits[path]
            limits = limits._replace(delicate=rate * limits.delicate)
            leaves.append(judge_leaf(Question(path, before - step, got, step, floor, update.printed, limits), noise))
    return tuple(leaves)


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
