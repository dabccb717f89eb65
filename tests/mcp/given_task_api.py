"""The operator's task API on loopback: the real one, over what the test put into it in place of a cluster, a store and
an archive. It answers what its own code answers, unless the test says what to answer instead.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from longtask_api.longtask import LongTask
from longtask_api.reports import Reference
from longtask_operator.archive.models import Body, Caller, Entry, Listing
from longtask_operator.task_api.app import Parts, task_api
from tests.mcp.world import eventually
from tests.ports import free_port

ARCHIVED = {"uri": "s3://bucket/record.json", "archivedTime": "2026-11-22T10:00:00Z"}


@dataclass
class GivenTaskApi:
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

    async def admit(self, token: str) -> None:
        """Everybody is a reader: who is one is tested where the operator is."""

    async def get_task(self, name: str, uid: str) -> LongTask | None:
        """A task that has the contents which the test gave it."""
        kept = {path: f"/v1/tasks/{uid}" for path in self.contents if path.startswith(f"/v1/tasks/{uid}/")}
        return _holding(uid, {path.removeprefix(f"{base}/"): self._reference(path) for path, base in kept.items()})

    async def get(
        self, task: LongTask, reference: Reference, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """The contents, as the store gives them."""
        return self._read(reference.uri, start, end)

    async def page(self, caller: Caller, limit: int, cursor: str | None) -> Listing:
        """As the archive: newest first."""
        before = Entry.from_cursor(cursor).milliseconds if cursor is not None else len(self.archived)
        own = [(number, task) for number, task in enumerate(self._records(caller)) if number < before][::-1]
        shown = own[:limit]
        more = Entry(shown[-1][0], shown[-1][1].metadata.uid).cursor if len(own) > limit else None
        return Listing([task for _, task in shown], more, [])

    async def read_archived(self, caller: Caller, uid: str) -> LongTask | None:
        """The record of a caller's task."""
        return next((task for task in self._records(caller) if task.metadata.uid == uid), None)

    async def body(self, caller: Caller, uid: str, artifact: str | None) -> Body | None:
        """The result, or an artifact, of an archived task."""
        path = f"/v1/archive/{uid}/{'result' if artifact is None else f'artifacts/{artifact}'}"
        if path not in self.contents:
            return None
        return Body(self._reference(path), "application/json", lambda start, end: self._read(path, start, end))

    def _records(self, caller: Caller) -> list[LongTask]:
        whose = (caller.principal, caller.actor_id)
        documents = [each | {"status": {**each["status"], "archive": ARCHIVED}} for each in self.archived]
        tasks = [LongTask.from_api(document) for document in documents]
        owned = [(task, task.spec.requester) for task in tasks]
        return [task for task, by in owned if by is not None and (by.principal, by.actor_id) == whose]

    def _reference(self, path: str) -> Reference:
        content = self.contents[path]
        return Reference(uri=path, size=len(content), sha256=hashlib.sha256(content).hexdigest())

    async def _read(self, path: str, start: int, end: int | None) -> AsyncIterator[bytes]:
        part = self.contents[path][start:end]
        self.sent += len(part)
        yield part


def _holding(uid: str, kept: dict[str, Reference]) -> LongTask:
    artifacts = [
        {"name": name.removeprefix("artifacts/"), **reference.to_api()}
        for name, reference in kept.items()
        if name != "result"
    ]
    result = {"artifacts": artifacts} | ({"reference": kept["result"].to_api()} if "result" in kept else {})
    metadata = {"name": "known", "uid": uid, "resourceVersion": "1"}
    return LongTask.from_api(
        {"metadata": metadata, "spec": {"templateRef": {"name": "any"}}, "status": {"result": result}}
    )


class _Door:
    """Notes what is asked, and answers what the test wants answered instead."""

    def __init__(self, operator: GivenTaskApi) -> None:
        self._operator = operator
        archive = SimpleNamespace(page=operator.page, get=operator.read_archived, body=operator.body)
        known = SimpleNamespace(get=lambda uid: SimpleNamespace(metadata=SimpleNamespace(name="known")))
        parts = {
            "cluster": operator,
            "cache": SimpleNamespace(tasks=known),
            "readers": operator,
            "blobs": operator,
            "archive": archive,
        }
        others: dict[str, Any] = dict.fromkeys(("pods", "writes", "validator"))
        self._real = task_api(Parts(**cast(dict[str, Any], parts), **others))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        operator, request = self._operator, Request(scope)
        path, query = request.url.path, dict(request.query_params)
        archived, of_bytes = path.startswith("/v1/archive"), path.endswith("/result") or "/artifacts/" in path
        answer: Any = self._real
        if archived:
            operator.asked.append((path, query))
            answer = operator.archive_instead or answer
        if of_bytes:
            operator.seen.append((path, request.headers["range"], request.headers["authorization"]))
            answer = operator.instead or self._real
        if path.endswith("/logs"):
            operator.seen.append((path, query, request.headers["authorization"]))
            answer = operator.log
        operator.asking += archived
        operator.asked_at_once = max(operator.asked_at_once, operator.asking)
        try:
            await asyncio.sleep(0)
            await answer(scope, receive, send)
        finally:
            operator.asking -= archived


@asynccontextmanager
async def given_task_api() -> AsyncIterator[GivenTaskApi]:
    """One that listens while the block runs."""
    port = free_port()
    operator = GivenTaskApi(f"http://127.0.0.1:{port}")
    server = uvicorn.Server(
        uvicorn.Config(_Door(operator), host="127.0.0.1", port=port, log_config=None, ws="none", lifespan="off")
    )
    serving = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await eventually(started, "the listener")
    yield operator
    server.should_exit = True
    await serving
