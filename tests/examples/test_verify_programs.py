"""The consumers of vectors in C and JavaScript: what they find right and wrong, and files that they refuse."""

import copy
import dataclasses
import json
import re
import subprocess

import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp import oracle, vectors
from functional_mlp.oracle.documents import case_of, document_of, encode
from functional_mlp.update_rules import update_rule
from reference import exact
from reference.training import certified_training
from tests.examples.consoles import EXAMPLES, ROOT, holds, needed, shown_in
from tools.vectorgen.documents import referee_case
from tools.vectorgen.steps import FORMULAS, rule_document

pytestmark = pytest.mark.slow

LOSS = fm.Loss("binary_cross_entropy", "mean", l2=0.5)
CASE = oracle.draw_case(fm.Network((2, 3, 2), ("tanh", "sigmoid")), LOSS, samples=3, seed=1, name="tiny-001")


VECTORS = sorted((ROOT / "functional_mlp" / "vectors" / "data").glob("*.json"))
SANITIZED = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
FLOAT32 = "float32"
FLAGS = {
    "c": {FLOAT32: ("-DREAL=float",), "hostile": SANITIZED},
    "javascript": {FLOAT32: ("--float32",), "hostile": ()},
}


@pytest.fixture(scope="module", params=["c", "javascript"])
def start(request, tmp_path_factory):
    """start(kind): the command of a consumer; "float32" and "hostile", which is compiled with sanitizers, are kinds."""
    if missing := needed({"c": "gcc", "javascript": "node"}[request.param]):
        pytest.skip(missing)
    folder, programs = tmp_path_factory.mktemp("verify"), {}

    def of_c(*flags):
        if flags not in programs:
            programs[flags] = str(folder / f"verify{len(programs)}")
            strict = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", *flags]
            source = str(EXAMPLES / "c" / "verify.c")
            subprocess.run(["gcc", *strict, source, "-o", programs[flags], "-lm"], check=True)
        return [programs[flags]]

    def of_javascript(*flags):
        return ["node", str(EXAMPLES / "javascript" / "verify.mjs"), *flags]

    language = {"c": of_c, "javascript": of_javascript}[request.param]
    return lambda kind="": language(*FLAGS[request.param].get(kind, ()))


@pytest.fixture
def verify(start, tmp_path):
    """verify(group, kind): what the consumer says of a group."""

    def run(group, kind=""):
        path = tmp_path / "group.json"
        path.write_text(group if isinstance(group, str) else json.dumps(group), encoding="ascii")
        return subprocess.run([*start(kind), str(path)], capture_output=True, text=True, timeout=20, check=False)

    return run


def each(shown, value):
    return [each(shown, item) for item in value] if isinstance(value, list) else shown(value)


def fields_of(solution, shown):
    """The fields of a gradients file, with `shown` of every number."""
    fields = {
        "loss": solution.loss.tolist(),
        "params": [{"weights": w.tolist(), "bias": b.tolist()} for w, b in solution.grads],
        "outputs": solution.outputs.tolist(),
        "deltas": [delta.tolist() for delta in solution.deltas],
        "ct_inputs": solution.ct_inputs.tolist(),
    }
    listed = {name: each(shown, value) for name, value in fields.items() if name != "params"}
    params = [{name: each(shown, value) for name, value in layer.items()} for layer in fields["params"]]
    return listed | {"params": params}


def vector_of(case):
    document = json.loads(encode(document_of(case), ".json", case.dtype, case.name))
    layers = [(layer["weights"], layer["bias"]) for layer in document["params"]]
    data = {name: document[name] for name in ("inputs", "loss", "targets")}
    solution = exact.solve(exact.Case(**document["network"], params=layers, **data))
    vector = {"id": case.name, "comment": "A comment.", "precision": case.dtype, "result": "valid", "case": document}
    vector |= {"expected": fields_of(solution, float), "expected_hex": fields_of(solution, float.hex)}
    return vector | {"allowed": fields_of(solution, lambda _: 1e-13)}


def group_of(*vectors):
    return {"format": "functional-mlp/vectors", "version": 1, "count": len(vectors), "vectors": list(vectors)}


@pytest.fixture(scope="module")
def right():
    return vector_of(CASE)


@pytest.fixture
def vector(right):
    return copy.deepcopy(right)


ONE = "1 vectors of 1 files: "


def test_right_vector(verify, vector):
    done = verify(group_of(vector, vector))
    assert done.stdout == ("2 vectors of 1 files: 2 right, 0 wrong, 0 of another precision and 0 updates skipped\n")
    assert done.returncode == 0


