"""export: the functions of a network in a file that needs neither this package nor the devices it is for."""

import json
import re
import subprocess
import sys
import zipfile

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import functional_mlp as fm
from functional_mlp import exporting, oracle, training
from functional_mlp.exporting import artifact as _artifact
from functional_mlp.training import epochs as _epochs
from functional_mlp.training import plan as _plan
from tests.helpers.small_run import LOSS, NETWORK, draw_data

pytestmark = pytest.mark.slow

SOFTMAX = fm.Network((3, 4, 2), ("relu", "softmax"))


def small_case(dtype="float32", network=NETWORK, loss=LOSS, samples=5):
    return oracle.draw_case(network, loss, samples=samples, seed=3, dtype=dtype, name="small")


def test_an_artifact_reproduces_its_vectors_where_this_package_is_not(tmp_path):
    file = tmp_path / "network.zip"
    fm.export(file, small_case())
    code = f"""
import runpy, sys
sys.argv = [{str(file)!r}]
try:
    runpy.run_path({str(file)!r}, run_name="__main__")
except SystemExit as end:
    print("ended", end.code, "functional_mlp" in sys.modules, "optax" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    lines = done.stdout.splitlines()
    assert lines[-1] == "ended 0 False False"
    assert [line.split()[:3] for line in lines[:2]] == [
        ["agrees", "forward", "outputs"],
        ["agrees", "loss_and_grad", "loss"],
    ]
    assert len(lines) == 1 + 1 + 5 + 5


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_every_dtype_agrees_with_the_oracle(dtype, tmp_path):
    fm.export(tmp_path / "network.zip", small_case(dtype))
    artifact = exporting.load(tmp_path / "network.zip")
    assert artifact.manifest["dtype"] == dtype
    with jax.enable_x64(dtype == "float64"):
        comparisons = exporting.verify(artifact)
    assert {comparison.function for comparison in comparisons} == {"forward", "loss_and_grad", "train_step"}
    assert all(comparison.agrees for comparison in comparisons)
    modules = [function.mlir_module() for function in artifact.functions.values()]
    assert any("f64" in module for module in modules) == (dtype == "float64")


def test_the_number_of_samples_is_open(tmp_path):
    fm.export(tmp_path / "network.zip", small_case())
    functions = exporting.load(tmp_path / "network.zip").functions
    params = fm.init_params(NETWORK, jax.random.key(1))
    for samples in (1, 9):
        inputs, targets = (jnp.asarray(x, jnp.float32) for x in draw_data(samples))
        leaves = jax.tree.leaves(params)
        value, *grads = functions["loss_and_grad"].call(*leaves, inputs, targets)
        expected, expected_grads = fm.loss_and_grad(NETWORK, LOSS, params, inputs, targets)
        np.testing.assert_allclose(value, expected, rtol=1e-6)
        for got, wanted in zip(grads, jax.tree.leaves(expected_grads), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)
        *after, loss = functions["train_step"].call(*leaves, inputs, targets, np.float32(0.5))
        np.testing.assert_allclose(loss, expected, rtol=1e-6)
        np.testing.assert_allclose(after[0], leaves[0] - 0.5 * grads[0], rtol=1e-5, atol=1e-7)


def test_a_bare_vjp_sample_weights_and_layers_without_bias(tmp_path):
    fm.export(tmp_path / "vjp.zip", small_case(network=SOFTMAX, loss=None))
    artifact = exporting.load(tmp_path / "vjp.zip")
    assert list(artifact.functions) == ["forward", "backward"]
    assert all(comparison.agrees for comparison in exporting.verify(artifact))
    drawn = small_case(network=SOFTMAX, loss=fm.Loss("categorical_cross_entropy"))
    without_bias = [(layer.weights, None) for layer in drawn.params]
    weights = [1.0, 0.0, 2.0, 0.5, 1.0]
    case = oracle.Case(
        SOFTMAX, drawn.loss, without_bias, drawn.inputs, drawn.targets, sample_weights=weights, dtype="float32"
    )
    fm.export(tmp_path / "weighted.zip", case)
    artifact = exporting.load(tmp_path / "weighted.zip")
    names = [argument["name"] for argument in artifact.manifest["functions"]["loss_and_grad"]["arguments"]]
    assert names == ["params.0.weights", "params.1.weights", "inputs", "targets", "sample_weights"]
    assert all(comparison.agrees for comparison in exporting.verify(artifact))


def test_the_manifest_says_what_is_in_it_and_nothing_of_this_machine(tmp_path):
    files = [tmp_path / "a.zip", tmp_path / "b.zip"]
    for file in files:
        fm.export(file, small_case(), platforms=["cuda", "cpu"])
    assert files[0].read_bytes() == files[1].read_bytes()
    artifact = exporting.load(files[0])
    manifest = artifact.manifest
    assert (manifest["format"], manifest["platforms"], manifest["jax"]) == (
        "functional-mlp/export",
        ["cuda", "cpu"],
        jax.__version__,
    )
    assert manifest["network"]["sizes"] == list(NETWORK.sizes)
    assert manifest["functions"]["forward"]["arguments"][-1] == {
        "name": "inputs",
        "shape": ["n", 2],
        "dtype": "float32",
    }
    assert all(function.platforms == ("cuda", "cpu") for function in artifact.functions.values())
    with zipfile.ZipFile(files[0]) as archive:
        contents = b"".join(archive.read(name) for name in archive.namelist())
    assert not re.search(rb"\.py[^a-z]", contents.replace(b"network.zip", b"").replace(b"__main__.py", b""))


def test_a_wrong_number_is_found(tmp_path):
    fm.export(tmp_path / "network.zip", small_case())
    artifact = exporting.load(tmp_path / "network.zip")
    name = "loss_and_grad.ct_params.1.weights"
    artifact.vectors[name] = artifact.vectors[name] + 2 * artifact.vectors[f"{name}.floor"]
    assert [(c.function, c.result) for c in exporting.verify(artifact) if not c.agrees] == [
        ("loss_and_grad", "ct_params.1.weights")
    ]
    artifact.vectors["forward.outputs"] = np.full_like(artifact.vectors["forward.outputs"], np.nan)
    assert not exporting.verify(artifact)[0].agrees


def test_what_is_no_artifact_is_refused(tmp_path, says, capsys):
    file = tmp_path / "network.zip"
    fm.export(file, small_case())
    whole = file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}

    def written(**changed):
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in (members | changed).items():
                if content is not None:
                    archive.writestr(name, content)

    for spoilt in (b"", whole[:-30], b"PK\x03\x04" + bytes(100)):
        file.write_bytes(spoilt)
        says(ValueError, ["network.zip", "functional-mlp export"], exporting.load, file)
    manifest = json.loads(members["manifest.json"])
    for content in (b"[]", b"{}", json.dumps(manifest | {"version": 2}).encode()):
        written(**{"manifest.json": content})
        says(ValueError, ["network.zip"], exporting.load, file)
    written(**{"forward.jax_export": members["forward.jax_export"][:-1] + b"\1"})
    says(ValueError, ["damaged forward.jax_export"], exporting.load, file)
    written(**{"vectors.npz": None})
    says(ValueError, ["vectors.npz"], exporting.load, file)
    assert _artifact.main(str(file)) == 2
    assert "vectors.npz" in capsys.readouterr().err


def test_bad_input(tmp_path, says):
    says(ValueError, ["platform", "'gpu'", "cuda"], fm.export, tmp_path / "x.zip", small_case(), ["gpu"])
    says(ValueError, ["at least one platform"], fm.export, tmp_path / "x.zip", small_case(), [])
    with pytest.raises(FileNotFoundError):
        fm.export(tmp_path / "nowhere" / "x.zip", small_case())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("platform", exporting.PLATFORMS)
def test_the_whole_training_program_lowers_for_devices_that_are_not_here(platform, standard_promotion):
    """With shuffling, evaluation and Adam; no callback to the host, no float64."""
    inputs, targets = (jnp.asarray(x, jnp.float32) for x in draw_data(7))
    data = _plan.Data(inputs, targets, None, inputs[:3], targets[:3])
    optimizer = optax.adam(0.1)
    plan = _plan.make_plan(
        NETWORK, LOSS, data, _plan.Settings(4, 3, True, eval_every=2, metrics=("loss", "accuracy"), chunk_epochs=2)
    )

    def program(params, key_data, count, data):
        state = training.init_train_state(params, optimizer, jax.random.wrap_key_data(key_data))
        state, rows = _epochs.run_chunk(plan, optimizer, state, count, data)
        return state.params, rows

    arguments = (fm.init_params(NETWORK, jax.random.key(0)), jax.random.key_data(jax.random.key(1)), np.int32(2), data)
    module = jax.export.export(jax.jit(program), platforms=[platform])(*arguments).mlir_module()
    assert "dot_general" in module
    assert "f64" not in module
    assert "callback" not in module
    generators = {"cu_threefry2x32_ffi", "hip_threefry2x32_ffi"}
    assert set(re.findall(r"custom_call @([\w.]+)", module)) <= {"Sharding"} | generators
