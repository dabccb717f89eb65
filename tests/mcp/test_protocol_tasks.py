"""A LongTask as clients of the MCP Tasks extension see it."""

import json
from datetime import timedelta
from typing import Any

import pytest

from longtask_api.longtask import LongTask
from longtask_api.reports import InputRequest
from longtask_mcp.contract import protocol_tasks
from longtask_mcp.contract.answers import Answer
from longtask_mcp.contract.errors import BadArguments
from longtask_mcp.contract.known import known
from tests.mcp.objects import NOW, UID, ago, task

QUESTION = {"id": "deploy", "message": "Deploy?", "createdTime": ago(minutes=1)}
SNAPSHOT = {
    "generation": 1,
    "hash": "0" * 16,
    "startTimeoutSeconds": 600,
    "activeDeadlineSeconds": 86400,
    "maxDisruptions": 10,
    "ttlSecondsAfterFinished": 1800,
}
ENDED = {"startTime": ago(minutes=50), "completionTime": ago(minutes=10), "templateSnapshot": SNAPSHOT}
CONDITION = {
    "type": "Succeeded",
    "status": "True",
    "reason": "Done",
    "message": "",
    "lastTransitionTime": ago(minutes=5),
}
OUTCOME = Answer("It is done.", {"status": "completed"})


def asking(schema: Any = None, **question: Any) -> InputRequest:
    spelt = {"answerSchema": json.dumps(schema)} if schema is not None else {}
    return InputRequest.from_api({**QUESTION, **spelt, **question})


def as_cached(given: LongTask) -> LongTask:
    return known(given.to_api())


def test_a_new_task_has_all_fields_and_no_time_to_live() -> None:
    told = protocol_tasks.created_task(task(), NOW, elicits=False)
    assert told == {
        "resultType": "task",
        "taskId": UID,
        "status": "working",
        "statusMessage": told["statusMessage"],
        "createdAt": ago(hours=1),
        "lastUpdatedAt": ago(hours=1),
        "ttlMs": None,
        "pollIntervalMs": told["pollIntervalMs"],
    }


@pytest.mark.parametrize(
    "phase", [None, "Pending", "Queued", "Running", "Suspended", "Succeeded", "Failed", "Cancelled"]
)
def test_what_a_start_answers_is_never_final(phase: str | None) -> None:
    """An earlier start may have created it; its outcome follows with the first poll, if it can be read."""
    ended = ENDED if phase in ("Succeeded", "Failed", "Cancelled") else {}
    told = protocol_tasks.created_task(
        task(status={**({"phase": phase} if phase else {}), **ended}), NOW, True, "again"
    )
    assert (told["status"], told["ttlMs"], told["statusMessage"]) == ("working", None, "again")
    assert not {"result", "error", "inputRequests"} & told.keys()


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_work_that_ended_has_the_answer_of_get_task_results(phase: str) -> None:
    told = protocol_tasks.ended_task(task(status={"phase": phase, **ENDED}), NOW, OUTCOME, archived=False)
    assert told["status"] == "completed"
    assert told["result"] == {
        "resultType": "complete",
        "content": [{"type": "text", "text": "It is done."}],
        "structuredContent": {"status": "completed"},
        "isError": phase == "Failed",
    }


def test_a_cancelled_task_has_no_result() -> None:
    told = protocol_tasks.ended_task(task(status={"phase": "Cancelled", **ENDED}), NOW, None, archived=False)
    assert told["status"] == "cancelled"
    assert "result" not in told


