"""A task as this server keeps it: what every answer and list needs, without what is large and seldom asked for. Pure.

One caller may have 20,000 tasks of tens of kilobytes, and whoever may create LongTasks may make them large. What is
left out is read from the API server when it is asked for.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import orjson

from longtask_api import constants
from longtask_api.longtask import TERMINAL_PHASES, ConditionType, LongTask

SMALL = 1024
"""Bytes of a result or the end of a log that are kept."""
MAX_COMPARED = 256 * 1024
"""Bytes of parameters that are compared with those of a start; no start makes larger ones."""
MAX_ANNOTATION = 64
"""Characters of one."""
ANNOTATIONS = (constants.ANNOTATION_TAKEN_BACK, constants.ANNOTATION_GIVEN)
CONDITIONS = frozenset({ConditionType.STALLED, ConditionType.DELIVERED})


class KnownTask(LongTask):
    """A LongTask without its parameters; `is_whole` says whether it has its result and the end of its log."""

    parameters_digest: str
    is_whole: bool


def known(document: Mapping[str, Any]) -> KnownTask:
    """What is kept of a decoded JSON object. Raises pydantic.ValidationError where the CRD would have refused it."""
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
    kept_status = {key: value for key, value in status.items() if key not in ("attempts", "templateSnapshot")}
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
        }
    )


def is_whole(task: LongTask) -> bool:
    """Whether the task has its result and the end of its log."""
    return not isinstance(task, KnownTask) or task.is_whole


def digest(task: LongTask) -> str:
    """What tells a task's parameters from others."""
    return task.parameters_digest if isinstance(task, KnownTask) else _digest(task.spec.parameters)


def digest_of(parameters: Mapping[str, Any]) -> str:
    """The same of the parameters of a start. Raises ValueError as `canonical` does."""
    return hashlib.sha256(canonical(parameters).encode()).hexdigest()[:32]


def canonical(value: Any) -> str:
    """JSON text that is the same for values that JSON storage makes the same: 1.0 and 1, 2^63 and its float.

    Raises ValueError for what JSON storage cannot hold: NaN, infinities, numbers beyond a float, lone surrogates,
    hundreds of levels.
    """
    try:
        text = json.dumps(_stored(value), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
        text.encode()
    except (OverflowError, RecursionError) as error:
        raise ValueError("a number is too large or the nesting is too deep") from error
    return text


def _digest(parameters: Mapping[str, Any]) -> str:
    """Empty for what no start can have made."""
    try:
        return digest_of(parameters) if _size(parameters) <= MAX_COMPARED else ""
    except ValueError:
        return ""


def _size(value: Any) -> float:
    """Bytes of a value as JSON; without end for what is nested too deep to be written."""
    try:
        return len(orjson.dumps(value))
    except TypeError:
        return float("inf")


def _cut(status: dict[str, Any]) -> bool:
    """Leave out what is large of how a task ended; whether nothing was."""
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


def _stored(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _stored(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_stored(child) for child in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return float(value)
    return value
