"""The processes that compute one run together, if there are several (`jax.distributed`).

Processes that compute one run together make the same calls in the same order; process 0 alone writes the run's
directory. A process that is alone waits for nobody: to it everything here is free.
"""

import contextlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from functional_mlp.parallel.messages import broadcast, gather, packed, unpacked

# what JAX's errors say when another process has ended; some are JaxRuntimeErrors, and some ValueErrors
_LOST = re.compile(
    "Gloo|NCCL|RCCL|UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED|Connection (closed|reset)|coordination service"
)
_RAISED_IN_ALL = (OSError, ValueError, MemoryError)  # the error of one process, in the others; else a RuntimeError

Result = TypeVar("Result")


class LostProcessError(ConnectionError):
    """One of the processes of a run has ended; the others cannot go on without it."""


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
            return unpacked(broadcast(packed(about, arrays or {}) if self.first else b""))

    def gathered(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The rows (leading axes) that each of them passes, one after the other."""
        if self.count == 1:
            return dict(arrays)
        with self.together():
            parts = [unpacked(content)[1] for content in gather(packed(None, arrays))]
        return {name: np.concatenate([part[name] for part in parts]) for name in arrays}

    def require_same(self, description: Mapping[str, Any]) -> None:
        """Raises ValueError in all of them unless they pass the same, with the first difference."""
        if self.count == 1:
            return
        with self.together():
            descriptions = [json.loads(content) for content in gather(json.dumps(description).encode())]
        for index, other in enumerate(descriptions):
            for name in {**descriptions[0], **other}:
                ours, theirs = descriptions[0].get(name), other.get(name)
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
        kinds = [number for number, kind in enumerate(_RAISED_IN_ALL) if isinstance(failure, kind)]
        failed, _ = self.told(None if failure is None else [kinds, str(failure)])
        if failure is not None:
            raise failure
        if failed is not None:
            raise (_RAISED_IN_ALL[failed[0][0]] if failed[0] else RuntimeError)(failed[1])
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
        counted = ", ".join(f"{counts[index]} of process {index}" for index in indices)
        raise ValueError(f"expected devices of this process alone, or as many of each process, got {counted}")
    return Processes(len(counts), jax.process_index())


def agreed(processes: Processes, callback: Callable[[Any], object] | None) -> Callable[[Any], bool] | None:
    """`callback`, which ends the run in all processes if it asks for it in one.

    Several processes that have none meet all the same, after every chunk: one that was lost is noticed there.
    """
    if callback is None and processes.count == 1:
        return None
    return lambda so_far: processes.any(callback is not None and callback(so_far))
