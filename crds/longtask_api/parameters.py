"""Parameters of a task, and what it gives and is answered, against JSON Schemas (2020-12).

Everything here is pure but may be slow for a hostile schema or value (a pattern can backtrack for minutes):
servers call it through longtask_runtime.validation, which ends it after a time limit.
"""

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import islice
from typing import Any, Final
from urllib.parse import unquote

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry

from longtask_api import names
from longtask_api.tools import RESERVED_ARGUMENTS

PROPERTY_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")
DATA_KEYWORDS: Final = frozenset({"default", "const", "enum", "examples"})
"""Keywords that hold values, not schemas."""
NAMED_SCHEMAS: Final = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"})
"""Keywords that hold schemas under names of the author's choice."""
FORMATS: Final = FormatChecker(["date", "email", "ipv4", "ipv6", "uuid"])
MAX_ERRORS = 10
MAX_DEPTH = 100
MAX_MESSAGE = 1000
SHOWN = 100
"""Characters of a wrong value, and of a message about it."""


@dataclass(frozen=True)
class ParameterError:
    """One thing that does not fit: `path` is `epochs` or `optimizer.rate` or `layers[2]`, empty for the whole."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class InvalidParameters(ValueError):
    """The parameters do not fit the template; `errors` has at most 10 entries and at least one."""

    def __init__(self, errors: list[ParameterError]) -> None:
        super().__init__("; ".join(str(error) for error in errors))
        self.errors = errors

    def __reduce__(self) -> tuple[Any, ...]:
        return InvalidParameters, (self.errors,)


def check_schema(schema: Mapping[str, Any]) -> list[str]:
    """Why a template may not have this parametersSchema, one sentence each; empty when it may."""
    problems = check_value_schema(schema)
    if problems:
        return problems
    if schema.get("type") != "object":
        return ['the schema\'s type must be "object": parameters have names']
    return list(_property_problems(schema.get("properties", {})))


def check_value_schema(schema: Mapping[str, Any]) -> list[str]:
    """Why this is no schema for a result or an answer, one sentence each; empty when it is."""
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = ".".join(str(part) for part in error.absolute_path) or "the schema"
        return [f"not a JSON Schema (2020-12): {where}: {error.message}"]
    return list(_reference_problems(schema))


def complete(schema: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with the schema's defaults filled in. Raises InvalidParameters when they do not fit."""
    unwritable = _unwritable_errors(parameters)
    if unwritable:
        raise InvalidParameters(unwritable)
    completed: dict[str, Any] = deepcopy(dict(parameters))
    _fill_defaults(schema, schema, completed)
    size = len(json.dumps(completed, ensure_ascii=False).encode())
    if size > names.MAX_PARAMETERS_BYTES:
        raise InvalidParameters(
            [
                ParameterError(
                    "", f"the parameters have {size} bytes, {names.MAX_PARAMETERS_BYTES} are allowed: pass a reference"
                )
            ]
        )
    errors = _errors(_closed(schema), completed, "parameter")
    errors += [ParameterError(path, "holds a NUL character") for path in _nul_paths(completed, "")]
    if errors:
        raise InvalidParameters(errors[:MAX_ERRORS])
    return completed


def mismatches(schema: Mapping[str, Any], value: Any) -> list[ParameterError]:
    """How a JSON value does not fit a schema, at most 10 entries; empty when it fits.

    The schema is one in which check_value_schema finds nothing wrong.
    """
    return _unwritable_errors(value) or _errors(schema, value, "property")[:MAX_ERRORS]


def _unwritable_errors(value: Any) -> list[ParameterError]:
    return [ParameterError(path, problem) for path, problem in islice(_unwritable(value, "", MAX_DEPTH), MAX_ERRORS)]


def _errors(schema: Mapping[str, Any], value: Any, noun: str) -> list[ParameterError]:
    """Everything that does not fit, by position; `noun` is what a name in an object is called."""
    found = sorted(_validator(json.dumps(schema)).iter_errors(value), key=_position)
    return list(dict.fromkeys(each for error in found for each in _readable(error, noun)))


@FORMATS.checks("date-time", raises=ValueError)
def _is_date_time(value: object) -> bool:
    """RFC 3339, section 5.6: a date, a time and an offset."""
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@lru_cache(maxsize=128)
def _validator(schema_text: str) -> Draft202012Validator:
    """A validator that follows no remote reference. Making one costs more than using it."""
    return Draft202012Validator(json.loads(schema_text), registry=Registry(), format_checker=FORMATS)


def environment_name(parameter: str) -> str:
    """The environment variable that carries a scalar parameter: `model-name` comes as LONGTASK_PARAM_MODEL_NAME."""
    return names.ENV_PARAMETER_PREFIX + parameter.upper().replace("-", "_")


