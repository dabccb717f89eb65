"""Validates a template's parametersSchema and the parameters of a task. Pure."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from itertools import islice
from typing import Any, Final

from longtask_api import constants
from longtask_api.checking import MAX_ERRORS, Mismatch, check_value_schema, joined, mismatches, unwritable
from longtask_api.mcp_names import RESERVED_ARGUMENTS
from longtask_api.survey import target_of

PROPERTY_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")
MAX_SOUGHT: Final = 1000
"""Errors, in addition to one per default, that are searched for those about defaults."""
LARGEST_INTEGER: Final = 2**63 - 1
"""The API server stores larger integers as floating point."""


class InvalidParameters(ValueError):
    """The parameters do not fit the template. `errors` has 1 to 10 entries."""

    def __init__(self, errors: list[Mismatch]) -> None:
        super().__init__("; ".join(str(error) for error in errors))
        self.errors = errors


def check_schema(schema: Mapping[str, Any]) -> list[str]:
    """Why a template must not have this parametersSchema, one sentence each; empty if it is valid."""
    problems = check_value_schema(schema)
    if problems:
        return problems
    if schema.get("type") != "object":
        return ['the schema\'s type must be "object": parameters have names']
    return [
        *_name_problems(schema.get("properties", {})),
        *_missing_properties(schema, _closed(schema), ""),
        *_default_problems(schema),
    ]


def complete(schema: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with the schema's defaults filled in. Raises InvalidParameters if they do not fit.

    null for an optional parameter that does not allow null counts as absent, since MCP clients with strict schemas send
    every name.
    """
    unusable = unwritable(parameters) or list(islice(_unkept_numbers(parameters, ""), MAX_ERRORS))
    if unusable:
        raise InvalidParameters(unusable)
    completed: dict[str, Any] = deepcopy(dict(parameters))
    _drop_nulls(schema, schema, completed)
    _fill_defaults(schema, schema, completed)
    check_size(completed)
    errors = mismatches(_closed(schema), completed, "parameter")
    errors += [Mismatch(path, "holds a NUL character") for path in _nul_paths(completed, "")]
    if errors:
        raise InvalidParameters(errors[:MAX_ERRORS])
    return completed


def check_size(parameters: Mapping[str, Any]) -> None:
    """Raises InvalidParameters if the parameters exceed MAX_PARAMETERS_BYTES as JSON. `complete` checks the rest."""
    size = len(json.dumps(parameters, ensure_ascii=False).encode(errors="surrogatepass"))
    if size > constants.MAX_PARAMETERS_BYTES:
        message = f"the parameters have {size} bytes, {constants.MAX_PARAMETERS_BYTES} are allowed: pass a reference"
        raise InvalidParameters([Mismatch("", message)])


def environment_name(parameter: str) -> str:
    """Name of the environment variable of a scalar parameter: LONGTASK_PARAM_MODEL_NAME for `model-name`."""
    return constants.ENV_PARAMETER_PREFIX + parameter.upper().replace("-", "_")


def _name_problems(properties: Mapping[str, Any]) -> Iterator[str]:
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


def _missing_properties(root: Mapping[str, Any], schema: Mapping[str, Any], path: str) -> Iterator[str]:
    """Names that are required but not allowed."""
    properties = schema.get("properties") or {}
    if schema.get("additionalProperties") is False and not schema.get("patternProperties"):
        for name in schema.get("required") or []:
            if name not in properties:
                yield f"{joined(path, name)!r} is required, but is not among the properties, and others are not allowed"
    for name, child in properties.items():
        yield from _missing_properties(root, _resolved(root, child), joined(path, name))


def _default_problems(schema: Mapping[str, Any]) -> Iterator[str]:
    """Defaults that violate the schema: no start could omit these parameters."""
    places: list[str] = []
    given = _defaults(schema, schema, "", places)
    for error in mismatches(schema, given, "parameter", len(places) + MAX_SOUGHT):
        if any(error.path == place or error.path.startswith((f"{place}.", f"{place}[")) for place in places):
            yield f"the defaults do not fit: {error}"


