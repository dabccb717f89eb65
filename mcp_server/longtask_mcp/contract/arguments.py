"""The arguments of the tools, as models: read, checked, and shown to agents as flat JSON Schemas. Pure."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from longtask_mcp.contract.errors import BadArguments

MAX_WAIT_SECONDS = 50
"""Clients give up on a call after 60 seconds."""
MAX_LOG_LINES = 2000
MAX_LISTED = 100
MAX_CURSOR = 4096
MAX_PAGES = 10**9

TaskId = Annotated[str, Field(min_length=1, max_length=256, description="The task ID that the start answered with.")]
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
    """Arguments of one tool; unknown ones are an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Nothing(Arguments):
    """No arguments."""


class Reserved(Arguments):
    """What every template's tool takes beside the template's parameters."""

    wait_seconds: Wait = 0
    idempotency_key: Key = None


class StartTask(Reserved):
    """Arguments of start_task."""

    template: Annotated[str, Field(min_length=1, max_length=253, description="Name of the template to start.")]
    parameters: Annotated[
        dict[str, Any], Field(description="The work's parameters, as list_templates describes them.")
    ] = {}


class OneTask(Arguments):
    """A task."""

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


class AnswerTask(OneTask):
    """Arguments of answer_task."""

    answer: Annotated[Any, Field(description="The answer: any JSON value that fits the schema of the question.")]
    question_id: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=64,
            description="Which question; may be left out when exactly one is open.",
        ),
    ] = None


class WaitForTask(OneTask):
    """Arguments of wait_for_task."""

    timeout_seconds: Annotated[
        float, Field(ge=0, le=MAX_WAIT_SECONDS, allow_inf_nan=False, description="How long to wait, in seconds.")
    ] = MAX_WAIT_SECONDS


class GetLogs(OneTask):
    """Arguments of get_task_logs."""

    tail_lines: Annotated[
        int, Field(ge=1, le=MAX_LOG_LINES, description="How many lines, counted from the end of the log.")
    ] = 200


class ListTasks(Arguments):
    """Arguments of list_tasks."""

    status: Annotated[
        Literal["started", "running", "completed", "failed", "cancelled"] | None,
        Field(description="Only tasks with this status."),
    ] = None
    template: Annotated[str | None, Field(max_length=253, description="Only tasks of this template.")] = None
    limit: Annotated[int, Field(ge=1, le=MAX_LISTED, description="How many tasks to show.")] = 20
    cursor: Annotated[
        str | None, Field(max_length=MAX_CURSOR, description="Where to go on: the cursor of the previous answer.")
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


def read(model: type[A], arguments: Mapping[str, Any]) -> A:
    """The arguments as `model`. Raises BadArguments."""
    try:
        return model.model_validate(arguments)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in each['loc'])}: "
            + (
                f"no such argument; allowed are {', '.join(model.model_fields) or 'none'}"
                if each["type"] == "extra_forbidden"
                else each["msg"]
            )
            for each in error.errors(include_url=False)
        ]
        raise BadArguments("; ".join(problems)) from error


def schema(model: type[Arguments]) -> dict[str, Any]:
    """The model as a JSON Schema object without titles, references or null branches."""
    properties = {}
    document = model.model_json_schema()
    for name, prop in document.get("properties", {}).items():
        kept = {key: value for key, value in prop.items() if key not in {"title", "anyOf"}}
        kept |= next((branch for branch in prop.get("anyOf", []) if branch != {"type": "null"}), {})
        if kept.get("default", 0) is None:
            del kept["default"]
        properties[name] = kept
    required = {"required": document["required"]} if "required" in document else {}
    return {"type": "object", "properties": properties, **required, "additionalProperties": False}
