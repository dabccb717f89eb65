"""Python values as JSON: what a result becomes, and what is no result."""

import json
import uuid
from array import array
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag, StrEnum
from fractions import Fraction
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from longtask.encode import Unencodable, encode, plain, rest


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Unit(StrEnum):
    ROW = "row"


class Point(NamedTuple):
    x: int
    y: float


@dataclass
class Inner:
    loss: float
    tags: set[str] = field(default_factory=set)


@dataclass
class Outer:
    inner: Inner
    when: date
    more: list[Any]


class Nanoseconds(datetime):
    """What Google's libraries give: its isoformat has no nanoseconds."""

    def rfc3339(self) -> str:
        return "2026-01-31T18:30:00.012345678Z"


class Array:
    """What numpy's and torch's scalars and arrays have in common."""

    dtype = "float32"

    def __init__(self, value: Any) -> None:
        self._value = value

    def tolist(self) -> Any:
        return self._value


class Model:
    """What a pydantic model can do."""

    def __init__(self, dumped: Any) -> None:
        self._dumped = dumped

    def model_dump(self, *, mode: str, by_alias: bool) -> Any:
        assert (mode, by_alias) == ("json", True)
        return self._dumped


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (2**53, 2**53),
        (-(2**53), -(2**53)),
        (0.5, 0.5),
        ("grün 🙂", "grün 🙂"),
        ([1, (2, 3)], [1, [2, 3]]),
        ({"b", "a"}, ["a", "b"]),
        (frozenset({3, 1}), [1, 3]),
        ({"a": {"b": [None]}}, {"a": {"b": [None]}}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (OrderedDict(a=1), {"a": 1}),
        ({Unit.ROW: 1, Colour.RED: 2}, {"row": 1, "red": 2}),
        ({date(2026, 1, 31): 1, timedelta(hours=1): {time(18): 2}}, {"2026-01-31": 1, "PT3600S": {"18:00:00": 2}}),
        ({uuid.UUID(int=1): 1, Decimal("0.5"): 2}, {"00000000-0000-0000-0000-000000000001": 1, "0.5": 2}),
        (Colour.RED, "red"),
        (Level.LOW, 1),
        (Unit.ROW, "row"),
        (datetime(2026, 1, 31, 18, 30, tzinfo=UTC), "2026-01-31T18:30:00+00:00"),
        (Nanoseconds(2026, 1, 31, 18, 30, 0, 12345), "2026-01-31T18:30:00.012345678Z"),
        (date(2026, 1, 31), "2026-01-31"),
        (time(18, 30), "18:30:00"),
        (timedelta(days=1, hours=1), "P1DT3600S"),
        (-timedelta(microseconds=1), "-PT0.000001S"),
        (timedelta(0), "PT0S"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Decimal("12.50"), "12.50"),
        (PurePosixPath("/a/b"), "/a/b"),
        (Point(1, 2.5), {"x": 1, "y": 2.5}),
        (
            Outer(Inner(0.5, {"b", "a"}), date(2026, 1, 31), [Inner(1.0)]),
            {"inner": {"loss": 0.5, "tags": ["a", "b"]}, "when": "2026-01-31", "more": [{"loss": 1.0, "tags": []}]},
        ),
        (Array(0.5), 0.5),
        ({"weights": Array([[1.0, 2.0]])}, {"weights": [[1.0, 2.0]]}),
        (Model({"loss": 0.5}), {"loss": 0.5}),
    ],
)
def test_a_value_has_one_json_form(value: Any, expected: Any) -> None:
    assert json.loads(encode(value)) == expected
    assert plain(value) == expected


