"""Functions of each kind of primitive, each of a few arrays, for tests of their evaluation."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy import special

SAMPLES, WIDTH = 4, 5
random = np.random.default_rng(20261130)


def normal(*shape: int) -> Any:
    return random.normal(size=shape)


def positive_definite(n: int) -> Any:
    a = normal(n, n)
    return a @ a.T + np.eye(n)


@jax.custom_vjp
def sine(x: Any) -> Any:
    return jnp.sin(x)


sine.defvjp(lambda x: (jnp.sin(x), x), lambda x, ct: (ct * jnp.cos(x),))


def elementwise(x: Any, p: Any) -> Any:
    """`p` is positive."""
    smooth = (jnp.sin, jnp.cos, jnp.tan, jnp.tanh, jnp.sinh, jnp.cosh, jnp.arctan, jnp.arcsinh, jnp.exp, jnp.exp2)
    others = (jnp.expm1, jnp.square, jnp.cbrt, jnp.negative, jnp.abs, jnp.sign, jax.nn.sigmoid)
    of_positive = (jnp.log, jnp.log1p, jnp.sqrt, lax.rsqrt, jnp.reciprocal, lambda p: jnp.arccosh(p + 1))
    of_unit = (jnp.arcsin, jnp.arccos, jnp.arctanh)
    two = (jnp.add, jnp.subtract, jnp.multiply, jnp.divide, jnp.maximum, jnp.minimum, jnp.arctan2, jnp.hypot)
    more = (jnp.logaddexp, jnp.fmod, jnp.remainder, jnp.copysign)
    unit = 0.9 * jnp.tanh(x)
    return [
        *(f(x) for f in (*smooth, *others)),
        *(f(p) for f in of_positive),
        *(f(unit) for f in of_unit),
        *(f(x, p) for f in (*two, *more)),
        *(jnp.power(p, x), x**3, p**-2, jnp.clip(x, -0.5, 0.5), jnp.where(x > p, x, 2 * p), jnp.round(x) * x),
    ]


def activations(x: Any) -> Any:
    names = (
        "relu relu6 softplus soft_sign silu log_sigmoid leaky_relu hard_sigmoid hard_silu hard_tanh elu celu selu gelu"
    )
    return [getattr(jax.nn, name)(x) for name in (*names.split(), "softmax", "log_softmax", "squareplus", "mish")]


def special_functions(x: Any, p: Any) -> Any:
    return [special.erf(x), special.erfc(x), special.gammaln(p), special.digamma(p), special.i0e(x), special.ndtr(x)]


def reductions(x: Any) -> Any:
    along = (jnp.sum, jnp.mean, jnp.var, jnp.std, jnp.max, jnp.min, jnp.prod, jnp.cumsum, jnp.cumprod, jnp.median)
    running = [lax.cummax(x, 1), lax.cummin(x, 1, reverse=True), lax.cumlogsumexp(x, 1), lax.cumsum(x, 0, reverse=True)]
    return [*(f(x, axis=1) for f in along), *running, jax.nn.logsumexp(x), jnp.linalg.norm(x), jnp.ptp(x, axis=0)]


def orders(x: Any, y: Any) -> Any:
    """What sorts, and picks the largest."""
    return [
        jnp.sort(x, axis=0),
        jnp.argsort(x) * x,
        lax.sort((x, y), num_keys=1, dimension=0)[1],
        lax.top_k(x, 2)[0],
        lax.approx_max_k(x, 2)[0],
        x[jnp.arange(SAMPLES), jnp.argmax(x, 1)],
        jnp.quantile(x, 0.3, axis=1),
        jnp.searchsorted(jnp.linspace(-2, 2, 5), x) * x,
    ]


def products(a: Any, b: Any, x: Any) -> Any:
    return [
        jnp.matmul(a, b),
        jnp.einsum("bij,bjk,bik->bk", a, b, a @ b),
        jnp.tensordot(a, x, 1),
        jnp.outer(x, x),
        jnp.kron(x, x),
        jnp.vdot(x, x),
        lax.ragged_dot(a[0], b, jnp.array([1, 2])),
    ]


def convolutions(x: Any, w: Any, image: Any, kernel: Any) -> Any:
    axes = ("NCH", "OIH", "NCH")
    planes = ("NHWC", "HWIO", "NHWC")
    return [
        lax.conv_general_dilated(x, w, (2,), [(1, 2)], dimension_numbers=axes),
        lax.conv_general_dilated(x, w[:, :2], (1,), [(-1, 2)], (2,), (2,), axes, feature_group_count=2),
        lax.conv_general_dilated(x, w, (1,), [(1, 1)], dimension_numbers=axes, batch_group_count=2),
        lax.conv_general_dilated(image, kernel, (1, 2), "SAME", dimension_numbers=planes),
        lax.conv_transpose(image, kernel, (2, 2), "SAME", dimension_numbers=planes),
    ]


def windows(x: Any) -> Any:
    return [
        lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 2), (1, 2, 1), "SAME"),
        lax.reduce_window(x, jnp.inf, lax.min, (1, 3, 2), (1, 2, 1), "VALID"),
        lax.reduce_window(x, 0.0, lax.add, (1, 3, 2), (1, 2, 1), "SAME"),
    ]


def movements(x: Any) -> Any:
    return [
        jnp.transpose(x),
        x.reshape(-1),
        jnp.flip(x, 1),
        jnp.roll(x, 2, 1),
        jnp.tile(x, (2, 3)),
        jnp.repeat(x, 3, 0),
        jnp.stack([x, 2 * x], 1),
        jnp.concatenate([x, x * x], 1),
        jnp.split(x, [1, 3], 1)[1] * 2,
        jnp.pad(x, 1, mode="reflect"),
        lax.pad(x, 0.5, ((1, -1, 1), (-1, 2, 0))),
        jnp.tril(x),
        jnp.diagonal(x),
        jnp.squeeze(x[:1]),
        jnp.broadcast_to(x, (2, SAMPLES, WIDTH)),
        x[::2, 1:4],
        lax.stop_gradient(x) * x,
    ]


def indexing(x: Any, y: Any, i: Any) -> Any:
    pair, repeated = jnp.array([1, 2]), jnp.array([1, 1])
    return [
        x[i],
        x[jnp.array([[0, 2], [3, 3]]), jnp.array([1, 4])],
        jnp.take_along_axis(x, jnp.array([[0], [1], [4], [2]]), 1),
        jnp.nan_to_num(jnp.take(x, jnp.array([0, 9]), axis=0)),
        jnp.take(x, jnp.array([0, 9]), axis=0, mode="clip"),
        x.at[pair].set(y),
        x.at[repeated].add(y),
        x.at[repeated].subtract(y),
        x.at[pair].multiply(y, unique_indices=True),
        x.at[pair].min(y),
        x.at[pair].max(y),
        x.at[jnp.array([1, 9])].add(y),
        jax.ops.segment_sum(x, jnp.array([0, 2, 0, 1]), 3),
        lax.dynamic_slice_in_dim(x, i[0], 2),
        lax.dynamic_update_slice_in_dim(x, y, i[0], 0),
    ]


def control_flow(w: Any, x: Any) -> Any:
    def cell(state: Any, row: Any) -> Any:
        state = jnp.tanh(state @ w + row)
        return state, state * 2

    return [
        lax.scan(cell, jnp.zeros(WIDTH), x),
        lax.scan(cell, jnp.zeros(WIDTH), x, reverse=True)[1],
        lax.fori_loop(0, 3, lambda _, x: jnp.sin(x) * x, x),
        x * lax.while_loop(lambda s: s[0] < 4, lambda s: (s[0] + 1, s[1] * 2), (0, 1.0))[1],
        x
        * jax.vmap(lambda n: lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, s[1] * 3), (0, 1.0))[1])(
            jnp.arange(WIDTH)
        ),
        lax.cond(x.sum() > 0, jnp.sin, jnp.cos, x),
        lax.switch(2, [jnp.sin, jnp.cos, jnp.tanh], x),
        jax.checkpoint(lambda x: jnp.sin(jnp.sin(x)))(x),
        jax.jit(jnp.sin)(x),
        jax.vmap(jnp.dot)(x, x),
        sine(x),
        jax.grad(lambda x: (jnp.tanh(x) ** 3).sum())(x),
        lax.associative_scan(jnp.multiply, x),
    ]


def linear_algebra(a: Any, b: Any, s: Any, t: Any) -> Any:
    return [
        jnp.linalg.solve(a, b),
        jnp.linalg.inv(a),
        jnp.linalg.slogdet(a)[1],
        jnp.linalg.cholesky(s),
        jax.scipy.linalg.solve_triangular(jnp.tril(a) + 3 * jnp.eye(3), b, lower=True),
        jnp.linalg.qr(t),
        jnp.linalg.eigh(s),
        jnp.linalg.svd(t, full_matrices=False),
    ]


def other_dtypes(x: Any, flags: Any) -> Any:
    """What names formats of its own: they stay float64, whose numbers these all are."""
    whole = jnp.where(flags, 2, 3) % 2 + jnp.bitwise_xor(jnp.arange(WIDTH), 3)
    return [x.astype(jnp.float64) * whole, jnp.signbit(x) * x, jnp.zeros_like(x), x * jax.nn.one_hot(flags * 1, WIDTH)]


FAMILIES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "elementwise": (elementwise, (normal(SAMPLES, WIDTH), np.abs(normal(SAMPLES, WIDTH)) + 0.5)),
    "activations": (activations, (normal(SAMPLES, WIDTH),)),
    "special functions": (special_functions, (normal(3), np.abs(normal(3)) + 0.5)),
    "reductions": (reductions, (normal(SAMPLES, WIDTH),)),
    "orders": (orders, (normal(SAMPLES, WIDTH), normal(SAMPLES, WIDTH))),
    "products": (products, (normal(2, 3, 2), normal(2, 2, 4), normal(2))),
    "convolutions": (convolutions, (normal(4, 4, 9), normal(6, 4, 3), normal(2, 4, 5, 3), normal(3, 3, 3, 4))),
    "windows": (windows, (normal(2, 7, 6),)),
    "movements": (movements, (normal(SAMPLES, WIDTH),)),
    "indexing": (indexing, (normal(SAMPLES, WIDTH), normal(2, WIDTH), np.array([1, 3]))),
    "control flow": (control_flow, (normal(WIDTH, WIDTH) / 2, normal(SAMPLES, WIDTH))),
    "linear algebra": (
        linear_algebra,
        (normal(3, 3) + 3 * np.eye(3), normal(3, 2), positive_definite(3), normal(4, 3)),
    ),
    "other dtypes": (other_dtypes, (normal(WIDTH, WIDTH), np.array([True, False, True, True, False]))),
}
