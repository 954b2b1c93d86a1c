"""Class labels in place of one-hot targets."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import functional_mlp as fm
from functional_mlp.losses import KINDS, one_hot
from tests.helpers.strategies import make_problem

CLASSES = [name for name, kind in KINDS.items() if kind.targets == "one_hot"]


@pytest.mark.parametrize("library", [np, jnp])
def test_one_hot_rows_are_of_the_labels_library(library):
    rows = one_hot(library.asarray([1, 0, 7]), 3, ignore_index=7, dtype=np.float32)
    assert isinstance(rows, np.ndarray) == (library is np)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, [[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(one_hot([2], 3), [[0, 0, 1]])


def test_a_traced_label_out_of_range_spoils_its_row():
    rows = jax.jit(lambda labels: one_hot(labels, 2, dtype=np.float32))(jnp.asarray([1, 2]))
    np.testing.assert_array_equal(rows, [[0, 1], [np.nan, np.nan]])


@pytest.mark.parametrize("kind", CLASSES)
def test_labels_are_one_hot_targets(kind):
    outputs = np.float32([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    labels, loss = np.array([2, 1]), fm.Loss(kind, over_samples="mean")
    for given in (labels, jnp.asarray(labels), labels.astype(np.uint8)):
        value, ct = loss.value_and_cotangent(outputs, given)
        expected = loss.value_and_cotangent(outputs, one_hot(labels, 3, dtype=np.float32))
        np.testing.assert_array_equal(value, expected[0])
        np.testing.assert_array_equal(ct, expected[1])


def test_labels_of_a_single_bit():
    loss, outputs = fm.Loss("sigmoid_cross_entropy"), np.float32([[0.5], [-1.0]])
    assert loss.value(outputs, np.array([1, 0])) == loss.value(outputs, np.float32([[1.0], [0.0]]))


def test_loss_and_grad_and_training_take_labels():
    network, loss = fm.Network((3, 4, 3), ("tanh", "softmax")), fm.Loss("categorical_cross_entropy", "mean")
    problem = make_problem(network, loss, 6, seed=0, dtype=np.float32)
    labels = np.arange(6) % 3
    targets = one_hot(labels, 3, dtype=np.float32)
    by_labels = fm.loss_and_grad(network, loss, problem.params, problem.inputs, labels)
    by_targets = fm.loss_and_grad(network, loss, problem.params, problem.inputs, targets)
    for one, other in zip(jax.tree.leaves(by_labels), jax.tree.leaves(by_targets), strict=True):
        np.testing.assert_array_equal(one, other)
    runs = [
        fm.train(network, loss, problem.params, problem.inputs, end, optimizer=optax.sgd(0.1), epochs=2, batch_size=4)
        for end in (labels, targets)
    ]
    for one, other in zip(*(jax.tree.leaves(run.params) for run in runs), strict=True):
        np.testing.assert_array_equal(one, other)


def test_bad_labels(says):
    value = fm.Loss("softmax_cross_entropy").value
    outputs = np.zeros((2, 3), np.float32)
    says(ValueError, ["0 to 2", "got 3 at sample 1", "ignore_index"], value, outputs, np.array([0, 3]))
    says(ValueError, ["0 to 2", "-1"], value, outputs, np.array([-1, 0]))
    says(ValueError, ["integers", "one-hot"], value, outputs, np.zeros(2, np.float32))
    says(
        ValueError,
        ["class labels belong to losses over classes"],
        fm.Loss("squared_error").value,
        outputs,
        np.array([0, 1]),
    )
    says(ValueError, ["class labels", "(2, 3)"], fm.Loss("sigmoid_cross_entropy").value, outputs, np.array([0, 1]))
    says(TypeError, ["integers"], one_hot, [0.5], 3)
    says(ValueError, ["(n,)"], one_hot, [[0]], 3)
