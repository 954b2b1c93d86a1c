"""What a program may do otherwise at each of its places: the mistakes of the catalogue that apply in a case.

The way back has a shape: what is changed at the outputs is seen by every layer, what is changed on the way back by the
layers below, and what is changed in the sums of one array by that array alone. Mistakes that do nothing but multiply
arrays are not among these: they are read from the factors of the fits.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from functional_mlp._dtypes import Array
from functional_mlp.oracle.mistakes import MISTAKES, Context, Prepared, Program, Slip, places, site_of

AT_THE_OUTPUTS = ("output_cotangent", "forward")
IN_THE_SUMS = ("weights_cotangent", "bias_cotangent", "returned")
# conventions that multiply everything, by what they are about: of each kind one at most is taken
CONVENTIONS = (
    ("mean-missing", "mean-added", "sample-count-off-by-one"),
    ("outputs-summed-not-averaged", "outputs-averaged-not-summed"),
    ("squared-error-factor", "loss-scale-missing"),
    ("sign-flipped",),
)
SCALES = frozenset(mistake_id for kind in CONVENTIONS for mistake_id in kind)
OF_FACTORS = frozenset(
    {
        *(SCALES - {"sample-count-off-by-one"}),  # which may leave a sample out as well
        *("accumulated", "loss-scaled", "layer-sign-flipped"),
        *("bias-gradient-averaged", "weight-gradient-averaged", "bias-divided-twice", "weights-divided-twice"),
        *("bias-gradient-summed", "weight-gradient-summed", "array-scaled", "everything-divided-twice"),
        *("mean-per-layer", "scale-by-layer", "sigmoid-derivative-doubled", "nominal-batch-size"),
        *("bias-never-computed", "layer-never-computed"),
    }
)


Group = tuple[Slip, ...]  # one mistake, in one layer or in several


class Alternatives(NamedTuple):
    """Mistakes by the place where they are made.

    Attributes:
        outputs: in the forward pass and at the outputs, also in several layers at once.
        through: of the activation, by layer.
        previous: of what a layer sends back, by layer.
        sums: of the gradients of a layer's arrays, by layer.
        gathered: of all gradients at the end.
    """

    outputs: tuple[Group, ...]
    through: Mapping[int, tuple[Slip, ...]]
    previous: Mapping[int, tuple[Slip, ...]]
    sums: Mapping[int, tuple[Slip, ...]]
    gathered: tuple[Slip, ...]


def alternatives_of(prepared: Prepared, excluded: Collection[str], given: Mapping[str, Array]) -> Alternatives:
    """The mistakes that apply in a case, but for some, and for those that only multiply or only show in updates.

    Those of a whole pass that are made in every layer are listed in each; those that show in the cotangent of
    the inputs alone if that is given.

    Args:
        prepared: the case.
        excluded: ids of mistakes that are not listed.
        given: the arrays that were given, by path, of which numbers may be read.
    """
    gradients = [array for path, array in given.items() if path.startswith("params")]
    depth = len(prepared.case.params)
    found: dict[str, dict[int, list[Slip]]] = {
        place: {layer: [] for layer in range(depth)} for place in ("outputs", "through", "previous", "sums", "gathered")
    }
    for mistake in MISTAKES.values():
        parameter = mistake.parameter
        if mistake.id in excluded or mistake.id in OF_FACTORS or mistake.shows_in_updates:
            continue
        if parameter is not None and (parameter.magnified is not None or parameter.vector is not None):
            continue
        for layer, variant in places(prepared, mistake.id, inputs="ct_inputs" in given):
            place = _kind_of(mistake.change.place_of(variant))
            if (
                place == "outputs"
                and layer is not None
                and _keeps_the_tape(prepared.program, Slip(mistake.id, layer, variant))
            ):
                place = "through"
            if variant in mistake.unsearched or not place:
                continue
            every = range(depth) if layer is None and place not in ("outputs", "gathered") else (layer,)
            for own in every:
                found[place][own or 0] += _valued(prepared, Slip(mistake.id, own, variant), layer, gradients)
    outputs, gathered = ([slip for slips in found.pop(at).values() for slip in slips] for at in ("outputs", "gathered"))
    by_layer = {place: {at: tuple(slips) for at, slips in layers.items()} for place, layers in found.items()}
    groups = (*((slip,) for slip in outputs), *_in_several_layers(outputs, depth - 1))
    return Alternatives(groups, gathered=tuple(gathered), **by_layer)


def _keeps_the_tape(program: Program, slip: Slip) -> bool:
    """Whether a mistake of the forward pass, as it is made in this case, changes the way back alone."""
    changed = None if is_fitted(slip) else applied(program, slip)
    return changed is not None and changed.tape is program.tape


def _in_several_layers(slips: Collection[Slip], last: int) -> list[Group]:
    """Each mistake in all layers where it is listed, and in all hidden ones."""
    alike: dict[Slip, list[Slip]] = {}
    for slip in slips:
        alike.setdefault(slip._replace(layer=None), []).append(slip)
    groups = []
    for everywhere in alike.values():
        hidden = [slip for slip in everywhere if slip.layer != last]
        groups += [tuple(group) for group in (everywhere, hidden) if len(group) > 1]
    return list(dict.fromkeys(groups))


def _kind_of(place: str) -> str:
    """Where a mistake is tried; "" for places that concern no single layer."""
    if place in AT_THE_OUTPUTS:
        return "outputs"
    if place in IN_THE_SUMS:
        return "sums"
    places = {"through_activation": "through", "previous_cotangent": "previous", "gathered": "gathered"}
    return places.get(place, "")


def _valued(prepared: Prepared, slip: Slip, layer: int | None, gradients: Sequence[Array]) -> list[Slip]:
    """A mistake with each value that its free number may have, or that gradients tell; without one if it is fitted."""
    parameter = MISTAKES[slip.id].parameter
    if parameter is None:
        return [slip]
    if parameter.choices is not None:
        site = site_of(prepared, MISTAKES[slip.id], layer, slip.variant)
        return [slip._replace(value=value) for value in parameter.choices(site)]
    if parameter.read is not None:
        value = parameter.read(site_of(prepared, MISTAKES[slip.id], layer, slip.variant), gradients)
        return [] if value is None else [slip._replace(value=value)]
    return [slip] if parameter.linear else [slip._replace(value=value) for value in parameter.typical]


def is_fitted(slip: Slip) -> bool:
    """Whether its free number is still to be fitted."""
    return slip.value is None and MISTAKES[slip.id].parameter is not None


def applied(program: Program, slip: Slip) -> Program | None:
    """The program with one mistake more; None if it cannot be made there beside the others."""
    context = Context(program, slip.layer, slip.variant, slip.value)
    try:
        return MISTAKES[slip.id].change.apply(context)
    except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError):
        return None
