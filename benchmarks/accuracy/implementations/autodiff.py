"""Gradients by automatic differentiation of textbook code: `jax.grad`, and PyTorch's autograd where it is installed.

Both use their library's own functions, with what experience teaches: losses of logits where the network ends in the
matching activation, no logarithm of 0, and the declared derivative at a kink. Importing this module imports no PyTorch.
"""

import contextlib
import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accuracy.implementations.jax_losses import jax_loss, penalty
from functional_mlp._dtypes import DTYPES
from functional_mlp.activations import Activation, numpy_value
from functional_mlp.losses import OPTIONS, Loss
from functional_mlp.network import Network
from functional_mlp.oracle import Case
from functional_mlp.oracle.truth import float64_on_cpu
from reference.plain import Answer, Array, is_fused

Values = Mapping[str, Callable[..., Any]]  # functions of z and the activation's parameters, by its name
JAX_VALUES: Values = {
    "identity": lambda z: z,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "leaky_relu": lambda z, slope: jax.nn.leaky_relu(z, slope),
    "elu": lambda z, alpha: jax.nn.elu(z, alpha),
    "softplus": lambda z, beta: jax.nn.softplus(z) if beta == 1 else jax.nn.softplus(beta * z) / beta,
    "silu": jax.nn.silu,
    "gelu": lambda z: jax.nn.gelu(z, approximate=False),
    "softmax": jax.nn.softmax,
    "gelu_tanh": lambda z: jax.nn.gelu(z, approximate=True),
    "quick_gelu": lambda z: z * jax.nn.sigmoid(1.702 * z),
    "mish": jax.nn.mish,
    "selu": jax.nn.selu,
    "celu": lambda z, alpha: jax.nn.celu(z, alpha),
    "prelu": lambda z, slope: jax.nn.leaky_relu(z, slope),
    "relu6": jax.nn.relu6,
    "hardtanh": lambda z, low, high: jnp.clip(z, low, high),
    "hard_sigmoid": lambda z, low, high: jnp.clip((z - low) / (high - low), 0, 1),
    "hard_swish": jax.nn.hard_swish,
    "scaled_tanh": lambda z, scale, rate: scale * jnp.tanh(rate * z),
    "softsign": jax.nn.soft_sign,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "gaussian": lambda z: jnp.exp(-z * z),
}


def activate(values: Values, where: Callable[..., Any], activation: Activation, z: Any) -> Any:
    """activation(z) by the function of its name in `values`, with the declared derivative at a kink.

    Args:
        values: of some library, whose `numpy.where` is `where`.
        where: likewise.
        activation: as declared.
        z: pre-activations (n, K).
    """
    chosen = {kink.parameter for kink in activation.kinks}
    parameters = {name: value for name, value in activation.parameters if name not in chosen}
    a = values[activation.name](z, **parameters)
    for kink in activation.kinks:
        at = float(numpy_value(activation, np.full((1, 1), kink.position))[0, 0])
        a = where(z == kink.position, at + activation.derivative_at(kink) * (z - kink.position), a)
    return a


def has_torch() -> bool:
    """Whether PyTorch is installed; does not import it."""
    return importlib.util.find_spec("torch") is not None


@contextlib.contextmanager
def _as_jax_comes() -> Iterator[None]:
    """JAX on the CPU at its default matrix precision, float64 enabled."""
    with float64_on_cpu(), jax.default_matmul_precision("default"):
        yield


OF_LOGITS = {
    "binary_cross_entropy": "sigmoid_cross_entropy",
    "categorical_cross_entropy": "softmax_cross_entropy",
    "kl_divergence": "softmax_kl_divergence",
}


class Formulas(NamedTuple):
    """What is differentiated.

    Attributes:
        activation: of an `Activation` and z, a.
        loss: of the `Loss`, the kind to compute, what it is a function of, targets, sample weights and parameters.
    """

    activation: Callable[[Activation, Any], Any]
    loss: Callable[[Loss, str, Any, Any, Any, Any], Any]


TEXTBOOK = Formulas(partial(activate, JAX_VALUES, jnp.where), jax_loss)


