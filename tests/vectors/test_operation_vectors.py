"""The vectors of single operations: their files, what makes them, a textbook that passes, slips that do not."""

import copy
import json
import math
from importlib import resources

import numpy as np
import pytest

from functional_mlp._dtypes import DTYPES
from functional_mlp.vectors import (
    judge_operation,
    operation_names,
    read_operation_document,
    read_operation_vectors,
)
from tools.vectorgen.archive import contents
from tools.vectorgen.hazards.operations import RECIPES, recipes
from tools.vectorgen.making import text_of
from tools.vectorgen.operations import document, made, validate
from tools.vectorgen.running_error import Bounded


@pytest.fixture(scope="module")
def every():
    return list(read_operation_vectors())


# textbook programs: forward, then backward, everything in the dtype of the arguments


def norm(x, weight=None, bias=None, *, epsilon, ct, centred):
    d = x - x.mean(axis=1, keepdims=True) if centred else x
    r = 1 / np.sqrt((d * d).mean(axis=1, keepdims=True) + epsilon)
    normalised = d * r
    g = ct if weight is None else ct * weight
    y = normalised if weight is None else normalised * weight
    inner = g - g.mean(axis=1, keepdims=True) if centred else g
    answer = {"y": y if bias is None else y + bias}
    answer["ct_x"] = r * (inner - normalised * (g * normalised).mean(axis=1, keepdims=True))
    answer |= {} if weight is None else {"ct_weight": (ct * normalised).sum(axis=0)}
    return answer if bias is None else answer | {"ct_bias": ct.sum(axis=0)}


def silu(z):
    s = 1 / (1 + np.exp(-z))
    return z * s, s + z * s * (1 - s)


def gelu(z):
    erf = np.vectorize(math.erf, otypes=[z.dtype])
    p, density = (1 + erf(z / np.sqrt(2).astype(z.dtype))) / 2, np.exp(-z * z / 2) / np.sqrt(2 * np.pi).astype(z.dtype)
    return z * p, p + z * density


def block(x, gate, up, down, *, ct, activation):
    a, slope = activation(x @ gate)
    u = x @ up
    ct_h = ct @ down.T
    ct_z, ct_u = ct_h * u * slope, ct_h * a
    answer = {"y": (a * u) @ down, "ct_x": ct_z @ gate.T + ct_u @ up.T}
    return answer | {"ct_gate": x.T @ ct_z, "ct_up": x.T @ ct_u, "ct_down": (a * u).T @ ct}


TEXTBOOK = {
    "layer_norm": lambda ct, **given: norm(**given, ct=ct, centred=True),
    "rms_norm": lambda ct, **given: norm(**given, ct=ct, centred=False),
    "swiglu": lambda ct, **given: block(**given, ct=ct, activation=silu),
    "geglu": lambda ct, **given: block(**given, ct=ct, activation=gelu),
    "residual": lambda ct, x, branch, scale: {"y": x + scale * branch, "ct_x": ct, "ct_branch": scale * ct},
    "dropout": lambda ct, x, mask, rate: {"y": x * mask / (1 - rate), "ct_x": ct * mask / (1 - rate)},
}


def answered(vector, program, dtype):
    form = DTYPES[dtype]
    given = {name: a if a.dtype == bool else a.astype(form) for name, a in vector.arguments.items()}
    settings = {name: form.type(number) for name, number in vector.settings.items()}
    with np.errstate(all="ignore"):
        return program(vector.ct_y.astype(form), **given, **settings)


def test_a_textbook_in_the_precision_of_a_vector_or_a_finer_one_passes(every):
    counted = 0
    for vector in every:
        for dtype in {vector.precision, "float64"}:
            mismatch = judge_operation(vector, answered(vector, TEXTBOOK[vector.operation], dtype))
            assert mismatch is None, (vector.id, dtype, mismatch)
            counted += 1
    assert counted > 180


SLIPS = {
    ("layer_norm", "the path through the mean is missing"): lambda a, v: {
        "ct_x": a["ct_x"] + (v.ct_y * v.arguments.get("weight", 1)).mean(axis=1, keepdims=True)
    },
    ("layer_norm", "the variance is divided by n - 1"): lambda a, v: {"y": a["y"] * np.sqrt(1 - 1 / v.ct_y.shape[1])},
    ("layer_norm", "the mean over samples in place of their sum"): lambda a, v: {"ct_bias": a["ct_bias"] / len(v.ct_y)},
    ("rms_norm", "weights are left out on the way back"): lambda a, v: norm(
        v.arguments["x"], **v.settings, ct=v.ct_y, centred=False
    ),
    ("swiglu", "gate and up are swapped"): lambda a, v: {"ct_gate": a["ct_up"], "ct_up": a["ct_gate"]},
    ("geglu", "the other gelu"): lambda a, v: block(
        **v.arguments, ct=v.ct_y, activation=lambda z: (z / (1 + np.exp(-1.702 * z)), gelu(z)[1])
    ),
    ("residual", "the branch gets the whole cotangent"): lambda a, v: {"ct_branch": v.ct_y},
    ("dropout", "the divisor is missing on the way back"): lambda a, v: {"ct_x": v.ct_y * v.arguments["mask"]},
}


