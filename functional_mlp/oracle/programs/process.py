"""Other programs: started, given a text, listened to, and ended with whatever they have started.

Nothing that a program does harms whoever runs it: it gets a limit of time and of output; a pipe that it closes, or
leaves open in a process of its own, is noticed; in the end it and its descendants are killed. Descendants are known by
their process group, and by a mark in their environment where they have left that. What a program does to files, to the
network, or with the processor and the memory within its time is not limited here.

Linux and macOS (`selectors` does not listen to pipes on Windows).
"""

import contextlib
import enum
import errno
import os
import selectors
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import psutil

MARK = "FUNCTIONAL_MLP_DRIVE"  # an environment variable that descendants inherit
CHUNK = 2**16
ERRORS_KEPT, ERRORS_BEGIN = 2**16, 2**12  # bytes of standard error, and how many of these are its first
TICK = 0.02  # seconds between looks at whether a program has ended whose pipes are still open
LAST_WORDS = 0.1  # seconds in which its children may end after it
GRACE = 1.0  # seconds in which a program ends when its input has, or shows what it has kept back
ROUNDS, PAUSE = 50, 0.005  # of killing, and seconds after each; whoever forks in one is killed in the next


class Ending(enum.StrEnum):
    """Why listening ended."""

    ANSWERED = "answered"  # a line, of a program that goes on
    EXITED = "exited"
    TIMEOUT = "timeout"
    FLOOD = "flood"
    STOPPED = "stopped"  # from outside


class Ran(NamedTuple):
    """What came of a program, or of one line that it was given.

    Attributes:
        end: why listening ended.
        output: what it printed on standard output; of a stream one line, without its end.
        errors: the beginning and the end of what it printed on standard error.
        status: its exit status, negative for a signal; None if it had not ended by itself.
        left: how many processes it left behind.
        early: what it printed before it was asked.
        kept_back: whether it printed only when its input ended.
        answered: how many lines it had answered before.
    """

    end: Ending
    output: bytes
    errors: bytes
    status: int | None = None
    left: int = 0
    early: bytes = b""
    kept_back: bool = False
    answered: int = 0


class AnswerLimits(NamedTuple):
    """What one answer may take: seconds, and bytes of output; and what it must be, "gradients" or an "update"."""

    seconds: float
    output: int
    kind: str = "gradients"


class CommandError(ValueError):
    """A command that cannot be started; the sentence says why."""


def run_program(command: Sequence[str], text: bytes, limits: AnswerLimits, stop: threading.Event) -> Ran:
    """A program from its start to its end, with `text` on its standard input.

    Args:
        command: the program and its arguments; no shell is asked.
        text: what it reads.
        limits: of the whole run.
        stop: ends it when set.

    Raises:
        CommandError: if it cannot be started.
    """
    with contextlib.closing(_Child(command)) as child:
        end = child.listen(text, limits, stop, close=True, enough=lambda: False)
        status = child.process.poll() if end is Ending.EXITED else None
        left = child.kill(wait=LAST_WORDS) if end is Ending.EXITED else 0
        return Ran(end, bytes(child.output[: limits.output]), child.errors, status, left)


class Conversation:
    """A program that is given one line after the other, and answers each with a line.

    It is started when it is first asked, and again after it has ended or has not answered properly; a context manager.
    """

    def __init__(self, command: Sequence[str], stop: threading.Event) -> None:
        self.command, self.stop = command, stop
        self.child: _Child | None = None

    def __enter__(self) -> "Conversation":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def ask(self, line: bytes, limits: AnswerLimits) -> Ran:
        """The answer to one line.

        Raises:
            CommandError: if the program cannot be started.
        """
        child = self.child = self.child or _Child(self.command)
        child.take()
        early = bytes(child.output[: limits.output]).strip()
        child.output.clear()
        child.errors = b""
        end = child.listen(line + b"\n", limits, self.stop, close=False, enough=child.has_line)
        kept_back = False
        if end is Ending.TIMEOUT and not child.output.strip():
            child.listen(b"", limits._replace(seconds=GRACE), self.stop, close=True, enough=lambda: False)
            kept_back = bool(child.output.strip())
        output, newline, rest = bytes(child.output).partition(b"\n")
        child.output[:] = rest
        if end is Ending.EXITED and newline:
            end = Ending.ANSWERED  # its last
        status = child.process.poll() if end is Ending.EXITED else None
        answered, child.answered = child.answered, child.answered + 1
        if end is not Ending.ANSWERED or early:
            self.end()
        return Ran(end, output[: limits.output], child.errors, status, 0, early, kept_back, answered)

    def end(self) -> None:
        """Ends the program, if it runs: by the end of its input, and soon by force."""
        child, self.child = self.child, None
        if child is None:
            return
        with contextlib.closing(child):
            child.listen(b"", AnswerLimits(GRACE, CHUNK), self.stop, close=True, enough=lambda: False)


