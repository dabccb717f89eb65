"""Requests and answers, by botocore's model of the service: what a call is, whether it is valid, how errors look.

botocore checks little of what it sends (lengths of at least, required members, types); the service checks all of it,
and so does this: longest lengths, patterns, enums, unions, unknown members.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import botocore.session
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape
from botocore.utils import parse_timestamp

SERVICE = botocore.session.get_session().get_service_model("bedrock-agentcore")


class Refusal(Exception):
    """An error of the service. `code` is the name of one of its exceptions."""

    def __init__(self, code: str, message: str, **members: Any) -> None:
        super().__init__(message)
        self.code = code
        self.members = members


@dataclass(frozen=True)
class Route:
    """One operation and the paths that lead to it."""

    operation: OperationModel
    method: str
    path: re.Pattern[str]


def _routes() -> Iterator[Route]:
    for name in SERVICE.operation_names:
        operation = SERVICE.operation_model(name)
        template = operation.http["requestUri"].partition("?")[0].rstrip("/")
        pattern = "".join(
            f"(?P<{part[1:-1]}>[^/]+)" if part.startswith("{") else re.escape(part)
            for part in re.split(r"(\{[A-Za-z]+\})", template)
        )
        yield Route(operation, operation.http["method"], re.compile(pattern))


ROUTES = tuple(_routes())


def called(method: str, path: str) -> tuple[OperationModel, dict[str, str]] | None:
    """The operation that a request means, and the parameters in its path; None for no operation."""
    for route in ROUTES:
        found = route.path.fullmatch(path.rstrip("/"))
        if found is not None and route.method == method:
            return route.operation, {key: unquote(value) for key, value in found.groupdict().items()}
    return None


def arguments(operation: OperationModel, uri: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """The call's arguments. Raises Refusal for what the model does not allow."""
    shape = operation.input_shape
    if shape is None:
        return {}
    try:
        told = json.loads(body) if body else {}
    except ValueError as error:
        raise _invalid("CannotParse", "", f"the body is not JSON: {error}") from error
    if not isinstance(told, dict):
        raise _invalid("CannotParse", "", "the body is not a JSON object")
    located = {
        member.serialization["name"]: name
        for name, member in shape.members.items()
        if member.serialization.get("location") == "uri"
    }
    return _structure(shape, told | {located[key]: value for key, value in uri.items()}, "")


def checked(shape: Shape, value: Any, where: str) -> Any:
    """The value with its timestamps read. Raises Refusal where it does not fit the shape."""
    if isinstance(shape, StructureShape):
        return value if shape.metadata.get("document") else _structure(shape, value, where)
    if isinstance(shape, ListShape):
        _expect(isinstance(value, list), where, "must be a list")
        _length(shape, len(value), where)
        return [checked(shape.member, each, f"{where}[{index}]") for index, each in enumerate(value)]
    if isinstance(shape, MapShape):
        _expect(isinstance(value, dict), where, "must be a map")
        _length(shape, len(value), where)
        for key in value:
            checked(shape.key, key, f"{where} key {key!r}")
        return {key: checked(shape.value, each, f"{where}.{key}") for key, each in value.items()}
    return _scalar(shape, value, where)


def _structure(shape: StructureShape, value: Any, where: str) -> dict[str, Any]:
    _expect(isinstance(value, dict), where, "must be a structure")
    given = {key: each for key, each in value.items() if each is not None}
    unknown = sorted(given.keys() - shape.members.keys())
    _expect(not unknown, where, f"has no member {', '.join(unknown)}")
    missing = sorted(set(shape.required_members) - given.keys())
    _expect(not missing, where, f"lacks {', '.join(missing)}")
    _expect(not shape.is_tagged_union or len(given) == 1, where, f"must have exactly one of {', '.join(shape.members)}")
    return {key: checked(shape.members[key], each, f"{where}.{key}".lstrip(".")) for key, each in given.items()}


def _scalar(shape: Shape, value: Any, where: str) -> Any:
    match shape.type_name:
        case "string":
            _expect(isinstance(value, str), where, "must be a string")
            _length(shape, len(value), where)
            pattern, allowed = shape.metadata.get("pattern"), shape.metadata.get("enum")
            fits = pattern is None or re.fullmatch(pattern, value, re.ASCII) is not None
            _expect(fits, where, f"must satisfy the pattern {pattern}")
            _expect(allowed is None or value in allowed, where, f"must be one of {allowed}")
        case "timestamp":
            try:
                return parse_timestamp(value).astimezone(UTC)
            except (ValueError, TypeError, OverflowError) as error:
                raise _invalid("FieldValidationFailed", where, "must be a timestamp") from error
        case "boolean":
            _expect(isinstance(value, bool), where, "must be true or false")
        case "integer" | "long":
            _expect(isinstance(value, int) and not isinstance(value, bool), where, "must be a whole number")
            _length(shape, value, where)
        case "double" | "float":
            _expect(isinstance(value, int | float) and not isinstance(value, bool), where, "must be a number")
    return value


def _length(shape: Shape, size: int, where: str) -> None:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    _expect(least is None or size >= least, where, f"must be at least {least}, not {size}")
    _expect(most is None or size <= most, where, f"must be at most {most}, not {size}")


def _expect(fits: bool, where: str, problem: str) -> None:
    if not fits:
        raise _invalid("FieldValidationFailed", where, problem)


def _invalid(reason: str, where: str, problem: str) -> Refusal:
    fields = [{"name": where or "body", "message": problem}]
    return Refusal("ValidationException", f"{where or 'the request'} {problem}", reason=reason, fieldList=fields)


def status_of(code: str) -> int:
    """The HTTP status of one of the service's exceptions."""
    return int(SERVICE.shape_for(code).metadata["error"]["httpStatusCode"])


def document(value: Any) -> Any:
    """An answer as rest-json has it: times in seconds since 1970."""
    if isinstance(value, datetime):
        return round(value.timestamp(), 3)
    if isinstance(value, Mapping):
        return {key: document(each) for key, each in value.items() if each is not None}
    return [document(each) for each in value] if isinstance(value, list) else value
