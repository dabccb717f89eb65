"""Checks values against JSON Schema in a local run; in a cluster the operator does it."""

import json
import math
import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from longtask.json_types.base import Schema, at, shown_json
from longtask.json_types.patterns import matches
from longtask.json_types.scalars import FORMATS, is_text

MAX_PARAMETERS, MAX_DEPTH, LARGEST_INTEGER = 64 * 1024, 100, 2**63 - 1
"""Limits of parameters: bytes as JSON, levels of nesting, the largest integer that the API server does not change."""
_DURATION = re.compile(r"-?P(?=[\dT])(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?", re.ASCII)
"""ISO 8601 durations, also those that a timedelta cannot hold: with years, months or nanoseconds."""


def misfit(schema: Schema, value: Any, path: str = "result") -> str | None:
    """Describe the first place where a JSON value does not fit, as a sentence that begins with `path`; None if it fits.

    Knows the keywords that annotations and pydantic models produce, and some more; others ($ref, if, contains, ...) are
    left to the operator. May raise anything for an invalid schema.
    """
    return next(_misfits(schema, value, path), None)


def given(schema: Schema, value: Any) -> Any:
    """Complete parameters as the operator does: drop nulls of optional fields that do not accept null, add defaults."""
    if isinstance(value, list):
        return [given(schema.get("items", {}), each) for each in value]
    if not isinstance(value, dict):
        return value
    objects = [option for option in (schema, *schema.get("anyOf", ())) if "properties" in option]
    fields = {name: field for option in objects for name, field in option["properties"].items()}
    required = {name for option in objects for name in option.get("required", ())}
    left = {
        name: given(fields.get(name, {}), each)
        for name, each in value.items()
        if each is not None or name not in fields or name in required or misfit(fields[name], None) is None
    }
    defaults = {name: field["default"] for name, field in schema.get("properties", {}).items() if "default" in field}
    return defaults | left


def unfit(parameters: Mapping[str, Any]) -> str | None:
    """Describe what parameters may not contain whatever the schema, as a sentence; None if they are fine."""
    if problem := next(_unfit(parameters, "", MAX_DEPTH), None):
        return problem
    size = len(json.dumps(parameters, ensure_ascii=False).encode())
    return f"they have {size} bytes, {MAX_PARAMETERS} are allowed: pass a reference" if size > MAX_PARAMETERS else None


def _unfit(value: Any, path: str, levels: int) -> Iterator[str]:
    if isinstance(value, str) and not is_text(value):
        yield f"{path} holds a NUL character, or half of a surrogate pair".lstrip()
    elif isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        yield f"{path} is an integer beyond 63 bits, which would be changed on the way: pass it as a text"
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{path} is {value}, which is no number that JSON can hold"
    elif isinstance(value, (dict, list)) and not levels:
        yield f"{path} is nested deeper than {MAX_DEPTH} levels"
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _unfit(key, path, levels)
            yield from _unfit(each, at(path, key), levels - 1)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _unfit(each, at(path, index), levels - 1)


