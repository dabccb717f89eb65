"""Builds the body of a notification: a CloudEvents 1.0 event in structured JSON mode. Pure.

It is made of what stands in the object, so each attempt to send it, by whichever leader, has the same id. It never has
parameters, results or logs, only what is said of them.
"""

import json
from typing import Any, Final

from longtask_api import constants
from longtask_api.base import rfc3339
from longtask_api.conditions import find
from longtask_api.longtask import ConditionType, LongTask
from longtask_operator.planning.notifications import Event, EventKind

MEDIA_TYPE: Final = "application/cloudevents+json"
MAX_TEXT_BYTES: Final = 2048
"""Bytes of JSON of each text that the work wrote. The whole stays below MAX_BODY_BYTES."""
MAX_BODY_BYTES: Final = 16 * 1024
READING: Final = {
    EventKind.SUCCEEDED: "get_task_results",
    EventKind.FAILED: "check_task_status",
    EventKind.CANCELLED: "check_task_status",
    EventKind.ASKED: "answer_task",
    EventKind.STALLED: "check_task_status",
}
"""The tool of the MCP server that makes sense next."""


def event_id(task: LongTask, event: Event) -> str:
    """The event's id, the same at every attempt and for every sink.

    It has no full stop, which separates it from what follows in the text that is signed (Standard Webhooks 1.0.0).
    """
    return f"{task.metadata.uid}-{event.name}".replace(".", "~")


def body(task: LongTask, event: Event) -> bytes:
    """The event as JSON, in ASCII; at most MAX_BODY_BYTES."""
    metadata = task.metadata
    document = {
        "specversion": "1.0",
        "id": event_id(task, event),
        "source": f"/apis/{constants.API_VERSION}/namespaces/{metadata.namespace}/{constants.TASK_PLURAL}",
        "type": f"dev.longtask.task.{event.kind}",
        "subject": metadata.name,
        "time": rfc3339(event.time),
        "datacontenttype": "application/json",
        "data": _data(task, event),
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _data(task: LongTask, event: Event) -> dict[str, Any]:
    status, requester = task.status, task.spec.requester
    reason, message = _reason(task, event)
    data = {
        "task_id": task.metadata.uid,
        "name": task.metadata.name,
        "namespace": task.metadata.namespace,
        "template": task.spec.template_ref.name,
        "phase": status.phase,
        "reason": reason,
        "message": _fitted(message),
        "summary": _fitted(status.result.summary) if status.result and event.kind is EventKind.SUCCEEDED else None,
        "attempts": status.attempt_count,
        "started": rfc3339(status.start_time) if status.start_time else None,
        "requester": {
            "principal": requester.principal,
            "actor_id": requester.actor_id,
            "session_id": requester.session_id,
        }
        if requester is not None
        else None,
        "question": {
            "id": event.question.id,
            "expires": rfc3339(event.question.expires_time) if event.question.expires_time else None,
        }
        if event.question is not None
        else None,
        "next": {"tool": READING[event.kind], "arguments": _arguments(task, event)},
    }
    return _without_none(data)


def _reason(task: LongTask, event: Event) -> tuple[str | None, str | None]:
    """Reason and message of the event."""
    if event.question is not None:
        return "InputRequested", event.question.message
    if event.kind is EventKind.STALLED:
        stalled = find(task.status.conditions, ConditionType.STALLED)
        return (stalled.reason, stalled.message) if stalled is not None else (None, None)
    failure = task.status.failure
    if failure is not None:
        return failure.reason, failure.message
    succeeded = find(task.status.conditions, ConditionType.SUCCEEDED)
    return succeeded.reason if succeeded is not None else None, task.status.message


def _arguments(task: LongTask, event: Event) -> dict[str, str]:
    """The arguments of the tool that are known."""
    named = {"task_id": task.metadata.uid}
    return named | ({"question_id": event.question.id} if event.question is not None else {})


def _fitted(text: str | None) -> str | None:
    """The text, or its beginning: at most MAX_TEXT_BYTES as JSON."""
    if text is None or len(json.dumps(text)) <= MAX_TEXT_BYTES:
        return text
    left, kept = MAX_TEXT_BYTES - len('"..."'), 0
    for character in text:
        left -= len(json.dumps(character)) - 2
        if left < 0:
            break
        kept += 1
    return f"{text[:kept]}..."


def _without_none(document: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in document.items()
        if value is not None
    }
