"""sweep: many runs in one program, each the one that train does."""

import errno
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import functional_mlp as fm
from functional_mlp.training import compilation as _compiling
from tests.helpers.small_run import LOSS, NETWORK, draw_data, initial
from tests.helpers.tolerances import RELATIVE, relative_difference

pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.slow]  # optax.adam needs the first


def test_each_run_of_a_sweep_is_the_run_that_train_does(x64):
    inputs, targets = draw_data(7)
    keys = jax.random.split(jax.random.key(0), 3)
    common = {"epochs": 5, "batch_size": 3, "shuffle": True, "eval_every": 2, "metrics": ("loss",)}
    held_out = {"eval_inputs": inputs[:4], "eval_targets": targets[:4]}
    options = common | held_out
    swept = fm.sweep(
        NETWORK,
        LOSS,
        inputs,
        targets,
        keys=keys,
        optimizer=optax.adam,
        learning_rates=[0.1, 0.01],
        bias="normal_tenth",
        dtype=jnp.float64,
        **options,
    )
    assert swept.learning_rates.tolist() == [0.1] * 3 + [0.01] * 3
    assert swept.history["train_loss"].shape == (6, 3)
    for run in (5,):
        key = swept.keys[run]
        params = fm.init_params(NETWORK, key, bias="normal_tenth", dtype=jnp.float64)
        rate = float(swept.learning_rates[run])
        alone = fm.train(NETWORK, LOSS, params, inputs, targets, optimizer=optax.adam(rate), key=key, **options)
        one = jax.tree.map(lambda leaf, run=run: leaf[run], swept.params)
        assert relative_difference(one, alone.params) <= 1e-11
        for name in ("train_loss", "eval_loss"):
            np.testing.assert_allclose(swept.history[name][run], alone.history[name], rtol=1e-11)
    assert np.array_equal(swept.history["epoch"], [0, 2, 4])


def test_a_sweep_counts_the_sample_weights(x64):
    inputs, targets = draw_data(4)
    keys = jax.random.split(jax.random.key(0), 2)
    weights = np.array([1.0, 0.0, 3.0, 0.5])
    options = {"epochs": 2, "sample_weights": weights}
    swept = fm.sweep(NETWORK, LOSS, inputs, targets, keys=keys, learning_rates=0.2, dtype=jnp.float64, **options)
    params = fm.init_params(NETWORK, keys[1], dtype=jnp.float64)
    alone = fm.train(NETWORK, LOSS, params, inputs, targets, optimizer=optax.sgd(0.2), **options)
    one = jax.tree.map(lambda leaf: leaf[1], swept.params)
    assert relative_difference(one, alone.params) <= RELATIVE["float64"]


def test_a_sweep_from_given_initial_values(x64):
    inputs, targets = draw_data(4)
    keys = jax.random.split(jax.random.key(0), 2)
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), initial(seed=3), initial(seed=4))
    swept = fm.sweep(NETWORK, LOSS, inputs, targets, keys=keys, params=params, learning_rates=0.2, epochs=2)
    alone = fm.train(NETWORK, LOSS, initial(seed=4), inputs, targets, optimizer=optax.sgd(0.2), epochs=2)
    one = jax.tree.map(lambda leaf: leaf[1], swept.params)
    assert relative_difference(one, alone.params) <= RELATIVE["float64"]


def small_sweep(**options):
    inputs, targets = (x.astype(np.float32) for x in draw_data(7))
    defaults = {"keys": jax.random.split(jax.random.key(0), 5), "epochs": 3, "learning_rates": [0.1, 0.2]}
    return fm.sweep(NETWORK, LOSS, inputs, targets, **(defaults | options))


@pytest.fixture(scope="module")
def whole():
    """A sweep in memory, in one go."""
    with jax.numpy_dtype_promotion("standard"):
        return small_sweep()


def assert_same_bits(one, other):
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert np.array_equal(left, right)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_on_a_cpu_a_run_has_the_bits_of_train(batch_size, on_cpu):
    inputs, targets = (x.astype(np.float32) for x in draw_data(7))
    options = {"batch_size": batch_size, "shuffle": True, "epochs": 3}
    swept = small_sweep(**options)
    params = fm.init_params(NETWORK, swept.keys[8])
    alone = fm.train(NETWORK, LOSS, params, inputs, targets, optimizer=optax.sgd(0.2), key=swept.keys[8], **options)
    assert_same_bits(jax.tree.map(lambda leaf: leaf[8], swept.params), alone.params)
    assert np.array_equal(swept.history["train_loss"][8], alone.history["train_loss"])


