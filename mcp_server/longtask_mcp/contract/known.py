"""Tasks as this server caches them: what answers and lists need, without large fields that are rarely read. Pure.

One caller may have 20,000 tasks of tens of kilobytes, and anyone who may create LongTasks may make them large. Omitted
fields are read from the API server when needed.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from pydantic import TypeAdapter

from longtask_api import constants
from longtask_api.canonical import digest_of
from longtask_api.longtask import TERMINAL_PHASES, ConditionType, LongTask

SMALL = 1024
"""Results (in bytes) and log tails (in characters) that are larger are not cached."""
MAX_COMPARED = 256 * 1024
"""Parameters with more bytes are not compared with those of a start; no start creates larger ones."""
MAX_ANNOTATION = 64
"""Characters cached of one annotation."""
ANNOTATIONS = (constants.ANNOTATION_TAKEN_BACK, constants.ANNOTATION_GIVEN)
OMITTED = frozenset({"attempts", "templateSnapshot", "notifications"})
"""Fields of status that are not cached."""
AFTER = frozenset({ConditionType.DELIVERED, ConditionType.ARCHIVED, ConditionType.NOTIFIED})
"""Conditions that change after the end of a task."""
_TIMES = TypeAdapter(list[datetime])
CONDITIONS = frozenset({ConditionType.STALLED, ConditionType.DELIVERED})


class KnownTask(LongTask):
    """A LongTask without its parameters; `is_whole` says whether it has its full result and log tail."""

    parameters_digest: str
    is_whole: bool
    updated_time: datetime
    """The latest time that LongTask itself wrote into the object; times of nodes are excluded."""
    ended_time: datetime | None
    """When LongTask wrote that the task has ended; by the API server's clock, not by a node's."""
    kept_seconds: int | None
    """How long the object is kept after the end of the task; None if the template's setting is not known yet."""


def known(document: Mapping[str, Any]) -> KnownTask:
    """Reduces a decoded JSON object to what is cached. Raises pydantic.ValidationError if it does not fit the CRD."""
    metadata, spec = document["metadata"], document.get("spec") or {}
    status = document.get("status") or {}
    annotations = metadata.get("annotations") or {}
    kept_metadata = {
        key: value for key, value in metadata.items() if key not in ("annotations", "labels", "managedFields")
    }
    kept_annotations = {key: annotations[key][:MAX_ANNOTATION] for key in ANNOTATIONS if key in annotations}
    if kept_annotations:
        kept_metadata["annotations"] = kept_annotations
    kept_spec = {key: value for key, value in spec.items() if key != "parameters"}
    kept_status = {key: value for key, value in status.items() if key not in OMITTED}
    kept_status["conditions"] = [each for each in status.get("conditions") or [] if each.get("type") in CONDITIONS]
    whole = True
    if status.get("phase") in TERMINAL_PHASES:
        kept_spec.pop("inputResponses", None)
        kept_status.pop("inputRequests", None)
        whole = _cut(kept_status)
    if "checkpoint" in status:
        kept_status["checkpoint"] = {**status["checkpoint"], "text": None}
    if "delivery" in status:
        events = [{**each, "payload": None} for each in status["delivery"].get("events") or []]
        kept_status["delivery"] = {**status["delivery"], "events": events}
    return KnownTask.model_validate(
        {
            "metadata": kept_metadata,
            "spec": kept_spec,
            "status": kept_status,
            "parameters_digest": _digest(spec.get("parameters") or {}),
            "is_whole": whole,
            "updated_time": _updated_time(metadata, status),
            "ended_time": _ended_time(status),
            "kept_seconds": _kept_seconds(spec, status),
        }
    )


def is_whole(task: LongTask) -> bool:
    """Whether the task has its full result and log tail."""
    return not isinstance(task, KnownTask) or task.is_whole


def as_known(task: LongTask) -> KnownTask:
    """The task as it is cached."""
    return task if isinstance(task, KnownTask) else known(task.to_api())


def digest(task: LongTask) -> str:
    """Digest that identifies a task's parameters; empty if no start can have created them."""
    return task.parameters_digest if isinstance(task, KnownTask) else _digest(task.spec.parameters)


def _updated_time(metadata: Mapping[str, Any], status: Mapping[str, Any]) -> datetime:
    """When the object was created, or LongTask last wrote its conditions, reports, checkpoint or questions; what is
    written after the end is excluded, because the archived record lacks it. Raises pydantic.ValidationError.
    """
    written = [
        metadata.get("creationTimestamp"),
        status.get("lastReportTime"),
        (status.get("progress") or {}).get("updatedTime"),
        (status.get("checkpoint") or {}).get("savedTime"),
        *(each.get("lastTransitionTime") for each in status.get("conditions") or [] if each.get("type") not in AFTER),
        *(each.get("createdTime") for each in status.get("inputRequests") or []),
    ]
    return max(_TIMES.validate_python([each for each in written if each]), default=datetime.fromtimestamp(0, UTC))


def _ended_time(status: Mapping[str, Any]) -> str | None:
    if status.get("phase") not in TERMINAL_PHASES:
        return None
    ends = (each for each in status.get("conditions") or [] if each.get("type") == ConditionType.SUCCEEDED)
    return next((each.get("lastTransitionTime") for each in ends), None)


def _kept_seconds(spec: Mapping[str, Any], status: Mapping[str, Any]) -> int | None:
    own = spec.get("ttlSecondsAfterFinished")
    return own if own is not None else (status.get("templateSnapshot") or {}).get("ttlSecondsAfterFinished")


def _digest(parameters: Mapping[str, Any]) -> str:
    """Empty for parameters that no start can have created."""
    try:
        return digest_of(parameters) if _size(parameters) <= MAX_COMPARED else ""
    except ValueError:
        return ""


def _size(value: Any) -> float:
    """Bytes of a value as JSON; infinite if it is nested too deep to be serialized."""
    try:
        return len(orjson.dumps(value))
    except TypeError:
        return float("inf")


def _cut(status: dict[str, Any]) -> bool:
    """Removes the large parts of a task's outcome in place; returns whether there were none."""
    whole = True
    result = status.get("result")
    if result is not None:
        large = [key for key in ("value", "text") if key in result and _size(result[key]) > SMALL]
        status["result"] = {**result, **{key: None if key == "value" else "" for key in large}}
        whole = not large
    if len(status.get("logTail") or "") > SMALL:
        status["logTail"], whole = None, False
    failure = status.get("failure")
    if failure is not None and len(failure.get("logTail") or "") > SMALL:
        status["failure"], whole = {**failure, "logTail": None}, False
    return whole