@pytest.mark.parametrize(("operation", "slip"), SLIPS, ids=lambda word: word.replace(" ", "-"))
def test_slips_are_refused_by_some_vector_in_every_wide_precision(every, operation, slip):
    for precision in ("float64", "float32"):
        refused = []
        for vector in every:
            if (vector.operation, vector.precision) == (operation, precision):
                right = answered(vector, TEXTBOOK[operation], "float64")
                right.setdefault("ct_bias", vector.ct_y[0])
                wrong = SLIPS[operation, slip](right, vector)
                told = {name: array for name, array in wrong.items() if name in vector.expected}
                refused.append(judge_operation(vector, told) if told else None)
        assert sum(mismatch is not None for mismatch in refused) >= 2


def test_an_answer_that_fits_no_question_is_refused(every):
    vector = every[0]
    with pytest.raises(ValueError, match="got nothing"):
        judge_operation(vector, {})
    with pytest.raises(ValueError, match="ct_z"):
        judge_operation(vector, {"ct_z": vector.ct_y})
    assert "shape" in judge_operation(vector, {"ct_x": vector.ct_y[:1]}).sentence
    assert judge_operation(vector, {"ct_x": vector.ct_y * np.nan}).at is not None
    with pytest.raises(ValueError, match="layer_norm"):
        list(read_operation_vectors("layernorm"))


# files


def test_every_recipe_has_its_vector_and_the_same_bytes_when_made_again(every):
    assert operation_names() == tuple(sorted(RECIPES))
    ids = [
        recipe.id(precision) for name in sorted(RECIPES) for recipe in recipes(name) for precision in recipe.precisions
    ]
    assert [vector.id for vector in every] == ids
    for name in ("residual", "dropout"):
        text = resources.files("functional_mlp.vectors").joinpath(f"data/operations/{name}.json").read_text()
        assert text_of(document(name)) == text
    for name, place, precision in (("layer_norm", 8, "float32"), ("geglu", 0, "float16"), ("rms_norm", 1, "float64")):
        recipe = list(recipes(name))[place]
        [written] = [v for v in read_operation_document(name)["vectors"] if v["id"] == recipe.id(precision)]
        assert json.dumps(made(recipe, precision)) == json.dumps(written)


def test_files_are_of_their_schema_and_hold_their_numbers_twice():
    for name in operation_names():
        file = read_operation_document(name)
        validate(file | {"vectors": file["vectors"][::3]})
        assert file["count"] == len(file["vectors"])
        for vector in file["vectors"][::5]:
            for result, array in vector["expected"].items():
                told = np.vectorize(float.fromhex, otypes=[float])(np.array(vector["expected_hex"][result]))
                assert np.array_equal(np.array(array), told)


@pytest.mark.parametrize(
    "change",
    [
        lambda vector: vector.pop("ct_y"),
        lambda vector: vector.update(unknown=1),
        lambda vector: vector["expected"].pop("ct_branch"),
        lambda vector: vector["allowed"]["y"][0].append(0.0),
        lambda vector: vector["allowed"]["y"][0].__setitem__(0, -1.0),
        lambda vector: vector["expected_hex"]["y"][0].__setitem__(0, "1.5"),
        lambda vector: vector.update(id="../etc/passwd"),
        lambda vector: vector["settings"].update(scale="1"),
    ],
)
def test_what_is_no_operation_vector_is_refused(change):
    file = copy.deepcopy(read_operation_document("residual"))
    change(file["vectors"][0])
    with pytest.raises(ValueError, match="residual"):
        validate(file)


def test_the_archive_has_them_and_their_schema():
    names = set(contents())
    assert {"schemas/operations.schema.json", "vectors/operations/layer_norm.json", "vectors/shapes.json"} <= names


# the bound on rounding


def test_a_running_error_is_above_what_sums_in_any_order_round():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(1, 200)).astype(np.float32), rng.normal(size=(200, 1)).astype(np.float32)
    exact = [Bounded(a.astype(np.float64), np.zeros(a.shape), "float32") for a in (x, w)]
    product = exact[0] @ exact[1]
    for _ in range(20):
        order = rng.permutation(200)
        total = np.float32(0)
        for term in (x[0, order] * w[order, 0]).tolist():
            total = np.float32(total + np.float32(term))
        assert abs(float(total) - product.value.item()) <= product.error.item()
