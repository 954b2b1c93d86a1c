"""Meshes with explicit axes, where how an array is sharded is part of its type; and those with automatic ones."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import pytest
from jax.sharding import AbstractMesh, AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import functional_mlp as fm
from functional_mlp.activations import FACTORIES

ROOT = Path(__file__).resolve().parents[2]
MESH = AbstractMesh((2, 4), ("data", "model"), axis_types=(AxisType.Explicit,) * 2)
# of inputs and outputs, weights, and biases, by layer: even ones, odd ones
WAYS = {
    "batch": (P("data"), (P(), P()), (P(), P())),
    "rows": (P(), (P("model", None),) * 2, (P(), P())),
    "columns": (P(), (P(None, "model"),) * 2, (P("model"),) * 2),
    "both": (P("data"), (P(None, "model"), P("model", None)), (P("model"), P())),
}


def sharded(way, activation, output, samples=8):
    """The shapes of parameters, inputs and targets of a network, sharded over the mesh."""
    rows, of_weights, of_biases = WAYS[way]
    network = fm.Network((8, 8, 8, 4), (activation, activation, output))

    def array(shape, spec):
        whole = P(*spec, *([None] * (len(shape) - len(spec))))
        return jax.ShapeDtypeStruct(shape, jnp.float32, sharding=NamedSharding(MESH, whole))

    params = tuple(
        fm.Dense(array((fan_in, fan_out), of_weights[i % 2]), array((fan_out,), of_biases[i % 2]))
        for i, (fan_in, fan_out) in enumerate(network.shapes)
    )
    return network, params, array((samples, 8), rows), array((samples, 4), rows)


# what they return is as the parameters
OF_GRADIENTS = (
    "loss_and_grad",
    "grad of apply",
    "grad of forward",
    "a step",
    "hvp",
    "gauss_newton_vp",
    "empirical_fisher_vp",
)
FUNCTIONS = {
    "loss_and_grad": lambda network, loss, p, x, t: fm.loss_and_grad(network, loss, p, x, t)[1],
    "grad of apply": lambda network, loss, p, x, t: jax.grad(lambda p: loss.value(fm.apply(network, p, x), t))(p),
    "grad of forward": lambda network, loss, p, x, t: jax.grad(lambda p: loss.value(fm.forward(network, p, x)[0], t))(
        p
    ),
    "a step": lambda network, loss, p, x, t: (
        fm.train_step(network, loss, optax.sgd(0.1), fm.init_train_state(p, optax.sgd(0.1)), x, t)[0].params
    ),
    "forward mode": lambda network, loss, p, x, t: jax.jvp(lambda p: fm.forward(network, p, x)[0], (p,), (p,))[1],
    "jvp": lambda network, loss, p, x, t: fm.jvp(network, p, x, p, x)[1],
    "per_sample_grads": fm.per_sample_grads,
    "per_sample_norms": fm.per_sample_norms,
    "hvp": lambda network, loss, p, x, t: fm.hvp(network, loss, p, x, t, p),
    "gauss_newton_vp": lambda network, loss, p, x, t: fm.gauss_newton_vp(network, loss, p, x, t, p),
    "empirical_fisher_vp": lambda network, loss, p, x, t: fm.empirical_fisher_vp(network, loss, p, x, t, p),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "way"), [(name, way) for name in FACTORIES for way in (WAYS if name in ("tanh", "softmax") else ("both",))]
)
def test_every_function_of_sharded_arrays_has_a_type(name, way):
    output, kind = ("softmax", "categorical_cross_entropy") if name == "softmax" else ("identity", "squared_error")
    network, params, inputs, targets = sharded(way, name, output)
    with jax.sharding.use_abstract_mesh(MESH):
        for words, function in FUNCTIONS.items():
            found = jax.eval_shape(
                lambda *data, of=function: of(network, fm.Loss(kind), *data), params, inputs, targets
            )
            if words not in OF_GRADIENTS:
                continue
            for own, like in zip(jax.tree.leaves(found), jax.tree.leaves(params), strict=True):
                assert (own.shape, own.sharding.spec) == (like.shape, like.sharding.spec), (words, name, way)


@pytest.mark.parametrize("kind", ["softmax_cross_entropy", "sigmoid_cross_entropy", "huber", "log_cosh"])
def test_losses_of_sharded_outputs_have_a_type(kind):
    network, params, inputs, targets = sharded("both", "tanh", "identity")
    with jax.sharding.use_abstract_mesh(MESH):
        jax.eval_shape(
            lambda *data: fm.loss_and_grad(network, fm.Loss(kind, over_samples="mean"), *data), params, inputs, targets
        )


NUMBERS = """
import contextlib
import jax, jax.numpy as jnp, numpy as np, optax
from functools import partial
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
import functional_mlp as fm
from tests.parallel.test_meshes import WAYS

network, ReLU = (fm.Network((8, 8, 4), (name, "softmax")) for name in ("silu", "relu"))
loss = fm.Loss("categorical_cross_entropy", over_samples="mean", l2=0.1)
params = jax.jit(lambda key: fm.init_params(network, key))(jax.random.key(0))
x, t = np.random.default_rng(0).normal(size=(16, 8)).astype('f4'), np.eye(4, dtype='f4')[np.arange(16) % 4]
right = jax.jit(lambda *data: fm.loss_and_grad(network, loss, *data)[1])(params, x, t)
trained = fm.train(network, loss, params, x, t, optimizer=optax.sgd(0.1), epochs=3).params

