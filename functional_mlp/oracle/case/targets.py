"""Targets: which kind of them a loss wants, how they are drawn, and class labels as one-hot rows."""

import numpy as np

from functional_mlp._checks import known_name
from functional_mlp._dtypes import Array
from functional_mlp.losses import KINDS, Loss, one_hot
from functional_mlp.network import Network
from functional_mlp.oracle.case.layouts import Layout

SMALLEST_PROBABILITY = 0.05  # of a drawn target, times their number: no format rounds it to 0
CHOICES = ("one_hot", "soft", "any")
# by the kind that a loss wants, what is drawn for each of the choices
_DRAWN = {
    "real": ("one_hot", "soft_rows", "real"),
    "bits": ("bits", "soft", "soft"),
    "one_hot": ("one_hot", "soft_rows", "any_rows"),
    "signs": ("signs", "signs", "real"),
    "probabilities": ("one_hot", "probabilities", "probabilities"),
}


def declared_targets(targets: str | None) -> tuple[str | None, Layout]:
    """One of `CHOICES`, or None, and the layout of targets, from what somebody declares: a choice, or "labels".

    Raises:
        TypeError, ValueError: for anything else.
    """
    if targets is None:
        return None, Layout()
    known_name("kind of targets", targets, (*CHOICES, "labels"))
    return ("one_hot", Layout(targets="labels")) if targets == "labels" else (targets, Layout())


def drawn_kind(network: Network, loss: Loss | None, choice: str | None) -> str:
    """A kind of targets as `draw_targets` takes it: what people have, or what was chosen.

    People have one-hot rows after softmax, whatever the loss. Where outputs are no classes, any targets are as good.
    """
    kind = "real" if loss is None else KINDS[loss.kind].targets
    if kind == "real" and (loss is None or network.activations[-1].name != "softmax"):
        return kind
    return _DRAWN[kind][CHOICES.index(choice or CHOICES[0])]


def targets_for(network: Network, loss: Loss | None, kind: str, samples: int, rng: np.random.Generator) -> Array:
    """Targets (samples, n_L) of a kind as `draw_targets` has them, none of a class that the loss ignores."""
    drawn = draw_targets(kind, (samples, network.sizes[-1]), rng)
    ignored = None if loss is None else loss.ignore_index
    if kind != "one_hot" or ignored is None or not 0 <= ignored < drawn.shape[1]:
        return drawn
    return np.where(drawn[:, [ignored]] == 1, np.roll(drawn, 1, axis=1), drawn)


def draw_targets(kind: str, shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Targets (n, K): of a kind of `losses.TARGETS`; "soft", 0.1 to 0.9; "soft_rows", whose sums are 1; or "any_rows".

    The sums of "any_rows" are 1.75 and 0.5 in turn.
    """
    match kind:
        case "real":
            return rng.normal(size=shape)
        case "bits":
            return rng.integers(0, 2, shape).astype(np.float64)
        case "signs":
            return np.where(rng.integers(0, 2, shape) == 1, 1.0, -1.0)
        case "one_hot":
            return np.eye(shape[1])[rng.integers(0, shape[1], shape[0])]
        case "probabilities":
            return _of_sum_one(rng.uniform(SMALLEST_PROBABILITY, 1.0, shape))
    between = rng.uniform(0.1, 0.9, shape)
    if kind == "soft":
        return between
    rows = _of_sum_one(between)
    return rows if kind == "soft_rows" else rows * np.where(np.arange(shape[0]) % 2, 0.5, 1.75)[:, None]


def _of_sum_one(rows: Array) -> Array:
    scaled: Array = rows / rows.sum(axis=1, keepdims=True)
    return scaled


def are_labels(loss: Loss, given: tuple[int, ...], shape: tuple[int, int]) -> bool:
    """Whether targets of this shape are class labels: one number per sample, for a loss of several classes.

    Args:
        loss: of the case.
        given: the shape of the targets.
        shape: (n, K) of the outputs.
    """
    n, classes = shape
    return KINDS[loss.kind].targets == "one_hot" and classes > 1 and given in ((n,), (n, 1), (1, n))


def are_written_as_labels(loss: Loss, targets: Array) -> bool:
    """Whether targets (n, K) may be handed over as integers (n,): one-hot rows, or bits of one output."""
    sums, outputs = targets.sum(axis=1), targets.shape[1]
    if not ((targets == 0) | (targets == 1)).all():
        return False
    if KINDS[loss.kind].targets == "bits":
        return outputs == 1
    ignored = (sums == 0) & (loss.ignore_index is not None)
    return KINDS[loss.kind].targets == "one_hot" and outputs > 1 and bool(((sums == 1) | ignored).all())


def rows_of_labels(labels: Array, loss: Loss, classes: int) -> Array:
    """Rows (n, classes) with a 1 at each label, those of a label that the loss ignores all 0.

    Raises:
        TypeError, ValueError: for labels that are no integers from 0 to classes - 1.
    """
    flat = labels.ravel()
    with np.errstate(invalid="ignore"):  # NaN is no integer, and is said to be none
        whole = flat.astype(np.int64)
    if not np.array_equal(whole, flat):
        place = int(np.argmax(whole != flat))
        raise ValueError(
            f"expected targets to be class labels, integers, got {float(flat[place]):g} for sample {place}"
        )
    rows: Array = one_hot(whole, classes, loss.ignore_index)
    return rows


def labels_of_rows(rows: Array, loss: Loss) -> Array:
    """The class labels (n,) of one-hot rows; of rows of zeros the one that the loss ignores; of one bit that."""
    if rows.shape[1] == 1:
        return rows[:, 0].astype(np.int64)
    labels = rows.argmax(axis=1)
    return labels if loss.ignore_index is None else np.where(rows.any(axis=1), labels, loss.ignore_index)
