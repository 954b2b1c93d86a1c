"""Operations of PyTorch beside a reference in JAX: autograd functions, modules, functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from functional_mlp import oracle
from tests.peers.models import framework

torch = framework("torch")
nn, F = torch.nn, torch.nn.functional
X = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)


def layer_norm(params, x):
    centred = x - x.mean(axis=-1, keepdims=True)
    spread = jnp.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
    return centred / spread * params["weight"] + params["bias"]


class Square(torch.autograd.Function):
    factor = 2.0

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @classmethod
    def backward(cls, ctx, ct):
        (x,) = ctx.saved_tensors
        return cls.factor * x * ct


class HalfSquare(Square):
    factor = 1.0


def test_an_autograd_function():
    assert oracle.check_operation(Square, lambda x: x**2, X).verdict == "consistent"
    report = oracle.check_operation(HalfSquare, lambda x: x**2, X)
    assert {leaf.path for leaf in report.leaves if leaf.verdict == "wrong"} == {"x"}
    assert "square" in report.text().lower() or "x**2" in report.text()


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_module_with_its_parameters(precision):
    module = nn.LayerNorm(6)
    kept = [parameter.clone() for parameter in module.parameters()]
    report = oracle.check_operation(module, layer_norm, X, precision=precision)
    assert report.verdict == "consistent"
    assert {leaf.path for leaf in report.leaves} == {"params.weight", "params.bias", "x", "outputs"}
    for before, now in zip(kept, module.parameters(), strict=True):
        assert torch.equal(before, now)
    assert all(parameter.grad is None for parameter in module.parameters())


def test_functions_of_tensors_in_bfloat16():
    x = torch.tensor(X, dtype=torch.bfloat16)
    report = oracle.check_operation(F.silu, jax.nn.silu, x)
    assert report.verdict == "consistent"
    assert report.precision == "bfloat16"

    def cross_entropy(logits, labels):
        return -jax.nn.log_softmax(logits)[jnp.arange(len(labels)), labels].mean()

    own = lambda logits, labels: F.cross_entropy(logits, labels)  # noqa: E731
    report = oracle.check_operation(own, cross_entropy, (X, np.array([0, 5, 2, 2])), framework="torch")
    assert report.verdict == "consistent"


def test_gradients_as_tensors():
    x = torch.tensor(X, requires_grad=True)
    scale = torch.ones(6, dtype=torch.bfloat16, requires_grad=True)
    (x * scale).sum().backward()
    report = oracle.check_vjp(lambda x, scale: (x * scale).sum(), (x, scale), (x.grad, scale.grad))
    assert report.verdict == "consistent"
    assert report.precision == "bfloat16"
