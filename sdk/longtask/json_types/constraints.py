"""Annotated[X, ...]: descriptions, and limits of annotated-types and pydantic, recognized by their attributes."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from longtask.json_types.base import BadValue, JsonType, Schema, SignatureError, shown_json
from longtask.json_types.composites import Nullable
from longtask.json_types.patterns import matches

_ATTRIBUTES = ("gt", "ge", "lt", "le", "min_length", "max_length", "pattern")


def constrained(inner: JsonType, notes: Iterable[Any], where: str) -> JsonType:
    """The type with the description and limits of the notes; unknown notes are ignored. Raises SignatureError for
    limits that JSON Schema cannot express."""
    if isinstance(inner, Nullable):  # the notes apply to X of X | None
        return Nullable(constrained(inner.inner, notes, where))
    description = ""
    limits: dict[str, Any] = {}
    for note in _all_notes(notes):
        text = note if isinstance(note, str) else getattr(note, "description", None)
        if isinstance(text, str):
            description = " ".join(text.split())
        for attribute in _ATTRIBUTES:
            if (limit := getattr(note, attribute, None)) is not None:
                limits |= _limit(inner, attribute, limit, where)
    return Constrained(inner, limits, description) if limits or description else inner


@dataclass(frozen=True)
class Constrained(JsonType):
    """A type with a description, and with JSON Schema keywords that values must satisfy."""

    inner: JsonType
    limits: Mapping[str, Any]
    description: str

    def schema(self) -> Schema:
        """The inner schema with the limits and the description."""
        described = {"description": self.description} if self.description else {}
        return self.inner.schema() | dict(self.limits) | described

    def decode(self, value: Any, path: str) -> Any:
        """Decode, and check the JSON value against the limits."""
        decoded = self.inner.decode(value, path)
        for keyword, limit in self.limits.items():
            holds, rule = _RULES[keyword]
            if not holds(value, limit):
                raise BadValue(path, f"{shown_json(value)} must {rule.format(limit)}")
        return decoded

    def encode(self, value: Any, path: str) -> Any:
        """Encode, and check the JSON value against the limits."""
        encoded = self.inner.encode(value, path)
        self.decode(encoded, path)
        return encoded


def _all_notes(notes: Iterable[Any]) -> Iterable[Any]:
    """The notes, and those inside pydantic's Field."""
    for note in notes:
        yield note
        inside = getattr(note, "metadata", None)
        if isinstance(inside, (list, tuple)):
            yield from inside


def _limit(inner: JsonType, attribute: str, limit: Any, where: str) -> dict[str, Any]:
    type_ = inner.schema().get("type")
    keyword = _KEYWORDS.get(type_ or "", {}).get(attribute)
    if keyword is None:
        raise SignatureError(
            f"{where}: JSON Schema has no word for {attribute} of {type_ or 'this type'}; "
            "remove it and check the value in the function"
        )
    if not _LIMITS[attribute](limit):
        raise SignatureError(f"{where}: {attribute}={limit!r} is no limit that JSON Schema can state")
    return {keyword: limit}


def _is_number(limit: Any) -> bool:
    return type(limit) in (int, float) and math.isfinite(limit)


def _is_length(limit: Any) -> bool:
    return type(limit) is int and limit >= 0


def _is_pattern(limit: Any) -> bool:
    try:
        return isinstance(limit, str) and bool(re.compile(limit))
    except re.error:
        return False


_LIMITS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("gt", "ge", "lt", "le"), _is_number),
    **dict.fromkeys(("min_length", "max_length"), _is_length),
    "pattern": _is_pattern,
}


_NUMBERS = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}

_KEYWORDS: Mapping[str, Mapping[str, str]] = {
    "integer": _NUMBERS,
    "number": _NUMBERS,
    "string": {"min_length": "minLength", "max_length": "maxLength", "pattern": "pattern"},
    "array": {"min_length": "minItems", "max_length": "maxItems"},
    "object": {"min_length": "minProperties", "max_length": "maxProperties"},
}
"""The JSON Schema keyword for each attribute of annotated-types and pydantic, by JSON type."""

_RULES: Mapping[str, tuple[Callable[[Any, Any], bool], str]] = {
    "exclusiveMinimum": (lambda value, limit: value > limit, "be more than {}"),
    "minimum": (lambda value, limit: value >= limit, "be at least {}"),
    "exclusiveMaximum": (lambda value, limit: value < limit, "be less than {}"),
    "maximum": (lambda value, limit: value <= limit, "be at most {}"),
    "minLength": (lambda value, limit: len(value) >= limit, "have at least {} characters"),
    "maxLength": (lambda value, limit: len(value) <= limit, "have at most {} characters"),
    "minItems": (lambda value, limit: len(value) >= limit, "have at least {} items"),
    "maxItems": (lambda value, limit: len(value) <= limit, "have at most {} items"),
    "minProperties": (lambda value, limit: len(value) >= limit, "have at least {} entries"),
    "maxProperties": (lambda value, limit: len(value) <= limit, "have at most {} entries"),
    "pattern": (lambda value, limit: matches(limit, value), "match {}"),
}
