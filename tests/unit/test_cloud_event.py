"""What a sink is sent."""

import json
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from longtask_api.longtask import Failure, LongTask, Phase, Requester
from longtask_api.reports import InputRequest, Result
from longtask_operator.notification.cloud_event import MAX_BODY_BYTES, body, event_id
from longtask_operator.planning.notifications import events
from tests.unit import given
from tests.unit.test_notifications import asking, task

NOW = given.at(200)


def sent(of: LongTask) -> dict[str, Any]:
    [event] = events(of, NOW)
    found: dict[str, Any] = json.loads(body(of, event))
    assert found["id"] == event_id(of, event)
    return found


def test_a_failure_says_why_and_what_to_call() -> None:
    failure = Failure(reason="OOMKilled", message="limit 512Mi", log_tail="secret of the log")
    found = sent(task(given.status(Phase.FAILED, failure=failure, result=Result(summary="half"))))
    assert found == {
        "specversion": "1.0",
        "id": f"{given.TASK_UID}-failed",
        "source": "/apis/longtask.dev/v1alpha1/namespaces/tasks/longtasks",
        "type": "dev.longtask.task.failed",
        "subject": "training-1",
        "time": "2026-03-01T10:01:40Z",
        "datacontenttype": "application/json",
        "data": {
            "task_id": given.TASK_UID,
            "name": "training-1",
            "namespace": "tasks",
            "template": "training",
            "phase": "Failed",
            "reason": "OOMKilled",
            "message": "limit 512Mi",
            "attempts": 0,
            "next": {"tool": "check_task_status", "arguments": {"task_id": given.TASK_UID}},
        },
    }


def test_a_question_names_its_answer() -> None:
    asked = InputRequest(id="a.b", message="Really?", created_time=given.at(60), expires_time=given.at(900))
    found = sent(asking(asked))
    assert found["id"] == f"{given.TASK_UID}-asked-a~b"  # no full stop: it separates what is signed
    assert found["data"]["question"] == {"id": "a.b", "expires": "2026-03-01T10:15:00Z"}
    assert found["data"]["next"]["arguments"] == {"task_id": given.TASK_UID, "question_id": "a.b"}
    assert (found["data"]["reason"], found["data"]["message"]) == ("InputRequested", "Really?")


def test_a_stall_has_its_evidence() -> None:
    stalled = given.condition("Stalled", "True", "NoReport", since=50)
    found = sent(task(given.status(Phase.RUNNING, stalled)))
    assert (found["type"], found["data"]["reason"]) == ("dev.longtask.task.stalled", "NoReport")


TEXT = st.text(max_size=4096) | st.sampled_from(["\x00" * 4096, "\U0001f600" * 4096, '"' * 4096, "é" * 4096])


@drawn(message=TEXT, summary=st.text(max_size=1024), who=st.text(min_size=1, max_size=512), asks=st.booleans())
def test_a_body_is_small_ascii_and_json_whatever_the_work_wrote(
    message: str, summary: str, who: str, asks: bool
) -> None:
    if asks:
        asked = InputRequest(id="x" * 64, message=message or "?", created_time=given.at(60))
        of = asking(asked, requester=Requester(principal=who))
    else:
        failure = Failure(reason="Error", message=message)
        status = given.status(Phase.FAILED, failure=failure, result=Result(summary=summary))
        of = task(status, requester=Requester(principal=who))
    [event] = events(of, NOW)
    data = body(of, event)
    assert len(data) <= MAX_BODY_BYTES
    assert data.isascii()
    told = json.loads(data)["data"].get("message", "")
    assert told == message or told.endswith("...") or (asks and told == "?")
    assert body(of, event) == data


@pytest.mark.parametrize("size", [2046, 2047])
def test_a_text_is_cut_only_if_it_has_to(size: int) -> None:
    failure = Failure(reason="Error", message="x" * size)
    told = sent(task(given.status(Phase.FAILED, failure=failure)))["data"]["message"]
    assert told == ("x" * 2046 if size == 2046 else "x" * 2043 + "...")
