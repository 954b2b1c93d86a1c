"""Asking the oracle about any JAX function: somebody's gradients of it, against those that are true."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from functional_mlp.oracle.noise import Floor as SmoothFloor
from functional_mlp.oracle.noise import Limits, Precision
from functional_mlp.oracle.report import Report
from functional_mlp.oracle.traced.noise import Floor, estimate
from functional_mlp.oracle.traced.question import Question, Wrt, question_of
from functional_mlp.oracle.traced.tracing import Trace, trace_vjp
from functional_mlp.oracle.verdict import (
    Cause,
    Conditions,
    Handed,
    Leaf,
    Misfit,
    Verdict,
    judge_leaf,
    misfit_leaf,
)
from functional_mlp.oracle.verdict import Question as QuestionOfArray


def check_vjp(
    function: Callable[..., Any],
    arguments: Any,
    gradients: Any,
    ct: Any = None,
    *,
    outputs: Any = None,
    precision: str | None = None,
    wrt: Wrt = None,
) -> Report:
    """Judges gradients of any JAX function, without a tolerance.

    The function is the reference: plain JAX that says what is meant, never the code that is checked. Its VJP is traced
    once, in float64; how far a right program in the declared precision may stray is measured on that trace.

    Args:
        function: of trees of arrays; JAX must be able to trace it. It returns an array or a tree of them.
        arguments: a tuple with one entry per argument, arrays of any kind that NumPy takes or PyTorch has; a single
            array may come bare. Give what the checked program was given, in its dtype. What is of floating point is
            differentiated; integers, booleans, random keys and whatever is no array are constants.
        gradients: one entry per argument, or per argument that is differentiated, shaped as it; None where none was
            computed. Of a single one, the bare gradient; or a dict by the arguments' names.
        ct: the cotangent, dLoss/d outputs, shaped as the outputs, None for an output that has none. Left out for a
            function that returns one number: it is 1.
        outputs: what the program computed forward, to be judged too.
        precision: what the program computed in, as `check` takes it: "float32", "bfloat16/float32" (stored in the
            first, summed in the second) and so on. None: the dtype of the gradients.
        wrt: which arguments the gradients are of, by place or name, such as 0 or ("x", "params.scale"): one gradient
            for each, or the bare one of a single name. None: of all.

    Returns:
        A report. Its leaves have the arguments' names as paths, such as "scale" or "params[0].w", and "outputs".

    Raises:
        TypeError: for what holds no numbers, complex ones, another number of arguments.
        ValueError: for a function that cannot be traced, has side effects or contains what the oracle does not know;
            for gradients or cotangents of another tree; for NaN, infinite or empty arguments; for an unknown precision.
        DisagreementError: if JAX's derivative of the function and finite differences of it are apart: a `custom_vjp`
            or `custom_jvp` in it is wrong.

    Example:
        >>> import jax.numpy as jnp
        >>> def centred(x):
        ...     return x - x.mean()
        >>> x, ct = np.array([1.0, 2.0, 4.0]), np.array([1.0, 0.0, 2.0])
        >>> check_vjp(centred, x, ct - ct.mean(), ct).verdict
        <Verdict.CONSISTENT: 'consistent'>
        >>> check_vjp(centred, x, ct, ct).verdict
        <Verdict.WRONG: 'wrong'>
    """
    question = question_of(function, arguments, gradients, ct, outputs=outputs, precision=precision, wrt=wrt)
    trace = traced(question)
    return report_on(question, trace, estimate(trace, question.precision))


def assert_vjp(function: Callable[..., Any], arguments: Any, gradients: Any, ct: Any = None, **more: Any) -> Report:
    """Passes if `check_vjp` finds the gradients consistent; arguments, returns and errors as there.

    Raises:
        AssertionError: if the verdict is WRONG or UNDECIDED; its message is the report's text.
    """
    report = check_vjp(function, arguments, gradients, ct, **more)
    if report.verdict is not Verdict.CONSISTENT:
        raise AssertionError("\n" + report.text())
    return report


def traced(question: Question) -> Trace:
    """The trace of a question's function and its VJP."""
    structure = jax.tree.structure(question.operands)
    return trace_vjp(question.function, question.operands, structure, range(len(question.operands)), list(question.cts))


def report_on(question: Question, trace: Trace, floors: Sequence[Floor], group: str = "") -> Report:
    """The report on what was computed, by the floors of its trace."""
    leaves = judged(question, floors)
    return Report("", "", 0, question.precision.name, leaves, function=question.words)


def judged(question: Question, floors: Sequence[Floor]) -> tuple[Leaf, ...]:
    """The verdicts, those on gradients first.

    Args:
        question: what was asked.
        floors: of its trace: of the outputs, then of the gradients.
    """
    count = len(question.outputs)
    by_path = dict(zip(question.outputs, floors[:count], strict=True))
    given = [*zip(question.paths, question.given, floors[count:], strict=True)]
    given += [(path, leaf, by_path[path]) for path, leaf in question.given_outputs.items()]
    return tuple(_judged(path, leaf, floor, question.precision) for path, leaf, floor in given)


REMEDIES = {
    Cause.BRANCH: "decide it with arguments that keep away from ties and kinks: change those entries a little, or take"
    " another seed",
    Cause.ROUNDING: "decide it in {wider}, or with smaller arrays or better scaled arguments",
    Cause.UNDERFLOW: "decide it in {wider}, or scale ct up, so that no number falls below {smallest:.1e}",
    Cause.OVERFLOW: "decide it in {wider}, or scale the arguments down, so that no number exceeds {largest:.1e}",
    Cause.SHAPE: "give gradients of the shapes of the arguments, and outputs of the shapes that the function returns",
}


def _judged(path: str, given: Handed | Misfit, floor: Floor, precision: Precision) -> Leaf:
    if isinstance(given, Misfit):
        return dataclasses.replace(misfit_leaf(path, given), remedy=REMEDIES[given.cause])
    unproved = np.full(np.shape(floor.true), np.inf)
    delicate = float(np.abs(floor.true).max(initial=0.0))
    array = QuestionOfArray(
        path,
        floor.true,
        given,
        floor.true,
        SmoothFloor(floor.smooth, floor.slack, unproved),
        None,
        Limits(0.0, 0.0, delicate),
    )
    conditions = Conditions(
        precision, "a comparison whose outcome the noise may change", kink=Cause.BRANCH, remedies=REMEDIES
    )
    return judge_leaf(array, conditions)
