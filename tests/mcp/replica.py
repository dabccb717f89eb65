"""MCP servers as processes of their own, and clients that talk to them over HTTP."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from tests import blocked
from tests.limited import command_within
from tests.mcp.world import eventually
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.warm import Warm

ROOT = Path(__file__).resolve().parents[2]
ERAS = ("legacy", "auto")
"""The handshake of 2025-11-25, and what a current client negotiates: 2026-07-28."""


@dataclass
class Replica:
    """One running server."""

    process: subprocess.Popen[bytes] | Warm
    port: int
    metrics_port: int
    log_file: Path
    http: httpx2.AsyncClient = field(default_factory=lambda: httpx2.AsyncClient(trust_env=False, timeout=60))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    async def ready(self) -> bool:
        try:
            return (await self.operations("readyz")).status_code == 200
        except httpx2.TransportError:
            return False

    async def closed(self) -> bool:
        """Whether nobody is listened to any more, and every connection has ended."""
        return "connections are closed" in self.log()

    async def operations(self, page: str) -> httpx2.Response:
        return await self.http.get(f"http://127.0.0.1:{self.metrics_port}/{page}")

    async def metric(self, line: str) -> float:
        """The value of one line of /metrics, 0 when it is not there."""
        text = (await self.operations("metrics")).text
        return next((float(each.rpartition(" ")[2]) for each in text.splitlines() if each.startswith(line)), 0.0)

    def log(self) -> str:
        return self.log_file.read_text()

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def stopped(self) -> int:
        """The exit code."""
        return await asyncio.to_thread(self.process.wait, PATIENCE)


@asynccontextmanager
async def running(
    kubeconfig: Path,
    namespace: str,
    folder: Path,
    within: Path | None = None,
    environment: Mapping[str, str] | None = None,
    /,
    module: str = "longtask_mcp",
    **settings: str,
) -> AsyncIterator[Replica]:
    """A server process, in a cgroup if one is given; ready when the block begins, gone when it ends. `environment` has
    variables that are no settings of its own."""
    port, metrics_port = int(settings.get("port") or free_port()), free_port()
    variables = {
        "PATH": os.environ["PATH"],
        "KUBECONFIG": str(kubeconfig),
        "LONGTASK_MCP_NAMESPACE": namespace,
        "LONGTASK_MCP_HOST": "127.0.0.1",
        "LONGTASK_MCP_PORT": str(port),
        "LONGTASK_MCP_METRICS_PORT": str(metrics_port),
        "LONGTASK_MCP_DRAIN_SECONDS": "1",
        **{f"LONGTASK_MCP_{name.upper()}": value for name, value in settings.items()},
        **(environment or {}),
    }
    log_file = folder / f"server-{port}.log"
    blocked.follow(log_file)
    process = await asyncio.to_thread(_started, module, variables, log_file, within)
    replica = Replica(process, port, metrics_port, log_file)
    try:
        await eventually(replica.ready, f"readyz of {log_file}")
        yield replica
    finally:
        await replica.http.aclose()
        if process.poll() is None:
            replica.terminate()
            await replica.stopped()


def _started(
    module: str, environment: dict[str, str], log_file: Path, within: Path | None
) -> subprocess.Popen[bytes] | Warm:
    if within is None and module == "longtask_mcp":
        return Warm("longtask_mcp.__main__", environment, log_file, strict=True)
    command = [sys.executable, "-m", module]
    if within is not None:
        command = command_within(within, command)
    with log_file.open("ab") as log:
        return subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, cwd=ROOT if module.startswith("tests.") else "/"
        )


@dataclass(frozen=True)
class Reply:
    """What an agent gets."""

    text: str
    envelope: dict[str, Any]
    error: bool

    @classmethod
    def of(cls, result: CallToolResult) -> "Reply":
        [content] = result.content
        assert isinstance(content, TextContent)
        return cls(content.text, result.structured_content or {}, result.is_error)

    @property
    def task_id(self) -> str:
        return str(self.envelope["task_id"])


@dataclass(frozen=True)
class Agent:
    """An MCP client session."""

    client: Client

    async def call(self, tool: str, /, **arguments: Any) -> Reply:
        return Reply.of(await self.client.call_tool(tool, arguments))

    async def tool_names(self) -> list[str]:
        return [tool.name for tool in (await self.client.list_tools()).tools]


@asynccontextmanager
async def agent(
    url: str, token: str | None, era: str = "auto", headers: Mapping[str, str] | None = None
) -> AsyncIterator[Agent]:
    """A new session of a caller, which sends `headers` with every request."""
    authorized = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx2.AsyncClient(headers={**(headers or {}), **authorized}, trust_env=False, timeout=70) as http,
        Client(streamable_http_client(url, http_client=http), mode=era) as client,
    ):
        yield Agent(client)
