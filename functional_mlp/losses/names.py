"""Names that people know losses by, each answered with the name and the arguments that it has here."""

import difflib
from collections.abc import Mapping
from typing import Any

from functional_mlp._checks import known_name
from functional_mlp.losses.kinds import KINDS

_BITS = (
    "binary cross-entropy is 'binary_cross_entropy' of probabilities, after sigmoid, or 'sigmoid_cross_entropy' of"
    ' logits; over_samples="mean" for the mean'
)
_CLASSES = (
    "the cross-entropy of classes is 'categorical_cross_entropy' of probabilities, after softmax, or"
    " 'softmax_cross_entropy' of logits; over_samples=\"mean\" for the mean"
)
_MEAN = 'over_samples="mean", over_outputs="mean"'
_SQUARES = f"mean squared error is 'squared_error' with {_MEAN}, and scale=0.5 where there is a 1/2"
_ABSOLUTE = f"the absolute error is 'absolute_error'; {_MEAN} for the mean"
_HUBER = "Huber's loss is 'huber' with delta=...; PyTorch's smooth L1 of beta is delta=beta, scale=1 / beta"
_KL = (
    "the Kullback-Leibler divergence is 'kl_divergence' of probabilities, after softmax, or 'softmax_kl_divergence' of"
    ' logits; over_samples="mean" for PyTorch\'s batchmean'
)
_FOCAL = "the focal loss of logits is 'sigmoid_focal' with gamma and alpha, or 'softmax_focal' with gamma"
_NLL = (
    "the negative log-likelihood of classes is 'softmax_cross_entropy' of the logits, in place of log_softmax and the"
    " loss, or 'categorical_cross_entropy' of probabilities"
)
_SUM = "the sum of squared errors is 'squared_error' as it is, and with scale=0.5 where there is a 1/2"
_HINGE = "the hinge loss is 'hinge' of targets -1 and 1, or 'multiclass_hinge' of one-hot targets"
ANSWERS: Mapping[str, str] = {
    **dict.fromkeys(("mse", "mse_loss", "mean_squared_error", "l2", "l2_loss", "quadratic", "squared_loss"), _SQUARES),
    **dict.fromkeys(("sse", "sum_squared_error", "sum_of_squares", "half_squared_error", "half_mse"), _SUM),
    **dict.fromkeys(("mae", "l1", "l1_loss", "mean_absolute_error"), _ABSOLUTE),
    **dict.fromkeys(("smooth_l1", "smooth_l1_loss", "huber_loss"), _HUBER),
    **dict.fromkeys(("bce", "bce_loss", "log_loss", "logloss", "logistic", "bce_with_logits"), _BITS),
    **dict.fromkeys(("cross_entropy", "crossentropy", "cce", "ce", "sparse_categorical_crossentropy"), _CLASSES),
    **dict.fromkeys(("nll", "nll_loss", "negative_log_likelihood"), _NLL),
    **dict.fromkeys(("kl", "kld", "kl_div", "kl_loss"), _KL),
    **dict.fromkeys(("focal", "focal_loss"), _FOCAL),
    **dict.fromkeys(("svm", "hinge_loss", "multi_margin", "multi_margin_loss", "categorical_hinge"), _HINGE),
}


def known_kind(kind: Any) -> None:
    """Raises unless `kind` is one of `KINDS`; names that people use are answered with the right one.

    Raises:
        TypeError: if it is no string.
        ValueError: if it is unknown, with what is meant by it here, or the nearest known name.
    """
    if isinstance(kind, str) and kind not in KINDS:
        plain = kind.lower().replace("-", "_").replace(" ", "_")
        near = difflib.get_close_matches(plain, [*KINDS, *ANSWERS], n=1, cutoff=0.9)
        if near and near[0] in ANSWERS:
            raise ValueError(f"unknown loss {kind!r}: {ANSWERS[near[0]]}; known: {', '.join(sorted(KINDS))}")
    known_name("loss", kind, KINDS)
