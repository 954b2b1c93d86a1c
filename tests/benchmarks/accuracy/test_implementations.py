import ctypes
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

import functional_mlp as fm
from benchmarks.accuracy.cases import TAGS, draw, draw_recipe, families
from benchmarks.accuracy.implementations import compiled
from benchmarks.accuracy.implementations.registry import IMPLEMENTATIONS, Answer
from benchmarks.compiler import has_compiler
from functional_mlp import oracle
from functional_mlp._dtypes import DTYPES
from functional_mlp.activations import FACTORIES
from functional_mlp.losses import KINDS
from reference.plain import EXACT, OWN_PAIRS, gradients
from tests.helpers.tolerances import RELATIVE, relative_difference

pytestmark = pytest.mark.slow

PAIRS = [
    (last, kind)
    for last, kind in itertools.product(FACTORIES, [*KINDS, None])
    if kind is None or fm.activations.resolve(last).probabilities or not KINDS[kind].of_probabilities
]
UNITS = [
    *FACTORIES,
    {"name": "leaky_relu", "slope": 0.25, "at_zero": 0.5},
    {"name": "elu", "alpha": 2.0},
    {"name": "relu", "at_zero": 1.0},
]
FAR_FROM_KINKS = 190  # of five samples no pre-activation of the hidden layer of `make_case` is within 0.5 of 0
TYPES = {"float64": np.float64, "float32": np.float32, "float16": np.float16}
AVAILABLE = [name for name, implementation in IMPLEMENTATIONS.items() if implementation.available()]
COMPILING = [name for name in AVAILABLE if name.startswith("jax-")]
QUICK = [name for name in AVAILABLE if name not in COMPILING]


def make_case(hidden, last, kind, dtype="float64", weighted=False, biased=True, samples=5, seed=FAR_FROM_KINKS, **loss):
    network = fm.Network((4, 5, 3), (hidden, last))
    case = oracle.draw_case(
        network, None if kind is None else fm.Loss(kind, **loss), samples=samples, seed=seed, dtype=dtype
    )
    weights = np.arange(1.0, samples + 1) / 4 if weighted else None
    params = case.params if biased else [layer.weights for layer in case.params]
    return oracle.Case(
        network, case.loss, params, case.inputs, case.targets, case.ct_outputs, sample_weights=weights, dtype=dtype
    )


def require_agreement(answer: Answer, expected, dtype: str) -> None:
    allowed = 4 * RELATIVE[dtype]
    pairs = [(answer.outputs, expected.outputs), (answer.grads, expected.grads)]
    if answer.deltas is not None:
        pairs.append((answer.deltas, expected.deltas))
    if answer.ct_inputs is not None:
        pairs.append((answer.ct_inputs, expected.ct_inputs))
    for got, wanted in pairs:
        assert relative_difference(got, wanted) < allowed
    if expected.loss is None:
        assert answer.loss is None
    else:
        assert abs(answer.loss - expected.loss) < allowed * (1 + abs(expected.loss))
    for leaf in [*itertools.chain(*answer.grads), answer.outputs, *(answer.deltas or ())]:
        assert leaf is None or leaf.dtype == DTYPES[dtype]


def require_all_agree(names, make, expected=None) -> None:
    """Each of the implementations that supports the case of `make(dtype)`."""
    asked = 0
    for dtype in DTYPES:
        case = make(dtype)
        truth = gradients(case, EXACT, fused=True) if expected is None else expected(case)
        for name in names:
            if IMPLEMENTATIONS[name].supports(case):
                require_agreement(IMPLEMENTATIONS[name].run(case), truth, dtype)
                asked += 1
    assert asked


def test_names_are_unique_and_precisions_known():
    assert all(name == implementation.name for name, implementation in IMPLEMENTATIONS.items())
    for implementation in IMPLEMENTATIONS.values():
        assert set(implementation.precision.split("/")) <= set(DTYPES)
    assert {"numpy-float32-unfused", "numpy-sequential-float16", "jax-bfloat16", "torch-float32"} <= set(
        IMPLEMENTATIONS
    )


def test_all_agree_with_the_oracle():
    loss = fm.Loss("categorical_cross_entropy", over_samples="mean", scale=2.0, l2=0.5, l2_on_bias=True)
    network = fm.Network((4, 3), "softmax")  # of one layer: programs are compiled for it in every dtype
    names = [name for name in AVAILABLE if not name.endswith("-eager")]  # each of their operations is a program
    require_all_agree(names, lambda dtype: oracle.draw_case(network, loss, samples=5, dtype=dtype), oracle.solve)


