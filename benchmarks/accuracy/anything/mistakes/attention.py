"""Wrong backward passes of attention: scales, masks, the row sum, transposed operands, groups of heads."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accuracy.anything.mistakes.registry import (
    cut,
    differently,
    factor,
    mistake,
    of_array,
    slope,
    spoilt,
    times,
    with_ct,
    zeroed,
)

PRODUCT, SCALE, SOFTMAX = "scores = ", "math.sqrt(q.shape[-1])", "probabilities = "


@mistake("softmax", "the sum over the row is missing: y dy", "exponentials.sum(-1", "exponentials / ")
def row_sum_missing(x):
    e = jnp.exp(x - cut(x.max(-1, keepdims=True)))
    return e / cut(e.sum(-1, keepdims=True))


slope(
    "softmax",
    "diagonal_alone",
    "the diagonal of the Jacobian alone: y (1 - y) dy",
    lambda x: jax.nn.softmax(x) * (1 - jax.nn.softmax(x)),
    "exponentials / ",
)


@mistake("softmax", "a mean over the row instead of the sum", "exponentials.sum(-1")
def row_mean(x):
    e = jnp.exp(x - cut(x.max(-1, keepdims=True)))
    return e / times(e.sum(-1, keepdims=True), 1 / x.shape[-1])


@mistake("softmax", "the sum runs over the column", "exponentials.sum(-1")
def over_columns(x):
    y = cut(jax.nn.softmax(x))
    moved = y * (x - cut(x))
    return y + moved - y * moved.sum(0, keepdims=True)


@mistake("log_softmax", "the sum of the cotangent is missing: dy - softmax dy", "jnp.exp(shifted).sum(-1")
def ct_not_summed(x):
    y = cut(jax.nn.log_softmax(x))
    return (1 - jnp.exp(y)) * x


@mistake("log_softmax", "the second term is missing", "jnp.log(jnp.exp(shifted)")
def normaliser_is_constant(x):
    return x - cut(jax.nn.logsumexp(x, -1, keepdims=True))


@mistake("log_softmax", "1/n instead of the softmax", "jnp.log(jnp.exp(shifted)")
def uniform(x):
    return x - x.mean(-1, keepdims=True)


def scores(q, k, to_q=1.0, to_k=1.0):
    """Of the last two axes; the cotangent times a factor on its way to either."""
    scaled = jnp.einsum("...qd,...kd->...qk", times(q, to_q), times(k, to_k))
    return scaled / math.sqrt(q.shape[-1])


def mixed(probabilities, v):
    return jnp.einsum("...qk,...kd->...qd", probabilities, v)


def row_sum_is_constant(s):
    e = jnp.exp(s - cut(s.max(-1, keepdims=True)))
    return e / cut(e.sum(-1, keepdims=True))


def causal(s):
    return jnp.where(jnp.tril(jnp.ones(s.shape[-2:], bool)), s, -jnp.inf)


def root(q):
    return math.sqrt(q.shape[-1])


@mistake("causal_attention", "the scale is missing in the gradient of q", SCALE)
def scale_missing_in_dq(q, k, v):
    return mixed(jax.nn.softmax(causal(scores(q, k, to_q=root(q)))), v)


@mistake("causal_attention", "the scale is missing in the gradient of k", SCALE)
def scale_missing_in_dk(q, k, v):
    return mixed(jax.nn.softmax(causal(scores(q, k, to_k=root(q)))), v)


@mistake("causal_attention", "the scale is missing in both gradients", SCALE)
def scale_missing(q, k, v):
    return mixed(jax.nn.softmax(causal(scores(q, k, root(q), root(q)))), v)


@mistake("causal_attention", "the scale is applied twice", SCALE)
def scale_twice(q, k, v):
    return mixed(jax.nn.softmax(causal(scores(q, k, 1 / root(q), 1 / root(q)))), v)


@mistake("causal_attention", "the row sum (delta) is missing in the softmax's backward pass", SOFTMAX)
def delta_missing(q, k, v):
    s = scores(q, k)
    visible = jnp.tril(jnp.ones(s.shape[-2:], bool))
    e = jnp.where(visible, jnp.exp(jnp.where(visible, s, 0)), 0)
    return mixed(e / cut(e.sum(-1, keepdims=True)), v)


@mistake(
    "causal_attention",
    "the mask is missing in the backward pass",
    "visible = ",
    "jnp.where(visible",
    source="https://github.com/triton-lang/triton/issues/5660",
)
def mask_missing(q, k, v):
    return mixed(jax.nn.softmax(scores(q, k)), v)


@mistake("causal_attention", "the mask is off by one: the diagonal is hidden in the gradient of v", "visible = ")
def diagonal_hidden(q, k, v):
    p = jax.nn.softmax(causal(scores(q, k)))
    hidden = cut(jnp.where(jnp.tril(jnp.ones(p.shape[-2:], bool), -1), p, 0))
    return mixed(p, cut(v)) + mixed(hidden, v)


@mistake(
    "causal_attention",
    "the probabilities are not divided by their sum in the gradient of v",
    SOFTMAX,
    "probabilities, v",
)
def dv_not_normalised(q, k, v):
    s = causal(scores(q, k))
    e = cut(jnp.exp(s - s.max(-1, keepdims=True)))
    return mixed(jax.nn.softmax(s), cut(v)) + mixed(e, v)


@mistake("causal_attention", "the probabilities are not transposed in the gradient of v", "probabilities, v")
def dv_not_transposed(q, k, v):
    p = jax.nn.softmax(causal(scores(q, k)))
    return mixed(p, cut(v)) + mixed(cut(p.swapaxes(-1, -2)), v)


spoilt(
    "causal_attention",
    "heads_overwritten",
    "the second head's gradient of k is never written",
    of_array(1, lambda g: np.where(np.arange(g.shape[1])[:, None, None] == 1, 0, g)),
)
spoilt(
    "causal_attention",
    "dk_and_dv_exchanged",
    "the gradients of k and v are exchanged",
    lambda right, q: [right[0], right[2], right[1]],
)


def hide(s, padding):
    return jnp.where(padding[:, None, None, :], s, -jnp.inf)


@mistake(
    "padded_attention",
    "the padding is not hidden in the backward pass",
    "padding[:, None, None, :]",
    SOFTMAX,
    source="https://github.com/XPU-Forces/mojo_opset/pull/386",
)
def padding_not_hidden(q, k, v, padding):
    return mixed(jax.nn.softmax(scores(q, k)), v)


@mistake("padded_attention", "the row sum is missing in the softmax's backward pass", SOFTMAX)
def padded_delta_missing(q, k, v, padding):
    return mixed(row_sum_is_constant(hide(scores(q, k), padding)), v)


@mistake("padded_attention", "the scale is missing in the gradient of q", SCALE)
def padded_scale_missing(q, k, v, padding):
    return mixed(jax.nn.softmax(hide(scores(q, k, to_q=root(q)), padding)), v)


spoilt(
    "padded_attention",
    "first_keys_lost",
    "the first block of keys is lost: its gradients are never written",
    zeroed(1, (..., slice(0, 2), slice(None))),
)


def grouped(q, k, v, to_k=1.0):
    s = jnp.einsum("bhgqd,bhkd->bhgqk", q, times(k, to_k)) / root(q)
    return jnp.einsum("bhgqk,bhkd->bhgqd", jax.nn.softmax(s), v)


def first_of_group(x):
    return jnp.concatenate([x[:, :, :1], cut(x[:, :, 1:])], 2)


def _own_groups(q, k, v, choose):
    wide_k, wide_v = (choose(jnp.repeat(z[:, :, None], q.shape[2], 2)) for z in (k, v))
    s = jnp.einsum("bhgqd,bhgkd->bhgqk", q, wide_k) / root(q)
    return jnp.einsum("bhgqk,bhgkd->bhgqd", jax.nn.softmax(s), wide_v)


@mistake(
    "grouped_query_attention",
    "the gradients of k and v are those of the first query head of each group",
    "bhgqd,bhkd->bhgqk",
    "bhgqk,bhkd->bhgqd",
    source="https://github.com/fla-org/flash-linear-attention/pull/384",
)
def first_head_alone(q, k, v):
    return _own_groups(q, k, v, first_of_group)


@mistake(
    "grouped_query_attention",
    "the gradients of k and v are averaged over the group instead of summed",
    "bhgqd,bhkd->bhgqk",
    "bhgqk,bhkd->bhgqd",
)
def mean_over_group(q, k, v):
    return _own_groups(q, k, v, lambda x: times(x, 1 / x.shape[2]))


@mistake(
    "grouped_query_attention",
    "the last head of the group overwrites the others",
    "bhgqd,bhkd->bhgqk",
    "bhgqk,bhkd->bhgqd",
)
def last_head_alone(q, k, v):
    return _own_groups(q, k, v, lambda x: jnp.concatenate([cut(x[:, :, :-1]), x[:, :, -1:]], 2))


@mistake("grouped_query_attention", "the scale is missing in the gradient of k", SCALE)
def grouped_scale_missing(q, k, v):
    return grouped(q, k, v, to_k=root(q))


def capped(q, k, v, cap=lambda s: 2.0 * jnp.tanh(s / 2.0)):
    return mixed(jax.nn.softmax(cap(scores(q, k))), v)


@mistake("capped_attention", "the derivative of the cap is missing", "capped = ")
def cap_missing(q, k, v):
    return capped(q, k, v, lambda s: differently(2.0 * jnp.tanh(s / 2.0), s))


@mistake("capped_attention", "the derivative of the cap is 1 - t instead of 1 - t^2", "capped = ")
def cap_not_squared(q, k, v):
    return capped(q, k, v, lambda s: differently(2 * jnp.tanh(s / 2), cut(1 - jnp.tanh(s / 2)) * s))


@mistake("capped_attention", "the capped score is taken for the tanh: 1 - capped^2", "capped = ")
def cap_of_output(q, k, v):
    return capped(q, k, v, lambda s: differently(2 * jnp.tanh(s / 2), cut(1 - 4 * jnp.tanh(s / 2) ** 2) * s))


def window(q, k, v, low=0, high=3):
    s = scores(q, k)
    distance = jnp.arange(s.shape[-2])[:, None] - jnp.arange(s.shape[-1])
    return mixed(jax.nn.softmax(jnp.where((distance >= low) & (distance < high), s, -jnp.inf)), v)


@mistake("windowed_attention", "the window is one key wider in the backward pass", "distance < 3")
def window_wider(q, k, v):
    return window(q, k, v, high=4)


@mistake("windowed_attention", "the window is ignored in the backward pass: causal alone", "distance < 3")
def window_ignored(q, k, v):
    return window(q, k, v, high=10**6)


@mistake("windowed_attention", "the future is not hidden in the backward pass", "distance >= 0")
def future_visible(q, k, v):
    return window(q, k, v, low=-(10**6))


def dropped(q, k, v, kept, drop=lambda p, kept: jnp.where(kept, p / 0.8, 0), scale=1.0):
    return mixed(drop(jax.nn.softmax(scores(q, k, to_q=scale)), kept), v)


@mistake("attention_with_dropout", "the dropped probabilities' gradient is not masked", "dropped = ")
def mask_not_applied(q, k, v, kept):
    return dropped(q, k, v, kept, lambda p, kept: differently(jnp.where(kept, p / 0.8, 0), p / 0.8))


@mistake("attention_with_dropout", "1/keep is missing in the backward pass", "dropped = ")
def keep_missing(q, k, v, kept):
    return dropped(q, k, v, kept, lambda p, kept: jnp.where(kept, times(p, 0.8) / 0.8, 0))


@mistake(
    "attention_with_dropout",
    "another mask is drawn in the backward pass",
    "dropped = ",
    source="https://github.com/state-spaces/mamba/pull/1023",
)
def another_mask(q, k, v, kept):
    other = jnp.roll(kept, 1, -1)
    return dropped(
        q, k, v, kept, lambda p, kept: differently(jnp.where(kept, p / 0.8, 0), jnp.where(other, p / 0.8, 0))
    )


@mistake(
    "attention_with_dropout", "the gradient of v uses the probabilities before dropout", "dropped, v", "dropped = "
)
def dv_before_dropout(q, k, v, kept):
    p = jax.nn.softmax(scores(q, k))
    return mixed(jnp.where(kept, p / 0.8, 0), cut(v)) + mixed(cut(p), v)


def linear(q, k, v, normaliser=lambda z: z, positive=lambda x: jax.nn.elu(x) + 1):
    a, b = positive(q), positive(k)
    state = jnp.einsum("bhkd,bhke->bhde", b, v)
    return jnp.einsum("bhqd,bhde->bhqe", a, state) / normaliser(jnp.einsum("bhqd,bhkd->bhq", a, b))[..., None]


@mistake("linear_attention", "the normaliser is taken for a constant", "normaliser = ", "normaliser[..., None]")
def normaliser_constant(q, k, v):
    return linear(q, k, v, normaliser=cut)


@mistake("linear_attention", "the derivative of the feature map is missing", "positive_q, positive_k")
def map_missing(q, k, v):
    return linear(q, k, v, positive=lambda x: differently(jax.nn.elu(x) + 1, x))


@mistake(
    "linear_attention", "the path through the normaliser has the wrong sign", "normaliser = ", "normaliser[..., None]"
)
def normaliser_sign(q, k, v):
    return linear(q, k, v, normaliser=lambda z: times(z, -1.0))


def rotated(x, turn=1.0, halves=True):
    half = x.shape[-1] // 2
    angle = np.arange(x.shape[2])[:, None] * 10000.0 ** (-np.arange(half) / half)
    c, s = jnp.asarray(np.cos(angle), x.dtype), jnp.asarray(turn * np.sin(angle), x.dtype)
    a, b = (x[..., :half], x[..., half:]) if halves else (x[..., ::2], x[..., 1::2])
    parts = [a * c - b * s, b * c + a * s]
    return jnp.concatenate(parts, -1) if halves else jnp.stack(parts, -1).reshape(x.shape)


@mistake(
    "rotary_embedding",
    "turned in the same direction on the way back: the sine keeps its sign",
    "first * cosine - second * sine",
    "sine",
)
def turned_forward_again(x):
    return rotated(x, -1.0)


@mistake("rotary_embedding", "the interleaved form on the way back", "first, second = ")
def interleaved(x):
    return rotated(x, halves=False)


@mistake("rotary_embedding", "not turned back at all: the gradient is the cotangent", "first * cosine - second * sine")
def not_turned(x):
    return x + 0


spoilt(
    "rotary_embedding",
    "positions_shifted",
    "the positions are those of the next token",
    lambda right, q: [np.roll(right[0], 1, 2)],
)
with_ct("linear_attention", "ct_ignored", "the cotangent is not multiplied in", lambda ct: 0 * ct + 1)
spoilt("softmax", "accumulated_twice", "the gradient is accumulated twice", factor(0, 2.0))
