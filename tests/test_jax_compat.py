"""What is used of JAX beyond its stable interface: each use once as it is today, and once as if JAX had it no more."""

import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from functional_mlp import _jax_compat

PACKAGE = Path(__file__).resolve().parents[1] / "functional_mlp"
UNSTABLE = re.compile(
    r"jax\._src|jax\.extend|jax\.interpreters|jax\.core\b|manual_axis_type|\.vma\b|\bp(cast|vary)\(|xla_metadata import"
    r"|jax\.config\.(values|jax_)|preemption_service|\.eqns\b|primitive\.bind\("
)
APART = {"_jax_compat.py", "exporting/artifact.py"}  # which runs without this package


def test_no_other_file_uses_what_is_not_stable():
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if name not in APART:
            assert not UNSTABLE.search(path.read_text()), name


@pytest.fixture(params=["now", "gone"])
def has_tracer(request, monkeypatch):
    if request.param == "gone":
        monkeypatch.delattr(jax.core, "Tracer")


def test_what_is_traced(has_tracer):
    seen = []

    def function(x):
        seen.append(_jax_compat.is_traced(x))
        return x * x

    jax.eval_shape(function, jnp.ones(3))
    jax.vmap(function)(jnp.ones(3))
    jax.grad(function)(1.0)
    assert seen == [True] * 3
    assert not _jax_compat.is_traced(jnp.ones(3))
    assert not _jax_compat.is_traced(np.ones(3))
    assert not _jax_compat.is_traced(1.0)


def varying(x):
    """What varies within a shard_map: `x`, a constant, and the constant once it was marked."""
    seen = []

    def share(x):
        constant = jnp.ones(())
        seen.extend(_jax_compat.varying_axes_of(each) for each in (x, constant, _jax_compat.vary(constant, ("all",))))
        return x

    mesh = Mesh(np.array(jax.devices()[:1]), ("all",))
    jax.jit(jax.shard_map(share, mesh=mesh, in_specs=PartitionSpec("all"), out_specs=PartitionSpec("all")))(x)
    return seen


def test_axes_over_which_an_array_varies():
    x = jnp.ones(2)
    assert _jax_compat.varying_axes_of(x) == frozenset()
    assert varying(x) == [{"all"}, set(), {"all"}]


def test_axes_over_which_an_array_varies_in_other_versions_of_jax(monkeypatch):
    class Older:
        vma = frozenset({"all"})

    monkeypatch.setattr(jax, "typeof", lambda x: Older())
    assert _jax_compat.varying_axes_of(1.0) == {"all"}
    monkeypatch.setattr(jax, "typeof", lambda x: object())
    assert _jax_compat.varying_axes_of(1.0) == frozenset()
    monkeypatch.delattr(jax.lax, "pcast")
    monkeypatch.setattr(jax.lax, "pvary", lambda x, axes: (x, axes), raising=False)
    assert _jax_compat.vary(1.0, ("all",)) == (1.0, ("all",))
    monkeypatch.delattr(jax.lax, "pvary")
    assert _jax_compat.vary(1.0, ("all",)) == 1.0


def test_the_chosen_device(monkeypatch):
    assert _jax_compat.chosen_device() is None
    with jax.default_device("cpu"):
        assert _jax_compat.chosen_device() == "cpu"
    monkeypatch.setattr(jax, "config", object())
    assert _jax_compat.chosen_device() is None


class Settings:
    """In place of `jax.config`."""

    jax_enable_compilation_cache = True
    jax_compilation_cache_dir = None

    def __init__(self, *known):
        self.known, self.changed = known, {}

    def update(self, name, value):
        if name not in self.known:
            raise AttributeError(f"Unrecognized config option: {name}")
        self.changed[name] = value


def test_where_compiled_programs_are_kept(monkeypatch, tmp_path):
    assert not _jax_compat.is_cache_undecided()  # conftest.py has decided
    settings = Settings("jax_compilation_cache_dir")
    monkeypatch.setattr(jax, "config", settings)
    assert _jax_compat.is_cache_undecided()
    _jax_compat.keep_compiled_in(tmp_path)
    assert settings.changed == {"jax_compilation_cache_dir": str(tmp_path)}
    monkeypatch.setattr(jax, "config", object())
    assert not _jax_compat.is_cache_undecided()


def test_the_settings_are_known_to_this_jax(tmp_path):
    names = [f"jax_{name}" for name in ("enable_compilation_cache", "compilation_cache_dir", "default_device")]
    names += ["jax_persistent_cache_min_compile_time_secs", "jax_persistent_cache_min_entry_size_bytes"]
    for name in [*names, "jax_enable_preemption_service"]:
        assert hasattr(jax.config, name), name


def test_signals_are_left_alone(monkeypatch):
    settings = Settings("jax_enable_preemption_service")
    monkeypatch.setattr(jax, "config", settings)
    _jax_compat.leave_signals_alone()
    assert settings.changed == {"jax_enable_preemption_service": False}
    monkeypatch.setattr(jax, "config", Settings())
    _jax_compat.leave_signals_alone()


