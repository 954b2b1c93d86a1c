"""Asking the oracle about updates: the parameters after a step, or after a few epochs, against the truth of a case.

One step of plain descent is judged by the noise of the gradient and of the subtraction, and its mistake looked for in
the gradient that the step used. Anything else, a rule that keeps a state or several steps, is judged beside the true
training (`truth.follow`), by the noise of all its steps (`noise.trajectories`).
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._checks import finite_float
from functional_mlp.oracle.case import Case, Schedule, layers_in, not_a_case, parameter_of, params_by_path
from functional_mlp.oracle.checking import ORDER, Rates, dtype_of, formerly_by_place, only_of, report_on
from functional_mlp.oracle.diagnosis import Asked, AskedSteps, diagnose_several, diagnose_steps, taken_after
from functional_mlp.oracle.documents import (
    Gradients,
    Printed,
    PrintedText,
    Update,
    digits_at,
    digits_of,
    with_digits,
)
from functional_mlp.oracle.noise import Noise, Precision, estimate_noise, estimate_trajectory_noise, precision_named
from functional_mlp.oracle.report import Exhibit, Report
from functional_mlp.oracle.truth import Solution, follow, solve
from functional_mlp.oracle.verdict import (
    Leaf,
    Misfit,
    Question,
    Verdict,
    conditions_of,
    floor_of_step,
    given_params,
    judge_leaf,
    misfit_leaf,
    truth_of,
)
from functional_mlp.update_rules import Adam, Descent, Momentum, RMSprop, UpdateRule, update_rule


@formerly_by_place("precision")
def check_update(
    case: Case,
    params_after: Any,
    learning_rate: Rates | None = None,
    *,
    precision: str | None = None,
    rule: str | UpdateRule = "descent",
    epochs: int = 1,
    batch_size: int | None = None,
    digits: int | str | None = None,
    only: Sequence[str] = (),
) -> Report:
    """Judges the parameters after one step, of plain gradient descent if nothing else is said, or after a few epochs.

    The rounding of every operation is part of the floor: a small step is hidden by it, and the verdict is then
    UNDECIDED. A program that updates weights before it has used them errs in proportion to the learning rate: give
    steps with several rates.

    Args:
        case: the question, with the parameters before the step.
        params_after: the parameters after it, as `check` takes gradients; or what `read_update` returns; for several
            rates a list with one of these per rate, each a step from the parameters of the case.
        learning_rate: the rate, or a sequence of them; may be left out for what `read_update` returns, and where `rule`
            is a specification, which has its own.
        precision: as in `check`.
        rule: by which the program updates: "descent", "momentum", "nesterov", "adam", "adamw", "rmsprop"; or a
            specification with other numbers, such as `functional_mlp.update_rules.Adam(beta2=0.99)`. Its state is that
            before the first step.
        epochs: how often the program goes through all samples, at least 1; with all in one batch, its steps.
        batch_size: samples per step, in their order: 1 for an update after each sample. None: all in one step.
        digits, only: as in `check`; what is frozen is not judged.

    Returns:
        A report on the parameters; expected and got are parameters after the last step. A step of plain descent that is
        right for an update after each sample is CONSISTENT, and a note says so; as is a rule given by its name in
        another of its usual forms.

    Raises:
        TypeError, ValueError: as `check`, and for rates that are not finite and above 0, or not one per step.
    """
    if not isinstance(case, Case):
        raise not_a_case(case, ORDER)
    if isinstance(rule, UpdateRule) and learning_rate is None:
        learning_rate = rule.learning_rate
    updates = [with_digits(update, digits) for update in _updates(params_after, learning_rate)]
    updates = [update._replace(params=layers_in(update.params, len(case.params))) for update in updates]
    schedule, judged_alone = Schedule(epochs, batch_size), only_of(only)
    declared = precision_named(precision or dtype_of([layer for update in updates for layer in update.params]))
    steps = len(schedule.rows(len(case.inputs)))
    trainings = [
        Training(case, own, schedule, {steps - 1: update.params}, update.printed, group, judged_alone)
        for group, update in zip(_groups(updates), updates, strict=True)
        for own in (update_rule(rule, update.learning_rate),)
    ]
    exhibits = tuple(Exhibit(training.group, case, update) for training, update in zip(trainings, updates, strict=True))
    judged: Sequence[Asked | AskedSteps]
    notes: tuple[str, ...] = ()
    if all(map(is_plain_step, trainings)):
        judged = plain = judge_plain_steps(trainings, declared)
        finder: Any = partial(diagnose_several, plain)
        if _any_wrong(own.leaves for own in plain):
            judged, notes = in_order_of_samples(trainings, declared) or (plain, ())
    else:
        judged, notes = judge_trainings(trainings, declared, named=isinstance(rule, str))
        finder = partial(diagnose_steps, judged)
    leaves = tuple(dataclasses.replace(leaf, group=own.group) for own in judged for leaf in own.leaves)
    report = report_on(case, declared, leaves, notes)
    finder = finder if report.verdict is Verdict.WRONG else None
    return dataclasses.replace(report, finder=finder, exhibits=exhibits)


class Training(NamedTuple):
    """What is asked of one training.

    Attributes:
        case: with the parameters before it.
        rule, schedule: of its steps.
        given: the parameters after some of the steps, which count from 0, as `check` takes gradients.
        printed: how they were printed, or None.
        group: of the leaves.
        only: as in `check`: what alone is judged; () for all.
    """

    case: Case
    rule: UpdateRule
    schedule: Schedule
    given: Mapping[int, Any]
    printed: Printed | PrintedText | None = None
    group: str = ""
    only: tuple[str, ...] = ()


def _any_wrong(leaves: Any) -> bool:
    return any(leaf.verdict is Verdict.WRONG for own in leaves for leaf in own)


# one step of plain descent


def is_plain_step(training: Training) -> bool:
    """Whether it is one step of plain descent on all samples."""
    one = len(training.schedule.rows(len(training.case.inputs))) == 1
    return one and isinstance(training.rule, Descent) and training.rule.weight_decay == 0


def judge_plain_steps(trainings: Sequence[Training], declared: Precision) -> list[Asked]:
    """The verdicts on single steps of plain descent."""
    asked: list[Asked] = []
    for training in trainings:
        case, rate = training.case, training.rule.learning_rate
        if asked and asked[-1].case is case:  # another rate
            solution, noise = asked[-1].solution, asked[-1].noise
        else:
            solution = solve(case)
            noise = estimate_noise(case, solution, declared)
        given = Gradients(training.given[0], printed=training.printed, only=training.only)
        judged = judge_update(case, solution, noise, given, rate)
        asked.append(Asked(case, solution, noise, given, judged, rate, training.group))
    return asked


IN_ORDER = (
    "the parameters are updated after each sample, in order: an epoch of such steps is right here, one step on all"
    " samples is another thing (batch_size=1 declares it)"
)


def in_order_of_samples(
    trainings: Sequence[Training], declared: Precision
) -> tuple[list[AskedSteps], tuple[str, ...]] | None:
    """The verdicts on steps of plain descent as epochs with an update after each sample; None if they are none."""
    if all(len(training.case.inputs) == 1 for training in trainings):
        return None
    rows = [training.case.inputs.shape[0] - 1 for training in trainings]
    online = [
        training._replace(schedule=Schedule(1, 1), given={last: training.given[0]})
        for training, last in zip(trainings, rows, strict=True)
    ]
    try:
        judged = [judge_training(training, declared) for training in online]
    except (ArithmeticError, ValueError):  # of samples that cannot be asked alone
        return None
    right = all(leaf.verdict is Verdict.CONSISTENT for own in judged for leaf in own.leaves)
    return (judged, (IN_ORDER,)) if right else None


# trainings


def judge_training(training: Training, declared: Precision) -> AskedSteps:
    """The verdicts on the parameters after some steps of a training."""
    case, schedule = training.case, training.schedule
    trajectory = follow(case, training.rule, schedule)
    noises = estimate_trajectory_noise(trajectory, declared)
    taken = []
    for step, params in training.given.items():
        true: dict[str, Any] = params_by_path(trajectory.steps[step].after)
        leaves, handed = [], {}
        for path, got in given_params(case, params, training.only).items():
            if isinstance(got, Misfit):
                leaves.append(misfit_leaf(path, got))
                continue
            handed[path] = got
            noise, before = noises[step], parameter_of(case, path)
            after, floor, limits = true[path], noise.floors[path], noise.limits[path]
            printed = digits_at(training.printed, path)
            question = Question(path, after, got, after - before, floor, printed, limits)
            leaves.append(judge_leaf(question, conditions_of(noise)))
        taken.append(taken_after(step, handed, noises[step], tuple(leaves), training.printed))
    return AskedSteps(case, trajectory, schedule, tuple(taken), training.group)


def judge_trainings(
    trainings: Sequence[Training], declared: Precision, *, named: bool
) -> tuple[list[AskedSteps], tuple[str, ...]]:
    """The verdicts on trainings of one program, and notes.

    Args:
        trainings: all by one rule, but for its rate.
        declared: what the program computes in.
        named: whether the rule was given by its name alone; another usual form of it is then right as well.
    """
    judged = [judge_training(training, declared) for training in trainings]
    if not _any_wrong(own.leaves for own in judged):
        return judged, ()
    for words, changes, accepted in other_rules(trainings[0].rule):
        if accepted and not named:
            continue
        own = [training._replace(rule=dataclasses.replace(training.rule, **changes)) for training in trainings]
        first = judge_training(own[0], declared)
        if _any_wrong([first.leaves]):
            continue
        others = [first, *(judge_training(training, declared) for training in own[1:])]
        if _any_wrong(each.leaves for each in others):
            continue
        spelled = ", ".join(f"{name}={value}" for name, value in changes.items())
        if accepted:
            return others, (f"right for a usual form of {trainings[0].rule.name}: {words} ({spelled} declares it)",)
        return judged, (f"with {spelled} these would be right. If that is what your program has, declare that rule",)
    return judged, ()


UNCORRECTED = ("ε is added before the root is corrected, as in Keras", {"epsilon_uncorrected": True})
INSIDE = ("ε stands inside of the root", {"epsilon_inside": True})


def other_rules(rule: UpdateRule) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """What else people mean by a rule: words, the settings that differ, and whether it is the same rule.

    These are other forms of it, and then other numbers that are some library's defaults.
    """
    forms: list[tuple[str, dict[str, Any]]] = []
    numbers: list[dict[str, Any]] = []
    if isinstance(rule, Adam):
        forms = [UNCORRECTED]
        numbers = [{"epsilon": 1e-7}, {"epsilon": 1e-6}, {"epsilon": 1e-10}, {"epsilon": 0.0}, {"beta2": 0.99}]
        numbers += [{"weight_decay": decay} for decay in (0.01, 0.004, 1e-4, 0.0) if rule.decoupled]
    elif isinstance(rule, RMSprop):
        forms = [INSIDE]
        numbers = [{"decay": decay} for decay in (0.99, 0.95, 0.999)]
        numbers = [
            *numbers,
            *({**own, "epsilon": epsilon} for own in ({}, *numbers) for epsilon in (1e-7, 1e-6, 1e-10)),
        ]
    elif isinstance(rule, Momentum):
        numbers = [{"momentum": momentum} for momentum in (0.5, 0.8, 0.95, 0.99)]
    yield from ((words, changes, True) for words, changes in forms)
    for own in numbers:
        yield "", own, False
        for _, changes in forms:
            yield "", {**own, **changes}, False


# what was given


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
        if not isinstance(getattr(step, "params", step), list | tuple | Mapping):
            kind = type(step).__name__
            raise TypeError(f"expected parameters to be a list with one (weights, bias) pair per layer, got {kind}")
        number = finite_float("learning_rate", rate)
        if number <= 0:
            raise ValueError(f"expected learning_rate to be above 0, got {number}")
        updates.append(step._replace(learning_rate=number) if isinstance(step, Update) else Update(step, number))
    return updates


def judge_update(case: Case, solution: Solution, noise: Noise, given: Gradients, rate: float) -> tuple[Leaf, ...]:
    """The verdict on the parameters after one step of plain descent; `given` holds them, as for `verdict.judge`."""
    truth, leaves = truth_of(solution), []
    with np.errstate(all="ignore"):
        for path, got in given_params(case, given.params, given.only).items():
            if isinstance(got, Misfit):
                leaves.append(misfit_leaf(path, got))
                continue
            before, step = parameter_of(case, path), rate * truth[path]
            floor = floor_of_step(noise, path, before, truth[path], rate)
            limits = noise.limits[path]
            limits, printed = limits._replace(delicate=rate * limits.delicate), digits_of(given, path)
            question = Question(path, before - step, got, step, floor, printed, limits)
            leaves.append(judge_leaf(question, conditions_of(noise)))
    return tuple(leaves)
