"""The trials: right and wrong backward passes of one operation, asked of the oracle and its rivals; plain rows."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from benchmarks.accuracy.anything.asking import ask, judged, named
from benchmarks.accuracy.anything.implementations import IMPLEMENTATIONS, Given, pytorch
from benchmarks.accuracy.anything.implementations.jax_functions import pulled_back
from benchmarks.accuracy.anything.implementations.registry import declared, fused
from benchmarks.accuracy.anything.mistakes import MISTAKES
from benchmarks.accuracy.anything.operations import OPERATIONS, Operation, Question, Setting
from benchmarks.accuracy.anything.operations.registry import rounded
from benchmarks.accuracy.anything.reports import REPORTS
from benchmarks.accuracy.anything.rivals import differences, tolerances

SCALES = ((1.0, 0.0), (1e-3, 0.0), (30.0, 0.0), (1.0, 100.0))  # and offsets, of the inputs
NARROW_OFFSET = 4.0  # in 16 bits, where little is left of what varies around 100
NARROW = ("bfloat16", "float16")
EAGER = ("tiny",)  # sizes asked operation by operation too; others are asked compiled alone


class Right(NamedTuple):
    """The verdict on one gradient of a right backward pass; `passes`: the rivals, of all gradients of the pass."""

    operation: str
    family: str
    implementation: str
    size: str
    scale: float
    offset: float
    seed: int
    dtype: str
    precision: str
    leaf: int
    verdict: str
    cause: str
    ratio: float
    norm: float
    detectable: float
    entries: int
    passes: dict[str, bool]


class Wrong(NamedTuple):
    """The verdict on a wrong backward pass.

    `change` is the largest, over its gradients, of what the mistake changes in float64 relative to the norm of the
    truth; `above`: whether some change is above the stated smallest detectable one. `detectable`: that relative to the
    norm, the median over its gradients. `at_place`: whether the diagnosis points at a line that it should.
    """

    mistake: str
    family: str
    size: str
    dtype: str
    change: float
    above: bool
    detectable: float
    verdict: str
    sentence: str
    kind: str
    at_place: bool
    passes: dict[str, bool]


class Unstructured(NamedTuple):
    """The verdict on a gradient with errors that nobody's mistake makes, and what was named none the less."""

    operation: str
    dtype: str
    how: str
    verdict: str
    sentence: str
    kind: str


class Refused(NamedTuple):
    """A question that was refused with an exception."""

    what: str
    dtype: str
    message: str


