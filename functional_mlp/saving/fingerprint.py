"""What a saved run is known by, and what its bits depend on besides.

Two calls are the same run if specification, data and `NUMERICS` are the same. What computes it may change between an
interruption and going on: the same program then gives the same bits as long as JAX, the flags of XLA, the kind of
device and the CPU are the same, and others where one of them is not.
"""

import hashlib
import os
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jaxlib
import numpy as np
import optax
from jaxtyping import Array

from functional_mlp import __version__
from functional_mlp._checks import is_key
from functional_mlp._jax_compat import constants_of

# Raise it with every change of this package after which the same specification, data and keys give other bits, or a
# saved state means something else: another order of sums, another rewrite of a formula, other draws, other names of
# the arrays. Not for what is compiled otherwise by another JAX: that is recorded beside it.
NUMERICS = 1

_PROGRAM, _VERSIONS = "program", ("functional_mlp", "jax", "jaxlib", "optax", "platform")
_IN_EVERY_PROCESS = (_PROGRAM, *_VERSIONS)
_INSTRUCTIONS = "instruction set"
_LATER = ("CPU", "flags of XLA")  # which older records have not: nothing is known of these
_OF_DEVICES = "--xla_force_host_platform_device_count"  # a flag that changes no bit
_OF_A_CPU = ("sse", "avx", "fma", "f16c", "amx", "asimd", "sve", "bf16", "i8mm")  # how the flags begin that matter


@dataclass(frozen=True)
class Fingerprint:
    """What a saved run is known by.

    Attributes:
        run: what its results depend on, in words and digests that JSON knows: another one is another run.
        computed_by: what else its bits depend on, by name: versions, device, and a digest of the traced program.
    """

    run: Mapping[str, Any]
    computed_by: Mapping[str, str]

    @property
    def in_every_process(self) -> dict[str, Any]:
        """What must be the same in all processes that compute the run."""
        return {name: self.computed_by[name] for name in _IN_EVERY_PROCESS} | dict(self.run)

    def other_run(self, recorded: Mapping[str, Any], computers: Sequence[Mapping[str, str]]) -> str | None:
        """How it is another run than the one that is recorded; None if it is the same.

        Args:
            recorded: `run` of that one.
            computers: `computed_by` of all that have computed it so far. By the versions of any of them, another
                program is another run: two optimisers may have one name, and states alike.
        """
        for name in {**self.run, **recorded}:
            if self.run.get(name) != recorded.get(name):
                return _difference(name, self.run.get(name), recorded.get(name))
        for computer in computers:
            same_versions = all(computer.get(name) == self.computed_by[name] for name in _VERSIONS)
            if same_versions and computer.get(_PROGRAM) != self.computed_by[_PROGRAM]:
                return _difference(_PROGRAM, self.computed_by[_PROGRAM], computer.get(_PROGRAM))
        return None

    def other_bits(self, computer: Mapping[str, str]) -> str | None:
        """What differs from what computed a run last so that bits may; None if nothing does."""
        ours, theirs = (dict(each) for each in (self.computed_by, computer))
        if ours[_PROGRAM] == theirs.get(_PROGRAM):  # then these have done nothing
            for name in ("functional_mlp", "optax"):
                theirs[name] = ours[name]
        names = [name for name in {**ours, **theirs} if name in theirs or name not in _LATER]
        different = [name for name in names if ours.get(name) != theirs.get(name)]
        return _difference(different[0], ours.get(different[0]), theirs.get(different[0])) if different else None


def _difference(name: str, ours: Any, theirs: Any) -> str:
    if name == _INSTRUCTIONS and theirs is not None:
        return f"another {name}, in {' '.join(sorted(set(ours.split()) ^ set(theirs.split())))}"
    return f"another {name}: {ours} instead of {theirs}"


def fingerprint_of(run: Mapping[str, Any], program: str, device: jax.Device, **more: str) -> Fingerprint:
    """The fingerprint of a run on devices such as `device`.

    Args:
        run: its specification and digests of its data, what JSON knows.
        program: `program_digest` of what is computed.
        device: one of those that compute it.
        more: that its bits depend on, by name.
    """
    versions = {"functional_mlp": __version__} | {each.__name__: each.__version__ for each in (jax, jaxlib, optax)}
    kinds = {"platform": device.platform, "device": device.device_kind} | machine()
    return Fingerprint({"numerics": NUMERICS, **run}, versions | kinds | more | {_PROGRAM: program})


def machine() -> dict[str, str]:
    """What of this machine changes the bits that XLA computes: instruction set, model of the CPU, and flags of XLA."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:  # not on Linux
        lines = []
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features"))), [])
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    of_xla = sorted(flag for flag in os.environ.get("XLA_FLAGS", "").split() if not flag.startswith(_OF_DEVICES))
    return {
        _INSTRUCTIONS: " ".join([platform.machine(), *sorted({flag for flag in flags if flag.startswith(_OF_A_CPU)})]),
        "CPU": model or platform.processor() or platform.machine(),
        "flags of XLA": " ".join(of_xla),
    }


def digest(*trees: Any) -> str:
    """SHA-256 of all arrays in `trees`, with their dtypes and shapes."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(trees):
        array = np.asarray(key_data(leaf) if isinstance(leaf, jax.Array) else leaf)
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def program_digest(function: Callable[..., Any], *arguments: Any) -> str:
    """SHA-256 of what `function` does with `arguments` (or their shapes), whatever it and those it calls are named.

    It is that of JAX's own text of the program, which another JAX may write otherwise.
    """
    program = jax.make_jaxpr(function)(*arguments)
    text = re.sub(r" at 0x[0-9a-f]+", "", str(program))  # where objects of this process are
    return hashlib.sha256((text + digest(constants_of(program))).encode()).hexdigest()


def key_data(keys: Array) -> Array:
    """The numbers that random keys consist of; old-style keys are numbers."""
    return jax.random.key_data(keys) if is_key(keys) else keys
