"""Models of the tools' arguments: parsed, validated, and published to agents as flat JSON Schemas. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from longtask_api.reports import json_or_text
from longtask_mcp.contract.errors import BadArguments, Problem
from longtask_mcp.contract.shown import ANY
from longtask_mcp.contract.task_status import shortened

MAX_WAIT_SECONDS = 50
"""Clients time out a call after 60 seconds."""
MAX_LOG_LINES = 2000
MAX_SKIPPED_LINES = 3000
MAX_LISTED = 100
MAX_CURSOR = 4096
MAX_PAGES = 10**9
SHOWN_CHARACTERS = 100
QUOTES = " \t\r\n\"'`"
"""Characters that language models put around ids."""


def _bare(given: Any) -> Any:
    return given.strip(QUOTES) if isinstance(given, str) else given


def _folded(given: Any) -> Any:
    return _bare(given).lower() if isinstance(given, str) else given


def _template(given: Any) -> Any:
    """Template names have no underscore: `model_training` is the tool of `model-training`."""
    return _folded(given).replace("_", "-") if isinstance(given, str) else given


def _spelt(given: Any) -> Any:
    """Decodes an object that was sent as JSON text, as some clients do."""
    read = json_or_text(given) if isinstance(given, str) else given
    return read if isinstance(read, dict) else given


def _spelt_list(given: Any) -> Any:
    """Decodes a list that was sent as text: as JSON, or separated by commas or spaces. An empty list means none."""
    read = json_or_text(given) if isinstance(given, str) else given
    return (re.findall(r"[^\s,]+", read) if isinstance(read, str) else read) or None


TaskId = Annotated[
    str,
    Field(min_length=1, max_length=256, description="The task ID that the start answered with."),
    BeforeValidator(_folded),
]
Wait = Annotated[
    float,
    Field(
        ge=0,
        le=MAX_WAIT_SECONDS,
        allow_inf_nan=False,
        description="How long to wait for the end, in seconds; the work goes on however long you wait. "
        "0 answers at once with the task ID, which is best for long work.",
    ),
]
Key = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=128,
        description="Your own name for this start. Starting again under it within 24 hours gives the same task "
        "instead of a second one. Pass a new one to run the same work again on purpose.",
    ),
]


class Arguments(BaseModel):
    """Base of the arguments of one tool; unknown arguments are an error.

    null or blank text for an optional argument counts as omitted, because some clients fill in every argument of a
    schema. Quotes and spaces around ids are stripped; task ids and template names are lower-cased.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_what_says_nothing(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        optional = {name for name, known in cls.model_fields.items() if not known.is_required()}
        return {key: value for key, value in given.items() if key not in optional or not _says_nothing(key, value)}


class ListTemplates(Arguments):
    """Arguments of list_templates."""

    cursor: Annotated[
        str | None,
        Field(max_length=253, description="Where to go on: the cursor of the previous answer."),
        BeforeValidator(_template),
    ] = None


class Reserved(Arguments):
    """Arguments of every template's tool, in addition to the template's parameters."""

    wait_seconds: Wait = 0
    idempotency_key: Key = None


class StartTask(Reserved):
    """Arguments of start_task."""

    template: Annotated[
        str,
        Field(min_length=1, max_length=253, description="Name of the template to start."),
        BeforeValidator(_template),
    ]
    parameters: Annotated[
        dict[str, Any],
        Field(description="The work's parameters, as list_templates describes them."),
        BeforeValidator(_spelt),
    ] = {}


class OneTask(Arguments):
    """A task id, alone or as the base of other arguments."""

    task_id: TaskId


class GetResults(OneTask):
    """Arguments of get_task_results."""

    page: Annotated[int, Field(ge=1, le=MAX_PAGES, description="Part of a large result, counted from 1.")] = 1
    artifact: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=253,
            description="Name of an artifact to read instead of the result, if it is text.",
        ),
    ] = None


class RerunTask(Reserved, OneTask):
    """Arguments of rerun_task."""

    parameters: Annotated[
        dict[str, Any],
        Field(
            description="Parameters to change, by name: those given here replace the earlier task's, and all others "
            "stay as they were."
        ),
        BeforeValidator(_spelt),
    ] = {}
    from_checkpoint: Annotated[
        bool,
        Field(
            description="Go on from the last checkpoint that the earlier task saved, instead of beginning anew. It is "
            "refused if there is none."
        ),
    ] = False


class AnswerTask(OneTask):
    """Arguments of answer_task."""

    answer: Annotated[
        Any,
        Field(
            description="The answer: a JSON value that fits the schema of the question, or its JSON text.",
            json_schema_extra={"anyOf": ANY},
        ),
    ]
    question_id: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=64,
            description="Which question. May be left out as long as the task has asked one question only.",
        ),
        BeforeValidator(_bare),
    ] = None


class WaitForTask(OneTask):
    """Arguments of wait_for_task."""

    timeout_seconds: Annotated[
        float, Field(ge=0, le=MAX_WAIT_SECONDS, allow_inf_nan=False, description="How long to wait, in seconds.")
    ] = MAX_WAIT_SECONDS


