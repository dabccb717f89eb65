"""The MCP server object: tools are read afresh at each list, and every call is answered, logged and counted."""

import asyncio
import logging
import time
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import CallToolResult, InputRequiredResult, TextContent, Tool

from longtask_api.template import LongTaskTemplate
from longtask_mcp.cache import Cache
from longtask_mcp.calls import Call, Calls
from longtask_mcp.contract import catalogue
from longtask_mcp.contract.errors import AgentError
from longtask_mcp.identity import caller_of
from longtask_mcp.metrics import Metrics

INSTRUCTIONS = (
    "Starts long-running work and keeps it: a start answers with a task ID at once, and the work goes on when you "
    "disconnect. Keep the task ID. Check with check_task_status, read the result with get_task_results. A lost task ID "
    "is found with list_tasks. A running task may ask a question: answer it with answer_task. Do not start work again "
    "because it takes long."
)

log = logging.getLogger(__name__)


class LongTaskServer(MCPServer[dict[str, Any]]):
    """An MCPServer whose tools are the fixed ones and the Ready templates."""

    def __init__(self, calls: Calls, templates: Cache[LongTaskTemplate], metrics: Metrics, version: str) -> None:
        super().__init__("longtask", title="LongTask", instructions=INSTRUCTIONS, version=version, subscriptions=False)
        self._calls = calls
        self._templates = templates
        self._metrics = metrics

    async def list_tools(self) -> list[Tool]:
        """The tools as they are now."""
        return catalogue.tools(self._templates.all())

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[dict[str, Any], Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Answer a call; every failure but a cancelled request is a result with isError."""
        if context is None:
            raise ValueError("a call needs its request: it says who is calling")
        caller = caller_of(context.request_context.request)
        begin = time.monotonic()
        outcome, task_id = "crash", None
        try:
            answer = await self._calls.answer(Call(caller.principal, name, arguments, context.report_progress))
            outcome, task_id = "ok", answer.envelope.get("task_id")
            return _result(answer.text, answer.envelope)
        except AgentError as error:
            outcome, task_id = "error", arguments.get("task_id")
            return _result(str(error))
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except Exception:
            log.exception("tool %r crashed", name)
            return _result(f"{name} failed inside the server; nothing more is known. Calling again may help.")
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
                    "task_id": str(task_id)[:100] if task_id else None,
                    "outcome": outcome,
                    "seconds": round(seconds, 3),
                },
            )


def _result(text: str, envelope: dict[str, Any] | None = None) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content=envelope, is_error=envelope is None
    )
