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
from typing import Any

from functional_mlp.losses import Loss
from functional_mlp.network import Network
from functional_mlp.oracle.case import Case
from functional_mlp.oracle.probing import (
    Ask,
    Call,
    Fault,
    Seen,
    Skipped,
    merged,
    renamed,
    telling_cases,
    telling_network,
    watch,
)
from functional_mlp.oracle.programs.submit import Put, putting
from functional_mlp.oracle.report import Finding, Report
from functional_mlp.oracle.verdict import Verdict, judge

# what is tried where no network is declared
KINDS: tuple[tuple[tuple[str, ...], Loss], ...] = (
    (("relu", "relu", "sigmoid"), Loss("binary_cross_entropy")),
    (("tanh", "identity"), Loss("squared_error")),
    (("sigmoid", "softmax"), Loss("categorical_cross_entropy", over_samples="mean")),
    (("tanh", "relu", "identity"), Loss("softmax_cross_entropy")),
)
SKIPPED_SHOWN = 3  # names of cases


def drive(
    command: Sequence[str],
    network: Any = None,
    loss: Loss | None = None,
    precision: str | None = None,
    seed: int = 0,
    *,
    cases: int = 20,
    timeout: float | int = 10.0,
    max_bytes: int | None = None,
    jobs: int = 1,
    stream: bool = False,
    progress: Callable[[], object] | None = None,
) -> Report:
    """Judges a program that reads a case and writes gradients.

    Args:
        command: the program and its arguments, started without a shell.
        network, loss: as in `check_function`; without a network several kinds of networks and losses are tried.
        precision: what the program computes in, as in `check`; None: float64.
        seed: of the cases.
        cases: how many there are, at least 1.
        timeout: seconds for one answer.
        max_bytes: the most that the program may print for one answer; None: as much as the numbers of any answer take.
        jobs: how many cases are computed side by side; 1 for a stream.
        stream: whether the program is started once, and answers a line with a line.
        progress: called after each case.

    Returns:
        A report, as of `check_function`; its leaves have the name of their case as `group`.

    Raises:
        CommandError: a ValueError: if the program cannot be started.
        TypeError, ValueError: for other arguments that `check_function` would refuse, and numbers out of range.
    """
    if isinstance(cases, bool) or not isinstance(cases, int) or cases < 1:
        raise ValueError(f"expected cases to be an integer of at least 1, got {cases!r}")
    put_to_it = putting(command, timeout, max_bytes, jobs, stream)
    if network is None and loss is not None:
        raise ValueError("expected a network with the loss, or neither: without one, losses are chosen too")
    declared = precision or "float64"
    if network is not None:
        network = network if isinstance(network, Network) else telling_network(network)
        batteries = [_battery(network, loss, declared, seed)]
    else:
        networks = [(telling_network(activations), loss) for activations, loss in KINDS[:cases]]
        batteries = [_battery(*pair, declared, seed, kind="-".join(_names(pair[0]))) for pair in networks]
    with put_to_it as put:
        seen, chosen = _watched(batteries, put, declared, cases, progress or (lambda: None))
    return _reported(seen, declared, chosen)


# which cases


def _battery(network: Network, loss: Loss | None, precision: str, seed: int, kind: str = "") -> Iterator[Case]:
    """Telling cases, endlessly: those of one seed after those of another, with a name for each."""
    for own_seed in itertools.count(seed):
        more = [*([kind] if kind else []), *([f"seed {own_seed}"] if own_seed != seed else [])]
        for case in telling_cases(network, loss, precision, own_seed):
            yield renamed(case, ", ".join([case.name, *more]))


def _names(network: Network) -> list[str]:
    return [activation.name for activation in network.activations]


def _watched(
    batteries: Sequence[Iterator[Case]], put: Put, precision: str, total: int, progress: Callable[[], object]
) -> tuple[list[Seen], list[Case]]:
    """The first case of every battery, and more of those that are supported: as many as there are to be in total."""
    first = [next(battery) for battery in batteries]
    put.prepare(first)
    able = [len(batteries) == 1 or not isinstance(put.one(case), Skipped) for case in first]
    more = total - len(first)
    seen: list[Seen] = []
    cases: list[Case] = []
    for i, battery in enumerate(batteries):
        share = -(-more // sum(able[i:])) if able[i] else 0
        more -= share
        own = [first[i], *itertools.islice(battery, share)]
        put.prepare(own)
        watched = watch(_counted(put.one, progress), own, precision, precision, repeat=put.repeats)
        seen += [_of_another_case(one, watched) for one in watched]
        cases += own
    return seen, cases


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


def _of_another_case(one: Seen, watched: Sequence[Seen]) -> Seen:
    """What was seen, with the fault that the answer is right for another case, if it is."""
    if one.asked is None or one.posed is None:
        return one
    for other in watched:
        if other is one or other.posed is None:
            continue
        there = judge(*other.posed, one.asked.given)
        if all(leaf.verdict is Verdict.CONSISTENT for leaf in there):
            words = "answers with the gradients of another case"
            fault = Fault("another-case", words, details=f"those of {other.name!r}")
            return one._replace(faults=(*one.faults, fault), asked=None)
    return one


# one report


def _reported(seen: Sequence[Seen], precision: str, cases: Sequence[Case]) -> Report:
    report = merged(seen, precision, cases=cases, code="your program")
    skipped = [one for one in seen if one.skipped is not None]
    if not skipped:
        return report
    said = dict.fromkeys(one.skipped for one in skipped if one.skipped)
    reasons = f" ({'; '.join(said)})" if said else ""
    names = ", ".join(repr(one.name) for one in skipped[:SKIPPED_SHOWN])
    more = f" and {len(skipped) - SKIPPED_SHOWN} more" if len(skipped) > SKIPPED_SHOWN else ""
    words = f"{len(skipped)} of {len(seen)} cases are not supported{reasons}: {names}{more}"
    if len(skipped) < len(seen):
        return replace(report, notes=(*report.notes, words))
    finding = Finding("unsupported", Verdict.UNDECIDED, f"nothing was judged: {words}.")
    return replace(report, findings=(*report.findings, finding))
