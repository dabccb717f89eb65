"""The MCP server object: lists the current tools, and answers, logs and counts every call."""

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from mcp_types import CallToolResult, CancelledNotificationParams, InputRequiredResult, Resource, TextContent, Tool
from pydantic import AnyUrl

from longtask_mcp.contract.answers import Answer
from longtask_mcp.contract.errors import AgentError, Crashed
from longtask_mcp.identity import caller_of
from longtask_mcp.metrics import Metrics
from longtask_mcp.published import Published
from longtask_mcp.tool_handlers import Call, ToolHandlers

INSTRUCTIONS = (
    "Starts long-running work and keeps it: a start answers with a task ID at once, and the work goes on when you "
    "disconnect. Keep the task ID. Check with check_task_status, read the result with get_task_results. A lost task ID "
    "is found with list_tasks. In a new conversation, call resume_brief: it says what was started before. A running "
    "task may ask a question: answer it with answer_task. Do not start work again because it takes long."
)

BRIEF = Resource(
    uri="longtask://brief",
    name="resume_brief",
    title="Earlier work",
    description="What was started in this session, what came of it, what still runs and what to do next. Short.",
    mime_type="text/plain",
)

log = logging.getLogger(__name__)


class LongTaskServer(MCPServer[dict[str, Any]]):
    """An MCPServer with the fixed tools and one for each Ready template."""

    def __init__(self, calls: ToolHandlers, published: Published, metrics: Metrics, version: str) -> None:
        super().__init__("longtask", title="LongTask", instructions=INSTRUCTIONS, version=version, subscriptions=False)
        for method in ("prompts/list", "prompts/get"):
            del self._lowlevel_server._request_handlers[method]
        self._lowlevel_server.add_notification_handler(
            "notifications/cancelled", CancelledNotificationParams, self._given_up
        )
        self._calls = calls
        self._published = published
        self._metrics = metrics

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
        try:
            answer = await self._answered(name, arguments, context)
        except AgentError as error:
            return _error(error)
        except Exception:
            log.exception("tool %r crashed", name)
            return _error(
                Crashed(f"{name[:100]} failed inside the server; nothing more is known. Calling again may help.")
            )
        return CallToolResult(
            content=[TextContent(type="text", text=answer.text)], structured_content=answer.envelope, is_error=False
        )

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
        begin = time.monotonic()
        outcome, task_id = "crash", arguments.get("task_id")
        try:
            answer = await self._calls.answer(
                Call(caller, context.request_id, name, arguments, context.report_progress)
            )
            outcome, task_id = "ok", answer.envelope.get("task_id")
            return answer
        except AgentError:
            outcome = "error"
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            seconds = time.monotonic() - begin
            tool = name if self._calls.knows(name) else "unknown"
            self._metrics.calls.labels(tool, outcome).inc()
            self._metrics.call_seconds.labels(tool).observe(seconds)
            log.info(
                "tool call",
                extra={
                    "tool": name[:100],
                    "caller": caller.principal,
                    "actor": caller.actor_id,
                    "session": caller.session_id,
                    "task_id": str(task_id)[:100] if task_id else None,
                    "outcome": outcome,
                    "seconds": round(seconds, 3),
                },
            )


def _error(error: AgentError) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(type="text", text=str(error))], structured_content=error.envelope, is_error=True
    )
