"""The other tests compile quickly (tests/conftest.py); here, what depends most on the compiler, with its defaults."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TESTED = Path(__file__).parents[1]
TESTS = [
    "training/test_compilation.py::test_one_kernel_gives_what_the_usual_program_gives",
    "sweeps/test_run.py::test_on_a_cpu_a_run_has_the_bits_of_train[3]",
    "test_backward_pass.py::test_hand_written_gradient_is_that_of_autodiff",
]


def test_as_users_compile():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(str(TESTED / name) for name in TESTS)]
    done = subprocess.run(command, env=os.environ | {"XLA_FLAGS": ""}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout
