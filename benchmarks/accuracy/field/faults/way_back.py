"""Faults of what is sent back through the weights, and of what is paired in a weight gradient."""

import numpy as np

from benchmarks.accuracy.field.elementwise import Array
from benchmarks.accuracy.field.faults.registry import (
    Before,
    Fault,
    at_once,
    batch,
    both,
    either_of,
    factors,
    finished,
    output,
    sending,
    separate,
    several,
    several_units,
    square,
)
from benchmarks.accuracy.field.formulas import Style, Tape
from benchmarks.accuracy.field.problems import Family


def _updated(tape: Tape, layer: int, before: Before, number: float) -> Array:
    """Through the weights of after the step."""
    kept = tape.W[layer], tape.b[layer]
    tape.W[layer], tape.b[layer] = tape.at("step of weights", layer), tape.at("step of bias", layer)
    sent = before()
    tape.W[layer], tape.b[layer] = kept
    return sent


def _without_row(tape: Tape, layer: int, before: Before, row: float) -> Array:
    """The weights with the bias as last row, of which another row is dropped."""
    rows = np.vstack([tape.W[layer], tape.b[layer]])
    kept, tape.W[layer] = tape.W[layer], np.delete(rows, int(row), axis=0)
    sent = before()
    tape.W[layer] = kept
    return sent


def _geometric(family: Family, ratio: float) -> Array:
    made = factors(family, (), (), 1.0)
    for layer in family.layers:
        made[:2, layer] = ratio ** (family.last - layer)
    return made


def _stepping(family: Family, style: Style) -> bool:
    return finished(family, style) and at_once(family, style)


def _inputs_again(family: Family, style: Style) -> list[int]:
    return [i for i in sending(family, style) if family.sizes[i] == family.sizes[0]]


def _after_alike(family: Family, style: Style) -> list[int]:
    """Layers whose inputs are as many as those of the layer before."""
    return [i for i in sending(family, style) if family.sizes[i] == family.sizes[i - 1]]


def _before_alike(family: Family, style: Style) -> list[int]:
    """Layers whose units are as many as those of the next."""
    return [i for i in list(family.layers)[:-1] if family.sizes[i + 1] == family.sizes[i + 2]]


def _activated_below(family: Family, style: Style) -> list[int]:
    return [i for i in sending(family, style) if family.activations[i - 1] != "identity"]


def _roll(shift: int) -> dict:  # type: ignore[type-arg]
    return {"weights": lambda tape, i, before, c: np.roll(tape.A[i], shift, axis=0).T @ tape.delta[i]}


def _raw(tape: Tape, layer: int, before: Before, number: float) -> Array:
    kept, tape.delta[layer] = tape.delta[layer], tape.ct[layer]
    made = before()
    tape.delta[layer] = kept
    return made


WAY_BACK = (
    Fault("updated-weights-used", "weights change before they are used", {"send": _updated}, sending, where=_stepping),
    Fault("raw-error-sent-back", "ct_a is sent back by the output layer", {"send": _raw}, both(output, separate)),
    Fault(
        "raw-error-sent-back", "ct_a is sent back by every layer", {"send": _raw}, both(sending, separate), whole=True
    ),
    Fault("output-derivative-missing-in-weights", "ct_a in the last dW", {"weights": _raw}, both(output, separate)),
    Fault("output-derivative-missing-in-weights", "ct_a in the last db", {"bias": _raw}, both(output, separate)),
    Fault(
        "output-derivative-missing-in-weights",
        "ct_a in the last dW and db",
        {"weights": _raw, "bias": _raw},
        both(output, separate),
    ),
    Fault(
        "gradient-used-as-weights",
        "dW for W on the way back",
        {"send": lambda tape, i, before, c: tape.delta[i] @ tape.dW[i].T},
        sending,
        where=_stepping,
    ),
    Fault(
        "weights-not-transposed",
        "W for its transpose",
        {"send": lambda tape, i, before, c: tape.delta[i] @ tape.W[i]},
        both(sending, square),
    ),
    Fault(
        "elementwise-for-matmul",
        "delta times W entry by entry",
        {"send": lambda tape, i, before, c: tape.delta[i] * tape.W[i].T},
        lambda family, style: [i for i in both(sending, square)(family, style) if family.sizes[i] == family.samples],
        where=batch,
    ),
    Fault(
        "wrong-unit-dropped",
        "another row than the bias is dropped",
        {"send": _without_row},
        sending,
        where=lambda family, style: family.biased,
        number=lambda family, rng: float(rng.integers(2)),
    ),
    Fault("weights-times-activations", "W a for W", {"send": lambda tape, i, before, c: before() * tape.A[i]}, sending),
    Fault(
        "sum-product-swapped",
        "a product of sums",
        {"send": lambda tape, i, before, c: np.outer(tape.delta[i].sum(axis=1), tape.W[i].sum(axis=1))},
        both(sending, several_units),
    ),
    Fault(
        "mean-per-layer",
        "1/n in every layer",
        {"send": lambda tape, i, before, c: before() / float(tape.n)},
        sending,
        whole=True,
        where=several,
        factors=lambda family, layers, c: _geometric(family, 1 / family.samples),
    ),
    Fault(
        "scale-by-layer",
        "a factor in every layer",
        {"send": lambda tape, i, before, c: before() * c},
        sending,
        whole=True,
        number=either_of(2.0, 0.5, 3.0, 10.0),
        factors=lambda family, layers, c: _geometric(family, c),
    ),
    Fault(
        "layer-index-shifted",
        "the inputs of the layer before",
        {"weights": lambda tape, i, before, c: tape.A[i - 1].T @ tape.delta[i]},
        _after_alike,
    ),
    Fault(
        "layer-index-shifted",
        "the delta of the next layer",
        {
            "weights": lambda tape, i, before, c: tape.A[i].T @ tape.delta[i + 1],
            "bias": lambda tape, i, before, c: tape.delta[i + 1].sum(axis=0),
        },
        _before_alike,
    ),
    Fault(
        "activated-output-used-as-input",
        "the layer's own output as its input",
        {"weights": lambda tape, i, before, c: tape.A[i + 1].T @ tape.delta[i]},
        square,
    ),
    Fault(
        "pre-activation-used-as-input",
        "Z of the layer below for its A",
        {"weights": lambda tape, i, before, c: tape.Z[i - 1].T @ tape.delta[i]},
        _activated_below,
    ),
    Fault(
        "network-input-used-as-input",
        "X in a later dW",
        {"weights": lambda tape, i, before, c: tape.x.T @ tape.delta[i]},
        _inputs_again,
    ),
    Fault(
        "wrong-sample-index",
        "the next sample's inputs",
        _roll(-1),
        where=batch,
        layers=lambda family, style: list(family.layers),
    ),
    Fault(
        "wrong-sample-index",
        "the previous sample's inputs",
        _roll(1),
        where=batch,
        layers=lambda family, style: list(family.layers),
    ),
)
