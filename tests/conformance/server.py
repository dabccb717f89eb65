"""`python -m tests.conformance.server`: the MCP server with what the official scenarios need beside templates.

They want a tool that answers at once (greet), a tool that asks before it starts a task (test_tool_with_task), and a
task that ends with an error of the protocol (protocol_error_job), which no LongTask does.
"""

from collections.abc import Mapping
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
)

from longtask_mcp import __main__, app
from longtask_mcp.call import Call
from longtask_mcp.protocol_task_store import ProtocolTaskStore
from longtask_mcp.server import LongTaskServer
from longtask_mcp.tasks_extension import TasksExtension

NAME: Mapping[str, Any] = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
GREET = Tool(name="greet", description="Greets at once.", input_schema=dict(NAME))


class Server(LongTaskServer):
    """With a tool that starts nothing, and an empty list of prompts."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._lowlevel_server.add_request_handler("prompts/list", PaginatedRequestParams, self._handle_list_prompts)

    async def list_tools(self) -> list[Tool]:
        return [*await super().list_tools(), GREET]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[dict[str, Any], Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        if name == GREET.name:
            return CallToolResult(content=[TextContent(type="text", text=f"Hello, {arguments['name']}!")])
        return await super().call_tool(name, arguments, context)


class Store(ProtocolTaskStore):
    """With a task that fails in the protocol's sense."""

    async def get(self, call: Call, task_id: str, elicits: bool) -> dict[str, Any]:
        told = await super().get(call, task_id, elicits)
        result = told.get("result", {})
        if result.get("structuredContent", {}).get("template") != "protocol-error-job":
            return told
        del told["result"]
        return {**told, "status": "failed", "error": {"code": -32603, "message": "the server failed inside"}}


class Extension(TasksExtension):
    """With a tool that asks before it starts."""

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        if params.name == "test_tool_with_task":
            if not params.input_responses:
                form = ElicitRequestFormParams(message="What is your name?", requested_schema=dict(NAME))
                return InputRequiredResult(input_requests={"user_name": ElicitRequest(params=form)})
            answer = params.input_responses["user_name"]
            assert isinstance(answer, ElicitResult)
            params = params.model_copy(update={"arguments": {"user_name": (answer.content or {})["name"]}})
        return await super().intercept_tool_call(params, ctx, call_next)


if __name__ == "__main__":
    vars(app).update(LongTaskServer=Server, ProtocolTaskStore=Store, TasksExtension=Extension)
    __main__.main()
