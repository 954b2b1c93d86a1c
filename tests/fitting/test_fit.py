"""Settings compared on a table, and the best kept: what is scored, saved, gone on with and predicted."""

import json

import numpy as np
import pytest

from functional_mlp import fitting, tables
from functional_mlp.files import FileError
from tests.helpers.tables import table_of


@pytest.fixture(autouse=True)
def _without_beartype(as_a_person):
    """As a program runs."""


def blobs(classes, samples=60):
    rng = np.random.default_rng(0)
    rows = [
        f"{3 * i + 0.4 * rng.normal():.4f};{-2 * i + 0.4 * rng.normal():.4f};{name}"
        for i, name in enumerate(classes)
        for _ in range(samples // len(classes))
    ]
    return "width;height;kind\n" + "\n".join(rows) + "\n"


def settings(**how):
    return fitting.Settings(**({"hidden": ((6,),), "seeds": 3, "epochs": 40, "learning_rates": (0.05,)} | how))


@pytest.mark.slow
@pytest.mark.usefixtures("standard_promotion")
def test_every_setting_is_tried_and_the_best_predicts(written, tmp_path):
    table = table_of(written, blobs(("low", "middle", "high")), "kind")
    fit = fitting.fit(table, settings(hidden=((), (6,)), learning_rates=(0.0, 0.03)))
    assert [one.learning_rate for one in fit.tried][2:] == [0.0, 0.0]
    assert fit.tried[0].quantiles()[1] == 1
    assert [len(rows) for rows in fit.rows] == [45, 15]
    fitting.save_fit(tmp_path, fit, {"of": "test"}, fitting.page(fit, table))
    saved = fitting.load_fit(tmp_path)
    said = fitting.predict(saved, tables.read_table(written("width,height\n0,0\n6,-4\n")))
    assert (said.values, said.score) == (("low", "high"), None)
    np.testing.assert_allclose(said.probabilities.sum(axis=1), 1)
    assert fitting.predict(saved, table).score == 1


@pytest.mark.slow
@pytest.mark.usefixtures("standard_promotion")
def test_a_quantity_is_learnt_in_its_own_unit_on_folds(written, tmp_path):
    x = np.random.default_rng(1).uniform(-1, 1, size=90)
    text = "x,y\n" + "".join(f"{a:.5f},{100 + 50 * a:.5f}\n" for a in x)
    fit = fitting.fit(table_of(written, text), settings(hidden=((),), folds=3, epochs=150, learning_rates=(0.05,)))
    assert fit.tried[0].scores.shape == (3, 3)
    assert fit.tried[0].quantiles()[1] < 0.5  # of 100 ± 50: a line is learnt
    fitting.save_fit(tmp_path, fit, {}, "")
    [value] = fitting.predict(fitting.load_fit(tmp_path), tables.read_table(written("x\n0.5\n"))).values
    assert value == pytest.approx(125, abs=1)


@pytest.mark.slow
@pytest.mark.usefixtures("standard_promotion")
def test_runs_that_diverge_are_counted_and_lose(written):
    text = "x,y\n" + "\n".join(f"{i},{2 * i}.5" for i in range(40)) + "\n"
    asked = settings(optimizer="sgd", activation="relu", learning_rates=(50.0, 0.01), epochs=20)
    fit = fitting.fit(table_of(written, text), asked)
    assert [one.learning_rate for one in fit.tried] == [0.01, 50.0]
    assert fit.tried[1].diverged == 3
    assert "nan" in fitting.lines_of(fit, 5)[-1]
    fitting.page(fit, table_of(written, text))


@pytest.mark.slow
@pytest.mark.usefixtures("standard_promotion")
def test_a_fit_that_was_ended_goes_on_to_the_same_bits(written, tmp_path):
    table = table_of(written, blobs(("a", "b")), "kind")
    asked = settings(folds=2, epochs=20)
    whole = fitting.fit(table, asked)
    seen = []

    def end_in_the_second(work, so_far):
        seen.append(work.number)
        return work.number == 2

    with pytest.raises(fitting.InterruptedFitError):
        fitting.fit(table, asked, directory=tmp_path / "work", watch=end_in_the_second)
    again = fitting.fit(table, asked, directory=tmp_path / "work")
    np.testing.assert_array_equal(again.tried[0].scores, whole.tried[0].scores)
    np.testing.assert_array_equal(again.params[0].weights, whole.params[0].weights)
    assert set(seen) == {1, 2}


@pytest.mark.slow
@pytest.mark.usefixtures("standard_promotion")
def test_files_of_a_fit_are_read_with_care(written, tmp_path):
    fit = fitting.fit(table_of(written, blobs(("a", "b")), "kind"), settings(epochs=2))
    fitting.save_fit(tmp_path, fit, {}, "")
    good = json.loads((tmp_path / "fit.json").read_text())
    for change in (
        {"columns": []},
        {"network": {"sizes": [3, 6, 2], "activations": ["tanh", "identity"]}},
        {"network": {"sizes": [2, 6, 2], "activations": ["tanh", "nothing"]}},
        {"format": "another"},
        {"target": good["target"] | {"classes": []}},
        {"target": good["target"] | {"divided_by": 0}},
    ):
        (tmp_path / "fit.json").write_text(json.dumps(good | change))
        with pytest.raises(FileError) as caught:
            fitting.load_fit(tmp_path)
        assert "\n" not in str(caught.value)
    (tmp_path / "fit.json").write_text("[" * 100_000)
    with pytest.raises(FileError):
        fitting.load_fit(tmp_path)
    with pytest.raises(FileError, match="functional-mlp fit"):
        fitting.load_fit(tmp_path / "nothing")


def test_settings_are_checked():
    for wrong, words in (
        ({"hidden": ()}, "at least one architecture"),
        ({"learning_rates": (0.1, 0.1)}, "different settings"),
        ({"test_share": 1.0}, "between 0 and 1"),
        ({"optimizer": "adm"}, "did you mean 'adam'"),
        ({"seeds": 0}, "seeds"),
    ):
        with pytest.raises(ValueError, match=words):
            fitting.Settings(**wrong)
