"""What the forward pass of a PyTorch module computes: linear layers and activations, from the graph of `torch.fx`.

The graph is walked back from the output, linear layer by linear layer. Linear layers may be `nn.Linear`, or modules of
your own that hold a weight (fan_out, fan_in), perhaps a bias (fan_out,), and nothing else. Any other module of yours
without parameters, any other activation of PyTorch's, and any other computation between two layers, is an activation
whose meaning must be declared. The slope of `nn.PReLU` is taken as it is; it is no parameter of the oracle's networks.
Refused are whatever has other parameters (normalisation, convolution), dropout in training mode, layers used twice, and
outputs of earlier layers that come in again (residual connections).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from functional_mlp.oracle.adapters.layers import (
    CELU,
    ELU,
    PLAIN,
    SOFTSIGN,
    Argument,
    Found,
    Rule,
    follow,
    gelu_rule,
    leaky_relu_rule,
    prelu_rule,
    refuse,
    softmax_rule,
)

# by the names of modules, functions and methods, small letters without underscores
TORCH_RULES = {name.replace("_", ""): rule for name, rule in PLAIN.items()} | {
    "softsign": SOFTSIGN,
    "sin": Rule("sin"),
    "cos": Rule("cos"),
    "leakyrelu": leaky_relu_rule(0.01),
    "prelu": prelu_rule("weight"),
    "elu": ELU,
    "celu": CELU,
    "hardtanh": Rule("hardtanh", (Argument("min_val", -1.0, means="low"), Argument("max_val", 1.0, means="high"))),
    "softplus": Rule(
        "softplus",
        (
            Argument("beta", 1.0, means="beta"),
            Argument("threshold", 20.0, allowed=(20, 20.0), reason="above it, softplus is cut off"),
        ),
    ),
    "gelu": gelu_rule("none"),
    "softmax": softmax_rule("dim", None, (1, -1)),
}
WITHOUT_EFFECT = ("flatten", "identity", "contiguous")  # for inputs with two axes, samples and features
REASONS = {
    "logsoftmax": "it belongs before NLLLoss or KLDivLoss alone; else leave it out, and use CrossEntropyLoss, which"
    " takes logits",
    "dropout": "it is random; call model.eval() first",
    "alphadropout": "it is random; call model.eval() first",
}


class Weighted(NamedTuple):
    """A linear layer in a traced module: its name, and those of its parameters."""

    path: str
    weight: str
    bias: str | None


def _traced(model: Any) -> Any:
    """The graph of the forward pass, every module without parts of its own left whole."""
    import torch.fx

    class Tracer(torch.fx.Tracer):
        def is_leaf_module(self, m: Any, module_qualified_name: str) -> bool:
            return not list(m.children())

    try:
        return Tracer().trace(model)
    except Exception as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise refuse(
            f"the model {type(model).__name__}", f"torch.fx cannot trace its forward pass ({reason}); use nn.Sequential"
        ) from error


def read_layers(
    model: Any, named: Mapping[str, Any], *, log_probabilities: bool = False
) -> tuple[list[Weighted], list[Found]]:
    """The linear layers of a module in the order of its forward pass, and what they are.

    Args:
        model: the module.
        named: its parameters.
        log_probabilities: whether the loss takes those, so that the log_softmax at the end is a part of it.
    """
    graph = _traced(model)
    modules = {node: model.get_submodule(node.target) for node in graph.nodes if node.op == "call_module"}
    weighted = {}
    for node in graph.nodes:
        layer = _weighted(node, modules.get(node), named)
        if layer is not None:
            weighted[node] = layer
    _require_each_once(model, named, list(weighted.values()))
    layers: list[Weighted] = []
    found: list[Found] = []
    node = next(node for node in graph.nodes if node.op == "output").args[0]
    if log_probabilities:
        node = _before_log_softmax(node, modules)
    while True:
        between, start = _walk_back(node, weighted)
        steps = [step for step in graph.nodes if step in between and not _is_nothing(step, modules)]
        if start.op == "placeholder":
            if steps:
                raise refuse(_called(steps[0], modules), "it comes before the first linear layer")
            break
        layer = weighted[start]
        fan_out, fan_in = named[layer.weight].shape
        layers.insert(0, layer)
        found.insert(0, Found(layer.path, (fan_in, fan_out), *_activation(steps, modules)))
        node = start.args[0]
    if len(layers) < len(weighted):
        raise refuse("the model", "the output of a linear layer is not used")
    return layers, found


def _require_each_once(model: Any, named: Mapping[str, Any], layers: list[Weighted]) -> None:
    """Raises unless every parameter belongs to one linear layer."""
    used = [name for layer in layers for name in (layer.weight, layer.bias) if name is not None]
    for name in named:
        if used.count(name) > 1:
            raise refuse(f"the parameter {name}", "it is used more than once")
        if name not in used and not _is_prelu(model.get_submodule(name.rpartition(".")[0])):
            owner = model.get_submodule(name.rpartition(".")[0])
            whose = "" if owner is model else f", but to a {type(owner).__name__}"
            raise refuse(f"the parameter {name}", f"it belongs to no linear layer{whose}")


def _weighted(node: Any, module: Any, named: Mapping[str, Any]) -> Weighted | None:
    """The linear layer that a node is, or None."""
    if node.op == "call_function" and node.target.__name__ == "linear":
        given = [argument for argument in (*node.args[1:], *node.kwargs.values()) if argument is not None]
        names = [str(getattr(argument, "target", None)) for argument in given]
        return Weighted(names[0], names[0], names[1] if len(names) > 1 else None) if set(names) <= set(named) else None
    if module is None or (is_torchs(module) and type(module).__name__ != "Linear"):
        return None
    axes = {name: parameter.ndim for name, parameter in module.named_parameters()}
    if axes not in ({"weight": 2}, {"weight": 2, "bias": 1}):
        return None
    return Weighted(node.target, f"{node.target}.weight", f"{node.target}.bias" if "bias" in axes else None)


def _walk_back(node: Any, weighted: Mapping[Any, Weighted]) -> tuple[set[Any], Any]:
    """What is computed between a node and the one linear layer, or input, that it depends on; and that one."""
    between, ends, todo = set(), set(), [node]
    while todo:
        node = todo.pop()
        if not hasattr(node, "all_input_nodes"):
            raise refuse("the model", f"it returns a {type(node).__name__}, not one tensor")
        if node in weighted or node.op == "placeholder":
            ends.add(node)
        elif node not in between:
            between.add(node)
            todo += node.all_input_nodes
    if len(ends) != 1:
        names = sorted(weighted[end].path if end in weighted else "the input" for end in ends)
        raise refuse("the model", f"{' and '.join(names)} come together, as in a residual connection")
    return between, ends.pop()


def _activation(steps: list[Any], modules: Mapping[Any, Any]) -> tuple[Any, str]:
    """The activation that a row of nodes is, or None and what is there."""
    if not steps:
        return "identity", ""
    for step in steps:
        name = _name(step, modules)
        if step not in modules or is_torchs(modules[step]):
            if name in REASONS:
                raise refuse(_called(step, modules), REASONS[name])
            if step in modules and name not in TORCH_RULES and not _is_activation(modules[step]):
                raise refuse(_called(step, modules), "it is no activation")
    step, module = steps[0], modules.get(steps[0])
    what = " and ".join(_called(step, modules) for step in steps)
    if len(steps) > 1 or _name(step, modules) not in TORCH_RULES or not (module is None or is_torchs(module)):
        return None, what
    rule = TORCH_RULES[_name(step, modules)]
    return follow(rule, what, _arguments(rule, step, module)), ""


def _arguments(rule: Rule, step: Any, module: Any) -> dict[str, Any]:
    """What a function is called with by the names that a rule has, or what a module holds."""
    if module is None:
        names = [argument.name for argument in rule.arguments]
        return dict(zip(names, step.args[1:], strict=False)) | step.kwargs
    slopes = {name: leaf.detach().cpu().double().numpy() for name, leaf in module.named_parameters()}
    return vars(module) | slopes


def _before_log_softmax(node: Any, modules: Mapping[Any, Any]) -> Any:
    """The node whose log_softmax over the units a model returns.

    Raises:
        ValueError: for a model that returns something else.
    """
    if not hasattr(node, "all_input_nodes") or _name(node, modules) != "logsoftmax":
        raise ValueError(
            "expected the model to end with a log_softmax over the units, which NLLLoss and KLDivLoss take the outputs"
            " of; or use CrossEntropyLoss, which takes logits"
        )
    rule = softmax_rule("dim", None, (1, -1))
    follow(rule, _called(node, modules), _arguments(rule, node, modules.get(node)))
    return node.args[0]


def _is_nothing(node: Any, modules: Mapping[Any, Any]) -> bool:
    """Whether a node changes nothing: flattening what is flat, dropout that is off."""
    module, name = modules.get(node), _name(node, modules)
    if name.endswith("dropout"):
        given = node.kwargs if module is None else vars(module)
        return not given.get("training", True) or given.get("p") == 0
    return name in WITHOUT_EFFECT and (module is None or is_torchs(module))


def _name(node: Any, modules: Mapping[Any, Any]) -> str:
    """The name of a module's class, of a function or a method, as `TORCH_RULES` has it."""
    name = type(modules[node]).__name__ if node in modules else getattr(node.target, "__name__", str(node.target))
    return name.lower().replace("_", "")


def _called(node: Any, modules: Mapping[Any, Any]) -> str:
    """A node for messages: the module act (MyTanh), or the function tanh."""
    if node in modules:
        return f"the module {node.target} ({type(modules[node]).__name__})"
    return f"the function {getattr(node.target, '__name__', node.target)}"


def _is_prelu(module: Any) -> bool:
    return is_torchs(module) and type(module).__name__ == "PReLU"


def _is_activation(module: Any) -> bool:
    """Whether PyTorch has a module among its activations, and not among its layers."""
    return type(module).__module__ == "torch.nn.modules.activation"


def is_torchs(module: Any) -> bool:
    """Whether a module is exactly one of PyTorch's, and not of a class derived from it."""
    return type(module).__module__.startswith("torch.nn.")
