"""The result of a task: what its successful attempt handed in, else its termination message. Pure."""

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
"""JSON storage of the API server keeps larger ones as floating point."""


def final_result(status: LongTaskStatus, pod: PodSnapshot | None) -> Result | Failure:
    """What the attempt in the pod, which succeeded, gave; artifacts that were uploaded are kept in any case.

    Without a pod, of which nobody saw the end, it was the last attempt that is recorded, if that did not fail.
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
    """Whether it came through the task API, which has checked it; a termination message names no attempt."""
    return result.attempt is not None


def checkable(result: Result) -> Any:
    """An inline result as a JSON Schema sees it; null where there is none."""
    if result.text is not None and result.media_type == JSON_MEDIA_TYPE:
        return json.loads(result.text)
    return result.value if result.value is not None else result.text


def _number(status: LongTaskStatus, pod: PodSnapshot | None) -> int | None:
    if pod is not None:
        return attempt_number(status, pod)
    last = status.attempts[-1] if status.attempts else None
    return last.number if last is not None and last.exit_code in (None, 0) else None


def read_result(message: str, limit: int = constants.MAX_RESULT_BYTES) -> Result | Failure:
    """JSON gives a value, other text a text, nothing an empty result; a message that was cut gives a Failure.

    kubelet cuts a longer message to `limit` bytes, so one of just that length may have lost its beginning or its end.
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
    """JSON gives a value, or its text where the API server would not give the value back unchanged; other text a text,
    and so does JSON that is nested so deep that some readers would not take it.

    Of a JSON object, `summary` and `artifacts` are taken out for those who only look.
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
    """By name, the newer one wins. Those of earlier attempts stay: a later attempt goes on from a checkpoint and does
    not make them again."""
    by_name = {artifact.name: artifact for artifact in [*(kept or []), *(new or [])]}
    return list(by_name.values())[-MAX_ARTIFACTS:] or None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _storable(value: Any) -> bool:
    """Whether the API server gives back the same value."""
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
    """Entries of `artifacts` (or the one `artifact`) of the result that say a name and where it is. What says no more
    than a name is the work's own, such as the finds of an excavation.
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
    return found[:64]
