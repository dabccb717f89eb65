"""`python -m bench.trivial_mcp PORT TOOLS`: the floor of the MCP server, the same SDK with tools that do nothing."""

import sys
from typing import Any

import uvloop
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import CallToolResult, InputRequiredResult, TextContent, Tool

from longtask_api.template import LongTaskTemplate
from longtask_mcp.app import MCP_PATH
from longtask_mcp.contract import tool_definitions
from longtask_runtime import garbage
from longtask_runtime.serving import serve
from tests.many import template


class Trivial(MCPServer[dict[str, Any]]):
    """Lists tools like those of templates, and gives one answer to every call."""

    def __init__(self, count: int) -> None:
        super().__init__("trivial", subscriptions=False)
        documents = [template(number, 1) for number in range(count)]
        self._tools = [tool_definitions.template_tool(LongTaskTemplate.from_api(each)) for each in documents]

    async def list_tools(self) -> list[Tool]:
        """All tools."""
        return self._tools

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[dict[str, Any], Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """The answer."""
        text = "The task is running: step 5 of 10. " * 10
        return CallToolResult(
            content=[TextContent(type="text", text=text)], structured_content={"status": "running"}, is_error=False
        )


if __name__ == "__main__":
    garbage.collect_seldom()
    app = Trivial(int(sys.argv[2])).streamable_http_app(
        streamable_http_path=MCP_PATH,
        stateless_http=True,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    uvloop.run(serve(app, int(sys.argv[1]), "127.0.0.1", lifespan="on"))
