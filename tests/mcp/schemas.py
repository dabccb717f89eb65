"""Schemas that cost agents' frameworks their tools when they are shown as they are, and what finds them."""

from collections.abc import Iterator
from typing import Any

SECOND = {"oneOf", "allOf", "not", "if", "then", "else", "const", "$ref", "$defs", "prefixItems"}
TYPES = {"string", "integer", "number", "boolean", "object", "array", "null"}
BY_HAND: dict[str, dict[str, Any]] = {
    name: {"type": "object", "properties": {"x": schema}}
    for name, schema in {
        "anything": {},
        "a boolean schema": True,
        "nothing": False,
        "optional": {"type": ["integer", "null"], "default": None},
        "optional object": {"type": ["object", "null"], "properties": {"a": {"type": ["string", "null"]}}},
        "three types": {"type": ["integer", "string", "array"], "minimum": 1, "items": {"type": ["string", "null"]}},
        "no type but values": {"enum": ["auto", 1]},
        "values of every kind": {"enum": ["auto", 1, 0.5, None, True, [1], {"a": 1}]},
        "numbers as values": {"type": "number", "enum": [0.1, 0.01]},
        "truth as a value": {"const": True},
        "null alone": {"type": "null"},
        "array of anything": {"type": "array"},
        "array of open items": {"type": "array", "items": {}},
        "array of optional items": {"type": "array", "items": {"type": ["number", "null"]}},
        "arrays of arrays": {"type": "array", "items": {"type": "array", "items": {"type": ["integer", "string"]}}},
        "a tuple": {"type": "array", "prefixItems": [{"type": "string"}, {}], "items": False},
        "an old tuple": {"type": "array", "items": [{"type": "string"}, {"type": "integer"}]},
        "a map": {"type": "object", "additionalProperties": {"type": ["number", "null"]}},
        "a map of anything": {"type": "object", "additionalProperties": {}},
        "patterns of names": {"type": "object", "patternProperties": {"^a": {"type": ["string", "null"]}}},
        "any of": {"anyOf": [{"type": ["string", "null"]}, {"anyOf": [{"type": "integer"}, {"enum": ["x", 2]}]}]},
        "any of anything": {"anyOf": [{}, {"type": "string"}]},
        "one of": {"oneOf": [{"type": "object", "properties": {"k": {"const": "a"}}}, {"type": "string"}]},
        "all of": {"allOf": [{"type": "object", "properties": {"a": {}}}, {"required": ["a"]}]},
        "conditions": {"type": "string", "if": {"const": "a"}, "then": {"minLength": 1}, "not": {"enum": ["b"]}},
        "keywords alone": {"properties": {"a": {"minimum": 1}}, "required": ["a"]},
        "look-ahead": {"type": "string", "pattern": "^(?!latest$).+$"},
        "a back-reference": {"type": "string", "pattern": r"^(a)\\1$"},
        "formats": {
            "type": "object",
            "properties": {each: {"type": "string", "format": each} for each in ("email", "duration", "regex", "x")},
        },
        "odd names": {"type": "object", "properties": {"_a": {}, "a b": {}, "ok": {}}, "required": ["_a", "ok"]},
    }.items()
}


def untyped(schema: Any, path: str = "") -> list[str]:
    """Where a published schema is anything but one of a single type, or an anyOf of such."""
    if not isinstance(schema, dict):
        return [f"{path}: {schema!r}"]
    return [
        *_at(schema, path),
        *(found for step, child in _inside(schema) for found in untyped(child, f"{path}/{step}")),
    ]


def _at(schema: dict[str, Any], path: str) -> Iterator[str]:
    if "anyOf" in schema:
        if others := schema.keys() - {"anyOf", "title", "description", "default", "examples"}:
            yield f"{path}: {sorted(others)} beside anyOf"
        if any("anyOf" in branch for branch in schema["anyOf"]):
            yield f"{path}: anyOf in anyOf"
        return
    if schema.get("type") not in TYPES:
        yield f"{path}: type {schema.get('type')!r}"
    if others := schema.keys() & SECOND:
        yield f"{path}: {sorted(others)}"
    if schema.get("type") == "array" and "items" not in schema:
        yield f"{path}: an array without items"


def _inside(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for number, branch in enumerate(schema.get("anyOf", [])):
        yield f"anyOf/{number}", branch
    for key in ("properties", "patternProperties"):
        for name, child in schema.get(key, {}).items():
            yield f"{key}/{name}", child
    for key in ("items", "additionalProperties"):
        if not isinstance(schema.get(key, True), bool):
            yield key, schema[key]
