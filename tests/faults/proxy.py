"""A door between a program and the API server, at which a test can stop, hold or see any request."""

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import aiohttp
from aiohttp import web
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_kube_config

from tests import kubeconfigs

Moment = Literal["before", "instead", "during", "after"]
"""Before the API server gets the request, or instead of that; when it has answered and the program has not heard; after
the program has.
"""

HOP_BY_HOP = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})


@dataclass
class Trap:
    """Calls `spring` at the first request that fits; `sprung` tells when that was."""

    method: str
    path: re.Pattern[str]
    moment: Moment
    spring: Callable[[], Awaitable[None]]
    sprung: asyncio.Event = field(default_factory=asyncio.Event)


class Door:
    """Forwards everything to the cluster of KUBECONFIG, with its credentials."""

    def __init__(self, configuration: Configuration, session: aiohttp.ClientSession) -> None:
        self._upstream = configuration.host
        self._session = session
        self._traps: list[Trap] = []
        self._open = asyncio.Event()
        self._open.set()
        self._streams: set[asyncio.Task[object]] = set()
        self._hushed = False
        self.port = 0

    def trap(self, method: str, path: str, moment: Moment, spring: Callable[[], Awaitable[None]]) -> Trap:
        """Set a trap for the next request whose path (with query) contains the pattern."""
        trap = Trap(method, re.compile(path), moment, spring)
        self._traps.append(trap)
        return trap

    def forget(self, trap: Trap) -> None:
        """Take away a trap that has not sprung."""
        self._traps.remove(trap)

    def shut(self) -> None:
        """From now on every connection breaks, those that stand included."""
        self._open.clear()
        for stream in self._streams:
            stream.cancel()

    def reopen(self) -> None:
        """Let requests through again."""
        self._open.set()

    def hush(self) -> None:
        """From now on nothing comes of watches, those that stand included; their connections stay."""
        self._hushed = True

    def kubeconfig(self, path: Path) -> str:
        """A kubeconfig for programs that should go through this door."""
        return str(kubeconfigs.write(path, {"server": f"http://127.0.0.1:{self.port}"}))

    async def pass_through(self, request: web.Request) -> web.StreamResponse:
        """Handle one request."""
        if not self._open.is_set():
            raise _broken(request)
        await self._spring(request, "before")
        if await self._spring(request, "instead"):
            raise _broken(request)
        headers = {key: value for key, value in request.headers.items() if key.lower() not in HOP_BY_HOP}
        async with self._session.request(
            request.method, self._upstream + request.path_qs, headers=headers, data=await request.read() or None
        ) as upstream:
            await self._spring(request, "during")
            response = web.StreamResponse(status=upstream.status)
            for key, value in upstream.headers.items():
                if key.lower() not in HOP_BY_HOP:
                    response.headers[key] = value
            await response.prepare(request)
            task = asyncio.current_task()
            assert task is not None
            self._streams.add(task)
            try:
                async for chunk in upstream.content.iter_any():
                    if not self._is_hushed(request):
                        await response.write(chunk)
                if self._is_hushed(request):
                    await asyncio.Event().wait()  # not even its end is heard, until the door is shut
            finally:
                self._streams.discard(task)
            await response.write_eof()
        await self._spring(request, "after")
        return response

    def _is_hushed(self, request: web.Request) -> bool:
        return self._hushed and "watch=true" in request.query_string

    async def _spring(self, request: web.Request, moment: Moment) -> bool:
        for trap in self._traps:
            if (trap.moment, trap.method) == (moment, request.method) and trap.path.search(request.path_qs):
                self._traps.remove(trap)
                await trap.spring()
                trap.sprung.set()
                return True
        return False


def _broken(request: web.Request) -> Exception:
    if request.transport is not None:
        request.transport.abort()
    return ConnectionResetError("the door is shut")


@contextlib.asynccontextmanager
async def open_door() -> AsyncIterator[Door]:
    """A door on a free port of the loopback address."""
    configuration = Configuration()
    await load_kube_config(client_configuration=configuration)

    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    headers = {}
    if "BearerToken" in configuration.api_key:
        headers["Authorization"] = configuration.api_key["BearerToken"]
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(ssl=context, limit=0)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, headers=headers, auto_decompress=False
    ) as session:
        door = Door(configuration, session)
        app = web.Application(client_max_size=16 * 2**20)
        app.router.add_route("*", "/{path:.*}", door.pass_through)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        door.port = runner.addresses[0][1]
        try:
            yield door
        finally:
            # What a server accepts in the turn of the loop in which it is closed is never closed (CPython, gh-109564).
            # Whoever came through the door is gone by now, so that these turns leave nothing to accept.
            for _ in range(3):
                await asyncio.sleep(0)
            door.shut()
            await runner.cleanup()
            await connector.close(abort_ssl=True)  # nobody waits for the end of each connection
            await asyncio.sleep(0)
