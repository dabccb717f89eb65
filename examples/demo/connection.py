"""How whoever follows the task reaches LongTask: with a service account's token, and for whom it speaks."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent


@asynccontextmanager
async def connected() -> AsyncIterator[Client]:
    """A client of the server at MCP_URL that shows the token MCP_TOKEN."""
    headers = {"Authorization": f"Bearer {os.environ['MCP_TOKEN']}", "X-LongTask-Actor-Id": os.environ["DEMO_ACTOR"]}
    timeout = httpx2.Timeout(30, read=90)
    async with (
        httpx2.AsyncClient(headers=headers, timeout=timeout) as http,
        Client(streamable_http_client(os.environ["MCP_URL"], http_client=http)) as client,
    ):
        yield client


def content(answer: CallToolResult) -> dict[str, Any]:
    """The JSON object of an answer. Raises RuntimeError with the server's words when the call failed."""
    if answer.is_error or answer.structured_content is None:
        raise RuntimeError(text(answer))
    found: dict[str, Any] = answer.structured_content
    return found


def text(answer: CallToolResult) -> str:
    """What a language model would read of an answer."""
    return "\n".join(part.text for part in answer.content if isinstance(part, TextContent))
