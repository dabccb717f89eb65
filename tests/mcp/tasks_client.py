"""A client of protocol 2026-07-28 that is written by hand, so that each request declares what a test wants.

It declares, sends and polls as Claude Code does: tasks, roots and elicitation on each request.
"""

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import httpx2

TASKS: Mapping[str, Any] = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
ELICITING = {**TASKS, "elicitation": {}}
CLAUDE_CODE = {**ELICITING, "roots": {}}


class Refused(Exception):
    """A JSON-RPC error."""

    def __init__(self, status: int, error: Mapping[str, Any]) -> None:
        super().__init__(error.get("message"))
        self.status = status
        self.code = error.get("code")
        self.data = error.get("data")


@dataclass
class TasksClient:
    """Its requests are independent of each other, and may go to any replica."""

    http: httpx2.AsyncClient
    url: str
    token: str
    capabilities: Mapping[str, Any] = field(default_factory=lambda: CLAUDE_CODE)
    ids: Any = field(default_factory=itertools.count)

    async def request(
        self,
        method: str,
        params: Mapping[str, Any],
        *,
        name: str | None = None,
        capabilities: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> dict[str, Any]:
        """The result; `name` is what is in the header Mcp-Name, which else repeats the request."""
        named = name if name is not None else params.get("taskId", params.get("name", ""))
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "by-hand", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": self.capabilities if capabilities is None else capabilities,
        }
        response = await self.http.post(
            self.url,
            headers={
                "Authorization": f"Bearer {self.token}",
                "Accept": "application/json, text/event-stream",
                "MCP-Protocol-Version": "2026-07-28",
                "Mcp-Method": method,
                **({"Mcp-Name": named} if named else {}),
                **headers,
            },
            json={"jsonrpc": "2.0", "id": next(self.ids), "method": method, "params": {**params, "_meta": meta}},
        )
        document = response.json()
        if "error" in document:
            raise Refused(response.status_code, document["error"])
        result: dict[str, Any] = document["result"]
        return result

    async def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        return await self.request("tools/call", {"name": tool, "arguments": arguments})

    async def get(self, task_id: str) -> dict[str, Any]:
        return await self.request("tasks/get", {"taskId": task_id})

    async def update(self, task_id: str, **responses: Any) -> dict[str, Any]:
        return await self.request("tasks/update", {"taskId": task_id, "inputResponses": responses})

    async def cancel(self, task_id: str) -> dict[str, Any]:
        return await self.request("tasks/cancel", {"taskId": task_id})


@asynccontextmanager
async def tasks_client(
    url: str, token: str, capabilities: Mapping[str, Any] = CLAUDE_CODE
) -> AsyncIterator[TasksClient]:
    """A client of one replica."""
    async with httpx2.AsyncClient(trust_env=False, timeout=70) as http:
        yield TasksClient(http, url, token, capabilities)