ENTRIES = {
    "loss": lambda document: (document, "loss"),
    "params[0].weights[1][2]": lambda document: (document["params"][0]["weights"][1], 2),
    "params[1].bias[0]": lambda document: (document["params"][1]["bias"], 0),
    "outputs[2][1]": lambda document: (document["outputs"][2], 1),
    "deltas[0][2][0]": lambda document: (document["deltas"][0][2], 0),
    "ct_inputs[1][1]": lambda document: (document["ct_inputs"][1], 1),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_any_entry_that_is_off_is_told_in_a_line(verify, vector, entry):
    for field, shift in (
        ("expected", lambda x: x + 2e-13),
        ("expected_hex", lambda x: (float.fromhex(x) + 2e-13).hex()),
    ):
        whole, key = ENTRIES[entry](vector[field])
        whole[key] = shift(whole[key])
    done = verify(group_of(vector))
    line, count = done.stdout.splitlines()
    assert line.startswith(f"tiny-001: {entry}: got ")
    assert line.endswith("allowed 1e-13: A comment.")
    assert count.startswith(f"{ONE}0 right, 1 wrong")
    assert done.returncode == 1


@pytest.mark.parametrize("entry", ENTRIES)
def test_hexadecimal_that_is_another_number(verify, vector, entry):
    whole, key = ENTRIES[entry](vector["expected_hex"])
    whole[key] = other = np.nextafter(float.fromhex(whole[key]), np.inf).hex()
    done = verify(group_of(vector))
    line, _ = done.stdout.splitlines()
    assert line.startswith("tiny-001: ")
    assert line.endswith(f" {other}: A comment.")
    assert done.returncode == 1


def test_no_bound_on_the_loss(verify, vector):
    vector["allowed"]["loss"] = None
    vector["expected"]["loss"], vector["expected_hex"]["loss"] = 7.0, "0x1.cp+2"
    assert verify(group_of(vector)).returncode == 0


def after_step(vector, rate):
    """The vector with a step in it."""
    case, params = vector["case"]["params"], copy.deepcopy(vector["expected"]["params"])
    for layer, before in zip(params, case, strict=True):
        for name in layer:
            layer[name] = (np.array(before[name]) - rate * np.array(layer[name])).tolist()
    fields = {"expected": params, "expected_hex": each_number(float.hex, params)}
    fields["allowed"] = vector["allowed"]["params"]
    return (
        vector | {"learning_rate": rate} | {name: vector[name] | {"params_after": own} for name, own in fields.items()}
    )


def each_number(shown, value):
    if isinstance(value, dict):
        return {name: each_number(shown, item) for name, item in value.items()}
    return [each_number(shown, item) for item in value] if isinstance(value, list) else shown(value)


def test_parameters_after_a_step_are_compared(verify, vector):
    assert verify(group_of(after_step(vector, 0.25))).returncode == 0
    done = verify(group_of(after_step(vector, 0.25) | {"learning_rate": 0.5}))
    assert done.returncode == 1
    assert done.stdout.startswith("tiny-001: params_after[")


def other_side(vector):
    other = {field: copy.deepcopy(vector[field]) for field in ("expected", "expected_hex", "allowed")}
    other["expected"]["params"][0]["bias"][0], other["expected_hex"]["params"][0]["bias"][0] = 7.0, "0x1.cp+2"
    return other | {"comment": "the other side"}


def test_any_alternative_is_right_as_a_whole(verify, vector):
    right = {field: vector[field] for field in ("expected", "expected_hex", "allowed")}
    acceptable = vector | other_side(vector) | {"comment": "A comment.", "result": "acceptable"}
    assert verify(group_of(acceptable | {"alternatives": [other_side(vector), right]})).returncode == 0
    half = copy.deepcopy(right)
    half["expected"]["outputs"][0][0], half["expected_hex"]["outputs"][0][0] = 7.0, "0x1.cp+2"
    done = verify(group_of(acceptable | {"alternatives": [half]}))
    assert done.returncode == 1
    assert done.stdout.startswith("tiny-001: params[0].bias[0]: got ")


def answering(vector, params, **fields):
    answer = {"format": "functional-mlp/gradients", "version": 1, "params": params} | fields
    return vector | {"result": "invalid", "answer": answer}


def test_wrong_answers_must_not_be_found_right(verify, vector):
    params = copy.deepcopy(vector["expected"]["params"])
    done = verify(group_of(answering(vector, params)))
    assert done.stdout.startswith("tiny-001: its wrong answer ")
    assert done.returncode == 1
    params[1]["weights"][2][1] += 2e-13
    assert verify(group_of(answering(vector, params))).returncode == 0
    turned = [{"weights": np.transpose(layer["weights"]).tolist(), "bias": layer["bias"]} for layer in params]
    assert verify(group_of(answering(vector, turned))).returncode == 0


def test_updates_are_skipped(verify, vector):
    update = answering(vector, vector["expected"]["params"], format="functional-mlp/update", learning_rate=0.1)
    done = verify(group_of(update))
    assert done.stdout == f"{ONE}0 right, 0 wrong, 0 of another precision and 1 updates skipped\n"
    assert done.returncode == 0


def trained(vector, rule, steps=2):
    """The vector with some steps of a rule in it; `rule` as in `update_rules.RULES`."""
    own = dataclasses.replace(update_rule(rule, 0.25), weight_decay=0.125)
    case = case_of(vector["case"], "tiny")
    *_, after = certified_training(referee_case(case), FORMULAS[type(own)], dataclasses.asdict(own), steps)
    layers = [{part: after[f"{i}.{part}"].tolist() for part in ("weights", "bias")} for i in range(len(case.params))]
    update = {"rule": rule_document(own), "steps": steps, "expected": layers}
    update |= {"expected_hex": each_number(float.hex, layers), "allowed": each_number(lambda _: 1e-12, layers)}
    return vector | {"update": update}


@pytest.mark.parametrize("rule", ["descent", "momentum", "nesterov", "adam", "adamw", "rmsprop"])
def test_steps_of_a_rule_are_compared_or_said_to_be_unsupported(start, verify, vector, rule):
    after = trained(vector, rule)
    done = verify(group_of(after))
    assert done.returncode == 0
    if rule == "rmsprop" and start()[0] != "node":
        assert done.stdout == (
            f"{ONE}0 right, 0 wrong, 0 of another precision and 0 updates skipped, 1 not supported\n"
            "not supported, 1 times: no update rule rmsprop\n"
        )
        return
    assert done.stdout.startswith(f"{ONE}1 right, ")
    after["update"]["steps"] = 3
    done = verify(group_of(after))
    assert done.returncode == 1
    assert done.stdout.startswith("tiny-001: params_after[")


def test_hexadecimals_of_steps_are_compared(verify, vector):
    after = trained(vector, "momentum")
    bias = after["update"]["expected_hex"][1]["bias"]
    bias[0] = other = np.nextafter(float.fromhex(bias[0]), np.inf).hex()
    done = verify(group_of(after))
    assert done.returncode == 1
    assert other in done.stdout


def test_what_is_not_supported_is_counted_by_reason(verify, vector):
    focal = copy.deepcopy(vector)
    focal["case"]["loss"] = {"kind": "softmax_focal"}
    strange = copy.deepcopy(vector)
    strange["case"]["network"]["activations"] = ["cube", "sigmoid"]
    done = verify(group_of(vector, focal, strange, focal))
    count, *reasons = done.stdout.splitlines()
    assert count.startswith("4 vectors of 1 files: 1 right, 0 wrong")
    assert count.endswith(", 3 not supported")
    assert reasons == [
        "not supported, 2 times: no loss softmax_focal",
        "not supported, 1 times: no activation cube",
    ]
    assert done.returncode == 0


def test_float_program_skips_float64(verify, vector):
    done = verify(group_of(vector), FLOAT32)
    assert done.stdout == f"{ONE}0 right, 0 wrong, 1 of another precision and 0 updates skipped\n"


def test_unknown_case_is_not_right(verify, vector):
    vector["case"]["network"]["activations"] = "cube"
    done = verify(group_of(vector))
    assert "0 right" in done.stdout
    assert "not supported" in done.stdout


def without(document, *path):
    whole = copy.deepcopy(document)
    place = whole
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return whole


SPOILT = {
    "no JSON": lambda vector: "{",
    "nothing": lambda vector: "",
    "another format": lambda vector: group_of(vector) | {"format": "functional-mlp/case"},
    "another version": lambda vector: group_of(vector) | {"version": 2},
    "cut": lambda vector: group_of(vector) | {"count": 2},
    "two groups": lambda vector: json.dumps(group_of(vector)) * 2,
    "no vector": lambda vector: group_of(7),
    "no vectors": lambda vector: group_of(),
    "another result": lambda vector: group_of(vector | {"result": "perhaps"}),
    "invalid, no answer": lambda vector: group_of(vector | {"result": "invalid"}),
    "a number for a list": lambda vector: group_of(vector | {"expected": vector["expected"] | {"outputs": 7}}),
    "ragged": lambda vector: group_of(without(vector, "allowed", "outputs", 0, 0)),
    "short": lambda vector: group_of(without(without(vector, "expected", "deltas", 1), "expected_hex", "deltas", 1)),
} | {
    f"no {field}": lambda vector, field=field: group_of(without(vector, field))
    for field in ("id", "precision", "result", "case", "expected", "expected_hex", "allowed")
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_what_is_no_group_is_refused(verify, vector, spoil):
    done = verify(spoil(vector), "hostile")
    assert done.returncode == 2, done.stdout
    assert done.stderr.count("\n") == 1
    assert "group.json: " in done.stderr


# the published vectors


@pytest.mark.parametrize("kind", ["", FLOAT32])
def test_every_published_vector_is_right(start, kind):
    done = subprocess.run([*start(kind), *map(str, VECTORS)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    count, *reasons = done.stdout.splitlines()
    assert " right, 0 wrong, " in count
    skipped = sum(int(re.fullmatch(r"not supported, (\d+) times: no .+", line)[1]) for line in reasons)
    assert count.endswith(f", {skipped} not supported")
    assert skipped < int(count.split()[0]) / 5
    if not kind and start()[0] != "node":
        assert count in (ROOT / "docs" / "reference" / "vectors.md").read_text(encoding="utf-8")


def test_the_page_shows_what_verify_prints_of_a_mistaken_program(command):
    page = ROOT / "docs" / "reference" / "vectors.md"
    [shown] = [
        shown
        for shown in shown_in(page.read_text(encoding="utf-8"))
        if shown.command.startswith("functional-mlp vectors verify")
    ]
    printed = vectors.verify(command("c", mistaken=True), stream=True).text()
    assert holds(printed, shown.output)
