"""The words of all mistakes."""

from collections.abc import Mapping

from functional_mlp.oracle.mistakes.wording.chain_rule import CHAIN_RULE_WORDING
from functional_mlp.oracle.mistakes.wording.forward_pass import FORWARD_PASS_WORDING
from functional_mlp.oracle.mistakes.wording.loss import LOSS_WORDING
from functional_mlp.oracle.mistakes.wording.reductions import REDUCTION_WORDING
from functional_mlp.oracle.mistakes.wording.regulariser import REGULARISER_WORDING
from functional_mlp.oracle.mistakes.wording.state import STATE_WORDING
from functional_mlp.oracle.mistakes.wording.update_step import UPDATE_STEP_WORDING
from functional_mlp.oracle.mistakes.wording.wording import Wording

WORDING: Mapping[str, Wording] = {
    **CHAIN_RULE_WORDING,
    **REDUCTION_WORDING,
    **LOSS_WORDING,
    **FORWARD_PASS_WORDING,
    **REGULARISER_WORDING,
    **UPDATE_STEP_WORDING,
    **STATE_WORDING,
}
