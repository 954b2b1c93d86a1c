"""Runs that are gone on with by other versions and machines: refused, asked about, or gone on with."""

import json
import platform

import jax
import jaxlib
import numpy as np
import optax
import pytest

import functional_mlp as fm
from functional_mlp.saving import fingerprint
from tests.helpers.saved_run import StoppedError, assert_same_results, small_training, stopped_after

pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.slow]  # optax.adam needs the first


def begin(directory, **options):
    with pytest.raises(StoppedError):
        small_training(directory=directory, callback=stopped_after(3), **options)


OTHER_BITS = {
    "jax": lambda patched: patched.setattr(jax, "__version__", "9.9"),
    "jaxlib": lambda patched: patched.setattr(jaxlib, "__version__", "9.9"),
    "instruction set": lambda patched: patched.setattr(platform, "machine", lambda: "riscv64"),
    "flags of XLA": lambda patched: patched.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true"),
}


@pytest.mark.parametrize("what", OTHER_BITS)
def test_where_bits_may_differ_it_is_asked(what, tmp_path, says, monkeypatch):
    begin(tmp_path)
    with monkeypatch.context() as patched:
        OTHER_BITS[what](patched)
        asked = [f"another {what}", "accept_other_bits=True", "--accept-other-bits", str(tmp_path)]
        says(ValueError, asked, lambda: small_training(directory=tmp_path))
        computers = json.loads((tmp_path / "run.json").read_text())["computed_by"]
        assert len(computers) == 1
        begin_again = small_training(directory=tmp_path, accept_other_bits=True, epochs=5)
        assert int(begin_again.state.epoch) == 5
        small_training(directory=tmp_path, epochs=5)  # once it has been accepted, it is not asked again
    recorded = json.loads((tmp_path / "run.json").read_text())["computed_by"]
    assert recorded[0] == computers[0] != recorded[1]
    says(ValueError, [f"another {what}"], lambda: small_training(directory=tmp_path))  # back again
    assert_same_results(small_training(directory=tmp_path, accept_other_bits=True), small_training())


@pytest.mark.parametrize("package", ["functional_mlp", "optax"])
def test_other_versions_of_what_compiles_nothing_are_gone_on_with_if_the_program_is_the_same(
    package, tmp_path, says, monkeypatch
):
    begin(tmp_path)
    monkeypatch.setattr(optax if package == "optax" else fingerprint, "__version__", "9.9")
    another = {"optimizer": optax.adam(0.2)}  # whose program is another; that may be the version's doing
    says(ValueError, [f"another {package}"], lambda: small_training(directory=tmp_path, **another))
    assert_same_results(small_training(directory=tmp_path), small_training())


def test_two_optimisers_behind_one_name_are_told_apart_by_all_versions_that_computed_the_run(
    tmp_path, says, monkeypatch
):
    begin(tmp_path)
    another = {"optimizer": optax.adam(0.2), "accept_other_bits": True}
    says(ValueError, ["another program"], lambda: small_training(directory=tmp_path, **another))
    with monkeypatch.context() as patched:
        patched.setattr(jax, "__version__", "9.9")
        small_training(directory=tmp_path, accept_other_bits=True, epochs=5)
        says(ValueError, ["another program"], lambda: small_training(directory=tmp_path, **another))
    says(ValueError, ["another program"], lambda: small_training(directory=tmp_path, **another))


def test_other_numerics_of_this_project_are_another_run(tmp_path, says, monkeypatch):
    begin(tmp_path)
    monkeypatch.setattr(fingerprint, "NUMERICS", fingerprint.NUMERICS + 1)
    says(ValueError, ["another numerics"], lambda: small_training(directory=tmp_path, accept_other_bits=True))


def test_a_run_of_the_first_format_is_refused_in_one_sentence(tmp_path, says):
    index = {"format": "functional-mlp/run", "version": 1, "run": {"functional_mlp": "0.1.0", "jax": "0.10.2"}}
    (tmp_path / "run.json").write_text(json.dumps(index))
    says(ValueError, ["version 2", "the release"], lambda: small_training(directory=tmp_path))


def test_the_digest_of_a_program_knows_what_it_does_and_not_how_it_is_called():
    def double(x):
        return x * 2

    def twice(y):
        return y * 2

    def thrice(x):
        return x * 3

    digests = [fingerprint.program_digest(function, 1.0) for function in (double, twice, thrice)]
    assert digests[0] == digests[1] != digests[2]


def test_the_digest_of_a_program_knows_the_constants_of_programs_inside_of_it():
    def scaled(numbers):
        constants = np.array(numbers, np.float32)
        inner = jax.jit(lambda x: x * constants)
        return fingerprint.program_digest(lambda x: inner(x), np.zeros(3, np.float32))

    assert scaled([-0.1, -0.1, -0.1]) == scaled([-0.1, -0.1, -0.1]) != scaled([0.1, 0.2, -0.1])


def test_what_is_recorded_names_the_machine(tmp_path):
    begin(tmp_path)
    [computer] = json.loads((tmp_path / "run.json").read_text())["computed_by"]
    assert computer["functional_mlp"] == fm.__version__
    assert computer["jax"] == jax.__version__
    assert computer["platform"] == jax.devices()[0].platform
    assert computer["instruction set"].startswith(platform.machine())
    assert computer["CPU"]


def test_flags_that_change_no_bit_and_records_of_before_are_gone_on_with(tmp_path, monkeypatch):
    begin(tmp_path)
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
    index = json.loads((tmp_path / "run.json").read_text())
    for name in ("CPU", "flags of XLA"):
        del index["computed_by"][0][name]
    (tmp_path / "run.json").write_text(json.dumps(index))
    assert_same_results(small_training(directory=tmp_path), small_training())
