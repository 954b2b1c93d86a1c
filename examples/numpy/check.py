"""Is the gradient of MLP right?"""

from mlp import MLP

from functional_mlp import Loss, Network, oracle

network, loss = Network((2, 4, 3, 1), ("relu", "relu", "sigmoid")), Loss("binary_cross_entropy")
report = oracle.check_function(lambda params, x, t: MLP(params).backward(x, t), network, loss)
print(report.text(), end="")
