"""PyTorch: modules with and without derivatives of one's own, PyTorch's losses, and what is refused."""

import copy

import jax.numpy as jnp
import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from tests.peers.models import (
    LOSS,
    NETWORK,
    PRECISIONS,
    SIZES,
    framework,
    numbers,
    require_consistent,
    require_named,
    require_same,
)

torch = framework("torch")
nn, F = torch.nn, torch.nn.functional


class WrongTanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z):
        a = torch.tanh(z)
        ctx.save_for_backward(a)
        return a

    @staticmethod
    def backward(ctx, ct_a):
        (a,) = ctx.saved_tensors
        return ct_a * (1 - a)


class RightTanh(WrongTanh):
    @staticmethod
    def backward(ctx, ct_a):
        (a,) = ctx.saved_tensors
        return ct_a * (1 - a * a)


class AveragingLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        return x @ weight.T + bias

    @staticmethod
    def backward(ctx, ct):
        x, weight = ctx.saved_tensors
        return ct @ weight, ct.T @ x, ct.mean(dim=0)


class Applied(nn.Module):
    """A module that applies an autograd.Function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, z):
        return self.function.apply(z)


class Functional(nn.Module):
    """Layers whose order is not that of their definition, with functions between them."""

    def __init__(self, tanh=torch.tanh):
        super().__init__()
        self.last, self.first, self.tanh = nn.Linear(5, 3), nn.Linear(4, 5), tanh

    def forward(self, x):
        return self.last(self.tanh(self.first(torch.flatten(x, 1)))).sigmoid()


def sequential(activation=None, dtype=torch.float32, bias=True):
    first = nn.Sequential(nn.Linear(4, 5, bias=bias), activation or nn.Tanh())
    return nn.Sequential(nn.Flatten(), first, nn.Dropout(0.5), nn.Linear(5, 3), nn.Sigmoid()).to(dtype).eval()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("loss", [LOSS, fm.Loss("binary_cross_entropy", "mean", "mean"), None])
def test_a_right_model_is_consistent(precision, loss):
    dtype = getattr(torch, precision)
    own = nn.BCELoss() if loss is not None and loss.over_outputs == "mean" else loss
    for model in (sequential(dtype=dtype), Functional().to(dtype), sequential(Applied(RightTanh), dtype)):
        assert oracle.adapt(model, own, ["tanh", "sigmoid"]).loss == loss
        require_consistent(oracle.check_model(model, own, activations=["tanh", None]), precision)


def test_a_float32_model_is_judged_in_float64_too():
    require_consistent(oracle.check_model(sequential(), LOSS, precision="float64"), "float64")


def test_where_bceloss_clips_it_is_not_judged():
    """Its derivative divides by max(p (1 - p), 1e-12): no other loss of PyTorch does such a thing."""
    report = oracle.check_model(sequential(), nn.BCELoss(), precision="float64")
    require_consistent(report, "float64")
    assert ["near saturation" in note and "BCEWithLogitsLoss" in note for note in report.notes] == [True]


def test_a_layer_without_bias_is_consistent():
    model = nn.Sequential(nn.Linear(4, 5, bias=False), nn.Tanh(), nn.Linear(5, 3), nn.Sigmoid())
    report = oracle.check_model(model, LOSS, precision="float64")
    require_consistent(report, "float64")
    assert not any(leaf.path == "params[0].bias" for leaf in report.leaves)


@pytest.mark.parametrize("model", [sequential(Applied(WrongTanh)), Functional(WrongTanh.apply)])
def test_a_wrong_autograd_function_is_named(model):
    report = oracle.check_model(model, LOSS, precision="float64", activations=["tanh", "sigmoid"])
    require_named(report, "tanh-derivative-wrong", (0,))


def test_an_autograd_function_is_checked_alone(as_a_person):
    report = oracle.check_autograd_function(WrongTanh, "tanh")
    require_named(report, "tanh-derivative-wrong", (0, 1))
    assert "The derivative at single numbers" in report.text()
    assert "params" not in report.text()  # of a network that nobody has
    assert all(one.right == pytest.approx(1 - np.tanh(one.z) ** 2, abs=1e-15) for one in report.at_numbers)
    assert oracle.check_autograd_function(RightTanh, "tanh", precision="float32").verdict == "consistent"


def test_a_linear_autograd_function_is_checked_alone():
    require_named(oracle.check_autograd_function(AveragingLinear, "linear"), "bias-gradient-averaged", (0, 1))


class Raising(nn.Module):
    def forward(self, z):
        torch.rand(1)
        raise ArithmeticError("no luck")


def test_the_model_is_as_before_also_after_an_error():
    for activation in (nn.Tanh(), Raising()):
        model = sequential(activation).train()
        model[2].eval()
        model[3].weight.requires_grad_(False)
        model[1][0].weight.grad = torch.ones(5, 4)
        before, mode = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
        generators = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
        report = oracle.check_model(model, LOSS, activations=["tanh", None])
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, before[name])
        assert [module.training for module in model.modules()] == mode
        assert not model[3].weight.requires_grad
        assert torch.equal(model[1][0].weight.grad, torch.ones(5, 4))
        assert model[3].bias.grad is None
        assert torch.equal(torch.get_rng_state(), generators[0])
        assert np.array_equal(np.random.get_state()[1], generators[1])  # noqa: NPY002
    assert [finding.id for finding in report.findings] == ["raises"]
    assert "no luck" in report.text()


def test_parameters_go_both_ways():
    model, new = sequential(), numbers()
    adapted = oracle.adapt(model, LOSS)
    assert adapted.network == NETWORK
    np.testing.assert_array_equal(adapted.params[1].weights, model[3].weight.detach().numpy().T)
    assert adapted.assign(new) is model
    require_same(oracle.adapt(model).params, new)


def test_own_data_are_checked_with_the_models_parameters():
    adapted = oracle.adapt(sequential(), LOSS)
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(7, SIZES[0])), rng.integers(0, 2, (7, SIZES[-1]))
    assert adapted.case(inputs, targets).dtype == "float32"
    require_consistent(adapted.check(inputs, targets), "float32")


ACTIVATIONS = {
    "identity": nn.Identity(),
    "sigmoid": nn.Sigmoid(),
    "relu": nn.ReLU(),
    "leaky_relu": nn.LeakyReLU(0.3),
    "elu": nn.ELU(0.7),
    "softplus": nn.Softplus(beta=2.0),
    "silu": nn.SiLU(),
    "gelu": nn.GELU(),
    "gelu_tanh": nn.GELU(approximate="tanh"),
    "softmax": nn.Softmax(dim=-1),
    "relu6": nn.ReLU6(),
    "hardtanh": nn.Hardtanh(-2.0, 0.5),
    "hard_sigmoid": nn.Hardsigmoid(),
    "hard_swish": nn.Hardswish(),
    "selu": nn.SELU(),
    "celu": nn.CELU(0.7),
    "mish": nn.Mish(),
    "softsign": nn.Softsign(),
    "prelu": nn.PReLU(4, init=0.3),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_recognised_by_what_it_computes(name):
    """The first layer's weights are the identity, so that the outputs show the activation."""
    adapted = oracle.adapt(nn.Sequential(nn.Linear(4, 4), ACTIVATIONS[name]).double())
    [activation] = adapted.network.activations
    assert activation.name == name
    z = np.random.default_rng(0).normal(size=(6, 4))
    outputs = adapted.gradients([(np.eye(4), np.zeros(4))], z, np.ones((6, 4))).outputs
    np.testing.assert_allclose(activation.value(jnp.asarray(z, jnp.float32)), outputs, rtol=1e-5)


