"""The operator's task API as its contract has it, on loopback, with what the test put into it."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.mcp.replica import free_port
from tests.mcp.world import eventually


@dataclass
class FakeOperator:
    """`log` is the answer for every log; `contents` are bytes by path; `instead` is given in place of any bytes."""

    url: str
    log: Response = field(default_factory=lambda: JSONResponse({}))
    contents: dict[str, bytes] = field(default_factory=dict)
    instead: Response | None = None
    seen: list[Any] = field(default_factory=list)
    sent: int = 0
    """Bytes of contents."""

    async def logs(self, request: Request) -> Response:
        self.seen.append((request.url.path, dict(request.query_params), request.headers["authorization"]))
        return self.log

    async def content(self, request: Request) -> Response:
        self.seen.append((request.url.path, request.headers["range"], request.headers["authorization"]))
        if self.instead is not None:
            return self.instead
        whole = self.contents.get(request.url.path)
        if whole is None:
            return JSONResponse({"reason": "NotFound", "detail": "the store does not have it"}, 404)
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers["range"])
        assert found is not None
        first, last = int(found[1]), min(int(found[2]), len(whole) - 1)
        if first >= len(whole):
            return JSONResponse({"detail": "beyond"}, 416, {"Content-Range": f"bytes */{len(whole)}"})
        part = whole[first : last + 1]
        self.sent += len(part)
        return Response(part, 206, {"Content-Range": f"bytes {first}-{last}/{len(whole)}"}, "application/json")


@asynccontextmanager
async def fake_operator() -> AsyncIterator[FakeOperator]:
    """One that listens while the block runs."""
    port = free_port()
    operator = FakeOperator(f"http://127.0.0.1:{port}")
    app = Starlette(
        routes=[
            Route("/v1/tasks/{uid}/logs", operator.logs),
            Route("/v1/tasks/{uid}/result", operator.content),
            Route("/v1/tasks/{uid}/artifacts/{name}", operator.content),
        ]
    )
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, ws="none"))
    serving = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await eventually(started, "the listener")
    yield operator
    server.should_exit = True
    await serving
