"""scikit-learn's MLPClassifier and MLPRegressor: the gradient that their solvers use.

The solvers get it from the private method `_backprop`, the one private name that is called here. It is called on a
shallow copy of the estimator that holds other parameters, by the names of its arguments, which are those of
scikit-learn 1.5 to 1.9; a version with others is refused.

Judged is the gradient alone. The value of the loss that scikit-learn reports is another matter: it clips probabilities,
and for several outputs MLPRegressor averages over them where its gradient does not.
"""

import copy
import inspect
import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from functional_mlp.losses import Loss
from functional_mlp.oracle.adapters.adapted import Adapted
from functional_mlp.oracle.adapters.layers import Found, network_of, refuse
from functional_mlp.oracle.case import Layer
from functional_mlp.oracle.documents import Gradients

ACTIVATIONS = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}
# by estimator.loss and the activation of the output layer
LOSSES = {
    ("squared_error", "identity"): Loss("squared_error", over_samples="mean", scale=0.5),
    ("log_loss", "logistic"): Loss("binary_cross_entropy", over_samples="mean"),
    ("log_loss", "softmax"): Loss("categorical_cross_entropy", over_samples="mean"),
}
OUTPUTS = {"logistic": "sigmoid", "softmax": "softmax", "identity": "identity"}
INPUTS = 4
OUTPUTS_UNFITTED = {"squared_error": ("identity", 2), "log_loss": ("softmax", 3)}
NEEDED = {"X", "y", "activations", "deltas", "coef_grads", "intercept_grads"}
KNOWN = {*NEEDED, "sample_weight"}  # since 1.7


def adapt_sklearn(model: Any, loss: Any, activations: Any) -> Adapted:
    """The `Adapted` of an estimator; arguments and errors as `models.adapt`.

    An estimator that was not fitted is taken for one of 4 features, with 3 classes or 2 outputs.
    """
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    if not isinstance(model, MLPClassifier | MLPRegressor):
        raise TypeError(f"expected an MLPClassifier or MLPRegressor, got {type(model).__name__}")
    if loss is not None or activations is not None:
        raise ValueError("expected neither loss nor activations for an estimator of scikit-learn, which has its own")
    names = _argument_names()
    fitted = hasattr(model, "coefs_")
    default, outputs = OUTPUTS_UNFITTED.get(model.loss, ("", 0))
    end = model.out_activation_ if fitted else default
    if (model.loss, end) not in LOSSES:
        raise refuse(f"loss={model.loss!r}", "the oracle has no such loss")
    hidden = model.hidden_layer_sizes
    sizes = [INPUTS, *(hidden if isinstance(hidden, Iterable) else [hidden]), outputs]
    if fitted:
        sizes = [model.coefs_[0].shape[0], *(weights.shape[1] for weights in model.coefs_)]
    shapes = list(itertools.pairwise(sizes))
    specs = [ACTIVATIONS[model.activation]] * (len(shapes) - 1) + [OUTPUTS[end]]
    network = network_of([Found(f"coefs_[{i}]", *both) for i, both in enumerate(zip(shapes, specs, strict=True))])

    def gradients(params: Any, inputs: np.ndarray, targets: np.ndarray) -> Gradients:
        estimator = _with(copy.copy(model), params)
        estimator.n_layers_, estimator.out_activation_, estimator.n_outputs_ = len(sizes), end, sizes[-1]
        empty: list[Any] = [None] * len(params)
        given = {
            "X": inputs,
            "y": targets,
            "sample_weight": None,
            "activations": [inputs, *empty],
            "deltas": list(empty),
            "coef_grads": [np.empty_like(weights) for weights, _ in params],
            "intercept_grads": [np.empty_like(bias) for _, bias in params],
        }
        _, coef_grads, intercept_grads = estimator._backprop(**{name: given[name] for name in names})
        return Gradients(list(zip(coef_grads, intercept_grads, strict=True)))

    fitted_params = tuple(map(Layer, *_copies(model))) if fitted else None
    return Adapted(
        *(network, LOSSES[model.loss, end], fitted_params, gradients, lambda params: _with(model, params)),
        dtype=str(model.coefs_[0].dtype) if fitted else "float64",
        decay=float(model.alpha),
    )


def _argument_names() -> list[str]:
    """The names of the arguments of `_backprop` in this version of scikit-learn.

    Raises:
        ValueError: for a version of scikit-learn in which it is another method.
    """
    import sklearn.neural_network

    method = getattr(sklearn.neural_network.MLPRegressor, "_backprop", None)
    names = [] if method is None else [name for name in inspect.signature(method).parameters if name != "self"]
    if not NEEDED <= set(names) <= KNOWN:
        raise ValueError(
            f"expected scikit-learn 1.5 to 1.9, where _backprop takes {', '.join(sorted(NEEDED))}, got"
            f" {sklearn.__version__} with {', '.join(names) or 'none'}"
        )
    return names


def _with(model: Any, params: Any) -> Any:
    """The estimator with these parameters, in copies."""
    model.coefs_, model.intercepts_ = ([np.array(leaf) for leaf in leaves] for leaves in zip(*params, strict=True))
    return model


def _copies(model: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return [np.array(weights) for weights in model.coefs_], [np.array(bias) for bias in model.intercepts_]
