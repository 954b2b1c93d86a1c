"""The losses of PyTorch, with all their options, are those of the oracle that the adapter takes them for."""

from functools import partial

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from tests.peers.models import PRECISIONS, framework, require_consistent

torch = framework("torch")
nn, F = torch.nn, torch.nn.functional

MEAN = ("mean", "mean")
FACTORS = (0.25, 1.0, 2.5)
WEIGHT = torch.tensor(FACTORS)
CLASSES = "softmax_cross_entropy"
# PyTorch's, the oracle's, and the targets that it is asked with
LOSSES = {
    "MSELoss": (nn.MSELoss(), fm.Loss("squared_error", *MEAN), None),
    "MSELoss sum": (nn.MSELoss(reduction="sum"), fm.Loss("squared_error"), None),
    "L1Loss": (nn.L1Loss(), fm.Loss("absolute_error", *MEAN), None),
    "HuberLoss": (nn.HuberLoss(delta=0.75), fm.Loss("huber", *MEAN, delta=0.75), None),
    "SmoothL1Loss": (nn.SmoothL1Loss(beta=0.3), fm.Loss("huber", *MEAN, delta=0.3, scale=1 / 0.3), None),
    "SmoothL1Loss, beta 0": (nn.SmoothL1Loss(beta=0.0), fm.Loss("absolute_error", *MEAN), None),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss(), fm.Loss("sigmoid_cross_entropy", *MEAN), None),
    "pos_weight": (
        nn.BCEWithLogitsLoss(pos_weight=WEIGHT),
        fm.Loss("sigmoid_cross_entropy", *MEAN, pos_weight=FACTORS),
        None,
    ),
    "one pos_weight": (
        nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0), reduction="sum"),
        fm.Loss("sigmoid_cross_entropy", pos_weight=3.0),
        None,
    ),
    "CrossEntropyLoss": (nn.CrossEntropyLoss(), fm.Loss(CLASSES, "mean"), None),
    "CrossEntropyLoss sum": (nn.CrossEntropyLoss(reduction="sum"), fm.Loss(CLASSES), None),
    "label smoothing": (nn.CrossEntropyLoss(label_smoothing=0.1), fm.Loss(CLASSES, "mean", label_smoothing=0.1), None),
    "weight": (nn.CrossEntropyLoss(weight=WEIGHT), fm.Loss(CLASSES, "mean", class_weights=FACTORS), "labels"),
    "weight sum": (
        nn.CrossEntropyLoss(weight=WEIGHT, reduction="sum"),
        fm.Loss(CLASSES, class_weights=FACTORS),
        None,
    ),
    "weight and smoothing": (
        nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.2),
        fm.Loss(CLASSES, "mean", class_weights=FACTORS, label_smoothing=0.2),
        "labels",
    ),
    "ignore_index": (nn.CrossEntropyLoss(ignore_index=1), fm.Loss(CLASSES, "mean", ignore_index=1), "labels"),
    "MultiMarginLoss": (nn.MultiMarginLoss(), fm.Loss("multiclass_hinge", *MEAN), "labels"),
    "MultiMarginLoss sum": (
        nn.MultiMarginLoss(reduction="sum"),
        fm.Loss("multiclass_hinge", over_outputs="mean"),
        "labels",
    ),
    "F.huber_loss": (partial(F.huber_loss, delta=2.0), fm.Loss("huber", *MEAN, delta=2.0), None),
    "F.cross_entropy": (
        partial(F.cross_entropy, label_smoothing=0.1),
        fm.Loss(CLASSES, "mean", label_smoothing=0.1),
        None,
    ),
    "NLLLoss": (nn.NLLLoss(), fm.Loss(CLASSES, "mean"), "labels"),
    "NLLLoss, weight": (nn.NLLLoss(weight=WEIGHT), fm.Loss(CLASSES, "mean", class_weights=FACTORS), "labels"),
    "KLDivLoss": (nn.KLDivLoss(), fm.Loss("softmax_kl_divergence", *MEAN), None),
    "KLDivLoss batchmean": (nn.KLDivLoss(reduction="batchmean"), fm.Loss("softmax_kl_divergence", "mean"), None),
}
OF_LOGS = ("NLLLoss", "NLLLoss, weight", "KLDivLoss", "KLDivLoss batchmean")


