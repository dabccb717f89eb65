"""Types that are a single JSON string, number or boolean."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from longtask.json_types.base import BadValue, JsonType, Schema, shown, shown_json

NULL: Final[Schema] = {"type": "null"}
_DURATION = re.compile(
    r"(?P<sign>-?)P(?!$)(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?!$)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)(?:\.(?P<fraction>\d{1,6}))?S)?)?",
    re.ASCII,
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True)
class Scalar(JsonType):
    """A type that is one JSON value.

    `parse` raises ValueError or ArithmeticError for an invalid value. `write` returns a plain JSON type, not a
    subclass.
    """

    noun: str
    keywords: Mapping[str, Any]
    python: type | tuple[type, ...]
    json: tuple[type, ...]
    parse: Callable[[Any], Any]
    write: Callable[[Any], Any]

    def schema(self) -> Schema:
        """The keywords of the type, such as `type` and `format`."""
        return dict(self.keywords)

    def decode(self, value: Any, path: str) -> Any:
        """Check the JSON type, and parse the value."""
        # The exact type, because True is an int for isinstance.
        if type(value) not in self.json:
            raise self._wrong(shown_json(value), path)
        try:
            return self.parse(value)
        except (ValueError, ArithmeticError) as error:
            raise self._wrong(shown_json(value), path) from error

    def takes(self, value: Any) -> bool:
        """Whether a JSON value is valid."""
        try:
            self.decode(value, "")
        except BadValue:
            return False
        return True

    def encode(self, value: Any, path: str) -> Any:
        """Check the Python type, write the value, and check that it decodes."""
        if not isinstance(value, self.python) or (isinstance(value, bool) and self.python is not bool):
            raise self._wrong(shown(value), path)
        written = self.write(value)
        self.decode(written, path)
        return written

    def _wrong(self, value: str, path: str) -> BadValue:
        return BadValue(path, f"{value} is not {self.noun}")


@dataclass(frozen=True)
class Choice(JsonType):
    """Enum or Literal: pairs of a JSON value and the Python value that it represents."""

    options: tuple[tuple[Any, Any], ...]

    def schema(self) -> Schema:
        """The schema of the JSON values."""
        return choice_schema([value for value, _ in self.options])

    def decode(self, value: Any, path: str) -> Any:
        """The Python value of the option that is equal as JSON."""
        for option, python in self.options:
            if _same(option, value):
                return python
        raise self._wrong(shown_json(value), path)

    def encode(self, value: Any, path: str) -> Any:
        """The JSON value of the option with the same type and value."""
        for option, python in self.options:
            if python is value or (type(python) is type(value) and python == value):
                return option
        raise self._wrong(shown(value), path)

    def _wrong(self, value: str, path: str) -> BadValue:
        return BadValue(path, f"{value} is not one of {', '.join(repr(option) for option, _ in self.options)}")


def choice_schema(values: list[Any]) -> Schema:
    """An enum of these JSON values; `anyOf` with one type per option if they have several types."""
    types = dict.fromkeys(map(_json_type, values))
    of_type = {each: [value for value in values if _json_type(value) == each] for each in types}
    options = [NULL if each == "null" else {"type": each, "enum": of_type[each]} for each in types]
    return options[0] if len(options) == 1 else {"anyOf": options}


def path_type(python: type[PurePath]) -> Scalar:
    """A path, as text."""
    return Scalar("a path", {"type": "string"}, python, (str,), python, str)


def is_plain(value: Any) -> bool:
    """Whether a value can be an option of a Choice: a JSON string, finite number, boolean or null."""
    if type(value) is str:
        return is_text(value)
    return type(value) in (bool, int, type(None)) or (type(value) is float and math.isfinite(value))


def duration_text(duration: timedelta) -> str:
    """A timedelta in ISO 8601, as days and seconds: P1DT3600S."""
    return span_text(duration // timedelta(microseconds=1) * 10**12)


def span_text(attoseconds: int) -> str:
    """Attoseconds in ISO 8601, as days and seconds with as many digits as needed: P1DT0.000000001S."""
    sign = "-" if attoseconds < 0 else ""
    whole, part = divmod(abs(attoseconds), 10**18)
    day_count, second_count = divmod(whole, 86400)
    days = f"{day_count}D" if day_count else ""
    fraction = f".{part:018}".rstrip("0") if part else ""
    seconds = f"T{second_count}{fraction}S" if second_count or fraction or not days else ""
    return f"{sign}P{days}{seconds}"


def _duration(text: str) -> timedelta:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(text)
    parts = {name: int(found[name] or 0) for name in ("weeks", "days", "hours", "minutes", "seconds")}
    duration = timedelta(**parts, microseconds=int((found["fraction"] or "").ljust(6, "0")))
    return -duration if found["sign"] == "-" else duration


def is_text(text: str) -> bool:
    """Whether text fits into an environment variable: no NUL, no unpaired surrogate."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _text(text: str) -> str:
    if not is_text(text):
        raise ValueError(text)
    return text