@pytest.mark.parametrize(("last", "kind"), PAIRS)
def test_every_output_activation_and_loss(last, kind):
    # in 16 bits rounding may bring an output to the other side of a margin, where the gradient is another one
    names = [name for name in QUICK if not (KINDS[kind].piecewise_linear and "16" in name)] if kind else QUICK
    require_all_agree(names, lambda dtype: make_case("tanh", last, kind, dtype))


@pytest.mark.parametrize("unit", UNITS, ids=str)
def test_every_hidden_activation(unit):
    require_all_agree(QUICK, lambda dtype: make_case(unit, "identity", "squared_error", dtype, scale=0.5))


@pytest.mark.parametrize("kind", KINDS)
def test_every_reduction_weighting_and_penalty(kind):
    last = {"binary_cross_entropy": "sigmoid", "categorical_cross_entropy": "softmax", "kl_divergence": "softmax"}
    last = last.get(kind, "identity")
    ways = itertools.product(("sum", "mean"), ("sum", "mean"), (0.0, 0.25), (False, True), (False, True))
    for samples, outputs, l2, weighted, biased in ways:
        loss = {"over_samples": samples, "over_outputs": outputs, "l2": l2, "l2_on_bias": weighted, "scale": 1.5}
        require_all_agree(QUICK, lambda dtype: make_case("silu", last, kind, dtype, weighted, biased, **loss))  # noqa: B023


@pytest.mark.parametrize(
    ("unit", "last", "kind"),
    [
        ("softmax", "sigmoid", "categorical_cross_entropy"),
        (UNITS[-3], "softmax", "binary_cross_entropy"),
        (UNITS[-2], "sigmoid", "binary_cross_entropy"),
        ("softplus", "silu", "softmax_cross_entropy"),
        ("gelu", "identity", "sigmoid_cross_entropy"),
        ("sigmoid", UNITS[-1], None),
    ],
)
def test_jax_in_float64(unit, last, kind):
    loss = {} if kind is None else {"over_outputs": "mean"}
    case = make_case(unit, last, kind, weighted=kind is not None, **loss)
    for name in ("jax-float64", "jax-float64-unfused"):
        if IMPLEMENTATIONS[name].supports(case):
            require_agreement(IMPLEMENTATIONS[name].run(case), gradients(case, EXACT, fused=True), "float64")


def test_kinks_have_the_declared_derivative():
    for unit in (
        {"name": "relu", "at_zero": 0.5},
        {"name": "leaky_relu", "slope": 0.25},
        {"name": "elu", "alpha": 0.5},
    ):
        network = fm.Network((1, 1), unit)
        case = oracle.Case(network, None, [([[1.0]], [0.0])], [[0.0]], ct_outputs=[[1.0]])
        for name in AVAILABLE:
            if IMPLEMENTATIONS[name].supports(case):
                expected = 0.5 if unit["name"] != "leaky_relu" else 0.25
                assert IMPLEMENTATIONS[name].run(case).grads[0][1][0] == expected


def test_an_unfused_implementation_declines_what_it_cannot_do():
    network = fm.Network((1, 1), "sigmoid")
    loss = fm.Loss("binary_cross_entropy")
    case = oracle.Case(network, loss, [([[1.0]], None)], [[100.0]], [[0.0]], dtype="float32")
    assert not IMPLEMENTATIONS["numpy-float32-unfused"].supports(case)
    assert IMPLEMENTATIONS["numpy-float32"].supports(case)
    answer = IMPLEMENTATIONS["numpy-float32"].run(case)
    assert answer.loss == 100
    assert answer.grads[0][0] == 100
    other = make_case("tanh", "identity", "squared_error", "float32")
    assert not IMPLEMENTATIONS["numpy-float32-unfused"].supports(other)  # the fused one does the same


def test_a_long_batch_is_too_long_for_a_python_loop():
    case = make_case("tanh", "identity", "squared_error", "float32", samples=4000)
    assert IMPLEMENTATIONS["numpy-float32"].supports(case)
    assert not IMPLEMENTATIONS["numpy-sequential-float32"].supports(case)


