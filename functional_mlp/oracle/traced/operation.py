"""Asking the oracle about somebody's backward pass: it is called with telling arguments, and watched."""

import copy
import inspect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from functional_mlp._dtypes import DTYPES, Array
from functional_mlp.oracle.noise import FORMATS, Floor, Precision, precision_named
from functional_mlp.oracle.probing import Fault, Yardstick, apart, compared, findings_on, listed, raised
from functional_mlp.oracle.report import Finding, Report, count
from functional_mlp.oracle.traced.checking import finder_on, hint_on, judged_as, traced
from functional_mlp.oracle.traced.drawing import PURPOSES, Draw, cotangents, draws, strided
from functional_mlp.oracle.traced.judging import judged
from functional_mlp.oracle.traced.noise import Floor as FloorOfResult
from functional_mlp.oracle.traced.noise import estimate
from functional_mlp.oracle.traced.question import Called, Question, Wrt, arguments_of, question_of
from functional_mlp.oracle.traced.tracing import Trace, UnrepeatableError
from functional_mlp.oracle.traced.truth import confirm
from functional_mlp.oracle.truth import float64_on_cpu
from functional_mlp.oracle.verdict import Handed, Hint, Leaf, Misfit, Verdict, coarsest

Backward = Callable[..., Any]


class Asked(NamedTuple):
    """What came of one draw.

    Attributes:
        draw: of the arguments.
        ct: of the outputs.
        question: with what was computed.
        trace: of the function there.
        floors: of its results.
        leaves: the verdicts.
    """

    draw: Draw
    ct: Any
    question: Question
    trace: Trace
    floors: Sequence[FloorOfResult]
    leaves: tuple[Leaf, ...]


