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
    """`log` is the answer for every log; `contents` are bytes by path; `instead` is given in place of any bytes.

    `archived` are LongTasks, oldest first; `archive_instead` is given in place of any record or list of them.
    """

    url: str
    log: Response = field(default_factory=lambda: JSONResponse({}))
    contents: dict[str, bytes] = field(default_factory=dict)
    instead: Response | None = None
    archived: list[dict[str, Any]] = field(default_factory=list)
    archive_instead: Response | None = None
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Paths and queries of the archive."""
    asking: int = 0
    asked_at_once: int = 0
    seen: list[Any] = field(default_factory=list)
    sent: int = 0
    """Bytes of contents."""

    async def logs(self, request: Request) -> Response:
        self.seen.append((request.url.path, dict(request.query_params), request.headers["authorization"]))
        return self.log

    async def record(self, request: Request) -> Response:
        async with self._of_archive(request):
            if self.archive_instead is not None:
                return self.archive_instead
            found = [each for each in self._of(request) if each["metadata"]["uid"] == request.path_params["uid"]]
            if not found:
                return JSONResponse({"reason": "NotFound", "detail": "there is no such record"}, 404)
            archive = {"uri": "s3://bucket/record.json", "archivedTime": "2026-11-22T10:00:00Z"}
            return JSONResponse({"task": found[0], "archive": archive})

    async def records(self, request: Request) -> Response:
        """Newest first; the cursor is the number of the next one."""
        async with self._of_archive(request):
            if self.archive_instead is not None:
                return self.archive_instead
            newest_first = self._of(request)[::-1]
            begin = int(request.query_params.get("cursor", "0"))
            end = begin + int(request.query_params["limit"])
            cursor = str(end) if end < len(newest_first) else None
            return JSONResponse({"tasks": newest_first[begin:end], "cursor": cursor})

    async def archived_content(self, request: Request) -> Response:
        self.asked.append((request.url.path, dict(request.query_params)))
        return await self.content(request)

    def _of(self, request: Request) -> list[dict[str, Any]]:
        """The records of the caller."""
        whose = {"principal": request.query_params["principal"], "actorId": request.query_params.get("actor_id")}
        return [
            each
            for each in self.archived
            if {"actorId": None, **each["spec"]["requester"]} | {"sessionId": None} == whose | {"sessionId": None}
        ]

    @asynccontextmanager
    async def _of_archive(self, request: Request) -> AsyncIterator[None]:
        self.asked.append((request.url.path, dict(request.query_params)))
        self.asking += 1
        self.asked_at_once = max(self.asked_at_once, self.asking)
        await asyncio.sleep(0)
        yield
        self.asking -= 1

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
            Route("/v1/archive", operator.records),
            Route("/v1/archive/{uid}", operator.record),
            Route("/v1/archive/{uid}/result", operator.archived_content),
            Route("/v1/archive/{uid}/artifacts/{name}", operator.archived_content),
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
