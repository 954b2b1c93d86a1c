"""A network in PyTorch whose activation is an autograd.Function with a backward written by hand."""

import torch


class Relu(torch.autograd.Function):
    """max(z, 0)."""

    @staticmethod
    def forward(ctx, z):
        """From z to the activations; keeps z."""
        ctx.save_for_backward(z)
        return z.clamp(min=0)

    @staticmethod
    def backward(ctx, ct_a):
        """From dLoss/da to dLoss/dz."""
        (z,) = ctx.saved_tensors
        return ct_a * (z > 0)


class Activation(torch.nn.Module):
    """An autograd.Function as a layer of a network."""

    def __init__(self, function):
        """From a subclass of torch.autograd.Function."""
        super().__init__()
        self.function = function

    def forward(self, z):
        """From z to the activations."""
        return self.function.apply(z)


def build(relu=Relu):
    """The network 2-4-3-1 with relu, relu and sigmoid."""
    return torch.nn.Sequential(
        torch.nn.Linear(2, 4),
        Activation(relu),
        torch.nn.Linear(4, 3),
        Activation(relu),
        torch.nn.Linear(3, 1),
        torch.nn.Sigmoid(),
    )
