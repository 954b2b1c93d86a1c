"""Recurrent cells over a sequence, time first."""

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.accuracy.anything.operations.registry import Draw, operation


def sequence(gates: int):
    """Arguments of a cell with so many gates: inputs, both weights, both biases."""

    def draw_it(draw: Draw):
        t, b, i, h = draw.pick((4, 1, 2, 2), (10, 3, 6, 8), (20, 16, 48, 64))
        x, wi = draw.normal(t, b, i), draw.weights(gates * h, i, fan_in=h)
        return [x, wi, draw.weights(gates * h, h, fan_in=h), *(draw.weights(gates * h, fan_in=h) for _ in "ih")], []

    return draw_it


def with_zoneout(draw: Draw):
    floats, _ = sequence(1)(draw)
    t, b, _ = floats[0].shape
    return floats, [draw.chance(0.3, t, b, floats[2].shape[1])]


def states(draw: Draw):
    t, b, d = draw.pick((4, 1, 3), (12, 4, 16), (60, 16, 48))
    return [draw.normal(t, b, d), draw.uniform(0.3, 0.95, t, b, d)], []


@operation(sequence(1))
def simple_rnn(x, input_weight, hidden_weight, input_bias, hidden_bias):
    def step(hidden, x_t):
        total = x_t @ input_weight.T + input_bias + hidden @ hidden_weight.T + hidden_bias
        hidden = jnp.tanh(total)
        return hidden, hidden

    start = jnp.zeros((x.shape[1], hidden_weight.shape[1]), x.dtype)
    return lax.scan(step, start, x)[1]


@operation(with_zoneout)
def rnn_with_zoneout(x, input_weight, hidden_weight, input_bias, hidden_bias, held):
    def step(hidden, given):
        x_t, held_t = given
        total = x_t @ input_weight.T + input_bias + hidden @ hidden_weight.T + hidden_bias
        hidden = jnp.where(held_t, hidden, jnp.tanh(total))
        return hidden, hidden

    start = jnp.zeros((x.shape[1], hidden_weight.shape[1]), x.dtype)
    return lax.scan(step, start, (x, held))[1]


@operation(sequence(4))
def lstm(x, input_weight, hidden_weight, input_bias, hidden_bias):
    def step(carry, x_t):
        hidden, cell = carry
        gates = x_t @ input_weight.T + input_bias + hidden @ hidden_weight.T + hidden_bias
        i, f, g, o = jnp.split(gates, 4, -1)
        kept = jax.nn.sigmoid(f) * cell
        cell = kept + jax.nn.sigmoid(i) * jnp.tanh(g)
        hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
        return (hidden, cell), hidden

    start = jnp.zeros((x.shape[1], hidden_weight.shape[1]), x.dtype)
    return lax.scan(step, (start, start), x)[1]


@operation(sequence(3))
def gru(x, input_weight, hidden_weight, input_bias, hidden_bias):
    def step(hidden, x_t):
        ri, zi, ni = jnp.split(x_t @ input_weight.T + input_bias, 3, -1)
        rh, zh, nh = jnp.split(hidden @ hidden_weight.T + hidden_bias, 3, -1)
        reset = jax.nn.sigmoid(ri + rh)
        update = jax.nn.sigmoid(zi + zh)
        new = jnp.tanh(ni + reset * nh)
        hidden = (1 - update) * new + update * hidden
        return hidden, hidden

    start = jnp.zeros((x.shape[1], hidden_weight.shape[1]), x.dtype)
    return lax.scan(step, start, x)[1]


@operation(states)
def linear_recurrence(x, decay):
    def step(state, given):
        x_t, decay_t = given
        state = decay_t * state + x_t
        return state, state

    return lax.scan(step, jnp.zeros_like(x[0]), (x, decay))[1]
