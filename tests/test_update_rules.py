"""Update rules: against optax, against the referee's certified digits, and what they refuse."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functional_mlp as fm
from functional_mlp.update_rules import RULES, Adam, Descent, Momentum, RMSprop, RuleState, update_rule
from reference.update_rules import certified_steps

VARIANTS = {
    **RULES,
    "descent with decay": Descent(0.1, 0.25),
    "momentum with decay": Momentum(0.25, weight_decay=0.25),
    "rate inside": Momentum(0.3, rate_inside=True),
    "Nesterov, rate inside": Momentum(0.3, rate_inside=True, nesterov=True),
    "dampened": Momentum(0.3, dampening=0.5),
    "running average": Momentum(0.3, dampening=0.9, dampen_first=True),
    "dampened, rate inside": Momentum(0.3, dampening=0.5, rate_inside=True),
    "Adam with L2": Adam(0.1, weight_decay=0.01),
    "epsilon inside": Adam(0.1, epsilon=0.01, epsilon_inside=True),
    "epsilon uncorrected": Adam(0.1, epsilon=0.01, epsilon_uncorrected=True),
    "no correction": Adam(0.1, bias_correction=False),
    "RMSprop inside": RMSprop(0.1, epsilon=0.01, epsilon_inside=True),
    "RMSprop centred": RMSprop(0.1, centred=True, momentum=0.5, weight_decay=0.01),
}
FORMULAS = {Descent: "descent", Momentum: "momentum", Adam: "adam", RMSprop: "rmsprop"}
numbers = st.floats(-4, 4).map(lambda x: round(x, 6))


def formula_of(rule):
    return FORMULAS[type(rule)]


def after_each(rule, params, gradients):
    """The parameters after each step."""
    state, after = rule.init(params), []
    for gradient in gradients:
        state, params = rule.step(state, params, gradient)
        after.append(params)
    return after


@pytest.mark.parametrize("name", VARIANTS)
@settings(max_examples=25)
@given(parameter=numbers, gradients=st.lists(numbers, min_size=1, max_size=5))
def test_every_rule_has_the_digits_that_the_referee_certifies(name, parameter, gradients):
    rule = VARIANTS[name]
    true = certified_steps(formula_of(rule), dataclasses.asdict(rule), parameter, gradients)
    got = [p.item() for p in after_each(rule, np.array(parameter), [np.array(g) for g in gradients])]
    # 1 - beta2 loses three digits, and a gradient beside a decay may cancel before it is divided by its size
    cancels = isinstance(rule, Adam | RMSprop) and rule.weight_decay and not getattr(rule, "decoupled", False)
    scale = 1 + abs(parameter) + rule.learning_rate * sum(map(abs, gradients))
    np.testing.assert_allclose(got, true, rtol=0, atol=(1e-6 if cancels else 2e-13) * scale)


OPTAX = {
    "descent": (Descent(0.1), optax.sgd(0.1)),
    "momentum": (Momentum(0.1), optax.sgd(0.1, 0.9)),
    "nesterov": (Momentum(0.1, nesterov=True), optax.sgd(0.1, 0.9, nesterov=True)),
    "adam": (Adam(0.1), optax.adam(0.1)),
    "adam, epsilon inside": (Adam(0.1, epsilon=0.01, epsilon_inside=True), optax.adam(0.1, eps=0.0, eps_root=0.01)),
    "adamw": (Adam(0.1, weight_decay=0.02, decoupled=True), optax.adamw(0.1, weight_decay=0.02)),
    "rmsprop": (RMSprop(0.1), optax.rmsprop(0.1, eps_in_sqrt=False)),
    "rmsprop, epsilon inside": (RMSprop(0.1, epsilon_inside=True), optax.rmsprop(0.1)),
    "rmsprop, centred": (
        RMSprop(0.1, centred=True, epsilon_inside=True, momentum=0.9),
        optax.rmsprop(0.1, centered=True, momentum=0.9),
    ),
}


@pytest.mark.parametrize("name", OPTAX)
def test_every_rule_takes_the_steps_of_optax(name):
    rule, optimizer = OPTAX[name]
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        params = [fm.Dense(*(jnp.asarray(rng.normal(size=shape)) for shape in ((3, 2), (2,))))]
        params.append(fm.Dense(jnp.asarray(rng.normal(size=(2, 2))), None))
        gradients = [jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), params) for _ in range(5)]
        theirs, state = params, optimizer.init(params)
        for gradient, ours in zip(gradients, after_each(rule, params, gradients), strict=True):
            with jax.numpy_dtype_promotion("standard"):  # optax takes a decay to the power of an integer
                updates, state = optimizer.update(gradient, state, theirs)
            theirs = optax.apply_updates(theirs, updates)
            for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("nesterov", [False, True])
def test_with_a_constant_rate_it_does_not_matter_where_the_rate_stands(nesterov):
    rng = np.random.default_rng(1)
    gradients = list(rng.normal(size=(6, 4)))
    outside, inside = (
        after_each(Momentum(0.3, momentum=0.8, nesterov=nesterov, rate_inside=is_inside), np.ones(4), gradients)
        for is_inside in (False, True)
    )
    np.testing.assert_allclose(outside, inside, rtol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", RULES)
def test_a_step_keeps_dtypes_and_leaves_its_arguments_alone(name, dtype):
    params = [np.ones((2, 3), jnp.dtype(dtype)), np.ones(3, jnp.dtype(dtype))]
    rule = RULES[name]
    state, after = rule.step(rule.init(params), params, params)
    assert {leaf.dtype for leaf in jax.tree.leaves((state.slots, after))} == {jnp.dtype(dtype)}
    assert all((leaf == 1).all() for leaf in params)
    assert state.steps == 1


def test_a_rule_is_found_by_its_name():
    assert update_rule("sgd", 0.5) == Descent(0.5)
    assert update_rule(Adam(beta2=0.9), 0.5) == Adam(0.5, beta2=0.9)
    assert {name: rule.name for name, rule in RULES.items()} == {name: name for name in RULES}
    assert Momentum(0.3, momentum=0.5, nesterov=True).name == "nesterov"


@pytest.mark.parametrize(
    ("error", "words", "make"),
    [
        (ValueError, ["did you mean 'adam'"], lambda: update_rule("adm")),
        (TypeError, [], lambda: update_rule({})),
        (ValueError, ["learning_rate", "above 0"], lambda: Descent(0.0)),
        (ValueError, ["momentum", "below 1", "1.0"], lambda: Momentum(0.1, momentum=1.0)),
        (ValueError, ["epsilon", "at least 0"], lambda: Adam(epsilon=-1e-8)),
        (TypeError, [], lambda: Momentum(nesterov=1)),
        (TypeError, [], lambda: Adam(beta1="0.9")),
        (ValueError, ["grads", "tree like params"], lambda: Descent().step(RuleState(0, ()), [np.ones(1)], np.ones(1))),
        (ValueError, ["1 slots", "got 0"], lambda: Momentum().step(RuleState(0, ()), np.ones(1), np.ones(1))),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(error, words, make):
    with pytest.raises(error) as caught:
        make()
    for word in words:
        assert word in str(caught.value)
