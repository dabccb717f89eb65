"""Tasks that have ended, with all that a record of them has to keep."""

import hashlib
from typing import Any, Final

from longtask_api.constants import LABEL_TASK
from longtask_api.longtask import (
    Archive,
    ConditionType,
    Delivery,
    InputResponse,
    LongTask,
    Memory,
    Phase,
    Requester,
    SessionEvent,
)
from longtask_api.reports import Artifact, Checkpoint, InputRequest, Progress, Reference, Result
from longtask_operator.archive.models import Caller
from tests.unit import given

PRINCIPAL: Final = "system:serviceaccount:agents:researcher"
MEMORY_ID: Final = "agents-0123456789"
CALLER: Final = Caller(PRINCIPAL, "ada")
REQUESTER: Final = Requester(principal=PRINCIPAL, actor_id="ada", session_id="chat-1")
MEMORY: Final = Memory(memory_id=MEMORY_ID, actor_id="ada", session_id="chat-1")
OTHERS: Final = {
    "another principal": Caller("system:serviceaccount:agents:writer", "ada"),
    "another actor": Caller(PRINCIPAL, "bob"),
    "no actor": Caller(PRINCIPAL),
    "the actor as principal": Caller("ada"),
}
"""Callers that did not ask for the task."""
EVENT: Final = SessionEvent(
    name="result", event_time=given.at(90), payload="[]", payload_sha256="0" * 64, client_token="t", event_id="0#a"
)


def ended(
    phase: Phase = Phase.SUCCEEDED, uid: str = given.TASK_UID, spec: dict[str, Any] | None = None, **fields: Any
) -> LongTask:
    """A task of CALLER with an end, and with all that a task can have when it has one."""
    status = given.status(
        phase,
        given.condition(ConditionType.DELIVERED, reason="Delivered"),
        given.condition(ConditionType.ARCHIVED, "False", reason="Pending"),
        **{
            "start_time": given.at(2),
            "attempts": [given.attempt(end_time=given.at(50), reason="Completed", exit_code=0)],
            "progress": Progress(attempt=1, sequence=1, fraction=1.0, metrics={"loss": 0.1}, updated_time=given.at(40)),
            "checkpoint": Checkpoint(attempt=1, sequence=1, text="{}", saved_time=given.at(30)),
            "input_requests": [InputRequest(id="size", message="Which?", created_time=given.at(10))],
            "result": Result(value={"score": 0.87, "none": None, "list": [None, {"größe": "😀"}]}),
            "log_tail": "done\n",
            "delivery": Delivery(events=[EVENT], record_id="mem-1"),
            "archive": Archive(uri="s3://bucket/old", archived_time=given.at(99)),
        }
        | fields,
    )
    asked: dict[str, Any] = {
        "parameters": {"epochs": 3, "note": None, "deep": {"a": None}},
        "requester": REQUESTER,
        "memory": MEMORY,
        "idempotency_key": "again",
        "input_responses": [InputResponse(request_id="size", value='"7"')],
    }
    task = given.task(status, **asked | (spec or {}))
    more = {"uid": uid, "labels": {LABEL_TASK: "x"}, "annotations": {"a": "b"}}
    return task.model_copy(update={"metadata": task.metadata.model_copy(update=more)})


def reference(uri: str, data: bytes = b"some bytes") -> Reference:
    """To those bytes."""
    return Reference(uri=uri, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def artifact(name: str, kept: Reference) -> Artifact:
    """Of that name, kept there."""
    return Artifact(name=name, media_type="text/csv", **kept.model_dump(by_alias=False))
