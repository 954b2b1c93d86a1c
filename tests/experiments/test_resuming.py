"""An experiment that is interrupted, by Ctrl-C, goes on with --resume to the results of an undisturbed run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments import moons as experiment

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ["--no-plots", "--save-every", "0", "--epochs", "1000", "--batch-size", "1400"]


def moons(folder, *options):
    command = [sys.executable, "-m", "experiments.moons", "--out", str(folder), *OPTIONS, *options]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def results(folder):
    return {name: (folder / name).read_bytes() for name in ("history.csv", "summary.json")}


def saved(folder):
    """Whether a checkpoint is there."""
    place = folder / "checkpoints"
    return place.exists() and any(entry.name.isdigit() for entry in place.iterdir())


def ended(run, code):
    """What it said on standard error."""
    _, errors = run.communicate()
    assert run.returncode == code, errors
    return errors


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_an_interrupted_experiment_goes_on_to_the_same_results(tmp_path):
    out, unfinished = tmp_path / "moons", tmp_path / "moons.unfinished"
    run = moons(out)
    deadline = time.monotonic() + 120
    while not saved(unfinished) and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    errors = ended(run, 130)
    assert errors.splitlines()[-1].endswith(f"saved in {unfinished}; add --resume to go on")
    assert not out.exists()

    def here(folder, *options):
        return experiment.run(experiment.parser().parse_args(["--out", str(folder), *OPTIONS, *options]))

    with pytest.raises(FileExistsError, match="add --resume to go on with it"):
        here(out)
    here(out, "--resume")
    assert not unfinished.exists()
    here(tmp_path / "whole")
    assert results(out) == results(tmp_path / "whole")
