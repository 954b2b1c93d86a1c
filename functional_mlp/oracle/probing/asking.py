"""How code is asked: for which targets, with arrays in which layout, with biases or without; and what is judged.

What is not declared of the layout is found out by calling: a function that raises, or returns arrays of other shapes,
is called again with its arguments in the other usual forms. The sizes of a probe case differ, so few forms fit.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from functional_mlp.oracle.case import CHOICES, Case, Layout, declared_targets, layout_of
from functional_mlp.oracle.checking import only_of
from functional_mlp.oracle.noise import estimate_noise, precision_named
from functional_mlp.oracle.probing.call import Answer, Ask, Call, Fault, Skipped, restricted
from functional_mlp.oracle.truth import solve
from functional_mlp.oracle.verdict import Cause, Misfit, is_wrong, judge


class Asking(NamedTuple):
    """What is declared of how code is to be asked.

    Attributes:
        targets: "one_hot", "soft" or "any"; None: one-hot rows, or what else people have.
        layout: as far as it is declared.
        bias: whether layers have biases; None: they have, unless the code knows none.
        only: fields or paths of parameters that alone are judged; () for all.
    """

    targets: str | None = None
    layout: Layout = Layout()
    bias: bool | None = None
    only: tuple[str, ...] = ()


def asking_of(targets: str | None = None, layout: Any = None, bias: bool | None = None, only: Any = ()) -> Asking:
    """What somebody declares, checked.

    Args:
        targets: "one_hot", "soft", "any", or "labels": integers (n,).
        layout: as `layout_of` takes it.
        bias: False for networks without biases.
        only: such as ("weights",).

    Raises:
        TypeError, ValueError: for anything else.
    """
    choice, labels = declared_targets(targets)
    if bias is not None and not isinstance(bias, bool):
        raise TypeError(f"expected bias to be True or False, got {bias!r}")
    return Asking(choice, labels.completed(layout_of(layout)), bias, only_of(only))


# what people use together
_USUAL = (
    ("in_out", "rows", "vector"),
    ("out_in", "columns", "column"),
    ("out_in", "rows", "vector"),
    ("in_out", "rows", "row"),
    ("in_out", "columns", "column"),
    ("out_in", "columns", "vector"),
    ("out_in", "rows", "column"),
    ("out_in", "rows", "row"),
)


class Found(NamedTuple):
    """How code is asked, and why so if that is not as was declared."""

    asking: Asking
    why: str = ""


def found_out(
    ask: Ask, case: Case, answer: Answer, asking: Asking, draw: Callable[[Asking], Sequence[Case]], precision: str
) -> Found:
    """How a function takes its arguments, as far as that is not declared and calls of it show.

    Args:
        ask: calls it.
        case: the first probe case, as declared.
        answer: what came of its first call, with that case.
        asking: what is declared.
        draw: makes probe cases of it.
        precision: that answers are judged as.

    Returns:
        What is declared, if the function answers that, or nothing else; else the first of the usual ways in which it
        gives the right gradients, or, if there is none, gradients of the right shapes. Of a function that answers none
        of them, the one in which it gets furthest: what it raises there is its own fault, and not that of the way.
    """
    if isinstance(answer, Skipped) or _fits(answer):
        return Found(asking)
    cases: dict[bool | None, Case] = {asking.bias: case}
    fitting: list[Asking] = []
    furthest, furthest_asking = _progress(answer), asking
    for other in _others(asking, case, without_bias_first=_knows_no_bias(answer)):
        if other.bias not in cases:
            cases[other.bias] = draw(other)[0]
        called = restricted(ask, other.only)(cases[other.bias].laid_out(other.layout))
        if isinstance(called, Skipped):
            continue
        if _fits(called):
            fitting.append(other)
            if isinstance(called, Call) and _is_right(called, precision):
                return Found(other, ONLY_SO)
        elif _progress(called) > furthest:
            furthest, furthest_asking = _progress(called), other
    if isinstance(answer, Call):
        return Found(asking)  # one that answers as it was asked is judged by that
    return Found(fitting[0], ONLY_SO) if fitting else Found(furthest_asking, FURTHEST)


ONLY_SO = "as it takes nothing else"
FURTHEST = "as it gets furthest so"
_RAISED, _RETURNED, _OF_OTHER_SHAPES = range(3)


def _progress(answer: Call | Fault) -> tuple[int, tuple[int, ...]]:
    """How far code came with its arguments; more is further."""
    if isinstance(answer, Call):
        return _OF_OTHER_SHAPES, (-sum(isinstance(leaf, Misfit) for leaf in answer.leaves.values()),)
    return (_RAISED if answer.id == "raises" else _RETURNED), answer.reached


def _fits(answer: Call | Fault) -> bool:
    return isinstance(answer, Call) and not any(isinstance(leaf, Misfit) for leaf in answer.leaves.values())


def _knows_no_bias(answer: Call | Fault) -> bool:
    """Whether all gradients of biases are missing, and nothing else is."""
    if isinstance(answer, Fault):
        return False
    misfits = {path: leaf for path, leaf in answer.leaves.items() if isinstance(leaf, Misfit)}
    biases = [path for path in answer.leaves if path.endswith(".bias")]
    return set(misfits) == set(biases) and all(leaf.cause is Cause.MISSING for leaf in misfits.values())


def _others(asking: Asking, case: Case, *, without_bias_first: bool) -> Iterator[Asking]:
    """The other usual ways to ask that leave what is declared as it is, nearest first."""
    biases = (False, None) if without_bias_first else (None, False)
    labels = ("rows", "labels") if _may_have_labels(case) else ("rows",)
    found: dict[Asking, None] = {}
    for bias in biases if asking.bias is None and not asking.layout.in_weights else (asking.bias,):
        forms = ("pairs", "weights", "dict", "flat") if bias is False else ("pairs", "dict", "flat", "lists")
        for form, kind, (weights, samples, shape) in itertools.product(forms, labels, _USUAL):
            usual = Layout(weights, "vector" if bias is False else shape, samples, form, kind)
            found[asking._replace(layout=asking.layout.completed(usual), bias=bias)] = None
    yield from found


def _may_have_labels(case: Case) -> bool:
    """Whether the targets of a case may be handed over as class labels."""
    try:
        case.laid_out({"targets": "labels"})
    except ValueError:
        return False
    return True


def _is_right(call: Call, precision: str) -> bool:
    solution = solve(call.case)
    noise = estimate_noise(call.case, solution, precision_named(precision))
    return not is_wrong(judge(call.case, solution, noise, call.answer))


def other_reading(ask: Ask, asking: Asking, case: Case, precision: str) -> tuple[str, ...]:
    """What is said of wrong code whose layers are all square, so that shapes say nothing, if it is right otherwise.

    Args:
        ask: calls it.
        asking: how it was asked.
        case: the first probe case.
        precision: that answers are judged as.
    """
    if asking.layout.weights is not None or any(fan_in != fan_out for fan_in, fan_out in case.network.shapes):
        return ()
    layouts = (Layout("out_in", samples=samples).completed(asking.layout) for samples in ("rows", "columns"))
    for layout in layouts:
        called = restricted(ask, asking.only)(case.laid_out(layout))
        if isinstance(called, Call) and _fits(called) and _is_right(called, precision):
            shown = _shown(layout)
            return (f"all layers are square, so that shapes do not tell: with {shown} it would be right. Declare that",)
    return ()


def _shown(layout: Layout) -> str:
    """A layout as it is declared, without what is the oracle's own."""
    first = Layout().settled()
    own = {field: getattr(layout, field) for field in CHOICES if field != "targets"}
    fields = [f"{field}={value!r}" for field, value in own.items() if value not in (None, getattr(first, field))]
    return f"layout=oracle.Layout({', '.join(fields)})" if fields else ""


def note_on_dtype(narrower: str) -> str:
    """What is said of code that returns a narrower dtype than float64 for float64 arguments."""
    words = f"for float64 arguments your function returns {narrower}, so it is judged as {narrower}; to have it judged"
    return f"{words} as float64, declare that"


def note_on(way: Found, asking: Asking) -> tuple[str, ...]:
    """What is said where code was asked in another way than it was first."""
    found = way.asking
    if found == asking:
        return ()
    without = ["networks without biases"] if found.bias is False and asking.bias is None else []
    words = [text for text in (found.layout.words(), *without) if text]
    labels = ["targets='labels'"] if found.layout.targets == "labels" else []
    declare = [text for text in (_shown(found.layout), *labels, *(["bias=False"] if without else [])) if text]
    return (f"it was asked with {', '.join(words)}, {way.why}: {', '.join(declare)} declares that",)
