"""Which mistakes the vectors alone catch: what fails, what is counted, and that right answers must pass first."""

import numpy as np
import pytest

from benchmarks.accuracy import mutation
from benchmarks.accuracy.mutation import asked, enough, failures, run, written
from functional_mlp.oracle.case import by_path
from functional_mlp.oracle.mistakes import plant_together, plant_update
from functional_mlp.update_rules import Descent, Momentum
from functional_mlp.vectors import Answer, Vector, read_vectors
from tests.helpers.mistaken import case_of

RATE = 0.3


def vector(name: str = "squared", rate: float | None = None, **changes) -> Vector:
    """A vector of a small case, in which each number may be off by 1e-9."""
    case = case_of(name)
    expected = {path: np.asarray(array) for path, array in by_path(plant_together(case, ())).items()}
    for i, layer in enumerate(() if rate is None else plant_update(case, None, rate)):
        expected |= {f"params_after[{i}].weights": layer.weights, f"params_after[{i}].bias": layer.bias}
    expected |= changes
    allowed = {path: np.full_like(array, 1e-9) for path, array in expected.items()}
    answers, rule = (Answer("", expected, allowed),), None if rate is None else Descent(rate)
    head, steps = (f"test/{name}", "", ("Ordinary",), "float64", "valid"), int(rate is not None)
    return Vector(*head, case, answers, rate, None, None, None, rule, steps)


def test_right_answers_pass_and_a_mistake_fails() -> None:
    vectors = [vector(name, RATE) for name in ("softmax", "bare")]
    assert not any(any(failures(each, None)) for each in vectors)
    (row, *_) = run(vectors, ["tanh-derivative-wrong"])
    assert (row.variant, row.asked) == ("tanh", 2)
    assert row.by_gradients == row.by_everything == tuple(vectors)


def test_a_mistake_of_a_rule_is_asked_of_the_vectors_of_that_rule_and_fails_them() -> None:
    vectors = list(read_vectors(["rules"], "float64"))
    of_momentum = [each.id for each in vectors if isinstance(each.rule, Momentum) and each.steps > 1]
    row = asked(vectors, "momentum-missing", None)
    assert row.asked >= len(of_momentum)
    assert {each.id for each in row.by_everything} >= set(of_momentum)
    assert row.by_gradients == ()


def test_a_mistake_is_asked_where_it_applies() -> None:
    assert asked([vector("softmax")], "leaky-slope-missing", None).asked == 0
    assert asked([vector()], "ascends", None).asked == 0  # it shows in a step alone
    assert asked([vector("weighted", RATE)], "ascends", None).asked == 1


@pytest.mark.parametrize(
    ("name", "mistake", "variant", "expected"),
    [
        ("weighted", "ascends", None, (False, True)),
        ("logits", "loss-scaled", "loss-too", (True, True)),
        ("logits", "elementwise-for-matmul", "diagonal", (True, True)),
    ],
)
def test_gradients_and_everything_are_told_apart(name, mistake, variant, expected) -> None:
    assert failures(vector(name, RATE), mistake, variant) == expected


@pytest.mark.parametrize("path", ["loss", "outputs", "deltas[0]", "ct_inputs", "params_after[0].bias"])
def test_every_number_counts_but_for_the_gradients_alone(path: str) -> None:
    sound = vector(rate=RATE).answers[0].expected[path]
    for wrong in (sound + 1e-6, sound * np.nan):
        assert failures(vector(rate=RATE, **{path: wrong}), None) == (False, True)


def test_the_run_does_not_begin_if_right_answers_fail() -> None:
    wrong = vector(outputs=vector().answers[0].expected["outputs"] + 1e-6)
    with pytest.raises(ValueError, match="pass every vector, got 1 that fail: test/squared"):
        list(run([wrong], ["sign-flipped"]))


def test_the_page_counts_what_can_be_caught() -> None:
    rows = [
        asked([vector()], mistake, variant)
        for mistake, variant in (("sign-flipped", "at-the-outputs"), ("leaky-slope-missing", None))
    ]
    rows.append(asked([vector("logits")], "tanh-cancellation", None))
    page = written(rows, 1)
    assert "| `sign-flipped` | at-the-outputs | `test/squared` | Ordinary | 1 | 1 | 1 |" in page
    assert "| `leaky-slope-missing` |  | – |  | 0 | 0 | 0 |" in page
    assert "**1 of 2 mutations are caught (50.0%)**, 1 of them by the gradients of the parameters alone." in page
    assert "Not caught:\n\n- `leaky-slope-missing`" in page
    assert "Not counted:\n\n- `tanh-cancellation`: the textbook formula is a right program" in page
    assert not enough(rows)
    assert enough([row for row in rows if row.mistake != "leaky-slope-missing"])


def test_command(monkeypatch: pytest.MonkeyPatch, tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(mutation, "MISTAKES", {"bias-missing": mutation.MISTAKES["bias-missing"]})
    monkeypatch.setattr(mutation, "read_vectors", lambda: iter([vector()]))
    page = tmp_path / "mutation.md"
    assert mutation.main(["--output", str(page)]) == 0
    assert "1 of 1 mutations are caught" in page.read_text(encoding="utf-8")
    assert "1 of 1 mutations are caught" in capsys.readouterr().out
    monkeypatch.setattr(mutation, "read_vectors", lambda: iter([vector(outputs=np.zeros((5, 3)))]))
    assert mutation.main([]) == 1
    assert "to pass every vector" in capsys.readouterr().err
