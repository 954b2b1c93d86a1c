"""Mistakes in the chain rule: the derivative of the activation, the way back through the weights, the pairing."""

from functional_mlp.oracle.mistakes.catalogue.chain_rule.derivatives import DERIVATIVE_MISTAKES
from functional_mlp.oracle.mistakes.catalogue.chain_rule.formulas import FORMULA_MISTAKES
from functional_mlp.oracle.mistakes.catalogue.chain_rule.masks import MASK_MISTAKES
from functional_mlp.oracle.mistakes.catalogue.chain_rule.pairing import PAIRING_MISTAKES
from functional_mlp.oracle.mistakes.catalogue.chain_rule.way_back import UPDATED_WEIGHTS_USED, WAY_BACK_MISTAKES

CHAIN_RULE_MISTAKES = (
    UPDATED_WEIGHTS_USED,
    *DERIVATIVE_MISTAKES,
    *FORMULA_MISTAKES,
    *MASK_MISTAKES,
    *WAY_BACK_MISTAKES,
    *PAIRING_MISTAKES,
)