@partial(jax.jit, static_argnames=("formulas", "network", "loss", "fused"))
def _jax_program(
    formulas: Formulas | None, network: Network, loss: Loss | None, fused: bool, params: Any, inputs: Any, data: Any
) -> Any:
    given, weights = data
    activate_, loss_ = formulas or TEXTBOOK

    def value(params: Any, shifts: Any, inputs: Any) -> Any:
        a = z = inputs
        for activation, (w, b), shift in zip(network.activations, params, shifts, strict=True):
            z = a @ w if b is None else a @ w + b
            z = z if shift is None else z + shift
            a = activate_(activation, z)
        if loss is None:
            return jnp.sum(a * given), a
        kind = OF_LOGITS[loss.kind] if fused else loss.kind
        return loss_(loss, kind, z if fused else a, given, weights, params), a

    # the cotangent of a zero that is added to z is the delta; None, where nobody asks for deltas
    zeros = [jnp.zeros((len(inputs), size), inputs.dtype) for size in network.sizes[1:]]
    shifts = [None if formulas is None else zero for zero in zeros]
    return jax.value_and_grad(value, argnums=(0, 1, 2), has_aux=True)(params, shifts, inputs)


def jax_gradients(case: Case, fused: bool, jit: bool = True, formulas: Formulas | None = None) -> Answer:
    """The answer by `jax.grad` in the case's dtype.

    Args:
        case: the question.
        fused: a loss of logits where a probability loss follows its own activation.
        jit: as one compiled program, which may keep more digits between operations than the dtype has; else
            operation by operation, each rounding its result.
        formulas: what is differentiated, and asked for its deltas too; None: `TEXTBOOK`, which tells none.
    """
    dtype = DTYPES[case.dtype]

    def array(x: Array | None) -> Any:
        return None if x is None else jnp.asarray(x, dtype)

    with _as_jax_comes(), contextlib.nullcontext() if jit else jax.disable_jit():
        given = case.targets if case.loss is not None else case.ct_outputs
        params, inputs = [(array(w), array(b)) for w, b in case.params], array(case.inputs)
        data = array(given), array(case.sample_weights)
        (total, outputs), (grads, deltas, ct_inputs) = _jax_program(
            formulas, case.network, case.loss, is_fused(case, fused), params, inputs, data
        )
        return Answer(
            tuple((np.asarray(w), None if b is None else np.asarray(b)) for w, b in grads),
            None if case.loss is None else float(total),
            np.asarray(outputs),
            None if formulas is None else tuple(map(np.asarray, deltas)),
            np.asarray(ct_inputs),
        )


# outside, BCELoss clamps p (1 - p) to 1e-12 and logarithms to -100, and its gradient is that of another function
CLAMPED_BELOW, CLAMPED_ABOVE = 1e-10, 1 - 1e-6


def _torch_values(torch: Any) -> dict[str, Callable[..., Any]]:
    functional = torch.nn.functional
    return {
        "identity": lambda z: z,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "relu": functional.relu,
        "leaky_relu": lambda z, slope: functional.leaky_relu(z, slope),
        "elu": lambda z, alpha: functional.elu(z, alpha),
        # at its default threshold of 20 it returns z above, which float64 tells from softplus up to 37
        "softplus": lambda z, beta: functional.softplus(z, beta=beta, threshold=40),
        "silu": functional.silu,
        "gelu": functional.gelu,
        "softmax": lambda z: torch.softmax(z, dim=1),
        "gelu_tanh": lambda z: functional.gelu(z, approximate="tanh"),
        "quick_gelu": lambda z: z * torch.sigmoid(1.702 * z),
        "mish": functional.mish,
        "selu": functional.selu,
        "celu": lambda z, alpha: functional.celu(z, alpha),
        "prelu": lambda z, slope: functional.leaky_relu(z, slope),
        "relu6": functional.relu6,
        "hardtanh": lambda z, low, high: functional.hardtanh(z, low, high),
        "hard_sigmoid": lambda z, low, high: torch.clamp((z - low) / (high - low), 0, 1),
        "hard_swish": functional.hardswish,
        "scaled_tanh": lambda z, scale, rate: scale * torch.tanh(rate * z),
        "softsign": functional.softsign,
        "sin": torch.sin,
        "cos": torch.cos,
        "gaussian": lambda z: torch.exp(-z * z),
    }


TORCH_LOSSES = (
    *("squared_error", "binary_cross_entropy", "categorical_cross_entropy", "sigmoid_cross_entropy"),
    *("softmax_cross_entropy", "absolute_error", "huber", "softmax_kl_divergence"),
)


