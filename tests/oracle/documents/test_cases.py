"""Files of the oracle: what is written is read back bit for bit, by C too, and whatever strangers send is refused."""

import itertools
import json
import shutil
import subprocess
import time
import tracemalloc
from dataclasses import fields

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functional_mlp as fm
from functional_mlp import oracle
from functional_mlp._dtypes import DTYPES
from functional_mlp.files import FileError
from functional_mlp.losses import KINDS, REDUCTIONS
from functional_mlp.oracle.case import BIAS_LAYOUTS, WEIGHTS_LAYOUTS, Case
from functional_mlp.oracle.documents import codec as formats
from functional_mlp.oracle.documents import schema as files
from functional_mlp.oracle.documents.cases import read_case, write_case
from functional_mlp.oracle.documents.schema import read_document, write_document
from tests.helpers.documents import EXAMPLES, FORMATS, example, npz, tensors, text, valid_files
from tests.helpers.hostile import HOSTILE

LAST = {"binary_cross_entropy": "sigmoid", "categorical_cross_entropy": "softmax", "kl_divergence": "softmax"}
ACTIVATIONS = [
    "identity",
    "gelu",
    {"name": "relu", "at_zero": 1.0},
    {"name": "leaky_relu", "slope": 0.1, "at_zero": -0.5},
    {"name": "elu", "alpha": 5e-324},
]


def patterns(dtype, rng, shape):
    """Finite numbers of all magnitudes of a dtype: its bit patterns drawn evenly, zeros of both signs, the extremes."""
    dtype = DTYPES[dtype]
    limits = ml_dtypes.finfo(dtype)
    with np.errstate(invalid="ignore"):  # signalling NaN
        bits = np.frombuffer(rng.bytes(int(np.prod(shape)) * dtype.itemsize), dtype).astype(np.float64)
    extremes = np.array([0, -0.0, limits.max, limits.min, limits.tiny, limits.smallest_subnormal, 1 - limits.epsneg])
    chosen = rng.choice(np.concatenate([extremes, -extremes]).astype(np.float64), bits.shape)
    return np.where(np.isfinite(bits) & (rng.random(bits.shape) < 0.7), bits, chosen).reshape(shape)


def build(plan):
    """The case that a plan (plain data) describes."""
    rng = np.random.default_rng(plan["seed"])
    sizes, loss = plan["sizes"], plan["loss"]
    activations = [ACTIVATIONS[i % len(ACTIVATIONS)] for i in plan["activations"][: len(sizes) - 1]]
    if loss is not None and loss["kind"] in LAST:
        activations[-1] = LAST[loss["kind"]]

    def draw(*shape):
        return patterns(plan["dtype"], rng, shape)

    params = []
    for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        rows = fan_in + (plan["bias_layout"] != "separate")
        weights = draw(rows, fan_out) if plan["weights_layout"] == "in_out" else draw(fan_out, rows)
        with_bias = plan["bias_layout"] == "separate" and plan["biases"] >> i & 1
        params.append((weights, draw(fan_out) if with_bias else None))
    n, shape = plan["samples"], (plan["samples"], sizes[-1])
    end = {"ct_outputs": draw(*shape)} if loss is None else {"targets": draw(*shape)}
    if loss is not None and "divergence" in loss["kind"]:
        end["targets"] = np.abs(end["targets"])
    if loss is not None and plan["weighted"]:
        end["sample_weights"] = np.abs(draw(n)) + 0.0
        end["sample_weights"][0] = 1
    names = ("name", "dtype", "weights_layout", "bias_layout")
    return Case(
        network=fm.Network(sizes, activations),
        loss=None if loss is None else fm.Loss(**loss),
        params=params,
        inputs=draw(n, sizes[0]),
        **end,
        **{name: plan[name] for name in names},
    )


