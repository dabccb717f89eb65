"""Rejects requests before the MCP library reads them, and bounds the request bytes in memory at a time.

Every rejection has a form that clients show: a JSON-RPC error, and for a tool call of an older client a result.
"""

import asyncio
import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pydantic_core
from mcp.server.streamable_http import check_accept_headers
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from longtask_api import constants
from longtask_api.bounds import MAX_DEPTH, Meter
from longtask_mcp.contract.errors import BadRequest

INVALID_REQUEST = -32600
INTERNAL_ERROR = -32603
BODY_SECONDS = 20.0
"""How long the body of a request may take to arrive, in seconds."""
DRAIN_SECONDS = 3.0
"""How long the rest of a rejected body is read and discarded, in seconds."""
AGAIN_SECONDS = 2
LAST_EVENT_ID = "last-event-id"
RESOURCE_BYTES = 512 * 1024
"""What a read of a resource counts in the budget of requests: its answer is held until its reader has taken it."""
ENDS = 4096
"""Bytes kept from either end of a discarded body, where the id of the call is."""
LEVELS_AROUND = 90
"""Levels that a request may have beyond MAX_DEPTH: those around parameters or an answer, and some more, so that the
tool itself reports what is too deep. JSON parsers accept about 200 levels."""

log = logging.getLogger(__name__)


