"""Judging answers by the vectors, and verifying programs: right ones pass, each kind of wrong one is told."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.accuracy.conformance import by_hand, passes
from functional_mlp import oracle, vectors
from functional_mlp.cli import app
from functional_mlp.oracle.documents import parse_answer
from functional_mlp.vectors import verifying
from functional_mlp.vectors.reading import find_document
from reference import plain
from reference.plain import EXACT, gradients
from tools.vectorgen.documents import referee_case

ORDINARY = "shapes/two-four-three-one/float64"
KINK = "kinks/relu-hidden/float64"
HOPELESS = "saturation/binary-cross-entropy-surest-wrong/float64"


def answer_to(vector):
    with np.errstate(all="ignore"):
        found = plain.solve(referee_case(vector.case))
    return oracle.Gradients(list(found.grads), found.loss, found.outputs, found.deltas, found.ct_inputs)


def test_the_numpy_reference_passes_every_vector():
    failed = [
        (vector.id, mismatch)
        for vector in vectors.read_vectors()
        if (mismatch := vectors.judge(vector, answer_to(vector))) is not None
    ]
    assert failed == []


def test_every_invalid_answer_is_refused():
    for vector in vectors.read_vectors(results=("invalid",)):
        assert vectors.judge(vector, vector.wrong) is not None, vector.id


def moved(gradients_, path, by):
    """Gradients with one entry of an array changed."""
    grads = [[None if leaf is None else np.array(leaf) for leaf in layer] for layer in gradients_.params]
    others = {name: getattr(gradients_, name) for name in ("loss", "outputs", "deltas", "ct_inputs")}
    others = {name: [*map(np.array, value)] if name == "deltas" else np.array(value) for name, value in others.items()}
    arrays = others | {"weights": grads[0][0], "bias": grads[1][1], "deltas": others["deltas"][1]}
    arrays[path][(0,) * arrays[path].ndim] += by
    return oracle.Gradients(grads, **others)


@pytest.mark.parametrize("path", ["weights", "bias", "loss", "outputs", "deltas", "ct_inputs"])
def test_an_error_beyond_what_is_allowed_is_told_wherever_it_is(path):
    vector = vectors.find(ORDINARY)
    assert vectors.judge(vector, moved(answer_to(vector), path, 0.0)) is None
    for by in (1e-12, -1e-12, np.nan, np.inf):
        mismatch = vectors.judge(vector, moved(answer_to(vector), path, by))
        assert path in mismatch.path
        assert mismatch.at == (0,) * len(mismatch.at)
        assert "allowed" in mismatch.sentence


def test_a_missing_array_and_another_shape_are_told():
    vector = vectors.find(ORDINARY)
    params = answer_to(vector).params
    assert "missing" in vectors.judge(vector, params[:1]).sentence
    assert "shape" in vectors.judge(vector, [(w.T, b) for w, b in params]).sentence
    assert vectors.judge(vectors.find("vjp/zeros/float64"), oracle.Gradients(params, loss=1.0)) is not None


def test_either_side_of_a_kink_is_right_but_not_a_mixture():
    vector = vectors.find(KINK)
    assert vector.result == "acceptable"
    assert {answer.comment for answer in vector.answers} == {
        "",
        "the derivative of the right side at 0",
        "the mean of both derivatives at 0",
    }
    sides = []
    for at_zero in (0.0, 1.0, 0.5):
        unit = {"name": "relu", "at_zero": at_zero}
        case = referee_case(vector.case)._replace(activations=[unit, "identity"])
        sides.append(plain.solve(case).grads)
        assert vectors.judge(vector, list(sides[-1])) is None
    mixed = [(sides[0][0][0], sides[1][0][1]), sides[0][1]]
    assert vectors.judge(vector, mixed) is not None


def test_a_loss_that_the_precision_cannot_know_is_not_asked_for():
    vector = vectors.find(HOPELESS)
    assert np.isinf(vector.answers[0].allowed["loss"])
    answer = answer_to(vector)
    assert vectors.judge(vector, answer._replace(loss=np.inf)) is None
    unfused = gradients(vector.case, EXACT, fused=False)
    assert vectors.judge(vector, list(unfused.grads)) is not None


def test_the_oracle_passes_the_steps_of_every_rule():
    for vector in vectors.read_vectors(["rules"], "float64"):
        steps = oracle.plant_update(vector.case, None, rule=vector.rule, epochs=vector.steps)
        update = oracle.Update([tuple(layer) for layer in steps], vector.rule.learning_rate)
        assert vectors.judge(vector, update) is None, vector.id
        one_more = oracle.plant_update(vector.case, None, rule=vector.rule, epochs=vector.steps + 1)
        assert vectors.judge(vector, update._replace(params=[tuple(layer) for layer in one_more])) is not None


def test_steps_are_judged_by_their_rate():
    vector = vectors.find("updates/sum/float64")
    rate = vector.learning_rate
    after = [
        tuple(before - rate * ct for before, ct in zip(layer, own, strict=True))
        for layer, own in zip(vector.case.params, answer_to(vector).params, strict=True)
    ]
    assert vectors.judge(vector, oracle.Update(after, rate)) is None
    ascended = [
        tuple(2 * before - new for before, new in zip(*pair, strict=True))
        for pair in zip(vector.case.params, after, strict=True)
    ]
    assert "params_after" in vectors.judge(vector, oracle.Update(ascended, rate)).path
    assert (vector.rule.name, vector.steps) == ("descent", 1)
    with pytest.raises(ValueError, match="got a step of rate 3"):
        vectors.judge(vector, oracle.Update(after, 3.0))
    with pytest.raises(ValueError, match="expected no update"):
        vectors.judge(vectors.find(ORDINARY), oracle.Update(after, 3.0))


def six_digits(value):
    return [six_digits(item) for item in value] if isinstance(value, list) else float(f"{value:.6g}")


def test_printed_digits_are_taken_as_such():
    vector = vectors.find(ORDINARY)
    params = [{"weights": six_digits(w.tolist()), "bias": six_digits(b.tolist())} for w, b in answer_to(vector).params]
    text = json.dumps({"format": "functional-mlp/gradients", "version": 1, "params": params})
    assert vectors.judge(vector, parse_answer(text.encode(), "six digits")) is None
    assert vectors.judge(vector, params) is not None


# reading


def test_precisions_hold_those_of_narrower_formats():
    names = ("float64", "float32", "float16")
    held = {name: {vector.precision for vector in vectors.read_vectors(["losses"], name)} for name in names}
    assert held["float64"] == {"float64", "float32", "bfloat16", "float16"}
    assert held["float32"] == {"float32", "bfloat16", "float16"}
    assert held["float16"] == {"float16"}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: vectors.read_group("loses"), "losses"),
        (lambda: vectors.find("losses/squared-error-sum-sun/float64"), "squared-error-sum-sum"),
        (lambda: vectors.find("nothing"), "group"),
        (lambda: list(vectors.read_vectors(precision="tf32")), "precision"),
        (lambda: list(vectors.read_vectors(results=("good",))), "result"),
    ],
)
def test_unknown_names_are_refused_in_a_sentence(call, words, as_a_person):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


# programs

GROUP = ["regulariser"]


def program(change=None):
    return [sys.executable, str(Path(__file__).parents[1] / "helpers" / "answering.py"), *([change] if change else [])]


@pytest.mark.slow
def test_a_right_program_passes():
    seen = []
    found = vectors.verify(program(), GROUP, stream=True, progress=lambda done, total: seen.append((done, total)))
    assert found.verdict is oracle.Verdict.CONSISTENT
    assert all(outcome.status == "right" for outcome in found.outcomes)
    assert seen[-1] == (len(found.outcomes),) * 2
    assert f"{len(found.outcomes)} right; release" in found.text()


@pytest.mark.slow
def test_a_wrong_program_is_told_with_hazard_and_mistake():
    found = vectors.verify(program("forgets_penalty"), GROUP, stream=True)
    assert found.verdict is oracle.Verdict.WRONG
    text = found.text()
    assert "MISTAKE l2-missing" in text
    assert "  Regulariser, " in text
    assert "functional-mlp vectors show --case regulariser/" in text
    document = json.loads(found.json())
    assert document["wrong"] == sum(one["status"] == "wrong" for one in document["vectors"])


@pytest.mark.slow
def test_what_is_not_supported_is_counted_and_a_crash_is_wrong():
    found = vectors.verify(program("refuses"), GROUP, stream=True)
    assert found.verdict is oracle.Verdict.UNDECIDED
    assert "times no penalty" in found.text()
    found = vectors.verify(program("crashes"), GROUP, "float16")
    assert [outcome.status for outcome in found.outcomes] == ["wrong"]
    assert "exit" in found.outcomes[0].sentence


@pytest.mark.slow
def test_a_program_that_hangs_is_not_asked_everything():
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    found = vectors.verify(command, GROUP, timeout=0.2)
    assert [outcome.fault for outcome in found.outcomes] == ["timeout"] * 3
    assert found.unasked == len(list(vectors.read_vectors(GROUP))) - 3
    assert f"{found.unasked} more were not asked for: it hung 3 times in a row" in found.text()


@pytest.mark.slow
def test_the_same_fault_is_said_once():
    found = vectors.verify([sys.executable, "-c", ""], GROUP, "float16")
    assert "1 times your program" in found.text()
    assert "What it does not survive" not in found.text()


@pytest.mark.slow
def test_a_float32_program_is_told_to_say_so(monkeypatch):
    monkeypatch.setattr(verifying, "NAMED", 0)  # to look for a mistake takes seconds
    text = vectors.verify(program("in_float32"), ["vjp"], stream=True).text()
    assert "If your program computes in float32: --precision float32." in text
    text = vectors.verify(program("in_float32"), ["vjp"], "float32", stream=True).text()
    assert "If your program" not in text


@pytest.mark.slow
def test_command_line(tmp_path, as_a_person):
    run = CliRunner().invoke
    listed = run(app, ["vectors", "list", "--group", "kinks", "--flag", "DeadUnits"])
    assert listed.exit_code == 0
    assert all("DeadUnits" in line for line in listed.stdout.splitlines())
    shown = run(app, ["vectors", "show", ORDINARY])
    assert json.loads(shown.stdout) == find_document(ORDINARY)
    case = tmp_path / "case.json"
    case.write_text(run(app, ["vectors", "show", "--case", ORDINARY]).stdout)
    assert oracle.read_case(case).name == ORDINARY
    assert run(app, ["vectors", "verify", "--stream", "--group", "regulariser", "--", *program()]).exit_code == 0
    options = ["--stream", "--json", "--group", "regulariser"]
    wrong = run(app, ["vectors", "verify", *options, "--", *program("off_by_one")])
    assert wrong.exit_code == 1
    document = json.loads(wrong.stdout)
    assert document["right"] == 0
    first = document["vectors"][0]
    assert (first["path"], first["at"]) == ("params[0].weights", [0, 0])
    assert abs(first["got"] - first["expected"]) == pytest.approx(1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--group", "kink"],
        ["list", "--flag", "Kinks"],
        ["list", "--result", "good"],
        ["show", "kinks/relu/float64"],
        ["verify", "--group", "kink", "--", "true"],
        ["verify", "--precision", "float", "--", "true"],
        ["verify", "--group", "mistakes", "--", "true"],
        ["list", "--precision", "half"],
        ["verify", "--timeout", "0", "--", "true"],
        ["verify", "--stream", "--jobs", "2", "--", "true"],
        ["verify", "--", "./no-such-program"],
    ],
)
@pytest.mark.slow
def test_bad_usage_is_one_sentence_and_exit_code_2(arguments, as_a_person):
    done = CliRunner().invoke(app, ["vectors", *arguments])
    assert done.exit_code == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


@pytest.mark.slow
def test_this_package_passes_in_its_own_precisions():
    # some of each; `make conformance` asks all, and other implementations
    some = [vector for vector in vectors.read_vectors(["shapes"]) if vector.id.startswith("shapes/one-layer/")]
    assert {vector.precision for vector in some} == {"float64", "float32", "bfloat16", "float16"}
    for vector in some:
        assert passes(vector, by_hand(vector.case)), vector.id
