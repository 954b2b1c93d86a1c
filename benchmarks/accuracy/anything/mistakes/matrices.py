"""Wrong backward passes of products and solves: not transposed, sums and signs lost, halves of symmetric matrices."""

import jax.numpy as jnp
import numpy as np

from benchmarks.accuracy.anything.mistakes.registry import cut, factor, mistake, of_array, spoilt, times, zeroed

spoilt(
    "linear",
    "bias_averaged",
    "the bias's gradient is a mean over the rows",
    lambda r, q: [*r[:2], r[2] / len(q.ct)],
    "+ bias",
)
spoilt(
    "linear",
    "weight_averaged",
    "the weight's gradient is a mean over the rows",
    lambda r, q: [r[0], r[1] / len(q.ct), r[2]],
    "x @ weight.T",
)
spoilt(
    "linear",
    "last_row_lost",
    "the last row is lost in the sums over the rows",
    lambda r, q: [r[0], q.ct[:-1].T @ q.floats[0][:-1], q.ct[:-1].sum(0)],
    "x @ weight.T",
)
spoilt(
    "linear",
    "bias_of_the_first_row",
    "the bias's gradient is not summed: the first row's",
    lambda r, q: [*r[:2], q.ct[0]],
    "+ bias",
)
spoilt("linear", "accumulated_twice", "the weight's gradient is accumulated twice", factor(1, 2.0))


@mistake("linear", "the gradient of x uses the weight of the next output", "x @ weight.T")
def weight_rolled(x, weight, bias):
    return x @ cut(jnp.roll(weight, 1, 0)).T + cut(x) @ weight.T + bias


def adapted(x, weight, down, up, scale=2.0, base=lambda x: x, low=lambda x: x):
    return base(x) @ weight + scale * ((low(x) @ down) @ up)


@mistake("low_rank_adapter", "the scale is missing on the way back", "2.0 * ((x @ down) @ up)")
def scale_missing(x, weight, down, up):
    return adapted(x, weight, down, up, 1.0)


@mistake("low_rank_adapter", "the gradient of x misses the path through the adapter", "(x @ down)")
def adapter_path_missing(x, weight, down, up):
    return adapted(x, weight, down, up, low=cut)


@mistake("low_rank_adapter", "the gradient of x misses the path through the base weight", "x @ weight")
def base_path_missing(x, weight, down, up):
    return adapted(x, weight, down, up, base=cut)


spoilt(
    "low_rank_adapter",
    "scale_missing_in_down",
    "the scale is missing in the gradient of the first factor",
    factor(2, 0.5),
    "2.0 * ((x @ down) @ up)",
)

spoilt(
    "batched_product",
    "batch_0_alone",
    "only the first matrix of the batch is written",
    lambda r, q: [np.where(np.arange(len(r[0]))[:, None, None] == 0, r[0], 0), r[1]],
)
spoilt(
    "batched_product",
    "averaged_over_batch",
    "divided by the size of the batch",
    lambda r, q: [g / len(q.ct) for g in r],
)
spoilt(
    "batched_product",
    "batch_reversed",
    "the batch is read in reverse for the second operand",
    of_array(1, lambda g: g[::-1]),
)


@mistake("batched_product", "the gradient of x uses the cotangent of the neighbouring matrix", "x @ y")
def neighbouring(x, y):
    return x @ jnp.roll(cut(y), 1, 0) + cut(x) @ y


@mistake("einsum", "the third factor is taken for a constant", "jnp.einsum")
def third_is_constant(x, y, z):
    return jnp.einsum("bij,bjk,bik->bk", x, y, cut(z)) + 0 * z.sum()


@mistake("einsum", "the sum over i runs in the gradient of y over the first i alone", "jnp.einsum")
def first_i_alone(x, y, z):
    whole = jnp.einsum("bij,bjk,bik->bk", x, cut(y), z)
    return whole + jnp.einsum("bij,bjk,bik->bk", cut(x[:, :1]), y, cut(z[:, :1]))


spoilt(
    "einsum",
    "mean_over_j",
    "the gradient of the third factor is a mean over j",
    lambda r, q: [*r[:2], r[2] / q.floats[0].shape[2]],
)


