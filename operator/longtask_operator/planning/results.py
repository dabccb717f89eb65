"""The result of a task: the one submitted by its successful attempt, else its termination message. Pure."""

import json
import math
from typing import Any

from longtask_api import constants
from longtask_api.bounds import excess
from longtask_api.longtask import Failure, LongTaskStatus
from longtask_api.reports import JSON_MEDIA_TYPE, MAX_ARTIFACTS, Artifact, Result
from longtask_operator.planning.done import attempt_number
from longtask_operator.planning.snapshots import PodSnapshot

LARGEST_INTEGER = 2**63 - 1
"""The API server stores larger integers as floating point."""


def final_result(status: LongTaskStatus, pod: PodSnapshot | None) -> Result | Failure:
    """The result of the successful attempt in the pod, or a Failure if its termination message may be truncated.

    Uploaded artifacts are kept in any case. `pod` is None if its end was not observed: then the last recorded attempt
    is used, unless it failed.
    """
    number = _number(status, pod)
    stored = status.result or Result()
    if stored.has_content and stored.attempt == number:
        return stored
    if pod is None or pod.termination is None:
        return Result(artifacts=stored.artifacts)
    read = read_result(pod.termination.message, pod.message_limit)
    if isinstance(read, Failure):
        return read
    return read.model_copy(update={"artifacts": merged_artifacts(stored.artifacts, read.artifacts)})


def was_handed_in(result: Result) -> bool:
    """Whether it came through the task API, which validated it; a termination message has no attempt number."""
    return result.attempt is not None


def checkable(result: Result) -> Any:
    """The inline result as a value to validate against a JSON Schema; None if there is none."""
    if result.text is not None and result.media_type == JSON_MEDIA_TYPE:
        return json.loads(result.text)
    return result.value if result.value is not None else result.text


def _number(status: LongTaskStatus, pod: PodSnapshot | None) -> int | None:
    if pod is not None:
        return attempt_number(status, pod)
    last = status.attempts[-1] if status.attempts else None
    return last.number if last is not None and last.exit_code in (None, 0) else None


def read_result(message: str, limit: int = constants.MAX_RESULT_BYTES) -> Result | Failure:
    """Parse a termination message: JSON becomes a value, other text stays text, an empty message is an empty result.

    Returns a Failure if the message may be truncated: kubelet cuts it to `limit` bytes, at its beginning or its end.
    """
    size = len(message.encode())
    if size >= limit:
        shared = "" if limit == constants.MAX_RESULT_BYTES else ", in a pod of so many containers"
        return Failure(
            reason="ResultTooLarge",
            message=f"the work succeeded but its result has {size} bytes or more on /dev/termination-log, where "
            f"{limit - 1} fit{shared}; the rest may be lost",
            log_tail=message,
            hint="Hand it in with PUT $LONGTASK_REPORT_URL/result, or return it from a function of the LongTask SDK: "
            "both take larger ones.",
        )
    return result_of(message) if message.strip() else Result()


def result_of(text: str) -> Result:
    """Parse a result. JSON becomes a value, or stays text of media type JSON if it is null or the API server would not
    return the value unchanged. Other text, and JSON beyond the limits of `longtask_api.bounds`, stays plain text.

    `summary` and `artifacts` of a JSON object are also copied into the result's own fields.
    """
    if excess(text):
        return Result(text=text)
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        return Result(text=text)
    if value is None or not _storable(value):
        return Result(text=text, media_type=JSON_MEDIA_TYPE)
    summary = value.get("summary") if isinstance(value, dict) else None
    return Result(
        value=value,
        summary=summary[:1024] if isinstance(summary, str) else None,
        artifacts=_artifacts(value) or None,
    )


def merged_artifacts(kept: list[Artifact] | None, new: list[Artifact] | None) -> list[Artifact] | None:
    """Merge by name; the newer one wins. Those of earlier attempts stay, because a later attempt resumes from a
    checkpoint and does not create them again."""
    by_name = {artifact.name: artifact for artifact in [*(kept or []), *(new or [])]}
    return list(by_name.values())[-MAX_ARTIFACTS:] or None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _storable(value: Any) -> bool:
    """Whether the API server returns the value unchanged."""
    if isinstance(value, str):
        return not any("\ud800" <= character <= "\udfff" for character in value)
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int):
        return abs(value) <= LARGEST_INTEGER
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(_storable(key) and _storable(child) for key, child in value.items())
    return all(_storable(child) for child in value)


def _artifacts(value: Any) -> list[Artifact]:
    """Entries of the result's `artifacts` (or the single `artifact`) that have a name and a URI.

    Entries without a URI are data of the work's own, such as the finds of an excavation.
    """
    if not isinstance(value, dict):
        return []
    listed = value.get("artifacts") or ([value["artifact"]] if "artifact" in value else [])
    found = []
    for entry in listed if isinstance(listed, list) else []:
        try:
            artifact = Artifact.from_api(entry)
        except ValueError:
            continue
        if artifact.uri:
            found.append(artifact)
    return found[:MAX_ARTIFACTS]
