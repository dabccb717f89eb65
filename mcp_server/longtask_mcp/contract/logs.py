"""Logs of tasks as shown to agents. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from longtask_api.base import rfc3339
from longtask_api.longtask import LongTask
from longtask_mcp.contract.answers import Answer
from longtask_mcp.contract.arguments import MAX_SKIPPED_LINES, GetLogs
from longtask_mcp.contract.errors import BadArguments, Problem
from longtask_mcp.contract.questions import quoted
from longtask_mcp.contract.structured_content import step
from longtask_mcp.contract.task_status import status_word

MAX_LOG_BYTES = 10_000
"""Of an answer, in UTF-8."""
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
SPAN = re.compile(r"(\d{1,9})\s*([smhd])[a-z]*")


@dataclass(frozen=True)
class LogLines:
    """The lines of a log that are wanted: at most `lines` of them, before the last `skipped` ones."""

    lines: int = 200
    skipped: int = 0
    since: datetime | None = None
    contains: str | None = None

    @classmethod
    def of(cls, wanted: GetLogs, now: datetime) -> "LogLines":
        """The lines that a call asks for. Raises BadArguments."""
        since = _moment(wanted.since, now) if wanted.since is not None else None
        return cls(wanted.tail_lines, wanted.skip_lines, since, wanted.grep)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that choose the same lines, without `skip_lines`."""
        chosen = {"since": rfc3339(self.since) if self.since is not None else None, "grep": self.contains}
        return {"tail_lines": self.lines, **{key: value for key, value in chosen.items() if value is not None}}

    @property
    def description(self) -> str:
        """What is left out, for a heading; empty if nothing is."""
        parts = [f"written since {rfc3339(self.since)}"] if self.since is not None else []
        parts += [f"that contain {quoted(self.contains)}"] if self.contains is not None else []
        return f"; only lines {' and '.join(parts)}" if parts else ""


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


def live_log(task: LongTask, log: TaskLog, wanted: LogLines) -> Answer:
    """The log as the operator read it from the pod."""
    source = "Log of the running attempt" if log.live else "Log of the last attempt"
    where = ", ".join(
        part for part in (log.attempt and f"attempt {log.attempt}", log.pod_name and f"pod {log.pod_name}") if part
    )
    extra = {"attempt": log.attempt, "pod_name": log.pod_name, "truncated": log.truncated or None}
    heading = f"{source}{f' ({where})' if where else ''}{wanted.description}"
    if log.truncated:
        heading += "; earlier lines that were asked for are left out, because they are too large together"
    return _answer(task, _whole_lines(log.text), wanted, heading, "live" if log.live else "pod", extra)


def kept_log(task: LongTask, reason: str, wanted: LogLines) -> Answer:
    """The log tail in the task's record, or that there is none; `reason` is why the full log is unavailable. Its lines
    have no times, so `since` selects none of them.
    """
    failure = task.status.failure
    tail = failure.log_tail if failure is not None else task.status.log_tail
    if tail is None:
        text = f"No log: {reason.rstrip('.')}. The task is {status_word(task)}."
        return Answer(text, _content(task, "none", {"message": reason}))
    contains = wanted.contains.casefold() if wanted.contains is not None else ""
    lines = [line for line in _whole_lines(tail) if contains in line.casefold()]
    kept = LogLines(wanted.lines, wanted.skipped, None, wanted.contains)
    heading = f"The end of the log, as kept in the task's record ({reason}){kept.description}"
    if wanted.since is not None:
        heading += "; its lines have no times, so those of earlier are here too"
    return _answer(task, lines, kept, heading, "record", {"message": reason})


def _answer(
    task: LongTask, lines: list[str], wanted: LogLines, heading: str, source: str, extra: dict[str, Any]
) -> Answer:
    """`lines` are those wanted, and the skipped ones after them."""
    chosen = lines[: len(lines) - wanted.skipped][-wanted.lines :] if wanted.skipped < len(lines) else []
    shown = _fitting(chosen)
    cut, text = len(chosen) - len(shown), "".join(shown)
    following: dict[str, Any] = {}
    if cut and wanted.skipped + len(shown) <= MAX_SKIPPED_LINES:
        arguments = wanted.arguments | {"tail_lines": cut, "skip_lines": wanted.skipped + len(shown)}
        following = {"next": step(task, "get_task_logs", **arguments)}
        heading += (
            f"; {cut} lines before these are left out: call get_task_logs with tail_lines={cut}, "
            f"skip_lines={arguments['skip_lines']} and otherwise the same arguments"
        )
    elif cut:
        heading += f"; {cut} lines before these are left out: narrow it with grep or since"
    if wanted.skipped:
        heading += f"; {wanted.skipped} lines after these are skipped"
    selected = {key: value for key, value in wanted.arguments.items() if key in ("since", "grep")}
    counted = {"skipped_lines": wanted.skipped or None, "cut_lines": cut or None}
    content = _content(task, source, {**extra, **selected, **counted, "text": text}) | following
    if text:
        return Answer(f"{heading}:\n{text}", content)
    nothing = "no such line" if wanted.description or wanted.skipped else "nothing was written yet"
    return Answer(f"{heading}: {nothing}.", content)


def _whole_lines(text: str) -> list[str]:
    """The lines with their ends; only a line feed ends one, as for whoever counted them."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _fitting(lines: list[str]) -> list[str]:
    """As many of the last lines as fit into an answer; of a last line that does not, its end."""
    room, first = MAX_LOG_BYTES, len(lines)
    while first and (room := room - len(lines[first - 1].encode())) >= 0:
        first -= 1
    if lines and first == len(lines):
        return [f"...{lines[-1].encode()[3 - MAX_LOG_BYTES :].decode(errors='ignore')}"]
    return lines[first:]


def _moment(text: str, now: datetime) -> datetime:
    """The time that a duration or an instant names. Raises BadArguments."""
    if (span := SPAN.fullmatch(text.strip().lower())) is not None:
        try:
            return now - timedelta(**{UNITS[span[2]]: int(span[1])})
        except OverflowError:
            return datetime.fromtimestamp(0, UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadArguments(
            Problem(
                "since",
                "must be a duration such as 90s, 15m, 2h or 1d, or a time such as 2026-11-22T10:00:00Z, not "
                f"{quoted(text)}",
            )
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _content(task: LongTask, source: str, extra: dict[str, Any]) -> dict[str, Any]:
    """`source` is live, pod (its container has ended), record (the kept tail) or none."""
    kept = {key: value for key, value in extra.items() if value is not None}
    return {"task_id": task.metadata.uid, "status": status_word(task), "source": source, **kept}
