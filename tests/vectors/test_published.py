"""What the sources of published examples print: where it is right, and which mistake it is where it is wrong."""

import pytest

from functional_mlp import oracle, vectors
from functional_mlp._dtypes import DTYPES
from tools.vectorgen.hazards.published import agreement, entry_of

EVERY = [vector for vector in vectors.read_vectors(["published"]) if vector.source is not None]


def fields(planted):
    params = [{"weights": w, "bias": b} for w, b in planted.grads]
    return {"params": params, "deltas": planted.deltas, "outputs": planted.outputs, "loss": planted.loss}


def in_dtype(case, dtype):
    dtype = DTYPES[dtype]
    params = [(w.astype(dtype), None if b is None else b.astype(dtype)) for w, b in case.params]
    data = (case.inputs.astype(dtype), case.targets.astype(dtype))
    return oracle.Case(case.network, case.loss, params, *data, dtype=dtype.name)


@pytest.mark.parametrize("vector", EVERY, ids=lambda vector: vector.id.split("/")[1])
def test_numbers_that_do_not_agree_say_why(vector):
    for printed in vector.source["printed"]:
        assert printed["agrees"] != "no" or "why" in printed, printed


MISTAKEN = [vector for vector in EVERY if any("mistake" in printed for printed in vector.source["printed"])]


@pytest.mark.parametrize("vector", MISTAKEN, ids=lambda vector: vector.id.split("/")[1])
def test_the_named_mistake_gives_the_printed_digits(vector):
    reproduced = []
    for printed in vector.source["printed"]:
        if mistake := printed.get("mistake"):
            dtype = mistake.get("dtype", "float64")
            case = vector.case if dtype == "float64" else in_dtype(vector.case, dtype)
            planted = oracle.plant(case, mistake["id"], mistake["layer"], variant=mistake["variant"], dtype=dtype)
            reproduced.append(agreement(printed["text"], entry_of(printed, fields(planted))) != "no")
    assert all(reproduced)


def test_the_error_printed_after_the_step_of_the_well_known_walk_through():
    """The post's weights after the step are right, but the loss it prints is that of weights updated too early."""
    vector = vectors.find("published/mazur-2-2-2/float64")
    case, [other] = vector.case, vector.source["other"]

    def loss_with_unchanged_biases(layers):
        params = [(weights, bias) for (weights, _), (_, bias) in zip(layers, case.params, strict=True)]
        return oracle.solve(oracle.Case(case.network, case.loss, params, case.inputs, case.targets)).loss

    right = [(w - 0.5 * ct, None) for (w, _), (ct, _) in zip(case.params, oracle.solve(case).grads, strict=True)]
    assert agreement(other["certified"][:12], loss_with_unchanged_biases(right)) == "truncated"
    too_early = oracle.plant_update(case, "updated-weights-used", 0.5)
    assert agreement(other["text"], loss_with_unchanged_biases(too_early)) == "rounded"


def test_the_published_loss_of_the_circles_is_the_certified_one():
    source = vectors.find("published/circles/float64").source
    assert [printed["agrees"] for printed in source["printed"]] == ["rounded"]
