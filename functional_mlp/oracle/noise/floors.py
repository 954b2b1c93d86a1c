"""How far a correct program in a given precision may stray from the truth, entry by entry.

The model. Every elementary operation of both passes rounds: its result is perturbed by amplitude * (e1 + e2 + e3 / 4),
each e uniform in (-1, 1). The amplitudes are those of `operations.py`. The parts differ in what shares them: e1 is
the entry's own, for even equal sums may round differently, at the edges of a blocked matrix product; e2 is shared by
equal and nearly equal numbers, since roundings are functions of the numbers and not dice (a network of equal units, a
batch of equal samples, an approximation of tanh that errs smoothly); e3 by a whole array (an operation that is biased).
Perturbed passes (`perturbed.py`), in float64, give the standard deviation sigma of every entry of every gradient, delta
and output, and

    floor = TAIL sigma + u sum_k |s_k| + 4 u |g|

where s_k are the partial sums over the samples in their order, for the last sums only (equal terms round the same way).

Kinks. The perturbed passes keep the derivatives of the side on which the true pass is: a unit whose sign the noise may
flip is no matter of rounding but of two different functions. What such flips may do is kept apart, in `slack`, and so
is what a program loses that works with probabilities which the format rounds to 0 or 1.

Beside it stands a rigorous running-error bound (`bounds.py`), which holds whatever the signs of the roundings, and is
soon larger than the gradient itself.
"""

from typing import Any, NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.oracle.case import Case
from functional_mlp.oracle.noise.bounds import Slack, Worst, running_error, slack_of
from functional_mlp.oracle.noise.elementary import kind
from functional_mlp.oracle.noise.perturbed import strayed
from functional_mlp.oracle.noise.precision import Precision
from functional_mlp.oracle.noise.sites import (
    Survey,
    divisor_rounding,
    penalised_parameters,
    penalty_of,
    scaled_underflow,
    survey,
)
from functional_mlp.oracle.noise.sums import sum_sizes
from functional_mlp.oracle.truth import Passes, Solution

TAIL = 5.0


class Floor(NamedTuple):
    """How far the entries of one leaf may be off; arrays of the leaf's shape.

    Attributes:
        smooth: by rounding.
        slack: beyond that, by units at a kink, or by probabilities that the format rounds to 0 or 1.
        bound: by rounding, rigorously: infinite where nothing can be proved.
    """

    smooth: Array
    slack: Array
    bound: Array


class Limits(NamedTuple):
    """What overflows and underflows on the way to one leaf.

    Attributes:
        largest: the largest number that a program meets.
        unnormalised: the same for a program that divides (by samples, by outputs) at the very end.
        delicate: the largest number that the leaf is made of, for underflow.
    """

    largest: float
    unnormalised: float
    delicate: float


class Noise(NamedTuple):
    """What the declared precision does to a case.

    Attributes:
        precision: as declared.
        floors: `Floor` by the path of a leaf: "params[0].weights", "params[0].bias", "deltas[0]", "outputs",
            "ct_inputs", "loss".
        kinks: (layer, sample, unit) of the units whose derivative may be that of the other side, at most 1000.
        saturated: (sample, unit) of outputs that the format rounds to 0 or 1, where that matters, at most 1000.
        limits: by path, what overflows and underflows on the way.
        other_kinks: in words, the kinks of the loss and of its penalty that are nearer than the noise.
    """

    precision: Precision
    floors: dict[str, Floor]
    kinks: list[tuple[int, int, int]]
    saturated: list[tuple[int, int]]
    limits: dict[str, Limits]
    other_kinks: tuple[str, ...] = ()


# floors


def estimate_noise(case: Case, solution: Solution, precision: Precision) -> Noise:
    """How far a correct program that computes the case in `precision` may stray from the solution.

    The same case, solution and precision give the same floors; JAX's settings neither matter nor change.
    """
    with np.errstate(all="ignore"):
        surveyed = survey(case, solution, precision)
        sigma = strayed(case, solution, precision, surveyed)
        tails = tuple(TAIL * far for far in sigma.pre_activations)
        ct_tails = _cotangent_tails(case, surveyed, sigma)
        slack = slack_of(case, solution, surveyed, tails, ct_tails, TAIL * sigma.outputs)
        bound = running_error(case, solution, precision, surveyed)
        floors = _floors(case, solution, precision, surveyed, sigma, slack, bound)
        limits, other_kinks = _limits(case, solution, surveyed), _other_kinks(case, slack)
        return Noise(precision, floors, slack.kinks, slack.saturated, limits, other_kinks)