def settings(operation: Operation, size: str, dtype: str, seeds: int) -> Iterator[Setting]:
    """How its arguments are drawn: each scale and offset that makes sense, `seeds` times; others as often anew."""
    sensible = [
        (scale, min(offset, NARROW_OFFSET) if dtype in NARROW else offset)
        for scale, offset in SCALES
        if (offset == 0 or operation.offsets) and (operation.scaled or (scale, offset) == SCALES[0])
    ]
    for i in range(seeds * len(SCALES)):
        yield Setting(size, dtype, *sensible[i % len(sensible)], seed=i // len(sensible))


def true_gradients(operation: Operation, question: Question) -> list[Any]:
    """In float64, by JAX."""
    return pulled_back(operation.function, question, "float64", compiled=True)


def right_trial(name: str, size: str, dtype: str, seeds: int = 1) -> list[Any]:
    """Every right backward pass of an operation in a dtype, at every scale."""
    warnings.simplefilter("ignore")
    operation = OPERATIONS[name]
    rows: list[Any] = []
    for setting in settings(operation, size, dtype, seeds):
        question = operation.question(setting)
        true = true_gradients(operation, question)
        answers = [
            given
            for implementation in IMPLEMENTATIONS.values()
            if implementation.available() and (size in EAGER or implementation.name != "JAX, eager")
            for given in implementation.answers(operation, question, dtype)
        ]
        framework = answers[0].gradients if answers else None  # PyTorch's, or else JAX's
        for given in answers:
            rows += _right_rows(operation, setting, question, given, true, framework)
    return rows


def _right_rows(
    operation: Operation, setting: Setting, question: Question, given: Given, true: list[Any], framework: Any
) -> list[Any]:
    try:
        leaves = judged(ask(operation, question, given.gradients, given.precision))
    except (TypeError, ValueError, NotImplementedError, ArithmeticError) as error:
        return [Refused(f"{operation.name} by {given.implementation}", setting.dtype, str(error))]
    own = None if given.gradients is framework else framework
    passes = tolerances(given.gradients, true, own, setting.dtype)
    if setting.size == "tiny" and given.implementation in ("PyTorch", "JAX, compiled"):
        passes |= differences(operation, question, given.gradients, setting.dtype)
    told = (operation.name, operation.family, given.implementation, setting.size, setting.scale, setting.offset)
    return [
        Right(
            *told, setting.seed, setting.dtype, given.precision, i, *leaf, passes if i == 0 else {}
        )  # one answer for all of them
        for i, leaf in enumerate(leaves)
    ]


def _of_framework(operation: Operation, question: Question, dtype: str) -> list[Any]:
    """PyTorch's gradients, or JAX's where it is not there."""
    found = pytorch.gradients(operation, question, dtype) if pytorch.has_torch() else None
    return found or pulled_back(operation.function, question, dtype, compiled=True)


def wrong_trial(name: str, size: str, dtype: str) -> list[Any]:
    """Every wrong backward pass of an operation in a dtype."""
    warnings.simplefilter("ignore")
    operation = OPERATIONS[name]
    question = operation.question(Setting(size, dtype))
    true = true_gradients(operation, question)
    framework = _of_framework(operation, question, dtype)
    rows: list[Any] = []
    for mistake in MISTAKES.values():
        if mistake.operation != name:
            continue
        exact, given = mistake.gradients(question, "float64"), mistake.gradients(question, dtype)
        changes = [float(np.linalg.norm(e - t)) for e, t in zip(exact, true, strict=True)]
        norms = [float(np.linalg.norm(t)) or 1.0 for t in true]
        change = max(c / n for c, n in zip(changes, norms, strict=True))
        if change < 1e-9:  # as a window that no two maxima share
            continue
        try:
            report = ask(operation, question, given, fused(dtype))
            leaves, verdict = judged(report), str(report.verdict)
            found = named(report) if verdict == "wrong" else None
        except (TypeError, ValueError, NotImplementedError, ArithmeticError) as error:
            rows.append(Refused(mistake.id, dtype, str(error)))
            continue
        above = any(c >= leaf.detectable for c, leaf in zip(changes, leaves, strict=True))
        sentence, kind, lines = found or ("", "", ())
        whole = not mistake.places and bool(sentence)
        at_place = whole or any(place in line for place in mistake.places for line in lines)
        passes = tolerances(given, true, framework, dtype)
        if size == "tiny":
            passes |= differences(operation, question, given, dtype)
        detectable = float(np.median([leaf.detectable / leaf.norm for leaf in leaves if leaf.norm] or [np.inf]))
        told = (mistake.id, operation.family, size, dtype, change, above, detectable, verdict)
        rows.append(Wrong(*told, sentence, kind, at_place, passes))
    return rows


# errors without structure, of gradients x drawn with rng


def _one_entry(x: Any, rng: np.random.Generator) -> Any:
    x = np.array(x)
    x.flat[rng.integers(x.size)] += rng.normal() * (np.abs(x).max() or 1.0)
    return x


def _some_entries(x: Any, rng: np.random.Generator) -> Any:
    chosen = rng.random(x.shape) < 0.3
    chosen.flat[0] = True
    return np.where(chosen, x * (1 + rng.normal(size=x.shape)), x)


def _some_signs(x: Any, rng: np.random.Generator) -> Any:
    signs = rng.choice([-1, 1], size=x.shape)
    signs.flat[0], signs.flat[-1] = 1, -1
    return x * signs


UNSTRUCTURED: Mapping[str, Callable[[Any, np.random.Generator], Any]] = {
    "one entry": _one_entry,
    "some entries": _some_entries,
    "noise of 1 %": lambda x, rng: x + 0.01 * rng.normal(size=x.shape) * (np.sqrt(np.mean(x**2)) or 1.0),
    "noise of the norm": lambda x, rng: x + rng.normal(size=x.shape) * (np.sqrt(np.mean(x**2)) or 1.0),
    "other numbers": lambda x, rng: rng.normal(size=x.shape) * (np.sqrt(np.mean(x**2)) or 1.0),
    "shuffled": lambda x, rng: rng.permutation(x.ravel()).reshape(x.shape),
    "signs": _some_signs,
    "factor per entry": lambda x, rng: x * rng.uniform(0.5, 2.0, size=x.shape),
}


FEWEST = 12  # entries of an array that gets errors, if any has as many


def unstructured_trial(name: str, dtype: str, draws: int) -> list[Any]:
    """`draws` gradients of an operation with errors of no structure, in one of its arrays or in all."""
    warnings.simplefilter("ignore")
    operation = OPERATIONS[name]
    rng = np.random.default_rng([7, len(name), sum(map(ord, name))])
    rows: list[Any] = []
    for draw in range(draws):
        question = operation.question(Setting("tiny" if draw % 2 else "small", dtype, seed=draw))
        right = pulled_back(operation.function, question, dtype, compiled=True)
        how = list(UNSTRUCTURED)[(draw + len(name)) % len(UNSTRUCTURED)]
        # few numbers are off by some factor, or in another order, whatever the error
        fewest = min(FEWEST, max(x.size for x in right if np.any(x)))
        many = [i for i, x in enumerate(right) if x.size >= fewest and np.any(x)]
        chosen = set(many) if draw % 3 == 0 else {int(rng.choice(many))}
        given = [rounded(UNSTRUCTURED[how](x, rng), dtype) if i in chosen else x for i, x in enumerate(right)]
        try:
            report = ask(operation, question, given, declared("JAX, compiled", name, dtype))
            found = named(report)
        except (TypeError, ValueError, NotImplementedError, ArithmeticError) as error:
            rows.append(Refused(f"{name}, {how}", dtype, str(error)))
            continue
        rows.append(Unstructured(name, dtype, how, str(report.verdict), found.sentence, found.kind))
    return rows


class Reported(NamedTuple):
    """The verdicts on a public report's gradients, as they were and as they were mended, and what tolerances say."""

    report: str
    verdict: str
    mended: str
    sentence: str
    passes: dict[str, bool]


def report_trial(name: str) -> list[Any]:
    """A public report, judged."""
    warnings.simplefilter("ignore")
    report = REPORTS[name]
    question = report.question()
    reported, mended = report.reported(question), report.mended(question)
    try:
        found = ask(report.operation, question, reported, report.precision)
        after = ask(report.operation, question, mended, report.precision)
        sentence = named(found).sentence if str(found.verdict) == "wrong" else ""
    except (TypeError, ValueError, NotImplementedError, ArithmeticError) as error:
        return [Refused(name, report.dtype, str(error))]
    passes = tolerances(reported, true_gradients(report.operation, question), mended, report.dtype)
    return [Reported(name, str(found.verdict), str(after.verdict), sentence, passes)]


KINDS_OF_ROWS = (Right, Wrong, Unstructured, Reported, Refused)
