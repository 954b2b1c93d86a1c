"""What a report was about, kept so that it can be handed on: the case, what was given, and files of both.

A file that is written here means to the reader what the program handed over: every number bit for bit, text printed to
as many digits as it was, arrays of a narrower dtype as such (safetensors, since JSON has no dtypes). What cannot be
written is not: the reason stands in its place.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from functional_mlp.files import FileError
from functional_mlp.oracle.case import Case, delta_path, numbers, pairs_in, parameter_path
from functional_mlp.oracle.documents import (
    Gradients,
    Printed,
    Update,
    answer_document,
    check_schema,
    digits_of,
    document_of,
    encode,
    printed_text,
)
from functional_mlp.oracle.verdict import coarsest

MAX_PAGE_BYTES = 2 * 2**20  # of all files of one report together
LEAST_BYTES = 3  # of a number in a list of them
EXACT = Printed("significant", 17)  # so many tell every float64 from its neighbours


@dataclass(frozen=True)
class Exhibit:
    """One case, and what was given for it.

    Attributes:
        group: of the leaves that judge it; "" if there is but one.
        case: the question.
        answer: gradients, or the parameters after a step.
    """

    group: str
    case: Case
    answer: Gradients | Update


class File(NamedTuple):
    """A file to be saved, or the reason why there is none.

    Attributes:
        name: for saving.
        content: UTF-8 text if the name ends in .json; b"" if there is none.
        reason: a sentence without a full stop, or "".
    """

    name: str
    content: bytes
    reason: str = ""


class Bundle(NamedTuple):
    """A case and all answers to it.

    Attributes:
        groups: of the answers.
        case, answers: the files.
        digits: that were declared for all their numbers, as `--digits` takes them; or "".
    """

    groups: tuple[str, ...]
    case: File
    answers: tuple[File, ...]
    digits: str = ""

    def command(self, precision: str) -> str:
        """What judges them again, or "" if a file is missing."""
        files = (self.case, *self.answers)
        if any(file.reason for file in files):
            return ""
        digits = ["--digits", self.digits] if self.digits else []
        return " ".join(["functional-mlp check", *(file.name for file in files), "--precision", precision, *digits])


def bundles(exhibits: Iterable[Exhibit], max_bytes: int = MAX_PAGE_BYTES) -> tuple[Bundle, ...]:
    """The files of some exhibits, each case once; what exceeds `max_bytes` in all is left out, with the reason.

    Args:
        exhibits: those of one case stand together.
        max_bytes: of all the files.
    """
    together: list[list[Exhibit]] = []
    for exhibit in exhibits:
        if together and together[-1][0].case is exhibit.case:
            together[-1].append(exhibit)
        else:
            together.append([exhibit])
    made, left = [], max_bytes
    for i, of_one_case in enumerate(together, 1):
        number = f"-{i}" if len(together) > 1 else ""
        case = _case_file(f"case{number}", of_one_case[0].case, left)
        left -= len(case.content)
        answers = []
        for j, exhibit in enumerate(of_one_case, 1):
            counted = f"{number}-{j}" if len(of_one_case) > 1 else number
            answers.append(_answer_file(counted, exhibit.answer, left))
            left -= len(answers[-1].content)
        groups = tuple(exhibit.group for exhibit in of_one_case)
        styles = {str(exhibit.answer.printed) for exhibit in of_one_case if isinstance(exhibit.answer.printed, Printed)}
        made.append(Bundle(groups, case, tuple(answers), styles.pop() if len(styles) == 1 else ""))
    return tuple(made)


def _case_file(stem: str, case: Case, left: int) -> File:
    def write() -> tuple[str, bytes]:
        return ".json", _text(document_of(case), lambda _: repr).encode()

    entries = sum(leaf.size for layer in case.params for leaf in layer if leaf is not None) + case.inputs.size
    return _file(stem, "case", entries, left, write)


def _answer_file(number: str, answer: Gradients | Update, left: int) -> File:
    kind = "update" if isinstance(answer, Update) else "gradients"

    def write() -> tuple[str, bytes]:
        document = answer_document(answer, lambda _, value: _array(value), _loss)
        check_schema(document, kind, kind)
        arrays = [array for field in document.values() for array in _arrays(field)]
        dtype = coarsest(arrays)
        if dtype != "float64" and all(array.dtype.name == dtype for array in arrays):
            return ".safetensors", encode(document, ".safetensors", dtype, kind)
        return ".json", _as_printed(document, answer).encode()

    leaves = (leaf for pair in pairs_in(answer.params) for leaf in pair if leaf is not None)
    entries = sum(array.size for leaf in leaves for array in _arrays(_array(leaf)))
    return _file(f"{kind}{number}", kind, entries, left, write)


def _file(stem: str, kind: str, entries: int, left: int, write: Callable[[], tuple[str, bytes]]) -> File:
    """The file that `write` makes; none if it does not fit into what is left, or cannot be written."""
    too_large = f"the {kind} is too large to be kept in this page: keep your own file"
    if LEAST_BYTES * entries > left:
        return File(f"{stem}.json", b"", too_large)
    try:
        suffix, content = write()
    except (TypeError, ValueError, ArithmeticError) as error:
        return File(f"{stem}.json", b"", f"the {kind} cannot be written to a file: {error}")
    return File(stem + suffix, b"", too_large) if len(content) > left else File(stem + suffix, content)


# documents


def _loss(value: Any) -> float:
    loss = np.ravel(numbers("loss", value))
    if loss.size != 1:
        raise FileError("expected the loss to be one number")
    return float(loss[0])


def _array(value: Any) -> Any:
    """`value` as an array, in its own dtype if that holds real numbers; ragged lists stay lists."""
    try:
        array = numbers("an array", value)
    except ValueError:
        if isinstance(value, list | tuple):
            return [_array(item) for item in value]
        raise
    dtype = coarsest([value])
    if dtype == "float64":
        return array
    as_it_came = np.asarray(value)
    return as_it_came if as_it_came.dtype.name == dtype else array


def _arrays(value: Any) -> Iterator[np.ndarray]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, list | tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _arrays(item)


# text


Form = Callable[[float], str]  # how a number is written


def _as_printed(document: dict[str, Any], answer: Gradients | Update) -> str:
    """The document as JSON that the reader takes for printed as the answer was.

    An answer that came as arrays is exact; as short decimals (0.5, 0.25) it might be taken for rounded.
    """
    if answer.printed is None and getattr(answer, "printed_loss", None) is None:
        shortest = _text(document, lambda _: repr)
        return shortest if _is_exact(shortest) else _text(document, lambda _: EXACT.written)
    return _text(document, lambda path: (digits_of(answer, path) or EXACT).written)


def _is_exact(text: str) -> bool:
    """Whether all numbers of a text are read as known to their last digit."""
    printed = printed_text(text, json.loads(text))
    if printed is None:
        return True
    values = printed.together.values
    return bool((printed.together.widest(values) <= 2 * np.spacing(np.abs(values))).all())


def _text(document: dict[str, Any], form: Callable[[str], Form]) -> str:
    """JSON with a line for every field and every row; NaN and infinities as Python writes them.

    Args:
        document: the fields.
        form: how the numbers of an array are written, by its path.
    """
    fields = []
    for name, value in document.items():
        if name == "params":
            layers = [
                ", ".join(
                    f"{json.dumps(field)}: {_numbers(leaf, form(parameter_path(i, field)))}"
                    for field, leaf in layer.items()
                )
                for i, layer in enumerate(value)
            ]
            written = "[" + ",\n  ".join(f"{{{layer}}}" for layer in layers) + "]"
        elif name == "deltas":
            written = "[" + ",\n  ".join(_numbers(delta, form(delta_path(i))) for i, delta in enumerate(value)) + "]"
        elif name in ARRAY_FIELDS or (name == "loss" and isinstance(value, float)):
            written = _numbers(value, form(name))
        else:  # what is no array is written plainly: the network, the loss of a case, the rate of a step
            written = json.dumps(value)
        fields.append(f" {json.dumps(name)}: {written}")
    return "{\n" + ",\n".join(fields) + "\n}\n"


ARRAY_FIELDS = ("inputs", "targets", "ct_outputs", "sample_weights", "outputs", "ct_inputs")


def _numbers(value: Any, form: Form) -> str:
    if isinstance(value, np.ndarray):
        value = np.asarray(value, np.float64).tolist()
    if isinstance(value, list | tuple):
        nested = any(isinstance(item, list | tuple | np.ndarray) for item in value)
        return "[" + (",\n  " if nested else ", ").join(_numbers(item, form) for item in value) + "]"
    if isinstance(value, int):
        return str(value)
    return form(value) if math.isfinite(value) else json.dumps(value)
