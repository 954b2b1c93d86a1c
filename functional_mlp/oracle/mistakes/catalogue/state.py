"""Mistakes of bookkeeping and precision: what is never computed, overwritten, stale, or rounded too early."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from functional_mlp.backward_pass import Residuals, Stages
from functional_mlp.network import Dense
from functional_mlp.oracle.case import DTYPES
from functional_mlp.oracle.mistakes.catalogue.chain_rule import derivative_from
from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake, Parameter
from functional_mlp.oracle.mistakes.changes import (
    Change,
    Here,
    by_variant,
    in_activation,
    in_bias,
    in_cotangent,
    in_previous,
    in_returned,
    in_sums,
    in_weights,
    one_after_the_other,
    scaled,
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
    Spot,
    activation_in,
    for_variant,
)
from functional_mlp.oracle.mistakes.program import (
    Program,
    seen_by_loss,
    tape_of,
    through_activation,
    weights_cotangent,
)


def _last_chunk(here: Here, layer: Residuals, ct: Array) -> tuple[Residuals, Array]:
    size = here.value if here.variant == "last-chunk" else 1.0
    kept = jnp.arange(here.samples) >= _start_of_last_chunk(here.samples, size)
    return layer, jnp.where(kept[:, None], ct, jnp.zeros_like(ct))


def _start_of_last_chunk(samples: int, size: Any) -> Any:
    return jnp.floor((samples - 1) / size) * size


def _chunk_sizes(spot: Spot) -> tuple[float, ...]:
    """Those that people choose, and those that divide evenly; of several with the same last chunk, the smallest."""
    n = spot.samples
    sizes = sorted(
        {*range(1, 65), *range(10, n, 10), *(2**k for k in range(6, 20)), *(-(-n // k) for k in range(2, 33))}
    )
    last = {(n - 1) // size * size: size for size in reversed(sizes) if size < n}
    return tuple(float(size) for size in sorted(last.values()))


def _narrow_product(left: Array, right: Array, narrow: str) -> Array:
    """left (m, k) @ right (k, n), added up one after the other in the dtype `narrow`."""

    def added_up(left: Any, right: Any) -> np.ndarray:
        columns, rows = np.asarray(left).T, np.asarray(right)
        total = np.zeros((columns.shape[1], rows.shape[1]), DTYPES[narrow])
        with np.errstate(over="ignore"):
            for column, row in zip(columns.astype(np.float64), rows.astype(np.float64), strict=True):
                total = (total.astype(np.float64) + np.outer(column, row)).astype(total.dtype)
        return total.astype(rows.dtype)

    shape = jax.ShapeDtypeStruct((left.shape[0], right.shape[1]), right.dtype)
    return jax.pure_callback(added_up, shape, left, right)


def _narrow(here: Here, layer: Residuals, ct: Array) -> Array:
    return _narrow_product(layer.a_prev.T, ct, here.variant)


def _narrow_bias(here: Here, layer: Residuals, ct: Array) -> Any:
    ones = jnp.ones((1, here.samples), ct.dtype)
    return _narrow_product(ones, ct, here.variant)[0] if layer.has_bias else None


def _narrow_previous(here: Here, layer: Residuals, ct: Array) -> Array:
    return _narrow_product(ct, layer.weights.T, here.variant)


def _in_float32(here: Here) -> Program:
    """The stages of one layer computed in float32, whatever the rest is computed in."""

    def rounded(stage: Callable[[Residuals, Array], Any]) -> Callable[[Residuals, Array], Any]:
        def compute(layer: Residuals, ct: Array) -> Any:
            a_prev, z, a, weights = (x.astype(np.float32) for x in (layer.a_prev, layer.z, layer.a, layer.weights))
            narrow = layer._replace(a_prev=a_prev, z=z, a=a, weights=weights)
            result = stage(narrow, ct.astype(np.float32))
            return None if result is None else result.astype(ct.dtype)

        return compute

    stages = here.program.stages[here.layer]
    return with_stages(here.program, here.layer, {name: rounded(getattr(stages, name)) for name in Stages._fields})


def _unit_as_sample(layer: Residuals, ct: Array) -> Array:
    """Sum over samples s of a_prev[j, i] ct_z[s, j]."""
    return layer.a_prev[: ct.shape[1]].T * jnp.sum(ct, axis=0)[None, :]


def _of_samples(order: Callable[[Array], Array]) -> Callable[[Residuals, Array], Array]:
    return lambda layer, ct: weights_cotangent(layer._replace(a_prev=order(layer.a_prev)), ct)


WRONG_SAMPLES: Mapping[str, Callable[[Residuals, Array], Array]] = {
    "next-sample": _of_samples(lambda a: jnp.roll(a, -1, axis=0)),
    "previous-sample": _of_samples(lambda a: jnp.roll(a, 1, axis=0)),
    "reversed": _of_samples(lambda a: a[::-1]),
    "first-sample": _of_samples(lambda a: jnp.broadcast_to(a[:1], a.shape)),
    "last-sample": _of_samples(lambda a: jnp.broadcast_to(a[-1:], a.shape)),
    "unit-index": _unit_as_sample,
}


def _stale(here: Here, layer: Residuals, ct: Array) -> Array:
    program = here.program
    tape = tape_of(program, program.params, program.another_batch)
    return weights_cotangent(layer._replace(a_prev=(tape.inputs, *tape.activations)[here.layer]), ct)


def _without_bias(here: Here, ct: Any) -> Dense:
    return ct._replace(bias=jnp.zeros_like(ct.bias))


def _never_written(here: Here, ct: Any) -> Dense:
    end, _, what = here.variant.partition("-")
    at = 0 if end == "first" else -1
    if what == "bias":
        return ct._replace(bias=zeroed(ct.bias, at))
    return ct._replace(weights=zeroed(ct.weights, (slice(None), at) if what == "column" else at))


NEVER_WRITTEN = tuple(f"{end}-{what}" for what in ("row", "column", "bias") for end in ("first", "last"))

MAX_DIFFERENCES = 5000  # parameters; each costs one or two forward passes
DIFFERENCES_AT_ONCE = 256


def finite_differences(here: Here) -> Program:
    """The program that returns a finite-difference gradient; it computes all else as before."""
    program = here.program
    leaves, structure = jax.tree.flatten(program.params)

    def loss_of(params: Any) -> Array:
        tape = tape_of(program, params, program.inputs)
        if program.loss is None:
            return jnp.sum(tape.activations[-1] * program.ct_outputs)
        loss, end = seen_by_loss(program.network, program.loss, tape)
        return loss.value(end, here.targets, program.sample_weights) + loss.penalty(params)

    def gradient_of(at: int) -> Array:
        """One array after the other, since a search for the step h needs only one."""

        def value(leaf: Array) -> Array:
            moved = [*leaves[:at], leaf.reshape(leaves[at].shape), *leaves[at + 1 :]]
            return loss_of(jax.tree.unflatten(structure, moved))

        return _differences(value, leaves[at].reshape(-1), here.value, here.variant).reshape(leaves[at].shape)

    gradient = jax.tree.unflatten(structure, [gradient_of(at) for at in range(len(leaves))])
    return program._replace(returned=lambda pulled: program.returned(pulled)._replace(params=gradient))


def _differences(value: Callable[[Array], Array], at: Array, step: Any, variant: str) -> Array:
    """The finite-difference gradient of `value` at a vector."""
    values, slopes = jax.jit(jax.vmap(value)), []
    for start in range(0, at.size, DIFFERENCES_AT_ONCE):
        rows = jnp.arange(start, min(start + DIFFERENCES_AT_ONCE, at.size))
        moves = (rows[:, None] == jnp.arange(at.size)[None, :]).astype(at.dtype) * step
        ahead = values(at[None, :] + moves)
        if variant == "central":
            slopes.append((ahead - values(at[None, :] - moves)) / (2 * step))
        else:
            slopes.append((ahead - value(at)) / step)
    return jnp.concatenate(slopes).astype(at.dtype)


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


STATE = (
    Mistake(
        "bias-never-computed",
        "The gradient of the bias is never computed and stays 0.",
        "ct_b = 0",
        "ct_b = sum of ct_z over samples",
        in_returned(_without_bias),
        (HAS_BIAS,),
    ),
    Mistake(
        "layer-never-computed",
        "The gradient of a whole layer is never computed and stays 0.",
        "ct_W = 0, ct_b = 0",
        "ct_W = a_prevᵀ ct_z, ct_b = sum of ct_z over samples",
        in_returned(lambda here, ct: scaled(ct, 0.0)),
    ),
    Mistake(
        "accumulated",
        "The gradients of two calls are added up, because the first ones were not reset to 0.",
        "ct_W + ct_W of the call before: twice the gradient on the same batch",
        "reset the gradients to 0 before each call",
        in_returned(lambda here, ct: scaled(ct, 2.0)),
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
                {"last-chunk": lambda spot: 1 <= spot.value < spot.samples},
            ),
        ),
        scope="network",
        tag="fitted",
        parameter=Parameter(
            "the size of a chunk",
            lambda spot: max(1, spot.samples // 2),
            _chunk_sizes,
        ),
        variants=("last-sample", "last-chunk"),
    ),
    Mistake(
        "cotangent-ignored",
        "The cotangent that comes in is ignored and taken as ones.",
        "ct at the outputs = 1",
        "start from the cotangent that was given",
        in_cotangent(lambda here, ct: jnp.ones_like(ct)),
        (NO_LOSS, Condition("a cotangent other than ones", lambda spot: bool((spot.case.ct_outputs != 1).any()))),  # type: ignore[union-attr,attr-defined]
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
        (Condition("a float64 case", lambda spot: spot.case.dtype == "float64"),),
    ),
    Mistake(
        "tanh-cancellation",
        "1 − tanh² is computed by subtraction, which cancels to 0 near saturation.",
        "ct_z = ct_a (1 − a a)",
        "ct_z = ct_a / cosh²(z)",
        in_activation(lambda here, layer, ct: derivative_from(layer, layer.a, ct)),
        (activation_in("tanh"), SATURATED_TANH),
    ),
    Mistake(
        "sigmoid-cancellation",
        "1 − sigmoid is computed by subtraction, which cancels to 0 near saturation.",
        "ct_z = ct_a a (1 − a)",
        "ct_z = ct_a sigmoid(z) sigmoid(−z)",
        in_activation(lambda here, layer, ct: derivative_from(layer, layer.a, ct)),
        (activation_in("sigmoid"), UNFUSED, SATURATED_SIGMOID),
    ),
    Mistake(
        "wrong-sample-index",
        "The inputs of another sample are paired with a sample's cotangent: the next one's, or that of a unit's index.",
        "ct_W[i, j] = sum over s of a_prev[s + 1, i] ct_z[s, j], or a_prev[j, i] ct_z[s, j]",
        "ct_W[i, j] = sum over s of a_prev[s, i] ct_z[s, j]",
        in_weights(lambda here, layer, ct: WRONG_SAMPLES[here.variant](layer, ct)),
        (
            SEVERAL_SAMPLES,
            for_variant(
                "samples enough for it to be another one than the rest",
                {
                    "previous-sample": lambda spot: spot.samples > 2,
                    "reversed": lambda spot: spot.samples > 3,
                    "unit-index": lambda spot: spot.fan_out <= spot.samples,
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
                    lambda here, layer, ct: jnp.where(
                        jnp.all(layer.z <= 0, axis=0)[None, :], ct, through_activation(layer, ct)
                    )
                ),
                "zeroed": in_activation(
                    lambda here, layer, ct: jnp.where(jnp.all(layer.z > 0, axis=0)[None, :], ct, jnp.zeros_like(ct))
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
                    **dict.fromkeys(("first-row", "last-row"), lambda spot: spot.fan_in > 1),
                    **dict.fromkeys(("first-column", "last-column"), lambda spot: spot.fan_out > 1),
                    **dict.fromkeys(
                        ("first-bias", "last-bias"), lambda spot: spot.fan_out > 1 and spot.bias is not None
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
                lambda spot: (
                    sum(leaf.size for layer in spot.case.params for leaf in layer if leaf is not None)
                    <= MAX_DIFFERENCES
                ),
            ),
            Condition("a step other than 0", lambda spot: spot.value != 0),
        ),
        scope="network",
        tag="fitted",
        parameter=Parameter(
            "the step h", lambda spot: 1e-5 if spot.variant == "forward" else 1e-3, magnified=magnified
        ),
        variants=("forward", "central"),
    ),
)
