"""How far a correct program in a given precision may stray from the truth, entry by entry.

The model. Every elementary operation of both passes rounds: its result is perturbed by amplitude * (e1 + e2 + e3 / 4),
each e uniform in (-1, 1). The amplitudes are those of `rounding.py`. The parts differ in what shares them: e1 is
the entry's own, for even equal sums may round differently, at the edges of a blocked matrix product; e2 is shared by
equal and nearly equal numbers, since roundings are functions of the numbers and not dice (a network of equal units, a
batch of equal samples, an approximation of tanh that errs smoothly); e3 by a whole array (an operation that is biased).
`RUNS` perturbed passes, in float64, give the standard deviation sigma of every entry of every gradient, delta and
output, and

    floor = TAIL sigma + u sum_k |s_k| + 4 u |g|

where s_k are the partial sums over the samples in their order, for the last sums only (equal terms round the same way).

Kinks. The perturbed passes keep the derivatives of the side on which the true pass is: a unit whose sign the noise may
flip is no matter of rounding but of two different functions. What such flips may do is kept apart, in `slack`, and so
is what a program loses that works with probabilities which the format rounds to 0 or 1.

Beside it stands a rigorous running-error bound (`bounds.py`), which holds whatever the signs of the roundings, and is
soon larger than the gradient itself.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from functional_mlp._dtypes import Array
from functional_mlp.backward_pass import Stages, output_cotangent, pull_back
from functional_mlp.forward_pass import Tape, matmul
from functional_mlp.losses import KINDS, Loss
from functional_mlp.network import Dense, Network, Params
from functional_mlp.oracle.case import Case
from functional_mlp.oracle.noise.bounds import Slack, Worst, running_error, slack_of
from functional_mlp.oracle.noise.operations import jump, kind, sum_sizes
from functional_mlp.oracle.noise.precision import Precision
from functional_mlp.oracle.noise.sites import OF_ALL, Survey, divisor_rounding, is_fused, scaled_underflow, survey
from functional_mlp.oracle.truth import Solution, float64_on_cpu

RUNS = 32
DIVISORS = (32, 16, 8, 4, 2, 1)
TOGETHER = 2**19  # numbers in the runs that are computed side by side
TAIL = 5.0
SEED = 20261125
# float64 cannot be perturbed in float64: its noise is computed this much larger, where everything is linear, and
# divided again
FINEST = 2.0**-33
LINEAR = 1e-4  # so large may the noise of a pre-activation, or of a probability relative to it, become by that


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
    """

    precision: Precision
    floors: dict[str, Floor]
    kinks: list[tuple[int, int, int]]
    saturated: list[tuple[int, int]]
    limits: dict[str, Limits]


# perturbed passes


def _uniform(keys: Any) -> Any:
    """A hash of uint32 keys, as numbers uniform in (-1, 1): the same key, the same number."""
    mixed = keys * jnp.uint32(0x85EBCA6B)
    mixed = (mixed ^ (mixed >> 16)) * jnp.uint32(0xC2B2AE35)
    return lax.bitcast_convert_type(mixed, jnp.int32).astype(jnp.float64) * 2.0**-31


class _Measured(NamedTuple):
    """What is looked at in a perturbed pass, or the mean |difference| from the true one."""

    loss: Any
    outputs: Any
    pre_activations: Any
    deltas: Any
    grads: Any
    ct_inputs: Any


Layout = tuple[tuple[str, tuple[int, ...]], ...]  # the names and shapes of the sites, in the order of the flat noise


def _perturbed(
    network: Network, loss: Loss | None, params: Params, arrays: dict[str, Any], true_z: Any, errors: dict[str, Any]
) -> _Measured:
    """One pass in which the operations of these names err by so much."""

    def noisy(value: Any, name: str) -> Any:
        return value + errors[name] if name in errors else value

    params = tuple(
        Dense(noisy(w, f"weights[{i}]"), None if bias is None else noisy(bias, f"bias[{i}]"))
        for i, (w, bias) in enumerate(params)
    )
    arrays = {name: noisy(array, name) for name, array in arrays.items()}
    a = arrays["inputs"]
    pre_activations, activations = [], []
    for i, (activation, layer) in enumerate(zip(network.activations, params, strict=True)):
        z = matmul(a, layer.weights, "highest")
        z = noisy(z if layer.bias is None else z + layer.bias[None, :], f"z[{i}]")
        a = noisy(activation.value(z), f"a[{i}]")
        pre_activations.append(z)
        activations.append(a)
    tape = Tape(arrays["inputs"], tuple(pre_activations), tuple(activations))
    if loss is None:
        value, ct, stages = jnp.zeros(()), arrays["ct_outputs"], (Stages(),) * len(params)
    else:
        value, ct, stages = output_cotangent(network, loss, tape, arrays["targets"], arrays.get("sample_weights"))
        ct = noisy(ct, "end")
    rounding = [
        _rounding_stages(stage, z, partial(noisy, name=f"delta[{i}]"), partial(noisy, name=f"before[{i}]"))
        for i, (stage, z) in enumerate(zip(stages, true_z, strict=True))
    ]
    pulled = pull_back(network, params, tape, ct, rounding)
    return _Measured(value, a, tape.pre_activations, pulled.deltas, pulled.params, pulled.inputs)


