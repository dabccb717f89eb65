"""A plain round-robin HTTP proxy in front of replicas, as a Service or an ingress is."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

DROPPED = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive", "host", "date", "server"})


@dataclass
class Seen:
    """One request, and the bytes of its answer so far."""

    method: str
    port: int
    call: Any = None
    """The JSON-RPC id, if it is a tool call."""
    answer: bytearray = field(default_factory=bytearray)

    @property
    def ids(self) -> list[str]:
        """The event ids of the answer."""
        lines = self.answer.decode().splitlines()
        return [line.removeprefix("id: ") for line in lines if line.startswith("id: ")]

    @property
    def responses(self) -> list[dict[str, Any]]:
        """The JSON-RPC responses of the answer."""
        lines = self.answer.decode().splitlines()
        messages = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
        return [message for message in messages if "result" in message or "error" in message]


class Balancer:
    """Sends each request to the next port. One that does not accept it is passed over; an answer that breaks off, or is
    silent for `idle` seconds, breaks off for the client too.
    """

    def __init__(self, session: aiohttp.ClientSession, ports: Callable[[], list[int]], idle: float | None) -> None:
        self.port = 0
        self.seen: list[Seen] = []
        self._session = session
        self._ports = ports
        self._timeout = aiohttp.ClientTimeout(total=None, sock_read=idle)
        self._turns = itertools.count()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in DROPPED}
        ports, turn = self._ports(), next(self._turns)
        for number in range(len(ports)):
            port = ports[(turn + number) % len(ports)]
            url = f"http://127.0.0.1:{port}{request.path_qs}"
            try:
                upstream = await self._session.request(
                    request.method, url, headers=headers, data=body or None, timeout=self._timeout
                )
            except aiohttp.ClientConnectorError:
                continue
            except aiohttp.ClientError:
                break
            seen = Seen(request.method, port, _call(body))
            self.seen.append(seen)
            async with upstream:
                return await self._passed_back(request, upstream, seen)
        return web.Response(status=502)

    async def _passed_back(
        self, request: web.Request, upstream: aiohttp.ClientResponse, seen: Seen
    ) -> web.StreamResponse:
        kept = [(name, value) for name, value in upstream.headers.items() if name.lower() not in DROPPED]
        response = web.StreamResponse(status=upstream.status, headers=kept)
        await response.prepare(request)
        try:
            async for chunk in upstream.content.iter_any():
                seen.answer += chunk
                await response.write(chunk)
            await response.write_eof()
        except (aiohttp.ClientError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
        return response


def _call(body: bytes) -> Any:
    if b'"tools/call"' not in body:
        return None
    return json.loads(body)["id"]


@asynccontextmanager
async def balancing(ports: Callable[[], list[int]], idle: float | None = None) -> AsyncIterator[Balancer]:
    """A balancer on a free port of the loopback address."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        balancer = Balancer(session, ports, idle)
        app = web.Application(client_max_size=16 * 2**20)
        app.router.add_route("*", "/{path:.*}", balancer.pass_on)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        balancer.port = runner.addresses[0][1]
        try:
            yield balancer
        finally:
            await asyncio.sleep(0)
            await runner.cleanup()
