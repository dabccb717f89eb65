"""A LongTask as a task of the MCP Tasks extension (SEP-2663, protocol 2026-07-28). Pure.

The objects are dicts: a model of the SDK would leave `ttlMs` out where it is null, and the protocol requires it.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from longtask_api.base import rfc3339
from longtask_api.longtask import LongTask
from longtask_api.reports import InputRequest, json_or_text
from longtask_mcp.contract import questions
from longtask_mcp.contract.answers import Answer, going
from longtask_mcp.contract.errors import BadArguments, Problem
from longtask_mcp.contract.known import KnownTask, as_known
from longtask_mcp.contract.progress_text import going_on
from longtask_mcp.contract.task_status import age, created, shortened, status_word, time_left

FAST_SECONDS = 2
"""Interval of polls for a task that is starting or ending, in seconds."""
POLL_SECONDS = 5, 60
"""Shortest and longest interval for one that runs."""
STARTING = timedelta(minutes=1)
MESSAGE_CHARACTERS = 1000
WRAPPED = "answer"
"""Name of the only field of a form whose answer is not itself an object of such fields."""
KEYWORDS: Mapping[str, tuple[str, ...]] = {
    "string": ("minLength", "maxLength"),
    "number": ("minimum", "maximum"),
    "integer": ("minimum", "maximum"),
    "boolean": (),
}
"""Keywords that a field of a form may have, besides title, description, default, format and enum (PrimitiveSchema)."""
FORMATS = ("email", "uri", "date", "date-time")
TEXTS = ("title", "description")
OBJECT = frozenset({"type", "properties", "required", "additionalProperties", "$schema", *TEXTS})
"""Keywords of an object that a form can show, or that its fields imply."""


def created_task(task: LongTask, now: datetime, elicits: bool, note: str | None = None) -> dict[str, Any]:
    """The CreateTaskResult of a start; `note` replaces the status message.

    It is never final: the outcome of a task that an earlier start created may not be readable now.
    """
    told = {"resultType": "task", **_base(task, now, elicits)}
    if task.is_terminal:
        told |= {"status": "working", "ttlMs": None}
    return told if note is None else told | {"statusMessage": _short(note)}


def unfinished_task(task: LongTask, now: datetime, elicits: bool, notes: str = "") -> dict[str, Any]:
    """The GetTaskResult of a task that has not ended; `notes` are added to its status message.

    `elicits`: the client can show forms. For any other, a task that asks is `working`: some clients fail on a question
    that they cannot show, and then cancel the task.
    """
    told = {"resultType": "complete", **_base(task, now, elicits)}
    if told["status"] == "input_required":
        told["inputRequests"] = {each.id: _request(each) for each in questions.open_questions(task)}
    return told | {"statusMessage": _short(f"{_message(task, now, elicits)}{notes}")}


def unread_task(task: LongTask, now: datetime, why: str) -> dict[str, Any]:
    """The GetTaskResult of an ended task whose outcome cannot be read now: for the client it goes on."""
    told = {"resultType": "complete", **_base(task, now, elicits=False)}
    return told | {"status": "working", "statusMessage": _short(why), "ttlMs": None}


def ended_task(task: LongTask, now: datetime, outcome: Answer | None, archived: bool) -> dict[str, Any]:
    """The GetTaskResult of an ended task; `outcome` is the answer of get_task_results, None if it was cancelled.

    Work that failed is `completed` with a result that is an error: `failed` is for errors of the protocol.
    """
    told = {"resultType": "complete", **_base(task, now, elicits=False)}
    if archived:
        told["ttlMs"] = None
    if outcome is not None:
        told["result"] = {
            "resultType": "complete",
            "content": [{"type": "text", "text": outcome.text}],
            "structuredContent": outcome.envelope,
            "isError": status_word(task) != "completed",
        }
    return told


def poll_seconds(task: LongTask, now: datetime) -> int:
    """When a program should look at the task again, in seconds: often enough to see it before it is deleted."""
    if task.is_terminal or task.spec.cancel_requested:
        return FAST_SECONDS
    if status_word(task) == "started" and age(task, now) < STARTING:
        return FAST_SECONDS
    shortest, longest = POLL_SECONDS
    left, kept = time_left(task, now) or age(task, now) / 10, as_known(task).kept_seconds
    wanted = min(longest, max(shortest, left.total_seconds()))
    return int(wanted if kept is None else max(FAST_SECONDS, min(wanted, kept / 2)))


def form(question: InputRequest) -> dict[str, Any]:
    """The schema of the form for a question: a flat object of fields, as elicitation requires. It never changes.

    An answer that is such an object is asked for as it is. Any other is the field `answer`: of its own type if that is
    a single one, else the answer's JSON as text.
    """
    schema = questions.schema(question)
    fields = _fields(schema)
    if fields is not None:
        return {"type": "object", "properties": fields, "required": list(schema.get("required", []))}
    field = _field(schema) or _json_field(schema)
    default = json_or_text(question.default) if question.default is not None else None
    if _may_be(field, default):
        field.setdefault("default", default)
    return {"type": "object", "properties": {WRAPPED: field}, "required": [WRAPPED]}


def answer_in(question: InputRequest, response: Any) -> tuple[bool, Any]:
    """Whether a response (ElicitResult) accepts the question, and the answer in it. Raises BadArguments."""
    action = response.get("action") if isinstance(response, Mapping) else None
    if action not in ("accept", "decline", "cancel"):
        raise BadArguments(Problem("inputResponses", f"that of {question.id} has no action accept, decline or cancel"))
    if action != "accept":
        return False, None
    content = response.get("content")
    if not isinstance(content, Mapping):
        raise BadArguments(Problem("inputResponses", f"that of {question.id} has no content"))
    schema = questions.schema(question)
    if _fields(schema) is not None:
        required = schema.get("required", [])
        return True, {name: value for name, value in content.items() if value is not None or name in required}
    if WRAPPED not in content:
        raise BadArguments(Problem("inputResponses", f"the content of {question.id} has no field {WRAPPED!r}"))
    given = content[WRAPPED]
    is_json = bool(schema) and _field(schema) is None and isinstance(given, str)
    return True, json_or_text(given) if is_json else given


def _base(task: LongTask, now: datetime, elicits: bool) -> dict[str, Any]:
    """The fields of every Task. lastUpdatedAt is the latest time in the object, so it does not depend on a replica."""
    known = as_known(task)
    return {
        "taskId": task.metadata.uid,
        "status": _status(task, elicits),
        "statusMessage": _short(going(task, now)),
        "createdAt": rfc3339(created(task)),
        "lastUpdatedAt": rfc3339(known.updated_time),
        "ttlMs": _ttl(known),
        "pollIntervalMs": poll_seconds(known, now) * 1000,
    }


def _message(task: LongTask, now: datetime, elicits: bool) -> str:
    """For clients without forms with the call that answers."""
    return going(task, now) if elicits or not questions.open_questions(task) else going_on(task, now)


def _short(text: str) -> str:
    return shortened(text, MESSAGE_CHARACTERS)


def _status(task: LongTask, elicits: bool) -> str:
    match status_word(task):
        case "completed" | "failed":
            return "completed"
        case "cancelled":
            return "cancelled"
    return "input_required" if elicits and questions.open_questions(task) else "working"


def _ttl(task: KnownTask) -> int | None:
    """From creation until the object is deleted, in milliseconds; None while the task goes on, or if unknown."""
    end = task.status.completion_time
    if not task.is_terminal or task.kept_seconds is None or end is None:
        return None
    return max(1, int((end - created(task)).total_seconds() + task.kept_seconds) * 1000)


def _request(question: InputRequest) -> dict[str, Any]:
    params = {"mode": "form", "message": question.message, "requestedSchema": form(question)}
    return {"method": "elicitation/create", "params": params}


def _fields(schema: Mapping[str, Any]) -> dict[str, dict[str, Any]] | None:
    """The fields of an object that a form can show; None for any other schema."""
    properties, required = schema.get("properties"), schema.get("required", [])
    if schema.get("type") != "object" or not isinstance(properties, Mapping) or not properties:
        return None
    if not isinstance(required, list) or schema.keys() - OBJECT:
        return None
    fields = {name: field for name, child in properties.items() if (field := _field(child)) is not None}
    return fields if fields.keys() == properties.keys() and all(each in fields for each in required) else None


def _field(schema: Any) -> dict[str, Any] | None:
    """A field of a form, whose description has what forms cannot express; None for a schema that is not of one scalar
    type, or of an enum of other values than text.
    """
    type_ = schema.get("type") if isinstance(schema, Mapping) else None
    if not isinstance(type_, str) or type_ not in KEYWORDS:
        return None
    keywords = KEYWORDS[type_]
    values = schema.get("enum")
    if isinstance(values, list) and type_ == "string" and all(isinstance(each, str) for each in values):
        keywords = (*keywords, "enum")
    elif values is not None:
        return None
    if type_ == "string" and schema.get("format") in FORMATS:
        keywords = (*keywords, "format")
    field = {"type": type_, **{key: schema[key] for key in (*TEXTS, *keywords) if key in schema}}
    if _may_be(field, schema.get("default")):
        field["default"] = schema["default"]
    return field if not schema.keys() - {"type", "default", *TEXTS, *keywords} else field | _described(schema)


def _json_field(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A field for any JSON, or for text if there is no schema."""
    return {"type": "string", **(_described(schema) if schema else {})}


def _described(schema: Mapping[str, Any]) -> dict[str, Any]:
    told = schema.get("description")
    rule = f"JSON that fits {json.dumps(schema, ensure_ascii=False)}"
    return {"description": f"{told} ({rule})" if isinstance(told, str) else rule}


def _may_be(field: Mapping[str, Any], value: Any) -> bool:
    """Whether a value can be the default of a field."""
    if "enum" in field:
        return value in field["enum"]
    match value:
        case bool():
            return bool(field["type"] == "boolean")
        case int():
            return field["type"] in ("integer", "number")
        case float():
            return bool(field["type"] == "number")
    return isinstance(value, str) and field["type"] == "string"
