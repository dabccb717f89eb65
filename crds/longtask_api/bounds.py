"""How much JSON of a stranger is parsed, counted on its bytes before anything is: linear, and without recursion.

A few kilobytes of nested brackets end a process that parses, copies or writes them by recursion, and a few megabytes of
empty lists hold it for seconds. The API server itself stores objects of 10,000 levels, so what is of unknown structure
there is cut before anything goes down into it.
"""

from itertools import accumulate
from typing import Any, Final

MAX_DEPTH: Final = 100
"""Levels of lists and objects in parameters, a schema, an answer, a result."""
MAX_VALUES: Final = 200_000
"""Values, and names in objects, of one text: parsing so many takes some hundredths of a second."""

_CHUNK: Final = 256 * 1024
_BRACKETS: Final = b"[]{}"
_OTHERS: Final = bytes(set(range(256)) - set(_BRACKETS))
_STEPS: Final = bytes.maketrans(_BRACKETS, b"\x01\xff\x01\xff")


def excess(text: bytes | str, depth: int = MAX_DEPTH, values: int = MAX_VALUES) -> str | None:
    """How JSON text is more than may be parsed, to follow the name of what it is; None when it may be parsed.

    Bytes must be UTF-8 without NUL, as readers of JSON guess at other encodings. Whether it is JSON is not looked at.
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
    """Counts JSON text as it comes."""

    def __init__(self, depth: int = MAX_DEPTH, values: int = MAX_VALUES) -> None:
        self._depth = depth
        self._values = values
        self._level = 0
        self._counted = 0
        self._inside = False
        """A string."""
        self._backslash = b""
        """The one that the next chunk begins with."""

    def add(self, chunk: bytes) -> str | None:
        """How the text is too much with this chunk; None while it is not."""
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
    """Levels of lists and objects in a parsed value, counted to `at_most` + 1."""
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
    """A parsed value without what is nested deeper than MAX_DEPTH + 1 levels: still too deep, and safe to go down into.

    The value itself, where it is not so deep.
    """
    return value if depth_of(value, MAX_DEPTH + 1) <= MAX_DEPTH + 1 else _cut(value, MAX_DEPTH)


def is_small(value: Any, places: int = 500, characters: int = 16 * 1024) -> bool:
    """Whether a parsed value can be gone through at once."""
    pending = [value]
    while pending and places > 0 and characters > 0:
        node = pending.pop()
        places -= 1
        if isinstance(node, str):
            characters -= len(node)
        elif isinstance(node, dict | list):
            if len(node) > places:
                return False
            pending.extend(node.values() if isinstance(node, dict) else node)
    return not pending and characters > 0


def _cut(value: Any, levels: int) -> Any:
    """With `levels` below it at most."""
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
