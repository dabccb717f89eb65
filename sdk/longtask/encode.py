"""From a Python value to JSON, for results and checkpoints."""

import dataclasses
import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from longtask.forms.base import at
from longtask.forms.scalars import duration_text

LARGEST_INTEGER: Final = 2**53
"""Readers of JSON that know only floating point, and the API server's storage, change larger ones."""
MAX_DEPTH: Final = 100
"""Levels of nesting; some readers of JSON take no more than a few hundred."""


class Unencodable(ValueError):
    """A value that JSON cannot hold: `result.metrics.loss is NaN: ...`."""


def encode(value: Any, name: str = "result") -> bytes:
    """The value as compact JSON in UTF-8. Raises Unencodable with the path, which begins with `name`."""
    return json.dumps(plain(value, name), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def plain(value: Any, path: str = "result", depth: int = MAX_DEPTH) -> Any:
    """The value in dict, list, str, int, float, bool and None alone. Raises Unencodable."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return plain(value.value, path, depth)
    if isinstance(value, str):
        return _text(value, path)
    if isinstance(value, int):
        return _integer(value, path)
    if isinstance(value, float):
        return _finite(float(value), path)
    if (written := _written(value, path)) is not None:
        return written
    if depth == 0:
        raise Unencodable(f"{path} is nested {MAX_DEPTH} levels deep: make it flatter; perhaps it holds itself")
    return _composite(value, path, depth - 1)


def _text(text: str, path: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Unencodable(
            f"{path} is no Unicode text at character {error.start}: decode it right, or replace what cannot be decoded"
        ) from error
    return str.__str__(text)


def _integer(number: int, path: str) -> int:
    if abs(number) > LARGEST_INTEGER:
        raise Unencodable(f"{path} is beyond 2^53: JSON readers would change its digits; return it as str({path})")
    return int(number)


def _finite(number: float, path: str) -> float:
    if math.isfinite(number):
        return number
    found = "NaN" if math.isnan(number) else "infinity" if number > 0 else "-infinity"
    raise Unencodable(f"{path} is {found}: JSON has no such number; return None or a text in its place")


def _written(value: Any, path: str) -> str | None:
    """What is one text in JSON."""
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, (UUID, PurePath)):
        return _text(str(value), path)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise Unencodable(f"{path} is {value}: JSON has no such number; return None or a text in its place")
        return str(value)
    return None


def _composite(value: Any, path: str, depth: int) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise Unencodable(f"{path} is bytes, which JSON cannot hold: keep it with ctx.artifact(name, data)")
    if callable(dump := getattr(value, "model_dump", None)) and not isinstance(value, type):
        return plain(dump(mode="json", by_alias=True), path, depth)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _object({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, path, depth)
    if isinstance(value, Mapping):
        return _object(value, path, depth)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _object(dict(zip(value._fields, value, strict=True)), path, depth)
    if isinstance(value, (list, tuple)):
        return [plain(each, at(path, index), depth) for index, each in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        items = [plain(each, f"{path}[{each!r}]", depth) for each in value]
        return sorted(items, key=json.dumps)
    if hasattr(value, "dtype") and callable(listed := getattr(value, "tolist", None)):
        return plain(listed(), path, depth)  # numpy's, torch's and their like: scalars and arrays
    raise Unencodable(
        f"{path} is a {type(value).__qualname__}, which has no JSON form: return numbers, text, lists, dicts, "
        "dataclasses or pydantic models, and keep files with ctx.artifact"
    )


def _object(value: Mapping[Any, Any], path: str, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, each in value.items():
        text = key.value if isinstance(key, Enum) else key
        if not isinstance(text, str):
            raise Unencodable(f"{path} has the key {key!r}, and JSON only has keys of text: use str() of it")
        found[_text(text, f"the key {text!r} of {path}")] = plain(each, at(path, text), depth)
    return found
