"""Mistakes of bookkeeping and precision: what is never computed, overwritten, stale, or rounded too early."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from functional_mlp._dtypes import DTYPES
from functional_mlp.activations import numpy_value
from functional_mlp.backward_pass import Stages
from functional_mlp.forward_pass import Tape
from functional_mlp.losses import penalty_value, reduced
from functional_mlp.oracle.mistakes.catalogue.chain_rule.derivatives import derivative_from
from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake, Parameter
from functional_mlp.oracle.mistakes.changes import (
    Array,
    Change,
    Context,
    by_variant,
    in_activation,
    in_bias,
    in_cotangent,
    in_previous,
    in_returned,
    in_sums,
    in_weights,
    one_after_the_other,
    with_stages,
    zeroed,
)
from functional_mlp.oracle.mistakes.conditions import (
    DEAD_UNIT,
    HALF_DEAD_UNIT,
    HAS_BIAS,
    NO_LOSS,
    SATURATED_SIGMOID,
    SATURATED_TANH,
    SEVERAL_SAMPLES,
    UNFUSED,
    Condition,
    Site,
    activation_in,
    for_variant,
)
from functional_mlp.oracle.mistakes.program import (
    Program,
    product,
    seen_by_loss,
    summed,
    tape_of,
    through_activation,
    times,
    weights_cotangent,
)


def _last_chunk(context: Context, layer: Any, ct: Array) -> tuple[Any, Array]:
    size = context.value if context.variant == "last-chunk" else 1.0
    kept = np.arange(context.samples) >= _start_of_last_chunk(context.samples, size)
    return layer, np.where(kept[:, None], ct, np.zeros_like(ct))


def _start_of_last_chunk(samples: int, size: Any) -> Any:
    return np.floor((samples - 1) / size) * size


def _chunk_sizes(site: Site) -> tuple[float, ...]:
    """Those that people choose, and those that divide evenly; of several with the same last chunk, the smallest."""
    n = site.samples
    sizes = sorted(
        {*range(1, 65), *range(10, n, 10), *(2**k for k in range(6, 20)), *(-(-n // k) for k in range(2, 33))}
    )
    last = {(n - 1) // size * size: size for size in reversed(sizes) if size < n}
    return tuple(float(size) for size in sorted(last.values()))


def _narrow_product(left: Array, right: Array, narrow: str) -> Array:
    """left (m, k) @ right (k, n), added up one after the other in the dtype `narrow`."""
    columns, total = left.T, np.zeros((left.shape[0], right.shape[1]), DTYPES[narrow])
    for column, row in zip(columns.astype(np.float64), right.astype(np.float64), strict=True):
        total = (total.astype(np.float64) + np.outer(column, row)).astype(total.dtype)
    return total.astype(right.dtype)


def _narrow(context: Context, layer: Any, ct: Array) -> Array:
    return _narrow_product(layer.a_prev.T, ct, context.variant)


def _narrow_bias(context: Context, layer: Any, ct: Array) -> Any:
    ones = np.ones((1, context.samples), ct.dtype)
    return _narrow_product(ones, ct, context.variant)[0] if layer.has_bias else None


def _narrow_previous(context: Context, layer: Any, ct: Array) -> Array:
    return _narrow_product(ct, layer.weights.T, context.variant)


def _in_float32(context: Context) -> Program:
    """The stages of one layer computed in float32, whatever the rest is computed in."""

    def rounded(stage: Callable[[Any, Array], Any]) -> Callable[[Any, Array], Any]:
        def compute(layer: Any, ct: Array) -> Any:
            a_prev, z, a, weights = (x.astype(np.float32) for x in (layer.a_prev, layer.z, layer.a, layer.weights))
            narrow = layer._replace(a_prev=a_prev, z=z, a=a, weights=weights)
            result = stage(narrow, ct.astype(np.float32))
            return None if result is None else result.astype(ct.dtype)

        return compute

    stages = context.program.stages[context.layer]
    return with_stages(
        context.program, context.layer, {name: rounded(getattr(stages, name)) for name in Stages._fields}
    )


def _unit_as_sample(layer: Any, ct: Array) -> Array:
    """Sum over samples s of a_prev[j, i] ct_z[s, j]."""
    return layer.a_prev[: ct.shape[1]].T * summed(ct, axis=0)[None, :]


def _of_samples(order: Callable[[Array], Array]) -> Callable[[Any, Array], Array]:
    return lambda layer, ct: weights_cotangent(layer._replace(a_prev=order(layer.a_prev)), ct)


WRONG_SAMPLES: Mapping[str, Callable[[Any, Array], Array]] = {
    "next-sample": _of_samples(lambda a: np.roll(a, -1, axis=0)),
    "previous-sample": _of_samples(lambda a: np.roll(a, 1, axis=0)),
    "reversed": _of_samples(lambda a: a[::-1]),
    "first-sample": _of_samples(lambda a: np.broadcast_to(a[:1], a.shape)),
    "last-sample": _of_samples(lambda a: np.broadcast_to(a[-1:], a.shape)),
    "unit-index": _unit_as_sample,
}


def _stale(context: Context, layer: Any, ct: Array) -> Array:
    program = context.program
    tape = tape_of(program.network, program.params, program.another_batch)
    return weights_cotangent(layer._replace(a_prev=(tape.inputs, *tape.activations)[context.layer]), ct)


def _never_written(context: Context, name: str, ct: Array) -> Array:
    end, _, part = context.variant.partition("-")
    at = 0 if end == "first" else -1
    if (part == "bias") != (name == "bias"):
        return ct
    return zeroed(ct, (slice(None), at) if part == "column" else at)


NEVER_WRITTEN = tuple(f"{end}-{what}" for what in ("row", "column", "bias") for end in ("first", "last"))

MAX_DIFFERENCES = 5000  # parameters; each costs one or two forward passes
DIFFERENCES_AT_ONCE = 256


def finite_differences(context: Context) -> Program:
    """The program that returns a finite-difference gradient; it computes all else as before."""
    program = context.program

    def returned(layer: int, name: str, gradient: Array) -> Array:
        """One array after the other, since a search for the step h needs only one."""
        at = getattr(program.params[layer], name)

        def losses(leaves: Array) -> Array:
            return _losses(program, layer, name, leaves)

        return _differences(losses, at, context.value, context.variant)

    return program._replace(returned=returned)


def _losses(program: Program, changed: int, name: str, leaves: Array) -> Array:
    """The loss (B,) for each of B values (B, …) of one parameter array."""
    count = len(leaves)
    tape = tape_of(program.network, program.params, program.inputs, program.right)
    a = z = (tape.inputs, *tape.activations)[changed]
    for layer in range(changed, len(program.params)):
        weights, bias = program.params[layer]
        if layer == changed and name == "weights":  # (n, fan_in) @ (fan_in, B fan_out)
            side_by_side = leaves.transpose(1, 0, 2).reshape(len(weights), -1)
            z = product(a, side_by_side).reshape(len(a), count, -1).transpose(1, 0, 2)
        else:
            z = product(a.reshape(-1, a.shape[-1]), weights).reshape(*a.shape[:-1], -1)
        if layer == changed and name == "bias":
            z = z[None] + leaves[:, None, :].astype(z.dtype)
        elif bias is not None:
            z = z + bias.astype(z.dtype)
        z = z.astype(a.dtype)
        a = numpy_value(program.network.activations[layer], z)
    if program.loss is None:
        return np.sum(a * program.ct_outputs, axis=(1, 2), dtype=a.dtype)
    loss, outputs = seen_by_loss(program.network, program.loss, Tape(program.inputs, (z,), (a,)))  # type: ignore[arg-type]
    values = [reduced(loss, own, program.targets, program.sample_weights)[0] for own in outputs]  # type: ignore[arg-type]
    if not program.loss.penalises:
        return np.array(values)
    params = list(program.params)
    penalties = [penalty_value(program.loss, _with_leaf(params, changed, name, leaf)) for leaf in leaves]
    return np.array(values) + np.array(penalties)


def _with_leaf(params: list[Any], layer: int, name: str, leaf: Array) -> list[Any]:
    return [*params[:layer], params[layer]._replace(**{name: leaf}), *params[layer + 1 :]]


def _differences(losses: Callable[[Array], Array], at: Array, step: float, variant: str) -> Array:
    """The finite-difference gradient, of the shape and dtype of `at`, of a function that maps (B, …) to (B,)."""
    flat, slopes = at.reshape(-1), []
    before = None if variant == "central" else losses(at[None])
    for start in range(0, flat.size, DIFFERENCES_AT_ONCE):
        rows = np.arange(start, min(start + DIFFERENCES_AT_ONCE, flat.size))
        moves = times(step, (rows[:, None] == np.arange(flat.size)[None, :]).astype(flat.dtype))
        ahead = losses((flat + moves).reshape(-1, *at.shape))
        if before is None:
            slopes.append((ahead - losses((flat - moves).reshape(-1, *at.shape))) / (2 * step))
        else:
            slopes.append((ahead - before) / step)
    return np.concatenate(slopes).astype(at.dtype).reshape(at.shape)


def magnified(
    value: float, variant: str | None, loss_noise: float, unit: float, weights: np.ndarray, grads: np.ndarray
) -> np.ndarray:
    """How far rounding may move a finite difference.

    Args:
        value: the step h.
        variant: "central" for (L(w + h) − L(w − h)) / 2h; else (L(w + h) − L(w)) / h.
        loss_noise: how far a loss may be off.
        unit: unit roundoff of the format; w + h is off by that much of w.
        weights, grads: the parameters w and their gradient, of one shape.
    """
    apart = 2 * abs(value) if variant == "central" else abs(value)
    return (2 * loss_noise + 2 * unit * np.abs(weights) * np.abs(grads)) / apart


STATE_MISTAKES = (
    Mistake(
        "bias-never-computed",
        "The gradient of the bias is never computed and stays 0.",
        "ct_b = 0",
        "ct_b = sum of ct_z over samples",
        in_returned(lambda context, name, ct: np.zeros_like(ct) if name == "bias" else ct),
        (HAS_BIAS,),
    ),
    Mistake(
        "layer-never-computed",
        "The gradient of a whole layer is never computed and stays 0.",
        "ct_W = 0, ct_b = 0",
        "ct_W = a_prevᵀ ct_z, ct_b = sum of ct_z over samples",
        in_returned(lambda context, name, ct: times(0.0, ct)),
    ),
    Mistake(
        "accumulated",
        "The gradients of two calls are added up, because the first ones were not reset to 0.",
        "ct_W + ct_W of the call before: twice the gradient on the same batch",
        "reset the gradients to 0 before each call",
        in_returned(lambda context, name, ct: times(2.0, ct)),
        scope="network",
        tag="second-case",
        second="another case",
    ),
    Mistake(
        "overwritten",
        "Each sample's (or chunk's) contribution overwrites the ones before, so that only the last is kept.",
        "ct_W = a_prevᵀ ct_z, ct_b = sum of ct_z over the last sample or chunk only",
        "add up the contributions of all samples",
        in_sums(_last_chunk),
        (
            SEVERAL_SAMPLES,
            for_variant(
                "a chunk of at least 1 sample and fewer than there are",
                {"last-chunk": lambda site: 1 <= site.value < site.samples},
            ),
        ),
        scope="network",
        tag="fitted",
        parameter=Parameter(
            "the size of a chunk",
            lambda site: max(1, site.samples // 2),
            _chunk_sizes,
        ),
        variants=("last-sample", "last-chunk"),
    ),
    Mistake(
        "cotangent-ignored",
        "The cotangent that comes in is ignored and taken as ones.",
        "ct at the outputs = 1",
        "start from the cotangent that was given",
        in_cotangent(lambda context, ct: np.ones_like(ct)),
        (NO_LOSS, Condition("a cotangent other than ones", lambda site: bool((site.case.ct_outputs != 1).any()))),  # type: ignore[union-attr,attr-defined]
        scope="network",
    ),
    Mistake(
        "accumulator-too-narrow",
        "The sums of the backward pass are accumulated one after the other in a 16-bit format.",
        "s = round16(s + x y) for each product",
        "accumulate in at least float32",
        one_after_the_other(
            "weights_cotangent", in_weights(_narrow), in_bias(_narrow_bias), in_previous(_narrow_previous)
        ),
        scope="network",
        variants=("float16", "bfloat16"),
    ),
    Mistake(
        "float32-inside-float64",
        "One layer of a float64 program goes back in float32.",
        "the stages of one layer rounded to float32",
        "float64 throughout",
        Change("through_activation", _in_float32),
        (Condition("a float64 case", lambda site: site.case.dtype == "float64"),),
    ),
    Mistake(
        "tanh-cancellation",
        "1 − tanh² is computed by subtraction, which cancels to 0 near saturation.",
        "ct_z = ct_a (1 − a a)",
        "ct_z = ct_a / cosh²(z)",
        in_activation(lambda context, layer, ct: derivative_from(layer, layer.a, ct)),
        (activation_in("tanh"), SATURATED_TANH),
    ),
    Mistake(
        "sigmoid-cancellation",
        "1 − sigmoid is computed by subtraction, which cancels to 0 near saturation.",
        "ct_z = ct_a a (1 − a)",
        "ct_z = ct_a sigmoid(z) sigmoid(−z)",
        in_activation(lambda context, layer, ct: derivative_from(layer, layer.a, ct)),
        (activation_in("sigmoid"), UNFUSED, SATURATED_SIGMOID),
    ),
    Mistake(
        "wrong-sample-index",
        "The inputs of another sample are paired with a sample's cotangent: the next one's, or that of a unit's index.",
        "ct_W[i, j] = sum over s of a_prev[s + 1, i] ct_z[s, j], or a_prev[j, i] ct_z[s, j]",
        "ct_W[i, j] = sum over s of a_prev[s, i] ct_z[s, j]",
        in_weights(lambda context, layer, ct: WRONG_SAMPLES[context.variant](layer, ct)),
        (
            SEVERAL_SAMPLES,
            for_variant(
                "samples enough for it to be another one than the rest",
                {
                    "previous-sample": lambda site: site.samples > 2,
                    "reversed": lambda site: site.samples > 3,
                    "unit-index": lambda site: site.fan_out <= site.samples,
                },
            ),
        ),
        variants=tuple(WRONG_SAMPLES),
    ),
    Mistake(
        "dead-unit-columns",
        "A relu's mask is made per unit, not per sample: so that too many cotangents pass or too few.",
        "ct_z = ct_a in the columns of dead units, or 0 in the columns of units that are inactive in any sample",
        "ct_z = ct_a where z > 0, else 0, for each sample",
        by_variant(
            {
                "not-zero": in_activation(
                    lambda context, layer, ct: np.where(
                        np.all(layer.z <= 0, axis=0)[None, :], ct, through_activation(layer, ct)
                    )
                ),
                "zeroed": in_activation(
                    lambda context, layer, ct: np.where(np.all(layer.z > 0, axis=0)[None, :], ct, np.zeros_like(ct))
                ),
            }
        ),
        (
            activation_in("relu"),
            for_variant(
                "a unit that is inactive in all samples, or in some",
                {"not-zero": DEAD_UNIT.test, "zeroed": HALF_DEAD_UNIT.test},
            ),
        ),
        variants=("not-zero", "zeroed"),
    ),
    Mistake(
        "stale-activations",
        "A layer's gradient is made with the activations of another batch.",
        "ct_W = (a_prev of another batch)ᵀ ct_z",
        "ct_W = a_prevᵀ ct_z, both of the same forward pass",
        in_weights(_stale),
        tag="second-case",
        second="another case",
    ),
    Mistake(
        "off-by-one-loop",
        "One row, column or entry of a gradient is never written and stays 0.",
        "ct_W[0] = 0, ct_W[fan_in − 1] = 0, or likewise a column, or an entry of ct_b",
        "loop over all of 0..fan_in − 1 and 0..fan_out − 1",
        in_returned(_never_written),
        (
            for_variant(
                "several rows, columns, or units with a bias",
                {
                    **dict.fromkeys(("first-row", "last-row"), lambda site: site.fan_in > 1),
                    **dict.fromkeys(("first-column", "last-column"), lambda site: site.fan_out > 1),
                    **dict.fromkeys(
                        ("first-bias", "last-bias"), lambda site: site.fan_out > 1 and site.bias is not None
                    ),
                },
            ),
        ),
        variants=NEVER_WRITTEN,
    ),
    Mistake(
        "finite-difference",
        "The gradient is a finite difference of the loss with a poor step.",
        "(Loss(w + h) − Loss(w)) / h, or (Loss(w + h) − Loss(w − h)) / 2h",
        "the derivative; or a step near the cube root of the rounding error for central differences",
        Change("returned", finite_differences),
        (
            Condition(
                f"at most {MAX_DIFFERENCES} parameters",
                lambda site: (
                    sum(leaf.size for layer in site.case.params for leaf in layer if leaf is not None)
                    <= MAX_DIFFERENCES
                ),
            ),
            Condition("a step other than 0", lambda site: site.value != 0),
        ),
        scope="network",
        tag="fitted",
        parameter=Parameter(
            "the step h", lambda site: 1e-5 if site.variant == "forward" else 1e-3, magnified=magnified
        ),
        variants=("forward", "central"),
    ),
)