def _misfits(schema: Schema | bool, value: Any, path: str) -> Iterator[str]:
    if isinstance(schema, bool):
        if not schema:
            yield f"{path} is not allowed"
        return
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_TYPES[kind](value) for kind in kinds):
        yield f"{path} is {_written(value)}, and must be {' or '.join(_NOUNS[kind] for kind in kinds)}"
        return
    yield from _choices(schema, value, path)
    if isinstance(value, str):
        yield from _text(schema, value, path)
    elif isinstance(value, list):
        yield from _array(schema, value, path)
    elif isinstance(value, dict):
        yield from _object(schema, value, path)
    elif not isinstance(value, bool) and value is not None:
        yield from _limits(schema, value, path, "", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"))
        if "multipleOf" in schema and Decimal(str(value)) % Decimal(str(schema["multipleOf"])):
            yield f"{path} is {value}, and must be a multiple of {schema['multipleOf']}"


def _choices(schema: Schema, value: Any, path: str) -> Iterator[str]:
    if "enum" in schema and _comparable(value) not in map(_comparable, schema["enum"]):
        yield f"{path} is {_written(value)}, and must be one of {', '.join(map(_written, schema['enum']))}"
    if "const" in schema and _comparable(schema["const"]) != _comparable(value):
        yield f"{path} is {_written(value)}, and must be {_written(schema['const'])}"
    for keyword in ("anyOf", "oneOf"):
        options = schema.get(keyword, [])
        problems = [problem for each in options if (problem := misfit(each, value, path)) is not None]
        if options and len(problems) == len(options):
            others = f"{path} is {_written(value)}, and fits none of {len(options)} types"
            yield problems[0] if len(options) == 1 else others
        elif keyword == "oneOf" and len(options) - len(problems) > 1:
            yield f"{path} is {_written(value)}, and fits more than one of {len(options)} types"
    if "not" in schema and misfit(schema["not"], value, path) is None:
        yield f"{path} is {_written(value)}, and must not be"
    for each in schema.get("allOf", []):
        yield from _misfits(each, value, path)


def _text(schema: Schema, value: str, path: str) -> Iterator[str]:
    yield from _limits(schema, len(value), path, " characters", ("minLength", "maxLength"))
    if "pattern" in schema and not matches(schema["pattern"], value):
        yield f"{path} is {_written(value)}, and must match {schema['pattern']}"
    json_type = FORMATS.get(name := schema.get("format", ""))
    if json_type is not None and not (json_type.takes(value) or (name == "duration" and _DURATION.fullmatch(value))):
        yield f"{path} is {_written(value)}, and must be {json_type.noun}"


def _array(schema: Schema, value: list[Any], path: str) -> Iterator[str]:
    yield from _limits(schema, len(value), path, " items", ("minItems", "maxItems"))
    first = schema.get("prefixItems", [])
    for index, each in enumerate(value):
        yield from _misfits(first[index] if index < len(first) else schema.get("items", {}), each, at(path, index))
    if schema.get("uniqueItems") and len(set(map(_comparable, value))) < len(value):
        yield f"{path} holds something twice"


def _object(schema: Schema, value: Mapping[str, Any], path: str) -> Iterator[str]:
    yield from _limits(schema, len(value), path, " entries", ("minProperties", "maxProperties"))
    for name in schema.get("required", []):
        if name not in value:
            yield f"{at(path, name)} is missing"
    known, rest = schema.get("properties", {}), schema.get("additionalProperties", {})
    for name, each in value.items():
        schemas = [known[name]] if name in known else []
        schemas += [inside for pattern, inside in schema.get("patternProperties", {}).items() if matches(pattern, name)]
        for inside in schemas or [rest]:
            yield from _misfits(inside, each, at(path, name))


def _limits(schema: Schema, number: float, path: str, unit: str, keywords: tuple[str, ...]) -> Iterator[str]:
    for keyword in keywords:
        if keyword in schema and not _LIMITS[keyword][0](number, schema[keyword]):
            found, wanted = (f"has {number}{unit}", "have") if unit else (f"is {number}", "be")
            yield f"{path} {found}, and must {wanted} {_LIMITS[keyword][1]} {schema[keyword]}"


def _comparable(value: Any) -> Hashable:
    """A hashable that is equal for values that are equal as JSON: 1 equals 1.0, but not true."""
    if isinstance(value, list):
        return list, tuple(map(_comparable, value))
    if isinstance(value, dict):
        return dict, frozenset((key, _comparable(each)) for key, each in value.items())
    return isinstance(value, bool), value


def _written(value: Any) -> str:
    return shown_json(value) if isinstance(value, (dict, list, str)) else json.dumps(value)


def _whole(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == int(value)


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": _whole,
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}
_NOUNS = {
    "null": "null",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "array": "a list",
    "object": "an object",
}
_LIMITS: Mapping[str, tuple[Callable[[Any, Any], bool], str]] = {
    **{f"min{what}": (lambda found, limit: found >= limit, "at least") for what in ("Length", "Items", "Properties")},
    **{f"max{what}": (lambda found, limit: found <= limit, "at most") for what in ("Length", "Items", "Properties")},
    "minimum": (lambda found, limit: found >= limit, "at least"),
    "maximum": (lambda found, limit: found <= limit, "at most"),
    "exclusiveMinimum": (lambda found, limit: found > limit, "more than"),
    "exclusiveMaximum": (lambda found, limit: found < limit, "less than"),
}
