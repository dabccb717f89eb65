"""The tools that agents see: the fixed ones, and one for each Ready template. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from mcp_types import Tool, ToolAnnotations

from longtask_api import names
from longtask_api.conditions import find
from longtask_api.parameters import DATA_KEYWORDS, NAMED_SCHEMAS
from longtask_api.template import LongTaskTemplate, TemplateConditionType
from longtask_api.tools import FIXED_TOOLS
from longtask_mcp.contract import arguments

MAX_SCHEMA_NODES = 5000
"""A schema that grows beyond this when its references are written out is shown as an open object."""
COMBINATORS = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"})
"""Model APIs refuse tools with these at the top of their schema. They hold all the same when a task is started."""
DROPPED_KEYWORDS = frozenset({"$ref", "$defs", "definitions", "$schema", "$id"})

_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_STARTS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False)
_ANSWERS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True)
_CANCELS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)

START_NOTE = (
    "Starts a long-running task and answers with its task ID at once; the work goes on without you. "
    "Follow it with check_task_status and read the result with get_task_results."
)


def _fixed(
    name: str, title: str, description: str, model: type[arguments.Arguments], annotations: ToolAnnotations
) -> Tool:
    return Tool(
        name=name,
        title=title,
        description=description,
        input_schema=arguments.schema(model),
        annotations=annotations,
    )


FIXED = (
    _fixed(
        "list_templates",
        "List task templates",
        "The kinds of long-running work that can be started here, with their parameters. New ones can appear at any "
        "time; each is also a tool of its own.",
        arguments.Nothing,
        _READS,
    ),
    _fixed(
        "start_task",
        "Start a task",
        f"{START_NOTE} Use it for a template that is not among your tools; list_templates shows them all.",
        arguments.StartTask,
        _STARTS,
    ),
    _fixed(
        "check_task_status",
        "Check a task",
        "How a task is: started, running (with progress, and with questions that wait for an answer), completed, "
        "failed (with the reason) or cancelled. Answers at once.",
        arguments.OneTask,
        _READS,
    ),
    _fixed(
        "get_task_results",
        "Get results of a task",
        "The result of a completed task, or one of its artifacts that is text. For a task that has not completed it "
        "says how it is; that is not an error. What is large comes in parts.",
        arguments.GetResults,
        _READS,
    ),
    _fixed(
        "wait_for_task",
        "Wait for a task",
        "Waits until a task has ended or asks something, at most 50 seconds, with progress notifications; then the "
        "result, or how it is. Call it again to wait on.",
        arguments.WaitForTask,
        _READS,
    ),
    _fixed(
        "list_tasks",
        "List tasks",
        "Your tasks, newest first, finished ones too. Use it when you do not know a task ID.",
        arguments.ListTasks,
        _READS,
    ),
    _fixed(
        "resume_brief",
        "Take up earlier work",
        "In a new conversation, or when you do not remember: what was started in this session, what is still running, "
        "what came of the rest, and what to do next. Short.",
        arguments.ResumeBrief,
        _READS,
    ),
    _fixed(
        "cancel_task",
        "Cancel a task",
        "Ends a task for good. What it did so far may be lost; its log is kept.",
        arguments.OneTask,
        _CANCELS,
    ),
    _fixed(
        "get_task_logs",
        "Get the log of a task",
        "The last lines that a task wrote, while it runs and after it ended.",
        arguments.GetLogs,
        _READS,
    ),
    _fixed(
        "answer_task",
        "Answer a question of a task",
        "Answers a question that a running task waits for; check_task_status shows the questions. The first answer "
        "counts and cannot be changed. If you are not sure, ask your user.",
        arguments.AnswerTask,
        _ANSWERS,
    ),
)


def tools(templates: Iterable[LongTaskTemplate]) -> list[Tool]:
    """All tools in a stable order: the fixed ones, then those of Ready templates by name."""
    ready = [each for each in templates if each.is_ready and names.tool_name(each.metadata.name) not in FIXED_TOOLS]
    return [*FIXED, *(template_tool(each) for each in sorted(ready, key=lambda each: each.metadata.name))]


def template_tool(template: LongTaskTemplate) -> Tool:
    """The tool that starts a template's tasks."""
    return Tool(
        name=names.tool_name(template.metadata.name),
        title=template.title,
        description=f"{template.spec.description.rstrip()}\n\n{START_NOTE}",
        input_schema=start_schema(template.spec.parameters_schema),
        annotations=_STARTS,
    )


def not_ready_reason(template: LongTaskTemplate) -> str:
    """Why no task can be started from a template."""
    ready = find(template.status.conditions, TemplateConditionType.READY)
    if ready is None or template.status.observed_generation != template.metadata.generation:
        return "it is new or was just changed, and has not been checked yet; try again in a few seconds"
    return f"{ready.reason}: {ready.message}"


def start_schema(parameters_schema: Mapping[str, Any]) -> dict[str, Any]:
    """A template's schema with references written out and the reserved arguments beside its properties."""
    try:
        shown = flat(parameters_schema)
    except ValueError:
        shown = {"additionalProperties": True}
    reserved = arguments.schema(arguments.Reserved)["properties"]
    kept = {key: value for key, value in shown.items() if key not in COMBINATORS}
    closed = {} if kept.keys() & {"unevaluatedProperties", "patternProperties"} else {"additionalProperties": False}
    return {**closed, **kept, "type": "object", "properties": {**kept.get("properties", {}), **reserved}}


def flat(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without $ref and $defs. Raises ValueError where it cannot be written out."""
    return _Writer(schema).written(schema, ())


class _Writer:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._left = MAX_SCHEMA_NODES

    def written(self, node: Mapping[str, Any], opened: tuple[str, ...]) -> dict[str, Any]:
        """A schema; `opened` are the references that led to it."""
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"the schema has more than {MAX_SCHEMA_NODES} parts")
        reference = node.get("$ref")
        target: dict[str, Any] = {}
        if isinstance(reference, str):
            if reference in opened:
                raise ValueError(f"{reference} leads back to itself")
            target = self.written(_resolve(self._root, reference), (*opened, reference))
        return target | {
            key: self._keyword(key, child, opened) for key, child in node.items() if key not in DROPPED_KEYWORDS
        }

    def _keyword(self, key: str, value: Any, opened: tuple[str, ...]) -> Any:
        if key in DATA_KEYWORDS:
            return value
        if isinstance(value, list):
            return [self._keyword(key, child, opened) for child in value]
        if not isinstance(value, Mapping):
            return value
        if key in NAMED_SCHEMAS:
            return {name: self._keyword("", child, opened) for name, child in value.items()}
        return self.written(value, opened)


def _resolve(schema: Mapping[str, Any], reference: str) -> Mapping[str, Any]:
    """The schema that a local JSON pointer such as #/$defs/layer points at. Raises ValueError."""
    if reference != "#" and not reference.startswith("#/"):
        raise ValueError(f"{reference} is not inside the schema")
    node: Any = schema
    for part in reference.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        node = node.get(key) if isinstance(node, Mapping) else None
    if isinstance(node, Mapping):
        return node
    raise ValueError(f"{reference} does not point at a schema object")
