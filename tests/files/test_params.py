"""Parameters to and from files: bit for bit, all or nothing, and what is said of a bad file."""

import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import functional_mlp as fm


@pytest.mark.parametrize(
    ("dtype", "name"),
    [(dtype, "params.safetensors") for dtype in ("float16", "bfloat16", "float32", "float64")]
    + [(dtype, "params.npz") for dtype in ("float16", "float32", "float64")],
)
@pytest.mark.parametrize("bias", ["normal_tenth", None])
def test_parameters_come_back_from_a_file_bit_for_bit(dtype, name, bias, tmp_path, x64):
    network = fm.Network((3, 5, 2), "tanh")
    params = fm.init_params(network, jax.random.key(3), bias=bias, dtype=dtype)
    fm.save_params(tmp_path / name, params)
    loaded = fm.load_params(tmp_path / name, network)
    assert jax.tree.structure(loaded) == jax.tree.structure(params)
    for got, expected in zip(jax.tree.leaves(loaded), jax.tree.leaves(params), strict=True):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_numpy_reads_an_npz_file_of_parameters_and_writes_one(tmp_path):
    network = fm.Network((2, 1), "tanh")
    params = fm.init_params(network, jax.random.key(3))
    fm.save_params(tmp_path / "ours.npz", params)
    with np.load(tmp_path / "ours.npz") as file:
        np.testing.assert_array_equal(file["params.0.weights"], params[0].weights)
        np.savez_compressed(tmp_path / "theirs.npz", **file)
    loaded = fm.load_params(tmp_path / "theirs.npz", network)
    np.testing.assert_array_equal(loaded[0].weights, params[0].weights)


def test_a_bad_npz_file_of_parameters(tmp_path, says):
    network = fm.Network((2, 1), "tanh")
    good = tmp_path / "good.npz"
    fm.save_params(good, fm.init_params(network, jax.random.key(0)))
    weights, bias = np.zeros((2, 1), np.float32), np.zeros(1, np.float32)

    def file(**arrays):
        np.savez(tmp_path / "p.npz", **{name.replace("_", "."): array for name, array in arrays.items()})
        return tmp_path / "p.npz"

    says(ValueError, ["p.npz", "[2, 1]", "[3, 1]"], fm.load_params, file(params_0_weights=np.zeros((3, 1))), network)
    says(ValueError, ["params.0.weights"], fm.load_params, file(params_0_bias=bias), network)
    says(TypeError, ["I64"], fm.load_params, file(params_0_weights=np.zeros((2, 1), np.int64)), network)
    says(TypeError, ["O64"], fm.load_params, file(params_0_weights=np.full((2, 1), None)), network)
    says(TypeError, ["float64", "enable_x64"], fm.load_params, file(params_0_weights=np.zeros((2, 1))), network)
    says(ValueError, ["got also", "thesis"], fm.load_params, file(params_0_weights=weights, thesis=bias), network)
    for spoilt in (b"", good.read_bytes()[:-40], b"PK\x03\x04" + bytes(60)):
        (tmp_path / "spoilt.npz").write_bytes(spoilt)
        says(ValueError, ["spoilt.npz", "NPZ"], fm.load_params, tmp_path / "spoilt.npz", network)
    with zipfile.ZipFile(tmp_path / "torn.npz", "w") as archive:
        archive.writestr("params.0.weights.npy", zipfile.ZipFile(good).read("params.0.weights.npy")[:-2])
    says(ValueError, ["torn.npz"], fm.load_params, tmp_path / "torn.npz", network)
    params = fm.init_params(network, jax.random.key(0), dtype=jnp.bfloat16)
    says(TypeError, ["bfloat16", ".safetensors"], fm.save_params, tmp_path / "new.npz", params)


