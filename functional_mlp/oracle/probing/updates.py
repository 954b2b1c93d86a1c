"""Asking the oracle about code that changes parameters: one step, several, or epochs, over the probe cases.

What is found has one of these ids, and is WRONG:

    raises            an exception instead of parameters
    returns           something that holds no parameters
    unchanged         nothing is returned, and the parameters are as they were
    nondeterministic  the same arguments give other parameters, beyond the noise of the precision
"""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from functional_mlp._checks import positive_int
from functional_mlp.losses import Loss
from functional_mlp.network import Network
from functional_mlp.oracle.case import Case, Schedule, params_by_path
from functional_mlp.oracle.diagnosis import Asked, AskedSteps, diagnose_steps
from functional_mlp.oracle.documents import Update
from functional_mlp.oracle.noise import Noise, precision_named
from functional_mlp.oracle.probing.asking import Asking, asking_of, found_out, note_on, note_on_dtype
from functional_mlp.oracle.probing.call import Fault, Reference
from functional_mlp.oracle.probing.combine import combined_report
from functional_mlp.oracle.probing.probe import Probed
from functional_mlp.oracle.probing.probe_cases import (
    Activations,
    draw_probe_cases,
    is_meant,
    probe_network,
    purpose_of,
)
from functional_mlp.oracle.probing.stepping import FUNCTION, StepFunction, Stepped, as_call, form_of, take_steps
from functional_mlp.oracle.report import Report
from functional_mlp.oracle.updates import (
    Training,
    in_order_of_samples,
    is_plain_step,
    judge_plain_steps,
    judge_trainings,
)
from functional_mlp.oracle.verdict import Handed, Verdict, given_params
from functional_mlp.update_rules import UpdateRule, update_rule

STEPS_WITH_STATE = 3  # where nobody says otherwise: the third shows what the second keeps


def check_update_function(
    step: StepFunction,
    network: Network | Activations,
    loss: Loss | None,
    *,
    rule: str | UpdateRule = "descent",
    learning_rate: float | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    precision: str | None = None,
    seed: int = 0,
    targets: str | None = None,
    layout: Any = None,
    bias: bool | None = None,
    only: Sequence[str] = (),
) -> Report:
    """Judges code that changes parameters, by its numbers for the probe cases of `check_function`.

    Args:
        step: one of
            - step(params, inputs, targets), which returns the parameters after the step, or changes those that it is
              given and returns nothing (or the loss);
            - step(params, inputs, targets, state) -> (params, state), where the rule keeps a state: None at first;
            - a function or class of no arguments that makes a fresh step(params, inputs, targets), or an object with a
              method step of these, for each case: it may keep its state itself;
            - a function or class of params that makes an object with step(inputs, targets), and with params.
            Arguments are as for `check_function`.
        network, loss: as for `check_function`.
        rule: as for `check_update`.
        learning_rate: that the code uses; None: that of the specification, or the default of the rule (0.1, and 0.001
            for Adam, AdamW and RMSprop).
        epochs: how many steps in a row are taken with the same samples; None: 1, or 3 where the rule keeps a state.
        batch_size: samples per update, in their order, where each call is an epoch of several: 1 for an update after
            each sample. None: each call is one step on all samples.
        precision, seed, targets, layout, bias, only: as for `check_function`.

    Returns:
        A report. Its leaves have the name of their case as `group`, and of the step where there are several; expected
        and got are parameters after it.

    Raises:
        TypeError, ValueError: as `check_function` and `check_update`, and for a plain function of a rule with a state.

    Example:
        >>> import functional_mlp as fm
        >>> def step(params, inputs, targets):
        ...     [(weights, bias)] = params
        ...     ct_z = 2 * (inputs @ weights + bias - targets)
        ...     weights -= 0.1 * inputs.T @ ct_z
        ...     bias += 0.1 * ct_z.sum(axis=0)
        >>> report = check_update_function(step, fm.Network((4, 5), "identity"), fm.Loss("squared_error"))
        >>> {leaf.path for leaf in report.leaves if leaf.verdict == "wrong"}
        {'params[0].bias'}
    """
    declared = update_rule(rule, learning_rate)
    form = form_of(step, bool(declared.slots))
    count = positive_int("epochs", epochs if epochs is not None else STEPS_WITH_STATE if declared.slots else 1)
    schedule = Schedule(count, batch_size)
    network = network if isinstance(network, Network) else probe_network(network)
    asked = asking_of(targets, layout, bias, only)

    def drawn(how: Asking, precision: str = precision or "float64") -> tuple[Case, ...]:
        every = draw_probe_cases(network, loss, precision, seed, how)
        return tuple(case for case in every if shows_updates(case, how))

    ask = partial(as_call, step, form)
    cases = drawn(asked)
    first = ask(cases[0])
    way = found_out(ask, cases[0], first, asked, drawn, precision or "float64")
    found, notes = way.asking, note_on(way, asked)
    cases = cases if found == asked else drawn(found)
    judged_as = precision or "float64"
    stepped = [take_steps(step, form, case, count) for case in cases]
    narrower = next((own.dtype for own in stepped if isinstance(own, Stepped)), "float64")
    if precision is None and narrower != "float64":
        cases, judged_as = drawn(found, narrower), narrower
        stepped = [take_steps(step, form, case, count) for case in cases]
        notes += (note_on_dtype(narrower),)
    probed = [_probed(step, form, case, own) for case, own in zip(cases, stepped, strict=True)]
    trainings = [
        Training(case, declared, schedule, _given(case, schedule, own), group=case.name, only=found.only)
        for case, own, probe in zip(cases, stepped, probed, strict=True)
        if isinstance(own, Stepped) and not probe.faults
    ]
    return report_on_updates(probed, trainings, judged_as, notes, cases=cases, named=isinstance(rule, str))


