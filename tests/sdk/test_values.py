"""From JSON to the Python values that a function is annotated with."""

import json
import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, cast
from uuid import UUID

import annotated_types
import pydantic
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from longtask.encode import Unencodable, encode
from longtask.fit import misfit
from longtask.json_types.annotations import Reader
from longtask.signature import read
from longtask.values import BadValue, decode
from longtask_api.parameters import check_schema, complete
from tests.sdk import samples
from tests.sdk.test_signature import (
    Colour,
    Layer,
    Level,
    Net,
    Node,
    Optimizer,
    Options,
    Point,
    Settings,
    returning,
    with_parameter,
)
from tests.spread import named


@dataclass(frozen=True)
class Span:
    """Checks itself."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError("the end is before the start")


class Strict(pydantic.BaseModel, strict=True):
    day: date
    rate: Annotated[float, pydantic.Field(gt=0)]


def decoded(annotation: Any, value: Any) -> Any:
    """The value as a function with such a parameter gets it."""
    return decode(read(with_parameter(annotation)), {"value": value})["value"]


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (str, "größe $(HOME) 🦆", "größe $(HOME) 🦆"),
        (int, 3, 3),
        (int, 3.0, 3),
        (float, 3, 3.0),
        (bool, True, True),
        (datetime, "2026-01-31T18:30:00Z", datetime(2026, 1, 31, 18, 30, tzinfo=UTC)),
        (
            datetime,
            "2026-01-31T18:30:00.25+05:30",
            datetime(2026, 1, 31, 18, 30, 0, 250000, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        ),
        (date, "2026-01-31", date(2026, 1, 31)),
        (time, "18:30", time(18, 30)),
        (timedelta, "P1DT2H3M4.5S", timedelta(days=1, hours=2, minutes=3, seconds=4.5)),
        (timedelta, "P2W", timedelta(weeks=2)),
        (timedelta, "-PT0.000001S", timedelta(microseconds=-1)),
        (UUID, "12345678-1234-5678-1234-567812345678", UUID("12345678-1234-5678-1234-567812345678")),
        (Decimal, "0.10", Decimal("0.10")),
        (Path, "/data/x", Path("/data/x")),
        (PurePosixPath, "a/b", PurePosixPath("a/b")),
        (Colour, "blü", Colour.BLUE),
        (Level, 2, Level.HIGH),
        (Level, 2.0, Level.HIGH),
        (Literal[Colour.RED, "x"], "red", Colour.RED),
        (int | None, None, None),
        (int | None, 1, 1),
        (list[date], ["2026-01-31"], [date(2026, 1, 31)]),
        (Sequence[int], [1, 2], [1, 2]),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[int, date], [1, "2026-01-31"], (1, date(2026, 1, 31))),
        (set[str], ["a", "b"], {"a", "b"}),
        (AbstractSet[int], [1], frozenset({1})),
        (dict[str, Colour], {"a": "red"}, {"a": Colour.RED}),
        (Mapping[str, Any], {"a": [1]}, {"a": [1]}),
        (Optimizer, {"rate": 1}, Optimizer(1.0)),
        (Optimizer, {"rate": 1, "steps": 4, "tags": ["x"]}, Optimizer(1.0, 4, ["x"])),
        (Point, {"x": 1}, Point(1, 0)),
        (Options, {"fast": True}, {"fast": True}),
        (Options, {"fast": True, "depth": 2.0}, {"fast": True, "depth": 2}),
        (Layer, {"title": "a"}, Layer(title="a", size=8)),
        (Strict, {"day": "2026-01-31", "rate": 1}, Strict(day=date(2026, 1, 31), rate=1.0)),
        (date | str, "2026-01-31", date(2026, 1, 31)),
        (date | str, "soon", "soon"),
        (str | date, "2026-01-31", "2026-01-31"),
        (Optimizer | Span, {"start": "2026-01-01", "end": "2026-01-02"}, Span(date(2026, 1, 1), date(2026, 1, 2))),
        (Annotated[int | None, annotated_types.Ge(1)], None, None),
    ],
    ids=named,
)
def test_json_becomes_what_the_annotation_says(annotation: Any, value: Any, expected: Any) -> None:
    found = decoded(annotation, value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "value", "problem"),
    [
        (str, 3, "value: 3 is not text"),
        (int, "3", "value: '3' is not a whole number"),
        (int, 3.5, "value: 3.5 is not a whole number"),
        (int, True, "value: true is not a whole number"),
        (int, math.inf, "value: inf is not a whole number"),
        (float, "x", "value: 'x' is not a number"),
        (float, math.nan, "value: nan is not a number"),
        (float, 10**400, f"value: {str(10**400)[:100]}... (401 characters) is not a number"),
        (bool, 1, "value: 1 is not true or false"),
        (date, "31.1.2026", "value: '31.1.2026' is not a date, such as 2026-01-31"),
        (
            datetime,
            "2026-01-31T18:30:00",
            "value: '2026-01-31T18:30:00' is not a date and time with an offset, such as 2026-01-31T18:30:00Z",
        ),
        *(
            (
                timedelta,
                text,
                f"value: {text!r} is not an ISO 8601 duration of weeks, days, hours, minutes and seconds,",
            )
            for text in ("P", "PT", "1 day", "P1M", "P1Y", "PT1.5H", "P1DT", "P٣D", "P99999999999D", "PT1S\n")
        ),
        (UUID, "x", "value: 'x' is not a UUID"),
        (Decimal, "1,5", "value: '1,5' is not a decimal number as text, such as '12.50'"),
        (Decimal, 1.5, "value: 1.5 is not a decimal number as text"),
        (Colour, "green", "value: 'green' is not one of 'red', 'blü'"),
        (Level, True, "value: true is not one of 1, 2"),
        (int | None, "x", "value: 'x' is not a whole number"),
        (list[int], "1", "value: '1' is not a list"),
        (list[int], [1, "x"], "value[1]: 'x' is not a whole number"),
        (set[int], [1, 1.0], "value: [1, 1.0] holds something twice"),
        (tuple[int, int], [1], "value: [1] is not a list of 2 items"),
        (tuple[int, int], [1, "x"], "value[1]: 'x' is not a whole number"),
        (dict[str, float], {"a": "x"}, "value.a: 'x' is not a number"),
        (dict[str, float], [], "value: [] is not an object"),
        (Optimizer, [], "value: [] is not an object"),
        (Optimizer, {}, "value.rate: is required"),
        (Optimizer, {"rate": "x"}, "value.rate: 'x' is not a number"),
        (Optimizer, {"rate": 1, "lr": 2}, "value.lr: no such parameter; allowed are rate, steps, tags"),
        (Optimizer, {"rate": 1, "seen": 2}, "value.seen: no such parameter; allowed are rate, steps, tags"),
        (Optimizer, {"rate": 1, "tags": ["a", 1]}, "value.tags[1]: 1 is not text"),
        (Span, {"start": "2026-01-02", "end": "2026-01-01"}, "value: the end is before the start"),
        (Layer, {"title": "a", "size": 0}, "value.size: Input should be greater than or equal to 1 (given: 0)"),
        (list[Layer], [{}], "value[0].title: Field required (given: {})"),
        (
            int | list[int],
            ["x"],
            "value: fits none of the 2 possible types: [\"x\"] is not a whole number; [0]: 'x' is not a whole number",
        ),
        (Annotated[int, annotated_types.Gt(1)], 1, "value: 1 must be more than 1"),
        (Annotated[int, annotated_types.Lt(1)], 1, "value: 1 must be less than 1"),
        (Annotated[int, annotated_types.Le(1)], 2, "value: 2 must be at most 1"),
        (Annotated[str, annotated_types.MaxLen(1)], "ab", "value: 'ab' must have at most 1 characters"),
        (Annotated[str, pydantic.Field(pattern="^a$")], "b", "value: 'b' must match ^a$"),
        (Annotated[list[int], annotated_types.Len(1, 2)], [], "value: [] must have at least 1 items"),
        (Annotated[list[int], annotated_types.Len(1, 2)], [1, 2, 3], "value: [1, 2, 3] must have at most 2 items"),
        (Annotated[dict[str, int], annotated_types.Len(1, 1)], {}, "value: {} must have at least 1 entries"),
        (list[Annotated[int, annotated_types.Ge(0)]], [0, -1], "value[1]: -1 must be at least 0"),
    ],
    ids=named,
)
def test_a_value_that_does_not_fit_is_named_by_its_path(annotation: Any, value: Any, problem: str) -> None:
    with pytest.raises(BadValue) as raised:
        decoded(annotation, value)
    assert str(raised.value).startswith(problem)


def _function(ctx: Any, name: str, day: date = date(2026, 1, 31), *, rate: float = 1, seed: int | None = None) -> None:
    """Takes defaults."""


def test_defaults_are_filled_in_as_if_they_had_been_sent() -> None:
    assert decode(read(_function), {"name": "x"}) == {
        "name": "x",
        "day": date(2026, 1, 31),
        "rate": 1.0,
        "seed": None,
    }
    assert isinstance(decode(read(_function), {"name": "x"})["rate"], float)


@pytest.mark.parametrize(
    ("mapping", "problem"),
    [
        ({}, "name: is required"),
        ({"name": "x", "days": 1}, "days: no such parameter; allowed are name, day, rate, seed"),
        ({"name": "x", "ctx": 1}, "ctx: no such parameter; allowed are name, day, rate, seed"),
        ({"name": "x", "rate": None}, "rate: null is not a number"),
        ([], "[] is not an object"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(mapping: Any, problem: str) -> None:
    with pytest.raises(BadValue) as raised:
        decode(read(_function), mapping)
    assert str(raised.value) == problem


def test_a_function_without_parameters_takes_none() -> None:
    with pytest.raises(BadValue, match=r"^x: no such parameter; none is allowed here$"):
        decode(read(lambda: None), {"x": 1})


def test_a_mutable_default_is_new_for_each_call() -> None:
    def function(items: list[int] = []) -> None: ...  # noqa: B006

    signature = read(function)
    decode(signature, {})["items"].append(1)
    assert decode(signature, {}) == {"items": []}


def test_an_error_in_a_class_that_is_no_bad_value_comes_through() -> None:
    @dataclass
    class Broken:
        x: int

        def __post_init__(self) -> None:
            raise TypeError("a bug")

    def function(value: Any) -> None: ...

    function.__annotations__ = {"value": Broken}
    with pytest.raises(TypeError, match="a bug"):
        decode(read(function), {"value": {"x": 1}})


def _has_an_equal(at: datetime) -> bool:
    """A time in the hour that a clock skips or repeats equals none of another zone (PEP 495)."""
    offset = at.utcoffset()
    return offset is not None and at == at.replace(tzinfo=timezone(offset))


UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""The machine may be busy with other tests."""