class _Child:
    """A started program, with what it has printed so far."""

    def __init__(self, command: Sequence[str]) -> None:
        self.mark = uuid.uuid4().hex
        environment = os.environ | {MARK: self.mark}
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        try:
            self.process = subprocess.Popen(command, **pipes, bufsize=0, env=environment, start_new_session=True)
        except (OSError, ValueError, IndexError) as error:
            raise CommandError(_why_not(command, error)) from error
        self.output = bytearray()
        self.errors = b""
        self.answered = 0
        try:
            self.selector = selectors.DefaultSelector()
        except OSError as error:
            self.kill()
            raise CommandError(_why_not(command, error)) from error
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
        self.selector.register(self.process.stdout, selectors.EVENT_READ, self._read_output)  # type: ignore[arg-type]
        self.selector.register(self.process.stderr, selectors.EVENT_READ, self._read_errors)  # type: ignore[arg-type]

    def has_line(self) -> bool:
        """Whether the output begins with a whole line; empty ones are dropped."""
        if self.output[:1].isspace():
            self.output[:] = self.output.lstrip()
        return b"\n" in self.output

    def listen(
        self, text: bytes, limits: AnswerLimits, stop: threading.Event, *, close: bool, enough: Callable[[], bool]
    ) -> Ending:
        """Writes `text`, then closes the input if told so; reads until it is enough, the end, or too much."""
        deadline = time.monotonic() + limits.seconds
        self._write(text, close)
        while not enough():
            if len(self.output) > limits.output:
                return Ending.FLOOD
            remaining = deadline - time.monotonic()
            if remaining <= 0 or stop.is_set():
                return Ending.STOPPED if stop.is_set() else Ending.TIMEOUT
            ended = self.process.poll() is not None
            if not self.take(0.0 if ended else min(remaining, TICK)) and ended:
                return Ending.EXITED
        return Ending.ANSWERED

    def take(self, seconds: float = 0.0) -> bool:
        """Writes and reads what is possible now, or else within some seconds; whether anything was."""
        if not self.selector.get_map():  # every pipe is closed
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
            return False
        ready = self.selector.select(seconds)
        for key, _ in ready:
            key.data()
        return bool(ready)

    def _write(self, text: bytes, close: bool) -> None:
        pipe = self.process.stdin
        assert pipe is not None
        rest = memoryview(text)

        def done() -> None:
            self.selector.unregister(pipe)
            if close:
                pipe.close()

        def write() -> None:
            nonlocal rest
            try:
                rest = rest[os.write(pipe.fileno(), rest[:CHUNK]) :]
            except BlockingIOError:
                return
            except OSError:  # it does not read
                rest = rest[len(rest) :]
            if not rest:
                done()

        if pipe.closed:
            return
        if pipe in {key.fileobj for key in self.selector.get_map().values()}:  # what it was given before is unread
            self.selector.unregister(pipe)
        self.selector.register(pipe, selectors.EVENT_WRITE, write)
        if not text:
            done()

    def _read(self, pipe: Any) -> bytes:
        try:
            read = os.read(pipe.fileno(), CHUNK)
        except BlockingIOError:
            return b""
        if not read:
            self.selector.unregister(pipe)
        return read

    def _read_output(self) -> None:
        self.output += self._read(self.process.stdout)

    def _read_errors(self) -> None:
        errors = self.errors + self._read(self.process.stderr)
        self.errors = (
            errors if len(errors) <= ERRORS_KEPT else errors[:ERRORS_BEGIN] + errors[ERRORS_BEGIN - ERRORS_KEPT :]
        )

    def kill(self, wait: float = 0.0) -> int:
        """Kills the program and its descendants; how many of these were there after some seconds."""
        found = list(_marked(self.mark))
        if found and wait:
            time.sleep(wait)
            found = list(_marked(self.mark))
        killed = {process.pid for process in found}
        with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left in its group
            os.killpg(self.process.pid, signal.SIGKILL)
        for _ in range(ROUNDS):
            if not found:
                break
            for process in found:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            time.sleep(PAUSE)
            found = list(_marked(self.mark))
            killed |= {process.pid for process in found}
        return len(killed - {self.process.pid})

    def close(self) -> None:
        """Ends everything."""
        self.kill()
        self.process.wait()
        self.selector.close()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


def _marked(mark: str) -> Iterator[psutil.Process]:
    """The running processes whose environment has the mark; none where processes cannot be listed."""
    with contextlib.suppress(psutil.Error, OSError):
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                    yield process


def _why_not(command: Sequence[str], error: Exception) -> str:
    if not command or not command[0]:
        return "expected a command to run, got none"
    name = command[0][:100]
    if isinstance(error, FileNotFoundError):
        is_file = "/" not in name and os.path.exists(name)
        return f"expected a program, found none named {name!r}{f'; is it ./{name}?' if is_file else ''}"
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return "expected to start a program, got too many open files; run fewer side by side (--jobs)"
    if isinstance(error, PermissionError):
        return f"expected a program that may be executed, got {name!r}: permission denied"
    return f"expected a program, got {name!r}, which does not start: {error}"
