"""The result of a task, from what its container left on /dev/termination-log."""

import json
from typing import Any

import pytest

from longtask_api.longtask import Artifact, Failure, Result
from longtask_operator.planning.results import read_result

LARGEST = 2**63 - 1
SHA = "ab12" * 16


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("", Result()),
        (" \n\t", Result()),
        ("done\n", Result(text="done\n")),
        ("42", Result(value=42)),
        (" 42\n", Result(value=42)),
        ("-0.5", Result(value=-0.5)),
        ("true", Result(value=True)),
        ("false", Result(value=False)),
        ("0", Result(value=0)),
        ('""', Result(value="")),
        ("[]", Result(value=[])),
        ("{}", Result(value={})),
        ('"text"', Result(value="text")),
        ('{"a": {"b": [1, null, "c"]}}', Result(value={"a": {"b": [1, None, "c"]}})),
        ("null", Result(text="null")),
        ("NaN", Result(text="NaN")),
        ("-Infinity", Result(text="-Infinity")),
        ('{"loss": NaN}', Result(text='{"loss": NaN}')),
        ("1e999", Result(text="1e999")),
        ('{"loss": [1e999]}', Result(text='{"loss": [1e999]}')),
        (str(LARGEST), Result(value=LARGEST)),
        (str(LARGEST + 1), Result(text=str(LARGEST + 1))),
        (str(-LARGEST), Result(value=-LARGEST)),
        (str(-LARGEST - 2), Result(text=str(-LARGEST - 2))),
        (f'{{"n": [{LARGEST + 1}]}}', Result(text=f'{{"n": [{LARGEST + 1}]}}')),
        (r'"\ud800"', Result(text=r'"\ud800"')),
        (r'"\udfff"', Result(text=r'"\udfff"')),
        (r'{"\udc00": 1}', Result(text=r'{"\udc00": 1}')),
        (r'["\ud7ff\ue000"]', Result(value=["\ud7ff\ue000"])),
        (r'"\ud83d\ude00"', Result(value="\U0001f600")),
        ('{"cut": tru', Result(text='{"cut": tru')),
        ('{"a": 1} {"b": 2}', Result(text='{"a": 1} {"b": 2}')),
        ("{'a': 1}", Result(text="{'a': 1}")),
    ],
)
def test_json_is_a_value_and_all_else_is_text(message: str, expected: Result) -> None:
    assert read_result(message) == expected


@pytest.mark.parametrize(
    ("message", "fits"),
    [("x" * 4095, True), ("x" * 4096, False), ("é" * 2047, True), ("é" * 2048, False), (f'"{"x" * 4094}"', False)],
    ids=["4095", "4096", "4094-in-two-byte-characters", "4096-in-two-byte-characters", "4096-of-json"],
)
def test_a_message_that_may_have_been_cut_is_no_result(message: str, fits: bool) -> None:
    assert isinstance(read_result(message), Result if fits else Failure)


def test_a_message_that_may_have_been_cut_says_what_fits_and_keeps_its_tail() -> None:
    outcome = read_result("x" * 2048 + "y" * 2048)
    assert isinstance(outcome, Failure)
    assert outcome.reason == "ResultTooLarge"
    assert "4096 bytes or more" in outcome.message
    assert "4095 fit" in outcome.message
    assert outcome.log_tail == "y" * 2048
    assert outcome.hint


@pytest.mark.parametrize(
    ("value", "summary"),
    [
        ({"summary": "score 0.87"}, "score 0.87"),
        ({"summary": "x" * 1025}, "x" * 1024),
        ({"summary": 7}, None),
        ({"score": 1}, None),
        (["summary"], None),
        ("summary", None),
    ],
)
def test_the_summary_is_a_text_under_that_name(value: Any, summary: str | None) -> None:
    outcome = read_result(json.dumps(value))
    assert isinstance(outcome, Result)
    assert (outcome.value, outcome.summary) == (value, summary)


@pytest.mark.parametrize(
    ("value", "artifacts"),
    [
        ({"artifacts": [{"name": "m"}]}, [Artifact(name="m")]),
        (
            {"artifacts": [{"name": "m", "uri": "s3://m/1", "size": 7, "sha256": SHA, "etag": "x"}]},
            [Artifact(name="m", uri="s3://m/1", size=7, sha256=SHA)],
        ),
        ({"artifact": {"name": "m"}}, [Artifact(name="m")]),
        ({"artifacts": [{"name": "m"}], "artifact": {"name": "n"}}, [Artifact(name="m")]),
        ({"artifacts": [], "artifact": {"name": "n"}}, [Artifact(name="n")]),
        ({"artifacts": [{"name": "m"}, {"uri": "s3://m/1"}, "n", None, {"name": 7}]}, [Artifact(name="m")]),
        ({"artifacts": [{"name": "m", "size": -1}]}, None),
        ({"artifacts": [{"name": "m", "sha256": "short"}]}, None),
        ({"artifacts": {"name": "m"}}, None),
        ({"artifacts": "m"}, None),
        ({"artifact": "m"}, None),
        ([{"artifact": {"name": "m"}}], None),
    ],
)
def test_artifacts_are_the_entries_that_have_at_least_a_name(value: Any, artifacts: list[Artifact] | None) -> None:
    outcome = read_result(json.dumps(value))
    assert isinstance(outcome, Result)
    assert (outcome.value, outcome.artifacts) == (value, artifacts)


def test_at_most_64_artifacts_are_taken() -> None:
    outcome = read_result(json.dumps({"artifacts": [{"name": f"m{n}"} for n in range(65)]}))
    assert isinstance(outcome, Result)
    assert outcome.artifacts is not None
    assert [artifact.name for artifact in outcome.artifacts] == [f"m{n}" for n in range(64)]


@pytest.mark.parametrize("message", ['{"a": null, "b": [null, {"c": null}]}', "0", "false", '""', "plain"])
def test_a_result_is_stored_as_it_was_read(message: str) -> None:
    outcome = read_result(message)
    assert isinstance(outcome, Result)
    assert Result.from_api(json.loads(json.dumps(outcome.to_api()))) == outcome


@pytest.mark.parametrize("levels", [500, 1000, 2000])
def test_json_that_is_nested_very_deep_is_a_result_like_any_other(levels: int) -> None:
    assert isinstance(read_result("[" * levels + "]" * levels), Result)


@pytest.mark.parametrize(("levels", "is_value"), [(100, True), (101, False)])
def test_a_value_has_at_most_a_hundred_levels(levels: int, is_value: bool) -> None:
    outcome = read_result("[" * levels + "]" * levels)
    assert isinstance(outcome, Result)
    assert (outcome.value is not None, outcome.text is None) == (is_value, is_value)
