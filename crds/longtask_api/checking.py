"""Validates values against untrusted JSON Schemas (2020-12) with jsonschema_rs; no remote reference is loaded. Pure."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import islice
from typing import Any, Final, Never

from jsonschema_rs import Draft202012Validator, FancyRegexOptions, ValidationError

from longtask_api import constants, survey
from longtask_api.bounds import MAX_DEPTH, depth_of
from longtask_api.survey import Size, Survey, place, size_of

MAX_PATTERNS: Final = 32
"""Distinct regular expressions in a schema; compiling one takes up to some milliseconds."""
MAX_TOLD_STEPS: Final = 3_000
"""Cost, in steps, up to which a check reports all errors: the validator creates all of them, at 0.02 ms each, before it
yields the first."""
MAX_ERRORS: Final = 10
"""Errors that a check reports at most."""
SHOWN: Final = 100
"""Characters of an invalid value that a message shows."""
MAX_MESSAGE: Final = 1000
"""Characters of a message about an invalid value."""

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_PATTERNS: Final = FancyRegexOptions(backtrack_limit=10_000, size_limit=1024 * 1024, dfa_size_limit=1024 * 1024)
_DURATION = re.compile(r"-?P(?=[\dT])(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?", re.ASCII)
_VALUE: Final = "\ue000"
"""Placeholder for the value in the validator's messages: a private-use character."""