PLANS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32),
        "sizes": st.lists(st.integers(1, 4), min_size=2, max_size=5),
        "activations": st.lists(st.integers(0, 10), min_size=5, max_size=5),
        "loss": st.none()
        | st.fixed_dictionaries(
            {
                "kind": st.sampled_from(sorted(KINDS)),
                "over_samples": st.sampled_from(REDUCTIONS),
                "over_outputs": st.sampled_from(REDUCTIONS[:2]),
                "scale": st.floats(allow_nan=False, allow_infinity=False),
                "l2": st.floats(0, allow_infinity=False),
                "l2_on_bias": st.booleans(),
            }
        ),
        "samples": st.integers(1, 4),
        "weighted": st.booleans(),
        "biases": st.integers(0, 31),
        "name": st.text(max_size=20).filter(str.isprintable),
        "dtype": st.sampled_from(sorted(DTYPES)),
        "weights_layout": st.sampled_from(WEIGHTS_LAYOUTS),
        "bias_layout": st.sampled_from(BIAS_LAYOUTS),
    }
)


def bits(value):
    """What two equal values share: for arrays shape and bytes, which tell -0.0 from 0.0."""
    if isinstance(value, tuple):
        return tuple(map(bits, value))
    return (value.shape, value.dtype.str, value.tobytes()) if isinstance(value, np.ndarray) else repr(value)


def assert_identical(one, other):
    for field in fields(Case):
        assert bits(getattr(one, field.name)) == bits(getattr(other, field.name)), field.name


@given(plan=PLANS)
@settings(max_examples=60)
@pytest.mark.slow
def test_a_case_is_the_same_bit_for_bit_in_every_format(tmp_path_factory, plan):
    folder = tmp_path_factory.mktemp("cases")
    case = build(plan)
    for form in FORMATS:
        if form == "npz" and case.dtype == "bfloat16":
            continue
        write_case(folder / f"case.{form}", case)
        again = read_case(folder / f"case.{form}")
        assert_identical(case, again)
        write_case(folder / "again.json", again)  # from each format into another
        assert_identical(case, read_case(folder / "again.json"))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("dtype", sorted(DTYPES))
@pytest.mark.parametrize("kind", [*sorted(KINDS), None])
def test_every_kind_dtype_and_format(tmp_path, says, form, dtype, kind):
    plan = {"seed": 3, "sizes": [3, 2, 4], "activations": [0, 1], "samples": 3, "weighted": True, "biases": 1}
    plan |= {"loss": None if kind is None else {"kind": kind}, "name": "", "dtype": dtype}
    case = build(plan | {"weights_layout": "out_in", "bias_layout": "separate"})
    path = tmp_path / f"case.{form}"
    if (form, dtype) == ("npz", "bfloat16"):
        says(FileError, [str(path), "bfloat16", ".safetensors"], write_case, path, case)
        return
    write_case(path, case)
    assert_identical(case, read_case(path))


def test_a_number_in_json_is_the_nearest_float64_however_it_is_spelled(tmp_path):
    spelled = [
        "-0",
        "9007199254740993",
        "9223372036854776000",
        "147573952589676410000",
        "1e23",
        "4.9e-324",
        "1E+2",
        "3",
    ]
    path = tmp_path / "case.json"
    inputs = f"[{', '.join(f'[{a}, 0]' for a in spelled)}]"
    weights = f"{[1] * len(spelled)}"
    path.write_text(
        json.dumps(example(inputs="INPUTS", targets=[[0]] * len(spelled), sample_weights="WEIGHTS"))
        .replace('"INPUTS"', inputs)
        .replace('"WEIGHTS"', weights)
    )
    assert bits(read_case(path).inputs[:, 0].copy()) == bits(np.array([float(number) for number in spelled]))


