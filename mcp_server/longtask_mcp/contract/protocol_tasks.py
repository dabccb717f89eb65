"""A LongTask as a task of the MCP Tasks extension (SEP-2663, protocol 2026-07-28). Pure.

The objects are dicts: a model of the SDK would leave `ttlMs` out where it is null, and the protocol requires it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from longtask_api.base import rfc3339, rfc3339_milliseconds
from longtask_api.longtask import LongTask
from longtask_api.reports import InputRequest, json_or_text
from longtask_mcp.contract import questions
from longtask_mcp.contract.answers import Answer, going
from longtask_mcp.contract.errors import BadArguments
from longtask_mcp.contract.known import as_known
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


def created_task(task: LongTask, now: datetime, elicits: bool) -> dict[str, Any]:
    """The CreateTaskResult of a start."""
    return {"resultType": "task", **_base(task, now, elicits)}


def unfinished_task(task: LongTask, now: datetime, elicits: bool, message: str | None = None) -> dict[str, Any]:
    """The GetTaskResult of a task without an outcome to show; `message` replaces its status message.

    `elicits`: the client can show forms. For any other, a task that asks is `working`: some clients fail on a question
    that they cannot show, and then cancel the task.
    """
    told = _complete(task, now, elicits, message)
    if told["status"] == "input_required":
        told["inputRequests"] = {each.id: _request(each) for each in questions.told(task)[0]}
    return told


def unread_task(task: LongTask, now: datetime, why: str) -> dict[str, Any]:
    """The GetTaskResult of an ended task whose outcome cannot be read now: for the client it goes on."""
    return {**_complete(task, now, elicits=False, message=why), "status": "working", "ttlMs": None}


def ended_task(task: LongTask, now: datetime, outcome: Answer | None, archived: bool) -> dict[str, Any]:
    """The GetTaskResult of an ended task; `outcome` is the answer of get_task_results, None if it was cancelled.

    Work that failed is `completed` with a result that is an error: `failed` is for errors of the protocol.
    """
    told = _complete(task, now, elicits=False, message=None)
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
    """When a program should look at the task again, in seconds."""
    if task.is_terminal or task.spec.cancel_requested:
        return FAST_SECONDS
    if status_word(task) == "started" and age(task, now) < STARTING:
        return FAST_SECONDS
    shortest, longest = POLL_SECONDS
    left = time_left(task, now) or age(task, now) / 10
    return int(min(longest, max(shortest, left.total_seconds())))


def form(question: InputRequest) -> dict[str, Any]:
    """The schema of the form for a question: a flat object of fields, as elicitation requires. It never changes.

    An answer that is such an object is asked for as it is. Any other is the field `answer`: of its own type if that is
    a single one, else the answer's JSON as text.
    """
    schema = questions.schema(question)
    fields = _fields(schema)
    if fields is not None:
        return {"type": "object", "properties": fields, "required": list(schema.get("required", []))}
    field = _field(schema)
    if field is None:
        field = {"type": "string"}
        if schema:
            field["description"] = f"JSON that fits {question.answer_schema}"
    default = json_or_text(question.default) if question.default is not None else None
    if default is not None and _is_of(field["type"], default):
        field.setdefault("default", default)
    return {"type": "object", "properties": {WRAPPED: field}, "required": [WRAPPED]}


def answer_in(question: InputRequest, response: Any) -> tuple[bool, Any]:
    """Whether a response (ElicitResult) accepts the question, and the answer in it. Raises BadArguments."""
    action = response.get("action") if isinstance(response, Mapping) else None
    if action not in ("accept", "decline", "cancel"):
        raise BadArguments(f"inputResponses: that of {question.id} has no action accept, decline or cancel")
    if action != "accept":
        return False, None
    content = response.get("content")
    if not isinstance(content, Mapping):
        raise BadArguments(f"inputResponses: that of {question.id} has no content")
    if _fields(questions.schema(question)) is not None:
        return True, dict(content)
    if WRAPPED not in content:
        raise BadArguments(f"inputResponses: the content of {question.id} has no field {WRAPPED!r}")
    return True, content[WRAPPED]


def _complete(task: LongTask, now: datetime, elicits: bool, message: str | None) -> dict[str, Any]:
    told = {"resultType": "complete", **_base(task, now, elicits)}
    return told if message is None else told | {"statusMessage": shortened(message, MESSAGE_CHARACTERS)}


def _base(task: LongTask, now: datetime, elicits: bool) -> dict[str, Any]:
    """The fields of every Task. lastUpdatedAt is the latest time in the object, so it does not depend on a replica."""
    return {
        "taskId": task.metadata.uid,
        "status": _status(task, elicits),
        "statusMessage": shortened(going(task, now), MESSAGE_CHARACTERS),
        "createdAt": rfc3339(created(task)),
        "lastUpdatedAt": rfc3339_milliseconds(as_known(task).updated_time),
        "ttlMs": _ttl(task),
        "pollIntervalMs": poll_seconds(task, now) * 1000,
    }


def _status(task: LongTask, elicits: bool) -> str:
    match status_word(task):
        case "completed" | "failed":
            return "completed"
        case "cancelled":
            return "cancelled"
    return "input_required" if elicits and questions.open_questions(task) else "working"


def _ttl(task: LongTask) -> int | None:
    """From creation until the object is deleted, in milliseconds; None while the task goes on, or if unknown."""
    kept, end = as_known(task).kept_seconds, task.status.completion_time
    if not task.is_terminal or kept is None or end is None:
        return None
    return max(1, int((end - created(task)).total_seconds() + kept) * 1000)


def _request(question: InputRequest) -> dict[str, Any]:
    params = {"mode": "form", "message": question.message, "requestedSchema": form(question)}
    return {"method": "elicitation/create", "params": params}


def _fields(schema: Mapping[str, Any]) -> dict[str, dict[str, Any]] | None:
    """The fields of an object that a form can show; None for any other schema."""
    properties = schema.get("properties")
    if schema.get("type") != "object" or not isinstance(properties, Mapping) or not properties:
        return None
    fields = {name: field for name, child in properties.items() if (field := _field(child)) is not None}
    return fields if fields.keys() == properties.keys() and fields.keys() >= set(schema.get("required", [])) else None


def _field(schema: Any) -> dict[str, Any] | None:
    """A field of a form; None for a schema that is not of one scalar type, or of an enum of other values than text."""
    type_ = schema.get("type") if isinstance(schema, Mapping) else None
    if not isinstance(type_, str) or type_ not in KEYWORDS:
        return None
    values = schema.get("enum", [])
    if values and not (type_ == "string" and all(isinstance(each, str) for each in values)):
        return None
    keys = ("title", "description", *KEYWORDS[type_], *(["enum"] if values else []))
    field = {"type": type_, **{key: schema[key] for key in keys if key in schema}}
    if type_ == "string" and schema.get("format") in FORMATS:
        field["format"] = schema["format"]
    if _is_of(type_, schema.get("default")):
        field["default"] = schema["default"]
    return field


def _is_of(type_: str, value: Any) -> bool:
    match value:
        case bool():
            return type_ == "boolean"
        case int():
            return type_ in ("integer", "number")
        case float():
            return type_ == "number"
    return isinstance(value, str) and type_ == "string"
