"""Injecting mistakes: what a program that made them would have computed.

`plant` and `plant_update` make one mistake of the catalogue in the one pass and run it, in any of the supported dtypes;
`inject` makes several in a case that `prepare` has made ready. `places` says where a mistake may occur in a case and
would show.
"""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._checks import finite_float, known_name
from functional_mlp.oracle.case import Case, Layer, Schedule, by_path
from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake, Number, Parameter
from functional_mlp.oracle.mistakes.catalogue.registry import MISTAKES
from functional_mlp.oracle.mistakes.changes import Context
from functional_mlp.oracle.mistakes.conditions import Site
from functional_mlp.oracle.mistakes.program import Prepared, Program, prepare, run, run_update
from functional_mlp.oracle.truth import computing
from functional_mlp.update_rules import RuleState, UpdateRule, update_rule


class Slip(NamedTuple):
    """One mistake at one place; arguments of `plant`.

    Attributes:
        id: a key of `MISTAKES`.
        layer: index into the parameters, or None.
        variant: of the mistake, or None for the first that applies.
        value: of its free number, or a tuple of its free numbers; None for the default.
    """

    id: str
    layer: int | None = None
    variant: str | None = None
    value: Number | None = None


class Injected(NamedTuple):
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


def plant(
    case: Case,
    mistake_id: str,
    layer: int | None = None,
    *,
    variant: str | None = None,
    value: Number | None = None,
    dtype: str = "float64",
) -> Injected:
    """What a program with one mistake computes.

    Args:
        case: the case.
        mistake_id: a key of `MISTAKES`.
        layer: index into the parameters. None for a mistake of the whole pass; for one of a layer, None makes it in
            every layer where it applies.
        variant: one of the mistake's `variants`; None for the first that applies.
        value: of its free number, or a tuple of its free numbers; None for the default.
        dtype: a key of `DTYPES`: what the program computes in.

    Raises:
        TypeError, ValueError: if it does not apply there (the sentence says what it needs), shows only in an update,
            or an argument is unknown to it.
    """
    return plant_together(case, (Slip(mistake_id, layer, variant, value),), dtype)


def plant_together(case: Case, slips: Sequence[Slip], dtype: str = "float64") -> Injected:
    """What a program with several mistakes computes, or with none: `inject` in a case that is not prepared."""
    return inject(prepare(case, dtype), slips)


def inject(prepared: Prepared, slips: Sequence[Slip]) -> Injected:
    """What a program with several mistakes computes, or with none; each is made in the program with those before it.

    Raises:
        TypeError, ValueError: as `plant`, for the first that cannot be made.
    """
    return _injected(prepared, slips, None)


def injected_arrays(prepared: Prepared, slips: Sequence[Slip], paths: Collection[str]) -> dict[str, Any]:
    """Some of the arrays of `inject`, by paths such as "params[0].weights"; no others are computed."""
    arrays = by_path(_injected(prepared, slips, paths))
    return {path: arrays[path] for path in paths}


def _injected(prepared: Prepared, slips: Sequence[Slip], paths: Collection[str] | None) -> Injected:
    for slip in slips:
        if _known(slip.id).shows_in_updates:
            raise ValueError(f"{slip.id} shows only in updated parameters; use plant_update")
    with computing(prepared.case.network):
        program = with_mistakes(prepared, slips)
        with _made_together(slips):
            return _results(program, paths)


@contextlib.contextmanager
def _made_together(slips: Sequence[Slip]) -> Iterator[None]:
    """Where several mistakes may exclude each other, as by another activation, shape, loss or rule than the case's."""
    try:
        yield
    except (LookupError, TypeError) as error:
        if len(slips) < 2:
            raise
        ids = " and ".join(slip.id for slip in slips)
        raise ValueError(f"{ids} cannot be made together here: {error}") from error


def _results(program: Program, paths: Collection[str] | None) -> Injected:
    pulled = run(program, paths)
    value = None if program.value is None else float(program.value)
    deltas: Any = pulled.deltas
    return Injected(value, program.tape.activations[-1], deltas, _layers(pulled.params), pulled.inputs)  # type: ignore


