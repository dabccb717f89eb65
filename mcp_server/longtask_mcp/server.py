"""The MCP server object: lists the current tools, and answers, logs and counts every call."""

from collections.abc import Iterable, Sequence
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.extension import Extension
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from mcp_types import CallToolResult, CancelledNotificationParams, InputRequiredResult, Resource, Tool
from pydantic import AnyUrl

from longtask_mcp.call import Call
from longtask_mcp.call_log import CallLog
from longtask_mcp.contract.answers import Answer
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
    "again because it takes long."
)

BRIEF = Resource(
    uri="longtask://brief",
    name="resume_brief",
    title="Earlier work",
    description="What was started in this session, what came of it, what still runs and what to do next. Short.",
    mime_type="text/plain",
)


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
        """The brief as text, the same as the tool's. Raises ResourceNotFoundError for any other URI."""
        if str(uri) != BRIEF.uri:
            raise ResourceNotFoundError(f"There is no resource {str(uri)[:200]!r}; {BRIEF.uri} is the only one.")
        answer = await self._answered(BRIEF.name, {}, context)
        return [ReadResourceContents(content=answer.text, mime_type=BRIEF.mime_type)]

    async def _given_up(self, context: ServerRequestContext[Any], given: CancelledNotificationParams) -> None:
        """A client of the older protocol cancels a call in a separate request, and the call's connection stays open."""
        self._calls.give_up(caller_of(context.request), str(given.request_id))

    async def _answered(
        self, name: str, arguments: dict[str, Any], context: Context[dict[str, Any], Any] | None
    ) -> Answer:
        """The answer to a call, which is counted and logged however it ends."""
        if context is None:
            raise ValueError("a call needs its request: it says who is calling")
        caller = caller_of(context.request_context.request)
        resumption = resumption_of(context.request_context.request)
        call = Call(caller, context.request_id, name, arguments, context.report_progress, resumption)
        with self._log.of(call) as entry:
            answer = await self._calls.answer(call)
            entry.task_id = answer.envelope.get("task_id")
            return answer
