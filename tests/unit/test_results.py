"""The result of a task, from what its container left on /dev/termination-log."""

import json
from typing import Any

import pytest

from longtask_api.longtask import Attempt, Failure
from longtask_api.reports import Artifact, Reference, Result
from longtask_operator.planning.results import checkable, final_result, read_result
from longtask_operator.planning.snapshots import PodSnapshot
from tests.unit.given import at_work, attempt, ended_pod

LARGEST = 2**63 - 1
SHA = "ab12" * 16


def _json(text: str) -> Result:
    """JSON that is kept as it was written."""
    return Result(text=text, media_type="application/json")


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
        ("null", _json("null")),
        ("NaN", Result(text="NaN")),
        ("-Infinity", Result(text="-Infinity")),
        ('{"loss": NaN}', Result(text='{"loss": NaN}')),
        ("1e999", _json("1e999")),
        ('{"loss": [1e999]}', _json('{"loss": [1e999]}')),
        (str(LARGEST), Result(value=LARGEST)),
        (str(LARGEST + 1), _json(str(LARGEST + 1))),
        (str(-LARGEST), Result(value=-LARGEST)),
        (str(-LARGEST - 2), _json(str(-LARGEST - 2))),
        (f'{{"n": [{LARGEST + 1}]}}', _json(f'{{"n": [{LARGEST + 1}]}}')),
        (r'"\ud800"', _json(r'"\ud800"')),
        (r'"\udfff"', _json(r'"\udfff"')),
        (r'{"\udc00": 1}', _json(r'{"\udc00": 1}')),
        (r'["\ud7ff\ue000"]', Result(value=["\ud7ff\ue000"])),
        (r'"\ud83d\ude00"', Result(value="\U0001f600")),
        ('{"cut": tru', Result(text='{"cut": tru')),
        ('{"a": 1} {"b": 2}', Result(text='{"a": 1} {"b": 2}')),
        ("{'a': 1}", Result(text="{'a': 1}")),
    ],
)
def test_json_is_a_value_or_what_storage_would_change_its_text_and_all_else_is_text(
    message: str, expected: Result
) -> None:
    assert read_result(message) == expected


@pytest.mark.parametrize(
    ("message", "fits"),
    [("x" * 4095, True), ("x" * 4096, False), ("é" * 2047, True), ("é" * 2048, False), (f'"{"x" * 4094}"', False)],
    ids=["4095", "4096", "4094-in-two-byte-characters", "4096-in-two-byte-characters", "4096-of-json"],
)
def test_a_message_that_may_have_been_cut_is_no_result(message: str, fits: bool) -> None:
    assert isinstance(read_result(message), Result if fits else Failure)


@pytest.mark.parametrize(
    ("limit", "size", "fits"), [(3072, 3071, True), (3072, 3072, False), (2048, 2050, False), (4096, 3072, True)]
)
def test_in_a_pod_of_many_containers_less_of_a_message_arrives(limit: int, size: int, fits: bool) -> None:
    pod = ended_pod(told="x" * size, message_limit=limit)
    outcome = final_result(at_work(), pod)
    assert isinstance(outcome, Result if fits else Failure)
    assert fits or (isinstance(outcome, Failure) and f"{limit - 1} fit, in a pod of so many" in outcome.message)


def test_a_message_that_may_have_been_cut_says_what_fits_and_keeps_what_there_is() -> None:
    outcome = read_result("x" * 2048 + "y" * 2048)
    assert isinstance(outcome, Failure)
    assert outcome.reason == "ResultTooLarge"
    assert outcome.message == (
        "the work succeeded but its result has 4096 bytes or more on /dev/termination-log, where 4095 fit; the rest "
        "may be lost"
    )
    assert outcome.log_tail == "x" * 2048 + "y" * 2048
    assert "$LONGTASK_REPORT_URL/result" in (outcome.hint or "")


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
        ({"artifacts": [{"name": "m"}]}, None),
        (
            {"artifacts": [{"name": "m", "uri": "s3://m/1", "size": 7, "sha256": SHA, "etag": "x"}]},
            [Artifact(name="m", uri="s3://m/1", size=7, sha256=SHA)],
        ),
        ({"artifact": {"name": "m", "uri": "x:m"}}, [Artifact(name="m", uri="x:m")]),
        ({"artifact": {"name": "m", "uri": ""}}, None),
        (
            {"artifacts": [{"name": "m", "uri": "x:m"}], "artifact": {"name": "n", "uri": "x:n"}},
            [Artifact(name="m", uri="x:m")],
        ),
        ({"artifacts": [], "artifact": {"name": "n", "uri": "x:n"}}, [Artifact(name="n", uri="x:n")]),
        (
            {"artifacts": [{"name": "m", "uri": "x:m"}, {"uri": "s3://m/1"}, {"name": "n"}, "n", None, {"name": 7}]},
            [Artifact(name="m", uri="x:m")],
        ),
        ({"artifacts": [{"name": "m", "uri": "x:m", "size": -1}]}, None),
        ({"artifacts": [{"name": "m", "uri": "x:m", "sha256": "short"}]}, None),
        ({"artifacts": {"name": "m", "uri": "x:m"}}, None),
        ({"artifacts": "m"}, None),
        ({"artifact": "m"}, None),
        ([{"artifact": {"name": "m", "uri": "x:m"}}], None),
    ],
)
def test_artifacts_are_the_entries_that_say_a_name_and_where_it_is(
    value: Any, artifacts: list[Artifact] | None
) -> None:
    outcome = read_result(json.dumps(value))
    assert isinstance(outcome, Result)
    assert (outcome.value, outcome.artifacts) == (value, artifacts)


