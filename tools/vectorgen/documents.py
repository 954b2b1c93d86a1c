"""Cases, answers and steps as they stand in the files of the vectors, and cases for the referee."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from functional_mlp.activations import Kink, resolve
from functional_mlp.oracle import Case
from functional_mlp.oracle.documents import document_of
from reference import exact

STEP = 1.3  # not 1: floors that are all but powers of two fall on either side of one, from machine to machine
Arrays = Mapping[str, np.ndarray]
Pick = Callable[[str], Any]  # the array of a name, such as "grads.0.bias"; None where there is none


class Truth(NamedTuple):
    """What is certain about a case.

    Attributes:
        leaves: the referee's arrays by name, and those of a step as after.0.weights.
        allowed: by the same names, the largest error of each entry; a loss may have an infinite one.
    """

    leaves: dict[str, np.ndarray]
    allowed: dict[str, np.ndarray]


def referee_case(case: Case) -> exact.Case:
    """The same case for reference/exact.py."""
    document = case_document(case)
    return exact.Case(
        sizes=case.network.sizes,
        activations=document["network"]["activations"],
        params=[(layer.weights, layer.bias) for layer in case.params],
        inputs=case.inputs,
        loss=document.get("loss"),
        targets=case.targets,
        sample_weights=case.sample_weights,
        ct_outputs=case.ct_outputs,
    )


def case_document(case: Case) -> dict[str, Any]:
    """A case as a document that declares no derivative at a kink where the default is meant."""
    document = document_of(case)
    network = document["network"]
    units = [_without_default(unit) for unit in network["activations"]]
    return document | {"network": network | {"activations": units}}


def _without_default(unit: Any) -> Any:
    if isinstance(unit, str):
        return unit
    defaults = {kink.parameter: derivative for kink, derivative in open_kinks(unit)[1].items()}
    return {name: value for name, value in unit.items() if name not in defaults or value != defaults[name]}


def open_kinks(unit: Any) -> tuple[dict[str, Any], dict[Kink, float]]:
    """An activation without what is declared at its kinks, and these with what is then taken there."""
    given = {"name": unit} if isinstance(unit, str) else dict(unit)
    chosen = {kink.parameter for kink in resolve(given).kinks}
    plain = resolve({name: value for name, value in given.items() if name not in chosen})
    return given, {kink: plain.derivative_at(kink) for kink in plain.kinks}


def expected(truth: Truth, layers: int) -> dict[str, Any]:
    """The fields expected, expected_hex and allowed."""
    return {
        "expected": _arranged(truth.leaves.get, layers, float),
        "expected_hex": _arranged(truth.leaves.get, layers, hexadecimal),
        "allowed": _arranged(truth.allowed.get, layers, rounded_up),
    }


def _arranged(pick: Pick, layers: int, shown: Callable[[float], Any]) -> dict[str, Any]:
    """Arrays by name as the fields of a gradients file, every number as `shown` makes it."""

    def listed(name: str) -> Any:
        return _each(pick(name).tolist(), shown)

    def params(field: str) -> list[dict[str, Any]]:
        return _layers(pick, f"{field}.", layers, shown)

    fields: dict[str, Any] = {} if pick("loss") is None else {"loss": listed("loss")}
    fields |= {"params": params("grads"), "outputs": listed("outputs")}
    fields |= {"deltas": [listed(f"deltas.{i}") for i in range(layers)], "ct_inputs": listed("ct_inputs")}
    return fields if pick("after.0.weights") is None else fields | {"params_after": params("after")}


def _layers(pick: Pick, prefix: str, layers: int, shown: Callable[[float], Any]) -> list[dict[str, Any]]:
    names = [[f"{prefix}{i}.{part}" for part in ("weights", "bias")] for i in range(layers)]
    return [
        {name.split(".")[-1]: _each(pick(name).tolist(), shown) for name in pair if pick(name) is not None}
        for pair in names
    ]


def expected_params(after: Arrays, allowed: Arrays, layers: int) -> dict[str, Any]:
    """The same fields of parameters alone, by names such as 0.weights."""
    return {
        "expected": _layers(after.get, "", layers, float),
        "expected_hex": _layers(after.get, "", layers, hexadecimal),
        "allowed": _layers(allowed.get, "", layers, rounded_up),
    }


def _each(value: Any, shown: Callable[[float], Any]) -> Any:
    return [_each(item, shown) for item in value] if isinstance(value, list) else shown(value)


def hexadecimal(x: float) -> str:
    """As C's %a writes it: 0x1.8p+1."""
    digits, _, power = x.hex().partition("p")
    return f"{digits.rstrip('0').rstrip('.') if '.' in digits else digits}p{power}"


def rounded_up(x: float) -> float | None:
    """The next of STEP times the powers of two, to three digits, never below; None for infinity."""
    if math.isinf(x):
        return None
    next_ = math.ldexp(STEP, math.frexp(x / STEP)[1]) if x > 0 else 0.0
    near = float(f"{next_:.2e}")
    return near if near >= next_ else float(f"{next_ * 1.005:.2e}")


def plain_json(fields: dict[str, Any]) -> dict[str, Any]:
    """A document as it is after it was written and read: without arrays."""
    return json.loads(json.dumps(fields, default=_plain))  # type: ignore[no-any-return]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"expected plain values and arrays, got {type(value).__name__}")
