"""The same check with a common mistake, to see it named: backward returns the derivative alone."""

import torch
from model import Relu, build

from functional_mlp import oracle


class Mistaken(Relu):
    """Relu with another backward."""

    @staticmethod
    def backward(ctx, ct_a):
        """From dLoss/da to dLoss/dz."""
        (z,) = ctx.saved_tensors
        return (z > 0).to(ct_a.dtype)


report = oracle.check_model(build(Mistaken), torch.nn.BCELoss(reduction="sum"), activations="relu")
print(report.text(), end="")
