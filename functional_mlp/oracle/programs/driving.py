"""Asking the oracle about a program in any language: cases on its standard input, gradients on its standard output.

The program is started once per case, or once for all cases where it reads one document per line and answers each with
a line (`stream`); then cases are put to it twice, as to a function, to see what it keeps between them. It is judged as
`check_function` judges a function, and what it does wrong as a program has one of these ids:

    exits            it ends with an exit status other than 0, or is killed by a signal
    timeout          it gives no answer in time, or does not end
    flood            it prints more than it may
    silent           it prints nothing
    garbage          it prints something else than a document
    wrong-stream     it prints its gradients to standard error
    decimal-commas   it prints 0,5 for 0.5
    kept-back        of a stream: it answers only when its input ends
    early            of a stream: it prints more than one line for a case
    ends             of a stream: it ends after an answer
    wrong-case       its answer names another case
    another-case     its answer is right, for another case
    unsupported      it supports none of the cases; this is UNDECIDED

and those of `functions.py` but "raises" and "returns". What it does not support is skipped and counted.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from functional_mlp.losses import Loss
from functional_mlp.network import Network
from functional_mlp.oracle.case import Case, Schedule
from functional_mlp.oracle.checking import AS_STORED, formerly_by_place, stored_as
from functional_mlp.oracle.documents import Gradients, Printed, printed_as, with_digits
from functional_mlp.oracle.probing import (
    Activations,
    Ask,
    Asking,
    Call,
    Fault,
    Probed,
    Skipped,
    asking_of,
    combined_report,
    draw_probe_cases,
    probe_code,
    probe_network,
    renamed,
    report_on_updates,
    shows_updates,
)
from functional_mlp.oracle.programs.submit import Invocation, Submitter, submitting
from functional_mlp.oracle.report import Finding, Report
from functional_mlp.oracle.updates import Training
from functional_mlp.oracle.verdict import Verdict, is_wrong, judge
from functional_mlp.update_rules import UpdateRule, update_rule

# what is tried where no network is declared
TRIED: tuple[tuple[tuple[str, ...], Loss], ...] = (
    (("relu", "relu", "sigmoid"), Loss("binary_cross_entropy")),
    (("tanh", "identity"), Loss("squared_error")),
    (("sigmoid", "softmax"), Loss("categorical_cross_entropy", over_samples="mean")),
    (("tanh", "relu", "identity"), Loss("softmax_cross_entropy")),
)
SKIPPED_SHOWN = 3  # names of cases


@formerly_by_place("precision", "seed")
def drive(
    command: Sequence[str],
    network: Network | Activations | None = None,
    loss: Loss | None = None,
    *,
    precision: str | None = None,
    seed: int = 0,
    cases: int = 20,
    timeout: float | int = 10.0,
    max_bytes: int | None = None,
    jobs: int = 1,
    stream: bool = False,
    progress: Callable[[], object] | None = None,
    targets: str | None = None,
    layout: Any = None,
    bias: bool = True,
    only: Sequence[str] = (),
    digits: int | str | None = None,
    update: str | UpdateRule | None = None,
    epochs: int = 1,
    batch_size: int | None = None,
) -> Report:
    """Judges a program that reads a case and writes gradients, or the parameters after a step.

    Args:
        command: the program and its arguments, started without a shell.
        network, loss: as in `check_function`; without a network several kinds of networks and losses are tried.
        precision: what the program computes in, as in `check`; None: float64, or float32 where the numbers of one that
            would be wrong are all of that format.
        seed: of the cases.
        cases: how many there are, at least 1.
        timeout: seconds for one answer.
        max_bytes: the most that the program may print for one answer; None: as much as the numbers of any answer take.
        jobs: how many cases are computed side by side; 1 for a stream.
        stream: whether the program is started once, and answers a line with a line.
        progress: called after each case.
        targets, only: as in `check_function`.
        layout: in which cases are written, and gradients expected; as `check_function` takes it, where it is not None.
            In a file parameters are always a list of layers with weights and bias.
        bias: whether layers have biases.
        digits: that the program prints, as in `check`.
        update: the rule by which the program updates, as in `check_update`, where it writes parameters: a document
            "functional-mlp/update", which holds the learning rate that it uses.
        epochs, batch_size: as in `check_update`, for these.

    Returns:
        A report, as of `check_function`; its leaves have the name of their case as `group`.

    Raises:
        CommandError: a ValueError: if the program cannot be started.
        TypeError, ValueError: for other arguments that `check_function` would refuse, and numbers out of range.
    """
    if isinstance(cases, bool) or not isinstance(cases, int) or cases < 1:
        raise ValueError(f"expected cases to be an integer of at least 1, got {cases!r}")
    asking = asking_of(targets, layout, bias, only)
    rule = None if update is None else update_rule(update)
    kind = "gradients" if rule is None else "update"
    if network is None and loss is not None:
        raise ValueError("expected a network with the loss, or neither: without one, losses are chosen too")
    if network is not None:
        network = network if isinstance(network, Network) else probe_network(network)
    asked = _Asked(
        Invocation(command, timeout, max_bytes, jobs, stream, kind),
        network,
        loss,
        seed,
        cases,
        asking,
        None if digits is None else printed_as(digits),
        None if rule is None else partial(_stepped, rule=rule, schedule=Schedule(epochs, batch_size), only=asking.only),
    )
    told = _answers(asked, precision or "float64", progress or (lambda: None))
    if rule is not None:
        named = isinstance(update, str)
        report = report_on_updates(
            told.probed, told.steps, told.precision, (), cases=told.cases, named=named, code="your program"
        )
        return _reported(report, told.probed)
    notes: tuple[str, ...] = ()
    wrong = any(is_wrong(own.leaves) for own in told.probed)
    narrower = stored_as(told.pairs()) if wrong and precision is None else None
    if narrower is not None:
        told, notes = _answers(asked, narrower, lambda: None), (AS_STORED.format(narrower),)
    report = combined_report(told.probed, told.precision, notes, cases=told.cases, code="your program")
    return _reported(report, told.probed)


class _Asked(NamedTuple):
    """What `drive` was asked for, checked; see there.

    Attributes:
        step: what comes of a case where the program updates parameters; None where it computes gradients.
    """

    invocation: Invocation
    network: Network | None
    loss: Loss | None
    seed: int
    cases: int
    asking: Asking
    digits: Printed | None
    step: Callable[[Ask, Case], Training | Probed] | None

    def batteries(self, precision: str) -> list[Iterator[Case]]:
        """Probe cases of every network, for a program that computes in a precision."""
        if self.network is not None:
            found = [_battery(self.network, self.loss, precision, self.seed, self.asking)]
        else:
            networks = [(probe_network(activations), loss) for activations, loss in TRIED[: self.cases]]
            found = [
                _battery(*pair, precision, self.seed, self.asking, kind="-".join(_names(pair[0]))) for pair in networks
            ]
        return found if self.step is None else [filter(partial(_shows_updates, self.asking), own) for own in found]


class _Told(NamedTuple):
    """What a program made of the cases that it was given, judged in a precision."""

    precision: str
    cases: list[Case]
    probed: list[Probed]
    steps: list[Training]

    def pairs(self) -> list[tuple[Case, Gradients]]:
        """The cases with the answers as they came."""
        return [(own.call.case, own.call.answer) for own in self.probed if own.call is not None]


def _answers(asked: _Asked, precision: str, progress: Callable[[], object]) -> _Told:
    """The answers of a program to cases for a precision."""
    steps: list[Training] = []

    def probe(ask: Ask, chosen: Sequence[Case], repeats: bool) -> list[Probed]:
        if asked.step is None:
            found = probe_code(ask, chosen, precision, precision, repeat=repeats, asking=asked.asking)
            return [_of_another_case(one, found) for one in found]
        answers = [asked.step(ask, case) for case in chosen]
        steps.extend(answer for answer in answers if isinstance(answer, Training))
        return [answer if isinstance(answer, Probed) else Probed(answer.group) for answer in answers]

    with submitting(asked.invocation) as submitter:
        if asked.digits is not None:
            submitter = submitter._replace(ask=_of_digits(submitter.ask, asked.digits))
        probed, cases = _probed(asked.batteries(precision), submitter, asked.cases, progress, probe)
    return _Told(precision, cases, probed, steps)


def _stepped(ask: Ask, case: Case, rule: UpdateRule, schedule: Schedule, only: tuple[str, ...]) -> Training | Probed:
    """What a program makes of the parameters of a case; or why it does not."""
    call = ask(case)
    if isinstance(call, Skipped):
        return Probed(case.name, skipped=call.reason)
    if isinstance(call, Fault):
        return Probed(case.name, faults=(call,))
    if call.faults:
        return Probed(case.name, faults=call.faults)
    last = len(schedule.rows(len(case.inputs))) - 1
    own = update_rule(rule, call.rate)
    return Training(case, own, schedule, {last: call.answer.params}, call.answer.printed, case.name, only)


def _shows_updates(asking: Asking, case: Case) -> bool:
    return shows_updates(case, asking)


# which cases


def _battery(
    network: Network, loss: Loss | None, precision: str, seed: int, asking: Asking, kind: str = ""
) -> Iterator[Case]:
    """Probe cases, endlessly: those of one seed after those of another, with a name for each."""
    for next_seed in itertools.count(seed):
        more = [*([kind] if kind else []), *([f"seed {next_seed}"] if next_seed != seed else [])]
        for case in draw_probe_cases(network, loss, precision, next_seed, asking):
            yield renamed(case, ", ".join([case.name, *more]))


def _names(network: Network) -> list[str]:
    return [activation.name for activation in network.activations]


def _probed(
    batteries: Sequence[Iterator[Case]],
    submitter: Submitter,
    total: int,
    progress: Callable[[], object],
    probe: Callable[[Ask, Sequence[Case], bool], list[Probed]],
) -> tuple[list[Probed], list[Case]]:
    """The first case of every battery, and more of those that are supported: as many as there are to be in total."""
    first = [next(battery) for battery in batteries]
    submitter.prepare(first)
    able = [len(batteries) == 1 or not isinstance(submitter.ask(case), Skipped) for case in first]
    more = total - len(first)
    probed: list[Probed] = []
    cases: list[Case] = []
    for i, battery in enumerate(batteries):
        share = -(-more // sum(able[i:])) if able[i] else 0
        more -= share
        chosen = [first[i], *itertools.islice(battery, share)]
        submitter.prepare(chosen)
        probed += probe(_counted(submitter.ask, progress), chosen, submitter.repeats)
        cases += chosen
    return probed, cases


def _of_digits(ask: Ask, printed: Printed) -> Ask:
    """`ask`, with answers whose numbers are known to the digits that were declared."""

    def declared(case: Case) -> Call | Fault | Skipped:
        result = ask(case)
        if not isinstance(result, Call):
            return result
        return result._replace(answer=with_digits(result.answer, printed))

    return declared


def _counted(ask: Ask, progress: Callable[[], object]) -> Ask:
    """`ask`, that reports progress when a case is put for the first time."""
    asked: set[str] = set()

    def counted(case: Case) -> Call | Fault | Skipped:
        result = ask(case)
        if case.name not in asked:
            asked.add(case.name)
            progress()
        return result

    return counted


def _of_another_case(probe: Probed, probed: Sequence[Probed]) -> Probed:
    """What was seen, with the fault that the answer is right for another case, if it is."""
    if probe.asked is None or probe.reference is None:
        return probe
    for other in probed:
        if other is probe or other.reference is None:
            continue
        leaves = judge(*other.reference, probe.asked.given)
        if all(leaf.verdict is Verdict.CONSISTENT for leaf in leaves):
            words = "answers with the gradients of another case"
            fault = Fault("another-case", words, details=f"those of {other.name!r}")
            return probe._replace(faults=(*probe.faults, fault), asked=None)
    return probe


# one report


def _reported(report: Report, probed: Sequence[Probed]) -> Report:
    """The report, with what was not supported."""
    skipped = [probe for probe in probed if probe.skipped is not None]
    if not skipped:
        return report
    in_its_words = dict.fromkeys(probe.skipped for probe in skipped if probe.skipped)
    reasons = f" ({'; '.join(in_its_words)})" if in_its_words else ""
    names = ", ".join(repr(probe.name) for probe in skipped[:SKIPPED_SHOWN])
    more = f" and {len(skipped) - SKIPPED_SHOWN} more" if len(skipped) > SKIPPED_SHOWN else ""
    words = f"{len(skipped)} of {len(probed)} cases are not supported{reasons}: {names}{more}"
    if len(skipped) < len(probed):
        return replace(report, notes=(*report.notes, words))
    finding = Finding("unsupported", Verdict.UNDECIDED, f"nothing was judged: {words}.")
    return replace(report, findings=(*report.findings, finding))
