"""Networks for a table: every architecture with every learning rate, from many initial values, on every fold.

What is told of a setting is a distribution over initial values and folds, not one lucky run.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from functional_mlp._checks import floating_dtype, known_name, positive_int
from functional_mlp._dtypes import Array
from functional_mlp._extras import require_packages
from functional_mlp.losses import Loss
from functional_mlp.network import Network, Params
from functional_mlp.saving import EVERY
from functional_mlp.sweeps import OPTIMIZERS, SweepResult, keys_of, sweep
from functional_mlp.tables import Encoding, Table, encoding_of, inputs_of, targets_of

LOSSES = {
    "classification": Loss("softmax_cross_entropy", over_samples="mean"),
    "regression": Loss("squared_error", over_samples="mean", over_outputs="mean"),
}
SCORES = {"classification": "accuracy", "regression": "error (root mean square)"}
EVALUATIONS = 100  # of a run, about
QUANTILES = (0.1, 0.5, 0.9)
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Settings:
    """What is tried.

    Attributes:
        hidden: the sizes of the hidden layers of each architecture; () for none.
        learning_rates: each tried with each architecture.
        seeds: initial values for each of these.
        seed: of the first, and of the split.
        epochs, batch_size: of each run; batches are at most as large as the training samples.
        optimizer: one of `OPTIMIZERS`.
        activation: of the hidden layers.
        folds: 1 for one split into training and test rows; more for as many folds, each of which is the test once.
        test_share: of the rows, with one fold.
        dtype: of parameters and data.
        task: "classification", "regression", or None for what the target looks like.
    """

    hidden: tuple[tuple[int, ...], ...] = ((16, 8),)
    learning_rates: tuple[float, ...] = (0.01,)
    seeds: int = 16
    seed: int = 0
    epochs: int = 200
    batch_size: int = 32
    optimizer: str = "adam"
    activation: str = "tanh"
    folds: int = 1
    test_share: float = 0.25
    dtype: str = "float32"
    task: str | None = None

    def __post_init__(self) -> None:
        for name in ("seeds", "epochs", "batch_size", "folds"):
            positive_int(name, getattr(self, name))
        known_name("optimiser", self.optimizer, OPTIMIZERS)
        known_name("dtype of a fit", self.dtype, ("float32", "float64"))
        if not self.hidden or not self.learning_rates:
            raise ValueError("expected at least one architecture and one learning rate, got none")
        if any(isinstance(sizes, int) for sizes in self.hidden):
            raise TypeError(
                f"expected hidden to be the sizes of each architecture, such as ((8,), (16, 8)), got {self.hidden}"
            )
        if any(not 0 <= rate < float("inf") for rate in self.learning_rates):
            raise ValueError(f"expected learning rates of at least 0, got {', '.join(map(str, self.learning_rates))}")
        if len(set(self.hidden)) < len(self.hidden) or len(set(self.learning_rates)) < len(self.learning_rates):
            raise ValueError(f"expected different settings, got {self.hidden} with the rates {self.learning_rates}")
        if not 0 < self.test_share < 1:
            raise ValueError(f"expected a share of test rows between 0 and 1, got {self.test_share}")

    def described(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


class Tried(NamedTuple):
    """One setting, over its initial values and folds.

    Attributes:
        hidden: sizes of the hidden layers.
        learning_rate: of the optimiser.
        parameters: how many numbers the network has.
        scores: (folds, seeds) at the end of each run: the accuracy, or the error in the unit of the quantity.
        epochs: (evaluations,) when it was evaluated.
        curves: by "train" and "test" the loss at these, (3, evaluations): quantiles of 10, 50 and 90 %.
    """

    hidden: tuple[int, ...]
    learning_rate: float
    parameters: int
    scores: Array
    epochs: Array
    curves: dict[str, Array]

    @property
    def name(self) -> str:
        """For tables: such as "16-8, rate 0.01"."""
        return f"{architecture(self.hidden)}, rate {self.learning_rate:g}"

    @property
    def diverged(self) -> int:
        """Runs whose score is no number."""
        return int((~np.isfinite(self.scores)).sum())

    def quantiles(self) -> Array:
        """The scores' quantiles of 10, 50 and 90 %, over what is finite; NaN if nothing is."""
        finite = self.scores[np.isfinite(self.scores)]
        return np.quantile(finite, QUANTILES) if finite.size else np.full(3, np.nan)


