"""The bar that says how far a training is: on a terminal, in a notebook, nowhere else."""

import sys

import jax
import numpy as np
import optax
import pytest

import functional_mlp as fm

NETWORK, LOSS = fm.Network((2, 3, 1), ("tanh", "identity")), fm.Loss("squared_error", over_samples="mean")


@pytest.fixture
def in_a_notebook(monkeypatch):
    """Standard error is no terminal there, and is looked at by a person."""
    monkeypatch.setitem(sys.modules, "ipykernel", sys)


@pytest.mark.parametrize(
    ("epochs", "shown"),
    [
        ((2, 4, 5), ["moons: 5/5"]),
        ((2, 5, 2, 5), ["moons, part 2: 5/5"]),
        ((5, 5, 5), ["moons, part 3: 5/5"]),
        ((2, 5, 3), ["moons, part 2: 3/5"]),
    ],
    ids=["one part", "two parts", "parts of one chunk", "in the second part"],
)
def test_the_bar_begins_anew_with_every_part(epochs, shown, in_a_notebook, capsys):
    with fm.ProgressBar(5, "moons") as bar:
        for epoch in epochs:
            bar.show(epoch)
    drawn = capsys.readouterr().err.split("\r")[-1]
    name, count = shown[0].split(": ")
    assert drawn.startswith(f"{name}: ")
    assert f" {count} " in drawn


def test_a_training_and_a_sweep_show_how_far_they_are(in_a_notebook, capsys):
    inputs, targets = np.ones((4, 2), np.float32), np.ones((4, 1), np.float32)
    params = fm.init_params(NETWORK, jax.random.key(0))
    with fm.ProgressBar(4) as bar:
        fm.train(NETWORK, LOSS, params, inputs, targets, optimizer=optax.sgd(0.1), epochs=4, callback=bar)
    assert " 4/4 " in capsys.readouterr().err
    keys = jax.random.split(jax.random.key(0), 2)
    with fm.ProgressBar(4) as bar:
        fm.sweep(NETWORK, LOSS, inputs, targets, keys=keys, epochs=4, runs_per_part=1, callback=bar)
    assert "part 2: " in capsys.readouterr().err


def test_a_pipe_gets_nothing(capsys):
    with fm.ProgressBar(5) as bar:
        bar.show(5)
    assert capsys.readouterr().err == ""


def test_epochs_are_counted():
    with pytest.raises(ValueError, match="expected epochs to be at least 1, got 0"):
        fm.ProgressBar(0)
