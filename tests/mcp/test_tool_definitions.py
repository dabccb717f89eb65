"""The tools that agents see."""

import re
from typing import Any

import pytest
from mcp_types import Tool

from longtask_api.mcp_names import FIXED_TOOLS, RESERVED_ARGUMENTS
from longtask_api.template import LongTaskTemplate
from longtask_mcp.cache import Cache
from longtask_mcp.contract import arguments, tool_definitions
from longtask_mcp.contract.arguments import Reserved
from longtask_mcp.contract.shown import ANY
from longtask_mcp.published import Published
from tests.mcp.objects import template
from tests.mcp.schemas import BY_HAND, untyped

RESERVED = tool_definitions.start_schema({"type": "object"})["properties"]


def published(*templates: LongTaskTemplate) -> Published:
    cache = Cache[LongTaskTemplate]()
    for each in templates:
        cache.put(each)
    return Published(cache)


def test_the_fixed_tools_are_the_ones_that_templates_may_not_be_named_after() -> None:
    assert {tool.name for tool in tool_definitions.FIXED} == FIXED_TOOLS


def test_the_reserved_arguments_are_the_ones_that_parameters_may_not_be_named_after() -> None:
    assert set(Reserved.model_fields) == RESERVED_ARGUMENTS == set(RESERVED)


def test_every_ready_template_is_a_tool_after_the_fixed_ones_by_name() -> None:
    templates = [template("b-two"), template("a-one"), template("not-ready", ready=False)]
    assert [tool.name for tool in published(*templates).tools()][len(FIXED_TOOLS) :] == ["a_one", "b_two"]


def test_a_template_never_takes_the_place_of_a_fixed_tool() -> None:
    shown = [tool.name for tool in published(template("start-task")).tools()]
    assert shown.count("start_task") == 1


def test_the_tool_of_a_template_tells_what_the_author_wrote_and_what_a_start_gives() -> None:
    tool = tool_definitions.template_tool(template(title="Model Training", description="Trains a model."))
    assert tool.title == "Model Training"
    assert tool.description is not None
    assert tool.description.startswith("Trains a model.\n\n")
    assert "answers with its task ID at once" in tool.description


def test_annotations_say_which_tools_only_read() -> None:
    reading = {tool.name for tool in tool_definitions.FIXED if tool.annotations and tool.annotations.read_only_hint}
    assert reading == FIXED_TOOLS - {
        "start_task",
        "rerun_task",
        "cancel_task",
        "suspend_task",
        "resume_task",
        "answer_task",
    }


def test_no_tool_has_an_output_schema_that_could_make_a_client_drop_the_answer() -> None:
    assert all(tool.output_schema is None for tool in published(template()).tools())


@pytest.mark.parametrize(
    "tool", [*tool_definitions.FIXED, tool_definitions.template_tool(template())], ids=lambda tool: tool.name
)
def test_every_tool_fits_what_model_apis_accept(tool: Tool) -> None:
    schema = tool.input_schema
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", tool.name)
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert not {"anyOf", "oneOf", "allOf", "$ref", "$defs"} & schema.keys()
    assert all("description" in prop for prop in schema["properties"].values())
    assert untyped(schema) == []


@pytest.mark.parametrize("schema", BY_HAND.values(), ids=BY_HAND)
def test_every_schema_is_shown_in_single_types(schema: dict[str, Any]) -> None:
    assert untyped(tool_definitions.start_schema(schema)) == []


def test_a_tool_is_made_once_for_each_version_of_its_template() -> None:
    made = template("a-one")
    tools = published(made)
    first = tools.tool(made)
    assert first is not None
    assert tools.tool(made) is first
    assert tools.tools()[-1] is first
    changed = made.model_copy(update={"metadata": made.metadata.model_copy(update={"resource_version": "2"})})
    assert tools.tool(changed) is not first


