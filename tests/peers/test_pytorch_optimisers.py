"""The update rules take the steps of PyTorch's optimisers, in all their forms."""

import numpy as np
import pytest

from functional_mlp.update_rules import Adam, Descent, Momentum, RMSprop
from tests.peers.models import framework

torch = framework("torch")
optim = torch.optim

PAIRS = {
    "SGD": (Descent(0.1, 0.02), lambda p: optim.SGD(p, 0.1, weight_decay=0.02)),
    "momentum": (Momentum(0.1, weight_decay=0.02), lambda p: optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.02)),
    "dampening": (Momentum(0.1, dampening=0.5), lambda p: optim.SGD(p, 0.1, momentum=0.9, dampening=0.5)),
    "Nesterov": (Momentum(0.1, nesterov=True), lambda p: optim.SGD(p, 0.1, momentum=0.9, nesterov=True)),
    "Adam": (Adam(0.1, weight_decay=0.02), lambda p: optim.Adam(p, 0.1, weight_decay=0.02)),
    "AdamW": (Adam(0.1, weight_decay=0.02, decoupled=True), lambda p: optim.AdamW(p, 0.1, weight_decay=0.02)),
    "RMSprop": (RMSprop(0.1, decay=0.99), lambda p: optim.RMSprop(p, 0.1)),
    "RMSprop, all": (
        RMSprop(0.1, decay=0.95, centred=True, momentum=0.5, weight_decay=0.02),
        lambda p: optim.RMSprop(p, 0.1, alpha=0.95, centered=True, momentum=0.5, weight_decay=0.02),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_rule_takes_the_steps_of_pytorch(name):
    rule, make = PAIRS[name]
    rng = np.random.default_rng(3)
    params = rng.normal(size=(3, 4))
    theirs = torch.nn.Parameter(torch.tensor(params.copy()))
    optimizer, state = make([theirs]), rule.init(params)
    for gradient in rng.normal(size=(6, 3, 4)):
        theirs.grad = torch.tensor(gradient.copy())
        optimizer.step()
        state, params = rule.step(state, params, gradient)
        np.testing.assert_allclose(params, theirs.detach().numpy(), rtol=1e-11, atol=1e-13)
