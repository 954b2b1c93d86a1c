"""The certification on a sample, and that it notices planted errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.accuracy.certification import __main__ as certification
from benchmarks.accuracy.certification import operations
from benchmarks.accuracy.certification.cases import Recipe, recipes
from benchmarks.accuracy.certification.methods import METHODS
from benchmarks.accuracy.certification.report import HAND, worse, written

pytestmark = pytest.mark.slow

ENTRIES = 12_000


def sample() -> list[Recipe]:
    """One recipe of every group, and the fused pairs in saturation."""
    every = recipes()
    first = {recipe.group: recipe for recipe in reversed(every)}
    fused = [recipe for recipe in every if recipe.group == "saturated" and recipe.activations[-1] == "softmax"]
    return [*first.values(), fused[0]]


@pytest.fixture(scope="module")
def found():
    return certification.certify(ENTRIES, seed=1, chosen=sample())


@pytest.mark.slow
def test_hand_written_is_not_worse_than_autodiff(found) -> None:
    assert found.entries >= ENTRIES
    assert len(found.groups) == len({recipe.group for recipe in recipes()})
    assert not found.refused
    assert worse(found) == []
    text = written(found, "a test")
    assert "not worse than autodiff in any group" in text
    assert all(f"| {group} | " in text for group in found.groups)


@pytest.mark.slow
def test_every_answer_by_hand_is_finite(found) -> None:
    assert all(np.isfinite(by_method[HAND].ulp).all() for by_method in found.errors.values())


PLANTED = {
    "one entry off by 1e-9": lambda leaf: np.concatenate([leaf.ravel()[:1] * (1 + 1e-9), leaf.ravel()[1:]]),
    "a NaN": lambda leaf: np.concatenate([[np.nan], leaf.ravel()[1:]]),
    "every entry off by fifty ulp": lambda leaf: leaf.ravel() * (1 + 50 * np.finfo(np.float64).eps),
}


@pytest.mark.parametrize("mistake", PLANTED)
@pytest.mark.parametrize("name", ["grads.0.weights", "deltas.1", "ct_inputs"])
def test_planted_errors_are_seen(monkeypatch: pytest.MonkeyPatch, mistake: str, name: str) -> None:
    sound = METHODS[HAND]

    def unsound(case):
        leaves = sound(case)
        return leaves | {name: PLANTED[mistake](leaves[name]).reshape(leaves[name].shape)}

    chosen = [next(recipe for recipe in recipes() if recipe.group == "moderate")]
    monkeypatch.setitem(METHODS, HAND, sound)
    assert worse(certification.certify(1000, chosen=chosen)) == []
    monkeypatch.setitem(METHODS, HAND, unsound)
    assert worse(certification.certify(1000, chosen=chosen))


def test_a_refusal_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(case):
        raise OverflowError("too large")

    monkeypatch.setitem(METHODS, HAND, refuses)
    chosen = [next(recipe for recipe in recipes() if recipe.group == "moderate")]
    found = certification.certify(1000, chosen=chosen)
    assert found.refused == {("moderate", HAND): 1}
    assert worse(found)


def test_command_writes_the_report(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = [next(recipe for recipe in recipes() if recipe.group == "moderate")]
    monkeypatch.setattr(certification, "recipes", lambda: chosen)
    path = tmp_path / "docs" / "certification.md"
    assert certification.main(["--entries", "1000", "--out", str(path)]) == 0
    assert "python -m benchmarks.accuracy.certification --entries 1000 --seed 0" in path.read_text(encoding="utf-8")
    assert "not worse" in capsys.readouterr().out


def test_operations_by_hand_are_certified_and_planted_errors_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = operations.certify(2, seed=3, only=["rms_norm", "dropout"])
    assert operations.worse(errors) == []
    text = operations.written(errors, "a test")
    assert "not worse than autodiff anywhere" in text
    assert text.count("| `rms_norm` |") == 12
    sound = operations.by_hand

    def planted(*arguments: Any) -> dict[str, Any]:
        return {name: array * (1 + 1e-5) for name, array in sound(*arguments).items()}

    monkeypatch.setitem(operations.WAYS, "hand-written", planted)
    assert len(operations.worse(operations.certify(2, seed=3, only=["dropout"]))) == 4
