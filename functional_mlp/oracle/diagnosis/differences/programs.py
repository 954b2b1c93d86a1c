"""Explanations by finite differences of another function than the one declared.

Who takes differences of a loss has no backward pass: beside them stand mistakes in the forward pass, in the loss, in
factors, penalties and steps alone. Those are looked for to within the errors that differences have. What is then left
has a shape that shows which differences they are: the forward ones are off by h L''/2, the central ones by h² L'''/6,
and both, where rounding is all, lie on a grid.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.case import FIELDS, Layer, parameter_of
from functional_mlp.oracle.diagnosis.candidates import Arrays, Discrepancy, judged_again
from functional_mlp.oracle.diagnosis.composition import Composed, Part, applied, compose, cost_of, part
from functional_mlp.oracle.diagnosis.differences.grid import Differences, differences_on_grid
from functional_mlp.oracle.mistakes import MISTAKES, Slip, places, prepare

ID = "finite-difference"
COARSE = 0.02  # relative error of the worst differences that people take
OF_BACKWARD = frozenset(
    {"through_activation", "previous_cotangent", "weights_cotangent", "bias_cotangent", "early", "gathered"}
)
TRIED, FEWEST = 16, 6  # entries by which the shape of the errors is told
STEPS = {"forward": 1e-3, "central": 1e-2}  # by which it is computed
ALIGNED = 0.98  # cosine of the errors with that shape


def differences_and_more(question: Discrepancy) -> list[Composed]:
    """Explanations of all arrays by finite differences and perhaps other mistakes; [] if there are none."""
    if question.case.loss is None or ID in question.excluded or not places(question.prepared, ID):
        return []
    coarse = _coarser(question)
    if coarse.wrong:
        found = [one for one in compose(coarse, entirely=True, backward=False) if all(map(_has_no_backward, one.parts))]
    else:
        found = [Composed((), question.truth, (), 0.0)]
    explained = []
    for one in found:
        differences = _differences_of(question, one)
        if differences is not None:
            own = part(ID, (), differences.variant, value=differences.value)
            explained.append(one._replace(parts=(own, *one.parts), cost=one.cost + cost_of(ID, own.variant)))
    return explained


def _coarser(question: Discrepancy) -> Discrepancy:
    """The same, where errors of differences are allowed."""
    given = question.given
    paths = [path for path in given if path.startswith("params[")]
    sizes = {path: COARSE * float(np.max(np.abs(given[path]), initial=0.0)) for path in paths}
    allowed = {path: own + sizes.get(path, 0.0) for path, own in question.allowed.items()}
    relative = {path: COARSE if path in sizes else own for path, own in question.relative.items()}
    return judged_again(question._replace(allowed=allowed, relative=relative, exact=False))


def _has_no_backward(one: Part) -> bool:
    return MISTAKES[one.id].change.place_of(one.variant) not in OF_BACKWARD


def _differences_of(question: Discrepancy, one: Composed) -> Differences | None:
    """Which differences leave what an explanation leaves; None if none do."""
    slips = tuple(_slips(one.parts))
    entries = _entries(question, one.made)
    if len(entries) < FEWEST:
        return None
    left = np.array([question.given[path][at] - one.made[path][at] for path, at in entries])
    made = np.array([one.made[path][at] for path, at in entries])
    steps = STEPS["forward"], STEPS["central"], STEPS["central"] / 2
    before = _loss_at(question, slips, None)
    after = [[[_loss_at(question, slips, (*entry, sign * h)) for sign in (1, -1)] for h in steps] for entry in entries]
    forward, central, half = np.moveaxis(np.array(after), 1, 0)
    slope = (central[:, 0] - central[:, 1]) / (2 * steps[1])
    errors = {
        "forward": (forward[:, 0] - 2 * before + forward[:, 1]) / (2 * steps[0]),
        "central": (slope - (half[:, 0] - half[:, 1]) / (2 * steps[2])) * 4 / 3,
    }
    factor = float(made @ slope) / max(float(slope @ slope), 1e-300)
    for variant, shape in errors.items():
        size, over = float(shape @ shape), float(shape @ left)
        if size > 0 and abs(over) >= ALIGNED * size**0.5 * float(left @ left) ** 0.5:
            times = over / size / factor if factor else 0.0
            if times > 0:
                step = STEPS[variant] * (times if variant == "forward" else times**0.5)
                return Differences(variant, float(f"{step:.1g}"))
    return _on_grid(question, before)


def _on_grid(question: Discrepancy, loss: float) -> Differences | None:
    if question.rate is not None:  # what a step subtracts lies on the grid of the parameters
        return None
    numbers = np.concatenate([array.ravel() for path, array in question.given.items() if path.startswith("params")])
    return next(iter(differences_on_grid(numbers, loss, question.unit)), None)


def _slips(parts: Sequence[Part]) -> Iterator[Slip]:
    """The mistakes that change the function of which differences are taken."""
    for one in parts:
        if MISTAKES[one.id].change.place_of(one.variant) in ("forward", "output_cotangent"):
            for layer in one.layers or (None,):
                yield Slip(one.id, layer, one.variant, one.value)


def _entries(question: Discrepancy, made: Arrays) -> list[tuple[str, tuple[int, ...]]]:
    """Some entries of parameters that are off by more than rounding, evenly spread."""
    found = []
    for path in made:
        if path.startswith("params[") and path in question.given:
            off = np.abs(question.given[path] - made[path]) > question.allowed[path]
            found += [(path, tuple(map(int, at))) for at in np.argwhere(off)]
    return found[:: max(1, len(found) // TRIED)]


def _loss_at(question: Discrepancy, slips: Sequence[Slip], moved: tuple[str, tuple[int, ...], float] | None) -> float:
    """The loss of a program with these mistakes, where one parameter is moved."""
    case = question.case
    if moved is not None:
        path, at, by = moved
        changed: Array = parameter_of(case, path).copy()
        changed[at] += by
        params = [
            Layer(*(changed if path == f"params[{layer}].{name}" else getattr(own, name) for name in FIELDS))
            for layer, own in enumerate(case.params)
        ]
        case = case.at(slice(None), params)
    program = prepare(case).program
    for slip in slips:
        program = applied(program, slip) or program
    return float(program.value)
