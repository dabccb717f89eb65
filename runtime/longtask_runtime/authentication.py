"""Whose a bearer token is: the API server's TokenReview, for one audience, remembered for a few seconds."""

import asyncio
import base64
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

import aiohttp
from kubernetes.aio.client import ApiClient

from longtask_runtime import kube

MEMORY_SECONDS = 10.0
"""How long an answer is reused. A token that is revoked works for so much longer."""
REFUSED_SECONDS = 5.0
"""How long a refusal is. A token that the API server does not know yet, as its pod is new, waits for so much longer."""
REVIEWS_AT_ONCE = 32
"""A flood of tokens that are all different waits here and not in the API server."""
MEMORY_ENTRIES = 16_384
MAX_TOKEN_LENGTH = 16 * 1024
RETRY_AFTER_SECONDS = 5

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True)
class Identity:
    """Who holds a token. `extra` has what the issuer adds, such as authentication.kubernetes.io/pod-name."""

    username: str
    uid: str
    groups: tuple[str, ...]
    extra: Mapping[str, tuple[str, ...]]


class Reason(StrEnum):
    """Why a token was refused."""

    MISSING = "Missing"
    INVALID = "Invalid"
    EXPIRED = "Expired"
    WRONG_AUDIENCE = "WrongAudience"


class Refused(Exception):
    """The token does not prove an identity here. The text is for the caller and says what would."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Unavailable(Exception):
    """The API server could not be asked: answer 503 and `retry_after` (seconds)."""

    retry_after = RETRY_AFTER_SECONDS


class TokenReviewer:
    """Reviews tokens against one audience
    (https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/).
    """

    def __init__(self, client: ApiClient, audience: str, memory_seconds: float = MEMORY_SECONDS) -> None:
        """`memory_seconds` is how long an answer is reused, at most until the token expires. Refusals are remembered
        apart and for a shorter time, so that no number of bad tokens drives out a good one."""
        self._client = client
        self._audience = audience
        self._known: Memory[str, Identity] = Memory(memory_seconds)
        self._expired: Memory[str, Identity] = Memory(0.0)
        self._refused = Refusals()
        self._reviews = asyncio.Semaphore(REVIEWS_AT_ONCE)

    async def review(self, token: str) -> Identity:
        """The holder of `token`. Raises Refused or Unavailable."""
        if not token:
            raise Refused(Reason.MISSING, f"a bearer token with audience {self._audience} is needed")
        if len(token) > MAX_TOKEN_LENGTH:
            raise Refused(Reason.INVALID, f"the token is longer than {MAX_TOKEN_LENGTH} characters")
        digest = hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
        self._refused.recall(digest)
        known = self._expired if _expired(token) else self._known
        try:
            return await known.get(digest, lambda: self._ask(token))
        except Refused as refused:
            self._refused.remember(digest, refused)
            raise

    async def _ask(self, token: str) -> Identity:
        async with self._reviews:
            status = await submit_review(
                self._client,
                "/apis/authentication.k8s.io/v1/tokenreviews",
                {
                    "apiVersion": "authentication.k8s.io/v1",
                    "kind": "TokenReview",
                    "spec": {"token": token, "audiences": [self._audience]},
                },
            )
        return identity(status, self._audience)


def identity(status: Mapping[str, Any], audience: str) -> Identity:
    """What the status of a TokenReview says. Raises Refused."""
    error = str(status.get("error", ""))
    if not status.get("authenticated"):
        if "audiences" in error:
            raise Refused(Reason.WRONG_AUDIENCE, f"the token is for another audience; {audience} is needed")
        if "expired" in error:
            raise Refused(Reason.EXPIRED, f"the token has expired; get a new one with audience {audience}")
        raise Refused(Reason.INVALID, f"the token is not valid in this cluster; one with audience {audience} is needed")
    if audience not in status.get("audiences", []):
        raise Refused(Reason.WRONG_AUDIENCE, f"the token's issuer knows no audiences; {audience} is needed")
    user = status.get("user", {})
    return Identity(
        username=user.get("username", ""),
        uid=user.get("uid", ""),
        groups=tuple(user.get("groups", [])),
        extra={key: tuple(values) for key, values in user.get("extra", {}).items()},
    )


def _expired(token: str) -> bool:
    """Whether a JWT says that its time is over (RFC 7519, section 4.1.4); False for what cannot be read."""
    try:
        payload = token.split(".")[1]
        expires = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"]
        return float(expires) <= time.time()
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
        return False


async def submit_review(client: ApiClient, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The status of a review object (TokenReview, SubjectAccessReview) that is POSTed to `path`.

    A review changes nothing, so it is sent once more when a kept-alive connection turns out to be dead.
    Raises Unavailable.
    """
    for last in (False, True):
        try:
            answer = await kube.request(client, "POST", path, body=body)
        except aiohttp.ClientConnectionError as error:
            if last:
                raise Unavailable(f"the API server cannot be reached: {error}") from error
        except (aiohttp.ClientError, TimeoutError, kube.KubeError) as error:
            raise Unavailable(f"the API server did not answer a review: {error}") from error
        else:
            break
    status: dict[str, Any] = answer.get("status", {})
    return status


class Memory(Generic[Key, Value]):
    """Remembers good answers for a while; callers that ask the same at the same time share one question."""

    def __init__(self, seconds: float = MEMORY_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._answers: OrderedDict[Key, tuple[float, asyncio.Task[Value]]] = OrderedDict()

    async def get(self, key: Key, ask: Callable[[], Awaitable[Value]]) -> Value:
        """The remembered answer, else that of `ask`. What `ask` raises is raised to all who wait and forgotten."""
        asked_at, task = self._answers.get(key, (0.0, None))
        if task is None or (task.done() and self._clock() - asked_at > self._seconds):
            task = asyncio.ensure_future(_awaited(ask))
            self._answers[key] = (self._clock(), task)
            self._answers.move_to_end(key)
            task.add_done_callback(lambda done: self._forget_failure(key, done))
            while len(self._answers) > MEMORY_ENTRIES:
                self._answers.popitem(last=False)
        return await asyncio.shield(task)

    def _forget_failure(self, key: Key, done: asyncio.Task[Value]) -> None:
        failed = done.cancelled() or done.exception() is not None
        if failed and self._answers.get(key, (0.0, None))[1] is done:
            del self._answers[key]


class Refusals:
    """The newest refusals, each for a few seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._refused: OrderedDict[str, tuple[float, Reason, str]] = OrderedDict()

    def recall(self, key: str) -> None:
        """Raises Refused as it was remembered, if it was."""
        at, reason, message = self._refused.get(key, (float("-inf"), Reason.INVALID, ""))
        if self._clock() - at <= REFUSED_SECONDS:
            raise Refused(reason, message)

    def remember(self, key: str, refused: Refused) -> None:
        """Refuse the same for a while."""
        self._refused[key] = (self._clock(), refused.reason, str(refused))
        self._refused.move_to_end(key)
        while len(self._refused) > MEMORY_ENTRIES:
            self._refused.popitem(last=False)


async def _awaited(ask: Callable[[], Awaitable[Value]]) -> Value:
    return await ask()
