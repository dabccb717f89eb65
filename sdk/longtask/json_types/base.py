"""What every form can do, and what is said when a value does not fit."""

import json
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any

Schema = dict[str, Any]

SHOWN = 100
"""Characters of a wrong value that a message shows."""


class BadValue(ValueError):
    """A value that does not fit its annotation: `optimizer.rate: 'x' is not a number`.

    `path` is `epochs` or `optimizer.rate` or `layers[2]`, empty for the whole; `problem` is the rest of the sentence.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem

    def __reduce__(self) -> tuple[Any, ...]:
        return BadValue, (self.path, self.problem)


class SignatureError(TypeError):
    """A function that cannot be a tool; the text says what, where, and what to write instead."""


class JsonType(ABC):
    """One annotation. `decode` and `encode` raise BadValue with the path of what does not fit."""

    @abstractmethod
    def schema(self) -> Schema:
        """A new JSON Schema of the values."""

    @abstractmethod
    def decode(self, value: Any, path: str) -> Any:
        """The Python value of a JSON value."""

    @abstractmethod
    def encode(self, value: Any, path: str) -> Any:
        """The JSON value of a Python value."""


def at(path: str, key: str | int) -> str:
    """The path of what is inside."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def shown(value: Any) -> str:
    """A Python value for a message."""
    return _cut(repr(value))


def shown_json(value: Any) -> str:
    """A value that came as JSON for a message: as that, but for text and numbers."""
    if value is None or isinstance(value, (bool, list, dict)):
        with suppress(TypeError, ValueError, RecursionError):
            return _cut(json.dumps(value, ensure_ascii=False))
    return shown(value)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"
