"""The same check of a class with a common mistake, to see it named: the bias's gradient is averaged, not summed."""

from mlp import MLP

from functional_mlp import Loss, Network, oracle


class Mistaken(MLP):
    """MLP with another `layer_gradients`."""

    def layer_gradients(self, below, ct_z):
        """The gradients of the weights and the bias of a layer; `below` is what it was given."""
        return below.T @ ct_z, ct_z.mean(axis=0)


network, loss = Network((2, 4, 3, 1), ("relu", "relu", "sigmoid")), Loss("binary_cross_entropy")
report = oracle.check_function(lambda params, x, t: Mistaken(params).backward(x, t), network, loss)
print(report.text(), end="")
