"""The moons reference: data, one hand-written step by central differences, the frozen biases, the files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from functional_mlp.experiments.published import moons


@pytest.fixture(scope="module")
def data() -> moons.Data:
    return moons.data()


def _few(data: moons.Data, count: int) -> moons.Data:
    return moons.Data(data.train_inputs[:count], data.train_targets[:count], data.test_inputs, data.test_targets)


def test_data_is_split_1400_to_600_and_one_hot(data: moons.Data) -> None:
    assert [array.shape for array in data] == [(1400, 2), (1400, 2), (600, 2), (600, 2)]
    assert all(array.dtype == np.float64 for array in data)
    assert set(map(tuple, data.train_targets)) == {(0, 1), (1, 0)}


def test_initial_params_are_scaled_by_fan_out() -> None:
    params = moons.initial_params(0)
    assert [weights.shape for weights, _ in params] == [(2, 25), (25, 50), (50, 25), (25, 2)]
    assert params[1][0].std() == pytest.approx(np.sqrt(1 / 50), rel=0.1)
    legacy = np.random.RandomState(0)
    np.testing.assert_array_equal(params[0][0], legacy.randn(2, 25) * np.sqrt(1 / 25))
    np.testing.assert_array_equal(params[0][1], legacy.rand(25) * 0.1)


def test_one_corrected_step_follows_the_gradient_of_half_the_squared_error(data: moons.Data) -> None:
    x, target = data.train_inputs[:1], data.train_targets[:1]
    params, h = moons.initial_params(1), 1e-5
    stepped = moons.train(params, _few(data, 1), variant="corrected", learning_rate=1.0, epochs=1).params
    generator = np.random.default_rng(0)
    for pair, stepped_pair in zip(params, stepped, strict=True):
        for leaf, stepped_leaf in zip(pair, stepped_pair, strict=True):
            taken = (leaf - stepped_leaf).ravel()
            flat = leaf.reshape(-1)  # a view: writing to it moves the parameter
            for index in generator.permutation(flat.size)[:10]:
                kept, values = flat[index], []
                for moved in (kept + h, kept - h):
                    flat[index] = moved
                    values.append(0.5 * np.sum((moons.forward(params, x) - target) ** 2))
                flat[index] = kept
                assert (values[0] - values[1]) / (2 * h) == pytest.approx(taken[index], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("variant", ["published", "corrected"])
def test_biases_are_frozen_as_published_and_trained_when_corrected(data: moons.Data, variant: moons.Variant) -> None:
    start = moons.initial_params(0)
    trained = moons.train(start, _few(data, 20), variant=variant, epochs=1).params
    for (weights, bias), (trained_weights, trained_bias) in zip(start, trained, strict=True):
        assert not np.array_equal(weights, trained_weights)
        assert np.array_equal(bias, trained_bias) == (variant == "published")


def test_train_keeps_its_arguments_and_goes_in_order(data: moons.Data) -> None:
    start, few = moons.initial_params(0), _few(data, 10)
    at_once = moons.train(start, few, variant="corrected", epochs=2).params
    one_by_one = start
    for index in [*range(10), *range(10)]:
        single = few._replace(train_inputs=few.train_inputs[[index]], train_targets=few.train_targets[[index]])
        one_by_one = moons.train(one_by_one, single, variant="corrected", epochs=1).params
    for (weights, bias), (other_weights, other_bias) in zip(at_once, one_by_one, strict=True):
        np.testing.assert_array_equal(weights, other_weights)
        np.testing.assert_array_equal(bias, other_bias)
    np.testing.assert_array_equal(start[0][0], moons.initial_params(0)[0][0])


def test_history_has_a_row_after_the_first_and_every_tenth_further_pass(data: moons.Data) -> None:
    few = _few(data, 5)
    result = moons.train(moons.initial_params(0), few, variant="published", epochs=21)
    assert result.history.epoch.tolist() == [0, 10, 20]
    after_one = moons.train(moons.initial_params(0), few, variant="published", epochs=1)
    assert result.history.train_mse[0] == after_one.history.train_mse[0]
    # 21 passes end with row 20, so this row belongs to the returned parameters.
    mse, _ = moons.evaluate(result.params, few.train_inputs, few.train_targets)
    assert result.history.train_mse[-1] == mse


def test_evaluate_averages_over_outputs_too() -> None:
    params = [(np.zeros((2, 2)), np.zeros(2))]  # outputs 0.5 everywhere: the first wins
    mse, accuracy = moons.evaluate(params, np.ones((4, 2)), np.eye(2)[[0, 0, 0, 1]])
    assert (mse, accuracy) == (0.25, 0.75)


def test_a_few_passes_learn(data: moons.Data) -> None:
    result = moons.train(moons.initial_params(0), data, variant="corrected", learning_rate=0.5, epochs=11)
    assert result.history.test_accuracy[-1] > 0.85


def test_module_writes_its_files_and_refuses_to_overwrite_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--variant", "published", "--epochs", "2", "--seed", "3", "--out", str(tmp_path / "run")]
    assert moons.main(arguments) == 0
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["history.csv", "summary.json"]
    header, row = (tmp_path / "run" / "history.csv").read_text().splitlines()
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert header == "epoch,train_mse,test_accuracy"
    assert [float(cell) for cell in row.split(",")] == [
        summary[key] for key in ("last_epoch", "train_mse", "test_accuracy")
    ]
    assert (summary["variant"], summary["epochs"], summary["seed"]) == ("published", 2, 3)
    assert summary["learning_rate"] == 0.01
    assert moons.main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == summary


@pytest.mark.usefixtures("as_a_person")
def test_unknown_variant_is_refused(data: moons.Data) -> None:
    with pytest.raises(ValueError, match="published"):
        moons.train(moons.initial_params(0), data, variant="frozen")  # type: ignore[arg-type]
