"""Mistakes of the forward pass: the gradient is right, for another function."""

from functional_mlp.oracle.mistakes.catalogue.forward_pass.approximations import APPROXIMATION_MISTAKES
from functional_mlp.oracle.mistakes.catalogue.forward_pass.other_functions import OTHER_FUNCTION_MISTAKES
from functional_mlp.oracle.mistakes.catalogue.forward_pass.slips import SLIP_MISTAKES

FORWARD_PASS_MISTAKES = (*OTHER_FUNCTION_MISTAKES, *SLIP_MISTAKES, *APPROXIMATION_MISTAKES)