def counted(name: str, samples: int) -> tuple[float, float]:
    """dW and db of `samples` equal samples that each contribute 1."""
    dtype = IMPLEMENTATIONS[name].storage
    ones = np.ones((samples, 1))
    network = fm.Network((1, 1), "identity")
    case = oracle.Case(network, None, [([[1.0]], [1.0])], ones, ct_outputs=ones, dtype=dtype)
    ((weights, bias),) = IMPLEMENTATIONS[name].run(case).grads
    return float(weights[0, 0]), float(bias[0])


@pytest.mark.parametrize("name", [name for name in AVAILABLE if IMPLEMENTATIONS[name].precision.endswith("/float32")])
def test_declared_float32_accumulation_is_true(name):
    assert counted(name, 4096) == (4096, 4096)  # in 16 bits it would stop at 2048, in bfloat16 at 256


def test_accumulation_in_float16_is_true():
    two = {"numpy-float16": [4096, 4096], "numpy-sequential-float16": [2048, 2048]}
    assert {name: list(counted(name, 4096)) for name in two} == two
    network = fm.Network((1, 2), "identity")
    ones = np.ones((4096, 1))
    case = oracle.Case(
        network, None, [([[1.0, 1.0]], [1.0, 1.0])], ones, ct_outputs=np.ones((4096, 2)), dtype="float16"
    )
    ((weights, bias),) = IMPLEMENTATIONS["numpy-float16"].run(case).grads
    assert weights.tolist() == [[4096, 4096]]
    assert bias.tolist() == [2048, 2048]  # with several columns NumPy adds row to row


@pytest.mark.skipif(not has_compiler(), reason="no gcc")
def test_loading_fast_math_code_leaves_subnormal_numbers_alone():
    for dtype in compiled.C_TYPES:
        compiled.loaded(compiled.FAST, dtype)
        smallest = np.finfo(TYPES[dtype]).smallest_subnormal
        assert smallest * np.ones(3, TYPES[dtype])[0] != 0
    assert ctypes.c_double(5e-324).value * 1.0 != 0


def test_torch_is_not_imported_unasked():
    program = "import sys, benchmarks.accuracy.implementations.registry as r; sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode == 0


def test_own_pairs_are_those_of_the_losses():
    for last, kind in PAIRS:
        fuses = kind is not None and fm.Loss(kind).on_logits(fm.activations.resolve(last)) is not None
        assert fuses == ((last, kind) in OWN_PAIRS)


# the cases


@pytest.mark.parametrize("dtype", DTYPES)
def test_random_cases_are_repeatable_and_tagged(dtype):
    first, second = (draw(np.random.default_rng(3), precision=dtype, max_work=1e5) for _ in range(2))
    assert first.tags == second.tags
    np.testing.assert_array_equal(first.case.inputs, second.case.inputs)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(100):
        drawn = draw(rng, precision=dtype, max_work=1e5)
        assert drawn.case.dtype == dtype
        assert drawn.tags <= set(TAGS)
        assert len(families(drawn)) == 8
        seen |= drawn.tags
    assert seen >= {"kinks", "sorted", "shuffled", "duplicates", "constant", "zero-layer", "extreme", "weighted"}


def test_a_recipe_keeps_what_programs_are_compiled_for(rng):
    recipe = draw_recipe(rng, max_work=1e5)
    for precision in ("float16/float32", "tf32", "float64"):
        case = draw(rng, precision=precision, recipe=recipe).case
        assert (case.network, case.loss, len(case.inputs)) == (recipe.network, recipe.loss, recipe.samples)
        assert (case.params[0].bias is not None) == recipe.biased
        assert (case.sample_weights is not None) == recipe.weighted


def test_work_is_limited(rng):
    for _ in range(30):
        recipe = draw_recipe(rng, max_work=1e6)
        assert recipe.samples * sum(i * o for i, o in recipe.network.shapes) <= 1e6


def test_tags_name_what_happens():
    rng = np.random.default_rng(1)
    for _ in range(60):
        drawn = draw(rng, precision="float16", max_work=1e5)
        answer = IMPLEMENTATIONS["numpy-float16"].run(drawn.case)
        finite = all(np.isfinite(leaf).all() for layer in answer.grads for leaf in layer if leaf is not None)
        if not {"overflow", "saturated"} & drawn.tags:
            assert finite