def _other_kinks(case: Case, slack: Slack) -> tuple[str, ...]:
    """The kinks of the loss and of its penalty, in words; of each the first one."""
    of_loss = [f"output {unit} at the kink of the loss in sample {sample}" for sample, unit in slack.loss_kinks[:1]]
    zeros = ["a parameter of 0, at the kink of the L1 penalty"] if _zero_and_penalised(case) else []
    return (*of_loss, *zeros)


def _zero_and_penalised(case: Case) -> bool:
    return case.loss is not None and case.loss.l1 != 0 and not penalised_parameters(case).all()


def _cotangent_tails(case: Case, surveyed: Survey, sigma: Passes) -> tuple[Array, ...]:
    """How far the noise may move ct_a, per layer: what moves ct_z of the layer after it, or the outputs, moves it."""
    last = 2 * np.abs(surveyed.coefficients) * sigma.outputs  # the slope of any loss that may follow a kink is below 2
    tails = [TAIL * np.hypot(last, surveyed.amplitude("end"))]
    for layer in range(len(case.params) - 1, 0, -1):
        moved = np.sqrt(sigma.deltas[layer] ** 2 @ (case.params[layer].weights ** 2).T)
        tails.append(TAIL * np.hypot(moved, surveyed.amplitude(f"before[{layer}]")))
    return tuple(reversed(tails))


def _floors(
    case: Case, solution: Solution, precision: Precision, surveyed: Survey, sigma: Passes, slack: Slack, bound: Worst
) -> dict[str, Floor]:
    storage, accumulation = precision.storage, precision.accumulation

    def floor(far: Array, true: Array, slack: Array, bound: Array, sums: Any = None, more: Any = 0.0) -> Floor:
        """`sums` are the last sums, over samples; `more` is added to either bound as it is."""
        smooth = TAIL * np.asarray(far) + 4 * storage.unit * np.abs(true) + 4 * storage.smallest + more
        if sums is not None:
            random = accumulation.unit * sums.random.reshape(true.shape)
            smooth = TAIL * np.hypot(far, random) - TAIL * far + smooth
            smooth = smooth + accumulation.unit * sums.partial.reshape(true.shape)
        smooth = np.nan_to_num(smooth, nan=np.inf, posinf=np.inf)
        bound = bound + more + 2 * storage.unit * np.abs(true)
        return Floor(smooth, *(np.nan_to_num(part, nan=np.inf, posinf=np.inf) for part in (slack, bound)))

    floors: dict[str, Floor] = {}
    n = len(case.inputs)
    underflow = accumulation.smallest * n
    for layer, true in enumerate(solution.grads):
        far, most = sigma.grads[layer], bound.grads[layer]
        lost = tuple(_with_zeros(case, *pair) for pair in zip(slack.grads[layer], case.params[layer], strict=True))
        more = _decay(case, case.params[layer].weights, precision) + underflow
        path = f"params[{layer}]"
        floors[f"{path}.weights"] = floor(far[0], true.weights, lost[0], most[0], surveyed.weights[layer], more)
        if true.bias is not None:
            more = _decay(case, case.params[layer].bias, precision, of_bias=True) + underflow
            floors[f"{path}.bias"] = floor(far[1], true.bias, lost[1], most[1], surveyed.bias[layer], more)
    for layer, delta in enumerate(solution.deltas):
        floors[f"deltas[{layer}]"] = floor(sigma.deltas[layer], delta, slack.deltas[layer], bound.deltas[layer])
    zeros = np.zeros_like(solution.outputs)
    floors["outputs"] = floor(sigma.outputs, solution.outputs, zeros, bound.outputs)
    floors["ct_inputs"] = floor(sigma.ct_inputs, solution.ct_inputs, slack.ct_inputs, bound.ct_inputs)
    if solution.loss is not None:
        excused = np.asarray(np.inf if slack.saturated else 0.0)
        more = _loss_rounding(case, surveyed, precision)
        value = np.asarray(solution.loss)
        floors["loss"] = floor(np.asarray(sigma.loss), value, excused, np.asarray(np.inf), more=more)
    return floors


