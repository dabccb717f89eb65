"""Requests that are refused before the MCP library reads them."""

import logging
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from longtask_api.bounds import MAX_DEPTH, Meter

INVALID_REQUEST = -32600
INTERNAL_ERROR = -32603
LEVELS_AROUND = 90
"""Of a request around parameters or an answer, and beyond what these may have: so the tool itself says what is wrong
with them. Readers of JSON take about 200 levels."""

log = logging.getLogger(__name__)


def refusal(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """An HTTP error whose body is a JSON-RPC error, so that clients show `text` and not only the status."""
    code = INTERNAL_ERROR if status >= 500 else INVALID_REQUEST
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": text}}
    return JSONResponse(body, status_code=status, headers=headers)


class Gate:
    """Lets through POST requests of a bearable size and depth.

    A stateless server has nothing to say on a GET stream; left open, each would only delay the stop.
    """

    def __init__(self, app: ASGIApp, max_request_bytes: int) -> None:
        self._app = app
        self._max_request_bytes = max_request_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "")
        if scope["method"] != "POST":
            await Response(status_code=405, headers={"Allow": "POST"})(scope, receive, send)
        elif length.isdecimal() and int(length) > self._max_request_bytes:
            text = f"the request has {length} bytes; at most {self._max_request_bytes} are read. Nothing was started."
            await refusal(413, text)(scope, receive, send)
        else:
            measured = _Measured(scope, receive, send)
            try:
                await self._app(scope, measured.receive, measured.send)
            except ClientDisconnect:
                log.info("a client went away, or was sent away, before its request was complete")


class _Measured:
    """A request whose body is counted as it comes. When it is more than anybody should parse it is refused, and to the
    app it looks as if the client had gone: the app has read nothing of it as JSON yet."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._meter = Meter(MAX_DEPTH + LEVELS_AROUND)
        self._refused = False

    async def receive(self) -> Message:
        """The next message for the app."""
        message = await self._receive()
        if message["type"] == "http.request" and (problem := self._meter.add(message.get("body", b""))):
            self._refused = True
            await refusal(400, f"the request {problem}. Nothing was started.")(self._scope, self._receive, self._send)
            return {"type": "http.disconnect"}
        return message

    async def send(self, message: Message) -> None:
        """What the app answers, unless it was answered."""
        if not self._refused:
            await self._send(message)
