"""Whether a value fits its schema, at the desk: as a full validator of JSON Schema says."""

import json
from contextlib import nullcontext
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import annotated_types
import pydantic
import pytest
from jsonschema import Draft202012Validator

import longtask
from longtask.fit import LARGEST_INTEGER, MAX_DEPTH, MAX_PARAMETERS, given, misfit
from longtask.local import LocalBackend
from longtask.run import _PlainFailure, _Work
from longtask.stop import Stop
from longtask_api import bounds, constants, parameters
from longtask_api.checking import mismatches
from longtask_api.parameters import InvalidParameters, complete
from tests.sdk.test_signature import Optimizer, Point, returning


class Row(pydantic.BaseModel, extra="forbid"):
    name: Annotated[str, pydantic.Field(min_length=1, pattern="^[a-z]+$")]
    size: Annotated[int, pydantic.Field(ge=1, lt=10)] = 1
    kind: Literal["a"] = "a"

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def half(self) -> float:
        return self.size / 2


@pytest.mark.parametrize(
    ("annotation", "value", "problem"),
    [
        (int, 3, None),
        (int, 3.0, None),
        (int, 3.5, "result is 3.5, and must be a whole number"),
        (int, True, "result is true, and must be a whole number"),
        (float, 3, None),
        (float, "3", "result is '3', and must be a number"),
        (str, None, "result is null, and must be text"),
        (str | None, None, None),
        (int | None, "x", "result is 'x', and fits none of 2 types"),
        (dict[str, datetime], {"at": "2026-01-31T18:30:00Z"}, None),
        (dict[str, datetime], {"at": "2026-01-31T18:30:00"}, "result.at is '2026-01-31T18:30:00', and must be a date"),
        (date, "31.1.2026", "result is '31.1.2026', and must be a date, such as 2026-01-31"),
        (timedelta, "90 minutes", "result is '90 minutes', and must be an ISO 8601 duration"),
        (list[int], [1, "x"], "result[1] is 'x', and must be a whole number"),
        (list[int], {}, "result is {}, and must be a list"),
        (tuple[int, str], [1, "x"], None),
        (tuple[int, str], [1, 2], "result[1] is 2, and must be text"),
        (tuple[int, str], [1], "result has 1 items, and must have at least 2"),
        (set[int], [1, 1.0], "result holds something twice"),
        (Literal["a", "b"], "c", "result is 'c', and must be one of 'a', 'b'"),
        (Literal[1, "x"], True, "result is true, and "),
        (Optimizer, {"rate": 1, "steps": 2, "tags": [], "seen": 0}, None),
        (Optimizer, {"rate": 1}, "result.steps is missing"),
        (Point, {"x": 1, "y": 2, "z": 3}, "result.z is not allowed"),
        (Row, {"name": "a", "size": 1, "kind": "a", "half": 0.5}, None),
        (Row, {"name": "", "size": 1, "kind": "a", "half": 0.5}, "result.name has 0 characters, and must have at "),
        (Row, {"name": "A", "size": 1, "kind": "a", "half": 0.5}, "result.name is 'A', and must match ^[a-z]+$"),
        (Row, {"name": "a", "size": 10, "kind": "a", "half": 0.5}, "result.size is 10, and must be less than 10"),
        (Row, {"name": "a", "size": 1, "kind": "b", "half": 0.5}, "result.kind is 'b', and must be 'a'"),
        (Row, {"name": "a", "size": 1, "kind": "a"}, "result.half is missing"),
        (int | list[int], "x", "result is 'x', and fits none of 2 types"),
        (Annotated[float, annotated_types.Gt(0)], 0, "result is 0, and must be more than 0"),
        (Annotated[dict[str, int], annotated_types.Len(1, 1)], {}, "result has 0 entries, and must have at least 1"),
    ],
    ids=str,
)
def test_a_result_is_measured_by_the_schema_of_its_annotation(annotation: Any, value: Any, problem: str | None) -> None:
    schema = returning(annotation).result_schema()
    assert schema is not None
    found = misfit(schema, value)
    assert found == problem if problem is None else (found or "").startswith(problem)
    if not (
        {"date", "duration"} & set((problem or "").replace(",", "").split())
    ):  # formats, which other packages check
        assert Draft202012Validator(schema).is_valid(value) == (problem is None)


def test_a_pattern_that_python_does_not_take_is_left_to_the_operator_and_the_rest_is_measured() -> None:
    schema = {"type": "string", "pattern": r"^\p{L}+$", "maxLength": 3}
    assert misfit(schema, "abc") is None
    assert misfit(schema, "abcd") == "result has 4 characters, and must have at most 3"


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ([1, True, 0, False, "1", None, [], {}, [1], [True], {"a": 1}, {"a": True}], True),
        ([2**53, 2**53 + 1], True),
        ([[1, {"a": 2}], [1.0, {"a": 2.0}]], False),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], False),
    ],
)
def test_of_unique_items_1_is_the_same_as_1_0_and_not_as_true(value: list[Any], fits: bool) -> None:
    schema = {"type": "array", "uniqueItems": True}
    assert misfit(schema, value) == (None if fits else "result holds something twice")
    assert Draft202012Validator(schema).is_valid(value) == fits


def test_many_unique_items_are_not_compared_each_with_each() -> None:
    """That would take an hour."""
    assert misfit({"uniqueItems": True}, [*map(str, range(200_000))]) is None


