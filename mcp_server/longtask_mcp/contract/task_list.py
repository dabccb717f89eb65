"""Lists of tasks and of templates as shown to agents. Pure."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from longtask_api import constants
from longtask_api.base import rfc3339
from longtask_api.durations import duration
from longtask_api.longtask import LongTask
from longtask_api.template import LongTaskTemplate
from longtask_mcp.contract import arguments, memory
from longtask_mcp.contract.answers import Answer, going
from longtask_mcp.contract.errors import BadArguments, Problem
from longtask_mcp.contract.own import OwnTasks, Position
from longtask_mcp.contract.questions import listed
from longtask_mcp.contract.task_status import age, created, shortened, status_word
from longtask_mcp.contract.tool_definitions import not_ready_reason

AGAIN_SECONDS = 30
MAX_TEMPLATES = 20_000
"""Characters of the templates in one answer; a longer one is alone."""
SUMMARY_CHARACTERS = 400
ARCHIVED = "archived:"
"""Prefix of cursors into the archive; the archive's own cursor follows."""


@dataclass(frozen=True)
class Shown:
    """One page of tasks; `more` are left in the cluster, `cursor` is where the next page begins."""

    tasks: list[LongTask]
    archived: list[LongTask] = field(default_factory=list)
    more: int = 0
    cursor: str | None = None
    problem: str | None = None
    """Why the archive could not be read further."""
    notes: list[str] = field(default_factory=list)
    """What the archive has and does not list."""


def in_cluster(own: OwnTasks, wanted: arguments.ListTasks) -> Shown:
    """A page of the tasks that are in the cluster. Raises BadArguments for an invalid cursor."""
    before = _read_cursor(wanted.cursor) if wanted.cursor is not None else None
    shown, more = own.page(wanted.template, wanted.status, before, wanted.limit)
    return Shown(shown, more=more, cursor=_cursor(shown[-1]) if more else None)


def is_wanted(task: LongTask, wanted: arguments.ListTasks) -> bool:
    """Whether a task matches the filters."""
    return wanted.status in (None, status_word(task)) and wanted.template in (None, task.spec.template_ref.name)


def bad_cursor() -> BadArguments:
    """The error for a cursor that list_tasks did not issue."""
    return BadArguments(Problem("cursor", "not one that list_tasks gave; leave it out to begin with the newest"))


def archive_cursor(cursor: str | None) -> str | None:
    """The cursor for the archive: empty at its beginning; None if the cursor is not one of the archive."""
    return cursor.removeprefix(ARCHIVED) if cursor is not None and cursor.startswith(ARCHIVED) else None


def answer(shown: Shown, wanted: arguments.ListTasks, now: datetime) -> Answer:
    """One page as shown to an agent."""
    content: dict[str, Any] = {
        "tasks": [_task_entry(task, now) for task in shown.tasks]
        + [_task_entry(task, now) | {"archived": True} for task in shown.archived],
        "more": shown.more,
    }
    lines = [_task_line(task, now) for task in shown.tasks]
    lines += [f"{_task_line(task, now)} (archived)" for task in shown.archived]
    if not lines and shown.cursor is None:
        filtered = " like that" if wanted.status or wanted.template or wanted.cursor else ""
        lines.append(f"You have no tasks{filtered}.")
    if shown.notes:
        content["archive_notes"] = shown.notes
        lines += [f"Archived tasks: {note.rstrip('.')}." for note in shown.notes]
    if shown.problem is not None:
        content["archive_problem"] = shown.problem
        again = "" if shown.cursor is None else " now"
        lines.append(f"Archived tasks cannot be listed{again}: {shown.problem.rstrip('.')}.")
    if shown.cursor is not None:
        content["cursor"] = shown.cursor
        archive = "include_archived=true, " if wanted.include_archived else ""
        what = f"{shown.more} more" if shown.more else "Archived ones" if not shown.archived else "More archived ones"
        when = f" in {AGAIN_SECONDS} s" if shown.problem is not None else ""
        lines.append(f"{what}: call list_tasks with {archive}cursor={shown.cursor!r}{when}.")
        content["next"] = {
            "tool": "list_tasks",
            "arguments": wanted.model_dump(exclude_defaults=True) | {"cursor": shown.cursor},
            "after_seconds": AGAIN_SECONDS if shown.problem is not None else 0,
        }
    return Answer("\n".join(lines), content)