def test_a_template_that_cannot_be_shown_leaves_the_others_their_tools(caplog: pytest.LogCaptureFixture) -> None:
    half_a_pair = {"type": "object", "properties": {"x": {"type": "string", "default": "\ud800"}}}
    bad = template("bad", parametersSchema=half_a_pair)
    shown = [tool.name for tool in published(template("a-one"), bad, template("c-three")).tools()]
    assert shown[len(FIXED_TOOLS) :] == ["a_one", "c_three"]
    assert "template bad cannot be shown as a tool; start_task starts it" in caplog.text


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
            {"properties": {"a": {"anyOf": ANY}, "b": {"anyOf": ANY}}, "additionalProperties": False},
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
            {"properties": {"definitions": {"type": "object"}}, "additionalProperties": True},
        ),
        (
            {
                "type": "object",
                "properties": {
                    "limit": {"type": ["integer", "null"], "minimum": 1, "default": None, "description": "At most."},
                    "must": {"type": ["integer", "null"]},
                    "set": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": 3},
                    "rows": {"type": "array", "items": {"type": ["string", "null"]}},
                    "mode": {"enum": ["auto", 1, None]},
                    "kind": {"type": ["string", "null"], "enum": ["a"]},
                    "rate": {"type": "number", "enum": [0.1, 1]},
                    "name": {"type": "string", "pattern": "^(?!x)", "format": "email", "description": "Whose."},
                    "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]},
                },
                "required": ["must"],
            },
            {
                "properties": {
                    "limit": {"type": "integer", "minimum": 1, "description": "At most."},
                    "must": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                    "set": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": 3},
                    "rows": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
                    "mode": {
                        "anyOf": [
                            {"type": "string", "enum": ["auto"]},
                            {"type": "integer", "enum": [1]},
                            {"type": "null"},
                        ]
                    },
                    "kind": {"type": "string", "enum": ["a"]},
                    "rate": {"type": "number", "description": "One of 0.1, 1."},
                    "name": {
                        "type": "string",
                        "description": "Whose. Format: email. Must match the regular expression ^(?!x)",
                    },
                    "pair": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
                },
                "required": ["must"],
                "additionalProperties": False,
            },
        ),
        (
            {
                "type": "object",
                "properties": {"a": {"allOf": [{"$ref": "#/$defs/size"}, {"maximum": 9}], "description": "How many."}},
                "$defs": {"size": {"type": "integer", "minimum": 1}},
            },
            {
                "properties": {"a": {"type": "integer", "minimum": 1, "maximum": 9, "description": "How many."}},
                "additionalProperties": False,
            },
        ),
        (
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/a~1b"}}, "$defs": {"a/b": {"const": 1}}},
            {"properties": {"a": {"type": "integer", "enum": [1]}}, "additionalProperties": False},
        ),
    ],
)
def test_schemas_are_shown_flat_with_the_reserved_arguments(schema: dict[str, Any], shown: dict[str, Any]) -> None:
    expected = {"type": "object", **shown, "properties": {**shown["properties"], **RESERVED}}
    assert tool_definitions.start_schema(schema) == expected


def _doubling(levels: int) -> dict[str, Any]:
    pairs = {f"d{n}": {"properties": {k: {"$ref": f"#/$defs/d{n + 1}"} for k in "ab"}} for n in range(levels)}
    return {"type": "object", "properties": {"x": {"$ref": "#/$defs/d0"}}, "$defs": {**pairs, f"d{levels}": {}}}


def _nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"x": {"$ref": "#"}}},
        {"type": "object", "properties": {"x": {"$ref": "#/$defs/missing"}}},
        {"type": "object", "properties": {"x": {"$ref": "https://example.com/schema"}}},
        {"type": "object", "properties": {"x": {"$ref": "#/required"}}, "required": []},
        _doubling(30),
        _nested(400),
    ],
    ids=["recursive", "missing", "remote", "not a schema", "explodes", "deep"],
)
def test_a_schema_that_cannot_be_written_out_is_shown_open(schema: dict[str, Any]) -> None:
    assert tool_definitions.start_schema(schema) == {
        "type": "object",
        "additionalProperties": True,
        "properties": RESERVED,
    }


@pytest.mark.parametrize(
    ("ready", "generation", "reason"),
    [(False, 3, "PodSecurityViolation: runAsNonRoot is not set"), (True, 4, "has not been checked yet")],
)
def test_a_template_that_is_not_ready_says_why(ready: bool, generation: int, reason: str) -> None:
    made = template(ready=ready)
    changed = made.model_copy(update={"metadata": made.metadata.model_copy(update={"generation": generation})})
    assert reason in tool_definitions.not_ready_reason(changed)


def test_no_template_waits_for_the_schema_of_what_all_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(arguments, "schema")
    assert tool_definitions.template_tool(template()).input_schema["properties"].keys() >= RESERVED.keys()


def test_templates_that_come_and_go_do_so_in_the_list() -> None:
    cache = Cache[LongTaskTemplate]()
    shown = Published(cache)

    def extra() -> list[str]:
        return [tool.name for tool in shown.tools()][len(FIXED_TOOLS) :]

    assert extra() == []
    cache.put(template("a-one"))
    cache.put(template("b-two"))
    assert extra() == ["a_one", "b_two"]
    assert shown.tools() is shown.tools()
    cache.remove("uid-a-one")
    assert extra() == ["b_two"]
