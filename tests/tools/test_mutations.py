"""The mistakes put into the NumPy reference: all of them, each the mistake of its name, and what the vectors say."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from functional_mlp.oracle.case import by_path
from functional_mlp.oracle.mistakes import MISTAKES, applies, begin, plant, plant_together, plant_update
from functional_mlp.oracle.truth import float64_on_cpu
from functional_mlp.vectors import Answer, Vector
from reference import plain
from tests.helpers.mistaken import CASES, case_of
from tools import mutate
from tools.conformance.certified import referee_case
from tools.mutate import MUTATIONS, REFERENCE, asked, enough, failed, question_of, run, written
from tools.mutations.mutation import Mutation, Patch, Program, patched, program_of, source, step

BY_NAME = {mutation.name: mutation for mutation in MUTATIONS}
RATE = 0.3
FUSED = {"softmax", "mean", "soft targets", "saturated"}  # output layers that the reference goes past with the loss
KEEPS_FUSED = dict.fromkeys(FUSED, "the mutation is in the derivative, which a fused output layer does not use")
OF_Z = "the reference's derivatives of relu and elu are functions of z"
# where a mutation makes its mistake and `plant` makes it otherwise: by mutation or mistake, the cases and the reason
DIFFERS = {
    "output-derivative-missing": KEEPS_FUSED,
    "derivative-of-wrong-variable": KEEPS_FUSED,
    "derivative-of-other-activation": KEEPS_FUSED,
    "sigmoid-derivative-doubled": KEEPS_FUSED,
    "softmax-jacobian-diagonal": KEEPS_FUSED,
    "derivative-of-neighbour-layer, next-output": {"mean": OF_Z, "logits": OF_Z},
    "derivative-of-neighbour-layer, previous-output": {"mean": OF_Z, "logits": OF_Z},
    "derivative-of-wrong-variable, z-for-a": {"logits": OF_Z, "probabilities": "another formula for softmax"},
    "softmax-jacobian-twice": {"probabilities": "made only where the loss has the Jacobian in it already"},
    "softmax-missing": {"soft targets": "p Σt − t is fused there, for targets that do not sum to 1"},
    "finite-difference": {"saturated": "the differences are of the loss of probabilities"},
}
# how near the two are, as a share of the largest entry of an array, where it is not 1e-9
RELATIVE = {
    "float32-inside-float64": 1e-6,
    "finite-difference": 1e-6,
    "saturated-gradient-clipped": 1e-6,  # 1 − p by subtraction
}
LAYERS = {"layer-never-computed": 0, "float32-inside-float64": 0, "layer-sign-flipped, gradient": 0}


def arrays(solution) -> dict[str, np.ndarray]:
    paths = {"outputs": solution.outputs, "ct_inputs": solution.ct_inputs}
    paths |= {} if solution.loss is None else {"loss": solution.loss}
    for i, (delta, (weights, bias)) in enumerate(zip(solution.deltas, solution.grads, strict=True)):
        paths |= {f"deltas[{i}]": delta, f"params[{i}].weights": weights}
        paths |= {} if bias is None else {f"params[{i}].bias": bias}
    return {path: np.asarray(array, np.float64) for path, array in paths.items()}


def near(got: np.ndarray, expected: np.ndarray, relative: float) -> bool:
    within = relative * np.abs(expected).max() + 1e-12  # what a (1 − a) loses in saturated units
    return bool((np.abs(got - expected) <= within).all())


def warmed(program: Program, mutation: Mutation, case) -> Program:
    """The program after the call that a mistake of memory needs."""
    if mutation.mistake == "accumulated":
        program.solve(referee_case(case))
    if mutation.mistake == "stale-activations":
        with float64_on_cpu():
            another = np.asarray(begin(case).another_batch)
        program.solve(referee_case(case)._replace(inputs=another))
    return program


def test_every_mistake_and_variant_of_the_catalogue_has_a_mutation() -> None:
    catalogue = [(mistake.id, variant) for mistake in MISTAKES.values() for variant in mistake.variants or ("",)]
    assert sorted((mutation.mistake, mutation.variant) for mutation in MUTATIONS) == sorted(catalogue)


def places(mutation: Mutation) -> Iterator[str]:
    """The cases in which a mutation is just what `plant` does."""
    other = DIFFERS.get(mutation.mistake, {}) | DIFFERS.get(mutation.name, {})
    layer, variant = LAYERS.get(mutation.name), mutation.variant or None
    fitting = (name for name in CASES if applies(case_of(name), mutation.mistake, layer, variant=variant))
    return (name for name in fitting if name not in other)


@pytest.mark.parametrize("name", [name for name, one in BY_NAME.items() if MISTAKES[one.mistake].scope != "update"])
def test_a_mutation_is_the_mistake_of_its_name(name: str) -> None:
    mutation, changes = BY_NAME[name], False
    program = program_of(mutation)
    for place in places(mutation):
        case = case_of(place)
        got = arrays(warmed(program, mutation, case).solve(referee_case(case)))
        planted = by_path(plant(case, mutation.mistake, LAYERS.get(name), variant=mutation.variant or None))
        for path, expected in planted.items():
            lost = path == "loss" and np.isnan(expected)  # the logarithm of a negative number
            assert lost or near(got[path], expected, RELATIVE.get(mutation.mistake, 1e-9)), (place, path)
        changes = any((got[path] != right).any() for path, right in arrays(plain.solve(referee_case(case))).items())
        if changes:
            break  # elsewhere it may put a 0 where there is one
    assert changes != bool(mutation.reason)
    assert bool(mutation.patches) != bool(mutation.reason)


@pytest.mark.parametrize("name", [name for name, one in BY_NAME.items() if MISTAKES[one.mistake].scope == "update"])
def test_a_mutation_of_the_step_is_the_mistake_of_its_name(name: str) -> None:
    case = case_of("weighted")
    program, question = program_of(BY_NAME[name]), referee_case(case)
    after = program.step(question, program.solve(question), RATE)
    right = step(question, plain.solve(question), RATE)
    for got, expected in zip(after, plant_update(case, BY_NAME[name].mistake, RATE), strict=True):
        assert all(near(a, b, 1e-9) for a, b in zip(got, expected, strict=True))
    assert repr(after) != repr(right)


def test_an_unmutated_program_is_the_reference() -> None:
    question, program = referee_case(case_of("softmax")), program_of(REFERENCE)
    right = plain.solve(question)
    assert repr(program.solve(question)) == repr(right)
    assert repr(program.step(question, right, RATE)) == repr(step(question, right, RATE))


@pytest.mark.parametrize(("old", "count"), [("not in the reference", 0), ("ct", source().count("ct"))])
def test_a_fragment_must_occur_once(old: str, count: int) -> None:
    with pytest.raises(ValueError, match=f"exactly one occurrence of '{old}' in the reference, got {count}"):
        patched(source(), (Patch(old, ""),))


def test_further_lines_are_indented_as_the_first() -> None:
    text = patched("if x:\n    y = 1\n", (Patch("y = 1", "y = 1\nif y:\n    z = 2"),))
    assert text == "if x:\n    y = 1\n    if y:\n        z = 2\n"


# the runner


def vector(name: str = "squared", rate: float | None = None, **changes) -> Vector:
    """A vector of a small case, in which each number may be off by 1e-9."""
    case = case_of(name)
    expected = {path: np.asarray(array) for path, array in by_path(plant_together(case, ())).items()}
    if rate is not None:
        after = step(referee_case(case), plain.solve(referee_case(case)), rate)
        for i, layer in enumerate(after):
            expected |= dict(zip((f"params_after[{i}].weights", f"params_after[{i}].bias"), layer, strict=True))
    expected |= changes
    allowed = {path: np.full_like(array, 1e-9) for path, array in expected.items()}
    answers = (Answer("", expected, allowed),)
    return Vector(f"test/{name}", "", ("Ordinary",), "float64", "valid", case, answers, rate, None, None, None)


def test_the_reference_passes_and_a_mistake_fails() -> None:
    questions = [question_of(vector(name)) for name in ("softmax", "bare")]
    assert not asked(REFERENCE, questions).caught
    (row,) = run(questions, [BY_NAME["tanh-derivative-wrong, tanh"]])
    assert [question.id for question in row.by_gradients] == ["test/softmax", "test/bare"]
    (row,) = run(questions, [BY_NAME["leaky-slope-missing"]])
    assert not row.caught


def test_the_run_does_not_begin_if_the_reference_fails() -> None:
    wrong = vector(outputs=plant_together(case_of("squared"), ()).outputs + 1e-6)
    with pytest.raises(ValueError, match="reference to pass every vector, got 1 that it fails: test/squared"):
        list(run([question_of(wrong)], MUTATIONS))


@pytest.mark.parametrize(
    ("name", "by_gradients"),
    [("loss-scaled, loss-too", True), ("ascends", False), ("elementwise-for-matmul, diagonal", True)],
)
def test_gradients_and_everything_are_told_apart(name: str, by_gradients: bool) -> None:
    (row,) = run([question_of(vector("weighted" if name == "ascends" else "logits", rate=RATE))], [BY_NAME[name]])
    assert row.caught
    assert bool(row.by_gradients) == by_gradients


def test_memory_shows_from_the_second_call_on() -> None:
    questions = [question_of(vector(name)) for name in ("bare", "squared", "squared")]
    (row,) = run(questions, [BY_NAME["accumulated"]])
    assert len(row.by_everything) == 1


def answering(change) -> Program:
    return Program(lambda case: change(plain.solve(case)), step)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (lambda s: s, (False, False)),
        (lambda s: s._replace(outputs=s.outputs * np.nan), (False, True)),
        (lambda s: s._replace(outputs=s.outputs[:1]), (False, True)),
        (lambda s: s._replace(loss=s.loss + 1), (False, True)),
        (lambda s: s._replace(grads=s.grads[::-1]), (True, True)),
    ],
)
def test_what_fails_a_vector(change, verdict: tuple[bool, bool]) -> None:
    assert failed(answering(change), question_of(vector())) == verdict


def test_a_number_that_nothing_is_required_of_may_be_anything() -> None:
    one = vector()
    one.answers[0].allowed["loss"] = np.array(np.inf)
    assert failed(answering(lambda s: s._replace(loss=np.nan)), question_of(one)) == (False, False)


def test_an_answer_must_fit_one_alternative_as_a_whole() -> None:
    first, second = vector("kink"), vector("kink")
    second.answers[0].expected.update(ct_inputs=second.answers[0].expected["ct_inputs"] + 1)
    second.answers[0].expected.update({"params[0].bias": second.answers[0].expected["params[0].bias"] + 1})
    question = question_of(first._replace(answers=(*second.answers, *first.answers)))
    moved = lambda s: s._replace(grads=((s.grads[0][0], s.grads[0][1] + 1), *s.grads[1:]))  # noqa: E731
    assert failed(answering(lambda s: s), question) == (False, False)
    assert failed(answering(lambda s: moved(s)._replace(ct_inputs=s.ct_inputs + 1)), question) == (False, False)
    assert failed(answering(moved), question) == (False, True)


def test_the_page_counts_what_can_be_caught() -> None:
    questions = [question_of(vector())]
    names = ("sign-flipped, at-the-outputs", "leaky-slope-missing", "tanh-cancellation")
    rows = list(run(questions, [BY_NAME[name] for name in names]))
    page = written(rows, len(questions))
    assert "| `sign-flipped` | at-the-outputs | 1 | 1 | `test/squared` | Ordinary |" in page
    assert "| `leaky-slope-missing` |  | 0 | 0 | – |  |" in page
    assert "**1 of 2 mutations are caught (50.0%)**, 1 of them by the gradients of the parameters alone." in page
    assert "Not caught:\n\n- `leaky-slope-missing`" in page
    assert "Not counted:\n\n- `tanh-cancellation`: it is in the reference already" in page
    assert not enough(rows)
    assert enough([row for row in rows if row.mutation.name != "leaky-slope-missing"])


def test_command(monkeypatch: pytest.MonkeyPatch, tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(mutate, "read_vectors", lambda: iter(()))
    assert mutate.main([]) == 1
    assert "run python -m tools.make_vectors" in capsys.readouterr().err
    monkeypatch.setattr(mutate, "read_vectors", lambda: iter([vector()]))
    monkeypatch.setattr(mutate, "MUTATIONS", (BY_NAME["sign-flipped, at-the-end"],))
    page = tmp_path / "mutation.md"
    assert mutate.main(["--output", str(page)]) == 0
    assert "1 of 1 mutations are caught" in page.read_text(encoding="utf-8")
    assert "1 of 1 mutations are caught" in capsys.readouterr().out
    monkeypatch.setattr(mutate, "read_vectors", lambda: iter([vector(outputs=np.zeros((5, 3)))]))
    assert mutate.main([]) == 1
    assert "reference to pass" in capsys.readouterr().err
