"""What may add up in the worst case: both passes with absolute values throughout.

`running_error` is a rigorous bound on what rounding does to every entry, provided that each elementary operation errs
by at most three of its amplitudes (`operations.py`) and each sum of k terms by k u times its absolute terms, whatever
the order and the signs. It grows by the absolute weights with every layer, and is soon larger than the gradient.

`slack_of` bounds what kinks may do: units whose pre-activation lies within the noise around 0 may take the derivative
of the other side; and what is lost where a program works with probabilities that the format rounds to 0 or 1.
"""

import itertools
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.case import Case
from functional_mlp.oracle.noise.elementary import elementary, jumps, kind, steepest_side
from functional_mlp.oracle.noise.losses import cotangent_bound, flipped
from functional_mlp.oracle.noise.precision import Precision
from functional_mlp.oracle.noise.sites import Survey
from functional_mlp.oracle.truth import Solution, is_fused

MAX_PLACES = 1000
AMPLITUDES = 3.0  # an operation errs by at most so many amplitudes


class Worst(NamedTuple):
    """Bounds on the errors of a backward pass, shaped like what it computes."""

    outputs: Array
    deltas: tuple[Array, ...]
    grads: tuple[tuple[Array, Array], ...]
    ct_inputs: Array


class Slack(NamedTuple):
    """What kinks and lost probabilities may do.

    Attributes:
        deltas, grads, ct_inputs: bounds, as in `Worst`.
        kinks: (layer, sample, unit) of the units that may be on the other side.
        loss_kinks: (sample, unit) of the outputs that may be on the other side of a kink of the loss.
        saturated: (sample, unit) of the outputs whose probability is lost.
    """

    deltas: tuple[Array, ...]
    grads: tuple[tuple[Array, Array], ...]
    ct_inputs: Array
    kinks: list[tuple[int, int, int]]
    loss_kinks: list[tuple[int, int]]
    saturated: list[tuple[int, int]]


class Local(NamedTuple):
    """What goes wrong within one layer of the backward pass.

    Attributes:
        a_prev: error of the activations that it reads (n, fan_in).
        weights: error of the weights (fan_in, fan_out) that it reads.
        derivative: error of f'(z) (n, fan_out).
        delta: rounding of ct_z (n, fan_out).
        unit: of the sums, per term; 0 for exact sums.
        storage: unit and smallest number of the stored results.
    """

    a_prev: Any
    weights: Any
    derivative: Any
    delta: Any
    unit: float
    storage: tuple[float, float]


def _sum_error(propagated: Array, absolute: Array, terms: int, local: Local) -> Array:
    """The error of a sum of `terms` products, given what its factors' errors make of it."""
    relative = local.unit * (terms + 1)
    factor = relative / (1 - relative) if relative < 0.5 else np.inf
    error = propagated + (factor * (absolute + propagated) if factor else 0.0)
    unit, smallest = local.storage
    return error + (unit * (absolute + error) + smallest * (terms + 1) if unit else 0.0)


def _pulled_through(
    softmax: bool, slope: Array, a: Array, a_error: Any, ct_a: Array, error: Array, local: Local
) -> Array:
    """The error of ct_z given that of ct_a."""
    if not softmax:
        return slope * error + local.derivative * (np.abs(ct_a) + error) + local.delta
    bent = np.abs(ct_a) + error
    inner = (a_error * bent + a * error).sum(axis=-1, keepdims=True)
    whole = (a * np.abs(ct_a)).sum(axis=-1, keepdims=True)
    return a_error * (bent + whole + inner) + a * (error + inner) + local.delta


def _backward(
    case: Case, solution: Solution, ct_a: tuple[Array, ...], start: Array, locals_: list[Local], errors: list[Any]
) -> Worst:
    """The backward pass of errors: from `start`, the error of what the loss hands over, to every cotangent."""
    before = (case.inputs, *solution.activations[:-1])
    error, deltas, grads = start, [], []
    last = len(case.params) - 1
    for layer in range(last, -1, -1):
        activation, local = case.network.activations[layer], locals_[layer]
        z, a, delta = solution.pre_activations[layer], solution.activations[layer], solution.deltas[layer]
        if not (layer == last and is_fused(case)):
            softmax = kind(activation) == "softmax"
            slope = a if softmax else elementary(activation).slope(z, a)
            error = _pulled_through(softmax, slope, a, errors[layer + 1], ct_a[layer], error, local)
        n, fan_out = delta.shape
        a_prev, w = np.abs(before[layer]), np.abs(case.params[layer].weights)
        there, there_w = np.abs(delta) + error, w + local.weights
        propagated = a_prev.T @ error + (local.a_prev.T @ there if np.ndim(local.a_prev) else 0.0)
        of_weights = _sum_error(propagated, a_prev.T @ np.abs(delta) if local.unit else propagated, n, local)
        of_bias = _sum_error(error.sum(axis=0), np.abs(delta).sum(axis=0), n, local)
        deltas.append(error)
        grads.append((of_weights, of_bias))
        propagated = error @ there_w.T + (np.abs(delta) @ local.weights.T if np.ndim(local.weights) else 0.0)
        error = _sum_error(propagated, np.abs(delta) @ w.T if local.unit else propagated, fan_out, local)
    return Worst(np.zeros_like(solution.outputs), tuple(deltas[::-1]), tuple(grads[::-1]), error)


