"""What this package uses of JAX beyond its stable interface, one function each: a new JAX breaks this file alone.

Where that part of JAX is gone, each does what is right in another way, does without, or says so in one sentence.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

UNKNOWN = "unknown"


def is_traced(x: Any) -> bool:
    """Whether `x` is an array whose values are not known, since a transformation of JAX is tracing.

    Stands for `jax.core.Tracer`; without it, an array that is nowhere is traced.
    """
    tracer = getattr(jax.core, "Tracer", None)
    if tracer is not None:
        return isinstance(x, tracer)
    try:
        return isinstance(x, jax.Array) and not x.devices()
    except jax.errors.ConcretizationTypeError:
        return True


def varying_axes_of(x: Any) -> frozenset[str]:
    """The mesh axes of `jax.shard_map` over which an array varies; none outside of it.

    Stands for `jax.typeof(x).manual_axis_type.varying`, before that `.vma`. Without both JAX does not ask.
    """
    kind = jax.typeof(x)
    axes = getattr(kind, "manual_axis_type", None)
    return frozenset(axes.varying if axes is not None else getattr(kind, "vma", ()))


def vary(x: Any, axes: tuple[str, ...]) -> Any:
    """An array marked as varying over more mesh axes.

    Stands for `jax.lax.pcast`, before that `jax.lax.pvary`. Without both JAX does not ask.
    """
    if hasattr(jax.lax, "pcast"):
        return jax.lax.pcast(x, axes, to="varying")
    return jax.lax.pvary(x, axes) if hasattr(jax.lax, "pvary") else x


def chosen_device() -> jax.Device | str | None:
    """The device or the platform that was chosen by `jax.default_device`; None if none was.

    Stands for the attribute `jax_default_device` of `jax.config`. Without it, no choice is known.
    """
    return getattr(jax.config, "jax_default_device", None)


def is_cache_undecided() -> bool:
    """Whether JAX would keep compiled programs, but was not told where.

    Stands for attributes of `jax.config`. Without them it is taken for decided.
    """
    enabled = getattr(jax.config, "jax_enable_compilation_cache", False)
    return bool(enabled) and getattr(jax.config, "jax_compilation_cache_dir", "") is None


def keep_compiled_in(folder: Path) -> None:
    """Makes JAX keep every compiled program in a folder, and look for it there.

    Stands for settings of `jax.config`; those that are gone are left out.
    """
    settings = {"enable_compilation_cache": True, "compilation_cache_dir": str(folder)}
    settings |= {"persistent_cache_min_compile_time_secs": 0.0, "persistent_cache_min_entry_size_bytes": -1}
    for name, value in settings.items():
        with contextlib.suppress(AttributeError):
            jax.config.update(f"jax_{name}", value)


def leave_signals_alone() -> None:
    """Keeps `jax.distributed` from taking SIGTERM for itself.

    Stands for the setting `jax_enable_preemption_service`; without it there is nothing to be kept from.
    """
    with contextlib.suppress(AttributeError):
        jax.config.update("jax_enable_preemption_service", False)


@contextlib.contextmanager
def xla_metadata(**values: str) -> Iterator[None]:
    """Within, operations tell XLA this about themselves.

    Stands for `jax.experimental.xla_metadata`; without it they tell nothing.
    """
    try:
        from jax.experimental.xla_metadata import set_xla_metadata
    except ImportError:
        yield
        return
    with set_xla_metadata(**values):
        yield


def primitive_names(function: Callable[..., Any], *arguments: Any) -> frozenset[str]:
    """The names of all operations in a function of arrays, those inside of loops and calls too.

    Stands for the equations of a jaxpr; where they are not as known here, there is one named UNKNOWN.
    """
    try:
        return frozenset(_names(jax.make_jaxpr(function)(*arguments).jaxpr))
    except AttributeError:
        return frozenset([UNKNOWN])


def _names(jaxpr: Any) -> Iterator[str]:
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for inner in _inner_programs(equation):
            yield from _names(inner)


def _inner_programs(equation: Any) -> list[Any]:
    """The programs that an operation runs, such as the body of a loop."""
    values = jax.tree.leaves(equation.params, is_leaf=lambda leaf: hasattr(leaf, "eqns"))
    return [value for value in values if hasattr(value, "eqns")]


def constants_of(program: Any) -> list[Any]:
    """The arrays that a traced program holds, those of programs inside of it too, in the order of its operations.

    Stands for the constants and equations of a jaxpr; without these there are none.
    """
    found = list(getattr(program, "consts", ()))
    for equation in getattr(program, "eqns", ()):
        found += [array for inner in _inner_programs(equation) for array in constants_of(inner)]
    return found


def without_source_names(stablehlo: bytes) -> bytes:
    """A serialised StableHLO program without the names of the source files that made it.

    Stands for `jax.extend.mlir` and the context of `jax.interpreters.mlir`; without them the names stay.
    """
    try:
        from jax.extend import mlir
        from jax.extend.mlir.dialects import stablehlo as dialect
        from jax.extend.mlir.passmanager import PassManager
        from jax.interpreters.mlir import make_ir_context
    except ImportError:
        return stablehlo
    month_old = dialect.StablehloCompatibilityRequirement.WEEK_4  # what JAX itself asks for: older readers know it
    with make_ir_context():
        module = mlir.deserialize_portable_artifact(stablehlo)
        PassManager.parse("builtin.module(strip-debuginfo)").run(module.operation)
        version = dialect.get_version_from_compatibility_requirement(month_old)
        return bytes(mlir.serialize_portable_artifact(module, version))


# traces, equation by equation: `jax.extend.core` names their parts, but what the parts have is nowhere promised


class SourceFrame(NamedTuple):
    """A line of source code that an operation comes from; columns count bytes from 0, the last is excluded."""

    file: str
    line: int
    function: str
    column: int
    last_line: int
    last_column: int


def equations_of(jaxpr: Any) -> list[Any]:
    """The equations of an open jaxpr, in order."""
    return list(jaxpr.eqns)


def is_literal(variable: Any) -> bool:
    """Whether what an equation of a jaxpr reads is a number written into it.

    Stands for `jax.extend.core.Literal`; variables have no value.
    """
    return hasattr(variable, "val")


def shape_of(variable: Any) -> tuple[int, ...]:
    """The shape of a variable or literal of a jaxpr."""
    return tuple(getattr(variable.aval, "shape", ()))


def dtype_of(variable: Any) -> Any:
    """The dtype of a variable or literal of a jaxpr; that of a truth value for what has none."""
    return getattr(variable.aval, "dtype", bool)


def has_effects(equation: Any) -> bool:
    """Whether an equation, or one inside of it, does more than compute: prints, calls back, writes.

    Stands for the effects of a jaxpr's equations; without these there are none.
    """
    return bool(getattr(equation, "effects", ()))


def inner_programs(equation: Any) -> list[Any]:
    """The open jaxprs that an equation runs: branches, the body of a loop, what is called."""
    return [jaxpr for jaxpr, _ in programs_within(equation)]


def programs_within(equation: Any) -> list[tuple[Any, Sequence[Any]]]:
    """The same, each with its constants."""
    return [
        (getattr(program, "jaxpr", program), getattr(program, "consts", ())) for program in _inner_programs(equation)
    ]


def as_function(program: Any) -> Callable[..., list[Any]]:
    """The function that a closed jaxpr is: it computes as that does, and has the same derivative."""
    from jax.extend.core import jaxpr_as_fun

    return jaxpr_as_fun(program)


def called_program(equation: Any) -> tuple[Any, Any] | None:
    """(open jaxpr, constants) of an equation that does nothing but call a program; None for others.

    Stands for the parameters of the primitives that JAX makes of `jit`, `checkpoint`, `custom_jvp`, `custom_vjp`, ...
    """
    name = equation.primitive.name
    if name == "call_hi_primitive":
        return _lowered(equation.params["_prim"])
    if name.startswith(("scatter", "reduce")) or name in ("scan", "while", "cond", "run_state", "shard_map"):
        return None
    inner = next((equation.params[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr") if key in equation.params), None)
    if inner is None or len(getattr(inner, "in_avals", getattr(inner, "invars", ()))) != len(equation.invars):
        return None
    return (inner.jaxpr, inner.consts) if hasattr(inner, "consts") else (inner, ())


def _lowered(operation: Any) -> tuple[Any, Any] | None:
    """(open jaxpr, constants) of what an operation of a newer JAX is made of; None where that is not known.

    Stands for `jax._src.hijax.HiPrim.expand`, of `custom_vjp` and `checkpoint` since JAX 0.12. The program is kept with
    the operation that it is of, so that it is the same each time.
    """
    try:
        kept = operation.__dict__.get("_functional_mlp_program")
        if kept is None:
            flat = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in operation.in_avals_flat]
            kept = jax.make_jaxpr(lambda *own: operation.expand(*jax.tree.unflatten(operation.in_tree, own)))(*flat)
            operation.__dict__["_functional_mlp_program"] = kept
        return kept.jaxpr, kept.consts
    except (AttributeError, NotImplementedError):
        return None


def scan_sizes(params: Mapping[str, Any]) -> tuple[int, int]:
    """How many constants, and how many carried arrays, a `scan` has, from the parameters of its equation.

    Stands for its parameters `num_consts` and `num_carry`, and for `ft_in` since JAX 0.12.
    """
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    constants, carried, _ = params["ft_in"].unpack()
    return len(list(constants)), len(list(carried))


def results_of(primitive: Any, operands: Sequence[Any], params: Mapping[str, Any]) -> list[Any]:
    """What a primitive makes of operands: a list, of one result too."""
    results = primitive.bind(*operands, **params)
    return list(results) if primitive.multiple_results else [results]


def source_frames(equation: Any) -> Iterator[SourceFrame]:
    """The lines of source that an equation comes from, innermost first, without JAX's own.

    Stands for `jax._src.source_info_util.user_frames`; without it there are none.
    """
    try:
        from jax._src import source_info_util

        frames = list(source_info_util.user_frames(equation.source_info.traceback))
    except (ImportError, AttributeError, TypeError):
        return
    for frame in frames:
        yield SourceFrame(
            frame.file_name,
            frame.start_line,
            frame.function_name.rpartition(".")[2],
            frame.start_column,
            frame.end_line,
            frame.end_column,
        )


def explicit_sharding(array: Any) -> Any:
    """How an array is sharded over explicit axes of a mesh, which are part of its type; None if it is over none."""
    if not isinstance(array, jax.Array):
        return None
    sharding = jax.typeof(array).sharding
    kinds = getattr(sharding.mesh, "axis_types", ())
    return sharding if jax.sharding.AxisType.Explicit in kinds else None


def sharding_of_product(left: Any, right: Any) -> Any:
    """How a product of matrices is sharded over explicit axes: its rows as of `left`, its columns as of `right`."""
    rows, columns = explicit_sharding(left), explicit_sharding(right)
    return _of_dimensions((rows, 0), (columns, 1))


def sharding_of_samples(rows: Any, like: Any) -> Any:
    """How arrays (n, ...), of every sample one like `like`, are sharded over explicit axes: n as of `rows`."""
    own = explicit_sharding(like)
    return _of_dimensions((explicit_sharding(rows), 0), *((own, at) for at in range(like.ndim)))


def _of_dimensions(*dimensions: tuple[Any, int]) -> Any:
    """A sharding of dimensions of others, each as it is there where its axes shard none before; None if none is."""
    meshes = [own.mesh for own, _ in dimensions if own is not None]
    if not meshes:
        return None
    spec: list[Any] = []
    taken: set[Any] = set()
    for own, at in dimensions:
        axes = None if own is None else own.spec[at]
        each = {*(axes if isinstance(axes, tuple) else (axes,))} - {None}
        spec.append(None if taken & each else axes)  # an axis shards one dimension alone
        taken |= each
    return jax.sharding.NamedSharding(meshes[0], jax.sharding.PartitionSpec(*spec))


def sharded_as(array: Any, like: Any) -> Any:
    """An array that is sharded over explicit axes of a mesh as another one; as it is where there are none."""
    sharding = explicit_sharding(like)
    return array if sharding is None else jax.sharding.reshard(array, sharding)
