"""Conventions that change the function a little: an epsilon in log, division or softmax; clipped probabilities.

Whoever computes log(p + 1e-7) computes another function, though nobody means another one. Where a loss or gradients are
WRONG, they are compared with those of this family, by the same floors. The one free number is no continuous one, which
would explain any loss: it is among those that people write (`EPSILONS`), and must explain every number to the noise.

A loss that is explained so is CONSISTENT, with a note: it is only reported. Gradients are as long as the convention
changes none of the arrays by more than `MATERIAL` of its norm, which no descent notices beside the noise of batches.
Beyond that, as where a saturated sample loses its gradient, they stay WRONG, and the mistake is named.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from functional_mlp._dtypes import Array
from functional_mlp.activations import numpy_value, sigmoid, softmax
from functional_mlp.losses import penalty_value
from functional_mlp.oracle.case import Case
from functional_mlp.oracle.documents import Gradients, digits_of
from functional_mlp.oracle.mistakes import MISTAKES, Prepared, Slip, applies, injected_arrays, prepare
from functional_mlp.oracle.noise import Noise
from functional_mlp.oracle.truth import Solution
from functional_mlp.oracle.verdict.given import Handed, given_leaves
from functional_mlp.oracle.verdict.judging import Question, judge_leaf, truth_of
from functional_mlp.oracle.verdict.leaf import Leaf, Verdict
from functional_mlp.oracle.verdict.sentences import conditions_of

MATERIAL = 1e-3
EPSILONS = (*(10.0**-power for power in range(6, 17)), 2.0**-52, 2.0**-23)  # none above a millionth
IN_GRADIENTS = (
    "epsilon-in-log",
    "saturated-gradient-clipped",
)  # mistakes that are conventions as long as they are small


class Conventional(NamedTuple):
    """Leaves after conventions were considered.

    Attributes:
        leaves: those that a convention explains are CONSISTENT.
        notes: which convention it is.
        given: what is left to be explained by mistakes: without a loss that a convention explains.
    """

    leaves: tuple[Leaf, ...]
    notes: tuple[str, ...]
    given: Gradients


def by_convention(
    case: Case,
    solution: Solution,
    noise: Noise,
    given: Gradients,
    leaves: Sequence[Leaf],
    *,
    material: float = MATERIAL,
) -> Conventional:
    """What `judge` found, with conventions that change the function a little taken for none but themselves.

    Args:
        case, solution, noise, given: as `judge` takes them.
        leaves: as it returned them.
        material: of an array's norm, the most that a convention may change it by; of a case that was chosen to be
            saturated that says nothing of the program, and may be infinite.
    """
    found = {leaf.path: leaf for leaf in leaves}
    wrong = {path for path, leaf in found.items() if leaf.verdict is Verdict.WRONG}
    if not wrong or case.loss is None or case.loss.kind not in OF_LOSS:
        return Conventional(tuple(leaves), (), given)
    handed = {path: leaf for path, leaf in given_leaves(case, given).items() if isinstance(leaf, Handed)}
    judged, prepared = _Judged(noise, given, handed), prepare(case)
    notes: list[str] = []
    with np.errstate(all="ignore"):
        if "loss" in wrong and "loss" in handed:
            explained = _loss_explained(case, prepared, judged)
            if explained is not None:
                found["loss"], words = explained
                notes.append(f"the loss is that of {words}: a convention, no error")
                given = given._replace(loss=None)
        others = wrong - {"loss"}
        if others and others <= handed.keys():
            gradients = _gradients_explained(solution, prepared, judged, others, material)
            if gradients is not None:
                found |= gradients[0]
                notes.append(gradients[1])
    return Conventional(tuple(found[leaf.path] for leaf in leaves), tuple(notes), given)


class _Judged(NamedTuple):
    """What is needed to judge an array against another truth."""

    noise: Noise
    given: Gradients
    handed: Mapping[str, Handed]

    def against(self, path: str, true: Array) -> Leaf:
        """The verdict on an array if this were the true one."""
        floor, limits = self.noise.floors[path], self.noise.limits[path]
        question = Question(path, true, self.handed[path], true, floor, digits_of(self.given, path), limits)
        return judge_leaf(question, conditions_of(self.noise))


# the loss


IN_LOSS: Mapping[str, Callable[[Array, float], Array]] = {
    "log(p + {0:.3g})": lambda p, epsilon: p + epsilon,
    "log(max(p, {0:.3g}))": np.maximum,
    "probabilities clipped to [{0:.3g}, 1 - {0:.3g}]": lambda p, epsilon: np.clip(p, epsilon, 1 - epsilon),
}


def _loss_explained(case: Case, prepared: Prepared, judged: _Judged) -> tuple[Leaf, str] | None:
    """The loss as a consistent leaf, and which one it is; None if no convention explains it."""
    best: tuple[float, Leaf, str] | None = None
    for value, words in _losses(case, prepared):
        leaf = judged.against("loss", np.asarray(value))
        if leaf.verdict is Verdict.CONSISTENT and (best is None or leaf.error < best[0]):
            best = leaf.error, leaf, words
    return None if best is None else best[1:]


def _losses(case: Case, prepared: Prepared) -> Iterator[tuple[float, str]]:
    """The value of the loss by every convention, and what it is of."""
    loss, targets = case.loss, case.targets
    assert loss is not None
    assert targets is not None
    activation, p = OF_LOSS[loss.kind], prepared.tape.activations[-1]
    p = p if activation is None else numpy_value(activation, p)
    coefficients = loss.coefficients(targets, case.sample_weights, np.float64, np)
    effective = loss.effective_targets(targets)
    penalty = penalty_value(loss, case.params)
    for words, change in IN_LOSS.items():
        for epsilon in EPSILONS:
            terms = -np.asarray(loss.pos_weight) * effective * np.log(change(p, epsilon))
            if loss.kind in ("binary_cross_entropy", "sigmoid_cross_entropy"):
                terms = terms - (1 - effective) * np.log(change(1 - p, epsilon))
            yield float((coefficients * terms).sum() + penalty), words.format(epsilon)
    for slip in _slips(prepared, "epsilon-in-log", ["softmax"]):
        yield float(injected_arrays(prepared, (slip,), ["loss"])["loss"]), _words(slip)


# gradients


def _gradients_explained(
    solution: Solution, prepared: Prepared, judged: _Judged, wrong: set[str], material: float
) -> tuple[dict[str, Leaf], str] | None:
    """The wrong arrays as consistent leaves, and which convention it is; None if none explains all that was given."""
    truth = truth_of(solution)
    if not all(_change(judged.handed[path].values, truth[path]) <= 2 * material for path in wrong):
        return None  # nothing that changes so much is a convention
    first = min(wrong, key=lambda path: truth[path].size)
    paths = [path for path in judged.handed if path != "loss"]
    for slip in (slip for mistake_id in IN_GRADIENTS for slip in _slips(prepared, mistake_id)):
        if judged.against(first, _arrays(prepared, slip, [first])[first]).verdict is Verdict.WRONG:
            continue
        arrays = _arrays(prepared, slip, paths)
        changes = max(_change(arrays[path], truth[path]) for path in paths)
        own = {path: judged.against(path, arrays[path]) for path in paths}
        if changes <= material and all(leaf.verdict is not Verdict.WRONG for leaf in own.values()):
            words = f"which changes them by at most {changes:.1g} of their norm: a convention, no error"
            if changes > MATERIAL:
                words = (
                    f"which changes them by {changes:.1g} of their norm where outputs are all but 0 or 1; a loss of the"
                    " logits keeps them"
                )
            return {path: own[path] for path in wrong}, f"the gradients are those of {_words(slip)}, {words}"
    return None


def _slips(prepared: Prepared, mistake_id: str, variants: Sequence[str] = ()) -> Iterator[Slip]:
    """A mistake of the catalogue with every epsilon that is a convention, wherever it shows in the case."""
    for variant in variants or MISTAKES[mistake_id].variants:
        for epsilon in EPSILONS:
            if applies(prepared, mistake_id, variant=variant, value=epsilon):
                yield Slip(mistake_id, None, variant, epsilon)


def _arrays(prepared: Prepared, slip: Slip, paths: Sequence[str]) -> dict[str, Array]:
    arrays = injected_arrays(prepared, (slip,), paths)
    return {path: np.asarray(array, np.float64) for path, array in arrays.items()}


def _change(array: Array, true: Array) -> float:
    """How much an array differs from the true one, of whose norm; 0 for two arrays of zeros."""
    far, size = float(np.linalg.norm(array - true)), float(np.linalg.norm(true))
    return far / size if size else np.inf if far else 0.0


def _words(slip: Slip) -> str:
    return WORDS[slip.id, slip.variant or ""].format(slip.value)


WORDS = {
    ("epsilon-in-log", "log"): "log(p + {0:.3g})",
    ("epsilon-in-log", "division"): "a division by p(1 - p) + {0:.3g}",
    ("epsilon-in-log", "softmax"): "a softmax with {0:.3g} added to its denominator",
    ("saturated-gradient-clipped", "zero"): "probabilities clipped to [{0:.3g}, 1 - {0:.3g}]",
    ("saturated-gradient-clipped", "subtracted"): "p - t with p clipped to [{0:.3g}, 1 - {0:.3g}]",
    ("saturated-gradient-clipped", "clipped"): "1/p at p clipped to [{0:.3g}, 1 - {0:.3g}]",
}
OF_LOSS = {
    "binary_cross_entropy": None,
    "categorical_cross_entropy": None,
    "sigmoid_cross_entropy": sigmoid(),
    "softmax_cross_entropy": softmax(),
}
