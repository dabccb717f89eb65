"""Definitions of the MCP tools: the fixed ones, and one for each Ready template. Pure."""

from collections.abc import Mapping
from typing import Any

from mcp_types import Tool, ToolAnnotations

from longtask_api import constants
from longtask_api.conditions import find
from longtask_api.template import LongTaskTemplate, TemplateConditionType
from longtask_mcp.contract import arguments, shown

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
        arguments.ListTemplates,
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
        "rerun_task",
        "Run a task again",
        "Starts an ended task of yours again as a new task with a task ID of its own: of the same template as it is "
        "now, with the same parameters or with some of them changed, from the beginning or from its last checkpoint. "
        "Use it when a task failed for a reason that is gone, or to continue with other parameters. Also of tasks that "
        "are in the archive, without their checkpoint.",
        arguments.RerunTask,
        _STARTS,
    ),
    _fixed(
        "check_task_status",
        "Check a task",
        "How a task is: started, running (with progress), input_required (with the questions that wait for an answer), "
        "completed, failed (with the reason) or cancelled. Answers at once.",
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
        "wait_any",
        "Wait for news of any task",
        "What is new of your tasks: which ended, ask something or have stalled. Answers at once if there is news, else "
        "waits for it, at most 50 seconds. Pass the cursor of the answer to the next call: nothing is missed in "
        "between, however long you are away, and each item has an id in case it comes twice.",
        arguments.WaitAny,
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
        "suspend_task",
        "Suspend a task",
        "Stops a task until resume_task lets it go on. Its pod ends, so work that saves checkpoints goes on from the "
        "last one, and other work begins anew. Its time limit stands still.",
        arguments.OneTask,
        _CANCELS,
    ),
    _fixed(
        "resume_task",
        "Resume a task",
        "Lets a task go on that was suspended with suspend_task, or by a person.",
        arguments.OneTask,
        _ANSWERS,
    ),
    _fixed(
        "get_task_logs",
        "Get the log of a task",
        "The last lines that a task wrote, while it runs and after it ended; or of these only those that contain a "
        "text, or were written since a time.",
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


READ_ONLY = frozenset(tool.name for tool in FIXED if tool.annotations is _READS)
"""Tools whose calls change nothing, and so can be made again."""
_RESERVED: Mapping[str, Any] = arguments.schema(arguments.Reserved)["properties"]
"""Computed once, because computing it for each template would block the event loop for milliseconds."""


def template_tool(template: LongTaskTemplate) -> Tool:
    """The tool that starts tasks of a template."""
    return Tool(
        name=constants.tool_name(template.metadata.name),
        title=template.title,
        description=f"{template.spec.description.rstrip()}\n\n{START_NOTE}",
        input_schema=start_schema(template.spec.parameters_schema),
        annotations=_STARTS,
    )


def not_ready_reason(template: LongTaskTemplate) -> str:
    """Why tasks cannot be started from a template."""
    ready = find(template.status.conditions, TemplateConditionType.READY)
    if ready is None or not is_checked(template):
        return "it is new or was just changed, and has not been checked yet; try again in a few seconds"
    return f"{ready.reason}: {ready.message}"


def is_checked(template: LongTaskTemplate) -> bool:
    """Whether an operator has decided if the template's current generation is ready."""
    checked = template.status.observed_generation == template.metadata.generation
    return checked and find(template.status.conditions, TemplateConditionType.READY) is not None


def start_schema(parameters_schema: Mapping[str, Any]) -> dict[str, Any]:
    """A template's schema in its published form, with the reserved arguments beside its properties."""
    try:
        kept = shown.shown(parameters_schema)
    except ValueError:
        kept = {"additionalProperties": True}
    closed = {} if kept.keys() & {"unevaluatedProperties", "patternProperties"} else {"additionalProperties": False}
    return {**closed, **kept, "type": "object", "properties": {**kept.get("properties", {}), **_RESERVED}}
