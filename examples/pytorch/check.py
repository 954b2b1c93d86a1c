"""Is the backward of Relu right, inside the network that uses it?"""

import torch
from model import build

from functional_mlp import oracle

report = oracle.check_model(build(), torch.nn.BCELoss(reduction="sum"), activations="relu")
print(report.text(), end="")
