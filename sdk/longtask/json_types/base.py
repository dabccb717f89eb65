"""The base class of JSON types, and their errors."""

import json
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any

Schema = dict[str, Any]

SHOWN = 100
"""Characters of a wrong value that a message shows."""


class BadValue(ValueError):
    """A value that does not fit its annotation: `optimizer.rate: 'x' is not a number`.

    `path` is `epochs`, `optimizer.rate` or `layers[2]`, empty for the whole value; `problem` is the rest of the
    message.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem

    def __reduce__(self) -> tuple[Any, ...]:
        return BadValue, (self.path, self.problem)


class SignatureError(TypeError):
    """A function that cannot be a tool; the message says what, where, and what to write instead."""


class JsonType(ABC):
    """The JSON form of one annotation. `decode` and `encode` raise BadValue with the path of what does not fit."""

    @abstractmethod
    def schema(self) -> Schema:
        """A new JSON Schema (2020-12) of the values."""

    @abstractmethod
    def decode(self, value: Any, path: str) -> Any:
        """The Python value of a JSON value at `path`."""

    @abstractmethod
    def encode(self, value: Any, path: str) -> Any:
        """The JSON value of a Python value at `path`."""


def at(path: str, key: str | int) -> str:
    """The path of a key or an index below `path`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def shown(value: Any) -> str:
    """The repr of a Python value for a message, cut to SHOWN characters."""
    return _cut(repr(value))


def shown_json(value: Any) -> str:
    """A JSON value for a message, cut to SHOWN characters: text and numbers as their repr, all else as JSON."""
    if value is None or isinstance(value, (bool, list, dict)):
        with suppress(TypeError, ValueError, RecursionError):
            return _cut(json.dumps(value, ensure_ascii=False))
    return shown(value)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"