def model(name, hidden=None):
    end = [nn.LogSoftmax(dim=-1)] if name in OF_LOGS else []
    return nn.Sequential(nn.Linear(4, 5), hidden or nn.Tanh(), nn.Linear(5, 3), *end)


class Halved(torch.autograd.Function):
    """tanh, whose derivative is half of what it should be."""

    @staticmethod
    def forward(ctx, z):
        ctx.save_for_backward(z.tanh())
        return z.tanh()

    @staticmethod
    def backward(ctx, ct_a):
        (a,) = ctx.saved_tensors
        return ct_a * (1 - a * a) / 2


class Wrong(nn.Module):
    def forward(self, z):
        return Halved.apply(z)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_of_pytorch_is_the_oracles(name, dtype):
    own, meant, targets = LOSSES[name]
    adapted = oracle.adapt(model(name).to(getattr(torch, dtype)), own)
    assert (adapted.loss, adapted.targets) == (meant, targets)
    assert adapted.network.activations[-1].name == "identity"
    require_consistent(adapted.check(*data(adapted)), dtype)


def data(adapted):
    """Inputs and targets: class labels where the loss takes those."""
    case = oracle.draw_case(adapted.network, adapted.loss, samples=6, seed=2, dtype="float32")
    return case.inputs, case.targets.argmax(axis=1) if adapted.targets == "labels" else case.targets


@pytest.mark.parametrize("name", LOSSES)
def test_a_wrong_derivative_before_a_loss_of_pytorch_is_wrong(name):
    adapted = oracle.adapt(model(name, Wrong()), LOSSES[name][0], "tanh")
    assert adapted.check(*data(adapted)).verdict == "wrong"


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", LOSSES)
def test_a_right_model_is_consistent_with_probe_cases(name, precision):
    require_consistent(oracle.check_model(model(name), LOSSES[name][0], precision=precision), precision)


def test_class_weights_divide_by_n_where_targets_are_probabilities():
    """PyTorch divides by the weights of the labels, but by n where targets are probabilities."""
    own = nn.CrossEntropyLoss(weight=WEIGHT)
    for targets in ("labels", "soft", "any"):
        require_consistent(oracle.check_model(model(""), own, precision="float64", targets=targets), "float64")
    adapted = oracle.adapt(model(""), own)
    rows = np.array([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])
    assert adapted.case(np.ones((2, 4)), rows).loss.over_samples == "batch_mean"
    require_consistent(adapted.check(np.ones((2, 4)), rows), "float32")


def test_class_labels_may_be_declared():
    require_consistent(oracle.check_model(model(""), nn.CrossEntropyLoss(), targets="labels"), "float32")


def test_a_loss_of_labels_takes_no_probabilities(says):
    for own in (nn.MultiMarginLoss(), nn.CrossEntropyLoss(ignore_index=2)):
        says(ValueError, ["labels"], oracle.check_model, model(""), own, targets="soft")
        says(ValueError, ["labels"], oracle.adapt(model(""), own).case, np.ones((2, 4)), np.full((2, 3), 0.5))


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (nn.SoftMarginLoss(), ["SoftMarginLoss", "MSELoss", "functional_mlp.Loss"]),
        (nn.MSELoss(reduction="none"), ["'mean' or 'sum'", "'none'"]),
        (partial(F.mse_loss, reduction="none"), ["reduction", "'none'"]),
        (nn.BCELoss(weight=torch.ones(3)), ["weight=None"]),
        (nn.KLDivLoss(log_target=True), ["log_target=False"]),
        (nn.MultiMarginLoss(p=2), ["p=1", "got 2"]),
        (nn.NLLLoss(), ["log_softmax", "CrossEntropyLoss"]),
        (lambda outputs, targets: outputs.sum(), ["MSELoss", "<lambda>"]),
    ],
)
def test_other_losses_are_refused(loss, words, says):
    says(ValueError, words, oracle.adapt, nn.Linear(4, 3), loss)