SCALARS: st.SearchStrategy[tuple[Any, Any]] = st.one_of(
    st.tuples(st.just(str), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))),
    st.tuples(st.just(int), st.integers()),
    st.tuples(st.just(float), st.floats(allow_nan=False, allow_infinity=False)),
    st.tuples(st.just(bool), st.booleans()),
    st.tuples(st.just(datetime), st.datetimes(timezones=st.timezones(no_cache=True)).filter(_has_an_equal)),
    st.tuples(st.just(date), st.dates()),
    st.tuples(st.just(time), st.times()),
    st.tuples(st.just(timedelta), st.timedeltas()),
    st.tuples(st.just(UUID), st.uuids()),
    st.tuples(st.just(Decimal), st.decimals(allow_nan=False, allow_infinity=False)),
    st.tuples(st.just(Path), st.sampled_from([Path("/a/b"), Path("ü x")])),
    st.tuples(st.just(Colour), st.sampled_from(Colour)),
    st.tuples(st.just(Level), st.sampled_from(Level)),
    st.tuples(st.just(Literal["a", 1, None]), st.sampled_from(["a", 1, None])),
    st.tuples(st.just(Point), st.builds(Point, st.integers(), st.integers())),
    st.tuples(st.just(Optimizer), st.builds(Optimizer, st.floats(-1, 1), st.integers())),
    st.tuples(st.just(Layer), st.builds(Layer, title=st.just("t"), size=st.integers(1, 9))),
    st.tuples(st.just(Settings), st.builds(Settings, st.none() | st.integers(), limit=st.none() | st.integers())),
    st.tuples(
        st.just(Net),
        st.builds(
            Net,
            layers=st.just([]),
            first=st.none() | st.just(Layer(title="t")),
            day=st.none() | st.dates(),
            size=st.none() | st.integers(),
            any=st.none() | st.booleans(),
        ),
    ),
)


