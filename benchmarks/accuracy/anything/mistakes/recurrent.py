"""Wrong backward passes through time: cut too early, gates and paths left out, masks of another step."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accuracy.anything.mistakes.registry import cut, differently, factor, mistake, spoilt, times


def same(x):
    return x


def rnn(x, wi, wh, bi, bh, carried=same, slope=jnp.tanh, truncated=None, held=None, mask=None):
    hidden, found = jnp.zeros((x.shape[1], wh.shape[1]), x.dtype), []
    for t in range(len(x)):
        hidden = cut(hidden) if t == truncated else hidden
        total = x[t] @ wi.T + bi + carried(hidden) @ wh.T + bh
        new = slope(total)
        if held is not None:
            right = jnp.where(held[t], hidden, new)
            new = right if mask is None else differently(right, jnp.where(mask(held, t), hidden, new))
        hidden = new
        found.append(hidden)
    return jnp.stack(found)


@mistake(
    "simple_rnn",
    "nothing goes back through time: the hidden state is taken for a constant",
    "hidden @ hidden_weight.T",
    "total = ",
    source="https://github.com/ooples/AiDotNet/pull/722",
)
def hidden_is_constant(*a):
    return rnn(*a, carried=cut)


@mistake("simple_rnn", "backpropagation through time ends after half of the steps", "lax.scan")
def truncated(x, *a):
    return rnn(x, *a, truncated=len(x) // 2)


@mistake("simple_rnn", "the derivative of tanh is missing", "jnp.tanh(total)")
def tanh_missing(*a):
    return rnn(*a, slope=lambda z: differently(jnp.tanh(z), z))


@mistake("simple_rnn", "the derivative of tanh is 1 - h instead of 1 - h^2", "jnp.tanh(total)")
def tanh_not_squared(*a):
    return rnn(*a, slope=lambda z: differently(jnp.tanh(z), cut(1 - jnp.tanh(z)) * z))


spoilt("simple_rnn", "one_bias_alone", "the second bias gets no gradient", factor(4, 0.0), "hidden_bias")


@mistake(
    "rnn_with_zoneout",
    "the mask of the first step is used for all",
    "jnp.where(held_t",
    source="https://github.com/lmnt-com/haste/issues/43",
)
def mask_of_the_first_step(*a):
    return rnn(*a[:5], held=a[5], mask=lambda held, t: held[0])


@mistake("rnn_with_zoneout", "the held units' gradient is lost", "jnp.where(held_t")
def held_path_lost(*a):
    *floats, held = a
    x, wi, wh, bi, bh = floats
    hidden, found = jnp.zeros((x.shape[1], wh.shape[1]), x.dtype), []
    for t in range(len(x)):
        new = jnp.tanh(x[t] @ wi.T + bi + hidden @ wh.T + bh)
        hidden = jnp.where(held[t], cut(hidden), new)
        found.append(hidden)
    return jnp.stack(found)


@mistake("rnn_with_zoneout", "the mask is negated on the way back", "jnp.where(held_t")
def mask_negated(*a):
    return rnn(*a[:5], held=a[5], mask=lambda held, t: ~held[t])


def lstm(
    x,
    wi,
    wh,
    bi,
    bh,
    forget=lambda f, c: f * c,
    to_gates=same,
    squash=jnp.tanh,
    input_gate=same,
    start=0,
    truncated=None,
):
    hidden = cell = jnp.zeros((x.shape[1], wh.shape[1]), x.dtype)
    found = []
    for t in range(len(x)):
        if t == truncated:
            hidden, cell = cut(hidden), cut(cell)
        i, f, g, o = jnp.split(x[t] @ wi.T + bi + to_gates(hidden) @ wh.T + bh, 4, -1)
        cell = forget(jax.nn.sigmoid(f), cell) + input_gate(jax.nn.sigmoid(i)) * jnp.tanh(g)
        hidden = jax.nn.sigmoid(o) * squash(cell)
        found.append(hidden)
    return jnp.stack(found)


@mistake(
    "lstm",
    "the hidden state's path back through time is missing",
    "hidden @ hidden_weight.T",
    "gates = ",
    source="https://github.com/ooples/AiDotNet/pull/722",
)
def hidden_path_missing(*a):
    return lstm(*a, to_gates=cut)


@mistake("lstm", "the cell's path back through time is missing", "kept = ")
def cell_path_missing(*a):
    return lstm(*a, forget=lambda f, c: f * cut(c))


@mistake("lstm", "the forget gate gets no gradient", "kept = ")
def forget_gate_missing(*a):
    return lstm(*a, forget=lambda f, c: cut(f) * c)


@mistake("lstm", "the derivative of the cell's tanh is missing", "jnp.tanh(cell)")
def cell_tanh_missing(*a):
    return lstm(*a, squash=lambda c: differently(jnp.tanh(c), c))


@mistake("lstm", "the input gate gets no gradient", "jax.nn.sigmoid(i)")
def input_gate_missing(*a):
    return lstm(*a, input_gate=cut)


@mistake("lstm", "backpropagation through time ends after half of the steps", "lax.scan")
def lstm__truncated(x, *a):
    return lstm(x, *a, truncated=len(x) // 2)


def _gates_exchanged(right, question):
    def exchanged(g):
        i, f, c, o = np.split(g, 4, 0)
        return np.concatenate([i, f, o, c])

    return [right[0], *(exchanged(g) for g in right[1:])]


spoilt(
    "lstm",
    "gates_in_another_order",
    "the gates' gradients are stored in the order i, f, o, g",
    _gates_exchanged,
    "jnp.split(gates",
)


def gru(x, wi, wh, bi, bh, reset=same, update=same, direct=same, inner=lambda r, n: r * n, truncated=None):
    hidden, found = jnp.zeros((x.shape[1], wh.shape[1]), x.dtype), []
    for t in range(len(x)):
        hidden = cut(hidden) if t == truncated else hidden
        ri, zi, ni = jnp.split(x[t] @ wi.T + bi, 3, -1)
        rh, zh, nh = jnp.split(hidden @ wh.T + bh, 3, -1)
        z = update(jax.nn.sigmoid(zi + zh))
        n = jnp.tanh(ni + inner(reset(jax.nn.sigmoid(ri + rh)), nh))
        hidden = (1 - z) * n + z * direct(hidden)
        found.append(hidden)
    return jnp.stack(found)


@mistake("gru", "the reset gate gets no gradient", "reset = ", "reset * nh")
def reset_missing(*a):
    return gru(*a, reset=cut)


@mistake("gru", "the update gate gets no gradient", "update = ")
def update_missing(*a):
    return gru(*a, update=cut)


@mistake("gru", "the direct path of the hidden state is missing", "update * hidden")
def direct_path_missing(*a):
    return gru(*a, direct=cut)


@mistake("gru", "the reset gate is not multiplied into the gradient of the hidden product", "reset * nh")
def reset_not_multiplied(*a):
    return gru(*a, inner=lambda r, n: cut(n) * r + n - cut(n))


@mistake("gru", "backpropagation through time ends after half of the steps", "lax.scan")
def gru__truncated(x, *a):
    return gru(x, *a, truncated=len(x) // 2)


def recurrence(x, decay, carried=same, decayed=same, late=0):
    state, found = jnp.zeros_like(x[0]), []
    for t in range(len(x)):
        state = decayed(decay[t]) * carried(state) + x[t]
        found.append(state)
    return jnp.stack(found)


@mistake("linear_recurrence", "nothing goes back through time", "decay_t * state")
def recurrence__state_is_constant(x, decay):
    return recurrence(x, decay, carried=cut)


@mistake("linear_recurrence", "the decay gets no gradient", "decay_t * state")
def decay_is_constant(x, decay):
    return recurrence(x, decay, decayed=cut) + 0 * decay


@mistake(
    "linear_recurrence",
    "the steps are combined in forward order on the way back: with the decay of the step before",
    "decay_t * state",
    "lax.scan",
    source="https://github.com/elixir-nx/axon/pull/646",
)
def decay_of_the_step_before(x, decay):
    early = recurrence(x, jnp.roll(cut(decay), 1, 0))
    right = recurrence(cut(x), decay)
    return differently(right, early + right)


spoilt(
    "linear_recurrence",
    "decay_one_step_late",
    "the decay's gradient uses the state after the step",
    lambda r, q: [r[0], r[0] * _states(*q.floats)],
)


def _states(x, decay):
    state, found = np.zeros_like(x[0]), []
    for x_t, decay_t in zip(x, decay, strict=True):
        state = decay_t * state + x_t
        found.append(state)
    return np.stack(found)


@mistake("lstm", "the path through the cell counts twice", "kept = ")
def cell_path_doubled(*a):
    return lstm(*a, forget=lambda f, c: f * times(c, 2.0))
