"""train_step and train: exact batches, order, resuming, history."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import functional_mlp as fm
from functional_mlp.training import epochs as _epochs
from functional_mlp.training.compilation import compiling
from functional_mlp.training.epochs import epoch_order
from tests.helpers.small_run import LOSS, NETWORK, draw_data, initial
from tests.helpers.tolerances import RELATIVE, relative_difference

pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.slow]  # optax.adam needs the first


def by_hand(params, batches, optimizer, loss=LOSS, network=NETWORK):
    """The plain loop that `train` must equal: loss_and_grad and optax, one batch after another."""
    opt_state = optimizer.init(params)
    for batch in batches:
        _, grads = fm.loss_and_grad(network, loss, params, *batch)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
    return params


def test_train_step_is_one_update(x64):
    inputs, targets = draw_data(8)
    optimizer = optax.adam(0.1)
    state = fm.init_train_state(initial(), optimizer, jax.random.key(0))
    after, metrics = jax.jit(fm.train_step, static_argnums=2)(NETWORK, LOSS, optimizer, state, inputs, targets)
    value, grads = fm.loss_and_grad(NETWORK, LOSS, initial(), inputs, targets)
    assert relative_difference(after.params, by_hand(initial(), [(inputs, targets)], optimizer)) <= 1e-12
    np.testing.assert_allclose(metrics.loss, value, rtol=RELATIVE["float64"])
    np.testing.assert_allclose(metrics.gradient_norm, optax.tree.norm(grads), rtol=RELATIVE["float64"])


@pytest.mark.parametrize(
    ("over_samples", "batch_size", "weighted"),
    [
        ("mean", 1, True),
        ("mean", 4, False),
        ("mean", 4, True),
        ("sum", 4, True),
        ("sum", 10, True),
        ("mean", None, True),
    ],
)
def test_batches_in_order_are_exact_and_a_partial_last_one_too(over_samples, batch_size, weighted, x64):
    inputs, targets = draw_data(10)
    weights = np.random.default_rng(1).uniform(0.5, 2, 10) if weighted else None
    loss = fm.Loss("binary_cross_entropy", over_samples, l2=0.01)
    result = fm.train(
        NETWORK,
        loss,
        initial(),
        inputs,
        targets,
        optimizer=optax.sgd(0.1, momentum=0.9),
        epochs=3,
        batch_size=batch_size,
        sample_weights=weights,
    )
    size = batch_size or 10
    cuts = [slice(i, i + size) for i in range(0, 10, size)] * 3
    batches = [(inputs[cut], targets[cut], None if weights is None else weights[cut]) for cut in cuts]
    expected = by_hand(initial(), batches, optax.sgd(0.1, momentum=0.9), loss)
    assert relative_difference(result.params, expected) <= RELATIVE["float64"]


def test_shuffling_takes_every_sample_once_in_the_order_of_its_epoch(x64):
    inputs, targets = draw_data(7)
    key = jax.random.key(5)
    result = fm.train(
        NETWORK,
        LOSS,
        initial(),
        inputs,
        targets,
        optimizer=optax.sgd(0.5),
        epochs=2,
        batch_size=3,
        shuffle=True,
        key=key,
    )
    orders = [np.asarray(epoch_order(key, epoch, 7)) for epoch in range(2)]
    batches = [(inputs[o[i : i + 3]], targets[o[i : i + 3]]) for o in orders for i in (0, 3, 6)]
    assert relative_difference(result.params, by_hand(initial(), batches, optax.sgd(0.5))) <= RELATIVE["float64"]
    assert not np.array_equal(*orders)
    assert [sorted(order) for order in orders] == [list(range(7))] * 2


def test_the_order_of_the_samples_has_nothing_to_do_with_initial_values_from_the_same_key():
    key = jax.random.key(5)
    bias = fm.init_params(fm.Network((1, 8, 1), "tanh"), key, bias="uniform_tenth")[0].bias
    assert np.argsort(bias).tolist() != epoch_order(key, 0, 8).tolist()


@pytest.mark.parametrize("evaluate", ["before", "after"])
@pytest.mark.parametrize("chunk_epochs", [1, 2, 3, 7, 100])
def test_history_is_the_same_for_every_chunk_length(evaluate, chunk_epochs, x64):
    inputs, targets = draw_data(6)
    seen = []
    result = fm.train(
        NETWORK,
        LOSS,
        initial(),
        inputs,
        targets,
        optimizer=optax.sgd(0.3),
        epochs=8,
        eval_inputs=inputs[:3],
        eval_targets=targets[:3],
        eval_every=3,
        evaluate=evaluate,
        metrics=("loss", "accuracy", "mean_squared_error"),
        chunk_epochs=chunk_epochs,
        callback=lambda so_far: seen.append(int(so_far.state.epoch)) and None,
    )
    assert result.history["epoch"].tolist() == [0, 3, 6]
    for row, epoch in enumerate([0, 3, 6]):
        updates = epoch + (evaluate == "after")
        params = by_hand(initial(), [(inputs, targets)] * updates, optax.sgd(0.3))
        outputs = np.asarray(fm.forward(NETWORK, params, inputs)[0])
        expected = {
            "train_loss": fm.loss_and_grad(NETWORK, LOSS, params, inputs, targets)[0],
            "train_accuracy": np.mean((outputs > 0.5) == (targets > 0.5)),
            "train_mean_squared_error": np.mean((outputs - targets) ** 2),
            "eval_loss": fm.loss_and_grad(NETWORK, LOSS, params, inputs[:3], targets[:3])[0],
            "eval_accuracy": np.mean((outputs > 0.5) == (targets > 0.5), where=np.arange(6)[:, None] < 3),
            "eval_mean_squared_error": np.mean((outputs - targets)[:3] ** 2),
        }
        assert expected.keys() | {"epoch"} == result.history.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(result.history[name][row], value, rtol=RELATIVE["float64"], err_msg=name)
    assert seen == [min(8, i) for i in range(chunk_epochs, 8 + chunk_epochs, chunk_epochs)]


def test_going_on_from_a_state_is_the_same_as_never_stopping(x64, on_cpu):  # elsewhere, chunks of another size round
    inputs, targets = draw_data(9)
    options = {"optimizer": optax.adam(0.05), "batch_size": 4, "shuffle": True, "eval_every": 2}
    whole = fm.train(NETWORK, LOSS, initial(), inputs, targets, epochs=7, key=jax.random.key(2), **options)
    stopped = fm.train(
        NETWORK,
        LOSS,
        initial(),
        inputs,
        targets,
        epochs=7,
        key=jax.random.key(2),
        chunk_epochs=3,
        callback=lambda so_far: True,
        **options,
    )
    assert int(stopped.state.epoch) == 3
    resumed = fm.train(NETWORK, LOSS, stopped.state, inputs, targets, epochs=7, **options)
    jax.tree.map(np.testing.assert_array_equal, resumed.params, whole.params)
    joined = np.concatenate([stopped.history["train_loss"], resumed.history["train_loss"]])
    np.testing.assert_array_equal(joined, whole.history["train_loss"])


def test_learning_rate_schedules_and_per_leaf_rates(x64):
    inputs, targets = draw_data(6)
    schedule = optax.cosine_decay_schedule(0.5, 5)
    result = fm.train(NETWORK, LOSS, initial(), inputs, targets, optimizer=optax.sgd(schedule), epochs=5)
    expected = by_hand(initial(), [(inputs, targets)] * 5, optax.sgd(schedule))
    assert relative_difference(result.params, expected) <= RELATIVE["float64"]
    frozen = optax.multi_transform(
        {"weights": optax.sgd(0.1), "bias": optax.set_to_zero()},
        lambda params: tuple(fm.Dense("weights", "bias") for _ in params),
    )
    result = fm.train(NETWORK, LOSS, initial(), inputs, targets, optimizer=frozen, epochs=5)
    for after, before in zip(result.params, initial(), strict=True):
        np.testing.assert_array_equal(after.bias, before.bias)
        assert not np.array_equal(after.weights, before.weights)


def test_metrics_of_ones_own_and_several_outputs(x64):
    network = fm.Network((2, 3), "softmax")
    inputs, _ = draw_data(5)
    targets = np.eye(3)[[0, 1, 2, 0, 1]]

    def largest_output(outputs, targets):
        return outputs.max()

    result = fm.train(
        network,
        fm.Loss("categorical_cross_entropy"),
        initial(network),
        inputs,
        targets,
        optimizer=optax.sgd(0.1),
        epochs=1,
        metrics=(largest_output, "accuracy"),
    )
    outputs = np.asarray(fm.forward(network, result.params, inputs)[0])
    assert result.history["train_largest_output"][0] == pytest.approx(outputs.max())
    assert result.history["train_accuracy"][0] == pytest.approx(np.mean(outputs.argmax(1) == targets.argmax(1)))


def test_accuracy_of_a_logit_has_its_threshold_at_zero(x64):
    network = fm.Network((1, 1), "identity")
    params = (fm.Dense(jnp.asarray([[1.0]]), jnp.asarray([0.0])),)
    inputs, targets = np.asarray([[0.3], [-0.3]]), np.asarray([[1.0], [0.0]])
    result = fm.train(
        network,
        fm.Loss("sigmoid_cross_entropy"),
        params,
        inputs,
        targets,
        optimizer=optax.sgd(0.0),
        epochs=1,
        metrics=("accuracy",),
    )
    assert result.history["train_accuracy"][0] == 1


def test_without_metrics_there_is_no_evaluation(x64):
    inputs, targets = draw_data(4)
    result = fm.train(NETWORK, LOSS, initial(), inputs, targets, optimizer=optax.sgd(0.1), epochs=3, metrics=())
    assert result.history.keys() == {"epoch"}


def test_the_same_optimiser_object_compiles_once(on_cpu):
    inputs, targets = (x.astype(np.float32) for x in draw_data(5))
    params = fm.init_params(NETWORK, jax.random.key(0))
    optimizer = optax.sgd(0.1)
    fm.train(NETWORK, LOSS, params, inputs, targets, optimizer=optimizer, epochs=40, batch_size=2)
    compiled = _epochs.compiled_chunk(compiling("cpu", batch_size=2, weights=12).options, None)
    before = compiled._cache_size()
    assert before
    fm.train(NETWORK, LOSS, params, inputs + 1, targets, optimizer=optimizer, epochs=33, batch_size=2)
    assert compiled._cache_size() == before


@pytest.mark.parametrize(
    "make",
    [
        lambda: optax.adamw(0.05, weight_decay=0.1),
        lambda: optax.lbfgs(),
        lambda: optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau()),
    ],
    ids=["adamw", "lbfgs", "reduce_on_plateau"],
)
def test_optimisers_that_need_the_parameters_or_the_loss(make, x64):
    inputs, targets = draw_data(6)
    result = fm.train(NETWORK, LOSS, initial(), inputs, targets, optimizer=make(), epochs=30)
    losses = result.history["train_loss"]
    assert losses[-1] < losses[0]
    assert np.isfinite(losses).all()


def test_a_batch_of_weightless_samples_moves_nothing(x64):
    inputs, targets = draw_data(6)
    weights = np.array([1.0, 1.0, 0.0, 0.0, 1.0, 0.0])
    loss = fm.Loss("binary_cross_entropy", over_samples="mean")
    for batch_size in (1, 2, 5):
        result = fm.train(
            NETWORK,
            loss,
            initial(),
            inputs,
            targets,
            optimizer=optax.sgd(0.1),
            epochs=2,
            batch_size=batch_size,
            sample_weights=weights,
        )
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result.params))
    only = [0, 1, 4]
    batches = [(inputs[[i]], targets[[i]]) for i in only] * 2
    single = fm.train(
        NETWORK,
        loss,
        initial(),
        inputs,
        targets,
        optimizer=optax.sgd(0.1),
        epochs=2,
        batch_size=1,
        sample_weights=weights,
    )
    assert relative_difference(single.params, by_hand(initial(), batches, optax.sgd(0.1), loss)) <= 1e-12


def test_the_padding_of_a_partial_batch_never_reaches_the_network(x64):
    """The square root has no derivative at 0, which is where rows of zeros would lead to."""
    root = fm.Activation("root", jnp.sqrt, lambda z, a, ct_a: ct_a / (2 * a))
    network = fm.Network((1, 1), root)
    params = (fm.Dense(jnp.ones((1, 1)), None),)
    inputs = np.linspace(1, 2, 6)[:, None]
    result = fm.train(
        network, fm.Loss("squared_error"), params, inputs, inputs, optimizer=optax.sgd(0.01), epochs=2, batch_size=4
    )
    assert np.isfinite(result.params[0].weights).all()


def test_the_loss_in_the_history_counts_the_sample_weights(x64):
    inputs, targets = draw_data(5)
    weights = np.arange(5.0)
    result = fm.train(
        NETWORK,
        LOSS,
        initial(),
        inputs,
        targets,
        optimizer=optax.sgd(0.1),
        epochs=1,
        evaluate="before",
        sample_weights=weights,
    )
    expected = fm.loss_and_grad(NETWORK, LOSS, initial(), inputs, targets, weights)[0]
    np.testing.assert_allclose(result.history["train_loss"][0], expected, rtol=1e-12)


def test_metrics_do_not_overflow_in_16_bits_and_nan_is_never_right():
    network = fm.Network((1, 1), "identity")
    inputs, targets = np.ones((4, 1), np.float16), np.zeros((4, 1), np.float16)

    def run(weight):
        params = (fm.Dense(jnp.full((1, 1), weight, jnp.float16), None),)
        return fm.train(
            network,
            fm.Loss("squared_error"),
            params,
            inputs,
            targets,
            optimizer=optax.sgd(0.0),
            epochs=1,
            evaluate="before",
            metrics=("mean_squared_error", "accuracy"),
        ).history

    assert run(300.0)["train_mean_squared_error"][0] == 90000
    assert run(np.nan)["train_accuracy"][0] == 0


def test_the_precision_asked_for_reaches_every_product():
    params = fm.init_params(NETWORK, jax.random.key(0))
    inputs, targets = (x.astype(np.float32) for x in draw_data(4))
    optimizer = optax.sgd(0.1)
    state = fm.init_train_state(params, optimizer)

    def program(**options):
        return str(
            jax.make_jaxpr(lambda s: fm.train_step(NETWORK, LOSS, optimizer, s, inputs, targets, **options))(state)
        )

    assert program().count("HIGHEST") >= 5
    assert "HIGHEST" not in program(precision="default")


# bad input


def test_bad_input(says):
    inputs, targets = (x.astype(np.float32) for x in draw_data(6))
    params = fm.init_params(NETWORK, jax.random.key(0))

    def train(changed=(), **options):
        arguments = {"network": NETWORK, "loss": LOSS, "params": params, "inputs": inputs, "targets": targets}
        defaults = {"optimizer": optax.sgd(0.1), "epochs": 1}
        return lambda: fm.train(**(arguments | defaults | dict(changed) | options))

    says(TypeError, ["network to be a Network, got list", "fm.Network("], train(network=[2, 4, 1]))
    says(TypeError, ["loss to be a Loss, got str", "fm.Loss("], train(loss="squared_error"))
    says(ValueError, ["epochs", "at least 1", "0"], train(epochs=0))
    says(ValueError, ["epochs", "-3"], train(epochs=-3))
    says(TypeError, ["epochs", "1.5"], train(epochs=1.5))
    says(ValueError, ["batch_size", "6 samples", "7"], train(batch_size=7))
    says(ValueError, ["batch_size", "at least 1"], train(batch_size=0))
    says(ValueError, ["eval_every", "0"], train(eval_every=0))
    says(ValueError, ["chunk_epochs", "0"], train(chunk_epochs=0))
    says(ValueError, ["'during'", "after"], train(evaluate="during"))
    says(ValueError, ["metric", "did you mean 'accuracy'"], train(metrics=("acuracy",)))
    says(ValueError, ["shuffle", "key"], train(shuffle=True))
    says(ValueError, ["eval_inputs and eval_targets together"], train(eval_inputs=inputs))
    says(ValueError, ["eval_targets", "(6, 1)", "(5, 1)"], train(eval_inputs=inputs, eval_targets=targets[:5]))
    says(ValueError, ["empty batch"], train(inputs=inputs[:0], targets=targets[:0]))
    says(ValueError, ["targets", "(6, 1)", "(6,)"], train(targets=targets[:, 0]))
    says(TypeError, ["targets", "int64"], train(targets=targets.astype(int)))
    says(ValueError, ["expected parameters"], train(params=params[:1]))
    says(ValueError, ["logarithm"], train(network=fm.Network((2, 4, 1), "relu")))
    says(ValueError, ["sample_weights"], train(sample_weights=np.ones(5, np.float32)))
    spoilt = inputs.copy()
    spoilt[4, 1] = np.nan
    spoilt[5, 0] = np.inf
    says(ValueError, ["inputs", "finite", "(4, 1)", "2 such values"], train(inputs=spoilt))
    says(TypeError, ["call it: sgd(learning_rate)"], train(optimizer=optax.sgd))
    says(TypeError, ["key", "0"], train(shuffle=True, key=0))
    spoilt_targets = targets.copy()
    spoilt_targets[2] = np.nan
    says(ValueError, ["targets", "finite", "(2, 0)"], train(targets=spoilt_targets))
    says(ValueError, ["two called 'loss'"], train(metrics=("loss", "loss")))
    says(ValueError, ["metric", "scalar", "(6, 1)"], train(metrics=(lambda outputs, targets: outputs,)))
    keyed = train(key=jax.random.key(0))().state
    says(ValueError, ["no key"], train(params=keyed, key=jax.random.key(1), epochs=2))
    says(ValueError, ["go on with the one it began with"], train(params=keyed, optimizer=optax.adam(0.1), epochs=2))
    unkeyed = train()().state
    says(ValueError, ["shuffle", "key"], train(params=unkeyed, shuffle=True, epochs=2))
    done = train()().state
    says(ValueError, ["more than the 1", "got 1"], train(params=done))


@pytest.mark.parametrize("transform", [jax.jit, jax.vmap], ids=["jit", "vmap"])
def test_training_within_a_transformation_says_what_to_use(transform, as_a_person):
    network, loss = fm.Network((2, 1), "identity"), fm.Loss("squared_error")
    inputs, targets = np.ones((4, 2), np.float32), np.ones((4, 1), np.float32)
    starts = jax.vmap(lambda key: fm.init_params(network, key))(jax.random.split(jax.random.key(0), 3))

    def trained(params):
        return fm.train(network, loss, params, inputs, targets, optimizer=optax.sgd(0.1), epochs=2).params

    with pytest.raises(TypeError, match=r"use fm\.sweep"):
        transform(trained)(starts)
