"""Which mistake makes which array wrong, and which arrays are wrong only because of what reaches them."""

from collections.abc import Mapping, Sequence

import numpy as np

from functional_mlp.oracle.case import by_path, layer_of, params_by_path
from functional_mlp.oracle.diagnosis import Diagnosis, Named
from functional_mlp.oracle.documents import Update
from functional_mlp.oracle.mistakes import WORDING, Slip, inject, inject_update, prepare
from functional_mlp.oracle.report.attachments import Exhibit
from functional_mlp.oracle.report.notation import Notation, listed, name_of
from functional_mlp.oracle.report.reported import Reported, network_diagnosis
from functional_mlp.oracle.report.sentences import is_of_update
from functional_mlp.oracle.verdict import Cause, Leaf, Verdict

CLOSE = 1e-12  # relative to the largest entry, of arrays that only rounding tells apart
FORWARD = ("{A} = ", "{Z} = ")  # how the fix of a mistake of the forward pass begins


def slips_of(mistakes: Sequence[Named], leaves: Sequence[Leaf]) -> tuple[Slip, ...]:
    """The mistakes as they are made; weights in the other layout are as they were turned to be compared."""
    turned = any(leaf.cause is Cause.SHAPE for leaf in leaves)
    made = (one for one in mistakes if not (turned and one.id == "weight-gradient-transposed"))
    return tuple(Slip(one.id, layer, one.variant, one.value) for one in made for layer in (one.layers or (None,)))


def spread_of(report: Reported, notation: Notation) -> tuple[str, ...]:
    """Sentences on arrays that are wrong because of one mistake only; () where there is nothing to say.

    Of one mistake: the arrays of other layers, to which it is only carried. Of several: what each makes wrong, as
    programs with all of them but one show.
    """
    diagnosis = network_diagnosis(report)
    if diagnosis is None or not diagnosis.mistakes:
        return ()
    wrong = _wrong_parameters(report, diagnosis)
    if len(diagnosis.mistakes) == 1:
        [named] = diagnosis.mistakes
        carried = [path for path in wrong if _is_carried(path, named)]
        return (_sentence(carried, "it", named, notation, report),) if carried else ()
    exhibit = next((one for one in report.exhibits if one.group == diagnosis.group), None)
    causes = {} if exhibit is None else _causes(exhibit, diagnosis, [*report.leaves], wrong)
    sentences = []
    for number, named in enumerate(diagnosis.mistakes):
        alone = [path for path, those in causes.items() if those == {number}]
        for paths in ([path for path in alone if _is_carried(path, named) == carried] for carried in (False, True)):
            if paths:
                sentences.append(_sentence(paths, f"mistake {number + 1}", named, notation, report))
    return tuple(sentences)


def _wrong_parameters(report: Reported, diagnosis: Diagnosis) -> list[str]:
    """The wrong arrays of the case that the diagnosis is of, as far as it explains them, from the outputs back."""
    paths = [
        leaf.path
        for leaf in report.leaves
        if leaf.group == diagnosis.group and leaf.verdict is Verdict.WRONG and leaf.path.startswith("params")
        if leaf.cause is not Cause.SHAPE  # which is a mistake of its own
    ]
    return sorted((path for path in paths if path not in diagnosis.unexplained), key=lambda path: -layer_of(path))


def _is_forward(named: Named) -> bool:
    wording = WORDING.get(named.id)
    templates = None if wording is None else wording.of(named.variant)
    return templates is not None and templates[1].startswith(FORWARD)


def _is_carried(path: str, named: Named) -> bool:
    """Whether a mistake is made in other layers than that of an array, from which it reaches it."""
    if not named.layers:
        return False
    return layer_of(path) not in named.layers if _is_forward(named) else layer_of(path) < min(named.layers)


def _sentence(paths: Sequence[str], cause: str, named: Named, notation: Notation, report: Reported) -> str:
    names = [name_of(path, gradient=not is_of_update(report)) for path in paths]
    are, them = ("is", "it") if len(names) == 1 else ("are", "them")
    sentence = f"{listed(names)} {are} wrong only because of {cause}"
    if not _is_carried(paths[0], named):
        return f"{sentence}."
    way = "reaches" if _is_forward(named) else "is sent back to"
    return f"{sentence}: what is wrong in {notation.place(named.layers)} {way} {them}."


def _causes(
    exhibit: Exhibit, diagnosis: Diagnosis, leaves: Sequence[Leaf], paths: Sequence[str]
) -> Mapping[str, set[int]]:
    """By path, the mistakes without which a program that makes all others computes another array."""
    mistakes = diagnosis.mistakes
    rate = exhibit.answer.learning_rate if isinstance(exhibit.answer, Update) else None
    prepared = prepare(exhibit.case)

    def arrays(made: Sequence[Named]) -> Mapping[str, np.ndarray]:
        slips = slips_of(made, leaves)
        if isinstance(exhibit.answer, Update):
            return params_by_path(inject_update(prepared, slips, 0.0 if rate is None else float(rate)))
        return by_path(inject(prepared, slips))

    try:
        with np.errstate(all="ignore"):
            whole = arrays(mistakes)
            without = [arrays([*mistakes[:i], *mistakes[i + 1 :]]) for i in range(len(mistakes))]
    except (ValueError, TypeError, LookupError):  # some are made only beside the others, or show in several steps only
        return {}
    return {
        path: {number for number, other in enumerate(without) if not _is_close(whole[path], other[path])}
        for path in paths
    }


def _is_close(one: np.ndarray, other: np.ndarray) -> bool:
    with np.errstate(all="ignore"):
        return bool((np.abs(one - other) <= CLOSE * np.max(np.abs(one), initial=0.0)).all())
