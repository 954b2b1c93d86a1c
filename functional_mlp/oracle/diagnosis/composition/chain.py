"""A program followed back to a layer: what it sends there, what it makes of it, which given arrays that explains."""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.diagnosis.composition.alternatives import Alternatives, Group, applied, is_fitted
from functional_mlp.oracle.diagnosis.composition.constants import FITTED, UNNAMED, Constants, close, cost_of
from functional_mlp.oracle.diagnosis.composition.fits import SPAN, Explained, Fit, Observed, fit_of
from functional_mlp.oracle.mistakes import LayerView, Prepared, Program, Slip, view_of, with_stages

UNEXPLAINED = 30.0  # cost of an array that is not explained: more than that of several mistakes
AGAIN = 0.3  # cost of a mistake in one more layer
OF_FIT = 3.0  # cost of a factor, of another penalty, of zeros, where it is met first
WEAK = 2.0  # cost of an agreement of too few digits
# mistakes after which a cotangent that is n times as large is not n times as large
NOT_LINEAR = {"relu-drops-cotangent", "derivative-of-error", "mask-overwrites", "relu-mask-on-cotangent"}
FIRM = 4.0  # decimal digits of an agreement that is not too weak

Step = tuple[Group, ...]  # mistakes that make the same numbers, the likeliest first


class Search(NamedTuple):
    """What is searched.

    Attributes:
        prepared: the case.
        observed: the arrays of each layer; of layer −1 that of the inputs.
        alternatives: what a program may do otherwise.
        constants: that may be met.
        after: the parameters after the step, by layer; None for gradients.
        outputs: those that were given; None if they were not.
    """

    prepared: Prepared
    observed: Mapping[int, tuple[Observed, ...]]
    alternatives: Alternatives
    constants: Constants
    after: Sequence[tuple[Array, Array | None]] | None
    outputs: Observed | None

    @property
    def arrays(self) -> Iterator[Observed]:
        """Those of all layers, and of the inputs."""
        return itertools.chain.from_iterable(self.observed.values())

    @property
    def top(self) -> int:
        """The index of the last layer."""
        return len(self.prepared.case.params) - 1


class Chain(NamedTuple):
    """A program with some mistakes, followed back to a layer.

    Attributes:
        program: with the mistakes on the way.
        early: layers of which the parameters after the step were sent back through.
        steps: the mistakes on the way, in the order in which they were met.
        sums: those in the sums of single arrays, by path.
        explained: how the arrays are explained, by path.
        unexplained: paths of the wrong arrays that are not.
        ct_a, ct_z: cotangents of the layer that was reached.
        deltas: ct_z of every layer that was reached.
        samples: weights with which samples count in the sums; None if they count alike.
        unseen: the same with other mistakes in the layer that was reached, whose arrays cannot tell.
        cost: the higher, the less likely.
    """

    program: Program
    early: tuple[int, ...] = ()
    steps: tuple[Step, ...] = ()
    sums: Mapping[str, Step] = {}
    explained: Mapping[str, Explained] = {}
    unexplained: tuple[str, ...] = ()
    ct_a: Array = np.empty(0)
    ct_z: Array = np.empty(0)
    deltas: Mapping[int, Array] = {}
    samples: Array | None = None
    unseen: tuple["Chain", ...] = ()
    cost: float = 0.0

    def explains(self, observed: Iterable[Observed]) -> int:
        """How many of these arrays it explains."""
        return sum(one.path in self.explained for one in observed)

    def without(self, paths: Collection[str]) -> "Chain":
        """The same with some arrays left unexplained that it explains."""
        explained = {path: one for path, one in self.explained.items() if path not in paths}
        return self._replace(explained=explained, unexplained=(*self.unexplained, *paths))


def with_step(chain: Chain, group: Group) -> Chain:
    """A chain with one mistake more on the way."""
    first = group[0]
    kind = kind_of(first)
    again = any(kind_of(slip) == kind for step in chain.steps for met in step for slip in met)
    cost = AGAIN if again else cost_of(*kind) + FITTED * (first.value is not None)
    return chain._replace(steps=(*chain.steps, (group,)), cost=chain.cost + cost)


def kind_of(slip: Slip) -> tuple[str, str | None]:
    """What a mistake is, wherever it is made."""
    return slip.id, slip.variant


def view_at(chain: Chain, layer: int) -> LayerView:
    """What the stages of a layer may read that the chain has reached."""
    return view_of(chain.program, layer)._replace(ct_a=chain.ct_a)


def arriving(program: Program, chain: Chain, layer: int) -> Array:
    """The cotangent that arrives at the layer that a chain has reached, in its program or in another one.

    Where a mistake takes the fused derivative of the loss and of the output layer apart, that is another one.
    """
    taken_apart = layer == len(program.stages) - 1 and program.ct_outputs is not chain.program.ct_outputs
    return program.ct_outputs if taken_apart else chain.ct_a


def attempted(stage: Callable[..., Any], *arguments: Any) -> Any:
    """What a stage of a program with mistakes makes of its arguments; None where the mistakes do not go together."""
    try:
        return stage(*arguments)
    except (ValueError, ArithmeticError, LookupError, TypeError):
        return None