def test_an_outcome_that_cannot_be_read_now_is_not_final() -> None:
    given = task(status={"phase": "Succeeded", **ENDED})
    ended = protocol_tasks.ended_task(given, NOW, OUTCOME, archived=False)
    changed = {"status": "working", "statusMessage": "it is away", "ttlMs": None}
    assert protocol_tasks.unread_task(given, NOW, "it is away") == {
        **{key: value for key, value in ended.items() if key != "result"},
        **changed,
    }
    assert ended["statusMessage"] == "completed in 40 min"
    assert ended["resultType"] == "complete"
    told = protocol_tasks.unread_task(task(status={"phase": "Succeeded", **ENDED}), NOW, "the API server is away")
    assert (told["status"], told["statusMessage"], told["ttlMs"]) == ("working", "the API server is away", None)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(
    ("spec", "status", "milliseconds"),
    [
        ({}, {"phase": "Running", "templateSnapshot": SNAPSHOT}, None),
        ({}, {"phase": "Succeeded", **ENDED}, (3600 - 600 + 1800) * 1000),
        ({"ttlSecondsAfterFinished": 60}, {"phase": "Succeeded", **ENDED}, (3600 - 600 + 60) * 1000),
        ({"ttlSecondsAfterFinished": 0}, {"phase": "Failed", "completionTime": ago(hours=1)}, 1),
        ({}, {"phase": "Failed", "completionTime": ago(minutes=1)}, None),
    ],
)
def test_the_time_to_live_is_known_once_the_task_has_ended(
    spec: dict[str, Any], status: dict[str, Any], milliseconds: int | None, cached: bool
) -> None:
    given = task(spec, status)
    told = protocol_tasks.ended_task(as_cached(given) if cached else given, NOW, OUTCOME, archived=False)
    assert told["ttlMs"] == milliseconds


def test_an_archived_task_lives_on() -> None:
    told = protocol_tasks.ended_task(task(status={"phase": "Succeeded", **ENDED}), NOW, OUTCOME, archived=True)
    assert told["ttlMs"] is None


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(
    ("status", "updated"),
    [
        ({}, ago(hours=1)),
        ({"progress": {"attempt": 1, "sequence": 1, "updatedTime": ago(minutes=3)}}, ago(minutes=3)),
        ({"lastReportTime": ago(minutes=2)}, ago(minutes=2)),
        ({"checkpoint": {"attempt": 1, "sequence": 1, "text": "x", "savedTime": ago(minutes=4)}}, ago(minutes=4)),
        ({"inputRequests": [QUESTION]}, ago(minutes=1)),
        # Of an ended task the cache has neither questions nor most conditions, and says the same.
        ({"phase": "Succeeded", "inputRequests": [QUESTION], **ENDED}, ago(minutes=1)),
        ({"conditions": [CONDITION]}, ago(minutes=5)),
        ({"conditions": [CONDITION | {"type": "Archived", "lastTransitionTime": ago(minutes=1)}]}, ago(hours=1)),
        ({"lastReportTime": "2026-11-22t11:58:00z"}, ago(minutes=2)),
        # A node's clock is an hour ahead.
        ({"phase": "Succeeded", "startTime": ago(hours=-1), "completionTime": ago(hours=-1)}, ago(hours=1)),
    ],
)
def test_the_last_update_is_the_latest_time_that_longtask_wrote(
    status: dict[str, Any], updated: str, cached: bool
) -> None:
    given = task(status=status)
    told = protocol_tasks.created_task(as_cached(given) if cached else given, NOW, elicits=False)
    assert told["lastUpdatedAt"] == updated


@pytest.mark.parametrize(
    ("age", "status", "seconds"),
    [
        (10, {}, 2),
        (10, {"phase": "Queued"}, 2),
        (90, {"phase": "Queued"}, 9),
        (10, {"phase": "Running"}, 5),
        (300, {"phase": "Running"}, 30),
        (86400, {"phase": "Running"}, 60),
        (86400, {"phase": "Running", "templateSnapshot": SNAPSHOT | {"ttlSecondsAfterFinished": 10}}, 5),
        (86400, {"phase": "Running", "templateSnapshot": SNAPSHOT | {"ttlSecondsAfterFinished": 0}}, 2),
        (86400, {"phase": "Succeeded", **ENDED}, 2),
    ],
)
def test_long_work_is_polled_less_often(age: float, status: dict[str, Any], seconds: int) -> None:
    given = task(status=status, creationTimestamp=ago(seconds=age))
    assert protocol_tasks.created_task(given, NOW, elicits=False)["pollIntervalMs"] == seconds * 1000


@pytest.mark.parametrize(("left", "seconds"), [(1, 5), (20, 20), (3600, 60)])
def test_the_estimate_decides_on_polls(left: int, seconds: int) -> None:
    progress = {"attempt": 1, "sequence": 1, "updatedTime": ago(minutes=1)}
    progress["estimatedCompletionTime"] = ago(seconds=-left)
    given = task(status={"phase": "Running", "attemptCount": 1, "progress": progress})
    assert protocol_tasks.poll_seconds(given, NOW) == seconds