def _defaults(root: Mapping[str, Any], schema: Mapping[str, Any], path: str, places: list[str]) -> dict[str, Any]:
    """The parameters of a start that passes none: all defaults, and the objects that contain some. Appends the paths of
    the defaults to `places`."""
    given: dict[str, Any] = {}
    for name, child in (schema.get("properties") or {}).items():
        child_schema, place = _resolved(root, child), joined(path, name)
        if "default" in child_schema:
            places.append(place)
            given[name] = deepcopy(child_schema["default"])
            if isinstance(given[name], dict):
                _fill_defaults(root, child_schema, given[name])
        elif inner := _defaults(root, child_schema, place, places):
            given[name] = inner
    return given


def _closed(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema, disallowing additional properties if it says nothing about them: a misspelt parameter is an error."""
    if schema.keys() & {"additionalProperties", "unevaluatedProperties", "patternProperties"}:
        return schema
    return {**schema, "additionalProperties": False}


def _drop_nulls(root: Mapping[str, Any], schema: Mapping[str, Any], value: Any) -> None:
    """Remove null from every optional field that does not allow it, at every depth."""
    if isinstance(value, list):
        items = _resolved(root, _chosen(root, schema, "array").get("items"))
        for each in value:
            _drop_nulls(root, items, each)
    elif isinstance(value, dict):
        schema = _chosen(root, schema, "object")
        required = schema.get("required") or []
        for name, child in (schema.get("properties") or {}).items():
            field = _resolved(root, child)
            if name in value and value[name] is None and name not in required and not _takes_null(root, field):
                del value[name]
            elif name in value:
                _drop_nulls(root, field, value[name])


def _chosen(root: Mapping[str, Any], schema: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """The schema merged with its only anyOf or oneOf option of that type; unchanged if there is none or several."""
    options = [_resolved(root, each) for each in schema.get("anyOf") or schema.get("oneOf") or []]
    fitting = [each for each in options if kind in each.get("type", ())]
    return {**schema, **fitting[0]} if len(fitting) == 1 else schema


def _takes_null(root: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    if "enum" in schema:
        return None in schema["enum"]
    if "const" in schema:
        return schema["const"] is None
    if "type" in schema:
        return "null" in ([schema["type"]] if isinstance(schema["type"], str) else schema["type"])
    options = schema.get("anyOf") or schema.get("oneOf") or []
    return not options or any(_takes_null(root, _resolved(root, option)) for option in options)


def _fill_defaults(root: Mapping[str, Any], schema: Mapping[str, Any], value: dict[str, Any]) -> None:
    for name, child in (schema.get("properties") or {}).items():
        child_schema = _resolved(root, child)
        if name not in value and "default" in child_schema:
            value[name] = deepcopy(child_schema["default"])
        if isinstance(value.get(name), dict):
            _fill_defaults(root, child_schema, value[name])


def _resolved(root: Mapping[str, Any], schema: Any) -> Mapping[str, Any]:
    """The schema merged with the target of its $ref; keywords beside the $ref take precedence."""
    if not isinstance(schema, Mapping):
        return {}
    reference = schema.get("$ref")
    return {**_resolved(root, target_of(root, reference)), **schema} if isinstance(reference, str) else schema


def _unkept_numbers(value: Any, path: str) -> Iterator[Mismatch]:
    """Numbers that the API server would not return unchanged."""
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        yield Mismatch(path, "is an integer beyond 63 bits, which would be changed on the way: pass it as a string")
    elif isinstance(value, float) and not math.isfinite(value):
        yield Mismatch(path, "is no number that JSON can hold")
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from _unkept_numbers(child, joined(path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _unkept_numbers(child, f"{path}[{index}]")


def _nul_paths(value: Any, path: str) -> Iterator[str]:
    """Paths of strings that contain NUL, which an environment variable cannot hold."""
    if isinstance(value, str) and "\0" in value:
        yield path
    elif isinstance(value, Mapping):
        for key, child in value.items():
            if "\0" in key:
                yield path
            yield from _nul_paths(child, joined(path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _nul_paths(child, f"{path}[{index}]")