def reached(search: Search, chain: Chain, layer: int, ct_a: Array) -> Chain | None:
    """A chain followed through the activation of a layer, with how it explains the arrays there; None if it cannot."""
    view = view_of(chain.program, layer)._replace(ct_a=ct_a)
    ct_z = attempted(chain.program.stages[layer].through_activation, view, ct_a)
    if ct_z is None or ct_z.shape != view.z.shape:
        return None
    deltas = {**chain.deltas, layer: ct_z}
    return judged(search, chain._replace(ct_a=ct_a, ct_z=ct_z, deltas=deltas), layer, view)


def judged(search: Search, chain: Chain, layer: int, view: LayerView | None = None) -> Chain:
    """A chain that has reached a layer, with how it explains the arrays there; `view` of it where it is known."""
    explained, unexplained, cost = dict(chain.explained), list(chain.unexplained), chain.cost
    for observed in search.observed.get(layer, ()):
        gradient = gradient_of(chain, observed, view)
        fit = None if gradient is None else fit_of(observed, gradient, fits_of(explained, observed.path))
        if fit is None or gradient is None:
            unexplained.append(observed.path)
            cost += UNEXPLAINED
            continue
        cost += cost_of_fit(search, explained, observed, fit)
        explained[observed.path] = Explained(observed, gradient, fit)
    return chain._replace(explained=explained, unexplained=tuple(unexplained), cost=cost)


def fits_of(explained: Mapping[str, Explained], path: str) -> tuple[Fit, ...]:
    """The fits of arrays that are explained, but for one."""
    return tuple(dict.fromkeys(one.fit for other, one in explained.items() if other != path))


def gradient_of(chain: Chain, observed: Observed, view: LayerView | None = None) -> Array | None:
    """What a program computes for an array of the layer that was reached, without penalties.

    Args:
        chain: the program.
        observed: the array.
        view: of its layer, where it is known.
    """
    if observed.kind == "delta":
        return chain.ct_z
    view = view_at(chain, observed.layer) if view is None else view
    return summed(chain.program, view, observed, weighted(chain, chain.ct_z))


def weighted(chain: Chain, ct_z: Array) -> Array:
    """A cotangent as it counts in the sums over samples."""
    return ct_z if chain.samples is None else ct_z * chain.samples[:, None].astype(ct_z.dtype)


def summed(
    program: Program, view: LayerView, observed: Observed, ct_z: Array, *, penalised: bool = False
) -> Array | None:
    """The gradient of a parameter from a cotangent, without its penalty; None if it has another shape.

    Args:
        program: that computes it.
        view: of its layer.
        observed: the array.
        ct_z: the cotangent.
        penalised: whether what is done to a gradient before it is handed back is done to its penalty as well.
    """
    gradient = attempted(getattr(program.stages[observed.layer], f"{observed.kind}_cotangent"), view, ct_z)
    if gradient is not None and penalised:
        gradient = gradient + observed.penalty
    if gradient is not None:
        gradient = attempted(program.returned, observed.layer, observed.kind, gradient)
    if gradient is None or np.shape(gradient) != observed.given.shape:
        return None
    return np.asarray(gradient - observed.penalty if penalised else gradient, np.float64)


def cost_of_fit(search: Search, explained: Mapping[str, Explained], observed: Observed, fit: Fit) -> float:
    """What it costs to explain an array by a fit, beside those that are explained already."""
    weak = WEAK * (observed.wrong and observed.digits(fit.free) < FIRM)
    if fit.free == 0 and fit.factor == 1:
        return 0.0
    if is_familiar(explained.values(), observed, fit):
        return AGAIN
    if fit.factor == 0:
        return OF_FIT
    cost = OF_FIT if fit.factor != 1 else 0.0
    if fit.factor != 1 and not search.constants.meaning_of(fit.factor, fit.doubt):
        cost += UNNAMED
    if not _has_declared_penalty(observed, fit):
        cost += OF_FIT
    return cost + weak


def _has_declared_penalty(observed: Observed, fit: Fit) -> bool:
    beside = (observed.l2, observed.l1)
    within = (fit.factor * observed.l2, fit.factor * observed.l1)
    return (fit.l2, fit.l1) in (beside, within)


def is_familiar(explained: Iterable[Explained], observed: Observed, fit: Fit) -> bool:
    """Whether another array was explained by the same factor and penalty."""
    return any(
        close(one.fit.factor, fit.factor, one.fit.doubt + fit.doubt)
        and close(one.fit.l2, fit.l2, 1e-8)
        and close(one.fit.l1, fit.l1, 1e-8)
        for one in explained
        if one.observed.kind == observed.kind or (one.fit.l2 == fit.l2 and one.fit.l1 == fit.l1)
    )


