"""What an agent is told of the session in memory: at the start, and when the task has ended."""

from typing import Any

import pytest

from longtask_mcp.contract import answers, results
from longtask_mcp.contract.arguments import ListTasks
from tests.mcp.objects import NOW, UID, ago, task, task_page, uid

MEMORY = {"memoryId": "team-0123456789", "actorId": "user-1", "sessionId": "conv-1"}
SPEC = {"requester": {"principal": "alice", "actorId": "user-1", "sessionId": "conv-1"}, "memory": MEMORY}
WHERE = {"memory_id": "team-0123456789", "actor_id": "user-1", "session_id": "conv-1"}
SUCCEEDED: dict[str, Any] = {"phase": "Succeeded", "result": {"value": 1, "summary": "score 0.87"}}
RETRY = "AccessDeniedException: no right to bedrock-agentcore:CreateEvent; next call at 2026-11-22T12:10:00Z"


def delivered(status: str, reason: str, message: str = "", **delivery: Any) -> dict[str, Any]:
    condition = {
        "type": "Delivered",
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": ago(minutes=1),
    }
    return SUCCEEDED | {"conditions": [condition], "delivery": delivery}


WRITTEN = delivered(
    "True",
    "Delivered",
    "event 0000001#abc of 2026-11-22T11:59:00.001+00:00",
    events=[
        {
            "name": "result",
            "eventTime": "2026-11-22T11:59:00.001Z",
            "payloadSHA256": "ab" * 32,
            "clientToken": "t",
            "eventId": "0000001#abc",
        }
    ],
)
REFUSED = delivered("False", "AccessDenied", RETRY, nextRetryTime=ago(minutes=-10), failures=3)


@pytest.mark.parametrize(
    ("status", "told", "entry"),
    [
        (SUCCEEDED, " Being written to memory session conv-1.", {"state": "being_written"}),
        (
            delivered("Unknown", "Pending", "about to be written"),
            " Being written to memory session conv-1.",
            {"state": "being_written", "reason": "Pending", "message": "about to be written"},
        ),
        (
            delivered("Unknown", "Throttled", "slow down; next call at 12:00"),
            " Being written to memory session conv-1: Throttled: slow down; next call at 12:00.",
            {"state": "being_written", "reason": "Throttled", "message": "slow down; next call at 12:00"},
        ),
        (WRITTEN, " Also written to memory session conv-1.", {"state": "written", "event_id": "0000001#abc"}),
        (
            REFUSED,
            f" Not written to memory session conv-1: AccessDenied: {RETRY}.",
            {"state": "not_written", "reason": "AccessDenied", "message": RETRY, "next_retry_at": ago(minutes=-10)},
        ),
    ],
)
def test_status_and_results_say_whether_the_session_knows(
    status: dict[str, Any], told: str, entry: dict[str, Any]
) -> None:
    ended = task(SPEC, status)
    assert answers.status(ended, NOW).text == (f"completed. score 0.87.{told} Read the result with get_task_results.")
    assert results.results(ended, NOW).text == f"completed. score 0.87.{told} Result:\n1"
    assert answers.status(ended, NOW).envelope["memory"] == WHERE | entry
    assert results.results(ended, NOW).envelope["memory"] == WHERE | entry


@pytest.mark.parametrize(
    ("status", "state"),
    [({}, "at_end"), (SUCCEEDED, "being_written"), (WRITTEN, "written"), (REFUSED, "not_written")],
)
def test_a_list_says_whether_the_session_knows(status: dict[str, Any], state: str) -> None:
    [entry, other] = task_page([task(SPEC, status, uid=uid(2)), task(status=status)], ListTasks(), NOW).envelope[
        "tasks"
    ]
    assert entry["memory_state"] == state
    assert "memory_state" not in other


def test_a_failed_task_says_so_too() -> None:
    failed = {"phase": "Failed", "failure": {"reason": "Error", "message": "x"}}
    text = answers.status(task(SPEC, WRITTEN | failed | {"result": None}), NOW).text
    assert "failed before it ran: Error: x. Also written to memory session conv-1." in text


def test_a_long_reason_is_shortened_in_the_text_alone() -> None:
    answer = answers.status(task(SPEC, delivered("False", "Refused", "x" * 4000)), NOW)
    assert "... (4000 characters)" in answer.text
    assert len(answer.text) < 500
    assert answer.envelope["memory"]["message"] == "x" * 4000


def test_without_a_memory_nothing_is_said_of_one() -> None:
    for status in ({}, SUCCEEDED, REFUSED):
        answer = answers.status(task(status=status), NOW)
        assert "memory" not in answer.text
        assert "memory" not in answer.envelope


def test_a_start_says_that_the_conversation_will_be_told() -> None:
    assert answers.started(task(SPEC), "Model Training", NOW).text == (
        f"Model Training task has been initiated with task ID: {UID}. It runs without you; you may disconnect. "
        "Check with check_task_status in ~60 s. The result will also be written to this conversation's memory: the "
        "next agent opened on this session knows it; this one asks with check_task_status."
    )


def test_a_start_of_no_conversation_says_which_session_is_told() -> None:
    spec = {"requester": {"principal": "alice"}, "memory": MEMORY | {"actorId": "alice", "sessionId": "longtask"}}
    assert answers.started(task(spec), "x", NOW).text.endswith(
        " The result will also be written to memory: session longtask of actor alice."
    )


@pytest.mark.parametrize(("status", "promised"), [({}, True), (WRITTEN, False)])
def test_a_repeated_start_promises_what_has_not_been_kept_yet(status: dict[str, Any], promised: bool) -> None:
    text = answers.repeated(task(SPEC, status), "Model Training", NOW).text
    assert ("will also be written" in text) is promised
    assert ("Also written to memory session conv-1." in text) is not promised
