"""Wrong gradients written by hand, in the styles of different people, without the catalogue: each must be named."""

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle

# a square hidden layer, distinct everywhere else
TANH = oracle.draw_case(
    fm.Network((3, 4, 4, 2), ("tanh", "tanh", "softmax")), fm.Loss("categorical_cross_entropy"), samples=7, seed=2
)
RELU = oracle.draw_case(
    fm.Network((3, 5, 4, 3), ("relu", "relu", "identity")), fm.Loss("squared_error", "mean", "mean"), samples=6, seed=3
)
SIGMOID = oracle.draw_case(
    fm.Network((3, 4, 1), ("sigmoid", "sigmoid")), fm.Loss("binary_cross_entropy", l2=0.25), samples=6, seed=4
)


# rows are samples; arrays by name


def tanh_rows(params, x, t):
    (w1, b1), (w2, b2), (w3, b3) = params
    h1 = np.tanh(x @ w1 + b1)
    h2 = np.tanh(h1 @ w2 + b2)
    e = np.exp(h2 @ w3 + b3)
    p = e / e.sum(axis=1, keepdims=True)
    d3 = p - t
    return h1, h2, p, d3


def hidden_derivative_forgotten(params, x, t):
    h1, h2, _, d3 = tanh_rows(params, x, t)
    d2 = (d3 @ params[2][0].T) * (1 - h2**2)
    d1 = d2 @ params[1][0].T
    return [(x.T @ d1, d1.sum(0)), (h1.T @ d2, d2.sum(0)), (h2.T @ d3, d3.sum(0))]


def not_transposed(params, x, t):
    h1, h2, _, d3 = tanh_rows(params, x, t)
    d2 = (d3 @ params[2][0].T) * (1 - h2**2)
    d1 = (d2 @ params[1][0]) * (1 - h1**2)
    return [(x.T @ d1, d1.sum(0)), (h1.T @ d2, d2.sum(0)), (h2.T @ d3, d3.sum(0))]


def own_output_as_input(params, x, t):
    h1, h2, _, d3 = tanh_rows(params, x, t)
    d2 = (d3 @ params[2][0].T) * (1 - h2**2)
    d1 = (d2 @ params[1][0].T) * (1 - h1**2)
    return [(x.T @ d1, d1.sum(0)), (h2.T @ d2, d2.sum(0)), (h2.T @ d3, d3.sum(0))]


def wrong_sign_everywhere(params, x, t):
    h1, h2, p, _ = tanh_rows(params, x, t)
    d3 = t - p
    d2 = (d3 @ params[2][0].T) * (1 - h2**2)
    d1 = (d2 @ params[1][0].T) * (1 - h1**2)
    return [(x.T @ d1, d1.sum(0)), (h1.T @ d2, d2.sum(0)), (h2.T @ d3, d3.sum(0))]


def softmax_jacobian_again(params, x, t):
    h1, h2, p, d3 = tanh_rows(params, x, t)
    d3 = p * (d3 - (p * d3).sum(axis=1, keepdims=True))
    d2 = (d3 @ params[2][0].T) * (1 - h2**2)
    d1 = (d2 @ params[1][0].T) * (1 - h1**2)
    return [(x.T @ d1, d1.sum(0)), (h1.T @ d2, d2.sum(0)), (h2.T @ d3, d3.sum(0))]


# columns are samples, weights (fan_out, fan_in), as in many courses


def in_columns(params, x, t, derivative=lambda h: 1 - h**2, over=1.0):
    weights, biases = [w.T for w, _ in params], [b[:, None] for _, b in params]
    activations = [x.T]
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        activations.append(np.tanh(w @ activations[-1] + b))
    scores = weights[-1] @ activations[-1] + biases[-1]
    scores = np.exp(scores - scores.max(axis=0))
    delta = (scores / scores.sum(axis=0) - t.T) / over
    grads = []
    for layer in range(len(weights) - 1, -1, -1):
        grads.insert(0, [delta @ activations[layer].T, delta.sum(axis=1)])
        if layer:
            delta = (weights[layer].T @ delta) * derivative(activations[layer])
    return grads


def columns_average(params, x, t):
    return [(dw.T, db) for dw, db in in_columns(params, x, t, over=len(x))]


def columns_bias_average(params, x, t):
    return [(dw.T, db / len(x)) for dw, db in in_columns(params, x, t)]


def columns_one_minus_h(params, x, t):
    return [(dw.T, db) for dw, db in in_columns(params, x, t, derivative=lambda h: 1 - h)]


def columns_derivative_of_the_derivative(params, x, t):
    return [(dw.T, db) for dw, db in in_columns(params, x, t, derivative=lambda h: 1 - np.tanh(h) ** 2)]


# one sample at a time


class PerSample:
    """Accumulates over samples; a relu network with a linear end and the mean squared error."""

    def __init__(self, params):
        self.weights = [w.copy() for w, _ in params]
        self.biases = [b.copy() for _, b in params]

    def mask(self, z, ct):
        return ct * (z > 0)

    def start(self, out, target, n):
        return 2 * (out - target) / out.size / n

    def finish(self, dw, db):
        return list(zip(dw, db, strict=True))

    def run(self, x, t):
        dw, db = [0 * w for w in self.weights], [0 * b for b in self.biases]
        for sample, target in zip(x, t, strict=True):
            values, zs = [sample], []
            for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
                zs.append(values[-1] @ w + b)
                values.append(np.maximum(zs[-1], 0) if i + 1 < len(self.weights) else zs[-1])
            ct = self.start(values[-1], target, len(x))
            for i in reversed(range(len(self.weights))):
                dw[i] += np.outer(values[i], ct)
                db[i] += ct
                if i:
                    ct = self.mask(zs[i - 1], self.weights[i] @ ct)
        return self.finish(dw, db)