class Calls(nn.Module):
    """Two layers with a function between them."""

    def __init__(self, function):
        super().__init__()
        self.hidden, self.last, self.function = nn.Linear(4, 5), nn.Linear(5, 3), function

    def forward(self, x):
        return self.last(self.function(self.hidden(x)))


FUNCTIONS = {
    "gelu_tanh": lambda z: F.gelu(z, approximate="tanh"),
    "hardtanh": lambda z: F.hardtanh(z, -0.5, 2.0),
    "softplus": lambda z: F.softplus(z, 3.0),
    "celu": lambda z: F.celu(z, alpha=0.5),
    "sin": torch.sin,
    "cos": lambda z: z.cos(),
    "mish": F.mish,
    "hard_swish": F.hardswish,
    "softsign": F.softsign,
    "elu": lambda z: F.elu(z, 0.6),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_pytorch_is_consistent(name):
    model = Calls(FUNCTIONS[name])
    adapted = oracle.adapt(model)
    assert adapted.network.activations[0].name == name
    for precision in PRECISIONS:
        inputs = np.random.default_rng(4).normal(size=(6, 4), scale=3.0).astype(np.float32)
        report = oracle.adapt(model.to(getattr(torch, precision))).check(inputs, np.ones((6, 3)))
        require_consistent(report, precision)


COARSE = ("celu", "hard_sigmoid")  # in float64, PyTorch's own derivatives are off: the test after that


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "precision"),
    [(name, precision) for name in ACTIVATIONS for precision in PRECISIONS[name in COARSE :]],
)
def test_an_activation_of_pytorch_is_consistent(name, precision):
    activation = nn.PReLU(5, init=0.3) if name == "prelu" else ACTIVATIONS[name]
    model = nn.Sequential(nn.Linear(4, 5), activation, nn.Linear(5, 3)).to(torch.float32)
    require_consistent(oracle.check_model(model, precision=precision), precision)


