"""scikit-learn's estimators: the gradient of the solver is judged, and the estimator stays what it was."""

import pickle

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier, MLPRegressor

import functional_mlp as fm
from functional_mlp import oracle
from tests.peers.models import PRECISIONS, require_consistent, require_named

SETTINGS = {"hidden_layer_sizes": (5,), "activation": "tanh", "alpha": 0.0, "max_iter": 1, "random_state": 0}


class AveragingRegressor(MLPRegressor):
    """The gradients of the biases are divided by the number of samples once more."""

    def _backprop(self, *args, **kwargs):
        loss, coef_grads, intercept_grads = super()._backprop(*args, **kwargs)
        return loss, coef_grads, [ct_bias / len(kwargs["X"]) for ct_bias in intercept_grads]


def fitted(kind, classes=3, dtype=np.float64, **settings):
    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(12, 4)).astype(dtype)
    targets = np.arange(12) % classes if kind is MLPClassifier else rng.normal(size=(12, 2)).astype(dtype)
    with pytest.warns(UserWarning, match="converge|iterations"):
        return kind(**(SETTINGS | settings)).fit(inputs, targets), inputs, targets


@pytest.mark.parametrize("precision", PRECISIONS)
def test_an_estimator_that_was_not_fitted_is_consistent(precision):
    estimator = MLPRegressor(**SETTINGS)
    before = dict(vars(estimator))
    require_consistent(oracle.check_model(estimator, precision=precision), precision)
    assert vars(estimator) == before


def test_a_fitted_classifier_with_a_penalty_is_consistent_and_unchanged():
    """alpha is divided by the number of samples, which differs from case to case."""
    estimator, inputs, targets = fitted(MLPClassifier, alpha=0.5, hidden_layer_sizes=())
    before = pickle.dumps(estimator)
    report = oracle.check_model(estimator)
    require_consistent(report, "float64")
    assert "right for targets whose rows sum to 1" in report.notes[-1]
    assert not any(leaf.group == "targets not summing to 1" for leaf in report.leaves)
    adapted = oracle.adapt(estimator)
    assert adapted.network == fm.Network((4, 3), "softmax")
    require_consistent(adapted.check(inputs, np.eye(3)[targets]), "float64")
    assert pickle.dumps(estimator) == before


def test_a_spoilt_gradient_is_named():
    require_named(
        oracle.check_model(AveragingRegressor(**SETTINGS | {"hidden_layer_sizes": ()})), "bias-divided-twice", (0,)
    )


def test_parameters_go_both_ways():
    estimator, _, _ = fitted(MLPRegressor, dtype=np.float32)
    adapted = oracle.adapt(estimator)
    assert adapted.dtype == "float32"
    doubled = [(2 * weights, bias) for weights, bias in adapted.params]
    assert adapted.assign(doubled) is estimator
    np.testing.assert_array_equal(estimator.coefs_[1], 2 * adapted.params[1].weights)
    assert estimator.coefs_[1].dtype == np.float32


@pytest.mark.parametrize(
    ("end", "settings", "classes"), [("sigmoid", {}, 2), ("softmax", {"activation": "logistic"}, 3)]
)
def test_the_output_activation_is_that_of_the_fitted_classifier(end, settings, classes):
    estimator, _, _ = fitted(MLPClassifier, classes, **settings)
    assert oracle.adapt(estimator).network.activations[-1].name == end


def test_what_is_not_supported_is_refused(says):
    says(ValueError, ["loss='poisson'"], oracle.adapt, MLPRegressor(loss="poisson"))
    says(ValueError, ["has its own"], oracle.check_model, MLPRegressor(), fm.Loss("squared_error"))
    says(ValueError, ["fit it first"], oracle.adapt(MLPRegressor()).case, [[1.0]], [[1.0]])
    says(TypeError, ["class MLPRegressor", "make one"], oracle.adapt, MLPRegressor)


def test_another_version_is_refused(says, monkeypatch):
    monkeypatch.setattr(MLPRegressor, "_backprop", lambda self, X, y, workspace: None)  # noqa: N803
    says(ValueError, ["1.5 to 1.9", "workspace"], oracle.adapt, MLPRegressor())


def test_a_model_of_no_known_framework_is_refused(says):
    says(TypeError, ["check_function", "int"], oracle.check_model, 3)
