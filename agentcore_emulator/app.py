"""The HTTP side: calls in, answers and faults out, and what tests ask for below /_emulator/."""

import asyncio
import time
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agentcore_emulator.faults import REFUSALS, Fault, Faults, Limits
from agentcore_emulator.model import Refusal, arguments, called, document, status_of
from agentcore_emulator.operations import Memories

HANG_SECONDS = 600.0
LOGGED = ("memoryId", "actorId", "sessionId", "clientToken")


CUT = "agentcore_emulator.cut"
"""In the scope of a request: what ends its connection."""


class NoAnswer(Exception):
    """The connection ends without an answer."""


class Emulator:
    """Answers calls one after another; they are short."""

    def __init__(self, memories: Memories, *, limits: bool = True) -> None:
        self._memories = memories
        self._faults = Faults()
        self._limits = Limits() if limits else None
        self._calls: list[dict[str, Any]] = []

    def app(self) -> Starlette:
        """The ASGI app."""
        return Starlette(
            routes=[
                Route("/_emulator/faults", self._set_faults, methods=["POST", "DELETE"]),
                Route("/_emulator/calls", self._show_calls, methods=["GET", "DELETE"]),
                Route("/{path:path}", self._call, methods=["GET", "POST", "DELETE", "PUT", "PATCH"]),
            ]
        )

    async def _set_faults(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._faults.clear()
            return Response(status_code=204)
        try:
            self._faults.add([Fault(**each) for each in await request.json()])
        except (TypeError, ValueError) as error:
            return JSONResponse({"detail": str(error)}, 422)
        return Response(status_code=204)

    async def _show_calls(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._calls.clear()
            return Response(status_code=204)
        return JSONResponse(self._calls)

    async def _call(self, request: Request) -> Response:
        entry: dict[str, Any] = {"at": time.time(), "operation": None, "status": None, "fault": None}
        self._calls.append(entry)
        try:
            status, content = await self._answer(request, entry)
        except Refusal as refusal:
            status, content = status_of(refusal.code), {"message": str(refusal), **refusal.members}
            entry["status"] = status
            return JSONResponse(content, status, {"x-amzn-ErrorType": refusal.code})
        except NoAnswer:
            request.scope[CUT]()
            return Response()
        entry["status"] = status
        return JSONResponse(document(content), status)

    async def _answer(self, request: Request, entry: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        found = called(request.method, request.scope["raw_path"].decode("ascii"))
        if found is None:
            raise Refusal("ResourceNotFoundException", f"no operation is {request.method} {request.url.path}")
        operation, uri = found
        entry["operation"] = operation.name
        if "authorization" not in request.headers:
            raise Refusal("AccessDeniedException", "the request is not signed")
        if operation.name not in self._memories.operations:
            raise Refusal("ServiceException", f"{operation.name} is not emulated")
        given = arguments(operation, uri, await request.body())
        entry |= {key: given[key] for key in LOGGED if key in given}
        fault = entry["fault"] = self._faults.next(operation.name, given)
        if fault in REFUSALS:
            more = {"reason": "FieldValidationFailed"} if fault == "invalid" else {}
            raise Refusal(REFUSALS[fault], f"scripted: {fault}", **more)
        if fault in ("reset", "hang"):
            await _silence(fault)
        if self._limits is not None:
            self._limits.take(operation.name, given)
        content = self._memories.answer(operation.name, given)
        if fault == "errorAfter":
            raise Refusal("ServiceException", "scripted: errorAfter")
        if fault is not None:
            await _silence(fault)
        return int(operation.http["responseCode"]), content


async def _silence(fault: str) -> None:
    if fault.startswith("hang"):
        await asyncio.sleep(HANG_SECONDS)
    raise NoAnswer
