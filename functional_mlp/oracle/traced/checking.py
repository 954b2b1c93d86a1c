"""Asking the oracle about any JAX function: somebody's gradients of it, against those that are true."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from functional_mlp.oracle.noise import Precision
from functional_mlp.oracle.report import Explanation, Report
from functional_mlp.oracle.traced.diagnosis import diagnose
from functional_mlp.oracle.traced.judging import judged
from functional_mlp.oracle.traced.noise import Floor, estimate
from functional_mlp.oracle.traced.question import Question, Wrt, question_of
from functional_mlp.oracle.traced.tracing import Trace, trace_of
from functional_mlp.oracle.traced.truth import confirm
from functional_mlp.oracle.verdict import (
    Cause,
    Compared,
    Handed,
    Hint,
    Leaf,
    Rejudged,
    Verdict,
    fitting_precision,
    is_wrong,
)


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
        ValueError: for a function that cannot be traced, has side effects, is another one each time that it is called
            (it draws random numbers of its own), or contains what the oracle does not know; for gradients or cotangents
            of another tree; for NaN, infinite or empty arguments; for an unknown precision.
        DisagreementError: if JAX's derivative of the function and finite differences of it are apart: a `custom_vjp`
            or `custom_jvp` in it is wrong.

    Example:
        >>> import jax.numpy as jnp
        >>> import numpy as np
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
    floors = estimate(trace, question.precision)
    confirm(trace, floors)
    return report_on(question, trace, floors, precision)


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
    return trace_of(question.forward, question.operands, question.cts)


ALL_NARROW = (
    "judged as {0}, in which everything is computed in 16 bits; a kernel that reads and writes {0} and computes in"
    " float32 is declared as precision='{0} in float32', by which smaller errors are seen"
)


def report_on(question: Question, trace: Trace, floors: Sequence[Floor], precision: str | None) -> Report:
    """The report on what was computed.

    Args:
        question: what was asked.
        trace, floors: of its function.
        precision: as it was declared; None if it was not.
    """
    leaves = judged(question, floors)
    name = question.precision.name
    notes: tuple[str, ...] = (ALL_NARROW.format(name),) if precision is None and name in ("float16", "bfloat16") else ()
    report = Report("", "", 0, name, leaves, notes=notes, function=question.words)
    if not is_wrong(leaves):
        return report
    hint = hint_on(question, trace, floors, leaves, precision)
    notes += () if hint is None else (hint.sentence,)
    return dataclasses.replace(report, notes=notes, finder=finder_on(question, trace, floors))


def finder_on(
    question: Question, trace: Trace, floors: Sequence[Floor], group: str = ""
) -> Callable[[], Explanation | None]:
    """What finds out where wrong gradients depart from the right ones; `group` is that of their leaves."""

    def find() -> Explanation | None:
        given = [leaf.values if isinstance(leaf, Handed) else None for leaf in question.given]
        found = diagnose(trace, floors, given, question.paths)
        return None if found is None else found._replace(group=group)

    return find


PRECISIONS_TRIED = (
    *("float32", "tf32", "float16 in float32", "float16/float32", "float16"),
    *("bfloat16 in float32", "bfloat16/float32", "bfloat16"),
)  # in this order, the finest first


def judged_as(question: Question, trace: Trace, other: Precision) -> tuple[tuple[Leaf, ...], tuple[Floor, ...]]:
    """The verdicts on the same numbers in another precision, and how far they may stray in it."""
    floors = tuple(estimate(trace, other))
    return tuple(judged(question._replace(precision=other), floors)), floors


def hint_on(
    question: Question, trace: Trace, floors: Sequence[Floor], leaves: Sequence[Leaf], precision: str | None
) -> Hint | None:
    """What would make wrong numbers right: another precision."""
    wrong = [leaf for leaf in leaves if leaf.verdict is Verdict.WRONG]
    if any(leaf.cause is not Cause.VALUE for leaf in wrong):
        return None
    every = {**dict(zip(question.paths, question.given, strict=True)), **question.given_outputs}
    handed = {path: leaf.values for path, leaf in every.items() if isinstance(leaf, Handed)}
    paths = (*question.outputs, *question.paths)

    def rejudge(other: Precision) -> Rejudged:
        again, own = judged_as(question, trace, other)
        return Rejudged(
            again, {path: floor.smooth for path, floor in zip(paths, own, strict=True) if path in question.paths}
        )

    truth = {path: floor.true for path, floor in zip(paths, floors, strict=True)}
    return fitting_precision(question.precision, precision, Compared(handed, truth, wrong), rejudge, PRECISIONS_TRIED)
