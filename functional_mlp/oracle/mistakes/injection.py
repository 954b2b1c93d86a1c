"""Planting a mistake: what a program that made it would have computed.

`plant` and `plant_update` make one mistake of the catalogue in the one pass and run it, in any of the supported dtypes;
`correct` runs the same pass with nothing changed. `places` says where a mistake may occur in a case and would show.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._checks import finite_float, known_name
from functional_mlp.oracle.case import Case, Layer, by_path, layer_of
from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake
from functional_mlp.oracle.mistakes.catalogue.registry import MISTAKES
from functional_mlp.oracle.mistakes.changes import Here
from functional_mlp.oracle.mistakes.conditions import Spot
from functional_mlp.oracle.mistakes.program import Program, begin, computed, recalling, run, run_update, unchanged
from functional_mlp.oracle.truth import float64_on_cpu


class Slip(NamedTuple):
    """One mistake at one place; arguments of `plant`.

    Attributes:
        id: a key of `MISTAKES`.
        layer: index into the parameters, or None.
        variant: of the mistake, or None for the first that applies.
        value: of its free number, or None for the default.
    """

    id: str
    layer: int | None = None
    variant: str | None = None
    value: float | None = None


class Planted(NamedTuple):
    """What a program computes; NumPy arrays in the dtype that it computes in.

    Attributes:
        loss: the loss it reports, penalty included; None for a bare cotangent. NaN where a mistake leads to the
            logarithm of a negative number.
        outputs: a_L (n, n_L).
        deltas: ct_z of layers 1..L, each (n, n_l).
        grads: per layer (weights (fan_in, fan_out), bias (fan_out,) or None), the penalty's included.
        ct_inputs: dLoss/d inputs (n, n_0).
    """

    loss: float | None
    outputs: np.ndarray
    deltas: tuple[np.ndarray, ...]
    grads: tuple[Layer, ...]
    ct_inputs: np.ndarray


def correct(case: Case, dtype: str = "float64") -> Planted:
    """What a program without mistake computes in `dtype`, a key of `DTYPES`.

    Raises:
        TypeError, ValueError: for an unknown dtype.
    """
    return plant_together(case, (), dtype)


def plant(
    case: Case,
    mistake_id: str,
    layer: int | None = None,
    *,
    variant: str | None = None,
    value: float | None = None,
    dtype: str = "float64",
) -> Planted:
    """What a program with one mistake computes.

    Args:
        case: the case.
        mistake_id: a key of `MISTAKES`.
        layer: index into the parameters. None for a mistake of the whole pass; for one of a layer, None makes it in
            every layer where it applies.
        variant: one of the mistake's `variants`; None for the first that applies.
        value: of its free number; None for the default.
        dtype: a key of `DTYPES`: what the program computes in.

    Raises:
        TypeError, ValueError: if it does not apply there (the sentence says what it needs), shows only in an update,
            or an argument is unknown to it.
    """
    return plant_together(case, (Slip(mistake_id, layer, variant, value),), dtype)


def plant_together(case: Case, slips: Sequence[Slip], dtype: str = "float64") -> Planted:
    """What a program with several mistakes computes; each is made in the program that has those before it.

    Raises:
        TypeError, ValueError: as `plant`, for the first that cannot be made.
    """
    planted: Planted = _run(case, slips, dtype)
    return planted._replace(loss=None if planted.loss is None else float(planted.loss))


def planted_arrays(
    case: Case, slips: Sequence[Slip], paths: Collection[str], dtype: str = "float64"
) -> dict[str, np.ndarray]:
    """Some of the arrays of `plant_together`, by paths such as "params[0].weights"; no others are computed."""

    def picked(planted: Planted) -> dict[str, Any]:
        arrays = by_path(planted)
        return {path: arrays[path] for path in paths}

    layers = [len(case.params) if path in ("loss", "outputs") else layer_of(path) for path in paths]
    arrays: dict[str, np.ndarray] = _run(case, slips, dtype, picked, max(0, min(layers)))
    return arrays


def _run(
    case: Case, slips: Sequence[Slip], dtype: str, wanted: Callable[[Planted], Any] = unchanged, down_to: int = 0
) -> Any:
    """What is wanted of a program with these mistakes, whose backward pass need not go on below a layer."""
    for slip in slips:
        if _known(slip.id).scope == "update":
            raise ValueError(f"{slip.id} shows only in updated parameters; use plant_update")

    def made(program: Program, *numbers: Any) -> Planted:
        left = iter(numbers)
        program = recalling(program)
        for slip, spots in zip(slips, places_of, strict=True):
            traced = [spot._replace(value=next(left)) if _is_traced(slip.id) else spot for spot in spots]
            program = _with_mistake(program, slip.id, traced, None)
        return _results(program, down_to)

    with float64_on_cpu():
        places_of = [_spots(case, *slip) for slip in slips]
        together = [(slip.id, spot) for slip, spots in zip(slips, places_of, strict=True) for spot in spots]
        numbers = [float(spot.value) for name, spot in together if _is_traced(name)]
        key = tuple((name, spot.layer, spot.variant, _is_traced(name) or spot.value) for name, spot in together)
        begun = begin(case, dtype)
        try:
            return computed(made, begun, *numbers, key=(len(slips), down_to, key), wanted=wanted)
        except (LookupError, TypeError) as error:  # of another activation, shape or loss than the case's own
            if len(slips) < 2:
                raise
            ids = " and ".join(slip.id for slip in slips)
            raise ValueError(f"{ids} cannot be made together here: {error}") from error


def _results(program: Program, down_to: int) -> Planted:
    pulled = run(program, down_to)
    grads = _layers(pulled.params)
    return Planted(program.value, program.tape.activations[-1], pulled.deltas, grads, pulled.inputs)  # type: ignore


def _is_traced(mistake_id: str) -> bool:
    """Whether the mistake has a free number that its change takes as an array."""
    parameter = MISTAKES[mistake_id].parameter
    return parameter is not None and parameter.traced


def plant_update(
    case: Case,
    mistake_id: str | None,
    learning_rate: float,
    layer: int | None = None,
    *,
    variant: str | None = None,
    value: float | None = None,
    dtype: str = "float64",
) -> tuple[Layer, ...]:
    """The parameters after one step of plain gradient descent by a program with one mistake.

    Args:
        case: the case, with the parameters before the step.
        mistake_id: a key of `MISTAKES`, of any scope, or None for no mistake.
        learning_rate: of the step.
        layer, variant, value, dtype: as in `plant`.

    Returns:
        Per layer (weights (fan_in, fan_out), bias (fan_out,) or None) in `dtype`.

    Raises:
        TypeError, ValueError: as `plant`.
    """
    rate = finite_float("learning_rate", learning_rate)
    with float64_on_cpu():
        spots = [] if mistake_id is None else _spots(case, mistake_id, layer, variant, value)
        begun = begin(case, dtype)
        return _layers(
            computed(lambda program: run_update(_with_mistake(program, mistake_id or "", spots, rate), rate), begun)
        )


def places(case: Case, mistake_id: str, *, inputs: bool = False) -> tuple[tuple[int | None, str | None], ...]:
    """Every (layer, variant) where a mistake may occur in a case and would show, with its free number's default.

    Args:
        case: the case.
        mistake_id: a key of `MISTAKES`.
        inputs: whether to include the places that show in ct_inputs alone: on the way back from the first layer.

    Returns:
        Pairs of an index into the parameters, or None for a mistake of the whole pass or the update, and a variant, or
        None for a mistake that has none.

    Raises:
        TypeError, ValueError: for an unknown mistake.
    """
    mistake = _known(mistake_id)
    with float64_on_cpu():
        return tuple(
            (layer, variant)
            for layer in (range(len(case.params)) if mistake.scope == "layer" else (None,))
            for variant in mistake.variants or (None,)
            if inputs or layer != 0 or mistake.change.place_of(variant) != "previous_cotangent"
            if not _missing(mistake, _spot(case, mistake, layer, variant, None))
        )


def applies(
    case: Case,
    mistake_id: str,
    layer: int | None = None,
    *,
    variant: str | None = None,
    value: float | None = None,
) -> bool:
    """Whether `plant` (`plant_update` for mistakes of the update) can make this mistake; arguments as there.

    Raises:
        TypeError, ValueError: for arguments that the mistake does not take.
    """
    mistake = _known(mistake_id)
    _check(mistake, layer, variant, value)
    if mistake.scope == "layer" and layer is not None and not 0 <= layer < len(case.params):
        return False
    with float64_on_cpu():
        layers = range(len(case.params)) if mistake.scope == "layer" and layer is None else (layer,)
        variants = (variant,) if variant is not None else mistake.variants or (None,)
        return any(not _missing(mistake, _spot(case, mistake, at, name, value)) for name in variants for at in layers)


def _known(mistake_id: str) -> Mistake:
    return MISTAKES[known_name("mistake", mistake_id, MISTAKES)]


def _check(mistake: Mistake, layer: int | None, variant: str | None, value: float | None) -> None:
    """Raises unless these arguments make sense for `mistake` in some case."""
    if layer is not None and mistake.scope != "layer":
        whole = "update" if mistake.scope == "update" else "pass"
        raise ValueError(f"{mistake.id} concerns the whole {whole}: expected layer None, got {layer}")
    if variant is not None and not mistake.variants:
        raise ValueError(f"{mistake.id} has no variants, got {variant!r}")
    if variant is not None:
        known_name(f"variant of {mistake.id}", variant, mistake.variants)
    if value is not None and mistake.parameter is None:
        raise ValueError(f"{mistake.id} has no free number, got value {value}")
    if value is not None:
        finite_float("value", value)


def _spot(case: Case, mistake: Mistake, layer: int | None, variant: str | None, value: float | None) -> Spot:
    spot = Spot(case, layer, variant, value)
    if value is None and mistake.parameter is not None:
        return spot._replace(value=mistake.parameter.default(spot))
    return spot


def _missing(mistake: Mistake, spot: Spot) -> str:
    """What the mistake needs and does not find there; "" if it applies."""
    return next((condition.words for condition in mistake.where if not condition.test(spot)), "")


def _spots(case: Case, mistake_id: str, layer: int | None, variant: str | None, value: float | None) -> list[Spot]:
    """Where to make a mistake: one spot, or for a mistake of a layer without `layer` every one where it applies."""
    mistake = _known(mistake_id)
    _check(mistake, layer, variant, value)
    count = len(case.params)
    if layer is not None and not 0 <= layer < count:
        raise ValueError(f"expected a layer from 0 to {count - 1}, got {layer}")
    layers = range(count) if mistake.scope == "layer" and layer is None else (layer,)
    variants = (variant,) if variant is not None else mistake.variants or (None,)
    needs = []
    for name in variants:
        spots = [_spot(case, mistake, at, name, value) for at in layers]
        missing = [_missing(mistake, spot) for spot in spots]
        fitting = [spot for spot, words in zip(spots, missing, strict=True) if not words]
        if fitting:
            return fitting
        needs += missing
    place = "here" if layer is None else f"at layer {layer}"
    how = "" if variant is None else f" as {variant!r}"
    raise ValueError(f"{mistake_id} does not apply {place}{how}: it needs {needs[0]}")


def _with_mistake(program: Program, mistake_id: str, spots: list[Spot], learning_rate: float | None) -> Program:
    for spot in spots:
        here = Here(program, spot.layer, spot.variant, spot.value, learning_rate)
        program = MISTAKES[mistake_id].change.apply(here)
    return program


def _layers(params: Any) -> tuple[Layer, ...]:
    return tuple(Layer(*dense) for dense in params)
