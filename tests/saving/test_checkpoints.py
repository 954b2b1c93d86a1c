"""Runs that are saved as they go on, interrupted anywhere, and resumed to the same bits."""

import errno
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

import functional_mlp as fm
from functional_mlp.saving import checkpoints
from functional_mlp.saving.run_folder import Place
from tests.helpers.saved_run import StoppedError, assert_same_results, small_training, stopped_after
from tests.helpers.small_run import NETWORK

pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.slow]  # optax.adam needs the first
ADAM = optax.adam(0.1)


@pytest.fixture(scope="module")
def whole():
    with jax.numpy_dtype_promotion("standard"):
        return small_training(eval_every=2)


def test_an_interrupted_training_goes_on_to_the_same_bits(tmp_path, whole):
    for epochs in (3, 5):
        with pytest.raises(StoppedError):
            small_training(eval_every=2, directory=tmp_path, callback=stopped_after(epochs))
    seen = []
    resumed = small_training(
        eval_every=2, directory=tmp_path, callback=lambda so_far: seen.append(int(so_far.state.epoch)) and None
    )
    assert seen == [6]  # what the callback failed at was saved before
    assert_same_results(resumed, whole)
    again = small_training(eval_every=2, directory=tmp_path, callback=lambda _: pytest.fail("all is done"))
    assert_same_results(again, whole)
    more = small_training(eval_every=2, directory=tmp_path, epochs=8)
    assert more.history["epoch"].tolist() == [0, 2, 4, 6]
    assert_same_results(more, small_training(eval_every=2, epochs=8))


def test_a_run_that_a_callback_ends_is_saved(tmp_path):
    small_training(directory=tmp_path, callback=lambda so_far: int(so_far.state.epoch) == 2, save_every=1e6)
    seen = []
    small_training(directory=tmp_path, callback=lambda so_far: seen.append(int(so_far.state.epoch)) and None)
    assert seen == [3, 4, 5, 6]


def test_only_as_many_checkpoints_are_kept_as_are_asked_for_and_when_they_are_due(tmp_path):
    small_training(directory=tmp_path / "many", keep=3)
    assert sorted(entry.name for entry in (tmp_path / "many" / "checkpoints").iterdir()) == ["4", "5", "6"]
    small_training(directory=tmp_path / "last", save_every=1e6)
    assert [entry.name for entry in (tmp_path / "last" / "checkpoints").iterdir()] == ["6"]