@pytest.mark.parametrize("gone", [False, True])
def test_metadata_reach_xla(gone, monkeypatch):
    if gone:
        monkeypatch.setitem(sys.modules, "jax.experimental.xla_metadata", None)

    def function(x):
        with _jax_compat.xla_metadata(colour="green"):
            return x + 1

    assert ("green" in jax.jit(function).lower(1.0).as_text()) != gone


def test_operations_are_found_inside_of_loops_and_calls(monkeypatch):
    def function(x):
        return jax.lax.fori_loop(0, 3, lambda _, y: jax.jit(jnp.sin)(y), x)

    assert {"sin", "while"} <= _jax_compat.primitive_names(function, 1.0) | {"while"}
    monkeypatch.setattr(jax, "make_jaxpr", lambda function: lambda *arguments: object())
    assert _jax_compat.primitive_names(function, 1.0) == {_jax_compat.UNKNOWN}


def test_a_program_without_the_names_of_its_files(monkeypatch):
    exported = jax.export.export(jax.jit(lambda x: x + 1))(jax.ShapeDtypeStruct((3,), jnp.float32))
    program = exported.mlir_module_serialized
    name = Path(__file__).name.encode()
    assert name in program
    stripped = _jax_compat.without_source_names(program)
    assert name not in stripped
    monkeypatch.setitem(sys.modules, "jax.extend.mlir.passmanager", None)
    assert _jax_compat.without_source_names(program) == program


def test_constants_of_programs_inside_of_programs_are_found():
    def function(numbers):
        constant = np.array(numbers, np.float32)
        inner = jax.jit(lambda x: x * constant)
        return jax.make_jaxpr(lambda x: inner(x) + inner(x + 1))(jnp.zeros(3))

    [first], [other] = (
        {array.tobytes() for array in map(np.asarray, _jax_compat.constants_of(function(numbers)))}
        for numbers in ([1, 2, 3], [1, 2, 4])
    )
    assert first != other


def test_without_constants_of_a_program_there_are_none():
    assert _jax_compat.constants_of(object()) == []


def halves(x):
    return jax.jit(lambda x: x / 2)(x)


def test_equations_tell_what_they_read_run_and_come_from():
    program = jax.make_jaxpr(lambda x: halves(x) + jax.lax.cond(x.sum() > 0, jnp.sin, jnp.cos, x))(jnp.ones((2, 3)))
    equations = {equation.primitive.name: equation for equation in _jax_compat.equations_of(program.jaxpr)}
    called = next(e for e in equations.values() if _jax_compat.called_program(e) is not None)
    inner, constants = _jax_compat.called_program(called)
    assert not constants
    [division] = _jax_compat.equations_of(inner)
    x, two = division.invars
    assert (_jax_compat.is_literal(x), _jax_compat.is_literal(two)) == (False, True)
    assert (_jax_compat.shape_of(x), _jax_compat.dtype_of(x)) == ((2, 3), jnp.float32)
    assert _jax_compat.called_program(equations["cond"]) is None
    assert len(_jax_compat.inner_programs(equations["cond"])) == 2
    assert [len(constants) for _, constants in _jax_compat.programs_within(equations["cond"])] == [0, 0]
    [result] = _jax_compat.as_function(program)(jnp.ones((2, 3)))
    np.testing.assert_allclose(result, np.full((2, 3), 0.5 + np.sin(1.0)), rtol=1e-6)
    assert not _jax_compat.has_effects(division)
    frame = next(iter(_jax_compat.source_frames(division)))
    assert (frame.file, frame.line) == (__file__, halves.__code__.co_firstlineno + 1)
    assert 0 < frame.column < frame.last_column


def test_what_prints_has_effects_and_an_equation_without_a_source_has_no_frames():
    program = jax.make_jaxpr(lambda x: (jax.debug.print("{}", x), x)[1])(1.0)
    assert _jax_compat.has_effects(_jax_compat.equations_of(program.jaxpr)[0])
    assert list(_jax_compat.source_frames(object())) == []


def test_a_primitive_is_bound_to_operands_and_gives_a_list():
    x = np.array([[2.0, 1.0]], np.float32)
    sine, split = (
        _jax_compat.equations_of(jax.make_jaxpr(function)(x).jaxpr)[0]
        for function in (jnp.sin, lambda x: jax.lax.split(x, (1, 1), axis=1))
    )
    [only] = _jax_compat.results_of(sine.primitive, [x], sine.params)
    np.testing.assert_allclose(only, np.sin(x), rtol=1e-6)
    first, second = _jax_compat.results_of(split.primitive, [x], split.params)
    assert (first.tolist(), second.tolist()) == ([[2.0]], [[1.0]])


def test_the_constants_and_the_carried_arrays_of_a_loop_are_counted():
    factor = jnp.float32(2)

    def looped(carry, rows):
        return jax.lax.scan(lambda own, row: ((own[0] * factor + row, own[1] + own[0]), own[0]), carry, rows)

    traced = jax.make_jaxpr(looped)((jnp.float32(1), jnp.float32(2)), jnp.ones(3))
    [loop] = [equation for equation in traced.eqns if equation.primitive.name == "scan"]
    constants, carried = _jax_compat.scan_sizes(loop.params)
    assert carried == 2
    assert constants + carried + 1 == len(loop.invars)
