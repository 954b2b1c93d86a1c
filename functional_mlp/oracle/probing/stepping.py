"""Calling somebody's code that changes parameters, step after step, in whichever of the usual forms it has.

How many arguments it requires tells the form: params, inputs and targets, and perhaps a state; params alone, for
something that holds them; or none, for something that makes a fresh step. What cannot be told is taken for the first.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from functional_mlp.oracle.case import Case, in_form, layers_in, pairs_in
from functional_mlp.oracle.checking import dtype_of, handed_over
from functional_mlp.oracle.documents import Gradients
from functional_mlp.oracle.probing.call import Call, Fault, fresh_arguments, raised, values_of

StepFunction = Callable[..., Any]
FUNCTION, WITH_STATE, HOLDER, FACTORY = "function", "with state", "holder", "factory"
REQUIRED = {0: FACTORY, 1: HOLDER, 3: FUNCTION, 4: WITH_STATE}
FORMS = (
    "step(params, inputs, targets), step(params, inputs, targets, state), a function or class of no arguments that"
    " makes a fresh step, or one of params that makes something with step(inputs, targets) and params"
)


class Stepped(NamedTuple):
    """What came of consecutive steps of one case.

    Attributes:
        params: after each of them, copies in the layout of the case.
        dtype: of the parameters.
    """

    params: tuple[Any, ...]
    dtype: str


def form_of(step: Any, keeps_state: bool) -> str:
    """Which form somebody's code has.

    Args:
        step: the code.
        keeps_state: whether the declared rule has a state, which an optional fourth argument then takes.

    Raises:
        TypeError: for what cannot be called, or has none of the forms.
        ValueError: for a plain function of a rule with a state, which no new case would set back.
    """
    if not callable(step):
        raise TypeError(f"expected step to be {FORMS}; got {type(step).__name__}")
    try:
        parameters = list(inspect.signature(step).parameters.values())
    except (TypeError, ValueError):  # of some functions in C
        return _with_a_way_to_begin(FUNCTION, keeps_state)
    places = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    required = sum(one.default is one.empty for one in places)
    takes_any = any(one.kind is one.VAR_POSITIONAL for one in parameters)
    if not takes_any and required not in REQUIRED:
        raise TypeError(f"expected step to be {FORMS}; got one that requires {required} arguments")
    form = FUNCTION if takes_any else REQUIRED[required]
    if form == FUNCTION and keeps_state and len(places) > 3:
        form = WITH_STATE
    return _with_a_way_to_begin(form, keeps_state)


def _with_a_way_to_begin(form: str, keeps_state: bool) -> str:
    if form == FUNCTION and keeps_state:
        raise ValueError(
            "expected a way to begin anew, as the rule keeps a state: give step(params, inputs, targets, state) ->"
            " (params, state), whose first state is None, or a function of no arguments that makes a fresh step"
        )
    return form


def take_steps(step: StepFunction, form: str, case: Case, count: int) -> Stepped | Fault:
    """Calls somebody's code so many times, from the parameters of a case, with fresh copies of its samples."""
    layers, _ = fresh_arguments(case)
    params = in_form(layers, case.layout)
    after, state, own = [], None, step
    try:
        if form in (FACTORY, HOLDER):
            own = step() if form == FACTORY else step(params)
        call = own if callable(own) and not hasattr(own, "step") else own.step
        for _ in range(count):
            data = fresh_arguments(case)[1].values()
            if form == HOLDER:
                result = call(*data)
                result = getattr(own, "params", params) if _is_nothing(result) else result
            elif form == WITH_STATE:
                result, state = _with_state(call(params, *data, state))
            else:
                result = call(params, *data)
            params = params if _is_nothing(result) else handed_over(result, len(case.params)).params
            after.append(_copied(params, len(case.params)))
    except (Exception, SystemExit) as error:
        return Fault("raises", f"raises {raised(error, step)}")
    return Stepped(tuple(after), dtype_of(after[-1]))


def as_call(step: StepFunction, form: str, case: Case) -> Call | Fault:
    """One step as a call, whose answer is the parameters: for what their shapes show."""
    stepped = take_steps(step, form, case, 1)
    if isinstance(stepped, Fault):
        return stepped
    answer = Gradients(stepped.params[0])
    try:
        return Call(case, answer, values_of(case, answer), stepped.dtype)
    except (TypeError, ValueError) as error:
        return Fault("returns", f"returns no parameters: {error}")


def _is_nothing(result: Any) -> bool:
    """Whether nothing was returned, or a number such as the loss: the parameters were changed in place."""
    return result is None or isinstance(result, int | float) or getattr(result, "shape", None) == ()


def _with_state(result: Any) -> tuple[Any, Any]:
    if not isinstance(result, list | tuple) or len(result) != 2:
        raise TypeError(f"expected (params, state) to be returned, got {type(result).__name__}")
    return result[0], result[1]


def _copied(params: Any, layers: int) -> list[Any]:
    """Parameters in arrays of their own, one entry per layer."""
    pairs = pairs_in(layers_in(params, layers))
    return [tuple(None if leaf is None else np.array(leaf) for leaf in pair) for pair in pairs]