class Fit(NamedTuple):
    """What came of a table.

    Attributes:
        encoding: of the rows that the network was trained on.
        network, params: of the best setting.
        tried: every setting, the best first.
        settings: that were asked for.
        rows: of training and test of the first fold.
    """

    encoding: Encoding
    network: Network
    params: Params
    tried: tuple[Tried, ...]
    settings: Settings
    rows: tuple[Rows, Rows]

    @property
    def task(self) -> str:
        """ "classification" or "regression"."""
        return self.encoding.target.task


class Work(NamedTuple):
    """One sweep of a fit: an architecture on a fold, or the best one on all rows.

    Attributes:
        number, of: which it is, from 1, of how many.
        name: for people.
        epochs: of its runs.
    """

    number: int
    of: int
    name: str
    epochs: int


Watch = Callable[[Work, Any], bool | None]  # sees how far a sweep is; True ends it


class DivergedError(ValueError):
    """Every run of every setting diverged: there is nothing to compare, and nothing to keep."""


class InterruptedFitError(RuntimeError):
    """A fit that was asked to end; what is saved is gone on with."""


def architecture(hidden: Sequence[int]) -> str:
    """For people and folders: 16-8, or "none" without hidden layers."""
    return "-".join(map(str, hidden)) or "none"


def fit(
    table: Table,
    settings: Settings | None = None,
    *,
    directory: Path | None = None,
    save_every: float = EVERY,
    watch: Watch | None = None,
) -> Fit:
    """Trains every setting on every fold, and keeps the network of the best one.

    The best setting is that with the best median score. With one fold its network is the run whose score is the median;
    with several it is trained again on all rows, and is the run with the median training loss.

    Args:
        table: of `usable`: its last column is the target.
        settings: what is tried.
        directory: where each sweep is saved, so that the same call goes on; needs orbax-checkpoint.
        save_every: seconds between two checkpoints.
        watch: called after every part of a sweep.

    Raises:
        ImportError: without scikit-learn; for a directory, without orbax-checkpoint.
        TypeError, ValueError: as `encoding_of` and `sweep`.
        DivergedError: a ValueError: if no run of any setting ended with a finite score.
        InterruptedFitError: if `watch` ended it.
    """
    settings = settings or Settings()
    asked = _Asked(settings, directory, save_every, watch)
    encoding, folds = checked(table, settings)
    count = len(settings.hidden) * len(folds) + (len(folds) > 1)
    results: dict[tuple[int, ...], list[_Scored]] = {hidden: [] for hidden in settings.hidden}
    medians: dict[tuple[tuple[int, ...], float], Params] = {}  # the networks to choose from, where one fold is all
    for fold, (training, test) in enumerate(folds):
        data = _encoded(table, settings, training, test)
        for number, hidden in enumerate(settings.hidden, fold * len(settings.hidden) + 1):
            work = Work(number, count, _named(hidden, fold, folds), settings.epochs)
            result = _trained(asked, hidden, settings.learning_rates, data, work)
            scored = _scored(data.encoding, result)
            results[hidden].append(scored)
            for at, rate in enumerate(settings.learning_rates if len(folds) == 1 else ()):
                first = at * settings.seeds
                middle = first + _middle(scored.scores[first : first + settings.seeds])
                medians[hidden, rate] = _run(result.params, middle)
    tried = [one for hidden in results for one in _of_architecture(hidden, encoding, results[hidden], settings)]
    tried.sort(key=lambda one: _rank(one, higher=bool(encoding.target.classes)))
    best = tried[0]
    if best.diverged == best.scores.size:
        raise DivergedError(
            "expected a learning rate with which some runs come to an end, got"
            f" {', '.join(f'{rate:g}' for rate in settings.learning_rates)}, with which all diverge; try a smaller one"
        )
    if len(folds) == 1:
        params = medians[best.hidden, best.learning_rate]
    else:
        data = _encoded(table, settings, np.arange(len(table.lines)))
        work = Work(count, count, f"{best.name}, all rows", settings.epochs)
        result = _trained(asked, best.hidden, (best.learning_rate,), data, work)
        params = _run(result.params, _middle(np.asarray(result.history["train_loss"])[:, -1]))
    network = _network(data.encoding, best.hidden, settings)
    return Fit(data.encoding, network, params, tuple(tried), settings, folds[0])