class NoMask(PerSample):
    def mask(self, z, ct):
        return ct


class MaskAlone(PerSample):
    def mask(self, z, ct):
        return (z > 0).astype(float)


class Halved(PerSample):
    def start(self, out, target, n):
        return (out - target) / out.size / n


class SummedOutputs(PerSample):
    def start(self, out, target, n):
        return 2 * (out - target) / n


class NotAveraged(PerSample):
    def start(self, out, target, n):
        return 2 * (out - target) / out.size


class AveragedAgain(PerSample):
    def finish(self, dw, db):
        return [(w / 6, b / 6) for w, b in zip(dw, db, strict=True)]


class NoBiases(PerSample):
    def finish(self, dw, db):
        return [(w, 0 * b) for w, b in zip(dw, db, strict=True)]


class LastSampleOnly(PerSample):
    def run(self, x, t):
        whole = super().run(x[-1:], t[-1:])
        return [(w / len(x), b / len(x)) for w, b in whole]


def looped(program):
    return lambda params, x, t: program(params).run(x, t)


# lists of layers, and the penalty


def sigmoid_lists(params, x, t, twice=False, penalty=lambda w: 0.25 * w, on_bias=False, target_shape=lambda t: t):
    def s(z):
        return 1 / (1 + np.exp(-z))

    cache = [x]
    for w, b in params:
        cache.append(s(cache[-1] @ w + b))
    delta = (cache[-1] - target_shape(t)) * (cache[-1] * (1 - cache[-1]) if twice else 1)
    out = []
    for (w, b), a in zip(reversed(params), reversed(cache[:-1]), strict=True):
        out.append((a.T @ delta + penalty(w), delta.sum(axis=0) + (penalty(b) if on_bias else 0)))
        delta = (delta @ w.T) * a * (1 - a)
    return out[::-1]


def sigmoid_twice(params, x, t):
    return sigmoid_lists(params, x, t, twice=True)


def penalty_forgotten(params, x, t):
    return sigmoid_lists(params, x, t, penalty=lambda w: 0 * w)


def penalty_subtracted(params, x, t):
    return sigmoid_lists(params, x, t, penalty=lambda w: -0.25 * w)


def penalty_doubled(params, x, t):
    return sigmoid_lists(params, x, t, penalty=lambda w: 0.5 * w)


def penalty_on_biases(params, x, t):
    return sigmoid_lists(params, x, t, on_bias=True)


WRONG = [
    (TANH, hidden_derivative_forgotten, "hidden-derivative-missing", 0),
    (TANH, not_transposed, "weights-not-transposed", 1),
    (TANH, own_output_as_input, "activated-output-used-as-input", 1),
    (TANH, wrong_sign_everywhere, "sign-flipped", None),
    (TANH, softmax_jacobian_again, "softmax-jacobian-twice", None),
    (TANH, columns_average, "mean-added", None),
    (TANH, columns_bias_average, "bias-gradient-averaged", None),
    (TANH, columns_one_minus_h, "tanh-derivative-wrong", None),
    (TANH, columns_derivative_of_the_derivative, "derivative-of-wrong-variable", None),
    (RELU, looped(NoMask), "relu-mask-missing", None),
    (RELU, looped(MaskAlone), "relu-drops-cotangent", None),
    (RELU, looped(Halved), "squared-error-factor", None),
    (RELU, looped(SummedOutputs), "outputs-summed-not-averaged", None),
    (RELU, looped(NotAveraged), "mean-missing", None),
    (RELU, looped(AveragedAgain), "everything-divided-twice", None),
    (RELU, looped(NoBiases), "bias-never-computed", None),
    (RELU, looped(LastSampleOnly), "overwritten", None),
    (SIGMOID, sigmoid_twice, "sigmoid-derivative-twice", None),
    (SIGMOID, penalty_forgotten, "l2-missing", None),
    (SIGMOID, penalty_subtracted, "l2-sign", None),
    (SIGMOID, penalty_doubled, "l2-factor", None),
    (SIGMOID, penalty_on_biases, "l2-on-bias", None),
]


@pytest.mark.parametrize(("case", "right"), [(TANH, in_columns), (RELU, looped(PerSample)), (SIGMOID, sigmoid_lists)])
def test_the_right_ones_are_consistent_and_have_no_diagnosis(case, right):
    grads = [(dw.T if right is in_columns else dw, db) for dw, db in right(case.params, case.inputs, case.targets)]
    report = oracle.check(case, grads)
    assert (report.verdict, report.diagnosis) == (oracle.Verdict.CONSISTENT, None), report.text()


@pytest.mark.parametrize(("case", "wrong", "name", "layer"), WRONG, ids=[name for _, _, name, _ in WRONG])
def test_the_mistake_is_named(case, wrong, name, layer):
    report = oracle.check(case, wrong(case.params, case.inputs, case.targets))
    assert report.verdict is oracle.Verdict.WRONG
    assert report.diagnosis is not None
    assert len(report.diagnosis.mistakes) == 1, report.text()
    named = {
        (found.id, None if layer is None else found.layer)
        for found in (*report.diagnosis.mistakes, *report.diagnosis.ties)
    }
    assert (name, layer) in named, report.text()
    assert report.diagnosis.mistakes[0].digits >= 12