def _whole(number: int | float) -> int:
    if number != int(number):
        raise ValueError(number)
    return int(number)


def _number(number: int | float) -> float:
    if not math.isfinite(found := float(number)):
        raise ValueError(number)
    return found


def _decimal(text: str) -> Decimal:
    if not (found := Decimal(text)).is_finite():
        raise ValueError(text)
    return found


def _date(text: str) -> date:
    if not _DATE.fullmatch(text):  # fromisoformat also accepts 20260131 and 2026-W05-6
        raise ValueError(text)
    return date.fromisoformat(text)


def _uuid(text: str) -> UUID:
    if not _UUID.fullmatch(text):  # UUID also accepts braces, no hyphens, and a URN
        raise ValueError(text)
    return UUID(text)


def _moment(text: str) -> datetime:
    if (found := datetime.fromisoformat(text)).utcoffset() is None:
        raise ValueError(text)
    return found


def _iso(moment: date | time) -> str:
    return moment.isoformat()


def _json_type(value: Any) -> str:
    return {type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string"}[type(value)]


def _same(option: Any, value: Any) -> bool:
    """Equal as JSON: 1 equals 1.0, but not true."""
    return isinstance(option, bool) == isinstance(value, bool) and bool(option == value)


def _string(format_: str) -> Schema:
    return {"type": "string", "format": format_}


SCALARS: Mapping[type, Scalar] = {
    str: Scalar("text", {"type": "string"}, str, (str,), _text, str.__str__),
    int: Scalar("a whole number", {"type": "integer"}, int, (int, float), _whole, int),
    float: Scalar(
        "a number",
        {"type": "number"},
        (float, int),
        (int, float),
        _number,
        lambda number: int(number) if isinstance(number, int) else float(number),
    ),
    bool: Scalar("true or false", {"type": "boolean"}, bool, (bool,), bool, bool),
    datetime: Scalar(
        "a date and time with an offset, such as 2026-01-31T18:30:00Z",
        _string("date-time"),
        datetime,
        (str,),
        _moment,
        _iso,
    ),
    date: Scalar("a date, such as 2026-01-31", _string("date"), date, (str,), _date, _iso),
    time: Scalar("a time of day, such as 18:30:00", _string("time"), time, (str,), time.fromisoformat, _iso),
    timedelta: Scalar(
        "an ISO 8601 duration of weeks, days, hours, minutes and seconds, such as P1DT2H",
        _string("duration"),
        timedelta,
        (str,),
        _duration,
        duration_text,
    ),
    UUID: Scalar("a UUID, such as 123e4567-e89b-12d3-a456-426614174000", _string("uuid"), UUID, (str,), _uuid, str),
    Decimal: Scalar("a decimal number as text, such as '12.50'", _string("decimal"), Decimal, (str,), _decimal, str),
}

FORMATS: Mapping[str, Scalar] = {
    json_type.keywords["format"]: json_type for json_type in SCALARS.values() if "format" in json_type.keywords
}
"""JSON types by the `format` of their schema."""
