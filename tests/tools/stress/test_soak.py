"""Runs that are killed at random moments; `make soak` kills 200, tests/system/test_distributed.py two more."""

import os
import random

import pytest

from tools.stress import soak

pytestmark = pytest.mark.slow


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
def test_killed_runs_come_to_the_same_bits(capfd):
    assert soak.main(["--kills", "3", "--seed", "1"]) == 0
    *runs, last = capfd.readouterr().out.splitlines()
    assert runs
    assert all(line.endswith("the same bits") for line in runs)
    assert last.startswith("3 kills in ")
    assert last.endswith(f"saved every {soak.CHUNK} epochs: 0 failed")


def test_other_results_are_noticed(tmp_path, monkeypatch):
    (tmp_path / "run.digest").write_text("digest")
    monkeypatch.setattr(soak, "started", lambda kind, folder, count: [])
    expected = [soak.Undisturbed(digest, 1.0, 1.0) for digest in ("digest", "other")]
    same, other = (soak.soak("sweep", each, tmp_path / "run", 0, random.Random(0)) for each in expected)
    assert same == soak.Outcome(0, 0, 0.0, True)
    assert other == soak.Outcome(0, 0, 0.0, False)


def test_epochs_done_again_are_counted():
    assert soak._repeated(100, 110) == 0
    assert soak._repeated(100, 90) == 20
    assert soak._repeated(soak.EPOCHS, soak.CHUNK) == 0
