"""What is kept of a LongTask when it is gone, and how it is serialised. Pure.

A record is the LongTask itself as JSON, so that the MCP server's tools can describe it like the object. Data about the
object rather than the work is left out: resourceVersion, labels, payloads of delivered events, the state of archiving.
Data that is deleted with the object, in ConfigMaps, is copied, and the record refers to the copies; checkpoints are not
copied, because nothing resumes after the end.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from longtask_api.longtask import ConditionType, LongTask
from longtask_api.reports import Artifact, Reference, Result
from longtask_operator.archive.models import Caller

CONFIG_MAP = "configmap:"
"""URI scheme of data that is deleted with the object."""
UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""metadata.uid, as the API server generates it (RFC 9562)."""
METADATA = {"name", "namespace", "uid", "creation_timestamp"}
NOT_KEPT: dict[str, Any] = {
    "metadata": True,
    "status": {"archive": True, "delivery": {"events": {"__all__": {"payload"}}}},
}
PIECE = 64 * 1024
"""Bytes. In Base64 they are 87,384 characters; the service allows 100,000 in an item."""


@dataclass(frozen=True)
class Stored:
    """A result or artifact that is stored outside of the object."""

    reference: Reference
    media_type: str | None


def written(task: LongTask, moved: Mapping[str, str]) -> bytes:
    """The record in UTF-8. `moved` maps the URIs of copied data to those of the copies."""
    if task.status.result is not None:
        status = task.status.model_copy(update={"result": _renamed(task.status.result, moved)})
        task = task.model_copy(update={"status": status})
    return json.dumps(document(task), ensure_ascii=False, separators=(",", ":")).encode()


def document(task: LongTask) -> dict[str, Any]:
    """The archived fields of the task, as a JSON object."""
    conditions = [each for each in task.status.conditions if each.type != ConditionType.ARCHIVED]
    task = task.model_copy(update={"status": task.status.model_copy(update={"conditions": conditions})})
    kept = task.model_dump(mode="json", exclude_none=True, exclude=NOT_KEPT)
    return kept | {"metadata": task.metadata.model_dump(mode="json", exclude_none=True, include=METADATA)}


def read(data: bytes) -> LongTask:
    """Parse a record. Raises ValueError if it is invalid."""
    try:
        return LongTask.from_api(json.loads(data))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def belongs_to(task: LongTask, caller: Caller) -> bool:
    """Whether the caller is the task's requester."""
    requester = task.spec.requester
    return requester is not None and (requester.principal, requester.actor_id) == (caller.principal, caller.actor_id)


def stored(task: LongTask, artifact: str | None) -> Stored | None:
    """The artifact with this name (None: the result), if it is stored outside of the object."""
    result = task.status.result or Result()
    if artifact is None:
        return Stored(result.reference, result.media_type) if result.reference is not None else None
    return next((found for each in result.artifacts or [] if each.name == artifact and (found := _stored(each))), None)


def in_config_maps(task: LongTask) -> list[Stored]:
    """Data that is deleted with the object: the result, then artifacts."""
    names = [None, *(each.name for each in (task.status.result or Result()).artifacts or [])]
    found = {each.reference: each for name in names if (each := stored(task, name)) is not None}
    return [each for reference, each in found.items() if reference.uri.startswith(CONFIG_MAP)]


def fitting(bodies: Iterable[Stored], limit: int) -> list[Stored]:
    """The first bodies that have at most `limit` bytes together; one that does not fit is skipped."""
    chosen, left = [], limit
    for each in bodies:
        if each.reference.size <= left:
            chosen.append(each)
            left -= each.reference.size
    return chosen


def pieces(data: bytes) -> list[bytes]:
    """The bytes in order, split into pieces of at most PIECE; at least one piece."""
    return [data[start : start + PIECE] for start in range(0, len(data), PIECE)] or [b""]


def summary(task: LongTask) -> LongTask:
    """The task for lists, without long fields. It still says how the task ended and where its results are."""
    status, result, failure = task.status, task.status.result, task.status.failure
    short: dict[str, Any] = {
        "attempts": [],
        "input_requests": [],
        "checkpoint": None,
        "log_tail": None,
        "failure": failure.model_copy(update={"log_tail": None}) if failure is not None else None,
        "result": result.model_copy(update={"value": None, "text": None}) if result is not None else None,
    }
    spec = task.spec.model_copy(update={"parameters": {}, "input_responses": []})
    return task.model_copy(update={"spec": spec, "status": status.model_copy(update=short)})


def _renamed(result: Result, moved: Mapping[str, str]) -> Result:
    reference, artifacts = result.reference, result.artifacts
    if reference is not None:
        reference = reference.model_copy(update={"uri": moved.get(reference.uri, reference.uri)})
    if artifacts is not None:
        artifacts = [each.model_copy(update={"uri": moved.get(each.uri or "", each.uri)}) for each in artifacts]
    return result.model_copy(update={"reference": reference, "artifacts": artifacts})


def _stored(artifact: Artifact) -> Stored | None:
    if not artifact.uri or artifact.size is None or artifact.sha256 is None:
        return None
    reference = Reference(uri=artifact.uri, size=artifact.size, sha256=artifact.sha256)
    return Stored(reference, artifact.media_type)
