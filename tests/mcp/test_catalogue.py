"""The tools that agents see."""

import json
import re
from typing import Any

import pytest
from mcp_types import Tool

from longtask_api.tools import FIXED_TOOLS, RESERVED_ARGUMENTS
from longtask_mcp.contract import catalogue
from longtask_mcp.contract.arguments import Reserved
from tests.mcp.objects import template

RESERVED = catalogue.start_schema({"type": "object"})["properties"]


def test_the_fixed_tools_are_the_ones_that_templates_may_not_be_named_after() -> None:
    assert {tool.name for tool in catalogue.FIXED} == FIXED_TOOLS


def test_the_reserved_arguments_are_the_ones_that_parameters_may_not_be_named_after() -> None:
    assert set(Reserved.model_fields) == RESERVED_ARGUMENTS == set(RESERVED)


def test_every_ready_template_is_a_tool_after_the_fixed_ones_by_name() -> None:
    templates = [template("b-two"), template("a-one"), template("not-ready", ready=False)]
    assert [tool.name for tool in catalogue.tools(templates)][len(FIXED_TOOLS) :] == ["a_one", "b_two"]


def test_a_template_never_takes_the_place_of_a_fixed_tool() -> None:
    shown = [tool.name for tool in catalogue.tools([template("start-task")])]
    assert shown.count("start_task") == 1


def test_the_tool_of_a_template_tells_what_the_author_wrote_and_what_a_start_gives() -> None:
    tool = catalogue.template_tool(template(title="Model Training", description="Trains a model."))
    assert tool.title == "Model Training"
    assert tool.description is not None
    assert tool.description.startswith("Trains a model.\n\n")
    assert "answers with its task ID at once" in tool.description


def test_annotations_say_which_tools_only_read() -> None:
    reading = {tool.name for tool in catalogue.FIXED if tool.annotations and tool.annotations.read_only_hint}
    assert reading == FIXED_TOOLS - {"start_task", "cancel_task", "answer_task"}


def test_no_tool_has_an_output_schema_that_could_make_a_client_drop_the_answer() -> None:
    assert all(tool.output_schema is None for tool in catalogue.tools([template()]))


@pytest.mark.parametrize("tool", [*catalogue.FIXED, catalogue.template_tool(template())], ids=lambda tool: tool.name)
def test_every_tool_fits_what_model_apis_accept(tool: Tool) -> None:
    schema = tool.input_schema
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", tool.name)
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert not {"anyOf", "oneOf", "allOf", "$ref", "$defs"} & schema.keys()
    assert "anyOf" not in json.dumps(schema)
    assert all("description" in prop for prop in schema["properties"].values())


@pytest.mark.parametrize(
    ("schema", "shown"),
    [
        (
            {"type": "object", "properties": {"epochs": {"type": "integer"}}, "required": ["epochs"]},
            {"properties": {"epochs": {"type": "integer"}}, "required": ["epochs"], "additionalProperties": False},
        ),
        (
            {"type": "object", "additionalProperties": {"type": "string"}},
            {"properties": {}, "additionalProperties": {"type": "string"}},
        ),
        (
            {"type": "object", "patternProperties": {"^x-": {"type": "string"}}},
            {"properties": {}, "patternProperties": {"^x-": {"type": "string"}}},
        ),
        (
            {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "x", "type": "object"},
            {"properties": {}, "additionalProperties": False},
        ),
        (
            {"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}], "properties": {"a": {}, "b": {}}},
            {"properties": {"a": {}, "b": {}}, "additionalProperties": False},
        ),
        (
            {
                "type": "object",
                "properties": {"layers": {"type": "array", "items": {"$ref": "#/$defs/layer"}}},
                "$defs": {
                    "layer": {"type": "object", "properties": {"size": {"$ref": "#/$defs/size", "default": 3}}},
                    "size": {"type": "integer", "minimum": 1},
                },
            },
            {
                "properties": {
                    "layers": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {"size": {"type": "integer", "minimum": 1, "default": 3}},
                        },
                    }
                },
                "additionalProperties": False,
            },
        ),
        (
            {"type": "object", "properties": {"definitions": {"enum": [{"$ref": "data"}]}, "$id": {"type": "string"}}},
            {
                "properties": {"definitions": {"enum": [{"$ref": "data"}]}, "$id": {"type": "string"}},
                "additionalProperties": False,
            },
        ),
        (
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/a~1b"}}, "$defs": {"a/b": {"const": 1}}},
            {"properties": {"a": {"const": 1}}, "additionalProperties": False},
        ),
    ],
)
def test_schemas_are_shown_flat_with_the_reserved_arguments(schema: dict[str, Any], shown: dict[str, Any]) -> None:
    expected = {"type": "object", **shown, "properties": {**shown["properties"], **RESERVED}}
    assert catalogue.start_schema(schema) == expected


def _doubling(levels: int) -> dict[str, Any]:
    pairs = {f"d{n}": {"properties": {k: {"$ref": f"#/$defs/d{n + 1}"} for k in "ab"}} for n in range(levels)}
    return {"type": "object", "properties": {"x": {"$ref": "#/$defs/d0"}}, "$defs": {**pairs, f"d{levels}": {}}}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"x": {"$ref": "#"}}},
        {"type": "object", "properties": {"x": {"$ref": "#/$defs/missing"}}},
        {"type": "object", "properties": {"x": {"$ref": "https://example.com/schema"}}},
        {"type": "object", "properties": {"x": {"$ref": "#/required"}}, "required": []},
        _doubling(30),
    ],
    ids=["recursive", "missing", "remote", "not a schema", "explodes"],
)
def test_a_schema_that_cannot_be_written_out_is_shown_open(schema: dict[str, Any]) -> None:
    assert catalogue.start_schema(schema) == {"type": "object", "additionalProperties": True, "properties": RESERVED}


@pytest.mark.parametrize(
    ("ready", "generation", "reason"),
    [(False, 3, "PodSecurityViolation: runAsNonRoot is not set"), (True, 4, "has not been checked yet")],
)
def test_a_template_that_is_not_ready_says_why(ready: bool, generation: int, reason: str) -> None:
    made = template(ready=ready)
    changed = made.model_copy(update={"metadata": made.metadata.model_copy(update={"generation": generation})})
    assert reason in catalogue.not_ready_reason(changed)
