"""Wrong backward passes of blocks: gates, residuals, masks, and one wrong piece inside of a whole."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accuracy.anything.mistakes.registry import cut, differently, factor, mistake, of_array, spoilt, times

GATE, UP, HIDDEN = "gate = ", "up = ", "hidden = "


def gated(x, gate, up, down, activation=jax.nn.silu, to_gate=lambda x: x, to_up=lambda x: x, both=lambda g, u: g * u):
    return both(activation(to_gate(x) @ gate), to_up(x) @ up) @ down


def tanh_gelu(x):
    return jax.nn.gelu(x, approximate=True)


@mistake("swiglu", "the derivative of the gate is its sigmoid alone", "jax.nn.silu(gate)")
def sigmoid_alone(x, gate, up, down):
    return gated(x, gate, up, down, lambda z: differently(jax.nn.silu(z), cut(jax.nn.sigmoid(z)) * z))


@mistake("swiglu", "the gradient of x misses the path through the gate", GATE)
def gate_path_missing(x, gate, up, down):
    return gated(x, gate, up, down, to_gate=cut)


@mistake("swiglu", "the gradient of x misses the path through the other branch", UP)
def up_path_missing(x, gate, up, down):
    return gated(x, gate, up, down, to_up=cut)


spoilt(
    "swiglu",
    "gradients_exchanged",
    "the gradients of gate and up are stored in each other's place",
    lambda r, q: [r[0], r[2], r[1], r[3]],
    source="https://github.com/unslothai/unsloth/issues/3314",
)


@mistake("swiglu", "the gradient of up uses the gate before its activation", "jax.nn.silu(gate) * up")
def before_activation(x, gate, up, down):
    return gated(x, gate, up, down, both=lambda g, u: g * cut(u) + cut(x @ gate) * (u - cut(u)))


spoilt(
    "swiglu",
    "written_to_row_0",
    "every row's gradient is written to row 0",
    lambda r, q: [np.where(np.arange(len(r[0]))[:, None] == 0, r[0][-1], 0), *r[1:]],
    source="https://github.com/ByteDance-Seed/Triton-distributed/pull/185",
)


@mistake("geglu", "the backward pass of the gate is that of the exact gelu", "jax.nn.gelu(gate")
def exact_gelu(x, gate, up, down):
    return gated(x, gate, up, down, lambda z: jax.nn.gelu(z, approximate=False))


@mistake("geglu", "the gradient of x misses the path through the gate", GATE)
def geglu_gate_path_missing(x, gate, up, down):
    return gated(x, gate, up, down, tanh_gelu, to_gate=cut)


@mistake("geglu", "the gate is not multiplied into the gradient of up", HIDDEN)
def gate_not_multiplied(x, gate, up, down):
    return gated(x, gate, up, down, tanh_gelu, both=lambda g, u: g * cut(u) + (u - cut(u)))


def forward(x, w, b, v, c, residual=lambda x: x, hidden=lambda z: jnp.maximum(z, 0), to_v=lambda h: h):
    return residual(x) + to_v(hidden(x @ w + b)) @ v + c


@mistake("feed_forward", "the residual's gradient is missing", "return x + ")
def residual_missing(x, w, b, v, c):
    return forward(x, w, b, v, c, residual=cut)


@mistake("feed_forward", "the residual's gradient is added twice", "return x + ")
def residual_twice(x, w, b, v, c):
    return forward(x, w, b, v, c, residual=lambda x: times(x, 2.0))


@mistake("feed_forward", "the mask of relu is missing", HIDDEN)
def mask_missing(x, w, b, v, c):
    return forward(x, w, b, v, c, hidden=lambda z: differently(jnp.maximum(z, 0), z))


@mistake(
    "feed_forward",
    "the gradient of the second weight uses the hidden values before relu",
    HIDDEN,
    "hidden @ down_weight",
)
def before_relu(x, w, b, v, c):
    z = x @ w + b
    return forward(x, w, b, cut(v), c) + cut(z) @ (v - cut(v))


@mistake("dropout_add", "1/keep is missing on the way back", "x / 0.7", "dropped = ")
def keep_missing(x, residual, kept):
    return residual + jnp.where(kept, x, 0)


@mistake("dropout_add", "the mask is missing on the way back", "dropped = ")
def dropout_mask_missing(x, residual, kept):
    return residual + x / 0.7


@mistake(
    "dropout_add",
    "another mask is drawn on the way back",
    "dropped = ",
    source="https://github.com/state-spaces/mamba/pull/1023",
)
def another_mask(x, residual, kept):
    return residual + jnp.where(jnp.roll(kept, 1, -1), x / 0.7, 0)


@mistake("dropout_add", "1/keep is applied twice", "x / 0.7")
def keep_twice(x, residual, kept):
    return residual + jnp.where(kept, x / 0.49, 0)


def normed(x, residual, weight, total=lambda t: t, square=lambda s: s):
    t = residual + x
    n = t / jnp.sqrt(square((t * t).mean(-1, keepdims=True)) + 1e-6)
    return jnp.concatenate([n * weight, total(t)])


@mistake(
    "residual_rms_norm",
    "the gradient of the residual output goes through the norm as well",
    "total = ",
    "[normalised * weight, total]",
    source="https://github.com/Dao-AILab/quack/pull/53",
)
def added_before_the_norm(x, residual, weight):
    t = residual + x
    n = t / jnp.sqrt((t * t).mean(-1, keepdims=True) + 1e-6) * weight
    theirs = t / jnp.sqrt((t * t).mean(-1, keepdims=True) + 1e-6) * cut(weight)
    return jnp.concatenate([n, theirs])


@mistake("residual_rms_norm", "the gradient of the residual output is lost", "[normalised * weight, total]")
def residual_lost(x, residual, weight):
    return normed(x, residual, weight, total=cut)


@mistake("residual_rms_norm", "the path through the root mean square is missing", "mean_square = ")
def root_path_missing(x, residual, weight):
    return normed(x, residual, weight, square=cut)


spoilt(
    "residual_rms_norm",
    "branch_lost",
    "the branch x gets the gradient of the residual output alone",
    lambda r, q: [q.ct[len(q.floats[0]) :], *r[1:]],
)


def expert(x, router, weights, chosen=lambda p: p, softmax=jax.nn.softmax):
    p = chosen(softmax(x @ router))
    return (p[..., None] * jnp.einsum("nd,edf->nef", x, weights)).sum(1)


@mistake("mixture_of_experts", "the router gets no gradient", "chosen = ")
def router_is_constant(x, router, weights):
    return expert(x, router, weights, chosen=cut)


@mistake("mixture_of_experts", "the softmax's row sum is missing in the router's gradient", "chosen = ")
def router_row_sum_missing(x, router, weights):
    def constant_sum(s):
        e = jnp.exp(s - cut(s.max(-1, keepdims=True)))
        return e / cut(e.sum(-1, keepdims=True))

    return expert(x, router, weights, softmax=constant_sum)


@mistake("mixture_of_experts", "the probabilities are not multiplied into the experts' gradients", "chosen[..., None]")
def weights_not_chosen(x, router, weights):
    return expert(x, router, cut(weights)) + jnp.einsum("nd,edf->nf", cut(x), weights)


def norm(x, scale, shift, mean=lambda m: m, variance=lambda v: v):
    c = x - mean(x.mean(-1, keepdims=True))
    return c / jnp.sqrt(variance((c**2).mean(-1, keepdims=True)) + 1e-5) * scale + shift


def transformer(
    x,
    s1,
    b1,
    qkv,
    out,
    s2,
    b2,
    up,
    ub,
    down,
    db,
    first=norm,
    second=norm,
    scale=1.0,
    gelu=None,
    attention_residual=lambda x: x,
    residual=lambda x: x,
    visible=jnp.tril,
):
    b, t, d = x.shape
    q, k, v = (z.reshape(b, t, 2, -1).transpose(0, 2, 1, 3) for z in jnp.split(first(x, s1, b1) @ qkv, 3, -1))
    scores = times(q, scale) @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1])
    mixed = jax.nn.softmax(jnp.where(visible(jnp.ones((t, t), bool)), scores, -jnp.inf)) @ v
    x = attention_residual(x) + mixed.transpose(0, 2, 1, 3).reshape(b, t, d) @ out
    hidden = (gelu or (lambda z: jax.nn.gelu(z, approximate=False)))(second(x, s2, b2) @ up + ub)
    return residual(x) + hidden @ down + db


def _no_mean(*a):
    return norm(*a, mean=cut)


def _no_variance(*a):
    return norm(*a, variance=cut)


WRONG_PIECES = {
    "residual_missing": ("the second residual's gradient is missing", ("return x + hidden",), {"residual": cut}),
    "attention_residual_missing": (
        "the first residual's gradient is missing",
        ("x = x + mixed",),
        {"attention_residual": cut},
    ),
    "mean_path_missing": (
        "the path through the mean is missing in the second norm",
        ("second = ", "mean = ", "centred = "),
        {"second": _no_mean},
    ),
    "variance_path_missing": (
        "the path through the variance is missing in the first norm",
        ("first = ", "variance = ", "rstd = "),
        {"first": _no_variance},
    ),
    "tanh_gelu": ("the backward pass of gelu is that of the tanh form", ("jax.nn.gelu",), {"gelu": tanh_gelu}),
    "query_scale_missing": ("the scale is missing in the gradient of q", ("scores = ",), {"scale": 2.0**0.5}),
    "mask_missing": (
        "the causal mask is missing in the backward pass",
        ("visible = ", "jnp.where(visible"),
        {"visible": lambda m: m},
    ),
}
for variant, (sentence, places, pieces) in WRONG_PIECES.items():

    def wrong(*a, pieces=pieces):
        return transformer(*a, **pieces)

    wrong.__name__ = variant
    mistake("transformer_block", sentence, *places)(wrong)

spoilt(
    "geglu",
    "down_averaged",
    "the last weight's gradient is a mean over the rows",
    lambda r, q: [*r[:3], r[3] / len(q.ct)],
)
spoilt(
    "transformer_block",
    "bias_rolled",
    "the last bias's gradient is written one place further",
    of_array(10, lambda g: np.roll(g, 1)),
)
spoilt("mixture_of_experts", "accumulated_twice", "the router's gradient is accumulated twice", factor(1, 2.0))
