"""The devices that a run is computed on, and the processes that own them, if there are several (`jax.distributed`).

Processes that compute one run together make the same calls in the same order; process 0 alone writes the run's
directory. What they tell each other goes through JAX's own collectives, as bytes, so that nothing is rounded on the
way. A process that is alone waits for nobody: to it everything here is free.
"""

import contextlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding

from functional_mlp._checks import is_key

# what JAX's errors say when another process has ended; some are JaxRuntimeErrors, and some ValueErrors
_LOST = re.compile(
    "Gloo|NCCL|RCCL|UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED|Connection (closed|reset)|coordination service"
)
_RAISED_IN_ALL = (OSError, ValueError, MemoryError, Exception)  # the error of one process, in the others
_PIECE = 2**26  # bytes that are sent at once
_SMALLEST = 2**10


Result = TypeVar("Result")


class LostProcessError(ConnectionError):
    """One of the processes of a run has ended; the others cannot go on without it."""


def devices_near(array: jax.Array) -> tuple[jax.Device, ...]:
    """All devices of this process of the kind that `array` is on; its own device alone where one was chosen in JAX."""
    chosen = jax.config.jax_default_device  # type: ignore[attr-defined]
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


@dataclass(frozen=True)
class Processes:
    """The processes of one run.

    Attributes:
        count: how many there are.
        index: of this one.
    """

    count: int = 1
    index: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the one that reads and writes files."""
        return self.index == 0

    def share(self, rows: int) -> slice:
        """This process's share of that many rows, a multiple of the number of processes."""
        each = rows // self.count
        return slice(self.index * each, (self.index + 1) * each)

    def any(self, flag: object) -> bool:
        """Whether any of them passes what is true."""
        if self.count == 1:
            return bool(flag)
        with self.together():
            return bool(multihost_utils.process_allgather(np.uint8(bool(flag))).any())

    def told(self, about: Any, arrays: Mapping[str, np.ndarray] | None = None) -> tuple[Any, dict[str, np.ndarray]]:
        """What process 0 passes: what JSON knows, and arrays by name; what the others pass is not looked at."""
        if self.count == 1:
            return about, dict(arrays or {})
        with self.together():
            return _unpacked(_broadcast(_packed(about, arrays or {}) if self.first else b""))

    def gathered(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The rows (leading axes) that each of them passes, one after the other."""
        if self.count == 1:
            return dict(arrays)
        with self.together():
            parts = [_unpacked(content)[1] for content in _gather(_packed(None, arrays))]
        return {name: np.concatenate([part[name] for part in parts]) for name in arrays}

    def require_same(self, description: Mapping[str, Any]) -> None:
        """Raises ValueError in all of them unless they pass the same, with the first difference."""
        if self.count == 1:
            return
        with self.together():
            told = [json.loads(content) for content in _gather(json.dumps(description).encode())]
        for index, other in enumerate(told):
            for name in {**told[0], **other}:
                ours, theirs = told[0].get(name), other.get(name)
                if ours != theirs:
                    raise ValueError(
                        f"expected the same run in all processes, got another {name} in process {index} than in"
                        f" process 0: {theirs} instead of {ours}; start all with the same versions, program and data"
                    )

    def by_first(self, action: Callable[[], Result]) -> Result | None:
        """What `action` gives in process 0, which alone does it; None in the others. Its error is raised in all."""
        if self.count == 1:
            return action()
        result, failure = None, None
        if self.first:
            try:
                result = action()
            except Exception as error:
                failure = error
        kinds = [kind.__name__ for kind in _RAISED_IN_ALL if isinstance(failure, kind)]
        told, _ = self.told(None if failure is None else [kinds[0], str(failure)])
        if failure is not None:
            raise failure
        if told is not None:
            raise next(kind for kind in _RAISED_IN_ALL if kind.__name__ == told[0])(told[1])
        return result

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Within, a computation that fails because another process has ended raises LostProcessError."""
        try:
            yield
        except (jax.errors.JaxRuntimeError, ValueError) as error:
            if self.count == 1 or not _LOST.search(str(error)):
                raise
            self._lost(error)

    def _lost(self, error: Exception) -> NoReturn:
        raise LostProcessError(
            f"expected all {self.count} processes of this run to go on, got one that has ended, by its own message or"
            f" by none ({str(error).partition(chr(10))[0][:200]}); start them again, as many as you like, to go on from"
            " what was saved"
        ) from error


ALONE = Processes()


def everyone() -> Processes:
    """All processes that have met; this one, if it has met none."""
    return Processes(jax.process_count(), jax.process_index())


def processes_of(devices: Sequence[jax.Device]) -> Processes:
    """Those that own `devices`.

    Raises:
        ValueError: if they own unequal numbers of them, or if some of all processes, but not all, have any.
    """
    counts = Counter(device.process_index for device in devices)
    if set(counts) == {jax.process_index()}:
        return ALONE
    indices = range(jax.process_count())
    if sorted(counts) != list(indices) or len(set(counts.values())) > 1:
        told = ", ".join(f"{counts[index]} of process {index}" for index in indices)
        raise ValueError(f"expected devices of this process alone, or as many of each process, got {told}")
    return Processes(len(counts), jax.process_index())


def agreed(processes: Processes, callback: Callable[[Any], object] | None) -> Callable[[Any], bool] | None:
    """`callback`, which ends the run in all processes if it asks for it in one.

    Several processes that have none meet all the same, after every chunk: one that was lost is noticed there.
    """
    if callback is None and processes.count == 1:
        return None
    return lambda so_far: processes.any(callback is not None and callback(so_far))


# bytes to and fro: broadcast and gathered in pieces whose sizes are few, since each is a program of its own


def _packed(about: Any, arrays: Mapping[str, np.ndarray]) -> bytes:
    listed = [[name, str(array.dtype), array.shape] for name, array in arrays.items()]
    header = json.dumps([about, listed]).encode()
    return b"".join([_size(header), header, *(np.ascontiguousarray(array).tobytes() for array in arrays.values())])


def _unpacked(content: bytes) -> tuple[Any, dict[str, np.ndarray]]:
    position = 8 + int.from_bytes(content[:8], "little")
    about, listed = json.loads(content[8:position])
    arrays = {}
    for name, dtype, shape in listed:
        empty = np.empty(shape, jnp.dtype(dtype))  # JAX knows bfloat16
        arrays[name] = np.frombuffer(content, empty.dtype, empty.size, position).reshape(shape)
        position += empty.nbytes
    return about, arrays


def _size(content: bytes) -> bytes:
    return len(content).to_bytes(8, "little")


def _pieces(content: bytes, size: int) -> Iterator[np.ndarray]:
    """`size` bytes, of which `content` is the beginning, in arrays of powers of two and 64 MiB at most."""
    for start in range(0, size, _PIECE):
        piece = np.zeros(max(_SMALLEST, 1 << (min(_PIECE, size - start) - 1).bit_length()), np.uint8)
        given = np.frombuffer(content[start : start + _PIECE], np.uint8)
        piece[: len(given)] = given
        yield piece


def _broadcast(content: bytes) -> bytes:
    size = int.from_bytes(multihost_utils.broadcast_one_to_all(np.frombuffer(_size(content), np.uint8)), "little")
    pieces = [multihost_utils.broadcast_one_to_all(piece).tobytes() for piece in _pieces(content, size)]
    return b"".join(pieces)[:size]


def _gather(content: bytes) -> list[bytes]:
    """What each process passes, in their order."""
    told = multihost_utils.process_allgather(np.frombuffer(_size(content), np.uint8))
    sizes = [int.from_bytes(each.tobytes(), "little") for each in told]
    pieces = [multihost_utils.process_allgather(piece) for piece in _pieces(content, max(sizes))]
    return [b"".join(piece[index].tobytes() for piece in pieces)[:size] for index, size in enumerate(sizes)]