def check_backward(
    backward: Backward,
    function: Callable[..., Any],
    arguments: Any,
    *,
    precision: str | None = None,
    seed: int = 0,
    wrt: Wrt = None,
) -> Report:
    """Judges a backward pass of a function: by its numbers for telling arguments, and by what it does as a program.

    Args:
        backward: called as backward(*arguments, ct) with fresh, writable NumPy arrays; for a function of one number it
            may also take the arguments alone. It returns the gradients as `check_vjp` takes them; or a pair of the
            outputs and these.
        function: the reference, as `check_vjp` takes it.
        arguments: an example of them, which says shapes, dtypes and what kind of numbers they are.
        precision: what the program computes in; the arrays that it gets are of the format that this stores. None: the
            narrowest dtype of the example, or that of the gradients, if it is narrower.
        seed: of what is drawn.
        wrt: as in `check_vjp`.

    Returns:
        A report, whose leaves have the name of their draw as `group`: `drawing.PURPOSES` lists them. What one draw
        leaves undecided, at ties or where numbers are large or small, is not counted if another decides it; a note says
        so.

    Raises:
        TypeError, ValueError: as `check_vjp`, for the function and the example; for a negative seed.
    """
    if not callable(backward):
        raise TypeError(f"expected a function that returns gradients, got {type(backward).__name__}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"expected seed to be an integer of at least 0, got {seed!r}")
    called = arguments_of(function, arguments)
    declared = precision_named(precision or coarsest(called.leaves[place] for place in called.places.values()))
    watch = _Watch(backward, function, called, declared, wrt)
    answered: list[Asked] = []
    faults: list[tuple[str, Fault]] = []
    notes: list[str] = []
    tried = 0
    for number, draw in enumerate(draws(called, declared, seed)):
        asked, found, said = watch.ask(draw, np.random.default_rng([seed, number, 1]))
        tried += asked is not None or bool(found)
        if precision is None and asked is not None and _is_narrower(asked.question):
            narrower = coarsest_of(asked.question)
            report = check_backward(backward, function, arguments, precision=narrower, seed=seed, wrt=wrt)
            return replace(report, notes=(NARROWER.format(narrower), *report.notes))
        if isinstance(asked, Asked) and draw.name in ("as given", "drawn") and not found:
            again, more = compared(partial(watch.again, asked), yardstick_of(asked), computed(asked.question))
            found, said = (*found, *again), (*said, *more)
        answered += [asked] if isinstance(asked, Asked) else []
        faults += [(draw.name, fault) for fault in found]
        notes += said
        if any(fault.id in ("accumulates", "returns") for fault in found):
            break
    faults += watch.stale(answered) if not faults else []
    return _combined(called, declared, answered, findings_on(faults, tried, "your function"), notes)


class _Watch(NamedTuple):
    """Somebody's backward pass, which is called and watched."""

    backward: Backward
    function: Callable[..., Any]
    called: Called
    declared: Precision
    wrt: Wrt

    def ask(self, draw: Draw, rng: np.random.Generator) -> tuple[Asked | None, tuple[Fault, ...], tuple[str, ...]]:
        """What comes of one draw: the answer, if there is one; faults; notes."""
        reference = self._arguments(draw)
        try:
            shapes = self._outputs(draw)
        except Exception as error:
            if draw.name != "one sample":
                words = raised(error, self.function)
                raise ValueError(f"{self.called.words} fails on arguments like the given ones: {words}") from error
            return None, (), ()  # the first axis is no batch
        ct = cotangents(shapes, DTYPES[self.declared.storage.name], rng)
        result, fault = self._call(draw, ct)
        if fault is not None and fault.id == "raises" and draw.name == "one sample":
            return None, (), (f"it was not judged with a first axis of length 1: it {fault.sentence}",)
        if fault is not None and fault.id == "raises":
            return None, (fault,), ()
        try:
            question = self._question(reference, result, ct)
        except UnrepeatableError:  # which says nothing of what was returned
            raise
        except (TypeError, ValueError) as error:
            return None, (Fault("returns", f"returns no gradients: {error}"),), ()
        try:
            trace = traced(question)
            floors = estimate(trace, self.declared)
            leaves = judged(question, floors)
            if draw.name == "as given":
                confirm(trace, floors)
        except OverflowError:
            if draw.name == "as given":
                raise
            return None, (), ()  # outside of the function's domain
        return Asked(draw, ct, question, trace, floors, leaves), () if fault is None else (fault,), ()

    def _outputs(self, draw: Draw) -> Any:
        """The shapes of what the function returns, as it does so."""
        places = [self.called.places[path] for path in self.called.floating]

        def of_floats(*floats: Any) -> Any:
            leaves = [*draw.leaves]
            for place, leaf in zip(places, floats, strict=True):
                leaves[place] = leaf
            return self.function(*jax.tree.unflatten(self.called.structure, leaves))

        with float64_on_cpu():
            return jax.eval_shape(of_floats, *(np.asarray(draw.leaves[place], np.float64) for place in places))

    def _arguments(self, draw: Draw) -> tuple[Any, ...]:
        return tuple(jax.tree.unflatten(self.called.structure, draw.leaves))

    def _call(self, draw: Draw, ct: Any) -> tuple[Any, Fault | None]:
        """What the backward pass returns for fresh copies, and what is wrong with how it does so."""
        fresh = [_copied(leaf) for leaf in draw.leaves]
        own = copy.deepcopy(ct)
        arguments = [*jax.tree.unflatten(self.called.structure, fresh), *([own] if self._takes_ct(ct) else [])]
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                result = self.backward(*arguments)
        except (Exception, SystemExit) as error:
            of_tensors = AS_TENSORS if "numpy.ndarray" in str(error) else ""
            return None, Fault("raises", f"raises {raised(error, self.backward)}{of_tensors}")
        before = [*draw.leaves, *jax.tree.leaves(ct)]
        now = [*fresh, *jax.tree.leaves(own)]
        names = [*self._names(), *("ct" for _ in jax.tree.leaves(ct))]
        changed = [name for name, a, b in zip(names, before, now, strict=True) if _differs(a, b)]
        return result, Fault(
            "mutates", f"changes its arguments ({listed(changed)}); work on copies"
        ) if changed else None

    def _names(self) -> list[str]:
        names = [f"argument {i}" for i in range(len(self.called.leaves))]
        for path, place in self.called.places.items():
            names[place] = path
        return names

    def _takes_ct(self, ct: Any) -> bool:
        """Whether the cotangent is handed over: not where it is one number, and the backward pass takes none."""
        if np.shape(ct) != () or not isinstance(ct, np.ndarray):
            return True
        try:
            signature = inspect.signature(self.backward)
            signature.bind(*self.called.roots)
        except (TypeError, ValueError):
            return True
        return any(one.kind is inspect.Parameter.VAR_POSITIONAL for one in signature.parameters.values())

    def _question(self, reference: tuple[Any, ...], result: Any, ct: Any) -> Question:
        """The question with what was returned: gradients, or outputs and gradients."""
        given = ct if self._takes_ct(ct) else None
        readings: list[tuple[Any, Any]] = [(result, None)]
        if isinstance(result, list | tuple) and len(result) > 1:
            readings += [(result[1], result[0])] if len(result) == 2 else [(tuple(result[1:]), result[0])]
        refused: Exception | None = None
        fitting: Question | None = None
        for gradients, outputs in readings:
            try:
                question = question_of(
                    *(self.function, reference, gradients, given),
                    outputs=outputs,
                    precision=self.declared.name,
                    wrt=self.wrt,
                )
            except (TypeError, ValueError) as error:
                refused = refused or error
                continue
            if not any(isinstance(leaf, Misfit) for leaf in (*question.given, *question.given_outputs.values())):
                return question
            fitting = fitting or question
        if fitting is None:
            raise refused or ValueError("nothing was returned")
        return fitting

    def again(self, asked: Asked) -> dict[str, Array | Misfit] | Fault:
        """What the same arguments give once more."""
        result, fault = self._call(asked.draw, asked.ct)
        if fault is not None and fault.id == "raises":
            return fault
        try:
            return computed(self._question(self._arguments(asked.draw), result, asked.ct))
        except (TypeError, ValueError) as error:
            return Fault("returns", f"returns no gradients: {error}")

    def stale(self, answered: Sequence[Asked]) -> list[tuple[str, Fault]]:
        """What the first arguments give after all others were asked."""
        if len(answered) < 2:
            return []
        first = answered[0]
        again = self.again(first)
        if isinstance(again, Fault):
            return [(first.draw.name, again)]
        far, path = apart(yardstick_of(first), computed(first.question), again)
        if far <= 1:
            return []
        words = f"gives another {path} after it was called with other arguments: it reads what an earlier call left"
        return [(first.draw.name, Fault("stale-state", words))]


AS_TENSORS = (
    "; it gets NumPy arrays: let it make tensors of them, or hand what it computed from tensors to oracle.check_vjp"
)
NARROWER = (
    "its gradients come as {0}: it was asked with arrays of that, and judged as that; to have it otherwise, declare a"
    " precision"
)


def coarsest_of(question: Question) -> str:
    """The narrowest dtype that gradients came in."""
    dtypes = {leaf.dtype for leaf in question.given if isinstance(leaf, Handed)}
    return next((name for name in ("float16", "bfloat16", "float32") if name in dtypes), "float64")


def _is_narrower(question: Question) -> bool:
    """Whether gradients came in a narrower format than the declared one."""
    return FORMATS[coarsest_of(question)].unit > question.precision.storage.unit


def computed(question: Question) -> dict[str, Array | Misfit]:
    """What was computed, by path."""
    given = {**dict(zip(question.paths, question.given, strict=True)), **question.given_outputs}
    return {path: leaf.values if isinstance(leaf, Handed) else leaf for path, leaf in given.items()}


def yardstick_of(asked: Asked) -> Yardstick:
    """By what further answers are compared."""
    question, unit = asked.question, asked.question.precision.storage.unit
    paths = (*question.outputs, *question.paths)
    floors = {
        path: Floor(floor.smooth, floor.slack, np.full(floor.true.shape, np.inf))
        for path, floor in zip(paths, asked.floors, strict=True)
    }
    truth = dict(zip(question.paths, (floor.true for floor in asked.floors[len(question.outputs) :]), strict=True))
    return Yardstick(floors, truth, unit)


def _copied(leaf: Any) -> Any:
    """A copy with the same strides."""
    if not isinstance(leaf, np.ndarray):
        return leaf
    return leaf.copy() if leaf.flags.c_contiguous else strided(leaf)


def _differs(before: Any, after: Any) -> bool:
    return isinstance(before, np.ndarray) and (before.shape, before.tobytes()) != (after.shape, after.tobytes())


def _combined(
    called: Called,
    declared: Precision,
    answered: Sequence[Asked],
    findings: tuple[Finding, ...],
    notes: list[str],
) -> Report:
    """One report on all draws."""
    leaves: list[Leaf] = []
    decided = {leaf.path for asked in answered for leaf in asked.leaves if _decides(leaf, asked.draw.name)}
    for asked in answered:
        name = asked.draw.name
        kept = [leaf for leaf in asked.leaves if _says_something(leaf, name) or leaf.path not in decided]
        left_out = [leaf for leaf in asked.leaves if leaf not in kept]
        if left_out:
            causes = listed(list(dict.fromkeys(str(leaf.cause or "the noise is too large") for leaf in left_out)))
            paths = listed([leaf.path for leaf in left_out])
            notes.append(f"in the case {name!r} nothing can be said of {paths}: {causes}.")
        leaves += [replace(leaf, group=name) for leaf in kept]
    wrong = [asked for asked in answered if any(leaf.verdict is Verdict.WRONG for leaf in asked.leaves)]
    if len(wrong) == 1 and len(answered) > 1 and not findings:
        name = wrong[0].draw.name
        notes.append(f"only the case {name!r} is wrong. It is about {PURPOSES[name][0]}.")
    report = Report(
        count(len(answered), "telling case"),
        "",
        0,
        declared.name,
        tuple(leaves),
        findings,
        tuple(dict.fromkeys(notes)),
        function=called.words,
    )
    if not wrong:
        return report
    hint = _hint_on(wrong, declared)
    if hint is not None:
        report = replace(report, notes=(*report.notes, hint.sentence))
    first = wrong[0]
    return replace(report, finder=finder_on(first.question, first.trace, first.floors, first.draw.name))


def _hint_on(wrong: Sequence[Asked], declared: Precision) -> Hint | None:
    """Another precision in which no draw would be wrong, if most of them say which; what is coarsest explains all."""
    hints = [hint_on(one.question, one.trace, one.floors, one.leaves, declared.name) for one in wrong]
    known = [hint for hint in hints if hint is not None]
    if 2 * len(known) < len(wrong):
        return None
    chosen = max(known, key=lambda hint: hint.unit)
    others = [one for one, hint in zip(wrong, hints, strict=True) if hint is None]
    again = (judged_as(one.question, one.trace, precision_named(chosen.precision))[0] for one in others)
    return None if any(leaf.verdict is Verdict.WRONG for leaves in again for leaf in leaves) else chosen


def _decides(leaf: Leaf, name: str) -> bool:
    """Whether an array is consistent where that is to be decided: then it may be left open elsewhere."""
    return PURPOSES[name][1] and leaf.verdict is Verdict.CONSISTENT and _says_something(leaf, name)


def _says_something(leaf: Leaf, name: str) -> bool:
    """Whether an array is wrong, or is consistent where a change of its own size would have been seen.

    At ties it may be that of another convention, which is known to be right, whatever the range of all conventions.
    """
    if leaf.verdict is not Verdict.CONSISTENT:
        return leaf.verdict is Verdict.WRONG
    return name == "ties and zeros" or leaf.smallest_detectable < leaf.norm or leaf.norm == 0
