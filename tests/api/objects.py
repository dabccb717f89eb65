"""Objects to begin with: the least that the API takes, and whole ones as the operator leaves them."""

from typing import Any, Final

from longtask_api import constants

LATER: Final = "2026-03-01T11:00:00Z"


def task(name: str, spec: dict[str, Any] | None = None, **metadata: str) -> dict[str, Any]:
    """A LongTask of the template `training`."""
    return _object(constants.TASK_KIND, name, {"templateRef": {"name": "training"}} | (spec or {}), metadata)


def template(name: str, spec: dict[str, Any] | None = None, **metadata: str) -> dict[str, Any]:
    """A LongTaskTemplate with the least it must have."""
    least = {
        "description": "Trains a model.",
        "podTemplate": {"spec": {"containers": [{"name": "main", "image": "training:1"}]}},
    }
    return _object(constants.TEMPLATE_KIND, name, least | (spec or {}), metadata)


def condition(type_: str, status: str = "True", reason: str = "BecauseSo", message: str = "") -> dict[str, Any]:
    """A condition that last changed at ten."""
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-03-01T10:00:00Z",
    }


JOB: Final[dict[str, Any]] = {"name": "training-1-8f3c2a1b", "uid": "11111111-2222-4333-8444-555555555555"}
ATTEMPT: Final[dict[str, Any]] = {
    "number": 1,
    "podName": "training-1-8f3c2a1b-x7k2m",
    "podUID": "99999999-2222-4333-8444-555555555555",
    "nodeName": "node-1",
    "startTime": "2026-03-01T10:00:05Z",
}
PROGRESS: Final[dict[str, Any]] = {
    "attempt": 2,
    "sequence": 5,
    "fraction": 0.6,
    "current": 6,
    "total": 10,
    "unit": "epoch",
    "message": "val 0.81",
    "metrics": {"loss": 0.25, "rows/s": 1200},
    "memoryBytes": 1610612736,
    "display": "60% (6/10 epoch)",
    "pace": 0.0015,
    "updatedTime": "2026-03-01T10:07:00Z",
    "estimatedCompletionTime": "2026-03-01T10:11:30Z",
}
REFERENCE: Final[dict[str, Any]] = {"uri": "configmap:training-1-state", "size": 40960, "sha256": "cd34" * 16}
CHECKPOINT: Final[dict[str, Any]] = {
    "attempt": 2,
    "sequence": 5,
    "mediaType": "application/json",
    "text": '{"epoch": 6}',
    "savedTime": "2026-03-01T10:07:00Z",
}
QUESTION: Final[dict[str, Any]] = {
    "id": "q1",
    "message": "Train on the rows without a label, too?",
    "answerSchema": '{"type": "boolean"}',
    "default": "false",
    "createdTime": "2026-03-01T10:06:00Z",
    "expiresTime": "2026-03-01T10:36:00Z",
}
MEMORY: Final[dict[str, Any]] = {
    "memoryId": "conversations-a1b2c3d4e5",
    "actorId": "system:serviceaccount:agents:alice",
    "sessionId": "monday-1",
}
EVENT: Final[dict[str, Any]] = {
    "name": "result",
    "eventTime": "2026-03-01T10:06:59.001Z",
    "payload": '[{"conversational": {"role": "USER", "content": {"text": "{}"}}}]',
    "payloadSHA256": "ef56" * 16,
    "clientToken": "ab12" * 16,
}
WRITTEN: Final[dict[str, Any]] = {key: EVENT[key] for key in EVENT if key != "payload"} | {
    "eventId": "0000001772359619001#f2b4a1c8"
}
"""The same event, once it is known to be in the session."""
_STARTED: Final[dict[str, Any]] = {
    "observedGeneration": 1,
    "startTime": "2026-03-01T10:00:05Z",
    "jobRef": JOB,
    "templateSnapshot": {
        "generation": 3,
        "hash": "9f86d081884c7d65",
        "startTimeoutSeconds": 600,
        "activeDeadlineSeconds": 86400,
        "maxDisruptions": 10,
        "ttlSecondsAfterFinished": 2592000,
    },
}
RUNNING: Final[dict[str, Any]] = _STARTED | {
    "phase": "Running",
    "message": "epoch 6 of 10, val 0.81",
    "conditions": [condition("Accepted"), condition("Succeeded", "Unknown", "Running")],
    "attemptCount": 2,
    "attempts": [
        ATTEMPT | {"endTime": "2026-03-01T10:02:00Z", "reason": "Evicted", "exitCode": 137},
        ATTEMPT | {"number": 2, "podName": "training-1-8f3c2a1b-p4z9q", "podUID": "99999999-3333-4333-8444-5555555555"},
    ],
    "activeSince": "2026-03-01T10:00:05Z",
    "progress": PROGRESS,
    "lastReportTime": "2026-03-01T10:07:05Z",
    "checkpoint": CHECKPOINT,
    "inputRequests": [QUESTION],
}
SUCCEEDED: Final[dict[str, Any]] = _STARTED | {
    "phase": "Succeeded",
    "message": "completed in 12 min",
    "conditions": [condition("Accepted"), condition("Succeeded", reason="Completed", message="completed in 12 min")],
    "completionTime": "2026-03-01T10:12:05Z",
    "activeSeconds": 720,
    "attemptCount": 1,
    "attempts": [ATTEMPT | {"endTime": "2026-03-01T10:12:05Z", "reason": "Completed", "exitCode": 0}],
    "progress": PROGRESS | {"fraction": 1, "current": 10, "message": "done", "display": "100% (10/10 epoch)"},
    "lastReportTime": "2026-03-01T10:12:04Z",
    "checkpoint": {key: CHECKPOINT[key] for key in ("attempt", "sequence", "savedTime")} | {"reference": REFERENCE},
    "inputRequests": [QUESTION | {"timedOut": True}],
    "result": {
        "attempt": 2,
        "mediaType": "application/json",
        "value": {"score": 0.87, "epochs": [{"loss": 0.5}, {"loss": 0.25}]},
        "summary": "score 0.87",
        "artifacts": [{"name": "model", "uri": "s3://models/1", "size": 1024, "sha256": "ab12" * 16}],
    },
    "logTail": "epoch 10/10 val 0.82",
}
TOLD: Final[dict[str, Any]] = SUCCEEDED | {
    "conditions": [
        *SUCCEEDED["conditions"],
        condition("Delivered", reason="Delivered", message="event 0000001772359619001#f2b4a1c8"),
        condition("Archived", reason="Archived"),
    ],
    "delivery": {
        "events": [WRITTEN | {"name": "progress-50", "clientToken": "cd34" * 16}, WRITTEN],
        "recordId": "mem-0123456789abcdef0123456789abcdef0123",
    },
    "archive": {
        "uri": "agentcore:conversations-a1b2c3d4e5/system:serviceaccount:agents:alice/longtask-11111111",
        "archivedTime": "2026-03-01T10:12:07Z",
    },
}
FAILED: Final[dict[str, Any]] = _STARTED | {
    "phase": "Failed",
    "message": "OOMKilled: the container used more memory than its limit of 2Gi.",
    "conditions": [
        condition("Accepted"),
        condition("Succeeded", "False", "OOMKilled", "The container used more memory than its limit of 2Gi."),
    ],
    "completionTime": "2026-03-01T10:05:00Z",
    "activeSeconds": 295,
    "attemptCount": 1,
    "attempts": [ATTEMPT | {"endTime": "2026-03-01T10:05:00Z", "reason": "OOMKilled", "exitCode": 137}],
    "progress": PROGRESS,
    "failure": {
        "reason": "OOMKilled",
        "message": "The container used more memory than its limit of 2Gi.",
        "exitCode": 137,
        "signal": 9,
        "logTail": "epoch 6/10 val 0.81\nepoch 7/10: allocating batch 4096",
        "hint": "Start again with a smaller batch_size, or raise the memory limit in the template.",
    },
}
CANCELLED_AT_ONCE: Final[dict[str, Any]] = {
    "phase": "Cancelled",
    "message": "cancelled before it started",
    "conditions": [condition("Succeeded", "False", "Cancelled")],
}


def _object(kind: str, name: str, spec: dict[str, Any], metadata: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": constants.API_VERSION,
        "kind": kind,
        "metadata": ({"name": name} if name else {}) | metadata,
        "spec": spec,
    }
