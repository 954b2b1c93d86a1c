"""scikit-learn's `MLPClassifier`, `partial_fit` per epoch, with the initial values put in by hand.

It has cross-entropies alone: on the moons it trains the same network with the same arithmetic but for the two factors
o(1 - o) of the squared error, and is compared with the reference of that loss, as the table says. (`MLPRegressor` has
the squared error, but no sigmoid of the outputs.) It takes the mean over a batch: a summed loss has a rate that is as
many times larger.

It trains one network; several are one network after the other, of which one is timed.
"""

from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier

from benchmarks.speed.competitors import Runner
from benchmarks.speed.suite.problems import Training
from benchmarks.speed.suite.references import named

ACTIVATIONS = {"relu": "relu", "sigmoid": "logistic"}


def classifier(problem: Training) -> tuple[MLPClassifier, np.ndarray]:
    """The model, initialised as scikit-learn does, and the targets as it takes them."""
    samples = len(problem.inputs)
    scale = problem.batch_size if problem.over_samples == "sum" else 1
    if scale > 1 and samples % problem.batch_size:
        raise ValueError("expected whole batches with a summed loss, got a smaller last one: its mean has another rate")
    model = MLPClassifier(
        hidden_layer_sizes=problem.sizes[1:-1],
        activation=ACTIVATIONS[problem.activations[0]],
        solver="sgd",
        alpha=0.0,
        batch_size=problem.batch_size,
        learning_rate_init=problem.learning_rate * scale,
        momentum=0.0,
        nesterovs_momentum=False,
        shuffle=False,
    )
    if problem.activations[-1] == "softmax":
        targets = problem.targets.argmax(axis=1)
        classes = np.arange(problem.sizes[-1])
    else:  # one sigmoid per label
        targets = problem.targets.astype(int) if problem.sizes[-1] > 1 else problem.targets[:, 0].astype(int)
        classes = np.arange(max(2, problem.sizes[-1]))
    model.partial_fit(problem.inputs, targets, classes=classes)
    return model, targets


def training(problem: Training) -> Runner:
    """One network."""
    model, targets = classifier(problem)

    def run(epochs: int) -> Any:
        for layer, (weights, bias) in enumerate(problem.params):  # in place: its optimiser holds these arrays
            model.coefs_[layer][...], model.intercepts_[layer][...] = weights, bias
        for _ in range(epochs):
            model.partial_fit(problem.inputs, targets)
        return list(zip(model.coefs_, model.intercepts_, strict=True))

    return Runner(run, named, problem.updates)


def sweep(problem: Training) -> Runner:
    """The first network of several, alone."""
    number = problem.compared()[0]
    alone = training(problem.network(number))

    def leaves(after: Any) -> Any:
        return named(after, f"network {number}: params")

    return Runner(alone.run, leaves, alone.units, {"networks": 1})