def _property_problems(properties: Mapping[str, Any]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for name in properties:
        if not PROPERTY_NAME.fullmatch(name):
            yield f"parameter {name!r}: a name has up to 64 of A-Z, a-z, 0-9, '_' and '-', and starts with a letter"
        if name in RESERVED_ARGUMENTS:
            yield f"parameter {name!r}: the name is reserved for LongTask itself; choose another"
        variable = environment_name(name)
        if variable in seen:
            yield f"parameters {seen[variable]!r} and {name!r} would both arrive as {variable}; rename one"
        seen[variable] = name


def _subschemas(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, Mapping):
        yield node
        for key, child in node.items():
            if key in NAMED_SCHEMAS and isinstance(child, Mapping):
                for named in child.values():
                    yield from _subschemas(named)
            elif key not in DATA_KEYWORDS:
                yield from _subschemas(child)
    elif isinstance(node, list):
        for child in node:
            yield from _subschemas(child)


def _reference_problems(schema: Mapping[str, Any]) -> Iterator[str]:
    for node in _subschemas(schema):
        for keyword in ("$ref", "$dynamicRef"):
            target = node.get(keyword)
            if isinstance(target, str) and target != "#" and not target.startswith("#/"):
                yield f"{keyword} {target!r}: only references inside the schema (#/$defs/...) are followed"
            elif isinstance(target, str) and not isinstance(_target(schema, target), Mapping):
                yield f"{keyword} {target!r} leads to nothing in the schema"
            elif isinstance(target, str) and _is_recursive(schema, target):
                yield f"{keyword} {target!r} leads back to itself: tool schemas are flat, so it cannot be written out"


def _is_recursive(schema: Mapping[str, Any], reference: str) -> bool:
    pending, seen = [reference], set[str]()
    while pending:
        current = pending.pop()
        for node in _subschemas(_target(schema, current)):
            inner = node.get("$ref")
            if inner == reference:
                return True
            if isinstance(inner, str) and inner not in seen:
                seen.add(inner)
                pending.append(inner)
    return False


def _target(schema: Mapping[str, Any], reference: str) -> Any:
    """What a local reference leads to; None where that is nothing."""
    node: Any = schema
    for part in unquote(reference.removeprefix("#")).split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            node = node[int(key)]
        else:
            node = node.get(key) if isinstance(node, Mapping) else None
    return node


def _closed(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema that says nothing about other properties allows none: a misspelt parameter is an error."""
    if schema.keys() & {"additionalProperties", "unevaluatedProperties", "patternProperties"}:
        return schema
    return {**schema, "additionalProperties": False}


def _fill_defaults(root: Mapping[str, Any], schema: Mapping[str, Any], value: dict[str, Any]) -> None:
    for name, child in (schema.get("properties") or {}).items():
        child_schema = _resolved(root, child)
        if name not in value and "default" in child_schema:
            value[name] = deepcopy(child_schema["default"])
        if isinstance(value.get(name), dict):
            _fill_defaults(root, child_schema, value[name])


def _resolved(root: Mapping[str, Any], schema: Any) -> Mapping[str, Any]:
    """The schema with what its local reference leads to; what stands beside the reference wins."""
    if not isinstance(schema, Mapping):
        return {}
    reference = schema.get("$ref")
    if not isinstance(reference, str) or _is_recursive(root, reference):
        return schema
    return {**_resolved(root, _target(root, reference)), **schema}


def _position(error: ValidationError) -> list[tuple[bool, str | int]]:
    return [(isinstance(part, str), part) for part in error.absolute_path]


def _readable(error: ValidationError, noun: str) -> list[ParameterError]:
    """What jsonschema found, told by the path of what it is about."""
    path = ""
    for part in error.absolute_path:
        path = f"{path}[{part}]" if isinstance(part, int) else _joined(path, part)
    instance: Any = error.instance
    wanted: Any = error.validator_value
    schema: Any = error.schema
    if error.validator == "required":
        missing = [name for name in wanted if name not in instance]
        return [ParameterError(_joined(path, name), "is required") for name in missing]
    if error.validator == "additionalProperties" and wanted is False:
        known = schema.get("properties") or {}
        allowed = f"allowed are {', '.join(known)}" if known else "none is allowed here"
        patterns = schema.get("patternProperties") or {}
        named = [name for name in instance if name not in known]
        strange = [name for name in named if not any(re.search(pattern, name) for pattern in patterns)]
        return [ParameterError(_joined(path, name[:64]), f"no such {noun}; {allowed}") for name in strange]
    shown = repr(instance)
    short = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}... ({len(shown)} characters)"
    return [ParameterError(path, error.message.replace(shown, short)[:MAX_MESSAGE])]


def _unwritable(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    """(path, problem) of what cannot be written as JSON, or not be read again."""
    if depth == 0:
        yield path, f"is nested deeper than {MAX_DEPTH} levels"
    elif isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            yield path, "holds half a surrogate pair, which is no character"
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from _unwritable(key, path, depth)
            yield from _unwritable(child, _joined(path, key), depth - 1)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _unwritable(child, f"{path}[{index}]", depth - 1)


def _nul_paths(value: Any, path: str) -> Iterator[str]:
    """Where a NUL stands: no environment variable can hold one."""
    if isinstance(value, str) and "\0" in value:
        yield path
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from _nul_paths(child, _joined(path, str(key)))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _nul_paths(child, f"{path}[{index}]")


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