def is_plain(search: Search, chain: Chain, layer: int) -> bool:
    """Whether a chain explains all arrays of a layer as those above it."""
    above = [one for one in chain.explained.values() if one.observed.layer > layer]
    for observed in search.observed.get(layer, ()):
        one = chain.explained.get(observed.path)
        if one is None:
            return False
        exact = one.fit.free == 0 and one.fit.factor == 1
        if not exact and not (is_familiar(above, observed, one.fit) and observed.digits(one.fit.free) >= FIRM):
            return False
    return True


def through(search: Search, chain: Chain, slips: Sequence[Slip], layer: int, ct_a: Array | None) -> Iterator[Chain]:
    """A chain with each of these mistakes in the derivative of a layer, or at the outputs.

    Args:
        search: what is searched.
        chain: that has reached the layer above.
        slips: the mistakes.
        layer: where they are made.
        ct_a: what arrives there; None at the output layer, where the program says it.
    """
    for slip in slips:
        own = valued(search, chain, slip, layer, ct_a) if is_fitted(slip) else slip
        program = None if own is None else applied(chain.program, own)
        if own is None or program is None:
            continue
        arriving = program.ct_outputs if ct_a is None else ct_a
        ways = [program]
        if slip.id in NOT_LINEAR:
            ways += [_multiplied_before(program, layer, factor) for factor in _factors_of(search, chain)]
        for way in ways:
            found = reached(search, with_step(chain._replace(program=way), (own,)), layer, arriving)
            if found is not None:
                yield found


def _factors_of(search: Search, chain: Chain) -> list[float]:
    """What may multiply cotangents: the number of samples that they are divided by at the end, −1, factors."""
    constants = search.constants
    of_arrays = (one.fit.factor for one in chain.explained.values() if one.observed.wrong and one.fit.factor != 0)
    factors = (constants.divisor if constants.averages else 1.0, -1.0, *of_arrays)
    return [factor for factor in dict.fromkeys(float(f"{factor:.12g}") for factor in factors) if factor != 1]


def _multiplied_before(program: Program, layer: int, factor: float) -> Program:
    """A program whose cotangents are so many times as large where they go through an activation, and not after it."""
    stage = program.stages[layer].through_activation

    def through_activation(view: LayerView, ct_a: Array) -> Array:
        whole = ct_a * ct_a.dtype.type(factor)
        ct_z: Array = stage(view._replace(ct_a=whole), whole) / ct_a.dtype.type(factor)
        return ct_z

    return with_stages(program, layer, {"through_activation": through_activation})


def valued(search: Search, chain: Chain, slip: Slip, layer: int, ct_a: Array | None) -> Slip | None:
    """A mistake with the number that fits an array of a layer best, the largest that it fits; None if none does."""
    at = [one for one in search.observed.get(layer, ()) if one.parameter is not None]
    at.sort(key=lambda one: -one.given.size)
    return next(filter(None, (_valued_by(one, chain, slip, layer, ct_a) for one in at)), None)


def _valued_by(observed: Observed, chain: Chain, slip: Slip, layer: int, ct_a: Array | None) -> Slip | None:
    """A mistake with the number that fits one array of the layer best."""
    made, cotangents = [], []
    for value in (0.0, 1.0):
        program = applied(chain.program, slip._replace(value=value))
        if program is None:
            return None
        arriving = program.ct_outputs if ct_a is None else ct_a
        view = view_of(program, layer)._replace(ct_a=arriving)
        ct_z = attempted(program.stages[layer].through_activation, view, arriving)
        gradient = None if ct_z is None else summed(program, view, observed, ct_z)
        if gradient is None:
            return None
        made.append(gradient)
        cotangents.append(ct_z)
    changed = np.count_nonzero(cotangents[1] - cotangents[0])
    entries = np.count_nonzero(np.abs(cotangents[0]) + np.abs(cotangents[1]))
    assert observed.parameter is not None
    first, more = made[0], made[1] - made[0]
    penalty = () if observed.given.size < 4 else (observed.parameter,)
    for columns, fixed in (((more, *penalty), first), ((more, first, *penalty), np.zeros_like(first))):
        fitted = 1 if fixed is first else 2  # by which as many entries can be given whatever they are
        basis = np.stack([column.ravel() for column in columns], axis=1)
        if not np.isfinite(basis).all() or len(basis) <= basis.shape[1] or changed < 2 or entries <= fitted:
            continue
        left = (observed.given - fixed).ravel()
        solution, _, rank, _ = np.linalg.lstsq(basis, left, rcond=1e-12)
        far = np.abs(left - basis @ solution).max()
        if rank == basis.shape[1] and far <= SPAN * (observed.allowed.max() + observed.relative * np.abs(left).max()):
            factor = 1.0 if fixed is first else float(solution[1])
            return None if factor == 0 else slip._replace(value=plain_number(solution[0] / factor, observed.relative))
    return None


def plain_number(value: float, relative: float) -> float:
    """The number of at most eight digits that this one is as far as it is known; else the number itself."""
    value = float(value)
    if abs(value) <= 16 * max(relative, 1e-15):
        return 0.0
    for digits in range(1, 9):
        shorter = float(f"{value:.{digits}g}")
        if abs(shorter - value) <= 16 * max(relative, 1e-15) * abs(value):
            return shorter
    return value
