"""Lists of tasks and of templates, as agents read them. Pure."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from longtask_api import names
from longtask_api.base import rfc3339
from longtask_api.longtask import LongTask
from longtask_api.template import LongTaskTemplate
from longtask_mcp.contract import arguments
from longtask_mcp.contract.answers import Answer, going
from longtask_mcp.contract.catalogue import not_ready_reason
from longtask_mcp.contract.errors import BadArguments
from longtask_mcp.contract.facts import age, duration, status_word
from longtask_mcp.contract.questions import entry, open_questions

Position = tuple[datetime, str]


def task_list(tasks: Iterable[LongTask], wanted: arguments.ListTasks, now: datetime) -> Answer:
    """One page of the caller's tasks, newest first. Raises BadArguments for a cursor that is none."""
    chosen = [
        task
        for task in sorted(tasks, key=_position, reverse=True)
        if wanted.status in (None, status_word(task)) and wanted.template in (None, task.spec.template_ref.name)
    ]
    if wanted.cursor is not None:
        after = _read_cursor(wanted.cursor)
        chosen = [task for task in chosen if _position(task) < after]
    shown, more = chosen[: wanted.limit], max(0, len(chosen) - wanted.limit)
    content: dict[str, Any] = {"tasks": [_task_entry(task, now) for task in shown], "more": more}
    lines = [_task_line(task, now) for task in shown]
    if more:
        content["cursor"] = _cursor(shown[-1])
        lines.append(f"{more} more: call list_tasks with cursor={content['cursor']!r}.")
    filtered = " like that" if wanted.status or wanted.template or wanted.cursor else ""
    return Answer("\n".join(lines) or f"You have no tasks{filtered}.", content)


def template_list(templates: Iterable[LongTaskTemplate]) -> Answer:
    """Every template: what can be started, and what cannot and why."""
    ordered = sorted(templates, key=lambda each: each.metadata.name)
    ready = [_template_entry(each) for each in ordered if each.is_ready]
    unready = [
        {"template": each.metadata.name, "reason": not_ready_reason(each)} for each in ordered if not each.is_ready
    ]
    lines = [_template_lines(entry) for entry in ready]
    lines += [f"{entry['template']}: not available: {entry['reason']}" for entry in unready]
    content: dict[str, Any] = {"templates": ready} | ({"not_available": unready} if unready else {})
    return Answer("\n".join(lines) or "There are no templates yet.", content)


def _template_entry(template: LongTaskTemplate) -> dict[str, Any]:
    return {
        "template": template.metadata.name,
        "tool": names.tool_name(template.metadata.name),
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
    questions = [entry(each) for each in open_questions(task)]
    return {
        "task_id": task.metadata.uid,
        "name": task.metadata.name,
        "template": task.spec.template_ref.name,
        "status": status_word(task),
        "summary": going(task, now),
        "created_at": rfc3339(_position(task)[0]),
        **({"questions": questions} if questions else {}),
    }


def _task_line(task: LongTask, now: datetime) -> str:
    return (
        f"{task.metadata.uid} {task.spec.template_ref.name}: {going(task, now)}; created {duration(age(task, now))} ago"
    )


def _position(task: LongTask) -> Position:
    return task.metadata.creation_timestamp or datetime.fromtimestamp(0, UTC), task.metadata.uid


def _cursor(task: LongTask) -> str:
    created, uid = _position(task)
    return f"{int(created.timestamp())}.{uid}"


def _read_cursor(cursor: str) -> Position:
    seconds, _, uid = cursor.partition(".")
    try:
        return datetime.fromtimestamp(int(seconds), UTC), uid
    except (ValueError, OverflowError, OSError) as error:
        raise BadArguments("cursor: not one that list_tasks gave; leave it out to begin with the newest") from error