class WaitAny(Arguments):
    """Arguments of wait_any."""

    cursor: Annotated[
        str | None,
        Field(
            max_length=MAX_CURSOR,
            description="Where to go on: the cursor of the previous answer. Without it you get what is open now, and "
            "what ended a moment ago.",
        ),
        BeforeValidator(_bare),
    ] = None
    task_ids: Annotated[
        list[TaskId] | None,
        Field(max_length=MAX_LISTED, description="Only these tasks; all of yours if it is left out."),
        BeforeValidator(_spelt_list),
    ] = None
    timeout_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=MAX_WAIT_SECONDS,
            allow_inf_nan=False,
            description="How long to wait if there is no news, in seconds.",
        ),
    ] = MAX_WAIT_SECONDS
    all_sessions: Annotated[
        bool, Field(description="Everything that was started for you, not only in this conversation.")
    ] = False


class GetLogs(OneTask):
    """Arguments of get_task_logs."""

    tail_lines: Annotated[
        int, Field(ge=1, le=MAX_LOG_LINES, description="How many lines, counted from the end of the log.")
    ] = 200
    since: Annotated[
        str | None,
        Field(
            max_length=64,
            description="Only lines written since then: a duration back from now (90s, 15m, 2h, 1d) or a time "
            "(2026-11-22T10:00:00Z).",
        ),
        BeforeValidator(_bare),
    ] = None
    grep: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=200,
            description="Only lines that contain this text. It is plain text, not a pattern, and capitals do not "
            "matter.",
        ),
    ] = None
    skip_lines: Annotated[
        int,
        Field(
            ge=0,
            le=MAX_SKIPPED_LINES,
            description="How many lines to leave out at the end of the log, to read those before them.",
        ),
    ] = 0


class ListTasks(Arguments):
    """Arguments of list_tasks."""

    status: Annotated[
        Literal["started", "running", "input_required", "completed", "failed", "cancelled"] | None,
        Field(description="Only tasks with this status."),
        BeforeValidator(_folded),
    ] = None
    template: Annotated[
        str | None, Field(max_length=253, description="Only tasks of this template."), BeforeValidator(_template)
    ] = None
    limit: Annotated[int, Field(ge=1, le=MAX_LISTED, description="How many tasks to show.")] = 20
    cursor: Annotated[
        str | None,
        Field(max_length=MAX_CURSOR, description="Where to go on: the cursor of the previous answer."),
        BeforeValidator(_bare),
    ] = None
    include_archived: Annotated[
        bool, Field(description="Also those that ended so long ago that only their record is left; they come last.")
    ] = False


class ResumeBrief(Arguments):
    """Arguments of resume_brief."""

    all_sessions: Annotated[
        bool, Field(description="Everything that was started for you, not only in this conversation.")
    ] = False


A = TypeVar("A", bound=Arguments)

MAX_PROBLEMS = 20
NAMES = frozenset({"idempotency_key", "template", "artifact", "question_id"})
WANTED = {
    "string": "a string",
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "dict": "a JSON object",
}
"""The expected type in JSON terms, by the prefix of pydantic's error type."""


def read(model: type[A], arguments: Mapping[str, Any]) -> A:
    """Validates the arguments as `model`. Raises BadArguments, which lists up to MAX_PROBLEMS problems."""
    try:
        return model.model_validate(arguments)
    except ValidationError as error:
        problems = [
            Problem(shortened(".".join(str(part) for part in each["loc"]), SHOWN_CHARACTERS), _problem(model, each))
            for each in error.errors(include_url=False)
        ]
        raise BadArguments(*problems[:MAX_PROBLEMS]) from error


def schema(model: type[Arguments]) -> dict[str, Any]:
    """The model as a JSON Schema object without titles, references or null branches."""
    properties = {}
    document = model.model_json_schema()
    for name, prop in document.get("properties", {}).items():
        branches = [branch for branch in prop.get("anyOf", []) if branch != {"type": "null"}]
        kept = {key: value for key, value in prop.items() if key not in {"title", "anyOf"}}
        kept |= branches[0] if len(branches) == 1 else {"anyOf": branches} if branches else {}
        if kept.get("default", 0) is None:
            del kept["default"]
        properties[name] = kept
    required = {"required": document["required"]} if "required" in document else {}
    return {"type": "object", "properties": properties, **required, "additionalProperties": False}


def _says_nothing(key: str, value: Any) -> bool:
    """Whether a value counts as omitted. Some clients send null as text; for NAMES that may be a real value."""
    return value is None or (
        isinstance(value, str) and (not value.strip() or (value.strip() == "null" and key not in NAMES))
    )


def _problem(model: type[Arguments], error: ErrorDetails) -> str:
    """Describes a validation error in JSON terms."""
    limits, given = error.get("ctx", {}), error["input"]
    match error["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return f"no such argument; allowed are {', '.join(model.model_fields) or 'none'}"
        case "literal_error":
            allowed = str(limits["expected"]).replace("'", '"')
            return f"must be {allowed}, not {_shown(given)}"
        case "string_too_short":
            return "must not be empty"
        case "string_too_long":
            return f"has {len(given)} characters; at most {limits['max_length']} are allowed"
        case "greater_than_equal":
            return f"must be at least {limits['ge']:g}, not {_shown(given)}"
        case "less_than_equal":
            return f"must be at most {limits['le']:g}, not {_shown(given)}"
        case kind:
            wanted = next((words for start, words in WANTED.items() if kind.startswith(start)), None)
            return f"must be {wanted}, not {_shown(given)}" if wanted is not None else error["msg"]


def _shown(given: Any) -> str:
    """The value as shortened JSON; arrays and objects are only named by their type."""
    if isinstance(given, dict):
        return "an object"
    if isinstance(given, list):
        return "an array"
    return shortened(json.dumps(given, ensure_ascii=False), SHOWN_CHARACTERS)