EIGHT_DEVICES = "--xla_force_host_platform_device_count=8"


def test_any_number_of_devices_gives_the_same_bits_in_sweeps_and_the_same_but_for_rounding_in_a_training():
    helpers = Path(__file__).parents[1] / "helpers"
    path = os.pathsep.join([str(helpers.parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} {EIGHT_DEVICES}"}
    environment["JAX_PLATFORMS"] = "cpu"
    script = [sys.executable, str(helpers / "several_devices.py")]
    done = subprocess.run(script, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["one by one"], told["tiles of four"]) == (1, 1)
    assert np.max(told["trainings"]) <= RELATIVE["float32"]


def test_tiles_of_several_runs_give_the_same_but_for_rounding():
    """As on an accelerator, with a last tile that is filled up."""
    one_by_one = small_sweep(batch_size=3)
    tiled = small_sweep(batch_size=3, tile=4)
    assert relative_difference(tiled.params, one_by_one.params) <= RELATIVE["float32"]
    assert tiled.history["train_loss"].shape == (10, 3)
    np.testing.assert_allclose(tiled.history["train_loss"], one_by_one.history["train_loss"], rtol=1e-5)


def test_further_numbers_of_the_optimiser_are_swept():
    inputs, targets = (x.astype(np.float32) for x in draw_data(7))

    def decayed(learning_rate, momentum, decay):
        return optax.chain(optax.add_decayed_weights(decay), optax.sgd(learning_rate, momentum))

    numbers = {"momentum": [0.0, 0.5, 0.9], "decay": 0.01}
    swept = small_sweep(optimizer=decayed, hyperparameters=numbers)
    assert swept.learning_rates.tolist() == [0.1] * 15 + [0.2] * 15
    assert swept.hyperparameters["momentum"].tolist() == ([0.0] * 5 + [0.5] * 5 + [0.9] * 5) * 2
    assert swept.hyperparameters["decay"].tolist() == [0.01] * 30
    run = 27
    params = fm.init_params(NETWORK, swept.keys[run])
    alone = fm.train(NETWORK, LOSS, params, inputs, targets, optimizer=decayed(0.2, 0.9, 0.01), epochs=3)
    assert relative_difference(jax.tree.map(lambda leaf: leaf[run], swept.params), alone.params) <= RELATIVE["float32"]


def test_parts_in_memory_and_on_disk_give_the_same_bits(tmp_path):
    whole = small_sweep(optimizer=optax.adam)
    in_memory = small_sweep(optimizer=optax.adam, runs_per_part=4)
    on_disk = small_sweep(optimizer=optax.adam, runs_per_part=4, directory=tmp_path / "sweep")
    for parts in (in_memory, on_disk):
        assert_same_bits(parts._replace(keys=0, state=0), whole._replace(keys=0, state=0))
        assert_same_bits(parts.state.opt_state, whole.state.opt_state)
        assert int(parts.state.epoch) == 3
    assert np.array_equal(np.load(tmp_path / "sweep" / "params.0.weights.npy"), whole.params[0].weights)
    assert np.array_equal(np.load(tmp_path / "sweep" / "history.train_loss.npy"), whole.history["train_loss"])


def test_a_16_bit_sweep_comes_back_from_disk(tmp_path):
    inputs, targets = (jnp.asarray(x, jnp.bfloat16) for x in draw_data(7))
    options = {"keys": jax.random.split(jax.random.key(0), 3), "epochs": 2, "dtype": jnp.bfloat16}
    whole = fm.sweep(NETWORK, LOSS, inputs, targets, **options)
    for _ in range(2):  # written, then read
        back = fm.sweep(NETWORK, LOSS, inputs, targets, directory=tmp_path, runs_per_part=2, **options)
        assert_same_bits(back.params, whole.params)


def test_an_interrupted_sweep_goes_on_where_it_was(tmp_path, whole):
    parts_seen = []

    def interrupted(so_far):
        parts_seen.append(len(so_far.history["train_loss"]))
        if len(parts_seen) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small_sweep(directory=tmp_path, runs_per_part=4, chunk_epochs=2, callback=interrupted)
    assert json.loads((tmp_path / "sweep.json").read_text())["runs_done"] == 8
    assert parts_seen == [4, 4, 4, 4, 2]  # runs, at each of two calls per part
    again = []
    resumed = small_sweep(directory=tmp_path, runs_per_part=4, callback=lambda so_far: again.append(so_far) and None)
    assert {len(so_far.history["train_loss"]) for so_far in again} == {2}  # only the last part was done again
    assert_same_bits(resumed.params, whole.params)
    small_sweep(directory=tmp_path, callback=lambda _: pytest.fail("nothing was left to do"))


def test_a_callback_ends_a_sweep(tmp_path):
    ended = small_sweep(chunk_epochs=1, callback=lambda so_far: True)
    assert ended.history["train_loss"].shape == (10, 1)
    seen = []

    def at_the_third_part(so_far):
        seen.append(int(so_far.state.epoch))
        return len(seen) > 6

    parts = small_sweep(chunk_epochs=1, runs_per_part=4, callback=at_the_third_part)
    assert seen == [1, 2, 3, 1, 2, 3, 1]
    assert len(parts.keys) == len(parts.learning_rates) == len(parts.params[0].weights) == 8


def test_a_directory_of_something_else_is_refused(tmp_path, says):
    small_sweep(directory=tmp_path / "a", runs_per_part=4)
    says(ValueError, ["another epochs", "4", "3"], lambda: small_sweep(directory=tmp_path / "a", epochs=4))
    says(ValueError, ["another numbers"], lambda: small_sweep(directory=tmp_path / "a", learning_rates=[0.1, 0.3]))
    other_keys = jax.random.split(jax.random.key(1), 5)
    says(ValueError, ["another keys"], lambda: small_sweep(directory=tmp_path / "a", keys=other_keys))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.tex").touch()
    (tmp_path / "b" / ".DS_Store").touch()
    says(ValueError, ["new directory"], lambda: small_sweep(directory=tmp_path / "b"))
    assert {file.name for file in (tmp_path / "b").iterdir()} == {"thesis.tex", ".DS_Store", ".lock"}
    good = json.loads((tmp_path / "a" / "sweep.json").read_text())
    wrong = [good | {"runs_done": count} for count in (-1, 11, "3")] + [good | {"version": 1}, {}, []]
    for spoilt in ("", "[" * 100_000, *map(json.dumps, wrong)):
        (tmp_path / "a" / "sweep.json").write_text(spoilt)
        says(ValueError, ["sweep.json"], lambda: small_sweep(directory=tmp_path / "a"))


def test_a_torn_file_of_a_sweep_is_refused(tmp_path, says):
    small_sweep(directory=tmp_path)
    file = tmp_path / "params.0.weights.npy"
    for spoilt in (b"", file.read_bytes()[:-4], np.zeros(3, np.float32).tobytes()):
        file.write_bytes(spoilt)
        says(ValueError, ["params.0.weights.npy"], lambda: small_sweep(directory=tmp_path))


def stacked_params(seed):
    return jax.vmap(partial(fm.init_params, NETWORK))(jax.random.split(jax.random.key(seed), 5))


def test_a_directory_knows_the_optimiser_the_metrics_and_every_initial_value(tmp_path, says):
    def scaled(factor):
        return lambda learning_rate: optax.sgd(factor * learning_rate)

    def error(outputs, targets):
        return jnp.mean(jnp.abs(outputs - targets))

    def other_error(outputs, targets):
        return jnp.mean(jnp.square(outputs - targets))

    other_error.__name__ = error.__name__
    params = stacked_params(0)
    last_differs = jax.tree.map(lambda leaf: leaf.at[-1].add(1), params)
    pairs = (
        ({"optimizer": scaled(1.0)}, {"optimizer": scaled(2.0)}, "program"),
        ({"optimizer": partial(optax.sgd, momentum=0.5)}, {"optimizer": partial(optax.sgd, momentum=0.9)}, "program"),
        ({"metrics": [error]}, {"metrics": [other_error]}, "program"),
        ({"params": params}, {"params": last_differs}, "initial parameters"),
        ({}, {"weights": "he_normal"}, "initial parameters"),
    )
    for number, (one, other, what) in enumerate(pairs):
        small_sweep(directory=tmp_path / str(number), **one)
        small_sweep(directory=tmp_path / str(number), callback=lambda _: pytest.fail("all is done"), **one)
        says(ValueError, [f"another {what}"], lambda n=number, o=other: small_sweep(directory=tmp_path / str(n), **o))


def test_a_sweep_that_another_jax_began_is_gone_on_with_if_that_is_accepted(tmp_path, says, monkeypatch, whole):
    with pytest.raises(KeyboardInterrupt):
        small_sweep(directory=tmp_path, runs_per_part=4, callback=interrupted_at_the_second_part())
    monkeypatch.setattr(jax, "__version__", "9.9")
    says(ValueError, ["another jax", "--accept-other-bits"], lambda: small_sweep(directory=tmp_path))
    again = small_sweep(directory=tmp_path, accept_other_bits=True)
    assert_same_bits(again.params, whole.params)
    monkeypatch.undo()
    small_sweep(directory=tmp_path)  # nothing is left to be computed, so that nothing is asked


def interrupted_at_the_second_part():
    seen = []

    def callback(so_far):
        seen.append(so_far)
        if len(seen) == 5:
            raise KeyboardInterrupt

    return callback


def test_another_tile_gives_other_bits(tmp_path, says):
    with pytest.raises(KeyboardInterrupt):
        small_sweep(directory=tmp_path, runs_per_part=4, callback=interrupted_at_the_second_part())
    says(
        ValueError,
        ["another tile: 4 instead of 1", "accept_other_bits"],
        lambda: small_sweep(directory=tmp_path, tile=4),
    )


def test_a_finished_sweep_is_read_from_a_directory_that_cannot_be_written(tmp_path):
    whole = small_sweep(directory=tmp_path)
    for array in [*jax.tree.leaves(whole.params), whole.history["train_loss"]]:
        assert not array.flags.writeable
    tmp_path.chmod(0o555)
    for file in tmp_path.iterdir():
        file.chmod(0o444)
    try:
        assert_same_bits(small_sweep(directory=tmp_path).params, whole.params)
    finally:
        tmp_path.chmod(0o755)


def test_what_fails_before_the_first_run_leaves_a_directory_usable(tmp_path, says):
    def metric(outputs, targets):
        return jnp.mean(outputs)

    metric.__name__ = "a/b"
    says(ValueError, ["a/b"], lambda: small_sweep(directory=tmp_path, metrics=[metric]))
    metric.__name__ = "ab"
    small_sweep(directory=tmp_path / "other", epochs=np.int64(3))
    (tmp_path / "sweep.json").unlink()
    (tmp_path / "params.0.weights.npy").write_bytes(b"half")


def test_a_full_disk_is_said_and_kills_nothing(tmp_path, monkeypatch, whole):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"room for the 4[0-9]* bytes of .*npy, got No space left"):
        small_sweep(directory=tmp_path)
    monkeypatch.undo()
    assert_same_bits(small_sweep(directory=tmp_path).params, whole.params)


def test_the_numbers_of_an_optimiser_are_not_rounded_to_the_dtype_of_the_parameters():
    dtype = "bfloat16"  # Adam's eps is 0 in float16
    inputs, targets = (jnp.asarray(x, dtype) for x in draw_data(7))
    keys = jax.random.split(jax.random.key(0), 2)

    def adam(learning_rate, b2):
        return optax.adam(learning_rate, b2=b2)

    options = {"epochs": 5, "batch_size": 3}
    swept = fm.sweep(
        NETWORK, LOSS, inputs, targets, keys=keys, optimizer=adam, hyperparameters={"b2": 0.999}, dtype=dtype, **options
    )  # fmt: skip
    params = fm.init_params(NETWORK, keys[1], dtype=dtype)
    alone = fm.train(NETWORK, LOSS, params, inputs, targets, optimizer=adam(0.01, 0.999), **options)
    one = jax.tree.map(lambda leaf: leaf[1], swept.params)
    assert {leaf.dtype for leaf in jax.tree.leaves(one)} == {jnp.dtype(dtype)}
    assert relative_difference(one, alone.params) <= RELATIVE[dtype]


def test_optimisers_with_conditionals_and_with_keys_of_their_own(tmp_path):
    """reduce_on_plateau has a lax.cond; add_noise keeps a random key in its state."""

    def patient(learning_rate):
        return optax.chain(optax.sgd(learning_rate), optax.contrib.reduce_on_plateau(patience=1))

    swept = small_sweep(optimizer=patient, epochs=2)
    assert np.isfinite(swept.history["train_loss"]).all()

    def noisy(learning_rate):
        return optax.chain(optax.add_noise(0.1, 0.5, jax.random.key(0)), optax.sgd(learning_rate))

    whole = small_sweep(optimizer=noisy)
    for _ in range(2):
        parts = small_sweep(optimizer=noisy, directory=tmp_path, runs_per_part=4)
        assert_same_bits(parts.params, whole.params)
        assert_same_bits(
            jax.random.key_data(jax.tree.leaves(parts.state.opt_state)[1]),
            jax.random.key_data(jax.tree.leaves(whole.state.opt_state)[1]),
        )


def test_learning_rates_as_jax_arrays():
    assert small_sweep(learning_rates=jnp.array([0.5, 0.25])).learning_rates.tolist() == [0.5] * 5 + [0.25] * 5
    assert small_sweep(learning_rates=jnp.asarray(0.5)).learning_rates.tolist() == [0.5] * 5


def test_a_tile_of_an_accelerator_fits_into_memory_and_wastes_little():
    def tiles(runs, bytes_of_a_run):
        tile = _compiling.runs_of_a_tile("gpu", runs, bytes_of_a_run)
        return tile, -(-runs // tile)

    assert tiles(1024, 10**6) == (1024, 1)
    assert tiles(1025, 10**6) == (1025, 1)
    assert tiles(5000, 10**6) == (2500, 2)
    assert tiles(1024, 10**9) == (8, 128)
    assert tiles(3, 10**12) == (1, 3)


@pytest.mark.parametrize("runs_per_part", [None, 4])
def test_a_sweep_goes_on_within_a_part(runs_per_part, tmp_path):
    whole, seen = small_sweep(optimizer=optax.adam, epochs=6), []

    def interrupted(so_far):
        seen.append(int(so_far.state.epoch))
        if len(seen) == 3:
            raise KeyboardInterrupt

    common = {"optimizer": optax.adam, "epochs": 6, "chunk_epochs": 1, "directory": tmp_path, "save_every": 0.0}
    with pytest.raises(KeyboardInterrupt):
        small_sweep(callback=interrupted, runs_per_part=runs_per_part, **common)
    again = []
    resumed = small_sweep(callback=lambda so_far: again.append(int(so_far.state.epoch)) and None, **common)
    assert again[0] == 4  # epochs 1 to 3 were saved
    assert_same_bits(resumed.params, whole.params)
    assert_same_bits(resumed.state.opt_state, whole.state.opt_state)
    assert_same_bits(resumed.history, whole.history)
    assert not (tmp_path / "part").exists()


def test_two_sweeps_do_not_write_to_one_directory(tmp_path, says):
    def another(so_far):
        says(ValueError, ["no other run is writing to"], lambda: small_sweep(directory=tmp_path))

    small_sweep(directory=tmp_path, callback=another)


def test_bad_input(says):
    inputs, targets = (x.astype(np.float32) for x in draw_data(6))
    params = fm.init_params(NETWORK, jax.random.key(0))

    def sweep(**options):
        defaults = {"keys": jax.random.split(jax.random.key(0), 2), "epochs": 1}
        return lambda: fm.sweep(NETWORK, LOSS, inputs, targets, **(defaults | options))

    says(ValueError, ["jax.random.split", "()"], sweep(keys=jax.random.key(0)))
    says(TypeError, ["keys", "3"], sweep(keys=3))
    says(ValueError, ["at least one key"], sweep(keys=jax.random.split(jax.random.key(0), 2)[:0]))
    says(ValueError, ["at least one learning rate"], sweep(learning_rates=[]))
    says(TypeError, ["optax.sgd", "itself"], sweep(optimizer=optax.sgd(0.1)))
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), params)
    says(ValueError, ["leading axis of 2", "(3,)"], sweep(params=stacked))
    says(ValueError, ["learning rate", "finite"], sweep(learning_rates=[0.1, float("nan")]))
    says(ValueError, ["epochs"], sweep(epochs=0))
    says(ValueError, ["at least one momentum"], sweep(hyperparameters={"momentum": []}))
    says(TypeError, ["momentum", "real number"], sweep(hyperparameters={"momentum": ["much"]}))
    says(ValueError, ["learning_rates"], sweep(hyperparameters={"learning_rate": 0.1}))
    says(ValueError, ["at least one device"], sweep(devices=[]))
    says(TypeError, ["jax.devices()", "'cpu'"], sweep(devices=["cpu"]))
    says(ValueError, ["differ"], sweep(devices=jax.devices()[:1] * 2))
    says(TypeError, ["names of hyperparameters", "3"], sweep(hyperparameters={3: 0.1}))
    says(ValueError, ["threefry2x32", "rbg"], sweep(keys=jax.random.split(jax.random.key(0, impl="rbg"), 2)))
    says(
        TypeError,
        ["network to be a Network, got list"],
        lambda: fm.sweep([2, 1], LOSS, inputs, targets, keys=1, epochs=1),
    )
    says(ValueError, ["tile"], sweep(tile=0))
    says(ValueError, ["runs_per_part"], sweep(runs_per_part=0))