def refusal(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """An HTTP error with a JSON-RPC error as its body, so that clients show `text` and not only the status."""
    code = INTERNAL_ERROR if status >= 500 else INVALID_REQUEST
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": text}}
    return JSONResponse(body, status_code=status, headers=headers)


class Door:
    """Checks the path, method and headers of a request, before authentication."""

    def __init__(
        self,
        app: ASGIApp,
        path: str,
        allowed_hosts: Collection[str],
        any_host: bool,
        resumes: bool,
        documents: Mapping[str, bytes] | None = None,
    ) -> None:
        """`allowed_hosts` are `name` or `name:*`; with `any_host` they apply to Origin only, and any Host is valid.
        `resumes`: a GET may resume a call. `documents` are JSON by path, for everybody.
        """
        self._app = app
        self._path = path
        self._allowed = frozenset(allowed_hosts)
        self._any_host = any_host
        self._resumes = resumes
        self._documents = documents or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        document = self._documents.get(scope["path"].rstrip("/"))
        if document is not None and scope["method"] in ("GET", "HEAD"):
            await Response(document, media_type="application/json")(scope, receive, send)
            return
        answer = self._refusal(scope)
        if answer is not None:
            log.info("request refused", extra={"status": answer.status_code, "path": scope["path"][:200]})
            await answer(scope, receive, send)
            return
        await self._app({**scope, "path": self._path, "raw_path": self._path.encode()}, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if scope["path"].rstrip("/") != self._path:
            return refusal(404, f"there is nothing here; the MCP endpoint is {self._path}")
        if not self._any_host and not self._is_allowed(headers.get("host", "")):
            return refusal(421, "the Host header is not one of this server's; list it in mcp.allowedHosts")
        if not all(self._is_allowed(_host_of(origin)) for origin in headers.getlist("origin")):
            return refusal(403, "web pages of that Origin may not call this server; list its host in mcp.allowedHosts")
        has_json, has_sse = check_accept_headers(Request(scope))
        if scope["method"] == "GET" and self._resumes and LAST_EVENT_ID in headers:
            return None if has_sse else refusal(406, "the answer is an event stream: Accept: text/event-stream")
        if scope["method"] != "POST":
            return refusal(
                405, "only POST is served: there are no sessions and no streams of their own", {"Allow": "POST"}
            )
        if headers.get("content-encoding", "identity").lower() != "identity":
            return refusal(415, "the body is compressed; send it as it is, without Content-Encoding")
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return refusal(415, "the body must be JSON: Content-Type: application/json")
        if not (has_json and has_sse):
            return refusal(406, "answers are JSON or an event stream: Accept: application/json, text/event-stream")
        return None

    def _is_allowed(self, host: str) -> bool:
        name, _, port = host.lower().rpartition(":")
        return host.lower() in self._allowed or f"{name if port.isdecimal() else host.lower()}:*" in self._allowed


class RequestLimits:
    """Reads the body of an identified caller, within limits of size, depth, time and memory, and passes it on whole."""

    def __init__(
        self, app: ASGIApp, max_bytes: int, budget: "Budget", whose: str, listed: Callable[[], bool] = lambda: True
    ) -> None:
        """`whose` is the scope's key for the Caller; `listed` says whether the cluster's objects have been listed:
        before that every answer would be wrong.
        """
        self._app = app
        self._max_bytes = max_bytes
        self._budget = budget
        self._whose = whose
        self._listed = listed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if not self._listed():
            await _refused(NOT_LISTED, b"", True)(scope, receive, send)
            return
        size = self._size(scope)
        if size > self._max_bytes:
            await _refused(self._too_large(), b"", True)(scope, receive, send)
            return
        with self._budget.taken(scope[self._whose].owner, size) as share:
            if share is None:
                await _refused(BUSY, b"", True)(scope, receive, send)
                return
            read = await self._read(receive)
            if isinstance(read, bytes):
                share.keep(len(read) or size)
                with self._budget.taken(scope[self._whose].owner, _answer_bytes(read)) as room:
                    answer = self._app if room is not None else _refused(BUSY, read, False)
                    await answer(scope, replay(read, receive), send)
            elif read is not None:
                await read(scope, receive, send)

    def _size(self, scope: Scope) -> int:
        """The size of the body in bytes, or the limit if it is not declared; of a GET that resumes a call, which has no
        body (RFC 9112, section 6.3), the size of the id that stands for one.
        """
        headers = Headers(scope=scope)
        declared = headers.get("content-length", "")
        if declared.isdecimal():
            return int(declared[:20])
        has_body = scope["method"] != "GET" or "transfer-encoding" in headers
        return self._max_bytes if has_body else len(headers.get(LAST_EVENT_ID, ""))

    async def _read(self, receive: Receive) -> bytes | ASGIApp | None:
        """The body; a rejection if it is too large, too deep or too slow; None if the client disconnected."""
        body, meter = bytearray(), Meter(MAX_DEPTH + LEVELS_AROUND)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                more = True
                while more:
                    message = await receive()
                    if message["type"] != "http.request":
                        log.info("a client went away before its request was complete")
                        return None
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if why := self._refusal(len(body), meter.add(message.get("body", b""))):
                        return _refused(why, bytes(body), more)
        except TimeoutError:
            text = f"the request was not complete after {BODY_SECONDS:g} seconds; nothing was started"
            return _refused(Why(408, text), bytes(body), False)
        return bytes(body)

    def _refusal(self, size: int, problem: str | None) -> "Why | None":
        if size > self._max_bytes:
            return self._too_large()
        return Why(400, f"the request {problem}. Nothing was started.") if problem else None

    def _too_large(self) -> "Why":
        return Why(
            413,
            f"the request is too large: at most {self._max_bytes} bytes are read, and parameters may have "
            f"{constants.MAX_PARAMETERS_BYTES} as JSON. Nothing was started. Put what is large where the work can "
            "read it (a bucket, a volume, a URL), and pass where it is.",
        )


def _answer_bytes(body: bytes) -> int:
    """Bytes to count for the answer, if it may be large."""
    if b"read" not in body and b"\\" not in body:
        return 0
    try:
        request = pydantic_core.from_json(body)
        return RESOURCE_BYTES if isinstance(request, dict) and request.get("method") == "resources/read" else 0
    except ValueError:
        return 0


@dataclass(frozen=True)
class Why:
    """Status and text of a rejection; `again` if the same call may succeed later."""

    status: int
    text: str
    again: bool = False


NOT_LISTED = Why(
    503,
    "this server has only just started and has not read yet which tasks and templates there are; nothing was done. "
    "Make the same call again in a few seconds.",
    True,
)
BUSY = Why(429, "too much is being sent at once; nothing was started. Make the same call again in a few seconds.", True)


def _refused(why: Why, begun: bytes, more: bool) -> ASGIApp:
    """Rejects a request in a form that the client shows to its agent; `begun` is what was read of the body, `more`
    whether the rest is still to come.

    Older clients (mcp 1.x) end their session on any HTTP error. A tool call of theirs gets a result with isError
    instead, if its id is found in the body.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        head, tail = begun[:ENDS], begun[-ENDS:]
        if more:
            head, tail = await _thrown_away(receive, head, tail)
        headers = {"Retry-After": str(AGAIN_SECONDS)} if why.again else {"Connection": "close"}
        id_ = _id_of_call(head, tail) if "mcp-method" not in Headers(scope=scope) else None
        if id_ is None:
            await refusal(why.status, why.text, headers)(scope, receive, send)
            return
        log.info("a call is refused before it is read", extra={"status": why.status})
        error = BadRequest(why.text, retry_after_seconds=AGAIN_SECONDS if why.again else None)
        result = {
            "content": [{"type": "text", "text": why.text}],
            "structuredContent": error.envelope,
            "isError": True,
        }
        body = {"jsonrpc": "2.0", "id": id_, "result": result}
        await JSONResponse(body, headers=headers)(scope, receive, send)

    return answer


_ID = rb'"id"\s*:\s*(-?\d{1,18}|"[^"\\]{0,200}")\s*'
_VERSION = rb'"jsonrpc"\s*:\s*"2\.0"\s*'
_AT_THE_HEAD = re.compile(rb"\s*\{\s*(?:" + _VERSION + rb",\s*)?" + _ID + rb",")
_AT_THE_END = re.compile(_ID + rb"(?:,\s*" + _VERSION + rb")?\}\s*\Z")
_CALL = re.compile(rb'"method"\s*:\s*"tools/call"')


def _id_of_call(head: bytes, tail: bytes) -> Any:
    """The JSON-RPC id of a tool call, from the ends of its body, where clients put it; None if it is not found."""
    found = _AT_THE_HEAD.match(head) or _AT_THE_END.search(tail)
    if found is None or not (_CALL.search(head) or _CALL.search(tail)):
        return None
    try:
        return json.loads(found[1])
    except ValueError:
        return None


class Budget:
    """Limits the bytes of requests being read or processed, for each caller and in all."""

    def __init__(self, in_all: int, of_one: int) -> None:
        self._in_all = in_all
        self._of_one = of_one
        self._taken: Counter[Hashable] = Counter()

    @contextmanager
    def taken(self, who: Hashable, size: int) -> Iterator["Share | None"]:
        """Reserve `size` bytes until the context ends; yields None if the budget has no room for them."""
        if self._taken.total() + size > self._in_all or self._taken[who] + size > self._of_one:
            yield None
            return
        share = Share(self._taken, who, size)
        try:
            yield share
        finally:
            share.keep(0)


class Share:
    """Bytes of the budget that one request has reserved."""

    def __init__(self, taken: Counter[Hashable], who: Hashable, size: int) -> None:
        self._taken = taken
        self._who = who
        self._size = size
        taken[who] += size

    def keep(self, size: int) -> None:
        """Release all but `size` bytes."""
        self._taken[self._who] += size - self._size
        self._size = size
        if not self._taken[self._who]:
            del self._taken[self._who]


async def _thrown_away(receive: Receive, head: bytes, tail: bytes) -> tuple[bytes, bytes]:
    """Discards the rest of a body, because clients that still send do not read a response. Returns its first and last
    bytes; the last are empty if it does not end in time.
    """
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            more = True
            while more:
                message = await receive()
                piece, more = message.get("body", b""), message.get("more_body", False)
                head += piece[: ENDS - len(head)]
                tail = (tail + piece[-ENDS:])[-ENDS:]
    except TimeoutError:
        return head, b""
    return head, tail


def replay(body: bytes, receive: Receive) -> Receive:
    """Receives the whole body first, then later messages, such as the client's disconnect."""
    unread = [body]

    async def replay() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return replay


def _host_of(origin: str) -> str:
    """Host and port of an Origin; empty if it has none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
