"""Parameters of a task, and the schemas that templates have for them."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest

from longtask_api import constants
from longtask_api.checking import Mismatch, mismatches
from longtask_api.parameters import InvalidParameters, check_schema, complete


def _schema(properties: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties} | others


TREE = {"type": "object", "properties": {"child": {"$ref": "#/$defs/tree"}}}


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"type": "object"}, id="no-properties"),
        pytest.param(_schema({}), id="empty"),
        pytest.param(_schema({"epochs": {"type": "integer", "minimum": 1, "default": 10}}), id="plain"),
        pytest.param(_schema({"a" * 64: {}, "_x": {}, "a-b": {}, "A": {}}), id="names"),
        pytest.param(_schema({"x": {"$ref": "#/$defs/n"}}, **{"$defs": {"n": {"type": "integer"}}}), id="reference"),
        pytest.param(
            _schema({"x": {"$ref": "#/$defs/n"}, "y": {"$ref": "#/$defs/n"}}, **{"$defs": {"n": {"type": "integer"}}}),
            id="reference-used-twice",
        ),
        pytest.param(
            _schema(
                {"x": {"$ref": "#/$defs/a"}},
                **{"$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"type": "null"}}},
            ),
            id="reference-by-reference",
        ),
        pytest.param(_schema({"x": {"$ref": "#/$defs/a~1b"}}, **{"$defs": {"a/b": {}}}), id="escaped-reference"),
        pytest.param(_schema({"x": {"$ref": "#/$defs/a%20b"}}, **{"$defs": {"a b": {}}}), id="encoded-reference"),
        pytest.param(_schema({"x": {"type": "string", "pattern": "^[a-z]+$"}}), id="pattern"),
        pytest.param(
            _schema({"pattern": {}}),
            id="named-pattern",
        ),
        pytest.param(_schema({}, additionalProperties=True), id="open"),
    ],
)
def test_a_schema_that_a_template_may_have(schema: dict[str, Any]) -> None:
    assert check_schema(schema) == []


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        pytest.param({"type": "objct"}, 'not a JSON Schema (2020-12): type: "objct"', id="no-such-type"),
        pytest.param(
            _schema({"x": {"minimum": "1"}}), "not a JSON Schema (2020-12): properties.x.minimum: ", id="deep-mistake"
        ),
        pytest.param(_schema({"x": 7}), "not a JSON Schema (2020-12): properties.x: ", id="not-a-schema"),
        pytest.param(
            _schema({"x": {"pattern": "("}}), "not a JSON Schema (2020-12): properties.x.pattern: ", id="pattern"
        ),
        pytest.param(
            _schema({}, patternProperties={"(": {}}),
            "not a JSON Schema (2020-12): patternProperties: ",
            id="name-pattern",
        ),
        pytest.param({}, 'the schema\'s type must be "object"', id="no-type"),
        pytest.param({"type": "array"}, 'the schema\'s type must be "object"', id="array"),
        pytest.param({"type": ["object", "null"]}, 'the schema\'s type must be "object"', id="several-types"),
        pytest.param(_schema({"1st": {}}), "parameter '1st': a name has up to 64", id="digit-first"),
        pytest.param(_schema({"a.b": {}}), "parameter 'a.b': a name has up to 64", id="dot"),
        pytest.param(_schema({"": {}}), "parameter '': a name has up to 64", id="no-name"),
        pytest.param(_schema({"a" * 65: {}}), f"parameter '{'a' * 65}': a name has up to 64", id="65-characters"),
        pytest.param(_schema({"a\n": {}}), "parameter 'a\\n': a name has up to 64", id="line-break-at-the-end"),
        pytest.param(_schema({"é": {}}), "parameter 'é': a name has up to 64", id="not-ascii"),
        pytest.param(
            _schema({"wait_seconds": {}}), "parameter 'wait_seconds': the name is reserved", id="reserved-wait"
        ),
        pytest.param(
            _schema({"idempotency_key": {}}), "parameter 'idempotency_key': the name is reserved", id="reserved-key"
        ),
        pytest.param(
            _schema({"a-b": {}, "a_b": {}}),
            "parameters 'a-b' and 'a_b' would both arrive as LONGTASK_PARAM_A_B; rename one",
            id="dash-and-underscore",
        ),
        pytest.param(
            _schema({"a": {}, "A": {}}),
            "parameters 'a' and 'A' would both arrive as LONGTASK_PARAM_A; rename one",
            id="upper-and-lower",
        ),
        pytest.param(
            _schema({"x": {"$ref": "https://example.com/s.json"}}),
            "$ref 'https://example.com/s.json': only references inside",
            id="remote",
        ),
        pytest.param(
            _schema(
                {"x": {"items": [{"$ref": "other.json"}]}} if False else {"x": {"anyOf": [{"$ref": "other.json"}]}}
            ),
            "$ref 'other.json': only references inside",
            id="remote-in-a-list",
        ),
        pytest.param(
            _schema({"x": {"$dynamicRef": "other.json#a"}}),
            "$dynamicRef 'other.json#a': only references inside",
            id="remote-dynamic",
        ),
        pytest.param(_schema({"x": {"$ref": "#"}}), "$ref '#' leads back to itself", id="recursive-root"),
        pytest.param(
            _schema({"x": {"$ref": "#/$defs/tree"}}, **{"$defs": {"tree": TREE}}),
            "$ref '#/$defs/tree' leads back to itself",
            id="recursive",
        ),
        pytest.param(
            _schema(
                {"x": {"$ref": "#/$defs/a"}},
                **{"$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"items": {"$ref": "#/$defs/a"}}}},
            ),
            "$ref '#/$defs/a' leads back to itself",
            id="recursive-by-another",
        ),
    ],
)
def test_a_schema_that_a_template_may_not_have(schema: dict[str, Any], problem: str) -> None:
    assert any(found.startswith(problem) for found in check_schema(schema)), check_schema(schema)


def test_all_problems_of_the_names_are_told_at_once() -> None:
    assert len(check_schema(_schema({"1": {}, "wait_seconds": {}, "a-b": {}, "a_b": {}}))) == 3


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param(_schema({"x": {"$ref": "#/$defs/missing"}}), id="missing"),
        pytest.param(_schema({"x": {"$ref": "#missing"}}), id="missing-anchor"),
        pytest.param(
            _schema({"x": {"$ref": "#n"}}, **{"$defs": {"n": {"$anchor": "n", "items": {"$ref": "#n"}}}}),
            id="recursive-anchor",
        ),
    ],
)
def test_a_reference_that_cannot_be_written_out_is_a_problem(schema: dict[str, Any]) -> None:
    assert check_schema(schema) != []


OPTIMIZER = _schema({"name": {"type": "string", "default": "adam"}, "rate": {"type": "number", "default": 0.1}})


@pytest.mark.parametrize(
    ("schema", "given", "expected"),
    [
        ({"type": "object"}, {}, {}),
        (_schema({"epochs": {"default": 10}}), {}, {"epochs": 10}),
        (_schema({"epochs": {"default": 10}}), {"epochs": 3}, {"epochs": 3}),
        (_schema({"epochs": {"default": 10}}), {"epochs": None}, {"epochs": None}),
        (_schema({"epochs": {"default": None}}), {}, {"epochs": None}),
        (_schema({"epochs": {"default": 0}}), {}, {"epochs": 0}),
        (_schema({"epochs": {}}), {}, {}),
        (_schema({"optimizer": OPTIMIZER}), {}, {}),
        (_schema({"optimizer": OPTIMIZER}), {"optimizer": {}}, {"optimizer": {"name": "adam", "rate": 0.1}}),
        (
            _schema({"optimizer": OPTIMIZER}),
            {"optimizer": {"name": "sgd"}},
            {"optimizer": {"name": "sgd", "rate": 0.1}},
        ),
        (
            _schema({"optimizer": OPTIMIZER | {"default": {"rate": 0.5}}}),
            {},
            {"optimizer": {"name": "adam", "rate": 0.5}},
        ),
        (_schema({"any": True}), {"any": {"a": 1}}, {"any": {"a": 1}}),
        (_schema({}, additionalProperties=True), {"x": 1}, {"x": 1}),
        (_schema({}, patternProperties={"^x": {}}), {"x1": 1}, {"x1": 1}),
        (_schema({}, unevaluatedProperties={"type": "integer"}), {"x": 1}, {"x": 1}),
        (_schema({"x": {"$ref": "#/$defs/n"}}, **{"$defs": {"n": {"type": "integer"}}}), {"x": 1}, {"x": 1}),
    ],
)
def test_defaults_are_filled_in(schema: dict[str, Any], given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert complete(schema, given) == expected


@pytest.mark.parametrize(
    ("field", "kept"),
    [
        ({"type": "integer"}, False),
        ({"type": "integer", "default": 3}, False),
        ({"type": "string", "enum": ["a"]}, False),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, False),
        ({"$ref": "#/$defs/count"}, False),
        ({"type": "null"}, True),
        ({"type": ["integer", "null"]}, True),
        ({"enum": ["a", None]}, True),
        ({"const": None}, True),
        ({"anyOf": [{"$ref": "#/$defs/count"}, {"type": "null"}], "default": 3}, True),
        ({}, True),
    ],
    ids=str,
)
def test_null_for_what_need_not_be_given_is_what_is_not_given(field: dict[str, Any], kept: bool) -> None:
    inner = {"type": "object", "properties": {"value": field}}
    schema = {
        "type": "object",
        "properties": {"value": field, "inner": inner, "list": {"type": "array", "items": inner}},
        "$defs": {"count": {"type": "integer"}},
    }
    found = complete(schema, {"value": None, "inner": {"value": None}, "list": [{"value": None}]})
    left = {"value": None} if kept else {}
    filled = {"value": 3} if not kept and "default" in field else left
    assert found == {**filled, "inner": filled, "list": [left]}


def test_null_for_what_must_be_given_is_refused() -> None:
    with pytest.raises(InvalidParameters, match=r"value: .*null"):
        complete(
            {"type": "object", "properties": {"value": {"type": "integer"}}, "required": ["value"]}, {"value": None}
        )


def test_neither_schema_nor_parameters_are_changed() -> None:
    schema, given = _schema({"list": {"default": []}, "optimizer": OPTIMIZER}), {"optimizer": {"name": "sgd"}}
    before = deepcopy((schema, given))
    complete(schema, given)["list"].append(1)
    assert (schema, given) == before


def test_defaults_behind_a_reference_are_filled_in() -> None:
    schema = _schema({"optimizer": {"$ref": "#/$defs/Optimizer"}}, **{"$defs": {"Optimizer": OPTIMIZER}})
    assert complete(schema, {"optimizer": {}}) == {"optimizer": {"name": "adam", "rate": 0.1}}


def _errors(schema: Mapping[str, Any], given: Mapping[str, Any]) -> list[Mismatch]:
    with pytest.raises(InvalidParameters) as caught:
        complete(schema, given)
    return caught.value.errors


@pytest.mark.parametrize(
    ("schema", "given", "expected"),
    [
        (_schema({"epochs": {"type": "integer"}}), {"epochs": "x"}, 'epochs: "x" is not of type "integer"'),
        (_schema({"epochs": {"minimum": 1}}), {"epochs": 0}, "epochs: 0 is less than the minimum of 1"),
        (
            _schema({"optimizer": OPTIMIZER}),
            {"optimizer": {"rate": "x"}},
            'optimizer.rate: "x" is not of type "number"',
        ),
        (
            _schema({"layers": {"items": {"type": "integer"}}}),
            {"layers": [1, 2, "x"]},
            'layers[2]: "x" is not of type "integer"',
        ),
        (
            _schema({"epochs": {}}, required=["epochs"]),
            {},
            "epochs: is required",
        ),
        (
            _schema({"epochs": {}}),
            {"epoch": 1},
            "epoch: no such parameter; allowed are epochs",
        ),
        (_schema({}), {"a": 1}, "a: no such parameter; none is allowed here"),
        (_schema({"a": {}, "b": {}}), {"c": 1}, "c: no such parameter; allowed are a, b"),
        (
            _schema({"optimizer": OPTIMIZER | {"additionalProperties": False}}),
            {"optimizer": {"speed": 1}},
            "optimizer.speed: no such parameter; allowed are name, rate",
        ),
        (
            _schema({"optimizer": _schema({"rate": {}}, required=["rate"])}),
            {"optimizer": {}},
            "optimizer.rate: is required",
        ),
        (
            _schema({"model-name": {"minLength": 2}}),
            {"model-name": "x"},
            'model-name: "x" is shorter than 2 characters',
        ),
        (_schema({"x": {}}), {"x": ["\udc00"]}, "x[0]: holds half a surrogate pair, which is no character"),
        (_schema({"name": {}}), {"name": "a\0b"}, "name: holds a NUL character"),
        (_schema({"a": {}}), {"a": {"b": ["", "\0"]}}, "a.b[1]: holds a NUL character"),
        (_schema({"a": {"default": 1, "type": "string"}}), {}, 'a: 1 is not of type "string"'),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(schema: dict[str, Any], given: dict[str, Any], expected: str) -> None:
    assert [str(error) for error in _errors(schema, given)] == [expected]


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({}, None, []),
        ({"type": "boolean"}, True, []),
        ({"type": "boolean"}, 1, ['1 is not of type "boolean"']),
        ({"type": "array", "items": {"type": "integer"}}, [1, "x"], ['[1]: "x" is not of type "integer"']),
        (_schema({"a": {"default": 1}}), {"b": 1}, []),
        (_schema({"a": {}}, required=["a"]), {}, ["a: is required"]),
        (_schema({"a": {}}, additionalProperties=False), {"b": 1}, ["b: no such property; allowed are a"]),
        (_schema({"a": {"$ref": "#/$defs/n"}}, **{"$defs": {"n": {"type": "null"}}}), {"a": None}, []),
        ({}, ["a\0b"], []),
        ({}, {"a": ["\udc00"]}, ["a[0]: holds half a surrogate pair, which is no character"]),
        ({"items": {"type": "null"}}, [1] * 50, [f'[{n}]: 1 is not of type "null"' for n in range(10)]),
        ({}, ["\udc00"] * 50, [f"[{n}]: holds half a surrogate pair, which is no character" for n in range(10)]),
    ],
)
def test_how_any_value_does_not_fit_its_schema(schema: dict[str, Any], value: Any, expected: list[str]) -> None:
    assert [str(error) for error in mismatches(schema, value)] == expected


def test_all_that_does_not_fit_is_told_in_order() -> None:
    schema = _schema({"b": {"type": "integer"}, "a": {"type": "integer"}, "c": {}})
    assert [error.path for error in _errors(schema, {"c": "\0", "b": "x", "a": "y"})] == ["a", "b", "c"]


def test_at_most_ten_errors_are_told() -> None:
    schema = _schema({f"p{n}": {"type": "integer"} for n in range(11)})
    assert len(_errors(schema, {f"p{n}": "x" for n in range(11)})) == 10


def test_several_names_are_told_one_by_one() -> None:
    schema = _schema({"a": {}, "b": {}}, required=["a", "b"])
    assert [str(error) for error in _errors(schema, {"c": 1, "d": 2})] == [
        "a: is required",
        "b: is required",
        "c: no such parameter; allowed are a, b",
        "d: no such parameter; allowed are a, b",
    ]


def test_a_name_that_fits_a_pattern_is_not_blamed() -> None:
    schema = _schema({"a": {}}, additionalProperties=False, patternProperties={"^x_": {}})
    assert [error.path for error in _errors(schema, {"x_1": 1, "bad": 2})] == ["bad"]


def test_a_long_value_in_an_error_is_cut_and_the_rest_is_told() -> None:
    (error,) = _errors(_schema({"x": {"type": "integer"}}), {"x": "v" * 1000})
    assert error.message == f'"{"v" * 99}... (1002 characters) is not of type "integer"'


def test_a_long_message_is_cut() -> None:
    (error,) = _errors(_schema({"x": {"enum": ["v" * 500, "w" * 500, "u" * 500]}}), {"x": 1})
    assert len(error.message) == 1000


@pytest.mark.parametrize(("levels", "fits"), [(1, True), (90, True), (101, False), (5000, False)])
def test_parameters_are_nested_in_at_most_a_hundred_levels(levels: int, fits: bool) -> None:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    if fits:
        assert complete(_schema({"x": {}}), {"x": value}) == {"x": value}
    else:
        (error,) = _errors(_schema({"x": {}}), {"x": value})
        assert error.message == "is nested deeper than 100 levels"
        assert error.path.startswith("x[0]")


@pytest.mark.parametrize(
    ("length", "fits"), [(constants.MAX_PARAMETERS_BYTES - 9, True), (constants.MAX_PARAMETERS_BYTES - 8, False)]
)
def test_parameters_have_at_most_64_kib(length: int, fits: bool) -> None:
    given = {"x": "v" * length}
    if fits:
        assert complete(_schema({"x": {}}), given) == given
    else:
        (error,) = _errors(_schema({"x": {}}), given)
        assert str(error) == "the parameters have 65537 bytes, 65536 are allowed: pass a reference"


def test_the_size_is_that_of_the_text_in_utf_8_with_the_defaults() -> None:
    half = constants.MAX_PARAMETERS_BYTES // 4
    schema = _schema({"x": {}, "y": {"default": "é" * half}})
    assert complete(_schema({"x": {}}), {"x": "é" * half})
    assert "are allowed" in str(_errors(schema, {"x": "é" * half})[0])


def test_an_error_tells_all_in_one_line() -> None:
    errors = [Mismatch("epochs", "too few"), Mismatch("", "too much")]
    assert str(InvalidParameters(errors)) == "epochs: too few; too much"


@pytest.mark.parametrize(
    ("format_", "good", "bad"),
    [
        ("date", "2026-02-28", "2026-02-30"),
        ("date-time", "2026-02-28T10:00:00+01:00", "2026-02-28T10:00:00"),
        ("date-time", "2026-02-28T10:00:00Z", "tomorrow"),
        ("time", "18:30:00", "18:61"),
        ("time", "18:30:00Z", "half past six"),
        ("duration", "P1DT2H", "90 minutes"),
        ("duration", "P1DT3600.25S", "P"),
        ("duration", "-PT1S", "PT"),
        ("duration", "P2W", "1DT2H"),
        ("decimal", "12.50", "12,50"),
        ("decimal", "-1E+3", "NaN"),
        ("email", "a@example.com", "a at example.com"),
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("ipv6", "::1", "10.0.0.1"),
        ("uri", "https://example.com/x?y=1", "example.com/x y"),
        ("uuid", "8f3c6c1e-0000-4000-8000-000000000000", "8f3c6c1e"),
    ],
)
def test_a_format_is_held(format_: str, good: str, bad: str) -> None:
    schema = {"type": "object", "properties": {"x": {"type": "string", "format": format_}}}
    assert complete(schema, {"x": good}) == {"x": good}
    assert [str(error) for error in _errors(schema, {"x": bad})] == [f'x: "{bad}" is not a "{format_}"']


@pytest.mark.parametrize("format_", ["regex", "made-up"])
def test_a_format_that_is_not_looked_at_holds_nothing_up(format_: str) -> None:
    assert mismatches({"format": format_}, "(") == []


def test_a_default_is_data_whatever_its_keys() -> None:
    assert check_schema({"type": "object", "properties": {"x": {"default": {"$ref": "https://example.com"}}}}) == []


def test_a_parameter_may_be_named_like_a_keyword() -> None:
    schema = {"type": "object", "properties": {"default": {"$ref": "https://example.com"}}}
    assert "only references inside the schema" in check_schema(schema)[0]
