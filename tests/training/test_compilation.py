"""How training programs are compiled: faster on a CPU, and the same results but for rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp.training import compilation as _compiling
from functional_mlp.training import epochs as _epochs
from functional_mlp.training import plan as _plan
from functional_mlp.training.compilation import accepted, compiling, in_one_kernel
from functional_mlp.training.plan import make_plan
from tests.helpers.tolerances import RELATIVE, relative_difference

pytestmark = [pytest.mark.usefixtures("on_cpu", "standard_promotion"), pytest.mark.slow]  # optax.adam needs the first

DEEP = fm.Network((2, *[3] * 5, 3), ("tanh", "elu", "softplus", "gelu", "silu", "softmax"))  # what is not simple
FLAT = fm.Network((2, 3, 3), ("leaky_relu", "softmax"))
LOSS = fm.Loss("categorical_cross_entropy", over_samples="mean", l2=0.01)
MOONS = fm.Network((2, 25, 50, 25, 2), "sigmoid")
HALF_SQUARES = fm.Loss("squared_error", scale=0.5)


def draw(network, dtype, samples=4):
    rng = np.random.default_rng(0)
    inputs = jnp.asarray(rng.normal(size=(samples, network.sizes[0])), dtype)
    targets = jnp.asarray(np.eye(network.sizes[-1])[np.arange(samples) % network.sizes[-1]], dtype)
    params = fm.init_params(network, jax.random.key(0), bias="normal_tenth", dtype=dtype)
    return params, inputs, targets


def is_one_kernel(program):
    return any(" call(" in line and 'xla_cpu_small_call="true"' in line for line in program.as_text().splitlines())


def asks_for_one_kernel(program):
    """Whether XLA is asked to: of itself it takes small loops for small calls too, in some versions."""
    return 'xla_cpu_small_call = "true"' in program.as_text()


def lowered(network, batch_size, optimizer, shuffle=False):
    """The program of a run on a CPU, as `train` gives it to XLA."""
    params, inputs, targets = draw(network, jnp.float32)
    data = _plan.Data(inputs, targets, None, None, None)
    settings = _plan.Settings(1, batch_size, shuffle, 1, "after", (), 1, "highest")
    plan = make_plan(network, HALF_SQUARES, data, settings)
    state = fm.init_train_state(params, optimizer, jax.random.key(0))
    run = _epochs.compiled_chunk(plan.compiling.options, None)
    return run.lower(plan, optimizer, state, jnp.asarray(1, jnp.int32), data)


@pytest.mark.parametrize("optimizer", [optax.sgd(0.1, momentum=0.9), optax.adam(0.1)], ids=["momentum", "adam"])
def test_one_sample_training_of_a_small_network_is_one_kernel(optimizer):
    program = lowered(MOONS, 1, optimizer, shuffle=True)
    assert asks_for_one_kernel(program)
    assert is_one_kernel(program.compile())


def test_batches_and_large_networks_are_not():
    assert not asks_for_one_kernel(lowered(MOONS, 2, optax.sgd(0.1)))
    assert not asks_for_one_kernel(lowered(fm.Network((2, 200, 200, 2), "relu"), 1, optax.sgd(0.1)))


def test_an_operation_that_a_kernel_cannot_hold_is_compiled_as_usual():
    """The median of a gradient is a sort, which XLA calls a library for."""

    def clip_by_median():
        def update(updates, state, params=None):
            return jax.tree.map(lambda g: jnp.clip(g, -jnp.median(jnp.abs(g)), jnp.median(jnp.abs(g))), updates), state

        return optax.GradientTransformation(lambda params: optax.EmptyState(), update)

    optimizer = optax.chain(clip_by_median(), optax.sgd(0.1))
    assert not asks_for_one_kernel(lowered(fm.Network((2, 3, 2), "sigmoid"), 1, optimizer))


@pytest.mark.parametrize(("network", "dtype"), [(DEEP, "float64"), (FLAT, "bfloat16")], ids=["deep", "bfloat16"])
def test_one_kernel_gives_what_the_usual_program_gives(network, dtype, x64, monkeypatch):
    params, inputs, targets = draw(network, jnp.dtype(dtype))
    options = {"optimizer": optax.sgd(0.1), "epochs": 2, "batch_size": 1, "metrics": ()}

    def train():
        return fm.train(network, LOSS, params, inputs, targets, **options).params

    in_one = train()
    monkeypatch.setattr("functional_mlp.training.plan.compiling", lambda *_: _compiling.Compiling(False, 1, ()))
    assert relative_difference(in_one, train()) <= RELATIVE[dtype]
    assert relative_difference(in_one, params) > RELATIVE[dtype]  # it did train


def test_the_oracle_finds_the_update_of_the_tuned_program_consistent():
    params, inputs, targets = draw(MOONS, jnp.float32, samples=1)
    case = oracle.Case(MOONS, HALF_SQUARES, params, inputs, targets, dtype="float32")
    options = {"optimizer": optax.sgd(0.5), "epochs": 1, "batch_size": 1}
    after = fm.train(MOONS, HALF_SQUARES, params, inputs, targets, **options).params
    report = oracle.check_update(case, after, learning_rate=0.5, precision="float32")
    assert report.verdict is oracle.Verdict.CONSISTENT
    wrong = fm.train(MOONS, HALF_SQUARES, params, inputs, targets, **(options | {"optimizer": optax.sgd(0.25)})).params
    report = oracle.check_update(case, wrong, learning_rate=0.5, precision="float32")
    assert report.verdict is oracle.Verdict.WRONG


def test_run_after_run_is_the_same_to_the_bit():
    params, inputs, targets = draw(MOONS, jnp.float32, 7)
    options = {"epochs": 3, "batch_size": 1, "shuffle": True, "key": jax.random.key(1)}
    first, second = (
        fm.train(MOONS, HALF_SQUARES, params, inputs, targets, optimizer=optax.sgd(0.1), **options).params
        for _ in range(2)  # each with an optimiser, and so a compilation, of its own
    )
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        assert np.array_equal(one, other)


def test_accelerators_get_no_options_of_the_cpu():
    assert compiling("gpu", 1, 2600).options == ()
    assert not compiling("gpu", 1, 2600).one_kernel


def test_options_that_this_xla_does_not_know_are_left_out():
    known = ("xla_backend_optimization_level", 2)
    assert accepted((known, ("xla_no_such_option", 1))) == (known,)


def test_a_kernel_within_a_vmap_and_a_loop():
    @in_one_kernel
    def cube(x):
        return jax.lax.fori_loop(0, 2, lambda _, y: y * x, x)

    x = jnp.arange(3.0)
    assert np.array_equal(jax.jit(jax.vmap(cube))(x), x**3)
