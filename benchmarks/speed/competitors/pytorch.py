"""PyTorch: `nn.Sequential` and `torch.optim.SGD`, eager and by `torch.compile`; several networks by `torch.func.vmap`.

Batches are split beforehand. Cross-entropies take logits. Its threads are as many as it chooses.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.speed.competitors import Runner
from benchmarks.speed.suite.problems import Training
from benchmarks.speed.suite.references import named, named_networks

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid}
Loss = Callable[[Any, Any], Any]


def network(problem: Training) -> nn.Sequential:
    """The layers; with a cross-entropy the last one gives logits."""
    layers: list[nn.Module] = []
    for number, (weights, _) in enumerate(problem.params):
        layers.append(nn.Linear(*weights.shape[-2:]))
        if number + 1 < len(problem.params) or problem.loss == "half_squared_error":
            layers.append(ACTIVATIONS[problem.activations[number]]())
    return nn.Sequential(*layers)


def loss_of(problem: Training) -> Loss:
    """The loss of outputs or logits (n, n_L)."""
    mean = problem.over_samples == "mean"

    def half_squared_error(outputs: Any, targets: Any) -> Any:
        each = 0.5 * ((outputs - targets) ** 2).sum(dim=1)
        return each.mean() if mean else each.sum()

    if problem.loss == "half_squared_error":
        return half_squared_error
    if problem.loss == "categorical_cross_entropy":
        return nn.CrossEntropyLoss(reduction=problem.over_samples)
    if mean and problem.sizes[-1] > 1:
        raise ValueError("expected one output, or the sum over samples: PyTorch would divide by the outputs too")
    return nn.BCEWithLogitsLoss(reduction=problem.over_samples)


def batches(problem: Training) -> list[tuple[Any, Any]]:
    """As tensors."""
    return [(torch.from_numpy(inputs), torch.from_numpy(targets)) for inputs, targets in problem.batches()]


def set_params(model: nn.Sequential, problem: Training) -> None:
    """Puts the initial values in."""
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        for layer, (weights, bias) in zip(linear, problem.params, strict=True):
            layer.weight.copy_(torch.from_numpy(weights.T))
            layer.bias.copy_(torch.from_numpy(bias))


def params_of(model: nn.Sequential) -> list[tuple[np.ndarray, np.ndarray]]:
    """As (fan_in, fan_out) and (fan_out,)."""
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    return [(layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy().copy()) for layer in linear]


def _loop(problem: Training, prepare: Callable[[Any], Any]) -> Runner:
    model, loss, data = network(problem), loss_of(problem), batches(problem)
    optimizer = torch.optim.SGD(model.parameters(), lr=problem.learning_rate)
    value = prepare(lambda inputs, targets: loss(model(inputs), targets))

    def run(epochs: int) -> nn.Sequential:
        set_params(model, problem)
        for _ in range(epochs):
            for inputs, targets in data:
                optimizer.zero_grad()
                value(inputs, targets).backward()
                optimizer.step()
        return model

    return Runner(run, lambda after: named(params_of(after)), problem.updates)


def eager(problem: Training) -> Runner:
    """As written."""
    return _loop(problem, lambda value: value)


def compiled(problem: Training) -> Runner:
    """With network and loss compiled; the optimiser is not, as usual."""
    return _loop(problem, torch.compile)


def vmapped(problem: Training) -> Runner:
    """Several networks: `vmap` of `grad` of `functional_call`, the update in place."""
    networks = problem.networks or 1
    model, loss, data = network(problem), loss_of(problem), batches(problem)
    initial: dict[str, Any] = {}
    names = [name for name, layer in model.named_children() if isinstance(layer, nn.Linear)]
    for name, (weights, bias) in zip(names, problem.params, strict=True):
        initial[f"{name}.weight"] = torch.from_numpy(np.ascontiguousarray(np.swapaxes(weights, 1, 2)))
        initial[f"{name}.bias"] = torch.from_numpy(bias)

    def value(params: Any, inputs: Any, targets: Any) -> Any:
        return loss(torch.func.functional_call(model, params, (inputs,)), targets)

    gradient = torch.func.vmap(torch.func.grad(value), in_dims=(0, None, None))

    def run(epochs: int) -> dict[str, Any]:
        params = {name: leaf.clone() for name, leaf in initial.items()}
        for _ in range(epochs):
            for inputs, targets in data:
                for name, grad in gradient(params, inputs, targets).items():
                    params[name].sub_(grad, alpha=problem.learning_rate)
        return params

    def leaves(params: dict[str, Any]) -> Any:
        pairs = ((params[f"{name}.weight"].numpy(), params[f"{name}.bias"].numpy()) for name in names)
        return named_networks(problem, ((np.swapaxes(w, 1, 2), b) for w, b in pairs))

    return Runner(run, leaves, problem.updates * networks, {"networks": networks})