def checked(table: Table, settings: Settings) -> tuple[Encoding, list[tuple[Rows, Rows]]]:
    """How a table is encoded, and the rows of training and test of each fold, before anything is trained.

    Raises:
        ImportError, TypeError, ValueError: as `fit`.
    """
    encoding = encoding_of(table, settings.task)
    for hidden in settings.hidden:
        _network(encoding, hidden, settings)
    return encoding, list(split(table, encoding, settings))


class _Asked(NamedTuple):
    """How the sweeps of a fit are done: arguments of `fit`."""

    settings: Settings
    directory: Path | None
    save_every: float
    watch: Watch | None


class _Encoded(NamedTuple):
    """The rows of a fold as arrays, scaled by those of training.

    Attributes:
        encoding: of the columns.
        inputs, targets: of training.
        test: `eval_inputs` and `eval_targets` of `sweep`; {} without test rows.
    """

    encoding: Encoding
    inputs: Any
    targets: Any
    test: dict[str, Any]


class _Scored(NamedTuple):
    """What the runs of a sweep came to.

    Attributes:
        scores: (runs,) at the end; NaN of those that diverged.
        losses: by "train" and "test", (runs, evaluations).
        epochs: (evaluations,) of these.
    """

    scores: Array
    losses: dict[str, Array]
    epochs: Array


def split(table: Table, encoding: Encoding, settings: Settings) -> Iterator[tuple[Rows, Rows]]:
    """The rows of training and test of each fold; of classes as many on either side as there are in all.

    Raises:
        ImportError: without scikit-learn.
        ValueError: if there are too few rows.
    """
    require_packages("a fit", "sklearn")
    from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

    rows, cells = np.arange(len(table.lines)), table.columns[-1]
    counts = [cells.count(name) for name in encoding.target.classes]
    if settings.folds == 1:
        shares = {"test_size": settings.test_share, "random_state": settings.seed}
        enough = bool(counts) and min(counts) >= 2
        yield tuple(train_test_split(rows, stratify=cells if enough else None, **shares))
        return
    if settings.folds > len(rows):
        raise ValueError(f"expected at most as many folds as rows, {len(rows)}, got {settings.folds}")
    kind = StratifiedKFold if counts and min(counts) >= settings.folds else KFold
    yield from kind(settings.folds, shuffle=True, random_state=settings.seed).split(rows, cells)


def _network(encoding: Encoding, hidden: Sequence[int], settings: Settings) -> Network:
    return Network((encoding.width, *hidden, encoding.outputs), (*(settings.activation,) * len(hidden), "identity"))


def _named(hidden: Sequence[int], fold: int, folds: Sequence[Any]) -> str:
    return architecture(hidden) + (f", fold {fold + 1} of {len(folds)}" if len(folds) > 1 else "")


def _encoded(table: Table, settings: Settings, training: Rows, test: Rows | None = None) -> _Encoded:
    encoding = encoding_of(table, settings.task, training.tolist())
    dtype = floating_dtype("dtype", settings.dtype)
    inputs, targets = (array.astype(dtype) for array in (inputs_of(encoding, table), targets_of(encoding, table)))
    of_test = {} if test is None else {"eval_inputs": inputs[test], "eval_targets": targets[test]}
    return _Encoded(encoding, inputs[training], targets[training], of_test)