def shows_updates(case: Case, asking: Asking) -> bool:
    """Whether a probe case is put to code that updates: not for other targets, nor where a side of a kink is chosen."""
    return is_meant(case, asking) and purpose_of(case) != "at the kink"


def _given(case: Case, schedule: Schedule, stepped: Stepped) -> dict[int, Any]:
    """The parameters after each call, by the number of the last step that it took."""
    batches = len(schedule.rows(len(case.inputs))) // schedule.epochs
    return {(i + 1) * batches - 1: params for i, params in enumerate(stepped.params)}


def _probed(step: StepFunction, form: str, case: Case, stepped: Stepped | Fault) -> Probed:
    """What is wrong with the code as a program, in one case."""
    if isinstance(stepped, Fault):
        return Probed(case.name, faults=(stepped,))
    try:
        leaves = _values(case, stepped.params[0])
    except (TypeError, ValueError) as error:
        return Probed(case.name, faults=(Fault("returns", f"returns no parameters: {error}"),))
    before = params_by_path(case.params)
    if leaves and all(np.array_equal(values, before[path]) for path, values in leaves.items()):
        words = "leaves the parameters as they are; return those after the step, or change the arrays in place"
        return Probed(case.name, faults=(Fault("unchanged", words),))
    if form != FUNCTION or purpose_of(case) != "partial batch":
        return Probed(case.name)
    again = take_steps(step, form, case, len(stepped.params))
    if isinstance(again, Fault):
        return Probed(case.name, faults=(again._replace(sentence=f"{again.sentence}, when called again"),))
    other = _values(case, again.params[0])
    if all(_is_near(values, other.get(path), before[path]) for path, values in leaves.items()):
        return Probed(case.name)
    words = (
        "gives other parameters when called again with the same numbers: something is kept between calls, such as a"
        " velocity or gradients that are not set to zero, or is random"
    )
    return Probed(case.name, faults=(Fault("nondeterministic", words),))


NEAR_AGAIN = 2.0**-10  # of a step: what another order of sums changes is far less, what is kept is more


def _is_near(values: Any, other: Any, before: Any) -> bool:
    if other is None:
        return False
    return bool(np.linalg.norm(values - other) <= NEAR_AGAIN * np.linalg.norm(values - before))


def _values(case: Case, params: Any) -> dict[str, Any]:
    return {path: leaf.values for path, leaf in given_params(case, params).items() if isinstance(leaf, Handed)}


def report_on_updates(
    probed: Sequence[Probed],
    trainings: Sequence[Training],
    precision: str,
    notes: tuple[str, ...],
    *,
    cases: Sequence[Case],
    named: bool,
    code: str = "your function",
) -> Report:
    """One report on all cases; arguments as of `combined_report`.

    Args:
        probed: what is wrong with the code as a program.
        trainings: what else it did, by the names of the same cases.
        precision, notes, cases, code: as there.
        named: whether the rule was given by its name.
    """
    declared = precision_named(precision)
    judged: Sequence[Asked | AskedSteps] = ()
    finder: Any = None
    if trainings and all(map(is_plain_step, trainings)):
        judged = judge_plain_steps(trainings, declared)
        if any(leaf.verdict is Verdict.WRONG for own in judged for leaf in own.leaves):
            judged, more = in_order_of_samples(trainings, declared) or (judged, ())
            notes += more
    elif trainings:
        judged, more = judge_trainings(trainings, declared, named=named)
        notes += more
        finder = partial(diagnose_steps, judged)
    by_name = {own.group: own for own in judged}
    given = {training.group: training for training in trainings}
    complete = [_with_verdicts(probe, by_name.get(probe.name), given.get(probe.name)) for probe in probed]
    report = combined_report(complete, precision, notes, cases=cases, code=code)
    return report if finder is None else dataclasses.replace(report, finder=finder)


def _with_verdicts(probe: Probed, judged: Asked | AskedSteps | None, training: Training | None) -> Probed:
    """What is known of a case, with the verdicts on its parameters."""
    if judged is None or training is None:
        return probe
    last = list(training.given.values())[-1]
    kept: Any = Update(last, training.rule.learning_rate)
    is_wrong = any(leaf.verdict is Verdict.WRONG for leaf in judged.leaves)
    if isinstance(judged, Asked):
        reference = Reference(judged.case, judged.solution, judged.noise)
        asked = judged if is_wrong else None
    else:
        noise: Noise = judged.taken[-1].noise
        reference, asked = Reference(judged.case, judged.trajectory.steps[0].solution, noise), None
    return probe._replace(leaves=tuple(judged.leaves), reference=reference, kept=kept, asked=asked)
