"""The one JSON object that every answer about a task carries. Pure."""

from datetime import datetime
from typing import Any

from longtask_api.base import rfc3339
from longtask_api.longtask import LongTask, Phase, Progress
from longtask_mcp.contract.facts import check_seconds, status_word
from longtask_mcp.contract.paging import Page, result_value


def envelope(task: LongTask, now: datetime, shown: Page | None = None) -> dict[str, Any]:
    """The JSON object that every answer about one task carries.

    A result on several pages comes as text: the parts of `result` joined are the JSON text of the result.
    """
    known = task.status
    result = known.result if known.phase is Phase.SUCCEEDED and shown is not None else None
    whole: dict[str, Any] = {}
    if result is not None and shown is not None:
        whole = {"result": result_value(result)} if shown.pages == 1 else {"result": shown.text}
    paged = {"page": shown.number, "pages": shown.pages} if shown is not None and shown.pages > 1 else {}
    optional = {
        "phase": known.phase and known.phase.value,
        "message": known.message,
        "progress": _progress(known.progress) if known.progress else None,
        "created_at": _time(task.metadata.creation_timestamp),
        "started_at": _time(known.start_time),
        "finished_at": _time(known.completion_time),
        "attempts": known.attempt_count,
        "summary": known.result.summary if known.result else None,
        "artifacts": [each.to_api() for each in known.result.artifacts or []] if known.result else None,
        "failure": _failure(task),
        "next": _next(task, now, shown),
    }
    return {
        "task_id": task.metadata.uid,
        "name": task.metadata.name,
        "template": task.spec.template_ref.name,
        "status": status_word(task),
        **{key: value for key, value in optional.items() if value not in (None, [])},
        **whole,
        **paged,
    }


def _progress(progress: Progress) -> dict[str, Any]:
    keys = ("fraction", "current", "total", "unit", "message", "display")
    return {key: value for key in keys if (value := getattr(progress, key)) is not None}


def _failure(task: LongTask) -> dict[str, Any] | None:
    failure = task.status.failure
    if failure is None:
        return None
    keys = ("reason", "message", "exit_code", "log_tail", "hint")
    return {key: value for key in keys if (value := getattr(failure, key)) is not None}


def _next(task: LongTask, now: datetime, shown: Page | None) -> dict[str, Any] | None:
    """The call that makes sense now; after_seconds says when."""
    identifier = {"task_id": task.metadata.uid}
    match status_word(task):
        case "started" | "running":
            return {"tool": "check_task_status", "arguments": identifier, "after_seconds": check_seconds(task, now)}
        case "completed" if shown is None and task.status.result is not None:
            return {"tool": "get_task_results", "arguments": identifier, "after_seconds": 0}
        case "completed" if shown is not None and shown.number < shown.pages:
            more = identifier | {"page": shown.number + 1}
            return {"tool": "get_task_results", "arguments": more, "after_seconds": 0}
        case "failed" | "cancelled" if task.status.attempt_count:
            return {"tool": "get_task_logs", "arguments": identifier, "after_seconds": 0}
    return None


def _time(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment is not None else None
