"""Parameters and answers as they are typed."""

import json
from typing import Any

import pytest

from longtask_cli.starts import document, names
from longtask_cli.values import BadValue, answer, parameters

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "epochs": {"type": "integer"},
        "rate": {"type": "number"},
        "deep": {"type": "boolean"},
        "layers": {"type": "array", "items": {"type": "integer"}},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "either": {"type": ["integer", "string"]},
        "mode": {"enum": ["1", "2"]},
        "level": {"enum": [1, 2]},
        "exact": {"const": "3"},
        "referred": {"$ref": "#/$defs/name"},
        "circular": {"$ref": "#/$defs/circle"},
        "anything": {},
    },
    "$defs": {"name": {"type": "string"}, "circle": {"$ref": "#/$defs/circle"}},
}
FILES = {"notes.txt": "one\ntwo\n", "layers.json": "[1, 2]", "-": "7"}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("name=10", "10"),
        ("name=true", "true"),
        ("name=a=b:=c", "a=b:=c"),
        ("name=", ""),
        ("epochs=10", 10),
        ("epochs=ten", "ten"),
        ("rate=1e-3", 0.001),
        ("deep=true", True),
        ("deep=yes", "yes"),
        ("layers=[1, 2]", [1, 2]),
        ("layers:=[1]", [1]),
        ("maybe=null", "null"),
        ("maybe:=null", None),
        ("either=3", "3"),
        ("either:=3", 3),
        ("mode=1", "1"),
        ("level=1", 1),
        ("exact=3", "3"),
        ("referred=3", "3"),
        ("circular=3", 3),
        ("anything=3", 3),
        ("anything=three", "three"),
        ("unknown=3", 3),
        ("name=@notes.txt", "one\ntwo\n"),
        ("layers=@layers.json", [1, 2]),
        ("layers:=@layers.json", [1, 2]),
        ("epochs=@-", 7),
        ('name:="@notes.txt"', "@notes.txt"),
        ("name=日本", "日本"),
    ],
)
def test_a_value_has_the_type_that_its_schema_wants(word: str, value: Any) -> None:
    found = parameters(SCHEMA, [word], FILES.__getitem__)
    (read,) = found.values()
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["epochs"], "'epochs' is no parameter: write NAME=VALUE, NAME:=JSON or NAME=@FILE"),
        (["=3"], "'=3' is no parameter"),
        (["--wait"], "'--wait' is no parameter"),
        (["epochs=1", "epochs:=2"], "epochs is given twice"),
        (["layers:=[1"], "layers: '[1' is not JSON"),
        (["layers:=" + "[" * 101 + "]" * 101], "layers: is nested deeper than 100 levels"),
    ],
)
def test_what_is_no_parameter_is_told_how_it_is_written(words: list[str], says: str) -> None:
    with pytest.raises(BadValue) as error:
        parameters(SCHEMA, words, FILES.__getitem__)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("schema", "text", "written"),
    [
        ({}, "true", "true"),
        ({}, "perhaps", '"perhaps"'),
        ({}, '"true"', '"true"'),
        ({"type": "string"}, "true", '"true"'),
        ({"type": "string"}, "日本", '"日本"'),
        ({"type": "boolean"}, "true", "true"),
        ({"enum": ["1", "2"]}, "1", '"1"'),
        ({"type": "array"}, "[1, 2]", "[1,2]"),
    ],
)
def test_an_answer_is_json_or_the_words_themselves(schema: dict[str, Any], text: str, written: str) -> None:
    assert answer(schema, text) == written


@pytest.mark.parametrize(
    ("schema", "text", "says"),
    [
        ({"type": "boolean"}, "perhaps", '"perhaps" is not of type "boolean"'),
        ({"type": "integer", "maximum": 3}, "4", "4 is greater than the maximum of 3"),
        ({}, "x" * 5000, "has 5002 characters as JSON, 4096 are allowed"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(schema: dict[str, Any], text: str, says: str) -> None:
    with pytest.raises(BadValue, match=says):
        answer(schema, text)


def first(template: str, key: str | None) -> str:
    return next(names(template, key))


def test_a_key_always_gives_the_same_names_and_no_key_never_does() -> None:
    assert first("work", "nightly") == first("work", "nightly")
    assert len({first("work", "nightly"), first("work", "daily"), first("other", "nightly")}) == 3
    assert len({first("work", None) for _ in range(50)}) == 50
    generator = names("work", "nightly")
    assert len({next(generator) for _ in range(20)}) == 20


def test_a_task_of_a_person_has_no_requester() -> None:
    made = document("work-x", "work", {"epochs": 1}, "nightly", "abc")
    assert made["spec"] == {"templateRef": {"name": "work"}, "parameters": {"epochs": 1}, "idempotencyKey": "nightly"}
    assert json.loads(json.dumps(made)) == made
