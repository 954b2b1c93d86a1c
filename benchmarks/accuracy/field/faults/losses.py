"""Faults of the loss: another loss's cotangent, a part of it, other targets, a constant added."""

from collections.abc import Callable

import numpy as np

from benchmarks.accuracy.field.elementwise import LOSS_SLOPES, Array, sigmoid, softmax
from benchmarks.accuracy.field.faults.registry import (
    Before,
    Edit,
    Fault,
    batch,
    either_of,
    is_fused,
    loss_in,
)
from benchmarks.accuracy.field.formulas import Style, Tape
from benchmarks.accuracy.field.problems import Family


def _factor(tape: Tape) -> float:
    """Scale and reductions, as far as the program applies them here."""
    family = tape.family
    factor = family.scale / (family.outputs if family.over_outputs == "mean" else 1)
    return factor / (tape.divisor if tape.style.mean == "at the loss" else 1.0)


def _of_loss(kind: str, factor: float = 1.0) -> dict[str, Edit]:
    return _by(lambda tape: factor * LOSS_SLOPES[kind](tape.A[-1], tape.t))


def _by(wrong: Callable[[Tape], Array]) -> dict[str, Edit]:
    return {"error": lambda tape, i, before, c: wrong(tape) * _factor(tape)}


def _after(end: str, *kinds: str) -> Callable[[Family, Style], bool]:
    """This output activation goes back by itself, after one of these losses."""
    return lambda family, style: (
        family.activations[-1] == end
        and family.loss in kinds
        and not is_fused(family, style)
        and family.targets != "soft"
    )


def _fused_after(end: str) -> Callable[[Family, Style], bool]:
    return lambda family, style: family.activations[-1] == end and is_fused(family, style) and family.targets != "soft"


def _one_output(family: Family, style: Style) -> bool:
    return batch(family, style) and family.outputs == 1 and family.loss == "squared_error"


def _broadcast(tape: Tape, layer: int, before: Before, number: float) -> Array:
    """(n, 1) - (n,) is (n, n): every output beside the target of every sample."""
    kept, tape.t = tape.t, np.full_like(tape.t, tape.t.mean())
    made = before() * (1.0 if tape.family.averages else float(tape.n))
    tape.t = kept
    return made


def _penalised(tape: Tape, layer: int, before: Before, number: float) -> Array:
    """The value of the penalty is added to the cotangent."""
    value = sum(float((weights**2).sum()) for weights in tape.W) * number
    return before() + value


LOSSES = (
    Fault(
        "loss-mismatch",
        "the cross-entropy's p - t after a squared error and sigmoid",
        _of_loss("binary_cross_entropy"),
        where=_after("sigmoid", "squared_error"),
    ),
    Fault(
        "loss-mismatch",
        "the cross-entropy's p - t after a squared error and softmax",
        _of_loss("categorical_cross_entropy"),
        where=_after("softmax", "squared_error"),
    ),
    Fault(
        "loss-mismatch",
        "o - t at once after a cross-entropy and sigmoid",
        _of_loss("squared_error", 0.5),
        where=_after("sigmoid", "binary_cross_entropy"),
    ),
    Fault(
        "loss-mismatch",
        "2(o - t) at once after a cross-entropy and sigmoid",
        _of_loss("squared_error"),
        where=_after("sigmoid", "binary_cross_entropy"),
    ),
    Fault(
        "loss-mismatch",
        "o - t at once after a cross-entropy and softmax",
        _of_loss("squared_error", 0.5),
        where=_after("softmax", "categorical_cross_entropy"),
    ),
    Fault(
        "loss-mismatch",
        "the sign of the error for a squared error",
        _by(lambda tape: np.sign(tape.A[-1] - tape.t)),
        where=loss_in("squared_error"),
    ),
    Fault(
        "loss-mismatch",
        "o - t after logits",
        _of_loss("squared_error", 0.5),
        where=lambda f, s: (
            f.loss in ("softmax_cross_entropy", "sigmoid_cross_entropy")
            and f.targets != "soft"
            and f.activations[-1] == "tanh"
        ),
    ),
    Fault(
        "logits-as-probabilities",
        "o - t of logits",
        _by(lambda tape: tape.A[-1] - tape.t),
        where=lambda f, s: (
            f.loss in ("softmax_cross_entropy", "sigmoid_cross_entropy")
            and f.activations[-1] == "identity"
            and f.targets != "soft"
        ),
    ),
    Fault(
        "cross-entropy-half",
        "-t/p alone",
        _by(lambda tape: -tape.t / tape.A[-1]),
        where=_after("sigmoid", "binary_cross_entropy"),
    ),
    Fault(
        "cross-entropy-half",
        "-t(1 - p) alone",
        _by(lambda tape: -tape.t * (1 - tape.A[-1])),
        where=_fused_after("sigmoid"),
    ),
    Fault(
        "probabilities-as-logits",
        "softmax of probabilities",
        _by(lambda tape: softmax(tape.A[-1]) - tape.t),
        where=_after("softmax", "categorical_cross_entropy"),
    ),
    Fault(
        "probabilities-as-logits",
        "sigmoid of probabilities",
        _by(lambda tape: sigmoid(tape.A[-1]) - tape.t),
        where=_after("sigmoid", "binary_cross_entropy"),
    ),
    Fault(
        "targets-assumed-normalised",
        "p - t although targets do not sum to 1",
        _by(
            lambda tape: (
                (tape.A[-1] if tape.family.loss == "categorical_cross_entropy" else softmax(tape.A[-1])) - tape.t
            )
        ),
        where=lambda f, s: f.targets == "soft" and (f.loss == "softmax_cross_entropy" or is_fused(f, s)),
    ),
    Fault("broadcast-column-row", "every output beside every target", {"error": _broadcast}, where=_one_output),
    Fault(
        "cotangent-ignored",
        "ones for the cotangent",
        {"error": lambda tape, i, before, c: np.ones_like(tape.t)},
        where=loss_in(None),
    ),
    Fault(
        "penalty-in-delta",
        "the penalty's value in the cotangent",
        {"error": _penalised},
        where=lambda f, s: f.loss is not None and f.samples > 1,
        number=either_of(0.01, 0.05, 0.1),
    ),
)
