"""Loops over single numbers: Python's lists, flat buffers of float32, C, JavaScript."""

import ctypes
import math
from pathlib import Path

import numpy as np

from benchmarks.accuracy.programs.registry import program
from benchmarks.compiler import new_folder, shared_object
from functional_mlp import Loss

HALF = Loss("squared_error", scale=0.5)
SQUARES = Loss("squared_error")
LOGISTIC = Loss("binary_cross_entropy", over_samples="mean")
SMALL = ((3, 5, 2), (4, 6, 3))


@program(
    SMALL,
    "sigmoid",
    HALF,
    [
        (
            "the derivative taken of another layer",
            "* acts[k + 1][j] * (1 - acts[k + 1][j])",
            "* acts[-1][0] * (1 - acts[-1][0])",
        ),
        ("the gradient of the last sample", "dw[k][i][j] += acts[k][i] * d[j]", "dw[k][i][j] = acts[k][i] * d[j]"),
    ],
)
def lists_and_index_loops():
    """No NumPy: lists of lists, for i in range, math.exp."""

    def gradients(params, x, t):
        w = [[[float(v) for v in row] for row in layer[0]] for layer in params]
        b = [[float(v) for v in layer[1]] for layer in params]
        dw = [[[0.0] * len(row) for row in layer] for layer in w]
        db = [[0.0] * len(layer) for layer in b]
        for n in range(len(x)):
            acts = [list(x[n])]
            for k in range(len(w)):
                out = []
                for j in range(len(b[k])):
                    z = b[k][j]
                    for i in range(len(acts[k])):
                        z += acts[k][i] * w[k][i][j]
                    out.append(1 / (1 + math.exp(-z)) if z > -700 else 0.0)
                acts.append(out)
            after = [acts[-1][j] - t[n][j] for j in range(len(acts[-1]))]
            for k in range(len(w) - 1, -1, -1):
                d = [after[j] * acts[k + 1][j] * (1 - acts[k + 1][j]) for j in range(len(after))]
                for j in range(len(d)):
                    db[k][j] += d[j]
                    for i in range(len(acts[k])):
                        dw[k][i][j] += acts[k][i] * d[j]
                after = [sum(w[k][i][j] * d[j] for j in range(len(d))) for i in range(len(acts[k]))]
        return [[dw[k], db[k]] for k in range(len(w))]

    return gradients


@program(
    SMALL,
    ("tanh", "identity"),
    SQUARES,
    [
        ("the factor 2 left out", "2 * (p - q)", "(p - q)"),
        ("rows of the transposed in reverse order", "zip(*a)", "reversed(list(zip(*a)))"),
        ("sums of a row for sums of a column", "[sum(column) for column in transpose(e)]", "[sum(e[-1])] * len(e[-1])"),
    ],
)
def comprehensions():
    """A small matrix library of comprehensions, zip and map, without NumPy."""

    def transpose(a):
        return [list(row) for row in zip(*a)]

    def matmul(a, b):
        return [[sum(p * q for p, q in zip(row, column)) for column in zip(*b)] for row in a]

    def elementwise(f, a, b):
        return [[f(p, q) for p, q in zip(r, s)] for r, s in zip(a, b)]

    def add_row(a, b):
        return [list(map(lambda p, q: p + q, row, b)) for row in a]

    def gradients(params, x, t):
        (w1, b1), (w2, b2) = params
        h = [[math.tanh(v) for v in row] for row in add_row(matmul(x, w1), b1)]
        o = add_row(matmul(h, w2), b2)
        d = elementwise(lambda p, q: 2 * (p - q), o, t)
        e = elementwise(lambda p, q: p * (1 - q * q), matmul(d, transpose(w2)), h)
        db1 = [sum(column) for column in transpose(e)]
        db2 = [sum(column) for column in zip(*d)]
        return [(matmul(transpose(x), e), db1), (matmul(transpose(h), d), db2)]

    return gradients


@program(
    SMALL,
    ("tanh", "identity"),
    HALF,
    [
        ("an index with the wrong stride", "w2[j * K + k] * delta[k]", "w2[k * H + j] * delta[k]"),
        (
            "the last input forgotten",
            "for i in range(D):\n                    dw1",
            "for i in range(D - 1):\n                    dw1",
        ),
    ],
    precision="float32",
)
def flat_float32():
    """Flat float32 buffers, w[i * H + j], every operation rounded to float32; lists come back, float32 declared."""

    f = np.float32

    def gradients(params, x, t):
        (W1, b1), (W2, b2) = params
        D, H, K = len(W1), len(b1), len(b2)
        w1, w2 = W1.astype(f).ravel(), W2.astype(f).ravel()
        b1, b2, x, t = b1.astype(f), b2.astype(f), x.astype(f), t.astype(f)
        dw1, dw2 = [f(0)] * (D * H), [f(0)] * (H * K)
        db1, db2 = [f(0)] * H, [f(0)] * K
        hid, delta = [f(0)] * H, [f(0)] * K
        for n in range(len(x)):
            for j in range(H):
                s = b1[j]
                for i in range(D):
                    s += x[n, i] * w1[i * H + j]
                hid[j] = np.tanh(s)
            for k in range(K):
                s = b2[k]
                for j in range(H):
                    s += hid[j] * w2[j * K + k]
                delta[k] = s - t[n, k]
                db2[k] += delta[k]
            for j in range(H):
                back = f(0)
                for k in range(K):
                    dw2[j * K + k] += hid[j] * delta[k]
                    back += w2[j * K + k] * delta[k]
                back *= f(1) - hid[j] * hid[j]
                db1[j] += back
                for i in range(D):
                    dw1[i * H + j] += x[n, i] * back
        return [
            ([[float(dw1[i * H + j]) for j in range(H)] for i in range(D)], [float(v) for v in db1]),
            ([[float(dw2[j * K + k]) for k in range(K)] for j in range(H)], [float(v) for v in db2]),
        ]

    return gradients