def _around(inner: st.SearchStrategy[tuple[Any, Any]]) -> st.SearchStrategy[tuple[Any, Any]]:
    list_, tuple_, dict_, annotated = (cast(Any, each) for each in (list, tuple, dict, Annotated))
    return st.one_of(
        inner.map(lambda pair: (list_[pair[0]], [pair[1], pair[1]])),
        inner.map(lambda pair: (tuple_[pair[0], ...], (pair[1],))),
        inner.map(lambda pair: (dict_[str, pair[0]], {"ü": pair[1]})),
        inner.map(lambda pair: (pair[0] | None, pair[1])),
        inner.map(lambda pair: (pair[0] | None, None)),
        inner.map(lambda pair: (annotated[pair[0], "Described."], pair[1])),
        st.tuples(inner, inner).map(lambda both: (tuple_[both[0][0], both[1][0]], (both[0][1], both[1][1]))),
    )


@UNHURRIED
@given(st.recursive(SCALARS, _around, max_leaves=6))
def test_what_is_encoded_fits_the_schema_and_is_decoded_to_the_same(pair: tuple[Any, Any]) -> None:
    annotation, value = pair
    signature = read(with_parameter(annotation, value))
    schema = signature.parameters_schema()
    assert check_schema(schema) == []
    encoded = Reader("validation").json_type(annotation, "").encode(value, "")
    if encoded is not None:  # null is what is not given
        Draft202012Validator(schema).validate({"value": encoded})
    sent = complete(schema, {})
    assert sent == ({} if value is None else {"value": encoded})
    assert decode(signature, sent) == {"value": value}
    assert decode(signature, {"value": encoded}) == {"value": value}


@UNHURRIED
@given(st.recursive(SCALARS, _around, max_leaves=6))
def test_a_result_of_the_annotated_type_fits_its_schema(pair: tuple[Any, Any]) -> None:
    annotation, value = pair
    try:
        written = encode(value)
    except Unencodable:  # an integer beyond 2^53
        reject()
    schema = returning(annotation).result_schema() or {}
    Draft202012Validator(schema).validate(json.loads(written))
    assert misfit(schema, json.loads(written)) is None


def test_text_of_a_module_with_string_annotations_is_decoded() -> None:
    found = decode(read(samples.train), {"model_name": "m", "day": "2026-01-31", "optimizer": {"rate": 0}})
    assert found == {"model_name": "m", "day": date(2026, 1, 31), "optimizer": samples.Optimizer(0.0)}


def test_bad_values_keep_their_path_apart() -> None:
    with pytest.raises(BadValue) as raised:
        decoded(Optimizer, {"rate": "x"})
    assert (raised.value.path, raised.value.problem) == ("value.rate", "'x' is not a number")


def test_a_class_that_holds_itself_has_no_form() -> None:
    with pytest.raises(TypeError, match="holds itself"):
        read(with_parameter(Node))
