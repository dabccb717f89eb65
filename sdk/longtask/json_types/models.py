"""pydantic models, recognized by their methods: pydantic is never imported here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from longtask.json_types.base import BadValue, JsonType, Schema, at, shown, shown_json
from longtask.json_types.composites import Anything, nullable, without_null
from longtask.json_types.scalars import choice_schema, is_plain

Mode = Literal["validation", "serialization"]
"""What a schema describes: `validation` values that come in, `serialization` values that go out."""

_DATA = frozenset({"default", "const", "enum", "examples"})
_NAMED = frozenset({"properties", "patternProperties", "dependentSchemas"})
_DROPPED = frozenset({"$ref", "$defs", "title", "discriminator"})


class Recursive(Exception):
    """A schema that contains itself cannot be written without references."""


@dataclass(frozen=True)
class Model(JsonType):
    """A pydantic model. `flat` is its schema without references."""

    model: Any
    flat: Schema

    def schema(self) -> Schema:
        """A copy of the schema without references."""
        return dict(self.flat)

    def decode(self, value: Any, path: str) -> Any:
        """Validate a JSON value with the model."""
        try:
            # As JSON, not as Python objects, so that a strict model accepts a date as text.
            return self.model.model_validate_json(json.dumps(value))
        except ValueError as error:
            raise _readable(error, path) from error

    def encode(self, value: Any, path: str) -> Any:
        """Dump an instance as a caller would write it, and check that the model accepts it."""
        if not isinstance(value, self.model):
            raise BadValue(path, f"{shown(value)} is not a {self.model.__name__}")
        encoded = _given(self.flat, value.model_dump(mode="json", by_alias=True))
        self.decode(encoded, path)
        return encoded


def model_type(model: Any, mode: Mode) -> Model:
    """The JSON type of a pydantic model. Raises Recursive, ValueError for NaN, and what pydantic raises."""
    root = model.model_json_schema(mode=mode)
    json.dumps(root, allow_nan=False)
    return Model(model, _written_out(root, root, (), closed=mode == "validation"))


def _written_out(root: Schema, node: Schema, opened: tuple[str, ...], *, closed: bool) -> Schema:
    """A schema without references and titles. `closed`: objects without additionalProperties forbid other fields."""
    reference = node.get("$ref")
    target: Schema = {}
    if isinstance(reference, str):
        if reference in opened:
            raise Recursive(reference)
        target = _written_out(root, _target(root, reference), (*opened, reference), closed=closed)

    def keyword(key: str, value: Any) -> Any:
        if key in _DATA:
            return value
        if isinstance(value, list):
            return [keyword(key, each) for each in value]
        if not isinstance(value, Mapping):
            return value
        if key in _NAMED:
            return {name: keyword("", each) for name, each in value.items()}
        return _written_out(root, dict(value), opened, closed=closed)

    written = target | {key: keyword(key, value) for key, value in node.items() if key not in _DROPPED}
    if "type" not in written and all(map(is_plain, written.get("enum", [...]))):
        written = {key: value for key, value in written.items() if key != "enum"} | choice_schema(written["enum"])
    if closed and "properties" in written:
        needed = written.get("required", ())
        fields = {name: each if name in needed else _optional(each) for name, each in written["properties"].items()}
        spelled = {name: each or Anything(spelled=True).schema() for name, each in fields.items()}
        closed_ = written.get("additionalProperties", False)
        written = {**written, "properties": spelled, "additionalProperties": closed_}
    return written


def _optional(schema: Schema) -> Schema:
    """The schema of an optional field; without null, if null is its default and so means the same as no value."""
    if schema.get("default", ...) is not None:
        return schema
    return without_null({key: value for key, value in schema.items() if key != "default"})


def _given(schema: Schema, value: Any) -> Any:
    """A model's dump as a caller would write it: without computed fields, and without nulls that mean no value."""
    if isinstance(value, list):
        return [_given(schema.get("items", {}), each) for each in value]
    if not isinstance(value, dict):
        return value
    objects = [option for option in (schema, *schema.get("anyOf", ())) if "properties" in option]
    fields = {name: field for option in objects for name, field in option["properties"].items()}
    closed = bool(objects) and all(option.get("additionalProperties") is False for option in objects)
    return {
        name: _given(fields.get(name, {}), each)
        for name, each in value.items()
        if (name in fields and (each is not None or nullable(fields[name]) == fields[name]))
        or (name not in fields and not closed)
    }


def _target(root: Schema, reference: str) -> Schema:
    node: Any = root
    for part in reference.removeprefix("#").split("/")[1:]:
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return dict(node)


def _readable(error: ValueError, path: str) -> BadValue:
    """The first error that pydantic found."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return BadValue(path, str(error))
    first = errors()[0]
    for part in first["loc"]:
        path = at(path, part)
    return BadValue(path, f"{first['msg']} (given: {shown_json(first['input'])})")
