"""The devices that a run is computed on, of this process or of all, and arrays on them."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding

from functional_mlp._checks import is_key
from functional_mlp._jax_compat import chosen_device


def devices_of_all() -> tuple[jax.Device, ...]:
    """The one device that was chosen in JAX, or all of the platform that was chosen, of every process.

    Raises:
        ValueError: if one device was chosen for several processes.
    """
    chosen = chosen_device()
    if not isinstance(chosen, jax.Device):
        return tuple(jax.devices(chosen))
    if jax.process_count() > 1:
        raise ValueError(f"expected a platform such as {chosen.platform} for several processes, got one device of it")
    return (chosen,)


def devices_near(array: jax.Array) -> tuple[jax.Device, ...]:
    """All devices of this process of the kind that `array` is on; its own device alone where one was chosen in JAX."""
    chosen = chosen_device()
    if isinstance(chosen, jax.Device):
        return tuple(array.devices())
    [platform] = {device.platform for device in array.devices()}
    return tuple(jax.local_devices(backend=platform if chosen is None else chosen))


def checked_devices(devices: Sequence[Any]) -> tuple[jax.Device, ...]:
    """`devices`, if they are some of JAX's.

    Raises:
        TypeError, ValueError: if they are none, or not different ones.
    """
    if isinstance(devices, jax.Device):
        raise TypeError(f"expected a sequence of devices, got one; use [{devices!r}]")
    devices = list(devices)
    if not devices:
        raise ValueError("expected at least one device, got none; leave devices out for the default")
    for device in devices:
        if not isinstance(device, jax.Device):
            raise TypeError(f"expected devices to be some of jax.devices(), got {device!r}")
    if len(set(devices)) < len(devices):
        raise ValueError(f"expected devices to differ, got {list(devices)}")
    return tuple(devices)


def of_this_process(devices: Sequence[jax.Device]) -> tuple[jax.Device, ...]:
    """Those of `devices` that belong to this process."""
    return tuple(device for device in devices if device.process_index == jax.process_index())


def on_devices(array: jax.Array, sharding: NamedSharding) -> jax.Array:
    """`array`, the same in all processes, on the devices of `sharding`, also those of others; random keys too."""
    if is_key(array):
        numbers = on_devices(jax.random.key_data(array), sharding)
        return jax.random.wrap_key_data(numbers, impl=jax.random.key_impl(array))
    return jax.make_array_from_process_local_data(sharding, np.asarray(array), array.shape)
