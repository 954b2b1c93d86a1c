"""The operations with a VJP by hand: against jax.grad of their definitions, at the extremes, in all formats."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functional_mlp import operations as ops
from tests.helpers.tolerances import RELATIVE, relative_difference

NAMES = ("layer_norm", "rms_norm", "swiglu", "geglu", "residual", "dropout")


def question(name, batch, units, seed, *, bare=False):
    """Arguments by position, those that are no floats last, and settings by name; NumPy float64."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(*batch, units))
    if "norm" in name:
        vectors = [None if bare else 1 + rng.normal(size=units) / 2 for _ in range(2 if name == "layer_norm" else 1)]
        return [x, *vectors], {"epsilon": 1e-2}
    if "glu" in name:
        return [x, *(rng.normal(size=shape) for shape in ((units, 3), (units, 3), (3, units)))], {}
    if name == "residual":
        return [x, rng.normal(size=x.shape)], {"scale": 0.5}
    return [x, rng.uniform(size=x.shape) > 0.3], {"rate": 0.3}


def by_hand(name, arguments, keywords, ct):
    """Outputs and cotangents, those of None left out."""
    y, residuals = getattr(ops, f"{name}_forward")(*arguments, **keywords)
    return y, jax.tree.leaves(getattr(ops, f"{name}_backward")(residuals, ct))


def by_autodiff(name, arguments, keywords, ct):
    floats = [i for i, a in enumerate(arguments) if a is not None and a.dtype != bool]

    def definition(*moving):
        filled = list(arguments)
        for i, array in zip(floats, moving, strict=True):
            filled[i] = array
        return getattr(ops, name)(*filled, **keywords)

    y, pull = jax.vjp(definition, *(arguments[i] for i in floats))
    return y, list(pull(ct))


def narrowed(arguments, dtype):
    return [a if a is None or a.dtype == bool else a.astype(dtype) for a in arguments]


def of_all(calculate, batch, units, **others):
    """One program for all operations, of their arguments by name: to compile many small ones takes longer."""
    settings = {name: question(name, batch, units, 0, **others)[1] for name in NAMES}
    return jax.jit(lambda given, ct: {name: calculate(name, given[name], settings[name], ct) for name in NAMES})


def questions(batch, units, seed, **others):
    given = {name: question(name, batch, units, seed + i, **others)[0] for i, name in enumerate(NAMES)}
    return given, np.random.default_rng(seed).normal(size=(*batch, units))


def everything(name, arguments, keywords, ct):
    """By hand, by autodiff, and by hand row by row where there are rows of rows."""
    hand, autodiff = by_hand(name, arguments, keywords, ct), by_autodiff(name, arguments, keywords, ct)
    if ct.ndim < 3:
        return hand, autodiff, hand
    axes = [None if a is None or a.ndim < 3 else 0 for a in arguments]
    mapped = jax.vmap(lambda ct, *arguments: by_hand(name, arguments, keywords, ct), (0, *axes))(ct, *arguments)
    return hand, autodiff, mapped


SHAPES = {"rows": ((2, 3), 4, False), "one sample, no weights": ((), 3, True)}


@pytest.fixture(scope="module")
def programs():
    return {kind: of_all(everything, batch, units, bare=bare) for kind, (batch, units, bare) in SHAPES.items()}


@pytest.mark.parametrize("kind", SHAPES)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1e-3, 1.0, 30.0]))
@settings(max_examples=20)
def test_the_vjp_by_hand_is_that_of_autodiff(programs, kind, seed, scale):
    batch, units, bare = SHAPES[kind]
    given, ct = questions(batch, units, seed, bare=bare)
    given = {name: [scale * x, *others] for name, (x, *others) in given.items()}
    with jax.enable_x64(True):
        for hand, autodiff, mapped in programs[kind](given, ct).values():
            assert relative_difference(hand, autodiff) <= RELATIVE["float64"]
            assert relative_difference((mapped[0], mapped[1][0]), (hand[0], hand[1][0])) <= RELATIVE["float64"]
            assert [ct.shape for ct in hand[1]] == [ct.shape for ct in autodiff[1]]


@pytest.mark.parametrize(("batch", "units"), [((1,), 0), ((0,), 2)])
def test_no_units_and_no_samples_have_results_of_their_shapes(batch, units):
    given, ct = questions(batch, units, 0)
    for name, (y, cts) in jax.eval_shape(of_all(by_hand, batch, units), given, ct).items():
        assert y.shape == (*batch, units)
        assert [ct.shape for ct in cts] == [a.shape for a in given[name] if a.dtype != bool]


def test_one_unit_is_answered_and_normalised_to_nothing(x64):
    given, ct = questions((2,), 1, 0)
    for name, (y, cts) in of_all(by_hand, (2,), 1)(given, ct).items():
        assert all(bool(np.isfinite(array).all()) for array in (y, *cts))
        assert name != "layer_norm" or not np.any(cts[0])


