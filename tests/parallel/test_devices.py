"""Which devices a run is computed on."""

import jax
import numpy as np
import pytest

from functional_mlp.parallel.devices import checked_devices, devices_of_all


def test_devices_are_checked(says):
    says(ValueError, ["at least one device"], checked_devices, [])
    says(TypeError, ["jax.devices()", "'cpu'"], checked_devices, ["cpu"])
    says(ValueError, ["differ"], checked_devices, jax.devices()[:1] * 2)
    says(TypeError, ["sequence of devices"], checked_devices, jax.devices()[0])
    assert checked_devices(np.array(jax.devices()[:1])) == tuple(jax.devices()[:1])


def test_the_devices_of_all_processes(monkeypatch):
    assert devices_of_all() == tuple(jax.devices())
    with jax.default_device("cpu"):
        assert devices_of_all() == tuple(jax.devices("cpu"))
    one = jax.devices()[0]
    with jax.default_device(one):
        assert devices_of_all() == (one,)
        monkeypatch.setattr(jax, "process_count", lambda: 2)
        with pytest.raises(ValueError, match="expected a platform such as"):
            devices_of_all()
