"""Limits on untrusted JSON, checked on its bytes before parsing, in linear time and without recursion.

A few kilobytes of nested brackets crash a process that parses, copies or writes them recursively, and a few megabytes
of empty lists block it for seconds. The API server stores objects of up to 10,000 levels, so fields of unknown
structure are cut when an object is read, before any recursive code sees them.
"""

from itertools import accumulate
from typing import Any, Final

MAX_DEPTH: Final = 100
"""Nesting levels of lists and objects in parameters, a schema, an answer or a result."""
MAX_VALUES: Final = 200_000
"""Values and object keys in one JSON text; parsing this many takes some hundredths of a second."""

_CHUNK: Final = 256 * 1024
_BRACKETS: Final = b"[]{}"
_OTHERS: Final = bytes(set(range(256)) - set(_BRACKETS))
_STEPS: Final = bytes.maketrans(_BRACKETS, b"\x01\xff\x01\xff")


def excess(text: bytes | str, depth: int = MAX_DEPTH, values: int = MAX_VALUES) -> str | None:
    """Which limit a JSON text exceeds, as a predicate such as "has more than 200000 values"; None if it may be parsed.

    Bytes must be UTF-8 without NUL, since JSON parsers guess other encodings. The syntax is not checked.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if data is text and not _is_utf_8(data):
        return "is not JSON in UTF-8"
    meter = Meter(depth, values)
    for begin in range(0, len(data), _CHUNK):
        if problem := meter.add(data[begin : begin + _CHUNK]):
            return problem
    return None


class Meter:
    """Checks JSON text against the limits chunk by chunk, while it arrives."""

    def __init__(self, depth: int = MAX_DEPTH, values: int = MAX_VALUES) -> None:
        self._depth = depth
        self._values = values
        self._level = 0
        self._counted = 0
        self._inside = False
        """Whether the text so far ends inside a string."""
        self._backslash = b""
        """An unpaired backslash at the end of the last chunk, carried over to the next one."""

    def add(self, chunk: bytes) -> str | None:
        """Add a chunk. Returns which limit the text exceeds now, as `excess` does, or None."""
        chunk = self._backslash + chunk
        whole = chunk.rstrip(b"\\")
        self._backslash = b"\\" * ((len(chunk) - len(whole)) % 2)
        parts = whole.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        outside = b"".join(parts[self._inside :: 2])
        self._inside ^= len(parts) % 2 == 0
        self._counted += sum(outside.count(mark) for mark in (b"[", b"{", b",", b":"))
        if self._counted > self._values:
            return f"has more than {self._values} values"
        steps = memoryview(outside.translate(_STEPS, _OTHERS)).cast("b")
        if max(accumulate(steps, initial=self._level)) > self._depth:
            return f"is nested deeper than {self._depth} levels"
        self._level += sum(steps)
        return None


def depth_of(value: Any, at_most: int) -> int:
    """Nesting levels of lists and objects in a parsed value; counting stops at `at_most` + 1."""
    containers, levels = [value] if isinstance(value, dict | list) else [], 0
    while containers and levels <= at_most:
        levels += 1
        containers = [
            child
            for each in containers
            for child in (each.values() if isinstance(each, dict) else each)
            if isinstance(child, dict | list)
        ]
    return levels


def cut(value: Any) -> Any:
    """A parsed value without anything below MAX_DEPTH + 1 levels; a shallower value is returned unchanged.

    The result of a cut is still too deep, so it is refused later, but it is safe for recursive code.
    """
    return value if depth_of(value, MAX_DEPTH + 1) <= MAX_DEPTH + 1 else _cut(value, MAX_DEPTH)


def is_small(value: Any, places: int = 500, characters: int = 16 * 1024) -> bool:
    """Whether a parsed value has at most `places` values and fewer than `characters` characters in its strings and
    object keys. Such a value may be checked on the event loop.
    """
    pending = [value]
    while pending and places > 0 and characters > 0:
        node = pending.pop()
        places -= 1
        if isinstance(node, str):
            characters -= len(node)
        elif isinstance(node, dict | list):
            if len(node) > places:
                return False
            if isinstance(node, dict):
                characters -= sum(map(len, node))
            pending.extend(node.values() if isinstance(node, dict) else node)
    return not pending and characters > 0


def _cut(value: Any, levels: int) -> Any:
    """The value with at most `levels` levels below it."""
    if isinstance(value, dict):
        return {key: _cut(child, levels - 1) for key, child in value.items()} if levels else {}
    if isinstance(value, list):
        return [_cut(child, levels - 1) for child in value] if levels else []
    return value


def _is_utf_8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in data