def test_at_most_64_artifacts_are_taken() -> None:
    outcome = read_result(json.dumps({"artifacts": [{"name": f"m{n}", "uri": "x:m"} for n in range(65)]}))
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


MODEL, TABLE = (Artifact(name=name, uri=f"s3://bucket/{name}") for name in ("model", "table"))
HANDED_IN = Result(attempt=2, value={"score": 1}, artifacts=[MODEL])
TWO = [attempt(exit_code=1, reason="Error"), attempt(2, "b", 30)]
LARGE = Result(attempt=2, reference=Reference(uri="s3://bucket/r", size=7, sha256=SHA))


@pytest.mark.parametrize(
    ("stored", "pod", "expected"),
    [
        pytest.param(None, ended_pod("b", told="7"), Result(value=7), id="nothing-handed-in"),
        pytest.param(HANDED_IN, ended_pod("b", told="7"), HANDED_IN, id="what-was-handed-in-wins"),
        pytest.param(HANDED_IN, ended_pod("b", told="x" * 4096), HANDED_IN, id="also-over-a-message-that-was-cut"),
        pytest.param(LARGE, ended_pod("b"), LARGE, id="a-reference-is-a-result"),
        pytest.param(Result(attempt=2, text=""), ended_pod("b", told="7"), Result(attempt=2, text=""), id="empty-text"),
        pytest.param(
            HANDED_IN.model_copy(update={"attempt": 1}),
            ended_pod("b", told="7"),
            Result(value=7, artifacts=[MODEL]),
            id="what-an-attempt-handed-in-that-failed-does-not-count-but-its-artifacts-stay",
        ),
        pytest.param(
            Result(artifacts=[MODEL]),
            ended_pod("b", told='{"artifacts": [{"name": "table", "uri": "s3://bucket/table"}]}'),
            Result(value={"artifacts": [{"name": "table", "uri": "s3://bucket/table"}]}, artifacts=[MODEL, TABLE]),
            id="uploaded-and-named-artifacts-are-merged",
        ),
        pytest.param(
            Result(artifacts=[MODEL]),
            ended_pod("b", told='{"artifact": {"name": "model", "uri": "x:m", "size": 1}}'),
            Result(
                value={"artifact": {"name": "model", "uri": "x:m", "size": 1}},
                artifacts=[Artifact(name="model", uri="x:m", size=1)],
            ),
            id="by-name",
        ),
        pytest.param(HANDED_IN, ended_pod("c", told="7"), Result(value=7, artifacts=[MODEL]), id="not-recorded-pod"),
        pytest.param(HANDED_IN, None, HANDED_IN, id="no-pod-but-the-last-attempt-handed-it-in"),
    ],
)
def test_the_result_is_what_the_successful_attempt_handed_in_else_what_it_left(
    stored: Result | None, pod: PodSnapshot | None, expected: Result
) -> None:
    assert final_result(at_work(result=stored, attempts=TWO), pod) == expected


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (attempt(2, "b", 30), HANDED_IN),
        (attempt(2, "b", 30, reason="Completed", exit_code=0), HANDED_IN),
        (attempt(2, "b", 30, reason="Error", exit_code=1), Result(artifacts=[MODEL])),
        (attempt(3, "c", 60), Result(artifacts=[MODEL])),
    ],
)
def test_without_a_pod_the_last_attempt_counts_unless_it_failed(last: Attempt, expected: Result) -> None:
    assert final_result(at_work(result=HANDED_IN, attempts=[last]), None) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("", None),
        ("null", None),
        ("7", 7),
        ("0", 0),
        ("plain", "plain"),
        ('"plain"', "plain"),
        (str(2**70), 2**70),
        ('{"a": null}', {"a": None}),
    ],
)
def test_a_schema_sees_the_json_that_the_work_wrote(message: str, expected: Any) -> None:
    outcome = read_result(message)
    assert isinstance(outcome, Result)
    assert checkable(outcome) == expected
