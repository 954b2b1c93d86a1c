"""How far the parameters of a correct program may be off after several steps of a training.

A few trainings are run side by side, in float64, by the update rule itself. In each the gradient of every step is off
by its whole noise floor (`floors.py`), to either side; it is taken at the parameters of that run, so that what one step
is off by moves the gradients of the next ones; and every operation of the rule rounds (`rounded.py`). What the runs are
off by, at the farthest, is the floor, with a margin. So no derivative of a rule is needed: Adam divides a gradient by
its own size, and one within its noise may go either way.

Units at a kink are run apart, as in `floors.py`: gradients are off by floor and slack there, and units may flip. What
these runs are off by beyond the others is the slack. It is infinite where a rule divides by a root that the format may
round to 0, as of squares of float16, and ε is no help.
"""

import dataclasses
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.case import parameter_of, params_by_path
from functional_mlp.oracle.noise.elementary import kink_positions
from functional_mlp.oracle.noise.floors import Floor, Limits, Noise, estimate_noise
from functional_mlp.oracle.noise.perturbed import perturbed_gradients
from functional_mlp.oracle.noise.precision import FLOAT32, FORMATS, Format, Precision
from functional_mlp.oracle.noise.rounded import Rounded, signs
from functional_mlp.oracle.truth import Trajectory
from functional_mlp.update_rules import UpdateRule

RUNS, FEWEST_RUNS, TOGETHER = 32, 8, 2**22  # numbers in the runs that are side by side
MARGIN = 1.5  # of the floor over the farthest run
SEED = 20261130
FEW_UNITS = 16  # of underflow, from which on a square has digits


def estimate_trajectory_noise(trajectory: Trajectory, precision: Precision) -> tuple[Noise, ...]:
    """The noise of the parameters after each step: floors, limits and kinks by the paths of parameters."""
    noises = [estimate_noise(step.case, step.solution, precision) for step in trajectory.steps]
    kinked = any(kink_positions(activation) for activation in trajectory.steps[0].case.network.activations)
    with np.errstate(all="ignore"):
        smooth = _strayed(trajectory, noises, flips=False)
        whole = _strayed(trajectory, noises, flips=True) if kinked or any(map(_has_slack, noises)) else smooth
        pairs = list(zip(smooth, whole, strict=True))
        return tuple(_noise_after(trajectory, noises[: i + 1], *pair) for i, pair in enumerate(pairs))


class _Strayed(NamedTuple):
    """What the runs are off by after a step: the farthest, and whether a root may be lost before it, by path."""

    far: dict[str, Array]
    lost: dict[str, Array]


def _has_slack(noise: Noise) -> bool:
    return any(bool(floor.slack.any()) for floor in noise.floors.values())


def _noise_after(trajectory: Trajectory, noises: list[Noise], smooth: _Strayed, whole: _Strayed) -> Noise:
    """The noise after the last of these steps, from the distances of the runs, by path."""
    precision, floors, limits = noises[0].precision, {}, {}
    after = params_by_path(trajectory.steps[len(noises) - 1].after)
    for path, far in smooth.far.items():
        rounding = 2 * precision.storage.unit * np.abs(after[path]) + 4 * precision.storage.smallest
        floor = np.nan_to_num(MARGIN * far + rounding, nan=np.inf)
        slack = np.nan_to_num(MARGIN * np.maximum(whole.far[path] - far, 0.0), nan=np.inf)
        slack = np.where(smooth.lost[path], np.inf, slack)
        floors[path] = Floor(floor, slack, np.full_like(far, np.inf))
        limits[path] = Limits(*map(max, zip(*(noise.limits[path] for noise in noises), strict=True)))
    kinks = [kink for noise in noises for kink in noise.kinks]
    saturated = [unit for noise in noises for unit in noise.saturated]
    return Noise(precision, floors, kinks, saturated, limits)


def _strayed(trajectory: Trajectory, noises: list[Noise], *, flips: bool) -> list[_Strayed]:
    """How far the farthest run is off after each step, by path."""
    rule, precision = trajectory.rule, noises[0].precision
    storage, first = precision.storage, trajectory.steps[0].case
    paths = list(params_by_path(first.params))
    shapes = [parameter_of(first, path).shape for path in paths]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    runs = int(np.clip(TOGETHER // ends[-1], FEWEST_RUNS, RUNS))
    rng = np.random.default_rng(SEED)

    def flat(arrays: dict[str, Array]) -> Array:
        return np.concatenate([arrays[path].ravel() for path in paths])

    def apart(row: Array) -> dict[str, Array]:
        """Numbers (…, p) of all parameters by path, (…, *shape)."""
        parts = zip(np.split(row, ends[:-1], axis=-1), shapes, strict=True)
        return {path: part.reshape(row.shape[:-1] + shape) for path, (part, shape) in zip(paths, parts, strict=True)}

    def rounded(values: Array) -> Rounded:
        return Rounded(values, storage.unit, storage.smallest, rng)

    true = flat(params_by_path(first.params))
    params = np.broadcast_to(true, (runs, true.size))
    if FORMATS[first.dtype].unit < storage.unit:  # the program holds them rounded
        params = params + signs(params.shape, rng) * storage.unit * np.abs(params)
    slots: Any = tuple(rounded(np.zeros(params.shape)) for _ in rule.slots)
    constants, distances, lost = _constants(rule, precision, runs, rng), [], np.zeros(true.size, bool)
    for number, (step, noise) in enumerate(zip(trajectory.steps, noises, strict=True), start=1):
        true = flat(params_by_path(step.case.params))
        moved = perturbed_gradients(step.case, step.solution, apart(params - true), flips=flips)
        floors = flat({path: noise.floors[path].smooth + (noise.floors[path].slack if flips else 0) for path in paths})
        gradients = _flat_runs(moved, paths) + signs(params.shape, rng) * floors
        slots, after = type(rule).of_array(constants, number, slots, rounded(params), rounded(gradients))
        params = after.values
        # what is no number in one parameter is so in all after the next step
        lost = np.full_like(lost, lost.any()) | _loses_roots(rule, slots, storage, lost)
        far = np.abs(params - flat(params_by_path(step.after)))
        distances.append(_Strayed(apart(np.max(np.nan_to_num(far, nan=np.inf), axis=0)), apart(lost)))
    return distances


def _loses_roots(rule: Any, slots: Any, storage: Format, before: Any) -> Any:
    """Where the root that a rule divides by may be rounded to 0, with an ε that is too small to show beside that."""
    if "second_moment" not in rule.slots:
        return np.zeros_like(before)
    seen = storage.smallest if rule.epsilon_inside else storage.smallest**0.5
    if rule.epsilon >= seen:
        return np.zeros_like(before)
    square = slots[rule.slots.index("second_moment")].values
    return square.min(axis=0) <= FEW_UNITS * storage.smallest


def _flat_runs(arrays: dict[str, Array], paths: list[str]) -> Array:
    """Arrays (runs, …) in one row per run."""
    return np.concatenate([arrays[path].reshape(len(arrays[path]), -1) for path in paths], axis=1)


def _constants(rule: UpdateRule, precision: Precision, runs: int, rng: np.random.Generator) -> Any:
    """The fields of a rule as a program holds them: its numbers rounded, to float32 or better."""
    unit = min(precision.storage.unit, FLOAT32.unit)

    def held(value: Any) -> Any:
        if isinstance(value, bool) or value == 0:
            return value
        return Rounded(np.full(runs, value), unit, 0.0, rng, constant=True)

    return SimpleNamespace(**{field.name: held(getattr(rule, field.name)) for field in dataclasses.fields(rule)})