def plant_update(
    case: Case,
    mistake_id: str | None,
    learning_rate: float | None = None,
    layer: int | None = None,
    *,
    variant: str | None = None,
    value: Number | None = None,
    dtype: str = "float64",
    rule: str | UpdateRule = "descent",
    epochs: int = 1,
    batch_size: int | None = None,
) -> tuple[Layer, ...]:
    """The parameters after one step, or after a few epochs, by a program with one mistake.

    Args:
        case: the case, with the parameters before the step.
        mistake_id: a key of `MISTAKES`, of any scope, or None for no mistake.
        learning_rate: of the rule; None: that of the specification.
        layer, variant, value, dtype: as in `plant`.
        rule: by which it updates: a name of `update_rules.RULES`, or a specification.
        epochs, batch_size: as in `check_update`.

    Returns:
        Per layer (weights (fan_in, fan_out), bias (fan_out,) or None) in `dtype`.

    Raises:
        TypeError, ValueError: as `plant`.
    """
    slips = () if mistake_id is None else (Slip(mistake_id, layer, variant, value),)
    steps = inject_steps(case, slips, update_rule(rule, learning_rate), Schedule(epochs, batch_size), dtype)
    return list(steps)[-1]


def inject_steps(
    case: Case,
    slips: Sequence[Slip],
    rule: UpdateRule,
    schedule: Schedule,
    dtype: str = "float64",
    first: Prepared | None = None,
) -> Iterator[tuple[Layer, ...]]:
    """The parameters after each step of a program with these mistakes, computed as they are taken.

    Args:
        case, slips, rule, schedule, dtype: the training.
        first: its first step, prepared, where many programs are asked from the same parameters on.

    Raises:
        TypeError, ValueError: as `plant`.
    """
    params, state = case.params, None
    for number, rows in enumerate(schedule.rows(len(case.inputs))):
        if not all(np.isfinite(leaf).all() for layer in params for leaf in layer if leaf is not None):
            params = tuple(Layer(*map(_not_a_number, layer)) for layer in params)  # which every output is then too
            yield params
            continue
        prepared = first if number == 0 and first is not None else prepare(case.at(rows, params), dtype, rule)
        state, stepped = _stepped(prepared, slips, state)
        params = _layers(stepped)
        yield params


def inject_update(prepared: Prepared, slips: Sequence[Slip], learning_rate: float) -> tuple[Layer, ...]:
    """The parameters after the first step by a program with these mistakes; as `plant_update`."""
    rule = update_rule(prepared.program.rule, learning_rate)
    _, stepped = _stepped(prepared._replace(program=prepared.program._replace(rule=rule)), slips, None)
    return _layers(stepped)


def _stepped(prepared: Prepared, slips: Sequence[Slip], state: RuleState | None) -> tuple[RuleState, Any]:
    with computing(prepared.case.network):
        program = with_mistakes(prepared, slips)
        with _made_together(slips):
            return run_update(program, state)


def with_mistakes(prepared: Prepared, slips: Sequence[Slip]) -> Program:
    """The program of a case with some mistakes, each made in the program with those before it.

    Raises:
        TypeError, ValueError: as `plant`.
    """
    program, sites = prepared.program, [_sites(prepared, *slip) for slip in slips]
    with _made_together(slips):
        for slip, own in zip(slips, sites, strict=True):
            program = _with_mistake(program, slip.id, own)
    return program


def _not_a_number(array: Any) -> Any:
    return None if array is None else np.full_like(array, np.nan)


def places(
    case: Case | Prepared, mistake_id: str, *, inputs: bool = False
) -> tuple[tuple[int | None, str | None], ...]:
    """Every (layer, variant) where a mistake may occur in a case and would show, with its free number's default.

    Args:
        case: the case, or what `prepare` made of it.
        mistake_id: a key of `MISTAKES`.
        inputs: whether to include the places that show in ct_inputs alone: on the way back from the first layer.

    Returns:
        Pairs of an index into the parameters, or None for a mistake of the whole pass or the update, and a variant, or
        None for a mistake that has none.

    Raises:
        TypeError, ValueError: for an unknown mistake.
    """
    mistake, prepared = _known(mistake_id), prepare(case) if isinstance(case, Case) else case
    with np.errstate(all="ignore"):
        return tuple(
            (layer, variant)
            for layer in (range(len(prepared.case.params)) if mistake.scope == "layer" else (None,))
            for variant in mistake.variants or (None,)
            if inputs or layer != 0 or mistake.change.place_of(variant) != "previous_cotangent"
            if not _missing(mistake, site_of(prepared, mistake, layer, variant))
        )


