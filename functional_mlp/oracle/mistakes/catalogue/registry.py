"""All mistakes, by family and by id, and what the catalogue says of one."""

from collections.abc import Mapping

from functional_mlp.oracle.mistakes.catalogue.arrays import ARRAY_MISTAKES
from functional_mlp.oracle.mistakes.catalogue.chain_rule import CHAIN_RULE_MISTAKES
from functional_mlp.oracle.mistakes.catalogue.forward_pass import FORWARD_PASS_MISTAKES
from functional_mlp.oracle.mistakes.catalogue.loss import LOSS_MISTAKES
from functional_mlp.oracle.mistakes.catalogue.mistake import Mistake
from functional_mlp.oracle.mistakes.catalogue.reductions import REDUCTION_MISTAKES
from functional_mlp.oracle.mistakes.catalogue.regulariser import REGULARISER_MISTAKES
from functional_mlp.oracle.mistakes.catalogue.state import STATE_MISTAKES
from functional_mlp.oracle.mistakes.catalogue.update_step import UPDATE_STEP_MISTAKES

FAMILIES: Mapping[str, tuple[Mistake, ...]] = {
    "Chain rule": CHAIN_RULE_MISTAKES,
    "Reductions": REDUCTION_MISTAKES,
    "Whole arrays": ARRAY_MISTAKES,
    "Loss": LOSS_MISTAKES,
    "Forward pass": FORWARD_PASS_MISTAKES,
    "Regulariser": REGULARISER_MISTAKES,
    "Update step": UPDATE_STEP_MISTAKES,
    "State and precision": STATE_MISTAKES,
}
MISTAKES: Mapping[str, Mistake] = {mistake.id: mistake for family in FAMILIES.values() for mistake in family}
TAGS = {
    "exact": "one case and its gradients show it",
    "fitted": "one case shows it once its free number is fitted",
    "second-case": "it takes {second} to tell it from other mistakes",
}


def described(mistake: Mistake) -> dict[str, str]:
    """What the catalogue says of a mistake, by labels for people."""
    scopes = {"layer": "one layer, or every one", "network": "the whole pass", "update": "the update step"}
    scopes["rule"] = "the update rule"
    said = {
        "mistake": mistake.id,
        "what": mistake.sentence,
        "wrong": mistake.formula,
        "right": mistake.fix,
        "where": scopes[mistake.scope],
        "needs": "; ".join(condition.words for condition in mistake.where),
        "variants": ", ".join(mistake.variants),
        "free number": "" if mistake.parameter is None else mistake.parameter.name,
        "shown by": TAGS[mistake.tag].format(second=mistake.second),
        "kind": "a convention: right for another loss, sign or layout" if mistake.convention else "",
    }
    return {label: text for label, text in said.items() if text}
