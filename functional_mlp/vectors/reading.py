"""The vectors that come with the package, as Python objects. Nothing is computed here.

Every number was certified when the files were written (`tools/vectorgen/`); they are not certified again.
"""

import dataclasses
import json
from collections.abc import Collection, Iterator, Mapping
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from functional_mlp._checks import known_name
from functional_mlp.oracle.case import Case
from functional_mlp.oracle.documents import Gradients, Update, case_of, parse_answer
from functional_mlp.update_rules import Descent, UpdateRule, update_rule

# which precisions' numbers a format holds
HELD: Mapping[str, tuple[str, ...]] = {
    "float64": ("float64", "float32", "bfloat16", "float16"),
    "float32": ("float32", "bfloat16", "float16"),
    "bfloat16": ("bfloat16",),
    "float16": ("float16",),
}
RESULTS = ("valid", "acceptable", "invalid")


class Answer(NamedTuple):
    """One right answer to a vector.

    Attributes:
        comment: by which convention; "" for that of this package.
        expected: the true values by path ("loss", "params[0].weights", "outputs", "deltas[0]", "ct_inputs", and of
            vectors with a rule "params_after[0].weights"), correctly rounded to float64.
        allowed: by the same paths, the largest error of each entry that rounding in the vector's precision explains;
            infinite where nothing is required.
    """

    comment: str
    expected: dict[str, np.ndarray]
    allowed: dict[str, np.ndarray]


class Planted(NamedTuple):
    """The mistake of an invalid vector, as `oracle.plant` takes it.

    Attributes:
        id: of the catalogue.
        layer: index into the parameters, or None.
        variant: of the mistake, or None.
    """

    id: str
    layer: int | None
    variant: str | None


class Vector(NamedTuple):
    """One vector.

    Attributes:
        id: group/name/precision.
        comment: what is special about it.
        flags: names of its hazards, explained in its group's `notes`.
        precision: what a program computes in to be allowed these errors; also the dtype of the case.
        result: "valid"; "acceptable": other answers than this package's are right as well; "invalid": `wrong` is wrong.
        case: the question.
        answers: right answers: that of this package first.
        learning_rate: of the steps whose parameters `answers` have, or None.
        mistake: of an invalid vector: what was planted; else None.
        wrong: of an invalid vector: what a checker must refuse; else None.
        source: of a published example: its title, address and printed numbers; else None.
        rule: by which `answers` have the parameters after `steps` steps on all samples, or None.
        steps: how many; 0 without a rule.
    """

    id: str
    comment: str
    flags: tuple[str, ...]
    precision: str
    result: str
    case: Case
    answers: tuple[Answer, ...]
    learning_rate: float | None
    mistake: Planted | None
    wrong: Gradients | Update | None
    source: dict[str, Any] | None
    rule: UpdateRule | None = None
    steps: int = 0


class Group(NamedTuple):
    """The vectors of one file.

    Attributes:
        name: of the group.
        release: of the vectors.
        comment: what they have in common.
        notes: the hazard of each flag, in words.
        vectors: in the order of the file.
    """

    name: str
    release: str
    comment: str
    notes: dict[str, str]
    vectors: tuple[Vector, ...]


def group_names() -> tuple[str, ...]:
    """The groups, in alphabetical order."""
    files = (entry.name for entry in resources.files("functional_mlp.vectors").joinpath("data").iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in files if name.endswith(".json")))


def read_document(name: str) -> dict[str, Any]:
    """A group as it stands in its file.

    Raises:
        TypeError, ValueError: for a group that there is not.
    """
    known_name("group", name, group_names())
    document: dict[str, Any] = json.loads(
        resources.files("functional_mlp.vectors").joinpath(f"data/{name}.json").read_text()
    )
    return document


def read_group(name: str) -> Group:
    """One group; errors as `read_document`."""
    document = read_document(name)
    notes = {flag: note["hazard"] for flag, note in document["notes"].items()}
    vectors = tuple(vector_of(one) for one in document["vectors"])
    return Group(document["group"], document["release"], document["comment"], notes, vectors)


def read_vectors(
    groups: Collection[str] | None = None,
    precision: str | None = None,
    results: Collection[str] = ("valid", "acceptable"),
) -> Iterator[Vector]:
    """The vectors of some groups.

    Args:
        groups: names; None: all of them.
        precision: what a program computes in, "float64", "float32", "bfloat16" or "float16": the vectors whose numbers
            this format holds; None: all.
        results: those wanted, out of `RESULTS`.

    Raises:
        TypeError, ValueError: for names that there are not.
    """
    held = HELD["float64" if precision is None else known_name("precision", precision, HELD)]
    for result in results:
        known_name("result", result, RESULTS)
    for name in group_names() if groups is None else groups:
        for document in read_document(name)["vectors"]:
            if document["precision"] in held and document["result"] in results:
                yield vector_of(document)


def find_document(vector_id: str) -> dict[str, Any]:
    """One vector as it stands in its file.

    Raises:
        ValueError: if there is none of this name; a similar one is suggested.
    """
    name, _, _ = vector_id.partition("/")
    known_name("group", name, group_names())
    documents = {vector["id"]: vector for vector in read_document(name)["vectors"]}
    return documents[known_name(f"vector of {name}", vector_id, documents)]


def find(vector_id: str) -> Vector:
    """One vector; errors as `find_document`."""
    return vector_of(find_document(vector_id))


def vector_of(document: dict[str, Any]) -> Vector:
    """A vector from its part of a group's file."""
    mistake, wrong = document.get("mistake"), document.get("answer")
    rule, steps, after = _update(document)
    answers = [_answer(answer) for answer in (document | {"comment": ""}, *document.get("alternatives", ()))]
    return Vector(
        id=document["id"],
        comment=document["comment"],
        flags=tuple(document["flags"]),
        precision=document["precision"],
        result=document["result"],
        case=case_of(document["case"], document["id"]),
        answers=tuple(Answer(words, given | after[0], most | after[1]) for words, given, most in answers),
        learning_rate=None if rule is None else rule.learning_rate,
        mistake=None if mistake is None else Planted(**mistake),
        wrong=None if wrong is None else parse_answer(json.dumps(wrong).encode(), document["id"]),
        source=document.get("source"),
        rule=rule,
        steps=steps,
    )


def _update(document: Mapping[str, Any]) -> tuple[UpdateRule | None, int, list[dict[str, np.ndarray]]]:
    """The rule of a vector and its steps; if it is not one step of plain descent, what is expected and allowed then."""
    if "learning_rate" in document:
        return Descent(document["learning_rate"]), 1, [{}, {}]
    if "update" not in document:
        return None, 0, [{}, {}]
    update = document["update"]
    settings = {name: value for name, value in update["rule"].items() if name != "name"}
    rule = dataclasses.replace(update_rule(update["rule"]["name"]), **settings)
    return rule, update["steps"], [dict(_leaves({"params_after": update[field]})) for field in ("expected", "allowed")]


def _answer(document: dict[str, Any]) -> Answer:
    return Answer(document["comment"], *(dict(_leaves(document[field])) for field in ("expected", "allowed")))


def _leaves(fields: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Arrays by path; null is infinite."""
    for name, value in fields.items():
        if name in ("params", "params_after"):
            for i, layer in enumerate(value):
                for part, array in layer.items():
                    yield f"{name}[{i}].{part}", np.array(array, np.float64)
        elif name == "deltas":
            yield from ((f"deltas[{i}]", np.array(array, np.float64)) for i, array in enumerate(value))
        else:
            yield name, np.array(np.inf if value is None else value, np.float64)