class Steep(nn.Module):
    """An activation whose derivative is a thousandth too large."""

    def __init__(self, activation):
        super().__init__()
        self.kept = [activation]  # no part of this module, for torch.fx

    def forward(self, z):
        a = self.kept[0](z)
        return a.detach() + 1.001 * (a - a.detach())


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "prelu"])
def test_a_wrong_derivative_of_an_activation_is_wrong(name):
    right = nn.Sequential(nn.Linear(4, 5), ACTIVATIONS[name], nn.Linear(5, 3))
    declared = oracle.adapt(right).network.activations[0]
    wrong = nn.Sequential(nn.Linear(4, 5), Steep(ACTIVATIONS[name]), nn.Linear(5, 3))
    inputs = np.random.default_rng(4).normal(size=(6, 4), scale=2.0)
    assert oracle.adapt(wrong, None, [declared, None]).check(inputs, np.ones((6, 3))).verdict == "wrong"


@pytest.mark.parametrize("activation", [nn.Hardsigmoid(), nn.CELU(0.7)])
def test_where_pytorch_holds_a_constant_in_float32_float64_is_refused(activation, says):
    """1/6, and 1/alpha: right gradients are off by 3e-8. Once they are not, nothing need be refused."""
    z = torch.linspace(-2, -1, 5, dtype=torch.float64, requires_grad=True)
    [slopes] = torch.autograd.grad(activation(z).sum(), z)
    right = torch.exp(z / 0.7) if isinstance(activation, nn.CELU) else torch.full_like(z, 1 / 6)
    assert 1e-10 < (slopes / right - 1).abs().max() < 1e-7
    model = nn.Sequential(nn.Linear(4, 5), activation)
    says(ValueError, ["float32", "float64", "PyTorch"], oracle.check_model, model, precision="float64")
    says(ValueError, ["float32", "float64"], oracle.adapt(model.double()).check, np.ones((2, 4)), np.ones((2, 5)))
    require_consistent(oracle.check_model(nn.Sequential(nn.Linear(4, 5), nn.CELU(0.5))), "float32")


def test_where_pytorchs_softplus_is_cut_off_it_is_not_judged():
    report = oracle.check_model(nn.Sequential(nn.Linear(4, 5), nn.Softplus(9.0), nn.Linear(5, 3)), precision="float64")
    require_consistent(report, "float64")
    assert ["softplus of PyTorch" in note for note in report.notes].count(True) >= 1