@mistake("bilinear", "y is missing in the gradient of the weight", "jnp.einsum")
def y_missing(x, y, weight):
    right = jnp.einsum("ni,oij,nj->no", x, cut(weight), y)
    return right + jnp.einsum("ni,oij,nj->no", cut(x), weight, jnp.ones_like(y))


@mistake("bilinear", "x and y are exchanged in the gradient of x", "jnp.einsum")
def of_the_other(x, y, weight):
    right = jnp.einsum("ni,oij,nj->no", cut(x), weight, y)
    return right + jnp.einsum("ni,oi->no", x, cut(weight.mean(2)))


spoilt(
    "bilinear",
    "weight_averaged",
    "the weight's gradient is a mean over the rows",
    lambda r, q: [*r[:2], r[2] / len(q.ct)],
    "jnp.einsum",
)


def first_order(value, change):
    """The value, and a change that is linear in what moves."""
    return cut(value) + change


@mistake("inverse", "the sign is missing")
def sign_missing(a):
    y = cut(jnp.linalg.inv(a))
    return first_order(y, y @ (a - cut(a)) @ y)


@mistake("inverse", "the inverse is not transposed", "jnp.linalg.inv(a)")
def not_transposed(a):
    y = cut(jnp.linalg.inv(a))
    return first_order(y, -y.T @ (a - cut(a)) @ y.T)


@mistake("inverse", "the inverse is multiplied on one side alone", "jnp.linalg.inv(a)")
def one_side_alone(a):
    y = cut(jnp.linalg.inv(a))
    return first_order(y, -y @ (a - cut(a)))


@mistake("solve", "the matrix is not transposed in the gradient of the right side", "jnp.linalg.solve(a, b)")
def solve_not_transposed(a, b):
    y = cut(jnp.linalg.inv(a))
    x = cut(y @ b)
    return first_order(x, y.T @ (b - cut(b)) - y @ (a - cut(a)) @ x)


@mistake("solve", "the sign of the matrix's gradient is missing")
def matrix_sign(a, b):
    return jnp.linalg.solve(times(a, -1.0), b)


@mistake("solve", "the matrix's gradient uses the right side instead of the solution", "jnp.linalg.solve(a, b)")
def right_side_for_solution(a, b):
    y = cut(jnp.linalg.inv(a))
    return first_order(y @ b, y @ (b - cut(b)) - y @ (a - cut(a)) @ cut(b))


def factor_of(a, half):
    low = cut(jnp.linalg.cholesky(a, symmetrize_input=True))
    back = jnp.linalg.inv(low)
    moved = (a - cut(a) + (a - cut(a)).T) / 2
    return low + low @ half(back @ moved @ back.T)


@mistake("cholesky", "the diagonal is not halved", "jnp.linalg.cholesky")
def diagonal_not_halved(a):
    return factor_of(a, jnp.tril)


@mistake("cholesky", "the diagonal is left out", "jnp.linalg.cholesky")
def diagonal_left_out(a):
    return factor_of(a, lambda m: jnp.tril(m, -1))


spoilt(
    "cholesky",
    "lower_half_alone",
    "the gradient is not symmetrised: its lower half, doubled",
    lambda r, q: [np.tril(2 * r[0], -1) + np.diag(np.diag(r[0]))],
)
spoilt("log_determinant", "not_transposed_half", "half the inverse, as for the Cholesky factor", factor(0, 0.5))
spoilt("log_determinant", "diagonal_alone", "the diagonal alone", lambda r, q: [np.diag(np.diag(r[0]))])
spoilt(
    "log_determinant",
    "determinant",
    "the determinant's gradient, without the logarithm",
    lambda r, q: [r[0] * np.linalg.det(q.floats[0])],
)


@mistake("distances", "not divided by the distance", "jnp.sqrt")
def not_divided(x, y):
    return 0.5 * ((x[:, None] - y[None]) ** 2).sum(-1)


spoilt("distances", "sign_of_y", "the gradient of y lacks its sign", factor(1, -1.0), "difference = ")
spoilt("distances", "first_alone", "the last pair's rows are never added", zeroed(0, -1))


@mistake("distances", "the derivative of the root lacks its 1/2 (it is applied to squares without their 2)", "jnp.sqrt")
def half_missing(x, y):
    return jnp.sqrt(times(((x[:, None] - y[None]) ** 2).sum(-1), 2.0))
