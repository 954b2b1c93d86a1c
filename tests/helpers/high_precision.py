"""Activations and their derivatives in 60-digit arithmetic (mpmath), and errors in units in the last place (ulp)."""

import jax.numpy as jnp
import mpmath as mp
import numpy as np

DIGITS = 60


def sigmoid(z):
    return 1 / (1 + mp.exp(-z)) if z > 0 else mp.exp(z) / (1 + mp.exp(z))


def normal_cdf(z):
    return mp.erfc(-z / mp.sqrt(2)) / 2


def normal_pdf(z):
    return mp.exp(-z * z / 2) / mp.sqrt(2 * mp.pi)


def gelu_cubic(z):
    return 2 * mp.sqrt(2 / mp.pi) * (z + mp.mpf(44715) / 10**6 * z**3)


def gelu_tanh_derivative(z):
    slope = 2 * mp.sqrt(2 / mp.pi) * (1 + mp.mpf(3 * 44715) / 10**6 * z**2)
    return sigmoid(gelu_cubic(z)) * (1 + z * sigmoid(-gelu_cubic(z)) * slope)


def mish_derivative(z):
    t = mp.tanh(mp.log1p(mp.exp(z)))
    return t + z * mp.sech(mp.log1p(mp.exp(z))) ** 2 * sigmoid(z)


QUICK = mp.mpf(1.702)  # the float64, as every number that a case declares
with mp.workdps(DIGITS):
    SELU_SCALE, SELU_ALPHA = mp.mpf("1.0507009873554804934193349852946"), mp.mpf("1.6732632423543772848170429916717")


# name: (value, derivative); the default parameters of each factory
EXACT = {
    "identity": (lambda z: z, lambda z: mp.mpf(1)),
    "sigmoid": (sigmoid, lambda z: sigmoid(z) * sigmoid(-z)),
    "tanh": (mp.tanh, lambda z: mp.sech(z) ** 2),
    "relu": (lambda z: max(z, mp.mpf(0)), lambda z: mp.mpf(z > 0)),
    "leaky_relu": (lambda z: z if z > 0 else mp.mpf(0.01) * z, lambda z: mp.mpf(1) if z > 0 else mp.mpf(0.01)),
    "elu": (lambda z: z if z > 0 else mp.expm1(z), lambda z: mp.mpf(1) if z > 0 else mp.exp(z)),
    "softplus": (lambda z: max(z, mp.mpf(0)) + mp.log1p(mp.exp(-abs(z))), sigmoid),
    "silu": (lambda z: z * sigmoid(z), lambda z: sigmoid(z) * (1 + z * sigmoid(-z))),
    "gelu": (lambda z: z * normal_cdf(z), lambda z: normal_cdf(z) + z * normal_pdf(z)),
    "gelu_tanh": (lambda z: z * sigmoid(gelu_cubic(z)), gelu_tanh_derivative),
    "quick_gelu": (
        lambda z: z * sigmoid(QUICK * z),
        lambda z: sigmoid(QUICK * z) * (1 + QUICK * z * sigmoid(-QUICK * z)),
    ),
    "mish": (lambda z: z * mp.tanh(mp.log1p(mp.exp(z))), mish_derivative),
    "selu": (
        lambda z: SELU_SCALE * (z if z > 0 else SELU_ALPHA * mp.expm1(z)),
        lambda z: SELU_SCALE * (mp.mpf(1) if z > 0 else SELU_ALPHA * mp.exp(z)),
    ),
    "celu": (lambda z: z if z > 0 else mp.expm1(z), lambda z: mp.mpf(1) if z > 0 else mp.exp(z)),
    "prelu": (lambda z: z if z > 0 else z / 4, lambda z: mp.mpf(1 if z > 0 else 0.25)),
    "relu6": (lambda z: min(max(z, mp.mpf(0)), mp.mpf(6)), lambda z: mp.mpf(0 < z < 6)),
    "hardtanh": (lambda z: min(max(z, mp.mpf(-1)), mp.mpf(1)), lambda z: mp.mpf(-1 < z < 1)),
    "hard_sigmoid": (
        lambda z: min(max((z + 3) / 6, mp.mpf(0)), mp.mpf(1)),
        lambda z: mp.mpf(-3 < z < 3) / 6,
    ),
    "hard_swish": (
        lambda z: z * min(max((z + 3) / 6, mp.mpf(0)), mp.mpf(1)),
        lambda z: mp.mpf(z >= 3) if abs(z) >= 3 else (2 * z + 3) / 6,
    ),
    "scaled_tanh": (
        lambda z: mp.mpf(1.7159) * mp.tanh(mp.mpf(2 / 3) * z),
        lambda z: mp.mpf(1.7159) * mp.mpf(2 / 3) * mp.sech(mp.mpf(2 / 3) * z) ** 2,
    ),
    "softsign": (lambda z: z / (1 + abs(z)), lambda z: 1 / (1 + abs(z)) ** 2),
    "sin": (mp.sin, mp.cos),
    "cos": (mp.cos, lambda z: -mp.sin(z)),
    "gaussian": (lambda z: mp.exp(-z * z), lambda z: -2 * z * mp.exp(-z * z)),
}


def softmax(row):
    top = max(row)
    exponentials = [mp.exp(z - top) for z in row]
    return [e / mp.fsum(exponentials) for e in exponentials]


def softmax_vjp(row, cotangents):
    a = softmax(row)
    # sum_j a_j (ct_i - ct_j): the same as ct_i - sum_j a_j ct_j because the a_j sum to 1
    return [
        a_i * mp.fsum(a_j * (ct_i - ct_j) for a_j, ct_j in zip(a, cotangents, strict=True))
        for a_i, ct_i in zip(a, cotangents, strict=True)
    ]


def ulp_error(got, exact, dtype, at_least=0.0) -> float:
    """|got - exact| in ulp of `dtype` at |exact| (or at `at_least`, if that is larger); NaN counts as infinite.

    Below the smallest normal number, results may be flushed to zero (XLA does so on the CPU): an error of up to that
    number then counts as none.
    """
    info = jnp.finfo(dtype)
    got = float(got)
    if not np.isfinite(got):
        return np.inf
    error = abs(mp.mpf(got) - exact)
    size = max(abs(exact), mp.mpf(at_least))
    if size < 2 * float(info.tiny):
        return 0.0 if error <= float(info.tiny) else np.inf
    return float(error / mp.ldexp(1, int(mp.floor(mp.log(size, 2))) - info.nmant))
