"""JSON is counted on its bytes before anything is parsed."""

import json
from typing import Any

import pytest
from hypothesis import given, strategies

from longtask_api.bounds import MAX_DEPTH, Meter, cut, depth_of, excess, is_small

PLAIN = strategies.none() | strategies.integers() | strategies.text(alphabet='a"\\[]{},: é\n')
VALUES = strategies.recursive(
    PLAIN,
    lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(alphabet='a"\\[{'), inner),
    max_leaves=30,
)


def _levels(value: Any) -> int:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max((_levels(each) for each in inner), default=0)
    return 0


@given(VALUES, strategies.booleans(), strategies.integers(1, 9))
def test_the_depth_of_a_text_is_that_of_its_value_however_the_text_comes(value: Any, ascii_: bool, step: int) -> None:
    text, depth = json.dumps(value, ensure_ascii=ascii_).encode(), _levels(value)
    assert depth_of(value, 1000) == depth
    assert excess(text, depth) is None
    for limit in range(depth):
        meter = Meter(limit)
        told = [meter.add(text[begin : begin + step]) for begin in range(0, len(text), step)]
        assert f"is nested deeper than {limit} levels" in told


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[" * 100 + "]" * 100, None),
        ("[" * 101 + "]" * 101, "is nested deeper than 100 levels"),
        ('{"a":' * 101 + "1" + "}" * 101, "is nested deeper than 100 levels"),
        ("[" * 1_000_000, "has more than 200000 values"),
        ('"' + "[" * 1_000_000 + '"', None),
        ('["\\"' + "[" * 1000 + '"]', None),
        ('["\\\\"' + ",[" * 101, "is nested deeper than 100 levels"),
        ("[" + "[]," * 99_990 + "1]", None),
        ("[" + "[]," * 100_000 + "1]", "has more than 200000 values"),
        ("[" + "1," * 200_000 + "1]", "has more than 200000 values"),
        ("{" + '"a":1,' * 100_000 + "}", "has more than 200000 values"),
        ("]" * 1000 + "[" * 50, None),
        ("no JSON at all: \\", None),
    ],
    ids=str,
)
def test_how_text_is_more_than_may_be_parsed(text: str, expected: str | None) -> None:
    assert excess(text) == expected
    assert excess(text.encode()) == expected


@pytest.mark.parametrize(
    "body", [b"[1]\xff", '["a"]'.encode("utf-16"), '["a"]'.encode("utf-16-le"), '["a"]'.encode("utf-32"), b"[1]\0"]
)
def test_bytes_that_another_reader_might_take_for_something_else_are_refused(body: bytes) -> None:
    assert excess(body) == "is not JSON in UTF-8"


def test_half_a_surrogate_in_text_is_not_looked_at() -> None:
    assert excess('["\ud800"]') is None


@pytest.mark.parametrize("levels", [101, 5000, 10_000])
@pytest.mark.parametrize("kind", ["list", "object"])
def test_what_is_cut_is_still_too_deep_and_no_deeper_than_it_need_be(levels: int, kind: str) -> None:
    value: Any = 1
    for _ in range(levels):
        value = [value] if kind == "list" else {"a": value, "b": 1}
    assert _levels(cut(value)) == MAX_DEPTH + 1


def test_what_is_not_too_deep_is_left_as_it_is() -> None:
    value: Any = {"a": [1]}
    assert cut(value) is value


@pytest.mark.parametrize(
    ("value", "small"),
    [
        pytest.param(1, True, id="number"),
        pytest.param([1] * 499, True, id="499 values"),
        pytest.param([1] * 501, False, id="501 values"),
        pytest.param([[1] * 300] * 2, False, id="601 values"),
        pytest.param("x" * 20_000, False, id="long text"),
        pytest.param({"x" * 20_000: 1}, False, id="long key"),
        pytest.param({"x" * 100: 1}, True, id="short key"),
        pytest.param({}, True, id="empty"),
    ],
)
def test_a_small_value_can_be_gone_through_at_once(value: Any, small: bool) -> None:
    assert is_small(value) is small