def _rounding_stages(stages: Stages, true_z: Any, delta: Any, before: Any) -> Stages:
    """Correct stages that round, and that stay on the true side of a kink."""

    def through_activation(layer: Any, ct_a: Any) -> Any:
        if jump(layer.activation) > 0:
            same_side = jnp.sign(layer.z) == jnp.sign(true_z)
            layer = layer._replace(z=jnp.where(same_side, layer.z, true_z))
        return delta(stages.through_activation(layer, ct_a))

    return stages._replace(
        through_activation=through_activation,
        previous_cotangent=lambda layer, ct_z: before(stages.previous_cotangent(layer, ct_z)),
    )


@partial(jax.jit, static_argnames="layout")
def _strayed(
    network: Network,
    loss: Loss | None,
    params: Params,
    arrays: dict[str, Any],
    truth: _Measured,
    amplitude: Any,
    keys: Any,
    site_salts: Any,
    salts: Any,
    *,
    layout: Layout,
) -> _Measured:
    """Mean over the runs of |perturbed - true|, for everything measured.

    Args:
        network, loss, params, arrays, truth: the case and its solution.
        amplitude, keys: (E,) and (2, E): those of all sites, one after the other, as `layout` says.
        site_salts: (sites,).
        salts: (chunks, runs, 3): the dice of each run.
        layout: static.
    """

    def distance(salt: Any) -> _Measured:
        own, shared = _uniform(keys[0] ^ salt[0]), _uniform(keys[1] ^ salt[1])
        noise, of_all = amplitude * (own + shared), OF_ALL * _uniform(site_salts ^ salt[2])
        errors, start = {}, 0
        for site, (name, shape) in enumerate(layout):
            part = slice(start, start + math.prod(shape))
            errors[name] = (noise[part] + of_all[site] * amplitude[part]).reshape(shape)
            start = part.stop
        there = _perturbed(network, loss, params, arrays, truth.pre_activations, errors)
        return jax.tree.map(lambda a, b: jnp.abs(a - b), there, truth)

    def chunk(total: _Measured, salt: Any) -> tuple[_Measured, None]:
        far = jax.vmap(distance)(salt)
        return jax.tree.map(lambda a, b: a + jnp.sum(b, axis=0), total, far), None

    total, _ = lax.scan(chunk, jax.tree.map(jnp.zeros_like, truth), salts)
    return jax.tree.map(lambda a: a / (salts.shape[0] * salts.shape[1]), total)


