"""Faults of the step that a program takes."""

from benchmarks.accuracy.field.faults.registry import ALL, Edit, Fault, either_of, every, factors


def _both(edit_of_weights: Edit, edit_of_bias: Edit) -> dict[str, Edit]:
    return {"step of weights": edit_of_weights, "step of bias": edit_of_bias}


STEPS = (
    Fault(
        "ascends",
        "the gradient is added",
        _both(
            lambda tape, i, before, c: tape.W[i] + tape.rate * tape.dW[i],
            lambda tape, i, before, c: None if tape.b[i] is None else tape.b[i] + tape.rate * tape.db[i],
        ),
        every,
        whole=True,
        factors=lambda family, layers, c: factors(family, family.layers, ALL, -1.0),
    ),
    Fault(
        "bias-never-updated",
        "biases keep their values",
        {"step of bias": lambda tape, i, before, c: tape.b[i]},
        every,
        whole=True,
        where=lambda family, style: family.biased,
    ),
    Fault(
        "momentum-as-weights",
        "0.9 times the parameters are added",
        _both(
            lambda tape, i, before, c: before() + c * tape.W[i],
            lambda tape, i, before, c: None if tape.b[i] is None else before() + c * tape.b[i],
        ),
        every,
        whole=True,
        number=either_of(0.9, 0.5),
    ),
    Fault(
        "learning-rate-twice",
        "the rate is applied twice",
        _both(
            lambda tape, i, before, c: tape.W[i] - tape.rate**2 * tape.dW[i],
            lambda tape, i, before, c: None if tape.b[i] is None else tape.b[i] - tape.rate**2 * tape.db[i],
        ),
        every,
        whole=True,
    ),
)