def test_work_that_is_being_cancelled_is_polled_often() -> None:
    given = task({"cancelRequested": True}, {"phase": "Running"}, creationTimestamp=ago(days=1))
    assert protocol_tasks.poll_seconds(given, NOW) == 2


def test_questions_are_forms_for_clients_that_can_show_them() -> None:
    given = task(status={"phase": "WaitingForInput", "inputRequests": [QUESTION, QUESTION | {"id": "region"}]})
    told = protocol_tasks.unfinished_task(given, NOW, elicits=True)
    assert told["status"] == "input_required"
    assert list(told["inputRequests"]) == ["deploy", "region"]
    assert told["inputRequests"]["deploy"] == {
        "method": "elicitation/create",
        "params": {
            "mode": "form",
            "message": "Deploy?",
            "requestedSchema": {
                "type": "object",
                "properties": {"answer": {"type": "string"}},
                "required": ["answer"],
            },
        },
    }


def test_for_other_clients_a_task_that_asks_goes_on_and_says_so() -> None:
    given = task(status={"phase": "WaitingForInput", "inputRequests": [QUESTION]})
    told = protocol_tasks.unfinished_task(given, NOW, elicits=False)
    assert told["status"] == "working"
    call = f'answer_task(task_id="{UID}", question_id="deploy", answer=...)'
    assert told["statusMessage"] == f"running, waiting for input: Deploy? Answer with {call}."
    assert "inputRequests" not in told


def test_all_open_questions_are_there_however_long_they_are() -> None:
    asked = [QUESTION | {"id": f"q{number}", "message": "?" * 4000} for number in range(6)]
    told = protocol_tasks.unfinished_task(task(status={"inputRequests": asked}), NOW, elicits=True)
    assert len(told["inputRequests"]) == 6


def test_a_question_is_the_same_at_any_time() -> None:
    """A client that sees other text under the same key ends its run."""
    expiring = {"expiresTime": ago(minutes=-5), "default": '"no"', "answerSchema": '{"type": "string"}'}
    given = task(status={"phase": "WaitingForInput", "inputRequests": [QUESTION | expiring]})
    first, later = (
        protocol_tasks.unfinished_task(given, NOW + timedelta(minutes=passed), elicits=True) for passed in (0, 4)
    )
    assert first["inputRequests"] == later["inputRequests"]


def test_a_long_status_message_is_cut() -> None:
    told = protocol_tasks.unfinished_task(task(), NOW, elicits=False, notes="x" * 5000)
    assert len(told["statusMessage"]) < 1100


def wrapped(**field: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"answer": field}, "required": ["answer"]}


NESTED = {"type": "object", "properties": {"a": {"type": "object"}}}
LISTS = {"type": "array", "items": {"type": "string"}}
FLAT = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
EITHER = {**FLAT, "anyOf": [{"required": ["ok"]}]}
ODD = {**FLAT, "required": True}
MAYBE = {"type": ["string", "null", "integer"]}


