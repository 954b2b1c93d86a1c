"""The operations that are definitions alone: their values, conventions and refusals, and that JAX can use them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from functional_mlp import operations as ops
from tests.helpers.tolerances import RELATIVE, relative_difference


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def softmax(s):
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def close(got, expected):
    return relative_difference(got, expected) <= RELATIVE["float64"]


# values, each from the definition in NumPy


def test_batch_norm_takes_statistics_over_samples_and_places_or_those_given(x64):
    x, weight, bias = normal(4, 3, 5), normal(3, seed=1), normal(3, seed=2)
    y = np.asarray(jax.jit(partial(ops.batch_norm, epsilon=0.0))(x, weight, bias))
    for c in range(3):
        row = np.asarray(x)[:, c]
        assert close(y[:, c], (row - row.mean()) / row.std() * float(weight[c]) + float(bias[c]))
    evaluated = ops.batch_norm(x, mean=jnp.ones(3), variance=4 * jnp.ones(3), epsilon=0.0)
    assert close(evaluated, (x - 1) / 2)


def test_group_norm_is_instance_norm_and_layer_norm_at_its_ends(x64):
    x = normal(2, 4, 3)
    per_channel = ops.group_norm(x, groups=4)
    assert close(per_channel.reshape(8, 3), ops.layer_norm(x.reshape(8, 3)))
    assert close(ops.group_norm(x, groups=1).reshape(2, 12), ops.layer_norm(x.reshape(2, 12)))


@pytest.mark.parametrize("groups", [1, 2])
def test_attention_of_grouped_queries_is_that_of_repeated_keys(x64, groups):
    queries, keys, values = normal(2, 4, 3, 5), normal(2, groups, 6, 5, seed=1), normal(2, groups, 6, 2, seed=2)
    y = np.asarray(jax.jit(ops.attention)(queries, keys, values))
    for head in range(4):
        q, k, v = (
            np.asarray(a)[:, i] for a, i in ((queries, head), *((a, head * groups // 4) for a in (keys, values)))
        )
        assert close(y[:, head], softmax(q @ k.transpose(0, 2, 1) / np.sqrt(5)) @ v)


def test_masks_and_causality_hide_keys_and_a_query_without_keys_gets_nothing(x64):
    queries, keys, values = normal(1, 2, 3), normal(1, 4, 3, seed=1), normal(1, 4, 2, seed=2)
    q, k, v = (np.asarray(a)[0] for a in (queries, keys, values))
    scores = q @ k.T / np.sqrt(3)
    causal = jax.jit(partial(ops.attention, causal=True))(queries, keys, values)[0]
    assert close(causal, np.array([softmax(scores[0, :3]) @ v[:3], softmax(scores[1]) @ v]))
    mask = jnp.asarray([[True, False, True, False], [False] * 4])
    masked, pull = jax.vjp(jax.jit(partial(ops.attention, mask=mask)), queries, keys, values)
    assert close(masked[0], np.array([softmax(scores[0, ::2]) @ v[::2], [0.0, 0.0]]))
    gradients = pull(jnp.ones_like(masked))
    assert all(bool(jnp.isfinite(g).all()) for g in gradients)
    assert not gradients[2][:, 1::2].any()


def test_scores_that_would_overflow_attend_to_the_largest():
    queries, keys = jnp.full((1, 1, 1), 3e4), jnp.asarray([[[1.0], [2.0]]])
    assert ops.attention(queries, keys, keys).tolist() == [[[2.0]]]


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotary_embedding_turns_pairs_so_that_products_depend_on_distances(x64, interleaved):
    x, y = normal(1, 6), normal(1, 6, seed=1)

    def product(m, n):
        turned = (ops.rotary_embedding(a, jnp.asarray([p]), interleaved=interleaved) for a, p in ((x, m), (y, n)))
        return jnp.vdot(*turned)

    assert close(product(7, 4), product(3, 0))
    first = ops.rotary_embedding(x, jnp.asarray([1]), interleaved=interleaved)[0]
    a, b = (0, 1) if interleaved else (0, 3)
    assert close(first[a], x[0, a] * np.cos(1) - x[0, b] * np.sin(1))


def test_embedding_adds_up_the_gradients_of_a_row_and_hides_no_index():
    table = jnp.asarray([[1.0], [2.0], [3.0]])
    indices = jnp.asarray([2, 0, 2])
    assert ops.embedding(table, indices).tolist() == [[3.0], [1.0], [3.0]]
    assert jax.grad(lambda t: ops.embedding(t, indices).sum())(table).tolist() == [[1.0], [0.0], [2.0]]
    assert jnp.isnan(ops.embedding(table, jnp.asarray([3, -1]))).all()


def test_conv_is_the_sum_over_channels_and_window(x64):
    x, kernel, bias = normal(2, 4, 7), normal(6, 2, 3, seed=1), normal(6, seed=2)
    y = np.asarray(ops.conv(x, kernel, bias, stride=2, padding=1, dilation=2, groups=2))
    padded = np.pad(np.asarray(x), ((0, 0), (0, 0), (1, 1)))
    assert y.shape == (2, 6, 3)
    for o, p in np.ndindex(6, 3):
        window = padded[:, 2 * (o // 3) : 2 * (o // 3) + 2, 2 * p : 2 * p + 5 : 2]
        assert close(y[:, o, p], (window * np.asarray(kernel)[o]).sum(axis=(1, 2)) + float(bias[o]))
    assert ops.conv(normal(1, 2, 4, 5), normal(3, 2, 3, 2), padding=(1, 0)).shape == (1, 3, 4, 4)


def test_pools_take_the_largest_and_the_mean_of_windows(x64):
    x = normal(1, 2, 5, 4)
    largest = ops.max_pool(x, window=2, stride=(2, 1), padding=(1, 0))
    padded = np.pad(np.asarray(x), ((0, 0), (0, 0), (1, 1), (0, 0)), constant_values=-np.inf)
    mean = ops.average_pool(x, window=2, stride=(2, 1), padding=(1, 0))
    zeros = np.where(np.isfinite(padded), padded, 0.0)
    assert largest.shape == mean.shape == (1, 2, 3, 3)
    for i, j in np.ndindex(3, 3):
        window = (..., slice(2 * i, 2 * i + 2), slice(j, j + 2))
        assert close(largest[..., i, j], padded[window].max(axis=(2, 3)))
        assert close(mean[..., i, j], zeros[window].mean(axis=(2, 3)))
    tie = jax.grad(lambda x: ops.max_pool(x, window=2).sum())(jnp.zeros((1, 1, 2)))
    assert tie.tolist() == [[[1.0, 0.0]]]


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def test_recurrent_cells_are_their_formulas_and_scan(x64):
    x, hidden, cell = normal(3, 2), normal(3, 4, seed=1), normal(3, 4, seed=2)
    w, u, b = normal(2, 16, seed=3), normal(4, 16, seed=4), normal(16, seed=5)
    i, f, g, o = np.split(np.asarray(x @ w + hidden @ u) + np.asarray(b), 4, axis=-1)
    after = sigmoid(f) * np.asarray(cell) + sigmoid(i) * np.tanh(g)
    assert close(ops.lstm_cell(x, hidden, cell, w, u, b), (sigmoid(o) * np.tanh(after), after))
    w, u, b, c = w[:, :12], u[:, :12], b[:12], b[4:]
    of_x, of_h = (np.split(np.asarray(a), 3, axis=-1) for a in (x @ w + b[None], hidden @ u + c[None]))
    r, z = (sigmoid(of_x[k] + of_h[k]) for k in (0, 1))
    expected = (1 - z) * np.tanh(of_x[2] + r * of_h[2]) + z * np.asarray(hidden)
    assert close(ops.gru_cell(x, hidden, w, u, b, c), expected)
    last, every = jax.lax.scan(lambda h, x: (ops.gru_cell(x, h, w, u, b, c),) * 2, hidden[0], x)
    assert every.shape == (3, 4)
    assert close(every[-1], last)


def test_cross_entropy_smooths_penalises_and_ignores(x64):
    logits, labels = normal(4, 3), jnp.asarray([2, 0, -1, 1])
    log_p = np.log(softmax(np.asarray(logits)))
    kept = [0, 1, 3]
    nll = -log_p[kept, [2, 0, 1]]
    z = np.log(np.exp(np.asarray(logits)).sum(axis=-1))[kept]
    expected = (0.9 * nll - 0.1 * log_p[kept].mean(axis=-1) + 0.5 * z**2).mean()
    loss = jax.jit(partial(ops.cross_entropy, label_smoothing=0.1, z_loss=0.5, ignore_index=-1))
    assert close(loss(logits, labels), expected)
    assert float(loss(logits, jnp.full(4, -1))) == 0.0
    value, gradient = jax.jit(jax.value_and_grad(ops.cross_entropy))(logits, jnp.asarray([2, 0, 2, 1]))
    assert close(value, -log_p[range(4), [2, 0, 2, 1]].mean())
    assert close(gradient, (softmax(np.asarray(logits)) - np.eye(3)[[2, 0, 2, 1]]) / 4)
    assert jnp.isnan(jax.jit(ops.cross_entropy)(logits, labels))
    assert jax.eval_shape(jax.grad(ops.cross_entropy), logits.astype("float16"), labels).dtype == "float16"


# what all of them share

CALLS = {
    "layer_norm": lambda x: ops.layer_norm(x),
    "rms_norm": lambda x: ops.rms_norm(x),
    "batch_norm": lambda x: ops.batch_norm(x),
    "group_norm": lambda x: ops.group_norm(x, groups=2),
    "attention": lambda x: ops.attention(x, x, x, causal=True),
    "rotary_embedding": lambda x: ops.rotary_embedding(x, jnp.arange(x.shape[-2])),
    "embedding": lambda x: ops.embedding(x[0], jnp.asarray([0, 1])),
    "conv": lambda x: ops.conv(x, x[:1, :, :2]),
    "max_pool": lambda x: ops.max_pool(x, window=2),
    "average_pool": lambda x: ops.average_pool(x, window=2),
    "lstm_cell": lambda x: ops.lstm_cell(x, x, x, *[jnp.ones((4, 16), x.dtype)] * 2, jnp.ones(16, x.dtype)),
    "gru_cell": lambda x: ops.gru_cell(x, x, *[jnp.ones((4, 12), x.dtype)] * 2, *[jnp.ones(12, x.dtype)] * 2),
    "swiglu": lambda x: ops.swiglu(x, *[jnp.eye(4, dtype=x.dtype)] * 3),
    "geglu": lambda x: ops.geglu(x, *[jnp.eye(4, dtype=x.dtype)] * 3),
    "residual": lambda x: ops.residual(x, x),
    "dropout": lambda x: ops.dropout(x, x > 0, rate=0.5),
}


def test_every_operation_is_compiled_mapped_and_differentiated_and_takes_16_bits(x64):
    x = normal(3, 2, 4, 4)

    @jax.jit
    def everything(x):
        """Of each: in 16 bits, the same in 64, and a gradient mapped and not; one program compiles sooner than many."""
        narrow = x[0].astype("bfloat16")
        results = {}
        for name, call in CALLS.items():
            gradient = jax.grad(lambda x, call=call: sum(y.sum() for y in jax.tree.leaves(call(x))))
            mapped = jax.vmap(gradient)(x[1:])[0]
            results[name] = call(narrow), call(narrow.astype("float64")), mapped, gradient(x[1])
        return results

    for name, (narrow, wide, mapped, gradient) in everything(x).items():
        assert {y.dtype for y in jax.tree.leaves(narrow)} == {jnp.dtype("bfloat16")}, name
        assert {y.dtype for y in jax.tree.leaves(wide)} == {jnp.dtype("float64")}, name
        assert relative_difference(narrow, wide) <= 2.0**-8, name
        assert close(mapped, gradient), name


def test_every_operation_is_called_in_these_tests():
    plain = {name for name in ops.__all__ if name.islower() and not name.endswith(("_forward", "_backward"))}
    assert plain == {*CALLS, "cross_entropy"}


ROWS = np.ones((2, 3, 4), np.float32)
OF_PAIRS = np.ones((2, 3, 2, 4), np.float32)
GATES = (np.ones((4, 16), np.float32), np.ones((4, 16), np.float32), np.ones(16, np.float32))
LABELS = np.zeros((2, 3), int)


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (ValueError, ["x", "(n, channels, ...)", "(4,)"], lambda: ops.batch_norm(ROWS[0, 0])),
        (ValueError, ["mean", "variance", "one of them"], lambda: ops.batch_norm(ROWS, mean=np.ones(3, np.float32))),
        (ValueError, ["channels", "2 groups", "3"], lambda: ops.group_norm(ROWS, groups=2)),
        (ValueError, ["heads", "3 and 2"], lambda: ops.attention(OF_PAIRS, OF_PAIRS[:, :2], OF_PAIRS)),
        (ValueError, ["keys", "(2, 3, 2, 4)"], lambda: ops.attention(OF_PAIRS, OF_PAIRS[:1], OF_PAIRS)),
        (TypeError, ["mask", "booleans"], lambda: ops.attention(ROWS, ROWS, ROWS, np.ones((3, 3)))),
        (ValueError, ["x", "even", "3"], lambda: ops.rotary_embedding(ROWS[..., :3], np.arange(3))),
        (TypeError, ["positions", "integers"], lambda: ops.rotary_embedding(ROWS, np.ones(3))),
        (TypeError, ["indices", "integers", "float"], lambda: ops.embedding(ROWS[0], np.ones(3))),
        (ValueError, ["kernel", "groups=2"], lambda: ops.conv(ROWS, ROWS, groups=2)),
        (ValueError, ["stride", "at least 1", "0"], lambda: ops.conv(ROWS, ROWS, stride=0)),
        (TypeError, ["padding", "integer", "0.5"], lambda: ops.conv(ROWS, ROWS, padding=0.5)),
        (ValueError, ["window", "1 spatial"], lambda: ops.max_pool(ROWS, window=(2, 2))),
        (ValueError, ["cell", "(2, 3, 4)"], lambda: ops.lstm_cell(ROWS, ROWS, ROWS[0], *GATES)),
        (ValueError, ["input_weights", "3 gates", "(4, 12)"], lambda: ops.gru_cell(ROWS, ROWS, *GATES, GATES[2])),
        (ValueError, ["labels", "(2, 3)"], lambda: ops.cross_entropy(ROWS, np.zeros(2, int))),
        (ValueError, ["label_smoothing", "at most 1"], lambda: ops.cross_entropy(ROWS, LABELS, label_smoothing=2.0)),
    ],
)  # fmt: skip
def test_bad_input_is_answered_with_one_sentence(says, error, words, call):
    says(error, words, call)