def test_norms_of_rows_of_any_size_and_far_from_zero_keep_their_digits_in_float32(x64):
    scales = np.float32([1e-30, 1e-12, 1.0, 1e12, 1e30, 1.0])[:, None]
    offsets = np.float32([0, 0, 0, 0, 0, 1000])[:, None]
    ct = np.random.default_rng(2).normal(size=(6, 16)).astype(np.float32)
    narrow = {}
    for name in ("layer_norm", "rms_norm"):
        [x, *others], _ = question(name, (6,), 16, 1)
        narrow[name] = narrowed([scales * x + offsets, *others], np.float32)

    @jax.jit
    def asked(narrow, ct):
        wide = {name: [a.astype("float64") for a in arguments] for name, arguments in narrow.items()}
        settings = {"epsilon": 0.0}
        return {
            name: (
                by_hand(name, narrow[name], settings, ct),
                by_autodiff(name, wide[name], settings, ct.astype("float64")),
            )
            for name in narrow
        }

    for got, expected in asked(narrow, ct).values():
        for row in range(6):
            assert relative_difference(got[0][row], expected[0][row]) <= 1e-6
            assert relative_difference(got[1][0][row], expected[1][0][row]) <= 2e-6
        assert relative_difference(got[1][1:], expected[1][1:]) <= 1e-6


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_results_have_the_dtypes_of_their_arguments(programs, dtype, x64):
    batch, units, _ = SHAPES["rows"]
    given, ct = questions(batch, units, 4)
    narrow = {name: narrowed(arguments, jnp.dtype(dtype)) for name, arguments in given.items()}
    ct = ct.astype(jnp.dtype(dtype))
    wide = {name: narrowed(arguments, np.float64) for name, arguments in narrow.items()}
    expected = programs["rows"](wide, ct.astype(np.float64))
    for name, got in of_all(by_hand, batch, units)(narrow, ct).items():
        assert {array.dtype for array in jax.tree.leaves(got)} == {jnp.dtype(dtype)}
        assert relative_difference(got, expected[name][0]) <= 1.5 * float(jnp.finfo(dtype).eps)


def test_weights_may_be_wider_than_the_rows():
    x, weight = jnp.asarray([[1.0, 3.0]], "bfloat16"), jnp.ones(2, "float32")

    def run(x, weight):
        y, residuals = ops.rms_norm_forward(x, weight)
        return y, ops.rms_norm_backward(residuals, y)

    y, cts = jax.eval_shape(run, x, weight)
    assert (y.dtype, cts.ct_x.dtype, cts.ct_weight.dtype) == (x.dtype, x.dtype, weight.dtype)


@pytest.mark.parametrize("name", NAMES)
def test_forward_and_definition_take_the_same_arguments(name):
    assert inspect.signature(getattr(ops, f"{name}_forward")).parameters.keys() == (
        inspect.signature(getattr(ops, name)).parameters.keys()
    )


def test_a_dropped_unit_stays_out_of_it_whatever_it_holds():
    x, mask = jnp.asarray([jnp.inf, 1.0]), jnp.asarray([False, True])
    y, residuals = ops.dropout_forward(x, mask, rate=0.5)
    assert y.tolist() == [0.0, 2.0]
    assert ops.dropout_backward(residuals, x).tolist() == [0.0, 2.0]


ONE = np.ones((2, 3), np.float32)


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (TypeError, ["x", "int32", "astype"], lambda: ops.layer_norm(np.ones((2, 3), np.int32))),
        (ValueError, ["weight", "(3,)", "(2,)"], lambda: ops.layer_norm(ONE, np.ones(2, np.float32))),
        (ValueError, ["bias", "unit", "(4,)"], lambda: ops.layer_norm_forward(ONE, None, np.ones(4, np.float32))),
        (ValueError, ["epsilon", "at least 0", "-1"], lambda: ops.rms_norm(ONE, epsilon=-1.0)),
        (ValueError, ["x", "(..., units)", "()"], lambda: ops.rms_norm(np.float32(1.0))),
        (ValueError, ["ct_y", "(2, 3)"], lambda: ops.layer_norm_backward(ops.layer_norm_forward(ONE)[1], ONE[:1])),
        (ValueError, ["gate", "3 units", "(2, 3)"], lambda: ops.swiglu(ONE, ONE, ONE, ONE)),
        (ValueError, ["down", "(2, out)"], lambda: ops.geglu_forward(ONE, ONE.T, ONE.T, ONE.T)),
        (ValueError, ["ct_y"], lambda: ops.swiglu_backward(ops.swiglu_forward(ONE, ONE.T, ONE.T, ONE)[1], ONE.T)),
        (ValueError, ["branch", "(2, 3)", "(3, 2)"], lambda: ops.residual(ONE, ONE.T)),
        (TypeError, ["mask", "booleans", "float32"], lambda: ops.dropout(ONE, ONE, rate=0.5)),
        (ValueError, ["rate", "below 1", "1.0"], lambda: ops.dropout(ONE, ONE > 0, rate=1.0)),
        (ValueError, ["mask", "(2, 3)"], lambda: ops.dropout_forward(ONE, ONE.T > 0, rate=0.5)),
    ],
)
def test_bad_input_is_answered_with_one_sentence(says, error, words, call):
    says(error, words, call)
