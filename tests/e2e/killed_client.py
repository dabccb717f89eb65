"""`python -m tests.e2e.killed_client MOMENT KEY CODE`: a client that dies in the middle of a start, by its own hand."""

import asyncio
import os
import signal
import sys
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

MOMENTS = {
    "before its request is complete": "http11.send_request_body.started",
    "when its request is sent": "http11.send_request_body.complete",
    "when the answer begins": "http11.receive_response_headers.complete",
}
"""What the HTTP library says at that moment."""


async def main(moment: str, key: str, code: str) -> None:
    async def watch(event: str, _: dict[str, Any]) -> None:
        if event == MOMENTS[moment]:
            os.kill(os.getpid(), signal.SIGKILL)

    async def arm(request: httpx2.Request) -> None:
        if b'"tools/call"' in request.content:
            request.extensions["trace"] = watch

    headers = {"Authorization": f"Bearer {os.environ['MCP_TOKEN']}"}
    async with (
        httpx2.AsyncClient(headers=headers, trust_env=False, event_hooks={"request": [arm]}) as http,
        Client(streamable_http_client(os.environ["MCP_URL"], http_client=http)) as client,
    ):
        await client.call_tool("e2e_python", {"code": code, "idempotency_key": key})


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