def test_what_is_taken_as_it_comes(tmp_path, monkeypatch):
    path = tmp_path / "case.json"
    path.write_bytes(b"\xef\xbb\xbf" + text())  # the mark that Windows editors put before UTF-8
    case = read_case(path)
    (tmp_path / "link.json").symlink_to(path)
    assert_identical(case, read_case(tmp_path / "link.json"))
    (tmp_path / "case.data").write_bytes(npz(inputs=np.asfortranarray(case.inputs.astype(">f8"))))
    assert_identical(case, read_case(tmp_path / "case.data"))
    (tmp_path / "integers.npz").write_bytes(npz(targets=np.array([[0], [1], [0], [1]], np.uint8)))
    assert read_case(tmp_path / "integers.npz").targets.tolist() == [[0.0], [1.0], [0.0], [1.0]]
    with path.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert_identical(case, read_case("-"))
    assert_identical(case, read_case(path, max_bytes=path.stat().st_size))


def test_gradients_may_hold_nan_and_infinities_for_the_oracle_to_judge(tmp_path):
    path = tmp_path / "gradients.json"
    path.write_text(json.dumps(EXAMPLES["gradients"] | {"loss": float("nan"), "outputs": [[float("-inf")], [1e999]]}))
    document = read_document(path, "gradients")
    assert np.isnan(document["loss"])
    assert document["outputs"] == [[-np.inf], [np.inf]]


def test_the_sentence_names_the_place_in_the_declared_layout(tmp_path, says):
    path = tmp_path / "case.json"
    weights = [[[0.5, 0.25, 1.0], [1.0, 1.0, 0.1000000002]], [[1.0, 0.0, 1.0]]]
    layers = [{"weights": matrix} for matrix in weights]
    network = {"sizes": [2, 2, 1], "activations": "tanh"}
    declared = {"dtype": "float32", "weights_layout": "out_in", "bias_layout": "last_row"}
    path.write_bytes(text(params=layers, network=network, **declared))
    says(FileError, ["params[0].weights[1, 2]", "0.1000000002"], read_case, path)


# bad input


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_from_a_stranger_is_refused_in_one_sentence(name, tmp_path, monkeypatch, as_a_person):
    monkeypatch.chdir(tmp_path)
    hostile = HOSTILE[name]
    path = tmp_path / hostile.file
    hostile.content(path) if callable(hostile.content) else path.write_bytes(hostile.content)
    start = time.monotonic()
    with pytest.raises(FileError) as caught:
        read_case(path, hostile.max_bytes)
    seconds = time.monotonic() - start
    sentence = str(caught.value)
    assert sentence.startswith(str(path))
    assert sentence.isprintable()
    assert len(sentence) < 400
    for word in hostile.words:
        assert word in sentence.removeprefix(str(path)), f"{word!r} not in {sentence!r}"
    assert seconds < 5
    assert not (tmp_path / "unpickled").exists()


def test_there_are_enough_of_them():
    assert len(HOSTILE) >= 60
    assert {"case.json", "case.npz", "case.safetensors"} == {hostile.file for hostile in HOSTILE.values()}


CLAIMS = [
    name
    for name in HOSTILE
    if any(word in name for word in ("bomb", "billion", "huge", "more entries", "terabyte", "exabyte", "zero"))
]


@pytest.mark.parametrize("name", CLAIMS)
def test_what_a_file_claims_takes_no_memory(name, tmp_path):
    hostile = HOSTILE[name]
    path = tmp_path / hostile.file
    hostile.content(path) if callable(hostile.content) else path.write_bytes(hostile.content)
    size = path.stat().st_size if path.stat().st_size < hostile.max_bytes else 0
    files.validator("case")
    tracemalloc.start()
    try:
        with pytest.raises(FileError):
            read_case(path, hostile.max_bytes)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 25 * size + 2**21