def template_list(templates: Iterable[LongTaskTemplate], after: str | None = None) -> Answer:
    """The templates with names after `after`: those that can be started, and those that cannot, with the reason; at
    least one, and as many as fit into an answer.
    """
    chosen = (each for each in templates if after is None or each.metadata.name > after)
    ordered = sorted(chosen, key=lambda each: each.metadata.name)
    ready: list[dict[str, Any]] = []
    unready: list[dict[str, Any]] = []
    lines, refused, room = list[str](), list[str](), MAX_TEMPLATES
    for shown, each in enumerate(ordered):
        entry = _template_entry(each) if each.is_ready else _unready_entry(each)
        line = _template_lines(entry) if each.is_ready else f"{entry['template']}: not available: {entry['reason']}"
        room -= max(len(line), len(json.dumps(entry, ensure_ascii=False)))
        if room < 0 and shown:
            break
        (ready if each.is_ready else unready).append(entry)
        (lines if each.is_ready else refused).append(line)
    count = len(ready) + len(unready)
    content: dict[str, Any] = {"templates": ready} | ({"not_available": unready} if unready else {})
    lines += refused
    if count < len(ordered):
        cursor = ordered[count - 1].metadata.name
        lines.append(f"{len(ordered) - count} more: call list_templates with cursor={cursor!r}.")
        following = {"tool": "list_templates", "arguments": {"cursor": cursor}, "after_seconds": 0}
        content |= {"more": len(ordered) - count, "cursor": cursor, "next": following}
    return Answer("\n".join(lines) or "There are no templates yet.", content)


def _unready_entry(template: LongTaskTemplate) -> dict[str, Any]:
    return {"template": template.metadata.name, "reason": not_ready_reason(template)}


def _template_entry(template: LongTaskTemplate) -> dict[str, Any]:
    return {
        "template": template.metadata.name,
        "tool": constants.tool_name(template.metadata.name),
        "title": template.title,
        "description": template.spec.description,
        "parameters_schema": dict(template.spec.parameters_schema),
        "default_deadline_seconds": template.spec.active_deadline_seconds,
    }


def _template_lines(entry: dict[str, Any]) -> str:
    schema = json.dumps(entry["parameters_schema"], ensure_ascii=False)
    return (
        f"{entry['template']} (tool {entry['tool']}): {entry['title']}. {entry['description']}\n"
        f"  Ends after at most {entry['default_deadline_seconds']} s of work. Parameters: {schema}"
    )


def _task_entry(task: LongTask, now: datetime) -> dict[str, Any]:
    told = memory.state(task)
    return {
        "task_id": task.metadata.uid,
        "name": task.metadata.name,
        "template": task.spec.template_ref.name,
        "status": status_word(task),
        "summary": shortened(going(task, now), SUMMARY_CHARACTERS),
        "created_at": rfc3339(created(task)),
        **listed(task),
        **({"memory_state": told} if told is not None else {}),
    }


def _task_line(task: LongTask, now: datetime) -> str:
    return (
        f"{task.metadata.uid} {task.spec.template_ref.name}: {shortened(going(task, now), SUMMARY_CHARACTERS)}; "
        f"created {duration(age(task, now))} ago"
    )


def _cursor(task: LongTask) -> str:
    return f"{int(created(task).timestamp())}.{task.metadata.uid}"


def _read_cursor(cursor: str) -> Position:
    seconds, _, uid = cursor.partition(".")
    try:
        return datetime.fromtimestamp(int(seconds), UTC), uid
    except (ValueError, OverflowError, OSError) as error:
        raise bad_cursor() from error
