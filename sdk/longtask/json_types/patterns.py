"""Regular expressions of JSON Schema (ECMAScript), evaluated with Python's `re`."""

import re
from collections.abc import Mapping

_PARTS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\$", re.DOTALL)
"""Syntax with another meaning in `re`: escapes, character classes, dollar signs."""
_OUTSIDE: Mapping[str, str] = {
    "$": r"\Z",  # in `re` it also matches before a final line feed
    r"\d": "[0-9]",
    r"\D": "[^0-9]",
    r"\w": "[A-Za-z0-9_]",
    r"\W": "[^A-Za-z0-9_]",
}
_INSIDE: Mapping[str, str] = {r"\d": "0-9", r"\w": "A-Za-z0-9_"}


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text. True if `re` rejects it: the operator uses another engine."""
    try:
        is_by_line = re.compile(pattern).flags & re.MULTILINE
        compiled = re.compile(pattern if is_by_line else _PARTS.sub(_meant, pattern))
    except (re.error, OverflowError, RecursionError):
        return True
    return compiled.search(text) is not None


def _meant(found: re.Match[str]) -> str:
    part = found[0]
    if part.startswith("["):
        return re.sub(r"\\.", lambda inner: _INSIDE.get(inner[0], inner[0]), part, flags=re.DOTALL)
    return _OUTSIDE.get(part, part)