@program(
    SMALL,
    ("relu", "sigmoid"),
    LOGISTIC,
    [
        ("a buffer that is not cleared", "memset(g, 0, sizeof(float) * P)", "(void)P"),
        ("the product of the wrong unit", "v[j * K + k] * d[k]", "v[j * K + (k + 1) % K] * d[k]"),
        ("divided by n - 1", "/ (float)n", "/ (float)(n > 1 ? n - 1 : 1)"),
    ],
)
def c_with_pointers():
    """C, called through ctypes: one flat float buffer of gradients, pointers, float throughout."""

    text = """
    #include <math.h>
    #include <string.h>
    void backprop(const float *w, const float *b, const float *v, const float *c, const float *x, const float *y,
                  float *g, int n, int D, int H, int K) {
        int P = D * H + H + H * K + K;
        float *gb = g + D * H, *gv = gb + H, *gc = gv + H * K, h[64], d[64];
        memset(g, 0, sizeof(float) * P);
        for (int s = 0; s < n; s++, x += D, y += K) {
            for (int j = 0; j < H; j++) {
                float z = b[j];
                for (int i = 0; i < D; i++) z += x[i] * w[i * H + j];
                h[j] = z > 0 ? z : 0;
            }
            for (int k = 0; k < K; k++) {
                float z = c[k];
                for (int j = 0; j < H; j++) z += h[j] * v[j * K + k];
                d[k] = (1.0f / (1.0f + expf(-z)) - y[k]) / (float)n;
                gc[k] += d[k];
            }
            for (int j = 0; j < H; j++) {
                float e = 0;
                for (int k = 0; k < K; k++) {
                    gv[j * K + k] += h[j] * d[k];
                    e += v[j * K + k] * d[k];
                }
                if (h[j] <= 0) continue;
                gb[j] += e;
                for (int i = 0; i < D; i++) g[i * H + j] += x[i] * e;
            }
        }
    }
    """
    source = Path(new_folder()) / "backprop.c"
    source.write_text(text, encoding="utf-8")
    function = shared_object(source, ("-O2",)).backprop
    buffer = np.zeros(4096, np.float32)

    def pointer(a):
        return a.ctypes.data_as(ctypes.POINTER(ctypes.c_float))

    def gradients(params, x, y):
        arrays = [np.ascontiguousarray(a, np.float32) for a in (*params[0], *params[1], x, y)]
        shapes = [a.shape for a in arrays[:4]]
        (D, H), K = shapes[0], shapes[3][0]
        function(*map(pointer, arrays), pointer(buffer), len(x), D, H, K)
        parts = np.split(buffer[: sum(a.size for a in arrays[:4])].copy(), np.cumsum([D * H, H, H * K]))
        dw, db, dv, dc = (part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))
        return [(dw, db), (dv, dc)]

    return gradients


@program(
    SMALL,
    ("tanh", "identity"),
    HALF,
    [
        ("tanh without its derivative", "* (1 - h[n][j] ** 2)", ""),
        ("forEach over the wrong rows", "gw2[j][k] += h[n][j] * d[k]", "gw2[j][k] += h[0][j] * d[k]"),
    ],
    way="drive",
)
def javascript():
    """JavaScript: forEach and map, the case read from standard input, the answer by JSON.stringify."""

    text = """
    const c = JSON.parse(require('fs').readFileSync(0, 'utf8'));
    const [p, q] = c.params, zeros = a => a.map(r => Array.isArray(r) ? zeros(r) : 0);
    const dot = (v, w, b) => b.map((s, j) => v.reduce((sum, vi, i) => sum + vi * w[i][j], s));
    const gw1 = zeros(p.weights), gb1 = zeros(p.bias), gw2 = zeros(q.weights), gb2 = zeros(q.bias);
    const h = c.inputs.map(x => dot(x, p.weights, p.bias).map(Math.tanh));
    c.inputs.forEach((x, n) => {
      const d = dot(h[n], q.weights, q.bias).map((o, k) => o - c.targets[n][k]);
      d.forEach((e, k) => { gb2[k] += e; h[n].forEach((_, j) => { gw2[j][k] += h[n][j] * d[k]; }); });
      h[n].forEach((_, j) => {
        const e = d.reduce((sum, dk, k) => sum + q.weights[j][k] * dk, 0) * (1 - h[n][j] ** 2);
        gb1[j] += e;
        x.forEach((xi, i) => { gw1[i][j] += xi * e; });
      });
    });
    const params = [{weights: gw1, bias: gb1}, {weights: gw2, bias: gb2}];
    console.log(JSON.stringify({format: 'functional-mlp/gradients', version: 1, params}));
    """

    def command():
        source = Path(new_folder()) / "backprop.cjs"
        source.write_text(text, encoding="utf-8")
        return ["node", str(source)]

    return command