@pytest.mark.parametrize(
    ("question", "form"),
    [
        (asking(), wrapped(type="string")),
        (asking({"type": "boolean"}), wrapped(type="boolean")),
        (asking({"type": "boolean"}, default="false"), wrapped(type="boolean", default=False)),
        (asking({"type": "boolean"}, default="null"), wrapped(type="boolean")),
        (asking({"type": "integer", "minimum": 1}), wrapped(type="integer", minimum=1)),
        (
            asking({"type": "integer", "multipleOf": 2, "description": "How many"}),
            wrapped(
                type="integer",
                description='How many (JSON that fits {"type": "integer", "multipleOf": 2, "description": "How many"})',
            ),
        ),
        (asking({"type": "integer"}, default="true"), wrapped(type="integer")),
        (asking({"type": "number"}, default="1"), wrapped(type="number", default=1)),
        (asking({"type": "number"}, default="0.5"), wrapped(type="number", default=0.5)),
        (asking({"type": "number"}, default='"1"'), wrapped(type="number")),
        (asking({"type": "integer"}, default="3"), wrapped(type="integer", default=3)),
        (asking({"type": "integer"}, default="0.5"), wrapped(type="integer")),
        (asking({"type": "integer", "default": 2}, default="3"), wrapped(type="integer", default=2)),
        (asking({"type": "string"}, default='"eu"'), wrapped(type="string", default="eu")),
        (asking({"type": "string"}, default="0.5"), wrapped(type="string")),
        (
            asking({"type": "string", "enum": ["a", "b"]}, default='"b"'),
            wrapped(type="string", enum=["a", "b"], default="b"),
        ),
        (asking({"type": "boolean"}, default='"true"'), wrapped(type="boolean")),
        (
            asking({"type": "string", "format": "date", "maxLength": 10}),
            wrapped(type="string", format="date", maxLength=10),
        ),
        (
            asking({"type": "string", "format": "duration"}),
            wrapped(type="string", description='JSON that fits {"type": "string", "format": "duration"}'),
        ),
        (asking({"type": "string", "enum": ["a"]}, default='"b"'), wrapped(type="string", enum=["a"])),
        (
            asking({"type": "string", "enum": 5}),
            wrapped(type="string", description='JSON that fits {"type": "string", "enum": 5}'),
        ),
        (asking(EITHER), wrapped(type="string", description=f"JSON that fits {json.dumps(EITHER)}")),
        (asking(ODD), wrapped(type="string", description=f"JSON that fits {json.dumps(ODD)}")),
        (asking({"type": "string", "enum": ["a", "b"]}), wrapped(type="string", enum=["a", "b"])),
        (
            asking({"type": "integer", "enum": [1, 2]}),
            wrapped(type="string", description='JSON that fits {"type": "integer", "enum": [1, 2]}'),
        ),
        (asking(LISTS), wrapped(type="string", description=f"JSON that fits {json.dumps(LISTS)}")),
        (asking(NESTED), wrapped(type="string", description=f"JSON that fits {json.dumps(NESTED)}")),
        (
            asking({"type": ["string", "null"]}),
            wrapped(type="string", description='JSON that fits {"type": ["string", "null"]}'),
        ),
        (
            asking({"type": "object", "properties": {"ok": {"type": "boolean", "title": "OK?"}}, "required": ["ok"]}),
            {"type": "object", "properties": {"ok": {"type": "boolean", "title": "OK?"}}, "required": ["ok"]},
        ),
        (
            asking({"type": "object", "properties": {"name": {"type": "string"}}}),
            {"type": "object", "properties": {"name": {"type": "string"}}, "required": []},
        ),
    ],
)
def test_the_form_of_a_question(question: InputRequest, form: dict[str, Any]) -> None:
    assert protocol_tasks.form(question) == form


@pytest.mark.parametrize(
    ("question", "response", "answer"),
    [
        (asking(), {"action": "accept", "content": {"answer": "yes"}}, (True, "yes")),
        (asking(NESTED), {"action": "accept", "content": {"answer": '{"a": {}}'}}, (True, {"a": {}})),
        (asking(MAYBE), {"action": "accept", "content": {"answer": "null"}}, (True, None)),
        (asking(MAYBE), {"action": "accept", "content": {"answer": "5"}}, (True, 5)),
        (asking(MAYBE), {"action": "accept", "content": {"answer": "yes"}}, (True, "yes")),
        (asking(), {"action": "accept", "content": {"answer": "5"}}, (True, "5")),
        (asking({"type": "string"}), {"action": "accept", "content": {"answer": "5"}}, (True, "5")),
        (asking(FLAT), {"action": "accept", "content": {"ok": None, "more": None}}, (True, {"ok": None})),
        (asking(FLAT), {"action": "accept", "content": {"ok": True}}, (True, {"ok": True})),
        (asking(FLAT), {"action": "accept", "content": {}}, (True, {})),
        (asking(), {"action": "decline"}, (False, None)),
        (asking(), {"action": "cancel", "content": None}, (False, None)),
    ],
)
def test_the_answer_in_a_response(question: InputRequest, response: Any, answer: Any) -> None:
    assert protocol_tasks.answer_in(question, response) == answer


@pytest.mark.parametrize(
    "response",
    [
        None,
        "yes",
        [],
        {},
        {"action": "approve"},
        {"action": []},
        {"action": "accept"},
        {"action": "accept", "content": {}},
    ],
    ids=str,
)
def test_a_response_without_an_answer_is_an_error_that_names_the_question(response: Any) -> None:
    with pytest.raises(BadArguments, match="deploy"):
        protocol_tasks.answer_in(asking(), response)
