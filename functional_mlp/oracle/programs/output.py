"""What a program printed, parsed: gradients, a case that it does not support, or what is wrong with it.

Of what cannot be read the reason is looked for: gradients on the wrong stream, decimal commas, text around the
document, an answer that was broken off. Numbers as other languages spell them are read, and said to be no JSON.
"""

import re
import signal

from functional_mlp.files import FileError
from functional_mlp.oracle.case import Case
from functional_mlp.oracle.checking import dtype_of
from functional_mlp.oracle.documents import Gradients, UnsupportedError, Update, as_json, format_of, parse_answer
from functional_mlp.oracle.probing import Call, Fault, Skipped, values_of
from functional_mlp.oracle.programs.process import AnswerLimits, Ending, Ran
from functional_mlp.oracle.verdict import Misfit

SHOWN_CHARACTERS = 160  # characters of what a program printed
LINES_TRIED = 10  # of those that look like gradients
SOURCE = "standard output"
DOCUMENTS = {"gradients": "gradients", "update": "an update"}  # what an answer is, by the kind that is expected
_MARK, _KINDS = b"functional-mlp", (b"gradients", b"update")
# a quoted text, or one that is never closed: none of these looks at a character more than a few times
_TEXT = r'"(?:[^"\\]++|\\.?)*+(?:"|\Z)'
# without these, numbers are spelled as in JSON
_SPELLED = re.compile(rb"nan|inf|\+\.?\d|\d\.[^\d]|[^\d]\.\d|\d[df]|[\d\]]\s+[-\d\[]", re.IGNORECASE)
_COMMA = re.compile(rb"\d,\d")
_DECIMAL_COMMA = re.compile(rf"{_TEXT}|(?<!\d)(-?\d++),(\d++(?:[eE][-+]?\d++)?)", re.DOTALL)


def parse_output(ran: Ran, case: Case, limits: AnswerLimits) -> Call | Fault | Skipped:
    """What came of a case that was put to a program."""
    fault = _unanswered(ran, limits)
    if fault is not None:
        return fault
    try:
        read, notes = _read(ran.output, limits)
    except UnsupportedError as error:
        _, _, reason = str(error).partition("this case: ")
        return Skipped(reason)
    except FileError as error:
        return _unreadable(ran, case, limits, error)
    answer, rate = _as_gradients(read), read.learning_rate if isinstance(read, Update) else None
    if answer.case is not None and case.name and answer.case != case.name:
        return Fault("wrong-case", "answers for another case than it was given", _short(repr(answer.case)))
    try:
        call = Call(case, answer, values_of(case, answer), dtype_of(answer.params), rate=rate)
    except (TypeError, ValueError) as error:
        return Fault("garbage", "prints no gradients", _short(str(error)))
    if any(isinstance(leaf, Misfit) for leaf in call.leaves.values()) and _with_points(ran.output, case, limits):
        return DECIMAL_COMMAS
    if ran.left:
        notes = (*notes, LEFT)
    return call._replace(faults=(_exit(ran),) if ran.status else (), notes=notes)


LEFT = "your program leaves processes behind when it ends; they were killed"
WRONG_STREAM = Fault("wrong-stream", "prints its gradients to standard error; print them to standard output")
DECIMAL_COMMAS = Fault(
    "decimal-commas",
    "prints decimal commas, 0,5 where JSON has 0.5; set the locale for numbers to C",
)


def _read(output: bytes, limits: AnswerLimits) -> tuple[Gradients | Update, tuple[str, ...]]:
    """The answer, and notes; errors as `parse_answer`."""
    answer = _parsed(output, limits)
    if format_of(output) != "json" or not _SPELLED.search(output):
        return answer, ()
    first = as_json(output.decode("utf-8", "replace")).first
    if first is None:
        return answer, ()
    was, becomes = (text if text.strip() else "a space between numbers" for text in first)
    return answer, (f"what your program prints is no JSON: {_short(was)} is read as {_short(becomes)}",)


def _parsed(output: bytes, limits: AnswerLimits) -> Gradients | Update:
    return parse_answer(output, SOURCE, (limits.kind,), limits.output)


def _as_gradients(answer: Gradients | Update) -> Gradients:
    """The parameters of an update where gradients have theirs."""
    return answer if isinstance(answer, Gradients) else Gradients(answer.params, printed=answer.printed)