@dataclass(frozen=True)
class Mismatch:
    """One violation. `path` is like `epochs`, `optimizer.rate` or `layers[2]`; it is empty for the whole value."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def check_value_schema(schema: Mapping[str, Any]) -> list[str]:
    """Why this is not a usable schema for a result or an answer, one sentence each; empty if it is one."""
    if depth_of(schema, MAX_DEPTH) > MAX_DEPTH:
        return [f"is nested deeper than {MAX_DEPTH} levels"]
    text = _text(schema)
    size = len(text.encode("utf-8", "replace"))
    if size > constants.MAX_SCHEMA_BYTES:
        return [f"has {size} bytes as JSON; {constants.MAX_SCHEMA_BYTES} are allowed"]
    try:
        _schema_of_schemas().validate(schema)
        problems = list(_survey(text).problems) or list(_pattern_problems(_survey(text)))
        if not problems:
            _validator(text)
    except ValidationError as error:
        return [_no_schema(place(error.instance_path), error.message)]
    except ValueError as error:
        return [f"not a JSON Schema (2020-12): {error}"]
    return problems


def mismatches(
    schema: Mapping[str, Any], value: Any, noun: str = "property", at_most: int = MAX_ERRORS
) -> list[Mismatch]:
    """Violations of the schema by a value, sorted by position, `at_most` of them; empty if it is valid.

    `noun` is what messages call an object's key. For a large value only the first violation found is returned.
    """
    if unfit := unwritable(value):
        return unfit
    text = _text(schema)
    known, size = _survey(text), size_of(value)
    if known.problems:
        return [Mismatch("", f"cannot be held against the schema: {known.problems[0]}")]
    if not known.may_check(size):
        return [Mismatch("", f"has {size.places} values, too many to be held against so large a schema")]
    try:
        validator = _validator(text)
    except ValueError as error:
        return [Mismatch("", f"cannot be held against the schema: {error!s:.{MAX_MESSAGE}}")]
    if validator.is_valid(value):
        return []
    if known.steps(size) > MAX_TOLD_STEPS:
        return _first(schema, validator, known, value, size, noun)[:at_most]
    found = sorted(validator.iter_errors(value), key=_position)
    return list(
        islice(dict.fromkeys(each for error in found for each in _readable(schema, value, error, noun)), at_most)
    )


def unusable(schema: Mapping[str, Any]) -> str | None:
    """Why values cannot be checked against the schema, None if they can. An older version may have accepted it."""
    text = _text(schema)
    if problems := _survey(text).problems:
        return problems[0]
    try:
        _validator(text)
    except ValueError as error:
        return f"{error!s:.{MAX_MESSAGE}}"
    return None


def unwritable(value: Any) -> list[Mismatch]:
    """Parts of a value that are not portable JSON (half a surrogate pair, too deep nesting); at most 10 entries."""
    return list(islice(_unwritable(value, "", MAX_DEPTH), MAX_ERRORS))


def joined(path: str, key: str) -> str:
    """The path of the child `key` of the object at `path`."""
    return f"{path}.{key}" if path else key


def _unwritable(value: Any, path: str, levels: int) -> Iterator[Mismatch]:
    if isinstance(value, str):
        if not (value.isascii() or _is_unicode(value)):
            yield Mismatch(path, "holds half a surrogate pair, which is no character")
    elif isinstance(value, Mapping | list) and not levels:
        yield Mismatch(path, f"is nested deeper than {MAX_DEPTH} levels")
    elif isinstance(value, Mapping):
        for key, child in value.items():
            bad = list(_unwritable(key, path, levels))
            yield from bad or _unwritable(child, joined(path, key), levels - 1)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _unwritable(child, f"{path}[{index}]", levels - 1)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _first(
    schema: Mapping[str, Any], validator: Draft202012Validator, known: Survey, value: Any, size: Size, noun: str
) -> list[Mismatch]:
    """The first violation in a large value."""
    if known.branches:  # the error of an anyOf or oneOf contains all errors of every alternative
        return [Mismatch("", f"does not fit; of {size.places} values under alternatives it is not looked up which")]
    try:
        validator.validate(value)
    except ValidationError as error:
        return _readable(schema, value, error, noun)
    return []


@lru_cache(maxsize=128)
def _survey(text: str) -> Survey:
    return survey.survey(json.loads(text))


@lru_cache(maxsize=128)
def _validator(text: str) -> Draft202012Validator:
    return _validating({**json.loads(text), "$schema": _DIALECT})


def _validating(schema: Mapping[str, Any]) -> Draft202012Validator:
    """Compile a schema. By default jsonschema_rs loads references to URLs and files; the retriever refuses them.

    Raises ValidationError or ValueError if the schema is invalid.
    """
    return Draft202012Validator(
        dict(schema),
        validate_formats=True,
        formats=_FORMATS,
        retriever=_open_nothing,
        pattern_options=_PATTERNS,
        mask=_VALUE,
    )


def _open_nothing(uri: str) -> Never:
    raise ValueError(f"{uri} is not opened")


@lru_cache(maxsize=1)
def _schema_of_schemas() -> Draft202012Validator:
    """The metaschema, without formats: regular expressions are compiled one by one in `_pattern_problems`."""
    return Draft202012Validator({"$ref": _DIALECT}, retriever=_open_nothing)


def _pattern_problems(known: Survey) -> Iterator[str]:
    if len(known.patterns) > MAX_PATTERNS:
        yield f"has {len(known.patterns)} different regular expressions; {MAX_PATTERNS} are allowed"
        return
    for pattern, where in known.patterns.items():
        try:
            _validating({"pattern": pattern})
        except ValidationError:
            yield _no_schema(where, f"{_shown(pattern)} is no regular expression, or one that grows too large")


def _no_schema(where: str, message: str) -> str:
    return f"not a JSON Schema (2020-12): {where}: {message[:MAX_MESSAGE]}"


def _text(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))


def _position(error: ValidationError) -> list[tuple[bool, str | int]]:
    return [(isinstance(part, str), part) for part in error.instance_path]


def _readable(schema: Mapping[str, Any], value: Any, error: ValidationError, noun: str) -> list[Mismatch]:
    """Convert a validator's error into mismatches, with paths and values written as in JSON."""
    path, kind = "", error.kind.as_dict()
    for part in error.instance_path:
        path = f"{path}[{part}]" if isinstance(part, int) else joined(path, part)
    match error.kind.name:
        case "required":
            return [Mismatch(joined(path, kind["property"]), "is required")]
        case "additionalProperties" | "unevaluatedProperties":
            known = _at(schema, error.schema_path[:-1]).get("properties") or {}
            allowed = f"allowed are {', '.join(known)}" if known else "none is allowed here"
            return [
                Mismatch(joined(path, name[:64]), f"no such {noun}; {allowed}"[:MAX_MESSAGE])
                for name in kind["unexpected"]
            ]
        case "falseSchema" if error.schema_path[-1:] == ["additionalProperties"]:
            strange = _at(value, error.instance_path)  # the error does not say which of the keys it is about
            return [Mismatch(joined(path, name[:64]), f"no such {noun}; none is allowed here") for name in strange]
        case "falseSchema":
            message = "is not allowed here"
        case "enum":
            message = f"{_VALUE} is not one of {', '.join(_json(option) for option in kind['options'])}"
        case _:
            message = error.message
    return [Mismatch(path, message.replace(_VALUE, _shown(error.instance), 1)[:MAX_MESSAGE])]


def _at(node: Any, path: Iterable[str | int]) -> Any:
    for part in path:
        node = node[part]
    return node


def _shown(value: Any) -> str:
    text = _json(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _reads(read: Any) -> Any:
    """A format check from a parser: the text is valid if `read` returns a true value and raises no parse error."""

    def fits(text: str) -> bool:
        try:
            return bool(read(text))
        except (ValueError, InvalidOperation):
            return False

    return fits


_FORMATS: Final = {
    "date-time": _reads(lambda text: datetime.fromisoformat(text).tzinfo is not None),
    # With or without an offset: JSON Schema requires one, Python's times have none.
    "time": _reads(lambda text: time.fromisoformat(text) is not None),
    "duration": _reads(lambda text: _DURATION.fullmatch(text) is not None),
    "decimal": _reads(lambda text: Decimal(text).is_finite()),
    # Not checked: compiling an untrusted regular expression has no bounded cost.
    "regex": _reads(lambda _: True),
}
"""Formats in addition to those that jsonschema_rs checks itself: date, email, ipv4, ipv6, uuid, uri, hostname, ..."""
