"""Parameters and answers as a person types them: `epochs=10`, `layers:=[64, 32]`, `text=@notes.txt`. Pure."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from longtask_api.bounds import excess
from longtask_api.checking import mismatches
from longtask_api.reports import json_or_text
from longtask_api.survey import target_of

NAME = re.compile(r"([^:=]*)(:?=)(.*)", re.DOTALL)
MAX_ANSWER: Final = 4096
"""Characters of the JSON text of an answer, the limit of spec.inputResponses[].value."""
MAX_REFERENCES: Final = 45


class BadValue(ValueError):
    """What was typed cannot be read as a value; the message says what to type."""


def parameters(schema: Mapping[str, Any], words: Sequence[str], read: Callable[[str], str]) -> dict[str, Any]:
    """The parameters of `key=value` words, typed by the schema of each. `read` returns the text of a file.

    Raises BadValue, and what `read` raises.
    """
    found: dict[str, Any] = {}
    for word in words:
        match = NAME.fullmatch(word)
        if match is None or not match[1]:
            raise BadValue(f"{word!r} is no parameter: write NAME=VALUE, NAME:=JSON or NAME=@FILE")
        name, sign, text = match.groups()
        if name in found:
            raise BadValue(f"{name} is given twice")
        if text.startswith("@"):
            text = read(text[1:])
        found[name] = _json(name, text) if sign == ":=" else typed(schema, _property(schema, name), text)
    return found


def typed(root: Mapping[str, Any], schema: Any, text: str) -> Any:
    """A typed text as a value: itself where the schema takes text, else the JSON that it is, if it is some."""
    types = _types(root, schema, MAX_REFERENCES)
    return text if types is not None and "string" in types else json_or_text(text)


def answer(schema: Mapping[str, Any], text: str) -> str:
    """The JSON text of an answer that fits the schema: the JSON that was typed, else the words themselves.

    Raises BadValue with what does not fit.
    """
    readings = list({json.dumps(each): each for each in (json_or_text(text), text)}.values())
    problems = [mismatches(schema, reading, "property") for reading in readings]
    for reading, found in zip(readings, problems, strict=True):
        if not found:
            written = json.dumps(reading, ensure_ascii=False, separators=(",", ":"))
            if len(written) > MAX_ANSWER:
                raise BadValue(f"has {len(written)} characters as JSON, {MAX_ANSWER} are allowed")
            return written
    raise BadValue("; ".join(str(each) for each in problems[0]))


def _json(name: str, text: str) -> Any:
    if problem := excess(text):
        raise BadValue(f"{name}: {problem}")
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadValue(f"{name}: {text[:100]!r} is not JSON ({error}); write text as {name}=TEXT") from None


def _property(schema: Mapping[str, Any], name: str) -> Any:
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and name in properties:
        return properties[name]
    return schema.get("additionalProperties", {})


def _types(root: Mapping[str, Any], schema: Any, depth: int) -> frozenset[str] | None:
    """The JSON types that a schema takes; None if it does not say."""
    if not isinstance(schema, Mapping) or depth == 0:
        return None
    if isinstance(named := schema.get("type"), str):
        return frozenset({named})
    if isinstance(named, list):
        return frozenset(map(str, named))
    if isinstance(reference := schema.get("$ref"), str):
        return _types(root, target_of(root, reference), depth - 1)
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(values, list):
        return frozenset("string" if isinstance(each, str) else "other" for each in values)
    branches = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(branches, list):
        known = [_types(root, branch, depth - 1) for branch in branches]
        return frozenset[str]().union(*(each or () for each in known))
    return None
