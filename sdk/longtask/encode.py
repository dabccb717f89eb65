"""Encodes Python values as JSON, for results and checkpoints."""

import dataclasses
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from longtask.json_types.base import at
from longtask.json_types.scalars import span_text

LARGEST_INTEGER: Final = 2**53
"""JSON readers that only know floating point, and the API server's storage, change larger integers."""
MAX_DEPTH: Final = 100
"""Levels of nesting; some JSON readers accept no more than a few hundred."""

_PERIOD: Final = re.compile(r"\d{4}(-\d\d(-\d\d(/\d{4}-\d\d-\d\d)?)?)?")
"""A pandas Period that has an ISO 8601 form: a year, month, day or week."""


class Unencodable(ValueError):
    """A value that JSON cannot hold; the message begins with its path: `result.metrics.loss is NaN: ...`."""


class TooDeep(Unencodable):
    """A value with more than MAX_DEPTH levels of nesting, possibly because it contains itself."""


def encode(value: Any, name: str = "result") -> bytes:
    """A value as compact JSON in UTF-8. Raises Unencodable with the path, which begins with `name`."""
    return _json(plain(value, name))


def rest(value: Any) -> bytes | None:
    """Like `encode`, but each part that JSON cannot hold becomes null, and each key text; None if nothing is left."""
    try:
        left = plain(value, spare=True)
    except Exception:  # the work's own types may raise anything
        return None
    return None if left is None else _json(left)


def plain(value: Any, path: str = "result", depth: int = MAX_DEPTH, *, spare: bool = False) -> Any:
    """A value in dict, list, str, int, float, bool and None. Raises Unencodable; with `spare` each part that cannot be
    converted is None instead, and only TooDeep is raised."""
    try:
        return _plain(value, path, depth, spare)
    except TooDeep:
        raise
    except Unencodable:
        if spare:
            return None
        raise


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _plain(value: Any, path: str, depth: int, spare: bool) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return plain(value.value, path, depth, spare=spare)
    if isinstance(value, str):
        return _text(value, path)
    if isinstance(value, int):
        return _integer(value, path)
    if isinstance(value, float):
        return _finite(float(value), path)
    if (written := _written(value, path)) is not None:
        return written
    if depth == 0:
        raise TooDeep(f"{path} is nested {MAX_DEPTH} levels deep: make it flatter; perhaps it holds itself")
    return _composite(value, path, depth - 1, spare)


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
    """The text of a value that is a string in JSON; None for other types."""
    if isinstance(value, (datetime, date, time)):
        exact = getattr(value, "rfc3339", None)  # of Google's libraries, whose isoformat drops nanoseconds
        text: str = exact() if callable(exact) else value.isoformat()
        if text == "NaT":  # pandas' NaT is a datetime
            raise _no_form(value, path)
        return text
    if hasattr(value, "freqstr") and _PERIOD.fullmatch(str(value)):
        return str(value)
    if isinstance(value, timedelta):
        nanoseconds = getattr(value, "nanoseconds", 0)  # of pandas, in addition to timedelta's parts
        return span_text((value // timedelta(microseconds=1) * 1000 + nanoseconds) * 10**9)
    if isinstance(value, (UUID, PurePath)):
        return _text(str(value), path)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise Unencodable(f"{path} is {value}: JSON has no such number; return None or a text in its place")
        return str(value)
    return None


def _composite(value: Any, path: str, depth: int, spare: bool) -> Any:
    def part(each: Any, key: str | int) -> Any:
        return plain(each, at(path, key), depth, spare=spare)

    if isinstance(value, (bytes, bytearray, memoryview)):
        raise Unencodable(f"{path} is bytes, which JSON cannot hold: keep it with ctx.artifact(name, data)")
    if callable(dump := getattr(value, "model_dump", None)) and not isinstance(value, type):
        return plain(dump(mode="json", by_alias=True), path, depth, spare=spare)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _object(
            [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)], path, part, spare
        )
    if isinstance(value, Mapping):
        return _object(value.items(), path, part, spare)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _object(zip(value._fields, value, strict=True), path, part, spare)
    if isinstance(value, (list, tuple)):
        return [part(each, index) for index, each in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        items = [plain(each, f"{path}[{each!r}]", depth, spare=spare) for each in value]
        return sorted(items, key=json.dumps)
    if hasattr(value, "dtype") and not isinstance(value, type):
        return plain(_listed(value, path, spare), path, depth, spare=spare)
    raise _no_form(value, path)


def _object(
    pairs: Iterable[tuple[Any, Any]], path: str, part: Callable[[Any, str | int], Any], spare: bool
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, (key, each) in enumerate(pairs):
        text = _spare_name(key) if spare else _name(key, path)
        if text in found:
            if not spare:
                raise Unencodable(
                    f"{path} has the key {text!r} twice, as text and as another type: JSON would keep one"
                )
            text = f"{text} ({number})"
        found[text] = part(each, text)
    return found


def _spare_name(key: Any) -> str:
    """A key as text, also one that is not a JSON key."""
    try:
        return _name(key, "")
    except Unencodable:
        return str(key).encode("utf-8", "replace").decode()


def _name(key: Any, path: str) -> str:
    """A key as text: a type that is a string in JSON is the same string as a key."""
    text = key
    if not isinstance(key, str) or isinstance(key, Enum):
        with suppress(Unencodable):
            text = plain(key)
    if not isinstance(text, str):
        raise Unencodable(f"{path} has the key {key!r}, and JSON only has keys of text: use str() of it")
    return _text(text, f"the key {text!r} of {path}")


def _listed(value: Any, path: str, spare: bool) -> Any:
    """The content of a value with a dtype: scalars, arrays and columns of numpy, pandas, polars and torch."""
    from longtask.arrays import Unlisted, listed  # noqa: PLC0415 - loaded on demand

    try:
        found = listed(value)
    except Unlisted as error:
        if spare and hasattr(value, "iloc"):  # a Series whose labels cannot be keys
            return _object(value.items(), path, lambda each, _: each, spare)
        raise Unencodable(f"{path} {error}") from None
    except Exception as error:  # an error of the library, as for a sparse tensor
        name = type(value).__qualname__
        raise Unencodable(f"{path} is a {name} that gives no list ({error}): return a list of its values") from error
    if type(found) is type(value):
        raise _no_form(value, path)
    return found


def _no_form(value: Any, path: str) -> Unencodable:
    name = type(value).__qualname__
    if name in ("NAType", "NaTType"):
        return Unencodable(f"{path} is {name[:-4]}, a value that is missing: return None in its place")
    if hasattr(value, "__await__"):
        return Unencodable(
            f"{path} is a {name} that nobody has awaited: write await before the call, in an async function"
        )
    frame = "its to_dict(...), or return " if hasattr(value, "to_dict") else ""
    return Unencodable(
        f"{path} is a {name}, which has no JSON form: return {frame}numbers, text, lists, dicts, "
        "dataclasses or pydantic models, and keep files with ctx.artifact"
    )
