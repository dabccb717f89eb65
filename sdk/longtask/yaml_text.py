"""Writes JSON documents as block YAML that YAML 1.1 and 1.2 read alike."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

_WORD = r"[A-Za-z_/][A-Za-z0-9_/.-]*"
_PLAIN = re.compile(rf"{_WORD}(?: {_WORD})*")
_TAKEN = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""Code points that YAML forbids or reads as line breaks or byte order marks, and those that are no characters."""
_INDENT = "  "


def yaml_text(document: Mapping[str, Any]) -> str:
    """The document as YAML, with a line break at its end.

    Raises ValueError for NaN and infinity, and TypeError for what is not JSON.
    """
    return "\n".join(_mapping(document, "")) + "\n"


def _mapping(mapping: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in mapping.items():
        yield from _entry(f"{indent}{_string(key)}:", value, indent)


def _sequence(items: list[Any], indent: str) -> Iterator[str]:
    for item in items:
        if isinstance(item, (dict, list)) and item:
            lines = list(_block(item, indent + _INDENT))
            yield f"{indent}- {lines[0].lstrip()}"
            yield from lines[1:]
        else:
            yield from _entry(f"{indent}-", item, indent)


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, (dict, list)) and value:
        yield head
        yield from _block(value, indent + _INDENT)
    elif isinstance(value, str) and _reads_as_lines(value):
        yield f"{head} |-"
        yield from (f"{indent}{_INDENT}{line}" if line else "" for line in value.split("\n"))
    else:
        yield f"{head} {scalar_text(value)}"


def _block(value: dict[str, Any] | list[Any], indent: str) -> Iterator[str]:
    return _mapping(value, indent) if isinstance(value, dict) else _sequence(value, indent)


def scalar_text(value: Any) -> str:
    """A value as YAML on one line, also valid in flow style: a string, number, boolean, null, or an empty list or
    mapping. Raises as `yaml_text` does."""
    if isinstance(value, str):
        return _string(value)
    if value is None or isinstance(value, (bool, int)) or value in ({}, []):
        return json.dumps(value)
    if not isinstance(value, float):
        raise TypeError(f"{value!r} is not JSON")
    if not math.isfinite(value):
        raise ValueError(f"{value!r} is no number of JSON")
    # YAML 1.1 reads 1e-05 as text.
    return re.sub(r"^(-?\d+)e", r"\1.0e", repr(value))


def _string(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _TAKEN:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def _reads_as_lines(text: str) -> bool:
    """Whether a literal block preserves the text: several lines, the first starts with text, none ends with a blank."""
    lines = text.split("\n")
    if len(lines) == 1 or not lines[0] or not lines[-1] or lines[0][0] in " \t" or _UNPRINTABLE.search(text):
        return False
    return not any(line.endswith((" ", "\t")) for line in lines)
