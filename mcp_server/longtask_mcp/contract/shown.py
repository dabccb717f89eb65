"""The published schema of a template's parameters: flat, and of single types. Pure.

Agent frameworks turn tools/list into models but know less than JSON Schema: a list of types, a value without a type, an
enum of mixed types or a pattern that their regex engine does not support makes them lose all tools, not only that one.
So each schema here has one `type` or is an `anyOf` of such; references are inlined, and what cannot be expressed this
way is left open. It is still enforced: a start is validated against the author's own schema.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import SchemaError, SchemaValidator, core_schema

MAX_NODES = 5000
"""A schema with more nodes, once its references are inlined, is published as an open object."""
MAX_DEPTH = 30
"""Model APIs and the JSON libraries of clients accept no deeper ones."""
SHOWN_VALUES = 300

ANNOTATIONS = ("title", "description", "default", "examples")
KEYWORDS = {
    "string": ("minLength", "maxLength"),
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "array": ("minItems", "maxItems", "uniqueItems"),
    "object": ("minProperties", "maxProperties", "unevaluatedProperties"),
    "boolean": (),
    "null": (),
}
"""Keywords published for each type, besides enum, format, pattern and nested schemas."""
HINTS = {
    "object": ("properties", "required", "additionalProperties", "patternProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
"""Keywords that imply the type of a schema that names none."""
FORMATS = frozenset({"date-time", "date", "time", "duration", "uri", "ipv4", "ipv6", "hostname"})
"""Formats that every framework treats alike; others go into the description."""
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
"""Argument names that model APIs and frameworks accept."""

ANY: list[dict[str, Any]] = [
    {"type": "string"},
    {"type": "number"},
    {"type": "boolean"},
    {"type": "object", "additionalProperties": True},
    {
        "type": "array",
        "items": {"anyOf": [{"type": each} for each in ("string", "number", "boolean", "object")]},
    },
]
"""Any JSON value but null, in single types."""


def shown(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The published schema of an object. Raises ValueError if it is recursive, too deep or large, or has a bad $ref."""
    return _Writer(schema).single("object", schema, (), MAX_DEPTH)


class _Writer:
    """Each method takes a schema, the references that led to it, and how many levels may follow."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._left = MAX_NODES

    def written(self, node: Any, opened: tuple[str, ...], depth: int) -> dict[str, Any]:
        """Any schema: one type, or anyOf."""
        plain, opened = self._plain(node, opened)
        types = _types(plain)
        if len(types) == 1:
            return self.single(types[0], plain, opened, depth)
        branches = [self._branch(plain, each) for each in types] if types else _branches(plain)
        return self._either(plain, [self.written(each, opened, depth - 1) for each in branches] or ANY)

    def single(self, type_: str, node: Any, opened: tuple[str, ...], depth: int) -> dict[str, Any]:
        """A schema of one type."""
        if depth < 0:
            raise ValueError(f"the schema is nested deeper than {MAX_DEPTH} levels")
        plain, opened = self._plain(node, opened)
        made = {key: plain[key] for key in (*ANNOTATIONS, *KEYWORDS[type_]) if key in plain}
        made["type"] = type_
        notes = _values(made, plain) if type_ not in ("object", "array") else []
        match type_:
            case "object":
                self._object(made, plain, opened, depth - 1)
            case "array":
                made["items"] = self._items(plain, opened, depth - 1)
            case "string":
                notes += _text(made, plain)
        if notes:
            made["description"] = " ".join(each for each in (str(plain.get("description", "")), *notes) if each)
        return made

    def _plain(self, node: Any, opened: tuple[str, ...]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The schema with its own $ref and allOf merged into it; those of nested schemas are left."""
        self._spend()
        plain = dict(node) if isinstance(node, Mapping) else {}
        begun = opened
        while isinstance(reference := plain.pop("$ref", None), str):
            if reference in opened:
                raise ValueError(f"{reference} leads back to itself")
            opened = (*opened, reference)
            plain = {**_resolve(self._root, reference), **plain}
        for part in _listed(plain.pop("allOf", None)):
            merged, also = self._plain(part, begun)
            opened = (*opened, *also)
            inside = {
                "properties": {**merged.get("properties", {}), **plain.get("properties", {})},
                "required": [*plain.get("required", []), *merged.get("required", [])],
            }
            plain = {**merged, **plain, **{key: value for key, value in inside.items() if value}}
        return plain, opened

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"the schema has more than {MAX_NODES} parts")

    def _branch(self, plain: Mapping[str, Any], type_: str) -> dict[str, Any]:
        return {key: value for key, value in plain.items() if key not in ANNOTATIONS} | {"type": type_}

    def _either(self, plain: Mapping[str, Any], branches: list[dict[str, Any]]) -> dict[str, Any]:
        """anyOf without duplicates; a single branch is returned by itself."""
        flat: list[dict[str, Any]] = []
        for branch in branches:
            flat += [each for each in branch.get("anyOf", [branch]) if each not in flat]
        told = {key: plain[key] for key in ANNOTATIONS if key in plain}
        return {**flat[0], **told} if len(flat) == 1 else {**told, "anyOf": flat}

    def _object(self, made: dict[str, Any], plain: Mapping[str, Any], opened: tuple[str, ...], depth: int) -> None:
        named, required = plain.get("properties", {}), plain.get("required", [])
        properties = {
            name: _present(self.written(child, opened, depth), name in required)
            for name, child in named.items()
            if NAME.fullmatch(name)
        }
        if "properties" in plain:
            made["properties"] = properties
        if needed := [name for name in required if name in properties]:
            made["required"] = needed
        others = plain.get("additionalProperties")
        if len(properties) < len(named):
            made["additionalProperties"] = True
        elif others is not None:
            made["additionalProperties"] = (
                self.written(others, opened, depth) if others and others is not True else (others is not False)
            )
        if isinstance(patterns := plain.get("patternProperties"), Mapping):
            made["patternProperties"] = {key: self.written(child, opened, depth) for key, child in patterns.items()}
        if not isinstance(made.get("unevaluatedProperties", True), bool):
            del made["unevaluatedProperties"]

    def _items(self, plain: Mapping[str, Any], opened: tuple[str, ...], depth: int) -> dict[str, Any]:
        """One schema for all items, even where each position has its own."""
        items = plain.get("items")
        placed = [*_listed(plain.get("prefixItems")), *_listed(items)]
        if isinstance(items, Mapping):
            placed.append(items)
        return self._either({}, [self.written(each, opened, depth) for each in placed] or ANY[-1]["items"]["anyOf"])


