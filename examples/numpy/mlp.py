"""A multilayer perceptron in NumPy, as one writes it in a course: relu, and a sigmoid at the end."""

import numpy as np


class MLP:
    """Weights are (fan_in, fan_out), samples are rows; `ct_x` is the derivative of the loss with respect to x."""

    def __init__(self, layers):
        """From (weights, bias) per layer."""
        self.weights = [weights for weights, _ in layers]
        self.biases = [bias for _, bias in layers]

    def forward(self, inputs):
        """The probabilities (n, 1) of the class 1; keeps what `backward` needs."""
        self.activations = [inputs]
        for weights, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            self.activations.append(np.maximum(self.activations[-1] @ weights + bias, 0))
        logits = self.activations[-1] @ self.weights[-1] + self.biases[-1]
        return 1 / (1 + np.exp(-logits))

    def backward(self, inputs, targets):
        """The gradients of the binary cross-entropy, summed over the samples: (weights, bias) per layer."""
        ct_z = self.forward(inputs) - targets
        gradients = []
        for weights, below in zip(reversed(self.weights), reversed(self.activations), strict=True):
            gradients.insert(0, self.layer_gradients(below, ct_z))
            ct_z = (ct_z @ weights.T) * (below > 0)
        return gradients

    def layer_gradients(self, below, ct_z):
        """The gradients of the weights and the bias of a layer; `below` is what it was given."""
        return below.T @ ct_z, ct_z.sum(axis=0)