def applies(
    case: Case | Prepared,
    mistake_id: str,
    layer: int | None = None,
    *,
    variant: str | None = None,
    value: Number | None = None,
) -> bool:
    """Whether `plant` (`plant_update` for mistakes of the update) can make this mistake; arguments as there.

    Raises:
        TypeError, ValueError: for arguments that the mistake does not take.
    """
    mistake, prepared = _known(mistake_id), prepare(case) if isinstance(case, Case) else case
    _check(mistake, layer, variant, value)
    count = len(prepared.case.params)
    if mistake.scope == "layer" and layer is not None and not 0 <= layer < count:
        return False
    layers = range(count) if mistake.scope == "layer" and layer is None else (layer,)
    variants = (variant,) if variant is not None else mistake.variants or (None,)
    with np.errstate(all="ignore"):
        sites = [site_of(prepared, mistake, at, name, value) for name in variants for at in layers]
        return any(not _missing(mistake, site) for site in sites)


def _known(mistake_id: str) -> Mistake:
    return MISTAKES[known_name("mistake", mistake_id, MISTAKES)]


def _check(mistake: Mistake, layer: int | None, variant: str | None, value: Number | None) -> None:
    """Raises unless these arguments make sense for `mistake` in some case."""
    if layer is not None and mistake.scope != "layer":
        whole = "update" if mistake.shows_in_updates else "pass"
        raise ValueError(f"{mistake.id} concerns the whole {whole}: expected layer None, got {layer}")
    if variant is not None and not mistake.variants:
        raise ValueError(f"{mistake.id} has no variants, got {variant!r}")
    if variant is not None:
        known_name(f"variant of {mistake.id}", variant, mistake.variants)
    if value is not None and mistake.parameter is None:
        raise ValueError(f"{mistake.id} has no free number, got value {value}")
    if value is not None and mistake.parameter is not None:
        _check_numbers(mistake.parameter, value)


def _check_numbers(parameter: Parameter, value: Number) -> None:
    """Raises unless a value is one finite number, or a tuple of such where the parameter has several."""
    if parameter.vector is None:
        finite_float("value", value)
    elif not isinstance(value, tuple):
        raise TypeError(f"expected value as a tuple of numbers, {parameter.name}, got {value!r}")
    else:
        for number in value:
            finite_float("value", number)


def site_of(
    prepared: Prepared, mistake: Mistake, layer: int | None, variant: str | None = None, value: Number | None = None
) -> Site:
    """The site of a mistake, with its free number's default where it has one and none is given."""
    site = Site(prepared.case, prepared.tape, layer, variant, value, prepared.program.rule)
    if value is None and mistake.parameter is not None:
        return site._replace(value=mistake.parameter.default(site))
    return site


def _missing(mistake: Mistake, site: Site) -> str:
    """What the mistake needs and does not find there; "" if it applies."""
    return next((condition.words for condition in mistake.where if not condition.test(site)), "")


def _sites(
    prepared: Prepared, mistake_id: str, layer: int | None, variant: str | None, value: Number | None
) -> list[Site]:
    """Where to make a mistake: one site, or for a mistake of a layer without `layer` every one where it applies."""
    mistake = _known(mistake_id)
    _check(mistake, layer, variant, value)
    count = len(prepared.case.params)
    if layer is not None and not 0 <= layer < count:
        raise ValueError(f"expected a layer from 0 to {count - 1}, got {layer}")
    layers = range(count) if mistake.scope == "layer" and layer is None else (layer,)
    variants = (variant,) if variant is not None else mistake.variants or (None,)
    needs = []
    for name in variants:
        sites = [site_of(prepared, mistake, at, name, value) for at in layers]
        missing = [_missing(mistake, site) for site in sites]
        fitting = [site for site, words in zip(sites, missing, strict=True) if not words]
        if fitting:
            return fitting
        needs += missing
    place = "here" if layer is None else f"at layer {layer}"
    how = "" if variant is None else f" as {variant!r}"
    raise ValueError(f"{mistake_id} does not apply {place}{how}: it needs {needs[0]}")


def _with_mistake(program: Program, mistake_id: str, sites: list[Site]) -> Program:
    for site in sites:
        context = Context(program, site.layer, site.variant, site.value)
        program = MISTAKES[mistake_id].change.apply(context)
    return program


def _layers(params: Any) -> tuple[Layer, ...]:
    return tuple(Layer(*dense) for dense in params)