def _types(plain: Mapping[str, Any]) -> list[str]:
    """The types that a schema names, else those that its values or keywords imply; empty if any type is allowed, or
    anyOf or oneOf decides.
    """
    named = plain.get("type")
    types = [named] if isinstance(named, str) else list(_listed(named))
    values = _enumerated(plain)
    if values and None not in values:
        types = [each for each in types if each != "null"]
    if not types:
        types = [type_of(each) for each in values]
    if not types and not _branches(plain):
        types = [type_ for type_, keywords in HINTS.items() if any(key in plain for key in keywords)][:1]
    unlike = [each for each in dict.fromkeys(types) if each in KEYWORDS]
    return [each for each in unlike if each != "integer" or "number" not in unlike]


def _branches(plain: Mapping[str, Any]) -> list[Any]:
    return [*_listed(plain.get("anyOf")), *_listed(plain.get("oneOf"))]


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else []


def _enumerated(plain: Mapping[str, Any]) -> list[Any]:
    return [plain["const"]] if "const" in plain else list(_listed(plain.get("enum")))


def type_of(value: Any) -> str:
    """The JSON type of a value; `integer` for whole numbers without a decimal point."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def _values(made: dict[str, Any], plain: Mapping[str, Any]) -> list[str]:
    """Sets the enum of text and integers, which frameworks support; values of other types are returned as a note."""
    fitting = {"number": ("integer", "number")}.get(made["type"], (made["type"],))
    values = [each for each in _enumerated(plain) if type_of(each) in fitting]
    if not values or made["type"] == "null":
        return []
    if made["type"] in ("string", "integer"):
        made["enum"] = values
        return []
    return [f"One of {json.dumps(values, ensure_ascii=False)[1:-1][:SHOWN_VALUES]}."]


def _text(made: dict[str, Any], plain: Mapping[str, Any]) -> list[str]:
    """Sets format and pattern if frameworks support them; otherwise they are returned as notes."""
    notes = []
    if isinstance(format_ := plain.get("format"), str):
        if format_ in FORMATS:
            made["format"] = format_
        else:
            notes.append(f"Format: {format_[:SHOWN_VALUES]}.")
    if isinstance(pattern := plain.get("pattern"), str):
        if _is_common(pattern):
            made["pattern"] = pattern
        else:
            notes.append(f"Must match the regular expression {pattern[:SHOWN_VALUES]}")
    return notes


def _is_common(pattern: str) -> bool:
    """Whether regex engines without look-around and back-references, such as pydantic's, support the pattern."""
    try:
        SchemaValidator(core_schema.str_schema(pattern=pattern))
    except SchemaError:
        return False
    return True


def _present(child: dict[str, Any], required: bool) -> dict[str, Any]:
    """An optional property without null, where null is its default and so means the same as leaving it out."""
    if required or "default" not in child or child["default"] is not None:
        return child
    kept = {key: value for key, value in child.items() if key != "default"}
    branches = [each for each in kept.get("anyOf", []) if each["type"] != "null"]
    if len(branches) == 1:
        return {**branches[0], **{key: value for key, value in kept.items() if key != "anyOf"}}
    return {**kept, "anyOf": branches} if branches else kept


def _resolve(schema: Mapping[str, Any], reference: str) -> Mapping[str, Any]:
    """The schema at a local JSON pointer such as #/$defs/layer. Raises ValueError."""
    if reference != "#" and not reference.startswith("#/"):
        raise ValueError(f"{reference} is not inside the schema")
    node: Any = schema
    for part in reference.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        node = node.get(key) if isinstance(node, Mapping) else None
    if isinstance(node, Mapping):
        return node
    raise ValueError(f"{reference} does not point at a schema object")
