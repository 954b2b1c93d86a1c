"""The published schemas: sound, of what the code accepts, and as the code has it."""

import json
from dataclasses import fields

import jsonschema
import numpy as np
import pytest

import functional_mlp as fm
from functional_mlp._dtypes import DTYPES
from functional_mlp.losses import KINDS, REDUCTIONS
from functional_mlp.oracle.case import BIAS_LAYOUTS, MAX_NAME, WEIGHTS_LAYOUTS, Case
from functional_mlp.oracle.documents import schema
from functional_mlp.oracle.documents.schema import read_document, write_document
from tests.helpers.documents import EXAMPLES, FORMATS, example


@pytest.mark.parametrize("kind", schema.DOCUMENT_KINDS)
def test_the_schemas_are_sound_and_accept_what_the_code_accepts(kind, tmp_path):
    published = schema.validator(kind).schema
    jsonschema.Draft202012Validator.check_schema(published)
    assert published["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    schema.validator(kind).validate(EXAMPLES[kind])
    for form in FORMATS:
        path = tmp_path / f"document.{form}"
        document = {
            name: arrays_in(value) if isinstance(value, list) else value for name, value in EXAMPLES[kind].items()
        }
        write_document(path, document)
        again = read_document(path, kind)
        assert json.loads(json.dumps(again, default=np.ndarray.tolist)) == EXAMPLES[kind]


def arrays_in(value):
    """Nested lists with arrays in the places where documents have them."""
    if isinstance(value[0], dict):
        return [{name: np.array(leaf) for name, leaf in layer.items()} for layer in value]
    return [np.array(matrix) for matrix in value] if np.ndim(value[0]) == 2 else np.array(value)


def test_the_schemas_list_what_the_code_knows():
    case, gradients, solution = (schema.validator(kind).schema for kind in ("case", "gradients", "solution"))
    properties = case["properties"]
    assert set(properties["loss"]["properties"]["kind"]["enum"]) == set(KINDS)
    assert set(properties["loss"]["properties"]) == {field.name for field in fields(fm.Loss)}
    for field in fields(fm.Loss)[1:]:
        assert properties["loss"]["properties"][field.name].get("default") == field.default
    assert tuple(properties["loss"]["properties"]["over_samples"]["enum"]) == REDUCTIONS
    assert tuple(properties["loss"]["properties"]["over_outputs"]["enum"]) == REDUCTIONS[:2]
    assert set(properties["dtype"]["enum"]) == set(DTYPES)
    assert tuple(properties["weights_layout"]["enum"]) == WEIGHTS_LAYOUTS
    assert tuple(properties["bias_layout"]["enum"]) == BIAS_LAYOUTS
    assert properties["name"]["maxLength"] == MAX_NAME
    layout = {"weights_layout", "bias_layout", "samples"}
    assert set(properties) == {field.name for field in fields(Case)} - {"layout"} | {"format", "version"} | layout
    common = {"format", "version", "params", "loss", "outputs", "deltas", "ct_inputs"}
    assert set(gradients["properties"]) == common | {"case", "unsupported", "reason"}
    assert set(solution["properties"]) == common | {"case", "pre_activations", "activations"}
    assert set(gradients["required"]) == {"format", "version"}
    assert gradients["else"]["required"] == ["params"]  # unless the case is not supported
    for kind in schema.DOCUMENT_KINDS:
        published = schema.validator(kind).schema
        assert published["additionalProperties"] is False
        assert published["properties"]["format"]["const"] == f"functional-mlp/{kind}"
        assert published["properties"]["version"]["const"] == schema.VERSION


@pytest.mark.parametrize(
    "changes",
    [
        {"ct_outputs": [[1.0]] * 4},
        {"loss": None},
        {"targets": None},
        {"inputs": [["1"]]},
        {"inputs": [1.0]},
        {"sample_weights": [[1.0]]},
        {"params": []},
        {"params": [{"weights": [[True]]}]},
        {"network": {"sizes": [1, 2], "activations": [5]}},
        {"network": {"sizes": [1, 2], "activations": {"slope": 1}}},
        {"loss": {"kind": "squared_error", "l2": -1}},
        {"loss": {"kind": "huber", "delta": 0}},
        {"loss": {"kind": "softmax_cross_entropy", "label_smoothing": 2}},
        {"weights_layout": "transposed"},
    ],
)
def test_the_published_schema_refuses_by_itself_what_it_can(changes):
    assert not schema.validator("case").is_valid(example(**changes))
