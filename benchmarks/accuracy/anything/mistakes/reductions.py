"""Wrong backward passes of reductions and gathers: divisors, places, repeats that overwrite, directions."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accuracy.anything.mistakes.registry import (
    cut,
    factor,
    mistake,
    spoilt,
    times,
    with_ct,
    zeroed,
)

NO_CT = "the cotangent is not multiplied in"


@mistake("logsumexp", "not divided by the sum: the exponentials alone", "jnp.log(")
def not_divided(x):
    return jnp.exp(x - cut(x.max(-1, keepdims=True))).sum(-1)


@mistake("logsumexp", "the gradient goes to the largest entry alone", "jnp.exp(x - largest).sum(-1)")
def to_the_largest(x):
    return x.max(-1)


with_ct("logsumexp", "ct_ignored", NO_CT, lambda ct: 0 * ct + 1)


@mistake("euclidean_norm", "not divided by the norm", "jnp.sqrt")
def norm__not_divided(x):
    return 0.5 * (x * x).sum(-1)


@mistake("euclidean_norm", "the 1/2 of the root's derivative is missing", "jnp.sqrt")
def half_missing(x):
    return jnp.sqrt(times((x * x).sum(-1), 2.0))


@mistake("euclidean_norm", "divided by the squared norm", "jnp.sqrt")
def divided_twice(x):
    return 0.5 * jnp.log((x * x).sum(-1))


@mistake("standard_deviation", "divided by n instead of n - 1", "(x.shape[1] - 1)")
def biased(x):
    return jnp.std(x, -1)


@mistake("standard_deviation", "the mean is not subtracted", "centred = ")
def mean_not_subtracted(x):
    s = cut(jnp.std(x, -1, ddof=1))
    return (cut(x) * x).sum(-1) / ((x.shape[1] - 1) * s)


@mistake("standard_deviation", "the gradient of the variance: not divided by 2 s", "jnp.sqrt(variance)")
def of_the_variance(x):
    return jnp.var(x, -1, ddof=1)


@mistake("cumulative_sum", "summed forward again instead of backward", "jnp.cumsum")
def forward_again(x):
    return jnp.flip(jnp.cumsum(jnp.flip(x, -1), -1), -1)


@mistake("cumulative_sum", "its own entry is left out", "jnp.cumsum")
def own_entry_left_out(x):
    return jnp.cumsum(x, -1) - x


spoilt(
    "cumulative_sum",
    "blocks_not_joined",
    "each half of the row is summed by itself",
    lambda r, q: [_by_halves(q.ct)],
    "jnp.cumsum",
)


def _by_halves(ct):
    parts = np.array_split(ct, 2, -1)
    return np.concatenate([np.cumsum(p[:, ::-1], -1)[:, ::-1] for p in parts], -1)


@mistake("product", "the product itself, not divided by the entry", "jnp.prod")
def product__not_divided(x):
    return cut(jnp.prod(x, -1, keepdims=True)[:, 0]) * x.sum(-1)


@mistake("product", "the product of the entries before alone", "jnp.prod")
def entries_before(x):
    before = jnp.concatenate([jnp.ones_like(x[:, :1]), jnp.cumprod(x, -1)[:, :-1]], -1)
    return (cut(before) * x).sum(-1)


with_ct("product", "ct_ignored", NO_CT, lambda ct: 0 * ct + 1)


@mistake("cumulative_product", "each output's own factor alone", "jnp.cumprod")
def own_factor_alone(x):
    before = jnp.concatenate([jnp.ones_like(x[:, :1]), jnp.cumprod(x, -1)[:, :-1]], -1)
    return cut(before) * x


@mistake("cumulative_product", "not divided by the entry", "jnp.cumprod")
def cumulative__not_divided(x):
    return cut(jnp.cumprod(x, -1)) * jnp.cumsum(x, -1)


spoilt(
    "cumulative_product",
    "summed_forward",
    "the sum runs forward",
    lambda r, q: [np.cumsum(q.ct * np.cumprod(q.floats[0], -1), -1) / q.floats[0]],
)


@mistake("largest", "the gradient goes to all entries", "jnp.max")
def to_all(x):
    return x.sum(-1)


@mistake("largest", "the gradient goes to the smallest entry", "jnp.max")
def to_the_smallest(x):
    return jnp.min(x, -1)


@mistake("largest", "the gradient goes to the first entry", "jnp.max")
def to_the_first(x):
    return x[:, 0]


@mistake("sort", "the order is not inverted", "jnp.sort")
def order_not_inverted(x):
    return jnp.take_along_axis(x, jnp.argsort(jnp.argsort(x, -1), -1), -1)


@mistake("sort", "the gradient stays where it is", "jnp.sort")
def not_moved(x):
    return x + 0


@mistake("sort", "the order is that of descending entries", "jnp.sort")
def descending(x):
    return jnp.flip(jnp.sort(x, -1), -1)


@mistake("top_three", "the gradient goes to the first three places", "lax.top_k")
def first_places(x):
    return x[:, :3] + 0


@mistake("top_three", "the gradient of the three is not in their order", "lax.top_k")
def order_lost(x):
    return jnp.flip(jax.lax.top_k(x, 3)[0], -1)


@mistake("top_three", "the gradient goes to the smallest three", "lax.top_k")
def smallest_three(x):
    return jnp.sort(x, -1)[:, :3]


@mistake("mean_absolute", "the mean's divisor is missing", ".mean(-1)")
def sum_for_mean(x):
    return jnp.abs(x).sum(-1)


@mistake("mean_absolute", "the sign is missing", "jnp.abs(x)")
def sign_missing(x):
    return x.mean(-1)


@mistake("mean_absolute", "divided by the rows", ".mean(-1)")
def divided_by_rows(x):
    return jnp.abs(x).sum(-1) / x.shape[0]


def _last_write(question):
    w, ct = question.floats[0], question.ct
    dw = np.zeros_like(w)
    for row, g in zip(question.constants[0], ct, strict=True):
        dw[row] = g
    return dw


spoilt(
    "embedding",
    "repeats_overwritten",
    "an index that occurs again overwrites instead of adding",
    lambda r, q: [_last_write(q)],
    "weight[indices]",
)
spoilt(
    "embedding",
    "averaged_over_repeats",
    "the gradient is divided by how often an index occurs",
    lambda r, q: [r[0] / np.maximum(np.bincount(q.constants[0], minlength=len(r[0])), 1)[:, None]],
    "weight[indices]",
)
spoilt("embedding", "index_0_is_padding", "index 0 is taken for padding", zeroed(0, 0), "weight[indices]")
spoilt(
    "embedding", "indices_off_by_one", "the rows are off by one", lambda r, q: [np.roll(r[0], 1, 0)], "weight[indices]"
)


@mistake("embedding_bag", "not divided by the size of the bag", ".mean(1)")
def bag_not_divided(weight, indices):
    return weight[indices].sum(1)


@mistake("embedding_bag", "divided by the number of bags", ".mean(1)")
def divided_by_bags(weight, indices):
    return weight[indices].sum(1) / len(indices)


@mistake("embedding_bag", "the first of each bag alone", ".mean(1)", "weight[indices]")
def first_of_each_bag(weight, indices):
    return weight[indices[:, 0]] / indices.shape[1]


@mistake(
    "embedding_bag_max",
    "the gradient is that of the mean",
    ".max(1)",
    source="https://github.com/flagos-ai/FlagGems/issues/5220",
)
def as_of_mean(weight, indices):
    return weight[indices].mean(1)


@mistake("embedding_bag_max", "the gradient is that of the sum", ".max(1)")
def as_of_sum(weight, indices):
    return weight[indices].sum(1)


@mistake("embedding_bag_max", "the row with the largest sum gets all features", ".max(1)")
def one_row_for_all(weight, indices):
    rows = weight[indices]
    best = jnp.argmax(rows.sum(-1), 1)
    return jnp.take_along_axis(rows, best[:, None, None], 1)[:, 0]


@mistake("segment_sum", "divided by the size of the segment", "jax.ops.segment_sum")
def mean_of_segment(x, segments):
    sizes = jnp.maximum(jnp.bincount(segments, length=12), 1).astype(x.dtype)
    return jax.ops.segment_sum(x, segments, num_segments=12) / sizes[:, None]


@mistake("segment_sum", "the next segment's gradient is read", "jax.ops.segment_sum")
def next_segment(x, segments):
    return jax.ops.segment_sum(x, (segments + 1) % 12, num_segments=12)


spoilt(
    "segment_sum",
    "last_rows_lost",
    "the last block of rows is never written",
    zeroed(0, slice(-2, None)),
    "jax.ops.segment_sum",
)


@mistake("mean_pool", "not divided", ".mean(0)")
def pool__not_divided(x):
    return x.sum(0)


@mistake("mean_pool", "divided by the width", ".mean(0)")
def divided_by_width(x):
    return x.sum(0) / x.shape[1]


@mistake("mean_pool", "the last row alone", ".mean(0)")
def last_row_alone(x):
    return x[-1] + 0


@mistake("logsumexp", "the largest entry's own path is added", "lax.stop_gradient(x.max(-1")
def largest_added(x):
    return jax.nn.logsumexp(x, -1) + x.max(-1) - cut(x.max(-1))


spoilt("sort", "accumulated_twice", "the gradient is accumulated twice", factor(0, 2.0))
