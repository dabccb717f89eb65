"""Parameters of a task against the JSON Schema (2020-12) of its template.

Everything here is pure but may be slow for a hostile schema or value (a pattern can backtrack for minutes):
servers call it through longtask_runtime.validation, which ends it after a time limit.
"""

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry

from longtask_api import names
from longtask_api.tools import RESERVED_ARGUMENTS

PROPERTY_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")
MAX_ERRORS = 10


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
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = ".".join(str(part) for part in error.absolute_path) or "the schema"
        return [f"not a JSON Schema (2020-12): {where}: {error.message}"]
    if schema.get("type") != "object":
        return ['the schema\'s type must be "object": parameters have names']
    return [
        *_property_problems(schema.get("properties", {})),
        *_reference_problems(schema),
        *_pattern_problems(schema),
    ]


def complete(schema: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with the schema's defaults filled in. Raises InvalidParameters when they do not fit."""
    completed: dict[str, Any] = deepcopy(dict(parameters))
    _fill_defaults(schema, completed)
    size = len(json.dumps(completed, ensure_ascii=False).encode())
    if size > names.MAX_PARAMETERS_BYTES:
        raise InvalidParameters(
            [
                ParameterError(
                    "", f"the parameters have {size} bytes, {names.MAX_PARAMETERS_BYTES} are allowed: pass a reference"
                )
            ]
        )
    validator = Draft202012Validator(_closed(schema), registry=Registry())
    errors = [_readable(error) for error in sorted(validator.iter_errors(completed), key=_position)]
    errors += [ParameterError(path, "holds a NUL character") for path in _nul_paths(completed, "")]
    if errors:
        raise InvalidParameters(errors[:MAX_ERRORS])
    return completed


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
        for child in node.values():
            yield from _subschemas(child)
    elif isinstance(node, list):
        for child in node:
            yield from _subschemas(child)


def _reference_problems(schema: Mapping[str, Any]) -> Iterator[str]:
    for node in _subschemas(schema):
        for keyword in ("$ref", "$dynamicRef"):
            target = node.get(keyword)
            if isinstance(target, str) and not target.startswith("#"):
                yield f"{keyword} {target!r}: only references inside the schema (#/$defs/...) are followed"
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
    node: Any = schema
    for part in reference.removeprefix("#").strip("/").split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        node = node.get(key) if isinstance(node, Mapping) and part else node
    return node


def _pattern_problems(schema: Mapping[str, Any]) -> Iterator[str]:
    for node in _subschemas(schema):
        pattern = node.get("pattern")
        if isinstance(pattern, str):
            try:
                re.compile(pattern)
            except re.error as error:
                yield f"pattern {pattern!r} cannot be read: {error}"


def _closed(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema that says nothing about other properties allows none: a misspelt parameter is an error."""
    if schema.keys() & {"additionalProperties", "unevaluatedProperties", "patternProperties"}:
        return schema
    return {**schema, "additionalProperties": False}


def _fill_defaults(schema: Any, value: dict[str, Any]) -> None:
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    for name, child in (properties or {}).items():
        if not isinstance(child, Mapping):
            continue
        if name not in value and "default" in child:
            value[name] = deepcopy(child["default"])
        if isinstance(value.get(name), dict):
            _fill_defaults(child, value[name])


def _position(error: ValidationError) -> str:
    return error.json_path


def _readable(error: ValidationError) -> ParameterError:
    path = error.json_path.removeprefix("$").removeprefix(".")
    message = error.message if len(error.message) <= 300 else f"{error.message[:300]}..."
    if error.validator == "required":
        message = f"{message}; see the template's parametersSchema"
    return ParameterError(path, message)


def _nul_paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, str) and "\0" in value:
        yield path
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from _nul_paths(child, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _nul_paths(child, f"{path}[{index}]")
