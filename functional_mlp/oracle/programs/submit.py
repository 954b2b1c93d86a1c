"""How cases are submitted to a program: a process for each, several side by side, or one that answers a stream."""

import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import NamedTuple

from functional_mlp._checks import finite_float
from functional_mlp.oracle.case import Case
from functional_mlp.oracle.documents import document_of, encode
from functional_mlp.oracle.probing import Ask, Call, Fault, Skipped
from functional_mlp.oracle.programs.output import parse_output
from functional_mlp.oracle.programs.process import AnswerLimits, Conversation, Ran, run_program

REMEMBERED = 2**16  # bytes of the longest answer that is kept
LEAST_OUTPUT, BYTES_OF_NUMBER = 2**21, 64  # that a program may print, whatever the case, and for each number of it


class Invocation(NamedTuple):
    """How a program is started and asked.

    Attributes:
        command: the program and its arguments.
        timeout: seconds for one answer.
        max_bytes: the most that it may print for one; None: as much as the numbers of any answer take.
        jobs: how many cases are computed side by side; 1 for a stream.
        stream: whether the program is started once, and answers a line with a line.
        kind: of its answers: "gradients", or "update".
    """

    command: Sequence[str]
    timeout: float = 10.0
    max_bytes: int | None = None
    jobs: int = 1
    stream: bool = False
    kind: str = "gradients"

    def limits(self, case: Case) -> AnswerLimits:
        """What the answer to a case may take."""
        layers = sum(math.prod(shape) for shape in case.network.shapes)
        samples = len(case.inputs) * sum(case.network.sizes)
        output = self.max_bytes or LEAST_OUTPUT + BYTES_OF_NUMBER * (layers + 3 * samples)
        return AnswerLimits(float(self.timeout), output, self.kind)


class Submitter(NamedTuple):
    """How cases are submitted to the program.

    Attributes:
        prepare: says which will be asked, so that several can be computed side by side.
        ask: submits a case, or takes its answer.
        repeats: whether a case may be submitted again.
    """

    prepare: Callable[[Sequence[Case]], None]
    ask: Ask
    repeats: bool


def submitting(how: Invocation) -> AbstractContextManager[Submitter]:
    """Submits cases to a program; whatever runs is ended with the context.

    Raises:
        CommandError: if the program cannot be started.
        TypeError, ValueError: for a command that is no list, and numbers out of range.
    """
    for name, number in (("jobs", how.jobs), ("max_bytes", 1 if how.max_bytes is None else how.max_bytes)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ValueError(f"expected {name} to be an integer of at least 1, got {number!r}")
    if isinstance(how.command, str | bytes) or not isinstance(how.command, Sequence):
        raise TypeError(f"expected command to be a list such as ['./my_backprop', '--fast'], got {how.command!r}")
    if not 0 < finite_float("timeout", how.timeout) < threading.TIMEOUT_MAX:
        raise ValueError(f"expected timeout to be a number of seconds above 0, got {how.timeout!r}")
    if how.stream and how.jobs > 1:
        raise ValueError("expected jobs=1 with a stream: one program answers one case after the other")
    return _submitting(how._replace(command=tuple(map(os.fsdecode, how.command))))


@contextmanager
def _submitting(how: Invocation) -> Iterator[Submitter]:
    stop = threading.Event()
    if how.stream:
        with Conversation(how.command, stop) as conversation:
            yield Submitter(lambda _: None, partial(_next, conversation, how, {}), True)
        return
    results: dict[str, Future[Call | Fault | Skipped]] = {}
    pool = ThreadPoolExecutor(how.jobs)

    def prepare(cases: Sequence[Case]) -> None:
        for case in cases:
            if case.name not in results:
                results[case.name] = pool.submit(_once, how, stop, case)

    try:
        yield Submitter(prepare, lambda case: results[case.name].result(), False)
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _once(how: Invocation, stop: threading.Event, case: Case) -> Call | Fault | Skipped:
    limits = how.limits(case)
    return parse_output(run_program(how.command, _text(case) + b"\n", limits, stop), case, limits)


class _Known(NamedTuple):
    """A case as it was submitted, and its answer, read once; it is submitted again, to see whether that is the same."""

    case: Case
    text: bytes
    ran: Ran
    call: Call


def _next(conversation: Conversation, how: Invocation, known: dict[str, _Known], case: Case) -> Call | Fault | Skipped:
    limits, before = how.limits(case), known.get(case.name)
    text = before.text if before is not None and before.case is case else _text(case)
    ran = conversation.ask(text, limits)
    # how many lines it had answered before says nothing about this one
    if before is not None and before.case is case and before.ran == ran._replace(answered=before.ran.answered):
        return before.call
    result = parse_output(ran, case, limits)
    if isinstance(result, Fault):  # what else it prints belongs to this case
        conversation.end()
    if isinstance(result, Call) and len(ran.output) <= REMEMBERED:
        known[case.name] = _Known(case, text, ran, result)
    return result


def _text(case: Case) -> bytes:
    """A case as one line, without its end."""
    return encode(document_of(case), ".json", case.dtype, case.name).strip()
