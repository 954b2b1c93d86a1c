"""Strictness for all tests: JAX's strict promotion, and beartype over the jaxtyping annotations."""

import ctypes
import gc
import os
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import jaxtyping

# most of the tests' time is the compiler's, which this makes quicker; results may be rounded otherwise than as users
# compile, which tests/system/test_compiled_as_by_users.py is for
quick = ["--xla_backend_optimization_level=0", "--xla_llvm_disable_expensive_passes=true"]
if version("jaxlib").startswith("0.10."):  # later ones have but one way to compile what is fused, which takes longer
    quick += ["--xla_cpu_use_fusion_emitters=false"]
os.environ.setdefault("XLA_FLAGS", " ".join(quick))
# what one worker, or a program that it starts, has compiled, the others need not; and nothing goes to anybody's home
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    compiled = tempfile.TemporaryDirectory()
    os.environ["JAX_COMPILATION_CACHE_DIR"] = compiled.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
# the oracle's annotations name no shapes, and each of the many small functions that it makes would be checked anew
modules = pkgutil.iter_modules([str(Path(__file__).parents[1] / "functional_mlp")], "functional_mlp.")
mathematics = [name for _, name, _ in modules if name not in ("functional_mlp.oracle", "functional_mlp.vectors")]
jaxtyping.install_import_hook(mathematics, "beartype.beartype")

import hypothesis
import jax
import matplotlib
import numpy as np
import psutil
import pytest

matplotlib.use("agg")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
# the same examples each time; a person hunting for new ones sets HYPOTHESIS_PROFILE=explore
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Compiled programs take gigabytes: they are forgotten between two files, and when they have taken too much."""
    global resident
    if nextitem is None or nextitem.path != item.path or psutil.Process().memory_info().rss > resident + MOST_COMPILED:
        jax.clear_caches()
        gc.collect()
        if sys.platform == "linux":  # what was freed goes back to the machine
            ctypes.CDLL(None).malloc_trim(0)
        resident = psutil.Process().memory_info().rss


MOST_COMPILED = 300 * 2**20  # bytes
resident = psutil.Process().memory_info().rss


@pytest.fixture(autouse=True)
def starts_no_process_unless_it_is_slow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make test-quick` leaves out what is marked slow, and starts no process."""
    if request.node.get_closest_marker("slow") is None:

        def refused(*_: object, **__: object) -> None:
            raise AssertionError("a test that starts a process is marked slow")

        monkeypatch.setattr(subprocess.Popen, "__init__", refused)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261122)


@pytest.fixture
def x64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


@pytest.fixture
def on_cpu() -> Iterator[None]:
    """For what is so on a CPU alone, where the tests run on another device."""
    with jax.default_device(jax.devices("cpu")[0]):
        yield


@pytest.fixture
def standard_promotion() -> Iterator[None]:
    """JAX's own promotion: optax's schedules, and Adam's step count, mix integers and floats."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture
def as_a_person() -> Iterator[None]:
    """Switches beartype off, so that bad input reaches the package's own checks, as it does outside the tests."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def says(as_a_person: None) -> Callable[..., None]:
    """says(error, words, function, *args, **keywords): it raises `error` with one sentence that holds all `words`."""

    def check(
        error: type[Exception], words: list[str], function: Callable[..., object], *args: object, **keywords: object
    ) -> None:
        with pytest.raises(error) as caught:
            function(*args, **keywords)
        message = str(caught.value)
        assert "\n" not in message
        for word in words:
            assert word in message, f"{word!r} not in {message!r}"

    return check


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    """written(text): a file with this text, named as a table."""

    def write(text: str) -> Path:
        path = tmp_path / "table.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write
