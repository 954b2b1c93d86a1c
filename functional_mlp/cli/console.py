"""What the commands share: how they print, how they fail, and that a signal ends them tidily."""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from functional_mlp.cli.colour import paint, wants_colour
from functional_mlp.files import one_line

VERDICT_CODES = {"consistent": 0, "wrong": 1, "undecided": 3}
ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]


# what is raised, beside OSError, for a question that cannot be answered; anything else is a fault of this package
REFUSALS = (ValueError, TypeError, ArithmeticError, RuntimeError, ImportError)


class OneSentence(TyperGroup):
    """The group of all commands: whatever is raised becomes one sentence and exit code 2, for 1 would mean wrong."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """What stands on the command line, read; --help and --version end here."""
        with _in_one_sentence():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        with _in_one_sentence():
            return super().invoke(ctx)


@contextmanager
def _in_one_sentence() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        drop_output()
    except Exception as error:
        if isinstance(error, typer.Abort) or hasattr(error, "exit_code"):  # these end the program, and say so
            raise
        complain(error)
        if isinstance(error, OSError):  # perhaps of standard output, which is not to fail again at the end
            drop_output()
        raise typer.Exit(2) from None


def complain(error: Exception) -> None:
    """Says on standard error, in one sentence, what was raised."""
    print(f"functional-mlp: {_sentence_of(error)}", file=sys.stderr)


def _sentence_of(error: Exception) -> str:
    try:
        message = " ".join(str(error).split())
    except Exception:  # of somebody's own exception
        message = ""
    if isinstance(error, OSError) and error.strerror:
        message = ": ".join(map(str, filter(None, (error.filename, error.strerror))))
    if isinstance(error, MemoryError):
        message = f"expected something that fits into the memory: {message or 'there is not enough of it'}"
    elif not isinstance(error, (OSError, *REFUSALS)):
        place = traceback.extract_tb(error.__traceback__)[-1]
        platforms = os.environ.get("JAX_PLATFORMS")  # of which JAX may say nothing if they are not here
        message = (
            f"unexpected, and may be reported: {type(error).__name__}{': ' if message else ''}{message}"
            f" ({os.path.basename(place.filename)}:{place.lineno}"
            f"{f'; JAX_PLATFORMS is {platforms}' if platforms else ''})"
        )
    return one_line(message or type(error).__name__)


def show(text: str, write: Callable[[str], object] | None = None) -> None:
    """Prints to standard output, in its encoding; a reader who has gone (`| head`) is no error.

    Args:
        text: is printed.
        write: prints it; None as it is.

    Raises:
        OSError: if standard output is full.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        (write or sys.stdout.write)(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        drop_output()
    except OSError as error:
        drop_output()
        raise OSError(f"standard output: {error.strerror or error}") from error


def conclude(report: Any, *, as_json: bool, explain: bool = False) -> NoReturn:
    """Shows a report, and ends the program with its verdict as exit code."""
    write = paint if wants_colour() and not as_json else None
    show(report.json() if as_json else report.text(), write)
    if explain:
        show("\n" + report.explain(), write)
    if not as_json and sys.stdout.isatty():  # to a person, and not to what reads the text
        known = getattr(report.diagnosis, "mistakes", ())
        for id_ in dict.fromkeys(one.id for one in known):
            show(f"More on it: functional-mlp mistakes show {id_}\n")
    raise typer.Exit(VERDICT_CODES[report.verdict])


def progress_bar(total: int, unit: str, *, hidden: bool = False) -> Any:
    """A bar of tqdm on standard error, where that is a terminal, as wide as that; a context manager.

    Args:
        total: how many `unit` there are.
        unit: what is counted.
        hidden: whether it is not shown in any case.
    """
    from tqdm import tqdm

    return tqdm(total=total, unit=unit, disable=hidden or None, dynamic_ncols=True, leave=False, file=sys.stderr)


def drop_output() -> None:
    """Sends what is still to be written to nowhere, or the interpreter would complain of the broken pipe at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within, a signal that would end this process raises SystemExit first, so that what was started is ended too."""
    before = {name: signal.signal(name, lambda number, _: sys.exit(128 + number)) for name in ENDING}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