def test_the_slope_of_prelu_is_given_and_not_judged(says):
    model = nn.Sequential(nn.Linear(4, 5), nn.PReLU(init=0.125), nn.Linear(5, 3))
    report = oracle.check_model(model, precision="float64")
    require_consistent(report, "float64")
    assert any("slopes of PReLU" in note for note in report.notes)
    own = oracle.adapt(model).check(np.ones((2, 4)), np.ones((2, 3)))
    assert any("slopes of PReLU" in note for note in own.notes)
    with torch.no_grad():
        several = nn.PReLU(5)
        several.weight[2] = 0.5
    says(
        ValueError,
        ["PReLU", "one weight for all units", "0.25 to 0.5"],
        oracle.adapt,
        nn.Sequential(nn.Linear(4, 5), several),
    )


def test_an_activation_without_a_name_here_may_be_declared():
    shrink = fm.Activation.of(lambda z: z - jnp.tanh(z), name="tanh_shrink")
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanhshrink())
    require_consistent(oracle.check_model(model, precision="float32", activations=shrink), "float32")


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        h = torch.relu(self.a(x))
        return h + self.b(h)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)

    def forward(self, x):
        return self.a(torch.relu(self.a(x)))


class Branching(Twice):
    def forward(self, x):
        return self.a(x) if x.sum() > 0 else x


REFUSED = {
    "normalisation": (nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), ["1.weight", "BatchNorm1d"]),
    "layer normalisation": (nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 3)), ["0.weight", "LayerNorm"]),
    "convolution": (nn.Sequential(nn.Conv1d(4, 3, 1)), ["0.weight", "Conv1d"]),
    "dropout in training": (nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5)), ["Dropout", "model.eval()"]),
    "residual connection": (Residual(), ["a and b come together", "residual"]),
    "shared layer": (Twice(), ["a.weight", "more than once"]),
    "control flow": (Branching(), ["Branching", "torch.fx", "nn.Sequential"]),
    "softmax over samples": (nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=0)), ["dim", "units"]),
    "softplus": (nn.Sequential(nn.Linear(4, 3), nn.Softplus(threshold=5)), ["threshold=20", "got 5"]),
    "log softmax": (
        nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(dim=1)),
        ["LogSoftmax", "NLLLoss", "CrossEntropyLoss"],
    ),
    "unknown activation": (nn.Sequential(nn.Linear(4, 3), nn.Tanhshrink()), ["Tanhshrink", "declare", "Activation.of"]),
    "pooling": (nn.Sequential(nn.Linear(4, 3), nn.AvgPool1d(3)), ["AvgPool1d", "no activation"]),
    "own activation": (nn.Sequential(nn.Linear(4, 3), Applied(RightTanh)), ["Applied", "declare", "activations="]),
    "two activations": (nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.ReLU()), ["Tanh", "ReLU", "declare"]),
    "activation first": (nn.Sequential(nn.Tanh(), nn.Linear(4, 3)), ["Tanh", "before the first"]),
    "sizes": (nn.Sequential(nn.Linear(4, 3), nn.Linear(4, 3)), ["layer 1", "takes 4", "0 gives 3"]),
    "no parameters": (nn.Sequential(nn.Tanh()), ["no parameters"]),
    "half": (nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3).double()), ["float32 and float64"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_plain_network_is_refused(name, says):
    model, words = REFUSED[name]
    says(ValueError, words, oracle.adapt, model)


def test_a_declaration_that_contradicts_the_model_is_refused(says):
    says(ValueError, ["relu was declared", "tanh"], oracle.adapt, sequential(), LOSS, ["relu", "sigmoid"])
    says(ValueError, ["2 activations", "got 1"], oracle.adapt, sequential(), LOSS, ["tanh"])
    says(TypeError, ["int"], oracle.adapt, sequential(), LOSS, 3)


def test_a_wrong_declaration_shows_in_the_outputs():
    report = oracle.check_model(sequential(Applied(RightTanh)), LOSS, precision="float64", activations="sigmoid")
    assert any(leaf.path == "outputs" and leaf.verdict == "wrong" for leaf in report.leaves)
