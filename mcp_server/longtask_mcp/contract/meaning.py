"""Normalizes parameters that a language model or its framework encoded loosely. Pure."""

from collections.abc import Mapping
from typing import Any

from longtask_api.reports import json_or_text
from longtask_mcp.contract.shown import type_of


def meant(schema: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Normalizes the values of an object by its published schema.

    For an optional property that takes no text, blank text and "null" count as omitted; other text where none is
    allowed is decoded as JSON. A real null stays: the author's schema decides what it means.
    """
    properties, required = schema.get("properties", {}), schema.get("required", [])
    read = {}
    for name, value in values.items():
        known = properties.get(name)
        if known is None:
            read[name] = value
        elif name in required or not _says_nothing(value, _types(known)):
            read[name] = _value(known, value)
    return read


def _value(schema: Mapping[str, Any], value: Any) -> Any:
    types = _types(schema)
    if isinstance(value, str) and "string" not in types:
        spelt = json_or_text(value)
        value = spelt if types.keys() & {type_of(spelt), "number" if type_of(spelt) == "integer" else ""} else value
    if isinstance(value, dict) and "object" in types:
        return meant(types["object"], value)
    if isinstance(value, list) and "array" in types:
        return [_value(types["array"].get("items", {}), each) for each in value]
    return value


def _types(schema: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The schema of each allowed type; empty if any value is allowed. If a type occurs twice, only types are known."""
    branches = schema.get("anyOf", [schema])
    known = {each["type"]: each for each in branches if "type" in each}
    return known if len(known) == len(branches) else {each: {} for each in known}


def _says_nothing(value: Any, types: Mapping[str, Any]) -> bool:
    if not isinstance(value, str) or not types or "string" in types:
        return False
    return not value.strip() or (value.strip() == "null" and "null" not in types)