@pytest.mark.parametrize(
    "content",
    [
        b"[]," * 10**5,
        b'{"":1},' * 10**4,
        (b'{"":' * 500 + b"1" + b"}" * 500 + b",") * 20,
        b"1.5," * 10**5,
        b'"ab",' * 10**5,
    ],
    ids=["lists", "objects", "objects in each other", "numbers", "texts"],
)
def test_memory_for_json_is_bounded_by_the_limit(content, tmp_path):
    path = tmp_path / "case.json"
    path.write_bytes(text()[:-1] + b', "x": [' + content[:-1] + b"]}")
    tracemalloc.start()
    try:
        with pytest.raises(FileError):
            read_case(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < formats.JSON_MEMORY * path.stat().st_size


def test_a_long_or_strange_name_of_a_file_stays_one_sentence(tmp_path, as_a_person):
    for name in ("x" * 5000, "a\nb\x1b[31m", "a\0b", "\udcff"):
        with pytest.raises(FileError) as caught:
            read_case(tmp_path / name)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 400


def test_what_cannot_be_read_back_is_not_written(tmp_path, says):
    case = Case(fm.Network((2, 2), "tanh"), None, [np.eye(2)], [[1.0, 2.0]], ct_outputs=[[1.0, 1.0]])
    path = tmp_path / "case.json"
    says(FileError, ["case.txt", ".json", "'.txt'"], write_case, tmp_path / "case.txt", case)
    says(FileError, ["no suffix"], write_case, tmp_path / "case", case)
    says(FileError, ["nowhere", "No such file"], write_case, tmp_path / "nowhere" / "case.json", case)
    (tmp_path / "folder.json").mkdir()
    says(FileError, ["folder.json", "regular file"], write_case, tmp_path / "folder.json", case)
    (tmp_path / "folder.json").rmdir()
    says(FileError, ["finite"], write_document, path, EXAMPLES["gradients"] | {"loss": float("inf")})
    says(FileError, ["unknown field 'x'"], write_document, path, EXAMPLES["gradients"] | {"x": 1})
    cube = fm.Activation("cube", lambda z: z**3, lambda z, a, ct_a: 3 * z**2 * ct_a)
    other = fm.Activation("tanh", fm.activations.tanh().value_fn, lambda z, a, ct_a: ct_a)
    for own in (cube, other):
        custom = Case(fm.Network((2, 2), own), None, case.params, case.inputs, ct_outputs=case.ct_outputs)
        says(FileError, [str(path), own.name, "built-in"], write_case, path, custom)
    deep = fm.Network((1,) * 1501, "tanh")
    layers = [np.ones((1, 1))] * 1500
    long = Case(deep, None, layers, [[1.0]], ct_outputs=[[1.0]])
    says(FileError, ["network", "1000"], write_case, path, long)
    assert not list(tmp_path.iterdir())


# other readers


READER = r"""
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Prints every number that stands between the brackets of the named fields, as the bits of a double. */
int main(int argc, char **argv) {
  static char text[1 << 20];
  text[fread(text, 1, sizeof text - 1, stdin)] = 0;
  for (int i = 1; i < argc; i++) {
    char key[64];
    snprintf(key, sizeof key, "\"%s\": [", argv[i]);
    for (char *p = text; (p = strstr(p, key)) != NULL;) {
      int depth = 1;
      for (p += strlen(key); depth > 0;) {
        if (*p == '-' || isdigit((unsigned char)*p)) printf("%a\n", strtod(p, &p));
        else depth += (*p == '[') - (*p == ']'), p++;
      }
    }
  }
  return 0;
}
"""


@pytest.mark.slow
def test_a_c_program_of_a_few_lines_reads_a_case(tmp_path, rng):
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    (tmp_path / "reader.c").write_text(READER)
    subprocess.run([compiler, "-O1", "-o", "reader", "reader.c"], cwd=tmp_path, check=True)
    case = Case(
        network=fm.Network((3, 4, 2), "tanh"),
        loss=fm.Loss("squared_error"),
        params=[(patterns("float64", rng, (3, 4)), patterns("float64", rng, (4,))), patterns("float64", rng, (4, 2))],
        inputs=patterns("float64", rng, (50, 3)),
        targets=rng.normal(size=(50, 2)),
    )
    write_case(tmp_path / "case.json", case)
    command = [tmp_path / "reader", "weights", "bias", "inputs", "targets"]
    with (tmp_path / "case.json").open() as stdin:
        printed = subprocess.run(command, stdin=stdin, capture_output=True, text=True, check=True).stdout
    read = np.array([float.fromhex(line) for line in printed.split()])
    first, second = case.params
    leaves = (first.weights, second.weights, first.bias, case.inputs, case.targets)
    assert read.tobytes() == np.concatenate([leaf.ravel() for leaf in leaves]).tobytes()


def test_the_files_to_be_mutated_are_sound(tmp_path):
    for name, content in valid_files().items():
        (tmp_path / name).write_bytes(content)
    assert_identical(read_case(tmp_path / "full.json"), read_case(tmp_path / "stored.npz"))
    assert_identical(read_case(tmp_path / "full.json"), read_case(tmp_path / "full.safetensors"))
    assert tensors() == valid_files()["full.safetensors"]


def test_arguments_that_are_something_else_are_one_sentence(tmp_path, says):
    case = fm.oracle.draw_case(fm.Network((2, 1), "tanh"), fm.Loss("squared_error"))
    path = tmp_path / "case.json"
    says(TypeError, ["path", "got Case"], write_case, case, path)
    says(TypeError, ["oracle.Case", "got list", "write_case(path, case)"], write_case, path, [case])
    says(TypeError, ["path", "got Case"], read_case, case)
    assert not path.exists()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "layout",
    [
        {"weights": "out_in", "bias": "column", "samples": "columns"},
        {"bias": "row", "targets": "labels"},
        {"weights": "out_in", "bias": "first_row", "samples": "columns", "targets": "labels"},
    ],
    ids=str,
)
def test_a_case_in_another_layout_is_written_in_it_and_read_back(layout, form, tmp_path):
    network, loss = fm.Network((2, 4, 3), ("tanh", "softmax")), fm.Loss("categorical_cross_entropy")
    case = oracle.draw_case(network, loss, layout=layout)
    path = tmp_path / f"case.{form}"
    oracle.write_case(path, case)
    assert oracle.read_case(path) == case
    if form == "json":
        document = json.loads(path.read_text())
        assert (np.ndim(document["targets"]) == 1) == (layout.get("targets") == "labels")
        assert np.shape(document["inputs"]) == ((2, 5) if layout.get("samples") == "columns" else (5, 2))