def contents(folder):
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def damage(folder, how):
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.stat().st_size > 100 and (file.parent.name == "d" or how == "cut"):
            content = bytearray(file.read_bytes())
            file.write_bytes(content[: len(content) // 2] if how == "cut" else content[:-40] + b"\0" * 40)


# a reader of orbax's is still at work when the first array fails, and complains that its loop has ended
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("how", ["cut", "changed"])
def test_a_damaged_checkpoint_is_found_and_the_one_before_it_is_used(how, tmp_path, whole):
    with pytest.raises(StoppedError):
        small_training(eval_every=2, directory=tmp_path, callback=stopped_after(5))
    damage(tmp_path / "checkpoints" / "5", how)
    seen = []
    with pytest.warns(UserWarning, match=r"checkpoints/5 is damaged .*the checkpoint before it is used"):
        resumed = small_training(
            eval_every=2, directory=tmp_path, callback=lambda so_far: seen.append(int(so_far.state.epoch)) and None
        )
    assert seen == [5, 6]
    assert_same_results(resumed, whole)


@pytest.mark.parametrize(
    "header", ["null", "[1]", '{"arrays": [], "about": {}}', '{"arrays": {}, "about": 3}', "changed"]
)
def test_a_damaged_header_is_found_and_the_checkpoint_before_it_is_used(header, tmp_path, whole):
    with pytest.raises(StoppedError):
        small_training(eval_every=2, directory=tmp_path, callback=stopped_after(5))
    [file] = (tmp_path / "checkpoints" / "5" / "header").glob("metadata")
    written = file.read_text()
    file.write_text(written.replace('"about": {', '"about": {"more": 1, ') if header == "changed" else header)
    assert file.read_text() != written
    with pytest.warns(UserWarning, match=r"checkpoints/5 is damaged .*the checkpoint before it is used"):
        assert_same_results(small_training(eval_every=2, directory=tmp_path), whole)


def test_if_all_are_damaged_it_is_said(tmp_path, says):
    small_training(directory=tmp_path, keep=1, epochs=2)
    damage(tmp_path / "checkpoints" / "2", "cut")
    says(ValueError, ["only damaged ones", "remove the folder"], lambda: small_training(directory=tmp_path))


@pytest.mark.parametrize(
    "failure", [MemoryError("no room"), OSError(errno.EIO, "Input/output error"), AttributeError("a changed library")]
)
def test_a_checkpoint_is_not_lost_for_what_is_no_damage(failure, tmp_path, whole, monkeypatch):
    with pytest.raises(StoppedError):
        small_training(eval_every=2, directory=tmp_path, callback=stopped_after(5))
    before = contents(tmp_path / "checkpoints")
    restore = ocp.CheckpointManager.restore

    def failing(self, step, **options):
        if step == 5:
            raise failure
        return restore(self, step, **options)

    with monkeypatch.context() as patched:
        patched.setattr(ocp.CheckpointManager, "restore", failing)
        with pytest.raises(type(failure), match=str(failure.args[-1])):
            small_training(eval_every=2, directory=tmp_path)
    assert contents(tmp_path / "checkpoints") == before
    assert {name.partition("/")[0] for name in before} >= {"4", "5"}
    assert_same_results(small_training(eval_every=2, directory=tmp_path), whole)


@pytest.mark.filterwarnings("error")
def test_an_error_of_the_disk_that_comes_as_a_sentence_is_no_damage(tmp_path, monkeypatch):
    small_training(directory=tmp_path, epochs=2)

    def failing(self, step, **options):
        raise ValueError("UNKNOWN: Error reading x/0 [OS error 5: Input/output error]")

    monkeypatch.setattr(ocp.CheckpointManager, "restore", failing)
    with pytest.raises(OSError, match=r"checkpoints/2, got .*Input/output error"):
        small_training(directory=tmp_path)


@pytest.mark.parametrize("name", ["5.damaged", "5.damaged-2"])
def test_a_checkpoint_with_a_wrong_digest_stays_on_the_disk_under_another_name(name, tmp_path, whole, monkeypatch):
    with pytest.raises(StoppedError):
        small_training(eval_every=2, directory=tmp_path, callback=stopped_after(5))
    if name == "5.damaged-2":  # a third name would be 5.damaged-3
        (tmp_path / "checkpoints" / "5.damaged").mkdir()
    before = contents(tmp_path / "checkpoints" / "5")
    differs, wrong = checkpoints._differs, iter([True])  # in the newest alone
    monkeypatch.setattr(checkpoints, "_differs", lambda *given: next(wrong, False) or differs(*given))
    with pytest.warns(UserWarning, match=rf"5 is damaged \(another .*kept as {name}$"):
        resumed = small_training(eval_every=2, directory=tmp_path)
    assert contents(tmp_path / "checkpoints" / name) == before
    assert_same_results(resumed, whole)
    assert_same_results(small_training(eval_every=2, directory=tmp_path), whole)  # it is not taken for a checkpoint


def test_if_all_are_damaged_nothing_is_renamed(tmp_path, says):
    small_training(directory=tmp_path, keep=2, epochs=3)
    for name in ("2", "3"):
        damage(tmp_path / "checkpoints" / name, "cut")
    before = contents(tmp_path / "checkpoints")
    says(ValueError, ["only damaged ones"], lambda: small_training(directory=tmp_path))
    assert contents(tmp_path / "checkpoints") == before


def test_another_run_is_refused_with_what_differs(tmp_path, says):
    small_training(directory=tmp_path, epochs=1)
    others = {
        "batch_size": {"batch_size": 2},
        "shuffle": {"shuffle": False},
        "program": {"optimizer": optax.adam(0.2)},
        "initial parameters": {"params": fm.init_params(NETWORK, jax.random.key(2))},
        "key": {"key": jax.random.key(6)},
        "data": {"sample_weights": jnp.ones(7)},
        "metrics": {"metrics": ("accuracy",)},
    }
    for what, options in others.items():
        says(ValueError, [f"another {what}", str(tmp_path)], lambda o=options: small_training(directory=tmp_path, **o))
    index = tmp_path / "run.json"
    for spoilt in ("", "[]", json.dumps({"format": "functional-mlp/run", "version": 2, "run": {}})):
        index.write_text(spoilt)
        says(ValueError, ["run.json"], lambda: small_training(directory=tmp_path))
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").touch()
    says(ValueError, ["new directory"], lambda: small_training(directory=tmp_path / "thesis"))
    says(ValueError, ["keep"], lambda: small_training(directory=tmp_path / "new", keep=0))
    says(ValueError, ["seconds"], lambda: small_training(directory=tmp_path / "new", save_every=-1.0))


def test_one_run_at_a_time(tmp_path, says):
    def another(so_far):
        says(ValueError, ["no other run is writing to"], lambda: small_training(directory=tmp_path))

    small_training(directory=tmp_path, callback=another, epochs=1)


def test_without_orbax_it_is_said_what_to_install(tmp_path, monkeypatch, says):
    monkeypatch.setattr(checkpoints, "_has_orbax", lambda: False)
    says(ImportError, ["orbax-checkpoint", "functional-mlp[checkpoints]"], lambda: small_training(directory=tmp_path))


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        small_training(directory=tmp_path / "file")


def test_checkpoints_that_cannot_be_written_are_said_to_be(tmp_path):
    folder = tmp_path / "new"

    def save_to_what_is_a_file():
        with checkpoints.opened(Place(folder, 0.0, 1)) as kept:
            folder.touch()
            kept.save(1, {"x": np.zeros(3)})  # in the background: it may fail here, or at the end

    with pytest.raises(OSError, match=r"expected .*new to be a place that can be written"):
        save_to_what_is_a_file()