def near(one, other):
    pairs = zip(*map(jax.tree.leaves, (one, other)), strict=True)
    return all(np.allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-6) for a, b in pairs)


def derivatives_of(net):
    gradient = jax.jit(lambda *data: fm.loss_and_grad(net, loss, *data)[1])
    of_apply = jax.jit(jax.grad(lambda p, x, t: loss.value(fm.apply(net, p, x), t) + loss.penalty(p)))
    tangent = jax.jit(lambda p, x, t: jax.jvp(lambda p: fm.forward(net, p, x)[0], (p,), (p,))[1])
    by_hand = jax.jit(lambda p, x, t: fm.jvp(net, p, x, p, x)[1])
    of_samples = jax.jit(lambda p, x, t: [f(net, loss, p, x, t) for f in (fm.per_sample_grads, fm.per_sample_norms)])
    products = fm.hvp, fm.gauss_newton_vp, fm.empirical_fisher_vp
    curved = jax.jit(lambda p, x, t: [product(net, loss, p, x, t, p) for product in products])
    return gradient, of_apply, tangent, by_hand, of_samples, curved

keys = jax.random.split(jax.random.key(1), 2)
several = {"keys": keys, "epochs": 2, "learning_rates": (0.1, 0.2)}
swept = fm.sweep(network, loss, x, t, **several).params

for kind in (AxisType.Auto, AxisType.Explicit):
    mesh = jax.make_mesh((2, 4), ("data", "model"), axis_types=(kind,) * 2)
    put = lambda leaf, *spec: jax.device_put(leaf, NamedSharding(mesh, P(*spec)))
    for way, (samples, of_weights, of_biases) in WAYS.items():
        X, T = put(x, *samples), put(t, *samples)
        specs = zip(params, of_weights, of_biases, strict=True)
        own = tuple(fm.Dense(put(layer.weights, *w), put(layer.bias, *b)) for layer, w, b in specs)
        assert near(fm.train(network, loss, own, X, T, optimizer=optax.sgd(0.1), epochs=3).params, trained), way
        assert near(fm.sweep(network, loss, X, T, **several).params, swept), way
        insides = (jax.set_mesh(mesh), contextlib.nullcontext()) if way == "both" else (jax.set_mesh(mesh),)
        for activation in (network, ReLU) if way == "both" else (network,):
            for number, function in enumerate(derivatives_of(activation)):
                right = function(params, x, t)
                for inside in insides:
                    with inside:
                        assert near(function(own, X, T), right), (kind, way, activation, number)

mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
mean = partial(jax.tree.map, lambda leaf: jax.lax.pmean(leaf, "data"))
right = jax.jit(lambda *data: fm.loss_and_grad(network, loss, *data)[1])(params, x, t)
specs = {"in_specs": (P(), P("data"), P("data")), "out_specs": P()}
shared = jax.shard_map(lambda p, x, t: mean(fm.loss_and_grad(network, loss, p, x, t)[1]), mesh=mesh, **specs)
put = lambda tree, *spec: jax.device_put(tree, NamedSharding(mesh, P(*spec)))
own, X, T = put(params), put(x, "data"), put(t, "data")
assert near(jax.jit(shared)(own, X, T), right)

specs_of_samples = specs | {"out_specs": P("data")}
norms = jax.shard_map(lambda p, x, t: fm.per_sample_norms(network, loss, p, x, t), mesh=mesh, **specs_of_samples)
assert near(jax.jit(norms)(own, X, T), fm.per_sample_norms(network, loss, params, x, t))
moved = jax.shard_map(lambda p, x, t: fm.jvp(network, p, x, p, x)[1], mesh=mesh, **specs_of_samples)
assert near(jax.jit(moved)(own, X, T), fm.jvp(network, params, x, params, x)[1])

curved = jax.shard_map(lambda p, x, t: mean(fm.hvp(network, loss, p, x, t, p)), mesh=mesh, **specs)
assert near(jax.jit(curved)(own, X, T), fm.hvp(network, loss, params, x, t, params))

# of parameters that all devices share, jax.grad of apply is summed over them already, and psum of it 8 times that
plain = fm.Loss("categorical_cross_entropy")
whole = jax.jit(lambda *data: fm.loss_and_grad(network, plain, *data)[1])(params, x, t)
of_apply = lambda p, x, t: jax.grad(lambda p: plain.value(fm.apply(network, p, x), t))(p)
assert near(jax.jit(jax.shard_map(of_apply, mesh=mesh, **specs))(own, X, T), whole)
again = lambda p, x, t: jax.lax.psum(of_apply(p, x, t), "data")
eightfold = jax.tree.map(lambda leaf: 8 * np.asarray(leaf), whole)
assert near(jax.jit(jax.shard_map(again, mesh=mesh, **specs))(own, X, T), eightfold)
varying = lambda p, x, t: jax.lax.psum(of_apply(jax.lax.pcast(p, "data", to="varying"), x, t), "data")
assert near(jax.jit(jax.shard_map(varying, mesh=mesh, **specs))(own, X, T), whole)
print("the same")
"""


@pytest.mark.slow
def test_eight_devices_give_what_one_does():
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", NUMBERS], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "the same\n", done.stderr[-2000:]
