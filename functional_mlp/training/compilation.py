"""How a training program is compiled for its device; docs/measured/performance.md has what each choice gives.

On a CPU, XLA runs a program as a sequence of kernels, each started by the runtime, and hands matrix products to a
library with threads of its own. For a network of a few thousand weights both cost more than the arithmetic. So here:

- One-sample training of a small network becomes one kernel: XLA compiles a call that it is told to take for a small one
  as a whole, loops included. It can do that for the operations in `_IN_ONE_KERNEL` alone; a step with any other (an
  optimiser may have one) is compiled as usual.
- Small matrix products stay on the thread that asks for them.

Accelerators get XLA's own defaults. Nothing here changes a result by more than rounding.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax

from functional_mlp._jax_compat import primitive_names, xla_metadata

MULTIPLICATIONS_OF_A_KERNEL = 2**14  # of one update; above, its products are worth XLA's own kernels
MULTIPLICATIONS_OF_A_THREAD = 2**22  # of one update; above, they are worth several threads

Options = tuple[tuple[str, Any], ...]


class Compiling(NamedTuple):
    """How to compile.

    Attributes:
        one_kernel: whether an epoch is to be one kernel.
        unroll: updates per iteration of the loop over batches.
        options: (name, value) pairs for `jax.jit`'s compiler_options, all accepted by this version of XLA.
    """

    one_kernel: bool
    unroll: int
    options: Options


def compiling(platform: str, batch_size: int, weights: int) -> Compiling:
    """The choice for a device.

    Args:
        platform: of the device, such as "cpu".
        batch_size: samples per update.
        weights: multiplications of one sample's forward pass, sum of fan_in fan_out.
    """
    multiplications = batch_size * weights
    if platform != "cpu":
        return Compiling(False, 4 if multiplications <= MULTIPLICATIONS_OF_A_KERNEL else 1, ())
    if batch_size == 1 and multiplications <= MULTIPLICATIONS_OF_A_KERNEL:
        # matrix-vector products; at LLVM's level 2 they are faster than at 3, which unrolls loops this short
        return Compiling(True, 2, accepted((*_ON_ONE_THREAD, ("xla_backend_optimization_level", 2))))
    if multiplications <= MULTIPLICATIONS_OF_A_THREAD:
        return Compiling(False, 1, accepted(_ON_ONE_THREAD))
    return Compiling(False, 1, ())


MOST_RUNS_OF_A_TILE = 4096
BYTES_OF_A_TILE = 2**33


def runs_of_a_tile(platform: str, runs: int, bytes_of_a_run: int) -> int:
    """How many of the `runs` of a sweep are computed as one batch; independent of the devices, and of how many.

    A CPU computes one after another: a small network stays in the cache, and batches of them were not faster. An
    accelerator is filled by many, as far as they fit into a fixed amount of memory.

    Args:
        platform: of the devices.
        runs: of the whole sweep.
        bytes_of_a_run: state and activations.
    """
    if platform == "cpu":
        return 1
    fitting = max(1, BYTES_OF_A_TILE // max(1, bytes_of_a_run))
    tiles = -(-runs // min(MOST_RUNS_OF_A_TILE, fitting))
    return -(-runs // tiles)  # tiles of one size: little is filled up


_ON_ONE_THREAD: Options = (("xla_cpu_multi_thread_eigen", False), ("xla_cpu_experimental_ynn_fusion_type", ""))


def accepted(options: Options) -> Options:
    """Those of `options` that this version of XLA knows; they are not part of its stable interface."""
    return options if _are_accepted(options) else tuple(option for option in options if _are_accepted((option,)))


@cache
def _are_accepted(options: Options) -> bool:
    try:
        with jax.default_device("cpu"):  # whose options they are
            jax.jit(lambda: 0, compiler_options=dict(options)).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


_ONE_KERNEL = {"xla_cpu_small_call": "true", "inlineable": "false"}
_ORDINARY = {"xla_cpu_small_call": "false", "inlineable": "true"}  # what is called inside: not a second kernel

_ARITHMETIC = """abs add and broadcast_in_dim ceil clamp concatenate convert_element_type copy cos div dot_general
    dynamic_slice dynamic_update_slice eq erf exp exp2 expm1 floor ge gt integer_pow iota is_finite le log log1p
    logistic lt max min mul ne neg not optimization_barrier or pad pow reduce_and reduce_max reduce_min
    reduce_or reduce_sum rem reshape round rsqrt select_n sign sin slice split sqrt square squeeze stop_gradient
    sub tan tanh transpose xor"""
_STRUCTURE = "closed_call cond custom_jvp_call custom_vjp_call custom_vjp_call_jaxpr jit pcast pjit pvary scan while"
_IN_ONE_KERNEL = frozenset(f"{_ARITHMETIC} {_STRUCTURE}".split())


def in_one_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of arrays, compiled on a CPU as one kernel, if it consists of operations that can be."""

    @jax.jit
    def body(*arguments: Any) -> Any:
        with xla_metadata(**_ORDINARY):
            return function(*arguments)

    def call(*arguments: Any) -> Any:
        with xla_metadata(**_ONE_KERNEL):
            if primitive_names(body, *arguments) <= _IN_ONE_KERNEL:
                return body(*arguments)
        return function(*arguments)

    return call
