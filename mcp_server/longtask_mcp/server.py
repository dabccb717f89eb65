"""The MCP server object: lists the current tools, and answers, logs and counts every call."""

from collections.abc import Iterable, Sequence
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.extension import Extension
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp_types import CallToolResult, CancelledNotificationParams, InputRequiredResult, Resource, ResourceTemplate, Tool
from pydantic import AnyUrl

from longtask_mcp.call import Call
from longtask_mcp.call_log import CallLog
from longtask_mcp.contract.answers import Answer
from longtask_mcp.contract.artifacts import URI_TEMPLATE, ArtifactPage, read_uri
from longtask_mcp.contract.errors import AgentError, BadArguments, TaskNotFound
from longtask_mcp.identity import caller_of
from longtask_mcp.published import Published
from longtask_mcp.resumption import resumption_of
from longtask_mcp.tool_handlers import ToolHandlers
from longtask_mcp.tool_result import of_answer, or_error

INSTRUCTIONS = (
    "Starts long-running work and keeps it: a start answers with a task ID at once, and the work goes on when you "
    "disconnect. Keep the task ID. Check with check_task_status, read the result with get_task_results. A lost task ID "
    "is found with list_tasks. In a new conversation, call resume_brief: it says what was started before. A running "
    "task may ask a question: answer it with answer_task. wait_any waits for news of all your tasks. Do not start work "
    "again because it takes long; what has ended is started again with rerun_task."
)

BRIEF = Resource(
    uri="longtask://brief",
    name="resume_brief",
    title="Earlier work",
    description="What was started in this session, what came of it, what still runs and what to do next. Short.",
    mime_type="text/plain",
)


ARTIFACT = ResourceTemplate(
    uri_template=URI_TEMPLATE,
    name="artifact",
    title="Artifact of a task",
    description="Something that a task of yours produced beside its result: a table, a picture, a model. One of more "
    "than 512 KiB is read page by page.",
)
READ_ARTIFACT = "resources/read"
"""As which reads of artifacts are counted and logged."""


class LongTaskServer(MCPServer[dict[str, Any]]):
    """An MCPServer with the fixed tools and one for each Ready template."""

    def __init__(
        self, calls: ToolHandlers, published: Published, log: CallLog, extensions: Sequence[Extension], version: str
    ) -> None:
        super().__init__(
            "longtask",
            title="LongTask",
            instructions=INSTRUCTIONS,
            version=version,
            subscriptions=False,
            extensions=extensions,
        )
        for method in ("prompts/list", "prompts/get"):
            del self._lowlevel_server._request_handlers[method]
        self._lowlevel_server.add_notification_handler(
            "notifications/cancelled", CancelledNotificationParams, self._given_up
        )
        self._calls = calls
        self._published = published
        self._log = log

    async def list_tools(self) -> list[Tool]:
        """The current tools."""
        return self._published.tools()

    async def list_resources(self) -> list[Resource]:
        """The only resource: the brief."""
        return [BRIEF]

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        """The only template: artifacts of tasks."""
        return [ARTIFACT]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[dict[str, Any], Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Answer a call; every failure except a cancelled request is a result with isError."""
        return await or_error(name, self._result(name, arguments, context))

    async def _result(
        self, name: str, arguments: dict[str, Any], context: Context[dict[str, Any], Any] | None
    ) -> CallToolResult:
        return of_answer(await self._answered(name, arguments, context))

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[dict[str, Any], Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        """The brief as text, the same as the tool's, or an artifact. Raises ResourceNotFoundError for any other URI,
        and ResourceError.
        """
        artifact = read_uri(str(uri))
        if artifact is not None:
            return [await self._artifact(artifact, context)]
        if str(uri) != BRIEF.uri:
            raise ResourceNotFoundError(
                f"There is no resource {str(uri)[:200]!r}, only {BRIEF.uri} and {URI_TEMPLATE}."
            )
        answer = await self._answered(BRIEF.name, {}, context)
        return [ReadResourceContents(content=answer.text, mime_type=BRIEF.mime_type)]

    async def _artifact(
        self, wanted: ArtifactPage, context: Context[dict[str, Any], Any] | None
    ) -> ReadResourceContents:
        call = _call(READ_ARTIFACT, {"task_id": wanted.task_id}, context)
        try:
            with self._log.of(call):
                content = await self._calls.artifact(call, wanted)
        except (TaskNotFound, BadArguments) as error:
            raise ResourceNotFoundError(str(error)) from error
        except AgentError as error:
            raise ResourceError(str(error)) from error
        return ReadResourceContents(content=content.data, mime_type=content.media_type)

    async def _given_up(self, context: ServerRequestContext[Any], given: CancelledNotificationParams) -> None:
        """A client of the older protocol cancels a call in a separate request, and the call's connection stays open."""
        self._calls.give_up(caller_of(context.request), str(given.request_id))

    async def _answered(
        self, name: str, arguments: dict[str, Any], context: Context[dict[str, Any], Any] | None
    ) -> Answer:
        """The answer to a call, which is counted and logged however it ends."""
        call = _call(name, arguments, context)
        with self._log.of(call) as entry:
            answer = await self._calls.answer(call)
            entry.task_id = answer.envelope.get("task_id")
            return answer


def _call(name: str, arguments: dict[str, Any], context: Context[dict[str, Any], Any] | None) -> Call:
    if context is None:
        raise ValueError("a call needs its request: it says who is calling")
    request = context.request_context.request
    return Call(
        caller_of(request), context.request_id, name, arguments, context.report_progress, resumption_of(request)
    )
