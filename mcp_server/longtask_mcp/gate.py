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


class TooMuch(Exception):
    """The body holds JSON that nobody should parse; the text says how much."""


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
            try:
                await self._app(scope, _measured(receive), send)
            except TooMuch as error:
                await refusal(400, f"the request {error}. Nothing was started.")(scope, receive, send)
            except ClientDisconnect:
                log.info("a client went away before its request was complete")


def _measured(receive: Receive) -> Receive:
    """The same messages. Raises TooMuch before the app has so much of the body that it would be too much to parse."""
    meter = Meter(MAX_DEPTH + LEVELS_AROUND)

    async def received() -> Message:
        message = await receive()
        if message["type"] == "http.request" and (problem := meter.add(message.get("body", b""))):
            raise TooMuch(problem)
        return message

    return received
