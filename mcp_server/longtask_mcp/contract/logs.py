"""Logs of tasks as shown to agents. Pure."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from longtask_api.longtask import LongTask
from longtask_mcp.contract.answers import Answer
from longtask_mcp.contract.task_status import status_word

MAX_LOG_CHARACTERS = 40_000


class TaskLog(BaseModel):
    """Lines from the end of a log; `live` while its container may still write.

    `truncated`: the operator omitted the first of the requested lines because they were too large.
    """

    model_config = ConfigDict(frozen=True)

    text: str
    attempt: int | None = None
    pod_name: str | None = Field(default=None, alias="podName")
    live: bool = False
    truncated: bool = False


def live_log(task: LongTask, log: TaskLog) -> Answer:
    """The log as the operator read it from the pod."""
    source = "Log of the running attempt" if log.live else "Log of the last attempt"
    where = ", ".join(
        part for part in (log.attempt and f"attempt {log.attempt}", log.pod_name and f"pod {log.pod_name}") if part
    )
    extra = {"attempt": log.attempt, "pod_name": log.pod_name, "truncated": log.truncated or None}
    heading = f"{source}{f' ({where})' if where else ''}"
    if log.truncated:
        heading += "; earlier lines that were asked for are left out, because they are too large together"
    return _answer(task, log.text, heading, "live" if log.live else "pod", extra)


def kept_log(task: LongTask, reason: str) -> Answer:
    """The log tail in the task's record, or that there is none; `reason` is why the full log is unavailable."""
    failure = task.status.failure
    tail = failure.log_tail if failure is not None else task.status.log_tail
    if tail is None:
        text = f"No log: {reason.rstrip('.')}. The task is {status_word(task)}."
        return Answer(text, _content(task, "none", {"message": reason}))
    return _answer(task, tail, f"The end of the log, as kept in the task's record ({reason})", "record", {})


def _answer(task: LongTask, log: str, heading: str, source: str, extra: dict[str, Any]) -> Answer:
    cut = max(0, len(log) - MAX_LOG_CHARACTERS)
    note = f"; the first {cut} characters are left out, ask for fewer lines to see less" if cut else ""
    shown = log[cut:]
    content = _content(task, source, {**extra, "text": shown, "cut_characters": cut or None})
    return Answer(f"{heading}{note}:\n{shown}" if shown else f"{heading}: nothing was written yet.", content)


def _content(task: LongTask, source: str, extra: dict[str, Any]) -> dict[str, Any]:
    """`source` is live, pod (its container has ended), record (the kept tail) or none."""
    kept = {key: value for key, value in extra.items() if value is not None}
    return {"task_id": task.metadata.uid, "status": status_word(task), "source": source, **kept}