def strayed(case: Case, solution: Solution, precision: Precision, surveyed: Survey) -> _Measured:
    """The standard deviation that rounding gives to everything measured, from `RUNS` perturbed passes."""
    largest = max(float(surveyed.amplitude(f"z[{layer}]").max()) for layer in range(len(case.params)))
    if case.loss is not None and KINDS[case.loss.kind].of_probabilities and not is_fused(case):
        o = np.maximum(np.minimum(solution.outputs, np.abs(1 - solution.outputs)), np.finfo(np.float64).tiny)
        largest = max(largest, float((surveyed.amplitude(f"a[{len(case.params) - 1}]") / o).max()))
    magnify = max(1.0, min(FINEST / precision.storage.unit, LINEAR / largest if largest > 0 else np.inf))
    sites = surveyed.sites
    layout = tuple((name, site.amplitude.shape) for name, site in sites.items())
    amplitude = magnify * np.concatenate([site.amplitude.ravel() for site in sites.values()])
    keys = np.concatenate([site.keys for site in sites.values()], axis=1)
    together = next(size for size in DIVISORS if size * (keys.shape[1] + _entries(case)) <= TOGETHER or size == 1)
    site_salts = np.array([site.salt for site in sites.values()], np.uint32)
    salts = np.random.default_rng(SEED).integers(2**32, size=(RUNS // together, together, 3), dtype=np.uint32)
    names = ("inputs", "targets", "ct_outputs", "sample_weights")
    arrays = {name: getattr(case, name) for name in names if getattr(case, name) is not None}
    params: Any = tuple(Dense(*layer) for layer in case.params)  # type: ignore[arg-type]
    grads: Any = tuple(
        Dense(w.total, None if layer.bias is None else b.total[0])  # type: ignore[arg-type]
        for layer, w, b in zip(case.params, surveyed.weights, surveyed.bias, strict=True)
    )
    value = np.zeros(()) if solution.loss is None else np.asarray(solution.loss - penalty_of(case))
    truth = _Measured(value, solution.outputs, solution.pre_activations, solution.deltas, grads, solution.ct_inputs)
    with float64_on_cpu():
        means = _strayed(
            case.network, case.loss, params, arrays, truth, amplitude, keys, site_salts, salts, layout=layout
        )
    # of a normal distribution, sigma is sqrt(pi / 2) times the mean distance (and does not overflow as squares do)
    return jax.tree.map(lambda mean: np.nan_to_num(np.asarray(mean), nan=np.inf) * (1.2533141373155 / magnify), means)


def _entries(case: Case) -> int:
    return sum(leaf.size for layer in case.params for leaf in layer if leaf is not None)


def _penalised(case: Case) -> Array:
    """Every parameter that the L2 penalty covers, in one row."""
    loss = case.loss
    if loss is None or loss.l2 == 0:
        return np.zeros(0)
    biases = [layer.bias for layer in case.params if loss.l2_on_bias and layer.bias is not None]
    return np.concatenate([leaf.ravel() for leaf in [*(layer.weights for layer in case.params), *biases]])


def penalty_of(case: Case) -> float:
    """The L2 penalty of a case, a float64."""
    return 0.0 if case.loss is None else 0.5 * case.loss.l2 * float(np.sum(_penalised(case) ** 2))


# floors


def estimate_noise(case: Case, solution: Solution, precision: Precision) -> Noise:
    """How far a correct program that computes the case in `precision` may stray from the solution.

    The same case, solution and precision give the same floors; JAX's settings neither matter nor change.
    """
    with np.errstate(all="ignore"):
        surveyed = survey(case, solution, precision)
        sigma = strayed(case, solution, precision, surveyed)
        tails = tuple(TAIL * far for far in sigma.pre_activations)
        slack = slack_of(case, solution, surveyed, tails, _cotangent_tails(case, surveyed, sigma))
        bound = running_error(case, solution, precision, surveyed)
        floors = _floors(case, solution, precision, surveyed, sigma, slack, bound)
        return Noise(precision, floors, slack.kinks, slack.saturated, _limits(case, solution, surveyed))


def _cotangent_tails(case: Case, surveyed: Survey, sigma: _Measured) -> tuple[Array, ...]:
    """How far the noise may move ct_a, per layer: what moves ct_z of the layer after it, or the outputs, moves it."""
    last = 2 * np.abs(surveyed.coefficients) * sigma.outputs  # the slope of any loss that may follow a kink is below 2
    tails = [TAIL * np.hypot(last, surveyed.amplitude("end"))]
    for layer in range(len(case.params) - 1, 0, -1):
        moved = np.sqrt(sigma.deltas[layer] ** 2 @ (case.params[layer].weights ** 2).T)
        tails.append(TAIL * np.hypot(moved, surveyed.amplitude(f"before[{layer}]")))
    return tuple(reversed(tails))


def _floors(
    case: Case, solution: Solution, precision: Precision, surveyed: Survey, sigma: _Measured, slack: Slack, bound: Worst
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
        far, lost, most = sigma.grads[layer], slack.grads[layer], bound.grads[layer]
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
    summed += 0.5 * case.loss.l2 * _sum_rounding(_penalised(case) ** 2, accumulation.unit)
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
    if case.loss is None or case.loss.l2 == 0 or leaf is None or (of_bias and not case.loss.l2_on_bias):
        return 0.0
    return 4 * precision.storage.unit * case.loss.l2 * np.abs(leaf)


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
        largest = max(forward, size, float(np.sum(_penalised(case) ** 2)))
        limits["loss"] = Limits(largest, max(largest, size * divisor), abs(solution.loss))
    return limits