def test_a_bias_of_one_unit_may_be_a_number_in_a_file(tmp_path):
    path = tmp_path / "case.json"
    oracle.write_case(path, oracle.draw_case(fm.Network((2, 1), "tanh"), None))
    document = json.loads(path.read_text())
    [bias] = document["params"][0]["bias"]
    path.write_text(json.dumps(document | {"params": [document["params"][0] | {"bias": bias}]}))
    assert oracle.read_case(path).params[0].bias.tolist() == [bias]


@pytest.mark.parametrize("form", FORMATS)
def test_options_of_a_loss_are_written_where_they_are_set(tmp_path, form):
    settings = {"class_weights": (1.0, 0.5), "label_smoothing": 0.125, "ignore_index": -100, "l1": 0.25}
    losses = [
        fm.Loss("softmax_cross_entropy", "batch_mean", **settings),
        fm.Loss("sigmoid_cross_entropy", pos_weight=(2.0, 3.0)),
        fm.Loss("sigmoid_focal", gamma=0.5, alpha=0.25),
    ]
    for number, loss in enumerate(losses):
        case = Case(fm.Network((1, 2), "identity"), loss, [([[1.0, 2.0]], None)], [[1.0]], [[1.0, 0.0]])
        write_case(tmp_path / f"{number}.{form}", case)
        assert read_case(tmp_path / f"{number}.{form}").loss == loss
    if form == "json":
        assert "alpha" not in (tmp_path / "0.json").read_text()


def test_a_loss_by_the_name_that_others_give_it_is_answered_with_its_own(tmp_path, says):
    path = tmp_path / "case.json"
    path.write_bytes(text(loss={"kind": "mse"}))
    says(FileError, ["case.json", "loss.kind", "'squared_error'", 'over_samples="mean"'], read_case, path)
