"""Authentication and authorization: an ASGI layer in front of the MCP endpoint that passes known callers only."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from kubernetes.aio.client import ApiClient
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from longtask_api import constants
from longtask_mcp.contract.callers import Caller
from longtask_mcp.delegation import BadHeaders, Delegation, Forbidden
from longtask_mcp.metrics import Metrics
from longtask_mcp.request_limits import refusal
from longtask_runtime.authentication import Identity, Memory, Refused, TokenReviewer, Unavailable, submit_review

MAX_PRINCIPAL = 512
SCOPE_KEY = "longtask.caller"

log = logging.getLogger(__name__)


Identify = Callable[[Headers], Awaitable[str]]
"""Returns the verified principal of a request. Raises Refused, Forbidden or Unavailable."""


async def anonymous(_: Headers) -> str:
    """All callers are one principal (auth: none)."""
    return "anonymous"


class KubernetesIdentity:
    """Verifies bearer tokens by TokenReview; the caller must be allowed to create LongTasks in the namespace."""

    def __init__(self, client: ApiClient, audience: str, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._reviewer = TokenReviewer(client, audience)
        self._allowed: Memory[str, str] = Memory()

    async def __call__(self, headers: Headers) -> str:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        identity = await self._reviewer.review(token.strip() if scheme.lower() == "bearer" else "")
        return await self._allowed.get(f"{identity}", lambda: self._authorized(identity))

    async def _authorized(self, identity: Identity) -> str:
        status = await submit_review(
            self._client,
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {
                    "user": identity.username,
                    "uid": identity.uid,
                    "groups": identity.groups,
                    "extra": {key: list(values) for key, values in identity.extra.items()},
                    "resourceAttributes": {
                        "namespace": self._namespace,
                        "verb": "create",
                        "group": constants.GROUP,
                        "version": constants.VERSION,
                        "resource": constants.TASK_PLURAL,
                    },
                },
            },
        )
        if not status.get("allowed"):
            raise Forbidden(
                f"{identity.username} may not create {constants.TASK_PLURAL}.{constants.GROUP} in namespace "
                f"{self._namespace}; a RoleBinding there would allow it"
            )
        if not 0 < len(identity.username) <= MAX_PRINCIPAL:
            raise Forbidden(f"the user name has {len(identity.username)} characters; 1 to {MAX_PRINCIPAL} are allowed")
        return identity.username


class Identified:
    """Puts the Caller into the request's scope, or answers 400, 401, 403 or 503, which is logged and counted."""

    def __init__(self, app: ASGIApp, identify: Identify, delegation: Delegation, metrics: Metrics) -> None:
        self._app = app
        self._identify = identify
        self._delegation = delegation
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            caller = self._delegation.caller(await self._identify(headers), headers)
        except BadHeaders as bad:
            answer = self._refusal(400, "BadHeaders", str(bad))
        except Refused as refused:
            answer = self._refusal(401, refused.reason, str(refused), _challenge("invalid_token", str(refused)))
        except Forbidden as forbidden:
            answer = self._refusal(403, "Forbidden", str(forbidden), _challenge("insufficient_scope", str(forbidden)))
        except Unavailable as unavailable:
            log.warning("a caller cannot be identified: %s", unavailable)
            text = "the Kubernetes API cannot be asked who you are; try again in a few seconds"
            answer = self._refusal(503, "Unavailable", text, {"Retry-After": str(unavailable.retry_after)})
        else:
            await self._app({**scope, SCOPE_KEY: caller}, receive, send)
            return
        await answer(scope, receive, send)

    def _refusal(self, status: int, reason: str, text: str, headers: dict[str, str] | None = None) -> Response:
        self._metrics.refusals.labels(reason).inc()
        log.warning("request refused: %s", text, extra={"reason": str(reason), "status": status})
        return refusal(status, text, headers)


def caller_of(request: Any) -> Caller:
    """The caller of a Starlette request that passed Identified."""
    caller: Caller = request.scope[SCOPE_KEY]
    return caller


def _challenge(error: str, text: str) -> dict[str, str]:
    """The WWW-Authenticate header (RFC 6750, section 3)."""
    description = "".join(char if char.isascii() and char.isprintable() and char not in '"\\' else " " for char in text)
    return {"WWW-Authenticate": f'Bearer realm="{constants.GROUP}", error="{error}", error_description="{description}"'}
