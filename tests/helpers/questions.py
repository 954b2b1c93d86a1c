"""Questions to the oracle for the tests of its verdicts: few networks, since each new shape compiles for seconds."""

import numpy as np

import functional_mlp as fm
from functional_mlp import oracle

# the middle layer is square: a transpose fits
NETWORK = fm.Network((3, 4, 4, 2), ("tanh", "tanh", "identity"))
LOSS = fm.Loss("squared_error", over_samples="mean")
EVERYTHING = ("loss", "outputs", "deltas", "ct_inputs")


def question(factor=1.0, **changes):
    """A case of 5 samples that every format holds exactly, weights times a power of two; fields changed."""
    case = oracle.draw_case(NETWORK, LOSS, samples=5, seed=1, dtype="bfloat16", name="a question")
    fields = {name: getattr(case, name) for name in ("network", "loss", "inputs", "targets", "name", "dtype")}
    params = [(factor * weights, bias) for weights, bias in case.params]
    return oracle.Case(**(fields | {"params": params} | changes))


def answer(case):
    """The true gradients, to be spoilt: a list of [weights, bias] that may be written to."""
    return [[np.array(weights), None if bias is None else np.array(bias)] for weights, bias in oracle.solve(case).grads]


def answer_as(dtype):
    """The true gradients of `question`, in another dtype."""
    return [[leaf.astype(dtype) for leaf in layer] for layer in answer(question())]


def textbook(params, inputs, targets):
    """The gradients of a linear layer with a squared error: a program that is right."""
    [(weights, bias)] = params
    ct_z = 2 * (inputs @ weights + bias - targets)
    return [(inputs.T @ ct_z, ct_z.sum(axis=0))]


def everything(case):
    """The other arrays that `check` judges, by its keywords."""
    solution = oracle.solve(case)
    return {name: getattr(solution, name) for name in EVERYTHING}


def leaf_of(report, path):
    return next(leaf for leaf in report.leaves if leaf.path == path)


def verdicts(report):
    """Verdicts by path."""
    return {leaf.path: str(leaf.verdict) for leaf in report.leaves}


def with_kinks(shift=0.0, of_minus_zero=False, at_zero=0.0):
    """A relu network of small integers; in sample 0 unit 0 has z = shift, and unit 1 has z = 0.

    Of minus zeros: -0 for a program that adds nothing to it; sums that start at +0 give +0.
    """
    network = fm.Network((2, 3, 2), [{"name": "relu", "at_zero": at_zero}, "identity"])
    zero = -0.0 if of_minus_zero else 0.0
    first = (np.array([[1.0, zero, 3.0], [2.0, 1.0, -1.0]]), np.array([shift - 5.0, zero, 1.0]))
    second = (np.array([[2.0, -1.0], [1.0, 3.0], [-3.0, 1.0]]), np.array([1.0, -1.0]))
    inputs = np.array([[5.0, zero], [3.0, -1.0], [-2.0, 2.0]])
    targets = np.array([[1.0, 0.0], [2.0, 1.0], [0.0, 3.0]])
    return oracle.Case(network, fm.Loss("squared_error"), [first, second], inputs, targets)


def overflowing():
    """A linear network whose numbers exceed 65504."""
    params = [(np.array([[200.0], [100.0]]), np.array([0.5]))]
    inputs, targets = [[200.0, 150.0], [100.0, -100.0], [250.0, 1.0]], [[0.0], [1.0], [1.0]]
    loss = fm.Loss("squared_error")
    return oracle.Case(fm.Network((2, 1), "identity"), loss, params, inputs, targets, dtype="float16")


def saturated(loss, activation):
    """A case in which the probability of sample 0 rounds to 1 in float32, where the target is 0."""
    params = [(np.array([[20.0], [20.0]]), np.array([0.5]))]
    inputs, targets = [[1.0, 1.5], [0.5, -1.0], [2.0, 1.0]], [[0.0], [1.0], [1.0]]
    return oracle.Case(fm.Network((2, 1), activation), fm.Loss(loss), params, inputs, targets, dtype="float32")


def lost(case):
    """The gradients of `saturated` by a program whose delta is 0 where the probability rounds to 1."""
    delta = np.array(oracle.solve(case).deltas[0])
    delta[0] = 0.0
    return [(case.inputs.T @ delta, delta.sum(axis=0))]


def hidden_by_noise():
    """tanh units so saturated that 1 - a^2 keeps no digit in float16."""
    return question(factor=16.0)


def steps(case, rate, gradients=None):
    """The parameters after one step of plain gradient descent, by the true gradients unless others are given."""
    given = answer(case) if gradients is None else gradients
    return [
        (layer.weights - rate * dw, layer.bias - rate * db) for layer, (dw, db) in zip(case.params, given, strict=True)
    ]
