"""How programs of the corpus are asked about: as their authors would, by one call of the oracle.

What a program of the corpus is depends on the way:

    check_function         fn(params, inputs, targets) -> gradients
    check_update_function  step(params, inputs, targets) -> parameters after it, or None if it changed them in place; or
                           another of its forms; with the rate that is the default of the rule
    check                  script(network, rng) -> params, inputs, targets, gradients: a script with its own data
    check_update           script(network, rng) -> params, inputs, targets, parameters after a step, learning rate
    read_gradients         printed(case) -> the text of a document with the gradients of a case
    drive                  program() -> the command that answers a case on its standard input
"""

import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import functional_mlp as fm
from functional_mlp import oracle

SAMPLES = 6
Declared = Mapping[str, Any]


def _function(fn: Any, network: fm.Network, loss: fm.Loss, seed: int, declared: Declared) -> oracle.Report:
    return oracle.check_function(fn, network, loss, seed=seed, **declared)


def _update_function(step: Any, network: fm.Network, loss: fm.Loss, seed: int, declared: Declared) -> oracle.Report:
    return oracle.check_update_function(step, network, loss, seed=seed, **declared)


def _case(script: Any, network: fm.Network, loss: fm.Loss, seed: int, declared: Declared) -> oracle.Report:
    params, inputs, targets, gradients = script(network, np.random.default_rng(seed))
    return oracle.check(oracle.Case(network, loss, params, inputs, targets, **declared), gradients)


def _update(script: Any, network: fm.Network, loss: fm.Loss, seed: int, declared: Declared) -> oracle.Report:
    params, inputs, targets, after, rate = script(network, np.random.default_rng(seed))
    return oracle.check_update(oracle.Case(network, loss, params, inputs, targets, **declared), after, rate)


def _text(printed: Any, network: fm.Network, loss: fm.Loss, seed: int, declared: Declared) -> oracle.Report:
    case = oracle.draw_case(network, loss, samples=SAMPLES, seed=seed, dtype=declared.get("precision", "float64"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gradients.json"
        path.write_text(printed(case), encoding="utf-8")
        return oracle.check(case, oracle.read_gradients(path), **declared)


def _command(program: Any, network: fm.Network, loss: fm.Loss, seed: int, declared: Declared) -> oracle.Report:
    return oracle.drive(program(), network=network, loss=loss, cases=8, seed=seed, **declared)


WAYS: Mapping[str, Callable[[Any, fm.Network, fm.Loss, int, Declared], oracle.Report]] = {
    "check_function": _function,
    "check_update_function": _update_function,
    "check": _case,
    "check_update": _update,
    "read_gradients": _text,
    "drive": _command,
}


def ask(way: str, made: Any, network: fm.Network, loss: fm.Loss, seed: int, declared: Declared) -> oracle.Report:
    """What the oracle says of a program that was made."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of exponentials that overflow to the right answer, and of np.matrix
        return WAYS[way](made, network, loss, seed, declared)
