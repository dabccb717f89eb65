"""Schemas and values of strangers: nothing is opened, nothing takes long, nothing goes down too deep."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from longtask_api import checking
from longtask_api.checking import Mismatch, check_value_schema, mismatches
from longtask_api.parameters import InvalidParameters, check_schema, complete
from longtask_api.survey import MAX_STEPS, size_of, survey


def _nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def _doubling(times: int) -> dict[str, Any]:
    """2^times parts look at one place, when references are written out."""
    twice = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(times)}
    return {"$ref": "#/$defs/d0", "$defs": twice | {f"d{times}": {"type": "string"}}}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        yield server


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef"])
def test_no_file_that_a_schema_names_is_opened(keyword: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "schema.json"
    elsewhere.write_text('{"type": "null"}')
    schema = {keyword: elsewhere.as_uri()}
    Draft202012Validator({"$ref": elsewhere.as_uri()})
    with pytest.raises(ValueError, match=r"is not opened|not supported"):
        checking._validating(schema)
    assert "only references inside the schema" in check_value_schema(schema)[0]
    assert "only references inside the schema" in mismatches(schema, 1)[0].message


@pytest.mark.parametrize("where", ["$ref", "$dynamicRef", "$schema", "$id"])
def test_nobody_is_called_whom_a_schema_names(where: str, listener: socket.socket) -> None:
    uri = f"http://127.0.0.1:{listener.getsockname()[1]}/schema"
    schema = {where: uri} | ({"properties": {"a": {"$ref": "other"}}} if where == "$id" else {})
    check_value_schema(schema)
    mismatches(schema, {"a": 1})
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        pytest.param(_nested(3000), "is nested deeper than 100 levels", id="3000-levels"),
        pytest.param(_nested(60), "is nested deeper than 100 levels", id="60-objects"),
        pytest.param({"allOf": [_nested(46)]}, "nests schemas deeper than 45 levels", id="46-schemas"),
        pytest.param(
            {"$ref": "#/$defs/d0", "$defs": {f"d{n}": {"items": {"$ref": f"#/$defs/d{n + 1}"}} for n in range(40)}},
            "nests schemas deeper than 45 levels when references are written out",
            id="a-chain-of-references",
        ),
        pytest.param({"description": "x" * 70_000}, "has 70018 bytes as JSON; 65536 are allowed", id="70-kb"),
        pytest.param(
            {"anyOf": [{"pattern": f"^{n}$"} for n in range(33)]}, "has 33 different regular expr", id="33-patterns"
        ),
        pytest.param(
            {"pattern": "((a{1,100}){1,100}){1,100}"},
            'pattern: "((a{1,100}){1,100}){1,100}" is no regular expression, or one that grows too large',
            id="a-pattern-that-grows",
        ),
        pytest.param(
            {"properties": {"a": {"$id": "https://example.com/a", "$ref": "#/$defs/b"}}},
            "properties.a: $id may stand only at the top of the schema",
            id="another-root-inside",
        ),
    ],
)
def test_a_schema_that_would_cost_too_much_is_refused(schema: dict[str, Any], problem: str) -> None:
    assert any(problem in found for found in check_value_schema(schema)), check_value_schema(schema)


def test_45_schemas_within_each_other_are_few_enough() -> None:
    assert check_value_schema(_nested(44)) == []


def test_references_without_number_are_walked_through_once() -> None:
    schema = {"properties": {f"p{n}": {"$ref": "#/$defs/x"} for n in range(1000)}, "$defs": {"x": _nested(40)}}
    assert check_value_schema(schema) == []
    assert survey(schema).breadth == 2


@pytest.mark.parametrize(
    ("schema", "breadth"),
    [
        ({"type": "object"}, 1),
        ({"properties": {"a": {}, "b": {}}}, 1),
        ({"properties": {"a": {"anyOf": [{}, {}]}, "b": {}}}, 3),
        ({"properties": {"a": {}}, "additionalProperties": {}, "patternProperties": {"x": {}}}, 3),
        ({"items": {"allOf": [{}] * 9}}, 10),
        ({"enum": list(range(50))}, 6),
        (_doubling(10), 3 * 2**10),
    ],
    ids=str,
)
def test_how_many_parts_look_at_one_place(schema: dict[str, Any], breadth: int) -> None:
    assert survey(schema).breadth == pytest.approx(breadth, rel=1 / 3)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (_doubling(21), "x"),
        ({"items": {"allOf": [{"minimum": n} for n in range(1000)]}}, [1] * 5000),
        ({"items": {"properties": {f"p{n}": {} for n in range(1000)}}}, [{}] * 5000),
        ({"items": {"pattern": "(?=a)b"}}, ["x"] * 5000),
        ({"pattern": "a"}, "x" * 5_000_000),
    ],
    ids=["doubling", "all-of", "names", "looking-around", "long-text"],
)
def test_a_check_that_would_take_long_is_not_made(schema: dict[str, Any], value: Any) -> None:
    assert [each.message for each in mismatches(schema, value)] == [
        f"has {size_of(value).places} values, too many to be held against so large a schema"
    ]


def test_what_a_check_costs_is_bounded_by_places_and_parts() -> None:
    size = size_of([{"a": "é" * 3}] * 10)
    assert (size.places, size.objects, size.characters) == (21, 10, 40)
    assert survey({"items": {"properties": {"a": {}}}}).steps(size) == 21 + 10
    assert survey({}).steps(size) < MAX_STEPS


def test_of_a_large_value_the_first_place_is_told() -> None:
    value = [1] * 4000 + ["x"] * 1000
    assert mismatches({"items": {"type": "integer"}}, value) == [Mismatch("[4000]", '"x" is not of type "integer"')]


def test_of_a_large_value_under_alternatives_it_is_told_that_it_does_not_fit() -> None:
    schema = {"anyOf": [{"items": {"type": "integer"}}, {"items": {"type": "null"}}]}
    assert [each.path for each in mismatches(schema, ["x"] * 5000)] == [""]
    assert "does not fit" in mismatches(schema, ["x"] * 5000)[0].message


@pytest.mark.parametrize(
    ("schema", "value", "told"),
    [
        ({"enum": [None, True, "a"]}, 5, '5 is not one of null, true, "a"'),
        ({"enum": list("abcdef")}, 1, '1 is not one of "a", "b", "c", "d", "e", "f"'),
        ({"const": None}, False, "null was expected"),
        ({"type": ["integer", "null"]}, True, 'true is not of types "null", "integer"'),
        ({"properties": {"a": False}}, {"a": None}, "a: is not allowed here"),
        ({"additionalProperties": False}, {"a": 1}, "a: no such property; none is allowed here"),
        ({"unevaluatedProperties": False}, {"a": 1}, "a: no such property; none is allowed here"),
        (
            {"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"properties": {}, "minProperties": 1}}},
            {"a": {}},
            "a: {} has less than 1 property",
        ),
        (
            {
                "properties": {"a": {"$ref": "#/$defs/x"}},
                "$defs": {"x": {"properties": {"b": {}}, "additionalProperties": False}},
            },
            {"a": {"c": 1}},
            "a.c: no such property; allowed are b",
        ),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "b: is required"),
        ({"maxLength": 1}, "\ue000\ue000", '"\ue000\ue000" is longer than 1 character'),
    ],
    ids=str,
)
def test_what_does_not_fit_is_told_in_the_words_of_json(schema: dict[str, Any], value: Any, told: str) -> None:
    assert [str(each) for each in mismatches(schema, value)] == [told]


@pytest.mark.parametrize(
    "number",
    [2**63, -(2**63), 10**400, float("inf"), float("nan")],
    ids=["one-too-many", "one-too-few", "400-digits", "infinity", "no-number"],
)
@pytest.mark.parametrize("place", ["n", "o.l[1]"])
def test_a_number_that_would_come_as_another_one_is_refused_with_its_place(number: float, place: str) -> None:
    schema = {"type": "object", "properties": {"n": {}, "o": {}}}
    with pytest.raises(InvalidParameters) as caught:
        complete(schema, {"n": number} if place == "n" else {"o": {"l": [1, number]}})
    assert [error.path for error in caught.value.errors] == [place]


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63) + 1, 1e300, -0.0, True])
def test_a_number_that_comes_as_it_is_is_taken(number: float) -> None:
    assert complete({"type": "object", "properties": {"n": {}}}, {"n": number}) == {"n": number}


INTEGER = {"type": "integer"}


@pytest.mark.parametrize(
    ("properties", "others", "problem"),
    [
        ({"a": INTEGER | {"default": "x"}}, {}, 'the defaults do not fit: a: "x" is not of type "integer"'),
        ({"a": INTEGER | {"default": None}}, {}, 'the defaults do not fit: a: null is not of type "integer"'),
        (
            {"o": {"properties": {"a": INTEGER | {"default": "x"}}}},
            {},
            'the defaults do not fit: o.a: "x" is not of type "integer"',
        ),
        (
            {"o": {"default": {}, "properties": {"a": INTEGER}, "required": ["a"]}},
            {},
            "the defaults do not fit: o.a: is required",
        ),
        ({"l": {"items": INTEGER, "default": [1, "x"]}}, {}, 'the defaults do not fit: l[1]: "x" is not of type'),
        (
            {"a": {"$ref": "#/$defs/n", "default": "x"}},
            {"$defs": {"n": INTEGER}},
            'the defaults do not fit: a: "x" is not of type "integer"',
        ),
        (
            {"a": {"anyOf": [INTEGER, {"type": "null"}], "default": "x"}},
            {},
            'the defaults do not fit: a: "x" is not valid under any',
        ),
        ({}, {"required": ["a"]}, "'a' is required, but is not among the properties, and others are not allowed"),
        (
            {"o": {"additionalProperties": False, "required": ["a"]}},
            {},
            "'o.a' is required, but is not among the properties, and others are not allowed",
        ),
        ({"a": {"enum": []}}, {}, "properties.a: no value fits it"),
        ({"a": {"type": "string", "enum": [1]}}, {}, "properties.a: no value fits it"),
        ({"a": INTEGER | {"minimum": 3, "maximum": 1}}, {}, "properties.a: no value fits it"),
        ({"l": {"items": {"properties": {"a": {"enum": []}}}}}, {}, "properties.l.items.properties.a: no value fits"),
    ],
    ids=str,
)
def test_a_template_that_no_start_could_fit_is_not_ready(
    properties: dict[str, Any], others: dict[str, Any], problem: str
) -> None:
    found = check_schema({"type": "object", "properties": properties} | others)
    assert any(each.startswith(problem) for each in found), found


@pytest.mark.parametrize(
    ("properties", "others"),
    [
        ({"a": INTEGER | {"default": 1}}, {"required": ["a"]}),
        ({"o": {"properties": {"a": INTEGER | {"default": 1}, "b": {}}, "required": ["b"]}}, {}),
        ({"o": {"default": {}, "properties": {"a": INTEGER | {"default": 1}}, "required": ["a"]}}, {}),
        ({}, {"required": ["x_1"], "patternProperties": {"^x_": {}}}),
        ({}, {"required": ["a"], "additionalProperties": True}),
        ({"a": {}, "b": {}}, {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}),
        ({"a": {"anyOf": [{"enum": []}, INTEGER]}}, {}),
    ],
    ids=str,
)
def test_a_template_that_a_start_could_fit_is_ready(properties: dict[str, Any], others: dict[str, Any]) -> None:
    assert check_schema({"type": "object", "properties": properties} | others) == []
