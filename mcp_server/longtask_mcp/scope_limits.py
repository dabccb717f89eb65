"""Refuses requests that a token's scopes do not allow: an ASGI layer behind the one that has read the body."""

import json
import logging
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from longtask_mcp.contract.operations import operation
from longtask_mcp.metrics import Metrics
from longtask_mcp.oauth.resource import ProtectedResource, challenge
from longtask_mcp.request_limits import refusal, replay
from longtask_mcp.subject import Subject

log = logging.getLogger(__name__)


class ScopeLimits:
    """Reads the body only of a caller whose token lacks a scope."""

    def __init__(self, app: ASGIApp, whose: str, resource: ProtectedResource | None, metrics: Metrics) -> None:
        """`whose` is the scope's key for the Subject."""
        self._app = app
        self._whose = whose
        self._resource = resource
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        subject: Subject | None = scope.get(self._whose)
        if subject is None or not subject.lacks:
            await self._app(scope, receive, send)
            return
        message = await receive()
        body = message.get("body", b"")
        requested = operation(_parsed(body))
        wanted = subject.lacks.get(requested) if requested is not None else None
        if wanted is None:
            await self._app(scope, replay(body, receive), send)
            return
        text = f"the token lacks a scope that this needs; get one with {' '.join(wanted)}"
        self._metrics.refusals.labels("InsufficientScope").inc()
        log.warning("request refused: %s", text, extra={"reason": "InsufficientScope", "status": 403})
        headers = challenge("insufficient_scope", text, self._resource, wanted)
        await refusal(403, text, headers)(scope, receive, send)


def _parsed(body: bytes) -> Any:
    """The request; None if it is not JSON, which the protocol's own layer refuses."""
    try:
        return json.loads(body)
    except ValueError:
        return None
