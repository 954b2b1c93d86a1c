"""The files of the vectors: their form, that their numbers are what the recipes and the referee make; the archive."""

import copy
import dataclasses
import hashlib
import io
import json
import math
import re
import zipfile
from importlib import resources
from urllib.parse import urljoin

import numpy as np
import pytest

from functional_mlp._dtypes import DTYPES
from functional_mlp.activations import FACTORIES, resolve
from functional_mlp.losses import KINDS, OPTIONS
from functional_mlp.oracle import MISTAKES
from functional_mlp.oracle.documents import validator
from functional_mlp.update_rules import RULES
from functional_mlp.vectors.reading import group_names, read_document, read_vectors, vector_of
from reference import exact
from reference.training import certified_training
from tools.vectorgen import making as make_vectors
from tools.vectorgen.archive import contents, packed
from tools.vectorgen.documents import hexadecimal, referee_case, rounded_up
from tools.vectorgen.hazards import published
from tools.vectorgen.hazards.recipes import Numbers
from tools.vectorgen.mistaken import NOT_WRONG, SINCE
from tools.vectorgen.steps import FORMULAS
from tools.vectorgen.validating import group_validator, validate

MIB = 2**20


@pytest.fixture(scope="module")
def documents():
    return {name: read_document(name) for name in group_names()}


@pytest.fixture(scope="module")
def every(documents):
    return [vector for document in documents.values() for vector in document["vectors"]]


