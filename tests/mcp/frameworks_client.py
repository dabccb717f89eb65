"""`frameworks_client.py FRAMEWORK`: an agent's framework as it loads and calls tools; no model is asked.

Run by .venv-frameworks, or for sdk and strands also by .venv-strands and .venv-strands-modern, which have no other part
of this project. MCP_URL and MCP_TOKEN say where. The first line of
output is a JSON array of the tools that were loaded. Then each line of input is a call, `["tool", {arguments}]`, and
each line of output its answer as the model would be shown it, as a JSON string.
"""

import asyncio
import json
import os
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

URL = os.environ["MCP_URL"]
HEADERS = {"Authorization": f"Bearer {os.environ['MCP_TOKEN']}"}
SECONDS = 60

Call = Callable[[str, dict[str, Any]], Awaitable[str]]
Loaded = tuple[list[str], Call]


@asynccontextmanager
async def autogen() -> AsyncIterator[Loaded]:
    from autogen_core import CancellationToken
    from autogen_ext.tools.mcp import StreamableHttpServerParams, mcp_server_tools

    params = StreamableHttpServerParams(url=URL, headers=HEADERS, timeout=SECONDS, sse_read_timeout=SECONDS)
    tools = {tool.name: tool for tool in await mcp_server_tools(params)}

    async def call(name: str, arguments: dict[str, Any]) -> str:
        try:
            return str(tools[name].return_value_as_string(await tools[name].run_json(arguments, CancellationToken())))
        except Exception as refused:
            return "".join(traceback.format_exception(refused))

    yield list(tools), call


@asynccontextmanager
async def semantic_kernel() -> AsyncIterator[Loaded]:
    from semantic_kernel import Kernel
    from semantic_kernel.connectors.mcp import MCPStreamableHttpPlugin
    from semantic_kernel.functions import KernelArguments

    async with MCPStreamableHttpPlugin("longtask", URL, headers=HEADERS, request_timeout=SECONDS) as plugin:
        kernel = Kernel()
        functions = kernel.add_plugin(plugin).functions

        async def call(name: str, arguments: dict[str, Any]) -> str:
            answer = await kernel.invoke(functions[name], KernelArguments(**arguments))
            return str(answer)

        yield [name for name in functions if functions[name].metadata.parameters is not None], call


@asynccontextmanager
async def langchain() -> AsyncIterator[Loaded]:
    from langchain_mcp_adapters.client import MultiServerMCPClient

    client = MultiServerMCPClient({"longtask": {"transport": "streamable_http", "url": URL, "headers": HEADERS}})
    tools = {tool.name: tool for tool in await client.get_tools()}

    async def call(name: str, arguments: dict[str, Any]) -> str:
        try:
            return json.dumps(await tools[name].ainvoke(arguments))
        except Exception as refused:
            return str(refused)

    yield list(tools), call


@asynccontextmanager
async def openai_agents() -> AsyncIterator[Loaded]:
    from agents.mcp import MCPServerStreamableHttp, MCPUtil

    async with MCPServerStreamableHttp(
        {"url": URL, "headers": HEADERS}, client_session_timeout_seconds=SECONDS
    ) as server:
        strict = {}
        for tool in await server.list_tools():
            made = MCPUtil.to_function_tool(tool, server, convert_schemas_to_strict=True)
            strict[made.name] = made

        async def call(name: str, arguments: dict[str, Any]) -> str:
            return str((await server.call_tool(name, arguments)).model_dump_json())

        yield list(strict), call


@asynccontextmanager
async def pydantic_ai() -> AsyncIterator[Loaded]:
    from pydantic_ai.mcp import MCPToolset

    async with MCPToolset(URL, headers=HEADERS, read_timeout=SECONDS) as toolset:

        async def call(name: str, arguments: dict[str, Any]) -> str:
            try:
                return json.dumps(await toolset.direct_call_tool(name, arguments))
            except Exception as refused:
                return str(refused)

        yield [tool.name for tool in await toolset.list_tools()], call


@asynccontextmanager
async def sdk() -> AsyncIterator[Loaded]:
    import httpx
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async with (
        httpx.AsyncClient(headers=HEADERS, timeout=SECONDS) as http,
        streamable_http_client(URL, http_client=http) as streams,
        ClientSession(*streams[:2]) as session,
    ):
        await session.initialize()

        async def call(name: str, arguments: dict[str, Any]) -> str:
            return str((await session.call_tool(name, arguments)).model_dump_json())

        yield [tool.name for tool in (await session.list_tools()).tools], call


@asynccontextmanager
async def strands() -> AsyncIterator[Loaded]:
    from strands.tools.mcp import MCPClient

    with MCPClient(url=URL, headers=HEADERS) as client:

        async def call(name: str, arguments: dict[str, Any]) -> str:
            return json.dumps(await client.call_tool_async("use", name, arguments))

        yield [tool.tool_name for tool in client.list_tools_sync()], call


async def main(framework: str) -> None:
    async with globals()[framework]() as (names, call):
        print(json.dumps(names), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await call(*json.loads(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