@pytest.mark.parametrize(
    ("value", "starts", "says"),
    [
        ({"metrics": {"loss": float("nan")}}, "result.metrics.loss is NaN: ", "JSON has no such number"),
        ([1, float("inf")], "result[1] is infinity: ", "None"),
        (Outer(Inner(float("-inf")), date(2026, 1, 1), []), "result.inner.loss is -infinity: ", "None"),
        (Array([0.5, float("nan")]), "result[1] is NaN: ", "None"),
        (Model({"loss": float("nan")}), "result.loss is NaN: ", "None"),
        ({"rows": 2**53 + 1}, "result.rows is beyond 2^53: ", "str(result.rows)"),
        (Decimal("NaN"), "result is NaN: ", "None"),
        ({"file": b"x"}, "result.file is bytes, ", "ctx.artifact"),
        ({1: "x"}, "result has the key 1, ", "str()"),
        ({None: "x"}, "result has the key None, ", "str()"),
        ({(date(2026, 1, 31), "a"): 1}, "result has the key (datetime.date(2026, 1, 31), 'a'), ", "str()"),
        ({b"a": 1}, "result has the key b'a', ", "str()"),
        ({date(2026, 1, 31): 1, "2026-01-31": 2}, "result has the key '2026-01-31' twice, ", "JSON would keep one"),
        (["a\udcff"], "result[0] is no Unicode text at character 1: ", "decode"),
        ({"a\udcff": 1}, "the key 'a\\udcff' of result is no Unicode text", "decode"),
        (Path("a\udcff"), "result is no Unicode text", "decode"),
        ({"at": object()}, "result.at is a object, ", "dataclasses"),
        (Inner, "result is a type, ", "dataclasses"),
        ((n for n in (1,)), "result is a generator, ", "lists"),
        (1j, "result is a complex, ", "numbers"),
        (Fraction(1, 3), "result is a Fraction, ", "numbers"),
        (range(3), "result is a range, ", "lists"),
        (IntFlag("Mode", "A B"), "result is a EnumType, ", "numbers"),
        ({Colour.RED: 1, "red": 2}, "result has the key 'red' twice, ", "JSON would keep one"),
        (Array(Array(1)), "result is a Array, ", "numbers"),
    ],
)
def test_what_json_cannot_hold_is_named_by_its_path(value: Any, starts: str, says: str) -> None:
    with pytest.raises(Unencodable) as refused:
        encode(value)
    assert str(refused.value).startswith(starts)
    assert says in str(refused.value)


def test_a_pydantic_model_is_written_as_it_writes_itself() -> None:
    pydantic = pytest.importorskip("pydantic", reason="pydantic is not installed for this Python")
    settings = pydantic.create_model(
        "Settings", rate=(float, 0.5), day=(date, ...), name=(str, pydantic.Field(alias="modelName"))
    )
    value = settings(day=date(2026, 1, 31), modelName="digits")
    assert plain([value]) == [{"rate": 0.5, "day": "2026-01-31", "modelName": "digits"}]
    with pytest.raises(Unencodable, match=r"^result\.rate is NaN"):
        encode(settings(rate=float("nan"), day=date(2026, 1, 31), modelName="digits"))


def test_what_nobody_has_awaited_is_told_so() -> None:
    async def inner() -> int:
        return 3

    coroutine = inner()
    with pytest.raises(
        Unencodable, match=r"^result is a coroutine that nobody has awaited: write await before the call"
    ):
        encode(coroutine)
    coroutine.close()


def test_a_value_that_holds_itself_is_refused_and_has_no_rest() -> None:
    loop: list[Any] = []
    loop.extend([loop, loop])
    with pytest.raises(Unencodable, match="100 levels deep"):
        encode(loop)
    assert rest(loop) is None


class Series:
    """Looks like pandas', with labels that are numbers."""

    dtype = iloc = object()

    def __init__(self, values: dict[int, float]) -> None:
        self.index = array("q", values)
        self.tolist = list(values.values()).copy
        self.items = values.items


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"epochs": 3, "loss": float("nan")}, {"epochs": 3, "loss": None}),
        ([1, b"x", {"a": 2**60, "b": [object()]}], [1, None, {"a": None, "b": [None]}]),
        ({"a": {1: 2}, "b": 1}, {"a": {"1": 2}, "b": 1}),
        (
            {1: {"loss": float("nan")}, 2.5: "x", (1, 2): 3, None: 4},
            {"1": {"loss": None}, "2.5": "x", "(1, 2)": 3, "None": 4},
        ),
        ({"1": "text", 1: "number", "\ud800": 1}, {"1": "text", "1 (1)": "number", "?": 1}),
        (Series({7: 1.5, 9: float("nan")}), {"7": 1.5, "9": None}),
        ([Series({1: 2})], [{"1": 2}]),
        (
            Outer(Inner(float("inf")), date(2026, 1, 1), []),
            {"inner": {"loss": None, "tags": []}, "when": "2026-01-01", "more": []},
        ),
    ],
)
def test_the_rest_has_null_where_json_can_hold_nothing_and_keys_as_text(value: Any, kept: Any) -> None:
    assert json.loads(rest(value) or b"") == kept


@pytest.mark.parametrize("value", [float("nan"), b"x", object()])
def test_nothing_is_left_of_what_is_no_json_at_all(value: Any) -> None:
    assert rest(value) is None


def test_the_path_begins_with_the_name_of_what_is_encoded() -> None:
    with pytest.raises(Unencodable, match=r"^checkpoint\.loss is NaN"):
        encode({"loss": float("nan")}, "checkpoint")


def test_json_is_compact_utf8() -> None:
    assert encode({"name": "grün", "n": [1, 2]}) == '{"name":"grün","n":[1,2]}'.encode()