def hash_of(text):
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def numbers_in(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from numbers_in(item)
    else:
        yield value


@pytest.mark.slow
def test_every_group_of_the_generator_is_there_and_of_its_schema(documents):
    # one vector in eight: all of them take ten seconds, and the generator validates whole files before it writes them
    assert set(documents) == {*make_vectors.GROUPS, *make_vectors.MISTAKES}
    for document in documents.values():
        validate(document | {"vectors": document["vectors"][::8]})
        assert document["count"] == len(document["vectors"])
        assert document["release"] == make_vectors.RELEASE


@pytest.mark.slow
def test_the_generator_has_a_recipe_for_each_vector_and_no_others(documents):
    for name, document in documents.items():
        if name in make_vectors.MISTAKES:
            made = [making.recipe.id("float64") for making in make_vectors._makings(name)]
        else:
            made = [recipe.id(precision) for recipe in make_vectors._recipes(name) for precision in recipe.precisions]
        assert made == [vector["id"] for vector in document["vectors"]], name


def test_there_are_enough_vectors_in_little_space(every):
    valid = [vector for vector in every if vector["result"] != "invalid"]
    assert len(valid) >= 400
    assert sum(path.stat().st_size for path in make_vectors.FOLDER.glob("*.json")) < 20 * MIB


def test_names_are_unique_and_say_group_and_precision(documents):
    names = [vector["id"] for document in documents.values() for vector in document["vectors"]]
    assert len(set(names)) == len(names)
    for group, document in documents.items():
        for vector in document["vectors"]:
            assert vector["id"].split("/")[::2] == [group, vector["precision"]]
            assert vector["case"]["name"] == vector["id"]
            assert vector["case"]["dtype"] == vector["precision"]


def test_flags_are_explained_and_name_known_mistakes(documents):
    hunted = set()
    for document in documents.values():
        used = {flag for vector in document["vectors"] for flag in vector["flags"]}
        assert used == set(document["notes"])
        hunted |= {mistake for note in document["notes"].values() for mistake in note["mistakes"]}
    assert hunted <= set(MISTAKES)


def test_hexadecimals_are_the_decimals(every):
    for vector in every:
        update = [vector["update"]] if "update" in vector else []
        for answer in (vector, *vector.get("alternatives", ()), *update):
            pairs = zip(numbers_in(answer["expected"]), numbers_in(answer["expected_hex"]), strict=True)
            assert all(number == float.fromhex(text) for number, text in pairs)


def test_every_case_fits_its_precision_and_every_answer_is_finite(every):
    for vector in every:
        case = vector["case"]
        given = [case["params"], case["inputs"], case.get("targets"), case.get("ct_outputs")]
        values = np.array([x for x in numbers_in(given) if x is not None])
        assert np.array_equal(values, values.astype(DTYPES[vector["precision"]]).astype(np.float64))
        assert all(map(math.isfinite, numbers_in(vector["expected"])))


def test_every_mistake_of_the_catalogue_has_an_invalid_vector(documents):
    planted = {vector["mistake"]["id"] for group in make_vectors.MISTAKES for vector in documents[group]["vectors"]}
    assert planted == set(MISTAKES) - {*NOT_WRONG, *SINCE}


def test_expected_numbers_are_the_referees(every):
    # one in eight; `python -m tools.vectorgen --check` makes all of them anew
    vectors = [
        vector for vector in read_vectors(results=("valid", "acceptable", "invalid")) if hash_of(vector.id) % 8 == 0
    ]
    assert len(vectors) > 60
    for vector in vectors:
        solution = exact.solve(referee_case(vector.case))
        for path, expected in vector.answers[0].expected.items():
            if not path.startswith("params_after"):
                name = path.replace("params[", "grads.").replace("deltas[", "deltas.").replace("]", "")
                assert np.array_equal(solution.leaves[name], expected), (vector.id, path)
                balls = solution.balls[name].ravel()
                assert all(exact.ulp_distance(x, y) <= 0.5 for x, y in zip(expected.ravel(), balls, strict=True))


def test_schemas_refer_to_each_other_as_any_validator_resolves_it():
    schema = group_validator().schema
    names = {validator(kind).schema["$id"] for kind in ("case", "gradients", "update")}
    references = set(re.findall(r'"\$ref": "([^#"]+)"', json.dumps(schema)))
    assert {urljoin(schema["$id"], reference) for reference in references} == names


SAMPLE = (
    *("magnitudes/huge-inputs/float32", "kinks/relu-hidden/float64", "updates/sum/float64"),
    *("published/mazur-2-2-2/float64", "mistakes/sign-flipped-at-the-end/float64"),
    *("piecewise/kinks-relu6/float32", "rules/adamw-3/float32", "slips/momentum-sign/float64"),
)


@pytest.mark.parametrize("name", SAMPLE)
def test_making_a_vector_again_gives_the_same_bytes(name, every):
    group = name.partition("/")[0]
    if group in make_vectors.MISTAKES:
        slugs = [making.recipe.slug for making in make_vectors._makings(group)]
    else:
        slugs = [recipe.slug for recipe in make_vectors.GROUPS[group].recipes()]
    _, slug, precision = name.split("/")
    made = make_vectors.made(make_vectors.Task(group, slugs.index(slug), precision))
    [written] = [vector for vector in every if vector["id"] == name]
    assert json.dumps(made) == json.dumps(written)


def test_an_allowed_error_stays_where_the_next_one_of_the_grid_was_written():
    made = {
        "expected": [2.0],
        "allowed": {"loss": None, "grads": [1.85e-14, 9.24e-15, 3.7e-14]},
        "update": {"allowed": [1e-3]},
    }
    written = {
        "expected": [1.0],
        "allowed": {"loss": 1.0, "grads": [9.24e-15, 9.24e-15, 9.24e-15]},
        "update": {"allowed": [2e-3]},
    }
    assert make_vectors.steady(made, written) == {
        "expected": [2.0],
        "allowed": {"loss": None, "grads": [9.24e-15, 9.24e-15, 3.7e-14]},
        "update": {"allowed": [2e-3]},
    }
    assert make_vectors.steady(made, {}) == made


def test_files_are_written_as_the_generator_writes_them(documents):
    for name in ("shapes", "kinks", "published", "mistakes", "rules"):
        text = resources.files("functional_mlp.vectors").joinpath(f"data/{name}.json").read_text()
        assert make_vectors.text_of(documents[name]) == text


def spoilt(document, change):
    document = copy.deepcopy(document)
    change(document["vectors"][0])
    return document


@pytest.mark.parametrize(
    "change",
    [
        lambda vector: vector.pop("expected"),
        lambda vector: vector.update(result="fine"),
        lambda vector: vector.update(unknown=1),
        lambda vector: vector["expected"].pop("outputs"),
        lambda vector: vector["expected"]["outputs"][0].append("1"),
        lambda vector: vector["expected_hex"]["outputs"][0].append("1.5"),
        lambda vector: vector["case"].pop("params"),
        lambda vector: vector.update(result="acceptable"),
        lambda vector: vector.update(result="invalid"),
        lambda vector: vector.update(id="../etc/passwd"),
        lambda vector: vector.update(id="shapes/one/float99"),
        lambda vector: vector["allowed"]["outputs"][0].append(0.0),
        lambda vector: vector["allowed"]["outputs"][0].__setitem__(0, -1.0),
        lambda vector: vector["allowed"]["params"][0].pop("bias"),
        lambda vector: vector["expected"].update(params=[]),
        lambda vector: vector["expected"].pop("loss"),
        lambda vector: vector.update(learning_rate=0.5),
    ],
)
def test_what_is_no_vector_is_refused(documents, change):
    with pytest.raises(ValueError, match="shapes"):
        validate(spoilt(documents["shapes"], change))


# how the numbers are made


def test_numbers_depend_on_name_attempt_and_precision_alone():
    first, again, other = (Numbers("a/b/float64", attempt, "float64") for attempt in (0, 0, 1))
    drawn = first.uniform((3, 2))
    assert np.array_equal(drawn, again.uniform((3, 2)))
    assert not np.array_equal(drawn, other.uniform((3, 2)))
    assert drawn[0, 0] == -0.46228945427770807


@pytest.mark.parametrize("precision", DTYPES)
def test_numbers_are_in_range_and_of_the_precision(precision):
    numbers = Numbers("range", 0, precision)
    drawn = numbers.uniform((400,), -2, 3)
    assert np.array_equal(drawn, numbers.rounded(drawn))
    assert -2 <= drawn.min() < -1.8
    assert 2.8 < drawn.max() <= 3
    assert set(numbers.integers((100,), -1, 2)) == {-1, 0, 1, 2}


@pytest.mark.parametrize(
    ("x", "text"),
    [(0.0, "0x0p+0"), (1.5, "0x1.8p+0"), (-0.1, "-0x1.999999999999ap-4"), (5e-324, "0x0.0000000000001p-1022")],
)
def test_hexadecimal(x, text):
    assert hexadecimal(x) == text
    assert float.fromhex(text) == x


def test_allowed_errors_are_rounded_up_by_at_most_two():
    assert rounded_up(0.0) == 0.0
    assert rounded_up(math.inf) is None
    for x in (1e-300, 3e-17, 0.9, 1.0, 5.1, 2.0**-1022):
        assert x < rounded_up(x) <= 2.02 * x


@pytest.mark.parametrize(
    ("text", "true", "how"),
    [
        ("0.75136507", 0.7513650695523157, "rounded"),
        ("0.75136506", 0.7513650695523157, "truncated"),
        ("0.75136508", 0.7513650695523157, "no"),
        ("-3.34e-05", -3.3401727955540675e-05, "rounded"),
        ("0", 1e-9, "rounded"),
        ("0.25", 0.0, "no"),
    ],
)
def test_agreement_of_printed_digits(text, true, how):
    assert published.agreement(text, true) == how


# the archive


def test_archive_has_checksums_of_everything_and_is_the_same_every_time():
    files = contents()
    archive = packed(files, "vectors-1")
    assert archive == packed(dict(reversed(files.items())), "vectors-1")
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        sums = opened.read("vectors-1/SHA256SUMS").decode().splitlines()
        assert len(sums) == len(files) - 1
        for line in sums:
            digest, _, name = line.partition("  ")
            assert hashlib.sha256(opened.read(f"vectors-1/{name}")).hexdigest() == digest


# Release 1.1.0 came with groups of its own: a hash over what stood in the files of 1.0.0 but for the release.
FIRST_GROUPS = (
    *("activations", "batches", "cancellation", "kinks", "logits", "losses", "magnitudes", "mistakes", "published"),
    *("regulariser", "saturation", "shapes", "updates", "vjp"),
)
FIRST_DIGEST = "ada7008b4560e33cf6e813b76c59f216bb9e8a8c0c662e64c7ec8bbc26df1dd3"


def test_the_vectors_of_the_first_release_are_what_they_were():
    digest = hashlib.sha256()
    for name in FIRST_GROUPS:
        text = resources.files("functional_mlp.vectors").joinpath(f"data/{name}.json").read_text()
        digest.update(text.replace(f'"release": "{make_vectors.RELEASE}"', '"release": "1.0.0"', 1).encode())
    assert digest.hexdigest() == FIRST_DIGEST


def test_every_activation_loss_option_and_rule_has_vectors(every):
    units, losses, rules = set(), set(), set()
    for vector in every:
        if vector["result"] != "invalid":
            for unit in vector["case"]["network"]["activations"]:
                units.add(unit if isinstance(unit, str) else unit["name"])
            loss = vector["case"].get("loss", {})
            losses |= {loss.get("kind"), *loss}
            rules |= {vector["update"]["rule"]["name"]} if "update" in vector else set()
    assert units == set(FACTORIES)
    assert losses >= {*KINDS, *OPTIONS, "l1"}
    assert rules == set(RULES)


def test_parameters_after_steps_are_the_referees(documents):
    for document in documents["rules"]["vectors"][::7]:
        vector = vector_of(document)
        assert (vector.rule.name, vector.steps) == (document["update"]["rule"]["name"], document["update"]["steps"])
        formula, settings = FORMULAS[type(vector.rule)], dataclasses.asdict(vector.rule)
        *_, after = certified_training(referee_case(vector.case), formula, settings, vector.steps)
        for name, array in after.items():
            layer, part = name.split(".")
            assert np.array_equal(vector.answers[0].expected[f"params_after[{layer}].{part}"], array)


def test_a_rule_that_is_spoilt_is_refused(documents):
    for change in (
        lambda vector: vector["update"].pop("steps"),
        lambda vector: vector["update"].update(steps=0),
        lambda vector: vector["update"]["rule"].update(name="adagrad"),
        lambda vector: vector["update"]["rule"].pop("learning_rate"),
        lambda vector: vector["update"]["expected"].pop(),
        lambda vector: vector["update"]["allowed"][0]["bias"].append(1.0),
    ):
        with pytest.raises(ValueError, match="rules"):
            validate(spoilt(documents["rules"], change))


def test_a_kink_for_which_nothing_is_declared_has_alternatives(documents):
    found = {"valid": 0, "acceptable": 0}
    for vector in [*documents["kinks"]["vectors"], *documents["piecewise"]["vectors"]]:
        solution = exact.solve(referee_case(vector_of(vector).case))
        units = vector["case"]["network"]["activations"]
        open_ = any(
            (z == kink.position).any() and kink.left != kink.right
            for z, unit in zip(solution.pre_activations, units, strict=True)
            for kink in resolve(unit).kinks
            if isinstance(unit, str) or kink.parameter not in unit
        )
        assert vector["result"] == ("acceptable" if open_ else "valid"), vector["id"]
        found[vector["result"]] += 1
    assert min(found.values()) > 10


def test_at_two_kinks_any_one_side_is_right_at_both(documents):
    [vector] = [each for each in documents["piecewise"]["vectors"] if each["id"] == "piecewise/kinks-relu6/float64"]
    sides = {"": (0, 0), "inner piece": (1, 1), "mean": (0.5, 0.5), "left side": (0, 1), "right side": (1, 0)}
    answers = vector_of(vector).answers
    assert len(answers) == len(sides)
    for answer, (words, (at_zero, at_six)) in zip(answers, sides.items(), strict=True):
        assert words in answer.comment
        unit = {"name": "relu6", "at_zero": float(at_zero), "at_six": float(at_six)}
        case = referee_case(vector_of(vector).case)._replace(activations=[unit, "identity"])
        assert np.array_equal(exact.solve(case).leaves["grads.0.bias"], answer.expected["params[0].bias"])