def _loss_rounding(case: Case, surveyed: Survey, precision: Precision) -> float:
    """What the terms of the loss, their sum over samples and outputs, and the penalty round."""
    storage, accumulation, end = precision.storage, precision.accumulation, surveyed.end
    assert case.loss is not None
    assert end is not None
    summed = _sum_rounding(end.size.ravel(), accumulation.unit)
    penalised = penalised_parameters(case)
    summed += 0.5 * case.loss.l2 * _sum_rounding(penalised**2, accumulation.unit)
    summed += case.loss.l1 * _sum_rounding(np.abs(penalised), accumulation.unit)
    rounding = storage.unit * (float(end.terms.sum()) + 8 * penalty_of(case))
    rounding += TAIL * divisor_rounding(case, accumulation.unit) * float(end.size.sum())
    underflow = storage.smallest * float(scaled_underflow(surveyed.coefficients, end.size).sum())
    return summed + rounding + underflow


def _sum_rounding(terms: Array, unit: float) -> float:
    """The floor of a sum of terms that are not negative, in whatever order."""
    if not terms.size:
        return 0.0
    sizes = sum_sizes(np.ones((1, terms.size)), terms[:, None], unit)
    return unit * float(min(2 * sizes.partial.sum(), TAIL * sizes.random.sum()))


def _decay(case: Case, leaf: Array | None, precision: Precision, of_bias: bool = False) -> Any:
    """What the gradient of the penalty rounds."""
    if case.loss is None or not case.loss.penalises or leaf is None or (of_bias and not case.loss.l2_on_bias):
        return 0.0
    return 4 * precision.storage.unit * (case.loss.l2 * np.abs(leaf) + case.loss.l1)


def _with_zeros(case: Case, slack: Array, leaf: Array | None) -> Array:
    """The slack of a parameter's gradient with that of the L1 penalty: at 0 its derivative is any from -l1 to l1."""
    l1 = 0.0 if case.loss is None else case.loss.l1
    if l1 == 0 or leaf is None or (leaf.ndim == 1 and not case.loss.l2_on_bias):  # type: ignore[union-attr]
        return slack
    return slack + l1 * (leaf == 0)


def _limits(case: Case, solution: Solution, surveyed: Survey) -> dict[str, Limits]:
    top = lambda *arrays: max((float(np.abs(array).max()) for array in arrays), default=0.0)  # noqa: E731
    forward = top(case.inputs, *(leaf for layer in case.params for leaf in layer if leaf is not None))
    forward = max(forward, *(top(sums.absolute) for sums in surveyed.forward), top(*solution.activations))
    divisor = max(1.0, surveyed.divisor)
    limits = {"outputs": Limits(forward, forward, top(solution.outputs))}
    backward = 0.0
    for layer in reversed(range(len(case.params))):
        backward = max(backward, top(surveyed.ct_a[layer], solution.deltas[layer]))
        if kind(case.network.activations[layer]) == "softmax":  # autodiff of e / s squares s = sum e = 1 / max a
            backward = max(backward, top(1 / solution.activations[layer].max(axis=-1) ** 2))
        # 1 / p of an unfused cross-entropy is no larger than 1 / unit, see `slack`
        own = {
            f"deltas[{layer}]": backward,
            f"params[{layer}].weights": top(surveyed.weights[layer].absolute),
            f"params[{layer}].bias": top(surveyed.bias[layer].absolute),
        }
        for path, value in own.items():
            most = max(backward, value)
            limits[path] = Limits(max(forward, most), max(forward, most * divisor), top(solution.deltas[layer]))
        backward = max(backward, top(surveyed.backward[layer].absolute))
    limits["ct_inputs"] = Limits(max(forward, backward), max(forward, backward * divisor), top(solution.deltas[0]))
    if solution.loss is not None and surveyed.end is not None and case.loss is not None:
        size = float(surveyed.end.size.sum())
        # of the penalty, the sum of squares, before it is multiplied
        largest = max(forward, size, float(np.sum(penalised_parameters(case) ** 2)))
        limits["loss"] = Limits(largest, max(largest, size * divisor), abs(solution.loss))
    return limits
