"""How cases are put to somebody's program: one process per case, several side by side, or one that answers a stream."""

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
from functional_mlp.oracle.programs.output import understood
from functional_mlp.oracle.programs.process import Conversation, Limits, Ran, run

REMEMBERED = 2**16  # bytes of the longest answer that is kept
LEAST_OUTPUT, BYTES_OF_NUMBER = 2**21, 64  # that a program may print, whatever the case, and for each number of it


class Put(NamedTuple):
    """How cases are put to the program.

    Attributes:
        prepare: says which will be asked, so that several can be computed side by side.
        one: puts one, or takes its answer.
        repeats: whether a case may be put again.
    """

    prepare: Callable[[Sequence[Case]], None]
    one: Ask
    repeats: bool


def _limits(seconds: float, max_bytes: int | None, case: Case) -> Limits:
    """What the answer to a case may take."""
    layers = sum(math.prod(shape) for shape in case.network.shapes)
    samples = len(case.inputs) * sum(case.network.sizes)
    return Limits(seconds, max_bytes or LEAST_OUTPUT + BYTES_OF_NUMBER * (layers + 3 * samples))


def putting(
    command: Sequence[str], timeout: float | int, max_bytes: int | None = None, jobs: int = 1, stream: bool = False
) -> AbstractContextManager[Put]:
    """Puts cases to a program; whatever runs is ended with the context.

    Args:
        command: the program and its arguments.
        timeout: seconds for one answer.
        max_bytes: the most that it may print for one; None: as much as the numbers of any answer take.
        jobs: how many cases are computed side by side; 1 for a stream.
        stream: whether the program is started once, and answers a line with a line.

    Raises:
        CommandError: if the program cannot be started.
        TypeError, ValueError: for a command that is no list, and numbers out of range.
    """
    for name, number in (("jobs", jobs), ("max_bytes", 1 if max_bytes is None else max_bytes)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ValueError(f"expected {name} to be an integer of at least 1, got {number!r}")
    if isinstance(command, str | bytes) or not isinstance(command, Sequence):
        raise TypeError(f"expected command to be a list such as ['./my_backprop', '--fast'], got {command!r}")
    if not 0 < finite_float("timeout", timeout) < threading.TIMEOUT_MAX:
        raise ValueError(f"expected timeout to be a number of seconds above 0, got {timeout!r}")
    if stream and jobs > 1:
        raise ValueError("expected jobs=1 with a stream: one program answers one case after the other")
    return _putting(tuple(map(os.fsdecode, command)), partial(_limits, float(timeout), max_bytes), jobs, stream)


@contextmanager
def _putting(command: tuple[str, ...], limits: Callable[[Case], Limits], jobs: int, stream: bool) -> Iterator[Put]:
    stop = threading.Event()
    if stream:
        with Conversation(command, stop) as conversation:
            yield Put(lambda _: None, partial(_next, conversation, limits, {}), True)
        return
    results: dict[str, Future[Call | Fault | Skipped]] = {}
    pool = ThreadPoolExecutor(jobs)

    def prepare(cases: Sequence[Case]) -> None:
        for case in cases:
            if case.name not in results:
                results[case.name] = pool.submit(_once, command, limits, stop, case)

    try:
        yield Put(prepare, lambda case: results[case.name].result(), False)
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _once(
    command: tuple[str, ...], limits: Callable[[Case], Limits], stop: threading.Event, case: Case
) -> Call | Fault | Skipped:
    own = limits(case)
    return understood(run(command, _text(case) + b"\n", own, stop), case, own)


class _Known(NamedTuple):
    """A case as it was put, and its answer, read once: cases are put again, to see whether the answer is the same."""

    case: Case
    text: bytes
    ran: Ran
    call: Call


def _next(
    conversation: Conversation, limits: Callable[[Case], Limits], known: dict[str, _Known], case: Case
) -> Call | Fault | Skipped:
    own, before = limits(case), known.get(case.name)
    text = before.text if before is not None and before.case is case else _text(case)
    ran = conversation.ask(text, own)
    # how many lines it had answered before says nothing about this one
    if before is not None and before.case is case and before.ran == ran._replace(answered=before.ran.answered):
        return before.call
    result = understood(ran, case, own)
    if isinstance(result, Fault):  # what else it prints belongs to this case
        conversation.end()
    if isinstance(result, Call) and len(ran.output) <= REMEMBERED:
        known[case.name] = _Known(case, text, ran, result)
    return result


def _text(case: Case) -> bytes:
    """A case as one line, without its end."""
    return encode(document_of(case), ".json", case.dtype, case.name).strip()
