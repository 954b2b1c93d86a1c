"""Small trainings for the tests of the speed benchmark."""

import functools

import numpy as np

from benchmarks.speed.suite.agreement import find_truth
from benchmarks.speed.suite.problems import Training, he_normal


def draw_problem(activations, loss, over_samples="mean", samples=11, batch_size=4):
    sizes = (3, 5, 4, 2)
    rng = np.random.default_rng(0)
    targets = np.eye(2)[rng.integers(2, size=samples)]
    inputs = rng.normal(size=(samples, 3))
    data = (inputs.astype(np.float32), targets.astype(np.float32))
    return Training(sizes, activations, loss, over_samples, 0.1, batch_size, *data, he_normal(sizes, seed=0))


PROBLEMS = {
    "squared error": draw_problem(("sigmoid",) * 3, "half_squared_error"),
    "sigmoid": draw_problem(("relu", "relu", "sigmoid"), "binary_cross_entropy", "sum"),
    "softmax": draw_problem(("relu", "relu", "softmax"), "categorical_cross_entropy"),
}
truth_of = functools.cache(find_truth)
