"""Parameters are read as a model meant them, where its framework said them in its own way."""

from typing import Any

import pytest

from longtask_api.parameters import complete
from longtask_mcp.contract.meaning import meant
from longtask_mcp.contract.tool_definitions import start_schema

SCHEMA = start_schema(
    {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string"},
            "epochs": {"type": "integer", "default": 10},
            "limit": {"type": ["integer", "null"], "default": 3},
            "rate": {"type": "number"},
            "fast": {"type": "boolean"},
            "tags": {"type": "array", "items": {"type": "integer"}},
            "layer": {"type": "object", "properties": {"size": {"type": "integer"}, "note": {"type": "string"}}},
            "layers": {"type": "array", "items": {"type": "object", "properties": {"size": {"type": "integer"}}}},
            "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
            "any": {},
        },
    }
)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"epochs": None}, {"epochs": None}),
        ({"epochs": ""}, {}),
        ({"epochs": "null"}, {}),
        ({"epochs": "5"}, {"epochs": 5}),
        ({"epochs": "many"}, {"epochs": "many"}),
        ({"epochs": "1.5"}, {"epochs": "1.5"}),
        ({"epochs": True}, {"epochs": True}),
        ({"limit": None}, {"limit": None}),
        ({"limit": "null"}, {"limit": None}),
        ({"rate": "1"}, {"rate": 1}),
        ({"fast": "true"}, {"fast": True}),
        ({"fast": "yes"}, {"fast": "yes"}),
        ({"name": None}, {"name": None}),
        ({"name": ""}, {"name": ""}),
        ({"name": "5"}, {"name": "5"}),
        ({"tags": "[1, 2]"}, {"tags": [1, 2]}),
        ({"tags": ["1", 2]}, {"tags": [1, 2]}),
        ({"layer": '{"size": "3"}'}, {"layer": {"size": 3}}),
        ({"layer": {"size": "", "note": ""}}, {"layer": {"note": ""}}),
        ({"layers": [{"size": "null"}, '{"size": 1}']}, {"layers": [{}, {"size": 1}]}),
        ({"either": "5"}, {"either": "5"}),
        ({"any": "[1]"}, {"any": "[1]"}),
        ({"other": "5", "more": None}, {"other": "5", "more": None}),
    ],
)
def test_a_value_is_read_as_its_schema_has_it(given: dict[str, Any], read: dict[str, Any]) -> None:
    found = meant(SCHEMA, given)
    assert found == read
    assert [type(each) for each in found.values()] == [type(each) for each in read.values()]


NULLABLE = {"type": ["string", "null"]}
ROW = {"type": "object", "properties": {"v": NULLABLE, "n": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("schema", "given", "kept"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, None, {"x": None}),
        ({"type": ["integer", "null"]}, "null", {"x": None}),
        ({"enum": ["a", None]}, None, {"x": None}),
        ({"type": "array", "items": ROW}, [{"v": None, "n": None}], {"x": [{"v": None}]}),
        ({"anyOf": [ROW, {"type": "null"}]}, {"v": None, "n": None}, {"x": {"v": None}}),
        ({"type": "object", "additionalProperties": NULLABLE}, {"a": None}, {"x": {"a": None}}),
        ({"type": ["integer", "null"], "default": None}, None, {"x": None}),
        ({"type": ["integer", "null"], "default": 3}, None, {"x": None}),
        ({}, None, {"x": None}),
        ({"type": "integer"}, None, {}),
        ({"type": "integer"}, "null", {}),
        ({"type": "integer", "default": 3}, None, {"x": 3}),
    ],
)
def test_a_null_arrives_wherever_the_author_gave_it_a_meaning(schema: dict[str, Any], given: Any, kept: Any) -> None:
    whole = {"type": "object", "properties": {"x": schema}}
    assert complete(whole, meant(start_schema(whole), {"x": given})) == kept