def test_saving_replaces_a_file_whole(tmp_path):
    network = fm.Network((1, 1), "tanh")
    path = tmp_path / "params.safetensors"
    for seed in (0, 1):
        params = fm.init_params(network, jax.random.key(seed))
        fm.save_params(path, params)
    np.testing.assert_array_equal(fm.load_params(path, network)[0].weights, params[0].weights)


def test_numpy_parameters_are_saved_as_they_are_though_64_bits_are_not_enabled(tmp_path):
    weights = np.array([[1.0, 1 / 3]])
    fm.save_params(tmp_path / "p", (fm.Dense(weights, None),))
    with jax.enable_x64(True):
        np.testing.assert_array_equal(fm.load_params(tmp_path / "p", fm.Network((1, 2), "tanh"))[0].weights, weights)


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    network = fm.Network((1, 1), "tanh")
    path = tmp_path / "params.safetensors"
    fm.save_params(path, fm.init_params(network, jax.random.key(0)))
    before = path.read_bytes()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fm.save_params(path, fm.init_params(network, jax.random.key(1)))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_saving_follows_a_symbolic_link(tmp_path):
    network = fm.Network((1, 1), "tanh")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    fm.save_params(tmp_path / "link", fm.init_params(network, jax.random.key(0)))
    assert (tmp_path / "link").is_symlink()
    fm.load_params(tmp_path / "target", network)


def test_bad_parameter_files(says, tmp_path):
    network = fm.Network((2, 3), "tanh")
    good = tmp_path / "good.safetensors"
    fm.save_params(good, fm.init_params(network, jax.random.key(0)))
    content = good.read_bytes()

    def file(name, data):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    for name, data in [
        ("empty", b""),
        ("text", b"hello, this is no parameter file at all"),
        ("truncated", content[:-4]),
        ("cut-header", content[:20]),
        ("claims-billions", (2**62).to_bytes(8, "little") + content[8:]),
    ]:
        says(ValueError, ["safetensors", name], fm.load_params, file(name, data), network)
    foreign = file("foreign", safetensors.numpy.save({"params.0.weights": np.zeros((2, 3), np.float32)}))
    says(ValueError, ["functional-mlp/params", "None"], fm.load_params, foreign, network)
    metadata = {"format": "functional-mlp/params", "version": "1"}
    lacking = file("lacking", safetensors.numpy.save({"params.0.bias": np.zeros(3, np.float32)}, metadata))
    says(ValueError, ["params.0.weights"], fm.load_params, lacking, network)
    integers = file("integers", safetensors.numpy.save({"params.0.weights": np.zeros((2, 3), np.int32)}, metadata))
    says(TypeError, ["params.0.weights", "I32"], fm.load_params, integers, network)
    wide = file("wide", safetensors.numpy.save({"params.0.weights": np.zeros((2, 3))}, metadata))
    says(TypeError, ["float64", "jax.enable_x64"], fm.load_params, wide, network)
    says(ValueError, ["params.0.bias", "[4]", "[3]"], fm.load_params, good, fm.Network((2, 4), "tanh"))
    deeper = tmp_path / "deeper"
    fm.save_params(deeper, fm.init_params(fm.Network((2, 3, 1), "tanh"), jax.random.key(0)))
    says(ValueError, ["got also", "params.1.weights"], fm.load_params, deeper, network)
    says(ValueError, ["(weights, bias) pairs"], fm.save_params, tmp_path / "new", ((1, 2, 3),))
    says(ValueError, ["at least one layer"], fm.save_params, tmp_path / "new", ())
    assert not (tmp_path / "new").exists()
    with pytest.raises(OSError, match="directory"):
        fm.load_params(tmp_path, network)
    with pytest.raises(OSError, match="regular file"):
        fm.save_params("/dev/null", fm.init_params(network, jax.random.key(0)))
    with pytest.raises(OSError, match="nowhere"):
        fm.load_params(tmp_path / "nowhere", network)
    with pytest.raises(OSError, match=r"good\.safetensors"):
        fm.save_params(good / "below-a-file", fm.init_params(network, jax.random.key(0)))
