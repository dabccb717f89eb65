"""Authentication and authorization: an ASGI layer in front of the MCP endpoint that passes known callers only."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from kubernetes.aio.client import ApiClient
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from longtask_api import constants
from longtask_mcp.contract.callers import Caller
from longtask_mcp.delegation import BadHeaders, Delegation, Forbidden
from longtask_mcp.metrics import Metrics
from longtask_mcp.oauth.resource import ProtectedResource, challenge
from longtask_mcp.oauth.verifier import TokenVerifier
from longtask_mcp.request_limits import refusal
from longtask_mcp.subject import Subject
from longtask_runtime.authentication import (
    Identity,
    Memory,
    Reason,
    Refused,
    TokenReviewer,
    Unavailable,
    submit_review,
)

MAX_PRINCIPAL = 512
SCOPE_KEY = "longtask.caller"
SUBJECT_KEY = "longtask.subject"
ANONYMOUS = Subject(Identity("anonymous", "", (), {}))

log = logging.getLogger(__name__)


Identify = Callable[[Headers], Awaitable[Subject]]
"""Returns who a request's token proves. Raises Refused, Forbidden or Unavailable."""


async def anonymous(_: Headers) -> Subject:
    """All callers are one principal (auth: none)."""
    return ANONYMOUS


class BearerIdentity:
    """Verifies bearer tokens: those of the configured issuers by their keys, all others by TokenReview.

    Either way the user must be allowed to create LongTasks in the namespace.
    """

    def __init__(self, client: ApiClient, audience: str, namespace: str, issuers: TokenVerifier | None) -> None:
        """Without `issuers`, every token goes to TokenReview."""
        self._client = client
        self._namespace = namespace
        self._issuers = issuers
        self._reviewer = TokenReviewer(client, audience)
        self._allowed: Memory[str, None] = Memory()

    async def __call__(self, headers: Headers) -> Subject:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        subject = await self._subject(token.strip() if scheme.lower() == "bearer" else "")
        await self._allowed.get(f"{subject.identity}", lambda: self._authorize(subject.identity))
        return subject

    async def _subject(self, token: str) -> Subject:
        if self._issuers is None:
            return Subject(await self._reviewer.review(token))
        verified = await self._issuers.verify(token)
        if verified is not None:
            return verified
        try:
            return Subject(await self._reviewer.review(token))
        except Refused as refused:
            if refused.reason is Reason.INVALID:
                raise Refused(
                    refused.reason, f"{refused}; nor is its issuer (iss) one that is configured here"
                ) from None
            raise

    async def _authorize(self, identity: Identity) -> None:
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


class Identified:
    """Puts Caller and Subject into the request's scope, or answers 400, 401, 403, 503, which is logged and counted."""

    def __init__(
        self,
        app: ASGIApp,
        identify: Identify,
        delegation: Delegation,
        metrics: Metrics,
        resource: ProtectedResource | None = None,
    ) -> None:
        """`resource` is named to refused callers, so that they log in; without it, their tokens come from elsewhere."""
        self._app = app
        self._identify = identify
        self._delegation = delegation
        self._metrics = metrics
        self._resource = resource

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            subject = await self._identify(headers)
            caller = self._delegation.caller(subject.identity.username, headers, subject.actor_id)
        except BadHeaders as bad:
            answer = self._refusal(400, "BadHeaders", str(bad))
        except Refused as refused:
            answer = self._refusal(401, refused.reason, str(refused), self._unauthorized(refused))
        except Forbidden as forbidden:
            answer = self._refusal(403, "Forbidden", str(forbidden), self._forbidden(forbidden))
        except Unavailable as unavailable:
            log.warning("a caller cannot be identified: %s", unavailable)
            retry = {"Retry-After": str(unavailable.retry_after)}
            answer = self._refusal(503, "Unavailable", unavailable.answer, retry)
        else:
            await self._app({**scope, SCOPE_KEY: caller, SUBJECT_KEY: subject}, receive, send)
            return
        await answer(scope, receive, send)

    def _unauthorized(self, refused: Refused) -> Mapping[str, str]:
        """A request without a token gets no error code where it may log in (RFC 6750, section 3.1)."""
        first = self._resource is not None and refused.reason is Reason.MISSING
        return challenge(None if first else "invalid_token", str(refused), self._resource)

    def _forbidden(self, forbidden: Forbidden) -> Mapping[str, str]:
        """A client that can log in would do so for a scope, again and again, where RBAC is what refuses."""
        return challenge("insufficient_scope", str(forbidden), None) if self._resource is None else {}

    def _refusal(self, status: int, reason: str, text: str, headers: Mapping[str, str] | None = None) -> Response:
        self._metrics.refusals.labels(reason).inc()
        log.warning("request refused: %s", text, extra={"reason": str(reason), "status": status})
        return refusal(status, text, headers)


def caller_of(request: Any) -> Caller:
    """The caller of a Starlette request that passed Identified."""
    caller: Caller = request.scope[SCOPE_KEY]
    return caller