def _unanswered(ran: Ran, limits: AnswerLimits) -> Fault | None:
    """What is wrong with a program that gave no answer at all."""
    match ran.end:
        case _ if ran.early:
            words = "prints something before it is asked, or more than one line for a case; print one line for each"
            return Fault("early", words, _quoted(ran.early))
        case Ending.FLOOD:
            return Fault("flood", f"prints more than {limits.output} bytes; it was ended", _quoted(ran.output))
        case Ending.STOPPED:
            return Fault("timeout", "was ended from outside")
        case Ending.TIMEOUT if ran.kept_back:
            words = (
                f"answers only when its input has ended, after {limits.seconds:g} s; read line by line, and flush the"
                " standard output after each line (or give it more time)"
            )
            return Fault("kept-back", words)
        case Ending.TIMEOUT:
            what = "does not end its answer" if ran.output.strip() else "gives no answer"
            what = "answers, but does not exit" if _is_document(ran.output, limits) else what
            words = f"{what} within {limits.seconds:g} s; it was ended"
            return Fault("timeout", words, _errors(ran))
        case _ if not ran.output.strip():
            if _has_marks(ran.errors):
                return WRONG_STREAM
            if ran.answered and not ran.status:
                return Fault("ends", "ends after an answer; with --stream it must go on until its input ends")
            return _exit(ran) if ran.status else Fault("silent", "prints nothing", _errors(ran))
    return None


def _exit(ran: Ran) -> Fault:
    status = ran.status or 0
    if status >= 0:
        return Fault("exits", f"ends with exit status {status}", _errors(ran))
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = "unknown"
    return Fault("exits", f"is killed by signal {-status} ({name})", _errors(ran))


def _unreadable(ran: Ran, case: Case, limits: AnswerLimits, error: FileError) -> Fault:
    """What is wrong with output that is no document."""
    if ran.status:
        return _exit(ran)
    if _with_points(ran.output, case, limits):
        return DECIMAL_COMMAS
    lines = ran.output.splitlines() if _has_marks(ran.output) else []
    marked = [i for i, line in enumerate(lines) if _MARK in line and len(lines) > 1]
    place = next((i for i in marked[:LINES_TRIED] if _is_document(lines[i], limits)), None)
    if place is not None:
        words = "prints something beside its gradients; print everything else to standard error"
        return Fault("garbage", words, f"the gradients stand in line {place + 1} of {len(lines)}")
    if _has_marks(ran.errors):
        return WRONG_STREAM
    reason = str(error).removeprefix(f"{SOURCE}: ")
    return Fault(
        "garbage",
        f"prints no document of {DOCUMENTS[limits.kind]}",
        f"{_short(reason)}; it begins {_quoted(ran.output)}",
    )


def _has_marks(text: bytes) -> bool:
    """Whether this may hold gradients."""
    return _MARK in text and any(kind in text for kind in _KINDS)


def _is_document(line: bytes, limits: AnswerLimits) -> bool:
    try:
        _parsed(line, limits)
    except FileError as error:
        return isinstance(error, UnsupportedError)
    return True


def _with_points(output: bytes, case: Case, limits: AnswerLimits) -> bool:
    """Whether the output fits the case once every comma between two digits is a point."""
    if format_of(output) != "json" or not _COMMA.search(output):
        return False
    text = output.decode("utf-8", "replace")
    mended = _DECIMAL_COMMA.sub(lambda found: f"{found[1]}.{found[2]}" if found[1] else found[0], text)
    try:
        leaves = values_of(case, _as_gradients(_parsed(mended.encode(), limits)))
    except (TypeError, ValueError):
        return False
    return mended != text and not any(isinstance(leaf, Misfit) for leaf in leaves.values())


# what programs begin a message of theirs with that ends them; a backtrace may follow, and says less
_MESSAGE = re.compile(
    r"panic|error|exception|assert|abort|fatal|segmentation|overflow|out of (range|bounds|memory)", re.IGNORECASE
)


def _errors(ran: Ran) -> str:
    """The message in standard error, or its end, if anything is there."""
    lines = [line for line in ran.errors.decode("utf-8", "replace").splitlines() if line.strip()]
    begins = next((i for i, line in enumerate(lines) if _MESSAGE.search(line)), None)
    if begins is not None and len(" ".join(lines[begins:])) > SHOWN_CHARACTERS and "Traceback" not in "".join(lines):
        return f"its standard error says {_short(' '.join(lines[begins:]))!r}"
    text = " ".join(" ".join(lines).split())
    return (
        f"its standard error ends {'…' if len(text) > SHOWN_CHARACTERS else ''}{_printable(text[-SHOWN_CHARACTERS:])!r}"
        if text
        else ""
    )


def _quoted(output: bytes) -> str:
    return repr(_short(output[: 8 * SHOWN_CHARACTERS].decode("utf-8", "replace")))


def _short(text: str) -> str:
    line = " ".join(_printable(text).split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}…"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