def slack_of(
    case: Case,
    solution: Solution,
    surveyed: Survey,
    tails: tuple[Array, ...],
    ct_tails: tuple[Array, ...],
    end_tail: Array,
) -> Slack:
    """What units within `tails` of a kink, and lost probabilities, may do to every gradient.

    Args:
        case, solution, surveyed: the true pass.
        tails: how far the noise may move the pre-activations, per layer.
        ct_tails: how far it may move the cotangents of the activations, which a unit that flips lets through.
        end_tail: how far it may move the outputs.
    """
    layers = range(len(case.params))
    heights = [
        jumps(activation, z, tail)
        for activation, z, tail in zip(case.network.activations, solution.pre_activations, tails, strict=True)
    ]
    lost = np.zeros_like(solution.outputs) if surveyed.end is None else surveyed.end.lost
    places = ((layer, *place) for layer in layers for place in np.argwhere(heights[layer] > 0)[:MAX_PLACES].tolist())
    kinks = list(itertools.islice(places, MAX_PLACES))
    saturated = _places(lost > 0)
    jumps_of_loss = np.zeros_like(lost)
    if surveyed.ending is not None:
        targets_moved = AMPLITUDES * surveyed.amplitude("targets")
        jumps_of_loss = flipped(surveyed.ending, surveyed.coefficients, end_tail, targets_moved)
    loss_kinks = _places(jumps_of_loss > 0)
    if not kinks and not saturated and not loss_kinks:
        zeros = tuple((np.zeros_like(w), np.zeros(w.shape[1])) for w, _ in case.params)
        deltas = tuple(np.zeros_like(delta) for delta in solution.deltas)
        return Slack(deltas, zeros, np.zeros_like(solution.ct_inputs), [], [], [])
    locals_ = [Local(0.0, 0.0, heights[layer], 0.0, 0.0, (0.0, 0.0)) for layer in layers]
    ct_a = tuple(np.abs(ct) + tail for ct, tail in zip(surveyed.ct_a, ct_tails, strict=True))
    worst = _backward(case, solution, ct_a, lost + jumps_of_loss, locals_, [0.0] * (len(layers) + 1))
    return Slack(worst.deltas, worst.grads, worst.ct_inputs, kinks, loss_kinks, saturated)


def _places(where: Any) -> list[tuple[int, int]]:
    return [(int(i), int(j)) for i, j in np.argwhere(where)[:MAX_PLACES]]


def running_error(case: Case, solution: Solution, precision: Precision, surveyed: Survey) -> Worst:
    """The rigorous bound on what rounding does to outputs, deltas and gradients; infinite where nothing is proved.

    What the penalty rounds is left to the caller. Of an activation of one's own nothing is proved.
    """
    storage = (precision.storage.unit, precision.storage.smallest)
    unit = precision.accumulation.unit
    errors, locals_ = [_rounding(surveyed, "inputs") + np.zeros_like(case.inputs)], []
    before = (case.inputs, *solution.activations[:-1])
    for layer, (activation, (w, _bias)) in enumerate(zip(case.network.activations, case.params, strict=True)):
        w_error, b_error = (_rounding(surveyed, f"{name}[{layer}]") for name in ("weights", "bias"))
        exact = Local(0.0, 0.0, 0.0, 0.0, unit, storage)
        propagated = errors[-1] @ (np.abs(w) + w_error) + b_error
        propagated = propagated + (np.abs(before[layer]) @ w_error if np.ndim(w_error) else 0.0)
        z_error = _sum_error(propagated, surveyed.forward[layer].absolute, len(w) + 1, exact)
        z, a = solution.pre_activations[layer], solution.activations[layer]
        if kind(activation) == "softmax":
            # every exp(z_i) / sum is off by a factor within exp(-2 B) and exp(2 B), B the largest error in the row
            derivative: Any = 0.0
            grown = a * np.expm1(2 * z_error.max(axis=-1, keepdims=True))
        else:
            entry = elementary(activation)
            curvature = entry.curvature()
            grown = entry.slope(z, a) * z_error + 0.5 * curvature * z_error**2
            # a unit that crosses a kink stays below the steeper side
            grown = np.maximum(grown, steepest_side(activation) * z_error)
            derivative = curvature * z_error + AMPLITUDES * precision.storage.unit * entry.derivative(z, a)
        locals_.append(Local(errors[-1], w_error, derivative, _rounding(surveyed, f"delta[{layer}]"), unit, storage))
        errors.append(grown + _rounding(surveyed, f"a[{layer}]"))
    start = _end_error(case, solution, surveyed, errors, z_error)
    worst = _backward(case, solution, surveyed.ct_a, start, locals_, errors)
    return worst._replace(outputs=errors[-1])


def _rounding(surveyed: Survey, name: str) -> Any:
    """The most that the operation of this name errs by; 0 if it is exact."""
    return AMPLITUDES * surveyed.amplitude(name)


def _end_error(case: Case, solution: Solution, surveyed: Survey, errors: list[Array], z_error: Array) -> Array:
    """The error of what the loss hands over, given those of logits and outputs."""
    ending = surveyed.ending
    if case.loss is None or ending is None:
        return np.zeros_like(solution.outputs) + _rounding(surveyed, "ct_outputs")
    moved = z_error if case.loss.on_logits(case.network.activations[-1]) is not None else errors[-1]
    bound = cotangent_bound(ending, surveyed.coefficients, moved, _rounding(surveyed, "targets"))
    return bound + _rounding(surveyed, "end")
