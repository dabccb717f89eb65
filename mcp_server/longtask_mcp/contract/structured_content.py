"""The JSON object in every answer about a task. Pure."""

from datetime import datetime
from typing import Any

from longtask_api.base import rfc3339
from longtask_api.longtask import LongTask
from longtask_api.reports import Artifact, Progress
from longtask_mcp.contract import memory, questions
from longtask_mcp.contract.artifacts import in_full, uri_of
from longtask_mcp.contract.task_status import (
    check_seconds,
    has_result,
    is_suspended,
    message,
    stall,
    status_word,
    unattended,
)


def envelope(task: LongTask, now: datetime) -> dict[str, Any]:
    """The JSON object in every answer about one task; keys without a value are omitted."""
    known, result, quiet, alone = task.status, task.status.result, stall(task), unattended(task, now)
    optional = {
        "phase": known.phase and known.phase.value,
        "message": message(task),
        "rerun_of": _rerun_of(task),
        "cancel_requested": (task.spec.cancel_requested and not task.is_terminal) or None,
        "suspended": is_suspended(task) or None,
        "not_taken_up_seconds": int(alone.total_seconds()) if alone is not None else None,
        "progress": _progress(known.progress) if known.progress else None,
        **questions.entries(task),
        "stalled": quiet.message if quiet is not None else None,
        "last_report_at": _time(known.last_report_time) if quiet is not None else None,
        "created_at": _time(task.metadata.creation_timestamp),
        "started_at": _time(known.start_time),
        "finished_at": _time(known.completion_time),
        "attempts": (known.attempt_count or 0) if task.is_terminal else known.attempt_count,
        "checkpoint": {"attempt": known.checkpoint.attempt, "saved_at": rfc3339(known.checkpoint.saved_time)}
        if known.checkpoint
        else None,
        "has_result": has_result(task) if task.is_terminal else None,
        "summary": result.summary if result else None,
        "reference": result.reference.to_api() if result and result.reference else None,
        "artifacts": _artifacts(task, result.artifacts or []) if result else None,
        "failure": _failure(task),
        "taken_back": task.is_taken_back or None,
        "memory": memory.entry(task),
        "next": next_step(task, now),
    }
    return {
        "task_id": task.metadata.uid,
        "name": task.metadata.name,
        "template": task.spec.template_ref.name,
        "status": status_word(task),
        **{key: value for key, value in optional.items() if value not in (None, [])},
    }


def step(task: LongTask, tool: str, after_seconds: int = 0, **more: Any) -> dict[str, Any]:
    """A call to make next, in the format of the key `next`."""
    return {"tool": tool, "arguments": {"task_id": task.metadata.uid, **more}, "after_seconds": after_seconds}


def next_step(task: LongTask, now: datetime) -> dict[str, Any] | None:
    """The call that makes sense next; None if nothing is left to do."""
    asked = questions.open_questions(task)
    if asked:
        return step(task, "answer_task", question_id=asked[0].id)
    if not task.is_terminal:
        return step(task, "check_task_status", check_seconds(task, now))
    if has_result(task):
        return step(task, "get_task_results")
    return step(task, "get_task_logs") if status_word(task) != "completed" and task.status.attempt_count else None


def _rerun_of(task: LongTask) -> dict[str, Any] | None:
    rerun = task.spec.rerun_of
    return {"task_id": rerun.uid, "from_checkpoint": rerun.from_checkpoint} if rerun is not None else None


def _progress(progress: Progress) -> dict[str, Any]:
    keys = ("attempt", "fraction", "current", "total", "unit", "message", "display")
    told = {key: value for key in keys if (value := getattr(progress, key)) is not None}
    times = {
        "updated_at": _time(progress.updated_time),
        "estimated_completion_at": _time(progress.estimated_completion_time),
    }
    metrics = {"metrics": dict(progress.metrics)} if progress.metrics else {}
    return told | metrics | {key: value for key, value in times.items() if value is not None}


def _artifacts(task: LongTask, artifacts: list[Artifact]) -> list[dict[str, Any]]:
    full = in_full(artifacts)
    return [_artifact(task, each) for each in artifacts[:full]] + [{"name": each.name} for each in artifacts[full:]]


def _artifact(task: LongTask, artifact: Artifact) -> dict[str, Any]:
    uri = uri_of(task, artifact)
    return artifact.to_api() | ({"resource": uri} if uri is not None else {})


def _failure(task: LongTask) -> dict[str, Any] | None:
    failure = task.status.failure
    if failure is None:
        return None
    keys = ("reason", "message", "exit_code", "log_tail", "hint")
    return {key: value for key in keys if (value := getattr(failure, key)) is not None}


def _time(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment is not None else None
