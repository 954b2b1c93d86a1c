"""A sweep as a TOML file: what it means, what is refused, and the command that does it."""

import csv
import json

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

import functional_mlp as fm
from functional_mlp.cli import app
from functional_mlp.files import MAX_BYTES, FileError
from functional_mlp.sweeps import runs_done
from functional_mlp.sweeps.spec import OPTIMIZERS, medians_of, read_sweep_spec, run_sweep, runs_of, table_of_runs
from tests.helpers.small_run import LOSS, NETWORK, draw_data

pytestmark = pytest.mark.slow

SPEC = """
[network]
sizes = [2, 4, 1]
activations = ["tanh", "sigmoid"]

[loss]
kind = "binary_cross_entropy"
over_samples = "mean"
l2 = 1e-3

[data]
file = "data.npz"

[sweep]
seeds = 3
seed = 5
epochs = 6
batch_size = 3
shuffle = true
eval_every = 2
learning_rates = [0.1, 0.2]
hyperparameters = { momentum = [0.0, 0.9] }
metrics = ["loss", "accuracy"]
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with a spec and its data."""
    inputs, targets = draw_data(7)
    np.savez(tmp_path / "data.npz", inputs=inputs, targets=targets, eval_inputs=inputs[:4], eval_targets=targets[:4])
    (tmp_path / "sweep.toml").write_text(SPEC)
    return tmp_path


def run(folder, *options):
    arguments = ["sweep", str(folder / "sweep.toml"), "-o", str(folder / "results"), *options]
    return CliRunner().invoke(app, arguments)


def read(folder):
    return read_sweep_spec(folder / "sweep.toml", MAX_BYTES)


def numbers(result):
    """The arrays of a sweep, but for the random keys."""
    return jax.tree.leaves((result.params, result.history, result.state.opt_state, result.learning_rates))


def test_the_file_means_the_call(folder):
    spec = read(folder)
    result = run_sweep(spec)
    inputs, targets = (x.astype(np.float32) for x in draw_data(7))
    called = fm.sweep(
        NETWORK,
        LOSS,
        inputs,
        targets,
        keys=jax.numpy.stack([jax.random.key(seed) for seed in (5, 6, 7)]),
        epochs=6,
        batch_size=3,
        shuffle=True,
        eval_inputs=inputs[:4],
        eval_targets=targets[:4],
        eval_every=2,
        learning_rates=[0.1, 0.2],
        hyperparameters={"momentum": [0.0, 0.9]},
        metrics=("loss", "accuracy"),
    )
    for one, other in zip(numbers(result), numbers(called), strict=True):
        assert np.array_equal(one, other)

    rows = list(csv.DictReader(table_of_runs(spec, result).splitlines()))
    assert [row["seed"] for row in rows] == ["5", "6", "7"] * 4
    assert [row["momentum"] for row in rows[:6]] == ["0.0"] * 3 + ["0.9"] * 3
    assert float(rows[4]["eval_loss"]) == pytest.approx(float(result.history["eval_loss"][4, -1]), rel=1e-6)
    first, *others = medians_of(result)
    assert first.startswith("learning_rate 0.1, momentum 0, train_loss ")
    assert first.endswith("(median of 3 runs)")
    assert len(others) == 3


def test_the_command_writes_the_runs_and_goes_on_with_them(folder, as_a_person):
    done = run(folder, "--save-every", "0", "--cores", "1")
    assert done.exit_code == 0, done.output
    table = (folder / "results" / "runs.csv").read_text()
    assert len(table.splitlines()) == 13
    assert np.load(folder / "results" / "params.0.weights.npy").shape == (12, 2, 4)
    assert run(folder).output == done.output
    assert (folder / "results" / "runs.csv").read_text() == table
    (folder / "sweep.toml").write_text(SPEC.replace("epochs = 6", "epochs = 7"))
    refused = run(folder)
    assert refused.exit_code == 2
    assert "got another epochs: 7 instead of 6" in refused.stderr


def test_the_command_goes_on_with_what_another_jax_began_if_that_is_accepted(folder, as_a_person):
    assert run(folder).exit_code == 0
    table, index = (folder / "results" / "runs.csv").read_text(), folder / "results" / "sweep.json"
    content = json.loads(index.read_text()) | {"runs_done": 0}
    content["computed_by"][0]["jax"] = "0.1"
    index.write_text(json.dumps(content))
    refused = run(folder)
    assert refused.exit_code == 2
    assert "--accept-other-bits" in refused.stderr
    assert run(folder, "--accept-other-bits").exit_code == 0
    assert (folder / "results" / "runs.csv").read_text() == table


