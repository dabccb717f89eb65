"""Parameters are read as a model meant them, where its framework said them in its own way."""

from typing import Any

import pytest

from longtask_mcp.contract.catalogue import start_schema
from longtask_mcp.contract.meaning import meant

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
        ({"epochs": None}, {}),
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
        ({"layer": {"size": None, "note": ""}}, {"layer": {"note": ""}}),
        ({"layers": [{"size": None}, '{"size": 1}']}, {"layers": [{}, {"size": 1}]}),
        ({"either": "5"}, {"either": "5"}),
        ({"any": "[1]"}, {"any": "[1]"}),
        ({"other": "5", "more": None}, {"other": "5", "more": None}),
    ],
)
def test_a_value_is_read_as_its_schema_has_it(given: dict[str, Any], read: dict[str, Any]) -> None:
    found = meant(SCHEMA, given)
    assert found == read
    assert [type(each) for each in found.values()] == [type(each) for each in read.values()]