def _trained(asked: _Asked, hidden: Sequence[int], rates: Sequence[float], data: _Encoded, work: Work) -> SweepResult:
    """A sweep over learning rates and initial values."""
    settings, directory, save_every, watch = asked
    ended = False

    def seen(so_far: Any) -> bool:
        nonlocal ended
        ended = bool(watch and watch(work, so_far))
        return ended

    task = data.encoding.target.task
    result = sweep(
        _network(data.encoding, hidden, settings),
        LOSSES[task],
        data.inputs,
        data.targets,
        keys=keys_of(settings.seed, settings.seeds),
        epochs=settings.epochs,
        optimizer=OPTIMIZERS[settings.optimizer],
        learning_rates=rates,
        dtype=settings.dtype,
        batch_size=min(settings.batch_size, len(data.inputs)),
        shuffle=True,
        eval_every=max(1, settings.epochs // EVALUATIONS),
        metrics=("loss", "accuracy") if task == "classification" else ("loss",),
        callback=seen,
        directory=None if directory is None else directory / f"{work.number}",
        save_every=save_every,
        **data.test,
    )
    if ended:
        raise InterruptedFitError(f"{work.name} was asked to end")
    return result


def _scored(encoding: Encoding, result: SweepResult) -> _Scored:
    history = {name: np.asarray(values, np.float64) for name, values in result.history.items()}
    if encoding.target.classes:
        scores = history["eval_accuracy"][:, -1]
    else:
        scores = np.sqrt(history["eval_loss"][:, -1]) * encoding.target.divided_by
    lost = ~np.isfinite(history["train_loss"][:, -1]) | ~np.isfinite(history["eval_loss"][:, -1])
    losses = {"train": history["train_loss"], "test": history["eval_loss"]}
    return _Scored(np.where(lost, np.nan, scores), losses, history["epoch"])


def _of_architecture(
    hidden: tuple[int, ...], encoding: Encoding, results: Sequence[_Scored], settings: Settings
) -> list[Tried]:
    """The settings of one architecture: its learning rates."""
    sizes = _network(encoding, hidden, settings).sizes
    parameters = sum((fan_in + 1) * fan_out for fan_in, fan_out in itertools.pairwise(sizes))
    tried = []
    for at, rate in enumerate(settings.learning_rates):
        own = slice(at * settings.seeds, (at + 1) * settings.seeds)
        scores = np.stack([of_fold.scores[own] for of_fold in results])
        curves = {
            name: _quantiles_of(np.concatenate([of_fold.losses[name][own] for of_fold in results]))
            for name in ("train", "test")
        }
        tried.append(Tried(hidden, rate, parameters, scores, results[0].epochs, curves))
    return tried


def _quantiles_of(runs: Array) -> Array:
    """(3, evaluations) over the runs, of what is finite."""
    found = np.full((len(QUANTILES), runs.shape[1]), np.nan)
    for at, column in enumerate(runs.T):
        finite = column[np.isfinite(column)]
        if finite.size:
            found[:, at] = np.quantile(finite, QUANTILES)
    return found


def _rank(one: Tried, higher: bool) -> tuple[float, float, int]:
    """The better, the smaller; of equal medians that with the better worst runs, and then the smaller network."""
    low, median, high = map(float, one.quantiles())
    if not np.isfinite(median):
        return np.inf, np.inf, one.parameters
    return (-median, -low, one.parameters) if higher else (median, high, one.parameters)


def _middle(scores: Array) -> int:
    """The run whose score is the median of those that are numbers."""
    order = np.argsort(scores, kind="stable")  # what is not finite is sorted to the end
    return int(order[max(0, (int(np.isfinite(scores).sum()) - 1) // 2)])


def _run(params: Params, number: int) -> Params:
    chosen: Params = jax.tree.map(lambda leaf: np.asarray(leaf)[number], params)
    return chosen