def test_double_precision_is_enabled_for_it(folder, as_a_person):
    (folder / "sweep.toml").write_text(SPEC + 'dtype = "float64"\n')
    assert run(folder).exit_code == 0
    assert np.load(folder / "results" / "params.0.weights.npy").dtype == np.float64


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_optimisers_are_functions_of_a_learning_rate(name):
    assert hasattr(OPTIMIZERS[name](0.1), "update")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[network]", "[netwrk]", ["table 'netwrk'", "'network'"]),
        ("[loss]\n", "[loss]\n]", ["TOML"]),
        ("sizes =", "size =", ["field of [network] 'size'", "'sizes'"]),
        ("sizes = [2, 4, 1]", "sizes = 'abc'", ["sizes"]),
        ("sizes = [2, 4, 1]", "sizes = [3, 4, 1]", ["(n, 3)", "(7, 2)"]),
        ("tanh", "tan", ["'tan'", "'tanh'"]),
        ('kind = "binary_cross_entropy"', "", ["kind", "[loss]"]),
        ("binary_cross_entropy", "binary", ["'binary'"]),
        ('file = "data.npz"', "file = 3", ["data.file", "3"]),
        ('file = "data.npz"', 'file = "none.npz"', ["none.npz"]),
        ('file = "data.npz"', 'file = "sweep.toml"', ["sweep.toml", "NPZ"]),
        ("seeds = 3", "seeds = 0", ["seeds", "at least 1", "0"]),
        ("seed = 5", 'seed = "a"', ["sweep.seed", "'a'"]),
        ("seed = 5", "seed = -1", ["from 0 to 4294967295", "-1"]),
        ("seed = 5", "seed = 4294967294", ["from 0 to 4294967295", "3 from 4294967294"]),
        ("epochs = 6", "", ["epochs", "[sweep]"]),
        ("epochs = 6", "epochs = 1.5", ["epochs", "1.5"]),
        ("batch_size = 3", "batch_size = 8", ["batch_size", "8"]),
        ("learning_rates = [0.1, 0.2]", "learning_rates = ['fast']", ["learning rate", "'fast'"]),
        ("{ momentum = [0.0, 0.9] }", "3", ["hyperparameters", "int"]),
        ("{ momentum = [0.0, 0.9] }", "{ momentun = 0.9 }", ["momentun"]),
        ("shuffle = true", 'optimizer = "sdg"', ["optimiser 'sdg'", "'sgd'"]),
        ("shuffle = true", 'dtype = "float8"', ["sweep.dtype", "float8"]),
        ("shuffle = true", 'directory = "x"', ["field of [sweep] 'directory'"]),
        ("shuffle = true", 'weights = "he"', ["'he'"]),
        ("shuffle = true", 'shuffle = "no"', ["shuffle", "'no'"]),
        ("shuffle = true", "precision = 3", ["recision", "highest"]),
        ("shuffle = true", "metrics = 3", []),
    ],
)
def test_what_makes_no_sense_is_one_sentence(folder, old, new, words, as_a_person):
    spec = SPEC.replace('metrics = ["loss", "accuracy"]', "") if new == "metrics = 3" else SPEC
    assert old in spec
    (folder / "sweep.toml").write_text(spec.replace(old, new))
    done = run(folder)
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith("functional-mlp: ")
    assert len(done.stderr.splitlines()) == 1
    for word in words:
        assert word in done.stderr
    assert not (folder / "results" / "runs.csv").exists()


def test_data_of_strangers_are_not_trusted(folder, tmp_path):
    np.savez(tmp_path / "data.npz", inputs=np.array([{}], object), targets=np.ones((1, 1)), allow_pickle=True)
    with pytest.raises(FileError, match="never unpickled"):
        read(folder)
    np.savez(tmp_path / "data.npz", inputs=np.ones((7, 2)), outputs=np.ones((7, 1)))
    with pytest.raises(ValueError, match=r"unknown array of .*'outputs'"):
        read(folder)
    np.savez(tmp_path / "data.npz", inputs=np.ones((7, 2)))
    with pytest.raises(FileError, match="expected an array targets, got inputs"):
        read(folder)
    with pytest.raises(FileError, match="expected at most 10 bytes"):
        read_sweep_spec(folder / "sweep.toml", 10)


def test_a_device_that_is_not_here_and_a_meeting_without_distributed_are_refused(folder, as_a_person):
    assert "expected --device to be a platform that is here, got abacus" in run(folder, "--device", "abacus").stderr
    assert "expected --distributed with" in run(folder, "--coordinator", "here:1234").stderr


def table_in(folder, data, sizes="[3, 4, 2]"):
    rows = [f"{i % 5},{'red' if i % 3 else 'blue'},{'no' if i % 2 else 'yes'}" for i in range(12)]
    (folder / "data.csv").write_text("x,colour,answer\n" + "\n".join(rows) + "\n")
    (folder / "test.csv").write_text("answer,x,colour\nyes,1,red\nno,2,green\n")
    spec = SPEC.replace('file = "data.npz"', data).replace("[2, 4, 1]", sizes).replace('"sigmoid"', '"identity"')
    (folder / "sweep.toml").write_text(spec.replace("binary_cross_entropy", "softmax_cross_entropy"))


def test_a_table_is_read_and_encoded(folder, as_a_person):
    table_in(folder, 'file = "data.csv"\ntarget = "answer"\ntest = "test.csv"')
    arrays = read(folder).arrays
    assert {name: array.shape for name, array in arrays.items()} == {
        "inputs": (12, 3),
        "targets": (12, 2),
        "eval_inputs": (2, 3),
        "eval_targets": (2, 2),
    }
    np.testing.assert_array_equal(arrays["eval_inputs"][:, 1:], [[0, 1], [0, 0]])  # green was never seen
    np.testing.assert_allclose(arrays["inputs"][:, 0].mean(), 0, atol=1e-15)
    done = run(folder)
    assert done.exit_code == 0, done.output
    assert "eval_accuracy" in done.stdout
    assert runs_done(folder / "results") == runs_of(read(folder)) == 12


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ('file = "data.csv"', ["data.target", "data.csv"]),
        ('file = "data.csv"\ntarget = "anwser"', ["did you mean 'answer'"]),
        ('file = "data.csv"\ntarget = 3', ["data.target", "3"]),
        ('file = "data.csv"\ntarget = "answer"\ndrop = "x"', ["data.drop"]),
        ('file = "data.csv"\ntarget = "answer"\nmissing = "guess"', ["'guess'", "refuse"]),
        ('file = "data.npz"\ntarget = "answer"', ["data.target", "data.npz"]),
    ],
)
def test_what_a_table_lacks_is_one_sentence(folder, data, words, as_a_person):
    table_in(folder, data)
    done = run(folder)
    assert done.exit_code == 2, done.output
    assert len(done.stderr.splitlines()) == 1
    for word in words:
        assert word in done.stderr