def _torch_data_loss(torch: Any, case: Case, z: Any, a: Any, t: Any, weights: Any) -> Any:
    """The data term, with PyTorch's own losses."""
    loss, functional = case.loss, torch.nn.functional
    assert loss is not None
    kind, last = loss.kind, case.network.activations[-1].name
    clamps = not bool(((a > CLAMPED_BELOW) & (a < CLAMPED_ABOVE)).all())
    clamps = clamps or not bool(((t >= 0) & (t <= 1)).all())  # it refuses other targets
    if kind == "binary_cross_entropy" and clamps and last != "sigmoid":
        kind = "binary_cross_entropy, by hand"

    def wanted_log(target: Any, p: Any) -> Any:
        return torch.where(target == 0, 0, target * torch.log(torch.where(target == 0, 1, p)))

    losses: dict[str, Callable[[str], Any]] = {
        "squared_error": lambda reduction: functional.mse_loss(a, t, reduction=reduction),
        "binary_cross_entropy": lambda reduction: (
            functional.binary_cross_entropy_with_logits(z, t, reduction=reduction)
            if clamps
            else functional.binary_cross_entropy(a, t, reduction=reduction)
        ),
        "binary_cross_entropy, by hand": lambda reduction: _reduced(
            -wanted_log(t, a) - wanted_log(1 - t, 1 - a), reduction
        ),
        "categorical_cross_entropy": lambda reduction: (
            functional.cross_entropy(z, t, reduction=reduction)
            if last == "softmax"
            else _reduced(-wanted_log(t, a), reduction)
        ),
        "sigmoid_cross_entropy": lambda reduction: functional.binary_cross_entropy_with_logits(
            a, t, reduction=reduction
        ),
        "softmax_cross_entropy": lambda reduction: functional.cross_entropy(a, t, reduction=reduction),
        "absolute_error": lambda reduction: functional.l1_loss(a, t, reduction=reduction),
        "huber": lambda reduction: functional.huber_loss(a, t, reduction=reduction, delta=loss.delta),
        "softmax_kl_divergence": lambda reduction: functional.kl_div(
            torch.log_softmax(a, dim=1), t, reduction=reduction
        ),
    }
    factor = loss.scale / (a.shape[1] if loss.over_outputs == "mean" else 1)
    if weights is None:
        return factor / (len(a) if loss.over_samples != "sum" else 1) * losses[kind]("sum")
    terms = losses[kind]("none")
    total = ((terms if terms.ndim == 1 else terms.sum(dim=1)) * weights).sum()
    divisors = {"sum": 1, "mean": weights.sum(), "batch_mean": (weights != 0).sum()}
    return factor * total / divisors[loss.over_samples]


def torch_has_loss(case: Case) -> bool:
    """Whether `torch_gradients` knows the loss of a case with its options."""
    return case.loss is None or (
        case.loss.kind in TORCH_LOSSES and not ({*OPTIONS} - {"delta"}) & {*case.loss.as_fields()}
    )


def _reduced(terms: Any, reduction: str) -> Any:
    return terms.sum() if reduction == "sum" else terms


def torch_gradients(case: Case) -> Answer:
    """The answer by PyTorch's autograd in the case's dtype, on the CPU."""
    torch = importlib.import_module("torch")
    dtype, loss = getattr(torch, case.dtype), case.loss

    def tensor(x: Array | None, wanted: bool = True) -> Any:
        return None if x is None else torch.tensor(x).to(dtype).requires_grad_(wanted)

    def array(x: Any) -> Array:  # NumPy has no bfloat16 of PyTorch's: through float32, exactly
        wide = x.detach().float() if dtype == torch.bfloat16 else x.detach()
        return wide.numpy().astype(DTYPES[case.dtype])

    # (fan_out, fan_in), as torch.nn.Linear has them
    params = [(tensor(w.T.copy()), tensor(b)) for w, b in case.params]
    inputs = tensor(case.inputs)
    a = z = inputs
    for activation, (w, b) in zip(case.network.activations, params, strict=True):
        z = torch.nn.functional.linear(a, w, b)
        a = activate(_torch_values(torch), torch.where, activation, z)
    if loss is None:
        total = (a * tensor(case.ct_outputs, False)).sum()
    else:
        total = _torch_data_loss(torch, case, z, a, tensor(case.targets, False), tensor(case.sample_weights, False))
        total = total + penalty(loss, params, torch.zeros((), dtype=dtype))
    total.backward()
    return Answer(
        tuple((array(w.grad).T, None if b is None else array(b.grad)) for w, b in params),
        None if loss is None else float(total.detach()),
        array(a),
        ct_inputs=array(inputs.grad),
    )