@pytest.mark.parametrize(
    ("schema", "value", "problem"),
    [
        ({"multipleOf": 0.5}, 1.5, None),
        ({"multipleOf": 5}, 12, "answer is 12, and must be a multiple of 5"),
        ({"not": {"enum": ["a"]}}, "b", None),
        ({"not": {"enum": ["a"]}}, "a", "answer is 'a', and must not be"),
        ({"oneOf": [{"type": "integer"}, {"minimum": 5}]}, 3, None),
        ({"oneOf": [{"type": "integer"}, {"minimum": 5}]}, 7, "answer is 7, and fits more than one of 2 types"),
        ({"patternProperties": {"^x": {"type": "string"}}, "additionalProperties": False}, {"x1": "a"}, None),
        ({"patternProperties": {"^x": {"type": "string"}}}, {"x1": 1}, "answer.x1 is 1, and must be text"),
        ({"patternProperties": {"^x": {}}, "additionalProperties": False}, {"y": 1}, "answer.y is not allowed"),
    ],
)
def test_what_authors_write_in_a_schema_of_their_own_is_held(schema: Any, value: Any, problem: str | None) -> None:
    assert misfit(schema, value, "answer") == problem
    assert Draft202012Validator(schema).is_valid(value) is (problem is None)


def start(text: str) -> dict[str, Any]:
    """JSON as a start gives it. Raises InvalidParameters."""
    return complete(anything.signature.parameters_schema(), json.loads(text))


@longtask.task
def anything(
    value: Any = None,
    *,
    day: date | None = None,
    key: UUID | None = None,
    span: timedelta | None = None,
    word: Annotated[str | None, pydantic.Field(pattern="^a$")] = None,
    digits: Annotated[str | None, pydantic.Field(pattern=r"^[\d][\w$]\d\D\W$")] = None,
    lines: Annotated[str | None, pydantic.Field(pattern="(?m)^a$")] = None,
    dollar: Annotated[str | None, pydantic.Field(pattern=r"^\$$")] = None,
    text: str = "x" * 100,
) -> None:
    """Takes all."""


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('{"value": NaN}', False),
        ('{"value": [-Infinity]}', False),
        ('{"value": {"a": 1e400}}', False),
        ('{"value": 1e308}', True),
        ('{"value": 123456789012345678901234567890}', False),
        ('{"value": 9223372036854775807}', True),
        ('{"value": -9223372036854775808}', False),
        ('{"value": "a\\u0000"}', False),
        ('{"value": {"a\\u0000": 1}}', False),
        ('{"value": "\\ud800"}', False),
        ('{"value": "\\ud83d\\ude00"}', True),
        (f'{{"value": {"[" * 99}{"]" * 99}}}', True),
        (f'{{"value": {"[" * 100}{"]" * 100}}}', False),
        (json.dumps({"value": "x" * 70_000}), False),
        (json.dumps({"value": "x" * (65536 - 100 - len('{"value": "", "text": ""}'))}), True),
        (json.dumps({"value": "x" * (65537 - 100 - len('{"value": "", "text": ""}'))}), False),
        (json.dumps({"value": "ü" * 32_800}), False),
        ('{"day": "2026-01-31"}', True),
        ('{"day": "20260131"}', False),
        ('{"day": "2026-W05-6"}', False),
        ('{"key": "123e4567-E89B-12d3-a456-426614174000"}', True),
        ('{"key": "{123e4567-e89b-12d3-a456-426614174000}"}', False),
        ('{"key": "123e4567e89b12d3a456426614174000"}', False),
        ('{"key": "urn:uuid:123e4567-e89b-12d3-a456-426614174000"}', False),
        ('{"span": "-P1DT2H"}', True),
        ('{"span": "+P1D"}', False),
        ('{"word": "a"}', True),
        ('{"word": "a\\n"}', False),
        ('{"digits": "1w1a "}', True),
        ('{"digits": "1$1\u0663\u00e9"}', True),
        ('{"digits": "\u0663w1a "}', False),
        ('{"digits": "1\u00e91a "}', False),
        ('{"lines": "b\\na\\nc"}', True),
        ('{"dollar": "$"}', True),
        ('{"other": 1}', False),
        ('{"value": null, "day": null}', True),
    ],
    ids=lambda each: str(each)[:50],
)
def test_a_desk_takes_and_refuses_what_a_start_in_a_cluster_does(text: str, fits: bool) -> None:
    desk = _Work("", {"LONGTASK_PARAMETERS": text}, LocalBackend({}), Stop())
    with nullcontext() if fits else pytest.raises(InvalidParameters):
        start(text)
    with nullcontext() if fits else pytest.raises(_PlainFailure, match="LONGTASK_PARAMETERS do not fit anything: "):
        desk._arguments(anything)


def test_a_desk_fills_in_the_defaults_as_a_cluster_does() -> None:
    schema = anything.signature.parameters_schema()
    assert given(schema, {}) == complete(schema, {}) == {"text": "x" * 100}


def test_limits_of_parameters_are_those_of_the_api() -> None:
    assert (MAX_PARAMETERS, MAX_DEPTH, LARGEST_INTEGER) == (
        constants.MAX_PARAMETERS_BYTES,
        bounds.MAX_DEPTH,
        parameters.LARGEST_INTEGER,
    )


def test_a_result_of_nanoseconds_is_a_duration() -> None:
    schema = returning(timedelta).result_schema() or {}
    for text, fits in (("PT0.000000001S", True), ("P1Y2M", True), ("P", False), ("+P1D", False)):
        assert (misfit(schema, text) is None) is fits
        assert (mismatches(schema, text) == []) is fits
