"""Client of the operator's task API, for what the MCP server may not read itself: logs, large results, artifacts, and
records of tasks that are no longer in the cluster.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, ConfigDict, ValidationError

from longtask_api.base import rfc3339
from longtask_api.longtask import LongTask
from longtask_mcp.contract.callers import Caller
from longtask_mcp.contract.logs import LogLines, TaskLog

LOG_SECONDS = 20.0
LIST_SECONDS = 20.0
READ_SECONDS = 8.0
"""Together with the longest wait, less than the 60 seconds after which clients time out."""
MAX_ANSWER_BYTES = 8 * 1024 * 1024
UNREADABLE = "the operator's answer is not readable"
CONTENT_RANGE = re.compile(r"bytes (?:(?P<first>\d{1,18})-\d{1,18}|\*)/(?P<size>\d{1,18})")

M = TypeVar("M", bound=BaseModel)


class Unavailable(Exception):
    """The operator did not return what was requested; the text says why."""


class Absent(Unavailable):
    """The operator does not have it (any more), so a retry does not help."""


class Malformed(Unavailable):
    """The operator rejected the request as invalid."""


@dataclass(frozen=True)
class Piece:
    """Bytes from the requested offset, of content that has `size` bytes in all."""

    content: bytes
    size: int


class ArchivePage(BaseModel):
    """Records of ended tasks, newest first; `cursor` leads to the next page, and is None after the last.

    `notes` say what is on no page, because there is too much.
    """

    model_config = ConfigDict(frozen=True)

    tasks: list[LongTask]
    cursor: str | None = None
    notes: list[str] = []


class _ArchivedTask(BaseModel):
    task: LongTask


class TaskApi:
    """HTTP client of the task API; an async context manager that owns the connections."""

    def __init__(self, url: str, token_file: Path) -> None:
        """`token_file` is read for every request, because kubelet renews it."""
        self._token_file = token_file
        self._client = httpx2.AsyncClient(base_url=url, timeout=LOG_SECONDS)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def log(self, uid: str, wanted: LogLines) -> TaskLog:
        """The last lines of a task's newest attempt that are wanted. Raises Unavailable."""
        params = {"tail_lines": str(wanted.lines + wanted.skipped)}
        params |= {"since": rfc3339(wanted.since)} if wanted.since is not None else {}
        params |= {"contains": wanted.contains} if wanted.contains is not None else {}
        async with self._get(f"/v1/tasks/{uid}/logs", LOG_SECONDS, params) as response:
            await response.aread()
        if response.status_code != 200:
            raise _refusal(response)
        return _read(TaskLog, response.content)

    async def archived(self, caller: Caller, uid: str) -> LongTask:
        """The record of a task of the caller that is no longer in the cluster. Raises Absent or Unavailable."""
        content = await self._document(f"/v1/archive/{uid}", _asking(caller), READ_SECONDS)
        return _read(_ArchivedTask, content).task

    async def archive_page(self, caller: Caller, limit: int, cursor: str) -> ArchivePage:
        """At most `limit` records of the caller's ended tasks, from `cursor` on; an empty one is the beginning.

        Raises Malformed for an invalid cursor, and Unavailable.
        """
        params = _asking(caller) | {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
        return _read(ArchivePage, await self._document("/v1/archive", params, LIST_SECONDS))

    async def read(
        self, uid: str, artifact: str | None, first: int, last: int, archived_for: Caller | None = None
    ) -> Piece:
        """Bytes `first` to `last` (inclusive) of a stored result or artifact; fewer if it ends before, none beyond its
        end. With `archived_for`: of that caller's task that is no longer in the cluster.

        No more than that is read, whatever the operator sends. Raises Unavailable.
        """
        what = "result" if artifact is None else f"artifacts/{quote(artifact, safe='')}"
        path = f"/v1/{'tasks' if archived_for is None else 'archive'}/{uid}/{what}"
        params = _asking(archived_for) if archived_for is not None else None
        headers = {"Range": f"bytes={first}-{last}", "Accept-Encoding": "identity"}
        async with self._get(path, READ_SECONDS, params, headers) as response:
            if response.status_code == 206:
                return _piece(response, first, last, await _at_most(response, last - first + 1))
            if response.status_code == 416:
                return _piece(response, first, last, b"")
            if response.is_success:
                raise Unavailable(UNREADABLE)
            await response.aread()
        raise _refusal(response)

    async def _document(self, path: str, params: dict[str, str], seconds: float) -> bytes:
        async with self._get(path, seconds, params) as response:
            if response.status_code == 200:
                return await _at_most(response, MAX_ANSWER_BYTES)
            await response.aread()
        raise _refusal(response)

    @asynccontextmanager
    async def _get(
        self, path: str, seconds: float, params: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> AsyncIterator[httpx2.Response]:
        try:
            token = self._token_file.read_text().strip()
            authorized = {**(headers or {}), "Authorization": f"Bearer {token}"}
            async with (
                asyncio.timeout(seconds),
                self._client.stream("GET", path, params=params, headers=authorized) as response,
            ):
                yield response
        except (httpx2.HTTPError, OSError) as error:
            raise Unavailable(f"the operator cannot be reached now ({type(error).__name__})") from error


def _asking(caller: Caller) -> dict[str, str]:
    """Query parameters: the owner of the archived tasks, and the memory that likely has them."""
    told = {
        "principal": caller.principal,
        "actor_id": caller.actor_id,
        "memory_id": caller.memory.memory_id if caller.memory is not None else None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _read(model: type[M], content: bytes) -> M:
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise Unavailable(UNREADABLE) from error


async def _at_most(response: httpx2.Response, size: int) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > size:
            raise Unavailable(UNREADABLE)
    return bytes(content)


def _piece(response: httpx2.Response, first: int, last: int, content: bytes) -> Piece:
    """The piece, if it is complete and from the requested offset (Content-Range: RFC 9110, section 14.4)."""
    found = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    size = int(found["size"]) if found is not None else -1
    begins = found["first"] if found is not None else None
    if size < 0 or begins not in (None, str(first)) or len(content) != max(0, min(size, last + 1) - first):
        raise Unavailable(UNREADABLE)
    return Piece(content, size)


def _refusal(response: httpx2.Response) -> Unavailable:
    try:
        detail = str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"the operator answered {response.status_code}"
    return {404: Absent, 422: Malformed}.get(response.status_code, Unavailable)(detail)
