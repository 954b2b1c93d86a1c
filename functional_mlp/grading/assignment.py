"""What is graded: the network and the loss, the points, and how much the students are told."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from keyword import iskeyword
from pathlib import Path
from typing import Any

from functional_mlp._checks import known_name
from functional_mlp.files import MAX_BYTES, FileError, read_toml
from functional_mlp.losses import Loss
from functional_mlp.network import Network
from functional_mlp.oracle.noise import precision_named
from functional_mlp.oracle.probing import asking_of

# from what gives away the least
FEEDBACK = {
    "verdict": "whether everything is right",
    "arrays": "which arrays are right",
    "mistake": "the mistake in words, without the right formula",
    "report": "the whole report, with the right numbers and the fix",
}
PARAMETERS = ("pairs", "dict")
TAKEN = ("grade", "grading", "test_case")  # names in what is printed for otter-grader
VISIBILITIES = ("visible", "hidden", "after_due_date", "after_published")  # of Gradescope


@dataclass(frozen=True)
class Assignment:
    """What is graded, and how.

    Attributes:
        network, loss: that the submissions differentiate.
        function: the name of theirs, called as function(params, inputs, targets).
        parameters: how it is given the parameters: "pairs" (weights, bias) of the layers, or a "dict" of W1, b1 and so
            on.
        layout: of the arrays, as `oracle.check_function` takes it, such as "columns"; None for samples as rows and
            weights (fan_in, fan_out).
        precision: that they compute in.
        points: for a submission that is right; as many for every gradient array, and as many for answering every case.
        feedback: how much is told, a key of `FEEDBACK`.
        visibility: of the tests to the students, as Gradescope calls it.
        cases: how many are asked.
        seed: of the cases; students who know it know the cases.
        timeout: seconds for one answer; for the first one with what the interpreter and the file take to start.
        cpu_seconds, memory: limits of a submission's process, in seconds and MiB.
        title: of the exercise.
    """

    network: Network
    loss: Loss
    function: str = "backward"
    parameters: str = "pairs"
    layout: str | None = None
    precision: str = "float64"
    points: float | int = 10.0
    feedback: str = "mistake"
    visibility: str = "visible"
    cases: int = 7
    seed: int = 0
    timeout: float | int = 10.0
    cpu_seconds: int = 60
    memory: int = 8000
    title: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.title, str):
            raise TypeError(f"expected title to be a text, got {self.title!r}")
        known_name("feedback", self.feedback, FEEDBACK)
        known_name("parameters", self.parameters, PARAMETERS)
        known_name("visibility", self.visibility, VISIBILITIES)
        for name, kinds, least in (
            *((name, int | float, 0) for name in ("points", "timeout")),
            *((name, int, 0) for name in ("cases", "cpu_seconds", "memory")),
            ("seed", int, -1),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, kinds) or not least < value < float("inf"):
                what = "an integer" if kinds is int else "a number"
                raise ValueError(f"expected {name} to be {what} above {least}, got {value!r}")
        function = self.function
        if not isinstance(function, str) or not function.isidentifier() or iskeyword(function) or function in TAKEN:
            raise ValueError(f"expected function to be the name of a function, got {function!r}")
        precision_named(self.precision)
        asking_of(None, self.layout, True, ())


def read_assignment(path: str | Path) -> Assignment:
    """An assignment from a file in TOML.

    Its names are the fields of `Assignment`, but that `sizes` and `activations` give the network, and the table
    `[loss]` the fields of `Loss`.

    Raises:
        FileError: for a file that is none, or says something unknown: one sentence.
    """
    document = read_toml(path, MAX_BYTES)
    try:
        return _assignment(document)
    except (TypeError, ValueError) as error:
        raise FileError(f"{path}: {error}") from error


def _assignment(document: Mapping[str, Any]) -> Assignment:
    own = {field.name for field in fields(Assignment)} - {"network", "loss"}
    named = own | {"sizes", "activations", "loss"}
    for name in document:
        known_name("a name of the assignment", name, sorted(named))
    missing = [name for name in ("sizes", "activations", "loss") if name not in document]
    if missing:
        raise ValueError(f"expected sizes, activations and a table [loss], got none of {', '.join(missing)}")
    if not isinstance(document["loss"], Mapping):
        raise TypeError(f'expected a table [loss] with kind = "…", got {document["loss"]!r}')
    network = Network(tuple(document["sizes"]), document["activations"])
    loss = Loss(**document["loss"])
    loss.require_admissible(network.activations[-1])
    return Assignment(network, loss, **{name: value for name, value in document.items() if name in own})
